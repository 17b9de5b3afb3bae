"""The classifier page in Chromium: its numbers are the library's, and it can be used by everyone."""

import json
import os
import random
import time
from pathlib import Path

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.pages import classifier

EVERY = [(key, margin) for key, choice in classifier.LOSSES.items() for margin in choice.margins]
LIMIT = 1e-14  # of the largest number of an array


class Link:
    """A page with what its address says behind the #."""

    def __init__(self, path, hash=""):
        self.path, self.hash = path, hash

    def as_uri(self):
        return self.path.as_uri() + self.hash


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("classifier") / "classifier.html"
    path.write_text(classifier.classifier(), encoding="utf-8")
    return path


@pytest.fixture
def page(browser, file):
    """The page, opened anew; what it must never do is checked at the end."""
    browser.open(Link(file), width=1240, height=900)
    yield browser
    console, asked = browser.logged()
    assert console == []
    assert {address.split("#")[0] for address in asked} <= {file.as_uri()}
    assert browser.run("return [...violations, ...alerts]") == []


def near(ours, theirs):
    theirs = np.asarray(theirs)
    largest = np.max(np.abs(theirs), initial=0.0)
    np.testing.assert_allclose(np.asarray(ours), theirs, rtol=0, atol=LIMIT * max(largest, 1e-300))


