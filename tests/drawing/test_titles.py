"""Titles of scopes stand where no edge runs."""

import re

import numpy as np
import pytest
from drawing_networks import svm_of_one_image

import tinygrad_lo as lo
from tinygrad_lo.drawing.render import crossings, curves, frames, move_titles, render

SVG = """<g id="s0" class="cluster"><title>cluster_0</title>
<path fill="#eee"
 d="M20,-100C20,-100 200,-100 200,-100 206,-100 212,-94 212,-88 212,-88 212,0 200,0 20,0 8,0 8,-88"/>
<text text-anchor="start" x="16" y="-86">title</text></g>
<g id="e0" class="edge"><title>a</title><path fill="none" d="M{x},-150C{x},-150 {x},-10 {x},-10"/></g>"""
SOURCE = 'graph [id="s0" labelloc=t labeljust=l tooltip="labelloc=t labeljust=l"]\n'


def crossed(svg):
    """How many edges run through titles."""
    return sum(crossings(curves(svg), title) for _, _, title in frames(svg))


def test_a_title_moves_only_when_it_is_crossed():
    assert move_titles(SOURCE, SVG.replace("{x}", "120")) == SOURCE
    assert crossed(SVG.replace("{x}", "120")) == 0
    assert crossed(SVG.replace("{x}", "30")) == 1
    assert move_titles(SOURCE, SVG.replace("{x}", "30")) == SOURCE.replace(
        "labeljust=l tool", "labeljust=r tool"
    )


def test_frames_are_read():
    ((name, frame, title),) = frames(SVG)
    assert name == "s0"
    assert frame == (8, -100, 212, 0)
    assert title[:2] == (16, -96)


def test_points_are_close_to_each_other():
    (curve,) = curves(SVG.replace("{x}", "30"))
    np.testing.assert_allclose((*curve.min(axis=0), *curve.max(axis=0)), (30, -150, 30, -10))
    assert np.hypot(*np.diff(curve, axis=0).T).max() < 8
    np.testing.assert_allclose(curve[[0, -1]], [(30, -150), (30, -10)])


def test_every_curve_of_a_path_is_followed():
    (curve,) = curves('<g class="edge"><path d="M0,0C0,10 0,20 0,30 0,40 10,50 30,60"/>')
    np.testing.assert_allclose(curve[[0, -1]], [(0, 0), (30, 60)])
    assert np.isclose(curve, (0, 30)).all(axis=1).any()


@pytest.mark.parametrize("style", ["cards", "circuit"])
def test_no_edge_of_the_svm_crosses_a_title(style, backend):
    loss = svm_of_one_image()
    source = lo.draw(loss, style=style).source
    assert crossed(render(source, "svg", "loss").decode()) == 0


def test_titles_of_very_large_pictures_stay(monkeypatch):
    page = SVG.replace("{x}", "30")
    assert move_titles(SOURCE, page) != SOURCE
    monkeypatch.setattr("tinygrad_lo.drawing.render.MOST_CROSSINGS", 0)
    assert move_titles(SOURCE, page) == SOURCE


def test_every_format_has_the_same_places(backend, tmp_path):
    source = lo.draw(svm_of_one_image()).source
    sizes = [int.from_bytes(render(source, "png")[at : at + 4]) for at in (16, 20)]
    svg = render(source, "svg").decode()
    found = re.search(r'<svg width="(\d+)pt" height="(\d+)pt"', svg)
    assert sizes == pytest.approx([2 * int(found[1]), 2 * int(found[2])], abs=3)


def test_the_source_does_not_depend_on_the_layout():
    assert "labeljust=r" not in lo.draw(svm_of_one_image()).source
