"""Random masks, training flags and running statistics in compiled functions, as the engine has them."""

import itertools

import numpy as np
import pytest
from twins import trains_alike

import tinygrad_lo as lo

CHECKS = pytest.mark.parametrize("check", [True, False])


@pytest.fixture
def W(rng):
    return lo.Parameter(rng.standard_normal((3, 2)), name="W")


@pytest.fixture
def b(rng):
    return lo.Parameter(rng.standard_normal(2), name="b")


@pytest.fixture
def batches(rng):
    return [(rng.standard_normal((6, 3)),) for _ in range(18)]


@CHECKS
def test_dropout_draws_the_numbers_of_the_engine(W, b, batches, check):
    generator = None

    def renew():
        nonlocal generator
        generator = np.random.default_rng(5)

    def f(x):
        h = lo.nn.dropout(x @ W, 0.5)
        h = lo.nn.dropout(h + b, 0.3, rng=generator)
        return (lo.nn.dropout(h, 0.2, rng=7) ** 2).mean() + lo.nn.dropout(x, 0.5).sum() * b.sum()

    trains_alike(f, [W, b], batches, check=check, before=renew)


@CHECKS
def test_dropout_and_branches_beside_it(W, b, batches, check):
    def f(x):
        h = lo.nn.dropout(x @ W, 0.5)
        if h.sum() > 0:
            return (lo.nn.dropout(h, 0.3) ** 2).sum()
        return (h * b).mean()

    trains_alike(f, [W, b], batches, check=check)


@CHECKS
def test_masks_differ_from_call_to_call(check):
    p = lo.Parameter(np.ones(64))
    c = lo.compile(lambda: lo.nn.dropout(p, 0.5).sum(), check=check)
    assert len({float(c()) for _ in range(12)}) > 4


@CHECKS
def test_training_and_evaluation(batches, check):
    model = lo.nn.Sequential(
        lo.nn.Linear(3, 8, rng=0), lo.nn.Tanh(), lo.nn.Dropout(0.5), lo.nn.Linear(8, 1, rng=1)
    )

    def turn(i):
        (model.eval if i % 3 == 2 else model.train)()
        model[2].p = 0.2 if i % 4 == 1 else 0.5

    trains_alike(
        lambda x: (model(x) ** 2).mean(), list(model.parameters()), batches, check=check, after=turn,
        before=lambda: turn(0),
    )  # fmt: skip


@CHECKS
def test_running_statistics_move_once_a_call(W, b, batches, check):
    means, variances, training = np.zeros(2), np.ones(2), True

    def turn(i):
        nonlocal training
        training = i % 4 != 3

    def f(x):
        h = lo.nn.batch_norm(x @ W, b, running_mean=means, running_var=variances, training=training)
        if h[0, 0] > 0.5:
            return (h**3).mean() + lo.nn.dropout(h, 0.2).sum()
        return (h**3).mean()

    trains_alike(
        f, [W, b], batches, check=check, after=turn, before=lambda: turn(0), arrays=[means, variances]
    )
    c = lo.compile(f, check=check)
    for x in (batches[0][0], batches[1][0]) * 5:
        before = means.copy(), variances.copy()
        f(x)
        moved = means.copy(), variances.copy()
        means[...], variances[...] = before
        c(x)
        np.testing.assert_allclose((means, variances), moved, rtol=1e-12)


def test_running_statistics_do_not_lead_to_new_recordings(W, rng):
    means, variances, runs = np.zeros(2), np.ones(2), itertools.count()

    def f(x):
        next(runs)
        h = lo.nn.batch_norm(x @ W, running_mean=means, running_var=variances)
        return (lo.nn.dropout(h, 0.5) ** 3).sum()

    c = lo.compile(f, check=False)
    for _ in range(10):
        c(rng.standard_normal((6, 3)))
    assert next(runs) == 1


def test_running_statistics_that_are_replaced(W, rng):
    means, variances = np.zeros(2), np.ones(2)
    c = lo.compile(
        lambda x: (lo.nn.batch_norm(x @ W, running_mean=means, running_var=variances) ** 3).mean(),
        check=False,
    )
    x = rng.standard_normal((6, 3))
    c(x)
    old, kept = means, means.copy()
    means = np.zeros(2)
    c(x)
    np.testing.assert_array_equal(old, kept)
    np.testing.assert_allclose(means, kept)
