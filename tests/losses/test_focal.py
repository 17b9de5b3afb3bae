"""focal, and nll with weights of classes and rows to ignore. Numbers are PyTorch 2.13's, in float64."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo import losses as L
from tinygrad_lo.errors import DomainError, LabelError, OptionError, ShapeError

S = np.array([[1.2, -0.3, 0.5], [0.1, 2.0, -1.0], [-0.7, 0.4, 0.9], [3.0, -2.0, 0.0]])
Y = np.array([0, 2, 1, 2])
CLASSES = [0.5, 2.0, 1.0]
FOCAL = [
    (2.0, None, 1.5686137375646512, [0.27976823763, 0.001885063557, -0.281653301187]),
    (2.0, CLASSES, 1.4910042840418591, [0.248682877893, 0.001675612051, -0.250358489944]),
    (0.5, None, 1.834631207746516, [0.24843070779, 0.001673912942, -0.250104620732]),
    (0.5, CLASSES, 1.7897261178800181, [0.220827295813, 0.001487922615, -0.222315218428]),
]


@pytest.mark.parametrize(("gamma", "classes", "value", "last"), FOCAL)
def test_focal_is_pytorch_s_by_hand(gamma, classes, value, last):
    scores = lo.Parameter(S)
    loss = L.focal(scores, Y, gamma=gamma, class_weights=classes)
    loss.backward()
    assert loss.item() == pytest.approx(value, rel=1e-14)
    np.testing.assert_allclose(scores.grad[3], last, atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"class_weights": CLASSES}, {"reduction": "none"}])
def test_focal_without_a_focus_is_cross_entropy(options):
    a, b = lo.Parameter(S), lo.Parameter(S)
    focal, entropy = L.focal(a, Y, gamma=0, **options), L.cross_entropy(b, Y, **options)
    np.testing.assert_allclose(focal.numpy(), entropy.numpy(), rtol=1e-15)
    focal.sum().backward()
    entropy.sum().backward()
    np.testing.assert_allclose(a.grad, b.grad, rtol=1e-14)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_focal_at_extreme_scores(gamma, dtype):
    """Sure and right: nothing. Sure and wrong: the slope of the cross-entropy, ±1."""
    scores = lo.Parameter(np.array([[1e8, 0.0, -1e8], [-1e8, 0.0, -1e8]], dtype))
    loss = L.focal(scores, [0, 0], gamma=gamma, reduction="none")
    loss.sum().backward()
    assert loss.numpy().tolist() == [0.0, 1e8]
    assert scores.grad.tolist() == [[0.0] * 3, [-1.0, 1.0, 0.0]]
    curvature = lo.hessian(lambda s: L.focal(s, [0], gamma=gamma))(np.array([[1e4, 0.0, -1e4]]))
    assert np.abs(curvature).max() == 0.0


def test_focal_of_two_classes_is_the_sigmoid_form_of_the_paper():
    z, y, alpha = np.array([-2.0, 0.3, 1.5]), np.array([1, 0, 1]), 0.25
    p = 1 / (1 + np.exp(-z))
    p_t, alpha_t = np.where(y == 1, p, 1 - p), np.where(y == 1, alpha, 1 - alpha)
    paper = -alpha_t * (1 - p_t) ** 2 * np.log(p_t)
    ours = L.focal(np.stack([0 * z, z], 1), y, class_weights=[1 - alpha, alpha], reduction="none")
    np.testing.assert_allclose(ours, paper, rtol=1e-13)


def test_focal_refuses_and_warns():
    with pytest.raises(OptionError, match="focal: gamma must be finite and >= 0, got -1"):
        L.focal(S, Y, gamma=-1)
    with pytest.raises(LabelError, match="focal: label 3 at row 3"):
        L.focal(S, [0, 1, 2, 3])
    with pytest.raises(ShapeError, match=r"focal: class_weights must have shape \(3,\)"):
        L.focal(S, Y, class_weights=[1.0])
    with pytest.warns(UserWarning, match="focal: the scores are the output of softmax"):
        L.focal(lo.nn.softmax(lo.Parameter(S)), Y)


def test_nll_weighs_classes_and_ignores_rows_as_cross_entropy():
    log_p = lo.nn.log_softmax(S)
    assert L.nll(log_p, Y, class_weights=CLASSES) == pytest.approx(1.9317253678671231, rel=1e-14)
    assert L.nll(log_p, Y, class_weights=CLASSES, ignore_index=1) == pytest.approx(
        2.6031396582262434, rel=1e-14
    )
    assert L.nll(log_p, Y, ignore_index=1, reduction="sum") == pytest.approx(6.7789285701649575, rel=1e-14)


def test_ignored_rows_of_nll_may_hold_anything():
    log_p = lo.nn.log_softmax(S)
    log_p[1:3] = [[np.nan] * 3, [7.0] * 3]
    p = lo.Parameter(log_p)
    loss = L.nll(p, [0, -100, -100, 2], ignore_index=-100)
    loss.backward()
    assert loss.item() == pytest.approx(-(log_p[0, 0] + log_p[3, 2]) / 2, rel=1e-15)
    assert p.grad[1:3].tolist() == [[0.0] * 3] * 2
    with pytest.raises(DomainError, match="nll: log-probability 7 at"):
        L.nll(log_p[2:], Y[2:])
    with pytest.raises(OptionError, match="ignore_index must be an int or None"):
        L.nll(log_p[3:], Y[3:], ignore_index=0.5)
    with pytest.raises(ShapeError, match="nll: no samples left to average"):
        L.nll(log_p[3:], [-1], ignore_index=-1)
