"""Mini-batches: every row once, rows together, repeatable, refused early."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.data import minibatches
from tinygrad_lo.errors import GraphError, OptionError, ShapeError

X = np.arange(20.0).reshape(10, 2)
Y = np.arange(10)


@pytest.mark.parametrize("batch_size", [1, 3, 5, 10, 99])
def test_an_epoch_brings_every_row_exactly_once_with_its_label(batch_size):
    batches = list(minibatches(X, Y, batch_size=batch_size))
    labels = np.concatenate([y for _, y in batches])
    assert sorted(labels) == list(range(10))
    for rows, y in batches:
        np.testing.assert_array_equal(rows, X[y])
    sizes = [len(y) for _, y in batches]
    assert all(n == batch_size for n in sizes[:-1])
    assert sum(sizes) == 10


def test_each_loop_is_an_epoch_in_an_order_of_its_own():
    loader = minibatches(Y, batch_size=4, rng=0)
    epochs = [[int(i) for (rows,) in loader for i in rows] for _ in range(3)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 3
    assert epochs[0] != epochs[1] != epochs[2]
    assert len([1 for _ in loader for _ in loader]) == 9  # a loop in a loop


def test_drop_last():
    batches = list(minibatches(X, Y, batch_size=4, drop_last=True))
    assert [len(y) for _, y in batches] == [4, 4]
    assert len(list(minibatches(X, Y, batch_size=5, drop_last=True))) == 2


def test_rows_are_shuffled_anew_each_epoch_and_repeat_with_the_seed():
    def epoch(**options):
        return [int(i) for (rows,) in minibatches(Y, batch_size=3, **options) for i in rows]

    lo.seed(1)
    first, second = epoch(), epoch()
    lo.seed(1)
    assert epoch() == first
    assert first != second
    assert first != sorted(first)
    assert epoch(rng=5) == epoch(rng=5) == epoch(rng=np.random.default_rng(5))


def test_batches_are_copies():
    ((rows,),) = minibatches(X, batch_size=10)
    rows[:] = 0.0
    assert X.max() == 19.0


def test_lists_and_tensors_become_arrays():
    ((a, b),) = minibatches([1, 2], lo.Tensor([3.0, 4.0]), batch_size=2, rng=0)
    assert type(a) is type(b) is np.ndarray
    assert sorted(a) == [1, 2]


def test_float32_stays():
    ((rows,),) = minibatches(X.astype(np.float32), batch_size=10)
    assert rows.dtype == np.float32


@pytest.mark.parametrize("size", [0, -1, 1.5, "2", None, True])
def test_bad_sizes_are_refused_at_once(size):
    with pytest.raises(OptionError, match="batch_size must be an int >= 1, got"):
        minibatches(X, batch_size=size)


@pytest.mark.parametrize(
    ("arrays", "options", "error", "words"),
    [
        ((), {}, ShapeError, "at least one array"),
        ((X, Y[:9]), {}, ShapeError, r"different numbers of rows: \[10, 9\]"),
        ((np.zeros((0, 2)),), {}, ShapeError, "0 rows"),
        ((X,), {"batch_size": 11, "drop_last": True}, ShapeError, "10 rows make no batch of 11"),
        ((X, 3.0), {}, ShapeError, "array 1 is 0-d"),
        ((lo.Parameter(X),), {}, GraphError, r"t\.detach\(\)"),
        ((X,), {"rng": "seed"}, OptionError, "rng must be"),
    ],
)
def test_bad_input_is_refused_at_once(arrays, options, error, words):
    with pytest.raises(error, match=words):
        minibatches(*arrays, **{"batch_size": 2, **options})
