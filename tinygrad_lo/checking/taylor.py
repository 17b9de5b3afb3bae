"""The Taylor test: remainders at halved steps, whose slopes say right or wrong without any tolerance."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_lo.checking.recording import gradients_of
from tinygrad_lo.checking.student import (
    Leaves,
    calling,
    gradient_of,
    is_pair,
    leaves_of,
    name_of_function,
    numbers_of,
    parameter,
    rebuilt,
    structured,
)
from tinygrad_lo.engine.derivatives import hvp
from tinygrad_lo.engine.graph import Array, Node
from tinygrad_lo.engine.tensor import Tensor
from tinygrad_lo.errors import (
    DTypeError,
    GradcheckError,
    LoError,
    NonFiniteError,
    ShapeError,
    UnsupportedError,
)
from tinygrad_lo.options import public

WHO = "taylor_test"
HALVINGS = range(3, 44)  # steps are 2⁻³, 2⁻⁴, …, of the size of x
CLEAR = 50.0  # times the noise: a remainder above it is no rounding
DIRECTIONS = 3
BETWEEN = 1.5  # a slope of 1 or of 2; only what comes near to this would need a tolerance, and nothing does


@dataclass
class Remainders:
    """What was measured along one direction.

    Attributes:
        steps: h, each half of the one before, the largest first.
        remainders: of orders 0, 1 and, where f has second derivatives, 2.
        noise: how far a value of f is off by rounding.
    """

    steps: Array
    remainders: list[Array]
    noise: float
    at_kink: bool = False  # the slopes on both sides of x differ

    def clear(self, order: int) -> Array:
        """The places of the steps before the first whose remainder is rounding."""
        above = self.remainders[order] > CLEAR * self.noise
        last = np.flatnonzero(above)
        return np.arange(last[-1] + 1) if last.size else np.array([], int)

    def slope(self, order: int) -> float:
        """How fast the remainder falls at the smallest steps at which it is no rounding; else ∞.

        It is taken to the first remainder that is rounding: of a line beyond a kink that is a steep fall.
        """
        places, values = self.clear(order), self.remainders[order]
        if not places.size:
            return np.inf
        k = int(places[-1])
        if k + 1 >= len(values):
            k -= 1
        return float(np.log2(values[k] / max(values[k + 1], self.noise)))

    def usual_slope(self, order: int) -> float | None:
        """The median slope over the steps whose remainders are clear, as a line through them has it."""
        places, values = self.clear(order)[-8:], self.remainders[order]
        falls = np.log2(values[places[:-1]] / values[places[1:]]) if places.size > 2 else np.array([])
        return float(np.median(falls)) if falls.size else None


@dataclass
class TaylorReport:
    """Whether remainders fall as they should; true if they do.

    Attributes:
        directions: what was measured along each, the one that says most first.
        said: the verdict in sentences.
        cause: None, or "gradient" or "second derivative": what is wrong.
    """

    title: str
    directions: list[Remainders]
    said: list[str] = field(default_factory=list)
    cause: str | None = None

    def __bool__(self) -> bool:
        return self.cause is None

    @property
    def slopes(self) -> list[float | None]:
        """The slopes of the remainders of orders 0, 1, 2; None where one is rounding from the start."""
        shown = self.directions[0]
        return [shown.usual_slope(order) for order in range(len(shown.remainders))]

    @property
    def score(self) -> float:
        """The share of directions along which the gradient is right; 1 only if all that was tested is."""
        share = sum(is_right(one, 1) for one in self.directions) / len(self.directions)
        return 1.0 if self else min(share, 0.99)

    def as_dict(self) -> dict[str, Any]:
        """What was found, as plain data for JSON."""
        facts = {"title": self.title, "passed": bool(self), "score": self.score, "cause": self.cause}
        first = self.directions[0]
        rows = [first.steps.tolist(), *(r.tolist() for r in first.remainders)]
        return {**facts, "said": self.said, "slopes": self.slopes, "rows": rows}

    def raise_if_failed(self) -> None:
        """Raise GradcheckError with this report as its message, unless the check passed."""
        if not self:
            raise GradcheckError(str(self))

    def __str__(self) -> str:
        shown = self.directions[0]
        lines = [f"{self.title} {'passed' if self else 'FAILED'}", *(f"  {line}" for line in self.said), ""]
        names = ["no derivative", "gradient", "and second derivative"][: len(shown.remainders)]
        cells = [("step h", *names)]
        for k in range(0, len(shown.steps), 4):
            values = [r[k] for r in shown.remainders]
            marks = ["" if value > CLEAR * shown.noise else "  rounding" for value in values]
            texts = [f"{value:.1e}{mark}" for value, mark in zip(values, marks, strict=True)]
            cells.append((f"{shown.steps[k]:.1e}", *texts))
        slopes = [f"{slope:.2f}" if slope is not None else "-" for slope in self.slopes]
        cells.append(("slope", *slopes))
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return "\n".join(
            [*lines, *("  " + "  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)]
        )

    __repr__ = __str__  # what a cell or a prompt shows of its last line

    def plot(self, path: str | Path) -> Path:
        """Draw the remainders over the steps, both on logarithmic axes, with lines of the slopes 1, 2 and 3.

        Raises:   UnsupportedError: matplotlib is not installed.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise UnsupportedError("plot needs matplotlib: pip install matplotlib") from error
        shown = self.directions[0]
        axes = Figure(figsize=(7.0, 4.6), layout="constrained").subplots()
        for order, (values, color) in enumerate(zip(shown.remainders, ("C7", "C0", "C1"), strict=False)):
            name = ("no derivative", "with the gradient", "with the second derivative")[order]
            seen, slope = values > 0, self.slopes[order]
            text = f"{name}: slope {slope:.2f}" if slope is not None else f"{name}: rounding"
            axes.loglog(shown.steps[seen], values[seen], "o-", color=color, ms=3, label=text)
        if shown.noise > 0:
            axes.axhline(shown.noise, color="0.6", linestyle=":", label="rounding of f")
        axes.set(xlabel="step h", ylabel="remainder", title=self.said[0])
        axes.legend(frameon=False)
        assert axes.figure is not None
        axes.figure.savefig(path)  # type: ignore[union-attr]
        return Path(path)


