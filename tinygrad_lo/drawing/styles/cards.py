"""One value as a card: `name = formula  shape`, and below it value and gradient side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.drawing.colors import Colors
from tinygrad_lo.drawing.contents import DrawnBox, DrawnValue
from tinygrad_lo.drawing.passes.flow import concrete
from tinygrad_lo.drawing.styles.images import ACROSS, POINTS, images, is_image
from tinygrad_lo.drawing.styles.labels import cell, font, row, table, tag
from tinygrad_lo.drawing.styles.style import DASH, Look, Style, spread, text
from tinygrad_lo.engine.graph import Array
from tinygrad_lo.explaining.explain import counted
from tinygrad_lo.explaining.formula import number, size

LONGEST_FORMULA = 60
DIGIT = 6  # points that a digit is wide, about
ASIDE = 5  # columns of a table that has its gradient beside it
NARROWEST = 18  # points; the columns of a table are equally wide
FIGURE = 54  # points that a figure beside others takes
FIGURES = ("mean", "std", "min", "max")


class Overview(Style):
    """Boxes, and the values between them as cards, from left to right."""

    def label(self, value: DrawnValue) -> str:
        """The label of a value's node."""
        return card(value, self.look)

    def breadths(self) -> dict[str, int]:
        """About how many points cards take from left to right."""
        return {value.id: card_breadth(value, self.look) for value in self.contents.values}


class Cards(Overview):
    """A card for each value, from top to bottom."""

    def is_too_long(self) -> bool:
        """Cards are wide: they always run from top to bottom."""
        return True


class Folded(Cards):
    """Cards, and stacks of equal values."""

    gaps = "ranksep=0.35 nodesep=0.2"

    def group_line(self, group: DrawnBox) -> str:
        """The node of a stack."""
        about = text(f"{group.title}: {counted(group.lanes, 'equal value')}", 200)
        label = stack(group, self.look, differentiated=self.contents.differentiated)
        return f'{group.id} [id="{group.id}" tooltip="{about}" label=<{label}>]'


def stack(group: DrawnBox, look: Look, *, differentiated: bool) -> str:
    """The label of equal values that are drawn once: what they are, and how values and gradients spread."""
    colors, shape = look.colors, np.shape(group.outputs[0])
    frame, ground, _ = colors.role(group.role)
    emphasis = "B" if group.given else "I"
    title = font(f"<{emphasis}>{text(group.title)}</{emphasis}>", colors.ink)
    if group.formula:
        title += font(f"&#160;= {text(group.formula, LONGEST_FORMULA)}", colors.muted)
    counts = [f"{count:,}" for count in group.counts]
    facts = font(f"<B>× {' × '.join(counts)}</B>", colors.ink, 11) if counts else ""
    word = group.role if group.role in ("data", "parameter") else ""
    notes = " · ".join(filter(None, [word, size(shape)]))
    facts += font(f"&#160;&#160;{notes}", colors.muted, 11) if notes else ""
    rows = [row(cell(title, bgcolor=ground, colspan=2))]
    rows += [row(cell(facts, colspan=2, cellpadding=2))] if facts else []
    kinds = [("value", "value", group.outputs)]
    if differentiated and group.gradients:
        kinds.append(("gradient", "grad", group.gradients))
    for kind, word, arrays in kinds:
        ink = getattr(colors, kind)
        middle, *ends = spread(arrays, look.digits)
        at = look.handle(f"{kind}-{group.id}")
        rows.append(
            row(cell(font(f"<I>{word}</I>", ink, 10)), cell(font(middle, ink, 11), align="LEFT", **at))
        )
        rows += [row(cell(""), cell(font(line, colors.muted, 11), align="LEFT")) for line in ends]
    face = table(*rows, border=0, cellborder=0, cellspacing=0, cellpadding=2, bgcolor=colors.card)
    if group.lanes == 1:
        return table(row(cell(face)), border=1, color=frame, cellborder=0, cellspacing=0, cellpadding=0)
    front = cell(face, border=1, color=frame)  # on a pile, of which the edges are seen
    return table(row(front), border=3, sides="BR", color=frame, cellborder=0, cellspacing=0, cellpadding=0)


def card(value: DrawnValue, look: Look) -> str:
    """The label of one value's node."""
    colors, columns = look.colors, blocks(value, look)
    columns = [[part for part in column if part] for column in columns]
    if is_wide(np.shape(value.data), look):  # below each other, so that the columns of tables stay in line
        lines, across = [[part] for column in columns for part in column], 1
    else:
        lines, across = [list(line) for line in zip(*columns, strict=True)], len(columns)
    frame, ground, _ = colors.role(value.role)
    border = 2 if value.role in ("parameter", "loss") else 1
    if value.focus:
        frame, border = colors.ink, 3
    return table(
        row(cell(header(value, colors), colspan=across, bgcolor=ground)), *(row(*line) for line in lines),
        border=border, color=frame, bgcolor=colors.card, cellborder=0, cellspacing=0, cellpadding=4,
    )  # fmt: skip


