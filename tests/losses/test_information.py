"""information, entropy, cross-entropy of distributions, KL: zeros, units, gradients, peers."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import tinygrad_lo as lo
from tinygrad_lo import errors
from tinygrad_lo.engine.ops.elementwise import exp
from tinygrad_lo.engine.ops.reductions import log_softmax
from tinygrad_lo.losses.information import distribution_cross_entropy, entropy, information, kl_divergence

P = np.array([[0.4, 0.6], [1.0, 0.0]])
Q = np.array([[0.2, 0.8], [0.5, 0.5]])
REDUCTIONS = ["mean", "sum", "none", "batchmean"]
OF_ONE = [information, entropy]
OF_TWO = [distribution_cross_entropy, kl_divergence]


# ------------------------------------------------------------------------------------------ numbers


def test_golden_kl_divergence():
    np.testing.assert_allclose(kl_divergence(P, Q, reduction="none"), [0.104650, 0.693147], atol=5e-7)
    assert kl_divergence(P, Q) == pytest.approx((0.104650 + 0.693147) / 2, abs=5e-7)


def test_bits():
    assert information(np.array([1.0, 0.5, 0.25, 0.125]), base=2).tolist() == [0.0, 1.0, 2.0, 3.0]
    assert information(0.1, base=10) == pytest.approx(1.0)
    assert entropy([0.5, 0.5], base=2) == 1.0
    assert entropy([0.5, 0.25, 0.125, 0.125], base=2) == 1.75
    assert distribution_cross_entropy([0.5, 0.5], [0.25, 0.75], base=2) == pytest.approx(
        1.0 + 0.5 * np.log2(4 / 3)
    )
    assert kl_divergence([1.0, 0.0], [0.5, 0.5], base=2) == 1.0


def test_entropy_is_information_on_average():
    p = np.array([0.1, 0.2, 0.7])
    assert entropy(p) == pytest.approx((p * information(p)).sum(), rel=1e-15)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_entropy_from_none_to_log_c(classes):
    assert entropy(np.full(classes, 1 / classes)) == pytest.approx(np.log(classes))
    certain = entropy(np.eye(classes))
    assert certain.tolist() == [0.0] * classes
    assert not np.signbit(certain).any()


def test_nothing_is_minus_zero():
    assert not np.signbit(information(1.0))
    assert not np.signbit(entropy([1.0, 0.0], base=2))
    assert not np.signbit(distribution_cross_entropy([1.0, 0.0], [1.0, 0.0], base=10))


def test_kl_is_what_cross_entropy_has_beyond_entropy():
    for base in (math.e, 2, 10.0):
        beyond = distribution_cross_entropy(P, Q, base=base) - entropy(P, base=base)
        np.testing.assert_allclose(kl_divergence(P, Q, base=base, reduction="none"), beyond, rtol=1e-14)


def test_kl_is_not_symmetric_and_the_true_one_comes_first():
    p, q = np.array([0.9, 0.1]), np.array([0.5, 0.5])
    assert kl_divergence(p, q) == pytest.approx(0.9 * np.log(1.8) + 0.1 * np.log(0.2))
    assert kl_divergence(q, p) == pytest.approx(0.5 * np.log(5 / 9) + 0.5 * np.log(5))


def test_minimizing_cross_entropy_is_minimizing_kl():
    q = lo.Parameter(Q[0])
    h, kl = distribution_cross_entropy(P[0], q), kl_divergence(P[0], q)
    np.testing.assert_array_equal(lo.grad(h, q), lo.grad(kl, q))


# ------------------------------------------------------------------------------------- 0 and 1


def test_the_information_of_the_impossible_is_infinite():
    p = lo.Parameter([0.0, 0.5, 1.0])
    out = information(p, base=2)
    assert out.numpy().tolist() == [math.inf, 1.0, 0.0]
    assert information(0.0) == math.inf
    out.sum().backward()
    np.testing.assert_allclose(p.grad, np.array([0.0, -2.0, -1.0]) / np.log(2))


def test_zero_log_zero_is_zero():
    p = lo.Parameter([0.0, 0.25, 0.75, 0.0])
    h = entropy(p)
    assert h.item() == entropy([0.25, 0.75])
    h.backward()
    np.testing.assert_allclose(p.grad, [0.0, -np.log(0.25) - 1, -np.log(0.75) - 1, 0.0])
    with pytest.warns(UserWarning, match="exactly at its kink"):
        assert np.isfinite(lo.hessian(entropy)(p.data)).all()


@pytest.mark.parametrize("loss", OF_TWO)
def test_a_zero_in_p_asks_nothing_of_q(loss):
    p, q = np.array([1.0, 0.0, 0.0]), lo.Parameter([0.5, 0.5, 0.0])
    out = loss(p, q)
    assert out.item() == pytest.approx(np.log(2))
    out.backward()
    assert q.grad.tolist() == [-2.0, 0.0, 0.0]
    p = lo.Parameter(p)
    loss(p, q).backward()
    assert np.isfinite(p.grad).all()


@pytest.mark.parametrize("loss", OF_TWO)
@pytest.mark.parametrize("base", [math.e, 2])
def test_what_q_rules_out_and_p_allows_costs_infinitely_much(loss, base):
    assert loss([0.5, 0.5], [1.0, 0.0], base=base) == math.inf
    rows = np.array([[0.5, 0.5], [0.5, 0.5]]), np.array([[1.0, 0.0], [0.5, 0.5]])
    options = {"reduction": "none"} if loss is kl_divergence else {}
    p, q = lo.Parameter(rows[0]), lo.Parameter(rows[1])
    out = loss(p, q, base=base, **options)
    assert np.isinf(out.numpy()).tolist() == [True, False]
    out.sum().backward()
    assert np.isfinite(p.grad).all()
    assert np.isfinite(q.grad).all()


def test_kl_of_equal_distributions_is_exactly_zero(rng):
    for classes in (1, 2, 3, 17, 1000):
        p = rng.dirichlet(np.ones(classes), 20)
        p[::3, 0] = 0.0
        p /= p.sum(-1, keepdims=True) if classes > 1 else 1.0
        if classes == 1:
            p[:] = 1.0
        assert (kl_divergence(p, p.copy(), reduction="none") == 0.0).all()
        np.testing.assert_array_equal(distribution_cross_entropy(p, p), entropy(p))


def test_nearly_equal_distributions_keep_their_digits():
    e = 1e-5
    p, q = np.array([0.5, 0.5]), np.array([0.5 + e, 0.5 - e])
    assert kl_divergence(p, q) == pytest.approx(2 * e * e, rel=1e-6)


# ------------------------------------------------------------------------------- options and shapes


@pytest.mark.parametrize("base", [math.e, 2, 10.0, 0.5])
@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 4, 3)])
def test_every_option(shape, base, rng):
    p, q = rng.dirichlet(np.ones(3), shape[:-1]), rng.dirichlet(np.ones(3), shape[:-1])
    unit = np.log(base)
    expected = {
        information: -np.log(p) / unit,
        entropy: -(p * np.log(p)).sum(-1) / unit,
        distribution_cross_entropy: -(p * np.log(q)).sum(-1) / unit,
    }
    for loss, value in expected.items():
        given_ = (p,) if loss in OF_ONE else (p, q)
        plain = loss(*given_, base=base)
        assert np.shape(plain) == np.shape(value)
        assert not isinstance(plain, lo.Tensor)
        np.testing.assert_allclose(plain, value, rtol=1e-13)
        out = loss(*map(lo.Parameter, given_), base=base)
        assert type(out) is lo.Tensor
        np.testing.assert_array_equal(out.numpy(), plain)
    rows = (p * np.log(p / q)).sum(-1) / unit
    count, batch = max(1, rows.size), shape[0] if len(shape) > 1 else 1
    by = {"none": rows, "sum": rows.sum(), "mean": rows.sum() / count, "batchmean": rows.sum() / batch}
    for reduction in REDUCTIONS:
        plain = kl_divergence(p, q, base=base, reduction=reduction)
        np.testing.assert_allclose(plain, by[reduction], rtol=1e-12)
        for a, b in itertools.product((p, lo.Parameter(p)), (q, lo.Parameter(q))):
            out = kl_divergence(a, b, base=base, reduction=reduction)
            assert type(out) is lo.Tensor or (a is p and b is q)
            np.testing.assert_array_equal(out.numpy() if isinstance(out, lo.Tensor) else out, plain)


def softmax(z):
    return exp(log_softmax(z, -1))


@pytest.mark.parametrize("base", [math.e, 2])
@pytest.mark.parametrize("shape", [(3,), (2, 3)])
def test_derivatives(shape, base, rng):
    a, b = rng.standard_normal(shape), rng.standard_normal(shape)
    for loss in OF_ONE:
        lo.gradcheck(lambda a, f=loss: f(softmax(a), base=base).sum(), a, order=2).raise_if_failed()
    for loss in OF_TWO:
        lo.gradcheck(
            lambda a, b, f=loss: f(softmax(a), softmax(b), base=base).sum(), a, b, order=2
        ).raise_if_failed()


@pytest.mark.parametrize("loss", [*OF_ONE, *OF_TWO])
def test_derivatives_by_the_probabilities_themselves(loss, rng):
    """A step of 1e-6 leaves the sum within what is accepted."""
    p, q = rng.dirichlet(np.full(4, 10.0), 3), rng.dirichlet(np.full(4, 10.0), 3)

    def f(p, q):
        return (loss(p) if loss in OF_ONE else loss(p, q)).sum()

    gradients = lo.value_and_grad(f, argnums=(0, 1) if loss in OF_TWO else 0)(p, q)[1]
    at_p, at_q = gradients if loss in OF_TWO else (gradients, None)
    np.testing.assert_allclose(at_p, lo.numerical_gradient(lambda x: f(x, q), p, h=1e-6), rtol=1e-6)
    if at_q is not None:
        np.testing.assert_allclose(at_q, lo.numerical_gradient(lambda x: f(p, x), q, h=1e-6), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("base", [math.e, 2])
def test_small_dtypes_stay(dtype, base, rng):
    rows = rng.dirichlet(np.ones(50), 100)
    rows[::2, ::5] = 0.0
    rows /= rows.sum(-1, keepdims=True)
    rows[3] = 0.0
    rows[3, 3] = 1.0
    for loss in (*OF_ONE, *OF_TWO):
        p = lo.Parameter(rows.astype(dtype))
        others = () if loss in OF_ONE else (rows,)
        out = loss(p, *others, base=base)
        assert out.dtype == dtype
        plain = loss(p.data, *(x.astype(dtype) for x in others), base=base)
        assert plain.dtype == dtype
        keep = out if loss is not information else out[:1, 1:5]
        keep.sum().backward()
        assert p.grad.dtype == dtype
        assert np.isfinite(p.grad).all()


def test_numbers_lists_and_booleans():
    assert information(0.5) == information([0.5])[0] == information(np.float64(0.5)) == np.log(2)
    assert information([True, False]).tolist() == [0.0, math.inf]
    assert entropy([0, 1]) == 0.0
    assert entropy(lo.Tensor([0, 1])).item() == 0.0
    assert type(entropy(lo.Parameter([0.5, 0.5]))) is lo.Tensor


def test_names_and_scopes():
    q = lo.Parameter(Q, name="q")
    for loss in OF_ONE:
        text = lo.tree(loss(q).sum())
        assert f"‹{loss.__name__}›" in text
        assert "log p" in text
    for loss in OF_TWO:
        text = lo.tree(loss(P, q).sum())
        assert f"‹{loss.__name__}›" in text
        assert "log q" in text


# ----------------------------------------------------------------------------------------- refusals

NAN = float("nan")
REFUSED = [
    (lambda: information(1.5), errors.DomainError, ["information", "probability 1.5", "outside [0, 1]"]),
    (lambda: information([0.5, -0.1]), errors.DomainError, ["-0.1 at row 1", "softmax"]),
    (lambda: information([0.5, NAN]), errors.DomainError, ["nan at row 1"]),
    (lambda: entropy([[0.5, 0.5], [1.5, -0.5]]), errors.DomainError, ["entropy: p", "1.5 at (1, 0)"]),
    (lambda: entropy([[0.5, 0.5], [1.0, 0.7]]), errors.DomainError, ["entropy: p at row 1 sums to 1.7"]),
    (lambda: entropy([1.0, 0.7]), errors.DomainError, ["p sums to 1.7; probabilities sum to 1"]),
    (lambda: entropy(lo.Parameter([0.5, 0.4])), errors.DomainError, ["p sums to 0.9"]),
    (lambda: entropy([NAN, 1.0]), errors.DomainError, ["nan at row 0"]),
    (lambda: entropy(np.full((2, 2, 2), 0.6)), errors.DomainError, ["at (0, 0) sums to 1.2"]),
    (lambda: entropy(0.5), errors.ShapeError, ["axis of outcomes", "[p, 1 - p]"]),
    (lambda: entropy(np.zeros((0, 3))), errors.ShapeError, ["(0, 3)"]),
    (lambda: entropy(np.zeros((3, 0))), errors.ShapeError, ["(3, 0)"]),
    (lambda: entropy("half"), errors.DTypeError, ["entropy", "str"]),
    (lambda: kl_divergence([[1.0, 0.7]], [[0.5, 0.5]]), errors.DomainError, ["p at row 0 sums to 1.7"]),
    (lambda: kl_divergence([[0.5, 0.5]], [[1.0, 0.7]]), errors.DomainError, ["q at row 0 sums to 1.7"]),
    (lambda: kl_divergence([0.5, 0.5], lo.Parameter([2.0, -1.0])), errors.DomainError, ["q", "2.0 at row 0"]),
    (lambda: kl_divergence(P, Q, reduction="avg"), errors.OptionError,
     ["kl_divergence: reduction must be 'mean', 'sum', 'none' or 'batchmean', got 'avg'"]),
    (lambda: kl_divergence(0.5, 0.5), errors.ShapeError, ["axis of outcomes"]),
    (lambda: kl_divergence(np.zeros((0, 2)), np.zeros((0, 2))), errors.ShapeError, ["no samples left"]),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "words"), REFUSED, ids=[str(words) for *_, words in REFUSED])
def test_refusals(call, error, words):
    with pytest.raises(error) as caught:
        call()
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("base", [1, 0, -2.0, NAN, math.inf, "2", None, True])
@pytest.mark.parametrize("loss", [*OF_ONE, *OF_TWO])
def test_bad_bases(loss, base):
    with pytest.raises(errors.OptionError, match=f"{loss.__name__}: base must be a finite number > 0"):
        loss(P, base=base) if loss in OF_ONE else loss(P, Q, base=base)


@pytest.mark.parametrize("loss", OF_TWO)
def test_shapes_never_broadcast(loss):
    for p in (np.ones((4, 1)), lo.Parameter(np.ones((4, 1)))):
        with pytest.raises(errors.ShapeError) as caught:
            loss(p, np.ones(4))
        assert f"{loss.__name__}: p (4, 1) vs q (4,) would broadcast to (4, 4)" in str(caught.value)
    with pytest.raises(errors.ShapeError):
        loss(P[0], Q)


@pytest.mark.parametrize("loss", [*OF_ONE, *OF_TWO])
def test_inputs_are_not_written(loss):
    p, q = P.copy(), Q.copy()
    loss(p) if loss in OF_ONE else loss(p, q)
    np.testing.assert_array_equal(p, P)
    np.testing.assert_array_equal(q, Q)


# --------------------------------------------------------------------------------------- properties


def distributions(values):
    sums = values.sum(-1, keepdims=True)
    return np.where(sums > 0, values, 1.0) / np.where(sums > 0, sums, values.shape[-1])


PAIRS = st.tuples(st.integers(1, 4), st.integers(1, 6)).flatmap(
    lambda size: arrays(float, (2, 2 * size[0], size[1]), elements=st.just(0.0) | st.floats(1e-6, 1.0))
)


@given(pair=PAIRS, seed=st.integers(0, 99))
@settings(deadline=None)
def test_properties_of_distributions(pair, seed):
    p, q = distributions(pair)
    rows = kl_divergence(p, q, reduction="none")
    h, cross = entropy(p), distribution_cross_entropy(p, q)
    classes = p.shape[-1]
    assert (h >= 0).all()
    assert (h <= np.log(classes) + 1e-14).all()
    assert (rows >= -1e-14).all()
    np.testing.assert_allclose(rows, cross - h, rtol=1e-12, atol=1e-14)
    assert (kl_divergence(p, p, reduction="none") == 0.0).all()
    mean, n = kl_divergence(p, q), len(p)
    assert kl_divergence(p, q, reduction="sum") == pytest.approx(n * mean, rel=1e-12)
    order = np.random.default_rng(seed).permutation(n)
    assert kl_divergence(p[order], q[order]) == pytest.approx(mean, rel=1e-12, abs=1e-14)
    halves = (kl_divergence(p[: n // 2], q[: n // 2]) + kl_divergence(p[n // 2 :], q[n // 2 :])) / 2
    assert halves == pytest.approx(mean, rel=1e-12, abs=1e-14)
    order = np.random.default_rng(seed).permutation(classes)
    np.testing.assert_allclose(entropy(p[:, order]), h, rtol=1e-12, atol=1e-14)


# --------------------------------------------------------------------------------------------- peers


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="compares with PyTorch (extra peers)")


@pytest.mark.peers
@pytest.mark.parametrize(("ours", "theirs"), [("mean", "batchmean"), ("sum", "sum"), ("none", "none")])
@pytest.mark.parametrize("zeros", [False, True])
def test_kl_is_pytorchs_in_the_other_order(torch, zeros, ours, theirs, rng):
    p, q = rng.dirichlet(np.ones(5), 7), rng.dirichlet(np.ones(5), 7)
    if zeros:
        p[:, 2] = 0.0
        p /= p.sum(-1, keepdims=True)
    a = torch.tensor(p, requires_grad=not zeros)
    b = torch.tensor(q, requires_grad=True)
    value = torch.nn.functional.kl_div(b.log(), a, reduction=theirs)
    value = value.sum(-1) if theirs == "none" else value
    value.sum().backward()
    mine = lo.Parameter(p), lo.Parameter(q)
    out = kl_divergence(*mine, reduction=ours)
    out.sum().backward()
    np.testing.assert_allclose(out.numpy(), value.detach().numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(mine[1].grad, b.grad.numpy(), rtol=1e-12, atol=1e-12)
    if not zeros:
        np.testing.assert_allclose(mine[0].grad, a.grad.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.peers
def test_entropy_is_pytorchs(torch, rng):
    p = rng.dirichlet(np.ones(5), 7)
    t = torch.tensor(p, requires_grad=True)
    torch.special.entr(t).sum().backward()
    mine = lo.Parameter(p)
    out = entropy(mine)
    out.sum().backward()
    np.testing.assert_allclose(out.numpy(), torch.special.entr(t).sum(-1).detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(mine.grad, t.grad.numpy(), rtol=1e-12)
