"""Graphs of single numbers that several tests draw."""

import numpy as np

import tinygrad_lo as lo


def added(terms):
    first, *others = terms
    for term in others:
        first = first + term
    return first


def network(hidden=16, inputs=2):
    """2 -> 16 -> 16 -> 1 and a hinge loss, one scope a layer: 984 values."""
    rng = np.random.default_rng(0)
    h = [lo.Tensor(value, name=f"x{i}") for i, value in enumerate(rng.normal(size=inputs))]
    for layer, width in enumerate((hidden, hidden, 1), 1):
        weights = [[lo.Parameter(w) for w in rng.normal(size=len(h))] for _ in range(width)]
        biases = [lo.Parameter(0.0) for _ in range(width)]
        with lo.scope(f"layer {layer}"):
            h = [
                added(x * w for x, w in zip(h, ws, strict=True)) + b
                for ws, b in zip(weights, biases, strict=True)
            ]
            h = [lo.nn.relu(z) for z in h] if width > 1 else h
    with lo.scope("hinge loss"):
        margin = lo.Tensor(1.0) - h[0] * lo.Tensor(-1.0)
    return lo.nn.relu(margin).named("loss")


def svm_of_one_image():
    """The first image of lecture 002 with its regularizer: three scores, loss 2.9 + 0.9."""
    W = [
        [lo.Parameter(float(w), name=f"w{i}{j}") for j, w in enumerate(row, 1)]
        for i, row in enumerate([[1, 2, 0], [0, 1, -1], [1, 0, 1]], 1)
    ]
    x = [lo.Tensor(value, name=f"x{i}") for i, value in enumerate([0.2, 4.7, 3.0], 1)]
    with lo.scope("scores"):
        s = [
            added(a * w for a, w in zip(x, column, strict=True)).named(f"s{j}")
            for j, column in enumerate(zip(*W, strict=True), 1)
        ]
    with lo.scope("data loss (hinge)"):
        data_loss = added(lo.nn.relu(other - s[0] + 1) for other in s[1:]).named("data_loss")
    strength = lo.Tensor(0.1, name="λ")
    with lo.scope("L2 regularization"):
        reg = (added(w**2 for row in W for w in row) * strength).named("reg")
    return (data_loss + reg).named("loss")
