"""A compiled function never answers stale: arguments, parameters, shapes, dtypes, branches."""

import itertools

import numpy as np
import pytest
from twins import agree, compiled_once, eager

import tinygrad_lo as lo

CHECKS = pytest.mark.parametrize("check", [True, False])


@pytest.fixture
def W(rng):
    return lo.Parameter(rng.standard_normal((3, 2)), name="W")


@pytest.fixture
def b(rng):
    return lo.Parameter(rng.standard_normal(2), name="b")


# ----------------------------------------------------------------------------------- parameters


def test_parameters_are_read_afresh(W, b, rng):
    def f(x):
        return np.tanh(x @ W + b).sum()

    c = lo.compile(f, check=False)
    x = rng.standard_normal((4, 3))
    agree(c, f, [W, b], x)
    W.data = rng.standard_normal((3, 2))
    agree(c, f, [W, b], x)
    W.data -= 0.5
    agree(c, f, [W, b], x)
    W.data[0] = 7.0
    agree(c, f, [W, b], x)
    b.data = np.zeros(2)
    agree(c, f, [W, b], x)
    W.data = np.asfortranarray(rng.standard_normal((3, 2)))
    agree(c, f, [W, b], x)


def test_scalar_parameters_are_read_afresh():
    p, q = lo.Parameter(2.0), lo.Parameter(-1.0)

    def f():
        return (p * q + 1.0) ** 2

    c = lo.compile(f, check=False)
    for _ in range(5):
        agree(c, f, [p, q])
        p.data -= 0.25
        q.data = q.data * 3.0


@pytest.mark.parametrize("make", [lo.optim.SGD, lo.optim.Adam, lo.optim.RMSprop])
def test_parameters_that_an_optimizer_moves(make, W, b, rng):
    x = rng.standard_normal((4, 3))
    optimizer = make([W, b], lr=0.1)

    def f():
        return ((x @ W + b) ** 2).mean()

    c = lo.compile(f, check=False)
    for _ in range(5):
        agree(c, f, [W, b])
        optimizer.step()


def test_parameters_that_are_frozen_and_thawed(W, b, rng):
    x = rng.standard_normal((4, 3))

    def f():
        return np.exp(x @ W * 0.1 + b).sum()

    c = lo.compile(f, check=False)
    for w_needs, b_needs in [(True, True), (False, True), (True, False), (True, True), (False, True)]:
        W.requires_grad, b.requires_grad = w_needs, b_needs
        agree(c, f, [W, b])
        W.data = W.data * 0.9


def test_another_parameter_of_the_same_name(rng):
    p = lo.Parameter(rng.standard_normal(3))

    def f():
        return (p * p).sum()

    c = lo.compile(f, check=False)
    agree(c, f, [p])
    p = lo.Parameter(rng.standard_normal(3))
    agree(c, f, [p])


# ------------------------------------------------------------------------------------ arguments


def test_data_and_labels(W, b, rng):
    def f(x, y):
        return lo.losses.cross_entropy(x @ W + b, y)

    c = lo.compile(f, check=False)
    for _ in range(4):
        agree(c, f, [W, b], rng.standard_normal((4, 3)), rng.integers(0, 2, 4))
    for kind in (np.int8, np.uint8, np.int32, np.uint64):
        agree(c, f, [W, b], rng.standard_normal((4, 3)), rng.integers(0, 2, 4).astype(kind))


@CHECKS
@pytest.mark.parametrize("bad", [2, -1])
def test_labels_out_of_range_on_a_later_call(W, b, rng, check, bad):
    c = lo.compile(lambda x, y: lo.losses.cross_entropy(x @ W + b, y), check=check)
    x, y = rng.standard_normal((4, 3)), np.array([0, 1, 1, 0])
    for _ in range(4):
        c(x, y)
        W.grad = None
        with pytest.raises(lo.errors.LabelError, match=rf"label {bad} at row 2"):
            c(x, np.array([0, 1, bad, 0]))
        assert W.grad is None


def test_targets_outside_of_their_domain_on_a_later_call(b):
    c = lo.compile(lambda y: lo.losses.binary_cross_entropy_with_logits(b, y))
    c(np.array([0.0, 1.0]))
    with pytest.raises(lo.errors.DomainError):
        c(np.array([0.0, 1.5]))
    c = lo.compile(lambda y: lo.losses.hinge(b, y))
    c(np.array([-1.0, 1.0]))
    with pytest.raises(lo.errors.LabelError):
        c(np.array([0.0, 1.0]))


