"""Layers: what they compute, how weights begin, what they refuse."""

import copy
import functools
import math
import pickle

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.errors import OptionError, ShapeError
from tinygrad_lo.nn import activations
from tinygrad_lo.nn.modules import (
    ELU,
    CReLU,
    Dropout,
    Flatten,
    LeakyReLU,
    Linear,
    LogSoftmax,
    PReLU,
    ReLU,
    ReLU6,
    Sequential,
    Sigmoid,
    Softmax,
    Softminus,
    Softplus,
    Tanh,
)

# ----------------------------------------------------------------------------------------- Linear


def test_linear_is_x_times_w_plus_b(rng):
    layer = Linear(3, 2, rng=0)
    layer.bias.data = np.array([10.0, -10.0])
    x = rng.standard_normal((5, 3))
    np.testing.assert_array_equal(layer(x).numpy(), x @ layer.weight.data + layer.bias.data)
    np.testing.assert_array_equal(Linear(3, 2, bias=False, rng=0)(x).numpy(), x @ layer.weight.data)


def test_linear_computes_the_scores_of_the_slide():
    """Lecture 002: W x + b of a cat, four pixels, three classes; here a sample is a row."""
    W = np.array([[0.2, -0.5, 0.1, 2.0], [1.5, 1.3, 2.1, 0.0], [0.0, 0.25, 0.2, -0.3]])
    layer = Linear(4, 3, init=lambda shape, rng: W.T)
    layer.bias.data = np.array([1.1, 3.2, -1.2])
    scores = layer([56, 231, 24, 2]).numpy()
    np.testing.assert_allclose(scores, [-96.8, 437.9, 60.75], rtol=1e-12)


@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 5, 3)])
def test_linear_takes_any_number_of_axes(shape, rng):
    assert Linear(3, 4)(rng.standard_normal(shape)).shape == (*shape[:-1], 4)


def test_gradients_of_a_small_network_agree_with_numbers(rng):
    net = Sequential(Linear(3, 5, rng=1), Tanh(), Linear(5, 2, rng=2), Softplus())
    x = rng.standard_normal((4, 3))
    params = list(net.parameters())
    lo.gradcheck(lambda: net(x).sum(), params=params).raise_if_failed()
    lo.gradcheck(lambda x: net(x).sum(), x, order=2).raise_if_failed()


def test_float32_stays_float32(rng):
    net = Sequential(
        Linear(3, 4, dtype="float32"),
        ReLU(),
        PReLU(dtype="float32"),
        Dropout(0.5),
        Linear(4, 2, dtype="float32"),
    )
    y = net(rng.standard_normal((6, 3)))  # float64 data
    assert y.dtype == np.float32
    y.sum().backward()
    assert {p.grad.dtype for p in net.parameters()} == {np.dtype("float32")}
    assert net(np.ones((1, 3), int)).dtype == np.float32
    assert net(lo.Tensor([[1, 2, 3]])).dtype == np.float32


def test_float32_at_the_edges(rng):
    layer = Linear(2, 1, init=lambda shape, rng: np.ones(shape), dtype="float32")
    np.testing.assert_array_equal(layer(np.float32([[1e30, 1e30]])).numpy(), np.float32([[2e30]]))


@pytest.mark.parametrize(
    ("shape", "got"), [((8, 3), r"3 \(x has shape \(8, 3\)\)"), ((5,), r"5 \(x"), ((), "a number")]
)
def test_a_wrong_number_of_features_is_refused(shape, got):
    layer = Linear(4, 2)
    with pytest.raises(
        ShapeError, match=rf"Linear 4 -> 2: expected 4 features along the last axis, got {got}"
    ):
        layer(np.ones(shape))
    with pytest.raises(ShapeError, match="expected 4 features"):
        layer(lo.Tensor(np.ones(shape)))


def test_the_refusal_names_the_layer_where_it_has_a_name():
    net = Sequential(Linear(2, 4), ReLU(), Linear(3, 1))
    list(net.named_parameters())
    with pytest.raises(
        ShapeError, match=r"Linear 3 -> 1 at '2': expected 3 features.* got 4 \(x has shape \(7, 4\)"
    ):
        net(np.ones((7, 2)))


