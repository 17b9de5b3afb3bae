"""The table, part 7: NumPy's functions that the others make up; written in NumPy, which comes back to the ops."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.machine.arguments import plain
from tinygrad_lo.engine.machine.axes import as_tuple, check_axes, ints, one_axis, one_int, plain_axis
from tinygrad_lo.engine.ops.arithmetic import multiply, subtract
from tinygrad_lo.engine.ops.elementwise import astype, in_float32
from tinygrad_lo.engine.ops.indexing import at
from tinygrad_lo.engine.ops.reductions import checked_count, mean, sum
from tinygrad_lo.engine.ops.registry import Shape, composed
from tinygrad_lo.engine.ops.shapes import axis_or_flat, sequence
from tinygrad_lo.errors import IndexingError, ShapeError


def short(name: str, function: Callable[..., Any], about: str, *samples: Any) -> Callable[..., Any]:
    """A composition of one line under NumPy's name, called as its samples are."""
    function.__name__ = function.__qualname__ = name.rpartition(".")[2]
    function.__doc__ = about
    holes = ", ".join(f"{{{i}}}" for i in range(max(map(len, samples), default=2)))
    return composed(f"np.{name}({holes})", *samples)(function)


PAIRS = (Shape(3), Shape(3)), (Shape(2, 1), Shape(1, 3))
JOINED = ([Shape(3), Shape(3)],), ([Shape(2, 2), Shape(2, 2)],), ([Shape(), Shape()],)
UP = (Shape(),), (Shape(2),), (Shape(2, 3),), (Shape(1, 2, 1),)

# fmt: off
copy = short("copy", lambda a: astype(a, a.dtype), "The same values in memory of their own; the gradient flows through.", *UP)

atleast_1d = short("atleast_1d", lambda *arys: in_shape(lambda shape: shape or (1,), arys), "A number as a vector.", *UP)
atleast_2d = short("atleast_2d", lambda *arys: in_shape(lambda shape: (1,) * (2 - len(shape)) + shape, arys), "A vector as a row.", *UP)
atleast_3d = short("atleast_3d", lambda *arys: in_shape(lambda shape: (1,) * (2 - len(shape)) + shape + (1,) * (3 - max(len(shape), 2)), arys), "A matrix with a third axis; a vector along the second.", *UP)
vstack = short("vstack", lambda tup: np.concatenate([np.atleast_2d(x) for x in sequence("vstack", tup)]), "One below the other; vectors are rows.", *JOINED)
hstack = short("hstack", lambda tup: side_by_side([np.atleast_1d(x) for x in sequence("hstack", tup)]), "Side by side; vectors one after the other.", *JOINED)
dstack = short("dstack", lambda tup: np.concatenate([np.atleast_3d(x) for x in sequence("dstack", tup)], 2), "One behind the other, along a third axis.", *JOINED)
column_stack = short("column_stack", lambda tup: side_by_side([np.reshape(x, (-1, 1)) if np.ndim(x) < 2 else x for x in sequence("column_stack", tup)]), "Side by side; vectors are columns.", *JOINED)
append = short("append", lambda arr, values, axis=None: np.concatenate(sequence("append", (arr, values)), axis), "Values after the end of an axis; None flattens first.", (Shape(2, 2), Shape(3), None), (Shape(2, 2), Shape(1, 2), 0))
vsplit = short("vsplit", lambda ary, indices_or_sections: np.split(ary, indices_or_sections, 0), "A list of parts along the first axis.")
hsplit = short("hsplit", lambda ary, indices_or_sections: np.split(ary, indices_or_sections, min(1, np.ndim(ary) - 1)), "A list of parts along the second axis; of a vector, along its own.")
dsplit = short("dsplit", lambda ary, indices_or_sections: np.split(ary, indices_or_sections, 2), "A list of parts along the third axis.")

fliplr = short("fliplr", lambda m: np.flip(m, 1), "The second axis reversed.", (Shape(2, 3),))
flipud = short("flipud", lambda m: np.flip(m, 0), "The first axis reversed.", (Shape(2, 3),))
fftshift = short("fft.fftshift", lambda x, axes=None: half_rolled(x, axes, 1), "The axes rolled by half of their size: frequency 0 into the middle.", (Shape(5), None), (Shape(2, 3), 1))
ifftshift = short("fft.ifftshift", lambda x, axes=None: half_rolled(x, axes, -1), "The inverse of fftshift.", (Shape(5), None), (Shape(2, 3), 1))

vdot = short("vdot", lambda a, b: np.dot(np.ravel(a), np.ravel(b)), "The inner product of all elements in their order.", (Shape(2, 3), Shape(2, 3)))
# fmt: on


def in_shape(shape: Callable[[tuple[int, ...]], tuple[int, ...]], arrays: tuple[Any, ...]) -> Any:
    """Each array in the shape that its own becomes; one alone is no tuple."""
    wanted = [shape(np.shape(x)) for x in arrays]
    parts = tuple(x if np.shape(x) == s else np.reshape(x, s) for x, s in zip(arrays, wanted, strict=True))
    return parts[0] if len(parts) == 1 else parts


