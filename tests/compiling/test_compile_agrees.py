"""A compiled function gives the engine's numbers: every op, every composed function, random graphs."""

import numpy as np
import pytest
from graphs import M, N, random_leaves, random_loss, seeds
from samples import COMPOSED_CASES, TABLE_CASES, fill, inputs_of, positions

import tinygrad_lo as lo


def agree(f, leaves, *args, times=3):
    """Call compiled and engine with the same numbers, several times, the leaves moving in between."""
    compiled = lo.compile(f, check=False)
    rng = np.random.default_rng(1)
    held = []
    for _ in range(times):
        for leaf in leaves:
            leaf.grad = None
        f(*args).backward()
        expected = [leaf.grad for leaf in leaves]
        value = f(*args).item()
        for leaf in leaves:
            leaf.grad = None
        found = compiled(*args)
        assert type(found).__module__ == "numpy"
        np.testing.assert_allclose(found, value, rtol=1e-12, atol=1e-300)
        for leaf, g in zip(leaves, expected, strict=True):
            assert (leaf.grad is None) == (g is None)
            if g is not None:
                assert type(leaf.grad) is type(g)
                assert leaf.grad.dtype == g.dtype
                scale = np.abs(g).max(initial=0.0) if np.isfinite(g).all() else 1.0
                # What cancels to nothing leaves rounding, which no relative tolerance forgives.
                np.testing.assert_allclose(leaf.grad, g, rtol=1e-12, atol=1e-12 * scale + 1e-15)
                held.append((leaf.grad, np.array(leaf.grad)))
        for leaf in leaves:
            leaf.data = leaf.data * rng.uniform(0.97, 1.03)
    for array, before in held:  # gradients that were handed out are never written into
        np.testing.assert_array_equal(array, before)
    return compiled


def weighted(y, weights):
    """A number that depends on every element of y differently."""
    parts = y if isinstance(y, list) else [y]
    return sum((part * w).sum() for part, w in zip(parts, weights, strict=True))


def weights_for(y, rng):
    return [rng.uniform(0.5, 1.5, part.shape)[()] for part in (y if isinstance(y, list) else [y])]


@pytest.mark.parametrize(("op", "case"), TABLE_CASES)
def test_every_op(op, case, rng):
    made = inputs_of(op, case, rng)
    leaves = []
    for i in positions(case):
        rules = op.rules * len(case) if op.arity is None else op.rules
        if rules[i] is not None:
            made[i] = lo.Parameter(made[i], name=f"p{i}")
            leaves.append(made[i])
    weights = weights_for(op.apply(*made), rng)
    agree(lambda: weighted(op.apply(*made), weights), leaves)


@pytest.mark.parametrize(("entry", "case"), COMPOSED_CASES)
def test_every_composed_function(entry, case, rng):
    made = fill(case, entry.domain, rng)
    leaves = []
    for i in positions(case):
        made[i] = lo.Parameter(made[i])
        leaves.append(made[i])
    if isinstance(made[0], list):
        made[0] = [lo.Parameter(x) for x in made[0]]
        leaves += made[0]
    weights = weights_for(entry.function(*made), rng)
    agree(lambda: weighted(entry.function(*made), weights), leaves)


@pytest.mark.parametrize("seed", seeds(quick=60, all=500))
def test_random_graphs(seed):
    leaves = random_leaves(np.random.default_rng(seed))

    def f(c):
        return random_loss(np.random.default_rng(seed + 10_000), [*leaves[:2], lo.Tensor(c)])

    c = np.random.default_rng(seed + 1).standard_normal((N, M))
    if f(c).requires_grad:
        with np.errstate(all="ignore"):
            agree(f, leaves[:2], c)
