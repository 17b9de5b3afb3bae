"""lo.optim.minimize: SciPy's methods on losses of ours."""

import builtins

import numpy as np
import pytest

import tinygrad_lo as lo

scipy_optimize = pytest.importorskip("scipy.optimize", reason="needs the extra 'scipy'")
METHODS = ["L-BFGS-B", "BFGS", "CG", "Newton-CG", "trust-ncg"]


def rosenbrock(w):
    return lambda: (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2


@pytest.mark.parametrize("method", METHODS)
def test_each_method_finds_the_end_of_the_valley(method):
    w = lo.Parameter([-1.2, 1.0])
    w.grad = np.array([5.0, 6.0])
    result = lo.optim.minimize(rosenbrock(w), w, method=method, steps=300, tolerance=1e-9)
    assert w.data == pytest.approx([1.0, 1.0], abs=1e-5)
    assert result.loss == rosenbrock(w)().item() < 1e-10
    assert 10 < result.steps < 300
    assert result.evaluations >= result.steps
    assert w.grad.tolist() == [5.0, 6.0]


@pytest.mark.parametrize("method", METHODS)
def test_logistic_regression_is_that_of_scipy_with_a_gradient_by_hand(method, rng):
    X = rng.standard_normal((80, 3))
    y = (X @ [1.0, -2.0, 0.5] + rng.standard_normal(80) > 0).astype(float)

    def by_hand(w):
        z = X @ w[:3] + w[3]
        p = 1 / (1 + np.exp(-z))
        d = (p - y) / len(y)
        loss = np.logaddexp(0, z).mean() - (y * z).mean() + 0.01 * (w[:3] ** 2).sum()
        return loss, np.append(X.T @ d + 0.02 * w[:3], d.sum())

    right = scipy_optimize.minimize(by_hand, np.zeros(4), jac=True, method="BFGS", tol=1e-10)
    model = lo.nn.Linear(3, 1, rng=0)

    def loss():
        data = lo.losses.binary_cross_entropy_with_logits(model(X)[:, 0], y)
        return data + 0.01 * lo.losses.l2(model.weight)

    result = lo.optim.minimize(loss, model, method=method, tolerance=1e-9)
    assert result.loss == pytest.approx(right.fun, rel=1e-9)
    found = [*model.weight.data[:, 0], model.bias.data[0]]
    assert found == pytest.approx(right.x, abs=1e-4)


def test_dtypes_shapes_and_frozen_parameters_stay():
    a, b, c = lo.Parameter(np.ones((2, 1)), dtype=np.float32), lo.Parameter(3.0), lo.Parameter([2.0])
    c.requires_grad = False
    old = a.data
    result = lo.optim.minimize(lambda: ((a - 0.1) ** 2).sum() + (b - c[0]) ** 2, [a, b, c])
    assert (a.dtype, a.shape, b.shape) == (np.float32, (2, 1), ())
    assert type(b.data) is np.float64
    assert b.item() == pytest.approx(2.0)
    assert c.data.tolist() == [2.0]
    assert a.data == pytest.approx(0.1)
    assert old.tolist() == [[1.0], [1.0]]
    assert result.loss == (((a - 0.1) ** 2).sum() + (b - c[0]) ** 2).item()


def test_it_ends_at_the_steps_and_says_so():
    w = lo.Parameter([-1.2, 1.0])
    result = lo.optim.minimize(rosenbrock(w), w, steps=3)
    assert (result.steps, result.converged) == (3, False)
    assert "not converged" in str(result)
    assert result.loss == rosenbrock(w)().item()


def test_a_linear_loss_has_no_curvature():
    w = lo.Parameter([1.0, 2.0])
    result = lo.optim.minimize(lambda: 3.0 * (w * [1.0, 2.0]).sum(), w, method="trust-ncg", steps=5)
    assert result.loss < -5.0


@pytest.mark.parametrize("count", range(2, 14))
@pytest.mark.parametrize("stop", [ValueError("mine"), KeyboardInterrupt()])
def test_what_ends_it_leaves_the_best_so_far(stop, count):
    w = lo.Parameter([-1.2, 1.0])
    losses = []

    def f():
        if len(losses) == count:
            raise stop
        losses.append(rosenbrock(w)())
        return losses[-1]

    with pytest.raises(type(stop)):
        lo.optim.minimize(f, w)
    assert rosenbrock(w)().item() == min(loss.item() for loss in losses)


@pytest.mark.parametrize(
    ("f", "options", "error", "message"),
    [
        (lambda w: (w**2).sum(), {"method": "LBFGS"}, lo.errors.OptionError, "did you mean 'BFGS'"),
        (lambda w: (w**2).sum(), {"steps": 0}, lo.errors.OptionError, "steps must be an int >= 1"),
        (lambda w: (w**2).sum(), {"tolerance": -1.0}, lo.errors.OptionError, "tolerance"),
        (lambda w: 1.0, {}, lo.errors.DTypeError, "return the loss as a tensor, got float"),
        (lambda w: w * 2, {}, lo.errors.ShapeError, r"one number, got shape \(2,\)"),
        (lambda w: lo.Parameter(1.0) * 2, {}, lo.errors.GraphError, "does not depend on 'w'"),
        (lambda w: (w * np.inf).sum(), {}, lo.errors.NonFiniteError, "the loss is inf at the start"),
    ],
)
def test_what_it_refuses(f, options, error, message):
    w = lo.Parameter([1.0, 2.0], name="w")
    with pytest.raises(error, match=message):
        lo.optim.minimize(lambda: f(w), w, **options)
    assert w.data.tolist() == [1.0, 2.0]


def test_frozen_parameters_alone_are_refused():
    w = lo.Parameter([1.0])
    w.requires_grad = False
    with pytest.raises(lo.errors.OptionError, match="frozen"):
        lo.optim.minimize(lambda: 2.0 * (w**2).sum(), w)


def test_without_scipy_it_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **options):
        if name.startswith("scipy"):
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(lo.errors.UnsupportedError, match="pip install scipy"):
        lo.optim.minimize(lambda: 2.0 * (w**2).sum(), w := lo.Parameter([1.0]))
