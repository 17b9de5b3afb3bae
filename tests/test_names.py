"""Parameters are read in one place, in all the forms that users write."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.errors import OptionError
from tinygrad_lo.names import differences, named_leaves, named_values


def model():
    return lo.nn.Sequential(lo.nn.Linear(2, 3), lo.nn.ReLU(), lo.nn.Linear(3, 1))


@pytest.mark.parametrize(
    "form",
    [
        lambda w: w,
        lambda w: [w],
        lambda w: (w,),
        lambda w: iter([w]),
        lambda w: (p for p in [w]),
        lambda w: [("w", w)],
        lambda w: {"w": w},
        lambda w: {"w": w}.items(),
        lambda w: {"w": w}.values(),
    ],
)
@pytest.mark.parametrize("name", [None, "w"])
def test_every_form(form, name):
    w = lo.Parameter([1.0, 2.0], name=name)
    ((found, leaf),) = named_leaves("f", form(w))
    assert leaf is w
    assert found in {name, "w"}


def test_a_models_names_are_the_unique_ones():
    whole = model()
    names = [name for name, _ in named_leaves("f", whole)]
    assert names == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert [name for name, _ in named_leaves("f", whole[0])] == ["0.weight", "0.bias"]


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ([], "empty parameter list"),
        ({}, "empty parameter list"),
        ("w", "params must be a tensor, a list"),
        (3.0, "params must be a tensor, a list"),
        ({1, 2}, "params is a set, which has no order"),
        ([np.ones(2)], "entry 0 is ndarray, not a parameter; wrap it in lo.Parameter"),
        ([("w", 3.0)], "entry 0, 'w', is float, not a parameter"),
    ],
)
def test_anything_else_is_refused(params, text):
    with pytest.raises(OptionError, match=f"f: {text}"):
        named_leaves("f", params)


def test_only_leaves_and_only_once():
    w = lo.Parameter([1.0], name="w")
    with pytest.raises(OptionError, match="entry 0 is not a leaf: it was computed by multiply"):
        named_leaves("f", [w * 2.0])
    with pytest.raises(OptionError, match="entry 1, 'w', is in the list twice"):
        named_leaves("f", [w, w])


def test_values_may_be_anything():
    array = np.ones(2)
    w = lo.Parameter([1.0], name="w")
    assert named_values("f", array)[0][1] is array
    (pair,) = named_values("f", w * 2.0)
    assert pair[0] is None


def test_differences_of_names():
    assert differences(["a", "b"], ["b", "a"]) == ""
    assert differences(["weight"], ["wieght"]) == (
        "missing: ['weight'], unexpected: ['wieght'] (did you mean 'weight'?)"
    )
    assert differences(["a.weight", "b.weight"], ["a.wieght", "b.wieght"]).endswith(
        "(did you mean 'a.weight' for 'a.wieght', 'b.weight' for 'b.wieght'?)"
    )
