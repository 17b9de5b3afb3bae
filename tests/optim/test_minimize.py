"""SciPy's minimizers on our gradients: they arrive, keep what is not theirs, and say what went wrong."""

import math
import sys

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.errors import (
    DTypeError,
    GraphError,
    NonFiniteError,
    OptionError,
    ShapeError,
    UnsupportedError,
)
from tinygrad_lo.optim import minimize
from tinygrad_lo.optim.minimizers import CURVED, METHODS, MinimizeResult, Problem

optimize = pytest.importorskip("scipy.optimize", reason="there is no SciPy")
every_method = pytest.mark.parametrize("method", METHODS)


def valley(w):
    """Rosenbrock's function: the minimum of 0 is at (1, 1)."""
    return lambda: (1.0 - w[0]) ** 2 + 100.0 * (w[1] - w[0] ** 2) ** 2


def at_start(dtype=np.float64):
    return lo.Parameter(np.array([-1.2, 1.0], dtype), name="w")


@every_method
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_valley_is_followed_to_its_end(method, dtype):
    w = at_start(dtype)
    calls = []
    result = minimize(
        lambda: calls.append(w.dtype) or valley(w)(), w, method=method, steps=200, tolerance=1e-9
    )
    np.testing.assert_allclose(w.data, [1.0, 1.0], atol=5e-6)
    assert w.dtype == dtype
    assert result.converged
    assert result.loss == valley(w)().item() < 1e-11
    assert result.evaluations == len(calls) > result.steps > 5
    assert {*calls[:10]} == {np.dtype(np.float64)}


@pytest.fixture
def labelled(rng):
    X = rng.standard_normal((80, 5))
    return X, (X @ [1.0, -2.0, 0.5, 0.0, 3.0] + rng.logistic(size=80) > 0).astype(float)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@every_method
def test_logistic_regression_is_scipys_own_with_the_gradient_by_hand(labelled, method):
    X, y = labelled

    def by_hand(v):
        z = X @ v[:5] + v[5]
        slope = (1.0 / (1.0 + np.exp(-z)) - y) / len(y)
        loss = np.mean(np.logaddexp(0.0, z) - y * z) + 0.05 * v[:5] @ v[:5]
        return loss, np.append(X.T @ slope + 0.1 * v[:5], slope.sum())

    there = optimize.minimize(by_hand, np.zeros(6), jac=True, method="BFGS", tol=1e-10)
    W, b = lo.Parameter(np.zeros((5, 1))), lo.Parameter(0.0)

    def loss():
        z = (X @ W).reshape(-1) + b
        return lo.losses.binary_cross_entropy_with_logits(z, y) + 0.05 * (W * W).sum()

    result = minimize(loss, {"W": W, "b": b}, method=method, tolerance=1e-10)
    np.testing.assert_allclose(np.append(W.data, b.data), there.x, atol=1e-6)
    assert abs(result.loss - there.fun) < 1e-10
    assert W.shape == (5, 1)
    assert isinstance(b.data, np.float64)


def test_products_with_the_hessian_are_those_of_the_whole_hessian(rng):
    W, b = lo.Parameter(rng.standard_normal((2, 2))), lo.Parameter(0.5)
    problem = Problem(lambda: (W**3).sum() * b + 2.0 * b, [W, b], "trust-ncg")
    x, v = problem.at, rng.standard_normal(5)
    whole = lo.hessian(lambda t: (t[:4] ** 3).sum() * t[4] + 2.0 * t[4])(x)
    problem(x + 1.0)
    np.testing.assert_allclose(problem.curvature(x, v), whole @ v)  # it goes back to x
    assert problem.evaluations == 2
    slopes = problem.slopes
    np.testing.assert_allclose(problem.curvature(x, 2.0 * v), 2.0 * whole @ v)
    assert problem.evaluations == 2
    assert problem.slopes is slopes  # made once for a point


def test_a_model_and_what_is_frozen_in_it(labelled):
    X, y = labelled
    model = lo.nn.Linear(5, 1)
    model.bias.requires_grad = False
    frozen = model.bias.data
    before = model.weight.data
    start = before.copy()
    result = minimize(lambda: lo.losses.mse(model(X)[:, 0], y), model, method="BFGS", tolerance=1e-7)
    direct = np.linalg.lstsq(X, y - frozen.ravel(), rcond=None)[0]
    np.testing.assert_allclose(model.weight.data.ravel(), direct, atol=1e-6)
    assert model.bias.data is frozen
    assert result.converged
    np.testing.assert_array_equal(before, start)  # the values are new arrays


