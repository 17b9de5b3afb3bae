"""lo.compile(f, optimizer=opt): one call does what zero_grad, the compiled loss, clipping and step() do."""

import copy

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_lo as lo
from tinygrad_lo import errors
from tinygrad_lo.optim.optimizer import Optimizer

RULES = {
    "SGD": ("SGD", {"lr": 0.05}),
    "momentum": ("SGD", {"lr": 0.05, "momentum": 0.9}),
    "nesterov": ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "Adagrad": ("Adagrad", {}),
    "Adadelta": ("Adadelta", {}),
    "RMSprop": ("RMSprop", {"centered": True, "momentum": 0.5}),
    "Adam": ("Adam", {}),
    "amsgrad": ("Adam", {"amsgrad": True, "weight_decay": 0.01}),
    "AdamW": ("AdamW", {}),
    "NAdam": ("NAdam", {}),
}
SCHEDULES = {
    "none": lambda opt: None,
    "cosine": lambda opt: lo.optim.CosineLR(opt, 200),
    "one cycle": lambda opt: lo.optim.OneCycleLR(opt, 0.1, 200),
}
SHAPES = [(2, 8), (8,), (8, 3), (3,), ()]


class Run:
    """A network, its optimizer and both ways to train it."""

    def __init__(self, rule, *, whole, clip=None, schedule="none", groups=1, shapes=SHAPES, dtype=np.float32):
        rng = np.random.default_rng(0)
        self.params = [
            lo.Parameter((0.4 * rng.standard_normal(s)).astype(dtype), name=f"p{i}")
            for i, s in enumerate(shapes)
        ]
        kind, options = RULES[rule]
        some = (
            self.params
            if groups == 1
            else [{"params": self.params[:2]}, {"params": self.params[2:], "lr": 0.02}]
        )
        self.opt = getattr(lo.optim, kind)(some, **{"lr": 0.01, **options})
        self.clip = clip
        self.whole = whole
        if whole:
            self.step = lo.compile(self.loss, optimizer=self.opt, clip_norm=clip)
        else:
            self.step = lo.compile(self.loss)
        self.schedule = SCHEDULES[schedule](self.opt)

    def loss(self, X, y):
        W1, b1, W2, b2, scale = self.params
        return lo.losses.cross_entropy(((X @ W1 + b1).relu() @ W2 + b2) * scale, y)

    def train(self, X, y):
        if self.whole:
            loss = self.step(X, y)
        else:
            self.opt.zero_grad()
            loss = self.step(X, y)
            if self.clip is not None:
                lo.optim.clip_grad_norm(self.params, self.clip)
            self.opt.step()
        if self.schedule is not None:
            self.schedule.step()
        return loss


def batches(count, dtype=np.float32, rows=16):
    rng = np.random.default_rng(1)
    return [(rng.standard_normal((rows, 2)).astype(dtype), rng.integers(0, 3, rows)) for _ in range(count)]


def assert_same(a, b):
    for p, q in zip(a.params, b.params, strict=True):
        assert_array_equal(p.data, q.data)
        assert_array_equal(p.grad, q.grad)
        assert type(p.data) is type(q.data)
    for p, q in zip(a.params, b.params, strict=True):
        mine, theirs = a.opt.state.get(p, {}), b.opt.state.get(q, {})
        assert mine.keys() == theirs.keys()
        for key in mine:
            assert_array_equal(mine[key], theirs[key])


@pytest.mark.parametrize("clip", [None, 0.3])
@pytest.mark.parametrize("rule", RULES)
def test_200_steps_have_the_same_bits(rule, clip):
    a, b = Run(rule, whole=False, clip=clip), Run(rule, whole=True, clip=clip)
    for X, y in batches(200):
        assert a.train(X, y) == b.train(X, y)
        for p, q in zip(a.params, b.params, strict=True):
            assert_array_equal(p.data, q.data)
    assert_same(a, b)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("rule", ["momentum", "Adam"])
def test_schedules_and_groups(rule, schedule):
    a, b = (Run(rule, whole=whole, schedule=schedule, groups=2) for whole in (False, True))
    for X, y in batches(60):
        assert a.train(X, y) == b.train(X, y)
    assert_same(a, b)


def freeze(run):
    run.params[1].requires_grad = False


def thaw(run):
    run.params[1].requires_grad = True


def replace(run):
    run.params[0].data = run.params[0].data * np.float32(0.5)


def write(run):
    run.params[2].data -= np.float32(0.1)


def add_group(run):
    run.extra = lo.Parameter(np.ones(3, np.float32), name="extra")
    run.opt.add_param_group({"params": [run.extra]})


def slower(run):
    run.opt.param_groups[0]["lr"] = 0.001


def reload(run):
    run.opt.load_state_dict(copy.deepcopy(run.opt.state_dict()))


def look(run):
    run.opt.state[run.params[0]]


def forget_state(run):
    run.opt.state[run.params[0]].clear()


