"""Convolution, pooling and batch normalization as modules."""

import copy
import pickle

import numpy as np
import pytest
from twins import trains_alike

import tinygrad_lo as lo
from tinygrad_lo.engine.ops.indexing import unfold
from tinygrad_lo.errors import OptionError, ShapeError
from tinygrad_lo.nn import (
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
)

IMAGES = np.random.default_rng(1).standard_normal((2, 3, 7, 6))
FILTERS = np.random.default_rng(2).standard_normal((4, 3, 3, 2))


def cnn(dtype="float64"):
    return Sequential(
        Conv2d(1, 3, 3, padding="same", bias=False, rng=0, dtype=dtype),
        BatchNorm2d(3, dtype=dtype),
        ReLU(),
        MaxPool2d(2),
        Flatten(),
        Linear(12, 4, rng=1, dtype=dtype),
        BatchNorm1d(4, dtype=dtype),
        Linear(4, 2, rng=2, dtype=dtype),
    )


def test_a_convolution_by_pytorch():
    """PyTorch 2.13, float64, padding="same"."""
    numbers = ((np.arange(36) * 7) % 11 - 5).reshape(3, 2, 3, 2) / 4
    layer = Conv2d(2, 3, (3, 2), padding="same", dilation=(1, 3), init=lambda shape, rng: numbers)
    layer.bias.data = np.array([1.0, 0.0, -1.0])
    x = lo.Parameter(((np.arange(40) * 5) % 13 - 6).reshape(1, 2, 4, 5) / 2)
    y = layer(x)
    assert y.shape == (1, 3, 4, 5)
    expected = [[4, 2, 3.75, -1.25, 4.125], [0, -4.375, -6.375, 3, -2.25], [1.5, 0.25, 5.5, -1, -5.875]]
    np.testing.assert_allclose(y.numpy()[0, :, 1], expected, rtol=1e-14)
    (y**2).sum().backward()
    slopes = [[130.625, -39.875], [178.875, 59.125], [-40.5, 115.875]]
    np.testing.assert_allclose(layer.weight.grad[1, 0], slopes, rtol=1e-13)
    np.testing.assert_allclose(layer.bias.grad, [48.5, -11.75, -28], rtol=1e-13)
    np.testing.assert_allclose(x.grad[0, 1, 0], [-9.5, -13.5, 12.625, 40.1875, 30.875], rtol=1e-13)


def test_same_keeps_the_size_of_the_image():
    assert lo.nn.conv2d(IMAGES, FILTERS, padding="same").shape == (2, 4, 7, 6)
    one = np.zeros((1, 1, 3, 4))
    one[0, 0, 1, 1] = 1.0  # an even window looks one further down and right
    assert lo.nn.conv2d(one, [[[[0.0, 1.0]]]], padding="same")[0, 0, 1].tolist() == [1, 0, 0, 0]


def test_a_constant_is_no_view_of_what_the_user_holds():
    x = lo.Tensor(IMAGES.copy())
    whole = unfold(x, (7, 6), (1, 1), (1, 1))  # a reshape alone
    x.data[0] = 0.0
    np.testing.assert_array_equal(whole.numpy()[0].ravel(), IMAGES[0].ravel())


def test_modules_are_their_functions(rng):
    x = rng.standard_normal((2, 3, 7, 6))
    layer = Conv2d(3, 4, (3, 2), stride=(2, 1), padding=(1, 0), dilation=2, rng=0)
    expected = lo.nn.conv2d(x, layer.weight, layer.bias, stride=(2, 1), padding=(1, 0), dilation=2)
    np.testing.assert_array_equal(layer(x).numpy(), expected.numpy())
    np.testing.assert_array_equal(
        MaxPool2d((3, 2), stride=1, padding=1)(x), lo.nn.max_pool2d(x, (3, 2), stride=1, padding=1)
    )
    np.testing.assert_array_equal(AvgPool2d(3, stride=(1, 2))(x), lo.nn.avg_pool2d(x, 3, stride=(1, 2)))
    assert Conv2d(3, 4, 1, bias=False).bias is None


def test_filters_begin_by_the_cells_that_they_see():
    w = Conv2d(40, 50, 3, rng=0).weight.data
    assert w.std() == pytest.approx(np.sqrt(2 / 360), rel=0.02)
    w = Conv2d(40, 50, 3, init="xavier", rng=0).weight.data
    assert np.abs(w).max() == pytest.approx(np.sqrt(6 / (360 + 450)), rel=1e-3)
    w = Conv2d(40, 50, (3, 1), init="uniform", rng=0).weight.data
    assert np.abs(w).max() == pytest.approx(1 / np.sqrt(120), rel=1e-3)


