"""Products of matrices and tensors: every combination of ranks, any subscripts."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_lo as lo
from tinygrad_lo.engine.ops import linear
from tinygrad_lo.errors import DTypeError, LoError, ShapeError

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


def test_dot_stretches_no_axis_of_size_1():
    with pytest.raises(ShapeError, match="axis -1 of a has size 1, axis -2 of b has 3"):
        np.dot(lo.Parameter(np.ones((2, 1))), np.ones((2, 3, 4)))


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


# ------------------------------------------------------------ outer, tensordot and running sums


def compare(call, *arrays, rng):
    """Value as NumPy's on arrays and tensors, gradient and second derivatives as the numbers."""
    expected = np.asarray(call(*arrays))
    y = call(*(lo.Parameter(x) for x in arrays))
    assert type(y) is lo.Tensor
    assert y.shape == expected.shape
    assert y.dtype == expected.dtype
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12, atol=1e-14)
    weights = rng.uniform(0.5, 1.5, expected.shape)
    assert lo.gradcheck(lambda *leaves: (np.tanh(call(*leaves)) * weights).sum(), *arrays, order=2)


TENSORDOTS = [
    ((2, 3, 4), (3, 4, 2), 2),
    ((2, 3), (3, 2), np.int64(1)),
    ((2,), (3,), 0),
    ((2, 3), (4, 2), (0, 1)),
    ((2, 3, 4), (4, 5, 2), ([0, -1], [2, 0])),
    ((3, 2), (2, 3), ((0, 1), (1, 0))),
    ((2, 1, 3), (3, 1), ((2, 1), (0, 1))),
    ((2, 3), (2, 3), ((), ())),
]


@pytest.mark.parametrize(("m", "n", "axes"), TENSORDOTS, ids=str)
def test_tensordot_is_numpys(m, n, axes, rng):
    a, b = rng.uniform(-1, 1, m), rng.uniform(-1, 1, n)
    np.testing.assert_allclose(linear.tensordot(a, b, axes), np.tensordot(a, b, axes), rtol=1e-13)
    compare(lambda a, b: np.tensordot(a, b, axes), a, b, rng=rng)


@pytest.mark.parametrize(
    ("m", "n", "axes", "words"),
    [
        ((2, 3), (4, 2), 1, r"\(2, 3\) and \(4, 2\): axis 1 of a has size 3, axis 0 of b has 4"),
        ((2, 3), (1, 2), 1, "axis 1 of a has size 3, axis 0 of b has 1"),
        ((2, 3), (3, 2), 3, r"axes=3 must be between 0 and 2 for shapes \(2, 3\) and \(3, 2\)"),
        ((2, 3), (3, 2), -1, "axes=-1 must be between 0 and 2"),
        ((2, 3), (3, 2), ((0, 1), (1,)), "2 axes of a, but 1 of b; every axis needs a partner"),
        ((2, 3), (3, 2), (2, 0), "axis 2 out of range for 2-D"),
        ((2, 2), (2, 2), ((0, -2), (0, 1)), r"duplicate axis -2 in \(0, -2\)"),
        ((2, 2), (2, 2), 1.5, "axes must be an int, or two ints or lists of ints, got 1.5"),
        ((2, 2), (2, 2), (0.5, 1), "axes must be an int or a sequence of ints, got 0.5"),
        ((2, 2), (2, 2), (0, 1, 1), "axes must be an int, or two ints or lists of ints"),
    ],
    ids=str,
)
def test_tensordot_refuses(m, n, axes, words):
    with pytest.raises(LoError, match=f"^tensordot: .*{words}"):
        np.tensordot(lo.Parameter(np.ones(m)), np.ones(n), axes)


@pytest.mark.parametrize(
    ("m", "n"), [((3,), (4,)), ((2, 2), (3,)), ((), (2,)), ((), ()), ((1,), (2, 1))], ids=str
)
def test_outer_flattens_both(m, n, rng):
    a, b = rng.uniform(-1, 1, m)[()], rng.uniform(-1, 1, n)[()]
    np.testing.assert_array_equal(linear.outer(a, b), np.outer(a, b))
    compare(np.outer, a, b, rng=rng)


