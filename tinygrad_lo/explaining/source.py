"""The forward and the backward pass as the NumPy that a student would have written by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.backward import start
from tinygrad_lo.engine.graph import Array, Node, Op
from tinygrad_lo.engine.machine.arguments import memory
from tinygrad_lo.errors import GraphError
from tinygrad_lo.explaining.formula import one_line
from tinygrad_lo.explaining.program import Program
from tinygrad_lo.explaining.spelling import (
    Taken,
    defined,
    helpers,
    identifier,
    is_own,
    number,
    spelled,
    statements,
    tidy,
)
from tinygrad_lo.explaining.value import FRESH, Value

WIDTH = 76  # an expression that goes into another one is not longer than this
LONG = 88  # a line, its shape not counted, is not longer if it can be helped
HEAD = '    """The loss, and its gradient by each parameter."""'


class Source(str):
    """A program as text.

    Attributes:
        arguments: the data and parameters of the graph it was printed from, by the names in the text.
    """

    __slots__ = ("arguments",)
    arguments: dict[str, Array]


def source(loss: Any) -> Source:
    """Print the computation of a loss and of its gradients as a Python function, which runs as printed.

        namespace = {}
        exec(text, namespace)
        loss, gradients = namespace["loss_and_gradients"](**text.arguments)

    The function takes the data and then the parameters, in the order of first use, and returns the loss
    and a dict of gradients. It has the user's names, made into Python names; what has none is v1, v2,
    ..., data x1, labels y1. Scopes are comments, shapes stand at the end of the line. Random masks are
    data. It agrees with the engine to the last bit in float64. Changes nothing.

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
    program = Program(loss)
    return Printer(program).text()


