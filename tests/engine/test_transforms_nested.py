"""Derivatives of derivatives: of constant ones, of one transform inside another; which argument is meant."""

import gc

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.errors import GraphError


def slope(f, x):
    return lo.grad(f(x), x, create_graph=True)


CONSTANT = {  # a function of numbers, and the order from which on its derivatives are 0
    "2x": (lambda x: x * 2.0, 2),
    "x²": (lambda x: x**2, 3),
    "x³ − x": (lambda x: x * x * x - x, 4),
    "mae": (lambda x: lo.losses.mae(x, np.full(x.shape, 7.0), reduction="sum"), 2),
    "hinge": (lambda x: lo.losses.hinge(x, np.full(x.shape, 1), reduction="sum"), 2),
    "relu": (lambda x: np.maximum(3.0 * x, 0.0), 2),
    "min": (np.min, 2),
    "x + x": (lambda x: x + x, 2),
    "reshape": (lambda x: x.reshape(-1), 2),
}


@pytest.mark.parametrize("shape", [(), (3,), (2, 1)])
@pytest.mark.parametrize("name", CONSTANT)
def test_the_derivative_of_a_constant_derivative_is_zeros(name, shape):
    f, order = CONSTANT[name]
    x = lo.Parameter(np.full(shape, 0.7) + 0.1 * np.arange(int(np.prod(shape))).reshape(shape))
    y = f(x)
    for n in range(1, order + 3):
        y = lo.grad(y.sum(), x, create_graph=True)
        assert y.shape == x.shape
        assert (y.numpy() == 0.0).all() == (n >= order)
        plain = lo.grad(y.sum(), x)
        assert type(plain) is (np.ndarray if shape else np.float64)
        assert plain.dtype == np.float64


def test_the_derivative_itself_is_the_output():
    x = lo.Parameter(1.0)
    g = slope(lambda x: x * 2.0, x)
    assert g.item() == 2.0
    assert lo.grad(g, x) == 0.0
    assert lo.grad(g, x, allow_unused=True) == 0.0
    assert lo.grad(lo.grad(g, x, create_graph=True), x) == 0.0


def test_zeros_also_by_what_only_another_derivative_depends_on():
    x, y, q = lo.Parameter([1.0, 2.0]), lo.Parameter(3.0, dtype=np.float32), lo.Parameter(1.0, name="q")
    by_x = lo.grad((x * x).sum() + 3.0 * y, x, create_graph=True)
    zero = lo.grad(by_x.sum(), y)
    assert zero == 0.0
    assert zero.dtype == np.float32
    again = lo.grad((by_x * 5.0).sum(), y, create_graph=True)
    assert lo.grad(again, y) == 0.0
    assert lo.grad(again, x).tolist() == [0.0, 0.0]
    for output in (by_x.sum(), again, lo.grad(x.sum() * 2.0, x, create_graph=True).sum()):
        with pytest.raises(GraphError, match="'q' is not reached"):
            lo.grad(output, q)
        assert lo.grad(output, q, allow_unused=True) is None
    with pytest.raises(GraphError, match="is not reached"):
        lo.grad((x * x).sum(), y)


def test_a_value_made_after_what_was_differentiated_is_not_reached():
    x = lo.Parameter(1.0)
    g = slope(lambda x: x * 2.0, x)
    later = lo.named(x * 3.0, "later")
    with pytest.raises(GraphError, match="'later' is not reached"):
        lo.grad(g, later)


def test_by_values_in_between_too():
    x = lo.Parameter(2.0)
    s = x * 3.0
    g = lo.grad(s * 5.0, s, create_graph=True)
    assert lo.grad(g, [s, x]) == [0.0, 0.0]
    assert lo.grad(lo.grad(s * s, x, create_graph=True), s) == 6.0


