"""Floor 5, solved: one row for each op."""

import floor4_sums
import numpy as np


def logsumexp(x):
    """log Σ exp(x) along the last axis, which stays; the maximum is taken out first."""
    top = x.max(axis=-1, keepdims=True)
    return top + np.log(np.exp(x - top).sum(axis=-1, keepdims=True))


TABLE = {
    "exp": (np.exp, (lambda g, y, x: g * y,)),
    "log": (np.log, (lambda g, y, x: g / x,)),
    "tanh": (np.tanh, (lambda g, y, x: g * (1.0 - y * y),)),
    "relu": (lambda x: np.maximum(x, 0.0), (lambda g, y, x: g * (x > 0.0),)),
    "logsumexp": (logsumexp, (lambda g, y, x: g * np.exp(x - y),)),
    "divide": (np.divide, (lambda g, y, a, b: g / b, lambda g, y, a, b: -g * y / b)),
}


def apply(name, *inputs):
    """The op of this row: a tensor that remembers its inputs, with their rules."""
    forward, rules = TABLE[name]
    values = [tensor.data for tensor in inputs]
    y = forward(*values)
    bound = tuple(lambda g, rule=rule: rule(g, y, *values) for rule in rules)
    return type(inputs[0])(y, inputs, bound, name)


def method(name):
    """The op of this row as a method of tensors."""
    return lambda self, *others: apply(name, self, *map(self.lift, others))


class Tensor(floor4_sums.Tensor):
    """Tensors with all that stands in the table."""

    exp, log, tanh, relu, logsumexp = map(method, ("exp", "log", "tanh", "relu", "logsumexp"))
    __truediv__ = method("divide")

    def __rtruediv__(self, other):
        return self.lift(other) / self
