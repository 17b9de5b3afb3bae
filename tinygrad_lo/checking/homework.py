"""A student's own gradient against finite differences, and the report that all checks of homework give."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from tinygrad_lo.checking.case import Case, Seen, nearby
from tinygrad_lo.checking.diagnosis import Cause, factor, sentence, told
from tinygrad_lo.checking.experiments import diagnosed, explained, overflow
from tinygrad_lo.checking.measured import Measured
from tinygrad_lo.checking.recording import gradients_of, rounding_of
from tinygrad_lo.checking.report import Checked, Report, Row, share_right
from tinygrad_lo.checking.student import (
    Leaves,
    Student,
    attempt,
    check_of,
    leaves_of,
    name_of_function,
    numbers_of,
    rebuilt,
    structured,
)
from tinygrad_lo.engine.graph import Array, Node
from tinygrad_lo.engine.tensor import Tensor
from tinygrad_lo.errors import DTypeError, GraphError, LoError
from tinygrad_lo.options import function, public

RTOL = 1e-4  # how well each element must be known to count as verified
VALUE_RTOL = 1e-6  # how well two values must agree that come from formulas
near = functools.partial(math.isclose, rel_tol=VALUE_RTOL)


@dataclass(repr=False)
class Homework(Checked):
    """What a check of homework found: true if it passed; printed, what is wrong and why.

    cause is one of "sign", "factor 2" (or another number), "mean or sum", "transpose", "regularizer",
    "disconnected", "some elements", "labels", "axis", "target", "slope", "left out", "twice", "path",
    "convention", "constant", "overflow", "in place", "state", or None.
    """

    title: str
    passed: bool = True
    said: list[str] = field(default_factory=list)
    cause: str | None = None
    match: str | None = None  # the convention that the function follows, as a call of the library
    report: Report | None = None
    undecided: bool = False  # nothing is wrong, but nothing could be verified either
    more = ("match",)
    culprit: ClassVar[None] = None  # a function in NumPy has no ops of which one could be to blame

    @property
    def rows(self) -> list[Row]:
        """The compared derivatives, where finite differences were taken."""
        return [] if self.report is None else self.report.rows

    def __bool__(self) -> bool:
        return self.passed

    def share(self) -> float:
        """The share of the derivatives that agree, half of it where all of them do."""
        share = share_right(self.rows)
        return 0.0 if self.undecided else share if share < 0.99 else 0.5

    def fail(self, cause: Cause | str | None, sentence: str) -> None:
        """Note what is wrong; the first cause counts."""
        self.passed = self.undecided = False
        self.cause = self.cause or (cause.name if isinstance(cause, Cause) else cause)
        self.said.append(sentence)

    def tables(self) -> list[list[str]]:
        """The derivatives that disagree."""
        return [] if self.report is None or self.report else [self.report.table()]


@public
def check_gradient(
    loss_and_gradient: Callable[[Any], Any], x: Any, *, against: Callable[[Any], Any] | None = None
) -> Homework:
    """Check a gradient written by hand, in plain NumPy, and say what is likely wrong with it.

    `loss_and_gradient(x)` returns the loss, one number, and its gradient, of the same structure as x:
    an array, a list of arrays or a dict of arrays. A number, or a list of numbers, is one array. Finite
    differences of the loss judge each element by the rules of `gradcheck`.

        |gradient − numeric| ≤ bar

    `against` is a reference, a function of tensors (a loss of this library), or one that returns (loss,
    gradient) itself: it shows a loss that is not the one asked for, with a gradient that fits it.

    What is wrong is named if that fits at a second point as well. To find it a copy of the function reads
    other labels, no data, or one sample for all. It is called with fresh copies, and heard once.

    Shapes:   x: any; the loss: (); each gradient has the shape of what it is by.
    Raises:   DTypeError: no pair, or integers.  ShapeError: another shape, or several losses.
              MutationError: it changes its input.  GraphError: it answers otherwise when called again.
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
          the gradient by x is 4 times what it should be: the 1/4 of a mean is missing
        ...
    """
    who, student = "check_gradient", Student("check_gradient", loss_and_gradient, x)
    if not (against is None or callable(against)):
        raise DTypeError(
            f"{who}: against is a function of x, got {type(against).__name__}; check_loss takes names"
        )
    function(who, loss_and_gradient, "(f, x)")
    leaves = leaves_of(who, loss_and_gradient, x)
    loss, gradient = student.trusted(leaves)
    work = Homework(check_of(who, loss_and_gradient))
    gradient_gaps(work, student, leaves, loss, gradient)
    if work and work.report is not None:
        work.said.append(verified(work.report))
    if against is not None:
        compare(work, student, against, leaves)
    elif work and (note := overflow(student, leaves)):
        work.said.append(note)
    return work


def verified(report: Report) -> str:
    """How many derivatives were found right, and how many could not be seen."""
    if report.count("ZERO") == len(report.rows):
        return "the gradient is 0 everywhere, and right; but it shows little: is this a flat place?"
    notes = [text.format(count) for verdict, text in UNUSUAL.items() if (count := report.count(verdict))]
    text = f"{len(report.rows)} derivatives were compared with finite differences: all right"
    return ", ".join([text, *notes])


UNUSUAL = {
    "KINK": "{} of them at a kink, with a slope that is allowed there",
    "MEET": "{} where kinks meet",
    "UNVERIFIABLE": "but {} below the noise of the arithmetic, which shows nothing",
}


def gradient_gaps(
    work: Homework, student: Student, leaves: Leaves, loss: float, gradient: Leaves,
    reason: Callable[[str, Cause | None], Cause | None] = lambda name, cause: cause,
) -> None:  # fmt: skip
    """Compare a gradient with finite differences, array by array; `reason` may know better what is wrong."""
    rng, narrow = np.random.default_rng(0), list[str]()
    work.report = Report(RTOL)
    wrong: dict[str, tuple[Cause | None, list[str]]] = {}  # by what is said of it
    measured = Measured(student.loss, lambda moved: student(moved)[1], leaves, loss, gradient, RTOL)
    for name in leaves:
        rows = measured.rows(name, rng)
        work.report.rows += rows
        if rounded_only(rows, gradient[name]):
            narrow.append(name)
        failed = [row.index for row in rows if row.verdict == "FAIL"]
        if not failed:
            continue
        if isinstance(failed[0], tuple):  # the joint direction comes last
            cause = reason(name, explained(student, leaves, name, *excused(rows, leaves[name].shape)))
        else:
            cause = Cause("some elements", where="somewhere among many elements")
        alike = sentence("", cause).replace(f"·{name}", "·…")  # but for the name
        wrong.setdefault(alike, (cause, []))[1].append(name)
    note_gaps(work, list(wrong.values()))
    if narrow:
        work.said.append(f"the gradient by {listed(narrow)} {NARROW}")
    if work and not work.report:
        work.fail(None, f"nothing could be verified: {work.report.hidden()}")
        work.undecided = True


NARROW = (
    "is float32, and right to its rounding, which hides smaller mistakes: while you check, compute in float64"
)


def rounded_only(rows: Sequence[Row], gradient: Array) -> bool:
    """Whether rows disagree by the rounding of float32 alone, as far as they do; these count as agreeing."""
    allowed, failed = rounding_of(gradient), [row for row in rows if row.verdict == "FAIL"]
    for row in failed:
        moved = np.sqrt(gradient.size) if isinstance(row.index, str) else 1.0
        if abs(row.analytic - row.numeric) <= row.bar + allowed * moved:
            row.bar += allowed * moved
            row.verdict = "OK" if row.bar <= RTOL * abs(row.numeric) else "UNVERIFIABLE"
    return bool(failed) and all(row.verdict != "FAIL" for row in failed)


def note_gaps(work: Homework, wrong: list[tuple[Cause | None, list[str]]]) -> None:
    """Say of each cause which gradients have it, what is known first."""
    for cause, names in sorted(wrong, key=lambda pair: pair[0] is None):
        subject = f"the gradient by {listed(names)}"
        known = cause is not None or len(wrong) == 1
        work.fail(cause, sentence(subject, cause) if known else f"{subject} is wrong as well")


def listed(names: Sequence[str]) -> str:
    """Names in a row: W; each of W, b and c."""
    return names[0] if len(names) == 1 else f"each of {', '.join(names[:-1])} and {names[-1]}"


def excused(rows: Sequence[Row], shape: tuple[int, ...]) -> tuple[Array, Any]:
    """Which elements of one array show nothing, at a kink or below the noise; and where they stand in it."""
    single = [row for row in rows if isinstance(row.index, tuple)]
    silent = np.array([row.verdict not in ("OK", "ZERO", "FAIL") for row in single])
    if len(single) < np.prod(shape, dtype=int):
        return silent, tuple(np.array([row.index for row in single]).T)
    return silent.reshape(shape), ...


def compare(work: Homework, student: Student, against: Callable[[Any], Any], leaves: Leaves) -> None:
    """Compare value and gradient with those of a reference."""
    name = name_of_function(against) or "the reference"
    loss, gradient = student(leaves)
    right, slopes = reference(against, student.x, leaves)
    cause, gap = (None, "") if slopes is None else between(student, leaves, gradient, slopes)
    if not near(loss, right):
        differs = f"your loss is {loss:.6g}, {name} gives {right:.6g}"
        losses = relation(student, against, leaves)
        if losses is None:
            work.fail(cause or "convention", differs + (gap and f"; your gradient {gap}"))
        elif losses.kind == "constant" and slopes is not None and not gap:
            work.fail(losses, f"{differs}: it {told(losses)}; its gradient is right")
        else:
            work.fail(losses, f"{differs}: yours {told(losses)}")
    elif work and gap:  # else finite differences have said so
        work.fail(cause, f"your loss is that of {name}, but your gradient {gap}")
    elif work:
        both = "the value is that" if slopes is None else "value and gradient are those"
        work.said.append(f"{both} of {name}")
        compare_far_out(work, student, against, leaves)


def compare_far_out(work: Homework, student: Student, against: Callable[[Any], Any], leaves: Leaves) -> None:
    """Where the largest numbers are ±1 000, no loss may be nan unless the reference is."""
    large = {k: data * (1000.0 / np.abs(data).max(initial=1.0)) for k, data in leaves.items()}
    there = attempt(student.loss, large)  # an assert may refuse the place on purpose
    if np.isnan(there or 0.0) and np.isfinite(reference(against, student.x, large)[0]):
        name = name_of_function(against) or "the reference"
        at = f"at {listed([*leaves])} of ±1 000 your loss is nan, and {name} is not"
        work.fail("overflow", overflow(student, leaves) or at)


def relation(student: Student, against: Callable[[Any], Any], leaves: Leaves) -> Cause | None:
    """What a student's loss has to do with another one, at two points: a factor, a constant, other labels."""
    point = nearby(student, leaves)
    if point is None:
        return None
    points, case = (leaves, point), Case(student, leaves, next(iter(leaves)))
    yours = [student.loss(place) for place in points]
    right = [reference(against, student.x, place)[0] for place in points]
    if all(right) and near(yours[0] / right[0], yours[1] / right[1]):
        return factor(yours[0] / right[0], case.sizes)
    if near(yours[0] - right[0], yours[1] - right[1]):
        return Cause("constant", yours[0] - right[0])
    for cause, moved in case.relabeled():
        if all(near(moved.loss(place), value) for place, value in zip(points, right, strict=True)):
            return cause
    return None


