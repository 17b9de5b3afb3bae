"""Bad input to the losses of distances: one error class each, and the words that help."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo import errors
from tinygrad_lo.losses.metric import contrastive, cosine_similarity, pairwise_distance, triplet

A = np.array([[0.0, 0.0], [1.0, 1.0]])
P = np.array([[0.0, 1.0], [1.0, 1.0]])
N = np.array([[0.0, 1.5], [3.0, 1.0]])

CASES = [
    ("three shapes", lambda: triplet(A, P, N[:1]), errors.ShapeError,
     ["triplet: anchor (2, 2) vs positive (2, 2) vs negative (1, 2)", "do not broadcast"]),
    ("an anchor of another width", lambda: triplet(A[:, :1], P, N), errors.ShapeError,
     ["anchor (2, 1) vs positive (2, 2)"]),
    ("numbers as triplet", lambda: triplet(1.0, 2.0, 3.0), errors.ShapeError, ["axis of features"]),
    ("no triplets", lambda: triplet(A[:0], P[:0], N[:0], reduction="none"), errors.ShapeError,
     ["triplet: no samples left", "(0, 2)"]),
    ("text as anchor", lambda: triplet("a", P, N), errors.DTypeError, ["triplet", "str"]),
    ("unknown distance", lambda: triplet(A, P, N, distance="l2"), errors.OptionError,
     ["distance must be 'squared', 'euclidean' or a function", "'l2'"]),
    ("distance None", lambda: triplet(A, P, N, distance=None), errors.OptionError, ["None"]),
    ("a distance that keeps a column", lambda: triplet(A, P, N, distance=lambda a, b: a[:, :1] - b[:, :1]),
     errors.ShapeError, ["distance returned shape (2, 1) for inputs of shape (2, 2)", "expected (2,)"]),
    ("a distance that reduces everything", lambda: triplet(A, P, N, distance=lambda a, b: 1.0),
     errors.ShapeError, ["distance returned shape ()"]),
    ("a distance that leaves the graph",
     lambda: triplet(lo.Parameter(A), P, N, distance=lambda a, b: np.zeros(2)), errors.GraphError,
     ["distance returned ndarray", "left the graph"]),
    ("a negative margin", lambda: triplet(A, P, N, margin=-1.0), errors.OptionError,
     ["triplet: margin must be finite and >= 0, got -1.0"]),
    ("margin nan", lambda: contrastive(A, P, [0, 1], margin=np.nan), errors.OptionError, ["nan"]),
    ("unknown reduction", lambda: triplet(A, P, N, reduction="avg"), errors.OptionError,
     ["reduction must be 'mean', 'sum', 'none' or 'batchmean', got 'avg'"]),
    ("unknown reduction of pairs", lambda: contrastive(A, P, [0, 1], reduction="avg"), errors.OptionError,
     ["contrastive", "'avg'"]),
    # ------------------------------------------------------------------------------------ labels
    ("a pair labelled 2", lambda: contrastive(A, P, [0, 2]), errors.LabelError,
     ["contrastive: label 2 at row 1; allowed 0 (similar) and 1 (dissimilar)"]),
    ("a pair labelled -1", lambda: contrastive(A, P, [-1, 1]), errors.LabelError, ["label -1 at row 0"]),
    ("one pair labelled 2", lambda: contrastive(A[0], P[0], 2), errors.LabelError, ["label 2; allowed 0"]),
    ("a block labelled 3", lambda: contrastive(A[None], P[None], [[0, 3]]), errors.LabelError,
     ["label 3 at (0, 1)"]),
    ("floats", lambda: contrastive(A, P, [0.0, 1.0]), errors.DTypeError,
     ["y must be integers, got float64", ".astype(int)"]),
    ("booleans", lambda: contrastive(A, P, [True, False]), errors.DTypeError, ["got bool"]),
    ("a column of labels", lambda: contrastive(A, P, [[0], [1]]), errors.ShapeError,
     ["y must be (2,)", "got (2, 1)", "use y[..., 0]"]),
    ("one label for two pairs", lambda: contrastive(A, P, [0]), errors.ShapeError, ["(2,)", "(1,)"]),
    ("pairs of two shapes", lambda: contrastive(A, P[:1], [0, 1]), errors.ShapeError,
     ["contrastive: a (2, 2) vs b (1, 2)"]),
    ("numbers as a pair", lambda: contrastive(1.0, 2.0, 0), errors.ShapeError, ["axis of features"]),
    # ---------------------------------------------------------------------------------- geometry
    ("cosine of two shapes", lambda: cosine_similarity(A, A[0]), errors.ShapeError,
     ["cosine_similarity: a (2, 2) vs b (2,) would broadcast to (2, 2)"]),
    ("cosine of numbers", lambda: cosine_similarity(1.0, 2.0), errors.ShapeError, ["axis of features"]),
    ("one row as a matrix", lambda: pairwise_distance(A[0], A), errors.ShapeError,
     ["pairwise_distance: A must be rows (n, d), got shape (2,)"]),
    ("one row as the second matrix", lambda: pairwise_distance(A, A[0]), errors.ShapeError, ["B must be"]),
    ("rows of two lengths", lambda: pairwise_distance(A, A[:, :1]), errors.ShapeError,
     ["A (2, 2) vs B (2, 1)", "rows of 2 and 1 numbers"]),
    ("unknown pairwise distance", lambda: pairwise_distance(A, A, distance="cosine"), errors.OptionError,
     ["distance must be 'squared' or 'euclidean', got 'cosine'"]),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "words"), [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_bad_input_is_refused_in_words(call, error, words):
    with pytest.raises(errors.LoError) as caught:
        call()
    assert type(caught.value) is error
    for word in words:
        assert word in str(caught.value)
