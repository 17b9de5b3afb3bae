"""Is the loss value of the mean squared error and of the Gaussian likelihood the same? No; the minimum is.

N/2 log 2π + N log σ + Σ (ŷ − y)² / 2σ²: for a fixed σ this is the squared error, scaled and moved. The
curve over the prediction has another height and another width for each σ, and always the same lowest point.
"""

from pathlib import Path

import numpy as np
from style import COLORS, GRAY, label, panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "003": ["MSE without the half"],
    "004": ["maximum likelihood of a Gaussian is the least squares", "Gaussian NLL with fixed σ"],
}
MEASURED = np.array([1.0, 2.0, 2.5, 4.0])


def main(folder: Path) -> list[str]:
    """Both losses of one constant prediction for four measurements."""
    guess = np.linspace(-1, 6, 351)
    each = [np.full_like(MEASURED, c) for c in guess]
    squared = np.array([lo.losses.mse(c, MEASURED) for c in each])
    figure, (axes,) = panels()
    axes.plot(guess, squared, color=GRAY, linestyle="--")
    label(axes, "mean squared error", (2.45, 0.75), GRAY)
    lowest = [guess[squared.argmin()]]
    places = ((0.7, (3.2, 7.4)), (1.0, (5.75, 6.6)), (2.0, (5.3, 2.55)))
    for (sigma, at), color in zip(places, COLORS, strict=False):
        nll = np.array([lo.losses.gaussian_nll(c, MEASURED, variance=sigma**2) for c in each])
        axes.plot(guess, nll, color=color)
        axes.plot(guess[nll.argmin()], nll.min(), "o", color=color, markersize=5 / sigma + 5)
        label(axes, f"NLL, σ = {sigma:g}", at, color)
        lowest.append(guess[nll.argmin()])
    axes.plot(MEASURED, np.full_like(MEASURED, 0.12), "^", color=GRAY)
    axes.axvline(MEASURED.mean(), color=GRAY, linewidth=0.8)
    axes.set(
        xlabel="prediction for all four measurements (▲)",
        ylabel="loss (NLL: negative log-likelihood)",
        ylim=(0, 8),
        xlim=(-1, 7.4),
    )
    axes.set_title("Other values, one minimum: the mean of the measurements")
    save(figure, folder)
    return [f"lowest points of all four {' '.join(f'{x:.2f}' for x in lowest)}"]


if __name__ == "__main__":
    run(main)
