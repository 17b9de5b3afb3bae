"""When does a relu die? A step that is too large pushes it below 0 for every sample: no gradient brings it back.

The same network, trained on digits with a rate that is far too large, with relus and with leaky relus: the share of
hidden units that are 0 for all samples, step by step.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from style import BLUE, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {"003": ["the dying ReLU, and the leaky one"]}
PAGE = "training.md"
STEPS, RATE = 60, 3.0


def training(activation) -> tuple[np.ndarray, float]:
    """The share of silent units at each step, and the accuracy at the end."""
    X, y = load_digits(return_X_y=True)
    X = X / 16
    first, last = lo.nn.Linear(64, 64, rng=0), lo.nn.Linear(64, 10, rng=1)
    net = lo.nn.Sequential(first, activation, last)
    opt = lo.optim.SGD(net, lr=RATE)
    silent = []
    rng = np.random.default_rng(0)
    while len(silent) < STEPS:
        for rows, labels in lo.data.minibatches(X, y, batch_size=64, rng=rng):
            opt.zero_grad()
            lo.losses.cross_entropy(net(rows), labels).backward()
            opt.step()
            silent.append(float((first(X).numpy() <= 0).all(axis=0).mean()))
    return np.array(silent[:STEPS]), lo.training.accuracy(net(X), y)


def main(folder: Path) -> list[str]:
    """Relu and leaky relu."""
    figure, (axes,) = panels()
    lines = []
    for name, activation, color, at in (
        ("relu", lo.nn.ReLU(), ORANGE, (25, 0.72)), ("leaky relu", lo.nn.LeakyReLU(slope=0.1), BLUE, (25, 0.2)),
    ):  # fmt: skip
        silent, accuracy = training(activation)
        axes.plot(silent, color=color)
        label(axes, f"{name}: accuracy {accuracy:.2f}", at, color)
        lines += [f"silent units, {name} {silent[-1]:.3f}", f"accuracy, {name} {accuracy:.3f}"]
    axes.set(xlabel="step", ylabel="share of units below 0 for all samples", ylim=(-0.02, 1))
    axes.set_title("At too large a rate relus die and stay dead; leaky ones come back")
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