@pytest.mark.parametrize("size", [0, -1, 2.0, "3", None, True])
def test_impossible_sizes(size):
    with pytest.raises(OptionError, match=f"Linear: inputs must be an int >= 1, got {size!r}"):
        Linear(size, 1)
    with pytest.raises(OptionError, match=f"Linear: outputs must be an int >= 1, got {size!r}"):
        Linear(1, size)


def test_other_impossible_options_of_linear():
    with pytest.raises(OptionError, match="bias must be True or False, got 1"):
        Linear(1, 1, bias=1)
    for dtype in ("int64", int, "text", None, complex):
        with pytest.raises(OptionError, match="dtype must be a floating-point type"):
            Linear(1, 1, dtype=dtype)
    with pytest.raises(OptionError, match="rng must be"):
        Linear(1, 1, rng="x")


# ------------------------------------------------------------------------------ how weights begin


def test_he_is_normal_with_variance_2_over_fan_in():
    w = Linear(200, 300, init="he", rng=0).weight.data
    assert w.std() == pytest.approx(math.sqrt(2 / 200), rel=0.01)
    assert abs(w.mean()) < 0.002
    assert (w**4).mean() / w.var() ** 2 == pytest.approx(3.0, rel=0.05)  # of a normal distribution
    np.testing.assert_array_equal(w, Linear(200, 300, rng=0).weight.data)  # the default


@pytest.mark.parametrize(("init", "bound"), [("xavier", math.sqrt(6 / 500)), ("uniform", 1 / math.sqrt(200))])
def test_uniform_starts_fill_their_interval(init, bound):
    w = Linear(200, 300, init=init, rng=0).weight.data
    assert bound * 0.999 < np.abs(w).max() <= bound
    assert w.std() == pytest.approx(bound / math.sqrt(3), rel=0.01)


def test_biases_begin_at_0():
    np.testing.assert_array_equal(Linear(2, 3).bias.data, np.zeros(3))


def test_one_seed_begins_one_model_in_every_dtype():
    wide, narrow = Linear(3, 4, rng=5), Linear(3, 4, rng=5, dtype="float32")
    np.testing.assert_array_equal(wide.weight.data.astype("float32"), narrow.weight.data)
    assert not np.array_equal(Linear(3, 4, rng=6).weight.data, wide.weight.data)
    shared = np.random.default_rng(5)
    np.testing.assert_array_equal(Linear(3, 4, rng=shared).weight.data, wide.weight.data)
    assert not np.array_equal(Linear(3, 4, rng=shared).weight.data, wide.weight.data)
    lo.seed(5)
    np.testing.assert_array_equal(Linear(3, 4).weight.data, wide.weight.data)


def test_a_function_may_draw_the_weights():
    seen = []

    def init(shape, rng):
        seen.append((shape, rng))
        return np.full(shape, 2)  # of integers, which become floats

    source = np.random.default_rng(0)
    layer = Linear(2, 3, init=init, rng=source)
    assert seen == [((2, 3), source)]
    assert layer.weight.dtype == np.float64
    np.testing.assert_array_equal(layer.weight.data, np.full((2, 3), 2.0))


def test_impossible_starts():
    with pytest.raises(
        OptionError, match=r"init must be 'he', 'xavier', 'uniform' or a function .*got 'glorot'"
    ):
        Linear(2, 3, init="glorot")
    with pytest.raises(ShapeError, match=r"init gave shape \(3, 2\), and the weight has shape \(2, 3\)"):
        Linear(2, 3, init=lambda shape, rng: np.zeros((3, 2)))
    with pytest.raises(OptionError, match="init must give finite numbers"):
        Linear(2, 3, init=lambda shape, rng: np.full(shape, np.nan))
    with pytest.raises(OptionError, match="init must give finite numbers"):
        Linear(2, 3, init=lambda shape, rng: np.full(shape, 1j))


# ------------------------------------------------------------------------------------- Sequential


