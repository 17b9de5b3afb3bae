"""Clipping: norms that do not overflow, gradients never written into, refusals, PyTorch's numbers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_lo as lo
from tinygrad_lo.errors import NonFiniteError, OptionError
from tinygrad_lo.optim import SGD
from tinygrad_lo.optim.clipping import clip_grad_norm, clip_grad_value


def with_grad(g, name=None, dtype=None):
    g = np.asarray(g, dtype or float)[()]
    p = lo.Parameter(np.zeros_like(g), name=name)
    p.grad = g
    return p


def both(params, size=1.0):
    return [lambda: clip_grad_norm(params, size), lambda: clip_grad_value(params, size)]


# ------------------------------------------------------------------------------------------ norm


def test_the_norm_is_of_all_gradients_together_and_the_direction_stays():
    W, b, c = with_grad([[3.0, 0.0]]), with_grad(4.0), lo.Parameter([1.0])
    assert clip_grad_norm([W, b, c], 1.0) == 5.0
    np.testing.assert_allclose(W.grad, [[0.6, 0.0]], rtol=1e-15)
    np.testing.assert_allclose(b.grad, 0.8, rtol=1e-15)
    assert c.grad is None
    assert clip_grad_norm([W, b], math.inf) == pytest.approx(1.0)


@pytest.mark.parametrize("most", [5.0, 5, np.float32(6), math.inf])
def test_gradients_within_the_bound_stay_as_they_are(most):
    W, b = with_grad([3.0]), with_grad([4.0])
    before = W.grad, b.grad
    assert clip_grad_norm([W, b], most) == 5.0
    assert W.grad is before[0]
    assert b.grad is before[1]


def test_zero_gradients_and_empty_ones_have_norm_0():
    assert clip_grad_norm([with_grad([0.0, 0.0]), with_grad(np.zeros((0, 3)))], 1.0) == 0.0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_huge_and_tiny_gradients(dtype):
    top = float(np.finfo(dtype).max) / 8
    for size in (top, float(np.finfo(dtype).tiny)):
        W, b = with_grad([3 * size, 0.0], dtype=dtype), with_grad(4 * size, dtype=dtype)
        assert clip_grad_norm([W, b], math.inf) == pytest.approx(5 * size, rel=1e-3)
        if size == top:
            assert clip_grad_norm([W, b], 1.0) == pytest.approx(5 * size, rel=1e-3)
            np.testing.assert_allclose([*W.grad, b.grad], [0.6, 0.0, 0.8], rtol=1e-3)
        assert W.grad.dtype == b.grad.dtype == dtype


def test_squares_that_would_overflow_or_vanish_are_scaled():
    assert clip_grad_norm([with_grad([3e300, 4e300])], math.inf) == pytest.approx(5e300, rel=1e-15)
    assert clip_grad_norm([with_grad([3e-300, 4e-300])], math.inf) == pytest.approx(5e-300, rel=1e-15)
    assert clip_grad_norm([with_grad([3e-320, 4e-320])], math.inf) == pytest.approx(5e-320, rel=1e-3)
    many = with_grad(np.full(10_000, 3e38, np.float32), dtype=np.float32)
    assert clip_grad_norm([many], 1.0) == pytest.approx(3e40, rel=1e-6)
    np.testing.assert_allclose(many.grad, 0.01, rtol=1e-6)


finite = hnp.arrays(
    st.sampled_from([np.float32, np.float64]), hnp.array_shapes(), elements=st.floats(-1e6, 1e6, width=32)
)


@given(grads=st.lists(finite, min_size=1, max_size=4), most=st.floats(1e-3, 1e3))
def test_after_clipping_the_norm_is_the_smaller_one(grads, most):
    params = [with_grad(g, dtype=g.dtype) for g in grads]
    before = [p.grad.copy() for p in params]
    plain = math.sqrt(sum(float((g.astype(float) ** 2).sum()) for g in before))
    total = clip_grad_norm(params, most)
    assert type(total) is float
    assert total == pytest.approx(plain, rel=1e-12, abs=1e-200)
    after = clip_grad_norm(params, math.inf)
    assert after == pytest.approx(min(total, most), rel=1e-6)
    for p, g in zip(params, before, strict=True):
        assert p.grad.dtype == g.dtype
        assert (np.sign(p.grad) * np.sign(g) >= 0).all()


# ----------------------------------------------------------------------------------------- value


def test_values_are_cut_at_both_ends():
    W, b = with_grad([[-3.0, 0.5, 2.0]]), with_grad(-7.0)
    assert clip_grad_value([W, b], 1) is None
    assert W.grad.tolist() == [[-1.0, 0.5, 1.0]]
    assert b.grad == -1.0


@given(g=finite, limit=st.floats(1e-3, 1e300))
def test_every_value_is_within_the_limit_and_others_stay(g, limit):
    p = with_grad(g, dtype=g.dtype)
    g = p.grad.copy()
    clip_grad_value([p], limit)
    inside = np.abs(g.astype(float)) <= limit
    assert (p.grad[inside] == g[inside]).all()
    assert (np.abs(p.grad.astype(float)) <= limit * (1 + 1e-6)).all()
    assert p.grad.dtype == g.dtype


def test_a_limit_beyond_float32_cuts_nothing():
    p = with_grad([3e38, -1.0], dtype=np.float32)
    for limit in (1e300, math.inf):
        clip_grad_value([p], limit)
        np.testing.assert_array_equal(p.grad, np.array([3e38, -1.0], np.float32))


# ----------------------------------------------------------------- what neither of them may touch


@pytest.mark.parametrize("clip", [clip_grad_norm, clip_grad_value])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_gradient_is_written_into_and_dtypes_stay(clip, dtype):
    shared = np.array([3.0, 4.0], dtype)
    shared.flags.writeable = False
    a, b, c = (lo.Parameter(np.ones(2, dtype)) for _ in range(3))
    scalar = with_grad(9.0, dtype=dtype)
    for p in (a, b, c):  # as addition hands one gradient to both of its inputs
        p.grad = shared
    clip([a, b, scalar], 0.5)
    assert shared.tolist() == [3.0, 4.0]
    assert c.grad is shared
    for p in (a, b, scalar):
        assert not np.shares_memory(p.grad, shared)
        assert p.grad.dtype == dtype
        assert p.dtype == dtype
    assert type(scalar.grad) is dtype
    assert a.grad.tolist() == b.grad.tolist()


@pytest.mark.parametrize("clip", [clip_grad_norm, clip_grad_value])
def test_params_are_lists_pairs_generators_and_models(clip):
    class Model:
        def __init__(self):
            self.W = with_grad([3.0, 4.0])

        def named_parameters(self):
            return iter([("W", self.W)])

    for how in (
        lambda m: m.W,
        lambda m: {"W": m.W},
        lambda m: [m.W],
        lambda m: (p for p in [m.W]),
        lambda m: [("W", m.W)],
        lambda m: m,
        lambda m: m.named_parameters(),
    ):
        model = Model()
        clip(how(model), 0.5)
        assert model.W.grad.max() < 1
        assert model.W.name is None


@pytest.mark.parametrize("clip", [clip_grad_norm, clip_grad_value])
def test_frozen_parameters_do_not_count(clip):
    a, frozen = with_grad([3.0]), with_grad([math.nan])
    frozen.requires_grad = False
    clip([a, frozen], 1.0)
    assert a.grad.tolist() == [1.0]
    assert math.isnan(frozen.grad[0])


def test_clipping_stands_between_backward_and_step():
    w = lo.Parameter([3.0, 4.0])
    opt = SGD([w], lr=1.0)
    for _ in range(5):
        opt.zero_grad()
        (0.5 * w * w).sum().backward()
        clip_grad_norm([w], 1.0)
        opt.step()
    np.testing.assert_allclose(w.data, 0.0, atol=1e-12)


def test_a_forgotten_zero_grad_is_still_noticed_after_clipping():
    w = lo.Parameter([1.0], name="W")
    opt = SGD([w], lr=0.1)
    (w * w).sum().backward()
    opt.step()
    (w * w).sum().backward()
    clip_grad_norm([w], 1e-3)
    with pytest.warns(UserWarning, match="gradient of 'W' was used by an earlier step"):
        opt.step()


# -------------------------------------------------------------------------------------- refusals

SIZES = [0, -1, 0.0, math.nan, -math.inf, True, "1", None, [1.0]]


@pytest.mark.parametrize("size", SIZES, ids=repr)
def test_bounds_must_be_above_0(size):
    W = with_grad([3.0])
    for clip, name in ((clip_grad_norm, "max_norm"), (clip_grad_value, "limit")):
        with pytest.raises(OptionError) as caught:
            clip([W], size)
        assert str(caught.value) == f"{clip.__name__}: {name} must be finite and > 0, got {size!r}"
    assert W.grad.tolist() == [3.0]


@pytest.mark.parametrize(("bad", "word"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "inf")])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_that_are_not_finite_are_refused_by_name(bad, word, dtype):
    b, W = with_grad([30.0], "b", dtype), with_grad([1.0, bad], "W1", dtype)
    with pytest.raises(NonFiniteError, match=f"clip_grad_norm: norm of 'W1' is {word}, nothing was clipped"):
        clip_grad_norm([b, W], 1.0)
    with pytest.raises(NonFiniteError, match=f"clip_grad_value: grad of 'W1' has {word}, nothing was"):
        clip_grad_value([b, W], 1.0)
    assert b.grad.tolist() == [30.0]
    W.name = None
    with pytest.raises(NonFiniteError, match="norm of parameter 1 is"):
        clip_grad_norm([b, W], 1.0)
    with pytest.raises(NonFiniteError, match=r"norm of 'layer\.W' is"):
        clip_grad_norm([("layer.b", b), ("layer.W", W)], 1.0)


def test_norms_beyond_the_floats_are_refused():
    with pytest.raises(NonFiniteError, match="norm of 'W' is inf"):
        clip_grad_norm([with_grad([1.7e308, 1.7e308], "W")], 1.0)
    with pytest.raises(NonFiniteError, match="the norm of all 2 gradients together is inf"):
        clip_grad_norm([with_grad([1.7e308]), with_grad([1.7e308])], 1.0)


W = lo.Parameter([1.0], name="W")
BAD = [
    ("no gradient", lambda: [lo.Parameter(1.0)], "no parameter has a gradient; call loss.backward() first"),
    ("empty", list, "empty parameter list (was a generator used twice?)"),
    ("an array", lambda: np.ones(2), "entry 0 is ndarray, not a parameter"),
    (
        "a number",
        lambda: 3,
        "params must be a tensor, a list of them, of (name, tensor) pairs, a dict or a model",
    ),
    ("a set, which has no order", lambda: {W}, "params is a set, which has no order"),
    ("text", lambda: "W", "a dict or a model, got str"),
    ("an array inside", lambda: [W, np.ones(2)], "entry 1 is ndarray, not a parameter"),
    ("groups", lambda: [{"params": [W]}], "entry 0 is dict, not a parameter"),
    ("no leaf", lambda: [W * 2.0], "entry 0 is not a leaf: it was computed by multiply"),
    ("twice", lambda: [W, ("other", W)], "entry 1, 'other', is in the list twice"),
]


@pytest.mark.parametrize(("params", "words"), [pytest.param(*case[1:], id=case[0]) for case in BAD])
def test_bad_parameters_are_refused_in_words(params, words):
    for call in both(params()):
        with pytest.raises(OptionError) as caught:
            call()
        assert words in str(caught.value)
        assert str(caught.value).startswith("clip_grad_")


# ----------------------------------------------------------------------------------------- peers


@pytest.mark.peers
@pytest.mark.parametrize("size", [0.1, 3.0, 1e6])
def test_numbers_are_pytorchs(size, rng):
    torch = pytest.importorskip("torch", reason="compares with PyTorch (extra peers)")
    grads = [rng.standard_normal(shape) for shape in ((3, 2), (5,), ())]
    for clip, peer in (
        (clip_grad_norm, torch.nn.utils.clip_grad_norm_),
        (clip_grad_value, torch.nn.utils.clip_grad_value_),
    ):
        ours, theirs = [with_grad(g) for g in grads], [torch.zeros(np.shape(g)) for g in grads]
        theirs = [t.double().requires_grad_() for t in theirs]
        for t, g in zip(theirs, grads, strict=True):
            t.grad = torch.tensor(g, dtype=torch.float64)
        total, wanted = clip(ours, size), peer(theirs, size)
        # PyTorch divides by norm + 1e-6.
        factor = 1.0 if total is None or total <= size else total / (total + 1e-6)
        if total is not None:
            assert total == pytest.approx(float(wanted), rel=1e-12)
        for p, t in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(p.grad * factor, t.grad.numpy(), rtol=1e-12)
