"""Another graph of the same form, laid over the one that is drawn: what differs is marked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lo.drawing.contents import Contents, Different, DrawnBox, DrawnValue
from tinygrad_lo.drawing.passes.flow import concrete, flow_back
from tinygrad_lo.engine.graph import Array, Node
from tinygrad_lo.engine.naming import name_of
from tinygrad_lo.errors import OptionError
from tinygrad_lo.explaining.explain import counted
from tinygrad_lo.explaining.formula import Names, number, size

# Two ways to compute one number differ by some units in the last place; what is more is a difference.
UNITS = 4096


class Largest(NamedTuple):
    """The largest difference that was met."""

    share: float = 0.0  # of the larger of both arrays' largest elements
    by: float = 0.0
    what: str = ""


def lay_beside(contents: Contents, names: Names, other: Any) -> str:
    """Lay another graph's values and gradients over the picture; the sentence for the title."""
    if not isinstance(other, Node):
        raise OptionError(f"draw: compared_with is a tensor, got {type(other).__name__}: {other!r}")
    pairs = matched(names, other)
    drawn: list[DrawnValue | DrawnBox] = [*contents.values, *contents.groups]
    parts = {part.id: part for part in drawn}
    values = [seen(names.nodes), seen(pairs.values())]
    gradients: list[dict[int, Array]] = [{}, {}]
    if contents.differentiated:
        for side, nodes in zip(gradients, (names.nodes, list(pairs.values())), strict=True):
            root = names.nodes[-1] if side is gradients[0] else other
            side |= flow_back(root, {node.birth for node in nodes}).gradients if root.needs else {}
    counts, largest = {"value": 0, "gradient": 0}, Largest()
    for place, node in enumerate(names.nodes):
        twin = pairs[node.birth]
        for kind, (here, there) in (("value", values), ("gradient", gradients)):
            found = different(kind, here.get(node.birth), there.get(twin.birth))
            if found is None:
                continue
            counts[kind] += 1
            what = names.of(node) if kind == "value" else f"∂L/∂{names.of(node)}"
            largest = max(largest, Largest(found.share, found.by, what))
            if place in contents.shown:
                parts[contents.shown[place]].numeric.append(found)
    if not largest.what:
        return "= no number differs from the other graph's"
    some = " and ".join(counted(n, kind) for kind, n in counts.items() if n)
    share = f" ({number(100 * largest.share, 2)} %)" if np.isfinite(largest.share) else ""
    return f"≠ {some} differ, most {largest.what}: by {number(largest.by)}{share}"


def seen(nodes: Iterable[Node]) -> dict[int, Array]:
    """What each value was when it was used: .data may have been replaced since."""
    nodes = list(nodes)
    found = {node.birth: node.value for node in nodes}
    for node in nodes:
        inputs = zip(node.parents, node.inputs, strict=False)
        found |= {parent.birth: x for parent, x in inputs if parent is not None}
    return found


def matched(names: Names, other: Node) -> dict[int, Node]:
    """For each value of the graph its twin in the other one, by birth: from the roots on, input by input."""
    twins: dict[int, Node] = {}
    partners: dict[int, int] = {}  # the same the other way round
    waiting: list[tuple[Node, Node]] = [(names.nodes[-1], other)]
    while waiting:
        here, there = waiting.pop()
        if here.birth in twins or there.birth in partners:
            if twins.get(here.birth) is not there or partners.get(there.birth) != here.birth:
                raise other_form(names, here, "one of both is used in more places than the other")
            continue
        must_be_alike(names, here, there)
        twins[here.birth], partners[there.birth] = there, here.birth
        waiting += zip(tensors_of(here), tensors_of(there), strict=True)
    return twins


def tensors_of(node: Node) -> list[Node]:
    """The tensors among the inputs."""
    return [parent for parent in node.parents if parent is not None]


def must_be_alike(names: Names, here: Node, there: Node) -> None:
    """Refuse two values that are not in the same place of the same graph."""
    a, b = name_of(here), name_of(there)
    shapes = [size(np.shape(node.value)) or "one number" for node in (here, there)]
    made = [node.op.name if node.op else "a leaf" for node in (here, there)]
    if a is not None and b is not None and a != b:
        raise other_form(names, here, f"in its place stands {b!r}")
    if shapes[0] != shapes[1]:
        raise other_form(names, here, f"it is {shapes[0]} here and {shapes[1]} there")
    if len(tensors_of(here)) != len(tensors_of(there)):
        raise other_form(names, here, f"it is {made[0]} here and {made[1]} there, of other inputs")


def other_form(names: Names, node: Node, why: str) -> OptionError:
    """The error for two graphs that cannot be compared number by number."""
    return OptionError(
        f"draw: compared_with is a graph of another form: they differ at {names.of(node)!r}, {why}. "
        f"Compare two results of the same function, or draw each by itself"
    )


def different(kind: str, here: Array, there: Array) -> Different | None:
    """What differs between two arrays of one shape; None where nothing does, or one is lazy."""
    if here is None or there is None:
        if here is there:
            return None
        here, there = (np.zeros_like(there), there) if here is None else (here, np.zeros_like(here))
    a, b = concrete(here), concrete(there)
    if a is None or b is None or not a.size:
        return None
    wide, other = a.astype(float), b.astype(float)
    unit = max(np.finfo(x.dtype).eps if x.dtype.kind == "f" else 0.0 for x in (a, b))
    with np.errstate(all="ignore"):
        gap = np.abs(wide - other)
        top = float(np.max(np.abs([wide, other])))
        marked = ~(gap <= UNITS * unit * top) & ~((wide == other) | (np.isnan(wide) & np.isnan(other)))
        by = float(np.max(gap, where=marked, initial=0.0)) if marked.any() else 0.0
    if not marked.any():
        return None
    share = by / top if np.isfinite(top) and top else np.inf
    return Different(other, a.size, int(marked.sum()), 0, marked, kind=kind, by=by, share=share)
