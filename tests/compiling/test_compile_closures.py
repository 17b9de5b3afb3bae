"""Arrays and tensors that a compiled function reads from outside: changed in place, replaced, shared."""

import numpy as np
import pytest
from twins import agree

import tinygrad_lo as lo

w = lo.Parameter([1.0, 2.0])
data = np.array([1.0, 2.0])


@pytest.fixture(autouse=True)
def _as_written():
    global data
    yield
    data = np.array([1.0, 2.0])
    w.data = np.array([1.0, 2.0])
    w.grad = None


def test_arrays_changed_in_place_and_replaced():
    global data

    def f():
        return (w * w * data).sum()

    c = lo.compile(f, check=False)
    agree(c, f, [w])
    data[0] = 5.0
    agree(c, f, [w])
    for value in (
        np.array([7.0, 8.0]), np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 2.0], np.float32),
        np.array(2.0), np.array([1, 2]), np.array([True, False]), np.arange(8.0)[::4], [1.0, 2.0],
        (3.0, 4.0), 5.0,
    ):  # fmt: skip
        data = value
        agree(c, f, [w], rtol=1e-6)


@pytest.mark.parametrize(
    "use",
    [
        lambda a: a - a.mean(), lambda a: np.float64(a[0]), lambda a: float(a[0]), lambda a: lo.Tensor(a[0]),
        lo.Tensor, lambda a: lo.Tensor(a) * 2.0, lambda a: a[::-1], lambda a: a[:1], lambda a: a.T + 1,
        lambda a: a.astype(np.float32), lambda a: a.tolist(), lambda a: a.sum() * 2.0, np.tanh, lo.nn.relu,
        lo.nn.softmax, lambda a: lo.Tensor(lo.nn.relu(a)), lambda a: a[a > 1].sum(),
        lambda a: lo.nn.relu(a)[0],
        lambda a: np.array([a[0], 3.0]), lambda a: 2.0 if a[0] > 2.0 else 3.0, lambda a: lo.nn.relu(a).mean(),
        lambda a: lo.nn.relu(a) + np.exp(a), lambda a: lo.nn.relu(lo.nn.relu(a) - 1.0),
    ],
)  # fmt: skip
@pytest.mark.parametrize("check", [True, False])
def test_arrays_used_in_numpy_before_they_meet_a_tensor(use, check):
    global data

    def f():
        return (w * w * use(data)).sum()

    c = lo.compile(f, check=check)
    for i in range(5):
        agree(c, f, [w], calls=1, rtol=1e-6)
        data[i % 2] = 3.0 - i
    old = data
    data = np.array([1.0, 2.0])
    agree(c, f, [w], calls=3, rtol=1e-6)
    old[:] = -1.0
    data = old
    agree(c, f, [w], rtol=1e-6)
    data = np.array([1.0, 2.0])  # what an older recording saw
    agree(c, f, [w], rtol=1e-6)


@pytest.mark.parametrize("kind", ["positions", "mask"])
def test_indices_from_closures(kind):
    """Also one that is changed in place, and later replaced by another with the first contents."""
    index = np.array([0, 1, 1]) if kind == "positions" else np.array([True, False])
    other = np.array([1, 1, 0]) if kind == "positions" else np.array([True, True])

    def f():
        return (np.exp(w)[index] * 2.0).sum()

    c = lo.compile(f, check=False)
    agree(c, f, [w])
    first, kept = index, index.copy()
    index[...] = other
    agree(c, f, [w])
    index = kept
    agree(c, f, [w])
    first[...] = False
    agree(c, f, [w])
    index = first
    agree(c, f, [w])


def test_tensors_whose_data_is_assigned():
    t = lo.Tensor([3.0, 4.0])

    def f():
        return (t * w * w).sum()

    c = lo.compile(f, check=False)
    agree(c, f, [w])
    for value in ([5.0, 6.0], [[1.0], [2.0]], 3.0, [1, 2], np.array([1.0, 2.0], np.float32)):
        t.data = value
        agree(c, f, [w], rtol=1e-6)
    t.data = np.array([1.0, 2.0])
    agree(c, f, [w])
    t.data[0] = 9.0
    agree(c, f, [w])
    t = lo.Tensor([7.0, 8.0])
    agree(c, f, [w])


def test_two_names_of_one_array():
    a = b = np.array([1.0, 2.0])

    def f():
        return (a * w).sum() + (b * w * w).sum()

    c = lo.compile(f, check=False)
    agree(c, f, [w])
    b = np.array([3.0, 4.0])
    agree(c, f, [w])
    a[0] = 7.0
    agree(c, f, [w])
    a = b
    agree(c, f, [w])
    a[1] = 0.5
    agree(c, f, [w])
    a = b[:]
    agree(c, f, [w])
    b = a.copy()
    agree(c, f, [w])
    a = np.zeros((2, 2))
    b = a[0]
    a[0] = 5.0
    agree(c, f, [w])
    b = b + 1.0
    a = a[1]
    agree(c, f, [w])


@pytest.mark.parametrize("of", [lambda x: x, lo.Tensor, lo.nn.relu])
def test_an_array_that_is_also_an_argument(of):
    def f(z):
        return (z * w).sum() * (of(data) * w).sum() + (z * data).sum() * w[0]

    c = lo.compile(f, check=False)
    agree(c, f, [w], data)
    agree(c, f, [w], data + 1.0)
    data[0] = 5.0
    agree(c, f, [w], data.copy())
    agree(c, f, [w], data)
    agree(c, f, [w], lo.Tensor(data))


def test_a_tensor_around_an_array_beside_the_array():
    t = lo.Tensor(data)

    def f():
        return (t * w).sum() * (data * w).sum()

    c = lo.compile(f, check=False)
    agree(c, f, [w])
    t.data = np.array([7.0, 8.0])
    agree(c, f, [w])


@pytest.mark.parametrize("ask", [lambda: float(data.max()), lambda: 2.0 if data[0] > 2.0 else 3.0])
def test_what_python_makes_of_an_array_that_is_also_used_directly(ask):
    """Its contents are not asked for at each call: right, or found stale by the fourth."""

    def f():
        return (w * data).sum() * ask()

    for after in (1, 2, 3):
        data[:] = 1.0
        c = lo.compile(f)
        for _ in range(after):
            c()
        data[:] = 5.0
        try:
            for _ in range(4 - after):
                found = c()
            assert found == f().item()
        except lo.errors.StaleError:
            agree(c, f, [w])
