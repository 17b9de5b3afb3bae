"""Losses at infinities, of the largest and smallest numbers, and in float16."""

import warnings

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo import losses as L

DTYPES = (np.float64, np.float32, np.float16)


# ------------------------------------------------------------------------------- other edges


@pytest.mark.parametrize("target", [lo.Parameter, np.array])
def test_cross_entropy_with_a_target_that_rules_out_what_is_masked(target):
    s = lo.Parameter([[-np.inf, 0.0, 1.0]])
    q = target([[0.0, 0.5, 0.5]])
    loss = L.cross_entropy(s, q)
    loss.backward()
    assert loss.item() == pytest.approx(0.8132616875, rel=1e-9)
    np.testing.assert_allclose(s.grad, [[0.0, -0.23105858, 0.23105858]], rtol=1e-7)
    if target is lo.Parameter:
        np.testing.assert_allclose(q.grad, [[0.0, 1.3132616875, 0.3132616875]], rtol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
def test_huber_of_infinite_residuals(dtype):
    p = lo.Parameter(np.array([np.inf, -np.inf, 0.5], dtype))
    loss = L.huber(p, np.zeros(3), delta=2.0, reduction="sum")
    loss.backward()
    assert loss.item() == np.inf
    assert p.grad.tolist() == [2.0, -2.0, 0.5]


def test_cosine_similarity_of_the_largest_vectors(rng):
    a = np.array([2.0775e38, 3.0262e38], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert L.cosine_similarity(a, np.ones(2, np.float32)) == pytest.approx(0.98316, abs=1e-5)
        for big in (1.7e308, 1e308, 5e-324):
            x = lo.Parameter([big, big])
            loss = L.cosine_similarity(x, [1.0, 0.0])
            assert loss.item() == pytest.approx(np.sqrt(0.5), rel=1e-15)
            if big > 1.0:
                loss.backward()
                np.testing.assert_allclose(x.grad, np.array([1.0, -1.0]) / big / np.sqrt(8), rtol=1e-2)


def test_cosine_similarity_stays_within_its_bounds(rng):
    x = rng.standard_normal((2000, 7))
    for dtype in DTYPES:
        y = x.astype(dtype)
        same, opposite = L.cosine_similarity(y, y), L.cosine_similarity(y, -y)
        assert same.max() <= 1.0
        assert opposite.min() >= -1.0
        np.testing.assert_allclose(same, 1.0, rtol=4 * np.finfo(dtype).eps)
        np.testing.assert_array_equal(opposite, -same)
    # On the bound, the second derivative is still there.
    h = lo.hessian(lambda a: L.cosine_similarity(a, np.array([3.0, 4.0])))
    np.testing.assert_allclose(h(np.array([3.0, 4.0])), -np.array([[16, -12], [-12, 9]]) / 625, atol=1e-16)


# ------------------------------------------------------------------------------------ float16


def test_losses_of_float16_are_computed_in_float32(rng):
    s = lo.Parameter(rng.normal(0, 1, (70_000, 3)).astype(np.float16))
    labels = rng.integers(0, 3, 70_000)
    loss = L.cross_entropy(s, labels, class_weights=[1.0, 2.0, 3.0])
    loss.backward()
    exact = L.cross_entropy(s.data.astype(float), labels, class_weights=[1.0, 2.0, 3.0])
    assert loss.dtype == s.grad.dtype == np.float16
    assert loss.item() == pytest.approx(exact, rel=1e-3)
    p = lo.Parameter(np.array([300.0, 0.0, 0.0, 0.0], np.float16))
    loss = L.mse(p, np.zeros(4))
    loss.backward()
    assert loss.item() == pytest.approx(22500, rel=1e-3)
    assert p.grad.tolist() == [150.0, 0.0, 0.0, 0.0]
    assert L.l2(np.full(100, 1e-4, np.float16)) == pytest.approx(1e-6, rel=0.05)


def test_triplet_of_float16_whose_distances_do_not_fit():
    a, p, n = (lo.Parameter(np.array([x], np.float16)) for x in ([0.0, 0.0], [300.0, 0.0], [0.0, 301.0]))
    loss = L.triplet(a, p, n, margin=1000.0)
    loss.backward()
    assert loss.item() == 1000.0 - 601.0
    assert p.grad.tolist() == [[600.0, 0.0]]


@pytest.mark.parametrize("dtype", DTYPES)
def test_tiny_probabilities(dtype):
    small = dtype(1e-8) if dtype != np.float16 else np.float16(6e-8)
    p = np.array([small, 1.0 - small], dtype)
    exact = -float(small) * np.log(float(small)) - float(p[1]) * np.log(float(p[1]))
    unit = np.finfo(dtype).eps * exact + np.finfo(dtype).smallest_subnormal
    assert abs(float(L.entropy(p)) - exact) <= 4 * unit
    q = np.array([0.5, 0.5], dtype)
    kl = float(small) * np.log(2 * float(small)) + float(p[1]) * np.log(2 * float(p[1]))
    assert abs(float(L.kl_divergence(p, q)) - kl) <= 4 * np.finfo(dtype).eps
