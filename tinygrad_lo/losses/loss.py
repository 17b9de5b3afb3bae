"""A loss is its formula: what all of them share stands here, once.

`@loss(...)` reads the inputs, opens the scope that is named after the function, answers misspelt options,
and reduces. The formula gets floating-point inputs, tensors or arrays, and returns a loss for each sample.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Array, Node, tick
from tinygrad_lo.engine.machine.arguments import foreign, plain
from tinygrad_lo.engine.machine.hooks import check
from tinygrad_lo.engine.naming import name_of, named, scoped
from tinygrad_lo.engine.ops.elementwise import HALF, as_float, astype, floats
from tinygrad_lo.engine.ops.reductions import sum as total
from tinygrad_lo.engine.ops.shapes import reshape
from tinygrad_lo.engine.tensor import Tensor
from tinygrad_lo.errors import OptionError, ShapeError
from tinygrad_lo.options import P, choice, first_unknown, is_finite, unknown

Reader = Callable[..., tuple[tuple[Any, ...], bool]]  # (who, *inputs) -> the inputs, whether in float16

LOSS_REDUCTIONS = ("mean", "sum", "none", "batchmean")


def loss(read: Reader, *, column: bool = False) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
    """Make a loss of a formula, of which `reduction` is the caller's option and not the formula's.

    A formula without `reduction` in its signature is not reduced. One with `column=True` keeps an axis of
    length 1 at the end, and may return (losses, weights): then the mean divides by the sum of the weights.
    """

    def decorate(formula: Callable[P, Any]) -> Callable[P, Any]:
        who = formula.__name__
        signature = inspect.signature(formula)
        positional = [p.name for p in signature.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
        count = len(positional)
        usual = "mean" if "reduction" in signature.parameters else None

        @functools.wraps(formula)
        def call(*inputs: Any, reduction: Any = usual, **options: Any) -> Any:
            began = tick()
            if reduction is not usual:
                if usual is None:
                    raise unknown(who, "reduction", list(signature.parameters))
                choice(who, "reduction", reduction, LOSS_REDUCTIONS)
            try:
                if len(inputs) != count:
                    options = by_name(who, signature, inputs, options)
                    inputs = tuple(options.pop(name) for name in positional)
                inputs, half = read(who, *inputs)
                losses = formula(*inputs, **options)
            except TypeError:
                misspelt = first_unknown(formula, options)
                if misspelt is None:
                    raise
            else:
                if usual is not None:
                    losses = reduce_losses(who, losses, reduction, column)
                return scoped(who, began, astype(losses, HALF) if half else losses)
            raise misspelt

        return call

    return decorate


def by_name(who: str, signature: inspect.Signature, inputs: Any, options: Any) -> dict[str, Any]:
    """All arguments by their names."""
    try:
        return dict(signature.bind(*inputs, **options).arguments)
    except TypeError as error:
        raise TypeError(f"{who}: {error}") from None


def reduce_losses(who: str, losses: Any, reduction: str, column: bool) -> Any:
    """The losses of the samples as one number, or as they are.

    mean: their sum divided by their number, or by the sum of their weights where a loss weights them;
    sum; none; batchmean: their sum divided by the length of the first axis.
    """
    weights = None
    if type(losses) is tuple:
        losses, weights = losses
    shape = losses.shape
    if reduction == "none" or not shape:
        return named(reshape(losses, shape[:-1]), "L_i") if column else losses
    s = total(losses)
    if reduction == "sum":
        return s
    if weights is not None and reduction == "mean":
        return s / check(total(weights), not_zero, weightless, who)
    n = shape[0] if reduction == "batchmean" else math.prod(shape)
    return s if n == 1 else s / n


def not_zero(x: Array, who: str) -> bool:
    """Whether there is something to divide by."""
    return bool(x != 0)


def weightless(_: Array, who: str) -> ShapeError:
    """The error for a batch whose samples all have the weight 0."""
    return ShapeError(f"{who}: no samples left to average: class_weights are 0 for all labels of the batch")


# ------------------------------------------------------------------------------- reading inputs


def pair_of(first: str = "prediction", second: str = "target", *, widen: bool = True) -> Reader:
    """The reader of a loss of two inputs of one shape that is not empty, which messages call by these names.

    Tensors stay as they are, all else becomes float arrays. A plain array takes the dtype of a tensor beside
    it, else of the first input, so that float64 data does not turn a float32 loss into float64.
    """
    names = (first, second)

    def read(who: str, a: Any, b: Any) -> tuple[tuple[Any, ...], bool]:
        if a is None or b is None:
            plain(None, who)
        a, b = floats(who, a, b)
        half = a.dtype is HALF
        if half and widen:
            a, b = in_single(a), in_single(b)
        shape = a.shape
        if shape != b.shape:
            raise ShapeError(mismatch(who, shape, b.shape, names))
        if 0 in shape:
            raise ShapeError(f"{who}: no samples left to average: the {first} has shape {shape}")
        # So that trees and drawings call it by its name.
        return (a, b if isinstance(b, Node) else entering(b, second, a)), half

    return read


def mismatch(who: str, p: tuple[int, ...], t: tuple[int, ...], names: tuple[str, str]) -> str:
    """What is wrong with two shapes, and how to make them one."""
    text = f"{who}: {names[0]} {p} vs {names[1]} {t}"
    try:
        text += f" would broadcast to {np.broadcast_shapes(p, t)}"
    except ValueError:
        return f"{text}; losses do not broadcast, both need one shape"
    for long, short, order in ((p, t, names), (t, p, names[::-1])):
        if long == (*short, 1):
            every = ":" if len(short) == 1 else "..."
            return f"{text}; use {order[1]}[{every}, None] or {order[0]}[{every}, 0]"
    return f"{text}; losses do not broadcast, give both one shape"


def data_of(who: str, x: Any) -> Any:
    """A tensor, or an array of another library, as it is; all else as an array."""
    return x if isinstance(x, Node) or foreign(x) else np.asarray(plain(x, who))


def one(who: str, x: Any) -> tuple[tuple[Any, ...], bool]:
    """The reader of a loss of one input."""
    x = as_float(data_of(who, x), None)
    return (in_single(x),), x.dtype is HALF


def in_single(x: Any) -> Any:
    """float16 as float32, in which losses compute: float16 holds neither their squares nor their sums."""
    return astype(x, np.float32) if x.dtype is HALF else x


def entering(x: Any, name: str, beside: Any) -> Any:
    """A plain array that enters the graph of a loss, under a name by which texts and drawings call it."""
    if isinstance(x, Node):
        return named(x, name) if name_of(x) is None else x
    return Tensor(x, name=name) if isinstance(beside, Node) and not foreign(x) else x


def unit_of(who: str, base: Any) -> float:
    """One digit of the base in nats, by which to divide: log(base), exactly 1 for base e."""
    if type(base) is float and base == math.e:
        return 1.0
    if not is_finite(base) or base <= 0 or base == 1:
        raise OptionError(f"{who}: base must be a finite number > 0 and not 1, got {base!r}")
    return math.log(base)
