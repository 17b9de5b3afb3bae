"""How many bits does the wrong code cost? Cross-entropy is entropy plus what the wrong belief wastes.

Symbols come with probabilities p; the code is made for q. Its mean length is H(p, q) = H(p) + KL(p, q). The
first part no code can save; minimizing the cross-entropy over q therefore minimizes KL.
"""

from pathlib import Path

import numpy as np
from style import BLUE, GRAY, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "003": ["KL divergence as a loss"],
    "004": ["cross-entropy H(p, q) = H(p) + KL(p, q)", "bits of a wrong code", "KL divergence"],
}
TRUE = np.array([0.5, 0.25, 0.125, 0.125])


def main(folder: Path) -> list[str]:
    """Mean code lengths for beliefs between the truth and its reverse."""
    share = np.linspace(0.0, 1.0, 101)
    beliefs = [(1 - s) * TRUE + s * TRUE[::-1] for s in share]
    entropy = lo.losses.entropy(TRUE, base=2.0)
    cross = np.array([lo.losses.distribution_cross_entropy(TRUE, q, base=2.0) for q in beliefs])
    wasted = np.array([lo.losses.kl_divergence(TRUE, q, base=2.0) for q in beliefs])
    figure, (axes,) = panels()
    axes.fill_between(share, 0, entropy, color=GRAY, alpha=0.25)
    axes.fill_between(share, entropy, cross, color=ORANGE, alpha=0.35)
    axes.plot(share, cross, color=BLUE)
    label(axes, f"H(p) = {entropy:.2f} bits: no code needs less", (0.3, entropy / 2))
    label(axes, "KL(p, q): wasted by the wrong code", (0.55, entropy + 0.12))
    label(axes, "cross-entropy H(p, q)", (0.72, 2.3), BLUE, ha="right")
    axes.set(xlabel="how far the belief q is from the truth p (1: reversed)")
    axes.set(ylabel="bits a symbol", ylim=(0, 3))
    axes.set_title("A code for the wrong distribution costs KL(p, q) extra bits")
    save(figure, folder)
    return [
        f"bits of the right code {entropy:.3f}",
        f"extra bits of the reversed code {wasted[-1]:.3f}",
        f"largest gap of H(p, q) from H(p) + KL {abs(cross - entropy - wasted).max():.0e}",
    ]


if __name__ == "__main__":
    run(main)