def test_shapes_dtypes_and_layouts(W, b, rng):
    def f(x):
        return (np.tanh(x @ W) * b).sum()

    c = lo.compile(f)
    for rows in (1, 2, 7, 4, 1):
        agree(c, f, [W, b], rng.standard_normal((rows, 3)), rtol=1e-11)
    x = rng.standard_normal((8, 6))
    for view in (x[::2, ::2], x[::-2, :3], np.asfortranarray(x[:4, :3]), x.T[:4, 1:4]):
        agree(c, f, [W, b], view)
    for kind in (np.float64, np.float32, np.float64, np.float16, int, bool):
        agree(c, f, [W, b], (x[:4, :3] * 2).astype(kind), calls=3, rtol=1e-6)


@pytest.mark.parametrize("data_kind", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_dtypes_of_parameters_and_of_data(rng, kind, data_kind):
    """The gradient has the dtype of its parameter, whatever arrives there, also when a call checks itself."""
    w = lo.Parameter(rng.standard_normal((3, 2)).astype(kind))
    s = lo.Parameter(kind(0.5))

    def f(x):
        return (np.tanh(x @ w) * s).sum()

    agree(lo.compile(f), f, [w, s], rng.standard_normal((4, 3)).astype(data_kind), calls=5, rtol=1e-5)


NUMBERS = [
    1, 1.0, True, 2, np.float32(2), 2.0, np.float64(2), np.int64(2), -0.0, 0.0, float("nan"), 1e300, np.inf,
    np.array(3.0), np.array(3.0, np.float32), np.float16(3), lo.Tensor(4.0), lo.Tensor(5.0),
]  # fmt: skip


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_numbers_as_arguments(rng, kind):
    """A Python number leaves float32 what it is, np.float64 does not; -0.0 is not 0.0."""
    w = lo.Parameter(rng.standard_normal(3).astype(kind))

    def f(number):
        return (w * number + 1.0 / (w * number)).sum() * number

    c = lo.compile(f, check=False)
    with np.errstate(all="ignore"):
        for number in [*NUMBERS, *NUMBERS[::-1]]:
            expected = f(number)
            agree(c, f, [w], number, rtol=1e-6)
            assert c(number).dtype == expected.dtype


def test_a_sign_of_zero_is_seen():
    p = lo.Parameter(2.0)
    c = lo.compile(lambda zero: p / (p * zero), check=False)
    with np.errstate(all="ignore"):
        assert [float(c(zero)) for zero in (0.0, -0.0, 0.0)] == [np.inf, -np.inf, np.inf]


def test_tensors_and_parameters_as_arguments(W, b, rng):
    def f(u, v):
        return (u * b).sum() * (v * v * b).sum()

    c = lo.compile(f, check=False)
    p, q, t = (
        lo.Parameter(rng.standard_normal(2)),
        lo.Parameter(rng.standard_normal(2)),
        lo.Tensor([1.0, 2.0]),
    )
    x, other = rng.standard_normal(2), lo.Tensor([3.0, 5.0])
    pairs = [
        (x, x), (x, x + 1.0), (x + 1.0, x), (t, t), (t, other), (other, t), (p, x), (p, q), (q, p), (p, p),
        (b, x), (x, b), (b, b), (t, x), (p, t), (x, x),
    ]  # fmt: skip
    for u, v in [*pairs, *pairs[::-1]]:
        agree(c, f, [b, p, q], u, v)
        t.data = t.data + 1.0


def test_a_tensor_given_twice_and_then_two():
    b, t = lo.Parameter([1.0, 2.0]), lo.Tensor([3.0, 4.0])

    def f(u, v):
        return (u * b).sum() - (v * v * b).sum()

    c = lo.compile(f, check=False)
    agree(c, f, [b], t, t)
    agree(c, f, [b], t, lo.Tensor([5.0, 6.0]))
    agree(c, f, [b], lo.Tensor([7.0, 8.0]), t)


def test_lists_as_arguments(b):
    def f(x, options):
        return (x * b).sum() * options["scale"]

    c = lo.compile(f, check=False)
    x, options = [1.0, 2.0], {"scale": 3.0}
    agree(c, f, [b], x, options)
    x[0] = 5.0
    agree(c, f, [b], x, options)
    options["scale"] = -1
    agree(c, f, [b], x, options)


# ------------------------------------------------------------------------------------- branches


@CHECKS
def test_branches_taken_on_values(W, b, rng, check):
    def f(x):
        h = x @ W
        if h.sum() > 0:
            return (h * h).sum()
        while (h * h).sum() > 20.0:
            h = h * 0.5
        if np.any(h > 1.0) and not np.all(np.isfinite(h * b)):
            return h.mean()
        return np.tanh(h + b).sum() if h[0, 0] < 0.5 else -h.sum() * b[0]

    c = lo.compile(f, check=check)
    for scale in rng.choice([0.3, 1.0, 5.0], 60):
        agree(c, f, [W, b], rng.standard_normal((4, 3)) * scale, rtol=1e-10)


def test_branches_there_and_back():
    p = lo.Parameter(2.0)
    runs = itertools.count()

    def f(x):
        next(runs)
        return p * x if p * x > 1.0 else p * p * x

    c = lo.compile(f, check=False)
    for x in (1.0, 0.1, 1.0, 0.1, 2.0, 0.2):
        value, (g,) = compiled_once(c, [p], np.float64(x))
        assert (value, g) == ((2.0 * x, x) if 2.0 * x > 1.0 else (4.0 * x, 4.0 * x))
    assert next(runs) == 2


def test_comparisons_that_nan_answers():
    p = lo.Parameter(1.0)

    def f(x):
        return p * 2.0 if x * p > 0 else p * 3.0 if x * p <= 0 else p * 5.0

    c = lo.compile(f, check=False)
    for x in (1.0, np.nan, -1.0, np.nan, 1.0):
        agree(c, f, [p], np.float64(x))


@CHECKS
def test_choices_of_positions(W, b, rng, check):
    """argmax, argsort and comparisons inside f follow the data."""

    def f(x):
        h = x @ W
        best = h[np.argmax(x[:, 0])]
        return (
            (best * b).sum()
            + (h[np.argsort(x[:, 1])] * np.arange(8.0).reshape(4, 2)).sum()
            + (h * (h > b)).sum()
        )

    c = lo.compile(f, check=check)
    for _ in range(8):
        agree(c, f, [W, b], rng.standard_normal((4, 3)))


def test_an_index_that_is_an_argument(W, rng):
    def f(x, i):
        return np.tanh(x @ W)[i].sum()

    c = lo.compile(f, check=False)
    x = rng.standard_normal((5, 3))
    for _ in range(4):
        agree(c, f, [W], x, rng.integers(-5, 5, 3))
        agree(c, f, [W], x, lo.Tensor(rng.integers(-5, 5, 3)))
    for i in (0, 3, -1):
        agree(c, f, [W], x, i)
        agree(c, f, [W], x, np.int64(i))
        agree(c, f, [W], x, np.array(i))
        agree(c, f, [W], x, [i, 1])
        agree(c, f, [W], x, slice(i, None))
    with pytest.raises(lo.errors.IndexingError):
        c(x, np.array([0, 1, 9]))


def test_rounding_is_not_taken_for_staleness(W, b, rng):
    """What cancels to nothing, or was computed in float32, differs in its last digits between two ways."""
    p32 = lo.Parameter(rng.standard_normal(50).astype(np.float32))
    V = lo.Parameter(rng.standard_normal((2, 2)))
    weights = np.linspace(0.0, 1.0, 50)
    forms = [
        lambda x: np.tanh(lo.nn.batch_norm(x @ W + b) @ V).sum(),  # the gradient by b is 0
        lambda x: (x @ W - (x @ W).mean()).sum(),
        lambda x: (lo.nn.softmax(p32.reshape(5, 10)).reshape(-1) * weights).sum() + W.sum() * x.sum(),
        lambda x: (x @ W).sum() - (W.T @ x.T).sum(),
    ]
    for f in forms:
        c = lo.compile(f)
        for _ in range(33):
            c(rng.standard_normal((16, 3)))
            W.data = W.data * 1.01
            p32.data = p32.data * np.float32(1.01)


def test_a_value_that_is_eager_again_is_not_disturbed(W, rng):
    """Calling f itself between compiled calls changes nothing, and the other way round."""
    x = rng.standard_normal((4, 3))

    def f():
        return np.exp(x @ W * 0.1).sum()

    c = lo.compile(f)
    for _ in range(6):
        first = eager(f, [W])
        agree(c, f, [W], calls=1)
        assert eager(f, [W])[0] == first[0]
