"""Floor 1, solved: numbers that remember how they were made."""


class Value:
    """A number, the values it was made of, and one rule for each of them."""

    def __init__(self, data, parents=(), rules=(), label=""):
        self.data, self.parents, self.rules, self.label = data, parents, rules, label
        self.grad = 0.0

    def __add__(self, other):
        return type(self)(self.data + other.data, (self, other), (lambda g: g, lambda g: g), "+")

    def __mul__(self, other):
        a, b = self.data, other.data
        return type(self)(a * b, (self, other), (lambda g: g * b, lambda g: g * a), "×")

    def shares(self, g):
        """Pairs: each parent, and what it gets of the gradient g that arrived here."""
        return [(parent, rule(g)) for parent, rule in zip(self.parents, self.rules, strict=True)]

    def backward(self, g=1.0):
        """Walk every path down to the leaves, and add up what arrives."""
        self.grad = self.grad + g
        for parent, part in self.shares(g):
            parent.backward(part)
