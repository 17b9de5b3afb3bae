"""Many values to one: ties, zeros, empty axes, and no overflow before the result does."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.engine.ops import reductions
from tinygrad_lo.engine.ops.reductions import logsumexp

DTYPES = [np.float32, np.float64]


def gradient(f, x):
    w = lo.Parameter(x)
    y = f(w)
    y.backward(seed=np.ones(y.shape))
    assert y.dtype == w.grad.dtype == w.dtype
    return w.grad


@pytest.mark.parametrize("f", [np.max, np.min])
def test_ties_share_the_gradient_equally(f):
    assert gradient(f, np.ones(4)).tolist() == [0.25] * 4
    assert gradient(lambda x: f(x, axis=0), np.zeros((2, 2))).tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert gradient(lambda x: f(x, axis=1), [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])[0] == pytest.approx(
        [1 / 3] * 3
    )


def test_the_one_extreme_gets_all():
    assert gradient(np.max, [1.0, 3.0, 2.0]).tolist() == [0.0, 1.0, 0.0]
    assert gradient(np.min, [1.0, 3.0, 2.0]).tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("n", range(1, 10))
@pytest.mark.parametrize("zeros", [(), (0,), (0, 1), (2,)])
def test_prod_with_zeros_is_exact_to_the_second_derivative(n, zeros, rng):
    x = rng.uniform(0.5, 2.0, n)
    x[[z for z in zeros if z < n]] = 0.0
    expected = [np.prod(np.delete(x, i)) for i in range(n)]
    np.testing.assert_allclose(gradient(np.prod, x), expected, rtol=1e-14)
    twice = [[0.0 if i == j else np.prod(np.delete(x, [i, j])) for j in range(n)] for i in range(n)]
    np.testing.assert_allclose(lo.hessian(np.prod)(x), twice, rtol=1e-13, atol=0)


def test_prod_along_axes_with_zeros():
    x = np.array([[[0.0, 2.0], [3.0, 0.0]], [[1.0, 5.0], [0.0, 0.0]]])
    g = gradient(lambda w: np.prod(w, axis=(0, 2)), x)
    for k in range(2):
        for i in range(2):
            for j in range(2):
                others = [x[a, k, b] for a in range(2) for b in range(2) if (a, b) != (i, j)]
                assert g[i, k, j] == np.prod(others)


@pytest.mark.parametrize("dtype", DTYPES)
def test_norm_and_std_at_zero_have_slope_zero(dtype):
    assert gradient(np.linalg.norm, np.zeros(3, dtype)).tolist() == [0.0, 0.0, 0.0]
    assert gradient(np.std, np.full(3, 7.0, dtype)).tolist() == [0.0, 0.0, 0.0]
    rows = gradient(lambda x: np.linalg.norm(x, axis=1), np.array([[0.0, 0.0], [3.0, 4.0]], dtype))
    np.testing.assert_allclose(rows, [[0.0, 0.0], [0.6, 0.8]], rtol=1e-6)
    assert gradient(reductions.norm, dtype(0.0)) == 0.0
    assert gradient(reductions.norm, dtype(-2.0)) == -1.0


@pytest.mark.parametrize(
    ("size", "dtype"), [(1e200, np.float64), (1e-200, np.float64), (1e30, np.float32), (1e-30, np.float32)]
)
def test_norm_neither_overflows_nor_vanishes(size, dtype):
    x = np.array([3.0, 4.0], dtype) * dtype(size)
    w = lo.Parameter(x)
    y = np.linalg.norm(w)
    y.backward()
    assert y.item() == pytest.approx(5.0 * size, rel=1e-6)
    np.testing.assert_allclose(w.grad, [0.6, 0.8], rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1)])
@pytest.mark.parametrize("keepdims", [True, False])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_logsumexp_at_ten_thousand(dtype, axis, keepdims, sign):
    x = np.array([[1e4, 1e4, 0.0], [-1e4, 1e4, 1e4]], dtype) * dtype(sign)
    w = lo.Parameter(x)
    y = logsumexp(w, axis, keepdims)
    expected = np.logaddexp.reduce(x.astype(np.float64), axis=axis, keepdims=keepdims)
    assert y.dtype == dtype
    assert y.shape == np.shape(expected)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-6)
    y.backward(seed=np.ones(y.shape))
    assert w.grad.dtype == dtype
    # The result is rounded to its dtype: at 1e4 that is 1e-3 in float32, and exp(x - y) shows it.
    tolerance = 1e4 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(w.grad.sum(axis=axis), np.ones(np.sum(x, axis=axis).shape), rtol=tolerance)


def test_logsumexp_of_infinities():
    assert logsumexp(np.array([-np.inf, 0.0])) == 0.0
    assert logsumexp(np.array([[-np.inf, -1.0], [2.0, -np.inf]]), -1).tolist() == [-1.0, 2.0]
    assert logsumexp(np.array([[np.inf, 0.0]]), -1).tolist() == [np.inf]
    assert gradient(lambda x: logsumexp(x, -1), [[-np.inf, 3.0]]).tolist() == [[0.0, 1.0]]


def test_the_sum_and_the_product_of_nothing():
    w = lo.Parameter(np.zeros((0, 3)))
    assert w.sum().item() == 0.0
    assert w.sum(axis=0).data.tolist() == [0.0, 0.0, 0.0]
    assert w.prod().item() == 1.0
    assert w.sum(axis=1).shape == (0,)
    assert w.mean(axis=1).shape == (0,)
    assert gradient(np.sum, np.zeros((0, 3))).shape == (0, 3)


def test_mean_of_integers_and_booleans():
    assert lo.Tensor([1, 2]).mean().item() == 1.5
    assert (lo.Tensor([1.0, 2.0]) > 1.5).mean().item() == 0.5
    assert (lo.Tensor([1.0, 2.0]) > 1.5).sum().item() == 1


def test_numpy_integers_are_axes():
    x = lo.Tensor(np.ones((2, 3)))
    assert x.sum(axis=np.int64(1)).shape == (2,)
    assert x.mean(axis=[0]).shape == (3,)
