"""Floor 3: arrays, and what broadcasting asks of the way back.

An op on arrays is the same op, with the same rules. What is new is that NumPy stretches arrays to fit:

        X (4, 3)   +   r (3,)                  forward: r is copied into four rows
        ■ ■ ■          ■ ■ ■   ┐
        ■ ■ ■          · · ·   │ four times
        ■ ■ ■          · · ·   │
        ■ ■ ■          · · ·   ┘

        g (4, 3)  ── sum over the rows ──▶  r.grad (3,)          backward: a copy is a use, and uses add up

So the way back sums over each axis along which an array was stretched: an axis that NumPy put in front, and
an axis of length 1. No rule needs to know: `unbroadcast` is called in one place, `shares`.

    python examples/build/floor3_arrays.py

Your floors 1 and 2 work underneath. If a case fails that they should have got right, look there, too: what
was harmless with numbers, += for one, is not with arrays, which are changed in place.

Then read: engine/backward.py, `unbroadcast` and `owned`.
"""

import floor2_order
import numpy as np


def unbroadcast(g, shape):
    """The gradient g summed over the axes along which NumPy had stretched an array of this shape."""
    raise NotImplementedError(
        "unbroadcast: sum over the axes in front; then over those of length 1, keepdims=True"
    )


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
        raise NotImplementedError(
            "Tensor.shares: super().shares(g), with each part unbroadcast to parent.data.shape"
        )

    def backward(self, g=1.0):
        """As below, from an array."""
        super().backward(np.asarray(g, float))

    def __add__(self, other):
        return super().__add__(self.lift(other))

    def __mul__(self, other):
        return super().__mul__(self.lift(other))

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self):
        raise NotImplementedError("Tensor.__neg__: with *, no new rule")

    def __sub__(self, other):
        raise NotImplementedError("Tensor.__sub__: with + and -, no new rule")

    def __rsub__(self, other):
        raise NotImplementedError("Tensor.__rsub__: other - self, where other is a number or an array")


if __name__ == "__main__":
    import sys

    import check

    sys.exit(check.main(3))
