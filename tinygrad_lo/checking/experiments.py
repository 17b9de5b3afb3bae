"""Why a student's gradient is wrong, by trying: without data, with other labels, one sample at a time.

Numbers alone name a sign or a factor. For the rest the function runs otherwise, and what is said of a
mistake has been seen to fit at two points.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinygrad_lo.checking.diagnosis import CLOSE, Cause, diagnose
from tinygrad_lo.checking.held import Change, reads, rewired
from tinygrad_lo.checking.student import Leaves, calling, gradient_of, number_of, pair_of, rebuilt
from tinygrad_lo.engine.graph import Array

FIT = 1e-5  # how well gradients must agree to be the same, of the element and of 1 % of the largest
SAMPLES = 8  # samples of a batch that are looked at one by one


@dataclass(frozen=True)
class Student:
    """A student's function of the leaves of x, called quietly."""

    who: str
    fn: Callable[[Any], Any]
    x: Any

    def __call__(self, leaves: Leaves) -> tuple[float, Leaves]:
        """The loss, which may be nan beyond its domain, and the gradient."""
        with calling():
            loss, gradient = pair_of(self.who, self.fn(rebuilt(self.x, leaves)))
        value = number_of(self.who, "the loss near x", loss, finite=False)
        return value, gradient_of(self.who, self.x, leaves, gradient)

    def otherwise(self, change: Change) -> Student:
        """The same function with change(a) for every array that it reads from outside."""
        return replace(self, fn=rewired(self.fn, change))


@dataclass(frozen=True)
class Seen:
    """The gradient by one array at one point: the student's, and the right one; a sample is in a row."""

    yours: Array
    right: Array
    wrong: Array
    x: Array


Measure = Callable[[Student, Leaves, str], Seen]


def same(a: Array, b: Array) -> Array:
    """Which elements are equal, but for what differences cannot see."""
    largest = max(float(np.abs(a).max(initial=0.0)), float(np.abs(b).max(initial=0.0)))
    return np.asarray(np.abs(a - b) <= FIT * np.maximum(np.maximum(np.abs(a), np.abs(b)), 1e-2 * largest))


def fits(a: Array, b: Array) -> bool:
    """Whether two arrays are the same, and not 0."""
    return a.shape == b.shape and bool(same(a, b).all()) and bool(np.abs(b).max(initial=0.0) > 0)


def explained(student: Student, leaves: Leaves, name: str, measure: Measure) -> Cause | None:
    """The mistake in the gradient by one array: one that is seen at a second point, too; or None."""
    points = [leaves, *nearby(student, leaves)]
    if len(points) < 2:
        return None
    for plain in (True, False):
        first, second = (Case(student, point, name, measure).cause(plain=plain) for point in points)
        if first is None or second is None or first.kind != second.kind:
            continue
        if not agree(first, second):
            continue
        return first if first.where == second.where else replace(first, where="")
    return None


def agree(a: Cause, b: Cause) -> bool:
    """Whether two causes are one, found at two points."""
    if a.penalty is not None and b.penalty is not None:
        return agree(a.penalty, b.penalty) and agree(replace(a, penalty=None), replace(b, penalty=None))
    numbers = (a.amount, b.amount), (a.right or 0.0, b.right or 0.0)
    return a.kind == b.kind and a.what == b.what and a.penalty == b.penalty and all(
        abs(p - q) <= 2 * CLOSE * max(abs(p), abs(q)) + 1e-9 for p, q in numbers
    )  # fmt: skip


def nearby(student: Student, leaves: Leaves) -> Iterator[Leaves]:
    """A second point, each element moved by up to a tenth of itself, or less where the domain ends."""
    rng = np.random.default_rng(1)
    for far in (0.1, 0.02, 0.004):
        moved = {}
        for name, data in leaves.items():
            size = np.where(data == 0.0, np.abs(data).max(initial=0.0) or 1.0, np.abs(data))
            moved[name] = data + far * size * rng.uniform(-1.0, 1.0, data.shape)
        try:
            finite = np.isfinite(student(moved)[0])
        except Exception:  # beyond its domain a student's function may raise what it likes
            continue
        if finite:
            yield moved
            return


