"""Shuffled mini-batches without replacement: each pass over them is one epoch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.machine.random import generator
from tinygrad_lo.errors import GraphError, ShapeError
from tinygrad_lo.options import flag, public, whole

WHO = "minibatches"


@public
def minibatches(*arrays: Any, batch_size: int, rng: Any = None, drop_last: bool = False) -> Batches:
    """Shuffled mini-batches without replacement: in a loop over them, one epoch, each row comes exactly once.

    All arrays are shuffled alike, so rows stay together; every loop shuffles anew. `len` of it is the number
    of batches, and `next` takes them out of one epoch more.

    Shapes:   arrays (N, ...) with one N; each batch is a tuple of arrays (batch_size, ...), the last
              one shorter unless drop_last.
    Raises:   ShapeError: no arrays, different numbers of rows, no rows, or fewer than batch_size
              with drop_last.  OptionError: batch_size < 1.
    Source:   lecture 000: sample mini-batches without replacement; a pass over all data is an epoch.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> X, y = np.arange(6).reshape(3, 2), np.array([0, 1, 2])
        >>> for rows, labels in lo.data.minibatches(X, y, batch_size=2, rng=0):
        ...     print(rows.tolist(), labels)
        [[4, 5], [0, 1]] [2 0]
        [[2, 3]] [1]
    """
    size, drops = whole(WHO, "batch_size", batch_size), flag(WHO, "drop_last", drop_last)
    if not arrays:
        raise ShapeError(f"{WHO}: give at least one array")
    columns = [as_rows(i, array) for i, array in enumerate(arrays)]
    counts = [len(column) for column in columns]
    if len(dict.fromkeys(counts)) > 1:
        raise ShapeError(f"{WHO}: the arrays have different numbers of rows: {counts}")
    rows = counts[0]
    if rows == 0 or (drops and rows < size):
        raise ShapeError(f"{WHO}: {rows} rows make no batch of {size}")
    return Batches(columns, size, rows - rows % size if drops else rows, generator(rng))


def as_rows(i: int, array: Any) -> Any:
    """An array whose first axis can be shuffled."""
    if isinstance(array, Node):
        if array.needs:
            raise GraphError(f"{WHO}: array {i} requires a gradient and would lose it; pass t.detach()")
        array = array.value
    array = np.asarray(array)
    if array.ndim == 0:
        raise ShapeError(f"{WHO}: array {i} is 0-d; expected rows along the first axis")
    return array


class Batches(Iterable[tuple[Any, ...]]):
    """The batches of an epoch, in a new order each time; `len` of it is how many an epoch has."""

    def __init__(self, columns: list[Any], size: int, used: int, rng: np.random.Generator) -> None:
        self.columns, self.size, self.used, self.rng = columns, size, used, rng
        self.begun = iter(self)

    def __len__(self) -> int:
        return len(range(0, self.used, self.size))

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return epoch(self.columns, self.size, self.used, self.rng)

    def __next__(self) -> tuple[Any, ...]:
        return next(self.begun)


def epoch(columns: list[Any], size: int, used: int, rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    """The batches of one epoch, shuffled when the first of them is asked for."""
    order = rng.permutation(len(columns[0]))[:used]
    for place in range(0, used, size):
        rows = order[place : place + size]
        yield tuple(column[rows] for column in columns)
