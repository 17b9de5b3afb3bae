"""Activations: one table of exact values and slopes, kinks, dtypes, derivatives, refusals, peers."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import tinygrad_lo as lo
from tinygrad_lo import errors, nn

mpmath.mp.dps = 60
ONE = mpmath.mpf(1)


def logistic(x):
    return ONE / (ONE + mpmath.exp(-x))


# name: (ours, the formula in 60 digits, its derivative); at the kinks the derivative that we promise
ELEMENTWISE = {
    "relu": (nn.relu, lambda x: max(x, 0), lambda x: x > 0),
    "leaky_relu": (nn.leaky_relu, lambda x: x if x > 0 else x / 4, lambda x: 1 if x > 0 else ONE / 4),
    "prelu": (nn.prelu, lambda x: x if x > 0 else x / 4, lambda x: 1 if x > 0 else ONE / 4),
    "relu6": (nn.relu6, lambda x: min(max(x, 0), 6), lambda x: 0 < x < 6),
    "elu": (nn.elu, lambda x: x if x > 0 else mpmath.expm1(x), lambda x: 1 if x > 0 else mpmath.exp(x)),
    "sigmoid": (nn.sigmoid, logistic, lambda x: logistic(x) * logistic(-x)),
    "tanh": (nn.tanh, mpmath.tanh, lambda x: 1 - mpmath.tanh(x) ** 2),
    "softplus": (nn.softplus, lambda x: mpmath.log1p(mpmath.exp(x)), logistic),
    "softminus": (nn.softminus, lambda x: -mpmath.log1p(mpmath.exp(-x)), lambda x: logistic(-x)),
}
ARGUMENTS = {"leaky_relu": (0.25,), "prelu": (0.25,)}
NAMES = [*ELEMENTWISE, "crelu", "softmax", "log_softmax"]
POINTS = [-1e4, -700.0, -40.0, -1.5, -1e-9, 0.0, 1e-9, 1.5, 6.0, 40.0, 80.0, 1e4]
HUGE = [-1e30, -1e4, 0.0, 1e4, 1e30]
DTYPES = [np.float32, np.float64]


def activation(name):
    f = ELEMENTWISE[name][0] if name in ELEMENTWISE else getattr(nn, name)
    return lambda x, **options: f(x, *ARGUMENTS.get(name, ()), **options)


def assert_exact(ours, exact, dtype, *, places=4.0, of_one=0.0):
    """Within some units in the last place, of the value and of 1; below the normal numbers, within those."""
    eps, tiny = np.finfo(dtype).eps, np.finfo(dtype).tiny
    assert np.isfinite(ours).all()
    wanted = np.array([dtype(float(value)) for value in exact])
    np.testing.assert_allclose(np.ravel(ours), wanted, rtol=places * eps, atol=tiny + of_one * eps)


# ------------------------------------------------------------------------------------- the table


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_values_and_slopes_are_exact_from_minus_to_plus_ten_thousand(name, dtype):
    _, formula, derivative = ELEMENTWISE[name]
    data = np.array(POINTS, dtype)
    exact = [mpmath.mpf(float(x)) for x in data]
    plain = activation(name)(data)
    assert type(plain) is np.ndarray
    assert plain.dtype == dtype
    assert_exact(plain, [formula(x) for x in exact], dtype)
    x = lo.Parameter(data)
    out = activation(name)(x)
    assert type(out) is lo.Tensor
    np.testing.assert_array_equal(out.numpy(), plain)
    out.sum().backward()
    assert x.grad.dtype == dtype
    # 1 − y², the slope of tanh, has lost its digits where y is nearly ±1.
    assert_exact(x.grad, [derivative(x) for x in exact], dtype, of_one=float(name == "tanh"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_the_softmax_of_two_scores_is_exact(name, dtype):
    """Of (x, 0): σ(x) and σ(−x), and their logarithms."""
    data = np.array([[x, 0.0] for x in POINTS], dtype)
    exact = [(logistic(x), logistic(-x)) for x in (mpmath.mpf(float(x)) for x in data[:, 0])]
    x = lo.Parameter(data)
    out, plain = getattr(nn, name)(x), getattr(nn, name)(data)
    assert type(plain) is np.ndarray
    np.testing.assert_array_equal(out.numpy(), plain)
    out[:, 0].sum().backward()
    assert plain.dtype == x.grad.dtype == dtype
    if name == "log_softmax":
        assert_exact(plain, [mpmath.log(p) for pair in exact for p in pair], dtype, of_one=1.0)
        assert_exact(x.grad, [s for _, q in exact for s in (q, -q)], dtype, of_one=4.0)
    else:  # e^(log p): the error of log p, down to −745, is some hundred units in the last place of p
        assert_exact(plain, [p for pair in exact for p in pair], dtype, places=1000.0)
        slopes = [s for p, q in exact for s in (p * q, -p * q)]
        assert_exact(x.grad, slopes, dtype, places=1000.0, of_one=1.0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_huge_values_give_no_warning_and_finite_gradients(name, dtype):
    x = lo.Parameter(np.array([HUGE, HUGE[::-1]], dtype))
    out = activation(name)(x)
    out.sum().backward()
    assert np.isfinite(out.numpy()).all()
    assert np.isfinite(x.grad).all()
    assert out.dtype == x.grad.dtype == dtype


def test_infinities_are_limits():
    ends = np.array([-np.inf, np.inf])
    assert nn.relu(ends).tolist() == [0.0, np.inf]
    assert nn.leaky_relu(ends).tolist() == [-np.inf, np.inf]
    assert nn.relu6(ends).tolist() == [0.0, 6.0]
    assert nn.elu(ends).tolist() == [-1.0, np.inf]
    assert nn.sigmoid(ends).tolist() == [0.0, 1.0]
    assert nn.softplus(ends).tolist() == [0.0, np.inf]
    assert nn.softminus(ends).tolist() == [-np.inf, 0.0]


@pytest.mark.parametrize("name", NAMES)
def test_nan_stays_nan(name):
    with np.errstate(invalid="ignore"):  # np.logaddexp remarks on it
        assert np.isnan(activation(name)(np.array([np.nan, np.nan]))).all()


# ------------------------------------------------------------------------------- numbers by hand


def test_numbers_by_hand():
    x = np.array([-2.0, -0.5, 0.0, 0.5, 7.0])
    assert nn.relu(x).tolist() == [0, 0, 0, 0.5, 7]
    assert nn.leaky_relu(x).tolist() == [-0.02, -0.005, 0, 0.5, 7]
    assert nn.leaky_relu(x, 0.5).tolist() == [-1, -0.25, 0, 0.5, 7]
    assert nn.leaky_relu(x, slope=-1).tolist() == [2, 0.5, 0, 0.5, 7]
    assert nn.relu6(x).tolist() == [0, 0, 0, 0.5, 6]
    assert nn.crelu(x).tolist() == [0, 0, 0, 0.5, 7, 2, 0.5, 0, 0, 0]
    assert nn.sigmoid(np.log([1.0, 3.0])).tolist() == pytest.approx([0.5, 0.75])
    assert nn.tanh(np.log([1.0, 3.0])).tolist() == pytest.approx([0.0, 0.8])
    assert nn.softplus(np.log([1.0, 3.0])).tolist() == pytest.approx(np.log([2.0, 4.0]))
    assert nn.softminus(np.log([1.0, 3.0])).tolist() == pytest.approx(np.log([1 / 2, 3 / 4]))
    assert nn.softmax(np.log([1.0, 3.0])).tolist() == pytest.approx([0.25, 0.75])
    assert nn.log_softmax(np.log([1.0, 3.0])).tolist() == pytest.approx(np.log([0.25, 0.75]))


def test_softminus_keeps_what_the_formula_of_the_slide_loses():
    assert 40.0 - nn.softplus(40.0) == 0.0
    assert nn.softminus(40.0) == pytest.approx(-math.exp(-40.0), rel=1e-15)


def test_a_sigmoid_is_monotonic_and_its_slope_is_not():
    x = lo.Parameter(np.linspace(-8.0, 8.0, 101))
    out = nn.sigmoid(x)
    out.sum().backward()
    assert (np.diff(out.numpy()) > 0).all()
    rises = np.diff(x.grad) > 0
    assert rises[:50].all()
    assert not rises[50:].any()


def test_kinks():
    def slope(f, at, *arguments):
        x = lo.Parameter(at)
        f(x, *arguments).backward()
        return float(x.grad)

    assert slope(nn.relu, 0.0) == 0.0
    assert slope(nn.relu6, 0.0) == 0.0
    assert slope(nn.relu6, 6.0) == 0.0
    assert slope(nn.leaky_relu, 0.0) == 0.01
    assert slope(nn.leaky_relu, -0.0, 3.0) == 3.0
    assert slope(nn.prelu, 0.0, 0.25) == 0.25
    assert slope(nn.elu, 0.0) == 1.0
    x = lo.Parameter([0.0])
    nn.crelu(x).sum().backward()
    assert x.grad.tolist() == [0.0]


def test_the_second_derivative_of_elu():
    def second(at):
        return float(lo.hessian(lambda x: nn.elu(x).sum())(np.array([at]))[0, 0])

    assert second(-1.0) == pytest.approx(math.exp(-1.0))
    with pytest.warns(UserWarning, match="exactly at its kink"):
        assert second(0.0) == 1.0
    assert second(1.0) == 0.0


# ------------------------------------------------------------------------------------------ prelu


def test_prelu_has_one_slope_for_all_or_one_for_each_channel():
    x = -np.arange(1.0, 13.0).reshape(2, 3, 2)
    for one in (0.5, np.float64(0.5), np.array(0.5), np.array([0.5]), [0.5], np.full((1, 1), 0.5)):
        np.testing.assert_array_equal(nn.prelu(x, one), 0.5 * x)
    slopes = np.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(nn.prelu(x, slopes), x * slopes[:, None])
    np.testing.assert_array_equal(nn.prelu(x[:, :, 0], slopes), x[:, :, 0] * slopes)
    assert nn.prelu(np.float64(-2.0), np.array([0.5])).shape == ()


@pytest.mark.parametrize("shape", [(), (1,), (3,)])
def test_the_slope_of_prelu_learns(shape, rng):
    x, slope = rng.standard_normal((2, 3, 4)), rng.uniform(0.1, 0.5, shape)
    parameter = lo.Parameter(slope)
    nn.prelu(x, parameter).sum().backward()
    negative = np.minimum(x, 0.0)
    expected = negative.sum((0, 2)) if shape == (3,) else negative.sum()
    np.testing.assert_allclose(parameter.grad, np.broadcast_to(expected, shape), rtol=1e-13)
    lo.gradcheck(lambda x, s: (nn.prelu(x, s) ** 2).sum(), x, slope, order=2).raise_if_failed()


def test_prelu_takes_the_dtype_of_the_tensor():
    x64, x32 = np.full((2, 3), -1.0), np.full((2, 3), -1.0, np.float32)
    slope = lo.Parameter([0.25, 0.5, 1.0], dtype=np.float32)
    for x in (x64, x32, lo.Tensor(x32), x64.tolist()):
        assert nn.prelu(x, slope).dtype == np.float32
    assert nn.prelu(lo.Parameter(x32), np.array([0.25, 0.5, 1.0])).dtype == np.float32
    assert nn.prelu(x32, 0.25).dtype == nn.prelu(x32, np.array([0.25])).dtype == np.float32


# ------------------------------------------------------------------------------- axes, inputs, scopes


@pytest.mark.parametrize("axis", [0, 1, -1, 2, (0, 2), None])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_along_any_axis(name, axis, rng):
    x = rng.standard_normal((2, 3, 4))
    e = np.exp(x)
    expected = e / e.sum(axis=axis, keepdims=True)
    expected = expected if name == "softmax" else np.log(expected)
    np.testing.assert_allclose(getattr(nn, name)(x, axis), expected, rtol=1e-13)
    np.testing.assert_allclose(getattr(nn, name)(lo.Parameter(x), axis=axis).numpy(), expected, rtol=1e-13)


@pytest.mark.parametrize("axis", [0, 1, -1, np.int64(2)])
def test_crelu_along_any_axis(axis, rng):
    x = rng.standard_normal((2, 3, 4))
    both = np.concatenate([np.maximum(x, 0), np.maximum(-x, 0)], axis)
    np.testing.assert_array_equal(nn.crelu(x, axis), both)


@pytest.mark.parametrize("name", NAMES)
def test_integers_and_lists_are_numbers_too(name):
    f = activation(name)
    expected = f(np.array([3.0, 0.0, 2.0]))
    for given_x in ([3, 0, 2], (3.0, 0.0, 2.0), np.array([3, 0, 2], np.uint8), np.array([3, 0, 2])):
        np.testing.assert_array_equal(f(given_x), expected)
        assert f(given_x).dtype == float
    np.testing.assert_array_equal(f(lo.Tensor(np.array([3, 0, 2], np.uint8))).numpy(), expected)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_numbers_give_numbers(name):
    f = activation(name)
    assert isinstance(f(1.5), float)
    assert f(1.5) == f(np.array([1.5]))[0]
    assert f(np.float32(1.5)).dtype == np.float32
    assert f(lo.Parameter(1.5)).item() == f(1.5)


@pytest.mark.parametrize("name", NAMES)
def test_empty_arrays_and_blocks_keep_their_shape(name):
    f = activation(name)
    wide = 2 if name == "crelu" else 1
    assert f(np.zeros((0, 3))).shape == (0, 3 * wide)
    assert f(np.zeros((2, 3, 4))).shape == (2, 3, 4 * wide)


@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_never_written(name):
    x = np.array([[-2.0, 0.0, 3.0]])
    x.flags.writeable = False
    activation(name)(x)
    activation(name)(lo.Tensor(x, requires_grad=True)).sum().backward()


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_of_both_orders(name, rng):
    x = rng.uniform(-2.0, 2.0, (3, 4)) + np.array([0.0, 0.0, 0.0, 5.0])
    weights = rng.standard_normal((3, 8 if name == "crelu" else 4))
    f = activation(name)
    lo.gradcheck(lambda x: (weights * f(x) ** 2).sum(), x, order=2).raise_if_failed()
    p = lo.Parameter(x)
    (weights * f(p)).sum().backward()
    np.testing.assert_allclose(
        p.grad, lo.numerical_gradient(lambda x: (weights * f(x)).sum(), x), rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize("name", ["leaky_relu", "prelu", "relu6", "crelu", "elu", "softminus", "softmax"])
def test_what_is_several_ops_is_one_scope(name):
    assert f"‹{name}›" in lo.tree(activation(name)(lo.Parameter([1.0, 2.0])))


@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh", "softplus", "log_softmax"])
def test_what_is_one_op_is_that_op(name):
    x = lo.Parameter([1.0, 2.0])
    out = activation(name)(x)
    assert out.op.name == name
    assert out.parents == (x,)


def test_softmax_is_recognized_by_its_ops():
    out = nn.softmax(lo.Parameter([1.0, 2.0]))
    assert out.op.name == "exp"
    assert out.parents[0].op.name == "log_softmax"
    assert out.parents[0].name == "log p"


# --------------------------------------------------------------------------------------- refusals

X = np.ones((2, 3))
REFUSALS = [
    (lambda: nn.leaky_relu(X, lo.Parameter(0.1)), "OptionError", "leaky_relu: slope .* use prelu"),
    (lambda: nn.leaky_relu(X, np.nan), "OptionError", "leaky_relu: slope must be finite, got nan"),
    (lambda: nn.leaky_relu(X, "0.1"), "OptionError", "got '0.1'"),
    (lambda: nn.leaky_relu(X, True), "OptionError", "got True"),
    (lambda: nn.prelu(X, np.ones(2)), "ShapeError", r"slope has shape \(2,\).*\(2, 3\).*or \(3,\)"),
    (lambda: nn.prelu(X, np.ones((2, 3))), "ShapeError", r"slope has shape \(2, 3\)"),
    (lambda: nn.prelu(np.ones(3), np.ones(3)), "ShapeError", "one number, for all"),
    (lambda: nn.prelu(X, []), "ShapeError", r"slope has shape \(0,\)"),
    (lambda: nn.crelu(X, 2), "ShapeError", r"crelu: axis 2 out of range for 2-D, allowed -2..1"),
    (lambda: nn.crelu(1.0), "ShapeError", "crelu: axis -1 out of range for 0-D"),
    (lambda: nn.crelu(X, None), "OptionError", "crelu: axis must be an int, got None"),
    (lambda: nn.crelu(X, True), "OptionError", "crelu: axis must be an int, got True"),
    (lambda: nn.softmax(X, 2), "ShapeError", "softmax: axis 2 out of range"),
    (lambda: nn.softmax(3.0), "ShapeError", "softmax: axis -1 out of range for 0-D"),
    (lambda: nn.softmax(np.ones((2, 0))), "ShapeError", r"^softmax of 0 elements \(shape \(2, 0\)\)"),
    (lambda: nn.softmax(X, (0, 0)), "ShapeError", "softmax: duplicate axis"),
    (lambda: nn.log_softmax(X, "rows"), "DTypeError", "log_softmax: axis must be an int"),
    (lambda: nn.log_softmax(np.ones((2, 0))), "ShapeError", "log_softmax of 0 elements"),
    (lambda: nn.relu("text"), "DTypeError", "relu: operand must be number or Tensor"),
    (lambda: nn.elu(np.array(["a"])), "DTypeError", "elu: dtype <U1"),
    (lambda: nn.sigmoid(1j), "DTypeError", "sigmoid"),
    (lambda: nn.softmax([lo.Parameter(1.0)]), "GraphError", "softmax: the list holds tensors"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "words"), REFUSALS, ids=[words for *_, words in REFUSALS])
def test_refusals(call, error, words):
    with pytest.raises(getattr(lo.errors, error), match=words):
        call()


# ------------------------------------------------------------------------------------- properties

rows = arrays(np.float64, (3, 4), elements=st.floats(-1e4, 1e4))


@given(rows, st.floats(-1e4, 1e4))
def test_softmax_is_a_distribution_and_ignores_a_shift(x, shift):
    p = nn.softmax(x)
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(-1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(nn.softmax(x + shift), p, rtol=1e-9, atol=1e-10)
    np.testing.assert_array_equal(p.argmax(-1), nn.log_softmax(x).argmax(-1))


@given(rows)
def test_identities(x):
    np.testing.assert_array_equal(nn.relu(x) - nn.relu(-x), x)
    np.testing.assert_allclose(nn.softplus(x) + nn.softminus(x), x, rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(nn.sigmoid(x) + nn.sigmoid(-x), 1.0, rtol=1e-15)
    np.testing.assert_allclose(nn.tanh(x), 2.0 * nn.sigmoid(2.0 * x) - 1.0, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(nn.leaky_relu(x, 0.0), nn.relu(x))
    np.testing.assert_array_equal(nn.leaky_relu(x, 1.0), x)
    np.testing.assert_array_equal(nn.prelu(x, 0.01), nn.leaky_relu(x))
    left, right = np.split(nn.crelu(x), 2, axis=-1)
    np.testing.assert_array_equal(left - right, x)
    assert (nn.softplus(x) >= nn.relu(x)).all()
    assert (np.abs(nn.elu(x) - x)[x >= 0] == 0).all()


# ------------------------------------------------------------------------------------------ peers


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="compares with PyTorch (extra peers)")


PEERS = {
    "leaky_relu": lambda F, x: F.leaky_relu(x, 0.25),
    "prelu": lambda F, x: F.prelu(x, x.new_tensor([0.25])),
    "crelu": lambda F, x: F.relu((x[:, None] * x.new_tensor([[[1.0], [-1.0]]])).reshape(len(x), -1)),
    "softplus": lambda F, x: F.softplus(x, threshold=1000.0),
    "softminus": lambda F, x: F.logsigmoid(x),
    "softmax": lambda F, x: F.softmax(x, -1),
    "log_softmax": lambda F, x: F.log_softmax(x, -1),
}


@pytest.mark.peers
@pytest.mark.parametrize("name", NAMES)
def test_values_and_gradients_are_pytorchs(torch, name, rng):
    data = np.concatenate([3.0 * rng.standard_normal((5, 4)), [[0.0, 6.0, -6.0, 40.0]]])
    g = rng.standard_normal((6, 8 if name == "crelu" else 4))
    t = torch.tensor(data, requires_grad=True)
    functions = torch.nn.functional
    theirs = PEERS[name](functions, t) if name in PEERS else getattr(functions, name)(t)
    theirs.backward(torch.tensor(g))
    x = lo.Parameter(data)
    ours = activation(name)(x)
    ours.backward(g)
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(x.grad, t.grad.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.peers
def test_prelu_by_channel_is_pytorchs(torch, rng):
    data, slopes = rng.standard_normal((2, 3, 4)), rng.uniform(0.1, 0.5, 3)
    t, s = torch.tensor(data, requires_grad=True), torch.tensor(slopes, requires_grad=True)
    torch.nn.functional.prelu(t, s).square().sum().backward()
    x, slope = lo.Parameter(data), lo.Parameter(slopes)
    (nn.prelu(x, slope) ** 2).sum().backward()
    np.testing.assert_allclose(x.grad, t.grad.numpy(), rtol=1e-12)
    np.testing.assert_allclose(slope.grad, s.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    "function", [nn.relu, nn.softmax, lambda x: nn.dropout(x, 0.2), lambda x: nn.max_pool2d(x, 2)]
)
def test_nothing_is_refused_by_the_functions_name(function):
    with pytest.raises(
        errors.DTypeError, match=r"(relu|softmax|dropout|max_pool2d): operand must be number or Tensor"
    ):
        function(None)
