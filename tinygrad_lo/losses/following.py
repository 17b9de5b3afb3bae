"""Which numbers in a graph were made of the options of its losses: a loss is computed again to see that.

It is called with an option that knows what is made of it (options.Followed), and with other numbers: what is
then different, and not known to be made of the option, was computed where the trail is lost. Nothing of this
is paid for where nobody looks.
"""

from __future__ import annotations

import contextlib
import math
import sys
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Array, Node, reachable, tick
from tinygrad_lo.engine.machine.recording import Recording
from tinygrad_lo.engine.naming import Label, name_of
from tinygrad_lo.errors import LoError
from tinygrad_lo.options import Followed, Option, is_finite

FARTHEST = sys.float_info.max
Numbers = dict[tuple[int, int], Followed]  # by the birth of a gate, and which of its inputs it is


def followed_options(nodes: Iterable[Node], *, recorded: bool) -> Iterator[tuple[Option, Numbers]]:
    """The numeric options of the losses in a graph, with the numbers that are made of them.

    recorded: whether the graph is one of a recording, where masks and labels have nodes, too.
    """
    for node in nodes:
        if not isinstance(node.label, Label) or not node.label.call:
            continue
        began, call, inputs, options, *others = node.label.call
        for name, value in ((call.__wrapped__.__kwdefaults__ or {}) | options).items():
            if is_finite(value):
                rerun = Rerun(call, inputs, options, others, name, recorded)
                option, numbers = rerun.traced(float(value), computed_since(node, began))
                if numbers:
                    yield option, numbers


def loss_text(node: Node) -> str:
    """A loss, or another function of the library, and the named values that it was given: `l2(W)`."""
    spans = node.label.spans if isinstance(node.label, Label) else ()
    return f"{spans[-1][0]}({', '.join(names_before(node, spans[-1][1]))})" if spans else ""


def names_before(node: Node, began: int) -> Iterator[str]:
    """The names of the values from before a birth that were used to compute a node after it."""
    inside = computed_since(node, began)
    births = {each.birth for each in inside}
    parents = [x for each in inside for x in each.parents if x is not None]
    return filter(None, map(name_of, dict.fromkeys(x for x in parents if x.birth not in births)))


def computed_since(node: Node, began: int) -> list[Node]:
    """What was computed from a birth on, up to this node, oldest first."""
    return [each for each in reachable([node]) if each.op is not None and each.birth < began]


@dataclass(frozen=True, slots=True)
class Rerun:
    """A loss, computed again with another number as one of its options."""

    call: Any
    inputs: tuple[Any, ...]
    options: dict[str, Any]
    others: list[Any]  # reduction and weights
    name: str
    recorded: bool

    def __call__(self, value: float) -> tuple[Option, list[Node]]:
        """The option, and the ops that were run; none where the loss refuses."""
        option, began = Option(f"{self.name} of {self.call.__name__}", value), tick()
        given = self.options | {self.name: Followed.of(option, value)}
        reduction, weights = self.others
        if self.name != "reduction" and reduction is not None:
            given["reduction"] = reduction
        with Recording() if self.recorded else contextlib.nullcontext(), quiet():
            try:
                out = self.call(*self.inputs, weights=weights, **given)
            except (LoError, TypeError):
                return option, []
        return option, computed_since(out, began) if isinstance(out, Node) else []

    def traced(self, value: float, known: list[Node]) -> tuple[Option, Numbers]:
        """The option, and the numbers among inputs of the known nodes that are made of it; none if unsure."""
        option, nodes = self(value)
        if option.bounds is None or not same_ops(known, nodes):
            return option, {}
        low, high = max(option.bounds[:2]), min(option.bounds[2:])
        others = [number_amid(low, value), number_amid(value, high)]
        if is_asked(option, low, high) or any(
            lost(nodes, self(other)[1]) for other in others if other != value
        ):
            return option, {}
        return option, dict(followed_inputs(known, nodes))


def followed_inputs(known: list[Node], nodes: list[Node]) -> Iterator[tuple[tuple[int, int], Followed]]:
    """The inputs that are followed where the nodes were run again, by their place among the known ones."""
    for node, copy in zip(known, nodes, strict=True):
        for i, x in enumerate(copy.inputs):
            if type(x) is Followed:
                yield (node.birth, i), x


def is_asked(option: Option, low: float, high: float) -> bool:
    """Whether a comparison that Python has made has another answer at an end of what the option may be."""
    ends = [min(max(end, -FARTHEST), FARTHEST) for end in (low, high)]
    return any(ask(end) != answer for ask, answer in option.asked for end in ends)


def number_amid(low: float, high: float) -> float:
    """A number between two, of which one may be infinite."""
    return low + 1.5 if math.isinf(high) else high - 1.5 if math.isinf(low) else (low + high) / 2


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings that the first run has given."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def same_ops(nodes: list[Node], others: list[Node]) -> bool:
    """Whether the same ops were run."""
    return [repr(node.op) for node in nodes] == [repr(node.op) for node in others]


def lost(nodes: list[Node], others: list[Node]) -> bool:
    """Whether other ops were run, or an input differs that is not known to be made of the option."""
    return not same_ops(nodes, others) or any(
        type(x) is not type(y) or (not is_known(node, i, x) and differ(x, y))
        for node, other in zip(nodes, others, strict=True)
        for i, (x, y) in enumerate(zip(node.inputs, other.inputs, strict=True))
    )


def is_known(node: Node, i: int, x: Any) -> bool:
    """Whether an input is a number that is followed, or comes from an op, whose inputs are looked at."""
    parent = node.parents[i] if i < len(node.parents) else None
    return type(x) is Followed or (parent is not None and parent.op is not None)


def differ(x: Array, y: Array) -> bool:
    """Whether two inputs differ."""
    if isinstance(x, np.ndarray):
        return not np.array_equal(x, y, equal_nan=x.dtype.kind == "f")
    return repr(x) != repr(y)
