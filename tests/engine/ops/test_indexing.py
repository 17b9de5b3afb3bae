"""Taking elements out, and putting their gradients back."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.engine.ops.indexing import pick, put, windows
from tinygrad_lo.errors import IndexingError, LoError, ShapeError

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
