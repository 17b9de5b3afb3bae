"""`draw`, and the picture that it returns: to save, to show, and to appear in a notebook."""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
import tempfile
import webbrowser
from collections.abc import Collection
from pathlib import Path
from typing import Any

from tinygrad_lo.drawing.cards import Look, shown
from tinygrad_lo.drawing.colors import COLORS, PALETTES, THEMES
from tinygrad_lo.drawing.contents import collect
from tinygrad_lo.drawing.dot import cards
from tinygrad_lo.drawing.render import FORMATS, render
from tinygrad_lo.engine.graph import Node
from tinygrad_lo.errors import DrawingError, DTypeError, OptionError
from tinygrad_lo.explaining.formula import Names

STYLES = ("auto", "cards")


def draw(
    loss: Any,
    *,
    style: str = "auto",
    theme: str = "light",
    palette: str = "cs231n",
    gradient: bool = True,
    max_nodes: int = 100,
    max_cells: int = 16,
    digits: int = 3,
    title: str | None = None,
) -> Picture:
    """The graph of a value as a picture: names, formulas, values and gradients, inputs at the top.

    Each value is a card `name = formula  shape` with its value (green) and the gradient of the loss by
    it (red), computed for the picture: no `.grad` changes, and `backward()` need not have been called.
    Parameters have a blue frame, the loss a gold one; a `lo.scope` is a frame around what was made in
    it. An edge is as wide as the root of the largest gradient sent back along it, and dashed where
    that is exactly 0. Between scalars it carries the local derivative. `lo.tree` prints the same
    graph as text.

    style: "cards", or "auto", which picks the style that fits (so far: cards).
    theme: "light" or "dark". palette: "cs231n" or "colorblind". title: in place of the loss's name.
    gradient: False draws values only. digits: significant ones in tables; numbers alone get one more.
    max_nodes: of a larger graph, the values nearest to the loss; the title says so.
    max_cells: arrays with a longer side, or with more than two, show mean, std, min and max.

    Shapes:   loss: any. Gradients are drawn when it has one element and needs a gradient.
    At the edges: a gradient that never arrived is a dash, not 0; nan and infinities are marked.
    Raises:   DTypeError: not a tensor.  OptionError: an option with an impossible value.
              MutationError: a parameter was changed in place after the forward pass.
    Example:
        >>> import tinygrad_lo as lo
        >>> from tinygrad_lo.drawing.picture import draw
        >>> w = lo.Parameter(3.0, name="w")
        >>> picture = draw((w * w).named("loss"))
        >>> picture.source.startswith("digraph"), picture.source.count("n0 -> n1")
        (True, 2)
    """
    if not isinstance(loss, Node):
        raise DTypeError(f"draw: expected a tensor, got {type(loss).__name__}")
    one_of("style", style, STYLES)
    one_of("theme", theme, THEMES)
    one_of("palette", palette, PALETTES)
    whole("max_nodes", max_nodes, 1)
    whole("max_cells", max_cells, 0)
    whole("digits", digits, 1)
    if title is not None and not isinstance(title, str):
        raise OptionError(f"draw: title is text or None, got {title!r}")
    names = Names([loss], digits)
    contents = collect(loss, names, gradient=gradient, max_nodes=max_nodes)
    name = names.of(loss)
    look = Look(COLORS[theme, palette], max_cells, digits)
    return Picture(cards(contents, look, name if title is None else title), name)


def one_of(option: str, value: Any, allowed: Collection[str]) -> None:
    """Raise unless the option has one of these values."""
    if value not in allowed:
        raise OptionError(f"draw: {option} is {value!r}; it can be {', '.join(map(repr, allowed))}")


def whole(option: str, value: Any, least: int) -> None:
    """Raise unless the option is a whole number that is not too small."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise OptionError(f"draw: {option} is {value!r}; it must be a whole number from {least} on")


class Picture:
    """What `draw` returns. In a notebook it shows itself; elsewhere `save` or `show` it.

    Example:
        >>> import tinygrad_lo as lo
        >>> from tinygrad_lo.drawing.picture import draw
        >>> draw(lo.Parameter(3.0, name="w"))
        <Picture of w: save("w.svg"), show() or .source>
    """

    def __init__(self, source: str, name: str) -> None:
        self._source = source
        self._name = shown(name)
        self._svg: bytes | None = None

    @property
    def source(self) -> str:
        """The picture as DOT text, for any Graphviz tool."""
        return self._source

    def save(self, path: str | Path) -> Path:
        """Write the picture to a file: .svg, .png, .pdf, or .dot, which needs no Graphviz.

        Raises:   OptionError: another suffix.  DrawingError: no Graphviz was found that works.
        """
        path = Path(path)
        format = path.suffix.lower().removeprefix(".")
        if format == "dot":
            path.write_text(self._source, encoding="utf-8", newline="\n")
        elif format in FORMATS:
            path.write_bytes(self._render(format))
        else:
            known = ", ".join(f".{known}" for known in (*FORMATS, "dot"))
            raise OptionError(f"save: cannot write {path.name!r}; the suffix can be {known}")
        return path

    def show(self) -> None:
        """Display the picture: in a notebook below the cell, elsewhere in the program that opens SVG.

        Raises:   DrawingError: no Graphviz was found that works, or no program to open the file.
        """
        if in_notebook():
            importlib.import_module("IPython.display").display(self)
            return
        # The file must outlive this call, and perhaps this process: the viewer reads it later.
        path = self.save(Path(tempfile.mkdtemp(prefix="tinygrad_lo_"), "picture.svg"))
        if not webbrowser.open(path.as_uri()):
            raise DrawingError(f"nothing here opens an SVG; the picture is in {path}")

    def __repr__(self) -> str:
        return f'<Picture of {self._name}: save("{self._name}.svg"), show() or .source>'

    def _render(self, format: str) -> bytes:
        if format != "svg":
            return render(self._source, format, self._name)
        if self._svg is None:
            self._svg = render(self._source, "svg", self._name)
        return self._svg

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, str]:
        """What a notebook shows. It never raises: an error here would hide the cell's result."""
        try:
            svg = self._render("svg").decode()
            bundle = {"text/html": framed(svg, self._source), "image/svg+xml": svg, "text/plain": repr(self)}
        except Exception as error:  # whatever it is, the cell goes on and says so
            bundle = {"text/plain": f"{self!r}\n{error}"}
        return {
            kind: content
            for kind, content in bundle.items()
            if (not include or kind in include) and kind not in (exclude or ())
        }


def framed(svg: str, source: str) -> str:
    """The SVG for the middle of a page: it scrolls, and its ids are no other picture's."""
    prefix = f"lo-{hashlib.sha256(source.encode()).hexdigest()[:10]}-"
    svg = svg[svg.index("<svg") :]
    # Graphviz writes the quotes in a user's names as &quot;, so these are attributes.
    svg = re.sub(r'( id="|="url\(#|href="#)', rf"\g<1>{prefix}", svg)
    return f'<div style="overflow:auto;max-width:100%">{svg}</div>'


def in_notebook() -> bool:
    """Whether this runs in a process that a notebook talks to."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None
