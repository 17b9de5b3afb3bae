"""The printed program to the last bit where arrays lie in memory in odd ways: repeats, gaps, steps back."""

import itertools
import zlib

import numpy as np
import pytest
from twins import source_agrees

import tinygrad_lo as lo

LAYOUTS = {
    "as it is": lambda t: t,
    "turned": lambda t: t.T,
    "one row": lambda t: np.broadcast_to(t[:1], t.shape),
    "one column": lambda t: np.broadcast_to(t[:, :1], t.shape),
    "one number": lambda t: np.broadcast_to(t[0, 0], t.shape),
    "of a vector": lambda t: np.broadcast_to(t[0], t.shape),
    "every other column": lambda t: t[:, ::2],
    "every other row": lambda t: t[::2],
    "backwards": lambda t: t[::-1, ::-1],
    "a block": lambda t: t[1:, 1:],
    "reshaped": lambda t: t.T.reshape(t.shape),
    "from three axes": lambda t: t.reshape(2, -1, t.shape[1])[:, 1],
    "moved axes": lambda t: np.moveaxis(t[:, :, None] * np.ones((1, 1, 2)), 2, 0)[1],
    "columns picked": lambda t: t[:, np.array([1, 0, 2])],
    # What could be left out, if the layout did not change:
    "times one": lambda t: t[:, ::2] * 1.0,
    "by one": lambda t: np.broadcast_to(t[:1], t.shape) / 1.0,
    "to the first": lambda t: t[:, ::-1] ** 1,
    "as floats": lambda t: t[:, ::2].astype(float),
    "repeats as floats": lambda t: np.broadcast_to(t[:, :1], t.shape).astype(float),
    "minus a minus": lambda t: t.T - (-np.broadcast_to(t[:, :1], t.shape)),
    "plus a minus": lambda t: t.T + (-np.broadcast_to(t[:1], t.shape)),
    "nothing minus": lambda t: 0.0 - (-t[:, ::2]),
    "masked": lambda t: t * (np.broadcast_to(t[:, :1], t.shape) > 0.0).astype(float),
}


def fitting(a, b):
    inner = min(a.shape[1], b.shape[0])
    return a[:, :inner], b[:inner]


USES = {
    "matmul": lambda a, b: np.matmul(*fitting(a, b)),
    "dot": lambda a, b: np.dot(*fitting(a, b)),
    "einsum": lambda a, b: np.einsum("ij,jk->ki", *fitting(a, b)),
    "tensordot": lambda a, b: np.tensordot(*fitting(a, b), 1),
    "matrix and vector": lambda a, b: fitting(a, b)[0] @ fitting(a, b)[1][:, 0],
    "vector and matrix": lambda a, b: fitting(a, b)[0][0] @ fitting(a, b)[1],
    "batch": lambda a, b: np.broadcast_to(fitting(a, b)[0], (3, *fitting(a, b)[0].shape)) @ fitting(a, b)[1],
    "by a column": lambda a, b: a @ a[:1].T,
    "row by matrix": lambda a, b: b[:, :1].T @ b,
    "outer": lambda a, b: np.outer(a[0], b[:, 0]),
    "sums": lambda a, b: a.sum(axis=0) * b.sum(),
    "sums of rows": lambda a, b: np.exp(a).sum(axis=1),
    "means": lambda a, b: np.tanh(a).mean(axis=0),
    "norms": lambda a, b: a.norm(axis=1) * a.std(),
    "softmax": lambda a, b: lo.nn.softmax(a, 0),
    "cumsum": lambda a, b: np.cumsum(a, 0),
    "trace": lambda a, b: np.trace(a) * a,
    "loss": lambda a, b: lo.losses.cross_entropy(a, np.zeros(a.shape[0], int)),
}
ENDS = (
    lambda y: (y * y).sum(),
    lambda y: np.tanh(y.T).mean(),
    lambda y: (y * np.linspace(0.3, 1.7, y.size).reshape(y.shape)).sum(),
)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout, use):
    """Each layout on the left of each use, another one of them on the right, of two sizes."""
    seed = zlib.crc32(f"{layout} {use}".encode())
    rng = np.random.default_rng(seed)
    others = list(LAYOUTS.values())
    for size, other, end in zip((4, 24), rng.choice(len(others), 2), rng.choice(3, 2), strict=True):
        a = lo.Parameter(rng.standard_normal((size, size)), name="a")
        b = lo.Parameter(np.asfortranarray(rng.standard_normal((size, size))), name="b")
        y = USES[use](LAYOUTS[layout](a), others[other](b if seed % 2 else a))
        source_agrees(ENDS[end](y))


@pytest.mark.parametrize("wrap", [lo.Tensor, np.asarray])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_data_in_odd_layouts(layout, wrap):
    seed = zlib.crc32(f"data {layout}".encode())
    rng = np.random.default_rng(seed)
    for use, size in itertools.product(("matmul", "einsum", "matrix and vector", "batch", "loss"), (4, 24)):
        a = lo.Parameter(rng.standard_normal((size, size)), name="a")
        b = wrap(LAYOUTS[layout](rng.standard_normal((size, size))))
        if use == "loss":
            b = a * np.mean(b) + a[: b.shape[0], : b.shape[1]].sum()
        for left, right in ((a, b), (b, a)):
            a.grad = None
            source_agrees((USES[use](left, right) ** 2).sum())


@pytest.mark.parametrize("shape", [(2,), (2, 2), (3, 2)])
def test_products_with_repeats(shape):
    for seed in range(100):
        w = lo.Parameter(np.random.default_rng(seed).standard_normal(shape), name="w")
        source_agrees((w @ np.broadcast_to(w.reshape(-1)[:2], (2, 2))).sum())


def test_a_plain_product_reads_as_one():
    W, X = lo.Parameter(np.ones((3, 2)), name="W"), lo.Tensor(np.ones((4, 3)), name="X")
    text = lo.source((X @ W).sum() + (W.T @ X.data.T).sum() + (X.data[:, ::-1] @ W).sum())
    assert "X @ W" in text
    assert "W.T @ x1" in text
    assert "x2.dot(W)" in text
