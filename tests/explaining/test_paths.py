"""Paths from a value to the loss, against brute force, and without end."""

# ruff: noqa: E501  tables of expected texts

import math
import time
from decimal import Decimal

import emscripten
import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.engine.backward import edges
from tinygrad_lo.explaining.explain import explain
from tinygrad_lo.explaining.paths import LIMIT, TOP, paths


def lines(loss, of=None):
    return explain(loss, of).splitlines()


def p(value, name):
    return lo.Parameter(value, name=name)


def test_one_diamond_shows_why_paths_add():
    w = p(3.0, "w")
    a, b = (w + 1.0).named("a"), (w * 2.0).named("b")
    assert lines((a * b).named("loss"), w) == [
        "2 paths lead from w to loss (= L).",
        "∂L/∂w = 14: the sum of the products of local derivatives along each.",
        "  w → b → loss   2 · 4 = 8",
        "  w → a → loss   1 · 6 = 6",
        "Why paths add: w is used 2 times. When w grows by a small h, L grows by",
        "  8 · h through b",
        "  6 · h through a",
        "  and by both together: ∂L/∂w = 8 + 6 = 14",
        "Why order matters: the newest value goes first, b, then a.",
        "  After the first, w has 8; only the last makes it 14.",
    ]


def test_a_diamond_in_the_middle_shows_why_order_matters():
    w = p(3.0, "w")
    c = (w * 5.0).named("c")
    a, b = (c + 1.0).named("a"), (c * -2.0).named("b")
    text = lines((a * b).named("loss"), w)
    assert text[4:] == [
        "Why paths add: c is used 2 times. When c grows by a small h, L grows by",
        "  (−32) · h through b",
        "  (−30) · h through a",
        "  and by both together: ∂L/∂c = (−32) + (−30) = −62",
        "Why order matters: c hands its gradient on toward w once, when it is complete.",
        "  Handed on at each arrival it would count as (−32) + (−62) = −94 instead of −62:",
        "  what came first would be counted again.",
    ]


def test_both_inputs_of_one_gate_are_two_paths():
    w = p(3.0, "w")
    text = lines((w * w).named("y"), w)
    assert text[0] == "2 paths lead from w to y (= L)."
    assert text[2:4] == ["  w → y (as input 1)   3", "  w → y (as input 2)   3"]
    assert "order" not in "\n".join(text)


def test_values_in_between_and_the_loss_itself():
    w = p(3.0, "w")
    c = (w * 5.0).named("c")
    loss = (c * c * w).named("loss")
    assert lines(loss, c)[0] == "2 paths lead from c to loss (= L)."
    assert lines(loss, w)[0] == "3 paths lead from w to loss (= L)."
    assert lines(loss, loss) == [
        "1 path leads from loss to loss (= L).",
        "∂L/∂loss = 1: the sum of the products of local derivatives along each.",
        "  loss   1",
    ]


def random_scalars(rng):
    w = p(rng.uniform(-2, 2), "w")
    pool = [w, p(rng.uniform(-2, 2), "v")]
    for _ in range(rng.integers(2, 14)):
        x, y = (pool[rng.integers(max(0, len(pool) - 4), len(pool))] for _ in range(2))
        made = [
            lambda x, y: x + y, lambda x, y: x - y, lambda x, y: x * y, lambda x, y: 0.5 * x, lambda x, y: x.relu(),
            lambda x, y: np.tanh(x), np.maximum, lambda x, y: x * x,
        ][rng.integers(8)]  # fmt: skip
        pool.append(made(x, y))
    return w, pool[-1] + w * 0.25


def brute_force(loss, w):
    """The product of every path, one after the other."""
    products = []

    def go(node, product):
        if node is w:
            products.append(product)
            return
        for i, parent in edges(node):
            rule = node.op.rules[i]
            go(parent, product * float(rule(np.float64(1.0), node.value, *node.inputs)))

    go(loss, 1.0)
    return products


@pytest.mark.parametrize("seed", range(120))
def test_paths_are_those_of_brute_force(seed):
    w, loss = random_scalars(np.random.default_rng(seed))
    products = brute_force(loss, w)
    found = paths(loss, w)
    assert found.count == len(products)
    mine = [float(path.product) for path in found.largest]
    expected = sorted(products, key=lambda x: -abs(x))
    assert len(mine) == min(TOP, len(products))
    np.testing.assert_allclose(np.abs(mine), np.abs(expected[:TOP]), rtol=1e-12)
    assert math.fsum(mine) + found.rest == pytest.approx(math.fsum(products), rel=1e-9, abs=1e-12)
    assert float(found.gradient) == pytest.approx(math.fsum(products), rel=1e-9, abs=1e-12)
    for path in found.largest:
        assert math.prod(map(float, path.slopes)) == pytest.approx(float(path.product), rel=1e-12)
        below = w
        for gate, i in path.gates:
            assert gate.parents[i] is below
            below = gate
        assert below is loss
    if len(set(np.round(np.abs(expected), 12))) == len(expected):  # no ties: signs must agree, too
        np.testing.assert_allclose(mine, expected[:TOP], rtol=1e-12)
    assert len({tuple((gate.birth, i) for gate, i in path.gates) for path in found.largest}) == len(mine)


