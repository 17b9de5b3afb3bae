"""grad, value_and_grad, jacobian, hessian, hvp: against formulas and against mpmath."""

import mpmath
import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.engine.ops import elementwise, reductions
from tinygrad_lo.errors import GraphError, MutationError


def derivatives(f, x, order):
    """f', f'', ... at x, each the graph of the one before."""
    w = lo.Parameter(x)
    y = f(w)
    found = []
    for _ in range(order):
        y = lo.grad(y, w, create_graph=True)
        found.append(y.item())
    return found


mpmath.mp.dps = 30
FUNCTIONS = {
    "exp(sin x)": (lambda x: np.exp(np.sin(x)), lambda x: mpmath.exp(mpmath.sin(x)), 0.7),
    "x**x": (lambda x: x**x, lambda x: x**x, 1.3),
    "sigmoid": (elementwise.sigmoid, lambda x: 1 / (1 + mpmath.exp(-x)), 0.8),
    "softplus": (elementwise.softplus, lambda x: mpmath.log(1 + mpmath.exp(x)), -0.6),
    "log / sqrt": (lambda x: np.log(x) / np.sqrt(x), lambda x: mpmath.log(x) / mpmath.sqrt(x), 2.3),
    "1/(1+x²)": (lambda x: 1 / (1 + x**2), lambda x: 1 / (1 + x**2), 0.9),
    "tan": (np.tan, mpmath.tan, 0.4),
    "x³ cos x": (lambda x: x**3 * np.cos(x), lambda x: x**3 * mpmath.cos(x), 1.1),
    "log1p expm1": (
        lambda x: np.log1p(np.expm1(x) ** 2),
        lambda x: mpmath.log(1 + (mpmath.exp(x) - 1) ** 2),
        0.5,
    ),
    "logaddexp": (
        lambda x: np.logaddexp(x, x * x),
        lambda x: mpmath.log(mpmath.exp(x) + mpmath.exp(x * x)),
        0.3,
    ),
    "2**x, log2, log10": (
        lambda x: 2.0**x * np.log2(x) - np.log10(x),
        lambda x: 2**x * mpmath.log(x, 2) - mpmath.log10(x),
        1.7,
    ),
    "norm, prod, std": (
        lambda x: reductions.norm(np.stack([x, x * x])) * np.prod(np.stack([x, x + 1,
        x])) + np.std(np.stack([x, np.ones(())])),
        lambda x: mpmath.sqrt(x**2 + x**4) * x * (x + 1) * x + abs(x - 1) / 2,
        0.6,
    ),
    "logsumexp, var": (
        lambda x: reductions.logsumexp(np.stack([x, 2 * x, x * x])) + np.var(np.stack([x, x**3])),
        lambda x: mpmath.log(mpmath.exp(x) + mpmath.exp(2 * x) + mpmath.exp(x * x)) + (x**3 - x) ** 2 / 4,
        0.7,
    ),
    "matmul, einsum": (
        lambda x: np.stack([x, x**0]) @ np.stack([np.stack([x, x * x]), np.stack([x**0, x])]) @ np.stack([x,
        x])
        + np.einsum("i,i,i->", *[np.stack([x, 2 * x])] * 3),
        lambda x: (x * x + 1) * x + (x * x * x + x) * x + x**3 + 8 * x**3,
        0.8,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_of_order_one_to_three(name):
    f, exact, x = FUNCTIONS[name]
    expected = [float(mpmath.diff(exact, x, n)) for n in (1, 2, 3)]
    np.testing.assert_allclose(derivatives(f, x, 3), expected, rtol=1e-10)


def test_the_fourth_derivative_of_tanh():
    for x in (0.0, 0.5, -1.3, 3.0):
        expected = [float(mpmath.diff(mpmath.tanh, x, n)) for n in (1, 2, 3, 4)]
        np.testing.assert_allclose(derivatives(np.tanh, x, 4), expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("x", [1e4, -1e4, 40.0, -40.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_second_derivatives_in_the_tails_are_finite(x, dtype):
    for f in (elementwise.sigmoid, elementwise.softplus, np.tanh, lambda w: np.logaddexp(w, 0.0)):
        w = lo.Parameter(x, dtype=dtype)
        slope = lo.grad(f(w), w, create_graph=True)
        curve = lo.grad(slope, w)
        assert slope.dtype == curve.dtype == dtype
        assert np.isfinite(slope.item())
        assert abs(curve) < 1e-15


def test_grad_by_leaves_and_values_in_between():
    w = lo.Parameter(3.0)
    s = w * 2.0
    loss = s * s
    assert lo.grad(loss, s) == 12.0
    assert lo.grad(loss, [w, s, loss]) == [24.0, 12.0, 1.0]
    assert w.grad is None


def test_grad_by_a_constant_in_the_graph_is_refused():
    x, w = lo.Tensor(2.0, name="x"), lo.Parameter(3.0)
    with pytest.raises(GraphError, match="'x'"):
        lo.grad(x * w, x)


def test_unused_gives_none_when_allowed():
    w, q = lo.Parameter(3.0), lo.Parameter(1.0)
    assert lo.grad(w * w, [w, q], allow_unused=True) == [6.0, None]
    assert lo.grad(w * w, q, allow_unused=True) is None


def test_the_same_tensor_twice_gives_its_gradient_twice():
    w = lo.Parameter(3.0)
    assert lo.grad(w * w, (w, w)) == [6.0, 6.0]


def test_create_graph_gives_tensors_and_without_it_arrays():
    w = lo.Parameter([1.0, 2.0])
    y = (w**3).sum()
    assert type(lo.grad(y, w)) is np.ndarray
    slope = lo.grad(y, w, create_graph=True)
    assert type(slope) is lo.Tensor
    assert slope.requires_grad
    np.testing.assert_array_equal(slope.numpy(), lo.grad(y, w))


def test_a_gradient_penalty_trains_the_parameters():
    """The loss holds a gradient by x; its derivative by w goes through both backward passes."""
    x, w = lo.Tensor([0.5, -1.0], requires_grad=True), lo.Parameter([2.0, 3.0])
    score = np.tanh(x * w).sum()
    slope = lo.grad(score, x, create_graph=True)
    (slope * slope).sum().backward()

    def penalty(v):
        return np.sum((v * (1 - np.tanh(x.data * v) ** 2)) ** 2)

    np.testing.assert_allclose(w.grad, lo.numerical_gradient(penalty, w.data), rtol=1e-8)


def test_mixed_second_derivatives_commute(rng):
    a, b = lo.Parameter(rng.standard_normal(3)), lo.Parameter(rng.standard_normal((3, 3)))
    loss = np.exp(np.tanh(b @ a) * a).sum()
    by_a, by_b = lo.grad(loss, [a, b], create_graph=True)
    u, v = rng.standard_normal(3), rng.standard_normal((3, 3))
    one = (lo.grad((by_a * u).sum(), b) * v).sum()
    other = (lo.grad((by_b * v).sum(), a) * u).sum()
    assert one == pytest.approx(other, rel=1e-12)


def test_changing_a_leaf_between_first_and_second_derivative_is_refused():
    w = lo.Parameter([1.0, 2.0], name="W")
    slope = lo.grad((w**3).sum(), w, create_graph=True)
    w.data -= 0.5
    with pytest.raises(MutationError, match="'W'"):
        lo.grad(slope.sum(), w)


def test_gradient_as_a_graph_follows_a_leaf_that_is_rebound_afterwards():
    w = lo.Parameter(2.0)
    slope = lo.grad(w**3, w, create_graph=True)
    w.data = 5.0
    assert lo.grad(slope, w) == 12.0


def test_value_and_grad_of_one_and_of_several_arguments():
    value, slope = lo.value_and_grad(lambda x, y: x * x * y)(3.0, 2.0)
    assert (value, slope) == (18.0, 12.0)
    value, slopes = lo.value_and_grad(lambda x, y: x * x * y, argnums=(0, 1))(3.0, 2.0)
    assert slopes == (12.0, 9.0)
    assert lo.value_and_grad(lambda x, y: x * x * y, argnums=-1)(3, 2.0)[1] == 9.0


def test_value_and_grad_leaves_the_argument_alone():
    w = lo.Parameter([1.0, 2.0])
    value, slope = lo.value_and_grad(lambda x: (x * x).sum())(w)
    assert value == 5.0
    assert slope.tolist() == [2.0, 4.0]
    assert w.grad is None


def test_jacobian_of_any_shapes(rng):
    A = rng.standard_normal((4, 2, 3))
    x = rng.standard_normal((2, 3))
    J = lo.jacobian(lambda x: np.einsum("abc,bc->a", A, x) ** 2)(x)
    assert J.shape == (4, 2, 3)
    np.testing.assert_allclose(J, 2 * np.einsum("abc,bc->a", A, x)[:, None, None] * A, rtol=1e-13)
    assert lo.jacobian(np.sin)(0.0) == 1.0


def test_jacobian_by_the_second_argument():
    J = lo.jacobian(lambda x, y: x * y, argnums=1)(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    assert J.tolist() == [[1.0, 0.0], [0.0, 2.0]]


def test_hessian_of_rosenbrock():
    H = lo.hessian(lambda x: 100.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2)(np.array([-1.2, 1.0]))
    np.testing.assert_allclose(H, [[1330.0, 480.0], [480.0, 200.0]], rtol=1e-13)


def test_hessian_of_a_linear_function_is_zero():
    assert lo.hessian(lambda x: (3.0 * x).sum())(np.ones(2)).tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert lo.hessian(lambda x: 3.0 * x)(1.0) == 0.0


def test_hvp_is_the_hessian_times_v(rng):
    x, v = rng.standard_normal((2, 3)), rng.standard_normal((2, 3))

    def f(x):
        return (np.exp(x) * x.T.reshape(2, 3)).sum() ** 2

    H = lo.hessian(f)(x).reshape(6, 6)
    np.testing.assert_allclose(lo.hvp(f, x, v).ravel(), H @ v.ravel(), rtol=1e-11)
    np.testing.assert_allclose(H, H.T, rtol=1e-11)
    assert lo.hvp(lambda x: x.sum(), x, v).tolist() == np.zeros((2, 3)).tolist()


def test_transforms_keep_float32():
    x = np.ones(2, np.float32)
    f = lambda x: (x**3).sum()
    assert lo.value_and_grad(f)(x)[1].dtype == np.float32
    assert lo.jacobian(f)(x).dtype == np.float32
    assert lo.hessian(f)(x).dtype == np.float32
    assert lo.hvp(f, x, x).dtype == np.float32


def test_a_transform_of_a_transform():
    second = lo.value_and_grad(lambda x: lo.grad(x**4, x, create_graph=True))
    assert second(2.0) == (32.0, 48.0)
