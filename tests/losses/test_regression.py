"""mse, mae, msle, huber, gaussian_nll: the numbers of the slides, options, gradients, peers."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import tinygrad_lo as lo
from tinygrad_lo import errors
from tinygrad_lo.losses.regression import gaussian_nll, huber, mae, mse, msle

P, T = np.array([[1.5, 1.0], [3.0, 7.0]]), np.array([[1.0, 2.0], [3.0, 4.0]])
P3, T3 = np.array([[1.5, 1.0, 0.0], [3.0, 7.0, 2.0]]), np.array([[1.0, 2.0, 0.5], [3.0, 4.0, 1.0]])
REDUCTIONS = ["mean", "sum", "none", "batchmean"]
LOSSES = [mse, mae, msle, huber, gaussian_nll]


# ------------------------------------------------------------------------------ numbers of the slides


def test_golden_numbers():
    assert mse(P, T) == 2.5625
    assert mae(P, T) == 1.125
    assert msle(P, T) == pytest.approx(0.108775, abs=5e-7)
    assert huber(P, T, delta=2.0) == 1.15625


def test_mse_in_the_four_conventions():
    assert mse(P3, T3) == pytest.approx(1.916667, abs=5e-7)
    assert mse(P3, T3, half=True) == pytest.approx(0.958333, abs=5e-7)
    assert mse(P3, T3, reduction="batchmean") == 5.75
    assert mse(P3, T3, half=True, reduction="batchmean") == 2.875


def test_mse_of_lecture_1():
    """y = 1: half when the answer is 0, nothing when it is 1."""
    assert mse([[0.0]], [[1.0]], half=True, reduction="batchmean") == 0.5
    assert mse([[1.0]], [[1.0]], half=True, reduction="batchmean") == 0.0


LECTURE_3 = [
    (30.0, 20.0, 1e2, 0.02861),
    (30000.0, 20000.0, 1e8, 0.03101),
    (20.0, 10.0, 1e2, 0.07886),
    (20.0, 30.0, 1e2, 0.02861),
]


@pytest.mark.parametrize(("true", "predicted", "squared", "logarithmic"), LECTURE_3)
def test_msle_of_lecture_3_is_in_base_10(true, predicted, squared, logarithmic):
    assert mse([predicted], [true]) == squared
    assert msle([predicted], [true], base=10) == pytest.approx(logarithmic, abs=5e-6)
    nats = msle([predicted], [true])
    assert nats == pytest.approx(msle([predicted], [true], base=10) * math.log(10) ** 2, rel=1e-14)


def test_msle_does_not_forgive_too_little():
    assert msle([10.0], [20.0]) > msle([30.0], [20.0])


def test_gaussian_nll_golden_numbers():
    p, t = np.array([0.0, 1.0]), np.array([1.0, 1.0])
    full = gaussian_nll(p, t, variance=0.5, reduction="none")
    np.testing.assert_allclose(full, [1.572365, 0.572365], atol=5e-7)
    rest = gaussian_nll(p, t, variance=0.5, full=False, reduction="none")
    np.testing.assert_allclose(full - rest, 0.5 * np.log(2 * np.pi), rtol=1e-14)


def test_gaussian_nll_of_lecture_4_is_a_sum_over_the_samples(rng):
    p, t, sigma = rng.standard_normal(7), rng.standard_normal(7), 1.7
    slide = 3.5 * np.log(2 * np.pi) + 7 * np.log(sigma) + np.sum((p - t) ** 2) / (2 * sigma**2)
    assert gaussian_nll(p, t, variance=sigma**2, reduction="sum") == pytest.approx(slide, rel=1e-14)


def test_gaussian_nll_has_the_minimum_of_mse_but_not_its_value(rng):
    p, t = lo.Parameter(rng.standard_normal(5)), rng.standard_normal(5)
    nll = gaussian_nll(p, t)
    squared = mse(p, t)
    np.testing.assert_allclose(lo.grad(nll, p), 0.5 * lo.grad(squared, p), rtol=1e-14)
    assert nll.item() == pytest.approx(0.5 * squared.item() + 0.5 * np.log(2 * np.pi), rel=1e-14)


# ------------------------------------------------------------------------------------ all the options

VARIANCE = np.array([[0.5, 1.0], [2.0, 4.0]])


def terms(loss, p, t, *, half=False, base=math.e, delta=1.0, variance=1.0, full=True):
    """The loss of each element, as the slides write it."""
    r = p - t
    if loss is mse:
        return r**2 * (0.5 if half else 1.0)
    if loss is mae:
        return np.abs(r)
    if loss is msle:
        return ((np.log(t + 1) - np.log(p + 1)) / np.log(base)) ** 2
    if loss is huber:
        return np.where(np.abs(r) <= delta, 0.5 * r**2, delta * np.abs(r) - 0.5 * delta**2)
    return (np.log(2 * np.pi) if full else 0.0) / 2 + np.log(variance) / 2 + r**2 / (2 * variance)


OPTIONS = [
    (mse, {}), (mse, {"half": True}), (mse, {"half": np.True_}), (mae, {}),
    (msle, {}), (msle, {"base": 10}), (msle, {"base": 2.0}), (msle, {"base": 0.5}),
    (huber, {}), (huber, {"delta": 2}), (huber, {"delta": 0.3}), (huber, {"delta": np.float32(100.0)}),
    (gaussian_nll, {}), (gaussian_nll, {"variance": 0.5}), (gaussian_nll, {"variance": 3, "full": False}),
    (gaussian_nll, {"variance": VARIANCE}), (gaussian_nll, {"variance": VARIANCE.tolist(), "full": False}),
    (gaussian_nll, {"variance": np.array(2.0)}), (gaussian_nll, {"variance": np.float64(0.1)}),
    (gaussian_nll, {"variance": lo.Tensor(VARIANCE)}),
]  # fmt: skip
IDS = [f"{loss.__name__}-{i}" for i, (loss, _) in enumerate(OPTIONS)]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("loss", "options"), OPTIONS, ids=IDS)
def test_every_option(loss, options, reduction):
    data = {k: np.asarray(v.data if isinstance(v, lo.Tensor) else v) for k, v in options.items()}
    each = terms(loss, P, T, **data)
    expected = {"none": each, "sum": each.sum(), "mean": each.mean(), "batchmean": each.sum() / 2}[reduction]
    plain = loss(P, T, **options, reduction=reduction)
    if not isinstance(options.get("variance"), lo.Tensor):
        assert not isinstance(plain, lo.Tensor)
        assert reduction == "none" or isinstance(plain, float)
    else:
        plain = plain.numpy()
    np.testing.assert_allclose(plain, expected, rtol=1e-13, atol=1e-15)
    for p, t in ((lo.Parameter(P), T), (P, lo.Parameter(T)), (lo.Parameter(P), lo.Tensor(T))):
        out = loss(p, t, **options, reduction=reduction)
        assert type(out) is lo.Tensor
        np.testing.assert_array_equal(out.numpy(), plain)
    np.testing.assert_array_equal(P, [[1.5, 1.0], [3.0, 7.0]])


@pytest.mark.parametrize(("loss", "options"), OPTIONS, ids=IDS)
@pytest.mark.parametrize("reduction", ["mean", "batchmean"])
def test_derivatives(loss, options, reduction, rng):
    p, t = rng.uniform(-0.5, 3.0, (2, 2)), rng.uniform(-0.5, 3.0, (2, 2))

    def f(p, t):
        return loss(p, t, **options, reduction=reduction)

    lo.gradcheck(f, p, t, order=2).raise_if_failed()
    if not isinstance(options.get("variance"), lo.Tensor):
        at_p = lo.value_and_grad(f)(p, t)[1]
        np.testing.assert_allclose(at_p, lo.numerical_gradient(lambda x: f(x, t), p), rtol=1e-6, atol=1e-9)


def test_a_variance_can_be_learned(rng):
    p, t, v = rng.standard_normal((3, 2)), rng.standard_normal((3, 2)), rng.uniform(0.5, 2.0, (3, 2))
    lo.gradcheck(lambda p, v: gaussian_nll(p, t, variance=v), p, v, order=2).raise_if_failed()
    # One variance for all is best at the mean squared error.
    best = lo.Parameter(mse(p, t))
    gaussian_nll(p, t, variance=best).backward()
    assert abs(best.grad) < 1e-15


@pytest.mark.parametrize("loss", LOSSES)
def test_one_number_is_a_batch_of_one(loss):
    for reduction in REDUCTIONS:
        assert loss(1.5, 0.5, reduction=reduction) == loss([1.5], [0.5])
        assert np.shape(loss(1.5, 0.5, reduction=reduction)) == ()
    assert loss(lo.Parameter(1.5), 0.5).item() == loss([1.5], [0.5])


# ------------------------------------------------------------------------------------ kinks and tails


def test_mae_has_slope_zero_at_zero():
    p = lo.Parameter([1.0, 2.0, 0.0])
    mae(p, [1.0, 1.0, 1.0], reduction="sum").backward()
    assert p.grad.tolist() == [0.0, 1.0, -1.0]


def test_huber_at_its_kinks():
    p = lo.Parameter([0.0, 2.0, -2.0, 2.5, -2.5, 1.0])
    loss = huber(p, np.zeros(6), delta=2.0, reduction="none")
    assert loss.numpy().tolist() == [0.0, 2.0, 2.0, 3.0, 3.0, 0.5]
    loss.sum().backward()
    assert p.grad.tolist() == [0.0, 2.0, -2.0, 2.0, -2.0, 1.0]
    with pytest.warns(UserWarning, match="huber of 'r'.* exactly at its kink"):
        curvature = lo.hessian(lambda x: huber(x, np.zeros(6), delta=2.0, reduction="sum"))(p.data)
    assert np.diag(curvature).tolist() == [1.0, 1.0, 1.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize("loss", [mae, huber])
def test_residuals_of_1e30_are_finite_in_float32(loss):
    p = lo.Parameter([1e30, -1e30, 1e4, -1e4], dtype=np.float32)
    out = loss(p, np.zeros(4, np.float32), reduction="none")
    np.testing.assert_allclose(out.numpy(), [1e30, 1e30, 1e4, 1e4], rtol=1e-4)
    out.sum().backward()
    assert p.grad.tolist() == [1.0, -1.0, 1.0, -1.0]


def test_huber_with_a_delta_beyond_float32_is_half_the_square():
    p = np.array([3.0], np.float32)
    out = huber(p, np.zeros(1, np.float32), delta=1e300)
    assert out == 4.5
    assert out.dtype == np.float32


def test_gaussian_nll_of_a_tiny_or_huge_variance():
    p, t = np.array([1e-25], np.float32), np.zeros(1, np.float32)
    expected = 0.5 + 0.5 * math.log(1e-50)
    assert gaussian_nll(p, t, variance=1e-50, full=False) == pytest.approx(expected, rel=1e-6)
    p = np.array([1e30], np.float32)
    expected = 0.5 + 0.5 * math.log(1e60)
    assert gaussian_nll(p, t, variance=1e60, full=False) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("loss", "options"), OPTIONS, ids=IDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_of_ten_thousand(loss, options, dtype):
    low = 1e4 if loss is msle else -1e4
    p = lo.Parameter([[1e4, low], [0.0, 1e4]], dtype=dtype)
    out = loss(p, np.array([[low, 1e4], [1e4, 1e4]], dtype), **options)
    out.backward()
    assert np.isfinite(out.numpy())
    assert np.isfinite(p.grad).all()


FLOAT32 = [(f, o) for f, o in OPTIONS if not isinstance(o.get("variance"), lo.Tensor)]


@pytest.mark.parametrize(("loss", "options"), FLOAT32, ids=lambda x: getattr(x, "__name__", ""))
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_float32_stays(loss, options, reduction):
    for t in (T, T.astype(np.float32), T.tolist(), T.astype(int), lo.Tensor(T, dtype=np.float32)):
        p = lo.Parameter(P, dtype=np.float32)
        out = loss(p, t, **options, reduction=reduction)
        out.sum().backward()
        assert out.dtype == p.grad.dtype == np.float32
    assert loss(p.data, T.astype(np.float32), **options, reduction=reduction).dtype == np.float32


@pytest.mark.parametrize("loss", LOSSES)
def test_unsigned_integers_do_not_wrap(loss):
    small, large = np.array([1, 200], np.uint8), np.array([3, 100], np.uint8)
    assert loss(small, large) == loss(small.astype(float), large.astype(float))
    assert loss(lo.Tensor(small), large).item() == loss(small.astype(float), large.astype(float))


def test_names_and_scopes():
    p = lo.Parameter([1.0, 2.0], name="p")
    seen = {loss: lo.tree(loss(p, [1.0, 1.0])) for loss in LOSSES}
    for loss, text in seen.items():
        assert f"‹{loss.__name__}›" in text
        assert "r = " in text
    assert "L_i = r²" in seen[mse]
    assert "× 0.5" in lo.tree(mse(p, [1.0, 1.0], half=True))
    assert "L_i = |r|" in seen[mae]
    assert "= log(1 + p)" in seen[msle]
    assert "target  2  data" in seen[mse]
    assert "L_i = huber(r, δ = 1.0)" in seen[huber]
    assert "z = r ÷" in seen[gaussian_nll]


# --------------------------------------------------------------------------------------- refusals

NAN = float("nan")
REFUSED = [
    (lambda: msle([0.0, 1.0, 2.0, -1.5], np.ones(4)), errors.DomainError,
     "msle: log(1 + x) needs x > -1, got -1.5 at row 3 of the prediction"),
    (lambda: msle(np.ones((1, 2)), [[1.0, -1.0]]), errors.DomainError, "got -1.0 at (0, 1) of the target"),
    (lambda: msle(lo.Parameter([0.0, NAN]), [1.0, 1.0]), errors.DomainError, "got nan at row 1"),
    (lambda: msle(-1.5, 1.0), errors.DomainError, "x > -1, got -1.5 of the prediction"),
    (lambda: msle(P, T, base=1), errors.OptionError,
     "msle: base must be a finite number > 0 and not 1, got 1"),
    (lambda: msle(P, T, base=0), errors.OptionError, "got 0"),
    (lambda: msle(P, T, base="10"), errors.OptionError, "got '10'"),
    (lambda: huber(P, T, delta=0), errors.OptionError, "huber: delta must be finite and > 0, got 0"),
    (lambda: huber(P, T, delta=-1.0), errors.OptionError, "got -1.0"),
    (lambda: huber(P, T, delta=NAN), errors.OptionError, "got nan"),
    (lambda: huber(P, T, delta=True), errors.OptionError, "got True"),
    (lambda: huber(P, T, delta=math.inf), errors.OptionError, "got inf"),
    (lambda: mse(P, T, half=0.5), errors.OptionError, "mse: half must be True or False, got 0.5"),
    (lambda: gaussian_nll(P, T, full="no"), errors.OptionError, "full must be True or False, got 'no'"),
    (lambda: gaussian_nll(P, T, variance=0), errors.OptionError, "variance must be finite and > 0, got 0"),
    (lambda: gaussian_nll(P, T, variance=-2.0), errors.OptionError, "got -2.0"),
    (lambda: gaussian_nll(P, T, variance=None), errors.OptionError, "got None"),
    (lambda: gaussian_nll(P, T, variance="1"), errors.OptionError, "got '1'"),
    (lambda: gaussian_nll(P, T, variance=[[1.0, 1.0], [0.0, 1.0]]), errors.DomainError,
     "gaussian_nll: variance must be finite and > 0, got 0.0 at (1, 0)"),
    (lambda: gaussian_nll(P, T, variance=lo.Parameter(VARIANCE * NAN)), errors.DomainError,
     "got nan at (0, 0)"),
    (lambda: gaussian_nll(P, T, variance=VARIANCE * math.inf), errors.DomainError, "got inf at (0, 0)"),
    (lambda: gaussian_nll(P, T, variance=np.ones((2, 1))), errors.ShapeError,
     "variance has shape (2, 1); expected one number, or the prediction's shape (2, 2)"),
    (lambda: gaussian_nll(P, T, variance=np.ones(2)), errors.ShapeError, "(2,)"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "words"), REFUSED, ids=[words for *_, words in REFUSED])
def test_refusals(call, error, words):
    with pytest.raises(error) as caught:
        call()
    assert words in str(caught.value)


@pytest.mark.parametrize("loss", LOSSES)
def test_refusals_of_every_loss(loss):
    name = loss.__name__
    column, flat = np.ones((4, 1)), np.ones(4)
    text = f"{name}: prediction (4, 1) vs target (4,) would broadcast to (4, 4); use target[:, None]"
    for p, t in ((column, flat), (lo.Parameter(column), flat), (lo.Parameter(column), lo.Tensor(flat))):
        with pytest.raises(errors.ShapeError) as caught:
            loss(p, t)
        assert text in str(caught.value)
        assert "prediction[:, 0]" in str(caught.value)
    for reduction in REDUCTIONS:
        with pytest.raises(errors.ShapeError, match=f"{name}: no samples left"):
            loss(np.zeros((0, 3)), np.zeros((0, 3)), reduction=reduction)
    with pytest.raises(errors.OptionError, match=f"{name}: reduction must be 'mean'.*got 'avg'"):
        loss(P, T, reduction="avg")
    with pytest.raises(errors.DTypeError, match=name):
        loss(["a"], ["b"])
    with pytest.raises(TypeError):
        loss(P, T, "sum")


# -------------------------------------------------------------------------------------- properties

PAIRS = st.integers(1, 6).flatmap(
    lambda n: arrays(float, (2, 2 * n), elements=st.floats(-0.9, 100.0, allow_subnormal=False))
)


@pytest.mark.parametrize("loss", LOSSES)
@given(pair=PAIRS, seed=st.integers(0, 99))
@settings(deadline=None)
def test_samples_in_any_order_and_in_halves(loss, pair, seed):
    p, t = pair
    order = np.random.default_rng(seed).permutation(len(p))
    mean, n = loss(p, t), len(p)
    size = np.abs(loss(p, t, reduction="none")).max()  # terms of both signs may cancel
    near = {"rtol": 1e-12, "atol": 1e-14 * size * n + 1e-300}  # squares of 1e-160 have few digits
    np.testing.assert_allclose(loss(p[order], t[order]), mean, **near)
    half = n // 2
    np.testing.assert_allclose((loss(p[:half], t[:half]) + loss(p[half:], t[half:])) / 2, mean, **near)
    np.testing.assert_allclose(loss(p, t, reduction="sum"), n * mean, **near)
    np.testing.assert_allclose(loss(p.reshape(-1, 2), t.reshape(-1, 2)), mean, **near)
    each = loss(p, t, reduction="none")
    np.testing.assert_allclose(loss(t, p, reduction="none"), each, rtol=1e-12)  # all of them are symmetric
    assert loss is gaussian_nll or (each >= 0).all()


@given(r=st.floats(-1e100, 1e100), delta=st.floats(1e-3, 1e6))
def test_huber_lies_between_its_bounds(r, delta):
    loss = huber(r, 0.0, delta=delta)
    slack = 1e-14 * delta * (abs(r) + delta)
    assert loss <= min(r * r / 2, delta * abs(r)) + slack
    assert loss >= delta * abs(r) - delta**2 / 2 - slack


# ------------------------------------------------------------------------------------------- peers


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="compares with PyTorch (extra peers)")


def same_as(torch, theirs, ours, *data):
    """Value, and gradient by every input, of both."""
    leaves = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in data]
    value = theirs(*leaves)
    value.sum().backward()
    params = [lo.Parameter(x) for x in data]
    out = ours(*params)
    out.sum().backward()
    np.testing.assert_allclose(out.numpy(), value.detach().numpy(), rtol=1e-12, atol=1e-12)
    for mine, other in zip(params, leaves, strict=True):
        np.testing.assert_allclose(mine.grad, other.grad.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.peers
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [(9,), (4, 3)])
def test_pytorch_agrees(torch, reduction, shape, rng):
    f, options = torch.nn.functional, {"reduction": reduction}
    p, t = 3.0 * rng.standard_normal(shape), 3.0 * rng.standard_normal(shape)
    p.flat[0] = t.flat[0]  # the kink of mae
    same_as(torch, lambda p, t: f.mse_loss(p, t, **options), lambda p, t: mse(p, t, **options), p, t)
    same_as(torch, lambda p, t: f.l1_loss(p, t, **options), lambda p, t: mae(p, t, **options), p, t)


@pytest.mark.peers
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("delta", [0.3, 1.0, 2.5])
def test_huber_is_pytorchs(torch, delta, reduction, rng):
    p, t = 3.0 * rng.standard_normal((4, 3)), 3.0 * rng.standard_normal((4, 3))
    t[0] = 0.0
    p[0] = [0.0, delta, -delta]  # the kinks
    options = {"delta": delta, "reduction": reduction}
    same_as(torch, lambda p, t: torch.nn.functional.huber_loss(p, t, **options),
            lambda p, t: huber(p, t, **options), p, t)  # fmt: skip


@pytest.mark.peers
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("full", [False, True])
def test_gaussian_nll_is_pytorchs(torch, full, reduction, rng):
    f, options = torch.nn.functional.gaussian_nll_loss, {"full": full, "reduction": reduction}
    p, t, v = rng.standard_normal((5, 3)), rng.standard_normal((5, 3)), rng.uniform(0.1, 4.0, (5, 3))
    same_as(torch, lambda p, t, v: f(p, t, v, **options),
            lambda p, t, v: gaussian_nll(p, t, variance=v, **options), p, t, v)  # fmt: skip
    same_as(torch, lambda p, t: f(p, t, torch.full((5, 3), 0.7, dtype=torch.float64), **options),
            lambda p, t: gaussian_nll(p, t, variance=0.7, **options), p, t)  # fmt: skip
