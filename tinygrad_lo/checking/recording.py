"""The checked function on record: that it is one, its graph, the user's lines, and what arrived where."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from tinygrad_lo.engine.backward import Part, pull, start, sweep
from tinygrad_lo.engine.derivatives import grad
from tinygrad_lo.engine.graph import Array, Node, Op, T, mode, reachable
from tinygrad_lo.engine.leaves import place, placed
from tinygrad_lo.engine.machine.anomaly import Watch, anomaly, checksums
from tinygrad_lo.engine.naming import Label, quoted
from tinygrad_lo.engine.ops.reductions import log_softmax, logsumexp
from tinygrad_lo.engine.ops.registry import record
from tinygrad_lo.errors import DTypeError, GradcheckError, GraphError, LoError, MutationError, NonFiniteError

# They add log(1 + …) inside: rounded like a 1, however small the result.
LOUD = (record(log_softmax), record(logsumexp))
ROUNDINGS = 4  # how many a gradient in a narrow type may have gone through
OUTSIDE = (LoError, FloatingPointError)  # what a function raises outside of its domain
IN_TENSORS = "compute with operators and NumPy functions, without float(), .data, .numpy() or .item()"


class Lines(Watch):
    """lo.anomaly() that writes down where each op was called, and lets nan pass: np.where may drop it."""

    def must_be_finite(self, op: Op, inputs: Iterable[Any], data: Array, where: str) -> None:
        """Let everything pass."""


def place_of(node: Node) -> str | None:
    """The user's file and line that made this node."""
    return node.label.where if isinstance(node.label, Label) else None


def made_from(roots: Iterable[Node]) -> list[Node]:
    """What values were made from, oldest first, leaves and constants left out."""
    return [node for node in reachable(roots) if node.op is not None and node.needs]


def gradients_of(out: Any, leaves: list[Any]) -> list[Array]:
    """The engine's gradients of a value, zeros where nothing flows."""
    parts = grad(out, leaves, allow_unused=True) if getattr(out, "needs", False) else [None] * len(leaves)
    pairs = zip(leaves, parts, strict=True)
    return [np.zeros(leaf.shape) if g is None else np.asarray(g) for leaf, g in pairs]


def narrow_type(g: Array) -> np.dtype[Any] | None:
    """float32 or float16 if that is what a gradient was computed in: by its array, or by its numbers.

    float64 numbers of which none has more digits than float32 holds were that once; round ones show nothing.
    """
    own: np.dtype[Any] = g.dtype
    if own.itemsize < 8:
        return own
    with np.errstate(over="ignore"):
        round_ones, narrow = (np.array_equal(g, g.astype(dtype)) for dtype in (np.float16, np.float32))
    return np.dtype(np.float32) if narrow and not round_ones else None


def rounding_of(g: Array) -> float:
    """How far the type of a gradient can move its numbers; 0 for one in float64."""
    dtype, largest = narrow_type(g), float(np.abs(g[np.isfinite(g)]).max(initial=0.0))
    return 0.0 if dtype is None else ROUNDINGS * float(np.finfo(dtype).eps) * largest


def eps_of(values: Iterable[Any]) -> float:
    """The rounding of the coarsest floating-point type among values."""
    return max((float(np.finfo(x.dtype).eps) for x in values if x.dtype.kind == "f"), default=2.0**-52)


def length(x: Any) -> float:
    """The root of the sum of squares, which may overflow themselves, of the numbers that are finite."""
    x = np.abs(np.asarray(x, dtype=float))
    x = x[np.isfinite(x)]
    largest = float(x.max(initial=0.0))
    return largest * float(np.linalg.norm(x / largest)) if largest else 0.0


def sizes_of(values: Iterable[Any]) -> list[int]:
    """The sizes over which somebody may have averaged."""
    arrays = (x for x in values if isinstance(x, (np.ndarray, np.generic)))
    return list(dict.fromkeys(n for x in arrays for n in (x.size, *x.shape)))


@dataclass
class Subject:
    """A function, and the leaves that it is differentiated by."""

    call: Callable[[], Any]  # computes the function's value from what the leaves hold now
    leaves: list[Any]
    others: list[Array]  # that it is given and must leave alone, too
    order: int = 1  # 2 if call() is itself a slope,
    inner: list[Node] = field(default_factory=list)  # and the recorded value of what it is the slope of

    def value(self) -> float:
        """The function's value now. With its graph: it is soon dropped, and f may differentiate inside."""
        return float(self.call().item())

    def gradients(self, out: Any) -> dict[Any, Array]:
        """The engine's gradients of a value by the leaves."""
        return dict(zip(self.leaves, gradients_of(out, self.leaves), strict=True))

    def moved(self, arrays: dict[Any, Array], work: Callable[[], T]) -> T:
        """What work() gives while the leaves hold other arrays."""
        with placed(arrays):
            for leaf, data in arrays.items():
                place(leaf, data)
            return work()

    def tape(self) -> Tape:
        """The graph of one call, every node of it knowing its line."""
        with mode("watch", Lines()):
            return taped(self.call())

    def examined(self) -> tuple[Tape, dict[Any, Array], float]:
        """The graph, gradients and value of a function that can be checked, else an error that says why."""
        self.inner.clear()
        with self.must_only_read(), mode("watch", Lines()):
            out = self.call()
        must_be_differentiable(out)
        value = float(np.asarray(out.value).reshape(()))
        self.must_be_finite(value)
        if not out.needs and self.order == 1:
            constant = "the function's value does not depend on its inputs and params through tensors"
            raise GraphError(f"gradcheck: {constant}; {IN_TENSORS}")
        tape = taped(out)
        gradients, again = self.gradients(out), self.gradients(out)
        for leaf, g in gradients.items():
            if not np.array_equal(g, again[leaf], equal_nan=True):
                differing = f"two backward passes give {quoted(leaf, 'a parameter')} different gradients"
                raise GraphError(f"gradcheck: {differing}; a rule is random or keeps state")
        self.must_still_be(value)
        return tape, gradients, value

    def must_still_be(self, value: float) -> None:
        """Raise unless another call gives the same bits."""
        if self.value() != value:
            raise GraphError("gradcheck: f gives another value when called again; seed its randomness inside")

    @contextmanager
    def must_only_read(self) -> Iterator[None]:
        """Raise if the function changes what it is given, or what it computes with."""
        names = [quoted(leaf, "a parameter") for leaf in self.leaves]
        other = "an input of shape {0.shape} that is not differentiated by ({0.dtype})"
        names += map(other.format, self.others)
        before = [np.array(x) for x in (*(leaf.value for leaf in self.leaves), *self.others)]
        try:
            yield
        except MutationError as error:
            raise GraphError(f"gradcheck: the function changes what it computes with: {error}") from error
        after = [*(leaf.value for leaf in self.leaves), *self.others]
        for name, old, new in zip(names, before, after, strict=True):
            if not np.array_equal(old, new, equal_nan=old.dtype.kind == "f"):
                raise GraphError(f"gradcheck: the function changes {name}; it must only read it")

    def must_be_finite(self, value: float) -> None:
        """Raise for a value that is nan or inf, naming the op that made it."""
        if np.isfinite(value):
            return
        reason = "; are its inputs finite?"
        try:
            with anomaly():
                self.call()
        except NonFiniteError as error:
            reason = f": {error}"
        raise NonFiniteError(f"gradcheck: the function's value is {value} here: no gradient to check{reason}")


