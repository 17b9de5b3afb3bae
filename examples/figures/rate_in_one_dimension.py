"""What is the crucial parameter of gradient descent? The learning rate η: too small, right, too large.

The loss is w² with its slope 2w, so a step multiplies w by 1 − 2η. Below η = 1 this shrinks, at 0.5 one
step is enough, and above 1 every step lands higher on the other side. The bound is 2 divided by the
curvature.
"""

from pathlib import Path

import numpy as np
from style import GRAY, OPTIMIZER_COLORS, panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "000": [
        "gradient descent, too small and too large η",
        "what is the crucial parameter of gradient descent",
    ],
    "003": ["problem in selecting the learning rate"],
}
RATES = {0.02: "too small", 0.3: "right", 1.04: "too large"}

TOP = 3.3
SGD = OPTIMIZER_COLORS["SGD"]


def short(loss: float) -> str:
    """6.3, or 3 · 10⁻¹⁰."""
    if loss > 0.01:
        return f"{loss:.2g}"
    digit, power = f"{loss:.0e}".split("e")
    return rf"${digit} \cdot 10^{{{int(power)}}}$"


def path(rate: float, steps: int = 12) -> np.ndarray:
    """Where gradient descent goes on w², from −1."""
    w = lo.Parameter(-1.0)
    step = lo.compile(lambda: w**2, optimizer=lo.optim.SGD([w], lr=rate))
    places = [float(w.data)]
    for _ in range(steps):
        step()
        places.append(float(w.data))
    return np.array(places)


def main(folder: Path) -> list[str]:
    """Twelve steps with each of three rates."""
    figure, all_axes = panels(3, sharey=True)
    curve = np.linspace(-1.85, 1.85, 200)
    lines = []
    for axes, (rate, word) in zip(all_axes, RATES.items(), strict=True):
        places = path(rate)
        axes.plot(curve, curve**2, color=GRAY, linewidth=1.6)
        axes.plot(places, places**2, "o-", color=SGD, linewidth=1.4)
        axes.set(xlabel="w", xlim=(-1.9, 1.9), ylim=(-0.15, TOP))
        outside = int(np.argmax(places**2 > TOP)) or None
        if outside:  # an arrow where the path leaves the picture
            start, step = places[outside - 1], places[outside] - places[outside - 1]
            rise = places[outside] ** 2 - start**2
            share = (TOP - start**2) / rise
            tip = (start + share * step, start**2 + share * rise)
            axes.annotate("", tip, (start, start**2), arrowprops={"color": SGD, "width": 1, "headwidth": 9})
        axes.set_title(
            f"rate η = {rate}: {word}\nloss in 12 steps: 1 → {short(places[-1] ** 2)}", fontsize=14
        )
        lines.append(f"loss after 12 steps, η {rate} {places[-1] ** 2:.3g}")
    all_axes[0].set_ylabel("loss  w²")
    figure.suptitle("Too small crawls, too large climbs out of the valley", fontsize=16)
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
