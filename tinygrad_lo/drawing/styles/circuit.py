"""Values as a circuit: a gate in a circle, and behind it the wire with the value above and the
gradient below.

The pair of numbers is a small table: the border under its first cell is the wire.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_lo.drawing.contents import Contents, DrawnValue
from tinygrad_lo.drawing.passes.flow import concrete
from tinygrad_lo.drawing.passes.numeric import Numeric
from tinygrad_lo.drawing.styles.boxes import norm_text
from tinygrad_lo.drawing.styles.style import Style
from tinygrad_lo.drawing.styles.text import DASH, Look, font, handle, more_uses, text
from tinygrad_lo.explaining.formula import number, size

ROUND = 6  # characters that fit into a circle; they need no spaces between them
GATE_POINTS = {1: 15, 2: 13, 3: 12}  # the size of its text
LONGEST_GATE = 40
ALARM = "⚠ "
WIRE_TABLE = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2">'
SMALL_CIRCUIT = 16  # values of a circuit whose edges have room for labels
LABEL = 30  # points that the label of an edge takes, about


class Circuit(Style):
    """Gates in circles, the numbers on the wires between them."""

    gaps = "ranksep=0.22 nodesep=0.14"
    widest = 2.2
    nodes = 2

    def __init__(self, contents: Contents, look: Look) -> None:
        self.labelled = len(contents.values) <= SMALL_CIRCUIT
        self.gap = LABEL if self.labelled else 0
        super().__init__(contents, look)

    def label(self, value: DrawnValue) -> str:
        """The label of a value's node."""
        return wire_label(value, self.look, differentiated=self.contents.differentiated, turned=self.turned)

    def lines(self, value: DrawnValue) -> list[str]:
        """The value, its gate, and the wire between them."""
        parts = [gate(value, self.look), wire(value, turned=self.turned)] if value.gate else []
        return super().lines(value) + parts

    def breadths(self) -> dict[str, int]:
        """About how many points values take from left to right."""
        return {value.id: self.breadth(value) for value in self.contents.values}

    def breadth(self, value: DrawnValue) -> int:
        """About how many points a value takes from left to right, its gate and the gaps with it."""
        figures = max(value_at_wire(value, self.look)[1], gradient_at_wire(value, self.look)[1])
        name = len(value.name) if value.given or not value.gate else 0
        around = 62 + 5 * len(value.gate) if value.gate else 20
        return character(value) * figures + 6 * min(name, LONGEST_GATE) + around

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


def gate(value: DrawnValue, look: Look) -> str:
    """The DOT node `g5` of the gate that makes value `n5`."""
    colors = look.colors
    name, word = gate_id(value), value.gate
    if len(word) <= ROUND:
        word = word.replace(" ", "")  # +1, ×λ
    points = GATE_POINTS.get(len(word), 10)
    if len(word) <= ROUND:
        wide = max(0.36, 0.14 + 0.0085 * points * len(word) * 0.72)
        form = f"shape=circle style=filled fixedsize=true width={wide:.2f}"
    else:
        form = 'shape=box style="rounded,filled" margin="0.09,0.05" height=0.3'
    line, ground, ink = colors.edge, colors.gate, colors.ink
    if value.wrong:
        line = ink = colors.alarm_ink
        ground = colors.alarm
    about = f"{value.name} = {value.formula}" + (": its rule is wrong" if value.wrong else "")
    label = font(text(word, LONGEST_GATE), ink, points)
    return (
        f'{name} [id="{name}" {form} color="{line}" fillcolor="{ground}" penwidth=1.2'
        f' tooltip="{text(about, 200)}" label=<{label}>]'
    )


def gate_id(value: DrawnValue) -> str:
    """The name of a value's gate."""
    return f"g{value.id.removeprefix('n')}"


def wire(value: DrawnValue, *, turned: bool) -> str:
    """From the gate to its number. The class tells it from the edges of the graph."""
    out, into = ("s", "n") if turned else ("e", "w")
    return (
        f'{gate_id(value)}:{out} -> {value.id}:{into} [id="w{value.id.removeprefix("n")}" class="wire"'
        f' arrowhead=none weight=8 tooltip="{text(value.name)}"]'
    )


