"""gradcheck's verdicts: what lies at kinks, what is zero, what cannot be told, each in its own words."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.checking.recording import length
from tinygrad_lo.engine.ops import TABLE, elementwise
from tinygrad_lo.errors import GradcheckError
from tinygrad_lo.losses import binary_cross_entropy_with_logits, multiclass_hinge
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


@pytest.mark.parametrize(
    ("f", "x"),
    {
        "exp": (lambda x: np.exp(x).sum(), -740.0),
        "sigmoid": (lambda x: lo.nn.sigmoid(x).sum(), -740.0),
        "a loss": (lambda x: binary_cross_entropy_with_logits(x, np.zeros(1)), -740.0),
        "subnormal": (lambda x: (1e-320 * np.sin(x)).sum(), 1.0),
        "cube": (lambda x: (x**3).sum(), 1e-150),
        "square": (lambda x: (x**2).mean(), 1e-300),
        "a product that vanishes": (lambda x: (x * 1e-200 * 1e-200 * 1e300).sum(), 1.0),
    }.values(),
)
def test_what_the_smallest_floats_hide_blames_no_op(f, x):
    report = lo.gradcheck(f, np.array([x]))
    assert report.rows[0].verdict in ("UNVERIFIABLE", "ZERO")
    assert report.culprit is None
    assert report.outcome != "FAILED"


def test_what_the_smallest_floats_hide_of_a_function_in_numpy():
    report = lo.check_gradient(lambda x: (np.exp(x).sum(), np.exp(x)), np.array([-740.0]))
    assert report.outcome == "UNDECIDED"


@pytest.mark.parametrize("scale", [1e-290, 1e100, 1e160, 1e300, 1e307])
@pytest.mark.parametrize("factor", [1.0, -1.0, 1.001])
def test_numbers_whose_squares_overflow_are_judged(scale, factor):
    report = lo.check_gradient(
        lambda x: (scale * np.sin(x).sum(), factor * scale * np.cos(x)), np.array([1.0, 2.0])
    )
    assert report.outcome == ("passed" if factor == 1.0 else "FAILED")
    assert report.cause == {1.0: None, -1.0: "sign", 1.001: "factor 1.001"}[factor]


@pytest.mark.parametrize("power", [-660, 660])
def test_the_bar_of_a_sum_that_cancels_scales_with_it(power):
    def bar(scale):
        f = lambda x: (scale * ((x * 1e-3 + 1e3) - 1e3).sum(), 1e-3 * scale * np.ones(2))
        return lo.check_gradient(f, np.array([1.0, 2.0])).report.rows[0].bar / scale

    assert bar(2.0**power) == pytest.approx(bar(1.0))


def test_large_places_are_judged():
    assert lo.gradcheck(lambda x: (x**2).sum(), np.array([1e100]))
    assert lo.gradcheck(lambda x: (1.5e308 * x).sum(), np.array([0.5]))
    assert lo.taylor_test(lambda x: (x**2).sum(), np.array([1e150]))
    assert lo.taylor_test(lambda x: ((1e-200 * x) ** 2).sum(), np.array([1e200]))
    assert length([3e200, 4e200, np.inf, np.nan]) == pytest.approx(5e200)
    assert length([]) == 0.0


def x_log_x(x):
    return np.where(x < 0.0, np.nan, x * np.log(np.where(x > 0.0, x, 1.0)))


def test_an_infinite_slope_is_right_where_differences_grow_without_limit(define):
    for f, x in (
        (np.sqrt, [0.0, 1.0]),
        (lambda x: -np.sqrt(3.0 - x), [3.0, 1.0]),
        (lambda x: x**0.9, [0.0, 1.0]),
        (lambda x: 1.0 / x, [1e-300, 1.0]),
        (define("cube_root", np.cbrt, [lambda g, y, x: g / (3.0 * y * y)]), [0.0, 1.0]),
        (define("x_log_x", x_log_x, [lambda g, y, x: g * (np.log(x) + 1.0)]), [0.0, 1.0]),
    ):
        report = lo.gradcheck(f, np.array(x))
        assert report.count("FAIL") == 0
        assert verdicts(report)[0] == "UNVERIFIABLE"
        assert report.rows[0].note == "the slope is infinite here, which no difference can show"
    # Beside one, other mistakes are found, and no cause is read off it.
    report = lo.gradcheck(lambda x: (np.sqrt(x) + x * x.detach()).sum(), np.array([0.0, 1.0, 3.0]))
    assert verdicts(report) == ["UNVERIFIABLE", "FAIL", "FAIL"]
    assert (report.cause, report.culprit) == (None, None)
    half_root = define("half_root", np.sqrt, [lambda g, y, x: g * 0.25 / y])
    report = lo.gradcheck(half_root, np.array([0.0, 1.0, 2.0, 3.0]))
    assert (report.cause, report.culprit) == ("factor 0.5", "half_root")


@pytest.mark.parametrize(
    ("name", "forward", "rule"),
    [
        ("minus_root", np.sqrt, lambda g, y, x: -g * 0.5 / y),
        ("steep_sine", np.sin, lambda g, y, x: g * np.cos(x) / np.abs(np.sign(x))),
        ("steep_square", np.square, lambda g, y, x: g * 2.0 * x + 1.0 / x - 1.0 / x),
    ],
)
def test_an_infinite_slope_that_is_none_fails_and_is_named(define, name, forward, rule):
    op = define(name, forward, [rule])
    one_of_many = np.linspace(0.1, 2.0, 1000)
    one_of_many[777] = 0.0
    for x in (np.array([0.0, 1.0]), np.zeros(1000), one_of_many):
        report = lo.gradcheck(op, x)
        assert (report.outcome, report.cause, report.culprit) == ("FAILED", "not finite", name)
    assert (777,) in [row.index for row in report.rows if row.verdict == "FAIL"]


def test_infinite_slopes_among_many_are_looked_at_alone():
    assert not lo.gradcheck(np.sqrt, np.zeros(1000)).count("FAIL")


def test_where_0_meets_an_infinite_slope_the_op_is_said_and_not_blamed():
    report = lo.gradcheck(lambda x: np.where(x > 0.0, np.sqrt(x), 0.0 * x), np.array([0.0, 1.0]))
    assert (report.cause, report.culprit) == ("not finite", None)
    assert report.rows[0].note.startswith("0 meets an infinite slope in sqrt, called at ")


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
