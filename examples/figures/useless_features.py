"""Which weights do L1 and L2 leave when 17 of 20 features are useless?

L1 leaves exactly the three that matter: a proximal step, lo.optim.SGD(..., l1=λ), makes all others exactly
0. L2 makes the useless ones small, and none of them 0. Both shrink the three that matter below the truth.
With L1 as a term of the loss, plain gradient descent only oscillates about 0: no weight is exactly 0 (see
losses.l1).
"""

from pathlib import Path

import numpy as np
from style import BLACK, BLUE, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "000": ["regularization: L1 likes few weights, L2 small ones", "elastic net: β L2 + (1 − β) L1"],
    "002": ["L2, L1, elastic net", "what L1 and L2 prefer"],
}
TRUTH = np.array([2.0, -1.5, 1.0] + [0.0] * 17)
L1, L2 = 0.2, 0.4  # λ of Σ|w|, and of ½ Σw²


def weights(steps: int = 500) -> dict[str, np.ndarray]:
    """The weights after training, by penalty."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 20))
    y = X @ TRUTH + 0.8 * rng.standard_normal(60)
    found = {}
    for name, options, term in (
        ("L1", {"l1": L1}, 0.0),
        ("L2", {"weight_decay": L2}, 0.0),
        ("L1 as a term of the loss", {}, L1),
    ):
        w = lo.Parameter(np.zeros(20), name="w")

        def loss(w: lo.Parameter = w, term: float = term) -> lo.Tensor:
            data_loss = 0.5 * lo.losses.mse(X @ w, y)
            return data_loss + term * lo.losses.l1(w) if term else data_loss

        step = lo.compile(loss, optimizer=lo.optim.SGD(w, lr=0.1, **options))
        for _ in range(steps):
            step()
        found[name] = w.data
    return found


def main(folder: Path) -> list[str]:
    """The twenty weights of both as bars."""
    found = weights()
    figure, axes = panels(1, 2, sharex=True)
    number = np.arange(1, 21)
    for axis, name, color in zip(axes, ("L1", "L2"), (BLUE, ORANGE), strict=True):
        w = found[name]
        axis.bar(number, w, color=color)
        axis.plot(number[:3], TRUTH[:3], "_", color=BLACK, markersize=26, markeredgewidth=2.5)
        axis.plot(number[w == 0], w[w == 0], "o", color=color, markerfacecolor="white")
        axis.axhline(0, color=BLACK, linewidth=0.8)
        zeros = int((w == 0).sum())
        label(
            axis,
            f"{name}: {zeros or 'none'} of 20 weights {'are' if zeros else 'is'} exactly 0",
            (6, 1.5),
            color,
        )
        axis.set(ylabel="weight", ylim=(-1.9, 2.3))
    label(axes[0], "black: the truth", (3.6, -1.45), BLACK)
    label(axes[1], "4 to 20: useless features", (6, -1.45), BLACK)
    axes[1].set(xlabel="feature", xticks=[1, 2, 3, 4, 8, 12, 16, 20])
    figure.suptitle("L1 throws useless features out; L2 keeps a little of everything", fontsize=16)
    save(figure, folder)
    return [
        *(f"{name}: exact zeros among the useless {int((w[3:] == 0).sum())}" for name, w in found.items()),
        *(f"{name}: largest useless weight {abs(w[3:]).max():.4f}" for name, w in found.items()),
    ]


if __name__ == "__main__":
    run(main)
