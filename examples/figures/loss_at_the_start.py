"""What is the loss at the start, when W is small and all scores are near 0?

Softmax: ln C, as every class gets 1/C. SVM: C − 1, as each wrong class is exactly the margin too close. The
points are measured on real digits with random W of size 0.0001; a first loss that is far off is a bug.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from style import BLUE, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "000": ["loss at initialization: ln C"],
    "002": ["Q5: W small, all s ≈ 0: what is the loss?", "random search starts near C − 1 = 9"],
}
CLASSES = (2, 3, 5, 10, 20, 50, 100)


def first_losses(classes: int) -> tuple[float, float]:
    """Softmax and SVM loss of random small weights; labels are drawn, as digits have only ten."""
    X = load_digits(return_X_y=True)[0][:500] / 16.0
    rng = np.random.default_rng(0)
    scores, labels = X @ (1e-4 * rng.standard_normal((64, classes))), rng.integers(classes, size=500)
    return float(lo.losses.cross_entropy(scores, labels)), float(lo.losses.multiclass_hinge(scores, labels))


def main(folder: Path) -> list[str]:
    """Measured first losses over the two formulas."""
    many = np.arange(2, 101)
    measured = np.array([first_losses(C) for C in CLASSES])
    figure, (axes,) = panels()
    for values, points, color in ((np.log(many), measured[:, 0], ORANGE), (many - 1, measured[:, 1], BLUE)):
        axes.plot(many, values, color=color)
        axes.plot(CLASSES, points, "o", color=color)
    label(axes, "SVM:  C − 1", (11, 25), BLUE)
    label(axes, "softmax:  ln C", (25, 2.0), ORANGE)
    label(axes, "ten classes: 9.00", (10.6, 8.0), BLUE)
    label(axes, "ten classes: 2.30", (10.6, 1.75), ORANGE, ha="left")
    axes.texts[1].set_position((40, 5.4))
    axes.set(xscale="log", yscale="log", xlabel="number of classes C", ylabel="loss before the first step")
    axes.set_xticks(CLASSES, list(map(str, CLASSES)))
    axes.set_yticks([1, 10, 100], ["1", "10", "100"])
    axes.minorticks_off()
    axes.set_title("Before learning, softmax costs ln C and the SVM C − 1 (points: measured)")
    save(figure, folder)
    ten = first_losses(10)
    return [f"softmax, 10 classes {ten[0]:.4f}", f"SVM, 10 classes {ten[1]:.4f}"]


if __name__ == "__main__":
    run(main)
