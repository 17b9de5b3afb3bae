"""gradcheck's verdicts: what lies at kinks, what is zero, what cannot be told, each in its own words."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.engine.ops import TABLE, elementwise
from tinygrad_lo.errors import GradcheckError
from tinygrad_lo.losses import multiclass_hinge
from tinygrad_lo.nn import batch_norm

X = np.array([[0.3, -1.2, 0.8], [2.5, 0.4, -0.7]])


@pytest.fixture
def define():
    before = dict(TABLE)
    yield lo.define_op
    TABLE.clear()
    TABLE.update(before)


def verdicts(report):
    return [row.verdict for row in report.rows]


# ----------------------------------------------------------------------------------------- kinks


def test_kinks_are_recognized():
    report = lo.gradcheck(lambda x: elementwise.relu(x).sum(), np.array([0.0, 1.0, -1.0]))
    assert report
    assert verdicts(report) == ["KINK", "OK", "ZERO"]
    assert "1 lie at kinks" in str(report)


@pytest.mark.parametrize("f", [lambda x: np.abs(x).sum(), lambda x: np.maximum(x, 0.0).sum(), np.max])
def test_a_kink_where_the_gradient_is_the_central_slope_agrees(f):
    assert lo.gradcheck(f, np.array([0.0, 0.0, -1.0]))


@pytest.mark.parametrize("slope", [0.0, 0.3, 1.0])
def test_every_slope_between_the_one_sided_ones_is_right(define, slope):
    some = define(
        "some_relu", lambda x: np.maximum(x, 0.0), [lambda g, y, x: g * np.where(x == 0, slope, x > 0)]
    )
    report = lo.gradcheck(lambda x: some(x).sum(), np.array([0.0, 1.0]))
    assert verdicts(report) == ["KINK", "OK"]


def test_the_hinge_at_its_kinks_passes():
    report = lo.gradcheck(lambda s: multiclass_hinge(s, [0]), np.array([[10.0, 9.0, 9.0]]))
    assert report
    assert "KINK" in verdicts(report)


@pytest.mark.parametrize("slope", [1.5, -0.5])
def test_a_slope_outside_the_kink_fails(define, slope):
    wrong = define(
        "wrong_relu", lambda x: np.maximum(x, 0.0), [lambda g, y, x: g * np.where(x == 0, slope, x > 0)]
    )
    assert not lo.gradcheck(lambda x: wrong(x).sum(), np.array([0.0, 1.0]))


def test_curvature_is_no_kink(define):
    """Around the bottom of x² the one-sided slopes differ, too, but their jump shrinks with h."""
    wrong = define("wrong_square", lambda x: x**2, [lambda g, y, x: g * (2 * x + 5e-7)])
    report = lo.gradcheck(lambda x: wrong(x).sum(), np.array([0.0, 1.0]))
    assert verdicts(report) == ["FAIL", "FAIL"]
    assert not any("on the left" in row.note for row in report.rows)


def test_a_kink_prints_both_slopes():
    report = lo.gradcheck(lambda x: np.maximum(x, 0.25 * x).sum(), np.array([0.0]))
    assert report.rows[0].note == "0.25 on the left, 1 on the right, 0.625 claimed"
    assert "KINK: 0.25 on the left, 1 on the right, 0.625 claimed" in str(report)


def test_where_kinks_meet_the_engine_gives_a_slope_that_is_none():
    """All rules are right, and the result is not: said, and not counted as verified."""

    def f(x):
        return (elementwise.relu(x) - elementwise.relu(-x)).sum()

    report = lo.gradcheck(f, np.array([0.0, 0.5]))
    assert report
    assert verdicts(report) == ["MEET", "OK"]
    assert "1 lie where kinks meet" in str(report)
    assert "kinks meet: the slope is 1, the engine gives 0; every rule is right" in str(report)
    alone = lo.gradcheck(f, np.array([0.0]))
    assert not alone
    assert "gradcheck UNDECIDED: no derivative could be verified: kinks meet" in str(alone)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: (np.abs(x) * np.abs(x)).sum(),
        lambda x: (np.maximum(x, -x) ** 2).sum(),
        lambda x: (elementwise.relu(x) ** 2 + elementwise.relu(-x) ** 2).sum(),
    ],
)
def test_a_second_derivative_lost_at_a_kink_is_no_subgradient(f):
    """The function is x², smooth, and its curvature 2; the engine's is 0."""
    report = lo.gradcheck(f, np.array([0.0]), order=2)
    assert [row.verdict for row in report.rows if row.order == 2] == ["FAIL"]
    assert lo.gradcheck(f, np.array([0.0]))


def test_a_second_derivative_that_is_kept_at_a_kink_passes():
    report = lo.gradcheck(lambda x: (np.abs(x) ** 2).sum(), np.array([0.0]), order=2)
    assert [row.verdict for row in report.rows] == ["ZERO", "OK"]


def test_where_the_curvature_jumps_any_between_is_right():
    report = lo.gradcheck(lambda x: (elementwise.relu(x) ** 2).sum(), np.array([0.0]), order=2)
    assert verdicts(report) == ["ZERO", "KINK"]


# -------------------------------------------------------------------------------- unverifiable


def test_what_drowns_in_noise_is_counted_and_not_passed():
    report = lo.gradcheck(lambda x: 1e12 + (1e-9 * x).sum(), X)
    assert not report
    assert set(verdicts(report)) == {"UNVERIFIABLE"}
    head = str(report).splitlines()[0]
    assert head.startswith("gradcheck UNDECIDED: no derivative could be verified: f (1e+12) rounds to")
    assert "FAILED" not in str(report)
    with pytest.raises(GradcheckError, match="UNDECIDED: no derivative could be verified"):
        report.raise_if_failed()


def test_zero_on_both_sides_is_said():
    report = lo.gradcheck(lambda x: (x[0] * 2.0).sum(), X)
    assert verdicts(report) == ["OK"] * 3 + ["ZERO"] * 3
    assert "3 are zero" in str(report)
    assert "ZERO: f does not move" in str(report)


def test_zero_of_terms_that_cancel_is_said():
    report = lo.gradcheck(lambda x: batch_norm(x).sum(), X)
    assert report
    assert set(verdicts(report)) == {"ZERO"}
    assert "ZERO: terms up to" in str(report)


def test_a_report_without_rows_is_no_pass():
    """True means: something was verified."""
    assert not lo.gradcheck(lambda x: x.sum(), np.zeros(0))
