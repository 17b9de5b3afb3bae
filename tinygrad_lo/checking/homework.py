"""A student's own gradient against finite differences, and the report that all checks of homework give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_lo.checking.measured import Measured
from tinygrad_lo.checking.mistakes import factor, mistake
from tinygrad_lo.checking.report import Report, Row
from tinygrad_lo.checking.student import (
    Leaves,
    calling,
    gradient_of,
    leaves_of,
    number_of,
    numbers_of,
    pair_of,
    rebuilt,
    title,
    trusted,
)
from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.tensor import Tensor
from tinygrad_lo.engine.transforms import grad
from tinygrad_lo.errors import DTypeError, GradcheckError, GraphError, LoError

RTOL = 1e-4  # how well each element must be known to count as verified
VALUE = 1e-6  # how well two values must agree that come from formulas


@dataclass
class Homework:
    """What a check of homework found: true if it passed; printed, what is wrong and why.

    cause is one of "sign", "factor 2" (or another number), "mean or sum", "transpose", "regularizer",
    "disconnected", "some elements", "convention", or None; match is the convention that the function
    follows, as a call of the library, or None.
    """

    title: str
    passed: bool = True
    said: list[str] = field(default_factory=list)
    cause: str | None = None
    match: str | None = None
    report: Report | None = None
    undecided: bool = False  # nothing is wrong, but nothing could be verified either

    @property
    def rows(self) -> list[Row]:
        """The compared derivatives, where finite differences were taken."""
        return [] if self.report is None else self.report.rows

    @property
    def culprit(self) -> None:
        """None: a function written in NumPy has no ops of which one could be to blame."""
        return

    def __bool__(self) -> bool:
        return self.passed

    def fail(self, cause: str | None, sentence: str) -> None:
        """Note what is wrong; the first cause counts."""
        if self.passed or self.undecided:
            self.passed, self.cause, self.undecided = False, cause, False
        self.said.append(sentence)

    def raise_if_failed(self) -> None:
        """Raise GradcheckError with this report as its message, unless the check passed."""
        if not self:
            raise GradcheckError(str(self))

    def __str__(self) -> str:
        lines = [f"{self.title} {'passed' if self.passed else 'UNDECIDED' if self.undecided else 'FAILED'}"]
        lines += [f"  {sentence}" for sentence in self.said]
        if self.report is not None and not self.report:
            lines += ["", *(f"  {line}" for line in self.report.table())]
        return "\n".join(lines)


def check_gradient(
    loss_and_gradient: Callable[[Any], Any], x: Any, *, against: Callable[[Any], Any] | None = None
) -> Homework:
    """Check a gradient written by hand, in plain NumPy, and say what is likely wrong with it.

    `loss_and_gradient(x)` returns the loss, one number, and its gradient, of the same structure as x:
    an array, a list of arrays or a dict of arrays. A number, or a list of numbers, is one array. The
    gradient is compared with finite differences of the loss, by the rules of `gradcheck`: every
    element has its own verdict and error bar, usually 1e-8 of itself and better, and kinks raise no
    false alarm.

        |gradient − numeric| ≤ bar

    `against` is a reference: a function of tensors (a loss of this library), or one that returns
    (loss, gradient) itself. It shows what finite differences cannot: a loss that is not the one asked
    for, with a gradient that fits it.

    The function is called many times, each time with fresh float64 copies; what it prints is heard once.

    Shapes:   x: any; the loss: (); each gradient has the shape of what it is by.
    Raises:   DTypeError: the function returns no pair, or integers, or x is no array of floats.
              ShapeError: a gradient of another shape than x, or several losses.  MutationError: the
              function changes its input.  GraphError: it gives another answer when called again.
              NonFiniteError: nan or inf.
    Source:   lecture 000: finite differences are there to check the calculus.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> def squares(x):
        ...     return np.mean(x**2), 2.0 * x
        >>> report = lo.check_gradient(squares, np.array([1.0, -2.0, 0.5, 3.0]))
        >>> bool(report), report.cause
        (False, 'mean or sum')
        >>> print(report)
        check_gradient of squares FAILED
          the gradient by x is 4 times what it should be: was the 1/4 of a mean left out?
        ...
    """
    who = "check_gradient"
    if not callable(loss_and_gradient):
        raise DTypeError(
            f"{who}: the first argument is the function itself, got {type(loss_and_gradient).__name__}; "
            f"write check_gradient(f, x), not check_gradient(f(x), x)"
        )
    leaves = leaves_of(who, x)
    loss, gradient = trusted(who, loss_and_gradient, x, leaves)
    work = Homework(f"{who} of {title(loss_and_gradient)}")

    def value(moved: Leaves) -> float:
        with calling():
            loss, _ = pair_of(who, loss_and_gradient(rebuilt(x, moved)))
        return number_of(
            who, "the loss near x", loss, finite=False
        )  # beyond an edge of its domain it may be nan

    def slopes(moved: Leaves) -> Leaves:
        with calling():
            return gradient_of(who, x, leaves, pair_of(who, loss_and_gradient(rebuilt(x, moved)))[1])

    differences(work, Measured(value, slopes, leaves, loss, gradient, RTOL))
    if work and work.report is not None:
        work.said.append(verified(work.report))
    if against is not None:
        if not callable(against):
            raise DTypeError(
                f"{who}: against is a function of x, got {type(against).__name__}; check_loss takes names"
            )
        compare(work, against, x, leaves, loss, gradient)
    return work


def verified(report: Report) -> str:
    """How many derivatives were found right, and how many could not be seen."""
    if report.count("ZERO") == len(report.rows):
        return "the gradient is 0 everywhere, and right; but it shows little: is this a flat place?"
    kinks, meets, unseen = report.count("KINK"), report.count("MEET"), report.count("UNVERIFIABLE")
    text = f"{len(report.rows)} derivatives were compared with finite differences: all right"
    if kinks:
        text += f", {kinks} of them at a kink, with a slope that is allowed there"
    if meets:
        text += f", {meets} where kinks meet"
    if unseen:
        text += f", but {unseen} below the noise of the arithmetic, which shows nothing"
    return text


def differences(work: Homework, measured: Measured) -> None:
    """Compare a gradient with finite differences, array by array, and note what is wrong with each."""
    rng = np.random.default_rng(0)
    work.report = Report(RTOL)
    for name, start in measured.leaves.items():
        rows = measured.rows(name, rng)
        work.report.rows += rows
        single = [row for row in rows if isinstance(row.index, tuple)]
        bad = np.array([row.verdict == "FAIL" for row in single])
        if bad.any():
            cause, words = mistake(
                np.array([row.analytic for row in single]),
                np.array([row.numeric for row in single]),
                bad,
                np.array([start[row.index] for row in single]),
                [row.index for row in single],
                np.array([row.bar for row in single]),
            )
            work.fail(cause, f"the gradient by {name} {words}")
        elif any(row.verdict == "FAIL" for row in rows):
            work.fail("some elements", f"the gradient by {name} is wrong somewhere among many elements")
    if work and not work.report:
        work.fail(None, f"nothing could be verified: {work.report.hidden()}")
        work.undecided = True


# --------------------------------------------------------------------------- against a reference


def compare(
    work: Homework, against: Callable[[Any], Any], x: Any, leaves: Leaves, loss: float, gradient: Leaves
) -> None:
    """Compare value and gradient with those of a reference."""
    name = title(against)
    right, slopes = reference(against, x, leaves)
    if not near(loss, right):
        differs = f"your loss is {loss:.6g}, {name} gives {right:.6g}"
        cause: str | None = "convention"
        if slopes is not None:
            cause, words = between(leaves, gradient, slopes)
            words = words and f"; your gradient {words}"
        else:
            words = ""
        if right and loss and (slopes is None or cause in (None, "some elements")):
            kind, said = factor(loss / right)
            if kind != "factor":
                cause, words = kind, f"; your loss {said}"
        work.fail(cause, differs + words)
    elif slopes is not None:
        cause, words = between(leaves, gradient, slopes)
        if words:
            work.fail(cause, f"your loss is that of {name}, but your gradient {words}")
        elif work:
            work.said.append(f"value and gradient are those of {name}")
    elif work:
        work.said.append(f"the value is that of {name}")


def between(leaves: Leaves, yours: Leaves, right: Leaves) -> tuple[str | None, str]:
    """The cause and the words for the first array in which two gradients differ."""
    for name, data in leaves.items():
        a, b = yours[name].ravel(), right[name].ravel()
        scale = float(np.abs(b).max(initial=0.0))
        bad = np.abs(a - b) > VALUE * np.maximum(np.abs(a), np.abs(b)) + 1e-12 * scale
        if bad.any():
            places = [tuple(int(i) for i in place) for place in np.ndindex(data.shape)]
            cause, words = mistake(a, b, bad, data.ravel(), places)
            return cause, f"by {name} {words}"
    return None, ""


def near(a: float, b: float) -> bool:
    """Whether two values are the same, but for rounding."""
    return abs(a - b) <= VALUE * max(abs(a), abs(b))


def reference(against: Callable[[Any], Any], x: Any, leaves: Leaves) -> tuple[float, Leaves | None]:
    """The value of a reference, and its gradient if it has one."""
    who = "check_gradient: against"
    tensors = {name: Tensor(data.copy(), requires_grad=True, name=name) for name, data in leaves.items()}
    try:
        out = against(rebuilt_with(x, tensors))
    except (LoError, TypeError, ValueError, AttributeError) as problem:
        try:
            out = against(rebuilt(x, leaves))  # perhaps it is written for arrays
        except Exception:
            raise problem from None
    if isinstance(out, Node):
        if np.size(out._value) != 1:
            raise GraphError(f"{who} must return one number, got shape {np.shape(out._value)}")
        slopes = grad(out, list(tensors.values()), allow_unused=True) if out._needs else [None] * len(tensors)
        arrays = [
            np.zeros(t.shape) if g is None else np.asarray(g)
            for t, g in zip(tensors.values(), slopes, strict=True)
        ]
        return float(np.reshape(out._value, ())), dict(zip(leaves, arrays, strict=True))
    if isinstance(out, tuple):
        return trusted(who, against, x, leaves)
    return float(numbers_of(who, "the value", out).sum()), None


def rebuilt_with(x: Any, tensors: dict[str, Any]) -> Any:
    """The structure of x with tensors in place of its arrays."""
    values = list(tensors.values())
    if isinstance(x, Mapping):
        return dict(zip(x, values, strict=True))
    return values[0] if list(tensors) == ["x"] else values
