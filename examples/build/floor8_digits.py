"""Floor 8: a network reads digits, and shows its graph.

        X (N, 64) ──▶ @ W1 + b1 ──▶ relu ──▶ @ W2 + b2 ──▶ scores (N, 10) ──▶ cross_entropy
        8 × 8 pixels     (64, 32)               (32, 10)

All of it is yours: the tensors of floor 5, the loss of floor 6, the optimizer of floor 7. Write the layers
and the loop, and read more than nine of ten digits that the network has not seen.

Then let the engine draw itself. floor 2's order gives every value of a graph once, and each value knows its
parents: a node for each value, an arrow from each parent to what was made of it. x + x has two arrows.

        ┌────────┐
        │ W1 …   │──┐    ┌───────┐    ┌───────┐
        └────────┘  ├───▶│ @ …   │───▶│ + …   │───▶ …       picture.node(name, label)
        ┌────────┐  │    └───────┘    └───────┘             picture.edge(from, to)
        │ X …    │──┘
        └────────┘

A label is data: graphviz.escape keeps what is in it from being read as markup.

    python examples/build/floor8_digits.py

Then read: examples/digits.py, the same with the library; drawing/dot.py.
"""


def start(sizes, rng):
    """W and b of each layer, [W1, b1, W2, b2, …]: tensors with these labels.

    W (inputs, outputs) is from a normal distribution with variance 2 / inputs (rng.normal); b is zero.
    """
    raise NotImplementedError("start: for (64, 32, 10) the shapes (64, 32), (32,), (32, 10), (10,)")


def scores(params, X):
    """X, an array, through all layers, with relu between them."""
    raise NotImplementedError("scores: X @ W + b for each W and b; relu before every layer but the first")


def train(params, X, labels, steps):
    """Steps downhill on the cross-entropy; a list with the loss of each step."""
    raise NotImplementedError("train: SGD(params, lr=0.1, momentum=0.9) on all of X learns in 150 steps")


def draw(root):
    """The graph of a value as graphviz.Digraph: a node for each value, an arrow for each of its parents."""
    raise NotImplementedError("draw: names = {node: str(i) for i, node in enumerate(order(root))}")


if __name__ == "__main__":
    import sys

    import check

    sys.exit(check.main(8))
