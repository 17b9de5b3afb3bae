"""Backends: the two real ones, and ones that are missing, broken or noisy."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import graphviz
import pytest

from tinygrad_lo.drawing import render as module
from tinygrad_lo.drawing.render import (
    VARIABLE,
    find_dot,
    has_pygraphviz,
    render,
    resolution,
    squeezed,
    visible,
)
from tinygrad_lo.errors import DrawingError

ROOT = Path(__file__).resolve().parents[2]
SOURCE = "digraph { n0 [shape=plain label=<<TABLE><TR><TD>my loss</TD></TR></TABLE>>] }"
GOOD_SVG = "<svg><text>my loss</text></svg>"
MAGIC = {"svg": b"<?xml", "png": b"\x89PNG\r\n", "pdf": b"%PDF-"}
posix = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins for dot are shell scripts")


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A function that makes a program `dot` with a given behaviour the only backend."""

    def make(script):
        path = tmp_path / "dot"
        path.write_text(f"#!/bin/sh\ncat > /dev/null\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv(VARIABLE, str(path))
        monkeypatch.setattr(module, "has_pygraphviz", lambda: False)
        return path

    return make


@pytest.mark.parametrize("format", MAGIC)
def test_each_backend_writes_each_format(format, backend):
    content = render(SOURCE, format, "my loss")
    assert content.startswith(MAGIC[format])
    assert len(content) > 500


def test_each_backend_refuses_what_is_not_dot(backend):
    with pytest.raises(DrawingError, match="syntax error"):
        render("digraph { -> }", "svg")


def test_each_backend_is_guarded(backend):
    with pytest.raises(DrawingError, match="does not show 'another loss'"):
        render(SOURCE, "png", "another loss")


def test_png_files_have_a_resolution_for_print(backend):
    sizes = [int.from_bytes(render(SOURCE, "png")[at : at + 4]) for at in (16, 20)]
    svg = render(SOURCE, "svg").decode()
    assert sizes[0] == pytest.approx(2 * float(svg.split('width="')[1].split("pt")[0]), abs=2)


def test_a_picture_too_long_for_png_gets_fewer_dots(backend):
    chain = " ".join(f"n{i} -> n{i + 1};" for i in range(250))
    assert render(f"digraph {{ {chain} }}", "png").startswith(MAGIC["png"])


@pytest.mark.parametrize(("side", "dpi"), [(100, 144), (15_000, 144), (30_000, 72), (10_000_000, 1)])
def test_resolution(side, dpi):
    assert resolution(f'<svg width="80pt" height="{side}pt"') == dpi


def test_without_any_graphviz_the_error_names_a_command_for_each_platform(no_backend):
    with pytest.raises(DrawingError) as caught:
        render(SOURCE, "svg")
    assert str(caught.value).startswith("pip install pygraphviz")
    for command in ("sudo apt install", "brew install", "winget install", "conda install", ".dot", VARIABLE):
        assert command in str(caught.value)


@posix
def test_in_a_bare_environment_the_error_is_a_command_and_text_still_comes(tmp_path):
    """Only the package and what it needs: an environment of links, which costs no download."""
    venv.create(tmp_path, symlinks=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    places = next((tmp_path / "lib").iterdir()) / "site-packages"
    needed = [re.split("[<>=]", text)[0] for text in project["dependencies"]]
    for name in needed:
        for found in {file.parts[0] for file in importlib.metadata.files(name)} - {".."}:
            (places / found).symlink_to(importlib.metadata.distribution(name).locate_file(found))
    script = """
import sys, tinygrad_lo as lo
picture = lo.draw((lo.Parameter(3.0, name="w") * 2.0).named("loss"))
assert picture.source.startswith("digraph") and picture.save("loss.dot").exists()
assert "graphviz" not in sys.modules, "imported before a picture is rendered"
print(lo.tree((lo.Parameter(3.0) * 2.0).named("loss")))
print(picture._repr_mimebundle_()["text/plain"].splitlines()[1])
picture.save("loss.svg")
"""
    done = subprocess.run(
        [tmp_path / "bin" / "python", "-c", script],
        env={"PATH": "", VARIABLE: "none", "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert "pip install pygraphviz" in done.stdout
    assert "\ntinygrad_lo.errors.DrawingError: pip install pygraphviz brings" in done.stderr


def test_graphviz_is_imported_when_a_picture_is_rendered():
    script = """
import sys, tinygrad_lo as lo
picture = lo.draw((lo.Parameter(3.0, name="w") * 2.0).named("loss"))
picture.source, repr(picture), lo.tree(lo.Parameter(1.0))
assert not [name for name in sys.modules if name.startswith(("graphviz", "pygraphviz"))]
picture.graph
assert "graphviz" in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


@posix
def test_a_dot_on_the_path_is_called_by_the_package_unless_the_picture_may_take_long(monkeypatch, tmp_path):
    asked = []
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(module, "has_pygraphviz", lambda: False)
    program = tmp_path / "dot"
    program.write_text(f"#!/bin/sh\n/bin/cat > /dev/null\necho '{GOOD_SVG}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    pipe = graphviz.Source.pipe
    monkeypatch.setattr(graphviz.Source, "pipe", lambda self, kind: asked.append(kind) or pipe(self, kind))
    assert render(SOURCE, "svg", "my loss").strip().decode() == GOOD_SVG
    assert render(SOURCE, "pdf", "my loss").strip().decode() == GOOD_SVG
    assert asked == ["svg", "svg", "pdf"]
    program.write_text("#!/bin/sh\necho boom >&2\nexit 3\n")
    with pytest.raises(DrawingError, match=r"ended with status 3: boom\n") as caught:
        render(SOURCE, "svg")
    assert str(program) in str(caught.value)
    program.write_text("#!/bin/sh\n/bin/cat > /dev/null\n")
    with pytest.raises(DrawingError, match="ended with status 0: it said nothing"):
        render(SOURCE, "svg")
    program.write_bytes(b"no program")
    with pytest.raises(DrawingError, match="cannot be run"):
        render(SOURCE, "svg")
    monkeypatch.setattr(module, "PATIENCE", 0.2)
    program.write_text("#!/bin/sh\nexec /bin/sleep 20\n")
    with pytest.raises(DrawingError, match="max_nodes="):
        render("digraph {" + "\n" * module.QUICK + "}\n", "svg")
    assert len(asked) == 6


@posix
def test_a_dot_that_shows_node_names_in_place_of_labels_is_broken(stand_in):
    stand_in("echo '<svg><title>my loss</title><text>n0</text></svg>'")
    with pytest.raises(DrawingError, match="does not show 'my loss'"):
        render(SOURCE, "svg", "my loss")


@posix
def test_a_warning_of_graphviz_is_an_error_and_is_quoted(stand_in):
    stand_in(
        f"echo '{GOOD_SVG}'; echo 'Warning: Not built with libexpat. Table formatting is not available.' >&2"
    )
    with pytest.raises(DrawingError, match="Not built with libexpat"):
        render(SOURCE, "svg", "my loss")


@posix
def test_what_fontconfig_says_of_this_machine_is_no_error(stand_in):
    stand_in(f"echo '{GOOD_SVG}'; echo 'Fontconfig warning: unknown element \"reset-dirs\"' >&2")
    assert render(SOURCE, "svg", "my loss").strip().decode() == GOOD_SVG


@posix
@pytest.mark.parametrize(
    "script", ["echo boom >&2; exit 3", f"echo '{GOOD_SVG}'; exit 3", "kill -9 $$", "true"]
)
def test_a_dot_that_fails_or_says_nothing_is_an_error(stand_in, script):
    stand_in(script)
    with pytest.raises(DrawingError, match="ended with status"):
        render(SOURCE, "svg")


@posix
def test_a_dot_that_hangs_is_given_up(stand_in, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.2)
    stand_in("exec sleep 20")
    with pytest.raises(DrawingError, match="max_nodes="):
        render(SOURCE, "svg")


@posix
def test_a_broken_dot_gives_way_to_pygraphviz(stand_in, monkeypatch):
    pytest.importorskip("pygraphviz", minversion="2")
    stand_in("echo '<svg><text>n0</text></svg>'")
    monkeypatch.setattr(module, "has_pygraphviz", has_pygraphviz)
    assert render(SOURCE, "svg", "my loss").startswith(MAGIC["svg"])


def test_a_variable_that_names_no_program_is_said(monkeypatch):
    monkeypatch.setenv(VARIABLE, "/nowhere/dot")
    monkeypatch.setattr(module, "has_pygraphviz", lambda: False)
    with pytest.raises(DrawingError, match="/nowhere/dot: cannot be run"):
        render(SOURCE, "svg")


@posix
def test_dot_is_sought_in_the_variable_then_on_the_path_then_where_installers_hide_it(
    stand_in, monkeypatch, tmp_path
):
    path = stand_in("")
    assert find_dot() == str(path)
    monkeypatch.setenv(VARIABLE, "none")
    assert find_dot() is None
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr(module, "PLACES", (tmp_path / "missing", tmp_path / "hidden"))
    (tmp_path / "hidden").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_dot() == str(path)
    monkeypatch.setenv("PATH", "")
    assert find_dot() == str(tmp_path / "hidden")


@pytest.mark.parametrize(("version", "good"), [("1.14", False), ("2.0", True), ("10.1", True)])
def test_pygraphviz_before_2_carries_no_graphviz(monkeypatch, version, good):
    monkeypatch.setattr(module.importlib.metadata, "version", lambda name: version)
    assert has_pygraphviz() is good


def test_pygraphviz_runs_in_a_child(monkeypatch, tmp_path):
    """A file in the working directory that is called like it must not be run in its place."""
    pytest.importorskip("pygraphviz", minversion="2")
    (tmp_path / "pygraphviz.py").write_text("raise SystemExit('not me')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, "none")
    assert b"my loss" in render(SOURCE, "svg").replace(b"&#160;", b" ")


def test_the_guard_reads_what_a_reader_sees():
    page = '<svg><!-- a --><title>b</title><g id="c"><text x="1">d&#160;&lt;e&gt;</text></g></svg>'
    assert squeezed(visible(page)) == "d<e>"


@pytest.fixture
def function():
    """A function that draws, as a browser has one, in place of what this machine has."""

    def use(to_svg):
        module.use(to_svg)

    yield use
    module.use(None)


def test_a_function_draws_in_place_of_programs(function):
    function(lambda dot: GOOD_SVG)
    assert render(SOURCE, "svg", "my loss") == GOOD_SVG.encode()
    with pytest.raises(DrawingError, match=r"it draws \.svg and \.html, and no \.png"):
        render(SOURCE, "png", "my loss")
    with pytest.raises(DrawingError, match="does not show 'another loss'"):
        render(SOURCE, "svg", "another loss")
    module.use(None)
    assert module.CHOSEN == {}


def test_a_function_that_fails_is_told(function):
    function(lambda dot: 1 / 0)
    with pytest.raises(DrawingError, match="division by zero"):
        render(SOURCE, "svg")
