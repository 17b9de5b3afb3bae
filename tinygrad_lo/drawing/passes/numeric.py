"""A gradient check's report, laid over the graph that is drawn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np

from tinygrad_lo.checking.report import Report, Row, leaf_name
from tinygrad_lo.drawing.contents import Contents, Numeric
from tinygrad_lo.engine.graph import Node
from tinygrad_lo.errors import OptionError

T = TypeVar("T")

# How far a check's gradient, of float64 copies, may be from the drawn one before it is another loss's.
ALIKE = {2: 3e-2, 4: 1e-3, 8: 1e-6}
MARKS = {"passed": "✓", "FAILED": "✗", "UNDECIDED": "?"}  # what a report of gradcheck comes to


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


def grouped(pairs: Iterable[tuple[str, T]]) -> dict[str, list[T]]:
    """All things with one name, by that name."""
    groups: dict[str, list[T]] = {}
    for name, thing in pairs:
        groups.setdefault(name, []).append(thing)
    return groups


def read_report(report: Any, nodes: Iterable[Node], gradients: dict[int, Any]) -> dict[int, Numeric]:
    """What the report says of each leaf that it names, by birth."""
    if not isinstance(report, Report):
        raise OptionError(f"draw: check is a report of lo.gradcheck, got {type(report).__name__}: {report!r}")
    leaves = grouped((leaf_name(node), node) for node in nodes if node.op is None and node.needs)
    rows = grouped((row.name, row) for row in report.rows if row.order == 1 and row.point == 0)
    if not rows:
        raise OptionError("draw: check is a report without derivatives of order 1; run lo.gradcheck(f, ...)")
    pairs = ((only_leaf(name, leaves), some) for name, some in rows.items())
    return {leaf.birth: laid_over(leaf, some, gradients.get(leaf.birth)) for leaf, some in pairs}


def only_leaf(name: str, leaves: dict[str, list[Node]]) -> Node:
    """The one leaf of this name."""
    found = leaves.get(name, [])
    if len(found) == 1:
        return found[0]
    what = f"{len(found)} parameters called" if found else "no parameter called"
    raise OptionError(
        f"draw: check is a report on {name!r}, and this graph has {what} so (its parameters: "
        f"{', '.join(map(repr, leaves)) or 'none'}). Give each its own name, and gradcheck the "
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
