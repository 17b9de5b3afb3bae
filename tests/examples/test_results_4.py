"""What the figures of networks promise: a class and an angle from one trunk, heaps, pairs told apart."""

import importlib
from pathlib import Path

import numpy as np
import pytest

FIGURES = Path(__file__).resolve().parents[2] / "examples" / "figures"

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    for needed in ("matplotlib", "sklearn"):
        pytest.importorskip(needed, reason="needs the extra 'examples'")
    monkeypatch.syspath_prepend(str(FIGURES))


def figure(name):
    return importlib.import_module(name)


def test_five_splits_of_the_digits_have_a_median_of_98_percent():
    def accuracy(seed):
        net, X, y = figure("cnn_on_digits").training(seed)
        return (net(X).numpy().argmax(axis=1) == y).mean()

    assert np.median([accuracy(seed) for seed in range(5)]) >= 0.98


@pytest.mark.parametrize("name", ["heads_for_class_and_box", "heads_for_class_and_angle"])
def test_one_trunk_answers_both_questions(name):
    (_, y, truth), scores, found, mean = figure(name).training()
    assert (scores.argmax(axis=1) == y).mean() >= 0.97
    assert abs(found - truth).mean() <= abs(mean - truth).mean() / 4


def test_triplets_are_not_behind_raw_pixels():
    retrieval = figure("retrieval_by_triplets")
    X, y, before, after = retrieval.training()
    recall, precision, _ = retrieval.quality(after, y)
    assert after.shape[1] <= 8
    assert recall >= retrieval.quality(X, y)[0]
    assert precision >= 0.94
    spread = figure("retrieval_embedding_in_2d").spread
    assert spread(after, y) < 0.2 < 0.5 < spread(before, y)


def test_half_the_margin_tells_pairs_apart():
    module = figure("retrieval_by_siamese_pairs")
    y, before, after = module.training(epochs=30)
    half = module.MARGIN / 2
    assert module.told_apart(*module.pairs_of(after, y), half) >= 0.95
    assert module.told_apart(*module.pairs_of(before, y), half) < 0.75
