"""Which elements of an array are looked at: each alone, or a sample alone and the others together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinygrad_lo.engine.graph import Array

SAMPLE = 400  # elements of one array that are checked singly; the rest by one joint direction


def singly(size: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """The elements to check alone, one random one out of each of SAMPLE equal stretches, and the rest."""
    every = np.arange(size)
    if size <= SAMPLE:
        return every, every[:0]
    edges = np.linspace(0, size, SAMPLE + 1).astype(int)
    single = rng.integers(edges[:-1], edges[1:])
    return single, np.setdiff1d(every, single)


def unit(size: int, k: int) -> Array:
    """The direction of one element."""
    direction = np.zeros(size)
    direction[k] = 1.0
    return direction


def wrong_ones(check: Callable[[Array], str], indices: Array, limit: int) -> list[int]:
    """Bisect to the elements that fail alone: `check(indices)` is the verdict along all of them.

    A half whose joint direction agrees is not looked into: log2(n) checks for each wrong element.
    """
    found: list[int] = []
    waiting = [indices]
    while waiting and len(found) < limit:
        some = waiting.pop()
        if check(some) != "FAIL":
            continue
        if some.size == 1:
            found.append(int(some[0]))
        else:
            waiting += [some[some.size // 2 :], some[: some.size // 2]]
    return found
