"""Floor 6: a loss is its formula.

Nothing here has a rule: a loss is made of ops that have theirs, and its gradient comes by itself.

        X ──▶ scores (N, C) ──┬── logsumexp ─────────────┐
                              │                          − ──▶ mean ──▶ loss
        labels ──▶ one_hot ── × ──▶ sum(axis=1): s_y ────┘

        mse            mean over all elements of (p − t)²
        cross_entropy  mean over the samples of  logsumexp(s) − s_y
        hinge          mean over the samples of  Σ_{j≠y} max(0, s_j − s_y + 1)

s_y is the score of the right class. Multiply by one_hot and sum: that picks it out, by ops that you have.
Keep its axis: (N, C) minus (N,) is an error, or, where N = C by chance, wrong, and nobody will tell you.

    python examples/build/floor6_losses.py

Then read: losses/classification.py, losses/regression.py. There, too, a loss is one or two lines.
"""

import numpy as np


def one_hot(labels, classes):
    """A row for each label, with a 1 in its column."""
    return np.eye(classes)[labels]


def mse(prediction, target):
    """mean (p − t)²."""
    raise NotImplementedError("mse: two lines")


def cross_entropy(scores, labels):
    """mean over the samples of logsumexp(s) − s_y."""
    raise NotImplementedError(
        "cross_entropy: s_y = Σ s · one_hot, along the axis of the classes, which stays"
    )


def hinge(scores, labels):
    """mean over the samples of Σ_{j≠y} max(0, s_j − s_y + 1)."""
    raise NotImplementedError("hinge: .relu() is max(0, x); 1 − one_hot leaves out j = y")


if __name__ == "__main__":
    import sys

    import check

    sys.exit(check.main(6))
