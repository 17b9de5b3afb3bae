"""What happens beside the graph, said in a way that a recording sees: checks, updates, branches, leaving.

A function that is recorded runs again without its Python: only ops are replayed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Array, Node, Op, T, active, modes, node_of


def check(
    x: T, valid: Callable[..., bool], complain: Callable[..., Exception], *facts: Any, whole: bool = False
) -> T:
    """Pass `x` through if `valid(its data, *facts)`, else raise `complain(its data, *facts)`.

    Losses examine their targets only through this and through ops, so that whoever records a loss
    knows everything that depends on the labels. A Dask array is examined when it is computed, block by
    block with the last axis in one piece, unless its validity is a question about the `whole`.
    """
    if hasattr(type(x), "__dask_graph__") and not whole:
        lazy: Any = x
        rows = lazy.rechunk({lazy.ndim - 1: -1}) if lazy.ndim > 1 else lazy
        passed: T = rows.map_blocks(checked_block, Check(valid, complain), facts, meta=rows._meta)  # noqa: SLF001
        return passed
    data = x.value if isinstance(x, Node) else x
    if not valid(data, *facts):
        if active and modes.recording is not None:
            modes.recording.failed = True
        raise complain(data, *facts)
    if active and modes.recording is not None:
        modes.recording.effect(Check(valid, complain), x, facts)
    return x


@dataclass(frozen=True, slots=True)
class Check:
    """A validity check as a recorded program runs it again: on other data, in the same place."""

    valid: Callable[..., bool]
    complain: Callable[..., Exception]

    def __call__(self, data: Array, *facts: Any) -> None:
        """Raise unless the data is valid."""
        if not self.valid(data, *facts):
            raise self.complain(data, *facts)


def checked_block(data: Array, test: Check, facts: tuple[Any, ...], block_info: Any = None) -> Array:
    """A block of a lazy array, examined; an error says which row of the whole its row 0 is."""
    try:
        if data.size:
            test(data, *facts)
    except Exception as error:
        if data.ndim:
            error.add_note(f"(row 0 is row {block_info[0]['array-location'][0][0]} of the whole lazy array)")
        raise
    return data


def late(module: str, name: str) -> Callable[[Node], Any]:
    """A method whose function lives in a room below, which is loaded when a notebook asks for it."""

    def method(self: Node) -> Any:
        return getattr(importlib.import_module(module), name)(self)

    return method


def effect(action: Callable[..., None], x: Any, *facts: Any) -> None:
    """Run `action(data of x, *facts)`, which changes something outside the graph, now and whenever replayed.

    Arrays among the facts may be written into; nothing else may. Inside `no_effects` nothing is.
    """
    if not modes.effects:
        return
    if active and modes.recording is not None:
        modes.recording.effect(action, x, facts)
    action(x.value if isinstance(x, Node) else x, *facts)


@contextmanager
def no_effects() -> Iterator[None]:
    """Measure a function without a trace. No `mode`: while one is on, every op takes the longer way."""
    before, modes.effects = modes.effects, False
    try:
        yield
    finally:
        modes.effects = before


def leave(how: str, *values: Any) -> None:
    """Raise if a value is about to leave the graph of a function that is being recorded.

    What Python computes from it could not be replayed.
    """
    if active and modes.recording is not None and any(isinstance(value, Node) for value in values):
        modes.recording.leave(how, values)


def branch(condition: Node, answer: bool) -> bool:
    """The truth of a tensor, on which Python is about to branch: a recording holds only while it stays so."""
    if active and modes.recording is not None:
        modes.recording.guard(condition, answer)
    return answer


def fact(function: Callable[..., Any], values: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """What a NumPy function without a derivative says of tensors: a plain answer.

    A recording gets it as a tensor instead, so that it sees what becomes of it.
    """
    if active and modes.recording is not None and function not in OF_SHAPES:
        return modes.recording.fact(function, values, options)
    return function(*raw(values), **{name: raw(value) for name, value in options.items()})


# Answered from shapes and dtypes alone.
OF_SHAPES = {np.zeros_like, np.ones_like, np.empty_like, np.full_like, np.shape, np.ndim, np.size}
OF_SHAPES |= {np.result_type}


def raw(value: Any) -> Any:
    """Tensors replaced by their arrays, also inside lists and tuples."""
    if isinstance(value, Node):
        return value.value
    if isinstance(value, (list, tuple)):
        return type(value)(raw(item) for item in value)
    return value


def remembered(function: Callable[..., Any], *inputs: Any) -> Any:
    """Call an op of the table; a result computed from a comparison, too, remembers where it comes from.

    For masks that a loss or an activation makes of masks: printed, the loss must compute them again.
    """
    out = function(*inputs)
    constant = isinstance(out, Node) and out.op is None and not modes.grad_off
    if constant and any(isinstance(x, Node) and (x.needs or x.op is not None) for x in inputs):
        op: Op = function.op  # type: ignore[attr-defined]
        parents = tuple(x if isinstance(x, Node) else None for x in inputs)
        return node_of(op, out.value, parents, tuple(map(raw, inputs)), needs=False)
    return out
