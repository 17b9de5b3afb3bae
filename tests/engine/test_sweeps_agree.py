"""machine/fast.py and backward.py are one semantics: calls make the same nodes, sweeps the same gradients."""

import array

import numpy as np
import pytest
from samples import cases, inputs_of, positions

import tinygrad_lo as lo
from tinygrad_lo.engine.backward import call, pull, start, sweep
from tinygrad_lo.engine.machine.fast import hot_sweep
from tinygrad_lo.errors import DTypeError, MutationError, OptionError, ShapeError


def passing_op(name, forward, rules):
    """An op for this file only: it leaves the table, which other tests read, at once."""
    made = lo.define_op(name, forward, rules)
    lo.engine.ops.TABLE.pop(name)
    return made


second_only = passing_op("second_only", lambda a, b: a * b, (None, lambda g, y, a, b: g * a))
first_only = passing_op("first_only", lambda a, b: a * b, (lambda g, y, a, b: g * b, None))
third = passing_op(
    "third", lambda a, b, c: a * b + c, (lambda g, y, a, b, c: g * b, None, lambda g, *others: g)
)

KINDS = (
    lambda a, b, c: a + b,
    lambda a, b, c: a * b,
    lambda a, b, c: a - 0.5 * b,
    lambda a, b, c: a.tanh(),
    lambda a, b, c: -a,
    lambda a, b, c: np.maximum(a, b),
    lambda a, b, c: np.where(c.data > 0, a, b),
    lambda a, b, c: np.concatenate([a[:1], b[1:], c[:0]]),
    lambda a, b, c: second_only(a, b).tanh(),
    lambda a, b, c: first_only(a, b).tanh(),
    lambda a, b, c: third(a, b, c).tanh(),
)


def random_graph(rng, leaves):
    """Forty ops of every arity over shared values, and one number from the last of them."""
    values = list(leaves)
    for _ in range(40):
        kind = KINDS[rng.integers(0, len(KINDS))]
        values.append(kind(*(values[i] for i in rng.integers(0, len(values), 3))))
    return (values[-1] * values[-2]).sum() + values[-3].mean()


@pytest.mark.parametrize("seed", range(200))
def test_on_random_graphs_to_the_bit(seed):
    rng = np.random.default_rng(seed)
    leaves = [lo.Parameter(rng.standard_normal(3)) for _ in range(3)] + [lo.Tensor(rng.standard_normal(3))]
    loss = random_graph(rng, leaves)
    if not loss.requires_grad:
        pytest.skip("this graph reached no parameter")
    quick, slow = hot_sweep(loss, start(loss, None))[1], sweep(loss, start(loss, None), pull)[1]
    assert sorted(quick) == sorted(slow)
    for birth, g in quick.items():
        np.testing.assert_array_equal(g, slow[birth])
    held = [g for g in quick.values() if isinstance(g, np.ndarray)]
    assert all(g.base is None for g in held)
    for i, g in enumerate(held):
        assert not any(np.shares_memory(g, other) for other in held[:i])


STALE = {
    "frozen since": lambda w, x: setattr(w, "requires_grad", False),
    "unfrozen since": lambda w, x: setattr(x, "requires_grad", True),
    "the parameter written": lambda w, x: setattr(w, "data", w.data.__imul__(2.0)),
    "the constant written": lambda w, x: setattr(x, "data", x.data.__imul__(2.0)),
}
GRAPHS = {
    "product": lambda w, x: (w * x).sum(),
    "constant first": lambda w, x: (x * w).sum(),
    "no rule for the constant": lambda w, x: first_only(w, x).sum(),
    "no rule for the first": lambda w, x: second_only(x, w).sum(),
    "three inputs": lambda w, x: third(w, x, w).sum(),
    "joined": lambda w, x: np.concatenate([x, w]).sum(),
    "intermediate without a rule": lambda w, x: (second_only(w * 2.0, w) * x).sum(),
}


@pytest.mark.parametrize("change", STALE)
@pytest.mark.parametrize("graph", GRAPHS)
def test_both_refuse_a_graph_older_than_its_leaves(graph, change):
    w, x = lo.Parameter([1.0, 2.0]), lo.Tensor([3.0, 4.0])
    loss = GRAPHS[graph](w, x)
    first = start(loss, None)
    hot_sweep(loss, first)  # nothing has changed yet
    STALE[change](w, x)
    for run in (lambda: hot_sweep(loss, first), lambda: list(sweep(loss, first, pull))):
        with pytest.raises(MutationError, match="changed after the forward pass"):
            run()
    assert w.grad is None


def test_labels_that_changed_are_refused():
    scores, labels = lo.Parameter(np.eye(3)), lo.Tensor([0, 1, 2])
    loss = lo.losses.cross_entropy(scores, labels)
    labels.data -= 1
    with pytest.raises(MutationError):
        loss.backward()


