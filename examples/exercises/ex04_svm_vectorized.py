"""Exercise 4, middle: the SVM loss without loops, and with its regularizer.

Lecture 002, L_i_vectorized: scores = X.dot(W), and everything for all samples at once.

    L = 1/N Σ_i Σ_{j≠y} max(0, s_j − s_y + 1) + λ Σ W²,   λ = 0.1

The gradient by the scores is a table (N, C): 1/N where a margin is violated, and in the column of the
right class minus the number of violations of that row, over N. The gradient by W is Xᵀ times that
table, plus the gradient of the regularizer.

    python examples/exercises/ex04_svm_vectorized.py
"""

import sys

import numpy as np

import tinygrad_lo as lo
from tinygrad_lo.checking.exercise import grade, to_do

STRENGTH = 0.1


def svm_loss(W, X, y):
    """The loss, and its gradient by W, (D, C)."""
    rows = np.arange(len(X))
    scores = X @ W
    margins = np.maximum(0.0, scores - scores[rows, y][:, None] + 1.0)
    margins[rows, y] = 0.0
    loss = margins.sum() / len(X) + STRENGTH * np.sum(W**2)
    gradient = to_do("first the table d loss / d scores, from margins; then X.T @ table + ...; no loops")
    return loss, gradient


def reference(W):
    """The loss of the library, in tensors."""
    _, X, y = example()
    return lo.losses.multiclass_hinge(X @ W, y) + STRENGTH * lo.losses.l2(W)


def example():
    """Arguments: W, X, y. The gradient is by the first."""
    rng = np.random.default_rng(1)
    return rng.normal(size=(5, 4)), rng.normal(size=(8, 5)), rng.integers(0, 4, 8)


HINTS = {
    "right class": "The table of the scores: 1/N at violations, −count/N in the column of the right class.",
    "regularizer": "λ Σ W² has the gradient 2 λ W: is it there, and is the 2?",
    "mean or sum": "The table of the scores holds 1/N at violations; the regularizer is not divided by N.",
    "sign": "In the column of the right class stands minus the number of violations.",
    "fits none": "The table of the scores: 1/N at violations, −count/N in the column of the right class. "
    "The regularizer is added after that, and not divided by N.",
}

YOURS = ("svm_loss",)


def checks():
    """What must hold, in order."""
    W, X, y = example()
    return (lambda: lo.check_gradient(lambda w: svm_loss(w, X, y), W, against=reference),)


if __name__ == "__main__":
    sys.exit(grade(__doc__, *checks(), hints=HINTS))
