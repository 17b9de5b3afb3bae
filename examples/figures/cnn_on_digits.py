"""What does a small convolutional network see? Its filters, and the digits that it still gets wrong.

Two convolutions with relus and pooling and one linear layer, trained in seconds on handwritten digits of
8 × 8 pixels: median accuracy of five splits; the filters and the errors are those of the first split.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from style import panels, run, save

import tinygrad_lo as lo

SLIDES = {"003": ["vanilla CNN for classification", "filters and feature maps"]}
PAGE = "training.md"
EPOCHS = 16


def network(seed: int) -> lo.nn.Sequential:
    """6 090 parameters."""
    rng = np.random.default_rng(seed)
    conv = lambda m, n: lo.nn.Conv2d(m, n, 3, padding="same", dtype="float32", rng=rng)  # noqa: E731
    return lo.nn.Sequential(
        conv(1, 16), lo.nn.ReLU(), lo.nn.MaxPool2d(2), conv(16, 32), lo.nn.ReLU(), lo.nn.MaxPool2d(2),
        lo.nn.Flatten(), lo.nn.Linear(128, 10, dtype="float32", rng=rng),
    )  # fmt: skip


def training(seed: int, epochs: int = EPOCHS):
    """A trained network, and the images and labels that were held back."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).reshape(-1, 1, 8, 8).astype(np.float32)
    X, X_test, y, y_test = train_test_split(
        images, labels, test_size=0.25, stratify=labels, random_state=seed
    )
    net = network(seed)
    opt = lo.optim.Adam(net, lr=0.004)
    schedule = lo.optim.CosineLR(opt, epochs)
    lo.fit(
        net,
        lo.losses.cross_entropy,
        (X, y),
        optimizer=opt,
        schedule=schedule,
        epochs=epochs,
        progress=False,
        rng=seed,
    )
    return net, X_test, y_test


def main(folder: Path) -> list[str]:
    """The sixteen filters of the first layer, and the images that are misread."""
    accuracies, wrong = [], []
    for seed in range(5):
        net, X_test, y_test = training(seed)
        guess = net(X_test).numpy().argmax(axis=1)
        accuracies.append(float((guess == y_test).mean()))
        if seed == 0:
            filters = net[0].weight.numpy()[:, 0]
            wrong = [(X_test[i, 0], y_test[i], guess[i]) for i in np.flatnonzero(guess != y_test)]
    figure, axes = panels(8, 3)
    for axis, image in zip(axes[:16], filters, strict=True):
        axis.imshow(image, cmap="RdBu_r", vmin=-abs(filters).max(), vmax=abs(filters).max())
    for axis in axes:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(axis in axes[:16])
    for axis, (image, truth, guess) in zip(axes[16:], wrong, strict=False):
        axis.imshow(image, cmap="gray_r")
        axis.set_title(f"is {truth},\nread as {guess}", fontsize=13)
    median = float(np.median(accuracies))
    figure.suptitle(
        f"Filters of 3 × 3 (red +, blue −) read {median:.1%} of digits; these are misread", fontsize=16
    )
    figure.supxlabel(
        f"{median:.1%}: median of five splits; filters and errors: of one with {accuracies[0]:.1%}",
        fontsize=14,
    )
    save(figure, folder)
    return [f"cnn accuracy {median:.3f}", f"cnn accuracies {' '.join(f'{a:.3f}' for a in accuracies)}"]


if __name__ == "__main__":
    run(main)
