"""The page that steps through a graph, as a file: its parts, its data, what it leaves out."""

import base64
import hashlib
import html
import json
import re

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.drawing import stepper
from tinygrad_lo.drawing.colors import COLORS
from tinygrad_lo.drawing.document import recolored, slimmed
from tinygrad_lo.drawing.picture import Picture, draw
from tinygrad_lo.drawing.stepper import shortened_line
from tinygrad_lo.errors import DrawingError, MutationError
from tinygrad_lo.explaining.steps import steps


@pytest.fixture
def neuron():
    w, x = lo.Parameter(2.0, name="w"), lo.Tensor(-1.0, name="x")
    return np.tanh(w * x + w).named("f")


def data_of(page):
    return json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1]
    )


def test_save_writes_the_page_that_steps_returns(neuron, tmp_path, backend):
    picture = draw(neuron)
    path = picture.save(tmp_path / "loss.html")
    assert path.read_bytes().decode() == picture.steps().html
    assert picture.steps() is picture.steps()
    assert repr(picture.steps()).startswith("<Page that steps through f")
    assert draw(neuron).steps().html == picture.steps().html


def test_the_examples_are_small_files(svm, neuron, backend):
    for loss in (svm, neuron):
        assert 25_000 < len(draw(loss).steps().html.encode()) < 150_000


def test_the_policy_names_what_is_inline_and_allows_nothing_else(svm, backend):
    page = draw(svm).steps().html
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    allowed = dict(part.split(" ", 1) for part in policy.split("; "))
    assert allowed.pop("default-src") == allowed.pop("base-uri") == allowed.pop("form-action") == "'none'"
    assert sorted(allowed) == ["script-src", "style-src"]
    for tag in ("script", "style"):
        texts = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
        assert allowed[f"{tag}-src"] == " ".join(f"'sha256-{digest}'" for digest in hashes)
    assert "\r" not in page