def test_outer_and_cumsum_keep_float32_and_read_lists():
    w = lo.Parameter(np.float32([1.0, 2.0]))
    assert np.outer(w, w).dtype == np.cumsum(w).dtype == np.float32
    assert linear.outer([1.0, 2.0], [3.0]).tolist() == [[3.0], [6.0]]
    assert linear.cumsum([1, 2, 3]).tolist() == [1, 3, 6]
    assert linear.cumsum(np.array([True, True])).tolist() == [1, 2]


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3, None])
def test_cumsum_along_any_axis(axis, rng):
    for x in (rng.uniform(-1, 1, (2, 3, 2)), rng.uniform(-1, 1, (4, 3, 4)).T[::-2, :, ::2]):
        np.testing.assert_allclose(linear.cumsum(x, axis), np.cumsum(x, axis), rtol=1e-15)
        compare(lambda v: np.cumsum(v, axis), x, rng=rng)


def test_cumsum_gives_an_element_the_gradients_of_all_later_sums():
    w = lo.Parameter([1.0, 2.0, 3.0])
    y = np.cumsum(w)
    y.backward(seed=[1.0, 10.0, 100.0])
    assert y.data.tolist() == [1.0, 3.0, 6.0]
    assert w.grad.tolist() == [111.0, 110.0, 100.0]


def test_cumsum_refuses_axes_that_are_none():
    with pytest.raises(ShapeError, match=r"^cumsum: axis 1 out of range for 1-D, allowed -1\.\.0"):
        np.cumsum(lo.Parameter([1.0]), 1)
    with pytest.raises(ShapeError, match=r"^cumsum: axis 0 out of range for 0-D"):
        np.cumsum(lo.Parameter(1.0), 0)
    with pytest.raises(DTypeError, match=r"^cumsum: axis must be one int, got \(0, 1\)"):
        np.cumsum(lo.Parameter([[1.0]]), (0, 1))


# ----------------------------------------------------------------------- triangles and diagonals


@pytest.mark.parametrize("k", [-9, -2, -1, 0, 1, 2, 9])
@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (4, 2), (2, 3, 3), (0, 2)], ids=str)
def test_triangles_are_numpys(shape, k, rng):
    x = rng.uniform(-1, 1, shape)
    for call in (np.triu, np.tril):
        for values in (x, np.asfortranarray(x), x[..., ::-1, :]):
            w = lo.Parameter(values)
            y = call(w, k)
            np.testing.assert_array_equal(y.numpy(), call(values, k))
            seed = rng.standard_normal(y.shape)
            y.backward(seed=seed)
            np.testing.assert_array_equal(w.grad, call(seed, k))


def test_what_a_triangle_leaves_out_may_be_anything():
    w = lo.Parameter(np.float32([[1.0, np.inf], [np.nan, 2.0]]))
    y = np.triu(np.tril(w))
    y.sum().backward()
    assert y.dtype == np.float32
    assert y.data.tolist() == [[1.0, 0.0], [0.0, 2.0]]
    assert w.grad.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert linear.triu([[1, 2], [3, 4]]).tolist() == [[1, 2], [0, 4]]
    assert linear.tril(np.ones((2, 2), np.int8)).dtype == np.int8


@pytest.mark.parametrize("k", [-4, -1, 0, 1, 3, 9])
@pytest.mark.parametrize("shape", [(3,), (1,), (0,), (3, 3), (2, 4), (4, 2)], ids=str)
def test_diag_both_ways(shape, k, rng):
    x = rng.uniform(-1, 1, shape)
    for values in (x, x[::-1]):
        w = lo.Parameter(values)
        y = np.diag(w, k)
        np.testing.assert_array_equal(y.numpy(), np.diag(values, k))
        np.testing.assert_array_equal(linear.diag(values, k), np.diag(values, k))
        seed = rng.standard_normal(y.shape)
        y.backward(seed=seed)
        wanted = np.zeros_like(values)
        if values.ndim == 1:
            wanted = np.diag(seed, k)
        else:
            wanted.reshape(-1)[np.diag(np.arange(x.size).reshape(shape), k)] = seed
        np.testing.assert_array_equal(w.grad, wanted)


