"""Derivatives of a function without a graph: its own claims against differences of its values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tinygrad_lo.checking.differences import SIGMAS, Slope, judge
from tinygrad_lo.checking.elements import Index, directions
from tinygrad_lo.checking.report import Row
from tinygrad_lo.checking.rounding import EPS, Noise, rounding_scatter, size_of
from tinygrad_lo.checking.student import Leaves
from tinygrad_lo.engine.graph import Array
from tinygrad_lo.errors import LoError

CANCELS = 1e3  # a value that rounds like numbers so many times its size is a sum that cancelled
PARTED = 4  # how often the others step aside: some ways leave the kink as it is
ASIDE = 1e-4  # relative to max(1, |x|): how far from kinks that meet they part


@dataclass(frozen=True)
class Measured:
    """A function of named arrays, at a place, and the gradient that it claims.

    Attributes:
        value: the function.
        slopes: the gradient that it claims at any place.
        leaves, base, gradient: the place, the value, and the claimed gradient there.
    """

    value: Callable[[Leaves], float]
    slopes: Callable[[Leaves], Leaves]
    leaves: Leaves
    base: float
    gradient: Leaves
    rtol: float

    @cached_property
    def size(self) -> float:
        """The size of what is added up on the way to the value, as far as its rounding shows it."""
        return size_of(lambda x: self.value(self.named(x)), list(self.leaves.values()))

    @cached_property
    def spread(self) -> Leaves:
        """How far rounding moves the claimed gradient."""
        found = list(self.gradient.values())

        def again(x: list[Array]) -> list[Array]:
            try:
                return list(self.slopes(self.named(x)).values())
            except LoError:
                return found

        size = max(self.size, abs(self.base))
        return self.named(rounding_scatter(again, list(self.leaves.values()), found, size, EPS))

    def named(self, arrays: list[Array]) -> Leaves:
        """Arrays by the names of the leaves."""
        return dict(zip(self.leaves, arrays, strict=True))

    def along(self, name: str, direction: Array) -> Slope:
        """The slope by one leaf along a direction, as claimed and by differences."""
        start, g = self.leaves[name], self.gradient[name]
        moved = direction != 0
        claimed = float((g[moved] * direction[moved]).sum())
        x = float(np.abs(start[moved]).max())
        loose = float((self.spread[name] * np.abs(direction)).sum())
        size = max(self.size, abs(self.base), float(np.linalg.norm(g * start)))
        # What is added up has slopes of about its size. A slope that rounding alone explains is zero
        # beside them; any other one that small may be right or wrong.
        rounded = abs(claimed) <= SIGMAS * float(self.spread[name].max()) or self.size > CANCELS * abs(
            self.base
        )
        noise = Noise(EPS, size, loose, lambda: size / max(1.0, x) if rounded else 0.0)
        return judge(
            lambda h: self.value({**self.leaves, name: start + h * direction}),
            self.base,
            claimed,
            x,
            self.rtol,
            noise,
        )

    def meets(self, name: str, direction: Array, found: Slope, rng: np.random.Generator) -> bool:
        """Whether the kink at x is one of several that meet, and the claim right a step aside.

        A rule sees one kink at a time, so that the slopes it picks need not add up to one on either side.
        Such kinks part when the other numbers step aside. Some never do, ties of what was clipped; so a
        claim outside by less than the kink's own jump is doubted, and not called wrong.
        """
        assert found.sides is not None
        low, high = sorted(found.sides)
        claimed = float((self.gradient[name] * direction).sum())
        if not 2.0 * low - high <= claimed <= 2.0 * high - low:
            others = [self.beside(rng, {name: direction != 0}) for _ in range(PARTED)]
            kinks = [there.along(name, direction).sides for there in others if there is not None]
            if all(same_kink(kink, found.sides) for kink in kinks):
                return False
        asides = [self.beside(rng, {}) for _ in range(2)]
        return all(
            there is not None and there.along(name, direction).verdict in ("OK", "ZERO", "KINK")
            for there in asides
        )

    def beside(self, rng: np.random.Generator, fixed: dict[str, Array]) -> Measured | None:
        """The function a step aside, but for what is fixed; None where it is not defined there."""
        leaves = {
            name: x
            + np.where(
                fixed.get(name, False),
                0.0,
                ASIDE * np.maximum(1.0, np.abs(x)) * rng.uniform(-1.0, 1.0, x.shape),
            )
            for name, x in self.leaves.items()
        }
        try:
            return replace(self, leaves=leaves, base=self.value(leaves), gradient=self.slopes(leaves))
        except LoError:
            return None

    def rows(self, name: str, rng: np.random.Generator) -> list[Row]:
        """A row for each element, of which a large array gives a sample, and one direction for the rest."""

        def row(index: Index, direction: Array) -> Row:
            claimed = float((self.gradient[name] * direction).sum())
            slope = self.along(name, direction)
            if slope.verdict == "FAIL" and slope.sides and self.meets(name, direction, slope, rng):
                slope = replace(slope, verdict="MEET", note="kinks meet, and a step aside the claim is right")
            return Row.of(name, index, claimed, slope)

        return [row(*look) for look in directions(self.leaves[name].shape, rng)]


def same_kink(sides: tuple[float, float] | None, others: tuple[float, float] | None) -> bool:
    """Whether two places have the same slopes on the left and on the right."""
    if sides is None or others is None:
        return sides is others
    return bool(np.allclose(sides, others, rtol=1e-2, atol=1e-2 * max(map(abs, others))))
