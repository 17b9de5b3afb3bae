"""A function at a place: the gradient that it claims there, against differences of its values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from tinygrad_lo.checking.differences import SIGMAS, Slope, judge
from tinygrad_lo.checking.recording import OUTSIDE
from tinygrad_lo.checking.report import Index, Row
from tinygrad_lo.checking.rounding import EPS, Named, Noise, rounding_scatter, size_of
from tinygrad_lo.engine.graph import Array, T

SINGLES = 400  # elements of one array that are checked singly; the rest by one joint direction
CANCELS = 1e3  # a value that rounds like numbers so many times its size is a sum that cancelled
PARTED = 4  # how often the others step aside: some ways leave the kink as it is
ASIDE = 1e-4  # relative to max(1, |x|): how far from kinks that meet they part
PASSED = ("OK", "ZERO", "KINK")


@dataclass(frozen=True)
class Measured:
    """A function of some arrays at a place, and the gradient that it claims.

    Attributes:
        value: the function.
        slopes: the gradient that it claims at any place.
        leaves, base, gradient: the place, the value, and the claimed gradient there.
    """

    value: Callable[[Named], float]
    slopes: Callable[[Named], Named]
    leaves: Named
    base: float
    gradient: Named
    rtol: float

    @property
    def eps(self) -> float:
        """The rounding of the arithmetic."""
        return EPS

    @cached_property
    def size(self) -> float:
        """The size of what is added up on the way to the value, as far as its rounding shows it."""
        return max(size_of(self.value, self.leaves), abs(self.base))

    @cached_property
    def spread(self) -> Named:
        """How far rounding moves the claimed gradient."""

        def again(place: Named) -> Named:
            return unless_outside(self.slopes, place, self.gradient)

        return rounding_scatter(again, self.leaves, self.gradient, self.size, self.eps)

    def claimed(self, name: Any, direction: Array) -> float:
        """The slope by one leaf along a direction, as claimed."""
        moved = direction != 0  # elsewhere an inf would make 0 · inf
        return float((self.gradient[name][moved] * direction[moved]).sum())

    def along(self, name: Any, direction: Array) -> Slope:
        """The slope by one leaf along a direction, by differences."""
        start, moved, claimed = self.leaves[name], direction != 0, self.claimed(name, direction)
        x = float(np.abs(start[moved]).max())
        loose = float((self.spread[name] * np.abs(direction)).sum())
        size = max(self.size, float(np.linalg.norm(self.gradient[name] * start)))

        def at(h: float) -> float:
            return unless_outside(self.value, {**self.leaves, name: start + h * direction}, np.nan)

        noise = Noise(self.eps, size, loose, lambda: self.terms(name, direction, x))
        return judge(at, self.base, claimed, x, self.rtol, noise)

    def terms(self, name: Any, direction: Array, x: float) -> float:
        """The largest term that a slope is a sum of.

        What is added up has slopes of about its size. A slope that rounding alone explains is zero beside
        them; any other one that small may be right or wrong.
        """
        explained = abs(self.claimed(name, direction)) <= SIGMAS * float(self.spread[name].max())
        return self.size / max(1.0, x) if explained or self.size > CANCELS * abs(self.base) else 0.0

    def row(self, name: Any, title: str, index: Index, direction: Array) -> tuple[Row, Array, Slope]:
        """The row of a direction, that direction, and the slope."""
        slope = self.along(name, direction)
        return Row.of(title, index, self.claimed(name, direction), slope), direction, slope

    def rows(self, name: str, rng: np.random.Generator) -> list[Row]:
        """A row for each element, of which a large array gives a sample, and one direction for the rest."""
        looks = [self.row(name, name, *look) for look in directions(self.leaves[name].shape, rng)]
        for row, direction, slope in looks:
            if row.verdict == "FAIL" and slope.sides and self.kinks_meet(name, direction, slope.sides):
                row.verdict, row.note = "MEET", "kinks meet, and a step aside the claim is right"
        return [row for row, _, _ in looks]

    def kinks_meet(self, name: str, direction: Array, sides: tuple[float, float]) -> bool:
        """Whether the kink at x is one of several that meet, and the claim right a step aside.

        A rule sees one kink at a time, so that the slopes it picks need not add up to one on either side.
        Such kinks part when the other numbers step aside. Some never do, ties of what was clipped; so a
        claim outside by less than the kink's own jump is doubted, and not called wrong.
        """
        low, high = sorted(sides)
        if not 2.0 * low - high <= self.claimed(name, direction) <= 2.0 * high - low:
            others = [self.beside(seed, {name: direction != 0}) for seed in range(PARTED)]
            kinks = [there.along(name, direction).sides for there in others if there is not None]
            loose = 1e-2 * max(abs(low), abs(high))
            if all(kink is not None and np.allclose(kink, sides, rtol=1e-2, atol=loose) for kink in kinks):
                return False
        return self.right_aside(name, direction)

    def right_aside(self, name: Any, direction: Array) -> bool:
        """Whether the claim is right at both places a step aside."""
        return all(
            there is not None and there.along(name, direction).verdict in PASSED for there in self.asides
        )

    @cached_property
    def asides(self) -> list[Self | None]:
        """Two places a step aside."""
        return [self.beside(seed, {}) for seed in range(2)]

    def beside(self, seed: int, fixed: dict[Any, Array]) -> Self | None:
        """The function a step aside, but for what is fixed; None where it is not defined there."""
        rng, leaves = np.random.default_rng(seed), {}
        for name, x in self.leaves.items():
            step = ASIDE * np.maximum(1.0, np.abs(x)) * rng.uniform(-1.0, 1.0, x.shape)
            leaves[name] = x + np.where(fixed.get(name, False), 0.0, step)
        try:
            return replace(self, leaves=leaves, base=self.value(leaves), gradient=self.slopes(leaves))
        except OUTSIDE:
            return None


def unless_outside(work: Callable[[Named], T], place: Named, otherwise: T) -> T:
    """What work gives at a place; otherwise, where the function is not defined there."""
    try:
        return work(place)
    except OUTSIDE:
        return otherwise


def directions(shape: tuple[int, ...], rng: np.random.Generator) -> Iterator[tuple[Index, Array]]:
    """The index and direction of each element to look at alone, then a ±1 direction of all others.

    Of a large array, one random element out of each of SINGLES equal stretches is looked at alone.
    """
    size = int(np.prod(shape))
    single = every = np.arange(size)
    if size > SINGLES:
        edges = np.linspace(0, size, SINGLES + 1).astype(int)
        single = rng.integers(edges[:-1], edges[1:])
    for k in single.tolist():
        yield index_of(k, shape), direction_of(shape, k)
    rest = np.setdiff1d(every, single)
    if rest.size:
        signs = rng.choice([-1.0, 1.0], rest.size)
        yield f"along a ±1 direction of the other {rest.size}", direction_of(shape, rest, signs)


def index_of(k: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The index of the element that is number k of the flat array."""
    return tuple(int(n) for n in np.unravel_index(k, shape))


def direction_of(shape: tuple[int, ...], some: Array, steps: Array = 1.0) -> Array:
    """The direction that moves some elements of the flat array, and no others."""
    direction = np.zeros(shape)
    direction.flat[some] = steps
    return direction


def wrong_ones(verdict: Callable[[Array], str], indices: Array, limit: int) -> list[int]:
    """Bisect to the elements that fail alone: `verdict(indices)` is the one along all of them.

    A half whose joint direction agrees is not looked into: log2(n) checks for each wrong element.
    """
    wrong: list[int] = []
    waiting = [indices]
    while waiting and len(wrong) < limit:
        some = waiting.pop()
        if verdict(some) != "FAIL":
            continue
        if some.size == 1:
            wrong.append(int(some[0]))
        else:
            waiting += [some[some.size // 2 :], some[: some.size // 2]]
    return wrong
