"""A student's own loss against a loss of the library, under every convention that is known of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lo.checking.case import Student, fits
from tinygrad_lo.checking.conventions import must_be_known, must_be_options
from tinygrad_lo.checking.diagnosis import Cause
from tinygrad_lo.checking.experiments import OVERFLOW
from tinygrad_lo.checking.homework import Homework, gradient_gaps, verified
from tinygrad_lo.checking.loss_conventions import KNOWN, Before, Variant, signature, variants
from tinygrad_lo.checking.loss_search import Trial, compared, gradient_of_variant, match, variant_value
from tinygrad_lo.checking.samples import Args
from tinygrad_lo.checking.student import (
    again,
    calling,
    copied,
    identical,
    is_pair,
    numbers_of,
    titled_function,
    trusted,
    unchanged,
    wide_enough,
)
from tinygrad_lo.engine.graph import Array
from tinygrad_lo.errors import LoError, NonFiniteError, ShapeError

BATCHES = ((6, 1), (5, 4), (7, 3))  # samples, outputs or classes: no two counts are equal


def check_loss(fn: Callable[..., Any], name: str, **options: Any) -> Homework:
    """Check a loss written by hand, in plain NumPy, against `lo.losses` and say which convention it follows.

    `fn(prediction, target)` takes the arguments of the library's loss of that name (`triplet` takes
    three, `l2` one) and returns the loss, or the pair (loss, gradient by the first argument); for
    several arguments with a gradient, the gradient may be a list with one for each. The options are
    those of the library's loss and say what was asked for: `check_loss(fn, "mse", reduction="sum")`.

    The report is true if the values agree on random batches and are finite at scores of ±1 000, and the
    gradient agrees with finite differences. If they do not agree, all other conventions are tried,
    alone and together, and the first that fits is named: a sum in place of a mean, another base or
    margin, Crammer and Singer's variant, a missing minus, softmax applied twice. `report.match` is
    that convention as a call.

    Raises:   OptionError: no such loss, or no such option.  DTypeError, ShapeError, MutationError,
              GraphError, NonFiniteError: as check_gradient, of the function.
    Source:   the conventions are those of lectures 000 to 004, of PyTorch and of Keras.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> def svm_loss(scores, labels):
        ...     rows = np.arange(len(labels))
        ...     margins = np.maximum(0, scores - scores[rows, labels][:, None] + 1)
        ...     margins[rows, labels] = 0
        ...     return margins.max(axis=1).mean()
        >>> report = lo.check_loss(svm_loss, "multiclass_hinge")
        >>> print(report)
        check_loss of svm_loss as multiclass_hinge FAILED
          your loss is the Crammer–Singer variant: the worst class only; multiclass_hinge sums over the
          classes
        >>> report.match
        "lo.losses.multiclass_hinge(..., combine='max')"
    """
    who = "check_loss"
    must_be_known(who, fn, name, KNOWN, "loss that can be compared")
    expected = loss_expectation(name, options)
    work = Homework(f"{titled_function(who, fn)} as {name}")
    batches = [KNOWN[name].draw(np.random.default_rng(7 + i), *size) for i, size in enumerate(BATCHES)]
    asked = [
        variant_value(Variant(name, expected, ()), args) for args in batches
    ]  # an impossible option raises here
    if any(value is None for value in asked):
        Variant(name, expected, ())(*batches[0])
    before = KNOWN[name].before
    try:
        trials = tried(who, fn, name, batches, batches)
        if len(trials) < len(batches):  # more of the kind that it takes: one batch alone shows little
            kind = BATCHES[next(i for i, args in enumerate(batches) if args is trials[0].args)][1]
            batches = [*batches, *(KNOWN[name].draw(np.random.default_rng(n), n, kind) for n in (8, 9))]
            trials = tried(who, fn, name, batches, batches)
    except NonFiniteError:
        if spoiled(fn, name, expected, batches):
            work.fail("in place", f"your gradient is right and your loss is nan: it {IN_PLACE}")
            return work
        if before is not None and left_to_caller(who, fn, name, before, expected, batches):
            work.fail("convention", f"your loss {before.said}")
            return work
        raise
    if len(trials) < len(batches):
        shapes = " and ".join(dict.fromkeys(str(np.shape(trial.args[0])) for trial in trials))
        work.said.append(f"your function takes {KNOWN[name].names[0]} of shape {shapes}, and not others")
    judged = compared(work, name, expected, trials)
    if trials[-1].has_gradient:
        slopes(work, who, fn, name, expected, trials, judged)
    if work:
        overflow_of_loss(work, fn, name, trials[-1].args)
    return work


IN_PLACE = "is taken from an array that has become the gradient: g = p is no copy; write g = p.copy()"


def left_to_caller(
    who: str,
    fn: Callable[..., Any],
    name: str,
    before: Before,
    expected: dict[str, Any],
    batches: list[Args],
) -> bool:
    """Whether the function is right for what its caller has done to the scores first."""
    try:
        trials = tried(who, fn, name, [(before.make(args[0]), *args[1:]) for args in batches], batches)
    except LoError:
        return False
    return match(trials, Variant(name, expected, ()))


def spoiled(fn: Callable[..., Any], name: str, expected: dict[str, Any], batches: list[Args]) -> bool:
    """Whether the loss is nan beside a gradient that is right, on two batches."""
    for args in batches[-2:]:
        try:
            with calling():
                loss, gradient = fn(*copied(args))
            found = gradient_of_variant(Variant(name, expected, ()), args, 0)
            if np.isfinite(loss).all() or found is None or not fits(np.asarray(gradient), found):
                return False
        except (TypeError, ValueError):
            return False  # it returns no such pair
    return True


def loss_expectation(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """All options of the loss: those that were asked for, and the defaults of the others."""
    known = signature(name)
    must_be_options(f"check_loss: {name}", options, known)
    defaults = {k: p.default for k, p in known.items() if p.default is not p.empty}
    return {**defaults, **KNOWN[name].required, **options}


def tried(who: str, fn: Callable[..., Any], name: str, given: list[Args], batches: list[Args]) -> list[Trial]:
    """The function's values on all batches that it takes: some are written for one output only.

    Raises:   what the function raises, or what is wrong with what it returns, if it takes none.
    """
    trials: list[Trial] = []
    problems: list[Exception] = []
    for i, (inputs, args) in enumerate(zip(given, batches, strict=True)):
        try:
            value, has_gradient = value_of(who, fn, name, inputs, loud=i == 0)
        except ShapeError as problem:
            problems.append(problem)
        except LoError:
            raise
        except (ValueError, TypeError, IndexError) as problem:
            problems.append(problem)
        else:
            trials.append(Trial(args, value, has_gradient))
    if not trials:
        raise problems[-1]
    return trials


def value_of(who: str, fn: Callable[..., Any], name: str, args: Args, *, loud: bool) -> tuple[Array, bool]:
    """What the function returns for these arguments, after it has shown that it can be trusted."""
    results = []
    for first in (True, False):
        given = copied(args)
        with calling(heard=first and loud):
            result = fn(*given)
        for what, a, b in zip(KNOWN[name].names, args, given, strict=True):
            unchanged(who, f"the {what}", np.asarray(a), b)
        has_gradient = is_pair(result)
        value = numbers_of(who, "the loss", result[0] if has_gradient else result)
        results.append(value)
    if not identical(results[:1], results[1:]):
        raise again(who, "loss")
    each = separately(name, args)
    if value.ndim and value.size > 1 and value.shape != each.shape:
        raise ShapeError(
            f"{who}: the loss has shape {value.shape} for {KNOWN[name].names[0]} of shape "
            f"{np.shape(args[0])}; one number is expected, or one for each sample, {each.shape}"
        )
    return (value if value.shape == each.shape else value.reshape(())), has_gradient


def separately(name: str, args: Args) -> Array:
    """The losses of the samples: what a function returns that does not reduce them."""
    options = loss_expectation(name, {"reduction": "none"} if "reduction" in signature(name) else {})
    found = variant_value(Variant(name, options, ()), args)
    return np.zeros(np.shape(args[0])[:1]) if found is None else found


# ------------------------------------------------------------------------------------ the gradient


SCORES = {"cross_entropy": "softmax", "binary_cross_entropy_with_logits": "sigmoid"}


def overflow_of_loss(work: Homework, fn: Callable[..., Any], name: str, args: Args) -> None:
    """Fail a loss of scores that is nan or inf at large ones, where it need not be.

    A softmax stays what it is when all scores grow alike; the sum of a sigmoid's terms grows like them.
    """
    if name not in SCORES:
        return
    scores, *rest = args
    by = {"1 000": scores + 1000.0, "−1 000": scores - 1000.0, "±1 000": 1000.0 * np.sign(scores)}
    for size in ("1 000", "−1 000") if SCORES[name] == "softmax" else ("±1 000",):
        try:
            with calling():
                result = fn(by[size].copy(), *copied(rest))
        except OverflowError:
            result = np.inf  # math.exp
        except Exception:  # scores that the function refuses on purpose, by an assert
            continue
        for what, value in zip(("loss", "gradient"), result if is_pair(result) else (result,), strict=False):
            bad = np.ravel(value)[~np.isfinite(np.ravel(value))]
            if bad.size and work:
                work.fail(
                    "overflow", f"at scores of {size} your {what} is {abs(bad[0])}: {OVERFLOW[SCORES[name]]}"
                )


def slopes(
    work: Homework,
    who: str,
    fn: Callable[..., Any],
    name: str,
    expected: dict[str, Any],
    trials: list[Trial],
    judged: bool,
) -> None:
    """Check the gradient that the function returns against differences of its own loss."""
    args = trials[-1].args
    with calling():
        gradient = fn(*copied(args))[1]
    count = len(gradient) if isinstance(gradient, (list, tuple)) and len(args) > 1 else 0
    several = 1 < count <= len(args) and np.shape(gradient[0]) == np.shape(args[0])
    count = count if several else 1
    names = KNOWN[name].names[:count]

    def taken(args: Args) -> tuple[Any, Student, dict[str, Array]]:
        """x, the student's function of it, and its arrays, for these arguments."""
        leaves = {what: np.array(a, dtype=float) for what, a in zip(names, args, strict=False)}

        def both(x: Any) -> tuple[float, Any]:
            loss, found = fn(*(x if several else [x]), *copied(args[count:]))
            wide_enough(who, "the loss", loss)
            return float(np.sum(numbers_of(who, "the loss", loss, finite=False))), found

        x = list(leaves.values()) if several else leaves[names[0]]
        return x, Student(who, both, x), leaves

    def same_as(variant: Variant, what: str) -> bool:
        """Whether the student's gradient by an argument is that of a variant, on two batches."""
        for trial in trials[-2:]:
            found = gradient_of_variant(variant, trial.args, names.index(what))
            _, student, leaves = taken(trial.args)
            if found is None or not fits(student(leaves)[1][what], found):
                return False
        return True

    def reason(what: str, cause: Cause | None) -> Cause | None:
        """Another loss that the gradient belongs to, unless more is known."""
        if cause is not None and cause.name not in (None, "some elements"):
            return cause
        # A clamp left out and a very large margin give the same slopes: the likelier one first.
        single = [variant for variant in variants(name, expected) if len(variant.said) == 1]
        for variant in sorted(single, key=lambda variant: variant.slip is None):
            if same_as(variant, what):
                return Cause("convention/loss", what=variant.said[0])
        return cause

    x, student, leaves = taken(args)
    with calling():
        loss, found = trusted(who, student.fn, x, leaves)
    right = Variant(name, expected, ())
    if not judged and all(same_as(right, what) for what in names):
        if work.cause is None and match(trials, right, lambda args: (2.0 / np.size(args[0])) ** 2):
            work.cause, work.said[-1] = "in place", f"your loss {IN_PLACE}"
        work.said.append("its gradient is right")
        return
    before = work.passed
    gradient_gaps(work, student, leaves, loss, found, reason)
    if work.passed and work.report is not None:
        work.said.append(verified(work.report))
    elif not before and work.report is not None and work.report:
        work.said.append("your gradient fits your loss")
    elif judged and before:
        work.said.append("the loss is right, its gradient is not")
