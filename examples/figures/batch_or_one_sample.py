"""All data, a batch, or one sample a step? After the same number of samples seen, small batches are further.

Each epoch shows every digit once, without replacement. One sample a step zig-zags, the whole set goes
straight and makes few steps.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from style import BLUE, GREEN, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "000": ["batch, mini-batch and stochastic gradient descent", "mini-batches without replacement, epochs"],
    "003": ["stochastic descent: the zig-zag", "the loss curve of a real run"],
}
PAGE = "training.md"
EPOCHS = 5


def main(folder: Path) -> list[str]:
    """The loss of every step against the samples seen."""
    X, y = load_digits(return_X_y=True)
    X, y = (X / 16)[:1024], y[:1024]
    figure, (axes,) = panels()
    lines = []
    for size, rate, color, at in (
        (1, 0.03, ORANGE, (350, 0.02)), (32, 0.5, BLUE, (1500, 0.17)), (1024, 1.0, GREEN, (2500, 3.6)),
    ):  # fmt: skip
        model = lo.nn.Linear(64, 10, rng=0)
        step = lo.compile(
            lambda rows, labels: lo.losses.cross_entropy(model(rows), labels),  # noqa: B023
            optimizer=lo.optim.SGD(model, lr=rate),
        )
        rng = np.random.default_rng(0)
        losses = [
            float(step(rows, labels))
            for _ in range(EPOCHS)
            for rows, labels in lo.data.minibatches(X, y, batch_size=size, rng=rng)
        ]
        seen = size * np.arange(1, len(losses) + 1)
        width = max(1, 64 // size)
        smooth = np.convolve(losses, np.ones(width) / width, "valid")
        axes.plot(
            seen, losses, color=color, alpha=0.15 if size == 1 else 0.9, linewidth=0.6 if size == 1 else 2
        )
        axes.plot(seen[width - 1 :], smooth, color=color)
        words = {1: "one sample a step (and the mean of 64)", 32: "32 a step", 1024: "all 1 024 a step"}[size]
        label(axes, words, at, color)
        whole = lo.losses.cross_entropy(model(X), y).item()
        lines.append(f"loss of all data after {EPOCHS} epochs, {size} a step {whole:.3f}")
    axes.set(xlabel="samples seen", ylabel="loss of the batch", yscale="log", ylim=(1e-2, 8))
    axes.set_title("More steps for the same samples: small batches are ahead, and noisy")
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
