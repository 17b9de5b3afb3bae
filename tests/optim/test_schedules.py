"""Schedules: their formulas, one after the other, and PyTorch's rates."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_lo as lo
from tinygrad_lo.errors import OptionError
from tinygrad_lo.optim import SGD
from tinygrad_lo.optim.schedules import (
    CosineLR,
    ExponentialLR,
    InverseLR,
    MultiStepLR,
    OneCycleLR,
    ReduceOnPlateau,
    SequentialLR,
    StepLR,
    WarmupLR,
)

LRS = (0.1, 0.03)


def sgd(*lrs):
    return SGD([{"params": [lo.Parameter(1.0)], "lr": lr} for lr in lrs or LRS], lr=1.0)


def now(opt):
    return [group["lr"] for group in opt.param_groups]


def rates(make, steps, lrs=LRS, losses=None):
    """The rates of both groups at steps 0, 1, 2, ..."""
    opt = sgd(*lrs)
    schedule = make(opt)
    found = [now(opt)]
    for t in range(steps - 1):
        schedule.step(*(() if losses is None else (losses[t],)))
        found.append(now(opt))
    return np.array(found)


def joined(opt):
    return SequentialLR(opt, [(WarmupLR(opt, 3), 3), (CosineLR(opt, 6), 6), (StepLR(opt, 2, 0.5), 1)])


# ------------------------------------------------------------------------------------- formulas

GOLDEN = {
    "StepLR": (lambda o: StepLR(o, 2, 0.5), [1, 1, 0.5, 0.5, 0.25]),
    "StepLR, default": (lambda o: StepLR(o, 1), [1, 0.1, 0.01]),
    "MultiStepLR": (lambda o: MultiStepLR(o, (1, 3), 0.5), [1, 0.5, 0.5, 0.25, 0.25]),
    "ExponentialLR": (lambda o: ExponentialLR(o, 0.5), [1, 0.5, 0.25, 0.125]),
    "ExponentialLR grows": (lambda o: ExponentialLR(o, 2.0), [1, 2, 4, 8]),
    "InverseLR": (lambda o: InverseLR(o, 1.0), [1, 1 / 2, 1 / 3, 1 / 4]),
    "InverseLR of rate 0": (lambda o: InverseLR(o, 0), [1, 1, 1]),
    "CosineLR": (lambda o: CosineLR(o, 4), [1, 0.5 + math.sqrt(1 / 8), 0.5, 0.5 - math.sqrt(1 / 8), 0, 0]),
    "WarmupLR": (lambda o: WarmupLR(o, 4), [0.25, 0.5, 0.75, 1, 1, 1]),
    "WarmupLR of 1": (lambda o: WarmupLR(o, 1), [1, 1]),
}  # fmt: skip


@pytest.mark.parametrize("case", GOLDEN)
def test_formulas(case):
    make, factors = GOLDEN[case]
    expected = np.outer(factors, LRS)
    np.testing.assert_allclose(rates(make, len(factors)), expected, rtol=1e-15, atol=1e-17)


def test_cosine_ends_exactly_at_its_minimum_and_stays():
    found = rates(lambda o: CosineLR(o, 5, minimum=0.01), 9)
    assert found[0].tolist() == list(LRS)
    assert (found[5:] == 0.01).all()
    np.testing.assert_allclose(found[1, 0], 0.01 + 0.09 * (1 + math.cos(math.pi / 5)) / 2, rtol=1e-15)
    assert (np.diff(found, axis=0)[:5] < 0).all()


def test_one_cycle_goes_from_each_groups_rate_to_the_peak_and_down():
    found = rates(lambda o: OneCycleLR(o, [1.0, 0.5], 20), 25)
    assert found[0].tolist() == list(LRS)
    assert found[5].tolist() == [1.0, 0.5]
    np.testing.assert_allclose(found[19], np.array(LRS) * 1e-4, rtol=1e-15)
    assert (found[20:] == found[19]).all()
    assert (np.diff(found[:6], axis=0) > 0).all()
    assert (np.diff(found[5:20], axis=0) < 0).all()
    assert (rates(lambda o: OneCycleLR(o, 1.0, 20), 6)[5] == 1.0).all()


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_the_shortest_cycles(steps):
    found = rates(lambda o: OneCycleLR(o, 1.0, steps), 6)
    np.testing.assert_allclose(found[steps - 1], np.array(LRS) * 1e-4)
    assert np.isfinite(found).all()


def test_plateau_cuts_after_patience_steps_without_progress():
    losses = [3.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0]
    found = rates(lambda o: ReduceOnPlateau(o, factor=0.5, patience=2), 10, losses=losses)
    np.testing.assert_allclose(found[:, 0] / 0.1, [1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25])
    np.testing.assert_allclose(found[:, 1] / 0.03, found[:, 0] / 0.1)


def test_plateau_of_patience_0_and_progress_below_the_threshold():
    losses = [1.0, 1.0 - 5e-5, 1.0 - 2e-4, 0.9]
    found = rates(lambda o: ReduceOnPlateau(o, 0.5, 0), 5, losses=losses)
    np.testing.assert_allclose(found[:, 0], [0.1, 0.1, 0.05, 0.05, 0.05])
    found = rates(lambda o: ReduceOnPlateau(o, 0.5, 0, threshold=0.0), 5, losses=losses)
    np.testing.assert_allclose(found[:, 0], 0.1)


def test_plateau_of_negative_losses_wants_lower_ones():
    found = rates(lambda o: ReduceOnPlateau(o, 0.5, 0), 4, losses=[-1.0, -0.99999, -2.0])
    np.testing.assert_allclose(found[:, 0], [0.1, 0.1, 0.05, 0.05])


@pytest.mark.parametrize(
    "one", [1, 1.0, np.float32(1), np.array([1.0]), np.array(1.0), lo.Tensor(1.0), lo.Parameter([1.0])]
)
def test_plateau_takes_losses_of_every_kind(one):
    opt = sgd()
    schedule = ReduceOnPlateau(opt, 0.5, 0)
    schedule.step(one)
    schedule.step(one)
    assert now(opt) == [0.05, 0.015]


@given(lr=st.floats(1e-8, 10.0), steps=st.integers(1, 50))
def test_falling_schedules_never_rise_and_stay_in_range(lr, steps):
    for make in (
        lambda o: StepLR(o, steps),
        lambda o: MultiStepLR(o, [steps, steps + 3]),
        lambda o: ExponentialLR(o, 1 - 1 / (steps + 1)),
        lambda o: InverseLR(o, 1 / steps),
        lambda o: CosineLR(o, steps, minimum=lr / 10),
    ):
        found = rates(make, 60, (lr,))[:, 0]
        assert found[0] == lr
        assert (np.diff(found) <= lr * 1e-15).all()
        assert (found >= 0).all()
    found = rates(lambda o: WarmupLR(o, steps), 60, (lr,))[:, 0]
    assert (np.diff(found) >= 0).all()
    assert (found[steps - 1 :] == lr).all()
    found = rates(lambda o: OneCycleLR(o, 2 * lr, steps), 60, (lr,))[:, 0]
    assert (found <= 2 * lr * (1 + 1e-15)).all()


def test_a_float32_model_stays_float32():
    w = lo.Parameter(np.ones(3, np.float32))
    opt = SGD([w], lr=0.1)
    schedule = CosineLR(opt, 5)
    for _ in range(7):
        opt.zero_grad()
        (w * w).sum().backward()
        opt.step()
        schedule.step()
    assert w.dtype == np.float32
    assert (np.abs(w.data) < 1).all()


# ------------------------------------------------------------------------- one after the other


def test_sequence_warms_up_and_then_falls():
    found = rates(joined, 12)[:, 0] / 0.1
    cosine = [(1 + math.cos(math.pi * t / 6)) / 2 for t in range(6)]
    np.testing.assert_allclose(found, [1 / 3, 2 / 3, 1, *cosine, 1, 1, 0.5], atol=1e-15)


def test_one_schedule_may_have_several_turns():
    def make(opt):
        restart = CosineLR(opt, 4)
        return SequentialLR(opt, [(restart, 4)] * 3)

    found = rates(make, 12)
    np.testing.assert_array_equal(found[:4], found[4:8])
    np.testing.assert_array_equal(found[:4], found[8:])


def test_sequences_nest():
    def make(opt):
        inner = SequentialLR(opt, [(WarmupLR(opt, 2), 2), (ExponentialLR(opt, 0.5), 3)])
        return SequentialLR(opt, [(inner, 4), (ExponentialLR(opt, 0.1), 5)])

    np.testing.assert_allclose(rates(make, 7)[:, 0] / 0.1, [0.5, 1, 1, 0.5, 1, 0.1, 0.01])


def test_a_schedule_made_beside_a_fresh_one_finds_the_users_rate():
    opt = sgd()
    WarmupLR(opt, 100)
    assert now(opt) == [0.001, 0.0003]
    ExponentialLR(opt, 0.5)
    assert now(opt) == list(LRS)


def test_a_schedule_made_after_another_one_starts_where_that_ended():
    opt = sgd()
    first = ExponentialLR(opt, 0.5)
    first.step()
    second = ExponentialLR(opt, 0.5)
    second.step()
    assert now(opt) == [0.025, 0.0075]


def test_a_rate_that_a_step_has_confirmed_is_the_new_start():
    opt = sgd()
    half = WarmupLR(opt, 2)
    SequentialLR(opt, [(half, 1), (half, 1)]).step()  # half of the rate, twice
    ExponentialLR(opt, 0.5)
    assert now(opt) == [0.05, 0.015]


def test_a_rate_set_by_hand_before_the_schedule_counts():
    opt = sgd()
    WarmupLR(opt, 2)
    opt.param_groups[0]["lr"] = 0.5
    schedule = ExponentialLR(opt, 0.5)
    schedule.step()
    assert now(opt) == [0.25, 0.015]


def test_two_schedules_that_both_step_are_found_out():
    opt = sgd()
    a, b = ExponentialLR(opt, 0.5), StepLR(opt, 1)
    a.step()
    with pytest.raises(OptionError, match=r"another schedule.*SequentialLR"):
        b.step()


# ----------------------------------------------------------------------------------------- peers


def torch_rates(make, steps, lrs=LRS, losses=None):
    torch = pytest.importorskip("torch", reason="compares with PyTorch (extra peers)")
    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in lrs]
    opt = torch.optim.SGD(groups, lr=1.0)
    schedule = make(torch.optim.lr_scheduler, opt)
    found = [now(opt)]
    for t in range(steps - 1):
        opt.step()
        schedule.step(*(() if losses is None else (losses[t],)))
        found.append(now(opt))
    return np.array(found)


def torch_sequence(L, o):
    parts = [
        L.LinearLR(o, 1 / 5, total_iters=4), L.ExponentialLR(o, 0.9), L.StepLR(o, 3, 0.5),
    ]  # fmt: skip
    return L.SequentialLR(o, parts, milestones=[5, 12])


PEERS = {
    "StepLR": (lambda o: StepLR(o, 7, 0.3), lambda L, o: L.StepLR(o, 7, 0.3), 60),
    "MultiStepLR": (
        lambda o: MultiStepLR(o, [3, 10, 11], 0.3), lambda L, o: L.MultiStepLR(o, [3, 10, 11], 0.3), 60
    ),
    "ExponentialLR": (lambda o: ExponentialLR(o, 0.97), lambda L, o: L.ExponentialLR(o, 0.97), 300),
    "CosineLR": (
        lambda o: CosineLR(o, 50, 1e-3), lambda L, o: L.CosineAnnealingLR(o, 50, eta_min=1e-3), 51
    ),
    "WarmupLR": (lambda o: WarmupLR(o, 9), lambda L, o: L.LinearLR(o, 1 / 9, total_iters=8), 30),
    "InverseLR": (lambda o: InverseLR(o, 0.3), lambda L, o: L.LambdaLR(o, lambda t: 1 / (1 + 0.3 * t)), 60),
    "OneCycleLR": (
        lambda o: OneCycleLR(o, [2.5, 0.75], 37),
        lambda L, o: L.OneCycleLR(o, [2.5, 0.75], 37, cycle_momentum=False),  # starts from peak / 25
        37,
    ),
    "SequentialLR": (
        lambda o: SequentialLR(
            o, [(WarmupLR(o, 5), 5), (ExponentialLR(o, 0.9), 7), (StepLR(o, 3, 0.5), 20)]
        ),
        torch_sequence,
        32,
    ),
}  # fmt: skip


@pytest.mark.peers
@pytest.mark.parametrize("case", PEERS)
def test_rates_are_pytorchs(case):
    ours, theirs, steps = PEERS[case]
    np.testing.assert_allclose(rates(ours, steps), torch_rates(theirs, steps), rtol=1e-12, atol=1e-15)


@pytest.mark.peers
def test_plateaus_are_pytorchs(rng):
    losses = np.abs(1 / np.arange(1, 101) ** 0.3 + 0.05 * rng.standard_normal(100))
    options = {"factor": 0.7, "patience": 3}
    ours = rates(lambda o: ReduceOnPlateau(o, **options), 101, losses=losses)
    theirs = torch_rates(lambda L, o: L.ReduceLROnPlateau(o, eps=0.0, **options), 101, losses=losses)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    assert len(list(itertools.groupby(ours[:, 0]))) > 5
