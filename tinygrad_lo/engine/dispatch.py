"""Which op answers when a NumPy function is called with a tensor.

`np.exp(t)` reaches a tensor through `__array_ufunc__`, `np.sum(t)` through `__array_function__`; both
look here. What is not listed raises: nothing ever leaves the graph silently.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lo.engine.beside import fact
from tinygrad_lo.engine.graph import Node, spelled
from tinygrad_lo.engine.ops import arithmetic, elementwise, indexing, linear, reductions, shapes
from tinygrad_lo.engine.values import shape_of
from tinygrad_lo.errors import DTypeError, GraphError, UnsupportedError

UFUNCS: dict[Any, Callable[..., Any]] = {
    getattr(np, f.__name__): f
    for f in (
        arithmetic.add, arithmetic.subtract, arithmetic.multiply, arithmetic.divide, arithmetic.negative,
        arithmetic.power, arithmetic.square, arithmetic.reciprocal, arithmetic.equal, arithmetic.not_equal,
        arithmetic.less, arithmetic.less_equal, arithmetic.greater, arithmetic.greater_equal,
        elementwise.exp, elementwise.log, elementwise.log2, elementwise.log10, elementwise.log1p,
        elementwise.expm1, elementwise.sqrt, elementwise.sin, elementwise.cos, elementwise.tan,
        elementwise.tanh, elementwise.arcsin, elementwise.arccos, elementwise.arctan, elementwise.sinh,
        elementwise.cosh, elementwise.sign, elementwise.abs, elementwise.maximum, elementwise.minimum,
        elementwise.logaddexp, linear.matmul,
    )
}  # fmt: skip
UFUNCS[np.float_power] = arithmetic.power
UFUNCS[np.fabs] = elementwise.abs

# Not differentiable, and asked for as facts: answered with plain arrays.
FACTS = frozenset({
    np.isfinite, np.isnan, np.isinf, np.floor, np.ceil, np.rint, np.trunc, np.signbit,
    np.logical_and, np.logical_or, np.logical_not, np.logical_xor,
    np.bitwise_and, np.bitwise_or, np.invert, np.bitwise_xor,
    np.argmax, np.argmin, np.argsort, np.any, np.all, np.round, np.count_nonzero, np.nonzero,
    np.allclose, np.array_equal, np.isclose, np.zeros_like, np.ones_like, np.empty_like, np.full_like,
    np.shape, np.ndim, np.size, np.result_type, np.shares_memory, np.may_share_memory,
})  # fmt: skip

REDUCTIONS: dict[Any, Callable[..., Any]] = {
    np.add: reductions.sum, np.multiply: reductions.prod, np.maximum: reductions.max,
    np.minimum: reductions.min, np.logaddexp: reductions.logsumexp,
}  # fmt: skip


def refuse_options(who: str, **options: Any) -> None:
    """Raise for an option of NumPy's that would be ignored here."""
    for name, value in options.items():
        if value is not None:
            raise UnsupportedError(f"np.{who}: {name}= is not supported for tensors")


def np_sum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    refuse_options("sum", dtype=dtype, out=out)
    return reductions.sum(a, axis, keepdims)


def np_prod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    refuse_options("prod", dtype=dtype, out=out)
    return reductions.prod(a, axis, keepdims)


def np_mean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    refuse_options("mean", dtype=dtype, out=out)
    return reductions.mean(a, axis, keepdims)