def test_sequential_is_a_row_of_modules_and_functions(rng):
    x = rng.standard_normal((4, 3))
    net = Sequential(Linear(3, 2, rng=0), lo.nn.relu, np.negative, lambda y: y * 2.0)
    np.testing.assert_array_equal(net(x).numpy(), -2.0 * lo.nn.relu(net[0](x)).numpy())
    assert len(net) == 4
    assert list(net)[1] is lo.nn.relu
    assert net[-4] is net[0]
    assert isinstance(net[:2], Sequential)
    assert net[:2][0] is net[0]
    with pytest.raises(ShapeError, match="index 4 is outside of its 4 modules"):
        net[4]
    with pytest.raises(OptionError, match="at least one"):
        net[4:]


def test_arrays_stay_arrays_where_there_is_no_parameter():
    out = Sequential(Flatten(), ReLU(), Tanh())(np.ones((2, 3, 4)))
    assert type(out) is np.ndarray
    assert out.shape == (2, 12)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ((), "at least one module"),
        (([Linear(1, 1)],), r"entry 0 is a list; write Sequential\(\*layers\)"),
        ((Linear(1, 1), ReLU), r"entry 1 is the class ReLU; write ReLU\(...\)"),
        ((Linear(1, 1), None), "entry 1 is None, neither a module nor a function"),
        ((Linear(1, 1).forward,), "brings parameters that would not be listed"),
        ((functools.partial(lo.nn.prelu, slope=lo.Parameter(0.1)),), "brings parameters"),
    ],
)
def test_what_sequential_refuses(steps, words):
    with pytest.raises(OptionError, match=words):
        Sequential(*steps)


def test_a_function_with_options_is_welcome():
    net = Sequential(functools.partial(lo.nn.leaky_relu, slope=0.5))
    np.testing.assert_array_equal(net(np.array([-2.0])), [-1.0])


def test_a_subclass_of_sequential_may_hold_more():
    class Residual(Sequential):
        def __init__(self):
            super().__init__(Linear(2, 2), ReLU())
            self.gain = lo.Parameter(1.0)

        def forward(self, x):
            return x + self.gain * super().forward(x)

    net = Residual()
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias", "gain"]
    assert net(np.ones((1, 2))).shape == (1, 2)
    assert "gain" in repr(net)


def test_sequential_without_its_init_says_so():
    class Forgetful(Sequential):
        def __init__(self):
            self.layer = Linear(1, 1)

    with pytest.raises(OptionError, match=r"Forgetful: call super\(\).__init__\(\*modules\)"):
        Forgetful()


# ------------------------------------------------------------------- Flatten, Dropout, activations


def test_flatten():
    x = np.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(Flatten()(x), x.reshape(2, 12))
    assert Flatten()(np.ones(5)).shape == (5, 1)
    assert Flatten()(np.ones((0, 3, 2))).shape == (0, 6)
    assert Flatten()(lo.Parameter(x)).shape == (2, 12)
    with pytest.raises(ShapeError, match="single number"):
        Flatten()(np.float64(3.0))


def test_dropout_listens_to_train_and_eval():
    net = Sequential(Dropout(0.5, rng=0))
    x = np.ones(1000)
    assert set(np.unique(net(x))) == {0.0, 2.0}
    net.eval()
    np.testing.assert_array_equal(net(x), x)
    assert not np.array_equal(net.train()(x), x)


def test_dropout_draws_anew_and_repeats_with_its_seed():
    x = np.ones(100)
    first, second = Dropout(0.5, rng=3), Dropout(0.5, rng=3)
    a, b = first(x), first(x)
    assert not np.array_equal(a, b)
    np.testing.assert_array_equal(a, second(x))
    np.testing.assert_array_equal(a, lo.nn.dropout(x, 0.5, rng=3))


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan, "0.5", None, True])
def test_impossible_dropout(p):
    with pytest.raises(OptionError, match=r"Dropout: p must be in \[0, 1\]"):
        Dropout(p)


