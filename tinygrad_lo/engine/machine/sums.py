"""Sums that stay exact where NumPy's would stop counting."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Array

add_up: Any = np.add.reduce
TALL = 2**16  # from this many rows on, float32 sums are made in blocks


@functools.lru_cache(maxsize=4096)
def stretched(shape: tuple[int, ...], narrow: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of `shape` along which an array of shape `narrow` was repeated."""
    extra = len(shape) - len(narrow)
    narrow = (0,) * extra + narrow
    return tuple(axis for axis, n in enumerate(narrow) if axis < extra or (n == 1 and shape[axis] != 1))


def broadcasts(shapes: list[tuple[int, ...]], shape: tuple[int, ...]) -> bool:
    """Whether broadcasting makes this shape of those."""
    try:
        return np.broadcast_shapes(*shapes) == shape
    except ValueError:
        return False


def total(x: Array, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
    """The sum, in blocks where NumPy would add a tall float32 column number by number.

    NumPy sums pairwise along the contiguous axis only. Down a column it adds one row after the
    other, and float32 stops counting at 2**24: a bias gradient over 2**25 rows is off by half.
    float16, which stops at 2**11, is summed as float32.
    """
    if type(x) is not ndarray:
        return x.sum(axis=axis, keepdims=keepdims)  # a tensor, a number, an array of another library
    if x.dtype.kind == "f" and x.itemsize < 8:
        if x.itemsize == 2:
            return add_up(x, axis=axis, keepdims=keepdims, dtype=np.float32).astype(x.dtype)
        if x.size > TALL and axis is not None:
            return blockwise(x, (axis,) if isinstance(axis, int) else axis, keepdims)
    summed: Array = add_up(x, axis=axis, keepdims=keepdims)
    return summed


def blockwise(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """A sum over several axes, one after the other, long ones in blocks of 4096."""
    shape = x.shape
    axes = tuple(i % x.ndim for i in axes)
    for i in axes:
        if x.shape[i] > 4096 and x.strides[i] != x.itemsize:
            x = np.add.reduceat(x, range(0, x.shape[i], 4096), axis=i)
        x = add_up(x, axis=i, keepdims=True)
    return x if keepdims else x.reshape([n for i, n in enumerate(shape) if i not in axes])[()]
