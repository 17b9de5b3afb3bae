"""Losses of numbers: how far predictions are from the values they should have."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.machine.arguments import foreign
from tinygrad_lo.engine.naming import named
from tinygrad_lo.engine.ops.arithmetic import square
from tinygrad_lo.engine.ops.elementwise import as_float, in_single, log, log1p, relu, sqrt
from tinygrad_lo.engine.ops.losses import huber as huber_of
from tinygrad_lo.engine.ops.losses import log_cosh as log_cosh_of
from tinygrad_lo.errors import DomainError, ShapeError
from tinygrad_lo.losses.loss import base_of, data_of, in_base, inputs_of, loss, require
from tinygrad_lo.options import applied, flag, number

HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
PAIR = inputs_of("prediction", "target")


@loss(PAIR, half=flag)
def mse(
    prediction: Any, target: Any, *, half: bool = False, weights: Any = None, reduction: str = "mean"
) -> Any:
    """The mean squared error: large mistakes cost much more than small ones.

        L_i = r²,  r = prediction − target          half=True:  L_i = ½ r²

    Units:    the target's unit squared.
    At the edges: float32 overflows above |r| = 1.8e19.
    Source:   lecture 003 (its Σ from 0 to N means from 1). Lecture 001, 1/2m Σ‖h − y‖², is half=True,
              reduction="batchmean"; lecture 004 is reduction="batchmean". PyTorch and Keras have no half.
    Example:
        >>> import tinygrad_lo as lo
        >>> float(lo.losses.mse([1.0, 2.0, 6.0], [1.0, 4.0, 5.0], reduction="sum"))
        5.0
    """
    r = named(prediction - target, "r")
    return named(square(r) * 0.5 if half else square(r), "L_i")


@loss(PAIR)
def mae(prediction: Any, target: Any, *, weights: Any = None, reduction: str = "mean") -> Any:
    """The mean absolute error: each mistake costs its size, so outliers do not dominate.

        L_i = |r|,  r = prediction − target

    Units:    the target's.
    At the edges: its slope at r = 0 is 0; everywhere else it is −1 or 1, however small r is.
    Source:   lecture 003; PyTorch's l1_loss.
    Example:
        >>> import tinygrad_lo as lo
        >>> float(lo.losses.mae([1.0, 2.0, 6.0], [1.0, 4.0, 5.0]))
        1.0
    """
    return named(abs(named(prediction - target, "r")), "L_i")


def above_minus_one(who: str, name: str, x: Any, is_float16: bool) -> Any:
    """Where log(1 + x) is finite; nan is not."""
    text = f"{who}: log(1 + x) needs x > -1, got"
    return require(x, lambda x: x > -1, lambda v, at: DomainError(f"{text} {v}{at} of the {name}"))


@loss(inputs_of("prediction", "target", each=above_minus_one), base=base_of)
def msle(
    prediction: Any, target: Any, *, base: float = math.e, weights: Any = None, reduction: str = "mean"
) -> Any:
    """The mean squared logarithmic error: it asks for the ratio, not for the difference.

    30 predicted as 20 costs about as much as 30000 as 20000. Predicting too little costs more than
    predicting too much by the same amount.

        L_i = r²,  r = log(1 + prediction) − log(1 + target)

    Units:    none; base=10 divides the loss by (log 10)².
    At the edges: value and slope are 0 at r = 0; the slope grows without bound towards −1.
    Raises:   DomainError: a value is not above −1.
    Source:   lecture 003, whose worked numbers are in base 10; Keras clips what is below 0 instead.
    Example:
        >>> import tinygrad_lo as lo
        >>> [round(float(lo.losses.msle([20.0], [t], base=10)), 5) for t in (30.0, 10.0)]
        [0.02861, 0.07886]
    """
    r = log1p(prediction) - log1p(target)
    return named(square(named(in_base(r, base), "r")), "L_i")


@loss(PAIR, delta=functools.partial(number, above=0.0))
def huber(
    prediction: Any, target: Any, *, delta: float = 1.0, weights: Any = None, reduction: str = "mean"
) -> Any:
    """Squared error for small mistakes, absolute error for large ones.

        L_i = ½ r²          where |r| <= δ,    r = prediction − target
        L_i = δ|r| − ½ δ²   beyond;            the gradient is clip(r, −δ, δ)

    Units:    delta has the unit of the target; the loss has that unit squared.
    At the edges: at |r| = δ both branches and their slopes agree; the second derivative there is 1, the
              one of the inside. No overflow at |r| = 1e30 in float32.
    Source:   lecture 003; Huber 1964; PyTorch's huber_loss (its smooth_l1_loss is this divided by δ).
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.losses.huber([1.0, 5.0], [0.0, 0.0], delta=2.0, reduction="none").tolist()
        [0.5, 8.0]
    """
    return named(huber_of(named(prediction - target, "r"), delta), "L_i")


@loss(PAIR)
def log_cosh(prediction: Any, target: Any, *, weights: Any = None, reduction: str = "mean") -> Any:
    """Like the Huber loss with δ = 1, but smooth everywhere: its gradient is tanh r.

        L_i = log cosh r,  r = prediction − target

    Units:    none: the scale of a large r is that of the target, so scale targets first.
    At the edges: ½ r² near 0, to the last digits; |r| − log 2 far off, without overflow.
    Source:   as in Keras.
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.losses.log_cosh([0.01, 1e4], [0.0, 0.0], reduction="none").round(7).tolist()
        [5e-05, 9999.3068528]
    """
    return named(log_cosh_of(named(prediction - target, "r")), "L_i")


@loss(PAIR, q=functools.partial(number, above=0.0, below=1.0))
def quantile(
    prediction: Any, target: Any, *, q: float = 0.5, weights: Any = None, reduction: str = "mean"
) -> Any:
    """The pinball loss: a constant prediction that minimizes it is the q-quantile of the targets.

        L_i = (1 − q) max(0, r) + q max(0, −r),  r = prediction − target

    q=0.9 makes predictions that are too low nine times as expensive as those too high; q=0.5 is ½ mae.

    Units:    the target's.
    At the edges: its slope at r = 0 is 0, as that of mae; elsewhere 1 − q or −q.
    Source:   Koenker and Bassett 1978; scikit-learn's mean_pinball_loss(target, prediction, alpha=q).
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.losses.quantile([1.0, 3.0], [2.0, 2.0], q=0.75, reduction="none").tolist()
        [0.75, 0.25]
    """
    r = named(prediction - target, "r")
    over, under = named(relu(r), "max(0, r)"), named(relu(-r), "max(0, −r)")
    return named(over * (1.0 - q) + under * q, "L_i")


@loss(PAIR, full=flag)
def gaussian_nll(
    prediction: Any, target: Any, *, variance: Any = 1.0, full: bool = True, weights: Any = None,
    reduction: str = "mean",
) -> Any:  # fmt: skip
    """The negative log-likelihood of the target under a normal distribution around the prediction.

        L_i = ½ z² + log σ + ½ log 2π,  z = (prediction − target) / σ,  σ² = variance

    full=False leaves out ½ log 2π, which no gradient sees; log σ stays.

    Shapes:   variance: one number, or one for each element; as a tensor, a model learns how sure it is.
    Units:    nats; the variance has the target's unit squared.
    At the edges: it is negative where the density is above 1. The variance is not clamped.
    Raises:   DomainError: an element of variance is not finite and > 0 (of one number, OptionError).
    Source:   lecture 004, a sum over the samples: reduction="sum". PyTorch's gaussian_nll_loss has
              full=False by default and raises variances below 1e-6 to it.
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.losses.gaussian_nll([0.0, 1.0], [1.0, 1.0], variance=0.5, reduction="none").round(6)
        array([1.572365, 0.572365])
    """
    constant = HALF_LOG_2PI if full else 0.0
    r = named(prediction - target, "r")
    sigma: Any
    log_sigma: Any
    if isinstance(variance, (Node, np.ndarray, list, tuple)) or foreign(variance):
        sigma = named(sqrt(variances("gaussian_nll", variance, r)), "σ")
        log_sigma = named(log(sigma), "log σ")
    else:
        variance = number("gaussian_nll", "variance", variance, above=0.0)
        sigma = applied(math.sqrt, np.sqrt, variance)
        log_sigma = applied(math.log, np.log, sigma)
    z = named(r / sigma, "z")
    return named(square(z) * 0.5 + (log_sigma + constant), "L_i")


def variances(who: str, variance: Any, r: Any) -> Any:
    """One variance for each residual, or one for all; a tensor stays a tensor."""
    v, text = data_of(who, variance), f"{who}: variance must be finite and > 0, got"
    if v.shape not in ((), r.shape):
        expected = f"expected one number, or the prediction's shape {r.shape}"
        raise ShapeError(f"{who}: variance has shape {v.shape}; {expected}")
    v = as_float(in_single(v), r.dtype)  # a float64 variance must not turn a float32 loss into float64
    return require(v, lambda x: (x > 0) & (x < math.inf), lambda v, at: DomainError(f"{text} {v}{at}"))
