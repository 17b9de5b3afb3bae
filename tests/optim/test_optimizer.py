"""What all optimizers share: saved state, lazy gradients in one compute, groups, split_decay."""

import copy
import json
import re

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo import errors
from tinygrad_lo.optim.adam import Adam, NAdam
from tinygrad_lo.optim.adaptive import RMSprop
from tinygrad_lo.optim.gradient import SGD
from tinygrad_lo.optim.groups import split_decay


def params(**shapes):
    rng = np.random.default_rng(1)
    return [lo.Parameter(rng.standard_normal(shape), name=name) for name, shape in shapes.items()]


def unnamed(*shapes):
    return [lo.Parameter(np.ones(shape)) for shape in shapes]


def stepped(opt, times=3, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(times):
        for group in opt.param_groups:
            for p in group["params"]:
                p.grad = rng.standard_normal(p.shape) if p.shape else np.float64(rng.standard_normal())
        opt.step()
    return opt


# -------------------------------------------------------------------------------------- saving


def test_state_dict_has_the_shared_form():
    W, b = params(W=(2, 3), b=(3,))
    opt = stepped(Adam([{"params": [W]}, {"params": [b], "lr": 0.5}]))
    state = opt.state_dict()
    assert list(state) == ["class", "groups", "state"]
    assert state["class"] == "Adam"
    rest = {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0, "amsgrad": False}
    assert state["groups"] == [{"names": ["W"], "lr": 0.001, **rest}, {"names": ["b"], "lr": 0.5, **rest}]
    assert list(state["state"]) == ["W", "b"]
    assert list(state["state"]["W"]) == ["m", "v", "t"]
    assert state["state"]["W"]["t"] == 3
    json.dumps(state["groups"])


def test_arrays_of_the_state_are_copies_both_ways():
    (W,) = params(W=(2,))
    opt = stepped(Adam([W]))
    state = opt.state_dict()
    state["state"]["W"]["m"][:] = 99.0
    assert not (opt.state[W]["m"] == 99.0).any()
    opt.load_state_dict(state)
    state["state"]["W"]["m"][:] = 7.0
    assert (opt.state[W]["m"] == 99.0).all()


def test_names_are_positions_over_all_groups_where_there_are_none():
    a, b, c = unnamed((2,), (), (2,))
    b.name = "b"
    opt = stepped(SGD([{"params": [a, b]}, {"params": [c]}], lr=0.1, momentum=0.9))
    state = opt.state_dict()
    assert [group["names"] for group in state["groups"]] == [["0", "b"], ["2"]]
    assert list(state["state"]) == ["0", "b", "2"]
    assert state["state"]["b"]["v"].shape == ()


def test_a_parameter_that_never_had_a_gradient_has_no_state():
    W, b = params(W=(2,), b=(2,))
    opt = Adam([W, b])
    W.grad = np.ones(2)
    opt.step()
    assert list(opt.state_dict()["state"]) == ["W"]
    stepped(other := Adam([b, W]))
    other.load_state_dict(opt.state_dict())
    assert b not in other.state


def test_names_are_those_at_construction():
    a, b = params(a=(1,), b=(1,))
    opt = SGD([a, b], 0.1)
    b.name = "a"
    assert opt.state_dict()["groups"][0]["names"] == ["a", "b"]


# ------------------------------------------------------------------------------------- loading


def test_reordered_parameters_are_matched_by_name():
    """Their shapes agree, so that by position the moments would be swapped silently."""
    old = stepped(Adam([{"params": params(W=(2,), U=(2,))}, {"params": params(b=(2,)), "lr": 0.5}]))
    W, U, b = params(W=(2,), U=(2,), b=(2,))
    new = Adam([{"params": [b]}, {"params": [U, W]}])
    new.load_state_dict(old.state_dict())
    assert [group["lr"] for group in new.param_groups] == [0.5, 0.001]
    theirs = {p.name: state for p, state in old.state.items()}
    for p in (W, U, b):
        np.testing.assert_equal(new.state[p], theirs[p.name])


@pytest.mark.parametrize("named", ["here", "there", "neither"])
def test_without_names_the_position_matches(named):
    old = stepped(Adam(params(a=(2,), b=(3,)) if named == "there" else unnamed((2,), (3,))))
    new = Adam(params(a=(2,), b=(3,)) if named == "here" else unnamed((2,), (3,)))
    new.load_state_dict(old.state_dict())
    for p, q in zip(old.param_groups[0]["params"], new.param_groups[0]["params"], strict=True):
        np.testing.assert_equal(old.state[p], new.state[q])


def test_options_are_taken_over_as_floats_and_pairs():
    opt = Adam(params(W=(2,)))
    state = opt.state_dict()
    state["groups"][0] |= {"lr": np.float64(0.25), "betas": [0.5, 0.75], "amsgrad": True}
    opt.load_state_dict(state)
    group = opt.param_groups[0]
    assert (group["lr"], group["betas"], group["amsgrad"]) == (0.25, (0.5, 0.75), True)
    assert type(group["lr"]) is float
    with pytest.raises(errors.OptionError, match="lr must be"):
        group["lr"] = -1


def edited(change):
    def make():
        state = stepped(Adam(params(W=(2, 3), b=(3,)))).state_dict()
        change(state)
        return state

    return make


def renamed(old, new):
    def change(state):
        state["groups"][0]["names"] = [new if n == old else n for n in state["groups"][0]["names"]]
        state["state"][new] = state["state"].pop(old)

    return edited(change)


def of(make):
    return lambda: stepped(make()).state_dict()


REFUSED = {
    "another class": (of(lambda: SGD(params(W=(2, 3), b=(3,)), 0.1)), "the state is of SGD"),
    "another name": (renamed("b", "bb"), "missing: ['b'], unexpected: ['bb'] (did you mean 'b'?)"),
    "a name less": (of(lambda: Adam(params(W=(2, 3)))), "missing: ['b']; nothing"),
    "a name more": (of(lambda: Adam(params(W=(2, 3), b=(3,), c=(1,)))), "Adam: unexpected: ['c']"),
    "another shape": (of(lambda: Adam(params(W=(3, 2), b=(3,)))),
                      "m of 'W' is (3, 2) in the state, the parameter (2, 3)"),
    "another shape, by position": (of(lambda: Adam(unnamed((3,), (2, 3)))),
                                   "m of '0' is (3,) in the state, the parameter (2, 3)"),
    "other groups": (of(lambda: Adam([{"params": params(W=(2, 3))}, {"params": params(b=(3,))}])),
                     "group 0 holds ['W', 'b'], and no saved group does"),
    "an unknown option": (edited(lambda s: s["groups"][0].update(momentum=1)),
                          "options unexpected: ['momentum']"),
    "a missing option": (edited(lambda s: s["groups"][0].pop("eps")), "group 0: options missing: ['eps']"),
    "a bad rate": (edited(lambda s: s["groups"][0].update(lr=np.nan)), "lr must be finite and >= 0, got nan"),
    "bad betas": (edited(lambda s: s["groups"][0].update(betas=[0.9, 1.0])), "betas[1] must be in [0, 1)"),
    "a missing moment": (edited(lambda s: s["state"]["b"].pop("v")), "the state of 'b': missing: ['v']"),
    "an unknown moment": (edited(lambda s: s["state"]["b"].update(x=1)),
                          "the state of 'b': unexpected: ['x']"),
    "nan": (edited(lambda s: s["state"]["b"]["v"].fill(np.nan)), "v of 'b' is not finite"),
    "another dtype": (edited(lambda s: s["state"]["b"].update(v=np.ones(3, np.float32))),
                      "v of 'b' is float32 in the state, the parameter float64"),
    "a count below 0": (edited(lambda s: s["state"]["b"].update(t=-1)), "t of 'b' is not finite, or neg"),
    "a count that is none": (edited(lambda s: s["state"]["b"].update(t="x")), "no state_dict"),
    "a list for a moment": (edited(lambda s: s["state"]["b"].update(v=[1.0, 1.0, 1.0])), "no state_dict"),
    "state of nobody": (edited(lambda s: s["state"].update(c={})), "unexpected: ['c']"),
    "an empty dict": (dict, "no state_dict of an optimizer"),
    "None": (lambda: None, "no state_dict of an optimizer"),
    "no groups": (edited(lambda s: s.update(groups=None)), "no state_dict of an optimizer"),
    "state as a list": (edited(lambda s: s.update(state=[1])), "nothing was changed"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_and_changes_nothing(case):
    make, words = REFUSED[case]
    opt = stepped(Adam(params(W=(2, 3), b=(3,)), lr=0.125), seed=5)
    before = copy.deepcopy(opt.state_dict())
    with pytest.raises(errors.CheckpointError, match=re.escape(words)) as caught:
        opt.load_state_dict(make())
    assert isinstance(caught.value, ValueError)
    assert str(caught.value).startswith("Adam: ")
    assert str(caught.value).endswith("nothing was changed")
    np.testing.assert_equal(opt.state_dict(), before)


def test_numbers_of_the_state_may_come_back_as_numpy_numbers():
    (W,) = params(W=(2,))
    opt = stepped(NAdam([W]))
    state = opt.state_dict()
    expected = dict(state["state"]["W"])
    state["state"]["W"] |= {"t": np.array(3), "product": np.array(expected["product"])}
    opt.load_state_dict(state)
    assert type(opt.state[W]["t"]) is int
    assert opt.state[W]["product"] == expected["product"]


# ----------------------------------------------------------------------------- lazy gradients


def test_evaluate_with_plain_tensors_returns_their_values():
    (W,) = params(W=(2,))
    opt = SGD([W], 0.1)
    loss = (W * W).sum()
    value = loss.item()
    loss.backward()
    assert opt.step(evaluate=[loss]) == [value]
    assert opt.step(lambda: 5, evaluate=(loss, loss)) == [value, value]
    assert opt.step(lambda: 5, evaluate=[]) == 5


@pytest.mark.parametrize(
    "bad", [lambda t: t, lambda t: 1.0, lambda t: "loss", lambda t: ["loss"], lambda t: [1.0]]
)
def test_evaluate_takes_a_list_of_tensors(bad):
    (W,) = params(W=(2,))
    before = W.data.copy()
    loss = (W * W).sum()
    loss.backward()
    with pytest.raises(errors.DTypeError, match="evaluate takes"):
        SGD([W], 0.1).step(evaluate=bad(loss))
    assert np.array_equal(W.data, before)


class Counting:
    """A Dask scheduler that counts how often it is asked."""

    def __init__(self, dask):
        self.times = 0
        self.get = dask.get

    def __call__(self, *args, **options):
        self.times += 1
        return self.get(*args, **options)


@pytest.fixture
def lazy_task():
    dask = pytest.importorskip("dask", reason="needs the extra 'dask'")
    da = pytest.importorskip("dask.array", reason="needs the extra 'dask'")
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((40, 3)), rng.integers(0, 4, 40)
    counting = Counting(dask)

    def model(X):
        W, b, s = (
            lo.Parameter(np.ones((3, 4)), name="W"),
            lo.Parameter(np.zeros(4), name="b"),
            lo.Parameter(1.0),
        )
        loss = lo.losses.cross_entropy((X @ W + b) * s, y)
        loss.backward()
        return [W, b, s], loss

    with dask.config.set(scheduler=counting):
        yield model, X, da.from_array(X, chunks=(10, 3)), counting


@pytest.mark.parametrize("make", [lambda p: SGD(p, 0.1, momentum=0.9), Adam, lambda p: SGD(p, 0.1)])
def test_lazy_gradients_and_losses_are_one_compute(make, lazy_task):
    model, X, lazy_X, counting = lazy_task
    eager, eager_loss = model(X)
    lazy, loss = model(lazy_X)
    regular = (lazy[0] * lazy[0]).sum()
    make(eager).step()
    assert counting.times == 0
    values = make(lazy).step(evaluate=[loss, regular])
    assert counting.times == 1
    assert values == [pytest.approx(eager_loss.item(), rel=1e-12), 12.0]
    assert loss.item() == values[0]
    for p, q in zip(eager, lazy, strict=True):
        assert type(q.data) is type(p.data)
        assert type(q.grad) is type(p.grad)
        np.testing.assert_allclose(q.data, p.data, rtol=1e-10, atol=1e-13)
    assert counting.times == 1


def test_lazy_gradients_are_computed_without_losses_too(lazy_task):
    model, _, lazy_X, counting = lazy_task
    found, loss = model(lazy_X)
    assert SGD(found, 0.1).step(lambda: loss) is loss
    assert counting.times == 1


def test_a_lazy_gradient_that_is_not_finite_raises_in_the_same_compute(lazy_task):
    model, _, lazy_X, counting = lazy_task
    found, loss = model(lazy_X * np.nan)
    opt = Adam(found)
    before = [p.data for p in found]
    with pytest.raises(errors.NonFiniteError, match=r"Adam: grad of 'W' has 12 nan.*state untouched"):
        opt.step(evaluate=[loss])
    assert counting.times == 1
    assert all(p.data is x for p, x in zip(found, before, strict=True))
    assert not opt.state


# ------------------------------------------------------------------------------ groups and models


def test_split_decay_separates_weights_from_biases():
    W, b, s = params(W=(2, 3), b=(3,), s=())
    groups = split_decay([W, b, s], 0.1)
    assert [(g["params"], g["weight_decay"]) for g in groups] == [([W], 0.1), ([b, s], 0.0)]
    opt = Adam(groups, lr=0.5, weight_decay=0.3)
    assert [g["weight_decay"] for g in opt.param_groups] == [0.1, 0.0]
    assert [g["lr"] for g in opt.param_groups] == [0.5, 0.5]


def test_split_decay_takes_models_pairs_and_groups():
    class Model:
        def named_parameters(self):
            return iter([("layer.W", W), ("layer.b", b)])

    W, b = unnamed((2, 2), (2,))
    pairs = [("layer.W", W), ("layer.b", b)]
    for given in (Model(), pairs, iter(pairs), dict(pairs)):
        first, second = split_decay(given, 0.1)
        assert (first["params"], second["params"]) == ([W], [b])
        assert (W.name, b.name) == ("layer.W", "layer.b")
    assert split_decay(W, 0.1) == [{"params": [W], "weight_decay": 0.1}]
    assert split_decay({"params": b, "lr": 0.5}, 0.1) == [{"params": [b], "lr": 0.5, "weight_decay": 0.0}]
    groups = split_decay([{"params": [W], "lr": 0.5}, {"params": [b]}], 0.1)
    assert groups == [{"params": [W], "lr": 0.5, "weight_decay": 0.1}, {"params": [b], "weight_decay": 0.0}]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: split_decay([], 0.1), "empty parameter list"),
        (lambda: split_decay(params(W=(1, 1)), -1), "weight_decay must be finite and >= 0, got -1"),
        (lambda: split_decay(params(W=(1, 1)), np.nan), "weight_decay must be"),
        (lambda: split_decay([{"lr": 0.1}], 0.1), "a dict with 'params'"),
        (lambda: split_decay([1.0], 0.1), "entry 0 is float"),
        (lambda: SGD(set(params(W=(1,))), 0.1), "params is a set"),
        (lambda: SGD([{"params": frozenset(params(W=(1,)))}], 0.1), "params is a set"),
        (
            lambda: SGD([{"params": None}], 0.1),
            "params must be a tensor, a list of them, of (name, tensor) pairs, a dict or a model",
        ),
    ],
)
def test_what_is_no_list_of_parameters_is_refused(call, words):
    with pytest.raises(errors.OptionError, match=re.escape(words)):
        call()


