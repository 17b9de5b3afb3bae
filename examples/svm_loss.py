"""The SVM loss of lecture 002 with its regularizer: as text, in numbers, and as a picture.

python examples/svm_loss.py [folder for the picture]
"""

import sys
from pathlib import Path

import tinygrad_lo as lo


def svm_loss() -> lo.Tensor:
    """Three images, three classes: losses 2.9, 0 and 12.9, their mean 5.27, and 0.1 ΣW²."""
    X = lo.Tensor([[0.2, 4.7, 3.0], [5.6, -6.3, -4.3], [-2.8, 8.1, 5.0]], name="X")
    W = lo.Parameter([[1.0, 2.0, 0.0], [0.0, 1.0, -1.0], [1.0, 0.0, 1.0]], name="W")
    with lo.scope("scores"):
        S = (X @ W).named("S")
    with lo.scope("data loss"):
        data_loss = lo.losses.multiclass_hinge(S, lo.data.lectures.cat_car_frog.labels).named("data_loss")
    with lo.scope("regularization"):
        penalty = (0.1 * lo.losses.l2(W)).named("λR(W)")
    return (data_loss + penalty).named("loss")


def main() -> None:
    """Print the graph, save the picture."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "output"
    folder.mkdir(parents=True, exist_ok=True)
    loss = svm_loss()
    print(lo.tree(loss))
    print(f"the picture is in {lo.draw(loss, title='SVM loss').save(folder / 'svm_loss.svg')}")


if __name__ == "__main__":
    main()
