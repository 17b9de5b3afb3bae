"""The forward and the backward pass as JavaScript, for pages that have no Python.

The same statements as `lo.source` prints. Every line is first a Python expression, made of the texts in the
table of ops; syntax.py turns it into JavaScript. Ops that only move numbers say themselves where each element
comes from (moving.py). What is left are the functions of runtime.js, named as ops are.
"""

from __future__ import annotations

import ast
import json
import re
import string
from typing import Any, Self

import numpy as np

from tinygrad_lo.engine.graph import Node, Op, mode
from tinygrad_lo.engine.machine.hooks import Check
from tinygrad_lo.engine.machine.recording import Data, Recording
from tinygrad_lo.engine.ops import TABLE
from tinygrad_lo.errors import DTypeError, UnsupportedError
from tinygrad_lo.explaining.moving import Moving
from tinygrad_lo.explaining.source import Source, bracketed
from tinygrad_lo.explaining.syntax import KEYWORDS, functions_called, literals, runtime, script, slots
from tinygrad_lo.explaining.traced import program_of
from tinygrad_lo.losses.loss import Complaint, Place
from tinygrad_lo.options import public
from tinygrad_lo.program.ops import ADD, ASTYPE, BROADCAST_TO, FULL, MULTIPLY, POWER, WHERE
from tinygrad_lo.program.program import Program
from tinygrad_lo.program.value import Value

OF_CONDITIONS = {ADD: "{0} or {1}", MULTIPLY: "{0} and {1}"}  # which NumPy adds and multiplies so
MOVES = {FULL, BROADCAST_TO}  # beside those whose kind says so
# Of conditions; of numbers, bits are refused.
OF_BITS = {
    "bitwise_and": "{0} and {1}", "bitwise_or": "{0} or {1}",
    "bitwise_xor": "{0} != {1}", "invert": "not {0}",
}  # fmt: skip
MOST_ARRAYS = 3  # that a function by element reads


@public
def javascript(loss: Any, *args: Any) -> Source:
    """Print the computation of a loss and of its gradients as JavaScript that needs nothing else.

        loss_and_gradients({X: [[1, 2]], w: [0.5, -1]})   →   {loss: 0, gradients: {w: [0, 0]}}

    It takes numbers and nested lists by the names of `lo.source` (`text.arguments` has them), and refuses
    other shapes, and with the library's own sentences what a loss refuses.

    `lo.javascript(loss)` prints a finished graph: labels, and masks made of them, stay what they were.
    `lo.javascript(f, *args)` records f(*args), as `lo.compile` does, so that all follows its arrays.

    Shapes:   loss: one number that was computed from something that requires a gradient.
    Raises:   GraphError: the loss is no tensor, has several elements, or needs no gradient.
              DTypeError: not in float64, in which JavaScript computes.
              UnsupportedError: an op of yours without `javascript=` in `lo.define_op`, or one that draws.
    Example:
        >>> import tinygrad_lo as lo
        >>> w, x = lo.Parameter(3.0, name="w"), lo.Tensor(2.0, name="x")
        >>> print(lo.javascript((w * x) ** 2).partition("function loss_and")[2])
        _gradients({x, w}) {
          x = read(x, "x", []);
          w = read(w, "w", []);
          const v1 = w * x;
          const loss = v1 ** 2;
        <BLANKLINE>
          // backward
          const dw = 2 * v1 * x;
          return {loss: nested(loss), gradients: {"w": nested(dw)}};
        }
        <BLANKLINE>
    """
    return Script(program_of(loss, args)).text()


