"""The table, part 4: the same values in another arrangement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_lo.engine.backward import unbroadcast
from tinygrad_lo.engine.graph import Array, Node
from tinygrad_lo.engine.machine.arguments import plain, shape_of
from tinygrad_lo.engine.machine.axes import (
    as_tuple,
    bad_axes,
    check_axes,
    dropped,
    ints,
    one_axis,
    plain_axis,
    plain_shape,
)
from tinygrad_lo.engine.ops.elementwise import number
from tinygrad_lo.engine.ops.registry import Shape, composed, op
from tinygrad_lo.errors import DTypeError, ShapeError, UnsupportedError


def refuse_reshape(error: Exception, x: Array, shape: tuple[int, ...]) -> Exception | None:
    if shape.count(-1) > 1:
        return ShapeError(f"reshape: only one -1 can be inferred, got {shape}")
    size = math.prod(shape)
    wanted = size if size >= 0 else f"a multiple of {-size}"
    return ShapeError(f"reshape: cannot reshape {np.size(x)} elements into {shape} = {wanted}")


_reshape = op("reshape", lambda x, shape: x.reshape(shape)[()], options=True, refuse=refuse_reshape,
              spelling="np.reshape({0}, {1})", symbol="reshape {0}", scalar="{0}", kind="moves",
              probability="keeps", about="The same elements, row by row, in another shape; one size may be -1.",
              samples=((Shape(2, 6), (3, 4)), (Shape(2, 3), (-1,)), (Shape(), (1, 1)), (Shape(1), ()), (Shape(0, 3), (3, 0))),
              rules=(lambda g, y, x, shape: g.reshape(x.shape),))  # fmt: skip


def reshape(x: Any, *shape: Any) -> Any:
    """`np.reshape(x, shape)`, the shape as one tuple or as several numbers."""
    return _reshape(x, plain_shape("reshape", shape))


@composed("np.ravel({0})", (Shape(2, 3),), (Shape(),))
def flatten(x: Any) -> Any:
    """All elements in one row."""
    return reshape(x, (math.prod(shape_of(x)),))


def axis_or_flat(who: str, x: Any, axis: Any) -> tuple[Any, int]:
    """What a function along one axis works on: x and its axis from 0 up, or with None x flattened."""
    x = x if isinstance(x, Node) else plain(x, who)
    if axis is None:
        return (x if len(shape_of(x)) == 1 else flatten(x)), 0
    return x, one_axis(who, axis, x)


@composed("np.expand_dims({0}, {1})", (Shape(2, 3), 0), (Shape(2, 3), -1), (Shape(3), (0, 2)), (Shape(), 0))
def expand_dims(x: Any, axis: Any) -> Any:
    """New axes of size 1 at the given places."""
    axis = plain_axis("expand_dims", axis)
    if axis is None:
        raise DTypeError("expand_dims: axis must be an int or a tuple of ints, got None")
    axes = axis if isinstance(axis, tuple) else (axis,)
    ndim = len(shape_of(x)) + len(axes)
    check_axes("expand_dims", ndim, axes)
    new_axes = {i % ndim for i in axes}
    sizes = iter(shape_of(x))
    return _reshape(x, tuple(1 if i in new_axes else next(sizes) for i in range(ndim)))


@composed("np.squeeze({0}, {1})", (Shape(2, 1, 3), 1), (Shape(1, 3, 1), None), (Shape(1, 3, 1), (0, -1)))
def squeeze(x: Any, axis: Any = None) -> Any:
    """Without the axes of size 1, or without the given ones, which must have size 1."""
    shape = shape_of(x)
    axis = plain_axis("squeeze", axis)
    if axis is None:
        axis = tuple(i for i, n in enumerate(shape) if n == 1)
    axes = as_tuple(axis, len(shape))
    check_axes("squeeze", len(shape), axes)
    for i in axes:
        if shape[i] != 1:
            raise ShapeError(f"squeeze: axis {i} has size {shape[i]}, not 1 (shape {shape})")
    return _reshape(x, dropped(shape, axes))


def transpose_rule(g: Array, y: Array, x: Array, axes: tuple[int, ...] | None) -> Array:
    if axes is None:
        return np.transpose(g)
    ndim = len(axes)
    axes = tuple(i % ndim for i in axes)
    return np.transpose(g, tuple(axes.index(i) for i in range(ndim)))


def refuse_transpose(error: Exception, x: Array, axes: tuple[int, ...] | None) -> Exception | None:
    axes = axes or ()
    return bad_axes("transpose", np.ndim(x), axes) or ShapeError(
        f"transpose: {len(axes)} axes given for shape {np.shape(x)}; name every axis once"
    )


_transpose = op("transpose", lambda x, axes: np.transpose(x, axes)[()], (transpose_rule,), options=True,
                refuse=refuse_transpose, spelling="np.transpose({0}, {1})", symbol="{0}ᵀ", kind="moves",
                probability="keeps", about="The axes in another order; reversed when none is given.",
                samples=((Shape(2, 3), None), (Shape(2, 3, 4), (1, 2, 0)), (Shape(2, 3, 4), (-1, 0, 1)), (Shape(), None)))  # fmt: skip


def transpose(x: Any, *axes: Any) -> Any:
    """`np.transpose(x, axes)`, the axes as one tuple, as several ints, or none: reversed."""
    order = None if not axes or axes == (None,) else plain_shape("transpose", axes)
    return _transpose(x, order)


@composed("np.swapaxes({0}, {1}, {2})", (Shape(2, 3, 4), 0, -1), (Shape(2, 3), 0, 1))
def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Two axes exchanged."""
    ndim = len(shape_of(x))
    order = list(range(ndim))
    check_axes("swapaxes", ndim, (axis1,), (axis2,))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return _transpose(x, tuple(order))


