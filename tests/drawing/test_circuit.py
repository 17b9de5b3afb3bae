"""Circuits: gates, numbers on wires, constants inside gates, and when a picture turns."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from drawing_networks import network, svm_of_one_image

import tinygrad_lo as lo
from tinygrad_lo.drawing.colors import LIGHT
from tinygrad_lo.drawing.passes.collect import Gates
from tinygrad_lo.drawing.picture import draw
from tinygrad_lo.drawing.render import render, visible
from tinygrad_lo.explaining.formula import Names

SVG = "{http://www.w3.org/2000/svg}"
relu = lo.nn.relu


def ids(svg, kind):
    root = ET.fromstring(svg)
    return [g.get("id") for g in root.iter(f"{SVG}g") if (g.get("class") or "").split()[:1] == [kind]]


def words(source, node):
    (line,) = re.findall(rf"^{node} \[(.*)$", source, re.MULTILINE)
    label = line[line.index("label=<") + 7 :].removesuffix(">]")
    return [w for w in re.sub(r"<[^>]*>", "\n", label).replace("&#160;", " ").split("\n") if w.strip()]


def width(picture):
    """In CSS pixels."""
    return float(re.search(rb'<svg width="([\d.]+)pt"', picture._svg)[1]) * 4 / 3


@pytest.fixture
def neuron():
    w, b, x = lo.Parameter(2.0, name="w"), lo.Parameter(-3.0, name="b"), lo.Tensor(1.5, name="x")
    return np.tanh(w * x + b).named("f")


def test_each_value_is_a_gate_a_wire_and_a_pair_of_numbers(neuron, backend):
    svg = render(draw(neuron).source, "svg", "f").decode()
    assert sorted(ids(svg, "node")) == ["g3", "g4", "g5", "n0", "n1", "n2", "n3", "n4", "n5"]
    assert sorted(ids(svg, "edge")) == ["e0", "e1", "e2", "e3", "e4", "w3", "w4", "w5"]


def test_the_value_stands_above_the_gradient():
    w = lo.Parameter(3.0, name="w")
    source = draw((w * 4.0).named("loss")).source
    assert words(source, "n0") == ["w", "3", "4"]
    assert words(source, "g1") == ["×4"]
    assert words(source, "n1") == ["12", "loss", "1"]
    assert '<TD BORDER="1"' in source


def test_data_has_no_number_under_the_wire(neuron):
    assert words(draw(neuron).source, "n2") == ["x", "1.5"]


def test_a_gradient_that_never_arrives_is_a_dash(define):
    silent = define("silent_in_circuits", lambda x, y: x, (lambda g, out, x, y: g, None))
    x, y = lo.Parameter(1.0, name="x"), lo.Parameter(2.0, name="y")
    assert words(draw(silent(x, y)).source, "n1") == ["y", "2", "–"]


def test_nan_and_infinity_are_loud():
    w = lo.Parameter(0.0, name="w")
    with np.errstate(all="ignore"):
        source = draw((np.log(w) * 0.0).named("loss")).source
    assert words(source, "n1")[0] == "⚠ −∞"
    assert words(source, "n2")[0] == "⚠ nan"


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda a, b, c: a * b, "×"),
        (lambda a, b, c: a + 1.0, "+ 1"),
        (lambda a, b, c: 1.0 - a, "1 −"),
        (lambda a, b, c: a / 3.0, "÷ 3"),
        (lambda a, b, c: 2.0 / a, "2 ÷"),
        (lambda a, b, c: a * -2.0, "× (−2)"),
        (lambda a, b, c: (a + b) * c, "× c"),
        (lambda a, b, c: a**2, "(·)²"),
        (lambda a, b, c: a**-3, "(·)⁻³"),
        (lambda a, b, c: -a, "−(·)"),
        (lambda a, b, c: relu(a), "max(0, ·)"),
        (lambda a, b, c: np.tanh(a), "tanh"),
        (lambda a, b, c: lo.nn.sigmoid(a), "σ"),
        (lambda a, b, c: np.abs(a), "|·|"),
        (lambda a, b, c: np.sqrt(a), "√·"),
        (lambda a, b, c: np.maximum(a, b), "max"),
        (lambda a, b, c: np.where(True, a, b), None),
    ],
)
def test_a_gate_is_the_formula_without_its_drawn_inputs(make, expected):
    a, b, c = lo.Parameter(4.0, name="a"), lo.Parameter(2.0, name="b"), lo.Tensor(3.0, name="c")
    y = make(a, b, c)
    text = Gates(Names([y]), {c.birth}).of_gate(y)
    assert text
    assert expected is None or text == expected


def test_a_named_number_stands_inside_its_gate_and_its_value_in_the_legend():
    w, strength = lo.Parameter(3.0, name="w"), lo.Tensor(0.1, name="λ")
    for style, inside in (("circuit", "×λ"), ("cards", "= v1 × λ")):
        source = draw((w * w * strength).named("loss"), style=style).source
        assert inside in re.sub(r"<[^<>]*>", "", source).replace("&#160;", " ")
        assert "λ = 0.1" in source
        assert not re.search(r"^n1 \[", source, re.MULTILINE)


def test_inputs_of_a_neuron_and_numbers_used_twice_are_drawn():
    w, x, t = lo.Parameter(3.0, name="w"), lo.Tensor(2.0, name="x"), lo.Tensor(5.0, name="t")
    source = draw((w * x * t + t).named("loss")).source
    assert {words(source, f"n{i}")[0] for i in range(3)} == {"w", "x", "t"}


def test_w_times_w_has_two_edges(backend):
    w = lo.Parameter(3.0, name="w")
    source = draw((w * w).named("loss")).source
    assert source.count("n0:e -> g1") == 2
    svg = render(source, "svg", "loss").decode()
    assert sorted(ids(svg, "edge")) == ["e0", "e1", "w1"]
    assert svg.count('class="edge"') == 2  # the wire has a class of its own


def test_local_derivatives_stand_on_the_edges_of_small_circuits():
    a, b = lo.Parameter(-2.0, name="a"), lo.Parameter(5.0, name="b")
    source = draw((a * b).named("loss")).source
    assert "×5</I>" in source
    assert "×−2</I>" in source
    assert "local derivative" in source
    large = draw(svm_of_one_image()).source
    assert "</I>>]" not in large
    assert "local derivative −1" in large  # in the tooltip


def test_tensors_in_a_circuit_show_shape_and_largest_elements():
    w = lo.Parameter([[3.0, 4.0]], name="w")
    source = draw((w * w).sum().named("loss"), style="circuit").source
    assert words(source, "n0") == ["w", "1×2 · largest 4", "largest 8"]
    assert words(source, "n1") == ["1×2 · largest 16", "all 1"]


def test_the_svm_of_one_image_fits_a_wide_page(backend):
    picture = draw(svm_of_one_image())
    assert "rankdir=LR" in picture.source
    assert width(picture) <= 2000
    shown = visible(picture._svg.decode())
    assert "3.8" in shown
    assert "max(0, ·)" in shown.replace("\xa0", " ")


def test_the_svm_of_three_images_fits_as_cards_and_as_a_circuit(svm, backend):
    assert width(draw(svm)) <= 1000
    assert width(draw(svm, style="circuit")) <= 2000


def test_a_deep_circuit_runs_from_top_to_bottom(backend):
    v = lo.Parameter(1.0, name="w")
    for _ in range(13):
        v = v * 1.0
    assert "rankdir=LR" in draw(v).source
    deep = draw(v * 1.0)
    assert "rankdir=TB" in deep.source
    assert "left of the wire" in deep.source.replace("&#160;", " ")
    assert width(deep) < 1500


def test_more_than_14_ranks_are_too_deep():
    v = lo.Parameter(1.0, name="w")
    for _ in range(13):
        v = v * 1.0
    assert "rankdir=LR" in draw(v, style="circuit").source
    assert "rankdir=TB" in draw(v * 1.0, style="circuit").source


def test_an_overview_that_is_wider_than_a_page_turns(backend):
    v = lo.Parameter([1.0], name="w")
    for _ in range(5):
        v = v * 1.0
    assert "rankdir=LR" in draw(v, style="overview").source
    assert width(draw(v, style="overview")) < 1240
    for _ in range(5):
        v = v * 1.0
    assert "rankdir=TB" in draw(v, style="overview").source


def test_auto_takes_the_style_that_fits(svm, neuron):
    def style(picture):
        return (
            "circuit"
            if 'class="wire"' in picture.source
            else "overview"
            if "\nb0 [" in picture.source
            else "cards"
        )

    assert style(draw(neuron)) == "circuit"
    assert style(draw(svm)) == "cards"
    assert style(draw(network(4))) == "overview"
    assert style(draw(network(4), max_nodes=1000)) == "circuit"
    assert style(draw(svm, max_nodes=4)) == "overview"
    v = lo.Parameter(1.0)
    for _ in range(200):
        v = v * 1.01
    assert "equal parts drawn once" in draw(v).source  # there are no scopes to collapse


def test_a_wrong_rule_is_marked(define):
    bad = define("bad_in_circuits", lambda x: x * x, [lambda g, y, x: g * x])
    a = lo.Parameter(3.0, name="a")
    report = lo.gradcheck(lambda a: bad(a) * 2.0, a)
    source = draw((bad(a) * 2.0).named("loss"), check=report).source
    assert words(source, "n0") == ["a", "3", "6", "✗ 12"]
    (gate,) = re.findall(r"^g1 \[.*$", source, re.MULTILINE)
    assert LIGHT.alarm in gate
    assert "gradcheck FAILED ✗" in source.replace("&#160;", " ")
