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
    """What a rewrite may ask of the program: a value for a statement, or for a number."""

    def emit(self, op: Op, args: tuple[Any, ...], data: Any) -> Value:
        """The value of a statement."""

    def constant(self, number: Any) -> Value:
        """A number as a value."""


Rewrite = Callable[[Writer, Value, Any], Value | None]
UNARY = ("negative",)
BINARY = ("add", "subtract", "multiply", "divide")
NUMERIC = frozenset({*UNARY, *BINARY, "power", "square", "reciprocal", "sqrt", "exp", "log", "astype"})


def simplified(writer: Writer, line: Value, data: Any) -> Value | None:
    """An older value that is the same as this line, a simpler new one, or None."""
    if line.op.name in NUMERIC and all(map(is_number, line.args[: line.op.arity])):
        return writer.constant(data)
    rewrite = REWRITES.get(line.op.name)
    return None if rewrite is None else rewrite(writer, line, data)


def is_number(value: Any, *wanted: float) -> bool:
    """Whether this is a constant number; one of the wanted ones, if any are given."""
    found = getattr(value, "kind", "") == "constant"
    return found and (not wanted or value.ref in wanted)


def made_by(value: Any, name: str) -> bool:
    """Whether this value is a line of an op."""
    return getattr(value, "kind", "") == "line" and value.op.name == name


def alike(a: Value, b: Value) -> bool:
    """Whether two values have one shape and dtype, and lie in memory in one way."""
    return a.shape == b.shape and a.dtype == b.dtype and a.layout == b.layout


def add(writer: Writer, line: Value, data: Any) -> Value | None:
    a, b = line.args
    if made_by(b, "negative") and alike(b, b.args[0]):
        return writer.emit(TABLE["subtract"], (a, b.args[0]), data)
    if made_by(a, "negative") and alike(a, a.args[0]):
        return writer.emit(TABLE["subtract"], (b, a.args[0]), data)
    return unfilled(writer, line, data)


def subtract(writer: Writer, line: Value, data: Any) -> Value | None:
    a, b = line.args
    if made_by(b, "negative") and alike(b, b.args[0]):
        return writer.emit(TABLE["add"], (a, b.args[0]), data)
    if is_number(b) and b.ref < 0:
        return writer.emit(TABLE["add"], (a, writer.constant(-b.ref)), data)
    return unfilled(writer, line, data)


def multiply(writer: Writer, line: Value, data: Any) -> Value | None:
    for x, other in (line.args, line.args[::-1]):
        if is_number(other, 1) and alike(x, line):
            return x  # type: ignore[no-any-return]
        mask = other.args[0] if made_by(other, "astype") else None
        if mask is not None and mask.dtype.kind == "b" and mask.dense and other.dtype == x.dtype:
            args = tuple(mask if arg is other else arg for arg in line.args)
            return writer.emit(line.op, args, data)  # True counts as 1, False as 0
    return unfilled(writer, line, data)


def divide(writer: Writer, line: Value, data: Any) -> Value | None:
    x, other = line.args
    if is_number(other, 1) and alike(x, line):
        return x  # type: ignore[no-any-return]
    return unfilled(writer, line, data)


def unfilled(writer: Writer, line: Value, data: Any) -> Value | None:
    """full(shape, c) * x is c * x, where x is laid out as the filled array is."""
    a, b = line.args
    for place, (filled, other) in enumerate(((a, b), (b, a))):
        if not made_by(filled, "full"):
            continue
        inner = filled.args[0]
        if is_number(other) and is_number(inner):
            folded = line.op.forward(*(inner.ref if arg is filled else arg.ref for arg in line.args))
            if folded.dtype == line.dtype:
                return writer.emit(filled.op, (writer.constant(folded), line.shape), data)
        if (
            getattr(other, "shape", ()) == line.shape
            and other.contiguous
            and (not is_number(inner) or np.result_type(inner.ref, other.dtype) == line.dtype)
        ):
            return writer.emit(line.op, (other, inner) if place else (inner, other), data)
    return None


def negative(writer: Writer, line: Value, data: Any) -> Value | None:
    (x,) = line.args
    if made_by(x, "negative") and alike(line, x.args[0]):
        return x.args[0]  # type: ignore[no-any-return]
    if made_by(x, "full") and is_number(x.args[0]):
        return writer.emit(x.op, (writer.constant(-x.args[0].ref), line.shape), data)
    return None


def power(writer: Writer, line: Value, data: Any) -> Value | None:
    x, exponent = line.args
    return x if is_number(exponent, 1) and alike(x, line) else None


def put(writer: Writer, line: Value, data: Any) -> Value | None:
    value, labels, classes = line.args
    if made_by(value, "full") and is_number(value.args[0]) and value.shape == (*labels.shape, 1):
        return writer.emit(line.op, (value.args[0], labels, classes), data)
    return None


def total(writer: Writer, line: Value, data: Any) -> Value | None:
    x, axis, keepdims = line.args
    # Rows of zeros with one value each: their sums are these values.
    if made_by(x, "put") and keepdims and axis in (-1, len(x.shape) - 1):
        value = x.args[0]
        return value if value.shape else writer.emit(TABLE["full"], (value, line.shape), data)
    return None


def unmoved(writer: Writer, line: Value, data: Any) -> Value | None:
    """The same shape, dtype and layout again: nothing happens."""
    x = line.args[0]
    if alike(x, line):
        return x  # type: ignore[no-any-return]
    if is_number(x) and line.op.name == "reshape":
        return writer.emit(TABLE["full"], (x, line.shape), data)
    if line.op.name == "reshape" and made_by(x, "reshape") and x.contiguous:
        return writer.emit(line.op, (x.args[0], *line.args[1:]), data) if x.args[0].contiguous else None
    return None


def getitem(writer: Writer, line: Value, data: Any) -> Value | None:
    x, index = line.args
    return x if isinstance(index, tuple) and not index else None


def scatter(writer: Writer, line: Value, data: Any) -> Value | None:
    g, shape, index = line.args
    return g if isinstance(index, tuple) and not index and g.shape == shape and g.contiguous else None


def transpose(writer: Writer, line: Value, data: Any) -> Value | None:
    x, axes = line.args
    if len(line.shape) < 2:
        return x  # type: ignore[no-any-return]
    if axes is None and made_by(x, "transpose") and x.args[1] is None:
        return x.args[0]  # type: ignore[no-any-return]
    return None


REWRITES: dict[str, Rewrite] = {
    "add": add, "subtract": subtract, "multiply": multiply, "divide": divide, "negative": negative,
    "power": power, "put": put, "sum": total, "reshape": unmoved, "broadcast_to": unmoved,
    "astype": unmoved, "full": unmoved, "transpose": transpose, "getitem": getitem, "scatter": scatter,
}  # fmt: skip
