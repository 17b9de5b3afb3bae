"""What figures claim, asserted on smaller runs."""

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


@pytest.mark.slow
def test_cross_entropy_is_ahead_of_the_squared_error_under_a_softmax():
    module = figure("cross_entropy_against_squares")
    ours, theirs = (module.accuracies(loss, 0) for loss in ("cross-entropy", "squared error"))
    assert ours[0] > theirs[0] + 0.05
    assert ours[1] > theirs[1]
    assert min(ours[2], theirs[2]) > 0.94


def test_a_sure_and_wrong_sigmoid_learns_ten_times_slower_from_the_squared_error():
    training = figure("sigmoid_learns_slowly").training
    steps = [int(np.argmax(training(loss) < 0.5)) for loss in ("squared error", "cross-entropy")]
    assert steps[0] > 10 * steps[1] > 0


@pytest.mark.slow
def test_dead_relus_stay_dead_and_leaky_ones_come_back():
    module = figure("relus_that_die")
    relu, leaky = (
        module.training(f)[0][-1] for f in (module.lo.nn.ReLU(), module.lo.nn.LeakyReLU(slope=0.3))
    )
    assert relu >= 0.5 > 0.35 > leaky


@pytest.mark.slow
def test_a_network_of_convolutions_reads_digits():
    net, X, y = figure("cnn_on_digits").training(1, epochs=12)
    assert (net(X).numpy().argmax(axis=1) == y).mean() >= 0.975


@pytest.mark.slow
def test_triplets_put_the_same_digit_first():
    module = figure("retrieval_by_triplets")
    _, y, before, after = module.training(epochs=20)
    recall, precision, _ = module.quality(after, y)
    assert recall >= 0.97
    assert precision >= 0.92 > module.quality(before, y)[1]
