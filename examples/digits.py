"""Handwritten digits, a linear classifier, and the two losses of the lectures.

scores = X @ W + b, trained once with the SVM loss and once with the softmax loss, on 1 797 real images
of 8 × 8 pixels. W is decayed and b is not: that is what parameter groups are for. Before training,
the gradient of the full loss is checked against finite differences; afterwards the loss of three
images is drawn as a graph.

    python examples/digits.py
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import tinygrad_lo as lo

SEED = 0
EPOCHS = 40
BATCH = 64
LEARNING_RATE = 0.1
WEIGHT_DECAY = 1e-3  # the gradient of weight_decay / 2 · ΣW²
OUTPUT = Path(__file__).parent / "output"

Loss = Callable[..., lo.Tensor]


def load() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pixels scaled to 0..1 and labels 0..9; a quarter held back, every digit in proportion."""
    images, labels = load_digits(return_X_y=True)
    return train_test_split(images / 16.0, labels, test_size=0.25, stratify=labels, random_state=SEED)


def full_loss(loss: Loss, X: np.ndarray, y: np.ndarray, W: lo.Parameter, b: lo.Parameter) -> lo.Tensor:
    """The slides' L = 1/N Σ L_i + λ R(W), every part in a scope of its own."""
    with lo.scope("scores"):
        scores = (lo.Tensor(X, name="X") @ W + b).named("s")
    with lo.scope("data loss"):
        data_loss = loss(scores, y).named("data_loss")
    with lo.scope("regularization"):
        penalty = (0.5 * WEIGHT_DECAY * lo.losses.l2(W)).named("λR(W)")
    return (data_loss + penalty).named("loss")


def train(name: str, loss: Loss, X: np.ndarray, y: np.ndarray) -> tuple[lo.Parameter, lo.Parameter]:
    """Mini-batch gradient descent with momentum from small random weights."""
    rng = np.random.default_rng(SEED)
    W = lo.Parameter(0.01 * rng.standard_normal((X.shape[1], 10)), name="W")
    b = lo.Parameter(np.zeros(10), name="b")

    report = lo.gradcheck(lambda: full_loss(loss, X, y, W, b), params=[W, b])
    print(f"{name}: {str(report).splitlines()[0]}")
    report.raise_if_failed()

    optimizer = lo.optim.SGD(
        [{"params": [W], "weight_decay": WEIGHT_DECAY}, {"params": [b], "weight_decay": 0.0}],
        lr=LEARNING_RATE,
        momentum=0.9,
    )
    epochs = tqdm(range(EPOCHS), desc=f"{name} loss", unit="epoch")
    for _ in epochs:
        total = 0.0
        for X_batch, y_batch in lo.data.minibatches(X, y, batch_size=BATCH, rng=rng):
            optimizer.zero_grad()
            value = loss(X_batch @ W + b, y_batch)
            value.backward()
            optimizer.step()
            total += value.item() * len(y_batch)
        epochs.set_postfix(loss=f"{total / len(y):.3f}", refresh=False)
    return W, b


def accuracy(X: np.ndarray, y: np.ndarray, W: lo.Parameter, b: lo.Parameter) -> float:
    """The share of images whose right class has the highest score."""
    return float(((X @ W.data + b.data).argmax(axis=1) == y).mean())


def main() -> None:
    """Train with both losses, print accuracies, draw both losses on three images."""
    OUTPUT.mkdir(exist_ok=True)
    X_train, X_test, y_train, y_test = load()
    print(f"{len(X_train)} images to train with, {len(X_test)} to test with")
    for name, loss in (("SVM", lo.losses.multiclass_hinge), ("softmax", lo.losses.cross_entropy)):
        W, b = train(name, loss, X_train, y_train)
        train_accuracy, test_accuracy = accuracy(X_train, y_train, W, b), accuracy(X_test, y_test, W, b)
        print(f"{name}: accuracy {train_accuracy:.3f} in training, {test_accuracy:.3f} in the test")
        picture = lo.draw(
            full_loss(loss, X_train[:3], y_train[:3], W, b), title=f"{name} loss of three digits"
        )
        print(f"{name}: the loss graph is in {picture.save(OUTPUT / f'digits_{name.lower()}.svg')}")


if __name__ == "__main__":
    main()
