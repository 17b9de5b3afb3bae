"""A graph as DOT text: its values in one of the styles, scopes as frames, the title with the legend.

Names of nodes come from their place in the graph. In the SVG, value number i of the graph has the id `n<i>`,
edge number i of the picture `e<i>`; a circuit's gate and the wire behind it have `g<i>` and `w<i>`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from tinygrad_lo.drawing.colors import Colors
from tinygrad_lo.drawing.contents import Contents, Edge
from tinygrad_lo.drawing.styles.cards import Cards, Folded, Overview
from tinygrad_lo.drawing.styles.circuit import Circuit
from tinygrad_lo.drawing.styles.labels import cell, font, row, table
from tinygrad_lo.drawing.styles.style import Look, Style, text
from tinygrad_lo.engine.naming import ScopePath
from tinygrad_lo.explaining.formula import number

STYLES: dict[str, type[Style]] = {"cards": Cards, "circuit": Circuit, "overview": Overview, "folded": Folded}
# The same list on graph, nodes and edges: Graphviz hands none of them down.
FONTS = "Helvetica,Arial,sans-serif"
MOST_CELLS = 16  # cells of a side: who asks for more gets them, however wide the picture is
ESTIMATED = 1050  # points; Graphviz leaves more room between nodes than the estimate
WRAPPED = 8  # columns of a table where the page is narrow
THINNEST = 0.8  # of edges, in points
# From here on Graphviz's search for the best order of nodes takes minutes; one round looks alike.
HURRY = 800
LONG_TITLE = 44  # characters of a title that gets a line of its own
LONGEST_TITLE = 90
FILLER = 24  # columns
LONG_LEGEND = 112  # characters of a line of the legend, about
VERDICTS = {"✓": "agree", "✗": "disagree", "?": "cannot tell"}  # of finite differences
# What stands before a number, and what it means.
STATISTICS = {
    "μ": "mean",
    "σ": "standard deviation",
    "±": "standard deviation",
    "‖grad‖": "length of the gradient",
}


def dot_text(contents: Contents, look: Look, title: str, style_name: str, verdict: str = "") -> str:
    """The DOT text of a picture; verdict: what a gradient check found, for the title."""
    style = STYLES[style_name](contents, look)
    placed = [(value.path, style.lines(value)) for value in contents.values]
    placed += [(group.path, [style.group_line(group)]) for group in contents.groups]
    placed += [(stub.path, [style.stub_line(stub)]) for stub in contents.stubs]
    colors = look.colors
    body = "\n".join([*in_frames(placed, colors), *edge_lines(style), "}", ""])
    hurry = " nslimit=1 nslimit1=1" if len(contents.values) * style.nodes > HURRY else ""
    font_of = f'fontname="{FONTS}" fontcolor="{{}}" fontsize={{}}'.format
    way = "TB" if style.turned else "LR"
    lines = [
        "digraph {",
        f'graph [rankdir={way} {style.gaps} pad=0.25 bgcolor="{colors.paper}"{hurry}]',
        f"graph [{font_of(colors.ink, 12)} labelloc=b labeljust=l]",
        f'graph [tooltip="{text(title)}" label=<{legend(style, title, verdict, body)}>]',
        f"node [{font_of(colors.ink, 13)} shape=plain]",
        f'edge [{font_of(colors.gradient, 11)} color="{colors.edge}" arrowsize=0.7]',
    ]
    return "\n".join([*lines, body])


def look_for_page(contents: Contents, look: Look, style_name: str) -> Look:
    """The look with which a page has room for the picture: tables that go on below, or have less cells."""
    make, cells = STYLES[style_name], look.max_cells
    if cells > MOST_CELLS or make is Circuit:
        return look
    smaller = [replace(look, wrap=WRAPPED, max_cells=min(cells, n)) for n in (cells, 8, 5, 3, 0)]
    for one in (look, *smaller):
        style = make(contents, one)
        if not style.turned or style.breadth() <= ESTIMATED:
            return one
    return smaller[-1]


def in_frames(placed: Iterable[tuple[ScopePath, list[str]]], colors: Colors) -> list[str]:
    """The nodes inside the frames of their scopes."""
    lines: list[str] = []
    clusters: dict[ScopePath, int] = {}
    opened: ScopePath = ()
    for path, some in placed:
        # A scope may be opened again further down: Graphviz puts together what has one name.
        while path[: len(opened)] != opened:
            opened = opened[:-1]
            lines.append("}")
        while len(opened) < len(path):
            opened = path[: len(opened) + 1]
            known = opened in clusters
            index = clusters.setdefault(opened, len(clusters))
            lines.append(f"subgraph cluster_{index} {{")
            if not known:
                lines.append(scope_line(opened[-1][0], index, colors))
        lines += some
    return lines + ["}"] * len(opened)


def scope_line(title: str, index: int, colors: Colors) -> str:
    """The frame of a scope. Clusters inherit what the graph says, so the place of the title is said again."""
    ground = colors.scopes[index % len(colors.scopes)]
    label = font(f"<B>{text(title)}</B>", colors.muted, 12)
    return (
        f'graph [id="s{index}" style="rounded,filled" fillcolor="{ground}" color="{colors.scope_frame}"'
        f' margin=10 labelloc=t labeljust=l tooltip="{text(title)}" label=<{label}>]'
    )


def edge_lines(style: Style) -> list[str]:
    """Edges: wide where much gradient flows, dashed where exactly 0 does, thin where none can."""
    contents = style.contents
    names = {value.id: value.name for value in contents.values}
    names |= {group.id: group.title for group in contents.groups}
    tails, heads = style.ports()
    top = max(contents.strengths, default=0.0)
    lines = []
    for edge in contents.edges:
        between = f"{text(names.get(edge.tail, '…'))} → {text(names[edge.head])}"
        parts = [f'id="{edge.id}" tooltip="{between}{about_edge(edge, style.look.digits)}"']
        if contents.differentiated:
            parts.append(width(edge, top, style))
        if edge.carried:
            parts.append(f"constraint=false label=<{font('&#160;next turn', style.colors.muted)}>")
        elif edge.count > 1 and not contents.folded:
            parts.append(f"label=<{font(f'&#160;{edge.count} edges', style.colors.muted)}>")
        elif edge.slope is not None and style.labelled:
            parts.append(f"label=<<I>&#160;×{number(edge.slope, style.look.digits)}</I>>")
        tail, head = tails.get(edge.tail, edge.tail), heads.get(edge.head, edge.head)
        lines.append(f"{tail} -> {head} [{' '.join(parts)}]")
    return lines


def about_edge(edge: Edge, digits: int) -> str:
    """For the tooltip: how much gradient, and from which rule."""
    about = "" if edge.strength is None else f": largest |gradient| {number(edge.strength, digits)}"
    about += f" from {text(edge.formula, 200)}" if edge.formula else ""
    return about if edge.slope is None else f"{about} · local derivative {number(edge.slope, digits)}"


def width(edge: Edge, top: float, style: Style) -> str:
    """How an edge is drawn. The square root keeps small gradients visible."""
    if edge.strength is None:
        return f'color="{style.colors.faint}" penwidth={THINNEST}'
    if edge.strength == 0:
        return f'color="{style.colors.faint}" penwidth=1.2 style=dashed'
    share = edge.strength / top if math.isfinite(edge.strength) else 1.0
    return f"penwidth={THINNEST + (style.widest - THINNEST) * math.sqrt(share):.2f}"


def legend(style: Style, title: str, verdict: str, body: str) -> str:
    """The picture's title, and in the same line what its marks mean: only those that occur."""
    ink = style.colors.ink
    notes = [note for note in (*left_out(style.contents), verdict) if note]
    first = font(f"<B>{text(title, LONGEST_TITLE)}</B>", ink, 14)
    first += "".join(font(f"&#160;· {text(note, LONGEST_TITLE)}", ink) for note in notes)
    alone = len(title) + sum(map(len, notes)) > LONG_TITLE
    lines = in_lines(first, marks(style, body), LONG_LEGEND if alone else len(title))
    # Graphviz widens all columns alike; the empty ones take what a longer line needs.
    filler = [cell("", cellpadding=0)] * FILLER
    rows = [row(*(cell(mark, align="LEFT") for mark in line), *filler) for line in lines]
    return table(*(row(cell(table(each, cellpadding=6))) for each in rows), cellpadding=0)


