"""A program of arrays as NumPy text that allocates once and writes in place.

What nobody outside can see lies in buffers, which later values reuse; what leaves (the loss, the gradients)
is made anew each time. An instance is one set of buffers with its function; two threads never share one.
What decides something (a branch, a mask, the place of a maximum) is computed as the engine computes it, to
the last bit: a value may lie on the threshold up to rounding, and the program must go the engine's way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from textwrap import indent
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.compiling.names import Namespace
from tinygrad_lo.program.program import Program
from tinygrad_lo.program.text import identifier, one_line
from tinygrad_lo.program.value import Value

Kernel = Callable[["ArrayCode", Value], bool]
BUFFERED = frozenset("fbi")  # kinds of dtype that are kept in buffers
MISS: Any = object()  # what a step answers when Python would have branched another way


class ArrayCode:
    """The text of `instance()`, which makes buffers and returns `step(leaves) -> (loss, *gradients)`.

    Attributes:
        text: Python source that defines `instance`.
        names: what the text uses.
    """

    def __init__(self, program: Program, write: Kernel, packs: Sequence[Sequence[int]] = ()) -> None:
        self.write = write
        self.names = Namespace(np=np, MISS=MISS, empty=np.empty, dot=np.dot, copyto=np.copyto)
        self.made: list[str] = []  # lines that run once for an instance
        self.rows: list[str] = []  # lines that run at each call
        self.buffers: dict[Value, str] = {}  # values that lie in a buffer -> its name
        self.static: dict[Value, bool] = {}  # views of buffers, made once
        self.fixed: dict[Any, str] = {}
        self.free: dict[tuple[Any, ...], list[str]] = {}
        self.count = 0
        self.section = ""
        self.outputs = program.outputs
        self.texts: dict[Value, str] = dict(program.arguments)
        arguments = ", ".join(self.texts.values())
        self.windows: dict[int, str] = {}  # of outputs that lie in a flat array, by their number
        flats = [self._flat_array(f"flat{i}", [1 + k for k in pack]) for i, pack in enumerate(packs)]
        self.written = {self.outputs[k]: window for k, window in reversed(self.windows.items())}
        self._statements(program)
        results = ", ".join([*map(self._result, range(len(self.outputs))), *flats])
        step = indent("\n".join([*self.rows, f"return {results},"]), "    ")
        body = "\n".join([*self.made, f"def step({arguments}):", step, "return step", ""])
        self.text = "def instance():\n" + indent(body, "    ")

    def _flat_array(self, flat: str, numbers: list[int]) -> str:
        """One array for several outputs, each of which is written into its window of it."""
        outputs = [self.outputs[k] for k in numbers]
        ends = np.cumsum([0, *(math.prod(value.shape) for value in outputs)]).tolist()
        self.rows.append(f"{flat} = empty({ends[-1]}, {str(outputs[0].dtype)!r})")
        for k, value, begin, end in zip(numbers, outputs, ends, ends[1:], strict=False):
            shaped = "" if len(value.shape) == 1 else f".reshape({value.shape})"
            self.windows[k] = f"d{k}"
            self.rows.append(f"d{k} = {flat}[{begin}:{end}]{shaped}")
        return flat

    def _statements(self, program: Program) -> None:
        """Write all lines, and let go of buffers where nobody reads them any more."""
        dead: dict[int, list[Value]] = {}
        for value, place in self._last_uses(program.lines).items():
            dead.setdefault(place, []).append(value)
        for place, line in enumerate(program.lines):
            ending = [value for value in dead.get(place, ()) if value in self.buffers]
            over = line.kind == "line" and line.op.elementwise  # its own result may be written over them
            if over:
                self._release(ending)
            if line.kind == "line":
                self._line(line, quick=line not in program.decisive)
            else:
                self._effect(line)
            if not over:
                self._release(ending)

    def _last_uses(self, lines: list[Value]) -> dict[Value, int]:
        """The place of the last line that reads each value, itself or through a view."""
        last: dict[Value, int] = dict.fromkeys(self.outputs, len(lines))
        for place, line in reversed(list(enumerate(lines))):
            viewed = line.kind == "line" and not line.op.fresh  # it may be a view of what it reads
            for arg in line.inputs:
                last.setdefault(arg, place)
                if viewed:
                    last[arg] = max(last[arg], last.get(line, place))
        return last

    def _release(self, values: list[Value]) -> None:
        for value in values:
            self.free.setdefault((value.shape, value.dtype.str), []).append(self.buffers.pop(value))

    def _line(self, line: Value, quick: bool) -> None:
        """Write one statement, under the name that the value has for readers."""
        if line.section != self.section and line.section:
            self.rows.append(f"# {line.section}")
        self.section = line.section
        if not (quick and self.write(self, line)):
            forward = self.names.name(line.op.forward, identifier(line.op.name, "k"))
            self.assign(line, f"{forward}({', '.join(map(self.text_of, line.args))})")
        if line.name is not None and self.rows:
            self.rows[-1] += f"  # {one_line(line.name)}"

    def _effect(self, line: Value) -> None:
        value = self.text_of(line.args[0])
        if line.op is None:
            self.run(f"if {'not ' if line.ref else ''}{value}: return MISS")
        else:
            action = self.names.name(line.op, "check")
            self.run(f"{action}({', '.join([value, *map(self.text_of, line.args[1:])])})")

    def _result(self, k: int) -> str:
        """What leaves: an array of its own or a window of one, or a number."""
        value, window = self.outputs[k], self.windows.get(k)
        text = self.text_of(value)
        if window is not None:
            if text != window:
                self.rows.append(f"copyto({window}, {text})")
            return window if value.shape else f"{window}[()]"
        if value.kind == "line" and value.shape and not value.op.fresh:
            return f"{text}.copy()"
        return f"+{text}" if value.kind != "line" or self.outputs.count(value) > 1 else text

    def legend(self) -> list[str]:
        """What the constants in the text are."""
        things = self.names.items()
        return [f"# {name} = {thing}" for name, thing in things if type(thing) is ndarray and not thing.ndim]

    # What kernels write with:

    def buffer(self, line: Value) -> str:
        """A buffer for the line's value: one that is free, or a new one."""
        waiting = self.free.get((line.shape, line.dtype.str))
        if waiting:
            name = waiting.pop()
        else:
            name, self.count = f"b{self.count}", self.count + 1
            self.made.append(f"{name} = empty({line.shape}, {str(line.dtype)!r})")
        self.buffers[line] = self.texts[line] = name
        return name

    def out(self, line: Value) -> str | None:
        """A buffer to write the line's value into, or its window, or None where it is made anew."""
        if line in self.written:
            self.texts[line] = self.written[line]
            return self.texts[line]
        if not line.shape or line in self.outputs or line.dtype.kind not in BUFFERED:
            return None
        return self.buffer(line)

    def assign(self, line: Value, expression: str) -> None:
        """A line of its own for a value that is made anew."""
        self.texts[line] = f"v{len(self.texts)}"
        self.rows.append(f"{self.texts[line]} = {expression}")

    def view(self, line: Value, expression: str) -> bool:
        """A view: of a buffer it is made once, of anything else at each call. (True, as kernels answer.)"""
        base = line.args[0]
        self.static[line] = base in self.buffers or self.static.get(base, False)
        self.texts[line] = f"v{len(self.texts)}"
        (self.made if self.static[line] else self.rows).append(f"{self.texts[line]} = {expression}")
        return True

    def run(self, statement: str) -> None:
        """A line that runs at each call."""
        self.rows.append(statement)

    def once(self, expression: str, key: Any = None) -> str:
        """The name of something that is made once for an instance, or once for a key."""
        key = key or expression
        if key not in self.fixed:
            self.fixed[key] = f"c{len(self.fixed)}"
            self.made.append(f"{self.fixed[key]} = {expression}")
        return self.fixed[key]

    def flat(self, value: Value) -> str:
        """All elements of a value in one row."""
        if len(value.shape) == 1:
            return self.texts[value]
        text = f"{self.texts[value]}.reshape(-1)"
        return self.once(text) if value in self.buffers else text

    def constant(self, thing: Any) -> str:
        """An option or a number, as text or by name."""
        finite = type(thing) is float and thing - thing == 0.0
        if finite or type(thing) in (int, bool, str, type(None)):
            return repr(thing)
        return self.names.name(thing, "k")

    def text_of(self, arg: Any) -> str:
        """A value or an option as an argument."""
        if not isinstance(arg, Value):
            return self.constant(arg)
        return self.constant(arg.ref) if arg.kind == "constant" else self.texts[arg]

    def operand(self, value: Value, beside: Any) -> str:
        """A value as an operand beside arrays of a dtype: numbers as 0-d arrays, which are quicker."""
        if value.kind != "constant":
            return self.texts[value]
        dtype = np.result_type(beside, value.ref)
        known = f"0-d {value.ref!r} {dtype}"
        if known not in self.fixed:
            self.fixed[known] = self.names.name(np.array(value.ref, dtype), "k")
        return self.fixed[known]
