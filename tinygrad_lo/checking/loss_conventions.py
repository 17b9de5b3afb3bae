"""The conventions in which losses are written: options of the library, and the usual slips around them.

Nothing here is a loss formula: each variant is a loss of the library with other options, other inputs,
or with something done to its values.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_lo import losses
from tinygrad_lo.checking.conventions import Values, call_of, departures, other_values
from tinygrad_lo.checking.samples import (
    Args,
    Draw,
    amounts,
    chances,
    distributions,
    distributions_scores,
    logits,
    logs_labels,
    numbers,
    pairs,
    scores_labels,
    sides,
    triples,
    vectors,
    weights,
)
from tinygrad_lo.engine.graph import Array


@dataclass(frozen=True)
class Slip:
    """A usual mistake: what is done to the inputs, or to the loss of each sample, and how to say it."""

    said: str
    inputs: Callable[..., Args] | None = None
    values: Callable[..., Any] | None = None  # (losses of the samples, options, *args) -> the same
    cause: str = "convention"


@dataclass(frozen=True)
class Before:
    """What a loss does to its scores first, and how to say that a function leaves it to its caller."""

    said: str
    make: Callable[[Any], Any]


@dataclass(frozen=True)
class Known:
    """How one loss may be written: sample arguments, other values of its options, and slips."""

    draw: Draw
    names: tuple[str, ...] = ("prediction", "target")
    options: dict[str, tuple[tuple[Any, str], ...]] = field(default_factory=dict)  # (value, what yours does)
    slips: tuple[Slip, ...] = ()
    required: dict[str, Any] = field(default_factory=dict)  # options without a default
    before: Before | None = None


@dataclass(frozen=True)
class Variant:
    """A loss with some options, and perhaps a slip: what a student's values are compared with."""

    name: str
    options: dict[str, Any]
    said: tuple[str, ...]
    slip: Slip | None = None

    def __call__(self, *args: Any) -> Array:
        """The value, with the slip."""
        function = getattr(losses, self.name)
        if self.slip is None:
            return np.asarray(function(*args, **self.options))
        given = args if self.slip.inputs is None else self.slip.inputs(*args)
        if self.slip.values is None:
            return np.asarray(function(*given, **self.options))
        reduction = self.options.get("reduction")
        options = self.options if reduction is None else {**self.options, "reduction": "none"}
        each = np.asarray(self.slip.values(function(*given, **options), self.options, *given))
        return np.asarray(reduced(each, reduction))

    def call(self) -> str:
        """The variant as it is written with this library, where its options can say it."""
        return call_of(f"losses.{self.name}", "...", self.options, signature(self.name))


def reduced(each: Array, reduction: str | None) -> Any:
    """The losses of the samples by one of the reductions."""
    if reduction in (None, "none") or not each.ndim:
        return each
    if reduction == "sum":
        return each.sum()
    return each.sum() / (len(each) if reduction == "batchmean" else each.size)


def signature(name: str) -> dict[str, inspect.Parameter]:
    """The options of a loss."""
    found = inspect.signature(getattr(losses, name)).parameters
    return {k: p for k, p in found.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}


# --------------------------------------------------------------------------------------- the table

BASES = (
    (math.e, "takes the natural logarithm (nats)"),
    (2, "takes the logarithm in base 2 (bits)"),
    (10, "takes the logarithm in base 10"),
)
MARGINS = (
    (1.0, "has the margin 1"),
    (0.0, "has no margin (Δ = 0)"),
    (0.5, "has the margin ½"),
    (2.0, "has the margin 2"),
    (0.2, "has the margin 0.2"),
    (-1.0, "subtracts the margin"),
)
DISTANCES = MARGINS[:-1]  # between distances a margin is not negative
HALF = ((False, "has no factor ½"), (True, "has the factor ½"))


def others(labels: Any, classes: int) -> Array:
    """Which classes are wrong, a row for each sample."""
    return np.arange(classes) != np.asarray(labels)[:, None]


def soft(scores: Any) -> Array:
    """Softmax of the scores."""
    e = np.exp(scores)
    return np.asarray(e / e.sum(-1, keepdims=True))


def columns(scores: Any) -> Array:
    """Softmax over the samples."""
    e = np.exp(scores)
    return np.asarray(e / e.sum(0))


