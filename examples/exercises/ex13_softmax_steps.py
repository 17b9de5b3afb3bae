"""Exercise 13, middle: softmax and cross-entropy, one value at a time.

Lectures 000 and 002, exp → normalize → −log, as three columns of a table; and then backward. X: (N, D),
W: (D, C), b: (C,), y: (N,) the right classes.

    S = X W + b,   E = e^S,   Z = row sums of E,   p = E / Z,   logp = log p,   loss = −1/N Σ logp_y

dS stands for ∂loss/∂S, and so on. Each is the gradient that arrives, times a local derivative. E reaches
the loss on two paths: through p and through Z.

Run it after each line: it checks what is there, and says what is next.

    python examples/exercises/ex13_softmax_steps.py
"""

import sys

import numpy as np

import tinygrad_lo as lo
from tinygrad_lo.checking.exercise import grade, so_far

STEPS = ("logp", "p", "Z", "E", "S", "W", "b")


def backward(X, y, W, b, S, E, Z, p):
    """The values of the forward pass, as arrays. Returns the gradient of each value in STEPS."""
    dlogp = None  # (N, C): 0, except where the loss picks one of each row, [np.arange(len(y)), y]
    dp = None  # (N, C): log has the derivative 1/p
    dZ = None  # (N, 1): a column that was stretched over C columns: sum over them
    dE = None  # (N, C): two paths
    dS = None  # (N, C): exp is its own derivative
    dW = None  # (D, C)
    db = None  # (C,): b was added to each row
    return {"logp": dlogp, "p": dp, "Z": dZ, "E": dE, "S": dS, "W": dW, "b": db}


def forward():
    """The forward pass in tensors, and what backward is given of it."""
    rng = np.random.default_rng(30)
    X, y = lo.Tensor(rng.normal(size=(5, 3)), name="X"), rng.integers(0, 4, 5)
    W, b = lo.Parameter(rng.normal(size=(3, 4)), name="W"), lo.Parameter(rng.normal(size=4), name="b")
    S = lo.named(X @ W + b, "S")
    E = lo.named(np.exp(S), "E")
    Z = lo.named(E.sum(axis=1, keepdims=True), "Z")
    p = lo.named(E / Z, "p")
    logp = lo.named(np.log(p), "logp")
    loss = -logp[np.arange(5), y].mean()
    return loss, (X, lo.Tensor(y), W, b, S, E, Z, p)


HINTS = {
    "gradient by logp ": "The loss is −1/N times one element of each row: −1/N there, and 0 elsewhere.",
    "gradient by p ": "logp = log p: divide by p, element by element.",
    "gradient by Z ": "p = E/Z has the derivative −E/Z² by Z; one Z serves a row: sum, keepdims=True.",
    "gradient by E ": "E goes into p, with 1/Z, and into Z, a sum, which hands on dZ. Add both.",
    "gradient by S ": "e^S is its own derivative: dE times E.",
    "gradient by W ": "S = X W: the other factor turned, Xᵀ dS.",
    "gradient by b ": "b was added to every row, so sum dS over the rows; a sum, not a mean.",
}

YOURS = ("backward",)


def checks():
    """What must hold: one gradient after the other, from the loss backward."""
    loss, values = forward()
    return (lambda: so_far(loss, STEPS, backward(*(v.numpy() for v in values))),)


if __name__ == "__main__":
    sys.exit(grade(__doc__, *checks(), hints=HINTS))
