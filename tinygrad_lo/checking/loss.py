"""A student's own loss against a loss of the library, under every convention that is known of it."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lo.checking.case import fits
from tinygrad_lo.checking.conventions import called
from tinygrad_lo.checking.diagnosis import Cause, told
from tinygrad_lo.checking.experiments import OVERFLOW
from tinygrad_lo.checking.homework import VALUE_RTOL, Homework, gradient_gaps, verified
from tinygrad_lo.checking.loss_conventions import CAUSES, KNOWN, LossVariant
from tinygrad_lo.checking.samples import Batch
from tinygrad_lo.checking.student import Student, attempt, calling, copied, is_pair, must_repeat, numbers_of
from tinygrad_lo.engine.graph import Array
from tinygrad_lo.errors import LoError, NonFiniteError, ShapeError

WHO = "check_loss"
BATCHES = ((6, 1), (5, 4), (7, 3))  # samples, outputs or classes: no two counts are equal
Times = Callable[[int, int], float]  # (samples, classes) -> how many times as large
IN_PLACE = "is taken from an array that has become the gradient: g = p is no copy; write g = p.copy()"


def check_loss(fn: Callable[..., Any], name: str, **options: Any) -> Homework:
    """Check a loss written by hand, in plain NumPy, against `lo.losses` and say which convention it follows.

    `fn(prediction, target)` takes the arguments of the library's loss of that name (`triplet` takes
    three, `l2` one) and returns the loss, or (loss, gradient by the first argument), or (loss, [gradient
    by each]). The options say what was asked for: `check_loss(fn, "mse", reduction="sum")`.

    The report is true if the values agree on random batches and are finite at scores of ±1 000, and the
    gradient agrees with finite differences. If not, the first other convention that fits is named: a sum
    in place of a mean, another base, softmax applied twice. `report.match` is it as a call.

    Raises:   OptionError: no such loss, or no such option.  DTypeError, ShapeError, MutationError,
              GraphError, NonFiniteError: as check_gradient, of the function.
    Source:   the conventions are those of lectures 000 to 004, of PyTorch and of Keras.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> report = lo.check_loss(lambda p, t: np.sum((p - t) ** 2), "mse")
        >>> print(report)
        check_loss as mse FAILED
          your loss sums over all elements; mse averages over all elements: a factor N
        >>> report.match
        "lo.losses.mse(..., reduction='sum')"
    """
    right = LossVariant.asked_for(WHO, fn, name, options)
    draw = KNOWN[name].draw
    work = right.report(WHO, fn)
    batches = [draw(np.random.default_rng(7 + i), *size) for i, size in enumerate(BATCHES)]
    for batch in batches:
        right(*batch.values())  # an impossible option raises here
    try:
        trials = tried(fn, right, batches)
    except NonFiniteError:
        if not explain_nan(work, fn, right, batches):
            raise
        return work
    if len(trials) < len(batches):  # more of the kind that it takes: one batch alone shows little
        _, kind = BATCHES[[batch is trials[0].batch for batch in batches].index(True)]
        trials += tried(fn, right, [draw(np.random.default_rng(n), n, kind) for n in (8, 9)])
        shapes = " and ".join(dict.fromkeys(str(np.shape(trial.first)) for trial in trials))
        work.said.append(f"your function takes {next(iter(batches[0]))} of shape {shapes}, and not others")
    judged = compared(work, right, trials)
    if trials[-1].beside:
        slopes(work, fn, right, trials, judged)
    if work:
        overflow_of_loss(work, fn, name, trials[-1].batch)
    return work


def explain_nan(work: Homework, fn: Callable[..., Any], right: LossVariant, batches: list[Batch]) -> bool:
    """Whether it is known why the loss is nan: it is overwritten, or lacks a step before it."""
    if all(attempt(spoiled, fn, right, batch) for batch in batches[-2:]):
        work.fail("in place", f"your gradient is right and your loss is nan: it {IN_PLACE}")
    elif before := KNOWN[right.name].before:
        later = attempt(tried, lambda s, *rest: fn(before[0](s), *rest), right, batches)
        if later and matches(later, right):
            work.fail("convention", f"your loss {before[1]}")
    return not work


@dataclass(frozen=True)
class Trial:
    """What the student's loss says about a batch, and what it returns beside: (gradient,) or nothing."""

    batch: Batch
    value: Array
    beside: tuple[Any, ...]

    @property
    def first(self) -> Array:
        """The first argument: a row, or a number, for each sample."""
        return np.asarray(next(iter(self.batch.values())))

    @property
    def sizes(self) -> tuple[int, int]:
        """N and C: how many samples, and how many outputs or classes."""
        n, c = (*self.first.shape, 1)[:2]
        return n, c