@every_method
def test_gradients_stay_as_they_were(method):
    w, free = at_start(), lo.Parameter(3.0)
    (w * 2.0).sum().backward()
    lo.optim.SGD(w, lr=0.0).step()
    held = w.grad
    minimize(lambda: valley(w)() + free**2, [w, free], method=method, steps=3)
    assert w.grad is held
    assert free.grad is None
    (w * 2.0).sum().backward()
    with pytest.warns(UserWarning, match="was used by an earlier step and then added to"):
        lo.optim.SGD(w, lr=0.0).step()  # that a step had used it is still known


@pytest.mark.parametrize("method", [m for m in METHODS if m not in CURVED])
def test_a_compiled_function_goes_the_same_way(method):
    w, same = at_start(), at_start()
    w.grad = np.array([7.0, 8.0])
    result = minimize(lo.compile(valley(w)), w, method=method)
    plain = minimize(valley(same), same, method=method)
    np.testing.assert_allclose(w.data, same.data, rtol=1e-5)
    assert result.loss < 1e-10
    assert plain.converged
    assert w.grad.tolist() == [7.0, 8.0]


@pytest.mark.parametrize("method", CURVED)
def test_a_compiled_function_has_no_second_derivatives(method):
    w = at_start()
    with pytest.raises(DTypeError, match=f"as a tensor, which {method} differentiates twice, got float64"):
        minimize(lo.compile(valley(w)), w, method=method)


def test_the_loss_is_that_of_the_rounded_parameters():
    w = lo.Parameter(np.float16(1.0))
    result = minimize(lambda: (w - 1000.3) ** 2, w)
    assert w.data == np.float16(1000.5)
    assert w.dtype == np.float16
    assert result.loss == (np.float16(1000.5) - 1000.3) ** 2


def test_steps_are_a_limit_and_the_result_says_so():
    w = at_start()
    result = minimize(valley(w), w, steps=3)
    assert (result.steps, result.converged) == (3, False)
    assert repr(result) == (
        f"MinimizeResult(loss={result.loss:.6g}, not converged in 3 steps, {result.evaluations} evaluations: "
        f"{result.message})"
    )
    assert repr(MinimizeResult(0.5, 1, 2, True, "good")) == (
        "MinimizeResult(loss=0.5, converged in 1 steps, 2 evaluations: good)"
    )


def test_tolerance_says_how_close():
    rough, fine = at_start(), at_start()
    assert (
        minimize(valley(rough), rough, tolerance=1.0).steps
        < minimize(valley(fine), fine, tolerance=1e-9).steps
    )


@every_method
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_steps_out_of_the_domain_are_taken_back(method):
    """Of x − log x the minimum is at 1; line searches from 10 try negative x, where it is nan."""
    x = lo.Parameter(10.0)
    seen = []
    f = lambda: seen.append(x.data) or x * x / 100.0 + x - np.log(x)
    result = minimize(f, x, method=method, tolerance=1e-8)
    assert min(seen) < 0.0 or method == "trust-ncg"
    assert result.converged
    np.testing.assert_allclose(x.data, (math.sqrt(1.08) - 1.0) / 0.04, atol=1e-6)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@every_method
def test_an_error_in_f_leaves_the_best_point_so_far(error, method):
    w = at_start()
    held, losses, points = w.data, [], []

    def f(last):
        if len(losses) >= last and losses[-1:] != [min(losses, default=None)]:  # not at the best one
            raise error("no more")
        loss = valley(w)()
        losses.append(loss.item())
        points.append(w.data.copy())
        return loss

    with pytest.raises(error, match="no more"):
        minimize(lambda: f(0), w, method=method)
    assert w.data is held
    with pytest.raises(error, match="no more"):
        minimize(lambda: f(5), w, method=method)
    np.testing.assert_array_equal(w.data, points[int(np.argmin(losses))])
    assert 0 < np.argmin(losses) < len(losses) - 1
    assert valley(w)().item() == min(losses)