def wire_label(value: DrawnValue, look: Look, *, differentiated: bool, turned: bool) -> str:
    """The label of value `n5`: its number on the wire, its gradient under it, and its name."""
    above, size_above = value_at_wire(value, look)
    below, size_below = gradient_at_wire(value, look) if differentiated else ("&#160;", 1)
    name = name_at_wire(value, look)
    ground = f' BGCOLOR="{look.colors.alarm}"' if has_failed(value) else ""
    border = f'BORDER="1" COLOR="{look.colors.edge}"'

    def row(upper: str, lower: str, between: str) -> str:
        first = handle(upper, f"value-{value.id}", look)
        return first + between + handle(lower, f"gradient-{value.id}", look)

    if turned:
        # The two halves are equally large, so that the border between them meets the edges.
        half = f'WIDTH="{character(value) * max(size_above, size_below) + 6}" ALIGN='
        title = f'<TR><TD COLSPAN="2">{name}</TD></TR>' if name else ""
        upper = f'<TD {border} SIDES="R" {half}"RIGHT">{above}</TD>'
        cells = row(upper, f'<TD {half}"LEFT"{ground}>{below}</TD>', "")
        return f"{WIRE_TABLE}{title}<TR>{cells}</TR></TABLE>"
    first, inner, last = beside_wire(value, name)
    upper = f'<TD {border} SIDES="B">{inner}{above}</TD>'
    cells = row(upper, f"<TD{ground}>{below}</TD>", f"{last}</TR><TR>")
    return f"{WIRE_TABLE}<TR>{first}{cells}</TR></TABLE>"


def beside_wire(value: DrawnValue, name: str) -> tuple[str, str, str]:
    """The name before the wire (of leaves), on it, or behind it (of the root)."""
    if not name:
        return "", "", ""
    if value.role in ("loss", "result"):
        return "", "", f'<TD ROWSPAN="2">&#160;{name}</TD>'
    if value.gate:
        return "", f"{name}&#160;", ""
    return f'<TD ROWSPAN="2">{name}&#160;</TD>', "", ""


def has_failed(value: DrawnValue) -> bool:
    """Whether a gradient check disagrees."""
    return value.numeric is not None and value.numeric.failed > 0


def character(value: DrawnValue) -> int:
    """About how many points a character of its numbers is wide."""
    return 6 if np.shape(value.data) else 7


def mean_text(value: DrawnValue, digits: int) -> str:
    """The mean of an array, as text."""
    known = concrete(value.data)
    if known is None or not known.size:
        return DASH
    with np.errstate(all="ignore"):
        return number(known.astype(float).mean(), digits)


def name_at_wire(value: DrawnValue, look: Look) -> str:
    """The name, where the reader needs one: of leaves, of the loss, and where the user gave one."""
    colors, name = look.colors, text(value.name)
    if value.gate and value.role == "value":
        return font(f"<I>{name}</I>", colors.ink if value.focus else colors.muted, 10) if value.given else ""
    bold = font(f"<B>{name}</B>", colors.role(value.role)[2], 13)
    if not value.unseen:
        return bold
    return bold + font(text(f" ({more_uses(value.unseen)})"), colors.muted, 9)


def value_at_wire(value: DrawnValue, look: Look) -> tuple[str, int]:
    """The value as text, and about how long it is; an array by its shape and mean."""
    shape = np.shape(value.data)
    if shape:
        word = f"{size(shape)} · μ {mean_text(value, look.digits)}"
        return font(text(word), look.colors.value, 11), len(word)
    return single(concrete(value.data), look.colors.value, look)


def gradient_at_wire(value: DrawnValue, look: Look) -> tuple[str, int]:
    """The gradient as text, and about how long it is; with what a gradient check found."""
    if not value.expects:
        return "&#160;", 1
    known = None if value.gradient is None else concrete(value.gradient)
    ink = look.colors.alarm_ink if has_failed(value) else look.colors.gradient
    if np.shape(value.data) and known is not None:
        word = norm_text([known], look.digits).replace("grad", "·")
        content, long = font(text(word), ink, 11), len(word)
    else:
        content, long = single(known, ink, look)
    if value.numeric is not None:
        mark, more = mark_at_wire(value.numeric, ink, look)
        return content + mark, long + more
    return content, long


def mark_at_wire(numeric: Numeric, ink: str, look: Look) -> tuple[str, int]:
    """What differences say of the gradient."""
    word = numeric.mark
    if not numeric.values.ndim and np.isfinite(numeric.values):
        word += f" {number(numeric.values, look.digits + 1)}"
    return font(f"&#160;<B>{text(word)}</B>", ink, 10), len(word)


def single(value: Any, ink: str, look: Look) -> tuple[str, int]:
    """One number on or under the wire; nan and infinities are loud."""
    if value is None:
        return font(DASH, look.colors.muted), 1
    word = number(value, look.digits + 1)
    if np.isfinite(value):
        return font(word, ink), len(word)
    return f"<B>{font(f'{ALARM}{word}', ink)}</B>", len(word) + 2
