"""The conventions in which losses are written: options of the library, and the usual slips around them.

Each variant is a loss of the library with other options, other inputs, or with something done to its values.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from tinygrad_lo import losses
from tinygrad_lo.checking import samples
from tinygrad_lo.checking.conventions import Known, Mistake, Values, Variant, each_of
from tinygrad_lo.checking.numerical import numerical_gradient
from tinygrad_lo.checking.samples import Batch
from tinygrad_lo.engine.graph import Array
from tinygrad_lo.errors import LoError
from tinygrad_lo.losses.loss import reduced
from tinygrad_lo.nn.activations import sigmoid, softmax


@dataclass(frozen=True)
class Slip(Mistake):
    """A usual mistake: what is done to the loss of each sample, or to the inputs."""

    each: Callable[..., Any] | None = None  # (losses of the samples, options, *args) -> the same
    inputs: Callable[..., tuple[Any, ...]] | None = None


TRIPLET_MARGINS = [(0.0, "has no margin (Δ = 0)"), *each_of("has the margin {:g}", 1.0, 0.5, 2.0, 0.2)]
MEANINGS: dict[str, Values] = {
    "half": ((False, "has no factor ½"), (True, "has the factor ½")),
    "base": ((math.e, "takes the natural logarithm (nats)"), (2, "takes the logarithm in base 2 (bits)"),
             (10, "takes the logarithm in base 10")),
    "delta": each_of("has δ = {:g}", 1.0, 0.5, 2.0, 1.5, 0.1),
    "q": ((0.5, "has q = 0.5"),),
    "gamma": each_of("has γ = {:g}", 2.0, 0.0, 0.5, 1.0, 5.0),
    "full": ((True, "keeps ½ log 2π"), (False, "leaves out the constant ½ log 2π")),
    "variance": each_of("has variance {:g}", 1.0, 0.25, 0.5, 2.0, 4.0),
    "label_smoothing": ((0.0, "does not smooth labels"), (0.1, "smooths the labels by 0.1")),
    "power": ((1, "has the power 1"), (2, "squares the margins (power 2)")),
    "over": (("others", "sums over the wrong classes only"),
             ("all", "sums over all classes, the right one too, which adds the margin once")),
    "combine": (("sum", "sums over the classes"),
                ("mean", "divides by the number of classes, as PyTorch does"),
                ("max", "is the Crammer–Singer variant: the worst class only")),
    "margin": (*TRIPLET_MARGINS, (-1.0, "subtracts the margin")),
    "distance": (("squared", "takes the squared distance"),
                 ("euclidean", "takes the Euclidean distance, not squared")),
    "reduction": (("mean", "averages over all elements"), ("sum", "sums over all elements"),
                  ("batchmean", "sums over the outputs and averages over the samples"),
                  ("none", "returns a loss for each sample, which is not reduced to one number")),
}  # fmt: skip
CAUSES = {"has no factor ½": "factor 2", "has the factor ½": "factor 0.5"}
CAUSES |= {text: "mean or sum" for _, text in MEANINGS["reduction"]}
NO_CLAMP = "does not clamp at 0: max(0, ·) is missing"
COLUMNS = "takes softmax over axis 0, over the samples: it belongs over the classes of each"
LABELS = tuple(
    Slip(f"has labels that are off by one: it takes class y {sign} 1", cause="labels",
             inputs=lambda s, y, step=step: (s, (y + step) % s.shape[-1]))
    for step, sign in ((1, "+"), (-1, "−"))
)  # fmt: skip


def others(labels: Any, classes: int) -> Array:
    """Which classes are wrong, a row for each sample."""
    return np.arange(classes) != np.asarray(labels)[:, None]


def picked(x: Any, labels: Any) -> Array:
    """The elements of the right classes."""
    return np.asarray(np.take_along_axis(x, np.asarray(labels)[:, None], -1)[:, 0])


def nearer(o: Any, anchor: Any, positive: Any, start: Any, negative: Any) -> Any:
    """d_p − d_n of the triplet loss; `start` is where the negative is measured from."""
    power = 1.0 if o.distance == "squared" else 0.5
    return ((anchor - positive) ** 2).sum(-1) ** power - ((start - negative) ** 2).sum(-1) ** power


def halves(of: Callable[..., Any]) -> tuple[Slip, ...]:
    """Of the two terms of a loss, one is summed and the other averaged; `of` is where the first counts."""
    return tuple(
        Slip("sums one of its two terms and averages the other", cause="mean or sum",
                 each=lambda each, o, *args, k=k, first=first: np.where(
                 of(*args) == first, each, each * each.size**k))
        for first in (True, False) for k in (1, -1)
    )  # fmt: skip


def yes_or_no(p: str, twice: str) -> tuple[Slip, ...]:
    """Slips in −y log p − (1 − y) log(1 − p), for what p is written as."""
    return (
        *halves(lambda p, y: y == 1),
        Slip(f"leaves out (1 − y) log(1 − {p})", lambda each, o, p, y: each * y),
        Slip(f"leaves out y log {p}", lambda each, o, p, y: each * (1.0 - y)),
        Slip("has the answers 0 and 1 exchanged", inputs=lambda p, y: (p, 1.0 - y)),
        Slip(f"applies the sigmoid {twice}", inputs=lambda p, y: (sigmoid(p), y)),
        Slip(f"has one sign wrong: −y log {p} + (1 − y) log(1 − {p})",
             lambda each, o, p, y: each * (2.0 * y - 1.0), cause="sign"),
    )  # fmt: skip


KNOWN: dict[str, Known] = {
    "mse": Known(draw=samples.numbers, slips=(
        Slip("does not square: it adds up the residuals", lambda each, o, p, t: p - t),
        Slip("takes |r| where r² belongs: it is mae", lambda each, o, p, t: abs(p - t)),
    )),
    "mae": Known(draw=samples.numbers, slips=(
        Slip("does not take the absolute value", lambda each, o, p, t: p - t),
        Slip("takes r² where |r| belongs: it is mse", lambda each, o, p, t: each**2),
    )),
    "msle": Known(draw=samples.amounts, slips=(
        Slip("takes log x where log(1 + x) belongs", inputs=lambda p, t: (p - 1.0, t - 1.0)),
        Slip("does not square", lambda each, o, p, t: np.sqrt(each)),
    )),
    "huber": Known(draw=samples.numbers, slips=(
        Slip("leaves out − ½δ² beyond δ, so that it jumps there",
             lambda each, o, p, t: each + (abs(p - t) > o.delta) * 0.5 * o.delta**2),
        Slip("leaves out the ½ inside δ",
             lambda each, o, p, t: np.where(abs(p - t) > o.delta, each, 2.0 * each)),
        Slip("leaves out the factor δ beyond δ", lambda each, o, p, t: np.where(
            abs(p - t) > o.delta, abs(p - t) - 0.5 * o.delta**2, each)),
        Slip("has its two branches exchanged", lambda each, o, p, t: np.where(
            abs(p - t) > o.delta, 0.5 * (p - t) ** 2, o.delta * abs(p - t) - 0.5 * o.delta**2)),
        Slip("is divided by δ: PyTorch's smooth_l1", lambda each, o, p, t: each / o.delta),
        Slip("is ½r² everywhere: the linear branch is missing", lambda each, o, p, t: 0.5 * (p - t) ** 2),
    )),
    "log_cosh": Known(draw=samples.numbers, slips=(
        Slip("leaves out the logarithm: it is cosh r", lambda each, o, p, t: np.cosh(p - t)),
        Slip("leaves out − log 2: it is log(e^r + e^(−r))", lambda each, o, p, t: each + math.log(2)),
        Slip("is ½ r²", lambda each, o, p, t: 0.5 * (p - t) ** 2),
    )),
    "quantile": Known(draw=samples.numbers, slips=(
        Slip("has the residual reversed: it is the loss of 1 − q", inputs=lambda p, t: (t, p), cause="sign"),
        Slip("has the weight 1 where 1 − q belongs", lambda each, o, p, t: np.where(p > t, p - t, each)),
        Slip("leaves out the predictions that are too high", lambda each, o, p, t: each * (p < t)),
        Slip("takes q r on both sides: max(·) is missing", lambda each, o, p, t: o.q * (t - p)),
    )),
    "gaussian_nll": Known(draw=samples.numbers, slips=(
        Slip("leaves out ½ log 2π and log σ", lambda each, o, p, t: 0.5 * (p - t) ** 2 / o.variance),
        Slip("leaves out log σ", lambda each, o, p, t: each - 0.5 * np.log(o.variance)),
        Slip("adds log σ² where ½ log σ² belongs", lambda each, o, p, t: each + 0.5 * np.log(o.variance)),
        Slip("leaves out the ½ before the square",
             lambda each, o, p, t: each + 0.5 * (p - t) ** 2 / o.variance),
    )),
    "cross_entropy": Known(draw=samples.scores_labels, slips=(
        Slip("applies softmax twice: the scores go in as they are, softmax is part of the loss",
             inputs=lambda s, y: (softmax(s), y)),
        Slip("leaves out softmax: it takes scores as log-probabilities", lambda each, o, s, y: -picked(s, y)),
        Slip("leaves out the logarithm: it is −p_y", lambda each, o, s, y: -picked(softmax(s), y)),
        Slip("subtracts the largest score inside the sum and not from s_y",
             lambda each, o, s, y: each - s.max(-1)),
        Slip("leaves the right class out of the sum Σ e^s", lambda each, o, s, y: np.log(
            np.exp(np.where(others(y, s.shape[-1]), s, -np.inf)).sum(-1)) - picked(s, y)),
        *LABELS,
        Slip(COLUMNS, lambda each, o, s, y: -np.log(picked(softmax(s, 0), y)), cause="axis"),
        Slip(COLUMNS, lambda each, o, s, y: -np.log(
            picked(softmax(s - s.max(-1, keepdims=True), 0), y)), cause="axis"),
        Slip("divides e^s by the mean of the row's, where their sum belongs",
             lambda each, o, s, y: each - np.log(s.shape[-1]), cause="mean or sum"),
        Slip("sums −log p over all classes, not only the right one",
             lambda each, o, s, y: -np.log(softmax(s)).sum(-1)),
        Slip("leaves out the minus sign and the logarithm's sum: it is s_y",
             lambda each, o, s, y: picked(s, y), cause="sign"),
    ), before=(softmax, "takes the logarithm of the scores as they are: softmax is missing")),
    "focal": Known(draw=samples.scores_labels, slips=(
        Slip("takes p_y^γ where (1 − p_y)^γ belongs", lambda each, o, s, y: np.exp(
            o.gamma * np.log(picked(softmax(s), y))) * -np.log(picked(softmax(s), y))),
        Slip("is multiplied by α = 0.25", lambda each, o, s, y: 0.25 * each),
        Slip("is divided by the sum of the factors (1 − p_y)^γ, not by N", lambda each, o, s, y: each
             * each.size / ((1.0 - picked(softmax(s), y)) ** o.gamma).sum(), cause="mean or sum"),
        Slip("leaves out the logarithm", lambda each, o, s, y: -picked(softmax(s), y)
             * (1.0 - picked(softmax(s), y)) ** o.gamma),
        Slip("applies softmax twice", inputs=lambda s, y: (softmax(s), y)),
        *LABELS,
    ), before=(softmax, "takes the logarithm of the scores as they are: softmax is missing")),
    "nll": Known(draw=samples.logs_labels, slips=(
        *LABELS,
        Slip("takes exp of the log-probabilities: it is −p_y", lambda each, o, s, y: -np.exp(-each)),
        Slip("sums over all classes, not only the right one", lambda each, o, s, y: -s.sum(-1)),
    ), before=(np.exp, "takes the logarithm of what are log-probabilities already")),
    "binary_cross_entropy": Known(
        draw=samples.chances, slips=yes_or_no("p", "to what are probabilities already")),
    "binary_cross_entropy_with_logits": Known(
        draw=samples.logits, slips=yes_or_no("σ(z)", "twice"),
        before=(sigmoid, "takes the logarithm of the scores as they are: the sigmoid is missing")),
    "hinge": Known(draw=samples.sides, slips=(
        Slip(NO_CLAMP, lambda each, o, s, y: o.margin - y * s),
        Slip("has the sign of y s wrong: max(0, Δ + y s)", inputs=lambda s, y: (s, -y), cause="sign"),
        Slip("is squared: it is squared_hinge", lambda each, o, s, y: each**2),
    )),
    "squared_hinge": Known(draw=samples.sides, slips=(
        Slip(NO_CLAMP, lambda each, o, s, y: (o.margin - y * s) ** 2),
        Slip("has the sign of y s wrong: max(0, Δ + y s)", inputs=lambda s, y: (s, -y), cause="sign"),
        Slip("is not squared: it is hinge", lambda each, o, s, y: np.sqrt(each)),
    )),
    "multiclass_hinge": Known(draw=samples.scores_labels, slips=(
        Slip("has s_y − s_j where s_j − s_y belongs", inputs=lambda s, y: (-s, y), cause="sign"),
        Slip(NO_CLAMP, lambda each, o, s, y: (
            (s - picked(s, y)[:, None] + o.margin) * others(y, s.shape[-1])).sum(-1)),
        *LABELS,
        Slip("counts the violated margins: it does not add them up", lambda each, o, s, y: (
            (s - picked(s, y)[:, None] + o.margin > 0) * others(y, s.shape[-1])).sum(-1) * 1.0),
        Slip("squares the sum over the classes, not each margin", lambda each, o, s, y: each**2),
    )),
    "kl_divergence": Known(draw=samples.distributions, slips=(
        Slip("has the other direction, KL(q‖p), the order of PyTorch's kl_div", inputs=lambda p, q: (q, p)),
        Slip("leaves out − H(p): it is the cross-entropy H(p, q)",
             lambda each, o, p, q: losses.distribution_cross_entropy(p, q, base=o.base)),
        Slip("leaves out the weights p: it sums log p − log q",
             lambda each, o, p, q: (np.log(p) - np.log(q)).sum(-1) / math.log(o.base)),
    )),
    "kl_divergence_with_logits": Known(draw=samples.distributions_scores, slips=(
        Slip("leaves out − H(p): it is the cross-entropy H(p, q)",
             lambda each, o, p, s: losses.cross_entropy(s, p, base=o.base, reduction="none")),
    )),
    "triplet": Known(draw=samples.triples, options={"margin": TRIPLET_MARGINS}, slips=(
        Slip("has positive and negative exchanged", inputs=lambda a, p, n: (a, n, p)),
        Slip(NO_CLAMP, lambda each, o, a, p, n: nearer(o, a, p, a, n) + o.margin),
        Slip("subtracts the margin",
             lambda each, o, a, p, n: np.maximum(0.0, nearer(o, a, p, a, n) - o.margin)),
        Slip("measures the negative from the positive, not from the anchor",
             lambda each, o, a, p, n: np.maximum(0.0, nearer(o, a, p, p, n) + o.margin)),
    )),
    "contrastive": Known(draw=samples.labelled_pairs, options={"margin": TRIPLET_MARGINS}, slips=(
        Slip("takes y = 1 for similar pairs; the lecture has y = 0", inputs=lambda a, b, y: (a, b, 1 - y)),
        Slip("has max(0, m − D²) where max(0, m − D)² belongs", lambda each, o, a, b, y: np.where(
            y == 1, 0.5 * np.maximum(0.0, o.margin - ((a - b) ** 2).sum(-1)), each)),
        *halves(lambda a, b, y: y == 1),
        Slip("does not square the distances", lambda each, o, a, b, y: np.sqrt(0.5 * each)),
        Slip("holds dissimilar pairs at the margin: max(0, ·) is missing",
             lambda each, o, a, b, y: np.where(
                 y == 1, 0.5 * (o.margin - np.sqrt(((a - b) ** 2).sum(-1))) ** 2, each)),
    )),
    "l1": Known(draw=samples.weights, slips=(
        Slip("does not take the absolute value", lambda each, o, w: w.sum()),
        Slip("squares: it is l2", lambda each, o, w: (w * w).sum()),
    )),
    "l2": Known(draw=samples.weights, slips=(
        Slip("takes the root: it is the norm, not its square", lambda each, o, w: np.sqrt((w * w).sum())),
        Slip("takes |w| where w² belongs: it is l1", lambda each, o, w: abs(w).sum()),
    )),
    "elastic_net": Known(draw=samples.weights, required={"l1": 1.0, "l2": 1.0}, slips=(
        Slip("has l1 and l2 exchanged", lambda each, o, w: o.l2 * abs(w).sum() + o.l1 * (w * w).sum()),
        Slip("has ½ before its Σ w²", lambda each, o, w: each - 0.5 * o.l2 * (w * w).sum()),
        Slip("leaves out the L1 part", lambda each, o, w: o.l2 * (w * w).sum()),
        Slip("leaves out the L2 part", lambda each, o, w: o.l1 * abs(w).sum()),
    )),
    "information": Known(draw=samples.renamed(samples.chances, "p")),
    "entropy": Known(draw=samples.renamed(samples.distributions, "p")),
    "distribution_cross_entropy": Known(draw=samples.distributions, slips=(
        Slip("has p and q exchanged", inputs=lambda p, q: (q, p)),
        Slip("subtracts H(p): it is the KL divergence",
             lambda each, o, p, q: losses.kl_divergence(p, q, base=o.base, reduction="none")),
    )),
    "cosine_similarity": Known(draw=samples.vectors, slips=(
        Slip("does not divide by the lengths: it is the dot product", lambda each, o, a, b: (a * b).sum(-1)),
        Slip("is the distance 1 − cos θ", lambda each, o, a, b: 1.0 - each),
    )),
    "pairwise_distance": Known(draw=samples.renamed(samples.vectors, "AB"), slips=(
        Slip("is transposed", lambda each, o, a, b: each.T, cause="transpose"),
    )),
}  # fmt: skip


@dataclass(frozen=True)
class LossVariant(Variant):
    """A loss with some options, and perhaps a slip: what a student's values are compared with."""

    kind: ClassVar = "loss that can be compared"
    module: ClassVar[Any] = losses
    data: ClassVar = "..."
    table: ClassVar = KNOWN
    meanings: ClassVar = MEANINGS

    def __call__(self, *args: Any) -> Array:
        """The value, with the slip."""
        function, slip = getattr(losses, self.name), self.slip or Slip("")
        given = slip.inputs(*args) if slip.inputs else args
        if slip.each is None:
            return np.asarray(function(*given, **self.options))
        each = slip.each(function(*given, **self.unreduced.options), SimpleNamespace(**self.options), *given)
        return np.asarray(reduced(self.name, each, self.options.get("reduction", "none"), column=False))

    @property
    def unreduced(self) -> LossVariant:
        """The same with a loss for each sample."""
        reduction = {"reduction": "none"} if "reduction" in self.options else {}
        return replace(self, options={**self.options, **reduction})

    def of(self, batch: Batch) -> Array:
        """The value for a batch; nan where there is none."""
        try:
            with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
                return self(*batch.values())
        except LoError:
            return np.asarray(np.nan)

    def gradient(self, batch: Batch, what: str) -> Array:
        """The gradient by one of the arguments, by central differences."""
        x = np.array(batch[what], dtype=float)
        return np.asarray(numerical_gradient(lambda moved: self.of({**batch, what: moved}).sum(), x))

    def values(self) -> Mapping[str, Values]:
        """The options in which its variants differ, the reduction among them."""
        options = dict(super().values())
        each = self.unreduced.of(KNOWN[self.name].draw(np.random.default_rng(0), 2, 2))
        if each.ndim < 2 and "reduction" in options:
            options["reduction"] = [pair for pair in options["reduction"] if pair[0] != "batchmean"]
        return options
