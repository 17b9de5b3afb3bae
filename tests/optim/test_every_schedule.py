"""What every schedule promises: whichever class lo.optim lists is checked, and named nowhere here."""

import copy
import inspect
import json
import math
import pickle

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.errors import CheckpointError, OptionError, UnknownNameError, UnknownOptionError
from tinygrad_lo.optim.groups import options_of
from tinygrad_lo.optim.schedule import Schedule
from tinygrad_lo.options import number, public

LOSSES = [5.0, 4.0, 4.0, 4.0, 4.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 2.0] * 4


def schedules():
    """Every schedule that the room lists."""
    things = [getattr(lo.optim, name) for name in lo.optim.__all__]
    return [thing for thing in things if isinstance(thing, type) and issubclass(thing, Schedule)]


def sgd(*lrs):
    groups = [{"params": lo.Parameter([1.0]), "lr": lr} for lr in lrs or (0.125, 0.03)]
    return lo.optim.SGD(groups, lr=1.0)


def in_a_row(opt):
    return [(lo.optim.ExponentialLR(opt, 0.5), 3), (lo.optim.StepLR(opt, 2), 4)]


def slower(t):
    """A factor that falls."""
    return 1.0 / (1 + t)


# A value that an option of this type takes, mostly.
USUAL = {"int": 3, "float": 2.0**-7, "Any": [2, 5], "str": "max", "Callable": slower}


def kind_of(option):
    return getattr(option.annotation, "__name__", option.annotation).partition("[")[0]


def values(kind, without=None):
    return {name: USUAL[kind_of(option)] for name, option in options_of(kind).items() if name != without}


def build(kind, opt):
    """One with a value for each option."""
    try:
        return kind(opt, **values(kind))
    except OptionError:
        return kind(opt, in_a_row(opt))


def go(schedule, begin, end):
    rates = []
    for t in range(begin, end):
        schedule.step(*([LOSSES[t]] if inspect.signature(schedule.step).parameters else []))
        rates.append([group["lr"] for group in schedule.optimizer.param_groups])
    return rates


def rates_are_the_formula(kind):
    schedule = build(kind, sgd())
    seen = [list(schedule.last)]
    for t in range(12):
        (rates,) = go(schedule, t, t + 1)
        seen.append(rates)
        assert schedule.t == t + 1
        assert all(type(lr) is float and 0.0 <= lr < math.inf for lr in rates)
        assert rates == schedule.last == [schedule.lr(t + 1, i) for i in range(2)]
    assert any(rates != [0.125, 0.03] for rates in seen)


def a_state_goes_through_json_and_on(kind):
    for stop in (0, 1, 5, 9):
        straight, resumed = (build(kind, sgd(*lrs)) for lrs in ((0.125, 0.03), (0.02, 0.02)))
        go(straight, 0, stop)
        resumed.load_state_dict(json.loads(json.dumps(straight.state_dict(), allow_nan=False)))
        assert resumed.last == straight.last
        assert go(resumed, stop, 14) == go(straight, stop, 14)
        assert resumed.state_dict() == straight.state_dict()


def files_bring_it_back(kind, tmp_path):
    straight, resumed = build(kind, sgd()), build(kind, sgd())
    go(straight, 0, 5)
    lo.save(tmp_path / "run", optimizer=straight.optimizer, schedule=straight)
    lo.load(tmp_path / "run", optimizer=resumed.optimizer, schedule=resumed)
    assert go(resumed, 5, 14) == go(straight, 5, 14)


def copies_go_on_alone(kind):
    schedule = build(kind, sgd())
    go(schedule, 0, 3)
    twins = [how(schedule) for how in (copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x)))]
    rates = go(schedule, 3, 9)
    for twin in twins:
        assert twin.optimizer is not schedule.optimizer
        assert go(twin, 3, 9) == rates
        assert repr(twin) == repr(schedule)


def options_are_read_and_checked(kind):
    for name, option in options_of(kind).items():
        what = kind_of(option)
        for number_type in {"int": [np.int64, np.uint8], "float": [np.float32, np.float64]}.get(what, []):
            schedule = kind(sgd(), **values(kind, name), **{name: number_type(USUAL[what])})
            kept = getattr(schedule, name)
            assert (kept, type(kept)) == (USUAL[what], type(USUAL[what]))
        for bad in (None, "x", math.nan, -1, {}, *([True, 1.5] if what == "int" else [])):
            opt = sgd()
            with pytest.raises(OptionError, match=rf"^{kind.__name__}: {name}.* must be "):
                kind(opt, **values(kind, name), **{name: bad})
            assert [group["lr"] for group in opt.param_groups] == [0.125, 0.03]