def test_batch_normalization_by_pytorch():
    """PyTorch 2.13, float64: two steps of training, then evaluation."""
    norm = BatchNorm1d(2)
    norm.weight.data, norm.bias.data = np.array([2.0, -1.0]), np.array([0.5, 0.0])
    x = np.array([[1.0, 2.0], [3.0, 6.0], [5.0, 4.0]])
    first = [[-1.949485150003, 1.224742575001], [0.5, -1.224742575001], [2.949485150003, 0.0]]
    np.testing.assert_allclose(norm(x).numpy(), first, atol=1e-11)
    norm(x * 2.0 - 1.0)
    np.testing.assert_allclose(norm.running_mean, [0.77, 1.06], rtol=1e-14)
    np.testing.assert_allclose(norm.running_var, [2.77, 2.77], rtol=1e-14)
    last = [
        [0.776386714445, -0.564790242562],
        [3.179749448754, -2.968152976871],
        [5.583112183062, -1.766471609717],
    ]
    np.testing.assert_allclose(norm.eval()(x).numpy(), last, rtol=1e-11)
    np.testing.assert_allclose(norm.running_mean, [0.77, 1.06], rtol=1e-14)  # evaluation moves nothing
    images = BatchNorm2d(2)
    y = images(np.arange(16.0).reshape(2, 2, 2, 2) ** 2 / 16).numpy()[1]
    expected = [[[0.354347204017, 0.719432202095], [1.127468376417, 1.578455726984]],
                [[0.459555880946, 0.774320182964], [1.114265629143, 1.479392219484]]]  # fmt: skip
    np.testing.assert_allclose(y, expected, rtol=1e-11)
    np.testing.assert_allclose(images.running_mean, [0.296875, 0.671875], rtol=1e-14)
    np.testing.assert_allclose(images.running_var, [1.867968750000, 3.716183035714], rtol=1e-11)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net)), None])
def test_running_statistics_travel_with_the_state(copied, rng, tmp_path):
    net = cnn()
    x = rng.standard_normal((5, 1, 4, 4))
    net(x)
    state = net.state_dict()
    assert {"1.running_mean", "1.running_var", "6.running_mean", "6.running_var"} < state.keys()
    if copied is None:
        twin = cnn()
        lo.save(tmp_path / "net.safetensors", model=net)
        lo.load(tmp_path / "net.safetensors", model=twin)
    else:
        twin = copied(net)
    np.testing.assert_array_equal(twin.eval()(x).numpy(), net.eval()(x).numpy())
    twin.train()(x)
    np.testing.assert_array_equal(net[1].running_mean, state["1.running_mean"])  # nothing is shared


@pytest.mark.parametrize("check", [True, False])
def test_compiled_as_the_engine_has_it(check, rng):
    net = cnn()
    batches = [(rng.standard_normal((6, 1, 4, 4)), rng.integers(0, 2, 6)) for _ in range(9)]
    buffers = [getattr(net[i], name) for i in (1, 6) for name in BatchNorm2d.buffers]

    def turn(i):
        (net.eval if i % 4 == 3 else net.train)()

    trains_alike(
        lambda x, y: lo.losses.cross_entropy(net(x), y),
        list(net.parameters()),
        batches,
        check=check,
        after=turn,
        before=lambda: turn(0),
        arrays=buffers,
    )


def test_a_whole_compiled_step_moves_the_buffers_and_loading_replaces_them(rng):
    ours, theirs = cnn(), cnn()
    x, y = rng.standard_normal((6, 1, 4, 4)), rng.integers(0, 2, 6)
    opt = lo.optim.SGD(ours, lr=0.1)
    step = lo.compile(
        lambda x, y: lo.losses.cross_entropy(theirs(x), y), optimizer=lo.optim.SGD(theirs, lr=0.1)
    )
    start = ours.state_dict()
    for i in range(6):
        if i == 3:
            ours.load_state_dict(start)
            theirs.load_state_dict(start)
        opt.zero_grad()
        lo.losses.cross_entropy(ours(x), y).backward()
        opt.step()
        step(x, y)
    for name, value in ours.state_dict().items():
        np.testing.assert_allclose(theirs.state_dict()[name], value, rtol=1e-9, atol=1e-12)


def test_float32_stays_float32(rng):
    net = cnn("float32")
    y = net(rng.standard_normal((5, 1, 4, 4)))  # float64 data
    assert y.dtype == np.float32
    y.sum().backward()
    assert {p.grad.dtype for p in net.parameters()} == {np.dtype("float32")}
    assert {array.dtype for array in net.state_dict().values()} == {np.dtype("float32")}
    assert net.eval()(rng.standard_normal((5, 1, 4, 4))).dtype == np.float32


def test_a_small_network_learns_bars(rng):
    y = np.arange(40) % 2
    x = rng.standard_normal((40, 1, 6, 6)) * 0.3
    x[y == 0, :, 2, :] += 1.0
    x[y == 1, :, :, 2] += 1.0
    net = Sequential(
        Conv2d(1, 4, 3, rng=0), BatchNorm2d(4), ReLU(), MaxPool2d(2), Flatten(), Linear(16, 2, rng=1)
    )
    step = lo.compile(lambda x, y: lo.losses.cross_entropy(net(x), y), optimizer=lo.optim.Adam(net, lr=0.02))
    for _ in range(40):
        step(x, y)
    assert (net.eval()(x).argmax(1) == y).mean() == 1.0


