"""The table, part 1: + - * / ** and comparisons."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Array, Kink, same
from tinygrad_lo.engine.machine.refusals import no_broadcast
from tinygrad_lo.engine.ops.registry import op
from tinygrad_lo.errors import DTypeError

add = op("add", operator.add, spelling="{0} + {1}", symbol="+", ufunc=np.add,
         about="Sum of two values. The gradient is copied to both.",
         rules=(same,
                same))  # fmt: skip

subtract = op("subtract", operator.sub, spelling="{0} - {1}", symbol="−", ufunc=np.subtract,
              probability="keeps", about="Difference of two values.",
              rules=(same,
                     lambda g, y, a, b: -g))  # fmt: skip

multiply = op("multiply", operator.mul, spelling="{0} * {1}", symbol="×", ufunc=np.multiply,
              about="Product of two values. Each gets the gradient times the other.",
              rules=(lambda g, y, a, b: g * b,
                     lambda g, y, a, b: g * a))  # fmt: skip

divide = op("divide", operator.truediv, pole=True, spelling="{0} / {1}", symbol="÷", ufunc=np.divide,
            probability="keeps", about="Quotient of two values.", domain=((-2.0, 2.0), (0.5, 2.0)),
            rules=(lambda g, y, a, b: g / b,
                   lambda g, y, a, b: g * (-y / b)))  # fmt: skip

negative = op("negative", operator.neg, spelling="-{0}", symbol="−{0}", ufunc=np.negative,
              about="The value with its sign changed.",
              rules=(lambda g, y, x: -g,))  # fmt: skip

square = op("square", lambda x: x * x, spelling="np.square({0})", symbol="{0}²", ufunc=np.square, scalar="{0} * {0}",
            about="The value times itself.",
            rules=(lambda g, y, x: g * (2.0 * x),))  # fmt: skip

reciprocal = op("reciprocal", lambda x: 1.0 / x, pole=True, spelling="1.0 / {0}", symbol="1 ÷ {0}", ufunc=np.reciprocal,
                about="One divided by the value.", domain=(0.5, 2.0),
                rules=(lambda g, y, x: -(g * y * y),))  # fmt: skip


def power_by_base(g: Array, y: Array, a: Array, b: Array) -> Array:
    if type(b) is int or type(b) is float:
        if b == 2:
            return g * (2.0 * a)
        # x**0 is 1 everywhere: slope 0 also at x = 0, where b * a**(b-1) would be 0 * inf.
        return g * (b * a ** (b - 1)) if b != 0 else g * 0.0
    # Only where 1/a is infinite: elsewhere the slope must still depend on b, for second derivatives.
    # [()], because a power of numbers and one of arrays can differ in the last bit.
    near_zero = np.abs(a) < np.finfo(y.dtype).tiny.item()
    return g * (b * a ** np.where(b == 0, np.where(near_zero, 1, b - 1), b - 1)[()])


def power_by_exponent(g: Array, y: Array, a: Array, b: Array) -> Array:
    # 0**b stays 0 when b > 0 moves, although log(0) is -inf; for b < 0 it falls from inf: slope -inf,
    # which inf * minimum(b, 0) is.
    return g * (y * np.where(a == 0, np.minimum(b, 0), np.log(np.where(a == 0, 1, a))))


def refuse_power(error: Exception, a: Array, b: Array) -> Exception | None:
    if "negative integer powers" in str(error):
        return DTypeError("power: an integer to a negative power; write the base or exponent as a float")
    return no_broadcast("power", a, b)


power = op("power", operator.pow, pole=True, spelling="{0} ** {1}", symbol="^", ufunc=np.power, scalar="power({0}, {1})",
           about="A base to an exponent. With respect to an exponent >= 0 the gradient at base 0 is 0.",
           domain=((0.5, 2.0), (-2.0, 2.0)), refuse=refuse_power,
           rules=(power_by_base,
                  power_by_exponent))  # fmt: skip

NO_GRADIENT = "True where it holds. No gradient: it is piecewise constant."

# Where two values are equal, what a condition chooses may change.
TIE = Kink(lambda y, a, b: (a == b) & np.isfinite(a))  # nobody crosses infinity

COMPARISON: dict[str, Any] = {"about": NO_GRADIENT, "kink": TIE, "kind": "compares"}

# fmt: off
equal = op("equal", operator.eq, (None, None), spelling="{0} == {1}", symbol="=", ufunc=np.equal, **COMPARISON)
not_equal = op("not_equal", operator.ne, (None, None), spelling="{0} != {1}", symbol="≠", ufunc=np.not_equal, **COMPARISON)
less = op("less", operator.lt, (None, None), spelling="{0} < {1}", symbol="<", ufunc=np.less, **COMPARISON)
less_equal = op("less_equal", operator.le, (None, None), spelling="{0} <= {1}", symbol="≤", ufunc=np.less_equal, **COMPARISON)
greater = op("greater", operator.gt, (None, None), spelling="{0} > {1}", symbol=">", ufunc=np.greater, **COMPARISON)
greater_equal = op("greater_equal", operator.ge, (None, None), spelling="{0} >= {1}", symbol="≥", ufunc=np.greater_equal, **COMPARISON)
# fmt: on
