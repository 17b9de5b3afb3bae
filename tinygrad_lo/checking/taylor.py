"""The Taylor test: how fast what a gradient leaves of f shrinks. Slopes judge, without a tolerance."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_lo.checking.diagnosis import Cause, factor, told
from tinygrad_lo.checking.differences import EPS, SMALLEST
from tinygrad_lo.checking.measured import size_of
from tinygrad_lo.checking.recording import IN_TENSORS, eps_of, gradients_of, length
from tinygrad_lo.checking.remainders import COUNTS, FLAT, KINK, NAMES, ROUNDING, UNSEEN, WRONG, Along
from tinygrad_lo.checking.report import Checked, in_columns
from tinygrad_lo.checking.student import (
    Leaves,
    Student,
    attempt,
    calling,
    check_of,
    leaves_of,
    parts,
    position_of,
    rebuilt,
    structured,
)
from tinygrad_lo.engine.derivatives import hessian
from tinygrad_lo.engine.graph import Array, Node, mode, reachable
from tinygrad_lo.engine.machine.hooks import no_effects
from tinygrad_lo.engine.tensor import Tensor
from tinygrad_lo.errors import DTypeError, GraphError, NonFiniteError, UnsupportedError
from tinygrad_lo.options import function, public

WHO = "taylor_test"
FIRST, HALVINGS = 2.0**-4, 45  # the steps: from a sixteenth of the size of x down to its rounding
LAST_STEPS = 4  # so many of the smallest steps leave rounding alone, or nearly


@dataclass(repr=False)
class TaylorReport(Checked):
    """What a Taylor test found: true if the gradient is right; printed, a table of slopes and remainders.

    Attributes:
        rows: a row for each direction: name, verdict, fits, steps, remainders.
        said: what the slopes mean, in sentences; cause: "sign", "factor 2", "disconnected", or None.
    """

    title: str
    rows: list[Along]
    said: list[str] = field(default_factory=list)
    found: Cause | None = None

    @property
    def wrong(self) -> list[Along]:
        """The directions along which the gradient is wrong."""
        return [row for row in self.rows if row.verdict == WRONG]

    @property
    def undecided(self) -> bool:
        """Whether nothing is wrong, and nothing was seen."""
        return not (self or self.wrong)

    def __bool__(self) -> bool:
        return not self.wrong and any(row.ok for row in self.rows)

    @property
    def slopes(self) -> list[float | None]:
        """The slopes of R0, R1 and R2 along the direction that is shown; None where one is rounding."""
        return [None if fit is None else fit.slope for fit in self.shown.fits]

    @property
    def shown(self) -> Along:
        """The direction whose remainders are shown: the first wrong one, else the first."""
        return [*self.wrong, *self.rows][0]

    def tables(self) -> list[list[str]]:
        """The slopes along each direction, and the remainders along the one that is shown."""
        heading = ("along", *(f"slope of {name}" for name in NAMES), "known to", "verdict")
        row = self.shown
        cells = [("h", *NAMES[: len(row.remainders)])]
        for i in range(0, len(row.steps), 4):
            least = COUNTS * row.rounding[i]
            values = [f"{r[i]:.1e}" if r[i] > least else "rounding" for r in row.remainders]
            cells.append((f"{row.steps[i]:.1e}", *values))
        remainders = [f"remainders along {row.name}", *in_columns(cells)]
        return [in_columns([heading, *(row.cells for row in self.rows)]), remainders]

    def plot(self, path: Any = None) -> Any:
        """Draw the remainders against the step, log-log; the path, or without one the matplotlib Figure.

        Raises:   UnsupportedError: matplotlib is not installed (extra `examples`).
        """
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise UnsupportedError("plots need matplotlib: pip install matplotlib") from error
        row, figure = self.shown, Figure(figsize=(6.4, 4.8), layout="constrained")
        axes = figure.subplots()
        for name, fit, r in zip(NAMES, row.fits, row.remainders, strict=False):
            slope = "rounding" if fit is None else f"slope {fit.slope:.2f}"
            axes.loglog(row.steps, np.where(r > 0.0, r, np.nan), "o-", markersize=3, label=f"{name}: {slope}")
        axes.loglog(row.steps, COUNTS * row.rounding, ":", color="gray", label="rounding")
        axes.set(xlabel="h", ylabel="remainder", title=f"{self.title} along {row.name}: {row.verdict}")
        axes.legend(loc="upper left")
        if path is None:
            return figure
        figure.savefig(path, dpi=150)
        return Path(path)


@public
def taylor_test(f: Callable[[Any], Any], x: Any, *, gradient: Any = None) -> TaylorReport:
    """Whether a gradient is the first term of f's Taylor series, judged by how fast the remainders shrink.

        R0 = |f(x + hv) − f(x)|,   R1 = |f(x + hv) − f(x) − h g·v|,   R2 = |… − h g·v − ½ h² vᵀHv|

    At halved steps h they fall with slopes 1, 2 and 3 in a log-log plot. With a wrong gradient R1 falls with
    slope 1, however little is wrong: no tolerance is chosen. Where f is linear or piecewise linear R1 is
    rounding alone, and the report says so. Each array moves along random directions of its own. The slopes
    are those of the smallest steps above rounding: kinks farther away do not count.

    `f(x)` computes with tensors, and the gradient tested is the engine's; or it is NumPy's, and `gradient`
    is a function of x or the gradient itself. R2 is left out where f has no second derivative by tensors.

    Shapes:   x: an array, or a list or dict of arrays; f(x): (); the gradient: built like x.
    At the edges: exactly at a kink a gradient between both slopes decides nothing: the report is false
              and reads UNDECIDED, as where rounding hides everything. `report.plot(path)` draws.
    Raises:   GraphError: f returns no tensor and there is no gradient.  DTypeError: x holds integers.
              ShapeError: the gradient has another shape.  NonFiniteError: f is nan or inf, or is it
              wherever x moves.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> report = lo.taylor_test(lambda x: np.exp(x).sum(), np.array([1.0, 2.0]))
        >>> bool(report), [round(slope) for slope in report.slopes]
        (True, [1, 2, 3])
        >>> f = lambda x: np.exp(x).sum()
        >>> wrong = lo.taylor_test(f, np.ones(2), gradient=lambda x: 1.001 * np.exp(x))
        >>> bool(wrong), wrong.cause
        (False, 'factor 1.001')
    """
    function(WHO, f, "(f, x)")
    leaves = leaves_of(WHO, f, x)
    by_hand = gradient if callable(gradient) else lambda x: gradient
    names = [key for key in leaves for _ in range(2 if len(leaves) == 1 else 1) if leaves[key].size]
    with np.errstate(all="ignore"), no_effects():  # f may leave its domain
        call = caller_of(f, x, rebuilt(x, leaves), gradient is None)
        pair = engine_pair(f, x) if gradient is None else lambda x: (call(x), by_hand(x))
        base, slopes = Student(WHO, pair, x).trusted(leaves)
        value, eps = Student(WHO, lambda x: (call(x), None), x).loss, roughest(f, rebuilt(x, leaves))
        claim, rng = TaylorClaim(value, f, x, leaves, base, slopes, eps), np.random.default_rng(0)
        report = TaylorReport(check_of(WHO, f), [claim.along(name, rng) for name in names])
    say(report)
    return report


NOTES = {
    ROUNDING: "where R1 is rounding, f is linear as far as the next kink, and the gradient right",
    FLAT: "along some directions f does not move, and the gradient is 0: right, but it shows little",
    KINK: "x lies on a kink: the slopes of f on both sides differ, and the gradient is between; move x",
    UNSEEN: "along some directions f changes by no more than its rounding, which shows nothing",
}
BENDS = {
    2: "the second derivative jumps near x, or is wrong; lo.gradcheck(f, x, order=2) tells",
    1: "the gradient is off by less than R1 shows, in digits that a test seldom needs",
}


def say(report: TaylorReport) -> None:
    """What the slopes mean."""
    if report.wrong:
        names, report.found = ", ".join(dict.fromkeys(row.name for row in report.wrong)), common_cause(report)
        why = told(report.found) if report.found else "is wrong"
        report.said.append(f"R1 falls with slope 1 only: the gradient by {names} {why}")
    report.said += [text for kind, text in NOTES.items() if any(row.verdict == kind for row in report.rows)]
    powers = {row.power for row in report.rows}
    report.said += [f"R2 falls with slope {k} only: {text}" for k, text in BENDS.items() if k in powers]


def common_cause(report: TaylorReport) -> Cause | None:
    """The kind of mistake, if all directions show the same one."""
    ratios = [row.claimed / row.true for row in report.wrong if row.true]
    if len(ratios) < len(report.wrong) or np.ptp(ratios) > 0.02 * abs(ratios[0] - 1.0):
        return None
    return factor(ratios[0], ()) if ratios[0] else Cause("disconnected")


@dataclass(frozen=True)
class TaylorClaim:
    """A function at a place, and the gradient that is claimed there."""

    value: Callable[[Leaves], float]
    f: Callable[[Any], Any]
    x: Any
    leaves: Leaves
    base: float
    gradient: Leaves
    eps: float  # the rounding of the coarsest type that f computes with, as far as its graph shows

    def along(self, name: str, rng: np.random.Generator) -> Along:
        """The remainders along a random direction of one array."""
        start, g = self.leaves[name], self.gradient[name]
        size = length(start) / math.sqrt(start.size) or 1.0
        v = size * rng.choice([-1.0, 1.0], start.shape) * rng.uniform(0.5, 1.5, start.shape)
        steps = FIRST * 0.5 ** np.arange(HALVINGS)

        def change(h: float) -> tuple[float, float]:
            """What f changes by, and what the gradient says, for the step as it is after rounding."""
            moved = start + h * v
            value = attempt(self.value, {**self.leaves, name: moved})
            return (np.nan if value is None else value) - self.base, float((g * (moved - start)).sum())

        def sides(i: int) -> tuple[float, float]:
            h = float(steps[i])
            (ahead, right), (behind, left) = change(h), change(-h)
            return claimed + (ahead - right) / h, claimed - (behind - left) / h

        claimed = float((g * v).sum())
        changes, slopes = (np.array(column) for column in zip(*map(change, steps), strict=True))
        finite = np.isfinite(changes)
        if not finite.any():
            text = f"f is nan or inf a little beside x, at every step along {name}"
            raise NonFiniteError(f"{WHO}: {text}; does x lie at the border of f's domain? Move x")
        steps, changes, slopes = steps[finite], changes[finite], slopes[finite]
        remainders = [np.abs(changes), np.abs(changes - slopes)]
        curvature = self.curvature(name, v)
        if curvature is not None:
            remainders.append(np.abs(changes - slopes - 0.5 * steps**2 * curvature))
        sizes = self.size(name, start) + steps / steps[0] * self.size(name, start + steps[0] * v)
        rounding = 2.0 * self.eps * (sizes + steps * float(np.abs(g * v).sum()) + SMALLEST)
        rounding = np.maximum(rounding, remainders[1][-LAST_STEPS:].max())
        return Along(name, steps, remainders, rounding, claimed, sides)

    def size(self, name: str, place: Array) -> float:
        """The size of what is added up on the way to f's value."""
        at, slope = {**self.leaves, name: place}, length(self.gradient[name] * place)
        return max(size_of(self.value, at), abs(self.value(at)), slope)

    def curvature(self, name: str, v: Array) -> float | None:
        """vᵀHv, where f computes with tensors."""

        def along(t: Any) -> Any:
            moved = [a + t * v if k == name else Tensor(a) for k, a in self.leaves.items()]
            return self.f(structured(self.x, moved))

        with mode("kinks", False), calling():
            value = attempt(hessian(along), 0.0)
        return None if value is None or not np.isfinite(value) else float(value)


