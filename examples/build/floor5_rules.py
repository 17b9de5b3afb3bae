"""Floor 5: one row for each op.

Until now each op was a method that built its own tensor. They all do the same: compute y, keep the inputs,
bind the rules. Write that once, `apply`; then an op is a row, its forward and one rule for each input:

        name        forward       rules, of g (arriving), y (output) and the inputs
       ┌───────────┬─────────────┬──────────────────────────────────────────────────┐
       │ "exp"     │ np.exp      │ g · y                                            │
       │ "divide"  │ np.divide   │ by a: g / b       by b: −g · y / b               │
       └───────────┴─────────────┴──────────────────────────────────────────────────┘

logsumexp, the heart of cross-entropy, is log Σ exp(x) along the last axis, which stays (keepdims). Computed
as it is written, it is inf for scores of 1000. Take the maximum out first:

        log Σ exp(x)  =  top + log Σ exp(x − top)

relu, max(0, x), has a kink at 0; let nothing pass there.

    python examples/build/floor5_rules.py

Then read: engine/ops/elementwise.py, a table like yours; engine/backward.py, `call`, its apply.
"""

import floor4_sums
import numpy as np

from tinygrad_lo.checking.exercise import to_do


def logsumexp(x):
    """log Σ exp(x) along the last axis, which stays; the maximum is taken out first."""
    raise NotImplementedError("logsumexp: an array in, an array out; no tensors here")


TABLE = {
    "exp": (np.exp, (lambda g, y, x: g * y,)),
    "log": (np.log, (lambda g, y, x: to_do("TABLE['log']: its rule, of g, y and x"),)),
    "tanh": (np.tanh, (lambda g, y, x: to_do("TABLE['tanh']: its rule; y is there already"),)),
    "relu": (lambda x: np.maximum(x, 0.0), (lambda g, y, x: to_do("TABLE['relu']: its rule"),)),
    "logsumexp": (logsumexp, (lambda g, y, x: to_do("TABLE['logsumexp']: its rule is a softmax"),)),
    "divide": (
        np.divide,
        (
            lambda g, y, a, b: to_do("TABLE['divide']: the rule of a, of a / b"),
            lambda g, y, a, b: to_do("TABLE['divide']: the rule of b, of a / b"),
        ),
    ),
}


def apply(name, *inputs):
    """The op of this row: a tensor that remembers its inputs, with their rules bound to y and the inputs."""
    raise NotImplementedError("apply: type(inputs[0])(y, inputs, rules, name); each rule now takes g alone")


def method(name):
    """The op of this row as a method of tensors."""
    return lambda self, *others: apply(name, self, *map(self.lift, others))


class Tensor(floor4_sums.Tensor):
    """Tensors with all that stands in the table."""

    exp, log, tanh, relu, logsumexp = map(method, ("exp", "log", "tanh", "relu", "logsumexp"))
    __truediv__ = method("divide")

    def __rtruediv__(self, other):
        raise NotImplementedError("Tensor.__rtruediv__: other / self, where other is a number or an array")


if __name__ == "__main__":
    import sys

    import check

    sys.exit(check.main(5))
