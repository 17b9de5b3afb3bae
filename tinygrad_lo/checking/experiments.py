"""Why a student's gradient is wrong, by trying: without data, with other labels, one sample at a time.

Numbers alone name a sign or a factor. For the rest the function runs otherwise, and what is said of a
mistake has been seen to fit at two points.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinygrad_lo.checking.case import (
    FIT,
    Case,
    Scores,
    Seen,
    Student,
    fits,
    is_count,
    is_data,
    measured,
    nearby,
    ratio,
    same_numbers,
)
from tinygrad_lo.checking.diagnosis import CLOSE, Cause, close, diagnose
from tinygrad_lo.checking.student import Leaves, reads
from tinygrad_lo.engine.graph import Array

AWAKE = 0.8  # the share of what a kink silences that is not silent on its other side; a bias keeps some so
MOST_SAMPLES = 8  # samples of a batch that are looked at one by one
# What the numbers name at a glance, and what needs no experiment.
GLANCE = ("not finite", "disconnected", "flat", "sign", "factor", "mean or sum")
SURE = (*GLANCE, "regularizer", "transpose", "turned")


def explained(
    student: Student, leaves: Leaves, name: str, excused: Array, places: Sequence[Any] | None = None
) -> Cause | None:
    """The mistake in the gradient by one array: one that is seen at a second point, too; or None.

    `excused` marks what shows no mistake at the first; of a large array, at some places.
    """
    seen = measured(student, leaves, name, places)
    seen = Seen(seen.yours, np.where(excused, seen.yours, seen.right), seen.wrong & ~excused, seen.x)
    for point in nearby(student, leaves):
        cases = Case(student, leaves, name, places), Case(student, point, name, places)
        both = tuple(zip(cases, (seen, measured(student, point, name, places)), strict=True))
        for plain in (True, False):
            with np.errstate(all="ignore"):
                first, second = (cause_of(case, found, plain=plain) for case, found in both)
            if first is not None and second is not None and answers_agree(first, second):
                return first if first.where == second.where and places is None else replace(first, where="")
            if not any(cause is not None and cause.kind in GLANCE for cause in (first, second)):
                break
    return None


def answers_agree(a: Cause, b: Cause) -> bool:
    """Whether two causes are one, found at two points."""
    if a.penalty is not None and b.penalty is not None:
        return answers_agree(a.penalty, b.penalty) and answers_agree(
            replace(a, penalty=None), replace(b, penalty=None)
        )
    numbers = (a.amount, b.amount), (a.right or 0.0, b.right or 0.0)
    return (a.kind, a.what, a.penalty) == (b.kind, b.what, b.penalty) and all(
        abs(p - q) <= 2 * CLOSE * max(abs(p), abs(q)) + 1e-9 for p, q in numbers
    )


def cause_of(case: Case, seen: Seen, *, plain: bool) -> Cause | None:
    """The mistake at one point; `plain` takes what the numbers say at a glance, if they do."""
    if not seen.wrong.any():
        seen = replace(seen, wrong=seen.yours != seen.right)
    found = diagnose(seen.yours, seen.right, seen.wrong, None, case.sizes, case.name)
    if plain and found is not None and found.kind in GLANCE and not found.where:
        return other_mean(case, found)
    if case.penalty is None:
        compared = any(
            case.beside(a) for a in case.held if is_data(a)
        )  # what is left may look like a penalty
        return data_cause(case, seen, None if compared else seen.x, plain=plain)
    rest, part = case.without(seen), case.penalty[0]
    if not rest.wrong.any():
        return None if part.kind == "right regularizer" else part
    data = data_cause(case, rest, None, plain=plain)
    return data and replace(data, penalty=part)


def data_cause(case: Case, seen: Seen, x: Array | None, *, plain: bool) -> Cause | None:
    """The mistake in what does not come from a penalty."""
    found = diagnose(seen.yours, seen.right, seen.wrong, x, case.sizes, case.name)
    glance = found is not None and found.kind in GLANCE
    if found is not None and found.kind in SURE and (plain or not glance):
        return other_mean(case, found)
    tried = (experiment(case, seen) for experiment in EXPERIMENTS if case.places is None)
    return next((cause for cause in tried if cause is not None), None if glance else found)


def other_mean(case: Case, found: Cause) -> Cause:
    """A factor that is a quotient of sizes: with one sample less it is another one."""
    many, sizes = case.samples, [size for size in case.sizes if size not in (1, case.samples)]
    size = next((size for size in sizes if close(found.amount, many / size)), None)
    if found.kind != "factor" or size is None:
        return found
    seen = case.seen(case.student.otherwise(lambda a: a[:-1] if a.shape[:1] == (many,) else a))
    now = None if seen is None else ratio(seen.yours, seen.right)
    moves = now is not None and close(now, (many - 1) / size)
    return Cause("mean axis", found.amount, many, what=f"{size}") if moves else found


# ---------------------------------------------------------------------------------- the experiments


def labels(case: Case, seen: Seen) -> Cause | None:
    """Other labels: with labels moved the other way the gradient is right."""
    here = case.claimed(case.student)
    for cause, moved in case.relabeled():
        there = case.claimed(moved)
        if here is not None and there is not None and fits(seen.yours + there - here, seen.right):
            return cause
    return None


def factors(case: Case, seen: Seen) -> Cause | None:
    """Another array that is left out, or there twice: with ones in its place the gradient is right."""
    for other, data in case.leaves.items():
        if other == case.name or data.shape not in ((), case.x.shape[-1:], case.x.shape):
            continue
        ones = case.seen(case.student, {**case.leaves, other: np.ones_like(data)})
        if ones is None or not fits(ones.yours, ones.right):
            continue
        twos = case.seen(case.student, {**case.leaves, other: np.full_like(data, 2.0)})
        if twos is None:
            continue
        if fits(2.0 * twos.yours, twos.right):
            return Cause("left out", what=other)
        if fits(twos.yours, 2.0 * twos.right):
            return Cause("twice", what=other)
    return None


def turned(case: Case, seen: Seen) -> Cause | None:
    """A square matrix that is taken for its transpose: when it is symmetric, the gradient is right."""
    for other, data in case.leaves.items():
        if other != case.name and data.ndim == 2 and data.shape[0] == data.shape[1] > 1:
            even = case.seen(case.student, {**case.leaves, other: (data + data.T) / 2.0})
            if even is not None and fits(even.yours, even.right):
                return Cause("taken for its transpose", what=other)
    return None


def form(case: Case, seen: Seen) -> Cause | None:
    """The gradient of a usual loss, k·(prediction − target)·slope by the scores, with one part wrong."""
    for scores in case.scores():

        def back(g: Array, scores: Scores = scores) -> Array:
            return scores.back(g, seen.x.shape)

        for predict, target in targets(case, scores.z):
            if predict == "softmax":
                tops = (0.0, scores.z.max(axis=1, keepdims=True))
                if any(ratio(seen.yours, back(softened(scores.z - top, 0) - target)) for top in tops):
                    return Cause("axis", what="softmax")
            predicted = PREDICTIONS[predict](scores.z)
            for slope, by in SLOPES.items():
                k = ratio(seen.right, back((predicted - target) * by(scores.z)))
                if k is None:
                    continue
                for other, instead in SLOPES.items():
                    wrong = k * back((predicted - target) * instead(scores.z))
                    if other != slope and fits(seen.yours, wrong):
                        return Cause("slope", what=f"{other} for {slope}")
                parts = np.stack([k * back(part * by(scores.z)) for part in (predicted, target)], -1)
                (p, t), *_ = np.linalg.lstsq(parts.reshape(-1, 2), seen.yours.ravel(), rcond=None)
                if fits(parts @ (p, t), seen.yours):
                    return Cause("target", float(p), float(-t))
    return None


def targets(case: Case, z: Array) -> Iterator[tuple[str, Array]]:
    """What scores may be compared with, and after which function."""
    for a in case.held:
        if a.shape == z.shape and z.ndim:
            t = a.astype(float)
            yield from ((predict, t) for predict in PREDICTIONS if z.ndim == 2 or predict != "softmax")
            if np.isin(t, (-1.0, 1.0)).all():
                yield "sigmoid", (t + 1.0) / 2.0
    for y in case.labelings if z.ndim == 2 else ():
        if len(y) == len(z) and y.max() < z.shape[1]:
            yield "softmax", np.eye(z.shape[1])[y]


def table(case: Case, seen: Seen) -> Cause | None:
    """One sample at a time: which samples and units are wrong by the scores, and what those share."""
    found = sampled(case, seen)
    if found is None:
        return None
    yours, right, z, chosen = found
    wrong = ~same_numbers(yours, right)
    if not wrong.any():
        return None
    cause = other_slope(yours, right, z) or wrong_answers(case, wrong, chosen)
    if cause is not None:
        return cause
    here = right_classes(case, right, chosen)
    if wrong.sum() >= 3 and not wrong[~here].any():
        return Cause("right class", what=", and is 0 there" if off(yours)[here].all() else "")
    if wrong.sum() >= 3 and here.any() and not wrong[here].any() and wrong[~here].all():
        return Cause("wrong classes")
    # That of the right class is often minus the sum of the others, and wrong with them.
    silent, stopped = off(right), off(yours)
    passed, halted = wrong & silent & ~here, wrong & ~silent & ~here
    if not stopped[halted].all() or not is_kink(case, passed if passed.any() else silent, chosen):
        return None
    if not passed.any() and not (halted.any() and silent.any()):
        return None
    if here.any():
        return Cause("margin", what="met" if passed.any() else "not met")
    return Cause("relu off" if passed.any() else "relu on", what="the max(0, ·)" if z is None else "the relu")


def other_slope(yours: Array, right: Array, z: Array | None) -> Cause | None:
    """The slope of an activation that stands where another one belongs."""
    for slope, other in itertools.permutations(SLOPES if z is not None else (), 2):
        if slope in ACTIVATIONS and fits(yours * SLOPES[slope](z), right * SLOPES[other](z)):
            return Cause("slope", what=f"{other} for {slope}")
    return None


def wrong_answers(case: Case, wrong: Array, chosen: Array) -> Cause | None:
    """One of two answers, if the samples with it are those that are wrong."""
    for answers in case.held:
        if answers.size == case.samples * wrong.shape[1] and np.unique(answers).size == 2:
            low = answers.reshape(case.samples, -1)[chosen] == answers.min()
            for at, value in ((low, answers.min()), (~low, answers.max())):
                if (wrong == at).all() and not at.all():
                    return Cause("answers", what=f"{value:g}")
    return None


def right_classes(case: Case, right: Array, chosen: Array) -> Array:
    """Where the right class of each sample stands, if these are scores of classes: they add up to 0."""
    here = np.zeros(right.shape, bool)
    balanced = np.abs(right.sum(axis=1)).max() <= FIT * np.abs(right).max()
    for y in case.labelings:
        if len(y) == case.samples and y.max() < right.shape[1] and balanced:
            here = np.eye(right.shape[1], dtype=bool)[y[chosen]]
    return here


def one_by_one(case: Case, scores: Scores, chosen: Array, most: float) -> tuple[Array, Array] | None:
    """Both gradients by the scores of the chosen samples, each sample in the place of all."""
    assert scores.rows is not None
    units = case.x.size // scores.rows.shape[1]
    yours, right = np.zeros((2, len(chosen), units))
    for i in chosen:
        single, row = rows(case, np.full(case.samples, i)), scores.rows[i]
        claimed = case.claimed(single)
        if claimed is None:
            return None
        flat = (claimed.T if scores.flipped else claimed).reshape(len(row), units)
        yours[i] = row @ flat / (row @ row)
        if np.abs(np.outer(row, yours[i]) - flat).max() > most:
            return None
        for k in range(units):
            unit = Scores(scores.z, row[None] / (row @ row), scores.flipped).back(
                np.eye(units)[k : k + 1], case.x.shape
            )
            right[i, k] = case.along(single, unit)
    return yours, right


def sampled(case: Case, seen: Seen) -> tuple[Array, Array, Array | None, Array] | None:
    """Both gradients by the scores, a sample a row, if the loss is one sum over the samples.

    By x itself they are that already. By W in X @ W the gradient of one sample is its row of X times
    them, by b it is they. One sample stands in the place of all, so that their number stays.
    """
    many = case.samples
    if many < 2:
        return None
    if case.x.shape[:1] == (many,) and not any(a.shape[1:] == (many,) for a in case.held if is_data(a)):
        return seen.yours.reshape(many, -1), seen.right.reshape(many, -1), None, np.arange(many)
    scores = case.linear_scores()
    if scores is None:
        return None
    chosen = np.arange(min(many, MOST_SAMPLES))
    places = np.arange(many) % len(chosen)
    together = case.seen(rows(case, places))
    if together is None:
        return None
    tables = one_by_one(case, scores, chosen, FIT * np.abs(together.yours).max())
    if tables is None:
        return None
    yours, right = tables
    data = Scores(scores.z, scores.rows[places], scores.flipped)
    for table_of, whole in ((yours, together.yours), (right, together.right)):
        if not fits(data.back(table_of[places] / many, case.x.shape), whole):
            return None
    known = scores.z.reshape(many, -1)[chosen] if scores.z.any() else None
    return yours, right, known, chosen


def rows(case: Case, chosen: Array) -> Student:
    """The function of these samples in the place of its own."""
    of_samples = (case.samples,)
    return case.student.otherwise(lambda a: a[chosen] if a.shape[:1] == of_samples and not is_count(a) else a)


def is_kink(case: Case, silent: Array, chosen: Array) -> bool:
    """Whether most of these silent elements are not at −x: else it is the data that silence them."""
    if not silent.any():
        return False
    for leaves in ({**case.leaves, case.name: -case.x}, {name: -x for name, x in case.leaves.items()}):
        there = Case(case.student, leaves, case.name)
        seen = there.seen(there.student)
        found = None if seen is None else sampled(there, seen)
        if found is not None and len(found[3]) == len(chosen) and np.mean(~off(found[1])[silent]) >= AWAKE:
            return True
    return False


def path_slopes(case: Case, seen: Seen) -> Cause | None:
    """What is missing of a gradient that goes through the mean, or through the variance, of x."""
    gap, x = seen.yours - seen.right, seen.x
    for axis in range(x.ndim if x.ndim in (1, 2) else 0):
        if x.shape[axis] < 4:
            continue
        centered = x - x.mean(axis=axis, keepdims=True)
        mean = np.broadcast_to(gap.mean(axis=axis, keepdims=True), x.shape)
        slope = (gap * centered).sum(axis=axis, keepdims=True) / (centered**2).sum(axis=axis, keepdims=True)
        # The right gradient through a mean adds up to 0; through a variance it is orthogonal to x.
        means, variances = (
            adds_up(seen.right * by, axis) and not adds_up(seen.yours * by, axis)
            for by in (np.ones(x.shape), centered)
        )
        for kind, way, known in (
            ("mean path", mean, means),
            ("variance path", slope * centered, variances),
            ("both paths", mean + slope * centered, means and variances),
        ):
            if known and fits(way, gap):
                return Cause(kind, where=f"axis {axis}")
    return None


def adds_up(g: Array, axis: int) -> bool:
    """Whether the sums along an axis are 0, but for an ε in a variance."""
    return bool(np.abs(g.sum(axis=axis)).max() < 1e-3 * np.abs(g).sum(axis=axis).max())


def off(right: Array) -> Array:
    """Where nothing goes through."""
    return np.asarray(np.abs(right) <= 1e-6 * np.abs(right).max())


def overflow(student: Student, leaves: Leaves) -> str | None:
    """What a loss does that is the same whatever is added to all its scores, and yet not at 1 000.

    Data that are 0 leave what a penalty adds. A logistic loss is known by its gradient.
    """
    empty = student.without_data() if any(map(is_data, reads(student.fn))) else None

    def loss(name: str, moved: Array) -> float:
        point = {**leaves, name: moved}
        return student.loss(point) - (0.0 if empty is None else empty.loss(point))

    for name, x in leaves.items():
        try:
            base = loss(name, x)
            if all(abs(loss(name, x + h) - base) <= 1e-9 * abs(base) for h in (1.0, -0.5)):
                large = [student.loss({**leaves, name: x + h}) for h in (1000.0, -1000.0)]
                bad = [value for value in large if not np.isfinite(value)]
                if bad and base:
                    return f"at scores of 1 000 your loss is {abs(bad[0])}: {OVERFLOW['softmax']}"
            case = Case(student, leaves, name)
            for scores in case.scores():
                for predict, target in targets(case, scores.z) if np.any(scores.z) else ():
                    if predict != "sigmoid":
                        continue
                    yours = student(leaves)[1][name] - (case.penalty[1] if case.penalty else 0.0)
                    far = {**leaves, name: x * (1000.0 / np.abs(scores.z).max())}
                    known = ratio(yours, scores.back(logistic(scores.z) - target, x.shape))
                    if known and np.isnan(student.loss(far)):
                        return f"at scores of ±1 000 your loss is nan: {OVERFLOW['sigmoid']}"
        except Exception:  # an experiment may ask of a function what it cannot do
            continue
    return None


OVERFLOW = {
    "softmax": "subtract the row's maximum",
    "sigmoid": "write it as max(z, 0) − y z + log(1 + e^(−|z|))",
}
EXPERIMENTS = (labels, factors, turned, form, table, path_slopes)


def softened(z: Array, axis: int) -> Array:
    """Softmax along an axis."""
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return np.asarray(e / e.sum(axis=axis, keepdims=True))


def logistic(z: Array) -> Array:
    """1 / (1 + e^−z)."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * z))


PREDICTIONS: dict[str, Callable[[Array], Array]] = {
    "scores": lambda z: z, "sigmoid": logistic, "tanh": np.tanh, "softmax": lambda z: softened(z, -1),
}  # fmt: skip
SLOPES: dict[str, Callable[[Array], Array]] = {
    "1": np.ones_like,
    "σ(z)(1 − σ(z))": lambda z: logistic(z) * (1.0 - logistic(z)),
    "1 − tanh² z": lambda z: 1.0 - np.tanh(z) ** 2,
    "1/(p(1 − p))": lambda p: 1.0 / (p * (1.0 - p)),
    "σ(z)": logistic,
    "1 − σ(z)": lambda z: 1.0 - logistic(z),
    "σ(h)(1 − σ(h)), h = σ(z)": lambda z: logistic(logistic(z)) * (1.0 - logistic(logistic(z))),
    "1 − tanh² h, h = tanh z": lambda z: 1.0 - np.tanh(np.tanh(z)) ** 2,
    "1 − z²": lambda z: 1.0 - z**2,
    "z(1 − z)": lambda z: z * (1.0 - z),
}  # fmt: skip
ACTIVATIONS = ("1", "σ(z)(1 − σ(z))", "1 − tanh² z")  # those that an activation has
