"""Compiled functions in many threads, for many calls, and with more recordings than are kept."""

import gc
import itertools
import sys
import threading
import tracemalloc
import warnings

import numpy as np
import pytest
from twins import agree, compiled_once, eager

import tinygrad_lo as lo
from tinygrad_lo.compiling.compile import MOST_KEPT, MOST_MADE

THREADS = 8


@pytest.fixture
def _eager_switching():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(work, count=THREADS):
    """Run work(i) in threads that start together; the exceptions that came out."""
    barrier, raised = threading.Barrier(count), []

    def run(i):
        barrier.wait()
        try:
            work(i)
        except Exception as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not raised, raised[0]


@pytest.mark.usefixtures("_eager_switching")
@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("rows", [(4,), (1, 2, 3, 4, 5)])
def test_one_function_in_eight_threads(rng, check, rows):
    """Other data in each, branches and shapes that alternate: the first calls of all record at once."""
    w, b = lo.Parameter(rng.standard_normal((3, 2))), lo.Parameter(rng.standard_normal(2))

    def f(x):
        h = x @ w + b
        if h.sum() > 0:
            return (h * h).sum()
        return np.tanh(h).mean() if h[0, 0] > 0 else (h * b).sum()

    batches = [[rng.standard_normal((rows[j % len(rows)], 3)) for j in range(60)] for _ in range(THREADS)]
    expected = [[f(x).item() for x in batch] for batch in batches]
    c = lo.compile(f, check=check)
    found = [[] for _ in range(THREADS)]
    in_threads(lambda i: found[i].extend(c(x) for x in batches[i] * 3))
    for values, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(values, wanted * 3, rtol=1e-12)


@pytest.mark.usefixtures("_eager_switching")
def test_numbers_in_eight_threads(rng):
    p = lo.Parameter(1.5)

    def f(x, y):
        u = p * x + y
        return u * u if u > 0 else u / (x * x)

    data = rng.standard_normal((THREADS, 300, 2))
    c = lo.compile(f, check=False)
    found = np.zeros((THREADS, 300))

    def work(i):
        for j in range(300):
            found[i, j] = c(*data[i, j])

    in_threads(work)
    u = 1.5 * data[..., 0] + data[..., 1]
    np.testing.assert_allclose(found, np.where(u > 0, u * u, u / data[..., 0] ** 2), rtol=1e-12)


@pytest.mark.usefixtures("_eager_switching")
def test_a_function_and_parameters_for_each_thread(rng):
    x = rng.standard_normal((8, 3))
    y = rng.integers(0, 2, 8)
    starts = rng.standard_normal((THREADS, 3, 2))

    def training(i, wrap):
        w = lo.Parameter(starts[i])
        optimizer = lo.optim.Adam([w], lr=0.05)
        step = wrap(lambda x, y: lo.losses.cross_entropy(np.tanh(x @ w), y) + (w * w).sum() * 0.01)
        for _ in range(40):
            optimizer.zero_grad()
            step(x, y)
            optimizer.step()
        return w.data

    expected = [training(i, lambda f: lambda *args: f(*args).backward()) for i in range(THREADS)]
    found = [None] * THREADS
    in_threads(lambda i: found.__setitem__(i, training(i, lo.compile)))
    for w, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(w, wanted, rtol=1e-9)


def test_a_mode_of_another_thread_changes_nothing(rng):
    """While one thread is inside no_grad, compiled functions of the others still run, from one recording."""
    w, runs = lo.Parameter(rng.standard_normal(3)), itertools.count()

    def f():
        next(runs)
        return w @ w

    c = lo.compile(f, check=False)
    inside, done = threading.Event(), threading.Event()

    def hold():
        with lo.no_grad():
            inside.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait()
    try:
        for _ in range(5):
            w.grad = None
            c()
            np.testing.assert_allclose(w.grad, 2 * w.data)
    finally:
        done.set()
        thread.join()
    assert next(runs) == 1


# ----------------------------------------------------------------------------- how many are made


