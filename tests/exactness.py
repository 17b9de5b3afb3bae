"""Exact values and derivatives, and how many units in the last place a computed number is away from them.

A function under test is given twice: as the package computes it, and as text or a function of `exact.np`,
which is NumPy on numbers of hundreds of digits. Its derivatives are differences over a step so small that
nothing but the derivative is left of them, so that no derivative is written twice.

What a result may be wrong by is measured in units in the last place of |r| + Σ |x · ∂r/∂x|: no way to
compute from rounded inputs is better than the second part.
"""

import itertools
import zlib

import mpmath
import numpy as np
from mpmath import mp

from tinygrad_lo.engine.derivatives import grad
from tinygrad_lo.engine.graph import mode
from tinygrad_lo.engine.tensor import Tensor

BOUNDS = (4, 8, 16)  # for values, first and second derivatives


def rng_of(name: str) -> np.random.Generator:
    """Random numbers that belong to one case alone."""
    return np.random.default_rng(zlib.crc32(name.encode()))


# ------------------------------------------------------------------- NumPy on many digits


def real(f):
    """An mpmath function on the elements of arrays; nan where it leaves the real numbers."""

    def at(*args):
        if any(x != x for x in args):
            return mpmath.nan
        try:
            y = f(*args)
        except (ValueError, ZeroDivisionError):
            return mpmath.nan
        return mpmath.nan if isinstance(y, mpmath.mpc) else y

    return at


def logaddexp(a, b):
    low, high = min(a, b), max(a, b)
    return high if mpmath.isinf(high) else high + mpmath.log1p(mpmath.exp(low - high))


