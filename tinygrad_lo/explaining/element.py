"""One element of an array step, worked out: `S[0,1] − s_y[0] = 5.1 − 3.2`.

From which elements of its inputs an element was made, the op itself says. One that moves is run on places in
place of numbers; one that works element by element gives the same where all inputs are this element; of any
other, the rule is asked for the gradient of this element alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Array, Node, Op
from tinygrad_lo.engine.machine.sums import stretched, total
from tinygrad_lo.explaining.derivative import ruled
from tinygrad_lo.explaining.expression import (
    ATOM,
    LOOSE,
    MINUS,
    MULTIPLY,
    PRODUCT,
    SUM,
    WHERE,
    Arg,
    Expression,
    Line,
    Piece,
    broadcasts,
    constant_text,
    infix,
    nested_text,
    written,
)
from tinygrad_lo.explaining.formula import DIGITS, POWER, Names, number, option_text

MOST_TERMS = 6  # of a sum; of more, the first are shown and the others counted
SHOWN_TERMS = 3
MOST_LINES = 40  # of a rule; a longer one takes longer than its example is worth
MOST_OPS = 8  # of the ops before a sum, those that its terms are written with
LONGEST = 80  # characters; what is longer is shown with fewer ops, or by its number
LARGEST = 100_000  # elements; a larger array takes longer than its example is worth
VARIABLE, CONSTANT = "x", "c"  # what stands for an input that needs a gradient, and for one that does not


class Origin(NamedTuple):
    """From where an element came."""

    kind: str  # "element": one of each input; "moved": one of all; "linear" or "mixed": several
    places: dict[int, ndarray[Any, Any]]  # of each input, its elements
    factors: Array = None  # of a linear op, by which the elements of its first input are multiplied


def count_of(op: Op, inputs: tuple[Any, ...]) -> int:
    """How many of the inputs are no options."""
    return len(inputs) - 1 if op.arity is None else op.arity


def is_plain(x: Any) -> bool:
    """Whether these are numbers that are here, and not too many."""
    return isinstance(x, (ndarray, np.generic, int, float)) and 0 < np.size(x) <= LARGEST


def origin(line: Line, j: int) -> Origin:
    """From where element j came."""
    op, inputs = line.op, line.inputs
    shapes = [np.shape(x) for x in inputs[: count_of(op, inputs)]]
    if op.kind == "moves":
        return moved(line, j)
    if op.kind != "mixes" and broadcasts(shapes, line.shape):
        at = np.unravel_index(j, line.shape)
        places = {k: np.array([place_in(shape, at)]) for k, shape in enumerate(shapes)}
        if op.elementwise or is_by_element(line, j, places):
            return Origin("element", places)
    return mixed(line, j)


def place_in(shape: tuple[int, ...], at: tuple[Any, ...]) -> int:
    """Which element of an array stands at a place of what it was broadcast to."""
    own = at[len(at) - len(shape) :]
    index = tuple(int(i) if n > 1 else 0 for i, n in zip(own, shape, strict=True))
    return int(np.ravel_multi_index(index, shape)) if shape else 0


def is_by_element(line: Line, j: int, places: dict[int, ndarray[Any, Any]]) -> bool:
    """Whether element j stays when all others become equal to it, and when they become larger."""
    equal, larger = list(line.inputs), list(line.inputs)
    for k, place in places.items():
        x = np.asarray(line.inputs[k])
        if x.dtype.kind == "f" and x.ndim:
            equal[k] = np.full_like(x, x.flat[place[0]])
            larger[k] = x + 1
            larger[k].flat[place[0]] = x.flat[place[0]]
    y, *others = (np.ravel(line.op.forward(*some))[j] for some in (line.inputs, equal, larger))
    return all(np.array_equal(y, other, equal_nan=True) for other in others)


def moved(line: Line, j: int) -> Origin:
    """The element that a moving op took; without places, a constant that it put there.

    A sum of places is no place: they begin above half of the largest.
    """
    op, inputs = line.op, list(line.inputs)
    starts = {}
    first = start = 1 + sum(np.size(x) for x in inputs if isinstance(x, ndarray))
    for k, x in enumerate(inputs[: count_of(op, line.inputs)]):
        if op.rules[k if op.arity else 0] is not None and isinstance(x, ndarray) and x.dtype.kind == "f":
            starts[k] = start
            inputs[k] = np.arange(start, start + x.size, dtype=float).reshape(x.shape)
            start += x.size
    label = int(np.ravel(op.forward(*inputs))[j])
    if label and not first <= label < start:
        raise ValueError(f"{op.name} adds")
    k = max((k for k, begin in starts.items() if begin <= label), default=0)
    return Origin("moved", {k: np.array([label - starts[k]])} if label else {})


def mixed(line: Line, j: int) -> Origin:
    """The elements that a change of which changes element j: at equal numbers, those with a slope."""
    op, inputs = line.op, line.inputs
    floats = [k for k in range(count_of(op, inputs)) if np.asarray(inputs[k]).dtype.kind in "fb"]
    ones = [np.ones_like(x) if k in floats else x for k, x in enumerate(inputs)]
    places = {k: np.flatnonzero(slopes(line, k, j, ones)) for k in floats if has_rule(op, k)}
    k = next(iter(places))
    probes = [list(inputs), list(inputs), list(inputs)]
    probes[1][k] = np.ones_like(inputs[k])
    probes[2][k] = np.arange(1, np.size(inputs[k]) + 1).reshape(np.shape(inputs[k])).astype(float)
    found = [slopes(line, k, j, some) for some in probes]
    linear = all(np.array_equal(found[0], other) for other in found[1:])
    return Origin("linear", places, found[0][places[k]]) if linear else Origin("mixed", places)


def has_rule(op: Op, k: int) -> bool:
    """Whether a gradient flows to an input."""
    return op.rules[k if op.arity else 0] is not None


def slopes(line: Line, k: int, j: int, inputs: list[Any]) -> ndarray[Any, Any]:
    """The derivative of element j by each element of an input, at these inputs."""
    y = line.op.forward(*inputs)
    g = np.zeros(line.shape)
    g.flat[j] = 1
    part = ruled(line.op, k, g[()], y, inputs)
    axes = stretched(np.shape(part), np.shape(inputs[k]))
    return np.ravel(total(part, axes) if axes else part)


class Element:
    """An expression worked out for single elements, with the numbers that its lines have seen."""

    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines
        self._pieces: dict[tuple[int, int], Piece] = {}

    def piece(self, arg: Arg, x: Array, j: int) -> Piece:
        """Element j of an argument, whose value is x."""
        single = leaf(np.ravel(x)[j], constant=arg == CONSTANT or isinstance(arg, Piece))
        if not isinstance(arg, int):
            return single
        if (arg, j) not in self._pieces:
            attempts = (self._worked(self.lines[arg], j, single, deep=deep) for deep in (True, False))
            short = (piece for piece in attempts if len(piece.text) <= LONGEST)
            self._pieces[arg, j] = next(short, single)
        return self._pieces[arg, j]

    def _worked(self, line: Line, j: int, single: Piece, *, deep: bool) -> Piece:
        """Element j of a line; unless deep, from the numbers of its inputs."""
        source = origin(line, j)
        pieces = {
            k: [
                self.piece(line.args[k] if deep else VARIABLE, line.inputs[k], i)
                for i in some[: MOST_TERMS + 1].tolist()
            ]
            for k, some in source.places.items()
        }
        if source.kind == "element":
            return by_element(line, j, [pieces[k][0] for k in sorted(pieces)])
        if source.kind == "moved":
            return next((some[0] for some in pieces.values()), constant_text(0.0))
        if source.kind == "linear":
            return as_sum(next(iter(pieces.values())), source)
        if max(map(len, pieces.values())) > MOST_TERMS:
            return single
        texts = {k: Piece(", ".join(piece.text for piece in some), LOOSE) for k, some in pieces.items()}
        return together(line, j, list(texts.values()), source)


def by_element(line: Line, j: int, pieces: list[Piece]) -> Piece:
    """An op over the numbers of one element."""
    if line.op is WHERE:
        return pieces[1] if np.broadcast_to(line.inputs[0], line.shape).flat[j] else pieces[2]
    if line.op is MULTIPLY and any(piece.value == 0 for piece in pieces):
        return constant_text(0.0)  # masked out
    if line.op is MINUS and pieces[0].text == "0":
        return pieces[0]
    return written(line.op, line.inputs, [*pieces, *options_of(line)], ())


def leaf(value: Any, *, constant: bool = False) -> Piece:
    """A number. Without its value, a factor of 1 is not taken for one that a reader can do without."""
    piece = constant_text(value)
    signed = piece._replace(level=SUM) if piece.text.startswith("−") else piece  # −1.7 − 3.2
    return signed if constant else signed._replace(value=None)


def options_of(line: Line) -> list[Piece]:
    """The options of an op as text."""
    return [Piece(option_text(x)) for x in line.inputs[count_of(line.op, line.inputs) :]]


def as_sum(pieces: list[Piece], source: Origin) -> Piece:
    """`0.2 · 1 + 4.7 · 2`; a term that a constant 0 has taken out is left out."""
    count, terms, factors = len(source.factors), pieces, source.factors[: len(pieces)]
    if len(source.places) > 1 or not (factors == 1).all():
        terms = [infix("×", *pair, "·") for pair in zip(pieces, map(leaf, factors), strict=True)]
    if count <= MOST_TERMS:
        terms = [each for each in terms if each.value != 0] or terms[:1]
        text = added(terms)
        if len(terms) == 1 or len(text) <= LONGEST:
            return terms[0] if len(terms) == 1 else Piece(text, SUM, "+")
        count = len(terms)
    return Piece(f"{added(terms[:SHOWN_TERMS])} + … ({count - SHOWN_TERMS} more)", SUM, "+")


def added(terms: list[Piece]) -> str:
    """A sum as text."""
    return " + ".join(nested_text(each, PRODUCT if i else SUM) for i, each in enumerate(terms))


def together(line: Line, j: int, args: list[Piece], source: Origin) -> Piece:
    """An op over several elements: `log Σ exp(3.2, 5.1, −1.7)`; of as many results, with this one's place."""
    piece = written(line.op, line.inputs, [*args, *options_of(line)], ())
    k, own = next(iter(source.places.items()))
    if len(source.places) > 1 or np.shape(line.inputs[k]) != line.shape or len(own) == 1:
        return piece
    whole = len(own) == np.size(line.inputs[k]) or not part_text(own, line.shape)
    place = index_text(j, line.shape) if whole else f"[{int(np.searchsorted(own, j))}]"
    return piece._replace(text=nested_text(piece, ATOM) + place, level=ATOM)


