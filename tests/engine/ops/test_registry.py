"""define_op: a user's own op, with options, without a rule, with a wrong rule."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.engine.ops import TABLE
from tinygrad_lo.errors import IndexingError, LoError, OptionError, ShapeError


@pytest.fixture
def define():
    """lo.define_op, and the table as it was afterwards."""
    before = dict(TABLE)
    yield lo.define_op
    TABLE.clear()
    TABLE.update(before)


def test_values_gradients_and_second_derivatives(define, rng):
    cube = define("cube", lambda x: x**3, [lambda g, y, x: g * 3 * x**2])
    x = rng.standard_normal((2, 3))
    w = lo.Parameter(x)
    y = cube(w)
    assert y.op.name == "cube"
    np.testing.assert_array_equal(y.numpy(), x**3)
    np.testing.assert_allclose(lo.grad(y.sum(), w), 3 * x**2, rtol=1e-14)
    slope = lo.grad(y.sum(), w, create_graph=True)
    curve = lo.grad(slope.sum(), w, create_graph=True)
    np.testing.assert_allclose(curve.numpy(), 6 * x, rtol=1e-14)
    np.testing.assert_allclose(lo.grad(curve.sum(), w), np.full((2, 3), 6.0), rtol=1e-14)


def test_arrays_in_arrays_out(define):
    cube = define("cube", lambda x: x**3, [lambda g, y, x: g * 3 * x**2])
    assert type(cube(np.array([2.0]))) is np.ndarray
    assert cube(2.0) == 8.0
    assert type(cube(2.0)) is np.float64
    assert type(cube(lo.Tensor(2.0))) is lo.Tensor


def test_options_are_keywords_of_the_forward_and_of_every_rule(define):
    scaled = define(
        "scaled",
        lambda a, b, *, factor=2.0, power=1: factor * a**power * b,
        [
            lambda g, y, a, b, *, factor=2.0, power=1: g * factor * power * a ** (power - 1) * b,
            lambda g, y, a, b, *, factor=2.0, power=1: g * factor * a**power,
        ],
    )
    a, b = lo.Parameter(3.0), lo.Parameter(5.0)
    scaled(a, b).backward()
    assert (a.grad, b.grad) == (10.0, 6.0)
    a.grad = b.grad = None
    y = scaled(a, b, factor=10.0, power=2)
    assert y.item() == 450.0
    y.backward()
    assert (a.grad, b.grad) == (300.0, 90.0)
    slope = lo.grad(scaled(a, b, factor=10.0, power=2), a, create_graph=True)
    assert lo.grad(slope, [a, b]) == [100.0, 60.0]
    assert scaled(2.0, 3.0, factor=1.0) == 6.0
    assert y.op.name == "scaled"


def test_an_option_that_does_not_exist_is_an_error(define):
    cube = define("cube", lambda x: x**3, [lambda g, y, x: g * 3 * x**2])
    with pytest.raises(LoError, match="cube"):
        cube(lo.Parameter(2.0), power=4)


def test_a_rule_none_gives_no_gradient_and_counts_no_input(define):
    chosen = define("chosen", lambda x, mask: x * mask, [lambda g, y, x, mask: g * mask, None])
    w, m = lo.Parameter([1.0, 2.0]), lo.Parameter([1.0, 0.0])
    chosen(w, m).sum().backward()
    assert w.grad.tolist() == [1.0, 0.0]
    assert m.grad is None
    assert chosen(w, np.array([True, False])).data.tolist() == [1.0, 0.0]


def test_only_rules_none_make_a_function_without_gradient(define):
    step = define("step_at_0", lambda x: (x > 0) * 1.0, [None])
    y = step(lo.Parameter([1.0, -1.0]))
    assert not y.requires_grad
    assert y.data.tolist() == [1.0, 0.0]


def test_three_inputs_and_broadcasting(define, rng):
    muladd = define(
        "muladd",
        lambda a, b, c: a * b + c,
        [lambda g, y, a, b, c: g * b, lambda g, y, a, b, c: g * a, lambda g, y, a, b, c: g],
    )
    a, b, c = (lo.Parameter(rng.standard_normal(s)) for s in ((2, 1), (3,), ()))
    loss = (muladd(a, b, c) ** 2).sum()
    y = a.data * b.data + c.data
    ga, gb, gc = lo.grad(loss, [a, b, c])
    np.testing.assert_allclose(ga, (2 * y * b.data).sum(1, keepdims=True), rtol=1e-13)
    np.testing.assert_allclose(gb, (2 * y * a.data).sum(0), rtol=1e-13)
    np.testing.assert_allclose(gc, (2 * y).sum(), rtol=1e-13)


def test_a_rule_may_return_a_number_where_the_input_is_a_number(define):
    half = define("half_of", lambda x: x / 2, [lambda g, y, x: 0.5 * float(g)])
    w = lo.Parameter(3.0)
    half(w).backward()
    assert w.grad == 0.5
    assert type(w.grad) is np.float64


@pytest.mark.parametrize(
    "rule", [lambda g, y, x: np.ones(3), lambda g, y, x: np.float64(1.0), lambda g, y, x: np.ones((1, 1))]
)
def test_a_rule_of_another_shape_is_named(define, rule):
    wrong = define("wrong_shape", lambda x: x * 2, [rule])
    w = lo.Parameter([1.0, 2.0])
    with pytest.raises(
        ShapeError, match=r"wrong_shape: rule 0 returned shape .* for an input of shape \(2,\)"
    ):
        wrong(w).sum().backward()
    assert w.grad is None


def test_a_rule_that_returns_nothing_is_named(define):
    forgotten = define("forgotten_return", lambda x: x * 2, [lambda g, y, x: None])
    with pytest.raises(LoError, match="forgotten_return: rule 0"):
        forgotten(lo.Parameter([1.0, 2.0])).sum().backward()


def test_a_forward_that_returns_no_numbers_is_named(define):
    forgotten = define("forgotten_value", lambda x: None, [lambda g, y, x: g])
    with pytest.raises(LoError, match="forgotten_value"):
        forgotten(lo.Parameter([1.0, 2.0]))


def test_a_forward_that_returns_a_tensor_is_refused(define):
    wrapped = define("wrapped", lo.Tensor, [lambda g, y, x: g])
    with pytest.raises(OptionError, match="wrapped: forward works on plain arrays"):
        wrapped(lo.Parameter(1.0))


def test_float32_stays_float32(define):
    cube = define("cube", lambda x: x**3, [lambda g, y, x: g * 3 * x**2])
    w = lo.Parameter([1.0, 2.0], dtype=np.float32)
    y = cube(w)
    y.sum().backward()
    assert y.dtype == w.grad.dtype == np.float32


def test_numpys_complaint_is_made_the_ops(define):
    third = define("third_of", lambda x: x[2], [lambda g, y, x: np.pad(g.reshape(1), (2, 0))])
    with pytest.raises(IndexingError, match="third_of"):
        third(lo.Parameter([1.0]))


@pytest.mark.parametrize("name", ["exp", "add", "mean", "stack"])
def test_taken_names_are_refused(define, name):
    with pytest.raises(OptionError, match=f"the name '{name}' is taken"):
        define(name, lambda x: x, [lambda g, y, x: g])


def test_a_name_is_taken_by_its_first_definition(define):
    define("cube", lambda x: x**3, [lambda g, y, x: g * 3 * x**2])
    with pytest.raises(OptionError, match="'cube' is taken"):
        define("cube", lambda x: x**3, [lambda g, y, x: g * 3 * x**2])


@pytest.mark.parametrize("name", ["", "two words", "1st", None, "a-b", "x\ny"])
def test_names_are_identifiers(define, name):
    with pytest.raises(OptionError, match="identifier"):
        define(name, lambda x: x, [lambda g, y, x: g])


@pytest.mark.parametrize("rules", [[], (), ["g"], [3]])
def test_rules_are_functions_or_none(define, rules):
    with pytest.raises(OptionError, match="needs one rule"):
        define("no_rules", lambda x: x, rules)


def test_one_rule_that_is_no_list_is_refused(define):
    with pytest.raises(OptionError, match="needs one rule"):
        define("bare_rule", lambda x: x, lambda g, y, x: g)


def test_the_number_of_inputs_is_checked(define):
    cube = define("cube", lambda x: x**3, [lambda g, y, x: g * 3 * x**2])
    with pytest.raises(OptionError, match=r"cube takes 1 inputs?, got 2"):
        cube(lo.Parameter(1.0), 3)


def test_the_op_is_drawn_by_its_symbol_and_spelling(define):
    cube = define("cube", lambda x: x**3, [lambda g, y, x: g * 3 * x**2], symbol="{0}³", spelling="{0} ** 3")
    plain = define("plain_cube", lambda x: x**3, [lambda g, y, x: g * 3 * x**2])
    assert TABLE["cube"].symbol == "{0}³"
    assert TABLE["plain_cube"].spelling == "plain_cube({0})"
    w = lo.Parameter(2.0, name="w")
    assert lo.tree(cube(w)).splitlines()[0] == "L = w³ = 8"
    assert lo.tree(plain(w)).splitlines()[0] == "L = plain_cube(w) = 8"


def test_an_op_under_no_grad_scope_and_anomaly(define):
    cube = define("cube", lambda x: x**3, [lambda g, y, x: g * 3 * x**2])
    w = lo.Parameter(2.0)
    with lo.no_grad():
        assert not cube(w).requires_grad
    with lo.anomaly():
        cube(w).backward()
    assert w.grad == 12.0
    blow_up = define("blow_up", lambda x: x * np.inf, [lambda g, y, x: g])
    with pytest.raises(lo.errors.NonFiniteError, match=r"blow_up: input 2\.0"), lo.anomaly():
        blow_up(w)
