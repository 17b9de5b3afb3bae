"""docs/coming-from.md names only what exists."""

import operator
import re
from pathlib import Path

import tinygrad_lo as lo

PAGE = Path(__file__).parents[2] / "docs" / "coming-from.md"


def test_every_name_on_the_right_exists() -> None:
    rows = re.findall(r"^\| `[^|]*` \| `lo\.([\w.]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert len(rows) == len(lines) > 20, "a row that this test cannot read"
    for name in rows:
        assert callable(operator.attrgetter(name)(lo)), name