def value_worked(names: Names, node: Any, gradient: Array = None) -> tuple[str, str]:
    """One element of a value: its place `[0,1]`, and `S[0,1] − s_y[0] = 5.1 − 3.2 = 1.9`.

    It is the first with the largest gradient that is not 0 itself; without a gradient, the largest.
    """
    inputs = node.inputs[: count_of(node.op, node.inputs)]
    if not all(map(is_plain, [node.value, *inputs])):
        return "", ""
    j = chosen(node.value if gradient is None else gradient, node.value)
    lines = lines_of(node)
    piece = Element(lines).piece(len(lines) - 1, node.value, j)
    formula = with_places(names, node, lines[-1], j)
    return index_text(j, np.shape(node.value)), told(formula, piece.text, node.value, j)


def product_worked(expression: Expression, part: Array) -> tuple[str, str]:
    """The largest element of a product of the backward pass: its place, and `0.3333 × (2.9 > 0) = 0.3333`."""
    inputs = [x for line in expression.lines for x in line.inputs[: count_of(line.op, line.inputs)]]
    if not all(map(is_plain, [part, *inputs])) or len(expression.lines) > MOST_LINES or not np.any(part):
        return "", ""
    j = chosen(part, part)
    piece = Element(expression.lines).piece(expression.result, part, j)
    return index_text(j, np.shape(part)), told("", piece.text, part, j)


