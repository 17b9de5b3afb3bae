"""Exercise 21, middle: three relatives of the optimizers of the lecture.

Lecture 003 has momentum, RMSprop and Adam; lecture 004 weight decay, which shrinks the weights.

    Nesterov   v ← γ v + η g,   w ← w − (γ v + η g)      it looks ahead: v is used as it will be
    RMSprop    v ← γ v + (1 − γ) g²,   w ← w − η g / (√v + ε)
    AdamW      w ← w − η λ w, then a step of Adam that knows nothing of λ

η is lr, λ is weight_decay. What a step must remember stands in state, a dict that is empty before the
first one; t counts the steps from 1. Do not change w itself. AdamW's m, v, m̂ and v̂ are those of
exercise 11.

    python examples/exercises/ex21_steps.py
"""

import sys

import numpy as np

import tinygrad_lo as lo
from tinygrad_lo.checking.exercise import grade


def nesterov_step(w: np.ndarray, g: np.ndarray, state: dict, t, lr=0.1, momentum=0.9):
    """The new w."""
    raise NotImplementedError("v as in exercise 10; then w moves by what v will be with the same g again")


def rmsprop_step(w: np.ndarray, g: np.ndarray, state: dict, t, lr=0.01, decay=0.9, eps=1e-8):
    """The new w."""
    raise NotImplementedError("v, an average of squares that forgets; the step is divided by its root")


def adamw_step(
    w: np.ndarray,
    g: np.ndarray,
    state: dict,
    t,
    lr=0.001,
    beta1=0.9,
    beta2=0.999,
    eps=1e-8,
    weight_decay=0.01,
):
    """The new w."""
    raise NotImplementedError("the step of exercise 11, from a w that was shrunk by lr * weight_decay")


HINTS = {
    "does not look ahead": "That is plain momentum. Nesterov moves by γ v + η g, with the new v.",
    "inside the root": "ε is added after the root: np.sqrt(v) + eps.",
    "leaves out the root": "v is an average of squares; its root has the size of a gradient.",
    "never forgets": "The old v fades: γ v. Without that it is Adagrad.",
    "leaves out (1 − decay)": "It is an average: the new square is weighted with 1 − γ.",
    "adds the weight decay to the gradient": "Then it goes through m, v and the root. AdamW takes it from "
    "w itself, beside the step: decoupled.",
    "without the learning rate": "w shrinks by η λ: the factor is 1 − lr * weight_decay.",
    "leaves out the weight decay": "w shrinks by η λ: the factor is 1 − lr * weight_decay.",
    "wrong sign before the weight decay": "It shrinks: 1 − lr * weight_decay.",
    "bias correction": "m and v begin at 0 and are too small at first: divide by 1 − β^t before use.",
    "forgets": "Put what you must remember into state in every step; state.get('v', 0.0) is the old one.",
    "uphill": "Downhill is against the gradient.",
    "in place": "w -= ... writes into the array that you were given. Write w = w - ...",
}

YOURS = ("nesterov_step", "rmsprop_step", "adamw_step")


def checks():
    """What must hold, in order."""
    return (
        lambda: lo.check_step(nesterov_step, "SGD", lr=0.1, momentum=0.9, nesterov=True),
        lambda: lo.check_step(rmsprop_step, "RMSprop"),
        lambda: lo.check_step(adamw_step, "AdamW"),
    )


if __name__ == "__main__":
    sys.exit(grade(__doc__, *checks(), hints=HINTS))
