"""cross_entropy and multiclass_hinge: the numbers of the slides, every option, gradients, peers."""

import itertools

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.losses import cross_entropy, multiclass_hinge

TABLE = lo.data.lectures.cat_car_frog
LOGITS = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0]])
LABELS = np.array([0, 2])
REDUCTIONS = ["mean", "sum", "none", "batchmean"]


# ----------------------------------------------------------------------------- numbers of the slides


def hinge(**options):
    return multiclass_hinge(TABLE.scores, TABLE.labels, reduction="none", **options)


def test_hinge_losses_of_the_slide():
    np.testing.assert_allclose(hinge(), [2.9, 0.0, 12.9], atol=1e-13)
    assert multiclass_hinge(TABLE.scores, TABLE.labels) == pytest.approx(15.8 / 3)
    assert round(float(multiclass_hinge(TABLE.scores, TABLE.labels)), 2) == 5.27


def test_hinge_over_all_classes_adds_one_to_every_row():
    np.testing.assert_allclose(hinge(over="all"), [3.9, 1.0, 13.9], rtol=1e-13)


def test_squared_hinge_losses():
    np.testing.assert_allclose(hinge(power=2), [8.41, 0.0, 83.25], atol=1e-12)


def test_hinge_of_the_worst_class():
    np.testing.assert_allclose(hinge(combine="max"), [2.9, 0.0, 6.6], atol=1e-13)


def test_hinge_mean_divides_by_the_number_of_classes():
    np.testing.assert_allclose(hinge(combine="mean"), np.array([2.9, 0.0, 12.9]) / 3, atol=1e-13)


def test_hinge_of_one_row():
    assert multiclass_hinge(np.array([1.3, 2.5, 2.0]), 1) == pytest.approx(0.5)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_hinge_at_equal_scores_is_one_less_than_the_number_of_classes(classes):
    assert multiclass_hinge(np.zeros((5, classes)), np.zeros(5, int)) == classes - 1


def test_hinge_margin():
    np.testing.assert_allclose(hinge(margin=2.0), [3.9 + 0.0, 0.0, 14.9], atol=1e-13)


def test_hinge_losses_of_lecture_0():
    table = lo.data.lectures.car_boat_tree
    losses = multiclass_hinge(table.scores, table.labels, reduction="none")
    np.testing.assert_allclose(losses, [0.3, 1.8, 0.0], atol=1e-13)


def test_hinge_cannot_tell_the_three_vectors_of_the_slide_apart_but_cross_entropy_can():
    """Only the first has the wrong classes within the margin."""
    table = lo.data.lectures.softmax_against_svm
    scores = np.array([[10.0, -2.0, 3.0], [10.0, 9.0, 9.0], [10.0, -100.0, -100.0]])
    np.testing.assert_array_equal(table.scores, scores)
    assert multiclass_hinge(scores, table.labels, reduction="none").tolist() == [0.0, 0.0, 0.0]
    losses = cross_entropy(scores, table.labels, reduction="none")
    assert losses[1] > losses[0] > losses[2] >= 0.0


def test_the_slope_of_the_hinge_at_its_kinks_is_zero():
    """At (10, 9, 9) both margins are met exactly."""
    s = lo.Parameter([[10.0, 9.0, 9.0]])
    multiclass_hinge(s, [0]).backward()
    assert s.grad.tolist() == [[0.0, 0.0, 0.0]]


