"""Numerical gradients: move one coordinate, look at the loss, move on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Array, Node, no_grad
from tinygrad_lo.errors import DTypeError, GraphError, OptionError

LOST = (
    "numerical_gradient: the function drops the imaginary part (np.abs, a comparison or a float() inside "
    "it), so the complex step would miss a slope; use method='central'"
)


def numerical_gradient(
    f: Callable[[Any], Any], x: Any, *, method: str = "central", h: float | None = None
) -> Array:
    """The gradient of f at x by finite differences, one coordinate at a time.

    Costs one or two evaluations of f for each element of x, which is why nobody trains with it, and
    it needs no calculus, which is why it checks those who do.

        central:  (f(x + h) − f(x − h)) / 2h       error about h²
        forward:  (f(x + h) − f(x)) / h            error about h
        complex:  Im f(x + ih) / h                 exact to rounding

    Shapes:   x: any; f(x): one number; the result: x's shape, float64.
    Units:    h has the unit of x; central h = 1e-5·max(1, |x|), forward 1e-8·max(1, |x|), complex 1e-20.
    Raises:   OptionError: unknown method, h <= 0.  GraphError: f returns several numbers.
              DTypeError: method="complex" with an f that drops the imaginary part (np.abs,
              comparisons, tensors).
    Source:   lecture 000, the finite-difference table with h = 1e-4.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.numerical_gradient(lambda w: (w * w).sum(), np.array([1.0, -2.0])).round(6)
        array([ 2., -4.])
    """
    if method not in ("central", "forward", "complex"):
        raise OptionError(
            f"numerical_gradient: method must be 'central', 'forward' or 'complex', got {method!r}"
        )
    if h is not None and (not isinstance(h, (int, float)) or isinstance(h, bool) or not 0 < h < np.inf):
        raise OptionError(f"numerical_gradient: h must be finite and > 0, got {h!r}")
    start = np.array(x._value if isinstance(x, Node) else x, dtype=float)
    moved = start.astype(complex) if method == "complex" else start.copy()
    gradient = np.zeros(start.shape)
    base = value(f, start) if method == "forward" else 0.0
    for place in np.ndindex(start.shape):
        scale = max(1.0, abs(float(start[place])))
        if method == "central":
            step = h or 1e-5 * scale
            moved[place] = start[place] + step
            above = value(f, moved)
            moved[place] = start[place] - step
            # What was really added, after rounding: x + h is not exactly h away from x.
            width = (start[place] + step) - (start[place] - step)
            if width == 0:
                raise OptionError(
                    f"numerical_gradient: h={step!r} is lost beside x={start[place]!r}; use a larger one"
                )
            gradient[place] = (above - value(f, moved)) / width
        elif method == "forward":
            step = h or 1e-8 * scale
            moved[place] = start[place] + step
            gradient[place] = (value(f, moved) - base) / (moved[place] - start[place])
        else:
            step = h or 1e-20
            moved[place] = start[place] + 1j * step
            gradient[place] = imaginary(f(moved.copy())) / step
        moved[place] = start[place]
    if method == "complex" and gradient.size:
        must_keep_imaginary_parts(f, start, gradient)
    return gradient[()]


def must_keep_imaginary_parts(f: Callable[[Any], Any], x: Array, gradient: Array) -> None:
    """Raise if central differences along one direction see a slope that the complex step does not."""
    signs = np.where(np.arange(x.size) % 2, -1.0, 1.0).reshape(x.shape)
    h = 1e-6 * max(1.0, float(np.abs(x).max()))
    slope = (value(f, x + h * signs) - value(f, x - h * signs)) / (2 * h)
    noise = 1e-9 * abs(value(f, x)) / h
    if (
        abs(slope - float((gradient * signs).sum()))
        > 1e-3 * float(np.abs(gradient).sum()) + abs(slope) * 1e-3 + noise
    ):
        raise DTypeError(LOST)


def value(f: Callable[[Any], Any], x: Array) -> float:
    """f(x) as a float; f may return a number, an array of one element, or a tensor."""
    with no_grad():
        result = f(x.copy()[()])
    data = result._value if isinstance(result, Node) else result
    if np.size(data) != 1:
        raise GraphError(f"a gradient needs one number, but the function returned shape {np.shape(data)}")
    return float(np.asarray(data).reshape(())[()])


def imaginary(result: Any) -> float:
    """The imaginary part, if the function has kept one."""
    data = np.asarray(result) if not isinstance(result, Node) else np.asarray(result._value)
    if data.size != 1 or data.dtype.kind != "c":
        raise DTypeError(LOST)
    return float(data.reshape(())[()].imag)