def in_lines(first: str, others: Iterable[str], wide: int) -> list[list[str]]:
    """Cells in lines that are not too long; wide: about how many characters the first cell has."""
    lines = [[first]]
    for mark in others:
        long = len(re.sub("<[^>]*>|&#160;", "", mark)) + 4
        if wide + long > LONG_LEGEND:
            lines.append([])
            wide = 0
        lines[-1].append(mark)
        wide += long
    return lines


def left_out(contents: Contents) -> list[str]:
    """What the title says of the values that have no place of their own in the picture."""
    total, boxed, boxes = contents.total, contents.boxed, len(contents.groups)
    shown, near = boxed + contents.drawn, "nearest " if contents.cut else ""
    notes = {
        f"what leads to and from {', '.join(contents.focus)}": contents.focus,
        f"the {shown} {near}of {total} values": shown < total,
        f"{total} values": boxed and shown >= total,
        "equal parts drawn once": contents.folded,
        f"{boxed} of them in {boxes} box{'es' * (boxes != 1)}": boxed and not contents.folded,
        "some tables are too wide to be shown (max_cells=17 shows them)": contents.narrow,
    }
    return [*filter(notes.get, notes)]


def marks(style: Style, body: str) -> Iterator[str]:
    """One cell for each kind of mark that the picture has."""
    contents, colors = style.contents, style.colors
    verdicts = {numeric.mark[0] for value in contents.values for numeric in value.numeric}
    roles = {part.role for part in contents.parts.values()}
    yield from (style.role_mark(role) for role in ("parameter", "data", "constant", "loss") if role in roles)
    for name, value in contents.constants:
        yield font(f"{text(name)} = {number(value, style.look.digits + 1)}", colors.value)
    for is_there, sign, ink, meaning in (
        *(gradient_marks(style, verdicts) if contents.differentiated else ()),
        ("≠" in verdicts, "<B>≠</B>", colors.ink, "&#160;another number in the other graph"),
        *(
            (re.search(rf"{sign} −?[\d∞n]", body), f"<B>{sign}</B>", colors.ink, f"&#160;{meaning}")
            for sign, meaning in STATISTICS.items()
        ),
    ):
        if is_there:
            yield (font(sign, ink) if sign else "") + font(meaning, colors.muted)


def gradient_marks(style: Style, verdicts: set[str]) -> Iterator[tuple[bool, str, str, str]]:
    """The marks that a picture with gradients may have: whether it has one, sign, ink, and the meaning."""
    contents, colors, red = style.contents, style.colors, style.colors.gradient
    root, (on_wire, under_wire) = text(contents.values[-1].name), style.places()
    slopes = style.labelled and any(edge.slope is not None for edge in contents.edges)
    wide = contents.strengths or [0.0]
    yield True, "<B>value</B>", colors.value, f"{on_wire}&#160;forward →"
    yield True, "<B>grad</B>", red, f"{under_wire}&#160;∂{root}/∂value, ← backward"
    yield slopes, "<I>×2</I>", red, "&#160;local derivative"
    for sign, word in VERDICTS.items():
        yield sign in verdicts, f"<B>{sign}</B>", red, f"&#160;finite differences {word}"
    yield max(wide) > 2 * min(wide), "━", colors.edge, "&#160;wide: much gradient"
    yield any(edge.strength == 0 for edge in contents.edges), "", "", "– – –&#160;&#160;no gradient flows"
    missing = any(value.expects and value.gradient is None for value in contents.values)
    yield missing, "", "", "–&#160;&#160;not reached"
