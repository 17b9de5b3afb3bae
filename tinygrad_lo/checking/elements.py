"""Which elements of an array are looked at: each alone, or a sample alone and the others together."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from tinygrad_lo.engine.graph import Array

SINGLES = 400  # elements of one array that are checked singly; the rest by one joint direction
Index = tuple[int, ...] | str  # of an element, or a direction in words


def directions(shape: tuple[int, ...], rng: np.random.Generator) -> Iterator[tuple[Index, Array]]:
    """The index and direction of each element to look at alone, then a ±1 direction of all others.

    Of a large array, one random element out of each of SINGLES equal stretches is looked at alone.
    """
    size = int(np.prod(shape))
    single = every = np.arange(size)
    if size > SINGLES:
        edges = np.linspace(0, size, SINGLES + 1).astype(int)
        single = rng.integers(edges[:-1], edges[1:])
    for k in single.tolist():
        yield index_of(k, shape), direction_of(shape, k)
    rest = np.setdiff1d(every, single)
    if rest.size:
        signs = rng.choice([-1.0, 1.0], rest.size)
        yield f"along a ±1 direction of the other {rest.size}", direction_of(shape, rest, signs)


def index_of(k: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The index of the element that is number k of the flat array."""
    return tuple(int(n) for n in np.unravel_index(k, shape))


def direction_of(shape: tuple[int, ...], some: Array, steps: Array = 1.0) -> Array:
    """The direction that moves some elements of the flat array, and no others."""
    direction = np.zeros(int(np.prod(shape)))
    direction[some] = steps
    return direction.reshape(shape)


def wrong_ones(verdict: Callable[[Array], str], indices: Array, limit: int) -> list[int]:
    """Bisect to the elements that fail alone: `verdict(indices)` is the one along all of them.

    A half whose joint direction agrees is not looked into: log2(n) checks for each wrong element.
    """
    wrong: list[int] = []
    waiting = [indices]
    while waiting and len(wrong) < limit:
        some = waiting.pop()
        if verdict(some) != "FAIL":
            continue
        if some.size == 1:
            wrong.append(int(some[0]))
        else:
            waiting += [some[some.size // 2 :], some[: some.size // 2]]
    return wrong