def states(count, seed):
    """Random weights, biases and points, of sizes from 0.01 to 100."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        size = 10 ** rng.uniform(-2, 2)
        W, b, X = size * rng.normal(size=(3, 2)), size * rng.normal(size=3), rng.normal(size=(4, 2))
        yield {"W": W, "b": b, "X": X, "y": rng.integers(0, 3, 4)}


def as_lists(state):
    return {key: value.tolist() for key, value in state.items()}


# ----------------------------------------------------------------------- numbers: the library's own


@pytest.mark.parametrize(("key", "margin"), EVERY)
def test_losses_and_gradients_are_the_library_s(page, key, margin):
    tried = list(states(200, 1))
    results = page.run(
        """
        const [loss, margin, tried] = arguments;
        state.margin = margin ?? 1;
        return tried.map(({W, b, X, y}) => {
          Object.assign(state, {loss, W, b, points: X.map((x, i) => [...x, y[i]])});
          const {data, dW, db, each} = evaluate();
          return [data, dW, db, each.map(one => one.loss), each.map(one => one.gradients.x)];
        });""",
        key, margin, [as_lists(one) for one in tried],
    )  # fmt: skip
    for one, (data, dW, db, each, dx) in zip(tried, results, strict=True):
        W, b, X = lo.Parameter(one["W"]), lo.Parameter(one["b"]), lo.Parameter(one["X"])
        call = classifier.LOSSES[key].python.format(margin=margin)
        loss = eval(call, {"lo": lo, "np": np, "S": X @ W.T + b, "y": one["y"]})
        loss.backward()
        near(data, loss.numpy())
        near(dW, W.grad)
        near(db, b.grad)
        near(np.divide(dx, 4), X.grad)
        near(np.mean(each), loss.numpy())


@pytest.mark.parametrize("reg", classifier.REGULARIZERS)
@pytest.mark.parametrize("loss", ["svm", "softmax"])
def test_a_step_is_the_optimizer_s(page, loss, reg):
    """SGD on data + λΣW², and SGD with its proximal l1 on the data alone."""
    (one,) = states(1, 2)
    W, b = lo.Parameter(one["W"]), lo.Parameter(one["b"])
    groups = [{"params": [W], "l1": 0.3 if reg == "l1" else 0.0}, {"params": [b]}]
    opt = lo.optim.SGD(groups, lr=0.2)
    for _ in range(20):
        opt.zero_grad()
        S = one["X"] @ W.T + b
        data = lo.losses.cross_entropy(S, one["y"]) if loss == "softmax" else lo.losses.multiclass_hinge(S, one["y"])
        total = data + 0.3 * lo.losses.l2(W) if reg == "l2" else data
        total.backward()
        opt.step()
    ours = page.run(
        """
        const [loss, reg, {W, b, X, y}] = arguments;
        Object.assign(state, {loss, reg, W, b, lambda: 0.3, eta: 0.2, points: X.map((x, i) => [...x, y[i]])});
        refresh("problem");
        for (let k = 0; k < 20; k++) by("step").click();
        return [state.W, state.b];""",
        loss, reg, as_lists(one),
    )  # fmt: skip
    np.testing.assert_allclose(ours[0], W.numpy(), rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(ours[1], b.numpy(), rtol=1e-11, atol=1e-13)
    if reg == "l1":
        assert [[v == 0 for v in row] for row in ours[0]] == (W.numpy() == 0).tolist()


@pytest.mark.parametrize(("key", "margin"), EVERY)
def test_the_graph_is_the_library_s(page, key, margin):
    choice = classifier.LOSSES[key]
    rng = np.random.default_rng(3)
    name = key if margin is None else f"{key},{margin:g}"
    rows = classifier.graph(key, margin).rows
    for y in range(3):
        values = rng.normal(size=3)
        s = lo.Parameter(values, name="s")
        loss = choice.of(s, np.array(y), margin)
        nodes = classifier.shown(loss)
        results = page.run("return GRAPH[arguments[0]]({s: arguments[1], y: arguments[2]})", name, values.tolist(), y)
        assert len(nodes) == len(rows)
        for k, node in enumerate(nodes):
            near(np.ravel(results[k]), np.ravel(node.numpy()))
            near(np.ravel(results[len(nodes) + k]), np.ravel(lo.grad(loss, node)))


def test_the_python_text_is_this_graph(page):
    for key in classifier.LOSSES:
        text, ours = page.run(
            """
            Object.assign(state, {loss: arguments[0], reg: "l1", lambda: 0.03, margin: 0.5, names: ["a\\n", '"', "c"]});
            refresh("problem");
            return [python(), [current.total, current.dW, current.db]];""",
            key,
        )
        space = {}
        exec(text.replace("print(", "str("), space)
        near(ours[0], space["loss"].numpy())
        np.testing.assert_allclose(space["W"].grad - 0.03 * np.sign(space["W"].numpy()), ours[1], atol=1e-14)
        np.testing.assert_allclose(space["b"].grad, ours[2], atol=1e-14)
        assert type(space["optimizer"]) is lo.optim.SGD


# ------------------------------------------------------------------------- what is seen and touched


def mouse(browser, kind, x, y):
    event = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
    browser.driver.execute_cdp_cmd("Input.dispatchMouseEvent", event)


def middle(browser, selector):
    return browser.run(
        """
        const box = document.querySelector(arguments[0]).getBoundingClientRect();
        return [box.x + box.width / 2, box.y + box.height / 2];""",
        selector,
    )


def test_dragging_a_point_updates_everything_fifty_times_a_second(page):
    page.run("useDataset('overlap'); state.chosen = 59; refresh('problem')")  # the last lies on top
    assert page.run("return state.points.length") == 60
    page.run("""
        window.costs = [];
        const whole = refresh;
        refresh = (...all) => { const t = performance.now(); whole(...all); costs.push(performance.now() - t); };""")
    x, y = middle(page, ".points g.chosen .mark")
    before = page.run("return [state.points[59].slice(0, 2), updates, current.total]")
    mouse(page, "mousePressed", x, y)
    for k in range(60):
        mouse(page, "mouseMoved", x + k, y + k / 2)
    mouse(page, "mouseReleased", x + 59, y + 29.5)
    page.until("waiting === 0")
    at, updates, total, costs, half = page.run("return [state.points[59].slice(0, 2), updates, current.total, costs, half]")
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


def test_ghosts_show_where_the_next_step_goes(page):
    def lines(name):
        return page.run(
            """
            return [...document.querySelectorAll(`.${arguments[0]} line`)].filter(line => line.style.display !== "none")
              .map(line => ["x1", "y1", "x2", "y2"].map(key => Number(line.getAttribute(key)).toFixed(4)));""",
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
    page.click("loss_softmax")
    assert page.run("return by('margin').disabled")
    assert page.text("graph_title0") == "SVM"
    assert page.text("graph_title1") == "softmax"
    page.click("loss_rest")
    assert page.text("graph_title0") == "one vs rest"
    page.run("state.eta = 10; state.loss = 'squared'; state.reg = 'l2'; refresh('problem'); for (let k = 0; k < 40; k++) by('step').click()")
    assert "too large here" in page.text("said")
    assert page.run("return state.W.flat().every(v => Math.abs(v) <= 1e6)")


def test_numbers_are_edited_in_place(page):
    page.run("document.querySelector('#equation input').focus(); document.querySelector('#equation input').select()")
    page.press("−", ",", "5")
    page.until("waiting === 0")
    assert page.run("return state.W[0][0]") == -0.5
    page.press("x")
    assert page.run("return document.activeElement.getAttribute('aria-invalid')") == "true"
    assert page.run("return state.W[0][0]") == -0.5
    page.press("Tab")
    assert page.text("said") == "“−,5x” is no number up to a million; −0.5 stays."
    page.press("ArrowUp")
    page.until("waiting === 0")
    assert page.run("return state.W[0][1]") == 2.1


# -------------------------------------------------------------------------------------- the lesson

RIGHT = [
    [2.9], ["rises", "rises"], [2, 1.1], ["stays", "changes"], ["softmax's"], ["falls", "as many"],
    ["stays", 4, "rises"], ["some", "all"], ["rises", "falls"], ["none", "some"],
]  # fmt: skip


def answer(browser, given, wrong):
    """Fill in each answer, or another one."""
    for i, one in enumerate(given):
        browser.run(
            """
            const [i, answer, wrong] = arguments, set = by("asks").children[i], field = set.querySelector("[inputmode]");
            if (field) { field.value = wrong ? "77" : String(answer); return; }
            const labels = [...set.querySelectorAll("label")];
            labels.find(label => (label.textContent === answer) !== wrong).querySelector("input").click();""",
            i, one, wrong,
        )  # fmt: skip


@pytest.mark.parametrize("wrong", [False, True])
def test_the_lesson_runs_to_its_end_and_judges_each_prediction(page, wrong):
    page.run("state.names = ['mine', 'yours', 'theirs']; refresh('problem')")
    before = page.run("return address()")
    page.click("lesson")
    for k, given in enumerate(RIGHT):
        assert page.text("card_step") == f"Question {k + 1} of 10"
        page.click("card_see")
        assert page.text("card_told") == "Predict first: each of these needs an answer."
        answer(page, given, wrong)
        page.click("card_see")
        sets = page.run("return [...by('asks').children].map(set => [set.className, set.querySelector('output').textContent])")
        assert len(sets) == len(given)
        for (name, words), right in zip(sets, given, strict=True):
            assert name == ("bad" if wrong else "good"), (k, words)
            assert words == ("✓ right" if not wrong else words)
            assert not wrong or isinstance(right, float | int) or words == f"✗ it was: {right}"
        assert len(page.text("card_told")) > 40
        page.click("card_see")
    count = sum(map(len, RIGHT))
    assert page.text("said").startswith(f"The lesson is done: {0 if wrong else count} of {count} predictions were right.")
    assert page.run("return address()") == before


def test_what_is_asked_is_hidden(page):
    page.click("lesson")
    seen = page.run("""
        return [...document.querySelectorAll("#total, #rows td:last-child, #graphs .value, .gradient")]
          .filter(part => getComputedStyle(part).visibility === "visible").map(part => part.textContent);""")
    assert seen == ["3.20", "5.10", "−1.70"] * 2  # the scores


@pytest.mark.parametrize("key", ["jiggle", "double", "tie"])
def test_a_question_of_its_own(page, key):
    page.click(f"question_{key}")
    assert page.text("card_step") == "Predict first"
    page.run("for (const set of by('asks').children) set.querySelector('input').click()")
    page.click("card_see")
    assert all(page.run("return [...by('asks').children].map(set => set.querySelector('output').textContent)"))
    page.click("card_see")
    assert page.run("return by('card').hidden")
    if key == "tie":
        assert page.run("return scores(state.points[0])") == pytest.approx([10, 9, 9])


# ------------------------------------------------------------------------------------ bad addresses

NASTY = [
    "constructor", "__proto__", "toString", "<img src=x onerror=alert(1)>", "</script><script>alert(2)</script>",
    "javascript:alert(3)", "NaN", "Infinity", "-5", "1e999", "1e9", "0x10", "", " ", "=1+1", "null", "%E0%A4%A", "משקל",
    "١٢", "1,2;3", ";;;", "\u2028", "{lone}", "9" * 400, "-0", "1e-320", "${alert(4)}", "0,0,0", "0,0,7", "\0",
]  # fmt: skip
KEYS = ["loss", "margin", "reg", "lambda", "eta", "W", "b", "points", "point", "name", "__proto__", "constructor", "x"]


def hostile(count, seed):
    """Addresses, files and names by chance: whole ones with one thing broken, and nonsense."""
    rng = random.Random(seed)
    good = {
        "loss": "softmax", "margin": "2", "reg": "l1", "lambda": "0.5", "eta": "1", "W": "1,2;3,4;5,6", "b": "1,2,3",
        "points": "1,2,0;3,4,1", "point": "2", "name": "a",
    }  # fmt: skip
    for _ in range(count):
        words = [(key, good[key]) for key in good if rng.random() < 0.6]
        for _ in range(rng.randint(1, 3)):
            words.insert(rng.randint(0, len(words)), (rng.choice(KEYS), rng.choice(NASTY)))
        lines = ["x1,x2,class", "0.5,1,cat", '1,"2","a ""b"""']
        for _ in range(rng.randint(1, 4)):
            line = rng.choice([",", ";", "\t", " "]).join(rng.choice([*NASTY, "1", "0", "cat"]) for _ in range(rng.randint(1, 4)))
            lines.insert(rng.randint(0, len(lines)), line)
        yield [words, rng.choice(["\n", "\r\n"]).join(lines), [rng.choice(NASTY) for _ in range(3)]]


