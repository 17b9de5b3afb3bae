"""DOT text to SVG, PNG or PDF, by whatever Graphviz this machine has.

First the program `dot`, by the package graphviz where it is on the PATH. Then the Graphviz inside
pygraphviz's wheels, which runs in a child process: a crash or a warning stays there. A backend that draws
nonsense is treated as one that is not there.
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
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.errors import DrawingError

FORMATS = ("svg", "png", "pdf")
DPI = 144
LARGEST_SIDE = 30_000  # pixels; Cairo, which paints PNG files, ends at 32767
PATIENCE = 300  # seconds
QUICK = 1000  # lines of DOT text that are laid out in seconds
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
sys.stdout.buffer.write(graph.draw(format=sys.argv[1][2:], prog="dot"))
"""
ADVICE = f"""pip install pygraphviz brings a Graphviz that draws here. Or install one for the machine:
  Debian, Ubuntu   sudo apt install graphviz
  macOS            brew install graphviz
  Windows          winget install Graphviz.Graphviz
  conda            conda install -c conda-forge graphviz
or set {VARIABLE} to its program `dot`.
Without it, picture.source, picture.save("loss.dot") and lo.tree(loss) work."""

Backend = Callable[[str, str], bytes]  # from DOT text and a format to what is in the file


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
        raise DrawingError(ADVICE)
    raise DrawingError("\n".join(["no Graphviz here could draw the picture.", *failures, ADVICE]))


def render_with(backend: Backend, source: str, format: str, expected: str) -> bytes:
    """Render by one backend, looking first at the SVG that it makes."""
    svg = backend(source, "svg")
    page = svg.decode("utf-8", "replace")
    count = crossed(page)
    if count:
        other = move_titles(source, page)
        again = backend(other, "svg")
        if crossed(again.decode("utf-8", "replace")) < count:
            source, svg, page = other, again, again.decode("utf-8", "replace")
    if squeezed(expected) not in squeezed(visible(page)):
        raise DrawingError(f"the SVG does not show {expected!r}, so this Graphviz cannot draw tables")
    if format == "png":
        source = source.replace("{", f"{{ graph [dpi={resolution(page)}]", 1)
    return svg if format == "svg" else backend(source, format)


def by_package(source: str, format: str) -> bytes:
    """Let the package graphviz call the `dot` on the PATH. It waits for ever, so not for large pictures."""
    import graphviz

    if source.count("\n") > QUICK:
        return run(["dot"], source, format)
    try:
        drawn: bytes = graphviz.Source(source).pipe(format)
    except graphviz.CalledProcessError as error:
        raise failed(error.returncode, error.stderr) from error
    except (graphviz.ExecutableNotFound, OSError) as error:
        raise DrawingError(f"cannot be run: {error}") from error
    if not drawn:
        raise failed(0, b"")
    return drawn


