"""l2: the numbers of the slides, lists, dtypes, gradients."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.losses import l2


def test_l2_prefers_weights_that_are_spread_out():
    """Lecture 2: both give the same score on x = (1, 1, 1, 1)."""
    assert l2(np.array([1.0, 0.0, 0.0, 0.0])) == 1.0
    assert l2(np.array([0.25, 0.25, 0.25, 0.25])) == 0.25


def test_half():
    assert l2(np.array([3.0, 4.0]), half=True) == 12.5
    assert l2([np.array([3.0]), np.array([4.0])], half=True) == 12.5


def test_a_list_is_summed_over():
    a, b = lo.Parameter([[1.0, 2.0], [3.0, 4.0]]), lo.Parameter(5.0)
    loss = l2([a, b])
    assert loss.item() == 55.0
    loss.backward()
    assert a.grad.tolist() == [[2.0, 4.0], [6.0, 8.0]]
    assert b.grad == 10.0
    assert l2(w for w in (a, b)).item() == 55.0


def test_tensors_give_tensors_and_arrays_plain_numbers():
    w = np.array([1.0, 2.0])
    assert type(l2(lo.Parameter(w))) is lo.Tensor
    assert type(l2(w)) is np.float64
    assert l2(lo.Parameter(w)).item() == l2(w) == l2([w]) == 5.0


@pytest.mark.parametrize("half", [False, True])
def test_derivatives(half, rng):
    arrays = rng.standard_normal((2, 3)), rng.standard_normal(4)
    lo.gradcheck(lambda a, b: l2([a, b], half=half), *arrays, order=2).raise_if_failed()
    expected = 1.0 if half else 2.0
    np.testing.assert_allclose(lo.hessian(lambda w: l2(w, half=half))(np.ones(2)), expected * np.eye(2))


def test_float32_stays():
    w = lo.Parameter([1.0, 2.0], dtype=np.float32)
    loss = 1e-3 * l2([w, w], half=True)
    loss.backward()
    assert loss.dtype == w.grad.dtype == np.float32
    np.testing.assert_allclose(w.grad, [2e-3, 4e-3], rtol=1e-6)


def test_the_scope_is_named():
    w = lo.Parameter([1.0], name="W")
    assert "‹l2›" in lo.tree(l2(w))