def told(formula: str, numbers: str, value: Array, j: int) -> str:
    """The sides of an equation that say something new."""
    shown = number(np.ravel(value)[j], DIGITS)
    return " = ".join(dict.fromkeys(filter(None, (formula, numbers if numbers != shown else "", shown))))


def chosen(sizes: Array, values: Array) -> int:
    """The first of the largest elements, if it can be one whose value is not 0; or the first nan."""
    x = np.abs(np.ravel(sizes).astype(float))
    largest = np.isnan(x) if np.isnan(x).any() else x == x.max()
    visible = largest & (np.ravel(values) != 0)
    return int(np.argmax(visible if visible.any() else largest))


def lines_of(node: Any) -> list[Line]:
    """The op of a value as an expression; of a sum, with what was made element by element before it."""
    inside: dict[int, Any] = {node.birth: node}
    waiting = [node] if node.op.kind == "mixes" else []
    for one in waiting:
        for parent in one.parents:
            if len(inside) < MOST_OPS and is_inner(parent) and parent.birth not in inside:
                inside[parent.birth] = parent
                waiting.append(parent)
    places = {birth: place for place, birth in enumerate(sorted(inside, reverse=True))}

    def arg(parent: Node | None) -> Arg:
        if len(places) > 1 and (parent is None or not parent.needs):
            return CONSTANT
        if parent is None:
            return VARIABLE
        return places.get(parent.birth, VARIABLE)

    return [
        Line(one.op, tuple(map(arg, one.parents)), one.inputs, np.shape(one.value))
        for one in (inside[birth] for birth in places)
    ]


