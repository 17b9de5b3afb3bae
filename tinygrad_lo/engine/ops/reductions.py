"""The table, part 3: many values to one, along axes: `axis` and `keepdims` are NumPy's."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.backward import unbroadcast
from tinygrad_lo.engine.graph import Array, Kink, Node
from tinygrad_lo.engine.machine.arguments import foreign, shape_of
from tinygrad_lo.engine.machine.axes import (
    Axis,
    as_tuple,
    check_axes,
    dropped,
    how_many,
    kept,
    plain_axis,
    refuse_axis,
)
from tinygrad_lo.engine.machine.hooks import fact
from tinygrad_lo.engine.machine.sums import total
from tinygrad_lo.engine.ops.arithmetic import divide, square, subtract
from tinygrad_lo.engine.ops.elementwise import gap_forward, in_float32
from tinygrad_lo.engine.ops.registry import Shape, composed, op
from tinygrad_lo.errors import OptionError, ShapeError

SAMPLES = ((Shape(3, 4), None, False), (Shape(3, 4), 0, True), (Shape(3, 4), -1, False), (Shape(2, 3, 4), (0, -1), False),
           (Shape(2, 3, 4), (1, 2), True), (Shape(), None, False), (Shape(1, 1), None, True), (Shape(0, 3), 1, False))  # fmt: skip


def lift(g: Array, x: Array, axis: Axis, keepdims: bool) -> Array:
    """Something of the output's shape, with the reduced axes back in as ones: it fits x again."""
    return g if keepdims or axis is None else g.reshape(kept(x.shape, axis))


def spread(g: Array, shape: tuple[int, ...]) -> Array:
    """Broadcast to a shape; a real array, because one fill is quicker than NumPy's view."""
    return filled(g, shape) if isinstance(g, (ndarray, np.generic)) else _full(g, shape)


def filled(g: Array, shape: tuple[int, ...]) -> Array:
    if not isinstance(g, (ndarray, np.generic)):
        return np.broadcast_to(g, shape)  # of a lazy array, a view
    out = np.empty(shape, g.dtype)
    out[...] = g
    return out[()] if shape == () else out


def without(y: Array, shape: tuple[int, ...]) -> Array:
    """The result of a reduction without the reduced axes; of all axes, a number."""
    y = y.reshape(shape)
    return y if isinstance(y, Node) else y[()]


_full = op("full", filled, options=True,
           spelling="np.full({1}, {0})", symbol="broadcast {0}", scalar="{0}", fresh=True,
           about="The value in every place of a shape: what becomes of the gradient of a sum.",
           samples=((Shape(2, 1), (2, 3)), (Shape(), (2, 3)), (Shape(), ())),
           rules=(lambda g, y, x, shape: unbroadcast(g, x.shape),))  # fmt: skip


def along(name: str, f: Callable[..., Any], x: Any, axis: Any, **options: Any) -> Any:
    """argmax, any, all: plain answers, with our error for an axis that is none."""
    try:
        return fact(f, (x,), {"axis": axis, **options})
    except (ValueError, TypeError) as error:
        refused = refuse_axis(name)(error, x, plain_axis(name, axis))
        raise refused or ShapeError(f"{name}: {error}") from error


def argmax(x: Any, axis: Any = None) -> Any:
    """The index of the largest element, as plain integers: it has no gradient."""
    return along("argmax", np.argmax, x, axis)


def argmin(x: Any, axis: Any = None) -> Any:
    """The index of the smallest element, as plain integers: it has no gradient."""
    return along("argmin", np.argmin, x, axis)


