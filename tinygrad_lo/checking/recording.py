"""A call of the checked function on record: its graph, the user's lines, and what arrived where."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lo.engine.anomaly import Watch, checksums
from tinygrad_lo.engine.caller import caller
from tinygrad_lo.engine.graph import Array, Label, Node, Op, label, mode, quoted, reachable
from tinygrad_lo.engine.sweep import Part, pull, start, walk
from tinygrad_lo.errors import GradcheckError, GraphError, LoError


class Recorder(Watch):
    """lo.anomaly() that writes down where each op was called, and lets nan pass.

    A nan that np.where throws away is none of the checker's business unless it reaches a gradient,
    and then the report says so.
    """

    def computed(self, op: Op, inputs: Iterable[Any], data: Array) -> None:
        """An op has run on plain arrays."""

    def made(self, node: Node, op: Op, inputs: Iterable[Any]) -> None:  # noqa: ARG002
        """An op has run and made this node."""
        found = label(node)
        found.where = caller()
        found.recorded = checksums(node)


def recorded(call: Callable[[], Any]) -> Any:
    """The value of call(), every node of its graph knowing its line."""
    with mode("watch", Recorder()):
        return call()


def place_of(node: Node) -> str | None:
    """The user's file and line that made this node."""
    return node._label.where if isinstance(node._label, Label) else None


def must_be_unchanged(nodes: Iterable[Node]) -> None:
    """Raise if an array was written into after an op had used it: gradients would be of another call."""
    for node in nodes:
        before = node._label.recorded if isinstance(node._label, Label) else ()
        if before and checksums(node) != before:
            assert node._op is not None
            raise GraphError(
                f"gradcheck: the function changes an array in place that {node._op.name} "
                f"(at {place_of(node)}) has used before; make a new array instead"
            )


@dataclass
class Tape:
    """One recorded call.

    Attributes:
        out: the value of the function.
        nodes: what it was made from, oldest first, leaves left out.
        arrived: by birth, the gradient that reached a node in the backward pass.
    """

    out: Node
    nodes: list[Node]
    arrived: dict[int, Array]

    @property
    def eps(self) -> float:
        """The rounding of the coarsest floating-point type that the values went through."""
        dtypes = {np.dtype(node._value.dtype) for node in [*self.nodes, self.out]}
        return max((float(np.finfo(d).eps) for d in dtypes if d.kind == "f"), default=2.0**-52)

    @property
    def sizes(self) -> list[int]:
        """The sizes over which somebody may have averaged."""
        found: dict[int, None] = {}
        for node in self.nodes:
            for x in (*node.inputs, node._value):
                if isinstance(x, (np.ndarray, np.generic)):
                    found |= dict.fromkeys((x.size, *x.shape))
        return list(found)


def taped(out: Node) -> Tape:
    """The graph of a recorded value, after one backward pass that notes what arrives where."""
    arrived: dict[int, Array] = {}

    def work(node: Node, g: Array) -> list[Part]:
        arrived[node._birth] = g
        try:
            return list(pull(node, g))
        except LoError:
            raise
        except Exception as error:
            assert node._op is not None
            raise GradcheckError(
                f"gradcheck: the rule of {node._op.name} (called at {place_of(node)}) for {quoted(node)} of "
                f"shape {node._value.shape} raises {type(error).__name__}: {error}"
            ) from error

    nodes = [node for node in reachable([out]) if node._op is not None and node._needs]
    must_be_unchanged(nodes)
    if out._needs:
        with np.errstate(all="ignore"):
            walk(out, start(out, None, "gradcheck"), work)
    return Tape(out, nodes, arrived)
