"""What is the gradient of a row that broadcasting has added to five rows? The sum of what all five send back.

A is 5 × 8 and B is 1 × 8, as on the slide; A + B uses each number of B five times. The gradient of A has its
shape and is that of the sum; each number of B gets the sum of its column. A bias b in X @ W + b is the same.
"""

from pathlib import Path

import numpy as np
from style import BLACK, GRAY, panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "000": ["W = W + d: a step is one addition"],
    "002": ["slicing and broadcasting: (5 × 8) + (1 × 8)", "gradients through broadcasting"],
}


def arrays() -> tuple[lo.Parameter, lo.Parameter, lo.Tensor]:
    """A, B and the loss ½ Σ (A + B)², whose gradient at A + B is A + B; whole numbers."""
    rng = np.random.default_rng(0)
    A = lo.Parameter(rng.integers(-3, 4, (5, 8)).astype(float), name="A")
    B = lo.Parameter(np.arange(-3.0, 5.0)[None], name="B")
    loss = 0.5 * ((A + B) ** 2).sum()
    loss.backward()
    return A, B, loss


def main(folder: Path) -> list[str]:
    """The arrays above, what arrives at them below."""
    A, B, loss = arrays()
    figure, axes = panels(3, 2, height_ratios=(1, 1))
    tables = [
        ("A  (5 × 8)", A.data), ("B  (1 × 8)", B.data), ("A + B  (5 × 8)", A.data + B.data),
        ("∂L/∂A  (5 × 8)", A.grad), ("∂L/∂B  (1 × 8)", B.grad),
        ("∂L/∂(A + B)  (5 × 8)", A.data + B.data),
    ]  # fmt: skip
    for k, (axis, (title, table)) in enumerate(zip(axes, tables, strict=True)):
        axis.imshow(table, cmap="RdBu", vmin=-28, vmax=28)
        for (i, j), number in np.ndenumerate(table):
            axis.text(j, i, f"{number:+.0f}", ha="center", va="center", fontsize=12, color=BLACK)
        axis.set(xticks=[], yticks=[], ylim=(4.5, -0.5))
        axis.set_title(title, fontsize=13)
        axis.spines[:].set_visible(False)
        if len(table) == 1:
            axis.text(
                3.5,
                2.5,
                "the sums of the columns" if k > 2 else "used in all five rows",
                ha="center",
                color=GRAY,
            )
    figure.suptitle(
        "L = ½ Σ (A + B)²: a row added to five rows gets back the sum of five gradients", fontsize=16
    )
    save(figure, folder)
    gap = abs(B.grad - A.grad.sum(axis=0, keepdims=True)).max()
    return [
        f"shapes {A.shape} + {B.shape} = {(A + B).shape}, gradients {A.grad.shape} and {B.grad.shape}",
        f"gradient of B against the column sums of that of A: gap {gap:g}; loss {loss.item():g}",
    ]


if __name__ == "__main__":
    run(main)
