"""A program of arrays as NumPy text that allocates once and writes in place.

Every value that nobody outside can see gets a buffer, which later values reuse when it is no longer
read; what leaves (the loss, the gradients) is made anew each time. An instance is one set of buffers
with the function that uses them; two threads never share one.

What decides something (a branch, a mask, the place of a maximum) is computed as the engine computes it, to
the last bit: a value may lie on the threshold up to rounding, and the program must go the engine's way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.compiling.names import Namespace
from tinygrad_lo.engine.graph import Array, Op
from tinygrad_lo.engine.naming import name_of
from tinygrad_lo.engine.ops import TABLE
from tinygrad_lo.explaining.formula import one_line
from tinygrad_lo.explaining.program import Program
from tinygrad_lo.explaining.recording import Effect
from tinygrad_lo.explaining.source import section_of
from tinygrad_lo.explaining.spelling import identifier
from tinygrad_lo.explaining.value import ELEMENTWISE, FRESH, Value

Kernel = Callable[["ArrayCode", Value], bool]
BUFFERED = frozenset("fbi")  # kinds of dtype that are kept in buffers


class Miss:
    """What a step answers when Python would have branched another way."""


MISS = Miss()


class ArrayCode:
    """The text of `instance()`, which makes buffers and returns `step(leaves) -> (loss, *gradients)`.

    Attributes:
        text: Python source that defines `instance`.
        names: what the text uses.
    """

    def __init__(self, program: Program, kernels: dict[str, Kernel]) -> None:
        self.program = program
        self.kernels = kernels
        self.names = Namespace(np=np, MISS=MISS, empty=np.empty, dot=np.dot)
        self.made: list[str] = []  # lines that run once for an instance
        self.rows: list[str] = []  # lines that run at each call
        self.texts: dict[Value, str] = {}
        self.buffers: dict[Value, str] = {}  # values that lie in a buffer -> its name
        self.static: dict[Value, bool] = {}  # views of buffers, made once
        self.fixed: dict[Any, str] = {}
        self.free: dict[tuple[Any, ...], list[str]] = {}
        self.count = 0
        self.section = ""
        arguments = []
        for i, leaf in enumerate(program.leaves):
            self.texts[leaf] = f"{identifier(name_of(leaf.ref) or 'x', 'x')}_{i}"
            arguments.append(self.texts[leaf])
        self.outputs = [program.loss, *(g for _, g in program.gradients)]
        self.last = self._last_uses()
        dead: dict[int, list[Value]] = {}
        for value, place in self.last.items():
            dead.setdefault(place, []).append(value)
        for place, line in enumerate(program.lines):
            ending = [value for value in dead.get(place, ()) if value in self.buffers]
            if line.kind == "effect":
                self._effect(line)
            else:
                early = ending if line.op.name in ELEMENTWISE else []
                for value in early:  # its own result may be written over it
                    self._release(value)
                self._line(line)
                ending = [value for value in ending if value not in early]
            for value in ending:
                self._release(value)
        results = ", ".join(map(self._result, self.outputs))
        head = [f"    def step({', '.join(arguments)}):", *(f"        {row}" for row in self.rows)]
        self.text = "\n".join(
            [
                "def instance():",
                *(f"    {row}" for row in self.made),
                *head,
                f"        return {results},",
                "    return step",
                "",
            ]
        )

    # ------------------------------------------------------------------------------- lifetimes

    def _last_uses(self) -> dict[Value, int]:
        """The place of the last line that reads each value, itself or through a view."""
        end = len(self.program.lines)
        last: dict[Value, int] = dict.fromkeys(self.outputs, end)
        for place in range(end - 1, -1, -1):
            line = self.program.lines[place]
            for arg in line.inputs:
                last.setdefault(arg, place)
            if line.kind == "line" and line.op.name not in FRESH:  # it may be a view of what it reads
                for arg in line.inputs:
                    last[arg] = max(last[arg], last.get(line, place))
        return last

    def _release(self, value: Value) -> None:
        name = self.buffers.pop(value)
        self.free.setdefault((value.shape, value.dtype.str), []).append(name)

    def buffer(self, value: Value) -> str:
        """A buffer for a value: one that is free, or a new one."""
        waiting = self.free.get((value.shape, value.dtype.str))
        if waiting:
            name = waiting.pop()
        else:
            name, self.count = f"b{self.count}", self.count + 1
            self.made.append(f"{name} = empty({value.shape}, {str(value.dtype)!r})")
        self.buffers[value] = name
        self.texts[value] = name
        return name

    # ------------------------------------------------------------------------------ statements

    def _line(self, line: Value) -> None:
        """Write one statement, under the name that the value has for readers."""
        section = section_of(line)
        if section != self.section and section:
            self.rows.append(f"# {section}")
        self.section = section
        op: Op = line.op
        # By name only if it is the table's own: a user's op with options is a record of its own.
        kernel = self.kernels.get(op.name) if TABLE.get(op.name) is op else None
        if kernel is None or line in self.program.decisive or not kernel(self, line):
            self.generic(line)
        if line.name is not None and self.rows:
            self.rows[-1] += f"  # {one_line(line.name)}"

    def out(self, line: Value) -> str | None:
        """A buffer to write the line's value into, or None where it is made anew."""
        if not line.shape or line in self.outputs or line.dtype.kind not in BUFFERED:
            return None
        return self.buffer(line)

    def generic(self, line: Value) -> None:
        """Call the op's own forward."""
        function = self.names.name(line.op.forward, line.op.name)
        args = ", ".join(
            self.text_of(arg) if isinstance(arg, Value) else self.constant(arg) for arg in line.args
        )
        self.assign(line, f"{function}({args})")

    def assign(self, line: Value, expression: str) -> None:
        """A line of its own for a value that is made anew."""
        self.texts[line] = f"v{len(self.texts)}"
        self.rows.append(f"{self.texts[line]} = {expression}")

    def view(self, line: Value, expression: str) -> None:
        """A view: of a buffer it is made once, of anything else at each call."""
        base = line.args[0]
        self.texts[line] = f"v{len(self.texts)}"
        fixed = base in self.buffers or self.static.get(base, False)
        self.static[line] = fixed
        (self.made if fixed else self.rows).append(f"{self.texts[line]} = {expression}")

    def run(self, statement: str) -> None:
        """A line that runs at each call."""
        self.rows.append(statement)

    def once(self, expression: str) -> str:
        """The name of something that is made once for an instance."""
        if expression not in self.fixed:
            self.fixed[expression] = f"c{len(self.fixed)}"
            self.made.append(f"{self.fixed[expression]} = {expression}")
        return self.fixed[expression]

    def flat(self, value: Value) -> str:
        """All elements of a value in one row."""
        text = self.texts[value]
        if len(value.shape) == 1:
            return text
        if value in self.buffers:
            return self.once(f"{text}.reshape(-1)")
        return f"{text}.reshape(-1)"

    def _effect(self, line: Value) -> None:
        effect: Effect = line.op
        value = self.text_of(line.args[0])
        if effect.action is None:
            self.run(f"if {'not ' if effect.answer else ''}{value}: return MISS")
            return
        action = self.names.name(effect.action, "check")
        self.run(f"{action}({', '.join([value, *map(self.constant, effect.facts)])})")

    def _result(self, value: Value) -> str:
        """What leaves: an array of its own, or a number."""
        text = self.text_of(value)
        if value.kind == "line" and value.shape and value.op.name not in FRESH:
            return f"{text}.copy()"
        if value.kind != "line" or self.outputs.count(value) > 1:
            return f"+{text}"
        return text

    # ----------------------------------------------------------------------------------- names

    def legend(self) -> list[str]:
        """What the constants in the text are."""
        numbers = {
            name: thing for name, thing in self.names.items() if type(thing) is ndarray and not thing.ndim
        }
        return [f"# {name} = {thing}" for name, thing in numbers.items()]

    def constant(self, thing: Any) -> str:
        """An option or a number, as text or by name."""
        if type(thing) in (int, bool, str, type(None)):
            return repr(thing)
        if type(thing) is float and thing - thing == 0.0:
            return repr(thing)
        return self.names.name(thing, "k")

    def text_of(self, value: Value) -> str:
        """A value as an operand."""
        return self.constant(value.ref) if value.kind == "constant" else self.texts[value]

    def operand(self, value: Value, beside: Any) -> str:
        """A value as an operand beside arrays of a dtype: numbers as 0-d arrays, which are quicker."""
        if value.kind != "constant":
            return self.texts[value]
        dtype = np.result_type(beside, value.ref)
        known = f"0-d {value.ref!r} {dtype}"
        if known not in self.fixed:
            self.fixed[known] = self.names.name(zero_dimensional(value.ref, dtype), "k")
        return self.fixed[known]


def zero_dimensional(number: Any, dtype: Any) -> Array:
    """A number as an array without axes."""
    return np.array(number, dtype)
