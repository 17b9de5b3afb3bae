"""Module: which parameters it finds and what they are called, training, text, depth, copies."""

import copy
import gc
import pickle
import time
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, NamedTuple

import emscripten
import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.errors import GraphError, OptionError, UnsupportedError
from tinygrad_lo.nn.base import Module
from tinygrad_lo.nn.modules import Dropout, Linear, PReLU, ReLU, Sequential


def names(module):
    return [name for name, _ in module.named_parameters()]


class Net(Module):
    def __init__(self):  # no super().__init__()
        self.scale = lo.Parameter(2.0)
        self.layers = [Linear(2, 3, rng=0), Linear(3, 1, bias=False, rng=1)]
        self.heads = {"left": Linear(1, 1, rng=2), "right": (PReLU(), lo.Parameter([1.0, 2.0]))}
        self.note = "nothing to learn"

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.scale * x


ALL = [
    "scale",
    "layers.0.weight",
    "layers.0.bias",
    "layers.1.weight",
    "heads.left.weight",
    "heads.left.bias",
    "heads.right.0.slope",
    "heads.right.1",
]


# ------------------------------------------------------------------------------------- parameters


def test_parameters_are_found_in_attributes_lists_tuples_and_dicts_in_order():
    net = Net()
    assert names(net) == ALL
    for p, (_, q) in zip(net.parameters(), net.named_parameters(), strict=True):
        assert p is q
    assert net([[1.0, 2.0]]).shape == (1, 1)


class Pair(NamedTuple):
    a: Any
    b: Any


def test_other_containers():
    net = Module()
    net.ordered = OrderedDict(b=lo.Parameter(1.0), a=lo.Parameter(2.0))
    net.pair = Pair(lo.Parameter(1.0), 3)
    net.nested = [[lo.Parameter(1.0)], {1: [lo.Parameter(2.0)]}]
    assert names(net) == ["ordered.b", "ordered.a", "pair.0", "nested.0.0", "nested.1.1.0"]


def test_lists_may_grow_and_attributes_may_change():
    net = Net()
    names(net)
    net.layers.append(Linear(1, 1))
    net.scale = None
    assert names(net)[0] == "layers.0.weight"
    assert "layers.2.weight" in names(net)


def test_what_counts_as_a_parameter():
    net = Module()
    net.taped = lo.Tensor([1.0], requires_grad=True)
    net.constant = lo.Tensor([1.0])
    net.frozen = lo.Parameter([1.0])
    net.frozen.requires_grad = False
    net.array = np.ones(3)
    net.kept = net.taped * 2.0  # a result, which some forward pass kept
    assert names(net) == ["taped", "frozen"]


def test_a_parameter_reachable_twice_is_listed_once_under_its_first_name():
    layer = Linear(2, 2)
    net = Module()
    net.first, net.second, net.tied = layer, layer, layer.weight
    assert names(net) == ["first.weight", "first.bias"]
    assert list(net.state_dict()) == ["first.weight", "first.bias"]


def test_cycles_end():
    net, inner = Net(), Net()
    net.inner, inner.outer = inner, net
    net.ring = [net]
    net.ring.append(net.ring)
    assert names(net) == [*ALL, *(f"inner.{name}" for name in ALL)]
    assert "Net (above)" in repr(net)
    net.eval()
    assert not inner.training


def test_parameters_learn_their_names():
    net = Net()
    assert net.layers[0].weight.name == "layers.0.weight"
    assert net.scale.name == "scale"
    net.scale.name = "γ"
    net.more = Linear(1, 1)
    assert net.more.weight.name == "weight"
    names(net)
    assert net.more.weight.name == "more.weight"
    assert net.scale.name == "γ"  # its own
    assert Sequential(net).steps[0].layers[0].weight.name == "0.layers.0.weight"


def test_the_outermost_module_has_the_last_word():
    net = Net()
    assert net.layers[1].weight.name == "layers.1.weight"
    names(net.layers[1])
    assert net.layers[1].weight.name == "layers.1.weight"
    lo.optim.SGD(net, lr=0.1)


