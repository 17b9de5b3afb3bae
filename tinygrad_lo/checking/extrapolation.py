"""Differences at several steps, extrapolated to the step 0, with what they may be off."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

JUMP = 3.0  # one-sided slopes differ if by so many times what they are uncertain by


class Level(NamedTuple):
    """The differences with one step, and what rounding does to them."""

    step: float
    left: float
    right: float
    central: float
    noise: float


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
    """The slope at the step 0: of a series in h² where f is smooth, in h where its curvature jumps."""
    step, lefts, rights, centrals, noises = (list(column) for column in zip(*levels, strict=True))
    numeric, off = min(limit(centrals, 16.0), limit(centrals, 4.0), key=lambda found: found[1])
    (left, left_off), (right, right_off) = limit(lefts, 4.0), limit(rights, 4.0)
    noise, apart = noises[-1], abs(right - left)
    slack = left_off + right_off + 3.0 * noise
    bar = off + noise + 0.5 * max(0.0, apart - 3.0 * noise)  # a kink nearer than h moves by half its jump
    largest = max(map(abs, lefts + rights + centrals))
    return Window(numeric, bar, noise, step[-1], (left, right), apart > JUMP * slack, slack, largest)
