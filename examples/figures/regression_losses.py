"""How do MSE, MAE and Huber look at an error? As a square, as itself, and as both.

Their slopes say what a point may do to a fit: under the squared error its pull grows without end, under the
absolute error it is always 1, under Huber it grows to δ and stays there.
"""

from pathlib import Path

import numpy as np
from style import BLUE, GREEN, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "001": ["MSE with the half, J = 1/2m Σ‖h − y‖²"],
    "003": ["MSE, MAE and Huber as curves", "Huber: ½r² inside δ, δ|r| − ½δ² outside"],
}


def main(folder: Path) -> list[str]:
    """Three losses of one error, and their slopes."""
    r = np.linspace(-3, 3, 301)
    zero = np.zeros_like(r)
    losses = {
        "½ squared": (
            lambda p: lo.losses.mse(p, zero, half=True, reduction="none"),
            ORANGE,
            (-1.3, 4.1),
            (0.4, 2.3),
        ),
        "absolute": (lambda p: lo.losses.mae(p, zero, reduction="none"), BLUE, (0, 1.4), (-0.1, 0.75)),
        "Huber, δ = 1": (
            lambda p: lo.losses.huber(p, zero, reduction="none"),
            GREEN,
            (1.2, 0.35),
            (1.1, 0.7),
        ),
    }
    figure, (left, right) = panels(2)
    lines = []
    for name, (loss, color, at, beside) in losses.items():
        p = lo.Parameter(r, name="p")
        values = loss(p)
        slope = lo.grad(values.sum(), p)
        left.plot(r, values.numpy(), color=color)
        right.plot(r, slope, color=color)
        label(left, name, at, color, ha="center" if at[0] == 0 else "left")
        label(right, name, beside, color, ha="right" if beside[0] < 0 else "left")
        lines.append(f"pull of an error of 3, {name} {slope[-1]:.1f}")
    left.set(xlabel="error r", ylabel="loss", ylim=(0, 4.5))
    right.set(xlabel="error r", ylabel="slope: the pull of the point")
    figure.suptitle("The squared error listens most to the worst points", fontsize=16)
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
