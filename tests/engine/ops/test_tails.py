"""Slopes where their usual text loses its digits or overflows, and sums that float16 cannot hold."""

import mpmath
import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.engine.ops import indexing, linear, reductions
from tinygrad_lo.engine.ops.elementwise import gap


def gradients(f, *values, dtype=np.float64):
    leaves = [lo.Parameter(value, dtype=dtype) for value in values]
    y = f(*leaves)
    y.backward(seed=np.ones(y.shape, y.dtype)[()])
    return [leaf.grad for leaf in leaves]


# --------------------------------------------------------------------------- logaddexp, logsumexp


@pytest.mark.parametrize(("dtype", "x"), [(np.float32, 1e8), (np.float64, 1e16), (np.float16, 700.0)])
def test_large_equal_scores_share_the_gradient(dtype, x):
    """From the difference of the inputs: the rounded output has lost log 2, or is half of it away."""
    assert gradients(np.logaddexp, x, x, dtype=dtype) == [0.5, 0.5]
    assert gradients(reductions.logsumexp, [x, x], dtype=dtype)[0].tolist() == [0.5, 0.5]
    w = lo.Parameter([x, x], dtype=dtype)
    second = lo.hessian(lambda w: np.logaddexp(w[0], w[1]))(w.data)
    assert second.tolist() == [[0.25, -0.25], [-0.25, 0.25]]
    assert lo.hessian(reductions.logsumexp)(w.data).tolist() == second.tolist()


@pytest.mark.parametrize(
    ("a", "b", "value", "by_a", "by_b"),
    [
        (np.inf, 1.0, np.inf, 1.0, 0.0),
        (1.0, np.inf, np.inf, 0.0, 1.0),
        (-np.inf, 1.0, 1.0, 0.0, 1.0),
        (np.inf, -np.inf, np.inf, 1.0, 0.0),
        (np.inf, np.inf, np.inf, 0.5, 0.5),
        (-np.inf, -np.inf, -np.inf, 0.5, 0.5),
    ],
)
def test_infinite_scores(a, b, value, by_a, by_b):
    for dtype in (np.float64, np.float32, np.float16):
        assert np.logaddexp(lo.Tensor(a), b).item() == value
        assert gradients(np.logaddexp, a, b, dtype=dtype) == [by_a, by_b]
        w = lo.Parameter([a, b], dtype=dtype)
        y = reductions.logsumexp(w)
        y.backward()
        assert y.item() == value
        assert w.grad.tolist() == [by_a, by_b]


def test_nan_stays_nan():
    with np.errstate(invalid="ignore"):  # NumPy's own logaddexp
        assert np.isnan(gradients(np.logaddexp, np.nan, 1.0)).all()
    assert np.isnan(gradients(reductions.logsumexp, [np.nan, 1.0])[0]).all()


def test_the_gap_of_equal_infinities_is_nothing_but_its_slopes_stay():
    a, b = np.array([np.inf, -np.inf, 2.0, 2.0]), np.array([np.inf, -np.inf, 2.0, 5.0])
    assert gap(a, b).tolist() == [0.0, 0.0, 0.0, -3.0]
    assert [g.tolist() for g in gradients(gap, a, b)] == [[1.0] * 4, [-1.0] * 4]


# -------------------------------------------------------------------------------- slopes in the tails


@pytest.mark.parametrize("shape", [(), (3,)])
@pytest.mark.parametrize(
    ("f", "slope", "points"),
    [
        (np.tanh, lambda x: mpmath.sech(x) ** 2, ((8.0, -40.0), (19.5, -300.0), (5.0, -8.0))),
        (lo.nn.sigmoid, lambda x: mpmath.sech(x / 2) ** 2 / 4, ((60.0,), (-40.0, 700.0), (9.0,))),
        (np.arctan, lambda x: 1 / (1 + x * x), ((1e18,), (-1e153,), (700.0, 256.0))),
        (np.log10, lambda x: 1 / (x * mpmath.log(10)), ((3e38,), (1.7e308,), (65504.0,))),
    ],
)  # fmt: skip
def test_slopes_keep_their_digits(f, slope, points, shape):
    for dtype, values in zip((np.float32, np.float64, np.float16), points, strict=True):
        for x in values:
            x = dtype(x)
            (g,) = gradients(f, np.full(shape, x), dtype=dtype)
            exact = float(slope(mpmath.mpf(float(x))))
            room = 8 * max(np.finfo(dtype).eps * exact, float(np.finfo(dtype).smallest_subnormal))
            assert g.dtype == dtype
            np.testing.assert_allclose(np.asarray(g, float), exact, rtol=0, atol=room)
            assert exact == 0 or np.all(g != 0)


@pytest.mark.parametrize("f", [np.tanh, np.arctan, lo.nn.sigmoid])
def test_slopes_at_infinity_and_of_nan(f):
    for dtype in (np.float64, np.float32, np.float16):
        assert gradients(f, [np.inf, -np.inf], dtype=dtype)[0].tolist() == [0.0, 0.0]
        assert np.isnan(gradients(f, np.nan, dtype=dtype)[0])


