"""Dropout, batch normalization, convolution, pooling: numbers by hand, gradients, refusals, peers."""

import itertools

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo import nn

IMAGES = np.random.default_rng(1).standard_normal((2, 3, 7, 6))
FILTERS = np.random.default_rng(2).standard_normal((4, 3, 3, 2))
BIAS = np.array([0.5, -1.0, 2.0, 0.0])

CONVOLUTIONS = [
    {"stride": stride, "padding": padding, "dilation": dilation}
    for stride, padding, dilation in itertools.product((1, 2, (3, 1)), (0, 1, (2, 0), (1, 3)), (1, 2, (1, 3)))
]
FEW_PLACES = {"stride": (4, 5)}  # fewer than filters: the images are multiplied in one go
CONVOLUTIONS += [FEW_PLACES, {"padding": "same"}, {"padding": "same", "dilation": (1, 3)}]
POOLS = [
    {"size": 2}, {"size": 3}, {"size": (3, 2)}, {"size": 3, "stride": 1}, {"size": 2, "stride": 3},
    {"size": (3, 2), "stride": (1, 2)}, {"size": 3, "padding": 1}, {"size": 3, "stride": 2, "padding": 1},
    {"size": (4, 3), "stride": (1, 2), "padding": (2, 1)}, {"size": (7, 6)}, {"size": 1},
]  # fmt: skip


def pairs(value):
    return value if isinstance(value, tuple) else (value, value)


# ---------------------------------------------------------------------------------------- dropout


def test_dropout_throws_away_p_and_scales_the_rest():
    x = np.ones(100_000)
    for p in (0.1, 0.5, 0.9):
        y = nn.dropout(x, p, rng=1)
        assert set(np.unique(y)) == {0.0, 1.0 / (1.0 - p)}
        assert np.mean(y == 0.0) == pytest.approx(p, abs=0.005)
        assert y.mean() == pytest.approx(1.0, abs=0.02)


def test_dropout_passes_the_gradient_where_it_passed_the_value():
    x = lo.Parameter(np.full((4, 5), 3.0))
    y = nn.dropout(x, 0.5)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad * 3.0, y.numpy())
    assert set(np.unique(x.grad)) == {0.0, 2.0}


def test_the_ends_of_dropout():
    x = lo.Parameter([1.0, 2.0])
    assert nn.dropout(x, 0.5, training=False) is x
    assert nn.dropout(x, 0) is x
    y = nn.dropout(x, 1.0)
    y.sum().backward()
    assert y.numpy().tolist() == x.grad.tolist() == [0.0, 0.0]
    assert type(nn.dropout(x.data, 0.5)) is np.ndarray


def test_dropout_repeats_with_a_seed():
    x = np.ones(50)
    lo.seed(3)
    first = nn.dropout(x, 0.5)
    lo.seed(3)
    np.testing.assert_array_equal(nn.dropout(x, 0.5), first)
    assert (nn.dropout(x, 0.5) != first).any()
    np.testing.assert_array_equal(nn.dropout(x, 0.5, rng=3), first)
    np.testing.assert_array_equal(nn.dropout(x, 0.5, rng=np.random.default_rng(3)), first)
    np.testing.assert_array_equal(nn.dropout(x.astype(np.float32), 0.5, rng=3), first)


# ------------------------------------------------------------------------------------- batch_norm


def statistics(channels=3, dtype=float):
    means = np.linspace(-1.0, 1.0, channels).astype(dtype)
    return {"running_mean": means, "running_var": np.linspace(0.5, 2.0, channels).astype(dtype)}


@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 2), (2, 3, 4, 5)])
def test_batch_norm_centers_and_scales_every_channel(shape, rng):
    axes = (0, *range(2, len(shape)))
    y = nn.batch_norm(5.0 + 3.0 * rng.standard_normal(shape), eps=1e-12)
    np.testing.assert_allclose(y.mean(axes), 0.0, atol=1e-12)
    np.testing.assert_allclose(y.var(axes), 1.0, rtol=1e-9)
    z = nn.batch_norm(y, np.array([2.0, 3.0, 4.0]), np.array([1.0, 0.0, -1.0]), eps=1e-12)
    np.testing.assert_allclose(z.mean(axes), [1.0, 0.0, -1.0], atol=1e-12)
    np.testing.assert_allclose(z.std(axes), [2.0, 3.0, 4.0], rtol=1e-9)


