"""The page is for everyone: by keyboard, on a phone, heard instead of seen."""

import itertools
import json
import os
import time
from pathlib import Path

import pytest
from classifier_pages import RIGHT, Link, answer


def tab_to(browser, condition, most=150):
    for _ in range(most):
        if browser.run(f"return Boolean(document.activeElement && ({condition}))"):
            return
        browser.press("Tab")
    pytest.fail(f"Tab never reached {condition}")


def test_by_keyboard_alone(page):
    """A loss, a point moved, turned, removed and added, a step, the way back, a question: without a mouse."""
    tab_to(page, "document.activeElement.id === 'loss_cross_entropy'")
    page.press("Enter")
    assert page.run("return state.loss") == "cross_entropy"
    tab_to(page, "document.activeElement === marks[1].group")
    assert page.run("return state.chosen") == 1
    x, y, label = page.run("return state.points[1]")
    page.press("ArrowRight", "ArrowUp")
    page.until("waiting === 0")
    assert page.run("return state.points[1]") == pytest.approx([x + 0.05, y + 0.05, label])
    page.press("1")
    assert page.run("return state.points[1][2]") == 1
    page.press("Delete")
    assert page.run("return [state.points.length, document.activeElement === marks[1].group]") == [19, True]
    tab_to(page, "document.activeElement.id === 'add'")
    page.press("Enter")
    assert page.run("return [state.points.length, document.activeElement === marks[19].group]") == [20, True]
    tab_to(page, "document.activeElement.id === 'step'")
    page.press("Enter", "Enter")
    assert page.run("return past.length") == 3
    W = page.run("return state.W")
    page.run("by('skip').focus()")
    page.press("Enter")
    time.sleep(0.1)
    assert page.run("return [state.W, document.activeElement.id]") == [W, "after_plane"]
    tab_to(page, "document.activeElement.id === 'scrub'")
    page.press("ArrowLeft")
    assert page.run("return here") == 1
    page.run("by('skip').focus()")
    tab_to(page, "document.activeElement.id === 'question_tie'")
    page.press("Enter")
    page.press(" ", "Tab", "Enter")
    assert page.run("return by('card').classList.contains('seen')")
    page.press("Enter")
    assert page.run("return [by('card').hidden, document.activeElement.id]") == [True, "questions"]


def test_every_control_has_a_place_in_the_order_of_tabs(page):
    page.run("by('share').open = true")
    wanted = page.run("""
        const kinds = "button, input, select, textarea, [tabindex='0'], summary, a";
        const controls = [...document.querySelectorAll(kinds)];
        controls.filter(one => one.offsetParent !== null || one.ownerSVGElement)
          .forEach((one, i) => { one.dataset.nr = i; });
        document.body.tabIndex = -1; document.body.focus();
        return controls.filter(one => one.dataset.nr && !one.disabled).map(one => one.dataset.nr);""")
    reached = set()
    for _ in range(len(wanted) + 5):
        page.press("Tab")
        reached.add(page.run("return document.activeElement.dataset.nr ?? ''"))
    assert {*wanted} <= reached


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
@pytest.mark.parametrize("width", [400, pytest.param(820, marks=pytest.mark.slow), 1240])
def test_nothing_sticks_out(browser, file, width, scheme):
    browser.open(Link(file, "#name=" + "&name=".join(["W" * 20] * 3)), width=width, height=800, scheme=scheme)
    fits = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert browser.run(fits)
    browser.run("by('share').open = true; say('word '.repeat(60) + 'x'.repeat(200)); refresh('look')")
    assert browser.run(fits)
    for k in range(10):
        browser.run("pose(LESSON[arguments[0]], arguments[0])", k)
        answer(browser, RIGHT[k], wrong=True)
        browser.run("see()")
        assert browser.run(fits), k


def test_the_loss_is_heard_once_a_second(page):
    page.run("""
        window.heard = [];
        const all = {childList: true, characterData: true, subtree: true};
        new MutationObserver(() => heard.push(performance.now())).observe(by("live"), all);
        run(true);""")
    time.sleep(2.6)
    page.run("run(false)")
    heard = page.run("return heard")
    assert 1 <= len(heard) <= 4
    assert all(b - a > 900 for a, b in itertools.pairwise(heard))
    assert page.text("live").startswith("Loss ")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1240])
def test_axe_finds_nothing(browser, file, width, scheme):
    """TINYGRAD_LO_AXE is the path of axe.min.js (npm pack axe-core)."""
    if not os.environ.get("TINYGRAD_LO_AXE"):
        pytest.skip("TINYGRAD_LO_AXE names no axe.min.js")
    axe = Path(os.environ["TINYGRAD_LO_AXE"]).read_text(encoding="utf-8")
    browser.open(Link(file, "#loss=cross_entropy"), width=width, height=900, scheme=scheme)
    browser.run(axe)
    for prepare in (
        "",
        "by('share').open = true; useCSV('x'); say('A word.')",
        "startLesson()",
        "pose(LESSON[7], 7)",
    ):
        browser.run(prepare)
        found = browser.driver.execute_async_script("""
            const done = arguments[0];
            axe.run(document).then(result => done(JSON.stringify(result.violations.map(one =>
              [one.id, one.impact, one.nodes.map(node => node.html.slice(0, 100))]))));""")
        assert json.loads(found) == [], prepare
