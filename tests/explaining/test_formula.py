"""Names and formulas of the values of a graph."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.engine.graph import reachable
from tinygrad_lo.explaining.formula import Names, number, option_text, size

MATRIX = lo.Tensor(np.ones((2, 3)), name="X")


def formula(value):
    return Names([value]).formula(value)


def w(value=1.5):
    return lo.Parameter(value, name="w")


def n(value=2.0):
    return lo.Parameter(value, name="n")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (lambda: w() + 1, "w + 1"),
        (lambda: 1 + w(), "1 + w"),
        (lambda: w() - n(), "w − n"),
        (lambda: w() * -2.5, "w × (−2.5)"),
        (lambda: w() / n(), "w ÷ n"),
        (lambda: -w(), "−w"),
        (lambda: w() ** 2, "w²"),
        (lambda: w() ** -1, "w⁻¹"),
        (lambda: w() ** 10.0, "w¹⁰"),
        (lambda: w() ** 0.5, "w ^ 0.5"),
        (lambda: np.square(w()), "w²"),
        (lambda: np.sqrt(w()), "√w"),
        (lambda: np.abs(w()), "|w|"),
        (lambda: np.exp(w()), "exp(w)"),
        (lambda: np.log1p(w()), "log(1 + w)"),
        (lambda: np.maximum(w(), 0.0), "max(w, 0)"),
        (lambda: w().relu(), "max(0, w)"),
        (lambda: w().sigmoid(), "σ(w)"),
        (lambda: np.where(True, w(), 0.0), "w if true else 0"),
        (lambda: np.clip(w(), -1.0, None), "clip(w, -1.0, None)"),
        (lambda: w([1.0, 2.0]).sum(), "Σ w"),
        (lambda: w([1.0, 2.0]).max(), "max w"),
        (lambda: np.linalg.norm(w([1.0, 2.0])), "‖w‖"),
        (lambda: w([[1.0, 2.0]]).T, "wᵀ"),
        (lambda: w([[1.0, 2.0]])[0, 1:], "w[0, 1:]"),
        (lambda: w([1.0, 2.0])[::-1], "w[::-1]"),
        (lambda: w([1.0, 2.0])[..., None], "w[…, None]"),
        (lambda: w([1.0, 2.0])[np.array([0, 0])], "w[indices]"),
        (lambda: w([1.0, 2.0])[np.array([True, False])], "w[mask]"),
        (lambda: MATRIX @ w(np.ones(3)), "X @ w"),
        (lambda: np.concatenate([w([1.0]), n([1.0])]), "join w, n"),
        (lambda: np.einsum("i,i->", w([1.0]), n([1.0])), "einsum w, n"),
        (lambda: w() * np.array([1.0, 2.0]), "w × x1"),
        (w, ""),
    ],
)
def test_formulas(value, text):
    assert formula(value()) == text


def test_a_tensor_as_exponent_keeps_its_name():
    """Its value of now is no part of the formula: the gradient flows to it."""
    assert formula(w() ** n(2.0)) == "w ^ n"
    assert formula(2.0 ** n(3.0)) == "2 ^ n"


def test_values_are_numbered_oldest_first_by_kind():
    x, a, b = lo.Tensor(1.0), lo.Parameter(2.0), lo.Parameter(3.0)
    first = x * a
    loss = first + b
    names = Names([loss])
    assert [names.of(node) for node in (x, a, b, first, loss)] == ["x1", "w1", "w2", "v1", "L"]
    assert names.nodes == reachable([loss])


def test_numbers_never_collide_with_the_users_names():
    a, b = lo.Parameter(2.0, name="w2"), lo.Parameter(3.0)
    loss = (a * b).named("v1") + lo.Parameter(1.0) + 1.0
    names = Names([loss])
    found = [names.of(node) for node in names.nodes]
    assert len(set(found)) == len(found)
    assert {"w2", "v1", "w1", "w3", "v2", "L"} == set(found)


def test_one_array_has_one_name_and_a_view_of_it_another():
    x = np.arange(4.0)
    p = lo.Parameter(np.ones(4))
    loss = (p * x + p * x + p * x[::-1]).sum()
    names = Names([loss])
    assert list(names.arrays) == ["x1", "x2"]
    assert names.of_array(x) == "x1"
    np.testing.assert_array_equal(names.arrays["x2"], x[::-1])


def test_labels_of_a_pick_are_no_operand():
    s = lo.Parameter([[1.0, 2.0]], name="S")
    from tinygrad_lo.engine.ops.indexing import pick

    y = pick(s, np.array([1]))
    assert formula(y) == "S[i, yᵢ]"
    assert Names([y]).arrays == {}


def test_several_roots_share_their_names():
    a = lo.Parameter(1.0)
    first, second = a * 2.0, a * 3.0
    names = Names([first, second])
    assert {names.of(first), names.of(second)} == {"v1", "v2"}


def test_a_chain_of_a_hundred_thousand_values_has_names():
    y = lo.Parameter(1.0)
    for _ in range(100_000):
        y = y + 1.0
    assert Names([y]).of(y) == "L"
    assert Names([y]).of(y.parents[0]) == "v99999"


def test_a_symbol_of_the_users_own_is_filled_in():
    op = lo.define_op("weird", lambda x: x * 2, [lambda g, y, x: 2 * g], symbol="⟦{0}⟧")
    try:
        assert formula(op(lo.Parameter(1.0, name="{a}"))) == "⟦{a}⟧"
    finally:
        lo.engine.ops.TABLE.pop("weird")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (-2.5, "−2.5"),
        (3.14159, "3.14"),
        (1e-9, "1e−9"),
        (1234.0, "1234"),
        (123456789.0, "1.23e8"),
        (np.nan, "nan"),
        (np.inf, "∞"),
        (-np.inf, "−∞"),
        (True, "true"),
        (np.bool_(False), "false"),
        (np.float32(0.1), "0.1"),
        (7, "7"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


def test_options_and_sizes():
    assert option_text((slice(None), 1, None, ...)) == ":, 1, None, …"
    assert option_text(slice(1, 5, 2)) == "1:5:2"
    assert size((3, 4)) == "3×4"
    assert size((5,)) == "5"
