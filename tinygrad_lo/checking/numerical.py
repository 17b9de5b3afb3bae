"""Numerical gradients: move one coordinate, look at the loss, move on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lo import options
from tinygrad_lo.engine.graph import Array, Node, no_grad
from tinygrad_lo.engine.machine.hooks import no_effects
from tinygrad_lo.errors import DTypeError, GraphError, OptionError

STEPS = {"central": 1e-5, "forward": 1e-8, "complex": 1e-20}
LOST = (
    "numerical_gradient: the function drops the imaginary part (np.abs, a comparison or a float() inside "
    "it), so the complex step would miss a slope; use method='central'"
)


@options.public
def numerical_gradient(
    f: Callable[[Any], Any], x: Any, *, method: str = "central", h: float | None = None
) -> Any:
    """The gradient of f at x by finite differences, one coordinate at a time.

    It costs one or two evaluations of f for each element of x, and needs no calculus.

        central:  (f(x + h) − f(x − h)) / 2h       error about h²
        forward:  (f(x + h) − f(x)) / h            error about h
        complex:  Im f(x + ih) / h                 exact to rounding

    Shapes:   x: an array of any shape, or a list, tuple or dict of such, which may nest; f(x): one
              number; the result: built like x, in float64. A list of plain numbers is an array.
    Units:    h has the unit of x; central h = 1e-5·max(1, |x|), forward 1e-8·max(1, |x|), complex 1e-20.
    Raises:   OptionError: unknown method, h <= 0.  GraphError: f returns several numbers.
              DTypeError: x holds something that is no number; method="complex" with an f that drops the
              imaginary part (np.abs, comparisons, tensors).
    Source:   lecture 000, the finite-difference table with h = 1e-4.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.numerical_gradient(lambda w: (w * w).sum(), np.array([1.0, -2.0])).round(6)
        array([ 2., -4.])
    """
    options.function("numerical_gradient", f, "(f, x)")
    options.choice("numerical_gradient", "method", method, STEPS)
    if h is not None:
        h = options.number("numerical_gradient", "h", h, above=0.0)
    start = each(as_floats, x)

    def at(moved: Array, keys: Keys) -> Any:
        return f(each(lambda other, key: moved if key == keys else other.copy()[()], start))

    return each(lambda part, keys: coordinates(lambda x: at(x, keys), part, method, h), start)


def coordinates(f: Callable[[Any], Any], x: Array, method: str, h: float | None = None) -> Array:
    """The lecture's loop: move one coordinate, look at the loss, move it back."""
    gradient = np.zeros(x.shape)
    base = value_at(f, x) if method == "forward" else None

    def at(place: tuple[int, ...], coordinate: Any) -> Any:
        moved = x.astype(np.result_type(x, coordinate))
        moved[place] = coordinate
        return value_at(f, moved)

    for place in np.ndindex(x.shape):
        c = float(x[place])
        step = h or STEPS[method] * (1.0 if method == "complex" else max(1.0, abs(c)))
        if method == "complex":
            value = at(place, c + 1j * step)
            if not np.iscomplexobj(value):
                raise DTypeError(LOST)
            gradient[place] = float(value.imag) / step
            continue
        above, below = c + step, c - step if method == "central" else c
        if above == below:
            raise OptionError(f"numerical_gradient: h={step!r} is lost beside x={c!r}; use a larger one")
        before = float(at(place, below) if base is None else base)
        # x + h is not exactly h away from x: the difference of the points, after rounding, counts.
        gradient[place] = (float(at(place, above)) - before) / (above - below)
    if method == "complex" and gradient.size:
        must_keep_imaginary_parts(f, x, gradient)
    return gradient[()]


def must_keep_imaginary_parts(f: Callable[[Any], Any], x: Array, gradient: Array) -> None:
    """Raise if central differences along one direction see a slope that the complex step does not."""
    signs = np.where(np.arange(x.size) % 2, -1.0, 1.0).reshape(x.shape)
    h = 1e-6 * max(1.0, float(np.abs(x).max()))
    above, here, below = (float(value_at(f, x + k * h * signs)) for k in (1, 0, -1))
    slope = (above - below) / (2.0 * h)
    loose = 1e-3 * (float(np.abs(gradient).sum()) + abs(slope)) + 1e-9 * abs(here) / h
    if abs(slope - float((gradient * signs).sum())) > loose:
        raise DTypeError(LOST)


def value_at(f: Callable[[Any], Any], x: Array) -> Any:
    """f(x) as one number; f may return a number, an array of one element, or a tensor."""
    with no_grad(), no_effects():
        result = f(x.copy()[()])
    data = np.asarray(result.value if isinstance(result, Node) else result)
    if data.size != 1:
        raise GraphError(f"a gradient needs one number, but the function returned shape {data.shape}")
    return data.reshape(())[()]


Keys = tuple[Any, ...]  # the indices and keys that lead to an array


def each(work: Callable[[Any, Keys], Any], x: Any, keys: Keys = ()) -> Any:
    """A structure of dicts, tuples and lists built like x, its arrays replaced by work(array, keys)."""
    if isinstance(x, dict):
        return {key: each(work, part, (*keys, key)) for key, part in x.items()}
    if is_list(x):
        parts = [each(work, part, (*keys, i)) for i, part in enumerate(x)]
        if isinstance(x, list):
            return parts
        return type(x)(*parts) if hasattr(x, "_fields") else tuple(parts)
    return work(x, keys)


def is_written_out(x: Any) -> bool:
    """Whether this is a list of numbers, or of lists of numbers: one array, not several."""
    numbers = (int, float, np.generic)
    return bool(x) and all(
        is_written_out(a) if isinstance(a, (list, tuple)) else isinstance(a, numbers) for a in x
    )


def is_list(x: Any) -> bool:
    """Whether this is a list or tuple of arrays."""
    return isinstance(x, (list, tuple)) and not is_written_out(x)


def as_floats(x: Any, keys: Keys) -> Array:
    """An array of float64, its own copy."""
    data = x.value if isinstance(x, Node) else x
    try:
        return np.array(data if data is not None else "None", dtype=float)  # NumPy reads None as nan
    except (TypeError, ValueError) as error:
        at = "".join(f"[{step!r}]" for step in keys)
        message = f"numerical_gradient: x{at} is no array of numbers, but {type(x).__name__}"
        raise DTypeError(message) from error
