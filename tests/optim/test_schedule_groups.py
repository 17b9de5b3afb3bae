"""Groups that join an optimizer while a schedule runs: their rate is the one given, then in proportion."""

import copy
import json
import math
import pickle
import warnings

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.errors import CheckpointError
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


def sgd(*lrs):
    return SGD([{"params": [lo.Parameter(1.0)], "lr": lr} for lr in lrs], lr=1.0)


def now(opt):
    return [group["lr"] for group in opt.param_groups]


def join(opt, lr):
    opt.add_param_group({"params": [lo.Parameter(2.0)], "lr": lr})


def joined(opt):
    return SequentialLR(opt, [(WarmupLR(opt, 3), 3), (CosineLR(opt, 6), 6), (StepLR(opt, 2, 0.5), 1)])


MAKERS = {
    "StepLR": lambda opt: StepLR(opt, 3, 0.5),
    "MultiStepLR": lambda opt: MultiStepLR(opt, [2, 5, 6], 0.5),
    "ExponentialLR": lambda opt: ExponentialLR(opt, 0.9),
    "InverseLR": lambda opt: InverseLR(opt, 0.5),
    "CosineLR": lambda opt: CosineLR(opt, 10),
    "CosineLR, minimum": lambda opt: CosineLR(opt, 10, 0.001),
    "WarmupLR": lambda opt: WarmupLR(opt, 7),
    "OneCycleLR": lambda opt: OneCycleLR(opt, 1.0, 12),
    "OneCycleLR, peaks": lambda opt: OneCycleLR(opt, [1.0], 12),
    "ReduceOnPlateau": lambda opt: ReduceOnPlateau(opt, 0.5, 1),
    "SequentialLR": joined,
}
LOSSES = [5.0, 4.0, 4.0, 4.0, 4.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 2.0, 2.0]
every_maker = pytest.mark.parametrize("kind", MAKERS)


def advance(schedule, t):
    schedule.step(*((LOSSES[t],) if isinstance(schedule, ReduceOnPlateau) else ()))


@pytest.mark.parametrize(
    ("make", "steps", "given", "expected"),
    [
        (lambda o: ExponentialLR(o, 0.5), 3, 0.7, 0.35),
        (lambda o: StepLR(o, 2, 0.5), 3, 0.7, 0.35),
        (lambda o: ExponentialLR(o, 0.8), 5, 0.3, 0.24),
        (lambda o: InverseLR(o, 1.0), 3, 0.7, 0.56),  # from 1/4 to 1/5
        (lambda o: CosineLR(o, 4), 2, 0.7, 1.4 * (0.5 - math.sqrt(1 / 8))),
    ],
)
def test_the_rate_given_is_the_rate_now(make, steps, given, expected):
    opt = sgd(1.0)
    schedule = make(opt)
    for _ in range(steps):
        schedule.step()
    join(opt, given)
    assert now(opt)[1] == given
    schedule.step()
    assert now(opt)[1] == pytest.approx(expected, rel=1e-14)


@every_maker
@pytest.mark.parametrize("late", [0, 1, 4, 8])
@pytest.mark.filterwarnings("ignore:.*joins with lr")
def test_a_later_group_keeps_its_proportion_to_the_first(kind, late):
    opt = sgd(0.1)
    schedule = MAKERS[kind](opt)
    for t in range(late):
        advance(schedule, t)
    join(opt, 0.07)
    ratio = 0.07 / now(opt)[0]
    for t in range(late, 13):
        if now(opt)[0] == 0.0:
            break
        assert now(opt)[1] == pytest.approx(ratio * now(opt)[0], rel=1e-13)
        advance(schedule, t)


def test_of_groups_that_differ_their_sum_counts_even_if_one_is_frozen_at_0():
    opt = sgd(0.0, 0.2)
    schedule = ExponentialLR(opt, 0.5)
    schedule.step()
    join(opt, 0.7)
    schedule.step()
    assert now(opt) == [0.0, 0.05, 0.35]


def test_a_group_that_joins_when_the_others_have_come_to_0_stays_as_it_is():
    opt = sgd(0.2)
    schedule = CosineLR(opt, 2)
    schedule.step()
    schedule.step()
    join(opt, 0.7)
    schedule.step()
    assert now(opt) == [0.0, 0.7]


def test_two_groups_that_join_one_after_the_other():
    opt = sgd(1.0)
    schedule = ExponentialLR(opt, 0.5)
    schedule.step()
    join(opt, 0.7)
    schedule.step()
    join(opt, 0.8)
    schedule.step()
    assert now(opt) == pytest.approx([0.125, 0.175, 0.4], rel=1e-15)


def test_a_rate_set_by_hand_before_the_next_step_is_the_rate_that_counts():
    opt = sgd(1.0)
    schedule = ExponentialLR(opt, 0.5)
    join(opt, 0.7)
    opt.param_groups[1]["lr"] = 0.3
    schedule.step()
    assert now(opt) == [0.5, 0.15]


def test_a_rate_set_by_hand_after_the_group_was_met_is_not_overwritten():
    opt = sgd(1.0)
    schedule = ExponentialLR(opt, 0.5)
    join(opt, 0.7)
    schedule.state_dict()
    opt.param_groups[1]["lr"] = 0.3
    with pytest.raises(lo.errors.OptionError, match=r"group 1 has lr 0.3, but this schedule set 0.7"):
        schedule.step()


def test_a_schedule_in_a_sequence_may_be_older_than_a_group():
    opt = sgd(1.0)
    fall = ExponentialLR(opt, 0.5)
    join(opt, 0.8)
    schedule = SequentialLR(opt, [(fall, 2), (fall, 9)])
    schedule.step()
    assert now(opt) == [0.5, 0.4]


