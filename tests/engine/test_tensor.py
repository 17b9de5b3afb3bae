"""Tensor and Parameter: what they hold, what leaves them, and their dtypes."""

import copy
import operator
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

import tinygrad_lo as lo
from tinygrad_lo.engine.machine import fast
from tinygrad_lo.errors import GraphError, UnknownNameError, UnknownOptionError
from tinygrad_lo.losses import cross_entropy


def test_a_tensor_wraps_an_array_and_a_parameter_copies_it():
    x = np.ones(2)
    t, p = lo.Tensor(x), lo.Parameter(x)
    x[0] = 5.0
    assert t.data is x
    assert p.data.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.0, np.float64),
        (2, np.dtype(int)),
        (True, np.bool_),
        ([1, 2], np.dtype(int)),
        ([1.0, 2], np.float64),
        (np.float32(1), np.float32),
    ],
)
def test_numbers_and_lists_become_what_numpy_makes_of_them(data, dtype):
    t = lo.Tensor(data)
    assert t.dtype == dtype
    assert t.shape == np.shape(data)


def test_a_scalar_holds_a_numpy_number():
    assert type(lo.Tensor(1.0).data) is np.float64
    assert type(lo.Tensor(np.array(1.0)).data) is np.float64
    assert type(lo.Tensor([1.0, 2.0]).sum().data) is np.float64
    assert type(lo.Tensor([1.0, 2.0])[0].data) is np.float64


def test_dtype_is_converted_when_asked_for():
    assert lo.Tensor([1, 2], requires_grad=True, dtype=float).dtype == np.float64
    assert lo.Parameter([1.0], dtype=np.float32).dtype == np.float32


def test_facts():
    t = lo.Tensor(np.zeros((2, 3)), name="X")
    assert (t.shape, t.ndim, t.size, len(t), t.T.shape) == ((2, 3), 2, 6, 2, (3, 2))
    assert (t.name, t.requires_grad, t.grad) == ("X", False, None)


def test_only_leaves_that_want_it_require_a_gradient():
    x, w = lo.Tensor([1.0]), lo.Parameter([1.0])
    assert not (x * x).requires_grad
    assert (x * w).requires_grad
    assert not (w > x).requires_grad


def test_freezing_a_parameter_stops_its_gradient_and_no_other():
    a, b = lo.Parameter(2.0), lo.Parameter(3.0)
    a.requires_grad = False
    (a * b).backward()
    assert a.grad is None
    assert b.grad == 2.0


def test_names_are_set_in_three_ways():
    t = lo.Tensor(1.0)
    assert t.named("a") is t
    assert t.name == "a"
    t.name = "b"
    assert t.name == "b"
    assert lo.named(t, "c").name == "c"
    t.name = None
    assert t.name is None


def test_repr_shows_values_name_dtype_and_op():
    assert repr(lo.Tensor([1.0, 2.0])) == "Tensor([1., 2.])"
    assert repr(lo.Parameter([1.0], name="W")) == "Parameter([1.], name='W')"
    assert repr(lo.Tensor(np.float32(1.5))) == "Tensor(1.5, dtype=float32)"
    assert repr(lo.Parameter(2.0) * 2.0) == "Tensor(4., op=multiply)"
    assert repr(lo.Tensor(1.0, requires_grad=True)) == "Tensor(1., requires_grad=True)"


def test_format_shows_the_number():
    assert f"{lo.Parameter(2.0) / 3.0:.3f}" == "0.667"


def test_numpy_gives_a_view_that_cannot_be_written_into():
    t = lo.Parameter([1.0, 2.0])
    view = t.numpy()
    assert np.shares_memory(view, t.data)
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 5.0


def test_data_of_a_computed_value_cannot_be_written_into():
    y = lo.Parameter([1.0, 2.0]) * 2.0
    with pytest.raises(ValueError, match="read-only"):
        y.data[0] = 5.0


def test_detach_stops_the_gradient():
    w = lo.Parameter(3.0)
    (w * w.detach()).backward()
    assert w.grad == 3.0


def test_constants_turn_into_numbers_and_arrays():
    t = lo.Tensor([3])
    assert float(t) == 3.0
    assert int(t) == 3
    assert list(range(5))[t] == 3
    assert np.asarray(lo.Tensor([1.0])).tolist() == [1.0]
    copied = np.array(t)
    copied[0] = 0
    assert t.data[0] == 3


def test_item_is_a_python_number():
    assert type(lo.Parameter([[2.0]]).item()) is float
    assert type(lo.Tensor(2).item()) is int


def test_iterating_gives_rows_with_gradients():
    w = lo.Parameter([[1.0, 2.0], [3.0, 4.0]])
    first, second = w
    (first * 2.0 + second).sum().backward()
    assert w.grad.tolist() == [[2.0, 2.0], [1.0, 1.0]]


