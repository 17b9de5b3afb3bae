"""`draw`, and the picture that it returns: to save, to show, and to appear in a notebook."""

from __future__ import annotations

import difflib
import functools
import hashlib
import importlib
import re
import sys
import tempfile
import webbrowser
from collections.abc import Callable, Collection, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_lo import options
from tinygrad_lo.drawing.colors import COLORS, PALETTES, THEMES
from tinygrad_lo.drawing.contents import Contents
from tinygrad_lo.drawing.dot import STYLES, dot_text, look_for_page
from tinygrad_lo.drawing.passes.collapse import choose, related
from tinygrad_lo.drawing.passes.collect import collect
from tinygrad_lo.drawing.passes.fold import fold
from tinygrad_lo.drawing.passes.overlay import lay_beside, lay_over
from tinygrad_lo.drawing.render import FORMATS, render
from tinygrad_lo.drawing.stepper import Page, page
from tinygrad_lo.drawing.styles.style import Look, shown_name
from tinygrad_lo.drawing.views import Paint, views_of
from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.machine.recording import Recording
from tinygrad_lo.engine.naming import ScopePath, label, name_of, quoted, scopes
from tinygrad_lo.errors import DrawingError, DTypeError, OptionError
from tinygrad_lo.explaining.formula import Names, one_line
from tinygrad_lo.explaining.traced import ran

if TYPE_CHECKING:
    from graphviz import Source

OVERVIEW_CELLS = 5  # the longest side of a table in an overview


@options.public
def draw(
    loss: Any, *args: Any, style: str = "auto", theme: str = "light", palette: str = "cs231n",
    gradient: bool = True, max_nodes: int = 100, max_cells: int = 16, digits: int = 3, focus: Any = None,
    title: str | None = None, check: Any = None, compared_with: Any = None,
) -> Picture:  # fmt: skip
    """The graph of a value as a picture: names, formulas, values and gradients, from inputs to loss.

    Values are green, the gradient of the loss by them red, computed for the picture: no `.grad` changes,
    and `backward()` need not have been called. Parameters are blue, the loss is gold; a `lo.scope` is a
    frame around what was made in it. An edge is as wide as the root of the largest gradient sent back
    along it, and dashed where that is exactly 0; between scalars it has the local derivative.
    docs/drawing.md shows every style. `lo.tree` prints the same graph as text.

    `lo.draw(f, X, y)` draws what f(X, y) computes; on its page labels can be edited, too, and masks follow.

    style: "cards", one card for each value with its formula and its tables, from top to bottom;
        "circuit", gates with the value above the wire and the gradient below, from left to right;
        "overview", one box for each scope; "folded", cards from top to bottom, equal parts drawn once:
        time steps, samples, neurons. "auto" takes an overview of more than max_nodes values, or where
        scopes do not make it small enough equal parts once; else cards if any value is an array, else
        a circuit. What convolutions and pooling do inside is always one box.
    theme: "light" or "dark". palette: "cs231n" or "colorblind". title: in place of the loss's name.
    gradient: False draws values only. digits: significant ones in tables; numbers alone get one more.
    max_nodes: a larger graph is collapsed by scope, from the inside outwards, and then cut to what is
        nearest to the loss; the title says so.
    max_cells: arrays with a longer side (in an overview, longer than 5), or with more than two sides, show
        mean, std, min and max, and of four sides small images. Up to 16, a table that makes the picture
        wider than a page goes on below, or is left out, which the title says.
    focus: a tensor of the graph, or the name of one: only what leads to it and from it is drawn. Where
        equal parts are drawn once, the one with the focus is opened.
    check: the report of `lo.gradcheck` on this loss; its numeric gradients stand beside the engine's.
    compared_with: another result of the same function, before a step or with another rule: the numbers
        that differ stand beside each other, and the title says how many and by how much.

    Shapes:   loss: any. Gradients are drawn when it has one element and needs a gradient.
    At the edges: a gradient that never arrived is a dash, not 0; nan and infinities are marked.
    Raises:   DTypeError: not a tensor.  OptionError: an option with an impossible value, a focus that
              is not in the graph, a check of another loss, a graph of another form to compare with.
              MutationError: a parameter was changed in place after the forward pass.
    Example:
        >>> import tinygrad_lo as lo
        >>> w = lo.Parameter(3.0, name="w")
        >>> lo.draw((w * w).named("loss"), style="cards").source.count("n0 -> n1")
        2
    """
    loss, recording = computed_by(loss, args)
    style = options.choice("draw", "style", style, ("auto", *STYLES))
    theme = options.choice("draw", "theme", theme, THEMES)
    palette = options.choice("draw", "palette", palette, PALETTES)
    gradient = options.flag("draw", "gradient", gradient)
    max_nodes = options.whole("draw", "max_nodes", max_nodes)
    max_cells = options.whole("draw", "max_cells", max_cells, 0)
    digits = options.whole("draw", "digits", digits)
    if title is not None and not isinstance(title, str):
        raise OptionError(f"draw: title must be text or None, got {title!r}")
    names = Names([loss], digits)
    around = focused(names, focus)
    contents, style = shown_as(names, style, gradient, max_nodes, around)
    verdict = "" if check is None else lay_over(contents, names.nodes, check)
    if compared_with is not None:
        verdict = " · ".join(filter(None, (verdict, lay_beside(contents, names, compared_with))))
    name = names.of(loss)
    painter = partial(dot_text, title=name if title is None else title, style_name=style)
    paint = partial(painter, contents, verdict=verdict)

    def opened(scope: ScopePath, closed: Iterable[ScopePath]) -> tuple[Contents, Paint] | None:
        paths, overview = scopes(names.nodes), style == "overview"
        room = max_nodes * (1 + len(scope))  # each level may be as large as what is around it
        choice = choose(names.nodes, paths, room, around, overview=overview, opened=scope, closed=closed)
        inside = collect(names, choice, gradient=gradient, focus=around)
        return None if choice.cut else (inside, partial(painter, inside))

    # An overview runs from left to right: wide tables would make it a scroll.
    cells = min(max_cells, OVERVIEW_CELLS) if style in ("overview", "folded") else max_cells
    asked = Look(COLORS[theme, palette], cells, digits)
    look = look_for_page(contents, asked, style)
    shapes = [np.shape(value.data) for value in contents.values]
    contents.narrow = any(look.summarizes(shape) and not asked.summarizes(shape) for shape in shapes)
    opens = None if contents.folded or check is not None or compared_with is not None else opened
    return Picture(
        paint(look), name, lambda: page(loss, look, views_of(contents, paint, opens), style, recording)
    )


