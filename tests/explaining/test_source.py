"""What lo.source prints: the text, its arguments, and that it leaves the graph as it was."""

import ast
import inspect
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo import losses

Y = np.array([0, 1, 2, 3, 0])


def run(text, **other):
    """Run the printed text as a script would."""
    namespace = {}
    exec(compile(text, "<source>", "exec"), namespace)
    return namespace["loss_and_gradients"](**{**text.arguments, **other})


def body(text):
    """What stands below the docstring."""
    return str(text).split('"""\n')[-1]


def leaf(*shape, name="w"):
    """A parameter with the elements 1, 2, 3, ..."""
    data = np.arange(1.0, 1 + np.prod(shape, dtype=int)).reshape(shape)
    return lo.Parameter(data if shape else 2.0, name=name)


def matrix(rng, *shape, name, kind=lo.Parameter):
    return kind(rng.standard_normal(shape), name=name)


def classifier(rng):
    X = matrix(rng, 5, 3, name="X", kind=lo.Tensor)
    W, b = matrix(rng, 3, 4, name="W"), matrix(rng, 4, name="b")
    return losses.cross_entropy((X @ W + b).named("S"), Y)


def svm(rng):
    X, W = matrix(rng, 5, 3, name="X", kind=lo.Tensor), matrix(rng, 3, 4, name="W")
    with lo.scope("data"):
        data = losses.multiclass_hinge((X @ W).named("S"), Y)
    with lo.scope("regularization"):
        penalty = 0.1 * losses.l2(W)
    return data + penalty


def mlp(rng):
    X = matrix(rng, 5, 3, name="X", kind=lo.Tensor)
    W1, b1 = matrix(rng, 3, 6, name="W1"), matrix(rng, 6, name="b1")
    W2, b2 = matrix(rng, 6, 4, name="W2"), matrix(rng, 4, name="b2")
    return losses.cross_entropy((X @ W1 + b1).relu().named("H") @ W2 + b2, Y)


def micrograd(rng):
    """The expression of micrograd's README."""
    a, b = lo.Parameter(-4.0, name="a"), lo.Parameter(2.0, name="b")
    c = a + b
    d = a * b + b**3
    c = c + (c + 1)
    c = c + (1 + c + (-a))
    d = d + (d * 2 + (b + a).relu())
    d = d + (3 * d + (b - a).relu())
    e = c - d
    f = e**2
    return f / 2.0 + 10.0 / f


def convolution(rng):
    W, b = matrix(rng, 4, 3, 3, 2, name="W"), matrix(rng, 4, name="b")
    return (lo.nn.max_pool2d(lo.nn.conv2d(rng.standard_normal((2, 3, 6, 5)), W, b), 2) ** 2).mean()


