"""Seven networks as a reader sees them: whether the picture can be read, and whether it is true."""

import functools
import re

import numpy as np
import pytest
from drawing_geometry import Drawing
from drawing_networks import SEVEN, added, contents_of, demo, memory, perceptron

import tinygrad_lo as lo
from tinygrad_lo.drawing.passes.collect import collect
from tinygrad_lo.drawing.passes.fold import fold
from tinygrad_lo.drawing.render import visible
from tinygrad_lo.engine.naming import scopes
from tinygrad_lo.explaining.formula import Names


@functools.cache
def loss_of(name):
    return SEVEN[name]()


@functools.cache
def svg_of(name):
    return lo.draw(loss_of(name))._svg.decode()


def words_of(name):
    return visible(svg_of(name)).replace("\xa0", " ").split("\n")


@functools.cache
def folded(name):
    names = Names([loss_of(name)])
    return names, collect(names, fold(names, scopes(names.nodes), 100, []))


# ------------------------------------------------------------------------------------- can it be read


@pytest.mark.parametrize("name", SEVEN)
def test_its_text_has_ten_pixels_on_a_page(name):
    assert Drawing(svg_of(name)).smallest_text() >= 10


@pytest.mark.parametrize("name", SEVEN)
def test_nothing_is_cut_or_covered(name):
    drawing = Drawing(svg_of(name))
    assert len(drawing.texts) > 30
    assert [*drawing.cut()] == []
    assert [*drawing.covered()] == []


@pytest.mark.parametrize("name", SEVEN)
def test_no_wire_runs_through_a_box_or_a_title_that_is_not_its_own(name):
    drawing = Drawing(svg_of(name))
    assert len(drawing.edges) > 5
    assert [*drawing.through_nodes()] == []
    assert [*drawing.through_titles()] == []


def test_an_overview_can_be_read_as_well():
    drawing = Drawing(lo.draw(loss_of("batch"), style="overview")._svg.decode())
    assert drawing.smallest_text() >= 10
    problems = drawing.cut(), drawing.covered(), drawing.through_nodes(), drawing.through_titles()
    assert [*map(list, problems)] == [[], [], [], []]


def test_the_geometry_is_seen():
    """Each of the checks above finds an error that is planted."""
    svg = svg_of("batch")
    drawing = Drawing(svg)
    node, text, *_ = drawing.texts[0]
    (x,) = re.findall(rf'x="([\d.-]+)" y="[^"]*"[^>]*>{re.escape(text)}<', svg)[:1]
    assert [*Drawing(svg.replace(f'x="{x}"', f'x="{float(x) + 400}"')).cut()]
    assert [
        *Drawing(
            re.sub(r'y="-\d\d[\d.]*" (font-family="[^"]*" font-size="11)', r'y="-900" \1', svg)
        ).covered()
    ]
    moved = Drawing(svg)
    moved.nodes |= {node: (-1e4, -1e4, 1e4, 1e4)}
    moved.titles = [("title", -1e4, -1e4, 1e4, 1e4)]
    assert [*moved.through_nodes()]
    assert [*moved.through_titles()]
    moved.points.add(5.0)
    assert moved.smallest_text() < 10


# ---------------------------------------------------------------------------------------- is it true


def test_the_users_images_are_the_leaf_and_a_convolution_is_one_box():
    loss = loss_of("convolutions")
    words = words_of("convolutions")
    assert "v1 @ columns" not in " ".join(words)
    for title in ("0.Conv2d", "2.MaxPool2d", "x", "0.weight", "v5", "v10"):
        assert title in words
    contents = contents_of(loss)
    (x,) = (value for value in contents.values if value.name == "x")
    assert (x.role, x.data.shape) == ("data", (10, 1, 8, 8))
    conv = next(group for group in contents.groups if group.title == "0.Conv2d")
    assert conv.named == ["v5"]
    assert conv.outputs[0].shape == (10, 8, 8, 8)
    assert (x.id, conv.id) in {(edge.tail, edge.head) for edge in contents.edges}


def test_images_that_are_no_tensor_are_shown_as_well():
    conv, images = lo.nn.Conv2d(1, 2, 3, rng=0), np.random.default_rng(0).normal(size=(2, 1, 6, 6))
    contents = contents_of(conv(images).sum())
    (x,) = (value for value in contents.values if value.role == "data")
    np.testing.assert_array_equal(x.data, images)
    assert x.name == "x"
    assert not x.path  # it is older than the layer
    assert isinstance(lo.nn.conv2d(images, conv.weight.data), np.ndarray)


