"""How unhappy are we with the ten scores of each of the three images? The first table of lecture 002.

The automobile's score is the highest of its image, but the bird's is less than 1 below it: the SVM loss is
not 0. The cat and the frog lose to other classes. The slide asks for the loss only; both are computed here.
"""

from pathlib import Path

import numpy as np
from style import BLUE, ORANGE, panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "000": ["multiclass SVM hinge and cross-entropy of the same scores"],
    "002": ["three images and ten classes: define a loss that says how unhappy we are with the scores"],
}


def losses() -> tuple[np.ndarray, np.ndarray]:
    """The SVM loss and the softmax loss of each image."""
    table = lo.data.lectures.ten_classes
    kinds = (lo.losses.multiclass_hinge, lo.losses.cross_entropy)
    svm, softmax = (np.asarray(loss(table.scores, table.labels, reduction="none")) for loss in kinds)
    return svm, softmax


def main(folder: Path) -> list[str]:
    """The table, a column an image, with the losses below."""
    table = lo.data.lectures.ten_classes
    svm, softmax = losses()
    names = [table.classes[label] for label in table.labels]
    figure, (axes,) = panels()
    axes.imshow(table.scores.T, cmap="RdBu_r", vmin=-12, vmax=12, aspect="auto")
    for image, scores in enumerate(table.scores):
        for k, score in enumerate(scores):
            right = k == table.labels[image]
            text = f"{score:.2f}".replace("-", "−") + ("  right" if right else "")
            axes.text(image, k, text, ha="center", va="center", weight="bold" if right else "normal")
        axes.text(image, 10.1, f"SVM {svm[image]:.2f}", ha="center", va="center", color=BLUE, weight="bold")
        axes.text(image, 10.9, f"softmax {softmax[image]:.2f}", ha="center", va="center", color=ORANGE,
                  weight="bold")  # fmt: skip
    axes.set_ylim(11.4, -0.5)
    axes.set_yticks([*range(10), 10.5], [*table.classes, "loss"])
    axes.set_xticks(range(3), names)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title("Even the automobile, which wins, costs something: the bird is too close", pad=12)
    axes.set_xlabel("each column is an image")
    save(figure, folder)
    return [
        *(f"{name}: SVM {a:.2f}, softmax {b:.4f}" for name, a, b in zip(names, svm, softmax, strict=True)),
        f"mean: SVM {svm.mean():.2f}, softmax {softmax.mean():.4f}",
    ]


if __name__ == "__main__":
    run(main)
