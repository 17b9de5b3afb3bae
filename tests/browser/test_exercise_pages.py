"""The exercises in a real browser, offline: the command line's texts, graphs, programs without end."""

import json
import os
import re
import time
from pathlib import Path

import pytest
from exercise_pages import WRITTEN, Address, Server, command_line, programs

from tinygrad_lo.pages.exercises import write_exercises

PATIENCE = 90.0  # seconds for Python to start; on an idle machine it needs about 10
DONE = "document.querySelector('#answer:not([hidden]):not([data-state=runs])')"
MIRROR = "document.querySelector('.CodeMirror').CodeMirror"


@pytest.fixture(scope="module")
def assets():
    """TINYGRAD_LO_PYODIDE is a folder with Pyodide, NumPy for it, CodeMirror and Viz.js: docs/browser.md."""
    if not os.environ.get("TINYGRAD_LO_PYODIDE"):
        pytest.skip("TINYGRAD_LO_PYODIDE names no folder with Pyodide: the exercise pages were not run")
    return Path(os.environ["TINYGRAD_LO_PYODIDE"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory, assets):
    path = tmp_path_factory.mktemp("exercises") / "site"
    write_exercises(path, assets)
    return path


@pytest.fixture(scope="module")
def server(folder):
    served = Server(folder)
    yield served
    served.end()


@pytest.fixture(scope="module")
def opened(chromium, server):
    """One page for the tests that need a Python that runs."""
    began = time.monotonic()
    fresh(chromium, server)
    tap(chromium, "go")
    chromium.until(DONE, PATIENCE)
    chromium.first = time.monotonic() - began
    return chromium


@pytest.fixture
def page(opened, server):
    """What the page must never do is checked at the end."""
    if not opened.run("return location.href").startswith(server.origin):
        fresh(opened, server)
    opened.emulate(1240, 900)
    yield opened
    opened.driver.switch_to.default_content()
    console, asked = opened.logged()
    assert console == []
    assert all(address.startswith((server.origin, f"blob:{server.origin}")) for address in asked)
    assert opened.run("return [...violations, ...alerts]") == []


def fresh(browser, server, hash="", **options):
    """Open the page for a reader who was never here."""
    browser.open(Address(server, file="style.css"))
    browser.run("localStorage.clear()")
    browser.open(Address(server, hash), **({"width": 1240, "height": 900} | options))
    browser.until("document.querySelector('.CodeMirror')")


def tap(browser, id):
    """Click where the reader has scrolled to."""
    browser.run("document.getElementById(arguments[0]).scrollIntoView({block: 'center'})", id)
    browser.click(id)


def check(page, name, text, patience=PATIENCE):
    """Write a program, press the button, and return what stands below it."""
    page.run("location.hash = arguments[0]", name)
    page.until(f"location.hash === '#{name}' && !document.getElementById('go').disabled")
    page.until("document.querySelector('#list [aria-current]')")
    page.run(f"{MIRROR}.setValue(arguments[0]); document.getElementById('go').click()", text)
    page.until(DONE, patience)
    return page.text("said"), page.run("return document.getElementById('answer').dataset.state")


def test_the_first_check_is_there_soon(page):
    print(f"from opening to the first check: {page.first:.1f} s")
    assert page.first < 60  # 20 on an idle machine, which this one need not be


@pytest.mark.parametrize("name", WRITTEN)
def test_the_page_says_what_the_command_line_says(page, name, tmp_path):
    for kind, text in programs(name).items():
        said, state = check(page, name, text)
        printed, status = command_line(tmp_path, name, text)
        assert said == printed.replace(f"{tmp_path}/", ""), kind
        assert state == ("passed" if status == 0 else "failed"), kind
        assert (status == 0) == (kind == "right")
    ticks = page.run("return document.querySelectorAll('#list .solved').length")
    assert page.text("score").startswith(f"{ticks} of ")
    assert page.run("return document.querySelector('#list [aria-current]').className") == "solved"


def test_a_loss_of_ones_own_becomes_a_live_page(page):
    page.run("location.hash = 'own'")
    page.until("document.getElementById('go').textContent === 'Run and draw'")
    page.run(f"{MIRROR}.setValue({MIRROR}.getValue().replace('0.1 *', '0.25 *'))")
    tap(page, "go")
    page.until(DONE, PATIENCE)
    assert page.text("verdict") == "It ran"
    assert page.text("said").startswith("loss 1.6699572799136313\nby W\n[[")
    page.until("document.querySelector('iframe')")
    page.driver.switch_to.frame(page.driver.find_element("css selector", "iframe"))
    page.until("document.querySelector('#stage svg')", 20)
    assert "cross_entropy" in page.run("return document.querySelector('#stage').textContent")
    for beyond in ("parent.document.title", "localStorage.length"):
        assert page.run(f"try {{ return {beyond} }} catch (error) {{ return error.name }}") == "SecurityError"
    before = page.run("return now")
    page.run("show(now + 1)")
    assert page.run("return now") == before + 1


def test_texts_of_a_graph_stand_beside_each_other(page):
    """Graphviz knows the widths of Arial, not those of the machine's fonts."""
    text = "import tinygrad_lo as lo\nx = lo.Tensor([[1.0, 2.0]], name='long_name')\n"
    check(page, "own", f"{text}loss = (x * 2.0).named('another_long_name').sum()\n")
    page.driver.switch_to.frame(page.driver.find_element("css selector", "iframe"))
    page.until("document.querySelector('#stage svg')", 20)
    crossed = page.run("""
        const texts = [...document.querySelectorAll("#stage g.node")].map(g => [...g.querySelectorAll("text")]
          .filter(one => one.textContent.trim() && getComputedStyle(one).visibility === "visible")
          .map(one => [one.textContent, one.getBBox()]));
        return texts.flatMap(row => row.slice(1).map(([text, box], i) => [row[i], [text, box]])
          .filter(([[, a], [, b]]) => Math.abs(a.y - b.y) < 6 && b.x > a.x && a.x + a.width > b.x + 2)
          .map(([[a], [b]]) => [a, b]));""")
    assert crossed == []


def test_a_program_without_a_tensor_says_what_to_do(page):
    said, state = check(page, "own", "print('<b>hello</b>')\n")
    assert (said, state) == ("<b>hello</b>\nNo tensor is left to draw: name one loss.\n", "passed")
    said, state = check(page, "own", "import tinygrad_lo as lo\nlo.Tensor([1.0]) @ lo.Tensor([1.0, 2.0])\n")
    assert state == "failed"
    assert said.startswith("Traceback")
    assert "ShapeError" in said


def test_a_graph_of_a_hundred_thousand_ops_does_not_end_python(page):
    text = "import tinygrad_lo as lo\nx = w = lo.Parameter(1.0)\nfor _ in range(100_000):\n    x = x * 1.0\n"
    said, state = check(page, "own", f"{text}x.backward()\nprint(w.grad)\ndel x\nprint('here')\ndel w\n")
    assert said.startswith("1.0\nhere\n")
    assert state == "passed"


def test_a_program_that_ends_python_itself_is_told(page):
    text = "deep = []\nfor _ in range(10**6):\n    deep = [deep]\ndel deep\n"
    said, state = check(page, "own", text)
    assert said.startswith("This program has ended Python itself")
    assert any("Maximum call stack" in line for line in page.logged()[0])  # Pyodide's own words
    assert state == "failed"
    said, state = check(page, "ex02_diamond", programs("ex02_diamond")["right"])
    assert said.endswith("Well done.\n")


def test_an_endless_loop_is_stopped(page):
    page.run("location.hash = 'ex01_chain_rule'")
    page.until("document.getElementById('title').textContent.startsWith('The chain rule')")
    text = "import time\nprint(1)\ntime.sleep(0.2)\nprint(2)\nwhile True: pass"
    page.run(f"{MIRROR}.setValue(arguments[0])", text)
    tap(page, "go")
    page.until("document.getElementById('said').textContent === '1\\n2\\n'", PATIENCE)
    assert page.text("verdict") == "Running"
    page.run("""
        window.given_up = 0;
        const terminate = Worker.prototype.terminate;
        Worker.prototype.terminate = function () { given_up++; terminate.call(this); };""")
    tap(page, "stop")
    assert page.text("verdict") == "Stopped"
    assert page.run("return given_up") == 1  # it does not go on unseen
    said, state = check(page, "ex01_chain_rule", programs("ex01_chain_rule")["right"])
    assert said.endswith("Well done.\n")
    assert state == "passed"


def test_a_program_that_prints_without_end_is_cut_and_stopped(page):
    page.run(f"{MIRROR}.setValue('while True: print(\"<img src=x onerror=alert(1)>\" * 9)')")
    tap(page, "go")
    page.until("document.getElementById('said').textContent.includes('… and more')", PATIENCE)
    time.sleep(0.5)
    assert len(page.text("said")) < 210_000
    tap(page, "stop")
    assert page.text("verdict") == "Stopped"
    assert page.run("return document.querySelectorAll('img').length") == 0


def test_progress_survives_a_reload(page, server):
    check(page, "ex02_diamond", programs("ex02_diamond")["right"])
    page.open(Address(server, "#ex02_diamond"), width=1240, height=900)
    page.until("document.querySelector('.CodeMirror')")
    assert "u * np.cos(x)" in page.run(f"return {MIRROR}.getValue()")
    assert page.run("return document.querySelector('#list [aria-current]').className") == "solved"
    tap(page, "anew")
    assert "to_do(" in page.run(f"return {MIRROR}.getValue()")
    page.open(Address(server, "#ex02_diamond"), width=1240, height=900)
    page.until("document.querySelector('.CodeMirror')")
    assert "to_do(" in page.run(f"return {MIRROR}.getValue()")


def test_a_task_that_has_changed_is_told(page, server):
    kept = {"programs": {"ex01_chain_rule": {"text": "print(1)", "digest": "older"}}, "solved": ["ex99"]}
    page.run("localStorage.setItem('tinygrad_lo exercises', arguments[0])", json.dumps(kept))
    page.open(Address(server), width=1240, height=900)
    page.until("!document.getElementById('notice').hidden")
    assert "has changed since you wrote" in page.text("notice")
    assert page.text("score").startswith("0 of ")


@pytest.mark.parametrize("kept", ["{", "7", '{"programs": 3}', '{"programs": {"own": 3}}', "null"])
def test_nonsense_in_the_browsers_store_is_left_aside(page, server, kept):
    page.run("localStorage.setItem('tinygrad_lo exercises', arguments[0])", kept)
    page.open(Address(server, "#own"), width=1240, height=900)
    page.until("document.querySelector('.CodeMirror')")
    assert page.run(f"return {MIRROR}.getValue()").startswith('"""A loss of your own')


def test_the_keyboard_does_all(page, server):
    fresh(page, server)
    page.press("Tab")
    assert page.run("return document.activeElement.id") == "skip"
    for _ in range(3):
        page.press("Tab")
    page.press("Enter")  # the second exercise
    page.until("document.getElementById('title').textContent === 'The diamond, where paths add'")
    assert page.run("return document.activeElement.getAttribute('aria-current')") == "page"
    page.run(f"{MIRROR}.focus()")
    page.press("Tab")
    assert page.run("return document.activeElement.getAttribute('role')") == "textbox"
    page.press("Escape", "Tab")
    assert page.run("return document.activeElement.tagName") == "BUTTON"
    page.run(f"{MIRROR}.focus()")
    page.press("Enter", control=True)
    page.until(DONE, PATIENCE)
    assert "Still to do" in page.text("said") or "Error" in page.text("said")


@pytest.mark.parametrize("hash", ["#ex03_svm_loops", "#own"])
def test_a_narrow_window_needs_no_scrolling_aside(page, server, hash):
    page.open(Address(server, hash), width=400, height=900)
    page.until("document.querySelector('.CodeMirror')")
    tap(page, "go")
    page.until(DONE, PATIENCE)
    assert page.run("return document.documentElement.scrollWidth <= innerWidth")
    small = page.run("""
        return [...document.querySelectorAll("button:not(.fold)")].filter(one => one.offsetParent)
          .filter(one => one.offsetHeight < 36 || one.offsetWidth < 36).length;""")
    assert small == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1240])
