"""Rules run on named symbols, and what they did as text: `g × (1 − y × y)`.

One recording of a rule serves every place where the same op stands, with other names or with numbers put in.
Parentheses stand where a reader needs them; factors of 1, and shapes that follow broadcasting, are left out.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Array, Node, Op, mode, reachable
from tinygrad_lo.engine.machine.recording import Recording
from tinygrad_lo.engine.machine.sums import broadcasts
from tinygrad_lo.engine.tensor import Tensor
from tinygrad_lo.explaining.formula import DIGITS, number, of_many_texts, option_text, superscript
from tinygrad_lo.program.ops import ASTYPE, DIVIDE, FILL, GETITEM, MULTIPLY, NEGATIVE, POWER, TRANSPOSE, WHERE

# How tightly a piece of text holds together.
Bond = IntEnum("Bond", "LOOSE NEGATIVE COMPARISON SUM PRODUCT SIGN POSTFIX ATOM", start=-1)
# Of a sign: how tightly it holds together what it makes, and what its left and its right must.
SIGNS = {
    "+": (Bond.SUM, Bond.SUM, Bond.SUM),
    "−": (Bond.SUM, Bond.SUM, Bond.PRODUCT),
    "×": (Bond.PRODUCT, Bond.PRODUCT, Bond.PRODUCT),
    "÷": (Bond.PRODUCT, Bond.PRODUCT, Bond.POSTFIX),
    "@": (Bond.PRODUCT, Bond.PRODUCT, Bond.POSTFIX),
    "^": (Bond.POSTFIX, Bond.ATOM, Bond.ATOM),
    **dict.fromkeys("=≠<≤>≥", (Bond.COMPARISON, Bond.SUM, Bond.SUM)),
}
# How tightly a template holds together: • is an input, ¤ is in parentheses, ¦ in brackets. `Σ •` is open.
LEVELS = (
    (" [+−] ", Bond.SUM),
    (" [×÷] ", Bond.PRODUCT),
    (r"^−[•¤]$|^[^•|‖+−×÷]+ (•|\w+¤)$", Bond.SIGN),
    ("^•[²ᵀ¦]$|^√•$", Bond.POSTFIX),
    (r"^\|•\|$|^‖•‖$|^\w+¤$", Bond.ATOM),
)
# How tightly an input, here \0, must hold together in its place.
NEEDS = (
    (r"[(,[|‖] *\0 *[),\]|‖]", Bond.LOOSE),
    (" if ", Bond.NEGATIVE),
    (r"^−\0", Bond.POSTFIX),
    (r"[+−] *\0|\0 *[+−]", Bond.PRODUCT),
    (r" \0|\0 ", Bond.POSTFIX),
)


class Piece(NamedTuple):
    """Text that can stand in a larger text."""

    text: str
    level: int = Bond.ATOM
    kind: str = ""  # the sign between its parts, where there is one
    opened: bool = False  # whether it ends in something that what follows would be read into: `Σ x`
    shape: tuple[int, ...] = ()
    bare: Any = None  # the same without filling a shape, for places where broadcasting does that
    value: Any = None  # of a constant number, the number

    def within(self, need: int) -> str:
        """The text, in parentheses unless it holds together well enough."""
        signed = need == Bond.PRODUCT and self.level == Bond.SIGN and self.text.startswith("−")
        return f"({self.text})" if self.level < need or signed else self.text


Arg = str | int | Piece  # the key of a symbol, the place of an earlier line, a constant or an option


class Line(NamedTuple):
    """One op over symbols, earlier lines, constants and options; with the inputs that it saw."""

    op: Op
    args: tuple[Arg, ...]
    inputs: tuple[Any, ...]
    shape: tuple[int, ...]


class Expression(NamedTuple):
    """What a rule did, line by line."""

    lines: list[Line]
    result: Arg
    branched: bool  # whether Python asked for a value on the way: of other values, it may be another one


class Symbols:
    """What is known inside `with symbols() as known:`, where every op is written down."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.keys: dict[int, str] = {}  # of the values that have names, by birth
        self.options: list[tuple[Any, str]] = []  # (option, its name) where an op was given it by name

    def give(self, key: str, value: Array, requires_grad: bool = False) -> Any:
        """A tensor that stands for a name."""
        leaf = Tensor(value, requires_grad)
        self.keys[leaf.birth] = key
        return leaf

    def expression(self, value: Any) -> Expression:
        """How a value was made from what was given."""
        args: dict[int, Arg] = dict(self.keys)
        lines: list[Line] = []

        def operand(x: Any) -> Arg:
            if not isinstance(x, Node):
                return constant_text(x)
            return args[x.birth] if x.birth in args else constant_text(x.value)

        def option(x: Any) -> Piece:
            return Piece(next((name for other, name in self.options if other is x), option_text(x)))

        root = self.recording.tensor_of(value) if type(value) is ndarray else value
        for node in reachable([root], self.keys) if isinstance(root, Node) else ():
            if node.op is not None:
                count = len(node.parents)
                inputs = self.recording.as_tensors(node)
                line_args = (*map(operand, inputs[:count]), *map(option, inputs[count:]))
                args[node.birth] = len(lines)
                lines.append(Line(node.op, line_args, node.inputs, np.shape(node.value)))
        return Expression(lines, operand(root), bool(self.recording.effects))


