"""The table, part 5: taking elements out, and putting them back: each is the other's derivative."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Array, Call, Kink, Node
from tinygrad_lo.engine.machine.arguments import foreign, from_nested, shape_of
from tinygrad_lo.engine.machine.axes import as_tuple, check_axes, plain_axis
from tinygrad_lo.engine.machine.hooks import leave
from tinygrad_lo.engine.ops.reductions import row_starts
from tinygrad_lo.engine.ops.registry import Shape, composed, op
from tinygrad_lo.engine.ops.shapes import axis_or_flat
from tinygrad_lo.errors import IndexingError, ShapeError, UnsupportedError
from tinygrad_lo.options import is_whole


def plain_index(index: Any) -> Any:
    """An index as NumPy takes it: tensors of ints or bools as arrays, lists as arrays."""
    return tuple(map(plain_part, index)) if isinstance(index, tuple) else plain_part(index)


def plain_part(index: Any) -> Any:
    """One part of an index; what NumPy would make an array of is made one here, so that repeats show."""
    if isinstance(index, Node):
        leave("a mask as an index (how much it takes is unknown; write np.where or multiply by it)", index)
        return index.value
    if index is None or index is Ellipsis or isinstance(index, (int, slice, np.generic, ndarray, str, float)):
        return index
    found = from_nested(index, "index") if isinstance(index, (list, tuple)) else np.asarray(index)
    return found.astype(np.intp) if found.size == 0 else found


class Slot(int):
    """The place of an index array in an index: number 0, 1, ... of those that are inputs."""


def at(x: Any, index: Any) -> Any:
    """`x[index]` as users write it; tensors of ints among the indices are inputs of the op, as labels are."""
    parts = index if isinstance(index, tuple) else (index,)
    inputs = [part for part in parts if isinstance(part, Node) and part.value.dtype.kind in "iu"]
    if not inputs:
        return getitem(x, plain_index(index))
    # An array of ints beside them becomes an input too, so that all are written down in one way.
    slots = [part for part in map(plain_int_array, parts) if part is not None]
    numbers = iter(range(len(slots)))
    pattern = tuple(plain_part(p) if plain_int_array(p) is None else Slot(next(numbers)) for p in parts)
    return gather(x, *slots, pattern)


def plain_int_array(part: Any) -> Any:
    """A part of an index that is an array or tensor of ints, or None."""
    data = part.value if isinstance(part, Node) else part
    return part if isinstance(data, (ndarray, np.integer)) and data.dtype.kind in "iu" else None


def filled_in(pattern: tuple[Any, ...], arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """The index with the arrays in their slots."""
    return tuple(arrays[part] if type(part) is Slot else part for part in pattern)


def refuse_index(error: Exception, x: Array, index: Any) -> Exception | None:
    text = str(error)
    shape = np.shape(x)
    parts = index if isinstance(index, tuple) else (index,)
    if "too many indices" in text:
        count = sum(i is not None and i is not Ellipsis for i in parts)
        return IndexingError(f"too many indices: {count} for shape {shape}")
    if "only integers" in text or "must be of integer" in text:
        odd = next((i for i in parts if isinstance(i, str) or np.asarray(i).dtype.kind == "f"), index)
        text = f"an index is an int, a slice, None, '...', or an array of ints or bools, not {odd!r}"
    text = text.replace("is out of bounds for axis", "out of range for axis").replace("with size", "of size")
    return IndexingError(f"{text} (shape {shape})")


def getitem_forward(x: Array, index: Any) -> Array:
    try:
        return x[index][()]
    except NotImplementedError as error:  # Dask's, of several integer arrays at once
        raise UnsupportedError(f"indexing: a lazy array of shape {x.shape} refuses: {error}") from error


getitem = op("getitem", getitem_forward,
             options=True, refuse=refuse_index,
             spelling="{0}[{1}]", symbol="{0}[{1}]", kind="moves",
             probability="keeps", about="Elements by slices, integers, integer arrays, masks, None and '...'.",
             samples=((Shape(3, 4), (slice(None, None, -2), 1)), (Shape(5), np.array([0, 2, 2, -1])),
                      (Shape(3, 4), (Ellipsis, None, np.array([[0, 1], [3, 3]]))), (Shape(2, 3), 1), (Shape(3), 2),
                      (Shape(2, 2), np.array([[True, False], [True, True]])), (Shape(0, 3), slice(None)), (Shape(), ())),
             rules=(lambda g, y, x, index: scatter(g, x.shape, index),))  # fmt: skip


def scatter_forward(g: Array, shape: tuple[int, ...], index: Any) -> Array:
    parts = index if isinstance(index, tuple) else (index,)
    if type(g) is not ndarray and foreign(g):
        return padded(g, shape, parts)
    if any(isinstance(i, ndarray) and i.dtype.kind in "iu" for i in parts):
        out = np.zeros(shape, np.promote_types(g.dtype, np.float32))  # float16 stops counting at 2048
        np.add.at(out, index, g)  # an element taken twice gets two gradients
        return out.astype(g.dtype, copy=False)[()]
    out = np.zeros(shape, g.dtype)
    out[index] = g
    return out[()]


def padded(g: Array, shape: tuple[int, ...], parts: tuple[Any, ...]) -> Array:
    """Scatter for lazy arrays, which writing into zeros would compute: ints and slices only need a pad."""
    at = next((i for i, part in enumerate(parts) if part is Ellipsis), len(parts))
    named = sum(part is not None and part is not Ellipsis for part in parts)
    parts = (*parts[:at], *(slice(None),) * (len(shape) - named), *parts[at + 1 :])
    sizes = iter(shape)
    view: list[Any] = []  # gives g the axes of the result, and turns back what was reversed
    widths = []
    for part in parts:
        if part is None:
            view.append(0)
            continue
        taken = range(next(sizes))
        n = len(taken)
        if isinstance(part, slice) and part.step in (None, 1, -1):
            view.append(slice(None, None, part.step))
            taken = taken[part]
        elif is_whole(part):
            view.append(None)
            taken = taken[int(part) :][:1]
        else:
            raise UnsupportedError(
                f"scatter: the gradient of indexing by {part!r} would compute a lazy array of shape {shape}; "
                f"index it by ints and slices of step 1 or -1, or pass x.compute()"
            )
        first = min(taken, default=0)
        widths.append((first, n - first - len(taken)))
    if 0 in g.shape:  # Dask's pad divides by the size
        return np.zeros_like(g, shape=shape)
    return np.pad(g[tuple(view)], widths)


scatter: Call = op("scatter", scatter_forward, options=True,
             spelling="scatter({0}, {1}, {2})", symbol="scatter {0}", fresh=True, kind="moves",
             about="Zeros with the values added at an index: the derivative of taking them.",
             samples=((Shape(2), (3, 4), (slice(None, None, -2), 1)), (Shape(4), (5,), np.array([0, 2, 2, -1])),
                      (Shape(), (3,), 2), (Shape(3), (2, 2), np.array([[True, False], [True, True]]))),
             rules=(lambda h, y, g, shape, index: getitem(h, index),))  # fmt: skip


ROWS, BOTH = (Slot(0),), (Slot(0), slice(None), Slot(1))

gather: Call = op("gather", lambda x, *more: getitem_forward(x, filled_in(more[-1], more[:-1])), arity=None,
            refuse=lambda error, x, *more: refuse_index(error, x, filled_in(more[-1], more[:-1])),
            rules=(lambda i, g, y, x, *more: regather(g, *more[:-1], (x.shape, more[-1])),),
            spelling="gather({0}, {1})", symbol="{0}[{1}]", kind="moves",
            probability="keeps", about="Elements at indices that are inputs: other indices, other elements.",
            samples=((Shape(4, 3), np.array([0, 2, 2, -1]), ROWS), (Shape(5), np.array([[0, 4], [1, 1]]), ROWS),
                     (Shape(3, 2, 4), np.array([0, 2]), np.array([3, -1]), BOTH)))  # fmt: skip

regather: Call = op("regather", lambda g, *more: scatter_forward(g, more[-1][0], filled_in(more[-1][1], more[:-1])), arity=None,
              rules=(lambda i, h, y, g, *more: gather(h, *more[:-1], more[-1][1]),),
              spelling="regather({0}, {1})", symbol="scatter {0}", fresh=True, kind="moves",
              about="Zeros with elements added at indices: the derivative of taking them.",
              samples=((Shape(4, 3), np.array([0, 2, 2, -1]), ((4, 3), ROWS)), (Shape(2, 2), np.array([[0, 4], [1, 1]]), ((5,), ROWS)),
                       (Shape(2, 2), np.array([0, 2]), np.array([3, -1]), ((3, 2, 4), BOTH))))  # fmt: skip


@composed("np.flip({0}, {1})", (Shape(2, 3), None), (Shape(2, 3), 0), (Shape(2, 3, 2), (0, -1)))
def flip(x: Any, axis: Any = None) -> Any:
    """The order of elements reversed along the axes."""
    ndim = len(shape_of(x))
    axes = as_tuple(plain_axis("flip", axis), ndim)
    check_axes("flip", ndim, axes)
    turned = {i % ndim for i in axes}
    return getitem(x, tuple(slice(None, None, -1 if i in turned else None) for i in range(ndim)))


@composed("np.take_along_axis({0}, {1}, {2})", (Shape(2, 3), np.array([[2, 0, 2], [1, 1, 1]]), 1),
          (Shape(3, 2), np.array([[2, 0]]), 0), (Shape(4), np.array([3, 0]), None))  # fmt: skip
def take_along_axis(x: Any, indices: Any, axis: Any = -1) -> Any:
    """For each position, the element that an index names along one axis."""
    indices = indices if isinstance(indices, Node) else np.asarray(plain_index(indices))
    axis = plain_axis("take_along_axis", axis)
    if axis is None:
        if indices.ndim != 1:
            raise ShapeError(
                f"take_along_axis: axis=None flattens x, so indices must have 1 axis, got shape {indices.shape}; "
                f"flatten them too, or give an axis"
            )
        return at(x.reshape(-1), indices)
    ndim = len(shape_of(x))
    check_axes("take_along_axis", ndim, (axis,))
    if indices.ndim != ndim or indices.dtype.kind not in "iu":
        got = f"got {indices.dtype} of shape {indices.shape}"
        raise ShapeError(f"take_along_axis: indices must be ints with {ndim} axes like x, {got}")
    axis %= ndim
    index = list(np.ix_(*(np.arange(n) for n in shape_of(x))))
    index[axis] = indices
    return at(x, tuple(index))


def order_of(by: Array, axis: int) -> Array:
    """The positions that sort `by`. Stable: of equals, the first stays the first."""
    return np.argsort(by, axis=axis, kind="stable")


def sort_by_forward(x: Array, by: Array, axis: int) -> Array:
    if foreign(x) or foreign(by):
        raise UnsupportedError(
            f"sort: the order of a lazy array of shape {np.shape(by)} is not known before it is computed; "
            f"pass x.compute(), or np.max and np.min if the extremes are enough"
        )
    return np.take_along_axis(x, order_of(by, axis), axis)


def unsort_forward(g: Array, by: Array, axis: int) -> Array:
    out = np.empty(g.shape, g.dtype)
    np.put_along_axis(out, order_of(by, axis), g, axis)
    return out


def in_ties(y: Array, x: Array, by: Array, axis: int) -> Array:
    ties = np.zeros(y.shape, bool)
    if x is by:  # sorted by itself: the order of others does not move with x
        ends = np.moveaxis(ties, axis, -1)
        same = np.diff(np.moveaxis(y, axis, -1)) == 0
        ends[..., 1:] |= same
        ends[..., :-1] |= same
    return ties


# The order is found from `by` wherever it is needed, never kept as an index: so a recorded graph that
# is run again on other numbers sorts those.
sort_by = op("sort_by", sort_by_forward,
             spelling="np.take_along_axis({0}, np.argsort({1}, {2}, kind='stable'), {2})",
             symbol="sort {0} by {1}", fresh=True, kind="moves",
             about="Elements in the order that sorts others of the same shape; no gradient to those.", kink=Kink(in_ties),
             samples=((Shape(4), np.array([2.0, -1.0, 2.0, 0.0]), 0), (Shape(2, 3), np.array([[3, 1, 2], [1, 2, 0]]), 1),
                      (Shape(3, 2), np.array([[0.5, 1.0], [0.1, 1.0], [0.3, -1.0]]), 0), (Shape(0, 3), np.zeros((0, 3)), 0)),
             rules=(lambda g, y, x, by, axis: unsort(g, by, axis),
                    None,
                    None))  # fmt: skip

unsort: Call = op("unsort", unsort_forward,
            spelling="np.take_along_axis({0}, np.argsort(np.argsort({1}, {2}, kind='stable'), {2}), {2})",
            symbol="unsort {0} by {1}", fresh=True, kind="moves",
            about="Elements put back to where sorting others took them from: the derivative of sort_by.",
            samples=((Shape(4), np.array([2.0, -1.0, 2.0, 0.0]), 0), (Shape(2, 3), np.array([[3, 1, 2], [1, 2, 0]]), 1)),
            rules=(lambda h, y, g, by, axis: sort_by(h, by, axis),
                   None,
                   None))  # fmt: skip


@composed("np.sort({0}, {1})", (Shape(5), -1), (Shape(3, 4), 0), (Shape(2, 3, 4), -2), (Shape(2, 3), None),
          (Shape(), None), (Shape(0, 3), 1))  # fmt: skip
def sort(x: Any, axis: Any = -1) -> Any:
    """The elements in ascending order along an axis; of equals, the first stays the first."""
    x, axis = axis_or_flat("sort", x, axis)
    return sort_by(x, x, axis)


def places(y: Array, classes: int) -> Array:
    """Where each row's label lies in the flat array of scores."""
    if y.dtype.kind == "u":
        y = y.astype(np.intp)  # uint64 + int64 would be float64
    return row_starts(y.size, classes) + (y if y.ndim == 1 else y.reshape(-1))