@dataclass
class Case:
    """One array's gradient at one point."""

    student: Student
    leaves: Leaves
    name: str
    measure: Measure

    def cause(self, *, plain: bool) -> Cause | None:
        """The mistake at this point; `plain` takes what the numbers say at a glance, if they do."""
        seen = self.measure(self.student, self.leaves, self.name)
        if not seen.wrong.any():
            return None
        found = diagnose(seen.yours, seen.right, seen.wrong, None, self.sizes, self.name)
        if plain and found is not None and found.kind in GLANCE and not found.where:
            return found
        if self.penalty is None:
            return self.data(seen, seen.x, plain=plain)
        part, _ = self.penalty
        rest = self.without(seen)
        fine = abs(part.amount - (part.right or 0.0)) <= CLOSE * abs(part.amount)
        if not rest.wrong.any():
            return None if fine else part
        data = self.data(rest, None, plain=plain)
        if data is None or not (part.amount or part.right):
            return data
        return replace(data, penalty=replace(part, kind="right regularizer") if fine else part)

    def data(self, seen: Seen, x: Array | None, *, plain: bool) -> Cause | None:
        """The mistake in what does not come from a penalty."""
        found = diagnose(seen.yours, seen.right, seen.wrong, x, self.sizes, self.name)
        if found is not None and found.kind in SURE and (plain or found.kind not in GLANCE):
            return found
        for experiment in (self.labels, self.factors, self.turned, self.form, self.table, self.paths):
            tried = experiment(seen)
            if tried is not None:
                return tried
        return found if found is None or found.kind not in GLANCE else None

    # ---------------------------------------------------------------------------- what is known

    @functools.cached_property
    def held(self) -> list[Array]:
        """What the function reads besides x."""
        return reads(self.student.fn)

    @functools.cached_property
    def samples(self) -> int:
        """How many samples there are: the length of the labels, or of most of what is read; 0 if unknown."""
        lengths = [len(a) for a in self.labelings] or [len(a) for a in self.held if a.ndim]
        return max(lengths, key=lengths.count, default=0)

    @functools.cached_property
    def labelings(self) -> list[Array]:
        """What is read and looks like the classes of samples."""
        return [a for a in self.held if a.ndim == 1 and a.dtype.kind in "iu" and a.min() >= 0 < a.max()]

    @property
    def sizes(self) -> list[int]:
        """The sizes over which somebody may have averaged."""
        arrays = [*self.held, *self.leaves.values()]
        return list(dict.fromkeys(n for a in arrays for n in (len(a) if a.ndim else 1, a.size, *a.shape)))

    def claimed(self, student: Student, leaves: Leaves | None = None) -> Array | None:
        """The student's gradient in another run, or None if it does not come to one."""
        try:
            return student(self.leaves if leaves is None else leaves)[1][self.name]
        except Exception:  # an experiment may ask of a function what it cannot do
            return None

    def seen(self, student: Student, leaves: Leaves) -> Seen | None:
        """Both gradients in another run, without their penalty; None if it does not come to any."""
        try:
            return self.without(self.measure(student, leaves, self.name))
        except Exception:  # an experiment may ask of a function what it cannot do
            return None

    def without(self, seen: Seen) -> Seen:
        """Gradients without their penalty."""
        if self.penalty is None:
            return seen
        part, term = self.penalty
        a, n = seen.yours - part.amount * term, seen.right - (part.right or 0.0) * term
        return Seen(a, n, ~same(a, n), seen.x)

    # ------------------------------------------------------------------------------ the penalty

    @functools.cached_property
    def penalty(self) -> tuple[Cause, Array] | None:
        """The factors of a penalty on this array in both gradients: what is left when all data are 0."""
        x = self.leaves[self.name]
        data = [a for a in self.held if a.dtype.kind == "f" and a.ndim]
        if any(a.shape == x.shape for a in data) or not (data or len(self.leaves) > 1):
            return None  # a target beside a prediction; nothing to leave out
        empty = self.student.otherwise(lambda a: np.zeros_like(a) if a.dtype.kind == "f" and a.ndim else a)
        others = {k: v if k == self.name else np.zeros_like(v) for k, v in self.leaves.items()}
        try:
            seen = self.measure(empty, others, self.name)
        except Exception:
            return None
        if seen.x.size < 3:
            return None
        for term, what in ((seen.x, self.name), (np.sign(seen.x), f"sign({self.name})")):
            told = term != 0
            right, yours = (np.median(g[told] / term[told]) for g in (seen.right, seen.yours))
            off = [np.abs(g - c * term) <= FIT * abs(c * term) for g, c in ((seen.right, right), (seen.yours, yours))]
            if all(part.mean() > 0.5 for part in off) and (right or yours):
                return Cause("regularizer", float(yours), float(right), what=what), term
        return None

    # -------------------------------------------------------------------------- the experiments

    def labels(self, seen: Seen) -> Cause | None:
        """Labels that are off by one: with labels moved the other way the gradient is right."""
        here = self.claimed(self.student)
        for step, moved in self.relabeled():
            there = self.claimed(moved)
            if here is not None and there is not None and fits(seen.yours + there - here, seen.right):
                return Cause("labels", float(-step))
        return None

    def relabeled(self) -> Iterator[tuple[int, Student]]:
        """The function with each of its labels the next class, or the one before."""
        for y in self.labelings:
            count = int(max(y.max() + 1, *self.leaves[self.name].shape[-1:]))
            for step in (1, -1):
                yield step, self.student.otherwise(
                    lambda a, y=y, k=step, c=count: (a + k) % c if a is y else a  # type: ignore[misc]
                )

    def factors(self, seen: Seen) -> Cause | None:
        """Another array that is left out, or there twice: with ones in its place the gradient is right."""
        for other, data in self.leaves.items():
            if other == self.name:
                continue
            ones, twos = (self.seen(self.student, {**self.leaves, other: np.full_like(data, k)}) for k in (1.0, 2.0))
            if ones is None or twos is None or not fits(ones.yours, ones.right):
                continue
            if fits(2.0 * twos.yours, twos.right):
                return Cause("left out", what=other)
            if fits(twos.yours, 2.0 * twos.right):
                return Cause("twice", what=other)
        return None

    def turned(self, seen: Seen) -> Cause | None:
        """A square matrix that is taken for its transpose: when it is symmetric, the gradient is right."""
        for other, data in self.leaves.items():
            if other != self.name and data.ndim == 2 and data.shape[0] == data.shape[1] > 1:
                even = self.seen(self.student, {**self.leaves, other: (data + data.T) / 2.0})
                if even is not None and fits(even.yours, even.right):
                    return Cause("taken for its transpose", what=other)
        return None

    def form(self, seen: Seen) -> Cause | None:
        """The gradient of a usual loss, k·(prediction − target)·slope by the scores, with one part wrong."""
        for scores, back in self.scores():
            for predict, target in self.targets(scores):
                for slope, by in SLOPES.items():
                    predicted = PREDICTIONS[predict](scores)
                    k = ratio(seen.right, back((predicted - target) * by(scores)))
                    if k is None:
                        continue
                    for other, instead in SLOPES.items():
                        if other != slope and fits(seen.yours, k * back((predicted - target) * instead(scores))):
                            return Cause("slope", what=f"{other} for {slope}")
                    if predict == "softmax" and fits(seen.yours, k * back(softmax(scores, 0) - target)):
                        return Cause("axis", what="softmax")
                    parts = np.stack([k * back(part * by(scores)) for part in (predicted, target)], -1)
                    (p, t), *_ = np.linalg.lstsq(parts.reshape(-1, 2), seen.yours.ravel(), rcond=None)
                    if fits(parts @ (p, t), seen.yours):
                        return Cause("target", float(p), float(-t))
        return None

    def scores(self) -> Iterator[tuple[Array, Callable[[Array], Array]]]:
        """What x may be turned into, x itself or X @ W + b, with the way back of a gradient."""
        x = self.leaves[self.name]
        yield x, lambda g: g
        for data in self.held:
            for weights in self.leaves.values() if data.ndim == 2 and data.dtype.kind == "f" else ():
                if weights.ndim not in (1, 2) or weights.shape[0] != data.shape[1]:
                    continue
                biases = [b for b in self.leaves.values() if b is not weights and b.shape == weights.shape[1:]]
                z = data @ weights + (biases[0] if biases else 0.0)
                if weights is x:
                    yield z, lambda g, data=data: data.T @ g
                elif biases and biases[0] is x:
                    yield z, lambda g: g.sum(axis=0)

    def targets(self, scores: Array) -> Iterator[tuple[str, Array]]:
        """What scores may be compared with, and after which function."""
        for a in self.held:
            if a.shape == scores.shape and scores.ndim:
                yield from ((predict, a.astype(float)) for predict in PREDICTIONS)
            elif any(a is y for y in self.labelings) and scores.ndim == 2 and len(a) == len(scores):
                if a.max() < scores.shape[1]:
                    yield "softmax", np.eye(scores.shape[1])[a]

    def table(self, seen: Seen) -> Cause | None:
        """One sample at a time: which samples and units are wrong by the scores, and what those share."""
        found = self.sampled(seen)
        if found is None:
            return None
        yours, right, z, chosen = found
        wrong = ~same(yours, right)
        if not wrong.any():
            return None
        for slope, by in SLOPES.items():
            if z is not None and slope != "1":
                if fits(yours * by(z), right):
                    return Cause("slope", what=f"1 for {slope}")
                if fits(yours, right * by(z)):
                    return Cause("slope", what=f"{slope} for 1")
        for answers in self.held:
            if answers.size == self.samples * yours.shape[1] and np.unique(answers).size == 2:
                low = answers.reshape(self.samples, -1)[chosen] == answers.min()
                for at, value in ((low, answers.min()), (~low, answers.max())):
                    if (wrong == at).all() and not at.all():
                        return Cause("answers", what=f"{value:g}")
        silent = off(right)
        if (wrong & silent).any() and (yours[wrong & ~silent] == 0.0).all() and self.is_kink(silent, chosen):
            return Cause("mask")
        for y in self.labelings:
            labels = np.eye(yours.shape[1])[y[chosen]] if y[chosen].max() < yours.shape[1] else None
            if len(y) == self.samples and labels is not None and wrong.sum() >= 3:
                if not wrong[labels == 0].any():
                    zero = not yours[labels == 1].any()
                    return Cause("right class", what=", and is 0 there" if zero else "")
                if not wrong[labels == 1].any() and wrong[labels == 0].all():
                    return Cause("wrong classes")
        return None

    def sampled(self, seen: Seen) -> tuple[Array, Array, Array | None, Array] | None:
        """Both gradients by the scores, a sample a row, if the loss is one sum over the samples.

        By x itself they are that already. By W in X @ W the gradient of one sample is its row of X
        times them, by b it is they.
        """
        x, many = self.leaves[self.name], self.samples
        data = next((a for a in self.held if a.ndim == 2 and a.dtype.kind == "f" and len(a) == many), None)
        if many < 2:
            return None
        if data is None or x.shape[:1] == (many,) != data.shape[1:]:
            table = (seen.yours.reshape(many, -1), seen.right.reshape(many, -1)) if x.shape[:1] == (many,) else None
            return table and (*table, None, np.arange(many))
        chosen = np.arange(min(many, SAMPLES))
        runs = [self.seen(self.rows(chosen[i : i + 1]), self.leaves) for i in chosen]
        together = self.seen(self.rows(chosen), self.leaves)
        if together is None or any(run is None for run in runs):
            return None
        both = []
        for of in ("yours", "right"):
            each = np.stack([getattr(run, of) for run in runs])
            total = getattr(together, of)
            if not any(fits(each.sum(axis=0) / k, total) for k in (1, len(chosen))):
                return None
            if x.shape[:1] == data.shape[1:]:
                rows = data[chosen]
                parts = np.einsum("nd,nd...->n...", rows, each) / (rows**2).sum(axis=1).reshape(-1, *[1] * (x.ndim - 1))
                if not np.allclose(np.einsum("nd,n...->nd...", rows, parts), each, rtol=1e-4, atol=1e-6 * np.abs(each).max()):
                    return None
                each = parts
            both.append(each.reshape(len(chosen), -1))
        z = next((z for z, _ in self.scores() if z.shape[:1] == (many,)), None)
        return both[0], both[1], None if z is None else z.reshape(many, -1)[chosen], chosen

    def is_kink(self, silent: Array, chosen: Array) -> bool:
        """Whether other elements are silent at −x: else it is the data that silence them."""
        there = Case(self.student, {**self.leaves, self.name: -self.leaves[self.name]}, self.name, self.measure)
        seen = there.seen(there.student, there.leaves)
        found = None if seen is None else there.sampled(seen)
        return found is not None and bool((off(found[1]) != silent).any())

    def rows(self, chosen: Array) -> Student:
        """The function of some samples only."""
        return self.student.otherwise(lambda a: a[chosen] if a.shape[:1] == (self.samples,) else a)

    def paths(self, seen: Seen) -> Cause | None:
        """What is missing of a gradient that goes through the mean, or through the variance, of x."""
        gap, x = seen.yours - seen.right, seen.x
        if x.ndim not in (1, 2):
            return None
        for axis in range(x.ndim):
            if x.shape[axis] < 4:
                continue
            centered = x - x.mean(axis=axis, keepdims=True)
            mean = np.broadcast_to(gap.mean(axis=axis, keepdims=True), x.shape)
            slope = (gap * centered).sum(axis=axis, keepdims=True) / (centered**2).sum(axis=axis, keepdims=True)
            for what, way in (("mean path", mean), ("variance path", slope * centered), ("both paths", mean + slope * centered)):
                if fits(way, gap):
                    return Cause(what, where=f"axis {axis}")
        return None


