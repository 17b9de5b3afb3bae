"""What may be written into leaves from outside of the engine: new values, other gradients, none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinygrad_lo.engine.graph import Array, Rule


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


def lend(leaf: Any, value: Array) -> None:
    """Let a leaf hold another array for a while, unseen by graphs, which keep what they saw."""
    leaf.value = value


def settle(node: Any, value: Array) -> None:
    """Put the computed value of a lazy node in its place."""
    node.value = value if getattr(value, "ndim", 1) else value[()]