def columns_of(y: Array, classes: int) -> Array:
    """The classes in order, as an array of the labels' library: CuPy's do not mix with NumPy's."""
    return np.arange(classes, like=y) if foreign(y) else np.arange(classes)


def pick_forward(s: Array, y: Array) -> Array:
    classes = s.shape[-1]
    if type(s) is ndarray and type(y) is ndarray:
        return s.reshape(-1).take(places(y, classes)).reshape((*y.shape, 1))
    # Gathers would silently compute a lazy array; a masked sum stays lazy.
    return np.sum(np.where(y[..., None] == columns_of(y, classes), s, 0), axis=-1, keepdims=True)


def put_forward(g: Array, y: Array, classes: int) -> Array:
    if type(g) is ndarray and type(y) is ndarray:
        out = np.zeros((*y.shape, classes), g.dtype)
        out.reshape(-1)[places(y, classes)] = g.reshape(-1)
        return out
    return np.where(y[..., None] == columns_of(y, classes), g, 0)


def refuse_pick(error: Exception, s: Array, y: Array, *rest: Any) -> Exception | None:
    return ShapeError(f"pick: labels of shape {np.shape(y)} do not name one element a row of {np.shape(s)}")


pick = op("pick", pick_forward, refuse=refuse_pick,
          spelling="np.take_along_axis({0}, {1}[..., None], -1)", symbol="{0}[i, yᵢ]", fresh=True, kind="moves",
          probability="keeps", about="From each row the element at its label, as a column; labels are in range.",
          samples=((Shape(3, 4), np.array([0, 3, 1])), (Shape(2, 2, 3), np.array([[0, 1], [2, 2]])), (Shape(3), np.array(1)), (Shape(0, 3), np.zeros(0, int))),
          rules=(lambda g, out, s, y: put(g, y, s.shape[-1]),
                 None))  # fmt: skip

