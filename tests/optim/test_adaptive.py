"""Adagrad to NAdam: golden trajectories, equations that run, what a step may not touch, PyTorch's steps."""

import copy
import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_lo as lo
from tinygrad_lo import errors
from tinygrad_lo.optim.adam import Adam, AdamW, NAdam
from tinygrad_lo.optim.adaptive import Adadelta, Adagrad, RMSprop
from tinygrad_lo.optim.gradient import SGD

FAST = {"lr": 0.5, "betas": (0.9, 0.5)}
GOLDEN = {
    "RMSprop": (RMSprop, {}, [1.158113882, 1.268246297, 1.358070925, 1.436137862]),
    "RMSprop momentum": (RMSprop, {"momentum": 0.9}, [1.158113882, 1.410548791, 1.722363837, 2.068298471]),
    "RMSprop centered": (RMSprop, {"centered": True}, [1.166666666, 1.288715431, 1.393153923, 1.488186754]),
    "Adagrad torch": (Adagrad, {"eps": 1e-10, "eps_inside_sqrt": False},
                      [1.05, 1.084905007, 1.113178335, 1.137512626]),
    "Adadelta": (Adadelta, {"lr": 1.0, "rho": 0.9, "eps": 1e-6},
                 [1.003162277, 1.006404273, 1.009699250, 1.013034048]),
    "Adam": (Adam, {}, [1.05, 1.099963002, 1.149863078, 1.199673390]),
    "Adam decay": (Adam, {"weight_decay": 0.1}, [1.05, 1.099961419, 1.149857159, 1.199659128]),
    "AdamW": (AdamW, {"weight_decay": 0.1}, [1.045, 1.089742108, 1.134204947, 1.178366761]),
    "Adam fast": (Adam, FAST, [1.499999999, 2.015918982, 2.564633151, 3.168087562]),
    "Adam amsgrad": (Adam, {**FAST, "amsgrad": True}, [1.499999999, 2.015918982, 2.484053683, 2.877541264]),
}  # fmt: skip
TINY = {
    "RMSprop outside": (RMSprop, {}, 1.434835681),
    "RMSprop inside": (RMSprop, {"eps_inside_sqrt": True}, 1.015940613),
    "Adagrad outside": (Adagrad, {"eps_inside_sqrt": False}, 1.137384292),
    "Adagrad inside": (Adagrad, {}, 1.015827116),
}


def descend(kind, options, shape, scale=1.0):
    """f(w) = 2 (w - 3)² · scale from w = 1: the values after each of four steps."""
    w = lo.Parameter(np.ones(shape))
    opt = kind([w], **{"lr": 0.05, **options})
    for _ in range(4):
        opt.zero_grad()
        (scale * 2.0 * (w - 3.0) ** 2).sum().backward()
        opt.step()
        yield w.data


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
@pytest.mark.parametrize("case", GOLDEN)
def test_golden_trajectories(case, shape):
    kind, options, expected = GOLDEN[case]
    for w, value in zip(descend(kind, options, shape), expected, strict=True):
        np.testing.assert_allclose(w, np.full(shape, value), rtol=0, atol=1.01e-9)  # printed, cut to 9 digits
        assert type(w) is (np.ndarray if shape else np.float64)


@pytest.mark.parametrize("case", TINY)
def test_where_eps_stands_matters_for_small_gradients(case):
    kind, options, expected = TINY[case]
    *_, last = descend(kind, options, (), 1e-6)
    assert last == pytest.approx(expected, abs=1e-9)


def test_adam_takes_its_first_step_by_lr():
    w = lo.Parameter([1.0, 1.0, 1.0])
    opt = Adam([w], lr=0.1)
    w.grad = np.array([1e6, -1e-3, 0.0])
    opt.step()
    np.testing.assert_allclose(w.data, [0.9, 1.1, 1.0], atol=1e-5)


def test_weight_decay_of_adamw_does_not_depend_on_the_gradient():
    for scale in (1.0, 1e6):
        w = lo.Parameter([10.0])
        opt = AdamW([w], lr=0.1, weight_decay=0.5)
        w.grad = np.array([scale])
        opt.step()
        assert w.item() == pytest.approx(10.0 * 0.95 - 0.1)


