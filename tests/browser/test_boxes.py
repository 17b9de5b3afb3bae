"""Boxes of a saved page that open."""

import json
import re

import numpy as np
import pytest
from drawing_networks import SEVEN, network

import tinygrad_lo as lo
from tinygrad_lo.drawing import views


def blocks():
    """Three blocks of three layers each: scopes in scopes."""
    W, h = lo.Parameter(np.eye(2), name="W"), lo.Tensor(np.ones((3, 2)), name="X")
    for block in range(3):
        with lo.scope(f"block {block}"):
            for layer in range(3):
                with lo.scope(f"layer {block}{layer}"):
                    for _ in range(3):
                        h = lo.nn.relu(h @ W + 1.0) * 0.5
    return h.sum().named("loss")


@pytest.fixture
def boxed(chromium, tmp_path):
    chromium.open(lo.draw(blocks(), max_nodes=8).save(tmp_path / "boxed.html"))
    return chromium


def shown(browser):
    """How many boxes open, how many nodes there are, and what the line above the picture says."""
    where = browser.driver.find_element("id", "where").text  # "" where it is not seen
    counts = browser.run("return [picture.querySelectorAll('.opens').length, nodes.size]")
    return [*counts, " ".join(where.split())]


def opened(browser, *titles):
    """Open boxes by the keyboard, one in the other."""
    for title in titles:
        browser.run("picture.querySelector(`[aria-label='Open ${arguments[0]}']`).focus()", title)
        browser.press("Enter")


def told_at(page):
    """What the page carries."""
    return json.loads(re.search(r'id="data">(.*?)</script>', page.html, re.DOTALL)[1])


@pytest.mark.parametrize("how", ["click", "key"])
def test_a_box_opens_and_closes(boxed, how):
    boxes, size, crumbs = shown(boxed)
    assert boxes == 3
    assert not crumbs
    if how == "click":
        boxed.driver.find_element("css selector", ".opens").click()
    else:
        opened(boxed, "block 0")
    _, larger, crumbs = shown(boxed)
    assert larger > size
    assert crumbs == "Whole graph › block 0"
    boxed.run("show(end)")
    assert boxed.run("return steps.every(step => step.line && typeof step.line === 'string')")
    boxed.driver.find_element("css selector", "#where button").click()
    assert shown(boxed) == [boxes, size, ""]
    assert boxed.logged()[0] == []


def test_boxes_open_in_boxes_and_escape_closes_them_one_by_one(boxed):
    opened(boxed, "block 1", "layer 11")
    assert shown(boxed)[2] == "Whole graph › block 1 › layer 11"
    boxed.press("Escape")
    assert shown(boxed)[2] == "Whole graph › block 1"
    opened(boxed, "block 0")  # beside it: then it alone is open
    assert shown(boxed)[2] == "Whole graph › block 0"
    boxed.press("Escape")
    assert shown(boxed)[2] == ""


def test_the_address_opens_the_same_box(boxed):
    opened(boxed, "block 0", "layer 01")
    boxed.run("show(3)")
    found = shown(boxed)
    boxed.until("/^#step=3&view=[0-9]+$/.test(location.hash)")
    boxed.driver.refresh()
    assert shown(boxed) == found
    assert boxed.run("return now") == 3


def test_steps_light_up_the_cards_of_an_opened_box(boxed):
    inside = (
        "return steps.filter(step => step.kind === 'forward' && step.sentence?.startsWith('Inside')).length"
    )
    before = boxed.run(inside)
    opened(boxed, "block 0")
    between = boxed.run(inside)
    opened(boxed, "layer 00")
    after = boxed.run(inside)
    assert before > after
    assert between >= after
    for _ in range(boxed.run("return end")):
        boxed.press("ArrowRight")
        assert boxed.run("""
            const id = steps[now].node, node = nodes.get(id);
            return !id || node && !node.classList.contains("todo") &&
              rings[view][1].getAttribute("visibility") === "visible" && rings[view][1].isConnected;""")
    assert boxed.logged()[0] == []


