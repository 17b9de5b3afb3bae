"""Losses of classes: how unhappy we are with scores, given which class is right."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Node, check, named, scoped, tick
from tinygrad_lo.engine.ops.arithmetic import add, divide, multiply, negative, not_equal, square, subtract
from tinygrad_lo.engine.ops.elementwise import astype, number, relu, where
from tinygrad_lo.engine.ops.indexing import pick, put
from tinygrad_lo.engine.ops.reductions import log_softmax
from tinygrad_lo.engine.ops.reductions import max as largest
from tinygrad_lo.engine.ops.reductions import sum as total
from tinygrad_lo.engine.ops.shapes import broadcast_to, expand_dims, reshape
from tinygrad_lo.engine.tensor import Tensor
from tinygrad_lo.engine.values import foreign
from tinygrad_lo.errors import DomainError, OptionError, ShapeError
from tinygrad_lo.losses.checks import (
    finite_number,
    is_finite_number,
    labels_of,
    one_of,
    reduce,
    scores_of,
)


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
              negative or does not sum to 1.  OptionError: smoothing outside [0, 1], a bad base.
    Source:   lectures 000 and 002 (their worked 0.89 is in base 10); as in PyTorch.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> scores = np.array([[3.2, 5.1, -1.7]])
        >>> round(float(lo.losses.cross_entropy(scores, [0])), 2)
        2.04
        >>> round(float(lo.losses.cross_entropy(scores, [0], base=10)), 2)
        0.89
    """
    began = tick()
    who = "cross_entropy"
    scores, data = scores_of(who, scores)
    classes = data.shape[-1]
    if label_smoothing != 0.0 and finite_number(who, "label_smoothing", label_smoothing, 0.0) > 1:
        raise OptionError(f"{who}: label_smoothing must be in [0, 1], got {label_smoothing!r}")
    if base != math.e and (not is_finite_number(base) or base <= 0 or base == 1):
        raise OptionError(f"{who}: base must be a finite number > 0 and not 1, got {base!r}")
    weights = None if class_weights is None else class_weights_of(who, class_weights, data)
    soft = np.shape(target) == data.shape
    if soft and ignore_index is not None:
        raise OptionError(f"{who}: ignore_index names a label; it does not go with a distribution target")
    weight = keep = None
    if soft:
        q = distribution_of(who, target, data.dtype)
    else:
        labels = labels_of(who, data, target, ignore_index)
        if ignore_index is not None:
            keep = not_equal(labels, ignore_index)
            check(keep, np.any, lambda kept: nothing_left(who, ignore_index, np.size(kept)))
            labels = where(keep, labels, 0)
            keep = expand_dims(keep, -1)
            scores = where(keep, scores, 0.0)  # whatever stands there, nan too, must not count
            keep = astype(keep, data.dtype)
        if weights is not None:
            weight = pick(broadcast_to(weights, data.shape), labels)
            weight = weight if keep is None else multiply(weight, keep)
        elif keep is not None:
            weight = keep

    log_p = named(log_softmax(scores, -1), "log p")
    # One loss a row, as a column until the end: (..., 1) meets the weights without a reshape.
    if not soft and not label_smoothing:
        losses = negative(pick(log_p, labels))
        if weight is not None:
            losses = multiply(losses, weight)
    else:
        if not soft:
            one = np.ones((*data.shape[:-1], 1), data.dtype)
            q = put(one, labels, classes)
        if label_smoothing:
            q = add(multiply(q, 1.0 - label_smoothing), label_smoothing / classes)
        if weights is not None:
            q = multiply(q, weights)
        losses = negative(total(multiply(q, log_p), -1, True))
        if keep is not None:
            losses = multiply(losses, keep)
    if base != math.e:
        losses = divide(losses, math.log(base))
    losses = named(losses, "L_i")
    if reduction == "none":
        losses = reshape(losses, data.shape[:-1])
    # With smoothing, too, the mean divides by the weights of the labels (as PyTorch does).
    if weight is not None:
        weight = check(total(weight), np.all, lambda _: weights_are_zero(who))
    return scoped(who, began, reduce(who, losses, reduction, weight))


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
              the loss is Δ (C − 1).
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
    began = tick()
    who = "multiclass_hinge"
    delta = finite_number(who, "margin", margin)
    one_of(who, "power", power, (1, 2))
    one_of(who, "over", over, ("others", "all"))
    one_of(who, "combine", combine, ("sum", "mean", "max"))
    scores, data = scores_of(who, scores)
    labels = labels_of(who, data, labels)
    classes = data.shape[-1]

    s_y = named(pick(scores, labels), "s_y")
    margins = relu(add(subtract(scores, s_y), delta))
    if over == "others":
        others = not_equal(expand_dims(labels, -1), np.arange(classes))
        if isinstance(scores, Node):
            others = astype(others, data.dtype)
            others = named(others if isinstance(others, Node) else Tensor(others), "j≠y")
        margins = multiply(margins, others)
    if power == 2:
        margins = square(margins)
    margins = named(margins, "margins")
    if combine == "max":
        losses = largest(margins, -1)
    else:
        losses = total(margins, -1)
        if combine == "mean":
            losses = divide(losses, classes)
    return scoped(who, began, reduce(who, named(losses, "L_i"), reduction))


def distribution_of(who: str, target: Any, dtype: Any) -> Any:
    """A distribution over the classes in every row: not negative, summing to 1."""
    q = target
    if not isinstance(q, Node) and not foreign(q):
        q = np.asarray(q)
        if q.dtype.kind in "fiub" and dtype.kind == "f":
            q = q.astype(dtype)  # float64 targets must not turn a float32 loss into float64

    def valid(rows: Any) -> bool:
        # abs(nan) < x is false, so nan is refused as well
        return bool((rows >= 0).all() and (np.abs(rows.sum(-1) - 1.0) < 1e-4).all())

    def complain(rows: Any) -> Exception:
        flat = np.reshape(rows, (-1, rows.shape[-1]))
        for i, row in enumerate(flat):
            if not (row >= 0).all():
                j = int(np.argmin(row >= 0))
                return DomainError(
                    f"{who}: target row {i} has the probability {row[j]} for class {j}; expected >= 0"
                )
            if not abs(row.sum() - 1.0) < 1e-4:
                return DomainError(f"{who}: target row {i} sums to {row.sum():g}; probabilities sum to 1")
        return DomainError(f"{who}: the target rows are no distributions")

    return check(q, valid, complain)


def class_weights_of(who: str, weights: Any, scores: Any) -> Any:
    """A weight for each class, in the dtype of the scores."""
    w = np.asarray(number(who, "class_weights", weights))
    if w.shape != scores.shape[-1:]:
        raise ShapeError(
            f"{who}: class_weights must have shape {scores.shape[-1:]}, one for each class, got {w.shape}"
        )
    if w.dtype.kind not in "fiu" or not np.isfinite(w).all() or (w < 0).any():
        raise OptionError(f"{who}: class_weights must be finite and >= 0, got {w.tolist()}")
    return w.astype(scores.dtype if scores.dtype.kind == "f" else float)


def weights_are_zero(who: str) -> ShapeError:
    """The error for a batch whose classes all have the weight 0."""
    return ShapeError(f"{who}: no samples left to average: class_weights are 0 for all labels of the batch")


def nothing_left(who: str, ignore_index: int | None, count: int) -> ShapeError:
    """The error for a batch of which every row is ignored."""
    return ShapeError(
        f"{who}: no samples left to average (ignore_index={ignore_index} removed {count} of {count})"
    )
