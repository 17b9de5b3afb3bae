"""One op forward, and the whole graph back: `call` and `sweep`.

`call` computes the value of an op and, if a gradient may be wanted of it, remembers of what it was made.
`sweep` starts from one value with the gradient 1 and hands to every input its share, by the rules in the
table of ops. Everything runs on these two when TINYGRAD_LO_PLAIN=1; otherwise machine/fast.py does the
same sooner (tests/engine/test_sweeps_agree.py proves them equal, to the bit).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from heapq import heappop, heappush
from typing import Any

import numpy as np
from numpy import float64, ndarray

from tinygrad_lo.engine.graph import SPENT_AGAIN, Array, Node, Op, Rule, active, modes, node_of
from tinygrad_lo.engine.machine.arguments import as_data, foreign, plain
from tinygrad_lo.engine.machine.hooks import leave
from tinygrad_lo.engine.machine.refusals import changed, needs_one_number, no_gradient, refusal
from tinygrad_lo.engine.machine.sums import stretched, total
from tinygrad_lo.engine.naming import mark
from tinygrad_lo.engine.scores import constant_of
from tinygrad_lo.errors import ShapeError

Births = dict[int, Any]
Part = tuple[int, Node, Array]  # which input of a node, the tensor there, and the gradient sent to it
Work = Callable[[Node, Array], Iterable[Part]]  # what a node sends to its inputs


def call(op: Op, *inputs: Any) -> Any:
    """The value of an op: of arrays an array, of tensors a tensor that remembers how it was made."""
    if modes.recording is not None:
        return modes.recording.call(op, inputs)
    count = len(inputs) - 1 if op.arity is None else op.arity  # what follows are options
    parents = tuple(x if isinstance(x, Node) else None for x in inputs[:count])
    read = [x.value if isinstance(x, Node) else plain(x, op.name, op.symbol) for x in inputs[:count]]
    values = (*read, *inputs[count:])
    try:
        value = op.forward(*values) if modes.watch is None else modes.watch.run(op, values)
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        raise refusal(op, values, error) from error
    needs = [x.needs for x in parents if x is not None]
    if not needs:
        return value
    if any(needs) and not modes.grad_off:
        # A comparison of parameters has no gradient, but keeps its inputs: a printed program must compare
        # again. What is computed from comparisons alone is a constant, and holds on to no graph.
        out = node_of(op, value, parents, values, needs=op.differentiable)
    else:
        out = constant_of(op, value, parents, values)
        if modes.grad_off and needs.count(False) < len(needs):
            out.needs = None
    if active:
        mark(out)
    return out


def function_of(op: Op) -> Callable[..., Any]:
    """The function that users call: `multiply(a, b)`."""
    return lambda *inputs: call(op, *inputs)


def backward(root: Node, seed: Any = None) -> None:
    """Add the gradient of this value by each leaf to that leaf's `.grad`.

    Raises:   GraphError: nothing requires a gradient; more than one element and no seed.
              ShapeError: the seed has another shape than the tensor.
              MutationError: a leaf was changed in place since the forward pass.
    Example:
        >>> import tinygrad_lo as lo
        >>> w = lo.Parameter(3.0)
        >>> y = w * w
        >>> y.backward()
        >>> y.backward()  # once more: exactly one more gradient
        >>> float(w.grad)
        12.0
    """
    leaves, grads, _ = sweep(root, start(root, seed))
    deposit(leaves, grads)


def start(root: Node, seed: Any, who: str = "backward()") -> Array:
    """The gradient that a sweep starts from: the seed, or one."""
    value = root.value
    if not root.needs:
        raise no_gradient(root, who)
    if seed is None:
        if value.size != 1:
            raise needs_one_number(root, who)
        if isinstance(value, (ndarray, np.generic)):
            return np.ones(value.shape, value.dtype)[()]
        return np.ones_like(value)
    if isinstance(seed, Node):
        seed = seed.value
    if not foreign(seed):
        seed = +as_data(seed, value.dtype)  # a copy: gradients must not be the caller's array
    if seed.shape != value.shape:
        raise ShapeError(f"seed has shape {seed.shape}, the tensor {value.shape}")
    return seed


def sweep(
    root: Node, seed: Array, work: Work | None = None, keep: Collection[int] = ()
) -> tuple[Births, Births, Births]:
    """Gradients of `root` with respect to what it was made from: (leaves, their gradients, kept), by birth.

    A node is born after its inputs. So the newest node that waits has got all that it will ever get: nobody
    who used it is still to come. A value used twice gets two parts, which are added. Gradients are kept here
    and not on nodes, since two threads may share a graph, and are handed out only when the sweep has ended:
    one that fails changes nothing. `keep` names births of other values whose gradients are wanted: `kept`.
    """
    if work is None:
        work = pull if modes.watch is None else modes.watch.pull
        if active:
            leave("a backward pass", root)  # a recording refuses: it could not be replayed
    nodes: Births = {root.birth: root}
    grads: Births = {root.birth: seed}
    kept: Births = {}
    waiting = [root.birth] if root.op is not None else []  # a heap; births count down, so the newest is first
    while waiting:
        birth = heappop(waiting)
        node, g = nodes.pop(birth), grads.pop(birth)
        if birth in keep:
            kept[birth] = g
        for _, parent, part in work(node, g):
            key = parent.birth
            if key in grads:
                grads[key] = grads[key] + part
                continue
            nodes[key] = parent
            if parent.op is None:
                grads[key] = owned(part, g)
            else:
                grads[key] = part
                heappush(waiting, key)
    return nodes, grads, kept


def pull(node: Node, g: Array) -> Iterable[Part]:
    """Run the node's rules on arrays."""
    return contributions(node, g, node.value, node.inputs)