class Printer:
    """Names for the values of a program, and its lines as text."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.lines = [line for line in program.lines if line.kind == "line"]
        self.imports = ["import numpy as np"]
        self.functions = helpers(self.lines)
        self.texts: dict[Value, str] = {}
        self.arrays: dict[tuple[Any, ...], str] = {}
        self.arguments: dict[str, Array] = {}
        self.parameters: dict[str, Array] = {}
        self.keys: dict[Value, str] = {}
        self.uses: dict[Value, int] = {}
        self.taken = Taken("loss", "loss_and_gradients", *defined(self.functions))
        self.ops: dict[Op, str] = {}
        self._name_ops()
        outputs = [program.loss, *(g for _, g in program.gradients)]
        for value in outputs:
            self.uses[value] = self.uses.get(value, 0) + 2
        for line in self.lines:
            for arg in line.inputs:
                self.uses[arg] = self.uses.get(arg, 0) + 1
        self.users = {arg: line for line in self.lines for arg in line.inputs}
        self.inside: dict[Value, str] = {}  # values written where they are used -> their expression
        self._name_leaves()
        leaves = {leaf.ref: leaf for leaf in self.keys}
        self.slopes = {g: f"d{self.texts[leaves[node]]}" for node, g in program.gradients if node in leaves}

    def _name_ops(self) -> None:
        """The user's ops are functions of the program, under names of their own."""
        for line in self.lines:
            if is_own(line.op) and line.op not in self.ops:
                name = self.ops[line.op] = self.taken.fresh(identifier(line.op.name, "op"))
                self.imports = ["import numpy as np", "", "import tinygrad_lo as lo"]
                self.functions.append(f"{name} = lo.engine.ops.TABLE[{line.op.name!r}].forward")
                for value in getattr(line.op.forward, "keywords", {}).values():
                    if isinstance(value, ndarray):
                        self._name_option(value)

    def _name_leaves(self) -> None:
        """The arguments: data, then parameters, each in the order of first use."""
        keys = Taken()
        outputs = (self.program.loss, *(g for _, g in self.program.gradients))
        for line in [*self.lines, Value("line", 0.0, args=outputs)]:
            for arg in line.args:
                for value in arg if isinstance(arg, tuple) else (arg,):
                    if isinstance(value, ndarray):
                        self._name_option(value)
                if not isinstance(arg, Value) or arg in self.texts or arg.kind not in ("data", "parameter"):
                    continue
                data = arg.ref.value
                if arg.kind == "parameter":
                    name = self._name(arg.name, "w")
                    self.parameters[name] = data
                    self.keys[arg] = keys.fresh(arg.name or name)
                else:
                    name = self._name(arg.name, "y" if arg.dtype.kind in "iu" else "x")
                    self.arguments[name] = data
                self.texts[arg] = name

    def _name(self, name: str | None, kind: str) -> str:
        if name is None:
            return self.taken.numbered(kind)
        return self.taken.fresh(identifier(name, kind))

    def _name_option(self, array: Array) -> None:
        key = memory(array)
        if key not in self.arrays:
            self.arrays[key] = self.taken.numbered("i")
            self.arguments[self.arrays[key]] = array

    def expression(self, value: Any) -> str:
        """The name of a value, or the expression that stands for it."""
        if isinstance(value, ndarray):
            return self.arrays[memory(value)]
        if isinstance(value, Op):
            return self.ops[value]
        if value.kind == "constant":
            return number(value.ref, [value.dtype] if value.dtype in (np.float32, np.float16) else [])
        return self.texts[value]

    def result(self, value: Value, again: bool = False) -> str:
        """What the function returns: NumPy numbers, and arrays that share memory with nothing."""
        if value.kind == "constant":
            data = np.asarray(value.ref)
            return f"np.{data.dtype}({number(data.item(), [])})"
        shares = again or value.kind != "line" or value.op.name not in FRESH
        return f"({self.expression(value)}).copy()" if shares and value.shape else self.expression(value)

    def text(self) -> Source:
        """The whole program."""
        body = self._body()
        names = [*self.arguments, *self.parameters]
        gradients = dict(self.program.gradients)
        given: dict[Value, None] = {}
        pairs = {}
        for leaf, key in self.keys.items():
            if leaf.ref in gradients:
                g = gradients[leaf.ref]
                pairs[key] = tidy(self.result(g, again=g in given))
                given[g] = None
        result = [f"{quoted_key(key)}: {name}" for key, name in pairs.items()]
        loss = tidy(self.result(self.program.loss))
        body += wrapped(f"    return {loss}, {{", result, "}")
        functions = [part for function in self.functions for part in ("", "", function)]
        head = ["", "", *wrapped("def loss_and_gradients(", names, "):"), HEAD]
        text = Source("\n".join([*self.imports, *functions, *head, *body, ""]))
        text.arguments = {**self.arguments, **self.parameters}
        return text

    def _body(self) -> list[str]:
        """The lines of the function, scopes as comments between them."""
        rows: list[str] = []
        section = ""
        for line in self.lines:
            single = line.op.name not in ("scatter", "regather")
            expression = tidy(spelled(line, self.expression)) if single else ""
            if single and self._goes_into_its_user(line, expression):
                self.inside[line] = expression
                self.texts[line] = f"({expression})"
                continue
            where = section_of(line)
            if where != section and where:
                rows += ["", f"    # {where}"]
            section = where
            name = self._name_of(line)
            inner = sorted(
                (arg for arg in line.inputs if arg in self.inside), key=lambda arg: len(self.inside[arg])
            )
            while single and inner and len(name) + len(expression) > LONG:
                rows.append(self._row(inner.pop()))  # on a line of its own after all
                expression = tidy(spelled(line, self.expression))
            self.texts[line] = name
            if single:
                rows.append(with_shape(f"    {name} = {expression}", line))
            else:
                first, *more = statements(name, line, self.expression) or []
                rows += [with_shape(f"    {first}", line), *(f"    {text}" for text in more)]
        return rows

    def _row(self, line: Value) -> str:
        """The line of a value that was to be written where it is used."""
        name = self._name_of(line)
        self.texts[line] = name
        return with_shape(f"    {name} = {self.inside.pop(line)}", line)

    def _goes_into_its_user(self, line: Value, expression: str) -> bool:
        """Whether a value is written where it is used instead of on a line of its own."""
        user = self.users.get(line)
        return (
            user is not None
            and line.name is None
            and self.uses[line] == 1
            and len(expression) <= WIDTH
            and section_of(line) == section_of(user)
        )

    def _name_of(self, line: Value) -> str:
        if line is self.program.loss:
            return "loss"
        if line in self.slopes and line.backward:
            return self.taken.fresh(self.slopes[line])
        if line.name is None:
            return self.taken.numbered("v")
        return self.taken.fresh(identifier(line.name, "v"))


def quoted_key(key: str) -> str:
    """A name as a key of the dict, in double quotes unless that takes escapes."""
    plain = key.isprintable() and not any(c in key for c in '"\\')
    return f'"{key}"' if plain else repr(key)


def section_of(line: Value) -> str:
    """The comment above the line."""
    titles = " / ".join(" ".join(one_line(title).split())[:60] for title, _ in line.scope)
    return "backward" * line.backward + ": " * bool(line.backward and titles) + titles


def with_shape(text: str, line: Value) -> str:
    """The text of a line with the shape of its value at the end."""
    return f"{text}  # {line.shape}" if line.shape else text


def wrapped(begin: str, items: list[str], end: str) -> list[str]:
    """Items between brackets: in one line, or in as many as they need."""
    line = begin + ", ".join(items) + end
    if len(line) <= LONG:
        return [line]
    margin = " " * (len(begin) - len(begin.lstrip()))
    return [begin, *(f"{margin}    {item}," for item in items), margin + end]
