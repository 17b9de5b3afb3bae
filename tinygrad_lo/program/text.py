"""One statement as NumPy text: the op table's spelling with names put in, parentheses only where needed."""

from __future__ import annotations

import ast
import inspect
import keyword
import re
import textwrap
import unicodedata
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Op
from tinygrad_lo.engine.ops import TABLE
from tinygrad_lo.engine.ops.indexing import filled_in, fold_forward, positions, windows_forward
from tinygrad_lo.program.value import Value

Text = Callable[[Any], str]  # a value or an array among the options -> its name or expression
DEFAULTS = re.compile(r", (axis|keepdims)=\{(\d)\}")
RESERVED = frozenset({*keyword.kwlist, *keyword.softkwlist, *dir(__import__("builtins")), "np", "lo"})


def tidy(expression: str) -> str:
    """The expression without the parentheses that precedence makes unnecessary."""
    return ast.unparse(ast.parse(expression, mode="eval"))


def spelled(line: Value, text: Text) -> str:
    """What makes the line's value, as one expression; every operand in parentheses."""
    op = line.op
    args = line.args
    if is_own(op):
        options = getattr(op.forward, "keywords", {})
        given = [text(arg) if arg.kind != "constant" else number(arg.ref, []) for arg in args]
        given += [f"{key}={option(value, text)}" for key, value in options.items()]
        return f"{text(op)}({', '.join(given)})"
    custom = SPECIAL.get(op.name)
    if custom is not None:
        return custom(line, text)
    if op.arity is None:
        parts = ", ".join(text(arg) for arg in args[:-1])
        return op.spelling.replace("*{0}", "{0}").format(f"({parts},)", option(args[-1], text))  # type: ignore[no-any-return]

    def keep(match: re.Match[str]) -> str:
        value = args[int(match[2])]
        return "" if value is None or value is False else match[0]

    template = DEFAULTS.sub(keep, op.spelling)
    strong = [arg.dtype for arg in line.inputs if arg.kind != "constant"]
    texts = []
    for arg in args:
        if isinstance(arg, Value) and arg.kind == "constant":
            texts.append(f"({number(arg.ref, strong)})")
        elif isinstance(arg, Value):
            texts.append(f"({text(arg)})")
        else:
            texts.append(option(arg, text))
    return template.format(*texts)


def number(value: Any, beside: list[Any]) -> str:
    """A constant as text: plain, unless its dtype decides that of the result beside other dtypes."""
    plain = float(value) if isinstance(value, (float, np.floating)) else value
    if isinstance(plain, np.generic):
        plain = plain.item()
    words = {"inf": "np.inf", "-inf": "-np.inf", "nan": "np.nan"}
    text = words.get(repr(plain), repr(plain))
    strong = isinstance(value, np.generic)
    if strong and np.result_type(value.dtype, *beside) != np.result_type(plain, *beside):
        return f"np.{value.dtype}({text})"
    return text


def option(value: Any, text: Text) -> str:
    """An axis, a shape, a dtype or an index as text."""
    if isinstance(value, (ndarray, Value)):
        return text(value)
    if isinstance(value, np.dtype):
        return "bool" if value.kind == "b" else f"np.{value}"
    if isinstance(value, (np.generic, float)):
        return number(value, [])
    if isinstance(value, tuple):
        parts = [option(part, text) for part in value]
        return (
            parts[0]
            if len(parts) == 1 and isinstance(value[0], int)
            else f"({', '.join(parts)}{',' * (len(parts) == 1)})"
        )
    if isinstance(value, list):
        return f"[{', '.join(option(part, text) for part in value)}]"
    return "..." if value is Ellipsis else repr(value)


def index(value: Any, text: Text) -> str:
    """What stands between the brackets of x[...]."""
    if isinstance(value, tuple):
        return (
            ", ".join(index(part, text) for part in value) + ("," if len(value) == 1 else "")
            if value
            else "()"
        )
    if isinstance(value, slice):
        parts = ["" if part is None else str(part) for part in (value.start, value.stop, value.step)]
        return ":".join(parts[:2] if value.step is None else parts)
    return option(value, text)


def getitem(line: Value, text: Text) -> str:
    return f"({text(line.args[0])})[{index(line.args[1], text)}]"


def where(line: Value, text: Text) -> str:
    strong = [arg.dtype for arg in line.inputs[1:] if arg.kind != "constant"]
    parts = [number(arg.ref, strong) if arg.kind == "constant" else text(arg) for arg in line.args]
    return f"np.where({', '.join(parts)}){'' if line.shape else '[()]'}"


def indexed(line: Value, text: Text) -> str:
    x, *arrays, pattern = line.args
    where = filled_in(pattern, tuple(arrays))
    return f"({text(x)})[{index(where[0] if len(where) == 1 else where, text)}]"


def transpose(line: Value, text: Text) -> str:
    x, axes = line.args
    return f"({text(x)}).T" if axes is None else f"np.transpose({text(x)}, {axes})"


def matmul(line: Value, text: Text) -> str:
    a, b = line.args
    if len(a.shape) == len(b.shape) == 2 and not (a.dense and b.dense):
        # The engine calls .dot; with gaps, steps back or repeats in memory, @ adds in another order.
        return f"({text(a)}).dot({text(b)})"
    return f"({text(a)}) @ ({text(b)})"