def squash(z: Any) -> Array:
    """Sigmoid of the scores."""
    return np.asarray(1.0 / (1.0 + np.exp(-z)))


def picked(x: Any, labels: Any) -> Array:
    """The elements of the right classes."""
    return np.asarray(np.take_along_axis(x, np.asarray(labels)[:, None], -1)[:, 0])


def far(each: Any, options: Any, p: Any, t: Any) -> Array:
    """Whether Huber's loss is linear there."""
    return np.asarray(np.abs(p - t) > options["delta"])


def late(s: Any, y: Any) -> Args:
    """The class after the right one in its place."""
    return s, (y + 1) % s.shape[-1]


def early(s: Any, y: Any) -> Args:
    """The class before the right one in its place."""
    return s, (y - 1) % s.shape[-1]


def halves(of: Callable[..., Any]) -> tuple[Slip, ...]:
    """Of the two terms of a loss, one is summed and the other averaged; `of` is where the first counts."""
    said = "sums one of its two terms and averages the other"
    return tuple(
        Slip(said, values=lambda each, o, *args, k=k, first=first: np.where(
            of(*args) == first, each, each * (each.size if k else 1.0 / each.size)), cause="mean or sum")
        for first in (True, False) for k in (True, False)
    )  # fmt: skip


LABELS = (
    Slip("has labels that are off by one: it takes class y + 1", inputs=late, cause="labels"),
    Slip("has labels that are off by one: it takes class y − 1", inputs=early, cause="labels"),
)
NO_CLAMP = "does not clamp at 0: max(0, ·) is missing"
KNOWN: dict[str, Known] = {
    "mse": Known(numbers, options={"half": HALF}, slips=(
        Slip("does not square: it adds up the residuals", values=lambda each, o, p, t: p - t),
        Slip("takes |r| where r² belongs: it is mae", values=lambda each, o, p, t: np.abs(p - t)),
    )),
    "mae": Known(numbers, slips=(
        Slip("does not take the absolute value", values=lambda each, o, p, t: p - t),
        Slip("takes r² where |r| belongs: it is mse", values=lambda each, o, p, t: each**2),
    )),
    "msle": Known(amounts, options={"base": BASES}, slips=(
        Slip("takes log x where log(1 + x) belongs", inputs=lambda p, t: (p - 1.0, t - 1.0)),
        Slip("does not square", values=lambda each, o, p, t: np.sqrt(each)),
    )),
    "huber": Known(numbers, options={
        "delta": tuple((delta, f"has δ = {delta:g}") for delta in (1.0, 0.5, 2.0, 1.5, 0.1)),
    }, slips=(
        Slip("leaves out − ½δ² beyond δ, so that it jumps there",
             values=lambda each, o, p, t: each + far(each, o, p, t) * 0.5 * o["delta"] ** 2),
        Slip("leaves out the ½ inside δ",
             values=lambda each, o, p, t: np.where(far(each, o, p, t), each, 2.0 * each)),
        Slip("leaves out the factor δ beyond δ",
             values=lambda each, o, p, t: np.where(
                 far(each, o, p, t), np.abs(p - t) - 0.5 * o["delta"] ** 2, each)),
        Slip("has its two branches exchanged", values=lambda each, o, p, t: np.where(
            far(each, o, p, t), 0.5 * (p - t) ** 2, o["delta"] * np.abs(p - t) - 0.5 * o["delta"] ** 2)),
        Slip("is divided by δ: PyTorch's smooth_l1", values=lambda each, o, p, t: each / o["delta"]),
        Slip("is ½r² everywhere: the linear branch is missing",
             values=lambda each, o, p, t: 0.5 * (p - t) ** 2),
    )),
    "gaussian_nll": Known(numbers, options={
        "full": ((True, "keeps ½ log 2π"), (False, "leaves out the constant ½ log 2π")),
        "variance": ((1.0, "has variance 1"), (0.25, "has variance ¼"), (0.5, "has variance ½"),
                     (2.0, "has variance 2"), (4.0, "has variance 4")),
    }, slips=(
        Slip("leaves out ½ log 2π and log σ",
             values=lambda each, o, p, t: 0.5 * (p - t) ** 2 / o["variance"]),
        Slip("leaves out log σ", values=lambda each, o, p, t: each - 0.5 * np.log(o["variance"])),
        Slip("adds log σ² where ½ log σ² belongs",
             values=lambda each, o, p, t: each + 0.5 * np.log(o["variance"])),
        Slip("leaves out the ½ before the square",
             values=lambda each, o, p, t: each + 0.5 * (p - t) ** 2 / o["variance"]),
    )),
    "cross_entropy": Known(scores_labels, ("scores", "labels"), {
        "base": BASES,
        "label_smoothing": ((0.0, "does not smooth labels"), (0.1, "smooths the labels by 0.1")),
    }, (
        Slip("applies softmax twice: the scores go in as they are, softmax is part of the loss",
             inputs=lambda s, y: (soft(s), y)),
        Slip("leaves out softmax: it takes the scores as log-probabilities",
             values=lambda each, o, s, y: -picked(s, y)),
        Slip("leaves out the logarithm: it is −p_y", values=lambda each, o, s, y: -picked(soft(s), y)),
        Slip("subtracts the largest score inside the sum and not from s_y",
             values=lambda each, o, s, y: each - s.max(-1)),
        Slip("leaves the right class out of the sum Σ e^s",
             values=lambda each, o, s, y: np.log(np.exp(np.where(others(y, s.shape[-1]), s, -np.inf)).sum(-1))
             - picked(s, y)),
        *LABELS,
        Slip("takes softmax over axis 0, over the samples: it belongs over the classes of each",
             values=lambda each, o, s, y: -np.log(picked(columns(s), y)), cause="axis"),
        Slip("takes softmax over axis 0, over the samples: it belongs over the classes of each",
             values=lambda each, o, s, y: -np.log(picked(columns(s - s.max(-1, keepdims=True)), y)),
             cause="axis"),
        Slip("divides e^s by the mean of the row's, where their sum belongs",
             values=lambda each, o, s, y: each - np.log(s.shape[-1]), cause="mean or sum"),
        Slip("sums −log p over all classes, not only the right one",
             values=lambda each, o, s, y: -np.log(soft(s)).sum(-1)),
        Slip("leaves out the minus sign and the logarithm's sum: it is s_y",
             values=lambda each, o, s, y: picked(s, y), cause="sign"),
    ), before=Before("takes the logarithm of the scores as they are: softmax is missing", soft)),
    "nll": Known(logs_labels, ("log-probabilities", "labels"), slips=(
        *LABELS,
        Slip("takes exp of the log-probabilities: it is −p_y", values=lambda each, o, s, y: -np.exp(-each)),
        Slip("sums over all classes, not only the right one", values=lambda each, o, s, y: -s.sum(-1)),
    ), before=Before("takes the logarithm of what are log-probabilities already", np.exp)),
    "binary_cross_entropy": Known(chances, ("probabilities", "answers"), slips=(
        *halves(lambda p, y: y == 1),
        Slip("leaves out (1 − y) log(1 − p)", values=lambda each, o, p, y: each * y),
        Slip("leaves out y log p", values=lambda each, o, p, y: each * (1.0 - y)),
        Slip("has the answers 0 and 1 exchanged", inputs=lambda p, y: (p, 1.0 - y)),
        Slip("applies the sigmoid to what are probabilities already", inputs=lambda p, y: (squash(p), y)),
        Slip("has one sign wrong: −y log p + (1 − y) log(1 − p)",
             values=lambda each, o, p, y: each * (2.0 * y - 1.0), cause="sign"),
    )),
    "binary_cross_entropy_with_logits": Known(logits, ("scores", "answers"), slips=(
        *halves(lambda z, y: y == 1),
        Slip("leaves out (1 − y) log(1 − σ(z))", values=lambda each, o, z, y: each * y),
        Slip("leaves out y log σ(z)", values=lambda each, o, z, y: each * (1.0 - y)),
        Slip("has the answers 0 and 1 exchanged", inputs=lambda z, y: (z, 1.0 - y)),
        Slip("applies the sigmoid twice", inputs=lambda z, y: (squash(z), y)),
        Slip("has one sign wrong: −y log σ + (1 − y) log(1 − σ)",
             values=lambda each, o, z, y: each * (2.0 * y - 1.0), cause="sign"),
    ), before=Before("takes the logarithm of the scores as they are: the sigmoid is missing", squash)),
    "hinge": Known(sides, ("scores", "signs"), {"margin": MARGINS}, (
        Slip(NO_CLAMP, values=lambda each, o, s, y: o["margin"] - y * s),
        Slip("has the sign of y s wrong: max(0, Δ + y s)", inputs=lambda s, y: (s, -y), cause="sign"),
        Slip("is squared: it is squared_hinge", values=lambda each, o, s, y: each**2),
    )),
    "squared_hinge": Known(sides, ("scores", "signs"), {"margin": MARGINS}, (
        Slip(NO_CLAMP, values=lambda each, o, s, y: (o["margin"] - y * s) ** 2),
        Slip("has the sign of y s wrong: max(0, Δ + y s)", inputs=lambda s, y: (s, -y), cause="sign"),
        Slip("is not squared: it is hinge", values=lambda each, o, s, y: np.sqrt(each)),
    )),
    "multiclass_hinge": Known(scores_labels, ("scores", "labels"), {
        "power": ((1, "has the power 1"), (2, "squares the margins (power 2)")),
        "over": (("others", "sums over the wrong classes only"),
                 ("all", "sums over all classes, the right one too, which adds the margin once")),
        "combine": (("sum", "sums over the classes"),
                    ("mean", "divides by the number of classes, as PyTorch does"),
                    ("max", "is the Crammer–Singer variant: the worst class only")),
        "margin": MARGINS,
    }, (
        Slip("has s_y − s_j where s_j − s_y belongs", inputs=lambda s, y: (-s, y), cause="sign"),
        Slip(NO_CLAMP, values=lambda each, o, s, y: (
            (s - picked(s, y)[:, None] + o["margin"]) * others(y, s.shape[-1])).sum(-1)),
        *LABELS,
        Slip("counts the violated margins: it does not add them up", values=lambda each, o, s, y: (
            (s - picked(s, y)[:, None] + o["margin"] > 0) * others(y, s.shape[-1])).sum(-1) * 1.0),
        Slip("squares the sum over the classes, not each margin", values=lambda each, o, s, y: each**2),
    )),
    "kl_divergence": Known(distributions, ("p", "q"), {"base": BASES}, (
        Slip("has the other direction: it is KL(q‖p), in the order of PyTorch's kl_div",
             inputs=lambda p, q: (q, p)),
        Slip("leaves out − H(p): it is the cross-entropy H(p, q)",
             values=lambda each, o, p, q: losses.distribution_cross_entropy(p, q, base=o["base"])),
        Slip("leaves out the weights p: it sums log p − log q",
             values=lambda each, o, p, q: (np.log(p) - np.log(q)).sum(-1) / math.log(o["base"])),
    )),
    "kl_divergence_with_logits": Known(distributions_scores, ("p", "scores"), {"base": BASES}, (
        Slip("leaves out − H(p): it is the cross-entropy H(p, q)",
             values=lambda each, o, p, s: losses.cross_entropy(s, p, base=o["base"], reduction="none")),
    )),
    "triplet": Known(triples, ("anchor", "positive", "negative"), {
        "distance": (("squared", "takes the squared distance"),
                     ("euclidean", "takes the Euclidean distance, not squared")),
        "margin": DISTANCES,
    }, (
        Slip("has positive and negative exchanged", inputs=lambda a, p, n: (a, n, p)),
        Slip(NO_CLAMP, values=lambda each, o, a, p, n: distance_gap(o, a, p, n) + o["margin"]),
        Slip("subtracts the margin",
             values=lambda each, o, a, p, n: np.maximum(0.0, distance_gap(o, a, p, n) - o["margin"])),
        Slip("measures the negative from the positive, not from the anchor",
             values=lambda each, o, a, p, n: np.maximum(0.0, distance_gap(o, a, p, n, p) + o["margin"])),
    )),
    "contrastive": Known(pairs, ("a", "b", "y"), {"margin": DISTANCES}, (
        Slip("takes y = 1 for similar pairs; the lecture has y = 0 similar",
             inputs=lambda a, b, y: (a, b, 1 - y)),
        Slip("has max(0, m − D²) where max(0, m − D)² belongs", values=lambda each, o, a, b, y: np.where(
            y == 1, 0.5 * np.maximum(0.0, o["margin"] - ((a - b) ** 2).sum(-1)), each)),
        *halves(lambda a, b, y: y == 1),
        Slip("does not square the distances", values=lambda each, o, a, b, y: np.sqrt(0.5 * each)),
        Slip("holds dissimilar pairs at the margin: max(0, ·) is missing",
             values=lambda each, o, a, b, y: np.where(
                 y == 1, 0.5 * (o["margin"] - np.sqrt(((a - b) ** 2).sum(-1))) ** 2, each)),
    )),
    "l1": Known(weights, ("weights",), slips=(
        Slip("does not take the absolute value", values=lambda each, o, w: w.sum()),
        Slip("squares: it is l2", values=lambda each, o, w: (w * w).sum()),
    )),
    "l2": Known(weights, ("weights",), {"half": HALF}, (
        Slip("takes the root: it is the norm, not its square",
             values=lambda each, o, w: np.sqrt((w * w).sum())),
        Slip("takes |w| where w² belongs: it is l1", values=lambda each, o, w: np.abs(w).sum()),
    )),
    "elastic_net": Known(weights, ("weights",), required={"l1": 1.0, "l2": 1.0}, slips=(
        Slip("has l1 and l2 exchanged", values=lambda each, o, w: priced(w, o["l2"], o["l1"])),
        Slip("has ½ before its Σ w²", values=lambda each, o, w: priced(w, o["l1"], 0.5 * o["l2"])),
        Slip("leaves out the L1 part", values=lambda each, o, w: priced(w, 0.0, o["l2"])),
        Slip("leaves out the L2 part", values=lambda each, o, w: priced(w, o["l1"], 0.0)),
    )),
    "information": Known(lambda rng, n, c: (chances(rng, n, c)[0],), ("p",), {"base": BASES}),
    "entropy": Known(lambda rng, n, c: distributions(rng, n, c)[:1], ("p",), {"base": BASES}),
    "distribution_cross_entropy": Known(distributions, ("p", "q"), {"base": BASES}, (
        Slip("has p and q exchanged", inputs=lambda p, q: (q, p)),
        Slip("subtracts H(p): it is the KL divergence",
             values=lambda each, o, p, q: losses.kl_divergence(p, q, base=o["base"], reduction="none")),
    )),
    "cosine_similarity": Known(vectors, ("a", "b"), slips=(
        Slip("does not divide by the lengths: it is the dot product",
             values=lambda each, o, a, b: (a * b).sum(-1)),
        Slip("is the distance 1 − cos θ", values=lambda each, o, a, b: 1.0 - each),
    )),
    "pairwise_distance": Known(vectors, ("A", "B"), {"distance": (
        ("euclidean", "takes the Euclidean distance"), ("squared", "takes the squared distance"),
    )}, (Slip("is transposed", values=lambda each, o, a, b: each.T, cause="transpose"),)),
}  # fmt: skip


