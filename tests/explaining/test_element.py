"""One element worked out: its numbers give what the engine has, for every op of the table."""

import re

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.engine.ops import TABLE
from tinygrad_lo.engine.ops.registry import Shape
from tinygrad_lo.errors import DomainError
from tinygrad_lo.explaining import element
from tinygrad_lo.explaining.element import Line, Origin, chosen, origin, part_text, place_text
from tinygrad_lo.explaining.formula import moments, option_text
from tinygrad_lo.explaining.steps import steps


def p(value, name="w"):
    return lo.Parameter(value, name=name)


def forward(loss):
    return {step.name: step.text for step in steps(loss).forward}


def backward(loss):
    return {f"{step.gate} {step.target}": step.text for step in steps(loss).backward}


def example(text):
    return text.partition(", e.g. ")[2] or text


# ------------------------------------------------------------------------------ the lecture's line


@pytest.fixture
def define():
    """lo.define_op for the length of a test."""
    before = dict(TABLE)
    yield lo.define_op
    TABLE.clear()
    TABLE.update(before)


@pytest.fixture
def svm():
    S = p([[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]], "S")
    return lo.losses.multiclass_hinge(S, [0, 1, 2])


def test_the_line_of_the_lecture(svm):
    texts = forward(svm)
    assert example(texts["v1"]) == "v1[0,1] = S[0,1] − s_y[0] = 5.1 − 3.2 = 1.9"
    assert texts["L_i"].endswith(" = max(0, 5.1 − 3.2 + 1) + max(0, −1.7 − 3.2 + 1) = 2.9")
    assert example(texts["s_y"]) == "s_y[2] = S[2,2] = −3.1"
    assert texts["v4"] == "v4 = Σ L_i = 2.9 + 0 + 12.9 = 15.8"


def test_the_products_of_the_lecture(svm):
    texts = backward(svm)
    assert example(texts["v3 v2"]) == "∂L/∂v2[0,1] = 0.3333 × (2.9 > 0) = 0.3333"
    assert example(texts["v1 s_y"]) == "∂L/∂s_y[2] = −0.3333 + (−0.3333) + 0 = −0.6667"
    assert example(texts["s_y S"]) == "∂L/∂S[2,2] += −0.6667"


# ------------------------------------------------------------------------ from where an element came

# Of every op of the table: its first sample, and all that an element can be made of.
CASES = [
    (op, sample)
    for op in TABLE.values()
    for sample in (op.samples or ((Shape(2, 3),) * (op.arity or 2),))
    if op.differentiable and not any(0 in item for item in sample if isinstance(item, Shape))
]


def filled(op, sample, rng):
    domains = op.domain if isinstance(op.domain[0], tuple) else (op.domain,)
    inputs = list(sample)
    for i, item in enumerate(sample):
        if isinstance(item, Shape):
            low, high = domains[min(i, len(domains) - 1)]
            inputs[i] = rng.uniform(max(low, -3.0), min(high, 3.0), item)[()] * 0.9
    return tuple(inputs)


@pytest.mark.parametrize(("op", "sample"), CASES, ids=lambda x: getattr(x, "name", ""))
def test_an_element_depends_on_its_sources_and_on_nothing_else(op, sample, rng):
    """Changing all other elements of the inputs leaves it; of a linear op, the terms add up to it."""
    inputs = filled(op, sample, rng)
    y = np.asarray(op.forward(*inputs))
    line = Line(op, (), inputs, y.shape)
    for j in range(min(y.size, 4)):
        try:
            with np.errstate(all="ignore"):
                source = origin(line, j)
        except (DomainError, np.linalg.LinAlgError):
            return  # matrices of equal numbers are singular: no example
        if not source.places and source.kind != "moved":
            continue
        changed = list(inputs)
        for k, x in enumerate(inputs[: len(element.tensors_in(line))]):
            if np.asarray(x).dtype.kind == "f" and (op.arity is None or op.rules[k] is not None):
                other = np.asarray(np.asarray(x) * 0.9 + 0.05)
                kept = source.places.get(k, np.array([], int))
                other.reshape(-1)[kept] = np.ravel(x)[kept]
                changed[k] = other[()]
        np.testing.assert_allclose(np.ravel(op.forward(*changed))[j], y.flat[j], rtol=1e-12, atol=1e-12)
        if source.kind == "linear":
            k = next(iter(source.places))
            assert np.ravel(inputs[k])[source.places[k]] @ source.factors == pytest.approx(y.flat[j])


