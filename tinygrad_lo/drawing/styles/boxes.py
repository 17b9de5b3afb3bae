"""Many values as one box: how many, which ops, what comes out, and how large the gradient is."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from tinygrad_lo.drawing.contents import DrawnBox
from tinygrad_lo.drawing.passes.flow import concrete
from tinygrad_lo.drawing.styles.text import DASH, Look, font, handle, text
from tinygrad_lo.engine.graph import Array
from tinygrad_lo.explaining.explain import counted
from tinygrad_lo.explaining.formula import number, size

GATES = 3  # that a box names; the others are counted


def box(group: DrawnBox, look: Look, *, differentiated: bool) -> str:
    """The label of a box."""
    colors = look.colors
    frame, ground, _ = colors.role(group.role)
    rows = [f'<TR><TD BGCOLOR="{ground}">{font(f"<B>{text(group.title)}</B>", colors.ink)}</TD></TR>']
    for line, ink in ((facts(group), colors.muted), (ops(group), colors.ink)):
        if line:
            rows.append(f'<TR><TD CELLPADDING="2">{font(f"&#160;{line}&#160;", ink, 11)}</TD></TR>')
    rows.append(figure(group, "value", mean_and_std(group.outputs, look.digits), look))
    if differentiated and (group.gradients or group.role != "data"):
        of = " (parameters)" if group.parameters and group.role == "value" else ""
        rows.append(figure(group, "gradient", norm_text(group.gradients, look.digits) + of, look))
    rows += [
        f'<TR><TD CELLPADDING="2" BGCOLOR="{colors.alarm}">{font(line, colors.alarm_ink, 11)}</TD></TR>'
        for line in alarms(group)
    ]
    return (
        f'<TABLE BORDER="{2 if group.role == "parameter" else 1}" COLOR="{frame}" BGCOLOR="{colors.card}"'
        f' CELLBORDER="0" CELLSPACING="0" CELLPADDING="4">{"".join(rows)}</TABLE>'
    )


def figure(group: DrawnBox, kind: str, content: str, look: Look) -> str:
    """One line of numbers with its caption."""
    ink = getattr(look.colors, kind)
    word = font(f"<I>{'value' if kind == 'value' else 'grad'}</I>", ink, 9)
    cell = f'<TD CELLPADDING="2">{word}{font(f"&#160;&#160;{content}&#160;", ink, 11)}</TD>'
    return f"<TR>{handle(cell, f'{kind}-{group.id}', look)}</TR>"


def alarms(group: DrawnBox) -> list[str]:
    """What a gradient check found wrong inside."""
    failed = sum(numeric.failed for numeric in group.numeric)
    lines = [f"✗ {counted(failed, 'wrong gradient')}"] if failed else []
    return [*lines, "✗ a rule is wrong"] if group.wrong else lines


def facts(group: DrawnBox) -> str:
    """`80 ops · 48 parameters · 16 out`."""
    if group.role != "value":
        word = "inputs" if group.role == "data" else "parameters"
        return f"{len(group.members)} {word}"
    inside = sum(count for _, count in group.gates)
    parts = [counted(inside, "op")]
    if group.parameters:
        parts.append(counted(group.parameters, "parameter"))
    if len(group.outputs) == 1:
        shape = np.shape(group.outputs[0])
        parts.append(f"out {size(shape)}" if shape else "1 out")
    elif group.outputs:
        parts.append(f"{len(group.outputs)} out")
    return " · ".join(parts)


def ops(group: DrawnBox) -> str:
    """`×: 32   +: 32   max(0, ·): 16`."""
    parts = [f"{text(gate)}:&#160;<B>{count}</B>" for gate, count in group.gates[:GATES]]
    left = len(group.gates) - GATES
    return "&#160;&#160;&#160;".join([*parts, f"and {counted(left, 'other')}"] if left > 0 else parts)


def mean_and_std(arrays: Iterable[Array], digits: int) -> str:
    """A single number, or mean and standard deviation of many."""
    every = flat(arrays)
    if every is None or not every.size:
        return DASH
    if every.size == 1:
        return number(every[0], digits + 1)
    with np.errstate(all="ignore"):  # the std of infinities is nan, and shown as such
        return f"μ {number(every.mean(), digits)} · σ {number(every.std(), digits)}"


def norm_text(arrays: Iterable[Array], digits: int) -> str:
    """The Euclidean length of all gradients together."""
    every = flat(arrays)
    if every is None or not every.size:
        return DASH
    top = float(np.max(np.abs(every)))
    if not top or not math.isfinite(top):
        return f"‖grad‖ {number(top, digits)}"
    return f"‖grad‖ {number(top * np.linalg.norm(every / top), digits)}"


def flat(arrays: Iterable[Array]) -> np.ndarray | None:
    """All numbers in one row; None where one array is lazy or on another device."""
    rows = []
    for x in arrays:
        known = concrete(x)
        if known is None:
            return None
        rows.append(np.ravel(known).astype(float))
    return np.concatenate(rows) if rows else None
