"""Regularizers: a price on the weights themselves, so that simpler models win."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Node, tick
from tinygrad_lo.engine.machine.arguments import finite_number, plain
from tinygrad_lo.engine.naming import scoped
from tinygrad_lo.engine.ops.arithmetic import add, multiply, square
from tinygrad_lo.engine.ops.elementwise import abs as absolute
from tinygrad_lo.engine.ops.elementwise import as_float
from tinygrad_lo.engine.ops.reductions import sum as total
from tinygrad_lo.errors import DTypeError, OptionError
from tinygrad_lo.losses.checks import HALF, flag, narrowed, widened


def l1(params: Any) -> Any:
    """The sum of absolute weights: it pushes weights to exactly 0, so that few are left.

        R(W) = Σ |W|

    Leave the biases out of the list, as the lectures do.

    Shapes:   a tensor or array of any shape, or a list of them; result ().
    Units:    the weight's.
    At the edges: its slope at a weight of 0 is 0; everywhere else it is −1 or 1, however small the weight.
    Raises:   OptionError: an empty list (was a generator used twice?).  DTypeError: no tensors.
    Source:   lectures 000 and 002.
    Example:
        >>> import tinygrad_lo as lo
        >>> float(lo.losses.l1([[0.25, 0.25, 0.25, 0.25]])), float(lo.losses.l1([[1.0, 0.0, 0.0, 0.0]]))
        (1.0, 1.0)
    """
    began = tick()
    weights, half = parameters("l1", params)
    return scoped("l1", began, narrowed(summed(absolute, weights), half))


def l2(params: Any, *, half: bool = False) -> Any:
    """The sum of squared weights: it likes weights that are small and spread out.

        R(W) = Σ W²          half=True:  ½ Σ W²

    Multiply it by the regularization strength: `loss = data_loss + 1e-3 * lo.losses.l2([W1, W2])`.
    Leave the biases out of the list, as the lectures do.

    Shapes:   a tensor or array of any shape, or a list of them; result ().
    Units:    the weight's unit squared; factors differ by author: Σ W² (lectures 000, 002), ½ ‖W‖² (004).
    Raises:   OptionError: an empty list (was a generator used twice?), a half that is neither True nor
              False.  DTypeError: no tensors.
    Source:   lectures 000 and 002.
    Example:
        >>> import tinygrad_lo as lo
        >>> float(lo.losses.l2([[0.25, 0.25, 0.25, 0.25]])), float(lo.losses.l2([[0.0, 1.0, 0.0, 0.0]]))
        (0.25, 1.0)
    """
    began = tick()
    flag("l2", "half", half)
    weights, narrow = parameters("l2", params)
    out = summed(square, weights)
    return scoped("l2", began, narrowed(multiply(out, 0.5) if half else out, narrow))


def elastic_net(params: Any, *, l1: float, l2: float) -> Any:
    """Both prices at once: few weights, and those that are left small.

        R(W) = l1 Σ |W| + l2 Σ W²

    The lectures write it with one strength, in two ways: lecture 000 as β L2 + (1 − β) L1, which is
    `elastic_net(params, l1=1 - beta, l2=beta)`; lecture 002 as Σ β W² + |W|, which is
    `elastic_net(params, l1=1.0, l2=beta)`. Both times a regularization strength λ.

    Shapes:   a tensor or array of any shape, or a list of them; result ().
    Units:    l1 is a price for each unit of weight, l2 for each unit squared.
    At the edges: the slope of l1 at a weight of 0 is 0. A strength of 0 leaves its sum out.
    Raises:   OptionError: a strength that is negative or not finite, an empty list.  DTypeError: no
              tensors.
    Source:   lectures 000 and 002; Zou and Hastie 2005. scikit-learn puts a ½ before its Σ W².
    Example:
        >>> import tinygrad_lo as lo
        >>> float(lo.losses.elastic_net([[3.0, -4.0]], l1=10.0, l2=1.0))
        95.0
    """
    began = tick()
    who = "elastic_net"
    first, second = finite_number(who, "l1", l1, 0.0), finite_number(who, "l2", l2, 0.0)
    weights, half = parameters(who, params)
    # A strength of 0 leaves its sum out: 0 times a sum that overflowed would be nan.
    parts = [(absolute, first), (square, second)]
    priced = [multiply(summed(price, weights), strength) for price, strength in parts if strength]
    if not priced:
        priced = [multiply(w, 0.0).sum() for w in weights[:1]]
    out = priced[0] if len(priced) == 1 else add(*priced)
    return scoped(who, began, narrowed(out, half))


def summed(price: Callable[[Any], Any], weights: list[Any]) -> Any:
    """The price of every weight, added up."""
    out = None
    for w in weights:
        s = total(price(w))
        out = s if out is None else add(out, s)
    return out


def parameters(who: str, params: Any) -> tuple[list[Any], bool]:
    """One tensor or array, or a list of them, as a list; and whether all of them are float16."""
    if isinstance(params, (Node, np.ndarray)):
        params = [params]
    if not isinstance(params, Iterable) or isinstance(params, str):
        raise DTypeError(f"{who}: expected a tensor or a list of tensors, got {params!r}")
    # In floating point: the square of a small integer would wrap around.
    found = [as_float(w if isinstance(w, Node) else np.asarray(plain(w, who)), None) for w in params]
    if not found:
        raise OptionError(f"{who}: empty list of parameters (was a generator used twice?)")
    return [widened(w) for w in found], all(w.dtype is HALF for w in found)
