"""One value as a card: `name = formula  shape`, and below it value and gradient side by side.

Equal values that are drawn once are a card on a pile: how many they are, and how they spread.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.drawing.colors import Colors
from tinygrad_lo.drawing.contents import DrawnBox, DrawnValue
from tinygrad_lo.drawing.passes.flow import concrete
from tinygrad_lo.drawing.styles.images import ACROSS, POINTS, image_of, is_image
from tinygrad_lo.drawing.styles.labels import cell, font, framed, row, table, tag
from tinygrad_lo.drawing.styles.style import DASH, Look, Style, spread_of, text
from tinygrad_lo.engine.graph import Array
from tinygrad_lo.explaining.explain import counted
from tinygrad_lo.explaining.formula import moments, number, size

LONGEST_FORMULA = 60
DIGIT = 6  # points that a digit is wide, about
BESIDE = 5  # columns of a table that has its gradient beside it
NARROWEST = 18  # points; the columns of a table are equally wide
LIVE_CELL = 40  # points; room for −0.123
FIGURE = 54  # points that a figure beside others takes
SUMMARY = ("mean", "std", "min", "max")


class Overview(Style):
    """Boxes, and the values between them as cards, from left to right."""

    def label(self, value: DrawnValue) -> str:
        """The label of a value's node."""
        return card(value, self.look)

    def breadths(self) -> dict[str, int]:
        """About how many points cards take from left to right."""
        return {value.id: card_breadth(value, self.look) for value in self.contents.values}


class Cards(Overview):
    """A card for each value; they are wide, and always run from top to bottom."""

    upright = True


def card(value: DrawnValue, look: Look) -> str:
    """The label of one value's node."""
    colors, columns = look.colors, blocks(value, look)
    if is_wide(np.shape(value.data), look):  # below each other, so that the columns of tables stay in line
        lines, across = [*zip(itertools.chain(*columns), strict=True)], 1
    else:
        lines, across = [*zip(*columns, strict=True)], len(columns)
    frame, ground, _ = colors.role(value.role)
    border = 2 if value.role in ("parameter", "loss") else 1
    if value.focus:
        frame, border = colors.ink, 3
    title = row(cell(header(value, colors), colspan=across, bgcolor=ground))
    return framed(title, *(row(*line) for line in lines), border=border, color=frame, ground=colors.card)


def card_breadth(value: DrawnValue, look: Look) -> int:
    """About how many points a card takes from left to right."""
    shape, words = np.shape(value.data), len(value.name) + min(len(value.formula), LONGEST_FORMULA)
    count = 1 + (value.also is not None) + value.expects + len(value.numeric)
    across = numbers_breadth(value, look) * (1 if is_wide(shape, look) else count)
    return 10 + max(8 * words + 60, across)


def numbers_breadth(value: DrawnValue, look: Look) -> int:
    """About how many points its table or its image takes."""
    shape: tuple[int, ...] = np.shape(value.data)
    if is_image(shape):
        return max(4 * FIGURE, min(ACROSS, sorted(shape[:2])[1]) * (POINTS + 6))
    arrays = [value.data] if value.gradient is None else [value.data, value.gradient]
    wide = max(NARROWEST, 3 + DIGIT * max(len(word) for data in arrays for word in figures(data, look)))
    return wide + 40 if look.summarizes(shape) else 8 + wide * min(look.wrap, shape[-1] if shape else 1)


def is_wide(shape: tuple[int, ...], look: Look) -> bool:
    """Whether value and gradient stand below each other."""
    return is_image(shape) or (not look.summarizes(shape) and shape[-1:] > (BESIDE,))