TRY = """
    const problems = [];
    const fine = v => typeof v === "number" && Number.isFinite(v);
    const elements = document.querySelectorAll("script, img, iframe").length;
    const tried = JSON.parse(JSON.stringify(arguments[0]).replaceAll("{lone}", "\\ud800"));
    for (const [words, csv, names] of tried) {
      const hash = new URLSearchParams();
      for (const [key, text] of words) hash.append(key, text);
      try {
        restore("#" + hash);
        const said = by("said").textContent;
        useCSV(csv);
        const told = by("csv_problem").textContent;
        state.names = names.map(name => named(name) || "?");
        refresh("problem");
        const {loss, margin, reg, lambda, eta, W, b, points, chosen} = state;
        const ok = Object.hasOwn(DATA.losses, loss) && DATA.margins.includes(margin) && Object.hasOwn(DATA.regularizers, reg)
          && lambda >= 0 && lambda <= 10 && eta > 0 && eta <= 10 && [...W.flat(), ...b].length === 9 && [...W.flat(), ...b].every(fine)
          && points.every(([x, y, k]) => fine(x) && fine(y) && [0, 1, 2].includes(k)) && chosen >= 0 && chosen < Math.max(1, points.length)
          && fine(current.total) && told.length > 5 && marks.length === points.length
          && document.querySelectorAll("script, img, iframe").length === elements && (said === "" || said.startsWith("Left out: "));
        if (!ok) problems.push([words, csv, said, told, state]);
        const again = JSON.stringify(state.points);
        useCSV(writeCSV());
        if (points.length && JSON.stringify(state.points.map(p => p.slice(0, 2))) !== JSON.stringify(points.map(p => p.slice(0, 2))))
          problems.push(["CSV does not come back", csv, again, writeCSV()]);
      } catch (error) { problems.push([words, csv, String(error), error.stack]); }
    }
    return problems;"""


