"""DOT text to SVG, PNG or PDF, by whatever Graphviz this machine has.

First the program `dot`, then the Graphviz inside pygraphviz's wheels, which runs in a child process:
a crash or a warning stays there. A backend that draws nonsense is treated as one that is not there.
"""

from __future__ import annotations

import html
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tinygrad_lo.drawing.titles import crossed, moved
from tinygrad_lo.errors import DrawingError

FORMATS = ("svg", "png", "pdf")
DPI = 144
LARGEST_SIDE = 30_000  # pixels; Cairo, which paints PNG files, ends at 32767
PATIENCE = 300  # seconds
VARIABLE = "TINYGRAD_LO_DOT"
# Where installers put `dot` without putting it on the PATH.
PLACES = (
    Path(sys.prefix, "bin", "dot"),
    Path(sys.prefix, "Library", "bin", "dot.exe"),
    Path("/opt/homebrew/bin/dot"),
    Path("/usr/local/bin/dot"),
    Path("/opt/local/bin/dot"),
    Path("/usr/bin/dot"),
    Path("C:/Program Files/Graphviz/bin/dot.exe"),
    Path("C:/Program Files (x86)/Graphviz/bin/dot.exe"),
)
CHILD = """
import sys, pygraphviz
graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
sys.stdout.buffer.write(graph.draw(format=sys.argv[1], prog="dot", args=sys.argv[2]))
"""
ADVICE = f"""Install Graphviz by one of
  Debian, Ubuntu   sudo apt install graphviz
  macOS            brew install graphviz
  Windows          winget install Graphviz.Graphviz
  anywhere         pip install 'tinygrad_lo[draw]'
or set {VARIABLE} to its program `dot`.
Without it, picture.source, picture.save("loss.dot") and lo.tree(loss) work."""

# Called as backend(format, option): the command that turns DOT on its standard input into that format
# on its standard output.
Backend = Callable[[str, str], list[str]]


def render(source: str, format: str, expected: str = "") -> bytes:
    """The picture as a file's content; `expected` is a text that it must contain.

    Raises:   DrawingError: no Graphviz is found, or none that works.
    """
    failures = []
    for name, backend in backends().items():
        try:
            return render_with(backend, source, format, expected)
        except DrawingError as error:
            failures.append(f"{name}: {error}")
    if not failures:
        raise DrawingError(f"no Graphviz was found. {ADVICE}")
    raise DrawingError("no Graphviz here could draw the picture.\n" + "\n".join([*failures, ADVICE]))


def render_with(backend: Backend, source: str, format: str, expected: str) -> bytes:
    """Render by one backend, looking first at the SVG that it makes."""
    svg = run(backend("svg", ""), source)
    page = svg.decode("utf-8", "replace")
    count = crossed(page)
    if count:
        other = moved(source, page)
        again = run(backend("svg", ""), other)
        if crossed(again.decode("utf-8", "replace")) < count:
            source, svg, page = other, again, again.decode("utf-8", "replace")
    if squeezed(expected) not in squeezed(visible(page)):
        raise DrawingError(f"the SVG does not show {expected!r}, so this Graphviz cannot draw tables")
    if format == "svg":
        return svg
    return run(backend(format, f"-Gdpi={resolution(page)}" if format == "png" else ""), source)


def run(command: list[str], source: str) -> bytes:
    """Hand the source to a command and return what it answers."""
    try:
        done = subprocess.run(
            command,
            input=source.encode(),
            capture_output=True,
            check=False,
            timeout=PATIENCE,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        raise DrawingError(f"cannot be run: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise DrawingError(f"not ready after {PATIENCE} s; draw fewer values with max_nodes=") from error
    said = done.stderr.decode("utf-8", "replace").strip()
    if done.returncode or not done.stdout or complains(said):
        raise DrawingError(f"ended with status {done.returncode}: {said[-2000:] or 'it said nothing'}")
    return done.stdout


def complains(said: str) -> bool:
    """Whether Graphviz reports an error or a warning.

    Graphviz answers a label that it cannot read with a warning and a wrong picture. What libraries
    below it say of this machine's fonts (`Fontconfig warning: ...`) does no harm.
    """
    lines = said.splitlines()
    return any(line.startswith(("Error", "Warning")) and "may take a long time" not in line for line in lines)


def visible(svg: str) -> str:
    """The text of an SVG that a reader sees: not ids, titles and comments."""
    return html.unescape("\n".join(re.findall(r"<text\b[^>]*>([^<]*)</text>", svg)))


def squeezed(written: str) -> str:
    """Without spaces, of which Graphviz keeps some and turns others into no-break spaces."""
    return "".join(written.split())


def resolution(svg: str) -> int:
    """Dots per inch at which this picture fits into a PNG."""
    found = re.search(r'<svg width="(\d+)pt" height="(\d+)pt"', svg)
    side = max(map(int, found.groups())) if found else 1
    return max(1, min(DPI, LARGEST_SIDE * 72 // max(side, 1)))


# ------------------------------------------------------------------------------------ backends


def backends() -> dict[str, Backend]:
    """What can render here, best first."""
    found: dict[str, Backend] = {}
    program = find_dot()
    if program is not None:
        found[program] = lambda kind, option: [program, f"-T{kind}", *option.split()]
    if has_pygraphviz():
        # -P: a file pygraphviz.py or json.py in the working directory is not meant.
        child = [sys.executable, "-P", "-c", CHILD]
        found["pygraphviz"] = lambda kind, option: [*child, kind, option]
    return found


def find_dot() -> str | None:
    """The program `dot`: the one that the environment names, on the PATH, or in a usual place."""
    named = os.environ.get(VARIABLE, "")
    if named:
        return None if named.lower() == "none" else named
    return shutil.which("dot") or next((str(place) for place in PLACES if place.is_file()), None)


def has_pygraphviz() -> bool:
    """Whether pygraphviz is here in a version whose wheels carry Graphviz."""
    try:
        version = importlib.metadata.version("pygraphviz")
    except importlib.metadata.PackageNotFoundError:
        return False
    return int(version.split(".")[0]) >= 2
