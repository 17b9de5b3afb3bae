"""How can the learning rate change during training? In steps, smoothly, up and down, or when the loss stalls.

Each panel is one schedule of lo.optim over 100 epochs, from 0.1. All but the last depend on time only;
ReduceOnPlateau watches a loss, here one that falls and then stays, twice. SequentialLR joins others.
"""

from pathlib import Path

import numpy as np
from style import BLUE, GRAY, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {"000": ["learning rate over time"], "003": ["learning-rate schedules"]}
STEPS = 100


def watched(t: int) -> float:
    """The loss that ReduceOnPlateau sees: it falls and then stays, twice."""
    return max(2.0 - 0.05 * t, 1.0) if t < 50 else max(1.0 - 0.05 * (t - 50), 0.5)


SCHEDULES = {
    "StepLR(every=30)": lambda opt: lo.optim.StepLR(opt, every=30),
    "MultiStepLR(at=[50, 80])": lambda opt: lo.optim.MultiStepLR(opt, at=[50, 80]),
    "ExponentialLR(0.96)": lambda opt: lo.optim.ExponentialLR(opt, 0.96),
    "InverseLR(0.1)": lambda opt: lo.optim.InverseLR(opt, 0.1),
    "CosineLR(100)": lambda opt: lo.optim.CosineLR(opt, 100),
    "WarmupLR(15)": lambda opt: lo.optim.WarmupLR(opt, 15),
    "OneCycleLR(peak=0.3)": lambda opt: lo.optim.OneCycleLR(opt, peak=0.3, steps=100),
    "SequentialLR(warm-up, cosine)": lambda opt: lo.optim.SequentialLR(
        opt, [(lo.optim.WarmupLR(opt, 15), 15), (lo.optim.CosineLR(opt, 85), 85)]
    ),
    "ReduceOnPlateau(patience=10)": lambda opt: lo.optim.ReduceOnPlateau(opt, patience=10),
}


def rates(name: str) -> np.ndarray:
    """The learning rate of 100 steps, read from the optimizer."""
    opt = lo.optim.SGD([lo.Parameter(1.0)], lr=0.1)
    schedule = SCHEDULES[name](opt)
    values = []
    for t in range(STEPS):
        values.append(opt.param_groups[0]["lr"])
        if isinstance(schedule, lo.optim.ReduceOnPlateau):
            schedule.step(watched(t))
        else:
            schedule.step()
    return np.array(values)


def main(folder: Path) -> list[str]:
    """Nine small panels."""
    figure, all_axes = panels(3, 3, sharex=True, sharey=True)
    lines = []
    for axes, name in zip(all_axes, SCHEDULES, strict=True):
        values = rates(name)
        axes.step(np.arange(STEPS), values, where="post", color=BLUE)
        axes.set_title(name, fontsize=12)
        axes.set(ylim=(0, 0.31), yticks=[0, 0.1, 0.2, 0.3])
        lines.append(f"{name.split('(')[0]} at 99 {values[-1]:.3g}")
    all_axes[8].plot([watched(t) / 10 for t in range(STEPS)], color=GRAY, linewidth=1.4)
    label(all_axes[8], "gray: the loss it\nwatches, / 10", (30, 0.2), "#666666", fontsize=12)
    for axes in all_axes[6:]:
        axes.set_xlabel("epoch")
    figure.supylabel("learning rate", fontsize=14)
    figure.suptitle(
        "The rate can fall in steps or smoothly, rise first, or wait until the loss stalls", fontsize=16
    )
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