class Script(Moving):
    """A program as JavaScript. Expressions are Python's until they are written out."""

    def __init__(self, program: Program) -> None:
        for value in [*program.leaves, *program.lines]:
            must_be_double(value)
        super().__init__(program)
        leaves = [value for value in self.texts if isinstance(value, Value)]
        leaves.sort(key=lambda value: value.kind == "parameter")  # each kind in the order of first use
        self.inputs = {value: self.texts[value] for value in leaves}
        self.texts |= {value: self._free(name) for value, name in self.inputs.items()}
        self.own: dict[Op, str] = {}
        self.bodies: dict[Value, str] = {}  # of what works by element: its text, _0_ for array 0
        self.elements: list[str] = []  # the texts of these arrays

    def _name_ops(self) -> None:
        """The user's ops get their names where they are met."""

    def _name_options(self, options: Any) -> None:
        """Arrays among the options are written out as indices."""

    def _free(self, name: str) -> str:
        """The name, or one that JavaScript and the runtime leave free."""
        return self.taken.fresh(f"{name}_") if name in KEYWORDS or name in runtime() else name

    def _name_of(self, line: Value) -> str:
        return self._free(super()._name_of(line))

    def text(self) -> Source:
        """The function of numbers in nested lists."""
        gradients = dict(self.program.gradients)
        body = self._body()
        pairs = [
            f"{key_text(key)}: nested({self._written(gradients[leaf.ref])})"
            for leaf, key in self.keys.items()
            if leaf.ref in gradients
        ]
        names, reads = [], []
        for value, name in self.inputs.items():
            text, whole = self.texts[value], ", true" * (value.dtype.kind in "iu")
            names.append(name if name == text else f"{name}: {text}")
            reads.append(f"  {text} = read({text}, {in_quotes(name)}, {list(value.shape)}{whole});")
        loss = self._written(self.program.loss)
        result = f"  return {{loss: nested({loss}), gradients: {{{', '.join(pairs)}}}}};"
        function = bracketed("function loss_and_gradients({", names, "}) {")
        return self._whole([*function, *reads, *body, result, "}", ""])

    def results(self, name: str) -> Source:
        """A function of arrays, in the order of `inputs`, that returns all outputs of the program."""
        body = self._body()
        names = ", ".join(self.texts[value] for value in self.inputs)
        results = ", ".join(map(self._written, self.program.outputs))
        return self._whole([f"function {name}({names}) {{", *body, f"  return [{results}];", "}", ""])

    def _whole(self, rows: list[str]) -> Source:
        """The function, below what it needs."""
        rows = [*self.constants, *rows]
        text = Source("\n\n".join([*functions_called("\n".join(rows)), "\n".join(rows)]))
        text.arguments = self.arguments | self.parameters
        return text

    def _written(self, value: Value) -> str:
        return script(self.name_or_expression(value))

    def _title(self, section: str) -> str:
        return f"  // {section.replace('<', '‹')}"  # a page would end its script at a tag

    def _statement(self, line: Value, name: str, expression: str) -> list[str]:
        shape = f"  // {line.shape}" if line.shape else ""
        return [f"  const {name} = {script(expression)};{shape}"]

    def _goes_into_its_user(self, line: Value, expression: str) -> bool:
        """Not into a text that would compute it twice, or once for each element."""
        if not super()._goes_into_its_user(line, expression):
            return False
        user = self.users[line]
        if user.shape == () or user.op.scalar is None or not user.op.elementwise:
            template = self._template(user) if user.shape == () and user.op.scalar is not None else ""
            return template.count(f"{{{user.args.index(line)}}}") < 2
        return line.shape != ()

    def _expression(self, line: Value) -> str:
        """What makes a value, in Python's syntax, of JavaScript's functions."""
        op: Any = line.op
        if op.arity == 0:
            raise UnsupportedError(
                f"javascript: {op.name} draws random numbers; draw them outside and pass them as an argument"
            )
        if op.javascript is not None:
            return self._by_element(line, f"{self._of_user(op)}({slots(op.arity)})")
        is_of_table = TABLE.get(op.name) is op
        if not is_of_table:
            return self._fact(line)
        if op.kind == "moves" or op in MOVES:
            return self._moved(line)
        of_numbers = op.scalar is not None and not any(arg.shape for arg in (line, *line.inputs))
        if of_numbers or op.elementwise or op in (ASTYPE, WHERE):
            return self._by_element(line, self._template(line))
        text = self._called(op.name, line.args)
        return f"each(lambda a: a != 0, {text})" if line.dtype.kind == "b" and line.shape else text

    def _template(self, line: Value) -> str:
        """The op's text on numbers."""
        op: Any = line.op
        if line.dtype.kind == "b" and op in OF_CONDITIONS:
            return OF_CONDITIONS[op]
        if op is POWER and line.args[1].kind == "constant":
            return "{0} ** {1}"
        if op is ASTYPE and line.args[1].kind != "f":
            return "{0} != 0" if line.args[1].kind == "b" else "trunc({0})"
        if op is ASTYPE and line.args[0].dtype.kind != "b":
            return "{0}"
        text: str = op.scalar if op.scalar is not None else f"{op.name}({slots(op.arity)})"
        return text

    def _by_element(self, line: Value, template: str) -> str:
        """A function of numbers over arrays; numbers that have a name are seen from inside."""
        if not any(arg.shape for arg in (line, *line.inputs)):
            return template.format(*(f"({self._operand(arg)})" for arg in line.args))
        body, tokens = self._joined(line, template, fused=True)
        if len(tokens) > MOST_ARRAYS:
            body, tokens = self._joined(line, template, fused=False)
        self.bodies[line] = body
        names = re.findall(r"\w+", body)
        letters = iter(letter for letter in string.ascii_lowercase if letter not in names)
        inside = dict(zip(tokens, letters, strict=False))
        body = re.sub(r"_\d+_", lambda match: inside[match[0]], body)
        arrays = ", ".join(self.elements[int(token[1:-1])] for token in tokens)
        return f"each(lambda {', '.join(inside.values())}: {body}, {arrays})"

    def _joined(self, line: Value, template: str, *, fused: bool) -> tuple[str, list[str]]:
        """The template with tokens for the elements of arrays, and these; fused, with what makes them."""
        parts = [
            self._element(arg, line.shape, fused=fused and template.count(f"{{{i}}}") == 1)
            if isinstance(arg, Value)
            else literals(arg)
            for i, arg in enumerate(line.args)
        ]
        body = template.format(*(f"({part})" for part in parts))
        return body, list(dict.fromkeys(re.findall(r"_\d+_", body)))

    def _element(self, value: Value, shape: tuple[int, ...], *, fused: bool) -> str:
        """A number, or a token for the element of an array; or the text of one that is made on the way."""
        text = self.name_or_expression(value)
        if value.kind == "constant" or (value.shape == () and text.isidentifier()):
            return text
        if fused and value in self.inside and value in self.bodies and value.shape == shape:
            return self.bodies[value]
        if text not in self.elements:
            self.elements.append(text)
        return f"_{self.elements.index(text)}_"

    def _of_user(self, op: Any) -> str:
        """The user's op, as a function of numbers before the program."""
        if op not in self.own:
            name = self.own[op] = self.taken.fresh(f"my_{op.name}")
            letters = string.ascii_lowercase[: op.arity]
            self.constants.append(
                f"const {name} = ({', '.join(letters)}) => {op.javascript.format(*letters)};"
            )
        return self.own[op]

    def _fact(self, line: Value) -> str:
        """What a NumPy function without a derivative says, as it was written down."""
        conditions = all(arg.dtype.kind == "b" for arg in line.inputs)
        if line.op.name in OF_BITS and conditions and OF_BITS[line.op.name].count("{") == len(line.args):
            return self._by_element(line, OF_BITS[line.op.name])
        texts = [self._operand(arg) for arg in line.args]
        call = ast.parse(line.op.spelling.format(*(f"({text})" for text in texts)), mode="eval").body
        name = line.op.name
        if not isinstance(call, ast.Call) or name not in runtime():
            raise UnsupportedError(f"javascript: np.{name} has no JavaScript; compute it outside and pass it")
        if isinstance(getattr(np, name), np.ufunc):
            return self._by_element(line, f"{name}({slots(line.op.arity)})")
        given = [*call.args, *(keyword.value for keyword in call.keywords)]
        return f"{name}({', '.join(map(ast.unparse, given))})"

    def _effect(self, line: Value) -> list[str]:
        """A check of the library, or of the way that Python went. What is changed outside stays as it is."""
        value, *facts = line.args
        if line.op is None:
            return [f"  branch({self._written(value)}, {str(line.ref).lower()});"]
        if not isinstance(line.op, Check) or not isinstance(line.op.complain, Complaint):
            return []
        complaint = line.op.complain
        with Recording() as recording, mode("grad_off", False):
            x = Data(np.zeros(value.shape, value.dtype)[()])
            looked_at = complaint.of(x)
            mask = complaint.holds(looked_at, *facts)
        if not isinstance(mask, Node):  # it holds for every number
            return []
        test = Program(mask, recording, exact=False)
        self.texts |= {leaf: f"({self._operand(value)})" for leaf in test.leaves}
        for part in test.lines:
            self.texts[part] = f"({self._expression(part)})"
        looked = self.texts[test.value_of(looked_at)] if looked_at is not x else self._operand(value)
        words = str(complaint.error(Hole("\1", "\3"), Hole("\2", "\2"), *facts))
        is_float = str(value.dtype.kind == "f").lower()
        return [f"  require({self._written(test.loss)}, {script(looked)}, {in_quotes(words)}, {is_float});"]


