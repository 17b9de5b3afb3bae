"""A backward pass that is only looked at: gradients at values, and how much passes along each edge."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.backward import Part, pull, start, sweep
from tinygrad_lo.engine.graph import Array, Node


@dataclass(slots=True)
class Flow:
    """What a backward pass sent. An edge is called by its head's birth and which of its inputs it is."""

    gradients: dict[int, Array] = field(default_factory=dict)  # at values, by birth
    # The largest |gradient| along each edge; None where it is not known.
    strengths: dict[tuple[int, int], float | None] = field(default_factory=dict)


def flow_back(root: Node, kept: Collection[int]) -> Flow:
    """The gradients at the leaves and at the births `kept`, and all strengths; no `.grad` changes.

    The plain `pull` runs under `anomaly()` too: a picture must be able to show where a nan began.
    """
    strengths: dict[tuple[int, int], float | None] = {}

    def watch(node: Node, g: Array) -> Iterable[Part]:
        for i, parent, part in pull(node, g):
            strengths[node.birth, i] = largest_magnitude(part)
            yield i, parent, part

    with np.errstate(all="ignore"):  # a picture shows nan and ∞; it need not warn of them as well
        _, leaves, inner = sweep(root, start(root, None), watch, kept)
    return Flow(leaves | inner, strengths)


def largest_magnitude(x: Array) -> float | None:
    """The largest |x|, nan if there is one; None of an empty array, or one that is not computed."""
    if isinstance(x, float):  # of a graph of numbers, each edge has one
        return abs(float(x))
    known = concrete(x)
    return float(np.max(np.abs(known))) if known is not None and known.size else None


def concrete(x: Array) -> ndarray[Any, Any] | None:
    """The numbers of an array, or None where they are lazy or on another device."""
    return np.asarray(x) if isinstance(x, (ndarray, np.generic, float, int)) else None