def leaves_as_tensors(x: Any) -> list[Any]:
    """The arrays of a structure as tensors to differentiate by."""
    return [Tensor(data, requires_grad=True, name=name) for name, data in parts(x).items()]


def roughest(f: Callable[[Any], Any], x: Any) -> float:
    """The rounding of the coarsest type in f's graph; that of float64, where f has none."""
    with calling():
        out = attempt(lambda: f(structured(x, leaves_as_tensors(x))))
    return eps_of(node.value for node in reachable([out])) if isinstance(out, Node) else EPS


def engine_pair(f: Callable[[Any], Any], x: Any) -> Callable[[Any], tuple[Any, Any]]:
    """f's value and the engine's gradient, of arrays."""

    def pair(given: Any) -> tuple[Any, Any]:
        leaves = leaves_as_tensors(given)
        out = f(structured(x, leaves))
        if isinstance(out, tuple):
            hint = "for (loss, gradient), test lambda x: f(x)[0] with gradient=lambda x: f(x)[1]"
            raise DTypeError(f"{WHO}: f must return one number, got a tuple of {len(out)}; {hint}")
        if not isinstance(out, Node):
            hint = f"give the gradient with gradient=, or {IN_TENSORS}"
            raise GraphError(f"{WHO}: f must return a tensor, got {type(out).__name__}; {hint}")
        position_of(WHO, "the loss", out.value)
        return out.value, structured(x, gradients_of(out, leaves))

    return pair


def caller_of(f: Callable[[Any], Any], x: Any, given: Any, by_engine: bool) -> Callable[[Any], Any]:
    """f of arrays, as it is, or with tensors where it needs them; these may be differentiated by inside."""

    def plainly(given: Any) -> Any:
        out = f(given)
        return out.value if isinstance(out, Node) else out

    def by_tensors(given: Any) -> Any:
        out = f(structured(x, leaves_as_tensors(given)))
        return out.value if isinstance(out, Node) else out

    if by_engine:
        return by_tensors
    with calling():
        needed = attempt(plainly, given) is None and attempt(by_tensors, given) is not None
    return by_tensors if needed else plainly
