"""The paths from a value to the loss: how many, which carry most, and what they sum to.

A gradient is the sum over all paths of the product of local derivatives along each. Thirty diamonds on
top of each other have 2³⁰ paths, so nothing here walks them one by one: they are counted, and the
largest are kept, value by value, newest first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lo.engine.backward import edges, pull, start, sweep
from tinygrad_lo.engine.graph import Array, Node, reachable
from tinygrad_lo.engine.naming import quoted
from tinygrad_lo.errors import GraphError
from tinygrad_lo.explaining.steps import local_slopes
from tinygrad_lo.program.program import like

TOP = 20  # paths that are listed
LIMIT = 100  # between arrays, more paths than this are counted and not followed

# m · 2ᵉ as (m, e): ten thousand factors of 0.5 are no float any more.
Scaled = tuple[float, int]
# The values on the paths, newest first, each with its inputs that lie on them, too.
Way = list[tuple[Node, list[tuple[int, Node]]]]


class Link(NamedTuple):
    """What arrived along one path so far, linked to the rest of the path up to the loss."""

    product: Any
    gate: Node | None = None  # that it left last, by which input and with which local derivative
    operand: int = 0
    slope: Any = None
    rest: Link | None = None


@dataclass(slots=True)
class Path:
    """One path from a value to the loss.

    Attributes:
        product: the product of the local derivatives along it, as (m, e) for m · 2ᵉ; between arrays, the
            gradient that arrives through it alone.
        gates: the values that it passes, in order, the loss last, each with the input by which it is
            entered.
        slopes: the local derivatives in the same order; None between arrays.
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
    way = on_the_way(loss, of)
    meets, uses = meeting(way)
    _, leaves, kept = sweep(loss, seed, pull, {of.birth, *(gate.birth for gate, _ in uses)})
    arriving = {**leaves, **kept}
    gradient = like(arriving[of.birth], of)
    scalar = all(np.shape(node.value) == () for node, _ in way)
    result = Paths(count_paths(way), gradient, scalar, meets=meets)
    for gate, i in uses:
        g = like(arriving[gate.birth], gate)
        result.arrivals.append((gate, i, next(part for k, _, part in pull(gate, g) if k == i)))
    if scalar:
        result.largest, result.rest = largest_paths(way)
    elif result.count <= LIMIT:
        every = followed(way, seed)
        result.largest = every[:TOP]
        result.rest = sum((path.product for path in every[TOP:]), np.zeros_like(gradient))
    return result


def on_the_way(loss: Node, of: Any) -> Way:
    """The values on the paths from `of` to the loss."""
    nodes = reachable([loss])
    if not any(node is of for node in nodes):
        raise GraphError(
            f"explain: {quoted(of, 'of=')} is not among the values that {quoted(loss, 'the loss')} was made "
            f"from, so no path leads there; its derivative is 0"
        )
    above: dict[int, list[tuple[int, Node]]] = {of.birth: []}  # what is made from it
    for node in nodes:
        inner = [edge for edge in edges(node) if edge[1].birth in above]
        if inner:
            above[node.birth] = inner
    if loss.birth not in above or not of.needs:
        why = "does not require a gradient" if not of.needs else "is cut off by ops without a derivative"
        raise GraphError(
            f"explain: no gradient flows from {quoted(loss, 'the loss')} to {quoted(of, 'of=')}, which {why}"
        )
    way = []
    below = {loss.birth}  # what the loss is made from, through gradients
    for node in reversed(nodes):
        if node.birth in below:
            way.append((node, above[node.birth]))
            below.update(parent.birth for _, parent in above[node.birth])
    return way


def meeting(way: Way) -> tuple[Node | None, list[tuple[Node, int]]]:
    """The newest value at which several paths meet, and the gates that use it, by which input."""
    uses: dict[int, list[tuple[Node, int]]] = {node.birth: [] for node, _ in way}
    for gate, inner in way:
        for i, parent in inner:
            uses[parent.birth].append((gate, i))
    return next(((node, uses[node.birth]) for node, _ in way if len(uses[node.birth]) > 1), (None, []))


def count_paths(way: Way) -> int:
    """How many paths there are."""
    counts = {way[0][0].birth: 1}
    for node, inner in way:
        here = counts.pop(node.birth)
        for _, parent in inner:
            counts[parent.birth] = counts.get(parent.birth, 0) + here
    return here


def largest_paths(way: Way) -> tuple[list[Path], float]:
    """The paths with the largest |product|, and the sum over all others.

    The largest through a value continue the largest up to it, whatever comes below: so each value
    keeps that many paths, and of the others only their sum, which is never taken as a difference.
    """
    arrived: dict[int, list[Link]] = {way[0][0].birth: [Link((0.5, 1))]}
    others = {way[0][0].birth: 0.0}
    for node, inner in way:
        best, left = trimmed(arrived.pop(node.birth))
        rest = others.pop(node.birth) + left
        slopes = local_slopes(node) if inner else {}
        for i, parent in inner:
            slope = float(slopes[i])
            links = arrived.setdefault(parent.birth, [])
            links += [Link(scaled(link.product, slope), node, i, slope, link) for link in best]
            # Without paths there is nothing to add; and 0 · ∞ would be nan.
            others[parent.birth] = others.get(parent.birth, 0.0) + (rest * slope if rest else 0.0)
            if len(links) > 50 * TOP:
                arrived[parent.birth], left = trimmed(links)
                others[parent.birth] += left
    return [unrolled(link) for link in best], rest


def scaled(product: Scaled, slope: float) -> Scaled:
    """One factor more."""
    fraction, exponent = math.frexp(product[0] * slope)
    return fraction, exponent + product[1]


def trimmed(links: list[Link]) -> tuple[list[Link], float]:
    """The links with the largest |product|, the largest first, and the sum of the others."""
    ranked = sorted(links, key=lambda link: rank(link.product), reverse=True)
    return ranked[:TOP], sum(product_as_float(link.product) for link in ranked[TOP:])


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


def unrolled(link: Link) -> Path:
    """The links of a path as lists."""
    path = Path(link.product, [], [])
    while link.rest is not None and link.gate is not None:
        path.gates.append((link.gate, link.operand))
        path.slopes.append(link.slope)
        link = link.rest
    return path


def followed(way: Way, seed: Array) -> list[Path]:
    """Every path with what arrives through it alone: the rules, one input at a time; the longest first."""
    arrived: dict[int, list[Link]] = {way[0][0].birth: [Link(seed)]}
    for node, inner in way:
        links = arrived.pop(node.birth)
        for link in links if inner else ():
            parts = {i: part for i, _, part in pull(node, link.product)}
            for i, parent in inner:
                arrived.setdefault(parent.birth, []).append(Link(parts[i], node, i, None, link))
    # Of equal ones, the one that turns to later inputs first.
    return sorted(
        map(unrolled, links), key=lambda path: (-length(path.product), [-i for _, i in path.gates[::-1]])
    )


def length(x: Array) -> float:
    """The length of an array; ∞ for nan."""
    norm = float(np.linalg.norm(np.asarray(x, float)))
    return math.inf if math.isnan(norm) else norm
