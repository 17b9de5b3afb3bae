"""A gradient check's report, laid over the leaves of the graph that is drawn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.checking.report import Report, Row
from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.naming import name_of
from tinygrad_lo.errors import OptionError
from tinygrad_lo.explaining.formula import size

# How far a check's gradient, of float64 copies, may be from the drawn one before it is another loss's.
ALIKE = {2: 3e-2, 4: 1e-3, 8: 1e-6}


@dataclass(slots=True)
class Numeric:
    """The numeric gradient by one leaf.

    Attributes:
        values: shaped like the leaf; nan where it was not checked by itself.
        checked: how many derivatives were compared. failed, doubtful: how many of them disagree, and how
            many could not be verified.
        failures: the elements that disagree.
    """

    values: ndarray[Any, Any]
    checked: int
    failed: int
    doubtful: int
    failures: ndarray[Any, Any]

    @property
    def mark(self) -> str:
        """A tick, a cross or a question mark, with how many it stands for where that is not clear."""
        if self.failed:
            return f"✗ {self.failed} of {self.checked} wrong" if self.checked > 1 else "✗"
        if self.doubtful:
            return f"? {self.doubtful} of {self.checked} unverified" if self.checked > 1 else "?"
        return "✓" if self.checked == self.values.size else f"✓ {self.checked} checked"


def read_report(report: Any, nodes: Iterable[Node], gradients: dict[int, Any]) -> dict[int, Numeric]:
    """What the report says of each leaf that it names, by birth.

    Raises:   OptionError: no gradient check's report, or one of another loss or other leaves.
    """
    if not isinstance(report, Report):
        raise OptionError(f"draw: check is a report of lo.gradcheck, got {type(report).__name__}: {report!r}")
    leaves: defaultdict[str, list[Node]] = defaultdict(list)
    for node in nodes:
        if node.op is None and node.needs:
            leaves[name_in_report(node)].append(node)
    rows: defaultdict[str, list[Row]] = defaultdict(list)
    for row in report.rows:
        if row.order == 1 and row.point == 0:
            rows[row.name].append(row)
    if not rows:
        raise OptionError("draw: check is a report without derivatives of order 1; run lo.gradcheck(f, ...)")
    pairs = [(the_only(name, leaves), some) for name, some in rows.items()]
    return {leaf.birth: laid_over(leaf, some, gradients.get(leaf.birth)) for leaf, some in pairs}


def the_only(name: str, leaves: dict[str, list[Node]]) -> Node:
    """The leaf of this name."""
    candidates = leaves.get(name, [])
    if len(candidates) == 1:
        return candidates[0]
    known = ", ".join(map(repr, leaves)) or "none"
    what = f"{len(candidates)} parameters called" if candidates else "no parameter called"
    raise OptionError(
        f"draw: check is a report on {name!r}, and this graph has {what} so (its parameters: {known}). "
        f"Give each its own name, and gradcheck the tensors themselves: "
        f"lo.gradcheck(f, params=[W]), or lo.gradcheck(f, W) with a W that has a name"
    )


def name_in_report(leaf: Node) -> str:
    """What a gradient check calls a leaf."""
    return name_of(leaf) or f"{size(np.shape(leaf.value)) or 'scalar'} parameter"


def laid_over(leaf: Node, rows: list[Row], gradient: Any) -> Numeric:
    """The rows as an array like the leaf."""
    shape = np.shape(leaf.value)
    values = np.full(shape, np.nan)
    failures = np.zeros(shape, bool)
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
