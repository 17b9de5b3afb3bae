"""The derivative along a direction: against differences, against the whole Jacobian, inside and outside."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tests.graphs import KINDS, M, N, random_leaves, random_loss, seeds
from tinygrad_lo.errors import GraphError, ShapeError


@pytest.mark.parametrize("seed", seeds(20, 60))
def test_random_graphs_agree_with_their_gradients_and_with_differences(seed):
    _, _, c = random_leaves(np.random.default_rng(seed))

    def f(pair):
        loss = random_loss(np.random.default_rng(seed), [pair[0], pair[1], c])
        return loss + pair[0].sum()  # a few of these graphs read only the constant

    rng = np.random.default_rng(seed + 1000)
    x, v = ([rng.standard_normal((N, M)) for _ in range(2)] for _ in range(2))
    along = lo.jvp(f, x, v)
    leaves = [lo.Parameter(part) for part in x]
    slopes = lo.grad(f(leaves), leaves, allow_unused=True)
    terms = [np.sum(g * w) for g, w in zip(slopes, v, strict=True) if g is not None]
    size = sum(np.abs(g * w).sum() for g, w in zip(slopes, v, strict=True) if g is not None)
    assert abs(along - sum(terms)) <= 1e-12 * size
    h = 1e-6
    above, below = (f([lo.Tensor(a + s * w) for a, w in zip(x, v, strict=True)]) for s in (h, -h))
    assert abs(along - (above - below).item() / (2 * h)) <= 1e-6 * size


@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_arrays_agree_with_the_jacobian_times_v(kind, rng):
    b, c = rng.standard_normal((N, M)), rng.standard_normal((N, M))
    x, v = rng.standard_normal((N, M)), rng.standard_normal((N, M))

    def f(a):
        return KINDS[kind](a, lo.Tensor(b), lo.Tensor(c))

    expected = np.tensordot(lo.jacobian(f)(x), v, axes=2)
    np.testing.assert_allclose(lo.jvp(f, x, v), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", [list, tuple])
def test_lists_and_tuples_reach_the_function_as_they_are(kind, rng):
    W, b = rng.standard_normal((3, 2)), rng.standard_normal(2)
    dW, db = rng.standard_normal((3, 2)), rng.standard_normal(2)
    X = rng.standard_normal((4, 3))

    def layer(p):
        assert type(p) is kind
        return np.tanh(X @ p[0] + p[1])

    y = np.tanh(X @ W + b)
    expected = (1 - y * y) * (X @ dW + db)
    np.testing.assert_allclose(lo.jvp(layer, kind([W, b]), [dW, db]), expected, rtol=1e-12, atol=1e-14)
    only = lo.jvp(lambda p: p[0] * 2.0, kind([W, b]), (dW, db))  # b is not reached
    np.testing.assert_array_equal(only, 2 * dW)


def test_one_number_a_list_of_numbers_and_a_narrow_type():
    assert lo.jvp(lambda x: x**3, 2.0, 0.5) == 6.0
    np.testing.assert_array_equal(lo.jvp(lambda x: x * x, [1.0, 2.0], [1, 10]), [2.0, 40.0])
    slope = lo.jvp(lambda x: (x * x).sum(), np.ones((2, 3), np.float32), np.ones((2, 3)))
    assert slope == 12
    assert slope.dtype == np.float32


def test_inside_and_around_other_derivatives():
    x, v = np.array([1.0, 2.0]), np.array([3.0, 5.0])
    along = lo.value_and_grad(lambda x: lo.jvp(lambda y: y**3, x, v).sum())
    value, slope = along(x)
    assert value == 3 * (1 * 3 + 4 * 5)
    np.testing.assert_array_equal(slope, 6 * x * v)
    by_v = lo.value_and_grad(lambda v: lo.jvp(lambda y: y**3, x, v).sum())(v)[1]
    np.testing.assert_array_equal(by_v, 3 * x**2)
    assert lo.jvp(lambda t: lo.jvp(lambda y: y**4, t, 1.0), 2.0, 1.0) == 48.0


def test_at_a_kink_it_has_the_slopes_of_the_rules_and_says_nothing():
    np.testing.assert_array_equal(lo.jvp(np.abs, np.array([0.0, -2.0]), np.ones(2)), [0.0, -1.0])


@pytest.mark.parametrize(
    ("x", "v", "text"),
    [
        (np.ones(2), np.ones(3), r"v has shape \(3,\), x \(2,\)"),
        ([np.ones(2), np.ones(1)], [np.ones(2), np.ones(2)], r"v\[1\] has shape \(2,\), x\[1\] \(1,\)"),
        ([np.ones(2), np.ones(1)], [np.ones(2)], "x has 2 parts, so v must .* got 1 parts"),
        ([np.ones(2), np.ones(1)], np.ones(2), "a list or tuple of 2, got ndarray"),
    ],
)
def test_a_direction_of_another_shape_is_refused(x, v, text):
    with pytest.raises(ShapeError, match=f"jvp: .*{text}"):
        lo.jvp(lambda p: p[0] * 2.0, x, v)


@pytest.mark.parametrize("f", [lambda p: np.ones(2), lambda p: lo.Parameter(1.0) * 2.0])
def test_a_result_that_does_not_depend_on_x_is_refused(f):
    with pytest.raises(GraphError, match=r"jvp: .*does not depend on"):
        lo.jvp(f, [np.ones(2), np.ones(1)], [np.ones(2), np.ones(1)])
