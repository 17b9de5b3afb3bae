"""What do the losses say of a sample with the margin m = y · s? Hinge, squared hinge, log loss, and 0/1.

The 0/1 loss counts mistakes and has no slope to follow. The others lie above it (the log loss in bits), and
have one: the hinge is exactly 0 from m = 1 on, the log loss never is.
"""

from pathlib import Path

import numpy as np
from style import BLACK, BLUE, GREEN, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "000": ["hinge loss of one score against the margin"],
    "002": ["softmax against SVM: which loss is ever 0"],
    "003": ["hinge and squared hinge"],
}


def main(folder: Path) -> list[str]:
    """The four losses against the margin; where each of them begins to be 0."""
    margin = np.linspace(-2, 3, 501)
    yes = np.ones_like(margin)
    log_loss = lo.losses.binary_cross_entropy_with_logits(margin, yes, reduction="none") / np.log(2.0)
    curves = {
        "squared hinge": (lo.losses.squared_hinge(margin, yes, reduction="none"), GREEN, (-1.25, 5.4)),
        "hinge": (lo.losses.hinge(margin, yes, reduction="none"), BLUE, (-1.9, 2.4)),
        "log loss, in bits": (log_loss, ORANGE, (1.3, 0.6)),
        "0/1: counts mistakes": (np.where(margin > 0, 0.0, 1.0), BLACK, (-1.9, 0.75)),
    }
    figure, (axes,) = panels()
    for name, (values, color, at) in curves.items():
        axes.plot(margin, values, color=color)
        label(axes, name, at, color)
    axes.set(ylim=(-0.1, 6), xlabel="margin  m = y · s  (label y = ±1, score s)", ylabel="loss")
    axes.set_title("A margin of 1 satisfies the hinge; the log loss always wants more")
    save(figure, folder)
    return [
        f"hinge at margin 1 {lo.losses.hinge(np.array([1.0]), np.array([1.0])):.3f}",
        f"log loss at margin 3, bits {log_loss[-1]:.3f}",
    ]


if __name__ == "__main__":
    run(main)
