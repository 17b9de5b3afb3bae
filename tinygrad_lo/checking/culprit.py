"""Which op is wrong: every recorded node's own rules, at the inputs that it was called with.

A rule is checked alone: the product of a random vector and the op's Jacobian, by the rule and by
differences of the op's forward. What happens downstream plays no part, so a rule is also found where
the gradient that arrives at it is zero, and a right rule is never blamed for a wrong one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tinygrad_lo.checking.diagnosis import Cause, diagnose
from tinygrad_lo.checking.differences import Slope, judge
from tinygrad_lo.checking.elements import along, index_of, wrong_ones
from tinygrad_lo.checking.recording import place_of
from tinygrad_lo.checking.report import Fault
from tinygrad_lo.checking.rounding import Noise
from tinygrad_lo.engine.backward import call, unbroadcast
from tinygrad_lo.engine.derivatives import grad
from tinygrad_lo.engine.graph import Array, Node, Op
from tinygrad_lo.engine.tensor import Tensor

SINGLE = 256  # elements of an input that are measured one by one
ENOUGH = 20  # faults after which the search ends
NODES = 5000  # nodes of one graph that are looked at


@dataclass
class Claim:
    """A function of one array, and what a rule says its gradient is."""

    rule: int
    value: Callable[[Array], float]
    x: Array
    gradient: Array
    eps: float
    sizes: list[int]
    largest: float  # length of the vector whose sum `value` is: it rounds with that
    mirrored: Array | None = None  # minus the gradient for -g: the same, if the rule is linear in g

    @cached_property
    def base(self) -> float:
        """The value at x."""
        return self.value(self.x)

    def along(self, direction: Array, rtol: float) -> Slope:
        """The slope along a direction, by the rule and by differences."""
        x, moved = np.asarray(self.x), direction != 0
        size = float(np.abs(x[moved]).max())
        products = self.gradient * direction
        size_of_terms = self.largest + float(np.linalg.norm((self.gradient * x)[moved]))
        noise = Noise(self.eps, size_of_terms, 4.0 * self.eps * float(np.abs(products).max()))

        def at(h: float) -> float:
            return self.value((x + h * direction)[()])

        return judge(at, self.base, float(products.sum()), size, rtol, noise)


def wrong_rules(
    nodes: Iterable[Node], rng: np.random.Generator, rtol: float, order: int = 1, *, singly: bool = False
) -> list[Fault]:
    """The faults of these nodes' rules, oldest node first; order 2 differentiates the rules themselves.

    singly: each element of an input is moved alone, even if all of them together show nothing.
    """
    found: list[Fault] = []
    nodes = list(nodes)
    if len(nodes) > NODES:
        nodes = [nodes[i] for i in np.sort(rng.choice(len(nodes), NODES, replace=False))]
    for node in nodes:
        assert node.op is not None
        found += faults(node.op, inputs_of(node), needed(node), rng, rtol, order, place_of(node), singly)
        if len(found) >= ENOUGH:
            break
    return found


def at_kinks(nodes: Iterable[Node], rng: np.random.Generator, rtol: float) -> bool:
    """Whether some op was called where it has a kink: no rule is wrong, and some slope is not its."""
    return any(kinked(node, rng, rtol) for node in nodes)


def kinked(node: Node, rng: np.random.Generator, rtol: float) -> bool:
    """Whether the one-sided slopes of an op differ when all its inputs move, equal ones alike."""
    assert node.op is not None
    op, inputs = node.op, inputs_of(node)
    steps = {p.birth: rng.uniform(0.5, 1.5, np.shape(p.value)) for p in node.parents if p is not None}
    ways = {i: steps[p.birth] for i, p in enumerate(node.parents) if p is not None and p.needs}
    with np.errstate(all="ignore"):
        y = op.forward(*inputs)
        u = rng.uniform(0.5, 1.5, np.shape(y))[()]
        parts = {i: gradient_by(op, i, u, y, inputs) for i in ways}

        def at(h: float) -> float:
            moved = [x + h * ways[i] if i in ways else x for i, x in enumerate(inputs)]
            return float((u * op.forward(*moved)).sum())

        claimed = sum(float((g * ways[i]).sum()) for i, g in parts.items() if g is not None)
        size = max(float(np.abs(inputs[i]).max(initial=0.0)) for i in ways)
        return judge(
            at, at(0.0), claimed, size, rtol, Noise(eps_of(y), float(np.linalg.norm(u * y)))
        ).verdict in ("KINK", "FAIL")


def wrong_elsewhere(nodes: Iterable[Node], rng: np.random.Generator, rtol: float) -> list[Fault]:
    """Faults of the same ops at random inputs of their domain: where this point has not been."""
    found: list[Fault] = []
    for node in {node.op.name: node for node in nodes if node.op is not None}.values():
        op = node.op
        assert op is not None
        inputs = inputs_of(node)
        largest = max((np.size(inputs[i]) for i in needed(node)), default=1)
        for _ in range(max(1, 4 // max(1, largest))):
            moved = list(inputs)
            for i in needed(node):
                low, high = op.domain[min(i, len(op.domain) - 1)] if nested(op.domain) else op.domain
                moved[i] = rng.uniform(low, high, np.shape(inputs[i]))
            wrong = faults(op, moved, needed(node), rng, rtol, 1, place_of(node))
            if wrong:
                found.append(wrong[0])
                break
    return found


def nested(domain: tuple[Any, ...]) -> bool:
    """Whether each input has a domain of its own."""
    return isinstance(domain[0], tuple)


def inputs_of(node: Node) -> list[Any]:
    """The recorded inputs, floating-point data in double precision."""
    return [
        x.astype(float) if isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind == "f" else x
        for x in node.inputs
    ]


def needed(node: Node) -> list[int]:
    """The inputs to which a gradient flows."""
    return [i for i, parent in enumerate(node.parents) if parent is not None and parent.needs]


def faults(
    op: Op,
    inputs: list[Any],
    wanted: list[int],
    rng: np.random.Generator,
    rtol: float,
    order: int,
    where: str | None,
    singly: bool = False,
) -> list[Fault]:
    """What is wrong with an op's rules for the inputs `wanted`."""
    with np.errstate(all="ignore"):
        claims = first_order if order == 1 else second_order
        wrong = ((claim, refuted(claim, rng, rtol, singly)) for claim in claims(op, inputs, wanted, rng))
        return [Fault(op.name, where, claim.rule, *found, order) for claim, found in wrong if found]


