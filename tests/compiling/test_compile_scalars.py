"""Programs of numbers run on Python floats, and answer what NumPy's numbers answer, also at the edges."""

import itertools
import math

import numpy as np
import pytest
from twins import agree, trains_alike

import tinygrad_lo as lo

VALUES = [
    -1.0, 1.0, 0.0, -0.0, 0.5, 2.0, 3.0, -8.0, 1000.0, -1000.0, 710.0, -746.0, 1e308, 5e-324,
    math.nan, math.inf, -math.inf,
]  # fmt: skip
FEW = [2.0, -0.0, 0.0, -3.0, 1e300, math.nan, math.inf, -math.inf]

OF_ONE = {
    **{f"a ** {n}": lambda a, n=n: a**n for n in (0, 1, 2, 3, 4, 7, -1, -2, 0.5, -0.5, 1.5, 1 / 3, 1000)},
    **{f"{n} ** a": lambda a, n=n: n**a for n in (2.0, -2.0, 0.0, 1.0, math.e)},
    **{
        f"np.{name}": getattr(np, name)
        for name in (
            "exp", "log", "log2", "log10", "log1p", "expm1", "sqrt", "sin", "cos", "tan", "tanh", "arcsin",
            "arccos", "arctan", "sinh", "cosh", "abs", "square", "reciprocal", "negative",
        )
    },
    **{
        f"lo.nn.{name}": getattr(lo.nn, name)
        for name in ("relu", "leaky_relu", "relu6", "elu", "sigmoid", "tanh", "softplus", "softminus")
    },
    "1 / a": lambda a: 1 / a, "a / 0": lambda a: a / 0.0, "0 * a": lambda a: 0.0 * a, "-a": lambda a: -a,
    "a - a": lambda a: a - a, "a + inf": lambda a: a + math.inf, "a * inf": lambda a: a * math.inf,
    "a * nan": lambda a: a * math.nan, "a * a * a * a": lambda a: a * a * a * a, "a": lambda a: a,
    "maximum(a, 0)": lambda a: np.maximum(a, 0.0), "minimum(0, a)": lambda a: np.minimum(0.0, a),
    "clip": lambda a: np.clip(a, -1.0, 1.0) * a, "sign": lambda a: np.sign(a) * a,
    "where": lambda a: np.where(a > 0, a * 2.0, a * a), "mask": lambda a: (a > 0.5) * a,
    "where of nan": lambda a: np.where(np.isnan(a), 1.0, a), "detach": lambda a: a * a.detach(),
    "guarded log": lambda a: np.where(a > 0, np.log(a), 0.0), "norm": lambda a: (a * a) ** 0.5,
    "sums of one": lambda a: a.sum() * a.mean() + a.max() * a.prod(), "a - 3": lambda a: (a - 3.0) - (-3),
    "reshaped": lambda a: (a.reshape(1) * 2.0).sum(), "one element": lambda a: (a * a).reshape(1, 1),
    "stacked": lambda a: np.stack([a, a * 2.0]) @ np.stack([a, a]),
    "branch": lambda a: a * 2 if a > 0 else -a, "branch on ==": lambda a: a * 3.0 if a == 0 else 1.0 / a,
    "truth": lambda a: a * 5.0 if a else a + 1.0,
    "branch on nan": lambda a: a * 2.0 if a <= 0 else a * 3.0 if a >= 0 else a * 5.0,
    "a * huge int": lambda a: a * 2**70, "a * True": lambda a: a * True + False,
}  # fmt: skip

OF_TWO = {
    "a ** b": lambda a, b: a**b, "a / b": lambda a, b: a / b, "a * b": lambda a, b: a * b,
    "a - b": lambda a, b: a - b, "maximum": np.maximum, "minimum": np.minimum, "logaddexp": np.logaddexp,
    "where": lambda a, b: np.where(a > b, a * 2.0, b * a), "norm": lambda a, b: (a * a + b * b) ** 0.5,
    "branch": lambda a, b: a * b if a > b else a + b if a == b else b * 2.0,
    "hinge": lambda a, b: np.maximum(0.0, 1.0 - a * b), "log of ratio": lambda a, b: np.log(a / b),
}  # fmt: skip


def same_number(found, wanted):
    """The same number, nan and the sign of 0 included, and of the same class."""
    if found is None or wanted is None:
        return found is wanted
    assert type(found) is type(wanted)
    assert found.shape == wanted.shape
    if np.isnan(wanted) or wanted == 0.0:
        return np.array_equal(found, wanted, equal_nan=True) and np.isnan(found) == np.isnan(wanted)
    return bool(found == wanted or abs(found - wanted) <= 4e-15 * abs(wanted))


def assert_same_everywhere(f, leaves, points):
    compiled = lo.compile(f, check=False)
    for point in points:
        for leaf, value in zip(leaves, point, strict=True):
            leaf.data, leaf.grad = value, None
        with np.errstate(all="ignore"):
            loss = f()
            loss.backward()
            expected = [loss.data, *(leaf.grad for leaf in leaves)]
            for _ in range(2):
                for leaf in leaves:
                    leaf.grad = None
                found = [compiled(), *(leaf.grad for leaf in leaves)]
                assert all(map(same_number, found, expected)), (point, found, expected)


