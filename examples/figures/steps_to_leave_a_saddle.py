"""Who leaves a saddle first? RMSprop and Adam, at the same rate; with a large one everybody is quick.

The surface is x² − y² + y⁴/2, the start beside the ridge with y = 0.0001. Drawn is the step after which |y|
> 0.5, against the rate; no point means not in 3 000 steps. Plain SGD grows y by 1 + 2η a step; momentum is
seven times as fast at η = 0.003, five times at 0.01, 1.5 times at 0.3. RMSprop and Adam divide the tiny
slope by its own size. So does Adagrad, but by the sum of all so far: below 0.01 it is the slowest.
"""

from pathlib import Path

import numpy as np
from style import OPTIMIZER_COLORS, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {"003": ["escaping saddle points", "loss landscape: saddle points"]}
RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
LIMIT = 3000
OPTIMIZERS = {
    "SGD": lambda p, lr: lo.optim.SGD(p, lr=lr),
    "momentum": lambda p, lr: lo.optim.SGD(p, lr=lr, momentum=0.9),
    "Adagrad": lambda p, lr: lo.optim.Adagrad(p, lr=lr),
    "RMSprop": lambda p, lr: lo.optim.RMSprop(p, lr=lr),
    "Adam": lambda p, lr: lo.optim.Adam(p, lr=lr),
}
PLACES = {  # of the names
    "SGD": (0.0027, 1448), "momentum": (0.001, 750), "Adagrad": (0.0092, 320), "RMSprop": (0.02, 7),
    "Adam": (0.00093, 329),
}  # fmt: skip


def steps_to_leave(name: str, rate: float) -> float:
    """The first step after which |y| > 0.5; nan if there is none."""
    w = lo.Parameter([1.0, 1e-4])
    optimizer = OPTIMIZERS[name]([w], rate)
    step = lo.compile(lambda: w[0] ** 2 - w[1] ** 2 + 0.5 * w[1] ** 4, optimizer=optimizer, check=False)
    for count in range(1, LIMIT + 1):
        step()
        if abs(w.data[1]) > 0.5:
            return count
    return np.nan


def main(folder: Path) -> list[str]:
    """Steps against the rate, a line for each optimizer."""
    figure, (axes,) = panels()
    lines = []
    for name in OPTIMIZERS:
        steps = np.array([steps_to_leave(name, rate) for rate in RATES])
        color = OPTIMIZER_COLORS[name]
        axes.loglog(RATES, steps, "o-", color=color, linewidth=2)
        best = int(np.nanargmin(steps))
        label(axes, name, PLACES[name], color, ha="left" if name == "momentum" else "right")
        lines.append(f"{name}: best {steps[best]:.0f} steps with η {RATES[best]}, with 0.01 {steps[2]:.0f}")
    axes.set(xlabel="learning rate", ylabel="steps until off the ridge, |y| > 0.5", xlim=(0.0005, 0.4))
    label(axes, "no point: not left in 3 000 steps", (0.0006, 2), "#666666")
    axes.set_title("At the same rate RMSprop and Adam leave the saddle soonest")
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
