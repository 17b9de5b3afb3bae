"""Engine gradients against numerical ones, element by element, in a report that is true or false."""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property, partial, reduce
from typing import Any, Self

import numpy as np

from tinygrad_lo import options
from tinygrad_lo.checking.culprit import kinked, wrong_elsewhere, wrong_rules
from tinygrad_lo.checking.diagnosis import Cause, diagnose
from tinygrad_lo.checking.measured import Measured, direction_of, directions, index_of, or_else, wrong_ones
from tinygrad_lo.checking.numerical import Keys, each
from tinygrad_lo.checking.recording import OUTSIDE, Subject, Tape, made_from, place_of, sizes_of
from tinygrad_lo.checking.report import Fault, Report, Row, leaf_name
from tinygrad_lo.engine.derivatives import grad
from tinygrad_lo.engine.graph import Array, Node, mode, modes
from tinygrad_lo.engine.leaves import place, placed
from tinygrad_lo.engine.machine.hooks import no_effects
from tinygrad_lo.engine.naming import name_of
from tinygrad_lo.engine.tensor import Tensor
from tinygrad_lo.errors import DTypeError, GraphError
from tinygrad_lo.names import named_values

# A large block that is given back once makes glibc keep smaller ones, which thousands of evaluations would
# else get from the system, page by page, each time: large inputs took three times as long.
HEAP_BLOCK = 2**21
NAMED = 10  # wrong elements of the rest that are searched for
Entry = tuple[Row, Any, Array]  # a row, and the leaf and direction that it is about


@options.public
def gradcheck(
    f: Callable[..., Any], *inputs: Any, params: Any = (), order: int = 1, rtol: float = 1e-4,
    points: int = 1, seed: int = 0,
) -> Report:  # fmt: skip
    """Compare the engine's gradient of f with differences; the report is true or false.

    `f(*inputs)` returns a tensor; an array is summed with random weights. Checked are its derivatives by
    every floating-point input (an array, or a list or dict of arrays) and by every parameter in `params`,
    which f uses without being given it. Works on float64 copies; parameters, `.grad` and running
    statistics stay.

        |analytic − numeric| ≤ bar,  and bar ≤ rtol · max(|analytic|, |numeric|) to count as verified

    The bar of differences extrapolated to the step 0 is usually 1e-8 of the derivative and less. What
    rounding hides is UNVERIFIABLE and never silently passed; at a kink any slope between the one-sided
    ones is right. Of a tensor above 400 elements a sample is checked singly, the rest along one random
    direction, which is bisected to the wrong elements when it fails.

    `report.culprit` is the op whose rule is wrong, with the line of your file, `report.cause` the kind of
    mistake that the numbers look like, `report.unverified` what this point cannot show; `points=3` goes
    to further random points, where other branches are taken.

    Shapes:   inputs: any; f: any. order=2 checks the second derivatives too; `seed` draws the points.
    Raises:   OptionError: order, points or rtol out of range.
              GraphError: f returns no tensor or leaves the graph, is random, or changes its inputs.
              DTypeError: nothing to differentiate by, inputs in a tuple, or f returns an integer.
              NonFiniteError: f is nan or inf here.  GradcheckError: a rule raises.
    Source:   lecture 000: what finite differences are good for.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> print(lo.gradcheck(lambda x: (x**3).sum(), np.array([1.0, 2.0])))
        gradcheck passed: of 2 derivatives 2 agree, known to 1e-08 or better
          derivative by  analytic  numeric  rel. error  known to  verdict
          input 0[...]   ...
    """
    options.function("gradcheck", f, "(f, x)")
    order = options.choice("gradcheck", "order", order, (1, 2))
    points = options.whole("gradcheck", "points", points)
    report = Report(options.number("gradcheck", "rtol", rtol, above=0.0, below=1.0))
    np.empty(HEAP_BLOCK)
    rng = np.random.default_rng(seed)
    parameters = parameters_of(params)
    args = arguments(inputs)
    arrays: list[Any] = []
    each(lambda part, keys: arrays.append(part), args)
    leaves = list(dict.fromkeys([*filter(is_leaf, arrays), *parameters]))
    if not leaves:
        nothing = "nothing to differentiate by: no floating-point input and no params"
        raise DTypeError(f"gradcheck: {nothing}{kinds(inputs)}")
    others = [x for x in arrays if isinstance(x, np.ndarray)]
    subject = Subject(weighted_sum(lambda: f(*args), report, seed), leaves, others)
    recording = mode("grad_off", False) if modes.grad_off else nullcontext()
    with placed(parameters) as data, np.errstate(all="ignore"), recording, no_effects():
        for leaf, x in zip(parameters, data, strict=True):
            place(leaf, np.array(x, dtype=float))
        start = [leaf.value for leaf in leaves]
        check = Comparison(report, rng)
        for point in range(points):
            if point:
                step_away(subject, start, rng, point)
            check.run(subject, point)
            if order == 2:
                check.run(slope_of(subject, rng), point)
        report.unverified += check.limits()
    return report