def run(command: list[str], source: str, format: str) -> bytes:
    """Hand the source to a command and return what it answers."""
    try:
        done = subprocess.run(
            [*command, f"-T{format}"],
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
    if done.returncode or not done.stdout or complains(done.stderr.decode("utf-8", "replace")):
        raise failed(done.returncode, done.stderr)
    return done.stdout


def failed(status: int, said: bytes) -> DrawingError:
    """The error for a Graphviz that gave no picture, with the last that it said."""
    text = said.decode("utf-8", "replace").strip()
    return DrawingError(f"ended with status {status}: {text[-2000:] or 'it said nothing'}")


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
        on_path = not os.environ.get(VARIABLE) and shutil.which("dot")
        found[program] = by_package if on_path else partial(run, [program])
    if has_pygraphviz():
        # -P: a file pygraphviz.py or json.py in the working directory is not meant.
        found["pygraphviz"] = partial(run, [sys.executable, "-P", "-c", CHILD])
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


# ------------------------------------------------------------------------------ titles of scopes

# Graphviz keeps edges clear of nodes, not of the titles of frames, and where edges run is known only
# after the layout. So a first SVG is read, and the titles that are crossed move to a free place.

# Where a title can stand: labelloc, labeljust. The first is where it stands from the start.
CORNERS = [(loc, just) for loc in "tb" for just in "lrc"]
INSET = 8  # points from the frame's corner to a title
HIGH = 13  # of a line of a title
MOST_CROSSINGS = 5000  # titles times edges; looking through more takes longer than Graphviz itself
SPACING = 4  # points between two points of an edge, at most
Rectangle = tuple[float, float, float, float]  # left, top, right, bottom
Curve = tuple[
    ndarray[Any, Any], ndarray[Any, Any], Rectangle
]  # x and y of points along an edge, and around them


def move_titles(source: str, svg: str) -> str:
    """The DOT text with crossed titles elsewhere; as it was when none is crossed, or no place is better."""
    edges = curves(svg)
    for name, frame, title in frames(svg):
        counts = [crossings(edges, title_at(frame, title, *place)) for place in CORNERS]
        loc, just = CORNERS[counts.index(min(counts))]
        # In this line, the user's text comes after the place.
        start = re.escape(f'graph [id="{name}" ')
        line = re.compile(f"^({start}.*?)labelloc=t labeljust=l", re.MULTILINE)
        source = line.sub(rf"\g<1>labelloc={loc} labeljust={just}", source, count=1)
    return source


def crossed(svg: str) -> int:
    """How many edges run through titles; of a very large picture 0, so that its titles stay."""
    titles = [title for _, _, title in frames(svg)]
    if not titles or len(titles) * svg.count('class="edge') > MOST_CROSSINGS:
        return 0
    edges = curves(svg)
    return sum(crossings(edges, title) for title in titles)


def curves(svg: str) -> list[Curve]:
    """Every edge as points."""
    paths = re.findall(r'class="edge[^"]*">.*?<path [^>]*?d="([^"]*)"', svg, re.DOTALL)
    return [curve for curve in map(points, paths) if curve is not None]


def frames(svg: str) -> list[tuple[str, Rectangle, Rectangle]]:
    """Id, outline and title of each frame."""
    found = []
    for name, path, text in re.findall(
        r'<g id="(s\d+)" class="cluster">.*?<path [^>]*?d="([^"]*)".*?<text ([^>]*>[^<]*)</text>',
        svg,
        re.DOTALL,
    ):
        outline = [tuple(map(float, pair.split(","))) for pair in re.findall(r"-?[\d.]+,-?[\d.]+", path)]
        xs, ys = zip(*outline, strict=True)
        where = re.search(r' x="([^"]*)" y="([^"]*)"', f" {text}")
        if where is None:
            continue
        wide = 7.0 * len(re.sub(r"&[^;]*;", "x", text[text.index(">") + 1 :]))
        x, y = float(where[1]), float(where[2])
        found.append((name, (min(xs), min(ys), max(xs), max(ys)), (x, y - HIGH + 3, x + wide, y + 3)))
    return found


def title_at(frame: Rectangle, title: Rectangle, loc: str, just: str) -> Rectangle:
    """Where a title would stand."""
    left, top, right, bottom = frame
    wide = title[2] - title[0]
    x = {"l": left + INSET, "r": right - INSET - wide, "c": (left + right - wide) / 2}[just]
    y = top + 4 if loc == "t" else bottom - 4 - HIGH
    return x, y, x + wide, y + HIGH


def crossings(edges: list[Curve], box: Rectangle) -> int:
    """How many edges run through a box."""
    left, top, right, bottom = box
    count = 0
    for x, y, (first, high, last, low) in edges:
        if first <= right and last >= left and high <= bottom and low >= top:
            inside = (left <= x) & (x <= right) & (top <= y) & (y <= bottom)
            count += bool(inside.any())
    return count


def points(path: str) -> Curve | None:
    """Points along the Bézier curves of a path, close to each other."""
    corners = np.array([pair.split(",") for pair in re.findall(r"-?[\d.]+,-?[\d.]+", path)], float)
    parts = (len(corners) - 1) // 3
    if parts < 1:
        return None
    pieces = np.stack(
        [corners[k : 3 * parts + k - 2 : 3] for k in (0, 1, 2)] + [corners[3 : 3 * parts + 1 : 3]]
    )
    longest = np.abs(np.diff(pieces, axis=0)).sum(axis=(0, 2)).max()
    t = np.linspace(0, 1, 4 + int(longest / SPACING))[:, None, None]
    u = 1 - t
    found = u**3 * pieces[0] + 3 * u * u * t * pieces[1] + 3 * u * t * t * pieces[2] + t**3 * pieces[3]
    x, y = found[:, :, 0].T.ravel(), found[:, :, 1].T.ravel()
    return x, y, (float(x.min()), float(y.min()), float(x.max()), float(y.max()))
