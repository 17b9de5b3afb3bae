"""docs/benchmarks.md: what stands above the marker is written by hand and kept, the rest is measured."""

import datetime
from pathlib import Path

import machine
from race import HEAD, Row

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
MARKER = "<!-- Everything below this line is written by tests/benchmarks/speed.py --write -->"


def table(rows: list[Row]) -> list[str]:
    """Rows in Markdown; figures are aligned to the right, missed limits are bold."""
    lines = [f"| {' | '.join(HEAD)} |", "|---|---|---|--:|--:|---|---|---|"]
    for row in rows:
        cells = [f"**{text}**" if text == "MISSED" else text for text in row.cells()]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def write(rows: list[Row], rounds: int, missing: list[str]) -> None:
    """The page, with what was there above the marker."""
    above = PAGE.read_text(encoding="utf-8").split(MARKER, maxsplit=1)[0].rstrip()
    limited = [row for row in rows if row.limit is not None]
    kept = sum(row.verdict == "ok" for row in limited)
    today = datetime.datetime.now(tz=datetime.UTC).date()
    below = [
        f"Measured on {today.isoformat()}, {rounds} rounds; {kept} of {len(limited)} limits are kept.",
        "",
        f"* Machine: {machine.model()}; one core is used.",
        f"* Versions: {machine.versions()}.",
        *(f"* Left out: {name}." for name in missing),
        "",
        *table(rows),
    ]
    PAGE.write_text("\n".join([above, "", MARKER, "", *below, ""]), encoding="utf-8")
