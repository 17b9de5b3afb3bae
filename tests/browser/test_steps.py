"""The page in Chromium: every step by every way, and the picture at each of them."""

import itertools
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.drawing import render
from tinygrad_lo.drawing.picture import draw
from tinygrad_lo.explaining.formula import number
from tinygrad_lo.explaining.steps import steps

SVG = "{http://www.w3.org/2000/svg}"


def lines_of(loss):
    """What the page must say at each step."""
    found = steps(loss)
    return [
        "Inputs and parameters are known.",
        *(step.text for step in found.forward),
        f"∂L/∂{found.loss} = 1",
        *(step.text for step in found.backward),
        "The backward pass is complete.",
    ]


def drawn(loss, tmp_path, **options):
    """The texts of the static picture, by node."""
    root = ET.parse(draw(loss, **options).save(tmp_path / "static.svg")).getroot()
    return {
        group.find(f"{SVG}title").text: [text.text for text in group.iter(f"{SVG}text")]
        for group in root.iter(f"{SVG}g")
        if group.get("class") == "node"
    }


def test_every_step_by_key(browser, page, loss):
    browser.open(page(loss))
    lines = lines_of(loss)
    for k, line in enumerate(lines):
        assert (browser.step, browser.text("line")) == (k, line)
        browser.press("ArrowRight")
    for k, line in reversed(list(enumerate(lines))):
        assert (browser.step, browser.text("line")) == (k, line)
        browser.press("ArrowLeft")
    browser.press("End")
    assert browser.text("line") == lines[-1]
    browser.press("Home")
    assert browser.text("line") == lines[0]
    assert browser.text("count") == f"0 / {len(lines) - 1}"


def test_every_step_by_button(browser, page, loss):
    browser.open(page(loss))
    lines = lines_of(loss)
    for line in lines:
        assert browser.text("line") == line
        browser.click("next")
    for line in reversed(lines):
        assert browser.text("line") == line
        browser.click("previous")
    browser.click("last")
    assert browser.text("line") == lines[-1]
    browser.click("first")
    assert browser.text("line") == lines[0]


def test_the_last_step_is_the_static_picture(browser, page, loss, tmp_path):
    path = page(loss)
    browser.open(path)
    first = browser.texts()
    for _ in range(len(lines_of(loss))):
        browser.press("ArrowRight")
    static = drawn(loss, tmp_path)
    assert browser.texts() == static
    assert first != static
    assert not browser.run(
        'return document.querySelectorAll("#stage .todo, #stage .plain, #stage .none").length'
    )


def test_the_last_step_shows_what_backward_computes(browser, page, svm):
    browser.open(page(svm))
    browser.press("End")
    svm.backward()
    found = steps(svm).names
    place, W = next((i, node) for i, node in enumerate(found.nodes) if node.name == "W")
    assert browser.gradient(f"n{place}") == [number(g) for g in np.ravel(W.grad)]


