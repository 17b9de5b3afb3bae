"""What a compiled function must not hide: a wrong kernel, an old number, a first batch that stays alive."""

import copy
import functools
import gc
import types
import weakref

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.compiling.kernels import KERNELS
from tinygrad_lo.errors import GraphError, LoError, StaleError

X = np.array([1.0, 2.0, 3.0])


def test_a_wrong_kernel_is_found_by_the_second_call(monkeypatch):
    def wrong(code, line):
        code.assign(line, f"np.exp({code.texts[line.args[0]]}) * 1.001")
        return True

    monkeypatch.setitem(KERNELS, lo.engine.ops.TABLE["exp"], wrong)
    w = lo.Parameter(X)
    step = lo.compile(lambda x: np.exp(w * x).sum())
    step(X)
    w.grad = None
    with pytest.warns(UserWarning, match="please report"):
        value = step(X)
    assert value == pytest.approx(np.exp(X * X).sum())
    np.testing.assert_allclose(w.grad, X * np.exp(X * X))


def test_a_boolean_is_no_place_in_an_index():
    w = lo.Parameter(np.arange(6.0).reshape(2, 3))

    def f(x):
        return ((w * x)[True] ** 2).sum()

    step = lo.compile(f)
    for scale in (1.0, 2.0, 3.0, 4.0):
        assert step(X * scale) == pytest.approx(f(X * scale).item())


class Scaled:
    """An object that is called; what its class reads is followed, what hangs on it is not."""

    def __init__(self, w):
        self.w = w

    def __call__(self, x):
        return (self.w * x * FACTOR).sum()


FACTOR = 2.0


@functools.lru_cache
def cached(_):
    return FACTOR


def in_a_cache(x):
    return (W * x * cached.__wrapped__(0)).sum()


W = lo.Parameter(X)


@pytest.mark.parametrize("f", [Scaled(W), Scaled(W).__call__, in_a_cache])
def test_what_a_called_object_reads_is_asked(f, monkeypatch):
    step = lo.compile(f, check=False)
    assert step(X) == pytest.approx(28.0)
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    assert step(X) == pytest.approx(42.0)


def test_numbers_in_a_module_of_the_user_are_asked(monkeypatch, tmp_path):
    settings = types.ModuleType("settings")
    settings.__file__ = str(tmp_path / "settings.py")
    settings.RATE = 2.0
    monkeypatch.setitem(globals(), "settings", settings)

    def f(x):
        return (W * x * settings.RATE).sum()

    step = lo.compile(f, check=False)
    assert step(X) == pytest.approx(28.0)
    settings.RATE = 5.0
    assert step(X) == pytest.approx(70.0)


def test_no_batch_is_kept_alive():

    def f(x):
        scores = x @ lo.Tensor(np.ones((3, 2))) * W.sum()
        return scores.sum() if scores.sum() > 0 else -scores.sum()

    step = lo.compile(f)
    first = np.ones((4, 3))
    held = weakref.ref(first)
    step(first)
    del first
    gc.collect()
    assert held() is None


def test_writing_into_an_argument_is_refused():
    def f(x):
        x += 1.0
        return (W * x).sum()

    data = X.copy()
    with pytest.raises(LoError, match=r"write x = x \+"):
        lo.compile(f)(data)
    np.testing.assert_array_equal(data, X)


def test_a_loss_is_a_number_in_floating_point():
    s = lo.Parameter(2.0)
    with pytest.raises(GraphError, match="floating point, got bool"):
        lo.compile(lambda: s > 0.0)()


def test_what_is_counted_from_masks_holds_on_to_nothing():
    scores = W * 2.0
    held = weakref.ref(scores.data.base)
    hits = 0.0 + (scores > 1.0).mean() + np.sum(scores > 3.0)
    mask = copy.deepcopy(scores > 1.0)
    del scores
    gc.collect()
    assert held() is None
    assert float(hits) == 3.0
    assert mask.numpy().tolist() == [True, True, True]
    assert mask.grad is None


def test_a_comparison_written_by_hand_is_computed_again_in_the_printed_program():
    w = lo.Parameter(np.array([0.5, -1.0, 2.0]), name="w")
    for mask in (lambda m: m > 0.0, lambda m: (m > 0.0).astype(float)):
        text = lo.source((w * 2.0 * mask(w * 2.0)).sum())
        namespace = {}
        exec(text, namespace)
        value, gradients = namespace["loss_and_gradients"](w=np.array([-0.5, 1.0, 2.0]))
        assert value == 6.0
        assert gradients["w"].tolist() == [0.0, 2.0, 2.0]


def test_a_loss_of_data_alone_is_refused_at_once():
    with pytest.raises(GraphError, match="array arguments alone"):
        lo.compile(lambda x: (x * x).sum())(X)


def test_a_stale_number_beside_running_statistics_is_found():
    class Options:
        scale = 1.0

    means, variances = np.zeros(3), np.ones(3)
    options = Options()

    def f(x):
        y = lo.nn.batch_norm(x + options.scale * x**2, W, running_mean=means, running_var=variances)
        return (y**3).mean()

    step = lo.compile(f)
    batch = np.random.default_rng(0).standard_normal((6, 3))
    for _ in range(3):
        step(batch)
    options.scale = 3.0
    with pytest.raises(StaleError):
        step(batch)


class Net(lo.nn.Module):
    """A layer whose numbers stand where classes keep them."""

    scale = 2.0

    def __init__(self):
        super().__init__()
        self.weight = lo.Parameter(X)

    @staticmethod
    def times(x):
        return x * FACTOR

    @property
    def shift(self):
        return FACTOR

    def forward(self, x):
        return (self.weight * self.times(x) * self.scale + self.shift).sum()


def test_numbers_of_a_layers_class_are_asked(monkeypatch):
    net = Net()
    step = lo.compile(net, check=False)
    for owner, name, value in ((None, "FACTOR", 3.0), (Net, "scale", 5.0)):
        step(X)
        if owner is None:
            monkeypatch.setitem(globals(), name, value)
        else:
            monkeypatch.setattr(owner, name, value)
        assert step(X) == pytest.approx(net(X).item())


def test_the_collector_is_on_again_after_a_recording_and_after_a_failed_one():
    assert gc.isenabled()
    lo.compile(lambda: (W * 2.0 * W).sum() + 1.0)()
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        lo.compile(lambda: (W * W).sum() * (1 / 0))()
    assert gc.isenabled()


def test_an_array_argument_has_no_methods_of_tensors():
    with pytest.raises(LoError, match=r"'x' is an array, .* has no \.relu"):
        lo.compile(lambda x: (W * x.relu()).sum())(X)
    assert lo.compile(lambda x: (W * lo.Tensor(x).relu()).sum())(X) == pytest.approx(14.0)


def test_a_refusal_that_f_swallows_is_raised_all_the_same():
    def f(x):
        try:
            scale = float(x.sum())
        except Exception:
            scale = 1.0
        return (W * x * scale).sum()

    with pytest.raises(GraphError, match=r"float\(t\) inside a compiled function"):
        lo.compile(f)(X)
