"""SGD: trajectories known to nine digits, groups, what a step may not touch, and PyTorch's steps."""

import warnings

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.optim import SGD

GOLDEN = {
    "momentum": ({"momentum": 0.9}, 1.0, [1.4, 2.08, 2.876, 3.6172]),
    "dampening": ({"momentum": 0.9, "dampening": 0.9}, 1.0, [1.4, 1.792, 2.16896, 2.52484480]),
    "nesterov": ({"momentum": 0.9, "nesterov": True}, 1.0, [1.76, 2.5552, 3.216704, 3.64964608]),
    "lr falls, torch's velocity": ({"momentum": 0.9, "lr_in_velocity": False}, 0.1, [1.4, 2.08, 2.1596,
     2.248048]),
    "lr falls, the lecture's": ({"momentum": 0.9, "lr_in_velocity": True}, 0.1, [1.4, 2.08, 2.7104,
     3.283552]),
    "weight decay": ({"momentum": 0.9, "weight_decay": 0.1}, 1.0, [1.395, 2.064525, 2.843869875,
     3.562286938]),
    "plain": ({}, 1.0, [1.4, 1.72, 1.976, 2.1808]),
}  # fmt: skip


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
@pytest.mark.parametrize("case", GOLDEN)
def test_golden_trajectories(case, shape):
    """f(w) = 2 (w - 3)², from w = 1 with lr 0.05; the learning rate changes at step 3."""
    options, factor, expected = GOLDEN[case]
    w = lo.Parameter(np.ones(shape))
    opt = SGD([w], lr=0.05, **options)
    for step, value in enumerate(expected):
        if step == 2:
            opt.param_groups[0]["lr"] *= factor
        opt.zero_grad()
        (2.0 * (w - 3.0) ** 2).sum().backward()
        opt.step()
        np.testing.assert_allclose(w.data, np.full(shape, value), atol=1e-9)


@pytest.mark.parametrize(
    "options", [options for options, factor, _ in GOLDEN.values() if factor == 1.0], ids=str
)
def test_both_velocities_are_equal_while_the_learning_rate_is(options, rng):
    start, gradients = rng.standard_normal(3), rng.standard_normal((20, 3))
    ends = []
    for form in (True, False):
        w = lo.Parameter(start)
        opt = SGD([w], lr=0.1, **{**options, "lr_in_velocity": form})
        for g in gradients:
            w.grad = g
            opt.step()
        ends.append(w.data)
    np.testing.assert_allclose(*ends, rtol=1e-12)


# --------------------------------------------------------------------------------------- groups


def test_weight_decay_of_a_weight_without_gradient_does_nothing():
    W, b = lo.Parameter([1.0]), lo.Parameter([1.0])
    opt = SGD([W, b], lr=0.1, weight_decay=0.5)
    b.grad = np.ones(1)
    opt.step()
    assert W.data.tolist() == [1.0]


def test_a_group_is_added_later():
    W, b = lo.Parameter([1.0]), lo.Parameter([1.0])
    opt = SGD([W], lr=0.1)
    opt.add_param_group({"params": [b], "lr": 1.0})
    b.grad = np.ones(1)
    opt.step()
    assert (W.data, b.data) == ([1.0], [0.0])


def test_parameters_come_as_lists_generators_pairs_and_models():
    class Model:
        def named_parameters(self):
            return iter([("W", self.W), ("b", self.b)])

    model = Model()
    for how in (
        lambda m: [m.W, m.b],
        lambda m: (p for p in (m.W, m.b)),
        lambda m: [("W", m.W), ("b", m.b)],
        lambda m: m,
        lambda m: [{"params": m}],
        lambda m: {m.W: 1, m.b: 1}.keys(),
    ):
        model.W, model.b = lo.Parameter([1.0]), lo.Parameter([1.0])
        opt = SGD(how(model), lr=0.5)
        assert opt.param_groups[0]["params"] == [model.W, model.b] or len(opt.param_groups[0]["params"]) == 2
        model.W.grad, model.b.grad = np.ones(1), 2 * np.ones(1)
        opt.step()
        assert (model.W.data, model.b.data) == ([0.5], [0.0])


