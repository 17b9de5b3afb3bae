"""What a call changes beside gradients happens once, also where the call fails or is run another way."""

import itertools
import warnings

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.engine.machine import caller

CHECKS = pytest.mark.parametrize("check", [True, False])
X = np.random.default_rng(0).standard_normal((6, 3))
NUMBERS = itertools.count()
GOOD, BAD = np.array([0, 1]), np.array([0, 9])


class Run:
    """A function with running statistics and random masks, by itself or compiled, from the same start."""

    def __init__(self, make, compiled, check=True):
        self.W = lo.Parameter(np.ones(3), name="W")
        self.means, self.variances = np.zeros(3), np.ones(3)
        self.rng = np.random.default_rng(7)
        self.calls = 0
        f = make(self)
        self.step = lo.compile(f, check=check) if compiled else self.by_hand(f)

    def by_hand(self, f):
        def step(*args):
            loss = f(*args)
            loss.backward()
            return loss.item()

        return step

    def norm(self, x):
        return lo.nn.batch_norm(x * self.W, running_mean=self.means, running_var=self.variances)

    def call(self, *args):
        """What one call says, and everything that it may have changed."""
        self.W.grad = None
        try:
            said = float(self.step(*args))
        except (ArithmeticError, LookupError, ValueError, lo.errors.LoError) as error:
            said = (type(error).__name__, str(error))
        state = self.rng.bit_generator.state["state"]["state"]
        return said, self.W.grad, self.means.copy(), self.variances.copy(), state


def once_as_the_engine(make, calls, check):
    engine, compiled = Run(make, compiled=False), Run(make, compiled=True, check=check)
    for args in calls:
        expected, found = engine.call(*args), compiled.call(*args)
        if isinstance(expected[0], float):
            assert found[0] == pytest.approx(expected[0], rel=1e-12)
            np.testing.assert_allclose(found[1], expected[1], rtol=1e-9, atol=1e-12)
        else:
            assert found[0] == expected[0]
            assert found[1] is None
        for a, b in zip(found[2:4], expected[2:4], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)
        assert found[4] == expected[4]


def indexed(run):
    return lambda x, i: (lo.nn.dropout(run.norm(x), 0.5, rng=run.rng) ** 3)[i].sum()


def caught(run):
    def f(x, i):
        h = run.norm(x)
        try:
            return (lo.nn.dropout(h, 0.5, rng=run.rng) ** 3)[i].sum()
        except lo.errors.IndexingError:
            return (h * h).mean()

    return f


def of_python(run):
    """An error of the user's own code, which only a call that checks itself meets."""

    def f(x, i):
        h = run.norm(x)
        [1.0][len(x) - 6 + run.calls]
        return (h**3)[i].sum()

    return f


def of_its_own(run):
    """An op of the user's that raises something else halfway."""
    op = lo.define_op(f"refuse_large_{next(NUMBERS)}", refuse_large, (lambda g, y, x: g,))

    def f(x, i):
        return (op(run.norm(x) * 100.0 * (i.sum() - 8)) ** 2).sum()

    return f


def refuse_large(x):
    if np.abs(x).max() > 150.0:
        raise FloatingPointError("too large")
    return x + 0.0


def branching(run):
    def f(x, i):
        h = lo.nn.dropout(run.norm(x), 0.5, rng=run.rng)
        if h.sum() > 0.0:
            return (h * h)[i].sum()
        return (h[i] ** 3).mean()

    return f


def labelled(run):
    return lambda x, i: lo.losses.cross_entropy(lo.nn.dropout(run.norm(x), 0.5, rng=run.rng)[:2], i)


def of_probabilities(run):
    """A check of what the program has computed, after it has drawn."""
    return lambda x, i: lo.losses.binary_cross_entropy(
        lo.nn.dropout(run.norm(x), 0.5, rng=run.rng)[0] * 0.0 + i.sum() * 0.2, 1.0 * np.ones(3)
    )


