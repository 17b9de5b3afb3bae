"""Activations as modules are what their functions are; wrong names are answered. None is listed here."""

import inspect
import pickle

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.nn.modules import Activation

KINDS = [name for name in lo.nn.__all__ if inspect.isclass(getattr(lo.nn, name))]
ACTIVATIONS = [name for name in KINDS if issubclass(getattr(lo.nn, name), Activation)]
FUNCTIONS = [getattr(lo.nn, name).function.__name__ for name in ACTIVATIONS]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_activation_has_derivatives_and_keeps_the_dtype(name):
    function = getattr(lo.nn, name)
    x = np.array([[-1.3, 0.4, 2.1], [0.7, -0.2, 5.0]])
    weights = np.linspace(0.5, 1.5, function(x).size).reshape(function(x).shape)
    lo.gradcheck(lambda x: (function(x) * weights).sum(), x, order=2).raise_if_failed()
    for dtype in (np.float64, np.float32, np.float16):
        assert function(lo.Parameter(x.astype(dtype))).dtype == dtype
        assert function(x.astype(dtype)).dtype == dtype


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_what_its_function_is(name):
    kind = getattr(lo.nn, name)
    module, (_, *options) = kind(), inspect.signature(kind.function).parameters.values()
    assert list(inspect.signature(kind).parameters.values()) == options
    assert all(getattr(module, p.name) == p.default for p in options)
    assert all(f"{p.name}={p.default!r}" in repr(module) for p in options)
    assert kind.__doc__.endswith(kind.function.__doc__.partition("\n\n")[2])
    again = pickle.loads(pickle.dumps(module))
    x = np.array([[-1.0, 0.5, 2.0]])
    np.testing.assert_array_equal(module(x), kind.function(x))
    np.testing.assert_array_equal(again(x), kind.function(x))
    with pytest.raises(lo.errors.UnknownOptionError, match=f"^{name} has no option 'oddity'"):
        kind(oddity=1)


@pytest.mark.parametrize(("name", "meant"), [("Conv3d", "Conv2d"), ("Dense", "Linear"), ("lineer", "Linear")])
def test_a_wrong_name_is_answered_with_the_right_one(name, meant):
    with pytest.raises(lo.errors.UnknownNameError, match=f"lo.nn has no '{name}'; did you mean '{meant}'"):
        getattr(lo.nn, name)


def test_an_option_as_others_call_it_is_answered_with_ours():
    for call, meant in [
        (lambda: lo.nn.Linear(2, 1, use_bias=False), "bias"),
        (lambda: lo.nn.LeakyReLU(negative_slope=0.1), "slope"),
        (lambda: lo.nn.softmax([1.0], dim=0), "axis"),
        (lambda: lo.nn.max_pool2d(np.zeros((1, 1, 2, 2)), kernel_size=2), "size"),
    ]:
        with pytest.raises(lo.errors.UnknownOptionError, match=f"did you mean '{meant}'"):
            call()
