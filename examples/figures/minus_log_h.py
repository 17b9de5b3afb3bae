"""What does the cross-entropy ask of one output? −ln h where it should be 1, −ln(1 − h) where it should be 0.

Being right costs little, being sure and wrong costs without end: the price doubles with every squaring of
the chance. (A slide of lecture 004 drops the minus, and sums over the samples.)
"""

from pathlib import Path

import numpy as np
from style import BLUE, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "001": ["−ln h and −ln(1 − h)", "cross-entropy over K sigmoid outputs"],
    "003": ["binary cross-entropy"],
    "004": ["binary cross-entropy as −Σ y log q + (1 − y) log(1 − q)"],
}


def main(folder: Path) -> list[str]:
    """Both branches of the loss."""
    h = np.linspace(0.002, 0.998, 499)
    figure, (axes,) = panels()
    lines = []
    for y, color, at, words in (
        (1.0, BLUE, (0.09, 3.0), "label y = 1: −ln h"), (0.0, ORANGE, (0.91, 3.0), "label y = 0: −ln(1 − h)"),
    ):  # fmt: skip
        loss = lo.losses.binary_cross_entropy(h, np.full_like(h, y), reduction="none")
        axes.plot(h, loss, color=color)
        label(axes, words, at, color, ha="left" if y else "right")
        lines.append(f"loss of h = 0.998 where y = {y:.0f} {loss[-1]:.3f}")
    axes.set(xlabel="output h", ylabel="loss, in nats", ylim=(0, 6))
    axes.set_title("Sure and right is free, sure and wrong costs without end")
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
