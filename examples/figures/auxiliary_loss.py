"""Does an auxiliary loss help? Where the main loss does not reach the first layers: very much. Else hardly.

A second loss is added to the main one while training, and its head is thrown away afterwards. Left: six
layers of sigmoids pass almost no gradient to the first ones; a small classifier on each hidden layer gives
them one (as in GoogLeNet). Relus pass it anyway, and the median does not move. Right: 60 labeled digits,
and a head that must paint the image again from the hidden layer: no gain, with 60 images or with 900. Each
point is a start and a draw of the digits, the bar is their median.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from style import BLACK, BLUE, ORANGE, panels, run, save

import tinygrad_lo as lo

SLIDES = {"003": ["an auxiliary loss that helps"], "004": ["auxiliary functions as a form of regularization"]}
PAGE = "training.md"
SEEDS = 5


def digits(seed: int) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """Shuffled images and labels, the first 900 to learn from; and the generator that goes on."""
    images, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    return (images[order] / 16).astype(np.float32), labels[order], rng


def linear(inputs: int, outputs: int, rng: np.random.Generator) -> lo.nn.Linear:
    """A layer in float32."""
    return lo.nn.Linear(inputs, outputs, dtype="float32", rng=rng)


def deep(activation, weight: float, seed: int, steps: int = 600) -> float:
    """Held-out accuracy of six hidden layers, each with a classifier whose loss counts by weight."""
    X, y, rng = digits(seed)
    layers = lo.nn.Sequential(*[linear(64 if k == 0 else 32, 32, rng) for k in range(6)])
    heads = lo.nn.Sequential(*[linear(32, 10, rng) for _ in range(6)])  # the last one is the main one

    def scores(x):
        for layer, head in zip(layers, heads, strict=True):
            x = activation(layer(x))
            yield head(x)

    def loss(x, labels):
        *others, main = (lo.losses.cross_entropy(s, labels) for s in scores(x))
        return main + weight * sum(others)

    step = lo.compile(loss, optimizer=lo.optim.Adam(lo.nn.Sequential(layers, heads), lr=0.003))
    for _ in range(steps):
        rows = rng.choice(900, 64)
        step(X[rows], y[rows])
    *_, main = scores(X[900:])
    return float((main.numpy().argmax(axis=1) == y[900:]).mean())


def painter(painted: int, seed: int, labeled: int = 60, steps: int = 400) -> float:
    """Held-out accuracy of one hidden layer, whose second head paints so many of the images again."""
    X, y, rng = digits(seed)
    trunk = lo.nn.Sequential(linear(64, 64, rng), lo.nn.ReLU())
    main, paint = linear(64, 10, rng), linear(64, 64, rng)

    def loss(seen):
        total = lo.losses.cross_entropy(main(trunk(X[:labeled])), y[:labeled])
        return total + 5 * lo.losses.mse(paint(trunk(seen)), seen) if painted else total

    net = lo.nn.Sequential(trunk, main, *[paint] * bool(painted))
    step = lo.compile(loss, optimizer=lo.optim.Adam(net, lr=0.003))
    for _ in range(steps):
        step(X[rng.choice(max(painted, 1), 64)])
    return float((main(trunk(X[900:])).numpy().argmax(axis=1) == y[900:]).mean())


def table(seeds: int = SEEDS) -> dict[str, dict[str, list[float]]]:
    """Held-out accuracies: experiment, kind, a number for each seed."""
    sigmoid, relu = (lambda weight, seed, f=f: deep(f, weight, seed) for f in (lo.nn.sigmoid, lo.nn.relu))
    heads = {"main loss\nonly": 0.0, "+ a head on\neach layer": 1.0}
    images = {"main loss\nonly": 0, "+ paint\nthe 60": 60, "+ paint\n900": 900}
    runs = {"six layers of sigmoids": (sigmoid, heads), "six layers of relus": (relu, heads),
            "60 labels, one layer": (painter, images)}  # fmt: skip
    return {
        name: {kind: [run(option, s) for s in range(seeds)] for kind, option in kinds.items()}
        for name, (run, kinds) in runs.items()
    }


def main(folder: Path) -> list[str]:
    """Accuracies with and without the auxiliary loss, in three experiments."""
    figure, axes = panels(3, sharey=True, width_ratios=(2, 2, 3))
    lines = []
    for axis, (name, kinds) in zip(axes, table().items(), strict=True):
        for i, (kind, values) in enumerate(kinds.items()):
            color, median = (BLUE if i else ORANGE), float(np.median(values))
            axis.plot([i] * len(values), values, "o", color=color, alpha=0.6)
            axis.plot([i - 0.3, i + 0.3], [median, median], color=color, linewidth=4)
            axis.text(i, 0.57, f"{median:.1%}", ha="center", color=BLACK)
            lines.append(f"{name}, {kind.replace(chr(10), ' ')}: median accuracy {median:.3f}")
        axis.set_xticks(range(len(kinds)), kinds, fontsize=11.5)
        axis.set(title=name, xlim=(-0.55, len(kinds) - 0.45), ylim=(0.55, 1.0))
    axes[0].set_ylabel("accuracy on digits held out")
    figure.suptitle("An auxiliary loss helps most where the main one hardly arrives", fontsize=16)
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
