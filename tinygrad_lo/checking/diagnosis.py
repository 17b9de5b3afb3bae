"""What a wrong gradient looks like: the usual mistakes by the numbers they leave."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from tinygrad_lo.engine.graph import Array

SENTENCES = {
    "not finite": "nan or inf where the differences are finite",
    "disconnected": "the gradient is zero and should not be: was something detached, or a path left out?",
    "sign": "every wrong element has the opposite sign",
    "mean or sum": "off by the number of elements: a sum where a mean belongs, or the reverse",
    "regularizer": "the difference follows the parameter itself: a penalty's gradient missing, or twice",
    "transpose": "the right numbers in the wrong order: transposed, or wrongly indexed",
    "some elements": "only some elements are wrong: look at masks, branches and indices",
    "ties": "elements that are equally large must share one gradient, not take it once each or lose it",
    "not linear": "a rule must be linear in the arriving gradient: the opposite for the opposite",
}
CLOSE = 5e-4  # how equal two ratios must be to be one


def sentence(cause: str | None) -> str:
    """What a cause means."""
    if cause is not None and cause.startswith("factor "):
        return f"every wrong element is {cause.removeprefix('factor ')} times what it should be"
    return SENTENCES[cause or "some elements"]


def diagnose(
    analytic: Array, numeric: Array, wrong: Array, x: Array | None = None, sizes: Collection[int] = ()
) -> str | None:
    """The likely mistake in the gradient of one array: the first cause that fits, or None.

    `wrong` marks the elements that disagree, `x` are the values differentiated by (None if no penalty
    on them is thinkable), `sizes` the sizes over which somebody may have averaged. All have one shape;
    if that is one-dimensional because only a sample was measured, the order of a matrix stays unseen.
    """
    a, n = analytic[wrong], numeric[wrong]
    if not np.isfinite(a).all():
        return "not finite"
    if not analytic.any():
        return "disconnected"
    size = np.abs(numeric)
    count = int((size > 1e-8 * size.max()).sum())  # smaller ones are the noise of a zero
    found = shared_ratio(a, n, count, sizes)
    if found is not None:
        return found
    if x is not None and follows(analytic - numeric, x):
        return "regularizer"
    if a.size > 1 and np.allclose(np.sort(analytic.ravel()), np.sort(numeric.ravel()), rtol=CLOSE, atol=0.0):
        return "transpose"
    return "some elements" if 2 * a.size <= count else None


def shared_ratio(a: Array, n: Array, count: int, sizes: Collection[int]) -> str | None:
    """The one ratio that most wrong elements share, in words; `count` elements should not be zero."""
    usable = n != 0.0
    if not usable.any():
        return None
    ratios = a[usable] / n[usable]
    ratio = float(np.median(ratios))
    share = np.mean(np.abs(ratios - ratio) <= CLOSE * abs(ratio)) * usable.mean()
    # One wrong element among right ones has a ratio, too, and it says nothing.
    if ratio == 0.0 or share < 0.8 or (usable.sum() == 1 and count > 1):
        return None
    if close(ratio, -1.0):
        return "sign"
    for size in sizes:
        if size > 2 and (close(ratio, size) or close(ratio, 1.0 / size)):
            return "mean or sum"
    return f"factor {ratio:.4g}" if usable.sum() > 1 or clean(ratio) else None


def close(ratio: float, value: float) -> bool:
    """Whether a measured ratio is this one."""
    return abs(ratio - value) <= CLOSE * abs(value)


def clean(ratio: float) -> bool:
    """Whether it is a small whole number, or one divided by it."""
    return any(close(abs(ratio), k) or close(abs(ratio), 1.0 / k) for k in range(2, 11))


def follows(difference: Array, x: Array) -> bool:
    """Whether a difference is c·x, the gradient of an L2 penalty, or c·sign(x), that of an L1 penalty."""
    for pattern in (x, np.sign(x)):
        if np.unique(pattern[pattern != 0]).size < 2 or x.size < 3:
            continue  # a constant follows everything
        c = float((difference * pattern).sum() / (pattern * pattern).sum())
        if c and np.abs(difference - c * pattern).max() <= 1e-2 * np.abs(difference).max():
            return True
    return False
