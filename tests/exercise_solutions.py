"""Solutions and usual mistakes of the exercises 1 to 12."""

# For each exercise its solution, and mistakes: what is written instead of what, and what must be said.
FIRST = {
    "ex01_chain_rule": (
        """
def square_of_sum(x):
    a, b, c = x
    q = a * b + c
    return q**2, np.array([2 * q * b, 2 * q * a, 2 * q * 1.0])
""",
        [
            ("2 * q * b, 2 * q * a, 2 * q * 1.0", "q * b, q * a, q * 1.0", "The square of q"),
            ("2 * q * b, 2 * q * a", "2 * q * a, 2 * q * b", "stand in the wrong places"),
            ("np.array([", "-np.array([", "signs again"),
            ("2 * q * b,", "-2 * q * b,", "wrong sign at [0]"),
        ],
    ),
    "ex02_diamond": (
        """
def diamond(x):
    u, v = x**2, np.sin(x)
    return np.sum(u * v), 2 * x * v + u * np.cos(x)
""",
        [
            ("2 * x * v + u * np.cos(x)", "2 * x * v", "two products, one for each path"),
            ("2 * x * v + u * np.cos(x)", "2 * x * v * u * np.cos(x)", "two products, one for each path"),
            ("2 * x * v + u * np.cos(x)", "-2 * x * v - u * np.cos(x)", "paths are added, not subtracted"),
        ],
    ),
    "ex03_svm_loops": (
        """
def svm_loss(W, X, y):
    loss, gradient = 0.0, np.zeros(W.shape)
    for x, label in zip(X, y, strict=True):
        scores = x @ W
        for j in range(W.shape[1]):
            margin = scores[j] - scores[label] + 1.0
            if j != label and margin > 0:
                loss += margin
                gradient[:, j] += x
                gradient[:, label] -= x
    return loss / len(X), gradient / len(X)
""",
        [
            ("gradient / len(X)", "gradient", "is 6 times what it should be"),
            ("                gradient[:, label] -= x\n", "", "only one of the two columns"),
            ("gradient[:, label] -= x", "gradient[:, label] += x", "only one of the two columns"),
            ("j != label and ", "", "adds the margin once"),
            ("gradient / len(X)", "-gradient / len(X)", "Column j gets +x"),
            ("return loss / len(X), gradient / len(X)", "return loss, gradient", "6 times what it should be"),
        ],
    ),
    "ex04_svm_vectorized": (
        """
def svm_loss(W, X, y):
    rows = np.arange(len(X))
    scores = X @ W
    margins = np.maximum(0.0, scores - scores[rows, y][:, None] + 1.0)
    margins[rows, y] = 0.0
    loss = margins.sum() / len(X) + STRENGTH * np.sum(W**2)
    table = (margins > 0) / len(X)
    table[rows, y] = -table.sum(axis=1)
    return loss, X.T @ table + 2.0 * STRENGTH * W
""",
        [
            (" + 2.0 * STRENGTH * W", "", "2 λ W: is it there"),
            ("+ 2.0 * STRENGTH", "+ STRENGTH", "and is the 2?"),
            ("(margins > 0) / len(X)", "1.0 * (margins > 0)", "1/N at violations"),
            ("    table[rows, y] = -table.sum(axis=1)\n", "", "−count/N in the column"),
            ("X.T @ table + 2.0", "-X.T @ table - 2.0", "minus the number of violations"),
        ],
    ),
    "ex05_softmax": (
        """
def softmax_loss(scores, labels):
    rows = np.arange(len(labels))
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    loss = -np.log(p[rows, labels]).mean()
    gradient = p.copy()
    gradient[rows, labels] -= 1.0
    return loss, gradient / len(labels)
""",
        [
            ("    gradient[rows, labels] -= 1.0\n", "", "except for the right class: p_y − 1"),
            ("gradient / len(labels)", "gradient", "Loss and gradient are both divided by N"),
            (".mean()", ".sum()", "Loss and gradient are both divided by N"),
            ("-np.log", "np.log", "mind the minus"),
            ("scores - scores.max(axis=1, keepdims=True)", "scores", "e^1000 is inf"),
            ("-np.log(p[rows, labels])", "-np.log2(p[rows, labels])", "the natural logarithm"),
            ("p = e / e.sum(axis=1, keepdims=True)", "p = scores", "Softmax comes first, once"),
            ("return loss, gradient", "return loss, -gradient", "mind the minus"),
        ],
    ),
    "ex06_sigmoid": (
        """
def sigmoid_mse(z, y):
    h = 1.0 / (1.0 + np.exp(-z))
    return np.mean((h - y) ** 2), 2.0 * (h - y) * h * (1.0 - h) / len(z)


def sigmoid_cross_entropy(z, y):
    h = 1.0 / (1.0 + np.exp(-z))
    return np.mean(y * np.logaddexp(0, -z) + (1.0 - y) * np.logaddexp(0, z)), (h - y) / z.size
""",
        [
            (" * h * (1.0 - h) / len", " / len", "The chain rule has three links"),
            ("2.0 * (h - y) * h", "(h - y) * h", "The square has the derivative 2 (h − y)"),
            ("(h - y) / z.size", "(h - y) * h * (1.0 - h) / z.size", "The chain rule has three links"),
            ("(h - y) / z.size", "(h - y)", "are means over N"),
            (" + (1.0 - y) * np.logaddexp(0, z)", "", "Both terms count"),
            ("y * np.logaddexp(0, -z) + (1.0 - y) * np.logaddexp(0, z)",
             "-y * np.log(h) - (1.0 - y) * np.log(1.0 - h)", "right at any z"),
            ("(h - y) / z.size", "(y - h) / z.size", "not y − h"),
        ],
    ),
    "ex07_batch_norm": (
        """
def batch_norm(p):
    x, gamma, beta = p["x"], p["gamma"], p["beta"]
    root = np.sqrt(x.var(axis=0) + EPS)
    n = (x - x.mean(axis=0)) / root
    d = C * gamma
    dx = (d - d.mean(axis=0) - n * (d * n).mean(axis=0)) / root
    loss = np.sum((gamma * n + beta) * C)
    return loss, {"x": dx, "gamma": (C * n).sum(axis=0), "beta": C.sum(axis=0)}
""",
        [
            ("(d - d.mean(axis=0) - n * (d * n).mean(axis=0)) / root", "d / root", "two more paths"),
            (" - n * (d * n).mean(axis=0)", "", "two more paths"),
            ("(C * n).sum(axis=0)", "(C * n)", "sum over the batch, axis 0"),
            ("(C * n).sum(axis=0)", "C.sum(axis=0)", "γ multiplies n"),
            ("C.sum(axis=0)}", "C.mean(axis=0)}", "β is added"),
        ],
    ),
    "ex08_huber": (
        """
def huber(prediction, target):
    r = prediction - target
    inside = np.abs(r) <= DELTA
    loss = np.where(inside, 0.5 * r**2, DELTA * np.abs(r) - 0.5 * DELTA**2).mean()
    return loss, np.where(inside, r, DELTA * np.sign(r)) / r.size
""",
        [
            ("np.where(inside, r, DELTA * np.sign(r)) / r.size", "r / r.size", "Beyond δ the slope is ±δ"),
            (" - 0.5 * DELTA**2", "", "do not meet at |r| = δ"),
            ("DELTA * np.sign(r)) / r.size", "DELTA * np.sign(r))", "divided by the number of elements"),
            ("r = prediction - target", "r = target - prediction", "r is prediction − target"),
            ("inside, 0.5 * r**2, DELTA", "~inside, 0.5 * r**2, DELTA", "a is the inside"),
            (").mean()", ").sum()", "divided by the number of elements"),
        ],
    ),
    "ex09_triplet": (
        """
def triplet(anchor, positive, negative):
    near, far = anchor - positive, anchor - negative
    margin = (near**2).sum(axis=1) - (far**2).sum(axis=1) + 1.0
    on = (margin > 0)[:, None] / len(anchor)
    loss = np.maximum(0.0, margin).mean()
    return loss, [2.0 * on * (near - far), -2.0 * on * near, 2.0 * on * far]
""",
        [
            ("on * (near - far)", "on * near", "The anchor stands in both distances"),
            ("(margin > 0)[:, None]", "(margin > -99)[:, None]", "Triplets that are satisfied"),
            ("np.maximum(0.0, margin)", "margin", "not less than nothing"),
            ("axis=1) + 1.0", "axis=1)", "The margin is 1"),
            ("-2.0 * on * near, 2.0", "2.0 * on * near, -2.0", "The positive pulls"),
            (" / len(anchor)", " * 1.0", "the gradients are divided by N"),
            ("near, far = anchor - positive, anchor - negative",
             "near, far = anchor - negative, anchor - positive", "the positive that should be near"),
        ],
    ),
    "ex10_momentum": (
        """
def momentum_step(w, g, state, t, lr=0.1, momentum=0.9):
    v = momentum * state.get("v", 0.0) + lr * g
    state["v"] = v
    return w - v
""",
        [
            ('    state["v"] = v\n', "", "Put the new velocity back"),
            ("return w - v", "return w + v", "Downhill is against"),
            ("+ lr * g", "+ (1 - momentum) * lr * g", "The velocity adds"),
            ("return w - v", "w -= v\n    return w", "writes into the array"),
            ("+ lr * g\n    state", "+ g\n    state", "leaves out the learning rate"),
            ('lr * g\n    state["v"] = v\n    return w - v', 'g\n    state["v"] = v\n    return w - lr * v',
             "multiplies g inside the velocity"),
            ("return w - v", "return w - (lr * g + momentum * v)", "That is Nesterov's form"),
        ],
    ),
    "ex11_adam": (
        """
def adam_step(w, g, state, t, lr=0.001, beta1=0.9, beta2=0.999, eps=1e-8):
    m = beta1 * state.get("m", 0.0) + (1 - beta1) * g
    v = beta2 * state.get("v", 0.0) + (1 - beta2) * g**2
    state["m"], state["v"] = m, v
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return w - lr * m_hat / (np.sqrt(v_hat) + eps)
""",
        [
            ("m / (1 - beta1**t), v / (1 - beta2**t)", "m, v", "too small at first"),
            ("(np.sqrt(v_hat) + eps)", "np.sqrt(v_hat + eps)", "added after the root"),
            ("np.sqrt(v_hat)", "v_hat", "its root has the size"),
            ('    state["m"], state["v"] = m, v\n', "", "Put m and v back"),
            ('beta1 * state.get("m", 0.0) + (1 - beta1) * g', '(1 - beta1) * state.get("m", 0.0) + beta1 * g',
             "β weights the old value"),
            ("(1 - beta1) * g\n", "g\n", "weighted with 1 − β"),
            ("    m_hat", "    t = t - 1\n    m_hat", "1 in the first step"),
            ("return w - lr", "return w + lr", "Downhill is against"),
        ],
    ),
    "ex12_own_op": (
        """
def swish_rule(g, y, x):
    s = 1.0 / (1.0 + np.exp(-x))
    return g * (s + x * s * (1.0 - s))
""",
        [
            ("(s + x * s * (1.0 - s))", "s", "The product rule"),
            ("return g * (s", "return (s", "the arriving g"),
            ("return g", "return -g", "σ' = σ (1 − σ) is positive"),
        ],
    ),
}  # fmt: skip