class Hole(Place):
    """Stands in a message for a value, or for its place; without a format, and with one."""

    plain: str
    formatted: str

    def __new__(cls, plain: str, formatted: str) -> Self:
        """A hole that shows as these."""
        hole = super().__new__(cls)
        hole.plain, hole.formatted = plain, formatted
        return hole

    def __str__(self) -> str:
        return self.plain

    def __format__(self, spec: str) -> str:
        return self.formatted if spec else self.plain

    def __lt__(self, other: Any) -> bool:
        return False


def must_be_double(value: Value) -> None:
    """Raise for other numbers than JavaScript computes with."""
    wraps = np.dtype(value.dtype).kind in "iu" and value.dtype != np.int64
    if wraps and value.kind == "line" and value.op.elementwise:
        raise DTypeError(
            f"javascript: {value.op.name} of {value.dtype} wraps around at its ends, which numbers in "
            f"JavaScript do not; pass int64 or float64"
        )
    if value.dtype in (np.float32, np.float16):
        who = f"{value.name!r}" if value.name else "a value"
        raise DTypeError(
            f"javascript: {who} is {value.dtype}, and JavaScript computes in float64; make parameters and "
            f"data float64, e.g. lo.Parameter(w.data.astype(float))"
        )


def key_text(name: str) -> str:
    """A name as the key of an object; written plainly, one of them would set what objects inherit from."""
    return f"[{in_quotes(name)}]" if name == "__proto__" else in_quotes(name)


def in_quotes(text: str) -> str:
    """A text as JavaScript has it, also inside of a page."""
    return json.dumps(text, ensure_ascii=False).replace("<", "\\u003c")