def tried(fn: Callable[..., Any], right: LossVariant, batches: list[Batch]) -> list[Trial]:
    """The function's values on all batches that it takes: some are written for one output only."""
    trials: list[Trial] = []
    problems: list[Exception] = []
    for batch in batches:
        try:
            trials.append(trial_of(fn, right, batch, heard=batch is batches[0]))
        except ShapeError as problem:
            problems.append(problem)
        except LoError:
            raise
        except (ValueError, TypeError, IndexError) as problem:
            problems.append(problem)
    if not trials:
        raise problems[-1]
    return trials


def trial_of(fn: Callable[..., Any], right: LossVariant, batch: Batch, *, heard: bool) -> Trial:
    """What the function returns for a batch, after it has shown that it can be trusted."""
    values = []
    for loud in (heard, False):
        result = called(WHO, fn, {f"the {what}": a for what, a in batch.items()}, heard=loud)
        loss, *beside = result if is_pair(result) else (result,)
        values.append(numbers_of(WHO, "the loss", loss))
    must_repeat(WHO, "loss", *values)
    value, each, (what, first) = values[0], right.unreduced.of(batch), next(iter(batch.items()))
    if value.ndim and value.size > 1 and value.shape != each.shape:
        raise ShapeError(
            f"{WHO}: the loss has shape {value.shape} for {what} of shape {np.shape(first)}; "
            f"one number is expected, or one for each sample, {each.shape}"
        )
    return Trial(batch, value if value.shape == each.shape else value.reshape(()), tuple(beside))


def spoiled(fn: Callable[..., Any], right: LossVariant, batch: Batch) -> bool:
    """Whether the loss is nan beside a gradient that is right."""
    with calling():
        loss, gradient = fn(*copied([*batch.values()]))
    right_one = right.gradient(batch, next(iter(batch)))
    return not np.isfinite(loss).all() and fits(np.asarray(gradient), right_one)


@np.errstate(all="ignore")
def matches(trials: list[Trial], variant: LossVariant, times: Times = lambda n, c: 1.0) -> bool:
    """Whether a variant, or a multiple of it, gives the student's values on all batches."""
    pairs = ((trial.value, variant.of(trial.batch) * times(*trial.sizes)) for trial in trials)
    return all(
        a.shape == b.shape and np.allclose(a, b, rtol=VALUE_RTOL, atol=1e-10 * np.abs(b).max(initial=0.0))
        for a, b in pairs
    )


def compared(work: Homework, right: LossVariant, trials: list[Trial]) -> bool:
    """Find the convention that the student's values follow, and note it; whether it is the right one."""
    name = right.name
    for variant in right.variants(3):
        if matches(trials, variant):
            if not variant.said:
                work.match = variant.call()
                work.said.append(f"your loss is {work.match}, on {len(trials)} random batches")
                return True
            factors: dict[Any, str] = {("mean", "sum"): ": a factor N", ("sum", "mean"): ": a factor 1/N"}
            reductions = right.options.get("reduction"), variant.options.get("reduction")
            right.note(work, "loss", name, variant, factors.get(reductions, ""))
            if len(variant.said) == 1:
                work.cause = CAUSES.get(variant.said[0], work.cause)
            return False
    for variant, cause, said in multiples(right, trials):
        work.fail(cause, f"your loss {said}{variant.besides}")
        return False
    if offset := constant_gap(right, trials):
        work.fail("constant", f"your loss {offset}")
        return False
    work.fail(None, f"your loss follows no convention that is known of {name}: {value_gap(right, trials)}")
    return False


