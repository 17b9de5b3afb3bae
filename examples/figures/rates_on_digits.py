"""How does a loss curve tell whether the learning rate is good? By its slope, and by where it ends.

The same small network on the digits, the same start and the same batches, four rates of plain SGD. A low
rate is a slow slope, the good one falls fast and far, if with jumps: in its last epochs it is not yet at
rest. The highest one kills the network: its loss stays at ln 10 or just above, that of guessing.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from style import BLUE, GRAY, GREEN, ORANGE, PINK, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "000": ["too large and too small η"],
    "003": ["problem in selecting the learning rate", "loss curve"],
}
RATES = {
    0.002: (BLUE, "too low"),
    0.02: (GREEN, "slow"),
    0.3: (PINK, "good"),
    3.0: (ORANGE, "too high"),
}

ENDS = {3.0: 2.9, 0.002: 1.6}  # where the labels of two curves that end together stand


def curve(rate: float, epochs: int = 20) -> list[float]:
    """The loss of all digits before training and after every epoch."""
    images, labels = load_digits(return_X_y=True)
    x = images / 16.0
    lo.seed(0)
    net = lo.nn.Sequential(lo.nn.Linear(64, 32), lo.nn.ReLU(), lo.nn.Linear(32, 10))
    step = lo.compile(
        lambda rows, t: lo.losses.cross_entropy(net(rows), t), optimizer=lo.optim.SGD(net, lr=rate)
    )
    losses, rng = [lo.losses.cross_entropy(net(x), labels).item()], np.random.default_rng(0)
    for _ in range(epochs):
        for rows, t in lo.data.minibatches(x, labels, batch_size=32, rng=rng):
            step(rows, t)
        losses.append(lo.losses.cross_entropy(net(x), labels).item())
    return losses


def main(folder: Path) -> list[str]:
    """Four curves."""
    figure, (axes,) = panels()
    lines = []
    for rate, (color, word) in RATES.items():
        losses = curve(rate)
        axes.semilogy(losses, "o-", color=color, markersize=4)
        label(axes, f"η = {rate}: {word}", (20.4, ENDS.get(rate, losses[-1])), color)
        lines.append(f"loss after 20 epochs, η {rate} {losses[-1]:.4f}")
    axes.axhline(np.log(10), color=GRAY, linewidth=1, linestyle="--")
    label(axes, "dashed: ln 10, guessing", (13, 3.6), "#666666")
    axes.set(xlabel="epochs", ylabel="loss of all digits", xlim=(0, 26.5), xticks=range(0, 21, 5))
    axes.set_ylim(top=5)
    axes.set_title("A good rate falls fast, if with jumps; too high never gets anywhere")
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
