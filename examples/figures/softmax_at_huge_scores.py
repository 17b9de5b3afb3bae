"""Why is the softmax loss computed as log Σ exp z − z_y, and not as −log of a softmax? Because e⁷¹⁰ is ∞.

Two classes have the scores s and −s. If the low one is right, the loss is 2s. Exp, normalize, −log has no
slope from s = 355 on (1 / e⁻⁷¹⁰ is ∞) and is ∞ from 373 on (e⁻⁷⁴⁶ is rounded to 0). If the high one is
right, the loss is nearly 0, but ∞ / ∞ = nan from 710 on. `lo.losses.cross_entropy` takes the largest score
out before exp, and is right at ±10 000.
"""

from pathlib import Path

import numpy as np
from style import BLUE, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "000": ["softmax: in practice subtract the largest score"],
    "001": [
        "log-softmax for numerical robustness",
        "log-sum-exp form J = 1/m Σ ln Σ exp z − z_y, finite at ±1e4",
    ],
}
STRENGTHS = (1.0, 100.0, 372.0, 373.0, 1e4)


def naive(scores: lo.Tensor, label: int) -> lo.Tensor:
    """Exp, normalize, −log: the formula as it is first written down."""
    powers = np.exp(scores)
    return -np.log(powers[label] / powers.sum())


def at(loss, s: float, label: int) -> tuple[float, float]:
    """The loss, and its slope along the score of the right class, at the scores (s, −s)."""
    with np.errstate(all="ignore"):
        value, slope = lo.value_and_grad(lambda z: loss(z, label))(np.array([s, -s], dtype=float))
    return float(value), float(slope[label])


def last_right(label: int) -> int:
    """The largest whole s at which the naive loss and slope are numbers."""
    return next(s for s in range(1, 1000) if not np.isfinite(at(naive, s, label)).all()) - 1


def main(folder: Path) -> list[str]:
    """Value and slope of both forms against s, for both classes."""
    s = np.unique(np.concatenate([np.geomspace(1, 1e4, 60), np.arange(340, 720, 1.0)]))
    ends = [last_right(label) for label in (0, 1)]
    figure, axes = panels(2)
    for loss, color, width in ((lo.losses.cross_entropy, BLUE, 7.0), (naive, ORANGE, 2.4)):
        for right in (0, 1):
            both = np.array([at(loss, x, right) for x in s])
            both[~np.isfinite(both)] = np.nan
            for axis, values in zip(axes, both.T, strict=True):
                axis.semilogx(s, values, color=color, linewidth=width)
    axes[0].set(title="loss", xlabel="s, scores are (s, −s)", yscale="symlog", ylim=(-0.4, 1e5))
    axes[0].set_yticks([0, 1, 100, 10_000], ["0", "1", "100", "10 000"])
    axes[1].set(title="slope along the correct score", xlabel="s, scores are (s, −s)", ylim=(-1.2, 0.3))
    label(axes[0], "low score right: 2s", (1.1, 30_000), BLUE)
    label(axes[0], "∞ after 372", (1.1, 6_000), ORANGE)
    label(axes[0], f"high score right: 0, nan after {ends[0]}", (9, 1.3), ORANGE, fontsize=12)
    label(axes[1], f"high score right: nan after {ends[0]}", (8, -0.07), ORANGE, fontsize=12)
    label(axes[1], f"low score right: nan after {ends[1]}", (8, -0.93), ORANGE, fontsize=12)
    figure.suptitle(
        f"cross_entropy (blue) is right at ±10 000; −log(softmax), orange, ends at {ends[1]}", fontsize=16
    )
    save(figure, folder)
    lines = []
    for x in STRENGTHS:
        (a, b), (c, d) = at(naive, x, 1), at(lo.losses.cross_entropy, x, 1)
        lines.append(f"scores ±{x:g}: naive {a:g} slope {b:g}, cross_entropy {c:g} slope {d:g}")
    return lines


if __name__ == "__main__":
    run(main)
