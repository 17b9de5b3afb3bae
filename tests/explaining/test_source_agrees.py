"""The printed program, executed, is the engine to the last bit: every op, every loss, random graphs."""

import numpy as np
import pytest
from graphs import random_leaves, random_loss, seeds
from samples import COMPOSED_CASES, TABLE_CASES, fill, inputs_of, positions

import tinygrad_lo as lo


def agree(loss):
    """Run the text as a reader would, and compare value and gradients with backward()."""
    text = lo.source(loss)
    namespace = {}
    exec(compile(text, "<source>", "exec"), namespace)
    before = {name: np.copy(x) for name, x in text.arguments.items()}
    value, gradients = namespace["loss_and_gradients"](**text.arguments)
    for name, x in text.arguments.items():
        np.testing.assert_array_equal(x, before[name])
    assert value == loss.item() or (np.isnan(value) and np.isnan(loss.item())), text
    leaves = {node.name: node for node in lo.engine.graph.reachable([loss]) if node.op is None}
    loss.backward()
    expected = {
        name: leaf.grad for name, leaf in leaves.items() if leaf.requires_grad and leaf.grad is not None
    }
    assert set(gradients) == set(expected), text
    for name, g in expected.items():
        assert np.shape(gradients[name]) == np.shape(g), text
        assert gradients[name].dtype == g.dtype, text
        np.testing.assert_array_equal(gradients[name], g, err_msg=text)


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
    agree(weighted(op.apply(*made), rng))


@pytest.mark.parametrize(("entry", "case"), COMPOSED_CASES)
def test_every_composed_function(entry, case, rng):
    made = fill(case, entry.domain, rng)
    names = iter("abcdefgh")
    for i in positions(case):
        made[i] = lo.Parameter(made[i], name=next(names))
    if isinstance(made[0], list):
        made[0] = [lo.Parameter(x, name=next(names)) for x in made[0]]
    agree(weighted(entry.function(*made), rng))


@pytest.mark.parametrize("seed", seeds(quick=400, all=2000))
def test_random_graphs(seed):
    rng = np.random.default_rng(seed)
    loss = random_loss(rng, random_leaves(rng))
    if not loss.requires_grad:
        return
    with np.errstate(all="ignore"):
        agree(loss)