def test_hostile_input_is_a_sentence(page):
    page.run("by('share').open = true")
    assert page.run(TRY, list(hostile(150, 5))) == []


@pytest.mark.slow
def test_two_thousand_of_them(page):
    page.run("by('share').open = true")
    for seed in range(20):
        assert page.run(TRY, list(hostile(100, 100 + seed))) == []


@pytest.mark.parametrize(
    ("hash", "said"),
    [
        ("loss=constructor", "Left out: loss in the address is “constructor”; it must be svm, squared, worst, softmax, rest."),
        ("lambda=-5", "Left out: lambda in the address is “-5”; it must be a number from 0 to 10."),
        ("eta=1e9", "Left out: eta in the address is “1e9”; it must be a number from 0.001 to 10."),
        ("speed=3", "Left out: the address has an entry “speed”, which this page does not know."),
        ("W=1,2&b=x", "Left out: W in the address is “1,2”; it must be 3 rows of 2 numbers up to a million, like"
         " 1,2;2,-4;3,-1 (and 1 more)."),
        ("name=a", "Left out: the address names 1 class; it must be 3, none of them empty."),
        ("loss=softmax&lambda=10&points=", ""),
    ],
)  # fmt: skip
def test_a_broken_link_says_what_it_left_out(browser, file, hash, said):
    browser.open(Link(file, "#" + hash))
    assert browser.text("said") == said
    assert browser.run("return Number.isFinite(current.total)")


