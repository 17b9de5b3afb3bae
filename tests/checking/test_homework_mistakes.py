# ruff: noqa: E501
"""Mistakes as students make them, each named: the cause, and the sentence that is read, exactly.

Each is a right function of the course, in plain NumPy, in which one thing is written differently.
"""

import zlib

import numpy as np
import pytest

import tinygrad_lo as lo

RIGHT = {
    "softmax": """
def loss_of(W):
    N = X.shape[0]
    scores = X @ W
    scores -= scores.max(axis=1, keepdims=True)
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    loss = -np.log(p[np.arange(N), y]).mean()
    d = p.copy()
    d[np.arange(N), y] -= 1
    d /= N
    dW = X.T @ d
    return loss, dW
""",
    "svm": """
def loss_of(W):
    N = X.shape[0]
    scores = X.dot(W)
    right = scores[np.arange(N), y]
    margins = np.maximum(0, scores - right[:, np.newaxis] + 1.0)
    margins[np.arange(N), y] = 0
    loss = margins.sum() / N
    mask = np.zeros(scores.shape)
    mask[margins > 0] = 1
    mask[np.arange(N), y] = -mask.sum(axis=1)
    dW = X.T.dot(mask) / N
    return loss, dW
""",
    "svm loops": """
def loss_of(W):
    dW = np.zeros(W.shape)
    loss = 0.0
    for i in range(len(X)):
        scores = X[i].dot(W)
        for j in range(W.shape[1]):
            if j == y[i]:
                continue
            margin = scores[j] - scores[y[i]] + 1
            if margin > 0:
                loss += margin
                dW[:, j] += X[i]
                dW[:, y[i]] -= X[i]
    loss = loss / len(X)
    dW = dW / len(X)
    return loss, dW
""",
    "net": """
def loss_of(params):
    W1, b1, W2, b2 = params["W1"], params["b1"], params["W2"], params["b2"]
    N = X.shape[0]
    z = X @ W1 + b1
    h = np.maximum(0, z)
    scores = h @ W2 + b2
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    loss = np.sum(-np.log(p[range(N), y])) / N
    dscores = p
    dscores[range(N), y] -= 1
    dscores /= N
    dW2 = h.T @ dscores
    db2 = dscores.sum(axis=0)
    dh = dscores @ W2.T
    dh[z <= 0] = 0
    dW1 = X.T @ dh
    db1 = dh.sum(axis=0)
    return loss, {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}
""",
    "tanh net": """
def loss_of(params):
    W1, W2 = params["W1"], params["W2"]
    h = np.tanh(X @ W1)
    out = h @ W2
    r = out - T
    loss = np.mean(np.sum(r**2, axis=1))
    dout = 2 * r / len(X)
    dW2 = h.T @ dout
    dh = dout @ W2.T
    dz = dh * (1 - h**2)
    dW1 = X.T @ dz
    return loss, {"W1": dW1, "W2": dW2}
""",
    "logistic": """
def loss_of(w):
    p = 1 / (1 + np.exp(-(X @ w)))
    loss = -np.mean(t * np.log(p) + (1 - t) * np.log(1 - p))
    dw = X.T @ (p - t) / len(t)
    return loss, dw
""",
    "linear": """
def loss_of(W):
    r = X @ W - T
    loss = np.mean(r**2)
    dW = 2 * X.T @ r / r.size
    return loss, dW
""",
    "neuron": """
def loss_of(w):
    h = 1 / (1 + np.exp(-(X @ w)))
    loss = np.mean((h - t) ** 2)
    dh = 2 * (h - t) / len(t)
    dz = dh * h * (1 - h)
    dw = X.T @ dz
    return loss, dw
""",
    "batch norm": """
def loss_of(params):
    x, gamma, beta = params["x"], params["gamma"], params["beta"]
    sigma = np.sqrt(x.var(axis=0) + 1e-5)
    n = (x - x.mean(axis=0)) / sigma
    loss = np.sum((gamma * n + beta) * C)
    dgamma = np.sum(C * n, axis=0)
    dbeta = np.sum(C, axis=0)
    d = C * gamma
    dx = (d - d.mean(axis=0) - n * (d * n).mean(axis=0)) / sigma
    return loss, {"x": dx, "gamma": dgamma, "beta": dbeta}
""",
}