def gradient_by(op: Op, i: int, g: Array, y: Array, inputs: list[Any]) -> Array | None:
    """What the rule for input i gives, on arrays or on tensors; None if there is no rule."""
    rule = op.rules[0 if op.arity is None else i]
    if rule is None:
        return None
    part = rule(i, g, y, *inputs) if op.arity is None else rule(g, y, *inputs)
    shape = np.shape(inputs[i])
    return part if np.shape(part) == shape else unbroadcast(part, shape)


def first_order(op: Op, inputs: list[Any], wanted: list[int], rng: np.random.Generator) -> Iterator[Claim]:
    """u · op(x) as a function of each input x, with the gradient that the rule gives for u.

    u is positive: at a tie or kink with weights of both signs, no subgradient need lie between the
    one-sided slopes.
    """
    y = op.forward(*inputs)
    if not np.isfinite(y).all():
        return
    u = rng.uniform(0.5, 1.5, np.shape(y))[()]
    largest = float(np.linalg.norm(u * y))
    found = {}
    for i in wanted:
        gradient = gradient_by(op, i, u, y, inputs)
        if gradient is None:
            continue
        found[i] = gradient
        mirrored = gradient_by(op, i, -u, y, inputs)

        def value(x: Array, i: int = i) -> float:
            return float((u * op.forward(*inputs[:i], x, *inputs[i + 1 :])).sum())

        yield Claim(
            i, value, inputs[i], gradient, eps_of(y), sizes_of(inputs, y), largest, -np.asarray(mirrored)
        )
    i, j = sorted(found, key=lambda k: np.size(inputs[k])) if len(found) == 2 else (0, 0)
    if i != j and tied(inputs[i], inputs[j]):
        # At a tie of maximum(a, b) each share is right alone, but all of them must add up to one.
        one, other = found[i], unbroadcast(found[j], np.shape(inputs[i]))
        rounding = 4.0 * eps_of(y) * (np.abs(one) + np.abs(other))  # of two shares that undo each other
        both = np.where(np.abs(one + other) <= rounding, 0.0, one + other)[()]

        def shifted(x: Array) -> float:
            moved = list(inputs)
            moved[i], moved[j] = x, inputs[j] + (x - inputs[i])
            return float((u * op.forward(*moved)).sum())

        yield Claim(i, shifted, inputs[i], both, eps_of(y), sizes_of(inputs, y), largest)


def second_order(op: Op, inputs: list[Any], wanted: list[int], rng: np.random.Generator) -> Iterator[Claim]:
    """What a rule gives, weighted, as a function of g and of each input; its gradient by tensors."""
    y = op.forward(*inputs)
    if not np.isfinite(y).all():
        return
    start = [*inputs, rng.uniform(0.5, 1.5, np.shape(y))[()]]  # the arriving gradient stands last
    for i in wanted:
        weights = rng.uniform(0.5, 1.5, np.shape(inputs[i]))[()]

        def rule_value(arguments: list[Any], i: int = i, weights: Array = weights) -> Any:
            *values, g = arguments
            tensors = any(isinstance(x, Node) for x in arguments)
            out = call(op, *values) if tensors else op.forward(*values)
            part = gradient_by(op, i, g, out, values)
            return None if part is None else (part * weights).sum()

        moving = [*wanted, len(inputs)]
        leaves = {j: Tensor(start[j], requires_grad=True) for j in moving}
        total = rule_value([leaves.get(j, x) for j, x in enumerate(start)])
        if total is None:
            continue
        length = float(np.linalg.norm(gradient_by(op, i, start[-1], y, inputs) * weights))
        found: list[Any] = [None] * len(moving)
        if isinstance(total, Node) and total.needs:
            found = grad(total, list(leaves.values()), allow_unused=True)
        for j, gradient in zip(moving, found, strict=True):

            def value(x: Array, j: int = j) -> float:
                return float(rule_value([*start[:j], x, *start[j + 1 :]]))

            gradient = np.zeros(np.shape(start[j])) if gradient is None else gradient
            yield Claim(i, value, start[j], gradient, eps_of(y), sizes_of(inputs, y), length)


