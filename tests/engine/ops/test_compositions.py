"""NumPy's names on tensors, as methods and in programs, and the places where a slope has to be chosen."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.engine.ops.linear import cumprod

X = np.array([[0.3, 1.2, 0.7], [2.0, 0.4, 1.1]])

METHODS = {
    "square": lambda x: x * x,
    "sin": np.sin,
    "cos": np.cos,
    "ravel": np.ravel,
    "copy": np.copy,
    "cumsum": np.cumsum,
    "cumprod": np.cumprod,
    "trace": np.trace,
    "diagonal": np.diagonal,
    "sort": np.sort,
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_the_functions(name):
    x = lo.Parameter(X)
    y = getattr(x, name)()
    np.testing.assert_array_equal(y.numpy(), METHODS[name](X))
    y.sum().backward()
    other = lo.Parameter(X)
    METHODS[name](other).sum().backward()
    np.testing.assert_array_equal(x.grad, other.grad)


def test_methods_with_options():
    x = lo.Parameter(X)
    np.testing.assert_array_equal(x.sort(axis=0).numpy(), np.sort(X, 0))
    np.testing.assert_array_equal(x.cumsum(1).numpy(), X.cumsum(1))
    np.testing.assert_array_equal(x.take([0, -1], axis=1).numpy(), X.take([0, -1], axis=1))
    np.testing.assert_array_equal(x.repeat(2, axis=0).numpy(), X.repeat(2, axis=0))


def test_methods_without_a_gradient_are_plain():
    x = lo.Parameter(X)
    assert x.argmin() == 0
    assert x.argmin(axis=1).tolist() == [0, 1]
    assert type(x.argsort(axis=0)) is np.ndarray
    np.testing.assert_array_equal(x.argsort(), X.argsort())
    np.testing.assert_array_equal(x.round(decimals=0), X.round())
    np.testing.assert_array_equal(x.round(1), X.round(1))
    assert x.tolist() == X.tolist()
    assert type(x[0, 0].tolist()) is float


def test_a_copy_is_in_the_graph_and_in_memory_of_its_own():
    x = lo.Parameter(X, name="x")
    y = x.copy()
    assert not np.shares_memory(y.data, x.data)
    assert y.named("y").name == "y"
    assert x.name == "x"
    (y * y).sum().backward()
    np.testing.assert_array_equal(x.grad, 2 * X)


@pytest.mark.parametrize(
    ("x", "expected"),
    [  # of y1 + 2 y2 + 3 y3 + 4 y4, by hand
        (
            [2.0, 3.0, 5.0, 7.0],
            [1 + 2 * 3 + 3 * 15 + 4 * 105, 2 * (2 + 3 * 5 + 4 * 35), 6 * (3 + 4 * 7), 30 * 4],
        ),
        ([2.0, 0.0, 5.0, 7.0], [1.0, 2 * (2 + 3 * 5 + 4 * 35), 0.0, 0.0]),
        ([2.0, 0.0, 5.0, 0.0], [1.0, 2 * (2 + 3 * 5), 0.0, 0.0]),
        ([0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]),
    ],
)
def test_cumprod_is_exact_at_zeros(x, expected):
    w = lo.Parameter(x)
    (np.cumprod(w) * np.array([1.0, 2.0, 3.0, 4.0])).sum().backward()
    assert w.grad.tolist() == expected


def test_cumprod_of_two_zeros_has_a_second_derivative():
    def last(x):
        return np.cumprod(x)[-1]

    assert lo.hessian(last)(np.array([0.0, 3.0, 0.0])).tolist() == [[0, 0, 3], [0, 0, 0], [3, 0, 0]]


def test_cumprod_in_float16_is_made_in_float32():
    x = lo.Parameter(np.full(30, 2.0, np.float16))
    y = cumprod(x * np.float16(0.5))
    assert y.dtype == np.float16
    assert y.numpy().tolist() == [1.0] * 30


@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_at_the_origin_hypot_has_slope_0_and_what_does_not_exist_is_nan():
    a, b = lo.Parameter(0.0), lo.Parameter(0.0)
    length, angle = np.hypot(a, b), np.arctan2(a, b)
    first = lo.grad(length, [a, b], create_graph=True)
    assert [g.item() for g in first] == [0.0, 0.0]
    assert np.isnan([lo.grad(first[0], a), *lo.grad(angle, [a, b])]).all()
    assert (length.item(), angle.item()) == (0.0, 0.0)


def test_slopes_that_would_overflow():
    for value in (1e200, -1e200, 1e-200):
        x = lo.Parameter(value)
        np.arcsinh(x).backward()
        assert x.grad == pytest.approx(1 / np.hypot(1.0, value), rel=1e-15)
    a, b = lo.Parameter(3e200), lo.Parameter(4e200)
    np.arctan2(a, b).backward()
    assert a.grad == pytest.approx(4 / 25 * 1e-200, rel=1e-14)
    assert b.grad == pytest.approx(-3 / 25 * 1e-200, rel=1e-14)


def test_angles_are_right_in_every_quadrant():
    turn = np.linspace(-3.0, 3.0, 13)
    y, x = lo.Parameter(np.sin(turn)), lo.Parameter(np.cos(turn))
    angle = np.arctan2(y, x)
    np.testing.assert_allclose(angle.numpy(), turn, rtol=1e-14, atol=1e-15)
    angle.sum().backward()
    np.testing.assert_allclose(y.grad, np.cos(turn), rtol=1e-13)
    np.testing.assert_allclose(x.grad, -np.sin(turn), rtol=1e-13, atol=1e-16)


def test_nan_goes_where_numpy_sends_it():
    a, b = lo.Parameter([np.nan, 1.0, 2.0, np.nan]), lo.Parameter([3.0, np.nan, 2.0, np.nan])
    for f in (np.fmax, np.fmin):
        y = f(a, b)
        np.testing.assert_array_equal(y.numpy(), [3.0, 1.0, 2.0, np.nan])
        assert lo.grad(y[:3].sum(), a).tolist() == [0.0, 1.0, 0.5, 0.0]
        assert lo.grad(y[:3].sum(), b).tolist() == [1.0, 0.0, 0.5, 0.0]
    x = lo.Parameter([1.0, np.nan, 3.0])
    assert np.isnan(np.median(x).item())
    x = lo.Parameter(np.array([np.nan, np.inf, -np.inf, 5.0], np.float32))
    y = np.nan_to_num(x)
    np.testing.assert_array_equal(y.numpy(), np.nan_to_num(x.data))
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 0.0, 1.0]


def test_a_median_of_two_shares_the_gradient():
    x = lo.Parameter([4.0, 1.0, 3.0, 9.0])
    np.median(x).backward()
    assert x.grad.tolist() == [0.5, 0.0, 0.5, 0.0]


def test_log_determinant_and_solve_give_the_gaussian_gradient():
    """Of x' S⁻¹ x + log det S: by S it is S⁻¹ − S⁻¹ x x' S⁻¹ (Matrix Cookbook, 57 and 61)."""
    S, x = lo.Parameter([[2.0, 0.5], [0.5, 1.0]]), lo.Parameter([1.0, -2.0])
    (x @ np.linalg.solve(S, x) + np.linalg.slogdet(S).logabsdet).backward()
    inverse = np.linalg.inv(S.data)
    z = inverse @ x.data
    np.testing.assert_allclose(S.grad, inverse - np.outer(z, z), rtol=1e-13)
    np.testing.assert_allclose(x.grad, 2 * z, rtol=1e-13)
    sign, _ = np.linalg.slogdet(lo.Parameter([[0.0, 1.0], [1.0, 0.0]]))
    assert sign.item() == -1.0
    assert not sign.requires_grad


@pytest.mark.parametrize("p", [0.5, 1, 1.5, 3, -1])
def test_a_norm_of_zeros_has_slope_0_from_order_1_on(p):
    x = lo.Parameter([0.0, 0.0])
    with np.errstate(divide="ignore"):
        y = np.linalg.norm(x, p) if p >= 1 else np.linalg.norm(x + 1.0, p)
        y.backward()
        assert y.item() == np.linalg.norm(x.data + (p < 1), p)
    assert np.isfinite(x.grad).all()
    assert p < 1 or x.grad.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    "f",
    [
        lambda w: np.median(np.vstack([w, 2.0 * w]), axis=0).sum(),
        lambda w: np.hypot(np.tile(w, 2), np.repeat(w, 2)).sum(),
        lambda w: (np.cumprod(np.diff(w)) * np.arctan2(w[1:], 2.0)).sum(),
        lambda w: np.fmax(w, np.flipud(w)).sum() + np.average(w, weights=w * w),
    ],
)
def test_programs_and_pictures_of_them(f):
    w = lo.Parameter([0.3, 1.2, 0.7], name="w")
    loss = f(w)
    (gradient,) = [lo.grad(loss, w)]
    text = lo.source(loss)
    names: dict = {}
    exec(text, names)
    value, gradients = names["loss_and_gradients"](**text.arguments)
    assert value == loss.item()
    np.testing.assert_array_equal(gradients["w"], gradient)
    compiled = lo.compile(lambda: f(w))
    for new in ([0.3, 1.2, 0.7], [2.0, 1.5, 0.1]):
        w.data = np.array(new)
        w.grad = None
        value = compiled()
        assert value == pytest.approx(f(w).item(), rel=1e-14)
        np.testing.assert_allclose(w.grad, lo.grad(f(w), w), rtol=1e-13)
    assert "digraph" in lo.draw(f(w)).source