def test_only_the_outermost_init_names():
    class Deeper(Net):
        def __init__(self):
            super().__init__()
            self.first = self.layers[0]
            vars(self)["layers"] = vars(self).pop("layers")  # the same list, listed after `first`

    assert Deeper().first.weight.name == "first.weight"


@emscripten.depth
def test_what_lies_deep_is_named_when_asked_so_that_making_takes_no_quadratic_time():
    net = Linear(1, 1)
    for _ in range(300):
        net = Sequential(net)
    assert names(net)[0].count(".") == 300
    began = time.perf_counter()
    for _ in range(3000):
        net = Sequential(net)
    assert time.perf_counter() - began < 3


def test_two_values_of_one_name_are_refused():
    net = Module()
    net.parts = {"a.b": lo.Parameter(1.0), "a": {"b": lo.Parameter(2.0)}}
    with pytest.raises(OptionError, match=r"'parts.a.b' names two parameters"):
        net.named_parameters()


@pytest.mark.parametrize("kind", [set, frozenset])
def test_sets_have_no_order(kind):
    net = Module()
    net.parts = kind([lo.Parameter(1.0)])
    with pytest.raises(OptionError, match="parts is a set, which has no order"):
        net.parameters()
    net.parts = kind(["words"])
    assert names(net) == []


def test_parameters_on_the_class_would_be_shared():
    with pytest.raises(OptionError, match="Wrong: w is set on the class"):

        class Wrong(Module):
            w = lo.Parameter(1.0)

    with pytest.raises(OptionError, match="Worse: layer is set on the class"):

        class Worse(Module):
            layer = Linear(1, 1)

    with pytest.raises(OptionError, match="Slotted: parameters in __slots__"):

        class Slotted(Module):
            __slots__ = ("w",)


def test_a_dataclass_may_be_a_module():
    @dataclass
    class Two(Module):
        first: Linear
        second: Linear

    net = Two(Linear(1, 2), Linear(2, 1))
    assert names(net) == ["first.weight", "first.bias", "second.weight", "second.bias"]
    assert names(Sequential(net, net)) == [f"0.{name}" for name in names(net)]


def test_forward_is_the_modules_own_business():
    with pytest.raises(
        UnsupportedError, match=r"Module was called with 1 inputs, .*define forward\(self, x\)"
    ):
        Module()(1.0)


# --------------------------------------------------------------------------------- train and eval


def test_train_and_eval_reach_every_module():
    net = Sequential(Net(), Dropout(0.5))
    assert net.training
    assert net.eval() is net
    inside = [net, net[0], net[0].layers[1], net[0].heads["right"][0], net[1]]
    assert not any(module.training for module in inside)
    assert net.train() is net
    assert all(module.training for module in inside)
    net.train(False)
    assert not net[1].training
    assert Dropout(0.5).training  # the class is as it was
    with pytest.raises(OptionError, match="mode must be True or False, got 'yes'"):
        net.train("yes")


# ---------------------------------------------------------------------------------------- as text


def test_repr_of_layers():
    net = Sequential(Linear(2, 16), ReLU(), Linear(16, 1, bias=False), lo.nn.sigmoid, Dropout(0.25), PReLU())
    assert repr(net).splitlines() == [
        "Sequential(",
        "  (0) Linear 2 -> 16: 48 parameters",
        "  (1) ReLU",
        "  (2) Linear 16 -> 1, no bias: 16 parameters",
        "  (3) sigmoid",
        "  (4) Dropout p=0.25",
        "  (5) PReLU slope scalar: 1 parameter",
        ") 65 parameters",
    ]


def test_repr_of_a_module_of_ones_own():
    assert repr(Net()).splitlines() == [
        "Net(",
        "  (scale) Parameter scalar: 1 parameter",
        "  (layers.0) Linear 2 -> 3: 9 parameters",
        "  (layers.1) Linear 3 -> 1, no bias: 3 parameters",
        "  (heads.left) Linear 1 -> 1: 2 parameters",
        "  (heads.right.0) PReLU slope scalar: 1 parameter",
        "  (heads.right.1) Parameter 2: 2 parameters",
        ") 18 parameters",
    ]
    assert repr(Module()) == "Module"