def test_running_statistics_are_updated_in_place_and_used_afterwards():
    means, variances = np.zeros(1), np.ones(1)
    x = np.array([[1.0], [2.0], [6.0]])  # mean 3, sum of squares 14: variance 14/2 without bias
    running = {"running_mean": means, "running_var": variances}
    nn.batch_norm(x, **running)
    assert means[0] == pytest.approx(0.3)
    assert variances[0] == pytest.approx(0.9 + 0.7)
    nn.batch_norm(x, momentum=1.0, **running)
    assert means[0] == 3.0
    assert variances[0] == 7.0
    before = x.copy()
    y = nn.batch_norm(x, training=False, eps=2.0, **running)
    np.testing.assert_allclose(y, (x - 3.0) / 3.0, rtol=1e-15)
    assert (means[0], variances[0]) == (3.0, 7.0)
    np.testing.assert_array_equal(x, before)


def test_a_graph_keeps_the_statistics_that_it_was_made_with(rng):
    running = statistics()
    x = lo.Parameter(rng.standard_normal((5, 3)))
    slope = 1.0 / np.sqrt(running["running_var"] + 1e-5)
    with lo.anomaly():  # which raises when an array that was recorded has changed
        y = nn.batch_norm(x, training=False, **running)
        nn.batch_norm(x, **running)
        y.sum().backward()
    np.testing.assert_allclose(x.grad, np.broadcast_to(slope, (5, 3)), rtol=1e-15)


def test_a_constant_channel_gives_the_bias_and_no_gradient():
    x = lo.Parameter(np.full((4, 2), 7.0))
    y = nn.batch_norm(x, bias=[1.0, 2.0])
    y.sum().backward()
    np.testing.assert_array_equal(y.numpy(), np.tile([1.0, 2.0], (4, 1)))
    np.testing.assert_array_equal(x.grad, 0.0)


@pytest.mark.parametrize("shape", [(4, 2), (3, 2, 2), (2, 2, 1, 2)])
@pytest.mark.parametrize("training", [True, False])
def test_derivatives_of_batch_norm(shape, training, rng):
    x, weight, bias = rng.standard_normal(shape), rng.uniform(0.5, 2.0, 2), rng.standard_normal(2)
    factors = rng.standard_normal(shape)

    def loss(x, weight, bias):
        running = {} if training else statistics(2)
        return (factors * nn.batch_norm(x, weight, bias, training=training, **running) ** 2).sum()

    lo.gradcheck(loss, x, weight, bias, order=2).raise_if_failed()


# ------------------------------------------------------------------------------------- convolution


