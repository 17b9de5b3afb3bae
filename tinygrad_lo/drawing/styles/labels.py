"""Labels of Graphviz: elements that look like HTML, as text."""

from __future__ import annotations


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
    """Rows below each other, without borders if nothing else is said."""
    return tag("TABLE", "".join(rows), {"border": 0, "cellborder": 0, "cellspacing": 0} | attributes)


def framed(*rows: str, border: int, color: str, ground: str = "", **attributes: object) -> str:
    """Rows below each other in a frame."""
    frame = {"border": border, "color": color, "bgcolor": ground, "cellborder": 0, "cellspacing": 0}
    return tag("TABLE", "".join(rows), frame | {"cellpadding": 4} | attributes)
