"""log_cosh and quantile: PyTorch's and scikit-learn's numbers, their digits, their slopes."""

import math

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.errors import OptionError

P, T = np.array([[0.3, -1.2], [2.0, 0.0], [-40.0, 0.5], [1.0, 1.0]]), np.array([[0.0, 1.0], [2.0, 3.0]] * 2)
T[2:] = [[0.0, 0.0], [4.0, -2.0]]


def test_log_cosh_is_pytorch_s():
    """torch.log(torch.cosh(p - t)).mean() and its gradient, PyTorch 2.13."""
    p = lo.Parameter(P)
    loss = lo.losses.log_cosh(p, T)
    loss.backward()
    assert loss.item() == pytest.approx(5.989793626763172, rel=1e-14)
    gradient = [[0.03641407656, -0.12196789125], [0.0, -0.12438184421], [-0.125, 0.05776464466]]
    np.testing.assert_allclose(p.grad[:3], gradient, atol=1e-11)


def test_log_cosh_keeps_its_digits_near_0_and_far_off():
    r = np.array([1e-12, 1e-3, 1e4, -1e4, 1.7e308])
    exact = [5e-25, 4.99999916666688e-7, 1e4 - math.log(2), 1e4 - math.log(2), 1.7e308]
    np.testing.assert_allclose(lo.losses.log_cosh(r, 0 * r, reduction="none"), exact, rtol=1e-14)
    single = lo.losses.log_cosh(np.float32([1e-3]), np.float32([0]))
    assert single == pytest.approx(4.99999916666688e-7, rel=1e-6)
    p = lo.Parameter(r)
    lo.losses.log_cosh(p, 0 * r, reduction="sum").backward()
    np.testing.assert_allclose(p.grad, [1e-12, np.tanh(1e-3), 1.0, -1.0, 1.0], rtol=1e-15)
    assert lo.hessian(lambda x: lo.losses.log_cosh(x, [0.0]))(np.zeros(1)) == 1.0


def test_quantile_is_scikit_learn_s():
    """mean_pinball_loss(target, prediction, alpha=0.8)."""
    assert lo.losses.quantile(P, T, q=0.8) == pytest.approx(4.915, rel=1e-15)
    assert lo.losses.quantile(P, T) == pytest.approx(lo.losses.mae(P, T) / 2, rel=1e-15)


def test_a_constant_that_minimizes_quantile_is_the_quantile():
    y = np.arange(101.0)
    costs = [lo.losses.quantile(np.full(101, c), y, q=0.9) for c in y]
    assert np.argmin(costs) == 90


def test_the_slopes_of_quantile():
    p = lo.Parameter([1.0, 2.0, 3.0])
    lo.losses.quantile(p, [2.0, 2.0, 2.0], q=0.75, reduction="sum").backward()
    assert p.grad.tolist() == [-0.75, 0.0, 0.25]


@pytest.mark.parametrize("q", [0, 1, -0.5, 90, math.nan, "median"])
def test_quantile_needs_a_share(q):
    with pytest.raises(OptionError, match=r"quantile: q must be in \(0, 1\), got"):
        lo.losses.quantile(P, T, q=q)