def test_a_constant_derivative_deposits_zeros():
    x = lo.Parameter([1.0, 2.0])
    (slope(lambda x: (3.0 * x).sum(), x) ** 2).sum().backward()
    assert x.grad.tolist() == [0.0, 0.0]


def test_a_constant_derivative_of_infinities_is_zeros():
    x = lo.Parameter([np.inf, np.nan])
    g = slope(lambda x: (3.0 * x).sum(), x)
    assert g.numpy().tolist() == [3.0, 3.0]
    assert lo.grad(g.sum(), x).tolist() == [0.0, 0.0]


def test_constant_derivatives_under_no_grad():
    x = lo.Parameter(1.0)
    y = x * 2.0
    with lo.no_grad():
        g = lo.grad(y, x, create_graph=True)
    assert lo.grad(g, x) == 0.0


def test_no_grad_is_blamed_only_when_it_was_so():
    x = lo.Parameter(1.0, name="x")
    with lo.no_grad():
        y = x * 2.0
    with pytest.raises(GraphError, match="computed under no_grad"):
        lo.grad(y, x)
    for other in (lo.Tensor(1.0), lo.Tensor(1.0) * 2.0, y.detach()):
        with pytest.raises(GraphError, match="nothing requires a gradient") as error:
            lo.grad(other, x)
        assert "no_grad" not in str(error.value)
    with lo.no_grad():
        constant = lo.Tensor(1.0) * 2.0
    with pytest.raises(GraphError, match="nothing requires a gradient") as error:
        constant.backward()
    assert "no_grad" not in str(error.value)
    assert y.requires_grad is False


def test_jacobian_of_jacobian():
    x = np.array([1.0, 2.0])
    assert lo.jacobian(lo.jacobian(lambda x: 3.0 * x))(x).tolist() == np.zeros((2, 2, 2)).tolist()
    twice = lo.jacobian(lo.jacobian(lambda x: x**3))(x)
    np.testing.assert_array_equal(twice, np.einsum("ij,jk,k->ijk", np.eye(2), np.eye(2), 6 * x))
    thrice = lo.jacobian(lo.jacobian(lo.jacobian(lambda x: (x**3).sum())))(x)
    assert thrice[0, 0, 0] == thrice[1, 1, 1] == 6.0
    assert np.abs(thrice).sum() == 12.0
    f = lambda x: np.sin(x[0] * x[1]) * x[0]
    np.testing.assert_allclose(lo.jacobian(lo.jacobian(f))(x), lo.hessian(f)(x), rtol=1e-14)


def test_hessian_hvp_and_value_and_grad_inside_a_jacobian():
    x, v = np.array([1.0, 2.0]), np.array([3.0, -1.0])
    third = np.zeros((2, 2, 2))
    third[0, 0, 0], third[1, 1, 1] = 24.0, 48.0
    f = lambda x: (x**4).sum()
    np.testing.assert_array_equal(lo.jacobian(lo.hessian(f))(x), third)
    np.testing.assert_array_equal(lo.jacobian(lambda x: lo.hvp(f, x, v))(x), third @ v)
    np.testing.assert_array_equal(lo.jacobian(lambda v: lo.hvp(f, x, v))(v), lo.hessian(f)(x))
    np.testing.assert_array_equal(lo.jacobian(lambda x: lo.value_and_grad(f)(x)[1])(x), lo.hessian(f)(x))
    np.testing.assert_array_equal(lo.jacobian(lambda x: lo.value_and_grad(f)(x)[0])(x), 4 * x**3)
    assert (lo.jacobian(lo.hessian(lambda x: x.sum()))(x) == 0).all()
    assert (lo.jacobian(lambda x: lo.hvp(lambda x: x.sum() * 2.0, x, v))(x) == 0).all()
    assert (lo.jacobian(lo.hessian(lambda x: (x**2).sum()))(x) == 0).all()


