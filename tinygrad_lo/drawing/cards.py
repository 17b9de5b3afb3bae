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
from tinygrad_lo.drawing.contents import Value
from tinygrad_lo.drawing.flow import concrete
from tinygrad_lo.drawing.numeric import Numeric
from tinygrad_lo.engine.graph import Array
from tinygrad_lo.explaining.formula import number, one_line, size

LONGEST_NAME = 40
LONGEST_FORMULA = 60
DIGIT = 6  # points that a digit is wide, about
NARROWEST = 18  # points; the columns of a table are equally wide
DASH = "–"  # a gradient that was not computed; it is never 0


@dataclass(frozen=True, slots=True)
class Look:
    """How to draw: colours, the largest side of a table, significant digits.

    handles: whether numbers get ids, by which the page that steps through a graph finds them.
    """

    colors: Colors
    max_cells: int
    digits: int
    handles: bool = False


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
    columns = [("value", "value", value.data)]
    if value.also is not None:
        columns.append((text(value.also[0]), "value", value.also[1]))
    if value.expects:
        columns.append(("grad", "gradient", value.gradient))
    shape = np.shape(value.data)
    tables = [
        handle(numbers(kind, data, shape, look), f"{kind}-{value.id}", look, look.colors.card)
        if i != 1 or value.also is None
        else numbers(kind, data, shape, look)
        for i, (_, kind, data) in enumerate(columns)
    ]
    captions = [caption(word, getattr(look.colors, kind)) for word, kind, _ in columns]
    if value.numeric is not None:
        compared = numbers("gradient", value.numeric.values, shape, look, value.numeric.failures)
        tables.append(handle(compared, f"numeric-{value.id}", look))
        captions.append(verdict(value.numeric, look.colors))
    row = f"<TR>{''.join(captions)}</TR>" if len(captions) > 1 else ""
    return framed(value, len(captions), f"{row}<TR>{''.join(tables)}</TR>", look.colors)


def framed(value: Value, columns: int, rows: str, colors: Colors) -> str:
    """The frame of a card, its header, and the rows below."""
    frame, ground, border = {
        "parameter": (colors.parameter, colors.parameter_header, 2),
        "loss": (colors.loss, colors.loss_header, 2),
        "data": (colors.frame, colors.data_header, 1),
        "constant": (colors.frame, colors.data_header, 1),
    }.get(value.role, (colors.frame, colors.header, 1))
    if value.focus:
        frame, border = colors.ink, 3
    return (
        f'<TABLE BORDER="{border}" COLOR="{frame}" BGCOLOR="{colors.card}" CELLBORDER="0" CELLSPACING="0"'
        f' CELLPADDING="4"><TR><TD COLSPAN="{columns}" BGCOLOR="{ground}">{header(value, colors)}</TD></TR>'
        f"{rows}</TABLE>"
    )


def caption(word: str, ink: str) -> str:
    """The cell above a table that says what it holds."""
    return f'<TD CELLPADDING="1">{font(f"<I>{word}</I>", ink, 9)}</TD>'


def verdict(numeric: Numeric, colors: Colors) -> str:
    """The caption of a numeric gradient: a tick, or a cross that cannot be overlooked."""
    ink, ground = colors.gradient, ""
    if numeric.failed:
        ink, ground = colors.alarm_ink, f' BGCOLOR="{colors.alarm}"'
    words = font(f"<I>numeric</I>&#160;<B>{numeric.mark}</B>", ink, 9)
    return f'<TD CELLPADDING="1"{ground}>{words}</TD>'


def header(value: Value, colors: Colors) -> str:
    """The line `name = formula  shape`; leaves say what they are instead of a formula."""
    emphasis = "B" if value.given else "I"
    parts = font(f"<{emphasis}>{text(value.name)}</{emphasis}>", colors.ink)
    notes = [size(np.shape(value.data))] if np.shape(value.data) else []
    if value.formula:
        parts += font(f"&#160;= {text(value.formula, LONGEST_FORMULA)}", colors.muted)
    else:
        notes.insert(0, value.role)
    if value.formula and value.data.dtype == bool:
        notes.append("passes no gradient")
    if value.wrong:
        notes.append("✗ its rule is wrong")
    if value.unseen:
        notes.append(f"{value.unseen} more use{'s' * (value.unseen > 1)} not drawn")
    if notes:
        parts += font(f"&#160;&#160;{' · '.join(notes)}", colors.muted, 10)
    return parts


