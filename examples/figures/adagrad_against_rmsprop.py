"""Why does Adagrad slow down? It divides by the root of ALL squared gradients so far; RMSprop forgets.

Noisy gradients of the same size, 3 000 steps. Adagrad's effective rate η / √(G + ε) falls like 1/√t and
never comes back. RMSprop's η / (√v + ε) stays, and recovers after gradients that were ten times as large.
"""

from pathlib import Path

import numpy as np
from style import OPTIMIZER_COLORS, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {"003": ["Adagrad / RMSprop: scaling the learning rate"]}


def effective(make: object, gradients: np.ndarray) -> np.ndarray:
    """Step divided by gradient, for each gradient: measured on the optimizer."""
    w = lo.Parameter(0.0)
    optimizer = make([w])
    rates = []
    for g in gradients:
        before = float(w.data)
        w.grad = np.asarray(g)
        optimizer.step()
        rates.append((before - float(w.data)) / g)
    return np.array(rates)


def gradients(steps: int = 3000) -> np.ndarray:
    """Noise of size one; from step 1 000 to 1 100 ten times as large."""
    g = np.random.default_rng(0).standard_normal(steps)
    g[1000:1100] *= 10
    return g


def main(folder: Path) -> list[str]:
    """The effective rates over a long run."""
    g = gradients()
    adagrad = effective(lambda p: lo.optim.Adagrad(p, lr=0.1), g)
    rmsprop = effective(lambda p: lo.optim.RMSprop(p, lr=0.01, decay=0.99), g)
    figure, (axes,) = panels()
    t = np.arange(1, len(g) + 1)
    axes.loglog(t, adagrad, color=OPTIMIZER_COLORS["Adagrad"])
    axes.loglog(t, rmsprop, color=OPTIMIZER_COLORS["RMSprop"])
    axes.axvspan(1000, 1100, color="#dddddd")
    label(axes, "gradients\n10 × larger", (950, 0.06), "#555555", ha="right")
    label(axes, "Adagrad, η = 0.1: falls like 1/√t", (2.2, 0.0025), OPTIMIZER_COLORS["Adagrad"])
    label(axes, "RMSprop, η = 0.01, γ = 0.99", (60, 0.03), OPTIMIZER_COLORS["RMSprop"])
    axes.set(xlabel="step", ylabel="effective learning rate: step / gradient")
    axes.set_title("Adagrad never forgets a gradient; RMSprop's rate comes back")
    save(figure, folder)
    return [
        f"Adagrad at 10, 999, 3000 {adagrad[9]:.4f} {adagrad[998]:.5f} {adagrad[-1]:.5f}",
        f"RMSprop at 999, 1099, 3000 {rmsprop[998]:.5f} {rmsprop[1098]:.5f} {rmsprop[-1]:.5f}",
    ]


if __name__ == "__main__":
    run(main)
