"""Checkpoints: a run goes on to the same bits; a file that does not fit changes nothing."""

import json
import os
import stat

import numpy as np
import pytest
import safetensors
from safetensors.numpy import load_file

import tinygrad_lo as lo
from tinygrad_lo import safefile
from tinygrad_lo.checkpoint import load, save
from tinygrad_lo.errors import DTypeError, NonFiniteError, OptionError


class Holder:
    """A module as the shared interface has it: arrays by name, copied out and in."""

    def __init__(self, **arrays):
        self.arrays = {name: np.array(value) for name, value in arrays.items()}

    def state_dict(self):
        return {name: np.array(value) for name, value in self.arrays.items()}

    def load_state_dict(self, state):
        self.arrays = {name: np.array(value) for name, value in state.items()}


class Rule:
    """An optimizer as the shared interface has it."""

    def __init__(self, state=None, name="Rule", groups=None):
        self.held = {
            "class": name,
            "groups": groups or [{"names": ["W", "b"], "lr": 0.1, "betas": (0.9, 0.999), "amsgrad": False}],
            "state": state or {},
        }

    def state_dict(self):
        return dict(self.held)

    def load_state_dict(self, state):
        self.held = state


class Counting:
    """A schedule."""

    def __init__(self, t=0):
        self.t, self.best, self.at = t, np.inf, (3, 4)

    def state_dict(self):
        return {"t": self.t, "best": self.best, "at": self.at}

    def load_state_dict(self, state):
        self.t, self.best, self.at = state["t"], state["best"], state["at"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


def full(path, **other):
    parts = {
        "model": Holder(W1=np.ones((3, 2)), b1=np.zeros(2)),
        "optimizer": Rule({"W": {"m": np.arange(3.0), "t": 7}, "b": {"m": np.ones(2), "t": 7}}),
        "schedule": Counting(5),
        "rng": np.random.default_rng(1),
        "extra": {"epoch": 3},
    } | other
    save(path, **parts)
    return parts


# ------------------------------------------------------------------------------------- a run goes on


def made(name, *args, **options):
    """One of the package's optimizers or schedules."""
    if not hasattr(lo.optim, name):
        pytest.skip(f"no {name} in this version")
    return getattr(lo.optim, name)(*args, **options)


def optimizers():
    yield "momentum", lambda p: lo.optim.SGD(p, lr=0.1, momentum=0.9)
    for name in ("Adagrad", "Adadelta", "RMSprop", "Adam", "AdamW", "NAdam"):
        yield name, lambda p, name=name: made(name, p)


def schedules():
    yield "none", lambda opt: None
    yield "StepLR", lambda opt: made("StepLR", opt, every=7)
    yield "MultiStepLR", lambda opt: made("MultiStepLR", opt, at=[5, 25])
    yield "OneCycleLR", lambda opt: made("OneCycleLR", opt, peak=2.0, steps=40)
    yield "ReduceOnPlateau", lambda opt: made("ReduceOnPlateau", opt, patience=1)
    yield "SequentialLR", lambda opt: made(
        "SequentialLR", opt,
        [(made("WarmupLR", opt, steps=6), 6), (made("MultiStepLR", opt, at=[5, 12]), 40)],
    )  # fmt: skip


class Run:
    """Parameters in two groups, one of them without a bias' decay, and a seeded shuffle."""

    def __init__(self, make_optimizer, make_schedule, dtype, named=True):
        init = np.random.default_rng(3)
        self.X, self.y = init.normal(size=(30, 4)).astype(dtype), init.integers(0, 3, 30)
        self.W = lo.Parameter(init.normal(size=(4, 3)).astype(dtype), name="W" if named else None)
        self.b = lo.Parameter(np.zeros(3, dtype), name="b" if named else None)
        self.s = lo.Parameter(dtype(1.0), name="s" if named else None)
        groups = [{"params": [self.W, self.s], "weight_decay": 0.01}, {"params": [self.b]}]
        self.opt = make_optimizer(groups)
        self.schedule = make_schedule(self.opt)
        self.rng = np.random.default_rng(7)
        self.losses = []

    def parts(self):
        return {
            "model": {"W": self.W, "b": self.b, "s": self.s},
            "optimizer": self.opt,
            "schedule": self.schedule,
            "rng": self.rng,
        }

    def train(self, epochs):
        for _ in range(epochs):
            for X, y in lo.data.minibatches(self.X, self.y, batch_size=6, rng=self.rng):
                loss = lo.losses.cross_entropy((X @ self.W + self.b) * self.s, y)
                self.opt.zero_grad()
                loss.backward()
                self.opt.step()
                if isinstance(self.schedule, getattr(lo.optim, "ReduceOnPlateau", ())):
                    self.schedule.step(loss.item())
                elif self.schedule is not None:
                    self.schedule.step()
                self.losses.append(loss.item())


def some(pairs):
    return [pytest.param(make, id=name) for name, make in pairs]


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("make_schedule", some(schedules()))
@pytest.mark.parametrize("make_optimizer", some(optimizers()))
def test_twenty_steps_and_twenty_more_are_forty(path, make_optimizer, make_schedule, dtype, named):
    once, first, second = (Run(make_optimizer, make_schedule, dtype, named) for _ in range(3))
    once.train(8)  # of 5 steps each
    first.train(4)
    save(path, **first.parts())
    first.train(1)  # what was saved is no view
    second.train(1)  # neither is the one to load into fresh
    second.losses = once.losses[:20]
    load(path, **second.parts())
    second.train(4)
    assert second.losses == once.losses
    for name in "Wbs":
        ours, theirs = getattr(second, name).data, getattr(once, name).data
        assert type(ours) is type(theirs)
        assert ours.dtype == dtype
        assert ours.tobytes() == theirs.tobytes()
    assert second.rng.random() == once.rng.random()
    assert repr(second.opt) == repr(once.opt)


def test_a_module_with_its_buffers(path):
    if not hasattr(lo.nn, "Sequential"):
        pytest.skip("no modules yet")
    lo.seed(1)
    models = [lo.nn.Sequential(lo.nn.Linear(2, 3), lo.nn.Linear(3, 1)) for _ in range(2)]
    save(path, model=models[0])
    load(path, model=models[1])
    for (name, a), (other, b) in zip(*(m.named_parameters() for m in models), strict=True):
        assert name == other
        assert a.data.tobytes() == b.data.tobytes()


# --------------------------------------------------------------------------------- there and back


ARRAYS = {
    "half": np.array([1.5, np.inf, -0.0], np.float16),
    "single": np.float32([[1e-45, 3e38]]),
    "double": np.array([[5e-324, 1.7e308]]),
    **{f"{kind}": np.array([0, np.iinfo(kind).max, np.iinfo(kind).min], kind)
       for kind in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")},
    "bool": np.array([[True], [False]]),
    "number": np.array(2.5),
    "empty": np.zeros((0, 3), np.float32),
    "empty 0-d index": np.zeros((2, 0, 4), np.int64),
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "strided": np.arange(20.0)[::-3],
    "broadcast": np.broadcast_to(np.float32(3), (2, 2)),
    "big-endian": np.arange(3.0).astype(">f8"),
}  # fmt: skip


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back_bit_for_bit(path, name):
    value = ARRAYS[name]
    model = Holder()
    model.arrays = {"x": value}
    save(path, model=model, optimizer=Rule({"W": {"m": value}}))
    fresh, opt = Holder(), Rule()
    fresh.arrays = {"x": np.zeros_like(value)}
    load(path, model=fresh, optimizer=opt)
    for back in (fresh.arrays["x"], opt.held["state"]["W"]["m"]):
        assert back.shape == value.shape
        assert back.dtype == value.dtype or name == "big-endian"
        assert back.astype(value.dtype).tobytes() == value.tobytes()


NAMES = ["allow_pickle", "__metadata__", "a/b", "a", "a.b", "", " ", "../../etc/passwd", "W₁ λ 中 🎉",
         "x" * 100_000, "\0", "\n", '"', "\\", "model/W", "file", "0", "tinygrad_lo checkpoint"]  # fmt: skip


def test_hostile_names_survive(path):
    arrays = {name: np.array([float(i)]) for i, name in enumerate(NAMES)}
    model, opt = Holder(), Rule({name: {"m": value, "t": 1} for name, value in arrays.items()})
    model.arrays = arrays
    save(path, model=model, optimizer=opt)
    fresh, other = Holder(), Rule()
    fresh.arrays = {name: np.zeros(1) for name in reversed(NAMES)}
    load(path, model=fresh, optimizer=other)
    assert {name: value.item() for name, value in fresh.arrays.items()} == {
        name: float(i) for i, name in enumerate(NAMES)
    }
    assert {name: s["m"].item() for name, s in other.held["state"].items()} == {
        name: float(i) for i, name in enumerate(NAMES)
    }
    assert list(path.parent.iterdir()) == [path]


def test_a_file_is_plain_safetensors_and_always_the_same(path):
    full(path)
    first = path.read_bytes()
    arrays = load_file(path)
    assert sorted(arrays) == ["model/W1", "model/b1", "optimizer/W/m", "optimizer/b/m"]
    with safetensors.safe_open(path, "np") as file:
        body = json.loads(file.metadata()["tinygrad_lo checkpoint"])
    assert body["version"] == 1
    assert body["contents"]["optimizer"]["state"] == {"W": {"t": 7}, "b": {"t": 7}}
    assert body["contents"]["extra"] == {"epoch": 3}
    for _ in range(5):
        full(path)
        assert path.read_bytes() == first


def test_numbers_tuples_and_infinities_of_groups_and_schedules(path):
    full(path)
    opt, schedule = Rule(), Counting()
    assert load(path, optimizer=opt, schedule=schedule) == {"epoch": 3}
    assert opt.held["groups"] == [
        {"names": ["W", "b"], "lr": 0.1, "betas": (0.9, 0.999), "amsgrad": False},
    ]
    assert opt.held["state"]["W"]["t"] == 7
    assert type(opt.held["state"]["W"]["t"]) is int
    assert (schedule.t, schedule.best, schedule.at) == (5, np.inf, (3, 4))


@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_every_generator_goes_on(path, kind):
    rng = np.random.Generator(getattr(np.random, kind)(5))
    rng.integers(0, 9, 3, dtype=np.uint32)  # leaves half a number behind
    save(path, rng=rng)
    expected = [rng.integers(0, 9, 5, dtype=np.uint32).tolist(), rng.normal(size=700).tolist()]
    fresh = np.random.Generator(getattr(np.random, kind)(6))
    load(path, rng=fresh)
    assert [fresh.integers(0, 9, 5, dtype=np.uint32).tolist(), fresh.normal(size=700).tolist()] == expected


@pytest.mark.parametrize(("extra", "back"), [
    (None, None), (0, 0), ("", ""), ([], []), ({"a": [1, 2.5, True, None, "λ\ud800"]}, None),
    ((1, (2,)), [1, [2]]), (np.float32(0.5), 0.5), (np.float64(0.1), 0.1), (np.int64(3), 3),
    (np.bool_(True), True), ([np.inf, -np.inf, -0.0], None), (2**200, None), ({"": {"/": 1}}, None),
])  # fmt: skip
def test_extra_comes_back(path, extra, back):
    save(path, model=Holder(x=1.0), extra=extra)
    found = load(path)
    assert found == (extra if back is None else back)
    assert repr(found) == repr(extra if back is None else back)


def test_parts_that_nobody_asks_for_are_left(path):
    full(path)
    model = Holder(W1=np.zeros((3, 2)), b1=np.ones(2))
    assert load(path, model=model) == {"epoch": 3}
    assert model.arrays["W1"].tolist() == [[1.0, 1.0]] * 3


def test_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    W = lo.Parameter([1.0], name="W")
    longest = "n" * 255
    for place in ("plain", tmp_path / "Path.safetensors", "λ.safetensors", longest):
        save(place, model=[W])
        load(place, model=[W])
    (tmp_path / "link").symlink_to("plain")
    W.data = np.array([5.0])
    save("link", model=[W])
    assert (tmp_path / "link").is_symlink()
    W.data = np.array([0.0])
    load("plain", model=[W])
    assert W.data.tolist() == [5.0]
    (tmp_path / "plain").chmod(0o640)
    save("plain", model=[W])
    assert stat.S_IMODE((tmp_path / "plain").stat().st_mode) == 0o640


# ---------------------------------------------------------------------------------- what save refuses


def circle():
    found = []
    found.append(found)
    return found


REFUSED = [
    ("nothing", {}, OptionError, ["nothing to save", "model="]),
    ("a class", {"model": Holder}, OptionError, ["the class Holder"]),
    ("an array", {"model": np.ones(2)}, OptionError, ["entry 0 must be a parameter, got ndarray"]),
    ("a number as model", {"model": 3}, OptionError, ["a dict or a model, got int"]),
    ("a number as optimizer", {"optimizer": 3}, OptionError, ["optimizer must have state_dict()", "got int"]),
    ("a list as schedule", {"schedule": []}, OptionError, ["schedule must have state_dict()", "got list"]),
    ("a seed", {"rng": 3}, OptionError, ["rng must be a numpy.random.Generator, got int"]),
    ("RandomState", {"rng": np.random.RandomState(1)}, OptionError, ["got RandomState"]),
    ("no name", {"model": [lo.Parameter([1.0])]}, OptionError, ["entry 0 has no name", "name='W0'"]),
    ("two of one name", {"model": [lo.Parameter([1.0], name="W"), lo.Parameter([2.0], name="W")]},
     OptionError, ["'W' names two parameters"]),
    ("no parameter", {"model": {"W": np.ones(2)}}, OptionError, ["entry 0 must be a parameter, got ndarray"]),
    ("a result", {"model": {"W": lo.Parameter([1.0]) * 2.0}}, OptionError, ["must be a parameter"]),
    ("objects", {"model": Holder(x=np.array([{}]))}, DTypeError, ["'x' is object"]),
    ("a mask", {"optimizer": Rule({"W": {"m": np.ma.masked_array([1.0, 2.0], [0, 1])}})}, DTypeError,
     ["'m' of 'W'", "MaskedArray"]),
    ("complex", {"model": Holder(x=1j)}, DTypeError, ["'x' is complex128"]),
    ("longdouble", {"model": Holder(x=np.longdouble(1))}, DTypeError, ["'x' is"]),
    ("text", {"model": Holder(x="a")}, DTypeError, ["'x' is <U1"]),
    ("nan", {"model": Holder(x=[1.0, np.nan, np.nan])}, NonFiniteError, ["'x' holds 2 nan", "lo.anomaly()"]),
    ("nan in the state", {"optimizer": Rule({"W": {"m": np.array(np.nan)}})}, NonFiniteError, ["'m' of 'W'"]),
    ("a slash in a key", {"optimizer": Rule({"W": {"a/m": np.ones(1)}})}, OptionError, ["'a/m'"]),
    ("half a pair", {"model": [lo.Parameter([1.0], name="W\ud800")]}, OptionError, ["surrogates"]),
    ("a set", {"extra": {1}}, DTypeError, ["extra is set"]),
    ("an array in extra", {"extra": {"a": [0, np.ones(2)]}}, DTypeError,
     ["extra['a'][1] is ndarray", ".tolist"]),
    ("a tensor in extra", {"extra": [lo.Tensor(1.0)]}, DTypeError, ["extra[0] is Tensor"]),
    ("bytes", {"extra": b"a"}, DTypeError, ["extra is bytes"]),
    ("an int as key", {"extra": {3: 1}}, DTypeError, ["extra has the key 3", "str(key)"]),
    ("a circle", {"extra": circle()}, OptionError, ["within itself"]),
    ("a huge int", {"extra": 10**5000}, OptionError, ["limit"]),
]  # fmt: skip


@pytest.mark.parametrize(("parts", "error", "words"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED])
def test_a_failing_save_leaves_the_old_file(path, parts, error, words):
    path.write_bytes(b"old")
    with pytest.raises(error) as caught:
        save(path, **parts)
    assert str(caught.value).startswith("save: ")
    for word in words:
        assert word in str(caught.value)
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_disk_that_fails_leaves_the_old_file(path, monkeypatch, step, error):
    def fail(*_):
        raise error

    path.write_bytes(b"old")
    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (safefile.Path, "replace")), fail)
    with pytest.raises(type(error)):
        save(path, model=Holder(x=1.0))
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_places_where_nothing_can_be_saved(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        save(tmp_path / "none" / "run", extra=1)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        save(tmp_path / "folder", extra=1)
    for bad in (None, 3, b"run", "", "a\0b"):
        with pytest.raises(OptionError, match="path must"):
            save(bad, extra=1)
        with pytest.raises(OptionError, match="path must"):
            load(bad)
    assert list(tmp_path.iterdir()) == [tmp_path / "folder"]
