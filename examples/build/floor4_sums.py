"""Floor 4: what makes an array smaller, and matrices.

A reduction is broadcasting the other way round: forward it sums, backward it stretches.

        x (2, 3)      sum(axis=1)      y (2,)          g (2,)      stretch       (2, 3)
        ■ ■ ■         ───────────▶     ■               g₀         ───────▶     g₀ g₀ g₀
        ■ ■ ■                          ■               g₁                      g₁ g₁ g₁

Without keepdims the axis is gone from g: give it back, by a reshape to the shape that the sum has with
keepdims=True, and let NumPy stretch. The maximum sends g only to the largest element; equal ones share it.

        y = a @ b       a (n, k)   b (k, m)   g (n, m)
        by a: (n, k) = (n, m) @ (m, k)        by b: (k, m) = (k, n) @ (n, m)

The shapes leave one way to write the two rules. All arrays beside @ have two axes.

    python examples/build/floor4_sums.py

Then read: engine/ops/reductions.py, engine/ops/linear.py.
"""

import floor3_arrays


class Tensor(floor3_arrays.Tensor):
    """Arrays with sum, mean, max and @."""

    def sum(self, axis=None, keepdims=False):
        """Each element gets the gradient of the sum in which it is."""
        raise NotImplementedError(
            "Tensor.sum: one parent, one rule: reshape g, then np.broadcast_to(…, x.shape)"
        )

    def mean(self, axis=None, keepdims=False):
        """The sum, divided by how many were added."""
        raise NotImplementedError("Tensor.mean: the sum times a number, no new rule")

    def max(self, axis=None, keepdims=False):
        """The largest element gets the gradient; equal ones share it."""
        raise NotImplementedError(
            "Tensor.max: the rule multiplies the reshaped g by the share of each element"
        )

    def __matmul__(self, other):
        raise NotImplementedError("Tensor.__matmul__: self.lift(other) first, then two rules; label '@'")

    def __rmatmul__(self, other):
        raise NotImplementedError("Tensor.__rmatmul__: other @ self, where other is an array")


if __name__ == "__main__":
    import sys

    import check

    sys.exit(check.main(4))
