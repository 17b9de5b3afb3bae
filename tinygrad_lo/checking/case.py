"""One array's gradient by a student's function at one point, and what else is known of that function."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lo.checking.diagnosis import CLOSE, Cause, close
from tinygrad_lo.checking.numerical import coordinates
from tinygrad_lo.checking.student import Leaves, Student, attempt, is_data, reads
from tinygrad_lo.engine.graph import Array

FIT = 1e-5  # how well gradients must agree to be the same, of the element and of 1 % of the largest


def nearby(student: Student, leaves: Leaves) -> Leaves | None:
    """A second point, each element moved by up to a tenth of itself, or less where the domain ends."""
    rng = np.random.default_rng(1)
    for far in (0.1, 0.02, 0.004):
        moved = {}
        for name, data in leaves.items():
            size = np.where(data == 0.0, np.abs(data).max(initial=0.0) or 1.0, np.abs(data))
            moved[name] = np.asarray(data + far * size * rng.uniform(-1.0, 1.0, data.shape))
        loss = attempt(student.loss, moved)
        if loss is not None and np.isfinite(loss):
            return moved
    return None


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


def combination(g: Array, *parts: Array) -> Array | None:
    """The factors with which these parts add up to g, or None."""
    terms = np.stack(parts, -1)
    factors = np.linalg.lstsq(terms.reshape(-1, len(parts)), g.ravel(), rcond=None)[0]
    factors = np.where(np.abs(factors) <= 1e-6 * np.abs(factors).max(), 0.0, factors)
    return factors if fits(terms @ factors, g) or not g.any() else None


def is_count(a: Array) -> bool:
    """Whether this is 0, 1, 2, ...: the numbers of the rows, by which a function finds its way."""
    return a.ndim == 1 and a.dtype.kind in "iu" and np.array_equal(a, np.arange(len(a)))


def is_labeling(a: Array) -> bool:
    """Whether this looks like the classes of samples."""
    return a.ndim == 1 and a.dtype.kind in "iu" and a.min() >= 0 < a.max() and not is_count(a)


class Seen(NamedTuple):
    """The gradient by one array: the student's, and the right one."""

    yours: Array
    right: Array

    @property
    def wrong(self) -> Array:
        """Which elements are."""
        return ~same_numbers(self.yours, self.right)


def measured(student: Student, leaves: Leaves, name: str, places: Any) -> Seen:
    """Both gradients by one array at some places, the right one by central differences."""

    def loss(some: Array) -> float:
        x = np.array(leaves[name])
        x[places] = some
        return student.loss({**leaves, name: x})

    right = np.asarray(coordinates(loss, leaves[name][places], "central"))
    return Seen(student(leaves)[1][name][places], right)


@dataclass(frozen=True)
class Scores:
    """What an array is turned into by data, z = rows @ W + b, and the way back of a gradient."""

    z: Array
    rows: Array | None = None  # None where the array is z itself, and all ones where it is b
    flipped: bool = False  # where z = rows @ W.T

    def back(self, g: Array, shape: tuple[int, ...]) -> Array:
        """The gradient by the array, for one by z."""
        if self.rows is None:
            return g
        slopes = self.rows.T @ g
        return (slopes.T if self.flipped else slopes).reshape(shape)

    def places(self, column: int) -> Any:
        """The index of the elements of the array that one column of the data meets."""
        if self.rows is None or self.rows.shape[1] == 1:
            return ...
        return (slice(None), column) if self.flipped else column


class Penalty(NamedTuple):
    """A penalty, and its part of both gradients: the k and l of k·x + l·sign(x)."""

    cause: Cause
    yours: Array
    right: Array


