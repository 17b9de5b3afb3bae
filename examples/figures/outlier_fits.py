"""What do a few wild points do to a line? The squared error follows them, MAE and Huber hardly do.

Sixty points on a line with slope 2, five of which were read wrong. Each loss is minimized to the end.
"""

from pathlib import Path

import numpy as np
from style import BLUE, GRAY, GREEN, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {"003": ["MSE, MAE and Huber through outliers", "MAE is robust, MSE is not"]}


def main(folder: Path) -> list[str]:
    """Three fits."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (60, 1))
    y = 2 * X + 1 + 0.3 * rng.standard_normal((60, 1))
    wild = np.argsort(X[:, 0])[-5:]
    y[wild] -= 12
    figure, (axes,) = panels()
    axes.plot(X, y, ".", color=GRAY)
    axes.plot(X[wild], y[wild], "x", color=GRAY, markersize=9)
    ends = np.array([[-2.0], [2.0]])
    lines = []
    for name, loss, color, at in (
        ("squared", lo.losses.mse, ORANGE, (-1.95, 0.4)), ("absolute", lo.losses.mae, BLUE, (-0.2, 4.6)),
        ("Huber", lo.losses.huber, GREEN, (1.25, 2.0)),
    ):  # fmt: skip
        line = lo.nn.Linear(1, 1, init=lambda shape, rng: np.zeros(shape))
        opt = lo.optim.Adam(line, lr=0.1)
        schedule = lo.optim.CosineLR(opt, 400)
        lo.fit(
            line, loss, (X, y), optimizer=opt, schedule=schedule, epochs=400, batch_size=None, progress=False
        )
        axes.plot(ends, line(ends).numpy(), color=color)
        label(axes, f"{name}: slope {line.weight.item():.2f}", at, color)
        lines.append(f"slope under the {name} error {line.weight.item():.3f}")
    axes.set(xlabel="x", ylabel="y", ylim=(-10, 6))
    axes.set_title("Five wild points (×) turn the least-squares line; the truth has slope 2")
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
