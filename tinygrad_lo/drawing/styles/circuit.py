"""Values as a circuit: a gate in a circle, behind it the wire, with the value above, the gradient below.

The pair of numbers is a small table: the border under its first cell is the wire.
"""

from __future__ import annotations

import numpy as np

from tinygrad_lo.drawing.contents import Contents, DrawnValue
from tinygrad_lo.drawing.passes.flow import concrete
from tinygrad_lo.drawing.styles.labels import cell, font, row, table
from tinygrad_lo.drawing.styles.style import DASH, Look, Style, text
from tinygrad_lo.engine.graph import Array
from tinygrad_lo.explaining.explain import counted
from tinygrad_lo.explaining.formula import number, size

ROUND = 6  # characters that fit into a circle; they need no spaces between them
GATE_POINTS = {1: 15, 2: 13, 3: 12}  # the size of its text
LONGEST_GATE = 40
ALARM = "⚠ "
LIVE_WIRE = 50  # points
SMALL_CIRCUIT = 16  # values of a circuit whose edges have room for labels
LABEL = 30  # points that the label of an edge takes, about


class Circuit(Style):
    """Gates in circles, the numbers on the wires between them."""

    gaps = "ranksep=0.22 nodesep=0.14"
    widest = 2.2
    nodes = 2
    page = 1600  # its numbers are larger

    def __init__(self, contents: Contents, look: Look) -> None:
        self.labelled = len(contents.values) <= SMALL_CIRCUIT
        self.gap = LABEL if self.labelled else 0
        super().__init__(contents, look)

    def label(self, value: DrawnValue) -> str:
        """Its number on the wire, its gradient under it, and its name."""
        above, below, mark = texts(value, self.look)
        ink, ground = self.colors.gradient, ""
        if any(numeric.failed for numeric in value.numeric if numeric.kind == "gradient"):
            ink, ground = self.colors.alarm_ink, self.colors.alarm
        over, under = self.number(value, above, self.colors.value), self.number(value, below, ink)
        under += font(f"&#160;<B>{text(mark)}</B>", ink, 10) if mark else ""
        name = self.name(value)
        wire = {"border": 1, "color": self.colors.edge}
        upper, lower = self.look.handle(f"value-{value.id}"), self.look.handle(f"gradient-{value.id}")
        if self.turned:
            # The two halves are equally large, so that the border between them meets the edges.
            half = character(value) * longest(value, self.look) + 6
            left = cell(over, **wire, sides="R", width=half, align="RIGHT", **upper)
            right = cell(under, width=half, align="LEFT", bgcolor=ground, **lower)
            rows = [row(cell(name, colspan=2))] if name else []
            rows.append(row(left, right))
        else:
            first, inner, last = beside_wire(value, name)
            room = {"width": LIVE_WIRE} if self.look.handles else {}  # for other numbers
            rows = [row(first, cell(inner + over, **wire, sides="B", **room, **upper), last)]
            rows.append(row(cell(under, bgcolor=ground, **lower)))
        return table(*rows, cellpadding=2)

    def number(self, value: DrawnValue, word: str, ink: str) -> str:
        """A number in its ink; nan and infinities are loud."""
        if not word:
            return "&#160;"
        if word == DASH:
            return font(word, self.colors.muted)
        content = font(text(word), ink, 11 if np.shape(value.data) else 0)
        return f"<B>{content}</B>" if word.startswith(ALARM) else content

    def name(self, value: DrawnValue) -> str:
        """The name, where the reader needs one: of leaves, of the loss, and where the user gave one."""
        name = text(value.name)
        if value.gate and value.role == "value":
            ink = self.colors.ink if value.focus else self.colors.muted
            return font(f"<I>{name}</I>", ink, 10) if value.given else ""
        bold = font(f"<B>{name}</B>", self.colors.role(value.role)[2], 13)
        if not value.unseen:
            return bold
        return bold + font(text(f" ({counted(value.unseen, 'more use')})"), self.colors.muted, 10)

    def lines(self, value: DrawnValue) -> list[str]:
        """The value, its gate `g5`, and the wire between them, whose class tells it from edges."""
        if not value.gate:
            return super().lines(value)
        out, into = ("s", "n") if self.turned else ("e", "w")
        wire = (
            f'{gate_id(value)}:{out} -> {value.id}:{into} [id="w{value.id.removeprefix("n")}" class="wire"'
            f' arrowhead=none weight=8 tooltip="{text(value.name)}"]'
        )
        return [*super().lines(value), self.gate(value), wire]

    def gate(self, value: DrawnValue) -> str:
        """The DOT node of the gate that makes the value."""
        name, word = gate_id(value), value.gate
        if len(word) <= ROUND:
            word = word.replace(" ", "")  # +1, ×λ
        points = GATE_POINTS.get(len(word), 10)
        form = 'shape=box style="rounded,filled" margin="0.09,0.05" height=0.3'
        if len(word) <= ROUND:
            wide = max(0.36, 0.14 + 0.0085 * points * len(word) * 0.72)
            form = f"shape=circle style=filled fixedsize=true width={wide:.2f}"
        about, line, ground, ink = value.formula, self.colors.edge, self.colors.gate, self.colors.ink
        if value.wrong:
            line = ink = self.colors.alarm_ink
            about, ground = f"{about}: its rule is wrong", self.colors.alarm
        label = font(text(word, LONGEST_GATE), ink, points)
        return (
            f'{name} [id="{name}" {form} color="{line}" fillcolor="{ground}" penwidth=1.2'
            f' tooltip="{text(f"{value.name} = {about}", 200)}" label=<{label}>]'
        )

    def breadths(self) -> dict[str, int]:
        """About how many points values take from left to right, their gates and the gaps with them."""
        breadths = {}
        for value in self.contents.values:
            name = len(value.name) if value.given or not value.gate else 0
            around = 62 + 5 * len(value.gate) if value.gate else 20
            numbers = character(value) * longest(value, self.look)
            breadths[value.id] = numbers + 6 * min(name, LONGEST_GATE) + around
        return breadths

    def ports(self) -> tuple[dict[str, str], dict[str, str]]:
        """Edges leave a value at the end of its wire and enter its gate."""
        side = "s" if self.turned else "e"
        values = self.contents.values
        heads = {value.id: gate_id(value) for value in values if value.gate}
        return {value.id: f"{value.id}:{side}" for value in values}, heads

    def role_mark(self, role: str) -> str:
        """A name as it stands at the wire."""
        return font(f"<B>{role}</B>", self.colors.role(role)[2])

    def places(self) -> tuple[str, str]:
        """Value and gradient stand on two sides of the wire."""
        if self.turned:
            return "&#160;left of the wire,", "&#160;right of it,"
        return "&#160;on the wire,", "&#160;under it,"


