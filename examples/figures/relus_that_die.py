"""When does a relu die? When its input is below 0 for every sample: then no gradient passes.

One step that is too large can do it. Here the biases of half of the hidden units are pushed to −2, as such
a step would, and then the network is trained on digits: relus stay dead, leaky ones come back in part.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from style import BLUE, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {"003": ["the dying ReLU, and the leaky one"]}
PAGE = "training.md"
STEPS, RATE, UNITS = 800, 0.5, 32


def training(activation) -> tuple[np.ndarray, float]:
    """The share of silent units at each step, and the accuracy at the end."""
    X, y = load_digits(return_X_y=True)
    X = X / 16
    first, last = lo.nn.Linear(64, UNITS, rng=0), lo.nn.Linear(UNITS, 10, rng=1)
    first.bias.data = np.where(np.arange(UNITS) % 2, -2.0, 0.0)
    net = lo.nn.Sequential(first, activation, last)
    step = lo.compile(
        lambda rows, labels: lo.losses.cross_entropy(net(rows), labels), optimizer=lo.optim.SGD(net, lr=RATE)
    )
    silent, rng = [], np.random.default_rng(0)
    while len(silent) < STEPS:
        for rows, labels in lo.data.minibatches(X, y, batch_size=64, rng=rng):
            silent.append(float((first(X).numpy() <= 0).all(axis=0).mean()))
            step(rows, labels)
    return np.array(silent[:STEPS]), lo.training.accuracy(net(X), y)


def main(folder: Path) -> list[str]:
    """Relu and leaky relu."""
    figure, (axes,) = panels()
    lines = []
    for name, activation, color, at in (
        ("relu", lo.nn.ReLU(), ORANGE, 0.05), ("leaky relu", lo.nn.LeakyReLU(slope=0.3), BLUE, 0.05),
    ):  # fmt: skip
        silent, accuracy = training(activation)
        axes.plot(silent, color=color)
        label(axes, f"{name}: accuracy {accuracy:.3f} on the training data", (310, silent[500] + at), color)
        lines += [f"silent units, {name} {silent[-1]:.3f}", f"accuracy, {name} {accuracy:.3f}"]
    axes.set(xlabel="step", ylabel="share of units below 0 for all samples", ylim=(-0.02, 0.7))
    axes.set_title("A relu that is dead stays dead; leaky ones come back, in part")
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