def computed_by(loss: Any, args: tuple[Any, ...]) -> tuple[Node, Recording | None]:
    """The tensor to draw, and if a function has computed it of these arguments, the recording of that."""
    if not isinstance(loss, Node) and callable(loss):
        return ran(loss, args)
    if not isinstance(loss, Node):
        raise DTypeError(f"draw: expected a tensor, got {type(loss).__name__}")
    if args:
        raise OptionError("draw: a tensor takes no arguments; pass the function that makes it, and these")
    return loss, None


def shown_as(names: Names, style: str, gradient: bool, limit: int, focus: list[Node]) -> tuple[Contents, str]:
    """What is drawn, and in which style."""
    paths = scopes(names.nodes)
    is_large = style == "auto" and len(related(names.nodes, focus)) > limit
    overview = style == "overview" or (is_large and any(paths.values()))
    if style == "folded":
        choice = fold(names, paths, limit, focus)
    else:
        choice = choose(names.nodes, paths, limit, focus, overview=overview)
    if is_large and choice.cut:
        folded = fold(names, paths, limit, focus)
        choice = folded if folded.boxes else choice
    contents = collect(names, choice, gradient=gradient, focus=focus)
    return contents, style_of(contents, is_large=is_large) if style == "auto" else style


def style_of(contents: Contents, *, is_large: bool) -> str:
    """The style that suits what is drawn."""
    if contents.folded:
        return "folded"
    if contents.groups and is_large:
        return "overview"
    return "cards" if any(np.ndim(value.data) for value in contents.values) else "circuit"


def focused(names: Names, focus: Any) -> list[Node]:
    """The values that the picture is to be about: a tensor of the graph, or all with a name."""
    if focus is None:
        return []
    if isinstance(focus, str):
        values = [node for node in names.nodes if names.of(node) == one_line(focus)]
    elif isinstance(focus, Node):
        values = [node for node in names.nodes if node is focus]
    else:
        raise OptionError(f"draw: focus is a tensor of the graph or its name, got {type(focus).__name__}")
    if not values:
        raise not_in_graph(names, focus)
    return values


def not_in_graph(names: Names, focus: Node | str) -> OptionError:
    """The error for a focus that the graph does not have."""
    if isinstance(focus, Node):
        return OptionError(
            f"draw: focus is {quoted(focus)}, which {names.of(names.nodes[-1])!r} was not computed from"
        )
    known = names_by_user(names) or [*map(names.of, names.nodes)]
    near = difflib.get_close_matches(focus, known, 3) or known[-5:]
    return OptionError(
        f"draw: focus is {focus!r}, and no value of this graph has that name; "
        f"there are {', '.join(map(repr, near))}{' and others' if len(known) > len(near) else ''}"
    )


def names_by_user(names: Names) -> list[str]:
    """The names that the user gave, without what a loss calls the values inside it."""
    nodes, paths = names.nodes, scopes(names.nodes)
    ends = {began: node for node in nodes for _, began in label(node).spans}
    outside = [node for node in nodes if all(ends.get(key, node) is node for _, key in paths[node.birth])]
    return [names.of(node) for node in outside if name_of(node) is not None]


