"""One derivative along a line, by differences at steps that shrink by four, extrapolated to the step 0.

What the last extrapolation changed, and what rounding can do, is its error bar, which judges a claim.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

EPS = 2.0**-52
SMALLEST = 2.0**-1022  # below it floats do not come closer together: eps times it is the finest spacing
FIRST = 0.01  # the first step, relative to max(1, |x|): so far most functions are smooth, and round least
FINEST = 2e-8  # the last one: below it, rounding leaves less than half of the digits
WIDEST = -5  # the level up to which steps grow where all is rounding: 4^5 times the first
ROUNDS_BY = 2.0  # a difference, in eps times the size of what was added up: 99 of 100 do by 1.1
FINE = 1e-8  # a bar of this share of the slope ends the search: what it could hide is no mistake in a rule
REORDERED = 1e-10  # how far apart two right sums in another order can be, relative
SIGMAS = 8.0  # how many times its scatter a claim may be off: three samples see little of the tail
PLAINLY = 5.0  # so many error bars away, a claim is wrong, however the bar was come by
CANCELLED = 1e-6  # a slope known to this share of the one-sided slopes, or of those a step aside, is zero
TERMS = 1e-10  # the same of the terms that it is the sum of, which only rounding keeps from cancelling
STEEPENING = range(2, 9)  # the levels at which a slope that is infinite is seen to be: like log h it grows
JUMP = 3.0  # one-sided slopes differ if by so many times what they are uncertain by


@dataclass(frozen=True)
class Noise:
    """What rounding alone can do."""

    eps: float  # the rounding of the arithmetic
    size: float  # of all that was added up on the way to the value; eps times it is the value's rounding
    slope: float = 0.0  # how far the claimed slope can be off
    terms: Callable[[], float] = lambda: 0.0  # the largest term of the slope, asked where that seems zero


class Level(NamedTuple):
    """The differences with one step, and what rounding does to them."""

    step: float
    left: float
    right: float
    central: float
    noise: float

    @property
    def steepest(self) -> float:
        """The steeper of the two sides."""
        return max(abs(self.left), abs(self.right))


def are_finite(numbers: Iterable[float]) -> bool:
    """Whether all of them are, though their sum may not be."""
    return all(map(math.isfinite, numbers))


class Window(NamedTuple):
    """Three or four neighbouring levels, extrapolated to the step 0."""

    numeric: float
    bar: float
    noise: float  # of the narrowest level
    step: float  # its step
    sides: tuple[float, float]  # the slopes on the left and on the right
    kinky: bool  # whether they differ
    slack: float  # by how much they may be off
    largest: float  # of the differences

    def differs(self, other: Window, times: float) -> bool:
        """Whether two windows contradict each other."""
        return abs(self.numeric - other.numeric) > times * (self.bar + other.bar)


@dataclass(frozen=True)
class Slope:
    """A measured derivative, how far it can be off, the verdict, what to add to it, and the two sides."""

    numeric: float
    bar: float
    verdict: str  # OK, ZERO, KINK, UNVERIFIABLE or FAIL
    note: str = ""
    sides: tuple[float, float] | None = None  # the slopes on the left and on the right, if they differ


Finding = tuple[str, str]  # a verdict, and what stands behind it


def limit(values: list[float], factor: float) -> tuple[float, float]:
    """Neville's extrapolation to h = 0 of a series in powers of h, and how far it may be off."""
    power = factor  # by which the first power shrinks from value to value
    while len(values) > 1:
        before = values
        values = [b + (b - a) / (power - 1.0) for a, b in pairwise(values)]
        power *= factor
    return values[0], max(abs(values[0] - value) for value in before)


def extrapolated(levels: list[Level]) -> Window:
    """The slope at the step 0: of a series in h² where f is smooth, in h where its curvature jumps."""
    step, lefts, rights, centrals, noises = (list(column) for column in zip(*levels, strict=True))
    numeric, off = min(limit(centrals, 16.0), limit(centrals, 4.0), key=lambda series: series[1])
    (left, left_off), (right, right_off) = limit(lefts, 4.0), limit(rights, 4.0)
    noise, apart = noises[-1], abs(right - left)
    slack = left_off + right_off + 3.0 * noise
    bar = off + noise + 0.5 * max(0.0, apart - 3.0 * noise)  # a kink nearer than h moves by half its jump
    largest = max(map(abs, lefts + rights + centrals))
    return Window(numeric, bar, noise, step[-1], (left, right), apart > JUMP * slack, slack, largest)


