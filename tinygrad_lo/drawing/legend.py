"""The line under a picture: its title, what was left out, and what its marks mean."""

from __future__ import annotations

from tinygrad_lo.drawing.cards import Look, font, text
from tinygrad_lo.drawing.contents import Contents
from tinygrad_lo.explaining.formula import number

LONG = 44  # characters of a title that gets a line of its own
LONGEST = 90
FILLER = 24  # columns
SMALL = 16  # values of a circuit


def legend(
    contents: Contents, look: Look, title: str, style: str, said: str = "", *, turned: bool = True
) -> str:
    """The picture's title, and in the same line what its marks mean: only those that occur.

    said: what a gradient check found.
    """
    colors = look.colors
    first = font(f"<B>{text(title, LONGEST)}</B>", colors.ink, 14)
    notes = [note for note in (*left_out(contents), said) if note]
    first += "".join(font(f"&#160;· {text(note, LONGEST)}", colors.ink) for note in notes)
    cells = marks(contents, look, style, turned)
    if len(title) + sum(map(len, notes)) > LONG and cells:
        # Graphviz widens all columns alike; the empty ones take what a long title needs.
        filler = ['<TD CELLPADDING="0"></TD>'] * FILLER
        top = f'<TD ALIGN="LEFT" COLSPAN="{len(cells) + FILLER}">{first}</TD>'
        return table(f"<TR>{top}</TR>", f"<TR>{row(cells)}{''.join(filler)}</TR>")
    return table(f"<TR>{row([first, *cells])}</TR>")


def left_out(contents: Contents) -> list[str]:
    """What the title says of the values that have no place of their own in the picture."""
    total, boxed, alone = contents.total, contents.boxed, contents.drawn
    notes = []
    if contents.focus:
        notes.append(f"what leads to and from {', '.join(contents.focus)}")
    if boxed + alone < total:
        near = "nearest " if contents.cut else ""
        notes.append(f"the {boxed + alone} {near}of {total} values")
    elif boxed:
        notes.append(f"{total} values")
    if boxed:
        boxes = len(contents.groups)
        notes.append(f"{boxed} of them in {boxes} box{'es' * (boxes != 1)}")
    return notes


def marks(contents: Contents, look: Look, style: str, turned: bool) -> list[str]:
    """One cell for each kind of mark that the picture has."""
    colors = look.colors
    roles = {value.role for value in contents.values} | {group.role for group in contents.groups}
    swatches = {
        "parameter": (colors.parameter, colors.parameter_header, colors.parameter_ink),
        "data": (colors.frame, colors.data_header, colors.muted),
        "constant": (colors.frame, colors.data_header, colors.muted),
        "loss": (colors.loss, colors.loss_header, colors.loss_ink),
    }
    cells = []
    for role, (frame, ground, ink) in swatches.items():
        if role in roles and style == "circuit":
            cells.append(font(f"<B>{role}</B>", ink))
        elif role in roles:
            cells.append(swatch(role, colors.muted, frame, ground))
    for name, value in contents.constants:
        shown = f"{text(name)} = {number(value, look.digits + 1)}"
        cells.append(font(shown, colors.value))
    if not contents.differentiated:
        return cells
    root = text(contents.values[-1].name)
    where = ("", "")
    if style == "circuit":
        where = (
            ("&#160;left of the wire,", "&#160;right of it,")
            if turned
            else ("&#160;on the wire,", "&#160;under it,")
        )
    cells += [
        font("<B>value</B>", colors.value) + font(f"{where[0]}&#160;forward →", colors.muted),
        font("<B>grad</B>", colors.gradient)
        + font(f"{where[1]}&#160;∂{root}/∂value, ← backward", colors.muted),
    ]
    if labelled(contents, style) and any(edge.slope is not None for edge in contents.edges):
        cells.append(font("<I>×2</I>", colors.gradient) + font("&#160;local derivative", colors.muted))
    numeric = [value.numeric for value in contents.values if value.numeric is not None]
    for mark, word in (("✓", "agree"), ("✗", "disagree"), ("?", "cannot tell")):
        if any(found.mark.startswith(mark) for found in numeric):
            cells.append(
                font(f"<B>{mark}</B>", colors.gradient)
                + font(f"&#160;finite differences {word}", colors.muted)
            )
    if any(edge.strength == 0 for edge in contents.edges):
        cells.append(font("– – –&#160;&#160;no gradient flows", colors.muted))
    if any(value.expects and value.gradient is None for value in contents.values):
        cells.append(font("–&#160;&#160;not reached", colors.muted))
    return cells


def labelled(contents: Contents, style: str) -> bool:
    """Whether edges have their local derivatives as labels; a large circuit has no room for them."""
    return style != "circuit" or len(contents.values) <= SMALL


def row(cells: list[str]) -> str:
    """The cells of one line."""
    return "".join(f'<TD ALIGN="LEFT">{content}</TD>' for content in cells)


def table(*rows: str) -> str:
    """Lines below each other."""
    return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="6">{"".join(rows)}</TABLE>'


def swatch(word: str, ink: str, frame: str, ground: str) -> str:
    """A little card, and what such cards are."""
    box = f'BORDER="1" COLOR="{frame}" BGCOLOR="{ground}" WIDTH="16" HEIGHT="10" FIXEDSIZE="TRUE"'
    return (
        f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0"><TR><TD {box}></TD>'
        f"<TD>{font(f'&#160;{word}', ink)}</TD></TR></TABLE>"
    )
