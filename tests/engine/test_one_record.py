"""All that is known of an op stands in its record: a new one needs nothing else to work everywhere."""

import math

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.engine.ops import TABLE
from tinygrad_lo.engine.ops.registry import op

X = np.array([[0.5, 2.0, 1.0], [3.0, 0.25, 4.0]])


@pytest.fixture(name="cbrt")
def new_op():
    before = dict(TABLE)
    yield op(
        "cbrt",
        np.cbrt,
        (lambda g, y, x: g / (3.0 * y * y),),
        spelling="np.cbrt({0})",
        symbol="∛{0}",
        about="Cube root.",
        scalar="cbrt({0})",
        domain=(0.5, 3.0),
    )
    del TABLE["cbrt"]
    assert before == TABLE


def test_its_function_computes_and_differentiates_scalars_and_arrays(cbrt):
    w = lo.Parameter(8.0)
    cbrt(w).backward()
    assert w.grad == pytest.approx(1 / 12)
    W = lo.Parameter(X)
    cbrt(W).sum().backward()
    np.testing.assert_allclose(W.grad, X ** (-2 / 3) / 3)
    np.testing.assert_array_equal(cbrt(X), np.cbrt(X))


def test_the_record_says_the_rest_by_itself(cbrt):
    record = TABLE["cbrt"]
    assert record.ufunc is np.cbrt
    assert record.elementwise
    assert record.fresh
    assert record.arity == 1
    assert record.apply is cbrt


def test_source_prints_it_as_numpy_that_runs(cbrt):
    W = lo.Parameter(X, name="W")
    loss = (cbrt(W) * X).sum()
    text = lo.source(loss)
    assert "np.cbrt(W)" in text
    namespace = {}
    exec(text, namespace)
    value, gradients = namespace["loss_and_gradients"](**text.arguments)
    loss.backward()
    assert value == loss.item()
    np.testing.assert_array_equal(gradients["W"], W.grad)


def test_compiled_it_is_one_ufunc_into_a_buffer(cbrt):
    W = lo.Parameter(X)
    step = lo.compile(lambda x: (cbrt(W * x) ** 2).sum())
    expected = (cbrt(W * X) ** 2).sum()
    assert step(X) == pytest.approx(expected.item())
    expected.backward()
    np.testing.assert_allclose(W.grad, 2 * 2 * np.cbrt(X * X) * X * np.cbrt(X * X) ** -2 / 3)
    assert "= empty((2, 3), 'float64')" in step.source
    assert any("cbrt_" in line and line.endswith("b0)") for line in step.source.splitlines())
    step.verify(X)


def test_compiled_for_scalars_it_is_a_function_of_math(cbrt):
    w = lo.Parameter(8.0)
    step = lo.compile(lambda: cbrt(w) * 3.0)
    assert step() == pytest.approx(6.0)
    assert "np." not in step.source
    assert step() == math.cbrt(8.0) * 3.0
    assert w.grad == pytest.approx(2 * 3 / 12)


def test_formula_explain_and_tree_derive_its_words(cbrt):
    assert lo.formula("cbrt") == "y = ∛x\n∂L/∂x = g ÷ (3 × y × y)\nwhere g = ∂L/∂y"
    assert lo.formula(cbrt) == lo.formula("cbrt")
    w = lo.Parameter(8.0, name="w")
    loss = cbrt(w).named("loss")
    text = lo.explain(loss)
    assert "loss = ∛w = ∛8 = 2" in text
    assert "∂L/∂w = 0.08333" in text
    assert "loss = ∛w = 2" in lo.tree(loss)


def test_it_is_drawn(cbrt):
    assert "∛" in lo.draw(cbrt(lo.Parameter(8.0, name="w"))).source


def test_gradcheck_accepts_it(cbrt):
    lo.gradcheck(lambda x: cbrt(x).sum(), X)
