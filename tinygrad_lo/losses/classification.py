"""Losses of classes: how unhappy we are with scores, given which class is right."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Array, Node
from tinygrad_lo.engine.machine.arguments import foreign, from_nested
from tinygrad_lo.engine.machine.caller import warn_once
from tinygrad_lo.engine.machine.hooks import check
from tinygrad_lo.engine.naming import named
from tinygrad_lo.engine.ops.arithmetic import equal, greater, multiply, not_equal, square
from tinygrad_lo.engine.ops.elementwise import HALF, as_float, astype, exp, in_single, relu, softplus, where
from tinygrad_lo.engine.ops.elementwise import number as plain_number
from tinygrad_lo.engine.ops.indexing import columns_of, pick, put
from tinygrad_lo.engine.ops.reductions import log_softmax, logsumexp
from tinygrad_lo.engine.ops.reductions import max as largest
from tinygrad_lo.engine.ops.reductions import sum as total
from tinygrad_lo.engine.ops.shapes import broadcast_to, expand_dims
from tinygrad_lo.errors import DomainError, DTypeError, LabelError, OptionError, ShapeError
from tinygrad_lo.losses.loss import Complaint, Place, base_of, data_of, entering, loss, require, weights_in
from tinygrad_lo.losses.probabilities import distribution, is_softmax
from tinygrad_lo.options import choice, is_whole, number

UNSIGNED = {size: np.dtype(f"u{size}") for size in (1, 2, 4, 8)}
SHARE = functools.partial(number, at_least=0.0, at_most=1.0)
POWERS = functools.partial(choice, allowed=(1, 2))
OVER = functools.partial(choice, allowed=("others", "all"))
COMBINE = functools.partial(choice, allowed=("sum", "mean", "max"))


def scores_and_labels(who: str, scores: Any, labels: Any) -> tuple[tuple[Any, ...], bool]:
    """Scores; and labels, which the loss itself reads.

    Shapes:   {0} (..., C), {1} (...) of ints; result (...).
    Raises:   LabelError: a label is not one of the classes.  DTypeError: the labels are not integers.
              ShapeError: there is not one label for each row, or there are no rows.
    """
    if not isinstance(scores, Node):
        scores = data_of(who, scores)
    data = scores.value if isinstance(scores, Node) else scores
    shape = data.shape
    if data.dtype.kind not in "fiu":
        raise DTypeError(f"{who}: scores must be numbers, got dtype {data.dtype}")
    if not shape:
        raise ShapeError(f"{who}: scores must have an axis of classes, got one number")
    if 0 in shape:
        what = "no classes" if shape[-1] == 0 else "no samples left to average"
        raise ShapeError(f"{who}: {what}: the scores have shape {shape}")
    if shape[-1] == 1:
        warn_once(
            f"{who} of one class",
            f"{who}: scores of shape {shape} have one class, so there is nothing to learn; for one "
            f"score and labels 0 and 1 use binary_cross_entropy_with_logits(scores[..., 0], labels)",
        )
    if data.dtype.kind != "f":
        return (astype(scores, float), labels), False  # differences of unsigned integers would wrap around
    is_float16 = data.dtype is HALF
    return (in_single(scores) if is_float16 else scores, labels), is_float16


def label_or_none(who: str, name: str, value: Any) -> Any:
    """An int or None."""
    if value is None or is_whole(value):
        return value
    raise OptionError(f"{who}: {name} must be an int or None, got {value!r}")


@loss(scores_and_labels, column=True, label_smoothing=SHARE, ignore_index=label_or_none, base=base_of)
def cross_entropy(
    scores: Any, target: Any, *, label_smoothing: float = 0.0, class_weights: Any = None,
    ignore_index: int | None = None, base: float = math.e, weights: Any = None, reduction: str = "mean",
) -> Any:  # fmt: skip
    """Softmax and negative log-likelihood in one: the loss of the softmax classifier.

    Takes scores (logits), not probabilities, and is finite at any finite scores. The target is a label for
    each row, or a distribution over the classes. Warns of scores that are the output of softmax, that have
    one class, or that fit the labels with the classes on axis 1, too.

        L_i = −log p_y,  log p = log softmax s = s − log Σ_j e^(s_j)
        with a distribution q:  L_i = −Σ_j q_j log p_j
        label_smoothing ε mixes in the uniform one:  q ← (1 − ε) q + ε / C
        class_weights w:  L_i = −Σ_j w_j q_j log p_j;  of labels −w_y log p_y, with the mean Σ L_i / Σ w_y

    Shapes:   A distribution is (..., C), class_weights (C,).
    Units:    nats; bits with base=2.
    At the edges: at equal scores the loss is log C. Rows labelled ignore_index count nowhere.
    Raises:   DomainError: a distribution is negative or does not sum to 1.  OptionError: unless class_weights
              are finite and >= 0.
    Source:   lecture 000, whose 0.14 is in nats (its P(Y = k) means y); lecture 002, whose 0.89 is in base
              10, and 2.04 in nats; as in PyTorch.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> round(float(lo.losses.cross_entropy(np.array([[3.2, 5.1, -1.7]]), [0], base=10)), 2)
        0.89
    """
    who = "cross_entropy"
    w = None if class_weights is None else class_weights_of(who, class_weights, scores)
    warn_of_softmax(who, scores)
    shape = scores.value.shape if isinstance(scores, Node) else scores.shape
    raw = target.value if isinstance(target, Node) else target
    if shape == (raw.shape if type(raw) is ndarray else np.shape(raw)):
        if ignore_index is not None:
            raise OptionError(f"{who}: ignore_index names a label; it does not go with a distribution target")
        q = data_of(who, target)
        is_float16 = q.dtype is HALF
        # Plain float64 targets must not turn a float32 loss into float64.
        q = distribution(who, "target", as_float(in_single(q), scores.dtype), is_float16)
        q = entering(q, "q", scores)
        losses, factor, weight = of_distribution(scores, q, label_smoothing, w), None, None
    else:
        scores, labels, weight, keep = labelled(who, scores, target, w, ignore_index)
        log_p = named(log_softmax(scores, -1), "log p")
        if label_smoothing:
            ones = np.ones_like((scores.value if isinstance(scores, Node) else scores)[..., :1])
            q = put(ones, labels, scores.shape[-1])
            losses, factor = expected(log_p, q, label_smoothing, w, scores), keep
        else:
            losses, factor = -named(pick(log_p, labels), "log p_y"), weight
    if base != math.e:
        losses = losses / math.log(base)
    # With smoothing, too, the mean divides by the weights of the labels (as PyTorch does).
    return terms(losses, factor, weight)


def terms(losses: Any, factor: Any, weight: Any) -> Any:
    """The losses of rows times a factor, and what each counts in the mean; None is 1."""
    losses = named(losses if factor is None else losses * factor, "L_i")
    return losses if weight is None else (losses, weight)


def warn_of_softmax(who: str, scores: Any) -> None:
    """Warn of scores that are the output of softmax."""
    op = scores.op if isinstance(scores, Node) else None
    # Cheap test first: is_softmax walks the graph.
    if op is not None and (op.probability or op.name == "clip") and is_softmax(scores):
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


def labelled(
    who: str, scores: Any, labels: Any, class_weights: Any = None, ignore_index: int | None = None
) -> tuple[Any, Any, Any, Any]:
    """Scores and labels; what each row counts, and whether it does, or None, as columns.

    A column (..., 1) meets what is picked without a reshape.
    """
    labels, keep = labels_of(who, scores, labels, ignore_index), None
    if ignore_index is not None:
        scores, labels, keep = without_ignored(who, scores, labels, ignore_index)
    if class_weights is None:
        return scores, labels, keep, keep
    w_y = pick(broadcast_to(class_weights, scores.shape), labels)
    return scores, labels, entering(w_y if keep is None else multiply(w_y, keep), "w_y", scores), keep


def expected(log_p: Any, q: Any, epsilon: float, weights: Any, scores: Any) -> Any:
    """−Σ_j q_j log p_j as a column, q smoothed by ε and weighted by class."""
    if epsilon:
        q = q * (1.0 - epsilon) + epsilon / scores.shape[-1]
    if weights is not None:
        q = multiply(q, weights)
    return -total(multiply(entering(q, "q", scores), log_p), -1, True)


def without_ignored(who: str, scores: Any, labels: Any, ignore_index: int) -> tuple[Any, Any, Any]:
    """Scores and labels with harmless ones in the rows to ignore, and a column of 0 there, else 1."""
    text = f"{who}: no samples left to average (ignore_index={ignore_index} removed"
    keep = check(
        not_equal(labels, ignore_index),
        lambda keep, n: bool(keep.any()),
        Complaint(lambda some, n: some, lambda some, at, n: ShapeError(f"{text} {n} of {n})"), np.any),
        labels.size,
        whole=True,
    )
    labels = where(keep, labels, 0)
    keep = entering(expand_dims(keep, -1), "kept", scores)
    scores = where(keep, scores, 0.0)  # whatever stands there, nan too, must not count
    return scores, labels, entering(astype(keep, scores.dtype), "kept as numbers", scores)


@loss(scores_and_labels, margin=number, power=POWERS, over=OVER, combine=COMBINE)
def multiclass_hinge(
    scores: Any, labels: Any, *, margin: float = 1.0, power: int = 1, over: str = "others",
    combine: str = "sum", weights: Any = None, reduction: str = "mean",
) -> Any:  # fmt: skip
    """The multiclass SVM loss: every wrong class should score lower than the right one, by a margin.

        L_i = Σ_{j≠y} max(0, s_j − s_y + Δ)^power

    over="all" lets j run over y too, which adds Δ^power to every row. combine="mean" divides the sum
    by C; combine="max" takes the worst class only (Crammer and Singer).

    Units:    the margin Δ has the unit of the scores.
    At the edges: 0 once every margin is met; its slope where s_j − s_y + Δ = 0 is 0. At equal scores
              the loss is Δ (C − 1) with power=1 and combine="sum".
    Source:   lectures 000 (its Σ over i ≠ y means j) and 002; Weston and Watkins 1999. PyTorch divides by C.
    Example:
        >>> import tinygrad_lo as lo
        >>> table = lo.data.lectures.cat_car_frog
        >>> lo.losses.multiclass_hinge(table.scores, table.labels, reduction="none").round(1)
        array([ 2.9,  0. , 12.9])
    """
    labels = labels_of("multiclass_hinge", scores, labels)
    s_y = named(pick(scores, labels), "s_y")
    margins = relu(scores - s_y + margin)
    if over == "others":
        columns = columns_of(labels.value if isinstance(labels, Node) else labels, scores.shape[-1])
        wrong = not_equal(expand_dims(labels, -1), columns)
        if isinstance(scores, Node):
            wrong = entering(astype(wrong, scores.value.dtype), "(j ≠ y)", scores)
        margins = margins * wrong
    margins = named(square(margins) if power == 2 else margins, "margins")
    if combine == "max":
        return named(largest(margins, -1), "L_i")
    losses = total(margins, -1)
    return named(losses / scores.shape[-1] if combine == "mean" else losses, "L_i")


@loss(scores_and_labels, column=True, ignore_index=label_or_none)
def nll(
    log_probabilities: Any, labels: Any, *, class_weights: Any = None, ignore_index: int | None = None,
    weights: Any = None, reduction: str = "mean",
) -> Any:  # fmt: skip
    """Negative log-likelihood of the right classes, given log-probabilities.

        L_i = −w_y log p_y,  nll(log_softmax(s), y) = cross_entropy(s, y), with class_weights w, too

    Shapes:   class_weights (C,).
    Units:    those of the logarithm: nats for log_softmax.
    At the edges: rows labelled ignore_index count nowhere.
    Raises:   DomainError: a log-probability is above 0: scores or probabilities were passed.  OptionError:
              unless class_weights are finite and >= 0.
    Source:   lectures 001 and 004; as in PyTorch.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> round(float(lo.losses.nll(np.log([[0.25, 0.75]]), [0])), 4)  # ln 4
        1.3863
    """
    w = None if class_weights is None else class_weights_of("nll", class_weights, log_probabilities)
    log_p, labels, weight, _ = labelled("nll", log_probabilities, labels, w, ignore_index)
    text = "nll: log-probability {:g}{} is above 0; pass log_softmax(scores), or scores to cross_entropy"
    log_p = require(log_p, lambda x: ~(x > 1e-6), lambda v, at: DomainError(text.format(v, at)))
    return terms(-named(pick(log_p, labels), "log p_y"), weight, weight)


@loss(scores_and_labels, column=True, gamma=functools.partial(number, at_least=0.0))
def focal(
    scores: Any, labels: Any, *, gamma: float = 2.0, class_weights: Any = None, weights: Any = None,
    reduction: str = "mean",
) -> Any:  # fmt: skip
    """Cross-entropy that all but forgets what is classified well: for rare classes among many easy samples.

        L_i = −w_y (1 − p_y)^γ log p_y,  p_y = σ(m),  m = s_y − log Σ_{j≠y} e^(s_j)
        class_weights w:  the mean is Σ L_i / Σ w_y

    gamma=0 is cross_entropy. For two classes, scores (0, z) are the sigmoid form of the paper, α its weights.

    Shapes:   class_weights (C,).
    Units:    nats.
    At the edges: finite in value and gradient at any finite scores, with any γ: 1 − p_y is not rounded to 0.
    Raises:   OptionError: unless class_weights are finite and >= 0.
    Source:   Lin et al. 2017, eq. 5, of several classes. The paper divides the sum by the number of its
              positives. Torchvision takes a sigmoid for each class, with α = 0.25.
    Example:
        >>> import tinygrad_lo as lo
        >>> round(float(lo.losses.focal([[0.0, 0.0]], [0])), 4)  # ¼ ln 2
        0.1733
    """
    warn_of_softmax("focal", scores)
    w = None if class_weights is None else class_weights_of("focal", class_weights, scores)
    scores, labels, weight, _ = labelled("focal", scores, labels, w)
    right = entering(equal(expand_dims(labels, -1), np.arange(scores.shape[-1])), "j=y", scores)
    others = named(logsumexp(where(right, -math.inf, scores), -1, True), "log Σ_{j≠y} e^(s_j)")
    # Of the one number m, p_y = σ(m): through the softmax, the slopes of the two factors would cancel.
    m = named(named(pick(scores, labels), "s_y") - others, "m")
    losses = named(softplus(-m), "−log p_y")
    if gamma:
        losses = named(exp(softplus(m) * -gamma), "(1 − p_y)^γ") * losses
    return terms(losses, weight, weight)


def labels_of(who: str, scores: Any, labels: Any, ignore_index: int | None = None) -> Any:
    """The labels, one integer for each row of scores, in range; a tensor of them stays a tensor."""
    if type(labels) is not ndarray:  # one of any dtype gets an error about labels, below
        nested = isinstance(labels, (list, tuple))
        labels = from_nested(labels, who) if nested else data_of(who, labels)
    shape = scores.value.shape if isinstance(scores, Node) else scores.shape
    y = labels.value if isinstance(labels, Node) else labels
    if y.dtype.kind not in "iu" or y.shape != shape[:-1]:
        refuse_labels(who, shape, y)
    if len(shape) > 2 and len(set(shape[1:])) == 1 < shape[-1]:
        warn_once(
            f"{who} along which axis",
            f"{who}: scores of shape {shape} fit these labels with the classes on the last axis, "
            f"where they are taken to be, and on axis 1. If yours are on axis 1, as in PyTorch, pass "
            f"np.moveaxis(scores, 1, -1); if they are on the last one, scores.reshape(-1, "
            f"{shape[-1]}) and labels.reshape(-1) say so",
        )
    return check(labels, in_range, Complaint(is_class, label_error), who, shape[-1], ignore_index)


def refuse_labels(who: str, wanted: tuple[int, ...], labels: Array) -> None:
    """Raise for labels of another dtype, or not one for each row of scores of shape `wanted`."""
    shape, rows = labels.shape, wanted[:-1]
    if labels.dtype.kind == "b":
        raise DTypeError(f"{who}: labels must be integers, got bool; use .astype(int)")
    if labels.dtype.kind not in "iu":
        cure = f"use .astype(int); for probabilities pass shape {wanted}"
        raise DTypeError(f"{who}: labels must be integers, got {labels.dtype}; {cure}")
    if shape == (*rows, 1):
        cure = "labels[:, 0]" if len(rows) == 1 else "labels[..., 0]"
        raise ShapeError(f"{who}: labels must be {rows}, got {shape}; use {cure}")
    if len(shape) == len(rows) == 1:
        hint = "; if each column is a sample, pass scores.T" if shape == wanted[1:] else ""
        raise ShapeError(f"{who}: {rows[0]} rows of logits but {shape[0]} labels{hint}")
    moved = shape == (*wanted[:1], *wanted[2:])
    hint = "; classes stand on the last axis, pass np.moveaxis(scores, 1, -1)" if moved else ""
    raise ShapeError(f"{who}: labels must be {rows} for scores of shape {wanted}, got {shape}{hint}")


def in_range(y: Array, who: str, classes: int, ignore_index: int | None) -> bool:
    """Whether every label is one of the classes, or the one to ignore."""
    if ignore_index is not None:
        y = y[y != ignore_index]
        if not y.size:
            return True
    if type(y) is ndarray and y.dtype.kind == "i":
        y = y.view(UNSIGNED[y.dtype.itemsize])  # so that one maximum finds negative labels too
        return bool(np.maximum.reduce(y, None) < classes)
    return bool((y < classes).all() and (y >= 0).all())


def is_class(y: Array, who: str, classes: int, ignore_index: int | None) -> Array:
    """For each label whether it is one of the classes, or the one to ignore."""
    valid = (y >= 0) & (y < classes)
    return valid if ignore_index is None else valid | (y == ignore_index)


def label_error(value: Any, place: Place, who: str, classes: int, ignore_index: int | None) -> LabelError:
    """The error for a label out of range."""
    hint = f"; to leave such rows out, set ignore_index={value}" if value < 0 else ""
    return LabelError(f"{who}: label {value}{place}; allowed 0..{classes - 1}{hint}")


def class_weights_of(who: str, weights: Any, scores: Any) -> Any:
    """A weight for each class, in the dtype of the scores."""
    if isinstance(weights, Mapping):
        raise OptionError(
            f"{who}: class_weights is a list of one number for each class, got {type(weights).__name__}; "
            f"write [weights.get(c, 1.0) for c in range({scores.shape[-1]})]"
        )
    w = weights_in(who, "class_weights", plain_number(who, "class_weights", weights), scores.dtype)
    if w.shape != (classes := scores.shape[-1:]):
        raise ShapeError(f"{who}: class_weights must have shape {classes}, one a class, got {w.shape}")
    value = scores.value if isinstance(scores, Node) else scores
    return np.asarray(w, like=value) if foreign(value) else w