def tied(a: Array, b: Array) -> bool:
    """Whether two inputs, of which the first can be broadcast to the second, are equal somewhere."""
    try:
        fits = np.broadcast_shapes(np.shape(a), np.shape(b)) == np.shape(b)
    except ValueError:
        return False
    return fits and bool(np.any(np.asarray(a) == np.asarray(b)))


def eps_of(y: Array) -> float:
    """The rounding of the arithmetic that made this."""
    return float(np.finfo(y.dtype).eps) if y.dtype.kind == "f" else 2.0**-52


def sizes_of(inputs: list[Any], y: Array) -> list[int]:
    """The sizes over which a rule could wrongly have averaged."""
    arrays = [x for x in [*inputs, y] if isinstance(x, np.ndarray)]
    return list(dict.fromkeys(n for x in arrays for n in (x.size, *x.shape)))


Wrong = tuple[tuple[int, ...], float, float, float, Cause | None]  # index, x, analytic, numeric, cause


def refuted(claim: Claim, rng: np.random.Generator, rtol: float, singly: bool) -> Wrong | None:
    """The element at which the claim is most wrong, with the likely cause; None if it holds."""
    x, gradient = np.asarray(claim.x), np.asarray(claim.gradient)
    if x.size == 0:
        return None

    def described(k: int, numeric: float, cause: Cause | None) -> Wrong:
        index = tuple(int(n) for n in np.unravel_index(k, x.shape))
        return index, float(x[index]), float(gradient[index]), numeric, cause

    if not np.isfinite(gradient).all():
        return described(int(np.argmax(~np.isfinite(gradient))), np.nan, Cause("not finite"))
    if claim.mirrored is not None:
        off = np.abs(gradient - claim.mirrored)
        if off.max() > 1e-9 * np.abs(gradient).max():
            k = int(np.argmax(off))
            return described(k, float(claim.mirrored.flat[k]), Cause("not linear"))
    d = rng.choice([-1.0, 1.0], x.shape) * rng.uniform(0.5, 1.5, x.shape)

    def along(indices: Array, weights: Array = d) -> Slope:
        part = np.zeros(x.shape)
        part.flat[indices] = weights.flat[indices]
        return claim.along(part, rtol)

    every = np.flatnonzero(np.isfinite(x))  # an infinite input cannot be moved
    if not every.size:
        return None
    together = along(every).verdict
    if together in ("OK", "ZERO") and not singly:
        return None
    if every.size > SINGLE:
        bad = wrong_ones(lambda some: along(some).verdict, every, 8) if together == "FAIL" else []
        every = np.union1d(bad, rng.choice(every, SINGLE, replace=False)).astype(int)
    slopes = [along(np.array([k])) for k in every]
    wrong = np.array([slope.verdict == "FAIL" for slope in slopes])
    if not wrong.any():
        kinks = every[[slope.verdict == "KINK" for slope in slopes]]
        if kinks.size < 2 or claim.mirrored is None:  # at kinks, second derivatives jump
            return None
        # Tied elements of a maximum that grow together stay tied, and the maximum grows by as much: each
        # share may be anything from 0 to 1, but their sum is 1. Kinks of separate elements stay kinks.
        shared = along(kinks, np.ones(x.shape))
        if shared.verdict != "FAIL" or shared.bar > rtol * abs(shared.numeric):
            return None
        place, at, _, _, _ = described(int(kinks[0]), 0.0, None)
        return place, at, float(gradient.flat[kinks].sum()), shared.numeric, Cause("ties")
    numbers = np.array([slope.numeric for slope in slopes]) / d.flat[every]
    claimed = gradient.flat[every]
    shape = x.shape if every.size == x.size else every.shape
    measured = (a.reshape(shape) for a in (claimed, numbers, wrong))
    worst = int(np.argmax(np.where(wrong, np.abs(claimed - numbers), -1.0)))
    a, n, failed = measured
    cause = diagnose(a, n, failed, sizes=claim.sizes)
    return described(int(every[worst]), float(numbers[worst]), cause)
