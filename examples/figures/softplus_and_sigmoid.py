"""How alike are softplus, relu, softminus and sigmoid? Alike far out, and not in the middle.

softplus = log(1 + eˣ) is a relu with a round corner; its slope is the sigmoid. For very negative x softplus
and sigmoid are nearly the same number, which a slide calls identical: the ratio is 1.065 at −2 and 1.000023
at −10.
"""

from pathlib import Path

import numpy as np
from style import BLUE, GRAY, GREEN, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {"003": ["softplus against ReLU", "softplus, softminus and sigmoid"]}


def main(folder: Path) -> list[str]:
    """The curves, and the ratio of softplus and sigmoid."""
    x = np.linspace(-5, 5, 401)
    figure, (left, right) = panels(2)
    left.plot(x, lo.nn.relu(x), color=GRAY, linestyle="--")
    left.plot(x, lo.nn.softplus(x), color=BLUE)
    left.plot(x, lo.nn.softminus(x), color=GREEN)
    left.plot(x, lo.nn.sigmoid(x), color=ORANGE)
    label(left, "softplus", (0.4, 3.0), BLUE)
    label(left, "relu", (3.3, 2.5), GRAY)
    label(left, "sigmoid", (2.6, 0.55), ORANGE)
    label(left, "softminus = x − softplus", (-2.7, -4.2), GREEN)
    left.set(xlabel="x", ylabel="value", ylim=(-5.2, 5.2))
    x = np.linspace(-10, 2, 241)
    right.plot(x, lo.nn.softplus(x) / lo.nn.sigmoid(x), color=BLUE)
    right.set(xlabel="x", ylabel="softplus / sigmoid")
    figure.suptitle("softplus rounds the relu's corner; only far left is it the sigmoid", fontsize=16)
    save(figure, folder)
    ratio = {at: float(lo.nn.softplus(np.array(at)) / lo.nn.sigmoid(np.array(at))) for at in (-2.0, -10.0)}
    return [f"softplus / sigmoid at {at:.0f} {value:.6f}" for at, value in ratio.items()]


if __name__ == "__main__":
    run(main)
