"""How words and numbers stand in a picture's labels, which are HTML-like labels of Graphviz.

What a user wrote (names of tensors, scopes, titles) enters them through `text` and nowhere else.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

from tinygrad_lo.drawing.colors import Colors
from tinygrad_lo.explaining.formula import one_line

LONGEST_NAME = 40
DASH = "–"  # a gradient that was not computed; it is never 0


@dataclass(frozen=True, slots=True)
class Look:
    """How to draw."""

    colors: Colors
    max_cells: int  # the largest side of a table
    digits: int  # significant ones
    handles: bool = False  # numbers get ids, by which the page of steps finds them, and grounds to tint

    def summarizes(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of this shape shows mean, std, min and max in place of elements."""
        return len(shape) > 2 or max(shape, default=0) > self.max_cells

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


def tag(name: str, content: str, attributes: dict[str, object]) -> str:
    """An element of a label, without the attributes that are empty."""
    written = "".join(f' {key.upper()}="{value}"' for key, value in attributes.items() if value != "")
    return f"<{name}{written}>{content}</{name}>"


def font(content: str, color: str, points: int = 0) -> str:
    """Content in a colour, and in another size than the rest."""
    return tag("FONT", content, {"color": color, "point-size": points or ""})


def cell(content: str, **attributes: object) -> str:
    """One cell of a table."""
    return tag("TD", content, attributes)


def row(*cells: str) -> str:
    """Cells beside each other."""
    return tag("TR", "".join(cells), {})


def table(*rows: str, **attributes: object) -> str:
    """Rows below each other."""
    return tag("TABLE", "".join(rows), attributes)
