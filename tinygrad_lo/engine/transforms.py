"""Derivatives as functions: grad, value_and_grad, jacobian, hessian, hvp."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_lo.engine.call import constant
from tinygrad_lo.engine.graph import Array, Node, mode, quoted
from tinygrad_lo.engine.sweep import pull_graph, start, sweep, walk
from tinygrad_lo.engine.tensor import Parameter, Tensor
from tinygrad_lo.engine.values import foreign
from tinygrad_lo.errors import DTypeError, GraphError, OptionError, ShapeError


def grad(output: Any, wrt: Any, create_graph: bool = False, allow_unused: bool = False) -> Any:
    """The gradient of one number by any tensors of its graph, leaves or values in between.

    Changes no `.grad`. With `create_graph=True` the results are tensors with graphs of their own, so
    that they can be differentiated again, to any order.

    Shapes:   output: one element. wrt: a tensor or a list; each gradient has its tensor's shape.
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
    return gradients(output, wrt, None, create_graph, allow_unused)


def gradients(output: Any, wrt: Any, seed: Any, create_graph: bool, allow_unused: bool) -> Any:
    """`grad` with the gradient that it starts from."""
    must_be_tensor(output, "output")
    single = isinstance(wrt, Node)
    if not single and not isinstance(wrt, (list, tuple)):
        raise DTypeError(f"grad: wrt must be a tensor or a list of tensors, got {type(wrt).__name__}")
    wanted: Sequence[Any] = [wrt] if single else list(wrt)
    for target in wanted:
        must_be_tensor(target, "wrt")
    keep = {target._birth for target in wanted}
    first = start(output, seed, "grad")
    if create_graph:
        # Rules that run on tensors under no_grad, or in a scope of the user, must not notice it.
        with mode("grad_off", False), mode("scope", None):
            _, grads, kept = walk(output, constant(first), pull_graph, keep)
    else:
        _, grads, kept = sweep(output, first, keep)
    results = []
    for target in wanted:
        g = kept.get(target._birth, grads.get(target._birth))
        if g is None and not allow_unused:
            raise GraphError(
                f"{quoted(target, 'a tensor in wrt')} is not reached from {quoted(output, 'the output')}; "
                f"allow_unused=True gives None"
            )
        if g is not None:
            if g.dtype != target._value.dtype:
                g = g.astype(target._value.dtype)
            elif isinstance(g, np.ndarray) and target._op is not None:
                g = g.copy()  # + hands one array to both of its inputs
        results.append(g)
    return results[0] if single else results


def must_be_tensor(value: Any, who: str) -> None:
    """Raise unless this is a tensor."""
    if not isinstance(value, Node):
        raise DTypeError(f"grad: {who} must be a tensor, got {type(value).__name__}")


def as_int(number: Any) -> Any:
    """NumPy's integers as Python's; whatever else it is stays."""
    return int(number) if isinstance(number, np.integer) else number


def variables(
    who: str, args: tuple[Any, ...], argnums: int | Sequence[int]
) -> tuple[list[Any], list[Tensor]]:
    """The arguments, with those to differentiate by turned into fresh tensors."""
    numbers = list(map(as_int, argnums)) if isinstance(argnums, (list, tuple)) else [argnums]
    found = list(args)
    leaves = []
    if len(dict.fromkeys(numbers)) < len(numbers):
        raise OptionError(f"{who}: argnums {argnums!r} names an argument twice")
    for i in numbers:
        if not isinstance(i, int) or not -len(args) <= i < len(args):
            raise OptionError(f"{who}: argnums {i!r} names no argument; {len(args)} were given")
        value = args[i]
        if isinstance(value, Node):
            if value._needs and not isinstance(value, Parameter):
                raise GraphError(
                    f"{who}: argument {i} requires a gradient, which would be lost here; inside another "
                    f"derivative use lo.grad(..., create_graph=True)"
                )
            value = value._value
        if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
            value = float(value)
        found[i] = Tensor(value, requires_grad=True)
        leaves.append(found[i])
    return found, leaves


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
    argnums = as_int(argnums)

    def run(*args: Any) -> tuple[Any, Any]:
        found, leaves = variables("value_and_grad", args, argnums)
        out = depends(f(*found), "value_and_grad")
        results = grad(out, leaves)
        return out._value, results[0] if isinstance(argnums, int) else tuple(results)

    return run