def unknown_options_and_names_are_answered(kind):
    names = ", ".join(options_of(kind))
    with pytest.raises(
        UnknownOptionError, match=f"^{kind.__name__} has no option 'qqq'. Options are opt, {names}"
    ):
        kind(sgd(), qqq=1)
    for name in options_of(kind):
        with pytest.raises(UnknownOptionError, match=f"'{name}_'; did you mean '{name}'"):
            kind(sgd(), **{name + "_": 1})
    with pytest.raises(OptionError, match=f"^{kind.__name__}: (opt must be an optimizer, got list|entry 0)"):
        kind([1], **values(kind))
    schedule = build(kind, sgd())
    with pytest.raises(UnknownNameError, match=f"^{kind.__name__} has no 'get_last_lr'; did you mean 'last'"):
        schedule.get_last_lr()
    assert not hasattr(schedule, "named_parameters")


def bad_states_change_nothing(kind):
    schedule = build(kind, sgd())
    go(schedule, 0, 3)
    good, rates = schedule.state_dict(), list(schedule.last)
    for bad in (
        None,
        [],
        {},
        {**good, "class": "Another"},
        {**good, "t": -1},
        {**good, "gamma": 1},
        {**good, "initial": [0.1]},
        {**good, "initial": None},
        {**good, "initial": [0.1, math.nan]},
        {**good, "joined": [[1.0]]},
        *({k: x for k, x in good.items() if k != name} for name in good),
    ):
        with pytest.raises(CheckpointError, match=f"^{kind.__name__}: .*; nothing was changed$"):
            schedule.load_state_dict(bad)
        assert (schedule.state_dict(), schedule.last) == (good, rates)


def rates_set_by_hand_are_kept(kind):
    schedule = build(kind, sgd())
    go(schedule, 0, 1)
    before = schedule.state_dict()
    schedule.optimizer.param_groups[1]["lr"] = 0.77
    with pytest.raises(OptionError, match=r"group 1 has lr 0.77, but this schedule set"):
        go(schedule, 1, 2)
    assert schedule.optimizer.param_groups[1]["lr"] == 0.77
    assert schedule.state_dict() == before


def the_text_says_the_options(kind):
    schedule = build(kind, sgd())
    assert repr(schedule).startswith(f"{kind.__name__}(")
    assert ", step 0, lr " in repr(schedule)
    for name, value in schedule.options().items():
        assert f"{name}={value!r}" in repr(schedule) or name == "steps"


CHECKS = [
    rates_are_the_formula,
    a_state_goes_through_json_and_on,
    files_bring_it_back,
    copies_go_on_alone,
    options_are_read_and_checked,
    unknown_options_and_names_are_answered,
    bad_states_change_nothing,
    rates_set_by_hand_are_kept,
    the_text_says_the_options,
]
every_check = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)


def call(check, kind, tmp_path):
    check(*((kind, tmp_path) if "tmp_path" in inspect.signature(check).parameters else (kind,)))


@every_check
@pytest.mark.parametrize("kind", schedules(), ids=lambda kind: kind.__name__)
def test_it_is_kept(kind, check, tmp_path):
    call(check, kind, tmp_path)


# --------------------------------------------------------------------- a schedule that is planted here


class PlantedLR(Schedule):
    """lr(t) = lr₀ / (1 + rate · t²)."""

    @public
    def __init__(self, opt, rate: float = 0.25):
        self.rate = number("PlantedLR", "rate", rate, at_least=0.0)
        super().__init__(opt)

    def lr(self, t, i):
        return self.initial[i] / (1.0 + self.rate * t * t)


def test_it_is_picked_up(monkeypatch):
    monkeypatch.setattr(lo.optim, "PlantedLR", PlantedLR, raising=False)
    monkeypatch.setattr(lo.optim, "__all__", [*lo.optim.__all__, "PlantedLR"])
    assert PlantedLR in schedules()


@every_check
def test_it_keeps_all_promises(check, tmp_path):
    call(check, PlantedLR, tmp_path)


MISTAKES = {
    "rates are not the formula's": (
        {"lr_of_group": lambda *a: Schedule.lr_of_group(*a) / 2},
        rates_are_the_formula,
    ),
    "rates do not change": ({"lr": lambda self, t, i: self.initial[i]}, rates_are_the_formula),
    "a count that is not saved": (
        {
            "lr": lambda self, t, i: (
                self.__dict__.setdefault("rates", iter(range(99, 1, -1))).__next__() / 100.0
            )
        },
        a_state_goes_through_json_and_on,
    ),
    "options that are not read": (
        {
            "__init__": public(
                lambda self, opt, rate=0.25: (setattr(self, "rate", rate), Schedule.__init__(self, opt))[1]
            )
        },
        unknown_options_and_names_are_answered,
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_found(mistake, tmp_path):
    changes, check = MISTAKES[mistake]
    with pytest.raises((AssertionError, TypeError, OptionError)):
        call(check, type("PlantedLR", (PlantedLR,), changes), tmp_path)
