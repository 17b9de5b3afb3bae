"""Derivatives as functions: grad, value_and_grad, jacobian, hessian, hvp, jvp.

They work inside one another: where a result depends on the variables of a transform around, it is a graph.
"""

from __future__ import annotations

import functools
import operator
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tinygrad_lo.engine.backward import Births, Part, Work, contributions, pull, start, sweep, tensors
from tinygrad_lo.engine.graph import Array, Node, constant, mode, reachable
from tinygrad_lo.engine.kinks import Kinks, behind
from tinygrad_lo.engine.machine import fast
from tinygrad_lo.engine.machine.arguments import foreign
from tinygrad_lo.engine.naming import label, quoted
from tinygrad_lo.engine.ops.elementwise import where
from tinygrad_lo.engine.ops.shapes import reshape
from tinygrad_lo.engine.scores import back
from tinygrad_lo.engine.tensor import Parameter, Tensor
from tinygrad_lo.errors import DTypeError, GraphError, OptionError, ShapeError
from tinygrad_lo.options import function, is_whole, public


@public
def grad(output: Any, wrt: Any, create_graph: bool = False, allow_unused: bool = False) -> Any:
    """The gradient of one number by any tensors of its graph, leaves or values in between.

    Changes no `.grad`. With `create_graph=True`, and inside a function that a transform differentiates,
    the results are tensors that can be differentiated again, to any order; constant ones to zeros.

    Shapes:   output: one element. wrt: a tensor or a list; each gradient has its tensor's shape.
    At the edges: with create_graph, an op that sits exactly on a kink is warned of once for each line:
              second derivatives are then those of one branch, and of a length of 0 nan. They are exact
              where what is made of |x|, ‖x‖ or std(x) is smooth: ‖x‖², std(x)², cosh |x|.
    Raises:   GraphError: a tensor is not reached (allow_unused=True gives None for it), or output
              has several elements or needs no gradient.
              MutationError: a leaf's data is no longer what the forward pass saw.
    Example:
        >>> import tinygrad_lo as lo
        >>> x = lo.Parameter(2.0)
        >>> slope = lo.grad(x**3, x, create_graph=True)
        >>> float(lo.grad(slope, x))  # 6 x
        12.0
    """
    return gradients(output, wrt, None, create_graph or inside(output), allow_unused)


def gradients(output: Any, wrt: Any, seed: Any, create_graph: bool, allow_unused: bool = False) -> Any:
    """`grad` with the gradient that it starts from."""
    wanted: Sequence[Any] = wrt if isinstance(wrt, (list, tuple)) else [wrt]
    for value in (output, *wanted):
        if not isinstance(value, Node):
            name = "output" if value is output else "wrt"
            raise DTypeError(f"grad: {name} must be a tensor, got {type(value).__name__}; wrt may be a list")
    keep = {target.birth for target in wanted}
    first = start(output, seed, "grad")
    if create_graph:
        # Rules that run on tensors under no_grad, or in a scope of the user, must not notice it.
        with mode("grad_off", False), mode("scope", None):
            first, work = constant(first), Kinks(output).pull
            _, grads, kept = sweep(output, first, work, keep)
            arrived = grads | kept | by_probabilities(output, first, wanted, work)
            results = [regraphed(fitted(output, x, arrived, allow_unused), output, x) for x in wanted]
    else:
        _, grads, kept = fast.sweep(output, first, keep=keep)
        arrived = grads | kept | by_probabilities(output, first, wanted, pull)
        results = [fitted(output, target, arrived, allow_unused) for target in wanted]
    return results if wanted is wrt else results[0]


