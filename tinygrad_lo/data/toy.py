"""Toy data in the plane, two or more classes, and noisy curves: what toy models are trained on."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Array
from tinygrad_lo.engine.machine.random import generator
from tinygrad_lo.errors import OptionError, ShapeError
from tinygrad_lo.options import number, pair, public, whole


@public
def two_moons(n: int, *, noise: float = 0.1, rng: Any = None) -> tuple[Array, Array]:
    """Two half circles that reach into each other: no straight line separates them.

        class 0: (cos φ, sin φ),  class 1: (1 − cos φ, 1/2 − sin φ),  φ in [0, π]

    Raises:   OptionError: n < 2, noise negative or not finite, rng no generator.
    Source:   the shape of scikit-learn's make_moons, whose angles are evenly spaced; here drawn.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> np.bincount(lo.data.two_moons(100, noise=0.0, rng=0)[1])
        array([50, 50])
    """

    def place(k: int, rng: np.random.Generator, count: int) -> Array:
        angle = rng.uniform(0.0, math.pi, count)
        x, y = np.cos(angle), np.sin(angle)
        return np.stack([x, y] if k == 0 else [1.0 - x, 0.5 - y], axis=1)

    return sample("two_moons", n, 2, place, noise, rng)


@public
def spirals(n: int, *, classes: int = 2, noise: float = 0.03, rng: Any = None) -> tuple[Array, Array]:
    """Arms that wind around each other once: hard for small models.

        class k: r (cos φ, sin φ),  φ = 2π (r + k / classes),  r in [0.1, 1]

    Raises:   OptionError: classes < 2, n < classes, noise negative or not finite, rng no generator.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> np.bincount(lo.data.spirals(90, classes=3)[1])
        array([30, 30, 30])
    """
    count_of = whole("spirals", "classes", classes, 2)

    def place(k: int, rng: np.random.Generator, count: int) -> Array:
        radius = rng.uniform(0.1, 1.0, count)
        angle = 2.0 * math.pi * (radius + k / count_of)
        return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)

    return sample("spirals", n, count_of, place, noise, rng)


@public
def circles(n: int, *, noise: float = 0.05, rng: Any = None) -> tuple[Array, Array]:
    """A circle of radius 1/2 inside a circle of radius 1: separable by the distance from the middle.

        class 0: (cos φ, sin φ),  class 1: 1/2 (cos φ, sin φ),  φ in [0, 2π]

    Raises:   OptionError: n < 2, noise negative or not finite, rng no generator.
    Source:   the shape of scikit-learn's make_circles with factor 1/2.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> X, y = lo.data.circles(100, noise=0.0)
        >>> bool(np.allclose(np.hypot(*X.T), np.where(y == 0, 1.0, 0.5)))
        True
    """

    def place(k: int, rng: np.random.Generator, count: int) -> Array:
        angle = rng.uniform(0.0, 2.0 * math.pi, count)
        return (1.0 if k == 0 else 0.5) * np.stack([np.cos(angle), np.sin(angle)], axis=1)

    return sample("circles", n, 2, place, noise, rng)


@public
def blobs(n: int, *, classes: int = 3, spread: float = 0.3, rng: Any = None) -> tuple[Array, Array]:
    """Round clouds whose centers stand on a circle, neighbours 2 apart: easy for a linear classifier.

        class k: center_k + spread · normal,  center_k = (cos φ, sin φ) / sin(π / classes),
        φ = 2π k / classes

    Raises:   OptionError: classes < 2, n < classes, spread negative or not finite, rng no generator.
    Example:
        >>> import tinygrad_lo as lo
        >>> X, y = lo.data.blobs(4, classes=2, spread=0.0, rng=0)
        >>> X[y == 0].round(9).tolist()
        [[1.0, 0.0], [1.0, 0.0]]
    """
    count_of = whole("blobs", "classes", classes, 2)
    scale = number("blobs", "spread", spread, at_least=0.0)

    def place(k: int, rng: np.random.Generator, count: int) -> Array:
        angle = 2.0 * math.pi * k / count_of
        center = np.array([math.cos(angle), math.sin(angle)]) / math.sin(math.pi / count_of)
        return np.tile(center, (count, 1))

    return sample("blobs", n, count_of, place, scale, rng)


@public
def xor(n: int, *, noise: float = 0.1, rng: Any = None) -> tuple[Array, Array]:
    """The four quarters of a square, opposite ones alike: what no linear classifier can do.

        class 0: x₁ x₂ > 0,  class 1: x₁ x₂ < 0,  before the noise; x in [−1, 1]²

    Raises:   OptionError: n < 2, noise negative or not finite, rng no generator.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> X, y = lo.data.xor(100, noise=0.0, rng=0)
        >>> bool(np.all((X[:, 0] * X[:, 1] < 0) == (y == 1)))
        True
    """

    def place(k: int, rng: np.random.Generator, count: int) -> Array:
        first = rng.uniform(-1.0, 1.0, count)
        # The second coordinate has the sign of the first one, or the other; on the border, by chance of -0.
        return np.stack([first, np.copysign(rng.uniform(0.0, 1.0, count), first * (1 - 2 * k))], axis=1)

    return sample("xor", n, 2, place, noise, rng)


@public
def noisy_curve(
    n: int, *, function: Callable[[Array], Array] = np.sin,
    interval: tuple[float, float] = (-math.pi, math.pi), noise: float = 0.1, rng: Any = None,
) -> tuple[Array, Array]:  # fmt: skip
    """Points of a curve with noise on their height: data for regression. The curve is the sine.

        y = function(x) + noise · normal,  x uniform in the interval

    Shapes:   x (n, 1), y (n, 1), float64: columns, as a model with one input and one output has them.
    Raises:   OptionError: n < 1, noise negative or not finite, interval not rising, rng no generator.
              ShapeError: the function gives another shape than it is given.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> x, y = lo.data.noisy_curve(5, function=np.square, noise=0.0, rng=0)
        >>> y.shape, bool((y == x * x).all())
        ((5, 1), True)
    """
    who = "noisy_curve"
    count = whole(who, "n", n, 1)
    scale = number(who, "noise", noise, at_least=0.0)
    if not callable(function):
        raise OptionError(f"{who}: function must be a function of an array, got {function!r}")
    low, high = pair(who, "interval", interval)
    if not low < high:
        raise OptionError(f"{who}: interval must be (low, high) with low < high, got {interval!r}")
    source = generator(rng)
    x = source.uniform(low, high, (count, 1))
    y = np.asarray(function(x.copy()), np.float64)
    if y.shape != x.shape:
        raise ShapeError(f"{who}: the function gave shape {y.shape} for x of shape {x.shape}")
    return x, y + scale * source.standard_normal(x.shape)


Place = Callable[[int, np.random.Generator, int], Array]  # (class, generator, how many) -> points


def sample(who: str, n: Any, classes: int, place: Place, noise: Any, rng: Any) -> tuple[Array, Array]:
    """Points of every class, as many of each as possible, with noise, shuffled."""
    count = whole(who, "n", n, classes)
    scale = number(who, "noise", noise, at_least=0.0)
    source = generator(rng)
    y = np.arange(count, dtype=np.int64) % classes
    X = np.empty((count, 2))
    for k, members in enumerate(np.bincount(y)):
        X[y == k] = place(k, source, int(members))
    X += scale * source.standard_normal(X.shape)
    order = source.permutation(count)
    return X[order], y[order]
