"""What a statement can be replaced by without changing a bit of any result.

Sums follow memory order, so layouts stay; filling makes rows that follow each other: hence `contiguous`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Op
from tinygrad_lo.program.ops import (
    ADD,
    ASTYPE,
    BROADCAST_TO,
    DIVIDE,
    FULL,
    MULTIPLY,
    NEGATIVE,
    PUT,
    RESHAPE,
    SUBTRACT,
    TRANSPOSE,
)
from tinygrad_lo.program.value import Value, named_after_op

Simpler = Value | tuple[Op, tuple[Any, ...]] | None  # an older value, another statement, or neither
Rewrite = Callable[[Value], Simpler]
REWRITES: dict[Op, Rewrite] = {}
rewrite = named_after_op(REWRITES)


def simplified(line: Value, data: Any) -> Simpler:
    """An older value that is the same as this line, a simpler statement, or None."""
    folds = line.op is ASTYPE or (line.op.elementwise and line.op.differentiable)
    if folds and all(map(is_number, line.args[: line.op.arity])):  # of numbers alone, the result is written
        return number_value(data)
    found = REWRITES[line.op](line) if line.op in REWRITES else None
    if found is None and line.op in (ADD, SUBTRACT, MULTIPLY, DIVIDE):
        return unfilled(line)
    return found


def number_value(value: Any) -> Value:
    """A number as a value."""
    return Value("constant", value, value)


def is_number(value: Any, *wanted: float) -> bool:
    """Whether this is a constant number; one of the wanted ones, if there are any."""
    constant = getattr(value, "kind", "") == "constant"
    return constant and (not wanted or value.ref in wanted)


def is_line_of(value: Any, op: Op) -> bool:
    """Whether this value is a line of an op."""
    return getattr(value, "kind", "") == "line" and value.op is op


def alike(a: Value, b: Value) -> bool:
    """Whether two values have one shape and dtype, and lie in memory in one way."""
    return (a.shape, a.dtype, a.layout) == (b.shape, b.dtype, b.layout)


def undone(x: Any) -> Value | None:
    """y where this is -y and lies in memory as y does."""
    return x.args[0] if is_line_of(x, NEGATIVE) and alike(x, x.args[0]) else None


@rewrite
def simpler_add(line: Value) -> Simpler:
    a, b = line.args
    for other, positive in ((a, undone(b)), (b, undone(a))):
        if positive is not None:
            return SUBTRACT, (other, positive)
    return None


@rewrite
def simpler_subtract(line: Value) -> Simpler:
    a, b = line.args
    positive = number_value(-b.ref) if is_number(b) and b.ref < 0 else undone(b)
    return None if positive is None else (ADD, (a, positive))


@rewrite
def simpler_multiply(line: Value) -> Simpler:
    for x, other in (line.args, line.args[::-1]):
        if is_number(other, 1) and alike(x, line):
            return x  # type: ignore[no-any-return]
        if is_line_of(other, ASTYPE) and other.dtype == x.dtype:
            mask, _ = other.args
            if mask.dtype.kind == "b" and mask.dense:  # True counts as 1
                return MULTIPLY, tuple(mask if arg is other else arg for arg in line.args)
    return None


@rewrite
def simpler_power(line: Value) -> Simpler:
    """x ** 1 and x / 1."""
    x, one = line.args
    return x if is_number(one, 1) and alike(x, line) else None


REWRITES[DIVIDE] = simpler_power


def unfilled(line: Value) -> Simpler:
    """full(shape, c) * x is c * x, where broadcasting gives the shape, layout and dtype that filling gave."""
    a, b = line.args
    for filled, other in ((a, b), (b, a)):
        if not is_line_of(filled, FULL):
            continue
        inner = filled.args[0]
        operands = (inner, b) if filled is a else (a, inner)
        if is_number(other) and is_number(inner):
            folded = line.op.forward(*(arg.ref for arg in operands))
            if folded.dtype == line.dtype:
                return FULL, (number_value(folded), line.shape)
        fits = other.shape == line.shape and other.contiguous
        if fits and (not is_number(inner) or np.result_type(inner.ref, other.dtype) == line.dtype):
            return line.op, operands
    return None


@rewrite
def simpler_negative(line: Value) -> Simpler:
    (x,) = line.args
    if is_line_of(x, NEGATIVE) and alike(line, x.args[0]):
        return x.args[0]  # type: ignore[no-any-return]
    if is_line_of(x, FULL) and is_number(x.args[0]):
        return FULL, (number_value(-x.args[0].ref), line.shape)
    return None


@rewrite
def simpler_put(line: Value) -> Simpler:
    value, labels, classes = line.args
    if is_line_of(value, FULL) and is_number(value.args[0]) and value.shape == (*labels.shape, 1):
        return PUT, (value.args[0], labels, classes)
    return None


@rewrite
def simpler_sum(line: Value) -> Simpler:
    """Rows of zeros with one value each: their sums are these values."""
    x, axis, keepdims = line.args
    if is_line_of(x, PUT) and keepdims and axis in (-1, len(x.shape) - 1):
        value = x.args[0]
        return value if value.shape else (FULL, (value, line.shape))
    return None


@rewrite
def simpler_full(line: Value) -> Simpler:
    """The same shape, dtype and layout again: nothing happens."""
    x = line.args[0]
    return x if alike(x, line) else None


REWRITES[ASTYPE] = REWRITES[BROADCAST_TO] = simpler_full


@rewrite
def simpler_reshape(line: Value) -> Simpler:
    x, shape = line.args
    if alike(x, line):
        return x  # type: ignore[no-any-return]
    if is_number(x):
        return FULL, (x, line.shape)
    if is_line_of(x, RESHAPE) and x.contiguous and x.args[0].contiguous:
        return RESHAPE, (x.args[0], shape)
    return None


@rewrite
def simpler_getitem(line: Value) -> Simpler:
    x, index = line.args
    return x if is_everything(index) else None


@rewrite
def simpler_scatter(line: Value) -> Simpler:
    g, shape, index = line.args
    return g if is_everything(index) and g.shape == shape and g.contiguous else None


def is_everything(index: Any) -> bool:
    """Whether this is the index of x[()]."""
    return isinstance(index, tuple) and not index


@rewrite
def simpler_transpose(line: Value) -> Simpler:
    x, axes = line.args
    if len(line.shape) < 2:
        return x  # type: ignore[no-any-return]
    return x.args[0] if axes is None and is_line_of(x, TRANSPOSE) and x.args[1] is None else None