def slow_conv(x, weight, bias, stride=1, padding=0, dilation=1):
    """The sum of the docstring, one number at a time."""
    (sy, sx), (dy, dx), (kh, kw) = pairs(stride), pairs(dilation), weight.shape[2:]
    if padding == "same":
        halves = [(n // 2, n - n // 2) for n in (dy * (kh - 1), dx * (kw - 1))]
    else:
        halves = [(n, n) for n in pairs(padding)]
    x = np.pad(x, ((0, 0), (0, 0), *halves))
    oh = (x.shape[2] - dy * (kh - 1) - 1) // sy + 1
    ow = (x.shape[3] - dx * (kw - 1) - 1) // sx + 1
    y = np.empty((len(x), len(weight), oh, ow))
    for n, o, i, j in np.ndindex(y.shape):
        window = x[n, :, i * sy : i * sy + dy * kh : dy, j * sx : j * sx + dx * kw : dx][:, :kh, :kw]
        y[n, o, i, j] = bias[o] + (weight[o] * window).sum()
    return y


def slow_pool(x, reduce, border, size, stride=None, padding=0):
    (kh, kw), (py, px) = pairs(size), pairs(padding)
    sy, sx = pairs(size if stride is None else stride)
    x = np.pad(x, ((0, 0), (0, 0), (py, py), (px, px)), constant_values=border)
    rows, columns = range(0, x.shape[2] - kh + 1, sy), range(0, x.shape[3] - kw + 1, sx)
    return np.stack(
        [np.stack([reduce(x[:, :, i : i + kh, j : j + kw], (2, 3)) for j in columns], -1) for i in rows], -2
    )


def test_convolution_by_hand():
    x = np.arange(9.0).reshape(1, 1, 3, 3)
    edge = np.array([[[[1.0, -1.0]]]])
    assert nn.conv2d(x, edge)[0, 0].tolist() == [[-1, -1], [-1, -1], [-1, -1]]
    assert nn.conv2d(x, edge, [2.0], stride=2)[0, 0].tolist() == [[1], [1]]
    assert nn.conv2d(x, edge, dilation=(1, 2))[0, 0].tolist() == [[-2], [-2], [-2]]
    assert nn.conv2d(x, edge, padding=(0, 1))[0, 0, 0].tolist() == [0, -1, -1, 2]


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
def test_convolution_with_every_option(options):
    expected = slow_conv(IMAGES, FILTERS, BIAS, **options)
    plain = nn.conv2d(IMAGES, FILTERS, BIAS, **options)
    assert type(plain) is np.ndarray
    np.testing.assert_allclose(plain, expected, rtol=1e-12, atol=1e-13)
    without = nn.conv2d(IMAGES, FILTERS, **options)
    np.testing.assert_allclose(without, expected - BIAS[:, None, None], rtol=1e-12, atol=1e-13)
    out = nn.conv2d(lo.Parameter(IMAGES), lo.Parameter(FILTERS), lo.Parameter(BIAS), **options)
    np.testing.assert_array_equal(out.numpy(), plain)
    for x, w in ((lo.Tensor(IMAGES), FILTERS), (IMAGES, lo.Parameter(FILTERS))):
        mixed = nn.conv2d(x, w, BIAS, **options)
        assert type(mixed) is lo.Tensor
        np.testing.assert_array_equal(mixed.numpy(), plain)


@pytest.mark.parametrize("options", [*CONVOLUTIONS[:36:7], *CONVOLUTIONS[36:]], ids=str)
def test_derivatives_of_convolution(options, rng):
    x, w, b = rng.standard_normal((2, 2, 4, 5)), rng.standard_normal((2, 2, 2, 2)), rng.standard_normal(2)
    lo.gradcheck(
        lambda x, w, b: (nn.conv2d(x, w, b, **options) ** 2).sum(), x, w, b, order=2
    ).raise_if_failed()


def test_a_convolution_is_one_matrix_product_in_one_scope():
    out = nn.conv2d(lo.Parameter(IMAGES), lo.Parameter(FILTERS), BIAS, padding=1)
    text = lo.tree(out)
    assert "‹conv2d›" in text
    assert "columns" in text
    assert text.count(" @ ") == 1


def test_no_images_give_no_results():
    assert nn.conv2d(IMAGES[:0], FILTERS, BIAS).shape == (0, 4, 5, 5)
    assert nn.max_pool2d(IMAGES[:0], 2).shape == nn.avg_pool2d(IMAGES[:0], 2).shape == (0, 3, 3, 3)


# ----------------------------------------------------------------------------------------- pooling


@pytest.mark.parametrize("options", POOLS, ids=str)
def test_pooling_with_every_option(options):
    for f, reduce, border in ((nn.max_pool2d, np.max, -np.inf), (nn.avg_pool2d, np.mean, 0.0)):
        plain = f(IMAGES, **options)
        assert type(plain) is np.ndarray
        np.testing.assert_allclose(plain, slow_pool(IMAGES, reduce, border, **options), rtol=1e-13)
        np.testing.assert_array_equal(f(lo.Parameter(IMAGES), **options).numpy(), plain)
        lo.gradcheck(lambda x, f=f: (f(x, **options) ** 2).sum(), IMAGES[:1, :1], order=2).raise_if_failed()


def test_tied_cells_share_the_gradient():
    x = lo.Parameter(np.array([[[[1.0, 1.0], [1.0, 0.0]]]]))
    nn.max_pool2d(x, 2).sum().backward()
    np.testing.assert_allclose(x.grad[0, 0], [[1 / 3, 1 / 3], [1 / 3, 0.0]])


def test_padding_never_wins():
    x = lo.Parameter(np.full((1, 1, 2, 2), -5.0))
    with lo.anomaly():
        y = nn.max_pool2d(x, 2, stride=1, padding=1)
        y.sum().backward()
    assert (y.numpy() == -5.0).all()
    assert x.grad.sum() == y.size


# --------------------------------------------------------------------------------- dtypes, refusals

LAYERS = {
    "dropout": lambda x, w, b: nn.dropout(x, 0.5),
    "batch_norm": lambda x, w, b: nn.batch_norm(x, b[:3], b[:3], **statistics()),
    "batch_norm, used": lambda x, w, b: nn.batch_norm(x, b[:3], training=False, **statistics()),
    "conv2d": lambda x, w, b: nn.conv2d(x, w, b, padding=1),
    "max_pool2d": lambda x, w, b: nn.max_pool2d(x, 2, padding=1),
    "avg_pool2d": lambda x, w, b: nn.avg_pool2d(x, 2, padding=1),
}


@pytest.mark.parametrize("name", LAYERS)
def test_float32_stays_and_inputs_are_never_written(name):
    arrays = [a.astype(np.float32) for a in (IMAGES, FILTERS, BIAS)]
    for a in arrays:
        a.flags.writeable = False
    assert LAYERS[name](*arrays).dtype == np.float32
    x, w, b = map(lo.Parameter, arrays)
    out = LAYERS[name](x, w, b)
    out.sum().backward()
    assert out.dtype == x.grad.dtype == np.float32
    assert LAYERS[name](x, FILTERS, BIAS).dtype == np.float32
    if name == "conv2d":
        assert LAYERS[name](IMAGES, w, BIAS).dtype == np.float32
        assert LAYERS[name](arrays[0], FILTERS, BIAS).dtype == np.float32
    assert f"‹{name.split(',')[0]}›" in lo.tree(out)


@pytest.mark.parametrize("name", LAYERS)
def test_integers_are_numbers_too(name):
    x = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4)
    lo.seed(0)
    expected = LAYERS[name](x.astype(float), FILTERS, BIAS)
    lo.seed(0)
    np.testing.assert_array_equal(LAYERS[name](x, FILTERS, BIAS), expected)


def norm(shape=(4, 3), **options):
    return lambda: nn.batch_norm(np.ones(shape), **options)


def frozen(n):
    array = np.ones(n)
    array.flags.writeable = False
    return array


REFUSALS = [
    (lambda: nn.dropout(BIAS, 1.5), "OptionError", r"dropout: p must be in \[0, 1\], got 1.5"),
    (lambda: nn.dropout(BIAS, -0.1), "OptionError", "got -0.1"),
    (lambda: nn.dropout(BIAS, np.nan), "OptionError", "got nan"),
    (lambda: nn.dropout(BIAS, 0.5, rng="x"), "OptionError", "rng must be"),
    (norm((3,)), "ShapeError", r"batch_norm: x must be \(N, C\) or \(N, C, ...\), got shape \(3,\)"),
    (norm((1, 3)), "ShapeError", r"more than one value per channel, got 1 \(shape \(1, 3\)\)"),
    (norm((0, 3)), "ShapeError", "got 0"),
    (norm(weight=np.ones(4)), "ShapeError", r"weight must have shape \(3,\), .* got \(4,\)"),
    (norm(bias=np.ones((3, 1))), "ShapeError", r"bias must have shape \(3,\)"),
    (norm(momentum=None), "OptionError", r"momentum must be in \[0, 1\], got None"),
    (norm(momentum=2.0), "OptionError", "momentum"),
    (norm(eps=0.0), "OptionError", "eps must be finite and > 0, got 0.0"),
    (norm(training=False), "OptionError", "training=False needs running_mean and running_var"),
    (norm(running_mean=np.ones(3)), "OptionError", "running_var is missing"),
    (norm(running_var=np.ones(3)), "OptionError", "running_mean is missing"),
    (norm(running_mean=[1.0] * 3, running_var=np.ones(3)), "DTypeError", "NumPy array .* got list"),
    (norm(running_mean=np.ones(3, int), running_var=np.ones(3)), "DTypeError", f"array of {np.dtype(int)}"),
    (norm(running_mean=np.ones(3), running_var=lo.Tensor(np.ones(3))), "DTypeError", "got Tensor"),
    (norm(running_mean=np.ones(2), running_var=np.ones(3)), "ShapeError", "running_mean must have shape"),
    (norm(running_mean=np.ones(3), running_var=frozen(3)), "DTypeError", "running_var is read-only"),
    (norm(running_mean=np.ones(3), running_var=np.array([1.0, -2.0, 1.0]), training=False), "DomainError",
     r"running_var\[1\] is -2"),
    (lambda: nn.conv2d(IMAGES[0], FILTERS), "ShapeError",
     r"conv2d: x must be \(N, C, H, W\), got shape \(3, 7, 6\); .* x\[None\]"),
    (lambda: nn.conv2d(IMAGES, FILTERS[0]), "ShapeError", r"weight must be \(O, C, kh, kw\), got"),
    (lambda: nn.conv2d(IMAGES[:, :2], FILTERS), "ShapeError", "x has 2 channels .* filters expect 3"),
    (lambda: nn.conv2d(np.moveaxis(IMAGES, 1, -1), FILTERS), "ShapeError", r"np\.moveaxis\(x, -1, 1\)$"),
    (lambda: nn.conv2d(IMAGES, FILTERS, BIAS[:3]), "ShapeError", r"bias must have shape \(4,\)"),
    (lambda: nn.conv2d(IMAGES, FILTERS, BIAS[:, None]), "ShapeError", "bias must have shape"),
    (lambda: nn.conv2d(IMAGES[:, :, :2], FILTERS), "ShapeError", "of 3×2 is larger than the input of 2×6"),
    (lambda: nn.conv2d(IMAGES, FILTERS, dilation=9, padding=1), "ShapeError",
     r"3×2 \(with dilation \(9, 9\): 19×10\) is larger .* 7×6 with padding \(1, 1\)"),
    (lambda: nn.conv2d(IMAGES, FILTERS[:, :, :0]), "ShapeError", "at least one cell"),
    (lambda: nn.conv2d(IMAGES, FILTERS, stride=0), "OptionError", "stride must be an int >= 1, .* got 0"),
    (lambda: nn.conv2d(IMAGES, FILTERS, stride=1.0), "OptionError", "got 1.0"),
    (lambda: nn.conv2d(IMAGES, FILTERS, padding=-1), "OptionError", "padding must be an int >= 0"),
    (lambda: nn.conv2d(IMAGES, FILTERS, padding="valid"), "OptionError", "or 'same', got 'valid'"),
    (lambda: nn.conv2d(IMAGES, FILTERS, padding="same", stride=2), "OptionError", "'same' is for stride 1"),
    (lambda: nn.conv2d(IMAGES, FILTERS, stride="same"), "OptionError", "stride .*width\\), got 'same'"),
    (lambda: nn.conv2d(IMAGES[0, 0], FILTERS), "ShapeError", r"got shape \(7, 6\)$"),
    (lambda: nn.conv2d(IMAGES, FILTERS, dilation=(1, 2, 3)), "OptionError", r"dilation .* got \(1, 2, 3\)"),
    (lambda: nn.conv2d(IMAGES, FILTERS, dilation=True), "OptionError", "got True"),
    (lambda: nn.max_pool2d(IMAGES[0], 2), "ShapeError", "max_pool2d: x must be"),
    (lambda: nn.max_pool2d(IMAGES, 8), "ShapeError", "window of 8×8 is larger than the input of 7×6"),
    (lambda: nn.max_pool2d(IMAGES, 0), "OptionError", "max_pool2d: size must be an int >= 1"),
    (lambda: nn.avg_pool2d(IMAGES, 2, stride=(1, 0)), "OptionError", "avg_pool2d: stride must be"),
    (lambda: nn.avg_pool2d(IMAGES, 3, padding=2), "OptionError", "padding 2 is more than half .* size 3"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "words"), REFUSALS, ids=[words for *_, words in REFUSALS])
def test_refusals(call, error, words):
    with pytest.raises(getattr(lo.errors, error), match=words):
        call()


def test_a_refusal_leaves_the_running_statistics_alone():
    running = statistics()
    with pytest.raises(lo.errors.ShapeError):
        nn.batch_norm(np.ones((4, 3)), np.ones(2), **running)
    np.testing.assert_array_equal(running["running_mean"], statistics()["running_mean"])


def test_lazy_arrays_stay_lazy_or_are_refused():
    da = pytest.importorskip("dask.array", reason="needs Dask (extra dask)")
    x = da.from_array(IMAGES, chunks=(1, 3, 7, 6))
    for call in (lambda: nn.conv2d(x, FILTERS), lambda: nn.max_pool2d(x, 2), lambda: nn.avg_pool2d(x, 2),
                 lambda: nn.batch_norm(x, **statistics())):  # fmt: skip
        with pytest.raises(lo.errors.UnsupportedError, match="lazy array"):
            call()
    for f in (nn.batch_norm, nn.softmax, nn.elu, nn.relu6, nn.leaky_relu, nn.softminus):
        lazy = f(x)
        assert isinstance(lazy, da.Array), f
        np.testing.assert_allclose(lazy.compute(), f(IMAGES), rtol=1e-12)
    assert isinstance(nn.dropout(x, 0.5), da.Array)


# ------------------------------------------------------------------------------------------- peers


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="compares with PyTorch (extra peers)")


