"""Bad input to losses: one error class each, its builtin base, and the words that help."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo import errors
from tinygrad_lo.losses import cross_entropy, l2, multiclass_hinge, nll

SCORES = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0]])


def soft(*rows):
    return np.array(rows, float)


LABELS = [
    ("too large", [0, 5], errors.LabelError, IndexError, ["label 5 at row 1; allowed 0..2"]),
    ("too large, as a ValueError", [0, 3], errors.LabelError, ValueError, ["label 3 at row 1; allowed 0..2"]),
    ("negative", [0, -1], errors.LabelError, IndexError, ["label -1 at row 1"]),
    ("unsigned and too large", np.array([0, 200], np.uint8), errors.LabelError, IndexError,
     ["label 200 at row 1"]),
    ("small integers, negative", np.array([-1, 0], np.int8), errors.LabelError, IndexError,
     ["label -1 at row 0"]),
    ("a tensor, too large", lo.Tensor([0, 5]), errors.LabelError, IndexError, ["label 5 at row 1"]),
    ("floats", np.array([0.0, 1.0]), errors.DTypeError, TypeError,
     ["labels must be integers, got float64", ".astype(int)", "for probabilities pass shape (2, 3)"]),
    ("booleans", np.array([True, False]), errors.DTypeError, TypeError,
     ["labels must be integers, got bool"]),
    ("text", ["cat", "car"], errors.DTypeError, TypeError, ["labels must be integers"]),
    ("a column", np.array([[0], [1]]), errors.ShapeError, ValueError,
     ["labels must be (2,)", "got (2, 1)", "use labels[:, 0]"]),
    ("three for two rows", [0, 1, 2], errors.ShapeError, ValueError, ["2 rows", "3 labels"]),
    ("a square for two rows", np.zeros((2, 2), int), errors.ShapeError, ValueError, ["(2,)", "(2, 2)"]),
]  # fmt: skip

CASES = [
    ("negative label, the way out", lambda: cross_entropy(SCORES, [0, -1]), errors.LabelError, ValueError,
     ["set ignore_index=-1"]),
    ("label in a block of rows", lambda: cross_entropy(np.zeros((2, 2, 3)), [[0, 1], [2, 9]]),
     errors.LabelError,
     IndexError, ["label 9 at (1, 1)"]),
    ("a column of labels for blocks", lambda: cross_entropy(np.zeros((2, 2, 3)), np.zeros((2, 2, 1), int)),
     errors.ShapeError, ValueError, ["(2, 2, 1)", "labels[..., 0]"]),
    ("one label beyond ignore_index", lambda: cross_entropy(SCORES, [-100, -1], ignore_index=-100),
     errors.LabelError, IndexError, ["label -1 at row 1"]),
    # ------------------------------------------------------------------------------ distributions
    ("a row that does not sum to 1", lambda: cross_entropy(SCORES, soft([1, 0.7, 0], [0, 0, 1])),
     errors.DomainError, ValueError, ["row 0 sums to 1.7"]),
    ("a negative probability", lambda: cross_entropy(SCORES, soft([0, 0, 1], [1.5, -0.5, 0])),
     errors.DomainError, ValueError, ["target has the probability 1.5 at (1, 0) outside [0, 1]"]),
    ("nan among probabilities", lambda: cross_entropy(SCORES, soft([np.nan, 0, 1], [1, 0, 0])),
     errors.DomainError, ValueError, ["target has the probability nan at (0, 0) outside [0, 1]"]),
    ("a distribution with ignore_index", lambda: cross_entropy(SCORES, np.eye(3)[:2], ignore_index=0),
     errors.OptionError, ValueError, ["ignore_index", "distribution"]),
    # ------------------------------------------------------------------------------ nothing there
    ("all labels ignored", lambda: cross_entropy(SCORES, [-100, -100], ignore_index=-100), errors.ShapeError,
     ValueError, ["no samples left", "ignore_index=-100 removed 2 of 2"]),
    ("all labels ignored, sum", lambda: cross_entropy(SCORES, [7, 7], ignore_index=7, reduction="sum"),
     errors.ShapeError, ValueError, ["no samples left"]),
    ("no rows", lambda: cross_entropy(np.zeros((0, 3)), np.zeros(0, int)), errors.ShapeError, ValueError,
     ["no samples left", "(0, 3)"]),
    ("no classes", lambda: cross_entropy(np.zeros((2, 0)), [0, 0]), errors.ShapeError, ValueError,
     ["(2, 0)"]),
    ("no rows for the hinge", lambda: multiclass_hinge(np.zeros((0, 3)), np.zeros(0, int), reduction="none"),
     errors.ShapeError, ValueError, ["no samples left"]),
    # ------------------------------------------------------------------------------------- scores
    ("one number as scores", lambda: cross_entropy(3.0, 0), errors.ShapeError, ValueError,
     ["axis of classes"]),
    ("text as scores", lambda: cross_entropy(np.array([["a", "b"]]), [0]), errors.DTypeError, TypeError,
     ["<U1 cannot be computed with"]),
    ("booleans as scores", lambda: multiclass_hinge(np.ones((2, 3), bool), [0, 1]), errors.DTypeError,
     TypeError,
     ["bool"]),
    # ------------------------------------------------------------------------------------ options
    ("unknown reduction", lambda: cross_entropy(SCORES, [0, 1], reduction="avg"), errors.OptionError,
     ValueError,
     ["reduction must be 'mean', 'sum', 'none' or 'batchmean', got 'avg'"]),
    ("unknown reduction of the hinge", lambda: multiclass_hinge(SCORES, [0, 1], reduction=None),
     errors.OptionError, ValueError, ["'mean', 'sum', 'none' or 'batchmean', got None"]),
    ("smoothing above 1", lambda: cross_entropy(SCORES, [0, 1], label_smoothing=1.5), errors.OptionError,
     ValueError, ["label_smoothing must be in [0, 1], got 1.5"]),
    ("negative smoothing", lambda: cross_entropy(SCORES, [0, 1], label_smoothing=-0.1), errors.OptionError,
     ValueError, ["label_smoothing", "-0.1"]),
    ("smoothing nan", lambda: cross_entropy(SCORES, [0, 1], label_smoothing=np.nan), errors.OptionError,
     ValueError, ["label_smoothing must be in [0, 1], got nan"]),
    ("base 1", lambda: cross_entropy(SCORES, [0, 1], base=1.0), errors.OptionError, ValueError, ["base"]),
    ("base 0", lambda: cross_entropy(SCORES, [0, 1], base=0.0), errors.OptionError, ValueError, ["base"]),
    ("base as text", lambda: cross_entropy(SCORES, [0, 1], base="2"), errors.OptionError, ValueError,
     ["'2'"]),
    ("weights for two of three classes", lambda: cross_entropy(SCORES, [0, 1], class_weights=[1, 2]),
     errors.ShapeError, ValueError, ["class_weights", "(3,)", "(2,)"]),
    ("a negative weight", lambda: cross_entropy(SCORES, [0, 1], class_weights=[1, -2, 1]), errors.OptionError,
     ValueError, ["class_weights", ">= 0", "-2"]),
    ("a weight nan", lambda: cross_entropy(SCORES, [0, 1], class_weights=[1, np.nan, 1]), errors.OptionError,
     ValueError, ["class_weights", "finite"]),
    ("weights that leave nothing", lambda: cross_entropy(SCORES, [0, 0], class_weights=[0, 1, 1]),
     errors.LoError, ValueError, ["class_weights"]),
    ("weights by class", lambda: cross_entropy(SCORES, [0, 1], class_weights={0: 1.0}), errors.OptionError,
     ValueError, ["class_weights is a list", "got dict", "[weights.get(c, 1.0) for c in range(3)]"]),
    ("classes on axis 1 of images", lambda: cross_entropy(np.zeros((2, 3, 4, 5)), np.zeros((2, 4, 5), int)),
     errors.ShapeError, ValueError, ["(2, 3, 4)", "got (2, 4, 5)", "np.moveaxis(scores, 1, -1)"]),
    ("classes on axis 1 of sequences", lambda: multiclass_hinge(np.zeros((2, 3, 5)), np.zeros((2, 5), int)),
     errors.ShapeError, ValueError, ["np.moveaxis(scores, 1, -1)"]),
    ("distributions on axis 1", lambda: cross_entropy(np.zeros((2, 2, 3)), np.full((2, 2, 3), 0.5)),
     errors.DomainError, ValueError, ["at (0, 0) sums to 1.5", "np.moveaxis(..., 1, -1)"]),
    ("samples in columns", lambda: cross_entropy(SCORES, [0, 1, 1]), errors.ShapeError, ValueError,
     ["2 rows of logits but 3 labels", "scores.T"]),
    ("margin nan", lambda: multiclass_hinge(SCORES, [0, 1], margin=np.nan), errors.OptionError, ValueError,
     ["margin must be finite", "nan"]),
    ("margin as text", lambda: multiclass_hinge(SCORES, [0, 1], margin="1"), errors.OptionError, ValueError,
     ["margin", "'1'"]),
    ("power 3", lambda: multiclass_hinge(SCORES, [0, 1], power=3), errors.OptionError, ValueError,
     ["power must be 1 or 2, got 3"]),
    ("unknown over", lambda: multiclass_hinge(SCORES, [0, 1], over="wrong"), errors.OptionError, ValueError,
     ["over must be 'others' or 'all', got 'wrong'"]),
    ("unknown combine", lambda: multiclass_hinge(SCORES, [0, 1], combine="avg"), errors.OptionError,
     ValueError,
     ["combine must be 'sum', 'mean' or 'max', got 'avg'"]),
    # ------------------------------------------------------------------------------- regularizers
    ("l2 of nothing", lambda: l2([]), errors.OptionError, ValueError,
     ["empty list", "was a generator used twice?"]),
    ("l2 of a used generator", lambda: l2(w for w in ()), errors.OptionError, ValueError, ["generator"]),
    ("l2 of None", lambda: l2(None), errors.LoError, Exception, ["l2", "None"]),
    ("l2 of text", lambda: l2(["abc"]), errors.DTypeError, TypeError, ["l2", "str"]),
]  # fmt: skip


def must_refuse(call, error, base, words):
    with pytest.raises(errors.LoError) as caught:
        call()
    assert type(caught.value) is error or error is errors.LoError
    assert isinstance(caught.value, base)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("call", "error", "base", "words"), [pytest.param(*case[1:], id=case[0]) for case in CASES]
)
def test_bad_input_is_refused_in_words(call, error, base, words):
    must_refuse(call, error, base, words)


@pytest.mark.parametrize("loss", [cross_entropy, multiclass_hinge])
@pytest.mark.parametrize(
    ("labels", "error", "base", "words"), [pytest.param(*case[1:], id=case[0]) for case in LABELS]
)
def test_bad_labels_are_refused_by_every_loss_of_labels(loss, labels, error, base, words):
    must_refuse(lambda: loss(SCORES, labels), error, base, [f"{loss.__name__}: ", *words])
    must_refuse(lambda: loss(lo.Tensor(SCORES, requires_grad=True), labels), error, base, words)


@pytest.mark.parametrize("loss", [cross_entropy, multiclass_hinge])
def test_good_labels_of_any_integer_type_are_taken(loss):
    expected = loss(SCORES, [0, 2])
    for dtype in (np.int8, np.uint8, np.int32, np.uint64):
        assert loss(SCORES, np.array([0, 2], dtype)) == expected
    assert loss(SCORES, lo.Tensor([0, 2])) == expected
    assert loss(SCORES, (0, 2)) == expected


CUBE = np.arange(27.0).reshape(1, 3, 3, 3) % 5


@pytest.mark.parametrize("loss", [cross_entropy, multiclass_hinge, nll])
def test_classes_that_fit_on_two_axes_are_asked_about_once(loss):
    """Where C = H = W the wrong axis gives another number without an error."""
    labels = np.arange(9).reshape(1, 3, 3) % 3
    words = r"axis 1\. .*np\.moveaxis\(scores, 1, -1\).*scores\.reshape\(-1, 3\)"
    with pytest.warns(UserWarning, match=words) as caught:
        meant, _, _ = [loss(-CUBE, labels) for _ in range(3)]
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert loss(-CUBE.reshape(-1, 3), labels.reshape(-1)) == meant  # says so, and does not warn
    loss(np.zeros((3, 3)), [0, 1, 2])
    loss(-np.ones((2, 3, 4)), np.zeros((2, 3), int))


@pytest.mark.parametrize("loss", [cross_entropy, multiclass_hinge, nll])
def test_one_class_has_nothing_to_learn(loss):
    scores = lo.Tensor(np.zeros((4, 1)), requires_grad=True)
    words = (
        r"shape \(4, 1\) have one class, .*binary_cross_entropy_with_logits\(scores\[\.\.\., 0\], labels\)"
    )
    with pytest.warns(UserWarning, match=words) as caught:
        _ = [loss(scores, [0, 0, 0, 0]) for _ in range(3)]
    assert len(caught) == 1
    with pytest.warns(UserWarning, match=words), pytest.raises(errors.LabelError):
        loss(scores, [0, 1, 1, 0])
    lo.losses.binary_cross_entropy_with_logits(scores[..., 0], [0.0, 1.0, 1.0, 0.0])


def test_the_label_to_ignore_may_be_numpys():
    expected = cross_entropy(SCORES, [0, -1], ignore_index=-1)
    for kind in (np.int64, np.int8, np.int32):
        assert cross_entropy(SCORES, [0, -1], ignore_index=kind(-1)) == expected
    assert cross_entropy(SCORES, [0, 2], ignore_index=np.uint8(2)) == cross_entropy(SCORES[:1], [0])
    for bad in (np.bool_(True), True, 1.0, np.float64(1.0), "1"):
        with pytest.raises(errors.OptionError, match="ignore_index must be an int or None"):
            cross_entropy(SCORES, [0, 1], ignore_index=bad)
