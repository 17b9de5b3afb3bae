"""Is it better to step after all samples, after a few, or after each one? It depends on what is counted.

Left: softmax on the digits, the loss of all of them against samples SEEN: small batches make many more
steps of the same data. Right: a line fitted to 40 noisy points; the full batch walks smoothly, single
samples zig-zag, and do not come to rest. Each step of the full batch is better, but it has seen all the
data for it.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from style import BLUE, GREEN, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "000": ["batch, mini-batch, stochastic descent"],
    "003": ["batch vs stochastic GD: the zig-zag pattern"],
}
KINDS = {"full batch": (None, BLUE), "batches of 32": (32, GREEN), "one sample": (1, ORANGE)}


def by_samples(size: int | None, rate: float, epochs: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Samples seen, and the loss of all digits then."""
    images, labels = load_digits(return_X_y=True)
    x, n = images / 16.0, len(images)
    W = lo.Parameter(np.zeros((64, 10)))
    step = lo.compile(
        lambda rows, y: lo.losses.cross_entropy(rows @ W, y), optimizer=lo.optim.SGD([W], lr=rate)
    )
    size = n if size is None else size
    every = max(1, 128 // size)
    seen, losses, rng = [0], [np.log(10.0)], np.random.default_rng(0)
    for _ in range(epochs):
        for k, (rows, y) in enumerate(
            lo.data.minibatches(x, labels, batch_size=size, rng=rng, drop_last=True), 1
        ):
            step(rows, y)
            if k % every == 0:
                seen.append(seen[-1] + every * size)
                losses.append(lo.losses.cross_entropy(x @ W.data, labels).item())
    return np.array(seen), np.array(losses)


def zigzag(size: int | None, steps: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Slope and intercept of a line, step after step; and the best line."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, 40)
    target = 0.8 * x + 0.3 + 0.4 * rng.standard_normal(40)
    w = lo.Parameter([-0.8, -0.8])
    step = lo.compile(
        lambda rows, t: lo.losses.mse(w[0] * rows + w[1], t), optimizer=lo.optim.SGD([w], lr=0.15)
    )
    places = [w.data.copy()]
    while len(places) <= steps:
        for rows, t in lo.data.minibatches(x, target, batch_size=size or 40, rng=rng, drop_last=True):
            step(rows, t)
            places.append(w.data.copy())
    return np.array(places[: steps + 1]), np.polyfit(x, target, 1)


def main(folder: Path) -> list[str]:
    """Loss against samples, and the walks in the plane of two numbers."""
    figure, (left, right) = panels(2, width_ratios=[1.2, 1])
    lines = []
    rates = {"full batch": 0.5, "batches of 32": 0.5, "one sample": 0.1}
    places_of_names = {"full batch": (2300, 1.75), "batches of 32": (2300, 0.75), "one sample": (1100, 0.01)}
    for name, (size, color) in KINDS.items():
        seen, losses = by_samples(size, rates[name])
        left.plot(seen, losses, ".-" if size is None else "-", color=color, linewidth=1.8)
        label(left, f"{name}, η = {rates[name]}", places_of_names[name], color)
        lines.append(f"loss after 3 epochs, {name} {losses[-1]:.3f}")
    left.set(xlabel="samples seen (3 epochs)", ylabel="loss of all digits", ylim=(-0.1, 2.4))
    left.set_title("softmax on the digits", fontsize=14)
    for name, (size, color) in reversed(KINDS.items()):
        walk, best = zigzag(8 if size == 32 else size)
        right.plot(*walk.T, ".-", color=color, linewidth=1.2, markersize=4)
        lines.append(
            f"length of the walk in 60 steps, {name.replace('32', '8')} "
            f"{np.linalg.norm(np.diff(walk, axis=0), axis=1).sum():.2f}"
        )
    right.plot(*best, "k*", markersize=16)
    right.set(xlabel="slope of a line", ylabel="intercept")
    right.set_title("a line fitted, 60 steps each", fontsize=14)
    label(right, "blue: all 40\ngreen: batches of 8\norange: one sample\n★ best line", (-0.3, -0.55))
    figure.suptitle(
        "The full batch walks smoothly; small batches get further on equal data (left)", fontsize=16
    )
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
