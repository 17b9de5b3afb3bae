"""Graphs of single numbers that several tests draw."""

import numpy as np

import tinygrad_lo as lo
from tinygrad_lo.drawing.passes.collapse import choose
from tinygrad_lo.drawing.passes.collect import collect
from tinygrad_lo.engine.naming import scopes
from tinygrad_lo.explaining.formula import Names


def contents_of(loss, max_nodes=100, *, gradient=True, overview=False, focus=()):
    """What a picture of cards, or an overview, shows."""
    names = Names([loss])
    choice = choose(names.nodes, scopes(names.nodes), max_nodes, [*focus], overview=overview)
    return collect(names, choice, gradient=gradient, focus=focus)


def added(terms):
    first, *others = terms
    for term in others:
        first = first + term
    return first


def network(hidden=16, inputs=2):
    """2 -> 16 -> 16 -> 1 and a hinge loss, one scope a layer: 984 values."""
    rng = np.random.default_rng(0)
    h = [lo.Tensor(value, name=f"x{i}") for i, value in enumerate(rng.normal(size=inputs))]
    for layer, width in enumerate((hidden, hidden, 1), 1):
        weights = [[lo.Parameter(w) for w in rng.normal(size=len(h))] for _ in range(width)]
        biases = [lo.Parameter(0.0) for _ in range(width)]
        with lo.scope(f"layer {layer}"):
            h = [
                added(x * w for x, w in zip(h, ws, strict=True)) + b
                for ws, b in zip(weights, biases, strict=True)
            ]
            h = [lo.nn.relu(z) for z in h] if width > 1 else h
    with lo.scope("hinge loss"):
        margin = lo.Tensor(1.0) - h[0] * lo.Tensor(-1.0)
    return lo.nn.relu(margin).named("loss")


def svm_of_one_image():
    """The first image of lecture 002 with its regularizer: three scores, loss 2.9 + 0.9."""
    W = [
        [lo.Parameter(float(w), name=f"w{i}{j}") for j, w in enumerate(row, 1)]
        for i, row in enumerate([[1, 2, 0], [0, 1, -1], [1, 0, 1]], 1)
    ]
    x = [lo.Tensor(value, name=f"x{i}") for i, value in enumerate([0.2, 4.7, 3.0], 1)]
    with lo.scope("scores"):
        s = [
            added(a * w for a, w in zip(x, column, strict=True)).named(f"s{j}")
            for j, column in enumerate(zip(*W, strict=True), 1)
        ]
    with lo.scope("data loss (hinge)"):
        data_loss = added(lo.nn.relu(other - s[0] + 1) for other in s[1:]).named("data_loss")
    strength = lo.Tensor(0.1, name="λ")
    with lo.scope("L2 regularization"):
        reg = (added(w**2 for row in W for w in row) * strength).named("reg")
    return (data_loss + reg).named("loss")


def perceptron(samples=4):
    """Two inputs, 16 and 3 neurons, as modules, and the softmax loss of a few points."""
    model = lo.nn.Sequential(lo.nn.Linear(2, 16, rng=0), lo.nn.ReLU(), lo.nn.Linear(16, 3, rng=1))
    x = lo.Tensor(np.random.default_rng(0).normal(size=(samples, 2)), name="x")
    return lo.losses.cross_entropy(model(x), np.arange(samples) % 3).named("loss")


def convolutions():
    """A network for 8×8 digits: eight filters, pooling, ten scores."""
    model = lo.nn.Sequential(
        lo.nn.Conv2d(1, 8, 3, padding="same", rng=0), lo.nn.ReLU(), lo.nn.MaxPool2d(2),
        lo.nn.Flatten(), lo.nn.Linear(128, 10, rng=1),
    )  # fmt: skip
    return lo.losses.cross_entropy(model(lo.Tensor(digits(), name="x")), np.arange(10)).named("loss")


def digits():
    """Ten images of 8×8 pixels: strokes at ten angles."""
    down, right = np.mgrid[-3.5:4, -3.5:4]
    angles = np.linspace(0, np.pi, 10, endpoint=False)
    return np.stack([[np.exp(-((down * np.cos(a) - right * np.sin(a)) ** 2))] for a in angles])


def around_everything():
    """An outer scope around a training objective of scalars: a network, its loss and a penalty."""
    with lo.scope("objective"):
        loss = network(hidden=24, inputs=4)
        with lo.scope("penalty"):
            weights = [node for node in Names([loss]).nodes if node.op is None and node.requires_grad]
            penalty = added(w * w for w in weights) * 0.001
        return (loss + penalty).named("objective")


def demo(samples=100):
    """The demo of micrograd: 2 -> 16 -> 16 -> 1 on single numbers, hinge loss and a penalty."""
    rng = np.random.default_rng(1337)
    points, labels = lo.data.two_moons(samples, noise=0.1, rng=0)
    sizes = ((2, 16), (16, 16), (16, 1))
    layers = [
        [([lo.Parameter(w) for w in rng.uniform(-1, 1, inputs)], lo.Parameter(0.0)) for _ in range(outputs)]
        for inputs, outputs in sizes
    ]

    def score(h):
        for layer in layers:
            h = [added([*(w * x for w, x in zip(ws, h, strict=True)), b]) for ws, b in layer]
            h = [z.relu() for z in h] if layer is not layers[-1] else h
        return h[0]

    scores = [score([lo.Tensor(float(v)) for v in point]) for point in points]
    signs = (2 * np.asarray(labels) - 1).tolist()
    data_loss = added((1 - s * y).relu() for s, y in zip(scores, signs, strict=True)) * (1.0 / samples)
    penalty = added(w * w for layer in layers for ws, b in layer for w in [*ws, b]) * 1e-4
    return (data_loss + penalty).named("loss")


def memory(steps=6, inputs=3, cells=4):
    """An LSTM over a few steps of two sequences, as the slides write it."""
    rng = np.random.default_rng(0)
    W = lo.Parameter(rng.normal(size=(inputs + cells, 4 * cells)) / 2, name="W")
    b = lo.Parameter(np.zeros(4 * cells), name="b")
    h, c = (lo.Tensor(np.zeros((2, cells)), name=name) for name in ("h0", "c0"))
    for t in range(1, steps + 1):
        x = lo.Tensor(rng.normal(size=(2, inputs)), name=f"x{t}")
        gates = np.concatenate([x, h], axis=1) @ W + b
        i, f, o = (lo.nn.sigmoid(gates[:, k * cells : (k + 1) * cells]) for k in range(3))
        g = np.tanh(gates[:, 3 * cells :])
        c = (f * c + i * g).named(f"c{t}")
        h = (o * np.tanh(c)).named(f"h{t}")
    V = lo.Parameter(rng.normal(size=(cells, 3)), name="V")
    return lo.losses.cross_entropy(h @ V, [0, 2]).named("loss")


def wide():
    """A wide layer beside wide batches."""
    W = lo.Parameter(np.random.default_rng(0).normal(size=(2, 16)), name="W")
    b = lo.Parameter(np.linspace(-1, 1, 16), name="b")
    x = lo.Tensor(np.random.default_rng(1).normal(size=(40, 2)), name="x")
    return ((lo.nn.relu((x @ W + b).named("z")) ** 2).mean()).named("loss")


SEVEN = {
    "perceptron": perceptron,
    "convolutions": convolutions,
    "batch": lambda: perceptron(100),
    "around_everything": around_everything,
    "demo": demo,
    "memory": memory,
    "wide": wide,
}
