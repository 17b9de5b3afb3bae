"""Exercise 3, middle: the SVM loss and its gradient, with loops.

Lectures 000 and 002: every wrong class should score lower than the right one, by a margin of 1.

    s = x W,   L_i = Σ_{j≠y} max(0, s_j − s_y + 1),   L = 1/N Σ L_i

X: (N, D), one sample a row; W: (D, C), one class a column; y: (N,), the right classes. Walk over the
samples and the classes. Each pair that violates its margin adds the sample x to column j of the
gradient, and takes it from column y.

    python examples/exercises/ex03_svm_loops.py
"""

import sys

import numpy as np

import tinygrad_lo as lo
from tinygrad_lo.checking.exercise import grade, to_do


def svm_loss(W, X, y):
    """The loss, and its gradient by W, (D, C)."""
    loss = 0.0
    gradient = np.zeros(W.shape)
    for x, label in zip(X, y, strict=True):
        scores = x @ W
        for j in range(W.shape[1]):
            margin = scores[j] - scores[label] + 1.0
            if j != label and margin > 0:
                loss += margin
                gradient += to_do("two columns of the gradient change; and after the loop something is left")
    return loss / len(X), gradient


def reference(W):
    """The loss of the library, in tensors."""
    _, X, y = example()
    return lo.losses.multiclass_hinge(X @ W, y)


def example():
    """Arguments: W, X, y. The gradient is by the first."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(4, 3)), rng.normal(size=(6, 4)), rng.integers(0, 3, 6)


HINTS = {
    "mean or sum": "The loss is divided by N at the end. Its gradient must be divided, too.",
    "sign": "Column j gets +x, column y gets −x: a higher right score lowers the loss.",
    "right class": "Both columns change with each violated margin, j and y. Is only one of the two columns "
    "changed, or the second with the wrong sign?",
    "max(0": "Only where the margin is above 0 the two columns change.",
    "fits none": "Is only one of the two columns changed? And only where the margin is above 0?",
    "your loss is": "The gradient fits your loss, but the loss is another: leave out j = y, which adds the "
    "margin once, and divide by N.",
}

YOURS = ("svm_loss",)


def checks():
    """What must hold, in order."""
    W, X, y = example()
    return (lambda: lo.check_gradient(lambda w: svm_loss(w, X, y), W, against=reference),)


if __name__ == "__main__":
    sys.exit(grade(__doc__, *checks(), hints=HINTS))
