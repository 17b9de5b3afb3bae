"""Which optimizer is best? On a bowl, in a ravine, at a saddle, between two minima: not always the same one.

Every method starts at the same point of a surface, each with the best of a small grid of rates for that
surface. At a saddle they leave after different numbers of steps; with other rates the order is another one.
"""

import contextlib
from pathlib import Path

import numpy as np
from style import COLORS, panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "003": [
        "all optimizers on the same surfaces", "saddle points and local optima", "Adagrad", "RMSprop", "Adam",
        "Adadelta, NAdam", "momentum and Nesterov in a ravine",
    ]
}  # fmt: skip
PAGE = "optimizers.md"
SURFACES = {
    "bowl": (lambda x, y: x * x + 2 * y * y, (-2.0, 1.5)),
    "ravine": (lambda x, y: 0.1 * x * x + 4 * y * y, (-2.5, 1.2)),
    "saddle": (lambda x, y: 0.5 * x * x - 0.5 * y * y + 0.1 * y**4, (-2.0, 1e-3)),
    "two minima": (lambda x, y: (x * x - 1) ** 2 + 0.3 * x + y * y, (1.7, 1.4)),
}
RATES = np.geomspace(1e-3, 1.0, 10)
METHODS = {
    "SGD": lambda p, lr: lo.optim.SGD(p, lr=lr),
    "momentum": lambda p, lr: lo.optim.SGD(p, lr=lr, momentum=0.9),
    "Adagrad": lambda p, lr: lo.optim.Adagrad(p, lr=lr),
    "RMSprop": lambda p, lr: lo.optim.RMSprop(p, lr=lr),
    "Adam": lambda p, lr: lo.optim.Adam(p, lr=lr),
}
STEPS = 60


def path(surface, start, method, rate) -> np.ndarray:
    """(STEPS + 1, 2): where a method goes."""
    w = lo.Parameter(np.array(start), name="w")
    step = lo.compile(lambda: surface(w[0], w[1]), optimizer=METHODS[method](w, float(rate)))
    places = [w.data]
    with np.errstate(all="ignore"), contextlib.suppress(lo.errors.NonFiniteError):  # too large a rate bursts
        for _ in range(STEPS):
            step()
            places.append(w.data)
    return np.array(places)


def main(folder: Path) -> list[str]:
    """Four panels, a path for each method."""
    figure, axes = panels(2, 2)
    lines = []
    for panel, (name, (surface, start)) in zip(axes, SURFACES.items(), strict=True):
        x, y = np.meshgrid(np.linspace(-3, 3, 121), np.linspace(-2.4, 2.4, 97))
        z = surface(x, y)
        panel.contour(
            x, y, z, levels=np.quantile(z, np.linspace(0.02, 0.9, 12)), colors="#cccccc", linewidths=0.8
        )
        for method, color in zip(METHODS, COLORS, strict=False):
            paths = [path(surface, start, method, rate) for rate in RATES]
            ends = [surface(*p[-1]) if len(p) > STEPS and abs(p).max() < 3 else np.inf for p in paths]
            best = paths[int(np.argmin(ends))]
            panel.plot(*best.T, color=color, linewidth=1.6, label=method)
            if name == "saddle":
                left = int(np.argmax(abs(best[:, 1]) > 0.5)) if abs(best[:, 1]).max() > 0.5 else STEPS
                lines.append(f"steps to leave the saddle, {method} {left}")
        panel.plot(*start, "ko", markersize=5)
        panel.set_title(name, fontsize=13)
        panel.set(xlim=(-3, 3), ylim=(-2.4, 2.4), xticks=[], yticks=[])
    axes[0].legend(fontsize=10, loc="lower right")
    figure.suptitle("One start, five methods, each with its best rate", fontsize=16)
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