def agree(torch, ours, theirs, *arrays):
    """One function of ours and of PyTorch: value, and gradients by every input, to 1e-10."""
    mine = [lo.Parameter(a) for a in arrays]
    others = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, z = ours(*mine), theirs(*others)
    g = np.random.default_rng(5).standard_normal(y.shape)
    y.backward(g)
    z.backward(torch.tensor(g))
    np.testing.assert_allclose(y.numpy(), z.detach().numpy(), rtol=1e-10, atol=1e-12)
    for a, t in zip(mine, others, strict=True):
        np.testing.assert_allclose(a.grad, t.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.peers
@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
def test_convolution_is_pytorchs(torch, options):
    def theirs(x, w, b):
        return torch.nn.functional.conv2d(x, w, b, **options)

    filters = FILTERS[..., :1] if "same" in options.values() else FILTERS  # it warns of even windows
    agree(torch, lambda x, w, b: nn.conv2d(x, w, b, **options), theirs, IMAGES, filters, BIAS)


@pytest.mark.peers
@pytest.mark.parametrize("options", POOLS, ids=str)
@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
def test_pooling_is_pytorchs(torch, name, options):
    size, rest = options["size"], {k: v for k, v in options.items() if k != "size"}
    theirs = getattr(torch.nn.functional, name)
    agree(torch, lambda x: getattr(nn, name)(x, **options), lambda x: theirs(x, size, **rest), IMAGES)


@pytest.mark.peers
@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 2), (2, 3, 4, 5)])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("momentum", [0.1, 0.7])
def test_batch_norm_is_pytorchs(torch, shape, training, momentum, rng):
    mine, x = statistics(), 2.0 + 3.0 * rng.standard_normal(shape)
    means, variances = (torch.tensor(a.copy()) for a in mine.values())
    options = {"training": training, "momentum": momentum}

    def theirs(x, w, b):
        return torch.nn.functional.batch_norm(x, means, variances, w, b, eps=1e-5, **options)

    def ours(x, w, b):
        return nn.batch_norm(x, w, b, **mine, **options)

    agree(torch, ours, theirs, x, rng.uniform(0.5, 2.0, 3), rng.standard_normal(3))
    np.testing.assert_allclose(mine["running_mean"], means.numpy(), rtol=1e-12)
    np.testing.assert_allclose(mine["running_var"], variances.numpy(), rtol=1e-12)
