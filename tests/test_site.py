"""The documentation site: an example for every name, and, where it is built, no link that is dead."""

import doctest
import importlib.util
import inspect
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import tinygrad_lo as lo
from tinygrad_lo.checking.loss_conventions import KNOWN

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
HTML = DOCS / "_build" / "html"
LOADED = {"img": "src", "script": "src", "iframe": "src", "source": "src", "link": "href", "video": "src"}


def module(name):
    """A program of docs/, as a module."""
    if str(DOCS) not in sys.path:
        sys.path.insert(0, str(DOCS))
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


NAMES = dict(module("reference").public())


class Page(HTMLParser):
    """What a page links to, loads and shows."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loaded, self.anchors, self.untold = [], [], set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors |= {given.get("id"), given.get("name")}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if LOADED.get(tag) in given and given.get("rel") not in (
            "canonical",
            "search",
            "next",
            "prev",
            "index",
        ):
            self.loaded.append(given[LOADED[tag]])
        if (tag == "img" and not given.get("alt")) or (tag == "iframe" and not given.get("title")):
            self.untold.append(given)


@pytest.fixture(scope="module")
def site():
    """The pages of the built site, by path."""
    if not (HTML / "index.html").exists():
        pytest.skip("the site is not built: python3 docs/build.py")
    return {path: Page(path) for path in HTML.rglob("*.html") if "_static" not in path.parts}


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_has_an_example_that_runs_as_it_is_copied(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = inspect.getdoc(NAMES[name])
    if name.startswith("lo.errors."):  # their examples are the blocks of a page, which run
        assert f"## {name.rpartition('.')[2]}\n" in (DOCS / "errors.md").read_text(encoding="utf-8")
        return
    tests = doctest.DocTestParser().get_doctest(text, {}, name, None, 0)
    assert tests.examples, "an example is missing"
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    report = []
    runner.run(tests, out=report.append)
    assert not runner.failures, "".join(report)


def test_a_formula_is_typeset():
    typeset = module("reference").typeset
    assert typeset("L_i = −log p_y") == "<i>L</i><sub><i>i</i></sub> = −log <i>p</i><sub><i>y</i></sub>"
    assert typeset("e^(s_j) < β2^t") == (
        "<i>e</i><sup><i>s</i><sub><i>j</i></sub></sup> &lt; <i>β</i><sub>2</sub><sup><i>t</i></sup>"
    )
    assert typeset("Σ_{j≠y} s") == "Σ<sub><i>j</i>≠<i>y</i></sub> <i>s</i>"
    assert typeset("weight_decay · w") == "weight_decay · <i>w</i>"


def test_text_of_a_docstring_is_no_markup():
    escaped = module("reference").escaped
    assert escaped("a_b *c* `x_y[0]` <i> [z](u)") == r"a\_b \*c\* `x_y[0]` \<i\> \[z\](u)"


# ------------------------------------------------------------------------- what needs the built site


def test_no_link_is_dead(site):
    dead = []
    for path, page in site.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file() or (
                unquote(parts.fragment) not in {"", *site[target].anchors}
                and not re.match("step=|own$", parts.fragment)
            ):
                dead.append((path.name, link))
    assert not dead


def test_a_page_loads_nothing_from_elsewhere(site):
    for path, page in site.items():
        for link in page.loaded:
            assert not urlsplit(link).netloc, f"{path} loads {link}"
            if not link.startswith("data:"):
                target = path.parent / unquote(urlsplit(link).path)
                assert target.is_file(), f"{path} loads {link}, which is missing"


def test_every_picture_has_a_text_and_every_frame_a_title(site):
    assert not [(path.name, page.untold) for path, page in site.items() if page.untold]


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_has_a_page(site, name):
    page = (HTML / "reference" / f"{name}.html").read_text(encoding="utf-8")
    assert re.search(r">>>|&gt;&gt;&gt;", page), "no example"
    assert 'class="source"' in page
    room, _, short = name.rpartition(".")
    if room == "lo.losses" and short in KNOWN:
        assert f'data-live="../live/{short}"' in page
        assert (HTML / "live" / f"{short}.dark.html").is_file()
    if room == "lo.nn" and short not in ("Module", "Sequential", "Flatten"):
        assert "data-live" in page or f"plots/{name}" in page or f"{name}.light.svg" in page


def test_a_source_link_leads_to_the_definition(site):
    page = (HTML / "reference" / "lo.losses.huber.html").read_text(encoding="utf-8")
    href = re.search(r'class="source" href="([^"]+)"', page)[1]
    file, _, anchor = href.partition("#")
    source = (HTML / "reference" / file).resolve().read_text(encoding="utf-8")
    line = source.partition(f'name="{anchor}"')[2].partition("\n")[0]
    text = re.sub(r"<[^>]+>", "", line)
    assert "@" in text or "huber" in text


def test_a_block_ends_with_its_last_line(site):
    page = (HTML / "start.html").read_text(encoding="utf-8")
    assert page.count("</pre>") > 3
    assert "\n\n</pre>" not in page


def test_every_figure_of_the_lectures_is_shown(site):
    names = {p.stem for p in (ROOT / "examples" / "figures").glob("*.py")} - {"style"}
    shown = "".join((HTML / "figures" / f"00{i}.html").read_text(encoding="utf-8") for i in range(5))
    assert not [name for name in names if f"{name}.png" not in shown]


def test_the_version_is_that_of_the_changes(site):
    assert f"## {lo.__version__} (" in (DOCS / "changes.md").read_text(encoding="utf-8")
