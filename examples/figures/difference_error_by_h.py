"""How small should h be? Forward and central differences have a best h; the complex step has none.

Forward errs by about h, central by about h². Below the best h rounding takes over: the difference of two
nearly equal losses has few digits left. A complex step subtracts nothing, and any small h is good.
The loss is the log loss of a linear classifier; calculus (backprop) says what is right.
"""

from pathlib import Path

import numpy as np
from style import BLUE, GREEN, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {"000": ["finite differences", "what could we use finite differences for: to check the calculus"]}
X = np.random.default_rng(0).standard_normal((20, 5))
Y = np.where(X[:, 0] > 0, 1.0, -1.0)
W = np.array([0.3, -0.2, 0.5, 0.1, -0.4])
H = 10.0 ** np.arange(-16, 0.1, 0.5)


def loss(w: np.ndarray) -> np.ndarray:
    """The mean log loss of the scores X w, in plain NumPy, so that w may be complex."""
    return np.log(1 + np.exp(-Y * (X @ w))).mean()


def errors(method: str) -> np.ndarray:
    """The largest error of the gradient for every h."""
    exact = lo.value_and_grad(loss)(W)[1]
    return np.array([np.abs(lo.numerical_gradient(loss, W, method=method, h=h) - exact).max() for h in H])


def main(folder: Path) -> list[str]:
    """Error against h, three methods."""
    figure, (axes,) = panels()
    lines = []
    notes = {
        "forward": (ORANGE, (2e-4, 6e-4)),
        "complex": (GREEN, (1e-13, 1.5e-15)),
        "central": (BLUE, (4e-3, 1e-8)),  # dashed over the complex step, with which it agrees
    }
    for method, (color, at) in notes.items():
        e = np.maximum(errors(method), 1e-17)
        axes.loglog(H, e, "o--" if method == "central" else "o-", color=color, markersize=4)
        label(
            axes,
            "complex step" if method == "complex" else method,
            at,
            color,
            ha="right" if method == "forward" else "left",
        )
        lines.append(f"{method}: best h {H[e.argmin()]:.0e}, error there {e.min():.0e}")
        lines.append(f"{method}: error at h 1e-4 {e[np.isclose(H, 1e-4)][0]:.0e}")
    axes.axvline(1e-4, color="#cccccc", linewidth=1)
    label(axes, "the slides' h", (1.3e-4, 1e-13), "#777777")
    axes.set(xlabel="h", ylabel="largest error of the gradient", ylim=(3e-18, 10))
    axes.set_title("Too small an h errs, too, except in the complex step: it subtracts nothing")
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
