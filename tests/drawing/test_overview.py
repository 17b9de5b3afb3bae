"""What a box says of the values in it."""

import re

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.drawing.colors import LIGHT
from tinygrad_lo.drawing.contents import DrawnBox
from tinygrad_lo.drawing.styles.style import Look, box, mean_and_std, norm_text
from tinygrad_lo.explaining.explain import counted

LOOK = Look(LIGHT, max_cells=16, digits=3)


def words(label):
    return [w for w in re.sub(r"<[^>]*>", "\n", label).replace("&#160;", " ").split("\n") if w.strip()]


def group(**facts):
    facts = {"title": "layer 1", "role": "value", "path": (), "members": ["n1", "n2"]} | facts
    return DrawnBox("b0", **facts)


def test_a_scope_says_its_ops_parameters_and_outputs():
    found = group(
        gates=[("×", 32), ("+", 31), ("max(0, ·)", 16), ("tanh", 2), ("σ", 1)],
        parameters=1048,
        outputs=[np.float64(1.0), np.float64(3.0)],
        gradients=[np.array([3.0, 4.0])],
    )
    assert " ".join("".join(words(box(found, LOOK, differentiated=True))).split()) == (
        "layer 1 82 ops · 1,048 parameters · 2 out ×: 32 +: 31 max(0, ·): 16 and 2 others value μ 2 · σ 1 "
        "grad ‖grad‖ 5 (parameters)"
    )


def test_one_output_is_a_shape_or_a_number():
    found = group(gates=[("@", 1)], outputs=[np.ones((4, 2))], named=["S"])
    assert "→ S  4×2" in "".join(words(box(found, LOOK, differentiated=False)))
    text = "".join(words(box(group(gates=[("Σ", 1)], outputs=[np.float64(2.5)]), LOOK, differentiated=False)))
    assert "1 op · 1 out" in text
    assert "value  2.5" in text
    assert "grad" not in text


@pytest.mark.parametrize(("role", "word"), [("data", "2 inputs"), ("parameter", "2 parameters")])
def test_leaves_say_what_they_are(role, word):
    text = "".join(words(box(group(role=role, outputs=[np.float64(1.0)]), LOOK, differentiated=True)))
    assert word in text
    assert ("grad" in text) == (role == "parameter")


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ([], "–"),
        ([np.zeros((0, 3))], "–"),
        ([np.array([2.0])], "2"),
        ([np.array([1.0, 3.0]), np.float64(5.0)], "μ 3 · σ 1.63"),
        ([np.array([True, False])], "μ 0.5 · σ 0.5"),
        ([np.array([1.0, np.inf])], "μ ∞ · σ nan"),
    ],
)
def test_spread(arrays, expected):
    assert mean_and_std(arrays, 3) == expected


def test_lengths_neither_overflow_nor_hide_a_nan():
    assert norm_text([np.array([3e300, 4e300])], 3) == "‖grad‖ 5e300"
    assert norm_text([np.array([3e-300, 4e-300])], 3) == "‖grad‖ 5e−300"
    assert norm_text([np.array([3.0, np.nan])], 3) == "‖grad‖ nan"
    assert norm_text([np.zeros(3)], 3) == "‖grad‖ 0"
    assert norm_text([], 3) == "–"


def test_lazy_arrays_are_not_computed():
    da = pytest.importorskip("dask.array")
    assert mean_and_std([da.ones(3)], 3) == "–"


def test_counted():
    assert [counted(1, "op"), counted(1000, "op")] == ["1 op", "1,000 ops"]


def test_wide_tables_become_statistics(rng):
    net = lo.nn.Sequential(lo.nn.Linear(4, 16), lo.nn.ReLU(), lo.nn.Linear(16, 3))
    loss = lo.losses.cross_entropy(net(rng.standard_normal((8, 4))), rng.integers(0, 3, 8))
    source = lo.draw(loss, style="overview").source
    assert "std" in source
    assert source.count("<TD") < 400
