"""Exercise 11, middle: one step of Adam.

Lecture 003: momentum and RMSprop together, both corrected for their start at zero.

    m ← β1 m + (1 − β1) g          m̂ = m / (1 − β1^t)
    v ← β2 v + (1 − β2) g²         v̂ = v / (1 − β2^t)
    w ← w − η m̂ / (√v̂ + ε)

m and v live in state, a dict that is empty before the first step; t counts the steps from 1.

    python examples/exercises/ex11_adam.py
"""

import sys

import numpy as np

import tinygrad_lo as lo
from tinygrad_lo.checking.exercise import grade


def adam_step(w: np.ndarray, g: np.ndarray, state: dict, t, lr=0.001, beta1=0.9, beta2=0.999, eps=1e-8):
    """The new w."""
    raise NotImplementedError("m, v, their corrections, and return w - lr * ...")


HINTS = {
    "bias correction": "m and v begin at 0 and are too small at first: divide by 1 − β^t before use.",
    "inside the root": "ε is added after the root: np.sqrt(v_hat) + eps.",
    "leaves out the root": "v is an average of squares; its root has the size of a gradient.",
    "exchange": "β1 = 0.9 belongs to m, β2 = 0.999 to v; β weights the old value, 1 − β the new one.",
    "forgets": "Put m and v back into state in every step: state['m'] = m. "
    "state.get('m', 0.0) is the old one.",
    "leaves out (1": "Both are averages: the new value is weighted with 1 − β.",
    "begins at 0": "t is 1 in the first step. Do not subtract from it.",
    "t + 1": "t is 1 in the first step. Do not add to it.",
    "sign": "Downhill is against the gradient.",
}

YOURS = ("adam_step",)


def checks():
    """What must hold, in order."""
    return (lambda: lo.check_step(adam_step, "Adam"),)


if __name__ == "__main__":
    sys.exit(grade(__doc__, *checks(), hints=HINTS))