@pytest.mark.parametrize("f", OF_ONE.values(), ids=OF_ONE.keys())
def test_functions_of_one_number(f):
    a = lo.Parameter(1.0, name="a")
    assert_same_everywhere(lambda: f(a), [a], [(x,) for x in VALUES])


@pytest.mark.parametrize("f", OF_TWO.values(), ids=OF_TWO.keys())
def test_functions_of_two_numbers(f):
    a, b = lo.Parameter(1.0, name="a"), lo.Parameter(1.0, name="b")
    assert_same_everywhere(lambda: f(a, b), [a, b], itertools.product([*VALUES], FEW))


def test_the_famous_ones():
    """What Python refuses, or answers with a complex number, NumPy has an answer for."""
    p = lo.Parameter(-1.0)
    with np.errstate(all="ignore"):
        assert np.isnan(lo.compile(lambda: p**0.5)())
        p.data = 0.0
        p.grad = None
        assert lo.compile(lambda: 1 / p)() == math.inf
        assert p.grad == -math.inf
        p.grad = None
        assert lo.compile(lambda: p**-1)() == math.inf
        assert p.grad == -math.inf
        assert lo.compile(lambda: np.log(p))() == -math.inf
        p.data, p.grad = 1000.0, None
        assert lo.compile(lambda: np.exp(p))() == math.inf
        assert p.grad == math.inf
        p.data, p.grad = math.inf, None
        assert np.isnan(lo.compile(lambda: p * 0.0)())
        assert p.grad == 0.0


def test_results_are_numpy_numbers():
    p = lo.Parameter(2.0)
    c = lo.compile(lambda x: p * x)
    for x in (3.0, np.float64(3.0), 3):
        for _ in range(3):
            p.grad = None
            assert type(c(x)) is np.float64
            assert type(p.grad) is np.float64
    q = lo.Parameter(np.float32(2.0))
    c = lo.compile(lambda x: q * x)
    for x, kind in [(3.0, np.float32), (np.float64(3.0), np.float64), (np.float32(3.0), np.float32)]:
        for _ in range(5):
            q.grad = None
            assert type(c(x)) is kind
            assert type(q.grad) is np.float32


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
def test_a_parameter_with_an_axis_is_no_scalar(shape):
    p = lo.Parameter(np.full(shape, 2.0))
    agree(lo.compile(lambda: p * 3.0), lambda: p * 3.0, [p], calls=4)
    agree(lo.compile(lambda: p), lambda: p, [p], calls=4)


def test_the_leaf_itself():
    p = lo.Parameter(2.0)
    agree(lo.compile(lambda: p), lambda: p, [p], calls=4)
    agree(lo.compile(lambda: p + p), lambda: p + p, [p], calls=4)


def test_long_programs_of_numbers():
    """Too long to be written into the function that is called; still right, and still on floats."""
    p, q = lo.Parameter(1.01), lo.Parameter(0.5)

    def f(x):
        y = p * x
        for i in range(400):
            y = np.tanh(y * q + i % 3) - 0.1 if i % 7 else y / (1.0 + y * y)
        return y * y

    c = lo.compile(f)
    for x in (0.3, 1.5, np.float64(0.3), np.float64(-2.0), np.float64(1e308), np.float64(math.nan)):
        with np.errstate(all="ignore"):
            agree(c, f, [p, q], x, rtol=1e-9)
    assert "empty" not in c.source


def test_a_chain_of_thousands():
    p = lo.Parameter(1.0001)

    def f():
        y = p
        for _ in range(3000):
            y = y * p
        return y

    agree(lo.compile(f), f, [p], rtol=1e-9)


class Neuron:
    """As in micrograd: a list of numbers."""

    def __init__(self, inputs, rng):
        self.w = [lo.Parameter(rng.uniform(-1, 1)) for _ in range(inputs)]
        self.b = lo.Parameter(0.0)

    def __call__(self, xs, *, linear=False):
        act = sum((w * x for w, x in zip(self.w, xs, strict=True)), self.b)
        return act if linear else act.relu()


def test_a_network_of_numbers(rng):
    """micrograd's demo in small: neurons of scalars, hinge loss and L2, 25 steps."""
    hidden = [Neuron(2, rng) for _ in range(4)]
    last = Neuron(4, rng)
    parameters = [p for neuron in [*hidden, last] for p in (*neuron.w, neuron.b)]
    points = rng.standard_normal((6, 2)).tolist()
    signs = [1.0 if x * y > 0 else -1.0 for x, y in points]

    def f(strength):
        scores = [last([neuron(point) for neuron in hidden], linear=True) for point in points]
        losses = [(1 + -sign * score).relu() for sign, score in zip(signs, scores, strict=True)]
        return sum(losses) * (1.0 / len(losses)) + strength * sum(p * p for p in parameters)

    trains_alike(f, parameters, [(1e-3,)] * 25)


def test_floating_point_errors_that_were_asked_for():
    """np.errstate(divide="raise") holds in programs of numbers where they differ from NumPy's."""
    p = lo.Parameter(0.0)
    c = lo.compile(lambda: 1.0 / p, check=False)
    with np.errstate(all="ignore"):
        c()
        c()
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        c()


def test_warnings_as_numpy_gives_them():
    p = lo.Parameter(1.0)
    c = lo.compile(lambda: np.log(p), check=False)
    c()
    p.data = -1.0
    with pytest.warns(RuntimeWarning, match="invalid value"):
        c()
