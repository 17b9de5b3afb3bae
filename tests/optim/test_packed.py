"""Parameters that are stepped as one array get the bits that each gets alone, whatever happens on the way."""

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import tinygrad_lo as lo

RULES = {
    "SGD": ("SGD", {"lr": 0.05}),
    "momentum": ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.1, "lr_in_velocity": False}),
    "nesterov": ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "soft threshold": ("SGD", {"lr": 0.05, "l1": 0.5}),
    "soft threshold, momentum": ("SGD", {"lr": 0.05, "l1": 0.5, "momentum": 0.9, "weight_decay": 0.01}),
    "Adagrad": ("Adagrad", {}),
    "Adadelta": ("Adadelta", {}),
    "RMSprop": ("RMSprop", {"centered": True, "momentum": 0.5}),
    "Adam": ("Adam", {"weight_decay": 0.01}),
    "amsgrad": ("Adam", {"amsgrad": True}),
    "AdamW": ("AdamW", {}),
    "NAdam": ("NAdam", {}),
}
SHAPES = [(3, 2), (4,), (), (2, 2, 2), (), (1,), (200, 100), ()]
DOUBLE = (np.float64,) * len(SHAPES)


def pair(rule, dtypes=DOUBLE):
    """Two optimizers over equal parameters: one packs, the other does not."""
    kind, options = RULES[rule]
    packing = getattr(lo.optim, kind)
    alone = type(kind, (packing,), {"elementwise": False, "__doc__": "One parameter after the other."})
    optimizers = []
    for one in (packing, alone):
        rng = np.random.default_rng(0)
        params = [
            lo.Parameter(rng.standard_normal(s).astype(t)[()], name=f"p{i}")
            for i, (s, t) in enumerate(zip(SHAPES, dtypes, strict=True))
        ]
        optimizers.append(one([{"params": params[:3]}, {"params": params[3:], "lr": 0.02}], **options))
    return optimizers


def params_of(opt):
    return [p for group in opt.param_groups for p in group["params"]]


def train(opt, rng, leave_out=()):
    for i, p in enumerate(params_of(opt)):
        g = rng.standard_normal(p.shape).astype(p.dtype)[()]
        p.grad = None if i in leave_out else g
    opt.step()


def assert_equal(a, b):
    for p, q in zip(params_of(a), params_of(b), strict=True):
        assert_array_equal(p.data, q.data)
        assert type(p.data) is type(q.data)
        assert p.data.dtype == q.data.dtype
        mine, theirs = a.state.get(p, {}), b.state.get(q, {})
        assert mine.keys() == theirs.keys()
        for key, value in theirs.items():
            assert_array_equal(mine[key], value)
            assert type(mine[key]) is type(value)


@pytest.mark.parametrize("dtypes", [DOUBLE, (np.float32,) * 8, (np.float32, np.float64) * 4])
@pytest.mark.parametrize("rule", RULES)
def test_packed_is_alone(rule, dtypes):
    a, b = pair(rule, dtypes)
    for n in range(12):
        for opt in (a, b):
            train(opt, np.random.default_rng(n))
    assert_equal(a, b)


def freeze(opt):
    params_of(opt)[1].requires_grad = False


def thaw(opt):
    params_of(opt)[1].requires_grad = True


def assign(opt):
    params_of(opt)[3].data = np.ones((2, 2, 2))


def write(opt):
    params_of(opt)[0].data[0] = 5.0


def add_group(opt):
    opt.add_param_group({"params": [lo.Parameter(np.ones(2), name="new"), lo.Parameter(2.0, name="number")]})


def change_options(opt):
    for group in opt.param_groups:
        group["lr"] = 0.5
        if "momentum" in group and not group.get("nesterov"):
            group["momentum"] = 0.7  # of plain SGD, from here on something is kept


def reload(opt):
    opt.load_state_dict(copy.deepcopy(opt.state_dict()))


def clear(opt):
    opt.state[params_of(opt)[1]].clear()


def restart(opt):
    state = opt.state[params_of(opt)[0]]
    for key, value in state.items():
        state[key] = value * 0 if isinstance(value, np.ndarray) else type(value)(1)


def write_state(opt):
    for value in opt.state[params_of(opt)[4]].values():
        if isinstance(value, np.ndarray):
            value[...] = 0.25


CHANGES = (freeze, thaw, assign, write, add_group, change_options, reload, clear, restart, write_state)


@pytest.mark.parametrize("rule", RULES)
def test_changes_on_the_way(rule):
    a, b = pair(rule)
    for n in range(60):
        for opt in (a, b):
            if n % 5 == 4:
                CHANGES[n // 5 % len(CHANGES)](opt) if n < 50 else write(opt)
            train(opt, np.random.default_rng(n), leave_out=[n % 7] if n % 3 == 0 else ())
        assert_equal(a, b)


def test_copies_go_on_alike():
    a, b = pair("Adam")
    for n in range(3):
        train(a, np.random.default_rng(n))
        train(b, np.random.default_rng(n))
    copied = copy.deepcopy(a)
    train(a, np.random.default_rng(9))
    for opt in (b, copied):
        write(opt)  # into an array in place
        train(opt, np.random.default_rng(3))
    assert_equal(copied, b)
    state = pickle.loads(pickle.dumps(b.state_dict()))
    assert state["state"].keys() == a.state_dict()["state"].keys()


def test_old_arrays_stay_as_they_were():
    opt, _ = pair("Adam")
    held = []
    for n in range(5):
        held.append([(p.data, np.copy(p.data)) for p in params_of(opt)])
        train(opt, np.random.default_rng(n))
    for step in held:
        for data, before in step:
            assert_array_equal(data, before)
