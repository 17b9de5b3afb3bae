"""What does weight decay do to a weight that the loss does not need? It shrinks by a fixed share each step.

w ← (1 − ηα) w − η∇L is gradient descent on L + α/2 w². Of a weight without a gradient a share 1 − ηα is
left each step; one that the loss holds leaves the 3 where the loss alone would have it, and settles where
both pulls are equal.
"""

from pathlib import Path

import numpy as np
from style import BLUE, GRAY, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "000": ["L2 regularization: a bias toward small weights"],
    "001": ["weight decay λ/2m Σ Θ², the bias left out"],
    "004": ["weight decay as shrinking, (1 − ηα) w"],
}
PAGE = "optimizers.md"
RATE, DECAY, STEPS = 0.1, 0.5, 60


def main(folder: Path) -> list[str]:
    """Two weights under decay, and two under L2 with half the factor: the same path."""
    paths = {}
    for name in ("decay", "penalty"):
        w = lo.Parameter([3.0, 2.0], name="w")
        opt = lo.optim.SGD([w], lr=RATE, weight_decay=DECAY if name == "decay" else 0.0)
        places = [w.data]
        for _ in range(STEPS):
            opt.zero_grad()
            loss = 0.5 * (w[0] - 3.0) ** 2 + (0.0 if name == "decay" else DECAY / 2 * lo.losses.l2(w))
            loss.backward()
            opt.step()
            places.append(w.data)
        paths[name] = np.array(places)
    steps = np.arange(STEPS + 1)
    held, free = paths["decay"].T
    figure, (axes,) = panels()
    axes.plot(steps, held, color=BLUE)
    axes.plot(steps, free, color=ORANGE)
    axes.axhline(3.0, color=GRAY, linewidth=1, linestyle=":")
    label(axes, "the loss alone wants 3", (40, 3.12), GRAY)
    label(axes, "a weight that the loss holds: 3 / (1 + α) = 2", (22, 2.17), BLUE)
    label(axes, "one that it does not need: 2 · (1 − ηα)ᵗ", (17, 1.05), ORANGE)
    axes.set(xlabel=f"step t (η = {RATE}, α = {DECAY})", ylabel="weight", ylim=(-0.1, 3.4))
    axes.set_title("Decay takes what the loss does not defend")
    save(figure, folder)
    formula = 2 * (1 - RATE * DECAY) ** STEPS
    return [
        f"the free weight after {STEPS} steps {free[-1]:.4f}, by the formula {formula:.4f}",
        f"the held weight {held[-1]:.3f}",
        f"largest gap from L2 with α/2 {abs(paths['decay'] - paths['penalty']).max():.0e}",
    ]


if __name__ == "__main__":
    run(main)
