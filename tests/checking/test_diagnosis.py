# ruff: noqa: E501
"""One diagnosis for all checks: the cause and the words, which are said only if they fit at two points."""

import functools
import zlib

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.checking.diagnosis import SENTENCES, Cause, diagnose, sentence
from tinygrad_lo.checking.exercise import grade
from tinygrad_lo.engine.ops import TABLE


def softmax(s, axis=1):
    e = np.exp(s - s.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def right_class(p, y, step=0):
    return p[np.arange(len(y)), (y + step) % p.shape[1]]


def cross_entropy(p, y, step=0):
    return -np.log(right_class(p, y, step)).mean()


def gradient(p, y, step=0):
    g = p.copy()
    g[np.arange(len(y)), (y + step) % p.shape[1]] -= 1.0
    return g / len(y)


def over_columns(s):
    e = np.exp(s - s.max(axis=1, keepdims=True))
    return e / e.sum(axis=0)


def same_array(s, y):
    p = softmax(s)
    g = p
    g[np.arange(len(y)), y] -= 1.0
    return cross_entropy(p, y), g / len(y)


def same_residuals(p, t):
    r = p - t
    g = r
    g *= 2.0 / r.size
    return np.mean(r**2), g


def naive(s, y):
    p = np.exp(s) / np.exp(s).sum(axis=1, keepdims=True)
    return cross_entropy(p, y), gradient(p, y)


def naive_sigmoid(z, y):
    h = 1.0 / (1.0 + np.exp(-z))
    return -np.mean(y * np.log(h) + (1 - y) * np.log(1 - h)), (h - y) / h.size


PASSES = "your loss is lo.losses.cross_entropy(...), on 3 random batches"
NOT_ITS_GRADIENT = "the loss is right, its gradient is not"
AXIS = "takes softmax over axis 0, over the samples: it belongs over the classes of each"
COPY = "is taken from an array that has become the gradient: g = p is no copy; write g = p.copy()"
COMPARED = "21 derivatives were compared with finite differences: all right"
LOSSES = {
    "labels in the loss": (lambda s, y: cross_entropy(softmax(s), y, -1), "cross_entropy", "labels",
        ["your loss has labels that are off by one: it takes class y − 1"]),
    "labels in the gradient": (lambda s, y: (cross_entropy(softmax(s), y), gradient(softmax(s), y, 1)),
        "cross_entropy", "labels",
        [PASSES, "the gradient by scores is that of other labels: they are off by one against those of the loss",
         NOT_ITS_GRADIENT]),
    "labels in both": (lambda s, y: (cross_entropy(softmax(s), y, 1), gradient(softmax(s), y, 1)),
        "cross_entropy", "labels",
        ["your loss has labels that are off by one: it takes class y + 1", "your gradient fits your loss"]),
    "labels of a margin": (lambda s, y: lo.losses.multiclass_hinge(s, (y - 1) % s.shape[1]),
        "multiclass_hinge", "labels", ["your loss has labels that are off by one: it takes class y − 1"]),
    "softmax over samples": (lambda s, y: cross_entropy(softmax(s, 0), y), "cross_entropy", "axis",
        [f"your loss {AXIS}"]),
    "softmax over samples after the maximum": (
        lambda s, y: (cross_entropy(over_columns(s), y), gradient(over_columns(s), y)), "cross_entropy", "axis",
        [f"your loss {AXIS}", f"the gradient by scores {AXIS}"]),
    "softmax over samples in the gradient": (
        lambda s, y: (cross_entropy(softmax(s), y), gradient(softmax(s, 0), y)), "cross_entropy", "axis",
        [PASSES, f"the gradient by scores {AXIS}", NOT_ITS_GRADIENT]),
    "mean over the classes": (lambda s, y: -np.log(right_class(softmax(s), y)).sum() / s.shape[1],
        "cross_entropy", "axis",
        ["your loss takes the mean over the wrong axis: it is divided by the number of classes, not of samples"]),
    "mean over the outputs": (lambda p, t: ((p - t) ** 2).mean(axis=-1).sum(), "mse", "axis",
        ["your loss takes the mean over the wrong axis: it adds up the samples and averages the outputs"]),
    "mean in the softmax": (lambda s, y: cross_entropy(np.exp(s) / np.exp(s).mean(axis=1, keepdims=True), y),
        "cross_entropy", "mean or sum", ["your loss divides e^s by the mean of the row's, where their sum belongs"]),
    "a sum and a mean": (lambda p, t: -(t * np.log(p)).mean() - ((1 - t) * np.log(1 - p)).sum(),
        "binary_cross_entropy", "mean or sum", ["your loss sums one of its two terms and averages the other"]),
    "a mean and a sum": (lambda p, t: -(t * np.log(p)).sum() - ((1 - t) * np.log(1 - p)).mean(),
        "binary_cross_entropy", "mean or sum", ["your loss sums one of its two terms and averages the other"]),
    "a constant": (lambda s, y: (cross_entropy(softmax(s), y) + 3.0, gradient(softmax(s), y)), "cross_entropy",
        "constant", ["your loss differs by the constant 3", "its gradient is right"]),
    "no maximum": (naive, "cross_entropy", "overflow",
        [PASSES, COMPARED, "at scores of 1 000 your loss is nan: subtract the row's maximum"]),
    "sigmoid, then log": (naive_sigmoid, "binary_cross_entropy_with_logits", "overflow",
        ["your loss is lo.losses.binary_cross_entropy_with_logits(...), on 3 random batches", COMPARED,
         "at scores of ±1 000 your loss is nan: write it as max(z, 0) − y z + log(1 + e^(−|z|))"]),
    "g = p": (same_array, "cross_entropy", "in place",
        [f"your gradient is right and your loss is nan: it {COPY}"]),
    "g = r": (same_residuals, "mse", "in place", [f"your loss {COPY}", "its gradient is right"]),
    "no 1 subtracted": (lambda s, y: (cross_entropy(softmax(s), y), softmax(s) / len(y)), "cross_entropy",
        "target", [PASSES, "the gradient by scores does not subtract the target: of p − y only p is there",
                   NOT_ITS_GRADIENT]),
    "no linear branch": (lambda p, t: (lo.losses.huber(p, t), (p - t) / p.size), "huber", "convention",
        ["your loss is lo.losses.huber(...), on 3 random batches",
         "the gradient by prediction is that of a loss that is ½r² everywhere: the linear branch is missing",
         NOT_ITS_GRADIENT]),
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_a_wrong_loss_is_named(name):
    fn, loss, cause, said = LOSSES[name]
    report = lo.check_loss(fn, loss)
    assert (bool(report), report.cause, report.said) == (False, cause, said), str(report)


def test_a_stable_loss_passes_at_large_scores():
    def stable(z, y):
        return np.mean(np.maximum(z, 0) - y * z + np.log1p(np.exp(-np.abs(z))))

    assert lo.check_loss(stable, "binary_cross_entropy_with_logits")
    assert lo.check_loss(
        lambda s, y: (cross_entropy(softmax(s), y), gradient(softmax(s), y)), "cross_entropy"
    )


def test_a_loss_that_differs_by_a_constant_has_a_right_gradient():
    t = np.array([1.0, 2.0, 0.5])
    report = lo.check_gradient(
        lambda p: (0.5 * ((p - t) ** 2).sum(), p - t),
        np.array([0.3, 1.2, -1.0]),
        against=lambda p: lo.losses.gaussian_nll(p, t, reduction="sum"),
    )
    assert (bool(report), report.cause) == (False, "constant")
    assert report.said[1:] == [
        "your loss is 1.69, the reference gives 4.44682: it differs by the constant −2.757; its gradient is right"
    ]


@pytest.mark.parametrize(
    ("k", "cause", "said"),
    [
        (3.0, "factor 3", "is 3 times what it should be"),
        (4.0, "mean or sum", "is 4 times what it should be: the 1/4 of a mean is missing"),
        (5.0, "factor 5", "is 5 times what it should be"),
        (7.0, "factor 7", "is 7 times what it should be"),
        (1 / 3, "factor 0.3333", "is 1/3 of what it should be"),
        (-3.0, "factor -3", "is 3 times what it should be and has the wrong sign"),
        (0.25, "mean or sum", "is 1/4 of what it should be: a mean in place of a sum"),
    ],
)
def test_gradcheck_and_check_gradient_have_one_diagnosis(k, cause, said):
    x = np.array([1.0, -2.0, 0.5, 3.0])
    before = dict(TABLE)
    square = lo.define_op("k_square", lambda x: x**2, [lambda g, y, x: g * k * 2 * x])
    by_graph = lo.gradcheck(lambda x: square(x).sum(), x)
    TABLE.clear()
    TABLE.update(before)
    by_hand = lo.check_gradient(lambda x: ((x**2).sum(), k * 2 * x), x)
    assert (by_graph.cause, by_hand.cause) == (cause, cause)
    assert by_hand.said == [f"the gradient by x {said}"]
    assert f"cause: {cause}: the gradient {said}\n" in str(by_graph)


def test_a_factor_near_one_has_its_digits():
    n = np.array([1.0, -2.5, 3.0, 0.1])
    every = np.ones(4, bool)
    for off, name in ((1e-6, "factor 1 + 1.0e-6"), (-1e-5, "factor 1 - 1.0e-5"), (2e-4, "factor 1 + 2.0e-4")):
        found = diagnose((1.0 + off) * n, n, every)
        assert found.name == name
        assert name.removeprefix("factor ") in sentence("the gradient", found)
    assert diagnose(n + np.array([1e-6, -2e-6, 1e-6, 3e-6]), n, every).name is None
    for alike, name in (([1e-6, 1e-6], "factor 1 + 1.0e-6"), ([2.2e-8, 2.1e-8], None)):  # may be rounded so
        assert diagnose((1.0 + np.array(alike)) * n[:2], n[:2], every[:2]).name == name


def test_every_kind_has_words():
    for kind in SENTENCES:
        said = sentence("the gradient", Cause(kind, 2.0, 3.0, "at [0]", "W is met"))
        assert said.startswith("the gradient")
        assert "{" not in said


# ------------------------------------------------------------------------------ nothing untested


def test_a_ratio_that_holds_at_one_point_only_is_not_said():
    report = lo.check_gradient(lambda x: (x**2, x + 4.0), 2.0)  # 6 for 4
    assert (report.cause, report.said) == (
        None,
        [
            "the gradient by x fits none of the known mistakes; compare the numbers below by hand, on a smaller input"
        ],
    )


@pytest.mark.parametrize("seed", range(40))
def test_wrong_numbers_without_a_pattern_get_no_cause(seed):
    rng = np.random.default_rng(zlib.crc32(f"no pattern {seed}".encode()))
    X, y = rng.normal(size=(6, 5)), rng.permutation([0, 1, 2, 3, 0, 1])
    spoil = rng.normal(size=(5, 4))

    def loss(W, part=0.3 * (seed % 2)):
        p = softmax(X @ W)
        wrong = X.T @ gradient(p, y) + 2.0 * part * W
        wrong = [
            wrong * (1.0 + 0.3 * np.sin(spoil + W)),
            wrong + 0.1 * spoil,
            wrong + 0.05 * np.cos(3 * W + spoil),
        ]
        return cross_entropy(p, y) + part * (W * W).sum(), wrong[seed % 3]

    report = lo.check_gradient(loss, rng.normal(size=(5, 4)))
    assert not report
    assert report.cause is None, str(report)


class Model:
    """Data where no experiment reaches it."""

    X, y = np.random.default_rng(3).normal(size=(6, 4)), np.array([0, 1, 2, 0, 1, 2])

    def loss(self, W, data=1.0, penalty=1.0):
        p = softmax(self.X @ W)
        slope = data * self.X.T @ gradient(p, self.y) + penalty * 0.2 * W
        return cross_entropy(p, self.y) + 0.1 * (W * W).sum(), slope


@pytest.mark.parametrize(
    ("data", "penalty", "cause", "said"),
    [
        (2.0, 1.0, "factor 2",
         (": its data part is twice what it should be: look for a ½, or for the 2 of a square; its regularizer is "
          "right if that is 0.2·W")),
        (-1.0, 1.0, "sign", ": its data part has the wrong sign; its regularizer is right if that is 0.2·W"),
        (1.0, 0.5, "regularizer", " differs by −0.1·W: the gradient of a regularizer is missing, or too small"),
        (1.0, 1.5, "regularizer", " differs by 0.1·W: the gradient of a regularizer is too much"),
    ],
)  # fmt: skip
def test_what_numbers_alone_can_tell(data, penalty, cause, said):
    fn = functools.partial(Model().loss, data=data, penalty=penalty)
    report = lo.check_gradient(fn, np.random.default_rng(4).normal(size=(4, 3)))
    assert (report.cause, report.said) == (cause, [f"the gradient by W{said}"])


def test_the_data_of_a_student_are_as_they_were():
    X, y = np.random.default_rng(5).normal(size=(6, 4)), np.array([0, 1, 2, 0, 1, 2])
    before = X.copy(), y.copy()

    def loss(W):
        p = softmax(X @ W)
        return cross_entropy(p, y), X.T @ (p - 0.9 * np.eye(3)[y])

    assert not lo.check_gradient(loss, np.ones((4, 3)))
    assert np.array_equal(X, before[0])
    assert np.array_equal(y, before[1])


# ------------------------------------------------------------------------------------- the report


def test_names_are_the_students_own_and_a_diagnosis_is_said_once():
    def loss(W):
        return (W**2).sum(), -2.0 * W

    at = np.array([1.0, 2.0, 3.0])
    report = lo.check_gradient(loss, at, against=lambda W: (W**2).sum())
    assert report.said == ["the gradient by W has the wrong sign"]
    assert str(report).startswith("check_gradient of loss FAILED\n  the gradient by W has")
    assert "W[0]" in str(report)
    assert str(lo.check_gradient(lambda w: loss(1.0 * w), at)).startswith("check_gradient FAILED\n")
    assert str(lo.check_loss(lambda p, t: 0.0 * p.sum(), "mse")).startswith("check_loss as mse FAILED\n")
    assert str(lo.check_step(lambda w, g, state, t: w + g, "SGD")).startswith("check_step as SGD FAILED\n")
    several = lo.check_gradient(
        lambda p: (sum((v**2).sum() for v in p), [-2.0 * v for v in p]), [at, at + 1.0]
    )
    assert several.said == ["the gradient by each of p[0] and p[1] has the wrong sign"]


def test_a_loss_off_its_reference_is_told_by_a_second_point():
    X, y = np.random.default_rng(6).normal(size=(6, 4)), np.array([0, 1, 2, 0, 1, 2])

    def loss(W, labels=y):
        return cross_entropy(softmax(X @ W), labels - 1), X.T @ gradient(softmax(X @ W), labels - 1)

    report = lo.check_gradient(
        loss,
        np.random.default_rng(7).normal(size=(4, 3)),
        against=lambda W: lo.losses.cross_entropy(X @ W, y),
    )
    assert report.cause == "labels"
    assert report.said[-1].endswith(
        "yours is that of other labels: they are off by one against those of the loss"
    )


# ---------------------------------------------------------------------------------- what is raised


def test_an_exercise_whose_code_raises_shows_the_students_line_only(capsys):
    def broken(x):
        return x[10], x  # the broken line

    assert grade("Task", lambda: lo.check_gradient(broken, np.ones(3))) == 1
    printed = capsys.readouterr().out
    assert printed.startswith(
        "Your code raised IndexError: index 10 is out of bounds for axis 0 with size 3\n"
    )
    assert printed.rstrip().endswith("return x[10], x  # the broken line")
    assert "tinygrad_lo/checking" not in printed


# ------------------------------------------------------------------------------------------ steps


def adam(of):
    def step(w, g, state, t):
        state["m"] = 0.9 * state.get("m", 0.0) + 0.1 * g
        state["v"] = 0.999 * state.get("v", 0.0) + 0.001 * of(g)
        return w - 0.001 * state["m"] / (1 - 0.9**t) / (np.sqrt(state["v"] / (1 - 0.999**t)) + 1e-8)

    return step


def rmsprop(of):
    def step(w, g, state, t):
        state["v"] = 0.9 * state.get("v", 0.0) + 0.1 * of(g)
        return w - 0.01 * g / (np.sqrt(state["v"]) + 1e-8)

    return step


def adagrad(w, g, state, t):
    state["G"] = state.get("G", 0.0) + g
    return w - 0.01 * g / np.sqrt(state["G"] + 1e-8)


@pytest.mark.parametrize(
    ("step", "name", "said"),
    [
        (adam(lambda g: g), "Adam", "averages g in v, where g² belongs: its root is nan where g is below 0"),
        (adam(np.abs), "Adam", "averages |g| in v, where g² belongs"),
        (
            rmsprop(lambda g: g),
            "RMSprop",
            "averages g in v, where g² belongs: its root is nan where g is below 0",
        ),
        (adagrad, "Adagrad", "adds up g in G, where g² belongs: its root is nan where the sum is below 0"),
    ],
)
def test_an_average_of_g_in_place_of_its_square(step, name, said):
    report = lo.check_step(step, name)
    assert (bool(report), report.cause, report.said) == (False, "convention", [f"your {name} {said}"])
