"""A gradient check laid over a picture."""

import re

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.drawing.colors import LIGHT
from tinygrad_lo.drawing.passes.overlay import read_report
from tinygrad_lo.explaining.formula import Names


def loss_of(w):
    return (w * w * w).sum().named("loss")


@pytest.fixture
def w():
    return lo.Parameter([[1.0, -2.0], [0.5, 3.0]], name="w")


def found_for(loss, leaf, report):
    return read_report(report, Names([loss]).nodes, {leaf.birth: lo.grad(loss, leaf)})[leaf.birth]


def test_the_numeric_gradient_has_the_shape_of_the_leaf(w):
    numeric = found_for(loss_of(w), w, lo.gradcheck(loss_of, w))
    np.testing.assert_allclose(numeric.values, 3 * w.data**2, rtol=1e-6)
    assert (numeric.checked, numeric.failed, numeric.mark) == (4, 0, "✓")


def test_it_stands_beside_the_engines_with_a_tick(w):
    source = lo.draw(loss_of(w), check=lo.gradcheck(loss_of, w)).source
    card = next(line for line in source.splitlines() if line.startswith("n0 ["))
    text = re.sub(r"<[^<>]*>", "|", card).replace("&#160;", " ")
    assert re.findall(r"[^|]+", text[text.index("value") :])[:3] == ["value", "grad", "numeric"]
    assert "✓" in card
    assert card.count(">27<") == 2
    assert "gradcheck passed ✓" in source
    assert "finite differences agree" in source.replace("&#160;", " ")


def test_wrong_elements_and_the_wrong_op_are_marked(w, define):
    bad = define("bad_square_drawn", lambda x: x * x, [lambda g, y, x: g * x * (1 + (x > 0))])
    report = lo.gradcheck(lambda w: bad(w).sum(), w)
    source = lo.draw(bad(w).sum().named("loss"), check=report).source
    leaf, made = (line for line in source.splitlines() if line.startswith(("n0 [", "n1 [")))
    assert "✗ 1 of 4 wrong" in leaf
    assert leaf.count(LIGHT.alarm) == 2  # the caption and the element
    assert "✗ its rule is wrong" in made
    assert "gradcheck FAILED ✗" in source


def test_leaves_inside_boxes_and_leaves_that_are_not_drawn_are_compared_too(w, define):
    bad = define("bad_square_boxed", lambda x: x * x, [lambda g, y, x: g * x])

    def f(w):
        with lo.scope("inside"):
            y = bad(w * 2.0)
        return (y * 1.0 + 1.0).sum().named("loss")

    report = lo.gradcheck(f, w)
    source = lo.draw(f(w), check=report, style="overview").source
    box = next(line for line in source.splitlines() if line.startswith("b0 ["))
    assert "✗ 4 wrong gradients" in box
    assert "✗ a rule is wrong" in box
    assert "gradcheck FAILED ✗" in lo.draw(f(w), check=report, max_nodes=1).source


def test_a_sample_of_a_large_leaf_says_how_many(w):
    big = lo.Parameter(np.linspace(1, 2, 900).reshape(30, 30), name="big")
    report = lo.gradcheck(loss_of, big)
    numeric = found_for(loss_of(big), big, report)
    assert numeric.mark == f"✓ {numeric.checked} checked"
    small = lo.draw(loss_of(big), check=report, max_cells=30).source
    assert small.count(">–<") == np.isnan(numeric.values).sum()
    assert 400 <= numeric.checked < 900
    assert np.isnan(numeric.values).any()
    assert "checked" in lo.draw(loss_of(big), check=report).source


def test_float32_leaves_are_recognized():
    w = lo.Parameter(np.array([1.1, 2.3, -0.7], np.float32), name="w")
    assert found_for(loss_of(w), w, lo.gradcheck(loss_of, w)).mark == "✓"


def test_parameters_are_found_by_name(w):
    report = lo.gradcheck(lambda: loss_of(w), params=[w])
    assert found_for(loss_of(w), w, report).mark == "✓"


def test_only_first_derivatives_at_the_given_point_are_laid_over(w):
    report = lo.gradcheck(loss_of, w, points=3, order=2)
    assert {row.point for row in report.rows} == {0, 1, 2}
    numeric = found_for(loss_of(w), w, report)
    assert numeric.checked == 4
    np.testing.assert_allclose(numeric.values, 3 * w.data**2, rtol=1e-6)


@pytest.mark.parametrize("check", [True, "report", 3, [1]])
def test_only_reports_are_laid_over(w, check):
    with pytest.raises(lo.errors.OptionError, match=r"check is a report of lo\.gradcheck"):
        lo.draw(loss_of(w), check=check)


def test_a_report_of_another_loss_is_refused(w):
    report = lo.gradcheck(lambda w: (w * w).sum(), w)
    with pytest.raises(lo.errors.OptionError, match=r"another loss: .*w\[0, 0\] is 2, here it is 3"):
        lo.draw(loss_of(w), check=report)


def test_a_report_at_other_values_is_refused(w):
    report = lo.gradcheck(loss_of, w)
    w.data = w.data * 2.0
    with pytest.raises(lo.errors.OptionError, match="another loss"):
        lo.draw(loss_of(w), check=report)


def test_a_report_of_another_shape_is_refused(w):
    report = lo.gradcheck(loss_of, lo.Parameter([1.0, 2.0, 3.0], name="w"))
    with pytest.raises(lo.errors.OptionError, match=r"here its shape is \(2, 2\)"):
        lo.draw(loss_of(w), check=report)


def test_a_report_without_the_names_of_the_graph_says_how_to_give_them(w):
    report = lo.gradcheck(loss_of, w.data)
    with pytest.raises(lo.errors.OptionError, match=r"on 'input 0'.*its parameters: 'w'.*params=\[W\]"):
        lo.draw(loss_of(w), check=report)


def test_two_parameters_of_one_name_are_refused():
    a, b = lo.Parameter([1.0], name="w"), lo.Parameter([2.0], name="w")
    report = lo.gradcheck(lambda a, b: (a * b).sum(), a, b)
    with pytest.raises(lo.errors.OptionError, match="2 parameters called"):
        lo.draw((a * b).sum(), check=report)


@pytest.mark.parametrize("options", [{"gradient": False}])
def test_a_check_needs_gradients(w, options):
    with pytest.raises(lo.errors.OptionError, match="check needs a picture with gradients"):
        lo.draw(loss_of(w), check=lo.gradcheck(loss_of, w), **options)


def test_what_cannot_be_verified_is_a_question(w):
    numeric = found_for(loss_of(w), w, lo.gradcheck(loss_of, w))
    numeric.doubtful = 2
    assert numeric.mark == "? 2 of 4 unverified"