def test_the_rest_of_paths_without_slope_is_exactly_nothing():
    """It is added up on its own, not found as a difference, which would leave rounding errors."""
    w = p(0.1, "w")
    dead = -w.relu()
    for _ in range(6):
        dead = dead.relu() + dead.relu()
    text = lines(w * 3.3 + dead, w)
    assert text[0] == "65 paths lead from w to L."
    assert text[2] == "  w → v21 → L   3.3 · 1 = 3.3"
    assert text[22] == "  the other 45 paths bring, in all, 0"


def stacked(n, left=0.5, right=0.25):
    w = p(1.0, "w")
    y = w
    for _ in range(n):
        y = y * left + y * right
    return w, y


def test_thirty_diamonds_have_a_billion_paths():
    w, loss = stacked(30)
    found = paths(loss, w)
    assert found.count == 2**30
    assert found.rest + math.fsum(float(path.product) for path in found.largest) == pytest.approx(0.75**30)
    assert [round(math.log2(float(path.product))) for path in found.largest] == [-30] + [-31] * 19
    text = lines(loss, w)
    assert text[0] == "1,073,741,824 paths lead from w to L."
    assert "  the other 1,073,741,804 paths bring, in all, 0.0001786" in text
    assert "… 49 more …" in text[2]


@emscripten.depth
def test_products_below_every_float_are_no_zeros():
    w, loss = stacked(3_000, 0.5, 0.5)
    began = time.perf_counter()
    found = paths(loss, w)
    assert found.count == 2**3_000
    assert found.largest[0].product / (Decimal(1) / 2**3_000) == pytest.approx(
        Decimal(1), rel=Decimal("1e-20")
    )
    assert found.rest == 1.0
    text = lines(loss, w)
    assert time.perf_counter() - began < 60
    assert text[0] == "about 1.23e903 paths lead from w to L."
    assert text[2].endswith(" = 8.13e−904")


@emscripten.depth
def test_a_chain_of_twenty_thousand_is_one_path():
    w = p(1.0, "w")
    y = w
    for _ in range(20_000):
        y = y + 1.0
    text = lines(y, w)
    assert text[0] == "1 path leads from w to L."
    assert "… 19,989 more …" in text[2]
    assert len(text) == 3


def test_a_value_with_very_many_uses():
    w = p(2.0, "w")
    loss = sum((w * float(i) for i in range(3000)), lo.Tensor(0.0))
    found = paths(loss, w)
    assert found.count == 3000
    assert [float(path.product) for path in found.largest] == [float(i) for i in range(2999, 2979, -1)]
    assert found.rest == sum(range(2980))
    assert "which is used 3000 times" in lines(loss, w)[-1]


def test_nan_and_infinity_come_first():
    w = p(0.0, "w")
    with np.errstate(all="ignore"):
        loss = w * 3.0 + np.log(w)
    text = lines(loss, w)
    assert text[1].startswith("∂L/∂w = ∞")
    assert text[2] == "  w → v2 → L   ∞ · 1 = ∞"


# --------------------------------------------------------------------------------- paths of arrays


def array_paths(seed):
    rng = np.random.default_rng(seed)
    W, b = p(rng.normal(size=(3, 2)), "W"), p(rng.normal(size=2), "b")
    S = rng.normal(size=(4, 3)) @ W + b
    h = S.relu() * S + np.tanh(S)
    return W, b, (h * h).sum() + lo.losses.l2(W) + (b * b).sum()


@pytest.mark.parametrize("seed", range(10))
def test_what_arrives_along_array_paths_adds_up(seed):
    W, b, loss = array_paths(seed)
    for of in (W, b):
        found = paths(loss, of)
        assert not found.scalar
        assert len(found.largest) == found.count
        total = sum(path.product for path in found.largest)
        np.testing.assert_allclose(total, found.gradient, rtol=1e-10)
        np.testing.assert_array_equal(found.gradient, lo.grad(loss, of))
        lengths = [np.linalg.norm(path.product) for path in found.largest]
        assert lengths == sorted(lengths, reverse=True)
    text = lines(loss, W)
    assert text[0].startswith("7 paths lead from W to ")
    assert any("chain of Jacobian matrices" in line for line in text)
    assert any("‖·‖ = " in line for line in text[5:])


def test_more_than_twenty_array_paths_have_a_rest():
    v = p([1.0, 2.0], "v")
    y = v
    for _ in range(5):
        y = y * 0.5 + y
    found = paths(y.sum(), v)
    assert found.count == 32
    assert len(found.largest) == TOP
    np.testing.assert_allclose(found.rest + sum(path.product for path in found.largest), [1.5**5] * 2)
    assert "  the other 12 paths bring, in all, [1.094, 1.094]" in explain(y.sum(), v)


def test_too_many_array_paths_are_counted_only():
    v = p([1.0, 2.0], "v")
    y = v
    for _ in range(30):
        y = y * 0.5 + y * 0.5
    text = lines(y.sum(), v)
    assert text[:2] == [
        "1,073,741,824 paths lead from v to L.",
        "∂L/∂v = [1, 1]: the sum of what arrives along each.",
    ]
    assert text[3] == f"  More than {LIMIT} paths are counted, not followed."
    assert "which is used 2 times" in text[-1]


def test_a_float32_value_between_float64_ones_gets_its_own_dtype():
    w = lo.Parameter(np.float32(2.0), name="w")
    loss = w * lo.Tensor(np.float64(3.0)) * 0.1
    gradient = paths(loss, w).gradient
    assert gradient.dtype == np.float32
    assert gradient == lo.grad(loss, w)
