"""Which op answers when a NumPy function is called with a tensor: `np.exp(t)`, `np.sum(t)`.

What is not listed raises: nothing ever leaves the graph silently.
"""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable
from inspect import Parameter
from types import FunctionType
from typing import Any

import numpy as np

from tinygrad_lo.engine.machine.arguments import shape_of
from tinygrad_lo.engine.machine.axes import as_tuple, check_axes, plain_axis
from tinygrad_lo.engine.machine.hooks import fact
from tinygrad_lo.engine.machine.refusals import INSTEAD
from tinygrad_lo.engine.naming import spelled
from tinygrad_lo.engine.ops import arithmetic, compositions, elementwise, indexing, linear, reductions, shapes
from tinygrad_lo.engine.ops.registry import COMPOSED, TABLE
from tinygrad_lo.errors import GraphError, LoError, ShapeError, UnsupportedError
from tinygrad_lo.options import is_finite

MODULES = (arithmetic, elementwise, reductions, shapes, indexing, linear, compositions)
OURS = {name: f for module in MODULES for name, f in vars(module).items() if f.__class__ is FunctionType}

# An op that is named as a ufunc answers it.
UFUNCS: dict[Any, Callable[..., Any]] = {
    ufunc: f for name, f in OURS.items() if isinstance(ufunc := getattr(np, name, None), np.ufunc)
}
UFUNCS |= {np.float_power: arithmetic.power, np.fabs: elementwise.abs, np.radians: elementwise.deg2rad}
UFUNCS |= {np.degrees: elementwise.rad2deg, np.positive: operator.pos, np.conjugate: operator.pos}

# Not differentiable, and asked for as facts: answered with plain arrays.
FACTS = frozenset({
    np.isfinite, np.isnan, np.isinf, np.floor, np.ceil, np.rint, np.trunc, np.signbit,
    np.logical_and, np.logical_or, np.logical_not, np.logical_xor,
    np.bitwise_and, np.bitwise_or, np.invert, np.bitwise_xor,
    np.argmax, np.argmin, np.argsort, np.any, np.all, np.round, np.count_nonzero, np.nonzero,
    np.allclose, np.array_equal, np.isclose, np.zeros_like, np.ones_like, np.empty_like, np.full_like,
    np.imag, np.angle, np.shape, np.ndim, np.size, np.result_type, np.shares_memory, np.may_share_memory,
})  # fmt: skip

REDUCE_METHODS: dict[Any, Callable[..., Any]] = {
    np.add: reductions.sum, np.multiply: reductions.prod, np.maximum: reductions.max,
    np.minimum: reductions.min, np.logaddexp: reductions.logsumexp,
}  # fmt: skip


def np_norm(x: Any, ord: Any = None, axis: Any = None, keepdims: Any = False) -> Any:
    """`np.linalg.norm` of vectors (one axis) and matrices (two), without those of singular values."""
    axes = as_tuple(plain_axis("norm", axis), len(shape_of(x)))
    check_axes("norm", len(shape_of(x)), axes)
    if ord is None or (len(axes), ord) in ((1, 2), (2, "fro")):
        return reductions.norm(x, axis, keepdims)
    if len(axes) == 1 and is_finite(ord):
        return power_norm(elementwise.abs(x), float(ord), axes, keepdims)
    kind = {1: "a vector", 2: "a matrix"}.get(len(axes), f"{len(axes)} axes")
    if len(axes) not in (1, 2) or ord not in (np.inf, -np.inf, 1, -1):
        write = f"write {spelled(x, 'x')}.norm() for the root of the sum of squares"
        raise UnsupportedError(f"np.linalg.norm: ord={ord!r} of {kind} has no rule here; {write}")
    size = elementwise.abs(x)
    if len(axes) == 2:
        size = reductions.sum(size, axes[0] if ord in (1, -1) else axes[1], True)
    return (reductions.max if ord > 0 else reductions.min)(size, axes, keepdims)


def power_norm(size: Any, p: float, axes: Any, keepdims: bool) -> Any:
    """(Σ |x|^p)^(1/p), whose slope is 0 where all are 0; of p = 0, how many are not."""
    if p == 0.0:
        return reductions.sum((size != 0).astype(size.dtype), axes, keepdims)
    if p == 1.0:
        return reductions.sum(size, axes, keepdims)
    total = reductions.sum(size**p, axes, keepdims)
    zero = total == 0
    return np.where(zero, total, np.where(zero, 1.0, total) ** (1.0 / p))


def np_windows(x: Any, window_shape: Any, axis: Any = None) -> Any:
    """`np.lib.stride_tricks.sliding_window_view`, over the last axes."""
    size = (window_shape,) if isinstance(window_shape, int) else tuple(window_shape)
    last = tuple(range(x.ndim - len(size), x.ndim))
    axes = tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    if tuple(i % x.ndim for i in axes) != last:
        raise UnsupportedError(f"sliding_window_view: only over the last axes in order, got axis={axis}")
    return indexing.windows(x, size)


def np_clip(a: Any, a_min: Any = None, a_max: Any = None, min: Any = None, max: Any = None) -> Any:
    """`np.clip`, whose bounds have two names."""
    return elementwise.clip(a, a_min if min is None else min, a_max if max is None else max)


def unchanged(x: Any) -> Any:
    """The tensor as it is: of real numbers, what several functions on complex ones give."""
    return x


