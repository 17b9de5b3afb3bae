"""One value as a card: `name = formula  shape`, and below it value and gradient side by side.

A card is an HTML-like label of Graphviz. What a user wrote (names of tensors, scopes, titles) enters
it through `text` and nowhere else.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.drawing.colors import Colors
from tinygrad_lo.drawing.contents import Value, concrete
from tinygrad_lo.engine.graph import Array
from tinygrad_lo.explaining.formula import number, one_line, size

LONGEST_NAME = 40
LONGEST_FORMULA = 60
DASH = "–"  # a gradient that was not computed; it is never 0


@dataclass(frozen=True, slots=True)
class Look:
    """How to draw: colours, the largest side of a table, significant digits."""

    colors: Colors
    max_cells: int
    digits: int


def shown(written: str, longest: int = LONGEST_NAME) -> str:
    """A name as it is drawn: in one line, without characters that no font has, and not too long."""
    plain = one_line(written)
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"


def text(written: str, longest: int = LONGEST_NAME) -> str:
    r"""What a user wrote, so that Graphviz shows it as it stands, in labels and in tooltips.

    Graphviz reads markup, then escapes such as \N (the node's own name), and drops spaces at the
    ends of a run.
    """
    escaped = html.escape(shown(written, longest).replace("\\", "\\\\"))
    return re.sub("^ | (?= )| $", "&#160;", escaped) or "&#160;"


def font(content: str, color: str, points: int = 0) -> str:
    """Content in a colour, and in another size than the rest."""
    points_text = f' POINT-SIZE="{points}"' if points else ""
    return f'<FONT COLOR="{color}"{points_text}>{content}</FONT>'


def card(value: Value, look: Look) -> str:
    """The label of one value's node."""
    colors = look.colors
    frame, ground, border = {
        "parameter": (colors.parameter, colors.parameter_header, 2),
        "loss": (colors.loss, colors.loss_header, 2),
        "data": (colors.frame, colors.data_header, 1),
        "constant": (colors.frame, colors.data_header, 1),
    }.get(value.role, (colors.frame, colors.header, 1))
    columns = [("value", "value", value.data)]
    if value.also is not None:
        columns.append((text(value.also[0]), "value", value.also[1]))
    if value.expects:
        columns.append(("grad", "gradient", value.gradient))
    tables = [numbers(kind, data, np.shape(value.data), look) for _, kind, data in columns]
    captions = ""
    if len(columns) > 1:
        captions = "".join(
            f'<TD CELLPADDING="1">{font(f"<I>{word}</I>", getattr(colors, kind), 9)}</TD>'
            for word, kind, _ in columns
        )
        captions = f"<TR>{captions}</TR>"
    title = f'<TD COLSPAN="{len(columns)}" BGCOLOR="{ground}">{header(value, colors)}</TD>'
    return (
        f'<TABLE BORDER="{border}" COLOR="{frame}" BGCOLOR="{colors.card}" CELLBORDER="0" CELLSPACING="0"'
        f' CELLPADDING="4"><TR>{title}</TR>'
        f"{captions}<TR>{''.join(tables)}</TR></TABLE>"
    )


def header(value: Value, colors: Colors) -> str:
    """The line `name = formula  shape`; leaves say what they are instead of a formula."""
    emphasis = "B" if value.given else "I"
    parts = font(f"<{emphasis}>{text(value.name)}</{emphasis}>", colors.ink)
    notes = [size(np.shape(value.data))] if np.shape(value.data) else []
    if value.formula:
        parts += font(f"&#160;= {text(value.formula, LONGEST_FORMULA)}", colors.muted)
    else:
        notes.insert(0, value.role)
    if value.unseen:
        notes.append(f"{value.unseen} more use{'s' * (value.unseen > 1)} not drawn")
    if notes:
        parts += font(f"&#160;&#160;{' · '.join(notes)}", colors.muted, 10)
    return parts


# ------------------------------------------------------------------------------------- numbers


def numbers(kind: str, data: Array | None, shape: tuple[int, ...], look: Look) -> str:
    """The cell with a value or a gradient: a number, a table, or what summarizes a large array."""
    known = None if data is None else concrete(data)
    if not shape:
        return cell(kind, known, look, "4")
    if 0 in shape:
        return f'<TD CELLPADDING="4">{font("empty", look.colors.muted, 11)}</TD>'
    if len(shape) > 2 or max(shape) > look.max_cells:
        return summary(kind, known, look)
    if known is None:
        return f'<TD CELLPADDING="4">{font(DASH, look.colors.muted, 11)}</TD>'
    return heat_table(kind, np.atleast_2d(known), look)


def cell(kind: str, value: ndarray[Any, Any] | None, look: Look, padding: str) -> str:
    """One number by itself: bold, with a digit more than in tables."""
    if value is None:
        return f'<TD CELLPADDING="{padding}">{font(DASH, look.colors.muted)}</TD>'
    ink, ground = loud(value, getattr(look.colors, kind), look.colors)
    content = font(f"<B>{number(value, look.digits + 1)}</B>", ink, 12)
    return f'<TD CELLPADDING="{padding}"{ground}>{content}</TD>'


def loud(value: Any, ink: str, colors: Colors) -> tuple[str, str]:
    """Ink and background of a number, which for nan and infinities are an alarm."""
    if np.isfinite(value):
        return ink, ""
    return colors.alarm_ink, f' BGCOLOR="{colors.alarm}"'


def heat_table(kind: str, rows: ndarray[Any, Any], look: Look) -> str:
    """An array as a table whose cells are tinted by size; exact zeros are grey and not tinted."""
    colors = look.colors
    magnitudes = np.abs(rows.astype(float))
    finite = magnitudes[np.isfinite(magnitudes)]
    top = float(finite.max()) if finite.size else 0.0
    lines = []
    for row, sizes in zip(rows.tolist(), magnitudes.tolist(), strict=True):
        cells = []
        for value, magnitude in zip(row, sizes, strict=True):
            ink, ground = loud(magnitude, getattr(colors, kind) if magnitude else colors.muted, colors)
            if magnitude and not ground:
                ground = f' BGCOLOR="{colors.heat(kind, magnitude / top)}"'
            cells.append(f"<TD{ground}>{font(number(value, look.digits), ink)}</TD>")
        lines.append(f"<TR>{''.join(cells)}</TR>")
    return table(lines)


def summary(kind: str, known: ndarray[Any, Any] | None, look: Look) -> str:
    """Mean, standard deviation, smallest and largest element of an array too large for a table."""
    colors = look.colors
    found: list[Any] = [None] * 4
    if known is not None:
        with np.errstate(all="ignore"):  # the std of infinities is nan, and shown as such
            wide = known.astype(float)
            found = [wide.mean(), wide.std(), wide.min(), wide.max()]
    lines = []
    for word, value in zip(("mean", "std", "min", "max"), found, strict=True):
        # The words stand once, left of the values; the gradients' rows are as high.
        title = f'<TD ALIGN="LEFT">{font(word, colors.muted)}</TD>' if kind == "value" else ""
        ink, ground = (colors.muted, "") if value is None else loud(value, getattr(colors, kind), colors)
        content = DASH if value is None else number(value, look.digits)
        lines.append(f"<TR>{title}<TD{ground}>{font(content, ink)}</TD></TR>")
    return table(lines)


def table(rows: Iterable[str]) -> str:
    """Rows as a table inside a cell."""
    inner = f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="1" CELLPADDING="3">{"".join(rows)}</TABLE>'
    return f'<TD CELLPADDING="4"><FONT POINT-SIZE="11">{inner}</FONT></TD>'
