"""lo.explain: the story of small graphs word for word, paths against brute force, size without end."""

# ruff: noqa: E501  tables of expected texts

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.engine.machine.recording import Recording
from tinygrad_lo.errors import DTypeError, GraphError, MutationError
from tinygrad_lo.explaining import steps
from tinygrad_lo.explaining.explain import MANY_STEPS, SHOWN_ENDS, explain, with_commas


def lines(loss, of=None):
    return explain(loss, of).splitlines()


def p(value, name):
    return lo.Parameter(value, name=name)


# -------------------------------------------------------------------------------------- the story


def test_a_shared_value_word_for_word():
    a, b, x = p(2.0, "a"), p(-3.0, "b"), lo.Tensor(4.0, name="x")
    c = (a * b).named("c")
    loss = (c * x + c.relu()).named("loss")
    assert lines(loss) == [
        "Forward, 4 steps: each value is computed from its inputs.",
        "  c = a × b = 2 × (−3) = −6",
        "  v1 = c × x = (−6) × 4 = −24",
        "  v2 = max(0, c) = max(0, −6) = 0",
        "  loss = v1 + v2 = (−24) + 0 = −24",
        "Backward, 6 steps: local derivative · arriving gradient, the newest value first.",
        "  ∂L/∂loss = 1, the start (L is loss)",
        "  loss = v1 + v2  (+ copies the gradient to its inputs)",
        "    ∂L/∂v1 = 1 · ∂L/∂loss = 1 · 1 = 1",
        "    ∂L/∂v2 = 1 · ∂L/∂loss = 1 · 1 = 1",
        "  v2 = max(0, c)  (relu routes: the gradient passes where v2 > 0, and stops elsewhere)",
        "    ∂L/∂c = (v2 > 0) · ∂L/∂v2 = (0 > 0) · 1 = 0   (c is used more than once: more will be added; stopped: the local derivative is 0 here)",
        "  v1 = c × x  (× swaps: each input gets the gradient times the other input)",
        "    ∂L/∂c += x · ∂L/∂v1 = 4 · 1 = 4, in all 0 + 4 = 4   (now ∂L/∂c is complete)",
        "  c = a × b  (× swaps: each input gets the gradient times the other input)",
        "    ∂L/∂a = b · ∂L/∂c = (−3) · 4 = −12",
        "    ∂L/∂b = a · ∂L/∂c = 2 · 4 = 8",
        "The gradients:",
        "  ∂L/∂a = −12",
        "  ∂L/∂b = 8",
        "x needs no gradient: nothing is handed to it.",
    ]


def test_the_svm_loss_of_the_lecture():
    X = lo.Tensor([[0.2, 4.7, 3.0], [5.6, -6.3, -4.3], [-2.8, 8.1, 5.0]], name="X")
    W = p([[1.0, 2.0, 0.0], [0.0, 1.0, -1.0], [1.0, 0.0, 1.0]], "W")
    S = (X @ W).named("S")
    text = lines(
        (lo.losses.multiclass_hinge(S, [0, 1, 2]).named("data_loss") + 0.1 * lo.losses.l2(W)).named("loss")
    )
    for line in (
        "  S = X @ W  3×3, e.g. S[2,2] = X[2,:] @ W[:,2] = (−2.8) · 0 + 8.1 · (−1) + 5 · 1 = −3.1",
        "  v1 = S − s_y  3×3, e.g. v1[0,1] = S[0,1] − s_y[0] = 5.1 − 3.2 = 1.9",
        "  L_i = Σ margins  3, e.g. L_i[0] = Σ margins[0,:] = max(0, 5.1 − 3.2 + 1) + max(0, −1.7 − 3.2 + 1) = 2.9",
        "    ∂L/∂W = ∂L/∂v5 × 2 × W  3×3, e.g. ∂L/∂W[0,1] = 0.1 × 2 × 2 = 0.4   (W is used more than once: more will be added)",
        "    ∂L/∂v2 = ∂L/∂v3 × (v3 > 0)  3×3, e.g. ∂L/∂v2[0,1] = 0.3333 × (2.9 > 0) = 0.3333",
        "    ∂L/∂s_y = Σ (−∂L/∂v1)  3×1, e.g. ∂L/∂s_y[2] = −0.3333 + (−0.3333) + 0 = −0.6667   (summed over axis 1, along which s_y was repeated)",
        "    ∂L/∂S += put ∂L/∂s_y at yᵢ  3×3, e.g. ∂L/∂S[2,2] += −0.6667   (now ∂L/∂S is complete)",
        "    ∂L/∂W += Xᵀ @ ∂L/∂S  3×3, e.g. ∂L/∂W[1,2] += 4.7 · 0 + (−6.3) · 0 + 8.1 · (−0.6667) = −5.4   (now ∂L/∂W is complete)",
        "  ∂L/∂W = [[−0.8, −0.4667, 1.867], [1.133, 4.467, −5.6], [0.8667, 2.667, −3.133]]",
        "X, (j ≠ y) need no gradient: nothing is handed to them.",
    ):
        assert line in text


def test_zeros_and_what_is_not_finite_are_said():
    w, dead = p(2.0, "w"), p(0.0, "dead")
    text = explain((-w).relu() * 3.0)
    assert "stopped: the local derivative is 0 here" in text
    assert "nothing arrives, nothing is handed on" in text
    with np.errstate(all="ignore"):
        text = lines(np.log(dead) * w)
    assert "  v1 is the first value that is not finite." in text
    assert text[text.index("    ↑ the first gradient that is not finite") - 1].endswith("(−∞) · 1 = −∞")


