"""Two graphs beside each other: what differs is marked, and graphs of another form are refused."""

import re

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.drawing.colors import LIGHT
from tinygrad_lo.errors import OptionError


def loss_of(w, square=lambda x: x**2, name="loss"):
    x = lo.Tensor([1.0, -1.0, 0.5], name="x")
    return square(w * x - 1.0).sum().named(name)


def words(line):
    return re.findall(r"[^|]+", re.sub(r"<[^<>]*>", "|", line).replace("&#160;", " "))


def cards_of(source):
    return {line.split(" ")[0]: line for line in source.splitlines() if re.match(r"n\d+ \[", line)}


def title_of(source):
    line = next(line for line in source.splitlines() if line.startswith("graph [tooltip"))
    return line.replace("&#160;", " ")


@pytest.fixture
def w():
    return lo.Parameter([2.0, 3.0, 4.0], name="w")


def test_before_and_after_a_step(w):
    before = loss_of(w)
    before.backward()
    w.grad = w.grad * np.array([1.0, 0.0, 0.0])
    lo.optim.SGD([w], lr=0.5).step()
    after = loss_of(w)
    source = lo.draw(after, compared_with=before, style="cards").source
    cards = cards_of(source)
    text = words(cards["n0"])
    assert text.index("value") < text.index("other") < text.index("grad")
    assert text.count("≠ 1 of 3") == 2
    assert cards["n0"].count(LIGHT.alarm) == 4  # two captions, two elements
    assert "≠" not in cards["n1"]  # the data is the same
    assert "≠ 5 values and 3 gradients differ, most v1: by 1 (33 %)" in title_of(source)
    assert "another number in the other graph" in source.replace("&#160;", " ")


def test_a_right_and_a_wrong_rule(w, define):
    wrong = define("half_a_square", lambda x: x * x, [lambda g, y, x: g * x])
    source = lo.draw(loss_of(w), compared_with=loss_of(w, wrong)).source
    assert "≠ 3 gradients differ" in title_of(source)
    assert "(50 %)" in title_of(source)
    assert "∂loss/∂" in title_of(source)


def test_two_ways_to_the_same_number_agree(w):
    ways = [loss_of(w, lambda x, third=third: (x * x / third) * third) for third in (3.0, 7.0)]
    source = lo.draw(ways[0], compared_with=ways[1], style="cards").source
    assert "≠ 1 value and 1 gradient differ, most ∂loss/∂v4: by 4 (57 %)" in title_of(source).replace(
        "&#160;", " "
    )
    again = lo.draw(loss_of(w), compared_with=loss_of(w)).source
    assert "= no number differs from the other graph&#x27;s" in again
    assert "≠" not in again


def test_rounding_is_no_difference_and_a_millionth_is_one(w):
    rounded = lo.Parameter(w.data * (1 + 3e-16), name="w")
    assert "no number differs" in lo.draw(loss_of(w), compared_with=loss_of(rounded)).source
    other = lo.Parameter(w.data * (1 + 1e-6), name="w")
    assert "no number differs" not in lo.draw(loss_of(w), compared_with=loss_of(other)).source
    single = [lo.Parameter(np.float32(w.data) * np.float32(s), name="w").sum() for s in (1, 1 + 1e-6)]
    assert "no number differs" in lo.draw(single[0], compared_with=single[1]).source


def test_nan_equals_nan_and_differs_from_numbers(w):
    bad = lo.Parameter([2.0, np.nan, 4.0], name="w")
    same = lo.Parameter([2.0, np.nan, 4.0], name="w")
    assert "no number differs" in lo.draw(loss_of(bad), compared_with=loss_of(same)).source
    assert "by ∞" in lo.draw(loss_of(bad), compared_with=loss_of(w)).source


def test_circuits_and_overviews_mark_it_too():
    def f(value):
        with lo.scope("inside"):
            loss = ((lo.Parameter(value, name="w") * 2.0 + 1.0) ** 2).named("loss")
        return loss * 1.0

    circuit = lo.draw(f(3.0), compared_with=f(4.0), style="circuit").source
    assert "3 ≠ 4" in circuit
    assert "≠ 36" in circuit.replace("&#160;", " ")
    overview = lo.draw(f(3.0), compared_with=f(4.0), style="overview").source
    assert "arrays inside differ" in overview


def test_without_gradients_values_are_compared(w):
    other = lo.Parameter([2.0, 3.0, 5.0], name="w")
    source = lo.draw(loss_of(w), compared_with=loss_of(other), gradient=False).source
    assert "≠ 5 values differ" in title_of(source)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda w: 3.0, "compared_with is a tensor, got float: 3.0"),
        (lambda w: loss_of(w, name="other loss"), "differ at 'loss', in its place stands 'other loss'"),
        (lambda w: w.sum().named("loss"), "it is 3 from 1 tensor here and 3 there"),
        (lambda w: loss_of(lo.Parameter(w.data, name="v")), "differ at 'w', in its place stands 'v'"),
        (lambda w: (w * w - 1.0).__pow__(2).sum().named("loss"), "differ at 'x', it is used in more places"),
    ],
)
def test_graphs_of_another_form_are_refused(w, other, message):
    with pytest.raises(OptionError, match=message):
        lo.draw(loss_of(w), compared_with=other(w))


def test_a_value_that_is_used_twice_is_no_two_values():
    def loss(shared):
        w = lo.Parameter(2.0)
        a = w * 3.0
        return a + (a if shared else w * 3.0)

    for mine, other in ((True, False), (False, True)):
        with pytest.raises(OptionError, match="used in more places of one graph than of the other"):
            lo.draw(loss(mine), compared_with=loss(other))


def test_sixty_diamonds_are_compared_at_once():
    def loss(value):
        y = lo.Parameter(value, name="w")
        for _ in range(60):
            y = y * 0.5 + y * 0.25
        return y

    assert "differ" in lo.draw(loss(1.0), compared_with=loss(2.0)).source


def test_hostile_names_stay_text(w):
    evil = "</td><script>alert(1)</script>"
    other = lo.Parameter([9.0, 3.0, 4.0], name="w")
    assert "<script>" not in lo.draw(loss_of(w, name=evil), compared_with=loss_of(other, name=evil)).source