@pytest.mark.parametrize(
    ("make", "kind", "places"),
    [
        (lambda a, b: a * b, "element", {0: [1], 1: [1]}),
        (lambda a, b: a + b[:, :1], "element", {0: [1], 1: [0]}),
        (lambda a, b: a @ b, "linear", {0: [0, 1], 1: [1, 3]}),
        (lambda a, b: a.sum(axis=0), "linear", {0: [1, 3]}),
        (lambda a, b: lo.nn.softmax(a * 0.0, axis=-1), "element", {0: [1]}),  # exp of its logarithm
        (lambda a, b: np.concatenate([b, a], axis=1), "moved", {0: [1]}),
        (lambda a, b: a.T, "moved", {0: [2]}),
        (lambda a, b: a.max(axis=1), "mixed", {0: [2, 3]}),
        (lambda a, b: np.cumsum(a), "linear", {0: [0, 1]}),
    ],
)
def test_where_the_second_element_comes_from(make, kind, places):
    node = make(p([[1.0, 2.0], [3.0, 5.0]], "a"), p([[7.0, 8.0], [9.0, 6.0]], "b"))
    found = origin(Line(node.op, (), node.inputs, node.shape), 1)
    assert (found.kind, {k: some.tolist() for k, some in found.places.items()}) == (kind, places)


def test_equal_scores_are_no_reason_to_take_softmax_for_an_op_of_one_element():
    op = TABLE["softmax"]
    x = np.full((2, 3), 2.0)
    for x in (np.full((2, 3), 2.0), np.array([[800.0, 0.0, 0.0]])):
        assert origin(Line(op, (), (x, -1), x.shape), 0).kind == "mixed"


def test_a_sum_of_places_is_no_place():
    """scatter adds what was taken twice: that is told by its number, not by one of its sources."""
    w = p([1.0, 2.0, 4.0])
    texts = backward(w[np.array([0, 0, 2])].sum())
    assert example(texts["v1 w"]) == "∂L/∂w[0] = 2"


def test_a_users_op_that_mixes_is_not_taken_for_one_that_does_not(define):
    centre = define("centre_all", lambda x: x - x.mean(), [lambda g, y, x: g - g.mean()])
    line = Line(centre.op, (), (np.array([1.0, 2.0, 6.0]),), (3,))
    assert origin(line, 0).kind == "linear"


def test_an_op_that_fails_on_other_numbers_has_no_example(define):
    def picky(x):
        if not np.array_equal(x, [1.0, 2.0]):
            raise RuntimeError("these numbers only")
        return x * 2.0

    op = define("picky_twice", picky, [lambda g, y, x: g * 2.0])
    assert forward(op(p([1.0, 2.0])).sum())["v1"] == "v1 = picky_twice(w)  2"


# --------------------------------------------------------------------------------------- which, and how


def test_the_element_with_the_largest_gradient_that_is_not_zero_itself():
    assert chosen(np.array([1.0, 3.0, 3.0]), np.array([5.0, 0.0, 2.0])) == 2
    assert chosen(np.array([-3.0, 3.0]), np.array([0.0, 0.0])) == 0
    assert chosen(np.array([1.0, np.nan, np.inf]), np.ones(3)) == 1
    assert chosen(np.array([1.0, np.inf]), np.ones(2)) == 1


def test_without_a_gradient_it_is_the_largest():
    w = p([1.0, 2.0])
    mask = w > 1.5
    found = steps((w * mask).sum())
    assert "e.g. v1[1] = w[1] > 1.5 = 2 > 1.5 = true" in found.forward[0].text


def test_a_long_sum_shows_its_first_terms():
    text = forward(p(np.arange(9.0)).sum())["L"]
    assert text == "L = Σ w = 0 + 1 + 2 + … (6 more) = 36"
    text = forward(lo.Tensor(np.ones(5), name="x") @ p(np.arange(5.0)))["L"]
    assert text == "L = x @ w = 1 · 0 + 1 · 1 + 1 · 2 + … (2 more) = 10"


