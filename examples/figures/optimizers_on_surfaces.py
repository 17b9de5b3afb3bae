"""Which optimizer is best? It depends on the surface, and on the rate; each has its best of a small grid.

The grid is 0.003, 0.01, 0.03, 0.1, 0.3, 1; the best rate has the lowest loss after 60 steps. Bold is the
lowest of a surface: SGD in the bowl, Adagrad in the ravine, momentum with two minima. In the ravine plain SGD
is slowest; the saddle is left by all; which of the two minima (the deeper one is left) is found is luck of
rate and path: RMSprop's best rate is one at which it never comes to rest, and ends on the better side.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
from style import OPTIMIZER_COLORS, panels, run, save

import tinygrad_lo as lo

sys.path.insert(0, str(Path(__file__).parents[1]))
import landscape

mpl.rcParams["contour.negative_linestyle"] = "solid"
SLIDES = {
    "003": [
        "loss landscape: local optima, saddle points",
        "the optimizers: SGD, momentum, Adagrad, RMSprop, Adam",
    ]
}
Surface = tuple[Callable[[lo.Tensor], lo.Tensor], list[float], tuple[float, float, float, float]]
SURFACES: dict[str, Surface] = {
    "a bowl": (lambda w: w[0] ** 2 + w[1] ** 2, [-1.6, 1.0], (-2, 2, -1.5, 1.5)),
    "a ravine": (lambda w: 0.05 * w[0] ** 2 + 5 * w[1] ** 2, [-1.8, 0.8], (-2, 2, -1.5, 1.5)),
    "a saddle": (lambda w: w[0] ** 2 - w[1] ** 2 + 0.5 * w[1] ** 4, [-1.6, 0.01], (-2, 2, -1.5, 1.5)),
    "two minima": (
        lambda w: (w[0] ** 2 - 1) ** 2 + 0.3 * w[0] + 2 * w[1] ** 2, [1.5, 0.9], (-1.9, 1.9, -1.2, 1.2),
    ),
}  # fmt: skip
OPTIMIZERS = {
    "SGD": lambda p, lr: lo.optim.SGD(p, lr=lr),
    "momentum": lambda p, lr: lo.optim.SGD(p, lr=lr, momentum=0.9),
    "Adagrad": lambda p, lr: lo.optim.Adagrad(p, lr=lr),
    "RMSprop": lambda p, lr: lo.optim.RMSprop(p, lr=lr),
    "Adam": lambda p, lr: lo.optim.Adam(p, lr=lr),
}
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
NOTES = {"two minima": "; RMSprop (η = 1) never rests"}
RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)


def path(surface: str, name: str, rate: float, steps: int = 60) -> tuple[np.ndarray, float]:
    """Where an optimizer goes, and the loss at the end; infinite if it flew off."""
    f, start, _ = SURFACES[surface]
    w = lo.Parameter(start)
    step = lo.compile(lambda: f(w), optimizer=OPTIMIZERS[name]([w], rate))
    places = [w.data.copy()]
    for _ in range(steps):
        step()
        places.append(w.data.copy())
        if np.abs(w.data).max() > 20:
            return np.array(places), np.inf
    return np.array(places), float(f(w.data))


def best(surface: str, name: str) -> tuple[float, np.ndarray, float]:
    """The best rate of the grid, its path and its loss."""
    tried = [(rate, *path(surface, name, rate)) for rate in RATES]
    return min(tried, key=lambda one: one[2])


def short(x: float) -> str:
    """0.048, or 6·10⁻⁴⁸."""
    if abs(x) >= 0.001:
        return f"{x:.3f}".replace("-", "−")
    digit, power = f"{x:.0e}".split("e")
    return f"{digit} · 10" + str(int(power)).translate(RAISED)


def main(folder: Path) -> list[str]:
    """Four surfaces, five paths on each."""
    figure, all_axes = panels(2, 2)
    lines = []
    for axes, (surface, (f, _, span)) in zip(all_axes, SURFACES.items(), strict=True):
        w = lo.Parameter([0.0, 0.0])
        a, b, z = landscape.surface(lambda f=f, w=w: f(w), [w], np.eye(2), span, 40)
        found = {name: best(surface, name) for name in OPTIMIZERS}
        landscape.contour(axes, a, b, z, {})
        lowest = short(min(end for _, _, end in found.values()))
        for i, (name, (_, places, end)) in enumerate(found.items()):
            color = OPTIMIZER_COLORS[name]
            axes.plot(*places.T, ".-", color=color, linewidth=0.9, markersize=3, alpha=0.8)
            axes.plot(*places[-1], "o", color=color, markersize=8, zorder=4)
            axes.text(
                1.03, 0.9 - 0.19 * i, f"{name} {short(end)}", color=color,
                weight="bold" if short(end) == lowest else "normal", transform=axes.transAxes,
            )  # fmt: skip
        axes.plot(*SURFACES[surface][1], "k*", markersize=13)
        axes.set_title(f"{surface}{NOTES.get(surface, '')}", fontsize=14)
        lines += [f"{surface}, {name}, η {rate}: loss {end:.3g}" for name, (rate, _, end) in found.items()]
    figure.suptitle("No optimizer wins everywhere: loss 60 steps after ★, each at its best rate", fontsize=16)
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
