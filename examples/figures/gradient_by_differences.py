"""How could you evaluate the gradient without calculus? Move one number of W at a time by h = 0.0001.

Seven numbers cost seven more losses: "this is terrible". It could still be used for checking the calculus.
The slides do not give the function; here it is L(W + d) = 2.94834 + g · d with their g. The last quotient
of the slides is misprinted: it repeats the loss 2.94842, which would give 0.8; the −5.2 needs 2.94782.
"""

from pathlib import Path

import numpy as np
from style import BLACK, BLUE, ORANGE, panels, run, save

import tinygrad_lo as lo

SLIDES = {"000": ["finite differences, h = 1e-4, one coordinate at a time"]}
W = np.array([0.42, 2.12, -0.42, 5.32, -2.97, -0.04, 2.55])
SLOPES = np.array([-0.7, 0.8, 1.2, 4.5, -2.7, 3.3, -5.2])
H = 1e-4


def loss(w: np.ndarray) -> float:
    """A loss that has the slides' value and slopes at W."""
    return float(2.94834 + SLOPES @ (w - W))


def main(folder: Path) -> list[str]:
    """The slides' table, computed."""
    gradient = lo.numerical_gradient(loss, W, method="forward", h=H)
    moved = [loss(W + H * one) for one in np.eye(W.size)]
    figure, (axes,) = panels()
    axes.axis("off")
    columns = {"W": 0.08, "plus h = 0.0001": 0.3, "its loss": 0.54, "(loss − 2.94834) / h": 0.85}
    for title, x in columns.items():
        axes.text(x, 0.95, title, ha="center", weight="bold")
    for i in range(W.size):
        y = 0.82 - 0.115 * i
        last = i == W.size - 1
        cells = (f"{W[i]:.2f}", f"{W[i] + H:.4f}", f"{moved[i]:.5f}", f"{gradient[i]:.1f}")
        cells = tuple(text.replace("-", "−") for text in cells)
        for text, x, color in zip(cells, columns.values(), (BLACK, BLACK, BLUE, ORANGE), strict=True):
            axes.text(x, y, text, ha="center", va="center", color=color, fontsize=17)
        if last:
            axes.text(0.54, y - 0.075, "(the slide prints 2.94842)", ha="center", va="center", color=BLUE)
    axes.set(xlim=(-0.03, 1.03), ylim=(0, 1))
    axes.set_title("One more loss for every number of W: the slope of each, without calculus", pad=14)
    save(figure, folder)
    return [f"slope {i + 1} {slope:.1f}, loss {moved[i]:.5f}" for i, slope in enumerate(gradient)]


if __name__ == "__main__":
    run(main)
