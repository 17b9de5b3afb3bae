"""Exercise 20, middle: dropout, inverted.

Lectures 000 and 002 name it among the regularizers: in training a random part of the values is thrown
away, each with probability p, so that no unit relies on another one. What is kept grows by 1/(1 − p), so
that the mean stays; then nothing is left to do when training is over.

    training:  out = x · kept / (1 − p)          else:  out = x

The loss is Σ out·c for fixed numbers c, so that the arriving gradient is c. Which values are kept is
decided outside of your function: kept is True where x stays.

    python examples/exercises/ex20_dropout.py
"""

import sys

import numpy as np

import tinygrad_lo as lo
from tinygrad_lo.checking.exercise import grade

P, SEED, SHAPE = 0.4, 5, (4, 3)
C = np.random.default_rng(6).normal(size=SHAPE)


def dropout_loss(x, kept, training):
    """x, kept: (N, D); training: whether. The loss, and its gradient by x."""
    raise NotImplementedError("out, in training and after it; Σ out·C; and where does a gradient pass?")


def reference(x, training):
    """The same in tensors, with the mask of the same seed."""
    return (lo.nn.dropout(x, P, training=training, rng=SEED) * C).sum()


def example():
    """Where the gradient is checked."""
    return np.random.default_rng(7).normal(1.0, 1.0, SHAPE)


HINTS = {
    "sign": "Nothing changes a sign here: the gradient is C times the mask and its scale.",
    "factor 0.6": "What is kept is divided by 1 − p, in the loss and in the gradient.",
    "factor 0.36": "Divide by 1 − p; to multiply by it makes what is small smaller.",
    "factor 2.5": "p is the probability of dropping: what is kept is divided by 1 − p, not by p.",
    "factor 1.5": "p is the probability of dropping: what is kept is divided by 1 − p, not by p.",
    "factor 1.667": "When training is over nothing is dropped, and so nothing is scaled: out = x.",
    "your loss is": "Is what is kept divided by 1 − p in training, and out = x when training is over?",
    "is wrong": "Where a value is thrown away no gradient passes; where it is kept, C/(1 − p) does.",
    "fits none": "The gradient is C times the mask of the loss, over 1 − p: what is thrown away gets none.",
}

YOURS = ("dropout_loss",)


def checks():
    """What must hold, in order."""
    kept = lo.nn.dropout(np.ones(SHAPE), P, rng=SEED) > 0
    return tuple(
        lambda training=training: lo.check_gradient(
            lambda x: dropout_loss(x, kept, training),
            example(),
            against=lambda x: reference(x, training),
        )
        for training in (True, False)
    )


if __name__ == "__main__":
    sys.exit(grade(__doc__, *checks(), hints=HINTS))