def between(student: Student, leaves: Leaves, yours: Leaves, right: Leaves) -> tuple[Cause | None, str]:
    """The cause and the words for the first array in which two gradients differ."""
    for name, data in leaves.items():
        seen = Seen(yours[name], right[name])
        if seen.wrong.any():
            cause = diagnosed(Case(student, leaves, name), seen, data)
            return cause, sentence(f"by {name}", cause)
    return None, ""


def reference(against: Callable[[Any], Any], x: Any, leaves: Leaves) -> tuple[float, Leaves | None]:
    """The value of a reference, and its gradient if it has one."""
    who = "check_gradient: against"
    tensors = {name: Tensor(data.copy(), requires_grad=True, name=name) for name, data in leaves.items()}
    try:
        out = against(structured(x, list(tensors.values())))
    except (LoError, TypeError, ValueError, AttributeError) as problem:
        try:
            out = against(rebuilt(x, leaves))  # perhaps it is written for arrays
        except Exception:
            raise problem from None
    if isinstance(out, Node):
        if np.size(out.value) != 1:
            raise GraphError(f"{who} must return one number, got shape {np.shape(out.value)}")
        slopes = gradients_of(out, list(tensors.values()))
        return float(np.reshape(out.value, ())), dict(zip(leaves, slopes, strict=True))
    if isinstance(out, tuple):
        return Student(who, against, x).trusted(leaves)
    return float(numbers_of(who, "the value", out).sum()), None
