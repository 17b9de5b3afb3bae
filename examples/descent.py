"""Pictures of descent, as in lecture 003: four ways in which the next step can go.

* learning rates: too small, right, too large, on the same valley;
* zig-zag: batch against mini-batch against one sample at a time, on a line fitted to noisy points;
* momentum: what old gradients do in a narrow valley;
* a surface with a saddle and two minima, and the paths of the optimizers over it.

    python examples/descent.py [folder for the pictures]
"""

import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import tinygrad_lo as lo

INK = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#000000"]  # told apart by everybody
Surface = Callable[[lo.Tensor], lo.Tensor]


def valley(w: lo.Tensor) -> lo.Tensor:
    """A narrow valley: ten times as steep across as along."""
    return (w * w * np.array([1.0, 10.0])).sum() * 0.5


def saddle(w: lo.Tensor) -> lo.Tensor:
    """Two minima at (±1, 0), the left one deeper, with a saddle between them."""
    x, y = w[0], w[1]
    return (x**2 - 1.0) ** 2 + 0.3 * x + 2.0 * y**2


def path(
    f: Surface, start: list[float], make: Callable[[list[lo.Parameter]], lo.optim.SGD], steps: int
) -> np.ndarray:
    """Where an optimizer goes: (steps + 1, 2)."""
    w = lo.Parameter(start)
    optimizer = make([w])
    places = [w.data]
    for _ in range(steps):
        optimizer.zero_grad()
        f(w).backward()
        optimizer.step()
        places.append(w.data)
    return np.array(places)


def contours(axes: plt.Axes, f: Surface, xs: tuple[float, float], ys: tuple[float, float]) -> None:
    """Level lines of f."""
    x, y = np.linspace(*xs, 160), np.linspace(*ys, 120)
    with lo.no_grad():
        z = np.array([[f(lo.Tensor([a, b])).item() for a in x] for b in y])
    levels = np.quantile(z, np.linspace(0.02, 0.95, 14))
    axes.contour(x, y, z, levels=levels, colors="#bbbbbb", linewidths=0.8)
    axes.set_xlim(*xs)
    axes.set_ylim(*ys)


def learning_rates() -> plt.Figure:
    """The crucial parameter of gradient descent."""
    figure, all_axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    rates = [(0.01, "too small"), (0.15, "right"), (0.205, "too large")]
    for axes, (lr, word) in zip(all_axes, rates, strict=True):
        contours(axes, valley, (-2.3, 2.3), (-1.6, 1.6))
        places = path(valley, [-2.0, 1.0], lambda p, lr=lr: lo.optim.SGD(p, lr=lr), 20)
        axes.plot(*places.T, "o-", color=INK[0], markersize=3)
        axes.set_title(f"learning rate {lr}: {word}")
    return figure


def zigzag() -> plt.Figure:
    """A line fitted to forty points: with all of them, eight or one at a time."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (40, 1))
    target = (0.8 * x + 0.3 + 0.4 * rng.standard_normal((40, 1)))[:, 0]

    def loss(w: lo.Tensor, rows: np.ndarray, t: np.ndarray) -> lo.Tensor:
        return lo.losses.mse(w[0] * rows[:, 0] + w[1], t)

    figure, axes = plt.subplots(figsize=(6.5, 5), layout="constrained")
    contours(axes, lambda w: loss(w, x, target), (-1.3, 1.3), (-1.2, 1.0))
    kinds = [(1, "one sample", INK[1]), (8, "mini-batches of 8", INK[2]), (40, "the whole batch", INK[0])]
    for size, name, ink in kinds:
        w = lo.Parameter([-1.0, -1.0])
        optimizer = lo.optim.SGD([w], lr=0.15)
        places = [w.data]
        while len(places) <= 40:
            for rows, t in lo.data.minibatches(x, target, batch_size=size, rng=len(places)):
                optimizer.zero_grad()
                loss(w, rows, t).backward()
                optimizer.step()
                places.append(w.data)
        axes.plot(*np.array(places[:41]).T, ".-", color=ink, label=name, linewidth=1)
    axes.set(title="Forty steps", xlabel="slope", ylabel="intercept")
    axes.legend()
    return figure


def momentum() -> plt.Figure:
    """Old gradients cancel across the valley and add up along it."""
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    contours(axes, valley, (-2.3, 1.3), (-1.6, 1.6))
    for mu, ink in ((0.0, INK[1]), (0.6, INK[0])):
        places = path(valley, [-2.0, 1.4], lambda p, mu=mu: lo.optim.SGD(p, lr=0.15, momentum=mu), 14)
        axes.plot(*places.T, "o-", color=ink, markersize=3, label=f"momentum {mu}")
    axes.set_title("Fourteen steps with learning rate 0.15")
    axes.legend()
    return figure


def surface() -> plt.Figure:
    """At these rates only momentum swings over the saddle; with 0.2 plain descent does, too."""
    makers = {
        "SGD": lambda p: lo.optim.SGD(p, lr=0.03),
        "momentum 0.9": lambda p: lo.optim.SGD(p, lr=0.03, momentum=0.9),
        "Adagrad": lambda p: lo.optim.Adagrad(p, lr=0.25),
        "RMSprop": lambda p: lo.optim.RMSprop(p, lr=0.05),
        "Adam": lambda p: lo.optim.Adam(p, lr=0.1),
    }
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    contours(axes, saddle, (-1.6, 1.7), (-1.1, 1.1))
    for (name, make), ink in zip(makers.items(), INK, strict=False):
        places = path(saddle, [1.5, 0.9], make, 60)
        axes.plot(*places.T, ".-", color=ink, label=name, markersize=3, linewidth=1)
        axes.plot(*places[-1], "o", color=ink)
    axes.plot(1.5, 0.9, "k*", markersize=12)
    axes.set_title("Sixty steps from the star: two minima and a saddle")
    axes.legend(loc="upper left")
    return figure


PICTURES = {"learning_rates": learning_rates, "zigzag": zigzag, "momentum": momentum, "surface": surface}


def main() -> None:
    """Draw and save all of them."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "output"
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        target = folder / f"descent_{name}.png"
        draw().savefig(target, dpi=110)
        print(f"the picture is in {target}")


if __name__ == "__main__":
    main()
