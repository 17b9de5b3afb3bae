"""lo.tree: the exact text of small graphs, long ones without recursion, any names."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.errors import DTypeError
from tinygrad_lo.explaining.tree import LINES


def lines(value):
    return lo.tree(value).splitlines()


def test_a_small_expression():
    x, w, b = lo.Tensor(3.0, name="x"), lo.Parameter(2.0, name="w"), lo.Parameter(-1.0)
    assert lines(((x * w + b) ** 2).named("loss")) == [
        "loss = v2² = 25",
        "v2 = v1 + w1 = 5",
        "├─ v1 = x × w = 6",
        "│  ├─ x = 3  data",
        "│  └─ w = 2  parameter",
        "└─ w1 = −1  parameter",
    ]


def test_a_model_with_scopes_and_losses():
    X = lo.Tensor(np.ones((4, 3)), name="X")
    W, b = lo.Parameter(np.ones((3, 2)), name="W"), lo.Parameter(np.zeros(2))
    with lo.scope("model"):
        scores = (X @ W + b).relu()
    loss = lo.losses.multiclass_hinge(scores, [0, 1, 0, 1]) + 0.5 * lo.losses.l2(W)
    assert lines(loss) == [
        "L = v8 + v11 = 4",
        "├─ v8 = v7 ÷ 4 = 1  ‹multiclass_hinge›",
        "│  v7 = Σ L_i = 4",
        "│  L_i = Σ margins  4",
        "│  margins = v6 × (j ≠ y)  4×2",
        "│  ├─ v6 = max(0, v5)  4×2",
        "│  │  v5 = v4 + 1  4×2",
        "│  │  v4 = v3 − s_y  4×2",
        "│  │  ├─ v3 = max(0, v2)  4×2  ‹model›",
        "│  │  │  v2 = v1 + w1  4×2",
        "│  │  │  ├─ v1 = X @ W  4×2",
        "│  │  │  │  ├─ X  4×3  data",
        "│  │  │  │  └─ W  3×2  parameter",
        "│  │  │  └─ w1  2  parameter",
        "│  │  └─ s_y = v3[i, yᵢ]  4×1",
        "│  │     v3 (above)",
        "│  └─ (j ≠ y)  4×2  data",
        "└─ v11 = 0.5 × v10 = 3",
        "   v10 = Σ v9 = 6  ‹l2›",
        "   v9 = W²  3×2",
        "   W (above)",
    ]


def test_nested_scopes_are_named_where_they_begin():
    w = lo.Parameter(2.0, name="w")
    with lo.scope("outer"):
        a = w * 2.0
        with lo.scope("inner"):
            b = a * 2.0
    assert lines(b + 1.0) == [
        "L = v2 + 1 = 9",
        "v2 = v1 × 2 = 8  ‹outer›  ‹inner›",
        "v1 = w × 2 = 4",
        "w = 2  parameter",
    ]


def test_a_value_used_twice_is_written_once():
    w = lo.Parameter(3.0, name="w")
    square = (w * w).named("s")
    assert lines(square + square) == [
        "L = s + s = 18",
        "├─ s = w × w = 9",
        "│  ├─ w = 3  parameter",
        "│  └─ w (above)",
        "└─ s (above)",
    ]


def test_a_leaf_alone():
    assert lo.tree(lo.Parameter(2.0)) == "w1 = 2  parameter"
    assert lo.tree(lo.Tensor([True, False], name="mask")) == "mask  2  data"
    assert lo.tree(lo.Tensor(True)) == "x1 = true  data"


def test_numbers_are_short_and_loud():
    w = lo.Parameter(1.0, name="w")
    with np.errstate(all="ignore"):
        assert lines(w * np.inf)[0] == "L = w × ∞ = ∞"
        assert lines(w * np.nan)[0] == "L = w × nan = nan"
    assert lines(w * -1.5e-7)[0] == "L = w × (−1.5e−7) = −1.5e−7"
    assert lines(w * 123456.0)[0] == "L = w × 123456 = 123456"
    assert lines(w / 3.0)[0] == "L = w ÷ 3 = 0.3333"
    assert lines(w * -0.0)[0] == "L = w × 0 = 0"


def test_a_long_chain_does_not_recurse_and_is_cut():
    x = lo.Parameter(1.0, name="x")
    y = x
    for _ in range(100_000):
        y = y + 1.0
    text = lines(y)
    assert len(text) == LINES + 1
    assert text[0] == "L = v99999 + 1 = 100001"
    assert text[-1] == f"… and {100_001 - LINES} more values; lo.tree(value) shows a part"


def test_a_deep_tree_on_the_second_input_does_not_recurse():
    y = lo.Parameter(1.0)
    for _ in range(5_000):
        y = lo.Parameter(1.0) * y
    assert len(lines(y)) == LINES + 1


def test_a_tree_of_exactly_the_limit_is_not_cut():
    y = lo.Parameter(1.0)
    for _ in range(LINES - 1):
        y = y + 1.0
    assert len(lines(y)) == LINES
    assert "more values" not in lo.tree(y)


@pytest.mark.parametrize(
    "name", ["{0}", "{x", "%s", "a × b", "<TABLE>", "‹scope›", "v2", "", "\\n", "naïve μ"]
)
def test_any_name_is_text(name):
    w = lo.Parameter(1.0, name=name)
    text = lines(w * 2.0 + 1.0)
    assert len(text) == 3
    assert f"= {name} × 2 = 2" in text[1]
    assert text[2] == f"{name} = 1  parameter"


@pytest.mark.parametrize("name", ["a\nb", "a\r\nb", "a\x1b[31mb", "a\u2028b", "a\tb\x00"])
def test_a_name_cannot_break_a_line_or_control_the_terminal(name):
    """A learner reads one line for each value, whatever the names."""
    text = lo.tree(lo.Parameter(1.0, name=name) * 2.0)
    assert len(text.splitlines()) == 2
    assert all(c.isprintable() or c == "\n" for c in text)


@pytest.mark.parametrize("title", ["a\nb", "x\x1b[0m"])
def test_a_scope_cannot_break_a_line(title):
    with lo.scope(title):
        y = lo.Parameter(1.0) * 2.0
    assert len(lo.tree(y).splitlines()) == 2


def test_the_graph_is_left_as_it_was():
    w = lo.Parameter([1.0, 2.0])
    loss = (w * w).sum()
    lo.tree(loss)
    assert loss.name is None
    assert w.name is None
    loss.backward()
    assert w.grad.tolist() == [2.0, 4.0]


@pytest.mark.parametrize("value", [3.0, np.ones(2), None, [1.0]])
def test_only_tensors_have_trees(value):
    with pytest.raises(DTypeError, match="tree: expected a tensor, got"):
        lo.tree(value)
