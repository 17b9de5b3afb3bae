"""The weighted average: the lecture's alpha, values that come and go to the bit, states, refusals."""

import copy
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_lo as lo
from tinygrad_lo.errors import CheckpointError, GraphError, NonFiniteError, OptionError
from tinygrad_lo.optim import SGD
from tinygrad_lo.optim.average import Average


def pair(dtype=float):
    return lo.Parameter(np.array([1.0, 2.0], dtype), name="W"), lo.Parameter(np.asarray(3.0, dtype)[()])


def moved(params, by=1.0):
    for p in params:
        p.data = (p.data + by).astype(p.dtype)


def test_alpha_weights_the_new_value():
    w = lo.Parameter(10.0, name="w")
    average = Average([w], 0.25)
    assert average.values == {"w": 10.0}
    for value, expected in ((20.0, 12.5), (0.0, 9.375), (9.375, 9.375)):
        w.data = value
        average.update()
        assert average.values["w"] == expected
    assert average.updates == 3


def test_alpha_1_is_the_last_value():
    params = pair()
    average = Average(params, 1)
    moved(params, 0.1)
    average.update()
    assert (average.values["W"] == params[0].data).all()


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.floats(0.01, 1.0))
def test_it_is_the_weighted_sum_of_all_values(values, alpha):
    w = lo.Parameter(values[0])
    average = Average([w], alpha)
    for value in values[1:]:
        w.data = value
        average.update()
    n = len(values) - 1
    weights = [(1 - alpha) ** n, *(alpha * (1 - alpha) ** (n - i) for i in range(1, n + 1))]
    assert average.values["0"] == pytest.approx(np.dot(weights, values), rel=1e-9, abs=1e-6)
    low, high = min(values), max(values)
    assert low - 1e-6 <= average.values["0"] <= high + 1e-6


def test_names_come_from_pairs_then_parameters_then_positions():
    class Model:
        def named_parameters(self):
            return iter([("first.W", W), ("first.b", b)])

    W, b = pair()
    assert list(Average([W, b], 0.5).values) == ["W", "1"]
    assert list(Average([("a", W), b], 0.5).values) == ["a", "1"]
    assert list(Average({"a": W, "b": b}, 0.5).values) == ["a", "b"]
    assert list(Average(W, 0.5).values) == ["W"]
    assert list(Average(Model(), 0.5).values) == ["first.W", "first.b"]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtypes_are_kept(dtype):
    params = pair(dtype)
    average = Average(params, np.float64(0.1))
    for _ in range(3):
        moved(params)
        average.update()
    assert all(value.dtype == dtype for value in average.values.values())
    with average.applied():
        assert all(p.dtype == dtype for p in params)


def test_it_writes_into_no_array_and_gives_none_away():
    params = pair()
    for p in params[:1]:
        p.data.flags.writeable = False
    average = Average(params, 0.5)
    average.values["W"][:] = 77.0
    average.state_dict()["values"]["W"][:] = 77.0
    with average.applied():
        params[0].data[:] = 77.0  # the parameter's own copy
    assert average.values["W"].tolist() == [1.0, 2.0]
    assert params[0].data.tolist() == [1.0, 2.0]


# --------------------------------------------------------------------------------------- applied


def test_applied_puts_the_averages_in_and_the_same_arrays_back():
    params = pair()
    average = Average(params, 0.5)
    moved(params, 1 / 3)
    before = [p.data for p in params]
    average.update()
    with average.applied():
        np.testing.assert_allclose(params[0].data, [1 + 1 / 6, 2 + 1 / 6])
        np.testing.assert_allclose(params[1].data, 3 + 1 / 6)
        with average.applied():
            pass
        np.testing.assert_allclose(params[1].data, 3 + 1 / 6)
    assert all(p.data is old for p, old in zip(params, before, strict=True))


def test_an_exception_inside_brings_the_parameters_back_too():
    params = pair()
    average = Average(params, 0.5)
    moved(params)
    before = params[0].data
    with pytest.raises(ZeroDivisionError), average.applied():
        params[0].data = np.zeros(2) / (1 // 0)
    assert params[0].data is before
    average.update()  # no longer inside


def test_a_graph_from_before_the_block_still_runs_backward():
    w = lo.Parameter([2.0])
    average = Average([w], 0.5)
    w.data = [4.0]
    loss = (w * w).sum()
    with average.applied():
        pass
    loss.backward()
    assert w.grad.tolist() == [8.0]


def test_training_inside_the_block_is_refused_after_all_is_back():
    params = pair()
    before = params[0].data
    average = Average(params, 0.5)

    def step():
        opt = SGD(params[:1], 0.1)
        params[0].grad = np.ones(2)
        opt.step()

    def by_hand():
        params[0].data -= 0.1

    for train in (step, by_hand):
        with (
            pytest.raises(GraphError, match=r"'W' changed inside applied\(\); the change"),
            average.applied(),
        ):
            train()
        assert params[0].data is before
        assert average.values["W"].tolist() == [1.0, 2.0]


def test_update_inside_applied_is_refused():
    average = Average(pair(), 0.5)
    with average.applied(), pytest.raises(GraphError, match=r"update\(\) inside applied\(\)"):
        average.update()
    average.update()


def test_the_average_of_a_noisy_descent_is_nearer():
    rng = np.random.default_rng(0)
    w = lo.Parameter(np.zeros(50))
    opt, average = SGD([w], 0.5), Average([w], 0.05)
    for _ in range(300):
        w.grad = w.data - 1.0 + rng.standard_normal(50)
        opt.step()
        average.update()
    assert np.abs(average.values["0"] - 1).mean() < 0.5 * np.abs(w.data - 1).mean()


# ----------------------------------------------------------------------------------------- state


def test_a_state_continues_to_the_bit():
    rng = np.random.default_rng(0)
    steps = rng.standard_normal((10, 2))
    W, b = pair()
    straight = Average([W, b], 0.3)
    for i in range(5):
        W.data = steps[i]
        straight.update()
    state = copy.deepcopy(straight.state_dict())
    other_W, other_b = pair()
    resumed = Average([other_W, other_b], 0.3)
    resumed.load_state_dict(state)
    state["values"]["W"][:] = 77.0
    for i in range(5, 10):
        W.data = other_W.data = steps[i]
        straight.update()
        resumed.update()
    assert (straight.values["W"] == resumed.values["W"]).all()
    assert resumed.updates == 10


def test_scalars_may_come_back_as_0d_arrays():
    w = lo.Parameter(1.0, name="w")
    average = Average([w], 0.5)
    average.load_state_dict({**average.state_dict(), "values": {"w": np.array(3.0)}})
    assert type(average.values["w"]) is np.float64
    with average.applied():
        assert w.item() == 3.0


def test_it_is_copied_with_its_parameters():
    W, b = pair()
    average = Average([W, b], 0.5)
    for how in (copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))):
        other, twin = how((W, average))
        other.data = [9.0, 9.0]
        twin.update()
        assert twin.values["W"].tolist() == [5.0, 5.5]
    assert average.values["W"].tolist() == [1.0, 2.0]


