"""The reverse sweep: one more gradient for each backward pass, leaves that own theirs, tall sums."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.engine.backward import unbroadcast
from tinygrad_lo.engine.machine.sums import total
from tinygrad_lo.errors import MutationError


def test_a_second_backward_adds_exactly_one_more_gradient():
    x = lo.Parameter(3.0)
    y = x * 2.0
    loss = y * x  # 2 x², slope 12
    loss.backward()
    assert x.grad == 12.0
    loss.backward()
    assert x.grad == 24.0


def test_two_losses_through_a_shared_trunk():
    x = lo.Parameter(3.0)
    trunk = x * x
    (trunk * 2.0).backward()
    assert x.grad == 12.0
    (trunk * 3.0).backward()
    assert x.grad == 30.0


def test_a_diamond_sums_over_all_paths():
    x = lo.Parameter(2.0)
    a = x * x
    b = a * 3.0
    ((a + b) * (a - b)).backward()  # -8 x⁴
    assert x.grad == pytest.approx(-8 * 4 * 2.0**3)


def test_a_value_used_before_and_after_its_own_descendants():
    """The newest-first order must not visit `a` before everything that used it has."""
    x = lo.Parameter(1.5)
    a = np.sin(x)
    late = a * 2.0
    for _ in range(5):
        late = late + a * x
    (late * a).backward()
    v = 1.5
    expected = 2 * np.sin(v) * np.cos(v) * (2 + 5 * v) + 5 * np.sin(v) ** 2
    assert x.grad == pytest.approx(expected, rel=1e-14)


def test_the_readme_of_micrograd():
    a, b = lo.Parameter(-4.0), lo.Parameter(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    assert f"{g.item():.4f}" == "24.7041"
    g.backward()
    assert f"{a.grad:.4f}" == "138.8338"
    assert f"{b.grad:.4f}" == "645.5773"


def test_a_leaf_is_its_own_output():
    w = lo.Parameter([1.0, 2.0])
    seed = np.array([3.0, 4.0])
    w.backward(seed=seed)
    seed[0] = 99.0
    assert w.grad.tolist() == [3.0, 4.0]
    s = lo.Parameter(2.0)
    s.backward()
    assert s.grad == 1.0


def test_seeds_of_every_kind():
    for seed in (np.array([1.0, 10.0]), [1.0, 10.0], lo.Tensor([1.0, 10.0]), np.array([1, 10])):
        w = lo.Parameter([1.0, 2.0])
        (w * w).backward(seed=seed)
        assert w.grad.tolist() == [2.0, 40.0]


def test_one_element_of_any_shape_needs_no_seed():
    w = lo.Parameter([[3.0]])
    (w * w).backward()
    assert w.grad.tolist() == [[6.0]]


def test_zero_is_a_gradient_and_nothing_is_none():
    w, unused = lo.Parameter(3.0), lo.Parameter(1.0)
    (w * 0.0).backward()
    assert w.grad == 0.0
    assert unused.grad is None


def test_a_sweep_that_fails_changes_nothing():
    a, b = lo.Parameter([1.0, 2.0], name="a"), lo.Parameter([1.0, 2.0], name="b")
    loss = (b * a).sum()
    b.data -= 1.0
    with pytest.raises(MutationError, match="'b'"):
        loss.backward()
    assert a.grad is None
    assert b.grad is None


@pytest.mark.parametrize(
    "loss",
    [
        lambda a, b: (a + b).sum(),
        lambda a, b: (b + a).backward(seed=np.ones(4)),
        lambda a, b: (a.reshape(2, 2) + b.reshape(2, 2).T).sum(),
        lambda a, b: np.concatenate([a, b]).sum(),
        lambda a, b: np.stack([a, b]).sum(),
        lambda a, b: (a[::-1] + np.flip(b)).sum(),
        lambda a, b: np.broadcast_to(a + b, (1, 4)).sum(),
        lambda a, b: np.pad(a + b, 1).sum(),
        lambda a, b: (a + b).swapaxes(0, 0).astype(np.float64).sum(),
        lambda a, b: np.einsum("i->i", a + b).sum(),
        lambda a, b: np.where([True, False, True, False], a, b).sum(),
    ],
)
def test_leaf_gradients_own_their_memory(loss):
    a, b = lo.Parameter(np.arange(4.0)), lo.Parameter(np.arange(4.0))
    out = loss(a, b)
    if out is not None:
        out.backward()
    before = b.grad.copy()
    assert not np.shares_memory(a.grad, b.grad)
    assert a.grad.flags.writeable
    assert a.grad.base is None
    a.grad[:] = 99.0
    np.testing.assert_array_equal(b.grad, before)


def test_a_rule_that_returns_an_array_it_keeps_does_not_share_it(monkeypatch):
    held = np.array([1.0, 2.0])
    constant_slope = lo.define_op("constant_slope", lambda x: x.sum(), [lambda g, y, x: held])
    try:
        w = lo.Parameter([0.0, 0.0])
        constant_slope(w).backward()
        w.grad[0] = 99.0
        assert held.tolist() == [1.0, 2.0]
    finally:
        lo.engine.ops.TABLE.pop("constant_slope")


def test_an_old_gradient_in_the_users_hands_stays_as_it_was():
    w = lo.Parameter([1.0, 2.0])
    y = (w * w).sum()
    y.backward()
    kept = w.grad
    y.backward()
    assert kept.tolist() == [2.0, 4.0]
    assert w.grad.tolist() == [4.0, 8.0]


def test_gradients_of_values_in_between_do_not_share_memory():
    w = lo.Parameter([1.0, 2.0])
    a, b = w * 2.0, w * 3.0
    first, second = lo.grad((a + b).sum(), [a, b])
    assert not np.shares_memory(first, second)


def test_rebinding_data_between_the_passes_leaves_the_gradient_right():
    w = lo.Parameter([1.0, 2.0])
    loss = (w * w).sum()
    w.data = np.array([100.0, 100.0])
    loss.backward()
    assert w.grad.tolist() == [2.0, 4.0]


def test_in_place_after_the_backward_pass_is_the_ordinary_training_loop():
    w = lo.Parameter([1.0, 2.0])
    for _ in range(3):
        loss = (w * w).sum()
        w.grad = None
        loss.backward()
        w.data -= 0.25 * w.grad
    assert w.data.tolist() == [0.125, 0.25]


@pytest.mark.parametrize(
    "make",
    [
        lambda w: (w * w).sum(),
        lambda w: w.sum(),
        lambda w: w.reshape(2, 1).exp().sum(),
        lambda w: np.concatenate([w, w]).sum(),
        lambda w: np.where([True, False], w, 0.0).sum(),
    ],
)
def test_in_place_between_the_passes_is_refused(make):
    w = lo.Parameter([1.0, 2.0], name="W")
    loss = make(w)
    w.data -= 0.1
    with pytest.raises(MutationError, match="'W' was changed"):
        loss.backward()
    with pytest.raises(MutationError, match="'W' was changed"):
        lo.grad(loss, w)
    with pytest.raises(MutationError, match="'W' was changed"):
        lo.grad(loss, w, create_graph=True)
    make(w).backward()
    assert w.grad is not None


def test_a_loss_made_after_the_change_runs_and_the_older_one_does_not():
    w = lo.Parameter([1.0, 2.0])
    old = (w * w).sum()
    w.data *= 2.0
    new = (w * w).sum()
    new.backward()
    assert w.grad.tolist() == [4.0, 8.0]
    with pytest.raises(MutationError):
        old.backward()


def test_in_place_on_a_constant_tensor_between_the_passes_is_refused():
    """The gradient by w is x: with x changed in place it would be silently wrong."""
    x, w = lo.Tensor([1.0, 2.0], name="x"), lo.Parameter([3.0, 4.0])
    loss = (x * w).sum()
    x.data *= 10.0
    with pytest.raises(MutationError, match="'x'"):
        loss.backward()


def test_in_place_on_a_frozen_parameter_between_the_passes_is_refused():
    v, w = lo.Parameter([1.0, 2.0], name="v"), lo.Parameter([3.0, 4.0])
    v.requires_grad = False
    loss = (v * w).sum()
    v.data -= 0.5
    with pytest.raises(MutationError, match="'v'"):
        loss.backward()


def test_a_graph_of_gradients_refuses_a_leaf_that_was_rebound():
    """With create_graph the rules run on the leaf itself, not on the array that it had."""
    w = lo.Parameter([1.0, 2.0], name="W")
    loss = (w * w).sum()
    w.data = np.array([5.0, 5.0])
    with pytest.raises(MutationError, match="'W'"):
        lo.grad(loss, w, create_graph=True)


def test_float32_bias_gradient_over_more_rows_than_float32_can_count():
    """2**24 + 1 == 2**24 in float32: adding the rows one by one would stop there."""
    rows = 2**25
    x = np.ones((rows, 1), np.float32)
    b = lo.Parameter(np.zeros((1, 1)), dtype=np.float32)
    y = np.broadcast_to(b, x.shape)
    y.backward(seed=x)
    assert b.grad.dtype == np.float32
    assert b.grad.item() == rows


@pytest.mark.parametrize("shape", [(2**17, 3), (2**17 + 77, 1, 2), (2, 2**17, 2)])
@pytest.mark.parametrize("axis", [0, 1, -1, (0, 1), None])
@pytest.mark.parametrize("keepdims", [True, False])
def test_sums_in_blocks_are_as_exact_as_float32_allows(shape, axis, keepdims, rng):
    x = rng.uniform(0.5, 1.5, shape).astype(np.float32)
    for view in (x, x[::-1], x.swapaxes(0, 1).copy().swapaxes(0, 1)):
        y = total(view, axis, keepdims)
        expected = view.astype(np.float64).sum(axis=axis, keepdims=keepdims)
        assert y.dtype == np.float32
        assert np.shape(y) == expected.shape
        np.testing.assert_allclose(y, expected, rtol=1e-6)


def test_unbroadcast_undoes_numpys_stretching():
    g = np.arange(24.0).reshape(2, 3, 4)
    assert unbroadcast(g, (2, 3, 4)) is g
    np.testing.assert_array_equal(unbroadcast(g, (3, 1)), g.sum(axis=(0, 2)).reshape(3, 1))
    np.testing.assert_array_equal(unbroadcast(g, (1, 1, 1)), g.sum().reshape(1, 1, 1))
    assert unbroadcast(g, ()) == g.sum()
    assert unbroadcast(np.ones((0, 3)), (3,)).tolist() == [0.0, 0.0, 0.0]
