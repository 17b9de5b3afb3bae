"""Exercise 6, middle: why a sigmoid learns slowly with MSE, and quickly with cross-entropy.

Lecture 001: a unit h = sigmoid(z) with the target y, and two losses for it, both averaged over N:

    MSE            L = 1/N Σ (h − y)²
    cross-entropy  L = −1/N Σ y log h + (1 − y) log(1 − h)

Write both, with their gradients by z. In the first one stands h (1 − h), which is nearly 0 when the
unit is sure and wrong. In the second it cancels, and h − y is left. There, −log h is log(1 + e^(−z)),
np.logaddexp(0, −z): so the loss is right at z = −1000 too, where h is 0 and log h is −inf.

    python examples/exercises/ex06_sigmoid.py
"""

import sys

import numpy as np

import tinygrad_lo as lo
from tinygrad_lo.checking.exercise import grade


def sigmoid_mse(z, y):
    """z, y: (N,). The loss, and its gradient by z."""
    raise NotImplementedError("h = 1 / (1 + np.exp(-z)); the loss; the gradient by h, times h (1 − h)")


def sigmoid_cross_entropy(z, y):
    """z, y: (N,). The loss, and its gradient by z."""
    raise NotImplementedError("h = 1 / (1 + np.exp(-z)); the loss; the gradient, in which h (1 − h) cancels")


def example():
    """Arguments: z, y. The gradient is by the first."""
    return np.array([2.0, -1.0, 0.5, -3.0, 1.5]), np.array([0.0, 1.0, 1.0, 1.0, 0.0])


def reference(z):
    """MSE behind a sigmoid, in tensors."""
    return lo.losses.mse(lo.nn.sigmoid(z), example()[1])


HINTS = {
    "factor 0.5": "The square has the derivative 2 (h − y); there is no ½ in this loss.",
    "factor 2": "Cross-entropy has no square, and no 2.",
    "mean or sum": "Both losses are means over N: loss and gradient are divided by N.",
    "sign": "The gradient has h − y in it, not y − h: too large an h must be lowered. The loss has a minus.",
    "overflow": "−log h is np.logaddexp(0, −z), and −log(1 − h) is np.logaddexp(0, z): right at any z.",
    "sigmoid": "z is any number. The sigmoid comes first, once.",
    "leaves out": "Both terms count: y log h for the ones, (1 − y) log(1 − h) for the zeros.",
    "slope": "The chain rule has three links: by h, then by z. For MSE the second one is h (1 − h); "
    "for cross-entropy it cancels against the 1 / (h (1 − h)) of the logarithms.",
}

YOURS = ("sigmoid_mse", "sigmoid_cross_entropy")


def checks():
    """What must hold, in order."""
    z, y = example()
    return (
        lambda: lo.check_gradient(lambda x: sigmoid_mse(x, y), z, against=reference),
        lambda: lo.check_loss(sigmoid_cross_entropy, "binary_cross_entropy_with_logits"),
    )


if __name__ == "__main__":
    sys.exit(grade(__doc__, *checks(), hints=HINTS))
