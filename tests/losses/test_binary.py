"""Losses of two classes, nll, and what the graph knows of the scores."""

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_lo as lo
from tinygrad_lo.engine.ops.reductions import log_softmax
from tinygrad_lo.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    hinge,
    nll,
    squared_hinge,
)

Z = np.array([[0.5, -1.5, 3.0], [-0.2, 0.0, -4.0]])
Y = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.3]])
TINY = np.finfo(float).tiny
P = 1.0 / (1.0 + np.exp(-Z))
SIGNS = np.array([[1, -1, 1], [-1, 1, -1]])
LOGP = np.log([[0.2, 0.3, 0.5], [0.7, 0.2, 0.1]])
REDUCTIONS = ("mean", "sum", "none", "batchmean")

LOSSES = {
    "binary_cross_entropy": lambda x, **o: binary_cross_entropy(x, Y, **o),
    "with_logits": lambda x, **o: binary_cross_entropy_with_logits(x, Y, **o),
    "pos_weight": lambda x, **o: binary_cross_entropy_with_logits(x, Y, pos_weight=[1.0, 2.0, 0.5], **o),
    "hinge": lambda x, **o: hinge(x, SIGNS, **o),
    "wide hinge": lambda x, **o: hinge(x, SIGNS, margin=2.5, **o),
    "squared_hinge": lambda x, **o: squared_hinge(x, SIGNS, **o),
    "nll": lambda x, **o: nll(x, [2, 0], **o),
}
INPUTS = {"binary_cross_entropy": P, "nll": LOGP}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_reductions_arrays_and_tensors(name, reduction):
    x, loss = INPUTS.get(name, Z), LOSSES[name]
    each = loss(x, reduction="none")
    expected = {
        "mean": each.sum() / each.size,
        "sum": each.sum(),
        "none": each,
        "batchmean": each.sum() / len(each),
    }[reduction]
    plain = loss(x, reduction=reduction)
    tensor = loss(lo.Parameter(x), reduction=reduction)
    assert isinstance(plain, np.ndarray | np.generic)
    assert isinstance(tensor, lo.Tensor)
    np.testing.assert_allclose(plain, expected, rtol=1e-14)
    np.testing.assert_array_equal(tensor.numpy(), plain)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_of_two_orders(name):
    report = lo.gradcheck(LOSSES[name], INPUTS.get(name, Z), order=2)
    assert report, str(report)


@pytest.mark.parametrize("name", LOSSES)
def test_float32_stays_float32(name):
    x = lo.Parameter(INPUTS.get(name, Z).astype(np.float32))
    loss = LOSSES[name](x)
    loss.backward()
    assert loss.dtype == x.grad.dtype == np.float32
    assert LOSSES[name](x.data).dtype == np.float32


@pytest.mark.parametrize("name", LOSSES)
def test_the_graph_has_a_scope_of_its_name(name):
    tree = lo.tree(LOSSES[name](lo.Parameter(INPUTS.get(name, Z), name="z")))
    assert "‹" in tree.splitlines()[0]


# ------------------------------------------------------------------------------------- numbers


def test_lecture_001_certain_and_right_costs_nothing():
    right = binary_cross_entropy(np.array([1.0, 0.0]), np.array([1.0, 0.0]), reduction="none")
    assert right.tolist() == [0.0, 0.0]


def test_binary_hinge_golden_values():
    s, y = np.array([0.3, -2.0, 0.8, 1.5]), np.array([1, -1, -1, 1])
    np.testing.assert_allclose(hinge(s, y, reduction="none"), [0.7, 0.0, 1.8, 0.0])
    assert squared_hinge(s, y) == pytest.approx(0.9325)


def test_lecture_001_sums_over_outputs_and_averages_over_samples():
    per_sample = -(Y * np.log(P) + (1 - Y) * np.log(1 - P)).sum(axis=1)
    assert binary_cross_entropy(P, Y, reduction="batchmean") == pytest.approx(per_sample.mean())
    assert binary_cross_entropy_with_logits(Z, Y, reduction="batchmean") == pytest.approx(per_sample.mean())


def test_nll_of_log_softmax_is_cross_entropy():
    assert nll(log_softmax(Z), [2, 0]) == pytest.approx(cross_entropy(Z, [2, 0]), rel=1e-14)


@pytest.mark.parametrize("y", [1.0, 0.0])
@pytest.mark.parametrize("z", [-1e4, -50.0, 0.0, 50.0, 1e4])
def test_with_logits_is_exact_in_both_tails(z, y):
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(40):
        exact = float(mpmath.log1p(mpmath.exp(-z if y else z)))
    assert binary_cross_entropy_with_logits(np.array([z]), np.array([y])) == pytest.approx(exact, rel=1e-14)


