"""Can a network learn what is alike? Digits in eight dimensions, where the nearest ones are the same digit.

A triplet pulls an anchor to one of its class and pushes one of another away, after five epochs one of the
nearest wrong ones (mining). Recall@1: is the nearest neighbour of the same class; mean average precision:
do all of the same class come first. Held-out digits, before and after.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import average_precision_score
from sklearn.model_selection import train_test_split
from style import BLACK, GREEN, ORANGE, panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "001": ["triplet loss [‖a−p‖² + α − ‖a−n‖²]⁺"],
    "003": ["triplet ranking and retrieval", "negative mining", "ranked neighbours before and after"],
}
PAGE = "training.md"
EPOCHS, RANDOM = 60, 5  # the first epochs have random negatives


def data():
    """Training and held-out digits."""
    X, y = load_digits(return_X_y=True)
    return train_test_split(X / 16, y, test_size=0.3, stratify=y, random_state=0)


def distances(embedding: np.ndarray) -> np.ndarray:
    """Squared, of all pairs."""
    return ((embedding[:, None] - embedding) ** 2).sum(axis=-1)


def quality(embedding: np.ndarray, labels: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Recall@1, mean average precision, and the order of all others for each."""
    distance = distances(embedding)
    np.fill_diagonal(distance, np.inf)
    order = distance.argsort(axis=1)[:, :-1]
    same = labels[order] == labels[:, None]
    precisions = [average_precision_score(row, -np.arange(len(row))) for row in same]
    return float(same[:, 0].mean()), float(np.mean(precisions)), order


def training(epochs: int = EPOCHS):
    """The network before and after, as functions of images."""
    X, X_test, y, y_test = data()
    rng = np.random.default_rng(0)
    net = lo.nn.Sequential(lo.nn.Linear(64, 128, rng=rng), lo.nn.ReLU(), lo.nn.Linear(128, 8, rng=rng))
    before = net(X_test).numpy()
    opt = lo.optim.Adam(net, lr=0.002)
    schedule = lo.optim.CosineLR(opt, epochs)
    step = lo.compile(lambda a, p, n: lo.losses.triplet(net(a), net(p), net(n), margin=2.0), optimizer=opt)
    for epoch in range(epochs):
        anchors, positives, negatives = lo.data.triplets(y, rng=rng)
        if epoch >= RANDOM:  # mined: one of the twenty nearest of the wrong ones
            wrong = np.where(y[:, None] == y, np.inf, distances(net(X).numpy()))
            nearest = np.argpartition(wrong, 20, axis=1)[:, :20]
            negatives = nearest[anchors, rng.integers(0, 20, len(anchors))]
        for a, p, n in lo.data.minibatches(anchors, positives, negatives, batch_size=64, rng=rng):
            step(X[a], X[p], X[n])
        schedule.step()
    return X_test, y_test, before, net(X_test).numpy()


def main(folder: Path) -> list[str]:
    """Three queries with their seven nearest, before and after."""
    X, y, before, after = training()
    figure, axes = panels(8, 6, figsize=(9.6, 6.4))
    lines = []
    for part, (name, embedding) in enumerate((("untrained", before), ("trained", after))):
        recall, precision, order = quality(embedding, y)
        lines += [f"recall@1, {name} {recall:.3f}", f"mean average precision, {name} {precision:.3f}"]
        for row, query in enumerate((3, 8, 17)):
            line = axes[(3 * part + row) * 8 :][:8]
            for axis, i in zip(line, [query, *order[query, :7]], strict=True):
                axis.imshow(X[i].reshape(8, 8), cmap="gray_r")
                axis.set(xticks=[], yticks=[])
                axis.spines[:].set_visible(True)
                axis.spines[:].set_color(GREEN if y[i] == y[query] else ORANGE)
                axis.spines[:].set_linewidth(3)
            line[0].spines[:].set_color(BLACK)
            line[0].set_ylabel(name, fontsize=11)
    raw, raw_precision, _ = quality(X, y)
    figure.suptitle("A query (black) and its nearest seven: green is the same digit", fontsize=16)
    save(figure, folder)
    return [
        *lines,
        f"recall@1, raw pixels {raw:.3f}",
        f"mean average precision, raw pixels {raw_precision:.3f}",
    ]


if __name__ == "__main__":
    run(main)
