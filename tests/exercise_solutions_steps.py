"""Solutions and usual mistakes of the exercises 13 to 24."""

from pathlib import Path

from tinygrad_lo.checking.exercise import module_at

FOLDER = Path(__file__).parents[1] / "examples" / "exercises"


def program(name):
    """The function of an exercise with a bug as lo.source prints it today, without the bug."""
    printed = str(module_at(FOLDER / f"{name}.py", name).printed())
    return printed[printed.index("def loss_and_gradients") :]


SECOND = {
    "ex13_softmax_steps": (
        """
def backward(X, y, W, b, S, E, Z, p):
    rows = np.arange(len(y))
    dlogp = np.zeros(p.shape)
    dlogp[rows, y] = -1.0 / len(y)
    dp = dlogp / p
    dZ = (-dp * E / Z**2).sum(axis=1, keepdims=True)
    dE = dp / Z + dZ
    dS = dE * E
    return {"logp": dlogp, "p": dp, "Z": dZ, "E": dE, "S": dS, "W": X.T @ dS, "b": dS.sum(axis=0)}
""",
        [
            ("-1.0 / len(y)", "-1.0", "the 1/5 of a mean is missing"),
            ("dlogp[rows, y] = -1.0 / len(y)", "dlogp[rows, y] = 1.0 / len(y)", "the wrong sign"),
            ("dp = dlogp / p", "dp = dlogp * p", "p stands where 1/p belongs"),
            (".sum(axis=1, keepdims=True)", "", "one Z serves a row"),
            ("(-dp * E", "(dp * E", "−E/Z² by Z"),
            ("dp / Z + dZ", "dp / Z", "only what comes through p = E ÷ Z"),
            ("dS = dE * E", "dS = dE * S", "S stands where E belongs"),
            ("X.T @ dS", "(X.T @ dS).T", "looks transposed"),
            ("dS.sum(axis=0)", "dS.mean(axis=0)", "a sum, not a mean"),
        ],
    ),
    "ex14_two_layers": (
        """
def backward(X, y, W1, b1, W2, b2, A, H, S, dS):
    dH = dS @ W2.T
    dA = dH * (A > 0)
    return {
        "W2": H.T @ dS + STRENGTH * W2, "b2": dS.sum(axis=0), "H": dH,
        "A": dA, "W1": X.T @ dA + STRENGTH * W1, "b1": dA.sum(axis=0),
    }
""",
        [
            (" + STRENGTH * W2", "", "only what comes through v2 = H @ W2"),
            (" + STRENGTH * W1", " + 2 * STRENGTH * W1", "twice what comes through v5 = W1²"),
            ("dS.sum(axis=0)", "dS.sum(axis=0) + STRENGTH * b2", "biases are left out"),
            (" * (A > 0)", "", "1 stands where (A > 0) belongs"),
            ("(A > 0)", "(dH > 0)", "a mask of A, not of dH"),
            ("dS @ W2.T", "dS @ W2", "Your code raised ValueError: matmul"),
        ],
    ),
    "ex15_batch_norm_steps": (
        """
def backward(x, gamma, beta, mu, d, q, var, r, n):
    count = len(x)
    dn = C * gamma
    dr = (dn * d).sum(axis=0, keepdims=True)
    dvar = -0.5 * r**3 * dr
    dq = np.ones(x.shape) * dvar / count
    dd = dn * r + 2.0 * d * dq
    dmu = -dd.sum(axis=0, keepdims=True)
    dx = dd + dmu / count
    return {"beta": C.sum(axis=0, keepdims=True), "gamma": (C * n).sum(axis=0, keepdims=True),
            "n": dn, "r": dr, "var": dvar, "q": dq, "d": dd, "mu": dmu, "x": dx}
""",
        [
            ("dn = C * gamma", "dn = C", "leaves out the local derivative of t = gamma × n"),
            ("-0.5 * r**3", "0.5 * r**3", "the gradient by var has the wrong sign"),
            ("dvar / count", "dvar", "each gets 1/N of dvar"),
            (" + 2.0 * d * dq", "", "only what comes through n = d × r"),
            ("2.0 * d * dq", "d * dq", "d stands where 2·d belongs"),
            ("dmu = -dd", "dmu = dd", "the gradient by mu has the wrong sign"),
            ("dx = dd + dmu / count", "dx = dd", "only what comes through d = x − mu"),
            ("(C * n).sum(axis=0, keepdims=True)", "(C * n).sum(axis=0)", "and keep the axis"),
        ],
    ),
    "ex16_convolution": (
        """
def backward(x, w, b, A, H, T):
    dH = 2.0 * (H - T) / H.size
    dA = dH * (A > 0)
    dw, dx = np.zeros(w.shape), np.zeros(x.shape)
    for i in range(4):
        for j in range(4):
            dw += dA[i, j] * x[i : i + 3, j : j + 3]
            dx[i : i + 3, j : j + 3] += dA[i, j] * w
    return {"H": dH, "A": dA, "b": dA.sum(), "w": dw, "x": dx}
""",
        [
            (" / H.size", "", "the 1/16 of a mean is missing"),
            (" * (A > 0)", "", "1 stands where (A > 0) belongs"),
            ("dA.sum()", "dA.mean()", "a mean in place of a sum"),
            ("dx[i : i + 3, j : j + 3] +=", "dx[i : i + 3, j : j + 3] =", "Windows overlap, so add"),
            ("dA[i, j] * w", "dA[i, j] * w[::-1, ::-1]", "The filter is not turned"),
            ("dw += dA", "dw = dA", "start from zeros, and dw +="),
        ],
    ),
    "ex17_recurrent": (
        """
def backward(x1, x2, x3, W, U, b, h0, h1, h2, h3, T):
    dh3 = (h3 - T) / len(T)
    dz3 = dh3 * (1.0 - h3**2)
    dh2 = dz3 @ U.T
    dz2 = dh2 * (1.0 - h2**2)
    dh1 = dz2 @ U.T
    dz1 = dh1 * (1.0 - h1**2)
    return {"h3": dh3, "z3": dz3, "h2": dh2, "z2": dz2, "h1": dh1, "z1": dz1,
            "W": x1.T @ dz1 + x2.T @ dz2 + x3.T @ dz3,
            "U": h0.T @ dz1 + h1.T @ dz2 + h2.T @ dz3, "b": (dz1 + dz2 + dz3).sum(axis=0)}
""",
        [
            ("(h3 - T) / len(T)", "(h3 - T)", "the 1/4 of a mean is missing"),
            ("dz3 = dh3 * (1.0 - h3**2)", "dz3 = dh3 * (1.0 - h3)", "1 − h3 stands where 1 − h3² belongs"),
            ("dh2 = dz3 @ U.T", "dh2 = dz3 @ U", "U is taken for U.T"),
            ("x1.T @ dz1 + x2.T @ dz2 + x3.T @ dz3", "x3.T @ dz3", "through v7 = x3 @ W: other paths"),
            ("h0.T @ dz1 + h1.T @ dz2 + h2.T @ dz3",
             "h1.T @ dz1 + h2.T @ dz2 + h3.T @ dz3", "In step t U met"),
            ("(dz1 + dz2 + dz3).sum(axis=0)", "dz1 + dz2 + dz3", "sum over the rows, and over the steps"),
        ],
    ),
    "ex18_siamese": (
        """
def backward(A, B, y, W, r, D, g):
    dg = y * g / len(y)
    dD = (1.0 - y) * D / len(y) - dg * (g > 0)
    dr = dD * r / D
    return {"g": dg, "D": dD, "r": dr, "e1": dr, "e2": -dr, "W": A.T @ dr - B.T @ dr}
""",
        [
            ("dg = y * g / len(y)", "dg = y * g", "the 1/6 of a mean is missing"),
            ("(1.0 - y) * D / len(y) - dg", "(1.0 - y) * D / len(y) + dg", "comes through v1 = 1 − D"),
            (" - dg * (g > 0)", "", "only what comes through v2 = D²"),
            ("dr = dD * r / D", "dr = dD * r", "r/‖r‖"),
            ('"e2": -dr', '"e2": dr', "e2 gets dr with a minus"),
            ("A.T @ dr - B.T @ dr", "A.T @ dr", "only what comes through e1 = A @ W"),
        ],
    ),
    "ex19_penalties": (
        """
def weight_decay(p):
    return STRENGTH / (2 * SAMPLES) * np.sum(p["W"] ** 2), {
        "W": STRENGTH / SAMPLES * p["W"], "b": np.zeros_like(p["b"])}


def elastic_net(W):
    return L1 * np.abs(W).sum() + L2 * np.sum(W**2), L1 * np.sign(W) + 2 * L2 * W
""",
        [
            ('np.sum(p["W"] ** 2), {', '(np.sum(p["W"] ** 2) + np.sum(p["b"] ** 2)), {', "b is not punished"),
            ('np.zeros_like(p["b"])', 'STRENGTH / SAMPLES * p["b"]', "b is not punished"),
            ('"W": STRENGTH / SAMPLES', '"W": 0.5 * STRENGTH / SAMPLES', "cancels a ½"),
            ('"W": STRENGTH / SAMPLES', '"W": STRENGTH', "divided by m"),
            ("(2 * SAMPLES)", "SAMPLES", "is the ½ there"),
            ("np.sign(W)", "W / np.abs(W)", "np.sign(0) is 0"),
            (" + 2 * L2 * W", " + L2 * W", "2 l2 W"),
            ("L1 * np.sign(W) + ", "", "l1 · sign(W)"),
            ("L1 * np.abs(W).sum() + L2 * np.sum(W**2)", "L2 * np.abs(W).sum() + L1 * np.sum(W**2)",
             "l1 belongs to |W|"),
            ("L2 * np.sum(W**2)", "0.5 * L2 * np.sum(W**2)", "no part has a ½"),
        ],
    ),
    "ex20_dropout": (
        """
def dropout_loss(x, kept, training):
    scale = kept / (1.0 - P) if training else np.ones(x.shape)
    return np.sum(x * scale * C), C * scale
""",
        [
            ("kept / (1.0 - P)", "kept * 1.0", "What is kept is divided by 1 − p"),
            ("kept / (1.0 - P)", "kept / P", "not by p"),
            ("kept / (1.0 - P)", "kept * (1.0 - P)", "makes what is small smaller"),
            ("np.ones(x.shape)", "kept * 1.0", "out = x"),
            ("np.ones(x.shape)", "1.0 / (1.0 - P) * np.ones(x.shape)", "nothing is scaled"),
            ("C * scale", "C * np.ones(x.shape)", "what is thrown away gets none"),
            ("C * scale", "C / (1.0 - P) if training else C", "no gradient passes"),
            ("C * scale", "-C * scale", "Nothing changes a sign"),
        ],
    ),
    "ex21_steps": (
        """
def nesterov_step(w, g, state, t, lr=0.1, momentum=0.9):
    v = momentum * state.get("v", 0.0) + lr * g
    state["v"] = v
    return w - (momentum * v + lr * g)


def rmsprop_step(w, g, state, t, lr=0.01, decay=0.9, eps=1e-8):
    mean = decay * state.get("v", 0.0) + (1 - decay) * g**2
    state["v"] = mean
    return w - lr * g / (np.sqrt(mean) + eps)


def adamw_step(w, g, state, t, lr=0.001, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.01):
    m = beta1 * state.get("m", 0.0) + (1 - beta1) * g
    s = beta2 * state.get("s", 0.0) + (1 - beta2) * g**2
    state["m"], state["s"] = m, s
    small = w * (1 - lr * weight_decay)
    m_hat, s_hat = m / (1 - beta1**t), s / (1 - beta2**t)
    return small - lr * m_hat / (np.sqrt(s_hat) + eps)
""",
        [
            ("(momentum * v + lr * g)", "v", "plain momentum"),
            ('    state["v"] = v\n', "", "Put what you must remember"),
            ("w - (momentum * v + lr * g)", "w + (momentum * v + lr * g)", "Downhill is against"),
            ("(np.sqrt(mean) + eps)", "np.sqrt(mean + eps)", "ε is added after the root"),
            ("np.sqrt(mean)", "mean", "its root has the size"),
            ("+ (1 - decay) * g**2", "+ g**2", "weighted with 1 − γ"),
            ('decay * state.get("v", 0.0) + (1 - decay) * g**2', 'state.get("v", 0.0) + g**2', "Adagrad"),
            ("    small = w * (1 - lr * weight_decay)\n", "    small = w\n", "w shrinks by η λ"),
            ("(1 - lr * weight_decay)", "(1 - weight_decay)", "w shrinks by η λ"),
            ("(1 - lr * weight_decay)", "(1 + lr * weight_decay)", "It shrinks"),
            ("    m = beta1",
             "    g = g + weight_decay * w\n    w = w / (1 - lr * weight_decay)\n    m = beta1", "decoupled"),
        ],
    ),
    "ex22_bug_in_svm": (
        program("ex22_bug_in_svm"),
        [
            ("np.sum(-v5, axis=1)", "np.sum(v5, axis=1)", "Which line brings what comes back to it?"),
            ("np.where(y1[..., None] == np.arange(3), ds_y, 0)", "0.0", "Which line brings"),
            ("0.1 * (2.0 * W)", "0.1 * W", "was right as it was printed"),
            ("j_y * (v1 > 0)", "j_y", "v1 > 0"),
            ("np.full(6, 0.16666666666666666)", "np.ones(6)", "in dL_i"),
        ],
    ),
    "ex23_bug_in_network": (
        program("ex23_bug_in_network"),
        [
            ("dH * (H > 0)", "dH * (H >= 0)", "between dH and dZ"),
            ("dH * (H > 0)", "dH * H", "have in common is dZ"),
            ("dZ = dH * (H > 0)", "dZ = dH", "between dH and dZ"),
            ("dS = dlog_p - ", "dS = dlog_p + ", "W2 and b2 were right"),
        ],
    ),
    "ex24_bug_in_triplet": (
        program("ex24_bug_in_triplet"),
        [
            ("de_a = v3 + v4", "de_a = v4", "stands in both differences"),
            ("de_a = v3 + v4", "de_a = v3", "stands in both differences"),
            ("de_n = -v3", "de_n = v3", "stands in both differences"),
            ("(2.0 * v1)", "v1", "stands in both differences"),
        ],
    ),
}  # fmt: skip
