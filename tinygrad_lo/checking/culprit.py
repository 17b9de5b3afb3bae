"""Which op is wrong: every recorded node's own rules, alone, at the inputs that it was called with.

So a wrong rule is found where no gradient arrives, too, and a right one is never blamed for another.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from tinygrad_lo.checking.diagnosis import Cause, diagnose
from tinygrad_lo.checking.differences import Noise, Slope, judge
from tinygrad_lo.checking.measured import direction_of, index_of, wrong_ones
from tinygrad_lo.checking.recording import eps_of, gradients_of, length, place_of, sizes_of
from tinygrad_lo.checking.report import Fault
from tinygrad_lo.engine.backward import call as make
from tinygrad_lo.engine.backward import unbroadcast
from tinygrad_lo.engine.graph import Array, Node, Op
from tinygrad_lo.engine.tensor import Tensor
from tinygrad_lo.explaining.derivative import ruled

SINGLE = 256  # elements of an input that are measured one by one
ENOUGH = 20  # faults after which the search ends
NODES = 5000  # nodes of one graph that are looked at


def wrong_rules(
    nodes: list[Node], rng: np.random.Generator, rtol: float, order: int = 1, *, singly: bool = False
) -> list[Fault]:
    """The faults of these nodes' rules, oldest first; singly: by each element, even if all together hold."""
    if len(nodes) > NODES:
        nodes = [nodes[i] for i in np.sort(rng.choice(len(nodes), NODES, replace=False))]
    faults = (fault for node in nodes for fault in faults_of(OpCall.of(node), rng, rtol, order, singly))
    return list(itertools.islice(faults, ENOUGH))