def any(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether any element is true, as a plain boolean."""
    return along("any", np.any, x, axis, keepdims=keepdims)


def all(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether all elements are true, as a plain boolean."""
    return along("all", np.all, x, axis, keepdims=keepdims)


_sum = op("sum", total, options=True, samples=SAMPLES, refuse=refuse_axis("sum"),
          spelling="np.sum({0}, axis={1}, keepdims={2})", symbol="Σ {0}", scalar="{0}", fresh=True, kind="mixes",
          about="The sum; of nothing, 0. Copies the gradient to every element.",
          rules=(lambda g, y, x, axis, keepdims: spread(lift(g, x, axis, keepdims), x.shape),))  # fmt: skip


def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """`np.sum`. float32 columns above 2**16 rows are summed in blocks, which NumPy does not."""
    return _sum(x, axis if axis is None else plain_axis("sum", axis, x), keepdims)


@composed("np.mean({0}, axis={1}, keepdims={2})", *SAMPLES)
@in_float32
def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The sum divided by how many there are; of nothing, an error."""
    axis, n = checked_count("mean", x, axis)
    return divide(_sum(x, axis, keepdims), n)


@composed("np.var({0}, axis={1}, keepdims={2})", *SAMPLES)
@in_float32
def var(x: Any, axis: Any = None, keepdims: bool = False, *, ddof: int = 0) -> Any:
    """The mean squared distance from the mean; ddof=1 divides by n - 1."""
    axis, n = checked_count("var", x, axis, ddof)
    return divide(_sum(square(subtract(x, mean(x, axis, True))), axis, keepdims), n)


@composed("np.std({0}, axis={1}, keepdims={2})", *SAMPLES[:5], domain=(0.0, 2.0))
@in_float32
def std(x: Any, axis: Any = None, keepdims: bool = False, *, ddof: int = 0) -> Any:
    """The root of var. Through the norm, whose slope at 0 is 0: a constant gets no nan."""
    axis, n = checked_count("std", x, axis, ddof)
    return divide(norm(subtract(x, mean(x, axis, True)), axis, keepdims), math.sqrt(n))


def checked_count(who: str, x: Any, axis: Any, ddof: Any = 0) -> tuple[Axis, int]:
    """The checked axis, and the divisor of mean, var and std: the number of elements less ddof."""
    if not isinstance(ddof, (int, np.integer)) or ddof < 0:
        raise OptionError(f"{who}: ddof must be an int >= 0, got {ddof!r}")
    axis = plain_axis(who, axis)
    shape = shape_of(x)
    if axis is not None:
        check_axes(who, len(shape), as_tuple(axis, len(shape)))
    n = how_many(shape, axis)
    if n == 0 and 0 not in dropped(shape, axis):
        raise ShapeError(f"{who} of 0 elements (shape {shape}) is undefined")
    if ddof and n <= ddof:
        raise ShapeError(f"{who} with ddof={ddof} needs more than {ddof} elements, got {n} (shape {shape})")
    return axis, n - int(ddof) if n else 1


def extreme_rule(g: Array, y: Array, x: Array, axis: Axis, keepdims: bool) -> Array:
    tied = (x == lift(y, x, axis, keepdims)).astype(g.dtype)
    return lift(g, x, axis, keepdims) * (tied / tied.sum(axis=axis, keepdims=True))


TIED = Kink(lambda y, x, axis, keepdims: np.sum(x == lift(y, x, axis, keepdims), axis, keepdims=keepdims) > 1)

_max = op("max", lambda x, axis, keepdims: np.max(x, axis=axis, keepdims=keepdims), (extreme_rule,),
          options=True, samples=SAMPLES, refuse=refuse_axis("max"), kink=TIED,
          spelling="np.max({0}, axis={1}, keepdims={2})", symbol="max {0}", scalar="{0}", fresh=True,
          about="The largest element; ties share the gradient equally.")  # fmt: skip

_min = op("min", lambda x, axis, keepdims: np.min(x, axis=axis, keepdims=keepdims), (extreme_rule,),
          options=True, samples=SAMPLES, refuse=refuse_axis("min"), kink=TIED,
          spelling="np.min({0}, axis={1}, keepdims={2})", symbol="min {0}", scalar="{0}", fresh=True,
          about="The smallest element; ties share the gradient equally.")  # fmt: skip


@in_float32
def max(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """`np.max`; tied elements share the gradient equally."""
    return _max(x, plain_axis("max", axis, x), keepdims)


@in_float32
def min(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """`np.min`; tied elements share the gradient equally."""
    return _min(x, plain_axis("min", axis, x), keepdims)


def prod_rule(g: Array, y: Array, x: Array, axis: Axis, keepdims: bool) -> Array:
    shape = x.shape
    axes = tuple(i % len(shape) for i in as_tuple(axis, len(shape)))
    order = tuple(i for i in range(len(shape)) if i not in axes) + axes
    moved = tuple(shape[i] for i in order)
    rows = np.transpose(x, order).reshape((*dropped(shape, axis), how_many(shape, axes)))
    others = product_of_others(rows).reshape(moved)
    back = tuple(order.index(i) for i in range(len(shape)))
    return lift(g, x, axis, keepdims) * np.transpose(others, back)


def product_of_others(x: Array) -> Array:
    """Along the last axis, for each element the product of all the others, exact with zeros.

    Up a tree of pairwise products and down again: what a child's others are is what its parent's
    others are, times its sibling. No division, so nothing goes wrong at 0.
    """
    n = x.shape[-1]
    size = 1 << (n - 1).bit_length() if n else 1
    if size > n:
        x = np.concatenate([x, np.ones((*x.shape[:-1], size - n), x.dtype)], axis=-1)
    levels = [x]
    while levels[-1].shape[-1] > 1:
        pairs = levels[-1].reshape((*x.shape[:-1], levels[-1].shape[-1] // 2, 2))
        levels.append(pairs[..., 0] * pairs[..., 1])
    others = np.ones((*x.shape[:-1], 1), x.dtype)
    for level in reversed(levels[:-1]):
        siblings = level.reshape((*x.shape[:-1], level.shape[-1] // 2, 2))[..., ::-1]
        others = (others.reshape((*others.shape, 1)) * siblings).reshape(level.shape)
    return others[..., :n]


_prod = op("prod", lambda x, axis, keepdims: np.prod(x, axis=axis, keepdims=keepdims), (prod_rule,),
           options=True, samples=(*SAMPLES, (Shape(5), 0, False)), refuse=refuse_axis("prod"),
           spelling="np.prod({0}, axis={1}, keepdims={2})", symbol="Π {0}", scalar="{0}", fresh=True, kind="mixes",
           about="The product; of nothing, 1. Exact where elements are 0.")  # fmt: skip


@in_float32
def prod(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """`np.prod`, with gradients that are exact where elements are 0."""
    return _prod(x, plain_axis("prod", axis, x), keepdims)


def norm_forward(x: Array, axis: Axis, keepdims: bool) -> Array:
    if foreign(x):
        return np.sqrt(np.square(x).sum(axis=axis, keepdims=keepdims))
    # Scaled by the largest element, so that squares neither overflow nor vanish.
    top = total(x, axis, True) if 0 in shape_of(x) else np.max(np.abs(x), axis=axis, keepdims=True)
    scale = np.where(top > 0, np.where(top < np.inf, top, 1), 1).astype(top.dtype)
    y = scale * np.sqrt(total(np.square(x / scale), axis, True))
    return y if keepdims else without(y, dropped(shape_of(x), axis))


def norm_rule(g: Array, y: Array, x: Array, axis: Axis, keepdims: bool) -> Array:
    length = np.where(y == 0, 1, y)
    return lift(g, x, axis, keepdims) * (x / lift(length, x, axis, keepdims))


_norm = op("norm", norm_forward, (norm_rule,), options=True, composite=True, samples=SAMPLES, refuse=refuse_axis("norm"),
           spelling="np.sqrt(np.sum(np.square({0}), axis={1}, keepdims={2}))", symbol="‖{0}‖", kind="mixes",
           about="Euclidean length; slope 0 at 0, no overflow before the result does.",
           kink=Kink(lambda y, x, axis, keepdims: y == 0,
                     even=lambda c, y, x, axis, keepdims: lift(c, x, axis, keepdims) * x,
                     branches=False))  # fmt: skip


@in_float32
def norm(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The root of the sum of squares along the axes (all of them by default)."""
    return _norm(x, plain_axis("norm", axis, x), keepdims)


def logsumexp_forward(x: Array, axis: Axis, keepdims: bool) -> Array:
    top = peak(x, axis)
    y = np.log(sums(np.exp(gap_forward(x, top)), axis)) + top
    return y if keepdims else without(y, dropped(shape_of(x), axis))


@in_float32
def log_softmax_forward(x: Array, axis: Axis) -> Array:
    # Not x - logsumexp(x): at scores of 1e4, float32 would lose the digits that matter.
    d = x - peak(x, axis)
    return d - np.log(sums(np.exp(d), axis))


NARROW = 128  # up to so many columns, a product with ones sums rows five times quicker than np.sum


def sums(x: Array, axis: Axis) -> Array:
    """Sums with keepdims, for softmax and its relatives."""
    # In float64 it is np.sum that is printed in a program, which must agree to the last bit.
    if type(x) is ndarray and x.ndim == 2 and axis in (1, -1) and x.shape[1] <= NARROW and x.itemsize < 8:
        return x.dot(ones(x.shape[1], x.dtype))
    return total(x, axis, True)


@functools.lru_cache(maxsize=8)
def ones(n: int, dtype: Any) -> Array:
    """A column of ones that nobody writes into."""
    column = np.ones((n, 1), dtype)
    column.flags.writeable = False
    return column


def peak(x: Array, axis: Axis) -> Array:
    """max with keepdims; along the rows of a matrix by argmax, which is three times quicker."""
    if type(x) is ndarray and x.ndim == 2 and axis in (1, -1) and x.flags.c_contiguous and x.size:
        rows, columns = x.shape
        return x.reshape(-1).take(x.argmax(1) + row_starts(rows, columns)).reshape(rows, 1)
    return np.max(x, axis=axis, keepdims=True)


@functools.lru_cache(maxsize=8)
def row_starts(rows: int, columns: int) -> Array:
    """Where each row begins in the flat array of a matrix; the same for every batch of a training."""
    starts = np.arange(0, rows * columns, columns) if columns else np.zeros(rows, np.intp)
    starts.flags.writeable = False
    return starts


ROW_SAMPLES = ((Shape(3, 4), -1), (Shape(3, 4), 0), (Shape(2, 3, 4), (1, 2)), (Shape(5), None), (Shape(), None), (Shape(0, 3), 1))  # fmt: skip


@in_float32
def softmax_forward(x: Array, axis: Axis) -> Array:
    e = np.exp(gap_forward(x, peak(x, axis)))
    return e / sums(e, axis)


# The slope of logsumexp; from the inputs, whose differences to its rounded output say nothing at 1e16.
softmax = op("softmax", softmax_forward, options=True, composite=True,
             samples=ROW_SAMPLES, refuse=refuse_axis("softmax"),
             spelling="np.exp({0} - np.logaddexp.reduce(np.atleast_1d({0}), axis={1}, keepdims=np.ndim({0}) > 0))",
             symbol="softmax {0}",
             about="e^x / Σ e^x: scores to probabilities.",
             rules=(lambda g, y, x, axis: y * (g - sums(g * y, axis)),))  # fmt: skip

_logsumexp = op("logsumexp", logsumexp_forward, options=True, composite=True, samples=SAMPLES[:7], refuse=refuse_axis("logsumexp"),
                spelling="np.logaddexp.reduce(np.atleast_1d({0}), axis={1}, keepdims={2})",
                symbol="log Σ exp({0})", kind="mixes",
                about="log of the sum of exponentials, finite at any finite scores.",
                rules=(lambda g, y, x, axis, keepdims: lift(g, x, axis, keepdims) * softmax(x, axis),))  # fmt: skip


@in_float32
def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """log Σ exp(x) along the axes. Its gradient is softmax."""
    return _logsumexp(x, plain_axis("logsumexp", axis, x), keepdims)


_log_softmax = op("log_softmax", log_softmax_forward, options=True, composite=True,
                  samples=ROW_SAMPLES, refuse=refuse_axis("log_softmax"),
                  spelling="{0} - np.logaddexp.reduce(np.atleast_1d({0}), axis={1}, keepdims=np.ndim({0}) > 0)",
                  symbol="log softmax {0}", kind="mixes",
                  probability="makes", about="log of e^x / Σ e^x: scores to log-probabilities, finite at any finite scores.",
                  rules=(in_float32(lambda g, y, x, axis: g - np.exp(y) * sums(g, axis)),))  # fmt: skip


def log_softmax(x: Any, axis: Any = -1) -> Any:
    """x − log Σ exp(x) along the axis: the logarithm of softmax, without computing softmax."""
    return _log_softmax(x, plain_axis("log_softmax", axis))
