"""The judge on functions that checkers stumble over: no alarm where all is right, small errors named.

Parts of the batteries; tests/benchmarks/gradcheck.py runs all of them and prints the table.
"""

import numpy as np
import pytest
from right_gradients import (
    CANCELLED,
    LEVEL,
    as_pair,
    cancelled,
    forgets_eps,
    has_gradient,
    planted,
    right,
    right_ones,
    rules_of,
)

import tinygrad_lo as lo
from tinygrad_lo.checking.differences import EPS, Noise, judge
from tinygrad_lo.losses import cross_entropy, multiclass_hinge, squared_hinge
from tinygrad_lo.nn import batch_norm

X = np.array([[0.3, -1.2, 0.8], [2.5, 0.4, -0.7]])


def outcome(report):
    """The word of a report of either kind."""
    return str(report).split("\n")[0].split(":")[0].split()[-1]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", CANCELLED)
def test_a_sum_that_cancels_has_gradient_zero(name, seed):
    f, x = cancelled(name, seed)
    assert lo.gradcheck(f, x)
    assert lo.check_gradient(as_pair(f), x)
    _, g = as_pair(f)(x)
    wrong = g + 1e-8
    assert not lo.check_gradient(lambda v: (as_pair(f)(v)[0], wrong), x)


@pytest.mark.parametrize("name", LEVEL)
def test_slope_zero_where_the_curvature_jumps_or_ends(name):
    f, x = LEVEL[name]
    report = lo.gradcheck(f, x)
    assert report, str(report)
    assert lo.check_gradient(as_pair(f), x)


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (lambda s: squared_hinge(s, np.array([1, 1])), np.array([1.0, 0.3])),
        (lambda s: multiclass_hinge(s, [0], power=2), np.array([[2.0, 1.0, 0.7]])),
        (lambda x: (x * np.abs(x)).sum(), np.array([0.0, 0.5])),
    ],
)
def test_a_slope_that_is_not_zero_there_fails(f, x):
    shift = 1e-7 * (as_pair(f)(x)[1] == 0)

    def wrong(v):
        value, g = as_pair(f)(v)
        return value, g + shift

    assert not lo.check_gradient(wrong, x)


@pytest.mark.parametrize(
    ("slope", "right"), [(0.0, True), (0.7, True), (2.0, True), (-0.05, False), (2.05, False), (2.3, False)]
)
def test_a_slope_just_outside_of_those_of_a_kink_fails(slope, right):
    """However much else is added up: no step is so small that rounding hides how far outside it is."""

    def relu(x):
        return 2.0 * np.maximum(x, 0.0).sum() + 6.0, np.array([slope, 2.0, 0.0])

    assert bool(lo.check_gradient(relu, np.array([0.0, 1.0, -1.0]))) is right


@pytest.mark.parametrize(("kind", "sort", "seed"), right_ones(315, first=7))
def test_right_losses_raise_no_alarm_at_any_scale(kind, sort, seed):
    f, x = right(kind, sort, seed)
    if not has_gradient(f, x):
        return
    report = lo.gradcheck(f, x)
    assert outcome(report) != "FAILED", str(report)
    assert report or sort in ("small beside 1e6", "saturated", "scaled inputs", "offset inputs"), str(report)


@pytest.mark.parametrize("factor", [1 + 5e-5, 1 + 1e-5, 1 - 1e-6, 1 + 1e-7])
def test_rules_that_are_wrong_by_a_little_are_caught_and_named(factor):
    def f(x):
        return cross_entropy(np.tanh(x) @ X.T, [0, 1]) + (x * x).mean()

    for op, i in rules_of(f, X):
        before = as_pair(f)(X)[1]
        with planted(op, i, factor):
            if np.abs(as_pair(f)(X)[1] - before).max() < 0.1 * abs(factor - 1) * np.abs(before).max():
                continue
            report = lo.gradcheck(f, X)
        assert not report
        assert report.culprit == op.name


@pytest.mark.parametrize("seed", range(20))
def test_an_eps_forgotten_in_the_backward_of_a_normalization_is_caught(seed):
    x = np.random.default_rng(seed).standard_normal((4, 3))
    report = lo.check_gradient(forgets_eps, x)
    assert any(row.verdict == "FAIL" for row in report.rows)
    assert lo.check_gradient(lambda v: forgets_eps(v, eps=1e-5), x)


def test_without_a_graph_the_rounding_of_the_values_is_measured():
    """Σ x + 1e6 − 1e6 is rounded like a million: its last digits are no slope."""

    def f(x):
        return np.sum(x * x + 1e6) - 6e6, 2.0 * x

    report = lo.check_gradient(f, X)
    assert report, str(report)


