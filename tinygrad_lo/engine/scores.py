"""Which scores a probability was made of: what a loss looks up to keep the digits that rounding took.

The graph tells it. Where nothing needs a gradient, there is none: then the few ops between scores and a loss
leave a note on their result, with copies of arrays, so that a loss has one value with and without a graph.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Array, Node, Op, constant
from tinygrad_lo.engine.machine.arguments import foreign

ONE_MINUS = "subtract"
FAR = 16  # a loss does not look through more moves


class Recipe(NamedTuple):
    """How a value was made of scores.

    Attributes:
        maker: the name of the op that made it.
        source: what the maker was given.
        axes: of a log-softmax, and of an exp of one: (its axis,); else empty.
        moves: (op, its other inputs) for what was done since, the first one first.
        value: the data that this is the recipe of; a constant whose data was assigned anew has none.
        mark: of a constant, what tells that its data was written into.
    """

    maker: str
    source: Any
    axes: tuple[Any, ...]
    moves: tuple[tuple[Op, tuple[Any, ...]], ...]
    value: Array
    mark: Any = None


def recipe(x: Any) -> Recipe | None:
    """How a value, perhaps moved since, was made of scores; None where nobody knows."""
    if not isinstance(x, Node) or x.plain:
        return None
    if x.op is not None:
        return traced(x.op, x.parents, x.inputs, x.birth, x.value)
    found: Recipe | None = x.from_a
    if found is None or found.value is not x.value or x.stamp:
        return None
    return found if found.mark == mark_of(x.value) else None


def mark_of(x: Any) -> Any:
    """A number that most changes of an array change, too; None of a lazy one, which only computing tells."""
    return None if foreign(x) else np.vdot(x, x)


def traced(op: Op, parents: Any, inputs: tuple[Any, ...], birth: int, value: Array) -> Recipe | None:
    """The recipe of what an op made of its inputs."""
    moves: list[tuple[Op, tuple[Any, ...]]] = []
    while op.probability == "keeps" and len(moves) < FAR:
        others = moved_by(op, parents, inputs, birth)
        if others is None:
            return None
        moves.append((op, others))
        x = parents[op.name == ONE_MINUS]
        if x.op is None:
            found = recipe(x)
            return found and found._replace(moves=found.moves + tuple(moves[::-1]), value=value)
        op, parents, inputs, birth = x.op, x.parents, x.inputs, x.birth
    source = parents[0] if parents[0] is not None else inputs[0]
    if op.probability != "makes" or is_stale(source, inputs[0], birth):
        return None  # of a source that was is_stale, what it was is only in p
    axes: tuple[Any, ...] = (inputs[1],) if op.name == "log_softmax" else ()
    if op.name == "exp" and isinstance(source, Node):
        axes = axis_of(source)
    return Recipe(op.name, source, axes, tuple(moves[::-1]), value)


def moved_by(op: Op, parents: tuple[Any, ...], inputs: tuple[Any, ...], birth: int) -> tuple[Any, ...] | None:
    """The other inputs of an op that leaves a probability p what it is, or 1 − p; None where it does not."""
    one_minus = op.name == ONE_MINUS
    x = parents[one_minus]
    if x is None or x.plain or (op.name == "astype" and inputs[1].kind != "f"):
        return None
    if one_minus:
        return () if parents[0] is None and isinstance(inputs[0], (int, float)) and inputs[0] == 1 else None
    pairs = list(zip(parents[1:], inputs[1:], strict=False))
    if any(is_stale(x, data, birth) for x, data in pairs):
        return None
    return (*(data if x is None else x for x, data in pairs), *inputs[len(parents) :])


def is_stale(x: Any, seen: Array, birth: int) -> bool:
    """Whether this is a leaf whose data is no longer what the node with this birth saw."""
    return isinstance(x, Node) and x.op is None and (x.value is not seen or birth > x.stamp)


def axis_of(x: Node) -> tuple[Any, ...]:
    """(The axis,) along which this is what log_softmax returned; empty where it is not."""
    if x.op is not None:
        return (x.inputs[1],) if x.op.name == "log_softmax" else ()
    found = recipe(x)
    return found.axes if found is not None and found.maker == "log_softmax" and not found.moves else ()


def constant_of(op: Op, value: Array, parents: tuple[Any, ...], inputs: tuple[Any, ...]) -> Node:
    """What an op returns where no gradient is wanted."""
    out: Node = constant(value)
    return note(out, op, parents, inputs) if op.probability else out


def note(out: Node, op: Op, parents: tuple[Any, ...], inputs: tuple[Any, ...]) -> Node:
    """Leave the recipe on a constant."""
    found = traced(op, parents, inputs, out.birth, out.value)
    if found is not None:
        moves = tuple((move, tuple(map(copy_of, rest))) for move, rest in found.moves)
        out.from_a = found._replace(source=copy_of(found.source), moves=moves, mark=mark_of(out.value))
    return out


def copy_of(x: Any) -> Any:
    """A copy of an array, which may be is_stale in place later, also of those in a tuple; anything else."""
    if isinstance(x, tuple):
        return tuple(map(copy_of, x))
    x = x.value if isinstance(x, Node) else x
    return x.copy() if type(x) is ndarray else x


def back(x: Any) -> Iterator[Node]:
    """A value and those it was moved from, as far as the one that was made of scores."""
    for _ in range(FAR + 1):
        if not isinstance(x, Node):
            return
        yield x
        op = x.op
        if op is None or op.probability != "keeps":
            return
        x = x.parents[op.name == ONE_MINUS]
