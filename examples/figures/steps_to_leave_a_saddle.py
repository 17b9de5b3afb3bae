"""Who leaves a saddle first? Everybody, at some rate; dividing by the gradient's size is what makes it quick.

The surface is x² − y² + y⁴/2, the start beside the ridge with y = 0.0001. Drawn is the step after which |y|
> 0.5, against the rate. Plain SGD grows y by 1 + 2η a step, so small rates take for ever; momentum is about
ten times as fast at the same rate. Adam, RMSprop and Adagrad divide the tiny slope by itself, and hardly
notice the saddle.
"""

from pathlib import Path

import numpy as np
from style import BLACK, BLUE, GREEN, ORANGE, PINK, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {"003": ["escaping saddle points", "loss landscape: saddle points"]}
RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
LIMIT = 3000
OPTIMIZERS = {
    "SGD": (lambda p, lr: lo.optim.SGD(p, lr=lr), ORANGE),
    "momentum": (lambda p, lr: lo.optim.SGD(p, lr=lr, momentum=0.9), BLUE),
    "Adagrad": (lambda p, lr: lo.optim.Adagrad(p, lr=lr), BLACK),
    "RMSprop": (lambda p, lr: lo.optim.RMSprop(p, lr=lr), PINK),
    "Adam": (lambda p, lr: lo.optim.Adam(p, lr=lr), GREEN),
}


def steps_to_leave(name: str, rate: float) -> float:
    """The first step after which |y| > 0.5; nan if there is none."""
    w = lo.Parameter([1.0, 1e-4])
    optimizer = OPTIMIZERS[name][0]([w], rate)
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
    for name, (_, color) in OPTIMIZERS.items():
        steps = np.array([steps_to_leave(name, rate) for rate in RATES])
        axes.loglog(RATES, steps, "o-", color=color, linewidth=2)
        best = int(np.nanargmin(steps))
        first = int(np.nanargmax(np.isfinite(steps)))
        label(axes, name, (RATES[first] * 0.93, steps[first]), color, ha="right")
        lines.append(f"{name}: best {steps[best]:.0f} steps with η {RATES[best]}, with 0.01 {steps[2]:.0f}")
    axes.set(xlabel="learning rate", ylabel="steps until |y| > 0.5", xlim=(0.0005, 0.4))
    axes.set_title("Every optimizer leaves the saddle at some rate; the adaptive ones soonest")
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
