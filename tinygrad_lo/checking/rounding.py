"""How far rounding can move values and gradients, seen when their inputs move by units in the last place."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinygrad_lo.engine.graph import Array

REPEATS = 3  # of the gradients for their scatter
BROKEN_TIE = 1e-6  # more scatter than this share of the largest gradient is a tie that was broken
INPUT_MOVES = 2.0**-47  # relative steps: this one moves the inputs,
DEEP_MOVES = 2.0**-25  # and this one what is saturated inside as well
RESOLVED = 0.01  # scatter below this share of what the values change by is rounding, and no wave
EACH_SIDE = 9  # on each side; differences of order 4 to 6 leave nothing of a smooth function but its rounding
SPREAD = 3.0  # the size of rounded numbers, in scatters of the value over eps
EPS = 2.0**-52


@dataclass(frozen=True)
class Noise:
    """What rounding alone can do.

    Attributes:
        eps: the rounding of the arithmetic.
        size: of all that was added up on the way to the value; eps times it is the value's rounding.
        slope: how far the claimed slope can be off.
        terms: the largest term that the slope is a sum of, asked for only where the slope seems zero.
    """

    eps: float
    size: float
    slope: float = 0.0
    terms: Callable[[], float] = lambda: 0.0


def rounding_scatter(
    again: Callable[[list[Array]], list[Array]],
    x: list[Array],
    gradients: list[Array],
    size: float,
    eps: float,
) -> list[Array]:
    """How far rounding moves each element of the `gradients` at x.

    Seen when x moves by a few units in its last place. What changes by more is no rounding, but a tie that
    was broken: `size`, the root of the sum of squares of all terms, says how much rounding can be.
    """
    rng = np.random.default_rng(0)
    spread = [np.zeros(g.shape) for g in gradients]
    for _ in range(REPEATS):
        other = again([data * (1.0 + eps * rng.integers(-3, 4, np.shape(data))) for data in x])
        spread = [np.maximum(s, np.abs(a - g)) for s, a, g in zip(spread, other, gradients, strict=True)]
    most = [
        max(BROKEN_TIE, 16.0 * eps)
        * (np.abs(g).max(initial=0.0) + size / max(1.0, np.abs(data).max(initial=0.0)))
        for g, data in zip(gradients, x, strict=True)
    ]
    return [np.where(s <= limit, s, 0.0) for s, limit in zip(spread, most, strict=True)]


def size_of(value: Callable[[list[Array]], float], x: list[Array]) -> float:
    """The size of the numbers that a function without a graph adds up on the way to its value.

    Its values at x + k·d for a small d lie on a smooth curve but for their rounding: their differences of
    order k scatter by the root of (2k over k) times that (Hamming; ECNoise of Moré and Wild).
    """
    rng = np.random.default_rng(0)

    def noise(step: float, sign: float) -> float:
        d = [step * np.maximum(np.abs(data), 1e-3) * rng.choice([-1.0, 1.0], data.shape) for data in x]
        values = [
            value([data + sign * k * part for data, part in zip(x, d, strict=True)])
            for k in range(1, EACH_SIDE + 1)
        ]
        orders = [float(np.sqrt(np.mean(np.diff(values, k) ** 2) / math.comb(2 * k, k))) for k in (4, 5, 6)]
        # A wave that is slow enough falls with the order, and one that is too fast moves no less than it
        # scatters, as a kink does.
        wave = max(orders) > min(4.0 * min(orders), RESOLVED * float(np.ptp(values)))
        return 0.0 if step > INPUT_MOVES and wave else min(orders)

    narrow, wide = ([noise(step, sign) for sign in (1.0, -1.0)] for step in (INPUT_MOVES, DEEP_MOVES))
    largest = max(min(narrow), *wide)  # a kink near by may lie on one side of x
    return SPREAD * largest / EPS if np.isfinite(largest) else 0.0
