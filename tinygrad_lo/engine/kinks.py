"""Gradients as graphs, where the slope of an op jumps: the right second derivative, or a word about it.

A rule gives one slope at a kink, not how it changes: the second derivative of |x|² at 0 would be 0.
What arrives at a length y = |x| of exactly 0 decides. If it is 0, and moves with nothing but y, the whole is
smooth in x: g = c · y with c = dg/dy, and x gets c · x.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tinygrad_lo.engine.backward import Part, edges, pull, pull_graph, sweep, tensors
from tinygrad_lo.engine.graph import Array, Node, Op, constant, modes
from tinygrad_lo.engine.machine.arguments import foreign
from tinygrad_lo.engine.machine.caller import warn_once
from tinygrad_lo.engine.machine.hooks import leave, raw
from tinygrad_lo.engine.naming import Label, name_of, quoted
from tinygrad_lo.engine.ops.elementwise import where
from tinygrad_lo.engine.ops.registry import quickest

# What a second derivative there means.
BRANCH = "the second derivative given is that of one branch (of a tie, of the mean)"
EXACT = "its slope jumps there, what is made of it is smooth: the second derivative given is exact"
NO_SECOND = "a length of 0 has no second derivative, nan is given. Where only its square counts, {}"
HIGHER = "the derivatives of a length of 0 beyond the second are not known, nan is given. If you can, {}"
SQUARES = "write the sum of squares: (x * x).sum(), np.var for the square of std, distance='squared'"
MOST_ASKED = 64  # kinks that are looked into, of one sweep; then any that may count is told of


class Kinks:
    """The work of one sweep that makes gradients as graphs."""

    def __init__(self, root: Node) -> None:
        self.root = root
        self.told = False
        self.asked = 0

    def pull(self, node: Node, g: Any) -> Iterable[Part]:
        """Run the node's rules on tensors; where it sits on a kink exactly, see what that means first."""
        silent = modes.recording is not None  # a program is for other numbers, too
        for mask in () if silent else moving_masks(node):
            self.ask(mask, node, g)
        kink = node.op.kink  # type: ignore[union-attr]
        if kink is not None and kink.even is not None:
            met = where_met(node)
            if met is not None:
                leave("the second derivative of a length of 0", node)
                return [self.length(node, g, met)]
        elif kink is not None and not silent:
            self.ask(node, node, g)
        return pull_graph(node, g)

    def ask(self, kinked: Node, node: Node, g: Any) -> None:
        """Warn if the slope of the node, for a kink of its own or of its condition, jumps and counts."""
        met = None if self.told else where_met(kinked)
        if met is None or (kinked is not node and self.by_rule(kinked)):
            return
        self.asked += 1
        counts = isinstance(g, Node) and bool(g.needs)
        if self.asked <= MOST_ASKED:  # each question is a sweep of its own
            hard, c = self.slope(g, node, at_places(met, node), as_graph=False)
            counts = bool(hard.any()) or (c is not None and bool(np.any(c != 0)))
        if counts:
            self.told = True
            self.tell(kinked, node, met, BRANCH)

    def length(self, node: Node, g: Any, met: Array) -> Part:
        """What a length that is 0 sends to its input."""
        op: Any = node.op
        kink = op.kink
        hard, c, again = self.smoothness(node, g, met)
        none = hard.any() and (again or not kink.branches)
        counts = c is not None and bool(np.any(c.value != 0))
        if hard.any():
            self.told = True
            self.tell(node, node, hard, (HIGHER if again else NO_SECOND).format(SQUARES) if none else BRANCH)
        elif kink.branches and counts:
            self.tell(node, node, met, EXACT)
        soft = met & ~hard & (c.value != 0) if counts else np.zeros_like(met)
        x, *options = tensors(node)
        taken = soft | hard if none else soft
        part = op.rules[0](where(taken, 0.0, g), node, x, *options)
        if soft.any():
            part = part + kink.even(c, node, where(lifted(node, soft), x, 0.0), *options)
        if none:
            part = part + undefined(where(lifted(node, hard), x, 0.0), op, *options)
        return *edges(node)[0], part

    def smoothness(self, node: Node, g: Any, met: Array) -> tuple[Array, Any, bool]:
        """Where what is made of a length is not smooth; elsewhere c = g / y; whether y is a derivative's."""
        hard, c = self.slope(g, node, met, as_graph=True)
        again = c is not None and bool(np.any(c.value != 0)) and node.birth >= self.began > -math.inf
        if again:  # c = g / y is exact at y = 0, not in its slope
            hard, c = met, None
        if hard.any() and not self.moves(node, hard):
            hard, c = np.zeros_like(met), None
        return hard, c, again

    def slope(self, g: Any, node: Node, met: Array, *, as_graph: bool) -> tuple[Array, Any]:
        """Where g is not 0 or moves with other things than y, the node's value; elsewhere c = dg/dy.

        c is None where g moves with nothing. Several elements are asked together, with weights, and again
        with other weights: the answers agree if each element of g depends on its own element of y only.
        """
        hard = met & (raw(g) != 0)
        soft = met & ~hard
        if not isinstance(g, Node) or not g.needs or not soft.any():
            return hard, None
        dtype = g.value.dtype
        rng = np.random.default_rng(0)
        answers: list[Any] = []
        for _ in range(2 if np.count_nonzero(soft) > 1 else 1):
            weights = np.where(soft, rng.uniform(1.0, 2.0, soft.shape), 0.0).astype(dtype)[()]
            others, arrived = self.sensitivity(g, node, weights, as_graph=as_graph)
            if others:
                return met, None
            if arrived is None:
                return hard, None
            answers.append(where(soft, arrived / np.where(soft, weights, 1.0).astype(dtype)[()], 0.0))
        rtol = float(np.sqrt(np.finfo(dtype).eps))
        near = np.allclose(raw(answers[0]), raw(answers[-1]), rtol, atol=0.0)
        return (hard, answers[0]) if near else (met, None)

    def sensitivity(self, g: Node, node: Node | None, weights: Array, *, as_graph: bool) -> tuple[bool, Any]:
        """Whether the weighted sum of g moves with a leaf or another kink; and its slope by the node."""
        kinked = []

        def work(n: Node, h: Any) -> Iterable[Part]:
            if n is node:
                return ()
            asked = [mask for mask in moving_masks(n) if not self.by_rule(mask)]
            if n.op.kink is not None:  # type: ignore[union-attr]
                asked.append(n)
            for one in asked:
                met = where_met(one)
                if met is not None and (at_places(met, n) & (raw(h) != 0)).any():
                    kinked.append(one)
            return pull_graph(n, h) if as_graph else pull(n, h)

        keep = {node.birth} if node is not None else ()
        _, grads, kept = sweep(g, constant(weights) if as_graph else weights, work, keep)
        moved = any(np.any(raw(h) != 0) for h in grads.values())
        return bool(kinked) or moved, kept.get(node.birth) if node is not None else None

    def moves(self, node: Node, met: Array) -> bool:
        """Whether the input of a length moves at all there: x - x does not."""
        _, parent = edges(node)[0]
        rng = np.random.default_rng(0)
        weights = np.where(lifted(node, met), rng.uniform(1.0, 2.0, parent.value.shape), 0.0)
        return self.sensitivity(parent, None, weights.astype(parent.value.dtype)[()], as_graph=False)[0]

    @functools.cached_property
    def began(self) -> float:
        """The birth of what was differentiated first, if the root comes from a derivative; else -inf."""
        labels = (node.label for node in behind(self.root) if isinstance(node.label, Label))
        return max((label.derived.birth for label in labels if label.derived is not None), default=-math.inf)

    def by_rule(self, mask: Node) -> bool:
        """Whether a rule made the mask: its kinks are those of its op, but relu's rule asks y > 0, too."""
        return mask.birth < max(self.began, self.root.birth)

    def tell(self, kinked: Node, node: Node, met: Array, meaning: str) -> None:
        """Warn, once for each line of the user."""
        if not modes.kinks:
            return
        of = next((f" of {quoted(n)}" for n in kinked.parents if n is not None and name_of(n)), "")
        what = f"{kinked.op.name}{of}"  # type: ignore[union-attr]
        if kinked is not node:
            what = f"{node.op.name} by {what}"  # type: ignore[union-attr]
        if name_of(node):
            what += f", named {quoted(node)},"
        place = tuple(map(int, np.argwhere(met)[0]))
        at = f" at {place}" if place else ""
        warn_once(f"kink of {what}: {meaning}", f"{what} is exactly at its kink{at}: {meaning}")