# ------------------------------------------------------------------------------------ on the way up


@pytest.mark.parametrize(
    ("make", "steps", "reached"),
    [
        (lambda o: WarmupLR(o, 8), 0, 0.8),
        (lambda o: WarmupLR(o, 8), 1, 0.4),
        (lambda o: OneCycleLR(o, 0.5, 10), 0, 0.5),
        (lambda o: OneCycleLR(o, [0.5], 10), 1, 1 / 6),
        # The step after the peak is higher than the one before.
        (lambda o: OneCycleLR(o, 0.5, 9), 0, 0.5 - 0.49999 * math.sin(math.pi / 42) ** 2),
        (lambda o: SequentialLR(o, [(StepLR(o, 1), 2), (WarmupLR(o, 8), 4), (StepLR(o, 3), 1)]), 3, 0.4),
        (lambda o: SequentialLR(o, [(WarmupLR(o, 2), 2), (StepLR(o, 3), 1)]), 0, 0.2),
        (lambda o: MultiStepLR(o, [2, 4], 2.0), 1, 0.4),
    ],
)  # fmt: skip
def test_joining_a_climb_is_warned_of_and_names_what_will_be_reached(make, steps, reached):
    opt = sgd(0.1)
    schedule = make(opt)
    for _ in range(steps):
        schedule.step()
    with pytest.warns(UserWarning, match=f"group 1 joins with lr 0.1 .* will reach {reached:g}") as seen:
        join(opt, 0.1)
    assert len(seen) == 1
    assert seen[0].filename == __file__
    highest = 0.1
    for _ in range(30):
        schedule.step()
        highest = max(highest, now(opt)[1])
    assert highest == pytest.approx(reached)


def test_the_warning_in_full():
    opt = sgd(0.1)
    schedule = WarmupLR(opt, 8)
    schedule.step()
    with pytest.warns(UserWarning, match="WarmupLR") as seen:
        join(opt, 0.1)
    assert str(seen[0].message) == (
        "WarmupLR: group 1 joins with lr 0.1 while the rates still rise; with them it will reach 0.4. "
        "To reach 0.1, add it with lr 0.025"
    )


@pytest.mark.parametrize(
    ("make", "steps"),
    [
        (lambda o: WarmupLR(o, 4), 3),
        (lambda o: OneCycleLR(o, 0.5, 10), 2),
        (joined, 2),
        (joined, 7),
        (lambda o: StepLR(o, 2), 1),
        (lambda o: MultiStepLR(o, [2, 4], 0.5), 1),
    ],
)
def test_off_a_climb_nothing_is_said(make, steps):
    opt = sgd(0.1)
    schedule = make(opt)
    for _ in range(steps):
        schedule.step()
    join(opt, 0.1)


def test_a_schedule_that_nobody_holds_says_nothing():
    opt = sgd(0.1)
    WarmupLR(opt, 8)
    join(opt, 0.1)
    _of_another = WarmupLR(sgd(0.1), 8)
    assert now(opt) == [0.1 / 8, 0.1]


@pytest.mark.parametrize("how", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_know_each_other(how):
    opt = sgd(0.1)
    twin, _schedule = how((opt, WarmupLR(opt, 8)))
    with pytest.warns(UserWarning, match="will reach 0.8"):
        join(twin, 0.1)


# ------------------------------------------------------------------------------------------ resumed


@every_maker
@pytest.mark.parametrize("built", ["together", "one after the other"])
def test_a_resumed_run_goes_on_to_the_bit(kind, built):
    if kind == "OneCycleLR, peaks" and built == "together":
        pytest.skip("two groups from the start want two peaks")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        opt = sgd(0.1)
        straight = MAKERS[kind](opt)
        for t in range(4):
            advance(straight, t)
        join(opt, 0.07)
        advance(straight, 4)
        saved = json.loads(json.dumps(straight.state_dict(), allow_nan=False))
        other = sgd(0.02, 0.02) if built == "together" else sgd(0.02)
        resumed = MAKERS[kind](other)
        if built != "together":
            join(other, 0.5)
    resumed.load_state_dict(saved)
    assert now(other) == now(opt)
    for t in range(5, 12):
        advance(straight, t)
        advance(resumed, t)
        assert now(other) == now(opt)
    assert resumed.state_dict() == straight.state_dict()


@pytest.mark.parametrize(
    ("joined", "words"),
    [
        ([[0.1]], r"joined\[0\] must be a pair of numbers, got \[0.1\]"),
        ([[0.1, -1.0]], r"joined\[0\]\[1\] must be finite and >= 0, got -1.0"),
        ({}, "initial and joined must be lists"),
        ([[0.1, np.inf]], r"joined\[0\]\[1\] must be finite and >= 0, got inf"),
        ([[0.1, 1.0], [0.1, 1.0]], "the state has 3 groups, the optimizer 2"),
    ],
)
def test_an_impossible_state_is_refused(joined, words):
    opt = sgd(0.1)
    schedule = ExponentialLR(opt, 0.5)
    join(opt, 0.1)
    state = {**schedule.state_dict(), "joined": joined}
    with pytest.raises(CheckpointError, match=words):
        schedule.load_state_dict(state)


def test_peaks_that_do_not_fit_the_first_groups_are_refused():
    opt = sgd(0.1, 0.2)
    schedule = OneCycleLR(opt, [1.0, 1.0], 9)
    state = {**schedule.state_dict(), "initial": [0.1], "joined": [[0.2, 0.1]]}
    with pytest.raises(CheckpointError, match="2 peaks for 1 groups"):
        schedule.load_state_dict(state)
