"""Suppose that W has hinge loss 0. Is it the only one, and have we done anything useful by doubling it?

A linear classifier of real wines (13 measurements, 3 growers) is trained until its hinge loss is 0; then
all its weights are multiplied by k. From where the smallest margin is 1 (k = 0.85) the hinge loss stays 0,
and the margins grow with k: W is not unique. The softmax loss falls towards 0 though not one decision
changes: nothing useful was done.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_wine
from style import BLUE, GREEN, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "000": ["is a W with zero loss unique?"],
    "002": ['a "bug" with the loss: 2W has loss 0, too', "have we done anything useful by doubling W?"],
}


def scores_of_wines(epochs: int = 2500) -> tuple[np.ndarray, np.ndarray]:
    """Scores of all wines by a classifier whose hinge loss has reached 0, and the right answers."""
    X, y = load_wine(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    lo.seed(0)
    model = lo.nn.Linear(13, 3, rng=0)
    optimizer = lo.optim.SGD(model, lr=0.2, momentum=0.9)
    lo.fit(
        model, lo.losses.multiclass_hinge, (X, y), optimizer=optimizer, epochs=epochs, batch_size=None,
        progress=False,
    )  # fmt: skip
    return model(X).data, y


def smallest_margin(scores: np.ndarray, y: np.ndarray) -> float:
    """By how much the right score leads, for the wine where it leads least."""
    right = scores[np.arange(len(y)), y]
    others = np.where(np.arange(scores.shape[1]) == y[:, None], -np.inf, scores)
    return float((right - others.max(axis=1)).min())


def main(folder: Path) -> list[str]:
    """Both losses and the smallest margin, against the factor k."""
    scores, y = scores_of_wines()
    factor = np.linspace(0, 4, 201)
    hinge = [float(lo.losses.multiclass_hinge(k * scores, y)) for k in factor]
    softmax = [float(lo.losses.cross_entropy(k * scores, y)) for k in factor]
    figure, (left, right) = panels(2)
    left.plot(factor, [loss or np.nan for loss in hinge], color=BLUE)  # a logarithmic axis has no 0
    left.plot(factor, softmax, color=ORANGE)
    enough = 1 / smallest_margin(scores, y)
    for panel in (left, right):
        panel.axvline(enough, color="0.7", linestyle=":")
    label(left, f"SVM: 0 from k = {enough:.2f} on,\nwhere the margin reaches 1", (0.95, 0.25), BLUE)
    label(left, "softmax: never 0", (2.2, 0.004), ORANGE)
    left.set(xlabel="all weights times k", ylabel="loss of all wines", yscale="log", ylim=(1e-5, 3))
    right.plot(factor, [smallest_margin(k * scores, y) for k in factor], color=GREEN)
    accuracy = [lo.training.accuracy(k * scores, y) for k in factor[1:]]
    label(right, f"accuracy {min(accuracy):.1f} for every k > 0", (1.2, 0.5), "0.3")
    right.set(xlabel="all weights times k", ylabel="smallest margin of a wine", xlim=(0, 4.1), ylim=(0, 5))
    figure.suptitle(
        "Doubling W doubles the margins; the hinge loss stays 0, no decision changes", fontsize=16
    )
    save(figure, folder)
    lines = []
    for k in (1, 2):
        at = k * scores
        lines += [
            f"hinge of {k} W {float(lo.losses.multiclass_hinge(at, y)):.4f}",
            f"softmax of {k} W {float(lo.losses.cross_entropy(at, y)):.4f}",
            f"smallest margin of {k} W {smallest_margin(at, y):.3f}",
        ]
    car = lo.data.lectures.cat_car_frog
    for k in (1, 2):
        loss = float(lo.losses.multiclass_hinge(k * car.scores[1:2], [1]))
        lines.append(f"the slide's car, hinge of {k} W {loss:.3f}")
    return [*lines, f"accuracy of every k W {accuracy[0]:.3f}" + ("" if len({*accuracy}) == 1 else " no")]


if __name__ == "__main__":
    run(main)
