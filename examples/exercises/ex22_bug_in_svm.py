"""Exercise 22, middle: find the bug in a printed program, the SVM loss of lecture 002.

`lo.source(loss)` prints a loss and its gradients as the NumPy that you would have written. Below stands
what it prints for

    L = 1/N Σ_i Σ_{j≠y} max(0, s_j − s_y + 1) + λ Σ W²,   λ = 0.1

but for one line that somebody has changed. The loss is right, its gradient is not. Run the check: it says
where the numbers are wrong. Then go backward through the program, from dW up, and ask of each line whether
it is the chain rule for its line of the forward pass. Mend it.

y1 are the labels; j_y is 1 where j ≠ y, and 0 at the right class.

    python examples/exercises/ex22_bug_in_svm.py
"""

import sys

import numpy as np

import tinygrad_lo as lo
from tinygrad_lo.checking.exercise import grade


def loss_and_gradients(X, y1, j_y, W):
    """The loss, and its gradient by each parameter."""
    S = X @ W  # (6, 3)

    # multiclass_hinge
    s_y = np.take_along_axis(S, y1[..., None], -1)  # (6, 1)
    v1 = np.maximum(S - s_y + 1.0, 0)  # (6, 3)
    margins = v1 * j_y  # (6, 3)
    L_i = np.sum(margins, axis=-1)  # (6,)
    v2 = np.sum(L_i) / 6

    # l2
    v3 = np.sum(np.square(W))
    loss = v2 + 0.1 * v3

    # backward: l2
    v4 = 0.1 * (2.0 * W)  # (4, 3)

    # backward: multiclass_hinge
    dL_i = np.full(6, 0.16666666666666666)  # (6,)
    v5 = np.reshape(dL_i, (6, 1)) * j_y * (v1 > 0)  # (6, 3)
    ds_y = np.reshape(np.sum(v5, axis=1), (6, 1))  # (6, 1)
    dS = v5 + np.where(y1[..., None] == np.arange(3), ds_y, 0)  # (6, 3)

    # backward
    dW = v4 + X.T @ dS  # (4, 3)
    return loss, {"W": dW}


HINTS = {
    "where the target is 0": "j_y is 0 at the right class. Its score, s_y, stands in each margin of its row, "
    "with a minus. Which line brings what comes back to it?",
    "right class": "The score of the right class, s_y, stands in each margin of its row, with a minus. Which "
    "line brings what comes back to it?",
    "margin": "The mask of the margins was right as it was printed: v1 > 0.",
    "fits none": "s_y stands in each margin of its row, with a minus. Which line brings what comes back?",
    "sign": "Every margin has s_j with a plus and s_y with a minus.",
    "mean or sum": "1/N was right as it was printed, in dL_i.",
    "regularizer": "λ Σ W² was right as it was printed: look at what comes from the scores.",
}

YOURS = ("loss_and_gradients",)


def forward(p):
    """The loss whose program this is; p: a dict of W (D, C)."""
    rng = np.random.default_rng(20)
    X, y = lo.Tensor(rng.normal(size=(6, 4)), name="X"), rng.integers(0, 3, 6)
    return lo.losses.multiclass_hinge(lo.named(X @ p["W"], "S"), y) + 0.1 * lo.losses.l2(p["W"])


def example():
    """Where the gradient is checked."""
    return {"W": np.random.default_rng(21).normal(size=(4, 3))}


def printed():
    """The program as it is printed, with what it is called with."""
    return lo.source(forward({name: lo.Parameter(x, name=name) for name, x in example().items()}))


def checks():
    """What must hold, in order."""
    data = {name: x for name, x in printed().arguments.items() if name not in example()}
    return (lambda: lo.check_gradient(lambda p: loss_and_gradients(**data, **p), example(), against=forward),)


if __name__ == "__main__":
    sys.exit(grade(__doc__, *checks(), hints=HINTS))
