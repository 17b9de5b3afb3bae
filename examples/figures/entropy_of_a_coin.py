"""How uncertain is a coin, and what does a surprise cost? Information and entropy in bits.

An event of probability p carries log 1/p bits (a slide says I ∝ 1/p, and means log 1/p). The entropy of a
coin is the mean over both sides: 1 bit if it is fair, less the more it prefers a side, 0 if nothing is
open.
"""

from pathlib import Path

import numpy as np
from style import BLUE, GRAY, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {"004": ["information of an event, −log p", "entropy of a coin, H(p)"]}


def main(folder: Path) -> list[str]:
    """−log₂ p, and H(p) of the coin (p, 1 − p)."""
    p = np.linspace(0.002, 0.998, 499)
    bits = lo.losses.information(p, base=2.0)
    coins = np.stack([p, 1 - p], axis=1)
    entropy = lo.losses.entropy(coins, base=2.0)
    figure, (left, right) = panels(2)
    left.plot(p, bits, color=BLUE)
    arrow = {"arrowstyle": "->", "color": GRAY}
    label(left, "a sure event\nsays nothing", (1, 0), GRAY, xytext=(0.99, 2.3), ha="right", arrowprops=arrow)
    label(left, "a rare event says much", (0.12, 5.0), BLUE)
    left.set(xlabel="probability p", ylabel="information −log₂ p, in bits", ylim=(0, 9))
    right.plot(p, entropy, color=ORANGE)
    right.plot([0.5], [1.0], "o", color=ORANGE)
    label(right, "fair: 1 bit", (0.5, 1.06), ORANGE, ha="center")
    right.set(xlabel="probability of heads", ylabel="entropy, in bits", ylim=(0, 1.15))
    figure.suptitle("A fair coin is the most uncertain: one bit a toss", fontsize=16)
    save(figure, folder)
    tenth = lo.losses.entropy(np.array([0.1, 0.9]), base=2.0)
    return [f"entropy of a fair coin {entropy.max():.3f}", f"entropy of a coin of 0.1 {tenth:.3f}"]


if __name__ == "__main__":
    run(main)