def side_by_side(parts: list[Any]) -> Any:
    """Joined along the second axis; vectors along their only one."""
    return np.concatenate(parts, min(1, parts[0].ndim - 1) if parts else 0)


def half_rolled(x: Any, axes: Any, sign: int) -> Any:
    """Axes rolled by half of their size."""
    along = as_tuple(plain_axis("fftshift", axes), np.ndim(x))
    check_axes("fftshift", np.ndim(x), along)
    return np.roll(x, tuple(sign * (np.shape(x)[i] // 2) for i in along), along)


def copies(a: Any, place: int, axis: int, count: int) -> Any:
    """So many of what lies along a new axis at a place, which becomes one with the axis."""
    wide, shape = np.expand_dims(a, place), list(np.shape(a))
    wide = np.broadcast_to(wide, (*wide.shape[:place], count, *wide.shape[place + 1 :]))
    shape[axis] *= count
    return np.reshape(wide, tuple(shape))


@composed("np.repeat({0}, {1}, {2})", (Shape(3), 2, None), (Shape(2, 3), 2, 1), (Shape(2, 3), (1, 0, 2), -1), (Shape(), 3, None), (Shape(0, 2), 2, 0))  # fmt: skip
def repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    """Each element so many times, one after the other: one count for all, or one for each along the axis."""
    a, axis = axis_or_flat("repeat", a, axis)
    counts = ints("repeat", "repeats", repeats)
    if len(counts) == 1:
        return copies(a, axis + 1, axis, counts[0])
    return a[(*(slice(None),) * axis, np.repeat(np.arange(np.shape(a)[axis]), counts))]


@composed("np.tile({0}, {1})", (Shape(3), 2), (Shape(2, 3), (2, 1)), (Shape(2), (2, 2, 1)), (Shape(), 3), (Shape(2, 2), 2))  # fmt: skip
def tile(a: Any, reps: Any) -> Any:
    """The whole tensor so many times along each axis."""
    counts = ints("tile", "reps", reps)
    a = np.reshape(a, (1,) * (len(counts) - np.ndim(a)) + np.shape(a))
    for axis, count in enumerate(counts, np.ndim(a) - len(counts)):
        a = copies(a, axis, axis, count)
    return a


@composed("np.rot90({0}, {1}, {2})", (Shape(2, 3), 1, (0, 1)), (Shape(2, 3), 2, (0, 1)), (Shape(2, 3), -1, (1, 0)), (Shape(2, 3, 2), 4, (0, -1)))  # fmt: skip
def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    """Quarter turns from the first of two axes towards the second."""
    k, (first, second) = one_int("rot90", "k", k) % 4, ints("rot90", "axes", axes)
    check_axes("rot90", np.ndim(m), (first, second))
    turned = np.flip(m, [(), (second,), (first, second), (first,)][k])
    return np.swapaxes(turned, first, second) if k % 2 else turned


@composed("np.rollaxis({0}, {1}, {2})", (Shape(2, 3, 2), 2, 0), (Shape(2, 3, 2), 0, 2), (Shape(2, 3, 2), -1, -2), (Shape(2, 3), 0, 2))  # fmt: skip
def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    """One axis moved to before another."""
    axis, place, ndim = one_axis("rollaxis", axis, a), one_int("rollaxis", "start", start), np.ndim(a)
    if not -ndim <= place <= ndim:
        raise ShapeError(f"rollaxis: start {place} out of range, allowed {-ndim}..{ndim}")
    place += ndim * (place < 0)
    return np.moveaxis(a, axis, place - (axis < place))


@composed("np.take({0}, {1}, {2})", (Shape(2, 3), np.array([[5, 0], [0, -1]]), None), (Shape(2, 3), np.array([2, 2, 0]), 1), (Shape(3), 1, None))  # fmt: skip
def take(a: Any, indices: Any, axis: Any = None) -> Any:
    """The elements, or along an axis what lies there, at integer places."""
    a, axis = axis_or_flat("take", a, axis)
    indices = indices if isinstance(indices, Node) else np.asarray(indices)
    if indices.dtype.kind not in "iu":  # as an index, a mask would be another thing
        raise IndexingError(f"take: indices must be ints, got {indices.dtype}")
    place = indices if isinstance(indices, Node) or indices.ndim else int(indices)
    return at(a, (*(slice(None),) * axis, place))


@composed(
    "np.diff({0}, {1}, {2})", (Shape(5), 1, -1), (Shape(3, 2), 2, 0), (Shape(2), 2, 0), (Shape(3), 0, 0)
)
def diff(a: Any, n: int = 1, axis: int = -1) -> Any:
    """Each element less the one before it along an axis; n times."""
    a = a if isinstance(a, Node) else plain(a, "diff")
    lead = (slice(None),) * one_axis("diff", axis, a)
    if one_int("diff", "n", n) < 0:
        raise ShapeError(f"diff: n is a count >= 0, got {n}")
    for _ in range(n):
        a = subtract(a[(*lead, slice(1, None))], a[(*lead, slice(None, -1))])
    return a


@composed("np.linspace({0}, {1}, {2})", (Shape(), Shape(), 5), (Shape(2), Shape(), 4), (Shape(), Shape(2), 1))
def linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True) -> Any:
    """So many numbers from start to stop at equal distances."""
    width = multiply(subtract(stop, start), 1.0)
    steps = one_int("linspace", "num", num) - bool(endpoint)
    if num < 0:
        raise ShapeError(f"linspace: num is a count >= 0, got {num}")
    count = np.arange(num, dtype=width.dtype).reshape(-1, *(1,) * width.ndim)
    y = count * (width / steps if steps > 0 else width) + start
    last: Any = stop if isinstance(stop, Node) else np.asarray(stop, width.dtype)
    return np.concatenate([y[:-1], np.broadcast_to(last, width.shape)[None]]) if endpoint and num > 1 else y


@composed("np.inner({0}, {1})", *PAIRS[:1], (Shape(2, 3), Shape(2, 3)), (Shape(2, 2, 3), Shape(3)), (Shape(2), Shape(2, 2, 2)), (Shape(), Shape(2)))  # fmt: skip
def inner(a: Any, b: Any) -> Any:
    """Products summed over the last axes of both."""
    m, n = np.shape(a), np.shape(b)
    if not m or len(n) < 2:
        return np.dot(a, b)
    if m[-1] != n[-1]:
        raise ShapeError(f"inner: {m} and {n}: the last axes have sizes {m[-1]} and {n[-1]}")
    return np.reshape(a @ np.transpose(np.reshape(b, (math.prod(n[:-1]), n[-1]))), (*m[:-1], *n[:-1]))


@composed("np.kron({0}, {1})", (Shape(2, 3), Shape(2, 2)), (Shape(2), Shape(3)), (Shape(2), Shape(2, 2)), (Shape(), Shape(2)))  # fmt: skip
def kron(a: Any, b: Any) -> Any:
    """A copy of b, times the element, in place of every element of a."""
    ndim = max(np.ndim(a), np.ndim(b))
    a, b = (np.reshape(x, (1,) * (ndim - np.ndim(x)) + np.shape(x)) for x in (a, b))
    wide = np.expand_dims(a, tuple(range(1, 2 * ndim, 2))) * np.expand_dims(b, tuple(range(0, 2 * ndim, 2)))
    return np.reshape(wide, tuple(map(operator.mul, a.shape, b.shape)))


@composed("np.cross({0}, {1})", PAIRS[0], (Shape(2, 3), Shape(3)), (Shape(2, 1, 3), Shape(2, 3)))
@in_float32
def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: Any = None) -> Any:
    """The cross product of vectors of 3 elements."""
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis,) * 3
    a, b = np.moveaxis(a, axisa, -1), np.moveaxis(b, axisb, -1)
    if (a.shape[-1], b.shape[-1]) != (3, 3):
        raise ShapeError(f"cross: vectors need 3 elements, got {a.shape[-1]} and {b.shape[-1]}")
    turns = ((1, 2), (2, 0), (0, 1))
    parts = [a[..., i] * b[..., k] - a[..., k] * b[..., i] for i, k in turns]
    return np.moveaxis(np.stack(parts, -1), -1, axisc)