def where_met(node: Node) -> Array | None:
    """Where the node's op sits on its kink exactly; None if nowhere, or if only computing would tell."""
    op: Any = node.op
    if foreign(node.value):
        return None
    met = np.asarray(op.kink.met(node.value, *node.inputs))
    return met if met.any() else None


def at_places(met: Array, node: Node) -> Array:
    """Where a mask sits on its kink, as places of the node that it is an input of."""
    try:
        return np.broadcast_to(met, node.value.shape)
    except ValueError:  # it was summed or reshaped on the way
        return np.ones(node.value.shape, bool)


def moving_masks(node: Node) -> Iterator[Node]:
    """The masks among the inputs, and what they are made of, that move: where(x > 0, ...), x * sign(x)."""
    waiting = [*node.parents]
    while waiting:
        mask = waiting.pop()
        if mask is not None and mask.op is not None and not mask.needs:
            if mask.op.kink is not None and any(x is not None and x.needs for x in mask.parents):
                yield mask
            waiting += mask.parents


def lifted(node: Node, mask: Array) -> Array:
    """A mask of lengths as one of the elements that they are the lengths of."""
    return per_element(node.op, mask.astype(float), *node.inputs) != 0


def per_element(op: Any, c: Array, x: Array, *options: Any) -> Array:
    """A number for each length as one for each element."""
    return op.kink.even(c, c, np.ones(x.shape), *options)


def behind(root: Node) -> Iterator[Node]:
    """Everything that gradients of the root flow to, and of what it is the derivative, all the way back."""
    seen = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.birth not in seen:
            seen.add(node.birth)
            yield node
            waiting += [parent for _, parent in edges(node)]
            if isinstance(node.label, Label) and node.label.derived is not None:
                waiting.append(node.label.derived)


def no_derivative(g: Array, y: Array, x: Array, op: Op, *options: Any) -> Array:
    """nan for all of a vector, where any of it is asked for."""
    return np.where(per_element(op, op.apply(g, *options), g, *options) == 0, g, np.nan)


# Not in the table: it stands for a derivative that does not exist.
NAN = Op("undefined", lambda x, *_: +x, (no_derivative,), "+{0}", "{0}", "The same; its derivative is nan.")
undefined = quickest(NAN, options=True)
