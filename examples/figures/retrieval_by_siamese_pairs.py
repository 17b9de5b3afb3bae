"""What does a siamese network learn from pairs? One distance that tells "the same" from "another".

The contrastive loss (1 − Y)½D² + Y½ max(0, m − D)² pulls similar pairs (Y = 0) together and pushes others
(Y = 1) until they are m apart, and no further. Pairs of held-out digits, an embedding in eight dimensions.
Before, the distances of both kinds overlap, even for the threshold that is best for them; after, half the
margin, which nothing was fitted to, tells them apart (both kinds count alike).
"""

from pathlib import Path

import numpy as np
from retrieval_by_triplets import data, quality
from style import BLACK, BLUE, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {"003": ["siamese (contrastive) loss"]}
PAGE = "training.md"
MARGIN, EPOCHS = 2.0, 60


def training(epochs: int = EPOCHS):
    """Held-out digits' labels, and their embeddings before and after."""
    X, X_test, y, y_test = data()
    X, X_test = X.astype(np.float32), X_test.astype(np.float32)
    rng = np.random.default_rng(0)
    linear = lambda m, n: lo.nn.Linear(m, n, dtype="float32", rng=rng)  # noqa: E731
    net = lo.nn.Sequential(linear(64, 128), lo.nn.ReLU(), linear(128, 8))
    before = net(X_test).numpy()
    opt = lo.optim.Adam(net, lr=0.003)
    schedule = lo.optim.CosineLR(opt, epochs)
    step = lo.compile(
        lambda a, b, other: lo.losses.contrastive(net(a), net(b), other, margin=MARGIN), optimizer=opt
    )
    for _ in range(epochs):
        for a, b, other in lo.data.minibatches(*lo.data.pairs(y, rng=rng), batch_size=64, rng=rng):
            step(X[a], X[b], other)
        schedule.step()
    return y_test, before, net(X_test).numpy()


def pairs_of(embedding: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distances of all pairs of the same class, and of all others."""
    i, j = np.triu_indices(len(labels), 1)
    distance = np.sqrt(((embedding[i] - embedding[j]) ** 2).sum(axis=1))
    same = labels[i] == labels[j]
    return distance[same], distance[~same]


def told_apart(same: np.ndarray, other: np.ndarray, threshold: float) -> float:
    """The share of right answers of a threshold, both kinds counting alike."""
    return float(((same < threshold).mean() + (other >= threshold).mean()) / 2)


def main(folder: Path) -> list[str]:
    """Histograms of both kinds of pairs."""
    y, before, after = training()
    figure, axes = panels(2, sharex=True)
    lines = []
    for axis, name, embedding in zip(axes, ("untrained", "trained"), (before, after), strict=True):
        same, other = pairs_of(embedding, y)
        thresholds = [MARGIN / 2] if name == "trained" else np.linspace(0, other.max(), 200)
        right, threshold = max((told_apart(same, other, t), t) for t in thresholds)
        bins = np.linspace(0, np.quantile(other, 0.999), 50)
        for distance, color in ((same, BLUE), (other, ORANGE)):
            axis.hist(distance, bins, density=True, color=color, alpha=0.65)
        axis.axvline(threshold, color=BLACK, linewidth=1.5, linestyle="--")
        axis.set(xlabel="distance D of a pair", yticks=[], ylabel="share of pairs")
        axis.set_title(f"{name}: the threshold\n(dashed) is right for {right:.1%}")
        recall, precision, _ = quality(embedding, y)
        lines += [f"pairs told apart, {name} {right:.3f}", f"recall@1, {name} {recall:.3f}"]
        lines += [f"mean average precision, {name} {precision:.3f}"]
        for words, distance, color in (("same digit", same, BLUE), ("another digit", other, ORANGE)):
            heights, edges = np.histogram(distance, bins, density=True)
            top = heights.argmax()
            at, side = (edges[top + 3], "left") if distance is other else (threshold - bins[1], "right")
            label(axis, words, (at, heights[top] * 1.02), color, va="bottom", ha=side)
        axis.set_ylim(0, axis.get_ylim()[1] * 1.1)
    figure.suptitle("Pairs teach one distance that tells the same digit from another", fontsize=16)
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