def pull_graph(node: Node, g: Array) -> Iterable[Part]:
    """Run the node's rules on tensors, so that the gradients are graphs themselves."""
    return contributions(node, g, node, tensors(node))


def contributions(
    node: Node, g: Array, y: Array, inputs: Collection[Any], rules: tuple[Rule | None, ...] = ()
) -> Iterable[Part]:
    """What one node sends to each of its inputs that needs a gradient, one rule at a time."""
    op: Any = node.op
    rules = rules or op.rules
    for i, parent in enumerate(node.parents):
        if parent is None:
            continue
        if parent.op is None and node.birth > parent.stamp:  # the node is older than the leaf's new data
            raise changed(parent)
        rule = rules[0 if op.arity is None else i]
        if rule is None or not parent.needs:
            continue
        part = rule(i, g, y, *inputs) if op.arity is None else rule(g, y, *inputs)
        if getattr(part, "shape", ()) != parent.value.shape:
            part = unbroadcast(part, parent.value.shape)
        yield i, parent, part


def edges(node: Node) -> list[tuple[int, Node]]:
    """The inputs of a node to which a gradient flows."""
    op: Any = node.op
    return [
        (i, parent)
        for i, parent in enumerate(node.parents)
        if parent is not None and parent.needs and op.rules[0 if op.arity is None else i] is not None
    ]


def tensors(node: Node) -> list[Any]:
    """The inputs of a node, with tensors where they were tensors."""
    inputs = list(node.inputs)
    for i, parent in enumerate(node.parents):
        if parent is not None:
            if parent.op is None and parent.value is not inputs[i]:
                raise changed(parent)
            inputs[i] = parent
    return inputs


def owned(part: Array, g: Array) -> Array:
    """A leaf's gradient as an array of its own: + hands the same g to both inputs, views share memory."""
    return part.copy() if isinstance(part, ndarray) and (part is g or part.base is not None) else part


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
                leaf.spent = SPENT_AGAIN


def unbroadcast(g: Array, shape: tuple[int, ...]) -> Array:
    """Sum a gradient over the axes along which NumPy had stretched the input to fit."""
    axes = stretched(g.shape, shape)
    if axes:
        g = total(g, axes)
    return g.reshape(shape) if g.shape != shape else g
