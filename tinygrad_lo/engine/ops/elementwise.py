"""The table, part 2: functions of one value at a time, and choices between two.

Kinks follow one table: relu at 0 gives 0, abs at 0 gives 0, clip on its bounds gives 1, ties of
maximum and minimum are shared equally.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import float64, ndarray

from tinygrad_lo.engine.backward import unbroadcast
from tinygrad_lo.engine.graph import Array, Call, Kink, Node, active, constant, modes
from tinygrad_lo.engine.machine.arguments import foreign, plain
from tinygrad_lo.engine.machine.hooks import leave, remembered
from tinygrad_lo.engine.naming import quoted
from tinygrad_lo.engine.ops.arithmetic import TIE, not_equal
from tinygrad_lo.engine.ops.registry import Shape, op
from tinygrad_lo.errors import DTypeError, GraphError, UnsupportedError

LN2 = math.log(2.0)
LN10 = math.log(10.0)

# A ufunc row that does not say how it is written and drawn is written and drawn as its name.
exp = op("exp", np.exp, (lambda g, y, x: g * y,), probability="makes",
         about="e to the value. Its own derivative.")  # fmt: skip
exp2 = op("exp2", np.exp2, (lambda g, y, x: g * (LN2 * y),), symbol="2^{0}", about="2 to the value.")
log = op("log", np.log, (lambda g, y, x: g / x,), pole=True, domain=(0.5, 3.0), about="Natural logarithm.")
log2 = op("log2", np.log2, (lambda g, y, x: g / LN2 / x,), pole=True, domain=(0.5, 3.0),
          symbol="log₂({0})", about="Logarithm to base 2: bits.")  # fmt: skip
log10 = op("log10", np.log10, (lambda g, y, x: g / LN10 / x,), pole=True, domain=(0.5, 3.0),
           symbol="log₁₀({0})", about="Logarithm to base 10.")  # fmt: skip
log1p = op("log1p", np.log1p, (lambda g, y, x: g / (1.0 + x),), pole=True, domain=(-0.5, 3.0),
           symbol="log(1 + {0})", about="log(1 + x), exact for small x.")  # fmt: skip
expm1 = op("expm1", np.expm1, (lambda g, y, x: g * np.exp(x),),  # y + 1 has no digits left at -30
           symbol="exp({0}) − 1", about="exp(x) - 1, exact for small x.")  # fmt: skip
sqrt = op("sqrt", np.sqrt, (lambda g, y, x: g / (2.0 * y),), pole=True, domain=(0.5, 3.0),
          symbol="√{0}", about="Square root; its slope at 0 is infinite.")  # fmt: skip

sin = op("sin", np.sin, (lambda g, y, x: g * np.cos(x),), about="Sine of an angle in radians.")
cos = op("cos", np.cos, (lambda g, y, x: -g * np.sin(x),), about="Cosine of an angle in radians.")
tan = op("tan", np.tan, (lambda g, y, x: g * (1.0 + y * y),), domain=(-1.0, 1.0),
         about="Tangent of an angle in radians.")  # fmt: skip
tanh = op("tanh", np.tanh, (lambda g, y, x: g * tanh_slope(x),),  # 1 - y² loses digits from 1 on, and is 0 above 19
          about="Hyperbolic tangent, between -1 and 1.")  # fmt: skip
arcsin = op("arcsin", np.arcsin, (lambda g, y, x: g * arcsin_slope(x),), domain=(-0.9, 0.9), scalar="asin({0})",
            about="The angle in radians with this sine; its slope at -1 and 1 is infinite.")  # fmt: skip
arccos = op("arccos", np.arccos, (lambda g, y, x: -g * arcsin_slope(x),), domain=(-0.9, 0.9), scalar="acos({0})",
            about="The angle in radians with this cosine; its slope at -1 and 1 is infinite.")  # fmt: skip
arctan = op("arctan", np.arctan, (lambda g, y, x: g * arctan_slope(x),), scalar="atan({0})",
            about="The angle in radians with this tangent.")  # fmt: skip

deg2rad = op("deg2rad", np.deg2rad, (lambda g, y, x: np.deg2rad(g),), scalar="radians({0})",
             about="An angle in degrees as one in radians.")  # fmt: skip
rad2deg = op("rad2deg", np.rad2deg, (lambda g, y, x: np.rad2deg(g),), scalar="degrees({0})",
             about="An angle in radians as one in degrees.")  # fmt: skip

sinh = op("sinh", np.sinh, (lambda g, y, x: g * np.cosh(x),), about="Hyperbolic sine.")
cosh = op("cosh", np.cosh, (lambda g, y, x: g * np.sinh(x),), about="Hyperbolic cosine.")
arcsinh = op("arcsinh", np.arcsinh, (lambda g, y, x: g / hypot(x, 1.0),), scalar="asinh({0})",
             about="The number with this hyperbolic sine.")  # fmt: skip
arccosh = op("arccosh", np.arccosh, (lambda g, y, x: g / (np.sqrt(x - 1.0) * np.sqrt(x + 1.0)),), pole=True, domain=(1.5, 4.0),
             scalar="acosh({0})", about="The number >= 0 with this hyperbolic cosine; its slope at 1 is infinite.")  # fmt: skip
arctanh = op("arctanh", np.arctanh, (lambda g, y, x: g * arctanh_slope(x),), pole=True, domain=(-0.9, 0.9),
             scalar="atanh({0})", about="The number with this hyperbolic tangent.")  # fmt: skip

sign = op("sign", np.sign, (None,), scalar="1.0 if {0} > 0.0 else -1.0 if {0} < 0.0 else {0}",
          about="-1, 0 or 1. No gradient: it is flat, and jumps at 0.", kink=Kink(lambda y, x: x == 0))  # fmt: skip

abs = op("abs", operator.abs, spelling="np.abs({0})", symbol="|{0}|", ufunc=np.abs, scalar="abs({0})",
         about="The value without its sign; slope 0 at 0.",
         kink=Kink(lambda y, x: x == 0, even=lambda c, y, x: c * x),
         rules=(lambda g, y, x: g * np.sign(x),))  # fmt: skip

maximum = op("maximum", np.maximum, spelling="np.maximum({0}, {1})", symbol="max({0}, {1})", scalar="{0} if {0} >= {1} or {0} != {0} else {1}",
             about="The larger of two values; a tie shares the gradient equally.", kink=TIE,
             rules=(lambda g, y, a, b: g * (a > b) + 0.5 * g * (a == b),
                    lambda g, y, a, b: g * (b > a) + 0.5 * g * (a == b)))  # fmt: skip

minimum = op("minimum", np.minimum, spelling="np.minimum({0}, {1})", symbol="min({0}, {1})", scalar="{0} if {0} <= {1} or {0} != {0} else {1}",
             about="The smaller of two values; a tie shares the gradient equally.", kink=TIE,
             rules=(lambda g, y, a, b: g * (a < b) + 0.5 * g * (a == b),
                    lambda g, y, a, b: g * (b < a) + 0.5 * g * (a == b)))  # fmt: skip

# Of nan and another, the other.
fmax = op("fmax", np.fmax, spelling="np.fmax({0}, {1})", symbol="fmax({0}, {1})", scalar=None, kink=TIE,
          about="The larger of two values, nan only if both are; ties as maximum.",
          rules=(lambda g, y, a, b: g * (a > b) + g * not_equal(b, b) + 0.5 * g * (a == b),
                 lambda g, y, a, b: g * (b > a) + g * not_equal(a, a) + 0.5 * g * (a == b)))  # fmt: skip

fmin = op("fmin", np.fmin, spelling="np.fmin({0}, {1})", symbol="fmin({0}, {1})", scalar=None, kink=TIE,
          about="The smaller of two values, nan only if both are; ties as minimum.",
          rules=(lambda g, y, a, b: g * (a < b) + g * not_equal(b, b) + 0.5 * g * (a == b),
                 lambda g, y, a, b: g * (b < a) + g * not_equal(a, a) + 0.5 * g * (a == b)))  # fmt: skip


where = op("where", lambda c, a, b: np.where(c, a, b)[()],  # type: ignore[call-overload]
           spelling="np.where({0}, {1}, {2})", symbol="{1} if {0} else {2}", scalar="{1} if {0} else {2}", fresh=True,
           about="The second input where the first is true, else the third.",
           rules=(None,
                  lambda g, y, c, a, b: np.where(c, g, 0),
                  lambda g, y, c, a, b: np.where(c, 0, g)))  # fmt: skip


def gap_forward(a: Array, b: Array) -> Array:
    # vdot is the cheapest test that all are finite; lazy arrays and programs must do without the question.
    if type(b) is ndarray and np.vdot(b, b) < np.inf:
        return a - b
    same = a == b
    return np.where(same, 0.0, a) - np.where(same, 0.0, b)


gap = op("gap", gap_forward, spelling="np.where({0} == {1}, 0, {0} - {1})", symbol="−", composite=True,
         about="The difference of two values; of two equal infinities, 0.",
         rules=(lambda g, y, a, b: g,
                lambda g, y, a, b: -g))  # fmt: skip

# From the inputs: where they are large, their difference to the rounded output says nothing.
logaddexp = op("logaddexp", np.logaddexp, spelling="np.logaddexp({0}, {1})",
               symbol="log(exp({0}) + exp({1}))", scalar="logaddexp({0}, {1})",
               about="log(exp(a) + exp(b)), finite wherever a and b are.",
               rules=(lambda g, y, a, b: g * sigmoid(gap(a, b)),
                      lambda g, y, a, b: g * sigmoid(gap(b, a))))  # fmt: skip
logaddexp2 = op("logaddexp2", np.logaddexp2, spelling="np.logaddexp2({0}, {1})",
                symbol="log₂(2^{0} + 2^{1})", scalar=None, about="log2(2^a + 2^b), finite wherever a and b are.",
                rules=(lambda g, y, a, b: g * sigmoid(LN2 * gap(a, b)),
                       lambda g, y, a, b: g * sigmoid(LN2 * gap(b, a))))  # fmt: skip

hypot: Call = op("hypot", np.hypot, spelling="np.hypot({0}, {1})", symbol="√({0}² + {1}²)", scalar="hypot({0}, {1})",
           about="The length of (a, b), without overflow; slope 0 at 0, and no second derivative there: nan.",
           rules=(lambda g, y, a, b: g * hypot_slope(a, b),
                  lambda g, y, a, b: g * hypot_slope(b, a)))  # fmt: skip

arctan2 = op("arctan2", np.arctan2, spelling="np.arctan2({0}, {1})", symbol="arctan2({0}, {1})", pole=True, scalar="atan2({0}, {1})",
             about="The angle of the point (b, a) in radians, between -π and π; at the origin, its slope is nan.",
             rules=(lambda g, y, a, b: g * (hypot_slope(b, a) / hypot(a, b)),
                    lambda g, y, a, b: g * (-hypot_slope(a, b) / hypot(a, b))))  # fmt: skip


def sigmoid_forward(x: Array) -> Array:
    # Through exp(-|x|), which cannot overflow; the tanh form loses all digits at -40.
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, e) / (1.0 + e)


sigmoid: Call = op("sigmoid", sigmoid_forward, spelling="np.exp(-np.logaddexp(0, -{0}))", symbol="σ({0})",
             probability="makes", about="1 / (1 + exp(-x)), finite and exact in both tails.", composite=True,
             rules=(lambda g, y, x: g * sigmoid_slope(x),))  # fmt: skip

softplus = op("softplus", lambda x: np.logaddexp(x, 0), spelling="np.logaddexp({0}, 0)",
              symbol="log(1 + exp({0}))", scalar="logaddexp({0}, 0.0)", elementwise=True,
              about="log(1 + exp(x)), the smooth relu, finite at any x.",
              rules=(lambda g, y, x: g * sigmoid(x),))  # fmt: skip


# Slopes. Written with 1 - y², 1 + x² or a difference of exponentials, a slope cancels or overflows somewhere; or
# the slope of the slope does, which is made of the same text. So these have rows, and rules, of their own.


def sigmoid_slope_forward(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    above = 1.0 + e
    return e / (above * above)


sigmoid_slope: Call = op("sigmoid_slope", sigmoid_slope_forward, composite=True,
                   spelling="np.exp(-np.logaddexp(0, {0}) - np.logaddexp(0, -{0}))", symbol="σ({0}) × σ(−{0})",
                   about="The slope of the sigmoid, exact in both tails.",
                   rules=(lambda g, y, x: g * (y * -np.tanh(0.5 * x)),))  # fmt: skip


def tanh_slope_forward(x: Array) -> Array:
    e = np.exp(-2.0 * np.abs(x))
    above = 1.0 + e
    return 4.0 * e / (above * above)


tanh_slope: Call = op("tanh_slope", tanh_slope_forward, composite=True,
                spelling="1.0 / np.square(np.cosh({0}))", symbol="1 − tanh({0})²",
                about="The slope of tanh, exact in both tails.",
                rules=(lambda g, y, x: g * (-2.0 * y * np.tanh(x)),))  # fmt: skip


def arctan_slope_forward(x: Array) -> Array:
    size = np.abs(x)
    a, b = 1.0 / np.maximum(size, 1.0), np.minimum(size, 1.0)
    return a * a / (a * a + b * b)


arctan_slope: Call = op("arctan_slope", arctan_slope_forward, composite=True,
                  spelling="1.0 / (1.0 + np.square({0}))", symbol="1 ÷ (1 + {0}²)",
                  about="The slope of arctan, without overflow.",
                  rules=(lambda g, y, x: g * (-2.0 * (x * y) * y),))  # fmt: skip

arcsin_slope: Call = op("arcsin_slope", lambda x: 1.0 / np.sqrt((1.0 - x) * (1.0 + x)), composite=True,
                  spelling="1.0 / np.sqrt(1.0 - np.square({0}))", symbol="1 ÷ √(1 − {0}²)", domain=(-0.9, 0.9),
                  about="The slope of arcsin, exact near -1 and 1.",
                  rules=(lambda g, y, x: g * (x * y * (y * y)),))  # fmt: skip


arctanh_slope: Call = op("arctanh_slope", lambda x: 1.0 / (1.0 - x) / (1.0 + x), composite=True,
                   spelling="1.0 / (1.0 - np.square({0}))", symbol="1 ÷ (1 − {0}²)", domain=(-0.9, 0.9),
                   about="The slope of arctanh, exact near -1 and 1.",
                   rules=(lambda g, y, x: g * (2.0 * (x * y) * y),))  # fmt: skip


def hypot_slope_forward(a: Array, b: Array) -> Array:
    size = np.maximum(np.abs(a), np.abs(b))
    size = np.where(size == 0, 1, size)[()]
    a, b = a / size, b / size
    return a / np.maximum(np.hypot(a, b), 1.0)  # which it is, but at the origin


hypot_slope: Call = op("hypot_slope", hypot_slope_forward, composite=True,
                 spelling="{0} / np.hypot({0}, {1})", symbol="{0} ÷ √({0}² + {1}²)",
                 about="The cosine of the angle of (a, b), the slope of hypot, without overflow.",
                 rules=(lambda g, y, a, b: g * (hypot_slope(b, a) * (hypot_slope(b, a) / hypot(a, b))),
                        lambda g, y, a, b: g * (-y * (hypot_slope(b, a) / hypot(a, b)))))  # fmt: skip


def relu_forward(x: Array) -> Array:
    if type(x) is float64:
        return float64(0.0) if x <= 0.0 else x  # in this form nan stays nan
    if type(x) is ndarray and x.flags.c_contiguous:
        return np.maximum(x, np.zeros(x.shape, x.dtype))  # a third of the time of (x, 0)
    return np.maximum(x, 0)


relu = op("relu", relu_forward, spelling="np.maximum({0}, 0)", symbol="max(0, {0})", scalar="0.0 if {0} <= 0.0 else {0}", elementwise=True,
          about="The value where positive, else 0; slope 0 at 0.", kink=Kink(lambda y, x: x == 0),
          rules=(lambda g, y, x: g * (y > 0).astype(g.dtype),))  # fmt: skip


def clip_rule(g: Array, y: Array, x: Array, low: Any, high: Any) -> Array:
    if low is not None:
        g = g * (x >= low)
    if high is not None:
        g = g * (x <= high)
    return unbroadcast(g, x.shape)  # bounds may have more axes than x


_clip = op("clip", np.clip, (clip_rule,), options=True,
           spelling="np.clip({0}, {1}, {2})", symbol="clip({0}, {1}, {2})", fresh=True,
           about="The value, held between two bounds; slope 1 on them, 0 outside.",
           kink=Kink(lambda y, x, low, high: (x == low) | (x == high)),
           samples=((Shape(2, 3), -1.0, 1.0), (Shape(), None, 0.5), (Shape(4), -0.5, None)))  # fmt: skip


def clip(x: Any, a_min: Any = None, a_max: Any = None) -> Any:
    """`np.clip`: no gradient flows to the bounds; for that, use np.maximum and np.minimum."""
    return _clip(x, number("clip", "a_min", a_min), number("clip", "a_max", a_max))


_nan_to_num = op("nan_to_num", lambda x, *values: np.nan_to_num(x, True, *values), options=True,
                 spelling="np.nan_to_num({0}, True, {1}, {2}, {3})", symbol="finite {0}", fresh=True,
                 about="Numbers in place of nan and infinities, by default 0 and the largest; no gradient where they stand.",
                 samples=((Shape(2, 3), 0.0, None, None), (Shape(), 1.0, 2.0, 3.0)),
                 rules=(lambda g, y, x, nan, posinf, neginf: np.where(y == x, g, 0),))  # fmt: skip


def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """`np.nan_to_num`, which never writes into its input: copy=False is refused."""
    if not copy:
        raise UnsupportedError("np.nan_to_num: copy=False would write into a tensor that a graph may use")
    return _nan_to_num(x, *(number("nan_to_num", "nan, posinf or neginf", v) for v in (nan, posinf, neginf)))


_detach = op("detach", lambda x: x.copy(), (None,), spelling="{0}.copy()", symbol="detach {0}", scalar="{0}", fresh=True,
             about="The same values as a constant: no gradient flows through it.")  # fmt: skip


def detach(x: Any) -> Any:
    """A copy of the values that no gradient flows through, and that holds on to no graph."""
    if active and modes.recording is not None:
        return _detach(x)
    return constant(x.value.copy())


def number(who: str, option: str, value: Any) -> Any:
    """An option without a derivative: a plain number or array, not a tensor that wants a gradient."""
    if not isinstance(value, Node):
        return value
    if value.needs:
        but = f"but {quoted(value)} requires one; pass t.detach() to use its value"
        raise GraphError(f"{who}: no gradient flows to {option}, {but}")
    leave(f"{who}: {option}", value)
    return value.value


_astype = op("astype", lambda x, dtype: x.astype(dtype), options=True,
             spelling="{0}.astype({1})", symbol="{0} as {1}", scalar="1.0 * {0}", fresh=True,
             probability="keeps", about="The same values in another floating-point type.",
             samples=((Shape(2, 3), np.dtype("float64")),),
             rules=(lambda g, y, x, dtype: g.astype(x.dtype),))  # fmt: skip


def astype(x: Any, dtype: Any) -> Any:
    """The tensor in another dtype; one that needs a gradient stays floating-point."""
    try:
        wanted = np.dtype(dtype)
    except TypeError as error:
        raise DTypeError(f"astype: {dtype!r} is no dtype") from error
    if isinstance(x, Node) and x.needs and wanted.kind != "f":
        write = f"t.detach().astype({str(wanted)!r})"
        raise DTypeError(f"astype: {wanted} cannot carry gradients; to go on without, use {write}")
    if wanted.kind not in "fiub":
        raise DTypeError(f"astype: dtype {wanted} is not supported; use a float, int or bool type")
    return remembered(_astype, x, wanted)  # a mask as numbers is still a mask


HALF = np.dtype(np.float16)


def in_single(x: Any) -> Any:
    """float16 as float32, in which losses compute: float16 holds neither their squares nor their sums."""
    return astype(x, np.float32) if x.dtype is HALF else x


def in_float32(f: Callable[..., Any]) -> Callable[..., Any]:
    """For float16, whose sums stop at 2048 and overflow at 65504, compute in float32 and return float16."""

    @functools.wraps(f)
    def run(x: Any, *args: Any, **options: Any) -> Any:
        if getattr(x, "dtype", None) == HALF:
            wide = [astype(a, np.float32) if getattr(a, "dtype", None) == HALF else a for a in (x, *args)]
            return astype(f(*wide, **options), HALF)
        return f(x, *args, **options)

    return run


def as_float(x: Any, dtype: Any = None) -> Any:
    """A floating-point tensor as it is; anything else in the given dtype, or in its own if it has one."""
    if isinstance(x, Node) and not x.plain:
        return x if x.value.dtype.kind == "f" else astype(x, dtype or float)
    wanted = dtype if dtype is not None else x.dtype if x.dtype.kind == "f" else np.dtype(float)
    return x if x.dtype == wanted else _astype(x, wanted)


def floats(who: str, *inputs: Any) -> list[Any]:
    """Inputs that are computed with together, in floating point; None stays None.

    Plain arrays take the dtype of the first tensor, or of the first input when there is none, so that
    float64 data beside float32 weights does not make everything float64. Integers would wrap.
    """
    data = [
        x if x is None or isinstance(x, Node) or foreign(x) else np.asarray(plain(x, who))[()] for x in inputs
    ]
    firm = [x.value.dtype for x in data if isinstance(x, Node) and not x.plain]
    if not isinstance(data[0], Node) or data[0].plain:
        firm.append(data[0].dtype)
    dtype = next((one for one in firm if one.kind == "f"), None)
    return [None if x is None else as_float(x, dtype) for x in data]


def floating(who: str, x: Any) -> Any:
    """One input in floating point."""
    if isinstance(x, Node) and x.value.dtype.kind == "f":
        return x
    return floats(who, plain(x, who) if x is None else x)[0]  # which refuses None
