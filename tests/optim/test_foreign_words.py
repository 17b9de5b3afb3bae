"""Options and names as other libraries have them are answered with ours; NumPy's numbers are taken."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.errors import UnknownNameError, UnknownOptionError

optim = lo.optim


def w():
    return lo.Parameter([1.0, 2.0], name="w")


def sgd():
    return optim.SGD(w(), lr=0.1)


def with_gradient():
    p = w()
    p.grad = np.array([3.0, 4.0])
    return p


ANSWERS = [
    ("SGD(learning_rate=)", lambda: optim.SGD(w(), learning_rate=0.1), "did you mean 'lr'"),
    ("SGD(momentun=)", lambda: optim.SGD(w(), lr=0.1, momentun=0.9), "did you mean 'momentum'"),
    ("SGD(parameters=)", lambda: optim.SGD(parameters=w(), lr=0.1), "did you mean 'params'"),
    ("Adam(beta1=)", lambda: optim.Adam(w(), beta1=0.9), "did you mean 'betas'"),
    ("Adam(epsilon=)", lambda: optim.Adam(w(), epsilon=1e-3), "did you mean 'eps'"),
    ("RMSprop(alpha=)", lambda: optim.RMSprop(w(), alpha=0.99), "did you mean 'decay'"),
    ("AdamW(wd=)", lambda: optim.AdamW(w(), wd=0.1), "did you mean 'weight_decay'"),
    ("SGD by position", lambda: optim.SGD(w(), 0.1, 0.9), "SGD takes 2 arguments by position; .* momentum=…"),
    ("StepLR(step_size=)", lambda: optim.StepLR(sgd(), step_size=3), "did you mean 'every'"),
    ("StepLR(gamma=)", lambda: optim.StepLR(sgd(), 3, gamma=0.5), "did you mean 'factor'"),
    ("MultiStepLR(milestones=)", lambda: optim.MultiStepLR(sgd(), milestones=[3]), "did you mean 'at'"),
    ("CosineLR(T_max=)", lambda: optim.CosineLR(sgd(), T_max=9), "did you mean 'steps'"),
    ("CosineLR(eta_min=)", lambda: optim.CosineLR(sgd(), 9, eta_min=0.0), "did you mean 'minimum'"),
    ("OneCycleLR(max_lr=)", lambda: optim.OneCycleLR(sgd(), max_lr=1.0, steps=9), "did you mean 'peak'"),
    ("StepLR(optimizer=)", lambda: optim.StepLR(optimizer=sgd(), every=3), "did you mean 'opt'"),
    ("zero_grad(set_to_none=)", lambda: sgd().zero_grad(set_to_none=True), "gradients are set to None here"),
    ("clip_grad_norm(clipnorm=)", lambda: optim.clip_grad_norm(with_gradient(), clipnorm=1.0), "'max_norm'"),
    ("clip_grad_value(clip_value=)", lambda: optim.clip_grad_value(with_gradient(), clip_value=1.0),
     "'limit'"),
    ("Average(decay=)", lambda: optim.Average(w(), decay=0.9), "Options are params, alpha"),
    ("split_decay(wd=)", lambda: optim.split_decay(w(), wd=0.1), "did you mean 'weight_decay'"),
    ("random_search(n=)", lambda: optim.random_search(abs, abs, max_iter=3), "did you mean 'steps'"),
    ("minibatches(bs=)", lambda: lo.data.minibatches([1], bs=3), "did you mean 'batch_size'"),
    ("minibatches(seed=)", lambda: lo.data.minibatches([1], batch_size=1, seed=3), "did you mean 'rng'"),
    ("two_moons(n_samples=)", lambda: lo.data.two_moons(n_samples=9), "did you mean 'n'"),
    ("two_moons(random_state=)", lambda: lo.data.two_moons(9, random_state=0), "did you mean 'rng'"),
    ("blobs(n_classes=)", lambda: lo.data.blobs(9, n_classes=3), "did you mean 'classes'"),
    ("save by position", lambda: lo.save("x", [w()]), "save takes 1 argument by position; .* model=…"),
    ("save(state_dict=)", lambda: lo.save("x", state_dict=[w()]), "did you mean 'model'"),
    ("load(filename=)", lambda: lo.load(filename="x"), "did you mean 'path'"),
    ("seed(random_state=)", lambda: lo.seed(random_state=3), "seed has no option 'random_state'"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "answer"), [pytest.param(*case[1:], id=case[0]) for case in ANSWERS])
def test_options_are_answered(call, answer):
    with pytest.raises(UnknownOptionError, match=answer):
        call()


@pytest.mark.parametrize(
    ("room", "name", "answer"),
    [
        ("data", "make_moons", "lo.data has no 'make_moons'; did you mean 'two_moons'?"),
        ("data", "DataLoader", "did you mean 'minibatches'?"),
        ("optim", "ReduceLROnPlateau",
         "lo.optim has no 'ReduceLROnPlateau'; did you mean 'ReduceOnPlateau'?"),
        ("optim", "CosineAnnealingLR", "did you mean 'CosineLR'?"),
        ("optim", "clip_grad_norm_", "did you mean 'clip_grad_norm'?"),
        ("optim", "qqqq", "lo.optim has no 'qqqq'$"),
    ],
)  # fmt: skip
def test_names_are_answered(room, name, answer):
    with pytest.raises(UnknownNameError, match=answer.replace("?", r"\?")):
        getattr(getattr(lo, room), name)
    assert not hasattr(getattr(lo, room), name)


def test_a_schedule_is_asked_for_its_rates():
    schedule = optim.StepLR(sgd(), 3)
    with pytest.raises(UnknownNameError, match="StepLR has no 'get_last_lr'; did you mean 'last'"):
        schedule.get_last_lr()
    assert schedule.last == [0.1]


def test_numpys_numbers_are_taken():
    three, half, yes = np.int64(3), np.float32(0.5), np.bool_(True)
    assert optim.clip_grad_norm(with_gradient(), half) == 5.0
    optim.clip_grad_value(with_gradient(), three)
    optim.clip_grad_value(with_gradient(), np.float32(np.inf))
    assert type(optim.Average(w(), half).alpha) is float
    assert [group["weight_decay"] for group in optim.split_decay(lo.Parameter([[1.0]]), half)] == [0.5]
    assert optim.random_search(lambda x: x, lambda rng: half, three).steps == 3
    assert [len(x) for (x,) in lo.data.minibatches(np.ones(8), batch_size=three, drop_last=yes)] == [3, 3]
    for make in (lo.data.two_moons, lo.data.circles, lo.data.xor, lo.data.spirals):
        assert len(make(np.uint8(9), noise=half, rng=three)[0]) == 9
    assert len(lo.data.blobs(np.int32(9), classes=three, spread=half)[0]) == 9
    assert lo.data.noisy_curve(three, interval=np.array([0.0, 1.0]), noise=half)[0].shape == (3, 1)
    lo.seed(three)
    assert optim.MultiStepLR(sgd(), np.array([2, 5])).at == [2, 5]
    assert optim.OneCycleLR(sgd(), np.array([0.5]), three).peak == [0.5]
    assert type(optim.SequentialLR(opt := sgd(), [(optim.StepLR(opt, 3), three)]).steps[0]) is int


def test_batches_have_a_number():
    assert len(lo.data.minibatches(np.ones(10), batch_size=4)) == 3
    assert len(lo.data.minibatches(np.ones(10), batch_size=4, drop_last=True)) == 2
    batches = lo.data.minibatches(np.arange(10), batch_size=4, rng=0)
    first = next(batches)
    assert len(batches) == 3  # of the epoch, not of what is left
    rows = np.concatenate([first[0], next(batches)[0], next(batches)[0]])
    assert sorted(rows) == list(range(10))
    with pytest.raises(StopIteration):
        next(batches)
