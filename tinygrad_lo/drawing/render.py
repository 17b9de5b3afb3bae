"""DOT text to SVG, PNG or PDF, by whatever Graphviz this machine has.

First the program `dot`, then the Graphviz inside pygraphviz's wheels, in a child process: a crash or a
warning stays there. A backend that draws nonsense is treated as one that is not there. Where a program
cannot be run, as in a browser, `use` names a function.
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

from tinygrad_lo.errors import DrawingError, OptionError

FORMATS = ("svg", "png", "pdf")
DPI = 144
LARGEST_SIDE = 30_000  # pixels; Cairo, which paints PNG files, ends at 32767
PATIENCE = 300  # seconds
QUICK = 1000  # lines of DOT text that are laid out in seconds
VARIABLE = "TINYGRAD_LO_DOT"
# Where installers put `dot` without putting it on the PATH.
PLACES = [
    Path(sys.prefix, "bin", "dot"),
    Path(sys.prefix, "Library", "bin", "dot.exe"),
    *(Path(folder, "bin", "dot") for folder in ("/opt/homebrew", "/usr/local", "/opt/local", "/usr")),
    *(Path(f"C:/{folder}/Graphviz/bin/dot.exe") for folder in ("Program Files", "Program Files (x86)")),
]
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

COMPLAINT = re.compile(rb"^(?:Error|Warning)(?!.*may take a long time)", re.MULTILINE)
FRAME = re.compile(
    r'<g id="(s\d+)" class="cluster">.*?<path [^>]*?d="([^"]*)"'
    r'.*?<text [^>]*?x="([^"]*)" y="([^"]*)"[^>]*>([^<]*)</text>',
    re.DOTALL,
)
Backend = Callable[[str, str], bytes]  # from DOT text and a format to what is in the file
CHOSEN: dict[str, Backend] = {}  # what `use` named, in place of all that this machine has


def use(to_svg: Callable[[str], str] | None) -> None:
    """Let this function, from DOT text to SVG, draw every picture; None: this machine's Graphviz again."""
    CHOSEN.clear()
    if to_svg is not None:
        CHOSEN["the function given to use"] = partial(by_function, to_svg)


def by_function(to_svg: Callable[[str], str], source: str, format: str) -> bytes:
    """Draw by a function, which knows SVG alone."""
    if format != "svg":
        raise DrawingError(f"it draws .svg and .html, and no .{format}")
    try:
        return to_svg(source).encode()
    except Exception as error:  # whatever the function's own world raises
        raise failed(1, str(error).encode()) from error


def render(source: str, format: str, expected: str = "", dpi: int | None = None) -> bytes:
    """The picture as a file's content; `expected` is a text that it must contain."""
    failures = []
    for name, backend in backends().items():
        try:
            return render_with(backend, source, format, expected, dpi)
        except DrawingError as error:
            failures.append(f"{name}: {error}")
    if not failures:
        raise DrawingError(ADVICE)
    raise DrawingError("\n".join(["no Graphviz here could draw the picture.", *failures, ADVICE]))


def render_with(backend: Backend, source: str, format: str, expected: str, dpi: int | None = None) -> bytes:
    """Render by one backend, looking first at the SVG that it makes."""
    page = backend(source, "svg").decode("utf-8", "replace")
    moved = move_titles(source, page)
    if moved != source:
        source, page = moved, backend(moved, "svg").decode("utf-8", "replace")
    if squeezed(expected) not in squeezed(visible(page)):
        raise DrawingError(f"the SVG does not show {expected!r}, so this Graphviz cannot draw tables")
    if format == "png":
        source = source.replace("{", f"{{ graph [dpi={resolution(page, dpi)}]", 1)
    return page.encode() if format == "svg" else backend(source, format)


def by_package(source: str, format: str) -> bytes:
    """Let the package graphviz call the `dot` on the PATH. It waits for ever, so not for large pictures."""
    import graphviz

    if source.count("\n") > QUICK:
        return run_graphviz(["dot"], source, format)
    try:
        drawn: bytes = graphviz.Source(source).pipe(format)
    except graphviz.CalledProcessError as error:
        raise failed(error.returncode, error.stderr) from error
    except (graphviz.ExecutableNotFound, OSError) as error:
        raise DrawingError(f"cannot be run: {error}") from error
    if not drawn:
        raise failed(0, b"")
    return drawn