def is_inner(node: Any) -> bool:
    """Whether a sum's terms are clearer when they show how this was made."""
    if node is None or node.op is None or not node.needs or node.op is MINUS:
        return False
    op = node.op
    by_element = op.elementwise or not (op.samples or op.arity is None)
    return by_element and all(map(is_plain, node.inputs[: op.arity]))


def with_places(names: Names, node: Any, line: Line, j: int) -> str:
    """What made an element, with the names of its inputs and the places in them: `X[0,:] @ W[:,1]`."""
    source = origin(line, j)
    texts = names.operands(node)
    for k, some in source.places.items():
        texts[k] += part_text(some, np.shape(node.inputs[k]))
    pieces = list(map(Piece, texts))
    if source.kind == "moved":
        return next((texts[k] for k in source.places), "")
    if node.op is POWER and node.parents[1] is None and not np.ndim(node.inputs[1]):
        pieces[1] = constant_text(node.inputs[1])
    if source.kind == "element":
        return written(node.op, node.inputs, pieces, ()).text
    return together(line, j, pieces[: len(source.places)], source).text


def index_text(j: int, shape: tuple[int, ...]) -> str:
    """`[0,1]`; nothing for one number. Axes of one element at the end go without saying."""
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return f"[{','.join(map(str, np.unravel_index(j, shape)))}]" if shape else ""


def part_text(some: ndarray[Any, Any], shape: tuple[int, ...]) -> str:
    """Where in an array these elements are: `[0,1]`, `[0,:]`; nothing for all, and where no slices say it."""
    if len(some) == 1:
        return index_text(int(some[0]), shape)
    axes = [np.unique(axis) for axis in np.unravel_index(some, shape)]
    if len(some) == np.prod(shape) or len(some) != np.prod([len(axis) for axis in axes]):
        return ""
    if any(len(axis) not in (1, n) for axis, n in zip(axes, shape, strict=True)):
        return ""
    return f"[{','.join(':' if len(axis) > 1 else str(axis[0]) for axis in axes)}]"
