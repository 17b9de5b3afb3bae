"""Why a student's gradient is wrong, by trying: without data, with other labels, one sample at a time.

What is said of a mistake has been seen to fit at two points.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from tinygrad_lo.checking.case import FIT, Case, Scores, Seen, combination, fits, is_count, nearby, ratio
from tinygrad_lo.checking.diagnosis import Cause, close, diagnose
from tinygrad_lo.checking.student import Change, Leaves, Student, attempt, is_data
from tinygrad_lo.engine.graph import Array
from tinygrad_lo.nn import sigmoid, softmax

AWAKE = 0.8  # the share of what a kink silences that is not silent on its other side; a bias keeps some so
MOST_SAMPLES = 8  # samples of a batch that are looked at one by one
# What the numbers name at a glance, and what needs no experiment.
GLANCE = ("not finite", "disconnected", "/flat", "sign", "factor", "mean or sum")
SURE = (*GLANCE, "regularizer", "transpose", "transpose/turned")


def explained(student: Student, leaves: Leaves, name: str, excused: Array, places: Any) -> Cause | None:
    """The mistake in the gradient by one array, seen at a second point, too; what is excused shows none."""
    point = nearby(student, leaves)
    if point is None:
        return None
    here, there = Case(student, leaves, name, places), Case(student, point, name, places)
    first, second = here.whole, there.whole
    first = Seen(first.yours, np.where(excused, first.yours, first.right))
    with np.errstate(all="ignore"):
        for cause, again in ((a, b) for a in causes(here, first) for b in causes(there, second)):
            if cause.agrees(again):
                return cause if cause.where == again.where and places is ... else replace(cause, where="")
    return None


def causes(case: Case, seen: Seen) -> Iterator[Cause]:
    """What may be wrong at one point, the plainest first: of the whole, then of the data part."""
    if case.penalty is None:  # what is left of a target may look like one
        yield from data_causes(case, seen, None if case.compared else case.x[case.places])
        return
    whole, part = diagnosed(case, seen), case.penalty.cause
    if whole is not None and whole.kind in GLANCE and not whole.where:
        yield other_mean(case, whole)
    data = case.without_penalty(seen, case.x[case.places])
    if data.wrong.any():
        yield from (replace(cause, penalty=part) for cause in data_causes(case, data))
    elif part.kind != "regularizer/right":
        yield part


def data_causes(case: Case, seen: Seen, x: Array | None = None) -> Iterator[Cause]:
    """The mistake in what does not come from a penalty: what numbers say, then what experiments do."""
    cause = diagnosed(case, seen, x)
    if cause is not None and cause.kind in SURE:
        yield other_mean(case, cause)
        if cause.kind not in GLANCE:
            return
        cause = None
    whole = case.places is ... and seen.wrong.any()  # what none of them can see, none explains
    tried = (experiment(case, seen) for experiment in EXPERIMENTS if whole)
    yield from itertools.islice(filter(None, itertools.chain(tried, [cause])), 1)


def diagnosed(case: Case, seen: Seen, x: Array | None = None) -> Cause | None:
    """What numbers and sizes say."""
    wrong = seen.wrong if seen.wrong.any() else seen.yours != seen.right
    return diagnose(seen.yours, seen.right, wrong, x, case.sizes, case.name)


def other_mean(case: Case, cause: Cause) -> Cause:
    """A factor that is a quotient of sizes: with one sample less it is another one."""
    many, sizes = case.samples, [size for size in case.sizes if size not in (1, case.samples)]
    size = next((size for size in sizes if close(cause.amount, many / size)), None)
    if cause.kind != "factor" or size is None:
        return cause
    fewer = case.student.otherwise(lambda a: a[:-1] if a.shape[:1] == (many,) else a)
    seen = attempt(case.seen, fewer, case.leaves, case.places)
    now = seen and ratio(*seen)
    moves = now is not None and close(now, (many - 1) / size)
    return Cause("axis/mean", cause.amount, many, what=f"{size}") if moves else cause


def labels(case: Case, seen: Seen) -> Cause | None:
    """Other labels: with labels moved the other way the gradient is right."""
    here = case.student(case.leaves)[1][case.name]
    for cause, moved in case.relabeled():
        there = attempt(moved, case.leaves)
        if there is not None and fits(seen.yours + there[1][case.name] - here, seen.right):
            return cause
    return None


def other_arrays(case: Case, seen: Seen) -> Cause | None:
    """Another array, with which the gradient is right if it is all ones, or symmetric."""

    def right_with(other: str, data: Array, times: float = 1.0) -> bool:
        there = attempt(case.seen, case.student, {**case.leaves, other: data})
        return there is not None and fits(times * there.yours, there.right)

    for other, data in case.leaves.items():
        if other == case.name:
            continue
        if data.shape in ((), case.x.shape[-1:], case.x.shape) and right_with(other, np.ones_like(data)):
            for kind, times in (("left out", 2.0), ("twice", 0.5)):
                if right_with(other, np.full_like(data, 2.0), times):
                    return Cause(kind, what=other)
        if data.ndim == 2 and data.T.shape == data.shape != (1, 1) and right_with(other, (data + data.T) / 2):
            return Cause("transpose/taken for it", what=other)
    return None


def form(case: Case, seen: Seen) -> Cause | None:
    """The gradient of a usual loss, k·(prediction − target)·slope by the scores, with one part wrong."""
    for scores in case.scores():
        z, back = scores.z, functools.partial(scores.back, shape=case.x.shape)
        for predict, target in targets(case, z):
            if predict is softmax:
                columns = (softmax(z - top, axis=0) for top in (0.0, z.max(axis=1, keepdims=True)))
                if any(ratio(seen.yours, back(p - target)) for p in columns):
                    return Cause("axis", what="softmax")
            if (cause := usual_form(seen, z, predict(z), target, back)) is not None:
                return cause
    return None


def usual_form(seen: Seen, z: Array, predicted: Array, target: Array, back: Change) -> Cause | None:
    """The same for one prediction and target, whose gradient by the array is `back` of that by z."""
    for slope, by in SLOPES.items():
        k = ratio(seen.right, back((predicted - target) * by(z)))
        if k is None:
            continue
        for other, instead in SLOPES.items():
            if other != slope and fits(seen.yours, k * back((predicted - target) * instead(z))):
                return Cause("slope", what=f"{other} for {slope}")
        pair = combination(seen.yours, *(k * back(part * by(z)) for part in (predicted, target)))
        if pair is not None:
            return Cause("target", float(pair[0]), float(-pair[1]))
    return None


def targets(case: Case, z: Array) -> Iterator[tuple[Callable[..., Array], Array]]:
    """What scores may be compared with, and after which function."""
    for a in case.held:
        if a.shape == z.shape and z.ndim:
            t = a.astype(float)
            yield from ((predict, t) for predict in PREDICTIONS if z.ndim == 2 or predict is not softmax)
            if np.isin(t, (-1.0, 1.0)).all():
                yield sigmoid, (t + 1.0) / 2.0
    for y in case.labelings if z.ndim == 2 else ():
        if len(y) == len(z) and y.max() < z.shape[1]:
            yield softmax, np.eye(z.shape[1])[y]


Samples = tuple[Seen, Array | None]  # both gradients by the scores, a row for each; the scores, if known


def by_sample(case: Case, seen: Seen) -> Cause | None:
    """One sample at a time: which samples and units are wrong by the scores, and what those share."""
    by_scores = attempt(sampled, case, seen)
    if by_scores is None or not (wrong := by_scores[0].wrong).any():
        return None
    (yours, right), z = by_scores
    for slope, other in itertools.permutations(SLOPES if z is not None else (), 2):
        if slope in ACTIVATIONS and fits(yours * SLOPES[slope](z), right * SLOPES[other](z)):
            return Cause("slope", what=f"{other} for {slope}")
    return wrong_answers(case, wrong) or wrong_units(case, by_scores[0], z, wrong)


def wrong_answers(case: Case, wrong: Array) -> Cause | None:
    """One of two answers, where it alone is wrong."""
    for answers in case.held:
        if answers.size == case.samples * wrong.shape[1] and np.unique(answers).size == 2:
            for value in np.unique(answers):
                at = answers.reshape(case.samples, -1)[: len(wrong)] == value
                if (wrong == at).all() and not at.all():
                    return Cause("some elements/answers", what=f"{value:g}")
    return None


def wrong_units(case: Case, by_scores: Seen, z: Array | None, wrong: Array) -> Cause | None:
    """The right class of each sample alone, or the others alone, or where a kink stops the gradient."""
    yours, right = by_scores
    here = right_classes(case, right)
    if wrong.sum() >= 3 and not wrong[~here].any():
        return Cause("some elements/right class", what=", and is 0 there" if off(yours)[here].all() else "")
    if wrong.sum() >= 3 and here.any() and not wrong[here].any() and wrong[~here].all():
        return Cause("some elements/wrong classes")
    return wrong_at_kink(case, by_scores, "the max(0, ·)" if z is None else "the relu", wrong, here)


def wrong_at_kink(case: Case, by_scores: Seen, kink: str, wrong: Array, here: Array) -> Cause | None:
    """The mask of a kink, passed or met where it should not be; `here` are the right classes."""
    yours, right = by_scores
    # The gradient of the right class is often minus the sum of the others, and wrong with them.
    silent = off(right)
    passed, halted = wrong & silent & ~here, wrong & ~silent & ~here
    passes, halts = bool(passed.any()), bool(halted.any() and silent.any())
    if not (passes or halts) or not off(yours)[halted].all():
        return None
    if not is_kink(case, passed if passes else silent):
        return None
    if here.any():
        return Cause("some elements/margin", what="met" if passes else "not met")
    return Cause("some elements/off" if passes else "some elements/on", what=kink)


def right_classes(case: Case, right: Array) -> Array:
    """Where the right class of each sample stands, if these are scores of classes: they add up to 0."""
    here = np.zeros(right.shape, bool)
    balanced = np.abs(right.sum(axis=1)).max() <= FIT * np.abs(right).max()
    for y in case.labelings:
        if len(y) == case.samples and y.max() < right.shape[1] and balanced:
            here = np.eye(right.shape[1], dtype=bool)[y[: len(right)]]
    return here


def sampled(case: Case, seen: Seen) -> Samples | None:
    """Both gradients by the scores, a sample a row, if the loss is one sum over the samples.

    By W in X @ W the gradient of one sample is its row of X times them, by b it is they. One sample
    stands in the place of all, so that their number stays.
    """
    many = case.samples
    if many < 2:
        return None
    if case.x.shape[:1] == (many,) and not any(a.shape[1:] == (many,) for a in case.held if is_data(a)):
        return Seen(seen.yours.reshape(many, -1), seen.right.reshape(many, -1)), None
    linear = (scores for scores in case.scores() if scores.rows is not None and len(scores.rows) == many)
    # A bias may stand further on, where z is unknown.
    further = Scores(np.zeros((many, 1)), np.ones((many, 1))) if case.x.ndim == 1 else None
    scores = next(linear, further)
    return None if scores is None else one_by_one(case, scores)


def one_by_one(case: Case, scores: Scores) -> Samples | None:
    """Both gradients by the scores of the first samples, where what these give for all adds up."""
    assert scores.rows is not None
    many = case.samples
    few = min(many, MOST_SAMPLES)
    singles = []
    for i, row in enumerate(scores.rows[:few]):
        column = int(np.abs(row).argmax())
        single = case.seen(rows(case, np.full(many, i)), places=scores.places(column))
        singles.append(np.stack(single).reshape(2, -1) / row[column])
    yours, right = np.stack(singles, 1)
    places = np.arange(many) % few
    data = Scores(scores.z, scores.rows[places], scores.flipped)
    for samples, whole in zip((yours, right), case.seen(rows(case, places)), strict=True):
        if not fits(data.back(samples[places] / many, case.x.shape), whole):
            return None
    return Seen(yours, right), scores.z.reshape(many, -1)[:few] if scores.z.any() else None


def rows(case: Case, chosen: Array) -> Student:
    """The function of these samples in the place of its own."""
    of_samples = (case.samples,)
    return case.student.otherwise(lambda a: a[chosen] if a.shape[:1] == of_samples and not is_count(a) else a)


def is_kink(case: Case, silent: Array) -> bool:
    """Whether most of these silent elements are not at −x: else it is the data that silence them."""
    for leaves in ({**case.leaves, case.name: -case.x}, {name: -x for name, x in case.leaves.items()}):
        there = replace(case, leaves=leaves)
        by_scores = attempt(lambda case=there: sampled(case, case.seen(case.student)))
        right = None if by_scores is None else by_scores[0].right
        if right is not None and right.shape == silent.shape and np.mean(~off(right)[silent]) >= AWAKE:
            return True
    return False


def path_slopes(case: Case, seen: Seen) -> Cause | None:
    """What is missing of a gradient that goes through the mean, or through the variance, of x."""
    gap, x = seen.yours - seen.right, case.x

    def adds_up(g: Array) -> bool:  # to 0, but for an ε in a variance
        return bool(np.abs(g.sum(axis=axis)).max() < 1e-3 * np.abs(g).sum(axis=axis).max())

    for axis in [axis for axis in range(x.ndim) if x.ndim <= 2 and x.shape[axis] >= 4]:
        total = functools.partial(np.sum, axis=axis, keepdims=True)
        ways = {"mean": np.ones(x.shape), "variance": x - x.mean(axis=axis, keepdims=True)}
        # The right gradient through a mean adds up to 0; through a variance it is orthogonal to x.
        missing = {
            name: by * total(gap * by) / total(by * by)
            for name, by in ways.items()
            if adds_up(seen.right * by) and not adds_up(seen.yours * by)
        }
        paths = {**missing, "both": sum(missing.values())} if len(missing) == 2 else missing
        for name, path in paths.items():
            if fits(path, gap):
                return Cause(f"path/{name}", where=f"axis {axis}")
    return None


def off(right: Array) -> Array:
    """Where nothing goes through."""
    return np.asarray(np.abs(right) <= 1e-6 * np.abs(right).max())


EXPERIMENTS = (labels, other_arrays, form, by_sample, path_slopes)


def overflow(student: Student, leaves: Leaves) -> str | None:
    """What a loss of scores does at ±1 000, where it need not be nan or inf; None if it does nothing."""
    cases = [Case(student, leaves, name) for name in leaves]
    tried = (attempt(stress, case) for case in cases for stress in (softmax_overflow, sigmoid_overflow))
    return next(filter(None, tried), None)


def softmax_overflow(case: Case) -> str | None:
    """Of a loss that is the same whatever is added to all its scores."""
    # Data that are 0 leave what a penalty adds.
    empty = case.student.without_data() if any(map(is_data, case.held)) else None

    def loss(h: float) -> float:
        point = {**case.leaves, case.name: case.x + h}
        return case.student.loss(point) - (0.0 if empty is None else empty.loss(point))

    base = loss(0.0)
    if not base or not all(abs(loss(h) - base) <= 1e-9 * abs(base) for h in (1.0, -0.5)):
        return None
    bad = [value for value in map(loss, (1000.0, -1000.0)) if not np.isfinite(value)]
    return f"at scores of 1 000 your loss is {abs(bad[0])}: {OVERFLOW['softmax']}" if bad else None


def sigmoid_overflow(case: Case) -> str | None:
    """Of a logistic loss, which is known by its gradient."""
    claimed = case.student(case.leaves)[1][case.name]
    yours = case.without_penalty(Seen(claimed, claimed), case.x).yours
    for scores in case.scores():
        z = scores.z
        for predict, target in targets(case, z) if np.any(z) else ():
            if predict is sigmoid and ratio(yours, scores.back(sigmoid(z) - target, case.x.shape)):
                far = {**case.leaves, case.name: case.x * (1000.0 / np.abs(z).max())}
                spoiled = np.isnan(case.student.loss(far))
                return f"at scores of ±1 000 your loss is nan: {OVERFLOW['sigmoid']}" if spoiled else None
    return None


OVERFLOW = {
    "softmax": "subtract the row's maximum",
    "sigmoid": "write it as max(z, 0) − y z + log(1 + e^(−|z|))",
    "cosh": "write it as |r| + log(1 + e^(−2|r|)) − log 2",
}
PREDICTIONS: tuple[Callable[..., Array], ...] = (np.asarray, sigmoid, np.tanh, softmax)
SLOPES: dict[str, Callable[[Array], Array]] = {
    "1": np.ones_like,
    "σ(z)(1 − σ(z))": lambda z: sigmoid(z) * (1.0 - sigmoid(z)),
    "1 − tanh² z": lambda z: 1.0 - np.tanh(z) ** 2,
    "1/(p(1 − p))": lambda p: 1.0 / (p * (1.0 - p)),
    "σ(z)": sigmoid,
    "1 − σ(z)": lambda z: 1.0 - sigmoid(z),
    "σ(h)(1 − σ(h)), h = σ(z)": lambda z: sigmoid(sigmoid(z)) * (1.0 - sigmoid(sigmoid(z))),
    "1 − tanh² h, h = tanh z": lambda z: 1.0 - np.tanh(np.tanh(z)) ** 2,
    "1 − z²": lambda z: 1.0 - z**2,
    "z(1 − z)": lambda z: z * (1.0 - z),
}  # fmt: skip
ACTIVATIONS = ("1", "σ(z)(1 − σ(z))", "1 − tanh² z")  # those that an activation has
