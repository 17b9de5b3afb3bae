"""A student's own loss against a loss of the library, under every convention that is known of it."""

from __future__ import annotations

import contextlib
import difflib
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lo.checking.homework import VALUE, Homework, differences, verified
from tinygrad_lo.checking.diagnosis import Cause
from tinygrad_lo.checking.case import STEP, Student, fits
from tinygrad_lo.checking.loss_conventions import KNOWN, REDUCTIONS, Variant, signature, variants
from tinygrad_lo.checking.samples import Args
from tinygrad_lo.checking.sentences import told
from tinygrad_lo.checking.student import (
    again,
    calling,
    copied,
    is_pair,
    numbers_of,
    same,
    titled,
    trusted,
    unchanged,
    wide_enough,
)
from tinygrad_lo.engine.graph import Array
from tinygrad_lo.errors import DTypeError, LoError, NonFiniteError, OptionError, ShapeError

BATCHES = ((6, 1), (5, 4), (7, 3))  # samples, outputs or classes: no two counts are equal


@dataclass(frozen=True)
class Trial:
    """What the student's loss says about some arguments."""

    args: Args
    value: Array
    has_gradient: bool


def check_loss(fn: Callable[..., Any], name: str, **options: Any) -> Homework:
    """Check a loss written by hand, in plain NumPy, against `lo.losses` and say which convention it follows.

    `fn(prediction, target)` takes the arguments of the library's loss of that name (`triplet` takes
    three, `l2` one) and returns the loss, or the pair (loss, gradient by the first argument); for
    several arguments with a gradient, the gradient may be a list with one for each. The options are
    those of the library's loss and say what was asked for: `check_loss(fn, "mse", reduction="sum")`.

    The report is true if the values agree on random batches, and the gradient with finite
    differences. If they do not agree, all other conventions are tried, alone and together, and the
    first that fits is named: a sum in place of a mean, another base or margin, Crammer and Singer's
    variant, a missing minus, softmax applied twice. `report.match` is that convention as a call.

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
    if not callable(fn):
        raise DTypeError(f"{who}: the first argument is the function itself, got {type(fn).__name__}")
    if not isinstance(name, str) or name not in KNOWN:
        close = difflib.get_close_matches(str(name), KNOWN, 1)
        hint = f"Did you mean {close[0]!r}? " if close else ""
        raise OptionError(
            f"{who}: {name!r} is no loss that can be compared. {hint}There are {', '.join(KNOWN)}"
        )
    expected = expectation(name, options)
    work = Homework(f"{titled(who, fn)} as {name}")
    batches = [KNOWN[name].draw(np.random.default_rng(7 + i), *size) for i, size in enumerate(BATCHES)]
    asked = [plain(Variant(name, expected, ()), args) for args in batches]  # an impossible option raises here
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
        if before is None:
            raise
        # Perhaps the function leaves to its caller what the loss should do by itself.
        with contextlib.suppress(LoError):
            trials = tried(who, fn, name, [(before.make(args[0]), *args[1:]) for args in batches], batches)
            if match(trials, Variant(name, expected, ())):
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
        overflow(work, fn, name, trials[-1].args)
    return work


IN_PLACE = "is taken from an array that has become the gradient: g = p is no copy; write g = p.copy()"


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


def expectation(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """All options of the loss: those that were asked for, and the defaults of the others."""
    known = signature(name)
    for option in options:
        if option not in known:
            there = ", ".join(known) or "none"
            raise OptionError(f"check_loss: {name} has the unknown option {option!r}; options are {there}")
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
    if not same(results[:1], results[1:]):
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
    options = expectation(name, {"reduction": "none"} if "reduction" in signature(name) else {})
    found = plain(Variant(name, options, ()), args)
    return np.zeros(np.shape(args[0])[:1]) if found is None else found


def plain(variant: Variant, args: Args) -> Array | None:
    """The value of a variant, or None where it has none."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return variant(*args)
        except LoError:
            return None


# ------------------------------------------------------------------------------------ the search


def match(trials: list[Trial], variant: Variant, times: Callable[[Args], float] | None = None) -> bool:
    """Whether a variant, or a multiple of it, gives the student's values on all batches."""
    for trial in trials:
        value = plain(variant, trial.args)
        if value is None or value.shape != trial.value.shape:
            return False
        if times is not None:
            value = value * times(trial.args)
        scale = float(np.abs(value).max(initial=0.0))
        if not np.allclose(trial.value, value, rtol=VALUE, atol=1e-10 * scale):
            return False
    return True