def test_pairs_name_parameters_that_have_no_name():
    a, b = lo.Parameter(1.0), lo.Parameter(1.0, name="mine")
    SGD([("first", a), ("second", b)], lr=0.1)
    assert (a.name, b.name) == ("first", "mine")


def test_options_are_kept_as_python_floats():
    opt = SGD([lo.Parameter(1.0)], lr=np.float64(0.1), momentum=np.float32(0.5))
    opt.param_groups[0]["lr"] = np.float64(0.2)
    opt.param_groups[0].setdefault("lr", 5)
    assert type(opt.param_groups[0]["lr"]) is float
    assert type(opt.param_groups[0]["momentum"]) is float
    assert opt.param_groups[0]["lr"] == 0.2


# ------------------------------------------------------------------- what a step may not touch

EVERY = [
    {},
    {"weight_decay": 0.1},
    {"momentum": 0.9},
    {"momentum": 0.9, "nesterov": True},
    {"momentum": 0.9, "lr_in_velocity": False},
    {"momentum": 0.9, "nesterov": True, "lr_in_velocity": False},
    {"momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1, "lr_in_velocity": False},
]


@pytest.mark.parametrize("options", EVERY, ids=str)
def test_a_gradient_written_into_after_the_step_does_not_change_the_next_one(options):
    """The state must not hold the gradient's own array: `w.grad[:] = 0` is ordinary code."""
    ends = []
    for spoil in (False, True):
        w = lo.Parameter([1.0, 2.0])
        opt = SGD([w], lr=0.1, **options)
        for _ in range(3):
            w.grad = np.array([3.0, 4.0])
            opt.step()
            if spoil:
                w.grad[:] = 0.0
        ends.append(w.data.tolist())
    assert ends[0] == ends[1]


def test_a_live_graph_keeps_what_it_saw():
    w = lo.Parameter([1.0, 2.0])
    loss = (w * w).sum()
    loss.backward()
    SGD([w], lr=0.5).step()
    w.grad = None
    loss.backward()
    assert w.grad.tolist() == [2.0, 4.0]


def test_zero_grad_forgets():
    w = lo.Parameter([1.0])
    opt = SGD([w], lr=0.1)
    w.grad = np.ones(1)
    opt.zero_grad()
    assert w.grad is None


# ------------------------------------------------------------------------------- the soft threshold


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 4)])
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_l1_shrinks_every_weight_and_stops_at_zero(momentum, shape, dtype):
    rng = np.random.default_rng(3)
    start = rng.standard_normal(shape).astype(dtype)[()]
    w = lo.Parameter(start)
    w.grad = np.zeros(shape, dtype)[()]
    SGD(w, lr=0.5, l1=1.0, momentum=momentum).step()
    expected = np.sign(start) * np.maximum(abs(start) - dtype(0.5), 0)
    np.testing.assert_array_equal(w.data, expected)
    assert type(w.data) is (np.ndarray if shape else dtype)
    assert w.dtype == dtype
    assert not np.signbit(np.asarray(w.data)[np.asarray(w.data) == 0]).any()  # zeros are +0


def test_l1_begins_at_the_edge_of_the_threshold():
    w = lo.Parameter([0.25, np.nextafter(0.25, 1), -0.25, 0.0, -0.0])
    w.grad = np.zeros(5)
    SGD(w, lr=0.25, l1=1.0).step()
    assert (w.data == 0).tolist() == [True, False, True, True, True]


def lasso(rng, compiled=False, steps=3000, l1=0.1, **options):
    """½ mean (Xw − y)² + l1 Σ|w|, with two weights of ten that matter; returns X, y, w."""
    X = rng.standard_normal((50, 10))
    y = X[:, 0] * 2.0 - X[:, 3] + 0.1 * rng.standard_normal(50)
    w = lo.Parameter(np.full(10, 0.3))
    opt = SGD(w, lr=0.1, l1=l1, **options)

    def loss_of():
        return lo.losses.mse(X @ w, y) * 0.5

    step = lo.compile(loss_of, optimizer=opt) if compiled else None
    for _ in range(steps):
        if step is not None:
            step()
            continue
        opt.zero_grad()
        loss_of().backward()
        opt.step()
    return X, y, w.data


