"""Why prefer simpler models? A polynomial of degree 12 through noisy points, with three strengths of λ.

Without λ it comes near every point and swings between them; with too much it is nearly flat. In between it
is closest to the curve that the points came from, though it fits the points themselves worse. The loss is
quadratic, so one Newton step with the library's gradient and Hessian is at its minimum.
"""

from pathlib import Path

import numpy as np
from style import BLACK, BLUE, GRAY, panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "000": ["regularization: prefer simpler models", "total loss = data loss + λ R(W)"],
    "002": ["regularization: the model should be simple, so it works on test data", "Occam's razor"],
}
DEGREE = 12
DISTANCE = "mean squared distance\n"
STRENGTHS = (0.0, 1e-3, 1.0)


def truth(x: np.ndarray) -> np.ndarray:
    """The curve that the points came from."""
    return np.sin(3 * x)


def powers(x: np.ndarray) -> np.ndarray:
    """A row 1, x, x², ..., x¹² for each x."""
    return x[:, None] ** np.arange(DEGREE + 1)


def fitted(x: np.ndarray, y: np.ndarray, strength: float) -> np.ndarray:
    """The coefficients that minimize the mean squared error + λ Σ W², the constant left out of R."""

    def loss(w: lo.Tensor) -> lo.Tensor:
        return lo.losses.mse(powers(x) @ w, y) + strength * lo.losses.l2(w[1:])

    start = np.zeros(DEGREE + 1)
    _, slope = lo.value_and_grad(loss)(start)
    return -np.linalg.solve(np.asarray(lo.hessian(loss)(start)), np.asarray(slope))


def errors() -> dict[float, tuple[float, float, np.ndarray]]:
    """For each λ the error on the points, the distance from the truth, and the coefficients."""
    x, y = points()
    everywhere = np.linspace(-1, 1, 401)
    found = {}
    for strength in STRENGTHS:
        w = fitted(x, y, strength)
        train = float(lo.losses.mse(powers(x) @ w, y))
        found[strength] = (train, float(lo.losses.mse(powers(everywhere) @ w, truth(everywhere))), w)
    return found


def points() -> tuple[np.ndarray, np.ndarray]:
    """Fifteen noisy points of the curve."""
    x = np.linspace(-1, 1, 15)
    return x, truth(x) + 0.25 * np.random.default_rng(0).standard_normal(15)


def main(folder: Path) -> list[str]:
    """The three fits, side by side."""
    x, y = points()
    dense = np.linspace(-1, 1, 401)
    figure, axes = panels(3, sharey=True)
    lines = []
    for axis, (strength, (train, test, w)) in zip(axes, errors().items(), strict=True):
        axis.plot(dense, truth(dense), color=GRAY, linestyle="--")
        axis.plot(dense, powers(dense) @ w, color=BLUE)
        axis.plot(x, y, "o", color=BLACK)
        axis.set(title=f"λ = {strength:g}", xlabel="x", ylim=(-2.1, 2.1))
        axis.text(0.97, 0.03, f"{DISTANCE}to the points {train:.3f}\nto the truth {test:.3f}", ha="right",
                  transform=axis.transAxes)  # fmt: skip
        lines += [
            f"squared error at λ={strength:g}: to the points {train:.4f}, to the truth {test:.4f}",
            f"largest coefficient at λ={strength:g} {abs(w).max():.1f}",
        ]
    axes[0].set_ylabel("y (dashed: the truth)")
    figure.suptitle("Degree 12: a little λ fits the points worse and the truth better", fontsize=16)
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
