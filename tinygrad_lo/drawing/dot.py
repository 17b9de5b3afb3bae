"""A graph as DOT text: cards, a circuit or an overview, scopes as frames.

The text depends on nothing but the graph: names of nodes come from their place in it, and nothing is
ordered by a set or keyed by an address. In the SVG, value number i of the graph has the id `n<i>`, edge
number i of the picture `e<i>`; a circuit's gate and the wire behind it have `g<i>` and `w<i>`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from tinygrad_lo.drawing import circuit
from tinygrad_lo.drawing.cards import Look, card, font, text
from tinygrad_lo.drawing.collapse import Path
from tinygrad_lo.drawing.colors import Colors
from tinygrad_lo.drawing.contents import Contents, Edge, Group, Stub, Value
from tinygrad_lo.drawing.legend import labelled, legend
from tinygrad_lo.drawing.overview import box
from tinygrad_lo.explaining.formula import number, size

# The same list on graph, nodes and edges: Graphviz hands none of them down.
FONTS = "Helvetica,Arial,sans-serif"
THINNEST, WIDEST = 0.8, {"cards": 2.8, "circuit": 2.2, "overview": 2.8}  # of edges, in points
# From here on Graphviz's search for the best order of nodes takes minutes; one round looks alike.
HURRY = 800
BOX, LABEL = 200, 30  # points that a box with the gap behind it takes, about, and a label on an edge
DEEPEST, WIDE = 14, 1600  # ranks and points from left to right; a longer picture runs from top to bottom


def dot(contents: Contents, look: Look, title: str, style: str, said: str = "") -> str:
    """The DOT text of a picture in the style "cards", "circuit" or "overview"."""
    colors = look.colors
    turned = style == "cards" or too_long(contents, look, style)
    drawn = contents.differentiated
    placed: list[tuple[Path, list[str]]] = [
        (value.path, value_lines(value, look, style, drawn, turned)) for value in contents.values
    ]
    placed += [(group.path, [group_line(group, look, drawn)]) for group in contents.groups]
    placed += [(stub.path, [stub_line(stub, colors)]) for stub in contents.stubs]
    label = legend(contents, look, title, style, said, turned=turned)
    return "\n".join(
        [
            "digraph {",
            *settings(contents, colors, title, label, style, turned),
            *framed(placed, colors),
            *edge_lines(contents, look, style, turned),
            "}",
            "",
        ]
    )


def settings(
    contents: Contents, colors: Colors, title: str, label: str, style: str, turned: bool
) -> list[str]:
    """What holds for the whole picture."""
    many = len(contents.values) * (2 if style == "circuit" else 1) > HURRY
    hurry = " nslimit=1 nslimit1=1" if many else ""
    font_of = f'fontname="{FONTS}" fontcolor="{{}}" fontsize={{}}'.format
    gaps = "ranksep=0.4 nodesep=0.3" if style != "circuit" else "ranksep=0.22 nodesep=0.14"
    return [
        f'graph [rankdir={"TB" if turned else "LR"} {gaps} pad=0.25 bgcolor="{colors.paper}"{hurry}]',
        f"graph [{font_of(colors.ink, 12)} labelloc=b labeljust=l]",
        f'graph [tooltip="{text(title)}" label=<{label}>]',
        f"node [{font_of(colors.ink, 13)} shape=plain]",
        f'edge [{font_of(colors.gradient, 11)} color="{colors.edge}" arrowsize=0.7]',
    ]


def too_long(contents: Contents, look: Look, style: str) -> bool:
    """Whether the longest path is, from left to right, too deep or about too wide."""
    wide = {value.id: circuit.breadth(value, look) for value in contents.values if style == "circuit"}
    wide |= {group.id: BOX for group in contents.groups}
    gap = LABEL if style == "circuit" and labelled(contents, style) else 0
    ranks: dict[str, int] = {}
    ends: dict[str, int] = {}
    for edge in contents.edges:  # in the order of their heads' births
        ranks[edge.head] = max(ranks.get(edge.head, 1), ranks.get(edge.tail, 1) + 1)
        end = ends.get(edge.tail, wide.get(edge.tail, 0)) + wide.get(edge.head, 0) + gap
        ends[edge.head] = max(ends.get(edge.head, 0), end)
    return max(ranks.values(), default=1) > DEEPEST or max(ends.values(), default=0) > WIDE


# --------------------------------------------------------------------------------------- nodes


def framed(placed: Iterable[tuple[Path, list[str]]], colors: Colors) -> list[str]:
    """The nodes inside the frames of their scopes."""
    lines: list[str] = []
    clusters: dict[Path, int] = {}
    opened: Path = ()
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


def value_lines(value: Value, look: Look, style: str, differentiated: bool, turned: bool) -> list[str]:
    """The node of one value; in a circuit, its gate and the wire between them, too."""
    made = f"{value.name} = {value.formula}" if value.formula else f"{value.name}: {value.role}"
    kind = f"{size(value.data.shape) or 'scalar'} · {value.data.dtype}"
    lines = []
    if style == "circuit":
        label = circuit.pair(value, look, differentiated=differentiated, turned=turned)
        if value.gate:
            lines = [circuit.gate(value, look), circuit.wire(value, turned=turned)]
    else:
        label = card(value, look)
    node = f'{value.id} [id="{value.id}" tooltip="{text(made, 200)} · {kind}" label=<{label}>]'
    return [node, *lines]


def group_line(group: Group, look: Look, differentiated: bool) -> str:
    """The node of a box."""
    about = text(f"{group.title}: {len(group.members)} values", 200)
    label = box(group, look, differentiated=differentiated)
    return f'{group.id} [id="{group.id}" tooltip="{about}" label=<{label}>]'


def stub_line(stub: Stub, colors: Colors) -> str:
    """The node in place of what is not drawn."""
    count = f"{stub.behind} more value{'s' * (stub.behind != 1)}"
    return (
        f'{stub.id} [shape=box style="rounded,dashed" color="{colors.faint}" margin="0.1,0.05" height=0'
        f' tooltip="{count}, not drawn" label=<{font(f"… {count}", colors.muted, 11)}>]'
    )


# --------------------------------------------------------------------------------------- edges


def edge_lines(contents: Contents, look: Look, style: str, turned: bool) -> list[str]:
    """Edges: wide where much gradient flows, dashed where exactly 0 does, thin where none can."""
    colors = look.colors
    names: dict[str, str] = {value.id: value.name for value in contents.values}
    names |= {group.id: group.title for group in contents.groups}
    gates = {
        value.id: circuit.gate_id(value) for value in contents.values if style == "circuit" and value.gate
    }
    wired = {value.id for value in contents.values} if style == "circuit" else set()
    finite = [e.strength for e in contents.edges if e.strength is not None and math.isfinite(e.strength)]
    top = max(finite, default=0.0)
    out = ":s" if turned else ":e"
    worded = labelled(contents, style)
    lines = []
    for i, edge in enumerate(contents.edges):
        parts = [width(edge, top, WIDEST[style], colors)] if contents.differentiated else []
        if edge.count > 1:
            parts.append(f"label=<{font(f'&#160;{edge.count} edges', colors.muted)}>")
        elif edge.slope is not None and worded:
            parts.append(f"label=<<I>&#160;×{number(edge.slope, look.digits)}</I>>")
        tail = edge.tail + (out if edge.tail in wired else "")
        about = about_edge(edge, names, look.digits)
        line = f'{tail} -> {gates.get(edge.head, edge.head)} [id="e{i}" tooltip="{about}" {" ".join(parts)}]'
        lines.append(line.replace(" ]", "]"))
    return lines


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
