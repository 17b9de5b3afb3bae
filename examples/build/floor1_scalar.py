"""Floor 1: numbers that remember how they were made.

A value keeps the values it was made of, its parents, and one rule for each of them. A rule says what its
parent gets of the gradient that arrived at the value: y = a * b sends g * b to a, and g * a to b.

        a = 2                                         a.grad = 12
             ╲  × ── u = 6                                 ╲  b·g ── g = 4
             ╱         ╲                                   ╱           ╲
        b = 3            × ── y = 24     backward     b.grad = 8         g = 1
                       ╱                                               ╱
                c = 4                                     c.grad = 6

Write the sum, the product and the way back: ten lines, and they are backpropagation. `backward` adds g to
its own .grad, and calls backward of each parent with the part that it gets. It walks every path from y to
the leaves; that is slow where paths meet, and floor 2 cures it.

    python examples/build/floor1_scalar.py

Then read: engine/graph.py (Node, which remembers), engine/ops/arithmetic.py (the same rules, in a table).
"""


class Value:
    """A number, the values it was made of, and one rule for each of them.

    A leaf has no parents. `label` names the op, or the leaf; floor 8 draws it. New values are made by
    type(self)(data, parents, rules, label), so that the classes of later floors make values of their own.
    """

    def __init__(self, data, parents=(), rules=(), label=""):
        self.data, self.parents, self.rules, self.label = data, parents, rules, label
        self.grad = 0.0

    def __add__(self, other):
        raise NotImplementedError(
            "Value.__add__: the sum; its parents (self, other); two rules, lambda g: …; '+'"
        )

    def __mul__(self, other):
        raise NotImplementedError("Value.__mul__: the product, in the same way; label '×'")

    def shares(self, g):
        """Pairs: each parent, and what it gets of the gradient g that arrived here."""
        return [(parent, rule(g)) for parent, rule in zip(self.parents, self.rules, strict=True)]

    def backward(self, g=1.0):
        """Add g to .grad, and call backward of each parent with its share of g."""
        raise NotImplementedError("Value.backward: self.shares(g) says who gets what")


if __name__ == "__main__":
    import sys

    import check

    sys.exit(check.main(1))
