"""The way back from the nearest known gradients to one value, run again with a usual mistake at one step."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from tinygrad_lo.checking.case import fits
from tinygrad_lo.checking.diagnosis import Cause, diagnose, factor
from tinygrad_lo.checking.recording import eps_of, sizes_of
from tinygrad_lo.engine.backward import Part, pull, sweep, unbroadcast
from tinygrad_lo.engine.derivatives import by_first
from tinygrad_lo.engine.graph import Array, Node, reachable
from tinygrad_lo.engine.kinks import moving_masks, where_met
from tinygrad_lo.engine.scores import back
from tinygrad_lo.explaining.derivative import ruled
from tinygrad_lo.explaining.formula import Names

MOST_HOPS = 60  # steps of one way at which mistakes are tried
MOST_PULLS = 100_000  # that are run in all, in search of a cause: about a second
LEAST_TRIED = 100  # mistakes are tried all the same
OTHERS = 12  # other values that may have been taken for an operand
CERTAIN = ("sign", "mean or sum", "not finite", "disconnected")  # what one ratio says needs no experiment


def arriving(loss: Node, seed: Array, given: Mapping[int, Array]) -> dict[int, Array]:
    """What arrives at each value, if those that are given hand on these gradients in place of theirs."""
    found: dict[int, Array] = {}
    pass_on = pulling(loss, given)

    def work(node: Node, g: Array) -> Iterable[Part]:
        found[node.birth] = g
        return pass_on(node, np.asarray(given[node.birth])[()] if node.birth in given else g)

    _, grads, _ = sweep(loss, seed, work)
    return found | grads


def pulling(loss: Node, given: Mapping[int, Array]) -> Callable[[Node, Array], Iterable[Part]]:
    """How a node's rules are run: past a probability only where its gradient is not asked for."""
    made = [(node, node.op) for node in reachable([loss]) if node.op is not None]
    asked = {node.birth for node, op in made if node.birth in given and op.probability}
    past = [node for node, op in made if op.aside and asked & {x.birth for x in back(node.parents[0])}]
    return partial(by_first, pull, {node.birth for node in past}) if past else pull