def depends(out: Any, who: str) -> Any:
    """Raise unless f's result is a tensor that a gradient can flow from."""
    if not isinstance(out, Node) or not out._needs:
        raise GraphError(
            f"{who}: the function's result ({type(out).__name__}) does not depend on the argument through "
            f"tensors; compute with operators and NumPy functions, without float(), .data or .item()"
        )
    return out


def jacobian(f: Callable[..., Any], argnums: int = 0) -> Callable[..., Array]:
    """A function that returns all first derivatives of f, one backward pass for each output element.

    Shapes:   f: (*in) -> (*out); the result is (*out, *in).
    Raises:   GraphError: f's result does not depend on the argument.  OptionError: argnums is no int.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.jacobian(lambda x: x * x)(np.array([1.0, 2.0]))
        array([[2., 0.],
               [0., 4.]])
    """
    argnums = as_int(argnums)
    if not isinstance(argnums, int):
        raise OptionError(f"jacobian: argnums must be one int, got {argnums!r}")

    def run(*args: Any) -> Array:
        found, (leaf,) = variables("jacobian", args, argnums)
        return rows(depends(f(*found), "jacobian"), leaf)

    return run


def rows(out: Any, leaf: Tensor) -> Array:
    """The gradient of every element of `out` by `leaf`, stacked."""
    result = np.zeros((out.size, *leaf.shape), leaf.dtype)
    for i in range(out.size):
        seed = np.zeros(out.size, out.dtype)
        seed[i] = 1.0
        g = gradients(out, leaf, seed.reshape(out.shape), create_graph=False, allow_unused=True)
        if g is not None:
            result[i] = g
    return result.reshape(out.shape + leaf.shape)[()]


def hessian(f: Callable[..., Any]) -> Callable[..., Array]:
    """A function that returns all second derivatives of f, which returns one number.

    Shapes:   f: (*in) -> (); the result is (*in, *in).
    Raises:   GraphError: f's result does not depend on the argument, or has several elements.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.hessian(lambda x: x[0] * x[0] * x[1])(np.array([1.0, 3.0]))
        array([[6., 2.],
               [2., 0.]])
    """

    def run(*args: Any) -> Array:
        found, (leaf,) = variables("hessian", args, 0)
        slope = grad(depends(f(*found), "hessian"), leaf, create_graph=True)
        if not slope._needs:  # f is linear: its slope does not depend on the argument
            return np.zeros(leaf.shape * 2, leaf.dtype)[()]
        return rows(slope, leaf)

    return run


def hvp(f: Callable[..., Any], x: Any, v: Any) -> Array:
    """The Hessian of f at x times v, without making the Hessian: two backward passes.

    Shapes:   f: (*in) -> (); x, v and the result: (*in).
    Raises:   ShapeError: v has another shape than x.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.hvp(lambda x: (x**3).sum(), np.array([1.0, 2.0]), np.array([1.0, 1.0]))
        array([ 6., 12.])
    """
    found, (leaf,) = variables("hvp", (x,), 0)
    v = v._value if isinstance(v, Node) else v if foreign(v) else np.asarray(v)
    if np.shape(v) != leaf.shape:
        raise ShapeError(f"hvp: v has shape {np.shape(v)}, x {leaf.shape}")
    slope = grad(depends(f(*found), "hvp"), leaf, create_graph=True)
    if not slope._needs:
        return np.zeros(leaf.shape, leaf.dtype)[()]
    product = gradients(slope, leaf, v, create_graph=False, allow_unused=True)
    return np.zeros(leaf.shape, leaf.dtype)[()] if product is None else product
