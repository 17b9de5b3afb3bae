"""The paths from a value to the loss: how many, which carry most, and what they sum to.

Thirty diamonds on top of each other have 2³⁰ paths, so nothing here walks them one by one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lo.engine.backward import edges, pull, start, sweep
from tinygrad_lo.engine.graph import Array, Node, reachable
from tinygrad_lo.engine.naming import quoted
from tinygrad_lo.errors import GraphError
from tinygrad_lo.explaining.steps import shares
from tinygrad_lo.program.program import like

TOP = 20  # paths that are listed
LIMIT = 100  # between arrays, more paths than this are counted and not followed

# Ten thousand factors of 0.5 are no float any more.
WIDE = Context(prec=30, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])
# The values on the paths, newest first, each with its inputs that lie on them, too.
Way = list[tuple[Node, list[tuple[int, Node]]]]


class Path(NamedTuple):
    """One path from a value to the loss: its first gate, and the rest of the path."""

    product: Any  # of its local derivatives, a Decimal; between arrays, what arrives through it alone
    gate: Any = None
    operand: int = 0  # by which input the gate is entered
    slope: Any = None  # its local derivative, between scalars
    rest: Path | None = None  # from the gate on; None at the loss

    @property
    def links(self) -> list[Path]:
        """The path from each of its values on, but for the loss."""
        links, link = [], self
        while link.rest is not None:
            links.append(link)
            link = link.rest
        return links

    @property
    def gates(self) -> list[tuple[Node, int]]:
        """The values that it passes, the loss last, each with the input by which it is entered."""
        return [(link.gate, link.operand) for link in self.links]

    @property
    def slopes(self) -> list[Any]:
        """The local derivatives in the same order; None between arrays."""
        return [link.slope for link in self.links]


@dataclass(slots=True)
class Paths:
    """All paths from a value to the loss."""

    count: int
    gradient: Array  # of the loss by the value: the sum over all of them
    scalar: bool  # whether only single numbers lie on them, so that each path has one product
    meets: Node | None  # the newest value at which several of them meet
    arrivals: list[tuple[Node, int, Any]]  # the gates that use it, by which input, what arrives from each
    largest: list[Path] = field(default_factory=list)  # at most 20; none where they were only counted
    rest: Any = 0.0  # the sum over the others


def paths(loss: Any, of: Any) -> Paths:
    """The paths from `of` to the loss, counted, the largest of them listed.

    Raises:   GraphError: the loss was not made from the value, or no gradient flows there.
    """
    seed = start(loss, None, "explain")
    way = on_the_way(loss, of)
    count, meets, uses = counted_through(way)
    _, leaves, kept = sweep(loss, seed, pull, {of.birth, *(gate.birth for gate, _ in uses)})
    arriving = {**leaves, **kept}
    gradient = like(arriving[of.birth], of)
    scalar = all(np.shape(node.value) == () for node, _ in way)
    arrivals = [(gate, i, shares(gate, like(arriving[gate.birth], gate))[i]) for gate, i in uses]
    result = Paths(count, gradient, scalar, meets, arrivals)
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
        if inner := [edge for edge in edges(node) if edge[1].birth in above]:
            above[node.birth] = inner
    if loss.birth not in above or not of.needs:
        why = "does not require a gradient" if not of.needs else "is cut off by ops without a derivative"
        raise GraphError(
            f"explain: no gradient flows from {quoted(loss, 'the loss')} to {quoted(of, 'of=')}, which {why}"
        )
    way, below = [], {loss.birth}  # what the loss is made from, through gradients
    for node in reversed(nodes):
        if node.birth in below:
            way.append((node, above[node.birth]))
            below.update(parent.birth for _, parent in above[node.birth])
    return way


def counted_through(way: Way) -> tuple[int, Node | None, list[tuple[Node, int]]]:
    """How many paths there are; the newest value at which several meet, and the inputs that it is."""
    counts = {way[0][0].birth: 1}
    uses: dict[int, list[tuple[Node, int]]] = {}
    for gate, inner in way:
        count = counts.pop(gate.birth)
        for i, parent in inner:
            counts[parent.birth] = counts.get(parent.birth, 0) + count
            uses.setdefault(parent.birth, []).append((gate, i))
    meets = next((node for node, _ in way if len(uses.get(node.birth, ())) > 1), None)
    return count, meets, [] if meets is None else uses[meets.birth]


def largest_paths(way: Way) -> tuple[list[Path], float]:
    """The paths with the largest |product|, and the sum over all others, never taken as a difference.

    The largest through a value continue the largest up to it: so each value keeps that many, and a sum.
    """
    arrived: dict[int, list[Path]] = {way[0][0].birth: [Path(Decimal(1))]}
    others = {way[0][0].birth: 0.0}
    for node, inner in way:
        best, left = trimmed(arrived.pop(node.birth))
        rest = others.pop(node.birth) + left
        slopes = shares(node) if inner else {}
        for i, parent in inner:
            slope = float(slopes[i])
            factor, longer = Decimal(slope), arrived.setdefault(parent.birth, [])
            longer += [Path(WIDE.multiply(path.product, factor), node, i, slope, path) for path in best]
            # Without paths there is nothing to add; and 0 · ∞ would be nan.
            others[parent.birth] = others.get(parent.birth, 0.0) + (rest * slope if rest else 0.0)
            if len(longer) > 50 * TOP:
                arrived[parent.birth], left = trimmed(longer)
                others[parent.birth] += left
    return best, rest


def trimmed(some: list[Path]) -> tuple[list[Path], float]:
    """The paths with the largest |product|, the largest first, and the sum of the others."""
    ranked = sorted(some, key=lambda path: magnitude(path.product), reverse=True)
    return ranked[:TOP], sum(float(path.product) for path in ranked[TOP:])


def magnitude(product: Decimal) -> Decimal:
    """What products are sorted by; nan is as large as ∞."""
    return Decimal("inf") if product.is_nan() else product.copy_abs()


def followed(way: Way, seed: Array) -> list[Path]:
    """Every path with what arrives through it alone: the rules, one input at a time; the longest first."""
    arrived: dict[int, list[Path]] = {way[0][0].birth: [Path(seed)]}
    for node, inner in way:
        every = arrived.pop(node.birth)
        for path in every if inner else ():
            parts = shares(node, path.product)
            for i, parent in inner:
                arrived.setdefault(parent.birth, []).append(Path(parts[i], node, i, None, path))

    def place(path: Path) -> Any:
        length = float(np.linalg.norm(np.asarray(path.product, float)))
        # nan is the longest; of equal ones, the one that turns to later inputs comes first.
        return -math.inf if math.isnan(length) else -length, [-i for _, i in path.gates[::-1]]

    return sorted(every, key=place)