def np_max(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    refuse_options("max", out=out)
    return reductions.max(a, axis, keepdims)


def np_min(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    refuse_options("min", out=out)
    return reductions.min(a, axis, keepdims)


def np_var(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: int = 0, keepdims: Any = False
) -> Any:
    refuse_options("var", dtype=dtype, out=out)
    return reductions.var(a, axis, keepdims, ddof=ddof)


def np_std(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: int = 0, keepdims: Any = False
) -> Any:
    refuse_options("std", dtype=dtype, out=out)
    return reductions.std(a, axis, keepdims, ddof=ddof)


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: Any = False) -> Any:
    """The root of the sum of squares along the axes (all of them by default): no other order."""
    vector = len(shape_of(x) if axis is None else np.atleast_1d(axis)) == 1
    if ord is None or (ord == 2 if vector else ord == "fro"):
        return reductions.norm(x, axis, keepdims)
    name = spelled(x, "x") if isinstance(x, Node) else "x"
    size = f"np.abs({name})"
    inside = ", ".join([f"axis={axis}"] * (axis is not None) + ["keepdims=True"] * bool(keepdims))
    number = isinstance(ord, (int, float)) and not isinstance(ord, bool)
    if not vector and number and axis is None and ord in (1, np.inf, -np.inf):
        lines = f"{size}.sum(axis={0 if ord == 1 else 1})"
        write = f"{lines}.{'max' if ord > 0 else 'min'}() for the largest column or row, {size}.sum() for all"
    elif not vector:
        write = f"{name}.norm() for the root of the sum of squares"
    elif number and ord in (np.inf, -np.inf):
        write = f"{size}.{'max' if ord > 0 else 'min'}({inside})"
    elif number and ord == 0:
        write = f"np.count_nonzero({name})"
    elif number:
        write = f"{size}.sum({inside})" if ord == 1 else f"({size} ** {ord}).sum({inside}) ** (1 / {ord})"
    else:
        write = f"{name}.norm()"
    along = number and axis is None and ord in range(len(shape_of(x)))
    hint = f"; along axis {ord} write {name}.norm(axis={ord})" if along else ""
    kind = "a vector" if vector else "a matrix"
    raise UnsupportedError(f"norm: ord={ord!r} of {kind} has no rule of its own; write {write}{hint}")


def np_reshape(a: Any, shape: Any) -> Any:
    return shapes.reshape(a, shape)


def np_transpose(a: Any, axes: Any = None) -> Any:
    return shapes.transpose(a, axes)


def np_clip(
    a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None, max: Any = None
) -> Any:
    refuse_options("clip", out=out)
    return elementwise.clip(a, a_min if min is None else min, a_max if max is None else max)


def np_einsum(subscripts: str, *operands: Any, optimize: Any = None) -> Any:
    return linear.einsum(subscripts, *operands)  # optimize= changes speed only


def np_flip(m: Any, axis: Any = None) -> Any:
    return indexing.flip(m, axis)


def np_take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Any:
    return indexing.take_along_axis(arr, indices, axis)


def np_sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    # kind= and stable= change speed and the order of equals; ours is stable, which suits all of them.
    refuse_options("sort", order=order)
    return indexing.sort(a, axis)


def np_cumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    refuse_options("cumsum", dtype=dtype, out=out)
    return linear.cumsum(a, axis)


def np_outer(a: Any, b: Any, out: Any = None) -> Any:
    refuse_options("outer", out=out)
    return linear.outer(a, b)


def np_trace(
    a: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1, dtype: Any = None, out: Any = None
) -> Any:
    refuse_options("trace", dtype=dtype, out=out)
    return linear.trace(a, offset, axis1, axis2)


def np_where(condition: Any, x: Any, y: Any) -> Any:
    return elementwise.where(condition, x, y)


def np_windows(x: Any, window_shape: Any, axis: Any = None) -> Any:
    size = (window_shape,) if isinstance(window_shape, int) else tuple(window_shape)
    last = tuple(range(x.ndim - len(size), x.ndim))
    axes = tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    if tuple(i % x.ndim for i in axes) != last:
        raise UnsupportedError(f"sliding_window_view: only over the last axes in order, got axis={axis}")
    return indexing.windows(x, size)


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.sum: np_sum, np.prod: np_prod, np.mean: np_mean, np.max: np_max, np.amax: np_max, np.min: np_min,
    np.amin: np_min, np.var: np_var, np.std: np_std, np.linalg.norm: norm, np.clip: np_clip,
    np.where: np_where, np.reshape: np_reshape, np.ravel: shapes.flatten, np.transpose: np_transpose,
    np.swapaxes: shapes.swapaxes, np.moveaxis: shapes.moveaxis, np.expand_dims: shapes.expand_dims,
    np.squeeze: shapes.squeeze, np.broadcast_to: shapes.broadcast_to, np.concatenate: shapes.concatenate,
    np.stack: shapes.stack, np.pad: shapes.pad, np.flip: np_flip, np.take_along_axis: np_take_along_axis,
    np.sort: np_sort, np.roll: shapes.roll, np.split: shapes.split, np.array_split: shapes.array_split,
    np.cumsum: np_cumsum, np.outer: np_outer, np.tensordot: linear.tensordot, np.tril: linear.tril,
    np.triu: linear.triu, np.diagonal: linear.diagonal, np.diag: linear.diag, np.trace: np_trace,
    np.dot: linear.dot, np.einsum: np_einsum, np.lib.stride_tricks.sliding_window_view: np_windows,
}  # fmt: skip


