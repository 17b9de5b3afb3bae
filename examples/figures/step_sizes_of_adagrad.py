"""Why does Adagrad come to a stop? It divides by all gradients ever seen; RMSprop forgets the old ones.

One parameter gets gradients of about the same size for ever. Adagrad's effective step lr / √(G + ε) falls
like 1/√t, RMSprop's stays; Adam's is the same after its bias is corrected.
"""

from pathlib import Path

import numpy as np
from style import BLUE, GREEN, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {"003": ["the effective step size of Adagrad and RMSprop", "Adagrad, ε inside the root"]}
PAGE = "optimizers.md"
STEPS = 1000


def steps(make) -> np.ndarray:
    """How far each step moves the parameter, for a gradient of 1."""
    w = lo.Parameter(0.0, name="w")
    opt = make(w)
    moves = []
    for _ in range(STEPS):
        before = w.item()
        w.grad = np.float64(1.0)
        opt.step()
        moves.append(before - w.item())
    return np.array(moves)


def main(folder: Path) -> list[str]:
    """Three methods over a thousand steps."""
    figure, (axes,) = panels()
    lines = []
    for name, make, color, at in (
        ("Adagrad", lambda w: lo.optim.Adagrad(w, lr=0.1), BLUE, (60, 0.006)),
        ("RMSprop", lambda w: lo.optim.RMSprop(w, lr=0.1), ORANGE, (2, 0.3)),
        ("Adam", lambda w: lo.optim.Adam(w, lr=0.1), GREEN, (100, 0.13)),
    ):
        moves = steps(make)
        axes.loglog(np.arange(1, STEPS + 1), moves, color=color)
        label(axes, name, at, color)
        lines.append(f"step after {STEPS} gradients, {name} {moves[-1]:.4f}")
    axes.set(xlabel="step t", ylabel="distance moved for a gradient of 1", ylim=(2e-3, 0.6))
    axes.set_title("Adagrad's steps fade like 1/√t; the others keep their size")
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
