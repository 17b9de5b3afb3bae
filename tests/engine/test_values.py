"""What may become data: numbers, lists, arrays of NumPy and of libraries that speak its protocols."""

import emscripten
import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.engine.machine.arguments import as_data, foreign, from_nested, holds_tensor, plain
from tinygrad_lo.errors import DTypeError, GraphError, ShapeError


@pytest.mark.parametrize(
    "value", [1.5, 2, True, np.float32(1.5), np.array(2.5), np.array([1.0]), [1, 2], ((1.0,), (2.0,))]
)
def test_data_is_an_array_or_a_numpy_number(value):
    data = as_data(value, None)
    assert type(data) is np.ndarray or isinstance(data, np.generic)
    assert data.dtype == np.asarray(value).dtype
    np.testing.assert_array_equal(data, value)
    assert not (isinstance(data, np.ndarray) and data.ndim == 0)


def test_an_array_is_wrapped_as_it_is():
    x = np.ones((2, 3))[::-1]
    assert as_data(x, None) is x
    assert as_data(x, np.float64) is x
    assert plain(x, "add") is x


def test_dtype_converts_to_what_can_take_part():
    assert as_data([1, 0], bool).dtype == bool
    with pytest.raises(DTypeError, match="dtype <U1 is not supported"):
        as_data([1.0], "U1")


@pytest.mark.parametrize(
    "value", ["text", None, {1, 2}, {"a": 1}, object(), 1j, np.array(["a"]), [None], [[1.0], "b"]]
)
def test_everything_else_is_refused_as_data_and_as_an_operand(value):
    with pytest.raises((DTypeError, ShapeError)):
        as_data(value, None)
    with pytest.raises((DTypeError, ShapeError)):
        lo.Tensor([1.0]) + value


def test_dates_are_refused():
    days = np.array(["2020-01-01"], "M8[D]")
    with pytest.raises(DTypeError, match="datetime64"):
        lo.Tensor(days)
    with pytest.raises(DTypeError, match="datetime64"):
        plain(days, "add")


def test_a_matrix_and_a_masked_array_are_refused_as_operands():
    with pytest.raises(DTypeError, match="MaskedArray"):
        lo.Tensor([1.0]) + np.ma.array([1.0], mask=[True])


def test_nested_lists_and_their_faults():
    assert from_nested([[1, 2], [3, 4]], "here").tolist() == [[1, 2], [3, 4]]
    with pytest.raises(ShapeError, match="here: ragged list: row 0 has length 2, row 1 has length 1"):
        from_nested([[1, 2], [3]], "here")
    with pytest.raises(ShapeError, match="here: ragged list"):
        from_nested([[[1], [2, 3]], [[1], [2]]], "here")
    with pytest.raises(GraphError, match="here: the list holds tensors"):
        from_nested([[1.0, [lo.Tensor(1.0)]]], "here")


@emscripten.depth
def test_a_tensor_is_found_however_deep():
    deep = lo.Tensor(1.0)
    for _ in range(10_000):
        deep = [deep]
    assert holds_tensor(deep)
    assert not holds_tensor([1.0, [2.0, (3.0,)]])


def test_arrays_of_other_libraries_are_those_that_speak_both_protocols():
    class Speaks:
        def __array_ufunc__(self, *args, **options):
            raise NotImplementedError

        def __array_function__(self, *args, **options):
            raise NotImplementedError

    class Half:
        def __array_ufunc__(self, *args, **options):
            raise NotImplementedError

    assert foreign(Speaks())
    assert not foreign(Half())
    assert not foreign(np.ones(2))
    assert not foreign(np.float64(1.0))
    assert not foreign(lo.Tensor(1.0))
    held = Speaks()
    assert as_data(held, None) is held


def test_a_subclass_of_ndarray_keeps_its_numbers():
    class Named(np.ndarray):
        pass

    x = np.ones(2).view(Named)
    w = lo.Parameter(x)
    (w * w).sum().backward()
    assert np.asarray(w.grad).tolist() == [2.0, 2.0]


@pytest.mark.parametrize("order", [">f8", "<f8", ">f4"])
def test_foreign_byte_order_computes(order):
    w = lo.Parameter(np.array([1.0, 2.0], order))
    (w * w).sum().backward()
    assert w.grad.tolist() == [2.0, 4.0]
    assert w.grad.dtype == w.dtype