def test_options_that_do_not_go_together_are_refused_when_assigned():
    opt = SGD(params(W=(1,)), 0.1, momentum=0.9, nesterov=True)
    group = opt.param_groups[0]
    with pytest.raises(errors.OptionError, match="SGD: group 0: nesterov needs momentum > 0"):
        group["momentum"] = 0.0
    with pytest.raises(errors.OptionError, match="nesterov needs"):
        group.update(lr=0.5, dampening=0.5)
    assert (group["lr"], group["momentum"], group["dampening"]) == (0.1, 0.9, 0.0)
    group.update(nesterov=False, momentum=0.0)
    assert group["momentum"] == 0.0


def test_gradients_whose_squares_add_up_beyond_float32_are_taken():
    """1.5e19² fits into float32 but twice that does not: no parameter is at fault."""
    W, b = (lo.Parameter(np.zeros(1, np.float32), name=n) for n in "Wb")
    for p in (W, b):
        p.grad = np.full(1, 1.5e19, np.float32)
    for make in (lambda p: SGD(p, 1e-20), RMSprop):
        make([W, b]).step()
        assert np.isfinite([W.item(), b.item()]).all()


def test_small_and_large_gradients_are_screened():
    for size in (3, 100_000):
        W, b = params(W=(size,), b=(2,))
        W.grad, b.grad = np.ones(size), np.array([1.0, np.inf])
        with pytest.raises(errors.NonFiniteError, match="grad of 'b' has 1 inf"):
            Adam([W, b]).step()


def test_a_frozen_parameter_may_be_given_and_stays():
    layers = lo.nn.Sequential(lo.nn.Linear(2, 2, rng=0), lo.nn.Linear(2, 2, rng=1))
    for p in layers[0].parameters():
        p.requires_grad = False
    before = [p.data.copy() for p in layers.parameters()]
    optimizer = lo.optim.SGD(layers, lr=0.1)
    layers(np.ones((1, 2))).sum().backward()
    optimizer.step()
    after = [p.data for p in layers.parameters()]
    assert [np.array_equal(a, b) for a, b in zip(before, after, strict=True)] == [True, True, False, False]


@pytest.mark.parametrize(
    "change",
    [
        lambda group: group.__setitem__("params", group["params"] * 2),
        lambda group: group.pop("lr"),
        lambda group: group.__delitem__("lr"),
        lambda group: group.clear(),
    ],
)
def test_a_group_keeps_its_parameters_and_options(change):
    optimizer = lo.optim.SGD([lo.Parameter([1.0])], lr=0.1)
    with pytest.raises(lo.errors.OptionError):
        change(optimizer.param_groups[0])
    assert optimizer.param_groups[0]["lr"] == 0.1