def blocks(value: DrawnValue, look: Look) -> list[list[str]]:
    """Of the value, its other view, its gradient and what is beside them: caption, image and numbers."""
    colors = look.colors
    columns = [block(value, "value", value.data, look, caption("value", colors.value), f"value-{value.id}")]
    columns += beside(value, "value", look)
    if value.also is not None:
        title = caption(text(value.also[0]), colors.value)
        columns.append(block(value, "value", value.also[1], look, title, f"also-{value.id}"))
    if value.expects:
        title = caption("grad", colors.gradient)
        columns.append(block(value, "gradient", value.gradient, look, title, f"gradient-{value.id}"))
    columns += beside(value, "gradient", look)
    return columns if len(columns) > 1 else [columns[0][1:]]


def block(value: DrawnValue, kind: str, data: Array | None, look: Look, title: str, id: str) -> list[str]:
    """A caption, the image of filters and feature maps with the names of its figures, and the numbers."""
    shape = np.shape(value.data)
    parts = [title, data_cell(kind, data, shape, look, id)]
    if is_image(shape):
        words = cell(figure_row([*SUMMARY], look.colors.muted), cellpadding=0)
        parts[1:1] = [cell(image_of(kind, data, look.colors), cellpadding=2), words]
    return parts


def beside(value: DrawnValue, kind: str, look: Look) -> Iterator[list[str]]:
    """Caption and cell of what a check or another graph says of the value, or of its gradient."""
    shape, colors = np.shape(value.data), look.colors
    for numeric in value.numeric:
        if numeric.kind == kind:
            known = numeric.values[np.isfinite(numeric.values)] if look.summarizes(shape) else numeric.values
            ink, ground = (colors.alarm_ink, colors.alarm) if numeric.failed else (colors.gradient, "")
            id = f"{numeric.word}-{value.id}"
            title = caption(numeric.word, ink, ground, numeric.mark)
            yield [title, data_cell(kind, known, shape, look, id, numeric.failures)]


def caption(word: str, ink: str, ground: str = "", mark: str = "") -> str:
    """The cell above a table that says what it holds; of a numeric gradient, what a check found."""
    found = f"&#160;<B>{mark}</B>" if mark else ""
    return cell(font(f"<I>{word}</I>{found}", ink, 10), cellpadding=1, bgcolor=ground)


def header(value: DrawnValue, colors: Colors) -> str:
    """The line `name = formula  shape`; leaves say what they are instead of a formula."""
    emphasis = "B" if value.given else "I"
    title = font(f"<{emphasis}>{text(value.name)}</{emphasis}>", colors.ink)
    formula = font(f"&#160;= {text(value.formula, LONGEST_FORMULA)}", colors.muted)
    is_mask = bool(value.formula) and value.data.dtype == bool
    left_out = f"{counted(value.unseen, 'more use')} not drawn" * bool(value.unseen)
    facts = value.role * (not value.formula), size(np.shape(value.data)), "passes no gradient" * is_mask
    notes = " · ".join(filter(None, [*facts, "✗ its rule is wrong" * value.wrong, left_out]))
    return title + formula * bool(value.formula) + (notes and font(f"&#160;&#160;{notes}", colors.muted, 10))


def shown_numbers(data: Array | None, shape: tuple[int, ...], look: Look) -> ndarray[Any, Any] | None:
    """The elements of an array, or mean, std, min and max of one too large for a table; None if lazy."""
    known = None if data is None else concrete(data)
    if known is None or not look.summarizes(shape):
        return known
    return np.array([*moments(known), known.min(), known.max()], float) if known.size else None


def figures(data: Array, look: Look) -> list[str]:
    """The numbers that a card shows of an array, as words."""
    shape = np.shape(data)
    if 0 in shape:
        return ["empty"]
    numbers = shown_numbers(data, shape, look)
    if numbers is None:
        return [DASH] * (len(SUMMARY) if look.summarizes(shape) else 1)
    return [number(x, look.digits if shape else look.digits + 1) for x in np.ravel(numbers).tolist()]