def test_a_variable_of_the_outer_derivative_counts_however_it_comes_in():
    """By a closure, or as an argument that the inner one does not differentiate by: d(x · 2xy)/dx."""
    closure = lo.value_and_grad(lambda x: lo.value_and_grad(lambda y: x * y * y)(3.0)[1] * x)
    assert closure(2.0) == (24.0, 24.0)
    other = lo.value_and_grad(lambda x: lo.value_and_grad(lambda y, x: x * y * y)(3.0, x)[1] * x)
    assert other(2.0) == (24.0, 24.0)
    mixed = lo.jacobian(lambda x: lo.jacobian(lambda y: x * y * y)(np.array([1.0, 2.0])))(
        np.array([3.0, 4.0])
    )
    np.testing.assert_array_equal(mixed, np.einsum("ij,ik->ijk", np.diag([2.0, 4.0]), np.eye(2)))


def test_a_gradient_inside_a_transform_is_a_graph_where_that_counts():
    assert lo.value_and_grad(lambda x: x * lo.grad(x**2, x))(3.0) == (18.0, 12.0)
    w, seen = lo.Parameter(2.0), []

    def f(x):
        seen.append(lo.grad(w * w, w))
        return x * seen[-1]

    assert lo.value_and_grad(f)(3.0) == (12.0, 4.0)
    assert type(seen[0]) is np.float64


def test_a_rule_that_hands_on_its_output_makes_no_cycle():
    double = lo.define_op(
        "double_of_test", lambda x: x * 2.0, [lambda g, y, x: y if isinstance(g, lo.Tensor) else g]
    )
    try:
        x = lo.Parameter(1.0)
        y = double(x)
        g = lo.grad(y, x, create_graph=True)
        assert g is not y
        gc.collect()
        del g, y
        assert gc.collect() == 0
    finally:
        lo.engine.ops.TABLE.pop("double_of_test")


def test_the_same_variable_twice_is_not_confused():
    assert lo.value_and_grad(lambda x: x * lo.value_and_grad(lambda y: x + y)(1.0)[1])(5.0) == (5.0, 1.0)
    assert lo.value_and_grad(lambda x: lo.value_and_grad(lambda y: x * y)(x)[1])(5.0) == (5.0, 1.0)


def test_inside_a_derivative_what_does_not_depend_on_it_stays_an_array():
    seen = []

    def f(x):
        seen.append(lo.value_and_grad(lambda y: y * y)(3.0))
        return x * seen[-1][1]

    assert lo.value_and_grad(f)(2.0) == (12.0, 6.0)
    assert [type(part) for part in seen[0]] == [np.float64, np.float64]
    with pytest.raises(ZeroDivisionError):
        lo.value_and_grad(lambda x: x / (1 / 0))(1.0)
    assert type(lo.value_and_grad(lambda x: x * x)(3.0)[1]) is np.float64


@pytest.mark.parametrize("kind", [np.int64, np.int8, np.uint32, int])
def test_argnums_of_any_integer_type(kind):
    f = lambda x, y: (x * x * y).sum()
    assert lo.value_and_grad(f, kind(0))(3.0, 2.0) == (18.0, 12.0)
    assert lo.value_and_grad(f, (kind(1), kind(0)))(3.0, 2.0)[1] == (9.0, 12.0)
    assert lo.value_and_grad(f, np.array([0, 1], dtype=kind))(3.0, 2.0)[1] == (12.0, 9.0)
    assert lo.jacobian(f, kind(1))(3.0, 2.0) == 9.0
    assert lo.jacobian(f, argnums=np.arange(2, dtype=kind)[1])(3.0, 2.0) == 9.0


@pytest.mark.parametrize("argnums", [True, 1.0, "0", None, [0.0], (True,), [0, -2], np.array(0.5), {0, 1}])
def test_argnums_that_are_none_are_refused(argnums):
    with pytest.raises(lo.errors.OptionError, match="value_and_grad: argnums"):
        lo.value_and_grad(lambda x, y: x * y, argnums)(1.0, 2.0)