@pytest.mark.parametrize(
    ("shape", "options"),
    [((3, 3), {}), ((2, 4), {"offset": 1}), ((4, 2), {"offset": -2}), ((2, 3), {"offset": 9}),
     ((3, 2, 2), {}), ((2, 3, 2), {"axis1": 0, "axis2": 2}),
     ((2, 3, 4), {"offset": -1, "axis1": -1, "axis2": -2})],
    ids=str,
)  # fmt: skip
def test_trace_and_diagonal_of_any_axes(shape, options, rng):
    x = rng.uniform(-1, 1, shape)
    for call in (np.trace, np.diagonal):
        if np.size(call(x, **options)) and options.get("offset") != 9:
            compare(lambda v, call=call: call(v, **options), x, rng=rng)
        np.testing.assert_allclose(call(lo.Parameter(x), **options).numpy(), call(x, **options), rtol=1e-14)


def test_the_trace_of_a_product_by_hand():
    """d tr(A B) / dA = Bᵀ."""
    a, b = lo.Parameter([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 6.0], [7.0, 8.0]])
    np.trace(a @ b).backward()
    assert a.grad.tolist() == b.T.tolist()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: np.triu(lo.Tensor([1.0])), ShapeError, r"triu: needs a matrix, .* got shape \(1,\)"),
        (lambda: np.tril(lo.Tensor(1.0)), ShapeError, r"tril: needs a matrix, .* got shape \(\)"),
        (lambda: np.tril(lo.Tensor([[1.0]]), 0.5), DTypeError, "tril: k must be an int"),
        (lambda: np.triu(lo.Tensor([[1.0]]), (0,)), DTypeError, r"triu: k must be an int, got \(0,\)"),
        (lambda: np.diag(lo.Tensor(1.0)), ShapeError, r"diag: needs a vector or a matrix, got shape \(\)"),
        (lambda: np.diag(lo.Tensor(np.ones((1, 1, 1)))), ShapeError, "diag: .* see np.diagonal"),
        (lambda: np.diag(lo.Tensor([1.0]), None), DTypeError, "diag: k must be an int"),
        (lambda: np.trace(lo.Tensor([1.0])), ShapeError, r"trace: needs a matrix, .* got shape \(1,\)"),
        (lambda: np.trace(lo.Tensor([[1.0]]), 0, 0, 2), ShapeError, "trace: axis 2 out of range for 2-D"),
        (lambda: np.trace(lo.Tensor([[1.0]]), 0, 1, -1), ShapeError, "trace: axis1=1 and axis2=-1 are"),
        (lambda: np.diagonal(lo.Tensor([[1.0]]), 1.0), DTypeError, "diagonal: offset must be an int"),
    ],
)  # fmt: skip
def test_triangles_and_diagonals_refuse(call, error, words):
    with pytest.raises(error, match=f"^{words}"):
        call()


@pytest.mark.peers
def test_linear_functions_equal_torch(rng):
    torch = pytest.importorskip("torch", reason="needs the extra 'peers'")
    x, axes = rng.standard_normal((4, 4)), ((0, 1), (1, 0))
    pairs = [
        (lambda a: np.cumsum(a, 1), lambda a: torch.cumsum(a, 1)),
        (lambda a: np.triu(a, 1), lambda a: torch.triu(a, 1)),
        (lambda a: np.tril(a, -1), lambda a: torch.tril(a, -1)),
        (np.diag, torch.diag),
        (lambda a: np.diag(a[0], -1), lambda a: torch.diag(a[0], -1)),
        (np.trace, torch.trace),
        (lambda a: np.outer(a[0], a[1]), lambda a: torch.outer(a[0], a[1])),
        (lambda a: np.tensordot(a, x, axes), lambda a: torch.tensordot(a, torch.tensor(x), axes)),
        (lambda a: np.roll(a, (1, 2), (0, 1)), lambda a: torch.roll(a, (1, 2), (0, 1))),
        (lambda a: np.sort(a, 0), lambda a: torch.sort(a, 0)[0]),
    ]  # fmt: skip
    for ours, theirs in pairs:
        w, t = lo.Parameter(x), torch.tensor(x, requires_grad=True)
        y, z = ours(w), theirs(t)
        seed = rng.standard_normal(y.shape)
        (y * seed).sum().backward()
        (z * torch.tensor(seed)).sum().backward()
        np.testing.assert_allclose(y.numpy(), z.detach().numpy(), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(w.grad, t.grad.numpy(), rtol=1e-12, atol=1e-14)