@dataclass
class Segment:
    """The steps between one value and the nearest ones nearer to the loss whose gradients are given."""

    value: Node
    loss: Node
    seed: Array
    given: Mapping[int, Array]

    @cached_property
    def steps(self) -> list[Node]:
        """The values made from this one on the way to the given ones, these included, newest first."""
        inside: dict[int, Node] = {}
        for node in reachable([self.loss]):
            if any(p is not None and self.passes(p, inside) for p in node.parents):
                inside[node.birth] = node
        return list(inside.values())[::-1]

    def passes(self, parent: Node, inside: Mapping[int, Node]) -> bool:
        """Whether a gradient that arrives there is on its way to the value."""
        return parent is self.value or (parent.birth in inside and parent.birth not in self.given)

    @cached_property
    def edges(self) -> list[tuple[Node, int]]:
        """The inputs through which a gradient comes back to the value, nearest to the value first."""
        inside = {step.birth: step for step in self.steps}
        every = ((node, i, p) for node in self.steps[::-1] for i, p in enumerate(node.parents))
        return [(node, i) for node, i, p in every if p is not None and self.passes(p, inside)]

    @property
    def is_chain(self) -> bool:
        """Whether there is one way only."""
        taken = {p.birth for node, i in self.edges if (p := node.parents[i]) is not None}
        return len(self.edges) == len(self.steps) == len(taken)

    @cached_property
    def ends(self) -> list[int]:
        """The births of the given values where the way begins, nearest to the loss first."""
        return [node.birth for node in self.steps if node.birth in self.given]

    @cached_property
    def pull(self) -> Callable[[Node, Array], Iterable[Part]]:
        """How rules are run here."""
        return pulling(self.loss, {**self.given, self.value.birth: self.seed})

    def run(self, change: Callable[[Node, int, Array, Array], Array] | None = None) -> Array:
        """What arrives at the value, with one thing changed: change(node, input, arriving, part)."""
        grads: dict[int, Array] = {self.loss.birth: self.seed}
        grads |= {birth: np.asarray(self.given[birth])[()] for birth in self.ends}
        inside = {node.birth: node for node in self.steps}
        for node in self.steps:
            g = grads.get(node.birth)
            for i, parent, part in () if g is None else self.pull(node, g):
                if self.passes(parent, inside):
                    new = part if change is None else change(node, i, g, part)
                    grads[parent.birth] = grads[parent.birth] + new if parent.birth in grads else new
        return np.asarray(grads.get(self.value.birth, np.zeros(np.shape(self.value.value))))

    def forward(self, x: Array) -> float:
        """The known gradients times what the value makes, if it is x: what its gradient is the slope of."""
        values: dict[int, Any] = {self.value.birth: x[()]}
        inside = {node.birth: node for node in self.steps}
        known = {self.loss.birth: self.seed, **{birth: self.given[birth] for birth in self.ends}}
        for node in self.steps[::-1]:
            inputs = list(node.inputs)
            for i, parent in enumerate(node.parents):
                if parent is not None and self.passes(parent, inside):
                    inputs[i] = values[parent.birth]
            op: Any = node.op
            values[node.birth] = op.forward(*inputs)
        return sum(float(np.sum(g * values[birth])) for birth, g in known.items() if birth in values)

    def at_kinks(self) -> Array:
        """Which elements of the gradient move with the slopes that are taken exactly at kinks."""
        rng = np.random.default_rng(0)

        def other(node: Node, _i: int, _g: Array, part: Array) -> Array:
            kinked = (n for n in (node, *moving_masks(node)) if n.op is not None and n.op.kink is not None)
            for met in map(where_met, kinked):
                if met is not None:
                    at = met if met.shape == np.shape(part) else np.True_
                    part = part + np.where(at, rng.normal(size=np.shape(part)), 0.0)
            return part

        return np.asarray(self.run(other) != self.run())

    def noise(self) -> float:
        """How much of a sum of parts, which may undo each other, is rounding."""
        largest = [0.0]

        def note(_node: Node, _i: int, g: Array, part: Array) -> Array:
            largest.append(float(np.abs(g).sum()) if np.size(g) > np.size(part) else 0.0)
            largest.append(float(np.abs(part).max(initial=0.0)))
            return part

        self.run(note)
        size = max(x for x in largest if np.isfinite(x))
        return 1e3 * eps_of([np.asarray(self.value.value)]) * size