def test_as_text():
    assert (
        repr(Conv2d(3, 8, 5, stride=2, bias=False))
        == "Conv2d 3 -> 8, 5×5, stride=(2, 2), no bias: 600 parameters"
    )
    assert repr(BatchNorm2d(8)) == "BatchNorm2d 8: 16 parameters"
    assert repr(MaxPool2d((2, 3), stride=1)) == "MaxPool2d size=(2, 3), stride=1, padding=0"


IMAGES_WANTED = r"conv2d: x must be \(N, C, H, W\), got shape "


@pytest.mark.parametrize(
    ("layer", "shape", "words"),
    [
        (Conv2d(1, 8, 5), (9, 784), IMAGES_WANTED + r"\(9, 784\); if .* images, x.reshape\(9, 1, 28, 28\)$"),
        (Conv2d(3, 8, 5), (9, 48), IMAGES_WANTED + r"\(9, 48\); if .* images, x.reshape\(9, 3, 4, 4\)$"),
        (Conv2d(3, 8, 5), (9, 784), IMAGES_WANTED + r"\(9, 784\)$"),
        (Conv2d(1, 8, 5), (9, 28, 28), r"\(9, 28, 28\); add the axis of channels: x\[:, None\]$"),
        (Conv2d(3, 8, 5), (3, 28, 28), r"\(3, 28, 28\); add the axis of the batch: x\[None\]$"),
        (Conv2d(3, 8, 5), (9, 28, 28), IMAGES_WANTED + r"\(9, 28, 28\)$"),
        (Conv2d(3, 8, 5), (9, 28, 28, 3), r"expect 3 .*np.moveaxis\(x, -1, 1\)"),
        (Conv2d(3, 8, 5), (9, 1, 28, 28), r"conv2d: x has 1 channels \(shape \(9, 1, 28, 28\)\) .* expect 3"),
        (Conv2d(3, 8, 5), (), IMAGES_WANTED + r"\(\)$"),
        (BatchNorm2d(3), (9, 3), r"^BatchNorm2d: x must be \(N, 3, H, W\), got shape \(9, 3\)$"),
        (BatchNorm2d(3), (9, 4, 5, 5), r"^BatchNorm2d: x must be \(N, 3, H, W\), got shape \(9, 4, 5, 5\)$"),
        (BatchNorm1d(3), (9, 3, 4, 4), r"^BatchNorm1d: x must be \(N, 3, L\) or \(N, 3\), got shape .* 4\)$"),
        (MaxPool2d(2), (9, 28, 28), r"the axis of the batch: x\[None\], or of channels: x\[:, None\]$"),
        (MaxPool2d(2), (9, 0), r"got shape \(9, 0\)$"),
    ],
)
def test_another_layout_is_answered_with_what_makes_it_one(layer, shape, words):
    with pytest.raises(ShapeError, match=words):
        layer(np.ones(shape))


def test_a_refusal_names_the_place():
    net = Sequential(Conv2d(1, 2, 3), Conv2d(3, 2, 3))
    with pytest.raises(ShapeError, match=r"conv2d: x has 2 channels .*expect 3 (.|\n)*in 1.Conv2d$"):
        net(np.ones((2, 1, 9, 9)))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Conv2d(0, 1, 3), "Conv2d: inputs must be an int >= 1, got 0"),
        (lambda: Conv2d(1, 1.0, 3), "Conv2d: outputs must be an int >= 1, got 1.0"),
        (lambda: Conv2d(1, 1, (3, 0)), r"Conv2d: size must be an int >= 1, or two .* got \(3, 0\)"),
        (
            lambda: Conv2d(1, 1, 3, padding="valid"),
            "Conv2d: padding must be an int >= 0, .* or 'same', got 'valid'",
        ),
        (
            lambda: Conv2d(1, 1, 3, padding="same", stride=2),
            r"Conv2d: padding='same' is for stride 1, got \(2, 2\)",
        ),
        (lambda: Conv2d(1, 1, 3, bias=0), "Conv2d: bias must be True or False"),
        (lambda: Conv2d(1, 1, 3, dtype=int), "Conv2d: dtype must be"),
        (lambda: Conv2d(1, 1, 3, kernel_size=3), "did you mean 'size'"),
        (lambda: MaxPool2d(0), "MaxPool2d: size must be an int >= 1, .* got 0"),
        (lambda: MaxPool2d(None), "MaxPool2d: size must be"),
        (lambda: AvgPool2d(2, stride=0), "AvgPool2d: stride must be an int >= 1"),
        (lambda: AvgPool2d(2, padding=-1), "AvgPool2d: padding must be an int >= 0"),
        (lambda: BatchNorm1d(0), "BatchNorm1d: features must be an int >= 1, got 0"),
        (lambda: BatchNorm2d(2, momentum=2.0), "BatchNorm2d: momentum must"),
        (lambda: BatchNorm2d(2, eps=0.0), "BatchNorm2d: eps must"),
        (lambda: BatchNorm2d(2, dtype="int64"), "BatchNorm2d: dtype must be"),
    ],
)
def test_impossible_options(make, words):
    with pytest.raises(OptionError, match=words):
        make()
