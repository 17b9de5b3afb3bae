"""Axes, shapes and counts as users write them, and what a reduction makes of a shape."""

from __future__ import annotations

import functools
import math
import operator
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Array, Node
from tinygrad_lo.engine.machine.arguments import shape_of
from tinygrad_lo.engine.machine.hooks import leave
from tinygrad_lo.errors import DTypeError, ShapeError

Axis = int | tuple[int, ...] | None


def as_tuple(axis: Axis, ndim: int) -> tuple[int, ...]:
    """The axes that an axis argument names: None all of them."""
    if axis is None:
        return tuple(range(ndim))
    return (axis,) if isinstance(axis, int) else axis


def plain_axis(who: str, axis: Any, x: Any = None) -> Axis:
    """The axis argument as an int, a tuple of ints, or None; axis 0 of a number x, is ()."""
    if axis is None or type(axis) is int:
        return () if x is not None and axis in (0, -1) and shape_of(x) == () else axis
    if isinstance(axis, (tuple, list)):
        return tuple(plain_axis(who, i) for i in axis)
    if isinstance(axis, np.integer):
        return int(axis)
    raise DTypeError(f"{who}: axis must be an int, a tuple of ints or None, got {axis!r}")


def one_axis(who: str, axis: Any, x: Any) -> int:
    """The axis argument where there can be only one, as an int from 0 up."""
    found = plain_axis(who, axis)
    if not isinstance(found, int):
        raise DTypeError(f"{who}: axis must be one int, got {axis!r}")
    ndim = len(shape_of(x))
    check_axes(who, ndim, (found,))
    return found % ndim


def plain_shape(who: str, shape: tuple[Any, ...]) -> tuple[int, ...]:
    """A shape given as f(2, 3) or f((2, 3)), as a tuple of ints."""
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = tuple(shape[0])
    try:
        return tuple(operator.index(n) for n in shape)
    except TypeError as error:
        raise DTypeError(f"{who}: a shape is made of ints, got {shape}") from error


def ints(who: str, option: str, value: Any) -> tuple[int, ...]:
    """An int or a sequence of ints as a tuple of them."""
    leave(f"{who}: {option}", value)
    value = value.value if isinstance(value, Node) else value
    try:
        return tuple(operator.index(n) for n in ((value,) if np.ndim(value) == 0 else value))
    except TypeError as error:
        raise DTypeError(f"{who}: {option} must be an int or a sequence of ints, got {value!r}") from error


def one_int(who: str, option: str, value: Any) -> int:
    """An option that is one int."""
    numbers = ints(who, option, value)
    if np.ndim(value):
        raise DTypeError(f"{who}: {option} must be an int, got {value!r}")
    return numbers[0]


def bad_axes(name: str, ndim: int, axes: tuple[int, ...]) -> Exception | None:
    """The error for axes that are out of range or given twice."""
    for i, axis in enumerate(axes):
        if not -ndim <= axis < ndim:
            allowed = f", allowed {-ndim}..{ndim - 1}" if ndim else ": a scalar has no axes"
            return ShapeError(f"{name}: axis {axis} out of range for {ndim}-D{allowed}")
        if any(axis % ndim == other % ndim for other in axes[:i]):
            return ShapeError(f"{name}: duplicate axis {axis} in {axes}")
    return None


def check_axes(name: str, ndim: int, *groups: tuple[int, ...]) -> None:
    """Raise for axes that are out of range or given twice."""
    for axes in groups:
        if problem := bad_axes(name, ndim, axes):
            raise problem


def refuse_axis(name: str) -> Any:
    """What NumPy's complaint about an axis or an empty reduction means."""

    def refuse(error: Exception, x: Array, axis: Axis = None, *rest: Any) -> Exception | None:
        problem = bad_axes(name, np.ndim(x), as_tuple(axis, np.ndim(x)))
        if problem is None and np.size(x) == 0:
            return ShapeError(f"{name} of 0 elements (shape {np.shape(x)}) is undefined")
        return problem

    return refuse


@functools.lru_cache(maxsize=4096)
def kept(shape: tuple[int, ...], axis: Axis) -> tuple[int, ...]:
    """The shape after reducing with keepdims=True."""
    axes = {i % len(shape) for i in as_tuple(axis, len(shape))}
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


@functools.lru_cache(maxsize=4096)
def dropped(shape: tuple[int, ...], axis: Axis) -> tuple[int, ...]:
    """The shape after reducing with keepdims=False."""
    axes = {i % len(shape) for i in as_tuple(axis, len(shape))}
    return tuple(n for i, n in enumerate(shape) if i not in axes)


@functools.lru_cache(maxsize=4096)
def how_many(shape: tuple[int, ...], axis: Axis) -> int:
    """The number of elements that are reduced to one."""
    return math.prod(shape[i] for i in as_tuple(axis, len(shape)))
