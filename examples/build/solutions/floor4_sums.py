"""Floor 4, solved: what makes an array smaller, and matrices."""

import floor3_arrays
import numpy as np


class Tensor(floor3_arrays.Tensor):
    """Arrays with sum, mean, max and @."""

    def sum(self, axis=None, keepdims=False):
        """Each element gets the gradient of the sum in which it is."""
        x = self.data
        kept = x.sum(axis=axis, keepdims=True)
        rules = (lambda g: np.broadcast_to(np.reshape(g, kept.shape), x.shape),)
        return type(self)(kept if keepdims else x.sum(axis=axis), (self,), rules, "sum")

    def mean(self, axis=None, keepdims=False):
        """The sum, divided by how many were added."""
        total = self.sum(axis, keepdims)
        return total * (total.data.size / self.data.size)

    def max(self, axis=None, keepdims=False):
        """The largest element gets the gradient; equal ones share it."""
        x = self.data
        kept = x.max(axis=axis, keepdims=True)
        largest = x == kept
        share = largest / largest.sum(axis=axis, keepdims=True)
        rules = (lambda g: np.reshape(g, kept.shape) * share,)
        return type(self)(kept if keepdims else x.max(axis=axis), (self,), rules, "max")

    def __matmul__(self, other):
        other = self.lift(other)
        a, b = self.data, other.data
        return type(self)(a @ b, (self, other), (lambda g: g @ b.T, lambda g: a.T @ g), "@")

    def __rmatmul__(self, other):
        return self.lift(other) @ self
