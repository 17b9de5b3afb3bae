"""lo.anomaly(): the first nan or inf, and the first changed array, by name and line.

Only inside it do nodes remember where they were made, and sums of what they were given.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.backward import Part, pull
from tinygrad_lo.engine.graph import Array, Node, Op, mode
from tinygrad_lo.engine.machine.arguments import REAL
from tinygrad_lo.engine.machine.caller import caller
from tinygrad_lo.engine.naming import label, quoted
from tinygrad_lo.errors import MutationError, NonFiniteError

IN_WHERE = (
    ". If np.where discards this element, its gradient is still nan * 0 = nan: choose a safe input with "
    "np.where before the function, not after it"
)


def anomaly() -> mode:
    """Watch every op inside `with lo.anomaly():` and stop at the first that goes wrong.

    Slower by a factor of ten and more; for finding a nan, not for training. In this thread only.

    Raises:   NonFiniteError: the first op whose inputs are finite and whose output or gradient is not, with
              the value, its place, and the line of your script that made it.
              MutationError: (in backward) an array was written into after an op had used it.

    Example:
        >>> import tinygrad_lo as lo
        >>> with lo.anomaly():
        ...     lo.Parameter([1.0, 0.0]).log()
        Traceback (most recent call last):
        tinygrad_lo.errors.NonFiniteError: log: input 0.0 at (1,) -> -inf; created at <doctest ...
    """
    return mode("watch", Watch())


class Watch:
    """What happens to each op inside anomaly()."""

    def run(self, op: Op, inputs: tuple[Any, ...]) -> Array:
        """The value of an op, which must be finite if its inputs are."""
        with np.errstate(all="ignore"):  # this says it better than NumPy's warning
            value = op.forward(*inputs)
        self.must_be_finite(op, inputs, value, caller())
        return value

    def made(self, node: Node) -> None:
        """An op has made this node."""
        note = label(node)
        note.where = caller()
        note.recorded = checksums(node)

    def must_be_finite(self, op: Op, inputs: Iterable[Any], data: Array, where: str) -> None:
        """Raise if the result is the first that is not finite."""
        inputs = list(filter(is_operand, inputs))
        with np.errstate(all="ignore"):
            if not all_finite(data) and all(map(all_finite, inputs)):
                text = why(op, inputs, np.asarray(data), first_odd(data))
                raise NonFiniteError(f"{op.name}: {text}; created at {where}{cure(op)}")

    def pull(self, node: Node, g: Array) -> Iterable[Part]:
        """Run the node's rules, watching what they give."""
        op: Any = node.op
        note = label(node)
        where = note.where or "a line outside anomaly()"
        if note.recorded:
            must_be_unchanged(node, note.recorded, where)
        with np.errstate(all="ignore"):
            parts = list(pull(node, g))
            for _, parent, part in parts:
                if all_finite(g) and not all_finite(part):
                    place = first_odd(part)
                    gradient, value = np.asarray(part)[place], np.asarray(parent.value)[place]
                    raise NonFiniteError(
                        f"gradient of {op.name} by {quoted(parent, 'its input')}: {gradient} at {place}, "
                        f"where the input is {value}; created at {where}{cure(op)}"
                    )
        return parts


def must_be_unchanged(node: Node, before: tuple[int, ...], where: str) -> None:
    """Raise if an array of the node is no longer what the forward pass saw."""
    now = checksums(node)
    i = next((i for i, (a, b) in enumerate(zip(now, before, strict=True)) if a != b), None)
    if i is None:
        return
    op: Any = node.op
    parent = node.parents[i] if i < len(node.parents) else None
    who = f"input {i}" if parent is None else quoted(parent)
    raise MutationError(
        f"{'the output' if i == len(node.inputs) else who} of {op.name} was changed after the forward pass "
        f"had used it (created at {where}); run it again"
    )


def is_operand(x: Any) -> bool:
    """Whether this is no option, such as a shape, an index or None."""
    return isinstance(x, (float, int, np.generic)) or (isinstance(x, ndarray) and x.dtype.kind in REAL)


def first_odd(x: Array) -> tuple[int, ...]:
    """The place of the first element that is not finite."""
    return tuple(map(int, np.argwhere(~np.isfinite(x))[0]))


def all_finite(x: Any) -> bool:
    """Whether all of it is finite."""
    return bool(np.isfinite(x).all())


def cure(op: Op) -> str:
    """What helps when the bad element is one that np.where throws away afterwards."""
    return IN_WHERE if op.pole else ""


def checksums(node: Node) -> tuple[int, ...]:
    """Of the inputs and the output of a node."""
    return tuple(map(checksum, (*node.inputs, node.value)))


def checksum(x: Any) -> int:
    """A number that changes when the array does; 0 for what cannot change."""
    if isinstance(x, tuple):
        return hash(tuple(map(checksum, x)))
    return zlib.crc32(np.ascontiguousarray(x).tobytes()) if isinstance(x, ndarray) else 0


def why(op: Op, inputs: list[Any], data: Array, place: tuple[int, ...]) -> str:
    """The inputs that gave the bad element, in words, and what it is."""
    try:
        values = [np.broadcast_to(x, data.shape)[place] for x in inputs]
    except ValueError:
        return f"finite inputs, and at {place} -> {data[place]}"
    if op.name == "power" and len(values) == 2 and values[0] < 0 and np.isnan(data[place]):
        return f"negative base {values[0]} with fractional exponent {values[1]} gives nan at {place}"
    word = "input" if len(values) == 1 else "inputs"
    return f"{word} {', '.join(map(str, values))} at {place} -> {data[place]}"