def data_cell(
    kind: str, data: Array | None, shape: tuple[int, ...], look: Look, id: str = "",
    wrong: ndarray[Any, Any] | None = None,
) -> str:  # fmt: skip
    """The cell with a value or a gradient: a number, a table, or what summarizes a large array.

    wrong: the elements to mark; where it is given, nan in a table stands for what is not known.
    """
    numbers = shown_numbers(data, shape, look)
    ground = look.ground
    if 0 in shape:
        content = font("empty", look.colors.muted, 11)
    elif look.summarizes(shape):
        content, ground = statistics(kind, numbers, shape, look), ""
    elif numbers is None:
        content = font(DASH, look.colors.muted, 11 if shape else 0)
    elif shape:
        content, ground = heat_table(kind, np.atleast_2d(numbers), look, wrong), ""
    else:  # one number by itself: bold, with a digit more than in tables
        ink, ground = ink_and_ground(kind, numbers, look, bool(wrong))
        content = font(f"<B>{number(numbers, look.digits + 1)}</B>", ink, 12)
    return cell(content, cellpadding=4, bgcolor=ground, **look.handle(id))


def ink_and_ground(kind: str, x: Any, look: Look, is_wrong: bool = False) -> tuple[str, str]:
    """The colours of a number: for nan, infinities and what is wrong an alarm."""
    if is_wrong or not np.isfinite(x):
        return look.colors.alarm_ink, look.colors.alarm
    return getattr(look.colors, kind), look.ground


def heat_table(kind: str, rows: ndarray[Any, Any], look: Look, wrong: ndarray[Any, Any] | None) -> str:
    """An array as a table whose cells are tinted by size; exact zeros are grey and not tinted."""
    colors = look.colors
    magnitudes = np.abs(rows.astype(float))
    top = float(np.max(magnitudes, where=np.isfinite(magnitudes), initial=0.0))
    words = [[number(x, look.digits) for x in line] for line in rows.tolist()]
    # Other numbers may come into the cells of a page, which stay as wide as they are.
    narrowest = LIVE_CELL if look.handles else NARROWEST
    wide = max(narrowest, DIGIT * max(len(word) for line in words for word in line) + 2)
    marks = np.zeros(rows.shape, bool) if wrong is None else np.atleast_2d(wrong)

    def heat_cell(word: str, magnitude: float, is_wrong: bool) -> str:
        if wrong is not None and np.isnan(magnitude):
            return cell(font(DASH, colors.muted), width=wide)
        ink, ground = ink_and_ground(kind, magnitude, look, is_wrong)
        if ground == look.ground and magnitude:
            ground = colors.heat(kind, magnitude / top)
        elif ground == look.ground:
            ink = colors.muted
        return cell(font(word, ink), width=wide, bgcolor=ground)

    lines = zip(words, magnitudes.tolist(), marks.tolist(), strict=True)
    cells = [[*map(heat_cell, *line)] for line in lines]
    if rows.shape[1] <= look.wrap or look.handles:  # the page counts the numbers of a table
        return inner_table(*(row(*line) for line in cells))
    return inner_table(*wrapped_rows(cells, look))


def wrapped_rows(cells: list[list[str]], look: Look) -> Iterator[str]:
    """The first columns of a table, and below them the next."""
    count = len(cells[0])
    for begin in range(0, count, look.wrap):
        end = min(begin + look.wrap, count)
        place = font(f"columns {begin} to {end - 1}", look.colors.muted, 10)
        yield row(cell(place, colspan=look.wrap, align="LEFT", cellpadding=1))
        yield from (row(*line[begin:end]) for line in cells)


def figure_row(words: list[str], ink: str) -> str:
    """The four figures of an image, or what they are called."""
    return inner_table(row(*(cell(font(word, ink), width=FIGURE) for word in words)))


