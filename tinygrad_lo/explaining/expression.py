"""Rules run on named symbols, and what they did as text: `g × (1 − y × y)`.

An `Expression` is a list of ops over symbols, so one recording of a rule serves every place where the
same op stands, with other names or with numbers put in. Printing fills the symbols of the table and
sets the parentheses that a reader needs; factors of 1, and shapes that only follow broadcasting, are
left out.
"""

from __future__ import annotations

import functools
import string
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Array, Node, Op, mode
from tinygrad_lo.engine.leaves import NodeRow, history
from tinygrad_lo.engine.machine.arguments import memory
from tinygrad_lo.engine.machine.recording import Recording
from tinygrad_lo.engine.ops.arithmetic import divide, multiply, negative, power
from tinygrad_lo.engine.ops.elementwise import where
from tinygrad_lo.engine.ops.indexing import getitem
from tinygrad_lo.engine.ops.registry import record
from tinygrad_lo.engine.ops.shapes import transpose
from tinygrad_lo.engine.tensor import Tensor
from tinygrad_lo.explaining.formula import SUPERSCRIPTS, is_whole_number, number, option_text
from tinygrad_lo.program.simplify import ASTYPE, SPREADING

# How tightly a piece of text holds together. NEGATIVE numbers stand free only between brackets.
NEGATIVE, LOOSE, COMPARISON, SUM, PRODUCT, SIGN, POSTFIX, ATOM = range(-1, 7)
BINARY = {"+": SUM, "−": SUM, "×": PRODUCT, "÷": PRODUCT, "@": PRODUCT, "^": POSTFIX} | dict.fromkeys(
    "=≠<≤>≥", COMPARISON
)
MULTIPLY, DIVIDE, MINUS, POWER, WHERE, GETITEM, TRANSPOSE = map(
    record, (multiply, divide, negative, power, where, getitem, transpose)
)
DIGITS = 4


@dataclass(frozen=True, slots=True)
class Symbol:
    """A named value that a rule was given: the key of its name."""

    key: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Ref:
    """The result of an earlier line."""

    line: int


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """A number, or an array that the rule made without its inputs."""

    value: Array