def problem(name):
    """The data and the place of one case, drawn by its name."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    data = {"np": np, "X": rng.normal(size=(7, 5)), "y": rng.permutation([0, 1, 2, 3, 0, 1, 2]),
            "t": rng.permutation([0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0]), "T": rng.normal(size=(7, 4)),
            "C": rng.normal(size=(7, 5)), "reg": 0.1}  # fmt: skip
    W = rng.normal(size=(5, 4))
    at = {
        "net": {"W1": rng.normal(size=(5, 6)), "b1": rng.normal(size=6), "W2": rng.normal(size=(6, 4)),
                "b2": rng.normal(size=4)},
        "tanh net": {"W1": 0.5 * rng.normal(size=(5, 6)), "W2": rng.normal(size=(6, 4))},
        "logistic": W[:, 0], "neuron": W[:, 0],
        "batch norm": {"x": rng.normal(1.0, 2.0, (7, 5)), "gamma": rng.uniform(0.5, 1.5, 5),
                       "beta": rng.normal(size=5)},
    }  # fmt: skip
    return data, at


def penalized(source, term="reg * np.sum({W} * {W})", slope="2 * reg * {W}"):
    """The function with a regularizer on its weights."""
    for name in ("W1", "W2") if "W1" in source else ("w",) if "(w)" in source else ("W",):
        added = term.format(W=name), slope.format(W=name)
        source = source.replace(
            "    return", f"    loss = loss + {added[0]}\n    d{name} = d{name} + {added[1]}\n    return"
        )
    return source


def report_of(name, model, changes, plain):
    data, places = problem(name)
    source = RIGHT[model] if plain else penalized(RIGHT[model])
    for old, new in changes:
        assert source.count(old) == 1, (name, old, source.count(old))
        source = source.replace(old, new)
    exec(source, data)
    x = places.get(model)
    if x is None:
        x = np.random.default_rng(zlib.crc32(name.encode()) + 1).normal(size=(5, 4))
    return lo.check_gradient(data["loss_of"], x)


# fmt: off
PLAIN = {
    "softmax: minus": ("softmax", [("    dW = X.T @ d\n", "    dW = -X.T @ d\n")], "sign",
        ["the gradient by W has the wrong sign"]),
    "softmax: no 1/N": ("softmax", [("    d /= N\n", "")], "mean or sum",
        ["the gradient by W is 7 times what it should be: the 1/7 of a mean is missing"]),
    "softmax: doubled": ("softmax", [("X.T @ d\n", "2 * X.T @ d\n")], "factor 2",
        ["the gradient by W is twice what it should be: look for a ½, or for the 2 of a square"]),
    "softmax: labels y - 1": ("softmax", [("d[np.arange(N), y] -= 1", "d[np.arange(N), y - 1] -= 1")], "labels",
        ["the gradient by W is that of other labels: they are off by one against those of the loss"]),
    "softmax: nothing subtracted": ("softmax", [("    d[np.arange(N), y] -= 1\n", "")], "target",
        ["the gradient by W does not subtract the target: of p − y only p is there"]),
    "softmax: axis": ("softmax", [("d = p.copy()", "d = np.exp(scores) / np.exp(scores).sum(axis=0)")], "axis",
        ["the gradient by W takes softmax over axis 0, over the samples: it belongs over the classes of each"]),
    "softmax: 1/N of p alone": ("softmax", [("d = p.copy()", "d = p / N"), ("    d /= N\n", "")], "target",
        ["the gradient by W is a multiple of p − y, but its y is 7 times what it should be"]),
    "svm: right class left out": ("svm", [("    mask[np.arange(N), y] = -mask.sum(axis=1)\n", "")], "some elements",
        ["the gradient by W is wrong only at the right class of each sample, and is 0 there"]),
    "svm: right class added": ("svm", [("= -mask.sum(axis=1)", "= mask.sum(axis=1)")], "some elements",
        ["the gradient by W is wrong only at the right class of each sample"]),
    "svm: right class once": ("svm", [("= -mask.sum(axis=1)", "= -1")], "some elements",
        ["the gradient by W is wrong only at the right class of each sample"]),
    "svm: >=": ("svm", [("margins > 0", "margins >= 0")], "some elements",
        ["the gradient by W is wrong where the margin is met: only margins above 0 count"]),
    "svm: no 1/N": ("svm", [("mask) / N", "mask)")], "mean or sum",
        ["the gradient by W is 7 times what it should be: the 1/7 of a mean is missing"]),
    "svm loops: minus": ("svm loops", [("dW[:, j] += X[i]", "dW[:, j] -= X[i]"), ("dW[:, y[i]] -= X[i]", "dW[:, y[i]] += X[i]")], "sign",
        ["the gradient by W has the wrong sign"]),
    "svm loops: right class left out": ("svm loops", [("                dW[:, y[i]] -= X[i]\n", "")], "some elements",
        ["the gradient by W is wrong only at the right class of each sample, and is 0 there"]),
    "svm loops: not only violations": ("svm loops", [("                dW[:, j] += X[i]\n                dW[:, y[i]] -= X[i]\n", "            dW[:, j] += X[i]\n            dW[:, y[i]] -= X[i]\n")], "some elements",
        ["the gradient by W is wrong where the margin is met: only margins above 0 count"]),
    "net: no mask": ("net", [("    dh[z <= 0] = 0\n", "")], "some elements",
        ["the gradient by each of W1 and b1 is wrong where the relu is off: is its mask left out, taken from the wrong array, or >= for >?"]),
    "net: mask of dh": ("net", [("dh[z <= 0] = 0", "dh[dh <= 0] = 0")], "some elements",
        ["the gradient by each of W1 and b1 is wrong where the relu is off: is its mask left out, taken from the wrong array, or >= for >?"]),
    "net: mask >=": ("net", [("dh[z <= 0] = 0", "dh = dh * (h >= 0)")], "some elements",
        ["the gradient by each of W1 and b1 is wrong where the relu is off: is its mask left out, taken from the wrong array, or >= for >?"]),
    "net: bias averaged": ("net", [("db2 = dscores.sum(axis=0)", "db2 = dscores.mean(axis=0)")], "mean or sum",
        ["the gradient by b2 is 1/7 of what it should be: a mean in place of a sum"]),
    "net: no 1/N": ("net", [("    dscores /= N\n", "")], "mean or sum",
        ["the gradient by each of W1, b1, W2 and b2 is 7 times what it should be: the 1/7 of a mean is missing"]),
    "tanh net: no slope": ("tanh net", [("dh * (1 - h**2)", "dh")], "slope",
        ["the gradient by W1 leaves out the slope 1 − tanh² z"]),
    "tanh net: slope of z": ("tanh net", [("(1 - h**2)", "(1 - np.tanh(h)**2)")], "slope",
        ["the gradient by W1 has the slope 1 − tanh² h, h = tanh z where 1 − tanh² z belongs"]),
    "tanh net: no 2": ("tanh net", [("2 * r / len(X)", "r / len(X)")], "factor 0.5",
        ["the gradient by each of W1 and W2 is half of what it should be: look for a ½, or for the 2 of a square"]),
    "logistic: minus": ("logistic", [("(p - t)", "(t - p)")], "sign",
        ["the gradient by w has the wrong sign"]),
    "logistic: no 1/N": ("logistic", [("(p - t) / len(t)", "(p - t)")], "mean or sum",
        ["the gradient by w is 7 times what it should be: the 1/7 of a mean is missing"]),
    "logistic: slope too much": ("logistic", [("(p - t) / len(t)", "((p - t) * p * (1 - p)) / len(t)")], "slope",
        ["the gradient by w has the slope σ(z)(1 − σ(z)) too much"]),
    "logistic: no target": ("logistic", [("(p - t) / len(t)", "p / len(t)")], "target",
        ["the gradient by w does not subtract the target: of p − y only p is there"]),
    "linear: no 2": ("linear", [("2 * X.T", "X.T")], "factor 0.5",
        ["the gradient by W is half of what it should be: look for a ½, or for the 2 of a square"]),
    "linear: mean of N": ("linear", [("/ r.size", "/ len(X)")], "mean or sum",
        ["the gradient by W is 4 times what it should be: the 1/4 of a mean is missing"]),
    "linear: no target": ("linear", [("2 * X.T @ r", "2 * X.T @ (X @ W)")], "target",
        ["the gradient by W does not subtract the target: of p − y only p is there"]),
    "neuron: no slope": ("neuron", [("dh * h * (1 - h)", "dh")], "slope",
        ["the gradient by w leaves out the slope σ(z)(1 − σ(z))"]),
    "neuron: half slope": ("neuron", [("dh * h * (1 - h)", "dh * (1 - h)")], "slope",
        ["the gradient by w has the slope 1 − σ(z) where σ(z)(1 − σ(z)) belongs"]),
    "batch norm: no gamma": ("batch norm", [("d = C * gamma", "d = C")], "left out",
        ["the gradient by x leaves out the factor gamma: with ones in its place it is right"]),
    "batch norm: no paths": ("batch norm", [("(d - d.mean(axis=0) - n * (d * n).mean(axis=0)) / sigma", "d / sigma")], "path",
        ["the gradient by x differs by a line in x along axis 0: the paths through the mean and the variance are missing, or wrong"]),
    "batch norm: sum": ("batch norm", [("- d.mean(axis=0)", "- d.sum(axis=0)")], "path",
        ["the gradient by x differs by one number along axis 0: a path, such as that through a mean, is missing, or wrong"]),
    "batch norm: no variance": ("batch norm", [(" - n * (d * n).mean(axis=0)", "")], "path",
        ["the gradient by x differs by a multiple of x − mean along axis 0: the path through the variance is missing, or wrong"]),
    "batch norm: beta averaged": ("batch norm", [("np.sum(C, axis=0)", "np.mean(C, axis=0)")], "mean or sum",
        ["the gradient by beta is 1/7 of what it should be: a mean in place of a sum"]),
    "softmax: mean over classes": ("softmax", [("d /= N", "d /= W.shape[1]")], "axis",
        ["the gradient by W is divided by 4 where the 7 samples belong: a mean over the wrong axis"]),
}
PENALIZED = {
    "softmax: missing": ("softmax", [("    dW = dW + 2 * reg * W\n", "")], "regularizer",
        ["the gradient by W: its data part is right; its regularizer (0.2·W) is missing"]),
    "softmax: half": ("softmax", [("2 * reg * W", "reg * W")], "regularizer",
        ["the gradient by W: its data part is right; its regularizer is half of what it should be: 0.1·W where 0.2·W belongs"]),
    "softmax: sign of reg": ("softmax", [("dW + 2 * reg", "dW - 2 * reg")], "regularizer",
        ["the gradient by W: its data part is right; its regularizer has the wrong sign: −0.2·W where 0.2·W belongs"]),
    "softmax: reg / N": ("softmax", [("2 * reg * W", "2 * reg * W / N")], "regularizer",
        ["the gradient by W: its data part is right; its regularizer is 1/7 of what it should be: 0.02857·W where 0.2·W belongs"]),
    "softmax: L1 slope": ("softmax", [("2 * reg * W", "reg * np.sign(W)")], "regularizer",
        ["the gradient by W: its data part is right; its regularizer is another: 0.1·sign(W) where 0.2·W belongs"]),
    "softmax: data minus": ("softmax", [("    dW = X.T @ d\n", "    dW = -X.T @ d\n")], "sign",
        ["the gradient by W: its data part has the wrong sign; its regularizer (0.2·W) is right"]),
    "softmax: data no 1/N": ("softmax", [("    d /= N\n", "")], "mean or sum",
        ["the gradient by W: its data part is 7 times what it should be: the 1/7 of a mean is missing; its regularizer (0.2·W) is right"]),
    "softmax: data doubled": ("softmax", [("X.T @ d\n", "2 * X.T @ d\n")], "factor 2",
        ["the gradient by W: its data part is twice what it should be: look for a ½, or for the 2 of a square; its regularizer (0.2·W) is right"]),
    "softmax: both by N": ("softmax", [("    d /= N\n", ""), ("    return loss, dW", "    return loss, dW / N")], "regularizer",
        ["the gradient by W: its data part is right; its regularizer is 1/7 of what it should be: 0.02857·W where 0.2·W belongs"]),
    "softmax: data minus, reg half": ("softmax", [("    dW = X.T @ d\n", "    dW = -X.T @ d\n"), ("2 * reg * W", "reg * W")], "sign",
        ["the gradient by W: its data part has the wrong sign; its regularizer is half of what it should be: 0.1·W where 0.2·W belongs"]),
    "softmax: labels": ("softmax", [("d[np.arange(N), y] -= 1", "d[np.arange(N), y - 1] -= 1")], "labels",
        ["the gradient by W: its data part is that of other labels: they are off by one against those of the loss; its regularizer (0.2·W) is right"]),
    "softmax: not subtracted": ("softmax", [("    d[np.arange(N), y] -= 1\n", "")], "target",
        ["the gradient by W: its data part does not subtract the target: of p − y only p is there; its regularizer (0.2·W) is right"]),
    "svm: half": ("svm", [("2 * reg * W", "reg * W")], "regularizer",
        ["the gradient by W: its data part is right; its regularizer is half of what it should be: 0.1·W where 0.2·W belongs"]),
    "svm: twice": ("svm", [("2 * reg * W", "4 * reg * W")], "regularizer",
        ["the gradient by W: its data part is right; its regularizer is twice what it should be: 0.4·W where 0.2·W belongs"]),
    "svm: data no 1/N": ("svm", [("mask) / N", "mask)")], "mean or sum",
        ["the gradient by W: its data part is 7 times what it should be: the 1/7 of a mean is missing; its regularizer (0.2·W) is right"]),
    "svm: right class": ("svm", [("    mask[np.arange(N), y] = -mask.sum(axis=1)\n", "")], "some elements",
        ["the gradient by W: its data part is wrong only at the right class of each sample, and is 0 there; its regularizer (0.2·W) is right"]),
    "svm: >=": ("svm", [("margins > 0", "margins >= 0")], "some elements",
        ["the gradient by W: its data part is wrong where the margin is met: only margins above 0 count; its regularizer (0.2·W) is right"]),
    "svm: no reg in loss": ("svm", [("    loss = loss + reg * np.sum(W * W)\n", "")], "regularizer",
        ["the gradient by W has 0.2·W too much: the loss has no such regularizer"]),
    "net: half": ("net", [("2 * reg * W1", "reg * W1"), ("2 * reg * W2", "reg * W2")], "regularizer",
        ["the gradient by each of W1 and W2: its data part is right; its regularizer is half of what it should be: 0.1·W1 where 0.2·W1 belongs"]),
    "net: W2 missing": ("net", [("    dW2 = dW2 + 2 * reg * W2\n", "")], "regularizer",
        ["the gradient by W2: its data part is right; its regularizer (0.2·W2) is missing"]),
    "net: no mask": ("net", [("    dh[z <= 0] = 0\n", "")], "some elements",
        ["the gradient by W1: its data part is wrong where the relu is off: is its mask left out, taken from the wrong array, or >= for >?; its regularizer (0.2·W1) is right",
        "the gradient by b1 is wrong where the relu is off: is its mask left out, taken from the wrong array, or >= for >?"]),
    "net: W1 for W2": ("net", [("dW2 + 2 * reg * W2", "dW2 + 2 * reg * W2 * 0.5")], "regularizer",
        ["the gradient by W2: its data part is right; its regularizer is half of what it should be: 0.1·W2 where 0.2·W2 belongs"]),
    "net: no 1/N": ("net", [("    dscores /= N\n", "")], "mean or sum",
        ["the gradient by each of W1 and W2: its data part is 7 times what it should be: the 1/7 of a mean is missing; its regularizer (0.2·W1) is right",
        "the gradient by each of b1 and b2 is 7 times what it should be: the 1/7 of a mean is missing"]),
    "tanh net: no slope": ("tanh net", [("dh * (1 - h**2)", "dh")], "slope",
        ["the gradient by W1: its data part leaves out the slope 1 − tanh² z; its regularizer (0.2·W1) is right"]),
    "tanh net: half": ("tanh net", [("2 * reg * W1", "reg * W1")], "regularizer",
        ["the gradient by W1: its data part is right; its regularizer is half of what it should be: 0.1·W1 where 0.2·W1 belongs"]),
    "logistic: minus": ("logistic", [("(p - t)", "(t - p)")], "sign",
        ["the gradient by w: its data part has the wrong sign; its regularizer (0.2·w) is right"]),
    "logistic: missing": ("logistic", [("    dw = dw + 2 * reg * w\n", "")], "regularizer",
        ["the gradient by w: its data part is right; its regularizer (0.2·w) is missing"]),
    "logistic: half": ("logistic", [("2 * reg * w", "reg * w")], "regularizer",
        ["the gradient by w: its data part is right; its regularizer is half of what it should be: 0.1·w where 0.2·w belongs"]),
    "linear: half": ("linear", [("2 * reg * W", "reg * W")], "regularizer",
        ["the gradient by W: its data part is right; its regularizer is half of what it should be: 0.1·W where 0.2·W belongs"]),
    "linear: missing": ("linear", [("    dW = dW + 2 * reg * W\n", "")], "regularizer",
        ["the gradient by W: its data part is right; its regularizer (0.2·W) is missing"]),
    "linear: minus": ("linear", [("dW = 2 * X.T", "dW = -2 * X.T")], "sign",
        ["the gradient by W: its data part has the wrong sign; its regularizer (0.2·W) is right"]),
    "linear: no 2": ("linear", [("dW = 2 * X.T", "dW = X.T")], "factor 0.5",
        ["the gradient by W: its data part is half of what it should be: look for a ½, or for the 2 of a square; its regularizer (0.2·W) is right"]),
    "linear: reg over size": ("linear", [("2 * reg * W", "2 * reg * W / r.size")], "regularizer",
        ["the gradient by W: its data part is right; its regularizer is 1/28 of what it should be: 0.007143·W where 0.2·W belongs"]),
    "neuron: slope": ("neuron", [("dh * h * (1 - h)", "dh")], "slope",
        ["the gradient by w: its data part leaves out the slope σ(z)(1 − σ(z)); its regularizer (0.2·w) is right"]),
    "neuron: half": ("neuron", [("2 * reg * w", "reg * w")], "regularizer",
        ["the gradient by w: its data part is right; its regularizer is half of what it should be: 0.1·w where 0.2·w belongs"]),
}
# fmt: on


@pytest.mark.parametrize("name", PLAIN)
def test_a_mistake_is_named(name):
    model, changes, cause, said = PLAIN[name]
    report = report_of(name, model, changes, plain=True)
    assert (report.cause, report.said) == (cause, said), str(report)


@pytest.mark.parametrize("name", PENALIZED)
def test_a_mistake_beside_a_regularizer_is_named(name):
    model, changes, cause, said = PENALIZED[name]
    report = report_of(name, model, changes, plain=False)
    assert (report.cause, report.said) == (cause, said), str(report)


@pytest.mark.parametrize("model", RIGHT)
def test_the_right_function_passes(model):
    assert report_of(model, model, [], plain=True)
    if model != "batch norm":  # it has no weights
        assert report_of(model, model, [], plain=False)
