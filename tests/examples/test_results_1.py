"""What the figures of the losses promise: numbers of the slides, exact zeros, and how far a bad idea gets."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

FIGURES = Path(__file__).resolve().parents[2] / "examples" / "figures"


@pytest.fixture(scope="module", autouse=True)
def _importable():
    for needed in ("matplotlib", "sklearn"):
        pytest.importorskip(needed, reason="needs the extra 'examples'")
    sys.path.insert(0, str(FIGURES))
    yield
    sys.path.remove(str(FIGURES))


def test_only_the_last_but_one_image_stands_at_the_margin():
    svm = importlib.import_module("point_jiggled").jiggled("SVM", np.array([-0.1, 0.0, 0.1]))
    np.testing.assert_allclose(svm, [[0, 0, 0], [0, 0, 0.1], [0, 0, 0]], atol=1e-12)
    softmax = importlib.import_module("point_jiggled").jiggled("softmax", np.array([-0.1, 0.0, 0.1]))
    assert (np.diff(softmax[:2]) > 0).all()


def test_doubling_keeps_a_hinge_loss_of_zero():
    figure = importlib.import_module("doubled_weights")
    scores, y = figure.scores_of_wines()
    margin = figure.smallest_margin(scores, y)
    assert margin >= 1
    assert figure.smallest_margin(2 * scores, y) == 2 * margin


def test_the_slides_function_has_the_librarys_gradient():
    x, y, _, slides, ours = importlib.import_module("vectorized_slide_loss").gradients()
    np.testing.assert_allclose(slides, ours, atol=1e-12)
    np.testing.assert_allclose(slides[y], -slides.sum(axis=0) + slides[y], atol=1e-12)
    assert np.abs(slides).max() > np.abs(x).max()


def test_a_little_regularization_is_nearer_to_the_truth():
    found = importlib.import_module("simpler_models").errors()
    (none, far, _), (some, near, _), (much, farther, _) = found.values()
    assert none < some < much
    assert near < far / 3 < farther


def test_l1_leaves_three_weights_and_l2_all():
    found = importlib.import_module("useless_features").weights(steps=300)
    counts = {name: np.count_nonzero(w) for name, w in found.items()}
    assert counts == {"L1": 3, "L2": 20, "L1 as a term of the loss": 20}


def test_the_columns_are_those_of_the_slides():
    columns = importlib.import_module("columns_of_softmax").columns
    _, powers, probabilities, nats, _ = columns("000")
    np.testing.assert_allclose(powers, [60.3, 8.2, 0.6], atol=0.05)
    np.testing.assert_allclose(probabilities, [0.87, 0.12, 0.01], atol=0.005)
    assert nats == pytest.approx(0.14, abs=0.005)
    *_, nats, tens = columns("002")
    assert (nats, tens) == pytest.approx((2.04, 0.89), abs=0.005)


def test_the_ten_class_losses():
    svm, softmax = importlib.import_module("ten_class_scores").losses()
    np.testing.assert_allclose(svm, [10.58, 0.27, 71.91], atol=0.005)
    np.testing.assert_allclose(softmax, [5.1698, 0.5775, 11.2945], atol=5e-5)


@pytest.mark.parametrize("classes", [2, 10, 50])
def test_losses_before_the_first_step(classes):
    found = importlib.import_module("loss_at_the_start").first_losses(classes)
    assert found == pytest.approx((np.log(classes), classes - 1), rel=1e-3)


def test_following_the_slope_beats_random_search():
    figure = importlib.import_module("random_search_on_digits")
    data = figure.digits()
    accuracy, result = figure.search(data, 1e-4, tries=100)
    assert accuracy < 0.3
    assert result.loss == pytest.approx(9, abs=0.01)
    assert figure.descent(data, steps=200) > 0.9


def test_the_slides_weights():
    figure = importlib.import_module("spread_or_sparse")
    assert figure.prices(figure.SPARSE) == (1.0, 1.0)
    assert figure.prices(figure.SPREAD) == (1.0, 0.25)


def test_templates_classify():
    templates, accuracy = importlib.import_module("templates_of_digits").templates("softmax", epochs=10)
    assert templates.shape == (10, 8, 8)
    assert accuracy > 0.9
