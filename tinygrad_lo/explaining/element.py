"""One element of an array step, worked out: `S[0,1] − s_y[0] = 5.1 − 3.2`.

From which elements of its inputs an element was made, the op itself says. One that moves is run on places in
place of numbers; one that works element by element gives the same where all inputs are this element; of any
other, the rule is asked for the gradient of this element alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Array, Node, Op
from tinygrad_lo.engine.machine.sums import broadcasts, stretched, total
from tinygrad_lo.explaining.derivative import local_expression, ruled
from tinygrad_lo.explaining.expression import Arg, Bond, Line, Piece, constant_text, infix, written
from tinygrad_lo.explaining.formula import DIGITS, Names, number, option_text
from tinygrad_lo.program.ops import MULTIPLY, NEGATIVE, POWER, WHERE

# Of a sum of more numbers, or of more products, the first terms are shown and the others counted.
MOST_TERMS, MOST_PRODUCTS, SHOWN_TERMS = 6, 4, 3
MOST_OPS = 8  # before a sum, with which its terms are written
MOST_LINES = 40  # of a rule; a longer one takes longer than its example is worth
LARGEST = 100_000  # elements; so does a larger array
LONGEST = 84  # characters; what is longer is shown with fewer ops, or by its number
# What stands for inputs: of the terms of a sum, those without a gradient are known to be constant.
VARIABLE, CONSTANT = "x", "c"


class Origin(NamedTuple):
    """From where an element came."""

    kind: str  # "element": one of each input; "moved": one of all, or none; "linear" or "mixed": several
    places: dict[int, ndarray[Any, Any]]  # of each input, its elements
    factors: Array = None  # of a linear op, by which the elements of its first input are multiplied


def tensors_in(line: Line) -> tuple[Any, ...]:
    """The inputs that are no options."""
    return line.inputs[: -1 if line.op.arity is None else line.op.arity]


def is_here(x: Any) -> bool:
    """Whether these are numbers that are known, and not too many."""
    return isinstance(x, (ndarray, np.generic, int, float)) and 0 < np.size(x) <= LARGEST


def carries(op: Op, k: int, x: Any) -> bool:
    """Whether a gradient flows to this input, an array of numbers."""
    return op.rules[k if op.arity else 0] is not None and np.asarray(x).dtype.kind == "f"


def origin(line: Line, j: int) -> Origin:
    """From where element j came."""
    if line.op.kind == "moves":
        return moved(line, j)
    shapes = list(map(np.shape, tensors_in(line)))
    if line.op.kind != "mixes" and broadcasts(shapes, line.shape):
        at = np.unravel_index(j, line.shape)
        places = [stretched_place(shape, at) for shape in shapes]
        if line.op.elementwise or stays(line, j, places):
            return Origin("element", {k: np.array([place]) for k, place in enumerate(places)})
    return mixed(line, j)


def stretched_place(shape: tuple[int, ...], at: tuple[Any, ...]) -> int:
    """Which element of an array stands at a place of what it was broadcast to."""
    own = np.minimum(at[len(at) - len(shape) :], np.subtract(shape, 1)).astype(int)
    return int(np.ravel_multi_index(tuple(own), shape)) if shape else 0


def stays(line: Line, j: int, places: list[int]) -> bool:
    """Whether element j stays when all others become equal to it, and when they become larger."""
    equal, larger = list(line.inputs), list(line.inputs)
    for k, place in enumerate(places):
        x = np.asarray(line.inputs[k])
        if x.dtype.kind == "f":
            equal[k] = np.full_like(x, x.flat[place])[()]
            larger[k] = np.where(np.arange(x.size).reshape(x.shape) == place, x, x + 1)[()]
    y, *others = (np.ravel(line.op.forward(*some))[j] for some in (line.inputs, equal, larger))
    return all(np.array_equal(y, other, equal_nan=True) for other in others)


def moved(line: Line, j: int) -> Origin:
    """The element that a moving op took; no place for a constant that it put there.

    Places begin above half of the largest, so that a sum of them is none.
    """
    inputs = tensors_in(line)
    sizes = [np.size(x) * carries(line.op, k, x) for k, x in enumerate(inputs)]
    starts = np.cumsum([1 + sum(sizes), *sizes])
    labels = [
        np.arange(start, start + np.size(x), dtype=float).reshape(np.shape(x)) if count else x
        for x, start, count in zip(inputs, starts, sizes, strict=False)
    ]
    label = int(np.ravel(line.op.forward(*labels, *line.inputs[len(inputs) :]))[j])
    if label >= starts[-1]:
        return Origin("mixed", {})
    k = int(np.searchsorted(starts, label, "right")) - 1
    return Origin("moved", {k: np.array([label - starts[k]])} if label else {})


def mixed(line: Line, j: int) -> Origin:
    """The elements that a change of which changes element j: at equal numbers, those with a slope."""
    floats = [k for k, x in enumerate(tensors_in(line)) if carries(line.op, k, x)]
    ones = [np.ones_like(x) if k in floats else x for k, x in enumerate(line.inputs)]
    places = {k: np.flatnonzero(jacobian_row(line, k, j, ones)) for k in floats}
    k, before, after = floats[0], line.inputs[: floats[0]], line.inputs[floats[0] + 1 :]
    x = np.asarray(line.inputs[k])
    probes = x, np.ones_like(x), np.arange(1.0, x.size + 1).reshape(x.shape)
    rows = [jacobian_row(line, k, j, [*before, probe, *after]) for probe in probes]
    # The derivative of a linear op is the same wherever it is taken.
    if all(np.array_equal(rows[0], other) for other in rows[1:]):
        return Origin("linear", places, rows[0][places[k]])
    return Origin("mixed", places)


def jacobian_row(line: Line, k: int, j: int, inputs: list[Any]) -> ndarray[Any, Any]:
    """The derivative of element j by each element of an input, at these inputs."""
    g = np.zeros(line.shape)
    g.flat[j] = 1
    part = ruled(line.op, k, g[()], line.op.forward(*inputs), inputs)
    axes = stretched(np.shape(part), np.shape(inputs[k]))
    return np.ravel(total(part, axes) if axes else part)


# --------------------------------------------------------------------------------------- as numbers


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
            attempts = (self._worked(self.lines[arg], j, deep=deep) for deep in (True, False))
            short = (piece for piece in attempts if piece is not None and len(piece.text) <= LONGEST)
            self._pieces[arg, j] = next(short, single)
        return self._pieces[arg, j]

    def _worked(self, line: Line, j: int, *, deep: bool) -> Piece | None:
        """Element j of a line; unless deep, from the numbers of its inputs."""
        source = origin(line, j)
        pieces = []
        for k, some in source.places.items():
            arg, x = line.args[k] if deep else VARIABLE, line.inputs[k]
            pieces.append([self.piece(arg, x, i) for i in some[:MOST_TERMS].tolist()])
        return WRITERS[source.kind](line, j, source, pieces)


def by_element(line: Line, j: int, _: Origin, pieces: list[list[Piece]]) -> Piece:
    """An op over the numbers of one element."""
    args = [one for (one,) in pieces]
    if line.op is WHERE:
        return args[1 if np.broadcast_to(line.inputs[0], line.shape).flat[j] else 2]
    if line.op is MULTIPLY and 0 in [each.value for each in args]:
        return constant_text(0.0)  # masked out
    if line.op is NEGATIVE and args[0].text == "0":
        return args[0]
    return with_options(line, args)


def with_options(line: Line, args: list[Piece]) -> Piece:
    """An op over pieces of text, and its options."""
    options = [Piece(option_text(x)) for x in line.inputs[len(tensors_in(line)) :]]
    return written(line.op, line.inputs, [*args, *options], ())


def as_sum(line: Line, _: int, source: Origin, pieces: list[list[Piece]]) -> Piece:
    """`0.2 · 1 + 4.7 · 2`; a term that a constant 0 has taken out is left out."""
    plain = len(tensors_in(line)) == 1 and (source.factors == 1).all()
    terms, count = pieces[0], len(source.factors)
    if not plain:
        terms = [infix("×", *pair, "·") for pair in zip(terms, map(leaf, source.factors), strict=False)]
    if count > (MOST_TERMS if plain else MOST_PRODUCTS):
        return Piece(f"{joined_terms(terms[:SHOWN_TERMS])} + … ({count - SHOWN_TERMS} more)", Bond.SUM, "+")
    terms = [each for each in terms if each.value != 0] or terms[:1]
    return terms[0] if len(terms) == 1 else Piece(joined_terms(terms), Bond.SUM, "+")


def over_several(line: Line, j: int, source: Origin, pieces: list[list[Piece]]) -> Piece | None:
    """`log Σ exp(3.2, 5.1, −1.7)`; nothing for too many."""
    if not pieces or max(map(len, source.places.values())) > MOST_TERMS:
        return None
    rows = (", ".join(one.text for one in some) for some in pieces)
    return together(line, j, source, [Piece(row, Bond.LOOSE) for row in rows])


WRITERS = {
    "element": by_element,
    "moved": lambda _line, _j, _source, pieces: pieces[0][0] if pieces else constant_text(0.0),
    "linear": as_sum,
    "mixed": over_several,
}


def leaf(value: Any, *, constant: bool = False) -> Piece:
    """A number. Without its value, a factor of 1 is not taken for one that a reader can do without."""
    piece = constant_text(value)
    level = Bond.SUM if piece.text.startswith("−") else piece.level  # −1.7 − 3.2
    return piece._replace(level=level, value=piece.value if constant else None)


def joined_terms(terms: list[Piece]) -> str:
    """A sum as text."""
    return " + ".join(each.within(Bond.PRODUCT if i else Bond.SUM) for i, each in enumerate(terms))


def together(line: Line, j: int, source: Origin, args: list[Piece]) -> Piece:
    """An op over parts of its inputs; of as many results as elements, with the place of this one."""
    piece = with_options(line, args)
    own, *others = source.places.values()
    if others or len(own) == 1 or np.shape(line.inputs[next(iter(source.places))]) != line.shape:
        return piece
    place = f"[{int(np.searchsorted(own, j))}]" if part_text(own, line.shape) else place_text(j, line.shape)
    return Piece(piece.within(Bond.ATOM) + place)


# ------------------------------------------------------------------------------ in the words of a graph


def value_worked(names: Names, node: Any, gradients: Mapping[int, Array]) -> tuple[str, str]:
    """One element of a value: its place `[0,1]`, and `S[0,1] − s_y[0] = 5.1 − 3.2 = 1.9`.

    It is the first with the largest gradient that is not 0 itself; without a gradient, the largest.
    """
    gradient = gradients.get(node.birth)
    lines = lines_of(node)
    if not all(map(is_here, [node.value, *tensors_in(lines[-1])])):
        return "", ""
    j = chosen(node.value if gradient is None else gradient, node.value)
    piece = Element(lines).piece(len(lines) - 1, node.value, j)
    formula = with_places(names, node, lines[-1], j)
    return place_text(j, np.shape(node.value)), equal_sides(formula, piece.text, node.value, j)


def product_worked(node: Any, i: int, g: Array, part: Array) -> tuple[str, str]:
    """The largest element of what a node hands to input i: its place, and `0.3333 × (2.9 > 0) = 0.3333`."""
    lines, result, _ = local_expression(node, i, arriving=g)
    inputs = [x for line in lines for x in tensors_in(line)]
    if not all(map(is_here, [part, *inputs])) or len(lines) > MOST_LINES or not np.any(part):
        return "", ""
    j = chosen(part, part)
    piece = Element(lines).piece(result, part, j)
    return place_text(j, np.shape(part)), equal_sides("", piece.text, part, j)


def equal_sides(formula: str, numbers: str, value: Array, j: int) -> str:
    """The sides of an equation that say something new."""
    shown = number(np.ravel(value)[j], DIGITS)
    return " = ".join(dict.fromkeys(filter(None, (formula, numbers if numbers != shown else "", shown))))


def chosen(sizes: Array, values: Array) -> int:
    """The first of the largest elements, if it can be one whose value is not 0; or the first nan."""
    x = np.nan_to_num(np.abs(np.ravel(sizes).astype(float)), nan=np.inf, posinf=np.finfo(float).max)
    largest = x == x.max()
    visible = largest & (np.ravel(values) != 0)
    return int(np.argmax(visible if visible.any() else largest))


def lines_of(node: Any) -> list[Line]:
    """The op of a value as an expression; of a sum, with what was made element by element before it."""
    inside = with_inner(node) if node.op.kind == "mixes" else {node.birth: node}
    places = {birth: place for place, birth in enumerate(sorted(inside, reverse=True))}
    fixed = CONSTANT if len(places) > 1 else VARIABLE

    def arg(parent: Node | None) -> Arg:
        return fixed if parent is None or not parent.needs else places.get(parent.birth, VARIABLE)

    nodes = (inside[birth] for birth in places)
    return [Line(one.op, tuple(map(arg, one.parents)), one.inputs, np.shape(one.value)) for one in nodes]


def with_inner(node: Any) -> dict[int, Any]:
    """A value and some of what it was made from, element by element, by birth."""
    inside = {node.birth: node}
    waiting = [node]
    for one in waiting:
        for parent in filter(is_inner, one.parents):
            if len(inside) < MOST_OPS and parent.birth not in inside:
                inside[parent.birth] = parent
                waiting.append(parent)
    return inside


def is_inner(node: Any) -> bool:
    """Whether a sum's terms are clearer when they show how this was made."""
    op = None if node is None else node.op
    if op is None or op is NEGATIVE or not node.needs:
        return False
    # An op of the user's seems to work element by element; `stays` finds out.
    by_element = op.elementwise or not (op.samples or op.arity is None)
    return by_element and all(map(is_here, node.inputs[: op.arity]))


