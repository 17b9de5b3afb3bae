"""Which scores a probability was made of: what a loss looks up to keep the digits that rounding took.

A probability near 0 or 1 no longer tells how large its score was; the graph does. Where no graph is kept,
because nothing needs a gradient, the few ops that stand between scores and a loss leave a note on their
result instead, so that a loss has one value with and without a graph. A note holds copies of arrays,
never nodes of a graph.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from numpy import ndarray

from tinygrad_lo.engine.graph import Array, Node, Op

MAKERS = frozenset({"exp", "sigmoid", "log_softmax"})
# What leaves probabilities what they are, and 1 − p, and e^s / Σ e^s.
MOVERS = frozenset({
    "reshape", "transpose", "getitem", "gather", "pick", "broadcast_to", "astype", "subtract", "divide",
})  # fmt: skip
TRACED = MAKERS | MOVERS
FAR = 16  # a loss does not look through more moves


class Recipe(NamedTuple):
    """How a value was made of scores.

    Attributes:
        maker: the name of the op that made it.
        source: what the maker was given.
        axes: of a log-softmax, and of an exp of one: (its axis,); else empty.
        moves: (op, its other inputs) for what was done since, the first one first.
        value: the data that this is the recipe of; a constant whose data was assigned anew has none.
    """

    maker: str
    source: Any
    axes: tuple[Any, ...]
    moves: tuple[tuple[Op, tuple[Any, ...]], ...]
    value: Array


def recipe(x: Any) -> Recipe | None:
    """How a value, perhaps moved since, was made of scores; None where nobody knows."""
    if not isinstance(x, Node) or x.plain:
        return None
    if x._op is not None:
        return traced(x._op, x.parents, x.inputs, x._birth, x._value)
    found: Recipe | None = x._pa
    return found if found is not None and found.value is x._value and not x._stamp else None


def traced(
    op: Op, parents: tuple[Any, ...], inputs: tuple[Any, ...], birth: int, value: Array
) -> Recipe | None:
    """The recipe of what an op made of its inputs."""
    moves: list[tuple[Op, tuple[Any, ...]]] = []
    while op.name in MOVERS and len(moves) < FAR:
        one_minus = op.name == "subtract"
        x = parents[one_minus]
        if x is None or x.plain or (one_minus and (parents[0] is not None or not is_one(inputs[0]))):
            return None
        if op.name == "astype" and inputs[1].kind != "f":
            return None
        rest = [x if x is not None else data for x, data in zip(parents[1:], inputs[1:], strict=False)]
        moves.append((op, () if one_minus else (*rest, *inputs[len(parents) :])))
        if x._op is None:
            found = recipe(x)
            return found and found._replace(moves=found.moves + tuple(moves[::-1]), value=value)
        op, parents, inputs, birth = x._op, x.parents, x.inputs, x._birth
    if op.name not in MAKERS:
        return None
    source = parents[0] if parents[0] is not None else inputs[0]
    leaf = isinstance(source, Node) and source._op is None
    if leaf and (source._value is not inputs[0] or birth > source._stamp):
        return None  # a leaf that has changed since: what it was is only in p
    axes: tuple[Any, ...] = (inputs[1],) if op.name == "log_softmax" else ()
    if op.name == "exp" and isinstance(source, Node):
        axes = axis_of(source)
    return Recipe(op.name, source, axes, tuple(moves[::-1]), value)


def is_one(x: Any) -> bool:
    """Whether this is the number 1."""
    return isinstance(x, (int, float)) and x == 1


def axis_of(x: Node) -> tuple[Any, ...]:
    """(The axis,) along which this is what log_softmax returned; empty where it is not."""
    if x._op is not None:
        return (x.inputs[1],) if x._op.name == "log_softmax" else ()
    found = recipe(x)
    return found.axes if found is not None and found.maker == "log_softmax" and not found.moves else ()


def note(out: Node, op: Op, parents: tuple[Any, ...], inputs: tuple[Any, ...]) -> Node:
    """Leave the recipe on a constant."""
    found = traced(op, parents, inputs, out._birth, out._value)
    if found is not None:
        moves = tuple((move, tuple(map(kept, rest))) for move, rest in found.moves)
        out._pa = found._replace(source=kept(found.source), moves=moves)
    return out


def kept(x: Any) -> Any:
    """A copy of the array of a tensor, which may be changed in place later; anything else as it is."""
    x = x._value if isinstance(x, Node) else x
    return x.copy() if type(x) is ndarray else x


def back(x: Any) -> Iterator[Node]:
    """A value and those it was moved from, as far as the one that was made of scores."""
    for _ in range(FAR + 1):
        if not isinstance(x, Node):
            return
        yield x
        op = x._op
        if op is None or op.name not in MOVERS:
            return
        x = x.parents[op.name == "subtract"]
