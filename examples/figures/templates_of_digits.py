"""What has a linear classifier learned of ten digits? Each row of its weights is an image: a template.

Red pixels speak for the digit, blue ones against it; the score is how well an image fits. Both losses find
much the same templates: the 0 has a hole where ink speaks against it. One template a class is all that it
has.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from style import panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "000": ["linear classifier s = Wx + b: the learned weights as images"],
    "002": ["interpreting a linear classifier: ten templates", "both losses on the same images"],
}
LOSSES = {"SVM": lo.losses.multiclass_hinge, "softmax": lo.losses.cross_entropy}


def templates(name: str, epochs: int = 40) -> tuple[np.ndarray, float]:
    """The weights of each class as an image, and the accuracy on images held back."""
    images, labels = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(
        images / 16.0, labels, test_size=0.25, stratify=labels, random_state=0
    )
    lo.seed(0)
    model = lo.nn.Linear(64, 10, rng=0)
    groups = lo.optim.split_decay(model, 1e-2)  # the weights decay, the biases do not
    lo.fit(
        model, LOSSES[name], (X, y), optimizer=lo.optim.SGD(groups, lr=0.05, momentum=0.9), epochs=epochs,
        batch_size=64, progress=False, rng=0,
    )  # fmt: skip
    W = next(p for p in model.parameters() if p.ndim == 2).data
    W = W.T if W.shape[0] == 64 else W
    return W.reshape(10, 8, 8), lo.training.accuracy(model(X_test).data, y_test)


def main(folder: Path) -> list[str]:
    """Two rows of five images for each loss, named beside them."""
    figure, axes = panels(6, 5, width_ratios=(1.6, 1, 1, 1, 1, 1), height_ratios=(1, 1, 0.15, 1, 1))
    lines = []
    for row, name in enumerate(LOSSES):
        images, accuracy = templates(name)
        largest = abs(images).max()
        block = axes[18 * row : 18 * row + 12]
        for digit, axis in enumerate(block[1:6] + block[7:]):
            axis.imshow(images[digit], cmap="RdBu_r", vmin=-largest, vmax=largest)
            axis.set(xticks=[], yticks=[])
            axis.set_ylabel(str(digit), fontsize=16, rotation=0, labelpad=12, va="center")
        for axis in (block[0], block[6]):
            axis.axis("off")
        block[0].text(
            0, 0, f"{name}:\n{accuracy:.1%} of images\nheld back are right", va="center", in_layout=False
        )
        lines.append(f"test accuracy with {name} {accuracy:.3f}")
    for axis in axes[12:18]:
        axis.axis("off")
    figure.suptitle("One template a class: red ink speaks for the digit, blue against it", fontsize=16)
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