def test_the_quiz_asks_in_an_opened_box(boxed):
    opened(boxed, "block 1", "layer 11")
    where = boxed.run("""
        const k = steps.findIndex(step => step.answer !== undefined && /^n/.test(step.node));
        quiz(true); go(k);
        return [k, steps[k].answer];""")
    assert where[0] > 0
    assert "= ?" in boxed.text("line")
    boxed.run("by('answer').value = arguments[0]; check()", where[1])
    assert boxed.text("verdict") == "✓ Right."


def test_it_fits_a_phone(boxed):
    boxed.emulate(400, 800)
    opened(boxed, "block 1", "layer 11")
    boxed.run("show(end)")
    assert boxed.run("return document.documentElement.scrollWidth") <= 400
    for button in boxed.driver.find_elements("css selector", "#where button"):
        assert button.size["height"] >= 44
        assert button.rect["x"] + button.rect["width"] <= 400


def test_there_are_as_many_views_as_boxes():
    told = told_at(lo.draw(blocks(), max_nodes=8).steps())
    titles = [view["title"] for view in told["views"]]
    assert len(titles) == len(set(titles))
    assert {"block 0", "block 1", "layer 11"} <= set(titles)
    whole, *others = told["views"]
    assert [titles[number] for number in whole["boxes"].values()] == ["block 0", "block 1", "block 2"]
    assert {view["title"]: titles[view["parent"]] for view in others} == {
        **{f"block {i}": "Whole graph" for i in range(3)},
        **{f"layer {i}{k}": f"block {i}" for i in range(3) for k in range(3)},
    }
    assert "steps" not in whole
    assert any(type(step) is int for view in others for step in view["steps"])


def test_what_cannot_open_says_why(chromium, tmp_path):
    chromium.open(lo.draw(network()).save(tmp_path / "large.html"))
    chromium.run("picture.querySelector('[aria-label^=\"Too large to open\"]').focus()")
    why = "Too large to open here; a larger max_nodes opens it, lo.draw(loss, focus=…) a part of it."
    assert chromium.text("sentence") == why
    chromium.driver.find_element("css selector", "[aria-label^='Too large to open']").click()
    assert chromium.text("sentence").endswith(why)
    assert "drawn as one box" in chromium.text("sentence")


def test_other_boxes_that_stay_closed_say_why():
    compared = lo.draw(blocks(), compared_with=blocks(), max_nodes=8)
    for picture, kind in (
        (lo.draw(SEVEN["memory"]()), "These are 6 equal"),
        (compared, "Boxes open on pages"),
    ):
        [whole] = told_at(picture.steps())["views"]
        assert any(why.startswith(kind) for why in whole["boxes"].values())


def test_boxes_beyond_the_limit_say_so(monkeypatch):
    monkeypatch.setattr(views, "MOST_VIEWS", 1)
    told = told_at(lo.draw(blocks(), max_nodes=8).steps())
    assert len(told["views"]) == 2
    why = [said for said in told["views"][0]["boxes"].values() if isinstance(said, str)]
    name = re.fullmatch(r"This page opens 1 boxes; lo\.draw\(loss, focus='(.*)'\) opens this one\.", why[-1])
    assert lo.draw(blocks(), max_nodes=8, focus=name[1])


@pytest.mark.parametrize("name", ["perceptron", "convolutions", "memory", "wide", "network"])
def test_every_value_that_is_told_is_seen_or_its_box_says_what_is_inside(chromium, tmp_path, name):
    chromium.open((lo.draw(SEVEN.get(name, network)())).save(tmp_path / f"{name}.html"))
    wrong = chromium.run("""
        const wrong = [], boxes = views[view].boxes;
        for (let k = 0; k <= end; k++) {
          show(k);
          for (const id of [steps[k].node, steps[k].gate].filter(Boolean)) {
            const node = nodes.get(id), box = node?.getBoundingClientRect();
            const seen = node && box.width > 0 && !node.classList.contains("todo");
            const says = !/^b/.test(id) || boxes[id] !== undefined;
            const words = !/^b/.test(id) || id !== (steps[k].gate ?? steps[k].node) ||
              /^Inside “/.test(by("sentence").textContent);
            if (!seen || !says || !words) wrong.push([k, id, seen, says, words]);
          }
        }
        return wrong;""")
    assert wrong == []
    assert chromium.logged()[0] == []
