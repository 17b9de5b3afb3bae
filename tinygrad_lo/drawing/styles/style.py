"""What the styles have in common: labels, boxes, and pictures that turn when they grow too long.

Labels are HTML-like. What a user wrote (names, scopes, titles) enters them through `text` and nowhere else.
"""

from __future__ import annotations

import html
import math
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tinygrad_lo.drawing.colors import Colors
from tinygrad_lo.drawing.contents import Contents, Different, DrawnBox, DrawnValue, Stub
from tinygrad_lo.drawing.passes.flow import concrete
from tinygrad_lo.drawing.styles.images import image_of, is_image
from tinygrad_lo.drawing.styles.labels import cell, font, framed, row, table
from tinygrad_lo.engine.graph import Array
from tinygrad_lo.explaining.explain import counted
from tinygrad_lo.explaining.formula import moments, number, one_line, size

BOX, GAP = 180, 30  # points that a box and the gap behind a node take, about
MOST_RANKS = 14  # ranks from left to right; a deeper picture runs from top to bottom
PAGE = 1120  # points that a picture may be wide, about: fitted to 1240 pixels, 10 points are then 10 pixels
LOW = 4  # of a table that goes on below
GATES = 3  # that a box names; the others are counted
LONGEST_NAME = 40
DASH = "–"  # a gradient that was not computed; it is never 0