def step_away(subject: Subject, start: list[Array], rng: np.random.Generator, point: int) -> None:
    """Put the leaves at a random place around where they began, signs changed too, each time farther away."""
    targets = [
        rng.choice([-1.0, 1.0], np.shape(data)) * data
        + 0.5 * point * np.maximum(1.0, np.abs(data)) * rng.standard_normal(np.shape(data))
        for data in start
    ]
    for halvings in range(20):  # while the function is not finite there, or refuses
        for leaf, data, target in zip(subject.leaves, start, targets, strict=True):
            place(leaf, data + 0.5**halvings * (target - data))
        try:
            if np.isfinite(subject.value()):
                return
        except OUTSIDE:
            continue
    raise GraphError("gradcheck: no further point was found at which the function is finite; use points=1")


def slope_of(subject: Subject, rng: np.random.Generator) -> Subject:
    """The slope along a random direction, whose derivatives are second ones."""
    directions = [rng.standard_normal(leaf.shape) for leaf in subject.leaves]
    inner: list[Node] = []

    def call() -> Any:
        out = subject.call()
        if not inner:
            inner.append(out)
        with mode("kinks", False):  # the check says itself where it meets one
            slopes = grad(out, subject.leaves, create_graph=True, allow_unused=True)
        terms = [(g * d).sum() for g, d in zip(slopes, directions, strict=True) if g is not None]
        return reduce(operator.add, terms) if terms else Tensor(0.0)

    return Subject(call, subject.leaves, subject.others, 2, inner)


def weighted_sum(f: Callable[[], Any], report: Report, seed: int) -> Callable[[], Any]:
    """f, and where its result is an array, the sum of it with random weights.

    A plain sum of a softmax is a constant; with weights of both signs no slope at a kink need lie between.
    """
    weights: dict[tuple[int, ...], Any] = {}

    def call() -> Any:
        out = f()
        shape = np.shape(out.value) if isinstance(out, Node) else ()
        if math.prod(shape) < 2 or out.value.dtype.kind != "f":
            return out
        if shape not in weights:
            weights[shape] = np.random.default_rng(seed).uniform(0.5, 1.5, shape)
        report.shape = shape
        return (out * weights[shape]).sum()

    return call


def is_leaf(x: Any) -> bool:
    """Whether this can be differentiated by."""
    return isinstance(x, Tensor) and x.op is None and x.requires_grad


def arguments(inputs: tuple[Any, ...]) -> list[Any]:
    """What f is called with: the inputs, their arrays copied."""
    if len(inputs) == 1 and type(inputs[0]) is tuple:
        singly, together = ("x", "(x,)") if len(inputs[0]) == 1 else ("x, y", "(x, y)")
        raise DTypeError(
            f"gradcheck: the inputs are given one by one: gradcheck(f, {singly}), not gradcheck(f, "
            f"{together}); got a tuple of {len(inputs[0])}. If f takes several arrays as one argument, give "
            f"them as a list"
        )
    return [each(as_input, value, (i,)) for i, value in enumerate(inputs)]


