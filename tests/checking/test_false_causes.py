"""Gradients that look like another mistake than they are, and right ones that look wrong: no false word."""

import numpy as np
import pytest

import tinygrad_lo as lo

rng = np.random.default_rng(7)
X, W = rng.standard_normal((12, 5)), rng.standard_normal((5, 3))
T, D, mu = rng.standard_normal((12, 3)), rng.standard_normal((12, 4)), rng.standard_normal(4)
kept = (rng.random((12, 3)) < 0.6).astype(float)
y = rng.integers(0, 2, 12).astype(float)


def dropped(W):
    """The mask of dropout is left out on the way back."""
    Z = X @ W
    H = np.maximum(Z, 0) * kept
    return 0.5 * ((H - T) ** 2).sum(), X.T @ ((H - T) * (Z > 0))


def clipped(W):
    """The upper bound of a clip is left out on the way back."""
    Z = X @ W
    H = np.clip(Z, 0, 1)
    return 0.5 * ((H - T) ** 2).sum(), X.T @ ((H - T) * (Z > 0))


def largest(W):
    """The gradient of a maximum goes to all units."""
    Z = X @ W
    return (Z.max(axis=1) ** 2).sum(), X.T @ np.repeat(2 * Z.max(axis=1, keepdims=True), 3, axis=1)


def tempered(W):
    """1/T is left out."""
    Z = X @ W / 2.5
    P = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
    return -(kept * np.log(P)).sum(), X.T @ (P * kept.sum(axis=1, keepdims=True) - kept)


def centred(mu):
    """12 times too little of the one part: nobody has a penalty on mu."""
    return 0.5 * ((D - mu) ** 2).sum(), mu - D.sum(axis=0)


def averaged(mu):
    return 0.5 * ((D - mu) ** 2).sum(axis=1).mean(), mu + D.mean(axis=0)


@pytest.mark.parametrize("f", [dropped, clipped, largest])
def test_what_is_silent_without_a_relu_is_not_laid_to_it(f):
    assert "relu" not in str(lo.check_gradient(f, W))


def test_a_division_that_is_left_out_is_no_factor_twice():
    assert "twice" not in str(lo.check_gradient(tempered, W))


@pytest.mark.parametrize("f", [centred, averaged])
def test_what_is_compared_with_data_has_no_regularizer(f):
    assert "regularizer" not in str(lo.check_gradient(f, mu))


def test_a_wrong_bias_that_is_one_number_is_met_with_words():
    def logistic(q):
        p = 1 / (1 + np.exp(-(X @ q["w"] + q["b"])))
        loss = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
        return loss, {"w": X.T @ (p - y) / 12, "b": p.mean()}

    report = lo.check_gradient(logistic, {"w": W[:, 0], "b": 0.3})
    assert not report
    assert report.said[0].startswith("the gradient by b")


def test_a_loss_that_refuses_large_scores_is_not_stressed():
    def careful(scores, labels):
        assert np.abs(scores).max() < 100
        p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        return -np.log(p[np.arange(len(labels)), labels]).mean()

    assert lo.check_loss(careful, "cross_entropy")

    def bounded(x):
        assert np.abs(x).max() < 100
        return (x**2).sum(), 2 * x

    assert lo.check_gradient(bounded, np.array([1.0, 2.0]), against=lambda x: (x**2).sum())


def test_a_slope_that_is_wrong_at_one_place_is_wrong():
    report = lo.check_gradient(lambda x: ((x**2).sum(), np.where(x == 0, 5.0, 2 * x)), np.array([0.0, 1.0]))
    assert [row.verdict for row in report.report.rows] == ["FAIL", "OK"]


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (lambda x: (1 / (1 - x)).sum(), 1 - 1e-9),
        (lambda x: (1 / np.sin(x)).sum(), 3.14159265),
        (lambda x: np.tanh((x - 1) * 1e9).sum(), 1 + 0.5e-9),
        (lambda x: lo.nn.relu(x).sum(), 1e-300),
        (lambda x: (x * np.log(x)).sum(), 1e-300),
    ],
)
def test_close_to_a_pole_or_to_zero_nothing_right_fails(f, x):
    assert "FAIL" not in {row.verdict for row in lo.gradcheck(f, np.array([x])).rows}


def test_a_slope_beside_large_terms_is_not_called_zero():
    report = lo.gradcheck(lambda x: ((x + 1e8) ** 2 - 1e16 - 2e8 * x).sum(), np.array([0.42]))
    assert report.rows[0].verdict in ("UNVERIFIABLE", "OK")
