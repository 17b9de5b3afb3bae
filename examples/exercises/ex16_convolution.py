"""Exercise 16, hard: a convolution, backward.

Lecture 003: the vanilla CNN. One image x (6, 6), one filter w (3, 3) that slides over it, a bias b, relu,
and the squared error against a target T (4, 4):

    A_ij = Σ_kl w_kl x_(i+k)(j+l) + b,   H = max(0, A),   loss = mean of (H − T)²

Every A_ij has used the whole filter and one window of the image: window x[i:i+3, j:j+3]. So walk over the
16 places (i, j) once more. At each, dA_ij times the window is added to dw, and dA_ij times the filter is
added to that window of dx.

Run it after each line: it checks what is there, and says what is next.

    python examples/exercises/ex16_convolution.py
"""

import sys

import numpy as np

import tinygrad_lo as lo
from tinygrad_lo.checking.exercise import grade, so_far

STEPS = ("H", "A", "b", "w", "x")


def backward(x, w, b, A, H, T):
    """The values of the forward pass, as arrays. Returns the gradient of each value in STEPS."""
    dH = None  # (4, 4): the loss is a mean over 16
    dA = None  # (4, 4)
    db = None  # (): one number, which was added everywhere
    dw = None  # (3, 3): start from np.zeros(w.shape), and add
    dx = None  # (6, 6): the windows overlap, so add
    return {"H": dH, "A": dA, "b": db, "w": dw, "x": dx}


def forward():
    """The forward pass in tensors, and what backward is given of it."""
    rng = np.random.default_rng(34)
    x, w = (lo.Parameter(rng.normal(size=(n, n)), name=name) for n, name in ((6, "x"), (3, "w")))
    b, T = lo.Parameter(0.3, name="b"), rng.normal(size=(4, 4))
    A = lo.named(lo.nn.conv2d(x[None, None], w[None, None])[0, 0] + b, "A")
    H = lo.named(lo.nn.relu(A), "H")
    return lo.losses.mse(H, T), (x, w, b, A, H, lo.Tensor(T))


HINTS = {
    "gradient by H ": "The mean of (H − T)² over 16 elements has the derivative 2 (H − T)/16.",
    "gradient by A ": "relu hands dH on where A > 0.",
    "gradient by b ": "b was added at all 16 places, so what arrives at them is added: a sum.",
    "gradient by w ": "w was used at all 16 places: start from zeros, and dw += dA[i, j] * window.",
    "gradient by x ": "Windows overlap, so add: dx[i:i+3, j:j+3] += dA[i, j] * w. The filter is not turned.",
}

YOURS = ("backward",)


def checks():
    """What must hold: one gradient after the other, from the loss backward."""
    loss, values = forward()
    return (lambda: so_far(loss, STEPS, backward(*(v.numpy() for v in values))),)


if __name__ == "__main__":
    sys.exit(grade(__doc__, *checks(), hints=HINTS))