@composed("np.moveaxis({0}, {1}, {2})", (Shape(2, 3, 4), 0, -1), (Shape(2, 3, 4), (0, 1), (1, 2)))
def moveaxis(x: Any, source: Any, destination: Any) -> Any:
    """Axes moved to other places, the rest in their order."""
    ndim = len(shape_of(x))
    sources, places = ints("moveaxis", "source", source), ints("moveaxis", "destination", destination)
    check_axes("moveaxis", ndim, sources, places)
    if len(sources) != len(places):
        raise ShapeError(f"moveaxis: {len(sources)} axes to {len(places)} places")
    moved = [i % ndim for i in sources]
    order = [i for i in range(ndim) if i not in moved]
    for place, axis in sorted(zip((i % ndim for i in places), moved, strict=True)):
        order.insert(place, axis)
    return _transpose(x, tuple(order))


_broadcast_to = op("broadcast_to", lambda x, shape: np.broadcast_to(x, shape)[()], options=True,
                   refuse=lambda error, x, shape: ShapeError(f"broadcast_to: shape {np.shape(x)} cannot be broadcast to {shape}"),
                   spelling="np.broadcast_to({0}, {1})", symbol="broadcast {0}", scalar="{0}",
                   probability="keeps", about="The value repeated along new axes and axes of size 1.",
                   samples=((Shape(3), (2, 3)), (Shape(2, 1), (2, 3)), (Shape(), (2, 2)), (Shape(1, 3), (0, 3)), (Shape(), ())),
                   rules=(lambda g, y, x, shape: unbroadcast(g, x.shape),))  # fmt: skip


def broadcast_to(x: Any, shape: Any) -> Any:
    """`np.broadcast_to`."""
    return _broadcast_to(x, plain_shape("broadcast_to", (shape,)))


def concatenate_rule(i: int, g: Array, y: Array, *inputs: Any) -> Array:
    *parts, axis = inputs
    axis %= y.ndim
    start = sum(part.shape[axis] for part in parts[:i])
    window = (*(slice(None),) * axis, slice(start, start + parts[i].shape[axis]))
    return g[window]