@pytest.mark.parametrize(
    ("options", "longer"),
    [
        ({}, 1),
        ({"momentum": 0.9}, 10),
        ({"momentum": 0.5, "nesterov": True}, 2),
        ({"momentum": 0.8, "dampening": 0.2, "lr_in_velocity": False}, 4),
    ],
    ids=str,
)
def test_l1_ends_where_the_lasso_is_smallest(options, longer, rng):
    """At the minimum, the data's slope is −0.1 sign(w) of the weights that are left, and within ±0.1 else.

    Momentum makes steps along the gradient longer, and not the threshold.
    """
    X, y, w = lasso(rng, compiled=True, l1=0.1 * longer, **options)
    slope = X.T @ (X @ w - y) / len(y)
    left = w != 0
    assert left.tolist() == [True, False, False, True] + [False] * 6
    np.testing.assert_allclose(slope[left], -0.1 * np.sign(w[left]), atol=1e-9)
    assert (abs(slope[~left]) < 0.1).all()


def test_l1_in_a_compiled_step_gives_the_same_bits():
    ends = [lasso(np.random.default_rng(0), compiled, 60, momentum=0.9)[2] for compiled in (False, True)]
    np.testing.assert_array_equal(*ends)


def test_plain_descent_on_the_penalty_only_oscillates_about_zero():
    """What `losses.l1` warns of: the penalty as a term of the loss never gives a zero; the threshold does."""
    w = lo.Parameter([1.03])
    opt = SGD(w, lr=0.1)
    for _ in range(100):
        opt.zero_grad()
        lo.losses.l1(w).backward()
        opt.step()
    assert 0 < abs(w.item()) < 0.1


def test_l1_is_an_option_of_a_group_that_may_change():
    W, b = lo.Parameter([0.05], name="W"), lo.Parameter([0.05], name="b")
    opt = SGD([{"params": W, "l1": 1.0}, {"params": b}], lr=0.1)
    assert "w ← sign(w) · max(|w| − 0.1 · 1.0, 0)" in opt.formula()
    for p in (W, b):
        p.grad = np.zeros(1)
    opt.step()
    assert (W.item(), b.item()) == (0.0, 0.05)
    opt.param_groups[1]["l1"] = 0.2
    opt.step()
    assert b.item() == pytest.approx(0.03)
    with pytest.raises(lo.errors.OptionError, match="group 1: l1 must be"):
        opt.param_groups[1]["l1"] = -0.1


# --------------------------------------------------------------------------- forgotten zero_grad


def backward(w):
    (w * w).sum().backward()


def test_a_forgotten_zero_grad_warns_once_at_the_users_line():
    w = lo.Parameter([1.0], name="W")
    opt = SGD([w], lr=0.1)
    backward(w)
    opt.step()
    backward(w)
    with pytest.warns(
        UserWarning, match=r"gradient of 'W' was used by an earlier step.*zero_grad\(\)"
    ) as caught:
        opt.step()
    assert [warning.filename for warning in caught] == [__file__]
    backward(w)
    opt.step()


def test_accumulating_before_a_step_does_not_warn():
    w = lo.Parameter([1.0])
    opt = SGD([w], lr=0.1)
    for _ in range(3):
        backward(w)
        backward(w)
        opt.step()
        opt.zero_grad()


def test_other_ways_of_forgetting_the_gradient_do_not_warn():
    w = lo.Parameter([1.0])
    opt = SGD([w], lr=0.1)
    for _ in range(3):
        backward(w)
        opt.step()
        w.grad = None


def test_stepping_twice_on_one_gradient_does_not_warn():
    w = lo.Parameter([1.0])
    opt = SGD([w], lr=0.1)
    backward(w)
    opt.step()
    opt.step()


# --------------------------------------------------------------------------- closures and texts


def test_a_closure_computes_the_loss_and_step_returns_it():
    w = lo.Parameter(3.0)
    opt = SGD([w], lr=0.1)

    def closure():
        opt.zero_grad()
        loss = w * w
        loss.backward()
        return loss

    assert opt.step(closure).item() == 9.0
    assert w.item() == pytest.approx(2.4)
    w.grad = np.float64(1.0)
    assert opt.step() is None