def statistics(kind: str, numbers: ndarray[Any, Any] | None, shape: tuple[int, ...], look: Look) -> str:
    """Mean, standard deviation, smallest and largest element of an array too large for a table."""
    if is_image(shape):
        words = [DASH] * len(SUMMARY) if numbers is None else [number(x, look.digits) for x in numbers]
        return figure_row(words, getattr(look.colors, kind))
    rows = []
    for i, word in enumerate(SUMMARY):
        ink, ground, content = look.colors.muted, look.ground, DASH
        if numbers is not None:
            ink, ground = ink_and_ground(kind, numbers[i], look)
            content = number(numbers[i], look.digits)
        # The words stand once, left of the values; the gradients' rows are as high.
        title = cell(font(word, look.colors.muted), align="LEFT") if kind == "value" else ""
        rows.append(row(title, cell(font(content, ink), bgcolor=ground)))
    return inner_table(*rows)


def inner_table(*rows: str) -> str:
    """Rows as a table inside a cell."""
    return tag("FONT", table(*rows, cellspacing=1, cellpadding=3), {"point-size": 11})


# ------------------------------------------------------------------------- equal values drawn once


class Folded(Cards):
    """Cards, and stacks of equal values."""

    gaps = "ranksep=0.35 nodesep=0.2"

    def group_line(self, group: DrawnBox) -> str:
        """The node of a stack."""
        about = text(f"{group.title}: {counted(group.lanes, 'equal value')}", 200)
        label = stack_label(group, self.look, differentiated=self.contents.differentiated)
        return f'{group.id} [id="{group.id}" tooltip="{about}" label=<{label}>]'


def stack_label(group: DrawnBox, look: Look, *, differentiated: bool) -> str:
    """What the values of a stack are, and how they and their gradients spread."""
    frame, ground, _ = look.colors.role(group.role)
    rows = [row(cell(stack_title(group, look), bgcolor=ground, colspan=2)), *stack_facts(group, look)]
    rows += spread_rows("value", "value", group.id, group.outputs, look)
    if differentiated and group.gradients:
        rows += spread_rows("gradient", "grad", group.id, group.gradients, look)
    face = table(*rows, cellpadding=2, bgcolor=look.colors.card)
    pile = {"border": 3, "sides": "BR"} if group.lanes > 1 else {}  # of the cards below the edges are seen
    return table(row(cell(face, border=1, color=frame)), **{"cellpadding": 0, "color": frame} | pile)


def stack_title(group: DrawnBox, look: Look) -> str:
    """The line `h1 … h6 = v8 × v13 …`."""
    emphasis = "B" if group.given else "I"
    title = font(f"<{emphasis}>{text(group.title)}</{emphasis}>", look.colors.ink)
    formula = f"&#160;= {text(group.formula, LONGEST_FORMULA)}" if group.formula else ""
    return title + (formula and font(formula, look.colors.muted))


def stack_facts(group: DrawnBox, look: Look) -> list[str]:
    """The row `× 100 × 16  parameter · 2×4`, if there is any of that."""
    counts = " × ".join(f"{count:,}" for count in group.counts)
    notes = " · ".join(filter(None, [group.role.replace("value", ""), size(np.shape(group.outputs[0]))]))
    facts = font(f"<B>× {counts}</B>&#160;&#160;", look.colors.ink, 11) * bool(counts)
    facts += notes and font(notes, look.colors.muted, 11)
    return [row(cell(facts, colspan=2, cellpadding=2))] * bool(facts)


def spread_rows(kind: str, word: str, id: str, arrays: list[Array], look: Look) -> list[str]:
    """Mean and standard deviation, and below it the range."""
    ink = getattr(look.colors, kind)
    middle, *ends = spread_of(arrays, look.digits)
    figures = cell(font(middle, ink, 11), align="LEFT", **look.handle(f"{kind}-{id}"))
    rows = [row(cell(font(f"<I>{word}</I>", ink, 10)), figures)]
    return rows + [row(cell(""), cell(font(end, look.colors.muted, 11), align="LEFT")) for end in ends]
