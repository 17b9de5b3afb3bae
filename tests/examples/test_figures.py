"""Every figure of the lectures is made by its script, on its own, and says its numbers."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / "examples" / "figures"
NAMES = sorted(path.stem for path in FIGURES.glob("*.py") if path.stem != "style")


@pytest.fixture(scope="module", autouse=True)
def _importable():
    for needed in ("matplotlib", "sklearn"):
        pytest.importorskip(needed, reason="needs the extra 'examples'")
    sys.path.insert(0, str(FIGURES))
    yield
    sys.path.remove(str(FIGURES))


@pytest.mark.parametrize("name", NAMES)
def test_a_script_asks_a_question_and_says_what_it_shows(name):
    module = importlib.import_module(name)
    assert "?" in module.__doc__.splitlines()[0]
    assert module.SLIDES
    for lecture, topics in module.SLIDES.items():
        assert lecture in ("000", "001", "002", "003", "004")
        assert topics
        assert all(isinstance(topic, str) for topic in topics)
    assert len((FIGURES / f"{name}.py").read_text(encoding="utf-8").splitlines()) <= 110


@pytest.mark.slow
@pytest.mark.parametrize("lecture", ["000", "001", "002", "003", "004"])
def test_a_lecture_is_made_without_a_warning(lecture, tmp_path):
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / "lecture.py"), lecture, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    for name in NAMES:
        if lecture in importlib.import_module(name).SLIDES:
            assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
            assert f'src="{name}.png"' in page


def test_the_index_of_slides_has_sixty_rows_and_no_empty_cell():
    lines = (ROOT / "docs" / "slides.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith("| slide")]
    assert len(rows) >= 60
    for row in rows:
        slide, command, shown, page = (cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1])
        assert slide
        assert shown.partition("`: ")[2]
        assert (FIGURES / re.search(r"figures/(\w+\.py)", command)[1]).is_file()
        assert (ROOT / "docs" / re.search(r"\((.+)\)", page)[1]).is_file()
