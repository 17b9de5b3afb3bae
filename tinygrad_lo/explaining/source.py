"""The forward and the backward pass as the NumPy that a student would have written by hand."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.backward import start
from tinygrad_lo.engine.graph import Array, Node
from tinygrad_lo.engine.machine.arguments import memory
from tinygrad_lo.errors import GraphError
from tinygrad_lo.explaining.formula import Printed
from tinygrad_lo.options import public
from tinygrad_lo.program.program import Program
from tinygrad_lo.program.text import STATEMENTS, Taken, expression_of, helpers, is_own, literal, tidy
from tinygrad_lo.program.value import Value

WIDTH = 76  # an expression that goes into another one is not longer than this
LONG_ROW = 88  # a line, its shape not counted, is not longer if it can be helped


class Source(Printed):
    """A program as text.

    Attributes:
        arguments: the data and parameters of the graph it was printed from, by the names in the text.
    """

    __slots__ = ("arguments",)
    arguments: dict[str, Array]


@public
def source(loss: Any) -> Source:
    """Print the computation of a loss and of its gradients as a Python function, which runs as printed.

        namespace = {}
        exec(text, namespace)
        loss, gradients = namespace["loss_and_gradients"](**text.arguments)

    It takes the data and then the parameters, in the order of first use. Names are the user's, made into
    Python's; what has none is v1, v2, ..., data x1, labels y1. Scopes are comments, shapes end the lines.
    Random masks are data. It agrees with the engine to the last bit in float64.

    Shapes:   loss: one number that was computed from something that requires a gradient.
    Raises:   GraphError: the loss is no tensor, has several elements, or needs no gradient.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> X, w = lo.Tensor([[1.0, 2.0]], name="X"), lo.Parameter([0.5, -1.0], name="w")
        >>> print(lo.source(lo.losses.mse(X @ w, np.array([1.0]))))
        import numpy as np
        <BLANKLINE>
        <BLANKLINE>
        def loss_and_gradients(X, target, w):
            \"\"\"The loss, and its gradient by each parameter.\"\"\"
            v1 = X @ w  # (1,)
        ...
    """
    if not isinstance(loss, Node):
        raise GraphError(f"source: expected a tensor, the loss, got {type(loss).__name__}")
    start(loss, None, "source")  # refuses what has no gradient
    return Printer(Program(loss)).text()


class Printer:
    """Names for the values of a program, and its lines as text."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.lines = [line for line in program.lines if line.kind == "line"]
        self.imports = ["import numpy as np"]
        needed = helpers(self.lines)
        self.functions = list(needed.values())
        self.taken = Taken("loss", "loss_and_gradients", *needed)
        self.texts: dict[Any, str] = {}  # of values, of the user's ops, of arrays by where they lie in memory
        self.arguments: dict[str, Array] = {}
        self.parameters: dict[str, Array] = {}
        self.keys: dict[Value, str] = {}  # of the parameters, in the dict of gradients
        self._name_ops()
        self._name_leaves()
        read = [arg for line in self.lines for arg in line.inputs]
        # What is returned has two uses more, so that it gets a line of its own.
        self.uses = Counter([*read, *program.outputs, *program.outputs])
        self.users = {arg: line for line in self.lines for arg in line.inputs}
        self.inside: dict[Value, str] = {}  # values written where they are used -> their expression
        leaves = {leaf.ref: self.texts[leaf] for leaf in self.keys}
        self.slopes = {g: f"d{leaves[node]}" for node, g in program.gradients if node in leaves}

    def _name_ops(self) -> None:
        """The user's ops are functions of the program, under names of their own."""
        for line in self.lines:
            if is_own(line.op) and line.op not in self.texts:
                name = self.texts[line.op] = self.taken.named(line.op.name, "op")
                self.imports = ["import numpy as np", "", "import tinygrad_lo as lo"]
                self.functions.append(f"{name} = lo.engine.ops.TABLE[{line.op.name!r}].forward")
                self._name_options(tuple(getattr(line.op.forward, "keywords", {}).values()))

    def _name_leaves(self) -> None:
        """The arguments: data, then parameters, each in the order of first use."""
        keys = Taken()
        for arg in [*(arg for line in self.lines for arg in line.args), *self.program.outputs]:
            self._name_options(arg)
            if not isinstance(arg, Value) or arg in self.texts:
                continue
            if arg.kind == "parameter":
                name = self.texts[arg] = self._name(arg.name, "w")
                self.parameters[name] = arg.ref.value
                self.keys[arg] = keys.fresh(arg.name or name)
            elif arg.kind == "data":
                name = self.texts[arg] = self._name(arg.name, "y" if arg.dtype.kind in "iu" else "x")
                self.arguments[name] = arg.ref.value

    def _name_options(self, options: Any) -> None:
        """Arrays among the options of ops are arguments, too."""
        for option in options if isinstance(options, tuple) else (options,):
            if isinstance(option, ndarray) and memory(option) not in self.texts:
                name = self.texts[memory(option)] = self.taken.numbered("i")
                self.arguments[name] = option

    def _name(self, name: str | None, kind: str) -> str:
        return self.taken.numbered(kind) if name is None else self.taken.named(name, kind)

    def _name_of(self, line: Value) -> str:
        if line is self.program.loss:
            return "loss"
        if line in self.slopes and line.backward:
            return self.taken.fresh(self.slopes[line])
        return self._name(line.name, "v")

    def name_or_expression(self, value: Any) -> str:
        """The name of a value, or the expression that stands for it."""
        if isinstance(value, Value) and value.kind == "constant":
            return literal(value.ref, [value.dtype] if value.dtype in (np.float32, np.float16) else [])
        return self.texts[memory(value) if isinstance(value, ndarray) else value]

    def text(self) -> Source:
        """The whole program."""
        body = self._body()
        gradients = dict(self.program.gradients)
        returned: set[Value] = set()
        pairs = []
        for leaf, key in self.keys.items():
            g = gradients.get(leaf.ref)
            if g is not None:
                pairs.append(f"{quoted_key(key)}: {self._result(g, again=g in returned)}")
                returned.add(g)
        arguments = self.arguments | self.parameters
        head = [*self.imports, *(f"\n\n{function}" for function in self.functions), "", ""]
        head += bracketed("def loss_and_gradients(", list(arguments), "):")
        head.append('    """The loss, and its gradient by each parameter."""')
        end = bracketed(f"    return {self._result(self.program.loss)}, {{", pairs, "}")
        text = Source("\n".join([*head, *body, *end, ""]))
        text.arguments = arguments
        return text

    def _result(self, value: Value, again: bool = False) -> str:
        """What the function returns: NumPy numbers, and arrays that share memory with nothing."""
        if value.kind == "constant":
            data = np.asarray(value.ref)
            return f"np.{data.dtype}({literal(data.item(), [])})"
        shares = again or value.kind != "line" or not value.op.fresh
        text = self.name_or_expression(value)
        return tidy(f"({text}).copy()" if shares and value.shape else text)

    def _body(self) -> list[str]:
        """The lines of the function, scopes as comments between them."""
        rows: list[str] = []
        here = ""
        for line in self.program.lines:
            if line.kind == "effect":
                rows += self._effect(line)
                continue
            expression = self._expression(line)
            if self._goes_into_its_user(line, expression):
                self.inside[line] = expression
                self.texts[line] = f"({expression})"
                continue
            if line.section != here and line.section:
                rows += ["", self._title(line.section)]
            here = line.section
            name = self._name_of(line)
            rows += self._statement(line, name, expression)
            self.texts[line] = name
        return rows

    def _effect(self, _: Value) -> list[str]:
        return []

    def _expression(self, line: Value) -> str:
        return "" if line.op in STATEMENTS else tidy(expression_of(line, self.name_or_expression))

    def _title(self, section: str) -> str:
        return f"    # {section}"

    def _statement(self, line: Value, name: str, expression: str) -> list[str]:
        """One line, below lines for the longest values inside of it if it is too long."""
        if not expression:
            first, *more = STATEMENTS[line.op](name, line, self.name_or_expression)
            return [with_shape(first, line), *(f"    {text}" for text in more)]
        inner = [arg for arg in line.inputs if arg in self.inside]
        inner.sort(key=lambda arg: len(self.inside[arg]))
        rows = []
        while inner and len(name) + len(expression) > LONG_ROW:
            value = inner.pop()  # on a line of its own after all
            self.texts[value] = self._name_of(value)
            rows.append(with_shape(f"{self.texts[value]} = {self.inside.pop(value)}", value))
            expression = self._expression(line)
        return [*rows, with_shape(f"{name} = {expression}", line)]

    def _goes_into_its_user(self, line: Value, expression: str) -> bool:
        """Whether a value is written where it is used instead of on a line of its own."""
        alone = line.name is None and self.uses[line] == 1 and line in self.users
        return alone and 0 < len(expression) <= WIDTH and line.section == self.users[line].section


def quoted_key(key: str) -> str:
    """A name as a key of the dict, in double quotes unless that takes escapes."""
    plain = key.isprintable() and not any(c in key for c in '"\\')
    return f'"{key}"' if plain else repr(key)


def with_shape(text: str, line: Value) -> str:
    """A line of the function with the shape of its value at the end."""
    return f"    {text}  # {line.shape}" if line.shape else f"    {text}"


def bracketed(begin: str, items: list[str], end: str) -> list[str]:
    """Items between brackets: in one line, or in as many as they need."""
    line = begin + ", ".join(items) + end
    if len(line) <= LONG_ROW:
        return [line]
    margin = " " * (len(begin) - len(begin.lstrip()))
    return [begin, *(f"{margin}    {item}," for item in items), margin + end]
