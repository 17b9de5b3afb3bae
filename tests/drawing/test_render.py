"""Backends: the two real ones, and ones that are missing, broken or noisy."""

import sys

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
    for command in (
        "sudo apt install",
        "brew install",
        "winget install",
        "pip install 'tinygrad_lo[draw]'",
        ".dot",
        VARIABLE,
    ):
        assert command in str(caught.value)


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