def cause_of(segment: Segment, yours: Array, right: Array, names: Names, key: str) -> Cause | None:
    """The mistake that makes this gradient of what arrives: by its numbers, then by trying mistakes."""
    value = np.asarray(segment.value.value)
    sizes = sizes_of([value, *(np.asarray(node.value) for node in segment.steps)])
    wrong = ~np.isclose(yours, right, rtol=1e-6, atol=1e-9 * np.abs(right).max(initial=0.0))
    plain = diagnose(yours, right, wrong, None, sizes, key)
    if plain is not None and plain.name in CERTAIN and not plain.where:
        return plain
    count = max(LEAST_TRIED, MOST_PULLS // max(1, len(segment.steps)))
    every = itertools.islice(mistakes(segment, names), count)
    # What fits is no cause if it is as far from yours as the right one: yours is rounded then.
    most = 0.1 * np.abs(yours - right).max(initial=0.0)
    for cause, result in every:
        if np.isfinite(result).all() and fits(yours, result) and np.abs(yours - result).max() <= most:
            return cause
    return plain


def mistakes(segment: Segment, names: Names) -> Iterator[tuple[Cause, Array]]:
    """What would arrive with one mistake at one step; the likely mistakes first."""
    steps = [Hop(node, i, names) for node, i in segment.edges[:MOST_HOPS]]
    yield from single_paths(segment, names)
    yield from slopes_between(segment, names)
    kinds = (other_paths, other_labels, other_axes, other_counts, other_slopes, left_out_factors)
    for kind in kinds[segment.is_chain :]:
        yield from at_each_step(segment, steps, kind)
    yield from other_gradients(segment, names)
    yield from at_each_step(segment, steps, other_operands)


PartChange = Callable[[Array, Array], Any]  # from the arriving gradient and the right part to another part
MistakeKind = Callable[["Hop"], Iterator[tuple[Cause, PartChange]]]


def at_each_step(segment: Segment, steps: list[Hop], kind: MistakeKind) -> Iterator[tuple[Cause, Array]]:
    """What arrives with one kind of mistake at one step after the other, where it can be computed."""
    for step in steps:
        for cause, change in kind(step):
            with np.errstate(all="ignore"), contextlib.suppress(*CANNOT):
                yield cause, segment.run(step.only_here(change))


CANNOT = (ValueError, IndexError, TypeError, ArithmeticError)  # of rules that are given other things


@dataclass(frozen=True)
class Hop:
    """A node, and the input through which a gradient goes back."""

    node: Node
    i: int
    names: Names

    @property
    def op(self) -> Any:
        """What it does."""
        return self.node.op

    @property
    def text(self) -> str:
        """The step as an equation."""
        return f"{self.names.of(self.node)} = {self.names.formula(self.node)}"

    def called(self, j: int) -> str:
        """The name of an input."""
        parent = self.node.parents[j] if j < len(self.node.parents) else None
        return "an input" if parent is None else self.names.of(parent)

    def rule(self, g: Array, y: Any = None, inputs: list[Any] | None = None) -> Array:
        """Its rule, with other things in the place of its own."""
        y = self.node.value if y is None else y
        inputs = list(self.node.inputs) if inputs is None else inputs
        return np.asarray(ruled(self.op, self.i, g, y, inputs))

    def given(self, j: int, x: Any) -> list[Any]:
        """Its inputs with another one at place j."""
        return [*self.node.inputs[:j], x, *self.node.inputs[j + 1 :]]

    def only_here(self, change: PartChange) -> Callable[[Node, int, Array, Array], Array]:
        """A change of what goes back, at this step alone."""

        def other(node: Node, k: int, g: Array, part: Array) -> Array:
            if node is not self.node or k != self.i:
                return part
            new, shape = np.asarray(change(g, part)), np.shape(part)
            return (new if new.shape == shape else unbroadcast(new, shape))[()]

        return other


# ------------------------------------------------------------------------------- mistakes on the whole way


def single_paths(segment: Segment, names: Names) -> Iterator[tuple[Cause, Array]]:
    """Of several paths one alone."""
    steps = [Hop(node, i, names) for node, i in segment.edges if node.parents[i] is segment.value]
    for step in steps if len(steps) > 1 else ():

        def alone(at: Node, k: int, _: Array, part: Array, step: Hop = step) -> Array:
            is_other = at.parents[k] is segment.value and not (at is step.node and k == step.i)
            return 0.0 * part if is_other else part

        yield Cause("path/only", what=step.text), segment.run(alone)


def slopes_between(segment: Segment, names: Names) -> Iterator[tuple[Cause, Array]]:
    """One slope for a way of several steps, from one value."""
    first = segment.steps[0] if segment.steps else segment.value
    x, y = segment.value.value, first.value
    if len(segment.ends) > 1 or np.shape(x) != np.shape(y) or len(segment.steps) < 2:
        return
    g = segment.given.get(first.birth, segment.seed)
    called = {"x": names.of(segment.value), "y": names.of(first)}
    for cause, slope in slopes_for(slopes_at(x, y), called, "the way from {y} back to {x}"):
        yield cause, np.asarray(g * slope)


def other_gradients(segment: Segment, names: Names) -> Iterator[tuple[Cause, Array]]:
    """The gradient by another value in the place of the one that arrives."""
    called = {node.birth: names.of(node) for node in names.nodes}
    for end in segment.ends:
        for birth, g in segment.given.items():
            fitting = np.shape(g) == np.shape(segment.given[end]) != ()
            if fitting and birth not in (end, segment.value.birth):
                what = f"the gradient by {called[birth]} is taken for that by {called[end]}"
                yield Cause("operand", what=what), replace(segment, given={**segment.given, end: g}).run()


# ------------------------------------------------------------------------------------- mistakes at one step


def other_paths(step: Hop) -> Iterator[tuple[Cause, PartChange]]:
    """One of several paths is missing, comes with the wrong sign, or twice."""
    yield Cause("path/missing", what=step.text), lambda g, part: 0.0 * part
    yield Cause("path/sign", what=step.text), lambda g, part: -part
    yield Cause("path/twice", what=step.text), lambda g, part: 2.0 * part


def other_labels(step: Hop) -> Iterator[tuple[Cause, PartChange]]:
    """Labels that are off by one."""
    inputs = step.node.inputs
    for j, x in enumerate(inputs):
        if isinstance(x, np.ndarray) and x.dtype.kind in "iu" and x.size and np.ndim(inputs[0]) > 1:
            for move in (1, -1):
                moved = step.given(j, (x + move) % np.shape(inputs[0])[-1])
                yield Cause("labels"), lambda g, part, moved=moved: step.rule(g, None, moved)


def other_axes(step: Hop) -> Iterator[tuple[Cause, PartChange]]:
    """Another axis than that of the op's option; rows summed where columns belong."""
    op, inputs = step.op, step.node.inputs
    options = range(op.arity, len(inputs)) if op.arity is not None else ()
    for j in (j for j in options if type(inputs[j]) in (int, tuple)):
        for axis in range(np.ndim(inputs[0])):
            moved = step.given(j, axis if type(inputs[j]) is int else (axis,))
            cause = Cause("axis/step", what=step.text)
            yield cause, lambda g, part, moved=moved: step.rule(g, op.forward(*moved), moved)
    y = np.shape(step.node.value)
    if len(y) == 2 and y[0] == y[1] and np.ndim(inputs[step.i]) == 1:
        yield Cause("axis/step", what=step.text), lambda g, part: step.rule(g).T


def other_counts(step: Hop) -> Iterator[tuple[Cause, PartChange]]:
    """A mean where a sum belongs, or the other way round."""
    x, y = np.asarray(step.node.inputs[step.i]), np.asarray(step.node.value)
    counts = [*sizes_of([x, y]), y.size // max(1, x.size)]
    for n in dict.fromkeys(count for count in counts if count > 2):
        for k in (float(n), 1.0 / n):
            cause = replace(factor(k, [n]), kind="mean or sum", right=float(n), where=f"(in {step.text})")
            yield cause, lambda g, part, k=k: k * part


KNOWN_SLOPES: dict[str, Callable[[Any, Any], Any]] = {
    "1": lambda x, y: 1.0, "{y}": lambda x, y: y, "{x}": lambda x, y: x, "1 − {y}²": lambda x, y: 1 - y**2,
    "1 − {y}": lambda x, y: 1 - y, "{y}(1 − {y})": lambda x, y: y * (1 - y),
    "1 − {x}²": lambda x, y: 1 - x**2, "{x}(1 − {x})": lambda x, y: x * (1 - x), "1/{x}": lambda x, y: 1 / x,
    "1/{y}": lambda x, y: 1 / y, "{x}²": lambda x, y: x**2, "{y}²": lambda x, y: y**2,
    "1/{x}²": lambda x, y: 1 / x**2, "2·{x}": lambda x, y: 2 * x, "−1/{x}²": lambda x, y: -1 / x**2,
    "−1/{x}": lambda x, y: -1 / x, "1/(2·{y})": lambda x, y: 0.5 / y, "1/(2·{x})": lambda x, y: 0.5 / x,
    "cos {x}": lambda x, y: np.cos(x), "sin {x}": lambda x, y: np.sin(x), "−sin {x}": lambda x, y: -np.sin(x),
    "e^{x}": lambda x, y: np.exp(x), "({x} > 0)": lambda x, y: x > 0, "({x} ≥ 0)": lambda x, y: x >= 0,
    "({x} < 0)": lambda x, y: x < 0, "sign {x}": lambda x, y: np.sign(x), "√{x}": lambda x, y: np.sqrt(x),
    "1/√{x}": lambda x, y: 1 / np.sqrt(x),
}  # fmt: skip


def slopes_at(x: Array, y: Array) -> dict[str, Array]:
    """Slopes that are made of what goes in and what comes out, where they are finite."""
    with np.errstate(all="ignore"):
        every = {text: slope(x, y) + np.zeros(np.shape(y)) for text, slope in KNOWN_SLOPES.items()}
    return {text: slope for text, slope in every.items() if np.isfinite(slope).all()}


def slopes_for(
    known: Mapping[str, Array], called: Mapping[str, str], belongs: str
) -> Iterator[tuple[Cause, Array]]:
    """Each of these slopes in the place of another one."""
    for text, slope in known.items():
        what = "{} stands where {} belongs".format(*(words.format(**called) for words in (text, belongs)))
        yield Cause("slope/step", what=what), slope


def other_slopes(step: Hop) -> Iterator[tuple[Cause, PartChange]]:
    """Another local derivative of an op of one tensor, with the names of what goes in and comes out."""
    x, y = step.node.inputs[step.i], step.node.value
    others = [z for j, z in enumerate(step.node.inputs) if j != step.i]
    if np.shape(x) != np.shape(y) or any(map(np.ndim, others)) or step.op.kind == "moves":
        return
    called = {"x": step.called(step.i), "y": step.names.of(step.node), "text": step.text}
    known = slopes_at(x, y)
    right = step.rule(np.ones(np.shape(y)))
    belongs = next((text for text, slope in known.items() if fits(slope, right)), "")
    several = sum(parent is not None for parent in step.node.parents) > 1
    if step.op.arity != 1 and (belongs in ("", "1") or several):
        return
    for cause, slope in slopes_for(known, called, belongs or "the slope of {text}"):
        yield cause, lambda g, part, slope=slope: g * slope


def left_out_factors(step: Hop) -> Iterator[tuple[Cause, PartChange]]:
    """The arriving gradient, or the local derivative, is left out, or there twice."""
    arrives = Cause("left out/arriving", what=step.names.of(step.node))
    yield arrives, lambda g, part: step.rule(np.ones(np.shape(g)))
    yield Cause("left out/slope", what=step.text), lambda g, part: g
    yield Cause("twice/step", what=step.text), lambda g, part: step.rule(step.rule(g))


def other_operands(step: Hop) -> Iterator[tuple[Cause, PartChange]]:
    """A transpose, or another value, in the place of one that a rule uses."""
    y, name = step.node.value, step.names.of(step.node)
    if is_square(y):
        yield Cause("transpose/taken for it", what=f"the gradient by {name}"), lambda g, part: step.rule(g.T)
    for j, x in enumerate(step.node.inputs):
        if isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind == "f":
            yield from other_inputs(step, j, x)
    for cause, value in taken_for(step, y, name):
        yield cause, lambda g, part, value=value: step.rule(g, value)


def other_inputs(step: Hop, j: int, x: Array) -> Iterator[tuple[Cause, PartChange]]:
    """A transpose, or another value, in the place of one input; also where it is divided by."""
    if is_square(x):
        turned = step.given(j, x.T)
        cause = Cause("transpose/taken for it", what=step.called(j))
        yield cause, lambda g, part: step.rule(g, None, turned)
    for cause, value in taken_for(step, x, step.called(j)):
        moved = step.given(j, value)
        yield cause, lambda g, part, moved=moved: step.rule(g, None, moved)
        yield cause, lambda g, part, value=value: step.rule(g) * value / x


def is_square(x: Array) -> bool:
    """Whether this is a square matrix."""
    return np.ndim(x) == 2 and x.shape[0] == x.shape[1]


def taken_for(step: Hop, x: Array, name: str) -> Iterator[tuple[Cause, Array]]:
    """Other values of the graph with this shape, or the transposed one."""
    others = ((n, v) for n in step.names.nodes for v in (n.value, n.value.T)[: max(1, np.ndim(n.value))])
    fitting = ((n, v) for n, v in others if np.shape(v) == np.shape(x) and v is not x and v.base is not x)
    for node, value in itertools.islice(fitting, OTHERS):
        yield Cause("operand", what=f"{step.names.of(node)} is taken for {name}"), value
