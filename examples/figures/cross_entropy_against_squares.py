"""Cross-entropy or the squared error under a softmax? On digits cross-entropy is ahead from the first steps.

A linear softmax classifier on half of the digits, full-batch gradient descent, each loss at the best rate
of a grid for each number of steps, median of five splits.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from style import BLUE, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {"004": ["cross-entropy against squared error under softmax"], "001": ["which loss for a softmax"]}
MARKS = (10, 50, 300)
RATES = (0.3, 1.0, 3.0, 10.0)


def accuracies(loss: str, seed: int, marks: tuple[int, ...] = MARKS) -> list[float]:
    """The best test accuracy of the grid after each number of steps."""
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X / 16, y, test_size=0.5, random_state=seed, stratify=y)
    hot = np.eye(10)[y]
    best = dict.fromkeys(marks, 0.0)
    for rate in RATES:
        model = lo.nn.Linear(64, 10, rng=seed)

        def loss_of(rows, labels, hot, model=model):
            scores = model(rows)
            if loss == "cross-entropy":
                return lo.losses.cross_entropy(scores, labels)
            return 10 * lo.losses.mse(lo.nn.softmax(scores), hot)

        step = lo.compile(loss_of, optimizer=lo.optim.SGD(model, lr=rate))
        for count in range(1, max(marks) + 1):
            step(X, y, hot)
            if count in best:
                best[count] = max(best[count], lo.training.accuracy(model(X_test), y_test))
    return list(best.values())


def main(folder: Path) -> list[str]:
    """Bars at 10, 50 and 300 steps."""
    figure, (axes,) = panels()
    lines = []
    for shift, loss, color, at in ((-0.2, "cross-entropy", BLUE, 0.99), (0.2, "squared error", ORANGE, 0.96)):
        median = np.median([accuracies(loss, seed) for seed in range(5)], axis=0)
        axes.bar(np.arange(3) + shift, median, width=0.38, color=color)
        for i, value in enumerate(median):
            label(axes, f"{value:.3f}", (i + shift, value + 0.012), color, ha="center", fontsize=12)
        label(axes, loss, (-0.4, at), color)
        lines += [f"{loss} after {count} steps {x:.3f}" for count, x in zip(MARKS, median, strict=True)]
    axes.set(xticks=range(3), xticklabels=[f"{n} steps" for n in MARKS], ylim=(0.6, 1.02))
    axes.set(ylabel="test accuracy (axis starts at 0.6)", xlabel="softmax of digits, median of five splits")
    axes.set_title("Each at its best rate, cross-entropy learns faster; in the end both are close")
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
