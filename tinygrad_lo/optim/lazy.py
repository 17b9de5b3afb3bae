"""Lazy (Dask) gradients and losses of a step, computed in one pass."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.leaves import place, replace_gradient
from tinygrad_lo.engine.machine.arguments import fitting
from tinygrad_lo.errors import DTypeError


def is_lazy(x: Any) -> bool:
    """Whether this is a Dask collection: numbers that nobody has computed yet."""
    return hasattr(type(x), "__dask_graph__")


def computed_now(who: str, evaluate: Any, params: list[Any]) -> list[Any]:
    """Compute the gradients and the losses that are lazy, all at once, in place; the losses' values."""
    if isinstance(evaluate, (Node, str)) or not isinstance(evaluate, Iterable):
        raise DTypeError(f"{who}: evaluate takes a list of losses: evaluate=[loss]")
    losses: list[Any] = list(evaluate)
    for i, loss in enumerate(losses):
        if not isinstance(loss, Node):
            raise DTypeError(f"{who}: evaluate takes tensors, and entry {i} is {type(loss).__name__}")
    pending = [p for p in params if is_lazy(p.arrived)]
    unknown = [loss for loss in losses if is_lazy(loss.value)]
    if pending or unknown:
        import dask.base

        compute: Any = dask.base.compute
        results = compute(*(p.arrived for p in pending), *(loss.value for loss in unknown))
        gradients = [fitting(p, g, "grad") for p, g in zip(pending, results, strict=False)]
        for p, g in zip(pending, gradients, strict=True):
            replace_gradient(p, g)
        for loss, value in zip(unknown, results[len(pending) :], strict=True):
            place(loss, value)
    return [loss.value for loss in losses]