def test_the_gradient_of_the_hinge_counts_the_violated_margins():
    s = lo.Parameter(TABLE.scores)
    multiclass_hinge(s, TABLE.labels, reduction="sum").backward()
    assert s.grad.tolist() == [[-1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [1.0, 1.0, -2.0]]


def test_cross_entropy_golden_numbers():
    np.testing.assert_allclose(
        cross_entropy(LOGITS, LABELS, reduction="none"), [0.407606, 2.169846], atol=5e-7
    )
    assert cross_entropy(LOGITS, LABELS) == pytest.approx(1.288726, abs=5e-7)
    assert cross_entropy(LOGITS, LABELS, class_weights=[1, 2, 5]) == pytest.approx(1.876139, abs=5e-7)
    assert cross_entropy(LOGITS, LABELS, label_smoothing=0.1) == pytest.approx(1.322059, abs=5e-7)


def test_cross_entropy_of_the_cat():
    cat = TABLE.scores[:1]
    assert round(float(cross_entropy(cat, [0], base=10)), 2) == 0.89
    assert round(float(cross_entropy(cat, [0])), 2) == 2.04
    assert cross_entropy(cat, [0], base=2) == pytest.approx(cross_entropy(cat, [0]) / np.log(2))


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_cross_entropy_at_equal_scores_is_log_c(classes):
    assert cross_entropy(np.zeros((4, classes)), np.zeros(4, int)) == pytest.approx(
        np.log(classes), rel=1e-15
    )
    assert cross_entropy(np.full((4, classes), 7.0), np.ones(4, int), base=classes) == pytest.approx(1.0)


def test_the_gradient_of_cross_entropy_is_softmax_minus_one_hot():
    s = lo.Parameter(LOGITS)
    cross_entropy(s, LABELS, reduction="sum").backward()
    softmax = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
    np.testing.assert_allclose(s.grad, softmax - np.eye(3)[LABELS], rtol=1e-14)


# -------------------------------------------------------------------------------- all the options

DISTRIBUTION = np.array([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0]])
WEIGHTS = np.array([1.0, 2.0, 5.0])


def by_hand(
    scores, target, *, label_smoothing=0.0, class_weights=None, ignore_index=None, base=np.e, reduction="mean"
):
    """Cross-entropy as the slides write it: softmax, then logarithm, row by row."""
    classes = scores.shape[-1]
    rows = scores.reshape(-1, classes)
    w = np.ones(classes) if class_weights is None else np.asarray(class_weights, float)
    soft = np.shape(target) == scores.shape
    flat = np.reshape(target, (-1, classes)) if soft else np.ravel(target)
    losses, weights = [], []
    for row, y in zip(rows, flat, strict=True):
        p = np.exp(row) / np.exp(row).sum()
        if not soft and y == ignore_index:
            losses.append(0.0)
            weights.append(0.0)
            continue
        q = y if soft else np.eye(classes)[y]
        q = (1 - label_smoothing) * q + label_smoothing / classes
        losses.append(-(w * q * np.log(p)).sum() / np.log(base))
        weights.append(1.0 if soft else w[y])
    losses = np.reshape(losses, scores.shape[:-1])
    if reduction == "none":
        return losses
    divisor = {"sum": 1, "batchmean": len(scores) if scores.ndim > 1 else 1, "mean": np.sum(weights)}
    return losses.sum() / divisor[reduction]


def entropy_cases():
    for smoothing, weights, base in itertools.product((0.0, 0.3), (None, WEIGHTS), (np.e, 2)):
        options = {"label_smoothing": smoothing, "class_weights": weights, "base": base}
        for ignore in (None, 2, -100):
            yield (LOGITS, LABELS, {**options, "ignore_index": ignore})
        yield (LOGITS, DISTRIBUTION, options)
        yield (np.stack([LOGITS, LOGITS[::-1]]), np.array([[0, 2], [1, 1]]), {**options, "ignore_index": 1})
        yield (LOGITS[0], 1, options)
        yield (LOGITS[0], DISTRIBUTION[0], options)