@pytest.mark.parametrize(
    "view", [lambda x: x.detach(), lambda x: x.T, lambda x: x[:2], lambda x: x.reshape(1, 3)]
)
def test_a_constant_view_does_not_follow_its_source(view):
    q, x = lo.Parameter([1.0, 1.0, 1.0]), lo.Tensor([1.0, 2.0, 3.0])
    loss = (view(x) * q[: view(x).shape[-1]]).sum()
    x.data *= 10.0
    loss.backward()
    assert q.grad.max() <= 3.0


@pytest.mark.parametrize(
    "index", [((0, 0, 1),), array.array("l", [0, 0, 1]), [0, 0, 1], (np.array([0, 0, 1]),)]
)
def test_repeats_add_up_whatever_the_index_is_made_of(index):
    p = lo.Parameter([1.0, 2.0, 3.0])
    p[index].sum().backward()
    assert p.grad.tolist() == [2.0, 1.0, 0.0]


def test_bounds_wider_than_the_tensor_give_its_own_shape():
    p = lo.Parameter([1.0, 2.0, 3.0])
    np.clip(p, np.zeros((2, 3)), 2.5).sum().backward()
    assert p.grad.tolist() == [2.0, 2.0, 0.0]


def test_derivatives_inside_derivatives_are_right():
    def inner(x):
        return (x**3).sum()

    def one(x):
        return (x**2).sum() + (lo.value_and_grad(inner)(x)[1] ** 2).sum()

    def other(x):
        return (x**2).sum() + (lo.grad(inner(x), x, create_graph=True) ** 2).sum()

    for f in (one, other):
        assert lo.value_and_grad(f)(np.array([1.0, 2.0]))[1].tolist() == [38.0, 292.0]


def test_masked_arrays_do_not_swallow_tensors():
    p = lo.Parameter([1.0, 2.0])
    for action in (
        lambda: np.ma.array([1.0, 2.0]) * p,
        lambda: np.ma.exp(p),
        lambda: p * np.ma.array([1.0, 2.0]),
    ):
        with pytest.raises(lo.errors.LoError):
            action()


def test_subclasses_of_ndarray_take_part_as_plain_arrays():
    class Mine(np.ndarray):
        pass

    p, q = lo.Parameter([1.0]), lo.Parameter([2.0])
    ((p + q) * np.array([3.0]).view(Mine)).sum().backward()
    assert type(p.grad) is np.ndarray
    assert not np.shares_memory(p.grad, q.grad)


@pytest.mark.parametrize(
    ("dtype", "shape", "axis"), [("f4", (8192, 2560, 1), (0, 1)), ("f2", (5000, 1), (0,))]
)
def test_tall_sums_count_every_row(dtype, shape, axis):
    bias = lo.Parameter(np.zeros(1, dtype))
    (lo.Tensor(np.ones(shape, dtype)) + bias).sum(axis=axis).sum().backward()
    rows = float(np.prod([shape[i] for i in axis]))
    assert bias.grad == np.array(rows, dtype)
    assert lo.Tensor(np.ones(shape, dtype)).mean(axis=axis).numpy() == 1.0


def test_einsum_counts_every_row():
    t = lo.Tensor(np.ones((2**25, 1), np.float32))
    assert np.einsum("ij->j", t).numpy() == 2**25


@pytest.mark.parametrize("f", [lo.Tensor.mean, lo.Tensor.std, lo.Tensor.var])
def test_float16_does_not_overflow_on_the_way(f):
    x = lo.Tensor(np.full(70000, 2.0, np.float16))
    assert f(x).dtype == np.float16
    assert f(x).item() == (2.0 if f is lo.Tensor.mean else 0.0)


def test_a_batch_of_nothing_has_gradients_of_zero():
    W = lo.Parameter(np.ones((0, 3)))
    (lo.Tensor(np.zeros((4, 2, 0))) @ W).sum().backward()
    assert W.grad.shape == (0, 3)


@pytest.mark.parametrize(("text", "m", "n"), [("j,j->", (4,), (1,)), ("ij,j->i", (2, 1), (3,))])
def test_einsum_stretches_axes_of_size_one(text, m, n):
    a, b = lo.Parameter(np.ones(m)), lo.Parameter(np.ones(n))
    np.einsum(text, a, b).sum().backward()
    expected = lo.numerical_gradient(lambda x: np.einsum(text, x, b.data).sum(), a.data)
    np.testing.assert_allclose(a.grad, expected, rtol=1e-8)
    assert b.grad.shape == n