def test_repr_counts_what_is_shared_once():
    layer, net = Linear(2, 2), Module()
    net.block = Sequential(layer, ReLU())
    net.again = layer
    net.tied = Linear(2, 2)
    net.tied.weight = layer.weight
    assert repr(net).splitlines() == [
        "Module(",
        "  (block) Sequential(",
        "    (0) Linear 2 -> 2: 6 parameters",
        "    (1) ReLU",
        "  ) 6 parameters",
        "  (again) Linear (above)",
        "  (tied) Linear 2 -> 2: 2 parameters (shared)",
        ") 8 parameters",
    ]


def test_repr_shows_the_shapes_of_the_last_call_and_keeps_no_array():
    net = Sequential(Linear(2, 16), ReLU(), Linear(16, 1))
    x = np.ones((32, 2))
    y = net(x)
    gone = weakref.ref(y.numpy().base)
    del y
    assert gone() is None
    assert repr(net).splitlines() == [
        "Sequential(",
        "  (0) Linear 2 -> 16: 48 parameters → (N, 16)",
        "  (1) ReLU → (N, 16)",
        "  (2) Linear 16 -> 1: 17 parameters → (N, 1)",
        ") 65 parameters → (N, 1)",
    ]
    net(x[0])
    relu = ReLU()
    relu(x)
    assert repr(relu) == "ReLU → (N, 2)"  # of arrays, too
    assert repr(net[2]) == "Linear 16 -> 1: 17 parameters → (1,)"
    assert vars(net[2]).keys() == {"weight", "bias"}  # no state: compiled functions need not ask


# --------------------------------------------------------------------------------- depth, memory


@emscripten.depth
def test_depth_is_no_limit():
    net = Linear(1, 1)
    for _ in range(20_000):
        outer = Module()
        outer.inner = net
        net = outer
    began = time.perf_counter()
    assert names(net)[0].count(".") == 20_000
    assert not net.eval().inner.inner.training
    state = net.state_dict()
    net.load_state_dict(state)
    assert repr(net).count("\n") == 40_000
    assert time.perf_counter() - began < 10


def test_a_model_dies_with_its_last_name():
    gc.collect()
    gc.disable()
    try:
        net = Sequential(Net(), Linear(1, 1))
        names(net)
        repr(net)
        gone = weakref.ref(net)
        del net
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_keep_values_sharing_and_mode(copied):
    net = Net()
    net.tied = net.layers[0].weight
    names(net)
    net.layers[1].eval()
    twin = copied(net)
    assert names(twin) == names(net)
    assert twin.tied is twin.layers[0].weight
    assert twin.tied is not net.tied
    assert not twin.layers[1].training
    assert twin.training
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(twin.state_dict()[name], array)


def test_a_kept_result_cannot_be_copied_and_says_so():
    net = Net()
    net.kept = net.scale * 2.0
    with pytest.raises(GraphError, match="only leaf tensors can be copied"):
        copy.deepcopy(net)


def test_groups_of_an_optimizer():
    net = Sequential(Linear(2, 2), Linear(2, 1))
    names(net)
    opt = lo.optim.SGD([{"params": net[0], "lr": 0.5}, {"params": net[1]}], lr=0.1)
    assert [len(group["params"]) for group in opt.param_groups] == [2, 2]
    before = net.state_dict()
    net(np.ones((3, 2))).sum().backward()
    opt.step()
    assert all((new != before[name]).any() for name, new in net.state_dict().items())


@pytest.mark.parametrize("value", [lo.Tensor([1.0, 2.0]), np.ones(2), lo.Parameter([1.0, 2.0]) * 2.0, 3.0])
def test_a_parameter_is_not_replaced_by_what_is_none(value):
    layer = lo.nn.Linear(2, 2)
    with pytest.raises(OptionError, match=r"Linear\.bias is a parameter.*Write \.bias\.data = …"):
        layer.bias = value
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    layer.bias = lo.Parameter([1.0, 2.0])
    layer.bias = None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
