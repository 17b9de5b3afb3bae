"""numerical_gradient: three methods, their accuracy, and what they refuse."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.errors import DTypeError, GraphError, OptionError

X = np.array([[0.3, -1.2], [2.5, 40.0]])


def f(x):
    return np.sum(np.sin(x) * x**2)


EXACT = np.cos(X) * X**2 + 2 * X * np.sin(X)


@pytest.mark.parametrize(("method", "error"), [("central", 1e-7), ("forward", 1e-4), ("complex", 1e-14)])
def test_the_three_methods_and_their_accuracy(method, error):
    g = lo.numerical_gradient(f, X, method=method)
    assert g.shape == X.shape
    np.testing.assert_allclose(g, EXACT, rtol=error)


def test_forward_differences_are_the_table_of_lecture_0():
    """W = 0.34, h = 0.0001: the slope of the difference quotient, with its error of order h."""
    g = lo.numerical_gradient(lambda w: (w**2).sum(), np.array([0.34]), method="forward", h=1e-4)
    assert g[0] == pytest.approx(2 * 0.34 + 1e-4, rel=1e-9)


def test_central_error_falls_with_the_square_of_h():
    errors = [abs(lo.numerical_gradient(np.exp, 1.0, h=h) - np.e) for h in (1e-2, 1e-3)]
    assert errors[0] / errors[1] == pytest.approx(100, rel=1e-2)


def test_a_number_gives_a_number():
    assert lo.numerical_gradient(lambda x: x * x, 3.0) == pytest.approx(6.0)
    assert np.ndim(lo.numerical_gradient(lambda x: x * x, 3.0)) == 0


def test_large_coordinates_get_large_steps():
    assert lo.numerical_gradient(lambda x: x * x, 1e8) == pytest.approx(2e8, rel=1e-8)


def test_the_point_is_not_changed_and_every_call_gets_its_own_copy():
    x = np.array([1.0, 2.0])
    seen = []

    def spoil(v):
        seen.append(v)
        value = float((v * v).sum())
        v[:] = 99.0
        return value

    np.testing.assert_allclose(lo.numerical_gradient(spoil, x), [2.0, 4.0], rtol=1e-9)
    assert x.tolist() == [1.0, 2.0]
    assert len(seen) == 4


def test_tensors_and_losses_are_taken():
    w = lo.Parameter(X)
    np.testing.assert_allclose(
        lo.numerical_gradient(lambda v: np.sin(lo.Tensor(v)).sum(), w), np.cos(X), rtol=1e-7
    )
    scores = np.array([[1.0, 2.0]])
    s = lo.Parameter(scores)
    lo.losses.cross_entropy(s, [0]).backward()
    numeric = lo.numerical_gradient(lambda v: lo.losses.cross_entropy(v, [0]), scores)
    np.testing.assert_allclose(s.grad, numeric, rtol=1e-8)
    assert w.grad is None


def test_float32_and_integers_are_computed_in_float64():
    g = lo.numerical_gradient(lambda x: (x * x).sum(), np.array([1, 2], np.float32))
    assert g.dtype == np.float64
    np.testing.assert_allclose(lo.numerical_gradient(lambda x: (x * x).sum(), [1, 2]), [2.0, 4.0], rtol=1e-8)


def test_an_empty_array_has_an_empty_gradient():
    assert lo.numerical_gradient(lambda x: x.sum(), np.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("method", ["Central", "", None, "both"])
def test_unknown_methods_are_refused(method):
    with pytest.raises(OptionError, match="method must be 'central', 'forward' or 'complex', got"):
        lo.numerical_gradient(f, X, method=method)


@pytest.mark.parametrize("h", [0.0, -1e-5, np.nan, np.inf])
def test_bad_steps_are_refused(h):
    with pytest.raises(OptionError, match="h must be finite and > 0"):
        lo.numerical_gradient(f, X, h=h)


def test_several_numbers_are_refused():
    with pytest.raises(GraphError, match=r"needs one number.*\(2, 2\)"):
        lo.numerical_gradient(np.sin, X)


@pytest.mark.parametrize(
    "drops", [lambda x: np.abs(x).sum(), lambda x: float(np.real(x).sum()), lambda x: (np.real(x) > 0).sum()]
)
def test_the_complex_step_refuses_functions_that_drop_the_imaginary_part(drops):
    with pytest.raises(DTypeError, match="drops the imaginary part"):
        lo.numerical_gradient(drops, X, method="complex")


def test_the_complex_step_refuses_a_part_that_drops_the_imaginary_part():
    """|x| has no imaginary part, x·x has one: the sum looks complex, and its slope is wrong."""
    with pytest.raises(DTypeError, match="imaginary part"):
        lo.numerical_gradient(lambda x: (np.abs(x) + x * x).sum(), X, method="complex")


def test_the_complex_step_refuses_tensors():
    with pytest.raises(DTypeError):
        lo.numerical_gradient(lambda x: (lo.Tensor(x) ** 2).sum(), X, method="complex")


# ------------------------------------------------------------------- lists and dicts of arrays


@pytest.mark.parametrize(("method", "rtol"), [("central", 1e-7), ("forward", 1e-4), ("complex", 1e-14)])
def test_the_result_is_built_like_the_argument(method, rtol):
    x = {"W": X, "layers": [(np.array([1.0, 2.0]), 3.0), [[4.0, 5.0]]]}

    def g(p):
        (b, c), rows = p["layers"]
        return np.sum(p["W"] ** 2) * c + np.sum(b**3) * rows[0, 1] + c * rows[0, 0]

    found = lo.numerical_gradient(g, x, method=method)
    assert list(found) == ["W", "layers"]
    assert isinstance(found["layers"][0], tuple)
    np.testing.assert_allclose(found["W"], 6.0 * X, rtol=rtol)
    np.testing.assert_allclose(found["layers"][0][0], [15.0, 60.0], rtol=rtol)
    np.testing.assert_allclose(found["layers"][0][1], (X**2).sum() + 4.0, rtol=rtol)
    np.testing.assert_allclose(found["layers"][1], [[3.0, 9.0]], rtol=rtol)


def test_a_list_of_numbers_is_an_array_and_a_list_of_arrays_is_none():
    assert isinstance(lo.numerical_gradient(lambda x: (x * x).sum(), [1.0, 2.0]), np.ndarray)
    found = lo.numerical_gradient(lambda p: p[0].sum() * p[1], [np.ones(2), np.float64(3.0)])
    assert isinstance(found, list)
    assert found[0].tolist() == pytest.approx([3.0, 3.0])
    assert lo.numerical_gradient(lambda p: 1.0, {}) == {}


def test_functions_that_spoil_a_structure_get_a_new_one_each_time():
    x = {"a": np.array([1.0, 2.0]), "b": np.array([3.0])}

    def spoil(p):
        result = (p["a"] ** 2).sum() * p["b"][0]
        p["a"][:] = 9.0
        p["b"] = None
        return result

    found = lo.numerical_gradient(spoil, x)
    np.testing.assert_allclose(found["a"], [6.0, 12.0], rtol=1e-8)
    np.testing.assert_allclose(found["b"], [5.0], rtol=1e-8)
    assert x["a"].tolist() == [1.0, 2.0]


def test_what_is_no_number_is_named_by_its_place():
    with pytest.raises(DTypeError, match=r"x\['b'\]\[1\] is no array of numbers, but str"):
        lo.numerical_gradient(lambda p: 0.0, {"a": X, "b": [X, "text"]})
    with pytest.raises(DTypeError, match="x is no array of numbers, but NoneType"):
        lo.numerical_gradient(lambda p: 0.0, None)


def test_a_step_lost_beside_the_value_is_refused():
    for method in ("central", "forward"):
        with pytest.raises(OptionError, match=r"h=1e-12 is lost beside x=.*1000000000"):
            lo.numerical_gradient(f, 1e9, method=method, h=1e-12)
