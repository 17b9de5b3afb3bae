"""Ops that only move numbers, in JavaScript: functions of the runtime and the places that moves.py finds."""

from __future__ import annotations

import json
import math
from typing import Any

from tinygrad_lo.engine.ops.indexing import gather, regather
from tinygrad_lo.engine.ops.registry import record
from tinygrad_lo.errors import UnsupportedError
from tinygrad_lo.explaining.moves import moves_of, taken_apart
from tinygrad_lo.explaining.source import Printer
from tinygrad_lo.explaining.syntax import literals, runtime
from tinygrad_lo.program.program import Program
from tinygrad_lo.program.simplify import TRANSPOSE
from tinygrad_lo.program.value import Value

GATHER, REGATHER = map(record, (gather, regather))
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
        found = (
            moves_of(op, [arg.shape for arg in line.inputs], line.args[count:]) if not by_numbers else None
        )
        if found is None or matrix:
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
