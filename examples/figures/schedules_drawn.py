"""How does the learning rate go down? The schedules of the library, drawn over a hundred steps.

A staircase, a smooth fall, a warm-up before it, one cycle: each starts from the optimizer's rate 0.1 and is
a formula of the step.
"""

from pathlib import Path

from style import BLUE, panels, run, save

import tinygrad_lo as lo

SLIDES = {"003": ["learning-rate schedules"]}
PAGE = "optimizers.md"
STEPS = 100
SCHEDULES = {
    "StepLR": lambda opt: lo.optim.StepLR(opt, 25, factor=0.5),
    "MultiStepLR": lambda opt: lo.optim.MultiStepLR(opt, [50, 80], factor=0.2),
    "ExponentialLR": lambda opt: lo.optim.ExponentialLR(opt, 0.96),
    "InverseLR": lambda opt: lo.optim.InverseLR(opt, 0.1),
    "CosineLR": lambda opt: lo.optim.CosineLR(opt, STEPS),
    "WarmupLR": lambda opt: lo.optim.WarmupLR(opt, 20),
    "OneCycleLR": lambda opt: lo.optim.OneCycleLR(opt, 0.3, STEPS),
    "SequentialLR": lambda opt: lo.optim.SequentialLR(
        opt, [(lo.optim.WarmupLR(opt, 20), 20), (lo.optim.CosineLR(opt, 80), 80)]
    ),
    "LambdaLR, 1/√(1 + t)": lambda opt: lo.optim.LambdaLR(opt, lambda t: (1 + t) ** -0.5),
}


def main(folder: Path) -> list[str]:
    """Nine panels."""
    figure, axes = panels(3, 3, sharex=True)
    last = {}
    for panel, (name, make) in zip(axes, SCHEDULES.items(), strict=True):
        opt = lo.optim.SGD(lo.Parameter(1.0), lr=0.1)
        schedule = make(opt)
        rates = [opt.param_groups[0]["lr"]]
        for _ in range(STEPS):
            schedule.step()
            rates.append(opt.param_groups[0]["lr"])
        panel.plot(rates, color=BLUE)
        panel.set_title(name, fontsize=12)
        panel.set_ylim(0, max(rates) * 1.1)
        panel.tick_params(labelsize=10)
        last[name] = rates[-1]
    figure.supxlabel("step")
    figure.supylabel("learning rate")
    figure.suptitle("Large steps first, small ones at the end", fontsize=16)
    save(figure, folder)
    return [f"last rate of {name} {last[name]:.4f}" for name in ("StepLR", "CosineLR", "OneCycleLR")]


if __name__ == "__main__":
    run(main)