@pytest.mark.parametrize("z", [1e4, -1e4, 1e30, -1e30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_scores_are_finite_and_quiet(z, dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for loss, target in ((binary_cross_entropy_with_logits, [0.0, 1.0]), (hinge, [1.0, -1.0])):
            x = lo.Parameter(np.full(2, z, dtype))
            value = loss(x, target)
            value.backward()
            assert value.dtype == x.grad.dtype == dtype
            assert np.isfinite(value.item())
            assert np.isfinite(x.grad).all()


@pytest.mark.parametrize(
    ("p", "y", "value", "slope"),
    [(0.0, 1.0, 100.0, -1 / TINY), (1.0, 0.0, 100.0, 1 / TINY), (1.0, 1.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)],
)
def test_saturated_probabilities(p, y, value, slope):
    x = lo.Parameter([p])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loss = binary_cross_entropy(x, [y])
    loss.backward()
    assert loss.item() == value
    assert x.grad[0] == pytest.approx(slope, rel=1e-12)


def test_the_slope_of_the_hinge_at_its_kink_is_zero():
    s = lo.Parameter([1.0, -1.0])
    hinge(s, [1, -1]).backward()
    assert s.grad.tolist() == [0.0, 0.0]


# ------------------------------------------------------------------------------------ warnings


def warned(action):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        action()
    return [str(w.message) for w in caught], [w.filename for w in caught]


def test_cross_entropy_of_a_softmax_warns_once_a_line():
    s = lo.Parameter(Z)

    def wrong():
        return cross_entropy(np.exp(log_softmax(s)), [0, 1])

    messages, files = warned(lambda: [wrong() for _ in range(3)])
    assert len(messages) == 1
    assert "softmax" in messages[0]
    assert files == [__file__]
    other_line, _ = warned(lambda: cross_entropy(np.exp(log_softmax(s)), [0, 1]))
    assert len(other_line) == 1
    assert warned(lambda: cross_entropy(s, [0, 1]))[0] == []
    assert warned(lambda: cross_entropy(log_softmax(s), [0, 1]))[0] == []


def test_saturated_probabilities_warn_and_name_the_logits_form():
    messages, _ = warned(lambda: binary_cross_entropy(np.array([0.0]), np.array([1.0])))
    assert len(messages) == 1
    assert "binary_cross_entropy_with_logits" in messages[0]
    assert warned(lambda: binary_cross_entropy(np.array([0.0]), np.array([0.0])))[0] == []


def test_logits_that_went_through_a_sigmoid_warn():
    messages, _ = warned(lambda: binary_cross_entropy_with_logits(lo.Parameter(Z).sigmoid(), Y))
    assert len(messages) == 1
    assert "sigmoid" in messages[0]


# ------------------------------------------------------------------------------------ refusals


REFUSED = [
    (
        lambda: binary_cross_entropy_with_logits(np.zeros(1), [2.0]),
        "DomainError",
        "target 2.0 at row 0 outside [0, 1]",
    ),
    (lambda: binary_cross_entropy(np.array([1.5]), [1.0]), "DomainError", "probability 1.5"),
    (lambda: binary_cross_entropy(np.array([1.5]), [1.0]), "DomainError", "binary_cross_entropy_with_logits"),
    (lambda: binary_cross_entropy(np.array([-0.5]), [1.0]), "DomainError", "probability -0.5 at row 0"),
    (lambda: binary_cross_entropy(np.array([np.nan]), [1.0]), "DomainError", "nan"),
    (lambda: hinge(np.zeros(2), [0, 1]), "LabelError", "label 0 at row 0"),
    (lambda: hinge(np.zeros(2), [0, 1]), "LabelError", "2*y - 1"),
    (lambda: squared_hinge(np.zeros(2), [1, 2]), "LabelError", "label 2 at row 1"),
    (lambda: hinge(np.zeros(2), [1, -1], margin=np.inf), "OptionError", "margin must be finite"),
    (lambda: nll(Z, [0, 1]), "DomainError", "log-probability 0.5 at (0, 0)"),
    (lambda: nll(LOGP, [0, 3]), "LabelError", "label 3 at row 1; allowed 0..2"),
    (
        lambda: nll(LOGP, [0, 1], reduction="avg"),
        "OptionError",
        "'mean', 'sum', 'none' or 'batchmean', got 'avg'",
    ),
    (
        lambda: binary_cross_entropy_with_logits(Z, Y, pos_weight=-1),
        "OptionError",
        "pos_weight must be finite and >= 0",
    ),
    (lambda: binary_cross_entropy_with_logits(Z, Y, pos_weight=[1.0, 2.0]), "ShapeError", "3,"),
    (
        lambda: binary_cross_entropy_with_logits(Z, Y, pos_weight=lo.Parameter(1.0)),
        "GraphError",
        "pos_weight",
    ),
]
PAIRS = {
    "binary_cross_entropy": binary_cross_entropy,
    "binary_cross_entropy_with_logits": binary_cross_entropy_with_logits,
    "hinge": hinge,
    "squared_hinge": squared_hinge,
}


@pytest.mark.parametrize(("call", "kind", "words"), REFUSED)
def test_bad_input_is_refused_in_words(call, kind, words):
    with pytest.raises(getattr(lo.errors, kind)) as caught:
        call()
    assert words in str(caught.value)


@pytest.mark.parametrize("name", PAIRS)
def test_shapes_never_broadcast(name):
    with pytest.raises(lo.errors.ShapeError) as caught:
        PAIRS[name](np.ones((4, 1)), np.ones(4))
    text = str(caught.value)
    assert text.startswith(f"{name}: ")
    assert "(4, 1) vs" in text
    assert "would broadcast to (4, 4)" in text
    assert "[:, None]" in text


@pytest.mark.parametrize(("name", "reduction"), list(itertools.product(PAIRS, REDUCTIONS)))
def test_an_empty_batch_is_refused_for_every_reduction(name, reduction):
    with pytest.raises(lo.errors.ShapeError, match="no samples left to average"):
        PAIRS[name](np.ones(0), np.ones(0), reduction=reduction)


# ---------------------------------------------------------------------------------- properties

scores = st.lists(st.floats(-30, 30), min_size=2, max_size=8)


@given(scores, st.randoms(use_true_random=False))
def test_order_does_not_matter_and_sum_is_mean_times_count(numbers, random):
    z = np.array(numbers)
    y = np.array([random.choice([-1.0, 1.0]) for _ in numbers])
    order = np.array(random.sample(range(len(z)), len(z)))
    for loss, target in ((hinge, y), (squared_hinge, y), (binary_cross_entropy_with_logits, (y + 1) / 2)):
        assert loss(z, target) == pytest.approx(loss(z[order], target[order]), rel=1e-12, abs=1e-300)
        assert loss(z, target, reduction="sum") == pytest.approx(len(z) * loss(z, target), rel=1e-12)
        assert loss(z, target) >= 0


@given(st.lists(st.floats(-30, 30), min_size=3, max_size=3), st.floats(-1e3, 1e3), st.integers(0, 2))
def test_softmax_losses_do_not_see_a_shift_and_their_gradient_rows_sum_to_zero(numbers, shift, label):
    s = lo.Parameter([numbers])
    loss = cross_entropy(s, [label])
    loss.backward()
    assert abs(s.grad.sum()) < 1e-14
    assert cross_entropy(s.data + shift, [label]) == pytest.approx(loss.item(), rel=1e-9, abs=1e-12)


@given(st.lists(st.floats(-30, 30), min_size=4, max_size=4))
def test_the_mean_is_the_mean_of_the_halves(numbers):
    z, y = np.array(numbers), np.array([0.0, 1.0, 1.0, 0.0])
    whole = binary_cross_entropy_with_logits(z, y)
    halves = [binary_cross_entropy_with_logits(z[i : i + 2], y[i : i + 2]) for i in (0, 2)]
    assert whole == pytest.approx(np.mean(halves), rel=1e-12)


# --------------------------------------------------------------------------------------- peers


def compare(ours, theirs, x):
    """Value and gradient against torch's."""
    torch = pytest.importorskip("torch", reason="needs the extra 'peers'")
    a, b = lo.Parameter(x), torch.tensor(x, requires_grad=True)
    mine, other = ours(a), theirs(torch, b)
    np.testing.assert_allclose(mine.numpy(), other.detach().numpy(), rtol=1e-12, atol=1e-12)
    (mine * 1.0).sum().backward()
    other.sum().backward()
    np.testing.assert_allclose(a.grad, b.grad.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.peers
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("pos_weight", [None, [1.0, 2.0, 0.5]])
def test_with_logits_is_torchs(reduction, pos_weight):
    def theirs(torch, z):
        w = None if pos_weight is None else torch.tensor(pos_weight, dtype=torch.float64)
        f = torch.nn.functional.binary_cross_entropy_with_logits
        return f(z, torch.tensor(Y), pos_weight=w, reduction=reduction)

    def ours(z):
        return binary_cross_entropy_with_logits(z, Y, pos_weight=pos_weight, reduction=reduction)

    compare(ours, theirs, Z)


@pytest.mark.peers
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_binary_cross_entropy_and_nll_are_torchs(reduction):
    compare(
        lambda p: binary_cross_entropy(p, Y, reduction=reduction),
        lambda torch, p: torch.nn.functional.binary_cross_entropy(p, torch.tensor(Y), reduction=reduction),
        P,
    )
    compare(
        lambda x: nll(x, [2, 0], reduction=reduction),
        lambda torch, x: torch.nn.functional.nll_loss(x, torch.tensor([2, 0]), reduction=reduction),
        LOGP,
    )


@pytest.mark.peers
def test_hinge_is_torchs_multilabel_form():
    compare(
        lambda s: hinge(s, SIGNS),
        lambda torch, s: torch.clamp(1 - torch.tensor(SIGNS) * s, min=0).mean(),
        Z,
    )
