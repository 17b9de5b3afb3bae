"""Modules in pictures and errors; and modules that are frozen."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.errors import OptionError, ShapeError
from tinygrad_lo.nn import Dropout, Linear, Module, ReLU, Sequential, Tanh


def test_modules_are_scopes_named_by_their_place():
    net = Module()
    net.last = Linear(1, 1)
    list(net.named_parameters())
    out = net.last(Sequential(Linear(2, 1), ReLU())(np.ones((3, 2))))
    text = lo.tree(out)
    assert "‹last›" in text
    assert "‹Sequential›" in text
    assert "‹0.Linear›" in text
    assert "ReLU" not in text  # one op is its own picture


def test_a_module_that_is_one_function_gives_it_its_title():
    out = Sequential(lo.nn.Conv2d(1, 2, 2), lo.nn.LeakyReLU())(np.ones((1, 1, 3, 3)))
    text = lo.tree(out)
    assert "‹0.Conv2d›" in text
    assert "‹1.LeakyReLU›" in text
    assert "‹conv2d›" not in text
    assert "‹leaky_relu›" not in text


def test_what_a_module_passes_through_is_not_marked():
    w = lo.Parameter([1.0, 2.0])
    same = Sequential(Dropout(0.5).eval(), lambda x: x)
    for _ in range(3):
        assert same(w) is w
    assert "‹" not in lo.tree((w * w).sum() + 1.0)


def test_errors_say_where_they_happened():
    net = Sequential(Linear(2, 4), Sequential(lambda x: x @ np.ones((3, 3))))
    with pytest.raises(ShapeError) as caught:
        net(np.ones((5, 2)))
    assert caught.value.__notes__ == ["in 1.Sequential"]


def test_what_a_user_names_inside_of_a_module_stays_the_users():
    class Margins(Module):
        def forward(self, x):
            return lo.named(x * 2.0, "margins").sum() + 1.0

    out = Margins()(lo.Parameter([1.0, 2.0], name="w"))
    with pytest.raises(OptionError, match="there are 'margins'"):  # names inside of losses are not listed
        lo.draw(out, focus="margin")


# --------------------------------------------------------------------------------- frozen


def test_a_frozen_module_keeps_its_numbers_in_training(rng):
    net = Sequential(Linear(2, 3), Tanh(), Linear(3, 1))
    assert net[0].freeze() is net[0]
    opt = lo.optim.Adam(net, lr=0.1)
    before = net.state_dict()
    x = rng.standard_normal((4, 2))
    step = lo.compile(lambda x: (net(x) ** 2).mean(), optimizer=lo.optim.Adam(net, lr=0.1))
    for _ in range(3):
        opt.zero_grad()
        (net(x) ** 2).mean().backward()
        opt.step()
        step(x)
    after = net.state_dict()
    moved = [name for name in before if (after[name] != before[name]).any()]
    assert moved == ["2.weight", "2.bias"]
    assert net[0].weight.grad is None
    assert net.unfreeze() is net
    step(x)
    assert (net[0].weight.data != after["0.weight"]).any()


def test_what_would_be_lost_is_not_frozen():
    net = Module()
    net.layer = Linear(1, 1)
    net.free = lo.Tensor([1.0], requires_grad=True)
    with pytest.raises(OptionError, match="Module: 'free' is a Tensor"):
        net.freeze()
    assert all(p.requires_grad for p in net.parameters())
