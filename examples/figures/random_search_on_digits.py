"""How far does "a very bad idea" get: 1 000 random W, and keep the best? And how often is there a new best?

The lecture's loop on real digits, next to gradient descent with as many looks at the data. Try number n is
a record with probability 1/n, so 1 000 tries bring about 7.5. With the slide's size 0.0001 all losses are
near C − 1 = 9; larger W change that a bit, and none comes near what following the slope finds. (Both
searches draw the same directions, only longer: their records are much the same.)
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from style import BLACK, BLUE, GREEN, ORANGE, label, panels, run, save

import tinygrad_lo as lo
from tinygrad_lo.optim.search import SearchResult

SLIDES = {
    "002": ["strategy #1, random search: 1000 tries, 15.5 % accuracy", "strategy #2: follow the slope"],
    "000": ["how often does random search find an improvement?"],
}
Data = list[np.ndarray]


def digits() -> Data:
    """X, X_test, y, y_test, each image with a 1 for the bias, as on the slide."""
    images, labels = load_digits(return_X_y=True)
    X = np.hstack([images / 16.0, np.ones((len(images), 1))])
    return train_test_split(X, labels, test_size=0.25, stratify=labels, random_state=0)


def search(data: Data, size: float, tries: int = 1000) -> tuple[float, SearchResult]:
    """The slide's loop: the test accuracy of the best W, and the search."""
    X, X_test, y, y_test = data
    result = lo.optim.random_search(
        lambda W: lo.losses.multiclass_hinge(X @ W, y),
        lambda rng: size * rng.standard_normal((65, 10)), tries, rng=np.random.default_rng(0),
    )  # fmt: skip
    return lo.training.accuracy(X_test @ result.best, y_test), result


def descent(data: Data, steps: int = 1000) -> float:
    """The test accuracy after so many steps of gradient descent on all images, from W of size 0.0001."""
    X, X_test, y, y_test = data
    W = lo.Parameter(1e-4 * np.random.default_rng(0).standard_normal((65, 10)), name="W")
    optimizer = lo.optim.SGD(W, lr=0.05)
    step = lo.compile(lambda: lo.losses.multiclass_hinge(X @ W, y), optimizer=optimizer)
    for _ in range(steps):
        step()
    return lo.training.accuracy(X_test @ W.data, y_test)


def main(folder: Path) -> list[str]:
    """Accuracies as bars; the records of both searches against the sum of 1/n."""
    data = digits()
    (small, first), (large, second) = search(data, 1e-4), search(data, 0.1)
    slope = descent(data)
    figure, (left, right) = panels(2)
    words = ("best of 1 000,\nsize 0.0001", "best of 1 000,\nsize 0.1", "following\nthe slope")
    bars = left.bar(words, (small, large, slope), color=(BLUE, ORANGE, GREEN))
    left.bar_label(bars, fmt="%.3f", fontsize=14)
    left.axhline(0.1, color=BLACK, linestyle=":")
    left.tick_params(axis="x", labelsize=12)
    left.set(ylabel="accuracy on images held back", ylim=(0, 1.1))
    n = np.arange(1, 1001)
    right.plot(n, np.cumsum(1 / n), color=BLACK, linestyle="--")
    for result, color in ((first, BLUE), (second, ORANGE)):
        tries = [at + 1 for at, _ in result.history]
        right.step([*tries, 1000], [*range(1, len(tries) + 1), len(tries)], where="post", color=color)
    label(right, "dashed: expected, 1 + 1/2 + … + 1/n", (1.2, 10.5), BLACK, fontsize=13)
    right.set(xscale="log", xlabel="tries n", ylabel="new bests so far", ylim=(0, 11.5))
    figure.suptitle(
        "1 000 random W are hardly better than guessing (dotted); new bests get rare", fontsize=16
    )
    save(figure, folder)
    return [
        f"random search, size 0.0001 {small:.3f}", f"random search, size 0.1 {large:.3f}",
        f"gradient descent, 1000 steps {slope:.3f}",
        f"records {len(first.history)} and {len(second.history)}, expected {np.sum(1 / n):.1f}",
        f"best loss {first.loss:.4f} and {second.loss:.4f}",
    ]  # fmt: skip


if __name__ == "__main__":
    run(main)
