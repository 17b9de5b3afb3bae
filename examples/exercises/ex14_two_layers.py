"""Exercise 14, middle: a network with one hidden layer, and weight decay that leaves its biases out.

Lectures 000 and 001. X: (N, D), W1: (D, H), b1: (H,), W2: (H, C), b2: (C,), y: (N,) the right classes.

    A = X W1 + b1,   H = max(0, A),   S = H W2 + b2
    loss = 1/N Σ −log softmax(S)_y + λ/2 (Σ W1² + Σ W2²),   λ = 0.1

By the scores the gradient is (p − 1 at the right class) / N, p = softmax(S): that is exercise 5, and given.
W1 and W2 reach the loss on two paths, of which one is the penalty.

Run it after each line: it checks what is there, and says what is next.

    python examples/exercises/ex14_two_layers.py
"""

import sys

import numpy as np

import tinygrad_lo as lo
from tinygrad_lo.checking.exercise import grade, so_far

STRENGTH = 0.1
STEPS = ("W2", "b2", "H", "A", "W1", "b1")


def backward(X, y, W1, b1, W2, b2, A, H, S, dS):
    """The values of the forward pass, and dS, as arrays. Returns the gradient of each value in STEPS."""
    dW2 = None  # (H, C): a matrix product turns the other factor: Hᵀ dS; and the penalty
    db2 = None  # (C,)
    dH = None  # (N, H)
    dA = None  # (N, H): relu lets through where A > 0
    dW1 = None  # (D, H)
    db1 = None  # (H,)
    return {"W2": dW2, "b2": db2, "H": dH, "A": dA, "W1": dW1, "b1": db1}


def forward():
    """The forward pass in tensors, and what backward is given of it."""
    rng = np.random.default_rng(31)
    X, y = lo.Tensor(rng.normal(size=(6, 4)), name="X"), rng.integers(0, 3, 6)
    shapes = {"W1": (4, 5), "b1": 5, "W2": (5, 3), "b2": 3}
    W1, b1, W2, b2 = (lo.Parameter(rng.normal(size=shape), name=name) for name, shape in shapes.items())
    A = lo.named(X @ W1 + b1, "A")
    H = lo.named(lo.nn.relu(A), "H")
    S = lo.named(H @ W2 + b2, "S")
    loss = lo.losses.cross_entropy(S, y) + STRENGTH * lo.losses.l2([W1, W2], half=True)
    dS = lo.Tensor(lo.grad(loss, S))
    return loss, (X, lo.Tensor(y), W1, b1, W2, b2, A, H, S, dS)


HINTS = {
    "gradient by W2 ": "Two paths: Hᵀ dS from the scores, and λ W2 from the penalty: ½ cancels 2.",
    "gradient by b2 ": "b2 was added to every row, so sum dS over them. No penalty: biases are left out.",
    "gradient by H ": "S = H W2: the other factor turned, dS W2ᵀ.",
    "gradient by A ": "relu hands dH on where A > 0, and nothing elsewhere: a mask of A, not of dH.",
    "gradient by W1 ": "Two paths: Xᵀ dA from the network, and λ W1 from the penalty.",
    "gradient by b1 ": "b1 was added to every row, so sum dA over the rows. No penalty.",
}

YOURS = ("backward",)


def checks():
    """What must hold: one gradient after the other, from the loss backward."""
    loss, values = forward()
    return (lambda: so_far(loss, STEPS, backward(*(v.numpy() for v in values))),)


if __name__ == "__main__":
    sys.exit(grade(__doc__, *checks(), hints=HINTS))
