"""Exercise 9, middle: the triplet loss, with three gradients.

Lectures 001 and 003: an anchor a, a positive p of the same kind and a negative n of another.

    L_i = max(0, ‖a − p‖² − ‖a − n‖² + 1),   averaged over the N triplets

Where a triplet is satisfied already, it has no loss and no gradient. The anchor stands in both
distances: two paths.

    python examples/exercises/ex09_triplet.py
"""

import sys

import numpy as np

import tinygrad_lo as lo
from tinygrad_lo.checking.exercise import grade


def triplet(anchor: np.ndarray, positive: np.ndarray, negative: np.ndarray):
    """All (N, d). The loss, and the list of the gradients by anchor, positive and negative."""
    raise NotImplementedError("return loss, [d_anchor, d_positive, d_negative]")


HINTS = {
    "that does not clamp": "Triplets that are satisfied have the gradient 0: multiply by (margin > 0), a row "
    "each.",
    "sign": "The positive pulls: −2 (a − p). The negative pushes: +2 (a − n).",
    "factor 0.5": "‖a − p‖² has the derivative 2 (a − p).",
    "mean or sum": "The loss is a mean over N triplets; the gradients are divided by N, too.",
    "Euclidean": "The lecture of this exercise takes squared distances: no root.",
    "clamp": "max(0, ·): a satisfied triplet costs nothing, not less than nothing.",
    "exchanged": "It is the positive that should be near.",
    "margin": "The margin is 1, and it is added.",
    "gradient by anchor": "The anchor stands in both distances: 2 (a − p) from the first, −2 (a − n) from "
    "the second. Together 2 (n − p).",
}

YOURS = ("triplet",)


def checks():
    """What must hold, in order."""
    return (lambda: lo.check_loss(triplet, "triplet"),)


if __name__ == "__main__":
    sys.exit(grade(__doc__, *checks(), hints=HINTS))
