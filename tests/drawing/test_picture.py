"""draw's options, and what a picture can do."""

import inspect
import re
import shutil
import sys
import types
import webbrowser
import xml.etree.ElementTree as ET
from pathlib import Path

import graphviz
import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.drawing.colors import COLORS, PALETTES, THEMES
from tinygrad_lo.drawing.picture import Picture, draw
from tinygrad_lo.errors import DrawingError, DTypeError, OptionError


@pytest.fixture
def picture():
    w = lo.Parameter(3.0, name="w")
    return draw((w * w).named("loss"))


@pytest.mark.parametrize("value", [1.0, np.ones(3), "loss", None])
def test_only_tensors_are_drawn(value):
    with pytest.raises(DTypeError, match="expected a tensor"):
        draw(value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"style": "boxes"}, "style must be 'auto', 'cards', 'circuit', 'overview' or 'folded', got 'boxes'"),
        ({"theme": "blue"}, "theme must be 'light' or 'dark', got 'blue'"),
        ({"palette": "red"}, "palette must be 'cs231n' or 'colorblind', got 'red'"),
        ({"gradient": 1}, "gradient must be True or False, got 1"),
        ({"max_nodes": 0}, "max_nodes must be an int >= 1, got 0"),
        ({"max_nodes": 1.5}, "max_nodes must be an int >= 1, got 1.5"),
        ({"max_cells": -1}, "max_cells must be an int >= 0, got -1"),
        ({"digits": 0}, "digits must be an int >= 1, got 0"),
        ({"digits": True}, "digits must be an int >= 1, got True"),
        ({"title": 3}, "title must be text or None, got 3"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(OptionError, match=re.escape(message)):
        draw(lo.Parameter(1.0), **options)


def test_there_are_these_options_and_no_more():
    assert list(inspect.signature(draw).parameters) == [
        "loss", "args", "style", "theme", "palette", "gradient", "max_nodes", "max_cells", "digits", "focus",
        "title", "check", "compared_with",
    ]  # fmt: skip
    with pytest.raises(TypeError, match="depth"):
        draw(lo.Parameter(1.0), depth=3)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("palette", PALETTES)
def test_theme_and_palette_choose_the_colors(svm, theme, palette):
    source = draw(svm, theme=theme, palette=palette).source
    colors = COLORS[theme, palette]
    for color in (colors.paper, colors.value, colors.gradient, colors.parameter, colors.scopes[2]):
        assert color in source


def test_drawing_changes_nothing(svm):
    W = next(node for node in [svm, *parents(svm)] if node.name == "W")
    draw(svm)
    assert W.grad is None
    svm.backward()
    before = W.grad.copy()
    draw(svm)
    np.testing.assert_array_equal(W.grad, before)


def parents(root):
    found = [root]
    for node in found:
        found += [parent for parent in node.parents if parent is not None]
    return found


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf", ".PNG"])
def test_save_writes_by_suffix(picture, tmp_path, backend, suffix):
    path = picture.save(tmp_path / f"loss{suffix}")
    assert path == tmp_path / f"loss{suffix}"
    magic = {".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF"}[suffix.lower()]
    assert path.read_bytes().startswith(magic)


def test_dot_files_need_no_graphviz(picture, tmp_path, no_backend):
    path = picture.save(str(tmp_path / "loss.dot"))
    assert isinstance(path, Path)
    assert path.read_bytes() == picture.source.encode()
    with pytest.raises(DrawingError):
        picture.save(tmp_path / "loss.svg")
    assert not (tmp_path / "loss.svg").exists()


def test_the_graph_is_the_source_of_the_package_graphviz(picture, tmp_path, monkeypatch):
    assert type(picture.graph) is graphviz.Source
    assert picture.graph.source == picture.source
    with pytest.raises(ValueError, match="unknown format"):
        picture.graph.pipe("jpgg")
    if shutil.which("dot"):
        assert picture.graph.pipe("json").startswith(b"{")
        path = picture.graph.render(tmp_path / "loss", format="gif")
        assert Path(path).read_bytes().startswith(b"GIF8")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(graphviz.ExecutableNotFound, match="PATH"):
        picture.graph.pipe("svg")


@pytest.mark.parametrize("name", ["loss", "loss.jpg", "loss.svg.gz", ".svg"])
def test_other_suffixes_are_refused_by_name(picture, tmp_path, name):
    with pytest.raises(OptionError, match=r"\.svg, \.png, \.pdf, \.dot"):
        picture.save(tmp_path / name)


def test_the_guard_asks_for_the_name_of_the_loss(tmp_path, backend):
    with pytest.raises(DrawingError, match="does not show 'loss'"):
        Picture("digraph { another }", "loss").save(tmp_path / "x.png")


# ---------------------------------------------------------------------------------- notebooks


def test_a_notebook_gets_html_svg_and_text(picture, backend):
    bundle = picture._repr_mimebundle_()
    assert list(bundle) == ["text/html", "image/svg+xml", "text/plain"]
    assert bundle["text/html"].startswith('<div style="overflow:auto;max-width:100%"><svg')
    assert bundle["image/svg+xml"].startswith("<?xml")
    assert bundle["text/plain"] == repr(picture)
    assert list(picture._repr_mimebundle_(include=["text/plain"])) == ["text/plain"]
    assert list(picture._repr_mimebundle_(exclude={"text/html"})) == ["image/svg+xml", "text/plain"]


def test_two_pictures_on_a_page_share_no_id(picture, svm, backend):
    found = []
    for each in (picture, draw(svm)):
        html = each._repr_mimebundle_()["text/html"]
        root = ET.fromstring(html)
        ids = [element.get("id") for element in root.iter() if element.get("id")]
        assert ids
        assert len(ids) == len(set(ids))
        found.append(set(ids))
    assert not found[0] & found[1]


def test_ids_in_names_are_text(backend):
    name = '<g id="x"> url(#a) href="#b"'
    html = draw(lo.Parameter(1.0, name=name) * 2.0)._repr_mimebundle_()["text/html"]
    texts = [(element.text or "").replace("\xa0", " ") for element in ET.fromstring(html).iter()]
    assert name in texts
    assert any(name in value for element in ET.fromstring(html).iter() for value in element.attrib.values())


def test_a_notebook_never_sees_an_exception(picture, no_backend):
    bundle = picture._repr_mimebundle_()
    assert list(bundle) == ["text/plain"]
    assert "sudo apt install graphviz" in bundle["text/plain"]


def test_a_picture_is_rendered_once(picture, monkeypatch):
    calls = []
    monkeypatch.setattr("tinygrad_lo.drawing.picture.render", lambda *args: calls.append(args) or b"<svg/>")
    picture._repr_mimebundle_()
    picture._repr_mimebundle_()
    assert len(calls) == 1


# --------------------------------------------------------------------------------------- show


def test_show_opens_a_file(picture, monkeypatch, backend):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda uri: opened.append(uri) or True)
    picture.show()
    assert opened[0].startswith("file://")
    assert Path(opened[0].removeprefix("file://")).read_bytes().startswith(b"<?xml")


