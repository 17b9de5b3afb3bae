"""Schedules: what they promise alike, their states, and what they refuse."""

import copy
import json
import math

import pytest

import tinygrad_lo as lo
from tinygrad_lo.errors import CheckpointError, DTypeError, NonFiniteError, OptionError, ShapeError
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


def joined(opt):
    return SequentialLR(opt, [(WarmupLR(opt, 3), 3), (CosineLR(opt, 6), 6), (StepLR(opt, 2, 0.5), 1)])


MAKERS = {
    "StepLR": lambda opt: StepLR(opt, 3, 0.5),
    "MultiStepLR": lambda opt: MultiStepLR(opt, [2, 5, 6], 0.5),
    "ExponentialLR": lambda opt: ExponentialLR(opt, 0.9),
    "InverseLR": lambda opt: InverseLR(opt, 0.5),
    "CosineLR": lambda opt: CosineLR(opt, 10, 0.001),
    "WarmupLR": lambda opt: WarmupLR(opt, 4),
    "OneCycleLR": lambda opt: OneCycleLR(opt, 1.0, 12),
    "OneCycleLR, two peaks": lambda opt: OneCycleLR(opt, [1.0, 0.5], 12),
    "ReduceOnPlateau": lambda opt: ReduceOnPlateau(opt, 0.5, 1),
    "SequentialLR": joined,
}
LOSSES = [5.0, 4.0, 4.0, 4.0, 4.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 2.0, 2.0]
every_maker = pytest.mark.parametrize("kind", MAKERS)


def advance(schedule, t):
    schedule.step(*((LOSSES[t],) if isinstance(schedule, ReduceOnPlateau) else ()))


# --------------------------------------------------------------------------------- state, texts


@every_maker
@pytest.mark.parametrize("stop", [0, 1, 4, 9])
def test_a_state_goes_through_json_and_continues_to_the_bit(kind, stop):
    opt = sgd()
    straight = MAKERS[kind](opt)
    for t in range(stop):
        advance(straight, t)
    state = json.loads(json.dumps(straight.state_dict(), allow_nan=False))
    other = sgd(0.02, 0.02)  # what stands there does not count
    resumed = MAKERS[kind](other)
    resumed.load_state_dict(state)
    assert now(other) == now(opt)
    for t in range(stop, 12):
        advance(straight, t)
        advance(resumed, t)
        assert now(other) == now(opt)
    assert resumed.state_dict() == straight.state_dict()


@every_maker
def test_what_is_done_to_a_state_does_not_reach_the_schedule(kind):
    schedule = MAKERS[kind](sgd())
    state, before = schedule.state_dict(), copy.deepcopy(schedule.state_dict())
    for value in state.values():
        if isinstance(value, list):
            value.clear()
    assert schedule.state_dict() == before


def changed(kind="StepLR", without=None, **values):
    state = {**MAKERS[kind](sgd()).state_dict(), **values}
    state.pop(without, None)
    return state