# ------------------------------------------------------------------------------- what every rule keeps

EVERY = [
    (SGD, {"lr": 0.1}),
    (SGD, {"lr": 0.1, "weight_decay": 0.1}),
    (SGD, {"lr": 0.1, "momentum": 0.9}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "lr_in_velocity": False}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "lr_in_velocity": False}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1}),
    (Adagrad, {}),
    (Adagrad, {"eps_inside_sqrt": False, "weight_decay": 0.1}),
    (Adadelta, {}),
    (Adadelta, {"weight_decay": 0.1}),
    *[(RMSprop, {"centered": c, "momentum": m, "eps_inside_sqrt": e, "weight_decay": d, "eps": 1e-3})
      for c, m, e, d in itertools.product((False, True), (0.0, 0.9), (False, True), (0.0, 0.1))],
    (Adam, {}),
    (Adam, {"weight_decay": 0.1}),
    (Adam, {"amsgrad": True, "betas": (0.8, 0.5)}),
    (Adam, {"betas": (0.0, 0.0)}),
    (AdamW, {}),
    (AdamW, {"weight_decay": 0.0, "amsgrad": True}),
    (NAdam, {}),
    (NAdam, {"weight_decay": 0.1, "momentum_decay": 0.1}),
]  # fmt: skip
every = pytest.mark.parametrize(("kind", "options"), EVERY, ids=str)


def test_formula_has_a_block_for_each_group_that_differs():
    W, b, c = (lo.Parameter(np.ones(2), name=name) for name in "Wbc")
    groups = [{"params": [W]}, {"params": [b], "lr": 0.5}, {"params": [c]}]
    text = Adam(groups, betas=(0.5, 0.75)).formula()
    assert text.count("group") == 2
    assert "  groups 0, 2  [W, c]\n" in text
    assert "  group 1  [b]\n" in text
    assert "m ← 0.5 · m + (1 − 0.5) · g" in text
    assert "w ← w − 0.5 · m̂ / (√v̂ + 1e-08)" in text


# ------------------------------------------------------------------- what a step may not touch


@every
def test_memory_is_the_state_the_new_value_and_one_temporary(kind, options):
    size = 200_000
    w = lo.Parameter(np.ones(size))
    opt = kind([w], **options)
    w.grad = np.ones(size)
    opt.step()
    tracemalloc.start()
    opt.step()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2.05 * 8 * size
    if not options.get("weight_decay") and kind in {Adam, Adagrad, RMSprop}:
        assert peak < 1.05 * 8 * size


@every
def test_gradients_of_zero_and_of_great_size_give_no_warning(kind, options):
    for value in (0.0, 1e4, 1e-30):
        for dtype in (np.float32, np.float64):
            w = lo.Parameter(np.ones(2, dtype))
            opt = kind([w], **options)
            for _ in range(30):
                w.grad = np.full(2, value, dtype)
                opt.step()
            assert np.isfinite(w.data).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_centered_rmsprop_survives_equal_gradients(dtype):
    """v − m² is 0 up to rounding then; a negative rounding error would give nan."""
    w = lo.Parameter(np.zeros(50, dtype))
    opt = RMSprop([w], centered=True)
    g = np.linspace(-3.0, 3.0, 50).astype(dtype)
    for _ in range(600):
        w.grad = g
        opt.step()
    assert np.isfinite(w.data).all()


def test_options_may_change_between_steps():
    w = lo.Parameter([1.0])
    opt = Adam([w])
    w.grad = np.ones(1)
    opt.step()
    opt.param_groups[0].update(amsgrad=True, betas=[0.5, np.float64(0.75)])
    assert opt.param_groups[0]["betas"] == (0.5, 0.75)
    assert [type(x) for x in opt.param_groups[0]["betas"]] == [float, float]
    opt.step()
    assert "top" in opt.state[w]
    other = RMSprop([w])
    other.step()
    other.param_groups[0].update(centered=True, momentum=0.9)
    other.step()
    assert np.isfinite(w.data).all()


# ------------------------------------------------------------------------------------ going on


