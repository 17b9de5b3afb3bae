"""What stands in a card."""

import re

import numpy as np
import pytest

from tinygrad_lo.drawing.colors import LIGHT
from tinygrad_lo.drawing.contents import DrawnValue
from tinygrad_lo.drawing.styles.cards import card
from tinygrad_lo.drawing.styles.style import DASH, Look, shown_name, text

LOOK = Look(LIGHT, max_cells=16, digits=3)


def made(data, gradient=None, *, expects=True, role="value", formula="a + b", **more):
    return DrawnValue("n1", "v", True, formula, role, np.asarray(data)[()], (), expects, gradient, **more)


def words(label):
    return [
        word for word in re.sub(r"<[^>]*>", "\n", label).replace("&#160;", " ").split("\n") if word.strip()
    ]


def ground_of(label, number):
    """The background of the cell in which a number stands, or None."""
    found = re.search(rf"<TD([^>]*)><FONT[^>]*>(?:<B>)?{number}<", label)
    return found and (re.search(r'BGCOLOR="(#\w+)"', found[1]) or [None, None])[1]


def test_a_scalar_has_name_formula_and_both_numbers_with_a_digit_more():
    assert words(card(made(1 / 3, 2 / 3), LOOK)) == ["v", " = a + b", "value", "grad", "0.3333", "0.6667"]


def test_without_a_gradient_there_is_no_caption_and_no_number():
    assert words(card(made(0.5, expects=False), LOOK)) == ["v", " = a + b", "0.5"]


def test_a_gradient_that_was_not_computed_is_a_dash():
    assert words(card(made(0.5, None), LOOK))[-1] == DASH
    assert words(card(made([0.5], None), LOOK))[-1] == DASH


def test_a_leaf_says_what_it_is_and_its_shape():
    assert words(card(made([[1.0, 2.0]], role="data", formula="", expects=False), LOOK))[:2] == [
        "v",
        "  data · 1×2",
    ]


def test_uses_that_are_not_drawn_are_said():
    assert "1 more use not drawn" in card(made(1.0, 1.0, unseen=1), LOOK)
    assert "7 more uses not drawn" in card(made(1.0, 1.0, unseen=7), LOOK)


def test_names_given_by_the_user_are_bold_and_others_in_italics():
    value = made(1.0, 1.0)
    assert "<B>v</B>" in card(value, LOOK)
    value.given = False
    assert "<I>v</I>" in card(value, LOOK)


def test_tables_are_tinted_by_size_and_zeros_are_grey():
    label = card(made([[4.0, -2.0, 0.0]], expects=False), LOOK)
    assert ground_of(label, 4) == LIGHT.heat("value", 1.0)
    assert ground_of(label, "−2") == LIGHT.heat("value", 0.5)
    assert ground_of(label, 0) is None
    assert f'<FONT COLOR="{LIGHT.muted}">0</FONT>' in label


def test_value_and_gradient_have_their_own_scale_and_hue():
    label = card(made([8.0], np.array([0.25])), LOOK)
    assert ground_of(label, 8) == LIGHT.heat("value", 1.0)
    assert ground_of(label, "0.25") == LIGHT.heat("gradient", 1.0)


def test_nan_and_infinity_are_loud_and_do_not_wash_out_the_others():
    label = card(made([np.nan, -np.inf, 2.0], expects=False), LOOK)
    assert ground_of(label, "nan") == ground_of(label, "−∞") == LIGHT.alarm
    assert ground_of(label, 2) == LIGHT.heat("value", 1.0)
    assert LIGHT.alarm in card(made(np.nan, expects=False), LOOK)


@pytest.mark.parametrize("shape", [(17, 2), (2, 17), (17,), (2, 2, 2)])
def test_large_arrays_are_summarized(shape):
    data = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    label = words(card(made(data, np.full(shape, 0.5)), LOOK))
    at = label.index("mean")
    last = data.size - 1
    assert label[at::2][:4] == ["mean", "std", "min", "max"]
    assert float(label[at + 1]) == pytest.approx(last / 2, rel=0.01)
    assert (label[at + 5], label[at + 7]) == ("0", str(last))
    assert label[at + 8 :] == ["0.5", "0", "0.5", "0.5"]


def test_a_table_as_large_as_allowed_is_a_table():
    assert "mean" not in words(card(made(np.ones((16, 16)), expects=False), LOOK))


@pytest.mark.parametrize(
    "data", [np.zeros((0, 3)), np.array([True, False]), np.array([1, -2]), np.zeros((1, 1))]
)
def test_unusual_arrays_have_cards(data):
    assert card(made(data, expects=False), LOOK).startswith("<TABLE")


def test_an_empty_array_says_so():
    assert words(card(made(np.zeros((0, 3)), expects=False), LOOK))[-1] == "empty"


def test_text_is_escaped_for_markup_and_for_graphviz():
    assert text('<b>&"') == "&lt;b&gt;&amp;&quot;"
    assert text("\\N") == "\\\\N"
    assert text(" a  b ") == "&#160;a&#160; b&#160;"
    assert text("") == "&#160;"


def test_shown_is_one_short_printable_line():
    assert shown_name("a\nb\x00\ud800") == "a b\ufffd\ufffd"
    assert shown_name("x" * 100) == "x" * 39 + "…"
