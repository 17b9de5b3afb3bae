"""What does an exponentially weighted average remember? About the last 1/α values, and it comes late.

EWMA ← α x + (1 − α) EWMA, as the slide has it: α weights the new value. (RMSprop's γ weights the old one: γ
= 1 − α.) A small α is smooth and late, a large one quick and noisy.
"""

from pathlib import Path

import numpy as np
from style import BLUE, GRAY, GREEN, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {"003": ["EWMA, αx + (1 − α) EWMA", "the exponential decay of old gradients"]}
PAGE = "optimizers.md"


def main(folder: Path) -> list[str]:
    """One noisy series that jumps, and three averages of it."""
    rng = np.random.default_rng(0)
    truth = np.where(np.arange(200) < 100, 0.0, 1.0)
    series = truth + 0.35 * rng.standard_normal(200)
    figure, (axes,) = panels()
    axes.plot(series, ".", color=GRAY, markersize=5)
    lines = []
    for alpha, color, at in ((0.5, GREEN, (2, 1.9)), (0.1, BLUE, (2, 1.6)), (0.02, ORANGE, (2, 1.3))):
        x = lo.Parameter(series[0], name="x")
        average = lo.optim.Average(x, alpha=alpha)
        values = []
        for value in series:
            x.data = value
            average.update()
            values.append(float(average.values["x"]))
        axes.plot(values, color=color)
        label(axes, f"α = {alpha:g}: about {1 / alpha:.0f} values", at, color)
        late = int(np.argmax(np.array(values[100:]) > 0.5))
        lines.append(f"steps until half of the jump is seen, alpha {alpha:g} {late}")
    axes.set(xlabel="step", ylabel="value", ylim=(-1.2, 2.2))
    axes.set_title("A smooth average is a late one")
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
