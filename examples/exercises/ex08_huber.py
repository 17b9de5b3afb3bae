"""Exercise 8, easy: the Huber loss, a loss with two branches.

Lecture 003: squared error for small mistakes, absolute error for large ones. With r = prediction −
target and δ = 1, averaged over all elements:

    L_i = ½ r²          where |r| <= δ
    L_i = δ|r| − ½ δ²   beyond

np.where(condition, inside, outside) chooses element by element. Both branches meet at |r| = δ, in
value and in slope.

    python examples/exercises/ex08_huber.py
"""

import sys

import numpy as np

import tinygrad_lo as lo
from tinygrad_lo.checking.exercise import grade, to_do

DELTA = 1.0


def huber(prediction, target):
    """Equal shapes. The loss, and its gradient by the prediction."""
    r = prediction - target
    losses = to_do("np.where(np.abs(r) <= DELTA, ..., ...); then the gradient, below")
    gradient = np.zeros(r.shape)
    return losses.mean(), gradient


def example():
    """Arguments: prediction, target. The gradient is by the first."""
    return np.array([0.2, 3.0, -1.5, 0.9]), np.array([0.0, 0.5, 0.5, 1.1])


HINTS = {
    "linear branch": "Beyond δ the slope is ±δ, np.sign(r) * DELTA: it no longer grows with r.",
    "mean or sum": "The loss is a mean: loss and gradient are divided by the number of elements.",
    "sign": "r is prediction − target. Beyond δ the slope has the sign of r.",
    "leaves out": "Without that part the two branches do not meet at |r| = δ.",
    "factor 2": "½ r² has the derivative r.",
    "branches exchanged": "np.where(condition, a, b) takes a where the condition holds: a is the inside.",
}

YOURS = ("huber",)


def checks():
    """What must hold, in order."""
    return (lambda: lo.check_loss(huber, "huber", delta=DELTA),)


if __name__ == "__main__":
    sys.exit(grade(__doc__, *checks(), hints=HINTS))
