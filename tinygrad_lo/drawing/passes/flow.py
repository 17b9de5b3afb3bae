"""A backward pass that is only looked at: gradients at values, and what passes along each edge."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.backward import Part, pull, start, sweep
from tinygrad_lo.engine.graph import Array, Node
from tinygrad_lo.explaining.formula import Names
from tinygrad_lo.explaining.steps import Rules, worked

# One edge: the birth of the node that it enters, and which of its inputs it is.
Key = tuple[int, int]


@dataclass(slots=True)
class Flow:
    """What a backward pass sent.

    Attributes:
        gradients: at values, by birth.
        strengths: the largest |gradient| sent along an edge; None where it is not known.
        slopes: local derivatives between scalars.
        formulas: what a gate hands back along an edge, from its rule: `Xᵀ @ ∂L/∂S`.
    """

    gradients: dict[int, Array] = field(default_factory=dict)
    strengths: dict[Key, float | None] = field(default_factory=dict)
    slopes: dict[Key, Array] = field(default_factory=dict)
    formulas: dict[Key, str] = field(default_factory=dict)


def flow_back(
    root: Node,
    names: Names,
    kept: Collection[int],
    seen: Callable[[Node, Node], bool],
    told: Callable[[Node, Node], bool],
    *,
    worded: bool = True,
) -> Flow:
    """Run the rules and write down what passes; no `.grad` changes.

    The plain `pull` runs under `anomaly()` too: a picture must be able to show where a nan began.

    kept: the births at which gradients are wanted.
    seen, told: of which edges (head, tail) the strength, and of which the derivative is wanted.
    worded: whether derivatives are wanted as formulas, too, which takes longer than all the rest.
    """
    flow = Flow()
    rules = Rules()

    def watch(node: Node, g: Array) -> Iterable[Part]:
        for i, parent, part in pull(node, g):
            key = (node.birth, i)
            if seen(node, parent):
                flow.strengths[key] = largest_magnitude(part)
                if told(node, parent) and concrete(part) is not None:
                    if np.ndim(part) == np.ndim(node.value) == 0:
                        flow.slopes[key] = local_derivative(node, i)
                    if worded:
                        _, flow.formulas[key], _ = worked(rules, names, node, i, g)
            yield i, parent, part

    with np.errstate(all="ignore"):  # a picture shows nan and ∞; it need not warn of them as well
        _, leaves, found = sweep(root, start(root, None), watch, kept)
    flow.gradients = {**leaves, **found}
    return flow


def local_derivative(node: Node, i: int) -> Array:
    """The local derivative between scalars: what the rule answers to a gradient of 1."""
    return next(part for k, _, part in pull(node, node.value.dtype.type(1)) if k == i)


def largest_magnitude(x: Array) -> float | None:
    """The largest |x|, nan if there is one; None of an empty array, or one that is not computed."""
    known = concrete(x)
    return float(np.max(np.abs(known))) if known is not None and known.size else None


def concrete(x: Array) -> ndarray[Any, Any] | None:
    """The numbers of an array, or None where they are lazy or on another device."""
    return np.asarray(x) if isinstance(x, (ndarray, np.generic, float, int)) else None
