"""The likely mistake in a gradient written by hand, told to the one who wrote it: "your gradient ...".

The causes are those of `diagnosis`; here the numbers behind them are read too, and put into a sentence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Array

CLOSE = 1e-3  # how well numbers must fit a pattern; finite differences are good to 1e-4 and better
MOST = 0.8  # the share of the failing elements that one pattern must explain
NEARLY = 2e-3  # a relative gap that rounded constants or a coarse dtype explain
LOGARITHMS = {
    1 / math.log(2): "1/ln 2: a logarithm in base 2",
    1 / math.log(10): "1/ln 10: a logarithm in base 10",
    math.log(2): "ln 2: a logarithm in base 2 was meant",
    math.log(10): "ln 10: a logarithm in base 10 was meant",
}


def factor(ratio: float) -> tuple[str, str]:
    """The cause, and the words, for yours / right = ratio."""
    size = abs(ratio)
    sign = " and has the wrong sign" if ratio < 0 else ""
    near = Fraction(size).limit_denominator(1000)
    whole = (
        near > 0
        and (near != 1 or ratio < 0)
        and 1 in (near.numerator, near.denominator)
        and abs(size - near) <= CLOSE * size
    )
    cause = f"factor {float(near if whole else size) * (-1 if ratio < 0 else 1):.4g}"
    if whole and near == 1 and ratio < 0:
        return "sign", "has the wrong sign"
    if whole and near in (2, Fraction(1, 2)):
        word = "twice" if near == 2 else "half"
        return cause, f"is {word} what it should be{sign}: look for a ½, or for the 2 of a square"
    if whole and near > 1:
        said = f"is {near} times what it should be{sign}: was the 1/{near} of a mean left out?"
        return "mean or sum", said
    if whole:
        said = f"is 1/{near.denominator} of what it should be{sign}: a mean in place of a sum?"
        return "mean or sum", said
    for known, words in LOGARITHMS.items():
        if abs(size - known) <= CLOSE * known:
            return cause, f"is {size:.4g} times what it should be{sign}, which is {words}"
    return cause, f"is {size:.4g} times what it should be{sign}"


def mistake(
    yours: Array, right: Array, bad: Array, x: Array, places: Sequence[Any], bars: Array | float = 0.0
) -> tuple[str | None, str]:
    """The likely cause, and what to say after "your gradient".

    Shapes:   yours, right, x: the same elements of the two gradients and of what they are by, in a row;
              bad: which of them disagree; bars: how far `right` may be off; places: their indices.
    """
    good = ~bad & (right != 0)
    if not yours.any():
        return "disconnected", "is 0 everywhere: nothing was added to it, or a path to the loss is missing"
    if not right.any():
        return (
            None,
            "is not 0, but the loss stays the same when x changes: is it rounded, or made of other things?",
        )
    found = shared(yours[bad], right[bad])
    if found is not None and abs(found - 1.0) > CLOSE:
        cause, words = factor(found)
        if not good.any():
            return cause, words
        if cause in ("sign", "factor 2", "factor 0.5"):
            return cause, f"{words} {at(places, bad)}"
    noise = np.broadcast_to(bars, x.shape)
    for term, name, of in ((x, "x", "L2"), (np.sign(x), "sign(x)", "L1")):
        c = proportional((yours - right)[bad], term[bad], noise[bad])
        if c is not None:
            word = "missing" if c < 0 else "too much"
            said = f"differs by {abs(c):.4g}·{name}: the gradient of an {of} regularizer is {word}"
            return "regularizer", said
    gaps = np.abs(yours - right) / np.maximum(np.abs(yours), np.abs(right)).clip(min=np.finfo(float).tiny)
    if gaps.max() < NEARLY:
        return None, "is nearly right, to 2 or 3 digits: are constants rounded, or is float32 used inside?"
    if permuted(yours, right):
        return "transpose", other_order(yours, right, places)
    if good.any():
        zero = " and is 0 there: a mask or a branch dropped them" if not yours[bad].any() else ""
        return "some elements", f"is wrong only {at(places, bad)}{zero}"
    return None, "fits none of the known mistakes; compare the numbers below by hand, on a smaller input"


def shared(yours: Array, right: Array) -> float | None:
    """The one ratio that most elements have, or None."""
    usable = (right != 0) & (yours != 0)
    if usable.sum() < max(1, MOST * yours.size):
        return None
    ratios = yours[usable] / right[usable]
    middle = float(np.sort(ratios)[ratios.size // 2])
    fits = np.abs(ratios - middle) <= CLOSE * abs(middle)
    return middle if fits.sum() >= MOST * yours.size else None


def proportional(gap: Array, to: Array, noise: Array) -> float | None:
    """The constant c with gap = c·to for most elements, or None; two elements alone show nothing."""
    told = to != 0
    if told.sum() < 3 or np.unique(to[told]).size < 2:
        return None
    ratios = gap[told] / to[told]
    c = float(np.sort(ratios)[ratios.size // 2])
    fits = np.abs(gap - c * to) <= 10 * CLOSE * np.abs(c * to) + 2 * noise
    return c if c and fits.sum() >= MOST * gap.size else None


def permuted(yours: Array, right: Array) -> bool:
    """Whether both have the same numbers, in another order."""
    tiny = 1e-9 * float(np.abs(right).max(initial=0.0))
    return yours.size > 1 and np.allclose(np.sort(yours), np.sort(right), rtol=CLOSE, atol=tiny)


def other_order(yours: Array, right: Array, places: Sequence[Any]) -> str:
    """Which order it is."""
    shape = tuple(np.max(np.array(places), axis=0) + 1) if len(places[0]) == 2 else ()
    if shape and math.prod(shape) == yours.size:
        a, n = yours.reshape(shape), right.reshape(shape)
        turned = [n.T.reshape(shape), *([n.T] if shape[0] == shape[1] else [])]
        if any(np.allclose(a, m, rtol=CLOSE, atol=1e-9 * np.abs(n).max()) for m in turned):
            return "has the right numbers in the order of the transpose"
    return "has the right numbers in another order: look at the indices, and at every .T and reshape"


def at(places: Sequence[Any], bad: Array) -> str:
    """Where, in words: whole columns or rows if that is what they are, else the first few."""
    chosen = [place for place, wrong in zip(places, bad, strict=True) if wrong]
    if len(chosen[0]) == 2:
        for axis, word in ((0, "row"), (1, "column")):
            lines = sorted({place[axis] for place in chosen})
            whole = [place for place in places if place[axis] in lines]
            if len(chosen) == len(whole) < len(places):
                several = "s" if len(lines) > 1 else ""
                return f"in {word}{several} {', '.join(map(str, lines[:6]))}"
    shown = ", ".join(str(list(place)) for place in chosen[:4])
    return f"at {shown}" + (f" and {len(chosen) - 4} more" if len(chosen) > 4 else "")
