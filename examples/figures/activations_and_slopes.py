"""What do the ten activations look like, and what do they let through backward? Each with its slope.

The slope multiplies the gradient on its way back: where it is 0 (a relu below 0, a sigmoid far out),
nothing passes. The sigmoid is monotonic; its slope is not.
"""

from pathlib import Path

import numpy as np
from style import BLUE, ORANGE, panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "003": [
        "all activations with their slopes", "sigmoid is monotonic, its gradient is not",
        "ReLU, leaky, parametric and concatenated ReLU, ReLU6",
    ]
}  # fmt: skip
CURVES = {
    "sigmoid": lo.nn.sigmoid,
    "tanh": lo.nn.tanh,
    "relu": lo.nn.relu,
    "leaky relu, 0.1": lambda x: lo.nn.leaky_relu(x, slope=0.1),
    "parametric, 0.3": lambda x: lo.nn.prelu(x, 0.3),
    "relu6": lo.nn.relu6,
    "concatenated relu": lo.nn.crelu,
    "softplus": lo.nn.softplus,
    "softminus": lo.nn.softminus,
    "softmax, of (x, 0)": lambda x: lo.nn.softmax(np.stack([x, x * 0], axis=-1))[..., 0],
}


def main(folder: Path) -> list[str]:
    """Ten panels; the slope comes from backward()."""
    x = np.linspace(-4, 8, 481)
    figure, axes = panels(5, 2, sharex=True)
    largest = {}
    for panel, (name, f) in zip(axes, CURVES.items(), strict=True):
        leaf = lo.Parameter(x)
        y = f(leaf[:, None]) if name.startswith("concatenated") else f(leaf)
        values = y.numpy()
        slope = lo.grad(y.sum() if values.ndim == 1 else y[:, 0].sum(), leaf)
        panel.plot(x, values if values.ndim == 1 else values[:, 0], color=BLUE, linewidth=2)
        if values.ndim > 1:
            panel.plot(x, values[:, 1], color=BLUE, linewidth=2, linestyle=":")
        panel.plot(x, slope, color=ORANGE, linewidth=2)
        panel.set_title(name, fontsize=11)
        panel.set_ylim(-2.2, 6.8)
        panel.tick_params(labelsize=11)
        largest[name] = float(slope.max())
    axes[0].text(-3.9, 5.6, "value", color=BLUE, fontsize=12)
    axes[0].text(-3.9, 4.4, "slope", color=ORANGE, fontsize=12)
    axes[6].text(-3.9, -1.9, "dotted:\nsecond output", color=BLUE, fontsize=11)
    figure.supxlabel("x", fontsize=14)
    figure.suptitle("What goes forward, and what share comes back", fontsize=16)
    save(figure, folder)
    return [f"largest slope of the {name} {largest[name]:.3f}" for name in ("sigmoid", "tanh", "relu")]


if __name__ == "__main__":
    run(main)
