"""What does the logarithmic error care about? Ratios: it forgives being too high more than too low.

True 30, predicted 20, and true 30 000, predicted 20 000: the squared error is 100 and 1e8, the logarithmic
one nearly the same. The slides' numbers are logarithms to base 10 (0.02861; the slide's 0.03100 is
0.03101).
"""

from pathlib import Path

import numpy as np
from style import BLUE, GRAY, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {"003": ["MSLE 1/N Σ(log(y + 1) − log(ŷ + 1))²", "MSLE punishes too low more than too high"]}


def main(folder: Path) -> list[str]:
    """Both losses over the prediction, for a truth of 20."""
    p = np.linspace(0, 60, 301)
    truth = np.full_like(p, 20.0)
    squared = lo.losses.mse(p, truth, reduction="none")
    logarithmic = lo.losses.msle(p, truth, base=10, reduction="none")
    figure, (axes,) = panels()
    axes.plot(p, squared / squared[50], color=ORANGE)
    axes.plot(p, logarithmic / logarithmic[50], color=BLUE)
    axes.axvline(20, color=GRAY, linewidth=1)
    axes.plot([10, 30], [1, (logarithmic / logarithmic[50])[150]], "o", color=BLUE)
    axes.plot([30], [(squared / squared[50])[150]], "o", color=ORANGE)
    label(axes, "squared error", (40.5, 3.6), ORANGE)
    label(axes, "squared logarithmic error", (38, 0.75), BLUE)
    label(axes, "the truth, 20", (20.5, 4.6), GRAY)
    axes.set(xlabel="prediction", ylabel="loss, 1 at a prediction of 10", ylim=(-0.05, 5))
    axes.set_title("Squared log error: ten too few costs more than twice ten too many")
    save(figure, folder)
    pairs = ((30.0, 20.0), (30000.0, 20000.0), (20.0, 10.0), (20.0, 30.0))
    return [
        f"true {y:.0f}, predicted {h:.0f}: MSE {lo.losses.mse(np.array([h]), np.array([y])):.0f}, "
        f"MSLE {lo.losses.msle(np.array([h]), np.array([y]), base=10):.5f}"
        for y, h in pairs
    ]


if __name__ == "__main__":
    run(main)
