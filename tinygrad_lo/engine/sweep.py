"""The reverse sweep: from one node back to the leaves, newest node first.

`sweep` is the hot one. It runs rules on plain arrays, keeps gradients in a dictionary by birth
number (never on nodes: two threads may share a trunk), and hands out nothing before it has ended,
so a sweep that fails changes nothing. `walk` is the same loop written to be read, with the work at
each node passed in: rules on tensors for higher derivatives, rules under watch for anomaly().
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable
from heapq import heappop, heappush
from typing import Any

import numpy as np
from numpy import float64, ndarray

from tinygrad_lo.engine.beside import leave
from tinygrad_lo.engine.graph import Array, Label, Node, Rule, active, modes, quoted, same
from tinygrad_lo.engine.values import as_data, foreign, shape_of
from tinygrad_lo.errors import GraphError, MutationError, ShapeError

Births = dict[int, Any]
Part = tuple[int, Node, Array]  # which input of a node, the tensor there, and the gradient sent to it
add_up: Any = np.add.reduce
TALL = 2**16  # from this many rows on, float32 sums are made in blocks


ONES = {float64: float64(1.0), np.float32: np.float32(1.0)}


def start(root: Node, seed: Any, who: str = "backward()") -> Array:
    """The gradient that a backward pass starts from: the seed, or one."""
    data = root.value
    needs: Any = root.needs
    if not needs:
        where = root._label.where if isinstance(root._label, Label) else None
        made = f"it was made at {where}" if where else "run inside lo.anomaly() to see where it was made"
        if needs is None:
            why = "it was computed under no_grad, where nothing requires a gradient; compute it outside"
        else:
            why = (
                "nothing requires a gradient among the values it was made from; start from one that was "
                "computed from a Parameter"
            )
        raise GraphError(f"{who}: {quoted(root, 'this tensor')} does not require grad: {why} ({made})")
    if seed is None:
        one = ONES.get(type(data))
        if one is not None:
            return one
        if data.size != 1:
            seeded = f"pass seed= of shape {data.shape}" if who == "backward()" else "lo.jacobian"
            raise GraphError(
                f"{who} needs one number to start from, this tensor has shape {data.shape}; "
                f"use .sum() or .mean(), or {seeded}"
            )
        return (
            np.ones(data.shape, data.dtype)[()] if isinstance(data, (ndarray, np.generic)) else data * 0 + 1
        )
    if isinstance(seed, Node):
        seed = seed.value
    if not foreign(seed):
        seed = +as_data(seed, data.dtype)  # a copy: gradients must not be the caller's array
    if seed.shape != data.shape:
        raise ShapeError(f"seed has shape {seed.shape}, the tensor {data.shape}")
    return seed


def sweep(root: Node, seed: Array, keep: Collection[int] = ()) -> tuple[Births, Births, Births]:
    """Gradients of `root` by everything it was made from, on plain arrays.

    Returns (leaves, gradients, kept), all by birth: the leaves that were reached, their gradients,
    and the gradients at the nodes whose births are in `keep`.

    The newest node that has a gradient is in hand (`node`, `birth`, `g`), the next newest in `after`,
    and only the others wait in the heap: along a chain nothing goes through heap or dictionaries.
    """
    if active:
        leave("a backward pass", root)
        if modes.watch is not None:
            return walk(root, seed, modes.watch.pull, keep)
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
        parent = node._pa
        other = second = None
        if op.arity == 1:
            options = node._b
            if options:
                part = op.rules[0](g, node.value, node._a, *options)
            else:
                part = op.rules[0](g, node.value, node._a)
        elif op.arity == 2:
            rule, second = op.rules
            other = node._pb
            if parent is not None and (rule is None or not parent.needs):
                if parent.op is None and birth > parent.stamp:
                    raise changed(parent)
                parent = None
            elif parent is not None:
                part = g if rule is same else rule(g, node.value, node._a, node._b)
                if type(part) is not float64 and part.shape != parent.value.shape:
                    part = unbroadcast(part, parent.value.shape)
        else:
            for _, parent, part in pull(node, g):
                receive(nodes, grads, heap, parent, part, g)
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
                part = g if second is same else second(g, node.value, node._a, node._b)
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


def receive(nodes: Births, grads: Births, heap: list[int], parent: Node, part: Array, g: Array) -> None:
    """Add `part`, which a node made of `g`, to what has arrived at its parent."""
    key = parent.birth
    # A leaf's gradient must be its own array: + hands the same g to both inputs, views share memory.
    if parent.op is None and isinstance(part, ndarray) and (part is g or part.base is not None):
        part = part.copy()
    if key in grads:
        grads[key] = grads[key] + part
    else:
        grads[key] = part
        nodes[key] = parent
        if parent.op is not None:
            heappush(heap, key)


def pull(node: Node, g: Array) -> Iterable[Part]:
    """Run the node's rules on arrays."""
    return contributions(node, g, node.value, node.inputs)


def pull_graph(node: Node, g: Array) -> Iterable[Part]:
    """Run the node's rules on tensors, so that the gradients are graphs themselves."""
    return contributions(node, g, node, tensors(node)[0])


