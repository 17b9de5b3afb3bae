"""Another graph of the same form, laid over the one that is drawn: what differs is marked."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from tinygrad_lo.drawing.contents import Contents, Different
from tinygrad_lo.drawing.passes.flow import Flow, concrete, flow_back
from tinygrad_lo.engine.graph import Array, Node
from tinygrad_lo.engine.naming import name_of
from tinygrad_lo.errors import OptionError
from tinygrad_lo.explaining.explain import counted
from tinygrad_lo.explaining.formula import Names, number, size, unit_of

# Two ways to compute one number differ by some units in the last place; what is more is a difference.
UNITS = 4096
KINDS = ("value", "gradient")


def lay_beside(contents: Contents, names: Names, other: Any) -> str:
    """Lay another graph's values and gradients over the picture; the sentence for the title."""
    if not isinstance(other, Node):
        raise OptionError(f"draw: compared_with is a tensor, got {type(other).__name__}: {other!r}")
    twins = twins_of(names, other)
    graphs = names.nodes, [twins[node.birth] for node in names.nodes]
    by_gradients = contents.differentiated and bool(other.needs)
    pairs = zip(*(figures_of(nodes, by_gradients) for nodes in graphs), strict=True)
    found = [
        (place, each)
        for place, both in enumerate(pairs)
        for each in map(different, KINDS, *both)
        if each is not None
    ]
    parts = contents.parts
    for place, each in found:
        if place in contents.shown:
            parts[contents.shown[place]].numeric.append(each)
    return in_words(names, found)


def in_words(names: Names, found: list[tuple[int, Different]]) -> str:
    """How many values and gradients differ, and the largest difference."""
    if not found:
        return "= no number differs from the other graph's"
    counts = Counter(each.kind for _, each in found)
    some = " and ".join(counted(counts[kind], kind) for kind in KINDS if counts[kind])
    place, most = max(found, key=lambda pair: (pair[1].share, pair[1].by))
    what = names.of(names.nodes[place])
    what = what if most.kind == KINDS[0] else f"∂{names.of(names.nodes[-1])}/∂{what}"
    share = f" ({number(100 * most.share, 2)} %)" if np.isfinite(most.share) else ""  # of the largest element
    return f"≠ {some} differ, most {what}: by {number(most.by)}{share}"


def figures_of(nodes: list[Node], by_gradients: bool) -> list[tuple[Array, Array]]:
    """Each value as it was when it was used, and the gradient by it, 0 where none arrived; last the root."""
    seen = {node.birth: node.value for node in nodes}
    for node in nodes:  # what was made from a value saw it: .data may have been replaced since
        pairs = zip(node.parents, node.inputs, strict=False)
        seen |= {parent.birth: x for parent, x in pairs if parent is not None}
    flow = flow_back(nodes[-1], seen) if by_gradients else Flow()
    return [(seen[node.birth], flow.gradients.get(node.birth, 0.0)) for node in nodes]


def twins_of(names: Names, other: Node) -> dict[int, Node]:
    """For each value of the graph its twin in the other one, by birth: from the roots on, input by input."""
    twins: dict[int, Node] = {}
    taken: dict[int, Node] = {}  # the same the other way round
    waiting = [(names.nodes[-1], other)]
    for here, there in waiting:
        if here.birth not in twins and there.birth not in taken:
            must_be_alike(names, here, there)
            twins[here.birth], taken[there.birth] = there, here
            waiting += zip(tensors_of(here), tensors_of(there), strict=True)
        elif twins.get(here.birth) is not there:
            raise other_form(names, here, "it is used in more places of one graph than of the other")
    return twins


def tensors_of(node: Node) -> list[Node]:
    """The tensors among the inputs."""
    return [parent for parent in node.parents if parent is not None]


def form_of(node: Node) -> str:
    """What must be the same of two values: the shape, and how many tensors they were made from."""
    inputs = len(tensors_of(node))
    text = size(np.shape(node.value)) or "one number"
    return f"{text} from {counted(inputs, 'tensor')}" if inputs else text


def must_be_alike(names: Names, here: Node, there: Node) -> None:
    """Refuse two values that are not in the same place of the same graph."""
    if None not in (name_of(here), name_of(there)) and name_of(here) != name_of(there):
        raise other_form(names, here, f"in its place stands {name_of(there)!r}")
    if form_of(here) != form_of(there):
        raise other_form(names, here, f"it is {form_of(here)} here and {form_of(there)} there")


def other_form(names: Names, node: Node, why: str) -> OptionError:
    """The error for two graphs that cannot be compared number by number."""
    return OptionError(
        f"draw: compared_with is a graph of another form: they differ at {names.of(node)!r}, {why}. "
        f"Compare two results of the same function, or draw each by itself"
    )


def different(kind: str, mine: Array, other: Array) -> Different | None:
    """What differs between two arrays, if anything does; nothing is known of lazy ones."""
    known = [x for x in map(concrete, (mine, other)) if x is not None and x.size]
    if len(known) < 2:
        return None
    here, there = np.broadcast_arrays(*(x.astype(float) for x in known))
    sizes = np.abs([here, there])
    top = float(np.max(sizes, where=np.isfinite(sizes), initial=0.0))
    slack = UNITS * max(unit_of(x.dtype) for x in known) * top
    wrong = ~np.isclose(here, there, rtol=0, atol=slack, equal_nan=True)
    with np.errstate(all="ignore"):
        gaps = np.nan_to_num(np.abs(here - there), nan=np.inf, posinf=np.inf)
        by = np.max(gaps, where=wrong, initial=0.0)
        share = float(by / np.float64(top))
    count = int(wrong.sum())
    return Different(there, there.size, count, 0, wrong, kind, "other", float(by), share) if count else None
