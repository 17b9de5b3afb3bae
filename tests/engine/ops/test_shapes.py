"""Roll and split: every axis and shift of NumPy's, parts that add up, refusals with their words."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.engine.ops.shapes import array_split, roll, split
from tinygrad_lo.errors import DTypeError, ShapeError

X = np.arange(12.0).reshape(3, 4)


@pytest.mark.parametrize(
    ("shift", "axis"),
    [(0, None), (5, None), (-5, None), (99, 1), (-1, -2), ((1, 2), None), ((1, 2), 1), (1, (0, 1)),
     ((1, -2), (0, -1)), ((1, 1), (0, 0)), (np.int64(2), 0), ([1], [1]), (1, ())],
)  # fmt: skip
def test_roll_moves_values_and_rolls_gradients_back(shift, axis, rng):
    w = lo.Parameter(X)
    y = np.roll(w, shift, axis)
    np.testing.assert_array_equal(y.numpy(), np.roll(X, shift, axis))
    np.testing.assert_array_equal(roll(X, shift, axis), np.roll(X, shift, axis))
    seed = rng.standard_normal(X.shape)
    y.backward(seed=seed)
    np.testing.assert_array_equal(w.grad, np.roll(seed, np.negative(shift), axis))


def test_roll_reads_lists_and_views_and_never_returns_its_input():
    assert roll([1.0, 2.0, 3.0], 1).tolist() == [3.0, 1.0, 2.0]
    np.testing.assert_array_equal(roll(X.T[::-2], 1, 0), np.roll(X.T[::-2], 1, 0))
    assert not np.shares_memory(roll(X, 0, 0), X)
    assert roll(np.float32([1, 2]), 1).dtype == np.float32
    assert roll(lo.Tensor(3.0), 1).item() == 3.0


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((1, 2), ShapeError, r"^roll: axis 2 out of range for 2-D, allowed -2\.\.1"),
        (((1, 2, 3), (0, 1)), ShapeError, "^roll: 3 shifts for 2 axes; give one, or one for each axis"),
        ((1.5,), DTypeError, "^roll: shift must be an int or a sequence of ints, got 1.5"),
        ((1, 0.5), DTypeError, "^roll: axis must be an int"),
    ],
)
def test_roll_refuses(arguments, error, words):
    with pytest.raises(error, match=words):
        roll(lo.Parameter(X), *arguments)
    with pytest.raises(error, match=words):
        roll(X, *arguments)


def test_a_number_has_no_axis_to_roll_or_split():
    with pytest.raises(ShapeError, match=r"^roll: axis 0 out of range for 0-D: a scalar has no axes"):
        np.roll(lo.Parameter(1.0), 1, 0)
    with pytest.raises(ShapeError, match=r"^split: axis 0 out of range for 0-D"):
        np.split(lo.Parameter(1.0), 1)


SPLITS = [(2, 1), (3, 0), (4, -1), (1, 0), ([1, 3], 1), ((2,), -2), ([], 0), ([3, 1], 1), ([-1, 9], 1),
          (np.array([1, 2]), 0), (np.int32(2), 1)]  # fmt: skip


@pytest.mark.parametrize(("sections", "axis"), SPLITS, ids=str)
@pytest.mark.parametrize(("ours", "numpys"), [(split, np.split), (array_split, np.array_split)])
def test_split_cuts_where_numpy_cuts(ours, numpys, sections, axis, rng):
    expected = numpys(X, sections, axis)
    w = lo.Parameter(X)
    for parts in (ours(X, sections, axis), [t.numpy() for t in numpys(w, sections, axis)]):
        assert isinstance(parts, list)
        assert len(parts) == len(expected)
        for part, other in zip(parts, expected, strict=True):
            np.testing.assert_array_equal(part, other)
    seeds = [rng.standard_normal(part.shape) for part in expected]
    wanted = np.zeros_like(X)
    for place, seed in zip(numpys(np.arange(12).reshape(3, 4), sections, axis), seeds, strict=True):
        wanted.reshape(-1)[place] += seed
    sum((part * seed).sum() for part, seed in zip(ours(w, sections, axis), seeds, strict=True)).backward()
    np.testing.assert_allclose(w.grad, wanted, atol=1e-15)


@pytest.mark.parametrize("sections", [1, 2, 3, 5, 7])
def test_array_split_gives_the_first_parts_one_more(sections):
    parts = np.array_split(lo.Parameter(np.arange(5.0)), sections)
    assert [p.data.tolist() for p in parts] == [p.tolist() for p in np.array_split(np.arange(5.0), sections)]


def test_split_is_right_to_second_order(rng):
    def curve(x):
        first, second, third = np.split(x, [1, 3], axis=1)
        return (first * second).sum() + (second**3).sum() - (third * first).sum() ** 2

    assert lo.gradcheck(curve, rng.standard_normal((2, 4)), order=2)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((3, 1), ShapeError, r"^split: 4 elements on axis 1 do not divide into 3 .* use np.array_split"),
        ((0,), ShapeError, "^split: the number of sections must be 1 or more, got 0"),
        ((-3,), ShapeError, "^split: the number of sections must be 1 or more, got -3"),
        ((1.5,), DTypeError, "^split: indices_or_sections must be an int or a sequence of ints, got 1.5"),
        (([0.5],), DTypeError, "^split: indices_or_sections must be an int or a sequence of ints"),
        ((2, 2), ShapeError, "^split: axis 2 out of range for 2-D"),
        ((2, None), DTypeError, "^split: axis must be one int, got None"),
    ],
)  # fmt: skip
def test_split_refuses(arguments, error, words):
    with pytest.raises(error, match=words):
        np.split(lo.Parameter(X), *arguments)
    with pytest.raises(error, match=words):
        split(X, *arguments)
