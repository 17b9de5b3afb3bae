"""One function at one point: what it must not do, its derivatives, and what explains the wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tinygrad_lo.checking.culprit import at_kinks, wrong_elsewhere, wrong_rules
from tinygrad_lo.checking.diagnosis import Cause, diagnose
from tinygrad_lo.checking.differences import judge
from tinygrad_lo.checking.elements import singly, unit, wrong_ones
from tinygrad_lo.checking.recording import Tape, must_be_differentiable, place_of, recorded, taped
from tinygrad_lo.checking.report import Fault, Report, Row
from tinygrad_lo.checking.rounding import Noise, scatter
from tinygrad_lo.engine.derivatives import grad
from tinygrad_lo.engine.graph import Array, Node, mode, reachable
from tinygrad_lo.engine.machine.anomaly import anomaly
from tinygrad_lo.engine.naming import name_of, quoted
from tinygrad_lo.engine.tensor import Tensor
from tinygrad_lo.errors import GraphError, LoError, MutationError, NonFiniteError

NAMED = 10  # wrong elements of the rest that are searched for
OUTSIDE = (LoError, FloatingPointError)  # what a function raises outside of its domain
PASSED = ("OK", "ZERO", "KINK")
Checked = tuple[Row, int, Array]  # a row, the number of its leaf, and the direction in which it looked


@dataclass
class Comparison:
    """A function, the leaves it is differentiated by, and the report that fills.

    Attributes:
        call: computes the function's value from what the leaves hold now.
        others: arrays that it is given and must leave alone, too.
        order: 2 if call() is itself a slope, made by `second`.
        alive: the places in the graph that some gradient has reached; dead: those that none has.
    """

    call: Callable[[], Any]
    leaves: list[Any]
    others: list[Array]
    report: Report
    rng: np.random.Generator
    order: int = 1
    point: int = 0
    tape: Tape | None = None  # the recorded graph of the point in hand
    rounding: float = 0.0  # of the value there, before it is multiplied by eps
    scatters: list[Array] = field(default_factory=list)  # of the gradients there, by their rounding
    alive: dict[tuple[Any, ...], None] = field(default_factory=dict)
    dead: dict[tuple[Any, ...], None] = field(default_factory=dict)
    narrow: dict[str, None] = field(default_factory=dict)  # where values became coarser than float64
    forward: list[Node] = field(default_factory=list)  # the graph of the function under a slope
    nodes: dict[str, Node] = field(default_factory=dict)  # a node of each op

    # ------------------------------------------------------------------------------- one point

    def run(self) -> None:
        """Compare all derivatives at the point that the leaves hold now, and look for the reason."""
        tape = self.record()
        gradients = self.backward(tape)
        base = self.value()
        self.must_be_a_function(tape, base)
        self.tape, self.rounding = tape, tape.rounding
        self.scatters = self.scattered(tape, gradients)
        rows: list[Checked] = []
        for n, g in enumerate(gradients):
            rows += self.compared(n, g, base)
        if self.value() != base:
            raise GraphError(STATE)
        failed = [entry for entry in rows if entry[0].verdict == "FAIL"]
        found = self.search(tape, bool(failed), any(row.verdict == "KINK" for row, _, _ in rows))
        excusable = [entry for entry in failed if np.isfinite(entry[0].analytic)]
        innocent = excusable and self.order == 1 and not found and not self.report.faults
        if innocent and at_kinks(tape.nodes, self.rng, self.report.rtol):
            self.excuse_kinks(excusable)
        self.report.rows += [row for row, _, _ in rows]
        self.report.faults += found
        if self.report.found is None and (found or any(row.verdict == "FAIL" for row, _, _ in rows)):
            self.report.found = self.cause(rows, tape, found)

    def record(self) -> Tape:
        """The recorded graph of one call, refused if it is not what can be checked."""
        before = [np.array(leaf.value) for leaf in self.leaves]
        others = [x.copy() for x in self.others]
        self.forward = []
        try:
            out = recorded(self.call)
        except MutationError as error:
            raise GraphError(f"gradcheck: the function changes what it computes with: {error}") from error
        for leaf, data in zip(self.leaves, before, strict=True):
            if not np.array_equal(leaf.value, data, equal_nan=True):
                raise GraphError(
                    f"gradcheck: the function changes {quoted(leaf, 'a parameter')}; it must only read it"
                )
        for data, now in zip(others, self.others, strict=True):
            if not np.array_equal(data, now, equal_nan=data.dtype.kind == "f"):
                raise GraphError(
                    f"gradcheck: the function changes an input of shape {data.shape} that is not "
                    f"differentiated by ({data.dtype}); it must only read it"
                )
        must_be_differentiable(out)
        if not np.isfinite(out.value).all():
            raise NonFiniteError(self.not_finite(out))
        if not out.needs and self.order == 1:
            raise GraphError(
                "gradcheck: the function's value does not depend on its inputs and params through tensors; "
                "compute with operators and NumPy functions, without float(), .data, .numpy() or .item()"
            )
        return taped(out)

    def not_finite(self, out: Node) -> str:
        """The sentence for a value that is nan or inf, naming the op that made it."""
        text = f"gradcheck: the function's value is {float(np.asarray(out.value).reshape(()))} here"
        try:
            with anomaly():
                self.call()
        except NonFiniteError as error:
            return f"{text}, so it has no gradient to check: {error}"
        return f"{text}, so it has no gradient to check; are its inputs finite?"

    def backward(self, tape: Tape) -> list[Array]:
        """The engine's gradients by the leaves; twice, because they must be the same."""
        first, again = self.gradients(tape.out), self.gradients(tape.out)
        for leaf, a, b in zip(self.leaves, first, again, strict=True):
            if not np.array_equal(a, b, equal_nan=True):
                raise GraphError(
                    f"gradcheck: two backward passes give {quoted(leaf, 'a parameter')} different gradients; "
                    f"a rule is random or keeps state"
                )
        return first

    def gradients(self, out: Any) -> list[Array]:
        """The engine's gradients of a value by the leaves; zeros where nothing flows."""
        if not out.needs:
            return [np.zeros(leaf.shape) for leaf in self.leaves]  # a constant slope
        found = grad(out, self.leaves, allow_unused=True)
        return [
            np.zeros(leaf.shape) if g is None else np.asarray(g)
            for leaf, g in zip(self.leaves, found, strict=True)
        ]

    def value(self) -> float:
        """The function's value now. With its graph: it is soon dropped, and f may differentiate inside."""
        return float(self.call().item())

    def must_be_a_function(self, tape: Tape, base: float) -> None:
        """Raise unless three calls give the same bits."""
        recorded_value = float(np.asarray(tape.out.value).reshape(()))
        if base != recorded_value or base != self.value():
            raise GraphError(STATE)

    # ------------------------------------------------------------------------------- the rows

    def compared(self, n: int, g: Array, base: float) -> list[Checked]:
        """A row for each checked element of leaf n, and one for all the others together."""
        size = self.leaves[n].size
        single, rest = singly(size, self.rng)
        rows = [self.row(n, g, base, unit(size, k), k) for k in single]
        if rest.size:
            signs = np.zeros(size)
            signs[rest] = self.rng.choice([-1.0, 1.0], rest.size)
            joint = self.row(n, g, base, signs, None)
            rows.append(joint)

            def verdict(some: Array) -> str:
                part = np.zeros(size)
                part[some] = signs[some]
                return self.row(n, g, base, part, None)[0].verdict

            if joint[0].verdict == "FAIL":
                wrong = wrong_ones(verdict, rest, NAMED)
                rows += [self.row(n, g, base, unit(size, k), k) for k in wrong]
        return rows

    def row(self, n: int, g: Array, base: float, direction: Array, k: int | None) -> Checked:
        """The derivative by leaf n along one direction, by the engine and by differences."""
        leaf = self.leaves[n]
        start = np.asarray(leaf.value)
        moved = direction != 0
        d = direction.reshape(start.shape)
        # Elsewhere an inf would make 0 · inf.
        analytic = float((g.reshape(-1)[moved] * direction[moved]).sum())

        def at(h: float) -> float:
            leaf.value = (start + h * d)[()]
            try:
                return self.value()
            except OUTSIDE:
                return np.nan  # outside of the function's domain
            finally:
                leaf.value = start[()]

        largest_x = float(np.abs(start.reshape(-1)[moved]).max())
        assert self.tape is not None
        eps = self.tape.eps
        loose = float((self.scatters[n].reshape(-1)[moved] * np.abs(direction[moved])).sum())
        noise = Noise(eps, self.rounding, loose, lambda: self.terms(n, d, largest_x))
        slope = judge(at, base, analytic, largest_x, self.report.rtol, noise)
        largest = max(abs(analytic), abs(slope.numeric))
        error = abs(analytic - slope.numeric) / largest if largest else 0.0
        index: tuple[int, ...] | str
        if k is None:
            index = f"along a ±1 direction of the other {int(moved.sum())}"
        else:
            index = tuple(int(n) for n in np.unravel_index(k, start.shape))
        row = Row(
            called(leaf),
            index,
            analytic,
            slope.numeric,
            error,
            slope.bar,
            slope.verdict,
            self.order,
            self.point,
            slope.note,
        )
        return row, n, direction

    def scattered(self, tape: Tape, gradients: list[Array]) -> list[Array]:
        """How far rounding can move the gradients by the leaves."""
        begin = [leaf.value for leaf in self.leaves]

        def again(moved: list[Array]) -> list[Array]:
            for leaf, data in zip(self.leaves, moved, strict=True):
                leaf.value = data[()]
            try:
                return self.gradients(self.call())
            except OUTSIDE:
                return gradients

        try:
            return scatter(again, begin, gradients, self.rounding, tape.eps)
        finally:
            for leaf, data in zip(self.leaves, begin, strict=True):
                leaf.value = data

    def terms(self, n: int, direction: Array, size: float) -> float:
        """The largest term that the slope by leaf n along a direction is the sum of."""
        assert self.tape is not None
        leaf, h = self.leaves[n], 1e-5 * max(1.0, size)
        start = leaf.value
        try:
            leaf.value = (start + h * direction)[()]
            return self.tape.moved(self.call(), h)
        except OUTSIDE:
            return 0.0
        finally:
            leaf.value = start

    def excuse_kinks(self, failed: list[Checked]) -> None:
        """Kinks that meet can leave a slope outside of the one-sided ones: relu(x) − relu(−x) at 0.

        All rules are right there. A step aside, where no kinks meet, such a gradient is right; any
        other mistake is one there, too.
        """
        begin = [leaf.value for leaf in self.leaves]
        sound = [True] * len(failed)
        try:
            for _ in range(2):
                for leaf, data in zip(self.leaves, begin, strict=True):
                    aside = self.rng.choice([-1.0, 1.0], np.shape(data)) * self.rng.uniform(
                        0.5, 1.0, np.shape(data)
                    )
                    leaf.value = (data + 1e-3 * np.maximum(1.0, np.abs(data)) * aside)[()]
                self.tape = taped(recorded(self.call))
                gradients = self.gradients(self.tape.out)
                base = self.value()
                for i, (_, n, direction) in enumerate(failed):
                    verdict = self.row(n, gradients[n], base, direction, None)[0].verdict
                    sound[i] = sound[i] and verdict in PASSED
        except OUTSIDE:
            return  # no place to step to: what failed has failed
        finally:
            for leaf, data in zip(self.leaves, begin, strict=True):
                leaf.value = data
        for (row, _, _), fine in zip(failed, sound, strict=True):
            if fine:
                row.verdict = "MEET"
                row.note = (
                    f"kinks meet: the slope is {row.numeric:.4g}, the engine gives {row.analytic:.4g}; "
                    f"every rule is right"
                )

    # ------------------------------------------------------------------------- what explains it

    def search(self, tape: Tape, failed: bool, kinks: bool) -> list[Fault]:
        """The wrong rules of this graph.

        When all derivatives agree, only those can be wrong that no gradient, or a zero, arrives at; or,
        at kinks, those that give each element a slope that is possible, and all together one that is not.
        """
        rtol = self.report.rtol
        seen: dict[tuple[Any, ...], int] = {}
        hidden = []
        for node in tape.nodes:
            assert node.op is not None
            self.nodes.setdefault(node.op.name, node)
            key = (node.op.name, place_of(node))
            seen[key] = seen.get(key, 0) + 1
            g = tape.arrived.get(node.birth)
            silent = g is None or not np.any(g)
            (self.dead if silent else self.alive)[*key, seen[key]] = None
            if g is None or not np.all(g):
                hidden.append(node)
            if node.value.dtype.kind == "f" and node.value.dtype.itemsize < 8:
                self.narrow[f"{node.op.name} at {place_of(node)} computes in {node.value.dtype}"] = None
        if self.report.faults:
            return []  # found at an earlier point, or in the first derivatives
        found = wrong_rules(tape.nodes if failed or kinks else hidden, self.rng, rtol)
        if not found and failed:  # a direction of all elements hides a small one beside large ones
            found = wrong_rules(tape.nodes, self.rng, rtol, singly=True)
        if not found and failed and self.order == 2:
            forward = [node for node in reachable(self.forward) if node.op is not None]
            found = wrong_rules(forward, self.rng, rtol, 2)
        # Where no gradient arrives, a rule may give nan: 0 times it would have shown above.
        return found if failed else [fault for fault in found if fault.cause != Cause("not finite")]

    def cause(self, rows: list[Checked], tape: Tape, found: list[Fault]) -> Cause | None:
        """The kind of mistake: at the culprit, where it is seen best, else in the gradients."""
        vague = found[0].cause if found else None
        if vague is not None and vague.kind != "some elements":
            return vague
        for n, leaf in enumerate(self.leaves):
            own = [row for row, of, _ in rows if of == n and not isinstance(row.index, str)]
            wrong = np.array([row.verdict == "FAIL" for row in own])
            if not wrong.any():
                continue
            full = len(own) == leaf.size
            shape = leaf.shape if full else (len(own),)
            at = tuple(np.array(axis) for axis in zip(*(row.index for row in own), strict=True))
            x = np.asarray(leaf.value)[at].reshape(shape)
            analytic = np.array([row.analytic for row in own]).reshape(shape)
            numeric = np.array([row.numeric for row in own]).reshape(shape)
            cause = diagnose(analytic, numeric, wrong.reshape(shape), x, tape.sizes, called(leaf))
            if cause is not None and cause.kind != "some elements":
                return cause
            vague = vague or cause
        return vague

    # ------------------------------------------------------------------------- further points

    def second(self) -> Comparison:
        """The comparison of second derivatives: of the slope along a random direction."""
        directions = [self.rng.standard_normal(leaf.shape) for leaf in self.leaves]
        slope = replace(self, order=2)

        def call() -> Any:
            out = self.call()
            slope.forward = slope.forward or [out]
            return slope_along(out, self.leaves, directions)

        slope.call = call
        return slope

    def move(self, begin: list[Array]) -> None:
        """Put the leaves at a random place around the point where they began, signs changed too.

        Each time farther away; where the function is not finite there or refuses, half as far.
        """
        self.point += 1
        far = 0.5 * self.point
        targets = [
            self.rng.choice([-1.0, 1.0], np.shape(data)) * data
            + far * np.maximum(1.0, np.abs(data)) * self.rng.standard_normal(np.shape(data))
            for data in begin
        ]
        for halvings in range(20):
            for leaf, data, target in zip(self.leaves, begin, targets, strict=True):
                leaf.value = (data + 0.5**halvings * (target - data))[()]
            try:
                if np.isfinite(self.value()):
                    return
            except OUTSIDE:
                continue
        raise GraphError(
            "gradcheck: no further point was found at which the function is finite; use points=1"
        )

    def finish(self) -> None:
        """Say what all these points could not show."""
        notes = self.report.unverified
        if not self.report.faults and not self.report.count("FAIL"):
            for fault in wrong_elsewhere(self.nodes.values(), self.rng, self.report.rtol):
                notes.append(f"at other inputs than these, a rule is wrong: {fault}; try points=3")
            unreached = [key for key in self.dead if key not in self.alive]
            for name, where, _ in unreached[-3:]:
                notes.append(
                    f"no gradient reaches {name}, called at {where}, at this point: an untaken branch? "
                    f"try points=3"
                )
        notes += [f"{text}, which shows large mistakes only; use float64" for text in list(self.narrow)[:1]]


STATE = "gradcheck: the function gives another value when called again; seed its randomness inside"


def called(leaf: Any) -> str:
    """The leaf's name, or its shape."""
    return name_of(leaf) or ("×".join(map(str, leaf.shape)) or "scalar") + " parameter"


def slope_along(out: Any, leaves: list[Any], directions: list[Array]) -> Any:
    """The derivative of f along a direction, as a graph: what order 2 differentiates."""
    total: Any = None
    with mode("kinks", False):  # the check says itself where it meets one
        slopes = grad(out, leaves, create_graph=True, allow_unused=True)
    for g, d in zip(slopes, directions, strict=True):
        if g is not None:
            part = (g * d).sum()
            total = part if total is None else total + part
    return Tensor(0.0) if total is None else total
