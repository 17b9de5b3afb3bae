"""Programs of unusual graphs: what goes in, every kind of index and number, and what is left out."""

import time

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.errors import GraphError
from tinygrad_lo.program.program import Program


def leaf(*shape, name="w"):
    """A parameter with the elements 1, 2, 3, ..."""
    data = np.arange(1.0, 1 + np.prod(shape, dtype=int)).reshape(shape)
    return lo.Parameter(data if shape else 2.0, name=name)


def run(text, **other):
    """Run the printed text as a script would."""
    namespace = {}
    exec(compile(text, "<source>", "exec"), namespace)
    return namespace["loss_and_gradients"](**{**text.arguments, **other})


def agree(loss):
    """The printed program, executed, is the engine: values, dtypes, shapes, and kinds of objects."""
    text = lo.source(loss)
    value, gradients = run(text)
    leaves = {n.name: n for n in lo.engine.graph.reachable([loss]) if n.op is None and n.requires_grad}
    loss.backward()
    expected = {name: n.grad for name, n in leaves.items() if n.grad is not None}
    assert type(value) is type(loss.data), text
    np.testing.assert_array_equal(value, loss.data, strict=True, err_msg=text)
    assert gradients.keys() == expected.keys()
    for name, g in expected.items():
        assert type(gradients[name]) is type(g), text
        np.testing.assert_array_equal(gradients[name], g, strict=True, err_msg=text)
    return text


MASK = np.array([True, False, True, True])
INDICES = [
    (3, 4), 0, -1, (1, -1), np.int64(1), np.array(1), slice(None, None, -1), slice(3, 0, -2), slice(1, None),
    slice(np.int64(1), np.int64(3)), slice(0, 0), (slice(None), 2), (Ellipsis, 0), (Ellipsis,), Ellipsis, (),
    None, (np.newaxis, slice(1, 3)), (slice(None), None, slice(None, None, -2)), [0, 2, 2],
    np.array([0, 2, 2]),
    (np.array([0, 2, 2]), np.array([1, 1, 2])), ([0, 1], [1, 1]), (np.array([[0], [3]]), np.array([1, 1])),
    (slice(1, 3), [0, 0]), ([0, 0], slice(None, None, -1)), (1, [0, 0]), MASK, (MASK, slice(1, None)),
    (MASK, np.array([0, 1, 1])), np.outer(MASK, MASK), True, np.array([], dtype=int), (0, None, [1, 1]),
    np.array([0, 2, 2], dtype=np.uint8), (Ellipsis, None, [0, 0]),
][1:]  # fmt: skip


@pytest.mark.parametrize("index", INDICES, ids=repr)
def test_every_kind_of_index(index):
    w = leaf(4, 4)
    agree((w[index] ** 2).sum() + w.tanh().sum())


def test_indices_are_arguments_when_they_are_arrays():
    rows = np.array([0, 2, 2])
    text = agree((leaf(4, 3)[rows] ** 2).sum())
    assert any(x is rows for x in text.arguments.values())
    assert "np.add.at(dw, " in text
    assert "np.add.at" not in agree((leaf(4)[MASK] ** 2).sum())


@pytest.mark.parametrize("n", [(), (3,), (2, 3), (0, 3), (1, 1)])
@pytest.mark.parametrize("k", [2, -2, 0.1, True, 2**62, 10**30, 1e300, np.float64(0.1), np.float32(0.1),
                               np.int64(3), np.uint8(3), np.bool_(True)], ids=repr)  # fmt: skip
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_numbers(n, k, dtype):
    if dtype is np.float32 and abs(float(k)) > 1e29:
        return
    w = lo.Parameter((np.ones(n) * 0.7).astype(dtype)[()], name="w")
    agree((w * k - k / (w + 1.0) + w / 3 + (k - w)).sum())


@pytest.mark.parametrize("k", [np.inf, -np.inf, np.nan, np.float64("-inf"), np.float32("nan")], ids=repr)
def test_numbers_that_are_not_finite(k):
    with np.errstate(all="ignore"):
        agree((leaf(3) * k + leaf(3, name="u")).sum())
        agree(np.where(np.array([True, False, True]), leaf(3), k).sum())
        agree(np.pad(leaf(2, 2), 1, constant_values=k).max())


def test_numbers_that_change_nothing_are_left_out():
    w = leaf(3)
    text = agree(((w * 1.0) ** 1.0 / 1.0).reshape(3).sum())
    assert "loss = np.sum(w)\n" in text
    w = leaf(3)
    text = agree((np.negative(-w) * 2.0 - (-w.T.T)).reshape(3, 1).reshape(3).sum())
    assert "loss = np.sum(w * 2.0 + w)\n" in text


def zero():
    w = leaf(3)
    return (w - w).sum()


def cube():
    w = leaf(3, 3)
    return (w @ w.T @ w).sum()