@public
def taylor_test(f: Callable[[Any], Any], x: Any, *, gradient: Any = None) -> TaylorReport:
    """Check a gradient by how fast the remainder of f's Taylor polynomial falls when the step is halved.

        R0(h) = |f(x + hv) − f(x)|                    falls as h
        R1(h) = |f(x + hv) − f(x) − h ∇f·v|           falls as h² with the right gradient, as h with any other
        R2(h) = … − ½ h² v·Hv|                        falls as h³ with the right second derivative

    No tolerance decides: the slope of log R over log h is 2 or 1, at the smallest steps at which R is no
    rounding yet. Where f is linear along v, R1 is rounding, which is said, and right: a wrong gradient leaves
    a slope of 1. Three directions v are tried, one of them along the gradient.

    f takes tensors and returns one; then the gradient is the engine's and H its second derivative. Or it
    is a function in NumPy: then it returns (loss, gradient), or `gradient` is a function of x, or the
    gradient at x.

    Shapes:   x: an array, a list or a dict of arrays; f(x): one number; the gradient: as x.
    At the edges: at a kink f has a slope on each side; one between both passes, and that is said.
    Raises:   DTypeError: no gradient is given for a function in NumPy.  NonFiniteError: f is nan at x.
              ShapeError: several numbers, or a gradient of another shape.
    Source:   lecture 000, finite differences; the test is that of dolfin-adjoint (Farrell et al. 2013).
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> x = np.array([0.5, -1.0, 2.0])
        >>> report = lo.taylor_test(lambda w: np.exp(w).sum(), x)
        >>> bool(report), [round(slope, 1) for slope in report.slopes]
        (True, [1.0, 2.0, 3.0])
        >>> wrong = lo.taylor_test(lambda w: np.exp(w).sum(), x, gradient=lambda w: 1.001 * np.exp(w))
        >>> bool(wrong), wrong.cause, round(wrong.slopes[1], 1)
        (False, 'gradient', 1.0)
    """
    if not callable(f):
        raise DTypeError(f"{WHO}: the first argument is the function itself, got {type(f).__name__}")
    leaves = leaves_of(WHO, x, parameter(f))
    function = Function(f, x, leaves, gradient)
    rng = np.random.default_rng(0)
    ways = [function.along(rng, steep=k == 0) for k in range(DIRECTIONS)]
    directions = [measured_along(function, v) for v in ways]
    name = name_of_function(f)
    report = TaylorReport(f"{WHO} of {name}" if name else WHO, directions)
    judge_directions(report)
    return report


