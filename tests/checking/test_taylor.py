"""The Taylor test: right gradients pass, wrong ones fail, by slopes and without a tolerance."""

import json

import numpy as np
import pytest
from graphs import random_loss, seeds

import tinygrad_lo as lo
from tinygrad_lo.errors import DTypeError, GradcheckError, NonFiniteError, ShapeError

LINEAR = (
    lambda a, b: a + b, lambda a, b: a - 0.5 * b, lambda a, b: abs(a) - b, lambda a, b: lo.nn.relu(a),
    np.maximum, lambda a, b: np.clip(a, -1, 1) + b, lambda a, b: a - a.mean(axis=0),
    lambda a, b: np.sort(a, axis=0), lambda a, b: lo.nn.leaky_relu(a), lambda a, b: a @ np.ones((3, 3)) * 0.3,
    lambda a, b: a.max(axis=1, keepdims=True) + b,
)  # fmt: skip


def linear_in_pieces(seed):
    """A random function that is linear but for kinks, and a point."""
    rng = np.random.default_rng(seed)
    chosen = [(rng.integers(len(LINEAR)), *rng.integers(0, 99, 2)) for _ in range(8)]

    def f(x):
        values = [x, x * 2.0 - 1.0]
        for kind, i, j in chosen:
            values.append(LINEAR[kind](values[i % len(values)], values[j % len(values)]))
        return (values[-1] + values[-2]).sum() + values[0].sum() * 0.01

    return f, rng.normal(size=(4, 3))


def smooth_in_pieces(seed):
    """A random graph of the tests of programs, and a point."""
    rng = np.random.default_rng(seed)
    own = int(rng.integers(1e9))
    return lambda x: random_loss(np.random.default_rng(own), [x[0], x[1]], 12), rng.uniform(
        -1.5, 1.5, (2, 4, 3)
    )


@pytest.mark.parametrize("seed", seeds(20, 100))
def test_programs_that_are_linear_in_pieces(seed):
    f, x = linear_in_pieces(seed)
    right = lo.taylor_test(f, x)
    assert right, right
    assert "the remainder is rounding: f is linear here" in right.said[0]
    wrong = lo.taylor_test(f, x, gradient=1.001 * lo.value_and_grad(f)(x)[1])
    assert not wrong, wrong
    assert wrong.cause == "gradient"


@pytest.mark.parametrize("seed", seeds(10, 200))
def test_programs_that_are_smooth_in_pieces(seed):
    f, x = smooth_in_pieces(1000 + seed)
    right = lo.taylor_test(f, x)
    assert right, right
    wrong = lo.taylor_test(f, x, gradient=1.001 * lo.value_and_grad(f)(x)[1])
    assert not wrong, wrong
    assert wrong.cause == "gradient"


def test_the_slopes_of_a_smooth_function():
    report = lo.taylor_test(lambda w: (np.sin(w) * np.exp(w)).sum(), np.array([0.3, -0.7, 1.1]))
    assert np.allclose(report.slopes, [1, 2, 3], atol=0.1)
    assert report.score == 1.0
    lines = str(report).splitlines()
    assert lines[0] == "taylor_test passed"
    assert lines[3].split() == ["step", "h", "no", "derivative", "gradient", "and", "second", "derivative"]
    assert lines[-1].split()[0] == "slope"
    assert "rounding" in str(report)


def test_a_wrong_second_derivative_is_told():
    """The rule's gradient is right; what it gives as a graph is not."""

    def rule(g, y, x):
        return g * 3 * x * (x.detach() if isinstance(x, lo.Tensor) else x)

    op = lo.define_op("taylor_cube", lambda x: x**3, [rule])
    try:
        report = lo.taylor_test(lambda w: op(w).sum(), np.array([0.5, -1.0, 2.0]))
    finally:
        lo.engine.ops.TABLE.pop("taylor_cube")
    assert not report
    assert report.cause == "second derivative"
    assert "falls as h²" in report.said[1]


