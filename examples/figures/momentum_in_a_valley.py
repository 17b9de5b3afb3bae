"""What do old gradients do in a narrow valley? They cancel across it, and add up along it.

The valley is 50 times as steep across as along. Nearly the largest rate makes plain descent zig-zag across,
and yet crawl along the floor; momentum 0.6 at the same rate swings a third as far in 30 steps, and runs.
With 0.9 it runs, too, but swings almost as far as without. Nesterov's look-ahead would fly off (its bound
is 2 (1 + γ) / (1 + 2γ) by the steepness, here 0.028); with η = 0.02 it swings once. Right: how far each is.
"""

from pathlib import Path

import numpy as np
from style import OPTIMIZER_COLORS, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {"003": ["momentum: faster convergence, less oscillation", "Nesterov"]}
STEEP = np.array([1.0, 50.0])
KINDS = {
    "plain": ("SGD", 0.038, {}),
    "momentum 0.6": ("momentum", 0.038, {"momentum": 0.6}),
    "Nesterov 0.8": ("Nesterov", 0.02, {"momentum": 0.8, "nesterov": True}),
}
PLACES = {"plain": (60, 0.35), "momentum 0.6": (50, 0.02), "Nesterov 0.8": (70, 1.6e-3)}


def path(options: dict[str, object], rate: float, steps: int = 100) -> np.ndarray:
    """The places of SGD in the valley ½(x² + 50 y²)."""
    w = lo.Parameter([-2.0, 0.3])
    step = lo.compile(lambda: 0.5 * (STEEP * w * w).sum(), optimizer=lo.optim.SGD([w], lr=rate, **options))
    places = [w.data.copy()]
    for _ in range(steps):
        step()
        places.append(w.data.copy())
    return np.array(places)


def across(places: np.ndarray) -> float:
    """The way made across the valley, to and fro."""
    return float(abs(np.diff(places[:, 1])).sum())


def main(folder: Path) -> list[str]:
    """Three paths, and their distances from the minimum."""
    figure, (left, right) = panels(2, width_ratios=[1.3, 1])
    x, y = np.meshgrid(np.linspace(-2.3, 1.3, 100), np.linspace(-0.45, 0.45, 100))
    left.contour(
        x,
        y,
        0.5 * (x**2 + 50 * y**2),
        levels=[0.02, 0.1, 0.3, 0.7, 1.3, 2, 3, 4.5],
        colors="#cccccc",
        linewidths=1,
    )
    lines = []
    for i, (name, (kind, rate, options)) in enumerate(KINDS.items()):
        places, color = path(options, rate), OPTIMIZER_COLORS[kind]
        far = np.linalg.norm(places, axis=1)
        left.plot(*places[:31].T, ".-", color=color, linewidth=1.4)
        right.semilogy(far, color=color)
        label(left, f"{name}, η = {rate}", (-1.1, 0.575 - 0.06 * i), color)
        label(right, name.split()[0], PLACES[name], color)
        settled = int(np.max(np.nonzero(far > 0.1)[0])) + 1
        lines.append(f"{name}, η {rate}: across in 30 steps {across(places[:31]):.2f}, near after {settled}")
    left.plot(0, 0, "k*", markersize=14)
    left.set(xlabel="along the valley", ylabel="across", ylim=(-0.46, 0.62), title="30 steps; ★ minimum")
    right.set(
        xlabel="step",
        ylabel="distance from the minimum",
        ylim=(1e-4, 4),
        title="100 steps; dips: it passes the minimum",
    )
    figure.suptitle(
        "Momentum swings less in all across the valley, and runs where plain descent crawls", fontsize=16
    )
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
