"""One derivative along a line: measured with an error bar, and compared with the one that was claimed.

Differences at steps that shrink by four are extrapolated to the step 0. What the last extrapolation
changed, and what rounding of the values can do, is the error bar. Nobody chooses a step, and a claim is
judged by the bar alone: nothing is "equal to 1e-4".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tinygrad_lo.checking.extrapolation import Level, Window, extrapolated
from tinygrad_lo.checking.rounding import Noise

FIRST = 0.01  # the first step, relative to max(1, |x|): so far most functions are smooth, and round least
FINEST = 2e-8  # the last one: below it, rounding leaves less than half of the digits
WIDEST = -5  # the level up to which steps grow where all is rounding: 4^5 times the first
LADDER = 24  # more levels than these are walked only at both ends: a tiny x has two scales, 1 and its own
ROUNDED = 2.0  # how far a difference rounds, in eps times the size of what was added up: 99 of 100 do by 1.1
FINE = 1e-8  # a bar of this share of the slope ends the search: what it could hide is no mistake in a rule
CLOSE = 1e-10  # how far apart two right sums in another order can be, relative
SIGMAS = 8.0  # how many times its scatter a claim may be off: three samples see little of the tail
PLAINLY = 5.0  # so many error bars away, a claim is wrong, however the bar was come by
CANCELLED = 1e-6  # a slope known to this share of the one-sided slopes, or of those a step aside, is zero
TERMS = 1e-10  # the same of the terms that it is the sum of, which only rounding keeps from cancelling

Line = Callable[[float], Any]  # the function's value after a step of this length


@dataclass(frozen=True)
class Slope:
    """A measured derivative, how far it can be off, the verdict, what to add to it, and the two sides."""

    numeric: float
    bar: float
    verdict: str  # OK, ZERO, KINK, UNVERIFIABLE or FAIL
    note: str = ""
    sides: tuple[float, float] | None = None  # the slopes on the left and on the right, if they differ


@dataclass
class Trial:
    """A claimed slope, and the function's values at x ± h as far as they have been needed."""

    at: Line
    base: Any
    claimed: float
    size: float
    rtol: float
    noise: Noise
    levels: dict[int, Level] = field(default_factory=dict)
    windows: dict[int, Window] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.first = 2.0 ** round(math.log2(FIRST * max(1.0, self.size)))  # powers of two keep x ± h exact
        self.loose = SIGMAS * self.noise.slope
        self.least = 64.0 * self.noise.eps * self.size or 1e-30  # six bits are left of such a step
        self.last = self.depth(max(FINEST * (self.size if 0.0 < self.size < 1.0 else 1.0), self.least))

    def depth(self, h: float) -> int:
        """The narrowest level with a step of at least h."""
        return int((math.log2(self.first) - math.log2(h)) // 2)

    def level(self, j: int) -> Level:
        """The differences with the step first / 4^j."""
        if j not in self.levels:
            h = self.first * 4.0**-j
            above, below = self.at(h), self.at(-h)
            size = max(float(max(abs(above), abs(below))), self.noise.size)
            left, right = float(self.base - below) / h, float(above - self.base) / h
            central = float(above - below) / (2.0 * h)
            self.levels[j] = Level(h, left, right, central, ROUNDED * self.noise.eps * size / h)
        return self.levels[j]

    def window(self, j: int) -> Window | None:
        """The levels up to j together; None where the function is not finite."""
        if j not in self.windows:
            levels = [self.level(i) for i in (j - 2, j - 1, j)]
            if not all(math.isfinite(sum(level)) for level in levels):
                return None
            found = extrapolated(levels)
            wider = self.levels.get(j - 3)
            if wider is not None and math.isfinite(sum(wider)):
                found = min(found, extrapolated([wider, *levels]), key=lambda window: window.bar)
            self.windows[j] = found
        return self.windows[j]

    def agrees(self, window: Window, times: float = 1.0) -> bool:
        """Whether the claim lies within so many error bars."""
        gap, largest = abs(self.claimed - window.numeric), max(abs(self.claimed), abs(window.numeric))
        return gap < math.inf and gap <= times * (window.bar + self.loose + CLOSE * largest)

    def judge(self) -> Slope:
        """Narrow the step until the answer is plain, else weigh what all steps have shown."""
        if self.claimed == 0.0 and all(self.level(j).left == self.level(j).right == 0.0 for j in (0, 1)):
            return Slope(0.0, 0.0, "ZERO", "f does not move")
        if (plain := self.narrowed()) is not None:
            return plain
        best = self.best()
        for j in range(1, WIDEST, -1):  # where rounding is all of the bar, wider steps see less of it
            if best is None or best.noise < 0.1 * best.bar or not self.agrees(best):
                break
            wider = self.window(j)
            best = wider if wider is not None and wider.bar <= best.bar else None
        found = self.decided()
        for j in range(max(self.windows, default=0) + 1, self.depth(self.least) + 1):
            # Structure may be narrower than the last step: go on as deep as rounding lets us see.
            unsure = abs(self.claimed - found.numeric) if found.verdict == "FAIL" else found.bar
            if found.verdict not in ("FAIL", "UNVERIFIABLE") or self.level(j).noise > 0.1 * unsure:
                break
            self.window(j)
            found = self.decided()
        return found

    def narrowed(self) -> Slope | None:
        """The answer, if one window gives it at once."""
        rungs = list(range(2, self.last + 1))
        if len(rungs) > LADDER:
            wide = any(math.isfinite(sum(self.level(j))) for j in (0, 1))
            rungs = rungs[: LADDER // 3 if wide else 0] + rungs[-LADDER // 2 :]
        before, least = None, math.inf
        for j in rungs:
            window = self.window(j)
            if window is None:
                continue
            if self.agrees(window):
                if self.claimed == 0.0 and window.bar <= FINE * window.largest:
                    return Slope(window.numeric, window.bar, "ZERO", "the slope vanishes here")
                largest = max(abs(self.claimed), abs(window.numeric))
                if window.bar <= FINE * largest and self.loose <= self.rtol * largest:
                    return Slope(window.numeric, window.bar + self.loose, "OK")
            if before is not None and self.refuted(before, window, j):
                return Slope(window.numeric, window.bar, "FAIL")
            if j > 2 and window.kinky and (narrowest := self.window(self.last)) and narrowest.kinky:
                return None
            before, least = window, min(least, window.bar)
            if window.noise > 10.0 * least and window.bar < 5.0 * window.noise:
                return None  # from here on, rounding grows
        return None

    def refuted(self, wide: Window, here: Window, j: int) -> bool:
        """Whether the claim is contradicted on three scales: one wider, here, and as deep as can be."""
        if self.agrees(wide, PLAINLY) or self.agrees(here, PLAINLY):
            return False
        gap = abs(self.claimed - here.numeric)
        depth = self.depth(max(self.least, 20.0 * here.noise * here.step / gap))
        deep = self.window(max(j, min(self.last, depth)))
        # A window that knows no digit of its own slope, near a pole, contradicts nothing.
        return deep is not None and not any(
            window.kinky
            or window.bar > 0.1 * abs(window.numeric)
            or self.agrees(window, PLAINLY)
            or window.differs(here, 1.0)
            for window in (wide, here, deep)
        )

    def best(self) -> Window | None:
        """The window with the smallest bar, unless a narrower one contradicts it: structure is near by."""
        best: Window | None = None
        for j in sorted(self.windows):
            window = self.windows[j]
            if best is None or window.bar < best.bar or window.differs(best, 2.0):
                best = window
        return best

    def decided(self) -> Slope:
        """The verdict by all windows together."""
        best = self.best()
        if best is None:
            verdict = "UNVERIFIABLE" if math.isfinite(self.claimed) else "FAIL"
            return Slope(0.0, math.inf, verdict, "f is not finite on both sides")
        narrowest = [self.windows[j] for j in sorted(self.windows)[:-4:-1]]
        corner = next((window for window in narrowest if window.kinky), None)
        agrees, claimed = self.agrees(best), abs(self.claimed)
        coarse = not best.bar + self.loose < self.rtol * max(claimed, abs(best.numeric))

        def slope(verdict: str, note: str = "") -> Slope:
            return Slope(best.numeric, best.bar + self.loose, verdict, note, corner and corner.sides)

        if agrees and not coarse:
            return slope("OK")
        if (beside := self.jump()) is not None:
            return slope("KINK" if beside[0] <= self.claimed <= beside[1] else "FAIL", "f jumps here")
        if corner is not None and (best.kinky or coarse):
            left, right = corner.sides
            slack = corner.slack + CANCELLED * max(abs(left), abs(right)) + self.loose
            if min(left, right) - slack <= self.claimed <= max(left, right) + slack:
                note = f"{left:.4g} on the left, {right:.4g} on the right, {self.claimed:.4g} claimed"
                return slope("KINK", note)
        if claimed == 0.0 and self.vanishes():
            return slope("ZERO", "the slope vanishes here")
        if agrees and claimed <= best.bar + self.loose:
            if best.bar <= CANCELLED * best.largest or claimed == best.largest == 0.0:
                return slope("ZERO", "the slope vanishes here")
            terms = self.noise.terms()
            if best.bar + claimed <= TERMS * terms:
                left = max(claimed, abs(best.numeric))
                return slope("ZERO", f"terms up to {terms:.2g} cancel to {left:.0e}")
        if not agrees and (corner is not None or not coarse or not self.agrees(best, PLAINLY)):
            return slope("FAIL")
        if best.noise < 0.1 * best.bar:
            return slope("UNVERIFIABLE", "the differences settle at no step")
        rounding = f"rounds to {best.noise * best.step:.0e}, its change is smaller"
        return slope("UNVERIFIABLE", f"f ({float(self.base):.3g}) {rounding}")

    def jump(self) -> tuple[float, float] | None:
        """The least and the largest slope beside x, where the function itself jumps; else None."""
        narrow = [self.levels[j] for j in sorted(self.levels)[-4:]]
        moved = [level.step * max(abs(level.left), abs(level.right)) for level in narrow]
        if not moved[-1] >= 0.9 * moved[0] or not moved[-1] > 32.0 * narrow[-1].noise * narrow[-1].step:
            return None
        a, b = self.level(4), self.level(5)  # between 1e-5 and 4e-5: wide enough for two or three digits
        left = (a.left * a.step - b.left * b.step) / (a.step - b.step)
        right = (a.right * a.step - b.right * b.step) / (a.step - b.step)
        slack = 0.01 * max(abs(left), abs(right)) + 4.0 * a.noise
        return min(left, right) - slack, max(left, right) + slack

    def vanishes(self) -> bool:
        """Whether the differences on both sides fall from step to step, like those of |x|^1.5."""
        steep = [max(abs(self.levels[j].left), abs(self.levels[j].right)) for j in sorted(self.levels)]
        return all(b <= 0.75 * a for a, b in pairwise(steep)) and steep[-1] <= 0.05 * steep[0]


def judge(at: Line, base: Any, claimed: float, size: float, rtol: float, noise: Noise) -> Slope:
    """Compare the claimed slope at 0 with differences.

    `at(h)` is the function's value after a step h, `base` the one before; `size` the largest |x| that
    moves. `rtol` is how well a slope must be known to count as verified.

        OK            the claim lies within the bar, and the bar below rtol
        ZERO          the slope is zero: f does not move, or only elsewhere, or its terms cancel
        KINK          the one-sided slopes differ, and the claimed one lies between them
        UNVERIFIABLE  the bar is wide, and the claim not far from it: rounding hides the answer
        FAIL          everything else
    """
    return Trial(at, base, float(claimed), size, rtol, noise).judge()
