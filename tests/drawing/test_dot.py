"""The DOT text: what it says, that it is the same in every run, and that both Graphviz take it."""

import importlib
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.drawing.colors import LIGHT
from tinygrad_lo.drawing.picture import draw
from tinygrad_lo.drawing.render import render, squeezed, visible
from tinygrad_lo.drawing.styles.style import shown_name
from tinygrad_lo.engine.ops.elementwise import relu

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
GALLERY = importlib.import_module("gallery")
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = [
    "</TABLE>",
    "<<b>",
    '"',
    '"]; evil [label="',
    "\\N",
    "\\",
    "a\\",
    "&amp;",
    "&",
    "<b>bold</b>",
    "<TABLE>",
    "'",
    " padded  name ",
    "-->",
    "]]>",
    "line\nbreak",
    "nul\x00",
    "\ud800",
    ' id="x" url(#a)',
    "∂L/∂x",
    "x" * 200,
    "%s{}",
]


def text_of(source):
    """The words of a DOT text, without markup."""
    return re.sub(r"<[^<>]*>", "", source).replace("&#160;", " ")


def test_both_renderers_show_every_value_and_edge(svm, backend):
    svg = render(draw(svm).source, "svg", "loss").decode()
    root = ET.fromstring(svg)
    groups = [group.get("class") for group in root.iter(f"{SVG}g")]
    assert (groups.count("node"), groups.count("edge"), groups.count("cluster")) == (15, 17, 3)
    seen = visible(svg).split("\n")
    for word in ["W", "j≠y", "margins", "data loss", "−0.667", "6.167", "×0.333", "forward"]:
        assert any(word in run for run in seen), word


def test_w_times_w_has_two_edges_after_rendering(backend):
    w = lo.Parameter(3.0, name="w")
    svg = render(draw(w * w).source, "svg").decode()
    assert svg.count('class="edge"') == 2


@pytest.mark.parametrize("style", ["circuit", "overview"])
@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_text_in_circuits_and_boxes(name, style, backend):
    w, x, y = lo.Parameter(1.0, name=name), lo.Tensor(2.0, name=name), lo.Tensor(3.0, name=name)
    with lo.scope(name):
        z = w * x * y + w
    loss = (z * 2.0).named(name)
    svg = render(draw(loss, title=name, style=style).source, "svg", shown_name(name)).decode()
    root = ET.fromstring(svg)
    groups = [(group.get("class") or "").split()[:1] for group in root.iter(f"{SVG}g")]
    assert groups.count(["node"]) == {"circuit": 2 + 4 * 2, "overview": 3}[style]
    assert groups.count(["cluster"]) == {"circuit": 1, "overview": 0}[style]
    assert squeezed(visible(svg)).count(squeezed(shown_name(name))) >= 4


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_text_everywhere(name, backend):
    w = lo.Parameter([1.0, 2.0], name=name)
    with lo.scope(name):
        loss = (w * 2.0).sum().named(name)
    svg = render(draw(loss, title=name).source, "svg", shown_name(name)).decode()
    root = ET.fromstring(svg)
    groups = [group.get("class") for group in root.iter(f"{SVG}g")]
    assert (groups.count("node"), groups.count("edge"), groups.count("cluster")) == (3, 2, 1)
    # title, scope, header of w and of the loss, formula of v1, and ∂name/∂value
    assert squeezed(visible(svg)).count(squeezed(shown_name(name))) == 6
    tips = [squeezed(a.get("{http://www.w3.org/1999/xlink}title") or "") for a in root.iter(f"{SVG}a")]
    assert squeezed(shown_name(name)) in tips


def test_an_empty_name_does_no_harm(backend):
    assert b"<svg" in render(draw(lo.Parameter(1.0, name="") * 2.0, title="").source, "svg")


PROGRAM = """
import numpy as np, tinygrad_lo as lo
from tinygrad_lo.drawing.picture import draw
born = [lo.Tensor(1.0) for _ in range({born})]
with lo.scope("a"):
    w = lo.Parameter([1.0, 2.0], name="w")
    loss = (w * np.array([1.0, 2.0]) + np.array([3.0, 4.0])).sum() * 2.0
    for _ in range(20):
        with lo.scope("b"):
            loss = loss * w.sum() + w[0] * lo.Tensor(2.0)
for style in ("cards", "circuit", "overview"):
    for options in ({{}}, {{"max_nodes": 9}}, {{"focus": "w", "max_nodes": 20}}):
        print(ascii(draw(loss, style=style, **options).source))
"""