@dataclass
class Case:
    """One array's gradient at one point; what is found out about it is kept."""

    student: Student
    leaves: Leaves
    name: str
    places: Any = ...  # of a large array, the index of those that are looked at

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
        return [a for a in self.held if is_labeling(a)]

    @functools.cached_property
    def samples(self) -> int:
        """How many samples there are: the length of the labels, or of most of what is read, or of x."""
        arrays = self.labelings or [a for a in self.held if a.ndim] or [self.x]
        lengths = [len(a) for a in arrays if a.ndim]
        return max(lengths, key=lengths.count, default=0)

    @property
    def sizes(self) -> list[int]:
        """The sizes over which somebody may have averaged: not those over which X @ W adds up."""
        x, data = self.x.shape, [a for a in self.held if a.ndim == 2 and is_data(a)]
        inner = {a.shape[1] for a in data if a.shape[1:] == x[:1]} - {self.samples, *x[1:]}
        sizes = [n for a in (*self.held, *self.leaves.values()) for n in (*a.shape, a.size)]
        return [n for n in dict.fromkeys(sizes) if n not in inner]

    @property
    def whole(self) -> Seen:
        """Both gradients, with their penalty."""
        return measured(self.student, self.leaves, self.name, self.places)

    def seen(self, student: Student, leaves: Leaves | None = None, places: Any = ...) -> Seen:
        """Both gradients in another run, without their penalty."""
        seen = measured(student, leaves or self.leaves, self.name, places)
        return self.without_penalty(seen, self.x[places])

    def without_penalty(self, seen: Seen, x: Array) -> Seen:
        """Gradients without their penalty on these elements of the array."""
        if self.penalty is None:
            return seen
        terms = np.stack([x, np.sign(x)], -1)
        return Seen(seen.yours - terms @ self.penalty.yours, seen.right - terms @ self.penalty.right)

    @functools.cached_property
    def compared(self) -> bool:
        """Whether x is compared with data: with some of its shape, or both may grow and the loss stays."""
        shape = self.x.shape
        for data in self.held if shape else ():
            if not is_data(data) or data.shape[-len(shape) :] != shape:
                continue
            moved = self.student.otherwise(lambda a, data=data: a + 1.0 if a is data else a)
            there = attempt(moved.loss, {**self.leaves, self.name: self.x + 1.0})
            if data.shape == shape or (there is not None and close(there, self.student.loss(self.leaves))):
                return True
        return False

    @functools.cached_property
    def penalty(self) -> Penalty | None:
        """A penalty on this array: what is left of the gradients when all data are 0."""
        x = self.x[self.places]
        if self.compared or not any(map(is_data, self.held)) or np.unique(np.abs(x)).size < 3:
            return None  # a target; nothing to leave out; or too few numbers to tell x from sign(x)
        others = {**{k: np.zeros_like(v) for k, v in self.leaves.items()}, self.name: self.x}
        seen = attempt(measured, self.student.without_data(), others, self.name, self.places)
        yours, right = (combination(g, x, np.sign(x)) for g in seen) if seen else (None, None)
        if yours is None or right is None:
            return None
        cause = penalty_cause(yours, right, self.name)
        return None if cause is None else Penalty(cause, yours, right)

    def relabeled(self) -> Iterator[tuple[Cause, Student]]:
        """The function with each of its labels the next class, or the one before; or the other one of two."""
        for y in self.held:
            for cause, moved in relabelings(y, self.x.shape[-1:]):
                yield cause, self.student.otherwise(lambda a, y=y, moved=moved: moved if a is y else a)

    def scores(self) -> Iterator[Scores]:
        """What x may be turned into: itself, or rows @ W + b, of which it is W or b."""
        yield Scores(self.x)
        for data, leaf, weights in self.layers():
            after = weights.shape[1:]
            bias = next((b for b in self.leaves.values() if b is not leaf and b.shape == after), None)
            z = data @ weights + (0.0 if bias is None else bias)
            if leaf is self.x:
                yield Scores(z, data, flipped=weights is not leaf)
            elif bias is self.x:
                yield Scores(z, np.ones((len(data), 1)))

    def layers(self) -> Iterator[tuple[Array, Array, Array]]:
        """(rows, leaf, leaf or its transpose) wherever the rows can be multiplied by that."""
        rows_of_data = [a for a in self.held if a.ndim == 2 and is_data(a)]
        for data, leaf in itertools.product(rows_of_data, self.leaves.values()):
            for weights in (leaf, leaf.T)[: leaf.ndim] if leaf.ndim <= 2 else ():
                if len(weights) == data.shape[1]:
                    yield data, leaf, weights


def is_one_hot(y: Array) -> bool:
    """Whether each row has a single 1 among zeros."""
    return y.ndim == 2 and bool(np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all())


def relabelings(y: Array, width: tuple[int, ...]) -> Iterator[tuple[Cause, Array]]:
    """Other labels in place of some, if these are labels: of as many classes as the scores are wide."""
    values = np.unique(y) if y.ndim and y.dtype.kind in "iuf" else np.empty(0)
    for step in (1, -1):
        if is_labeling(y):
            yield Cause("labels"), (y + step) % max([int(y.max()) + 1, *width])
        elif is_one_hot(y):
            yield Cause("labels"), np.roll(y, step, axis=1)
    if values.size == 2 and values[1] == 1 and values[0] in (0, -1):
        yield Cause("labels/exchanged", what=f"{values[0]:g} and 1"), values.sum() - y


def penalty_cause(yours: Array, right: Array, name: str) -> Cause | None:
    """What two penalties, each k·x + l·sign(x), have to do with each other; None if there are none."""
    names = name, f"sign({name})"
    stands, belongs = (
        " + ".join(f"{k:.4g}·{n}" for k, n in zip(pair, names, strict=True) if k) for pair in (yours, right)
    )
    if np.allclose(yours, right, rtol=CLOSE, atol=0.0):
        return Cause("regularizer/right", what=stands) if yours.any() else None
    for n in (0, 1):
        if close(yours[1 - n], right[1 - n]):
            return Cause("regularizer", float(yours[n]), float(right[n]), what=names[n])
    times = yours[0] / right[0] if right.all() else np.nan
    if close(yours[1], times * right[1]):
        return Cause("regularizer", float(times), 1.0, what=f"({belongs})")
    return Cause("regularizer/other", what=f"{stands} where {belongs or 0} belongs")
