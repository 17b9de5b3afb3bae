# ruff: noqa: E501
"""Further mistakes, of other shapes than those the diagnosis was made with: right causes, or none."""

import functools
import itertools

import numpy as np
import pytest

import tinygrad_lo as lo

rng = np.random.default_rng(11)
N, D, H, C = 8, 5, 7, 3
X = rng.normal(size=(N, D))
Y = np.array([0, 1, 2, 1, 0, 2, 2, 1])
ONE_HOT = np.eye(C)[Y]
T = rng.normal(size=(N, C))
WEIGHTS = rng.uniform(0.5, 2.0, N)
W = rng.normal(size=(D, C))
NET = {"W1": rng.normal(size=(D, H)), "b1": rng.normal(size=H), "W2": rng.normal(size=(H, C)),
       "b2": rng.normal(size=C)}  # fmt: skip


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


# ----------------------------------------------- gradient = a·(data part) + b·(regularizer's part)

PENALTIES = {
    "half": (lambda w: 0.025 * (w * w).sum(), lambda w: 0.05 * w),
    "L1": (lambda w: 0.05 * np.abs(w).sum(), lambda w: 0.05 * np.sign(w)),
    "elastic": (
        lambda w: 0.05 * (w * w).sum() + 0.03 * np.abs(w).sum(),
        lambda w: 0.1 * w + 0.03 * np.sign(w),
    ),
}
FACTORS = {  # (a, b, how much of the target is subtracted, labels moved by): the cause
    (1.0, 0.0, 1.0, 0): "regularizer", (1.0, 2.0, 1.0, 0): "regularizer", (1.0, 1 / N, 1.0, 0): "regularizer",
    (-1.0, 1.0, 1.0, 0): "sign", (N, 1.0, 1.0, 0): "mean or sum", (2.0, 1.0, 1.0, 0): "factor 2",
    (N, 1 / N, 1.0, 0): "mean or sum", (-1.0, -1.0, 1.0, 0): "sign", (0.5, 2.0, 1.0, 0): "factor 0.5",
    (1.0, 1.0, 0.0, 0): "target", (1.0, 1.0, 2.0, 0): "target", (1.0, 1.0, 1.0, 1): "labels",
}  # fmt: skip


def linear(w, X, y, penalty, a, b, share, step):
    value, slope = PENALTIES[penalty]
    p = softmax(X @ w)
    g = p.copy()
    g[np.arange(N), (y + step) % C] -= share
    return -np.log(p[np.arange(N), y]).mean() + value(w), a * (X.T @ g) / N + b * slope(w)


@pytest.mark.parametrize(("penalty", "factors"), [*itertools.product(PENALTIES, FACTORS)])
def test_two_factors_are_solved_for(penalty, factors):
    a, b, share, step = factors
    fn = functools.partial(linear, X=X, y=Y, penalty=penalty, a=a, b=b, share=share, step=step)
    report = lo.check_gradient(fn, W)
    assert (bool(report), report.cause) == (False, FACTORS[factors]), str(report)
    if a != 1.0 and a != b:
        assert "its data part" in report.said[0]
        assert ("is right" in report.said[0]) == (b == 1.0)


# ------------------------------------------------------------------------------- other functions


def net(p, bug):
    z = X.dot(p["W1"]) + p["b1"]
    h = np.maximum(z, 0)
    r = h.dot(p["W2"]) + p["b2"] - T
    loss = 0.5 * np.sum(r**2) / N + 0.01 * (np.sum(p["W1"] ** 2) + np.sum(p["W2"] ** 2))
    ds = {"no 1/N": r, "doubled": 2 * r / N, "minus": -r / N}.get(bug, r / N)
    dh = ds.dot(p["W2"].T)
    dh = {"no mask": dh, "mask of W1": dh * (p["W1"].sum(0) > 0)}.get(bug, dh * (z > 0))
    g = {
        "W1": X.T.dot(dh) + 0.02 * p["W1"],
        "b1": dh.sum(0),
        "W2": h.T.dot(ds) + 0.02 * p["W2"],
        "b2": ds.sum(0),
    }
    changes = {
        "W2 twice": {"W2": h.T.dot(ds) + 0.04 * p["W2"]}, "W1 missing": {"W1": X.T.dot(dh)},
        "b1 averaged": {"b1": dh.mean(0)}, "first row for b1": {"b1": dh[0]}, "b1 too": {"b1": dh.sum(0) + 0.02 * p["b1"]},
        "over N": {"W1": X.T.dot(dh) + 0.02 * p["W1"] / N}, "rows turned": {"W2": g["W2"][::-1].copy()},
    }  # fmt: skip
    return loss, {**g, **changes.get(bug, {})}


def weighted(w, bug):
    p = softmax(X @ w)
    loss = -(WEIGHTS * np.log(p[np.arange(N), Y])).sum() / WEIGHTS.sum() + 0.3 * np.sum(w**2)
    g = (p - (np.roll(ONE_HOT, 1, 1) if bug == "labels" else ONE_HOT)) * WEIGHTS[:, None] / WEIGHTS.sum()
    if bug == "no weights":
        g = (p - ONE_HOT) / WEIGHTS.sum()
    return loss, X.T @ g + 0.6 * w * (0.5 if bug == "half" else 1.0)