def test_the_same_graph_gives_the_same_text_in_every_process():
    root = str(Path(lo.__file__).parents[1])
    outs = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM.format(born=born)],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": root},
            capture_output=True,
            check=True,
        ).stdout
        for born, seed in [(0, "1"), (50, "2"), (0, "77")]
    }
    assert len(outs) == 1
    assert len(set(outs.pop().splitlines())) >= 7


def test_roles_have_their_frames():
    loss = (lo.Tensor(2.0, name="x") * lo.Parameter(3.0, name="w")).named("loss")
    x, w, y = re.findall(r"^n\d \[.*$", draw(loss, style="cards").source, re.MULTILINE)
    assert (f'COLOR="{LIGHT.frame}"' in x, LIGHT.parameter in w, LIGHT.loss in y) == (True, True, True)
    assert LIGHT.parameter not in x + y


def test_edges_show_the_gradient_that_flows_along_them():
    x, a, b = (lo.Parameter(v, name=n) for v, n in ((-2.0, "x"), (4.0, "a"), (1.0, "b")))
    loss = relu(x).named("h") + a * a * lo.Tensor([1.0], name="data") + b
    source = draw(loss, style="cards").source
    edges = {
        re.search(r'tooltip="(\w+ → \w+)', line)[1]: line for line in source.splitlines() if " -> " in line
    }
    assert "style=dashed" in edges["x → h"]
    assert edges["x → h"].count("×0<") == 1
    widths = {key: float(re.search(r"penwidth=([\d.]+)", line)[1]) for key, line in edges.items()}
    assert widths["a → v1"] == max(widths.values()) == 2.8  # 4
    assert widths["b → L"] == pytest.approx(0.8 + 2.0 * 0.5, abs=0.01)  # √(1/4)
    assert widths["data → v2"] == 0.8
    assert "×" not in edges["data → v2"]


def test_an_infinite_gradient_does_not_thin_the_others():
    w, b = lo.Parameter(0.0, name="w"), lo.Parameter(1.0, name="b")
    with np.errstate(all="ignore"):
        loss = np.sqrt(w) + b
    to_v1, *to_v2 = [line for line in draw(loss, style="cards").source.splitlines() if " -> " in line]
    assert all("penwidth=2.80" in line for line in (to_v1, *to_v2))
    assert "|gradient| ∞" in to_v1


def test_scopes_nest_and_two_with_one_title_stay_two():
    w = lo.Parameter(2.0)
    with lo.scope("outer"):
        with lo.scope("inner"):
            a = w * 2.0
        with lo.scope("inner"):
            b = w * 3.0
    source = draw(a + b).source
    assert source.count("<B>outer</B>") == 1
    assert source.count("<B>inner</B>") == 2
    assert re.search(
        r"subgraph cluster_0 {\ngraph[^\n]*outer[^\n]*\n(n\d[^\n]*\n)?subgraph cluster_1 {\ngraph[^\n]*inner",
        source,
    )
    assert source.count("{\n") == source.count("\n}")


def test_a_scope_left_and_entered_again_by_the_order_of_births_is_one_frame(backend):
    w = lo.Parameter(2.0)
    with lo.scope("one"):
        a = w * 2.0
        with lo.scope("two"):
            b = a * 3.0
        c = a * b
    svg = render(draw(c).source, "svg").decode()
    assert svg.count('class="cluster"') == 2


