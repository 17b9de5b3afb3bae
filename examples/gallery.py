"""The losses of the lectures as pictures, in every style that `lo.draw` has.

python examples/gallery.py [folder for the pictures]; docs/pictures has what it writes.
"""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from svm_loss import svm_loss

import tinygrad_lo as lo
from tinygrad_lo.drawing.picture import Picture


def svm_of_one_image() -> lo.Tensor:
    """Lecture 002, number by number: the cat's scores by nine weights, its hinge loss 2.9, and 0.1 Σw²."""
    rows = [[1.0, 2.0, 0.0], [0.0, 1.0, -1.0], [1.0, 0.0, 1.0]]
    W = [[lo.Parameter(w, name=f"w{i}{j}") for j, w in enumerate(row, 1)] for i, row in enumerate(rows, 1)]
    x = [lo.Tensor(value, name=f"x{i}") for i, value in enumerate([0.2, 4.7, 3.0], 1)]
    strength = lo.Tensor(0.1, name="λ")
    with lo.scope("scores"):
        scores = [dot(x, column).named(f"s{j}") for j, column in enumerate(zip(*W, strict=True), 1)]
    with lo.scope("data loss (hinge)"):
        margins = [(score - scores[0] + 1).named(f"m{j}") for j, score in enumerate(scores[1:], 2)]
        data_loss = total(lo.nn.relu(margin) for margin in margins).named("data_loss")
    with lo.scope("L2 regularization"):
        penalty = (total(w**2 for row in W for w in row) * strength).named("reg")
    return (data_loss + penalty).named("loss")


def dot(xs: Iterable[lo.Tensor], ws: Iterable[lo.Tensor]) -> lo.Tensor:
    """Σ x w, one product at a time."""
    return total(x * w for x, w in zip(xs, ws, strict=True))


def total(terms: Iterable[lo.Tensor]) -> lo.Tensor:
    """The sum, one + at a time."""
    first, *others = terms
    for term in others:
        first = first + term
    return first


def neuron() -> lo.Tensor:
    """Lecture 001: a sigmoid that is wrong and sure of it hardly learns from the squared error."""
    w, b = lo.Parameter(2.0, name="w"), lo.Parameter(2.0, name="b")
    x, y = lo.Tensor(1.0, name="x"), lo.Tensor(0.0, name="y")
    h = lo.nn.sigmoid(w * x + b).named("h")
    return (0.5 * (h - y) ** 2).named("loss")


def softmax() -> lo.Tensor:
    """Lecture 002: the cat's scores, 2.04 in nats (0.89 in base 10)."""
    return lo.losses.cross_entropy(lo.Parameter([[3.2, 5.1, -1.7]], name="s"), [0]).named("loss")


def binary_cross_entropy() -> lo.Tensor:
    """Lecture 004: from scores, so that it stays finite."""
    z = lo.Parameter([2.0, -1.0, 0.5], name="z")
    return lo.losses.binary_cross_entropy_with_logits(z, lo.Tensor([1.0, 0.0, 0.0], name="y")).named("loss")


def huber() -> lo.Tensor:
    """Lecture 003: an outlier pulls with slope δ, not with its error."""
    prediction = lo.Parameter([1.2, 0.4, 9.0], name="ŷ")
    return lo.losses.huber(prediction, lo.Tensor([1.0, 1.0, 2.0], name="y")).named("loss")


def triplet() -> lo.Tensor:
    """Lecture 001: the second triplet keeps its margin, and no gradient flows."""
    anchor = lo.Parameter([[0.0, 0.0], [1.0, 1.0]], name="a")
    positive = lo.Parameter([[1.0, 0.0], [1.0, 1.5]], name="p")
    negative = lo.Parameter([[1.0, 0.5], [4.0, 3.0]], name="n")
    return lo.losses.triplet(anchor, positive, negative).named("loss")


def divergence() -> lo.Tensor:
    """Lecture 004: how many nats the wrong code q costs."""
    p, q = lo.Tensor([0.5, 0.25, 0.25], name="p"), lo.Parameter([0.25, 0.25, 0.5], name="q")
    return lo.losses.kl_divergence(p, q).named("KL")


def network(inputs: int = 2, hidden: int = 16) -> lo.Tensor:
    """A network with two hidden layers and a hinge loss, every number a node of the graph."""
    rng = np.random.default_rng(0)
    h: list[lo.Tensor] = [
        lo.Tensor(value, name=f"x{i}") for i, value in enumerate(rng.normal(size=inputs), 1)
    ]
    for layer, width in enumerate((hidden, hidden, 1), 1):
        weights = [[lo.Parameter(w) for w in rng.normal(0, len(h) ** -0.5, len(h))] for _ in range(width)]
        biases = [lo.Parameter(0.0) for _ in range(width)]
        with lo.scope(f"layer {layer}"):
            h = [dot(h, w) + b for w, b in zip(weights, biases, strict=True)]
            if width > 1:
                h = [lo.nn.relu(z) for z in h]
    y = lo.Tensor(-1.0, name="y")
    with lo.scope("hinge loss"):
        margin = 1.0 - h[0].named("score") * y
    return lo.nn.relu(margin).named("loss")


