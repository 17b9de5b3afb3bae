"""Tests made from the table: whatever is entered there is tested here, without a line of its own.

For every op: its value against its own NumPy text, first and second derivatives against numbers,
dtypes, untouched inputs; and that a rule that is wrong by 0.1 % would be noticed.
"""

import dataclasses
import functools

import numpy as np
import pytest
from samples import cases, fill, inputs_of, positions, spelled

from tinygrad_lo.engine.derivatives import grad
from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.ops import COMPOSED, TABLE, Shape
from tinygrad_lo.engine.tensor import Tensor


def differences(value, arrays, h=1e-5):
    """Central differences of value() by every element of the arrays, which are changed in place."""
    gradients = []
    for x in arrays:
        g = np.zeros(x.shape)
        for place in np.ndindex(x.shape):
            before = x[place]
            x[place] = before + h
            above = value()
            x[place] = before - h
            g[place] = (above - value()) / (2 * h)
            x[place] = before
        gradients.append(g)
    return gradients


def gap(a, b, least=0.0) -> float:
    """The largest difference, relative to the largest number (elements may be exactly zero)."""
    scale = max([least, *(float(np.abs(x).max(initial=0.0)) for x in [*a, *b])])
    worst = max((float(np.abs(x - y).max()) for x, y in zip(a, b, strict=True) if np.size(x)), default=0.0)
    return worst / scale if scale else worst


def derivative_gaps(call, made, where, rng, order):
    """How far the engine's first (or second) derivatives of call(*made) are from central differences."""
    arrays = [np.array(made[i]) for i in where]

    def run(wanted):
        args = list(made)
        leaves = [Tensor(x.copy(), requires_grad=True) for x in arrays]
        for i, leaf in zip(where, leaves, strict=True):
            args[i] = leaf
        y = call(*args)
        loss = (y * weights).sum()
        if wanted == 0:
            return loss.item()
        first = grad(loss, leaves, create_graph=True, allow_unused=True)
        total = sum((g * d).sum() for g, d in zip(first, directions, strict=True) if g is not None)
        if wanted == 1:
            return float(total.item()) if isinstance(total, Node) else total
        if not isinstance(total, Node) or not total.requires_grad:
            return first, [np.zeros(x.shape) for x in arrays]
        second = grad(total, leaves, allow_unused=True)
        return first, [np.zeros(x.shape) if g is None else g for g, x in zip(second, arrays, strict=True)]

    weights = 1.0
    directions = [rng.uniform(0.5, 1.5, x.shape) for x in arrays]
    args = list(made)
    for i, x in zip(where, arrays, strict=True):
        args[i] = Tensor(x)
    weights = rng.uniform(0.5, 1.5, np.shape(call(*args)))
    first, second = run(2)
    if order == 1:
        first = [
            np.zeros(x.shape) if g is None else np.asarray(g.value)
            for g, x in zip(first, arrays, strict=True)
        ]
        return gap(first, differences(lambda: run(0), arrays))
    # A second derivative that cancels to 0, like that of a norm of one number, is measured against the first.
    size = max((float(np.abs(g.value).max(initial=0.0)) for g in first if g is not None), default=0.0)
    return gap(second, differences(lambda: run(1), arrays), least=1e-3 * size)


def entries(kind):
    return [
        pytest.param(op, case, id=f"{op.name}-{i}")
        for op in TABLE.values()
        if op.differentiable or kind == "all"
        for i, case in enumerate(cases(op))
    ]


@pytest.mark.parametrize(("op", "case"), entries("all"))
def test_value_is_the_spelling(op, case, rng):
    made = inputs_of(op, case, rng)
    expected = spelled(op, made)
    tensors = [Tensor(x) if i in positions(case) else x for i, x in enumerate(made)]
    for value in (op.apply(*made), op.apply(*tensors)):
        y = value.numpy() if isinstance(value, Tensor) else value
        assert y.shape == np.shape(expected)
        assert y.dtype == np.asarray(expected).dtype
        np.testing.assert_allclose(y, expected, rtol=1e-13, atol=1e-15)
        assert not (isinstance(y, np.ndarray) and y.ndim == 0 and not isinstance(value, Tensor)), (
            "a scalar is a number"
        )


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(("op", "case"), entries("differentiable"))
def test_derivatives_are_the_numbers(op, case, order, rng):
    made = inputs_of(op, case, rng)
    where = [
        i for i in positions(case) if op.arity is None or (i < len(op.rules) and op.rules[i] is not None)
    ]
    assert derivative_gaps(op.apply, made, where, rng, order) < 1e-7


@pytest.mark.parametrize("op", [op for op in TABLE.values() if op.differentiable], ids=lambda op: op.name)
def test_a_rule_that_is_wrong_by_a_thousandth_is_noticed(op, rng, monkeypatch):
    for number, rule in enumerate(op.rules):
        if rule is None:
            continue

        def wrong(*args, rule=rule):
            return rule(*args) * 1.001

        planted = [*op.rules[:number], wrong, *op.rules[number + 1 :]]
        monkeypatch.setattr(op, "rules", tuple(planted))
        gaps = []
        for case in cases(op):
            made = inputs_of(op, case, rng)
            where = [number] if op.arity is not None else positions(case)
            if (op.arity is None or number in positions(case)) and np.size(op.apply(*made)):
                gaps.append(derivative_gaps(op.apply, made, where, rng, 1))
        monkeypatch.undo()
        assert max(gaps) > 1e-5


