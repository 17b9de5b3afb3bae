"""Mining of negatives: equal to plain loops, ties, bounds, refusals."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo import errors
from tinygrad_lo.losses import metric
from tinygrad_lo.losses.metric import hard_negatives, semi_hard_negatives, triplet

DISTANCES = {
    "squared": lambda a, b: ((a - b) ** 2).sum(-1),
    "euclidean": lambda a, b: np.sqrt(((a - b) ** 2).sum(-1)),
}


def slow_hard(x, y):
    found = []
    for i in range(len(x)):
        others = [j for j in range(len(x)) if y[j] != y[i]]
        found.append(min(others, key=lambda j: ((x[i] - x[j]) ** 2).sum()))
    return found


def slow_semi(x, y, positives, margin, distance):
    found, D = [], DISTANCES[distance]
    for i, hard in enumerate(slow_hard(x, y)):
        d_p = D(x[i], x[positives[i]])
        semi = [j for j in range(len(x)) if y[j] != y[i] and d_p < D(x[i], x[j]) < d_p + margin]
        found.append(min(semi, key=lambda j: D(x[i], x[j])) if semi else hard)
    return found


def batch(rng, n=30, classes=4):
    x, y = rng.standard_normal((n, 3)), rng.integers(0, classes, n)
    positives = [next((j for j in rng.permutation(n) if y[j] == y[i] and j != i), i) for i in range(n)]
    return x, y, np.array(positives)


def test_hard_negatives_of_the_number_line():
    x = np.array([[0.0], [1.0], [3.0], [9.0]])
    found = hard_negatives(x, [0, 0, 1, 1])
    assert found.tolist() == [2, 2, 1, 1]
    assert found.dtype.kind == "i"
    assert type(hard_negatives(lo.Parameter(x), lo.Tensor([7, 7, -1, -1]))) is np.ndarray


def test_of_equally_near_negatives_the_first_is_taken():
    """(1, 7) and (5, 5) are both √50 from the origin; a root of scaled squares would differ."""
    x = np.array([[0.0, 0.0], [1.0, 7.0], [5.0, 5.0], [7.0, -1.0]])
    assert hard_negatives(x, [0, 1, 1, 1])[0] == 1
    assert hard_negatives(x[[0, 2, 1, 3]], [0, 1, 1, 1])[0] == 1


def test_semi_hard_negatives_of_the_number_line():
    x, y = np.array([[0.0], [1.0], [0.5], [1.2], [5.0]]), [0, 0, 1, 1, 1]
    positives = [1, 0, 3, 2, 3]
    assert semi_hard_negatives(x, y, positives, margin=1.0)[0] == 3  # 1 < 1.44 < 2
    assert semi_hard_negatives(x, y, positives, margin=0.4)[0] == 2  # none within: the hardest
    assert semi_hard_negatives(x, y, positives, margin=0.4, distance="euclidean")[0] == 3  # 1 < 1.2 < 1.4
    assert semi_hard_negatives(x, y, [0, 1, 2, 3, 4], margin=0.3)[0] == 2  # its own positive: 0 < 0.25 < 0.3


def test_both_bounds_of_semi_hard_exclude_equality():
    x = np.array([[0.0], [1.0], [-1.0], [2.0], [0.5]])
    y, positives = [0, 0, 1, 1, 1], [1, 0, 3, 2, 2]
    assert semi_hard_negatives(x, y, positives, margin=3.0)[0] == 4  # 1 is not > 1, 4 is not < 1 + 3
    assert semi_hard_negatives(x, y, positives, margin=3.01)[0] == 3


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("block", [1, 500, 1 << 22])
def test_mining_equals_loops(seed, block, monkeypatch):
    monkeypatch.setattr(metric, "PAIR_BLOCK", block)
    x, y, positives = batch(np.random.default_rng(seed))
    assert hard_negatives(x, y).tolist() == slow_hard(x, y)
    for distance in ("squared", "euclidean"):
        found = semi_hard_negatives(x, y, positives, margin=0.5, distance=distance)
        assert found.tolist() == slow_semi(x, y, positives, 0.5, distance)


def test_mined_negatives_feed_the_triplet_loss(rng):
    x, y, positives = batch(rng)
    E = lo.Parameter(x)
    loss = triplet(E, E[positives], E[hard_negatives(E, y)])
    loss.backward()
    assert E.grad.any()
    assert loss.item() >= triplet(x, x[positives], x[semi_hard_negatives(x, y, positives, margin=1.0)])


def test_small_unsigned_embeddings_do_not_wrap():
    assert hard_negatives(np.array([[1], [200], [3]], np.uint8), [0, 1, 1]).tolist() == [2, 0, 0]


def test_wide_float32_embeddings_do_not_overflow():
    """Their squares leave float32, so mining works in float64."""
    x = np.array([[0.0], [2e30], [1e30]], np.float32)
    assert hard_negatives(x, [0, 1, 1]).tolist() == [2, 0, 0]
    assert semi_hard_negatives(x, [0, 1, 1], [0, 2, 1], margin=1e20).tolist() == [2, 0, 0]


def test_mining_writes_into_nothing(rng):
    x, y, positives = batch(rng)
    for data in (x, y, positives):
        data.flags.writeable = False
    semi_hard_negatives(x, y, positives, margin=1.0)


# ---------------------------------------------------------------------------------------- refusals

E4 = np.arange(8.0).reshape(4, 2)
Y4 = [0, 0, 1, 1]

CASES = [
    ("one class", lambda: hard_negatives(E4, [3, 3, 3, 3]), errors.LabelError,
     ["hard_negatives: row 0 has no negative", "all 4 rows have the label 3"]),
    ("float classes", lambda: hard_negatives(E4, [0.0, 0, 1, 1]), errors.DTypeError,
     ["labels must be integers, got float64"]),
    ("three labels for four rows", lambda: hard_negatives(E4, [0, 1, 1]), errors.ShapeError,
     ["labels must be (4,), one for each of the rows, got (3,)"]),
    ("one embedding", lambda: hard_negatives(E4[0], [0]), errors.ShapeError, ["must be rows (n, d)"]),
    ("no embeddings", lambda: hard_negatives(E4[:0], []), errors.ShapeError, ["no samples", "(0, 2)"]),
    ("nan among embeddings", lambda: hard_negatives([[0.0], [np.nan]], [0, 1]), errors.NonFiniteError,
     ["the embeddings hold nan at (1, 0)"]),
    ("inf among embeddings", lambda: hard_negatives([[0.0], [-np.inf]], [0, 1]), errors.NonFiniteError,
     ["the embeddings hold -inf at (1, 0)"]),
    ("one class, semi-hard", lambda: semi_hard_negatives(E4, [3] * 4, [1, 0, 3, 2], margin=1.0),
     errors.LabelError, ["semi_hard_negatives: row 0 has no negative"]),
    ("a positive that is no row", lambda: semi_hard_negatives(E4, Y4, [1, 0, 3, 4], margin=1.0),
     errors.IndexingError, ["positives[3] is 4, but the rows are 0..3"]),
    ("a negative row number", lambda: semi_hard_negatives(E4, Y4, [1, -4, 3, 2], margin=1.0),
     errors.IndexingError, ["positives[1] is -4"]),
    ("a positive of another class", lambda: semi_hard_negatives(E4, Y4, [1, 2, 3, 2], margin=1.0),
     errors.LabelError, ["positives[1] is row 2 with label 1, but row 1 has label 0"]),
    ("positives as floats", lambda: semi_hard_negatives(E4, Y4, [1.0, 0, 3, 2], margin=1.0),
     errors.DTypeError, ["positives must be integers"]),
    ("too few positives", lambda: semi_hard_negatives(E4, Y4, [1, 0], margin=1.0), errors.ShapeError,
     ["positives must be (4,)", "got (2,)"]),
    ("semi-hard margin inf", lambda: semi_hard_negatives(E4, Y4, [1, 0, 3, 2], margin=np.inf),
     errors.OptionError, ["margin", "inf"]),
    ("semi-hard distance", lambda: semi_hard_negatives(E4, Y4, [1, 0, 3, 2], margin=1.0, distance="l2"),
     errors.OptionError, ["distance", "'l2'"]),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "words"), [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_bad_input_is_refused_in_words(call, error, words):
    with pytest.raises(errors.LoError) as caught:
        call()
    assert type(caught.value) is error
    for word in words:
        assert word in str(caught.value)
