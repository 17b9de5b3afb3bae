"""Floor 2: each value once.

Floor 1 walks every path. Where a value is used twice the paths double: of u = a + a, v = u + u, w = v + v
there are eight, and of sixty such lines more than a computer can walk. But gradients add up where paths
meet. So wait at each value until all that used it have sent their parts, and pass it once, with the sum.

        order:    a        u        v        w          parents first
                  ● ══════ ● ══════ ● ══════ ●
        grads:    8   ←    4   ←    2   ←    1          the root first: the order reversed

`order` lists the values so that each comes after its parents. It must not call itself: Python allows about
1000 calls inside each other, and a graph may be deeper. Keep a stack, a list of what waits, and loop; put
each value on it twice, once to look at its parents, and once, below them, for when they are done.

The gradients that wait belong to one backward pass: keep them in a dict, by value. Only leaves, which have
no parents, keep theirs in .grad, and add there to what is there: a second pass adds exactly one more.

    python examples/build/floor2_order.py

Then read: engine/backward.py, `sweep`. There the order costs nothing: a value is born after its parents.
"""

import floor1_scalar


def order(root):
    """Every value that the root was made of, and the root: each once, parents first."""
    raise NotImplementedError("order: a stack [(root, False)]; (node, True) says that its parents are done")


class Value(floor1_scalar.Value):
    """A number with a backward pass that meets each value once."""

    def backward(self, g=1.0):
        """Walk the order from its end; the gradient of each value is complete when it is met."""
        raise NotImplementedError("Value.backward: grads = {self: g}; for node in reversed(order(self)): …")


if __name__ == "__main__":
    import sys

    import check

    sys.exit(check.main(2))