def fitted(output: Node, target: Node, arrived: Births, allow_unused: bool) -> Any:
    """What has arrived at the target, in its dtype; None where nothing has and nothing need."""
    g = arrived.get(target.birth)
    if g is None:
        if allow_unused:
            return None
        # A derivative of what did reach it is constant as far as the target goes.
        if not any(node is target for node in behind(output)):
            names = quoted(target, "a tensor in wrt"), quoted(output, "the output")
            raise GraphError("{} is not reached from {}; allow_unused=True gives None".format(*names))
        return np.zeros(target.value.shape, target.value.dtype)[()]
    if g.dtype != target.value.dtype:
        g = g.astype(target.value.dtype)
    elif isinstance(g, np.ndarray) and target.op is not None:
        g = g.copy()  # + hands one array to both of its inputs
    return g[()] if isinstance(g, np.ndarray) and not g.ndim else g


def regraphed(g: Any, output: Node, target: Node) -> Any:
    """A gradient as a tensor that can be differentiated again, also where it is constant: to zeros."""
    if g is None:
        return None
    if not isinstance(g, Node) or not g.needs or g.birth >= output.birth:  # a rule may hand on its input
        g = where(True, g, target)
    label(g).derived = output
    return g


def by_probabilities(output: Node, first: Array, wanted: Sequence[Node], work: Work) -> Births:
    """The gradients by probabilities past which losses hand the gradient, to the scores that they know."""
    found: Births = {}
    for target in wanted:
        if target.op is not None and target.op.probability:
            passed = {
                node.birth
                for node in reachable([output])
                if node.op is not None and node.op.aside and any(x is target for x in back(node.parents[0]))
            }
            if passed:
                found |= sweep(output, first, functools.partial(by_first, work, passed), {target.birth})[2]
    return found


def by_first(work: Work, passed: set[int], node: Node, g: Array) -> Iterable[Part]:
    """What a node sends to its inputs; from a loss in `passed`, to the probability and not to its scores."""
    if node.birth not in passed:
        return work(node, g)
    op: Any = node.op
    y, inputs = (node, tensors(node)) if isinstance(g, Node) else (node.value, node.inputs)
    return contributions(node, g, y, inputs, (op.aside, *op.rules[1:-1], None))


def variable(value: Any) -> Any:
    """A tensor of its own to differentiate by: what else is made of the value does not count."""
    if isinstance(value, Node):
        if value.needs and not isinstance(value, Parameter):  # inside another derivative
            return reshape(value, value.value.shape)
        value = value.value
    return Tensor(float(value) if is_whole(value) else value, requires_grad=True)


def places_of(who: str, argnums: Any, count: int) -> list[int]:
    """The arguments that argnums names."""
    argnums = argnums.tolist() if isinstance(argnums, np.ndarray) else argnums
    if not is_whole(argnums) and not isinstance(argnums, (list, tuple)):
        raise OptionError(f"{who}: argnums must be an int or a list of ints, got {argnums!r}")
    numbers = [argnums] if is_whole(argnums) else argnums
    for i in numbers:
        if not is_whole(i) or not -count <= i < count:
            raise OptionError(f"{who}: argnums {i!r} names no argument; {count} were given")
    places = [int(i) % count for i in numbers]
    if len({*places}) < len(places):
        raise OptionError(f"{who}: argnums {argnums!r} names an argument twice")
    return places


class Open(threading.local):
    """The variables of the derivatives that this thread is in, outermost first."""

    variables: tuple[Node, ...] = ()


around = Open()


def run(who: str, f: Callable[..., Any], args: Sequence[Any], argnums: Any) -> tuple[Any, list[Any], bool]:
    """f's result, and the fresh tensors in place of the arguments that argnums names.

    Last: whether a derivative around this one depends on the result, too. Then derivatives are graphs.
    """
    inputs = list(args)
    places = places_of(who, argnums, len(args))
    for i in places:
        inputs[i] = variable(args[i])
    leaves = [inputs[i] for i in places]
    outer = around.variables
    around.variables = (*outer, *leaves)
    try:
        out = f(*inputs)
    finally:
        around.variables = outer
    if not isinstance(out, Node) or not out.needs:
        raise GraphError(
            f"{who}: the function's result ({type(out).__name__}) does not depend on the argument through "
            f"tensors; compute with operators and NumPy functions, without float(), .data or .item()"
        )
    return out, leaves, any(leaf.op is not None for leaf in leaves) or inside(out)


