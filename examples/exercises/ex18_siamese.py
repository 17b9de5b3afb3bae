"""Exercise 18, hard: a siamese network with the contrastive loss.

Lecture 003: two inputs go through the same W; similar pairs (y = 0) are pulled together, dissimilar ones
(y = 1) are pushed apart, up to a margin m = 1. A, B: (N, D), W: (D, K), y: (N, 1).

    e1 = A W,   e2 = B W,   r = e1 − e2,   D = ‖r‖ of each row, (N, 1),   g = max(0, m − D)
    loss = 1/N Σ (1 − y) ½ D² + y ½ g²

D reaches the loss on two paths, W through both embeddings. The derivative of the norm ‖r‖ by r is r / ‖r‖.

Run it after each line: it checks what is there, and says what is next.

    python examples/exercises/ex18_siamese.py
"""

import sys

import numpy as np

import tinygrad_lo as lo
from tinygrad_lo.checking.exercise import grade, so_far

MARGIN = 1.0
STEPS = ("g", "D", "r", "e1", "e2", "W")


def backward(A, B, y, W, r, D, g):
    """The values of the forward pass, as arrays. Returns the gradient of each value in STEPS."""
    dg = None  # (N, 1)
    dD = None  # (N, 1): two paths; max(0, ·) lets through where g > 0
    dr = None  # (N, K)
    de1 = None  # (N, K)
    de2 = None  # (N, K)
    dW = None  # (D, K): two paths
    return {"g": dg, "D": dD, "r": dr, "e1": de1, "e2": de2, "W": dW}


def forward():
    """The forward pass in tensors, and what backward is given of it."""
    rng = np.random.default_rng(36)
    a, y = rng.normal(size=(6, 4)), np.array([[0.0], [1.0], [0.0], [1.0], [1.0], [0.0]])
    A, B = lo.Tensor(a, name="A"), lo.Tensor(a + 0.25 * rng.normal(size=a.shape), name="B")
    W = lo.Parameter(rng.normal(size=(4, 3)), name="W")
    r = lo.named(lo.named(A @ W, "e1") - lo.named(B @ W, "e2"), "r")
    D = lo.named(r.norm(axis=1, keepdims=True), "D")
    g = lo.named(lo.nn.relu(MARGIN - D), "g")
    loss = ((1 - y) * D**2 / 2 + y * g**2 / 2).mean()
    return loss, (A, B, lo.Tensor(y), W, r, D, g)


HINTS = {
    "gradient by g ": "½ g² has the derivative g; with y in front, and 1/N.",
    "gradient by D ": "Two paths: (1 − y) D/N from the square, and −dg from g = max(0, m − D), where g > 0.",
    "gradient by r ": "‖r‖ has the derivative r/‖r‖: dD · r / D.",
    "gradient by e1 ": "r = e1 − e2: e1 gets dr as it is.",
    "gradient by e2 ": "r = e1 − e2: e2 gets dr with a minus.",
    "gradient by W ": "Both embeddings have used W: Aᵀ de1 + Bᵀ de2.",
}

YOURS = ("backward",)


def checks():
    """What must hold: one gradient after the other, from the loss backward."""
    loss, values = forward()
    return (lambda: so_far(loss, STEPS, backward(*(v.numpy() for v in values))),)


if __name__ == "__main__":
    sys.exit(grade(__doc__, *checks(), hints=HINTS))
