"""Losses of distances: golden numbers, every option, derivatives, edges, properties, peers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import tinygrad_lo as lo
from tinygrad_lo.losses.metric import (
    contrastive,
    cosine_similarity,
    pairwise_distance,
    triplet,
)

A = np.array([[0.0, 0.0], [1.0, 1.0]])
P = np.array([[0.0, 1.0], [1.0, 1.0]])
N = np.array([[0.0, 1.5], [3.0, 1.0]])
REDUCTIONS = ["mean", "sum", "none", "batchmean"]


def city_block(a, b):
    return np.abs(a - b).sum(-1)


DISTANCES = {
    "squared": lambda a, b: ((a - b) ** 2).sum(-1),
    "euclidean": lambda a, b: np.sqrt(((a - b) ** 2).sum(-1)),
    city_block: city_block,
}


def reduced(rows, reduction):
    rows = np.asarray(rows)
    count = {"mean": rows.size, "batchmean": rows.shape[0] if rows.ndim else 1, "sum": 1}
    return rows if reduction == "none" else rows.sum() / count[reduction]


def agrees(loss, expected, *inputs):
    """Plain arrays give plain numbers, tensors a tensor with the same value."""
    plain = loss(*inputs)
    assert not isinstance(plain, lo.Tensor)
    assert np.shape(plain) == np.shape(expected)
    np.testing.assert_allclose(plain, expected, rtol=1e-13, atol=1e-15)
    out = loss(*map(lo.Parameter, inputs))
    assert type(out) is lo.Tensor
    np.testing.assert_array_equal(out.numpy(), plain)


# ---------------------------------------------------------------------------------- golden numbers


def test_triplet_golden_numbers():
    assert triplet(A, P, N, distance="euclidean", reduction="none").tolist() == [0.5, 0.0]
    assert triplet(A, P, N, reduction="none").tolist() == [0.0, 0.0]
    assert triplet(A, P, N, distance="euclidean") == 0.25
    assert triplet(A, P, N, margin=2.0) == 0.375  # 1 − 2.25 + 2 = 0.75, and 0 − 4 + 2 < 0


def test_contrastive_by_hand():
    a, b = np.zeros((4, 2)), np.array([[3.0, 4.0], [3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    losses = contrastive(a, b, [0, 1, 1, 1], reduction="none")
    np.testing.assert_allclose(losses, [12.5, 0.0, 0.125, 0.5], rtol=1e-15)
    assert contrastive(a[1:2], b[1:2], [1], margin=7.0) == 2.0
    assert contrastive(np.zeros(2), np.array([3.0, 4.0]), 0) == 12.5


def test_cosine_similarity_by_hand():
    a, b = np.array([[1.0, 0.0]] * 4), np.array([[3.0, 4.0], [0.0, 2.0], [-5.0, 0.0], [0.0, 0.0]])
    assert cosine_similarity(a, b).tolist() == [0.6, 0.0, -1.0, 0.0]
    assert cosine_similarity([3.0, 4.0], [4.0, 3.0]) == pytest.approx(0.96)


def test_pairwise_distance_by_hand():
    D = pairwise_distance(np.zeros((1, 2)), np.array([[3.0, 4.0], [0.0, 0.0], [-5.0, 12.0]]))
    assert D.tolist() == [[5.0, 0.0, 13.0]]
    squared = pairwise_distance([[0, 0]], [[3, 4], [0, 0], [-5, 12]], distance="squared")
    assert squared.tolist() == [[25.0, 0.0, 169.0]]
    assert pairwise_distance(np.zeros((0, 2)), A).shape == (0, 2)


def test_close_points_keep_their_distance():
    """‖a‖² + ‖b‖² − 2ab has no digit of it left."""
    a, b = np.array([[1e4, 1e4]]), np.array([[1e4 + 1e-6, 1e4]])
    assert pairwise_distance(a, b)[0, 0] == b[0, 0] - a[0, 0]


# ------------------------------------------------------------------------- all the options, gradients


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("distance", DISTANCES, ids=str)
@pytest.mark.parametrize("margin", [0.0, 0.7, 3.0])
@pytest.mark.parametrize("shape", [(5, 3), (2, 4, 3), (3,)])
def test_triplet_with_every_option(shape, margin, distance, reduction, rng):
    a, p, n = rng.standard_normal((3, *shape))
    D = DISTANCES[distance]
    expected = reduced(np.maximum(0.0, D(a, p) - D(a, n) + margin), reduction)
    options = {"margin": margin, "distance": distance, "reduction": reduction}
    agrees(lambda a, p, n: triplet(a, p, n, **options), expected, a, p, n)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("margin", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("shape", [(6, 3), (2, 3, 3), (3,)])
def test_contrastive_with_every_option(shape, margin, reduction, rng):
    a, b = rng.standard_normal((2, *shape))
    y = rng.integers(0, 2, shape[:-1])
    D = np.sqrt(((a - b) ** 2).sum(-1))
    rows = (1 - y) * 0.5 * D**2 + y * 0.5 * np.maximum(0.0, margin - D) ** 2
    expected = reduced(rows, reduction)
    for labels in (y, np.asarray(y, np.uint8), y.tolist()):
        agrees(
            lambda a, b, y=labels: contrastive(a, b, y, margin=margin, reduction=reduction), expected, a, b
        )
    out = contrastive(a, b, lo.Tensor(y), margin=margin, reduction=reduction)
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-13)


@pytest.mark.parametrize("shape", [(6, 3), (2, 3, 3), (3,)])
def test_cosine_similarity_of_any_rows(shape, rng):
    a, b = rng.standard_normal((2, *shape))
    expected = (a * b).sum(-1) / np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    agrees(cosine_similarity, expected, a, b)


@pytest.mark.parametrize("distance", ["squared", "euclidean"])
def test_pairwise_distance_of_any_rows(distance, rng):
    a, b = rng.standard_normal((5, 3)), rng.standard_normal((4, 3))
    expected = DISTANCES[distance](a[:, None], b[None])
    agrees(lambda a, b: pairwise_distance(a, b, distance=distance), expected, a, b)


def gradient_cases():
    r = np.random.default_rng(1)
    a, p, n = r.standard_normal((3, 5, 3))
    y = np.array([0, 1, 1, 0, 1])
    for distance in DISTANCES:
        for reduction in ("mean", "sum", "batchmean"):
            yield (
                lambda a, p, n, d=distance, r=reduction: triplet(a, p, n, distance=d, reduction=r),
                (a, p, n),
            )
    for margin in (0.5, 3.0):
        yield lambda a, b, m=margin: contrastive(a, b, y, margin=m), (a, p)
    yield lambda a, b: (cosine_similarity(a, b) * np.arange(1.0, 6.0)).sum(), (a, p)
    weights = r.standard_normal((5, 5))
    for distance in ("squared", "euclidean"):
        yield lambda a, b, d=distance: (pairwise_distance(a, b, distance=d) * weights).sum(), (a, p)


@pytest.mark.parametrize(
    ("loss", "inputs"), [pytest.param(*case, id=str(i)) for i, case in enumerate(gradient_cases())]
)
def test_first_and_second_derivatives(loss, inputs):
    lo.gradcheck(loss, *inputs, order=2).raise_if_failed()
    leaf = lo.Parameter(inputs[0])
    loss(leaf, *inputs[1:]).backward()
    numeric = lo.numerical_gradient(lambda x: loss(x, *inputs[1:]), inputs[0])
    np.testing.assert_allclose(leaf.grad, numeric, rtol=1e-6, atol=1e-8)


# ------------------------------------------------------------------------------- edges and dtypes


@pytest.mark.parametrize("distance", ["squared", "euclidean"])
def test_equal_points_get_no_gradient(distance):
    a, p, n = (lo.Parameter([[1.0, 2.0]]) for _ in range(3))
    loss = triplet(a, p, n, distance=distance)
    loss.backward()
    assert loss.item() == 1.0
    x = lo.Parameter([[1.0, 2.0], [1.0, 2.0]])
    pairwise_distance(x, x, distance=distance).sum().backward()
    for leaf in (a, p, n, x):
        assert not leaf.grad.any()


def test_the_slope_where_the_margin_is_exactly_met_is_zero():
    n = lo.Parameter([[1.0, 1.0]])
    loss = triplet(np.zeros((1, 2)), np.array([[0.0, 1.0]]), n, margin=1.0)
    loss.backward()
    assert loss.item() == 0.0
    assert n.grad.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(("y", "value"), [(0, 0.0), (1, 0.5)])
def test_contrastive_of_equal_points(y, value):
    b = lo.Parameter([[1.0, 2.0]])
    loss = contrastive(np.array([[1.0, 2.0]]), b, [y])
    loss.backward()
    assert loss.item() == value
    assert b.grad.tolist() == [[0.0, 0.0]]


def test_a_similar_pair_of_equal_points_keeps_its_curvature():
    """½ D² is a parabola there, although D has a kink."""
    H = lo.hessian(lambda b: contrastive(np.zeros(2), b, 0))(np.zeros(2))
    assert H.tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_cosine_with_a_zero_vector_has_value_and_gradient_zero():
    a, b = lo.Parameter([[0.0, 0.0], [3.0, 4.0]]), lo.Parameter([[3.0, 4.0], [0.0, 0.0]])
    out = cosine_similarity(a, b)
    out.sum().backward()
    assert out.data.tolist() == [0.0, 0.0]
    assert a.grad.tolist() == b.grad.tolist() == [[0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize(("dtype", "size"), [("float32", 1e4), ("float32", 1e30), ("float64", 1e30)])
def test_large_values_are_finite_without_a_warning(dtype, size):
    a, b, c = (
        lo.Parameter(size * np.array(rows), dtype=dtype)
        for rows in ([[1.0, -1.0], [0.5, 0.0]], [[-1.0, 1.0], [0.5, 0.0]], [[1.0, 1.0], [1.0, 0.0]])
    )
    losses = [
        triplet(a, b, c, distance="euclidean"),
        triplet(a, b, c, distance=lambda a, b: 1.0 - cosine_similarity(a, b)),
        contrastive(a, b, [1, 0]),
        cosine_similarity(a, b).sum(),
        pairwise_distance(a, b).sum(),
    ]
    for loss in losses:
        a.grad = b.grad = None
        loss.backward()
        for value in (loss.data, a.grad, b.grad):
            assert np.isfinite(value).all()
            assert value.dtype == dtype
    assert cosine_similarity(a, b).data[1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    "loss",
    [
        lambda a, b: triplet(a, b, 2.0 * b),
        lambda a, b: triplet(a, b, 2.0 * b, distance="euclidean"),
        lambda a, b: contrastive(a, b, [0, 1]),
        cosine_similarity,
        pairwise_distance,
        lambda a, b: pairwise_distance(a, b, distance="squared"),
    ],
)
def test_float32_stays_float32(loss):
    a, b = A.astype(np.float32) + 1, N.astype(np.float32)
    assert loss(a, b).dtype == np.float32
    for second in (b, N, lo.Parameter(b)):
        p = lo.Parameter(a)
        out = loss(p, second)
        out.sum().backward()
        assert out.dtype == p.grad.dtype == np.float32


def test_integers_are_numbers_and_do_not_wrap():
    a, b = np.array([[1, 2]], np.uint8), np.array([[200, 5]], np.uint8)
    assert pairwise_distance(a, b, distance="squared") == 199.0**2 + 9.0
    assert triplet(a, b, a) == 199.0**2 + 9.0 + 1.0


def test_inputs_are_not_written(rng):
    inputs = rng.standard_normal((3, 4, 2))
    before = inputs.copy()
    inputs.flags.writeable = False
    triplet(*inputs)
    contrastive(inputs[0], inputs[1], [0, 1, 0, 1])
    cosine_similarity(inputs[0], inputs[1])
    pairwise_distance(inputs[0], inputs[1])
    np.testing.assert_array_equal(inputs, before)


def test_intermediate_values_are_named_like_the_slides():
    a, p, n = (lo.Parameter(x, name=name) for x, name in ((A, "a"), (P, "p"), (N, "n")))
    for loss, names in (
        (triplet(a, p, n), ("d_p", "d_n", "L_i", "‹triplet›")),
        (triplet(a, p, n, distance=city_block), ("d_p", "d_n")),
        (contrastive(a, p, [0, 1]), ("D = ‖r‖", "r = a − p", "(1 − y) D²", "y max(0, m − D)²")),
        (cosine_similarity(a, n), ("cos θ", "a/‖a‖", "‹cosine_similarity›")),
        (pairwise_distance(a, n), ("D = ‖", "‹pairwise_distance›")),
    ):  # fmt: skip
        text = lo.tree(loss)
        for name in names:
            assert name in text


# ------------------------------------------------------------------------------------ properties

rows = arrays(float, (4, 3), elements=st.floats(-100, 100).map(lambda x: round(x, 3)))


@given(rows, rows, rows, st.floats(0, 10), st.permutations(range(4)))
def test_triplet_properties(a, p, n, margin, order):
    for distance in DISTANCES:
        options = {"margin": margin, "distance": distance}
        each = triplet(a, p, n, **options, reduction="none")
        mean = triplet(a, p, n, **options)
        assert (each >= 0).all()
        np.testing.assert_array_equal(
            triplet(a[order], p[order], n[order], **options, reduction="none"), each[order]
        )
        halves = [triplet(a[s], p[s], n[s], **options) for s in (slice(2), slice(2, 4))]
        assert mean == pytest.approx(sum(halves) / 2)
        assert triplet(a, p, n, **options, reduction="sum") == pytest.approx(4 * mean)
        assert triplet(a, p, p, **options) == margin


@given(rows, rows, arrays(int, 4, elements=st.integers(0, 1)), st.floats(0, 10))
def test_contrastive_properties(a, b, y, margin):
    each = contrastive(a, b, y, margin=margin, reduction="none")
    assert (each >= 0).all()
    assert (each[y == 1] <= 0.5 * margin**2).all()
    np.testing.assert_array_equal(contrastive(b, a, y, margin=margin, reduction="none"), each)
    assert contrastive(a, b, y, margin=margin) == pytest.approx(each.sum() / 4)


@given(rows, rows, st.floats(1e-3, 1e3))
def test_cosine_similarity_ignores_lengths(a, b, factor):
    cosine = cosine_similarity(a, b)
    assert (np.abs(cosine) <= 1 + 1e-12).all()
    np.testing.assert_allclose(cosine_similarity(factor * a, b), cosine, atol=1e-12)
    np.testing.assert_allclose(cosine_similarity(-a, b), -cosine, atol=1e-12)


@given(rows)
def test_pairwise_distance_is_a_metric(x):
    D = pairwise_distance(x, x)
    assert (np.diag(D) == 0).all()
    np.testing.assert_array_equal(D, D.T)
    assert (D[:, None] <= D[:, :, None] + D[None] + 1e-9).all()


# ------------------------------------------------------------------------------------------- peers


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="compares with PyTorch (extra peers)")


def same_as(torch, ours, theirs, *inputs):
    """Value and gradient by every input, to 1e-12."""
    leaves = [lo.Parameter(x) for x in inputs]
    out = ours(*leaves)
    weights = np.linspace(1.0, 2.0, max(1, out.size)).reshape(out.shape)
    (out * weights).sum().backward()
    tensors = [torch.tensor(x, requires_grad=True) for x in inputs]
    expected = theirs(*tensors)
    (expected * torch.tensor(weights)).sum().backward()
    np.testing.assert_allclose(out.numpy(), expected.detach().numpy(), rtol=1e-12, atol=1e-12)
    for leaf, tensor in zip(leaves, tensors, strict=True):
        np.testing.assert_allclose(leaf.grad, tensor.grad.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.peers
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("margin", [0.5, 2.0])
def test_euclidean_triplet_is_pytorchs(torch, margin, reduction, rng):
    same_as(
        torch,
        lambda a, p, n: triplet(a, p, n, margin=margin, distance="euclidean", reduction=reduction),
        lambda a, p, n: torch.nn.functional.triplet_margin_loss(
            a, p, n, margin=margin, p=2, eps=0.0, reduction=reduction
        ),
        *rng.standard_normal((3, 7, 4)),
    )


@pytest.mark.peers
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("kind", ["squared", "cosine"])
def test_triplet_with_a_distance_is_pytorchs(torch, kind, reduction, rng):
    ours = {"squared": "squared", "cosine": lambda a, b: 1.0 - cosine_similarity(a, b)}
    theirs = {
        "squared": lambda a, b: ((a - b) ** 2).sum(-1),
        "cosine": lambda a, b: 1.0 - torch.nn.functional.cosine_similarity(a, b),
    }
    same_as(
        torch,
        lambda a, p, n: triplet(a, p, n, distance=ours[kind], reduction=reduction),
        lambda a, p, n: torch.nn.functional.triplet_margin_with_distance_loss(
            a, p, n, distance_function=theirs[kind], margin=1.0, reduction=reduction
        ),
        *rng.standard_normal((3, 7, 4)),
    )


@pytest.mark.peers
def test_cosine_similarity_is_pytorchs(torch, rng):
    theirs = torch.nn.functional.cosine_similarity
    same_as(torch, cosine_similarity, lambda a, b: theirs(a, b, dim=-1), *rng.standard_normal((2, 7, 4)))


@pytest.mark.peers
def test_pairwise_distance_is_pytorchs(torch, rng):
    exact = "donot_use_mm_for_euclid_dist"
    same_as(
        torch,
        pairwise_distance,
        lambda a, b: torch.cdist(a, b, compute_mode=exact),
        rng.standard_normal((7, 4)),
        rng.standard_normal((5, 4)),
    )
    x = rng.standard_normal((6, 4))  # distances 0 on the diagonal
    same_as(torch, lambda x: pairwise_distance(x, x), lambda x: torch.cdist(x, x, compute_mode=exact), x)


@pytest.mark.peers
@pytest.mark.parametrize("margin", [0.5, 3.0])
def test_contrastive_is_the_slide_in_pytorch(torch, margin, rng):
    y = rng.integers(0, 2, 9)

    def slide(a, b):
        D = torch.nn.functional.pairwise_distance(a, b, eps=0.0)
        Y = torch.tensor(y)
        return (1 - Y) * 0.5 * D**2 + Y * 0.5 * torch.relu(margin - D) ** 2

    same_as(
        torch,
        lambda a, b: contrastive(a, b, y, margin=margin, reduction="none"),
        slide,
        *rng.standard_normal((2, 9, 3)),
    )