def as_input(value: Any, keys: Keys) -> Any:
    """A float64 tensor to differentiate by, a copy of any other array, or anything else as it is."""
    data = value.value if isinstance(value, Node) else value
    if isinstance(data, (float, list, np.ndarray, np.generic)) and np.asarray(data).dtype.kind == "f":
        first, *rest = keys
        own = name_of(value) if isinstance(value, Node) else None
        name = own or f"input {first}" + "".join(f"[{key!r}]" for key in rest)
        return Tensor(np.array(data, dtype=float), requires_grad=True, name=name)
    return value.copy() if isinstance(value, np.ndarray) else value


def kinds(inputs: tuple[Any, ...]) -> str:
    """What the inputs are, for a message."""
    text = ""
    for i, x in enumerate(inputs):
        dtype = getattr(np.asarray(x) if isinstance(x, (list, int, bool)) else x, "dtype", None)
        text += f"; input {i} is {type(x).__name__ if dtype is None else f'{dtype}, not floating-point'}"
    return text


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
        h, subject = 1e-5 * max(1.0, x), self.subject
        change = partial(subject.moved, work=lambda: self.tape.largest_change(subject.call(), h))
        return or_else(change, {name: self.leaves[name] + h * direction}, 0.0)

    def beside(self, seed: int, fixed: dict[Any, Array]) -> Self | None:
        """The function a step aside, with its graph there."""
        there = super().beside(seed, fixed)
        return there and replace(there, tape=self.subject.moved(there.leaves, self.subject.tape))


