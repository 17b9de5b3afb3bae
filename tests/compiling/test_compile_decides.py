"""Values on a threshold up to rounding: a program goes the way that the engine goes, to the last bit."""

import zlib

import numpy as np
import pytest
from graphs import KINDS, M, N

import tinygrad_lo as lo

LABELS = np.array([0, 1, 2, 0])
NUMBERS = {
    "mean": lambda v: v.mean(),
    "sum": lambda v: v.sum(),
    "of rows": lambda v: (v * v).sum(axis=1).mean(),
    "of columns": lambda v: v.T.sum(axis=1).max(),
    "norm": lambda v: v.norm(),
    "std": lambda v: v.std(),
    "softmax": lambda v: lo.nn.softmax(v)[:, 0].sum(),
    "loss": lambda v: lo.losses.multiclass_hinge(v, LABELS),
    "einsum": lambda v: np.einsum("ij,kj->", v, v),
    "batch_norm": lambda v: np.tanh(lo.nn.batch_norm(v)).sum(),
}
DECISIONS = {
    "if": lambda m, t, yes, no: yes if m > t else no,
    "if not": lambda m, t, yes, no: no if m <= t else yes,
    "if equal": lambda m, t, yes, no: yes if m != t else no,
    "if any": lambda m, t, yes, no: yes if np.any(m * np.ones(3) > t) else no,
    "where": lambda m, t, yes, no: np.where(m > t, yes, no),
    "times a mask": lambda m, t, yes, no: (m > t) * yes + (m <= t) * no,
    "argmax": lambda m, t, yes, no: np.stack([no, yes])[np.argmax(np.stack([t + 0.0 * m, m]))],
    "sign": lambda m, t, yes, no: no + (yes - no) * np.sign(m - t),
    "floor": lambda m, t, yes, no: yes if np.floor(1.0 + t - m) < 1.0 else no,
}


def value_of(rng, leaves):
    """A value from a few random ops."""
    values = list(leaves)
    for _ in range(6):
        made = KINDS[rng.integers(len(KINDS))](*(values[i] for i in rng.integers(0, len(values), 3)))
        values.append(made)
    return values[-1]


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("decision", DECISIONS)
def test_on_a_threshold(decision, number, kind):
    """The threshold is the value itself, or the number below it: one bit decides."""
    seed = zlib.crc32(f"{decision} {number} {kind.__name__}".encode())
    for case in range(seed, seed + 2):
        rng = np.random.default_rng(case)
        a = lo.Parameter(rng.standard_normal((N, M)).astype(kind), name="a")
        b = lo.Parameter(np.asfortranarray(rng.standard_normal((N, M)).astype(kind)), name="b")

        def value(c, a=a, b=b, case=case):
            return NUMBERS[number](value_of(np.random.default_rng(case), [a, b, lo.Tensor(c)]))

        def f(c, t, a=a, b=b, value=value):
            return DECISIONS[decision](value(c), t, 1000.0 + (a * a).sum(), (b * b).sum())

        data = rng.standard_normal((N, M)).astype(kind)
        with np.errstate(all="ignore"):
            reached = value(data).data
            below = np.nextafter(reached, kind(-np.inf))
            compiled = lo.compile(f, check=case % 2 == 0)
            for t in (reached, below, reached, below):
                if np.isfinite(reached):
                    expected = f(data, t)
                    expected = expected.sum() if expected.ndim else expected
                    assert compiled(data, t) == pytest.approx(expected.item(), rel=1e-4)


DATA = {
    "mean": lambda x: x.mean(),
    "var": lambda x: x.var(),
    "std": lambda x: x.std(axis=0).max(),
    "np.std": lambda x: np.std(x, axis=1, keepdims=True).min(),
    "norm": lambda x: np.linalg.norm(x, axis=1).sum(),
    "einsum": lambda x: np.einsum("ij,kj->", x, x),
    "tensordot": lambda x: np.tensordot(x, x, 2),
    "product": lambda x: (x @ x.T).sum(),
    "standardized": lambda x: ((x - x.mean(0)) / x.std(0)).sum(),
    "turned": lambda x: lo.Tensor(x).T.sum(axis=0).mean(),
    "backwards": lambda x: lo.Tensor(x)[::-1, ::-1].sum(),
}


@pytest.mark.parametrize("number", DATA)
def test_numbers_of_data_alone(number):
    """What NumPy computes of arrays outside is what it computes inside."""
    w = lo.Parameter(2.0)

    def f(x, t):
        return w * 2.0 if DATA[number](x) > t else w * 3.0

    compiled = lo.compile(f, check=False)
    for case in range(30):
        x = np.random.default_rng(case).standard_normal((14, 13))
        x = np.asfortranarray(x) if case % 2 else x
        reached = DATA[number](x)
        reached = reached.data if isinstance(reached, lo.Tensor) else reached
        for t in (reached, np.nextafter(reached, -np.inf)):
            assert compiled(x, t) == f(x, t).item()


def test_a_mean_that_is_the_threshold_up_to_rounding():
    """As found: the branch of the engine in each of 300 calls, and nothing called stale."""
    rng = np.random.default_rng(0)
    W = lo.Parameter(rng.standard_normal((3, 5)), name="W")

    def f(x):
        h = x @ W
        h = h - h.mean() + 0.35
        return h.sum() if h.mean() > 0.35 else 2.0 * (h * h).sum()

    compiled = lo.compile(f)
    ways = []
    for _ in range(300):
        x = rng.standard_normal((7, 3))
        expected = f(x)
        ways.append(expected.op.name)
        assert compiled(x) == pytest.approx(expected.item())
    assert len(set(ways)) == 2


def test_only_what_decides_is_computed_so():
    """A program without decisions of the user's keeps its quick forms, one with a branch those behind it."""
    w = lo.Parameter(np.ones((4, 3)), name="w")

    def straight(x):
        return lo.nn.relu6(np.exp(x * w)).sum()

    def branching(x):
        return lo.nn.relu6(np.exp(x * w)).sum() if (x + w).sum() > 0.0 else w.sum()

    for f in (straight, branching):
        c = lo.compile(f, check=False)
        c(np.ones((4, 3)))
        assert "exp_" in c.source
        assert "= exp_" not in c.source  # into a buffer
