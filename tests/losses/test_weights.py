"""weights=: one for each sample, in every loss that is reduced; what all share is in test_every_loss.

Numbers are PyTorch 2.13's, of `(losses * w).sum() / w.sum()` written out, or scikit-learn's of sample_weight.
"""

import re

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo import losses as L
from tinygrad_lo.errors import DTypeError, OptionError, ShapeError, UnknownOptionError

S = np.array([[1.2, -0.3, 0.5], [0.1, 2.0, -1.0], [-0.7, 0.4, 0.9], [3.0, -2.0, 0.0]])
Y = np.array([0, 2, 1, 2])
P = np.array([[0.3, -1.2], [2.0, 0.0], [-40.0, 0.5], [1.0, 1.0]])
T = np.array([[0.0, 1.0], [2.0, 3.0], [0.0, 0.0], [4.0, -2.0]])
W = np.array([1.0, 0.0, 2.0, 0.5])
CLASSES = [0.5, 2.0, 1.0]


def near(value):
    return pytest.approx(value, rel=1e-13)


def test_the_mean_is_that_of_scikit_learn():
    assert L.mse(P, T, weights=W) == near(459.20428571428573)
    assert L.mae(P, T, weights=W) == near(12.357142857142856)
    assert L.quantile(P, T, q=0.8, weights=W) == near(9.645714285714286)
    assert L.cross_entropy(S, [0, 1, 2, 0], weights=W) == near(0.5013047076353476)


@pytest.mark.parametrize("loss", [L.cross_entropy, lambda s, y, **o: L.nll(lo.nn.log_softmax(s), y, **o)])
def test_weights_multiply_class_weights_and_ignored_rows_do_not_count(loss):
    assert loss(S, Y, weights=W) == near(1.215590421921062)
    assert loss(S, Y, weights=W, class_weights=CLASSES) == near(1.233680412392163)
    scores = lo.Parameter(S)
    ignored = loss(scores, Y, weights=W, class_weights=CLASSES, ignore_index=1)
    ignored.backward()
    assert ignored.item() == near(1.798572042287922)
    first, last = (
        [-0.209254228107, 0.064874150645, 0.144380077462],
        [0.473249561276, 0.003188730461, -0.476438291738],
    )
    np.testing.assert_allclose(scores.grad, [first, [0.0] * 3, [0.0] * 3, last], atol=1e-12)


def test_weights_and_smoothed_labels():
    options = {"class_weights": CLASSES, "label_smoothing": 0.2, "ignore_index": 1}
    assert L.cross_entropy(S, Y, weights=W, **options) == near(2.2517763094373673)
    each = L.cross_entropy(S, Y, reduction="none", **options)
    assert L.cross_entropy(S, Y, weights=W, reduction="batchmean", **options) == near(each @ W / W.sum())


def test_a_sample_of_several_rows_has_one_weight():
    scores, labels = np.stack([S, S[::-1]]), np.stack([Y, Y])
    each = L.cross_entropy(scores, labels, reduction="none")
    assert L.cross_entropy(scores, labels, weights=[3, 1]) == near((3 * each[0] + each[1]).sum() / 16)
    q = lo.nn.softmax(S[::-1])
    each = L.cross_entropy(S, q, class_weights=CLASSES, reduction="none")
    assert L.cross_entropy(S, q, class_weights=CLASSES, weights=W) == near(each @ W / W.sum())


def test_a_whole_weight_counts_like_as_many_copies():
    copies = np.repeat(np.arange(4), [1, 0, 2, 3])
    assert L.mse(P, T, weights=[1, 0, 2, 3]) == near(L.mse(P[copies], T[copies]))
    assert L.focal(S, Y, class_weights=CLASSES, weights=[1, 0, 2, 3]) == near(
        L.focal(S[copies], Y[copies], class_weights=CLASSES)
    )
    kept = np.array([True, False, True, True])
    assert L.mse(P, T, weights=kept) == near(L.mse(P[kept], T[kept]))


def test_a_single_sample_has_a_single_weight():
    assert L.mse(1.0, 3.0, weights=2.0) == 4.0
    assert L.mse(1.0, 3.0, weights=2.0, reduction="sum") == 8.0
    assert L.cross_entropy(S[0], 1, weights=2, reduction="none") == near(2 * L.cross_entropy(S[0], 1))
    assert L.cross_entropy(S[0], 1, weights=2) == near(L.cross_entropy(S[0], 1))
    with pytest.raises(ShapeError, match=r"weights must be \(\), one for each sample, got \(1,\)"):
        L.mse(1.0, 3.0, weights=[2.0])


