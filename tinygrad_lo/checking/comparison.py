"""One function at one point: its derivatives by the engine and by differences, and why some are wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Self

import numpy as np

from tinygrad_lo.checking.culprit import at_kinks, wrong_elsewhere, wrong_rules
from tinygrad_lo.checking.diagnosis import Cause, diagnose
from tinygrad_lo.checking.measured import (
    Measured,
    direction_of,
    directions,
    index_of,
    unless_outside,
    wrong_ones,
)
from tinygrad_lo.checking.recording import Subject, Tape, made_from, place_of, sizes_of
from tinygrad_lo.checking.report import Fault, Report, Row, leaf_name
from tinygrad_lo.checking.rounding import Named
from tinygrad_lo.engine.graph import Array, Node

NAMED = 10  # wrong elements of the rest that are searched for
Entry = tuple[Row, Any, Array]  # a row, and the leaf and direction that it is about


@dataclass(frozen=True)
class Point(Measured):
    """A function of tensors where its leaves are now, and its graph."""

    subject: Subject
    tape: Tape

    @property
    def eps(self) -> float:
        """The rounding of the coarsest type in the graph."""
        return self.tape.eps

    @cached_property
    def size(self) -> float:
        """The size of what is added up in the graph."""
        return self.tape.rounding

    def terms(self, name: Any, direction: Array, x: float) -> float:
        """The largest term that a slope is a sum of: what each number of the graph moves."""
        h = 1e-5 * max(1.0, x)

        def largest(place: Named) -> float:
            return self.subject.moved(place, lambda: self.tape.largest_change(self.subject.call(), h))

        return unless_outside(largest, {name: self.leaves[name] + h * direction}, 0.0)

    def beside(self, seed: int, fixed: dict[Any, Array]) -> Self | None:
        """The function a step aside, with its graph there."""
        there = super().beside(seed, fixed)
        return there and replace(there, tape=self.subject.moved(there.leaves, self.subject.tape))


def point_of(subject: Subject, rtol: float) -> Point:
    """The function at the point that its leaves hold now, refused if it is not what can be checked."""
    tape, gradients, value = subject.examined()
    leaves = {leaf: np.asarray(leaf.value) for leaf in subject.leaves}

    def slopes(place: Named) -> Named:
        return subject.moved(place, lambda: subject.gradients(subject.call()))

    def at(place: Named) -> float:
        return subject.moved(place, subject.value)

    return Point(at, slopes, leaves, value, gradients, rtol, subject, tape)


@dataclass
class Comparison:
    """The check of one function at one point after the other, and the report that it fills.

    Attributes:
        ops: a node of each op that was called.
        reached: for each place in the graph (op, line, how many of these), whether a gradient has been there.
        narrow: where values became coarser than float64.
    """

    report: Report
    rng: np.random.Generator
    ops: dict[str, Node] = field(default_factory=dict)
    reached: dict[tuple[str, str | None, int], bool] = field(default_factory=dict)
    narrow: dict[str, None] = field(default_factory=dict)

    def run(self, subject: Subject, number: int) -> None:
        """Compare all derivatives at point `number`, where the leaves are now, and look for the reason."""
        report, point = self.report, point_of(subject, self.report.rtol)
        entries = [entry for leaf in subject.leaves for entry in self.compared(point, leaf)]
        for row, _, _ in entries:
            row.order, row.point = subject.order, number
        subject.must_still_be(point.base)
        self.note(point.tape)
        faults = self.search(point, [row.verdict for row, _, _ in entries])
        if not faults and not report.faults and subject.order == 1:
            self.excuse(point, entries)
        report.rows += [row for row, _, _ in entries]
        report.faults += faults
        report.found = report.found or likely_cause(point, entries, faults)

    def compared(self, point: Point, leaf: Any) -> list[Entry]:
        """A row for each checked element of a leaf, and one for all the others together."""
        name, shape = leaf_name(leaf), leaf.shape
        looks = [point.row(leaf, name, *look) for look in directions(shape, self.rng)]
        if looks and isinstance(looks[-1][0].index, str) and looks[-1][0].verdict == "FAIL":
            signs = looks[-1][1].ravel()

            def verdict(some: Array) -> str:
                return point.along(leaf, direction_of(shape, some, signs[some])).verdict

            wrong = wrong_ones(verdict, np.flatnonzero(signs), NAMED)
            looks += [point.row(leaf, name, index_of(k, shape), direction_of(shape, k)) for k in wrong]
        return [(row, leaf, direction) for row, direction, _ in looks]

    def excuse(self, point: Point, entries: list[Entry]) -> None:
        """Kinks that meet can leave a slope outside of the one-sided ones: relu(x) − relu(−x) at 0.

        All rules are right there, and so is the gradient a step aside; any other mistake is one there, too.
        """
        failed = [entry for entry in entries if entry[0].verdict == "FAIL" and np.isfinite(entry[0].analytic)]
        if not failed or not at_kinks(point.tape.nodes, self.rng, self.report.rtol):
            return
        for row, leaf, direction in failed:
            if point.right_aside(leaf, direction):
                row.verdict = "MEET"
                row.note = (
                    f"kinks meet: the slope is {row.numeric:.4g}, the engine gives {row.analytic:.4g}; "
                    f"every rule is right"
                )

    def search(self, point: Point, verdicts: list[str]) -> list[Fault]:
        """The wrong rules of this graph.

        When all derivatives agree, only those can be wrong that no gradient, or a zero, arrives at; or,
        at kinks, those that give each element a slope that is possible, and all together one that is not.
        """
        if self.report.faults:
            return []  # found at an earlier point, or in the first derivatives
        look, nodes = partial(wrong_rules, rng=self.rng, rtol=self.report.rtol), point.tape.nodes
        if "FAIL" in verdicts:
            # A direction of all elements hides a small one beside large ones.
            return look(nodes) or look(nodes, singly=True) or look(made_from(point.subject.inner), order=2)
        if "KINK" not in verdicts:
            nodes = [node for node in nodes if not np.all(point.tape.arrived.get(node.birth, 0.0))]
        # Where no gradient arrives, a rule may give nan: 0 times it would have shown above.
        return [fault for fault in look(nodes) if fault.cause != Cause("not finite")]

    def note(self, tape: Tape) -> None:
        """Take down what a graph shows of the function's ops."""
        calls: Counter[tuple[str, str | None]] = Counter()
        for node in tape.nodes:
            assert node.op is not None
            name, line = node.op.name, place_of(node)
            self.ops.setdefault(name, node)
            calls[name, line] += 1
            place = name, line, calls[name, line]
            alive = bool(np.any(tape.arrived.get(node.birth, 0.0)))
            self.reached[place] = alive or self.reached.get(place, False)
            if node.value.dtype.kind == "f" and node.value.dtype.itemsize < 8:
                self.narrow[f"{name} at {line} computes in {node.value.dtype}"] = None

    def limits(self) -> list[str]:
        """What all these points could not show, in sentences."""
        report, notes = self.report, []
        if not report.faults and not report.count("FAIL"):
            faults = wrong_elsewhere(self.ops.values(), self.rng, report.rtol)
            notes = [f"at other inputs than these, a rule is wrong: {f}; try points=3" for f in faults]
            notes += [
                f"no gradient reaches {op}, called at {line}, at this point: an untaken branch? try points=3"
                for op, line, _ in [place for place, alive in self.reached.items() if not alive][-3:]
            ]
        return notes + [
            f"{text}, which shows large mistakes only; use float64" for text in [*self.narrow][:1]
        ]