def run(w, opt, gradients):
    for g in gradients:
        w.grad = g
        opt.step()


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(EVERY),
    st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=10),
    st.integers(0, 10),
)
def test_a_round_trip_anywhere_changes_nothing(case, gradients, place):
    kind, options = case
    w = lo.Parameter([0.5, -2.0])
    opt = kind([w], **options)
    run(w, opt, [np.array([g, -g]) for g in gradients])
    other_w = lo.Parameter([0.5, -2.0])
    other = kind([other_w], **options)
    for i, g in enumerate(gradients):
        if i == place:
            state = copy.deepcopy(other.state_dict())
            other = kind([other_w], **options)
            other.load_state_dict(state)
        run(other_w, other, [np.array([g, -g])])
    assert np.array_equal(w.data, other_w.data)


# ------------------------------------------------------------------------------- bad gradients


@pytest.mark.parametrize("kind", [Adagrad, Adadelta, RMSprop, Adam, AdamW, NAdam])
@pytest.mark.parametrize(
    "value", [np.array([1.0, -1e200]), np.array([1e30, 1.0], np.float32), np.float64(1e200)]
)
def test_a_gradient_whose_square_overflows_is_refused(kind, value):
    """Silently, the average of squares would be inf for ever, and the weight would never move again."""
    w = lo.Parameter(np.zeros_like(value), name="w")
    opt = kind([w])
    w.grad = value
    with pytest.raises(errors.NonFiniteError, match=r"grad of 'w' reaches 1e\+.*square overflows.*untouched"):
        opt.step()
    assert not opt.state.get(w)
    w.grad = np.sqrt(np.sqrt(abs(value)))
    opt.step()
    assert np.isfinite(w.data).all()


# --------------------------------------------------------------------------------------- peers


PEERS = [
    (Adagrad, {"eps_inside_sqrt": False, "eps": 1e-10}),
    (Adagrad, {"eps_inside_sqrt": False, "eps": 1e-10, "weight_decay": 0.1}),
    (Adadelta, {}),
    (Adadelta, {"weight_decay": 0.1, "rho": 0.8, "eps": 1e-4}),
    *[(RMSprop, {"centered": c, "momentum": m, "weight_decay": d})
      for c, m, d in itertools.product((False, True), (0.0, 0.9), (0.0, 0.1))],
    *[(kind, {"amsgrad": a, "weight_decay": d, "betas": b})
      for kind in (Adam, AdamW) for a in (False, True) for d in (0.0, 0.1)
      for b in ((0.9, 0.999), (0.5, 0.6))],
    (NAdam, {}),
    (NAdam, {"weight_decay": 0.1, "momentum_decay": 0.02, "betas": (0.8, 0.9)}),
]  # fmt: skip


@pytest.mark.peers
@pytest.mark.parametrize(("kind", "options"), PEERS, ids=str)
def test_a_thousand_steps_are_pytorchs(kind, options, rng):
    torch = pytest.importorskip("torch", reason="compares with PyTorch (extra peers)")
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # NAdam keeps its product of μ in it
    try:
        starts = rng.standard_normal((3, 2)), rng.standard_normal(2)
        ours = [lo.Parameter(x, name=n) for x, n in zip(starts, "Wb", strict=True)]
        theirs = [torch.tensor(x, requires_grad=True) for x in starts]
        special = {"lr": 0.003, "weight_decay": 0.02}
        known = {k: v for k, v in options.items() if k != "eps_inside_sqrt"}
        if kind is RMSprop:
            known["alpha"] = 0.9  # decay
        opt = kind([{"params": [ours[0]]}, {"params": [ours[1]], **special}], lr=0.01, **options)
        peer = getattr(torch.optim, kind.__name__)(
            [{"params": [theirs[0]]}, {"params": [theirs[1]], **special}], lr=0.01, **known
        )
        for step in range(1000):
            if step == 500:
                opt.param_groups[0]["lr"] = peer.param_groups[0]["lr"] = 0.001
            for p, t in zip(ours, theirs, strict=True):
                p.grad = rng.standard_normal(p.shape)
                t.grad = torch.tensor(p.grad)
            opt.step()
            peer.step()
        for p, t in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(p.data, t.detach().numpy(), rtol=1e-12, atol=1e-12)
    finally:
        torch.set_default_dtype(default)