def refuse_concatenate(error: Exception, *inputs: Any) -> Exception | None:
    *parts, axis = inputs
    shapes = [np.shape(part) for part in parts]
    if not shapes:
        return ShapeError("concatenate: nothing to join; give at least one tensor")
    for shape in shapes:
        if len(shape) != len(shapes[0]):
            return ShapeError(f"concatenate: {shapes[0]} and {shape} have different numbers of axes")
    if problem := bad_axes("concatenate", len(shapes[0]), (axis,)):
        return problem
    for shape in shapes:
        for k, (m, n) in enumerate(zip(shapes[0], shape, strict=True)):
            if m != n and k != axis % len(shape):
                return ShapeError(f"concatenate: all axes except {axis} must match: {m} vs {n} on axis {k}")
    return None


_concatenate = op("concatenate", lambda *inputs: np.concatenate(inputs[:-1], inputs[-1]), (concatenate_rule,),
                  arity=None, refuse=refuse_concatenate,
                  spelling="np.concatenate({0}, {1})", symbol="join {0}", fresh=True, kind="moves",
                  about="Tensors one after the other along an axis; each gets its part of the gradient.",
                  samples=((Shape(2, 3), Shape(1, 3), 0), (Shape(2, 3), Shape(2, 2), Shape(2, 0), -1), (Shape(4), 0)))  # fmt: skip


def concatenate(tensors: Sequence[Any], axis: int | None = 0) -> Any:
    """`np.concatenate` of a sequence of tensors and arrays; axis=None flattens them first."""
    parts = sequence("concatenate", tensors)
    if axis is None:
        parts, axis = [flatten(part) for part in parts], 0
    return _concatenate(*parts, plain_axis("concatenate", axis))


collect = op("collect", lambda *inputs: np.array(inputs[:-1]), (lambda i, g, y, *inputs: g[i],), arity=None,
             spelling="np.array({0})", symbol="collect {0}", fresh=True, kind="moves",
             about="Numbers as a vector; each gets its element of the gradient.",
             samples=((Shape(), Shape(), Shape(), None), (Shape(), None)))  # fmt: skip


def sequence(who: str, tensors: Any) -> list[Any]:
    """The tensors to join, numbers among them as arrays; a single tensor stands for its rows."""
    if (isinstance(tensors, Node) and np.ndim(tensors.value) == 0) or isinstance(tensors, (str, int, float)):
        raise DTypeError(f"{who}: expected a sequence of tensors, got {type(tensors).__name__}")
    return [np.asarray(part) if isinstance(part, (int, float, list)) else part for part in tensors]


@composed("np.stack({0}, {1})", ([Shape(2, 3), Shape(2, 3)], 0), ([Shape(2), Shape(2), Shape(2)], -1),
          ([Shape(), Shape()], 0))  # fmt: skip
def stack(tensors: Sequence[Any], axis: int = 0) -> Any:
    """Tensors of one shape along a new axis."""
    parts = sequence("stack", tensors)
    for part in parts[1:]:
        if shape_of(part) != shape_of(parts[0]):
            raise ShapeError(f"stack: all shapes must be equal: {np.shape(parts[0])} and {np.shape(part)}")
    return concatenate([expand_dims(part, axis) for part in parts], axis)


_pad = op("pad", lambda x, widths, value: np.pad(x, widths, constant_values=value)[()], options=True,
          spelling="np.pad({0}, {1}, constant_values={2})", symbol="pad {0}", fresh=True, kind="moves",
          about="A border of a constant around the tensor.",
          samples=((Shape(2, 3), ((1, 0), (0, 2)), 0), (Shape(3), ((2, 2),), 1.5), (Shape(0, 2), ((1, 1), (0, 0)), 0)),
          rules=(lambda g, y, x, widths, value: g[tuple(slice(k, k + n) for (k, _), n in zip(widths, x.shape, strict=True))],))  # fmt: skip


