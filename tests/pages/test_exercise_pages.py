"""The exercise pages as files: their command, their parts, and what runs inside them."""

import base64
import io
import json
import re
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from exercise_pages import WRITTEN, command_line, programs

from tinygrad_lo.checking.exercise import exercises
from tinygrad_lo.drawing import render
from tinygrad_lo.errors import GraphError
from tinygrad_lo.pages import exercises as pages
from tinygrad_lo.pages import inside
from tinygrad_lo.pages.__main__ import write_page

SVG = '<svg><text font-family="Arial">loss</text></svg>'


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder of its own, as the worker has one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def small(monkeypatch):
    """Assets of a few bytes, in place of those of others."""
    content = {asset.name: f"// {asset.name}\n".encode() for asset in pages.ASSETS}
    table = [
        pages.Asset(asset.place, len(content[asset.name]), pages.integrity_of(content[asset.name]), asset.use)
        for asset in pages.ASSETS
    ]
    monkeypatch.setattr(pages, "ASSETS", tuple(table))
    return content


def config(folder):
    page = (folder / "index.html").read_text(encoding="utf-8")
    return page, json.loads(re.search(r'id="config">(.*?)</script>', page)[1])


# ------------------------------------------------------------------------------------ the folder


def test_the_command_writes_a_folder_and_says_how_to_serve_it(tmp_path, capsys):
    site = tmp_path / "deep" / "site"
    assert write_page(["exercises", "--save", str(site)]) == 0
    path, served = capsys.readouterr().out.splitlines()
    assert path == str(site)
    assert served.endswith(f"http.server --bind 127.0.0.1 --directory {site}")
    scripts = {"main.js", "editor.js", "kept.js", "runner.js", "worker.js"}
    assert {p.name for p in site.iterdir()} == scripts | {
        "index.html",
        "live.html",
        "style.css",
        "tinygrad_lo.zip",
    }