def with_places(names: Names, node: Any, line: Line, j: int) -> str:
    """What made an element, with the names of its inputs and the places in them: `X[0,:] @ W[:,1]`."""
    source, texts = origin(line, j), names.operands(node)
    for k, some in source.places.items():
        texts[k] += part_text(some, np.shape(node.inputs[k]))
    if source.kind == "moved" or not source.places:
        return next((texts[k] for k in source.places), "")
    if source.kind != "element":
        return together(line, j, source, list(map(Piece, texts[: len(source.places)]))).text
    return written_node(node, list(map(Piece, texts)))


def written_node(node: Any, pieces: list[Piece]) -> str:
    """The op of a value over the pieces of its inputs; a constant exponent is known by its number."""
    pieces += [Piece(option_text(x)) for x in node.inputs[len(pieces) :]]
    if node.op is POWER and node.parents[1] is None:
        pieces[1] = constant_text(node.inputs[1])
    return written(node.op, node.inputs, pieces, ()).text


def place_text(j: int, shape: tuple[int, ...]) -> str:
    """`[0,1]`; nothing for one number. Axes of one element at the end go without saying."""
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return f"[{','.join(map(str, np.unravel_index(j, shape)))}]" if shape else ""


def part_text(some: ndarray[Any, Any], shape: tuple[int, ...]) -> str:
    """Where in an array these elements are: `[0,1]`, `[0,:]`; nothing for all, and where no slices say it."""
    if len(some) == 1:
        return place_text(int(some[0]), shape)
    axes = [np.unique(axis) for axis in np.unravel_index(some, shape)]
    texts = [":" if len(axis) > 1 else str(axis[0]) for axis in axes]
    covered = np.prod(np.where(np.array(texts) == ":", shape, 1))
    return f"[{','.join(texts)}]" if covered == len(some) < np.prod(shape) else ""