@pytest.mark.parametrize("rule", ["SGD", "momentum", "Adam", "NAdam"])
def test_changes_on_the_way(rule):
    a, b = Run(rule, whole=False), Run(rule, whole=True)
    changes = {
        10: freeze, 20: thaw, 30: replace, 40: write, 50: add_group, 60: slower, 70: reload, 80: look,
        90: forget_state, 100: freeze, 110: replace,
    }  # fmt: skip
    for i, (X, y) in enumerate(batches(130)):
        for run in (a, b):
            changes.get(i, look)(run)
        assert a.train(X, y) == b.train(X, y), i
        for p, q in zip(a.params, b.params, strict=True):
            assert_array_equal(p.data, q.data, err_msg=f"step {i}")


def test_whoever_holds_an_old_array_keeps_it():
    run = Run("Adam", whole=True)
    kept = []
    for X, y in batches(10):
        kept.append(
            [(p.data, p.data.copy(), p.grad, None if p.grad is None else p.grad.copy()) for p in run.params]
        )
        run.train(X, y)
    for step in kept:
        for data, before, grad, grad_before in step:
            assert_array_equal(data, before)
            if grad is not None:
                assert_array_equal(grad, grad_before)


def test_compiled_and_eager_steps_take_turns():
    a, b = Run("Adam", whole=False), Run("Adam", whole=True)
    for i, (X, y) in enumerate(batches(60)):
        if i % 3:
            a.train(X, y)
            b.train(X, y)
        else:
            for run in (a, b):
                run.opt.zero_grad()
                run.loss(X, y).backward()
                run.opt.step()
    assert_same(a, b)


def test_a_resumed_run_has_the_same_bits():
    a = Run("Adam", whole=True)
    data = batches(40)
    for X, y in data[:20]:
        a.train(X, y)
    b = Run("Adam", whole=True)
    for p, q in zip(a.params, b.params, strict=True):
        q.data = p.data.copy()
    b.opt.load_state_dict(a.opt.state_dict())
    for X, y in data[20:]:  # b records at its first call
        assert a.train(X, y) == b.train(X, y)
    assert_same(a, b)


def test_the_call_that_records_gives_what_the_program_gives():
    X, y = batches(1, rows=700)[0]
    first, second = Run("SGD", whole=False), Run("SGD", whole=False)
    loss = first.step(X, y)
    second.step(X, y)
    second.opt.zero_grad()
    assert second.step(X, y) == loss
    for p, q in zip(first.params, second.params, strict=True):
        assert_array_equal(p.grad, q.grad)


def drawn(form):
    """Six losses with random masks."""
    lo.seed(3)
    w = lo.Parameter(np.ones(50))
    run = form(lambda x: (lo.nn.dropout(w * x, 0.5) ** 2).sum())
    return [
        float(run(np.arange(50.0))) if form is lo.compile else run(np.arange(50.0)).item() for _ in range(6)
    ]


def test_recording_draws_random_masks_once():
    assert drawn(lo.compile) == pytest.approx(drawn(lambda f: f), rel=1e-12)


def running(form):
    """The running statistics after four losses that update them."""
    mean, var = np.zeros(2), np.ones(2)
    scale = lo.Parameter(np.ones(2))
    run = form(lambda x: (lo.nn.batch_norm(x, scale, running_mean=mean, running_var=var) ** 2).sum())
    for X, _ in batches(4, np.float64):
        run(X)
    return [mean, var]


def test_recording_updates_running_statistics_once():
    assert_allclose(running(lo.compile), running(lambda f: f), rtol=1e-12)


def test_other_parameters_get_their_gradients_as_by_backward():
    w, other = lo.Parameter([1.0, 2.0], name="w"), lo.Parameter([3.0, 4.0], name="other")
    unused = lo.Parameter([1.0])
    opt = lo.optim.SGD([w, unused], lr=0.1)
    unused.grad = [5.0]
    step = lo.compile(lambda x: (w * other * x).sum(), optimizer=opt)
    for n in range(1, 6):
        before = w.data
        step(np.ones(2))
        assert_array_equal(w.grad, [3.0, 4.0])
        assert_array_equal(w.data, before - 0.1 * w.grad)
        assert unused.grad is None
        assert_allclose(other.grad, (n * np.array([1.0, 2.0]) - 0.1 * n * (n - 1) / 2 * np.array([3.0, 4.0])))


def test_a_gradient_that_is_not_finite_changes_nothing():
    w = lo.Parameter(np.ones(3), name="w")
    opt = lo.optim.Adam([w], lr=0.1)
    step = lo.compile(lambda x: (w * x).sum(), optimizer=opt)
    step(np.ones(3))
    step(np.ones(3))
    step(np.ones(3))
    before, state = w.data, copy.deepcopy(opt.state_dict())
    with pytest.raises(errors.NonFiniteError, match="grad of 'w' has 1 inf"):
        step(np.array([1.0, np.inf, 1.0]))
    assert w.data is before
    assert_array_equal(opt.state_dict()["state"]["w"]["m"], state["state"]["w"]["m"])


