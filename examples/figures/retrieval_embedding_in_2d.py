"""What does triplet training do to the space of the digits? It parts one cloud into heaps.

The eight dimensions of the network's output are shown in the two of largest variance (PCA), for held-out
digits, before and after; each picture says how much of the variance it shows. Heaps that overlap after
training may still lie apart in the other six: the numbers are computed in all eight.
"""

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from retrieval_by_triplets import EPOCHS, quality, training
from style import panels, run, save

SLIDES = {
    "001": ["embedding before and after triplet training"],
    "003": ["which is the better feature space?"],
}
PAGE = "training.md"


def two_dimensions(embedding: np.ndarray) -> tuple[np.ndarray, float]:
    """The projection on the two directions of largest variance, and their share of it."""
    centered = embedding - embedding.mean(axis=0)
    _, sizes, directions = np.linalg.svd(centered, full_matrices=False)
    return centered @ directions[:2].T, float((sizes[:2] ** 2).sum() / (sizes**2).sum())


def spread(embedding: np.ndarray, labels: np.ndarray) -> float:
    """The share of the variance that is inside the classes: 0 is ten points, 1 is no order at all."""
    inside = sum(((e - e.mean(axis=0)) ** 2).sum() for e in (embedding[labels == k] for k in range(10)))
    return float(inside / ((embedding - embedding.mean(axis=0)) ** 2).sum())


def main(folder: Path, epochs: int = EPOCHS) -> list[str]:
    """Every held-out digit as its numeral, before and after."""
    _, y, *embeddings = training(epochs)
    figure, axes = panels(2)
    lines = []
    colors = colormaps["tab10"].colors  # the numerals say the same
    for axis, name, embedding in zip(axes, ("untrained", "trained"), embeddings, strict=True):
        points, share = two_dimensions(embedding)
        for digit in range(10):
            x, up = points[y == digit].T
            axis.plot(x, up, linestyle="", marker=f"${digit}$", color=colors[digit], markersize=9)
        axis.set(xticks=[], yticks=[], xlabel=f"two directions with {share:.0%} of the variance")
        inside = spread(embedding, y)
        axis.set_title(f"{name}: {inside:.0%} of the variance\nis inside the classes")
        lines += [f"variance inside the classes, {name} {inside:.3f}", f"variance shown, {name} {share:.3f}"]
        lines += [f"mean average precision, {name} {quality(embedding, y)[1]:.3f}"]
    figure.suptitle("Triplets part one cloud into heaps (held-out digits)", fontsize=16)
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
