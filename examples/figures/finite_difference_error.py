"""Which h is right for a finite difference? Neither a large nor a tiny one: two errors meet.

A large h misses the curve, a small one drowns in rounding. The forward difference of lecture 000 reaches
half of the digits, the central one two thirds, the complex step all of them, for functions that take
complex numbers.
"""

from pathlib import Path

import numpy as np
from style import BLUE, GREEN, ORANGE, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {"000": ["finite differences, one coordinate at a time", "numerical against analytic gradient"]}
PAGE = "gradcheck.md"
POINT = 0.7


def main(folder: Path) -> list[str]:
    """The error of three differences of sin(exp(x)) over h."""
    f = lambda x: np.sin(np.exp(x))  # noqa: E731
    exact = float(lo.value_and_grad(f)(np.array(POINT))[1])
    steps = np.logspace(-14, 0, 57)
    figure, (axes,) = panels()
    lines = []
    for method, color, at in (
        ("forward", ORANGE, (1e-12, 3e-2)), ("central", BLUE, (2e-4, 2e-12)),
        ("complex", GREEN, (3e-6, 3e-16)),
    ):  # fmt: skip
        if method == "complex":  # Im f(x + ih) / h: nothing is subtracted
            slopes = [np.imag(f(POINT + 1j * h)) / h for h in steps]
        else:
            slopes = [float(lo.numerical_gradient(f, np.array(POINT), method=method, h=h)) for h in steps]
        errors = np.maximum(abs(np.array(slopes) - exact) / abs(exact), 1e-17)
        axes.loglog(steps, errors, color=color)
        label(axes, method, at, color)
        lines.append(f"least relative error, {method} {errors.min():.0e}")
    axes.set(xlabel="h", ylabel="relative error of the slope", ylim=(1e-17, 10))
    axes.set_title("Too large misses the curve, too small drowns in rounding")
    save(figure, folder)
    return lines


if __name__ == "__main__":
    run(main)