def one_hot(w, bug):
    p = softmax(X @ w)
    g = {"product": p * ONE_HOT, "minus": ONE_HOT - p, "no 1/N": N * (p - ONE_HOT), "p alone": p,
         "labels": p - np.roll(ONE_HOT, 1, 1), "slope": (p - ONE_HOT) * p * (1 - p)}[bug]  # fmt: skip
    return -(ONE_HOT * np.log(p)).sum() / N, X.T @ g / N


def turned(w, bug):
    p = softmax((w @ X.T).T)
    g = {"no 1/N": N * (p - ONE_HOT), "p alone": p}[bug]
    return -np.log(p[np.arange(N), Y]).mean(), g.T @ X / N


def squared(w, bug):
    s = X @ w
    m = np.maximum(0, s - s[np.arange(N), Y][:, None] + 1) * (1 - ONE_HOT)
    g = {"no 2": m, "as hinge": 2.0 * (m > 0)}.get(bug, 2 * m)
    g = g - ONE_HOT * g.sum(axis=1, keepdims=True) * (bug != "right class")
    return (m**2).sum() / N, X.T @ g / N


def ridge(q, bug):
    r = X @ q["w"] + q["b"] - T[:, 0]
    half, mean = (0.1, 1.0) if bug == "half" else (0.2, N)
    return (r**2).mean() + 0.1 * (q["w"] ** 2).sum(), {
        "w": 2 * X.T @ r / N + half * q["w"],
        "b": 2 * r.mean() * mean,
    }


def elementwise(value, slope):
    return lambda z, bug: (value(z), slope(z))


def neuron(z, bug):
    p = 1 / (1 + np.exp(-z))
    g = {"no slope": p - T, "slope of tanh": (p - T) * (1 - np.tanh(z) ** 2), "no p": -T * p * (1 - p),
         "p + y": (p + T) * p * (1 - p)}[bug]  # fmt: skip
    return ((p - T) ** 2).sum(), 2 * g


def wide(w, bug):
    r = np.tanh(X @ w) - T[:, [0]]
    factor, penalty = {"minus": (-1.0, 1.0), "penalty": (1.0, 0.5), "both": (N, 3.0)}[bug]
    return (r**2).mean() + 0.1 * (w * w).sum(), 2 * factor * X.T @ (
        r * (1 - np.tanh(X @ w) ** 2)
    ) / r.size + (0.2 * penalty * w)


Z = rng.normal(size=7)
A = rng.normal(size=(7, 7))
CASES = [
    (net, NET, {"no 1/N": "mean or sum", "doubled": "factor 2", "minus": "sign", "no mask": "some elements",
                "mask of W1": "some elements", "W2 twice": "regularizer", "W1 missing": "regularizer",
                "b1 averaged": "mean or sum", "first row for b1": None, "b1 too": "regularizer",
                "over N": "regularizer", "rows turned": "transpose"}),
    (weighted, W, {"labels": "labels", "no weights": None, "half": "regularizer"}),
    (one_hot, W, {"product": None, "minus": "sign", "no 1/N": "mean or sum", "p alone": "target",
                  "labels": "labels", "slope": None}),
    (turned, W.T, {"no 1/N": "mean or sum", "p alone": "target"}),
    (squared, W, {"no 2": "factor 0.5", "as hinge": None, "right class": "some elements"}),
    (neuron, T + 0.3, {"no slope": "slope", "slope of tanh": "slope", "no p": "target", "p + y": "target"}),
    (wide, np.sin(np.arange(D * 90.0)).reshape(D, 90), {"minus": "sign", "penalty": "regularizer", "both": "mean or sum"}),
    (ridge, {"w": W[:, 0], "b": 0.3}, {"half": "regularizer", "b": "mean or sum"}),
    (elementwise(lambda z: np.sqrt((z**2).sum()), lambda z: z), Z, {"norm": None}),
    (elementwise(lambda z: np.exp(-(z**2)).sum(), lambda z: np.exp(-(z**2))), Z, {"no inner slope": None}),
    (elementwise(lambda z: np.log(np.exp(z).sum()), np.exp), Z, {"no softmax": None}),
    (elementwise(np.prod, lambda z: np.prod(z) * z), Z, {"product": None}),
    (elementwise(lambda z: (np.cumsum(z) ** 2).sum(), lambda z: 2 * np.cumsum(z)), Z, {"cumsum": None}),
    (elementwise(lambda z: z @ A @ z, lambda z: 2 * A @ z), Z, {"quadratic form": None}),
    (elementwise(lambda z: np.abs(z).sum(), np.ones_like), Z, {"abs": "sign"}),
    (elementwise(lambda z: (np.maximum(z, 0) ** 2).sum(), lambda z: 2 * z), Z, {"relu": "some elements"}),
    (elementwise(lambda p: ((p - T) ** 2).mean(), lambda p: 2 * p / p.size), W[[0, 1, 2, 3, 4, 0, 1, 2]],
     {"no target": "target"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fn", "x", "bug", "cause"),
    [
        pytest.param(fn, x, bug, cause, id=f"{fn.__name__}: {bug}")
        for fn, x, bugs in CASES
        for bug, cause in bugs.items()
    ],
)
def test_a_cause_is_right_or_none(fn, x, bug, cause):
    report = lo.check_gradient(functools.partial(fn, bug=bug), x)
    assert (bool(report), report.cause) == (False, cause), str(report)