@dataclass(frozen=True, slots=True, eq=False)
class Option:
    """An axis, a shape, an index; with a name where it is one that the op was given."""

    value: Any
    name: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One op over symbols, constants and earlier lines."""

    op: Op
    args: tuple[Any, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """What a rule did, line by line; the result is the last line, or `only` where there is none.

    Attributes:
        branched: whether Python asked for a value on the way: of other values, it may be another one.
    """

    lines: tuple[Line, ...]
    only: Symbol | Constant | None = None
    branched: bool = False

    @property
    def ops(self) -> set[Op]:
        """The ops in it."""
        return {line.op for line in self.lines}


class Piece(NamedTuple):
    """Text that can stand in a larger text.

    Attributes:
        kind: the sign between its parts, where there is one.
        opened: whether it ends in something that what follows would be read into: `Σ x`.
        bare: the same without filling a shape, for places where broadcasting does that.
        value: of a constant number, the number.
    """

    text: str
    level: int = ATOM
    kind: str = ""
    opened: bool = False
    shape: tuple[int, ...] = ()
    bare: Any = None
    value: Any = None


@dataclass(slots=True)
class Symbols:
    """Inside `with Symbols() as symbols:` every op is written down, over the values named by `give`."""

    recording: Recording = field(default_factory=Recording)
    known: dict[int, Symbol] = field(default_factory=dict)
    options: list[tuple[Any, str]] = field(default_factory=list)
    blocks: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        self.blocks.enter_context(self.recording)
        self.blocks.enter_context(mode("grad_off", False))
        self.blocks.enter_context(np.errstate(all="ignore"))
        return self

    def __exit__(self, *exception: object) -> None:
        self.blocks.close()

    def give(self, key: str, value: Array, requires_grad: bool = False) -> Any:
        """A tensor that stands for a name."""
        leaf = Tensor(value, requires_grad)
        self.known[leaf.birth] = self.symbol(key, value)
        return leaf

    def symbol(self, key: str, value: Array) -> Symbol:
        """The symbol for a value."""
        return Symbol(key, np.shape(value))

    def expression(self, value: Any) -> Expression:
        """How a value was made from what was given."""
        branched = bool(self.recording.effects)
        root = self.recording.arrays.get(memory(value)) if type(value) is ndarray else value
        if not isinstance(root, Node):
            return Expression((), Constant(value), branched)
        if root.birth in self.known or root.op is None:
            return Expression((), self.known.get(root.birth) or Constant(root.value), branched)
        places: dict[int, int] = {}
        lines: list[Line] = []
        for row in history([root], known=self.known):
            if row.op is not None:
                places[row.birth] = len(lines)
                args = tuple(self._arg(row, i, places) for i in range(len(row.inputs)))
                lines.append(Line(row.op, args, np.shape(row.node.value)))
        return Expression(tuple(lines), branched=branched)

    def _arg(self, row: NodeRow, i: int, places: dict[int, int]) -> Any:
        """Input i of a node: a symbol, an earlier line, a number or an option."""
        value = row.inputs[i]
        if i >= len(row.parents):
            return Option(value, next((name for other, name in self.options if other is value), None))
        parent = row.parents[i]
        if parent is None and type(value) is ndarray:
            parent = self.recording.arrays.get(memory(value))
        birth = 0 if parent is None else parent.birth
        if birth in self.known:
            return self.known[birth]
        return Ref(places[birth]) if birth in places else Constant(value)


# -------------------------------------------------------------------------------------- printing


def write(
    expression: Expression, names: Mapping[str, Piece], times: str = "×", digits: int = DIGITS
) -> Piece:
    """The expression as text, with these pieces for its symbols and this sign for products."""
    made: list[Piece] = []

    def piece(arg: Any) -> Piece:
        if isinstance(arg, Ref):
            return made[arg.line]
        if isinstance(arg, Symbol):
            return names[arg.key]._replace(shape=arg.shape)
        if isinstance(arg, Constant):
            return constant_text(arg.value, digits)
        return Piece(arg.name or option_text(arg.value))

    for line in expression.lines:
        args = [piece(arg) for arg in line.args]
        made.append(written(line, args, times)._replace(shape=line.shape))
    return made[-1] if made else piece(expression.only)


def constant_text(value: Array, digits: int = DIGITS) -> Piece:
    """A number; an array that is the same everywhere by its number, an identity as I."""
    shape = np.shape(value)
    if not isinstance(value, (ndarray, np.generic, int, float)):
        return Piece("constant", shape=shape)
    if shape:
        array = np.asarray(value)
        if is_identity(array):
            return Piece("I", shape=shape)
        if not array.size or not (array == array.flat[0]).all():
            return Piece("mask" if array.dtype == bool else "constant", shape=shape)
        value = array.flat[0]
    text = number(value, digits)
    piece = Piece(text, NEGATIVE if text.startswith("−") else ATOM, value=value)
    return piece._replace(shape=shape, bare=piece) if shape else piece


def is_identity(array: Array) -> bool:
    """Whether this is an identity matrix of some size."""
    n = len(array)
    return array.shape == (n, n) and n > 1 and bool(np.array_equal(array, np.eye(n)))


def written(line: Line, args: list[Piece], times: str) -> Piece:
    """One op over pieces of text."""
    op = line.op
    args = thinned(line, args)
    kept = kept_alone(line, args)
    if kept is not None:
        return kept
    if op is MINUS and args[0].value is not None:
        return negated(args[0])
    if op is POWER and args[1].value is not None and is_whole_number(float(args[1].value)):
        raised = str(int(args[1].value)).translate(SUPERSCRIPTS)
        return Piece(nested_text(args[0], ATOM) + raised, POSTFIX)
    if op.arity is None:
        return of_many(line, args)
    if "{" not in op.symbol:
        return infix(op.symbol, args[0], args[1], times)
    return from_template(op, args, times)


def thinned(line: Line, args: list[Piece]) -> list[Piece]:
    """The arguments without filled shapes, where broadcasting does that as well."""
    if line.op in SPREADING and line.op is not ASTYPE:
        return [args[0].bare or args[0], *args[1:]]
    if line.op is WHERE or (line.op.ufunc is not None and line.op.arity == 2):
        return slimmed(args, line.shape)
    return args


def slimmed(args: list[Piece], shape: tuple[int, ...]) -> list[Piece]:
    """The arguments without filled shapes, where broadcasting makes the same shape of them."""
    slim = [arg.bare or arg for arg in args]
    if broadcasts([arg.shape for arg in slim], shape):
        return slim
    return [bare if bare.shape == arg.shape else arg for bare, arg in zip(slim, args, strict=True)]


def kept_alone(line: Line, args: list[Piece]) -> Piece | None:
    """The argument that is all there is to read: x × 1, x ÷ 1, what only arranges x as it was."""
    x, other = args[0], args[-1]
    if only_arranges(line, x) or (line.op is ASTYPE and x.level == COMPARISON):  # what holds counts as 1
        return x
    if line.op is MULTIPLY and is_the_number_1(x) and other.shape == line.shape:
        return other
    if line.op in (MULTIPLY, DIVIDE) and is_the_number_1(other) and x.shape == line.shape:
        return x
    return None


def negated(number: Piece) -> Piece:
    """A number with its sign changed."""
    opposite = constant_text(-number.value)
    return opposite._replace(bare=None if number.bare is None else opposite)


def of_many(line: Line, args: list[Piece]) -> Piece:
    """An op of any number of tensors."""
    *operands, last = args
    texts = ", ".join(nested_text(arg, COMPARISON) for arg in operands)
    if isinstance(line.args[-1].value, str):  # subscripts say which of many ops it is
        return Piece(f"{line.op.name}('{last.text}', {texts})")
    return Piece(line.op.symbol.format(texts, last.text), LOOSE)


def from_template(op: Op, args: list[Piece], times: str) -> Piece:
    """The symbol of an op with its arguments put in."""
    level, opened, needs = shape_of_template(op.symbol)
    texts = [nested_text(arg, needs.get(i, LOOSE)) for i, arg in enumerate(args)]
    text = op.symbol.replace("×", times).format(*texts)
    piece = Piece(text, level, "÷" if level == PRODUCT else "", opened)
    bare = args[0].bare
    if op in SPREADING:
        return piece._replace(bare=bare or args[0])
    if op is MINUS and bare is not None:
        return piece._replace(bare=piece._replace(text=f"−{nested_text(bare, POSTFIX)}", shape=bare.shape))
    return piece


def only_arranges(line: Line, x: Piece) -> bool:
    """Whether this only arranges a value as it was: the transpose of a vector, all of its elements."""
    if x.shape != line.shape:
        return False
    if line.op is GETITEM:
        index = line.args[1].value
        parts = index if isinstance(index, tuple) else (index,)
        return all(part is Ellipsis or (isinstance(part, slice) and part.step is None) for part in parts)
    return line.op is TRANSPOSE and len(line.shape) < 2


def broadcasts(shapes: list[tuple[int, ...]], shape: tuple[int, ...]) -> bool:
    """Whether broadcasting makes this shape of those."""
    try:
        return np.broadcast_shapes(*shapes) == shape
    except ValueError:
        return False


def is_the_number_1(piece: Piece) -> bool:
    """Whether this is the number 1."""
    return piece.value is not None and bool(piece.value == 1)


def nested_text(piece: Piece, need: int) -> str:
    """The text, in parentheses unless it holds together well enough."""
    if need == COMPARISON and piece.level == NEGATIVE:
        return piece.text  # `x if c else −1`
    signed = need == PRODUCT and piece.level == SIGN and piece.text.startswith("−")
    return f"({piece.text})" if piece.level < need or signed else piece.text


def infix(sign: str, a: Piece, b: Piece, times: str = "×") -> Piece:
    """`a + b` and the like."""
    level = BINARY.get(sign, LOOSE)
    left, right = needs_of_sides(sign, level, a, b)
    left = ATOM if a.opened else left
    right = ATOM if b.text.startswith("−") else right
    kind = "÷" if sign == "×" and b.kind == "÷" else sign
    first = f"({a.text})" if a.level < left else a.text
    shown = times if sign == "×" else sign
    return Piece(
        f"{first} {shown} {nested_text(b, right)}", level, kind, opened=b.opened and b.level >= right
    )


def needs_of_sides(sign: str, level: int, a: Piece, b: Piece) -> tuple[int, int]:
    """How tightly the left and the right of a sign must hold together."""
    # A sign is read with what follows it on the left of a sum or product, and not on the right.
    if level == SUM:
        return SUM, SUM if sign == "+" else PRODUCT
    if level != PRODUCT:
        return (SUM, SUM) if level == COMPARISON else (ATOM, ATOM)
    products = ("@",) if sign == "@" else ("×", "÷")
    # a ÷ b × c makes a reader stop
    left = ATOM if a.level == PRODUCT and a.kind not in set(products) - {"÷"} else PRODUCT
    if sign == "×":
        return left, ATOM if b.level == PRODUCT and b.kind not in products else PRODUCT
    return left, ATOM if b.level == PRODUCT else POSTFIX


@functools.lru_cache(maxsize=256)
def shape_of_template(template: str) -> tuple[int, bool, dict[int, int]]:
    """Of `exp({0}) − 1`: how tightly it holds together, whether it is open, and what its holes need."""
    flat = ""
    holes: list[tuple[int, int]] = []  # (place, input)
    for text, field_name, _, _ in string.Formatter().parse(template):
        flat += text
        if field_name is not None:
            holes.append((len(flat), int(field_name)))
            flat += "•"
    needs: dict[int, int] = {}
    for place, i in holes:
        needs[i] = max(need_of_hole(flat, place), needs.get(i, NEGATIVE))
    flat = collapsed(flat)
    head, _, tail = flat.rpartition(" ")
    opened = bool(head) and not set(head) & set("•|‖+−×÷") and (tail == "•" or is_call(tail))
    return (SIGN if opened and level_of(flat) == LOOSE else level_of(flat)), opened, needs


def need_of_hole(flat: str, place: int) -> int:
    """How tightly what stands at a place of a template must hold together."""
    before, after = flat[:place], flat[place + 1 :]
    left, right = before.rstrip()[-1:] or " ", after.lstrip()[:1] or " "
    if left in "(,[|‖" and right in "),]|‖":
        return NEGATIVE
    if " if " in flat:
        return COMPARISON
    if flat.startswith("−•"):
        return POSTFIX
    if left in "+−" or right in "+−":
        return PRODUCT
    return POSTFIX if before.endswith(" ") or after.startswith(" ") else ATOM


def collapsed(flat: str) -> str:
    """The template with ¤ for what stands in parentheses and ¦ for what stands in brackets."""
    text, depth = "", 0
    for c in flat:
        if c in "([":
            text += "" if depth else "¤¦"["([".index(c)]
            depth += 1
        elif c in ")]":
            depth -= 1
        elif not depth:
            text += c
    return text


def is_call(text: str) -> bool:
    """Whether this is a word with parentheses."""
    return text.endswith("¤") and text[:-1].replace("_", "a").isalnum()


def level_of(flat: str) -> int:
    """How tightly a template holds together."""
    if " + " in flat or " − " in flat:
        return SUM
    if " × " in flat or " ÷ " in flat:
        return PRODUCT
    if flat in ("−•", "−¤"):
        return SIGN
    if flat in ("•²", "•ᵀ", "•¦", "√•"):
        return POSTFIX
    return ATOM if flat in ("|•|", "‖•‖") or is_call(flat) else LOOSE