class Picture:
    """What `draw` returns. In a notebook it shows itself; elsewhere `save` or `show` it.

    Example:
        >>> import tinygrad_lo as lo
        >>> lo.draw(lo.Parameter(3.0, name="w"))
        <Picture of w: save("w.svg"), show() or .source>
    """

    def __init__(self, source: str, name: str, pages: Callable[[], Page] | None = None) -> None:
        self._source, self._pages = source, pages
        self._name = shown_name(name)

    @property
    def source(self) -> str:
        """The picture as DOT text, for any Graphviz tool."""
        return self._source

    @property
    def graph(self) -> Source:
        """The picture as a `graphviz.Source`: `graph.render("loss", format="ps")`, `graph.pipe("json")`.

        Formats, files and exceptions are those of the package graphviz, which calls the `dot` on the PATH.
        """
        import graphviz

        graph: Source = graphviz.Source(self._source)  # untyped where the package is
        return graph

    def save(self, path: str | Path, *, dpi: int | None = None) -> Path:
        """Write the picture to a file: .svg, .png, .pdf, or .dot, which needs no Graphviz.

        An .html file is the page that steps through the graph: see `steps`. dpi: the dots per inch of a
        .png, 144 if nothing is said and fewer for a picture too large for that.

        Raises:   OptionError: another suffix; a dpi where there are no dots, or with too many of them.
                  DrawingError: no Graphviz was found that works.
        """
        path = Path(path)
        format = path.suffix.lower().removeprefix(".")
        if dpi is not None:
            dpi = options.whole("save", "dpi", dpi, 1)
            if format != "png":
                raise OptionError(f"save: dpi={dpi} is for .png; {path.name!r} has no dots to count")
        if format == "dot":
            path.write_text(self._source, encoding="utf-8", newline="\n")
        elif format in FORMATS:
            drawn = self._svg if format == "svg" else render(self._source, format, self._name, dpi)
            path.write_bytes(drawn)
        elif format == "html":
            path.write_text(self.steps().html, encoding="utf-8", newline="\n")
        else:
            known = ", ".join(f".{known}" for known in (*FORMATS, "dot", "html"))
            raise OptionError(
                f"save: cannot write {path.name!r}; the suffix can be {known}; picture.graph renders more"
            )
        return path

    def steps(self) -> Page:
        """The page that steps through the graph, forward and backward; a notebook shows it.

        It is one file that needs no network. docs/stepping.md says what it can do.

        Raises:   DrawingError: no Graphviz was found that works, or the graph is too large to step through.
                  MutationError: a parameter was changed in place after the forward pass.
        """
        return self._page

    def show(self) -> None:
        """Display the picture: in a notebook below the cell, elsewhere in the program that opens SVG.

        Raises:   DrawingError: no Graphviz was found that works, or no program to open the file.
        """
        ipython = sys.modules.get("IPython")
        if ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None:
            importlib.import_module("IPython.display").display(self)
            return
        # The file must outlive this call, and perhaps this process: the viewer reads it later.
        path = self.save(Path(tempfile.mkdtemp(prefix="tinygrad_lo_"), "picture.svg"))
        if not webbrowser.open(path.as_uri()):
            raise DrawingError(f"nothing here opens an SVG; the picture is in {path}")

    def __repr__(self) -> str:
        return f'<Picture of {self._name}: save("{self._name}.svg"), show() or .source>'

    @functools.cached_property
    def _svg(self) -> bytes:
        return render(self._source, "svg", self._name)

    @functools.cached_property
    def _page(self) -> Page:
        if self._pages is None:
            raise DrawingError("this picture was not made by lo.draw, so there is no graph to step through")
        return self._pages()

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, str]:
        """What a notebook shows. It never raises: an error here would hide the cell's result."""
        try:
            svg, plain = self._svg.decode(), repr(self)
            bundle = {"text/html": embedded(svg, self._source), "image/svg+xml": svg, "text/plain": plain}
        except Exception as error:  # whatever it is, the cell goes on and says so
            bundle = {"text/plain": f"{self!r}\n{error}"}
        kinds = set(include or bundle).difference(exclude or ())
        return {kind: content for kind, content in bundle.items() if kind in kinds}


def embedded(svg: str, source: str) -> str:
    """The SVG for the middle of a page: it scrolls, and its ids are no other picture's."""
    prefix = f"lo-{hashlib.sha256(source.encode()).hexdigest()[:10]}-"
    svg = svg[svg.index("<svg") :]
    # Graphviz writes the quotes in a user's names as &quot;, so these are attributes.
    svg = re.sub(r'( id="|="url\(#|href="#)', rf"\g<1>{prefix}", svg)
    return f'<div style="overflow:auto;max-width:100%">{svg}</div>'
