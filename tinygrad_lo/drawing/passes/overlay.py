"""What another computation says, laid over a graph that is drawn.

A gradient check's report, or another graph of the same form: what differs is marked.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_lo.checking.report import Report, Row, leaf_name
from tinygrad_lo.drawing.contents import Contents, Different, Numeric
from tinygrad_lo.drawing.passes.flow import Flow, concrete, flow_back
from tinygrad_lo.engine.graph import Array, Node
from tinygrad_lo.engine.naming import name_of
from tinygrad_lo.errors import OptionError
from tinygrad_lo.explaining.explain import counted
from tinygrad_lo.explaining.formula import Names, number, size, unit_of

# How far a check's gradient, of float64 copies, may be from the drawn one before it is another loss's.
ALIKE = {2: 3e-2, 4: 1e-3, 8: 1e-6}
MARKS = {"passed": "✓", "FAILED": "✗", "UNDECIDED": "?"}  # what a report of gradcheck comes to
# Two ways to compute one number differ by some units in the last place; what is more is a difference.
UNITS = 4096
KINDS = ("value", "gradient")


def lay_over(contents: Contents, nodes: list[Node], check: Any) -> str:
    """Lay a gradient check's report over the values and the boxes; the sentence for the title."""
    if not contents.differentiated:
        raise OptionError("draw: check needs a picture with gradients: of one number, and with gradient=True")
    numerics = read_report(check, nodes, contents.gradients)
    faults = {fault.op for fault in check.faults}
    parts = contents.parts
    for place, id in contents.shown.items():
        node, part = nodes[place], parts[id]
        part.wrong |= node.op is not None and node.op.name in faults
        if node.birth in numerics:
            part.numeric.append(numerics[node.birth])
    return f"gradcheck {check.outcome} {MARKS[check.outcome]}"


def read_report(report: Any, nodes: Iterable[Node], gradients: dict[int, Any]) -> dict[int, Numeric]:
    """What the report says of each leaf that it names, by birth."""
    if not isinstance(report, Report):
        raise OptionError(f"draw: check is a report of lo.gradcheck, got {type(report).__name__}: {report!r}")
    leaves = [node for node in nodes if node.op is None and node.needs]
    rows: defaultdict[str, list[Row]] = defaultdict(list)
    for row in (row for row in report.rows if row.order == 1 and row.point == 0):
        rows[row.name].append(row)
    if not rows:
        raise OptionError("draw: check is a report without derivatives of order 1; run lo.gradcheck(f, ...)")
    pairs = ((only_leaf(name, leaves), some) for name, some in rows.items())
    return {leaf.birth: laid_over(leaf, some, gradients.get(leaf.birth)) for leaf, some in pairs}


def only_leaf(name: str, leaves: list[Node]) -> Node:
    """The one leaf of this name."""
    found = [leaf for leaf in leaves if leaf_name(leaf) == name]
    if len(found) == 1:
        return found[0]
    names = dict.fromkeys(map(leaf_name, leaves))
    what = f"{len(found)} parameters called" if found else "no parameter called"
    raise OptionError(
        f"draw: check is a report on {name!r}, and this graph has {what} so (its parameters: "
        f"{', '.join(map(repr, names)) or 'none'}). Give each its own name, and gradcheck the "
        "tensors themselves: lo.gradcheck(f, params=[W]), or lo.gradcheck(f, W) with a named W"
    )


def laid_over(leaf: Node, rows: list[Row], gradient: Any) -> Numeric:
    """The rows as an array like the leaf."""
    shape = np.shape(leaf.value)
    values, failures = np.full(shape, np.nan), np.zeros(shape, bool)
    drawn = np.zeros(shape) if gradient is None else np.asarray(gradient, float)
    top = float(np.max(np.abs(drawn), initial=0.0))
    slack = ALIKE.get(leaf.value.dtype.itemsize, 1e-6)
    for row in rows:
        if isinstance(row.index, str):
            continue
        fits = len(row.index) == len(shape) and all(i < n for i, n in zip(row.index, shape, strict=True))
        if not fits or abs(row.analytic - drawn[row.index]) > slack * max(top, abs(row.analytic)):
            here = f"here it is {drawn[row.index]:.6g}" if fits else f"here its shape is {shape}"
            raise OptionError(
                f"draw: check is the report of another loss: it says that the gradient by {row.place} is "
                f"{row.analytic:.6g}, {here}. Draw the loss that was checked, at the same parameters"
            )
        values[row.index] = row.numeric
        failures[row.index] = row.verdict == "FAIL"
    verdicts = [row.verdict for row in rows]
    return Numeric(values, len(rows), verdicts.count("FAIL"), verdicts.count("UNVERIFIABLE"), failures)


# ----------------------------------------------------------------------------------- another graph


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
