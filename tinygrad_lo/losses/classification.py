"""Losses of classes: how unhappy we are with scores, given which class is right."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Array, Node, Op
from tinygrad_lo.engine.machine.arguments import shape_of
from tinygrad_lo.engine.machine.caller import warn_once
from tinygrad_lo.engine.machine.hooks import check
from tinygrad_lo.engine.naming import named
from tinygrad_lo.engine.ops.arithmetic import greater, multiply, not_equal, square
from tinygrad_lo.engine.ops.elementwise import astype, relu, sigmoid, softplus, where
from tinygrad_lo.engine.ops.indexing import pick, put
from tinygrad_lo.engine.ops.losses import bernoulli, bernoulli_known, surprisal
from tinygrad_lo.engine.ops.reductions import log_softmax
from tinygrad_lo.engine.ops.reductions import max as largest
from tinygrad_lo.engine.ops.reductions import sum as total
from tinygrad_lo.engine.ops.shapes import broadcast_to, expand_dims
from tinygrad_lo.errors import DomainError, LabelError, OptionError, ShapeError
from tinygrad_lo.losses.labels import class_weights_of, every, labels_of, pos_weight_of, scores_and
from tinygrad_lo.losses.loss import entering, in_single, loss, pair_of, unit_of
from tinygrad_lo.losses.probabilities import (
    LOGITS,
    distribution_of,
    is_softmax,
    log_odds_of,
    may_make_softmax,
    probabilities,
    saturated,
)
from tinygrad_lo.options import choice, is_whole, number


@loss(scores_and, column=True)
def cross_entropy(
    scores: Any,
    target: Any,
    *,
    label_smoothing: float = 0.0,
    class_weights: Any = None,
    ignore_index: int | None = None,
    base: float = math.e,
    reduction: str = "mean",
) -> Any:
    """Softmax and negative log-likelihood in one: the loss of the softmax classifier.

    Takes scores (logits), not probabilities: it does the softmax itself, in a form that is finite at
    any finite scores. The target is a label for each row, or a distribution over the classes.

        L_i = −log p_y,  log p = log softmax s = s − log Σ_j e^(s_j)
        with a distribution q:  L_i = −Σ_j q_j log p_j
        label_smoothing ε mixes in the uniform one:  q ← (1 − ε) q + ε / C

    Shapes:   scores (..., C); target (...) of ints, or (..., C) of probabilities; result () or, with
              reduction="none", (...). class_weights (C,) multiplies the loss of each class; the mean
              over labels then divides by the sum of the weights used.
    Units:    nats; bits with base=2.
    At the edges: at equal scores the loss is log C. Rows labelled ignore_index count nowhere.
    Raises:   LabelError: a label that is no class.  DTypeError: labels that are no integers.
              ShapeError: no label for each row, or no rows left.  DomainError: a distribution that is
              negative or does not sum to 1.  OptionError: smoothing outside [0, 1], a base that is not
              above 1, bad class_weights, ignore_index with a distribution. Warns when the scores are the
              output of softmax, have one class, or fit the labels with the classes on axis 1, too.
    Source:   lectures 000 and 002 (their worked 0.89 is in base 10); as in PyTorch.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> scores = np.array([[3.2, 5.1, -1.7]])
        >>> round(float(lo.losses.cross_entropy(scores, [0])), 2)
        2.04
        >>> round(float(lo.losses.cross_entropy(scores, [0], base=10)), 2)
        0.89
    """
    who = "cross_entropy"
    if ignore_index is not None and not is_whole(ignore_index):
        raise OptionError(f"{who}: ignore_index must be an int or None, got {ignore_index!r}")
    epsilon = smoothing(who, label_smoothing)
    unit = unit_of(who, base)
    weights = None if class_weights is None else class_weights_of(who, class_weights, scores)
    if isinstance(scores, Node) and scores.op is not None:
        warn_of_softmax(who, scores, scores.op)
    if shape_of(target) == shape_of(scores):
        if ignore_index is not None:
            raise OptionError(f"{who}: ignore_index names a label; it does not go with a distribution target")
        q = entering(distribution_of(who, target, scores.dtype), "q", scores)
        losses, weight = of_distribution(scores, q, epsilon, weights), None
    else:
        losses, weight = of_labels(who, scores, target, epsilon, weights, ignore_index)
    losses = named(losses if unit == 1.0 else losses / unit, "L_i")
    # With smoothing, too, the mean divides by the weights of the labels (as PyTorch does).
    return losses if weight is None else (losses, weight)


def smoothing(who: str, value: Any) -> float:
    """How much of the uniform distribution to mix in; mostly nothing."""
    if type(value) is float and value == 0.0:
        return 0.0
    return number(who, "label_smoothing", value, at_least=0.0, at_most=1.0)


def warn_of_softmax(who: str, scores: Node, op: Op) -> None:
    """Warn if softmax has been applied already."""
    if may_make_softmax(op) and is_softmax(scores):
        warn_once(
            who,
            f"{who}: the scores are the output of softmax, which this loss applies itself; pass what went "
            f"into softmax, or pass log_softmax(...) to nll",
        )


def of_distribution(scores: Any, q: Any, epsilon: float, weights: Any) -> Any:
    """−Σ_j q_j log p_j, in which 0 log 0 is 0."""
    log_p = named(log_softmax(scores, -1), "log p")
    if not epsilon:
        # A target with a gradient, which is −log p also where it is 0, sees log p unless that is −inf.
        sees = isinstance(q, Node) and q.needs
        log_p = where(greater(q, 0.0), log_p, where(greater(log_p, -math.inf), log_p, 0.0) if sees else 0.0)
    return expected(log_p, q, epsilon, weights, scores)


def of_labels(
    who: str, scores: Any, target: Any, epsilon: float, weights: Any, ignore_index: int | None
) -> tuple[Any, Any]:
    """−log p_y, smoothed and weighted, as a column: (..., 1) meets the weights without a reshape."""
    labels = labels_of(who, scores, target, ignore_index)
    keep = None
    if ignore_index is not None:
        scores, labels, keep = without_ignored(who, scores, labels, ignore_index)
    weight = keep
    if weights is not None:
        w_y = pick(broadcast_to(weights, scores.shape), labels)
        weight = entering(w_y if keep is None else multiply(w_y, keep), "w_y", scores)
    if epsilon:
        log_p = named(log_softmax(scores, -1), "log p")
        q = put(np.ones((*scores.shape[:-1], 1), scores.dtype), labels, scores.shape[-1])
        losses, factor = expected(log_p, q, epsilon, weights, scores), keep
    else:
        losses, factor = surprisal(scores, labels), weight
    return losses if factor is None else losses * factor, weight


def expected(log_p: Any, q: Any, epsilon: float, weights: Any, scores: Any) -> Any:
    """−Σ_j q_j log p_j as a column, q smoothed by ε and weighted by class."""
    if epsilon:
        q = q * (1.0 - epsilon) + epsilon / scores.shape[-1]
    if weights is not None:
        q = multiply(q, weights)
    return -total(multiply(entering(q, "q", scores), log_p), -1, True)


def without_ignored(who: str, scores: Any, labels: Any, ignore_index: int) -> tuple[Any, Any, Any]:
    """Scores and labels with harmless ones in the rows to ignore, and a column of 0 there, else 1."""
    keep = not_equal(labels, ignore_index)
    check(keep, any_left, nothing_left, who, ignore_index)
    labels = where(keep, labels, 0)
    keep = entering(expand_dims(keep, -1), "kept", scores)
    scores = where(keep, scores, 0.0)  # whatever stands there, nan too, must not count
    return scores, labels, entering(astype(keep, scores.dtype), "kept as numbers", scores)


def any_left(keep: Array, who: str, ignore_index: int) -> bool:
    """Whether a row is not ignored."""
    return bool(keep.any())


def nothing_left(keep: Array, who: str, ignore_index: int) -> ShapeError:
    """The error for a batch of which every row is ignored."""
    count = np.size(keep)
    return ShapeError(
        f"{who}: no samples left to average (ignore_index={ignore_index} removed {count} of {count})"
    )


@loss(scores_and)
def multiclass_hinge(
    scores: Any,
    labels: Any,
    *,
    margin: float = 1.0,
    power: int = 1,
    over: str = "others",
    combine: str = "sum",
    reduction: str = "mean",
) -> Any:
    """The multiclass SVM loss: every wrong class should score lower than the right one, by a margin.

        L_i = Σ_{j≠y} max(0, s_j − s_y + Δ)^power

    over="all" lets j run over y too, which adds Δ^power to every row. combine="mean" divides the sum
    by C; combine="max" takes the worst class only (Crammer and Singer).

    Shapes:   scores (..., C), labels (...) of ints; result () or, with reduction="none", (...).
    Units:    the margin Δ has the unit of the scores.
    At the edges: 0 once every margin is met; its slope where s_j − s_y + Δ = 0 is 0. At equal scores
              the loss is Δ (C − 1) with power=1 and combine="sum".
    Raises:   LabelError, DTypeError, ShapeError: as cross_entropy.  OptionError: power is not 1 or 2,
              unknown over or combine, a margin that is not finite.
    Source:   lectures 000 and 002; Weston and Watkins 1999. PyTorch divides by C.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> scores = np.array([[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]])
        >>> losses = lo.losses.multiclass_hinge(scores, [0, 1, 2], reduction="none")
        >>> losses.round(1)
        array([ 2.9,  0. , 12.9])
    """
    who = "multiclass_hinge"
    delta = number(who, "margin", margin)
    choice(who, "power", power, (1, 2))
    choice(who, "over", over, ("others", "all"))
    choice(who, "combine", combine, ("sum", "mean", "max"))
    labels = labels_of(who, scores, labels)
    s_y = named(pick(scores, labels), "s_y")
    margins = relu(scores - s_y + delta)
    if over == "others":
        margins = margins * wrong_classes(scores, labels)
    margins = named(square(margins) if power == 2 else margins, "margins")
    if combine == "max":
        return named(largest(margins, -1), "L_i")
    losses = total(margins, -1)
    return named(losses / scores.shape[-1] if combine == "mean" else losses, "L_i")


def wrong_classes(scores: Any, labels: Any) -> Any:
    """Where j ≠ y, as numbers where it enters a graph."""
    wrong = not_equal(expand_dims(labels, -1), np.arange(scores.shape[-1]))
    return entering(astype(wrong, scores.value.dtype), "j≠y", scores) if isinstance(scores, Node) else wrong


@loss(scores_and, column=True)
def nll(log_probabilities: Any, labels: Any, *, reduction: str = "mean") -> Any:
    """Negative log-likelihood of the right classes, given log-probabilities.

    The second half of `cross_entropy`: nll(log_softmax(s), y) is cross_entropy(s, y).

        L_i = −log p_y

    Shapes:   log_probabilities (..., C); labels (...) of ints; result () or, with reduction="none",
              (...).
    Units:    those of the logarithm: nats for log_softmax.
    Raises:   DomainError: a log-probability above 0; scores or probabilities were passed.
              LabelError, DTypeError, ShapeError: as cross_entropy.
    Source:   lectures 001 and 004; as in PyTorch.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> round(float(lo.losses.nll(np.log([[0.25, 0.75]]), [0])), 4)  # ln 4
        1.3863
    """
    log_p = every(
        log_probabilities,
        lambda x: ~(x > 1e-6),
        lambda value, place: DomainError(
            f"nll: log-probability {value:g} at {place} is above 0; pass log_softmax(scores), "
            f"or scores to cross_entropy"
        ),
    )
    labels = labels_of("nll", log_p, labels)
    return named(-named(pick(log_p, labels), "log p_y"), "L_i")


# ------------------------------------------------------------------------------- two classes


@loss(pair_of("probability", "target", widen=False))
def binary_cross_entropy(p: Any, y: Any, *, reduction: str = "mean") -> Any:
    """Cross-entropy of yes-or-no answers, given probabilities.

    A tensor that `lo.nn.sigmoid` or `softmax` made is looked through: the loss is computed from the scores,
    exact at any of them. Of all other probabilities prefer `binary_cross_entropy_with_logits`, which takes
    the scores: what has been rounded to 0 or 1 no longer knows how wrong it is.

        L = −(y log p + (1 − y) log(1 − p))

    Shapes:   p, y: equal, any; result () or, with reduction="none", that shape. Several outputs for
              each sample (sum over outputs, mean over samples) are reduction="batchmean".
    Units:    nats.
    At the edges: of probabilities without known scores, logarithms end at −100; the gradient by p is
              (p − y) / max(p (1 − p), tiny), tiny the smallest normal number of the dtype, large where a
              saturated answer is wrong. Of it, too little arrives at the score through a saturated
              sigmoid: hence the warning, which names the form with logits.
    Raises:   DomainError: p or y outside [0, 1].  ShapeError: the shapes differ, or nothing to average.
    Source:   lectures 001 and 003; lecture 004 drops the minus sign, and sums.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> round(float(lo.losses.binary_cross_entropy(np.array([0.5]), np.array([1.0]))), 4)  # ln 2
        0.6931
    """
    who = "binary_cross_entropy"
    p = probabilities(who, "probability", p, LOGITS)
    y = probabilities(who, "target", y)
    z = log_odds_of(in_single(p))
    if z is not None:
        return named(bernoulli_known(in_single(p), in_single(y), z), "L")
    if saturated(in_single(p), y):
        warn_once(
            who,
            "binary_cross_entropy: a probability is rounded to 0 or 1, and wrong: how wrong was lost when it "
            "was rounded. Pass the scores before the sigmoid to binary_cross_entropy_with_logits",
        )
    return named(in_single(bernoulli(p, y)), "L")  # the slope of float16 ends where float16 does


@loss(pair_of("scores", "target"))
def binary_cross_entropy_with_logits(
    z: Any, y: Any, *, pos_weight: Any = None, reduction: str = "mean"
) -> Any:
    """Cross-entropy of yes-or-no answers, given scores: the sigmoid is inside, and exact at any score.

        L = w y · softplus(−z) + (1 − y) · softplus(z),   softplus(−z) = −log σ(z)

    pos_weight w multiplies the loss of positive targets: w > 1 where they are rare.

    Shapes:   z, y: equal, any; pos_weight: a number, or one for each output (last axis); result () or,
              with reduction="none", the shape of z. Lecture 001 is reduction="batchmean".
    Units:    nats.
    At the edges: finite in value and gradient at any finite score; at z = 0 the loss is log 2.
    Raises:   DomainError: y outside [0, 1].  ShapeError: the shapes differ, or nothing to average.
              OptionError: pos_weight is not finite and >= 0.
    Source:   lectures 001 and 004; as in PyTorch.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> z, y = np.array([0.0, 1e4]), np.array([1.0, 0.0])
        >>> lo.losses.binary_cross_entropy_with_logits(z, y, reduction="none").round(4)
        array([6.931e-01, 1.000e+04])
    """
    who = "binary_cross_entropy_with_logits"
    if isinstance(z, Node) and z.op is not None and z.op.apply is sigmoid:
        warn_once(
            who,
            f"{who}: the scores are the output of sigmoid, which this loss applies itself; pass what "
            "went into sigmoid, or pass probabilities to binary_cross_entropy",
        )
    y = probabilities(who, "target", y)
    positive = y * named(softplus(-z), "−log h")
    if pos_weight is not None:
        positive = positive * pos_weight_of(who, pos_weight, z)
    return named(positive + (1.0 - y) * named(softplus(z), "−log(1−h)"), "L")


@loss(pair_of("score", "y"))
def hinge(score: Any, y: Any, *, margin: float = 1.0, reduction: str = "mean") -> Any:
    """The loss of the two-class SVM: the score should be on the side of y, by a margin.

        L = max(0, Δ − y s),   y in {−1, +1}

    Shapes:   score, y: equal, any; result () or, with reduction="none", that shape.
    Units:    the margin Δ has the unit of the score.
    At the edges: the slope where y s = Δ is 0.
    Raises:   LabelError: y is not −1 or +1.  ShapeError: the shapes differ, or nothing to average.
              OptionError: the margin is not finite.
    Source:   lecture 003. Keras maps labels 0/1; optax takes them silently and wrongly.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> s, y = np.array([0.3, -2.0, 0.8, 1.5]), np.array([1, -1, -1, 1])
        >>> lo.losses.hinge(s, y, reduction="none")
        array([0.7, 0. , 1.8, 0. ])
    """
    return margins_of("hinge", score, y, margin)


@loss(pair_of("score", "y"))
def squared_hinge(score: Any, y: Any, *, margin: float = 1.0, reduction: str = "mean") -> Any:
    """The hinge loss squared: smooth where the margin is met, harder on those far off.

        L = max(0, Δ − y s)²,   y in {−1, +1}

    Shapes:   score, y: equal, any; result () or, with reduction="none", that shape.
    Units:    the unit of the score squared.
    Raises:   LabelError: y is not −1 or +1.  ShapeError: the shapes differ, or nothing to average.
              OptionError: the margin is not finite.
    Source:   lecture 003.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> s, y = np.array([0.3, -2.0, 0.8, 1.5]), np.array([1, -1, -1, 1])
        >>> round(float(lo.losses.squared_hinge(s, y)), 4)  # (0.49 + 3.24) / 4
        0.9325
    """
    return square(margins_of("squared_hinge", score, y, margin))


def margins_of(who: str, score: Any, y: Any, margin: float) -> Any:
    """max(0, Δ − y s), the labels checked."""
    delta = number(who, "margin", margin)
    y = every(
        y,
        lambda x: np.abs(x) == 1,
        lambda value, place: LabelError(
            f"{who}: label {value:g} at {place}; allowed -1 and +1; use 2*y - 1 for 0/1"
        ),
    )
    return named(relu(delta - y * score), "margins")
