"""How an op is called: the hot path, one plain function call for each op.

`binary(op)` and `unary(op)` return the function that users call. It tests exact classes, runs the
forward, and fills one node. Everything unusual (a mode is on, a list, a subclass, a Dask array, an
option) goes to `slow`, which is written to be read.

Array in, array out; tensor in, tensor out: without a tensor among the inputs the plain forward runs
and nothing is built.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Array, Node, Op, active, label, modes, tick
from tinygrad_lo.engine.scores import MAKERS, TRACED, note
from tinygrad_lo.engine.values import REAL, SCALARS, plain
from tinygrad_lo.errors import DTypeError, IndexingError, LoError, ShapeError

TENSOR: Any = None
PARAMETER: Any = None
new = object.__new__


def register(tensor: type[Node], parameter: type[Node]) -> None:
    """Tell the calls which classes they return and recognize; tensor.py does, once."""
    global TENSOR, PARAMETER
    TENSOR = tensor
    PARAMETER = parameter


def constant(data: Array) -> Any:
    """A tensor that remembers no inputs and needs no gradient.

    A view is copied: changed in place, the array that it looks into would change a live graph unseen.
    """
    if type(data) is ndarray and data.base is not None:
        data = data.copy()
    out = new(TENSOR)
    out.value = data
    out.needs = False
    out.op = out._label = out.arrived = out._pa = None
    out.stamp = out.spent = 0
    out.birth = tick()
    return out


def node_of(op: Op, data: Array, parents: tuple[Any, ...], raw: tuple[Any, ...], *, needs: bool) -> Any:
    """The node of an op of any arity, its slots filled."""
    out = new(TENSOR)
    out.value = data
    out.needs = needs
    out.op = op
    out._label = None
    if op.arity == 1:
        out._pa, out._a, out._b = parents[0], raw[0], raw[1:]
    elif op.arity == 2:
        out._pa, out._pb, out._a, out._b = (*parents, *raw)
    else:
        out._pa, out._a = parents, raw
    out.birth = tick()
    return out


def remembered(function: Callable[..., Any], *inputs: Any) -> Any:
    """Call an op of the table; a result computed from a comparison, too, remembers where it comes from.

    For masks that a loss or an activation makes of masks: printed, the loss must compute them again.
    """
    out = function(*inputs)
    if (
        isinstance(out, Node)
        and out.op is None
        and not modes.grad_off
        and any(isinstance(x, Node) and (x.needs or x.op is not None) for x in inputs)
    ):
        op: Op = function.op  # type: ignore[attr-defined]
        parents = tuple(x if isinstance(x, Node) else None for x in inputs)
        raw = tuple(x.value if isinstance(x, Node) else x for x in inputs)
        return node_of(op, out.value, parents, raw, needs=False)
    return out


def unary(op: Op) -> Callable[[Any], Any]:
    """The function of an op with one input and no options."""
    forward = op.forward
    maker = op.name in MAKERS

    def call(x: Any) -> Any:
        if active:
            return slow(op, x)
        kind = type(x)
        try:
            if kind is TENSOR or kind is PARAMETER:
                data = x.value
                result = forward(data)
            elif kind is ndarray and x.dtype.kind in REAL:
                return forward(x)
            else:
                return slow(op, x)
        except (TypeError, ValueError, IndexError, OverflowError) as error:
            raise refusal(op, (x,), error) from error
        if not x.needs:
            return note(constant(result), op, (x,), (data,)) if maker else constant(result)
        out = new(TENSOR)
        out.value = result
        out.needs = True
        out.op = op
        out._pa = x
        out._a = data
        out._b = ()
        out._label = None
        out.birth = tick()
        return out

    return call


def binary(op: Op) -> Callable[[Any, Any], Any]:
    """The function of an op with two inputs and no options."""
    forward = op.forward
    traced = op.name in TRACED
    second = op.name == "subtract"

    def call(a: Any, b: Any) -> Any:
        if active:
            return slow(op, a, b)
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
                return slow(op, a, b)
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
                return slow(op, a, b)
        else:
            return slow(op, a, b)
        try:
            data = forward(x, y)
        except (TypeError, ValueError, IndexError, OverflowError) as error:
            raise refusal(op, (x, y), error) from error
        if not needs:
            moved = b if second else a
            if traced and moved is not None and moved._pa is not None:
                return note(constant(data), op, (a, b), (x, y))
            return constant(data)
        out = new(TENSOR)
        out.value = data
        out.needs = True
        out.op = op
        out._pa = a
        out._pb = b
        out._a = x
        out._b = y
        out._label = None
        out.birth = tick()
        return out

    return call


def optioned(op: Op) -> Callable[..., Any]:
    """The function of an op with one input, called with every option in its place."""
    forward = op.forward
    traced, maker = op.name in TRACED, op.name in MAKERS

    def call(x: Any, *options: Any) -> Any:
        if active:
            return slow(op, x, *options)
        kind = type(x)
        try:
            if kind is TENSOR or kind is PARAMETER:
                data = x.value
                result = forward(data, *options)
            elif kind is ndarray and x.dtype.kind in REAL:
                return forward(x, *options)
            else:
                return slow(op, x, *options)
        except (TypeError, ValueError, IndexError, OverflowError) as error:
            raise refusal(op, (x, *options), error) from error
        if not x.needs:
            if traced and (maker or x._pa is not None):
                return note(constant(result), op, (x,), (data, *options))
            return constant(result)
        out = new(TENSOR)
        out.value = result
        out.needs = True
        out.op = op
        out._pa = x
        out._a = data
        out._b = options
        out._label = None
        out.birth = tick()
        return out

    return call


def anything(op: Op) -> Callable[..., Any]:
    """The function of an op of any other arity, or without a derivative."""
    forward = op.forward

    def call(*inputs: Any) -> Any:
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
        return slow(op, *inputs)

    return call


def slow(op: Op, *inputs: Any) -> Any:
    """Call an op with inputs of any class, in any mode."""
    if modes.recording is not None:
        return modes.recording.call(op, inputs)
    arity = len(inputs) - 1 if op.arity is None else op.arity
    parents: list[Any] = []
    raw: list[Any] = []
    for i, value in enumerate(inputs):
        if i >= arity:
            raw.append(value)
        elif isinstance(value, Node):
            parents.append(value)
            raw.append(value.value)
        else:
            parents.append(None)
            raw.append(plain(value, op.name, "exponent" if op.name == "power" and i else "operand"))
    watch = modes.watch
    try:
        if watch is None:
            data = op.forward(*raw)
        else:
            with np.errstate(all="ignore"):  # the watch says it better than NumPy's warning
                data = op.forward(*raw)
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        raise refusal(op, tuple(raw), error) from error
    nodes = [parent for parent in parents if parent is not None]
    if not nodes:
        if watch is not None:
            watch.computed(op, raw, data)
        return data
    needed = any(node.needs for node in nodes)
    if modes.grad_off or not needed:
        out = constant(data)
        if modes.grad_off and any(node.needs is not False for node in nodes):
            out.needs = None  # as false as False, and says why: errors want to know
        if op.name in TRACED:
            note(out, op, tuple(parents), tuple(raw))
    else:
        # A comparison of parameters has no gradient, but remembers what it was made of: printed or
        # drawn, it is no data. What is computed from it alone is, and holds on to no graph.
        out = node_of(op, data, tuple(parents), tuple(raw), needs=op.differentiable)
    if modes.scope is not None:
        label(out).scope = modes.scope
    if watch is not None:
        watch.made(out, op, raw)
    return out


def refusal(op: Op, inputs: tuple[Any, ...], error: Exception) -> Exception:
    """The error for the reader, made from the one that NumPy raised."""
    if isinstance(error, LoError):
        return error
    inputs = tuple(x.value if isinstance(x, Node) else x for x in inputs)
    if op.refuse is not None:
        better = op.refuse(error, *inputs)
        if better is not None:
            return better
    if isinstance(error, IndexError):
        return IndexingError(f"{op.name}: {error}")
    if isinstance(error, (TypeError, OverflowError)):
        return DTypeError(f"{op.name}: {error}")
    return ShapeError(f"{op.name}: {error}")


def no_broadcast(name: str, *inputs: Array) -> Exception | None:
    """The error for shapes that do not broadcast, naming the first axis at which they differ."""
    shapes = [np.shape(x) for x in inputs]
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        *most, last = map(str, shapes)
        text = f"{', '.join(most)} and {last}"
        for axis in range(-1, -1 - max(map(len, shapes)), -1):
            sizes = [shape[axis] for shape in shapes if len(shape) >= -axis and shape[axis] != 1]
            odd = next((size for size in sizes if size != sizes[0]), None)
            if odd is not None:
                return ShapeError(f"{name}: {text} cannot be broadcast; axis {axis}: {sizes[0]} vs {odd}")
    return None
