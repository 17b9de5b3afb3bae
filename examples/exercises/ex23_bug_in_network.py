"""Exercise 23, middle: find the bug in a printed program, a network with one hidden layer.

Lectures 000 and 001: Z = X W1 + b1, H = max(0, Z), S = H W2 + b2, and softmax with cross-entropy. Below
stands what `lo.source(loss)` prints for it, but for one line of the backward pass that somebody has changed.

Some gradients are right and some are wrong. In a chain that tells much: what is right was computed before
the bug, what is wrong behind it. Mend the line.

    python examples/exercises/ex23_bug_in_network.py
"""

import sys

import numpy as np

import tinygrad_lo as lo
from tinygrad_lo.checking.exercise import grade


def loss_and_gradients(X, y1, W1, b1, W2, b2):
    """The loss, and its gradient by each parameter."""
    Z = X @ W1 + b1  # (6, 5)
    H = np.maximum(Z, 0)  # (6, 5)
    S = H @ W2 + b2  # (6, 3)

    # cross_entropy
    v1 = S - np.max(S, axis=-1, keepdims=True)  # (6, 3)
    log_p = v1 - np.log(np.sum(np.exp(v1), axis=-1, keepdims=True))  # (6, 3)
    log_p_y = np.take_along_axis(log_p, y1[..., None], -1)  # (6, 1)
    L_i = -log_p_y  # (6, 1)
    loss = np.sum(L_i) / 6

    # backward: cross_entropy
    dlog_p = np.where(y1[..., None] == np.arange(3), -0.16666666666666666, 0)  # (6, 3)
    dS = dlog_p - np.exp(log_p) * -0.16666666666666666  # (6, 3)

    # backward
    db2 = np.sum(dS, axis=0)  # (3,)
    dH = dS @ W2.T  # (6, 5)
    dW2 = H.T @ dS  # (5, 3)
    dZ = dH * (H >= 0)  # (6, 5)
    db1 = np.sum(dZ, axis=0)  # (5,)
    dW1 = X.T @ dZ  # (4, 5)
    return loss, {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}


HINTS = {
    "by W2": "W2 and b2 were right as they were printed: have you changed another line?",
    "relu": "The gradients by W2 and b2 are right, those by W1 and b1 are not: the bug lies between dH and "
    "dZ. Where relu is off, H is 0, and nothing may pass.",
    "fits none": "What W1 and b1 have in common is dZ; what W2 and b2 have in common is dS.",
    "is wrong": "What W1 and b1 have in common is dZ; what W2 and b2 have in common is dS.",
    "transpose": "The matrices were right as they were printed.",
}

YOURS = ("loss_and_gradients",)


def forward(p):
    """The loss whose program this is; p: a dict of W1 (D, H), b1 (H,), W2 (H, C), b2 (C,)."""
    rng = np.random.default_rng(22)
    X, y = lo.Tensor(rng.normal(size=(6, 4)), name="X"), rng.integers(0, 3, 6)
    H = lo.named(lo.nn.relu(lo.named(X @ p["W1"] + p["b1"], "Z")), "H")
    return lo.losses.cross_entropy(lo.named(H @ p["W2"] + p["b2"], "S"), y)


def example():
    """Where the gradients are checked."""
    rng = np.random.default_rng(23)
    shapes = {"W1": (4, 5), "b1": 5, "W2": (5, 3), "b2": 3}
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


def printed():
    """The program as it is printed, with what it is called with."""
    return lo.source(forward({name: lo.Parameter(x, name=name) for name, x in example().items()}))


def checks():
    """What must hold, in order."""
    data = {name: x for name, x in printed().arguments.items() if name not in example()}
    return (lambda: lo.check_gradient(lambda p: loss_and_gradients(**data, **p), example(), against=forward),)


if __name__ == "__main__":
    sys.exit(grade(__doc__, *checks(), hints=HINTS))
