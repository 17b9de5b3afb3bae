"""Why does a sigmoid with the squared error learn so slowly? Where it is wrong and sure, its slope is gone.

One neuron must say 0 and starts sure of 1. The slope of the squared error has the factor h (1 − h), which
is nearly 0 there; the cross-entropy's does not: its gradient is h − y.
"""

from pathlib import Path

import numpy as np
from style import BLUE, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {"001": ["MSE with a sigmoid learns terribly slowly", "sigmoid cross-entropy"]}
STEPS, RATE = 300, 0.15


def training(loss: str) -> np.ndarray:
    """The neuron's output, step by step."""
    w, b = lo.Parameter(2.0, name="w"), lo.Parameter(2.0, name="b")
    opt = lo.optim.SGD([w, b], lr=RATE)
    outputs = []
    for _ in range(STEPS):
        z = w * 1.0 + b
        h = lo.nn.sigmoid(z)
        outputs.append(h.item())
        opt.zero_grad()
        error = 0.5 * h**2 if loss == "squared error" else lo.losses.binary_cross_entropy_with_logits(z, 0.0)
        error.backward()
        opt.step()
    return np.array(outputs)


def main(folder: Path) -> list[str]:
    """The same start, the same rate, two losses."""
    figure, (axes,) = panels()
    lines = []
    for name, color, at in (("squared error", ORANGE, (60, 0.86)), ("cross-entropy", BLUE, (45, 0.35))):
        outputs = training(name)
        axes.plot(outputs, color=color)
        label(axes, name, at, color)
        half = int(np.argmax(outputs < 0.5)) if outputs.min() < 0.5 else STEPS
        lines.append(f"steps until the output is below 0.5, {name} {half}")
    axes.set(xlabel="step", ylabel="output of one sigmoid neuron (should be 0)", ylim=(0, 1.02))
    axes.set_title("Sure and wrong: the squared error hardly moves, cross-entropy does")
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
