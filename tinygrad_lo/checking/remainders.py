"""What a gradient leaves of a function along one direction, and how fast that shrinks with the step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from tinygrad_lo.engine.graph import Array

COUNTS = 8.0  # a remainder counts above so many times what rounding can do
FITTED = 6  # a slope is that of so many points, the smallest that count: there the first term left dominates
BENT = 1.0  # points between which the slope changes by more lie on two sides of a kink
SEEN_TO = 1e-4  # how well rounding must let a gradient be seen for the test to have shown something
NAMES = ("R0", "R1", "R2")
RIGHT, ROUNDING, FLAT, WRONG, KINK, UNSEEN = "right", "right, rounding", "flat", "WRONG", "kink", "unseen"


class Fit(NamedTuple):
    """A straight line through the smallest remainders that count, in logarithms."""

    slope: float
    points: int
    last: int  # the number of the smallest step that counts
    first: int
    fell: bool  # below it the remainder fell into rounding at once, as no power below 2 does


@dataclass(frozen=True)
class Along:
    """The remainders of f along one direction at halved steps."""

    name: str  # what moves
    steps: Array
    remainders: list[Array]  # R0 and R1, and where f has a second derivative R2
    rounding: Array  # what rounding can do at each step
    claimed: float  # g·v
    sides: Callable[[int], tuple[float, float]]  # the slopes of f ahead and behind, with the step of a number

    @cached_property
    def fits(self) -> list[Fit | None]:
        """The slope of each remainder; None where it is all rounding."""
        return [line_through(self.steps, r, COUNTS * self.rounding) for r in self.remainders]

    @cached_property
    def known(self) -> float:
        """How well g·v is seen to be right: the least of R1 or rounding over h, relative to f's steepness."""
        counted = self.remainders[0] > COUNTS * self.rounding
        secants = (self.remainders[0] / self.steps)[counted]
        steep = max(abs(self.claimed), float(secants.max(initial=0.0)))
        off = float((np.maximum(self.remainders[1], COUNTS * self.rounding) / self.steps).min())
        return off / steep if steep else np.inf

    @cached_property
    def verdict(self) -> str:
        """What the slope of R1 says of the gradient along this direction."""
        fit = self.fits[1]
        if fit is not None and fit.slope < 1.5 and not fit.fell:
            return self.contradicted(fit)
        if self.claimed == 0.0 and not self.remainders[0].any():
            return FLAT
        if not self.known < SEEN_TO:
            return UNSEEN
        return ROUNDING if fit is None or fit.fell else RIGHT

    def contradicted(self, fit: Fit) -> str:
        """Wrong, unless f is a staircase of coarse numbers, or its slopes ahead and behind differ."""
        whole, rest = self.remainders[:2]
        if whole[fit.last] == 0.0 and (rest < 0.1 * whole).any():
            return UNSEEN  # f stands still, and else the claim is good
        ahead, behind = self.sides(fit.last)
        off = max(abs(ahead - self.claimed), abs(behind - self.claimed))
        return KINK if 2.0 * abs(ahead - behind) > off else WRONG

    @property
    def true(self) -> float:
        """The measured slope, where the claimed one is wrong."""
        fit = self.fits[1]
        assert fit is not None
        ahead, behind = self.sides(fit.first)
        return (ahead + behind) / 2.0

    @property
    def ok(self) -> bool:
        """Whether the gradient is right along this direction."""
        return self.verdict in (RIGHT, ROUNDING, FLAT)

    @property
    def power(self) -> int | None:
        """With which power of the step R2 falls, where R1 is right: 3 if the second derivative is, too."""
        fit = self.fits[2] if self.verdict == RIGHT and len(self.fits) > 2 else None
        return None if fit is None or fit.fell else round(fit.slope)

    @property
    def facts(self) -> dict[str, str]:
        """The direction as plain data."""
        return dict(zip(("along", *NAMES, "known", "verdict"), self.cells, strict=True))

    @property
    def cells(self) -> tuple[str, ...]:
        """The direction as a row of the table."""
        fits = [*self.fits, None][:3]
        slopes = ["-" if fit is None else f"{fit.slope:.2f} ({fit.points})" for fit in fits]
        if self.verdict == ROUNDING:
            slopes[1:] = "rounding", "-"
        return self.name, *slopes, f"{self.known:.0e}" if self.ok and self.known < 1 else "-", self.verdict


def line_through(steps: Array, remainders: Array, least: Array) -> Fit | None:
    """The slope of log R against log h over the smallest steps at which R is above `least`."""
    counted = np.isfinite(remainders) & (remainders > least)
    pairs = np.flatnonzero(counted[1:] & counted[:-1])
    if not pairs.size:
        return None
    last = int(pairs[-1]) + 1
    stretch = np.flatnonzero(~counted[:last])
    first = max(last - FITTED + 1, int(stretch[-1]) + 1 if stretch.size else 0)
    x, y = np.log2(steps), np.log2(np.where(counted, remainders, 1.0))
    while last - first > 1 and np.ptp(np.diff(y[first : last + 1])) > BENT:
        first += 1
    slope = float(np.polyfit(x[first : last + 1], y[first : last + 1], 1)[0])
    fell = bool(remainders[last] > 4.0 * least[last] and last + 1 < len(steps))
    return Fit(slope, last - first + 1, last, first, fell)
