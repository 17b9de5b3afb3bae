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


def test_momentum_swings_less_across_the_valley_and_is_there_sooner():
    module = figure("momentum_in_a_valley")
    plain, momentum, nesterov = (module.path(options, rate, 30) for _, rate, options in module.KINDS.values())
    assert module.across(momentum) < module.across(plain) / 2
    assert module.across(nesterov) < module.across(momentum)
    far, near, _ = (np.linalg.norm(places[-1]) for places in (plain, momentum, nesterov))
    assert near < far / 5


@pytest.mark.parametrize("size", [None, 32, 1])
def test_each_kind_of_batch_sees_the_data_once_an_epoch(size):
    seen, losses = figure("batches_by_samples_seen").by_samples(size, 0.1, epochs=1)
    assert 1797 - 32 < seen[-1] <= 1797
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("rate", [0.01, 0.03, 0.1])
def test_rmsprop_and_adam_leave_the_saddle_soonest_at_the_same_rate(rate):
    module = figure("steps_to_leave_a_saddle")
    steps = {name: module.steps_to_leave(name, rate) for name in module.OPTIMIZERS}
    assert max(steps.pop("RMSprop"), steps.pop("Adam")) < min(steps.values())


def test_each_surface_with_one_lowest_loss_has_another_winner():
    module = figure("optimizers_on_surfaces")
    winners = {
        min(module.OPTIMIZERS, key=lambda name, surface=surface: module.best(surface, name)[2])
        for surface in ("a bowl", "a ravine", "two minima")
    }
    assert len(winners) == 3