def tensors(node: Node) -> tuple[list[Any], list[Node]]:
    """The inputs of a node with tensors where they were tensors; and the masks among them.

    A mask has no gradient and remembers of what it was made.
    """
    inputs, masks = list(node.inputs), []
    for i, parent in enumerate(node.parents):
        if parent is not None:
            if parent.op is None:
                if parent.value is not inputs[i]:
                    raise changed(parent)
            elif not parent.needs:
                masks.append(parent)
            inputs[i] = parent
    return inputs, masks


def contributions(
    node: Node, g: Array, y: Array, inputs: Iterable[Any], rules: tuple[Rule | None, ...] = ()
) -> Iterable[Part]:
    """What one node sends to each of its inputs that needs a gradient, one rule at a time."""
    op = node.op
    assert op is not None  # leaves are never pulled
    rules = rules or op.rules
    for i, parent in enumerate(node.parents):
        if parent is None:
            continue
        if parent.op is None and node.birth > parent.stamp:
            raise changed(parent)
        if not parent.needs:
            continue
        rule = rules[0 if op.arity is None else i]
        if rule is not None:
            part = rule(i, g, y, *inputs) if op.arity is None else rule(g, y, *inputs)
            shape = shape_of(parent)
            if shape_of(part) != shape:
                part = unbroadcast(part, shape)
            yield i, parent, part


def edges(node: Node) -> list[tuple[int, Node]]:
    """The inputs of a node to which a gradient flows."""
    op = node.op
    if op is None:
        return []
    rules = op.rules
    return [
        (i, parent)
        for i, parent in enumerate(node.parents)
        if parent is not None and parent.needs and rules[0 if op.arity is None else i] is not None
    ]


def walk(
    root: Node,
    seed: Array,
    work: Callable[[Node, Array], Iterable[Part]],
    keep: Collection[int] = (),
) -> tuple[Births, Births, Births]:
    """`sweep`, with `work(node, g)` saying what each node sends to its parents."""
    nodes: Births = {root.birth: root}
    grads: Births = {root.birth: seed}
    kept: Births = {}
    heap = [root.birth] if root.op is not None else []
    while heap:
        birth = heappop(heap)
        node = nodes.pop(birth)
        g = grads.pop(birth)
        if birth in keep:
            kept[birth] = g
        for _, parent, part in work(node, g):
            receive(nodes, grads, heap, parent, part, g)
    return nodes, grads, kept


def deposit(leaves: Births, grads: Births) -> None:
    """Add the gradients of a finished sweep to `.grad` of the leaves: the only writer of gradients."""
    for birth, g in grads.items():
        leaf = leaves[birth]
        if type(g) is not float64 or type(leaf.value) is not float64:
            if type(g) is ndarray and not g.ndim:
                g = g[()]
            dtype = leaf.value.dtype
            if g.dtype is not dtype and g.dtype != dtype:
                g = g.astype(dtype)
        if leaf.arrived is None:
            leaf.arrived = g
        else:
            # A new array each time: the old one may be in the user's hands.
            leaf.arrived = leaf.arrived + g
            if leaf.spent:
                leaf.spent = 2


def changed(leaf: Node) -> MutationError:
    """The error for a leaf whose data was assigned after a live graph had used it."""
    return MutationError(
        f"{quoted(leaf, 'a leaf')} was changed after the forward pass; run it again, "
        f"then call backward() before changing .data"
    )


def unbroadcast(g: Array, shape: tuple[int, ...]) -> Array:
    """Sum a gradient over the axes along which NumPy had stretched the input to fit."""
    axes = stretched(g.shape, shape)
    if axes:
        g = total(g, axes)
    return g.reshape(shape) if g.shape != shape else g


@functools.lru_cache(maxsize=4096)
def stretched(shape: tuple[int, ...], narrow: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of `shape` along which an array of shape `narrow` was repeated."""
    extra = len(shape) - len(narrow)
    return tuple(range(extra)) + tuple(
        extra + axis for axis, n in enumerate(narrow) if n == 1 and shape[extra + axis] != 1
    )


def total(x: Array, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
    """The sum, in blocks where NumPy would add a tall float32 column number by number.

    NumPy sums pairwise along the contiguous axis only. Down a column it adds one row after the
    other, and float32 stops counting at 2**24: a bias gradient over 2**25 rows is off by half.
    float16, which stops at 2**11, is summed as float32.
    """
    if type(x) is not ndarray:
        return x.sum(axis=axis, keepdims=keepdims)  # a tensor, a number, an array of another library
    if x.dtype.kind == "f" and x.itemsize < 8:
        if x.itemsize == 2:
            return add_up(x, axis=axis, keepdims=keepdims, dtype=np.float32).astype(x.dtype)
        if x.size > TALL and axis is not None:
            return blockwise(x, (axis,) if isinstance(axis, int) else axis, keepdims)
    summed: Array = add_up(x, axis=axis, keepdims=keepdims)
    return summed


def blockwise(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """A sum over several axes, one after the other, long ones in blocks of 4096."""
    shape = x.shape
    axes = tuple(i % x.ndim for i in axes)
    for i in axes:
        if x.shape[i] > 4096 and x.strides[i] != x.itemsize:
            x = np.add.reduceat(x, range(0, x.shape[i], 4096), axis=i)
        x = add_up(x, axis=i, keepdims=True)
    return x if keepdims else x.reshape([n for i, n in enumerate(shape) if i not in axes])[()]
