"""One derivative along a line: measured with an error bar, and compared with the one that was claimed.

Differences at steps that shrink by four are extrapolated to the step 0. What the last extrapolation
changed, and what rounding of the values can do, is the error bar. No step size is chosen, and the claim
is judged by the bar alone: nothing is "equal to 1e-4".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Array

FIRST = 0.01  # the first step, relative to max(1, |x|): most functions are smooth so far, and rounding is least
FINEST = 2e-8  # the last one: below it, rounding of the values leaves less than half of the digits
WIDEST = -5  # the level, 4^5 times as wide as the first, up to which steps grow where all is rounding
FINE = 1e-8  # a bar of this share of the slope ends the search: what it could hide is no mistake in a rule
CLOSE = 1e-10  # the claim's own rounding, relative: sums in another order differ by less
ROUNDED = 2.0  # the rounding of a difference, in eps times the size: nine tenths of all are below a third
SIGMAS = 8.0  # how many times its scatter the claim may be off: three samples see little of the tail
PLAINLY = 5.0  # so many error bars away, a claim is wrong, however the bar was come by
JUMP = 3.0  # one-sided slopes differ if by this many times what they are uncertain by
CANCELLED = 1e-6  # a slope known to this share of the terms that it is the sum of is zero

Line = Callable[[float], Any]  # the function's value after a step of this length


@dataclass(frozen=True)
class Noise:
    """What rounding alone can do.

    Attributes:
        eps: the rounding of the arithmetic.
        size: of all the numbers that were added up on the way to the value; eps times it is its rounding.
        slope: how far the claimed slope can be off.
        terms: the largest term that the slope is a sum of, asked for only where the slope seems zero.
    """

    eps: float = 2.0**-52
    size: float = 0.0
    slope: float = 0.0
    terms: Callable[[], float] = lambda: 0.0


@dataclass(frozen=True)
class Slope:
    """A measured derivative, how far it can be off, the verdict, and what to add to that."""

    numeric: float
    bar: float
    verdict: str  # OK, ZERO, KINK, UNVERIFIABLE or FAIL
    note: str = ""
    sides: tuple[float, float] = (0.0, 0.0)  # on the left and on the right
    kinky: bool = False  # whether they differ

    def like(self, other: Slope) -> bool:
        """Whether both have the same kink."""
        apart = [abs(a - b) for a, b in zip(self.sides, other.sides, strict=True)]
        return self.kinky == other.kinky and max(apart) <= 1e-3 * max(map(abs, other.sides))


@dataclass(frozen=True)
class Level:
    """The differences with one step, and what rounding does to them."""

    step: float
    left: float
    right: float
    central: float
    noise: float
    flat: bool

    @property
    def largest(self) -> float:
        """The steepest of them."""
        return max(abs(self.left), abs(self.right), abs(self.central))


@dataclass(frozen=True)
class Window:
    """Three or four neighbouring levels, extrapolated to the step 0."""

    numeric: float
    bar: float
    level: Level  # the narrowest
    left: float
    right: float
    side: float  # how far left and right can be off
    largest: float

    @property
    def kinky(self) -> bool:
        """Whether the slopes on the two sides differ."""
        return abs(self.right - self.left) > JUMP * self.side

    def differs(self, other: Window, times: float) -> bool:
        """Whether two windows contradict each other."""
        return abs(self.numeric - other.numeric) > times * (self.bar + other.bar)


def limit(values: list[float], factor: float) -> tuple[float, float]:
    """Neville's extrapolation of a series in powers of h to h = 0, and how far it may be off.

    `factor` is by how much the first power shrinks from value to value.
    """
    power = factor
    while len(values) > 1:
        before = values
        values = [b + (b - a) / (power - 1.0) for a, b in pairwise(values)]
        power *= factor
    return values[0], max(abs(values[0] - value) for value in before)


def extrapolated(levels: list[Level]) -> Window:
    """The slope at the step 0: a series in h² for what is smooth, in h where the curvature jumps."""
    central = [level.central for level in levels]
    numeric, off = min(limit(central, 16.0), limit(central, 4.0), key=lambda found: found[1])
    left, left_off = limit([level.left for level in levels], 4.0)
    right, right_off = limit([level.right for level in levels], 4.0)
    noise = levels[-1].noise
    # A kink closer than the narrowest step moves the slope by half of its jump.
    bar = off + noise + 0.5 * max(0.0, abs(right - left) - 3.0 * noise)
    side = left_off + right_off + 3.0 * noise
    return Window(numeric, bar, levels[-1], left, right, side, max(level.largest for level in levels))


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
        scale = self.size if 0.0 < self.size < 1.0 else 1.0
        self.last = self.below(max(FINEST * scale, 64.0 * self.noise.eps * self.size))

    def below(self, h: float) -> int:
        """The narrowest level with a step of at least h."""
        return int(math.log2(self.first / h) // 2)

    # ------------------------------------------------------------------------------ measuring

    def level(self, j: int) -> Level:
        """The differences with the step first / 4^j."""
        if j not in self.levels:
            h = self.first * 4.0**-j
            above, below = self.at(h), self.at(-h)
            right, left = float(above - self.base) / h, float(self.base - below) / h
            largest = max(float(max(abs(above), abs(below), abs(self.base))), self.noise.size)
            rounding = ROUNDED * self.noise.eps * largest / h
            flat = bool(above == below == self.base)
            central = float(above - below) / (2.0 * h)
            self.levels[j] = Level(h, left, right, central, rounding, flat)
        return self.levels[j]

    def window(self, j: int) -> Window | None:
        """The levels up to j together; None where the function is not finite."""
        if j not in self.windows:
            levels = [self.level(i) for i in (j - 2, j - 1, j)]
            if not all(math.isfinite(level.largest) for level in levels):
                return None
            found = extrapolated(levels)
            wider = self.levels.get(j - 3)
            if found.bar > 0.0 and wider is not None and math.isfinite(wider.largest):
                found = min(found, extrapolated([wider, *levels]), key=lambda window: window.bar)
            self.windows[j] = found
        return self.windows[j]

    # -------------------------------------------------------------------------------- judging

    def allowed(self, window: Window) -> float:
        """How far claim and measurement may be apart."""
        largest = max(abs(self.claimed), abs(window.numeric))
        return window.bar + SIGMAS * self.noise.slope + CLOSE * largest

    def agrees(self, window: Window, times: float = 1.0) -> bool:
        """Whether the claim lies within so many error bars."""
        return math.isfinite(self.claimed) and abs(self.claimed - window.numeric) <= times * self.allowed(window)

    def contradicts(self, window: Window) -> bool:
        """Whether the claim lies far outside of it, and no kink can be the reason."""
        return not window.kinky and not self.agrees(window, PLAINLY)

    def refuted(self, j: int) -> Window | None:
        """The window that contradicts the claim on three scales: here, one wider, and as deep as can be."""
        wide, here = self.windows.get(j - 1), self.windows[j]
        if wide is None or wide.differs(here, 1.0) or not (self.contradicts(wide) and self.contradicts(here)):
            return None
        gap = abs(self.claimed - here.numeric)
        deep = min(self.last, self.below(20.0 * here.level.noise * here.level.step / gap)) if gap < np.inf else j
        deepest = self.window(max(j, deep))
        if deepest is None or deepest.differs(here, 1.0) or not self.contradicts(deepest):
            return None
        return here

    def judge(self) -> Slope:
        """Narrow the step until the answer is plain, else weigh what all steps have shown."""
        if self.claimed == 0.0 and self.level(0).flat and self.level(1).flat:
            return Slope(0.0, 0.0, "ZERO", "f does not move")
        plain = self.narrowed()
        if plain is not None:
            return plain
        best = self.best()
        if best is not None and self.agrees(best) and best.level.noise > 0.1 * best.bar:
            for j in range(1, WIDEST + 1, -1):
                wider = self.window(j)
                if wider is None or wider.bar > best.bar:
                    break
                best = wider
        found = self.decided()
        if found.verdict in ("FAIL", "UNVERIFIABLE") and (best := self.best()) is not None:
            # Structure may be narrower than the last step: as deep as rounding lets us see.
            wanted = 0.1 * (abs(self.claimed - found.numeric) if found.verdict == "FAIL" else found.bar)
            smallest = max(64.0 * self.noise.eps * self.size, 1e-300)
            if best.level.noise < wanted < np.inf:
                deep = self.below(max(smallest, best.level.noise * best.level.step / wanted))
                for j in range(max(self.windows) + 1, deep + 1):
                    self.window(j)
                found = self.decided()
        return found

    def narrowed(self) -> Slope | None:
        """The answer, if some window gives it at once."""
        rungs = list(range(2, self.last + 1))
        if len(rungs) > 24:  # a tiny x: steps of the usual size, and of its own
            rungs = rungs[:8] + rungs[-12:]
            if not any(math.isfinite(self.level(j).largest) for j in (0, 1)):
                rungs = rungs[8:]
        least = np.inf
        for j in rungs:
            window = self.window(j)
            if window is None:
                continue
            largest = max(abs(self.claimed), abs(window.numeric))
            if self.agrees(window):
                if window.bar <= FINE * largest:
                    return Slope(window.numeric, window.bar, "OK")
                if self.claimed == 0.0 and window.bar <= 1e-9 * window.largest:
                    return Slope(window.numeric, window.bar, "ZERO", "the slope vanishes here")
            if (refuting := self.refuted(j)) is not None:
                return Slope(refuting.numeric, refuting.bar, "FAIL")
            if j >= 3 and window.kinky and (narrowest := self.window(self.last)) and narrowest.kinky:
                return None
            least = min(least, window.bar)
            if window.level.noise > 10.0 * least and window.bar < 5.0 * window.level.noise:
                return None
        return None

    def best(self) -> Window | None:
        """The window with the smallest bar, unless a narrower one contradicts it: there is structure near by."""
        best: Window | None = None
        for _, window in sorted(self.windows.items()):
            if best is None or window.bar < best.bar or window.differs(best, 2.0):
                best = window
        return best

    def decided(self) -> Slope:
        """The verdict by all windows together."""
        best = self.best()
        if best is None:
            finite = math.isfinite(self.claimed)
            return Slope(0.0, np.inf, "UNVERIFIABLE" if finite else "FAIL", "f is not finite on both sides")
        edge = next((window for window in self.narrowest() if window.kinky), best)
        zero = SIGMAS * self.noise.slope + best.bar
        agrees = self.agrees(best)
        coarse = best.bar > self.rtol * max(abs(self.claimed), abs(best.numeric))

        def slope(verdict: str, note: str = "") -> Slope:
            return Slope(best.numeric, best.bar, verdict, note, (edge.left, edge.right), edge.kinky)

        if agrees and not coarse:
            return slope("OK")
        if (sides := self.jump()) is not None:
            between = min(sides) <= self.claimed <= max(sides)
            return slope("KINK", "f jumps here") if between else slope("FAIL", "f jumps here")
        if (note := self.kink(best, coarse)) is not None:
            return slope("KINK", note)
        if self.claimed == 0.0 and self.vanishes():
            return slope("ZERO", "the slope vanishes here")
        if agrees and abs(self.claimed) <= zero:
            if self.claimed == 0.0 and best.largest == 0.0:
                return slope("ZERO", "f does not move")
            if best.bar <= CANCELLED * best.largest:
                return slope("ZERO", "the slope vanishes here")
            terms = self.noise.terms()
            if best.bar + abs(self.claimed) <= CANCELLED * terms:
                return slope("ZERO", f"terms up to {terms:.2g} cancel to {max(abs(self.claimed), abs(best.numeric)):.0e}")
        if not agrees and not (coarse and self.agrees(best, PLAINLY)):
            return slope("FAIL")
        rounding = best.level.noise * best.level.step
        if best.level.noise > 0.1 * best.bar:
            return slope("UNVERIFIABLE", f"f ({float(self.base):.3g}) rounds to {rounding:.0e}, its change is smaller")
        return slope("UNVERIFIABLE", "the differences settle at no step")

    def narrowest(self) -> list[Window]:
        """The three narrowest windows, the narrowest first."""
        return [self.windows[j] for j in sorted(self.windows)[:-4:-1]]

    def kink(self, best: Window, coarse: bool) -> str | None:
        """The two slopes, if they differ and the claimed one lies between them."""
        if not (best.kinky or coarse):
            return None
        for window in self.narrowest():
            sides = window.left, window.right
            slack = window.side + 1e-6 * max(map(abs, sides)) + SIGMAS * self.noise.slope
            if window.kinky and min(sides) - slack <= self.claimed <= max(sides) + slack:
                return f"{window.left:.4g} on the left, {window.right:.4g} on the right, {self.claimed:.4g} claimed"
        return None

    def jump(self) -> tuple[float, float] | None:
        """The least and the largest slope beside x, where the function itself jumps; else None."""
        levels = [self.levels[j] for j in sorted(self.levels)[-4:]]
        moved = [level.step * max(abs(level.left), abs(level.right)) for level in levels]
        if not moved[-1] >= 0.9 * moved[0] or not moved[-1] > 32.0 * levels[-1].noise * levels[-1].step:
            return None
        wide, narrow = (self.level(j) for j in (4, 5))
        apart = wide.step - narrow.step
        sides = [
            (a * wide.step - b * narrow.step) / apart
            for a, b in ((wide.left, narrow.left), (wide.right, narrow.right))
        ]
        slack = 1e-2 * max(map(abs, sides)) + 4.0 * wide.noise
        return min(sides) - slack, max(sides) + slack

    def vanishes(self) -> bool:
        """Whether the differences on both sides fall from step to step, like those of |x|^1.5."""
        steep = [max(abs(self.levels[j].left), abs(self.levels[j].right)) for j in sorted(self.levels)]
        return all(b <= 0.75 * a for a, b in pairwise(steep)) and steep[-1] <= 0.05 * steep[0]


def judge(at: Line, base: Any, claimed: float, size: float, rtol: float, noise: Noise) -> Slope:
    """Compare the claimed slope at 0 with differences.

    `at(h)` is the function's value after a step h, `base` the one before; `size` the largest |x| that
    moves. The claim is compared with the measured slope by its error bar; `rtol` is how well a slope
    must be known to count as verified.

        OK            the claim lies within the bar, and the bar below rtol
        ZERO          the slope is zero: f does not move, or only elsewhere, or its terms cancel
        KINK          the one-sided slopes differ, and the claimed one lies between them
        UNVERIFIABLE  the bar is wide, and the claim within it: rounding hides the answer
        FAIL          everything else
    """
    return Trial(at, base, float(claimed), size, rtol, noise).judge()


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
