"""Numbers, warnings and refusals of the losses that were once wrong."""

import warnings

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.engine.ops.reductions import log_softmax
from tinygrad_lo.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    hinge,
)
from tinygrad_lo.losses.probabilities import is_softmax

Z = np.array([[0.5, -1.5, 3.0], [-0.2, 0.0, -4.0]])
Y = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.3]])
SIGNS = np.array([[1, -1, 1], [-1, 1, -1]])


def warned(action):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        action()
    return [str(w.message) for w in caught], [w.filename for w in caught]


@pytest.mark.parametrize("smoothing", [np.float64(0.1), np.float32(0.1)])
def test_an_option_from_numpy_does_not_change_the_dtype(smoothing):
    scores = lo.Parameter(np.array([[0.2, 0.8]], np.float32))
    assert cross_entropy(scores, [0], label_smoothing=smoothing).dtype == np.float32


def test_float16_keeps_what_it_can_hold():
    x = lo.Parameter(np.array([0.0, 1.0, 0.0, 1.0, 0.5], np.float16))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        loss = binary_cross_entropy(x, [1.0, 0.0, 0.0, 1.0, 0.5])
    loss.backward()
    assert loss.dtype == np.float16
    assert np.isfinite(x.grad).all()
    assert cross_entropy(np.array([[1e4, -1e4]] * 8, np.float16), [1] * 8) == 2e4
    assert lo.losses.mse(np.ones(100000, np.float16), np.zeros(100000)) == 1.0
    assert lo.losses.entropy(lo.nn.softmax(np.zeros((2, 1000), np.float16))).shape == (2,)


@pytest.mark.parametrize(
    "spelling",
    [
        lambda p: p.reshape(-1, 3),
        lambda p: p[:1],
        lambda p: np.clip(p, 1e-7, 1.0),
        lambda p: p.astype(np.float32),
    ],
)
def test_a_softmax_is_recognized_behind_harmless_ops(spelling):
    p = spelling(np.exp(log_softmax(lo.Parameter(Z))))
    assert is_softmax(p)
    assert not is_softmax(spelling(lo.Parameter(Z) * 1.0))


def test_the_softmax_of_the_slide_is_recognized():
    z = lo.Parameter(Z)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    assert warned(lambda: cross_entropy(p, [0, 1]))[0]
    assert not warned(lambda: cross_entropy(np.exp(z) / 2.0, [0, 1]))[0]


def test_different_inputs_of_one_session_each_warn():
    space = {"lo": lo, "s": lo.Parameter(Z), "cross_entropy": cross_entropy}
    lines = [f"cross_entropy(lo.nn.softmax(s), [{k}, {k}])" for k in range(2)]
    for line in lines:
        code = compile(line, "<stdin>", "single")
        assert len(warned(lambda code=code: exec(code, dict(space)))[0]) == 1


def test_a_masked_out_class_costs_nothing():
    s = lo.Parameter([[1.0, -np.inf, 0.0]])
    loss = cross_entropy(s, [[0.5, 0.0, 0.5]])
    loss.backward()
    assert loss.item() == pytest.approx(np.log(1 + np.e) - 0.5)
    assert np.isfinite(s.grad).all()


def test_one_row_is_not_divided_by_one():
    assert "÷" not in lo.tree(lo.losses.mse(lo.Parameter(2.0), 1.0))


def test_mining_refuses_distances_that_overflow():
    with pytest.raises(lo.errors.NonFiniteError, match="exceed float64"):
        lo.losses.hard_negatives([[1e200], [1.1e200], [-1e200], [5e200]], [0, 0, 1, 1])


def test_an_elastic_net_without_strength_is_zero():
    assert lo.losses.elastic_net(np.full(10, 3e38, np.float32), l1=0.0, l2=0.0) == 0.0
    w = lo.Parameter([1.0, -2.0])
    assert "|" not in lo.tree(lo.losses.elastic_net(w, l1=0.0, l2=0.5)).replace("├─", "")


REFUSED_LATER = [
    (
        lambda: cross_entropy(Z, [0, 1], ignore_index=1.0),
        "OptionError",
        "ignore_index must be an int or None",
    ),
    (
        lambda: cross_entropy(Z, [0, 1], base=np.array([2.0, 3.0])),
        "OptionError",
        "base must be a finite number",
    ),
    (lambda: hinge(Z, SIGNS, margin=10**400), "OptionError", "margin must be finite"),
    (lambda: lo.losses.mse(None, [1.0]), "DTypeError", "got NoneType"),
    (lambda: cross_entropy([[1.0, 2.0], [3.0]], [0, 1]), "ShapeError", "ragged"),
    (lambda: cross_entropy(Z, [0, 1], class_weights=[1e60, 1.0, -1.0]), "OptionError", "class_weights"),
    (
        lambda: binary_cross_entropy_with_logits(Z.astype(np.float32), Y, pos_weight=1e60),
        "OptionError",
        "pos_weight must be finite and >= 0 in float32",
    ),
]


@pytest.mark.parametrize(("call", "kind", "words"), REFUSED_LATER)
def test_what_once_escaped_the_errors(call, kind, words):
    with pytest.raises(getattr(lo.errors, kind)) as caught:
        call()
    assert words in str(caught.value)
