"""A program of numbers only, as Python text on Python floats: no array is ever made.

Where Python's floats differ from NumPy's (an ArithmeticError, a ValueError, a complex root), the text
raises, and the call is repeated by the NumPy program.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from tinygrad_lo.engine.naming import name_of
from tinygrad_lo.explaining.program import Program
from tinygrad_lo.explaining.spelling import identifier
from tinygrad_lo.explaining.value import Value

LARGEST = 10  # so many values an expression may read


def power(base: float, exponent: float) -> float:
    """`**` as NumPy has it; a negative base to a fraction is nan there, and complex in Python."""
    if base < 0.0 and exponent != math.floor(exponent):
        raise ValueError("a negative base with a fractional exponent")
    return float(base**exponent)


def logaddexp(a: float, b: float) -> float:
    """log(exp(a) + exp(b)) without overflow."""
    if a == b:
        return a + math.log(2.0)
    return max(a, b) + math.log1p(math.exp(-abs(a - b)))


# How an op reads on Python floats. An operand that stands in it twice is given a name first.
TEXTS = {
    "add": "{0} + {1}", "subtract": "{0} - {1}", "multiply": "{0} * {1}", "divide": "{0} / {1}",
    "negative": "-{0}", "square": "{0} * {0}", "reciprocal": "1.0 / {0}", "power": "power({0}, {1})",
    "equal": "{0} == {1}", "not_equal": "{0} != {1}", "less": "{0} < {1}", "less_equal": "{0} <= {1}",
    "greater": "{0} > {1}", "greater_equal": "{0} >= {1}",
    "exp": "exp({0})", "log": "log({0})", "log2": "log2({0})", "log10": "log10({0})", "log1p": "log1p({0})",
    "expm1": "expm1({0})", "sqrt": "sqrt({0})", "sin": "sin({0})", "cos": "cos({0})", "tan": "tan({0})",
    "tanh": "tanh({0})", "arcsin": "asin({0})", "arccos": "acos({0})", "arctan": "atan({0})",
    "sinh": "sinh({0})", "cosh": "cosh({0})", "abs": "abs({0})", "logaddexp": "logaddexp({0}, {1})",
    "softplus": "logaddexp({0}, 0.0)",
    "sign": "1.0 if {0} > 0.0 else -1.0 if {0} < 0.0 else {0}",
    "relu": "0.0 if {0} <= 0.0 else {0}",  # in this form nan stays nan
    "maximum": "{0} if {0} >= {1} or {0} != {0} else {1}",
    "minimum": "{0} if {0} <= {1} or {0} != {0} else {1}",
    "where": "{1} if {0} else {2}",
    "astype": "1.0 * {0}", "detach": "{0}",
    "sum": "{0}", "max": "{0}", "min": "{0}", "prod": "{0}", "reshape": "{0}", "full": "{0}",
    "broadcast_to": "{0}",
}  # fmt: skip

MATHS: dict[str, Any] = {
    name: getattr(math, name)
    for name in [
        "exp",
        "log",
        "log2",
        "log10",
        "log1p",
        "expm1",
        "sqrt",
        "sin",
        "cos",
        "tan",
        "tanh",
        "asin",
        "acos",
        "atan",
        "sinh",
        "cosh",
    ]
}
NAMES: dict[str, Any] = {**MATHS, "power": power, "logaddexp": logaddexp, "nan": math.nan, "inf": math.inf}


def is_scalar(program: Program) -> bool:
    """Whether the program can run on Python floats."""
    if any(leaf.shape != () or leaf.dtype != np.float64 for leaf in program.leaves):
        return False
    for line in program.lines:
        if line.kind != "line" or line.op.name not in TEXTS or line.shape != ():
            return False
        if line.dtype not in (np.float64, np.dtype(bool)) or not all(
            map(is_float, line.args[: line.op.arity])
        ):
            return False
    return program.loss.kind == "line"


def is_float(arg: Any) -> bool:
    """Whether an operand is, or can be written as, a Python float or a bool."""
    if arg.kind != "constant":
        return bool(arg.shape == ())
    return isinstance(arg.ref, (bool, float, np.float64)) or (
        isinstance(arg.ref, int) and abs(arg.ref) < 2**53
    )


class ScalarCode:
    """The text of `step(leaves) -> (loss, *gradients)` on Python floats.

    Attributes:
        text: Python source that defines `step`.
        names: what the text uses beside its arguments.
        arguments, rows, results: the parts of the text, to be written into another function.
    """

    def __init__(self, program: Program) -> None:
        self.names = dict(NAMES)
        self.outputs = [program.loss, *(g for _, g in program.gradients)]
        templates = {line: template(line) for line in program.lines}
        uses: dict[Value, int] = dict.fromkeys(self.outputs, 2)
        for line, text in templates.items():
            for arg, count in zip(operands(line), counts(text), strict=False):
                uses[arg] = uses.get(arg, 0) + count
        # What each value reads when it is written inside another one; one that has a name reads itself.
        reads: dict[Value, list[Value]] = {leaf: [leaf] for leaf in program.leaves}
        last: dict[Value, Value] = {}  # a named value -> the last named line that reads it
        for line in program.lines:
            found = [value for arg in operands(line) if arg.kind != "constant" for value in reads[arg]]
            if uses[line] == 1 and len(found) <= LARGEST:
                reads[line] = found
            else:
                reads[line] = [line]
                last |= dict.fromkeys(found, line)
        for output in self.outputs:
            last.pop(output, None)
        self.texts = {
            leaf: f"{identifier(name_of(leaf.ref) or 'x', 'x')}_{i}" for i, leaf in enumerate(program.leaves)
        }
        self.arguments = list(self.texts.values())
        ends: dict[Value, list[Value]] = {}
        for value, line in last.items():
            if value.kind == "line":
                ends.setdefault(line, []).append(value)
        self.rows: list[str] = []
        free: list[str] = []
        registers = 0
        for line in program.lines:
            text = templates[line].format(*map(self.operand, operands(line)))
            if reads[line] != [line]:
                self.texts[line] = f"({text})"
                continue
            free += [self.texts[value] for value in ends.get(line, ())]
            if free:
                register = free.pop()
            else:
                register, registers = f"r{registers}", registers + 1
            self.texts[line] = register
            self.rows.append(f"{register} = {text}")
        self.results = [self.operand(value) for value in self.outputs]
        body = [f"    {row}" for row in [*self.rows, f"return {', '.join(self.results)},"]]
        self.text = "\n".join([f"def step({', '.join(self.arguments)}):", *body, ""])

    def operand(self, value: Value) -> str:
        """A register, an argument, or a number; whole numbers as floats, which are twice as quick."""
        if value.kind != "constant":
            return self.texts[value]
        number = float(value.ref)
        return repr(number) if number >= 0.0 else f"({number!r})"


@functools.cache
def counts(text: str) -> tuple[int, ...]:
    """How often each operand stands in a text."""
    return tuple(text.count(f"{{{i}}}") for i in range(3))


def operands(line: Value) -> tuple[Value, ...]:
    """The arguments that are values, without the options."""
    return line.args[: line.op.arity]


def template(line: Value) -> str:
    """The op on Python floats; the usual powers by constants without a call."""
    if line.op.name == "power" and line.args[1].kind == "constant":
        exponent = float(line.args[1].ref)
        usual = {2.0: "{0} * {0}", 3.0: "{0} * {0} * {0}", 0.5: "sqrt({0})"}
        return usual.get(exponent, "{0} ** {1}" if exponent.is_integer() else TEXTS["power"])
    return TEXTS[line.op.name]