MODELS = [classifier, svm, mlp, micrograd, convolution]
SHOWN = {
    classifier: '''
        import numpy as np


        def loss_and_gradients(X, y1, W, b):
            """The loss, and its gradient by each parameter."""
            S = X @ W + b  # (5, 4)

            # cross_entropy
            v1 = S - np.max(S, axis=-1, keepdims=True)  # (5, 4)
            log_p = v1 - np.log(np.sum(np.exp(v1), axis=-1, keepdims=True))  # (5, 4)
            log_p_y = np.take_along_axis(log_p, y1[..., None], -1)  # (5, 1)
            L_i = -log_p_y  # (5, 1)
            loss = np.sum(L_i) / 5

            # backward: cross_entropy
            dlog_p = np.where(y1[..., None] == np.arange(4), -0.2, 0)  # (5, 4)
            dS = dlog_p - np.exp(log_p) * -0.2  # (5, 4)

            # backward
            db = np.sum(dS, axis=0)  # (4,)
            dW = X.T @ dS  # (3, 4)
            return loss, {"W": dW, "b": db}
        ''',
    svm: '''
        import numpy as np


        def loss_and_gradients(X, y1, j_y, W):
            """The loss, and its gradient by each parameter."""

            # data
            S = X @ W  # (5, 4)

            # data / multiclass_hinge
            s_y = np.take_along_axis(S, y1[..., None], -1)  # (5, 1)
            v1 = np.maximum(S - s_y + 1.0, 0)  # (5, 4)
            margins = v1 * j_y  # (5, 4)
            L_i = np.sum(margins, axis=-1)  # (5,)
            v2 = np.sum(L_i) / 5

            # regularization / l2
            v3 = np.sum(np.square(W))

            # regularization
            v4 = 0.1 * v3
            loss = v2 + v4

            # backward: regularization / l2
            v5 = 0.1 * (2.0 * W)  # (3, 4)

            # backward: data / multiclass_hinge
            dL_i = np.full(5, 0.2)  # (5,)
            v6 = np.reshape(dL_i, (5, 1)) * j_y * (v1 > 0)  # (5, 4)
            ds_y = np.reshape(np.sum(-v6, axis=1), (5, 1))  # (5, 1)
            dS = v6 + np.where(y1[..., None] == np.arange(4), ds_y, 0)  # (5, 4)

            # backward: data
            dW = v5 + X.T @ dS  # (3, 4)
            return loss, {"W": dW}
        ''',
    mlp: '''
        import numpy as np


        def loss_and_gradients(X, y1, W1, b1, W2, b2):
            """The loss, and its gradient by each parameter."""
            H = np.maximum(X @ W1 + b1, 0)  # (5, 6)
            v1 = H @ W2 + b2  # (5, 4)

            # cross_entropy
            v2 = v1 - np.max(v1, axis=-1, keepdims=True)  # (5, 4)
            log_p = v2 - np.log(np.sum(np.exp(v2), axis=-1, keepdims=True))  # (5, 4)
            log_p_y = np.take_along_axis(log_p, y1[..., None], -1)  # (5, 1)
            L_i = -log_p_y  # (5, 1)
            loss = np.sum(L_i) / 5

            # backward: cross_entropy
            dlog_p = np.where(y1[..., None] == np.arange(4), -0.2, 0)  # (5, 4)
            v3 = dlog_p - np.exp(log_p) * -0.2  # (5, 4)

            # backward
            db2 = np.sum(v3, axis=0)  # (4,)
            dH = v3 @ W2.T  # (5, 6)
            dW2 = H.T @ v3  # (6, 4)
            v4 = dH * (H > 0)  # (5, 6)
            db1 = np.sum(v4, axis=0)  # (6,)
            dW1 = X.T @ v4  # (3, 6)
            return loss, {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}
        ''',
    micrograd: '''
        import numpy as np


        def loss_and_gradients(a, b):
            """The loss, and its gradient by each parameter."""
            v1 = a + b
            v2 = a * b + b ** 3
            v3 = v1 + (v1 + 1)
            v4 = np.maximum(b + a, 0)
            v5 = v2 + (v2 * 2 + v4)
            v6 = np.maximum(b - a, 0)
            v7 = v3 + (1 + v3 - a) - (v5 + (3 * v5 + v6))
            v8 = v7 ** 2
            v9 = 10.0 / v8
            loss = v8 / 2.0 + v9

            # backward
            v10 = (-v9 / v8 + 0.5) * (2.0 * v7)
            v11 = -v10
            v12 = v11 * (v6 > 0)
            v13 = v11 * 3 - v10
            v14 = v13 * (v4 > 0)
            v15 = v13 + v13 * 2
            v16 = v10 + v10
            v17 = v16 + v16
            da = v14 - v12 - v10 + v15 * b + v17
            db = v12 + v14 + v15 * (3 * b ** 2) + v15 * a + v17
            return loss, {"a": da, "b": db}
        ''',
}


@pytest.mark.parametrize("build", SHOWN)
def test_it_reads_like_written_by_hand(build, rng):
    assert str(lo.source(build(rng))) == dedent(SHOWN[build]).lstrip()


# ------------------------------------------------------------------------------------ every text


def names_in(tree):
    return [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]


@pytest.mark.parametrize("build", MODELS)
def test_no_dead_line_and_no_detour(build, rng):
    text = lo.source(build(rng))
    *_, function = ast.parse(text).body
    loads = Counter(
        n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)
    )
    stores = [
        t.id for s in function.body if isinstance(s, ast.Assign) for t in s.targets if isinstance(t, ast.Name)
    ]
    assert len(stores) == len(set(stores))
    assert all(loads[name] for name in [*stores, *(a.arg for a in function.args.args)]), text
    assert all(word not in text for word in ("** 1.0", "** 1)", "* 1.0)", "/ 1.0", "+ 0.0", "- -", "+ -"))
    right = [ast.unparse(s.value) for s in function.body if isinstance(s, ast.Assign)]
    fresh = [t for t in right if not t.startswith("np.zeros(")]
    assert len(fresh) == len(set(fresh)), "an expression stands there twice"
    assert all(len(line) <= 110 for line in body(text).splitlines()), text
    assert not any(line != line.rstrip() or "\t" in line for line in text.splitlines())
    assert text.endswith("}\n")


@pytest.mark.parametrize("build", MODELS)
def test_shapes_at_the_ends_of_lines_are_right(build, rng):
    text = lo.source(build(rng))
    lines = []
    for line in text.splitlines():
        lines.append(line)
        code, _, shape = line.partition("  # (")
        if shape and " = " in code:
            lines.append(f"    assert {code.split(' = ')[0].strip()}.shape == ({shape}, {line!r}")
    assert len(lines) > len(text.splitlines()) or build is micrograd
    namespace = {}
    exec("\n".join(lines), namespace)
    namespace["loss_and_gradients"](**text.arguments)


@pytest.mark.parametrize("build", MODELS)
def test_arguments_are_those_of_the_graph_and_stay_as_they_were(build, rng):
    loss = build(rng)
    text = lo.source(loss)
    namespace = {}
    exec(text, namespace)
    function = namespace["loss_and_gradients"]
    assert list(inspect.signature(function).parameters) == list(text.arguments)
    before = {name: np.copy(x) for name, x in text.arguments.items()}
    for _ in range(2):
        value, gradients = function(**text.arguments)
        assert value == loss.item()
    for name, x in text.arguments.items():
        np.testing.assert_array_equal(x, before[name])
    assert set(gradients) <= set(text.arguments)