def squares(p):
    return (p["W"] ** 2).sum() + (p["b"] * 3.0).sum()


def test_the_structures_of_x():
    x = {"W": np.array([[1.0, -2.0], [0.5, 3.0]]), "b": np.array([1.0, 2.0])}
    assert lo.taylor_test(squares, x)
    assert lo.taylor_test(lambda p: (p[0] * p[1]).sum(), [np.ones(3), np.arange(3.0)])
    assert lo.taylor_test(lambda w: w**3, 2.0)
    wrong = {"W": 2 * x["W"], "b": np.array([3.0, -3.0])}
    assert not lo.taylor_test(squares, x, gradient=wrong)


def test_functions_in_numpy():
    def loss(w):
        w = np.asarray(w)
        return float(np.sum(np.exp(w))), np.exp(w)

    x = np.array([0.1, 0.9])
    report = lo.taylor_test(loss, x)
    assert report
    assert len(report.slopes) == 2  # no second derivative is known
    assert str(report).startswith("taylor_test of loss passed")
    assert not lo.taylor_test(lambda w: (loss(w)[0], 2.0 * np.exp(w)), x)
    assert lo.taylor_test(lambda w: loss(w)[0], x, gradient=np.exp)


@pytest.mark.parametrize("slope", [-1.0, 0.0, 0.3, 1.0])
def test_a_kink_at_x_takes_any_slope_between_both_sides(slope):
    report = lo.taylor_test(lambda w: abs(w).sum(), np.zeros(1), gradient=np.array([slope]))
    assert report, report
    if abs(slope) < 1.0:
        assert report.said == ["x lies on a kink, and the gradient between the slopes of both sides"]
    assert not lo.taylor_test(lambda w: abs(w).sum(), np.zeros(1), gradient=np.array([1.5]))


def test_where_f_ends():
    """Steps beyond the domain are left out."""
    report = lo.taylor_test(lambda w: np.log(w).sum(), np.array([1e-3, 2.0]))
    assert report, report
    assert min(direction.steps[0] for direction in report.directions) < 0.1
    with pytest.raises(NonFiniteError, match=r"f\(x\) is"):
        lo.taylor_test(lambda w: np.log(w).sum(), np.zeros(1))


def test_the_report_as_data_and_as_an_error():
    report = lo.taylor_test(lambda w: (w**2).sum(), np.ones(3), gradient=np.full(3, 1.9))
    facts = json.loads(json.dumps(report.as_dict()))
    assert facts["passed"] is False
    assert facts["cause"] == "gradient"
    assert 0.0 <= facts["score"] < 1.0
    with pytest.raises(GradcheckError, match="the gradient is wrong"):
        report.raise_if_failed()


def test_the_plot(tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra 'examples'")
    path = lo.taylor_test(lambda w: np.exp(w).sum(), np.ones(2)).plot(tmp_path / "taylor.png")
    assert path.stat().st_size > 10_000
    assert lo.taylor_test(lambda w: (w * 2.0).sum(), np.ones(2)).plot(tmp_path / "linear.svg").exists()


@pytest.mark.parametrize(
    ("f", "x", "gradient", "error", "said"),
    [
        (3.0, np.ones(2), None, DTypeError, "the first argument is the function itself"),
        (lambda w: w * 2.0, np.ones(2), None, ShapeError, "the test is of one number"),
        (lambda w: float(np.asarray([1.0]).sum()), np.ones(2), None, DTypeError, "pass gradient="),
        (lambda w: (w**2).sum(), np.ones(2), np.ones(3), ShapeError, "has shape"),
        (lambda w: (w**2).sum(), np.array([1, 2]), None, DTypeError, "a gradient needs floating point"),
    ],
)
def test_what_cannot_be_tested_is_refused(f, x, gradient, error, said):
    with pytest.raises(error, match=said):
        lo.taylor_test(f, x, gradient=gradient)