WRONG = [
    (W[:3], ShapeError, r"mse: weights must be \(4,\), one for each sample, got \(3,\)"),
    (W[:, None], ShapeError, r"must be \(4,\), one for each sample, got \(4, 1\)"),
    (2.0, ShapeError, r"must be \(4,\), one for each sample, got \(\)"),
    ([1.0, -0.5, 1.0, 1.0], OptionError, "weights must be finite and >= 0 in float64, got -0.5 at row 1"),
    ([1.0, np.nan, 1.0, 1.0], OptionError, "got nan at row 1"),
    ([1.0, 1.0, np.inf, 1.0], OptionError, "got inf at row 2"),
    ([0, 0, 0, 0], ShapeError, "mse: no samples left to average: weights or class_weights are 0"),
    (["a"] * 4, DTypeError, "mse"),
    ([1.0, None, 1.0, 1.0], DTypeError, "mse"),
]


@pytest.mark.parametrize("reduction", ["mean", "batchmean"])
@pytest.mark.parametrize(("weights", "error", "said"), WRONG)
def test_refusals(weights, error, said, reduction):
    with pytest.raises(error, match=said):
        L.mse(P, T, weights=weights, reduction=reduction)


@pytest.mark.parametrize("word", ["sample_weight", "weight"])
def test_what_others_call_them(word):
    with pytest.raises(UnknownOptionError, match=f"mse has no option '{word}'; did you mean 'weights'"):
        L.mse(P, T, **{word: W})
    with pytest.raises(UnknownOptionError, match="'weight'; did you mean 'class_weights'"):
        L.cross_entropy(S, Y, weight=CLASSES)


def test_a_sum_of_nothing_is_0():
    assert L.mse(P, T, weights=np.zeros(4), reduction="sum") == 0.0
    with pytest.raises(ShapeError, match="nll: no samples left to average: weights or class_weights are 0"):
        L.nll(lo.nn.log_softmax(S), Y, weights=[0, 1, 0, 0], class_weights=[1, 1, 0])


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("weights", [W, W.tolist(), lo.Tensor(W), np.arange(4), np.arange(4) > 1])
def test_weights_do_not_change_the_dtype(dtype, weights):
    for reduction in ("mean", "sum", "none"):
        out = L.huber(lo.Parameter(P.astype(dtype)), T, weights=weights, reduction=reduction)
        assert out.dtype == dtype
    assert L.mae(P.astype(dtype), T, weights=weights).dtype == dtype


def test_weights_must_be_numbers_of_the_dtype():
    with pytest.raises(OptionError, match="weights must be finite and >= 0 in float32, got inf at row 1"):
        L.mse(P.astype(np.float32), T, weights=[1.0, 1e300, 1.0, 1.0])


def test_weights_can_be_learned():
    def f(scores, w):
        return L.cross_entropy(scores, Y, weights=w, class_weights=CLASSES)

    lo.gradcheck(f, S, W + 0.1, order=2).raise_if_failed()


def test_weights_in_source_and_drawing():
    p = lo.Parameter(P, name="p")
    loss = L.mse(p, T, weights=W)
    loss.backward()
    text, space = lo.source(loss), {}
    exec(str(text), space)
    value, gradients = space["loss_and_gradients"](**text.arguments)
    assert value == loss.item()
    np.testing.assert_array_equal(gradients["p"], p.grad)
    np.testing.assert_array_equal(np.ravel(text.arguments["w"]), W)
    assert "w_i L_i" in lo.draw(loss).source
    assert "w_i L_i = L_i × w" in lo.tree(loss)


def test_compiled_weights_are_an_input():
    p = lo.Parameter(P)
    step = lo.compile(lambda w: L.mse(p, T, weights=w))
    values = [step(W), step(2.0 * W), step(np.ones(4))]
    assert values == [near(459.20428571428573), near(459.20428571428573), near(L.mse(P, T))]
    assert re.search(r"def step\(x_\d+, w_\d+, target_\d+\)", str(step.source))
    with pytest.raises(ShapeError, match="weights or class_weights are 0"):
        step(np.zeros(4))


def test_lazy_weights_stay_lazy():
    da = pytest.importorskip("dask.array")
    w = da.from_array(W, chunks=2)
    for p, weights in ((da.from_array(P, chunks=(2, 2)), W), (P, w), (da.from_array(P, chunks=(2, 2)), w)):
        loss = L.mse(lo.Parameter(p), T, weights=weights)
        assert hasattr(loss.data, "dask")
        assert float(loss.data.compute()) == near(459.20428571428573)
    wrong = L.mse(P, T, weights=da.from_array(np.array([-1, 1, 1, 1])))
    with pytest.raises(OptionError, match=r"in float64, got -1.0 at row 0"):
        wrong.compute()  # what is lazy is examined when it is computed
