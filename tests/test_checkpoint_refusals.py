"""What load refuses: a file that does not fit, or is damaged, changes nothing."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

import tinygrad_lo as lo
from tinygrad_lo import safefile
from tinygrad_lo.checkpoint import load, save
from tinygrad_lo.errors import CheckpointError


class Held:
    """The shared interface of modules, optimizers and schedules, and nothing else."""

    def __init__(self, state):
        self.state = state

    def state_dict(self):
        return dict(self.state)

    def load_state_dict(self, state):
        self.state = state


class Counting(Held):
    """A schedule."""

    def __init__(self, t=0):
        super().__init__({"t": t, "best": np.inf, "at": (3, 4)})


class Stubborn(Counting):
    """A schedule that refuses every state but its own, after having taken it."""

    def load_state_dict(self, state):
        self.state = state
        if state["t"] != 0:
            raise ValueError("I stay; nothing was changed.")


def model(**arrays):
    return {"model": only(**({"W1": np.ones((3, 2)), "b1": np.zeros(2)} | arrays))}


def only(**arrays):
    return Held({name: np.array(value) for name, value in arrays.items()})


def group(**options):
    base = {"names": ["W", "b"], "lr": 0.1, "betas": (0.9, 0.999), "amsgrad": False}
    return {k: v for k, v in (base | options).items() if v is not None}


def Rule(state=None, name="Rule", groups=None):
    return Held({"class": name, "groups": groups or [group()], "state": state or {}})


def sgd(*groups):
    """An optimizer of the package: a parameter for each name in each group."""
    params = [{"params": [lo.Parameter(np.ones(2), name=name) for name in names]} for names in groups]
    return {"optimizer": lo.optim.SGD(params, lr=0.1, momentum=0.9)}


def rule(**options):
    return {"optimizer": Rule(groups=[group(**options)])}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


def full(path, **other):
    parts = model() | {
        "optimizer": Rule({"W": {"m": np.arange(3.0), "t": 7}, "b": {"m": np.ones(2), "t": 7}}),
        "schedule": Counting(5),
        "rng": np.random.default_rng(1),
        "extra": {"epoch": 3},
    }
    save(path, **parts | other)


def npz(path):
    with path.open("wb") as file:
        np.savez(file, W1=np.ones((3, 2)))


def forged(change, **parts):
    """A file with a right digest and a contents that lo.save would not write."""

    def make(path):
        full(path, **parts)
        contents, tensors = safefile.from_bytes(path.read_bytes())
        contents, tensors = change(contents, tensors) or (contents, tensors)
        path.write_bytes(safefile.to_bytes(tensors, contents))

    return make


def rewritten(old, new):
    def make(path):
        full(path)
        path.write_bytes(path.read_bytes().replace(old, new, 1))

    return make


NOT_OURS, DAMAGED, NOT_WRITTEN = "not a tinygrad_lo checkpoint", "damaged", "is not what lo.save writes"
UNFIT = [
    ("empty", lambda p: p.write_bytes(b""), {}, [NOT_OURS, "it has 0 bytes"]),
    ("text", lambda p: p.write_text("hello, this is a text file"), {}, [NOT_OURS]),
    ("text with a brace", lambda p: p.write_text("a text, {and more"), {}, [NOT_OURS]),
    ("pickle", lambda p: p.write_bytes(pickle.dumps({"W1": np.ones((3, 2))})), {}, [NOT_OURS]),
    ("npz", npz, {}, [NOT_OURS]),
    ("json", lambda p: p.write_text('{"W1": [1, 2, {"a": 3}]}'), {}, [NOT_OURS]),
    ("another's", lambda p: save_file({"W1": np.ones(2)}, p), {}, [NOT_OURS, "of something else"]),
    ("another's with metadata", lambda p: save_file({"W1": np.ones(2)}, p, {"format": "pt"}), {}, [NOT_OURS]),
    ("metadata that is text", lambda p: save_file({}, p, {safefile.KEY: "x"}), {}, [DAMAGED, "no JSON"]),
    ("metadata that is a list", lambda p: save_file({}, p, {safefile.KEY: "[]"}), {}, [DAMAGED]),
    ("deep metadata", lambda p: save_file({}, p, {safefile.KEY: "[" * 10**5}), {}, [DAMAGED]),
    ("truncated", lambda p: (full(p), p.write_bytes(p.read_bytes()[:-1])), {}, ["truncated"]),
    ("truncated header", lambda p: (full(p), p.write_bytes(p.read_bytes()[:99])), {}, ["truncated"]),
    ("a byte more", lambda p: (full(p), p.write_bytes(p.read_bytes() + b"x")), {}, ["damaged"]),
    ("another version", rewritten(b'\\"version\\": 1', b'\\"version\\": 2'), {}, ["unknown version 2"]),
    ("another number", rewritten(b'\\"epoch\\": 3', b'\\"epoch\\": 4'), {}, [DAMAGED, "digest"]),
    ("another name", rewritten(b'"model/W1"', b'"model/W2"'), model(), [DAMAGED, "digest"]),
    ("no model", lambda p: save(p, extra=1), model(), ["the file holds no model; it holds extra"]),
    ("no optimizer", lambda p: save(p, **model()), rule(), ["holds no optimizer; it holds model"]),
    ("no schedule", lambda p: save(p, **model()), {"schedule": Counting()}, ["holds no schedule"]),
    ("no rng", lambda p: save(p, **model()), {"rng": np.random.default_rng(1)}, ["holds no rng"]),
    ("other names", full, {"model": only(W1=np.ones((3, 2)), bias1=np.ones(2))},
     ["missing: ['bias1'], unexpected: ['b1']"]),
    ("a close name", full, {"model": only(W1=np.ones((3, 2)), b=np.ones(2))}, ["did you mean 'b'?"]),
    ("a missing name", full, model(W2=1.0), ["the model: missing: ['W2'];"]),
    ("an extra name", full, {"model": only(b1=np.ones(2))}, ["the model: unexpected: ['W1'];"]),
    ("many names", full, {"model": only(**{f"x{i}": 1.0 for i in range(99)})}, ["and 90 more]"]),
    ("other shape", full, model(W1=np.ones((2, 3))), ["'W1' is (3, 2) in the file, (2, 3) in the model"]),
    ("other sizes", full, model(W1=np.ones(6), b1=np.ones(3)), ["(6,) in the model; 'b1' is (2,) in"]),
    ("other dtype", full, model(b1=np.zeros(2, np.float32)), ["'b1' is float64 in the file, float32 in the"]),
    ("nan", forged(lambda c, t: t["model/b1"].fill(np.nan)), model(), ["'model/b1' holds 2 nan"]),
    ("nan in the state", forged(lambda c, t: t["optimizer/b/m"].fill(np.nan)), rule(), ["/b/m' holds 2 nan"]),
    ("another class", full, {"optimizer": Rule(name="Adam")}, ["the state of Rule, not of Adam"]),
    ("more groups", lambda p: full(p, **sgd("W", "b")), sgd("Wb"),
     ["group 0 holds ['W', 'b'], and no saved group does"]),
    ("more parameters", lambda p: full(p, **sgd("Wb")), sgd("W"), ["refuses: SGD: unexpected: ['b'];"]),
    ("other parameters", lambda p: full(p, **sgd("Wb")), sgd(["W", "bias"]),
     ["missing: ['bias'], unexpected: ['b']"]),
    ("other options", forged(lambda c, t: c["optimizer"]["groups"][0].update(rate=1), **sgd("W")), sgd("W"),
     ["SGD: group 0: options unexpected: ['rate']"]),
    ("another schedule", full, {"schedule": Stubborn()}, ["the state of Counting, not of Stubborn"]),
    ("another generator", full, {"rng": np.random.Generator(np.random.SFC64(1))}, ["PCG64", "SFC64"]),
    ("a false state", forged(lambda c, t: c["rng"].update(state=3)), {"rng": np.random.default_rng(1)},
     ["the rng refuses"]),
    ("false groups", forged(lambda c, t: c["optimizer"].update(groups=3), **sgd("W")), sgd("W"),
     ["no state_dict of an optimizer"]),
    ("false names", forged(lambda c, t: c["optimizer"]["groups"][0].update(names=[[]]), **sgd("W")), sgd("W"),
     ["no state_dict of an optimizer"]),
    ("no state", forged(lambda c, t: c["optimizer"].update(state={})), rule(), [NOT_WRITTEN]),
    ("a false schedule", forged(lambda c, t: c.update(schedule=[])), {"schedule": Counting()}, [NOT_WRITTEN]),
    ("contents that are a list", forged(lambda c, t: ([], t)), {}, [DAMAGED]),
]  # fmt: skip


@pytest.mark.parametrize(("make", "parts", "words"), [c[1:] for c in UNFIT], ids=[c[0] for c in UNFIT])
def test_what_does_not_fit_changes_nothing(path, make, parts, words):
    make(path)
    rng = np.random.default_rng(3)
    others = {
        "model": only(W1=np.full((3, 2), 9.0), b1=np.full(2, 9.0)),
        "rng": rng,
        "schedule": Counting(1),
    }
    given = {k: v for k, v in others.items() if "holds no" not in words[0] or k == "model"} | parts
    if words[0].startswith("the file holds no model"):
        given = parts
    before = {k: repr(snapshot(v)) for k, v in given.items()}
    with pytest.raises(CheckpointError) as caught:
        load(path, **given)
    message = str(caught.value)
    assert message.startswith(f"load: {path}: ")
    assert message.endswith("; nothing was changed")
    for word in words:
        assert word in message
    assert {k: repr(snapshot(v)) for k, v in given.items()} == before


def snapshot(thing):
    return thing.bit_generator.state if isinstance(thing, np.random.Generator) else thing.state_dict()


def test_an_object_that_refuses_late_takes_all_back(path):
    full(path, schedule=Stubborn(4))
    parts = {
        "model": only(W1=np.full((3, 2), 9.0), b1=np.full(2, 9.0)),
        "optimizer": Rule(),
        "schedule": Stubborn(0),
        "rng": np.random.default_rng(8),
    }
    before = {k: repr(snapshot(v)) for k, v in parts.items()}
    with pytest.raises(
        CheckpointError, match=r"the schedule refuses: I stay; nothing was changed$"
    ) as caught:
        load(path, **parts)
    assert isinstance(caught.value.__cause__, ValueError)
    assert {k: repr(snapshot(v)) for k, v in parts.items()} == before


def test_an_optimizer_of_another_shape_takes_the_model_back(path):
    def run(shape, value):
        W, V = lo.Parameter(np.full(2, value), name="W"), lo.Parameter(np.full(shape, value), name="V")
        opt = lo.optim.SGD([V], lr=value, momentum=0.5)
        (V * V).sum().backward()
        opt.step()
        return {"model": [W], "optimizer": opt}

    save(path, **run((3, 2), 0.1))
    parts = run((2, 3), 0.2)
    before = repr([parts["model"], parts["optimizer"].state_dict()])
    with pytest.raises(
        CheckpointError, match=r"the optimizer refuses: .*'V'.*; nothing was changed$"
    ) as caught:
        load(path, **parts)
    assert str(caught.value).count("nothing was changed") == 1
    assert "(3, 2)" in str(caught.value)
    assert "(2, 3)" in str(caught.value)
    assert repr([parts["model"], parts["optimizer"].state_dict()]) == before


def test_a_refused_load_leaves_live_graphs_alone(path):
    W = lo.Parameter([2.0], name="W")
    save(path, model=[W], schedule=Stubborn(4))
    before, loss = W.data, (W * W).sum()
    with pytest.raises(CheckpointError, match="the schedule refuses"):
        load(path, model=[W], schedule=Stubborn(0))
    assert W.data is before
    loss.backward()
    assert W.grad.tolist() == [4.0]


@pytest.mark.parametrize("depth", [45, 100, 300, 900, 980, 990])
def test_deep_json_of_someone_else(path, depth):
    deep = "[" * depth + "]" * depth
    save_file({}, path, {safefile.KEY: f'{{"version": 1, "contents": {deep}, "sha256": ""}}'})
    with pytest.raises(CheckpointError):
        load(path)


def test_missing_files_and_folders(tmp_path):
    missing = tmp_path / "none.safetensors"
    W = lo.Parameter([1.0], name="W")
    with pytest.raises(FileNotFoundError, match="no such file; nothing was changed") as caught:
        load(missing, model=[W])
    assert str(missing) in str(caught.value)
    with pytest.raises(OSError, match="nothing was changed"):
        load(tmp_path)


def test_loading_keeps_an_old_graph_right(path):
    W = lo.Parameter([2.0], name="W")
    save(path, model=[W])
    W.data = np.array([3.0])
    loss = (W * W).sum()
    load(path, model=[W])
    loss.backward()
    assert W.data.tolist() == [2.0]
    assert W.grad.tolist() == [6.0]
    W.data -= 1.0  # what was loaded can be written into
    assert W.data.tolist() == [1.0]


# ------------------------------------------------------------------------------------ damaged at random


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    place = tmp_path_factory.mktemp("fuzz") / "run.safetensors"
    full(place)
    return place, place.read_bytes()


def everything():
    return {
        "model": only(W1=np.full((3, 2), 9.0), b1=np.full(2, 9.0)),
        "optimizer": Rule(),
        "schedule": Counting(),
        "rng": np.random.default_rng(0),
    }


def seen(parts, extra):
    return repr([extra, {name: snapshot(thing) for name, thing in parts.items()}])


def right_or_refused(place, data, original):
    """Damage is refused and changes nothing; what still loads (a space more in the header) is the same."""
    place.write_bytes(original)
    parts = everything()
    expected = seen(parts, load(place, **parts))
    place.write_bytes(data)
    parts = everything()
    before = seen(parts, None)
    try:
        extra = load(place, **parts)
    except CheckpointError:
        assert seen(parts, None) == before
    else:
        assert seen(parts, extra) == expected


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_flipped_bytes_are_refused(valid, data):
    place, original = valid
    changed = bytearray(original)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(original) - 1))] ^= data.draw(st.integers(1, 255))
    right_or_refused(place, bytes(changed), original)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_cut_and_joined_bytes_are_refused(valid, data):
    place, original = valid
    a, b = (data.draw(st.integers(0, len(original))) for _ in range(2))
    right_or_refused(place, original[:a] + data.draw(st.sampled_from([b"", original[b:]])), original)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_are_refused(valid, data):
    place, original = valid
    right_or_refused(place, len(data).to_bytes(8, "little") + b"{" + data, original)


def test_every_single_flip_of_a_small_file(path):
    save(path, model=[lo.Parameter([1.0], name="W")])
    original = path.read_bytes()
    for i in range(len(original)):
        for bit in (1, 128):
            changed = bytearray(original)
            changed[i] ^= bit
            path.write_bytes(bytes(changed))
            W = lo.Parameter([7.0], name="W")
            try:
                load(path, model=[W])
            except CheckpointError:
                assert W.data.tolist() == [7.0]
            else:
                assert W.data.tolist() == [1.0]