def test_a_jump_is_as_good_as_a_walk(browser, page, loss):
    path = page(loss)
    browser.open(path)
    walked = []
    for _ in lines_of(loss):
        walked.append(browser.picture())
        browser.press("ArrowRight")
    assert all(a != b for a, b in itertools.pairwise(walked))
    for k in reversed(range(len(walked))):
        browser.run("show(arguments[0])", k)
        assert browser.picture() == walked[k], k
    assert browser.open(path, step=len(walked) // 2).picture() == walked[len(walked) // 2]


def test_what_is_not_computed_yet_is_faint_and_has_no_numbers(browser, page, loss):
    browser.open(page(loss))
    found = steps(loss)
    for k in range(len(found.forward) + 1):
        later = {f"n{step.place}" for step in found.forward[k:]}
        faint = browser.run("""return [...document.querySelectorAll("#stage g.node.todo")]
            .map(group => group.querySelector("title").textContent).map(ownerOf)""")
        gates = browser.run("return [...nodes.keys()].filter(id => /^g\\d/.test(id)).length")
        assert len(faint) == len(later) * (2 if gates else 1)
        assert set(faint) == later
        shown = browser.texts()
        for step in found.forward[k:]:
            if np.ndim(step.value) == 0:
                assert number(step.value, 4) not in shown[f"n{step.place}"]
        assert not any(browser.gradient(node) for node in shown)
        browser.press("ArrowRight")


def test_contributions_add_up_in_the_card(browser, page):
    w = lo.Parameter(3.0, name="w")
    loss = (w * w + w * 4.0).named("loss")
    browser.open(page(loss))
    assert [step.target for step in steps(loss).backward] == ["v1", "v2", "w", "w", "w"]
    totals = []
    for k in range(len(lines_of(loss))):
        browser.run("show(arguments[0])", k)
        totals.append(browser.gradient("n0"))
    assert totals == [[], [], [], [], [], [], [], ["4"], ["7"], ["10"], ["10"]][-len(totals) :]
    browser.press("ArrowLeft")
    assert browser.text("line") == "∂L/∂w += w · ∂L/∂v1 = 3 · 1 = 3, in all 7 + 3 = 10"
    assert "Now ∂L/∂w is complete." in browser.text("sentence")


def test_running_totals_of_a_table(browser, page, svm):
    browser.open(page(svm))
    found = steps(svm)
    begin = len(found.forward) + 2
    for k, step in enumerate(found.backward):
        browser.run("show(arguments[0])", begin + k)
        digits = 3 if np.ndim(step.total) else 4
        expected = [number(g, digits) for g in np.ravel(step.total)]
        assert browser.gradient(f"n{step.target_place}") == expected, step.text


def test_nothing_moves(browser, page, svm):
    browser.open(page(svm))
    where = """return [...document.querySelectorAll("#stage g.node"), by("panel"), by("slider")].map(part => {
        const box = part.getBoundingClientRect();
        const scrolled = part.closest("#stage") ? [stage.scrollLeft, stage.scrollTop] : [0, 0];
        return [box.x + scrolled[0], box.y + scrolled[1]].map(Math.round);
    })"""
    before = browser.run(where)
    for _ in range(len(lines_of(svm))):
        browser.press("ArrowRight")
        assert browser.run(where) == before


def test_the_step_is_always_in_sight(browser, page, svm):
    browser.open(page(svm), height=600)
    for _ in range(len(lines_of(svm)) - 2):
        browser.press("ArrowRight")
        inside = browser.run("""
            const box = nodes.get(steps[now].node).getBoundingClientRect();
            const view = stage.getBoundingClientRect();
            return box.top >= view.top - 1 && box.bottom <= view.bottom + 1;""")
        assert inside, browser.text("line")


def test_a_gradient_goes_back_along_its_own_edge(browser, page):
    w = lo.Parameter(3.0, name="w")
    loss = (w * w).named("loss")
    browser.open(page(loss, style="cards"))
    lit = []
    for k in (1, 3, 4):
        browser.run("show(arguments[0])", k)
        lit.append(browser.run('return [...document.querySelectorAll(".edge.on")].map(edge => edge.id)'))
    assert lit == [["e0", "e1"], ["e0"], ["e1"]]


def test_links_lead_to_a_step(browser, page, svm):
    path = page(svm)
    count = len(lines_of(svm))
    for asked, found in ((7, 7), (0, 0), (999999, count - 1), ("x", 0), (-3, 0), ("7<b>", 0)):
        assert browser.open(path, step=asked).step == found
    browser.run('location.hash = "#step=5"')
    browser.until("now === 5")
    browser.press("ArrowRight")
    browser.until('location.hash === "#step=6"')


def test_a_click_on_a_value_goes_through_its_steps(browser, page, svm):
    browser.open(page(svm))
    found = steps(svm)
    forward = [1 + k for k, step in enumerate(found.forward) if step.name == "S"]
    begin = 2 + len(found.forward)
    backward = [begin + k for k, step in enumerate(found.backward) if step.target == "S"]
    place = next(step.place for step in found.forward if step.name == "S")
    seen = []
    for _ in range(len(forward + backward) + 1):
        browser.run('nodes.get("n" + arguments[0]).querySelector("text").dispatchEvent('
                    'new MouseEvent("click", {bubbles: true}))', place)  # fmt: skip
        seen.append(browser.step)
    assert seen == [*forward, *backward, *forward]


def test_space_plays_to_the_end_and_stops(browser, page, neuron):
    browser.open(page(neuron))
    browser.run("data.pace = 60000")
    browser.press(" ")
    assert browser.run('return by("play").getAttribute("aria-pressed")') == "true"
    browser.press(" ")
    assert browser.run("return [now, timer]") == [0, 0]
    browser.run("data.pace = 15")
    browser.press(" ")
    browser.until("now === end && timer === 0")
    assert browser.run('return by("play").getAttribute("aria-pressed")') == "false"
    browser.run("data.pace = 300")
    browser.click("play")
    browser.until("now === 2")
    browser.press("ArrowLeft")
    assert browser.run("return timer") == 0


@pytest.mark.parametrize("backend", ["dot", "pygraphviz"])
def test_both_ways_of_rendering_make_the_same_page(browser, page, neuron, backend, monkeypatch):
    if backend == "pygraphviz":
        pytest.importorskip("pygraphviz", minversion="2")
        monkeypatch.setenv(render.VARIABLE, "none")
    elif render.find_dot() is None:
        pytest.skip("no dot on the PATH")
    browser.open(page(neuron))
    browser.press("End")
    shown = {node: cell[0] for node in browser.texts() if (cell := browser.gradient(node))}
    found = steps(neuron)
    places = {step.target_place: step.total for step in found.backward}
    assert shown == {f"n{place}": number(g, 4) for place, g in places.items()} | {"n9": "1"}