def constant_gap(right: LossVariant, trials: list[Trial]) -> str:
    """One number by which all values differ, or one for each sample; '' if there is none."""
    offsets = np.array([np.ravel(trial.value - right.of(trial.batch))[0] for trial in trials])
    counts = [len(trial.first) for trial in trials]
    for each, constants in {"": offsets, " for each sample": offsets / counts}.items():
        if np.ptp(constants) <= VALUE_RTOL * np.abs(constants).max():
            return f"{told(Cause('constant', float(constants[0])))}{each}"
    return ""


def value_gap(right: LossVariant, trials: list[Trial]) -> str:
    """Both values on the first batch on which they differ."""
    trial = next((trial for trial in trials if not matches([trial], right)), trials[0])
    yours, ours = (f"{np.ravel(value)[0]:.6g}" for value in (trial.value, right.of(trial.batch)))
    shown = ", ".join(
        textwrap.shorten(f"{what} {np.array2string(a, precision=3, separator=', ')}", 70, placeholder="…")
        for what, a in trial.batch.items()
    )
    return f"yours is {yours} where {right.name} is {ours}, at {shown}"


FACTORS: tuple[tuple[Times, str, str], ...] = (
    (lambda n, c: 2.0, "factor 2", "is twice too large: a ½ is missing, or a 2 is too much"),
    (lambda n, c: 0.5, "factor 0.5", "is half of what it should be: there is a ½ too much"),
    (lambda n, c: 1.0 / n, "mean or sum", "is divided by N once more: a factor 1/N"),
    (lambda n, c: n, "mean or sum", "is not divided by N: a factor N"),
    (lambda n, c: 1.0 / c, "mean or sum", "is divided by the number of classes: a factor 1/C"),
    (lambda n, c: c, "mean or sum", "is a factor C too large, the number of classes"),
    (lambda n, c: n if c > 1 else 1.0, "axis",
     "takes the mean over the wrong axis: it adds up the samples and averages the outputs"),
    (lambda n, c: n / c, "axis",
     "takes the mean over the wrong axis: it is divided by the number of classes, not of samples"),
    (lambda n, c: n / (n - 1.0), "mean or sum", "is divided by N − 1 where N belongs"),
    (lambda n, c: 1.0 / math.log(2), "factor 1.443", "takes a logarithm in base 2: a factor 1/ln 2"),
    (lambda n, c: 1.0 / math.log(10), "factor 0.4343", "takes a logarithm in base 10: a factor 1/ln 10"),
)  # fmt: skip


def multiples(right: LossVariant, trials: list[Trial]) -> Iterator[tuple[LossVariant, str, str]]:
    """Variants of which the student's values are a multiple, with what the factor says."""
    near = [*right.variants(1)]
    for variant in near:
        if matches(trials, variant, lambda n, c: -1.0):
            yield variant, "sign", "has the wrong sign: the minus is missing, or there twice"
    for variant, (times, cause, said) in itertools.product(near, FACTORS):
        if matches(trials, variant, times):
            yield variant, cause, said
        if matches(trials, variant, lambda n, c, times=times: -times(n, c)):
            yield variant, "sign", f"has the wrong sign, and {said}"
    for variant in near:
        yours, theirs = (np.ravel(value)[0] for value in (trials[0].value, variant.of(trials[0].batch)))
        ratio = float(yours / theirs) if theirs else 0.0
        if ratio and matches(trials, variant, lambda n, c, ratio=ratio: ratio):
            yield variant, f"factor {ratio:.4g}", f"is {ratio:.4g} times what it should be, on every batch"


