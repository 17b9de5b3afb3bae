"""One value as a card: `name = formula  shape`, and below it value and gradient side by side."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.drawing.colors import Colors
from tinygrad_lo.drawing.contents import DrawnValue
from tinygrad_lo.drawing.passes.flow import concrete
from tinygrad_lo.drawing.passes.numeric import Numeric
from tinygrad_lo.drawing.styles.style import Style
from tinygrad_lo.drawing.styles.text import DASH, Look, font, handle, more_uses, text
from tinygrad_lo.engine.graph import Array
from tinygrad_lo.explaining.formula import number, size

LONGEST_FORMULA = 60
DIGIT = 6  # points that a digit is wide, about
NARROWEST = 18  # points; the columns of a table are equally wide
FIGURES = ("mean", "std", "min", "max")


class Overview(Style):
    """Boxes, and the values between them as cards, from left to right."""

    def label(self, value: DrawnValue) -> str:
        """The label of a value's node."""
        return card(value, self.look)


class Cards(Overview):
    """A card for each value, from top to bottom."""

    def is_too_long(self) -> bool:
        """Cards are wide: they always run from top to bottom."""
        return True


def card(value: DrawnValue, look: Look) -> str:
    """The label of one value's node."""
    ink = {"value": look.colors.value, "gradient": look.colors.gradient}
    shape = np.shape(value.data)

    def column(kind: str, data: Array | None, word: str, *, found: bool = True) -> None:
        cell = data_cell(kind, data, shape, look)
        cells.append(handle(cell, f"{kind}-{value.id}", look, look.colors.card) if found else cell)
        captions.append(caption(word, ink[kind]))

    cells: list[str] = []
    captions: list[str] = []
    column("value", value.data, "value")
    if value.also is not None:
        column("value", value.also[1], text(value.also[0]), found=False)
    if value.expects:
        column("gradient", value.gradient, "grad")
    if value.numeric is not None:
        compared = data_cell("gradient", value.numeric.values, shape, look, value.numeric.failures)
        cells.append(handle(compared, f"numeric-{value.id}", look))
        captions.append(verdict(value.numeric, look.colors))
    row = f"<TR>{''.join(captions)}</TR>" if len(captions) > 1 else ""
    return card_frame(value, len(captions), f"{row}<TR>{''.join(cells)}</TR>", look.colors)


def card_frame(value: DrawnValue, columns: int, rows: str, colors: Colors) -> str:
    """The frame of a card, its header, and the rows below."""
    frame, ground, _ = colors.role(value.role)
    border = 2 if value.role in ("parameter", "loss") else 1
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


def header(value: DrawnValue, colors: Colors) -> str:
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
        notes.append(f"{more_uses(value.unseen)} not drawn")
    if notes:
        parts += font(f"&#160;&#160;{' · '.join(notes)}", colors.muted, 10)
    return parts


# ------------------------------------------------------------------------------------- numbers


def data_cell(
    kind: str, data: Array | None, shape: tuple[int, ...], look: Look, wrong: ndarray[Any, Any] | None = None
) -> str:
    """The cell with a value or a gradient: a number, a table, or what summarizes a large array.

    wrong: the elements to mark; where it is given, nan stands for what is not known.
    """
    known = None if data is None else concrete(data)
    if not shape:
        return single_cell(kind, known, look, wrong)
    if 0 in shape:
        return f'<TD CELLPADDING="4">{font("empty", look.colors.muted, 11)}</TD>'
    if look.summarizes(shape):
        return statistics(kind, known if wrong is None else checked_part(known), look)
    if known is None:
        return f'<TD CELLPADDING="4">{font(DASH, look.colors.muted, 11)}</TD>'
    return heat_table(kind, np.atleast_2d(known), look, None if wrong is None else np.atleast_2d(wrong))


def checked_part(values: ndarray[Any, Any] | None) -> ndarray[Any, Any] | None:
    """The numeric gradients of those elements that were checked, if there are any."""
    finite = None if values is None else values[np.isfinite(values)]
    return finite if finite is not None and finite.size else None


def single_cell(
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
    magnitudes = np.abs(rows.astype(float))
    finite = magnitudes[np.isfinite(magnitudes)]
    top = float(finite.max()) if finite.size else 0.0
    words = np.array([[number(value, look.digits) for value in row] for row in rows.tolist()], object)
    longest = max(map(len, words.flat))
    wide = max(NARROWEST, DIGIT * longest + 2)
    marks = np.zeros(rows.shape, bool) if wrong is None else wrong
    if wrong is not None:  # nan stands for what was not checked
        words[np.isnan(magnitudes)] = ""

    def cell(word: str, magnitude: float, marked: bool) -> str:
        ink, ground = heat(kind, magnitude, top, look, marked) if word else (look.colors.muted, "")
        return f'<TD WIDTH="{wide}"{ground}>{font(word or DASH, ink)}</TD>'

    lines = zip(words.tolist(), magnitudes.tolist(), marks.tolist(), strict=True)
    return inner_table(f"<TR>{''.join(map(cell, *line))}</TR>" for line in lines)


def heat(kind: str, magnitude: float, top: float, look: Look, marked: bool) -> tuple[str, str]:
    """Ink and ground of one cell of a table whose largest magnitude is `top`."""
    colors = look.colors
    ink, ground = loud(magnitude, getattr(colors, kind) if magnitude else colors.muted, colors, marked)
    if magnitude and not ground:
        ground = f' BGCOLOR="{colors.heat(kind, magnitude / top)}"'
    elif look.handles and not ground:
        ground = f' BGCOLOR="{colors.card}"'  # for the page to tint
    return ink, ground


def statistics(kind: str, known: ndarray[Any, Any] | None, look: Look) -> str:
    """Mean, standard deviation, smallest and largest element of an array too large for a table."""
    colors = look.colors
    figures: list[Any] = [None] * 4
    if known is not None:
        with np.errstate(all="ignore"):  # the std of infinities is nan, and shown as such
            wide = known.astype(float)
            figures = [wide.mean(), wide.std(), wide.min(), wide.max()]
    lines = []
    for word, value in zip(FIGURES, figures, strict=True):
        # The words stand once, left of the values; the gradients' rows are as high.
        title = f'<TD ALIGN="LEFT">{font(word, colors.muted)}</TD>' if kind == "value" else ""
        ink, ground = (colors.muted, "") if value is None else loud(value, getattr(colors, kind), colors)
        content = DASH if value is None else number(value, look.digits)
        lines.append(f"<TR>{title}<TD{ground}>{font(content, ink)}</TD></TR>")
    return inner_table(lines)


def inner_table(rows: Iterable[str]) -> str:
    """Rows as a table inside a cell."""
    inner = f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="1" CELLPADDING="3">{"".join(rows)}</TABLE>'
    return f'<TD CELLPADDING="4"><FONT POINT-SIZE="11">{inner}</FONT></TD>'
