"""How much should an average trust the newest value? α of it, and 1 − α of the old average.

A large α follows the noise, a small one is smooth and late. It looks back on about 1/α values. Note which
one α weights: here, as on the slide, the NEW value; RMSprop's γ and Adam's β weight the old one.
"""

from pathlib import Path

import numpy as np
from style import BLACK, BLUE, GRAY, GREEN, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {"003": ["EWMA αx + (1−α)EWMA, moving average"]}


def ewma(series: np.ndarray, alpha: float) -> np.ndarray:
    """The exponentially weighted moving average, begun at the first value."""
    x = lo.Parameter(series[0], name="x")
    average = lo.optim.Average([x], alpha=alpha)
    values = [series[0]]
    for one in series[1:]:
        x.data = one
        average.update()
        values.append(float(average.values["x"]))
    return np.array(values)


def main(folder: Path) -> list[str]:
    """A step in a noisy series, and three averages of it."""
    rng = np.random.default_rng(0)
    true = np.where(np.arange(200) < 80, 0.0, 1.0) + 0.3 * np.sin(np.arange(200) / 40)
    series = true + 0.35 * rng.standard_normal(200)
    figure, (axes,) = panels()
    axes.plot(series, ".", color=GRAY, markersize=5)
    axes.plot(true, "--", color=BLACK, linewidth=1.4)
    lines = [f"error of the raw series {np.sqrt(np.mean((series - true) ** 2)):.3f}"]
    for alpha, color, at in ((0.5, ORANGE, (98, 1.7)), (0.1, BLUE, (60, 1.1)), (0.02, GREEN, (98, 0.45))):
        values = ewma(series, alpha)
        axes.plot(values, color=color, linewidth=2.0)
        label(axes, f"α = {alpha}", at, color)
        lines.append(f"error with α {alpha} {np.sqrt(np.mean((values - true) ** 2)):.3f}")
    label(
        axes, "gray: the values\ndashed: without the noise\nα: weight of the newest value", (3, 1.62), BLACK
    )
    axes.set(xlabel="time", ylabel="value", xlim=(0, 200))
    axes.set_title("A small α is smooth and late, a large one is quick and noisy")
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