def test_a_convolution_opens_when_something_in_it_is_asked_for():
    loss = loss_of("convolutions")
    assert "2.MaxPool2d" in {group.title for group in contents_of(loss).groups}
    opened = lo.draw(loss, focus="v2").source
    assert "v1 @ columns" in opened.replace("&#160;", " ")
    assert "<B>0.Conv2d</B>" in opened  # the frame


def test_no_loss_of_the_library_is_sealed(svm):
    losses = [svm, perceptron(), lo.losses.triplet(*(lo.Parameter(np.eye(3) * k) for k in (1, 2, 3)))]
    losses += [lo.losses.cross_entropy(lo.Parameter(np.ones((2, 3))), [0, 1]).named("J")]
    for loss in losses:
        assert contents_of(loss).groups == []


def test_images_are_dark_where_the_array_is_large():
    x = lo.Tensor(np.arange(12.0).reshape(1, 1, 3, 4), name="x")
    w = lo.Parameter(np.ones((1, 1, 2, 2)), name="w")
    source = lo.draw(lo.nn.conv2d(x, w).sum()).source
    (line,) = (line for line in source.splitlines() if "<B>x</B>" in line)
    shades = [int(ink, 16) for ink in re.findall(r'BGCOLOR="#(\w\w)\w+" WIDTH', line)]
    assert len(shades) == 12
    assert shades == sorted(shades, reverse=True)
    assert shades[0] == 0xFF
    assert shades[-1] < 0x30


def test_an_overview_says_what_leaves_a_box():
    overview = lo.draw(loss_of("batch"), style="overview")
    words = visible(overview._svg.decode()).replace("\xa0", " ").split("\n")
    assert "cross_entropy" in words
    assert " = cross_entropy(…)" in words
    formulas = [word for word in words if word.startswith(" = ")]
    for name in re.findall(r"\bv\d+\b", " ".join(formulas)):
        assert name in words
    contents = contents_of(loss_of("batch"), overview=True)
    box = next(group for group in contents.groups if group.title == "cross_entropy")
    assert box.named == ["loss"]
    assert ("· ÷ ·", 1) in box.gates or ("÷", 1) in box.gates
    assert [np.shape(x) for x in box.outputs] == [()]


def test_an_outer_scope_is_a_frame():
    contents = contents_of(loss_of("around_everything"), overview=True)
    titles = [group.title for group in contents.groups]
    assert titles[:5] == ["layer 1", "layer 2", "layer 3", "hinge loss", "penalty"]
    assert all(group.path[0][0] == "objective" for group in contents.groups[:5])
    with lo.scope("all"):
        loss = (demo(4) * 1.0).named("loss")
    assert "equal parts drawn once" in lo.draw(loss).source
    with lo.scope("all"):
        flat = added(lo.Parameter(float(k)) * lo.Parameter(1.0) for k in range(60)).named("loss")
    assert "equal parts drawn once" in lo.draw(flat).source


@pytest.mark.parametrize("name", ["demo", "memory"])
def test_stacks_hold_every_value_once_and_say_its_spread(name):
    names, contents = folded(name)
    assert contents.boxed + contents.drawn == contents.total == len(names.nodes)
    members = [id for group in contents.groups for id in group.members]
    assert len(members) == len({*members})
    places = {f"n{place}": node for place, node in enumerate(names.nodes)}
    leaves = [node for node in names.nodes if node.op is None and node.requires_grad]
    gradients = {node.birth: g for node, g in zip(leaves, lo.grad(loss_of(name), leaves), strict=True)}
    checked = 0
    for group in contents.groups:
        if group.role == "parameter":
            nodes = [places[id] for id in group.members]
            assert sorted(np.ravel(group.outputs).tolist()) == sorted(float(node.value) for node in nodes)
            np.testing.assert_allclose(group.gradients, [gradients[node.birth] for node in nodes])
            checked += len(nodes)
        if group.lanes > 1:
            ops = {places[id].op for id in group.members}
            assert len(ops) == 1
            assert len({np.shape(x) for x in group.outputs}) == 1
    assert checked == (336 if name == "demo" else 0)


