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
        source = source.replace("    return", f"    loss = loss + {added[0]}\n    d{name} = d{name} + {added[1]}\n    return")
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


PLAIN = {
    "softmax: minus": ("softmax", [("    dW = X.T @ d\n", "    dW = -X.T @ d\n")]),
    "softmax: no 1/N": ("softmax", [("    d /= N\n", "")]),
    "softmax: doubled": ("softmax", [("X.T @ d\n", "2 * X.T @ d\n")]),
    "softmax: labels y - 1": ("softmax", [("d[np.arange(N), y] -= 1", "d[np.arange(N), y - 1] -= 1")]),
    "softmax: nothing subtracted": ("softmax", [("    d[np.arange(N), y] -= 1\n", "")]),
    "softmax: axis": ("softmax", [("d = p.copy()", "d = np.exp(scores) / np.exp(scores).sum(axis=0)")]),
    "softmax: 1/N of p alone": ("softmax", [("d = p.copy()", "d = p / N"), ("    d /= N\n", "")]),
    "softmax: other mean": ("softmax", [("d /= N", "d /= W.shape[1]")]),
    "svm: right class left out": ("svm", [("    mask[np.arange(N), y] = -mask.sum(axis=1)\n", "")]),
    "svm: right class added": ("svm", [("= -mask.sum(axis=1)", "= mask.sum(axis=1)")]),
    "svm: right class once": ("svm", [("= -mask.sum(axis=1)", "= -1")]),
    "svm: >=": ("svm", [("margins > 0", "margins >= 0")]),
    "svm: no 1/N": ("svm", [("mask) / N", "mask)")]),
    "svm: margins for mask": ("svm", [("mask[margins > 0] = 1", "mask = margins")]),
    "svm loops: minus": ("svm loops", [("dW[:, j] += X[i]", "dW[:, j] -= X[i]"), ("dW[:, y[i]] -= X[i]", "dW[:, y[i]] += X[i]")]),
    "svm loops: right class left out": ("svm loops", [("                dW[:, y[i]] -= X[i]\n", "")]),
    "svm loops: not only violations": ("svm loops", [("                dW[:, j] += X[i]\n                dW[:, y[i]] -= X[i]\n", "            dW[:, j] += X[i]\n            dW[:, y[i]] -= X[i]\n")]),
    "net: no mask": ("net", [("    dh[z <= 0] = 0\n", "")]),
    "net: mask of dh": ("net", [("dh[z <= 0] = 0", "dh[dh <= 0] = 0")]),
    "net: mask >=": ("net", [("dh[z <= 0] = 0", "dh = dh * (h >= 0)")]),
    "net: bias averaged": ("net", [("db2 = dscores.sum(axis=0)", "db2 = dscores.mean(axis=0)")]),
    "net: no 1/N": ("net", [("    dscores /= N\n", "")]),
    "tanh net: no slope": ("tanh net", [("dh * (1 - h**2)", "dh")]),
    "tanh net: slope of z": ("tanh net", [("(1 - h**2)", "(1 - np.tanh(h)**2)")]),
    "tanh net: no 2": ("tanh net", [("2 * r / len(X)", "r / len(X)")]),
    "logistic: minus": ("logistic", [("(p - t)", "(t - p)")]),
    "logistic: no 1/N": ("logistic", [("(p - t) / len(t)", "(p - t)")]),
    "logistic: slope too much": ("logistic", [("(p - t) / len(t)", "((p - t) * p * (1 - p)) / len(t)")]),
    "logistic: no target": ("logistic", [("(p - t) / len(t)", "p / len(t)")]),
    "linear: no 2": ("linear", [("2 * X.T", "X.T")]),
    "linear: mean of N": ("linear", [("/ r.size", "/ len(X)")]),
    "linear: no target": ("linear", [("2 * X.T @ r", "2 * X.T @ (X @ W)")]),
    "neuron: no slope": ("neuron", [("dh * h * (1 - h)", "dh")]),
    "neuron: half slope": ("neuron", [("dh * h * (1 - h)", "dh * (1 - h)")]),
    "batch norm: no gamma": ("batch norm", [("d = C * gamma", "d = C")]),
    "batch norm: no paths": ("batch norm", [("(d - d.mean(axis=0) - n * (d * n).mean(axis=0)) / sigma", "d / sigma")]),
    "batch norm: sum": ("batch norm", [("- d.mean(axis=0)", "- d.sum(axis=0)")]),
    "batch norm: no variance": ("batch norm", [(" - n * (d * n).mean(axis=0)", "")]),
    "batch norm: beta averaged": ("batch norm", [("np.sum(C, axis=0)", "np.mean(C, axis=0)")]),
}
PENALIZED = {
    "softmax: missing": ("softmax", [("    dW = dW + 2 * reg * W\n", "")]),
    "softmax: half": ("softmax", [("2 * reg * W", "reg * W")]),
    "softmax: sign of reg": ("softmax", [("dW + 2 * reg", "dW - 2 * reg")]),
    "softmax: reg / N": ("softmax", [("2 * reg * W", "2 * reg * W / N")]),
    "softmax: L1 slope": ("softmax", [("2 * reg * W", "reg * np.sign(W)")]),
    "softmax: data minus": ("softmax", [("    dW = X.T @ d\n", "    dW = -X.T @ d\n")]),
    "softmax: data no 1/N": ("softmax", [("    d /= N\n", "")]),
    "softmax: data doubled": ("softmax", [("X.T @ d\n", "2 * X.T @ d\n")]),
    "softmax: both by N": ("softmax", [("    d /= N\n", ""), ("    return loss, dW", "    return loss, dW / N")]),
    "softmax: data minus, reg half": ("softmax", [("    dW = X.T @ d\n", "    dW = -X.T @ d\n"), ("2 * reg * W", "reg * W")]),
    "softmax: all minus": ("softmax", [("    return loss, dW", "    return loss, -dW")]),
    "softmax: labels": ("softmax", [("d[np.arange(N), y] -= 1", "d[np.arange(N), y - 1] -= 1")]),
    "softmax: not subtracted": ("softmax", [("    d[np.arange(N), y] -= 1\n", "")]),
    "svm: half": ("svm", [("2 * reg * W", "reg * W")]),
    "svm: twice": ("svm", [("2 * reg * W", "4 * reg * W")]),
    "svm: data no 1/N": ("svm", [("mask) / N", "mask)")]),
    "svm: right class": ("svm", [("    mask[np.arange(N), y] = -mask.sum(axis=1)\n", "")]),
    "svm: >=": ("svm", [("margins > 0", "margins >= 0")]),
    "svm: no reg in loss": ("svm", [("    loss = loss + reg * np.sum(W * W)\n", "")]),
    "net: half": ("net", [("2 * reg * W1", "reg * W1"), ("2 * reg * W2", "reg * W2")]),
    "net: W2 missing": ("net", [("    dW2 = dW2 + 2 * reg * W2\n", "")]),
    "net: no mask": ("net", [("    dh[z <= 0] = 0\n", "")]),
    "net: W1 for W2": ("net", [("dW2 + 2 * reg * W2", "dW2 + 2 * reg * W2 * 0.5")]),
    "net: no 1/N": ("net", [("    dscores /= N\n", "")]),
    "tanh net: no slope": ("tanh net", [("dh * (1 - h**2)", "dh")]),
    "tanh net: half": ("tanh net", [("2 * reg * W1", "reg * W1")]),
    "logistic: minus": ("logistic", [("(p - t)", "(t - p)")]),
    "logistic: missing": ("logistic", [("    dw = dw + 2 * reg * w\n", "")]),
    "logistic: half": ("logistic", [("2 * reg * w", "reg * w")]),
    "linear: half": ("linear", [("2 * reg * W", "reg * W")]),
    "linear: missing": ("linear", [("    dW = dW + 2 * reg * W\n", "")]),
    "linear: minus": ("linear", [("dW = 2 * X.T", "dW = -2 * X.T")]),
    "linear: no 2": ("linear", [("dW = 2 * X.T", "dW = X.T")]),
    "linear: reg over size": ("linear", [("2 * reg * W", "2 * reg * W / r.size")]),
    "neuron: slope": ("neuron", [("dh * h * (1 - h)", "dh")]),
    "neuron: half": ("neuron", [("2 * reg * w", "reg * w")]),
}