def test_the_legend_has_only_the_rows_that_apply():
    w, x = lo.Parameter(3.0, name="w"), lo.Tensor(2.0, name="x")

    def legend(loss, **options):
        (line,) = (
            line for line in draw(loss, **options).source.splitlines() if line.startswith("graph [tooltip")
        )
        return text_of(line)

    everything = [
        "parameter",
        "data",
        "constant",
        "loss",
        "grad",
        "local derivative",
        "no gradient flows",
        "not reached",
    ]
    for loss, options, present in [
        ((w * x).named("y"), {}, {"parameter", "data", "loss", "grad", "local derivative"}),
        ((w * x).named("y"), {"gradient": False}, {"parameter", "data", "loss"}),
        ((w * np.ones(2)).named("y"), {}, {"parameter", "constant"}),
        (relu(-w).named("y"), {}, {"parameter", "loss", "grad", "local derivative", "no gradient flows"}),
    ]:
        assert {word for word in everything if word in legend(loss, **options)} == present


def test_the_title_says_what_is_left_out(backend):
    v = lo.Parameter(1.0, name="w")
    for _ in range(30):
        v = v + 1.0
    picture = draw(v.named("loss"), style="circuit", max_nodes=10)
    assert "the 10 nearest of 31 values" in text_of(picture.source)
    shown_text = visible(render(picture.source, "svg", "loss").decode())
    assert "… 21 more values" in shown_text
    assert "nearest of" not in text_of(draw(v, max_nodes=31).source)


def test_a_title_stands_in_place_of_the_name():
    w = lo.Parameter(3.0, name="w")
    assert "<B>my title</B>" in draw(w, title="my title").source
    assert draw(w).source.count("<B>w</B>") == 2
    assert draw(w, title="my title").source.count("<B>w</B>") == 1


def test_a_picture_without_gradient_shows_none():
    w = lo.Parameter(3.0, name="w")
    source = draw((w * 2.0).named("loss"), style="cards", gradient=False).source
    assert "grad" not in text_of(source)
    assert "penwidth" not in source


def test_digits_and_max_cells_are_obeyed():
    w = lo.Parameter([1 / 3, 2.0, 3.0], name="w")
    assert ">0.33333<" in draw(w, digits=5).source
    assert "v1 × 0.12346" in draw(w * 1.0 * 0.123456789, digits=4).source
    assert "mean" in text_of(draw(w, max_cells=2).source)
    assert "mean" not in text_of(draw(w, max_cells=3).source)


@pytest.mark.slow
def test_a_chain_of_20_000_values_needs_no_recursion():
    v = lo.Parameter(1.0, name="w")
    for _ in range(20_000):
        v = v * 1.0001
    began = time.perf_counter()
    assert "20001 values · equal parts drawn once" in text_of(draw(v).source)
    assert draw(v, style="cards", max_nodes=30_000).source.count(" -> ") == 20_000
    assert time.perf_counter() - began < 30  # 1.4 s on the machine where this was written


def test_a_thousand_values_are_written_quickly():
    v = w = lo.Parameter(1.0, name="w")
    for _ in range(998 // 2):
        v = v * w + w
    for style in ("cards", "circuit", "overview"):
        times = []
        for _ in range(3):
            began = time.perf_counter()
            draw(v, style=style, max_nodes=1000)
            times.append(time.perf_counter() - began)
        assert min(times) < 0.5  # 0.1 s where this was written


@pytest.mark.slow
def test_a_chain_of_20_000_values_in_nested_scopes_is_collapsed():
    v = lo.Parameter(1.0, name="w")
    for i in range(200):
        with lo.scope(f"outer {i}"), lo.scope("inner"):
            for _ in range(100):
                v = v * 1.0001
    source = text_of(draw(v * 1.0, style="overview").source)
    assert "outer 199" in source
    assert "20002 values" in source
    assert source.count(" -> ") <= 100


@pytest.mark.parametrize("name", GALLERY.PICTURES)
def test_graphviz_says_nothing(name):
    program = shutil.which("dot")
    if program is None:
        pytest.skip("no dot on the PATH")
    source = GALLERY.PICTURES[name]().source
    done = subprocess.run([program, "-Tsvg"], input=source.encode(), capture_output=True, check=True)
    assert done.stderr == b""


@pytest.mark.slow
def test_a_thousand_scopes_inside_each_other_need_no_recursion():
    w = lo.Parameter(1.0)
    scopes = [lo.scope(f"s{i}") for i in range(2000)]
    for scope in scopes:
        scope.__enter__()
    loss = w * 2.0
    for scope in reversed(scopes):
        scope.__exit__()
    assert draw(loss).source.count("subgraph") == 2000