put: Call = op("put", put_forward, refuse=refuse_pick,
         spelling="np.where({1}[..., None] == np.arange({2}), {0}, 0)", symbol="put {0} at yᵢ", fresh=True, kind="moves",
         about="Rows of zeros with a value at each label: the derivative of picking it.",
         samples=((Shape(3, 1), np.array([0, 3, 1]), 4), (Shape(2, 2, 1), np.array([[0, 1], [2, 2]]), 3)),
         rules=(lambda h, out, g, y, classes: pick(h, y),
                None,
                None))  # fmt: skip


Sizes = tuple[int, ...]


def positions(n: int, size: int, stride: int, dilation: int) -> int:
    """How many places a window of this size has on an axis of n elements."""
    return (n - dilation * (size - 1) - 1) // stride + 1


def windows_forward(x: Array, size: Sizes, stride: Sizes, dilation: Sizes) -> Array:
    first = x.ndim - len(size)
    sizes = zip(x.shape[first:], size, stride, dilation, strict=True)
    counts = [positions(n, k, s, d) for n, k, s, d in sizes]
    between = [step * s for step, s in zip(x.strides[first:], stride, strict=True)]
    inside = [step * d for step, d in zip(x.strides[first:], dilation, strict=True)]
    shape = (*x.shape[:first], *counts, *size)
    strides = (*x.strides[:first], *between, *inside)
    return np.lib.stride_tricks.as_strided(x, shape, strides, writeable=False)


