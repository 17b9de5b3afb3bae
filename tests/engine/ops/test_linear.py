"""Products of matrices and tensors: every combination of ranks, any subscripts."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_lo as lo
from tinygrad_lo.errors import ShapeError

LEFT = [(3,), (2, 3), (5, 2, 3), (4, 1, 2, 3), (1, 2, 3), (0, 2, 3)]
RIGHT = [(3,), (3, 2), (5, 3, 2), (5, 3, 1), (4, 1, 3, 2), (1, 3, 2), (0, 3, 2)]


def fits(m, n):
    try:
        return bool((np.zeros(m) @ np.zeros(n)).shape) or True
    except ValueError:
        return False


def slow_matmul_gradients(a, b, g):
    """By the definition y[..., i, k] = Σ_j a[..., i, j] b[..., j, k], one number at a time."""
    A = a[None, :] if a.ndim == 1 else a
    B = b[:, None] if b.ndim == 1 else b
    lead = np.broadcast_shapes(A.shape[:-2], B.shape[:-2])
    G = g.reshape((*lead, A.shape[-2], B.shape[-1]))
    by_a, by_b = np.zeros(A.shape), np.zeros(B.shape)

    def at(shape, place):
        tail = place[len(place) - (len(shape) - 2) :]
        return tuple(0 if n == 1 else i for n, i in zip(shape[:-2], tail, strict=True))

    for place in np.ndindex(lead):
        for i, j, k in itertools.product(range(A.shape[-2]), range(A.shape[-1]), range(B.shape[-1])):
            pa, pb = at(A.shape, place), at(B.shape, place)
            by_a[(*pa, i, j)] += G[(*place, i, k)] * B[(*pb, j, k)]
            by_b[(*pb, j, k)] += G[(*place, i, k)] * A[(*pa, i, j)]
    return by_a.reshape(a.shape), by_b.reshape(b.shape)


@pytest.mark.parametrize(("m", "n"), [(m, n) for m in LEFT for n in RIGHT if fits(m, n)], ids=str)
def test_matmul_of_all_ranks(m, n, rng):
    a, b = lo.Parameter(rng.standard_normal(m)), lo.Parameter(rng.standard_normal(n))
    y = a @ b
    np.testing.assert_allclose(y.numpy(), a.data @ b.data, rtol=1e-13)
    seed = rng.standard_normal(y.shape)
    y.backward(seed=seed)
    by_a, by_b = slow_matmul_gradients(a.data, b.data, seed)
    np.testing.assert_allclose(a.grad, by_a, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(b.grad, by_b, rtol=1e-12, atol=1e-13)
    assert a.grad.shape == m
    assert b.grad.shape == n


@pytest.mark.parametrize(
    ("m", "n"), [(m, n) for m in LEFT for n in RIGHT if fits(m, n) and 0 not in m + n], ids=str
)
def test_second_derivatives_of_matmul(m, n, rng):
    a, b = lo.Parameter(rng.standard_normal(m)), lo.Parameter(rng.standard_normal(n))
    by_a, by_b = lo.grad(np.tanh(a @ b).sum(), [a, b], create_graph=True)
    u, v = rng.standard_normal(m), rng.standard_normal(n)
    one = (lo.grad((by_a * u).sum(), b) * v).sum()
    other = (lo.grad((by_b * v).sum(), a) * u).sum()
    assert one == pytest.approx(other, rel=1e-9)


@pytest.mark.parametrize("order", ["C", "F"])
def test_matmul_with_an_array_on_either_side(order, rng):
    X, W = np.array(rng.standard_normal((4, 3)), order=order), lo.Parameter(rng.standard_normal((3, 2)))
    (X @ W).sum().backward()
    np.testing.assert_allclose(W.grad, X.T @ np.ones((4, 2)), rtol=1e-14)
    V = lo.Parameter(rng.standard_normal((2, 4)))
    (V @ X).sum().backward()
    np.testing.assert_allclose(V.grad, np.ones((2, 3)) @ X.T, rtol=1e-14)


@pytest.mark.parametrize(
    ("m", "n"), [((), ()), ((), (2,)), ((2,), ()), ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3),
     (3, 2)),
                 ((2, 2, 3), (3, 2)), ((2, 3), (2, 3, 2)), ((2, 1, 3), (2, 3, 4))], ids=str)  # fmt: skip
def test_dot_is_numpys(m, n, rng):
    a, b = lo.Parameter(rng.standard_normal(m)), lo.Parameter(rng.standard_normal(n))
    y = a.dot(b)
    expected = np.dot(a.data, b.data)
    assert y.shape == np.shape(expected)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-13)
    y.sum().backward()
    for p, other in ((a, 0), (b, 1)):
        args = [a.data, b.data]

        def f(x, args=args, other=other):
            return np.sum(np.dot(*(x if i == other else v for i, v in enumerate(args))))

        np.testing.assert_allclose(p.grad, lo.numerical_gradient(f, p.data), rtol=1e-7, atol=1e-8)


EINSUMS = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ba", (2, 3)),
    ("...ij,...jk->...ik", (5, 2, 3), (3, 4)),
    ("...ij,...jk->...ik", (5, 2, 3), (1, 3, 4)),
    ("...,...", (2, 3), (3,)),
    ("i...,i...->...", (3, 2), (3, 2)),
    ("...i->...", (2, 3, 4)),
    ("ij...->ji...", (2, 3, 4)),
    ("...a,...a->...", (2, 3), (4, 1, 3)),
    ("ii->i", (3, 3)),
    ("ii", (3, 3)),
    ("ii,i->", (3, 3), (3,)),
    ("iij->j", (3, 3, 2)),
    ("iji->j", (3, 2, 3)),
    ("iii->i", (3, 3, 3)),
    ("iii->", (3, 3, 3)),
    ("...ii->...i", (2, 3, 3)),
    ("ij->", (2, 3)),
    ("i,i,i->i", (3,), (3,), (3,)),
    ("i,j,k->kji", (2,), (3,), (4,)),
    (",ij->ij", (), (2, 3)),
    ("ij,ij,jk->k", (2, 3), (2, 3), (3, 2)),
    ("aB,Bc->ca", (2, 3), (3, 4)),
    (" i j , j k -> i k ", (2, 3), (3, 4)),
    ("i,->i", (3,), ()),
    ("ij,j->i", (0, 3), (3,)),
]


@pytest.mark.parametrize("case", EINSUMS, ids=str)
def test_einsum_is_numpys_with_numerical_gradients(case, rng):
    subscripts, *shapes = case
    arrays = [rng.standard_normal(shape) for shape in shapes]
    leaves = [lo.Parameter(x) for x in arrays]
    y = np.einsum(subscripts, *leaves)
    expected = np.einsum(subscripts, *arrays)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12, atol=1e-14)
    weights = rng.uniform(0.5, 1.5, y.shape)
    (y * weights).sum().backward()
    for i, leaf in enumerate(leaves):

        def f(x, i=i):
            return (np.einsum(subscripts, *arrays[:i], x, *arrays[i + 1 :]) * weights).sum()

        np.testing.assert_allclose(leaf.grad, lo.numerical_gradient(f, arrays[i]), rtol=1e-7, atol=1e-8)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_einsum_of_random_subscripts(data):
    terms = data.draw(st.lists(st.text("abcd", min_size=0, max_size=3), min_size=1, max_size=3))
    letters = sorted(set("".join(terms)))
    out = "".join(data.draw(st.permutations(letters))[: data.draw(st.integers(0, len(letters)))])
    sizes = {c: data.draw(st.integers(1, 3)) for c in letters}
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal([sizes[c] for c in term]) for term in terms]
    subscripts = f"{','.join(terms)}->{out}"
    leaves = [lo.Parameter(x) for x in arrays]
    y = np.einsum(subscripts, *leaves)
    np.testing.assert_allclose(y.numpy(), np.einsum(subscripts, *arrays), rtol=1e-12, atol=1e-13)
    seed = rng.standard_normal(y.shape)
    y.backward(seed=seed)
    for i, leaf in enumerate(leaves):
        # einsum is linear in each operand: along any direction the difference is the derivative.
        d = rng.standard_normal(leaf.shape)
        along = (np.einsum(subscripts, *arrays[:i], d, *arrays[i + 1 :]) * seed).sum()
        assert np.sum(leaf.grad * d) == pytest.approx(along, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("ij->ijk", [(2, 3)]),
        ("ij", [(2,)]),
        ("i,i->", [(2,), (3,)]),
        ("i#->i", [(2, 2)]),
        ("ii->i", [(2, 3)]),
        ("i->ii", [(2,)]),
    ],
)
def test_subscripts_that_do_not_fit_are_refused(subscripts, shapes):
    with pytest.raises(ShapeError, match="einsum"):
        np.einsum(subscripts, *(lo.Tensor(np.ones(shape)) for shape in shapes))