def off(right: Array) -> Array:
    """Where nothing goes through."""
    return np.asarray(np.abs(right) <= 1e-9 * np.abs(right).max())


def ratio(a: Array, b: Array) -> float | None:
    """The number k with a = k·b, or None."""
    if a.shape != b.shape or not b.any():
        return None
    k = float((a * b).sum() / (b * b).sum())
    return k if k and fits(a, k * b) else None


def softmax(z: Array, axis: int) -> Array:
    """Softmax along an axis."""
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return np.asarray(e / e.sum(axis=axis, keepdims=True))


def sigmoid(z: Array) -> Array:
    """1 / (1 + e^−z)."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * z))


PREDICTIONS: dict[str, Callable[[Array], Array]] = {
    "scores": lambda z: z, "sigmoid": sigmoid, "tanh": np.tanh, "softmax": lambda z: softmax(z, -1),
}  # fmt: skip
SLOPES: dict[str, Callable[[Array], Array]] = {
    "1": np.ones_like,
    "σ(z)(1 − σ(z))": lambda z: sigmoid(z) * (1.0 - sigmoid(z)),
    "1 − tanh² z": lambda z: 1.0 - np.tanh(z) ** 2,
    "σ(h)(1 − σ(h)), h = σ(z)": lambda z: sigmoid(sigmoid(z)) * (1.0 - sigmoid(sigmoid(z))),
    "1 − tanh² h, h = tanh z": lambda z: 1.0 - np.tanh(np.tanh(z)) ** 2,
    "1 − z²": lambda z: 1.0 - z**2,
    "z(1 − z)": lambda z: z * (1.0 - z),
}  # fmt: skip
# What the numbers name at a glance, and what needs no experiment.
GLANCE = ("not finite", "disconnected", "flat", "sign", "factor", "mean or sum")
SURE = (*GLANCE, "regularizer", "transpose", "turned")
