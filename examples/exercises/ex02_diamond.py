"""Exercise 2, easy: the diamond, where paths add.

Lecture 000, the analytic gradient: here x reaches the loss on two ways.

        ┌─ u = x² ──┐
    x ──┤           ├── loss = Σ u·v
        └─ v = sin x ┘

Each path brings a product of local derivatives; where paths meet again at x, they are added. It is the
one rule of backpropagation that beginners forget, and the reason why gradients are accumulated.

    python examples/exercises/ex02_diamond.py
"""

import sys

import numpy as np

import tinygrad_lo as lo
from tinygrad_lo.checking.exercise import grade, to_do


def diamond(x):
    """x: (n,). Returns the loss and its gradient, (n,)."""
    u = x**2
    v = np.sin(x)
    loss = np.sum(u * v)
    gradient = to_do("replace this by what comes through u, and what comes through v")
    return loss, gradient


def reference(x):
    """The same in tensors: the engine adds the paths by itself."""
    return (x**2 * np.sin(x)).sum()


def example():
    """Where the gradient is checked."""
    return np.array([0.7, -1.3, 2.0, 0.4])


HINTS = {
    "sign": "The derivative of sin is +cos; and paths are added, not subtracted.",
    "factor 0.5": "One of two equal paths is missing: x² = x·x has two.",
    "fits none": "Is one of the paths missing, or are they multiplied? The gradient is 2x·v + u·cos x: two "
    "products, one for each path, and a plus between them.",
    "is wrong only": "Each element has two paths. Look at the ones that are named above.",
}

YOURS = ("diamond",)


def checks():
    """What must hold, in order."""
    return (lambda: lo.check_gradient(diamond, example(), against=reference),)


if __name__ == "__main__":
    sys.exit(grade(__doc__, *checks(), hints=HINTS))