class Function:
    """f of a structure of arrays, as numbers, with the gradient that is claimed."""

    def __init__(self, f: Callable[[Any], Any], x: Any, leaves: Leaves, gradient: Any) -> None:
        self.f, self.x, self.leaves = f, x, leaves
        self.in_tensors = self.takes_tensors()
        value = self.value(leaves)
        if not np.isfinite(value):
            raise NonFiniteError(f"{WHO}: f(x) is {value}; choose a point where it is finite")
        if gradient is not None:
            claimed: Any = gradient(rebuilt(x, leaves)) if callable(gradient) else gradient
        elif self.in_tensors:
            claimed = self.engines()
        else:
            result = f(rebuilt(x, leaves))
            if not is_pair(result):
                raise DTypeError(
                    f"{WHO}: f is no function of tensors; pass gradient=, or return (loss, gradient)"
                )
            claimed = result[1]
        self.gradient = gradient_of(WHO, x, leaves, claimed)

    def tensors(self, leaves: Leaves) -> list[Tensor]:
        """The arrays as tensors that want a gradient."""
        return [Tensor(data.copy(), requires_grad=True, name=name) for name, data in leaves.items()]

    def value(self, leaves: Leaves) -> float:
        """f as one number, nan outside of its domain."""
        with calling():
            try:
                given = (
                    structured(self.x, self.tensors(leaves)) if self.in_tensors else rebuilt(self.x, leaves)
                )
                out = self.f(given)
            except (FloatingPointError, LoError):
                if leaves is self.leaves:
                    raise
                return float("nan")
        first = out[0] if is_pair(out) else out
        data = numbers_of(WHO, "f(x)", first.value if isinstance(first, Node) else first, finite=False)
        if data.size != 1:
            raise ShapeError(
                f"{WHO}: f(x) has shape {data.shape}; the test is of one number: sum or average it"
            )
        return float(data.reshape(()))

    def takes_tensors(self) -> bool:
        """Whether f computes with tensors: it is written for arrays alone if that goes wrong."""
        try:
            with calling():
                return isinstance(self.f(structured(self.x, self.tensors(self.leaves))), Node)
        except Exception:
            return False

    def engines(self) -> Any:
        """The engine's gradient, with the structure of x."""
        tensors = self.tensors(self.leaves)
        return structured(self.x, gradients_of(self.f(structured(self.x, tensors)), tensors))

    def along(self, rng: np.random.Generator, *, steep: bool) -> Leaves:
        """A direction of the size of x: random, or half of it along the gradient."""
        way = {name: rng.normal(size=data.shape) for name, data in self.leaves.items()}
        longest = max(float(np.abs(g).max(initial=0.0)) for g in self.gradient.values())
        size = max(1.0, *(float(np.abs(data).max(initial=0.0)) for data in self.leaves.values()))
        if steep and longest:
            way = {name: 0.1 * v + self.gradient[name] / longest for name, v in way.items()}
        return {name: np.asarray(v * size / 3.0) for name, v in way.items()}

    def curvature(self, v: Leaves) -> float | None:
        """v·Hv; None where f has no second derivative here."""
        if not self.in_tensors:
            return None
        try:
            flat = np.concatenate([data.ravel() for data in self.leaves.values()])
            way = np.concatenate([part.ravel() for part in v.values()])
            with calling(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a kink at x is found by its slopes
                return float(hvp(self.flat, flat, way) @ way)
        except (LoError, FloatingPointError):
            return None

    def flat(self, z: Any) -> Any:
        """f of all numbers in one vector."""
        ends = np.cumsum([0, *(data.size for data in self.leaves.values())])
        shapes = [data.shape for data in self.leaves.values()]
        cut = [z[a:b].reshape(s) for a, b, s in zip(ends, ends[1:], shapes, strict=False)]
        return self.f(structured(self.x, cut))


def measured_along(function: Function, v: Leaves) -> Remainders:
    """The remainders along a direction, at steps that are halved from one to the next."""

    def at(h: float) -> float:
        return function.value({name: data + h * v[name] for name, data in function.leaves.items()})

    base = function.value(function.leaves)
    steps = 2.0 ** -np.array(HALVINGS, float)
    values = np.array([at(h) for h in steps])
    inside = np.isfinite(values)
    first = int(np.flatnonzero(~inside)[-1]) + 1 if not inside.all() else 0  # from there on f is defined
    steps, values = steps[first:], values[first:]
    slope = sum(float((function.gradient[name] * part).sum()) for name, part in v.items())
    gaps = values - base
    remainders = [np.abs(gaps), np.abs(gaps - steps * slope)]
    bend = function.curvature(v)
    if bend is not None and np.isfinite(bend):
        remainders.append(np.abs(gaps - steps * slope - 0.5 * steps**2 * bend))
    noise = max(
        rounding_of(at, base),
        2.0**-52 * abs(base),
        2.0**-53 * float(steps[0] if steps.size else 1.0) * abs(slope) * 2e-3,
    )
    direction = Remainders(steps, remainders, noise)
    if not is_right(direction, 1):
        direction.at_kink = between_slopes(at, base, slope, noise)
    return direction


def rounding_of(at: Callable[[float], float], base: float) -> float:
    """How far values of f are off: their scatter around a line over very small steps."""
    h = np.arange(-4, 5) * 2.0**-46
    values = np.array([base if step == 0.0 else at(step) for step in h]) - base
    if not np.isfinite(values).all():
        return 0.0
    sides = [np.flatnonzero(h >= 0), np.flatnonzero(h <= 0)]  # a kink may lie at x
    off = [values[s] - h[s] * (values[s] @ h[s]) / (h[s] @ h[s]) for s in sides]
    return max(float(np.abs(one).max()) for one in off)


def between_slopes(at: Callable[[float], float], base: float, slope: float, noise: float) -> bool:
    """Whether x lies on a kink, and the claimed slope between those on both sides."""
    h = 2.0**-18
    ahead, behind = (at(h) - base) / h, (base - at(-h)) / h
    far = (at(2 * h) - base) / (2 * h), (base - at(-2 * h)) / (2 * h)
    bent = abs(ahead - far[0]) + abs(behind - far[1]) + 4 * noise / h  # what curvature alone makes of it
    low, high = sorted((ahead, behind))
    return high - low > 8 * bent and low - bent <= slope <= high + bent


def is_right(direction: Remainders, order: int) -> bool:
    """Whether the remainder of this order falls faster than with a wrong derivative."""
    return direction.at_kink or direction.slope(order) > order + BETWEEN - 1.0


def judge_directions(report: TaylorReport) -> None:
    """The verdict, and what is behind it; the direction that shows it comes first."""
    wrong = [one for one in report.directions if not is_right(one, 1)]
    if wrong:
        first = wrong[0]
        report.cause = "gradient"
        slope = first.usual_slope(1) or first.slope(1)
        text = f"with this gradient the remainder falls as h (slope {slope:.2f}), not as h²"
        report.said.append(f"{text}: the gradient is wrong")
    else:
        curved = [one for one in report.directions if one.usual_slope(1) is not None and not one.at_kink]
        first = curved[0] if curved else report.directions[0]
        report.said.append(verdict_words(first))
        bent = [one for one in curved if len(one.remainders) > 2 and not is_right(one, 2)]
        if bent:
            first = bent[0]
            report.cause = "second derivative"
            slope = first.usual_slope(2) or first.slope(2)
            report.said.append(
                f"with the second derivative it falls as h² (slope {slope:.2f}), not as h³: that is wrong"
            )
    report.directions.sort(key=lambda one: one is not first)


def verdict_words(right: Remainders) -> str:
    """Why a gradient is right."""
    slope = right.usual_slope(1)
    if right.at_kink:
        return "x lies on a kink, and the gradient between the slopes of both sides"
    if slope is None or right.slope(1) > 2.6:
        return "with this gradient the remainder is rounding: f is linear here, and the gradient is right"
    return f"with this gradient the remainder falls as h² (slope {slope:.2f}): the gradient is right"
