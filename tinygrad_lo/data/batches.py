"""Shuffled mini-batches without replacement: one pass over the iterator is one epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.machine.random import generator
from tinygrad_lo.errors import GraphError, ShapeError
from tinygrad_lo.options import flag, public, whole

WHO = "minibatches"


@public
def minibatches(*arrays: Any, batch_size: int, rng: Any = None, drop_last: bool = False) -> Batches:
    """One epoch of shuffled mini-batches without replacement: each row comes exactly once.

    All arrays are shuffled alike, so rows stay together. `len` of it is the number of batches.

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
    order = generator(rng).permutation(rows)
    return Batches(columns, order[: rows - rows % size] if drops else order, size)


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


class Batches(Iterator[tuple[Any, ...]]):
    """The batches of one epoch, each of which comes once; `len` of it is how many an epoch has."""

    def __init__(self, columns: list[Any], order: Any, size: int) -> None:
        self.columns, self.order, self.size = columns, order, size
        self.place = 0  # in the order, where the next batch begins

    def __len__(self) -> int:
        return len(range(0, len(self.order), self.size))

    def __next__(self) -> tuple[Any, ...]:
        rows = self.order[self.place : self.place + self.size]
        if not len(rows):
            raise StopIteration
        self.place += self.size
        return tuple(column[rows] for column in self.columns)
