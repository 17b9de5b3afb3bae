"""Every loss and layer with every option, as functions of named parameters, for what prints them."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo import losses, nn

REDUCED = ("mean", "sum", "batchmean")
N, C = 5, 4


class Maker:
    """Named parameters of one dtype, and data that fits them; the seed is that of the parameters."""

    def __init__(self, dtype, seed=0):
        self.dtype = dtype
        self.random = np.random.default_rng(seed)
        self.fixed = np.random.default_rng(100)
        self.leaves = {}

    def parameter(self, data):
        """The next parameter: a, b, c, ..."""
        name = "abcdefgh"[len(self.leaves)]
        self.leaves[name] = lo.Parameter(data.astype(self.dtype), name=name)
        return self.leaves[name]

    def __call__(self, *shape, low=-2.0, high=2.0):
        """A parameter."""
        return self.parameter(self.random.uniform(low, high, shape))

    def probability(self, *shape):
        """A parameter whose rows are distributions, far from 0."""
        p = self.random.uniform(0.2, 1.0, shape)
        return self.parameter(p / p.sum(-1, keepdims=True))

    def data(self, *shape, low=-2.0, high=2.0):
        return self.fixed.uniform(low, high, shape).astype(self.dtype)

    def rows(self, *shape):
        """Data whose rows are distributions, with zeros."""
        p = np.maximum(self.fixed.uniform(-0.2, 1.0, shape), 0.0) + 0.1 * np.eye(*shape)
        return (p / p.sum(-1, keepdims=True)).astype(self.dtype)

    def model(self, model):
        """A model with its parameters cast and named."""
        for p in model.parameters():
            name = "abcdefgh"[len(self.leaves)]
            self.leaves[name] = p
            p.data = self.random.uniform(-1.0, 1.0, p.shape).astype(self.dtype)
            p.name = name
        return model


LABELS = np.array([0, 3, 1, 1, 2])
SIGNS = np.array([1.0, -1.0, -1.0, 1.0, 1.0])
WEIGHTS = np.array([1.0, 0.5, 2.0, 0.0])


def total(y):
    """One number to which every element counts differently; of a loss, itself."""
    if y.ndim == 0:
        return y
    return (y * np.arange(1, y.size + 1, dtype=y.dtype).reshape(y.shape)).sum()


def case(name, build):
    """A function of many values, as a loss."""
    return pytest.param(lambda m: total(build(m)), id=name)


def options(**choices):
    """Every option alone, and all together."""
    single = [{name: value} for name, values in choices.items() for value in values]
    return [{}, *single, {name: values[-1] for name, values in choices.items()}]


def reduced(name, loss, *variants):
    """A loss with each reduction and each of its options."""
    for given in variants or ({},):
        for reduction in (*REDUCED, "none"):

            def made(m, given=given, reduction=reduction):
                y = loss(m, reduction=reduction, **given)
                return total(y)

            words = [f"{key}={getattr(value, '__name__', value)}" for key, value in given.items()]
            yield pytest.param(made, id=" ".join([name, *words, reduction]).replace("\n", " "))


REGRESSION = [
    *reduced("mse", lambda m, **o: losses.mse(m(N, 2), m.data(N, 2), **o), *options(half=[True])),
    *reduced("mse of two", lambda m, **o: losses.mse(m(N, 2), m(N, 2), **o)),
    *reduced("mae", lambda m, **o: losses.mae(m(N, 2), m.data(N, 2), **o)),
    *reduced(
        "msle",
        lambda m, **o: losses.msle(m(N, 2, low=0.0), m.data(N, 2, low=0.0), **o),
        *options(base=[2, 10]),
    ),
    *reduced("huber", lambda m, **o: losses.huber(m(N, 2), m.data(N, 2), **o), *options(delta=[0.3, 2])),
    *reduced(
        "gaussian_nll",
        lambda m, **o: losses.gaussian_nll(m(N, 2), m.data(N, 2), **o),
        *options(variance=[0.5], full=[False]),
    ),
    *reduced(
        "gaussian_nll, learned variance",
        lambda m, **o: losses.gaussian_nll(m(N, 2), m.data(N, 2), variance=m(N, 2, low=0.5), **o),
    ),
]

CLASSES = options(label_smoothing=[0.1], class_weights=[WEIGHTS], ignore_index=[1], base=[2])
CLASSIFICATION = [
    *reduced("cross_entropy", lambda m, **o: losses.cross_entropy(m(N, C), LABELS, **o), *CLASSES),
    *reduced(
        "cross_entropy of distributions",
        lambda m, **o: losses.cross_entropy(m(N, C), m.rows(N, C), **o),
        *options(label_smoothing=[0.1], class_weights=[WEIGHTS], base=[2]),
    ),
    *reduced(
        "cross_entropy, learned target",
        lambda m, **o: losses.cross_entropy(m(N, C), m.probability(N, C), **o),
    ),
    *reduced(
        "cross_entropy of blocks",
        lambda m, **o: losses.cross_entropy(m(2, N, C), np.array([LABELS, LABELS[::-1]]), **o),
        *options(ignore_index=[1]),
    ),
    *reduced("nll", lambda m, **o: losses.nll(nn.log_softmax(m(N, C)), LABELS, **o)),
    *reduced(
        "binary_cross_entropy",
        lambda m, **o: losses.binary_cross_entropy(
            m(N, 2, low=0.1, high=0.9), m.data(N, 2, low=0.0, high=1.0), **o
        ),
    ),
    *reduced(
        "with logits",
        lambda m, **o: losses.binary_cross_entropy_with_logits(m(N, 2), m.data(N, 2, low=0.0, high=1.0), **o),
        *options(pos_weight=[3.0, np.array([0.5, 2.0])]),
    ),
    *reduced("hinge", lambda m, **o: losses.hinge(m(N), SIGNS, **o), *options(margin=[0.5])),
    *reduced("squared_hinge", lambda m, **o: losses.squared_hinge(m(N), SIGNS, **o), *options(margin=[0.5])),
    *reduced(
        "multiclass_hinge",
        lambda m, **o: losses.multiclass_hinge(m(N, C), LABELS, **o),
        *options(margin=[0.5], power=[2], over=["all"], combine=["mean", "max"]),
        {"combine": "mean", "over": "all"},
        {"combine": "max", "power": 2},
    ),
]


EMBEDDINGS = [
    *reduced(
        "triplet",
        lambda m, **o: losses.triplet(m(N, 3), m(N, 3), m(N, 3), **o),
        *options(margin=[4.0], distance=["euclidean"]),
        {"distance": lambda a, b: 1.0 - losses.cosine_similarity(a, b)},
    ),
    *reduced(
        "contrastive",
        lambda m, **o: losses.contrastive(m(N, 3), m(N, 3), np.array([0, 1, 1, 0, 1]), **o),
        *options(margin=[4.0]),
    ),
    *(
        case(f"pairwise_distance {d}", lambda m, d=d: losses.pairwise_distance(m(3, 2), m(4, 2), distance=d))
        for d in ("euclidean", "squared")
    ),
    case("cosine_similarity", lambda m: losses.cosine_similarity(m(N, 3), m(N, 3))),
]
INFORMATION = [
    *reduced(
        "kl_divergence",
        lambda m, **o: losses.kl_divergence(m.probability(N, C), m.probability(N, C), **o),
        *options(base=[2]),
    ),
    *reduced(
        "kl_divergence of data",
        lambda m, **o: losses.kl_divergence(m.rows(N, C), m.probability(N, C), **o),
    ),
    *(
        case(f"{name} {given}", lambda m, f=f, given=given: f(m, given))
        for given in ({}, {"base": 2})
        for name, f in {
            "information": lambda m, o: losses.information(m.probability(N, C), **o),
            "entropy": lambda m, o: losses.entropy(m.probability(N, C), **o),
            "distribution_cross_entropy": lambda m, o: losses.distribution_cross_entropy(
                m.rows(N, C), m.probability(N, C), **o
            ),
        }.items()
    ),
]
PENALTIES = [
    case("l1", lambda m: losses.l1([m(3, 2), m(2)])),
    case("l2", lambda m: losses.l2([m(3, 2), m(2)])),
    case("l2 half", lambda m: losses.l2(m(3, 2), half=True)),
    case("elastic_net", lambda m: losses.elastic_net([m(3, 2), m(2)], l1=0.1, l2=0.01)),
    case("beside a loss", lambda m: losses.mse(w := m(3, 2), m.data(3, 2)) + 0.1 * losses.l2([w, m(2)])),
]
ACTIVATIONS = [
    *(
        case(name, lambda m, name=name: getattr(nn, name)(3.0 * m(N, C)))
        for name in (
            "relu", "leaky_relu", "relu6", "crelu", "elu", "sigmoid", "tanh", "softplus", "softminus",
            "softmax", "log_softmax",
        )
    ),
    case("leaky_relu 0.2", lambda m: nn.leaky_relu(m(N, C), slope=0.2)),
    case("prelu", lambda m: nn.prelu(m(N, C), m(low=0.0))),
    case("prelu of channels", lambda m: nn.prelu(m(N, C), m(C, low=0.0))),
    case("softmax of columns", lambda m: nn.softmax(m(N, C), axis=0)),
    case("softmax of all", lambda m: nn.softmax(m(N, C), axis=(0, 1))),
]  # fmt: skip
IMAGE = (2, 3, 6, 5)


def convolution(**given):
    return lambda m: nn.conv2d(m(*IMAGE), m(4, 3, 3, 2), **given)


def averages(m):
    return {"running_mean": m.data(3), "running_var": m.data(3, low=0.5)}


def sequential(m):
    first, second = nn.Linear(C, 6, dtype=m.dtype), nn.Linear(6, C, dtype=m.dtype)
    model = m.model(nn.Sequential(first, nn.Tanh(), nn.Dropout(0.3), second))
    return losses.cross_entropy(model(m.data(N, C)), LABELS)


LAYERS = [
    case("dropout", lambda m: nn.dropout(m(N, C), 0.5, rng=np.random.default_rng(1))),
    case("dropout off", lambda m: nn.dropout(m(N, C), 0.5, training=False)),
    *(
        case(f"batch_norm of {shape}", lambda m, shape=shape: nn.batch_norm(m(*shape), m(3), m(3)))
        for shape in ((N, 3), IMAGE)
    ),
    case("batch_norm, bare", lambda m: nn.batch_norm(m(N, 3), eps=0.1)),
    case("batch_norm, averages", lambda m: nn.batch_norm(m(N, 3), m(3), m(3), **averages(m), momentum=0.3)),
    case(
        "batch_norm, not training",
        lambda m: nn.batch_norm(m(*IMAGE), m(3), m(3), **averages(m), training=False),
    ),
    case("conv2d", convolution()),
    case("conv2d bias", lambda m: nn.conv2d(m(*IMAGE), m(4, 3, 3, 2), m(4))),
    case("conv2d stride", convolution(stride=2)),
    case("conv2d padding", convolution(padding=(2, 1))),
    case("conv2d dilation", convolution(dilation=(2, 1))),
    case("conv2d all", convolution(stride=(1, 2), padding=1, dilation=2)),
    case("max_pool2d", lambda m: nn.max_pool2d(m(*IMAGE), 2)),
    case("max_pool2d overlapping", lambda m: nn.max_pool2d(m(*IMAGE), 3, stride=1, padding=1)),
    case("avg_pool2d", lambda m: nn.avg_pool2d(m(*IMAGE), 2)),
    case("avg_pool2d overlapping", lambda m: nn.avg_pool2d(m(*IMAGE), (3, 2), stride=1, padding=1)),
    case("linear", lambda m: m.model(nn.Linear(C, 2, dtype=m.dtype))(m.data(N, C))),
    case("linear without bias", lambda m: m.model(nn.Linear(C, 2, bias=False, dtype=m.dtype))(m.data(N, C))),
    case("sequential", sequential),
    case(
        "convolutional network",
        lambda m: losses.cross_entropy(
            (
                nn.max_pool2d(nn.conv2d(m.data(*IMAGE), m(4, 3, 3, 2), m(4)).relu(), 2).reshape(2, -1)
                @ m(16, C)
            ),
            np.array([1, 3]),
        ),
    ),
]
ALL = [*REGRESSION, *CLASSIFICATION, *EMBEDDINGS, *INFORMATION, *PENALTIES, *ACTIVATIONS, *LAYERS]


def run(text, arguments):
    """Run the printed text as a script would."""
    namespace = {}
    exec(compile(text, "<source>", "exec"), namespace)
    return namespace["loss_and_gradients"](**arguments)


def made(build, dtype, seed=0):
    """The loss and its parameters."""
    lo.seed(3)
    maker = Maker(dtype, seed)
    return build(maker), maker.leaves


def gradients_of(loss, leaves):
    loss.backward()
    return {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
