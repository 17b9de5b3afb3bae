"""A function at a place: the gradient that it claims there, against differences of its values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Self

import numpy as np

from tinygrad_lo.checking.differences import EPS, SIGMAS, Noise, Slope, judge
from tinygrad_lo.checking.recording import OUTSIDE, length
from tinygrad_lo.checking.report import Index, Row
from tinygrad_lo.engine.graph import Array, T

SINGLES = 400  # elements of one array that are checked singly; the rest by one joint direction
CANCELS = 1e3  # a value that rounds like numbers so many times its size is a sum that cancelled
PARTED = 4  # how often the others step aside: some ways leave the kink as it is
ASIDE = 1e-4  # relative to max(1, |x|): how far from kinks that meet they part
PASSED = ("OK", "ZERO", "KINK")
REPEATS = 3  # of the gradients for their scatter
BROKEN_TIE = 1e-6  # more scatter than this share of the largest gradient is a tie that was broken
INPUT_MOVES = 2.0**-47  # relative steps: this one moves the inputs,
DEEP_MOVES = 2.0**-25  # and this one what is saturated inside as well
RESOLVED = 0.01  # scatter below this share of what the values change by is rounding, and no wave
EACH_SIDE = 9  # on each side; differences of order 4 to 6 leave nothing of a smooth function but its rounding
SPREAD = 3.0  # the size of rounded numbers, in scatters of the value over eps
ByLeaf = dict[Any, Array]  # arrays by name, or by leaf


@dataclass(frozen=True)
class Measured:
    """A function of some arrays at a place, and the gradient that it claims."""

    value: Callable[[ByLeaf], float]
    slopes: Callable[[ByLeaf], ByLeaf]  # the gradient that it claims at any place
    leaves: ByLeaf
    base: float  # the value at this place
    gradient: ByLeaf  # and what is claimed here
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
    def spread(self) -> ByLeaf:
        """How far rounding moves the claimed gradient."""
        again = partial(or_else, self.slopes, otherwise=self.gradient)
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
        size = max(self.size, length(self.gradient[name] * start))
        noise = Noise(self.eps, size, loose, lambda: self.terms(name, direction, x))

        def at(h: float) -> float:
            return or_else(self.value, {**self.leaves, name: start + h * direction}, np.nan)

        return judge(at, self.base, claimed, x, self.rtol, noise)

    def terms(self, name: Any, direction: Array, x: float) -> float:
        """The largest term that a slope is a sum of: of about the size of what is added up.

        A slope that rounding alone explains is zero beside it; any other that small may be right or wrong.
        """
        explained = abs(self.claimed(name, direction)) <= SIGMAS * float(self.spread[name].max())
        return self.size / max(1.0, x) if explained or self.size > CANCELS * abs(self.base) else 0.0

    def row(self, name: Any, title: str, index: Index, direction: Array) -> tuple[Row, Array, Slope]:
        """The row of a direction, and what it is made of."""
        claimed, slope = self.claimed(name, direction), self.along(name, direction)
        row = Row(title, index, claimed, slope.numeric, slope.bar, slope.verdict, note=slope.note)
        return row, direction, slope

    @np.errstate(all="ignore")
    def rows(self, name: str, rng: np.random.Generator) -> list[Row]:
        """A row for each element, of which a large array gives a sample, and one direction for the rest."""
        looks = [self.row(name, name, *look) for look in directions(self.gradient[name], rng)]
        for row, direction, slope in looks:
            if row.verdict == "FAIL" and slope.sides and self.kinks_meet(name, direction, slope.sides):
                row.verdict, row.note = "MEET", "kinks meet, and a step aside the claim is right"
        return [row for row, _, _ in looks]

    def kinks_meet(self, name: str, direction: Array, sides: tuple[float, float]) -> bool:
        """Whether the kink at x is one of several that meet, and the claim right a step aside.

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
        sides = self.asides
        return all(there is not None and there.along(name, direction).verdict in PASSED for there in sides)

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