@dataclass(frozen=True, slots=True)
class Look:
    """How to draw."""

    colors: Colors
    max_cells: int  # the largest side of a table
    digits: int  # significant ones
    wrap: int = 99  # columns, after which a table goes on below
    handles: bool = False  # numbers get ids, by which the page of steps finds them, and grounds to tint

    def summarizes(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of this shape shows mean, std, min and max in place of elements."""
        if len(shape) > 2 or max(shape, default=0) > self.max_cells:
            return True
        return shape[-1:] > (self.wrap,) and math.prod(shape[:-1]) > LOW

    def handle(self, id: str) -> dict[str, str]:
        """Graphviz keeps the id of a cell only beside a link; the page takes the link away."""
        return {"id": id, "href": "#"} if self.handles and id else {}

    @property
    def ground(self) -> str:
        """Behind a number that has no ground of its own."""
        return self.colors.card if self.handles else ""


def shown_name(written: str, longest: int = LONGEST_NAME) -> str:
    """A name as it is drawn: in one line, without characters that no font has, and not too long."""
    plain = one_line(written)
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"


def text(written: str, longest: int = LONGEST_NAME) -> str:
    r"""What a user wrote, so that Graphviz shows it as it stands, in labels and in tooltips.

    Graphviz reads markup, then escapes such as \N (the node's own name), and drops spaces at the
    ends of a run.
    """
    escaped = html.escape(shown_name(written, longest).replace("\\", "\\\\"))
    return re.sub("^ | (?= )| $", "&#160;", escaped) or "&#160;"


class Style:
    """A way to draw values. Cards, circuits and overviews say what is different about them."""

    gaps = "ranksep=0.4 nodesep=0.3"  # between ranks and between nodes
    widest = 2.8  # an edge, in points
    nodes = 1  # DOT nodes for one value
    gap = GAP  # points between nodes, with the label of an edge
    page = PAGE
    labelled = True  # edges have their local derivatives as labels
    upright = False  # from top to bottom, however small it is

    def __init__(self, contents: Contents, look: Look) -> None:
        self.contents, self.look, self.colors = contents, look, look.colors
        self.wide = self.breadths() | {group.id: BOX for group in contents.groups}
        self.turned = self.upright or self.is_too_long()

    def breadth(self) -> int:
        """About how many points a picture from top to bottom is wide: the widest rank."""
        heights: defaultdict[str, int] = defaultdict(int)
        for edge in reversed(self.contents.edges):
            if not edge.carried:
                heights[edge.tail] = max(heights[edge.tail], heights[edge.head] + 1)
        ranks: defaultdict[int, int] = defaultdict(int)
        for id, wide in self.wide.items():
            ranks[heights[id]] += wide + GAP
        return max(ranks.values(), default=0)

    def is_too_long(self) -> bool:
        """Whether the longest path is, from left to right, too deep or about too wide."""
        wide = self.wide
        ranks: defaultdict[str, int] = defaultdict(lambda: 1)
        ends = defaultdict(int, wide)  # where what leads to a node ends, and of a leaf the leaf itself
        reached: defaultdict[str, int] = defaultdict(int)
        for edge in self.contents.edges:  # in the order of their heads' births
            ranks[edge.head] = max(ranks[edge.head], ranks[edge.tail] + 1)
            end = ends[edge.tail] + wide.get(edge.head, 0) + self.gap
            ends[edge.head] = reached[edge.head] = max(reached[edge.head], end)
        return max(ranks.values(), default=1) > MOST_RANKS or max(reached.values(), default=0) > self.page

    def breadths(self) -> dict[str, int]:
        """About how many points values take from left to right."""
        raise NotImplementedError

    def label(self, value: DrawnValue) -> str:
        """The label of a value's node."""
        raise NotImplementedError

    def lines(self, value: DrawnValue) -> list[str]:
        """The DOT text of one value."""
        made = f"{value.name} = {value.formula}" if value.formula else f"{value.name}: {value.role}"
        kind = f"{size(value.data.shape) or 'scalar'} · {value.data.dtype}"
        about = f"{text(made, 200)} · {kind}"
        return [f'{value.id} [id="{value.id}" tooltip="{about}" label=<{self.label(value)}>]']

    def group_line(self, group: DrawnBox) -> str:
        """The node of a box."""
        about = text(f"{group.title}: {len(group.members)} values", 200)
        label = box(group, self.look, differentiated=self.contents.differentiated)
        return f'{group.id} [id="{group.id}" tooltip="{about}" label=<{label}>]'

    def stub_line(self, stub: Stub) -> str:
        """The node in place of what is not drawn."""
        count = counted(stub.behind, "more value")
        upto = f" up to {', '.join(stub.names)}" if stub.names else ""
        words = font(f"… {count}{text(upto)}" if upto else f"… {count}", self.colors.muted, 11)
        return (
            f'{stub.id} [shape=box style="rounded,dashed" color="{self.colors.faint}" margin="0.1,0.05"'
            f' height=0 tooltip="{count}, not drawn" label=<{words}>]'
        )

    def ports(self) -> tuple[dict[str, str], dict[str, str]]:
        """Where edges leave and where they enter, of the values whose node does not do for both."""
        return {}, {}

    def role_mark(self, role: str) -> str:
        """What the legend shows of a role: a little card, and the word."""
        frame, ground, _ = self.colors.role(role)
        card = cell("", border=1, color=frame, bgcolor=ground, width=16, height=10, fixedsize="TRUE")
        word = cell(font(f"&#160;{role}", self.colors.muted))
        return table(row(card, word), cellpadding=0)

    def places(self) -> tuple[str, str]:
        """Where the value and the gradient stand, if the legend must say so."""
        return "", ""


def box(group: DrawnBox, look: Look, *, differentiated: bool) -> str:
    """The label of a box: how many values, which ops, what comes out, and how large the gradient is."""
    colors = look.colors
    frame, ground, _ = colors.role(group.role)
    lines = [cell(font(f"<B>{text(group.title)}</B>", colors.ink), bgcolor=ground)]
    lines.append(cell(font(f"&#160;{facts(group)}&#160;", colors.muted, 11), cellpadding=2))
    if group.gates:
        lines.append(cell(font(f"&#160;{ops(group)}&#160;", colors.ink, 11), cellpadding=2))
    lines += box_outputs(group, look)
    figures = [("value", "value", colors.value, mean_and_std(group.outputs, look.digits))]
    if differentiated and group.role != "data":
        of = " (parameters)" if group.parameters and group.role == "value" else ""
        figures.append(("gradient", "grad", colors.gradient, norm_text(group.gradients, look.digits) + of))
    for kind, word, ink, content in figures:
        words = font(f"<I>{word}</I>", ink, 10) + font(f"&#160;&#160;{content}&#160;", ink, 11)
        lines.append(cell(words, cellpadding=2, **look.handle(f"{kind}-{group.id}")))
    lines += [
        cell(font(line, colors.alarm_ink, 11), cellpadding=2, bgcolor=colors.alarm)
        for line in box_alarms(group)
    ]
    border = 2 if group.role == "parameter" else 1
    return framed(*map(row, lines), border=border, color=frame, ground=colors.card)


def box_alarms(group: DrawnBox) -> Iterable[str]:
    """What a gradient check, or another graph, says of the values in a box."""
    failed = sum(numeric.failed for numeric in group.numeric if not isinstance(numeric, Different))
    differ = sum(isinstance(numeric, Different) for numeric in group.numeric)
    alarms = {f"✗ {counted(failed, 'wrong gradient')}": failed, "✗ a rule is wrong": group.wrong}
    alarms[f"≠ {counted(differ, 'array')} inside differ{'s' * (differ == 1)}"] = differ
    return filter(alarms.get, alarms)


def box_outputs(group: DrawnBox, look: Look) -> list[str]:
    """The values that leave a box: names and shape, and the image of one that is."""
    shapes = {size(np.shape(x)) for x in group.outputs}
    out = ", ".join(f"<B>{text(name)}</B>" for name in group.named)
    if len(shapes) == 1:
        out += font(f"&#160;&#160;{shapes.pop()}&#160;", look.colors.muted, 11)
    arrow = font("→&#160;", look.colors.muted)
    lines = [cell(f"&#160;{arrow}{out}&#160;", cellpadding=2)] * bool(group.named)
    if len(group.outputs) == 1 and is_image(np.shape(group.outputs[0])):
        lines.append(cell(image_of("value", group.outputs[0], look.colors), cellpadding=2))
    return lines


def facts(group: DrawnBox) -> str:
    """`80 ops · 48 parameters · 16 out`."""
    if group.role != "value":
        return f"{len(group.members)} {'inputs' if group.role == 'data' else 'parameters'}"
    count, out = sum(count for _, count in group.gates), len(group.outputs) * (not group.named)
    parts = counted(count, "op"), counted(group.parameters, "parameter") * bool(group.parameters)
    return " · ".join(filter(None, [*parts, f"{out} out" * bool(out)]))


def ops(group: DrawnBox) -> str:
    """`×: 32   +: 32   max(0, ·): 16`."""
    parts = [f"{text(gate)}:&#160;<B>{count}</B>" for gate, count in group.gates[:GATES]]
    left = len(group.gates) - GATES
    return "&#160;&#160;&#160;".join([*parts, f"and {counted(left, 'other')}"] if left > 0 else parts)


def mean_and_std(arrays: Iterable[Array], digits: int) -> str:
    """A single number, or mean and standard deviation of many."""
    every = flat(arrays := list(arrays))
    if not every.size:
        return DASH
    if every.size == 1:
        return number(every[0], digits + 1)
    mean, std = moments(every, np.result_type(*(x.dtype for x in arrays)))
    return f"μ {number(mean, digits)} · σ {number(std, digits)}"


def spread_of(arrays: Iterable[Array], digits: int) -> list[str]:
    """Mean and standard deviation of all elements, and if they differ the ends of their range."""
    every = flat(arrays)
    if not every.size:
        return [DASH]
    middle, around = moments(every)
    if not around:
        return [number(middle, digits)]
    ends = f"{number(every.min(), digits)} to {number(every.max(), digits)}"
    return [f"{number(middle, digits)} ± {number(around, digits)}", ends]


def norm_text(arrays: Iterable[Array], digits: int) -> str:
    """The Euclidean length of all gradients together."""
    every = flat(arrays)
    if not every.size:
        return DASH
    top = float(np.max(np.abs(every)))
    length = top * np.linalg.norm(every / top) if top and math.isfinite(top) else top
    return f"‖grad‖ {number(length, digits)}"


def flat(arrays: Iterable[Array]) -> np.ndarray:
    """All numbers in one row; none where one array is lazy or on another device."""
    known = [concrete(x) for x in arrays]
    rows = [np.ravel(x).astype(float) for x in known if x is not None]
    return np.concatenate([np.zeros(0), *rows] if len(rows) == len(known) else [np.zeros(0)])
