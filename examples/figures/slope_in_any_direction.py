"""How steep is the loss in any direction? The unit vector of the direction · the gradient.

Dots are slopes measured by a small step (central difference); the line is u · ∇L. They agree all around: a
circle through the middle, longest along the gradient, 0 at right angles, negative (orange) on the other
side.
"""

from pathlib import Path

import numpy as np
from style import BLUE, GREEN, ORANGE, run, save

import matplotlib.pyplot as plt  # isort: skip
import tinygrad_lo as lo

SLIDES = {"000": ["the slope in any direction is the unit vector · the gradient"]}
PLACE = np.array([1.0, 0.5])


def loss(w: np.ndarray) -> lo.Tensor:
    """A surface with a valley that is bent."""
    return (1.0 - w[0]) ** 2 + 2.0 * (w[1] - w[0] ** 2) ** 2


def slopes(angles: np.ndarray, h: float = 1e-5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """In every direction: the slope measured, and u · gradient; and the gradient."""
    gradient = lo.value_and_grad(loss)(PLACE)[1]
    units = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    measured = np.array([float(loss(PLACE + h * u) - loss(PLACE - h * u)) / (2 * h) for u in units])
    return measured, units @ gradient, gradient


def main(folder: Path) -> list[str]:
    """The slopes around a place, as a polar plot."""
    angles = np.linspace(0, 2 * np.pi, 361)
    measured, product, gradient = slopes(angles)
    figure, axes = plt.subplots(subplot_kw={"projection": "polar"})
    for sign, color, word in ((1, BLUE, "uphill: u · ∇L"), (-1, ORANGE, "downhill: −u · ∇L")):
        side = sign * product > 0
        axes.plot(angles, np.where(side, np.abs(product), np.nan), color=color, label=word)
        dots = side & (np.arange(361) % 15 == 0)
        axes.plot(angles[dots], np.abs(measured[dots]), "o", color=color)
    direction = float(np.arctan2(gradient[1], gradient[0]))
    axes.annotate(
        "",
        (direction, np.linalg.norm(gradient)),
        (0, 0),
        arrowprops={"color": GREEN, "width": 2, "headwidth": 10},
    )
    axes.plot([], [], color=GREEN, label="the gradient")
    axes.plot([], [], "o", color="#555555", label="measured: a central\ndifference")
    axes.plot([], [], " ", label="radius: the slope's size")
    axes.set_rlabel_position(63)
    axes.tick_params(labelsize=12)
    axes.legend(loc="center left", bbox_to_anchor=(1.12, 0.5))
    figure.suptitle("The slope in any direction is the unit vector · the gradient (dot product)", fontsize=16)
    save(figure, folder)
    return [
        f"steepest slope {np.abs(product).max():.3f}, length of the gradient {np.linalg.norm(gradient):.3f}",
        f"largest difference measured − u·g {np.abs(measured - product).max():.0e}",
    ]


if __name__ == "__main__":
    run(main)
