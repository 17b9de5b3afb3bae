"""Ops, losses and optimizers on arrays of each library: values and gradients are NumPy's, and stay there."""

import numpy as np
import pytest
from strict_array import StrictArray

import tinygrad_lo as lo
from tinygrad_lo import losses, nn, optim

ROWS = 20


class Library:
    """How arrays come into a library, and back."""

    def __init__(self, kind, wrap, back):
        self.kind, self.wrap, self.back = kind, wrap, back


def library_of(name):
    if name == "numpy":
        return Library(np.ndarray, np.array, np.array)
    if name == "strict":
        return Library(StrictArray, StrictArray, StrictArray.get)
    if name == "dask":
        da = pytest.importorskip("dask.array", reason="needs the extra 'dask'")
        return Library(da.Array, lambda x: da.from_array(x, chunks=(10, *x.shape[1:])[: x.ndim]), np.asarray)
    cupy = pytest.importorskip("cupy", reason="needs CuPy and a GPU", exc_type=ImportError)
    try:
        cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        pytest.skip(f"needs a GPU: {error}")
    return Library(cupy.ndarray, cupy.asarray, cupy.asnumpy)


@pytest.fixture(params=["numpy", "strict", "dask", "cupy"])
def library(request):
    return library_of(request.param)


def agree(library, f, *arrays):
    """Value and gradient by the first array, in the library and by NumPy."""
    x, y = lo.Parameter(library.wrap(arrays[0])), lo.Parameter(arrays[0])
    ours, theirs = f(x, *map(library.wrap, arrays[1:])), f(y, *arrays[1:])
    ours.backward()
    theirs.backward()
    assert isinstance(x.grad, library.kind)
    np.testing.assert_allclose(library.back(ours.data), theirs.data, rtol=1e-12)
    np.testing.assert_allclose(library.back(x.grad), y.grad, rtol=1e-11, atol=1e-14)


OPS = {
    "elementwise": lambda x: (np.exp(x) + np.log(x) * x.tanh() - x.relu() / 3.0 + x**2).sum(),
    "reductions": lambda x: x.mean() + x.max() + x.norm() + x.sum(axis=1).min(),
    "shapes": lambda x: (x[1:, ::-1] * 2.0).reshape(-1).sum() + np.concatenate([x, x]).mean(),
    "softmax": lambda x: (nn.log_softmax(x) * nn.sigmoid(x)).sum() + nn.softmax(x).max(),
    "where": lambda x: np.where(x > 1.0, x * 3.0, 0.0).sum(),
    "matmul": lambda x: (x @ x.T).sum(),
}


@pytest.mark.parametrize("name", OPS)
def test_ops(name, library, rng):
    agree(library, OPS[name], rng.uniform(0.5, 2.0, (ROWS, 3)))


def labels_of(rng):
    return rng.integers(0, 3, ROWS)


def values_of(rng):
    return rng.standard_normal((ROWS, 3))


def shares_of(rng):
    p = rng.uniform(0.1, 0.9, (ROWS, 3))
    return p / p.sum(axis=1, keepdims=True)


def signs_of(rng):
    return rng.choice([-1.0, 1.0], (ROWS, 3))


LOSSES = {
    "cross_entropy": (losses.cross_entropy, labels_of),
    "of distributions": (losses.cross_entropy, shares_of),
    "smoothed": (lambda s, y: losses.cross_entropy(s, y, label_smoothing=0.1), labels_of),
    "weighted": (lambda s, y: losses.cross_entropy(s, y, class_weights=[1.0, 2.0, 3.0]), labels_of),
    "ignoring": (lambda s, y: losses.cross_entropy(s, y, ignore_index=1), labels_of),
    "multiclass_hinge": (losses.multiclass_hinge, labels_of),
    "nll": (lambda s, y: losses.nll(nn.log_softmax(s), y), labels_of),
    "kl_divergence": (lambda s, y: losses.kl_divergence(y, nn.softmax(s)), shares_of),
    "binary with logits": (losses.binary_cross_entropy_with_logits, shares_of),
    "binary": (lambda s, y: losses.binary_cross_entropy(nn.sigmoid(s), y), shares_of),
    "hinge": (losses.hinge, signs_of),
    "mse": (losses.mse, values_of),
    "mae": (losses.mae, values_of),
    "huber": (losses.huber, values_of),
    "penalties": (lambda s, y: losses.l1(s) + losses.l2(s), values_of),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name, library, rng):
    loss, target = LOSSES[name]
    agree(library, loss, values_of(rng), target(rng))


OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, 0.1, momentum=0.9, nesterov=True),
    "Adagrad": optim.Adagrad,
    "Adadelta": optim.Adadelta,
    "RMSprop": lambda p: optim.RMSprop(p, centered=True, momentum=0.9),
    "Adam": lambda p: optim.Adam(p, amsgrad=True, weight_decay=0.1),
    "AdamW": optim.AdamW,
    "NAdam": optim.NAdam,
}


@pytest.mark.parametrize("kind", ["strict", "cupy"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_on_parameters_of_the_library(name, kind, rng):
    library = library_of(kind)
    X, y, W = values_of(rng), labels_of(rng), rng.standard_normal((3, 3))

    def trained(wrap):
        params = [
            lo.Parameter(wrap(a), name=n) for n, a in (("W", W), ("b", np.zeros(3)), ("s", np.array(1.0)))
        ]
        opt = OPTIMIZERS[name](params)
        for _ in range(3):
            opt.zero_grad()
            loss = losses.cross_entropy((wrap(X) @ params[0] + params[1]) * params[2], wrap(y))
            loss.backward()
            optim.clip_grad_norm(params, 0.1)
            optim.clip_grad_value(params, 0.05)
            opt.step(evaluate=[loss])
            opt.load_state_dict(opt.state_dict())
        return params

    for ours, theirs in zip(trained(library.wrap), trained(np.array), strict=True):
        assert isinstance(ours.data, library.kind)
        np.testing.assert_allclose(library.back(ours.data), theirs.data, rtol=1e-12, atol=1e-15)


def test_the_strict_library_is_strict():
    x = StrictArray([1.0, 2.0])
    for convert in (lambda: np.asarray(x.T @ x), lambda: x + np.ones(2), lambda: np.add.reduce(x)):
        with pytest.raises(TypeError):
            convert()
    assert float(x @ x) == 5.0
