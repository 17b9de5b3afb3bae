"""One function at one point: its derivatives by the engine and by differences, and why some are wrong."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from tinygrad_lo.checking.culprit import at_kinks, wrong_rules
from tinygrad_lo.checking.diagnosis import Cause, diagnose
from tinygrad_lo.checking.differences import Slope, judge
from tinygrad_lo.checking.elements import Index, direction_of, directions, index_of, wrong_ones
from tinygrad_lo.checking.recording import OUTSIDE, Subject, Tape, made_from, place_of
from tinygrad_lo.checking.report import Fault, Report, Row, leaf_name
from tinygrad_lo.checking.rounding import Noise, rounding_scatter
from tinygrad_lo.engine.graph import Array, Node
from tinygrad_lo.engine.leaves import place, placed

NAMED = 10  # wrong elements of the rest that are searched for
PASSED = ("OK", "ZERO", "KINK")


class Checked(NamedTuple):
    """A row, and what it is about."""

    row: Row
    leaf: int
    direction: Array

    @property
    def excusable(self) -> bool:
        """Whether it failed, with a number that kinks can explain."""
        return self.row.verdict == "FAIL" and bool(np.isfinite(self.row.analytic))


@dataclass(frozen=True)
class Point:
    """A function where its leaves are now: its graph, gradients and value, and how these round.

    Attributes:
        rounding: of the value, before it is multiplied by eps.
        scatters: of the gradients, by their rounding.
    """

    subject: Subject
    number: int
    tape: Tape
    gradients: list[Array]
    value: float
    rounding: float
    scatters: list[Array]

    def claimed(self, n: int, direction: Array) -> float:
        """The derivative by leaf n along a direction, by the engine."""
        moved = direction != 0  # elsewhere an inf would make 0 · inf
        return float((self.gradients[n][moved] * direction[moved]).sum())

    def slope(self, n: int, direction: Array, rtol: float) -> Slope:
        """The derivative by leaf n along a direction, by differences, and whether the engine's is right."""
        start, moved = np.asarray(self.subject.leaves[n].value), direction != 0
        largest = float(np.abs(start[moved]).max())

        def at(h: float) -> float:
            return self.subject.moved({n: start + h * direction}, self.subject.value, np.nan)

        def terms() -> float:
            h = 1e-5 * max(1.0, largest)
            moved = {n: start + h * direction}
            return self.subject.moved(moved, lambda: self.tape.largest_change(self.subject.call(), h), 0.0)

        loose = float((self.scatters[n][moved] * np.abs(direction[moved])).sum())
        noise = Noise(self.tape.eps, self.rounding, loose, terms)
        return judge(at, self.value, self.claimed(n, direction), largest, rtol, noise)


def point_of(subject: Subject, number: int) -> Point:
    """The function at the point that its leaves hold now, refused if it is not what can be checked."""
    tape, gradients, value = subject.examined()

    def again(arrays: list[Array]) -> list[Array]:
        return subject.moved(
            dict(enumerate(arrays)), lambda: subject.gradients(subject.call()), otherwise=gradients
        )

    rounding, start = tape.rounding, [leaf.value for leaf in subject.leaves]
    scatters = rounding_scatter(again, start, gradients, rounding, tape.eps)
    return Point(subject, number, tape, gradients, value, rounding, scatters)


@dataclass
class Coverage:
    """What all points together have shown of the function's ops.

    Attributes:
        nodes: a node of each op.
        alive: the places in the graph that some gradient has reached; dead: those that none has.
        narrow: where values became coarser than float64.
    """

    nodes: dict[str, Node] = field(default_factory=dict)
    alive: dict[tuple[str, str | None, int], None] = field(default_factory=dict)
    dead: dict[tuple[str, str | None, int], None] = field(default_factory=dict)
    narrow: dict[str, None] = field(default_factory=dict)

    def note(self, tape: Tape) -> None:
        """Take down what a graph shows."""
        calls: dict[tuple[str, str | None], int] = {}
        for node in tape.nodes:
            assert node.op is not None
            self.nodes.setdefault(node.op.name, node)
            name, line = node.op.name, place_of(node)
            count = calls[name, line] = calls.get((name, line), 0) + 1
            reached = self.alive if np.any(tape.arrived.get(node.birth, 0.0)) else self.dead
            reached[name, line, count] = None
            if node.value.dtype.kind == "f" and node.value.dtype.itemsize < 8:
                self.narrow[f"{name} at {line} computes in {node.value.dtype}"] = None


