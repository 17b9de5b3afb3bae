"""One statement as NumPy text: the op table's spelling with names put in, parentheses only where needed."""

from __future__ import annotations

import ast
import inspect
import keyword
import textwrap
import unicodedata
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Op
from tinygrad_lo.engine.naming import ScopePath
from tinygrad_lo.engine.ops import TABLE
from tinygrad_lo.engine.ops.indexing import filled_in, fold_forward, positions, windows_forward
from tinygrad_lo.program.value import Value, named_after_op

Text = Callable[[Any], str]  # a value or an array among the options -> its name or expression
RESERVED = frozenset({*keyword.kwlist, *keyword.softkwlist, *dir(__import__("builtins")), "np", "lo"})


def tidy(expression: str) -> str:
    """The expression without the parentheses that precedence makes unnecessary."""
    return ast.unparse(ast.parse(expression, mode="eval"))


def expression_of(line: Value, text: Text) -> str:
    """What makes the line's value, as one expression; every operand in parentheses."""
    op = line.op
    if is_own(op):
        return written_call(line, text)
    if op in SPECIAL:
        return SPECIAL[op](line, text)
    template: str = op.spelling
    if op.arity is None:
        operands = ", ".join(map(text, line.args[:-1]))
        return template.replace("*{0}", "{0}").format(f"({operands},)", argument(line.args[-1], text))
    for i, value in enumerate(line.args):
        if value is None or value is False:  # options that say nothing
            template = template.replace(f", axis={{{i}}}", "").replace(f", keepdims={{{i}}}", "")
    strong = [arg.dtype for arg in line.inputs if arg.kind != "constant"]
    return template.format(*(f"({operand(arg, strong, text)})" for arg in line.args))


def is_own(op: Op) -> bool:
    """Whether an op is the user's and has no NumPy text of its own, or options that the text lacks."""
    if op in SPECIAL or op in STATEMENTS:
        return False
    return op.spelling.startswith(f"{op.name}(") or TABLE.get(op.name, op) is not op


def written_call(line: Value, text: Text) -> str:
    """A call of the user's function."""
    args = [operand(arg, [], text) for arg in line.args]
    keywords = getattr(line.op.forward, "keywords", {})
    args += [f"{key}={argument(value, text)}" for key, value in keywords.items()]
    return f"{text(line.op)}({', '.join(args)})"


def operand(arg: Any, strong: list[Any], text: Text) -> str:
    """A value or an option; a constant as it stands beside values of these dtypes."""
    if not isinstance(arg, Value):
        return argument(arg, text)
    return literal(arg.ref, strong) if arg.kind == "constant" else text(arg)


def literal(value: Any, beside: list[Any]) -> str:
    """A constant as text: plain, unless its dtype decides that of the result beside other dtypes."""
    plain = value.item() if isinstance(value, np.generic) else value
    words = {"inf": "np.inf", "-inf": "-np.inf", "nan": "np.nan"}
    text = words.get(repr(plain), repr(plain))
    strong = isinstance(value, np.generic)
    if strong and np.result_type(value.dtype, *beside) != np.result_type(plain, *beside):
        return f"np.{value.dtype}({text})"
    return text


def argument(value: Any, text: Text) -> str:
    """An axis, a shape, a dtype or an index as text; a tuple of one int as the int."""
    if isinstance(value, (ndarray, Value)):
        return text(value)
    if isinstance(value, np.dtype):
        return "bool" if value.kind == "b" else f"np.{value}"
    if isinstance(value, (np.generic, float)):
        return literal(value, [])
    if isinstance(value, (tuple, list)):
        parts = [argument(part, text) for part in value]
        listed = ", ".join(parts)
        if isinstance(value, list):
            return f"[{listed}]"
        if len(parts) == 1:
            return listed if isinstance(value[0], int) else f"({listed},)"
        return f"({listed})"
    return "..." if value is Ellipsis else repr(value)


def index(value: Any, text: Text) -> str:
    """What stands between the brackets of x[...]."""
    if isinstance(value, tuple):
        listed = ", ".join(index(part, text) for part in value)
        return f"{listed}," if len(value) == 1 else listed or "()"
    return slice_text(value) if isinstance(value, slice) else argument(value, text)


def slice_text(value: slice) -> str:
    parts = ["" if part is None else str(part) for part in (value.start, value.stop, value.step)]
    return ":".join(parts[:2] if value.step is None else parts)


SPECIAL: dict[Op, Callable[[Value, Text], str]] = {}
STATEMENTS: dict[Op, Callable[[str, Value, Text], list[str]]] = {}  # of ops that take more than an expression
WINDOWS, FOLD = TABLE["windows"], TABLE["fold"]
HELPERS = {WINDOWS: (positions, windows_forward), FOLD: (fold_forward,)}  # what NumPy does not have
expression, statements = named_after_op(SPECIAL), named_after_op(STATEMENTS)


@expression
def text_getitem(line: Value, text: Text) -> str:
    return f"({text(line.args[0])})[{index(line.args[1], text)}]"


@expression
def text_where(line: Value, text: Text) -> str:
    strong = [arg.dtype for arg in line.inputs[1:] if arg.kind != "constant"]
    parts = ", ".join(operand(arg, strong, text) for arg in line.args)
    return f"np.where({parts}){as_number(line)}"


def as_number(line: Value) -> str:
    """What makes a number of an array without axes."""
    return "" if line.shape else "[()]"