@dataclass
class Judge:
    """A claimed slope, and the differences of the function as far as they have been needed."""

    at: Callable[[float], Any]
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
        size = max(self.size, SMALLEST) if self.size else 0.0
        self.least = 64.0 * self.noise.eps * size or 1e-30  # six bits are left of such a step
        self.last = self.depth(max(FINEST * (self.size if 0.0 < self.size < 1.0 else 1.0), self.least))

    def depth(self, h: float) -> int:
        """The narrowest level with a step of at least h."""
        return int((math.log2(self.first) - math.log2(h)) // 2)

    def level(self, j: int) -> Level:
        """The differences with the step first / 4^j."""
        if j not in self.levels:
            h = self.first * 4.0**-j
            above, below = self.at(h), self.at(-h)
            size = max(float(max(abs(above), abs(below))), self.noise.size, SMALLEST)
            left, right = float(self.base - below) / h, float(above - self.base) / h
            central = float(above - below) / (2.0 * h)
            unit = ROUNDS_BY * self.noise.eps
            noise = max(unit * size / h, unit * SMALLEST)  # the slope is a float, too
            self.levels[j] = Level(h, left, right, central, noise)
        return self.levels[j]

    def window(self, j: int) -> Window | None:
        """The levels up to j together; None where the function is not finite."""
        if j not in self.windows:
            levels = [self.level(i) for i in (j - 2, j - 1, j)]
            if not all(map(are_finite, levels)):
                return None
            best = extrapolated(levels)
            wider = self.levels.get(j - 3)
            if wider is not None and are_finite(wider):
                best = min(best, extrapolated([wider, *levels]), key=lambda window: window.bar)
            self.windows[j] = best
        return self.windows[j]

    def best(self) -> Window | None:
        """The window with the smallest bar, unless a narrower one contradicts it: structure is near by."""
        best: Window | None = None
        for _, window in sorted(self.windows.items()):
            if best is None or window.bar < best.bar or window.differs(best, 2.0):
                best = window
        return best

    def agrees(self, window: Window, times: float = 1.0) -> bool:
        """Whether the claim lies within so many error bars."""
        gap, largest = abs(self.claimed - window.numeric), self.largest(window)
        return gap < math.inf and gap <= times * (window.bar + self.loose + REORDERED * largest)

    def largest(self, window: Window) -> float:
        """The larger one of the claimed slope and the measured one."""
        return max(abs(self.claimed), abs(window.numeric))

    def verdict(self) -> Slope:
        """Narrow the step until the answer is plain, else weigh what all steps have shown."""
        if self.claimed == 0.0 and self.level(0).steepest == self.level(1).steepest == 0.0:
            return Slope(0.0, 0.0, "ZERO", "f does not move")
        if math.isinf(self.claimed) and self.steepens():
            why = "the slope is infinite here, which no difference can show"
            return Slope(self.claimed, math.inf, "UNVERIFIABLE", why)
        if (plain := self.narrowed()) is not None:
            return plain
        self.widen()
        slope = self.weighed()
        # Structure may be narrower than the last step: go on as deep as rounding lets us see.
        for j in range(max(self.windows, default=0) + 1, self.depth(self.least) + 1):
            gaps = (abs(self.claimed - side) for side in slope.sides or (slope.numeric,))
            unsure = min(gaps) if slope.verdict == "FAIL" else slope.bar
            if slope.verdict not in ("FAIL", "UNVERIFIABLE") or self.level(j).noise > 0.1 * unsure:
                break
            self.window(j)
            slope = self.weighed()
        return slope

    def steepens(self) -> bool:
        """Whether the differences overflow as the claim does, or grow toward it and do not settle."""
        if self.level(self.depth(self.least)).central == self.claimed:
            return True
        levels = [self.level(j) for j in STEEPENING]
        sides = [
            [math.copysign(1.0, self.claimed) * side for side in sides] for sides in zip(*levels, strict=True)
        ]
        grow = [[b - a for a, b in pairwise(side)] for side in sides[1:3] if are_finite(side)]
        return bool(grow) and all(b > 0.9 * a > 0.0 for side in grow for a, b in pairwise(side))

    def narrowed(self) -> Slope | None:
        """The answer, if one window gives it at once."""
        before, least = None, math.inf
        for j in range(2, self.last + 1):
            window = self.window(j)
            if window is None:
                continue
            if (answer := self.settled(before, window, j)) is not None:
                return answer
            if j > 2 and window.kinky and (last := self.window(self.last)) is not None and last.kinky:
                return None
            before, least = window, min(least, window.bar)
            if window.noise > 10.0 * least and window.bar < 5.0 * window.noise:
                return None  # from here on, rounding grows
        return None

    def settled(self, wider: Window | None, window: Window, j: int) -> Slope | None:
        """The claim is right or wrong beyond doubt, or None."""
        numeric, bar, largest = window.numeric, window.bar, self.largest(window)
        if self.agrees(window):
            if self.claimed == 0.0 and bar <= FINE * window.largest:
                return Slope(numeric, bar, "ZERO", "the slope vanishes here")
            if bar <= FINE * largest and self.loose <= self.rtol * largest:
                return Slope(numeric, bar + self.loose, "OK")
        wrong = wider is not None and self.refuted(wider, window, j)
        return Slope(numeric, bar, "FAIL") if wrong else None

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

    def widen(self) -> None:
        """Where rounding is all of the bar, look at wider steps, which see less of it."""
        best = self.best()
        for j in range(1, WIDEST, -1):
            if best is None or best.noise < 0.1 * best.bar or not self.agrees(best):
                return
            wider = self.window(j)
            best = wider if wider is not None and wider.bar <= best.bar else None

    def weighed(self) -> Slope:
        """The verdict by all windows together."""
        best = self.best()
        if best is None:
            verdict = "UNVERIFIABLE" if math.isfinite(self.claimed) else "FAIL"
            return Slope(0.0, math.inf, verdict, "f is not finite on both sides")
        narrowest = [self.windows[j] for j in sorted(self.windows)[:-4:-1]]
        corner = next((window for window in narrowest if window.kinky), None)
        finding = self.finding(best, corner)
        return Slope(best.numeric, best.bar + self.loose, *finding, corner and corner.sides)

    def finding(self, best: Window, corner: Window | None) -> Finding:
        """What is found, by the best window and by the narrowest one in which the slope jumps."""
        coarse = not best.bar + self.loose < self.rtol * self.largest(best)
        if self.agrees(best) and not coarse:
            return "OK", ""
        if (beside := self.at_a_jump()) is not None:
            return beside
        if corner is not None and (best.kinky or coarse):
            left, right = corner.sides
            if self.between(corner.sides, CANCELLED, corner.slack + self.loose):
                return "KINK", f"{left:.4g} on the left, {right:.4g} on the right, {self.claimed:.4g} claimed"
        if (zero := self.at_zero(best)) is not None:
            return zero
        plain = corner is not None or not coarse  # the bar is narrow enough to tell
        return self.unsettled(best) if self.agrees(best, 1.0 if plain else PLAINLY) else ("FAIL", "")

    def unsettled(self, best: Window) -> Finding:
        """Why a slope that does not disagree cannot be seen."""
        if best.noise < 0.1 * best.bar:
            return "UNVERIFIABLE", "the differences settle at no step"
        rounding = f"rounds to {best.noise * best.step:.0e}, its change is smaller"
        return "UNVERIFIABLE", f"f ({float(self.base):.3g}) {rounding}"

    def at_a_jump(self) -> Finding | None:
        """Where the function itself jumps, a slope between those beside x is right."""
        narrow = [level for _, level in sorted(self.levels.items())[-4:]]
        moved = [level.step * level.steepest for level in narrow]
        if not moved[-1] >= 0.9 * moved[0] or not moved[-1] > 32.0 * narrow[-1].noise * narrow[-1].step:
            return None
        a, b = self.level(4), self.level(5)  # between 1e-5 and 4e-5: wide enough for two or three digits
        left = (a.left * a.step - b.left * b.step) / (a.step - b.step)
        right = (a.right * a.step - b.right * b.step) / (a.step - b.step)
        return "KINK" if self.between((left, right), 0.01, 4.0 * a.noise) else "FAIL", "f jumps here"

    def between(self, sides: tuple[float, float], share: float, slack: float) -> bool:
        """Whether the claim lies between two slopes, known to a share of the larger one and some slack."""
        low, high = sorted(sides)
        slack += share * max(abs(low), abs(high))
        return low - slack <= self.claimed <= high + slack

    def at_zero(self, best: Window) -> Finding | None:
        """The slope is zero: the differences vanish with the step, or the terms cancel."""
        claimed = abs(self.claimed)
        if claimed == 0.0 and self.vanishes():
            return "ZERO", "the slope vanishes here"
        if not self.agrees(best) or claimed > best.bar + self.loose:
            return None
        if best.bar <= CANCELLED * best.largest or claimed == best.largest == 0.0:
            return "ZERO", "the slope vanishes here"
        terms = self.noise.terms()
        if best.bar + claimed > TERMS * terms:
            return None
        return "ZERO", f"terms up to {terms:.2g} cancel to {max(claimed, abs(best.numeric)):.0e}"

    def vanishes(self) -> bool:
        """Whether the differences on both sides fall from step to step, like those of |x|^1.5."""
        steep = [level.steepest for _, level in sorted(self.levels.items())]
        return all(b <= 0.75 * a for a, b in pairwise(steep)) and steep[-1] <= 0.05 * steep[0]


def judge(
    at: Callable[[float], Any], base: Any, claimed: float, size: float, rtol: float, noise: Noise
) -> Slope:
    """Compare the claimed slope at 0 with differences.

    `at(h)` is the function's value after a step h, `base` the one before; `size` the largest |x| that
    moves. `rtol` is how well a slope must be known to count as verified.

        OK            the claim lies within the bar, and the bar below rtol
        ZERO          the slope is zero: f does not move, or only elsewhere, or its terms cancel
        KINK          the one-sided slopes differ, and the claimed one lies between them
        UNVERIFIABLE  the bar is wide, and the claim not far from it: rounding hides the answer
        FAIL          everything else
    """
    return Judge(at, base, float(claimed), size, rtol, noise).verdict()
