"""Exercise 24, hard: find the bug in a printed program, the triplet loss of an embedding.

Lectures 001 and 003: anchor, positive and negative go through the same W, e = x W, and

    L = 1/N Σ max(0, ‖e_a − e_p‖² − ‖e_a − e_n‖² + 1)

Below stands what `lo.source(loss)` prints for it, but for one line of the backward pass that somebody has
changed. There is one parameter, and no cause is known to the check: read. Which values are used more than
once in the forward pass? Each of them must get as many terms in the backward pass.

    python examples/exercises/ex24_bug_in_triplet.py
"""

import sys

import numpy as np

import tinygrad_lo as lo
from tinygrad_lo.checking.exercise import grade


def loss_and_gradients(anchor, positive, negative, W):
    """The loss, and its gradient by each parameter."""
    e_a = anchor @ W  # (5, 3)
    e_p = positive @ W  # (5, 3)
    e_n = negative @ W  # (5, 3)

    # triplet
    v1 = e_a - e_p  # (5, 3)
    d_p = np.sum(np.square(v1), axis=-1)  # (5,)
    v2 = e_a - e_n  # (5, 3)
    d_n = np.sum(np.square(v2), axis=-1)  # (5,)
    L_i = np.maximum(d_p - d_n + 1.0, 0)  # (5,)
    loss = np.sum(L_i) / 5

    # backward: triplet
    dd_p = 0.2 * (L_i > 0)  # (5,)
    dd_n = -dd_p  # (5,)
    v3 = np.reshape(dd_n, (5, 1)) * (2.0 * v2)  # (5, 3)
    de_n = -v3  # (5, 3)
    v4 = np.reshape(dd_p, (5, 1)) * (2.0 * v1)  # (5, 3)
    de_a = v4  # (5, 3)
    de_p = -v4  # (5, 3)

    # backward
    dW = negative.T @ de_n + positive.T @ de_p + anchor.T @ de_a  # (4, 3)
    return loss, {"W": dW}


HINTS = {
    "sign": "The negative pushes where the positive pulls, and e_p stands with a minus in its difference.",
    "mean or sum": "1/N was right as it was printed.",
    "fits none": "e_a stands in both differences, v1 and v2. What comes back through which of them?",
    "some elements": "e_a stands in both differences, v1 and v2. What comes back through which of them?",
    "factor": "Each of the three embeddings has one term in dW, each square a 2.",
}

YOURS = ("loss_and_gradients",)


def forward(p):
    """The loss whose program this is; p: a dict of W (D, K)."""
    rng = np.random.default_rng(24)
    inputs = (lo.Tensor(rng.normal(size=(5, 4)), name=name) for name in ("anchor", "positive", "negative"))
    return lo.losses.triplet(*(lo.named(x @ p["W"], f"e_{x.name[0]}") for x in inputs))


def example():
    """Where the gradient is checked."""
    return {"W": np.random.default_rng(25).normal(size=(4, 3))}


def printed():
    """The program as it is printed, with what it is called with."""
    return lo.source(forward({name: lo.Parameter(x, name=name) for name, x in example().items()}))


def checks():
    """What must hold, in order."""
    data = {name: x for name, x in printed().arguments.items() if name not in example()}
    return (lambda: lo.check_gradient(lambda p: loss_and_gradients(**data, **p), example(), against=forward),)


if __name__ == "__main__":
    sys.exit(grade(__doc__, *checks(), hints=HINTS))
