"""What happens to the two losses when one score of an image is jiggled a bit?

The three images of the slide, right class first. The hinge loss of the first and the last is 0 and stays 0:
"happy". (10, 9, 9) stands exactly at the margin: a little more costs, a little less does not. The softmax
loss moves with every score, though by almost nothing where the right class is far ahead: that of (10, −100,
−100) is 3 · 10⁻⁴⁸, which rounds to 0 beside a score of 10.
"""

from pathlib import Path

import numpy as np
from style import BLUE, GREEN, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "000": ["what happens to the loss if the scores change a bit"],
    "002": ["softmax against SVM: jiggle a data point", "scores (10, −2, 3), (10, 9, 9), (10, −100, −100)"],
}
LOSSES = {"SVM": lo.losses.multiclass_hinge, "softmax": lo.losses.cross_entropy}
DIRECTIONS = np.array([0.0, 0.0, 1.0])  # the last score is jiggled


def jiggled(name: str, jiggle: np.ndarray) -> np.ndarray:
    """The loss of each image (row) when its last score is changed by each of these amounts."""
    table = lo.data.lectures.softmax_against_svm
    moved = table.scores[:, None, :] + jiggle[:, None] * DIRECTIONS
    labels = np.repeat(table.labels, len(jiggle))
    losses = LOSSES[name](moved.reshape(-1, 3), labels, reduction="none")
    return np.asarray(losses).reshape(3, -1)


def main(folder: Path) -> list[str]:
    """The losses of the three images against the jiggle; the numbers of the slide; their slopes."""
    table = lo.data.lectures.softmax_against_svm
    jiggle = np.linspace(-1.5, 1.5, 301)
    figure, axes = panels(2)
    places = {
        "SVM": ((-0.5, 1.2), (-1.4, 0.32), (-1.4, 0.14)),
        "softmax": ((-1.4, 1.0), (-1.4, 0.003), (-1.4, 4e-6)),
    }
    words = ("(10, 9, 9)", "(10, −2, 3)", "(10, −100, −100)")
    for panel, (name, at) in zip(axes, places.items(), strict=True):
        far, near, farther = jiggled(name, jiggle)
        shown = (near, far, farther)  # a logarithmic axis has no 0, and leaves the last one out
        for values, color, text, place in zip(shown, (ORANGE, BLUE, GREEN), words, at, strict=True):
            panel.plot(jiggle, values, color=color, linestyle=":" if color == GREEN else "-")
            label(panel, text, place, color)
        panel.set(xlabel="change of the last score (right class first)", ylabel=f"{name} loss")
    axes[0].set_ylim(-0.1, 2.6)
    axes[1].set(yscale="log", ylim=(1e-6, 10))
    axes[1].texts[2].set_text("(10, −100, −100): about 10⁻⁴⁸,\nfar below this axis")
    figure.suptitle("Jiggle a score: the SVM is content beyond its margin, softmax never is", fontsize=16)
    save(figure, folder)
    lines = []
    for name, loss in LOSSES.items():
        values = np.asarray(loss(table.scores, table.labels, reduction="none"))
        lines.append(f"{name} of the three images " + " ".join(f"{abs(x):.4f}" for x in values))
        scores = lo.Tensor(table.scores, requires_grad=True)
        slope = lo.grad(loss(scores, table.labels, reduction="sum"), scores)
        lines.append(f"{name}, slopes " + " ".join(f"{x:.4f}" for x in np.asarray(slope)[:, 2]))
    return lines


if __name__ == "__main__":
    run(main)
