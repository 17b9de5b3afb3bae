"""Equal values that are drawn once: a card on a pile, with how many they are and how they spread."""

from __future__ import annotations

import numpy as np

from tinygrad_lo.drawing.contents import DrawnBox
from tinygrad_lo.drawing.styles.cards import LONGEST_FORMULA, Cards
from tinygrad_lo.drawing.styles.labels import cell, font, row, table
from tinygrad_lo.drawing.styles.style import Look, spread_of, text
from tinygrad_lo.engine.graph import Array
from tinygrad_lo.explaining.explain import counted
from tinygrad_lo.explaining.formula import size


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
