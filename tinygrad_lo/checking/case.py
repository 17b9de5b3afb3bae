"""One array's gradient by a student's function at one point, and what else is known of that function."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinygrad_lo.checking.diagnosis import CLOSE, Cause, close
from tinygrad_lo.checking.student import (
    Change,
    Leaves,
    calling,
    gradient_of,
    loss_and_gradient,
    position_of,
    reads,
    rebuilt,
    rewired,
)
from tinygrad_lo.engine.graph import Array

STEP = 1e-5  # where the error of the formula, h², meets the rounding of the loss, eps/h
FIT = 1e-5  # how well gradients must agree to be the same, of the element and of 1 % of the largest


@dataclass(frozen=True)
class Student:
    """A student's function of the leaves of x, called quietly."""

    who: str
    fn: Callable[[Any], Any]
    x: Any

    def __call__(self, leaves: Leaves) -> tuple[float, Leaves]:
        """The loss and its gradient."""
        loss, gradient = self.pair(leaves)
        return loss, gradient_of(self.who, self.x, leaves, gradient)

    def loss(self, leaves: Leaves) -> float:
        """The loss alone, which may be nan beyond its domain."""
        return self.pair(leaves)[0]

    def pair(self, leaves: Leaves) -> tuple[float, Any]:
        """The loss, and what the function calls its gradient."""
        with calling():
            loss, gradient = loss_and_gradient(self.who, self.fn(rebuilt(self.x, leaves)))
        return position_of(self.who, "the loss near x", loss, finite=False), gradient

    def otherwise(self, change: Change) -> Student:
        """The same function with change(a) for every array that it reads from outside."""
        return replace(self, fn=rewired(self.fn, change))

    def without_data(self) -> Student:
        """The same function, its data 0: X, so that X @ W is 0. Labels stay, and weights of samples."""
        least = 2 if any(a.ndim > 1 and is_data(a) for a in reads(self.fn)) else 1
        return self.otherwise(lambda a: np.zeros_like(a) if is_data(a) and a.ndim >= least else a)


@dataclass(frozen=True)
class Seen:
    """The gradient by one array at one point: the student's, and the right one."""

    yours: Array
    right: Array
    wrong: Array
    x: Array


@dataclass(frozen=True)
class Scores:
    """What an array is turned into by data, z = rows @ W + b, and the way back of a gradient.

    rows is None where the array is z itself, and all ones where it is b; flipped where z = rows @ W.T.
    """

    z: Array
    rows: Array | None = None
    flipped: bool = False

    def back(self, g: Array, shape: tuple[int, ...]) -> Array:
        """The gradient by the array, for one by z."""
        if self.rows is None:
            return g
        found = self.rows.T @ g
        return (found.T if self.flipped else found).reshape(shape)


def measured(student: Student, leaves: Leaves, name: str, places: Sequence[Any] | None = None) -> Seen:
    """Both gradients by one array, the right one by central differences; only at some places if given."""
    x = leaves[name]
    right = np.zeros(x.shape)
    for place in np.ndindex(x.shape) if places is None else places:
        h = STEP * max(1.0, abs(float(x[place])))
        above, below = np.array(x), np.array(x)
        above[place], below[place] = x[place] + h, x[place] - h
        change = student.loss({**leaves, name: above}) - student.loss({**leaves, name: below})
        right[place] = change / (above[place] - below[place])
    yours = student(leaves)[1][name]
    if places is not None:
        at = tuple(np.array(places).T)
        yours, right, x = yours[at], right[at], x[at]
    return Seen(yours, right, ~same_numbers(yours, right), x)


def nearby(student: Student, leaves: Leaves) -> Iterator[Leaves]:
    """A second point, each element moved by up to a tenth of itself, or less where the domain ends."""
    rng = np.random.default_rng(1)
    for far in (0.1, 0.02, 0.004):
        moved = {}
        for name, data in leaves.items():
            size = np.where(data == 0.0, np.abs(data).max(initial=0.0) or 1.0, np.abs(data))
            moved[name] = np.asarray(data + far * size * rng.uniform(-1.0, 1.0, data.shape))
        try:
            finite = np.isfinite(student.loss(moved))
        except Exception:  # beyond its domain a student's function may raise what it likes
            continue
        if finite:
            yield moved
            return


def same_numbers(a: Array, b: Array) -> Array:
    """Which elements are equal, but for what differences cannot see."""
    largest = max(float(np.abs(a).max(initial=0.0)), float(np.abs(b).max(initial=0.0)))
    return np.asarray(np.abs(a - b) <= FIT * np.maximum(np.maximum(np.abs(a), np.abs(b)), 1e-2 * largest))


