"""One derivative along a line: measured with an error bar, and compared with the one that was claimed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinygrad_lo.engine.graph import Array

LADDER = (6e-6, 1e-4, 1e-7, 1e-3, 1e-8)  # step sizes relative to max(1, |x|), the best one first
EPS = float(np.finfo(float).eps)

Line = Callable[[float], float]  # the function's value after a step of this length


@dataclass(frozen=True)
class Slope:
    """A measured derivative, how far it can be off, the step that gave it, and the verdict."""

    numeric: float
    bar: float
    step: float
    verdict: str  # OK, ZERO, KINK, UNVERIFIABLE or FAIL


def judge(at: Line, base: float, analytic: float, size: float, rtol: float, eps: float = EPS) -> Slope:
    """Compare the claimed slope at 0 with central differences.

    `at(h)` is the function's value after a step h, `base` the one before; `size` the largest |x| that
    moves, `eps` the rounding of the arithmetic. There is no absolute tolerance:

        OK            |analytic − numeric| ≤ rtol · max(|analytic|, |numeric|), and the bar is below that
        ZERO          both are zero
        KINK          the one-sided slopes differ, and the claimed one lies between them
        UNVERIFIABLE  the error bar is wider than the gap: rounding hides the answer
        FAIL          everything else
    """
    if analytic == 0.0 and flat(at, base, max(1.0, size)):
        return Slope(0.0, 0.0, LADDER[0] * max(1.0, size), "ZERO")
    numeric, bar, step = derivative(at, base, size, rtol, eps)

    def verdict(word: str) -> Slope:
        return Slope(numeric, bar, step, word)

    if analytic == numeric == 0.0 and bar < np.inf:
        return verdict("ZERO")
    finite = bool(np.isfinite(analytic))
    if finite and agrees(analytic, numeric, bar, rtol):
        return verdict("OK")
    if analytic == 0.0 and vanishes(at):
        return verdict("ZERO")
    gap = abs(analytic - numeric)
    if finite and gap <= bar:
        return verdict("UNVERIFIABLE")
    if at_kink(at, base, analytic, step if bar <= rtol * abs(numeric) else 1e-6, eps):
        return verdict("KINK")
    for rung in LADDER:
        h = rung * max(1.0, size)
        if finite and h < step:
            # The step may have been too wide for a narrow place, with a kink on each side.
            closer, closer_bar = difference(at, base, h, eps)
            if agrees(analytic, closer, closer_bar, rtol):
                return Slope(closer, closer_bar, h, "OK")
    return verdict("FAIL")


def agrees(analytic: float, numeric: float, bar: float, rtol: float) -> bool:
    """Whether two slopes are equal to rtol, the second being known better than that."""
    allowed = rtol * max(abs(analytic), abs(numeric))
    return bar <= allowed and abs(analytic - numeric) <= allowed


def difference(at: Line, base: float, h: float, eps: float) -> tuple[float, float]:
    """The central difference with half the step h, and how far it may be off.

    What it changed since the step h, and what rounding of the values can do:

        bar = |D(h) − D(h/2)| + 8 · eps · max|f| / h
    """
    above, below = at(h), at(-h)
    wide = (above - below) / (2 * h)
    narrow = (at(h / 2) - at(-h / 2)) / h
    noise = 8 * eps * max(abs(above), abs(below), abs(base)) / h
    return narrow, abs(wide - narrow) + noise


def derivative(at: Line, base: float, size: float, rtol: float, eps: float) -> tuple[float, float, float]:
    """The slope at 0, how far it may be off, and the step that gave it.

    Climbs the ladder until the differences at h and at h/2 agree; else the best rung wins.
    """
    best, least, step = 0.0, np.inf, 1e-6
    for scale in dict.fromkeys((max(1.0, size), size)):
        if scale == 0.0:
            continue
        for rung in LADDER:
            h = rung * scale
            numeric, bar = difference(at, base, h, eps)
            if bar < least:
                best, least, step = numeric, bar, h
            if bar <= rtol * abs(numeric):
                return numeric, bar, h
    return best, float(least), step


def flat(at: Line, base: float, scale: float) -> bool:
    """Whether the function does not change at all, in small steps and in large ones."""
    return all(at(h * scale) == base for h in (6e-6, -6e-6, 1e-3, -1e-3))


def vanishes(at: Line) -> bool:
    """Whether the slope goes to 0 with h, like h² at the minimum of x⁴: then it is 0."""
    wide, narrow = (abs(at(h) - at(-h)) / (2 * h) for h in (1e-2, 1e-4))
    return narrow <= 1e-3 * wide


def at_kink(at: Line, base: float, analytic: float, converged: float, eps: float) -> bool:
    """Whether the one-sided slopes differ by a jump that stays when h shrinks, and enclose the gradient.

    Curvature makes them differ as well, but in proportion to h. The last h is the step at which the
    central differences had converged: a kink near by, which that step no longer sees, is none here.
    """
    if jumps_at_zero(at, base, eps):
        return beyond_jump(at, base, analytic, eps)
    jumps = []
    sides: tuple[float, float] = (0.0, 0.0)
    last = min(converged, 1e-6)
    for h in (1e-4, 1e-6, last):
        sides = ((base - at(-h)) / h, (at(h) - base) / h)
        jumps.append(abs(sides[1] - sides[0]))
    slack = 1e-3 * max(map(abs, sides)) + 8 * eps * abs(base) / last
    stays = jumps[1] > 0.5 * jumps[0] and jumps[2] > max(0.5 * jumps[1], slack)
    return bool(stays and min(sides) - slack <= analytic <= max(sides) + slack)


def jumps_at_zero(at: Line, base: float, eps: float) -> bool:
    """Whether the function itself is not continuous here, like the slope of relu at 0."""
    wide, narrow = (abs(at(h) - at(-h)) for h in (1e-4, 1e-6))
    return narrow > max(0.5 * wide, 64 * eps * abs(base))


def beyond_jump(at: Line, base: float, analytic: float, eps: float) -> bool:
    """Whether the claimed slope lies between those on the two sides of a jump."""
    h = 1e-5
    sides = ((at(-h) - at(-2 * h)) / h, (at(2 * h) - at(h)) / h)
    slack = 1e-2 * max(map(abs, sides)) + 8 * eps * abs(base) / h
    return bool(min(sides) - slack <= analytic <= max(sides) + slack)


def wrong_ones(check: Callable[[Array], str], indices: Array, limit: int) -> list[int]:
    """Bisect to the elements that fail alone: `check(indices)` is the verdict along all of them.

    A half whose joint direction agrees is not looked into: log2(n) checks for each wrong element.
    """
    found: list[int] = []
    waiting = [indices]
    while waiting and len(found) < limit:
        some = waiting.pop()
        if check(some) != "FAIL":
            continue
        if some.size == 1:
            found.append(int(some[0]))
        else:
            waiting += [some[some.size // 2 :], some[: some.size // 2]]
    return found