def or_else(work: Callable[[ByLeaf], T], place: ByLeaf, otherwise: T) -> T:
    """What work gives at a place; otherwise, where the function is not defined there."""
    try:
        return work(place)
    except OUTSIDE:
        return otherwise


def directions(gradient: Array, rng: np.random.Generator) -> Iterator[tuple[Index, Array]]:
    """The index and direction of each element to look at alone, then a ±1 direction of all others.

    Beside an infinite slope no other is seen: the first of these are looked at alone as well.
    """
    shape, size, finite = gradient.shape, gradient.size, np.isfinite(gradient).ravel()
    single = every = np.arange(size)
    if size > SINGLES:  # one random element out of each of so many equal stretches
        edges = np.linspace(0, size, SINGLES + 1).astype(int)
        single = np.union1d(rng.integers(edges[:-1], edges[1:]), np.flatnonzero(~finite)[:SINGLES])
    for k in single.tolist():
        yield index_of(k, shape), direction_of(shape, k)
    rest = np.setdiff1d(every[finite], single)
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
    """Bisect to the elements that fail alone; a half whose joint direction agrees is not looked into."""
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


def rounding_scatter(
    slopes: Callable[[ByLeaf], ByLeaf], x: ByLeaf, gradient: ByLeaf, size: float, eps: float
) -> ByLeaf:
    """How far rounding moves the gradient: seen when x moves by a few units in its last place."""
    rng = np.random.default_rng(0)
    spread = {name: np.zeros(g.shape) for name, g in gradient.items()}
    for _ in range(REPEATS):
        other = slopes({k: data * (1.0 + eps * rng.integers(-3, 4, np.shape(data))) for k, data in x.items()})
        spread = {k: np.maximum(s, np.abs(other[k] - gradient[k])) for k, s in spread.items()}
    for name, g in gradient.items():  # what changes by more is no rounding, but a tie that was broken
        largest = np.abs(g).max(initial=0.0) + size / max(1.0, np.abs(x[name]).max(initial=0.0))
        rounding = spread[name] <= max(BROKEN_TIE, 16.0 * eps) * largest
        spread[name] = np.where(rounding, spread[name], 0.0)
    return spread


def size_of(value: Callable[[ByLeaf], float], x: ByLeaf) -> float:
    """The size of the numbers that a function without a graph adds up on the way to its value.

    Its values at x + k·d for a small d lie on a smooth curve but for their rounding: their differences of
    order k scatter by the root of (2k over k) times that (Hamming; ECNoise of Moré and Wild).
    """
    rng = np.random.default_rng(0)

    def noise(step: float, sign: float) -> float:
        d = {k: step * np.maximum(np.abs(a), 1e-3) * rng.choice([-1.0, 1.0], a.shape) for k, a in x.items()}
        places = ({k: a + sign * i * d[k] for k, a in x.items()} for i in range(1, EACH_SIDE + 1))
        values = np.array([value(place) for place in places])
        largest = float(np.abs(values).max()) or 1.0
        values /= largest  # of small and of large numbers squares are no numbers
        orders = [float(np.sqrt(np.mean(np.diff(values, k) ** 2) / math.comb(2 * k, k))) for k in (4, 5, 6)]
        # A wave that is slow enough falls with the order, and one that is too fast moves no less than it
        # scatters, as a kink does.
        wave = max(orders) > min(4.0 * min(orders), RESOLVED * float(np.ptp(values)))
        return 0.0 if step > INPUT_MOVES and wave else largest * min(orders)

    narrow, wide = ([noise(step, sign) for sign in (1.0, -1.0)] for step in (INPUT_MOVES, DEEP_MOVES))
    largest = max(min(narrow), *wide)  # a kink near by may lie on one side of x
    return SPREAD * largest / EPS if np.isfinite(largest) else 0.0
