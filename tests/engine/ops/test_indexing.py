"""Taking elements out, and putting their gradients back."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.engine.ops.indexing import pick, put, sort, windows
from tinygrad_lo.errors import DTypeError, IndexingError, LoError, ShapeError, UnsupportedError

INDICES = [
    0,
    -1,
    np.int64(2),
    slice(1, None),
    slice(None, None, -2),
    slice(5, 9),
    ...,
    None,
    (),
    (1, 1, 3),
    (..., 0),
    (0, ...),
    (slice(None), 1),
    (None, 0, ..., None),
    [0, 0, 2],
    [],
    np.array([[0, 1], [2, 2]]),
    np.array([-1, 0], np.int8),
    (np.array([0, 1]), np.array([1, 1])),
    (slice(None), [0, 0, 1]),
    ([0, 2], slice(None), [1, 1]),
    (np.array([[0], [2]]), np.array([1, 1, 0]), 3),
    (..., np.array([0, 0, 0])),
    (np.array([0, 0]), None, slice(0, 2)),
    np.arange(24).reshape(3, 2, 4) % 3 == 0,
    np.array([True, False, True]),
    (slice(None), np.array([False, True])),
    (np.array([True, False, True]), 0, [0, 1]),
    True,
    False,
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_values_are_numpys_and_repeats_add_up(index, rng):
    x = rng.standard_normal((3, 2, 4))
    w = lo.Parameter(x)
    y = w[index]
    expected = x[tuple(index) if isinstance(index, tuple) else index]
    assert y.shape == np.shape(expected)
    np.testing.assert_array_equal(y.numpy(), expected)
    seed = rng.standard_normal(y.shape)
    y.backward(seed=seed)
    number = np.arange(24).reshape(3, 2, 4)[index]
    counted = np.zeros(24)
    for place, g in zip(np.ravel(number), np.ravel(seed), strict=True):
        counted[place] += g
    np.testing.assert_allclose(w.grad, counted.reshape(3, 2, 4), atol=1e-15)


def test_indices_may_be_tensors():
    w = lo.Parameter([1.0, 2.0, 3.0])
    assert w[lo.Tensor([2, 2, 0])].data.tolist() == [3.0, 3.0, 1.0]
    assert w[w > 1.5].data.tolist() == [2.0, 3.0]
    (w[w > 1.5] * 2.0).sum().backward()
    assert w.grad.tolist() == [0.0, 2.0, 2.0]


def test_an_element_taken_twice_has_two_gradients_in_the_second_derivative():
    w = lo.Parameter([1.0, 2.0])
    loss = (w[[0, 0, 1]] ** 3).sum()
    slope = lo.grad(loss, w, create_graph=True)
    assert slope.data.tolist() == [6.0, 12.0]
    assert lo.grad(slope.sum(), w).tolist() == [12.0, 12.0]


@pytest.mark.parametrize(
    "index",
    [
        5,
        "a",
        1.5,
        (0, 0, 0, 0),
        [0, 7],
        np.ones(5, bool),
        (slice(None), slice(None), slice(None), slice(None)),
    ],
)
def test_bad_indices_are_refused(index):
    with pytest.raises(LoError) as caught:
        lo.Tensor(np.zeros((3, 2, 4)))[index]
    assert isinstance(caught.value, (IndexError, TypeError))


def test_a_dict_or_a_float_list_as_an_index_is_refused():
    with pytest.raises(IndexingError):
        lo.Tensor([1.0])[[0.5]]


def test_take_along_axis_and_flip():
    w = lo.Parameter([[1.0, 2.0], [3.0, 4.0]])
    y = np.take_along_axis(w, np.array([[1, 1], [0, 1]]), axis=1)
    y.backward(seed=[[1.0, 2.0], [3.0, 4.0]])
    assert y.data.tolist() == [[2.0, 2.0], [3.0, 4.0]]
    assert w.grad.tolist() == [[0.0, 3.0], [3.0, 4.0]]
    with pytest.raises(ShapeError, match="indices must be ints"):
        np.take_along_axis(w, np.array([0]), axis=1)
    assert np.take_along_axis(w, np.array([3, 0]), None).data.tolist() == [4.0, 1.0]
    for places in (np.array([[3, 0]]), np.array(2), lo.Tensor([[3], [0]])):
        with pytest.raises(ShapeError, match=r"axis=None flattens x, so indices must have 1 axis, got shape"):
            np.take_along_axis(w, places, None)


def test_pick_takes_one_element_of_each_row():
    s = lo.Parameter([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    y = pick(s, np.array([2, 0]))
    y.backward(seed=[[10.0], [20.0]])
    assert y.data.tolist() == [[3.0], [4.0]]
    assert s.grad.tolist() == [[0.0, 0.0, 10.0], [20.0, 0.0, 0.0]]
    turned = np.asfortranarray(s.data)
    assert pick(turned, np.array([2, 0])).tolist() == [[3.0], [4.0]]
    assert put(y.data, np.array([2, 0]), 3).tolist() == [[0.0, 0.0, 3.0], [4.0, 0.0, 0.0]]


def test_pick_refuses_labels_that_do_not_fit():
    with pytest.raises(LoError, match=r"pick: labels of shape \(3,\)"):
        pick(lo.Tensor(np.zeros((2, 3))), np.array([0, 0, 0]))


@pytest.mark.parametrize(
    ("size", "stride", "dilation"), [((2,), 1, 1), ((3,), 2, 1), ((2,), 1, 3), ((2, 2), (2, 1), (1, 2))]
)
def test_windows_overlap_and_their_gradients_add_up(size, stride, dilation, rng):
    x = rng.standard_normal((2, 4, 7))
    w = lo.Parameter(x)
    y = windows(w, size, stride, dilation)
    seed = rng.standard_normal(y.shape)
    y.backward(seed=seed)
    numbers = windows(np.arange(56.0).reshape(2, 4, 7), size, stride, dilation)
    expected = np.zeros(56)
    for place, g in zip(numbers.ravel().astype(int), seed.ravel(), strict=True):
        expected[place] += g
    np.testing.assert_array_equal(y.numpy(), x.ravel()[numbers.astype(int)])
    np.testing.assert_allclose(w.grad.ravel(), expected, atol=1e-14)


@pytest.mark.parametrize("arguments", [((9,),), ((0,),), ((2,), 0), ((2,), 1, 9), ((2, 2, 2, 2),), ((),)])
def test_windows_that_do_not_fit_are_refused(arguments):
    with pytest.raises(ShapeError, match="window"):
        windows(lo.Tensor(np.zeros((2, 4, 7))), *arguments)


# --------------------------------------------------------------------------------- sorted order


def test_sort_sends_each_gradient_to_where_its_element_was():
    w = lo.Parameter([3.0, 1.0, 2.0])
    y = np.sort(w)
    y.backward(seed=[10.0, 20.0, 30.0])
    assert y.data.tolist() == [1.0, 2.0, 3.0]
    assert w.grad.tolist() == [30.0, 10.0, 20.0]


def test_of_equals_the_first_stays_the_first():
    w = lo.Parameter([[2.0, 1.0, 2.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    np.sort(w).backward(seed=[[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]])
    assert w.grad.tolist() == [[3.0, 1.0, 4.0, 2.0], [1.0, 2.0, 3.0, 4.0]]
    many = lo.Parameter(np.arange(1000.0) % 2)  # short rows are sorted stably by any method
    np.sort(many).backward(seed=np.arange(1000.0))
    np.testing.assert_array_equal(many.grad[::2], np.arange(500.0))
    np.testing.assert_array_equal(many.grad[1::2], np.arange(500.0, 1000.0))


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3, None])
def test_sort_along_any_axis(axis, rng):
    x = rng.permutation(24).astype(float).reshape(2, 3, 4)
    for values in (x, np.asfortranarray(x), x[::-1, :, ::2], np.round(x / 5)):
        w = lo.Parameter(values)
        np.testing.assert_array_equal(np.sort(w, axis).numpy(), np.sort(values, axis))
        np.testing.assert_array_equal(sort(values, axis), np.sort(values, axis))
    weights = rng.standard_normal(np.sort(x, axis).shape)
    assert lo.gradcheck(lambda v: (np.sort(v, axis) ** 3 * weights).sum(), x / 10 - 1.17, order=2)


def test_sort_takes_what_numpys_takes():
    assert sort([2.0, 1.0]).tolist() == [1.0, 2.0]
    assert sort(np.array([3, 1], np.int8)).dtype == np.int8
    assert np.sort(lo.Parameter(np.float32([2, 1]))).dtype == np.float32
    assert np.sort(lo.Parameter([np.nan, 1.0, -np.inf])).data.tolist()[:2] == [-np.inf, 1.0]
    assert np.sort(lo.Parameter(2.0), axis=None).data.tolist() == [2.0]
    x = np.array([2.0, 1.0])
    sort(x)
    assert x.tolist() == [2.0, 1.0]


def test_sort_refuses_axes_that_are_none():
    with pytest.raises(ShapeError, match=r"^sort: axis -1 out of range for 0-D: a scalar has no axes"):
        np.sort(lo.Parameter(2.0))
    with pytest.raises(ShapeError, match=r"^sort: axis 2 out of range for 2-D, allowed -2\.\.1"):
        sort(np.zeros((2, 2)), 2)
    for axis in ((0, 1), 1.0, "0"):
        with pytest.raises(DTypeError, match=r"^sort: axis must be"):
            np.sort(lo.Parameter([[1.0]]), axis)


def test_the_order_follows_the_data_and_is_no_constant():
    """Whoever runs the op again on other numbers gets those sorted: the order is not in the graph."""
    y = np.sort(lo.Parameter([3.0, 1.0, 2.0]))
    assert y.op.forward(np.array([1.0, 3.0, 2.0]), np.array([1.0, 3.0, 2.0]), 0).tolist() == [1.0, 2.0, 3.0]
    assert y.parents[0] is y.parents[1]


# --------------------------------------------------------------------- lazy arrays: lazy, or refused


@pytest.fixture
def lazily():
    """An array as Dask holds it, and no scheduler that would compute it."""
    dask = pytest.importorskip("dask", reason="needs the extra 'dask'")
    da = pytest.importorskip("dask.array", reason="needs the extra 'dask'")

    def refuse(*args, **options):
        raise AssertionError("a lazy array was computed")

    with dask.config.set(scheduler=refuse):
        yield lambda x: lo.Tensor(da.from_array(x, chunks=2), requires_grad=True)


LAZY = {
    "one row": lambda x: x[1] * 1.0,
    "a number": lambda x: x[1, -1],
    "slices": lambda x: x[1:, :-2],
    "backwards": lambda x: x[::-1, 3:0:-1],
    "a new axis": lambda x: x[None, :, 2],
    "dots": lambda x: x[..., None, 0],
    "dots before": lambda x: x[..., 1:3],
    "dots after": lambda x: x[2, ...],
    "nothing": lambda x: x[:, 2:2],
    "flip": np.flip,
    "roll by nothing": lambda x: np.roll(x, 0, 1),
    "roll": lambda x: np.roll(x, 3, 1),
    "roll flat": lambda x: np.roll(x, 2),
    "split": lambda x: np.split(x, 3)[1] * np.split(x, [2, 4])[0][:1, :],
    "cumsum": lambda x: np.cumsum(x, 1),
    "cumsum flat": np.cumsum,
    "triu": lambda x: np.triu(x, 1),
    "tril": np.tril,
    "outer": lambda x: np.outer(x, np.arange(3.0)),
    "tensordot": lambda x: np.tensordot(x, np.ones((5, 4)), ((1,), (0,))),
    "arctan": np.arctan,
}


@pytest.mark.parametrize("name", LAZY)
def test_a_lazy_array_stays_lazy_forward_and_back(name, lazily, rng):
    import dask

    values = rng.standard_normal((3, 5))
    x, w = lazily(values), lo.Parameter(values)
    y, expected = LAZY[name](x), LAZY[name](w)
    seed = rng.standard_normal(expected.shape)
    (y * seed).sum().backward()
    (expected * seed).sum().backward()
    assert not isinstance(y.data, np.ndarray)
    assert not isinstance(x.grad, np.ndarray)
    with dask.config.set(scheduler="synchronous"):
        np.testing.assert_allclose(y.data.compute(), expected.numpy(), rtol=1e-13)
        np.testing.assert_allclose(x.grad.compute(), w.grad, rtol=1e-12, atol=1e-13)


def test_what_would_compute_a_lazy_array_refuses(lazily, rng):
    x = lazily(rng.standard_normal((3, 5)))
    with pytest.raises(
        UnsupportedError, match=r"^sort: the order of a lazy array of shape \(3, 5\) is not known"
    ):
        np.sort(x)
    with pytest.raises(UnsupportedError, match=r"^indexing: a lazy array"):
        np.take_along_axis(x, np.zeros((3, 1), int), axis=1)
    with pytest.raises(UnsupportedError, match=r"^indexing: a lazy array"):
        np.trace(x)
    for index in (np.array([0, 0, 2]), slice(None, None, 2)):
        y = x[index].sum()
        with pytest.raises(UnsupportedError, match=r"^scatter: the gradient of indexing by"):
            y.backward()