def card_breadth(value: DrawnValue, look: Look) -> int:
    """About how many points a card takes from left to right."""
    shape, words = np.shape(value.data), len(value.name) + min(len(value.formula), LONGEST_FORMULA)
    blocks = 1 + (value.also is not None) + value.expects + len(value.numeric)
    if is_image(shape):
        across = max(4 * FIGURE, min(ACROSS, max(shape[:2])) * (POINTS + 6))
    else:
        arrays = [value.data] if value.gradient is None else [value.data, value.gradient]
        columns = 1 if look.summarizes(shape) else min(look.wrap, *shape[-1:], 99)
        longest = max(len(word) for data in arrays for word in figures(data, look))
        across = columns * max(NARROWEST, DIGIT * longest + 3) + (40 if look.summarizes(shape) else 8)
    return int(10 + max(8 * words + 60, across * (1 if is_wide(shape, look) else blocks)))


def is_wide(shape: tuple[int, ...], look: Look) -> bool:
    """Whether value and gradient stand below each other."""
    return is_image(shape) or (not look.summarizes(shape) and shape[-1:] > (ASIDE,))


def blocks(value: DrawnValue, look: Look) -> list[list[str]]:
    """Of the value, its other view, its gradient and its numeric gradients: caption, image and numbers."""
    colors, shape = look.colors, np.shape(value.data)
    alone = value.also is None and not value.expects and not value.numeric
    title = "" if alone else caption("value", colors.value)
    pictured = is_image(shape)

    def block(title: str, kind: str, data: Array | None, name: str = "", wrong: Any = None) -> list[str]:
        image = cell(images(kind, data, colors), cellpadding=2) if pictured else ""
        words = cell(side_by_side([*FIGURES], look.colors.muted), cellpadding=0) if pictured else ""
        return [title, image, words, data_cell(kind, data, shape, look, name and f"{name}-{value.id}", wrong)]

    columns = [block(title, "value", value.data, "value")]
    if value.also is not None:
        columns.append(block(caption(text(value.also[0]), colors.value), "value", value.also[1]))
    if value.expects:
        columns.append(block(caption("grad", colors.gradient), "gradient", value.gradient, "gradient"))
    for numeric in value.numeric:
        known = numeric.values[np.isfinite(numeric.values)] if look.summarizes(shape) else numeric.values
        ink, ground = (colors.alarm_ink, colors.alarm) if numeric.failed else (colors.gradient, "")
        title = caption("numeric", ink, ground, numeric.mark)
        cells = data_cell("gradient", known, shape, look, f"numeric-{value.id}", numeric.failures)
        columns.append([title, cells])
    return columns


def caption(word: str, ink: str, ground: str = "", mark: str = "") -> str:
    """The cell above a table that says what it holds; of a numeric gradient, what a check found."""
    found = f"&#160;<B>{mark}</B>" if mark else ""
    return cell(font(f"<I>{word}</I>{found}", ink, 10), cellpadding=1, bgcolor=ground)


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
        notes.append(f"{counted(value.unseen, 'more use')} not drawn")
    if notes:
        parts += font(f"&#160;&#160;{' · '.join(notes)}", colors.muted, 10)
    return parts


def shown_numbers(data: Array | None, shape: tuple[int, ...], look: Look) -> ndarray[Any, Any] | None:
    """The elements of an array, or mean, std, min and max of one too large for a table; None if lazy."""
    known = None if data is None else concrete(data)
    if known is None or not look.summarizes(shape):
        return known
    wide = known.astype(float)
    with np.errstate(all="ignore"):  # the std of infinities is nan, and shown as such
        return np.array([wide.mean(), wide.std(), wide.min(), wide.max()]) if wide.size else None


def figures(data: Array, look: Look) -> list[str]:
    """The numbers that a card shows of an array, as words."""
    shape = np.shape(data)
    if 0 in shape:
        return ["empty"]
    numbers = shown_numbers(data, shape, look)
    if numbers is None:
        return [DASH] * (len(FIGURES) if look.summarizes(shape) else 1)
    return [number(x, look.digits if shape else look.digits + 1) for x in np.ravel(numbers).tolist()]


def data_cell(
    kind: str,
    data: Array | None,
    shape: tuple[int, ...],
    look: Look,
    id: str = "",
    wrong: ndarray[Any, Any] | None = None,
) -> str:
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
    wide = max(NARROWEST, DIGIT * max(len(word) for line in words for word in line) + 2)
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
    count = rows.shape[1]
    if count <= look.wrap:
        return inner_table(*(row(*line) for line in cells))
    blocks = []
    for begin in range(0, count, look.wrap):
        end = min(begin + look.wrap, count)
        place = font(f"columns {begin} to {end - 1}", colors.muted, 10)
        blocks.append(row(cell(place, colspan=look.wrap, align="LEFT", cellpadding=1)))
        blocks += [row(*line[begin:end]) for line in cells]
    return inner_table(*blocks)


def side_by_side(words: list[str], ink: str) -> str:
    """The four figures of an image, or what they are called."""
    return inner_table(row(*(cell(font(word, ink), width=FIGURE) for word in words)))


def statistics(kind: str, numbers: ndarray[Any, Any] | None, shape: tuple[int, ...], look: Look) -> str:
    """Mean, standard deviation, smallest and largest element of an array too large for a table."""
    if is_image(shape):
        words = [DASH] * len(FIGURES) if numbers is None else [number(x, look.digits) for x in numbers]
        return side_by_side(words, getattr(look.colors, kind))
    rows = []
    for i, word in enumerate(FIGURES):
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
    return tag("FONT", table(*rows, border=0, cellborder=0, cellspacing=1, cellpadding=3), {"point-size": 11})
