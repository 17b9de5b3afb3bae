"""Exercise 12, hard: an op of your own, with its derivative rule.

Lecture 003 has softplus and its relatives. Here is one that the library does not have:

    swish(x) = x · σ(x),   σ(x) = 1 / (1 + e^(−x))

`lo.define_op` takes the forward and one rule for each input. A rule is the chain rule at this op: it
gets the arriving gradient g, the output y and the input x, and returns g times the local derivative.
Once it is in the table, your op is differentiated, drawn and checked like all others; and because a
rule is written with operators and NumPy functions, its second derivative comes for free.

    python examples/exercises/ex12_own_op.py
"""

import sys

import numpy as np

import tinygrad_lo as lo
from tinygrad_lo.checking.exercise import grade
from tinygrad_lo.engine.ops import TABLE


def swish(x):
    """The forward, on plain arrays."""
    return x / (1.0 + np.exp(-x))


def swish_rule(g, y, x):
    """The gradient by x: g times the derivative of x·σ(x)."""
    raise NotImplementedError("with s = 1 / (1 + np.exp(-x)): the product rule, times g")


def example():
    """Where the rule is checked."""
    return np.array([[0.5, -1.5, 3.0], [-0.2, 0.7, -4.0]])


HINTS = {
    "some elements": "The product rule has two terms: σ(x) and x·σ'(x), with σ' = σ (1 − σ).",
    "sign": "σ' = σ (1 − σ) is positive.",
    "disconnected": "A rule returns g times the derivative; it must not be 0.",
    "not linear": "A rule multiplies the arriving g. It is 1 only at the end of the graph, not here.",
    "swish": "The product rule: σ(x) + x·σ(x)·(1 − σ(x)), and all of it times g, the arriving gradient.",
}


def check():
    """The rule at work, in a loss that does not hand it a gradient of 1."""
    op = lo.define_op("swish", swish, [swish_rule], symbol="swish")
    try:
        return lo.gradcheck(lambda x: (op(x) ** 2).sum(), example(), order=2)
    finally:
        TABLE.pop("swish")  # so that it can be checked again


YOURS = ("swish_rule",)


def checks():
    """What must hold, in order."""
    return (check,)


if __name__ == "__main__":
    sys.exit(grade(__doc__, *checks(), hints=HINTS))
