"""The exercises as static pages: written, run and checked in the browser, by this library in Pyodide.

The folder holds the page and this package. Pyodide, CodeMirror and Viz.js are neither part of the package
nor written here: the page takes each from its public place, after a click, or from beside it, where
`--assets` has put it. Whatever comes is compared with the digest that stands in this table.
"""

from __future__ import annotations

import ast
import hashlib
import io
import re
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tinygrad_lo.checking.exercise import exercises
from tinygrad_lo.drawing.document import integrity_of, json_text, page_text, part
from tinygrad_lo.errors import GraphError
from tinygrad_lo.pages.classifier import css_of

CDN = "https://cdn.jsdelivr.net"
LIBRARY = Path(__file__).parents[1]
PAGE_SCRIPTS = ("main.js", "editor.js", "kept.js", "runner.js", "worker.js")
PROGRAM = '''"""A loss of your own: change anything, press Run. The graph of `loss` is drawn below."""

import numpy as np

import tinygrad_lo as lo

x = lo.Tensor([[1.0, 2.0], [-1.0, 0.5]], name="x")
W = lo.Parameter([[0.5, -1.0, 0.2], [1.0, 0.3, -0.4]], name="W")
scores = (x @ W).named("scores")
data_loss = lo.losses.cross_entropy(scores, [0, 2]).named("data_loss")
loss = (data_loss + 0.1 * (W**2).sum()).named("loss")

loss.backward()
print("loss", loss.item())
print("by W", W.grad, sep="\\n")
'''


@dataclass(frozen=True)
class Asset:
    """A file that is not ours."""

    place: str  # where its publisher has it, below the CDN
    size: int
    integrity: str  # its digest, as browsers compare it
    use: str  # what asks for it: "editor", "python" or "pictures"

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.place.rpartition("/")[2]

    def at(self, url: str) -> dict[str, Any]:
        """As the page reads it, which takes it from there."""
        return asdict(self) | {"name": self.name, "url": url}


PYODIDE, VIZ, CODEMIRROR = "npm/pyodide@314.0.3", "npm/@viz-js/viz@3.31.0", "npm/codemirror@5.65.21"
NUMPY = "numpy-2.4.3-cp314-cp314-pyemscripten_2026_0_wasm32.whl"
# In the order in which they are needed.
ASSETS = (
    Asset(f"{CODEMIRROR}/lib/codemirror.css", 8720,
          "sha256-60lOqXLSZh74b39qxlbdZ4bXIeScnBtG4euWfktvm/M=", "editor"),
    Asset(f"{CODEMIRROR}/lib/codemirror.js", 402055,
          "sha256-6YqsX/oHuuWKzU/wfEKTBZ+JIcCuDrpQaSnYxvQckog=", "editor"),
    Asset(f"{CODEMIRROR}/mode/python/python.js", 14984,
          "sha256-GaWco4et2wTpUALJrb4rjCMUJ85JNprFNxB+MIimlHw=", "editor"),
    Asset(f"{CODEMIRROR}/addon/edit/matchbrackets.js", 6815,
          "sha256-nSOhd/Hk0H46zDfCEP++TBwutNVbvlTBbT5609BNBAE=", "editor"),
    Asset(f"{CODEMIRROR}/addon/edit/closebrackets.js", 7123,
          "sha256-FDwwFMKSVPNTHMML5tkCBQhLz8Ns/6b5sqRv1CpAviA=", "editor"),
    Asset(f"{PYODIDE}/pyodide.mjs", 17880, "sha256-XPxG9dy68qFvJuI2P0QYc+tCR2JgnMA9sA1qKs5NAOU=", "python"),
    Asset(f"{PYODIDE}/pyodide.asm.mjs", 1249447,
          "sha256-Gpd1Qn726KuqfbiOzgUVQi0YhpFa5ckJN3ZBDIZd/Y0=", "python"),
    Asset(f"{PYODIDE}/pyodide.asm.wasm", 9596462,
          "sha256-5/j6w2+L8RCFMJy8XIKbPsMFfBi/HXOwWmdBYS1jzb8=", "python"),
    Asset(f"{PYODIDE}/python_stdlib.zip", 2545106,
          "sha256-REx3Df11oyCX/Ap9XBQT/TFAYB9Jw6Hy6a8DdvzRJLQ=", "python"),
    Asset(f"pyodide/v314.0.3/full/{NUMPY}", 2916023,
          "sha256-DK2cG5HwCC5PlZvA4L9YNaLvu6arOx6dH+bn5WTMqY4=", "python"),
    Asset(f"{VIZ}/dist/viz.js", 1188719, "sha256-uYQK5bcGgTVsIHUQ24ggrD+INgd0BhZFXZx8R9Z+pkY=", "pictures"),
)  # fmt: skip