def test_nothing_in_the_file_is_fetched(svm, backend):
    page = draw(svm).steps().html
    assert not re.findall(r'\s(?:src|href|xlink:href)=|@import|\sstyle="', page)
    assert set(re.findall(r"\w+://[^\s\"'<)]*", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "innerHTML" not in page


def test_the_steps_are_those_of_explain(svm, backend):
    told = data_of(draw(svm).steps().html)["steps"]
    found = steps(svm)
    text = lo.explain(svm)
    lines = [step["line"] for step in told if step["kind"] in ("forward", "backward")]
    assert lines == [*(s.text for s in found.forward), "∂L/∂loss = 1", *(s.text for s in found.backward)]
    assert all(line in text for line in lines)


def test_markup_in_names_is_data(backend):
    w = lo.Parameter(3.0, name="</script><!-- {data} & \\u003c")
    page = draw((w * w).named("<b>")).steps().html
    raw = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1]
    assert "<" not in raw
    assert "</script><!-- {data} & \\u003c" in json.loads(raw)["steps"][1]["line"]
    assert "<title>&lt;b&gt;, step by step</title>" in page
    assert page.count("<script") == 3


def test_names_that_are_long_or_from_right_to_left_are_set_apart(backend):
    long, hebrew = "n" * 500, "משקל"
    a, b = lo.Parameter(2.0, name=long), lo.Parameter(3.0, name=hebrew)
    told = data_of(draw((a * b).named("loss")).steps().html)["steps"]
    assert told[1]["line"] == f"loss = \u2068{'n' * 39}…\u2069 × \u2068{hebrew}\u2069 = 2 × 3 = 6"
    assert long not in json.dumps(told)


def test_both_themes_are_in_the_file(svm, backend):
    for theme, when in (
        ("light", "@media screen and (prefers-color-scheme:dark)"),
        ("dark", "@media screen{"),
    ):
        page = draw(svm, theme=theme).steps().html
        style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
        assert when in style
        light, dark = style.split("@media")
        for text, colors in ((light, COLORS["light", "cs231n"]), (dark, COLORS["dark", "cs231n"])):
            assert f"--paper:{colors.paper}" in text
            defined = set(re.findall(r"(--\w+):#", text))
            assert set(re.findall(r"var\((--\w+)\)", page)) <= defined | {"--tall"}
        assert not re.findall(r' (?:fill|stroke)="#', page)


def test_colors_are_paired_by_place():
    light = '<?xml?><svg fill="#111111"><text>fill="#111111"</text><a stroke="none" fill="red"/></svg>'
    dark = '<?xml?><svg fill="#eeeeee"><text>fill="#111111"</text><a stroke="none" fill="blue"/></svg>'
    pairs = {}
    quoted = [text.replace('>fill="', ">fill=&quot;") for text in (light, dark)]
    svg = slimmed(recolored(*quoted, pairs))
    assert [*pairs] == [("#111111", "#eeeeee"), ("red", "blue")]
    assert svg.startswith('<svg fill="var(--c0)">')
    assert svg.endswith('<a fill="var(--c1)"/></svg>')
    assert slimmed(recolored(*quoted, pairs)) == svg  # another picture shares the numbers
    assert len(pairs) == 2


def test_pixels_of_an_image_are_one_path_for_each_colour():
    def pixel(color, x, y):
        return f'<polygon fill="{color}" points="{x},{y} {x},{y - 4} {x + 8},{y - 4} {x + 8},{y} {x},{y}"/>\n'

    tiles = [pixel("var(--c1)", 0.5, 9), pixel("var(--c2)", 8.5, 9), pixel("var(--c1)", 0.5, 5)]
    svg = slimmed(f'<svg>\n{"".join(tiles)}{pixel("var(--c2)", 8.5, 5)}<text fill="var(--c3)"/></svg>')
    assert "polygon" not in svg
    assert 'd="M0.5,9v-4h8v4zM0.5,5v-4h8v4z"' in svg
    assert 'd="M8.5,9v-4h8v4zM8.5,5v-4h8v4z"' in svg
    assert slimmed(f"<svg>\n{''.join(tiles)}</svg>").count("<polygon") == 3  # those of cards stay


def test_what_all_texts_have_alike_is_said_once(svm, backend):
    page = draw(svm).steps().html
    assert "font-family=" not in page
    assert 'font-size="11' not in page


def test_ids_of_cells_are_in_the_page_only(svm, backend):
    picture = draw(svm)
    assert "gradient-n" not in picture.source
    page = picture.steps().html
    for place in data_of(page)["steps"][-2]["totals"]:
        assert f'id="a_gradient-{place}"' in html.unescape(page)


def test_running_totals_are_sent_and_final_ones_are_the_picture(backend):
    w = lo.Parameter([1.0, 0.0], name="w")
    loss = ((w * 0.5).sum() + (w * w).sum()).named("loss")
    told = data_of(draw(loss).steps().html)["steps"]
    totals = [step["totals"]["n0"] for step in told if "n0" in step.get("totals", {})]
    assert totals == [["1", "0"], ["2", "0"], None]


def test_questions_ask_for_the_product(svm, backend):
    told = data_of(draw(svm).steps().html)["steps"]
    for step, product in zip(
        [step for step in told if step["kind"] == "backward"][1:], steps(svm).backward, strict=True
    ):
        part = np.ravel(product.part)
        assert float(step["answer"]) == part[step["cell"]]
        assert abs(part[step["cell"]]) == np.abs(part).max()
        if product.before is not None:
            assert float(step["sum"]) == np.ravel(product.total)[step["cell"]]


def test_large_arrays_are_not_asked(backend):
    w = lo.Parameter(np.ones((40, 2)), name="w")
    told = data_of(draw((w * w).sum().named("loss")).steps().html)["steps"]
    assert [step["question"] for step in told if "question" in step] == []


def test_what_the_picture_leaves_out_is_said(backend):
    w = lo.Parameter(1.0, name="w")
    value = w
    for _ in range(50):
        value = value * 1.5 + 1.0
    data = data_of(draw(value, style="circuit", max_nodes=10).steps().html)
    assert data["note"].startswith("The picture leaves out 91 of 101 values; 180 steps among these")
    assert len(data["steps"]) == 1 + 10 + 1 + 10 + 1


def test_the_middle_of_a_long_list_is_one_entry(monkeypatch):
    monkeypatch.setattr(stepper, "LONGEST_PASS", 10)
    monkeypatch.setattr(stepper, "AT_ENDS", 2)
    assert shortened_line([*range(8)], 2) == [*range(8)]
    assert shortened_line([*range(8)], 3) == [0, 1, [2, 3, 4, 5], 6, 7]
    assert shortened_line([*range(5)], 99) == [*range(5)]


def test_graphs_that_nobody_steps_through_are_refused(neuron, monkeypatch, backend):
    monkeypatch.setattr(stepper, "MOST_VALUES", 3)
    with pytest.raises(
        DrawingError, match=r"the graph has 5 values, a page steps through 3 at most.*lo\.explain"
    ):
        draw(neuron).steps()


def test_a_changed_parameter_is_an_error_and_not_a_wrong_page(backend):
    w = lo.Parameter(3.0, name="w")
    picture = draw((w * w).named("loss"))
    w.data = np.float64(4.0)
    told = data_of(picture.steps().html)["steps"]
    assert told[1]["line"] == "loss = w × w = 3 × 3 = 9"
    v = lo.Parameter([1.0, 2.0], name="v")
    picture = draw((v * v).sum().named("loss"))
    v.data -= 1.0
    with pytest.raises(MutationError, match="v"):
        picture.steps()


def test_stepping_changes_nothing(svm, backend):
    before = draw(svm).source
    draw(svm).steps()
    assert draw(svm).source == before
    svm.backward()
    assert draw(svm).source == before


def test_without_a_graph_or_a_graphviz_it_says_so(neuron, no_backend, tmp_path):
    with pytest.raises(DrawingError, match="sudo apt install graphviz"):
        draw(neuron).save(tmp_path / "loss.html")
    assert not (tmp_path / "loss.html").exists()
    with pytest.raises(DrawingError, match=r"not made by lo\.draw"):
        Picture("digraph {}", "x").steps()


def test_a_notebook_gets_a_frame(neuron, backend):
    page = draw(neuron).steps()
    frame = page._repr_html_()
    assert frame.startswith('<iframe sandbox="allow-scripts" ')
    assert html.unescape(re.search(r'srcdoc="([^"]*)"', frame)[1]) == page.html