LARGE_SCORES: dict[str, tuple[str, dict[str, Callable[[Array], Array]]]] = {
    "cross_entropy": ("softmax", {"1 000": lambda s: s + 1000.0, "−1 000": lambda s: s - 1000.0}),
    "binary_cross_entropy_with_logits": ("sigmoid", {"±1 000": lambda s: 1000.0 * np.sign(s)}),
    "log_cosh": ("cosh", {"±1 000": lambda r: 1000.0 * np.sign(r)}),
}
LARGE_SCORES["focal"] = LARGE_SCORES["cross_entropy"]


def overflow_of_loss(work: Homework, fn: Callable[..., Any], name: str, batch: Batch) -> None:
    """Fail a loss of scores or residuals that is nan or inf at large ones, where it need not be.

    A softmax stays what it is when all scores grow alike; the sum of a sigmoid's terms grows like them.
    """
    kind, moves = LARGE_SCORES.get(name, ("", {}))
    scores, *rest = batch.values()
    for size, moved in moves.items():
        try:
            with calling():
                result = fn(moved(scores), *copied(rest))
        except OverflowError:
            result = np.inf  # math.exp
        except Exception:  # scores that the function refuses on purpose, by an assert
            continue
        for what, value in zip(("loss", "gradient"), result if is_pair(result) else (result,), strict=False):
            bad = np.ravel(value)[~np.isfinite(np.ravel(value))]
            if bad.size and work:
                at = f"at {next(iter(batch))} of {size}"
                work.fail("overflow", f"{at} your {what} is {abs(bad[0])}: {OVERFLOW[kind]}")


def slopes(work: Homework, fn: Any, right: LossVariant, trials: list[Trial], judged: bool) -> None:
    """Check the gradient that the function returns against differences of its own loss."""
    batch, (gradient,) = trials[-1].batch, trials[-1].beside
    count = len(gradient) if isinstance(gradient, (list, tuple)) else 1
    several = 1 < count <= len(batch) and np.shape(gradient[0]) == trials[-1].first.shape
    names = [*batch][: count if several else 1]

    def taken(batch: Batch) -> tuple[Student, dict[str, Array]]:
        """The student's function of what has a gradient, and its arrays, for these arguments."""
        x = [np.array(batch[what], dtype=float) for what in names]

        def both(x: Any) -> tuple[Any, Any]:
            loss, found = fn(*(x if several else [x]), *copied([*batch.values()][len(names) :]))
            return np.sum(loss), found

        return Student(WHO, both, x if several else x[0]), dict(zip(names, x, strict=True))

    def same_as(variant: LossVariant, what: str) -> bool:
        """Whether the student's gradient by an argument is that of a variant, on two batches."""
        points = [(trial.batch, *taken(trial.batch)) for trial in trials[-2:]]
        return all(fits(student(x)[1][what], variant.gradient(batch, what)) for batch, student, x in points)

    def reason(what: str, cause: Cause | None) -> Cause | None:
        """Another loss that the gradient belongs to, unless more is known."""
        known = cause is not None and cause.name not in (None, "some elements")
        if known or same_as(right, what):  # of one that is only rounded, others look like the right one, too
            return cause
        # A clamp left out and a very large margin give the same slopes: the likelier one first.
        for variant in sorted(right.variants(1), key=lambda variant: variant.slip is None):
            if variant.said and same_as(variant, what):
                return Cause("convention/loss", what=variant.said[0])
        return cause

    student, leaves = taken(batch)
    with calling():
        loss, found = student.trusted(leaves)
    if not judged and all(same_as(right, what) for what in names):
        if work.cause is None and matches(trials, right, lambda n, c: (2.0 / (n * c)) ** 2):
            work.cause, work.said[-1] = "in place", f"your loss {IN_PLACE}"
        work.said.append("its gradient is right")
        return
    before = work.passed
    gradient_gaps(work, student, leaves, loss, found, reason)
    note_fit(work, judged, before)


def note_fit(work: Homework, judged: bool, before: bool) -> None:
    """How loss and gradient go together; `before`: what was known without the gradient."""
    if work.passed and work.report is not None:
        work.said.append(verified(work.report))
    elif not before and work.report is not None and work.report:
        work.said.append("your gradient fits your loss")
    elif judged and before:
        work.said.append("the loss is right, its gradient is not")