class ExactNumPy:
    """NumPy's names for object arrays of mpmath numbers; what is not here is NumPy's own."""

    inf, nan = mpmath.inf, mpmath.nan
    logaddexp = np.frompyfunc(real(logaddexp), 2, 1, identity=-mpmath.inf)
    maximum, minimum = (np.frompyfunc(real(f), 2, 1) for f in (max, min))
    fmax, fmin = maximum, minimum
    hypot, arctan2 = (np.frompyfunc(real(f), 2, 1) for f in (mpmath.hypot, mpmath.atan2))
    logaddexp2 = np.frompyfunc(
        real(lambda a, b: logaddexp(a * mpmath.log(2), b * mpmath.log(2)) / mpmath.log(2)), 2, 1
    )
    nan_to_num = staticmethod(lambda x, *_: x)  # it is not asked of nan and infinities

    def __getattr__(self, name):
        return getattr(np, name)

    def zeros(self, shape, *_):
        return np.full(shape, mpmath.mpf(0), object)

    def array(self, numbers):
        return np.array([x[()] for x in numbers], object)  # np.array keeps arrays without axes as arrays

    def median(self, x, axis=None):
        axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        rows = np.moveaxis(x, axes, range(-len(axes), 0))
        rows = np.sort(rows.reshape(*rows.shape[: -len(axes)], -1), -1)
        n = rows.shape[-1]
        return np.mean(rows[..., (n - 1) // 2 : n // 2 + 1], -1)

    def std(self, x, axis=None, keepdims=False):
        return self.sqrt(np.var(x, axis, keepdims=keepdims))


for _name, _f in {
    "exp": mpmath.exp, "log": mpmath.log, "log1p": mpmath.log1p, "expm1": mpmath.expm1, "sqrt": mpmath.sqrt,
    "log2": lambda x: mpmath.log(x) / mpmath.log(2), "log10": mpmath.log10,
    "sin": mpmath.sin, "cos": mpmath.cos, "tan": mpmath.tan, "tanh": mpmath.tanh, "sinh": mpmath.sinh,
    "cosh": mpmath.cosh, "arcsin": mpmath.asin, "arccos": mpmath.acos, "arctan": mpmath.atan,
    "arcsinh": mpmath.asinh, "arccosh": mpmath.acosh, "arctanh": mpmath.atanh,
    "exp2": lambda x: mpmath.power(2, x), "deg2rad": mpmath.radians, "rad2deg": mpmath.degrees,
}.items():  # fmt: skip
    setattr(ExactNumPy, _name, np.frompyfunc(real(_f), 1, 1))

exact_np = ExactNumPy()


def exactly(x):
    """Numbers as an object array of mpmath numbers; complex ones as nan."""

    def one(y):
        if isinstance(y, mpmath.mpc):
            return mpmath.nan
        return y if isinstance(y, mpmath.mpf) else mpmath.mpf(float(y))

    return np.asarray(np.frompyfunc(one, 1, 1)(x), object)


def digits_for(dtype, arrays):
    """Digits enough for third differences of these inputs, and for results down to the smallest number."""
    sizes = np.concatenate([np.abs(np.ravel(x)).astype(float) for x in arrays])
    sizes = sizes[(sizes > 0) & (sizes < np.inf)]
    smallest = min(float(sizes.min(initial=1.0)), 1.0)
    largest = max(float(sizes.max(initial=1.0)), 1.0)
    floor = -np.log10(float(np.finfo(dtype).smallest_subnormal))
    floor = min(floor, 40 + 2 * largest)  # exp(−x) is not smaller
    return int(3 * (5 - np.log10(step_for(dtype)) - np.log10(smallest)) + np.log10(largest) + floor + 10)


def step_for(dtype):
    """The step of a difference, relative to the input: what it misses is far below a unit."""
    return float(np.finfo(dtype).eps) * 2.0**-12


class Exact:
    """The exact values and derivatives of f at some inputs.

    A variable is (which input, place in it). The place `...` moves all elements of an input at once,
    for functions that work on each element alone.
    """

    def __init__(self, f, arrays, variables, seed, dtype):
        """`f` takes the arrays as object arrays; `seed` is what its result is multiplied by and summed."""
        self.f, self.variables, self.dtype = f, variables, np.dtype(dtype)
        self.pointwise = all(place is ... for _, place in variables)
        moved = sorted({i for i, _ in variables})
        self.digits = digits_for(dtype, [arrays[i] for i in moved])
        self.arrays = [exactly(x) if i in moved else x for i, x in enumerate(arrays)]
        self.known = {}
        with mp.workdps(self.digits):
            self.seed = exactly(seed)
            small = [np.abs(np.ravel(arrays[i]).astype(float)) for i in moved]
            least = min([float(x) for x in np.concatenate(small) if x > 0], default=1.0)
            step = mpmath.mpf(step_for(dtype))
            size = np.frompyfunc(lambda x: min(abs(x) if x else mpmath.mpf(least), 1) * step, 1, 1)
            self.steps = [size(self.arrays[i][place]) for i, place in variables]

    def at(self, *moves):
        """f where each (variable, how many steps) has moved, whatever it met made nan."""
        counts = {}
        for k, n in moves:
            counts[k] = counts.get(k, 0) + n
        key = tuple(sorted((k, n) for k, n in counts.items() if n))
        if key not in self.known:
            with mp.workdps(self.digits):
                arrays = list(self.arrays)
                for k, n in key:
                    i, place = self.variables[k]
                    arrays[i] = np.array(arrays[i], object)
                    arrays[i][place] = arrays[i][place] + n * self.steps[k]
                self.known[key] = exactly(self.f(*arrays))
        return self.known[key]

    def difference(self, *variables, sign=1):
        """The derivative by the variables, elementwise: a forward (or backward) difference quotient."""
        out = 0
        for size in range(len(variables) + 1):
            for chosen in itertools.combinations(variables, size):
                y = self.at(*((k, sign) for k in chosen))
                out = out + (-1) ** (len(variables) - size) * y
        for k in variables:
            out = out / (sign * self.steps[k])
        return out

    def summed(self, y):
        """As the gradient of the weighted sum sees it."""
        return self.seed * y if self.pointwise else np.sum(self.seed * y)

    def conditioned(self, r, *variables):
        """|r| + Σ |x · ∂r/∂x| for the derivative r of the weighted sum by the variables."""
        out = abs(self.seed * r) if self.pointwise else np.sum(abs(self.seed * r))
        for k, (i, place) in enumerate(self.variables):
            out = out + abs(self.arrays[i][place] * self.summed(self.difference(*variables, k)))
        return out

    def value_gap(self, got):
        """Units in the last place between computed and exact values, elementwise."""
        with mp.workdps(self.digits):
            y = self.at()
            scale = abs(y)
            for k, (i, place) in enumerate(self.variables):
                scale = scale + abs(self.arrays[i][place] * self.difference(k))
            return gaps(got, y, y, scale, 0, self.dtype), y

    def gap(self, got, *variables):
        """The same for a first or second derivative of the weighted sum, a number for each point.

        At a kink any value between the slopes on both sides will do; there, a second derivative is not
        looked at, and neither is one whose sides are not both defined.
        """
        with mp.workdps(self.digits):
            sides = [self.summed(self.difference(*variables, sign=sign)) for sign in (1, -1)]
            slack = 0  # of the difference, for what it is still away from the derivative
            for k in variables:
                slack = slack + abs(self.steps[k] * self.summed(self.difference(*variables, k)))
            found = gaps(
                got, *sides, self.conditioned(self.difference(*variables), *variables), slack, self.dtype
            )
            if len(variables) > 1:
                found = np.where(self.kinked(variables), np.nan, found)
            return found, sides[0]

    def kinked(self, variables):
        """Whether a first derivative jumps here: the jump stays when the steps shrink."""
        out = False
        for k in variables:
            above, below = (self.difference(k, sign=sign) for sign in (1, -1))
            jump = abs(self.summed(above - below))
            if np.any(jump > 1e-10 * abs(self.summed(abs(above) + abs(below)))):
                steps, known = self.steps, self.known
                self.steps, self.known = [h / 16 for h in steps], {(): known[()]}
                smaller = abs(self.summed(self.difference(k) - self.difference(k, sign=-1)))
                self.steps, self.known = steps, known
                out = np.logical_or(out, np.logical_and(4 * smaller > jump, jump > 0))
        return out


def gaps(got, one, other, scale, slack, dtype):
    """Units in the last place from `got` to the nearest number between two; nan where there is none."""
    info = np.finfo(dtype)
    eps, smallest, most = (mpmath.mpf(float(x)) for x in (info.eps, info.smallest_subnormal, info.max))

    def gap(got, one, other, scale, slack):
        low, high = min(one, other), max(one, other)
        if one != one or other != other or scale != scale:
            return np.nan
        unit = eps * scale + smallest
        if np.isnan(got):
            return 0.0 if low >= most or high <= -most else np.inf
        if np.isinf(got):  # right where the true number is too large, or may be
            return 0.0 if (high if got > 0 else -low) + BOUNDS[0] * unit >= most else np.inf
        got = mpmath.mpf(float(got))
        away = max(low - got, got - high) - slack
        return float(min(max(away, 0) / unit, 1e300))

    return np.asarray(np.frompyfunc(gap, 5, 1)(got, one, other, scale, slack), float)


# -------------------------------------------------------------------------- what is computed


def derivatives(call, arrays, wrt, seed, pairs):
    """Value, gradients {i: array} and second derivatives {(i, place, j): array} as the engine has them.

    A pair (i, place, j) asks for the derivative by input j of the sum of the gradient by input i at a place.
    """
    args = list(arrays)
    leaves = {i: Tensor(np.array(arrays[i]), requires_grad=True) for i in wrt}
    for i, leaf in leaves.items():
        args[i] = leaf
    y = call(*args)
    loss = (y * seed).sum()
    with mode("kinks", False):  # they are met on purpose
        slopes = grad(loss, list(leaves.values()), create_graph=True, allow_unused=True)
    firsts = dict(zip(leaves, slopes, strict=True))
    seconds = {}
    for i, place, j in pairs:
        g = firsts[i]
        if g is None or not g.requires_grad:
            seconds[i, place, j] = np.zeros(leaves[j].shape)
            continue
        g = g if place is ... else g[place]
        h = grad(g.sum(), leaves[j], allow_unused=True)
        seconds[i, place, j] = np.zeros(leaves[j].shape) if h is None else h
    plain = {i: np.zeros(leaves[i].shape) if g is None else g.numpy() for i, g in firsts.items()}
    return y.numpy(), plain, seconds


def worst(found, exact, got, inputs):
    """(the largest gap, a line that says where)."""
    found, got, exact = (
        np.asarray(x).reshape(-1) for x in (found, got, np.broadcast_to(exact, np.shape(found)))
    )
    if not np.any(found == found):
        return 0.0, ""
    at = int(np.nanargmax(found))
    return float(
        found[at]
    ), f"{found[at]:.3g} units: {got[at]!r} for {mpmath.nstr(exact[at], 12)} at {inputs(at)}"