def test_recordings_are_bounded_and_the_user_is_told_once(rng):
    w = lo.Parameter(rng.standard_normal(3))
    runs = []
    told = []
    for _ in range(2):  # another function is told for itself
        calls = iter(range(10**6))

        def f(x, number, calls=calls):
            next(calls)
            return (w * x).sum() * number

        c = lo.compile(f, check=False)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for number in range(MOST_MADE + 40):
                value, (g,) = compiled_once(c, [w], np.ones(3), float(number))
                assert value == pytest.approx(w.data.sum() * number)
                np.testing.assert_allclose(g, np.full(3, float(number)))
                assert bool(caught or told) == (number >= MOST_MADE or bool(told))
        told.append([str(warning.message) for warning in caught])
        assert all(warning.filename.endswith(("test_compile_threads.py", "twins.py")) for warning in caught)
        runs.append(next(calls))
    assert [len(messages) for messages in told] in ([1, 1], [1, 0])  # once for each line of the script
    assert f"recorded {MOST_MADE} times" in told[0][0]
    assert runs == [MOST_MADE + 40] * 2


def test_the_last_used_recordings_are_kept(rng):
    w = lo.Parameter(rng.standard_normal(3))
    runs = iter(range(10**6))

    def f(number):
        next(runs)
        return (w * w).sum() * number

    c = lo.compile(f, check=False)
    for _ in range(4):
        for number in range(MOST_KEPT):
            agree(c, lambda number: (w * w).sum() * number, [w], float(number))
    assert next(runs) == MOST_KEPT


def test_no_memory_is_gathered(rng):
    """10 000 calls, of arrays and of numbers, with checks, branches, masks and statistics among them."""
    w, s = lo.Parameter(rng.standard_normal((3, 2))), lo.Parameter(2.0)
    means, variances = np.zeros(2), np.ones(2)
    x = rng.standard_normal((5, 3))

    def f(x):
        h = lo.nn.batch_norm(x @ w, running_mean=means, running_var=variances)
        h = lo.nn.dropout(h, 0.5)
        return (h * h).sum() * s if h.sum() > 0 else np.tanh(h).sum()

    calls = (
        (lo.compile(f), (x,)),
        (lo.compile(lambda a: s * a * s if s * a > 0 else s + a), (np.float64(3.0),)),
    )
    for c, args in calls:
        for _ in range(70):
            w.grad = s.grad = None
            c(*args)
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(5000):
            for c, args in calls:
                w.grad = s.grad = None
                c(*args)
        grown = tracemalloc.get_traced_memory()[0] - before
        found = gc.collect()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert grown < 50_000
    assert found < 50


def test_recordings_that_are_dropped_are_freed(rng):
    """More recordings than are kept, each with buffers of a megabyte."""
    w = lo.Parameter(rng.standard_normal(3))
    c = lo.compile(lambda x: np.tanh(x * w).sum(), check=False)
    tracemalloc.start()
    try:
        for rows in range(40_000, 40_000 + MOST_KEPT + 30):
            w.grad = None
            c(np.ones((rows, 3)))
        gc.collect()
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert kept < (MOST_KEPT + 2) * 6e6


def test_a_compiled_function_dies_with_its_parameters():
    gc.collect()
    before = len([o for o in gc.get_objects() if issubclass(type(o), lo.Parameter)])

    def make():
        p = lo.Parameter(np.ones(3))
        c = lo.compile(lambda x: (p * x).sum())
        for _ in range(3):
            c(np.ones(3))

    for _ in range(5):
        make()
    gc.collect()
    assert not gc.garbage
    assert len([o for o in gc.get_objects() if issubclass(type(o), lo.Parameter)]) <= before


def test_eager_and_compiled_beside_each_other_in_threads(rng):
    w = [lo.Parameter(rng.standard_normal(3)) for _ in range(4)]
    fs = [lambda i=i: (w[i] * w[i] * (i + 1.0)).sum() for i in range(4)]
    compiled = [lo.compile(f) for f in fs]

    def work(i):
        for _ in range(50):
            expected = eager(fs[i], [w[i]])
            assert compiled_once(compiled[i], [w[i]])[0] == pytest.approx(expected[0])

    in_threads(work, 4)
