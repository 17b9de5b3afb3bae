"""Equal sub-graphs of a graph of numbers: nodes that differ in their parameters and constants alone.

The members of a class, in order of birth, are its lanes. What an operand is, lane by lane, is an index into
another class; where these indices go in even steps, they are axes, as of loops inside each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lo.engine.graph import Array, Node, Op
from tinygrad_lo.engine.machine.recording import NodeRow
from tinygrad_lo.program.ops import ADD

ClassLane = tuple[int, int]  # a class and a lane of it


class Kind(NamedTuple):
    """A class of nodes.

    Attributes:
        op: what its members do; of a sum of several terms, None; of leaves and constants, None, too.
        terms: of each operand, the class and how many of it come one after the other (1, but in sums).
        places: of each operand, the lanes of its class that the members take: (lanes, count).
        values: the members' values.
    """

    op: Op | None
    terms: list[tuple[int, int]]
    places: list[Array]
    values: Array


class Classes:
    """The classes of a graph of numbers, operands first.

    Attributes:
        kinds: all classes. The first is of constants, the second of leaves.
        leaves: the tensors that are leaves.
        root: where the result is.
    """

    def __init__(self, rows: list[NodeRow], root: Node) -> None:
        self.leaves = [row.node for row in rows if row.op is None]
        constants: list[float] = []
        places = {leaf.birth: (1, lane) for lane, leaf in enumerate(self.leaves)}
        # By what members have in common: the number of their class, the operands of each, their values.
        made: dict[Any, tuple[int, list[list[ClassLane]], list[Any]]] = {}

        def place_of(x: Any) -> ClassLane:
            if isinstance(x, Node):
                return places[x.birth]
            constants.append(float(x))
            return 0, len(constants) - 1

        for row, operands in with_operands(rows):
            found = list(map(place_of, operands))
            key = (row.op, *(number for number, _ in found))
            number, members, values = made.setdefault(key, (len(made) + 2, [], []))
            places[row.birth] = (number, len(members))
            members.append(found)
            values.append(row.node.value)
        self.root = places[root.birth]
        numbers = constants, [leaf.value for leaf in self.leaves]
        self.kinds = [Kind(None, [], [], np.array(values)) for values in numbers]
        for (op, *terms), (_, members, values) in made.items():
            is_sum = op is ADD and len(terms) > 2
            kind = Kind(None if is_sum else op, *operands_of(members, sums=is_sum), np.array(values))
            self.kinds.append(kind)


def with_operands(rows: list[NodeRow]) -> Iterator[tuple[NodeRow, list[Any]]]:
    """Each op with its operands; sums that are only the beginning of a longer one are part of that."""
    inner = sums_inside(rows)
    begun: dict[int, list[Any]] = {}  # their terms
    for row in rows:
        if row.op is None:
            continue
        first, *others = row.inputs[: row.op.arity]
        continues = row.op is ADD and isinstance(first, Node) and first.birth in inner
        operands = [*(begun.pop(first.birth) if continues else [first]), *others]
        if row.birth in inner:
            begun[row.birth] = operands
        else:
            yield row, operands


def sums_inside(rows: Sequence[NodeRow] | Sequence[Node]) -> set[int]:
    """The births of sums that are only the beginning of a longer one: a + b in a + b + c."""
    uses = Counter(parent.birth for row in rows for parent in row.parents if parent is not None)
    begins = [row.parents[0] for row in rows if row.op is ADD]
    return {p.birth for p in begins if p is not None and p.op is ADD and uses[p.birth] == 1}


def operands_of(members: list[list[ClassLane]], *, sums: bool) -> tuple[list[tuple[int, int]], list[Array]]:
    """Operands, in sums runs of those of one class, and the lanes that they take."""
    lanes = np.array([[lane for _, lane in found] for found in members])
    numbers = [number for number, _ in members[0]]
    runs = [(n, len(list(run))) for n, run in groupby(numbers)] if sums else [(n, 1) for n in numbers]
    ends = np.cumsum([0, *(count for _, count in runs)])
    return runs, [lanes[:, begin:end] for begin, end in pairwise(ends)]


def axes_of(places: Array) -> list[tuple[int, Array]] | None:
    """Loops inside each other that run through these indices: (length, step of each row), outermost first.

    `places` is (rows, indices): one row for each thing that is indexed. None where the steps are not even.
    """
    axes = []
    while places.shape[1] > 1:
        steps = np.diff(places, axis=1)
        step = steps[:, :1]
        uneven = np.flatnonzero((steps != step).any(axis=0))
        length = int(uneven[0]) + 1 if len(uneven) else places.shape[1]
        if places.shape[1] % length:
            return None
        blocks = places.reshape(len(places), -1, length)
        if (np.diff(blocks, axis=2) != step[:, :, None]).any():
            return None
        axes.append((length, step[:, 0]))
        places = blocks[:, :, 0]
    return axes[::-1]