def likely_cause(point: Point, entries: list[Entry], faults: list[Fault]) -> Cause | None:
    """The kind of mistake: at the culprit, where it is seen best, else in the gradients."""
    sizes = sizes_of(x for node in point.tape.nodes for x in (*node.inputs, node.value))
    causes = [faults[0].cause] if faults else []
    for leaf in point.subject.leaves:
        rows = [row for row, of, _ in entries if of is leaf and not isinstance(row.index, str)]
        if any(row.verdict == "FAIL" for row in rows):
            causes.append(cause_by(leaf, rows, sizes))
    known = [cause for cause in causes if cause is not None]
    return min(known, key=lambda cause: cause.kind == "some elements", default=None)


def cause_by(leaf: Node, rows: list[Row], sizes: list[int]) -> Cause | None:
    """The kind of mistake in the gradient by one leaf."""
    x = np.asarray(leaf.value)
    shape = x.shape if len(rows) == x.size else (len(rows),)
    numbers = [(row.analytic, row.numeric, row.verdict == "FAIL", x[row.index]) for row in rows]
    analytic, numeric, wrong, values = (
        np.array(column).reshape(shape) for column in zip(*numbers, strict=True)
    )
    return diagnose(analytic, numeric, wrong, values, sizes, leaf_name(leaf))
