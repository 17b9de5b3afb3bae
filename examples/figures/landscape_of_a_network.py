"""What does the loss of a real network look like? A slope with a valley, in the two directions of the paths.

A network of 2 410 numbers on the digits; SGD, momentum and Adam start at the same weights. The plane holds
the start and the two principal components of all three paths. Each walks down, momentum and Adam into the
valley. What lies beside the plane is not drawn: how much of each path that is, is printed. Right: random,
filter-normalized directions around Adam's end (Li et al.).
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from style import OPTIMIZER_COLORS, label, run, save

import matplotlib.pyplot as plt  # isort: skip
import tinygrad_lo as lo

sys.path.insert(0, str(Path(__file__).parents[1]))
import landscape

SLIDES = {"003": ["loss landscape of a real network, with paths on it"]}
OPTIMIZERS = {
    "SGD": lambda p: lo.optim.SGD(p, lr=0.2),
    "momentum": lambda p: lo.optim.SGD(p, lr=0.05, momentum=0.9),
    "Adam": lambda p: lo.optim.Adam(p, lr=0.01),
}

LEVELS = (0.1, 0.2, 0.5, 1, 2, 3)
PLACES = {"SGD": ((-0.4, 0.35), "right"), "momentum": ((0.5, 0), "left"), "Adam": ((0.3, 0.45), "right")}
WHITE = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 1}


def train(steps: int = 60) -> tuple[lo.nn.Module, object, dict[str, np.ndarray]]:
    """The network as Adam left it, its loss, and the three paths."""
    images, labels = load_digits(return_X_y=True)
    x = images[:600] / 16.0
    lo.seed(0)
    net = lo.nn.Sequential(lo.nn.Linear(64, 32), lo.nn.ReLU(), lo.nn.Linear(32, 10))
    start = landscape.flat(net)

    def loss() -> lo.Tensor:
        return lo.losses.cross_entropy(net(x), labels[:600])

    paths = {}
    for name, make in OPTIMIZERS.items():
        landscape.put(net, start)
        paths[name] = landscape.walk(loss, net, make(net), steps)
    return net, loss, paths


def main(folder: Path) -> list[str]:
    """Contour with paths, and a relief in random directions."""
    net, loss, paths = train()
    centre = landscape.flat(net)
    plane = landscape.directions(net, "path", np.concatenate([*paths.values(), paths["Adam"][-1:]]))
    flat = {name: landscape.project(path, centre, plane) for name, path in paths.items()}
    every = np.concatenate(list(flat.values()))
    low, high = every.min(axis=0), every.max(axis=0)
    pad = 0.18 * (high - low)
    span = (low[0] - pad[0], high[0] + pad[0], low[1] - pad[1], high[1] + pad[1])
    figure = plt.figure()
    left, right = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2, projection="3d")
    ground = landscape.surface(loss, net, plane, span, 31)
    left.contourf(*ground, levels=LEVELS, cmap="Greys", alpha=0.5, extend="both")
    landscape.contour(left, *ground, flat, [OPTIMIZER_COLORS[name] for name in flat])
    heights = left.contour(*ground, levels=LEVELS, colors="#666666", linewidths=1)
    left.clabel(
        heights, fontsize=12, manual=[(-12.3, -1.5), (-12, 0.6), (-5.2, -1.7), (-3.5, -1.5), (-1.1, -1.4)]
    )
    left.plot(*flat["SGD"][0], "k*", markersize=15, zorder=5)
    left.set(xlabel="first component of the paths", ylabel="second component")
    left.set_title("★ start, ● after 60 steps; lines: the loss", fontsize=14)
    landscape.relief(right, *landscape.surface(loss, net, landscape.directions(net), 1.0, 31))
    right.set_title("the loss around Adam's end,\ntwo random directions", fontsize=14)
    right.set(xlabel="a", ylabel="b", xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    right.tick_params(labelsize=12)
    figure.suptitle("A network of 2 410 numbers: from the start a slope leads into a valley", fontsize=16)
    lines = []
    for name, path in paths.items():
        inside = flat[name] @ np.stack(plane)
        rest = np.sum((path - centre - inside) ** 2) / np.sum((path - path[0]) ** 2)
        landscape.put(net, path[-1])
        at, side = flat[name][-1] + PLACES[name][0], PLACES[name][1]
        label(left, f"{name} {loss().item():.2f}", at, OPTIMIZER_COLORS[name], ha=side, bbox=WHITE)
        lines.append(f"{name}: loss {loss().item():.3f}, part of the path beside the plane {rest:.2f}")
    landscape.put(net, centre)
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