# ------------------------------------------------------------------------------------- numbers


def numbers(
    kind: str, data: Array | None, shape: tuple[int, ...], look: Look, wrong: ndarray[Any, Any] | None = None
) -> str:
    """The cell with a value or a gradient: a number, a table, or what summarizes a large array.

    wrong: the elements to mark; where it is given, nan stands for what is not known.
    """
    known = None if data is None else concrete(data)
    if not shape:
        return cell(kind, known, look, wrong)
    if 0 in shape:
        return f'<TD CELLPADDING="4">{font("empty", look.colors.muted, 11)}</TD>'
    if len(shape) > 2 or max(shape) > look.max_cells:
        if wrong is not None and known is not None:
            known = known[np.isfinite(known)] if np.isfinite(known).any() else None
        return summary(kind, known, look)
    if known is None:
        return f'<TD CELLPADDING="4">{font(DASH, look.colors.muted, 11)}</TD>'
    return heat_table(kind, np.atleast_2d(known), look, None if wrong is None else np.atleast_2d(wrong))


def handle(cell: str, id: str, look: Look, ground: str = "") -> str:
    """A cell that the page can find in the SVG by its id, and in which every number has a ground to tint.

    Graphviz keeps the id of a cell only beside a link; the page takes the link away.
    """
    if not look.handles:
        return cell
    filled = f'<TD BGCOLOR="{ground}"' if ground else "<TD"
    cell = cell.replace("<TD>", f"{filled}>")
    outer = "<TD" if "<TABLE" in cell or "BGCOLOR" in cell else filled
    return cell.replace("<TD", f'{outer} ID="{id}" HREF="#"', 1)


def cell(
    kind: str, value: ndarray[Any, Any] | None, look: Look, wrong: ndarray[Any, Any] | None = None
) -> str:
    """One number by itself: bold, with a digit more than in tables."""
    if value is None or (wrong is not None and np.isnan(value)):
        return f'<TD CELLPADDING="4">{font(DASH, look.colors.muted)}</TD>'
    ink, ground = loud(value, getattr(look.colors, kind), look.colors, wrong is not None and bool(wrong))
    content = font(f"<B>{number(value, look.digits + 1)}</B>", ink, 12)
    return f'<TD CELLPADDING="4"{ground}>{content}</TD>'


def loud(value: Any, ink: str, colors: Colors, wrong: bool = False) -> tuple[str, str]:
    """Ink and background of a number, which for nan, infinities and what is wrong are an alarm."""
    if np.isfinite(value) and not wrong:
        return ink, ""
    return colors.alarm_ink, f' BGCOLOR="{colors.alarm}"'


def heat_table(kind: str, rows: ndarray[Any, Any], look: Look, wrong: ndarray[Any, Any] | None = None) -> str:
    """An array as a table whose cells are tinted by size; exact zeros are grey and not tinted."""
    colors = look.colors
    magnitudes = np.abs(rows.astype(float))
    finite = magnitudes[np.isfinite(magnitudes)]
    top = float(finite.max()) if finite.size else 0.0
    marks = np.zeros(rows.shape, bool) if wrong is None else wrong
    words = [[number(value, look.digits) for value in row] for row in rows.tolist()]
    wide = max(NARROWEST, DIGIT * max(len(word) for row in words for word in row) + 2)
    lines = []
    for row, sizes, bad in zip(words, magnitudes.tolist(), marks.tolist(), strict=True):
        cells = []
        for word, magnitude, marked in zip(row, sizes, bad, strict=True):
            ink = getattr(colors, kind) if magnitude else colors.muted
            if wrong is not None and np.isnan(magnitude):
                cells.append(f'<TD WIDTH="{wide}">{font(DASH, colors.muted)}</TD>')
                continue
            ink, ground = loud(magnitude, ink, colors, marked)
            if magnitude and not ground:
                ground = f' BGCOLOR="{colors.heat(kind, magnitude / top)}"'
            elif look.handles and not ground:
                ground = f' BGCOLOR="{colors.card}"'  # for the page to tint
            cells.append(f'<TD WIDTH="{wide}"{ground}>{font(word, ink)}</TD>')
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
