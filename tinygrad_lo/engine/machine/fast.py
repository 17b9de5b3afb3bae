"""The same as backward.py, sooner: one plain function for each op, and the hot sweep.

What is unusual (a mode is on, a list, a subclass, a Dask array) goes to `backward.call`. The sweeps are
proved equal by tests/engine/test_sweeps_agree.py, and the whole test suite passes with TINYGRAD_LO_PLAIN=1,
which switches this file off.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Collection
from heapq import heappop, heappush
from typing import Any

from numpy import float32, float64, ndarray

from tinygrad_lo.engine import backward, graph
from tinygrad_lo.engine.backward import Births, call, deposit, owned, pull, start, unbroadcast
from tinygrad_lo.engine.graph import Array, Node, Op, active, constant, modes, new, same, tick
from tinygrad_lo.engine.machine.arguments import REAL, SCALARS
from tinygrad_lo.engine.machine.hooks import leave
from tinygrad_lo.engine.machine.refusals import changed, refusal
from tinygrad_lo.engine.scores import ONE_MINUS, note
from tinygrad_lo.options import unknown

PLAIN = os.environ.get("TINYGRAD_LO_PLAIN") == "1"  # run on backward.py alone

TENSOR: Any = None
PARAMETER: Any = None


def register(tensor: type[Node], parameter: type[Node]) -> None:
    """Tell the calls which classes they return and recognize; tensor.py does, once."""
    global TENSOR, PARAMETER
    graph.results_are(tensor)
    TENSOR = tensor
    PARAMETER = parameter


def unary(op: Op) -> Callable[[Any], Any]:
    """The function of an op with one input and no options."""
    forward = op.forward
    maker = op.probability == "makes"

    def quick(x: Any) -> Any:
        if active:
            return call(op, x)
        kind = type(x)
        try:
            if kind is TENSOR or kind is PARAMETER:
                data = x.value
                result = forward(data)
            elif kind is float64 or (kind is ndarray and x.dtype.kind in REAL):
                return forward(x)
            else:
                return call(op, x)
        except (TypeError, ValueError, IndexError, OverflowError) as error:
            raise refusal(op, (x,), error) from error
        if not x.needs:
            return note(constant(result), op, (x,), (data,)) if maker else constant(result)
        out = new(TENSOR)
        out.value = result
        out.needs = True
        out.op = op
        out.from_a = x
        out.in_a = data
        out.in_b = ()
        out.label = None
        out.birth = tick()
        return out

    return quick


def binary(op: Op) -> Callable[[Any, Any], Any]:
    """The function of an op with two inputs and no options."""
    forward = op.forward
    traced = bool(op.probability)
    second = op.name == ONE_MINUS

    def quick(a: Any, b: Any) -> Any:
        if active:
            return call(op, a, b)
        kind = type(a)
        if kind is TENSOR or kind is PARAMETER:
            x = a.value
            needs = a.needs
            kind = type(b)
            if kind is TENSOR or kind is PARAMETER:
                y = b.value
                if b.needs:
                    needs = True
            elif kind in SCALARS or (kind is ndarray and b.dtype.kind in REAL):
                y = b
                b = None
            else:
                return call(op, a, b)
        elif kind in SCALARS or (kind is ndarray and a.dtype.kind in REAL):
            x = a
            kind = type(b)
            if kind is TENSOR or kind is PARAMETER:
                y = b.value
                needs = b.needs
                a = None
            elif kind in SCALARS or (kind is ndarray and b.dtype.kind in REAL):
                try:
                    return forward(a, b)
                except (TypeError, ValueError, IndexError, OverflowError) as error:
                    raise refusal(op, (a, b), error) from error
            else:
                return call(op, a, b)
        else:
            return call(op, a, b)
        try:
            data = forward(x, y)
        except (TypeError, ValueError, IndexError, OverflowError) as error:
            raise refusal(op, (x, y), error) from error
        if not needs:
            moved = b if second else a
            if traced and moved is not None and moved.from_a is not None:
                return note(constant(data), op, (a, b), (x, y))
            return constant(data)
        out = new(TENSOR)
        out.value = data
        out.needs = True
        out.op = op
        out.from_a = a
        out.from_b = b
        out.in_a = x
        out.in_b = y
        out.label = None
        out.birth = tick()
        return out

    return quick


def optioned(op: Op) -> Callable[..., Any]:
    """The function of an op with one input, called with every option in its place."""
    forward = op.forward
    traced, maker = bool(op.probability), op.probability == "makes"

    def quick(x: Any, *options: Any) -> Any:
        if active:
            return call(op, x, *options)
        kind = type(x)
        try:
            if kind is TENSOR or kind is PARAMETER:
                data = x.value
                result = forward(data, *options)
            elif kind is float64 or (kind is ndarray and x.dtype.kind in REAL):
                return forward(x, *options)
            else:
                return call(op, x, *options)
        except (TypeError, ValueError, IndexError, OverflowError) as error:
            raise refusal(op, (x, *options), error) from error
        if not x.needs:
            if traced and (maker or x.from_a is not None):
                return note(constant(result), op, (x,), (data, *options))
            return constant(result, data)
        out = new(TENSOR)
        out.value = result
        out.needs = True
        out.op = op
        out.from_a = x
        out.in_a = data
        out.in_b = options
        out.label = None
        out.birth = tick()
        return out

    return quick


def anything(op: Op) -> Callable[..., Any]:
    """The function of an op of any other arity, or without a derivative."""
    forward = op.forward

    def quick(*inputs: Any) -> Any:
        if not active:
            for x in inputs:
                kind = type(x)
                if kind not in SCALARS and (kind is not ndarray or x.dtype.kind not in REAL):
                    break
            else:
                try:
                    return forward(*inputs)
                except (TypeError, ValueError, IndexError, OverflowError) as error:
                    raise refusal(op, inputs, error) from error
        return call(op, *inputs)

    return quick


def hot_sweep(root: Node, seed: Array, keep: Collection[int] = ()) -> tuple[Births, Births, Births]:
    """`backward.sweep` on plain arrays.

    The newest node that has a gradient is in hand (`node`, `birth`, `g`), the next newest in `after`,
    and only the others wait in the heap: along a chain nothing goes through heap or dictionaries.
    """
    if active:
        leave("a backward pass", root)
        if modes.watch is not None:
            return backward.sweep(root, seed, keep=keep)
    nodes: Births = {}
    grads: Births = {}
    kept: Births = {}
    heap: list[int] = []
    node: Any = root
    birth = root.birth
    g = seed
    if root.op is None:
        return {birth: root}, {birth: seed}, kept
    while True:
        if keep and birth in keep:
            kept[birth] = g
        op = node.op
        after: Any = None
        parent = node.from_a
        other = second = None
        if op.arity == 1:
            options = node.in_b
            if options:
                part = op.rules[0](g, node.value, node.in_a, *options)
            else:
                part = op.rules[0](g, node.value, node.in_a)
        elif op.arity == 2:
            rule, second = op.rules
            other = node.from_b
            if parent is not None and (rule is None or not parent.needs):
                if parent.op is None and birth > parent.stamp:
                    raise changed(parent)
                parent = None
            elif parent is not None:
                part = g if rule is same else rule(g, node.value, node.in_a, node.in_b)
                if type(part) is not float64 and part.shape != parent.value.shape:
                    part = unbroadcast(part, parent.value.shape)
        else:
            for _, parent, part in pull(node, g):
                key = parent.birth
                part = owned(part, g) if parent.op is None else part
                if key in grads:
                    grads[key] = grads[key] + part
                else:
                    grads[key] = part
                    nodes[key] = parent
                    if parent.op is not None:
                        heappush(heap, key)
            parent = None
        # The two blocks below differ in little but the operand; a shared helper would cost a call for
        # each edge, a tenth of the sweep.
        if parent is not None:
            key = parent.birth
            if parent.op is None:
                if birth > parent.stamp:
                    raise changed(parent)
                if type(part) is ndarray and (part is g or part.base is not None):
                    part = part.copy()
                if key in grads:
                    grads[key] = grads[key] + part
                else:
                    grads[key] = part
                    nodes[key] = parent
            elif key in grads:
                grads[key] = grads[key] + part
            elif heap and heap[0] < key:
                grads[key] = part
                nodes[key] = parent
                heappush(heap, key)
            else:
                after, after_birth, after_g = parent, key, part
        if other is not None:
            parent = other
            if second is None or not parent.needs:
                if parent.op is None and birth > parent.stamp:
                    raise changed(parent)
            else:
                part = g if second is same else second(g, node.value, node.in_a, node.in_b)
                if type(part) is not float64 and part.shape != parent.value.shape:
                    part = unbroadcast(part, parent.value.shape)
                key = parent.birth
                if parent.op is None:
                    if birth > parent.stamp:
                        raise changed(parent)
                    if type(part) is ndarray and (part is g or part.base is not None):
                        part = part.copy()
                    if key in grads:
                        grads[key] = grads[key] + part
                    else:
                        grads[key] = part
                        nodes[key] = parent
                elif after is parent:
                    after_g = after_g + part
                elif key in grads:
                    grads[key] = grads[key] + part
                elif after is not None and key < after_birth:
                    grads[after_birth] = after_g
                    nodes[after_birth] = after
                    heappush(heap, after_birth)
                    after, after_birth, after_g = parent, key, part
                elif after is None and not (heap and heap[0] < key):
                    after, after_birth, after_g = parent, key, part
                else:
                    grads[key] = part
                    nodes[key] = parent
                    heappush(heap, key)
        if after is not None:
            node, birth, g = after, after_birth, after_g
        elif heap:
            birth = heappop(heap)
            node = nodes.pop(birth)
            g = grads.pop(birth)
        else:
            return nodes, grads, kept


ONES = {float64: float64(1.0), float32: float32(1.0)}


@functools.wraps(backward.backward)
def hot_backward(root: Node, seed: Any = None, **others: Any) -> None:  # noqa: D103 (as the plain one)
    if others:  # as of options.public, without its price
        raise unknown("backward", next(iter(others)), ["seed"])
    one = ONES.get(type(root.value)) if seed is None and root.needs else None
    leaves, grads, _ = hot_sweep(root, start(root, seed) if one is None else one)
    deposit(leaves, grads)


sweep: Callable[..., tuple[Births, Births, Births]] = backward.sweep if PLAIN else hot_sweep
run_backward = backward.backward if PLAIN else hot_backward
