"""Exercise 10, easy: one step of gradient descent with momentum.

Lecture 003: old gradients are not forgotten at once, they fade.

    v ← γ v + η g,   w ← w − v

η is lr, γ is momentum. v is remembered in state, a dict that is empty before the first step. Return
the new w; do not change w itself (w -= ... would).

    python examples/exercises/ex10_momentum.py
"""

import sys

import numpy as np

import tinygrad_lo as lo
from tinygrad_lo.checking.exercise import grade


def momentum_step(w: np.ndarray, g: np.ndarray, state: dict, t, lr=0.1, momentum=0.9):
    """The new w. t counts the steps from 1."""
    raise NotImplementedError("v = momentum * (the old v, or 0) + lr * g; put it into state; return w − v")


HINTS = {
    "uphill": "Downhill is against the gradient: w − v.",
    "forgets the velocity": "Put the new velocity back in every step: state['v'] = v. "
    "state.get('v', 0.0) is the old one.",
    "outside": "In the lecture's form the learning rate multiplies g inside the velocity; then w ← w − v.",
    "averages": "The velocity adds: v ← γ v + η g. Without 1 − γ.",
    "dampens": "The velocity adds: v ← γ v + η g. Without 1 − γ.",
    "old velocity": "First the velocity takes in the gradient, then w moves by the new velocity.",
    "in place": "w -= v writes into the array that you were given. Write: return w - v.",
    "looks ahead": "That is Nesterov's form, and good; here plain momentum is asked for.",
}

YOURS = ("momentum_step",)


def checks():
    """What must hold, in order."""
    return (lambda: lo.check_step(momentum_step, "SGD", lr=0.1, momentum=0.9),)


if __name__ == "__main__":
    sys.exit(grade(__doc__, *checks(), hints=HINTS))