def compared(work: Homework, name: str, expected: dict[str, Any], trials: list[Trial]) -> bool:
    """Find the convention that the student's values follow, and note it; whether it is the right one."""
    for variant in variants(name, expected):
        if match(trials, variant):
            work.match = variant.call() if variant.slip is None else None
            if not variant.said:
                work.said.append(f"your loss is {variant.call()}, on {len(trials)} random batches")
                return True
            work.fail(
                cause_of(variant, expected),
                f"your loss {' and '.join(variant.said)}{asked(variant, expected)}",
            )
            return False
    for variant, cause, said in multiples(name, expected, trials):
        others = f"; besides, it {' and '.join(variant.said)}" if variant.said else ""
        work.fail(cause, f"your loss {said}{others}")
        return False
    right = Variant(name, expected, ())
    gaps = [np.ravel(trial.value - value) for trial in trials if (value := plain(right, trial.args)) is not None]
    for per, each in ((lambda args: 1.0, ""), (many, " for each sample")) if len(gaps) == len(trials) else ():
        found = np.array([gap[0] / per(trial.args) for gap, trial in zip(gaps, trials, strict=True)])
        if found.size > 1 and np.ptp(found) <= VALUE * np.abs(found).max():
            work.fail("constant", f"your loss {told(Cause('constant', float(found[0])))}{each}")
            return False
    trial = next((trial for trial in trials if not match([trial], right)), trials[0])
    shown = plain(right, trial.args)
    differs = "" if shown is None else f": yours is {np.ravel(trial.value)[0]:.6g} where {name} is {np.ravel(shown)[0]:.6g}"
    work.fail(None, f"your loss follows no convention that is known of {name}{differs}, {example(name, trial)}")
    return False


def cause_of(variant: Variant, expected: dict[str, Any]) -> str:
    """The cause that a variant stands for."""
    if variant.slip is not None:
        return variant.slip.cause
    changed = {option for option, value in variant.options.items() if value != expected[option]}
    if changed == {"reduction"}:
        return "mean or sum"
    if changed == {"half"}:
        return "factor 0.5" if variant.options["half"] else "factor 2"
    return "convention"


def asked(variant: Variant, expected: dict[str, Any]) -> str:
    """What was asked for instead, in the words of the options that differ."""
    words = []
    for option, values in {**KNOWN[variant.name].options, "reduction": REDUCTIONS}.items():
        if option in expected and variant.options[option] != expected[option]:
            said = next((text for value, text in values if value == expected[option]), None)
            words.append(said or f"has {option}={expected[option]!r}")
    text = f"; {variant.name} {' and '.join(words)}" if words else ""
    ours, yours = expected.get("reduction"), variant.options.get("reduction")
    if {ours, yours} == {"mean", "sum"}:
        text += f": a factor {'N' if yours == 'sum' else '1/N'}"
    return text


def example(name: str, trial: Trial) -> str:
    """The first arguments, short enough to print."""
    shown = [
        f"{what} {np.array2string(np.asarray(a), precision=3, separator=', ').replace(chr(10), '')}"
        for what, a in zip(KNOWN[name].names, trial.args, strict=True)
    ]
    return "at " + ", ".join(text if len(text) <= 70 else f"{text[:67]}…" for text in shown)


def many(args: Args) -> int:
    """N, the number of samples."""
    return len(args[0])


def classes(args: Args) -> int:
    """C, the number of outputs or classes."""
    return int(np.shape(args[0])[-1]) if np.ndim(args[0]) > 1 else 1


