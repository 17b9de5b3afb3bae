"""A graph of many numbers, computed on arrays: equal sub-graphs are lanes, and sums of products are matmuls.

The arrays are those that a learner had in mind: `sum(w * x for ...)` for each neuron and point is X @ W.T
again. Every class is compared with what was recorded of its lanes, as sums add up in another order.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Array, Node
from tinygrad_lo.engine.machine.recording import NodeRow, Recording
from tinygrad_lo.engine.ops.indexing import at
from tinygrad_lo.engine.ops.linear import matmul
from tinygrad_lo.engine.ops.reductions import sum as total
from tinygrad_lo.engine.ops.shapes import broadcast_to, collect, reshape, transpose
from tinygrad_lo.program.classes import Classes, Kind, axes_of
from tinygrad_lo.program.ops import MULTIPLY

FEWEST = 2000  # nodes; fewer take less time as numbers than a handful of arrays
WORTH = 180  # nodes that a class must stand for, measured: it takes about ten array lines of 0.5 µs
ROUNDING = 1e-9  # relative difference that adding up in another order may make
Loops = list[tuple[int, Any]]  # length and steps of each, outermost first


def on_arrays(loss: Node, recording: Recording) -> Node | None:
    """The same loss, computed on arrays; None where that does not pay, or is not possible."""
    if recording.effects or recording.always:
        return None
    rows = recording.history([loss])
    if len(rows) < FEWEST or not all(map(is_float_node, rows)):
        return None
    classes = Classes(rows, loss)
    if len(classes.kinds) * WORTH > len(rows):
        return None
    number, lane = classes.root
    arrays = lane_arrays(classes)
    return None if arrays is None else at(arrays[number], lane)


def is_float_node(row: NodeRow) -> bool:
    """Whether a node is a float64 number, of an op that works element by element."""
    value, op = row.node.value, row.op
    known = op is None or (op.elementwise and op.differentiable)
    return known and value.dtype == np.float64 and not value.ndim


def lane_arrays(classes: Classes) -> list[Any] | None:
    """Every class as an array of its lanes; None if one is not what was recorded."""
    arrays: list[Any] = [classes.kinds[0].values, collect(*classes.leaves, None)]
    factors = products_summed_once(classes)
    for number, kind in enumerate(classes.kinds[2:], 2):
        array = None if number in factors else lanes_of(kind, arrays, factors)
        if array is not None:
            value = array.value if isinstance(array, Node) else array
            largest = float(np.abs(kind.values).max())
            if not (largest < math.inf and np.allclose(value, kind.values, ROUNDING, ROUNDING * largest)):
                return None
        arrays.append(array)
    return arrays


def products_summed_once(classes: Classes) -> dict[int, Kind]:
    """Classes of products that one class adds up, each once: the sum multiplies itself."""
    users: dict[int, list[tuple[Kind, Array]]] = {classes.root[0]: []}
    for kind in classes.kinds:
        for (number, _), places in zip(kind.terms, kind.places, strict=True):
            users.setdefault(number, []).append((kind, places))
    once = {number: found[0] for number, found in users.items() if len(found) == 1}
    return {
        number: classes.kinds[number]
        for number, (user, places) in once.items()
        if classes.kinds[number].op is MULTIPLY
        and user.op is None
        and places.shape[1] > 1
        and places.size == len(classes.kinds[number].values)  # each of them once: they have no other use
    }


def lanes_of(kind: Kind, arrays: list[Any], factors: dict[int, Kind]) -> Any:
    """A class as an array: an op on its operands, or the sum of its terms."""
    if kind.op is not None:
        indices = [(n, p) for (n, _), p in zip(kind.terms, kind.places, strict=True)]
        views, lengths = viewed(indices, 1, arrays)
        return in_a_row(kind.op.apply(*views), lengths, len(kind.values))
    result, shape = None, [0]
    for (number, count), places in zip(kind.terms, kind.places, strict=True):
        part, lengths = added(number, count, places, arrays, factors)
        if result is not None and lengths != shape:  # other loops: lane by lane
            result, part = (in_a_row(x, n, len(kind.values)) for x, n in ((result, shape), (part, lengths)))
            lengths = [len(kind.values)]
        result, shape = part if result is None else result + part, lengths
    return in_a_row(result, shape, len(kind.values))


def added(
    number: int, count: int, places: Array, arrays: list[Any], factors: dict[int, Kind]
) -> tuple[Any, list[int]]:
    """A run of terms of one class, added up for each lane; and the lengths of loops that its shape fits."""
    indices = [(number, places)]
    if number in factors:
        product = factors[number]
        indices = [(n, p[places, 0]) for (n, _), p in zip(product.terms, product.places, strict=True)]
    views, lengths = viewed(indices, count, arrays)
    inner = next(i for i in range(len(lengths) + 1) if math.prod(lengths[i:]) == count)
    if len(views) == 2:
        return contracted(views[0], views[1], inner), lengths[:inner]
    (view,) = views
    if count == 1:
        return view, lengths
    if view.shape[inner:] != tuple(lengths[inner:]):
        view = broadcast_to(view, (*view.shape[:inner], *lengths[inner:]))
    return total(view, tuple(range(inner, len(lengths)))), lengths[:inner]


def contracted(a: Any, b: Any, inner: int) -> Any:
    """Σ a · b over the axes from `inner` on: a product of matrices where no other axis is in both."""
    full = [[n > 1 for n in x.shape] for x in (a, b)]
    outer = [[i for i in range(inner) if which[i]] for which in full]
    if a.shape[inner:] != b.shape[inner:] or {*outer[0]} & {*outer[1]}:
        return total(a * b, tuple(range(inner, len(full[0]))))
    count = math.prod(a.shape[inner:])
    left, right = (shaped(x, (x.size // count, count)) for x in (a, b))
    order = outer[0] + outer[1]
    y = shaped(matmul(left, transpose(right)), tuple((a if i in outer[0] else b).shape[i] for i in order))
    if order != sorted(order):
        y = transpose(y, tuple(map(order.index, sorted(order))))
    return shaped(y, tuple(max(m, n) for m, n in zip(a.shape[:inner], b.shape[:inner], strict=True)))


def viewed(indices: list[tuple[int, Array]], count: int, arrays: list[Any]) -> tuple[list[Any], list[int]]:
    """What these indices (lanes, count) take of the arrays, an axis for each loop, of 1 where it stands."""
    rows = [places.ravel() for number, places in indices if number]  # constants take any shape
    size = indices[0][1].size
    axes = axes_of(np.stack(rows)) if rows else [(size, np.zeros(0, int))]
    loops = None if axes is None else cut_at_count(axes, count)
    shape = [size // count, count] if loops is None else [n for n, _ in loops]
    views: list[Any] = []
    row = 0
    for number, places in indices:
        if not number:
            views.append(shrunk(arrays[0][places].reshape(shape)))
        elif loops is None:
            views.append(at(arrays[number], places.reshape(shape)))
        else:
            steps = [int(steps[row]) for _, steps in loops]
            views.append(strided(arrays[number], int(places.flat[0]), shape, steps))
        row += number > 0
    return views, shape


def cut_at_count(axes: Loops, count: int) -> Loops | None:
    """The loops, one of them cut so that the last ones together run `count` times; None if they cannot."""
    outer, inner = list(axes), Loops()
    while count > 1:
        n, steps = outer.pop()
        here = math.gcd(n, count)
        if here < min(n, count):
            return None
        inner.append((here, steps))
        if here < n:
            outer.append((n // here, steps * here))
        count //= here
    return outer + inner[::-1]


def shrunk(x: Array) -> Array:
    """Constants with an axis of 1 where they are the same all along it."""
    for axis in range(x.ndim):
        first = x.take([0], axis)
        if (x == first).all():
            x = first
    return x


def strided(x: Any, start: int, shape: list[int], steps: list[int]) -> Any:
    """The elements of a vector at start + Σ index · step, an axis for each loop, of 1 where its step is 0."""
    order = sorted((i for i, step in enumerate(steps) if step), key=lambda i: -steps[i])
    y = nested(x, start, [(shape[i], steps[i]) for i in order])
    if y is None:
        along = (np.arange(n if step else 1) * step for n, step in zip(shape, steps, strict=True))
        places: Any = sum(np.ix_(*along))
        return at(x, start + places)
    if order != sorted(order):
        y = transpose(y, tuple(map(order.index, sorted(order))))
    return shaped(y, tuple(n if step else 1 for n, step in zip(shape, steps, strict=True)))


def nested(x: Any, start: int, loops: list[tuple[int, int]]) -> Any:
    """The same by slices, as steps fall from loop to loop; None where one runs backward, or two overlap."""
    (size,) = x.shape
    known: list[int] = []
    for n, step in loops:
        if step < 0 or n * step > size:
            return None
        begin = min(start, size - n * step)
        if n * step < size:
            x = at(x, (..., slice(begin, begin + n * step)))
        x = shaped(x, (*known, n, step))
        known.append(n)
        start, size = start - begin, step
    return at(x, (..., start)) if size > 1 else shaped(x, tuple(known))


def shaped(x: Any, shape: tuple[int, ...]) -> Any:
    """The array in this shape, which it may have already."""
    return x if x.shape == shape else reshape(x, shape)


def in_a_row(x: Any, lengths: list[int], lanes: int) -> Any:
    """One element a lane, in a row."""
    if x.shape == (lanes,):
        return x
    if x.shape != tuple(lengths):
        x = broadcast_to(x, tuple(lengths))
    return shaped(x, (lanes,))
