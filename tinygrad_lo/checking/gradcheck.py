"""Engine gradients against numerical ones, element by element, in a report that is true or false."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Array, Node, name_of, no_grad, quoted
from tinygrad_lo.engine.tensor import Tensor
from tinygrad_lo.engine.transforms import grad
from tinygrad_lo.errors import DTypeError, GradcheckError, GraphError, OptionError

SAMPLE = 400  # elements of one parameter that are checked singly; the rest by one joint direction
LADDER = (6e-6, 1e-4, 1e-7, 1e-3, 1e-8)  # step sizes relative to max(1, |x|), the best one first
EPS = float(np.finfo(float).eps)


@dataclass
class Row:
    """One compared number: d f / d name[index]."""

    name: str
    index: tuple[int, ...] | str
    analytic: float
    numeric: float
    error: float  # |analytic - numeric| / the larger of the two
    bar: float  # how far the numeric one can be off
    verdict: str  # OK, ZERO, KINK, UNVERIFIABLE or FAIL
    order: int = 1


@dataclass
class Report:
    """What a gradient check found: true if nothing failed and something was verified."""

    rtol: float
    rows: list[Row] = field(default_factory=list)

    def count(self, verdict: str) -> int:
        """How many rows have this verdict."""
        return sum(row.verdict == verdict for row in self.rows)

    def __bool__(self) -> bool:
        return not self.count("FAIL") and self.count("UNVERIFIABLE") < len(self.rows)

    def raise_if_failed(self) -> None:
        """Raise GradcheckError with this report as its message, unless the check passed."""
        if not self:
            raise GradcheckError(str(self))

    def __str__(self) -> str:
        counts = ", ".join(
            f"{self.count(verdict)} {word}"
            for verdict, word in (
                ("OK", "agree"),
                ("ZERO", "are zero on both sides"),
                ("KINK", "lie at kinks, with a valid subgradient"),
                ("UNVERIFIABLE", "could not be verified"),
                ("FAIL", "disagree"),
            )
            if self.count(verdict)
        )
        outcome = "passed" if self else "FAILED"
        head = f"gradcheck {outcome}: of {len(self.rows)} derivatives {counts} (rtol {self.rtol:g})"
        order = {"FAIL": 0, "UNVERIFIABLE": 1, "KINK": 2, "OK": 3, "ZERO": 4}
        shown = sorted(self.rows, key=lambda row: (order[row.verdict], -row.error))[:12]
        table = [("derivative by", "analytic", "numeric", "rel. error", "verdict")]
        for row in shown:
            where = row.name + (
                f"[{', '.join(map(str, row.index))}]" if isinstance(row.index, tuple) and row.index else ""
            )
            where += f" {row.index}" if isinstance(row.index, str) else ""
            where += "" if row.order == 1 else f" (order {row.order})"
            table.append(
                (where, f"{row.analytic:.6g}", f"{row.numeric:.6g}", f"{row.error:.1e}", row.verdict)
            )
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in table
        ]
        left = len(self.rows) - len(shown)
        return "\n".join(
            [head, *(f"  {line}" for line in lines), *([f"  … and {left} more"] if left else [])]
        )


def gradcheck(
    f: Callable[..., Any],
    *inputs: Any,
    params: Any = (),
    order: int = 1,
    rtol: float = 1e-4,
    points: int = 1,
    seed: int = 0,
) -> Report:
    """Compare the engine's gradient of f with central differences; the report is true or false.

    `f(*inputs)` returns one number, a tensor. Checked are its derivatives by every floating-point
    input and by every parameter in `params`, which f uses without being given it. Works on float64
    copies; parameters and their `.grad` are as before afterwards. There is no absolute tolerance: it
    would hide every error in small gradients.

        |analytic − numeric| ≤ rtol · max(|analytic|, |numeric|)

    Each derivative walks a ladder of step sizes until central differences at h and h/2 agree to
    better than rtol. An element below the noise of the arithmetic is UNVERIFIABLE, counted and never
    silently passed; at a kink any slope between the one-sided ones is right. Of a tensor above 400
    elements a random sample is checked singly, the rest along one random direction.

    Shapes:   inputs: any; f: (). order=2 checks the second derivatives too; points > 1 repeats at
              further points near by, drawn with `seed`.
    Raises:   OptionError: order, points or rtol out of range.  GraphError: f's value is no single
              number, or differs between two calls (randomness must be seeded inside f).
              DTypeError: nothing to differentiate by.
    Source:   lecture 000: what finite differences are good for.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> report = lo.gradcheck(lambda x: (x**3).sum(), np.array([1.0, 2.0]))
        >>> bool(report)
        True
        >>> print(report)
        gradcheck passed: of 2 derivatives 2 agree (rtol 0.0001)
          derivative by  analytic  numeric  rel. error  verdict
          input 0[...]   ...
    """
    if order not in (1, 2) or isinstance(order, bool):
        raise OptionError(f"gradcheck: order must be 1 or 2, got {order!r}")
    if isinstance(points, bool) or not isinstance(points, int) or points < 1:
        raise OptionError(f"gradcheck: points must be an int >= 1, got {points!r}")
    if not 0 < rtol < 1:
        raise OptionError(f"gradcheck: rtol must be in (0, 1), got {rtol!r}")
    found = parameters(params)
    args = [as_input(value, i) for i, value in enumerate(inputs)]
    leaves = [arg for arg in args if isinstance(arg, Tensor) and arg.requires_grad] + found
    if not leaves:
        raise DTypeError("gradcheck: nothing to differentiate by: no floating-point input and no params")
    report = Report(rtol)
    rng = np.random.default_rng(seed)

    def call() -> Any:
        return f(*args)

    with as_float64(found):
        begin = [leaf._value for leaf in leaves]
        for point in range(points):
            for leaf, data in zip(leaves, begin, strict=True):
                if point:
                    noise = 0.1 * rng.standard_normal(np.shape(data)) * np.maximum(1.0, np.abs(data))
                    leaf._value = (data + noise)[()]
            compare(report, call, leaves, rng, 1)
            if order == 2:
                directions = [rng.standard_normal(leaf.shape) for leaf in leaves]
                compare(report, lambda d=directions: slope(call(), leaves, d), leaves, rng, 2)
    return report


def parameters(params: Any) -> list[Any]:
    """The parameters as a list of leaves that want a gradient."""
    if hasattr(params, "named_parameters"):
        params = params.named_parameters()
    if isinstance(params, Node):
        params = [params]
    found = [item[1] if isinstance(item, tuple) else item for item in params]
    for p in found:
        if not isinstance(p, Tensor) or p.op is not None or not p.requires_grad:
            raise DTypeError(f"gradcheck: params must be leaves that require grad, got {p!r}")
    return found


def as_input(value: Any, i: int) -> Any:
    """A float64 tensor to differentiate by, or anything else as it is."""
    data = value._value if isinstance(value, Node) else value
    if isinstance(data, (float, list, np.ndarray, np.generic)):
        array = np.asarray(data)
        if array.dtype.kind == "f":
            name = (name_of(value) if isinstance(value, Node) else None) or f"input {i}"
            return Tensor(np.array(array, dtype=float), requires_grad=True, name=name)
    return value


@contextmanager
def as_float64(params: list[Any]) -> Iterator[None]:
    """The parameters hold float64 copies meanwhile, and their own arrays again afterwards."""
    before = [p._value for p in params]
    try:
        for p in params:
            p._value = np.array(p._value, dtype=float)[()]
        yield
    finally:
        for p, data in zip(params, before, strict=True):
            p._value = data


def slope(out: Any, leaves: list[Any], directions: list[Array]) -> Any:
    """The derivative of f along a direction, as a graph: what order 2 differentiates."""
    total: Any = None
    for g, d in zip(grad(out, leaves, create_graph=True, allow_unused=True), directions, strict=True):
        if g is not None:
            part = (g * d).sum()
            total = part if total is None else total + part
    return total


def compare(report: Report, call: Callable[[], Any], leaves: list[Any], rng: Any, order: int) -> None:
    """Add a row for each derivative of call() by the leaves, at their present data."""
    before = [np.array(leaf._value) for leaf in leaves]
    out = call()
    for leaf, data in zip(leaves, before, strict=True):
        if not np.array_equal(leaf._value, data, equal_nan=True):
            raise GraphError(
                f"gradcheck: the function changes {quoted(leaf, 'a parameter')}; it must only read it"
            )
    if not isinstance(out, Node) or np.size(out._value) != 1:
        shape = np.shape(out._value) if isinstance(out, Node) else type(out).__name__
        raise GraphError(f"gradcheck: the function must return one number as a tensor, got {shape}")
    if out._needs:
        analytic = grad(out, leaves, allow_unused=True)
    elif order == 2:
        analytic = [None] * len(leaves)  # a constant slope: second derivatives are zero
    else:
        raise GraphError(
            "gradcheck: the function's value does not depend on its inputs and params through tensors"
        )

    def value() -> float:
        if order == 2:
            return float(call().item())
        with no_grad():
            return float(call().item())

    base = value()
    if not np.isfinite(base):
        raise GraphError(f"gradcheck: the function's value is {base}; lo.anomaly() names the op that made it")
    if base != value():
        raise GraphError(
            "gradcheck: the function gives another value when called again; seed its randomness inside"
        )
    for leaf, g in zip(leaves, analytic, strict=True):
        name = name_of(leaf) or ("×".join(map(str, leaf.shape)) or "scalar") + " parameter"
        g = np.zeros(leaf.shape) if g is None else np.asarray(g)
        start = np.asarray(leaf._value)
        flat = np.arange(start.size)
        single = flat if start.size <= SAMPLE else np.sort(rng.choice(start.size, SAMPLE, replace=False))
        for i in single:
            d = np.zeros(start.size)
            d[i] = 1.0
            index = tuple(int(k) for k in np.unravel_index(i, start.shape))
            report.rows.append(check(report.rtol, value, leaf, start, d, g, base, name, index, order))
        rest = np.setdiff1d(flat, single)
        if rest.size:
            d = np.zeros(start.size)
            d[rest] = rng.choice([-1.0, 1.0], rest.size)
            index_text = f"along a ±1 direction of the other {rest.size}"
            report.rows.append(check(report.rtol, value, leaf, start, d, g, base, name, index_text, order))


def check(
    rtol: float,
    value: Callable[[], float],
    leaf: Any,
    start: Array,
    d: Array,
    g: Array,
    base: float,
    name: str,
    index: Any,
    order: int,
) -> Row:
    """Compare the derivative along d with central differences, and give a verdict."""
    direction = d.reshape(start.shape)
    moved = direction != 0
    analytic = float((g[moved] * direction[moved]).sum())  # elsewhere an inf would make 0 * inf

    def at(h: float) -> float:
        leaf._value = (start + h * direction)[()]
        try:
            return value()
        finally:
            leaf._value = start[()]

    def row(numeric: float, bar: float, verdict: str) -> Row:
        largest = max(abs(analytic), abs(numeric))
        error = abs(analytic - numeric) / largest if largest else 0.0
        return Row(name, index, analytic, numeric, error, bar, verdict, order)

    numeric, bar, h = derivative(at, base, float(np.abs(start[moved]).max()), rtol)
    largest = max(abs(analytic), abs(numeric))
    gap = abs(analytic - numeric)
    if analytic == numeric == 0.0:
        return row(numeric, bar, "ZERO")
    if np.isfinite(analytic) and bar <= rtol * largest and gap <= rtol * largest:
        return row(numeric, bar, "OK")
    if analytic == 0.0 and vanishes(at):
        return row(numeric, bar, "ZERO")
    if np.isfinite(analytic) and gap <= bar:
        return row(numeric, bar, "UNVERIFIABLE")
    if at_kink(at, base, analytic, h if bar <= rtol * abs(numeric) else 1e-6):
        return row(numeric, bar, "KINK")
    return row(numeric, bar, "FAIL")


def vanishes(at: Callable[[float], float]) -> bool:
    """Whether the slope goes to 0 with h, like h² at the minimum of x⁴: then it is 0."""
    wide, narrow = (abs(at(h) - at(-h)) / (2 * h) for h in (1e-2, 1e-4))
    return narrow <= 1e-3 * wide


def derivative(
    at: Callable[[float], float], base: float, x: float, rtol: float
) -> tuple[float, float, float]:
    """The slope at 0 by central differences, how far it may be off, and the step that gave it.

    Tries the rungs of the ladder until the differences at h and at h/2 agree; the best rung wins.
    """
    best, least, step = 0.0, np.inf, 1e-6
    for scale in dict.fromkeys((max(1.0, x), x)):
        if scale == 0.0:
            continue
        for rung in LADDER:
            h = rung * scale
            above, below = at(h), at(-h)
            wide = (above - below) / (2 * h)
            narrow = (at(h / 2) - at(-h / 2)) / h
            noise = 8 * EPS * max(abs(above), abs(below), abs(base)) / h
            bar = abs(wide - narrow) + noise
            if bar < least:
                best, least, step = narrow, bar, h
            if bar <= rtol * abs(narrow):
                return narrow, bar, h
    return best, float(least), step


def at_kink(at: Callable[[float], float], base: float, analytic: float, converged: float) -> bool:
    """Whether the one-sided slopes differ by a jump that stays when h shrinks, and enclose the gradient.

    Curvature makes them differ as well, but in proportion to h. The last h is the step at which the
    central differences had converged: a kink near by, which that step no longer sees, is none here.
    """
    jumps = []
    sides: tuple[float, float] = (0.0, 0.0)
    for h in (1e-4, 1e-6, min(converged, 1e-6)):
        sides = ((base - at(-h)) / h, (at(h) - base) / h)
        jumps.append(abs(sides[1] - sides[0]))
    noise = 8 * EPS * abs(base) / min(converged, 1e-6)
    slack = 1e-3 * max(map(abs, sides)) + noise
    stays = jumps[1] > 0.5 * jumps[0] and jumps[2] > 0.5 * jumps[1] and jumps[2] > slack
    return bool(stays and min(sides) - slack <= analytic <= max(sides) + slack)
