"""Bad input to SGD: one error class each, its builtin base, and the words that help."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo import errors
from tinygrad_lo.optim import SGD


def param(name="W1"):
    return lo.Parameter([1.0, 2.0], name=name)


def sgd(**options):
    return SGD([param()], **{"lr": 0.1, **options})


def used_generator():
    found = (w for w in [param()])
    list(found)
    return found


def repeated():
    W = param()
    return [{"params": [W]}, {"params": [W]}]


def assigned(key, value):
    sgd().param_groups[0][key] = value


def updated(**options):
    sgd().param_groups[0].update(options)


FINITE = "lr must be finite and >= 0, got "
EMPTY = "empty parameter list (was a generator used twice?)"

CASES = [
    *[(f"lr={lr!r}", lambda lr=lr: sgd(lr=lr), [FINITE + repr(lr)])
      for lr in (-1, np.nan, np.inf, "0.1", None, True, [0.1])],
    ("momentum 1.5", lambda: sgd(momentum=1.5), ["momentum must be in [0, 1), got 1.5"]),
    ("momentum 1", lambda: sgd(momentum=1.0), ["momentum must be in [0, 1), got 1.0"]),
    ("momentum nan", lambda: sgd(momentum=np.nan), ["momentum must be in [0, 1), got nan"]),
    ("momentum negative", lambda: sgd(momentum=-0.1), ["momentum must be in [0, 1)"]),
    ("dampening nan", lambda: sgd(dampening=np.nan), ["dampening must be finite and >= 0, got nan"]),
    ("weight decay negative", lambda: sgd(weight_decay=-1),
     ["weight_decay must be finite and >= 0, got -1"]),
    ("nesterov as a number", lambda: sgd(nesterov=1), ["nesterov must be True or False, got 1"]),
    ("lr_in_velocity as text", lambda: sgd(lr_in_velocity="no"), ["lr_in_velocity must be True or False"]),
    ("nesterov without momentum", lambda: sgd(nesterov=True),
     ["nesterov needs momentum > 0 and dampening 0"]),
    ("nesterov with dampening", lambda: sgd(nesterov=True, momentum=0.9, dampening=0.1),
     ["nesterov needs momentum > 0 and dampening 0"]),
    # --------------------------------------------------------------------------------- parameters
    ("an empty list", lambda: SGD([], 0.1), [EMPTY]),
    ("a generator used before", lambda: SGD(used_generator(), 0.1), [EMPTY]),
    ("an empty group", lambda: SGD([{"params": []}], 0.1), [EMPTY, "group 0"]),
    ("an array", lambda: SGD(np.ones(2), 0.1), ["entry 0 is ndarray", "lo.Parameter"]),
    ("None", lambda: SGD(None, 0.1), ["a tensor, a list of them", "got NoneType"]),
    ("text", lambda: SGD("W", 0.1), ["a tensor, a list of them", "got str"]),
    ("a dict of numbers", lambda: SGD({"W": 1.0}, 0.1), ["entry 0, 'W', is float"]),
    ("a number", lambda: SGD([1.0], 0.1), ["entry 0 is float"]),
    ("an array in the list", lambda: SGD([param(), np.ones(2)], 0.1), ["entry 1 is ndarray"]),
    ("a value in between", lambda: SGD([param() * 2.0], 0.1), ["entry 0", "not a leaf", "multiply"]),
    ("a constant", lambda: SGD([lo.Tensor([1.0], name="x")], 0.1), ["'x'", "does not require grad"]),
    ("a group without params", lambda: SGD([{"lr": 0.1}], 0.1), ["a dict with 'params'"]),
    ("a parameter in two groups", lambda: SGD(repeated(), 0.1), ["'W1' appears in groups 0 and 1"]),
    ("two parameters with one name", lambda: SGD([{"params": [param("W")]}, {"params": [param("W")]}], 0.1),
     ["'W' names two parameters, in groups 0 and 1"]),
    ("two parameters with one name in a list", lambda: SGD([param("W"), param("W")], 0.1),
     ["'W' names two parameters"]),
    # ------------------------------------------------------------------------------------- groups
    ("a key of another library", lambda: SGD([{"params": [param()], "learning_rate": 0.1}], 0.1),
     ["has no option 'learning_rate'; did you mean 'lr'?", "group 0"]),
    ("a misspelt key", lambda: SGD([{"params": [param()], "momentun": 0.1}], 0.1),
     ["has no option 'momentun'; did you mean 'momentum'?"]),
    ("a key like nothing", lambda: SGD([{"params": [param()], "qqq": 0.1}], 0.1),
     ["has no option 'qqq'", "lr, momentum, dampening, nesterov, weight_decay, lr_in_velocity"]),
    ("a bad lr in the second group",
     lambda: SGD([{"params": [param("a")]}, {"params": [param("b")], "lr": -1}], 0.1),
     ["group 1: " + FINITE + "-1"]),
    ("a bad lr assigned later", lambda: assigned("lr", np.nan), [FINITE + "nan"]),
    ("a bad lr in update", lambda: updated(lr=-1), [FINITE + "-1"]),
    ("an unknown key assigned later", lambda: assigned("rate", 0.1), ["has no option 'rate'"]),
    ("step before backward", lambda: sgd().step(),
     ["no parameter has a gradient; call loss.backward() first"]),
]  # fmt: skip


@pytest.mark.parametrize(("call", "words"), [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_bad_options_are_refused_in_words(call, words):
    with pytest.raises(errors.OptionError) as caught:
        call()
    assert isinstance(caught.value, ValueError)
    assert str(caught.value).startswith("SGD: ")
    for word in words:
        assert word in str(caught.value)


def test_an_unknown_option_is_a_sentence_of_its_own():
    with pytest.raises(errors.OptionError, match=r"has no option 'qqq'\. Options are"):
        SGD([{"params": [param()], "qqq": 0.1}], 0.1)


def test_step_takes_no_loss():
    W = param()
    loss = (W * W).sum()
    loss.backward()
    with pytest.raises(errors.DTypeError, match="step takes a closure or nothing, got Tensor") as caught:
        SGD([W], 0.1).step(loss)
    assert isinstance(caught.value, TypeError)
    assert W.data.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(("bad", "words"), [(np.nan, "1 nan"), (np.inf, "1 inf"), (-np.inf, "1 inf")])
def test_a_gradient_that_is_not_finite_leaves_everything_untouched(bad, words):
    W, b = param(), lo.Parameter(3.0, name="b")
    opt = SGD([b, W], 0.1, momentum=0.9)
    W.grad, b.grad = np.array([1.0, 1.0]), 1.0
    opt.step()
    velocity = {p: opt.state[p]["v"].copy() for p in (W, b)}
    before = W.data.copy(), b.data
    W.grad = np.array([1.0, bad])
    with pytest.raises(
        errors.NonFiniteError, match=f"grad of 'W1' has {words}, step skipped, state untouched"
    ):
        opt.step()
    assert (W.data == before[0]).all()
    assert b.data == before[1]
    assert all((opt.state[p]["v"] == velocity[p]).all() for p in (W, b))
    W.grad = np.array([1.0, 1.0])
    opt.step()
    assert np.isfinite(W.data).all()


def test_a_refused_group_is_not_added():
    opt = sgd()
    with pytest.raises(errors.OptionError):
        opt.add_param_group({"params": [param("W2")], "lr": -1})
    assert len(opt.param_groups) == 1


def test_huge_but_finite_gradients_are_taken():
    for value in (np.full(2, 1e200), np.full(2, 1e30, np.float32), np.float64(1e200)):
        W = lo.Parameter(np.zeros_like(value))
        W.grad = value
        SGD([W], 1e-30).step()
        assert np.isfinite(W.data).all()
        assert (W.data != 0).all()
