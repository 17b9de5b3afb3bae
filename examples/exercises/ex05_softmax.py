"""Exercise 5, middle: softmax and cross-entropy, loss and gradient.

Lectures 000 and 002: L_i = −log p_y with p = softmax(s), averaged over the samples.

    p_j = e^(s_j) / Σ_k e^(s_k),   dL_i/ds = p, but p_y − 1 for the right class

Subtract the largest score of a row first: that changes nothing, and e^1000 is inf.

    python examples/exercises/ex05_softmax.py
"""

import sys

import numpy as np

import tinygrad_lo as lo
from tinygrad_lo.checking.exercise import grade


def softmax_loss(scores, labels):
    """scores: (N, C), labels: (N,). The loss, and its gradient by the scores, (N, C)."""
    raise NotImplementedError("p = softmax(scores); loss = the mean of −log p_y; gradient by the scores")


def example():
    """Arguments: scores, labels. The gradient is by the first."""
    rng = np.random.default_rng(2)
    return rng.normal(size=(5, 4)), rng.integers(0, 4, 5)


HINTS = {
    "target": "The gradient is p everywhere, except for the right class: p_y − 1.",
    "right class": "The gradient is p everywhere, except for the right class: p_y − 1.",
    "sign": "−log p_y: mind the minus. Pushing the right score up must lower the loss, so the gradient "
    "there, p_y − 1, is negative.",
    "mean or sum": "The loss is a mean over N samples. Loss and gradient are both divided by N.",
    "softmax": "The scores are any numbers. Softmax comes first, once: exponentials, divided by their sum.",
    "overflow": "Subtract the largest score of each row first: that changes nothing, and e^1000 is inf.",
    "base 2": "Use np.log, the natural logarithm.",
    "is nan": "Softmax makes numbers in (0, 1) of any scores. Take the logarithm of those.",
}

YOURS = ("softmax_loss",)


def checks():
    """What must hold, in order."""
    return (lambda: lo.check_loss(softmax_loss, "cross_entropy"),)


if __name__ == "__main__":
    sys.exit(grade(__doc__, *checks(), hints=HINTS))
