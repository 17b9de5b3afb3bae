"""Which digit is it, and by how much is it turned? One trunk answers both, with two heads.

Digits are turned by up to 45° to either side. The loss is the cross-entropy of the class plus the Huber
loss of the angle, one number in R. Its error on held-out digits is told beside that of always answering
with the mean. Hands slant, and nobody says by how much: a digit that is not turned need not be upright. The
settings were chosen on a part of the training digits, not on the held-out ones.
"""

from pathlib import Path

import numpy as np
from scipy.ndimage import rotate
from sklearn.datasets import load_digits
from style import BLUE, GRAY, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "001": ["regression heads: the angle of a string in R"],
    "003": ["classification and regression with one CNN", "auxiliary and multi-task losses"],
}
PAGE = "training.md"
COPIES, EPOCHS, TURN, HELD_OUT = 24, 8, 45.0, 450


def turned(copies: int, seed: int, part: slice):
    """Digits of a part, turned at random on a canvas of 12 × 12: images, labels, angles in degrees."""
    rng = np.random.default_rng(seed)
    images, labels = load_digits(return_X_y=True)
    chosen = np.tile(np.random.default_rng(9).permutation(len(labels))[part], copies)
    canvas = np.pad(images[chosen].reshape(-1, 8, 8) / 16, ((0, 0), (2, 2), (2, 2)))
    angles = rng.uniform(-TURN, TURN, len(chosen))
    pairs = zip(canvas, angles, strict=True)
    X = np.stack([rotate(image, angle, reshape=False, order=1) for image, angle in pairs])
    return X[:, None].astype(np.float32), labels[chosen], angles.astype(np.float32)


class Heads(lo.nn.Module):
    """A convolutional trunk, and a linear head for each question."""

    def __init__(self):
        rng = np.random.default_rng(0)
        conv = lambda m, n: lo.nn.Conv2d(m, n, 3, padding="same", dtype="float32", rng=rng)  # noqa: E731
        linear = lambda m, n: lo.nn.Linear(m, n, dtype="float32", rng=rng)  # noqa: E731
        self.trunk = lo.nn.Sequential(
            conv(1, 24), lo.nn.ReLU(), lo.nn.MaxPool2d(2), conv(24, 32), lo.nn.ReLU(), lo.nn.MaxPool2d(2),
            lo.nn.Flatten(), linear(288, 64), lo.nn.ReLU(),
        )  # fmt: skip
        self.label, self.angle = linear(64, 10), linear(64, 1)

    def forward(self, images):
        """Scores of the classes, and the angle in units of 45°."""
        hidden = self.trunk(images)
        return self.label(hidden), self.angle(hidden).reshape(-1)


def both(prediction, target):
    """Cross-entropy and four times Huber, added: the angle is in units of 45°, its error small."""
    return lo.losses.cross_entropy(prediction[0], target[0]) + 4.0 * lo.losses.huber(prediction[1], target[1])


def training(copies: int = COPIES, epochs: int = EPOCHS):
    """Fresh digits, the scores and angles that the heads give them, and the mean angle of the training."""
    X, y, angles = turned(copies, 0, slice(HELD_OUT, None))
    fresh = turned(1, 1, slice(0, HELD_OUT))
    net = Heads()
    opt = lo.optim.Adam(net, lr=0.0015)
    options = {"schedule": lo.optim.CosineLR(opt, epochs), "epochs": epochs, "batch_size": 64}
    lo.fit(net, both, (X, (y, angles / TURN)), optimizer=opt, progress=False, rng=0, **options)
    scores, found = net(fresh[0])
    return fresh, scores.numpy(), found.numpy() * TURN, float(angles.mean())


def main(folder: Path) -> list[str]:
    """Six fresh digits with the needle of the head, and all angles against the truth."""
    (X, y, angles), scores, found, mean = training()
    guess = scores.argmax(axis=1)
    error, of_mean = float(abs(found - angles).mean()), float(abs(mean - angles).mean())
    figure, axes = panels(5, 2, width_ratios=(1, 1, 1, 0.2, 3.4))
    grid = axes[0].get_gridspec()
    for axis in (axes[3], axes[4], axes[8], axes[9]):
        axis.remove()
    for i, axis in enumerate(axes[:3] + axes[5:8]):
        axis.imshow(X[i, 0], cmap="gray_r")
        for angle, color in ((angles[i], BLUE), (found[i], ORANGE)):
            x, up = 5.2 * np.sin(np.deg2rad(-angle)), 5.2 * np.cos(np.deg2rad(angle))
            axis.plot([5.5 - x, 5.5 + x], [5.5 + up, 5.5 - up], color=color, linewidth=2)
        axis.set(xticks=[], yticks=[])
        answer, truth = (f"{round(float(a[i])):+d}°".replace("-", "−") for a in (found, angles))
        axis.set_title(f"read {guess[i]}\nhead {answer}\ntruth {truth}", fontsize=13)
    plot = figure.add_subplot(grid[:, 4])
    plot.plot([-50, 50], [-50, 50], color=BLUE, linewidth=1.5)
    plot.plot([-50, 50], [mean, mean], color=GRAY, linewidth=1.5)
    plot.plot(angles, found, "o", color=ORANGE, markersize=3, alpha=0.7)
    label(plot, f"always the mean:\n{of_mean:.1f}° off", (10, mean - 8), GRAY)
    label(plot, f"the head: {error:.1f}° off", (-48, 42), ORANGE)
    plot.set(
        xlabel="turned by, degrees", ylabel="the head's answer", xticks=[-45, 0, 45], yticks=[-45, 0, 45]
    )
    figure.suptitle(
        "Which digit, and how far turned, from one trunk (blue: truth, orange: head)", fontsize=16
    )
    save(figure, folder)
    accuracy = float((guess == y).mean())
    return [f"accuracy of the class {accuracy:.3f}", f"error of the angle, in degrees {error:.2f}",
            f"error of the mean angle {of_mean:.2f}"]  # fmt: skip


if __name__ == "__main__":
    run(main)