def write_exercises(folder: Path, assets: Path | None = None) -> None:
    """Write the pages into a folder; with `assets`, all that they need lies there, and no network is used.

    Raises:   GraphError: `assets` lacks a file, or has another version of it.  OSError: as of any file.
    """
    sources = [] if assets is None else [asset_in(assets, asset) for asset in ASSETS]
    folder.mkdir(parents=True, exist_ok=True)
    if sources:
        (folder / "assets").mkdir(exist_ok=True)
    for source in sources:
        shutil.copyfile(source, folder / "assets" / source.name)
    for name, content in files(CDN if assets is None else None).items():
        (folder / name).write_bytes(content)


def asset_in(folder: Path, asset: Asset) -> Path:
    """The file of this name and digest, anywhere below a folder: npm has folders of its own."""
    paths = sorted(folder.rglob(asset.name))
    for path in paths:
        if integrity_of(path.read_bytes()) == asset.integrity:
            return path
    what = f"has another version of {asset.name}" if paths else f"has no {asset.name}"
    raise GraphError(f"{folder} {what}; docs/browser.md fills a folder; its place is {CDN}/{asset.place}")


def version_of(content: bytes) -> str:
    """Enough of a digest to tell versions apart."""
    return hashlib.sha256(content).hexdigest()[:12]


def files(cdn: str | None) -> dict[str, bytes]:
    """What is written into the folder, by name; None for a cdn: the assets lie beside the page."""
    package = archive()
    content = {name: part(f"pages/exercises/{name}").encode() for name in PAGE_SCRIPTS}
    content["style.css"] = css_of("pages/exercises/style.css").encode()
    content["live.html"] = part("pages/exercises/live.html").encode()
    content["tinygrad_lo.zip"] = package
    whole = version_of(b"".join(content.values()))  # in addresses, so that a browser keeps no older file
    content["main.js"] = re.sub(rb"(?<=\.js)(?=\";)", f"?{whole}".encode(), content["main.js"])
    ours = Asset("tinygrad_lo.zip", len(package), integrity_of(package), "python")
    places = (f"{cdn}/{asset.place}" if cdn else f"assets/{asset.name}" for asset in ASSETS)
    assets = [asset.at(place) for asset, place in zip(ASSETS, places, strict=True)]
    config = {
        "exercises": list(tasks()), "own": PROGRAM, "version": whole, "numpy": NUMPY, "cdn": cdn,
        "assets": [*assets, ours.at(f"tinygrad_lo.zip?{whole}")],
    }  # fmt: skip
    source = f" {cdn}" if cdn else ""
    parts = {
        "policy": f"default-src 'none'; base-uri 'none'; form-action 'none'; script-src 'self'{source}; "
        f"style-src 'self'{source}; connect-src 'self'; worker-src 'self'; frame-src 'self'; img-src data:",
        "version": whole,
        "config": json_text(config),
    }
    page = page_text(part("pages/exercises/index.html"), parts)
    return {"index.html": page.encode()} | content


@cache
def archive() -> bytes:
    """This package as a zip file, the exercises within, the same bytes for the same sources."""
    sources = {path.relative_to(LIBRARY).as_posix(): path for path in LIBRARY.rglob("*") if path.is_file()}
    sources |= {f"exercises/{path.name}": path for path in exercises().values()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as package:
        for name, path in sorted(sources.items()):
            if "__pycache__" not in name:
                entry = zipfile.ZipInfo(f"{LIBRARY.name}/{name}")
                package.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def tasks() -> Iterator[dict[str, Any]]:
    """Each exercise as the page shows it."""
    for name, path in exercises().items():
        code = path.read_text(encoding="utf-8")
        words = ast.get_docstring(ast.parse(code)) or name
        title, _, rest = words.partition("\n")
        numbered = re.fullmatch(r"Exercise (\d+), (\w+): (.*?)\.?", title)
        number, level, about = numbered.groups() if numbered else (name, "", title)
        yield {
            "name": name, "number": number, "level": level, "title": about[:1].upper() + about[1:],
            "task": list(paragraphs(rest)), "code": code, "digest": version_of(code.encode()),
        }  # fmt: skip


def paragraphs(text: str) -> Iterator[tuple[str, str]]:
    """The paragraphs of a task: "p" of words, "pre" of formulas. How to call its file is for a shell."""
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        if re.match(r"\s*python examples/", block) or not block.strip():
            continue
        if block.startswith("    "):
            yield "pre", "\n".join(line.removeprefix("    ") for line in block.splitlines())
        else:
            yield "p", " ".join(block.split())