@pytest.mark.parametrize(
    ("csv", "told"),
    [
        ("", "There are no lines; write a point on each: x₁, x₂, class."),
        ("1,2,0\n1,2", "Line 2 is “1,2”; a point is two numbers up to 1000 and a class, like 0.5,1.2,0."),
        ("1 2 a\n\n1 1e9 b", "Line 3 is “1 1e9 b”; a point is two numbers up to 1000 and a class, like 0.5 1.2 0."),
        ("1,2,a\n1,2,b\n1,2,c\n1,2,d", "Line 4 has a fourth class, “d”; there can be 3."),
        ("x,y,z", "There is only a line of titles; write a point on each line: x₁, x₂, class."),
        ("0,5;1,5;a\n1;2;b", "2 points read."),
        ("\ufeffx1\tx2\tclass\r\n1\t2\t2\r\n", "1 point read."),
        ("1,2,0\n" * 301, "There are more than 300 points; leave some out."),
    ],
)  # fmt: skip
def test_own_points(page, csv, told):
    page.run("useCSV(arguments[0])", csv)
    assert page.text("csv_problem") == told
    if csv.startswith("0,5"):
        assert page.run("return [state.points, state.names]") == [[[0.5, 1.5, 0], [1, 2, 1]], ["a", "b", "class 2"]]


# ------------------------------------------------------------------------------------- for everyone


def tab_to(browser, condition, most=150):
    for _ in range(most):
        if browser.run(f"return Boolean(document.activeElement && ({condition}))"):
            return
        browser.press("Tab")
    pytest.fail(f"Tab never reached {condition}")


def test_by_keyboard_alone(page):
    """A loss, a point moved, turned, removed and added, a step, the way back, a question: without a mouse."""
    tab_to(page, "document.activeElement.id === 'loss_softmax'")
    page.press("Enter")
    assert page.run("return state.loss") == "softmax"
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
    page.run("by('skip').focus()")
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
        const controls = [...document.querySelectorAll("button, input, select, textarea, [tabindex='0'], summary, a")];
        controls.filter(one => one.offsetParent !== null || one.ownerSVGElement).forEach((one, i) => { one.dataset.nr = i; });
        document.body.tabIndex = -1; document.body.focus();
        return controls.filter(one => one.dataset.nr && !one.disabled).map(one => one.dataset.nr);""")
    reached = set()
    for _ in range(len(wanted) + 5):
        page.press("Tab")
        reached.add(page.run("return document.activeElement.dataset.nr ?? ''"))
    assert {*wanted} <= reached


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 820, 1240])
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
        new MutationObserver(() => heard.push(performance.now())).observe(by("live"), {childList: true, characterData: true, subtree: true});
        run(true);""")
    time.sleep(2.6)
    page.run("run(false)")
    heard = page.run("return heard")
    assert 1 <= len(heard) <= 4
    assert all(b - a > 900 for a, b in zip(heard, heard[1:], strict=False))
    assert page.text("live").startswith("Loss ")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1240])
def test_axe_finds_nothing(browser, file, width, scheme):
    """TINYGRAD_LO_AXE is the path of axe.min.js (npm pack axe-core)."""
    if not os.environ.get("TINYGRAD_LO_AXE"):
        pytest.skip("TINYGRAD_LO_AXE names no axe.min.js")
    axe = Path(os.environ["TINYGRAD_LO_AXE"]).read_text(encoding="utf-8")
    browser.open(Link(file, "#loss=softmax"), width=width, height=900, scheme=scheme)
    browser.run(axe)
    for prepare in ("", "by('share').open = true; useCSV('x'); say('A word.')", "startLesson()", "pose(LESSON[7], 7)"):
        browser.run(prepare)
        found = browser.driver.execute_async_script("""
            const done = arguments[0];
            axe.run(document).then(result => done(JSON.stringify(result.violations.map(one =>
              [one.id, one.impact, one.nodes.map(node => node.html.slice(0, 100))]))));""")
        assert json.loads(found) == [], prepare