FACTORS: tuple[tuple[Callable[[Args], float], str, str], ...] = (
    (lambda args: 2.0, "factor 2", "is twice too large: a ½ is missing, or a 2 is too much"),
    (lambda args: 0.5, "factor 0.5", "is half of what it should be: there is a ½ too much"),
    (lambda args: 1.0 / many(args), "mean or sum", "is divided by N once more: a factor 1/N"),
    (lambda args: float(many(args)), "mean or sum", "is not divided by N: a factor N"),
    (lambda args: 1.0 / classes(args), "mean or sum", "is divided by the number of classes: a factor 1/C"),
    (lambda args: float(classes(args)), "mean or sum", "is a factor C too large, the number of classes"),
    (lambda args: float(many(args)) if classes(args) > 1 else 1.0, "axis",
     "takes the mean over the wrong axis: it adds up the samples and averages the outputs"),
    (lambda args: many(args) / classes(args), "axis",
     "takes the mean over the wrong axis: it is divided by the number of classes, not of samples"),
    (lambda args: many(args) / (many(args) - 1.0), "mean or sum", "is divided by N − 1 where N belongs"),
    (lambda args: 1.0 / math.log(2), "factor 1.443", "takes a logarithm in base 2: a factor 1/ln 2"),
    (lambda args: 1.0 / math.log(10), "factor 0.4343", "takes a logarithm in base 10: a factor 1/ln 10"),
)  # fmt: skip


def multiples(name: str, expected: dict[str, Any], trials: list[Trial]) -> Iterator[tuple[Variant, str, str]]:
    """Variants of which the student's values are a multiple, with what the factor says."""
    near = [variant for variant in variants(name, expected) if len(variant.said) <= 1]
    for variant in near:
        if match(trials, variant, lambda args: -1.0):
            yield variant, "sign", "has the wrong sign: the minus is missing, or there twice"
    for variant in near:
        for times, cause, said in FACTORS:
            if match(trials, variant, times):
                yield variant, cause, said
            if match(trials, variant, lambda args, f=times: -f(args)):
                yield variant, "sign", f"has the wrong sign, and {said}"
    for variant in near:
        first = plain(variant, trials[0].args)
        if first is None or first.shape != trials[0].value.shape or not np.ravel(first)[0]:
            continue
        ratio = float(np.ravel(trials[0].value)[0] / np.ravel(first)[0])
        if ratio and match(trials, variant, lambda args, r=ratio: r):
            yield variant, f"factor {ratio:.4g}", f"is {ratio:.4g} times what it should be, on every batch"


# ------------------------------------------------------------------------------------ the gradient


OVERFLOW = {
    "cross_entropy": "subtract the row's maximum",
    "binary_cross_entropy_with_logits": "write it as max(z, 0) − y z + log(1 + e^(−|z|))",
}


def overflow(work: Homework, fn: Callable[..., Any], name: str, args: Args) -> None:
    """Fail a loss of scores that is nan or inf at large ones, where it need not be.

    A softmax stays what it is when all scores grow alike; the sum of a sigmoid's terms grows like them.
    """
    if name not in OVERFLOW:
        return
    scores, *rest = args
    by = {"1 000": scores + 1000.0, "−1 000": scores - 1000.0, "±1 000": 1000.0 * np.sign(scores)}
    chosen = {"cross_entropy": ("1 000", "−1 000"), "binary_cross_entropy_with_logits": ("±1 000",)}
    for size in chosen[name]:
        try:
            with calling():
                result = fn(by[size].copy(), *copied(rest))
        except OverflowError:
            result = np.inf  # math.exp
        for what, value in zip(("loss", "gradient"), result if is_pair(result) else (result,), strict=False):
            bad = np.ravel(value)[~np.isfinite(np.ravel(value))]
            if bad.size and work:
                work.fail("overflow", f"at scores of {size} your {what} is {abs(bad[0])}: {OVERFLOW[name]}")


def gradient_of_variant(variant: Variant, args: Args, which: int) -> Array | None:
    """The gradient of a variant by one of its arguments, by central differences."""
    x = np.array(args[which], dtype=float)
    found = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        values = []
        for h in (STEP, -STEP):
            moved = x.copy()
            moved[place] += h
            values.append(plain(variant, (*args[:which], moved, *args[which + 1 :])))
        if any(value is None for value in values):
            return None
        found[place] = float(np.sum(values[0] - values[1])) / (2.0 * STEP)
    return found


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
                return Cause("another loss", what=variant.said[0])
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
    differences(work, student, leaves, loss, found, reason)
    if work.passed and work.report is not None:
        work.said.append(verified(work.report))
    elif not before and work.report is not None and work.report:
        work.said.append("your gradient fits your loss")
    elif judged and before:
        work.said.append("the loss is right, its gradient is not")
