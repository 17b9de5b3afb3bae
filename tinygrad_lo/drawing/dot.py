"""A graph as DOT text, in the style of cards: one card per value, scopes as frames.

The text depends on nothing but the graph: names of nodes come from their place in it, and nothing is
ordered by a set or keyed by an address.
"""

from __future__ import annotations

import math

from tinygrad_lo.drawing.cards import Look, card, font, text
from tinygrad_lo.drawing.colors import Colors
from tinygrad_lo.drawing.contents import Contents, Edge, Path, Stub, Value
from tinygrad_lo.explaining.formula import number, size

# The same list on graph, nodes and edges: Graphviz hands none of them down.
FONTS = "Helvetica,Arial,sans-serif"
THINNEST, WIDEST = 0.8, 3.4  # of edges, in points
# From here on Graphviz's search for the best order of nodes takes minutes; one round looks alike.
HURRY = 800


def cards(contents: Contents, look: Look, title: str) -> str:
    """The DOT text of a picture."""
    colors = look.colors
    lines = ["digraph {", *settings(contents, colors, title)]
    clusters: dict[Path, int] = {}
    opened: Path = ()
    placed: list[tuple[Path, str]] = [(value.path, value_line(value, look)) for value in contents.values]
    placed += [(stub.path, stub_line(stub, colors)) for stub in contents.stubs]
    for path, line in placed:
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
        lines.append(line)
    lines += ["}"] * len(opened)
    lines += edge_lines(contents, look)
    return "\n".join([*lines, "}", ""])


def settings(contents: Contents, colors: Colors, title: str) -> list[str]:
    """What holds for the whole picture."""
    hurry = " nslimit=1 nslimit1=1" if len(contents.values) > HURRY else ""
    font_of = f'fontname="{FONTS}" fontcolor="{{}}" fontsize={{}}'.format
    return [
        f'graph [rankdir=TB ranksep=0.4 nodesep=0.3 pad=0.25 bgcolor="{colors.paper}"{hurry}]',
        f"graph [{font_of(colors.ink, 12)} labelloc=b labeljust=l]",
        f'graph [tooltip="{text(title)}" label={legend(contents, colors, title)}]',
        f"node [{font_of(colors.ink, 13)} shape=plain]",
        f'edge [{font_of(colors.gradient, 11)} color="{colors.edge}" arrowsize=0.7]',
    ]


def scope_line(title: str, index: int, colors: Colors) -> str:
    """The frame of a scope. Clusters inherit what the graph says, so the place of the title is said again."""
    ground = colors.scopes[index % len(colors.scopes)]
    label = font(f"<B>{text(title)}</B>", colors.muted, 12)
    return (
        f'graph [style="rounded,filled" fillcolor="{ground}" color="{colors.scope_frame}" margin=10'
        f' labelloc=t labeljust=l tooltip="{text(title)}" label=<{label}>]'
    )


def value_line(value: Value, look: Look) -> str:
    """The node of one value."""
    made = f"{value.name} = {value.formula}" if value.formula else f"{value.name}: {value.role}"
    kind = f"{size(value.data.shape) or 'scalar'} · {value.data.dtype}"
    return f'{value.id} [tooltip="{text(made, 200)} · {kind}" label=<{card(value, look)}>]'


def stub_line(stub: Stub, colors: Colors) -> str:
    """The node in place of what is not drawn."""
    count = f"{stub.behind} more value{'s' * (stub.behind != 1)}"
    return (
        f'{stub.id} [shape=box style="rounded,dashed" color="{colors.faint}" margin="0.1,0.05" height=0'
        f' tooltip="{count}, not drawn" label=<{font(f"… {count}", colors.muted, 11)}>]'
    )


def edge_lines(contents: Contents, look: Look) -> list[str]:
    """Edges: wide where much gradient flows, dashed where exactly 0 does, thin where none can."""
    colors = look.colors
    names = {value.id: value.name for value in contents.values}
    finite = [
        edge.strength for edge in contents.edges if edge.strength is not None and math.isfinite(edge.strength)
    ]
    top = max(finite, default=0.0)
    lines = []
    for edge in contents.edges:
        parts = [width(edge, top, colors)] if contents.differentiated else []
        about = f"{text(names.get(edge.tail, '…'))} → {text(names[edge.head])}"
        if edge.strength is not None:
            about += f": largest |gradient| {number(edge.strength, look.digits)}"
        if edge.slope is not None:
            parts.append(f"label=<<I>&#160;×{number(edge.slope, look.digits)}</I>>")
        lines.append(f'{edge.tail} -> {edge.head} [tooltip="{about}" {" ".join(parts)}]'.replace(" ]", "]"))
    return lines


def width(edge: Edge, top: float, colors: Colors) -> str:
    """How an edge is drawn. The square root keeps small gradients visible."""
    if edge.strength is None:
        return f'color="{colors.faint}" penwidth={THINNEST}'
    if edge.strength == 0:
        return f'color="{colors.faint}" penwidth=1.2 style=dashed'
    share = edge.strength / top if math.isfinite(edge.strength) else 1.0
    return f"penwidth={THINNEST + (WIDEST - THINNEST) * math.sqrt(share):.2f}"


# -------------------------------------------------------------------------------------- legend


def legend(contents: Contents, colors: Colors, title: str) -> str:
    """The picture's title, and in the same line what its marks mean: only those that occur."""
    roles = {value.role for value in contents.values}
    cells = [font(f"<B>{text(title)}</B>", colors.ink, 14)]
    left = contents.total - contents.drawn
    if left:
        cells[0] += font(f"&#160;· the {contents.drawn} nearest of {contents.total} values", colors.ink)
    swatches = {
        "parameter": (colors.parameter, colors.parameter_header),
        "data": (colors.frame, colors.data_header),
        "constant": (colors.frame, colors.data_header),
        "loss": (colors.loss, colors.loss_header),
    }
    cells += [swatch(role, colors.muted, *swatches[role]) for role in swatches if role in roles]
    if contents.differentiated:
        cells += [
            font("<B>value</B>", colors.value) + font("&#160;forward →", colors.muted),
            font("<B>grad</B>", colors.gradient)
            + font(f"&#160;∂{text(contents.values[-1].name)}/∂value, ← backward", colors.muted),
        ]
        if any(edge.slope is not None for edge in contents.edges):
            cells.append(font("<I>×2</I>", colors.gradient) + font("&#160;local derivative", colors.muted))
        if any(edge.strength == 0 for edge in contents.edges):
            cells.append(font("– – –&#160;&#160;no gradient flows", colors.muted))
        if any(value.expects and value.gradient is None for value in contents.values):
            cells.append(font("–&#160;&#160;not reached", colors.muted))
    row = "".join(f"<TD>{content}</TD>" for content in cells)
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="6"><TR>{row}</TR></TABLE>>'


def swatch(word: str, ink: str, frame: str, ground: str) -> str:
    """A little card, and what such cards are."""
    box = f'BORDER="1" COLOR="{frame}" BGCOLOR="{ground}" WIDTH="16" HEIGHT="10" FIXEDSIZE="TRUE"'
    return (
        f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0"><TR><TD {box}></TD>'
        f"<TD>{font(f'&#160;{word}', ink)}</TD></TR></TABLE>"
    )