def test_many_numbers_of_an_op_that_is_no_sum_are_not_listed():
    assert forward(np.prod(p(np.arange(1.0, 4.0))))["L"] == "L = Π w = Π (1, 2, 3) = 6"
    assert forward(np.prod(p(np.arange(1.0, 10.0))))["L"] == "L = Π w = 362880"


def test_large_and_lazy_arrays_have_no_example():
    assert forward(p(np.ones(element.LARGEST + 1)).sum())["L"] == f"L = Σ w = {element.LARGEST + 1}"


@pytest.mark.parametrize(
    ("j", "shape", "text"),
    [(4, (2, 3), "[1,1]"), (2, (3, 1), "[2]"), (0, (1, 1), "[0]"), (0, (), ""), (1, (1, 2), "[0,1]")],
)
def test_places_as_text(j, shape, text):
    assert place_text(j, shape) == text


@pytest.mark.parametrize(
    ("some", "text"),
    [
        ([0, 1, 2], "[0,:]"), ([1, 4], "[:,1]"), ([5], "[1,2]"),
        ([0, 1, 2, 3, 4, 5], ""), ([0, 1], ""), ([0, 4], ""),
    ],
)  # fmt: skip
def test_parts_as_text(some, text):
    assert part_text(np.array(some), (2, 3)) == text


def test_labels_read_as_labels():
    rows, labels = np.arange(3), np.array([2, 0, 1])
    assert option_text((rows, labels)) == "i, yᵢ"
    assert option_text((labels, rows)) == "indices, indices"
    assert option_text((rows, slice(None))) == "indices, :"
    S = p(np.ones((3, 3)), "S")
    assert forward(S[rows, labels].sum())["v1"].startswith("v1 = S[i, yᵢ]  3, e.g. v1[0] = S[0,2] = 1")
    y = lo.Tensor(labels, name="y")
    assert forward(S[rows, y].sum())["v1"].startswith("v1 = S[i, y]  3")


# ------------------------------------------------------------------------------------- numbers alone


def test_noise_of_a_mean_is_zero_and_a_small_mean_is_not(rng):
    signs = rng.permutation(np.repeat([-1.0, 1.0], 500))
    noisy = signs * 0.1 / 3 + rng.uniform(-1, 1, 1000) * 1e-18
    assert noisy.mean() != 0
    assert moments(noisy)[0] == 0.0
    assert moments(signs + 1e-12)[0] == pytest.approx(1e-12, rel=1e-3)
    assert moments(np.full(1000, 0.1)) == (pytest.approx(0.1), 0.0)
    small = np.float32([0.1, -0.1, 1e-9])
    assert moments(small)[0] == 0.0  # float32 knows 0.1 to 7e-9
    assert moments(small.astype(float))[0] != 0.0
    assert moments(small.astype(float), np.float32)[0] == 0.0
    mean, std = moments(np.array([np.inf, 1.0]))
    assert mean == np.inf
    assert np.isnan(std)


def test_every_step_of_a_network_is_worked_out_to_its_value(rng):
    """Each equation's last two sides agree: what stands before the last = is evaluated."""
    X, y = lo.Tensor(rng.normal(size=(3, 2)), name="X"), [0, 1, 1]
    W, V = p(rng.normal(size=(2, 3)), "W"), p(rng.normal(size=(3, 2)), "V")
    found = steps(lo.losses.cross_entropy(lo.nn.relu(X @ W) @ V, y))
    texts = [step.text for step in (*found.forward, *found.backward)]
    checked = 0
    for text in texts:
        *_, before, result = example(text).split(" = ")
        words = before.replace("·", "*").replace("×", "*").replace("÷", "/").replace("−", "-")
        if not re.fullmatch(r"[-+*/().\d e>]+", words):
            continue
        assert eval(words) == pytest.approx(float(result.replace("−", "-")), rel=5e-3, abs=5e-3)
        checked += 1
    assert checked > 8


def test_a_source_is_a_kind_and_places():
    assert Origin("moved", {}).factors is None
