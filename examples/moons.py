"""Two moons, a small network, and the border that it learns.

A linear classifier cannot follow the moons; two hidden layers of relus can. The picture shows the
predicted probability, the border at 1/2, and the points of the test.

python examples/moons.py [folder for the picture]
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

import tinygrad_lo as lo

mpl.use("Agg")  # draws into files, without a screen

from matplotlib import pyplot as plt
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

SEED = 0
EPOCHS = 60
BATCH = 32
COLORS = ("#0072B2", "#D55E00")  # blue and vermilion, which everybody can tell apart


def model() -> lo.nn.Sequential:
    """Two numbers in, the score of the second moon out."""
    return lo.nn.Sequential(
        lo.nn.Linear(2, 16), lo.nn.ReLU(),
        lo.nn.Linear(16, 16), lo.nn.ReLU(),
        lo.nn.Linear(16, 1),
    )  # fmt: skip


def train(net: lo.nn.Sequential, X: np.ndarray, y: np.ndarray) -> float:
    """Adam on shuffled mini-batches. Returns the mean loss of the last epoch."""
    optimizer = lo.optim.Adam(net, lr=0.01)
    for _ in range(EPOCHS):
        losses = []
        for rows, labels in lo.data.minibatches(X, y, batch_size=BATCH):
            optimizer.zero_grad()
            loss = lo.losses.binary_cross_entropy_with_logits(net(rows)[:, 0], labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return float(np.mean(losses))


@lo.no_grad()
def scores(net: lo.nn.Sequential, X: np.ndarray) -> np.ndarray:
    """One score for each row; above 0 it is the second moon."""
    return net(X).numpy()[:, 0]


def picture(net: lo.nn.Sequential, X: np.ndarray, y: np.ndarray, title: str) -> Figure:
    """The plane colored by the predicted probability, the border, and the points."""
    low, high = X.min(axis=0) - 0.4, X.max(axis=0) + 0.4
    across, up = np.meshgrid(np.linspace(low[0], high[0], 300), np.linspace(low[1], high[1], 200))
    plane = np.stack([across.ravel(), up.ravel()], axis=1)
    probability = lo.nn.sigmoid(scores(net, plane)).reshape(across.shape)

    figure, axes = plt.subplots(figsize=(7, 4.6), layout="constrained")
    shades = LinearSegmentedColormap.from_list("moons", ["#7FB8D8", "white", "#EAAE7F"])
    shown = axes.imshow(
        probability, cmap=shades, vmin=0, vmax=1, origin="lower", interpolation="bilinear",
        extent=(low[0], high[0], low[1], high[1]),
    )  # fmt: skip
    axes.contour(across, up, probability, levels=[0.5], colors="black", linewidths=1.5)
    for label, (color, marker) in enumerate(zip(COLORS, "o^", strict=True)):
        axes.scatter(
            *X[y == label].T, s=16, c=color, marker=marker, edgecolors="white", linewidths=0.4,
            label=f"moon {label}",
        )  # fmt: skip
    figure.colorbar(shown, ax=axes, shrink=0.85, label="predicted probability of moon 1")
    axes.set(title=title, xlabel="x₁", ylabel="x₂")
    axes.legend(loc="lower right", framealpha=0.9)
    return figure


def main() -> None:
    """Train, measure on fresh points, save the picture."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "output"
    folder.mkdir(parents=True, exist_ok=True)
    lo.seed(SEED)
    X_train, y_train = lo.data.two_moons(400, noise=0.15)
    X_test, y_test = lo.data.two_moons(1000, noise=0.15)

    net = model()
    print(net)
    print(f"mean loss of the last epoch: {train(net, X_train, y_train):.4f}")
    accuracy = float(((scores(net, X_test) > 0) == y_test).mean())
    print(f"accuracy {accuracy:.3f} on fresh points")
    path = folder / "moons.png"
    title = f"Two moons: {accuracy:.1%} of {len(X_test)} fresh points are right"
    picture(net, X_test, y_test, title).savefig(path, dpi=150)
    print(f"the picture is in {path}")


if __name__ == "__main__":
    main()
