"""A program of numbers only, as Python text on Python floats: no array is ever made.

Where Python's floats differ from NumPy's (an ArithmeticError, a ValueError, a complex root), the text
raises, and the call is repeated by the NumPy program.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable
from textwrap import indent
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Op
from tinygrad_lo.engine.ops import TABLE
from tinygrad_lo.engine.ops.elementwise import logaddexp
from tinygrad_lo.engine.ops.registry import record
from tinygrad_lo.program.ops import POWER
from tinygrad_lo.program.program import Program
from tinygrad_lo.program.value import Value

MOST_READ = 10  # so many values an expression may read


def power_of_floats(base: float, exponent: float) -> float:
    """`**` as NumPy has it; a negative base to a fraction is nan there, and complex in Python."""
    if base < 0.0 and exponent != math.floor(exponent):
        raise ValueError("a negative base with a fractional exponent")
    return float(base**exponent)


def logaddexp_of_floats(a: float, b: float) -> float:
    """log(exp(a) + exp(b)) without overflow."""
    if a == b:
        return a + math.log(2.0)
    return max(a, b) + math.log1p(math.exp(-abs(a - b)))


def math_functions(ops: Iterable[Op]) -> dict[str, Any]:
    """The functions of `math` that the texts of these ops begin with."""
    names = [op.scalar.partition("(")[0] for op in ops if op.scalar is not None]
    return {name: getattr(math, name) for name in names if hasattr(math, name)}


MATH_FUNCTIONS = {"nan": math.nan, "inf": math.inf, **math_functions(TABLE.values())}
MATH_FUNCTIONS |= {POWER.name: power_of_floats, record(logaddexp).name: logaddexp_of_floats}
USUAL = {2.0: "{0} * {0}", 3.0: "{0} * {0} * {0}", 0.5: "sqrt({0})"}  # powers that need no call


def runs_on_floats(program: Program) -> bool:
    """Whether the program can run on Python floats."""
    numbers = all(leaf.shape == () and leaf.dtype == np.float64 for leaf in program.leaves)
    return numbers and all(map(is_line_of_floats, program.lines)) and program.loss.kind == "line"


def is_line_of_floats(line: Value) -> bool:
    """Whether a line can be written on Python floats."""
    if line.kind != "line" or line.op.scalar is None or line.shape != ():
        return False
    return line.dtype in (np.float64, np.dtype(bool)) and all(map(fits_float, operands(line)))


def fits_float(arg: Value) -> bool:
    """Whether an operand is, or can be written as, a Python float or a bool."""
    if arg.kind != "constant":
        return arg.shape == ()
    small = isinstance(arg.ref, int) and abs(arg.ref) < 2**53
    return small or isinstance(arg.ref, (bool, float))


class ScalarCode:
    """The text of `step(leaves) -> (loss, *gradients)` on Python floats.

    Attributes:
        text: Python source that defines `step`.
        names: what the text uses beside its arguments.
        arguments, rows, results: the parts of the text, to be written into another function.
    """

    def __init__(self, program: Program) -> None:
        self.names = MATH_FUNCTIONS | math_functions(line.op for line in program.lines)
        self.texts = dict(program.arguments)
        self.arguments = list(self.texts.values())
        self.rows: list[str] = []
        templates = {line: template(line) for line in program.lines}
        named, ends = lifetimes(program, templates)
        free: list[str] = []
        registers = map("r{}".format, itertools.count())
        for line in program.lines:
            text = templates[line].format(*map(self.operand, operands(line)))
            if line not in named:
                self.texts[line] = f"({text})"
                continue
            free += [self.texts[value] for value in ends.get(line, ())]  # a register is used again
            self.texts[line] = free.pop() if free else next(registers)
            self.rows.append(f"{self.texts[line]} = {text}")
        self.results = [self.operand(value) for value in program.outputs]
        body = "\n".join([*self.rows, f"return {', '.join(self.results)},", ""])
        self.text = f"def step({', '.join(self.arguments)}):\n{indent(body, '    ')}"

    def operand(self, value: Value) -> str:
        """A register, an argument, or a number; whole numbers as floats, which are twice as quick."""
        if value.kind != "constant":
            return self.texts[value]
        number = float(value.ref)
        return repr(number) if number >= 0.0 else f"({number!r})"


def lifetimes(program: Program, templates: dict[Value, str]) -> tuple[set[Value], dict[Value, list[Value]]]:
    """The lines that get a name, and with each of them the named values that nobody reads after it.

    The others are used once, and are written where they are used.
    """
    uses = Counter(program.outputs * 2)
    for line, text in templates.items():
        for i, arg in enumerate(operands(line)):
            uses[arg] += text.count(f"{{{i}}}")
    # What each value reads when it is written inside another one; one that has a name reads itself.
    reads: dict[Value, list[Value]] = {leaf: [leaf] for leaf in program.leaves}
    named: dict[Value, None] = {}
    last: dict[Value, Value] = {}  # a named value -> the last named line that reads it
    for line in program.lines:
        reads[line] = [value for arg in operands(line) for value in reads.get(arg, ())]
        if uses[line] != 1 or len(reads[line]) > MOST_READ:
            last |= dict.fromkeys(reads[line], line)
            named[line], reads[line] = None, [line]
    ends: dict[Value, list[Value]] = {}
    for value, line in last.items():
        if value in named and value not in program.outputs:
            ends.setdefault(line, []).append(value)
    return set(named), ends


def operands(line: Value) -> tuple[Value, ...]:
    """The arguments that are values, without the options."""
    return line.args[: line.op.arity]


def template(line: Value) -> str:
    """The op on Python floats; the usual powers by constants without a call."""
    text: str = line.op.scalar
    if line.op is POWER and line.args[1].kind == "constant":
        exponent = float(line.args[1].ref)
        return USUAL.get(exponent, "{0} ** {1}" if exponent.is_integer() else text)
    return text
