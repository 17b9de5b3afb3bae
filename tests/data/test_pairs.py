"""Pairs and triplets: every sample once as an anchor, partners by chance, all alike, refused early."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.data import pairs, triplets
from tinygrad_lo.errors import DTypeError, LabelError, OptionError, ShapeError

LABELS = np.array([7, -1, 7, 3, -1, 7, 3, -1, -1])
N = len(LABELS)


def test_each_sample_is_in_a_similar_and_in_a_dissimilar_pair():
    i, j, y = pairs(LABELS, rng=0)
    assert [len(i), len(j), len(y)] == [2 * N] * 3
    for kind in (0, 1):
        assert sorted(i[y == kind]) == list(range(N))
    np.testing.assert_array_equal(LABELS[i] != LABELS[j], y == 1)
    assert (i != j).all()
    assert y.tolist() not in (sorted(y), sorted(y)[::-1])  # shuffled
    assert lo.losses.contrastive(np.eye(N)[i], np.eye(N)[j], y) > 0


def test_each_sample_is_an_anchor_once():
    anchor, positive, negative = triplets(LABELS, rng=0)
    assert sorted(anchor) == list(range(N))
    assert anchor.tolist() != sorted(anchor)
    assert (LABELS[anchor] == LABELS[positive]).all()
    assert (LABELS[anchor] != LABELS[negative]).all()
    assert (anchor != positive).all()


def test_all_partners_are_equally_likely():
    rng = np.random.default_rng(1)
    counts = np.zeros((2, N, N))
    for _ in range(2000):
        anchor, positive, negative = triplets(LABELS, rng=rng)
        counts[0, anchor, positive] += 1
        counts[1, anchor, negative] += 1
    same = LABELS[:, None] == LABELS
    expected = [same & ~np.eye(N, dtype=bool), ~same]
    for seen, allowed in zip(counts, expected, strict=True):
        share = np.where(allowed, 2000 / allowed.sum(1, keepdims=True), 0.0)
        assert (np.abs(seen - share) <= 5 * np.sqrt(share)).all()


@pytest.mark.parametrize("sampler", [pairs, triplets])
def test_draws_are_new_each_epoch_and_repeat_with_the_seed(sampler):
    def epoch(**options):
        return [a.tolist() for a in sampler(LABELS, **options)]

    lo.seed(1)
    first, second = epoch(), epoch()
    lo.seed(1)
    assert epoch() == first != second
    assert epoch(rng=5) == epoch(rng=5) == epoch(rng=np.random.default_rng(5)) != epoch(rng=6)


def test_lists_and_tensors_of_labels():
    for labels in (LABELS.tolist(), lo.Tensor(LABELS), LABELS.astype(np.int8)):
        for a, b in zip(triplets(labels, rng=3), triplets(LABELS, rng=3), strict=True):
            np.testing.assert_array_equal(a, b)


WRONG = [
    ([0, 0, 4, 1, 1], LabelError, "row 2 has no positive: no other row has its label 4"),
    ([3, 3, 3], LabelError, "no sample has a negative: all labels are 3"),
    ([], ShapeError, "no samples"),
    (5, ShapeError, r"labels must be \(1,\)"),
    ([[0, 0], [1, 1]], ShapeError, r"labels must be \(2,\), one for each of the samples, got \(2, 2\)"),
    ([0.0, 0.0, 1.0, 1.0], DTypeError, "labels must be integers, got float64"),
]


@pytest.mark.parametrize(("labels", "error", "said"), WRONG)
def test_refusals(labels, error, said):
    with pytest.raises(error, match=f"^pairs: .*{said}"):
        pairs(labels)
    with pytest.raises(error, match=f"^triplets: .*{said}"):
        triplets(labels)
    with pytest.raises(OptionError, match="rng must be"):
        triplets(LABELS, rng="seed")
