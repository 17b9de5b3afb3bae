"""What other rooms ask of many nodes at once, and write into leaves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from tinygrad_lo.engine.backward import Part, contributions
from tinygrad_lo.engine.graph import Array, Node, Op, Rule, reachable, tick
from tinygrad_lo.engine.naming import Label, name_of


class NodeRow(NamedTuple):
    """One node of a graph, read once."""

    node: Node
    birth: int
    op: Op | None
    name: str | None
    parents: tuple[Node | None, ...]
    inputs: tuple[Any, ...]


def history(roots: Iterable[Node], known: Container[int] = ()) -> list[NodeRow]:
    """Everything that the roots were made from, and the roots, oldest first; nothing behind known births."""
    return [
        NodeRow(node, node.birth, node.op, name_of(node), node.parents, node.inputs)
        for node in reachable(roots, known)
    ]


def spans(nodes: Iterable[Node]) -> list[tuple[int, int]]:
    """(birth at which it began, birth of its value) for every loss among the nodes."""
    labels = [(node, node.label) for node in nodes if isinstance(node.label, Label)]
    return [(began, node.birth) for node, label in labels for _, began in label.spans]


def replayed(
    inputs: Mapping[int, Collection[Any]], marks: list[tuple[int, int]]
) -> Callable[[Node, Array], Iterable[Part]]:
    """Run the rules of nodes on tensors: their inputs are given by birth.

    What is born after a mark (birth, node), and before the next one, belongs to that node.
    """

    def pull(node: Node, g: Array) -> Iterable[Part]:
        marks.append((tick(), node.birth))
        return contributions(node, g, node, inputs[node.birth])

    return pull


def let_go(leaf: Node) -> None:
    """Forget a leaf's value."""
    leaf.value = None


def stepped(
    leaves: Iterable[Any], grads: Iterable[Array], states: Iterable[Any], rule: Rule, options: Any
) -> None:
    """Give each leaf its next value, which the rule computes as rule(value, gradient, state, options).

    Its gradient has been used then, which a later step will notice.
    """
    for leaf, g, state in zip(leaves, grads, states, strict=False):
        leaf.value = rule(leaf.value, g, state, options)
        leaf.spent = 1


def forget(leaves: Iterable[Any]) -> None:
    """Leave the leaves without a gradient."""
    for leaf in leaves:
        leaf.arrived = None
        leaf.spent = 0


def replace_gradient(leaf: Any, gradient: Array) -> None:
    """Put another form of the same gradient in its place: clipped, or computed."""
    leaf.arrived = gradient


def place(leaf: Any, data: Array) -> None:
    """Give a node other numbers, measured with or computed late: no stamp, live graphs keep what they saw."""
    leaf.value = data if data.ndim else data[()]  # a scalar holds a number, not an array


@contextmanager
def placed(leaves: Iterable[Any]) -> Iterator[list[Array]]:
    """What the leaves hold now, which they hold again afterwards, whatever is placed meanwhile."""
    before = [(leaf, leaf.value) for leaf in leaves]
    try:
        yield [data for _, data in before]
    finally:
        for leaf, data in before:
            leaf.value = data