def fold_forward(g: Array, shape: Sizes, size: Sizes, stride: Sizes, dilation: Sizes) -> Array:
    # One strided addition for each place inside the window, never one for each window.
    out = np.zeros(shape, np.promote_types(g.dtype, np.float32))
    counts = g.shape[g.ndim - 2 * len(size) : g.ndim - len(size)]
    for place in np.ndindex(*size):
        corners = zip(place, counts, stride, dilation, strict=True)
        covered = [slice(d * k, d * k + s * (n - 1) + 1, s) for k, n, s, d in corners]
        out[..., *covered] += g[..., *place]  # type: ignore[arg-type]
    return out.astype(g.dtype, copy=False)


_windows = op("windows", windows_forward, options=True,
              spelling="windows({0}, {1}, {2}, {3})", symbol="windows of {0}", kind="moves",
              about="All windows of a size over the last axes, as new last axes.",
              samples=((Shape(2, 5), (3,), (2,), (1,)), (Shape(1, 5, 6), (2, 3), (2, 1), (1, 2)), (Shape(4, 4), (4, 4), (1, 1), (1, 1))),
              rules=(lambda g, y, x, size, stride, dilation: _fold(g, x.shape, size, stride, dilation),))  # fmt: skip

_fold: Call = op("fold", fold_forward, options=True,
           spelling="fold({0}, {1}, {2}, {3}, {4})", symbol="fold {0}", fresh=True, kind="moves",
           about="Windows added back to where they came from: the derivative of taking them.",
           samples=((Shape(2, 2, 3), (2, 5), (3,), (2,), (1,)), (Shape(1, 2, 2, 2, 3), (1, 5, 6), (2, 3), (2, 1), (1, 2))),
           rules=(lambda h, y, g, shape, size, stride, dilation: _windows(h, size, stride, dilation),))  # fmt: skip


