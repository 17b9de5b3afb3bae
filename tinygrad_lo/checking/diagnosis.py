"""What numbers and sizes say about a wrong gradient: a cause, how much, and where; and how it is told."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from tinygrad_lo.engine.graph import Array

CLOSE = 5e-4  # how equal two numbers must be to be one; what they are compared with is good to 1e-6
UNEXPLAINED = "fits none of the known mistakes; compare the numbers below by hand, on a smaller input"
NEARLY = 2e-3  # so near to the right number, another one may be rounded: float16, constants with three digits
MAJORITY = 0.95  # the share of the wrong elements that must have one ratio; noise may spoil others


@dataclass(frozen=True)
class Cause:
    """A kind of mistake, tagged with what the numbers say of it."""

    kind: str  # a key of SENTENCES: what it is called in public, and behind a / what it is more exactly
    amount: float = 1.0  # yours / right; of a penalty, its factor in yours, or its gap if `right` is None
    right: float | None = None  # the size of the mean that makes the amount; of a penalty, the right factor
    where: str = ""  # the elements that are wrong, in words; "" for all of them
    what: str = ""  # what it is about: the term of a penalty, "W" or "sign(W)"; an array; a slope
    penalty: Cause | None = None  # what is to be said of it where the amount is that of the data part alone

    @property
    def name(self) -> str | None:
        """The cause in public: what `report.cause` is."""
        if self.kind == "factor":
            return f"factor {significant(self.amount)}"
        return self.kind.partition("/")[0] or None

    def agrees(self, other: Cause) -> bool:
        """Whether two causes are one, found at two points."""
        numbers = (self.amount, self.right or 0.0), (other.amount, other.right or 0.0)
        if (self.kind, self.what) != (other.kind, other.what) or not np.allclose(*numbers, 2 * CLOSE, 1e-9):
            return False
        one, two = self.penalty, other.penalty
        return one is two if one is None or two is None else one.agrees(two)


def diagnose(
    analytic: Array, numeric: Array, wrong: Array, x: Array | None = None, sizes: Collection[int] = (),
    what: str = "x",
) -> Cause | None:  # fmt: skip
    """The likely mistake in the gradient by x, or None.

    x, called `what`, is None if no penalty on it is thinkable; over `sizes` somebody may have averaged.
    """
    a, n = analytic[wrong], numeric[wrong]
    if not np.isfinite(a).all():
        return Cause("not finite")
    if not analytic.any():
        return Cause("disconnected")
    if not numeric.any():
        return Cause("/flat", what=what)
    right = ~wrong & (np.abs(numeric) > 1e-8 * np.abs(numeric).max())  # smaller ones are a zero's noise
    cause = one_multiple(a, n, wrong, right, sizes)
    if cause is None and x is not None and not right.any():
        cause = penalized(analytic, numeric, x, sizes, what)
    return cause or reordered(analytic, numeric, a, n) or some_elements(a, wrong, right)


def some_elements(a: Array, wrong: Array, right: Array) -> Cause | None:
    """Some elements are wrong, and as many right, or whole rows are, or they are 0."""
    if lines(wrong) or right.sum() >= a.size or (right.any() and not a.any()):
        return Cause("some elements", where=whereabouts(wrong), what="" if a.any() else " and is 0 there")
    return None


def one_multiple(a: Array, n: Array, wrong: Array, right: Array, sizes: Collection[int]) -> Cause | None:
    """The wrong elements are one multiple of what they should be, but for a few that noise may spoil."""
    ratios = a[n != 0.0] / n[n != 0.0]
    ratio = float(np.sort(ratios)[ratios.size // 2]) if ratios.size else 0.0
    # Near 1 the digits behind it count: 1 + 1e-6 is none of the elements that are right. Few elements may
    # be rounded alike, and those of one size always are.
    off, different = abs(ratio - 1.0), np.unique(np.abs(a)).size
    allowed = CLOSE * abs(ratio) if off > 10 * CLOSE else (0.05 if different > 2 else 0.005) * off
    rounded = off <= NEARLY and different < 2
    if ratio in (0.0, 1.0) or rounded or (np.abs(ratios - ratio) <= allowed).sum() < MAJORITY * a.size:
        return None
    cause = factor(ratio, sizes)
    if not right.any():
        whole = any(close(max(abs(ratio), 1.0 / abs(ratio)), k) for k in range(1, 11))
        return cause if a.size > 1 or whole else None  # any other ratio of one element shows nothing
    if a.size == 1 and cause.kind != "sign":
        return None  # one element among right ones shows nothing
    return replace(cause, where=whereabouts(wrong))


def reordered(analytic: Array, numeric: Array, a: Array, n: Array) -> Cause | None:
    """The numbers are nearly right, or right in another order, such as that of the transpose."""
    if (np.abs(a - n) <= NEARLY * np.maximum(np.abs(a), np.abs(n))).all():
        return Cause("/rounded")
    alike = functools.partial(np.allclose, rtol=CLOSE, atol=1e-9 * float(np.abs(numeric).max()))
    if analytic.size < 2 or not alike(np.sort(analytic, None), np.sort(numeric, None)):
        return None
    ways = (numeric.T, numeric.T.reshape(numeric.shape)) if numeric.ndim == 2 else ()
    turned = any(way.shape == analytic.shape and alike(analytic, way) for way in ways)
    return Cause("transpose/turned" if turned else "transpose")


def factor(ratio: float, sizes: Collection[int]) -> Cause:
    """What yours / right = ratio stands for: a sign, a size that somebody averaged over, or a factor."""
    if close(ratio, -1.0):
        return Cause("sign", -1.0)
    for size in sizes:
        if size > 2 and (close(abs(ratio), size) or close(abs(ratio), 1.0 / size)):
            return Cause("mean or sum", ratio, size)
    return Cause("factor", ratio)


def close(ratio: float, value: float) -> bool:
    """Whether a measured ratio is this one."""
    return math.isclose(ratio, value, rel_tol=CLOSE)


def penalized(analytic: Array, numeric: Array, x: Array, sizes: Collection[int], what: str) -> Cause | None:
    """yours = a·right + b·term, of x or sign(x): a penalty's gradient is wrong, or the rest but for it.

    Where a is not 1 it is the factor of the rest, and the penalty is right if its own is b / (1 − a).
    """
    yours, right = analytic.ravel(), numeric.ravel()
    gap, scale = yours - right, float(np.abs(yours).max())
    for of, term in ((what, x.ravel()), (f"sign({what})", np.sign(x.ravel()))):
        if term.size < 3 or np.unique(term[term != 0]).size < 2:
            continue  # a constant follows everything
        largest = float(np.abs(term).max())
        b = float(gap @ term) / float(term @ term)
        off = np.abs(gap - b * term).max()
        if abs(b) * largest > CLOSE * scale and off <= min(1e-2 * np.abs(gap).max(), 1e-4 * scale):
            return Cause("regularizer", b, what=of)
        a, b = map(float, np.linalg.lstsq(np.stack([right, term], 1), yours, rcond=1e-6)[0])
        least = min(abs(a - 1.0) * np.abs(right).max(), abs(b) * largest)
        off = np.abs(yours - a * right - b * term).max()
        if term.size >= 5 and off <= 1e-5 * scale and least > 1e-2 * scale and abs(a) > CLOSE:
            return replace(factor(a, sizes), penalty=Cause("regularizer/if", b / (1.0 - a), what=of))
    return None


def lines(wrong: Array) -> str:
    """The rows or columns that are wrong, in words, if whole ones are and others are not."""
    for axis, word in ((0, "row"), (1, "column")) if wrong.ndim == 2 and min(wrong.shape) > 1 else ():
        whole = wrong.all(axis=1 - axis)
        if whole.any() and not whole.all() and whole.sum() * wrong.shape[1 - axis] == wrong.sum():
            numbers = ", ".join(str(i) for i in np.flatnonzero(whole)[:6])
            return f"in {word}{'s' * int(whole.sum() > 1)} {numbers}"
    return ""


def whereabouts(wrong: Array) -> str:
    """Where, in words: whole rows or columns if that is what they are, else the first few elements."""
    places = np.argwhere(wrong).tolist()
    shown = ", ".join(map(str, places[:4]))
    return lines(wrong) or f"at {shown}" + (f" and {len(places) - 4} more" if len(places) > 4 else "")


def significant(ratio: float) -> str:
    """A ratio with the digits that tell it from 1: 1 + 1.0e-6."""
    off = ratio - 1.0
    if not 0.0 < abs(off) < CLOSE:
        return f"{ratio:.4g}"
    mantissa, exponent = f"{abs(off):.1e}".split("e")
    return f"1 {'+' if off > 0 else '-'} {mantissa}e{int(exponent)}"


def sentence(subject: str, cause: Cause | None) -> str:
    """What is wrong with the subject, such as "the gradient by W"."""
    if cause is None:
        return f"{subject} {UNEXPLAINED}"
    if cause.penalty is not None:
        return f"{subject}: its data part {told(cause)}; its regularizer {told(cause.penalty)}"
    if cause.kind == "regularizer/other" or (cause.kind == "regularizer" and cause.right):
        return f"{subject}: its data part is right; its regularizer {told(cause)}"
    return f"{subject} {told(cause)}"


def told(cause: Cause) -> str:
    """What a cause means, as the end of a sentence."""
    words = SENTENCES[cause.kind]
    if callable(words):
        return words(cause)
    where, amount = cause.where or "at some elements", four_digits(cause.amount)
    text = words.format(what=cause.what, where=where, amount=amount, right=cause.right or 0)
    return f"{text} {cause.where}" if cause.kind == "sign" and cause.where else text


def as_multiple(cause: Cause) -> str:
    """yours / right as a multiple, and what such a multiple comes from."""
    size = abs(cause.amount)
    near = Fraction(size).limit_denominator(1000)
    count = {"1/2": "half of", "2": "twice"}.get(str(near), f"{near} {'of' if near < 1 else 'times'}")
    if 1 not in (near.numerator, near.denominator) or near == 1 or not close(size, float(near)):
        count = f"{significant(size)} times"
    text = f"is {count} what it should be"
    text += " and has the wrong sign" * (cause.amount < 0) + f" {cause.where}" * bool(cause.where)
    if cause.kind == "mean or sum":
        return f"{text}: {f'the 1/{near} of a mean is missing' if near > 1 else 'a mean in place of a sum'}"
    if count in ("half of", "twice"):
        return f"{text}: look for a ½, or for the 2 of a square"
    return text + next((f", which is {words}" for log, words in LOGARITHMS.items() if close(size, log)), "")


def four_digits(value: float) -> str:
    """Four digits, with a minus that is one."""
    return f"{value:.4g}".replace("-", "−")


def as_slope(cause: Cause) -> str:
    """The derivative of an activation, left out, there too much, or another one."""
    yours, _, right = cause.what.partition(" for ")
    if right == "1":
        return f"has the slope {yours} too much"
    return f"leaves out the slope {right}" if yours == "1" else f"has the slope {yours} where {right} belongs"


WHOLE_PARTS = {  # how often prediction and target are there, where their difference belongs
    (1.0, 0.0): "does not subtract the target: of p − y only p is there",
    (0.0, 1.0): "leaves out the prediction: of p − y only y is there",
    (1.0, -1.0): "adds the target: p + y stands where p − y belongs",
}


def as_target(cause: Cause) -> str:
    """Of k·(prediction − target) one part is wrong: `amount` times the prediction, `right` the target."""
    p, t = cause.amount, cause.right or 0.0
    for (k, m), words in WHOLE_PARTS.items():
        if abs(p - k) < CLOSE and abs(t - m) < CLOSE:
            return words
    off = [f"its {part} is {significant(k)} times" for part, k in (("p", p), ("y", t)) if not close(k, 1.0)]
    off = off or [f"its y is {significant(t)} times"]
    return f"is a multiple of p − y, but {', and '.join([f'{off[0]} what it should be', *off[1:]])}"


def as_penalty(cause: Cause) -> str:
    """How a penalty's gradient is wrong."""
    yours, right, term = four_digits(cause.amount), four_digits(cause.right or 0.0), cause.what
    if cause.right is None:
        word = "missing, or too small" if cause.amount < 0 else "too much"
        return f"differs by {yours}·{term}: the gradient of a regularizer is {word}"
    if cause.right == 0.0:
        return f"has {yours}·{term} too much: the loss has no such regularizer"
    if cause.amount == 0.0:
        return f"({right}·{term}) is missing"
    ratio = cause.amount / cause.right
    text = "has the wrong sign" if close(ratio, -1.0) else as_multiple(Cause("factor", ratio))
    return f"{text.partition(':')[0]}: {yours}·{term} where {right}·{term} belongs"


