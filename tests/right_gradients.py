"""Functions with right gradients on which gradient checkers stumble, as tensors and as plain NumPy.

Cancelled sums, slopes of 0 where the curvature jumps, and losses at all scales; and rules that are wrong
by a small factor. The fast tests take a part of each, tests/benchmarks/gradcheck.py all of them.
"""

import contextlib
import zlib

import numpy as np

import tinygrad_lo as lo
from tinygrad_lo.engine.graph import reachable
from tinygrad_lo.engine.ops.reductions import logsumexp
from tinygrad_lo.losses import binary_cross_entropy_with_logits as logistic
from tinygrad_lo.losses import (
    contrastive,
    cosine_similarity,
    cross_entropy,
    elastic_net,
    entropy,
    gaussian_nll,
    hinge,
    huber,
    kl_divergence,
    l2,
    mae,
    mse,
    msle,
    multiclass_hinge,
    nll,
    pairwise_distance,
    squared_hinge,
    triplet,
)
from tinygrad_lo.nn import batch_norm, relu, softmax


def seeded(*names):
    """Random numbers drawn by the name of their case, so that another case moves no other."""
    return np.random.default_rng(zlib.crc32("/".join(map(str, names)).encode()))


def as_pair(f):
    """A function of tensors as one of arrays that returns (value, gradient)."""

    def pair(x):
        leaf = lo.Parameter(x)
        out = f(leaf)
        g = lo.grad(out, leaf, allow_unused=True) if out.requires_grad else None
        return float(out.item()), np.zeros(leaf.shape) if g is None else np.asarray(g, dtype=float)

    return pair


# ------------------------------------------------------------------------------ sums that cancel


def normalized(x):
    """Batch normalization written out."""
    centred = x - x.mean(axis=0)
    return centred / np.sqrt((centred * centred).mean(axis=0) + 1e-5)


CANCELLED = {
    "batch_norm": lambda x: batch_norm(x).sum(),
    "less its mean": lambda x: (x - x.mean(axis=0)).sum(),
    "softmax": lambda x: softmax(x).sum(),
    "normalized by hand": lambda x: normalized(x).sum(),
}
SEEDS = range(20)


def cancelled(name, seed):
    """One of the 80: a smooth function whose sum is constant, and where it is tried."""
    return CANCELLED[name], np.random.default_rng(seed).standard_normal((4, 3))


# -------------------------------------------------------- slope 0 where the curvature jumps or ends

ROW = np.array([[2.0, 1.0, 1.0], [0.0, 1.0, 0.5]])
LEVEL = {
    "squared_hinge at its margin": (lambda s: squared_hinge(s, np.array([1, -1])), np.array([1.0, -1.0])),
    "squared_hinge, one at its margin": (lambda s: squared_hinge(s, np.array([1, 1])), np.array([1.0, 0.3])),
    "multiclass_hinge, squared, on the margin": (lambda s: multiclass_hinge(s, [0, 1], power=2), ROW),
    "relu² at 0": (lambda x: (relu(x) ** 2).sum(), np.array([0.0])),
    "relu² at 0 and beside": (lambda x: (relu(x) ** 2).sum(), np.array([0.0, 0.5, -0.5])),
    "relu²(−x) at 0": (lambda x: (relu(-x) ** 2).sum(), np.array([0.0])),
    "x·|x| at 0": (lambda x: (x * np.abs(x)).sum(), np.array([0.0])),
    "x·|x| at 0 and beside": (lambda x: (x * np.abs(x)).sum(), np.array([0.0, -1.0])),
    "contrastive at D = m": (
        lambda a: contrastive(a, np.zeros((1, 2)), [0], margin=5.0),
        np.array([[3.0, 4.0]]),
    ),
    "contrastive at D = m, and within": (
        lambda a: contrastive(a, np.zeros((2, 2)), [0, 0], margin=5.0),
        np.array([[3.0, 4.0], [1.0, 1.0]]),
    ),
    "huber at 0": (lambda x: huber(x, np.zeros(2)), np.zeros(2)),
    "huber at δ": (lambda x: huber(x, np.zeros(2)), np.array([1.0, -1.0])),
    "x² at 0": (lambda x: (x**2).sum(), np.zeros(2)),
    "x⁴ at 0": (lambda x: (x**4).sum(), np.array([0.0, 1.0])),
    "|x|³ at 0": (lambda x: (np.abs(x) ** 3).sum(), np.zeros(1)),
    "|x|^1.5 at 0": (lambda x: (np.abs(x) ** 1.5).sum(), np.zeros(1)),
    "max(x, 0)³ at 0": (lambda x: (np.maximum(x, 0.0) ** 3).sum(), np.zeros(1)),
    "mse at its minimum": (lambda x: mse(x, np.array([0.3, -1.2])), np.array([0.3, -1.2])),
    "cos at 0, beside a constant": (lambda x: 3.0 + np.cos(x).sum(), np.zeros(2)),
}

# ------------------------------------------------------------------------- right losses at all scales

P = np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]])
T = np.array([[0.3, -1.2, 0.8], [1.5, 0.4, -0.7], [-0.2, 0.9, 0.1]])
U = np.array([[0.7, 1.3, 0.9], [1.1, 0.6, 1.4], [0.8, 1.2, 0.5]])
SIGNS = np.array([[1, -1, 1], [-1, 1, -1], [1, 1, -1]])
W = np.array([[0.5, -0.3, 0.8], [-0.7, 0.2, 0.4], [0.1, 0.9, -0.6]])


def mlp(x):
    return cross_entropy(np.tanh(x @ W) @ W.T, [0, 2, 1])


def relu_mlp(x):
    return mse(relu(x @ W) @ W.T, T)