def gate_id(value: DrawnValue) -> str:
    """The name of a value's gate."""
    return f"g{value.id.removeprefix('n')}"


def beside_wire(value: DrawnValue, name: str) -> tuple[str, str, str]:
    """The name before the wire (of leaves), on it, or behind it (of the root)."""
    if not name:
        return "", "", ""
    if value.role in ("loss", "result"):
        return "", "", cell(f"&#160;{name}", rowspan=2)
    if value.gate:
        return "", f"{name}&#160;", ""
    return cell(f"{name}&#160;", rowspan=2), "", ""


def character(value: DrawnValue) -> int:
    """About how many points a character of its numbers is wide."""
    return 6 if np.shape(value.data) else 7


def longest(value: DrawnValue, look: Look) -> int:
    """About how many characters stand on the wire, or under it."""
    above, below, mark = texts(value, look)
    return max(len(above), len(below + mark))


def texts(value: DrawnValue, look: Look) -> tuple[str, str, str]:
    """The value, its gradient, and what differences say of that; an array by shape and largest element."""
    above, mark, shape = wire_text(value.data, look), "", np.shape(value.data)
    if shape:
        above = f"{size(shape)} · {above}"
    for numeric in value.numeric:
        note = numeric.mark
        if not shape and np.isfinite(numeric.values):
            note += f" {number(numeric.values, look.digits + 1)}"
        if numeric.kind == "value":
            above += f" {note}"
        else:
            mark = note
    return above, wire_text(value.gradient, look) if value.expects else "", mark


def wire_text(x: Array | None, look: Look) -> str:
    """One number, or of an array the element with the largest magnitude; loud if it is not finite."""
    known = None if x is None else concrete(x)
    if known is None or not known.size:
        return DASH
    top = known.flat[int(np.argmax(np.abs(known)))]
    word = number(top, look.digits + (not known.ndim))
    if not np.isfinite(top):
        return ALARM + word
    if not known.ndim:
        return word
    return f"all {word}" if (known == top).all() else f"largest {word}"
