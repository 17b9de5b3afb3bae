"""What does λ mean on the three slides: λ Σ Θ², λ/2 Σ Θ², or λ/2m Σ Θ²?

Added to ½ the mean squared error of m patients, they have the gradients 2λΘ, λΘ and λ/m Θ, and that factor is
what an optimizer calls weight_decay. So the same λ gives three different fits, and three different λ the same
one. The bias has a group of its own without decay, as in lecture 001. Diabetes, 442 patients, ten features.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes
from style import BLACK, BLUE, GREEN, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "000": ["L2 regularization Σ W²"],
    "001": [
        "weight decay λ/2m Σ Θ² next to λ and λ/2: one table",
        "parameter groups: the bias without decay",
    ],
    "002": ["L2 regularization λ Σ W²"],
    "004": ["L2 ½‖W‖²: the same thing with another factor"],
}
PAGE = "optimizers.md"
LAMBDA, STEPS, RATE = 0.1, 4000, 0.4
# name: (the penalty, its weight_decay), of λ, the weights and the number of samples
CONVENTIONS = {
    "λ Σ Θ²": (lambda lam, w, m: lam * lo.losses.l2(w), lambda lam, m: 2 * lam),
    "λ/2 Σ Θ²": (lambda lam, w, m: lam * lo.losses.l2(w, half=True), lambda lam, m: lam),
    "λ/2m Σ Θ²": (lambda lam, w, m: lam / m * lo.losses.l2(w, half=True), lambda lam, m: lam / m),
}


def patients() -> tuple[np.ndarray, np.ndarray]:
    """Ten features and the progression of the disease, each with mean 0 and deviation 1."""
    X, y = load_diabetes(return_X_y=True)
    return (X - X.mean(0)) / X.std(0), (y - y.mean()) / y.std() + 2.0  # 2: something for a bias to do


def fit(penalty, decay: float) -> tuple[np.ndarray, float]:
    """Ten weights and the bias after gradient descent with a penalty in the loss, or with weight_decay."""
    X, y = patients()
    W, b = lo.Parameter(np.zeros(10), name="W"), lo.Parameter(0.0, name="b")
    groups = [{"params": [W], "weight_decay": decay}, {"params": [b], "weight_decay": 0.0}]
    opt = lo.optim.SGD(groups, lr=RATE)
    step = lo.compile(lambda: lo.losses.mse(X @ W + b, y, half=True) + penalty(W), optimizer=opt)
    for _ in range(STEPS):
        step()
    return W.data, b.item()


def fits(same_decay: float | None = None) -> dict[str, tuple[float, float, np.ndarray, np.ndarray, float]]:
    """λ, weight_decay, weights by penalty and by decay, and bias; one λ for all, or the λ for one decay."""
    m, found = len(patients()[1]), {}
    for name, (penalty, decay) in CONVENTIONS.items():
        lam = LAMBDA if same_decay is None else same_decay / decay(1.0, m)
        by_penalty, _ = fit(lambda w, p=penalty, lam=lam: p(lam, w, m), 0.0)
        by_decay, bias = fit(lambda w: 0.0, decay(lam, m))
        found[name] = (lam, decay(lam, m), by_penalty, by_decay, bias)
    return found


def main(folder: Path) -> list[str]:
    """The ten weights, with one λ for all conventions and with one weight_decay."""
    figure, axes = panels(2, sharey=True)
    lines = []
    for axis, decay, title in zip(
        axes, (None, 2 * LAMBDA), ("the same λ: three fits", "the same weight_decay: one fit"), strict=True
    ):
        rows = zip(fits(decay).items(), (ORANGE, GREEN, BLUE), (14, 9, 4), (-0.57, -0.66, -0.75), strict=True)
        for (name, (lam, wd, penalty, by_decay, bias)), color, size, y in rows:
            axis.plot(range(10), by_decay, "o", color=color, markersize=size if decay else 8)
            text = f"{name}:  λ = {lam:.3g},  decay {wd:.2g}"
            label(axis, text, (9.4, y), color, ha="right", fontsize=13)
            gap = abs(penalty - by_decay).max()
            norm = float(lo.losses.l2(by_decay))
            lines.append(
                f"{name} λ={lam:.3g}: weight_decay {wd:.3g}, Σ Θ² {norm:.4f}, bias {bias:.3f}, "
                f"gap between penalty and decay {gap:.0e}"
            )
        axis.axhline(0, color=BLACK, linewidth=1)
        axis.set(title=title, xlabel="feature", xticks=range(10), ylim=(-0.82, 0.62))
    axes[0].set_ylabel("weight")
    figure.suptitle("λ is a matter of convention: compare weight decays instead", fontsize=16)
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