def test_the_demo_is_drawn_by_layer_sample_and_neuron():
    names, contents = folded("demo")
    assert len(names.nodes) > 60_000
    assert len(contents.groups) + len(contents.values) <= 25
    counts = {(group.role, group.lanes) for group in contents.groups}
    assert {("parameter", 32), ("parameter", 256), ("data", 200), ("value", 1600), ("value", 25600)} <= counts
    frames = {title for group in contents.groups for title, _ in group.path}
    assert frames == {"× 100", "× 16"}
    words = " ".join(words_of("demo"))
    assert "Σ of 17 terms" in words
    assert "Σ of 100 terms" in words


def test_time_steps_are_one_with_what_they_carry():
    _, contents = folded("memory")
    frames = {title for group in contents.groups for title, _ in group.path}
    assert frames == {"× 6, h and c carried on"}
    titles = {group.title: group for group in contents.groups}
    assert titles["h1 … h6"].lanes == titles["c1 … c6"].lanes == 6
    back = {(edge.tail, edge.head) for edge in contents.edges if edge.carried}
    assert {tail for tail, _ in back} == {titles["h1 … h6"].id, titles["c1 … c6"].id}
    drawn = [value.name for value in contents.values]
    assert [drawn.count(name) for name in ("W", "b", "V", "c0")] == [1, 1, 1, 1]
    shared = [value for value in contents.values if value.name in ("W", "b", "c0")]
    assert [value.path for value in shared] == [()] * 3  # outside of the frame


def test_one_turn_opens():
    source = lo.draw(loss_of("memory"), focus="h3").source.replace("&#160;", " ")
    assert "<B>h3</B>" in source
    assert "<B>c3</B>" in source
    assert "<B>× 5</B>" in source
    assert "<B>× 6</B>" not in source
    names = Names([loss := demo(20)])
    point = next(node for node in names.nodes if names.of(node) == "x7")
    contents = collect(names, fold(names, scopes(names.nodes), 100, [point]), focus=[point])
    assert {"x7", "x8", "loss"} <= {value.name for value in contents.values}
    assert 16 in {group.lanes for group in contents.groups if group.role == "value"}
    assert max(group.lanes for group in contents.groups if group.role == "value") == 256
    assert "the 1003 of 13932 values" in lo.draw(loss, focus="x7").source


def test_a_graph_that_fits_is_not_folded():
    assert "equal parts" not in lo.draw(memory(3)).source
    assert "equal parts" in lo.draw(memory(3), style="folded").source


def test_tables_that_have_no_room_go_on_below_and_what_is_left_out_is_said():
    assert "columns 8 to 15" in words_of("wide")
    assert "no room" not in " ".join(words_of("wide"))
    assert any("some tables are too wide to be shown" in word for word in words_of("convolutions"))
    wide = lo.draw(loss_of("convolutions"), max_cells=17).source
    assert "no room" not in wide
    names = [leaf.name for leaf in Names([loss_of("wide")]).nodes if leaf.op is None]
    assert {*names} <= {*words_of("wide")}


def test_the_page_finds_every_number_of_a_wide_table():
    html = lo.draw(loss_of("wide")).steps().html
    assert "columns 8 to 15" not in html
    b = html[html.index('id="a_gradient-n1"') :]
    assert len(re.findall("<text", b[: b.index("</g>")])) == 16


def test_hostile_names_stay_text_in_stacks():
    bad = '<B>&"\\N</B>'
    losses = added((lo.Parameter(float(k), name=f"{bad}{k}") * 2.0).named(f"{bad}y{k}") for k in range(60))
    svg = lo.draw(losses.named("loss"))._svg.decode()
    assert f"{bad}0 … {bad}59"[:30] in visible(svg)


def test_tables_of_a_slide_stay_tables_whatever_their_numbers():
    rng = np.random.default_rng(3)
    X, W = lo.Tensor(rng.normal(0, 2, (3, 3)), name="X"), lo.Parameter(rng.normal(0, 2, (3, 3)), name="W")
    loss = lo.losses.multiclass_hinge(X @ W, [0, 1, 2]) + 0.1 * (W * W).sum()
    source = lo.draw(loss).source
    assert "no room" not in source
    assert ">mean<" not in source
