"""Rules run on named symbols, and what they did as text: `g × (1 − y × y)`.

An `Expression` is a list of ops over symbols, so one recording of a rule serves every place where the
same op stands, with other names or with numbers put in. Printing fills the symbols of the table and
sets the parentheses that a reader needs; factors of 1, and shapes that only follow broadcasting, are
left out.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Array, Node, Op, mode
from tinygrad_lo.engine.machine.arguments import memory
from tinygrad_lo.engine.tensor import Tensor
from tinygrad_lo.explaining.formula import SUPERSCRIPTS, is_whole, number, option
from tinygrad_lo.explaining.recording import Recording

# How tightly a piece of text holds together. NEGATIVE numbers stand free only between brackets.
NEGATIVE, LOOSE, COMPARISON, SUM, PRODUCT, SIGN, POSTFIX, ATOM = range(-1, 7)
BINARY = {"+": SUM, "−": SUM, "×": PRODUCT, "÷": PRODUCT, "@": PRODUCT, "^": POSTFIX} | dict.fromkeys(
    "=≠<≤>≥", COMPARISON
)
COMPARISONS = frozenset({"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"})
ELEMENTWISE = COMPARISONS | {
    "add", "subtract", "multiply", "divide", "power", "maximum", "minimum", "logaddexp", "where",
}  # fmt: skip
SPREADING = frozenset({"reshape", "astype", "full", "broadcast_to"})  # left out where broadcasting does it
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
    def ops(self) -> set[str]:
        """The names of the ops in it."""
        return {line.op.name for line in self.lines}


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

    def give(self, key: str, value: Array) -> Any:
        """A tensor that stands for a name."""
        leaf = Tensor(value)
        self.known[leaf.birth] = self.symbol(key, value)
        return leaf

    def symbol(self, key: str, value: Array) -> Symbol:
        """The symbol for a value."""
        return Symbol(key, np.shape(value))

    def expression(self, value: Any) -> Expression:
        """How a value was made from what was given."""
        branched = bool(self.recording.effects)
        root = value
        if type(value) is ndarray:
            root = self.recording.arrays.get(memory(value))
        if not isinstance(root, Node):
            return Expression((), Constant(value), branched)
        if root.birth in self.known:
            return Expression((), self.known[root.birth], branched)
        if root.op is None:
            return Expression((), Constant(root.value), branched)
        found: dict[int, Node] = {}
        waiting = [root]
        while waiting:
            node = waiting.pop()
            if node.birth not in found and node.birth not in self.known and node.op is not None:
                found[node.birth] = node
                waiting += [parent for parent in node.parents if parent is not None]
        places: dict[int, int] = {}
        lines: list[Line] = []
        for birth in sorted(found, reverse=True):
            node = found[birth]
            assert node.op is not None
            places[birth] = len(lines)
            lines.append(Line(node.op, tuple(self._args(node, places)), np.shape(node.value)))
        return Expression(tuple(lines), branched=branched)

    def _args(self, node: Node, places: dict[int, int]) -> Iterable[Any]:
        parents = node.parents
        for i, value in enumerate(node.inputs):
            parent = parents[i] if i < len(parents) else None
            if parent is None and i < len(parents) and type(value) is ndarray:
                parent = self.recording.arrays.get(memory(value))
            if parent is not None and parent.birth in self.known:
                yield self.known[parent.birth]
            elif parent is not None and parent.birth in places:
                yield Ref(places[parent.birth])
            elif i < len(parents):
                yield Constant(value)
            else:
                yield Option(value, next((name for other, name in self.options if other is value), None))


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
            return constant(arg.value, digits)
        return Piece(arg.name or option(arg.value))

    for line in expression.lines:
        args = [piece(arg) for arg in line.args]
        made.append(written(line, args, times)._replace(shape=line.shape))
    return made[-1] if made else piece(expression.only)


def constant(value: Array, digits: int = DIGITS) -> Piece:
    """A number; an array that is the same everywhere by its number, an identity as I."""
    shape = np.shape(value)
    if not isinstance(value, (ndarray, np.generic, int, float)):
        return Piece("constant", shape=shape)
    if shape:
        array = np.asarray(value)
        if (
            array.ndim == 2
            and array.shape[0] == array.shape[1] > 1
            and np.array_equal(array, np.eye(len(array)))
        ):
            return Piece("I", shape=shape)
        if not array.size or not (array == array.flat[0]).all():
            return Piece("mask" if array.dtype == bool else "constant", shape=shape)
        value = array.flat[0]
    text = number(value, digits)
    level = NEGATIVE if text.startswith("−") else ATOM
    found = Piece(text, level, shape=shape, value=value)
    return found._replace(bare=found._replace(shape=())) if shape else found


def written(line: Line, args: list[Piece], times: str) -> Piece:
    """One op over pieces of text."""
    op = line.op
    if unmoved(line, args[0]):
        return args[0]
    if op.name in ("reshape", "full", "broadcast_to") and args[0].bare is not None:
        args = [args[0].bare, *args[1:]]
    if op.name in ELEMENTWISE:
        thin = [arg.bare or arg for arg in args]
        if fits([arg.shape for arg in thin], line.shape):
            args = thin
        else:
            args = [arg.bare if arg.bare is not None and arg.bare.shape == arg.shape else arg for arg in args]
    if op.name == "astype" and args[0].level == COMPARISON:
        return args[0]  # in formulas, what holds counts as 1
    if op.name == "multiply":
        for one, other in (args, args[::-1]):
            if is_one(one) and other.shape == line.shape:
                return other
    if op.name == "divide" and is_one(args[1]) and args[0].shape == line.shape:
        return args[0]
    if op.name == "negative" and args[0].value is not None:
        return constant(-args[0].value)._replace(
            bare=None if args[0].bare is None else constant(-args[0].value)
        )
    if op.name == "power" and args[1].value is not None and is_whole(float(args[1].value)):
        raised = str(int(args[1].value)).translate(SUPERSCRIPTS)
        return Piece(inside(args[0], ATOM) + raised, POSTFIX)
    if op.arity is None:
        *operands, last = args
        listed = ", ".join(inside(arg, COMPARISON) for arg in operands)
        if isinstance(line.args[-1].value, str):  # subscripts say which of many ops it is
            return Piece(f"{op.name}('{last.text}', {listed})")
        return Piece(op.symbol.format(listed, last.text), LOOSE)
    if "{" not in op.symbol:
        return between(op.symbol, args[0], args[1], times)
    level, opened, needs = shape_of_template(op.symbol)
    texts = [inside(arg, needs.get(i, LOOSE)) for i, arg in enumerate(args)]
    kind = "÷" if level == PRODUCT else ""
    symbol = op.symbol.replace("×", times)
    found = Piece(symbol.format(*texts), level, kind, opened)
    if op.name in SPREADING:
        return found._replace(bare=args[0].bare or args[0])
    if op.name == "negative" and args[0].bare is not None:
        return found._replace(
            bare=found._replace(text=f"−{inside(args[0].bare, POSTFIX)}", shape=args[0].bare.shape)
        )
    return found


def unmoved(line: Line, x: Piece) -> bool:
    """Whether this only arranges a value as it was: the transpose of a vector, all of its elements."""
    if x.shape != line.shape:
        return False
    if line.op.name == "getitem":
        index = line.args[1].value
        parts = index if isinstance(index, tuple) else (index,)
        return all(part is Ellipsis or (isinstance(part, slice) and part.step is None) for part in parts)
    return line.op.name == "transpose" and len(line.shape) < 2


def fits(shapes: list[tuple[int, ...]], shape: tuple[int, ...]) -> bool:
    """Whether broadcasting makes this shape of those."""
    try:
        return np.broadcast_shapes(*shapes) == shape
    except ValueError:
        return False


def is_one(piece: Piece) -> bool:
    """Whether this is the number 1."""
    return piece.value is not None and bool(piece.value == 1)


def inside(piece: Piece, need: int) -> str:
    """The text, in parentheses unless it holds together well enough."""
    if need == COMPARISON and piece.level == NEGATIVE:
        return piece.text  # `x if c else −1`
    signed = need == PRODUCT and piece.level == SIGN and piece.text.startswith("−")
    return f"({piece.text})" if piece.level < need or signed else piece.text


def between(sign: str, a: Piece, b: Piece, times: str = "×") -> Piece:
    """`a + b` and the like."""
    level = BINARY.get(sign, LOOSE)
    kind = sign
    products = ("×", "÷") if sign in ("×", "÷") else ("@",)
    left = right = SUM if level == COMPARISON else ATOM
    # A sign is read with what follows it on the left of a sum or product, and not on the right.
    if level == SUM:
        left, right = SUM, SUM if sign == "+" else PRODUCT
    elif level == PRODUCT:
        left = right = PRODUCT
        if a.level == PRODUCT and (a.kind not in products or a.kind == "÷"):
            left = ATOM  # a ÷ b × c makes a reader stop
        if b.level == PRODUCT and (sign != "×" or b.kind not in products):
            right = ATOM
        elif sign != "×":
            right = POSTFIX
        elif b.kind == "÷":
            kind = "÷"
    if a.opened:
        left = ATOM
    if b.text.startswith("−"):
        right = ATOM
    shown = times if sign == "×" else sign
    first = f"({a.text})" if a.level < left else a.text
    return Piece(f"{first} {shown} {inside(b, right)}", level, kind, opened=b.opened and b.level >= right)


@functools.lru_cache(maxsize=256)
def shape_of_template(template: str) -> tuple[int, bool, dict[int, int]]:
    """Of `exp({0}) − 1`: how tightly it holds together, whether it is open, and what its holes need."""
    needs: dict[int, int] = {}
    for hole in re.finditer(r"\{(\d)\}", template):
        before, after = template[: hole.start()].rstrip()[-1:], template[hole.end() :].lstrip()[:1]
        if before and after and before in "(,[|‖" and after in "),]|‖":
            need = NEGATIVE
        elif " if " in template:
            need = COMPARISON
        elif template.startswith("−{"):
            need = POSTFIX
        elif (before and before in "+−") or (after and after in "+−"):
            need = PRODUCT
        elif template[: hole.start()].endswith(" ") or template[hole.end() :].startswith(" "):
            need = POSTFIX
        else:
            need = ATOM
        i = int(hole.group(1))
        needs[i] = max(need, needs.get(i, need))
    flat = re.sub(r"\{\d\}", "•", template)
    while (inner := re.sub(r"\[[^\[\]()]+\]", "¦", re.sub(r"\([^()]+\)", "¤", flat))) != flat:
        flat = inner
    opened = re.fullmatch(r"[^•|‖+−×÷]+ (•|\w+¤)", flat) is not None
    if " + " in flat or " − " in flat:
        level = SUM
    elif " × " in flat or " ÷ " in flat:
        level = PRODUCT
    elif flat in ("−•", "−¤") or opened:
        level = SIGN
    elif re.fullmatch(r"•[²ᵀ¦]|√•", flat):
        level = POSTFIX
    elif re.fullmatch(r"\w+¤|\|•\||‖•‖", flat):
        level = ATOM
    else:
        level = LOOSE
    return level, opened, needs