@pytest.mark.parametrize("op", [op for op in TABLE.values() if not op.differentiable], ids=lambda op: op.name)
def test_without_rules_the_result_needs_no_gradient(op, rng):
    for case in cases(op):
        made = [Tensor(x, requires_grad=True) for x in inputs_of(op, case, rng)]
        assert not op.apply(*made).requires_grad


@pytest.mark.parametrize(("op", "case"), entries("differentiable"))
def test_float32_stays_float32(op, case, rng):
    made = inputs_of(op, case, rng)
    where = [
        i for i in positions(case) if op.arity is None or (i < len(op.rules) and op.rules[i] is not None)
    ]
    single = list(made)
    leaves = []
    for i in where:
        single[i] = Tensor(np.asarray(made[i], np.float32), requires_grad=True)
        leaves.append(single[i])
    if op.name == "astype":
        single[1] = np.dtype("float32")
    y = op.apply(*single)
    assert y.dtype == np.float32
    seen = []

    def recorded(rule):
        @functools.wraps(rule)
        def run(*args):
            result = rule(*args)
            seen.append(result.dtype)
            return result

        return run

    y.op = dataclasses.replace(op, rules=tuple(rule and recorded(rule) for rule in op.rules))
    y.backward(seed=np.ones(y.shape, np.float32))
    assert seen
    assert set(seen) == {np.dtype(np.float32)}, "a rule changed the dtype"
    for leaf in leaves:
        assert leaf.grad.dtype == np.float32
        assert leaf.grad.shape == leaf.shape


@pytest.mark.parametrize(("op", "case"), entries("differentiable"))
def test_nothing_is_written_in_place(op, case, rng):
    """Inputs, output and arriving gradient are closed for writing: a rule that writes would raise."""
    made = inputs_of(op, case, rng)
    for i in positions(case):
        if isinstance(made[i], np.ndarray):
            made[i].flags.writeable = False
    where = [
        i for i in positions(case) if op.arity is None or (i < len(op.rules) and op.rules[i] is not None)
    ]
    args = list(made)
    for i in where:
        args[i] = Tensor(made[i], requires_grad=True)
    y = op.apply(*args)
    if isinstance(y.value, np.ndarray) and y.value.flags.owndata:
        y.value.flags.writeable = False
    seed = np.ones(y.shape)
    seed.flags.writeable = False
    inputs = y.inputs
    for rule in op.rules:
        if op.arity is None:
            [rule(k, seed, y.value, *inputs) for k in range(len(inputs) - 1)]
        elif rule is not None:
            rule(seed[()], y.value, *inputs)
    y.backward() if y.size == 1 else y.backward(seed=seed)
    for i in where:
        g = args[i].grad
        if isinstance(g, np.ndarray):
            assert g.flags.writeable, "a leaf's gradient is its own array"
            assert g.base is None
            assert g is not seed


def composed_cases():
    return [
        pytest.param(entry, sample, id=f"{entry.name}-{i}")
        for entry in COMPOSED.values()
        for i, sample in enumerate(entry.samples)
    ]


@pytest.mark.parametrize(("entry", "case"), composed_cases())
def test_composed_value_is_the_spelling(entry, case, rng):
    made = fill(case, entry.domain, rng)
    if any(0 in x.shape for x in made if isinstance(x, np.ndarray)) and entry.name in ("mean", "var", "std"):
        pytest.skip("NumPy gives nan with a warning; here it is an error, tested elsewhere")
    expected = spelled(entry, made)
    y = entry.function(*made)
    tensors = []
    for item, x in zip(case, made, strict=True):
        if isinstance(item, list):
            tensors.append([Tensor(part) for part in x])
        else:
            tensors.append(Tensor(x) if isinstance(item, Shape) else x)
    t = entry.function(*tensors)
    for value in (y, t.numpy()):
        assert np.shape(value) == np.shape(expected)
        np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(("entry", "case"), composed_cases())
def test_composed_derivatives_are_the_numbers(entry, case, order, rng):
    if isinstance(case[0], list):
        count, rest = len(case[0]), case[1:]
        case = (*case[0], *rest)

        def call(*args):
            return entry.function(list(args[:count]), *args[count:])
    else:
        call = entry.function
    made = fill(case, entry.domain, rng)
    assert derivative_gaps(call, made, positions(case), rng, order) < 2e-7


@pytest.mark.parametrize(("op", "case"), entries("differentiable"))
def test_the_layout_in_memory_changes_nothing(op, case, rng):
    """Reversed, gapped and column-first inputs give what contiguous ones give, gradients too."""
    made = inputs_of(op, case, rng)
    where = [
        i for i in positions(case) if op.arity is None or (i < len(op.rules) and op.rules[i] is not None)
    ]
    results = []
    for turn in (np.ascontiguousarray, turned):
        args = list(made)
        leaves = []
        for i in where:
            args[i] = Tensor(turn(made[i]) if np.ndim(made[i]) else made[i], requires_grad=True)
            leaves.append(args[i])
        y = op.apply(*args)
        y.backward(seed=turn(np.linspace(-1.0, 1.0, y.size).reshape(y.shape)) if y.ndim else 0.5)
        results.append([y.numpy(), *(leaf.grad for leaf in leaves)])
    for plain, strange in zip(*results, strict=True):
        np.testing.assert_allclose(plain, strange, rtol=1e-12, atol=1e-14)


def turned(x: np.ndarray) -> np.ndarray:
    """The same values in an array with gaps, column first and backwards in memory."""
    roomy = np.full([2 * n for n in reversed(x.shape)], np.nan)
    view = roomy.T[tuple(slice(None, None, -2) for _ in x.shape)]
    view[...] = x
    return view