def lstm(steps: int = 6, inputs: int = 3, cells: int = 4) -> lo.Tensor:
    """A long short-term memory over six steps: Hochreiter and Schmidhuber 1997, with a forget gate."""
    rng = np.random.default_rng(0)
    W = lo.Parameter(rng.normal(size=(inputs + cells, 4 * cells)) / 2, name="W")
    b, V = lo.Parameter(np.zeros(4 * cells), name="b"), lo.Parameter(rng.normal(size=(cells, 3)), name="V")
    h, c = (lo.Tensor(np.zeros((1, cells)), name=name) for name in ("h0", "c0"))
    for t in range(1, steps + 1):
        x = lo.Tensor(rng.normal(size=(1, inputs)), name=f"x{t}")
        z = np.concatenate([x, h], axis=1) @ W + b
        i, f, o = (lo.nn.sigmoid(z[:, k * cells : (k + 1) * cells]) for k in range(3))
        c = (f * c + i * np.tanh(z[:, 3 * cells :])).named(f"c{t}")
        h = (o * np.tanh(c)).named(f"h{t}")
    return lo.losses.cross_entropy(h @ V, [0]).named("loss")


def convolution() -> lo.Tensor:
    """Three filters, laid over a stroke."""
    down, right = np.mgrid[-3.5:4, -3.5:4]
    x = lo.Tensor(np.exp(-((down - right) ** 2) / 2)[None, None], name="x")
    model = lo.nn.Sequential(
        lo.nn.Conv2d(1, 3, 3, rng=0),
        lo.nn.ReLU(),
        lo.nn.MaxPool2d(3),
        lo.nn.Flatten(),
        lo.nn.Linear(12, 3, rng=1),
    )
    return lo.losses.cross_entropy(model(x), [0]).named("loss")


def checked() -> Picture:
    """A cube whose derivative forgets the 3, and what finite differences say of it."""
    cube = lo.define_op("cube", lambda x: x**3, [lambda g, y, x: g * x**2], symbol="{0}³")

    def f(x: lo.Tensor) -> lo.Tensor:
        return (cube(x) + x).sum()

    x = lo.Parameter([1.0, -2.0, 0.0], name="x")
    picture = lo.draw(f(x).named("loss"), check=lo.gradcheck(f, x), title="a wrong rule")
    lo.engine.ops.TABLE.pop("cube")
    return picture


PICTURES: dict[str, Callable[[], Picture]] = {
    "svm_loss": lambda: lo.draw(svm_loss(), title="SVM loss"),
    "svm_circuit": lambda: lo.draw(svm_of_one_image(), title="SVM loss of one image"),
    "svm_overview": lambda: lo.draw(svm_loss(), style="overview", title="SVM loss"),
    "svm_focus": lambda: lo.draw(svm_loss(), focus="margins", max_nodes=6, title="SVM loss"),
    "neuron": lambda: lo.draw(neuron(), title="a neuron that hardly learns"),
    "neuron_dark": lambda: lo.draw(neuron(), theme="dark", title="a neuron that hardly learns"),
    "softmax": lambda: lo.draw(softmax(), title="softmax loss"),
    "binary_cross_entropy": lambda: lo.draw(binary_cross_entropy(), title="binary cross-entropy"),
    "huber": lambda: lo.draw(huber(), title="Huber loss"),
    "triplet": lambda: lo.draw(triplet(), title="triplet loss"),
    "triplet_colorblind": lambda: lo.draw(
        triplet(), theme="dark", palette="colorblind", title="triplet loss"
    ),
    "divergence": lambda: lo.draw(divergence(), title="KL divergence"),
    "network": lambda: lo.draw(network(), title="2-16-16-1"),
    "network_circuit": lambda: lo.draw(network(2, 2), style="circuit", max_nodes=30, title="2-2-2-1"),
    "lstm": lambda: lo.draw(lstm(), style="folded", title="six steps of an LSTM"),
    "convolution": lambda: lo.draw(convolution(), max_cells=8, title="a convolutional network"),
    "check": checked,
}


def main() -> None:
    """Write every picture."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in PICTURES.items():
        print(f"wrote {picture().save(folder / f'{name}.svg')}")


if __name__ == "__main__":
    main()