@dataclass
class Comparison:
    """The check of one function at one point after the other, and the report that it fills."""

    report: Report
    rng: np.random.Generator
    ops: dict[str, Node] = field(default_factory=dict)  # a node of each op that was called
    # For each place in the graph (op, line, how many of these), whether a gradient has been there.
    reached: dict[tuple[str, str | None, int], bool] = field(default_factory=dict)
    narrow: dict[str, None] = field(default_factory=dict)  # where values became coarser than float64

    def run(self, subject: Subject, number: int) -> None:
        """Compare all derivatives at point `number`, where the leaves are now, and look for the reason."""
        report, (tape, gradients, value) = self.report, subject.examined()
        leaves = {leaf: np.asarray(leaf.value) for leaf in subject.leaves}
        value_at = partial(subject.moved, work=subject.value)
        slopes_at = partial(subject.moved, work=lambda: subject.gradients(subject.call()))
        point = Point(value_at, slopes_at, leaves, value, gradients, report.rtol, subject, tape)
        entries = [entry for leaf in subject.leaves for entry in self.compared(point, leaf)]
        rows = [row for row, _, _ in entries]
        for row in rows:
            row.order, row.point = subject.order, number
        subject.must_still_be(point.base)
        self.note(point.tape)
        faults = self.search(point, [row.verdict for row in rows])
        if not faults and not report.faults and subject.order == 1:
            self.excuse(point, entries)
            for row in rows:
                if np.isnan(row.analytic) and point.tape.spoiled:
                    row.note = f"0 meets an infinite slope in {point.tape.spoiled[0]}, and 0 · inf is nan"
        report.rows += rows
        report.faults += faults
        report.found = report.found or likely_cause(point, entries, faults)

    def compared(self, point: Point, leaf: Any) -> list[Entry]:
        """A row for each checked element of a leaf, and one for all the others together."""
        name, shape = leaf_name(leaf), leaf.shape
        looks = [point.row(leaf, name, *look) for look in directions(point.gradient[leaf], self.rng)]
        if looks and isinstance(looks[-1][0].index, str) and looks[-1][0].verdict == "FAIL":
            signs = looks[-1][1].ravel()

            def verdict(some: Array) -> str:
                return point.along(leaf, direction_of(shape, some, signs[some])).verdict

            wrong = wrong_ones(verdict, np.flatnonzero(signs), NAMED)
            looks += [point.row(leaf, name, index_of(k, shape), direction_of(shape, k)) for k in wrong]
        return [(row, leaf, direction) for row, direction, _ in looks]

    def excuse(self, point: Point, entries: list[Entry]) -> None:
        """Where kinks meet, a slope may lie outside of the one-sided ones: relu(x) − relu(−x) at 0."""
        failed = [entry for entry in entries if entry[0].verdict == "FAIL" and np.isfinite(entry[0].analytic)]
        if not failed or not any(kinked(node, self.rng, self.report.rtol) for node in point.tape.nodes):
            return
        for row, leaf, direction in failed:
            if point.right_aside(leaf, direction):  # any other mistake is one a step aside, too
                row.verdict = "MEET"
                slopes = f"the slope is {row.numeric:.4g}, the engine gives {row.analytic:.4g}"
                row.note = f"kinks meet: {slopes}; every rule is right"

    def search(self, point: Point, verdicts: list[str]) -> list[Fault]:
        """The wrong rules of this graph."""
        if self.report.faults:
            return []  # found at an earlier point, or in the first derivatives
        look, nodes = partial(wrong_rules, rng=self.rng, rtol=self.report.rtol), point.tape.nodes
        if "FAIL" in verdicts:
            # A direction of all elements hides a small one beside large ones.
            return look(nodes) or look(nodes, singly=True) or look(made_from(point.subject.inner), order=2)
        # When all agree, only rules can be wrong that no gradient, or a zero, arrives at; or, at kinks, those
        # that give each element a slope that is possible, and all together one that is not.
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
            dead = [place for place, alive in self.reached.items() if not alive][-3:]
            untaken = "at this point: an untaken branch? try points=3"
            notes += [f"no gradient reaches {op}, called at {line}, {untaken}" for op, line, _ in dead]
        coarse = "which shows large mistakes only; use float64"
        return notes + [f"{text}, {coarse}" for text in [*self.narrow][:1]]


def parameters_of(params: Any) -> list[Any]:
    """The parameters, each a leaf that requires a gradient."""
    parameters = [p for _, p in named_values("gradcheck", params)]
    if others := [p for p in parameters if not is_leaf(p)]:
        raise DTypeError(f"gradcheck: params must be leaves that require grad, got {others[0]!r}")
    return parameters


def cause_at(leaf: Node, rows: list[Row], sizes: list[int]) -> Cause | None:
    """The kind of mistake that the derivatives by one leaf look like; None if they are right."""
    rows = [row for row in rows if np.isfinite(row.numeric)]
    if not any(row.verdict == "FAIL" for row in rows):
        return None
    x = np.asarray(leaf.value)
    shape = x.shape if len(rows) == x.size else (len(rows),)
    numbers = [(row.analytic, row.numeric, row.verdict == "FAIL", x[row.index]) for row in rows]
    a, n, wrong, values = (np.array(column).reshape(shape) for column in zip(*numbers, strict=True))
    return diagnose(a, n, wrong, values, sizes, leaf_name(leaf))


def likely_cause(point: Point, entries: list[Entry], faults: list[Fault]) -> Cause | None:
    """The kind of mistake: at the culprit, where it is seen best, else in the gradients."""
    sizes = sizes_of(x for node in point.tape.nodes for x in (*node.inputs, node.value))
    causes = [fault.cause for fault in faults[:1]]
    for leaf in point.subject.leaves:
        rows = [row for row, of, _ in entries if of is leaf and not isinstance(row.index, str)]
        causes.append(cause_at(leaf, rows, sizes))
    return min(filter(None, causes), key=lambda cause: cause.kind == "some elements", default=None)
