"""The state of modules: copies of parameters and buffers, loaded all or not at all."""

import copy

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.errors import CheckpointError, OptionError
from tinygrad_lo.nn.base import Module
from tinygrad_lo.nn.modules import Linear, Sequential


class Counting(Module):
    buffers = ("means", "nothing")

    def __init__(self):
        self.means = np.zeros(3)
        self.nothing = None
        self.gain = lo.Parameter(np.ones(3))


def test_state_is_a_copy_of_parameters_and_buffers():
    net = Sequential(Counting(), Linear(3, 1), Counting())
    state = net.state_dict()
    assert list(state) == ["0.gain", "1.weight", "1.bias", "2.gain", "0.means", "2.means"]
    assert all(type(array) is np.ndarray for array in state.values())
    before = {name: array.copy() for name, array in state.items()}
    for array in state.values():
        array += 1.0
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    net.load_state_dict(state)
    for array in state.values():
        array += 1.0
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name] + 1.0)
    np.testing.assert_array_equal(net[2].means, np.ones(3))


def test_scalars_and_float32_survive():
    net = Module()
    net.a, net.b = lo.Parameter(2.0), lo.Parameter([1.0], dtype="float32")
    other = copy.deepcopy(net)
    net.a.data, net.b.data = 5.0, np.float32([7.0])
    other.load_state_dict(net.state_dict())
    assert other.a.item() == 5.0
    assert type(other.a.data) is np.float64
    assert other.b.dtype == np.float32
    assert other.b.item() == 7.0


def test_frozen_parameters_are_loaded_and_live_graphs_keep_their_arrays():
    net, source = Linear(2, 1, rng=0), Linear(2, 1, rng=1)
    net.bias.requires_grad = False
    source.bias.data = np.array([3.0])
    weight, loss = net.weight.data, net([[1.0, 2.0]]).sum()
    old = weight.copy()
    net.load_state_dict(source.state_dict())
    np.testing.assert_array_equal(weight, old)
    loss.backward()
    assert net.bias.data == 3.0


def same(net, state):
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, state[name])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("0.bias"), r"Sequential: missing: \['0.bias'\]; nothing was changed"),
        (lambda s: s.update(extra=1.0), r"unexpected: \['extra'\]; nothing was changed"),
        (
            lambda s: s.update({"0.biass": s.pop("0.bias")}),
            r"missing: \['0.bias'\], unexpected: \['0.biass'\] \(did you mean '0.bias'\?\)",
        ),
        (
            lambda s: s.update({"0.weight": s["0.weight"].T}),
            r"'0.weight' is \(3, 2\) in the file, \(2, 3\) in the",
        ),
        (
            lambda s: s.update({"0.bias": s["0.bias"].astype("float32")}),
            "'0.bias' is float32 in the file, float64 in the model",
        ),
        (lambda s: s.update({"0.bias": [[1.0], [2.0, 3.0]]}), "'0.bias' is no array"),
        (lambda s: s.update({"0.bias": "text"}), r"'0.bias' is \(\) in the file"),
    ],
)
def test_loading_is_all_or_nothing(change, words):
    net, other = Sequential(Linear(2, 3), Linear(3, 1)), Sequential(Linear(2, 3), Linear(3, 1))
    before, state = net.state_dict(), other.state_dict()
    change(state)
    with pytest.raises(CheckpointError, match=words):
        net.load_state_dict(state)
    same(net, before)


def test_the_words_of_a_slip():
    net = Module()
    net.b1 = lo.Parameter(1.0)
    with pytest.raises(CheckpointError) as caught:
        net.load_state_dict({"bias1": 1.0})
    assert "missing: ['b1'], unexpected: ['bias1'] (did you mean 'b1'?)" in str(caught.value)
    with pytest.raises(CheckpointError, match="a state is a dict of names and arrays, got list"):
        net.load_state_dict([1.0])


def test_a_diverged_model_is_restored_as_it_was():
    net = Linear(2, 1)
    net.weight.data = np.array([[np.nan], [np.inf]])
    state = net.state_dict()
    net.weight.data = np.zeros((2, 1))
    net.load_state_dict(state)
    same(net, state)


def test_several_slips_are_paired():
    net, state = Linear(1, 1), {}
    for name, array in net.state_dict().items():
        state[f"{name}s"] = array
    with pytest.raises(
        CheckpointError, match=r"\(did you mean 'weight' for 'weights', 'bias' for 'biass'\?\)"
    ):
        net.load_state_dict(state)


def test_repr_lists_no_buffers():
    assert repr(Counting()) == "Counting gain 3: 3 parameters"


def test_a_buffer_may_not_take_a_parameters_name():
    net = Counting()
    net.buffers = ("gain",)
    with pytest.raises(OptionError, match="'gain' names two values"):
        net.state_dict()
