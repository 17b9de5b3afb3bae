"""The built site in a browser: no complaints, live graphs, search, keyboard, phones, dark, print."""

import os
from pathlib import Path

import pytest
from exercise_pages import Server

HTML = Path(__file__).resolve().parents[2] / "docs" / "_build" / "html"
PAGES = ("index", "start", "tutorials/inspect", "tutorials/train", "tutorials/check", "guides", "lectures",
         "figures/002", "api", "reference/lo.losses.cross_entropy", "reference/lo.nn.elu",
         "reference/lo.optim.Adam", "errors", "questions", "tour", "search")  # fmt: skip


@pytest.fixture(autouse=True)
def _site():
    if not (HTML / "index.html").exists():
        pytest.skip("the site is not built: python3 docs/build.py")


def opened(browser, name, **options):
    browser.open(HTML / f"{name}.html", **options)
    browser.until("document.readyState === 'complete'")
    return browser


def quiet(browser):
    """Nothing is complained of, nothing is fetched from elsewhere."""
    console, asked = browser.logged()
    assert not [line for line in console if "[PST]" not in line]
    assert not [url for url in asked if not url.startswith(("file:", "data:", "blob:", "about:"))]
    assert browser.run("return window.violations") == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_without_a_complaint(browser, name):
    opened(browser, name)
    quiet(browser)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_a_phone(browser, name):
    opened(browser, name, width=400, height=800)
    assert browser.run("return document.documentElement.scrollWidth") <= 400


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_can_be_used_by_everybody(browser, name, scheme):
    if not os.environ.get("TINYGRAD_LO_AXE"):
        pytest.skip("TINYGRAD_LO_AXE names no axe.min.js")
    opened(browser, name, width=1240, scheme=scheme)
    assert browser.serious() == []


def inside(browser, theme="light"):
    """Go into the frame of the page, when it is there."""
    browser.until(f"document.querySelector('iframe.live').src.includes('.{theme}.')")
    browser.run("document.querySelector('iframe.live').scrollIntoView()")
    frame = browser.driver.find_element("css selector", "iframe.live")
    browser.driver.switch_to.frame(frame)
    browser.until("document.readyState === 'complete' && typeof go === 'function'")


def test_one_edit_on_the_first_page_changes_the_loss(browser):
    opened(browser, "index", width=1240)
    top = browser.run("return document.querySelector('iframe.live').getBoundingClientRect().top")
    assert top < 500, "the live graph is on the first screen"
    inside(browser)
    before = browser.run("return document.getElementById('worth').textContent")
    browser.run("""
        const cell = document.querySelector('[role=spinbutton], .editable, [data-leaf]');
        cell.focus(); cell.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowUp', bubbles: true}));""")
    browser.until(f"document.getElementById('worth').textContent !== {before!r}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_embedded_graph_steps(browser, scheme):
    opened(browser, "reference/lo.losses.multiclass_hinge", width=1240, scheme=scheme)
    inside(browser, scheme)
    last = browser.run("return now")
    browser.run("go(now - 1)")
    assert browser.run("return now") == last - 1
    browser.driver.switch_to.default_content()


def test_the_search_works_from_the_disk(browser):
    browser.open(HTML / "search.html")
    browser.driver.get((HTML / "search.html").as_uri() + "?q=huber")
    browser.until("document.querySelectorAll('#search-results li').length > 2")
    assert "lo.losses.huber" in browser.run("return document.querySelector('#search-results').textContent")


def test_a_page_is_reached_by_keyboard_alone(browser):
    opened(browser, "index", width=1240)
    browser.press("Tab")
    assert "main" in browser.run("return document.activeElement.textContent").lower()  # skip to main content
    reached = set()
    for _ in range(40):
        browser.press("Tab")
        reached.add(browser.run("return document.activeElement.getAttribute('href')"))
    assert {"tutorials/inspect.html", "tutorials/train.html", "tutorials/check.html"} <= reached


def test_print_shows_the_text_alone(browser):
    opened(browser, "reference/lo.losses.huber", width=900, media="print")
    hidden = browser.run("""
        return [...document.querySelectorAll('iframe.live, .bd-header, .bd-sidebar-primary')]
          .every(part => getComputedStyle(part).display === 'none')""")
    assert hidden
    assert browser.run("return getComputedStyle(document.querySelector('.formula')).display") == "block"


@pytest.fixture(scope="module")
def served():
    if not (HTML / "exercises" / "assets").exists():
        pytest.skip("the site was built without --assets: its blocks have no Python here")
    server = Server(HTML)
    yield server
    server.end()


def test_the_blocks_of_a_tutorial_run(browser, served):
    """The third block runs those above it; what it prints is what the page says."""
    browser.driver.get("about:blank")
    browser.logged()  # what earlier pages have asked for
    browser.driver.get(f"{served.origin}/tutorials/check.html")
    browser.until("document.querySelectorAll('.run button').length > 4")
    browser.run("document.querySelectorAll('.run button')[1].click()")
    browser.until("document.querySelectorAll('.run button')[1].textContent === 'Run again'", 120.0)
    said = browser.run("return [...document.querySelectorAll('.run output')].map(one => one.textContent)")
    assert "the 1/4 of a mean is missing" in said[0]
    assert "12 derivatives were compared with finite differences: all right" in said[1]
    told = browser.run("return document.querySelectorAll('div[class^=highlight-] pre')[0].textContent")
    assert said[0].splitlines()[0] in told
    _, asked = browser.logged()
    assert all(url.startswith((served.origin, f"blob:{served.origin}")) for url in asked)


def test_from_the_disk_a_block_says_what_to_do(browser):
    opened(browser, "tutorials/inspect")
    browser.run("document.querySelector('.run button').click()")
    browser.until("document.querySelector('.run [role=status]').textContent.includes('http.server')")
    quiet(browser)