BAD_STATES = [
    ("no dict", "StepLR", lambda: [1], "this is no state of a schedule"),
    ("of another class", "StepLR", lambda: changed("CosineLR"), "this is the state of 'CosineLR'"),
    ("of no class", "StepLR", dict, "the state of None"),
    ("another option", "StepLR", lambda: changed(every=5),
     "saved with every=5, but this schedule has every=3"),
    ("missing", "StepLR", lambda: changed(without="t"), r"missing: \['t'\]"),
    ("unexpected", "StepLR", lambda: changed(gamma=1), r"unexpected: \['gamma'\]"),
    ("t negative", "StepLR", lambda: changed(t=-1), "t must be an int >= 0, got -1"),
    ("t a float", "StepLR", lambda: changed(t=1.5), "t must be an int >= 0, got 1.5"),
    ("initial nan", "StepLR", lambda: changed(initial=[0.1, math.nan]),
     r"initial\[1\] must be finite and >= 0, got nan"),
    ("initial beyond floats", "StepLR", lambda: changed(initial=[0.1, 10**400]),
     r"initial\[1\] must be finite and >= 0"),
    ("initial a number", "StepLR", lambda: changed(initial=0.1), "initial and joined must be lists, got 0.1"),
    ("other groups", "StepLR", lambda: changed(initial=[0.1]), "1 groups, the optimizer 2"),
    ("t beyond floats", "WarmupLR", lambda: changed("WarmupLR", t=10**400), "not finite"),
    ("counters", "ReduceOnPlateau", lambda: changed("ReduceOnPlateau", bad=-1),
     "bad must be an int >= 0, got -1"),
    ("best nan", "ReduceOnPlateau", lambda: changed("ReduceOnPlateau", best=math.nan),
     "best must be finite, got nan"),
    ("inner states", "SequentialLR", lambda: changed("SequentialLR", schedules=[]), "a list of 3 states"),
    ("an inner state", "SequentialLR", lambda: changed("SequentialLR", schedules=[{}, {}, {}]), "WarmupLR: "),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "state", "words"), [pytest.param(*case[1:], id=case[0]) for case in BAD_STATES]
)
def test_bad_states_change_nothing(kind, state, words):
    opt = sgd()
    schedule = MAKERS[kind](opt)
    advance(schedule, 0)
    before, lrs = schedule.state_dict(), now(opt)
    with pytest.raises(CheckpointError, match=rf"{words}.*; nothing was changed"):
        schedule.load_state_dict(state())
    assert schedule.state_dict() == before
    assert now(opt) == lrs


def test_repr_says_where_it_stands():
    opt = sgd()
    schedule = StepLR(opt, 2, 0.5)
    for _ in range(2):
        schedule.step()
    assert repr(schedule) == "StepLR(every=2, factor=0.5), step 2, lr 0.05, 0.015"
    assert repr(InverseLR(sgd(), 0.5)) == "InverseLR(rate=0.5), step 0, lr 0.1, 0.03"
    assert repr(SequentialLR(opt, [(WarmupLR(opt, 5), 5), (CosineLR(opt, 9), 9)])) == (
        "SequentialLR([(WarmupLR(steps=5), 5), (CosineLR(steps=9, minimum=0.0), 9)]), step 0, lr 0.01, 0.003"
    )


# -------------------------------------------------------------------------------------- refusals


def stepped(opt):
    schedule = StepLR(opt, 1)
    schedule.step()
    return schedule


