"""What is the gradient of the function L_i_vectorized, as it is printed on the slide?

Real digit, random W. A wrong class that violates the margin gets +x, the right one −x for each of them, and
the rest gets nothing: gradient descent adds the image to its own class and takes it away from the others.
The slide's `margins[y] = 0` writes into an array, which would cut the graph; np.where says the same.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from style import panels, run, save

import tinygrad_lo as lo

SLIDES = {
    "000": ["analytic gradient of the multiclass SVM loss"],
    "002": ["example numpy code: L_i_vectorized", "scores = X.dot(W)  # (N,D)*(D,C)=(N,C)"],
    "003": ["multi-class hinge with a margin"],
}


def L_i_vectorized(x, y, W):
    """The slide's code, line by line. Its fourth is `margins[y] = 0`."""
    scores = W.dot(x)
    margins = np.maximum(0, scores - scores[y] + 1)
    margins = np.where(np.arange(len(margins)) == y, 0, margins)
    return np.sum(margins)


def gradients() -> tuple[np.ndarray, int, np.ndarray, np.ndarray, np.ndarray]:
    """A digit, its label, the scores, and the gradient by W: of the slide's function, of the library's."""
    X, labels = load_digits(return_X_y=True)
    x, y = X[3] / 16.0, int(labels[3])
    W = lo.Parameter(0.2 * np.random.default_rng(0).standard_normal((10, 64)), name="W")
    slides = lo.grad(L_i_vectorized(x, y, W), W)
    ours = lo.grad(lo.losses.multiclass_hinge((x @ W.T)[None, :], [y]), W)
    return x, y, W.data @ x, np.asarray(slides), np.asarray(ours)


def main(folder: Path) -> list[str]:
    """The image, and the gradient of each class's weights as an image."""
    x, y, scores, gradient, ours = gradients()
    figure, axes = panels(6, 2)
    figure.set_layout_engine("constrained", h_pad=0.1)
    axes[0].imshow(x.reshape(8, 8), cmap="gray_r")
    axes[0].set_title(f"the image: a {y}", fontsize=14)
    for k, axis in enumerate([*axes[1:6], *axes[7:]]):
        axis.imshow(gradient[k].reshape(8, 8), cmap="RdBu_r", vmin=-2, vmax=2)
        times = gradient[k].sum() / x.sum()
        word = f"{times:+.0f} · x".replace("-", "−") if times else "0"
        axis.set_title(f"class {k}:  {word}", fontsize=14, color="#0072B2" if k == y else "black")
        axis.set_xlabel(f"score {scores[k]:.1f}".replace("-", "−"), fontsize=14)
    for axis in axes:
        axis.set(xticks=[], yticks=[])
    axes[6].axis("off")
    axes[6].text(
        0.5, 0.5, "gradient\nby W:\none image\na class;\nmargin 1", ha="center", va="center", fontsize=14
    )
    figure.suptitle(
        "The SVM's gradient: +x for each class too close, −x each time for the right one", fontsize=16
    )
    save(figure, folder)
    return [
        f"largest difference from the library's gradient {abs(gradient - ours).max():.1e}",
        f"classes that violate the margin {-gradient[y].sum() / x.sum():.0f}",
    ]


if __name__ == "__main__":
    run(main)