ENTROPY = [pytest.param(*case, id=str(i)) for i, case in enumerate(entropy_cases())]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("scores", "target", "options"), ENTROPY)
def test_cross_entropy_with_every_option(scores, target, options, reduction):
    expected = by_hand(scores, target, **options, reduction=reduction)
    plain = cross_entropy(scores, target, **options, reduction=reduction)
    assert not isinstance(plain, lo.Tensor)
    assert np.shape(plain) == np.shape(expected)
    assert reduction == "none" or isinstance(plain, float)
    np.testing.assert_allclose(plain, expected, rtol=1e-13)
    for given in (target, lo.Tensor(target)):
        out = cross_entropy(lo.Parameter(scores), given, **options, reduction=reduction)
        assert type(out) is lo.Tensor
        np.testing.assert_array_equal(out.numpy(), plain)


@pytest.mark.parametrize(("scores", "target", "options"), ENTROPY)
def test_derivatives_of_cross_entropy(scores, target, options):
    lo.gradcheck(lambda s: cross_entropy(s, target, **options), scores, order=2).raise_if_failed()


def slow_hinge(scores, labels, *, margin=1.0, power=1, over="others", combine="sum"):
    rows = []
    for row, y in zip(scores, labels, strict=True):
        terms = [max(0.0, s - row[y] + margin) ** power for j, s in enumerate(row) if over == "all" or j != y]
        rows.append({"sum": sum(terms), "mean": sum(terms) / len(row), "max": max(terms)}[combine])
    return np.array(rows)


HINGES = [
    {"margin": margin, "power": power, "over": over, "combine": combine}
    for margin in (1.0, 0.3, 0.0, -1.0)
    for power in (1, 2)
    for over in ("others", "all")
    for combine in ("sum", "mean", "max")
    if margin >= 0 or combine != "max"
]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("options", HINGES, ids=str)
def test_hinge_with_every_option(options, reduction, rng):
    scores, labels = rng.standard_normal((5, 4)), rng.integers(0, 4, 5)
    rows = slow_hinge(scores, labels, **options)
    expected = {"none": rows, "sum": rows.sum(), "mean": rows.mean(), "batchmean": rows.mean()}[reduction]
    plain = multiclass_hinge(scores, labels, **options, reduction=reduction)
    assert not isinstance(plain, lo.Tensor)
    np.testing.assert_allclose(plain, expected, rtol=1e-13)
    out = multiclass_hinge(lo.Parameter(scores), labels, **options, reduction=reduction)
    assert type(out) is lo.Tensor
    np.testing.assert_array_equal(out.numpy(), plain)


@pytest.mark.parametrize("options", HINGES, ids=str)
def test_derivatives_of_the_hinge(options, rng):
    scores, labels = rng.standard_normal((5, 4)), rng.integers(0, 4, 5)
    lo.gradcheck(lambda s: multiclass_hinge(s, labels, **options), scores, order=2).raise_if_failed()


def test_hinge_of_blocks_of_rows(rng):
    scores, labels = rng.standard_normal((2, 3, 4)), rng.integers(0, 4, (2, 3))
    losses = multiclass_hinge(scores, labels, reduction="none")
    flat = multiclass_hinge(scores.reshape(6, 4), labels.ravel(), reduction="none")
    np.testing.assert_array_equal(losses, flat.reshape(2, 3))
    assert multiclass_hinge(scores, labels) == pytest.approx(flat.sum() / 6)
    assert multiclass_hinge(scores, labels, reduction="batchmean") == pytest.approx(flat.sum() / 2)


def test_a_hinge_over_others_never_falls_below_zero_when_the_margin_is_negative():
    """max over the other classes only: the label's own 0 must not be mistaken for a margin."""
    assert multiclass_hinge(np.array([[0.0, 5.0]]), [1], margin=-1.0, combine="max") == 0.0


def test_gradients_flow_into_a_distribution_target():
    s, q = lo.Tensor(LOGITS), lo.Parameter(DISTRIBUTION)
    cross_entropy(s, q, reduction="sum").backward()
    log_p = LOGITS - np.log(np.exp(LOGITS).sum(-1, keepdims=True))
    np.testing.assert_allclose(q.grad, -log_p, rtol=1e-13)


