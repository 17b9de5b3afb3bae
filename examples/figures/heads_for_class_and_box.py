"""One trunk, two heads: what and where? A class, and the box of a digit that lies anywhere on a canvas.

The loss is the cross-entropy of the class plus the Huber loss of the box in R⁴ (left, top, right, bottom).
The error of the box is told beside that of always answering with the mean box. The true box leaves out
pixels paler than a fifth of black.
"""

from pathlib import Path

import numpy as np
from matplotlib.patches import Rectangle
from sklearn.datasets import load_digits
from style import BLUE, ORANGE, panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "001": ["regression heads: a bounding box in R⁴"],
    "003": ["classification and regression with one CNN", "auxiliary and multi-task losses"],
}
PAGE = "training.md"
SIZE, EPOCHS = 20, 12


def scenes(copies: int, seed: int, half: slice):
    """Digits at random places of a canvas: images, labels, boxes."""
    rng = np.random.default_rng(seed)
    images, labels = load_digits(return_X_y=True)
    chosen = np.tile(np.random.default_rng(9).permutation(len(labels))[half], copies)
    images, labels = images[chosen], labels[chosen]
    canvas, boxes = np.zeros((len(labels), 1, SIZE, SIZE), np.float32), np.zeros((len(labels), 4), np.float32)
    for i, image in enumerate(images.reshape(-1, 8, 8) / 16):
        top, left = rng.integers(0, SIZE - 7, 2)
        canvas[i, 0, top : top + 8, left : left + 8] = image
        columns, rows = np.flatnonzero(image.max(axis=0) > 0.2), np.flatnonzero(image.max(axis=1) > 0.2)
        boxes[i] = left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1
    return canvas, labels, boxes


class Heads(lo.nn.Module):
    """A convolutional trunk, and a linear head for each question."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.first = lo.nn.Conv2d(1, 16, 5, stride=2, padding=2, dtype="float32", rng=rng)
        self.second = lo.nn.Conv2d(16, 32, 3, padding=1, dtype="float32", rng=rng)
        self.trunk = lo.nn.Linear(32 * 25, 96, dtype="float32", rng=rng)
        self.label = lo.nn.Linear(96, 10, dtype="float32", rng=rng)
        self.box = lo.nn.Linear(96, 4, dtype="float32", rng=rng)

    def forward(self, images):
        """Scores of the classes, and the box in pixels."""
        hidden = lo.nn.max_pool2d(self.second(self.first(images).relu()).relu(), 2)
        hidden = self.trunk(hidden.reshape(hidden.shape[0], -1)).relu()
        return self.label(hidden), self.box(hidden) * 10.0 + 10.0


def both(prediction, target):
    """Cross-entropy and Huber, added."""
    return lo.losses.cross_entropy(prediction[0], target[0]) + 0.3 * lo.losses.huber(prediction[1], target[1])


def training(copies: int = 14, epochs: int = EPOCHS):
    """Trained heads, fresh scenes, and what the heads say of them."""
    X, y, boxes = scenes(copies, 0, slice(0, 1300))
    fresh = scenes(1, 1, slice(1300, None))
    net = Heads()
    opt = lo.optim.Adam(net, lr=0.002)
    options = {"schedule": lo.optim.CosineLR(opt, epochs), "epochs": epochs, "batch_size": 64}
    lo.fit(net, both, (X, (y, boxes)), optimizer=opt, progress=False, rng=0, **options)
    scores, found = net(fresh[0])
    return fresh, scores.numpy(), found.numpy(), boxes.mean(axis=0)


def main(folder: Path) -> list[str]:
    """Ten fresh scenes with their boxes."""
    (X, y, boxes), scores, found, mean = training()
    guess = scores.argmax(axis=1)
    accuracy = float((guess == y).mean())
    error, of_mean = float(abs(found - boxes).mean()), float(abs(mean - boxes).mean())
    figure, axes = panels(5, 2)
    for i, axis in enumerate(axes):
        axis.imshow(X[i, 0], cmap="gray_r")
        for box, color in ((boxes[i], BLUE), (found[i], ORANGE)):
            corner, size = box[:2] - 0.5, box[2:] - box[:2]
            axis.add_patch(Rectangle(corner, *size, fill=False, edgecolor=color, linewidth=2))
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(True)
        axis.set_title(f"read {guess[i]}", fontsize=12)
    words = f"class right: {accuracy:.1%}; box {error:.2f} pixels off, always the mean box {of_mean:.2f}"
    figure.supxlabel(f"images held back: {words}", fontsize=14)
    figure.suptitle("What and where from one trunk (blue: the truth, orange: the head)", fontsize=16)
    save(figure, folder)
    return [
        f"accuracy of the class {accuracy:.3f}", f"error of the box, in pixels {error:.3f}",
        f"error of the mean box {of_mean:.3f}",
    ]  # fmt: skip


if __name__ == "__main__":
    run(main)