@contextmanager
def symbols() -> Iterator[Symbols]:
    """A block in which rules run on symbols."""
    with Recording() as recording, mode("grad_off", False), np.errstate(all="ignore"):
        yield Symbols(recording)


def write(expression: Expression, names: Mapping[str, Piece], times: str = "×") -> Piece:
    """The expression as text, with these pieces for its symbols (else their keys) and this sign for ×."""
    pieces: list[Piece] = []

    def piece(arg: Arg, value: Any) -> Piece:
        if isinstance(arg, str):
            return names.get(arg, Piece(arg))._replace(shape=np.shape(value))
        return pieces[arg] if isinstance(arg, int) else arg

    for line in expression.lines:
        args = list(map(piece, line.args, line.inputs))
        pieces.append(written(line.op, line.inputs, args, line.shape, times))
    return piece(expression.result, 0.0)


def constant_text(value: Array) -> Piece:
    """A number; an array that is the same everywhere by its number, an identity as I."""
    shape = np.shape(value)
    if not isinstance(value, (ndarray, np.generic, int, float)):
        return Piece("constant", shape=shape)
    if shape:
        array = np.asarray(value)
        n = len(array)
        if (1, 1) != shape == (n, n) and np.array_equal(array, np.eye(n)):
            return Piece("I", shape=shape)
        if not array.size or not (array == array.flat[0]).all():
            return Piece("mask" if array.dtype == bool else "constant", shape=shape)
        value = array.flat[0]
    text = number(value, DIGITS)
    piece = Piece(text, Bond.NEGATIVE if text.startswith("−") else Bond.ATOM, value=value)
    return piece._replace(shape=shape, bare=piece) if shape else piece


def term(value: Array) -> str:
    """A number as a term of a sum or a factor: `(−2)`."""
    return constant_text(value).within(Bond.PRODUCT)


def already_there(op: Op, inputs: tuple[Any, ...], args: list[Piece], shape: tuple[int, ...]) -> Piece | None:
    """The argument that is the result already, for a reader: what is only arranged, a 1 · x, an x / 1."""
    x, other = args[0], args[-1]
    is_same = x.shape == shape and only_arranges(op, inputs, shape)
    if is_same or (op is ASTYPE and x.level == Bond.COMPARISON):  # what holds counts as 1
        return x
    if op is MULTIPLY and x.value == 1 and other.shape == shape:
        return other
    return x if op in (MULTIPLY, DIVIDE) and other.value == 1 and x.shape == shape else None


def written(
    op: Op, inputs: tuple[Any, ...], args: list[Piece], shape: tuple[int, ...], times: str = "×"
) -> Piece:
    """One op over pieces of text."""
    args = thinned(op, args, shape)
    x, other = args[0], args[-1]
    if kept := already_there(op, inputs, args, shape):
        piece = kept
    elif op is POWER and other.value is not None and superscript(float(other.value)):
        piece = Piece(x.within(Bond.ATOM) + superscript(float(other.value)), Bond.POSTFIX)
    elif op.arity is None:
        piece = of_many(op, inputs[-1], args)
    else:
        piece = from_template(op, args, times) if "{" in op.symbol else infix(op.symbol, x, other, times)
    return piece._replace(shape=shape)