def wrong_elsewhere(nodes: Iterable[Node], rng: np.random.Generator, rtol: float) -> list[Fault]:
    """Faults of the same ops at random inputs of their domain: where this point has not been."""
    wrong = []
    for call in map(OpCall.of, nodes):
        largest = max((np.size(call.inputs[i]) for i in call.wanted), default=1)
        tries = (faults_of(call.elsewhere(rng), rng, rtol) for _ in range(max(1, 4 // max(1, largest))))
        wrong += next(filter(None, tries), [])[:1]
    return wrong


def kinked(node: Node, rng: np.random.Generator, rtol: float) -> bool:
    """Whether the one-sided slopes of an op differ when all its inputs move, equal ones alike."""
    call = OpCall.of(node)
    y = call.value()
    steps = {p.birth: rng.uniform(0.5, 1.5, np.shape(p.value)) for p in node.parents if p is not None}
    ways = {i: steps[p.birth] for i in call.wanted if (p := node.parents[i]) is not None}
    u = rng.uniform(0.5, 1.5, np.shape(y))[()]
    parts = [(call.gradient(i, u, y), way) for i, way in ways.items()]

    def at(h: float) -> float:
        return call.weighted(u, {i: call.inputs[i] + h * way for i, way in ways.items()})

    claimed = sum(float((g * way).sum()) for g, way in parts if g is not None)
    inputs = (np.abs(call.inputs[i]) for i in ways)  # of which infinite ones do not move
    size = max(float(np.where(x < np.inf, x, 0.0).max(initial=0.0)) for x in inputs)
    noise = Noise(eps_of([y]), length(u * y))
    return judge(at, at(0.0), claimed, size, rtol, noise).verdict in ("KINK", "FAIL")


def faults_of(call: OpCall, rng: Any, rtol: float, order: int = 1, singly: bool = False) -> list[Fault]:
    """What is wrong with an op's rules."""
    claims = first_order(call, rng) if order == 1 else second_order(call, rng)
    return [fault for claim in claims if (fault := refuted(claim, rng, rtol, singly)) is not None]


@dataclass(frozen=True)
class OpCall:
    """An op, the inputs with which it was called, floating-point ones in float64, and where."""

    op: Op
    inputs: list[Any]
    wanted: list[int]  # the inputs to which a gradient flows
    line: str | None

    @classmethod
    def of(cls, node: Node) -> OpCall:
        """The call that made a node."""
        assert node.op is not None
        inputs = list(map(in_float64, node.inputs))
        if not np.isfinite(node.value).all():  # an infinity that a mask puts in has no slope
            inputs = [1.0 if isinstance(x, float) and np.isinf(x) else x for x in inputs]
        wanted = [i for i, parent in enumerate(node.parents) if parent is not None and parent.needs]
        return cls(node.op, inputs, wanted, place_of(node))

    def elsewhere(self, rng: np.random.Generator) -> OpCall:
        """The same op at random inputs."""
        domain = self.op.domain
        moved = list(self.inputs)
        for i in self.wanted:
            own = isinstance(domain[0], tuple)  # each input has a domain of its own
            low, high = domain[min(i, len(domain) - 1)] if own else domain
            moved[i] = rng.uniform(low, high, np.shape(moved[i]))
        return replace(self, inputs=moved)

    def value(self, moved: dict[int, Any] | None = None) -> Array:
        """What the op gives, some of its inputs replaced."""
        return self.op.forward(*({**dict(enumerate(self.inputs)), **(moved or {})}.values()))

    def weighted(self, u: Array, moved: dict[int, Any]) -> float:
        """The sum of what the op gives, with weights."""
        return float((u * self.value(moved)).sum())

    def gradient(self, i: int, g: Array, y: Array, inputs: list[Any] | None = None) -> Array | None:
        """What the rule for input i gives, on arrays or on tensors; None if there is no rule."""
        inputs = self.inputs if inputs is None else inputs
        part, shape = ruled(self.op, i, g, y, inputs), np.shape(inputs[i])
        return part if part is None or np.shape(part) == shape else unbroadcast(part, shape)


def in_float64(x: Any) -> Any:
    """An input that rules are judged at: floating-point arrays in float64."""
    is_float = isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind == "f"
    return x.astype(float) if is_float else x


@dataclass
class Claim:
    """A function of one array, and what a rule says its gradient is."""

    call: OpCall
    y: Array  # what the call gives
    size: float  # the length of the vector whose sum `value` is: it rounds with that
    rule: int
    value: Callable[[Array], float]
    x: Array
    gradient: Array
    mirrored: Array | None = None  # minus the gradient for -g: the same, if the rule is linear in g
    order: int = 1

    @cached_property
    def base(self) -> float:
        """The value at x."""
        return self.value(self.x)

    def slope(self, direction: Array, rtol: float) -> Slope:
        """The slope along a direction, by the rule and by differences."""
        moved, eps = direction != 0, eps_of([self.y])
        gradient = np.asarray(self.gradient)[moved]  # elsewhere an inf would make 0 · inf
        products = gradient * direction[moved]
        size = self.size + length(gradient * np.asarray(self.x)[moved])
        noise = Noise(eps, size, 4.0 * eps * float(np.abs(products).max(initial=0.0)))
        x, claimed = float(np.abs(np.asarray(self.x)[moved]).max(initial=0.0)), float(products.sum())
        return judge(lambda h: self.value((self.x + h * direction)[()]), self.base, claimed, x, rtol, noise)

    def fault(self, k: int, analytic: Any, numeric: Any, cause: Cause | None) -> Fault:
        """What is wrong at element k."""
        op, where, index = self.call.op.name, self.call.line, index_of(k, np.shape(self.x))
        numbers = float(np.asarray(self.x)[index]), float(analytic), float(numeric)
        return Fault(op, where, self.rule, index, *numbers, cause, self.order)


def first_order(call: OpCall, rng: np.random.Generator) -> Iterator[Claim]:
    """u · op(x) as a function of each input x, with the gradient that the rule gives for a positive u."""
    y = call.value()
    if not np.isfinite(y).all():
        return
    u = rng.uniform(0.5, 1.5, np.shape(y))[()]
    size = length(u * y)
    gradients = {i: g for i in call.wanted if (g := call.gradient(i, u, y)) is not None}
    for i, gradient in gradients.items():
        value = partial(lambda i, x: call.weighted(u, {i: x}), i)
        mirrored = -np.asarray(call.gradient(i, -u, y))
        yield Claim(call, y, size, i, value, call.inputs[i], gradient, mirrored)
    if len(gradients) != 2:
        return
    i, j = sorted(gradients, key=lambda k: np.size(call.inputs[k]))
    a, b = call.inputs[i], call.inputs[j]
    if not have_ties(a, b):
        return
    # At a tie of maximum(a, b) each share is right alone, but all of them must add up to one.
    one, other = gradients[i], unbroadcast(gradients[j], np.shape(a))
    rounding = 4.0 * eps_of([y]) * (np.abs(one) + np.abs(other))  # of two shares that undo each other
    both = np.where(np.abs(one + other) <= rounding, 0.0, one + other)[()]
    yield Claim(call, y, size, i, lambda x: call.weighted(u, {i: x, j: b + (x - a)}), a, both)


def have_ties(a: Array, b: Array) -> bool:
    """Whether two inputs, of which the first can be broadcast to the second, are equal somewhere."""
    try:
        return bool(np.any(np.broadcast_to(a, np.shape(b)) == np.asarray(b)))
    except ValueError:
        return False


def second_order(call: OpCall, rng: np.random.Generator) -> Iterator[Claim]:
    """What a rule gives, weighted, as a function of g and of each input; its gradient by tensors."""
    y = call.value()
    if not np.isfinite(y).all():
        return
    start = [*call.inputs, rng.uniform(0.5, 1.5, np.shape(y))[()]]  # the arriving gradient stands last
    moving = [*call.wanted, len(call.inputs)]
    for i in call.wanted:
        weights = rng.uniform(0.5, 1.5, np.shape(call.inputs[i]))[()]

        def rule_value(moved: dict[int, Any], i: int = i, weights: Array = weights) -> Any:
            *inputs, g = {**dict(enumerate(start)), **moved}.values()
            tensors = any(isinstance(x, Node) for x in (*inputs, g))
            out = make(call.op, *inputs) if tensors else call.op.forward(*inputs)
            part = call.gradient(i, g, out, inputs)
            return None if part is None else (part * weights).sum()

        leaves = {j: Tensor(start[j], requires_grad=True) for j in moving}
        total = rule_value(leaves)
        if total is None:
            continue
        size = length(call.gradient(i, start[-1], y) * weights)
        for j, gradient in zip(moving, gradients_of(total, [*leaves.values()]), strict=True):
            value = partial(lambda j, rule_value, x: float(rule_value({j: x})), j, rule_value)
            yield Claim(call, y, size, i, value, start[j], gradient, order=2)


def refuted(claim: Claim, rng: np.random.Generator, rtol: float, singly: bool) -> Fault | None:
    """The element at which the claim is most wrong, with the likely cause; None if it holds."""
    if np.size(claim.x) and (malformed := not_a_gradient(claim, rtol)) is not None:
        return malformed
    shape, finite = np.shape(claim.x), np.isfinite(claim.x) & np.isfinite(claim.gradient)
    steps = np.where(finite, rng.choice([-1.0, 1.0], shape) * rng.uniform(0.5, 1.5, shape), 0.0)
    every = np.flatnonzero(steps)

    def slope(some: Array) -> Slope:
        return claim.slope(direction_of(shape, some, steps.flat[some]), rtol)

    together = slope(every).verdict
    if not every.size or (together in ("OK", "ZERO") and not singly):
        return None
    if every.size > SINGLE:
        bad = wrong_ones(lambda some: slope(some).verdict, every, 8) if together == "FAIL" else []
        every = np.union1d(bad, rng.choice(every, SINGLE, replace=False)).astype(int)
    measured = [slope(np.array([k])) for k in every]
    verdicts = np.array([one.verdict for one in measured])
    if "FAIL" not in verdicts:
        return wrong_shares(claim, every[verdicts == "KINK"], rtol)
    numeric = np.array([one.numeric for one in measured]) / steps.flat[every]
    return worst(claim, every, numeric, verdicts == "FAIL")


def worst(claim: Claim, every: Array, numeric: Array, wrong: Array) -> Fault:
    """The one that is most wrong of the elements that were measured."""
    size, analytic = np.size(claim.x), np.asarray(claim.gradient).flat[every]
    shape = np.shape(claim.x) if every.size == size else every.shape
    a, n, failed = (part.reshape(shape) for part in (analytic, numeric, wrong))
    cause = diagnose(a, n, failed, sizes=sizes_of([*claim.call.inputs, claim.y]))
    k = int(np.argmax(np.where(wrong, np.abs(analytic - numeric), -1.0)))
    return claim.fault(int(every[k]), analytic[k], numeric[k], cause)


def not_a_gradient(claim: Claim, rtol: float) -> Fault | None:
    """What no gradient can be: not finite where f's slope is, or not linear in the arriving gradient."""
    gradient = np.asarray(claim.gradient)
    for k in np.flatnonzero(~np.isfinite(gradient))[:SINGLE].tolist():
        slope = claim.slope(direction_of(gradient.shape, k), rtol)
        if slope.verdict == "FAIL":
            return claim.fault(k, gradient.flat[k], slope.numeric, Cause("not finite"))
    if claim.mirrored is not None and np.isfinite(gradient).all():
        off = np.abs(gradient - claim.mirrored)
        if off.max() > 1e-9 * np.abs(gradient).max():  # nan, where -g overflows, shows nothing
            k = int(np.argmax(off))
            return claim.fault(k, gradient.flat[k], claim.mirrored.flat[k], Cause("not linear"))
    return None


def wrong_shares(claim: Claim, kinks: Array, rtol: float) -> Fault | None:
    """Tied elements of a maximum that grow together stay tied: their shares add up to 1."""
    if kinks.size < 2 or claim.mirrored is None:  # at kinks, second derivatives jump
        return None
    shared = claim.slope(direction_of(np.shape(claim.x), kinks), rtol)
    if shared.verdict != "FAIL" or shared.bar > rtol * abs(shared.numeric):
        return None
    total = np.asarray(claim.gradient).flat[kinks].sum()
    return claim.fault(int(kinks[0]), total, shared.numeric, Cause("ties"))
