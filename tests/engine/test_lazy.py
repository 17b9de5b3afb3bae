"""Arrays of another library flow through the rules: Dask's stay lazy until somebody asks."""

import numpy as np
import pytest

import tinygrad_lo as lo

dask = pytest.importorskip("dask", reason="needs the extra 'dask'")
da = pytest.importorskip("dask.array", reason="needs the extra 'dask'")


@pytest.fixture
def nothing_is_computed():
    def refuse(*args, **options):
        raise AssertionError("a lazy array was computed")

    with dask.config.set(scheduler=refuse):
        yield


def numbers(rng):
    return rng.standard_normal((100, 5)), rng.integers(0, 3, 100), rng.standard_normal((5, 3))


LOSSES = {
    "hinge": lo.losses.multiclass_hinge,
    "squared hinge": lambda s, y: lo.losses.multiclass_hinge(s, y, power=2, combine="mean"),
    "cross-entropy": lo.losses.cross_entropy,
    "smoothed": lambda s, y: lo.losses.cross_entropy(s, y, label_smoothing=0.1),
}


def gradient(loss, X, y, W):
    W = lo.Parameter(W)
    value = loss(X @ W, y)
    value.backward()
    return value.data, W.grad


@pytest.mark.usefixtures("nothing_is_computed")
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_and_its_gradient_stay_lazy(name, rng):
    X, y, W = numbers(rng)
    value, grad = gradient(LOSSES[name], da.from_array(X, chunks=(25, 5)), y, W)
    assert isinstance(value, da.Array)
    assert isinstance(grad, da.Array)


@pytest.mark.parametrize("name", LOSSES)
def test_computed_it_equals_the_eager_one(name, rng):
    X, y, W = numbers(rng)
    value, grad = gradient(LOSSES[name], da.from_array(X, chunks=(25, 5)), y, W)
    expected, eager = gradient(LOSSES[name], X, y, W)
    assert float(value.compute()) == pytest.approx(float(expected), rel=1e-13)
    np.testing.assert_allclose(grad.compute(), eager, rtol=1e-12, atol=1e-15)


@pytest.mark.usefixtures("nothing_is_computed")
def test_elementwise_ops_stay_lazy(rng):
    x = lo.Tensor(da.from_array(rng.uniform(0.5, 2.0, (20, 4)), chunks=(5, 4)), requires_grad=True)
    y = (np.exp(x) + np.log(x) * x.tanh() - x.relu() / 3.0).sum() + np.where(x > 1.0, x, 0.0).max()
    y = y + x.norm() + lo.losses.mse(x, np.zeros((20, 4)))
    y.backward()
    assert isinstance(x.grad, da.Array)


def test_dask_meets_a_tensor_from_both_sides(rng):
    a = da.from_array(rng.standard_normal((4, 3)), chunks=2)
    P = lo.Parameter(np.ones((3, 2)))
    for result in (a @ P, a.sum() * P, P * a.sum(), da.exp(P)):
        assert isinstance(result, lo.Tensor)