def attention(x):
    return (softmax(x @ x.T / 2.0) @ x * U).sum()


KINDS = {
    "mse": lambda x: mse(x, T),
    "mae": lambda x: mae(x, T),
    "msle": lambda x: msle(np.abs(x), P),
    "huber": lambda x: huber(x, T),
    "gaussian_nll": lambda x: gaussian_nll(x, T, variance=P),
    "gaussian_nll by its variance": lambda x: gaussian_nll(T, 2.0 * T, variance=x * x + 0.1),
    "cross_entropy": lambda x: cross_entropy(x, [0, 2, 1]),
    "cross_entropy, smoothed": lambda x: cross_entropy(x, [0, 2, 1], label_smoothing=0.1),
    "cross_entropy of a distribution": lambda x: cross_entropy(x, P),
    "nll": lambda x: nll(lo.nn.log_softmax(x), [0, 2, 1]),
    "logistic": lambda x: logistic(x, (P > 0.25) * 1.0),
    "hinge": lambda x: hinge(x, SIGNS),
    "squared_hinge": lambda x: squared_hinge(x, SIGNS),
    "multiclass_hinge": lambda x: multiclass_hinge(x, [0, 2, 1]),
    "multiclass_hinge, squared": lambda x: multiclass_hinge(x, [0, 2, 1], power=2),
    "entropy": lambda x: entropy(softmax(x)).sum(),
    "kl_divergence": lambda x: kl_divergence(P, softmax(x)),
    "triplet": lambda x: triplet(x, T, T[::-1] + 0.5),
    "triplet, euclidean": lambda x: triplet(x, T, T[::-1] + 0.5, distance="euclidean"),
    "contrastive": lambda x: contrastive(x, T, [1, 0, 0]),
    "cosine_similarity": lambda x: cosine_similarity(x, T).sum(),
    "pairwise_distance": lambda x: pairwise_distance(x, T).sum(),
    "elastic_net": lambda x: elastic_net(x, l1=0.3, l2=0.7),
    "l2": l2,
    "logsumexp": logsumexp,
    "norm": np.linalg.norm,
    "std": lambda x: (np.std(x, axis=0) * U[0]).sum(),
    "batch_norm": lambda x: (batch_norm(x) * U).sum(),
    "layer normalization": lambda x: (normalized(x.T) * U).sum(),
    "softmax": lambda x: (softmax(x) * U).sum(),
    "mlp": mlp,
    "relu mlp": relu_mlp,
    "attention": attention,
    "rational": lambda x: (x / (1.0 + x * x) * U).sum(),
    "product": lambda x: np.prod(np.tanh(x) + 1.5) + np.sin(x).mean(),
}


def scaled(rng, f, x):
    k = 10.0 ** rng.uniform(-8, 8)
    return lambda v: f(v) * k, x


def small_or_large(rng, f, x):
    return f, x * 10.0 ** rng.uniform(-8, 8)


SORTS = {
    "as it is": lambda rng, f, x: (f, x),
    "scaled result": scaled,
    "scaled inputs": small_or_large,
    "beside 1e6": lambda rng, f, x: (lambda v: f(v) + 1e6, x),
    "small beside 1e6": lambda rng, f, x: (lambda v: 1e-3 * f(v) + 1e6, x),
    "saturated": lambda rng, f, x: (f, x * rng.uniform(10, 100)),
    "offset inputs": lambda rng, f, x: (f, x + 10.0 ** rng.uniform(2, 6)),
    "float32": lambda rng, f, x: (f, x.astype(np.float32)),
    "rounded": lambda rng, f, x: (f, np.round(2 * x) / 2),
}


def right(kind, sort, seed):
    """A right loss of some kind, and a point of some sort."""
    rng = seeded(kind, sort, seed)
    return SORTS[sort](rng, KINDS[kind], rng.standard_normal((3, 3)))


def right_ones(count, first=0):
    """(kind, sort, seed) of so many cases, every kind with every sort before a seed comes again."""
    pairs = [(kind, sort) for sort in SORTS for kind in KINDS]
    return [(*pairs[i % len(pairs)], first + i // len(pairs)) for i in range(count)]


def has_gradient(f, x):
    """Whether value and gradient are finite here."""
    with np.errstate(all="ignore"):
        value, g = as_pair(f)(np.asarray(x, dtype=float))
    return bool(np.isfinite(value) and np.isfinite(g).all())


# -------------------------------------------------------------------------- rules that are wrong


@contextlib.contextmanager
def planted(op, which, factor):
    """The op's rule, times a factor, meanwhile."""
    before = op.rules
    rule = before[which]
    op.rules = (*before[:which], lambda *args: rule(*args) * factor, *before[which + 1 :])
    try:
        yield
    finally:
        op.rules = before


def rules_of(f, *arrays):
    """Every (op, number of a rule) that the graph of f goes through."""
    ops = {node.op.name: node.op for node in reachable([f(*map(lo.Parameter, arrays))]) if node.op}
    return [(op, i) for op in ops.values() for i, rule in enumerate(op.rules) if rule is not None]


def forgets_eps(x, eps=0.0):
    """(value, gradient) of a weighted batch normalization whose backward forgets its eps of 1e-5."""
    weights = np.random.default_rng(1).uniform(0.5, 1.5, x.shape)
    centred = x - x.mean(axis=0)
    variance = (centred**2).mean(axis=0)
    value = (weights * centred / np.sqrt(variance + 1e-5)).sum()
    scale, y = 1.0 / np.sqrt(variance + eps), centred / np.sqrt(variance + eps)
    return value, scale * (weights - weights.mean(axis=0) - y * (weights * y).mean(axis=0))