def test_repr_shows_the_resolved_choices_and_the_names():
    W, b = lo.Parameter(np.zeros((2, 3)), name="W"), lo.Parameter(np.zeros(3))
    text = repr(SGD([{"params": [W, b]}, {"params": [lo.Parameter(1.0)], "lr": 0.5}], lr=0.1, momentum=0.9))
    rest = "momentum=0.9, dampening=0.0, nesterov=False, weight_decay=0.0, lr_in_velocity=True, l1=0.0"
    assert text == (f"SGD(\n  group 0: lr=0.1, {rest}  [W, 3]\n  group 1: lr=0.5, {rest}  [scalar]\n)")


def test_it_trains_a_model():
    """Two classes that a line separates."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.standard_normal((20, 2)) + 3, rng.standard_normal((20, 2)) - 3])
    y = np.repeat([0, 1], 20)
    W, b = lo.Parameter(np.zeros((2, 2))), lo.Parameter(np.zeros(2))
    opt = SGD([W, b], lr=0.5, momentum=0.9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(50):
            opt.zero_grad()
            loss = lo.losses.cross_entropy(X @ W + b, y)
            loss.backward()
            opt.step()
    assert loss.item() < 0.01
    assert (np.argmax(X @ W + b, axis=1) == y).all()


# ---------------------------------------------------------------------------------------- peers


@pytest.mark.peers
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight_decay": 0.1},
        {"momentum": 0.9},
        {"momentum": 0.9, "dampening": 0.3},
        {"momentum": 0.9, "nesterov": True},
        {"momentum": 0.9, "weight_decay": 0.1},
        {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1},
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    ],
    ids=str,
)
def test_a_thousand_steps_are_pytorchs(options, rng):
    torch = pytest.importorskip("torch", reason="compares with PyTorch (extra peers)")
    starts = rng.standard_normal((3, 2)), rng.standard_normal(2)
    ours = [lo.Parameter(x, name=n) for x, n in zip(starts, "Wb", strict=True)]
    theirs = [torch.tensor(x, requires_grad=True) for x in starts]
    special = {"lr": 0.003, "weight_decay": 0.0}
    opt = SGD(
        [{"params": [ours[0]]}, {"params": [ours[1]], **special}], lr=0.01, lr_in_velocity=False, **options
    )
    peer = torch.optim.SGD([{"params": [theirs[0]]}, {"params": [theirs[1]], **special}], lr=0.01, **options)
    for step in range(1000):
        if step == 500:
            opt.param_groups[0]["lr"] = peer.param_groups[0]["lr"] = 0.001
        for p, t in zip(ours, theirs, strict=True):
            p.grad = rng.standard_normal(p.shape)
            t.grad = torch.tensor(p.grad)
        opt.step()
        peer.step()
    for p, t in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.data, t.detach().numpy(), rtol=1e-12, atol=1e-12)


def test_a_subclass_may_decide_options_of_its_parent():
    class Heavy(SGD):
        def __init__(self, params):
            super().__init__(params, lr=0.5, momentum=0.9)

    W = lo.Parameter([1.0, 2.0], name="W")
    opt = Heavy(W)
    assert opt.formula() == SGD(W, 0.5, momentum=0.9).formula().replace("SGD", "Heavy")
    opt.param_groups[0]["momentum"] = 0.5
    assert "weight_decay" in opt.state_dict()["groups"][0]

    class Third(lo.optim.StepLR):
        def __init__(self, opt):
            super().__init__(opt, every=3, factor=1 / 3)

    assert Third(opt).state_dict()["every"] == 3


def test_a_rule_of_a_users_own_replaces_that_of_sgd():
    class Sign(SGD):
        """Steps of lr in every direction."""

        def rule(self, w, g, state, group):  # noqa: ARG002
            return w - group["lr"] * np.sign(g)

    w = lo.Parameter([1.0, -2.0])
    w.grad = [10.0, -0.1]
    Sign([w], lr=0.5).step()
    np.testing.assert_array_equal(w.data, [0.5, -1.5])