@composed(
    "np.median({0}, {1})", (Shape(5), None), (Shape(2, 4), 1), (Shape(3, 2), 0), (Shape(2, 3, 2), (0, 2))
)
def median(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The middle element in ascending order, the mean of two where their number is even; nan if one is."""
    axis, n = checked_count("median", a, axis)
    along = as_tuple(axis, np.ndim(a))
    last = np.moveaxis(a, along, tuple(range(-len(along), 0)))
    rows = np.sort(np.reshape(last, (*np.shape(last)[: np.ndim(a) - len(along)], n)), -1)
    largest = rows[..., -1]
    y = np.where(np.isnan(largest), largest, mean(rows[..., (n - 1) // 2 : n // 2 + 1], -1))
    return np.expand_dims(y, along) if keepdims else y


@composed("np.average({0}, {1}, {2})", (Shape(3, 2), None, Shape(3, 2)), (Shape(2, 3), 1, Shape(3)), (Shape(2, 3), 0, None), domain=(0.5, 2.0))  # fmt: skip
@in_float32
def average(a: Any, axis: Any = None, weights: Any = None, keepdims: bool = False) -> Any:
    """The sum of weights times elements, divided by that of the weights; without them, the mean."""
    if weights is None:
        return mean(a, axis, keepdims)
    shape, axis = np.shape(a), plain_axis("average", axis, a)
    if np.shape(weights) != shape:
        along = tuple(i % len(shape) for i in as_tuple(axis, len(shape)))
        if axis is None or np.shape(weights) != tuple(shape[i] for i in along):
            raise ShapeError(f"average: weights of {np.shape(weights)} for axis={axis} of shape {shape}")
        weights = np.transpose(weights, tuple(map(int, np.argsort(along))))
        weights = np.reshape(weights, [n if i in along else 1 for i, n in enumerate(shape)])
    return sum(multiply(a, weights), axis, keepdims) / sum(weights, axis, keepdims)
