"""What a gradient check found: a report that is true or false, and reads as a table with its reasons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from tinygrad_lo.checking.diagnosis import Cause, sentence
from tinygrad_lo.checking.differences import FINE
from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.naming import name_of
from tinygrad_lo.errors import GradcheckError

WORDS = {
    "OK": "agree",
    "ZERO": "are zero",
    "KINK": "lie at kinks, between the slopes on both sides",
    "MEET": "lie where kinks meet",
    "UNVERIFIABLE": "could not be verified",
    "FAIL": "disagree",
}
ROUNDED = 1e-5  # so far off, relative, float32 leaves a gradient that is right
SHOWN_FIRST = ("FAIL", "UNVERIFIABLE", "MEET", "KINK", "OK", "ZERO")
Index = tuple[int, ...] | str  # of an element, or a direction in words


def leaf_name(leaf: Node) -> str:
    """The leaf's name, or its shape."""
    return name_of(leaf) or ("×".join(map(str, np.shape(leaf.value))) or "scalar") + " parameter"


def index_text(index: tuple[int, ...]) -> str:
    """An index as text: [0, 2], and nothing for a scalar."""
    return f"[{', '.join(map(str, index))}]" if index else ""


@dataclass
class Row:
    """One compared number: d f / d name[index]."""

    name: str
    index: Index
    analytic: float
    numeric: float
    bar: float  # how far the numeric one can be off
    verdict: str  # OK, ZERO, KINK, MEET, UNVERIFIABLE or FAIL
    order: int = 1
    point: int = 0  # 0 is the one that was given
    note: str = ""  # what stands behind the verdict

    @property
    def error(self) -> float:
        """How far apart both numbers are, relative to the larger one."""
        largest = max(abs(self.analytic), abs(self.numeric))
        return abs(self.analytic - self.numeric) / largest if largest else 0.0

    @property
    def place(self) -> str:
        """The element as text: W[0, 2]."""
        place = self.name + (f" {self.index}" if isinstance(self.index, str) else index_text(self.index))
        place += f" (order {self.order})" if self.order > 1 else ""
        return place + (f" (point {self.point + 1})" if self.point else "")

    @property
    def known(self) -> float:
        """How well the measured number is known, relative to it."""
        return self.bar / abs(self.numeric) if self.numeric else np.inf

    @property
    def facts(self) -> dict[str, Any]:
        """The row as plain data."""
        numbers = {"analytic": float(self.analytic), "numeric": float(self.numeric)}
        return {"name": self.place, "verdict": self.verdict, **numbers}

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as a table has it."""
        measured = self.verdict not in ("ZERO", "KINK", "MEET") and np.isfinite(self.error)
        error, known = (f"{self.error:.1e}", f"{self.known:.0e}") if measured else ("-", "-")
        verdict = f"{self.verdict}: {self.note}" if self.note else self.verdict
        return self.place, f"{self.analytic:.6g}", f"{self.numeric:.6g}", error, known, verdict


@dataclass
class Fault:
    """A rule that is wrong at the inputs with which its op was called."""

    op: str
    where: str | None  # file:line of the user's code that called it
    rule: int  # which input it differentiates by
    index: tuple[int, ...]
    x: float  # the input's element there
    analytic: float
    numeric: float
    cause: Cause | None
    order: int = 1

    def __str__(self) -> str:
        called = f", called at {self.where}" if self.where else ""
        element = f"input {self.rule}{index_text(self.index)} = {self.x:.6g}"
        what = "its rule" if self.order == 1 else "the derivative of its rule"
        numbers = f"{self.analytic:.6g}, differences {self.numeric:.6g}"
        return f"{self.op}{called}: by {element}, {what} gives {numbers}"


def share_right(rows: Sequence[Row]) -> float:
    """The share of compared derivatives that agree, below 1; those that are rounded count nine tenths."""
    judged = [row for row in rows if row.verdict in ("OK", "KINK", "FAIL")]
    right = sum(1.0 if row.verdict != "FAIL" else 0.9 * (row.error <= ROUNDED) for row in judged)
    return min(0.99, right / len(judged)) if judged else 0.0


def in_columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows of cells as lines."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def set_in(lines: Iterable[str]) -> list[str]:
    """Lines below a heading."""
    return [f"  {line}" for line in lines]


class Checked:
    """What the reports of all checks share: each is true if the check passed, and printed says why not."""

    title: str
    found: Cause | None  # what kind of mistake it looks like, with its numbers
    said: Any  # what is right and wrong, in sentences
    rows: Any  # what was compared
    undecided: Any = False  # nothing is wrong, but nothing was verified either
    more: ClassVar[tuple[str, ...]] = ()  # what else goes into as_dict()

    @property
    def cause(self) -> str | None:
        """The kind of mistake, such as "sign" or "factor 2"; None if nothing fits."""
        return self.found.name if self.found else None

    @property
    def outcome(self) -> str:
        """passed, FAILED, or UNDECIDED: nothing is wrong, but nothing was verified either."""
        return "passed" if self else "UNDECIDED" if self.undecided else "FAILED"

    @property
    def score(self) -> float:
        """The share of what was compared that is right: 1 only if the check passed."""
        return 1.0 if self else self.share()

    def share(self) -> float:
        """The share of rows that are right."""
        return float(sum(row.ok for row in self.rows) / len(self.rows))

    def as_dict(self) -> dict[str, Any]:
        """What was found, as plain data for JSON."""
        facts = {"title": self.title, "passed": bool(self), "score": self.score, "cause": self.cause}
        facts |= {"said": [*self.said], "rows": [row.facts for row in self.rows]}
        return facts | {name: getattr(self, name) for name in self.more}

    def raise_if_failed(self) -> None:
        """Raise GradcheckError with this report as its message, unless the check passed."""
        if not self:
            raise GradcheckError(str(self))

    def tables(self) -> list[list[str]]:
        """What is printed below the sentences."""
        return []

    def __str__(self) -> str:
        lines = [f"{self.title} {self.outcome}", *set_in(self.said)]
        return "\n".join([*lines, *(line for table in self.tables() for line in ("", *set_in(table)))])

    def __repr__(self) -> str:
        return str(self)  # what a cell or a prompt shows of its last line


@dataclass(repr=False)
class Report(Checked):
    """The report of a gradient check: true if nothing failed and something was verified.

    If nothing failed and nothing was verified either, it is false and reads UNDECIDED. `cause` is one of
    "sign", "factor 2", "mean or sum", "transpose", "regularizer", "disconnected", "some elements",
    "not finite", "ties", "not linear", or None.
    """

    rtol: float
    rows: list[Row] = field(default_factory=list)  # one for each compared derivative
    found: Cause | None = None
    faults: list[Fault] = field(default_factory=list)  # every wrong rule, with the numbers that show it
    unverified: list[str] = field(default_factory=list)  # what these points cannot show, in sentences
    shape: tuple[int, ...] = ()  # of the result, if the rows are of its sum with random positive weights
    title: str = "gradcheck"
    more = ("culprit", "where")

    @property
    def culprit(self) -> str | None:
        """The name of the op whose rule is wrong, or None."""
        return self.faults[0].op if self.faults else None

    @property
    def where(self) -> str | None:
        """The file and line that called the culprit."""
        return self.faults[0].where if self.faults else None

    def count(self, verdict: str) -> int:
        """How many rows have this verdict."""
        return sum(row.verdict == verdict for row in self.rows)

    @property
    def undecided(self) -> bool:
        """Whether nothing is wrong, and nothing was verified either."""
        verified = self.count("OK") or self.count("KINK") or self.count("ZERO") == len(self.rows) > 0
        return not (verified or self.count("FAIL") or self.faults)

    def __bool__(self) -> bool:
        return not (self.undecided or self.count("FAIL") or self.faults)

    @property
    def said(self) -> list[str]:
        """What was compared, the cause, the culprit, and what is not known."""
        return [self.summary(), *self.reasons()]

    def share(self) -> float:
        """The share of derivatives that agree, below 1."""
        return share_right(self.rows)

    def __str__(self) -> str:
        lines = [f"gradcheck {self.outcome}: {self.summary()}"]
        if self.shape:
            lines.append(f"  the result has shape {self.shape}: checked is its sum with random weights")
        return "\n".join([*lines, *set_in([*self.table(), *self.reasons()])])

    def summary(self) -> str:
        """How many rows have which verdict, and how well they are known; or why nothing is."""
        if self.undecided:
            return f"no derivative could be verified: {self.hidden()}"
        counts = ", ".join(f"{n} {word}" for verdict, word in WORDS.items() if (n := self.count(verdict)))
        text = f"of {len(self.rows)} derivatives {counts}"
        agree = [row for row in self.rows if row.verdict == "OK"]
        if not self or not agree:
            return text
        worst = max(agree, key=lambda row: row.known)
        if worst.known <= FINE:
            return f"{text}, known to {FINE:.0e} or better"
        return f"{text} (known least: {worst.place} to {worst.known:.0e}, the others better)"

    def hidden(self) -> str:
        """Why the first derivative that could not be verified could not."""
        notes = (row.note for row in self.rows if row.verdict in ("UNVERIFIABLE", "MEET"))
        return next(notes, "there is none")

    def table(self) -> list[str]:
        """The twelve rows that matter most, worst first."""
        rows = sorted(self.rows, key=lambda row: (SHOWN_FIRST.index(row.verdict), -float(f"{row.error:.1e}")))
        cells = [("derivative by", "analytic", "numeric", "rel. error", "known to", "verdict")]
        cells += [row.cells for row in rows[:12]]
        return in_columns(cells) + [f"… and {len(rows) - 12} more"] * (len(rows) > 12)

    def reasons(self) -> list[str]:
        """Cause, culprit, and what is not known."""
        lines = []
        if self.found and self.cause:  # where it is seen is not always where it is shown
            lines = [f"cause: {self.cause}: {sentence('the gradient', replace(self.found, where=''))}"]
        lines += [f"culprit: {fault}" for fault in self.faults[:1]]
        others = {(fault.op, fault.where, fault.rule): fault for fault in reversed(self.faults[1:])}
        lines += [f"also wrong: {fault}" for fault in list(others.values())[:3]]
        if self.faults and not self.count("FAIL"):
            lines.append("It changes no derivative at this point, where no gradient reaches it.")
        return lines + [f"unverified: {note}" for note in self.unverified]