BAD = [
    ("no optimizer", lambda o: StepLR([1], 3), ["StepLR: opt must be an optimizer, got list"]),
    *[(f"every={x!r}", lambda o, x=x: StepLR(o, x), [f"StepLR: every must be an int >= 1, got {x!r}"])
      for x in (0, -1, 1.5, True, None, "3")],
    *[(f"factor={x!r}", lambda o, x=x: StepLR(o, 1, x), [f"StepLR: factor must be finite and > 0, got {x!r}"])
      for x in (0, -0.1, math.nan, math.inf, True, "0.1", None, 10**400)],
    *[(f"at={x!r}", lambda o, x=x: MultiStepLR(o, x), [f"rising list of ints >= 1, got {x!r}"])
      for x in ([], [3, 2], [2, 2], [0], [1.5], 3, "12", None)],
    ("multi factor", lambda o: MultiStepLR(o, [1], 0), ["MultiStepLR: factor must be"]),
    ("exponential factor", lambda o: ExponentialLR(o, -1), ["ExponentialLR: factor must be"]),
    ("inverse rate", lambda o: InverseLR(o, -1), ["InverseLR: rate must be finite and >= 0, got -1"]),
    ("cosine steps", lambda o: CosineLR(o, 0), ["CosineLR: steps must be an int >= 1, got 0"]),
    ("cosine minimum", lambda o: CosineLR(o, 5, -1.0), ["CosineLR: minimum must be finite and >= 0"]),
    ("cosine minimum nan", lambda o: CosineLR(o, 5, math.nan), ["got nan"]),
    ("cosine minimum above", lambda o: CosineLR(o, 5, 0.05), ["minimum 0.05 is above the lr 0.03"]),
    ("warmup steps", lambda o: WarmupLR(o, 2.0), ["WarmupLR: steps must be an int >= 1, got 2.0"]),
    ("peak", lambda o: OneCycleLR(o, 0, 5), ["OneCycleLR: peak must be finite and > 0, got 0"]),
    ("peak below", lambda o: OneCycleLR(o, 0.05, 5), ["peak 0.05 is below the lr 0.1 of group 0"]),
    ("peak of a group", lambda o: OneCycleLR(o, [1.0, math.nan], 5), ["peak of group 1 must be"]),
    ("too few peaks", lambda o: OneCycleLR(o, [1.0], 5), ["1 peaks for 2 groups"]),
    ("cycle steps", lambda o: OneCycleLR(o, 1.0, 0), ["steps must be"]),
    ("plateau factor", lambda o: ReduceOnPlateau(o, 1.0), ["factor must be in (0, 1), got 1.0"]),
    ("plateau patience", lambda o: ReduceOnPlateau(o, patience=-1), ["patience must be an int >= 0, got -1"]),
    ("plateau threshold", lambda o: ReduceOnPlateau(o, threshold=2), ["threshold must be in [0, 1], got 2"]),
    ("no schedules", lambda o: SequentialLR(o, []), ["list of (schedule, steps), got []"]),
    ("not a list", lambda o: SequentialLR(o, StepLR(o, 1)), ["list of (schedule, steps)"]),
    ("no pair", lambda o: SequentialLR(o, [StepLR(o, 1)]), ["entry 0 must be (schedule, steps)"]),
    ("no steps", lambda o: SequentialLR(o, [(StepLR(o, 1), -1)]), ["steps of entry 0 must be an int >= 0"]),
    ("of another", lambda o: SequentialLR(o, [(StepLR(sgd(), 1), 1)]), ["belongs to another optimizer"]),
    ("plateau inside", lambda o: SequentialLR(o, [(ReduceOnPlateau(o), 1)]), ["needs the loss"]),
    ("one that has stepped", lambda o: SequentialLR(o, [(stepped(o), 1)]), ["StepLR, is at step 1 already"]),
]  # fmt: skip


@pytest.mark.parametrize(("call", "words"), [pytest.param(*case[1:], id=case[0]) for case in BAD])
def test_bad_options_are_refused_in_words(call, words):
    with pytest.raises(OptionError) as caught:
        call(sgd())
    for word in words:
        assert word in str(caught.value)


def test_a_refused_schedule_leaves_the_rates():
    opt = sgd()
    for make in (lambda: CosineLR(opt, 5, 0.05), lambda: OneCycleLR(opt, 0.05, 5)):
        with pytest.raises(OptionError):
            make()
        assert now(opt) == list(LRS)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, lo.Tensor(math.nan)])
def test_plateau_refuses_losses_that_are_not_finite(bad):
    opt = sgd()
    schedule = ReduceOnPlateau(opt, 0.5, 0)
    schedule.step(1.0)
    before = schedule.state_dict()
    with pytest.raises(NonFiniteError, match=r"ReduceOnPlateau: the loss of step 1 is -?(nan|inf)"):
        schedule.step(bad)
    assert schedule.state_dict() == before


def test_plateau_refuses_what_is_no_number():
    schedule = ReduceOnPlateau(sgd())
    with pytest.raises(ShapeError, match=r"one number, got shape \(2,\); reduce it, e.g. loss.mean\(\)"):
        schedule.step([1.0, 2.0])
    for bad in ("1", None, True, 1j):
        with pytest.raises(DTypeError, match="the loss must be a number"):
            schedule.step(bad)


def test_a_rate_that_outgrows_the_floats_is_refused_before_it_is_set():
    opt = sgd()
    schedule = ExponentialLR(opt, 1e200)
    schedule.step()
    with pytest.raises(
        OptionError, match="ExponentialLR: at step 2 the lr of group 0 is not finite any more"
    ):
        schedule.step()
    assert now(opt) == [0.1 * 1e200, 0.03 * 1e200]
    assert schedule.t == 1