@pytest.mark.parametrize("axis", [0, -1, ()])
@pytest.mark.parametrize("name", ["sum", "max", "min", "prod"])
def test_a_number_is_reduced_over_axis_0_as_numpy_does(name, axis):
    x = lo.Parameter(2.0)
    y = getattr(x, name)(axis=axis)
    assert y.item() == getattr(np, name)(2.0, axis=axis) == 2.0
    y.backward()
    assert x.grad == 1.0


@pytest.mark.parametrize(
    ("name", "axis"),
    [(name, axis) for name in ("sum", "max", "min", "prod") for axis in (1, -2, (0,))]
    + [(name, axis) for name in ("mean", "var", "std", "norm", "cumsum") for axis in (0, -1, 1)],
)
def test_a_scalar_has_no_other_axis_as_numpy_says(name, axis):
    with pytest.raises(ShapeError, match=r"out of range for 0-D: a scalar has no axes"):
        getattr(lo.Parameter(2.0), name)(axis=axis)


def test_integer_tensors_have_bitwise_operators():
    t = lo.Tensor([1, 2, 3])
    for found in (t & 2, 2 & t, np.bitwise_and(t, 2)):
        assert found.tolist() == [0, 2, 2]
    assert (t ^ 1).tolist() == [0, 3, 2]
    assert (~(t > 1)).tolist() == [True, False, False]


@pytest.mark.parametrize("value", ["W", np.float32, 1, None])
def test_requires_grad_is_a_boolean(value):
    with pytest.raises(OptionError, match="True or False"):
        lo.Tensor([1.0], value)


@pytest.mark.parametrize("seed", [[1j, 2.0], [None, 1.0], ["a", "b"], [[1.0], [1.0, 2.0]]])
def test_a_seed_is_made_of_real_numbers(seed):
    y = lo.Parameter([1.0, 2.0]) * 2.0
    with pytest.raises(lo.errors.LoError):
        y.backward(seed=seed)


def test_blocks_may_end_in_another_order_than_they_began():
    def batches():
        with lo.no_grad():
            yield lo.Parameter(1.0) * 2.0

    w = lo.Parameter(3.0)
    held = batches()
    assert not next(held).requires_grad
    with lo.scope("outer"):
        held.close()
        y = w * 2.0
    assert y.requires_grad
    assert "‹outer›" in lo.tree(y)
    assert "‹" not in lo.tree(w * 2.0)


def test_a_generator_function_cannot_be_decorated():
    with pytest.raises(lo.errors.UnsupportedError, match="generator"):

        @lo.no_grad()
        def batches():
            yield 1


def test_the_slope_of_a_power_depends_on_an_exponent_of_zero():
    a, b = lo.Parameter(1.25), lo.Parameter(0.0)
    slope = lo.grad(a**b, a, create_graph=True)
    assert slope.item() == 0.0
    assert lo.grad(slope, b) == pytest.approx(1 / 1.25)
    assert lo.grad(lo.Parameter(0.0) ** b, b) == 0.0


def test_a_frozen_parameter_keeps_its_shape_and_dtype():
    p = lo.Parameter([1.0, 2.0], name="p")
    p.requires_grad = False
    with pytest.raises(DTypeError, match="float32"):
        p.data = np.ones(2, np.float32)
    with pytest.raises(ShapeError, match=r"\(3,\)"):
        p.data = np.ones(3)


def same_nodes(quick, plain):
    assert type(quick) is type(plain)
    if not isinstance(quick, lo.Tensor):
        np.testing.assert_array_equal(quick, plain)
        return
    np.testing.assert_array_equal(quick.value, plain.value)
    assert quick.dtype == plain.dtype
    assert quick.op is plain.op
    assert quick.needs is plain.needs
    assert [*map(identity, quick.parents)] == [*map(identity, plain.parents)]
    assert [*map(identity, quick.inputs)] == [*map(identity, plain.inputs)]


def identity(x):
    """What tells one object from another: an option is compared by value, an array or a node by itself."""
    return x if isinstance(x, (int, float, tuple, str, slice, type(None))) else Same(x)


class Same:
    def __init__(self, thing):
        self.thing = thing

    def __eq__(self, other):
        return self.thing is other.thing

    __hash__ = None


@pytest.mark.parametrize("name", lo.engine.ops.TABLE)
@pytest.mark.parametrize("kind", ["arrays", "constants", "parameters", "one parameter"])
def test_every_quick_call_makes_the_node_that_the_plain_one_makes(name, kind):
    op = lo.engine.ops.TABLE[name]
    rng = np.random.default_rng(0)
    for case in cases(op):
        args = inputs_of(op, case, rng)
        where = positions(case)
        for i in where[: 1 if kind == "one parameter" else None] * (kind != "arrays"):
            args[i] = lo.Tensor(args[i], requires_grad=kind != "constants" and args[i].dtype.kind == "f")
        with np.errstate(all="ignore"):
            same_nodes(op.apply(*args), call(op, *args))
