"""Exercise 17, hard: three steps of a recurrent network.

Lecture 000: where paths meet, gradients add. Here the same W, U and b are used in each of three steps, on
the inputs x1, x2, x3, all (N, D); h0, h1, h2, h3 are (N, H), and T (N, H) is the target.

    z_t = x_t W + h_(t−1) U + b,   h_t = tanh z_t,   t = 1, 2, 3;   loss = ½ Σ (h3 − T)² / N

Backward through time: dh3, dz3, dh2, ... Then each of the three steps brings one term to dW, dU and db.
The derivative of tanh is 1 − h².

Run it after each line: it checks what is there, and says what is next.

    python examples/exercises/ex17_recurrent.py
"""

import sys

import numpy as np

import tinygrad_lo as lo
from tinygrad_lo.checking.exercise import grade, so_far

STEPS = ("h3", "z3", "h2", "z2", "h1", "z1", "W", "U", "b")


def backward(x1, x2, x3, W, U, b, h0, h1, h2, h3, T):
    """The values of the forward pass, as arrays. Returns the gradient of each value in STEPS."""
    dh3 = None  # (N, H)
    dz3 = None  # (N, H)
    dh2 = None  # (N, H): through z3
    dz2 = None
    dh1 = None
    dz1 = None
    dW = None  # (D, H): three terms
    dU = None  # (H, H): three terms; which h was multiplied by U in step 3?
    db = None  # (H,)
    return {
        "h3": dh3, "z3": dz3, "h2": dh2, "z2": dz2, "h1": dh1, "z1": dz1, "W": dW, "U": dU, "b": db
    }  # fmt: skip


def forward():
    """The forward pass in tensors, and what backward is given of it."""
    rng = np.random.default_rng(35)
    shapes = {"W": (2, 3), "U": (3, 3), "b": 3}
    W, U, b = (lo.Parameter(rng.normal(0.0, 0.7, shape), name=name) for name, shape in shapes.items())
    xs = [lo.Tensor(rng.normal(size=(4, 2)), name=name) for name in ("x1", "x2", "x3")]
    states, T = [lo.Tensor(rng.normal(size=(4, 3)), name="h0")], rng.normal(size=(4, 3))
    for t, x in enumerate(xs, 1):
        z = lo.named(x @ W + states[-1] @ U + b, f"z{t}")
        states.append(lo.named(lo.nn.tanh(z), f"h{t}"))
    loss = lo.losses.mse(states[-1], T, half=True, reduction="batchmean")
    return loss, (*xs, W, U, b, *states, lo.Tensor(T))


HINTS = {
    "gradient by h3 ": "½ (h3 − T)² has the derivative h3 − T; and the sum is divided by N.",
    "gradient by z3 ": "tanh has the derivative 1 − h², here with h3.",
    "gradient by h2 ": "z3 = … + h2 U: the other factor turned, dz3 Uᵀ.",
    "gradient by z2 ": "tanh has the derivative 1 − h², here with h2.",
    "gradient by h1 ": "z2 = … + h1 U: the other factor turned, dz2 Uᵀ.",
    "gradient by z1 ": "tanh has the derivative 1 − h², here with h1.",
    "gradient by W ": "W was used in three steps: x1ᵀ dz1 + x2ᵀ dz2 + x3ᵀ dz3.",
    "gradient by U ": "In step t U met h_(t−1): h0ᵀ dz1 + h1ᵀ dz2 + h2ᵀ dz3.",
    "gradient by b ": "b was added to each row of each step: sum over the rows, and over the steps.",
}

YOURS = ("backward",)


def checks():
    """What must hold: one gradient after the other, from the loss backward."""
    loss, values = forward()
    return (lambda: so_far(loss, STEPS, backward(*(v.numpy() for v in values))),)


if __name__ == "__main__":
    sys.exit(grade(__doc__, *checks(), hints=HINTS))