def test_axe_finds_nothing(page, server, width, scheme):
    """TINYGRAD_LO_AXE is the path of axe.min.js (npm pack axe-core)."""
    if not os.environ.get("TINYGRAD_LO_AXE"):
        pytest.skip("TINYGRAD_LO_AXE names no axe.min.js")
    axe = Path(os.environ["TINYGRAD_LO_AXE"]).read_text(encoding="utf-8")
    page.open(Address(server, "#ex05_softmax"), width=width, height=900, scheme=scheme)
    page.until("document.querySelector('.CodeMirror')")
    for prepare in ("", f"{MIRROR}.setValue('1/0'); document.getElementById('go').click()"):
        page.run(prepare)
        if prepare:
            page.until(DONE, PATIENCE)
        page.run(axe)
        found = page.driver.execute_async_script("""
            const done = arguments[0];
            axe.run(document).then(result => done(JSON.stringify(result.violations.map(one =>
              [one.id, one.impact, one.nodes.map(node => node.html.slice(0, 100))]))));""")
        assert json.loads(found) == [], prepare


def test_a_file_that_is_another_is_not_run(chromium, folder, tmp_path):
    for source in folder.rglob("*"):
        target = tmp_path / source.relative_to(folder)
        target.mkdir() if source.is_dir() else target.write_bytes(source.read_bytes())
    changed = tmp_path / "assets" / "pyodide.mjs"
    changed.write_text(changed.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    served = Server(tmp_path)
    try:
        fresh(chromium, served)
        tap(chromium, "start")
        chromium.until("document.getElementById('state').textContent.includes('mjs is not the file')", 30)
        assert chromium.run("return !document.getElementById('start').hidden")
    finally:
        served.end()
        chromium.logged()


def test_from_a_disk_the_page_says_what_to_do(chromium, folder):
    chromium.open(folder / "index.html", width=1240, height=900)
    chromium.until("getComputedStyle(document.getElementById('notice')).visibility === 'visible'")
    assert "http.server" in chromium.text("notice")
    assert chromium.run("return !document.getElementById('notice').hidden")
    chromium.logged()


def test_without_assets_nothing_is_asked_for_before_a_click(chromium, tmp_path):
    """This browser finds no other machine."""
    write_exercises(tmp_path / "site")
    served = Server(tmp_path / "site")
    alone = type(chromium)("--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1")
    try:
        alone.open(Address(served), width=1240, height=900)
        alone.until("document.getElementById('title').textContent")
        time.sleep(0.3)
        console, asked = alone.logged()
        assert console == []
        assert all(address.startswith(served.origin) for address in asked)
        assert "cdn.jsdelivr.net" in alone.text("state")
        alone.click("start")
        alone.until("document.getElementById('state').textContent.includes('cannot be reached')", 30)
        assert not alone.run("return document.getElementById('start').hidden")
        beyond = {re.match(r"https?://[^/]+", one)[0] for one in alone.logged()[1]} - {served.origin}
        assert beyond <= {"https://cdn.jsdelivr.net"}
        assert alone.run("return violations") == []
    finally:
        alone.driver.quit()
        served.end()