def test_rows_that_are_ignored_get_no_gradient():
    s = lo.Parameter(LOGITS)
    cross_entropy(s, [0, -1], ignore_index=-1).backward()
    assert s.grad[1].tolist() == [0.0, 0.0, 0.0]
    alone = lo.Parameter(LOGITS[:1])
    cross_entropy(alone, [0]).backward()
    np.testing.assert_allclose(s.grad[:1], alone.grad, rtol=1e-15)


# ------------------------------------------------------------------------------ dtypes and tails


@pytest.mark.parametrize(
    "target",
    [LABELS, DISTRIBUTION.astype(np.float32), DISTRIBUTION.tolist()],
    ids=["labels", "float32", "list"],
)
@pytest.mark.parametrize("weights", [None, WEIGHTS, [1, 2, 5]], ids=["none", "array", "list"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_keeps_float32(target, weights, smoothing):
    s = lo.Parameter(LOGITS, dtype=np.float32)
    loss = cross_entropy(s, target, class_weights=weights, label_smoothing=smoothing, base=2)
    loss.backward()
    assert loss.dtype == s.grad.dtype == np.float32
    plain = cross_entropy(s.data, target, class_weights=weights, label_smoothing=smoothing, base=2)
    assert plain.dtype == np.float32


@pytest.mark.parametrize("options", HINGES, ids=str)
def test_hinge_keeps_float32(options):
    s = lo.Parameter(LOGITS, dtype=np.float32)
    loss = multiclass_hinge(s, LABELS, **options)
    loss.backward()
    assert loss.dtype == s.grad.dtype == multiclass_hinge(s.data, LABELS, **options).dtype == np.float32


@pytest.mark.parametrize("loss", [cross_entropy, multiclass_hinge])
def test_integer_scores_are_numbers_too(loss):
    assert loss(np.array([[3, 1, 0]]), [0]) == loss(np.array([[3.0, 1.0, 0.0]]), [0])
    assert loss([[3.0, 1.0, 0.0]], [0]) == loss(np.array([[3.0, 1.0, 0.0]]), [0])


HUGE = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4], [1e4, 1e4, 1e4]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("target", [[1, 0, 2], np.eye(3)[[1, 0, 2]]], ids=["labels", "distribution"])
def test_scores_of_ten_thousand_are_finite_without_a_warning(dtype, smoothing, target):
    s = lo.Parameter(HUGE, dtype=dtype)
    target = np.asarray(target, dtype if np.ndim(target) == 2 else int)
    loss = cross_entropy(s, target, label_smoothing=smoothing, reduction="none")
    loss.sum().backward()
    q = (1 - smoothing) * np.eye(3)[[1, 0, 2]] + smoothing / 3
    expected = np.array([1e4, 1e4 + np.log(2.0), 1e4 + np.log(3.0)]) - (q * HUGE).sum(-1)
    rounding = 4e4 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(loss.data, expected, rtol=1e-6, atol=rounding)
    assert np.isfinite(s.grad).all()
    assert loss.dtype == s.grad.dtype == dtype


@pytest.mark.parametrize("shift", [10.0, 1000.0, 1e4])
def test_a_constant_added_to_the_scores_changes_no_digit_of_the_loss(shift):
    """Softmax does not see it; subtracting the largest score first keeps it that way in float32."""
    scores = np.array([[0.0, 1.0, 0.0]], np.float32)
    expected = float(cross_entropy(scores.astype(np.float64), [0]))
    assert float(cross_entropy(scores + np.float32(shift), [0])) == pytest.approx(expected, rel=1e-6)


def test_a_right_answer_keeps_its_digits_in_the_far_tail():
    """−log p = log(1 + e^−30) = 9.4e-14, which 1 − p would lose."""
    assert cross_entropy(np.array([[30.0, 0.0]]), [0]) == pytest.approx(np.exp(-30.0), rel=1e-2, abs=0.0)


def test_intermediate_values_are_named_like_the_slides():
    names = lo.tree(multiclass_hinge(lo.Parameter(LOGITS, name="S"), LABELS))
    for name in ("margins", "s_y", "L_i", "‹multiclass_hinge›"):
        assert name in names
    names = lo.tree(cross_entropy(lo.Parameter(LOGITS, name="S"), LABELS))
    for name in ("log p", "L_i", "‹cross_entropy›"):
        assert name in names


# ---------------------------------------------------------------------------------------- peers


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="compares with PyTorch (extra peers)")


