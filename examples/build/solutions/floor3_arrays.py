"""Floor 3, solved: arrays, and what broadcasting asks of the way back."""

import floor2_order
import numpy as np


def unbroadcast(g, shape):
    """The gradient g summed over the axes along which NumPy had stretched an array of this shape."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    return g.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)


class Tensor(floor2_order.Value):
    """An array that remembers how it was made."""

    __array_ufunc__ = None  # array + tensor asks the tensor

    def __init__(self, data, parents=(), rules=(), label=""):
        super().__init__(np.asarray(data, float), parents, rules, label)

    def lift(self, other):
        """A number or an array as a tensor, so that 2 * x works."""
        return other if isinstance(other, Tensor) else type(self)(other)

    def shares(self, g):
        """As below, each part in the shape of its parent."""
        return [(parent, unbroadcast(part, parent.data.shape)) for parent, part in super().shares(g)]

    def backward(self, g=1.0):
        """As below, from an array."""
        super().backward(np.asarray(g, float))

    def __add__(self, other):
        return super().__add__(self.lift(other))

    def __mul__(self, other):
        return super().__mul__(self.lift(other))

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return self + -self.lift(other)

    def __rsub__(self, other):
        return self.lift(other) - self

    __radd__, __rmul__ = __add__, __mul__
