"""What is an epoch, and when are there enough? Once through all training data; validation says enough.

A small network on half of the digits. In the first epochs the loss of the batches jumps about; later the
training loss still falls, while the validation loss has stopped. Which epoch was best is marked.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from style import BLUE, GRAY, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "000": ["epoch, mini-batches without replacement"],
    "003": ["batch, epoch: the loss curve of a real run"],
}


def train(epochs: int = 40) -> tuple[list[float], list[float], list[float]]:
    """The losses of all batches, and of every epoch on training and on validation data."""
    images, labels = load_digits(return_X_y=True)
    x, x_val, y, y_val = train_test_split(
        images / 16.0, labels, test_size=0.5, stratify=labels, random_state=0
    )
    lo.seed(0)
    net = lo.nn.Sequential(lo.nn.Linear(64, 32), lo.nn.ReLU(), lo.nn.Linear(32, 10))
    step = lo.compile(
        lambda rows, t: lo.losses.cross_entropy(net(rows), t),
        optimizer=lo.optim.SGD(net, lr=0.1, momentum=0.9),
    )
    batches, training, validation, rng = [], [], [], np.random.default_rng(0)
    for _ in range(epochs):
        for rows, t in lo.data.minibatches(x, y, batch_size=32, rng=rng):
            batches.append(float(step(rows, t)))
        with lo.no_grad():
            training.append(lo.losses.cross_entropy(net(x), y).item())
            validation.append(lo.losses.cross_entropy(net(x_val), y_val).item())
    return batches, training, validation


def main(folder: Path) -> list[str]:
    """Loss of batches and of epochs."""
    batches, training, validation = train()
    epochs = np.arange(1, len(training) + 1)
    best = int(np.argmin(validation))
    figure, (axes,) = panels()
    axes.semilogy(
        np.arange(1, len(batches) + 1) * len(training) / len(batches), batches, color=GRAY, linewidth=0.6
    )
    axes.semilogy(epochs, training, color=BLUE)
    axes.semilogy(epochs, validation, color=ORANGE)
    axes.semilogy(best + 1, validation[best], "o", color=ORANGE, markersize=10)
    label(axes, f"validation: best in epoch {best + 1}", (17, 0.3), ORANGE)
    label(axes, "training", (40.4, training[-1]), BLUE)
    label(
        axes, "gray: each mini-batch of 32 (it drops at the last, small one of an epoch)", (4, 1.8), "#666666"
    )
    axes.set(xlabel="epochs", ylabel="cross-entropy", xlim=(0, 45.5), ylim=(1e-4, 4))
    axes.set_title("Training loss keeps falling; the validation loss has stopped long before")
    save(figure, folder)
    return [
        f"best validation epoch {best + 1}, loss {validation[best]:.3f}",
        f"last epoch: training {training[-1]:.4f}, validation {validation[-1]:.3f}",
    ]


if __name__ == "__main__":
    run(main)
