"""Toy data: shapes, balance, the geometry without noise, repeatable draws, refusals."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_lo as lo
from tinygrad_lo.data.toy import blobs, circles, noisy_curve, spirals, two_moons, xor
from tinygrad_lo.errors import OptionError, ShapeError

CLASSES = {two_moons: 2, spirals: 2, circles: 2, blobs: 3, xor: 2}


@pytest.mark.parametrize("make", CLASSES)
@settings(max_examples=25, deadline=None)
@given(n=st.integers(3, 200), seed=st.integers(0, 1000))
def test_classes_are_balanced_and_shapes_are_as_promised(make, n, seed):
    X, y = make(n, rng=seed)
    assert X.shape == (n, 2)
    assert y.shape == (n,)
    assert X.dtype == np.float64
    assert y.dtype == np.int64
    counts = np.bincount(y, minlength=CLASSES[make])
    assert len(counts) == CLASSES[make]
    assert counts.max() - counts.min() <= 1
    assert np.isfinite(X).all()


@pytest.mark.parametrize("make", CLASSES)
def test_one_seed_is_one_sample(make):
    X, y = make(50, rng=7)
    again, labels = make(50, rng=np.random.default_rng(7))
    np.testing.assert_array_equal(X, again)
    np.testing.assert_array_equal(y, labels)
    assert not np.array_equal(X, make(50, rng=8)[0])
    lo.seed(3)
    first, second = make(50)[0], make(50)[0]
    lo.seed(3)
    np.testing.assert_array_equal(make(50)[0], first)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("make", CLASSES)
def test_rows_are_shuffled(make):
    y = make(60, rng=0)[1]
    assert not np.array_equal(y, np.sort(y))
    assert not np.array_equal(y, np.arange(60) % CLASSES[make])


@pytest.mark.parametrize("make", [two_moons, spirals, circles, xor])
def test_noise_has_the_standard_deviation_that_was_asked_for(make):
    clean, y = make(20_000, noise=0.0, rng=0)
    noisy, labels = make(20_000, noise=0.25, rng=0)
    np.testing.assert_array_equal(y, labels)
    assert (noisy - clean).std(axis=0) == pytest.approx([0.25, 0.25], rel=0.03)


def test_moons_are_half_circles():
    X, y = two_moons(200, noise=0.0, rng=0)
    upper, lower = X[y == 0], X[y == 1]
    np.testing.assert_allclose(np.hypot(*upper.T), 1.0, rtol=1e-12)
    assert (upper[:, 1] >= 0).all()
    np.testing.assert_allclose(np.hypot(lower[:, 0] - 1.0, lower[:, 1] - 0.5), 1.0, rtol=1e-12)
    assert (lower[:, 1] <= 0.5).all()


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_spirals_are_turned_copies_of_one_arm(classes):
    X, y = spirals(300, classes=classes, noise=0.0, rng=0)
    radius = np.hypot(*X.T)
    assert radius.min() >= 0.1 - 1e-12
    assert radius.max() <= 1.0 + 1e-12
    angle = 2.0 * math.pi * (radius + y / classes)
    np.testing.assert_allclose(X, radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1), atol=1e-12)


def test_circles_have_radius_1_and_one_half():
    X, y = circles(101, noise=0.0, rng=0)
    np.testing.assert_allclose(np.hypot(*X.T), np.where(y == 0, 1.0, 0.5), rtol=1e-12)


@pytest.mark.parametrize("classes", [2, 3, 4, 7])
def test_neighbouring_blobs_are_2_apart(classes):
    X, y = blobs(5 * classes, classes=classes, spread=0.0, rng=0)
    centers = np.stack([X[y == k][0] for k in range(classes)])
    steps = np.linalg.norm(centers - np.roll(centers, 1, axis=0), axis=1)
    np.testing.assert_allclose(steps, 2.0, rtol=1e-12)
    np.testing.assert_array_equal(X, centers[y])


def test_the_spread_of_blobs_is_a_standard_deviation():
    X, y = blobs(30_000, spread=0.5, rng=0)
    for k in range(3):
        assert X[y == k].std(axis=0) == pytest.approx([0.5, 0.5], rel=0.03)


def test_xor_is_the_sign_of_the_product_and_fills_all_quarters():
    X, y = xor(400, noise=0.0, rng=0)
    np.testing.assert_array_equal(X[:, 0] * X[:, 1] < 0, y == 1)
    quarters = np.bincount(2 * (X[:, 0] > 0) + (X[:, 1] > 0))
    assert quarters.min() > 70
    assert np.abs(X).max() <= 1.0


def test_noisy_curve_is_a_sine_in_columns():
    x, y = noisy_curve(1000, noise=0.0, rng=0)
    assert x.shape == y.shape == (1000, 1)
    assert x.dtype == y.dtype == np.float64
    np.testing.assert_array_equal(y, np.sin(x))
    assert x.min() >= -math.pi
    assert x.max() <= math.pi
    _, noisy = noisy_curve(1000, noise=0.2, rng=0)
    assert (noisy - y).std() == pytest.approx(0.2, rel=0.1)


def test_noisy_curve_of_another_function_and_interval():
    x, y = noisy_curve(10, function=lambda x: 3.0 * x + 1.0, interval=(2, 5), noise=0.0, rng=0)
    np.testing.assert_array_equal(y, 3.0 * x + 1.0)
    assert x.min() >= 2.0
    assert x.max() <= 5.0


@pytest.mark.parametrize("make", [*CLASSES, noisy_curve])
@pytest.mark.parametrize("n", [0, -1, 2.0, "9", None, True])
def test_impossible_numbers_of_points(make, n):
    with pytest.raises(OptionError, match=rf"{make.__name__}: n must be an int >= \d, got {n!r}"):
        make(n)


@pytest.mark.parametrize("make", [*CLASSES, noisy_curve])
@pytest.mark.parametrize("noise", [-0.1, math.nan, math.inf, "0.1", None, True])
def test_impossible_noise(make, noise):
    name = "spread" if make is blobs else "noise"
    with pytest.raises(OptionError, match=rf"{make.__name__}: {name} must be finite and >= 0"):
        make(10, **{name: noise})


@pytest.mark.parametrize("make", [*CLASSES, noisy_curve])
def test_impossible_generators(make):
    with pytest.raises(OptionError, match="rng must be a numpy"):
        make(10, rng="seed")


@pytest.mark.parametrize("make", [spirals, blobs])
def test_numbers_of_classes(make):
    with pytest.raises(OptionError, match="classes must be an int >= 2, got 1"):
        make(10, classes=1)
    with pytest.raises(OptionError, match="n must be an int >= 4, got 3"):
        make(3, classes=4)


def test_impossible_curves():
    for interval in [(1.0, 1.0), (2.0, 1.0), (0.0, math.inf), 3.0, (1.0,), "ab", (None, 1)]:
        with pytest.raises(OptionError, match=r"interval(\[[01]\])? must be"):
            noisy_curve(10, interval=interval)
    with pytest.raises(OptionError, match="function must be a function"):
        noisy_curve(10, function="sin")
    with pytest.raises(ShapeError, match=r"gave shape \(\) for x of shape \(10, 1\)"):
        noisy_curve(10, function=np.sum)
