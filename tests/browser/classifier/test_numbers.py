"""The page's numbers are the library's."""

import contextlib

import numpy as np
import pytest
from classifier_pages import EVERY, near

import tinygrad_lo as lo
from tinygrad_lo.pages import classifier
from tinygrad_lo.pages.graph import drawn_values


def states(count, seed):
    """Random weights, biases and points, of sizes from 0.01 to 100."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        size = 10 ** rng.uniform(-2, 2)
        W, b, X = size * rng.normal(size=(3, 2)), size * rng.normal(size=3), rng.normal(size=(4, 2))
        yield {"W": W, "b": b, "X": X, "y": rng.integers(0, 3, 4)}


def as_lists(state):
    return {key: value.tolist() for key, value in state.items()}


@pytest.mark.parametrize(("key", "margin"), EVERY)
def test_losses_and_gradients_are_the_library_s(page, key, margin):
    tried = list(states(200, 1))
    results = page.run(
        """
        const [loss, margin, tried] = arguments;
        state.margin = margin ?? 1;
        return tried.map(({W, b, X, y}) => {
          Object.assign(state, {loss, W, b, points: X.map((x, i) => [...x, y[i]])});
          const {data, dW, db, each} = evaluate();
          return [data, dW, db, each.map(one => one.loss), each.map(one => one.gradients.x)];
        });""",
        key, margin, [as_lists(one) for one in tried],
    )  # fmt: skip
    for one, (data, dW, db, each, dx) in zip(tried, results, strict=True):
        W, b, X = lo.Parameter(one["W"]), lo.Parameter(one["b"]), lo.Parameter(one["X"])
        call = classifier.LOSSES[key].python.format(margin=margin)
        loss = eval(call, {"lo": lo, "np": np, "S": X @ W.T + b, "y": one["y"]})
        loss.backward()
        near(data, loss.numpy())
        near(dW, W.grad)
        near(db, b.grad)
        near(np.divide(dx, 4), X.grad)
        near(np.mean(each), loss.numpy())


@pytest.mark.parametrize("reg", classifier.REGULARIZERS)
@pytest.mark.parametrize("loss", ["svm", "cross_entropy"])
def test_a_step_is_the_optimizer_s(page, loss, reg):
    """SGD on data + λΣW², and SGD with its proximal l1 on the data alone."""
    (one,) = states(1, 2)
    W, b = lo.Parameter(one["W"]), lo.Parameter(one["b"])
    groups = [{"params": [W], "l1": 0.3 if reg == "l1" else 0.0}, {"params": [b]}]
    opt = lo.optim.SGD(groups, lr=0.2)
    for _ in range(20):
        opt.zero_grad()
        S = one["X"] @ W.T + b
        data = (
            lo.losses.cross_entropy(S, one["y"])
            if loss == "cross_entropy"
            else lo.losses.multiclass_hinge(S, one["y"])
        )
        total = data + 0.3 * lo.losses.l2(W) if reg == "l2" else data
        total.backward()
        opt.step()
    ours = page.run(
        """
        const [loss, reg, {W, b, X, y}] = arguments;
        Object.assign(state, {loss, reg, W, b, lambda: 0.3, eta: 0.2, points: X.map((x, i) => [...x, y[i]])});
        refresh("problem");
        for (let k = 0; k < 20; k++) by("step").click();
        return [state.W, state.b];""",
        loss, reg, as_lists(one),
    )  # fmt: skip
    np.testing.assert_allclose(ours[0], W.numpy(), rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(ours[1], b.numpy(), rtol=1e-11, atol=1e-13)
    if reg == "l1":
        assert [[v == 0 for v in row] for row in ours[0]] == (W.numpy() == 0).tolist()


@pytest.mark.parametrize(("key", "margin"), EVERY)
def test_the_graph_is_the_library_s(page, key, margin):
    choice = classifier.LOSSES[key]
    rng = np.random.default_rng(3)
    name = key if margin is None else f"{key},{margin:g}"
    rows = classifier.graph_of(key, margin).rows
    for y in range(3):
        values = rng.normal(size=3)
        s = lo.Parameter(values, name="s")
        loss = choice.of(s, np.array(y), margin)
        nodes = drawn_values(loss)
        results = page.run(
            "return GRAPH[arguments[0]]({s: arguments[1], y: arguments[2]})", name, values.tolist(), y
        )
        assert len(nodes) == len(rows)
        for k, node in enumerate(nodes):
            near(np.ravel(results[k]), np.ravel(node.numpy()))
            near(np.ravel(results[len(nodes) + k]), np.ravel(lo.grad(loss, node)))


def test_the_python_text_is_this_graph(page):
    for key in classifier.LOSSES:
        text, ours = page.run(
            """
            Object.assign(state, {loss: arguments[0], reg: "l1", lambda: 0.03, margin: 0.5});
            state.names = ["a\\n", '"', "c"];
            refresh("problem");
            return [python(), [current.total, current.dW, current.db]];""",
            key,
        )
        space = {}
        with contextlib.redirect_stdout(None):
            exec(text, space)
        near(ours[0], space["loss"].numpy())
        np.testing.assert_allclose(space["W"].grad - 0.03 * np.sign(space["W"].numpy()), ours[1], atol=1e-14)
        np.testing.assert_allclose(space["b"].grad, ours[2], atol=1e-14)
        assert type(space["optimizer"]) is lo.optim.SGD