GOOD = {"W": np.ones(2), "1": np.float64(1.0)}
BAD_STATES = [
    ("no dict", lambda s: [1], "no state of an Average"),
    ("another class", lambda s: {**s, "class": "SGD"}, "no state of an Average"),
    ("no values", lambda s: {"class": "Average"}, r"missing: \['alpha', 'updates', 'values'\]"),
    ("alpha", lambda s: {**s, "alpha": 0.1}, "saved with alpha=0.1, this one has 0.5"),
    ("updates", lambda s: {**s, "updates": -1}, "updates must be an int >= 0, got -1"),
    ("values a list", lambda s: {**s, "values": [1]}, "values must be a dict of arrays, got list"),
    ("names", lambda s: {**s, "values": {"W": np.ones(2), "b": 1.0}},
     r"missing: \['1'\], unexpected: \['b'\]"),
    ("shape", lambda s: {**s, "values": {**GOOD, "W": np.ones(3)}},
     r"'W' is \(3,\) in the state, \(2,\) in the model"),
    ("dtype", lambda s: {**s, "values": {**GOOD, "1": np.float32(1.0)}}, "'1' is float32 in the state"),
    ("no array", lambda s: {**s, "values": {**GOOD, "W": [1.0, 2.0]}}, "'W' is None in the state"),
    ("nan", lambda s: {**s, "values": {**GOOD, "1": np.float64("nan")}}, "'1' has nan or inf"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "words"), [pytest.param(*case[1:], id=case[0]) for case in BAD_STATES])
def test_bad_states_change_nothing(change, words):
    average = Average(pair(), 0.5)
    with pytest.raises(CheckpointError, match=f"Average: .*{words}.*; nothing was changed"):
        average.load_state_dict(change(average.state_dict()))
    assert average.values["W"].tolist() == [1.0, 2.0]
    assert average.values["1"] == 3.0


# -------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("alpha", [0, -0.1, 1.1, math.nan, math.inf, True, "0.1", None])
def test_alpha_is_in_0_to_1(alpha):
    with pytest.raises(OptionError) as caught:
        Average(pair(), alpha)
    assert str(caught.value) == f"Average: alpha must be in (0, 1], got {alpha!r}"


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (list, "empty parameter list"),
        (lambda: [1.0], "entry 0 is float, not a parameter"),
        (lambda: [lo.Parameter(1.0, name="W")] * 2, "entry 1, 'W', is in the list twice"),
        (lambda: [lo.Parameter(1.0, name="W"), lo.Parameter(2.0, name="W")], "'W' names two parameters"),
        (lambda: [lo.Parameter(1.0, name="1"), lo.Parameter(2.0)], "'1' names two parameters"),
    ],
)
def test_bad_parameters_are_refused(params, words):
    with pytest.raises(OptionError) as caught:
        Average(params(), 0.5)
    assert words in str(caught.value)


@pytest.mark.parametrize(("bad", "word"), [(math.nan, "nan"), (math.inf, "inf")])
def test_parameters_that_are_not_finite_do_not_spoil_the_averages(bad, word):
    W, b = pair()
    average = Average([b, W], 0.5)
    b.data, W.data = 5.0, np.array([1.0, bad])
    with pytest.raises(NonFiniteError, match=f"Average: 'W' has {word}; no average was changed"):
        average.update()
    assert average.values["0"] == 3.0
    assert average.updates == 0


def test_repr():
    average = Average(pair(), 0.5)
    average.update()
    assert repr(average) == "Average(alpha=0.5) of 2 parameters after 1 updates"


# ----------------------------------------------------------------------------------------- peers


@pytest.mark.peers
def test_averages_are_pytorchs_with_decay_1_minus_alpha(rng):
    torch = pytest.importorskip("torch", reason="compares with PyTorch (extra peers)")
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    model = torch.nn.Linear(3, 2).double()
    W = lo.Parameter(model.weight.detach().numpy(), name="W")
    ours, theirs = Average([W], 0.1), AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    theirs.update_parameters(model)  # PyTorch's first update copies
    for _ in range(100):
        W.data = rng.standard_normal((2, 3))
        with torch.no_grad():
            model.weight.copy_(torch.tensor(W.data))
        ours.update()
        theirs.update_parameters(model)
    np.testing.assert_allclose(
        ours.values["W"], theirs.module.weight.detach().numpy(), rtol=1e-12, atol=1e-13
    )