@CHECKS
@pytest.mark.parametrize("bad_at", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("make", [indexed, caught, of_its_own, branching, labelled, of_probabilities])
def test_a_call_that_fails(make, bad_at, check):
    calls = [(X + 0.1 * k, BAD if k in (bad_at, bad_at + 3) else GOOD) for k in range(10)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a dropped unit's probability
        once_as_the_engine(make, calls, check)


def test_an_error_of_python_in_a_call_that_checks_itself():
    engine, compiled = Run(of_python, compiled=False), Run(of_python, compiled=True)
    for run in (engine, compiled):
        run.call(X, GOOD)
        run.calls = 1
        said, *_ = run.call(X, GOOD)
        assert said[0] == "IndexError"
    np.testing.assert_allclose(compiled.means, engine.means)


def test_a_stale_call_has_changed_nothing():
    class Options:
        scale = 1.0

    run, options = Run(indexed, compiled=True), Options()
    step = lo.compile(lambda x: (lo.nn.dropout(run.norm(x * options.scale), 0.5, rng=run.rng) ** 3).mean())
    step(X + X**2)
    options.scale = -2.0
    before = run.means.copy(), run.variances.copy(), run.rng.bit_generator.state, run.W.grad
    with pytest.raises(lo.errors.StaleError):
        step(X + X**2)
    np.testing.assert_array_equal(run.means, before[0])
    np.testing.assert_array_equal(run.variances, before[1])
    assert run.rng.bit_generator.state == before[2]
    assert run.W.grad is before[3]


@CHECKS
def test_verify_changes_nothing_also_where_it_fails(check):
    run = Run(indexed, compiled=True, check=check)
    run.step(X, GOOD)
    before = run.means.copy(), run.rng.bit_generator.state
    run.step.verify(X, GOOD)
    with pytest.raises(lo.errors.IndexingError):
        run.step.verify(X, BAD)
    np.testing.assert_array_equal(run.means, before[0])
    assert run.rng.bit_generator.state == before[1]


def test_an_error_that_f_catches_is_its_own_affair():
    """The loss has refused the labels, f goes on without them: as the engine."""
    w = lo.Parameter(np.ones((2, 3)))

    def f(y):
        try:
            return lo.losses.cross_entropy(w, y)
        except lo.errors.LabelError:
            return (w * w).sum()

    c = lo.compile(f)
    for y in ([0, 1], [0, 7], [0, 2], [0, 7], [1, 7], [1, 1]):
        assert c(np.array(y)) == pytest.approx(f(np.array(y)).item())


def first_caught(run):
    """The first call goes the way of an error, which no later call may take for granted."""

    def f(x, i):
        h = run.norm(x)
        try:
            return (h**3)[i - 1].sum()
        except lo.errors.IndexingError:
            return (h * h).mean() * 5.0

    return f


def unused(run):
    """A mask that is drawn and an index that is used for nothing: drawn, and refused, all the same."""

    def f(x, i):
        h = run.norm(x)
        lo.nn.dropout(h, 0.5, rng=run.rng)
        (h * 2.0)[i]
        return (h**3).sum()

    return f


@CHECKS
@pytest.mark.parametrize("make", [first_caught, unused])
@pytest.mark.parametrize("bad_at", [(0,), (0, 1, 4), (2,), (3, 4)])
def test_what_is_left_out_of_a_graph(make, bad_at, check):
    once_as_the_engine(make, [(X + 0.1 * k, BAD if k in bad_at else GOOD) for k in range(8)], check)


@CHECKS
def test_labels_that_are_refused_first(check):
    w = lo.Parameter(np.ones((2, 3)))

    def f(y):
        try:
            return lo.losses.cross_entropy(w, y)
        except lo.errors.LabelError:
            return (w * w).sum()

    c = lo.compile(f, check=check)
    for y in ([0, 7], [0, 1], [0, 7], [0, 2], [1, 1]):
        assert c(np.array(y)) == pytest.approx(f(np.array(y)).item())


# ------------------------------------------------------------------- a function that changes what it reads


def changing(change):
    """A function of w that changes something of its own at each call; and that as text."""
    w = lo.Parameter([1.0, 2.0])
    buffer = np.zeros(2)
    table, count, flag, seen = {"rate": 1.0}, 0, False, []

    def before():
        buffer[:] = buffer + 1.0
        return (w * buffer).sum()

    def after():
        loss = (w * buffer).sum()
        buffer[0] += 1.0
        return loss

    def anew():
        nonlocal buffer
        buffer = buffer + 1.0
        return (w * buffer).sum()

    def counts():
        nonlocal count
        count += 1
        return (w * count).sum()

    def toggles():
        nonlocal flag
        flag = not flag
        return (w * w).sum() if flag else w.sum()

    def writes():
        table["rate"] *= 0.5
        return (w * table["rate"]).sum()

    def appends():
        loss = (w * w).sum() * (1.0 + len(seen))
        seen.append(1)
        return loss

    return locals()[change]


CHANGES = {
    "before": "buffer", "after": "buffer", "anew": "buffer", "counts": "count", "toggles": "flag",
    "writes": "table['rate']", "appends": "seen",
}  # fmt: skip


@CHECKS
@pytest.mark.parametrize("change", CHANGES)
def test_a_function_that_changes_what_it_reads(change, check, monkeypatch):
    """The engine's numbers, and one warning, which says what it is that changes."""
    monkeypatch.setattr(caller, "_warned", {})
    f, compiled = changing(change), lo.compile(changing(change), check=check)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(12):
            assert compiled() == pytest.approx(f().item())
    (warning,) = told
    said = str(warning.message)
    assert f"compile: {change} changes {CHANGES[change]}, which it reads." in said
    assert "mistake" not in said
    assert warning.filename == __file__


def test_what_is_filled_once_is_no_change():
    """A table of results that f fills for itself: recorded when it is full."""
    w, known = lo.Parameter([1.0, 2.0]), {}

    def f(x):
        if len(x) not in known:
            known[len(x)] = 1.0 / len(x)
        return (w * x * known[len(x)]).sum()

    c = lo.compile(f, check=False)
    for _ in range(4):
        for n in (2, 1):
            assert c(np.ones(n)) == pytest.approx(f(np.ones(n)).item())
    assert "mul" in c.source


def test_a_list_argument_that_f_changes():
    w = lo.Parameter([1.0, 2.0])

    def f(options):
        loss = (w * options[0]).sum()
        options[0] += 1.0
        return loss

    ours, theirs = [1.0], [1.0]
    c = lo.compile(f, check=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(6):
            assert c(ours) == f(theirs).item()