def test_gradients_are_shown_in_full_while_they_are_small():
    assert lines(p([1.0, -2.0], "v").sum())[-1] == "  ∂L/∂v = [1, 1]"
    assert lines(p(np.ones((5, 5)), "v").sum())[-1] == "  ∂L/∂v = 5×5, ‖·‖ = 5"
    assert lines(p(np.ones((0, 3)), "v").sum())[-1] == "  ∂L/∂v = 0×3"


def test_a_leaf_can_be_the_first_value_that_is_not_finite():
    assert "  w is the first value that is not finite." in lines((p([np.nan, 1.0], "w") * 2.0).sum())


def test_only_steps_that_are_told_are_put_into_words(monkeypatch):
    words = []
    monkeypatch.setattr(steps, "worked", lambda *args, work=steps.worked: words.append(0) or work(*args))
    y = p(1.0, "w")
    for _ in range(2000):
        y = y * 1.0001
    lines(y)
    assert len(words) == 2 * SHOWN_ENDS


def test_long_stories_say_what_they_leave_out():
    def chain(n):
        y = p(1.0, "w")
        for _ in range(n):
            y = y + 1.0
        return lines(y)

    assert not [line for line in chain(MANY_STEPS) if "left out" in line]
    text = chain(20_000)
    left = 20_000 - 2 * SHOWN_ENDS
    assert f"  … {left:,} are left out here …" in text
    assert f"  … {left:,} steps are left out here …" in text
    assert text[1] == "  v1 = w + 1 = 1 + 1 = 2"
    assert "    ∂L/∂w = 1 · ∂L/∂v1 = 1 · 1 = 1" in text
    assert len(text) < 500


def test_many_leaves_and_much_data_are_cut_as_well():
    leaves = [lo.Parameter(float(i)) for i in range(300)]
    loss = sum((leaf * lo.Tensor(1.0) for leaf in leaves), lo.Tensor(0.0))
    text = lines(loss)
    assert len(text) < 600
    assert sum("left out" in line for line in text) == 3
    assert text[-1].startswith("x1, x2, ")
    assert "285 more need no gradient" in text[-1]


# ------------------------------------------------------------------------------------------ errors


def test_what_cannot_be_explained_says_why():
    w, x, v = p(1.0, "w"), lo.Tensor(2.0, name="x"), p([1.0, 2.0], "v")
    loss = w * x
    with pytest.raises(DTypeError, match="explain: expected a tensor, got int: 3"):
        explain(3)
    with pytest.raises(DTypeError, match="expected of= to be a tensor, got str: 'w'"):
        explain(loss, "w")
    with pytest.raises(GraphError, match="explain needs one number to start from"):
        explain(v * 2.0)
    with pytest.raises(GraphError, match="explain needs one number to start from"):
        explain(v * 2.0, v)
    with pytest.raises(GraphError, match="explain: 'x' does not require grad"):
        explain(x)
    with pytest.raises(GraphError, match="'v' is not among the values that the loss was made from"):
        explain(loss, v)
    with pytest.raises(GraphError, match="no gradient flows from the loss to 'x', which does not require"):
        explain(loss, x)
    s = (w * 3.0).named("s")
    with pytest.raises(GraphError, match="'s' is not among"):
        explain(s.detach() * w, s)
    v.data -= 1.0


def test_a_changed_leaf_raises_for_paths_too():
    v = p([1.0, 2.0], "v")
    loss = (v * v).sum()
    v.data -= 1.0
    for of in (None, v):
        with pytest.raises(MutationError, match="'v' was changed"):
            explain(loss, of)


def test_a_flat_op_cuts_the_paths():
    from tinygrad_lo.engine.ops.indexing import sort_by

    x, by = p([1.0, 2.0], "x"), p([3.0, 2.0], "by")
    with pytest.raises(GraphError, match="no gradient flows from the loss to 'by', which is cut off"):
        explain(sort_by(x, by, 0).sum(), by)


@pytest.mark.parametrize("name", ["a\nb", "{0}", "<b>", "\x1b[31m", ""])
def test_names_stay_in_their_line(name):
    w = p(-1.0, name)
    plain = p(-1.0, "w")
    for of, other in ((None, None), (w, plain)):
        assert len(lines(w * w + w, of)) == len(lines(plain * plain + plain, other))
        assert all(c.isprintable() or c == "\n" for c in explain(w * w + w, of))


def test_explaining_changes_nothing():
    w = p(3.0, "w")
    loss = (w * w).relu()
    explain(loss)
    explain(loss, w)
    assert w.grad is None
    loss.backward()
    explain(loss)
    explain(loss, w)
    assert float(w.grad) == 6.0
    with lo.no_grad(), lo.anomaly():
        assert "6" in explain(loss, w)


def test_nothing_leaves_a_recording():
    w = p(3.0, "w")
    loss = w * w
    for of in (None, w):
        with Recording(), pytest.raises(GraphError, match=r"lo\.explain .*would leave the graph"):
            explain(loss, of)


def test_large_numbers():
    assert with_commas(2**30) == "1,073,741,824"
    assert with_commas(10**119) == f"{10**119:,}"
    assert with_commas(7 * 10**5000) == "about 7e5000"
