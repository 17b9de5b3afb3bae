"""The paths from a value to the loss: how many, which carry most, and what they sum to.

A gradient is the sum over all paths of the product of local derivatives along each. Thirty diamonds on
top of each other have 2³⁰ paths, so nothing here walks them one by one: they are counted, and the
largest are kept, value by value, newest first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_lo.engine.backward import edges, pull, start, sweep
from tinygrad_lo.engine.graph import Array, Node, reachable
from tinygrad_lo.engine.naming import quoted
from tinygrad_lo.errors import GraphError

TOP = 20  # paths that are listed
LIMIT = 100  # between arrays, more paths than this are counted and not followed

# What arrived along one path: the product so far (of numbers as fraction and power of two, because ten
# thousand factors of 0.5 are no float any more), the gate that it left, by which input and with which
# local derivative, and the rest of the path up to the loss.
Entry = tuple[Any, Node | None, int, Any, Any]
Scaled = tuple[float, int]


@dataclass(slots=True)
class Path:
    """One path from a value to the loss.

    Attributes:
        product: the product of the local derivatives along it, as (m, e) for m · 2ᵉ; between arrays, the
            gradient that arrives through it alone.
        gates: the values that it passes, in order, the loss last, each with the input by which it is
            entered.
        slopes: the local derivatives in the same order; empty between arrays.
    """

    product: Any
    gates: list[tuple[Node, int]]
    slopes: list[Any]


@dataclass(slots=True)
class Paths:
    """All paths from a value to the loss.

    Attributes:
        count: how many there are, exactly.
        gradient: the gradient of the loss by the value, which is the sum over all of them.
        scalar: whether only single numbers lie on them, so that each path has one product.
        largest: the paths with the largest |product|, at most 20; none where they were only counted.
        rest: the sum over the others.
        meets: a value that several of them lead through, newest first; with `arrivals`: the
            gates that use it, by which input, and what arrives from each.
    """

    count: int
    gradient: Array
    scalar: bool
    largest: list[Path] = field(default_factory=list)
    rest: Any = 0.0
    meets: Node | None = None
    arrivals: list[tuple[Node, int, Any]] = field(default_factory=list)


def paths(loss: Any, of: Any) -> Paths:
    """The paths from `of` to the loss, counted, the largest of them listed.

    Raises:   GraphError: the loss was not made from the value, or no gradient flows there.
    """
    seed = start(loss, None, "explain")
    nodes = reachable([loss])
    through = on_the_way(nodes, loss, of)
    gradient = arriving(loss, seed, [of])[0]
    scalar = all(np.shape(node.value) == () for node in through)
    found = Paths(count_paths(through, of), gradient, scalar)
    find_meeting(found, through, loss, of, seed)
    if scalar:
        found.largest, found.rest = largest_paths(through, loss, of)
    elif found.count <= LIMIT:
        every = followed(through, loss, of, seed)
        every.sort(key=lambda path: -length_of(path.product))
        found.largest = every[:TOP]
        found.rest = sum((path.product for path in every[TOP:]), np.zeros_like(gradient))
    return found


def arriving(loss: Node, seed: Array, wanted: list[Any]) -> list[Array]:
    """The gradients at some values, as the engine computes them; no `.grad` changes."""
    _, leaves, kept = sweep(loss, seed, pull, {node.birth for node in wanted})
    found = []
    for node in wanted:
        g: Any = kept.get(node.birth, leaves.get(node.birth))
        dtype = node.value.dtype
        found.append(g if g.dtype == dtype else g.astype(dtype))
    return found


def on_the_way(nodes: list[Node], loss: Node, of: Any) -> list[Node]:
    """The values on the paths from `of` to the loss, newest first."""
    if not any(node is of for node in nodes):
        raise GraphError(
            f"explain: {quoted(of, 'of=')} is not among the values that {quoted(loss, 'the loss')} was made "
            f"from, so no path leads there; its derivative is 0"
        )
    above = {of.birth}  # what is made from it
    for node in nodes:
        if any(parent.birth in above for _, parent in edges(node)):
            above.add(node.birth)
    if loss.birth not in above or not of.needs:
        why = "does not require a gradient" if not of.needs else "is cut off by ops without a derivative"
        raise GraphError(
            f"explain: no gradient flows from {quoted(loss, 'the loss')} to {quoted(of, 'of=')}, which {why}"
        )
    below = {loss.birth}  # what the loss is made from, through gradients
    for node in reversed(nodes):
        if node.birth in below:
            below.update(parent.birth for _, parent in edges(node))
    both = above & below
    return [node for node in reversed(nodes) if node.birth in both]


def inner_edges(through: list[Node]) -> Iterable[tuple[Node, list[tuple[int, Node]]]]:
    """Every value on the paths, newest first, with the inputs that lie on them, too."""
    births = {node.birth for node in through}
    for node in through:
        yield node, [edge for edge in edges(node) if edge[1].birth in births]


def count_paths(through: list[Node], of: Any) -> int:
    """How many paths there are."""
    counts = {through[0].birth: 1}
    for node, inner in inner_edges(through):
        here = counts[node.birth] if node is of else counts.pop(node.birth)
        for _, parent in inner:
            counts[parent.birth] = counts.get(parent.birth, 0) + here
    return counts[of.birth]


def local_slopes(node: Node) -> dict[int, Any]:
    """The local derivatives of a scalar by its inputs: what the rules answer to a gradient of 1."""
    return {i: part for i, _, part in pull(node, node.value.dtype.type(1))}


def largest_paths(through: list[Node], loss: Node, of: Any) -> tuple[list[Path], float]:
    """The paths with the largest |product|, and the sum over all others.

    The largest through a value continue the largest up to it, whatever comes below: so each value
    keeps that many paths, and of the others only their sum, which is never taken as a difference.
    """
    arrived: dict[int, list[Entry]] = {loss.birth: [((0.5, 1), None, 0, None, None)]}
    others = {loss.birth: 0.0}
    for node, inner in inner_edges(through):
        best, left = trimmed(arrived.pop(node.birth))
        rest = others.pop(node.birth) + left
        if node is of:
            return [unrolled(entry) for entry in best], rest
        slopes = local_slopes(node) if inner else {}
        for i, parent in inner:
            slope = float(slopes[i])
            arrived.setdefault(parent.birth, []).extend(
                (one_factor_more(entry[0], slope), node, i, slope, entry) for entry in best
            )
            # Without paths there is nothing to add; and 0 · ∞ would be nan.
            others[parent.birth] = others.get(parent.birth, 0.0) + (rest * slope if rest else 0.0)
            if len(arrived[parent.birth]) > 50 * TOP:
                arrived[parent.birth], left = trimmed(arrived[parent.birth])
                others[parent.birth] += left
    raise AssertionError("the last value on the paths is where they end")


def one_factor_more(product: Scaled, slope: float) -> Scaled:
    """One factor more."""
    fraction, exponent = math.frexp(product[0] * slope)
    return fraction, exponent + product[1]


def trimmed(entries: list[Entry]) -> tuple[list[Entry], float]:
    """The entries with the largest |product|, the largest first, and the sum of the others."""
    ranked = sorted(entries, key=lambda entry: rank(entry[0]), reverse=True)
    return ranked[:TOP], sum(product_as_float(entry[0]) for entry in ranked[TOP:])


def rank(product: Scaled) -> tuple[float, float]:
    """What products are sorted by: their size; nan and ∞ are the largest of all."""
    fraction, exponent = product
    if not math.isfinite(fraction):
        return (math.inf, 0.0)
    return (exponent, abs(fraction)) if fraction else (-math.inf, 0.0)


def product_as_float(product: Scaled) -> float:
    """The product as a float; 0 or ∞ where it is none."""
    try:
        return math.ldexp(*product)
    except OverflowError:
        return math.copysign(math.inf, product[0])


def length_of(x: Array) -> float:
    """The length of an array; ∞ for nan."""
    found = float(np.linalg.norm(np.asarray(x, float)))
    return math.inf if math.isnan(found) else found


def unrolled(entry: Entry | None) -> Path:
    """The linked entries of a path as lists."""
    assert entry is not None
    path = Path(entry[0], [], [])
    while entry is not None and entry[1] is not None:
        path.gates.append((entry[1], entry[2]))
        path.slopes.append(entry[3])
        entry = entry[4]
    return path


def followed(through: list[Node], loss: Node, of: Any, seed: Array) -> list[Path]:
    """Every path with what arrives through it alone: the rules, one input at a time."""
    births = {node.birth for node in through}
    found = []
    waiting: list[Entry] = [(seed, None, 0, None, None)]
    places = [loss]
    while waiting:
        entry, node = waiting.pop(), places.pop()
        if node is of:
            found.append(unrolled(entry))
            continue
        for i, parent, part in pull(node, entry[0]):
            if parent.birth in births:
                waiting.append((part, node, i, None, entry))
                places.append(parent)
    return [Path(path.product, path.gates, []) for path in found]


def find_meeting(found: Paths, through: list[Node], loss: Node, of: Any, seed: Array) -> None:
    """The newest value at which several paths meet, and what arrives there from each gate."""
    uses: dict[Node, list[tuple[Node, int]]] = {}
    for gate, inner in inner_edges(through):
        for i, parent in inner:
            uses.setdefault(parent, []).append((gate, i))
    found.meets = next((node for node in through if len(uses.get(node, ())) > 1), None)
    if found.meets is None:
        return
    gates = uses[found.meets]
    for (gate, i), g in zip(gates, arriving(loss, seed, [gate for gate, _ in gates]), strict=True):
        part = next(part for k, _, part in pull(gate, g) if k == i)
        found.arrivals.append((gate, i, part))
