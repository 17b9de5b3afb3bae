"""Losses of two classes: yes or no as a target from 0 to 1, or as a label −1 or +1."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.machine.caller import warn_once
from tinygrad_lo.engine.naming import named
from tinygrad_lo.engine.ops.arithmetic import square
from tinygrad_lo.engine.ops.elementwise import in_single, relu, sigmoid, softplus
from tinygrad_lo.engine.ops.elementwise import number as plain_number
from tinygrad_lo.engine.ops.losses import bernoulli, bernoulli_known
from tinygrad_lo.errors import LabelError, ShapeError
from tinygrad_lo.losses.loss import inputs_of, loss, require, weights_in
from tinygrad_lo.losses.probabilities import log_odds_of, probabilities, saturated
from tinygrad_lo.options import number


@loss(inputs_of("probability", "target", widen=False))
def binary_cross_entropy(p: Any, y: Any, *, weights: Any = None, reduction: str = "mean") -> Any:
    """Cross-entropy of yes-or-no answers, given probabilities.

    Probabilities that `lo.nn.sigmoid` or `softmax` made are traced back to their scores. Otherwise prefer
    `binary_cross_entropy_with_logits`: what was rounded to 0 or 1 no longer knows how wrong it is.

        L_i = −(y log p + (1 − y) log(1 − p))

    Units:    nats.
    At the edges: of other probabilities, logarithms end at −100, and the gradient (p − y) / (p (1 − p)) at
              1/tiny, tiny the smallest normal number of the dtype. Warns of one rounded to 0 or 1, and wrong.
    Raises:   DomainError: p or y is outside [0, 1].
    Source:   lectures 001 (reduction="batchmean") and 003; lecture 004 drops the minus sign, and sums.
    Example:
        >>> import tinygrad_lo as lo
        >>> round(float(lo.losses.binary_cross_entropy([0.5], [1.0])), 4)  # ln 2
        0.6931
    """
    who = "binary_cross_entropy"
    p = probabilities(who, "probability", p, "; pass scores to binary_cross_entropy_with_logits")
    y = probabilities(who, "target", y)
    single = in_single(p)
    z = log_odds_of(single)
    if z is not None:
        return named(bernoulli_known(single, in_single(y), z), "L_i")
    if saturated(single, y):
        warn_once(
            who,
            "binary_cross_entropy: a probability is rounded to 0 or 1, and wrong: how wrong was lost when it "
            "was rounded. Pass the scores before the sigmoid to binary_cross_entropy_with_logits",
        )
    # −(y log p + (1 − y) log(1 − p)), of p as it came: the slope of float16 ends where float16 does.
    return named(in_single(bernoulli(p, y)), "L_i")


@loss(inputs_of("scores", "target"))
def binary_cross_entropy_with_logits(
    z: Any, y: Any, *, pos_weight: Any = None, weights: Any = None, reduction: str = "mean"
) -> Any:
    """Cross-entropy of yes-or-no answers, given scores: the sigmoid is inside, and exact at any score.

        L_i = w y · softplus(−z) + (1 − y) · softplus(z),   softplus(−z) = −log σ(z)

    Shapes:   pos_weight w: a number, or one for each output (last axis); above 1 where y = 1 is rare.
    Units:    nats.
    At the edges: finite in value and gradient at any finite score; at z = 0 the loss is log 2.
    Raises:   DomainError: y is outside [0, 1].  OptionError: unless pos_weight is finite and >= 0.
    Source:   lectures 001 (reduction="batchmean") and 004; as in PyTorch.
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.losses.binary_cross_entropy_with_logits([0.0, 1e4], [1.0, 0.0], reduction="none").round(4)
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
        w = weights_in(who, "pos_weight", plain_number(who, "pos_weight", pos_weight), z.dtype)
        if w.ndim and w.shape != z.shape[-1:]:
            raise ShapeError(f"{who}: pos_weight has shape {w.shape}, the scores have {z.shape[-1:]} outputs")
        positive = positive * w
    return named(positive + (1.0 - y) * named(softplus(z), "−log(1−h)"), "L_i")


@loss(inputs_of("score", "y"), margin=number)
def hinge(score: Any, y: Any, *, margin: float = 1.0, weights: Any = None, reduction: str = "mean") -> Any:
    """The loss of the two-class SVM: the score should be on the side of y, by a margin.

        L_i = max(0, Δ − y s),   y in {−1, +1}

    Units:    the margin Δ has the unit of the score.
    At the edges: the slope where y s = Δ is 0.
    Raises:   LabelError: y is not −1 or +1.
    Source:   lecture 003. Keras maps labels 0/1; optax takes them silently and wrongly.
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.losses.hinge([0.3, -2.0, 0.8, 1.5], [1, -1, -1, 1], reduction="none")
        array([0.7, 0. , 1.8, 0. ])
    """
    return named(margins_of("hinge", score, y, margin), "L_i")


@loss(inputs_of("score", "y"), margin=number)
def squared_hinge(
    score: Any, y: Any, *, margin: float = 1.0, weights: Any = None, reduction: str = "mean"
) -> Any:
    """The hinge loss squared: smooth where the margin is met, harder on those far off.

        L_i = max(0, Δ − y s)²,   y in {−1, +1}

    Units:    the unit of the score squared.
    Raises:   LabelError: y is not −1 or +1.
    Source:   lecture 003.
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.losses.squared_hinge([0.3, -2.0, 0.8, 1.5], [1, -1, -1, 1], reduction="none").round(2)
        array([0.49, 0.  , 3.24, 0.  ])
    """
    return named(square(named(margins_of("squared_hinge", score, y, margin), "margins")), "L_i")


def margins_of(who: str, score: Any, y: Any, margin: float) -> Any:
    """max(0, Δ − y s), the labels checked."""
    allowed = "allowed -1 and +1; use 2*y - 1 for 0/1"
    y = require(y, lambda x: np.abs(x) == 1, lambda v, at: LabelError(f"{who}: label {v:g}{at}; {allowed}"))
    return relu(margin - y * score)