def fits(a: Array, b: Array) -> bool:
    """Whether two arrays are the same, and not 0."""
    return a.shape == b.shape and bool(same_numbers(a, b).all()) and bool(np.abs(b).max(initial=0.0) > 0)


def ratio(a: Array, b: Array) -> float | None:
    """The number k with a = k·b, or None."""
    if a.shape != b.shape or not b.any() or not np.isfinite(b).all():
        return None
    k = float((a * b).sum() / (b * b).sum())
    return k if k != 0.0 and fits(a, k * b) else None


def is_data(a: Array) -> bool:
    """Whether an array that a function reads is data, not labels or a number."""
    return bool(a.dtype.kind == "f" and a.ndim)


def is_count(a: Array) -> bool:
    """Whether this is 0, 1, 2, ...: the numbers of the rows, by which a function finds its way."""
    return a.ndim == 1 and a.dtype.kind in "iu" and np.array_equal(a, np.arange(len(a)))


@dataclass
class Case:
    """One array's gradient at one point; what is found out about it is kept."""

    student: Student
    leaves: Leaves
    name: str
    places: Sequence[Any] | None = None  # of a large array, those that are looked at

    @property
    def x(self) -> Array:
        """The array."""
        return self.leaves[self.name]

    @functools.cached_property
    def held(self) -> list[Array]:
        """What the function reads besides x."""
        return reads(self.student.fn)

    @functools.cached_property
    def labelings(self) -> list[Array]:
        """What is read and looks like the classes of samples."""
        whole = [a for a in self.held if a.ndim == 1 and a.dtype.kind in "iu" and a.min() >= 0 < a.max()]
        return [a for a in whole if not is_count(a)]

    @functools.cached_property
    def samples(self) -> int:
        """How many samples there are: the length of the labels, or of most of what is read, or of x."""
        arrays = self.labelings or [a for a in self.held if a.ndim] or [self.x]
        lengths = [len(a) for a in arrays if a.ndim]
        return max(lengths, key=lengths.count, default=0)

    @property
    def sizes(self) -> list[int]:
        """The sizes over which somebody may have averaged: not those over which X @ W adds up."""
        arrays = [*self.held, *self.leaves.values()]
        sizes = dict.fromkeys(n for a in arrays for n in (*a.shape, a.size))
        inner = {
            a.shape[1] for a in self.held if a.ndim == 2 and is_data(a) and a.shape[1:] == self.x.shape[:1]
        }
        outer = {self.samples, *self.x.shape[1:]}
        return [n for n in sizes if n not in inner or n in outer]

    def seen(self, student: Student, leaves: Leaves | None = None) -> Seen | None:
        """Both gradients in another run, without their penalty; None if it does not come to any."""
        try:
            found = measured(student, self.leaves if leaves is None else leaves, self.name, self.places)
        except Exception:  # an experiment may ask of a function what it cannot do
            return None
        return self.without(found)

    def claimed(self, student: Student) -> Array | None:
        """The student's gradient in another run, without its penalty."""
        try:
            yours = student(self.leaves)[1][self.name]
        except Exception:  # as above
            return None
        return yours if self.penalty is None else yours - self.penalty[1]

    def along(self, student: Student, direction: Array) -> float:
        """The slope of the loss along a direction in another run, without its penalty."""
        h = STEP / float(np.abs(direction).max())
        above, below = (student.loss({**self.leaves, self.name: self.x + k * direction}) for k in (h, -h))
        rest = 0.0 if self.penalty is None else float((self.penalty[2] * direction).sum())
        return (above - below) / (2.0 * h) - rest

    def without(self, seen: Seen) -> Seen:
        """Gradients without their penalty."""
        if self.penalty is None:
            return seen
        _, yours, right = self.penalty
        a, n = seen.yours - yours, seen.right - right
        return Seen(a, n, ~same_numbers(a, n), seen.x)

    def beside(self, a: Array) -> bool:
        """Whether data are what x is compared with: both may grow alike, and the loss stays."""
        shape = self.x.shape
        if not shape or a.shape[a.ndim - len(shape) :] != shape:
            return False
        moved = self.student.otherwise(lambda b: b + 1.0 if b is a else b)
        try:
            there = moved.loss({**self.leaves, self.name: self.x + 1.0})
        except Exception:  # an experiment may ask of a function what it cannot do
            return bool(a.shape == shape)
        return bool(a.shape == shape or close(there, self.student.loss(self.leaves)))

    @functools.cached_property
    def penalty(self) -> tuple[Cause, Array, Array] | None:
        """A penalty on this array, and its part of both gradients: what is left when all data are 0."""
        data = [a for a in self.held if is_data(a)]
        if not data or any(map(self.beside, data)):
            return None  # nothing to leave out; a target beside a prediction
        others = {k: v if k == self.name else np.zeros_like(v) for k, v in self.leaves.items()}
        try:
            seen = measured(self.student.without_data(), others, self.name, self.places)
        except Exception:  # without data there may be nothing to compute
            return None
        terms = np.stack([seen.x, np.sign(seen.x)], -1)
        if np.unique(np.abs(seen.x)).size < 3:
            return None  # which of the two it follows cannot be told
        factors, parts = [], []
        for g in (seen.yours, seen.right):
            found = np.linalg.lstsq(terms.reshape(-1, 2), g.ravel(), rcond=None)[0]
            found[np.abs(found) <= 1e-6 * np.abs(found).max()] = 0.0
            factors.append(found)
            parts.append(terms @ found)
            if g.any() and not fits(parts[-1], g):
                return None
        cause = penalty_cause(factors[0], factors[1], self.name)
        return None if cause is None else (cause, *parts)

    def relabeled(self) -> Iterator[tuple[Cause, Student]]:
        """The function with each of its labels the next class, or the one before; or the other one of two."""
        for y in self.held:
            moves: list[tuple[Cause, Array]] = []
            count = int(max([y.max() + 1, *self.x.shape[-1:]])) if y.size else 1
            if any(y is known for known in self.labelings):
                moves = [(Cause("labels"), (y + step) % count) for step in (1, -1)]
            elif y.ndim == 2 and np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all():
                moves = [(Cause("labels"), np.roll(y, step, axis=1)) for step in (1, -1)]
            low, *others = np.unique(y) if y.ndim and y.size and y.dtype.kind in "iuf" else [None]
            if others == [1] and low in (0, -1):
                moves.append((Cause("exchanged", what=f"{low:g} and 1"), 1 + low - y))
            for cause, moved in moves:
                yield cause, self.student.otherwise(lambda a, y=y, moved=moved: moved if a is y else a)

    def linear_scores(self) -> Any:
        """The scores X @ W + b that x is the W or b of, one row for each sample; None if there are none."""
        many = self.samples
        linear = [scores for scores in self.scores() if scores.rows is not None and len(scores.rows) == many]
        if not linear and self.x.ndim == 1:
            return Scores(np.zeros((many, 1)), np.ones((many, 1)))  # a bias further on, of which z is unknown
        return linear[0] if linear else None

    def scores(self) -> Iterator[Scores]:
        """What x may be turned into: itself, or rows @ W + b, of which it is W or b."""
        yield Scores(self.x)
        for data in self.held:
            for leaf in self.leaves.values() if data.ndim == 2 and is_data(data) else ():
                for flipped in (False, True) if leaf.ndim == 2 else (False,):
                    weights = leaf.T if flipped else leaf
                    if weights.ndim not in (1, 2) or weights.shape[0] != data.shape[1]:
                        continue
                    after = weights.shape[1:]
                    biases = [b for b in self.leaves.values() if b is not leaf and b.shape == after]
                    z = data @ weights + (biases[0] if biases else 0.0)
                    if leaf is self.x:
                        yield Scores(z, data, flipped)
                    elif biases and biases[0] is self.x:
                        yield Scores(z, np.ones((len(data), 1)))


def penalty_cause(yours: Array, right: Array, name: str) -> Cause | None:
    """What two penalties, each k·x + l·sign(x), have to do with each other; None if there are none."""
    names = name, f"sign({name})"
    said, belongs = (
        " + ".join(f"{k:.4g}·{n}" for k, n in zip(f, names, strict=True) if k) for f in (yours, right)
    )
    if np.allclose(yours, right, rtol=CLOSE, atol=0.0):
        return Cause("right regularizer", what=said) if yours.any() else None
    for n in (0, 1):
        if close(yours[1 - n], right[1 - n]):
            return Cause("regularizer", float(yours[n]), float(right[n]), what=names[n])
    times = yours[0] / right[0] if right.all() else np.nan
    if close(yours[1], times * right[1]):
        return Cause("regularizer", float(times), 1.0, what=f"({belongs})")
    return Cause("other regularizer", what=f"{said} where {belongs or 0} belongs")
