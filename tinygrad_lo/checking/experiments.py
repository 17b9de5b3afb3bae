"""Why a student's gradient is wrong, by trying: without data, with other labels, one sample at a time.

Numbers alone name a sign or a factor. For the rest the function runs otherwise, and what is said of a
mistake has been seen to fit at two points.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinygrad_lo.checking.diagnosis import CLOSE, Cause, close, diagnose
from tinygrad_lo.checking.held import Change, reads, rewired
from tinygrad_lo.checking.student import Leaves, calling, gradient_of, number_of, pair_of, rebuilt
from tinygrad_lo.engine.graph import Array

STEP = 1e-5  # where the error of the formula, h², meets the rounding of the loss, eps/h
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


def measured(student: Student, leaves: Leaves, name: str, places: Sequence[Any] | None = None) -> Seen:
    """Both gradients by one array, the right one by central differences; only at some places if given."""
    x = leaves[name]
    right = np.zeros(x.shape)
    for place in np.ndindex(x.shape) if places is None else places:
        h = STEP * max(1.0, abs(float(x[place])))
        above, below = np.array(x), np.array(x)
        above[place], below[place] = x[place] + h, x[place] - h
        change = student({**leaves, name: above})[0] - student({**leaves, name: below})[0]
        right[place] = change / (above[place] - below[place])
    yours = student(leaves)[1][name]
    if places is not None:
        at = tuple(np.array(places).T)
        yours, right, x = yours[at], right[at], x[at]
    return Seen(yours, right, ~same(yours, right), x)


def same(a: Array, b: Array) -> Array:
    """Which elements are equal, but for what differences cannot see."""
    largest = max(float(np.abs(a).max(initial=0.0)), float(np.abs(b).max(initial=0.0)))
    return np.asarray(np.abs(a - b) <= FIT * np.maximum(np.maximum(np.abs(a), np.abs(b)), 1e-2 * largest))


def fits(a: Array, b: Array) -> bool:
    """Whether two arrays are the same, and not 0."""
    return a.shape == b.shape and bool(same(a, b).all()) and bool(np.abs(b).max(initial=0.0) > 0)


def explained(
    student: Student, leaves: Leaves, name: str, seen: Seen, places: Sequence[Any] | None = None
) -> Cause | None:
    """The mistake in the gradient by one array: one that is seen at a second point, too; or None.

    `seen` is the gradient at the first; of a large array, that at some places.
    """
    cases = [Case(student, leaves, name, places, seen)]
    cases += [Case(student, point, name, places) for point in nearby(student, leaves)]
    for plain in (True, False) if len(cases) == 2 else ():
        first, second = (case.cause(plain=plain) for case in cases)
        if first is not None and second is not None and agree(first, second):
            return first if first.where == second.where else replace(first, where="")
        if not any(cause is not None and cause.kind in GLANCE for cause in (first, second)):
            break
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
            moved[name] = np.asarray(data + far * size * rng.uniform(-1.0, 1.0, data.shape))
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
    places: Sequence[Any] | None = None  # of a large array, those that are looked at
    given: Seen | None = None

    def cause(self, *, plain: bool) -> Cause | None:
        """The mistake at this point; `plain` takes what the numbers say at a glance, if they do."""
        seen = self.given or measured(self.student, self.leaves, self.name, self.places)
        if not seen.wrong.any():
            seen = replace(seen, wrong=seen.yours != seen.right)
        found = diagnose(seen.yours, seen.right, seen.wrong, None, self.sizes, self.name)
        if plain and found is not None and found.kind in GLANCE and not found.where:
            return found
        if self.penalty is None:
            return self.data(seen, seen.x, plain=plain)
        part, _, _ = self.penalty
        rest = self.without(seen)
        fine = part.kind == "right regularizer"
        if not rest.wrong.any():
            return None if fine else part
        data = self.data(rest, None, plain=plain)
        return data and replace(data, penalty=part)

    def data(self, seen: Seen, x: Array | None, *, plain: bool) -> Cause | None:
        """The mistake in what does not come from a penalty."""
        found = diagnose(seen.yours, seen.right, seen.wrong, x, self.sizes, self.name)
        if found is not None and found.kind in SURE and (plain or found.kind not in GLANCE):
            return found
        if self.places is not None:
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
            return self.without(measured(student, leaves, self.name, self.places))
        except Exception:  # an experiment may ask of a function what it cannot do
            return None

    def without(self, seen: Seen) -> Seen:
        """Gradients without their penalty."""
        if self.penalty is None:
            return seen
        _, yours, right = self.penalty
        a, n = seen.yours - yours, seen.right - right
        return Seen(a, n, ~same(a, n), seen.x)

    # ------------------------------------------------------------------------------ the penalty

    @functools.cached_property
    def penalty(self) -> tuple[Cause, Array, Array] | None:
        """A penalty on this array, and its part of both gradients: what is left when all data are 0."""
        x = self.leaves[self.name]
        data = [a for a in self.held if a.dtype.kind == "f" and a.ndim]
        if any(a.shape == x.shape for a in data) or not (data or len(self.leaves) > 1):
            return None  # a target beside a prediction; nothing to leave out
        empty = self.student.otherwise(lambda a: np.zeros_like(a) if a.dtype.kind == "f" and a.ndim else a)
        others = {k: v if k == self.name else np.zeros_like(v) for k, v in self.leaves.items()}
        try:
            seen = measured(empty, others, self.name, self.places)
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
        (two, one), (right_two, right_one) = np.array(factors).tolist()
        names = self.name, f"sign({self.name})"
        if close(two, right_two) and close(one, right_one):
            if not (two or one):
                return None
            said = " + ".join(f"{k:.4g}·{name}" for k, name in zip((two, one), names, strict=True) if k)
            return Cause("right regularizer", what=said), *parts
        if close(one, right_one):
            return Cause("regularizer", two, right_two, what=names[0]), *parts
        if close(two, right_two):
            return Cause("regularizer", one, right_one, what=names[1]), *parts
        said = [max((abs(k), f"{k:.4g}·{n}") for k, n in zip(f, names, strict=True))[1] for f in factors]
        return Cause("other regularizer", what=f"{said[0]} where {said[1]} belongs"), *parts

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
        for scores, rows in self.scores():

            def back(g: Array, rows: Array | None = rows) -> Array:
                """The gradient by x for one by the scores."""
                return g if rows is None else (rows.T @ g).reshape(seen.x.shape)

            for predict, target in self.targets(scores):
                if predict == "softmax":
                    tops = (0.0, scores.max(axis=1, keepdims=True))
                    columns = (back(softmax(scores - top, 0) - target) for top in tops)
                    if any(ratio(seen.yours, column) for column in columns):
                        return Cause("axis", what="softmax")
                predicted = PREDICTIONS[predict](scores)
                for slope, by in SLOPES.items():
                    k = ratio(seen.right, back((predicted - target) * by(scores)))
                    if k is None:
                        continue
                    for other, instead in SLOPES.items():
                        if other != slope and fits(seen.yours, k * back((predicted - target) * instead(scores))):
                            return Cause("slope", what=f"{other} for {slope}")
                    parts = np.stack([k * back(part * by(scores)) for part in (predicted, target)], -1)
                    (p, t), *_ = np.linalg.lstsq(parts.reshape(-1, 2), seen.yours.ravel(), rcond=None)
                    if fits(parts @ (p, t), seen.yours):
                        return Cause("target", float(p), float(-t))
        return None

    def scores(self) -> Iterator[tuple[Array, Array | None]]:
        """What x may be turned into, x itself or rows @ W + b, with the rows that x is multiplied by."""
        x = self.leaves[self.name]
        yield x, None
        for data in self.held:
            for weights in self.leaves.values() if data.ndim == 2 and data.dtype.kind == "f" else ():
                if weights.ndim not in (1, 2) or weights.shape[0] != data.shape[1]:
                    continue
                biases = [b for b in self.leaves.values() if b is not weights and b.shape == weights.shape[1:]]
                z = data @ weights + (biases[0] if biases else 0.0)
                if weights is x:
                    yield z, data
                elif biases and biases[0] is x:
                    yield z, np.ones((len(data), 1))

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
        for slope, other in itertools.permutations(SLOPES if z is not None else (), 2):
            if slope in ACTIVATIONS and fits(yours * SLOPES[slope](z), right * SLOPES[other](z)):
                return Cause("slope", what=f"{other} for {slope}")
        for answers in self.held:
            if answers.size == self.samples * yours.shape[1] and np.unique(answers).size == 2:
                low = answers.reshape(self.samples, -1)[chosen] == answers.min()
                for at, value in ((low, answers.min()), (~low, answers.max())):
                    if (wrong == at).all() and not at.all():
                        return Cause("answers", what=f"{value:g}")
        here = np.zeros(wrong.shape, bool)  # the right class of each sample
        for y in self.labelings:
            if len(y) == self.samples and y.max() < yours.shape[1]:
                here = np.eye(yours.shape[1], dtype=bool)[y[chosen]]
        if wrong.sum() >= 3 and not wrong[~here].any():
            return Cause("right class", what=", and is 0 there" if off(yours)[here].all() else "")
        if wrong.sum() >= 3 and here.any() and not wrong[here].any() and wrong[~here].all():
            return Cause("wrong classes")
        # That of the right class is often minus the sum of the others, and wrong with them.
        silent, stopped = off(right), off(yours)
        passed, halted = wrong & silent & ~here, wrong & ~silent & ~here
        if passed.any() or halted.any() and silent.any():
            if stopped[halted].all() and self.is_kink(silent, chosen):
                stops, state = ("the max(0, ·)" if z is None else "the relu"), ("off" if passed.any() else "on")
                if here.any() and np.abs(right.sum(axis=1)).max() <= FIT * np.abs(right).max():
                    stops, state = "the margin", "met" if passed.any() else "not met"
                return Cause("mask", what=f"{stops} is {state}")
        return None

    def sampled(self, seen: Seen) -> tuple[Array, Array, Array | None, Array] | None:
        """Both gradients by the scores, a sample a row, if the loss is one sum over the samples.

        By x itself they are that already. By W in X @ W the gradient of one sample is its row of X
        times them, by b it is they.
        """
        x, many = self.leaves[self.name], self.samples
        if many < 2:
            return None
        if x.shape[:1] == (many,) and not any(a.shape[1:] == (many,) for a in self.held):
            return seen.yours.reshape(many, -1), seen.right.reshape(many, -1), None, np.arange(many)
        z, rows = next(((z, r) for z, r in self.scores() if r is not None and len(r) == many), (None, None))
        if rows is None and x.ndim == 1:
            rows = np.ones((many, 1))  # a bias further on
        chosen = np.arange(min(many, SAMPLES))
        runs = [self.seen(self.rows(chosen[i : i + 1]), self.leaves) for i in chosen] if rows is not None else []
        together = self.seen(self.rows(chosen), self.leaves)
        if rows is None or together is None:
            return None
        tables = []
        for of in ("yours", "right"):
            if any(run is None for run in runs):
                return None
            each = np.stack([getattr(run, of) for run in runs])
            if not any(fits(each.sum(axis=0) / k, getattr(together, of)) for k in (1, len(chosen))):
                return None
            each = each.reshape(len(chosen), rows.shape[1], -1)
            row = rows[chosen][:, :, None]
            tables.append((row * each).sum(axis=1) / (row**2).sum(axis=1))
            if not fits(row * tables[-1][:, None, :], each):
                return None
        return *tables, None if z is None else z.reshape(many, -1)[chosen], chosen

    def is_kink(self, silent: Array, chosen: Array) -> bool:
        """Whether other elements are silent at −x: else it is the data that silence them."""
        there = Case(self.student, {**self.leaves, self.name: -self.leaves[self.name]}, self.name)
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
    return np.asarray(np.abs(right) <= 1e-6 * np.abs(right).max())


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
    "σ(z)": sigmoid,
    "1 − σ(z)": lambda z: 1.0 - sigmoid(z),
    "σ(h)(1 − σ(h)), h = σ(z)": lambda z: sigmoid(sigmoid(z)) * (1.0 - sigmoid(sigmoid(z))),
    "1 − tanh² h, h = tanh z": lambda z: 1.0 - np.tanh(np.tanh(z)) ** 2,
    "1 − z²": lambda z: 1.0 - z**2,
    "z(1 − z)": lambda z: z * (1.0 - z),
}  # fmt: skip
ACTIVATIONS = ("1", "σ(z)(1 − σ(z))", "1 − tanh² z")  # slopes that may be right
# What the numbers name at a glance, and what needs no experiment.
GLANCE = ("not finite", "disconnected", "flat", "sign", "factor", "mean or sum")
SURE = (*GLANCE, "regularizer", "transpose", "turned")