def test_claims_at_kinks_that_meet_are_doubted_and_a_plain_mistake_there_is_not():
    def sorted_sum(x):
        order = np.argsort(x, kind="stable")
        weights = np.array([0.5, 1.5, 0.7])
        g = np.zeros(3)
        g[order] = weights
        return weights @ x[order], g

    report = lo.check_gradient(sorted_sum, np.array([1.0, 1.0, 1.0]))
    assert [row.verdict for row in report.rows].count("FAIL") == 0
    assert [row.verdict for row in report.rows].count("MEET") == 1

    def relu(x):
        return np.maximum(x, 0.0).sum(), np.where(x == 0, 5.0, x > 0)

    wrong = lo.check_gradient(relu, np.array([0.0, 0.0, 1.0]))
    assert [row.verdict for row in wrong.rows] == ["FAIL", "FAIL", "OK"]


# ------------------------------------------------------------------------------ the judge alone


def verdict(f, claimed, x=0.0, size=None):
    noise = Noise(EPS, abs(f(x)))
    return judge(lambda h: f(x + h), f(x), claimed, abs(x) if size is None else size, 1e-4, noise).verdict


@pytest.mark.parametrize(
    ("f", "claimed", "x", "word"),
    [
        (np.sin, 1.0, 0.0, "OK"),
        (np.sin, 1.0 + 1e-8, 0.0, "FAIL"),
        (np.cos, 0.0, 0.0, "ZERO"),
        (np.exp, np.exp(3.0), 3.0, "OK"),
        (lambda x: np.sin(1e6 * x), 1e6 * np.cos(1e6), 1.0, "OK"),
        (lambda x: np.sin(1e6 * x), 1.0, 1.0, "FAIL"),
        (lambda x: x + 1e-9 * np.sin(1e6 * x), 1.0 + 1e-3, 0.0, "OK"),
        (lambda x: x + 1e-9 * np.sin(1e6 * x), 1.0, 0.0, "FAIL"),
        (lambda x: np.sqrt(x * x + 1e-12), 0.0, 0.0, "ZERO"),
        (np.log, 1e20, 1e-20, "OK"),
        (np.log, 1.001e20, 1e-20, "FAIL"),
        (np.sqrt, 0.5e10, 1e-20, "OK"),
        (abs, 0.7, 0.0, "KINK"),
        (abs, 1.1, 0.0, "FAIL"),
        (abs, 1.0, 1e-9, "OK"),
        (abs, 0.0, 1e-9, "FAIL"),
        (lambda x: np.maximum(x - 1e-5, 0.0), 0.0, 0.0, "ZERO"),
        (lambda x: x * abs(x), 0.0, 0.0, "ZERO"),
        (lambda x: x * abs(x), 1e-6, 0.0, "FAIL"),
        (lambda x: 1.0 * (x > 0) + x, 1.0, 0.0, "KINK"),
        (lambda x: 1.0 * (x > 0) + x, 3.0, 0.0, "FAIL"),
        (lambda x: 1.0 * (x > 1e-4) + x, 1.0, 0.0, "OK"),
        (lambda x: 1e12 + 1e-9 * x, 1e-9, 0.0, "UNVERIFIABLE"),
        (np.sin, np.nan, 0.0, "FAIL"),
        (np.sin, np.inf, 0.0, "FAIL"),
        (lambda x: x if x >= 0 else np.nan, 1.0, 0.0, "UNVERIFIABLE"),
    ],
)
def test_the_verdicts_of_one_slope(f, claimed, x, word):
    with np.errstate(all="ignore"):
        assert verdict(f, claimed, x) == word


def test_a_plain_derivative_costs_six_values():
    calls = []

    def f(h):
        calls.append(h)
        return np.exp(h)

    assert judge(f, 1.0, 1.0, 0.0, 1e-4, Noise(EPS, 1.0)).verdict == "OK"
    assert len(calls) == 6


def test_batch_norm_of_one_column_and_its_plain_sum():
    report = lo.gradcheck(lambda x: batch_norm(x).sum(), X)
    assert report
    assert not report.count("OK")


def test_a_slope_rounds_like_the_smallest_floats_at_any_step():
    x, unit = 700.0, 2.0**-1074  # at x the steps are longer than 1
    f = lambda x: round(2.6 * x) * unit
    assert judge(lambda h: f(x + h), f(x), 2.0 * unit, x, 1e-4, Noise(EPS, 0.0)).verdict == "UNVERIFIABLE"
