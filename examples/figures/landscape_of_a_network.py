"""What does the loss of a real network look like? A slope with a valley, in the two directions of the paths.

A network of 2 410 numbers on the digits; SGD, momentum and Adam start at the same weights. The plane holds
the start and the two principal components of all three paths. What lies beside the plane is not drawn: how
much of each path the plane holds is printed. Right: random, filter-normalized directions around Adam's end
(Li et al.).
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from style import BLUE, GREEN, ORANGE, run, save

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
    landscape.contour(left, *landscape.surface(loss, net, plane, span, 31), flat, (ORANGE, BLUE, GREEN))
    left.plot(*flat["SGD"][0], "k*", markersize=15, zorder=5)
    left.legend(loc="best")
    left.set(xlabel="first component of the paths", ylabel="second component")
    left.set_title("60 steps of three optimizers", fontsize=14)
    landscape.relief(right, *landscape.surface(loss, net, landscape.directions(net), 1.0, 31))
    right.set_title("around Adam's end, two\nrandom directions", fontsize=14)
    right.set(xlabel="a", ylabel="b", zlabel="loss")
    right.tick_params(labelsize=10)
    figure.suptitle("The loss of a network of 2 410 numbers, in two of its directions", fontsize=16)
    save(figure, folder)
    lines = []
    for name, path in paths.items():
        inside = flat[name] @ np.stack(plane)
        rest = np.sum((path - centre - inside) ** 2) / np.sum((path - path[0]) ** 2)
        landscape.put(net, path[-1])
        lines.append(f"{name}: loss {loss().item():.3f}, part of the path beside the plane {rest:.2f}")
    landscape.put(net, centre)
    return lines


if __name__ == "__main__":
    run(main)