def thinned(op: Op, args: list[Piece], shape: tuple[int, ...]) -> list[Piece]:
    """The arguments without filled shapes, where broadcasting makes the same shape of them."""
    if op in FILL:
        return [args[0].bare or args[0], *args[1:]]
    if op is not WHERE and (op.ufunc is None or op.arity != 2):
        return args
    thin = [arg.bare or arg for arg in args]
    if broadcasts([arg.shape for arg in thin], shape):
        return thin
    return [bare if bare.shape == arg.shape else arg for bare, arg in zip(thin, args, strict=True)]


def only_arranges(op: Op, inputs: tuple[Any, ...], shape: tuple[int, ...]) -> bool:
    """Whether this, of one shape with x, is x as it was: the transpose of a vector, all of its elements."""
    if op is GETITEM:
        index = inputs[1] if isinstance(inputs[1], tuple) else (inputs[1],)
        return all(part is Ellipsis or (isinstance(part, slice) and part.step is None) for part in index)
    return op is TRANSPOSE and len(shape) < 2


def of_many(op: Op, option: Any, args: list[Piece]) -> Piece:
    """An op of any number of tensors."""
    texts = [arg.within(Bond.NEGATIVE) for arg in args[:-1]]
    if isinstance(option, str):  # subscripts say which of many ops it is
        return Piece(f"{op.name}('{args[-1].text}', {', '.join(texts)})")
    return Piece(op.symbol.format(*of_many_texts(texts, option)), Bond.LOOSE)


def from_template(op: Op, args: list[Piece], times: str) -> Piece:
    """The symbol of an op with its arguments put in."""
    level, opened, needs = shape_of_template(op.symbol)
    texts = [arg.within(needs.get(i, Bond.LOOSE)) for i, arg in enumerate(args)]
    text = op.symbol.replace("×", times).format(*texts)
    piece = Piece(text, level, "÷" if level == Bond.PRODUCT else "", opened)
    bare = args[0].bare
    if op in FILL or op is ASTYPE:
        return piece._replace(bare=bare or args[0])
    if op is NEGATIVE and bare is not None:
        return piece._replace(bare=from_template(op, [bare], times)._replace(shape=bare.shape))
    return piece


def infix(sign: str, a: Piece, b: Piece, times: str = "×") -> Piece:
    """`a + b` and the like."""
    level, left, right = SIGNS.get(sign, (Bond.LOOSE, Bond.ATOM, Bond.ATOM))
    if level == a.level == Bond.PRODUCT and a.kind != ("@" if sign == "@" else "×"):
        left = Bond.ATOM  # a ÷ b × c makes a reader stop
    if sign == "×" and b.level == Bond.PRODUCT and b.kind not in ("×", "÷"):
        right = Bond.ATOM
    # A sign is read with what follows it on the left of a sum or product, and not on the right.
    right = Bond.ATOM if b.text.startswith("−") else right
    first = f"({a.text})" if a.opened or a.level < left else a.text
    text = f"{first} {times if sign == '×' else sign} {b.within(right)}"
    return Piece(text, level, "÷" if sign == "×" and b.kind == "÷" else sign, b.opened and b.level >= right)


@functools.lru_cache(maxsize=256)
def shape_of_template(template: str) -> tuple[int, bool, dict[int, int]]:
    """Of `exp({0}) − 1`: how tightly it holds together, whether it is open, and what its holes need."""
    needs: dict[int, int] = {}
    for hole in re.finditer(r"\{(\d+)\}", template):
        need = first_match(NEEDS, f"{template[: hole.start()]}\0{template[hole.end() :]}", Bond.ATOM)
        needs[int(hole[1])] = max(need, needs.get(int(hole[1]), Bond.LOOSE))
    flat, before = re.sub(r"\{\d+\}", "•", template), ""
    while before != flat:
        before = flat
        flat = re.sub(r"\[[^()[\]]*\]", "¦", re.sub(r"\([^()[\]]*\)", "¤", flat))
    level = first_match(LEVELS, flat, Bond.LOOSE)
    return level, level == Bond.SIGN and " " in flat, needs


def first_match(table: Iterable[tuple[str, int]], text: str, otherwise: int) -> int:
    """The level of the first pattern that the text has."""
    return next((level for pattern, level in table if re.search(pattern, text)), otherwise)
