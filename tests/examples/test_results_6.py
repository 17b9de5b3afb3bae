"""What figures of regularization, heads and numerical care claim, on smaller runs."""

import importlib
from pathlib import Path

import numpy as np
import pytest

FIGURES = Path(__file__).resolve().parents[2] / "examples" / "figures"


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    for needed in ("matplotlib", "sklearn"):
        pytest.importorskip(needed, reason="needs the extra 'examples'")
    monkeypatch.syspath_prepend(str(FIGURES))


def figure(name):
    return importlib.import_module(name)


def test_a_weight_decay_is_one_fit_and_a_lambda_three():
    module = figure("weight_decay_conventions")
    one = [row[2:4] for row in module.fits(0.2).values()]
    for penalty, decay in one:
        np.testing.assert_allclose(penalty, one[0][0], atol=1e-12)
        np.testing.assert_allclose(decay, one[0][0], atol=1e-12)
    three = [row[3] for row in module.fits().values()]
    assert min(abs(three[i] - three[j]).max() for i, j in ((0, 1), (0, 2), (1, 2))) > 0.01


def test_the_first_softmax_ends_where_exp_does():
    module = figure("softmax_at_huge_scores")
    assert [module.last_right(label) for label in (0, 1)] == [709, 354]
    assert module.at(module.naive, 373, 1)[0] == np.inf
    assert module.at(module.lo.losses.cross_entropy, 1e4, 1) == (20_000, -1)
    assert module.at(module.lo.losses.cross_entropy, 1e4, 0) == (0, 0)


def test_a_broadcast_row_gets_the_sum_of_its_rows():
    A, B, _ = figure("broadcasting_gradients").arrays()
    np.testing.assert_array_equal(A.grad, A.data + B.data)
    np.testing.assert_array_equal(B.grad, (A.data + B.data).sum(axis=0, keepdims=True))


def test_eight_units_go_round_two_moons_and_one_does_not():
    best = figure("hidden_units_on_moons").best
    assert best(1, starts=2)[1] < 0.92
    assert best(8, starts=2)[1] > 0.98


@pytest.mark.slow
def test_dropout_keeps_wrong_labels_from_being_learned_and_batch_norm_does_not():
    curves = figure("regularizers_on_few_digits").curves
    last = {kind: curves(kind, 0)[:2, -1] for kind in ("none", "dropout 0.5", "L2", "L1", "batch norm")}
    assert last["none"][0] == last["batch norm"][0] == 1.0
    for kind in ("dropout 0.5", "L2", "L1"):
        assert last[kind][0] < 0.9
        assert last[kind][1] > last["none"][1] + 0.03


@pytest.mark.slow
def test_a_head_on_each_layer_helps_six_layers_of_sigmoids():
    module = figure("auxiliary_loss")
    alone, helped = ([module.deep(module.lo.nn.sigmoid, w, s) for s in range(3)] for w in (0.0, 1.0))
    assert np.median(helped) > np.median(alone) + 0.1


@pytest.mark.slow
def test_heads_of_the_targets_range_are_best():
    errors = figure("head_activation_by_range").table()[..., 0]
    none, relu, _, sigmoid, tanh = range(5)
    assert errors.argmin(axis=1).tolist() == [none, relu, sigmoid, tanh]
