"""The Taylor test: right and wrong by slopes, on random programs, at kinks, and where rounding hides all."""

import json

import numpy as np
import pytest
from graphs import M, N, random_leaves, random_loss, seeds

import tinygrad_lo as lo
from tinygrad_lo.errors import DTypeError, GradcheckError, GraphError, NonFiniteError, ShapeError


def linear_loss(rng, leaves):
    """A random piecewise linear function of the leaves: sums, kinks, choices, constant products."""
    values = list(leaves)
    for _ in range(12):
        a, b = (values[i] for i in rng.integers(0, len(values), 2))
        K = rng.standard_normal((M, M)) / M
        kinds = (
            lambda a, b, K: a - 0.5 * b,
            lambda a, b, K: lo.nn.relu(a) + b,
            lambda a, b, K: np.maximum(a, b),
            lambda a, b, K: np.abs(a) - b,
            lambda a, b, K: np.clip(a, -1.0, 1.0) + b,
            lambda a, b, K: a @ K + b,
            lambda a, b, K: np.sort(a, axis=0) + 0.1 * b,
            lambda a, b, K: a - b.max(axis=1, keepdims=True),
        )
        values.append(kinds[rng.integers(len(kinds))](a, b, K))
    return values[-1].mean() + values[-2].sum(axis=1).max() + values[-3].sum()


def program(seed):
    """A random function of a dict of two arrays, piecewise linear for every third seed, and a place."""
    *_, c = random_leaves(np.random.default_rng(seed))
    make = linear_loss if seed % 3 == 0 else random_loss

    def f(x):
        loss = make(np.random.default_rng(seed), [x["a"], x["b"], c])
        return (
            loss + (x["a"] * 0.3).sum() - (x["b"] * 0.2).sum()
        )  # some of these graphs read only the constant

    rng = np.random.default_rng(seed + 5000)
    return f, {name: rng.standard_normal((N, M)) for name in "ab"}


def gradient_of(f, times):
    """The engine's gradient, times a factor."""

    def gradient(x):
        leaves = {name: lo.Parameter(data) for name, data in x.items()}
        slopes = lo.grad(f(leaves), list(leaves.values()))
        return {name: times * g for name, g in zip(leaves, slopes, strict=True)}

    return gradient


@pytest.mark.parametrize("seed", seeds(8, 300))
def test_right_programs_pass_and_a_factor_of_one_thousandth_fails(seed):
    f, x = program(seed)
    report = lo.taylor_test(f, x)
    assert report, str(report)
    assert report.score == 1.0
    wrong = lo.taylor_test(f, x, gradient=gradient_of(f, 1.001))
    assert not wrong, str(wrong)
    assert wrong.outcome == "FAILED"
    assert wrong.score < 1.0


def verdicts(report):
    return [row.verdict for row in report.rows]


def test_the_slopes_are_one_two_and_three():
    report = lo.taylor_test(lambda x: np.exp(np.sin(x)).sum(), np.array([1.0, 2.0, -0.5]))
    for row in report.rows:
        np.testing.assert_allclose([fit.slope for fit in row.fits], [1, 2, 3], atol=0.05)
        assert [fit.points for fit in row.fits] == [6, 6, 6]
    text = str(report)
    assert text.startswith("taylor_test passed\n")
    assert "slope of R1" in text
    assert repr(report) == text
    report.raise_if_failed()


def test_a_right_but_linear_function_says_that_the_remainder_is_rounding():
    report = lo.taylor_test(lambda x: lo.nn.relu(x).sum() * 3.0, np.array([1.0, -2.0]))
    assert report
    assert verdicts(report) == ["right, rounding"] * 2
    assert "where R1 is rounding, f is linear" in report.said[0]


def test_a_kink_between_is_passed_by():
    report = lo.taylor_test(lambda x: (x * x + 5.0 * lo.nn.relu(x - 1.0)).sum(), np.array(1.0 - 3e-7))
    assert report
    assert verdicts(report) == ["right"] * 2


def test_a_kink_at_x_decides_nothing_unless_the_claim_is_outside():
    x = np.array([0.0, 1.0])
    report = lo.taylor_test(lambda x: np.abs(x).sum(), x)
    assert (bool(report), report.outcome, report.score) == (False, "UNDECIDED", 0.0)
    assert "x lies on a kink" in report.said[0]
    outside = lo.taylor_test(lambda x: np.abs(x).sum(), x, gradient=np.array([5.0, 1.0]))
    assert outside.outcome == "FAILED"


@pytest.mark.parametrize(
    "f",
    [
        lambda x: 1e12 + (1e-9 * x).sum(),
        lambda x: np.sum(x.astype(np.float32) ** 2).astype(float),
        lambda x: lo.nn.softmax(x).sum(),
    ],
)
def test_what_rounding_hides_is_neither_right_nor_wrong(f):
    report = lo.taylor_test(f, np.array([1.0, 0.4, 2.0]))
    assert report.outcome == "UNDECIDED"
    with pytest.raises(GradcheckError, match="no more than its rounding"):
        report.raise_if_failed()


def test_numpy_that_rounds_to_float32_inside_is_not_called_wrong():
    report = lo.taylor_test(lambda x: float((x.astype("f") ** 2).sum()), np.ones(3), gradient=lambda x: 2 * x)
    assert report.outcome == "UNDECIDED"


