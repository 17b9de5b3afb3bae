"""How much do old gradients count in momentum? Each step they fade by γ: 1, 0.9, 0.81, ...

With v ← γ v + g, v₃ = 0.81 G₁ + 0.9 G₂ + G₃. (The slide's example carries v = −…, and slips a sign on the
way.) The weights are measured: one step has a gradient of 1, all others none.
"""

from pathlib import Path

import numpy as np
from style import BLUE, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {"003": ["momentum, v ← γv + η∇f", "the fading weights 1, 0.9, 0.81"]}
PAGE = "optimizers.md"
STEPS = 30


def weights(momentum: float) -> np.ndarray:
    """What a gradient that came k steps ago still moves."""
    w = lo.Parameter(0.0, name="w")
    opt = lo.optim.SGD(w, lr=1.0, momentum=momentum)
    moves = []
    for step in range(STEPS):
        before = w.item()
        w.grad = np.float64(1.0 if step == 0 else 0.0)
        opt.step()
        moves.append(before - w.item())
    return np.array(moves)


def main(folder: Path) -> list[str]:
    """Two momenta."""
    figure, (axes,) = panels()
    ages = np.arange(STEPS)
    for momentum, color, shift, at in ((0.9, BLUE, -0.2, (8, 0.62)), (0.5, ORANGE, 0.2, (8, 0.53))):
        axes.bar(ages + shift, weights(momentum), width=0.4, color=color)
        total = 1 / (1 - momentum)
        label(axes, f"γ = {momentum:g}: together {total:.0f} gradients", at, color)
    axes.set(xlabel="steps ago", ylabel="weight of that gradient in the step")
    axes.set_title("With γ = 0.9 a step is the sum of about ten gradients")
    save(figure, folder)
    first = weights(0.9)
    return [f"weights of the last three gradients {first[0]:.2f} {first[1]:.2f} {first[2]:.2f}"]


if __name__ == "__main__":
    run(main)
