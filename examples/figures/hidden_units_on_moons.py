"""How can linear classifiers classify what no line divides? By a layer of them, and another one on top.

Each hidden unit is a linear classifier whose score is cut at 0 by a relu: a fold along its line (dashed).
The last layer adds the folds. One unit is still a line, two bend it, four are enough for two moons.
The best of five starts is shown: few units can stay in a bad place.
"""

from pathlib import Path

import numpy as np
from style import BLACK, BLUE, GRAY, ORANGE, panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "000": ["how can we combine linear classifiers to perform non-linear classification?"],
    "003": ["hidden layers: a nonlinear boundary of linear pieces"],
}
UNITS = (1, 2, 4, 8)
STEPS, STARTS = 500, 5


def trained(units: int, seed: int) -> tuple[lo.nn.Sequential, float]:
    """A network with so many hidden units, and its loss, after full-batch steps of Adam."""
    X, y = lo.data.two_moons(200, noise=0.1, rng=0)
    rng = np.random.default_rng(seed)
    net = lo.nn.Sequential(lo.nn.Linear(2, units, rng=rng), lo.nn.ReLU(), lo.nn.Linear(units, 1, rng=rng))
    opt = lo.optim.Adam(net, lr=0.05)
    step = lo.compile(
        lambda: lo.losses.binary_cross_entropy_with_logits(net(X).reshape(-1), y.astype(float)), optimizer=opt
    )
    for _ in range(STEPS):
        loss = step()
    return net, float(loss)


def best(units: int, starts: int = STARTS) -> tuple[lo.nn.Sequential, float]:
    """The network of the lowest loss, and its accuracy."""
    X, y = lo.data.two_moons(200, noise=0.1, rng=0)
    net, _ = min((trained(units, seed) for seed in range(starts)), key=lambda pair: pair[1])
    return net, float(((net(X).numpy()[:, 0] > 0) == y).mean())


def main(folder: Path) -> list[str]:
    """Four networks, the lines of their units, and the boundary that they make together."""
    X, y = lo.data.two_moons(200, noise=0.1, rng=0)
    xs, ys = np.linspace(-1.6, 2.6, 180), np.linspace(-1.2, 1.7, 120)
    grid = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    figure, axes = panels(2, 2)
    lines = []
    for axis, units in zip(axes, UNITS, strict=True):
        net, accuracy = best(units)
        score = net(grid).numpy().reshape(len(ys), len(xs))
        axis.contourf(xs, ys, score > 0, levels=[-0.5, 0.5, 1.5], colors=["#D6E6F2", "#F7DDD0"])
        for w, b in zip(net[0].weight.numpy().T, net[0].bias.numpy(), strict=True):
            axis.contour(
                xs, ys, (grid @ w + b).reshape(score.shape), [0], colors=GRAY, linewidths=1, linestyles="--"
            )
        axis.contour(xs, ys, score, [0], colors=BLACK, linewidths=2.4)
        for k, color in enumerate((BLUE, ORANGE)):
            axis.plot(*X[y == k].T, ".", color=color, markersize=5)
        axis.set(xticks=[], yticks=[])
        axis.set_title(f"{units} hidden unit{'s' * (units > 1)}: {accuracy:.1%} right", fontsize=14)
        lines.append(f"accuracy with {units} hidden units {accuracy:.3f}")
    figure.suptitle("Each unit folds along a line (dashed); together they bend the boundary", fontsize=16)
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
