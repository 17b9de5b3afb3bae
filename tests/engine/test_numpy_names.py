"""What NumPy can and the table cannot says what to write instead; what NumPy refuses is refused in words."""

import emscripten
import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.engine.machine.refusals import INSTEAD
from tinygrad_lo.errors import DomainError, GraphError, IndexingError, ShapeError, UnsupportedError

X = np.array([[0.3, 1.2, 0.7], [2.0, 0.4, 1.1]])


def test_a_count_is_flat():
    x = lo.Parameter([[0.0, 2.0], [0.0, 0.0]])
    assert np.linalg.norm(x, 0, axis=0).tolist() == [0.0, 1.0]
    assert not np.linalg.norm(x, 0, axis=0).requires_grad


# What HIPS autograd differentiates and the table does not, all of it: each says what to write.
REFUSED = {
    np.fft: "fft ifft fft2 ifft2 fftn ifftn rfft irfft rfft2 irfft2 rfftn irfftn",
    np.linalg: "pinv eig eigh svd cholesky",
    np: "partition remainder sinc gradient",
}


def test_what_is_refused_of_what_autograd_differentiates_says_what_to_write():
    functions = {getattr(module, name) for module, names in REFUSED.items() for name in names.split()}
    assert set(INSTEAD) == functions
    square = lo.Parameter(np.eye(2) + 0.5)
    for f, instead in INSTEAD.items():
        others = [1] if f in (np.partition, np.remainder) else []
        with pytest.raises(UnsupportedError) as caught:
            f(square, *others)
        assert f"is not differentiable here; {instead}; what is, is listed in docs/ops.md" in str(
            caught.value
        )
    with pytest.raises(GraphError, match="would leave the graph"):  # NumPy asks np.full's value for its array
        np.full(3, square.sum())


@pytest.mark.parametrize(
    ("f", "instead"),
    [
        (lambda x: np.remainder(x, 0.5), lambda x: x - 0.5 * np.floor(x / 0.5)),
        (np.sinc, lambda x: np.sin(np.pi * x) / (np.pi * x)),
        (np.linalg.pinv, lambda A: np.linalg.solve(A.T @ A, A.T)),
        (lambda x: np.gradient(x, 0.1, axis=0)[1:-1], lambda f: (f[2:] - f[:-2]) / (2 * 0.1)),
        (lambda x: np.sort(np.partition(x, 1, axis=0), 0), lambda x: np.sort(x, 0)),
        (np.linalg.eigvalsh, lambda A: np.sum((v := np.linalg.eigh(A.data)[1]) * (A @ v), axis=0)),
    ],
)
def test_what_to_write_instead_is_the_same(f, instead):
    A = np.array([[2.0, 0.5, 0.3], [0.5, 1.0, 0.1], [0.3, 0.1, 0.7]])
    np.testing.assert_allclose(instead(lo.Parameter(A)).numpy(), f(A), rtol=1e-12)


def test_what_numpy_says_of_an_argument_is_said_by_us():
    x = lo.Parameter(X)
    for call in (
        lambda: np.repeat(x, [1, 2, 3], axis=0),
        lambda: np.repeat(x, -1),
        lambda: np.tile(x, -2),
        lambda: np.rot90(x[0]),
        lambda: np.rot90(x, 1, (0, 0)),
        lambda: np.rot90(x, 1, (0, 1, 1)),
        lambda: np.fliplr(x[0]),
        lambda: np.rollaxis(x, 5),
        lambda: np.vstack([x, X.T]),
        lambda: np.diff(x, n=-1),
        lambda: np.diff(x, axis=2),
        lambda: np.cross(x[:, :2], x),
        lambda: np.inner(x, X.T),
        lambda: np.linspace(x, 1.0, -1),
        lambda: np.median(x[:0]),
        lambda: np.median(x, axis=(0, 0)),
        lambda: np.average(x, weights=[1.0, 2.0]),
        lambda: np.average(x, axis=0, weights=[1.0, 2.0, 3.0]),
        lambda: np.linalg.inv(x),
        lambda: np.linalg.solve(x, x),
        lambda: np.linalg.norm(x, 1, axis=(0, 0)),
        lambda: np.hsplit(x, 2),
    ):
        with pytest.raises(ShapeError):
            call()
    with pytest.raises(IndexingError, match="out of range"):
        np.take(x, [0, 6])
    for indices in ([True, False, True], 1.5, None, [], slice(1)):
        with pytest.raises(IndexingError, match="take: indices must be ints"):
            np.take(x, indices, axis=1)
    assert np.take(x, lo.Tensor([2, 0]), axis=1).tolist() == X[:, [2, 0]].tolist()


@emscripten.flags
def test_a_singular_matrix_is_refused():
    with pytest.raises(DomainError, match="singular"):
        np.linalg.inv(lo.Parameter(np.ones((2, 2))))
