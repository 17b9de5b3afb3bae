"""What a statement can be replaced by without changing a bit of any result.

Layout matters: sums follow memory order, so an array that is summed later must not change its own.
Filling a shape makes rows that follow each other, hence `contiguous` in the conditions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from tinygrad_lo.engine.graph import Op
from tinygrad_lo.engine.ops import TABLE
from tinygrad_lo.program.value import Value


class Writer(Protocol):
    """What a rewrite may ask of the program: a value for a statement."""

    def emit(self, op: Op, args: tuple[Any, ...], data: Any) -> Value:
        """The value of a statement."""


Rewrite = Callable[[Writer, Value, Any], Value | None]
ADD, SUBTRACT, NEGATIVE, FULL, ASTYPE, PUT, RESHAPE, TRANSPOSE = (
    TABLE[name]
    for name in ("add", "subtract", "negative", "full", "astype", "put", "reshape", "transpose")
)  # fmt: skip
NUMERIC = "add subtract multiply divide negative power square reciprocal sqrt exp log astype"
FOLDED = frozenset(TABLE[name] for name in NUMERIC.split())  # of numbers alone, the result is written


def simplified(writer: Writer, line: Value, data: Any) -> Value | None:
    """An older value that is the same as this line, a simpler new one, or None."""
    if line.op in FOLDED and all(map(is_number, line.args[: line.op.arity])):
        return number_value(data)
    rewrite = REWRITES.get(line.op)
    return None if rewrite is None else rewrite(writer, line, data)


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
    return a.shape == b.shape and a.dtype == b.dtype and a.layout == b.layout


def undone(x: Any) -> Value | None:
    """y where this is -y and lies in memory as y does."""
    return x.args[0] if is_line_of(x, NEGATIVE) and alike(x, x.args[0]) else None


def simpler_add(writer: Writer, line: Value, data: Any) -> Value | None:
    for other, x in (line.args, line.args[::-1]):
        positive = undone(x)
        if positive is not None:
            return writer.emit(SUBTRACT, (other, positive), data)
    return unfilled(writer, line, data)


def simpler_subtract(writer: Writer, line: Value, data: Any) -> Value | None:
    a, b = line.args
    positive = undone(b)
    if positive is not None:
        return writer.emit(ADD, (a, positive), data)
    if is_number(b) and b.ref < 0:
        return writer.emit(ADD, (a, number_value(-b.ref)), data)
    return unfilled(writer, line, data)


def simpler_multiply(writer: Writer, line: Value, data: Any) -> Value | None:
    for x, other in (line.args, line.args[::-1]):
        if is_number(other, 1) and alike(x, line):
            return x  # type: ignore[no-any-return]
        mask = mask_behind(other)
        if mask is not None and other.dtype == x.dtype:
            args = tuple(mask if arg is other else arg for arg in line.args)
            return writer.emit(line.op, args, data)  # True counts as 1, False as 0
    return unfilled(writer, line, data)


def mask_behind(x: Any) -> Value | None:
    """The booleans of which these are the numbers."""
    mask = x.args[0] if is_line_of(x, ASTYPE) else None
    return mask if mask is not None and mask.dtype.kind == "b" and mask.dense else None


def simpler_divide(writer: Writer, line: Value, data: Any) -> Value | None:
    return simpler_power(writer, line, data) or unfilled(writer, line, data)


def unfilled(writer: Writer, line: Value, data: Any) -> Value | None:
    """full(shape, c) * x is c * x, where x is laid out as the filled array is."""
    a, b = line.args
    for place, (filled, other) in enumerate(((a, b), (b, a))):
        if not is_line_of(filled, FULL):
            continue
        inner = filled.args[0]
        if is_number(other) and is_number(inner):
            folded = line.op.forward(*(inner.ref if arg is filled else arg.ref for arg in line.args))
            if folded.dtype == line.dtype:
                return writer.emit(FULL, (number_value(folded), line.shape), data)
        if fills_as(line, other, inner):
            return writer.emit(line.op, (other, inner) if place else (inner, other), data)
    return None


def fills_as(line: Value, other: Value, inner: Value) -> bool:
    """Whether broadcasting gives a line the shape, layout and dtype that filling gave it."""
    if other.shape != line.shape or not other.contiguous:
        return False
    return not is_number(inner) or bool(np.result_type(inner.ref, other.dtype) == line.dtype)


def simpler_negative(writer: Writer, line: Value, data: Any) -> Value | None:
    (x,) = line.args
    if is_line_of(x, NEGATIVE) and alike(line, x.args[0]):
        return x.args[0]  # type: ignore[no-any-return]
    if is_line_of(x, FULL) and is_number(x.args[0]):
        return writer.emit(FULL, (number_value(-x.args[0].ref), line.shape), data)
    return None


def simpler_power(writer: Writer, line: Value, data: Any) -> Value | None:
    """x ** 1 and x / 1."""
    x, one = line.args
    return x if is_number(one, 1) and alike(x, line) else None


def simpler_put(writer: Writer, line: Value, data: Any) -> Value | None:
    value, labels, classes = line.args
    if is_line_of(value, FULL) and is_number(value.args[0]) and value.shape == (*labels.shape, 1):
        return writer.emit(line.op, (value.args[0], labels, classes), data)
    return None


def simpler_sum(writer: Writer, line: Value, data: Any) -> Value | None:
    """Rows of zeros with one value each: their sums are these values."""
    x, axis, keepdims = line.args
    if is_line_of(x, PUT) and keepdims and axis in (-1, len(x.shape) - 1):
        value = x.args[0]
        return value if value.shape else writer.emit(FULL, (value, line.shape), data)
    return None


def simpler_shape(writer: Writer, line: Value, data: Any) -> Value | None:
    """The same shape, dtype and layout again: nothing happens."""
    x = line.args[0]
    if alike(x, line):
        return x  # type: ignore[no-any-return]
    return simpler_reshape(writer, line, data) if line.op is RESHAPE else None


def simpler_reshape(writer: Writer, line: Value, data: Any) -> Value | None:
    x, shape = line.args
    if is_number(x):
        return writer.emit(FULL, (x, line.shape), data)
    if is_line_of(x, RESHAPE) and x.contiguous and x.args[0].contiguous:
        return writer.emit(RESHAPE, (x.args[0], shape), data)
    return None


def simpler_getitem(writer: Writer, line: Value, data: Any) -> Value | None:
    x, index = line.args
    return x if is_everything(index) else None


def simpler_scatter(writer: Writer, line: Value, data: Any) -> Value | None:
    g, shape, index = line.args
    return g if is_everything(index) and g.shape == shape and g.contiguous else None


def is_everything(index: Any) -> bool:
    """Whether this is the index of x[()]."""
    return isinstance(index, tuple) and not index


def simpler_transpose(writer: Writer, line: Value, data: Any) -> Value | None:
    x, axes = line.args
    if len(line.shape) < 2:
        return x  # type: ignore[no-any-return]
    if axes is None and is_line_of(x, TRANSPOSE) and x.args[1] is None:
        return x.args[0]  # type: ignore[no-any-return]
    return None


REWRITES: dict[Op, Rewrite] = {
    TABLE[name]: rewrite
    for name, rewrite in {
        "add": simpler_add, "subtract": simpler_subtract, "multiply": simpler_multiply,
        "divide": simpler_divide, "negative": simpler_negative, "power": simpler_power, "put": simpler_put,
        "sum": simpler_sum, "reshape": simpler_shape, "broadcast_to": simpler_shape,
        "astype": simpler_shape, "full": simpler_shape, "transpose": simpler_transpose,
        "getitem": simpler_getitem, "scatter": simpler_scatter,
    }.items()
}  # fmt: skip
SPREADING = frozenset(op for op, rewrite in REWRITES.items() if rewrite is simpler_shape)