SAME_NAME = "sum prod max min broadcast_to concatenate pad cumsum cumprod einsum nan_to_num"
FUNCTIONS: dict[Any, Callable[..., Any]] = {
    getattr(np, name): OURS[name]
    for name in (*COMPOSED, *SAME_NAME.split())
    if name in OURS and hasattr(np, name)
} | {
    np.amax: reductions.max, np.amin: reductions.min, np.ravel: shapes.flatten, np.clip: np_clip,
    np.real: unchanged, np.real_if_close: unchanged,
    np.fft.fftshift: compositions.fftshift, np.fft.ifftshift: compositions.ifftshift,
    np.linalg.inv: linear.inv,
    np.linalg.solve: lambda a, b: linear.solve(a, b),  # noqa: PLW0108 (says the names)
    np.linalg.det: linear.det, np.linalg.slogdet: linear.slogdet,
    np.linalg.norm: np_norm, np.lib.stride_tricks.sliding_window_view: np_windows,
    np.where: lambda condition, x, y: elementwise.where(condition, x, y),  # noqa: PLW0108 (checks how many)
    np.reshape: lambda a, shape: shapes.reshape(a, shape),  # noqa: PLW0108 (ours takes several numbers)
    np.transpose: lambda a, axes=None: shapes.transpose(a, axes),
}  # fmt: skip

# They change speed, or the order of equals: our sort is stable, which suits all of them.
CHANGE_NOTHING = {"optimize", "kind", "stable"}


@functools.cache
def parameter_names(function: Any, *, by_place: bool) -> tuple[str, ...]:
    """The names of a function's parameters; () where they are not known, as of some of NumPy's in C."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return ()
    others = [Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD, *[Parameter.KEYWORD_ONLY] * by_place]
    return tuple(p.name for p in parameters if p.kind not in others)


def refuse_options(who: str, options: dict[str, Any]) -> None:
    """Raise for an option of NumPy's that would be ignored here."""
    for name, value in options.items():
        if value is not None and name not in CHANGE_NOTHING:
            raise UnsupportedError(f"{who}: {name}= is not supported for tensors")


def answer(function: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Call ours with NumPy's arguments; what ours does not have must have been left alone."""
    ours = FUNCTIONS[function]
    theirs, known = parameter_names(function, by_place=True), parameter_names(ours, by_place=False)
    if theirs[1 : len(args)] != known[1 : len(args)] and len(args) <= len(theirs):
        options |= zip(theirs[1:], args[1:], strict=False)
        args = args[:1]
    if theirs and theirs[0] in options:  # the array by the name that it has in NumPy
        args = (options.pop(theirs[0]),)
    refuse_options(title(function), {name: value for name, value in options.items() if name not in known})
    return ours(*args, **{name: value for name, value in options.items() if name in known})


def title(function: Any) -> str:
    """A NumPy function as users write it: np.fft.fft."""
    module = str(getattr(function, "__module__", None) or "numpy")
    path = module.replace("numpy", "np", 1).replace("np._core", "np").split("._")[0]
    return f"{path}.{getattr(function, '__name__', function)}"


def unsupported(function: Any, name: str = "") -> UnsupportedError:
    """The error for a NumPy function that has no rule here."""
    instead = f"; {INSTEAD[function]}" if function in INSTEAD else ""
    return UnsupportedError(
        f"{name or title(function)} is not differentiable here{instead}; what is, is listed in docs/ops.md. "
        f"For its value alone pass t.numpy() or t.detach().numpy(), or see lo.define_op"
    )


def users_own(ufunc: Any) -> Callable[..., Any]:
    """The op that a user has added under the name of a ufunc of NumPy's."""
    op = TABLE.get(ufunc.__name__)
    if op is None or getattr(np, ufunc.__name__, None) is not ufunc:
        raise unsupported(ufunc)
    return op.apply


def call_ufunc(ufunc: Any, method: str, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Answer `ufunc(*inputs)` when one of the inputs is a tensor."""
    if "out" in options:
        raise GraphError(
            f"np.{ufunc.__name__}: out= (or an in-place operator like a += t) writes a tensor into an "
            f"array, which would leave the graph; write a = a + t"
        )
    if method == "__call__" and ufunc in FACTS:
        return fact(ufunc, inputs, options)
    if method == "reduce" and ufunc in REDUCE_METHODS:
        axis = options.pop("axis", inputs[1] if len(inputs) > 1 else 0)
        keepdims = options.pop("keepdims", False)
        refuse_options(f"np.{ufunc.__name__}.reduce", options)
        return REDUCE_METHODS[ufunc](inputs[0], axis, keepdims)
    if method != "__call__":
        raise unsupported(getattr(ufunc, method), f"np.{ufunc.__name__}.{method}")
    ours = UFUNCS.get(ufunc) or users_own(ufunc)
    refuse_options(f"np.{ufunc.__name__}", options)
    return ours(*inputs)


def call_function(function: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Answer `function(*args, **options)` when one of the arguments is a tensor."""
    if function in FACTS:
        return fact(function, args, options)
    if function not in FUNCTIONS:
        raise unsupported(function)
    try:
        return answer(function, args, options)
    except LoError:
        raise
    except ValueError as error:
        raise ShapeError(f"{title(function)}: {error}") from error
    except TypeError as error:
        what = f"{title(function)} with these arguments is not supported for tensors"
        raise UnsupportedError(f"{what}: {str(error).removeprefix('<lambda>() ')}") from error


def swapped(op: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The operator for a tensor on the right: what stands on the left comes as `other`."""
    return lambda self, other: op(other, self)


def plain_answer(function: Any) -> Callable[..., Any]:
    """The operator or method that asks a NumPy function without a derivative."""

    def ask(self: Any, *others: Any, **options: Any) -> Any:
        return fact(function, (self, *others), options)

    ask.__doc__ = f"`np.{function.__name__}`, a plain answer without a gradient."
    return ask