@pytest.mark.parametrize(
    ("f", "second"),
    [
        (np.tanh, lambda x: -2 * x),
        (lo.nn.sigmoid, lambda x: -x / 8),
        (np.arcsin, lambda x: x),
        (np.arctan, lambda x: -2 * x),
    ],
)
def test_second_derivatives_near_their_zero(f, second):
    """The slope of (1 - x)(1 + x), or of σ(x) σ(-x), by its text is the difference of two ones."""
    for x in (1e-3, 1e-9, 1e-17, 1e-200):
        np.testing.assert_allclose(lo.hessian(f)(x), second(x), rtol=1e-5)


# ------------------------------------------------------------------------------------------- powers


@pytest.mark.parametrize("shape", [(), (1,)])
@pytest.mark.parametrize("a", [0.0, 5e-324, 1e-310, 2e-308, 1.0])
def test_a_power_of_nothing_has_slope_nothing(a, shape):
    by_a, by_b = gradients(lambda a, b: a**b, np.full(shape, a), np.zeros(shape))
    assert by_a == 0.0
    assert by_b == (np.log(a) if a else 0.0)


def test_a_negative_power_of_zero_falls_by_its_exponent():
    with np.errstate(divide="ignore"):
        for dtype in (np.float64, np.float32, np.float16):
            by_a, by_b = gradients(lambda a, b: a**b, 0.0, -1.0, dtype=dtype)
            assert (by_a, by_b) == (-np.inf, -np.inf)
            assert by_b.dtype == dtype


# ------------------------------------------------------------------------- counts and sums in float16


@pytest.mark.parametrize("f", [np.max, np.min])
def test_seventy_thousand_ties(f):
    (g,) = gradients(f, np.zeros(70_000), dtype=np.float16)
    assert np.unique(g).tolist() == [np.float16(1 / 70_000)]


def test_softmax_of_a_hundred_thousand_zeros():
    x = lo.Parameter(np.zeros(100_000, np.float16))
    for y in (lo.nn.softmax(x), np.exp(lo.nn.log_softmax(x))):
        assert y.dtype == np.float16
        np.testing.assert_allclose(y.data.astype(float), 1e-5, rtol=0.02)
    assert lo.nn.log_softmax(x).data[0] == np.float16(-np.log(1e5))
    assert reductions.logsumexp(x).item() == np.float16(np.log(1e5))
    np.testing.assert_allclose(gradients(reductions.logsumexp, x.data, dtype=np.float16)[0], 1e-5, rtol=0.02)
    # The sum of the arriving gradients alone would be 100 000, which float16 does not have.
    (g,) = gradients(lo.nn.log_softmax, x.data, dtype=np.float16)
    assert np.abs(g).max() <= 6 * np.finfo(np.float16).eps


def test_norms_products_and_running_sums_of_float16():
    x = np.full(70_000, 0.25, np.float16)
    assert np.linalg.norm(lo.Tensor(x)).item() == np.float16(0.25 * np.sqrt(70_000))
    assert np.cumsum(lo.Tensor(np.ones(5000, np.float16))).data[-1] == 5000
    assert gradients(linear.cumsum, np.ones(5000), dtype=np.float16)[0][0] == 5000
    assert np.prod(lo.Tensor(np.array([300.0, 300.0, 1e-3], np.float16))).item() == pytest.approx(
        90.0, rel=1e-3
    )
    (g,) = gradients(np.prod, [300.0, 300.0, 1e-3, 0.5], dtype=np.float16)
    np.testing.assert_allclose(g, [0.15, 0.15, 45_000.0, 90.0], rtol=2e-3)


def test_an_element_that_is_taken_often_counts_every_time():
    w = lo.Parameter(np.ones(3, np.float16))
    w[np.zeros(5000, int)].sum().backward()
    assert w.grad.tolist() == [5000.0, 0.0, 0.0]
    assert w.grad.dtype == np.float16
    (g,) = gradients(lambda x: indexing.windows(x, (2500,)), np.ones(4999), dtype=np.float16)
    assert g[[0, 2499, 4998]].tolist() == [1.0, 2500.0, 1.0]


def test_batch_norm_of_float16():
    x = lo.Parameter(np.array([[300.0], [-300.0]], np.float16))
    means, variances = np.zeros(1), np.ones(1)
    y = lo.nn.batch_norm(x, running_mean=means, running_var=variances, momentum=1.0)
    assert y.dtype == np.float16
    assert y.data.tolist() == [[1.0], [-1.0]]
    assert (means.item(), variances.item()) == (0.0, 180_000.0)
    (y * np.array([[2.0], [1.0]], np.float16)).sum().backward()
    assert np.abs(x.grad).max() < 1e-4
    again = lo.nn.batch_norm(x, running_mean=means, running_var=variances / 2, training=False)
    assert again.data.tolist() == [[1.0], [-1.0]]
    assert again.dtype == np.float16