def inside(output: Any) -> bool:
    """Whether this was computed from the variables of a derivative that this thread is in."""
    if not around.variables or not isinstance(output, Node):
        return False
    births = {node.birth for node in reachable([output])}
    return any(variable.birth in births for variable in around.variables)


@public
def value_and_grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that returns f's value and its gradient by the arguments that `argnums` names.

    Shapes:   f returns one number; the gradient has the argument's shape, or is a tuple of them.
    Raises:   GraphError: f's result does not depend on the argument, or has several elements.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> value, slope = lo.value_and_grad(lambda x: (x * x).sum())(np.array([1.0, 2.0]))
        >>> float(value), slope
        (5.0, array([2., 4.]))
    """
    function("value_and_grad", f, "(f)(x)")

    def transformed(*args: Any) -> tuple[Any, Any]:
        out, leaves, inner = run("value_and_grad", f, args, argnums)
        results = grad(out, leaves, create_graph=inner)
        return out if inner else out.value, results[0] if is_whole(argnums) else tuple(results)

    return transformed


@public
def jacobian(f: Callable[..., Any], argnums: int = 0) -> Callable[..., Array]:
    """A function that returns all first derivatives of f, one backward pass for each output element.

    Shapes:   f: (*in) -> (*out); the result is (*out, *in).
    Raises:   GraphError: f's result does not depend on the argument.  OptionError: argnums is no int.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.jacobian(lambda x: x * x)(np.array([1.0, 2.0]))
        array([[2., 0.],
               [0., 4.]])
        >>> lo.jacobian(lo.jacobian(lambda x: x**3))(2.0)  # 6 x
        np.float64(12.0)
    """
    function("jacobian", f, "(f)(x)")
    if not is_whole(argnums):
        raise OptionError(f"jacobian: argnums must be one int, got {argnums!r}")
    return lambda *args: stacked_rows(*run("jacobian", f, args, argnums))


def stacked_rows(out: Any, leaves: list[Any], inner: bool) -> Any:
    """The gradient of every element of `out` by the leaf, stacked: arrays, or inside a derivative tensors."""
    (leaf,) = leaves
    rows = []
    for i in range(out.size):
        seed = np.zeros(out.size, out.dtype)
        seed[i] = 1.0
        rows.append(gradients(out, leaf, seed.reshape(out.shape), inner))
    stacked: Any = np.stack(rows) if rows else np.zeros((0, *leaf.shape), leaf.dtype)
    stacked = stacked.reshape(out.shape + leaf.shape)
    return stacked if isinstance(stacked, Node) else stacked[()]


@public
def hessian(f: Callable[..., Any]) -> Callable[..., Array]:
    """A function that returns all second derivatives of f, which returns one number.

    Shapes:   f: (*in) -> (); the result is (*in, *in).
    At the edges: at a kink, see `grad`.
    Raises:   GraphError: f's result does not depend on the argument, or has several elements.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.hessian(lambda x: x[0] * x[0] * x[1])(np.array([1.0, 3.0]))
        array([[6., 2.],
               [2., 0.]])
    """
    function("hessian", f, "(f)(x)")

    def transformed(*args: Any) -> Array:
        out, leaves, inner = run("hessian", f, args, 0)
        return stacked_rows(grad(out, leaves[0], create_graph=True), leaves, inner)

    return transformed


@public
def hvp(f: Callable[..., Any], x: Any, v: Any) -> Array:
    """The Hessian of f at x times v, without making the Hessian: two backward passes.

    Shapes:   f: (*in) -> (); x, v and the result: (*in).
    At the edges: at a kink, see `grad`.
    Raises:   ShapeError: v has another shape than x.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.hvp(lambda x: (x**3).sum(), np.array([1.0, 2.0]), np.array([1.0, 1.0]))
        array([ 6., 12.])
    """
    function("hvp", f, "(f, x, v)")
    out, (leaf,), inner = run("hvp", f, (x,), 0)
    v = direction("hvp", v, "v", leaf, "x")
    slope = grad(out, leaf, create_graph=True)
    if inner or varies(v):
        return grad((slope * v).sum(), leaf, create_graph=True)
    return gradients(slope, leaf, v, create_graph=False)


def direction(who: str, v: Any, name: str, leaf: Any, by: str) -> Any:
    """A direction as arrays and tensors are, of the shape of what moves along it."""
    v = v if isinstance(v, Node) or foreign(v) else np.asarray(v)
    if np.shape(v) != leaf.shape:
        raise ShapeError(f"{who}: {name} has shape {np.shape(v)}, {by} {leaf.shape}")
    return v


def varies(v: Any) -> bool:
    """Whether a derivative around this one depends on the direction."""
    return isinstance(v, Node) and v.needs and not isinstance(v, Parameter)


@public
def jvp(f: Callable[..., Any], x: Any, v: Any) -> Array:
    """The derivative of f at x along v, the Jacobian times v, without making the Jacobian.

    Two backward passes: the gradient of uᵀf is Jᵀu for any u, linear in u, and its derivative by u along
    v is J v. So it asks the same rules as `grad` and proves nothing about them: `lo.taylor_test` does.

        J v = d(vᵀ Jᵀ u) / du  =  d f(x + t v) / dt  at t = 0

    Shapes:   f: (*in) -> (*out); x, v: (*in), or lists or tuples of so many arrays; the result: (*out).
    At the edges: at a kink, the slopes that the rules choose, as in `grad`.
    Raises:   ShapeError: v is not built like x.  GraphError: f's result does not depend on x.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.jvp(lambda x: x**2, np.array([1.0, 2.0, 3.0]), np.array([1.0, 0.0, 10.0]))
        array([ 2.,  0., 60.])
        >>> lo.jvp(lambda p: p[0] * p[1], [np.array(2.0), np.array(5.0)], [1.0, 0.1])
        np.float64(5.2)
    """
    function("jvp", f, "(f, x, v)")
    several = isinstance(x, (list, tuple)) and any(isinstance(part, (Node, np.ndarray)) for part in x)
    if not several:
        x, v, call = [x], [v], f
    elif not isinstance(v, (list, tuple)) or len(v) != len(x):
        got = f"{len(v)} parts" if isinstance(v, (list, tuple)) else type(v).__name__
        raise ShapeError(f"jvp: x has {len(x)} parts, so v must be a list or tuple of {len(x)}, got {got}")
    else:
        kind: Any = tuple if isinstance(x, tuple) else list

        def call(*parts: Any) -> Any:
            return f(kind(parts))

    out, leaves, inner = run("jvp", call, x, [*range(len(x))])
    names = [f"[{i}]" for i in range(len(x))] if several else [""]
    along = [direction("jvp", w, "v" + i, leaf, "x" + i) for w, i, leaf in zip(v, names, leaves, strict=True)]
    # The slope is linear in u, so any u does; ones meet no rule that asks where nothing arrives.
    u = Tensor(np.ones(out.shape, out.dtype), requires_grad=True)
    with mode("kinks", False):  # of second derivatives; by u this is a first one
        slopes = grad((out * u).sum(), leaves, create_graph=True, allow_unused=True)
        terms = [(g * w).sum() for g, w in zip(slopes, along, strict=True) if g is not None]
        if not terms:
            raise GraphError("jvp: f's result does not depend on x; use operators and NumPy functions")
        return grad(functools.reduce(operator.add, terms), u, inner or any(map(varies, along)))
