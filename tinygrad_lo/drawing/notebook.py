"""A tensor as the last line of a notebook's cell: its value and its gradient as small tables."""

from __future__ import annotations

import html
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.drawing.colors import LIGHT
from tinygrad_lo.drawing.passes.flow import concrete
from tinygrad_lo.drawing.styles.cards import SUMMARY
from tinygrad_lo.drawing.styles.style import DASH, shown_name
from tinygrad_lo.engine.graph import Array
from tinygrad_lo.engine.naming import name_of
from tinygrad_lo.explaining.formula import DIGITS, moments, number, size

ROWS, COLUMNS = 8, 10  # that a table shows; of more, the first


def html_of(tensor: Any) -> str:
    """The table; it computes nothing: no lazy array, no gradient."""
    name, kind = name_of(tensor), type(tensor).__name__
    title = html.escape(kind if name is None else shown_name(name))
    made = "no gradient" if not tensor.needs else f"made by {tensor.op.name}" if tensor.op is not None else ""
    facts = [kind * (name is not None), size(np.shape(tensor.value)), str(tensor.value.dtype), made]
    tables = [table_of("value", tensor.value)]
    if tensor.op is None and tensor.needs:  # a leaf, at which gradients arrive
        tables.append(table_of("gradient", tensor.arrived))
    return (
        f'<div style="color:{LIGHT.ink};background:{LIGHT.card};display:inline-block;padding:4px 8px">'
        f'<b>{title}</b> <span style="color:{LIGHT.muted}">{html.escape(" · ".join(filter(None, facts)))}'
        f"</span><br>{''.join(tables)}</div>"
    )


def table_of(kind: str, data: Array) -> str:
    """A caption, and the first elements on tints of their size; of many axes, what is known of all."""
    known = None if data is None else concrete(data)
    if known is None or not known.size or known.ndim > 2:
        rows = [f'<td style="color:{LIGHT.muted}">{summary(known)}</td>']
    else:
        rows = heat_rows(kind, np.atleast_2d(known))
    ink, lines = getattr(LIGHT, kind), "".join(f"<tr>{line}</tr>" for line in rows)
    return (
        f'<table style="display:inline-table;margin-right:12px;color:{ink};border-collapse:collapse">'
        f'<caption style="color:{ink};text-align:left"><i>{kind}</i></caption>{lines}</table>'
    )


def heat_rows(kind: str, grid: ndarray[Any, Any]) -> list[str]:
    """The first elements, tinted by their share of the largest."""
    sizes = np.abs(grid.astype(float))
    top = float(np.max(sizes, where=np.isfinite(sizes), initial=0.0)) or 1.0
    more = "<td>…</td>" * (grid.shape[1] > COLUMNS)
    lines = grid[:ROWS, :COLUMNS].tolist()
    rows = ["".join(heat_cell(kind, x, top) for x in line) + more for line in lines]
    return rows + ["<td>…</td>"] * (len(grid) > ROWS)


def heat_cell(kind: str, x: float, top: float) -> str:
    """One number; nan and infinities are loud."""
    ground = LIGHT.heat(kind, abs(x) / top) if np.isfinite(x) else LIGHT.alarm
    ink = getattr(LIGHT, kind if np.isfinite(x) else "alarm_ink")
    style = f"color:{ink};background:{ground};text-align:right;padding:1px 6px"
    return f'<td style="{style}">{number(x, DIGITS)}</td>'


def summary(known: ndarray[Any, Any] | None) -> str:
    """What stands in place of elements."""
    if known is None:
        return DASH
    if not known.size:
        return "empty"
    figures = zip(SUMMARY, [*moments(known), known.min(), known.max()], strict=True)
    return " · ".join(f"{word} {number(x, DIGITS)}" for word, x in figures)
