"""The printed program, executed, is the engine to the last bit: every op, every loss, random graphs."""

import numpy as np
import pytest
from graphs import random_leaves, random_loss, seeds
from samples import COMPOSED_CASES, TABLE_CASES, fill, inputs_of, positions
from twins import source_agrees

import tinygrad_lo as lo


def weighted(y, rng):
    """A number that depends on every element of y differently."""
    parts = y if isinstance(y, list) else [y]
    return sum((part * rng.uniform(0.5, 1.5, part.shape)).sum() for part in parts)


@pytest.mark.parametrize(("op", "case"), TABLE_CASES)
def test_every_op(op, case, rng):
    made = inputs_of(op, case, rng)
    names = iter("abcdefgh")
    wanted = positions(case)
    for i in wanted:
        rules = op.rules * len(case) if op.arity is None else op.rules
        if rules[i] is not None:
            made[i] = lo.Parameter(made[i], name=next(names))
    source_agrees(weighted(op.apply(*made), rng))


@pytest.mark.parametrize(("entry", "case"), COMPOSED_CASES)
def test_every_composed_function(entry, case, rng):
    made = fill(case, entry.domain, rng)
    names = iter("abcdefgh")
    for i in positions(case):
        made[i] = lo.Parameter(made[i], name=next(names))
    if isinstance(made[0], list):
        made[0] = [lo.Parameter(x, name=next(names)) for x in made[0]]
    source_agrees(weighted(entry.function(*made), rng))


@pytest.mark.parametrize("seed", seeds(quick=150, all=2000))
def test_random_graphs(seed):
    rng = np.random.default_rng(seed)
    loss = random_loss(rng, random_leaves(rng))
    if not loss.requires_grad:
        return
    with np.errstate(all="ignore"):
        source_agrees(loss)
