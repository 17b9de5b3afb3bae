"""What numbers and sizes say about a wrong gradient: a cause, how much, and where; or nothing."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from tinygrad_lo.engine.graph import Array

CLOSE = 5e-4  # how equal two numbers must be to be one; what they are compared with is good to 1e-6
MAJORITY = 0.95  # the share of the wrong elements that must have one ratio; noise may spoil others


@dataclass(frozen=True)
class Cause:
    """A kind of mistake, tagged with what the numbers say of it.

    Attributes:
        kind: a key of `sentences.SENTENCES`.
        amount: yours / right; of a penalty, its factor in yours, or how much that is off if `right` is None.
        right: the size of the mean that makes the amount; of a penalty, the factor that belongs there.
        where: the elements that are wrong, in words; "" for all of them.
        what: what it is about: the term of a penalty, "W" or "sign(W)"; an array; a slope.
        penalty: if the amount is that of the data part alone, what is to be said of the other part.
    """

    kind: str
    amount: float = 1.0
    right: float | None = None
    where: str = ""
    what: str = ""
    penalty: Cause | None = None

    @property
    def name(self) -> str | None:
        """The cause in public: what `report.cause` is."""
        if self.kind == "factor":
            return f"factor {digits(self.amount)}"
        return PUBLIC.get(self.kind, self.kind)

    def agrees(self, other: Cause) -> bool:
        """Whether two causes are one, found at two points."""
        numbers = (self.amount, self.right or 0.0), (other.amount, other.right or 0.0)
        if (self.kind, self.what) != (other.kind, other.what) or not np.allclose(*numbers, 2 * CLOSE, 1e-9):
            return False
        if self.penalty is None or other.penalty is None:
            return self.penalty is other.penalty
        return self.penalty.agrees(other.penalty)


# Kinds that are finer than what they are called in public, and those that are no cause.
PUBLIC: dict[str, str | None] = {
    "exchanged": "labels", "other regularizer": "regularizer",
    "another loss": "convention", "mean axis": "axis",
    "turned": "transpose", "taken for its transpose": "transpose", "margin": "some elements",
    "relu off": "some elements", "relu on": "some elements", "answers": "some elements",
    "right class": "some elements", "wrong classes": "some elements",
    "mean path": "path", "variance path": "path", "both paths": "path", "rounded": None, "flat": None,
}  # fmt: skip


def digits(ratio: float) -> str:
    """A ratio with the digits that tell it from 1: 1 + 1.0e-6."""
    off = ratio - 1.0
    if not 0.0 < abs(off) < CLOSE:
        return f"{ratio:.4g}"
    mantissa, exponent = f"{abs(off):.1e}".split("e")
    return f"1 {'+' if off > 0 else '-'} {mantissa}e{int(exponent)}"


def diagnose(
    analytic: Array,
    numeric: Array,
    wrong: Array,
    x: Array | None = None,
    sizes: Collection[int] = (),
    what: str = "x",
) -> Cause | None:
    """The likely mistake in the gradient of one array: the first cause that fits, or None.

    `wrong` marks the elements that disagree, `x` are the values differentiated by (None if no penalty
    on them is thinkable), which are called `what`; `sizes` those over which somebody may have averaged.
    All have one shape; if only a sample was measured, that is one-dimensional, and orders stay unseen.
    """
    a, n = analytic[wrong], numeric[wrong]
    if not np.isfinite(a).all():
        return Cause("not finite")
    if not analytic.any():
        return Cause("disconnected")
    if not numeric.any():
        return Cause("flat", what=what)
    right = ~wrong & (np.abs(numeric) > 1e-8 * np.abs(numeric).max())  # smaller ones are a zero's noise
    cause = one_multiple(a, n, wrong, right, sizes)
    if cause is None and x is not None and not right.any():
        cause = penalized(analytic, numeric, x, sizes, what)
    return cause or reordered(analytic, numeric, a, n) or misplaced(a, wrong, right)


def one_multiple(a: Array, n: Array, wrong: Array, right: Array, sizes: Collection[int]) -> Cause | None:
    """The wrong elements are one multiple of what they should be."""
    ratio = common_ratio(a, n)
    if ratio is None:
        return None
    cause = factor(ratio, sizes)
    if not right.any():
        return cause if a.size > 1 or clean(ratio) else None
    if a.size == 1 and cause.kind != "sign":
        return None  # one element among right ones shows nothing
    return replace(cause, where=whereabouts(wrong))


def reordered(analytic: Array, numeric: Array, a: Array, n: Array) -> Cause | None:
    """The numbers are nearly right, or right in another order, such as that of the transpose."""
    if (np.abs(a - n) <= 2e-3 * np.maximum(np.abs(a), np.abs(n))).all():
        return Cause("rounded")
    alike = functools.partial(np.allclose, rtol=CLOSE, atol=1e-9 * float(np.abs(numeric).max()))
    if analytic.size < 2 or not alike(np.sort(analytic, None), np.sort(numeric, None)):
        return None
    ways = (numeric.T, numeric.T.reshape(numeric.shape)) if numeric.ndim == 2 else ()
    turned = any(way.shape == analytic.shape and alike(analytic, way) for way in ways)
    return Cause("turned" if turned else "transpose")


def misplaced(a: Array, wrong: Array, right: Array) -> Cause | None:
    """Only some elements are wrong: whole rows or columns, the smaller part, or those that are 0."""
    if not lines(wrong) and right.sum() < a.size and (a.any() or not right.any()):
        return None
    return Cause("some elements", where=whereabouts(wrong), what="" if a.any() else " and is 0 there")


def common_ratio(a: Array, n: Array) -> float | None:
    """The one ratio a / n that most elements have, or None."""
    usable = n != 0.0
    if not usable.any():
        return None
    ratios = a[usable] / n[usable]
    ratio = float(np.sort(ratios)[ratios.size // 2])
    # Near 1 the digits behind it count: 1 + 1e-6 is none of the elements that are right.
    allowed = CLOSE * abs(ratio) if abs(ratio - 1.0) > 10 * CLOSE else 0.05 * abs(ratio - 1.0)
    fits = np.abs(ratios - ratio) <= allowed
    return ratio if ratio not in (0.0, 1.0) and fits.sum() >= MAJORITY * a.size else None


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


def clean(ratio: float) -> bool:
    """Whether it is a small whole number, or one divided by it: else one element alone shows nothing."""
    return any(close(abs(ratio), k) or close(abs(ratio), 1.0 / k) for k in range(1, 11))


def penalized(analytic: Array, numeric: Array, x: Array, sizes: Collection[int], what: str) -> Cause | None:
    """yours = a·right + b·term, of x or sign(x): a penalty's gradient is wrong, or the rest but for it.

    Every element must fit, of which there must be two more than unknowns. Where a is not 1 it is the
    factor of the rest, whatever the penalty is; and that is right if its factor is b / (1 − a).
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
            return replace(factor(a, sizes), penalty=Cause("a regularizer", b / (1.0 - a), what=of))
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
    found = np.argwhere(wrong)
    shown = ", ".join(str([int(i) for i in place]) for place in found[:4])
    return lines(wrong) or f"at {shown}" + (f" and {len(found) - 4} more" if len(found) > 4 else "")
