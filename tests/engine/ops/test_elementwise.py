"""Functions of one value: kinks, tails, and choices between two."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.engine.ops import elementwise

DTYPES = [np.float32, np.float64]
SHAPES = [(), (1,), (2, 2)]


def slope(f, x, dtype=np.float64, shape=()):
    w = lo.Parameter(np.full(shape, x, dtype))
    y = f(w)
    assert y.dtype == dtype
    y.backward(seed=np.ones(y.shape))
    assert w.grad.dtype == dtype
    assert np.ptp(w.grad) == 0 or np.isnan(w.grad).all()
    return np.ravel(y.numpy())[0], np.ravel(w.grad)[0]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("f", "x", "value", "derivative"),
    [
        (elementwise.relu, 0.0, 0.0, 0.0),
        (elementwise.relu, -0.0, 0.0, 0.0),
        (elementwise.relu, 2.0, 2.0, 1.0),
        (elementwise.relu, -2.0, 0.0, 0.0),
        (np.abs, 0.0, 0.0, 0.0),
        (np.abs, -2.0, 2.0, -1.0),
        (lambda x: np.clip(x, -1.0, 1.0), 1.0, 1.0, 1.0),
        (lambda x: np.clip(x, -1.0, 1.0), -1.0, -1.0, 1.0),
        (lambda x: np.clip(x, -1.0, 1.0), 1.5, 1.0, 0.0),
        (lambda x: np.maximum(x, 0.0), 0.0, 0.0, 0.5),
        (lambda x: np.minimum(x, 0.0), 0.0, 0.0, 0.5),
        (lambda x: np.maximum(x, x), 3.0, 3.0, 1.0),
        (lambda x: np.minimum(x, x), 3.0, 3.0, 1.0),
        (lambda x: x**0, 0.0, 1.0, 0.0),
        (lambda x: x**0.0, 0.0, 1.0, 0.0),
        (lambda x: x**1, 0.0, 0.0, 1.0),
        (lambda x: x**2, 0.0, 0.0, 0.0),
        (lambda x: x**3, 0.0, 0.0, 0.0),
    ],
)
def test_kinks(f, x, value, derivative, dtype, shape):
    assert slope(f, x, dtype, shape) == (value, derivative)


def test_ties_are_shared_by_both_sides():
    a, b = lo.Parameter([1.0, 2.0, 5.0]), lo.Parameter([1.0, 3.0, 4.0])
    np.maximum(a, b).sum().backward()
    assert a.grad.tolist() == [0.5, 0.0, 1.0]
    assert b.grad.tolist() == [0.5, 1.0, 0.0]
    a.grad = b.grad = None
    np.minimum(a, b).sum().backward()
    assert a.grad.tolist() == [0.5, 1.0, 0.0]
    assert b.grad.tolist() == [0.5, 0.0, 1.0]


@pytest.mark.parametrize("shape", SHAPES)
def test_relu_of_nan_is_nan(shape):
    assert np.isnan(elementwise.relu(lo.Tensor(np.full(shape, np.nan))).numpy()).all()
    turned = np.full((2, 3), np.nan).T
    assert np.isnan(elementwise.relu(turned)).all()


@pytest.mark.parametrize("exponent", [0, 1, 2, 3])
def test_powers_of_zero_by_an_array_of_exponents(exponent):
    """b · a^(b−1) is 0 · inf at a = b = 0."""
    w = lo.Parameter([0.0, 2.0])
    y = w ** np.full(2, exponent)
    y.sum().backward()
    assert y.data.tolist() == [0.0**exponent, 2.0**exponent]
    assert w.grad.tolist() == [[0.0, 0.0], [1.0, 1.0], [0.0, 4.0], [0.0, 12.0]][exponent]
    second = lo.grad(
        lo.grad((w ** np.full(2, exponent)).sum(), w, create_graph=True).sum() + 0.0 * w.sum(), w
    )
    assert second.tolist() == [[0.0, 0.0], [0.0, 0.0], [2.0, 2.0], [0.0, 12.0]][exponent]


def test_the_exponent_at_base_zero_gets_no_nan():
    a, b = lo.Parameter([0.0, 2.0]), lo.Parameter([2.0, 2.0])
    (a**b).sum().backward()
    assert b.grad[0] == 0.0
    assert b.grad[1] == pytest.approx(4 * np.log(2.0))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("f", "x", "value", "derivative"),
    [
        (elementwise.sigmoid, 1e4, 1.0, 0.0),
        (elementwise.sigmoid, -1e4, 0.0, 0.0),
        (elementwise.sigmoid, 0.0, 0.5, 0.25),
        (elementwise.softplus, 1e4, 1e4, 1.0),
        (elementwise.softplus, -1e4, 0.0, 0.0),
        (np.tanh, 1e4, 1.0, 0.0),
        (lambda x: np.logaddexp(x, 0.0), 1e4, 1e4, 1.0),
        (lambda x: np.logaddexp(x, 0.0), -1e4, 0.0, 0.0),
        (lambda x: np.logaddexp(0.0, -x), -1e4, 1e4, -1.0),
    ],
)
def test_tails_are_finite_without_a_warning(f, x, value, derivative, dtype, shape):
    assert slope(f, x, dtype, shape) == (value, derivative)


def test_sigmoid_and_softplus_keep_their_digits_in_the_tails():
    tiny = pytest.approx(np.exp(-40.0), rel=1e-14, abs=0.0)
    assert slope(elementwise.sigmoid, -40.0) == (tiny, tiny)
    assert slope(elementwise.sigmoid, 40.0) == (1.0, tiny)
    assert slope(elementwise.softplus, -40.0) == (tiny, tiny)
    assert slope(np.log1p, 1e-18)[0] == 1e-18
    assert slope(np.expm1, 1e-18)[0] == 1e-18


def test_where_broadcasts_all_three_and_its_gradients_are_summed_back():
    c = np.array([[True], [False]])
    a, b = lo.Parameter([1.0, 2.0, 3.0]), lo.Parameter(5.0)
    y = np.where(c, a, b)
    y.backward(seed=np.arange(6.0).reshape(2, 3))
    assert y.data.tolist() == [[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]]
    assert a.grad.tolist() == [0.0, 1.0, 2.0]
    assert b.grad == 12.0


def test_where_keeps_float32_beside_python_numbers():
    w = lo.Parameter([1.0, -1.0], dtype=np.float32)
    y = np.where(w > 0.0, w, 0.0)
    y.sum().backward()
    assert y.dtype == w.grad.dtype == np.float32
    assert w.grad.tolist() == [1.0, 0.0]


def test_where_gives_no_gradient_to_its_condition():
    c = lo.Parameter([1.0, 0.0])
    assert lo.grad(np.where(c, c * 2.0, 0.0).sum(), c).tolist() == [2.0, 0.0]


def test_clip_by_arrays():
    w = lo.Parameter([0.0, 1.0, 2.0])
    y = np.clip(w, np.array([0.5, 0.5, 0.5]), lo.Tensor([1.5, 1.0, 1.5]))
    y.sum().backward()
    assert y.data.tolist() == [0.5, 1.0, 1.5]
    assert w.grad.tolist() == [0.0, 1.0, 0.0]


def test_astype_passes_the_gradient_back_in_its_own_dtype():
    w = lo.Parameter([1.0, 2.0])
    y = w.astype(np.float32) * 3.0
    y.sum().backward()
    assert y.dtype == np.float32
    assert w.grad.dtype == np.float64
    assert w.grad.tolist() == [3.0, 3.0]
    assert lo.Tensor([1.5]).astype(int).data.tolist() == [1]


# ----------------------------------------------------------- inverse and hyperbolic functions


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("f", "x", "value", "derivative"),
    [
        (np.arcsin, 0.0, 0.0, 1.0),
        (np.arcsin, 0.6, 0.6435011087932844, 1.25),
        (np.arccos, 0.0, np.pi / 2, -1.0),
        (np.arccos, -0.8, 2.498091544796509, -1 / 0.6),
        (np.arctan, 0.0, 0.0, 1.0),
        (np.arctan, 1.0, np.pi / 4, 0.5),
        (np.arctan, -1e4, -1.5706963267952299, 1 / (1 + 1e8)),
        (np.sinh, 0.0, 0.0, 1.0),
        (np.sinh, np.log(2.0), 0.75, 1.25),
        (np.cosh, 0.0, 1.0, 0.0),
        (np.cosh, -np.log(2.0), 1.25, -0.75),
    ],
)
def test_angles_and_hyperbolas(f, x, value, derivative, dtype, shape):
    found = slope(f, x, dtype, shape)
    np.testing.assert_allclose(found, (value, derivative), rtol=10 * np.finfo(dtype).eps)


def test_arcsin_keeps_its_digits_near_one():
    """1 - x² would have lost half of them; exact is 1 / √(d (2 - d)) at x = 1 - d."""
    d = 2.0**-40
    w = lo.Parameter([1.0 - d, d - 1.0])
    (np.arcsin(w) - np.arccos(w)).sum().backward()
    np.testing.assert_allclose(w.grad, 2.0 / np.sqrt(d * (2.0 - d)), rtol=1e-15)


def test_second_derivatives_of_the_arcs_by_hand():
    x = 0.6
    for f, second in (
        (np.arcsin, x / 0.8**3),
        (np.arccos, -x / 0.8**3),
        (np.arctan, -2 * x / (1 + x * x) ** 2),
        (np.sinh, np.sinh(x)),
        (np.cosh, np.cosh(x)),
    ):
        w = lo.Parameter(x)
        assert lo.grad(lo.grad(f(w), w, create_graph=True), w) == pytest.approx(second, rel=1e-14)


@pytest.mark.peers
@pytest.mark.parametrize("name", ["arcsin", "arccos", "arctan", "sinh", "cosh"])
def test_inverse_and_hyperbolic_functions_equal_torch(name, rng):
    torch = pytest.importorskip("torch", reason="needs the extra 'peers'")
    x = rng.uniform(-0.99, 0.99, 50)
    w, t = lo.Parameter(x), torch.tensor(x, requires_grad=True)
    y, other = getattr(np, name)(w), getattr(torch, name)(t)
    y.sum().backward()
    other.sum().backward()
    np.testing.assert_allclose(y.data, other.detach().numpy(), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(w.grad, t.grad.numpy(), rtol=1e-12)