@expression
def text_gather(line: Value, text: Text) -> str:
    x, *arrays, pattern = line.args
    where = filled_in(pattern, tuple(arrays))
    return f"({text(x)})[{index(where[0] if len(where) == 1 else where, text)}]"


@expression
def text_transpose(line: Value, text: Text) -> str:
    x, axes = line.args
    return f"({text(x)}).T" if axes is None else f"np.transpose({text(x)}, {axes})"


@expression
def text_matmul(line: Value, text: Text) -> str:
    a, b = line.args
    if len(a.shape) == len(b.shape) == 2 and not (a.dense and b.dense):
        # The engine calls .dot; with gaps, steps back or repeats in memory, @ adds in another order.
        return f"({text(a)}).dot({text(b)})"
    return f"({text(a)}) @ ({text(b)})"


@expression
def text_einsum(line: Value, text: Text) -> str:
    *operands, subscripts = line.args
    more = ", optimize=True" if len(operands) > 1 else ""
    return f"np.einsum({subscripts!r}, {', '.join(map(text, operands))}{more}){as_number(line)}"


@expression
def text_put(line: Value, text: Text) -> str:
    g, labels, classes = line.args
    equal = f"({text(labels)})[..., None] == np.arange({classes.ref})"
    return f"np.where({equal}, {operand(g, [], text)}, 0)"


@expression
def text_reshape(line: Value, text: Text) -> str:
    return f"np.reshape({text(line.args[0])}, {line.args[1]}){as_number(line)}"


@expression
def text_windows(line: Value, text: Text) -> str:
    return f"{line.op.name}({', '.join([text(line.args[0]), *map(repr, line.args[1:])])})"


SPECIAL[FOLD] = text_windows


@statements
def lines_scatter(name: str, line: Value, text: Text) -> list[str]:
    g, shape, where = line.args
    parts = where if isinstance(where, tuple) else (where,)
    if any(isinstance(part, ndarray) and part.dtype.kind in "iu" for part in parts):
        return added_at(name, line, shape, where, text)  # one element may be named twice
    return [zeros(name, shape, line.dtype), f"{name}[{index(where, text)}] = {tidy(text(g))}"]


@statements
def lines_regather(name: str, line: Value, text: Text) -> list[str]:
    _, *arrays, (shape, pattern) = line.args
    return added_at(name, line, shape, filled_in(pattern, tuple(arrays)), text)


def added_at(name: str, line: Value, shape: Any, where: Any, text: Text) -> list[str]:
    """Zeros to which elements are added, some of them perhaps several times."""
    place = index(where, text)
    place = f"np.s_[{place}]" if isinstance(where, tuple) and len(where) > 1 else place
    wide = np.promote_types(line.dtype, np.float32)
    added = f"np.add.at({name}, {place.removesuffix(',')}, {tidy(text(line.args[0]))})"
    rows = [zeros(name, shape, wide), added]
    return [*rows, f"{name} = {name}.astype(np.{line.dtype})"] if wide != line.dtype else rows


def zeros(name: str, shape: Any, dtype: Any) -> str:
    return f"{name} = np.zeros({shape}{'' if dtype == np.float64 else f', np.{dtype}'})"


def helpers(lines: list[Value]) -> dict[str, str]:
    """Functions that the lines need beside NumPy, as a script has them, without annotations: name -> text."""
    texts = {}
    for function in dict.fromkeys(function for line in lines for function in HELPERS.get(line.op, ())):
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                node.name, node.returns = node.name.removesuffix("_forward"), None
            elif isinstance(node, ast.arg):
                node.annotation = None
        texts[function.__name__.removesuffix("_forward")] = ast.unparse(tree)
    return texts


def one_line(written: str) -> str:
    """A name in one line, without characters that control a terminal or that no font has."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in written)


def section(scope: ScopePath, backward: bool) -> str:
    """The comment above the lines of a scope."""
    titles = " / ".join(" ".join(one_line(title).split())[:60] for title, _ in scope)
    return "backward" * backward + ": " * bool(backward and titles) + titles


def identifier(name: str, otherwise: str) -> str:
    """A user's name as a Python name: `log p` -> log_p, `j≠y` -> j_y, `class` -> class_."""
    # Python normalizes identifiers: without this, two names could be one.
    text = unicodedata.normalize("NFKC", name)
    text = "".join(c if f"a{c}".isidentifier() else "_" for c in text)
    while "__" in text:
        text = text.replace("__", "_")
    text = text[:40].strip("_")
    if not text:
        return otherwise
    if not text.isidentifier():
        text = f"{otherwise}_{text}"
    return f"{text}_" if text in RESERVED else text


class Taken:
    """Names that are used already; each new one gets a number if it must."""

    def __init__(self, *names: str) -> None:
        self.names = dict.fromkeys(names)
        self.next: dict[str, int] = {}  # where to go on counting

    def fresh(self, name: str) -> str:
        """The name, or the name with the first number that is free."""
        if name in self.names:
            return self.numbered(f"{name}_", 2)
        self.names[name] = None
        return name

    def named(self, name: str, otherwise: str) -> str:
        """A user's name as a Python name of its own."""
        return self.fresh(identifier(name, otherwise))

    def numbered(self, kind: str, first: int = 1) -> str:
        """The next free name of a kind: x1, x2, ..."""
        n = self.next.get(kind, first)
        while f"{kind}{n}" in self.names:
            n += 1
        self.next[kind] = n + 1
        self.names[f"{kind}{n}"] = None
        return f"{kind}{n}"
