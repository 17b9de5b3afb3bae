"""How much does momentum remember? Each old gradient with a weight of 0.9, 0.81, 0.729, ... and so on.

With v ← γv + g the third velocity is 0.81 G₁ + 0.9 G₂ + G₃. The slide carries v = −G and slips a sign
inside: −0.9 · (0.9 G₁ − G₂) would make G₂ count against itself; the bracket must be (0.9 G₁ + G₂), as its
result has it. All weights together are at most 1 / (1 − γ) = 10: momentum 0.9 makes steps up to ten times
as long.
"""

from pathlib import Path

import numpy as np
from style import BLACK, BLUE, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {"003": ["momentum: exponential decay in the weights of the previous gradients"]}


def weights(steps: int, gamma: float = 0.9) -> np.ndarray:
    """What the optimizer makes of the gradients G₁ ... G_n in its last step, each given alone as 1."""
    counts = []
    for k in range(steps):
        w = lo.Parameter(0.0)
        optimizer = lo.optim.SGD([w], lr=1.0, momentum=gamma)
        for t in range(steps):
            before = float(w.data)
            optimizer.zero_grad()
            (w * float(t == k)).backward()
            optimizer.step()
        counts.append(before - float(w.data))
    return np.array(counts)


def main(folder: Path) -> list[str]:
    """The weights of 30 gradients in the last step, for two γ."""
    figure, (axes,) = panels()
    age = np.arange(30)[::-1]
    for gamma, color, shift, at in ((0.9, BLUE, -0.2, (9, 0.62)), (0.5, ORANGE, 0.2, (9, 0.72))):
        w = weights(30, gamma)
        axes.bar(age + shift, w, 0.4, color=color)
        label(axes, f"γ = {gamma}: together {w.sum():.1f} of {1 / (1 - gamma):.0f} (30 shown)", at, color)
    three = weights(3)
    for i, w in enumerate(three[::-1]):
        axes.text(i + 0.1, w + 0.03, f"{w:.2f}", color=BLACK, fontsize=13)
    axes.set(
        xlabel="age of a gradient, in steps",
        ylabel="its weight in the step",
        ylim=(0, 1.15),
        xlim=(-0.8, 29.8),
    )
    axes.set_title("Old gradients fade: 1, 0.9, 0.81, ... and add up to 10 steps in one")
    save(figure, folder)
    return [
        f"weights of G1 G2 G3 {three[0]:.2f} {three[1]:.2f} {three[2]:.2f}",
        f"sum of 30 {weights(30).sum():.2f}",
    ]


if __name__ == "__main__":
    run(main)
