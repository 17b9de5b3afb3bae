"""Ops that only move numbers, in JavaScript: functions of the runtime, and the places that these read.

Where an op takes numbers from is found by running it, so that no text says it again.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Array, Op
from tinygrad_lo.engine.ops.indexing import Slot, filled_in
from tinygrad_lo.errors import UnsupportedError
from tinygrad_lo.explaining.source import Printer
from tinygrad_lo.explaining.syntax import literals, runtime
from tinygrad_lo.program.ops import GATHER, GETITEM, REGATHER, TRANSPOSE
from tinygrad_lo.program.program import Program
from tinygrad_lo.program.value import Value

FEW_PLACES = 12  # numbers of an index that stands where it is used


class Moving(Printer):
    """Calls of the runtime's functions, by the names of ops, and the indices that they read."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.constants: list[str] = []  # lines before the function: indices, and the user's ops

    def _operand(self, arg: Any) -> str:
        return self.name_or_expression(arg) if isinstance(arg, Value) else literals(arg)

    def name_or_expression(self, value: Any) -> str:
        """A name, an expression or a number; whole numbers as such."""
        return literals(value.ref) if value.kind == "constant" else self.texts[value]

    def _called(self, name: str, args: tuple[Any, ...]) -> str:
        """A function of the runtime, called as the op is."""
        if name not in runtime():
            raise UnsupportedError(
                f"javascript: {name} has no JavaScript; if it is yours, say it to lo.define_op, for numbers: "
                f'javascript="Math.exp({{0}})"'
            )
        while args and (args[-1] is None or args[-1] is False):
            args = args[:-1]  # options that say nothing
        return f"{name}({', '.join(map(self._operand, args))})"

    def _moved(self, line: Value) -> str:
        """Numbers at other places: where, the op says itself."""
        op, count = line.op, len(line.inputs)
        if op in (GATHER, REGATHER):
            return self._at_indices(line)
        by_numbers = count > 1 and None in op.rules  # labels say where to
        matrix = op is TRANSPOSE and line.shape != ()
        shapes = [arg.shape for arg in line.inputs]
        found = None if by_numbers or matrix else moves_of(op, shapes, line.args[count:])
        if found is None:
            return self._called(op.name, line.args)
        places, filler = found
        texts = [self._operand(arg) for arg in line.inputs]
        moved = f"[{', '.join(texts)}]" if op.arity is None else texts[0]
        return self._at_places(moved, places, filler, line)

    def _at_places(self, moved: str, places: list[int], filler: Any, line: Value) -> str:
        """Elements from known places, or added there if there is no filler."""
        first, shape = line.inputs[0].shape, list(line.shape)
        if filler is None:
            return f"add_at({moved}, {self._index(places)}, {shape})"
        if first == () and not any(places):
            return f"full({moved}, {shape})" if shape else moved
        if places == list(range(math.prod(first))) and shape and moved[0] != "[":
            return f"reshape({moved}, {shape})"
        more = f", {literals(filler)}" if filler else ""
        return f"taken({moved}, {self._index(places)}, {shape}{more})"

    def _at_indices(self, line: Value) -> str:
        """Elements at indices that are inputs, or put back to there."""
        x, *indices, last = line.args
        shape, pattern = (x.shape, last) if line.op is GATHER else last
        base, uses = taken_apart(pattern, shape, [arg.shape for arg in indices])
        lists = [
            f"[{self._operand(arg)}, {self._index(used)}, {step}, {n}]"
            for arg, (used, step, n) in zip(indices, uses, strict=True)
        ]
        places = f"places({', '.join([self._index(base), *lists])})"
        args = f"({self._operand(x)}, {places}, {list(line.shape)})"
        return f"taken{args}" if line.op is GATHER else f"add_at{args}"

    def _index(self, places: list[int]) -> str:
        """A list of places: short where it is used, long before the function."""
        if len(places) <= FEW_PLACES:
            return str(places)
        text = json.dumps(places)
        for row in self.constants:
            if row.endswith(f" = {text};"):
                return row.split()[1]
        name = self.taken.numbered("at")
        self.constants.append(f"const {name} = {text};")
        return name


def moves_of(op: Op, shapes: list[tuple[int, ...]], options: tuple[Any, ...]) -> tuple[list[int], Any] | None:
    """Where an op takes each element of its result from, -1 for the filler: (places, filler).

    With None for the filler, it is the other way round: where each element is added. None: it does neither.
    Found by running the op, and its rule, on numbers that are all different.
    """
    sizes = np.cumsum([0, *map(math.prod, shapes)])
    numbers = np.random.default_rng(0).permutation(int(sizes[-1])) + math.pi
    inputs = [numbers[a:b].reshape(shape)[()] for a, b, shape in zip(sizes, sizes[1:], shapes, strict=False)]
    y = op.forward(*inputs, *options)
    where = {number: place for place, number in enumerate(numbers.tolist())}
    places = [where.get(number, -1) for number in np.ravel(y).tolist()]
    rest = np.ravel(y)[np.array(places, int) < 0]
    filler = rest[0] if rest.size else 0.0
    if (rest == filler).all():
        return places, filler
    if len(inputs) > 1 or op.rules[0] is None:
        return None
    back = np.ravel(op.rules[0](np.arange(y.size).reshape(y.shape), y, *inputs, *options))
    sums = np.zeros(y.size)
    np.add.at(sums, back, numbers)
    return ([int(place) for place in back], None) if np.allclose(sums, np.ravel(y)) else None


def taken_apart(
    pattern: tuple[Any, ...], shape: tuple[int, ...], shapes: list[tuple[int, ...]]
) -> tuple[list[int], list[tuple[list[int], int, int]]]:
    """An index with arrays of ints in its slots, taken apart.

    Returns, for each element of the result, its place if all ints were 0; and for each array which of its
    ints is added to that, times which step, along an axis of how many.
    """

    def taken(x: Array, arrays: list[Array]) -> list[int]:
        return [int(place) for place in np.ravel(GETITEM.forward(x, filled_in(pattern, tuple(arrays))))]

    zeros = [np.zeros(n, int) for n in shapes]
    base = taken(np.arange(math.prod(shape)).reshape(shape), zeros)
    parts = [part for part in pattern if part is not None]  # with `...` written out, one for each axis
    dots = next((i for i, part in enumerate(parts) if part is Ellipsis), len(parts))
    parts[dots : dots + 1] = [slice(None)] * (len(shape) - len(parts) + 1)
    uses = []
    for axis, part in enumerate(parts):
        if type(part) is Slot:
            before, after, ints = shape[:axis], shape[axis + 1 :], np.arange(math.prod(shapes[part]))
            along = np.moveaxis(np.broadcast_to(ints, (*before, *after, len(ints))), -1, axis)
            numbered = [*zeros[:part], ints.reshape(shapes[part]), *zeros[part + 1 :]]
            uses.append((taken(along, numbered), math.prod(after), shape[axis]))
    return base, uses
