"""Where an op that only moves numbers takes them from: found by running it, so that no text says it again."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Array, Op
from tinygrad_lo.engine.ops.indexing import Slot, filled_in, getitem
from tinygrad_lo.engine.ops.registry import record

GETITEM = record(getitem)


def moves_of(op: Op, shapes: list[tuple[int, ...]], options: tuple[Any, ...]) -> tuple[list[int], Any] | None:
    """Where an op takes each element of its result from, -1 for the filler: (places, filler).

    With None for the filler, it is the other way round: where each element is added. None: it does neither.
    Found by running the op, and its rule, on numbers that are all different.
    """
    sizes = np.cumsum([0, *map(math.prod, shapes)])
    numbers = np.random.default_rng(0).permutation(int(sizes[-1])) + math.pi
    inputs = [numbers[a:b].reshape(shape)[()] for a, b, shape in zip(sizes, sizes[1:], shapes, strict=False)]
    y = op.forward(*inputs, *options)
    where = {number: place for place, number in enumerate(numbers.tolist())}
    places = [where.get(number, -1) for number in np.ravel(y).tolist()]
    rest = np.ravel(y)[np.array(places, int) < 0]
    filler = rest[0] if rest.size else 0.0
    if (rest == filler).all():
        return places, filler
    g = np.arange(math.prod(y.shape)).reshape(y.shape)
    back = np.ravel(op.rules[0](g, y, *inputs, *options)) if len(inputs) == 1 and op.rules[0] else None
    if back is None:
        return None
    sums = np.zeros(y.size)
    np.add.at(sums, back, numbers)
    return ([int(place) for place in back], None) if np.allclose(sums, np.ravel(y)) else None


def taken_apart(
    pattern: tuple[Any, ...], shape: tuple[int, ...], shapes: list[tuple[int, ...]]
) -> tuple[list[int], list[tuple[list[int], int, int]]]:
    """An index with arrays of ints in its slots, taken apart.

    Returns, for each element of the result, its place if all ints were 0; and for each array which of its
    ints is added to that, times which step, along an axis of how many.
    """

    def taken(x: Array, arrays: list[Array]) -> list[int]:
        return [int(place) for place in np.ravel(GETITEM.forward(x, filled_in(pattern, tuple(arrays))))]

    zeros = [np.zeros(n, int) for n in shapes]
    base = taken(np.arange(math.prod(shape)).reshape(shape), zeros)
    uses = []
    axis = 0
    for part in pattern:
        if part is Ellipsis:
            named = sum(other is not None and other is not Ellipsis for other in pattern)
            axis += len(shape) - named
        elif type(part) is Slot:
            count = math.prod(shapes[part])
            line = np.arange(count).reshape([count if k == axis else 1 for k in range(len(shape))])
            wide = np.broadcast_to(line, [count if k == axis else n for k, n in enumerate(shape)])
            numbered = [
                np.arange(count).reshape(shapes[part]) if k == part else z for k, z in enumerate(zeros)
            ]
            uses.append((taken(wide, numbered), math.prod(shape[axis + 1 :]), shape[axis]))
        axis += part is not None and part is not Ellipsis
    return base, uses