@pytest.mark.parametrize("how", [copy.deepcopy, copy.copy, lambda t: pickle.loads(pickle.dumps(t))])
@pytest.mark.parametrize(
    "data", [2.0, [1.0, 2.0], np.ones((2, 2), np.float32)], ids=["scalar", "list", "float32"]
)
def test_leaves_are_copied_and_pickled_with_their_gradient(how, data):
    p = lo.Parameter(data, name="W")
    (p * p).sum().backward()
    q = how(p)
    assert type(q) is lo.Parameter
    assert (q.name, q.dtype, q.requires_grad) == ("W", p.dtype, True)
    np.testing.assert_array_equal(q.data, p.data)
    np.testing.assert_array_equal(q.grad, p.grad)
    assert q.grad.dtype == p.dtype
    if p.ndim:
        assert not np.shares_memory(q.data, p.data)
        assert not np.shares_memory(q.grad, p.grad)
    (q * q).sum().backward()
    np.testing.assert_array_equal(q.grad, 2 * p.grad)


def test_a_copied_dict_of_parameters_keeps_shared_ones_shared():
    W = lo.Parameter([1.0])
    model = copy.deepcopy({"encoder": W, "decoder": W})
    assert model["encoder"] is model["decoder"]
    assert model["encoder"] is not W


def test_equality_compares_elements_and_hash_is_identity():
    a, b = lo.Tensor([1.0, 2.0]), lo.Tensor([1.0, 3.0])
    assert (a == b).data.tolist() == [True, False]
    assert (a != 1.0).data.tolist() == [False, True]
    assert len({a, b, lo.Tensor([1.0, 2.0])}) == 3


def test_boolean_operators_give_plain_booleans():
    t = lo.Tensor([1.0, 2.0, 3.0])
    inside = (t > 1.0) & (t < 3.0)
    assert inside.tolist() == [False, True, False]
    assert ((t < 2.0) | (t > 2.0)).tolist() == [True, False, True]
    assert (~(t > 1.0)).tolist() == [True, False, False]


def test_methods_without_gradient_give_plain_answers():
    t = lo.Parameter([[1.0, 5.0], [7.0, 2.0]])
    assert t.argmax() == 2
    assert t.argmax(axis=1).tolist() == [1, 0]
    assert (t > 6.0).any()
    assert not (t > 6.0).all()
    assert type((t > 6.0).any(axis=0)) is np.ndarray


def test_in_place_operators_make_new_values_of_values_in_between():
    """micrograd's `c += c + 1` is ordinary code; only a Parameter refuses."""
    a = lo.Parameter(2.0)
    c = a * 1.0
    kept = c
    c += c + 1.0
    c.backward()
    assert kept.item() == 2.0
    assert a.grad == 2.0


def test_a_scalar_parameter_is_changed_by_rebinding():
    w = lo.Parameter(3.0)
    loss = w * w
    w.data -= 1.0
    assert w.item() == 2.0
    loss.backward()
    assert w.grad == 6.0


def mlp(X, W1, b1, W2, b2):
    h = np.tanh((X @ W1 + b1) * 2.0).relu() / 3
    return cross_entropy(h @ W2 + b2, [0, 1, 1, 0])


def test_a_float32_model_is_float32_throughout(rng):
    X = rng.standard_normal((4, 3)).astype(np.float32)
    ps = [lo.Parameter(rng.standard_normal(s), dtype=np.float32) for s in ((3, 5), (5,), (5, 2), (2,))]
    loss = mlp(X, *ps) + 1e-3 * sum((p**2).mean() + p.std() + p.norm() for p in ps)
    assert loss.dtype == np.float32
    opt = lo.optim.SGD(ps, lr=0.1, momentum=0.9, weight_decay=0.01)
    for _ in range(2):
        loss = mlp(X, *ps)
        opt.zero_grad()
        loss.backward()
        opt.step()
    assert {p.grad.dtype for p in ps} == {p.dtype for p in ps} == {np.dtype(np.float32)}


