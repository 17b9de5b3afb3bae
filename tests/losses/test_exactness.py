"""Every loss against exact numbers: values, first and second derivatives, in three dtypes.

A reference is the formula of the loss's docstring, on numbers of hundreds of digits. Scores, residuals and
vectors are taken at 0, 1e-8, 1e8, at 200 points in ±750, at ties and at the ends of the dtype, as far as the
loss still is a number there; probabilities next to 0 and 1.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from exactness import BOUNDS, Exact, derivatives, exact_np, rng_of, worst

from tinygrad_lo import losses as L
from tinygrad_lo import nn

X = exact_np
SLOW = pytest.mark.slow
DTYPES = (pytest.param("float64", marks=SLOW), "float32", pytest.param("float16", marks=SLOW))
ORDERS = ("value", "first", "second")
MINING = {"hard_negatives", "semi_hard_negatives"}  # choose rows; no numbers come of them

# What comes less close, and why: (case, order) -> (units, reason).
NEAR_ONE = "log p of p near 1 is as wrong as p: log1p would make the op 1.6 times as slow"
CANCELLED = "the slope is p (log p + H), whose two parts are rounded and nearly cancel at equal scores"
WIDER = {
    ("cross_entropy", 0): (np.inf, NEAR_ONE),
    ("binary_cross_entropy_with_logits", 1): (
        np.inf,
        "by the target, the slope −z is a difference of two softplus, each near log 2",
    ),
    ("entropy of a softmax", 1): (np.inf, CANCELLED),
    ("entropy of a softmax", 2): (np.inf, CANCELLED),
}


@dataclass
class Case:
    """A loss with some options, its reference, and what it is tried on.

    `inputs` are kinds of numbers, one for each input; constants stand for themselves.
    """

    name: str
    call: Callable
    reference: Callable
    inputs: tuple
    wrt: tuple = (0, 1)
    shape: tuple = ()  # of a row; () where every element is a sample
    left_out: Callable = field(default=lambda *arrays: False)

    @property
    def loss(self):
        return self.name.split()[0]


# ----------------------------------------------------------------------------------- the numbers


def sizes(dtype):
    """1e-8 and 1e8, as far as the dtype has them, and what is about 1."""
    small, large = (1e-8, 1e8) if dtype != "float16" else (1e-4, 1e4)
    return np.array([0.0, small, 0.5, 1.0, 2.0, 3.0, 40.0, large])


def real(dtype, rng, n):
    found = np.concatenate(
        [rng.uniform(-750, 750, n), rng.choice([-1, 1], 40) * rng.choice(sizes(dtype), 40)]
    )
    return np.concatenate([found, rng.normal(0, 1, 20)])


def far(dtype, rng, n):
    """As `real`, and to where the dtype ends."""
    info = np.finfo(dtype)
    ends = [float(info.tiny), float(info.max) ** 0.5 / 2, float(info.max) / 16]
    return np.concatenate([real(dtype, rng, n), rng.choice([-1, 1], 12) * rng.choice(ends, 12)])


def positive(dtype, rng, n):
    return np.concatenate([rng.uniform(0.01, 750, n), rng.choice(sizes(dtype)[1:], 60)])


def above_minus_one(dtype, rng, n):
    return np.concatenate([rng.uniform(-0.99, 750, n), rng.choice(sizes(dtype), 60)])


def probability(dtype, rng, n):
    info = np.finfo(dtype)
    near = [1e-8, 1e-4, float(info.tiny) * 4, 1 - float(info.epsneg), 1 - 4 * float(info.epsneg)]
    near = [x for x in near if x >= info.tiny]
    return np.concatenate([rng.uniform(0.01, 0.99, n), rng.choice(near, 60)])


def target(dtype, rng, n):
    return rng.choice([0.0, 1.0, 0.3], n + 60)


def side(dtype, rng, n):
    return rng.choice([-1.0, 1.0], n + 60)


def points(case, dtype, rng):
    """A column of numbers for each input of a loss that takes element by element."""
    columns = [kind(dtype, rng, 200) if callable(kind) else kind for kind in case.inputs]
    least = min(len(c) for c in columns if isinstance(c, np.ndarray))
    return [rng.permutation(c)[:least].astype(dtype) if isinstance(c, np.ndarray) else c for c in columns]


# Rows of three numbers, one kind of them at a time.
ROWS = {
    "usual": lambda dtype, rng, shape: rng.normal(0, 1, shape),
    "small": lambda dtype, rng, shape: rng.normal(0, sizes(dtype)[1], shape),
    "large": lambda dtype, rng, shape: rng.normal(0, sizes(dtype)[-1], shape),
    "wide": lambda dtype, rng, shape: rng.uniform(-750, 750, shape),
    "ties": lambda dtype, rng, shape: rng.choice([1.5, -3.0], shape),
    "zeros": lambda dtype, rng, shape: rng.choice([0.0, 0.0, 2.5], shape),
}


def chances(kind, dtype, rng, shape):
    """Rows that sum to 1: far from and near to a corner."""
    concentration = {"usual": 1.0, "small": 0.05, "large": 50.0}.get(kind)
    if concentration is None:
        return None
    return np.maximum(rng.dirichlet(np.full(shape[-1], concentration), shape[:-1]), 4 * np.finfo(dtype).tiny)


# ------------------------------------------------------------------------------------ the losses


def softplus(z):
    return X.logaddexp(z, 0 * z)


def log_softmax(s):
    top = np.max(s, axis=-1, keepdims=True)
    return s - top - X.log(np.sum(X.exp(s - top), axis=-1, keepdims=True))


def picked(s, labels):
    return np.array([row[y] for row, y in zip(s, labels, strict=True)], object)


def norm(x):
    return X.sqrt(np.sum(x * x, axis=-1))


def huber(p, t):
    r = abs(p - t)
    return np.where(r <= 1, r * r / 2, r - 0.5)


def logits_loss(z, y):
    return y * softplus(-z) + (1 - y) * softplus(z)


def each(loss, **options):
    return lambda *inputs: loss(*inputs, reduction="none", **options)


def kl(p, log_q):
    return np.sum(p * (X.log(p) - log_q), axis=-1)


def hinges(s, labels):
    m = X.maximum(0, s - picked(s, labels)[:, None] + 1)
    return np.sum(m, axis=-1) - 1


LABELS = np.array([0, 2])


def focal(s, gamma):
    log_p = log_softmax(s)
    others = np.array([sum(np.delete(row, y)) for row, y in zip(X.exp(log_p), LABELS, strict=True)], object)
    return -X.exp(gamma * X.log(others)) * picked(log_p, LABELS)


POINTWISE = [
    Case("mse", each(L.mse), lambda p, t: (p - t) ** 2, (real, real)),
    Case("mse half", each(L.mse, half=True), lambda p, t: (p - t) ** 2 / 2, (real, real)),
    Case("mae", each(L.mae), lambda p, t: abs(p - t), (far, far)),
    Case(
        "msle", each(L.msle), lambda p, t: (X.log1p(p) - X.log1p(t)) ** 2, (above_minus_one, above_minus_one)
    ),
    Case(
        "huber",
        each(L.huber),
        huber,
        (far, far),
        left_out=lambda p, t: abs(p - t) == 1,  # rounded onto the bound, where the curvature jumps
    ),
    Case(
        "log_cosh",
        each(L.log_cosh),
        lambda p, t: X.logaddexp(p - t, t - p) - X.log(2),
        (far, far),
    ),
    Case(
        "quantile",
        each(L.quantile, q=0.25),
        lambda p, t: np.where(p > t, 0.75 * (p - t), 0.25 * (t - p)),
        (far, far),
    ),
    Case(
        "gaussian_nll",
        lambda p, t, v: L.gaussian_nll(p, t, variance=v, reduction="none"),
        lambda p, t, v: (p - t) ** 2 / v / 2 + X.log(v) / 2 + math.log(2 * math.pi) / 2,
        (real, real, positive),
        wrt=(0, 1, 2),
    ),
    Case(
        "binary_cross_entropy",
        each(L.binary_cross_entropy),
        lambda p, y: -y * X.log(p) - (1 - y) * X.log(1 - p),
        (probability, target),
        left_out=lambda p, y: np.log(p.astype(float)) < -100,
    ),
    Case(
        "binary_cross_entropy of a sigmoid",
        lambda z, y: L.binary_cross_entropy(nn.sigmoid(z), y, reduction="none"),
        logits_loss,
        (real, target),
        wrt=(0,),
    ),
    Case(
        "binary_cross_entropy_with_logits",
        each(L.binary_cross_entropy_with_logits),
        logits_loss,
        (real, target),
    ),
    Case("hinge", each(L.hinge), lambda s, y: X.maximum(0, 1 - y * s), (far, side), wrt=(0,)),
    Case(
        "squared_hinge",
        each(L.squared_hinge),
        lambda s, y: X.maximum(0, 1 - y * s) ** 2,
        (real, side),
        wrt=(0,),
    ),
    Case("information", L.information, lambda p: -X.log(p), (probability,), wrt=(0,)),
    Case(
        "information of a sigmoid",
        lambda z: L.information(nn.sigmoid(z)),
        lambda z: softplus(-z),
        (real,),
        wrt=(0,),
    ),
    Case(
        "information of 1 − a sigmoid",
        lambda z: L.information(1 - nn.sigmoid(z)),
        softplus,
        (real,),
        wrt=(0,),
    ),
]
BY_ROWS = [
    Case("cross_entropy", lambda s: L.cross_entropy(s, LABELS, reduction="none"),
         lambda s: -picked(log_softmax(s), LABELS), ("real",), (0,)),
    *(Case(f"focal {gamma}", lambda s, gamma=gamma: L.focal(s, LABELS, gamma=gamma, reduction="none"),
           lambda s, gamma=gamma: focal(s, gamma), ("real",), (0,)) for gamma in (0.5, 2.0)),
    Case("cross_entropy to a distribution", each(L.cross_entropy),
         lambda s, q: -np.sum(q * log_softmax(s), axis=-1), ("real", "chances")),
    Case("multiclass_hinge", lambda s: L.multiclass_hinge(s, LABELS, reduction="none"),
         lambda s: hinges(s, LABELS), ("real",), (0,)),
    Case("nll", lambda s: L.nll(s, LABELS, reduction="none"), lambda s: -picked(s, LABELS), ("below",), (0,)),
    Case("entropy", L.entropy, lambda p: -np.sum(p * X.log(p), axis=-1), ("chances",), (0,)),
    Case("entropy of a softmax", lambda s: L.entropy(nn.softmax(s)),
         lambda s: -np.sum(X.exp(log_softmax(s)) * log_softmax(s), axis=-1), ("real",), (0,)),
    Case("distribution_cross_entropy", L.distribution_cross_entropy,
         lambda p, q: -np.sum(p * X.log(q), axis=-1), ("chances", "chances")),
    Case("distribution_cross_entropy of a softmax",
         lambda p, s: L.distribution_cross_entropy(p, nn.softmax(s)),
         lambda p, s: -np.sum(p * log_softmax(s), axis=-1), ("chances", "real")),
    Case("kl_divergence", each(L.kl_divergence), lambda p, q: kl(p, X.log(q)), ("chances", "chances")),
    Case("kl_divergence of a softmax", lambda p, s: L.kl_divergence(p, nn.softmax(s), reduction="none"),
         lambda p, s: kl(p, log_softmax(s)), ("chances", "real")),
    Case("kl_divergence_with_logits", each(L.kl_divergence_with_logits),
         lambda p, s: kl(p, log_softmax(s)), ("chances", "real")),
    Case("triplet", each(L.triplet),
         lambda a, p, n: X.maximum(0, np.sum((a - p) ** 2, axis=-1) - np.sum((a - n) ** 2, axis=-1) + 1),
         ("real", "real", "real"), (0, 1, 2)),
    Case("triplet euclidean", each(L.triplet, distance="euclidean"),
         lambda a, p, n: X.maximum(0, norm(a - p) - norm(a - n) + 1), ("real", "real", "real"), (0, 1, 2)),
    Case("contrastive", lambda a, b: L.contrastive(a, b, [0, 1], reduction="none"),
         lambda a, b: np.where([True, False], np.sum((a - b) ** 2, axis=-1),
                               X.maximum(0, 1 - norm(a - b)) ** 2) / 2,
         ("real", "real")),
    Case("cosine_similarity", L.cosine_similarity,
         lambda a, b: np.sum(a * b, axis=-1) / (norm(a) * norm(b)), ("real", "real")),
    Case("pairwise_distance", L.pairwise_distance, lambda a, b: norm(a[:, None] - b[None]), ("real", "real")),
    Case("pairwise_distance squared", lambda a, b: L.pairwise_distance(a, b, distance="squared"),
         lambda a, b: np.sum((a[:, None] - b[None]) ** 2, axis=-1), ("real", "real")),
    Case("l1", L.l1, lambda w: np.sum(abs(w)), ("real",), (0,)),
    Case("l2", L.l2, lambda w: np.sum(w * w), ("real",), (0,)),
    Case("elastic_net", lambda w: L.elastic_net(w, l1=0.5, l2=2.0),
         lambda w: np.sum(abs(w)) / 2 + 2 * np.sum(w * w), ("real",), (0,)),
]  # fmt: skip


def test_every_loss_has_a_reference():
    assert {case.loss for case in POINTWISE + BY_ROWS} == set(L.__all__) - MINING


@pytest.mark.filterwarnings("ignore")  # of overflow, and of probabilities that have lost their digits
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", POINTWISE, ids=lambda case: case.name)
def test_losses_of_elements_are_exact(case, dtype):
    columns = points(case, dtype, rng_of(f"{case.name} {dtype}"))
    out = np.broadcast_to(case.left_out(*columns), columns[0].shape)
    columns = [c[~out] for c in columns]
    exact = Exact(case.reference, columns, [(i, ...) for i in case.wrt], np.ones(1), dtype)
    pairs = list(itertools.combinations_with_replacement(case.wrt, 2))
    y, firsts, seconds = derivatives(case.call, columns, case.wrt, 1.0, [(i, ..., j) for i, j in pairs])
    assert y.dtype == dtype

    def where(at):
        return ", ".join(str(c[at]) for c in columns)

    found = [worst(*exact.value_gap(y), y, where), (0.0, ""), (0.0, "")]
    for k, i in enumerate(case.wrt):
        found[1] = max(found[1], worst(*exact.gap(firsts[i], k), firsts[i], where))
    for i, j in pairs:
        h = seconds[i, ..., j]
        found[2] = max(found[2], worst(*exact.gap(h, case.wrt.index(i), case.wrt.index(j)), h, where))
    assert_within(case, found)


def row_inputs(case, kind, dtype, rng):
    """An array for each input, or None where this kind is none of the loss's."""
    made = []
    for what in case.inputs:
        x = chances(kind, dtype, rng, (2, 3)) if what == "chances" else ROWS[kind](dtype, rng, (2, 3))
        if x is None and what == "chances":
            x = chances("usual", dtype, rng, (2, 3)) if "real" in case.inputs else None
        if x is None:
            return None
        made.append((-np.abs(x) if what == "below" else x).astype(dtype))
    return made


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", BY_ROWS, ids=lambda case: case.name)
def test_losses_of_rows_are_exact(case, dtype):
    rng = rng_of(f"{case.name} {dtype}")
    found = [(0.0, "")] * 3
    for kind in ROWS:
        made = row_inputs(case, kind, dtype, rng)
        if made is None:
            continue
        variables = [(i, place) for i in case.wrt for place in np.ndindex(made[i].shape)]
        exact = Exact(case.reference, made, variables, 1.0, dtype)
        try:
            seed = np.ones(np.shape(exact.at()))
        except ZeroDivisionError:
            continue
        if seed.ndim:
            seed[..., :1] *= -2.0
        exact.seed = seed
        k = rng.choice(len(variables), 2)
        (i, place), (j, other) = variables[k[0]], variables[k[1]]
        y, firsts, seconds = derivatives(case.call, made, case.wrt, seed.astype(dtype), [(i, place, j)])
        assert y.dtype == dtype

        def where(_, made=made, kind=kind):
            return f"{kind}: " + " ".join(", ".join(map(repr, made)).split())

        found[0] = max(found[0], worst(*exact.value_gap(y), y, where))
        found[1] = max(found[1], worst(*exact.gap(firsts[i][place], k[0]), firsts[i][place], where))
        h = seconds[i, place, j][other]
        found[2] = max(found[2], worst(*exact.gap(h, k[0], k[1]), h, where))
    assert_within(case, found)


def assert_within(case, found):
    wrong = [
        f"{ORDERS[order]}: {text}"
        for order, (gap, text) in enumerate(found)
        if gap > WIDER.get((case.name, order), (BOUNDS[order],))[0]
    ]
    assert not wrong, "\n".join(["", *wrong])