def priced(w: Any, l1: float, l2: float) -> Any:
    """The elastic net with these strengths."""
    return losses.elastic_net(w, l1=l1, l2=l2)


def distance_gap(options: dict[str, Any], a: Any, p: Any, n: Any, start: Any = None) -> Array:
    """d_p − d_n of the triplet loss; `start` is where the negative is measured from."""
    squared = options["distance"] == "squared"
    d_p, d_n = (((x - y) ** 2).sum(-1) for x, y in ((a, p), (a if start is None else start, n)))
    return np.asarray(d_p - d_n if squared else np.sqrt(d_p) - np.sqrt(d_n))


REDUCTIONS = (
    ("mean", "averages over all elements"),
    ("sum", "sums over all elements"),
    ("batchmean", "sums over the outputs and averages over the samples"),
    ("none", "returns a loss for each sample, which is not reduced to one number"),
)


def axes_of(name: str, expected: dict[str, Any]) -> dict[str, Values]:
    """The options in which variants of a loss differ: each with its other values."""
    known = KNOWN[name]
    options: dict[str, Values] = dict(known.options)
    if "reduction" in signature(name):
        each = Variant(name, {**expected, "reduction": "none"}, ())(
            *known.draw(np.random.default_rng(0), 2, 2)
        )
        options["reduction"] = tuple(pair for pair in REDUCTIONS if pair[0] != "batchmean" or each.ndim > 1)
    return other_values(options, expected)


def variants(name: str, expected: dict[str, Any]) -> Iterator[Variant]:
    """All variants, those that differ in few things first: the loss itself, one thing, two, three."""
    for changed, said, slip in departures(axes_of(name, expected), KNOWN[name].slips, 3):
        yield Variant(name, {**expected, **changed}, said, slip)
