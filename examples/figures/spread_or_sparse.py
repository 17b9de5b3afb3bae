"""Two weights give the same score: which of them do L1 and L2 prefer, the spread or the sparse one?

x = (1, 1, 1, 1): (1, 0, 0, 0) and (¼, ¼, ¼, ¼) both give wᵀx = 1. On the way from one to the other L2 falls
from 1 to 0.25; L1 stays 1, so it has no preference here. Left, with two weights: the smallest circle
touches the line of equal scores in the middle, the smallest diamond lies along it.
"""

from pathlib import Path

import numpy as np
from style import BLACK, BLUE, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "000": ["x = (1, 1, 1, 1), w = (¼, ¼, ¼, ¼) or (0, 1, 0, 0)", "why a bias toward small weights?"],
    "002": ["L2 regularization: motivation", "x = (1, 1, 1, 1), w = (1, 0, 0, 0) or (¼, ¼, ¼, ¼)"],
}
SPARSE, SPREAD = np.array([1.0, 0.0, 0.0, 0.0]), np.full(4, 0.25)


def prices(w: np.ndarray) -> tuple[float, float]:
    """Σ|w| and Σw²."""
    return float(lo.losses.l1([w])), float(lo.losses.l2([w]))


def main(folder: Path) -> list[str]:
    """Level sets in two dimensions, and the prices on the way between the slide's two weights."""
    figure, (left, right) = panels(2)
    ticks = np.linspace(-1.3, 1.3, 131)
    grid = [[prices(np.array([a, b])) for a in ticks] for b in ticks]
    for k, (level, color) in enumerate(((1.0, BLUE), (0.5, ORANGE))):
        left.contour(ticks, ticks, np.array(grid)[:, :, k], levels=[level], colors=[color], linewidths=2.4)
    left.plot(ticks, 1 - ticks, color=BLACK, linestyle="--", linewidth=1.6)
    left.plot([0.5], [0.5], "o", color=ORANGE)
    label(left, "Σ|w| = 1", (-1.2, 0.75), BLUE)
    label(left, "Σw² = ½", (-0.3, 0), ORANGE)
    label(left, "wᵀx = 1", (0.5, 0.95), BLACK)
    left.set(
        xlabel="first weight", ylabel="second weight", xlim=(-1.3, 1.3), ylim=(-1.3, 1.3), aspect="equal"
    )
    way = np.linspace(0, 1, 101)
    both = np.array([prices((1 - t) * SPARSE + t * SPREAD) for t in way])
    right.plot(way, both[:, 0], color=BLUE)
    right.plot(way, both[:, 1], color=ORANGE)
    label(right, "L1: always 1", (0.35, 1.06), BLUE)
    label(right, "L2: 1 to 0.25", (0.5, 0.55), ORANGE)
    right.set_xticks([0, 1], ["sparse\n(1, 0, 0, 0)", "spread\n(¼, ¼, ¼, ¼)"])
    right.set(xlim=(-0.2, 1.25), ylim=(0, 1.2), ylabel="price of w; x = (1, 1, 1, 1), wᵀx = 1")
    figure.suptitle("The same score: L2 prefers weights that are spread, L1 does not care", fontsize=16)
    save(figure, folder)
    lines = []
    for name, w in (("sparse", SPARSE), ("spread", SPREAD)):
        l1, l2 = prices(w)
        lines.append(f"{name}: score {w.sum():.2f}, L1 {l1:.2f}, L2 {l2:.2f}")
    return lines


if __name__ == "__main__":
    run(main)
