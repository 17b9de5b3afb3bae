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
from tinygrad_lo.engine.ops.arithmetic import multiply
from tinygrad_lo.engine.ops.indexing import at
from tinygrad_lo.engine.ops.linear import matmul
from tinygrad_lo.engine.ops.reductions import sum as total
from tinygrad_lo.engine.ops.registry import record
from tinygrad_lo.engine.ops.shapes import broadcast_to, collect, reshape, transpose
from tinygrad_lo.program.classes import Classes, Kind, axes_of

FEWEST = 2000  # nodes; fewer take less time as numbers than a handful of arrays
WORTH = 180  # nodes that a class must stand for, measured: it takes about ten array lines of 0.5 µs
ROUNDING = 1e-9  # relative difference that adding up in another order may make
MULTIPLY = record(multiply)
Loops = list[tuple[int, Any]]  # length and step of each, outermost first; the step None where it is not even


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
    return (
        value.dtype == np.float64
        and not value.ndim
        and (op is None or (op.elementwise and op.differentiable))
    )


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
        and len(np.unique(places)) == places.size == len(classes.kinds[number].values)
    }


def lanes_of(kind: Kind, arrays: list[Any], factors: dict[int, Kind]) -> Any:
    """A class as an array: an op on its operands, or the sum of its terms."""
    if kind.op is not None:
        indices = [(n, p) for (n, _), p in zip(kind.terms, kind.places, strict=True)]
        views, loops = viewed(indices, 1, arrays)
        return in_a_row(kind.op.apply(*views), [n for n, _ in loops], len(kind.values))
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
    views, loops = viewed(indices, count, arrays)
    inner = next(i for i in range(len(loops) + 1) if math.prod(n for n, _ in loops[i:]) == count)
    lengths = [n for n, _ in loops]
    if len(views) == 2:
        return contracted(views[0], views[1], inner), lengths[:inner]
    (view,) = views
    if count == 1:
        return view, lengths
    if view.shape[inner:] != tuple(lengths[inner:]):
        view = broadcast_to(view, (*view.shape[:inner], *lengths[inner:]))
    return total(view, tuple(range(inner, len(loops)))), lengths[:inner]


def contracted(a: Any, b: Any, inner: int) -> Any:
    """Σ a · b over the axes from `inner` on: a product of matrices where no other axis is in both."""
    full = [[n > 1 for n in x.shape] for x in (a, b)]
    outer = [[i for i in range(inner) if which[i]] for which in full]
    if a.shape[inner:] != b.shape[inner:] or {*outer[0]} & {*outer[1]}:
        return total(a * b, tuple(range(inner, len(full[0]))))
    if outer[0] > outer[1]:  # the one with the outermost loop is on the left
        a, b, outer = b, a, outer[::-1]
    count = math.prod(a.shape[inner:])
    left, right = (shaped(x, (x.size // count, count)) for x in (a, b))
    order = outer[0] + outer[1]
    y = shaped(matmul(left, transpose(right)), tuple((a if i in outer[0] else b).shape[i] for i in order))
    if order != sorted(order):
        y = transpose(y, tuple(map(order.index, sorted(order))))
    return shaped(y, tuple(max(m, n) for m, n in zip(a.shape[:inner], b.shape[:inner], strict=True)))


def viewed(indices: list[tuple[int, Array]], count: int, arrays: list[Any]) -> tuple[list[Any], Loops]:
    """What these indices (lanes, count) take of the arrays, an axis for each loop, of 1 where it stands."""
    rows = [places.ravel() for number, places in indices if number]
    size = indices[0][1].size
    axes = axes_of(np.stack(rows)) if rows else [(size, np.zeros(0, int))]
    loops: Loops = cut_at_count(axes, count) if axes is not None else cut_at_count([(size, None)], count)
    steps = iter(range(len(rows)))
    views = []
    for number, places in indices:
        if not number:
            views.append(shrunk(arrays[0][places.ravel()].reshape([n for n, _ in loops])))
        elif axes is None:
            next(steps)
            views.append(at(arrays[number], places.reshape([n for n, _ in loops])))
        else:
            k = next(steps)
            views.append(strided(arrays[number], int(places.flat[0]), [(n, int(s[k])) for n, s in loops]))
    return views, loops


def cut_at_count(axes: Loops, count: int) -> Loops:
    """The loops, one of them cut so that the last ones together run `count` times."""
    outer, inner = list(axes), []
    while count > 1:
        n, step = outer.pop()
        here = math.gcd(n, count)
        inner.append((here, step))
        if here < n:
            outer.append((n // here, None if step is None else step * here))
        count //= here
        if here == 1:
            raise AssertionError("loops that do not end where a sum does")
    return outer + inner[::-1]


def shrunk(x: Array) -> Array:
    """Constants with an axis of 1 where they are the same all along it."""
    for axis in range(x.ndim):
        first = x.take([0], axis)
        if (x == first).all():
            x = first
    return x


def strided(x: Any, start: int, loops: list[tuple[int, int]]) -> Any:
    """The elements of a vector at start + Σ index · step, as an array with an axis for each loop."""
    moving = sorted((i for i, (_, step) in enumerate(loops) if step), key=lambda i: -loops[i][1])
    shape = [n if step else 1 for n, step in loops]
    (size,) = x.shape
    y, known = x, list[int]()
    for i in moving:
        n, step = loops[i]
        if step < 0 or n * step > size:  # it runs backward, or loops overlap
            places: Any = sum(np.ix_(*(np.arange(n) * step for n, step in loops)))
            return at(x, start + places)
        begin = min(start, size - n * step)
        if n * step < size:
            y = at(y, (..., slice(begin, begin + n * step)))
        y = shaped(y, (*known, n, step))
        known.append(n)
        start, size = start - begin, step
    y = at(y, (..., start)) if size > 1 else shaped(y, tuple(known))
    back = sorted(moving)
    if moving != back:
        y = transpose(y, tuple(map(moving.index, back)))
    return shaped(y, tuple(shape))


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
