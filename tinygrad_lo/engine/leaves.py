"""What rooms outside the engine may write into a leaf, each under a name that says what it means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tinygrad_lo.engine.graph import Array


def place(leaf: Any, data: Array) -> None:
    """Give a leaf other numbers for a measurement: no stamp, live graphs keep what they saw."""
    leaf.value = data if data.ndim else data[()]  # a scalar holds a number, not an array


@contextmanager
def placed(leaves: Iterable[Any]) -> Iterator[list[Array]]:
    """What the leaves hold now, which they hold again afterwards, whatever is placed meanwhile."""
    before = [(leaf, leaf.value) for leaf in leaves]
    try:
        yield [data for _, data in before]
    finally:
        for leaf, data in before:
            leaf.value = data