def test_numbers_are_stepped_too():
    a, b = ([lo.Parameter(float(i + 1), name=f"w{i}") for i in range(4)] for _ in range(2))
    opts = lo.optim.Adam(a, lr=0.1), lo.optim.Adam(b, lr=0.1)
    one = lo.compile(lambda: (a[0] * a[1] - a[2]) ** 2 + a[3])
    whole = lo.compile(lambda: (b[0] * b[1] - b[2]) ** 2 + b[3], optimizer=opts[1])
    for _ in range(30):
        opts[0].zero_grad()
        loss = one()
        opts[0].step()
        assert whole() == loss
    assert [p.data for p in a] == [p.data for p in b]
    assert {type(p.data) for p in b} == {np.float64}


def test_the_source_shows_the_update():
    run = Run("Adam", whole=True, clip=0.5)
    X, y = batches(1)[0]
    run.train(X, y)
    text = run.step.source
    assert "flat0 = empty(" in text
    assert "clipped to the norm 0.5" in text
    assert "m ← 0.9 · m + (1 − 0.9) · g" in text


def test_a_rule_that_is_not_elementwise_and_says_so_is_found():
    class Normed(lo.optim.SGD):
        """Steps of length lr."""

        elementwise = True  # which it is not

        def rule(self, w, g, state, group):  # noqa: ARG002
            return w - group["lr"] * g / np.sqrt((g * g).sum())

    params = [lo.Parameter(np.ones(3)), lo.Parameter(np.full(2, 2.0))]
    opt = Normed(params, lr=0.1)
    step = lo.compile(lambda: sum((p * p).sum() for p in params), optimizer=opt)
    step()
    with pytest.warns(UserWarning, match="each is stepped for itself"):
        step()  # the second call checks itself
    before = params[0].data
    step()
    assert np.linalg.norm(params[0].data - before) == pytest.approx(0.1)


def test_a_rule_of_a_users_own_is_called_for_each_parameter():
    class Normed(lo.optim.SGD):
        """Steps of length lr."""

        def rule(self, w, g, state, group):  # noqa: ARG002
            return w - group["lr"] * g / np.sqrt((g * g).sum())

    params = [lo.Parameter(np.ones(3)), lo.Parameter(np.full(2, 2.0))]
    step = lo.compile(lambda: sum((p * p).sum() for p in params), optimizer=Normed(params, lr=0.1))
    for _ in range(5):
        before = [p.data for p in params]
        step()
        lengths = [np.linalg.norm(p.data - w) for p, w in zip(params, before, strict=True)]
        assert lengths == pytest.approx([0.1, 0.1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": 0.1}, "optimizer must be one of lo.optim, got float"),
        ({"clip_norm": 1.0}, "clip_norm= needs optimizer="),
        ({"optimizer": "opt", "clip_norm": -1.0}, "clip_norm must be finite and > 0"),
        ({"optimiser": "opt"}, "did you mean 'optimizer'"),
    ],
)
def test_bad_options(options, message):
    w = lo.Parameter(1.0)
    options = {k: lo.optim.SGD([w], lr=0.1) if v == "opt" else v for k, v in options.items()}
    with pytest.raises(errors.OptionError, match=message):
        lo.compile(lambda: w * w, **options)


def test_a_loss_that_reaches_no_parameter_of_the_optimizer():
    w, other = lo.Parameter(1.0), lo.Parameter(2.0)
    step = lo.compile(lambda: w * w, optimizer=lo.optim.SGD([other], lr=0.1))
    with pytest.raises(errors.OptionError, match="the loss reaches none of its parameters"):
        step()


def test_a_parameter_whose_group_is_added_later_is_stepped_from_then_on():
    w, late = lo.Parameter([1.0, 2.0]), lo.Parameter([3.0, 4.0])
    opt = lo.optim.SGD([w], lr=0.1)
    step = lo.compile(lambda: (w * late).sum() * 1.0, optimizer=opt)
    for _ in range(3):
        step()
    assert_array_equal(late.data, [3.0, 4.0])
    late.grad = None
    opt.add_param_group({"params": [late]})
    before = w.data
    step()
    assert_allclose(late.data, np.array([3.0, 4.0]) - 0.1 * before)
    step()
    assert_allclose(late.grad, w.data + 0.1 * w.grad)


def test_an_optimizer_that_says_only_its_update():
    class Own(Optimizer):
        """Descent as an update of its own, without a rule."""

        def __init__(self, params, lr=0.1):
            self._begin(locals())

        def update(self, params, grads, group):
            for p, g in zip(params, grads, strict=True):
                p.data = p.data - group["lr"] * g

    w = lo.Parameter(np.ones(4))
    step = lo.compile(lambda x: (w * x).sum(), optimizer=Own([w]))
    for _ in range(5):
        step(np.ones(4))
    assert_allclose(w.data, 0.5)


def test_a_function_that_seeds_after_it_has_drawn():
    w = lo.Parameter(np.ones(40))

    def loss_of(x):
        out = (lo.nn.dropout(w * x, 0.5) ** 2).sum()
        lo.seed(0)
        return out

    step = lo.compile(loss_of, optimizer=lo.optim.SGD([w], lr=0.01))
    assert step(np.ones(40)) > 0.0
    assert w.grad is not None