def test_the_same_sources_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        pages.archive.cache_clear()
        pages.write_exercises(tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_every_exercise_is_there_with_its_task(tmp_path):
    pages.write_exercises(tmp_path)
    shown = {exercise["name"]: exercise for exercise in config(tmp_path)[1]["exercises"]}
    assert list(shown) == list(exercises())
    for name, path in exercises().items():
        assert shown[name]["code"] == path.read_text(encoding="utf-8")
        assert int(shown[name]["number"]) == int(name[2:4])
        assert shown[name]["title"]
        assert all(text.strip() and "python examples" not in text for _, text in shown[name]["task"])
    first = shown["ex02_diamond"]
    assert (first["level"], first["title"]) == ("easy", "The diamond, where paths add")
    assert [kind for kind, _ in first["task"]] == ["p", "pre", "p"]
    assert first["task"][1][1].startswith("    ┌─ u = x²")


def test_a_teachers_file_without_a_number_is_shown_by_its_name(tmp_path, monkeypatch):
    path = tmp_path / "ex_own.py"
    path.write_text('"""</script><b>Find the sign.\n\nLook.\n"""\n', encoding="utf-8")
    monkeypatch.setattr(pages, "exercises", lambda: {"ex_own": path})
    pages.archive.cache_clear()
    pages.write_exercises(tmp_path / "site")
    pages.archive.cache_clear()
    (shown,) = config(tmp_path / "site")[1]["exercises"]
    assert (shown["number"], shown["title"], shown["task"]) == (
        "ex_own",
        "</script><b>Find the sign.",
        [["p", "Look."]],
    )


def test_the_package_in_the_folder_is_this_one(tmp_path):
    content = pages.files(None)["tinygrad_lo.zip"]
    package = zipfile.ZipFile(io.BytesIO(content))
    for path in pages.LIBRARY.rglob("*.py"):
        assert package.read(f"tinygrad_lo/{path.relative_to(pages.LIBRARY).as_posix()}") == path.read_bytes()
    for path in exercises().values():
        assert package.read(f"tinygrad_lo/exercises/{path.name}") == path.read_bytes()
    assert not [name for name in package.namelist() if "__pycache__" in name]


def test_without_assets_each_address_has_a_version_and_a_digest(tmp_path):
    pages.write_exercises(tmp_path)
    page, said = config(tmp_path)
    *others, ours = said["assets"]
    for asset in others:
        assert re.search(r"^https://cdn\.jsdelivr\.net/\S*?[@v]\d+\.\d+\.\d+", asset["url"])
        assert len(base64.b64decode(asset["integrity"].removeprefix("sha256-"))) == 32
    assert ours["integrity"] == pages.integrity_of((tmp_path / "tinygrad_lo.zip").read_bytes())
    policy = re.search(r'Policy" content="([^"]*)"', page)[1]
    assert "unsafe" not in policy
    assert set(re.findall(r"https://\S+?(?=[ ;])", policy)) == {"https://cdn.jsdelivr.net"}


def test_with_assets_all_lies_in_the_folder(tmp_path, small):
    for i, (name, content) in enumerate(small.items()):
        place = tmp_path / "from" / f"node_modules{i}" / name
        place.parent.mkdir(parents=True)
        place.write_bytes(content)
    other = tmp_path / "from" / "a" / "viz.js"  # another file of that name, met first
    other.parent.mkdir()
    other.write_text("another", encoding="utf-8")
    pages.write_exercises(tmp_path / "site", tmp_path / "from")
    page, said = config(tmp_path / "site")
    assert "https:" not in re.search(r'Policy" content="([^"]*)"', page)[1]
    assert said["cdn"] is None
    for asset in said["assets"][:-1]:
        assert (tmp_path / "site" / asset["url"]).read_bytes() == small[asset["name"]]


@pytest.mark.parametrize(
    ("change", "words"),
    [(lambda p: p.unlink(), "has no viz.js"), (lambda p: p.write_text("x"), "has another version of viz.js")],
)
def test_a_folder_that_lacks_a_file_is_refused_before_anything_is_written(
    tmp_path, small, change, words, capsys
):
    (tmp_path / "from").mkdir()
    for name, content in small.items():
        (tmp_path / "from" / name).write_bytes(content)
    change(tmp_path / "from" / "viz.js")
    with pytest.raises(GraphError, match=words):
        pages.write_exercises(tmp_path / "site", tmp_path / "from")
    assert (
        write_page(["exercises", "--save", str(tmp_path / "site"), "--assets", str(tmp_path / "from")]) == 2
    )
    assert words in capsys.readouterr().err
    assert not (tmp_path / "site").exists()


# --------------------------------------------------------------------------------- what runs inside


@pytest.mark.parametrize("name", WRITTEN)
def test_a_check_says_what_the_command_line_says(name, here, tmp_path):
    for kind, text in programs(name).items():
        said = []
        passed = inside.check_exercise(name, text, said.append)
        printed, status = command_line(tmp_path, name, text)
        assert "".join(said) == printed.replace(f"{tmp_path}/", ""), kind
        assert passed == (status == 0) == (kind == "right"), kind


@pytest.mark.parametrize(
    ("text", "status", "printed"),
    [
        ("import sys\nsys.exit(3)", 3, ""),
        ("import sys\nsys.exit('why')", 1, "why\n"),
        ("import sys\nsys.exit()", 0, ""),
        (
            "raise KeyboardInterrupt",
            1,
            'Traceback (most recent call last):\n  File "p.py", line 1, in <module>',
        ),
        ("import sys\nprint('é', file=sys.stderr)", 0, "é\n"),
    ],
)
def test_a_program_ends_as_its_process_would(here, text, status, printed):
    said = []
    assert inside.run_program("p.py", text, said.append)[0] == status
    assert "".join(said).startswith(printed)
    assert bool(said) == bool(printed)


def test_a_graph_of_ones_own(here, monkeypatch):
    monkeypatch.setattr(render, "CHOSEN", {})
    drawn = []
    inside.draw_by(lambda dot: drawn.append(dot) or SVG)
    said = []
    page = inside.own(pages.PROGRAM, said.append)
    assert "loss 1.2889572799136313" in "".join(said)
    assert page.startswith("<!doctype html>")
    assert 'fontname="Arial"' in drawn[0]
    assert "Helvetica" not in drawn[0]
    assert 'font-family="Arial"' not in page
    assert inside.own("x = 3", said.append) == ""
    assert inside.own("1 / 0", said.append) is None
    assert said[-1].endswith("ZeroDivisionError: division by zero\n")
    text = "import tinygrad_lo as lo\nx = lo.Parameter(1.0) * 2.0\npicture = lo.draw((x * 3.0).named('loss'))"
    assert "loss" in inside.own(text, said.append)


def test_a_picture_that_fails_is_told(here, monkeypatch):
    monkeypatch.setattr(render, "CHOSEN", {})
    inside.draw_by(lambda dot: "<svg/>")
    said = []
    assert inside.own("import tinygrad_lo as lo\nloss = lo.Parameter(1.0) * 2.0", said.append) is None
    assert said[0].startswith("DrawingError: ")


def test_the_worker_and_the_table_say_the_same():
    """What the worker is told of Pyodide stands in its lock file; the versions are one."""
    worker = pages.part("pages/exercises/worker.js")
    assert pages.NUMPY.endswith("-cp314-cp314-pyemscripten_2026_0_wasm32.whl")
    assert 'python: "3.14.0"' in worker
    assert 'abi_version: "2026_0"' in worker
    assert all(Path(asset.name).name == asset.name for asset in pages.ASSETS)


def test_the_documentation_names_the_versions_of_the_table():
    text = Path(__file__).parents[2].joinpath("docs/browser.md").read_text(encoding="utf-8")
    ci = Path(__file__).parents[2].joinpath(".ci/pyodide").read_text(encoding="utf-8")
    for source in (pages.PYODIDE, pages.VIZ, pages.CODEMIRROR):
        assert f" {source.removeprefix('npm/')}" in text
    assert {pages.CODEMIRROR.removeprefix("npm/"), pages.VIZ.removeprefix("npm/")} <= set(ci.split())
    sizes = Counter()
    for asset in pages.ASSETS:
        sizes[asset.use] += asset.size
        if asset.name == pages.NUMPY:
            assert f" {pages.CDN}/{asset.place}\n" in text
    for size in sizes.values():
        assert f"| {size / 1e6:.1f} |" in text
