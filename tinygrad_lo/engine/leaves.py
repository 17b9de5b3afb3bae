"""What other rooms ask of many nodes at once, write into leaves, and the nodes that only they need."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from operator import is_
from typing import Any, NamedTuple, TypeVar

from tinygrad_lo.engine.backward import Part, contributions, tensors
from tinygrad_lo.engine.graph import Array, Node, Op, Rule, mode, node_of, reachable, tick
from tinygrad_lo.engine.naming import Label, name_of

N = TypeVar("N", bound=Node)


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


def in_steps(root: N) -> N:
    """The graph as readers see it: ops that are one for speed alone (`Op.shown`) as the steps they stand for.

    What is made of these is made anew, everything else is the same node. Births stay, and steps are born in
    between: their births are fractions.
    """
    nodes = reachable([root])
    if not any(node.op is not None and node.op.shown for node in nodes):
        return root
    anew: dict[int, Any] = {}
    for node in nodes:
        op, parents = node.op, tuple(None if x is None else anew.get(x.birth, x) for x in node.parents)
        if op is None or (not op.shown and all(map(is_, parents, node.parents))):
            continue
        if op.shown:
            inputs = [anew.get(x.birth, x) if isinstance(x, Node) else x for x in tensors(node)]
            with mode("scope", None), mode("watch", None), mode("recording", None), mode("grad_off", False):
                out = op.forward(*inputs)
            *steps, _ = reachable([out], {x.birth for x in parents if x is not None})
            for i, step in enumerate(steps, 1):
                step.birth = node.birth + 1 - i / (len(steps) + 1)  # type: ignore[assignment]
        else:
            out = node_of(op, node.value, parents, node.inputs, needs=node.needs)
        out.birth, out.label = node.birth, node.label
        anew[node.birth] = out
    return anew[root.birth]  # type: ignore[no-any-return]


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


def leaf_over(kind: Callable[[float], N], array: Array) -> N:
    """A leaf of a class of tensors over this very array, neither read nor copied."""
    leaf = kind(0.0)
    leaf.value = array
    return leaf


def as_kind(kind: type[N], node: Node) -> N:
    """The node as an object of another class of tensors."""
    copy = object.__new__(kind)
    for slot in Node.__slots__:
        if hasattr(node, slot):
            setattr(copy, slot, getattr(node, slot))
    return copy


def let_go(leaf: Node) -> None:
    """Forget a leaf's value."""
    leaf.value = None


# ------------------------------------------------------------------------- what is written into leaves


def stepped(
    leaves: Iterable[Any], grads: Iterable[Array], states: Iterable[Any], rule: Rule, options: Any
) -> None:
    """Give each leaf its next value, which the rule computes as rule(value, gradient, state, options).

    Its gradient has been used then, which a later step will notice.
    """
    for leaf, g, state in zip(leaves, grads, states, strict=False):
        leaf.value = rule(leaf.value, g, state, options)
        leaf.spent = 1


def given(leaves: Iterable[Any], values: Iterable[Array]) -> None:
    """Give each leaf its next value, computed for many at once; its gradient has been used then."""
    for leaf, value in zip(leaves, values, strict=False):
        leaf.value = value
        leaf.spent = 1


def forget(leaves: Iterable[Any]) -> None:
    """Leave the leaves without a gradient."""
    for leaf in leaves:
        leaf.arrived = None
        leaf.spent = 0


def landed(leaves: Iterable[Any], gradients: Iterable[Array]) -> None:
    """Give each leaf the gradient that it has from here on, forgetting an older one."""
    for leaf, gradient in zip(leaves, gradients, strict=False):
        leaf.arrived = gradient
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