def must_be_differentiable(out: Any) -> None:
    """Raise unless the function returned a tensor of floating-point numbers."""
    got = f"{type(out).__name__}: somewhere it leaves the graph; {IN_TENSORS}"
    if out is None:
        got = "None: is there a return?"
    elif isinstance(out, (tuple, list)):
        got = f"a {type(out).__name__} of {len(out)}; return the loss alone. If it is (loss, gradient), "
        got += "with a gradient written by hand, lo.check_gradient(f, x) checks that"
    elif isinstance(out, Node):
        if out.value.dtype.kind != "f":
            kind = f"{out.value.dtype}, which has no derivative"
            raise DTypeError(f"gradcheck: the function returns {kind}; it must return floating-point numbers")
        if out.value.size:
            return
        got = f"shape {out.value.shape}, in which there is no number"
    raise GraphError(f"gradcheck: the function must return a tensor, got {got}")


@dataclass
class Tape:
    """One recorded call."""

    out: Node
    nodes: list[Node]  # what it was made from, oldest first, leaves left out
    arrived: dict[int, Array]  # by birth, the gradient that reached a node or leaf in the backward pass
    spoiled: list[str]  # where a gradient became nan

    @cached_property
    def eps(self) -> float:
        """The rounding of the coarsest floating-point type that the values went through."""
        return eps_of(node.value for node in [*self.nodes, self.out])

    @cached_property
    def rounding(self) -> float:
        """The root of the sum of squares of (value · gradient) over the graph: eps times it is f's rounding.

        Each number is rounded once, independently of the others; its gradient says how that moves f.
        """
        parts = []
        for node in reachable([self.out]):
            g = self.arrived.get(node.birth)
            if g is not None:
                least = 1.0 if node.op in LOUD else float(np.finfo(node.value.dtype).tiny)
                parts.append(length(g * np.maximum(np.abs(node.value), least)))
        return length(parts)

    def largest_change(self, out: Node, h: float) -> float:
        """The largest change of f by one number of the graph, per step, after a step of length h."""
        largest, nodes = 0.0, made_from([out])
        if [node.op for node in nodes] != [node.op for node in self.nodes]:
            return 0.0
        for before, after in zip(self.nodes, nodes, strict=True):
            g, old, new = self.arrived.get(before.birth), before.value, after.value
            if g is not None and old.shape == new.shape and old.size:
                change = np.abs(new - old) - 4.0 * self.eps * np.abs(old)  # but for its rounding
                largest = max(largest, float(np.max(np.abs(g) * np.maximum(change, 0.0))))
        return largest / h


def taped(out: Node) -> Tape:
    """The graph of a recorded value, after one backward pass that notes what arrives where."""
    arrived: dict[int, Array] = {}
    spoiled: list[str] = []

    def work(node: Node, g: Array) -> list[Part]:
        arrived[node.birth] = g
        try:
            parts = list(pull(node, g))
        except LoError:
            raise
        except Exception as error:
            assert node.op is not None
            raise GradcheckError(
                f"gradcheck: the rule of {node.op.name} (called at {place_of(node)}) for {quoted(node)} of "
                f"shape {node.value.shape} raises {type(error).__name__}: {error}"
            ) from error
        if not np.isnan(g).any() and any(np.isnan(part).any() for *_, part in parts):
            spoiled.append(f"{node.op and node.op.name}, called at {place_of(node)}")
        return parts

    nodes = made_from([out])
    for node in nodes:  # after a write into an array in place, gradients would be of another call
        before = node.label.recorded if isinstance(node.label, Label) else ()
        if before and checksums(node) != before:
            assert node.op is not None
            used = f"that {node.op.name} (at {place_of(node)}) has used before"
            raise GraphError(f"gradcheck: the function changes an array in place {used}; make a new one")
    if out.needs:
        leaves, gradients, _ = sweep(out, start(out, None, "gradcheck"), work)
        arrived |= {birth: gradients[birth] for birth in leaves}
    return Tape(out, nodes, arrived, spoiled)