@pytest.mark.parametrize("number", [2, 2.0, True])
@pytest.mark.parametrize(
    "operation", [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
)
@pytest.mark.parametrize("shape", [(), (2,)])
def test_python_numbers_are_weak_on_both_sides(operation, number, shape):
    t = lo.Parameter(np.full(shape, 1.5, np.float32))
    assert operation(t, number).dtype == np.float32
    assert operation(number, t).dtype == np.float32


def test_the_gradient_has_the_dtype_of_the_parameter_whatever_the_data():
    W = lo.Parameter(np.ones((3, 2)), dtype=np.float32)
    s = lo.Parameter(2.0, dtype=np.float32)
    X = np.ones((4, 3))
    loss = (X @ W * s).sum()
    assert loss.dtype == np.float64
    loss.backward()
    assert W.grad.dtype == s.grad.dtype == np.float32
    assert lo.grad((X @ W * s).sum(), W).dtype == np.float32
    assert lo.grad((X @ W * s).sum(), W, create_graph=True).dtype == np.float32


def test_float16_stays_float16():
    w = lo.Parameter(np.ones(3), dtype=np.float16)
    y = (w * 2.0).mean()
    y.backward()
    assert y.dtype == w.grad.dtype == np.float16


OPERATIONS = {
    "+": (operator.add, lambda a, b: (1.0 + 0 * a, 1.0 + 0 * b)),
    "-": (operator.sub, lambda a, b: (1.0 + 0 * a, -1.0 + 0 * b)),
    "*": (operator.mul, lambda a, b: (b, a)),
    "/": (operator.truediv, lambda a, b: (1 / b, -a / b**2)),
    "**": (operator.pow, lambda a, b: (b * a ** (b - 1), a**b * np.log(a))),
    "maximum": (np.maximum, lambda a, b: (1.0 * (a > b), 1.0 * (b > a))),
    "minimum": (np.minimum, lambda a, b: (1.0 * (a < b), 1.0 * (b < a))),
    "logaddexp": (np.logaddexp, lambda a, b: (1 / (1 + np.exp(b - a)), 1 / (1 + np.exp(a - b)))),
    "where": (lambda a, b: np.where(a > b, a, b), lambda a, b: (1.0 * (a > b), 1.0 * (a <= b))),
}  # fmt: skip


def narrowed(g, shape):
    """Sum down to a shape the slow way: one element at a time."""
    out = np.zeros(shape)
    for place in np.ndindex(g.shape):
        tail = place[len(place) - len(shape) :]
        out[tuple(0 if n == 1 else i for i, n in zip(tail, shape, strict=True))] += g[place]
    return out


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    shapes=mutually_broadcastable_shapes(num_shapes=2, max_dims=4, min_side=0, max_side=3),
    seed=st.integers(0, 2**16),
)
@pytest.mark.parametrize("name", OPERATIONS)
def test_broadcasting_is_numpys_and_gradients_are_summed_back(name, shapes, seed):
    operation, slopes = OPERATIONS[name]
    rng = np.random.default_rng(seed)
    arrays = [rng.uniform(0.5, 2.0, shape) for shape in shapes.input_shapes]
    a, b = (lo.Parameter(x) for x in arrays)
    y = operation(a, b)
    expected = operation(*arrays)
    assert y.shape == shapes.result_shape
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-14)
    seed_of_backward = rng.uniform(0.5, 1.5, y.shape)
    y.backward(seed=seed_of_backward)
    for p, slope in zip((a, b), slopes(*arrays), strict=True):
        full = np.broadcast_to(seed_of_backward * slope, y.shape)
        assert np.shape(p.grad) == p.shape
        np.testing.assert_allclose(p.grad, narrowed(full, p.shape), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3)])
def test_arrays_and_tensors_meet_in_both_orders(shape, rng):
    x, p = rng.uniform(1, 2, shape), lo.Parameter(rng.uniform(1, 2, shape))
    for operation in (operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, np.maximum):
        for left, right in ((x, p), (p, x), (np.float64(1.5), p), (p, np.float64(1.5)), (1.5, p), (p, 1.5)):
            y = operation(left, right)
            assert type(y) is lo.Tensor
            assert y.requires_grad
            plain = [v.data if isinstance(v, lo.Tensor) else v for v in (left, right)]
            np.testing.assert_array_equal(y.numpy(), operation(*plain))
    for operation in (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne):
        for left, right in ((x, p), (p, x), (np.float64(1.5), p), (1.5, p)):
            y = operation(left, right)
            assert type(y) is lo.Tensor
            assert y.dtype == bool
            plain = [v.data if isinstance(v, lo.Tensor) else v for v in (left, right)]
            np.testing.assert_array_equal(y.numpy(), operation(*plain))


def test_lists_beside_a_tensor_are_arrays():
    p = lo.Parameter([1.0, 2.0])
    assert (p * [3.0, 4.0]).data.tolist() == [3.0, 8.0]
    assert ([3.0, 4.0] - p).data.tolist() == [2.0, 2.0]
    with pytest.raises(GraphError, match="list holds tensors"):
        p * [p[0], p[1]]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda t: t.clone(), r"a tensor has no 'clone': write t\.copy\(\)"),
        (lambda t: t.mm(t), r"a tensor has no 'mm': write a @ b"),
        (lambda t: t.retain_grad(), r"a tensor has no 'retain_grad': lo\.grad\(loss, S\)"),
        (lambda t: t.view(2, 1), r"a tensor has no 'view': write t\.reshape"),
        (lambda t: t.cuda(), "a tensor has no 'cuda': "),
        (lambda t: lo.tensor([1.0]), r"tinygrad_lo has no 'tensor'; did you mean 'Tensor'\?"),
        (lambda t: lo.gradchek, r"tinygrad_lo has no 'gradchek'; did you mean 'gradcheck'\?"),
    ],
)
def test_names_of_elsewhere_are_answered(call, text):
    t = lo.Parameter([1.0, 2.0])
    with pytest.raises(UnknownNameError, match=text):
        call(t)
    assert not hasattr(t, "retain_grad")
    assert not hasattr(lo, "tensor")


@pytest.mark.skipif(fast.PLAIN, reason="the plain call leaves it to Python")
def test_backward_answers_an_option_of_elsewhere():
    with pytest.raises(UnknownOptionError) as error:
        lo.Parameter(1.0).backward(retain_graph=True)
    assert str(error.value) == (
        "backward has no option 'retain_graph': a graph stays, and can be swept again. Options are seed"
    )