LOGARITHMS = {1 / math.log(base): f"1/ln {base}: a logarithm in base {base}" for base in (2, 10)}
LOGARITHMS |= {math.log(base): f"ln {base}: a logarithm in base {base} was meant" for base in (2, 10)}
SENTENCES: dict[str, str | Callable[[Cause], str]] = {
    "not finite": "is nan or inf where the differences are finite",
    "disconnected": "is 0 everywhere: nothing was added to it, or a path to the loss is left out",
    "/flat": "is not 0, but the loss stays the same when {what} changes: is it rounded, or made of other "
    "things?",
    "sign": "has the wrong sign",
    "transpose": "has the right numbers in another order: look at the indices, and at every .T and reshape",
    "transpose/turned": "has the right numbers in the order of the transpose",
    "some elements": "is wrong only {where}{what}: look at masks, branches and indices",
    "ties": "must be shared by elements that are equally large, not taken once each or lost",
    "not linear": "must be linear in the arriving gradient: the opposite for the opposite",
    "constant": "differs by the constant {amount}",
    "convention/loss": "is that of a loss that {what}",
    "labels": "is that of other labels: they are off by one against those of the loss",
    "labels/exchanged": "is that of the other labels: {what} are exchanged against those of the loss",
    "axis": "takes {what} over axis 0, over the samples: it belongs over the classes of each",
    "axis/mean": "is divided by {what} where the {right:g} samples belong: a mean over the wrong axis",
    "left out": "leaves out the factor {what}: with ones in its place it is right",
    "twice": "is {what} times what it should be: a factor {what} too much, or a division by it left out",
    "transpose/taken for it": "is right where {what} is symmetric: {what} is taken for {what}.T",
    "some elements/margin": "is wrong where the margin is {what}: only margins above 0 count",
    "some elements/off": "is wrong where {what} is off: is its mask left out, taken from the wrong array, or "
    ">= for >?",
    "some elements/on": "is 0 at elements where {what} is on: is its mask taken from the wrong array?",
    "some elements/right class": "is wrong only at the right class of each sample{what}",
    "some elements/answers": "is wrong only where the target is {what}",
    "some elements/wrong classes": "is wrong only at the wrong classes of each sample",
    "path/mean": "differs by one number along {where}: a path, such as that through a mean, is missing, or "
    "wrong",
    "path/variance": "differs by a multiple of x − mean along {where}: the path through the variance is "
    "missing, or wrong",
    "path/both": "differs by a line in x along {where}: the paths through the mean and the variance are "
    "missing, or wrong",
    "path/missing": "lacks what comes through {what}",
    "path/only": "has only what comes through {what}: other paths are overwritten, not added",
    "path/sign": "has the wrong sign in what comes through {what}",
    "path/twice": "has twice what comes through {what}",
    "slope/step": "has another local derivative: {what}",
    "operand": "has another operand: {what}",
    "axis/step": "goes along another axis in {what}",
    "left out/arriving": "is the local derivative alone: times the gradient that arrives at {what}",
    "left out/slope": "leaves out the local derivative of {what}",
    "twice/step": "has the local derivative of {what} twice",
    "regularizer/right": "({what}) is right",
    "regularizer/other": "is another: {what}",
    "regularizer/if": "is right if that is {amount}·{what}",
    "/rounded": "is nearly right, in its first digits: are constants rounded, or is float32 used inside?",
    "factor": as_multiple,
    "mean or sum": as_multiple,
    "regularizer": as_penalty,
    "slope": as_slope,
    "target": as_target,
}