def unfold_forward(x: Array, size: Sizes, stride: Sizes, dilation: Sizes) -> Array:
    # Places innermost: every copy, there and back, runs along a row of the image, not of a small window.
    patches = _windows(x, size, stride, dilation).transpose((0, 1, 4, 5, 2, 3))
    n, channels, kh, kw, oh, ow = patches.shape
    return patches.reshape((n, channels * kh * kw, oh * ow))


def unfold_rule(g: Array, y: Array, x: Array, size: Sizes, stride: Sizes, dilation: Sizes) -> Array:
    counts = [positions(*of_axis) for of_axis in zip(x.shape[2:], size, stride, dilation, strict=True)]
    patches = g.reshape((*x.shape[:2], *size, *counts)).transpose((0, 1, 4, 5, 2, 3))
    return _fold(patches, x.shape, size, stride, dilation)


unfold = op("unfold", unfold_forward, (unfold_rule,), options=True, composite=True,
            spelling="unfold({0}, {1}, {2}, {3})", symbol="columns of {0}", kind="moves",
            about="All windows of images (N, C, H, W) as columns: (N, C · cells, places).",
            samples=((Shape(2, 2, 4, 5), (2, 3), (2, 1), (1, 1)), (Shape(1, 2, 5, 4), (2, 2), (1, 2), (2, 1))))  # fmt: skip


def windows(x: Any, size: tuple[int, ...], stride: Any = 1, dilation: Any = 1) -> Any:
    """All windows of `size` over the last axes of x: (..., n1, n2) -> (..., m1, m2, k1, k2).

    Step by `stride` from window to window, by `dilation` from element to element inside one.
    """
    shape = shape_of(x)
    count = len(size)
    steps = [(value,) * count if isinstance(value, int) else tuple(value) for value in (stride, dilation)]
    if not 0 < count <= len(shape) or any(len(step) != count for step in steps):
        raise ShapeError(f"windows: sizes {size}, stride {stride}, dilation {dilation} for shape {shape}")
    for n, k, s, d in zip(shape[-count:], size, *steps, strict=True):
        if min(k, s, d) < 1 or positions(n, k, s, d) < 1:
            window = f"a window of {k} (stride {s}, dilation {d})"
            raise ShapeError(f"windows: {window} does not fit into {n} elements; shape {shape}")
    return _windows(x, tuple(size), *steps)