LOSSES = {
    "a leaf's sum": lambda: np.sum(leaf(3)),
    "a parameter": leaf,
    "a parameter of shape (1,)": lambda: leaf(1),
    "a parameter of shape (1, 1)": lambda: leaf(1, 1),
    "of shape (1,)": lambda: leaf(3).sum(keepdims=True) * 2.0,
    "of shape (1, 1)": lambda: leaf(1, 1) * 2.0,
    "plus a number": lambda: leaf() + 1,
    "reshaped to ()": lambda: (leaf(1) * 3.0).reshape(()),
    "an einsum": lambda: np.einsum("ij,jk->", leaf(2, 3), leaf(3, 2, name="u")),
    "minus infinity times an element": lambda: leaf(3)[1] * -np.inf,
    "an element of float32": lambda: lo.Parameter(np.ones(3, np.float32), name="w")[1] * 0.1,
    "an element": lambda: leaf(3)[1],
    "a norm": lambda: leaf(3).norm(),
    "of nothing": lambda: np.sum(leaf(0, 3) * 2),
    "times zero": lambda: np.sum(leaf(3) * 0),
    "x - x": zero,
    "x + x": lambda: np.sum((u := leaf(3)) + u),
    "x + x - 2 (x + x)": lambda: np.sum(((u := leaf(3)) + u) - (u + u) * 2.0),
    "sums of x + x": lambda: np.sum(
        np.sum((u := leaf(3, 2)) + u, axis=0, keepdims=True) + np.zeros((3, 2))
    ),
    "x + 2 x - 3 x": lambda: np.sum((u := leaf(3)) * 2.0 - u + u - u * 3),
    "turned": lambda: np.sum(leaf(2, 3).T @ leaf(2, 3, name="u")),
    "a weight used thrice": cube,
    "integer data": lambda: np.sum(leaf(3) * np.array([1, 2, 3])),
    "bool data": lambda: np.sum(leaf(3) * np.array([True, False, True])),
    "float32 data": lambda: np.sum(leaf(3) * np.ones(3, np.float32)),
    "columns": lambda: (leaf(3, 2) * np.asfortranarray(np.ones((3, 2)))).sum(axis=0)[0],
    "a power of two parameters": lambda: np.sum(leaf(3) ** leaf(3, name="u")),
    "a number to a power": lambda: np.sum((2.0 ** leaf(3)).sum() + (2 ** -leaf(2, name="u"))),
    "float32 by float64": lambda: lo.Parameter(np.float32(2), name="w") * np.float64(0.1),
    "float32 row by float64": lambda: np.sum(lo.Parameter(np.ones(2, np.float32), name="w") * np.ones(2)),
    "float16": lambda: np.sum(lo.Parameter(np.ones(2, np.float16), name="w") * 0.1),
    "cast": lambda: np.sum(leaf(3).astype(np.float32) * 0.1),
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_unusual_losses(name):
    agree(LOSSES[name]())


LINEAR = (
    lambda a, b: a + b, lambda a, b: a - b, lambda a, b: -a, lambda a, b: a * 2.0, lambda a, b: a / 3,
    lambda a, b: a + a, lambda a, b: a - 1, lambda a, b: 2.0 - a, lambda a, b: a * 1.0, lambda a, b: a**1,
    lambda a, b: a.T.T, lambda a, b: a[::-1], lambda a, b: a.reshape(-1).reshape(a.shape),
    lambda a, b: a.mean() + b, lambda a, b: a.sum(axis=0, keepdims=True) + b * 0, lambda a, b: a * b * 0.1,
)  # fmt: skip


@pytest.mark.parametrize("seed", range(300))
def test_random_linear_graphs(seed):
    """Their gradients are filled with one number, where most of what can be left out is left out."""
    rng = np.random.default_rng(seed)
    dtype = np.float32 if seed % 4 == 0 else np.float64
    values = [
        lo.Parameter(rng.standard_normal((3, 2)).astype(dtype), name="a"),
        lo.Parameter(rng.standard_normal((3, 2)), name="b"),
    ]
    for _ in range(8):
        i, j = rng.integers(len(values), size=2)
        values.append(LINEAR[rng.integers(len(LINEAR))](values[i], values[j]))
    agree(values[-1].sum() + values[-2].sum())


PAIRED = {
    "product": lambda w, u: w * u,
    "sum": lambda w, u: w + u,
    "reshaped": lambda w, u: w.reshape(-1) * u.reshape(-1),
    "turned": lambda w, u: w.T * u.T,
    "elements": lambda w, u: w[:] * u[:],
    "data": lambda w, u: w * np.ones((2, 2)) + u * lo.Tensor(np.ones((2, 2)), name="x").T,
}


@pytest.mark.parametrize("name", PAIRED)
def test_gradients_share_no_memory(name):
    """A loop that updates weights in place, or clips gradients in place, must not touch anything else."""
    w, u = leaf(2, 2), leaf(2, 2, name="u")
    text = agree(PAIRED[name](w, u).sum())
    _, gradients = run(text)
    arrays = [*text.arguments.values(), *gradients.values()]
    for i, a in enumerate(arrays):
        assert not any(np.shares_memory(a, b) for b in arrays[i + 1 :]), text
    assert all(g.flags.writeable for g in gradients.values())


def test_a_gradient_inside_of_the_graph():
    w = leaf(3)
    loss = (w**3).sum()
    (g,) = lo.grad(loss, [w], create_graph=True)
    agree((g**2).sum() + loss)


def test_parts_without_a_gradient_are_data():
    w = leaf(3)
    with lo.no_grad():
        scale = w * 2.0
    text = agree((w * scale + w * w.detach()).sum())
    assert len(text.arguments) == 3


def test_a_frozen_parameter_is_data():
    w, frozen = leaf(3), leaf(3, name="frozen")
    frozen.requires_grad = False
    text = agree((w * frozen).sum())
    assert list(text.arguments) == ["frozen", "w"]
    assert list(run(text)[1]) == ["w"]


def test_a_parameter_that_the_loss_does_not_reach_is_not_there():
    w, u = leaf(3), leaf(3, name="u")
    _ = u * w
    assert list(lo.source((w * 2.0).sum()).arguments) == ["w"]


def test_comparisons_inside_of_a_loss_are_made_again():
    """leaky_relu asks where x > 0: so must the text, when it is called with another x."""
    for function in (lo.nn.leaky_relu, lo.nn.relu6, lo.nn.elu, np.abs, lambda x: np.clip(x, -1.0, 1.0)):
        w, other = leaf(4), lo.Parameter([-3.0, 0.5, 7.0, 0.0], name="w")
        text = lo.source((function(w) * 2.0).sum())
        expected = (function(other) * 2.0).sum()
        expected.backward()
        value, gradients = run(text, w=other.data)
        assert value == expected.item(), text
        np.testing.assert_array_equal(gradients["w"], other.grad)


def test_probabilities_may_become_zero():
    def loss(p, q):
        return lo.losses.kl_divergence(p, q) + lo.losses.entropy(p) + lo.losses.information(q).sum()

    def leaves(a, b):
        return lo.Parameter(a, name="p"), lo.Parameter(b, name="q")

    text = lo.source(loss(*leaves([0.5, 0.5], [0.25, 0.75])))
    p, q = leaves([0.0, 1.0], [0.5, 0.5])
    expected = loss(p, q)
    expected.backward()
    value, gradients = run(text, p=p.data, q=q.data)
    assert value == expected.item()
    np.testing.assert_array_equal(gradients["p"], p.grad)
    np.testing.assert_array_equal(gradients["q"], q.grad)


def test_a_long_chain_needs_linear_time_and_no_recursion():
    def seconds(n):
        y = w = lo.Parameter(0.5, name="w")
        for _ in range(n // 2):
            y = (y + w).tanh()
        began = time.process_time()
        text = lo.source(y)
        took = time.process_time() - began
        assert run(text)[0] == y.item()
        return took

    seconds(500)
    short, long = seconds(2500), seconds(10_000)
    assert long < 9 * short  # four times as many; were it quadratic, 16


def test_a_wide_graph():
    leaves = [lo.Parameter(float(i), name=f"w{i}") for i in range(2000)]
    loss = leaves[0] * 1.5
    for w in leaves[1:]:
        loss = loss + w * 1.5
    assert len(agree(loss).arguments) == 2000


def test_two_threads_can_print_at_once():
    from concurrent.futures import ThreadPoolExecutor

    def text(_):
        return str(lo.source((leaf(3).tanh() * 2.0).sum()))

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(text, range(40)))) == 1


def test_a_program_is_data():
    w, x = leaf(3), lo.Tensor(np.ones(3), name="x")
    program = Program((w * x).sum())
    assert [line.op.name for line in program.lines] == ["multiply", "sum"]
    assert [value.name for value in program.leaves] == ["w", "x"]
    ((found, gradient),) = program.gradients
    assert found is w
    assert gradient.ref is x
    ((_, first),) = program.first
    np.testing.assert_array_equal(first, x.data)


@pytest.mark.parametrize("loss", [1.0, np.ones(2), None, "loss"], ids=repr)
def test_only_a_tensor_is_a_loss(loss):
    with pytest.raises(GraphError, match="source: expected a tensor"):
        lo.source(loss)


def test_only_one_number_is_a_loss():
    with pytest.raises(GraphError, match=r"\(3,\)"):
        lo.source(leaf(3) * 2.0)


def test_a_loss_without_parameters_is_refused():
    for loss in (lo.Tensor(2.0), leaf(3).detach().sum(), lo.Tensor([1.0]) * 2.0):
        with pytest.raises(GraphError):
            lo.source(loss)