def pad(x: Any, pad_width: Any, mode: str = "constant", *, constant_values: Any = 0) -> Any:
    """`np.pad` with a constant; pad_width is a number, (before, after), or a pair for each axis."""
    if mode != "constant":
        raise UnsupportedError(f"pad: only mode='constant' has a derivative rule here, got {mode!r}")
    ndim = len(shape_of(x))
    try:
        widths = np.broadcast_to(pad_width, (ndim, 2))
    except ValueError as error:
        what = f"pad: pad_width {pad_width!r} does not give (before, after) for each of {ndim} axes"
        raise ShapeError(what) from error
    if widths.dtype.kind not in "iu" or (widths < 0).any():
        raise ShapeError(f"pad: widths are ints >= 0, got {pad_width!r}")
    value = number("pad", "constant_values", constant_values)
    return _pad(x, tuple((int(before), int(after)) for before, after in widths), value)


@composed("np.roll({0}, {1}, {2})", (Shape(5), 2, None), (Shape(2, 3), -1, None), (Shape(2, 3), 4, 1),
          (Shape(2, 3), (1, 2), (0, -1)), (Shape(2, 3), 1, (0, 1)), (Shape(3), 0, 0), (Shape(), 1, None), (Shape(0, 3), 1, 0))  # fmt: skip
def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    """The elements moved on along axes, those that leave at the end coming in at the start."""
    a = a if isinstance(a, Node) else plain(a, "roll")
    shifts = ints("roll", "shift", shift)
    if axis is None and len(shape_of(a)) != 1:
        return reshape(rolled(flatten(a), sum(shifts), 0), shape_of(a))
    axis = 0 if axis is None else axis
    axes = [one_axis("roll", i, a) for i in (axis if isinstance(axis, (tuple, list)) else (axis,))]
    if len(shifts) != len(axes) and 1 not in (len(shifts), len(axes)):
        raise ShapeError(f"roll: {len(shifts)} shifts for {len(axes)} axes; give one, or one for each axis")
    for by, i in np.broadcast(shifts, axes):
        a = rolled(a, by, i)
    return a


def rolled(a: Any, shift: int, axis: int) -> Any:
    """The end of one axis moved before its start."""
    n = shape_of(a)[axis]
    cut = n - shift % n if n else 0
    return concatenate([a[(*(slice(None),) * axis, part)] for part in (slice(cut, None), slice(cut))], axis)


@composed("np.split({0}, {1}, {2})")
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """A list of parts along an axis: so many of equal size, or what lies between the indices."""
    return split_parts("split", ary, indices_or_sections, axis)


@composed("np.array_split({0}, {1}, {2})")
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Like split, for sections that do not divide, too: the first ones get one element more."""
    return split_parts("array_split", ary, indices_or_sections, axis)


def split_parts(who: str, ary: Any, cuts: Any, axis: Any) -> list[Any]:
    ary = ary if isinstance(ary, Node) else plain(ary, who)
    axis = one_axis(who, axis, ary)
    n = shape_of(ary)[axis]
    places = ints(who, "indices_or_sections", cuts)
    if np.ndim(cuts.value if isinstance(cuts, Node) else cuts) == 0:
        (sections,) = places
        if sections < 1:
            raise ShapeError(f"{who}: the number of sections must be 1 or more, got {sections}")
        each, more = divmod(n, sections)
        if more and who == "split":
            raise ShapeError(
                f"split: {n} elements on axis {axis} do not divide into {sections} equal sections "
                f"(shape {shape_of(ary)}); give the indices to cut at, or use np.array_split"
            )
        places = tuple(each * i + min(i, more) for i in range(1, sections))
    lead = (slice(None),) * axis
    return [ary[(*lead, slice(*ends))] for ends in zip((0, *places), (*places, None), strict=True)]
