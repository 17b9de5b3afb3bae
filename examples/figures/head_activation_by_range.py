"""Which activation should a regression head have? One whose range is that of the target, and not more.

The same network with five heads, on four targets of real data with the mean squared error. Cells show the
error on held-out rows as a share of the target's variance, and how many answers lie outside of the target's
range. Sigmoid and tanh cannot reach most of a target that is not scaled. A relu may die, and with it what
it should have learned; softplus is the smooth one. A head without an activation is never far off, but may
answer with what cannot be.
"""

import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes, load_digits
from style import BLACK, panels, run, save

import tinygrad_lo as lo

SLIDES = {"003": ["activation function for regression: by the range of its target", "dying ReLU in a head"]}
PAGE = "training.md"
EPOCHS, LR = 40, 0.005
HEADS = {
    "none": lambda z: z, "relu": lo.nn.relu, "softplus": lo.nn.softplus, "sigmoid": lo.nn.sigmoid,
    "tanh": lo.nn.tanh,
}  # fmt: skip


def targets() -> dict[str, tuple[np.ndarray, np.ndarray, float, float]]:
    """Name: inputs, targets (N, outputs), and the range that the targets have by their nature."""
    X, y = load_diabetes(return_X_y=True)
    X, y = X / X.std(0), y[:, None]
    images = load_digits().data[:600] / 16
    upper, lower = images[:, :32], images[:, 32:]
    return {
        "any number: progression\nof a disease − mean": (X, (y - y.mean()) / 25, -np.inf, np.inf),
        "at least 0:\nthe progression itself": (X, y / 25, 0.0, np.inf),
        "0 to 1: ink in the\nlower half of digits": (upper, lower, 0.0, 1.0),
        "−1 to 1:\nthe same ink, shifted": (upper, 2 * lower - 1, -1.0, 1.0),
    }


def quality(X, y, low: float, high: float, head, seed: int) -> tuple[float, float]:
    """Held-out squared error as a share of the variance, and the share of answers outside of the range."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(X))
    test, train = order[: len(X) // 3], order[len(X) // 3 :]
    net = lo.nn.Sequential(
        lo.nn.Linear(X.shape[1], 24, rng=rng), lo.nn.Tanh(), lo.nn.Linear(24, y.shape[1], rng=rng)
    )
    opt = lo.optim.Adam(net, lr=LR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "fit: .* of the relus")  # dead heads are what the table shows
        lo.fit(lambda x: head(net(x)), lo.losses.mse, (X[train], y[train]), optimizer=opt, epochs=EPOCHS,
               progress=False, rng=seed)  # fmt: skip
    answers = np.asarray(head(net(X[test]).numpy()))
    outside = (answers < low) | (answers > high)
    return float(((answers - y[test]) ** 2).mean() / y[test].var(axis=0).mean()), float(outside.mean())


def table() -> np.ndarray:
    """(targets, heads, 2): medians of three seeds."""
    return np.array([
        [np.median([quality(*rows, head, seed) for seed in range(3)], axis=0) for head in HEADS.values()]
        for rows in targets().values()
    ])  # fmt: skip


def main(folder: Path) -> list[str]:
    """A table of errors, the lowest of each row in bold."""
    found, names = table(), list(targets())
    figure, (axes,) = panels()
    axes.imshow(np.minimum(found[..., 0], 1.5), cmap="YlOrBr", vmin=0.2, vmax=2.2, aspect="auto")
    for i, j in np.ndindex(found.shape[:2]):
        error, outside = found[i, j]
        best = error <= found[i, :, 0].min() + 0.01
        axes.text(j, i - 0.12, f"{error:.2f}", ha="center", va="center", color=BLACK, fontsize=17,
                  weight="bold" if best else "normal")  # fmt: skip
        axes.text(j, i + 0.25, f"{outside:.0%} outside", ha="center", va="center", fontsize=12)
    axes.set_xticks(range(5), HEADS)
    axes.set_yticks(range(4), names, fontsize=12)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="activation of the head (bold: lowest error / variance on held-out rows)")
    axes.set_title("The error is lowest, or nearly, where head and target have the same range")
    save(figure, folder)
    lines = []
    for name, row in zip(names, found, strict=True):
        cells = ", ".join(
            f"{head} {e:.2f} ({o:.0%} outside)" for head, (e, o) in zip(HEADS, row, strict=True)
        )
        lines.append(f"{name.replace(chr(10), ' ')}: {cells}")
    return lines


if __name__ == "__main__":
    run(main)
