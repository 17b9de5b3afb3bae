"""lo.optim.parameter_groups, LambdaLR, and what ReduceOnPlateau and SequentialLR can besides."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.optim.optimizer import Optimizer

LOSSES = [5, 4, 4, 4, 4, 4, 3, 3, 3, 3, 3, 3, 3, 2.9, 2.9, 2.9, 2.9, 2.9]
RISING = [1, 2, 3, 3, 3, 3.0001, 4, 4, 4, 4, 4, 4.1]


def sgd(lr=1.0):
    return lo.optim.SGD([lo.Parameter([1.0], name="w")], lr=lr)


# torch 2.13, ReduceLROnPlateau(factor=0.5, patience=1, ...): the rate after each step.
PLATEAUS = [
    (LOSSES, {}, [1, 1, 1, 2, 2, 4, 4, 4, 8, 8, 16, 16, 32, 32, 32, 64, 64, 128]),
    (LOSSES, {"cooldown": 2}, [1, 1, 1, 2, 2, 2, 2, 2, 4, 4, 4, 4, 8, 8, 8, 8, 16, 16]),
    (LOSSES, {"minimum": 0.2}, [1, 1, 1, 2, 2, 4, 4, 4, *[5] * 10]),
    (RISING, {"mode": "max", "cooldown": 1}, [1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4]),
]


@pytest.mark.parametrize(("losses", "options", "divisors"), PLATEAUS)
def test_a_plateau_is_pytorchs(losses, options, divisors):
    opt = sgd()
    schedule = lo.optim.ReduceOnPlateau(opt, factor=0.5, patience=1, **options)
    rates = []
    for loss in losses:
        schedule.step(loss)
        rates.append(opt.param_groups[0]["lr"])
    assert rates == [1 / n for n in divisors]


def test_a_plateau_goes_on_in_the_middle_of_its_cooldown():
    schedules = [lo.optim.ReduceOnPlateau(sgd(), factor=0.5, patience=1, cooldown=2) for _ in range(2)]
    for loss in LOSSES[:5]:
        schedules[0].step(loss)
    schedules[1].load_state_dict(schedules[0].state_dict())
    for loss in LOSSES[5:]:
        for schedule in schedules:
            schedule.step(loss)
        assert schedules[0].last == schedules[1].last
    assert schedules[0].last == [1 / 16]


def test_a_minimum_above_the_rate_is_refused():
    with pytest.raises(lo.errors.OptionError, match=r"minimum 2.0 is above the lr 1.0 of group 0"):
        lo.optim.ReduceOnPlateau(sgd(), minimum=2.0)


def test_a_factor_of_the_step():
    opt = sgd(0.5)
    schedule = lo.optim.LambdaLR(opt, lambda t: 0.9**t)
    rates = [opt.param_groups[0]["lr"]]
    for _ in range(2):
        schedule.step()
        rates.append(opt.param_groups[0]["lr"])
    assert rates == [0.5, 0.5 * 0.9, 0.5 * 0.9**2]
    bad = lo.optim.LambdaLR(sgd(), lambda t: -1 if t == 1 else 1.0)
    with pytest.raises(lo.errors.OptionError, match=r"LambdaLR: factor\(1\) must be finite and >= 0, got -1"):
        bad.step()
    assert bad.t == 0


def test_a_factor_for_each_group():
    opt = lo.optim.SGD([{"params": lo.Parameter([1.0])}, {"params": lo.Parameter([1.0])}], lr=0.5)
    schedule = lo.optim.LambdaLR(opt, [lambda t: 1 / (1 + t), lambda t: 0.1**t])
    schedule.step()
    assert [group["lr"] for group in opt.param_groups] == [0.25, 0.05]
    for factors in ([lambda t: 1.0], [], [lambda t: 1.0] * 3):
        with pytest.raises(lo.errors.OptionError, match=f"{len(factors)} factors for 2 groups"):
            lo.optim.LambdaLR(opt, factors)
    with pytest.raises(lo.errors.OptionError, match="a function of the step, or a list, got"):
        lo.optim.LambdaLR(opt, [lambda t: 1.0, 0.5])


def test_a_group_that_joins_a_plateau_stays_above_the_minimum_or_where_it_began():
    opt = sgd()
    schedule = lo.optim.ReduceOnPlateau(opt, factor=0.1, patience=0, minimum=0.2)
    for lr in (0.3, 0.05):
        opt.add_param_group({"params": [lo.Parameter([1.0])], "lr": lr})
    for _ in range(4):
        schedule.step(1.0)
    assert schedule.last == [0.2, 0.2, 0.05]


def test_parts_of_no_steps_are_left_out():
    opt = sgd(0.8)
    parts = [
        (lo.optim.WarmupLR(opt, 4), 0),
        (lo.optim.ExponentialLR(opt, 0.5), 2),
        (lo.optim.StepLR(opt, 1), 0),
    ]
    schedule = lo.optim.SequentialLR(opt, parts)
    assert [schedule.lr(t, 0) for t in range(4)] == pytest.approx([0.8, 0.4, 0.8, 0.08])
    assert opt.param_groups[0]["lr"] == 0.8


def model():
    return lo.nn.Sequential(lo.nn.Linear(2, 3, rng=0), lo.nn.ReLU(), lo.nn.Linear(3, 1, rng=0))


def test_later_patterns_win_and_equal_options_are_one_group():
    groups = lo.optim.parameter_groups(
        model(),
        {"*": {"lr": 0.1}, "*.bias": {"weight_decay": 0.0}, "2.*": {"lr": 0.2}, "2.bias": {"lr": 0.1}},
    )
    described = [([p.name for p in group.pop("params")], group) for group in groups]
    assert described == [
        (["0.weight"], {"lr": 0.1}),
        (["0.bias", "2.bias"], {"lr": 0.1, "weight_decay": 0.0}),
        (["2.weight"], {"lr": 0.2}),
    ]


def test_equal_numbers_of_other_types_are_equal_options():
    patterns = {"*.weight": {"lr": 1}, "*.bias": {"lr": np.float64(1.0)}}
    assert len(lo.optim.parameter_groups(model(), patterns)) == 1


def test_what_matches_nothing_keeps_the_optimizers_options():
    opt = lo.optim.Adam(lo.optim.parameter_groups(model(), {"0.*": {"lr": 0.5}}), lr=0.1)
    assert [(len(group["params"]), group["lr"]) for group in opt.param_groups] == [(2, 0.5), (2, 0.1)]
    again = lo.optim.Adam(lo.optim.parameter_groups(model(), {"0.*": {"lr": 0.5}}), lr=0.1)
    again.load_state_dict(opt.state_dict())
    assert [group["lr"] for group in again.param_groups] == [0.5, 0.1]


def test_pairs_and_dicts_are_named_as_they_say():
    W, b = lo.Parameter([[1.0]], name="inner"), lo.Parameter([0.0])
    groups = lo.optim.parameter_groups({"W": W, "b": b}, {"b": {"weight_decay": 0.0}})
    assert groups == [{"params": [("W", W)]}, {"params": [b], "weight_decay": 0.0}]
    assert b.name == "b"


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        ({"*.biass": {"lr": 0.1}}, r"'\*.biass' matches none of \['0.weight', '0.bias'.*did you mean"),
        ({"*.bias": 0.1}, "patterns is a dict such as"),
        (["*.bias"], "patterns is a dict such as"),
        ({3: {"lr": 0.1}}, "a pattern gives options to names, got 3"),
        ({"*": {"params": []}}, "a pattern gives options to names"),
    ],
)
def test_patterns_that_are_refused(patterns, message):
    with pytest.raises(lo.errors.OptionError, match=message):
        lo.optim.parameter_groups(model(), patterns)


def test_an_option_that_the_optimizer_lacks_is_met_by_it():
    with pytest.raises(lo.errors.OptionError, match="did you mean 'momentum'"):
        lo.optim.SGD(lo.optim.parameter_groups(model(), {"*": {"momentumm": 0.9}}), lr=0.1)


def test_an_optimizer_of_ones_own_may_have_options_of_any_type():
    class Odd(Optimizer):
        def __init__(self, params, lr: float = 0.1, *, way: str = "down", table=None):
            self._begin(locals())

        def rule(self, w, g, _, group):
            return w - group["lr"] * g if group["way"] == "down" else w + group["lr"] * g

    opt = Odd([lo.Parameter([1.0], name="w")], way="up", table={1: 2})
    assert (opt.param_groups[0]["way"], opt.param_groups[0]["table"]) == ("up", {1: 2})


def test_the_docstring_of_an_option_that_only_the_rule_knows():
    class Odd(Optimizer):
        """Goes its own way.

            {rule}

        Source:   nobody.
        """

        def __init__(self, params, lr: float = 0.1, *, way: str = "down"):
            self._begin(locals())

        def equations(self, group):
            return [f"w ← w − {group['lr']} · g"]

    assert "way is of a type that only the rule knows" in " ".join(Odd.__doc__.split())


def test_a_default_that_is_a_number_says_that_the_option_is_one():
    class Loud(Optimizer):
        def __init__(self, params, lr=0.1, *, gain=1.0, twice=False):
            self._begin(locals())

    for options in ({"gain": np.nan}, {"gain": "x"}, {"twice": 2}):
        with pytest.raises(lo.errors.OptionError, match=f"{next(iter(options))} must be"):
            Loud([lo.Parameter([1.0])], **options)