@pytest.mark.parametrize(
    ("module", "function"),
    [
        (ReLU(), activations.relu),
        (ReLU6(), activations.relu6),
        (ELU(), activations.elu),
        (Sigmoid(), activations.sigmoid),
        (Tanh(), activations.tanh),
        (Softplus(), activations.softplus),
        (Softminus(), activations.softminus),
        (LeakyReLU(0.3), lambda x: activations.leaky_relu(x, 0.3)),
        (LeakyReLU(), activations.leaky_relu),
        (PReLU(), lambda x: activations.prelu(x, 0.25)),
        (PReLU(3, slope=0.5), lambda x: activations.prelu(x, np.full(3, 0.5))),
        (CReLU(), activations.crelu),
        (CReLU(0), lambda x: activations.crelu(x, 0)),
        (Softmax(), activations.softmax),
        (Softmax(axis=0), lambda x: activations.softmax(x, 0)),
        (LogSoftmax(0), lambda x: activations.log_softmax(x, 0)),
    ],
    ids=lambda x: (
        repr(x) if isinstance(x, lo.nn.Module) else None
    ),  # of a function, the name and not the address
)
@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_activations_as_modules_are_the_functions(module, function, scale, dtype, rng):
    x = (scale * rng.standard_normal((4, 3))).astype(dtype)
    out, expected = module(x), function(x)
    values = out.numpy() if isinstance(out, lo.Tensor) else out
    np.testing.assert_allclose(values, expected, rtol=1e-6 if dtype == "float32" else 0)
    if not list(module.parameters()):
        assert type(out) is np.ndarray
        assert out.dtype == dtype
        taped = module(lo.Tensor(x, requires_grad=True))
        np.testing.assert_array_equal(taped.numpy(), expected)


def test_prelu_learns_its_slope():
    layer = PReLU(2)
    layer(np.array([[-2.0, 3.0], [-4.0, -6.0]])).sum().backward()
    np.testing.assert_array_equal(layer.slope.grad, [-6.0, -6.0])


def test_impossible_activations():
    with pytest.raises(OptionError, match="LeakyReLU: slope must be finite"):
        LeakyReLU(math.nan)
    with pytest.raises(OptionError, match="PReLU: channels must be an int >= 1"):
        PReLU(0)
    with pytest.raises(OptionError, match="PReLU: slope must be finite"):
        PReLU(slope="a")
    with pytest.raises(OptionError, match=r"Softmax: axis must be an int, got 1\.0"):
        Softmax(1.0)


# ----------------------------------------------------------------------------- copies and training


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_compute_the_same_and_share_nothing(copied, rng):
    net = Sequential(Linear(3, 4, rng=0), PReLU(4), Dropout(0.5, rng=1), Softmax(), LeakyReLU(), lo.nn.relu)
    net[1].training = False
    twin = copied(net)
    x = rng.standard_normal((5, 3))
    assert repr(twin) == repr(net)
    assert not twin[1].training
    np.testing.assert_array_equal(net(x).numpy(), twin(x).numpy())
    for ours, theirs in zip(net.parameters(), twin.parameters(), strict=True):
        assert ours is not theirs
        assert not np.shares_memory(ours.data, theirs.data)


def test_a_network_learns_xor():
    X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = np.array([0, 1, 1, 0])
    net = Sequential(Linear(2, 16, rng=0), ReLU(), Linear(16, 1, rng=1))
    optimizer = lo.optim.SGD(net, lr=0.2, momentum=0.9)
    for _ in range(300):
        optimizer.zero_grad()
        lo.losses.binary_cross_entropy_with_logits(net(X)[:, 0], y).backward()
        optimizer.step()
    assert ((net(X).numpy()[:, 0] > 0) == y).all()


@pytest.mark.peers
def test_linear_and_its_gradients_are_those_of_torch(rng):
    torch = pytest.importorskip("torch", reason="needs the extra 'peers'")
    net = Sequential(Linear(4, 8, rng=0), Tanh(), Linear(8, 3, rng=1), LogSoftmax())
    theirs = torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3), torch.nn.LogSoftmax(-1)
    ).double()
    state = {k: torch.from_numpy(v.T.copy()) for k, v in net.state_dict().items()}
    theirs.load_state_dict(state)  # the same names; weights transposed
    x = rng.standard_normal((5, 4))
    ours, out = net(x), theirs(torch.from_numpy(x))
    np.testing.assert_allclose(ours.numpy(), out.detach().numpy(), rtol=1e-12)
    (ours * ours).sum().backward()
    (out * out).sum().backward()
    for p, q in zip(net.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad, q.grad.numpy().T, rtol=1e-12, atol=1e-12)
