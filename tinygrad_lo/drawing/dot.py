"""A graph as DOT text: its values in one of the styles, scopes as frames, the title with the legend.

The text depends on nothing but the graph: names of nodes come from their place in it, and nothing is
ordered by a set or keyed by an address. In the SVG, value number i of the graph has the id `n<i>`, edge
number i of the picture `e<i>`; a circuit's gate and the wire behind it have `g<i>` and `w<i>`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from tinygrad_lo.drawing.colors import Colors
from tinygrad_lo.drawing.contents import Contents, Edge
from tinygrad_lo.drawing.styles.cards import Cards, Overview
from tinygrad_lo.drawing.styles.circuit import Circuit
from tinygrad_lo.drawing.styles.style import Style
from tinygrad_lo.drawing.styles.text import Look, cell, font, row, table, text
from tinygrad_lo.explaining.formula import number
from tinygrad_lo.program.value import ScopePath

STYLES: dict[str, type[Style]] = {"cards": Cards, "circuit": Circuit, "overview": Overview}
# The same list on graph, nodes and edges: Graphviz hands none of them down.
FONTS = "Helvetica,Arial,sans-serif"
THINNEST = 0.8  # of edges, in points
# From here on Graphviz's search for the best order of nodes takes minutes; one round looks alike.
HURRY = 800
LONG_TITLE = 44  # characters of a title that gets a line of its own
LONGEST_TITLE = 90
FILLER = 24  # columns


def dot_text(contents: Contents, look: Look, title: str, style_name: str, verdict: str = "") -> str:
    """The DOT text of a picture in the style "cards", "circuit" or "overview".

    verdict: what a gradient check found, for the title.
    """
    style = STYLES[style_name](contents, look)
    placed = [(value.path, style.lines(value)) for value in contents.values]
    placed += [(group.path, [style.group_line(group)]) for group in contents.groups]
    placed += [(stub.path, [style.stub_line(stub)]) for stub in contents.stubs]
    parts = settings(style, title, legend(style, title, verdict))
    return "\n".join(["digraph {", *parts, *in_frames(placed, look.colors), *edge_lines(style), "}", ""])


def settings(style: Style, title: str, label: str) -> list[str]:
    """What holds for the whole picture."""
    colors = style.colors
    hurry = " nslimit=1 nslimit1=1" if len(style.contents.values) * style.nodes > HURRY else ""
    font_of = f'fontname="{FONTS}" fontcolor="{{}}" fontsize={{}}'.format
    way = "TB" if style.turned else "LR"
    return [
        f'graph [rankdir={way} {style.gaps} pad=0.25 bgcolor="{colors.paper}"{hurry}]',
        f"graph [{font_of(colors.ink, 12)} labelloc=b labeljust=l]",
        f'graph [tooltip="{text(title)}" label=<{label}>]',
        f"node [{font_of(colors.ink, 13)} shape=plain]",
        f'edge [{font_of(colors.gradient, 11)} color="{colors.edge}" arrowsize=0.7]',
    ]


# --------------------------------------------------------------------------------------- nodes


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


# --------------------------------------------------------------------------------------- edges


def edge_lines(style: Style) -> list[str]:
    """Edges: wide where much gradient flows, dashed where exactly 0 does, thin where none can."""
    contents = style.contents
    names = {value.id: value.name for value in contents.values}
    names |= {group.id: group.title for group in contents.groups}
    tails, heads = style.ports()
    finite = [e.strength for e in contents.edges if e.strength is not None and math.isfinite(e.strength)]
    top = max(finite, default=0.0)
    lines = []
    for edge in contents.edges:
        parts = [f'id="{edge.id}"', f'tooltip="{about_edge(edge, names, style.look.digits)}"']
        if contents.differentiated:
            parts.append(width(edge, top, style.widest, style.colors))
        parts += label_of(edge, style)
        tail, head = tails.get(edge.tail, edge.tail), heads.get(edge.head, edge.head)
        lines.append(f"{tail} -> {head} [{' '.join(parts)}]")
    return lines


def label_of(edge: Edge, style: Style) -> list[str]:
    """How many edges it stands for, or the local derivative along it."""
    if edge.count > 1:
        return [f"label=<{font(f'&#160;{edge.count} edges', style.colors.muted)}>"]
    if edge.slope is not None and style.labelled:
        return [f"label=<<I>&#160;×{number(edge.slope, style.look.digits)}</I>>"]
    return []


def about_edge(edge: Edge, names: dict[str, str], digits: int) -> str:
    """The tooltip: between what, how much gradient, and from which rule."""
    about = f"{text(names.get(edge.tail, '…'))} → {text(names[edge.head])}"
    if edge.strength is not None:
        about += f": largest |gradient| {number(edge.strength, digits)}"
    if edge.formula:
        about += f" from {text(edge.formula, 200)}"
    if edge.slope is not None:
        about += f" · local derivative {number(edge.slope, digits)}"
    return about


def width(edge: Edge, top: float, widest: float, colors: Colors) -> str:
    """How an edge is drawn. The square root keeps small gradients visible."""
    if edge.strength is None:
        return f'color="{colors.faint}" penwidth={THINNEST}'
    if edge.strength == 0:
        return f'color="{colors.faint}" penwidth=1.2 style=dashed'
    share = edge.strength / top if math.isfinite(edge.strength) else 1.0
    return f"penwidth={THINNEST + (widest - THINNEST) * math.sqrt(share):.2f}"


# -------------------------------------------------------------------------------------- legend


def legend(style: Style, title: str, verdict: str) -> str:
    """The picture's title, and in the same line what its marks mean: only those that occur."""
    ink = style.colors.ink
    notes = [note for note in (*left_out(style.contents), verdict) if note]
    first = font(f"<B>{text(title, LONGEST_TITLE)}</B>", ink, 14)
    first += "".join(font(f"&#160;· {text(note, LONGEST_TITLE)}", ink) for note in notes)
    cells = [cell(mark, align="LEFT") for mark in marks(style)]
    if len(title) + sum(map(len, notes)) > LONG_TITLE and cells:
        # Graphviz widens all columns alike; the empty ones take what a long title needs.
        rows = [row(cell(first, align="LEFT", colspan=len(cells) + FILLER))]
        rows.append(row(*cells, *[cell("", cellpadding=0)] * FILLER))
    else:
        rows = [row(cell(first, align="LEFT"), *cells)]
    return table(*rows, border=0, cellborder=0, cellspacing=0, cellpadding=6)


