"""Every figure of the lectures is made by its script, on its own, and says its numbers."""

import importlib
import os
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
def test_all_lectures_are_made_without_a_warning_and_in_four_minutes_of_one_core(tmp_path):
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / "lecture.py"), "all", str(tmp_path)]
    resource = pytest.importorskip("resource", reason="needs Unix")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr[-3000:]
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    for name in NAMES:
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert page.count(f'src="{name}.png"') == len(importlib.import_module(name).SLIDES)
    seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    print(f"all {len(NAMES)} figures: {seconds:.0f} s of a core")
    assert seconds < 240


@pytest.mark.parametrize("code", ["import templates_of_digits", "import lecture; lecture.scripts()"])
def test_figures_are_computed_with_one_thread(code):
    check = "import threadpoolctl; print(*(pool['num_threads'] for pool in threadpoolctl.threadpool_info()))"
    folders = f"import sys; sys.path += [{str(FIGURES)!r}, {str(ROOT / 'examples')!r}]"
    command = [sys.executable, "-c", f"{folders}; {code}; {check}"]
    threads = {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=ROOT, env=os.environ | threads
    )
    assert set(done.stdout.split()) == {"1"}


def rows() -> list[tuple[str, list[str]]]:
    """The index of slides: for each row its lecture and its cells."""
    found, lecture = [], ""
    for line in (ROOT / "docs" / "slides.md").read_text(encoding="utf-8").splitlines():
        lecture = line.split()[-1] if line.startswith("## Lecture") else lecture
        if line.startswith("| ") and not line.startswith("| slide"):
            cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            found.append((lecture, cells))
    return found


def test_every_topic_of_the_lectures_has_a_figure_or_an_answer():
    places = {(lecture, cells[0]) for lecture, cells in rows()}
    for line in (ROOT / "docs" / "questions.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## Lecture"):
            lecture = line.split()[-1]
        elif line.startswith("### "):
            places.add((lecture, line.removeprefix("### ")))
    lines = Path(__file__).with_name("topics.txt").read_text(encoding="utf-8").splitlines()
    topics = [tuple(line.split(" ", 1)) for line in lines if line and not line.startswith("# ")]
    assert len(set(topics)) == len(topics) >= 140
    assert [topic for topic in topics if topic not in places] == []


def test_the_index_of_slides_has_sixty_rows_and_no_empty_cell():
    assert len(rows()) >= 60
    for _, (slide, command, shown, page) in rows():
        assert slide
        assert shown.partition("`: ")[2]
        script = re.search(r"figures/(\w+\.py)", command)
        assert (FIGURES / script[1]).is_file() if script else "tinygrad_lo.pages classifier" in command
        assert (ROOT / "docs" / re.search(r"\((.+)\)", page)[1]).is_file()
