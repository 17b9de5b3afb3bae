"""What other rooms write into leaves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tinygrad_lo.engine.graph import Array, Node, Rule


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


def given(leaves: Iterable[Any], values: Iterable[Array]) -> None:
    """Give each leaf its next value, computed for many at once; its gradient has been used then."""
    for leaf, value in zip(leaves, values, strict=False):
        leaf.value = value
        leaf.spent = 1


def landed(leaves: Iterable[Any], gradients: Iterable[Array]) -> None:
    """Give each leaf the gradient that it has from here on, forgetting an older one."""
    for leaf, gradient in zip(leaves, gradients, strict=False):
        leaf.arrived = gradient
        leaf.spent = 0


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


@contextmanager
def asked_for(nodes: Iterable[Any]) -> Iterator[None]:
    """Let gradients flow to these values meanwhile, to data too, of which nobody has wanted one so far."""
    before = [(node, node.needs) for node in nodes]
    try:
        for node, _ in before:
            node.needs = True
        yield
    finally:
        for node, needs in before:
            node.needs = needs


@contextmanager
def untouched(leaves: list[Any]) -> Iterator[None]:
    """Leave the leaves with the values and the gradients that they have now, whatever happens meanwhile."""
    before = [(leaf, leaf.arrived, leaf.spent) for leaf in leaves]
    with placed(leaves):
        try:
            yield
        finally:
            for leaf, gradient, spent in before:
                leaf.arrived, leaf.spent = gradient, spent