def title(function: Any) -> str:
    """A NumPy function as users write it: np.fft.fft."""
    module = str(getattr(function, "__module__", None) or "numpy")
    path = module.replace("numpy", "np", 1).replace("np._core", "np").split("._")[0]
    return f"{path}.{getattr(function, '__name__', function)}"


def unsupported(function: Any, name: str = "") -> UnsupportedError:
    """The error for a NumPy function that has no rule here."""
    return UnsupportedError(
        f"{name or title(function)} is not differentiable here; what is, is listed in docs/ops.md. "
        f"For its value alone pass t.numpy() or t.detach().numpy(), or see lo.define_op"
    )


def call_ufunc(ufunc: Any, method: str, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Answer `ufunc(*inputs)` when one of the inputs is a tensor."""
    if "out" in options:
        raise GraphError(
            f"np.{ufunc.__name__}: out= (or an in-place operator like a += t) writes a tensor into an "
            f"array, which would leave the graph; write a = a + t"
        )
    if method == "__call__" and ufunc in FACTS:
        return fact(ufunc, inputs, options)
    if method == "reduce" and ufunc in REDUCTIONS:
        axis = options.pop("axis", inputs[1] if len(inputs) > 1 else 0)
        keepdims = options.pop("keepdims", False)
        refuse_options(f"{ufunc.__name__}.reduce", **options)
        return REDUCTIONS[ufunc](inputs[0], axis, keepdims)
    if method != "__call__":
        raise unsupported(getattr(ufunc, method), f"np.{ufunc.__name__}.{method}")
    if ufunc not in UFUNCS:
        raise unsupported(ufunc)
    refuse_options(ufunc.__name__, **options)
    return UFUNCS[ufunc](*inputs)


def call_function(function: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Answer `function(*args, **options)` when one of the arguments is a tensor."""
    if function in FACTS:
        return fact(function, args, options)
    ours = FUNCTIONS.get(function)
    if ours is None:
        raise unsupported(function)
    try:
        return ours(*args, **options)
    except DTypeError:
        raise
    except TypeError as error:
        try:
            inspect.signature(ours).bind(*args, **options)
        except TypeError as mismatch:
            raise UnsupportedError(
                f"{title(function)} with these arguments is not supported for tensors: {mismatch}"
            ) from error
        raise


# ------------------------------------------------------------------------- Python's operators


def swapped(op: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The operator for a tensor on the right: what stands on the left comes as `other`."""

    def call(self: Any, other: Any) -> Any:
        return op(other, self)

    return call


def plain_answer(function: Any) -> Callable[..., Any]:
    """The operator that asks a NumPy function without a derivative."""

    def call(self: Any, *others: Any) -> Any:
        return fact(function, (self, *others), {})

    return call
