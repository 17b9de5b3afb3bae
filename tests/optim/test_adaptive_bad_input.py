"""Options that Adagrad to NAdam refuse, when they are made and when an option is assigned."""

import math
import re

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo import errors
from tinygrad_lo.optim.adam import Adam, AdamW, NAdam
from tinygrad_lo.optim.adaptive import Adadelta, Adagrad, RMSprop

BAD = [
    (Adam, {"betas": 0.9}, "betas must be a pair"),
    (Adam, {"betas": (0.9,)}, "betas must be a pair"),
    (Adam, {"betas": "ab"}, "betas must be a pair"),
    (Adam, {"betas": (0.9, 1.0)}, "betas[1] must be in [0, 1), got 1.0"),
    (AdamW, {"betas": (math.nan, 0.9)}, "betas[0] must be in [0, 1), got nan"),
    (NAdam, {"betas": (0.9, "x")}, "betas[1] must be in [0, 1), got 'x'"),
    (Adam, {"eps": 0.0}, "eps must be finite and > 0, got 0.0"),
    (Adam, {"amsgrad": 1}, "amsgrad must be True or False"),
    (NAdam, {"momentum_decay": -1.0}, "momentum_decay must be finite and >= 0"),
    (Adadelta, {"rho": 1.0}, "rho must be in [0, 1), got 1.0"),
    (RMSprop, {"decay": 1.5}, "decay must be in [0, 1), got 1.5"),
    (RMSprop, {"momentum": -0.5}, "momentum must be in [0, 1), got -0.5"),
    (RMSprop, {"centered": None}, "centered must be True or False"),
    (Adagrad, {"eps_inside_sqrt": "yes"}, "eps_inside_sqrt must be True or False"),
    *[(kind, {"lr": lr}, f"lr must be finite and >= 0, got {lr!r}")
      for kind in (Adagrad, Adadelta, RMSprop, Adam, AdamW, NAdam)
      for lr in (-1, math.nan, math.inf, "0.1", None, True)],
    *[(kind, {"weight_decay": math.nan}, "weight_decay must be finite and >= 0, got nan")
      for kind in (Adagrad, Adadelta, RMSprop, Adam, AdamW, NAdam)],
]  # fmt: skip


@pytest.mark.parametrize(("kind", "options", "words"), BAD, ids=str)
def test_bad_options_are_refused_in_words(kind, options, words):
    with pytest.raises(errors.OptionError, match=re.escape(f"{kind.__name__}: group 0: {words}")):
        kind([lo.Parameter([1.0])], **options)
    opt = kind([lo.Parameter([1.0])])
    before = dict(opt.param_groups[0])
    with pytest.raises(errors.OptionError, match=re.escape(words)):
        opt.param_groups[0].update({"eps": 7.0, **options})
    assert dict(opt.param_groups[0]) == before


@pytest.mark.parametrize(
    ("kind", "key", "meant"),
    [(Adam, "beta1", "betas"), (Adam, "epsilon", "eps"), (RMSprop, "alpha", "decay"), (Adam, "alpha", "lr"),
     (RMSprop, "rho", "decay"), (AdamW, "wd", "weight_decay"), (Adadelta, "roh", "rho")],
)  # fmt: skip
def test_names_of_other_libraries_are_understood(kind, key, meant):
    with pytest.raises(errors.OptionError, match=f"has no option '{key}'; did you mean '{meant}'"):
        kind([{"params": [lo.Parameter([1.0])], key: 0.5}])


def test_a_layer_moved_to_another_model_goes_by_its_new_name():
    layer = lo.nn.Linear(2, 2, rng=0)
    lo.optim.SGD(lo.nn.Sequential(layer, lo.nn.Linear(2, 2)), lr=0.1)
    moved = lo.nn.Sequential(lo.nn.Linear(2, 2, rng=1), layer)
    for params in (moved, lo.optim.split_decay(moved, 0.1)):
        optimizer = lo.optim.SGD(params, lr=0.1)
        names = [name for group in optimizer.state_dict()["groups"] for name in group["names"]]
        assert sorted(names) == ["0.bias", "0.weight", "1.bias", "1.weight"]


def test_pairs_tell_two_models_apart():
    encoder, decoder = lo.nn.Sequential(lo.nn.Linear(2, 2)), lo.nn.Sequential(lo.nn.Linear(2, 2))
    pairs = [(f"e.{n}", p) for n, p in encoder.named_parameters()]
    pairs += [(f"d.{n}", p) for n, p in decoder.named_parameters()]
    optimizer = lo.optim.Adam(pairs)
    assert optimizer.state_dict()["groups"][0]["names"] == [
        "e.0.weight",
        "e.0.bias",
        "d.0.weight",
        "d.0.bias",
    ]


def test_an_eps_that_the_dtype_rounds_to_zero_is_refused():
    with pytest.raises(lo.errors.OptionError, match="eps 1e-08 is 0 in float16"):
        lo.optim.Adam([lo.Parameter(np.ones(2, np.float16))])
    lo.optim.Adam([lo.Parameter(np.ones(2, np.float16))], eps=1e-3)