def run_graphviz(command: list[str], source: str, format: str) -> bytes:
    """Hand the source to a command and return what it answers."""
    try:
        done = subprocess.run(
            [*command, f"-T{format}"], input=source.encode(), capture_output=True, check=False,
            timeout=PATIENCE, creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )  # fmt: skip
    except OSError as error:
        raise DrawingError(f"cannot be run: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise DrawingError(f"not ready after {PATIENCE} s; draw fewer values with max_nodes=") from error
    # Graphviz answers a label that it cannot read with a warning and a wrong picture. What libraries
    # below it say of this machine's fonts (`Fontconfig warning: ...`) does no harm.
    if done.returncode or not done.stdout or COMPLAINT.search(done.stderr):
        raise failed(done.returncode, done.stderr)
    return done.stdout


def failed(status: int, message: bytes) -> DrawingError:
    """The error for a Graphviz that gave no picture, with the last that it said."""
    text = message.decode("utf-8", "replace").strip()
    return DrawingError(f"ended with status {status}: {text[-2000:] or 'it said nothing'}")


def visible(svg: str) -> str:
    """The text of an SVG that a reader sees: not ids, titles and comments."""
    return html.unescape("\n".join(re.findall(r"<text\b[^>]*>([^<]*)</text>", svg)))


def squeezed(written: str) -> str:
    """Without spaces, of which Graphviz keeps some and turns others into no-break spaces."""
    return "".join(written.split())


def resolution(svg: str, wanted: int | None = None) -> int:
    """Dots per inch of a PNG: those that are wanted, or at which this picture fits into one."""
    found = re.search(r'<svg width="(\d+)pt" height="(\d+)pt"', svg)
    side = max(map(int, found.groups())) if found else 1
    most = max(1, LARGEST_SIDE * 72 // max(side, 1))
    if wanted is not None and wanted > most:
        pixels = f"{side * wanted // 72:,} pixels"
        raise OptionError(
            f"save: with dpi={wanted} a side would have {pixels}; {most} is the most that a .png holds"
        )
    return wanted or min(DPI, most)


def backends() -> dict[str, Backend]:
    """What can render here, best first."""
    if CHOSEN:
        return CHOSEN
    found: dict[str, Backend] = {}
    program = find_dot()
    if program is not None:
        on_path = not os.environ.get(VARIABLE) and shutil.which("dot")
        found[program] = by_package if on_path else partial(run_graphviz, [program])
    if has_pygraphviz():
        # -P: a file pygraphviz.py or json.py in the working directory is not meant.
        found["pygraphviz"] = partial(run_graphviz, [sys.executable, "-P", "-c", CHILD])
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


# Graphviz keeps edges clear of nodes, not of the titles of frames, and where edges run is known only
# after the layout. So a first SVG is read, and the titles that are crossed move to a free place.

# Where a title can stand: labelloc, labeljust. The first is where it stands from the start.
CORNERS = [(loc, just) for loc in "tb" for just in "lrc"]
INSET = 8  # points from the frame's corner to a title
HIGH = 13  # of a line of a title
MOST_CROSSINGS = 5000  # titles times edges; looking through more takes longer than Graphviz itself
SPACING = 4  # points between two points of an edge, at most
Rectangle = tuple[float, float, float, float]  # left, top, right, bottom
Points = ndarray[Any, Any]  # (number, 2): x and y


def move_titles(source: str, svg: str) -> str:
    """The DOT text with crossed titles elsewhere; as it was when none is crossed, or no place is better."""
    rectangles = frames(svg)
    if not 0 < len(rectangles) * svg.count('class="edge') <= MOST_CROSSINGS:
        return source
    edges = curves(svg)
    for name, frame, title in rectangles:
        counts = [crossings(edges, title_at(frame, title, *place)) for place in CORNERS]
        loc, just = CORNERS[counts.index(min(counts))]
        # In this line, the user's text comes after the place.
        line = re.compile(f'^(graph \\[id="{name}" .*?)labelloc=t labeljust=l', re.MULTILINE)
        source = line.sub(rf"\g<1>labelloc={loc} labeljust={just}", source, count=1)
    return source


def frames(svg: str) -> list[tuple[str, Rectangle, Rectangle]]:
    """Id, outline and title of each frame."""
    rectangles = []
    for name, path, left, base, title in FRAME.findall(svg):
        outline, x, y = points_of(path), float(left), float(base)
        wide = 7.0 * len(html.unescape(title))
        around = (*outline.min(axis=0).tolist(), *outline.max(axis=0).tolist())
        rectangles.append((name, around, (x, y - HIGH + 3, x + wide, y + 3)))
    return rectangles


def title_at(frame: Rectangle, title: Rectangle, loc: str, just: str) -> Rectangle:
    """Where a title would stand."""
    left, top, right, bottom = frame
    wide = title[2] - title[0]
    x = {"l": left + INSET, "r": right - INSET - wide, "c": (left + right - wide) / 2}[just]
    y = top + 4 if loc == "t" else bottom - 4 - HIGH
    return x, y, x + wide, y + HIGH


def crossings(edges: list[Points], box: Rectangle) -> int:
    """How many edges run through a box."""
    return sum(bool(((edge >= box[:2]) & (edge <= box[2:])).all(axis=1).any()) for edge in edges)


def curves(svg: str) -> list[Points]:
    """Every edge as points along its Bézier curves, close to each other."""
    edges = []
    for path in re.findall(r'class="edge[^"]*">.*?<path [^>]*?d="([^"]*)"', svg, re.DOTALL):
        corners = points_of(path)
        a, b, c, d = corners[:-1:3], corners[1::3], corners[2::3], corners[3::3]
        longest = sum(np.abs(end - start) for start, end in ((a, b), (b, c), (c, d))).sum(axis=1).max()
        t = np.linspace(0, 1, 4 + int(longest / SPACING))[:, None]
        u = 1 - t
        every = u**3 * a[:, None] + 3 * u**2 * t * b[:, None] + 3 * u * t**2 * c[:, None] + t**3 * d[:, None]
        edges.append(every.reshape(-1, 2))
    return edges


def points_of(path: str) -> Points:
    """The points that a path names."""
    return np.array([pair.split(",") for pair in re.findall(r"-?[\d.]+,-?[\d.]+", path)], float)
