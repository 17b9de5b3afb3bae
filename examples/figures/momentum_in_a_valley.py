"""What do old gradients do in a narrow valley? They cancel across it, and add up along it.

The valley is 50 times as steep across as along. The rate must suit the steep walls, so plain descent crawls
along the floor. Momentum and Nesterov's look-ahead take the same rate and run; Nesterov, which slows down
before it has gone too far, swings less. Right: how far each of them still is from the minimum.
"""

from pathlib import Path

import numpy as np
from style import BLUE, GREEN, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {"003": ["momentum: faster convergence, less oscillation", "Nesterov"]}
STEEP = np.array([1.0, 50.0])
KINDS = {
    "plain": ({}, ORANGE),
    "momentum 0.9": ({"momentum": 0.9}, BLUE),
    "Nesterov 0.9": ({"momentum": 0.9, "nesterov": True}, GREEN),
}


def path(options: dict[str, object], steps: int = 150, rate: float = 0.02) -> np.ndarray:
    """The places of SGD in the valley ½(x² + 50 y²)."""
    w = lo.Parameter([-2.0, 0.3])
    step = lo.compile(lambda: 0.5 * (STEEP * w * w).sum(), optimizer=lo.optim.SGD([w], lr=rate, **options))
    places = [w.data.copy()]
    for _ in range(steps):
        step()
        places.append(w.data.copy())
    return np.array(places)


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
    for name, (options, color) in KINDS.items():
        places = path(options)
        far = np.linalg.norm(places, axis=1)
        left.plot(*places[:31].T, ".-", color=color, linewidth=1.4, label=name)
        right.semilogy(far, color=color)
        settled = int(np.max(np.nonzero(far > 0.1)[0])) + 1
        lines.append(
            f"{name}: within 0.1 for good after step {settled}"
            if settled < 151
            else f"{name}: not within 0.1 in 150 steps, {far[-1]:.2f}"
        )
    left.plot(0, 0, "k*", markersize=14)
    left.set(xlabel="along the valley", ylabel="across", title="30 steps, η = 0.02")
    right.set(xlabel="step", ylabel="distance from the minimum", ylim=(1e-5, 4), title="150 steps")
    label(right, "plain", (100, 0.55), ORANGE)
    label(right, "momentum 0.9", (75, 0.09), BLUE)
    label(right, "Nesterov 0.9", (12, 2e-4), GREEN)
    figure.suptitle("Momentum runs along the valley where plain descent crawls", fontsize=16)
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
