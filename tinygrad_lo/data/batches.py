"""Shuffled mini-batches without replacement: one pass over the iterator is one epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.machine.random import generator
from tinygrad_lo.errors import GraphError, OptionError, ShapeError


def minibatches(
    *arrays: Any, batch_size: int, rng: Any = None, drop_last: bool = False
) -> Iterator[tuple[Any, ...]]:
    """One epoch of shuffled mini-batches without replacement: each row comes exactly once.

    All arrays are shuffled alike, so rows stay together: `for X, y in minibatches(X_train, y_train,
    batch_size=64)`. Checks its arguments at once, not at the first batch.

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
    if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        raise OptionError(f"minibatches: batch_size must be an int >= 1, got {batch_size!r}")
    if not arrays:
        raise ShapeError("minibatches: give at least one array")
    found = []
    for i, array in enumerate(arrays):
        if isinstance(array, Node):
            if array.needs:
                raise GraphError(
                    f"minibatches: array {i} requires a gradient and would lose it; pass t.detach()"
                )
            array = array.value
        found.append(np.asarray(array))
        if found[-1].ndim == 0:
            raise ShapeError(f"minibatches: array {i} is 0-d; expected rows along the first axis")
    counts = [len(array) for array in found]
    if len(dict.fromkeys(counts)) > 1:
        raise ShapeError(f"minibatches: the arrays have different numbers of rows: {counts}")
    rows = counts[0]
    if rows == 0 or (drop_last and rows < batch_size):
        raise ShapeError(f"minibatches: {rows} rows make no batch of {batch_size}")
    order = generator(rng).permutation(rows)
    ends = range(0, rows - rows % batch_size if drop_last else rows, batch_size)
    return (tuple(array[order[i : i + batch_size]] for array in found) for i in ends)
