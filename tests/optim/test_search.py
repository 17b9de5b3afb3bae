"""Random search: it keeps the best, says when it came, and repeats with its generator."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_lo as lo
from tinygrad_lo.errors import DTypeError, NonFiniteError, OptionError, ShapeError
from tinygrad_lo.optim.search import random_search


def of(losses):
    """Search through a list of losses."""
    losses = list(losses)
    left = iter(range(len(losses)))
    return random_search(lambda i: losses[i], lambda rng: next(left), len(losses))


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=50))
def test_the_best_and_its_history(losses):
    found = of(losses)
    assert found.loss == min(losses)
    assert found.best == losses.index(min(losses))
    assert found.steps == len(losses)
    assert found.history == [(i, x) for i, x in enumerate(losses) if all(x < y for y in losses[:i])]
    assert found.history[-1] == (found.best, found.loss)


def test_a_loss_of_inf_is_a_bad_candidate():
    found = of([math.inf, 3.0, math.inf, 2.0])
    assert found.history == [(1, 3.0), (3, 2.0)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_generator_decides(dtype):
    def search(rng=None):
        return random_search(
            lambda w: (w * w).sum(), lambda r: r.standard_normal(3).astype(dtype), 50, rng=rng
        )

    a, b, c = search(5), search(np.random.default_rng(5)), search(6)
    assert a.history == b.history != c.history
    assert (a.best == b.best).all()
    assert a.best.dtype == dtype
    lo.seed(1)
    first, second = search(), search()
    lo.seed(1)
    assert search().history == first.history != second.history


def test_losses_are_python_floats_whatever_comes():
    W = lo.Parameter([2.0])
    for one in (1, np.float32(1), np.array([[1.0]]), lo.Tensor(1.0), (W * 0.5).sum()):
        found = random_search(lambda w, one=one: one, lambda rng: rng.random(), 2)
        assert found.loss == 1.0
        assert type(found.loss) is float
        assert found.history == [(0, 1.0)]


def test_a_sample_that_fills_one_array_again_does_not_spoil_the_best():
    buffer = np.empty(2)
    losses = iter([1.0, 2.0])

    def sample(rng):
        buffer[:] = rng.standard_normal(2)
        return buffer

    found = random_search(lambda w: next(losses), sample, 2, rng=0)
    np.testing.assert_array_equal(found.best, np.random.default_rng(0).standard_normal(2))


def test_try_n_is_a_record_with_probability_1_over_n():
    """The lecture's question; the mean number of records of 100 tries is 1 + 1/2 + ... + 1/100 = 5.19."""
    runs = [random_search(float, lambda rng: rng.random(), 100, rng=seed) for seed in range(300)]
    records = [len(run.history) for run in runs]
    expected = sum(1 / n for n in range(1, 101))
    # The variance of the number is Σ (1/n − 1/n²), about 3.55.
    assert abs(np.mean(records) - expected) < 4 * math.sqrt(3.55 / 300)


def test_it_searches_the_weights_of_a_classifier():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 4))
    y = (X[:, 0] > 0).astype(int)
    found = random_search(
        lambda W: lo.losses.multiclass_hinge(X @ W, y), lambda r: r.standard_normal((4, 2)), 200, rng=1
    )
    assert found.loss < found.history[0][1]
    assert (np.argmax(X @ found.best, axis=1) == y).mean() > 0.6


def test_repr():
    assert repr(of([3.0, 1.0, 2.0])) == "SearchResult(loss=1 at try 1 of 3)"


@pytest.mark.parametrize("bad", [math.nan, -math.inf, np.float32("nan"), lo.Tensor(math.nan)])
def test_losses_that_cannot_be_compared_are_refused(bad):
    with pytest.raises(NonFiniteError, match=r"random_search: the loss of try 1 is (nan|-inf)"):
        of([1.0, bad, 2.0])


def test_nothing_but_inf_is_refused():
    with pytest.raises(NonFiniteError, match="the loss of all 3 tries is inf; sample smaller"):
        of([math.inf] * 3)


@pytest.mark.parametrize("steps", [0, -1, 1.5, True, None, "3"])
def test_steps_are_counted(steps):
    with pytest.raises(OptionError, match=f"random_search: steps must be an int >= 1, got {steps!r}"):
        random_search(abs, lambda rng: 1.0, steps)


def test_what_is_no_function_or_no_number_is_refused():
    with pytest.raises(DTypeError, match="loss_of must be a function, got float"):
        random_search(1.0, abs, 3)
    with pytest.raises(DTypeError, match="sample must be a function, got ndarray"):
        random_search(abs, np.ones(3), 3)
    with pytest.raises(DTypeError, match="the loss must be a number, got 'a'"):
        of(["a"])
    with pytest.raises(ShapeError, match=r"the loss must be one number, got shape \(2,\)"):
        of([np.ones(2)])
    with pytest.raises(OptionError, match="rng must be"):
        random_search(abs, abs, 3, rng="x")
