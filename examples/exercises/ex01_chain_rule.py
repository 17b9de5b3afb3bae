"""Exercise 1, easy: the chain rule, one number at a time.

Lecture 000, the analytic gradient: derivatives by calculus are exact and quick, and easy to get wrong.

    f(x) = (a·b + c)²,   x = (a, b, c)

Write the three derivatives. Give the thing inside the square a name first, q = a·b + c: then
df/dq = 2q, and each derivative is that number times dq/da, dq/db or dq/dc.

    python examples/exercises/ex01_chain_rule.py
"""

import sys

import numpy as np

import tinygrad_lo as lo
from tinygrad_lo.checking.exercise import grade, to_do


def square_of_sum(x):
    """x: (3,). Returns the loss and its gradient, (3,)."""
    a, b, c = x
    q = a * b + c
    loss = q**2
    gradient = to_do("replace this by np.array([df/da, df/db, df/dc])")
    return loss, gradient


def example():
    """Where the gradient is checked."""
    return np.array([1.5, -2.0, 0.5])


HINTS = {
    "sign": "Look at the signs again: dq/da = b, dq/db = a, dq/dc = 1, and df/dq = 2q.",
    "factor 0.5": "The square of q has the derivative 2q, not q.",
    "some elements": "Two products are mixed up: a·b changes with a at the rate b, and with b at the rate a.",
    "transpose": "The numbers are right and stand in the wrong places: dq/da = b, dq/db = a.",
}

YOURS = ("square_of_sum",)


def checks():
    """What must hold, in order."""
    return (lambda: lo.check_gradient(square_of_sum, example()),)


if __name__ == "__main__":
    sys.exit(grade(__doc__, *checks(), hints=HINTS))