def test_show_says_where_the_file_is_when_nothing_opens_it(picture, monkeypatch, backend):
    monkeypatch.setattr(webbrowser, "open", lambda uri: False)
    with pytest.raises(DrawingError, match=r"picture\.svg"):
        picture.show()


def test_show_in_a_notebook_displays_below_the_cell(picture, monkeypatch):
    displayed = []
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    display = types.ModuleType("IPython.display")
    display.display = displayed.append
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    picture.show()
    assert displayed == [picture]


def png_size(path):
    data = path.read_bytes()
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])


def test_a_png_takes_its_dots_per_inch(picture, tmp_path):
    if shutil.which("dot") is None:
        pytest.skip("no dot on the PATH")
    wide = [png_size(picture.save(tmp_path / "p.png", dpi=dpi))[0] for dpi in (72, 300)]
    assert wide[1] == pytest.approx(wide[0] * 300 / 72, abs=4)
    assert png_size(picture.save(tmp_path / "p.png"))[0] == pytest.approx(2 * wide[0], abs=2)


@pytest.mark.parametrize("name", ["p.svg", "p.dot", "p.html", "p.pdf"])
def test_what_has_no_dots_takes_no_dpi(picture, tmp_path, name):
    with pytest.raises(OptionError, match=rf"dpi=300 is for \.png; '{name}' has no dots"):
        picture.save(tmp_path / name, dpi=300)
    assert not (tmp_path / name).exists()


def test_too_many_dots_are_refused_with_the_most_that_fit(picture, tmp_path):
    with pytest.raises(OptionError, match=r"a side would have [\d,]+ pixels; \d+ is the most") as caught:
        picture.save(tmp_path / "p.png", dpi=100_000)
    most = int(re.search(r"(\d+) is the most", str(caught.value))[1])
    assert most > 3000
    with pytest.raises(OptionError, match="dpi must be an int >= 1, got 0"):
        picture.save(tmp_path / "p.png", dpi=0)
