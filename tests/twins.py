"""Programs beside the engine: a compiled function and the function itself, a printed loss and its graph."""

import numpy as np

import tinygrad_lo as lo


def eager(f, leaves, *args):
    """(value, gradients) of `loss = f(*args); loss.backward()`, from no gradients."""
    for leaf in leaves:
        leaf.grad = None
    loss = f(*args)
    value = loss.item()
    loss.backward()
    return value, [leaf.grad for leaf in leaves]


def compiled_once(compiled, leaves, *args):
    """(value, gradients) of one call of a compiled function, from no gradients."""
    for leaf in leaves:
        leaf.grad = None
    value = compiled(*args)
    return value, [leaf.grad for leaf in leaves]


def assert_same(found, expected, rtol=1e-12):
    """Two such results are equal but for rounding, and of one class and dtype."""
    np.testing.assert_allclose(found[0], expected[0], rtol=rtol, atol=1e-15)
    assert [g is None for g in found[1]] == [g is None for g in expected[1]]
    for g, wanted in zip(found[1], expected[1], strict=True):
        if wanted is not None:
            assert type(g) is type(wanted)
            assert g.dtype == wanted.dtype
            assert g.shape == wanted.shape
            np.testing.assert_allclose(g, wanted, rtol=rtol, atol=rtol)


def agree(compiled, f, leaves, *args, calls=2, rtol=1e-12):
    """Each of several calls on these arguments answers as the engine does. (f must change nothing.)"""
    expected = eager(f, leaves, *args)
    for _ in range(calls):
        assert_same(compiled_once(compiled, leaves, *args), expected, rtol)


def train(step, parameters, batches, after=None, arrays=()):
    """Gradient descent: what each step returned, the parameters and the arrays at the end.

    Starts from the same numbers each time: parameters and arrays are set back afterwards.
    """
    starts = [np.array(p.data) for p in parameters]
    before = [array.copy() for array in arrays]
    lo.seed(3)
    losses = []
    for i, batch in enumerate(batches):
        for p in parameters:
            p.grad = None
        losses.append(float(step(*batch)))
        for p in parameters:
            if p.grad is not None:
                p.data = p.data - 0.05 * p.grad
        if after is not None:
            after(i)
    ends = [np.array(p.data) for p in parameters] + [array.copy() for array in arrays]
    for p, start in zip(parameters, starts, strict=True):
        p.data, p.grad = start, None
    for array, start in zip(arrays, before, strict=True):
        array[...] = start
    return losses, ends


def by_hand(f):
    """What `lo.compile(f)` stands for."""

    def step(*args):
        loss = f(*args)
        loss.backward()
        return loss.item()

    return step


def trains_alike(f, parameters, batches, *, check=True, before=None, after=None, arrays=(), rtol=1e-9):
    """Compiled and not, training goes through the same losses and ends at the same numbers."""
    results = []
    for step in (by_hand(f), lo.compile(f, check=check)):
        if before is not None:
            before()
        results.append(train(step, parameters, batches, after, arrays))
    (expected, ends), (losses, found) = results
    np.testing.assert_allclose(losses, expected, rtol=rtol)
    for a, b in zip(found, ends, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


def source_agrees(loss):
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