@pytest.mark.parametrize("build", MODELS)
def test_nothing_changes(build, rng):
    loss = build(rng)
    nodes = lo.engine.graph.reachable([loss])
    leaves = [node for node in nodes if node.op is None and node.requires_grad]
    leaves[0].grad = np.ones(leaves[0].shape)
    values = [np.copy(node.data) for node in nodes]
    text = lo.source(loss)
    assert lo.source(loss) == text
    assert lo.engine.graph.reachable([loss]) == nodes
    for node, value in zip(nodes, values, strict=True):
        np.testing.assert_array_equal(node.data, value)
    np.testing.assert_array_equal(leaves[0].grad, np.ones(leaves[0].shape))
    assert all(node.grad is None for node in leaves[1:])
    leaves[0].grad = None
    loss.backward()
    for node in leaves:
        np.testing.assert_array_equal(run(text)[1][node.name], node.grad)


SCRIPT = """
import numpy as np, tinygrad_lo as lo
rng = np.random.default_rng(0)
X, W = lo.Tensor(rng.normal(size=(5, 3)), name="X"), lo.Parameter(rng.normal(size=(3, 4)), name="W")
with lo.scope("data"):
    loss = lo.losses.multiclass_hinge(X @ W, np.array([0, 1, 2, 3, 0]))
for name in "zyxwvu":
    loss = loss + lo.losses.l2(lo.Parameter([1.0, 2.0], name=name)) * float(ord(name))
print(lo.source(loss))
"""


def test_the_same_text_in_every_process():
    texts = {
        subprocess.run(
            [sys.executable, "-W", "error", "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }  # fmt: skip
    assert len(texts) == 1
    assert "def loss_and_gradients(X, y1, j_y, W, z, y, x, w, v, u)" in texts.pop()


@pytest.mark.parametrize("build", MODELS)
def test_it_runs_as_a_script_without_a_warning(build, rng, tmp_path):
    text = lo.source(build(rng))
    path = tmp_path / "printed.py"
    path.write_text(text, encoding="utf-8")
    subprocess.run([sys.executable, "-W", "error", str(path)], check=True, capture_output=True)
    assert ("tinygrad_lo" in text) is False


# ---------------------------------------------------------------------------------- arguments


def test_data_by_first_use_and_then_parameters_by_first_use():
    b, a = leaf(2, name="b"), leaf(2, name="a")
    z, y = lo.Tensor([1.0, 2.0], name="z"), lo.Tensor([3.0, 4.0], name="y")
    text = lo.source(((a * y).named("p") + (b * z).named("q")).sum())
    assert list(text.arguments) == ["y", "z", "a", "b"]
    assert text.arguments["a"] is a.data
    assert isinstance(text, str)


def test_what_has_no_name_gets_one():
    W, v = lo.Parameter(np.ones((3, 2))), lo.Parameter(np.ones(3))
    text = lo.source(losses.cross_entropy((np.ones((4, 3)) * v) @ W, np.array([0, 1, 1, 0])))
    assert list(text.arguments) == ["x1", "y1", "w1", "w2"]
    assert list(run(text)[1]) == ["w1", "w2"]
    x = np.ones(2)
    text = lo.source((leaf(2) * x * lo.Tensor([1.0, 2.0]) + x).sum())
    assert list(text.arguments) == ["x1", "x2", "w"]
    assert text.arguments["x1"] is x


def test_a_random_mask_is_data():
    lo.seed(1)
    loss = lo.nn.dropout(leaf(40), 0.5).sum()
    text = lo.source(loss)
    (mask,) = (x for name, x in text.arguments.items() if name != "w")
    assert set(np.unique(mask)) == {0.0, 2.0}
    assert run(text)[0] == loss.item()


def test_other_data_and_parameters_go_in(rng):
    """Printed once, the function trains: it is the loss of its arguments, not of the numbers of then."""
    W = matrix(rng, 3, 4, name="W")
    X, y = rng.standard_normal((2, 5, 3)), np.array([[0, 1, 2, 3, 0], [3, 3, 1, 0, 2]])
    text = lo.source(losses.cross_entropy(lo.Tensor(X[0], name="X") @ W, y[0]))
    other = lo.Parameter(rng.standard_normal((3, 4)), name="W")
    expected = losses.cross_entropy(X[1] @ other, y[1])
    expected.backward()
    value, gradients = run(text, X=X[1], y1=y[1], W=other.data)
    assert value == expected.item()
    np.testing.assert_array_equal(gradients["W"], other.grad)


def test_common_expressions_are_written_once():
    w = leaf(3)
    text = lo.source((w.tanh() * w.tanh() + w.tanh()).sum())
    assert text.count("np.tanh") == 1


def test_the_page_shows_the_text_that_is_printed():
    page = (Path(__file__).parents[2] / "docs" / "programs.md").read_text(encoding="utf-8")
    shown = page.partition("```python\n")[2].partition("```")[0]
    assert shown == lo.source(classifier(np.random.default_rng(0)))
