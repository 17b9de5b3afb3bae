"""JavaScript's side of a printed program: its operators and names, and the functions of runtime.js.

Expressions are made in Python's syntax, as the table of ops has them; `script` turns one into JavaScript's.
"""

from __future__ import annotations

import ast
import functools
import json
import math
import re
from importlib import resources
from typing import Any

import numpy as np

from tinygrad_lo.errors import UnsupportedError

KEYWORDS = frozenset(
    re.findall(
        r"\w+",
        "arguments await break case catch class const continue debugger default delete do else enum "
        "eval export extends false finally for function if implements import in instanceof interface "
        "let new null package private protected public return static super switch this throw true try "
        "typeof undefined var void while with yield Infinity Math NaN Number Float64Array Array JSON "
        "Object String RangeError TypeError ",
    )
)
OPERATORS: dict[type[ast.AST], tuple[str, int]] = {
    ast.Add: ("+", 11), ast.Sub: ("-", 11), ast.Mult: ("*", 12), ast.Div: ("/", 12), ast.Mod: ("%", 12),
    ast.Pow: ("**", 13), ast.Or: ("||", 3), ast.And: ("&&", 4), ast.Eq: ("==", 8), ast.NotEq: ("!=", 8),
    ast.Lt: ("<", 9), ast.LtE: ("<=", 9), ast.Gt: (">", 9), ast.GtE: (">=", 9),
    ast.USub: ("-", 14), ast.Not: ("!", 14),
}  # fmt: skip
SPELLED = {"inf": "Infinity", "nan": "NaN", "True": "true", "False": "false", "None": "null"}
ATOM = 20  # binds as a name does


def script(expression: str) -> str:
    """A Python expression as JavaScript, with the parentheses that it needs."""
    return translated(ast.parse(expression, mode="eval").body)[0]


def translated(node: Any) -> tuple[str, int]:
    """The text of a node, and how tightly it binds in JavaScript."""
    sides = sides_of(node)
    if sides is not None:
        return joined_by(*sides)
    match node:
        case ast.Constant() | ast.Name():
            return atom(node), ATOM
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            return f"[{', '.join(bound_text(part, 2) for part in parts)}]", ATOM
        case ast.Lambda(args=args, body=body):
            listed = ", ".join(arg.arg for arg in args.args)
            return f"{listed if len(args.args) == 1 else f'({listed})'} => {bound_text(body, 2)}", 1
        case ast.Call(func=ast.Name(id=name), args=args):
            of_math = name not in runtime() and (hasattr(math, name) or name == "abs")
            return f"{'Math.' * of_math}{name}({', '.join(bound_text(arg, 1) for arg in args)})", ATOM
        case ast.IfExp(test=test, body=body, orelse=other):
            return f"{bound_text(test, 3)} ? {bound_text(body, 2)} : {bound_text(other, 2)}", 2
        case ast.UnaryOp(op=op, operand=part):
            sign, level = OPERATORS[type(op)]
            text = bound_text(part, level)
            return f"{sign}({text})" if text[0] == sign else f"{sign}{text}", level
    raise UnsupportedError(f"javascript: {ast.unparse(node)} has no JavaScript")


def atom(node: Any) -> str:
    """A name, a number or a text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return json.dumps(node.value)
    text = node.id if isinstance(node, ast.Name) else literals(node.value)
    return SPELLED.get(text, text)


def joined_by(operator: ast.AST, first: Any, *others: Any) -> tuple[str, int]:
    """An operator between what it joins."""
    sign, level = OPERATORS[type(operator)]
    if sign == "**":  # which binds to the right, and takes no sign on its left
        return f"{bound_text(first, level + 2)} ** {bound_text(others[0], level)}", level
    right = [bound_text(part, level + 1) for part in others]
    return f" {sign} ".join([bound_text(first, level), *right]), level


def bound_text(node: Any, level: int) -> str:
    """The text of a node where something stands that binds as tightly as this."""
    text, binds = translated(node)
    return text if binds >= level else f"({text})"


def sides_of(node: Any) -> list[Any] | None:
    """An operator that stands between others, and these; None for all else."""
    match node:
        case ast.BinOp(left=left, op=op, right=right) | ast.Compare(left=left, ops=[op], comparators=[right]):
            return [op, left, right]
        case ast.BoolOp(op=op, values=parts):
            return [op, *parts]
    return None


def literals(value: Any) -> str:
    """An option, or a number, in both languages; whole numbers as such. Names of odd values are Python's."""
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(literals, value))}]"
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return "-0.0" if value == 0 and math.copysign(1, value) < 0 else str(int(value))
    return repr(value)


def slots(count: int) -> str:
    """`{0}, {1}` for two inputs."""
    return ", ".join(f"{{{i}}}" for i in range(count))


@functools.cache
def runtime() -> dict[str, str]:
    """The functions of runtime.js by their names, each with the comment above it."""
    text = resources.files("tinygrad_lo.explaining").joinpath("runtime.js").read_text(encoding="utf-8")
    parts = re.findall(
        r"^((?://[^\n]*\n)*function (\w+)\(.*?^\})$", text.partition("\n\n")[2], re.MULTILINE | re.DOTALL
    )
    return {name: part for part, name in parts}


def functions_called(text: str) -> list[str]:
    """The functions of the runtime that a text calls, and those that these call, in the file's order."""
    wanted: dict[str, str] = {}
    waiting = [text]
    while waiting:
        calls = re.findall(r"(?<![.\w])\w+(?=[(,)])", waiting.pop())
        new = {name: part for name, part in runtime().items() if name in calls and name not in wanted}
        wanted |= new
        waiting += new.values()
    return [part for name, part in runtime().items() if name in wanted]
