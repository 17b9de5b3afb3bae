"""Exercise 19, easy: two penalties on weights.

Lecture 001: weight decay, as its cost function has it, leaves the bias out: a bias only moves the scores,
it does not bend them. m is the number of samples.

    R(W, b) = λ/2m Σ W²,   λ = 0.3, m = 6

Lectures 000 and 002: the elastic net, Σ βW² + |W|, here with a factor for each part:

    R(W) = l1 Σ |W| + l2 Σ W²

|w| has the slope sign(w), and none at 0. There any number from −1 to 1 is a subgradient; sign(0) = 0 is
one, w/|w| is none.

    python examples/exercises/ex19_penalties.py
"""

import sys

import numpy as np

import tinygrad_lo as lo
from tinygrad_lo.checking.exercise import grade

STRENGTH, SAMPLES = 0.3, 6
L1, L2 = 0.2, 0.7


def weight_decay(p):
    """p: a dict of W (D, C) and b (C,). The penalty, and a dict of its gradients by W and b."""
    raise NotImplementedError("return λ/2m Σ W², and {'W': ..., 'b': ...}: what does b get?")


def elastic_net(W: np.ndarray):
    """W: any shape. The penalty, and its gradient by W."""
    raise NotImplementedError("return l1 Σ |W| + l2 Σ W², and the gradient: a slope for each of the two")


def reference(p):
    """Weight decay in tensors."""
    return STRENGTH / SAMPLES * lo.losses.l2(p["W"], half=True)


def example():
    """Where the gradients are checked; one weight is 0."""
    W = np.array([[0.5, -1.5, 2.0], [1.2, 0.0, -0.7]])
    return {"W": W, "b": np.array([1.0, -2.0, 0.5])}


HINTS = {
    "gradient by b": "b is not punished: it does not occur in R, and its gradient is 0, in its shape.",
    "reference gives": "Is b in the sum, is the ½ there, and is λ divided by m, the number of samples?",
    "half of": "The square has the derivative 2W: it cancels a ½ where there is one, and else it stays.",
    "twice": "The ½ of λ/2m cancels the 2 of the square: λ/m W is left.",
    "6 times": "λ is divided by m, in the penalty and in its gradient.",
    "is nan": "At w = 0 w/|w| is 0/0. np.sign(0) is 0.",
    "L1 part": "l1 Σ |W| has the gradient l1 · sign(W).",
    "absolute": "l1 Σ |W| has the gradient l1 · sign(W).",
    "exchanged": "l1 belongs to |W|, l2 to W².",
    "sign(W)": "l1 Σ |W| has the gradient l1 · sign(W); l2 Σ W² has 2 l2 W.",
    "½": "In the elastic net no part has a ½: l2 Σ W² has the gradient 2 l2 W.",
}

YOURS = ("weight_decay", "elastic_net")


def checks():
    """What must hold, in order."""
    return (
        lambda: lo.check_gradient(weight_decay, example(), against=reference),
        lambda: lo.check_loss(elastic_net, "elastic_net", l1=L1, l2=L2),
        lambda: lo.check_gradient(elastic_net, example()["W"]),
    )


if __name__ == "__main__":
    sys.exit(grade(__doc__, *checks(), hints=HINTS))
