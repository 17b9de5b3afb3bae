"""The line under the picture."""

import re

import pytest

import tinygrad_lo as lo
from tinygrad_lo.drawing.contents import Contents, DrawnBox
from tinygrad_lo.drawing.dot import left_out


def contents(total, drawn, boxes=(), **more):
    groups = [DrawnBox(f"b{i}", "t", "value", (), ["n0"] * n) for i, n in enumerate(boxes)]
    return Contents(total, drawn, True, [], [], [], groups, **more)


@pytest.mark.parametrize(
    ("found", "notes"),
    [
        (contents(7, 7), []),
        (contents(31, 10, cut=True), ["the 10 nearest of 31 values"]),
        (contents(984, 1, (500, 483)), ["984 values", "983 of them in 2 boxes"]),
        (contents(984, 1, (500,), cut=True), ["the 501 nearest of 984 values", "500 of them in 1 box"]),
        (contents(9, 4, focus=("S",)), ["what leads to and from S", "the 4 of 9 values"]),
        (contents(9, 9, focus=("S",)), ["what leads to and from S"]),
    ],
)
def test_what_was_left_out_is_always_said(found, notes):
    assert left_out(found) == notes


def rows(source):
    (line,) = (line for line in source.splitlines() if line.startswith("graph [tooltip"))
    return [re.sub(r"<[^<>]*>", "", row) for row in re.findall(r"<TR>.*?</TR>", line)]


def test_a_long_title_has_a_line_of_its_own():
    w = lo.Parameter(2.0, name="w")
    assert lo.draw(w * w, title="short").source.count("COLSPAN") == 0
    source = lo.draw(w * w, title="a title that is as long as this one, or longer").source
    assert "as long as this one, or longer</B>" in source.replace("&#160;", " ")
    assert rows(source)[0].endswith("longer")


def test_a_circuit_says_where_its_numbers_stand():
    v = lo.Parameter(2.0, name="w")
    for turned in (False, True):
        source = lo.draw(v).source.replace("&#160;", " ")
        assert ("left of the wire" in source) == turned
        assert ("on the wire" in source) != turned
        for _ in range(20):
            v = v * 1.0


def test_every_sign_is_explained_where_it_occurs_and_nowhere_else():
    import numpy as np

    x, w = lo.Tensor(np.eye(3), name="x"), lo.Parameter([5.0, 0.1, 0.1], name="w")
    with lo.scope("layer"):
        h = np.tanh(x @ w)
    loss = (h * w).sum()
    meanings = {"μ mean", "━ wide: much gradient", "σ standard deviation", "± standard deviation"}

    def legend_of(picture):
        (line,) = (line for line in picture.source.splitlines() if line.startswith("graph [tooltip"))
        return re.sub(r"<[^<>]*>", "", line).replace("&#160;", " ")

    def legend(**options):
        return {meaning for meaning in meanings if meaning in legend_of(lo.draw(loss, **options))}

    assert "mean" not in lo.draw(lo.Parameter(1.0, name="μ") * 2.0).source
    assert legend(style="cards") == {"━ wide: much gradient"}
    assert legend(style="circuit") == {"━ wide: much gradient"}
    assert legend(style="overview", gradient=False) == {"μ mean", "σ standard deviation"}
    for _ in range(3):
        h = np.tanh(h)
    assert "± standard deviation" in legend_of(lo.draw(h.sum(), style="folded"))


def test_a_wide_legend_takes_a_second_line():
    def lines(value):
        source = lo.draw(value, style="cards").source
        line = next(line for line in source.splitlines() if line.startswith("graph [tooltip"))
        return line.count("<TR><TD><TABLE")

    w, x = lo.Parameter(2.0, name="w"), lo.Tensor(3.0, name="x")
    assert lines(w * 1.0) == 1
    loss = lo.nn.relu(w * x) * 5.0 + lo.nn.relu(-w) * lo.Tensor(0.3, name="λ")
    assert lines(loss.named("loss")) == 2
