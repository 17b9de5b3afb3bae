"""Regularizers: a price on the weights themselves, so that simpler models win."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

from tinygrad_lo.engine.ops.arithmetic import square
from tinygrad_lo.engine.ops.elementwise import HALF, as_float, in_single
from tinygrad_lo.engine.ops.elementwise import abs as absolute
from tinygrad_lo.engine.ops.reductions import sum as total
from tinygrad_lo.errors import OptionError
from tinygrad_lo.losses.loss import data_of, loss
from tinygrad_lo.names import named_values
from tinygrad_lo.options import flag, number

strength = functools.partial(number, at_least=0.0)


def weights_of(who: str, params: Any) -> tuple[tuple[Any, ...], bool]:
    """One tensor or array, or many, as a list in floating point: the square of a small integer would wrap.

    Shapes:   params: a tensor or array of any shape, a list or a dict of them, or a model; result ().
    Raises:   OptionError: params is empty (was a generator used twice?), text, a number or a set.
              DTypeError: an entry is not an array of numbers.
    """
    weights = [as_float(data_of(who, w), None) for _, w in named_values(who, params)]
    if not weights:
        raise OptionError(f"{who}: empty list of parameters (was a generator used twice?)")
    halves = [w.dtype is HALF for w in weights]
    return (list(map(in_single, weights)) if any(halves) else weights,), all(halves)


@loss(weights_of)
def l1(params: Any) -> Any:
    """The sum of absolute weights: it pulls all of them to 0 equally hard, so that few are left.

        R(W) = Σ |W|

    Units:    the weight's. Leave the biases out of the list, as the lectures do.
    At the edges: its slope at a weight of 0 is 0; everywhere else −1 or 1, however small the weight. Plain
              gradient descent only oscillates about 0, by lr · λ. Weights become exactly 0 with a proximal
              step, W ← sign(W) · max(0, |W| − lr · λ), in place of this term: `lo.optim.SGD(..., l1=λ)`.
    Source:   lectures 000 and 002.
    Example:
        >>> import tinygrad_lo as lo
        >>> float(lo.losses.l1([[0.25, 0.25, 0.25, 0.25]])), float(lo.losses.l1([[1.0, 0.0, 0.0, 0.0]]))
        (1.0, 1.0)
    """
    return summed(absolute, params)


@loss(weights_of, half=flag)
def l2(params: Any, *, half: bool = False) -> Any:
    """The sum of squared weights: it likes weights that are small and spread out.

        R(W) = Σ W²          half=True:  ½ Σ W²

    Multiply it by the regularization strength: `loss = data_loss + 1e-3 * lo.losses.l2([W1, W2])`.

    Units:    the weight's unit squared. Leave the biases out of the list, as the lectures do.
    Source:   lectures 000 and 002; half=True is lecture 004.
    Example:
        >>> import tinygrad_lo as lo
        >>> float(lo.losses.l2([[0.25, 0.25, 0.25, 0.25]])), float(lo.losses.l2([[0.0, 1.0, 0.0, 0.0]]))
        (0.25, 1.0)
    """
    out = summed(square, params)
    return out * 0.5 if half else out


@loss(weights_of, l1=strength, l2=strength)
def elastic_net(params: Any, *, l1: float, l2: float) -> Any:
    """Both prices at once: few weights, and those that are left small.

        R(W) = l1 Σ |W| + l2 Σ W²

    With one strength, lecture 000 writes β L2 + (1 − β) L1, which is `l1=1 - beta, l2=beta`; lecture 002
    Σ β W² + |W|, which is `l1=1.0, l2=beta`. Multiply either by λ.

    Units:    l1 is a price for each unit of weight, l2 for each unit squared.
    At the edges: the slope of l1 at a weight of 0 is 0. A strength of 0 leaves its sum out.
    Source:   lectures 000 and 002; Zou and Hastie 2005. scikit-learn puts a ½ before its Σ W².
    Example:
        >>> import tinygrad_lo as lo
        >>> float(lo.losses.elastic_net([[3.0, -4.0]], l1=10.0, l2=1.0))
        95.0
    """
    # A strength of 0 leaves its sum out: 0 times a sum that overflowed would be nan.
    priced = [summed(price, params) * each for price, each in ((absolute, l1), (square, l2)) if each]
    return functools.reduce(operator.add, priced) if priced else (params[0] * 0.0).sum()


def summed(price: Callable[[Any], Any], weights: list[Any]) -> Any:
    """The price of every weight, added up."""
    return functools.reduce(operator.add, (total(price(w)) for w in weights))
