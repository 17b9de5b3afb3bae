"""How far rounding can move values and gradients, seen when their inputs move by units in the last place."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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
Named = dict[Any, Array]  # arrays by name, or by leaf


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
    slopes: Callable[[Named], Named], x: Named, gradient: Named, size: float, eps: float
) -> Named:
    """How far rounding moves each element of the gradient at x.

    Seen when x moves by a few units in its last place. What changes by more is no rounding, but a tie that
    was broken: `size`, the root of the sum of squares of all terms, says how much rounding can be.
    """
    rng = np.random.default_rng(0)
    spread = {name: np.zeros(g.shape) for name, g in gradient.items()}
    for _ in range(REPEATS):
        other = slopes({k: data * (1.0 + eps * rng.integers(-3, 4, np.shape(data))) for k, data in x.items()})
        spread = {k: np.maximum(s, np.abs(other[k] - gradient[k])) for k, s in spread.items()}
    for name, g in gradient.items():
        largest = np.abs(g).max(initial=0.0) + size / max(1.0, np.abs(x[name]).max(initial=0.0))
        rounding = spread[name] <= max(BROKEN_TIE, 16.0 * eps) * largest
        spread[name] = np.where(rounding, spread[name], 0.0)
    return spread


def size_of(value: Callable[[Named], float], x: Named) -> float:
    """The size of the numbers that a function without a graph adds up on the way to its value.

    Its values at x + k·d for a small d lie on a smooth curve but for their rounding: their differences of
    order k scatter by the root of (2k over k) times that (Hamming; ECNoise of Moré and Wild).
    """
    rng = np.random.default_rng(0)

    def noise(step: float, sign: float) -> float:
        d = {
            name: step * np.maximum(np.abs(data), 1e-3) * rng.choice([-1.0, 1.0], data.shape)
            for name, data in x.items()
        }
        values = [
            value({name: data + sign * k * d[name] for name, data in x.items()})
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