def einsum(line: Value, text: Text) -> str:
    *operands, subscripts = line.args
    more = ", optimize=True" if len(operands) > 1 else ""
    number = "" if line.shape else "[()]"
    return f"np.einsum({subscripts!r}, {', '.join(map(text, operands))}{more}){number}"


def put(line: Value, text: Text) -> str:
    g, labels, classes = line.args
    value = number(g.ref, []) if g.kind == "constant" else text(g)
    return f"np.where(({text(labels)})[..., None] == np.arange({classes.ref}), {value}, 0)"


def full(line: Value, text: Text) -> str:
    x, shape = line.args
    value = number(x.ref, []) if x.kind == "constant" else text(x)
    return f"np.full({shape[0] if len(shape) == 1 else shape}, {value})"


def cast(line: Value, text: Text) -> str:
    x, dtype = line.args
    return f"({text(x)}).astype({option(dtype, text)})"


def reshape(line: Value, text: Text) -> str:
    number = "" if line.shape else "[()]"  # of all axes, a number and no array without axes
    return f"np.reshape({text(line.args[0])}, {line.args[1]}){number}"


def helper(line: Value, text: Text) -> str:
    return f"{line.op.name}({', '.join([text(line.args[0]), *map(repr, line.args[1:])])})"


SPECIAL: dict[str, Callable[[Value, Text], str]] = {
    "getitem": getitem, "gather": indexed, "where": where, "put": put, "transpose": transpose,
    "matmul": matmul, "einsum": einsum, "full": full, "astype": cast, "reshape": reshape,
    "windows": helper, "fold": helper,
}  # fmt: skip


def statements(name: str, line: Value, text: Text) -> list[str] | None:
    """The lines of an op that takes more than one expression, or None."""
    if line.op.name == "scatter":
        g, shape, where = line.args
        place, unique = index(where, text), not integers_in(where)
    elif line.op.name == "regather":
        g, *arrays, (shape, pattern) = line.args
        where = filled_in(pattern, tuple(arrays))
        place, unique = index(where, text), False
    else:
        return None
    added = line.dtype if unique else np.promote_types(line.dtype, np.float32)
    dtype = "" if added == np.float64 else f", np.{added}"
    zeros = f"{name} = np.zeros({shape}{dtype})"
    if unique:
        return [zeros, f"{name}[{place}] = {tidy(text(g))}"]
    place = f"np.s_[{place}]" if isinstance(where, tuple) and len(where) > 1 else place
    narrow = [f"{name} = {name}.astype(np.{line.dtype})"] if added != line.dtype else []
    return [zeros, f"np.add.at({name}, {place.removesuffix(',')}, {tidy(text(g))})", *narrow]


def integers_in(where: Any) -> bool:
    """Whether an index has arrays of ints, which may name one element twice."""
    parts = where if isinstance(where, tuple) else (where,)
    return any(isinstance(part, ndarray) and part.dtype.kind in "iu" for part in parts)


# ------------------------------------------------------------------------ what NumPy does not have

HELPERS = {"windows": (positions, windows_forward), "fold": (fold_forward,)}


def is_own(op: Op) -> bool:
    """Whether an op is the user's and has no NumPy text of its own, or options that the text lacks."""
    table = TABLE.get(op.name)
    default = op.spelling.startswith(f"{op.name}(") and op.name not in ("scatter", "gather", "regather")
    return op.name not in HELPERS and (default or (table is not None and table is not op))


def helpers(lines: list[Value]) -> list[str]:
    """Functions that the lines need beside NumPy, as text."""
    functions: dict[str, None] = {}
    for line in lines:
        for function in HELPERS.get(line.op.name, ()):
            functions.setdefault(without_types(function))
    return list(functions)


def defined(functions: list[str]) -> list[str]:
    """The names of helper functions, which no value may take."""
    return [re.findall(r"\w+", text.removeprefix("def "))[0] for text in functions]


def without_types(function: Callable[..., Any]) -> str:
    """The source of a forward of the table, as a script has it: by its op's name, without annotations."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
            node.name = node.name.removesuffix("_forward")
        elif isinstance(node, ast.arg):
            node.annotation = None
    plain = UntypedAssignments().visit(tree)
    return ast.unparse(ast.fix_missing_locations(plain))


class UntypedAssignments(ast.NodeTransformer):
    """`x: T = y` becomes `x = y`."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        """Drop the annotation."""
        assert node.value is not None
        return ast.Assign([node.target], node.value)


# ---------------------------------------------------------------------------------------- names


def identifier(name: str, otherwise: str) -> str:
    """A user's name as a Python name: `log p` -> log_p, `j≠y` -> j_y, `class` -> class_."""
    # Python normalizes identifiers: without this, two names could be one.
    text = unicodedata.normalize("NFKC", name)
    text = "".join(c if f"a{c}".isidentifier() else "_" for c in text)
    text = re.sub(r"__+", "_", text)[:40].strip("_")
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
        found = name if name not in self.names else self._count(f"{name}_", 2)
        self.names[found] = None
        return found

    def numbered(self, kind: str) -> str:
        """The next free name of a kind: x1, x2, ..."""
        found = self._count(kind, 1)
        self.names[found] = None
        return found

    def _count(self, begin: str, first: int) -> str:
        n = self.next.get(begin, first)
        while f"{begin}{n}" in self.names:
            n += 1
        self.next[begin] = n + 1
        return f"{begin}{n}"
