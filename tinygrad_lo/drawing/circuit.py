"""Values as a circuit: a gate in a circle, and behind it the wire with the value above and the
gradient below.

The pair of numbers is a small table: the border under its first cell is the wire.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_lo.drawing.cards import DASH, Look, font, handle, text
from tinygrad_lo.drawing.colors import Colors
from tinygrad_lo.drawing.contents import Value
from tinygrad_lo.drawing.flow import concrete
from tinygrad_lo.drawing.numeric import Numeric
from tinygrad_lo.drawing.overview import length
from tinygrad_lo.explaining.formula import number, size

ROUND = 6  # characters that fit into a circle; they need no spaces between them
POINTS = {1: 15, 2: 13, 3: 12}  # the size of its text
LONGEST = 40
ALARM = "⚠ "
TABLE = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2">'


def gate(value: Value, look: Look) -> str:
    """The DOT node `g5` of the gate that makes value `n5`."""
    colors = look.colors
    name, word = gate_id(value), value.gate
    if len(word) <= ROUND:
        word = word.replace(" ", "")  # +1, ×λ
    points = POINTS.get(len(word), 10)
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
    label = font(text(word, LONGEST), ink, points)
    return (
        f'{name} [id="{name}" {form} color="{line}" fillcolor="{ground}" penwidth=1.2'
        f' tooltip="{text(about, 200)}" label=<{label}>]'
    )


def gate_id(value: Value) -> str:
    """The name of a value's gate."""
    return f"g{value.id.removeprefix('n')}"


def wire(value: Value, *, turned: bool) -> str:
    """From the gate to its number. The class tells it from the edges of the graph."""
    out, into = ("s", "n") if turned else ("e", "w")
    return (
        f'{gate_id(value)}:{out} -> {value.id}:{into} [id="w{value.id.removeprefix("n")}" class="wire"'
        f' arrowhead=none weight=8 tooltip="{text(value.name)}"]'
    )


def pair(value: Value, look: Look, *, differentiated: bool, turned: bool) -> str:
    """The label of value `n5`: its number on the wire, its gradient under it, and its name.

    The two halves are equally large, so that the border between them meets the edges.
    """
    above, size_above = forward(value, look)
    below, size_below = backward(value, look) if differentiated else ("&#160;", 1)
    name = named(value, look.colors)
    failed = value.numeric is not None and value.numeric.failed
    ground = f' BGCOLOR="{look.colors.alarm}"' if failed else ""
    border = f'BORDER="1" COLOR="{look.colors.edge}"'
    if turned:
        wide = character(value) * max(size_above, size_below) + 6
        title = f'<TR><TD COLSPAN="2">{name}</TD></TR>' if name else ""
        half = f'WIDTH="{wide}" ALIGN='
        lower = handle(f'<TD {half}"LEFT"{ground}>{below}</TD>', f"gradient-{value.id}", look)
        upper = handle(f'<TD {border} SIDES="R" {half}"RIGHT">{above}</TD>', f"value-{value.id}", look)
        row = upper + lower
        return f"{TABLE}{title}<TR>{row}</TR></TABLE>"
    first = last = between = ""
    if name and value.role in ("loss", "result"):
        last = f'<TD ROWSPAN="2">&#160;{name}</TD>'
    elif name and value.gate:
        between = f"{name}&#160;"
    elif name:
        first = f'<TD ROWSPAN="2">{name}&#160;</TD>'
    upper = handle(f'<TD {border} SIDES="B">{between}{above}</TD>', f"value-{value.id}", look)
    lower = handle(f"<TD{ground}>{below}</TD>", f"gradient-{value.id}", look)
    return f"{TABLE}<TR>{first}{upper}{last}</TR><TR>{lower}</TR></TABLE>"


def breadth(value: Value, look: Look) -> int:
    """About how many points a value takes from left to right, its gate and the gaps with it."""
    numbers = max(forward(value, look)[1], backward(value, look)[1])
    name = len(value.name) if value.given or not value.gate else 0
    return (
        character(value) * numbers
        + 6 * min(name, LONGEST)
        + (42 + 5 * len(value.gate) if value.gate else 0)
        + 20
    )


def character(value: Value) -> int:
    """About how many points a character of its numbers is wide."""
    return 6 if np.shape(value.data) else 7


def mean(value: Value, digits: int) -> str:
    """The mean of an array, as text."""
    known = concrete(value.data)
    if known is None or not known.size:
        return DASH
    with np.errstate(all="ignore"):
        return number(known.astype(float).mean(), digits)


def named(value: Value, colors: Colors) -> str:
    """The name, where the reader needs one: of leaves, of the loss, and where the user gave one."""
    inks = {"parameter": colors.parameter_ink, "loss": colors.loss_ink}
    name = text(value.name)
    if value.gate and value.role == "value":
        return font(f"<I>{name}</I>", colors.ink if value.focus else colors.muted, 10) if value.given else ""
    more = f" ({value.unseen} more use{'s' * (value.unseen > 1)})" if value.unseen else ""
    bold = font(f"<B>{name}</B>", inks.get(value.role, colors.muted), 13)
    return bold + (font(text(more), colors.muted, 9) if more else "")


def forward(value: Value, look: Look) -> tuple[str, int]:
    """The value as text, and about how long it is; an array by its shape and mean."""
    shape = np.shape(value.data)
    if shape:
        word = f"{size(shape)} · μ {mean(value, look.digits)}"
        return font(text(word), look.colors.value, 11), len(word)
    return single(concrete(value.data), look.colors.value, look)


def backward(value: Value, look: Look) -> tuple[str, int]:
    """The gradient as text, and about how long it is; with what a gradient check found."""
    if not value.expects:
        return "&#160;", 1
    known = None if value.gradient is None else concrete(value.gradient)
    failed = value.numeric is not None and value.numeric.failed
    ink = look.colors.alarm_ink if failed else look.colors.gradient
    if np.shape(value.data) and known is not None:
        word = length([known], look.digits).replace("grad", "·")
        content, long = font(text(word), ink, 11), len(word)
    else:
        content, long = single(known, ink, look)
    if value.numeric is not None:
        mark, more = compared(value.numeric, ink, look)
        return content + mark, long + more
    return content, long


def compared(numeric: Numeric, ink: str, look: Look) -> tuple[str, int]:
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
