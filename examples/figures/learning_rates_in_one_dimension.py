"""What is the crucial parameter of gradient descent? The learning rate: too small, right, too large.

On ½ c w² a step multiplies the distance from the minimum by 1 − η c: it creeps for a small η, jumps from
side to side above 1 / c, and grows above 2 / c.
"""

from pathlib import Path

import numpy as np
from style import BLACK, BLUE, GRAY, GREEN, ORANGE, panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "000": ["gradient descent W ← W − η∇L", "the learning rate: too small, too large"],
    "003": ["gradient descent in one dimension"],
}
PAGE = "optimizers.md"
CURVATURE, START, STEPS = 2.0, 2.5, 8


def path(rate: float) -> np.ndarray:
    """Where the steps go."""
    w = lo.Parameter(START, name="w")
    opt = lo.optim.SGD(w, lr=rate)
    places = [START]
    for _ in range(STEPS):
        opt.zero_grad()
        (0.5 * CURVATURE * w * w).backward()
        opt.step()
        places.append(w.item())
    return np.array(places)


def main(folder: Path) -> list[str]:
    """Four rates on one parabola."""
    figure, axes = panels(4, sharey=True)
    x = np.linspace(-3.6, 3.6, 200)
    lines = []
    for panel, rate, color, words in zip(
        axes, (0.05, 0.4, 0.9, 1.05), (BLUE, GREEN, ORANGE, BLACK),
        ("too small", "right", "jumps across", "grows"), strict=True,
    ):  # fmt: skip
        places = path(rate)
        panel.plot(x, 0.5 * CURVATURE * x**2, color=GRAY, linewidth=1.5)
        panel.plot(places, 0.5 * CURVATURE * places**2, "o-", color=color, linewidth=1.5)
        panel.set_title(f"η = {rate:g}: {words}", fontsize=13)
        panel.set(xlabel="w", xlim=(-3.9, 3.9), ylim=(-0.5, 13))
        lines.append(f"distance from the minimum after {STEPS} steps, rate {rate:g} {abs(places[-1]):.3f}")
    axes[0].set_ylabel("loss")
    figure.suptitle("Twice the best rate goes back and forth, a little more bursts", fontsize=16)
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