def left_out(contents: Contents) -> list[str]:
    """What the title says of the values that have no place of their own in the picture."""
    total, boxed, alone = contents.total, contents.boxed, contents.drawn
    notes = []
    if contents.focus:
        notes.append(f"what leads to and from {', '.join(contents.focus)}")
    if boxed + alone < total:
        near = "nearest " if contents.cut else ""
        notes.append(f"the {boxed + alone} {near}of {total} values")
    elif boxed:
        notes.append(f"{total} values")
    if boxed:
        boxes = len(contents.groups)
        notes.append(f"{boxed} of them in {boxes} box{'es' * (boxes != 1)}")
    return notes


def marks(style: Style) -> Iterator[str]:
    """One cell for each kind of mark that the picture has."""
    contents, colors = style.contents, style.colors
    roles = {value.role for value in contents.values} | {group.role for group in contents.groups}
    for role in ("parameter", "data", "constant", "loss"):
        if role in roles:
            yield style.role_mark(role)
    for name, value in contents.constants:
        yield font(f"{text(name)} = {number(value, style.look.digits + 1)}", colors.value)
    if contents.differentiated:
        for sign, ink, meaning in gradient_marks(style):
            yield font(sign, ink) + font(meaning, colors.muted) if sign else font(meaning, colors.muted)


def gradient_marks(style: Style) -> Iterator[tuple[str, str, str]]:
    """What is marked in a picture with gradients: a sign, its ink, its meaning."""
    contents, colors = style.contents, style.colors
    root = text(contents.values[-1].name)
    on_wire, under_wire = style.places()
    yield "<B>value</B>", colors.value, f"{on_wire}&#160;forward →"
    yield "<B>grad</B>", colors.gradient, f"{under_wire}&#160;∂{root}/∂value, ← backward"
    if style.labelled and any(edge.slope is not None for edge in contents.edges):
        yield "<I>×2</I>", colors.gradient, "&#160;local derivative"
    for mark, word in (("✓", "agree"), ("✗", "disagree"), ("?", "cannot tell")):
        if mark in check_marks(contents):
            yield f"<B>{mark}</B>", colors.gradient, f"&#160;finite differences {word}"
    if any(edge.strength == 0 for edge in contents.edges):
        yield "", "", "– – –&#160;&#160;no gradient flows"
    if any(value.expects and value.gradient is None for value in contents.values):
        yield "", "", "–&#160;&#160;not reached"


def check_marks(contents: Contents) -> set[str]:
    """What a gradient check found, over all values: ticks, crosses, question marks."""
    return {value.numeric.mark[0] for value in contents.values if value.numeric is not None}
