"""A call of the checked function on record: its graph, the user's lines, and what arrived where."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lo.engine.backward import Part, pull, start, sweep
from tinygrad_lo.engine.graph import Array, Node, Op, mode, reachable
from tinygrad_lo.engine.machine.anomaly import Watch, checksums
from tinygrad_lo.engine.naming import Label, quoted
from tinygrad_lo.errors import DTypeError, GradcheckError, GraphError, LoError


class Recorder(Watch):
    """lo.anomaly() that writes down where each op was called, and lets nan pass.

    A nan that np.where throws away is none of the checker's business unless it reaches a gradient,
    and then the report says so.
    """

    def must_be_finite(self, op: Op, inputs: Iterable[Any], data: Array, where: str) -> None:
        """Let everything pass."""


LOUD = ("log_softmax", "logsumexp")  # they add log(1 + …) inside: rounded like a 1, however small the result


def recorded(call: Callable[[], Any]) -> Any:
    """The value of call(), every node of its graph knowing its line."""
    with mode("watch", Recorder()):
        return call()


def place_of(node: Node) -> str | None:
    """The user's file and line that made this node."""
    return node.label.where if isinstance(node.label, Label) else None


def must_be_differentiable(out: Any) -> None:
    """Raise unless the function returned a tensor of floating-point numbers."""
    wanted = "gradcheck: the function must return a tensor, got"
    if out is None:
        raise GraphError(f"{wanted} None: is there a return?")
    if isinstance(out, (tuple, list)):
        raise GraphError(
            f"{wanted} a {type(out).__name__} of {len(out)}; return the loss alone. If it is (loss, "
            f"gradient), with a gradient written by hand, lo.check_gradient(f, x) checks that"
        )
    if not isinstance(out, Node):
        raise GraphError(
            f"{wanted} {type(out).__name__}: somewhere it leaves the graph; compute with operators and NumPy "
            f"functions, without float(), .data, .numpy() or .item()"
        )
    if out.value.dtype.kind != "f":
        raise DTypeError(
            f"gradcheck: the function returns {out.value.dtype}, which has no derivative; "
            f"it must return floating-point numbers"
        )
    if not out.value.size:
        raise GraphError(f"{wanted} shape {out.value.shape}, in which there is no number")


def must_be_unchanged(nodes: Iterable[Node]) -> None:
    """Raise if an array was written into after an op had used it: gradients would be of another call."""
    for node in nodes:
        before = node.label.recorded if isinstance(node.label, Label) else ()
        if before and checksums(node) != before:
            assert node.op is not None
            raise GraphError(
                f"gradcheck: the function changes an array in place that {node.op.name} "
                f"(at {place_of(node)}) has used before; make a new array instead"
            )


@dataclass
class Tape:
    """One recorded call.

    Attributes:
        out: the value of the function.
        nodes: what it was made from, oldest first, leaves left out.
        arrived: by birth, the gradient that reached a node or leaf in the backward pass.
    """

    out: Node
    nodes: list[Node]
    arrived: dict[int, Array]

    @property
    def eps(self) -> float:
        """The rounding of the coarsest floating-point type that the values went through."""
        dtypes = {np.dtype(node.value.dtype) for node in [*self.nodes, self.out]}
        return max((float(np.finfo(d).eps) for d in dtypes if d.kind == "f"), default=2.0**-52)

    @property
    def rounding(self) -> float:
        """The root of the sum of squares of (value · gradient) over the graph: eps times it is f's rounding.

        Each number is rounded once when it is made, independently of the others, and moves f by as much as
        the gradient there says. A result that cancelled shows nothing of that; what was added up does.
        """
        total = 0.0
        for node in reachable([self.out]):
            g = self.arrived.get(node.birth)
            if g is not None:
                size = np.abs(node.value)
                if node.op is not None and node.op.name in LOUD:
                    size = np.maximum(size, 1.0)
                total += float(np.square(np.asarray(g * size, dtype=float)).sum())
        return float(np.sqrt(total)) if np.isfinite(total) else 0.0

    def moved(self, out: Node, h: float) -> float:
        """The largest change of f by one number of the graph, per step, after a step of length h.

        What adds up to the slope: large terms that cancel make a small one uncertain.
        """
        nodes = [node for node in reachable([out]) if node.op is not None and node.needs]
        if [node.op for node in nodes] != [node.op for node in self.nodes]:
            return 0.0
        largest = 0.0
        for before, after in zip(self.nodes, nodes, strict=True):
            g = self.arrived.get(before.birth)
            if g is not None and before.value.shape == after.value.shape and before.value.size:
                change = np.abs(after.value - before.value) - 4.0 * self.eps * np.abs(before.value)
                largest = max(largest, float(np.max(np.abs(g) * np.maximum(change, 0.0))))
        return largest / h

    @property
    def sizes(self) -> list[int]:
        """The sizes over which somebody may have averaged."""
        found: dict[int, None] = {}
        for node in self.nodes:
            for x in (*node.inputs, node.value):
                if isinstance(x, (np.ndarray, np.generic)):
                    found |= dict.fromkeys((x.size, *x.shape))
        return list(found)


def taped(out: Node) -> Tape:
    """The graph of a recorded value, after one backward pass that notes what arrives where."""
    arrived: dict[int, Array] = {}

    def work(node: Node, g: Array) -> list[Part]:
        arrived[node.birth] = g
        try:
            return list(pull(node, g))
        except LoError:
            raise
        except Exception as error:
            assert node.op is not None
            raise GradcheckError(
                f"gradcheck: the rule of {node.op.name} (called at {place_of(node)}) for {quoted(node)} of "
                f"shape {node.value.shape} raises {type(error).__name__}: {error}"
            ) from error

    nodes = [node for node in reachable([out]) if node.op is not None and node.needs]
    must_be_unchanged(nodes)
    if out.needs:
        with np.errstate(all="ignore"):
            leaves, gradients, _ = sweep(out, start(out, None, "gradcheck"), work)
        arrived |= {birth: gradients[birth] for birth in leaves}
    return Tape(out, nodes, arrived)