REFUSED = [
    ("no function", lambda w: (1.0, w), {}, DTypeError, "f must be a function of nothing, got float"),
    ("a number", lambda w: (lambda: 3.0, w), {}, DTypeError, "f must return the loss as a tensor, got float"),
    ("no return", lambda w: (lambda: None, w), {}, DTypeError, "as a tensor, got NoneType"),
    ("an array", lambda w: (lambda: w * 2.0, w), {}, ShapeError, r"one number, got shape \(2,\); reduce it"),
    ("a constant", lambda w: (lambda: lo.Tensor(1.0), w), {}, GraphError, "does not depend on 'w' through"),
    ("a parameter too many", lambda w: (valley(w), [w, lo.Parameter(1.0)]), {}, GraphError, "on parameter 1"),
    ("nan", lambda w: (lambda: w.sum() * math.nan, w), {}, NonFiniteError, "the loss is nan at the start"),
    ("inf", lambda w: (lambda: w.sum() + math.inf, w), {}, NonFiniteError, "the loss is inf at the start"),
    ("a pole", lambda w: (lambda: np.sqrt(w - w.data).sum(), w), {}, NonFiniteError, "gradient of 'w' has"),
    ("method", lambda w: (valley(w), w), {"method": "lbfgs"}, OptionError, "did you mean 'L-BFGS-B'"),
    ("case", lambda w: (valley(w), w), {"method": "newton-cg"}, OptionError, "did you mean 'Newton-CG'"),
    ("steps", lambda w: (valley(w), w), {"steps": 0}, OptionError, "steps must be an int >= 1, got 0"),
    ("tolerance", lambda w: (valley(w), w), {"tolerance": 0.0}, OptionError, "must be finite and > 0"),
    ("tol", lambda w: (valley(w), w), {"tol": 1.0}, OptionError, "no option 'tol'; did you mean 'tolerance'"),
    ("maxiter", lambda w: (valley(w), w), {"maxiter": 9}, OptionError, "did you mean 'steps'"),
    ("a plain tensor", lambda w: (valley(w), [lo.Tensor(1.0)]), {}, OptionError, "use lo.Parameter"),
    ("none", lambda w: (valley(w), []), {}, OptionError, "minimize: empty parameter list"),
    ("groups", lambda w: (valley(w), [{"params": [w], "lr": 1.0}]), {}, OptionError, "entry 0 is dict"),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("make", "options", "error", "text"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_what_cannot_be_minimized_is_refused(make, options, error, text):
    w = at_start()
    held = w.data
    with pytest.raises(error, match=text):
        minimize(*make(w), **options)
    assert w.data is held
    assert w.grad is None


def test_all_frozen_is_refused():
    w = at_start()
    w.requires_grad = False
    with pytest.raises(OptionError, match="all parameters are frozen or empty"):
        minimize(valley(w), w)


def test_under_no_grad_nothing_depends_on_anything():
    w = at_start()
    with lo.no_grad(), pytest.raises(GraphError, match=r"does not depend on 'w' .* no_grad"):
        minimize(valley(w), w)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_loss_without_a_minimum_is_refused():
    w = lo.Parameter(2.0)
    with pytest.raises(NonFiniteError, match="the loss is -inf and has no minimum"):
        minimize(lambda: np.log(w * w - 1.0) if w.data > 1.5 else np.log(w - w.detach()), w)
    assert w.data > 1.5


def test_a_function_that_steps_by_itself_is_refused():
    w = at_start()
    held = w.data
    step = lo.compile(valley(w), optimizer=lo.optim.SGD(w, lr=1e-4))
    with pytest.raises(GraphError, match="f changes 'w'; it must only compute the loss"):
        minimize(step, w)
    assert w.data is held


def test_it_is_no_part_of_a_program():
    w = at_start()

    def f():
        minimize(valley(w), w)
        return valley(w)()

    with pytest.raises(GraphError, match=r"minimize\(\)"):
        lo.compile(f)()


def test_without_scipy_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    w = at_start()
    with pytest.raises(
        UnsupportedError, match="minimize needs SciPy, which is not installed: pip install scipy"
    ):
        minimize(valley(w), w)
