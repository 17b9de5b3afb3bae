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


NAMES = {
    "exp2": np.exp2, "arcsinh": np.arcsinh, "arctanh": lambda x: np.arctanh(x / 9.0), "rad2deg": np.rad2deg,
    "hypot": lambda x: np.hypot(x, 1.0), "arctan2": lambda x: np.arctan2(1.0, x),
    "logaddexp2": lambda x: np.logaddexp2(x, 1.0), "fmax": lambda x: np.fmax(x, 1.0),
    "nan_to_num": np.nan_to_num, "linspace": lambda x: np.linspace(x, 1.0, 3),
    "vstack": lambda x: np.vstack([x, x]), "hstack": lambda x: np.hstack([x, x]), "atleast_3d": np.atleast_3d,
    "repeat": lambda x: np.repeat(x, 2, axis=1), "tile": lambda x: np.tile(x, (2, 1)), "rot90": np.rot90,
    "diff": lambda x: np.diff(x, axis=0), "cumprod": lambda x: np.cumprod(x, axis=0), "copy": np.copy,
    "kron": lambda x: np.kron(x, np.ones((2, 2))), "cross": lambda x: np.cross(x, np.ones(3)),
    "average": lambda x: np.average(x, axis=0, weights=np.arange(1.0, 5.0)),
    "average by": lambda x: np.average(x, weights=x),
    "norm 3": lambda x: np.linalg.norm(x, 3, axis=1), "norm 1": lambda x: np.linalg.norm(x, 1),
    "take": lambda x: np.take(x, 1, axis=0), "inner": lambda x: np.inner(x, np.ones(3)),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_numpys_names_stay_lazy_and_agree(name, rng):
    data = rng.uniform(0.5, 2.0, (4, 3))

    def refuse(*args, **options):
        raise AssertionError("a lazy array was computed")

    x = lo.Tensor(da.from_array(data, chunks=(2, 3)), requires_grad=True)
    with dask.config.set(scheduler=refuse):
        y = NAMES[name](x)
        (y * y).sum().backward()
    eager = lo.Parameter(data)
    expected = NAMES[name](eager)
    (expected * expected).sum().backward()
    assert isinstance(y.data, da.Array)
    assert isinstance(x.grad, da.Array)
    np.testing.assert_allclose(y.data.compute(), expected.data, rtol=1e-13)
    np.testing.assert_allclose(x.grad.compute(), eager.grad, rtol=1e-12)


@pytest.mark.usefixtures("nothing_is_computed")
@pytest.mark.parametrize(
    "call",
    [np.linalg.inv, np.linalg.det, np.linalg.slogdet, lambda x: np.linalg.solve(x, x), np.median, np.sort],
)
def test_what_cannot_stay_lazy_raises(call, rng):
    x = lo.Tensor(da.from_array(rng.uniform(0.5, 2.0, (4, 4)), chunks=(2, 2)), requires_grad=True)
    with pytest.raises(lo.errors.UnsupportedError, match=r"lazy array of shape .* x.compute\(\)"):
        call(x)
