"""Losses of classes: how unhappy we are with scores, given which class is right."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Node, tick
from tinygrad_lo.engine.machine.arguments import finite_number
from tinygrad_lo.engine.machine.caller import warn_once
from tinygrad_lo.engine.machine.hooks import check
from tinygrad_lo.engine.naming import named, scoped
from tinygrad_lo.engine.ops.arithmetic import (
    add,
    divide,
    greater,
    multiply,
    negative,
    not_equal,
    square,
    subtract,
)
from tinygrad_lo.engine.ops.elementwise import astype, relu, softplus, where
from tinygrad_lo.engine.ops.indexing import pick, put
from tinygrad_lo.engine.ops.losses import bernoulli, bernoulli_known
from tinygrad_lo.engine.ops.reductions import log_softmax
from tinygrad_lo.engine.ops.reductions import max as largest
from tinygrad_lo.engine.ops.reductions import sum as total
from tinygrad_lo.engine.ops.shapes import broadcast_to, expand_dims, reshape
from tinygrad_lo.engine.tensor import Tensor
from tinygrad_lo.errors import OptionError
from tinygrad_lo.losses.checks import (
    HALF,
    LOGITS,
    SUSPECTS,
    above_zero,
    class_weights_of,
    distribution_of,
    in_unit_interval,
    is_softmax,
    labels_of,
    not_plus_minus,
    nothing_left,
    one_of,
    outside_of_unit,
    pair_of,
    pos_weight_of,
    reduce,
    saturated,
    scores_of,
    shown,
    unit_of,
    weights_are_zero,
    widened,
)
from tinygrad_lo.losses.scores import log_odds_of


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
    began = tick()
    who = "cross_entropy"
    scores, data, half = scores_of(who, scores)
    classes = data.shape[-1]
    if type(label_smoothing) is not float or label_smoothing != 0.0:
        label_smoothing = finite_number(who, "label_smoothing", label_smoothing, 0.0, 1.0)
    if ignore_index is not None:
        if isinstance(ignore_index, bool) or not isinstance(ignore_index, (int, np.integer)):
            raise OptionError(f"{who}: ignore_index must be an int or None, got {ignore_index!r}")
        ignore_index = int(ignore_index)
    unit = 1.0 if type(base) is float and base == math.e else unit_of(who, base)
    weights = None if class_weights is None else class_weights_of(who, class_weights, data)
    if (
        isinstance(scores, Node)
        and scores.op is not None
        and scores.op.name in SUSPECTS
        and is_softmax(scores)
    ):
        warn_once(
            who,
            f"{who}: the scores are the output of softmax, which this loss applies itself; pass what went "
            f"into softmax, or pass log_softmax(...) to nll",
        )
    soft = np.shape(target) == data.shape
    if soft and ignore_index is not None:
        raise OptionError(f"{who}: ignore_index names a label; it does not go with a distribution target")
    weight = keep = None
    if soft:
        q = distribution_of(who, target, data.dtype)
        if isinstance(scores, Node) and not isinstance(q, Node):
            q = Tensor(q, name="q")
    else:
        labels = labels_of(who, data, target, ignore_index)
        if ignore_index is not None:
            keep = not_equal(labels, ignore_index)
            check(keep, np.any, lambda kept: nothing_left(who, ignore_index, np.size(kept)))
            labels = where(keep, labels, 0)
            keep = shown(expand_dims(keep, -1), "kept", scores)
            scores = where(keep, scores, 0.0)  # whatever stands there, nan too, must not count
            keep = shown(astype(keep, data.dtype), "kept as numbers", scores)
        if weights is not None:
            weight = pick(broadcast_to(weights, data.shape), labels)
            weight = shown(weight if keep is None else multiply(weight, keep), "w_y", scores)
        elif keep is not None:
            weight = keep

    log_p = named(log_softmax(scores, -1), "log p")
    if soft and not label_smoothing and not (isinstance(q, Node) and q.needs):
        log_p = where(greater(q, 0.0), log_p, 0.0)  # 0 log 0 = 0, for classes that are masked out
    elif soft and not label_smoothing:
        # The same for a target with a gradient, which is −log p also where it is 0.
        log_p = where(greater(q, 0.0), log_p, where(greater(log_p, -math.inf), log_p, 0.0))
    # One loss a row, as a column until the end: (..., 1) meets the weights without a reshape.
    if not soft and not label_smoothing:
        losses = negative(named(pick(log_p, labels), "log p_y"))
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
        losses = negative(total(multiply(shown(q, "q", scores), log_p), -1, True))
        if keep is not None:
            losses = multiply(losses, keep)
    if unit != 1.0:
        losses = divide(losses, unit)
    losses = named(losses, "L_i")
    if reduction == "none":
        losses = named(reshape(losses, data.shape[:-1]), "L_i")
    # With smoothing, too, the mean divides by the weights of the labels (as PyTorch does).
    if weight is not None and reduction == "mean":
        weight = check(total(weight), np.all, lambda _: weights_are_zero(who))
    return scoped(who, began, reduce(who, losses, reduction, half, weight))


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
    began = tick()
    who = "multiclass_hinge"
    delta = finite_number(who, "margin", margin)
    one_of(who, "power", power, (1, 2))
    one_of(who, "over", over, ("others", "all"))
    one_of(who, "combine", combine, ("sum", "mean", "max"))
    scores, data, half = scores_of(who, scores)
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
    return scoped(who, began, reduce(who, named(losses, "L_i"), reduction, half))


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
    began = tick()
    who = "nll"
    log_p, data, half = scores_of(who, log_probabilities)
    log_p = check(log_p, lambda x: not (x > 1e-6).any(), lambda x: above_zero(who, x))
    labels = labels_of(who, data, labels)
    losses = negative(named(pick(log_p, labels), "log p_y"))
    if reduction == "none":
        losses = reshape(losses, data.shape[:-1])
    return scoped(who, began, reduce(who, named(losses, "L_i"), reduction, half))


# ------------------------------------------------------------------------------- two classes


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
    began = tick()
    who = "binary_cross_entropy"
    p, y, half = pair_of(who, p, y, ("probability", "target"))
    p = check(p, in_unit_interval, outside_of_unit, who, "probability", LOGITS)
    y = check(y, in_unit_interval, outside_of_unit, who, "target", "")
    z = log_odds_of(p)
    if z is None and saturated(p, y):
        warn_once(
            who,
            "binary_cross_entropy: a probability is rounded to 0 or 1, and wrong: how wrong was lost when it "
            "was rounded. Pass the scores before the sigmoid to binary_cross_entropy_with_logits",
        )
    if z is not None:
        losses = bernoulli_known(p, y, z)
    elif half:  # the slope ends where float16 does
        losses = widened(bernoulli(astype(p, HALF), astype(y, HALF)))
    else:
        losses = bernoulli(p, y)
    return scoped(who, began, reduce(who, named(losses, "L"), reduction, half))


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
    began = tick()
    who = "binary_cross_entropy_with_logits"
    if isinstance(z, Node) and z.op is not None and z.op.name == "sigmoid":
        warn_once(
            who,
            f"{who}: the scores are the output of sigmoid, which this loss applies itself; pass what "
            "went into sigmoid, or pass probabilities to binary_cross_entropy",
        )
    z, y, half = pair_of(who, z, y, ("scores", "target"))
    y = check(y, in_unit_interval, outside_of_unit, who, "target", "")
    positive = multiply(y, named(softplus(negative(z)), "−log h"))
    if pos_weight is not None:
        positive = multiply(positive, pos_weight_of(who, pos_weight, z))
    losses = add(positive, multiply(subtract(1.0, y), named(softplus(z), "−log(1−h)")))
    return scoped(who, began, reduce(who, named(losses, "L"), reduction, half))


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
    began = tick()
    margins, half = margins_of("hinge", score, y, margin)
    return scoped("hinge", began, reduce("hinge", margins, reduction, half))


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
    began = tick()
    margins, half = margins_of("squared_hinge", score, y, margin)
    return scoped("squared_hinge", began, reduce("squared_hinge", square(margins), reduction, half))


def margins_of(who: str, score: Any, y: Any, margin: float) -> tuple[Any, bool]:
    """max(0, Δ − y s), the labels checked; and whether the score is float16."""
    delta = finite_number(who, "margin", margin)
    score, y, half = pair_of(who, score, y, ("score", "y"))
    y = check(y, lambda x: bool((np.abs(x) == 1).all()), lambda x: not_plus_minus(who, x))
    return named(relu(subtract(delta, multiply(y, score))), "margins"), half