def test_a_minimum_and_a_flat_place():
    assert lo.taylor_test(lambda x: (x * x).sum(), np.zeros(3))
    assert not lo.taylor_test(lambda x: (x * x).sum(), np.zeros(3), gradient=np.full(3, 1e-3))
    flat = lo.taylor_test(lambda x: (x * 0.0).sum(), np.ones(3))
    assert verdicts(flat) == ["flat"] * 2
    assert "shows little" in flat.said[0]


@pytest.mark.parametrize(
    ("times", "cause"), [(-1.0, "sign"), (2.0, "factor 2"), (0.5, "factor 0.5"), (0.0, "disconnected")]
)
def test_one_factor_of_all_is_named(times, cause):
    f = lambda x: np.sum(x**3)
    report = lo.taylor_test(f, np.array([1.0, 2.0]), gradient=lambda x: times * 3 * x**2)
    assert (bool(report), report.cause, report.score) == (False, cause, 0.0)


def test_the_wrong_array_is_told_from_the_right_one():
    X = np.array([[1.0, 2.0, -1.0], [0.5, -1.0, 3.0]])

    def loss(p):
        return np.sum((X @ p["W"] + p["b"]) ** 2)

    def gradient(p):
        r = X @ p["W"] + p["b"]
        return {"W": 2 * X.T @ r, "b": 3 * r.sum(axis=0)}

    x = {"W": np.array([[1.0, 0.3], [0.2, -1.0], [0.1, 2.0]]), "b": np.array([0.1, 0.2])}
    report = lo.taylor_test(loss, x, gradient=gradient)
    assert {row.name: row.verdict for row in report.rows} == {"W": "right", "b": "WRONG"}
    assert (report.title, report.score, report.cause) == ("taylor_test of loss", 0.5, "factor 1.5")
    facts = json.loads(json.dumps(report.as_dict()))
    assert (facts["passed"], facts["cause"], facts["score"]) == (False, "factor 1.5", 0.5)
    assert [(row["along"], row["verdict"]) for row in facts["rows"]] == [("W", "right"), ("b", "WRONG")]
    assert "along b" in str(report)
    assert lo.taylor_test(lambda p: loss({"W": p[0], "b": p[1]}), list(x.values()))


def test_functions_of_numpy_of_loops_and_of_tensors_alone():
    def loop(x):
        return sum(float(a) ** 3 for a in x)

    report = lo.taylor_test(loop, np.array([1.0, 2.0]), gradient=lambda x: 3 * x**2)
    assert report
    assert len(report.rows[0].remainders) == 2  # no second derivative
    assert lo.taylor_test(lambda x: x.relu().sum(), np.array([1.0, 2.0]), gradient=np.ones(2))


def test_a_domain_that_ends_near_by():
    assert lo.taylor_test(lambda x: np.log(x).sum(), np.array([1e-3, 10.0]))


def test_a_wrong_second_derivative_is_said_and_does_not_fail():
    cube = lo.define_op(
        "a_cube", lambda x: x**3, [lambda g, y, x: g * 3.0 * np.asarray(getattr(x, "data", x)) ** 2]
    )
    try:
        report = lo.taylor_test(lambda x: cube(x).sum(), np.array([1.0, 2.0]))
    finally:
        lo.engine.ops.TABLE.pop(cube.op.name)
    assert report
    assert "R2 falls with slope 2 only" in report.said[-1]


@pytest.mark.parametrize(("error", "said"), [(1e-9, ["R2 falls with slope 1 only: the gradient"]), (0.0, [])])
def test_a_gradient_that_is_off_by_less_than_R1_shows_leaves_the_second_derivative_alone(error, said):
    f = lambda x: np.exp(x).sum()
    report = lo.taylor_test(f, np.array([1.0, 2.0]), gradient=lambda x: np.exp(x) * (1.0 + error))
    assert report
    assert [text.partition(" is off")[0] for text in report.said] == said


def test_the_plot(tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra 'examples'")
    report = lo.taylor_test(lambda x: np.exp(x).sum(), np.array([1.0, 2.0]))
    assert report.plot(tmp_path / "taylor.png").read_bytes().startswith(b"\x89PNG")
    labels = [line.get_label() for line in report.plot().axes[0].lines]
    assert labels == ["R0: slope 1.00", "R1: slope 2.00", "R2: slope 3.00", "rounding"]


def square_and_slope(x):
    return np.sum(x * x), 2 * x


@pytest.mark.parametrize(
    ("f", "x", "gradient", "error", "text"),
    [
        (square_and_slope, np.ones(2), None, DTypeError, "a tuple of 2; for .* gradient=lambda x"),
        (lambda x: 3.0, np.ones(2), None, GraphError, "f must return a tensor, got float; give the gradient"),
        (lambda x: x * 2.0, np.ones(2), None, ShapeError, r"shape \(2,\), but a loss is one number"),
        (lambda x: np.sum(x * x), np.ones(2), np.ones(3), ShapeError, r"the gradient by x has shape \(3,\)"),
        (lambda x: np.sum(x * x), np.ones(2, int), None, DTypeError, "x is int64"),
        (lambda x: np.random.default_rng().random() + x.sum(), np.ones(2), None, GraphError, "another loss"),
        (lambda x: np.log(x).sum(), np.array([1e-14, 1.0, 5.0]), None, NonFiniteError, "every step along x"),
    ],
)
def test_what_cannot_be_tested_is_refused(f, x, gradient, error, text):
    with pytest.raises(error, match=f"taylor_test: .*{text}"):
        lo.taylor_test(f, x, gradient=gradient)
