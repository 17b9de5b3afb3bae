"""What is dragged, typed and clicked, and what is seen of it."""

import re
import time

import numpy as np
import pytest
from classifier_pages import Link, middle, mouse

from tinygrad_lo.pages import classifier


def test_dragging_a_point_updates_everything_fifty_times_a_second(page):
    page.run("useDataset('overlap'); state.chosen = 59; refresh('problem')")  # the last lies on top
    assert page.run("return state.points.length") == 60
    page.run("""
        window.costs = [];
        const whole = refresh;
        refresh = (...all) => {
          const began = performance.now();
          whole(...all);
          costs.push(performance.now() - began);
        };""")
    x, y = middle(page, ".points g.chosen .mark")
    before = page.run("return [state.points[59].slice(0, 2), updates, current.total]")
    mouse(page, "mousePressed", x, y)
    for k in range(60):
        mouse(page, "mouseMoved", x + k, y + k / 2)
    mouse(page, "mouseReleased", x + 59, y + 29.5)
    page.until("waiting === 0")
    at, updates, total, costs, half = page.run(
        "return [state.points[59].slice(0, 2), updates, current.total, costs, half]"
    )
    pixel = 2 * half / page.run("return by('plane').getBoundingClientRect().width")
    np.testing.assert_allclose(np.subtract(at, before[0]), [59 * pixel, -29.5 * pixel], atol=0.02)
    assert updates - before[1] >= 20
    assert total != before[2]
    assert sorted(costs)[len(costs) // 2] < 20, "a frame of 50 a second"


def test_the_hinge_switches_off_under_the_finger(page):
    """The car of the slide: margins met, no gradient, dashed wires; closer to the cat it pulls again."""
    page.run("useSlide(); state.chosen = 1; refresh('problem')")
    open_ones = "graphs[0].wires.filter(wire => !wire.path.classList.contains('closed') && wire.k < 4).length"
    assert page.run(f"return {open_ones}") == 0
    assert page.run("return graphs[0].boxes[4][0].value.textContent") == "0"
    x, y = middle(page, ".points g.chosen .mark")
    mouse(page, "mousePressed", x, y)
    mouse(page, "mouseMoved", x - 95, y - 95)
    mouse(page, "mouseReleased", x - 95, y - 95)
    page.until("waiting === 0")
    assert page.run(f"return {open_ones}") > 0
    assert page.run("return graphs[0].boxes[4][0].value.textContent") != "0"


def test_wires_are_open_where_a_gradient_flows(page):
    """The cat of the slide: of its two margins one pulls, and only what leads to it carries a gradient."""
    page.run("useSlide(); refresh('problem')")
    opened = page.run("""
        const open = graphs[0].wires.filter(wire => !wire.path.classList.contains("closed"));
        return open.map(({k, p, q}) => `row ${k}: ${p} to ${q}`).sort();""")
    names = [row["name"] for row in classifier.graph_of("svm", 1.0).rows]
    assert names == ["s", "s_y", "m", "margins", "Lᵢ"]
    assert opened == [
        "row 1: 0 to 0", "row 2: 0 to 1", "row 2: 1 to 1", "row 3: 1 to 1",
        "row 4: 0 to 0", "row 4: 1 to 0", "row 4: 2 to 0",
    ]  # fmt: skip


def test_ghosts_show_where_the_next_step_goes(page):
    def lines(name):
        return page.run(
            """
            const number = (line, key) => Number(line.getAttribute(key)).toFixed(4);
            const ends = line => ["x1", "y1", "x2", "y2"].map(key => number(line, key));
            return [...document.querySelectorAll(`.${arguments[0]} line`)]
              .filter(line => line.style.display !== "none").map(ends);""",
            name,
        )

    small = lines("ghosts")
    page.run("by('eta').value = -0.5; by('eta').dispatchEvent(new Event('input'))")
    assert lines("ghosts") != small, "η moves them"
    ghosts = lines("ghosts")
    page.click("step")
    assert lines("borders") == ghosts
    assert ghosts


def test_history_is_scrubbed_and_linked(page, file):
    for _ in range(5):
        page.click("step")
    page.run("by('scrub').value = 2; by('scrub').dispatchEvent(new Event('input'))")
    W, total = page.run("return [state.W, past[2].total]")
    assert page.run("return current.total") == pytest.approx(total, rel=1e-14)
    page.click("back")
    assert page.run("return here") == 1
    page.click("forth")
    assert page.run("return state.W") == W
    page.until("location.hash.includes('W=')")
    time.sleep(0.4)
    hash = page.run("return location.hash")
    page.open(Link(file, hash), width=1240, height=900)
    np.testing.assert_allclose(page.run("return state.W"), W, rtol=1e-8)
    page.click("step")
    assert page.run("return past.length") == 2


def test_controls_mean_what_they_say(page):
    page.run("by('lambda').value = -3; by('lambda').dispatchEvent(new Event('input'))")
    assert page.run("return [state.lambda, current.penalty]") == [0, 0]
    page.run("by('lambda').value = 1; by('lambda').dispatchEvent(new Event('input'))")
    assert page.run("return state.lambda") == 10
    page.run("by('reg').value = 'l1'; by('reg').dispatchEvent(new Event('change'))")
    assert page.run("return current.penalty") == 10 * (1 + 2 + 2 + 4 + 3 + 1)
    page.click("loss_cross_entropy")
    assert page.run("return by('margin').disabled")
    assert page.text("graph_title0") == "SVM"
    assert page.text("graph_title1") == "Softmax"
    page.click("loss_rest")
    assert page.text("graph_title0") == "One vs rest"
    page.run("Object.assign(state, {eta: 10, loss: 'squared', reg: 'l2'}); refresh('problem')")
    page.run("for (let k = 0; k < 40; k++) by('step').click()")
    assert "too large here" in page.text("said")
    assert page.run("return state.W.flat().every(v => Math.abs(v) <= 1e6)")


def test_numbers_are_edited_in_place(page):
    page.run("const first = document.querySelector('#equation input'); first.focus(); first.select()")
    page.press("−", ",", "5")
    page.until("waiting === 0")
    assert page.run("return state.W[0][0]") == -0.5
    page.press("x")
    assert page.run("return document.activeElement.getAttribute('aria-invalid')") == "true"
    assert page.run("return state.W[0][0]") == -0.5
    page.press("Tab")
    assert page.text("said") == "“−,5x” is no number up to 1000000; −0.5 stays."
    page.press("ArrowUp")
    page.until("waiting === 0")
    assert page.run("return state.W[0][1]") == 2.1


def test_a_click_adds_a_point_of_the_chosen_class(page):
    page.click("class2")
    x, y = middle(page, "#plane")
    for kind in ("mousePressed", "mouseReleased"):
        mouse(page, kind, x + 102.5, y + 41)
    count, point, chosen, half = page.run(
        "return [state.points.length, state.points.at(-1), state.chosen, half]"
    )
    assert (count, chosen, half) == (21, 20, 2)
    assert point == pytest.approx([1, -0.4, 2], abs=0.011)
    page.click("remove")
    assert page.run("return state.points.length") == 20
    mouse(page, "mousePressed", *middle(page, ".points g.chosen .mark"))
    mouse(page, "mouseReleased", *middle(page, ".points g.chosen .mark"))
    assert page.run("return state.points.length") == 20, "a click on a point adds none"
    page.run("state.points = []; refresh('problem')")
    assert page.text("right") == "0 of 0 points right"
    page.click("remove")
    assert page.text("said") == "There is no point to remove."
    page.run("useCSV('1,2,0\\n'.repeat(300)); addPoint()")
    assert page.text("said") == "There can be 300 points; remove one first."


def test_the_number_under_the_cursor_is_checked_by_differences(page):
    for place in range(9):
        page.run("document.querySelectorAll('#equation input')[arguments[0]].focus()", place)
        state = page.run("return address()")
        text = page.text("whose").replace("−", "-")
        kind, exact, by_differences = re.match(
            r"(∂L|∂Lᵢ) is (\S+); by differences, h = 1e-5: (\S+)\.$", text
        ).groups()
        assert (kind == "∂Lᵢ") == (place in {6, 7})
        assert float(by_differences) == pytest.approx(float(exact), rel=1e-6, abs=1e-8)
        assert page.run("return address()") == state