def torch_pair(torch, loss, scores):
    t = torch.tensor(scores, dtype=torch.float64, requires_grad=True)
    value = loss(t)
    value.sum().backward()
    return value.detach().numpy(), t.grad.numpy()


@pytest.mark.peers
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["labels", "ignore", "distribution"])
def test_cross_entropy_is_pytorchs(torch, kind, weighted, smoothing, reduction, rng):
    scores = 3.0 * rng.standard_normal((7, 5))
    labels = rng.integers(0, 5, 7)
    options, theirs = {}, {}
    if kind == "ignore":
        labels[[1, 4]] = -100
        options["ignore_index"] = -100
    target = rng.dirichlet(np.ones(5), 7) if kind == "distribution" else labels
    if weighted:
        options["class_weights"] = rng.uniform(0.5, 3.0, 5)
        theirs["weight"] = torch.tensor(options["class_weights"])
    value, gradient = torch_pair(
        torch,
        lambda t: torch.nn.functional.cross_entropy(
            t, torch.tensor(target), label_smoothing=smoothing, reduction=reduction, **theirs
        ),
        scores,
    )
    s = lo.Parameter(scores)
    out = cross_entropy(s, target, label_smoothing=smoothing, reduction=reduction, **options)
    out.sum().backward()
    np.testing.assert_allclose(out.numpy(), value, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(s.grad, gradient, rtol=1e-12, atol=1e-12)


@pytest.mark.peers
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("margin", [1.0, 0.3])
@pytest.mark.parametrize("power", [1, 2])
def test_hinge_with_mean_is_pytorchs(torch, power, margin, reduction, rng):
    scores, labels = rng.standard_normal((7, 5)), rng.integers(0, 5, 7)
    value, gradient = torch_pair(
        torch,
        lambda t: torch.nn.functional.multi_margin_loss(
            t, torch.tensor(labels), p=power, margin=margin, reduction=reduction
        ),
        scores,
    )
    s = lo.Parameter(scores)
    out = multiclass_hinge(s, labels, power=power, margin=margin, combine="mean", reduction=reduction)
    out.sum().backward()
    np.testing.assert_allclose(out.numpy(), value, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(s.grad, gradient, rtol=1e-12, atol=1e-12)


# ---------------------------------------------------------------- what a hostile reader found


def test_integer_scores_do_not_wrap():
    assert multiclass_hinge(np.array([[3, 5, 1]], np.uint8), [0]) == 3.0
    assert cross_entropy(np.array([[200, 0]], np.uint8), [0]) == pytest.approx(0.0)


def test_ignored_rows_count_nowhere_even_when_they_are_nan():
    scores = lo.Parameter([[1.0, 2.0], [np.nan, 0.0]])
    loss = cross_entropy(scores, [0, -1], ignore_index=-1)
    loss.backward()
    assert loss.item() == pytest.approx(np.log(1.0 + np.e))
    assert np.isfinite(scores.grad).all()
    assert scores.grad[1].tolist() == [0.0, 0.0]


def test_class_weights_that_want_a_gradient_are_refused():
    with pytest.raises(lo.errors.GraphError, match="class_weights"):
        cross_entropy(np.eye(3), [0, 1, 2], class_weights=lo.Parameter([1.0, 2.0, 3.0]))