@dataclass
class Comparison:
    """The check of one function at one point after the other, and the report that fills."""

    report: Report
    rng: np.random.Generator
    seen: Coverage = field(default_factory=Coverage)

    def run(self, subject: Subject, number: int) -> None:
        """Compare all derivatives at point `number`, where the leaves are now, and look for the reason."""
        point = point_of(subject, number)
        entries = [entry for n in range(len(subject.leaves)) for entry in self.compared(point, n)]
        subject.must_still_be(point.value)
        faults = self.search(point, [entry.row.verdict for entry in entries])
        if not faults and not self.report.faults and subject.order == 1:
            self.excuse(point, entries)
        self.report.rows += [entry.row for entry in entries]
        self.report.faults += faults
        if self.report.found is None:
            self.report.found = likely_cause(point, entries, faults)

    # ------------------------------------------------------------------------------- the rows

    def compared(self, point: Point, n: int) -> list[Checked]:
        """A row for each checked element of leaf n, and one for all the others together."""
        shape = point.subject.leaves[n].shape
        entries = [self.entry(point, n, *look) for look in directions(shape, self.rng)]
        if entries and isinstance(entries[-1].row.index, str) and entries[-1].row.verdict == "FAIL":
            signs = entries[-1].direction

            def verdict(some: Array) -> str:
                return point.slope(
                    n, direction_of(shape, some, signs.reshape(-1)[some]), self.report.rtol
                ).verdict

            wrong = wrong_ones(verdict, np.flatnonzero(signs), NAMED)
            entries += [self.entry(point, n, index_of(k, shape), direction_of(shape, k)) for k in wrong]
        return entries

    def entry(self, point: Point, n: int, index: Index, direction: Array) -> Checked:
        """The row of one direction."""
        subject, claimed = point.subject, point.claimed(n, direction)
        slope = point.slope(n, direction, self.report.rtol)
        row = Row.of(leaf_name(subject.leaves[n]), index, claimed, slope, subject.order, point.number)
        return Checked(row, n, direction)

    def excuse(self, point: Point, entries: list[Checked]) -> None:
        """Kinks that meet can leave a slope outside of the one-sided ones: relu(x) − relu(−x) at 0.

        All rules are right there. A step aside, where no kinks meet, such a gradient is right; any
        other mistake is one there, too.
        """
        rtol = self.report.rtol
        sound = [entry for entry in entries if entry.excusable]
        if not sound or not at_kinks(point.tape.nodes, self.rng, rtol):
            return
        try:
            with placed(point.subject.leaves) as start:
                for _ in range(2):
                    there = self.beside(point, start)
                    sound = [e for e in sound if there.slope(e.leaf, e.direction, rtol).verdict in PASSED]
        except OUTSIDE:
            return  # no place to step to: what failed has failed
        for row, _, _ in sound:
            row.verdict = "MEET"
            row.note = (
                f"kinks meet: the slope is {row.numeric:.4g}, the engine gives {row.analytic:.4g}; "
                f"every rule is right"
            )

    def beside(self, point: Point, start: list[Array]) -> Point:
        """The point a step aside from where the leaves were."""
        subject = point.subject
        for leaf, data in zip(subject.leaves, start, strict=True):
            signs = self.rng.choice([-1.0, 1.0], np.shape(data))
            aside = signs * self.rng.uniform(0.5, 1.0, np.shape(data))
            place(leaf, data + 1e-3 * np.maximum(1.0, np.abs(data)) * aside)
        tape = subject.tape()
        return replace(point, tape=tape, gradients=subject.gradients(tape.out), value=subject.value())

    # ------------------------------------------------------------------------- what explains it

    def search(self, point: Point, verdicts: list[str]) -> list[Fault]:
        """The wrong rules of this graph.

        When all derivatives agree, only those can be wrong that no gradient, or a zero, arrives at; or,
        at kinks, those that give each element a slope that is possible, and all together one that is not.
        """
        self.seen.note(point.tape)
        if self.report.faults:
            return []  # found at an earlier point, or in the first derivatives
        look, nodes = partial(wrong_rules, rng=self.rng, rtol=self.report.rtol), point.tape.nodes
        if "FAIL" in verdicts:
            # A direction of all elements hides a small one beside large ones.
            return look(nodes) or look(nodes, singly=True) or look(made_from(point.subject.inner), order=2)
        faults = look(nodes if "KINK" in verdicts else point.tape.hidden)
        # Where no gradient arrives, a rule may give nan: 0 times it would have shown above.
        return [fault for fault in faults if fault.cause != Cause("not finite")]


def likely_cause(point: Point, entries: list[Checked], faults: list[Fault]) -> Cause | None:
    """The kind of mistake: at the culprit, where it is seen best, else in the gradients."""
    causes = [faults[0].cause] if faults else []
    for n, leaf in enumerate(point.subject.leaves):
        rows = [row for row, of, _ in entries if of == n and not isinstance(row.index, str)]
        causes.append(cause_by(leaf, rows, point.tape.sizes))
    known = [cause for cause in causes if cause is not None]
    return min(known, key=lambda cause: cause.kind == "some elements", default=None)


def cause_by(leaf: Node, rows: list[Row], sizes: list[int]) -> Cause | None:
    """The kind of mistake in the gradient by one leaf."""
    wrong = np.array([row.verdict == "FAIL" for row in rows])
    if not wrong.any():
        return None
    value = np.asarray(leaf.value)
    shape = value.shape if len(rows) == value.size else wrong.shape
    analytic = np.array([row.analytic for row in rows]).reshape(shape)
    numeric = np.array([row.numeric for row in rows]).reshape(shape)
    x = np.array([value[row.index] for row in rows]).reshape(shape)
    return diagnose(analytic, numeric, wrong.reshape(shape), x, sizes, leaf_name(leaf))
