"""A class graded: every submission in processes of its own, with limits, and a row of a table for each.

A student's functions run in one process, which has nothing to forge (`served`); what judges them runs here,
in another, on the numbers that come back. Only to say in words what is wrong, the checks run once more beside
the student's code, as they do for him; of that run nothing counts but the words.
"""

from __future__ import annotations

import ast
import csv
import functools
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from tinygrad_lo.checking.anew import anew, holds_anew
from tinygrad_lo.checking.exercise import (
    Judgement,
    answers_of,
    answers_to,
    exercise_at,
    module_at,
    names_asked,
    to_fill_in,
)
from tinygrad_lo.checking.sandbox import Hostile, Limits, Served, read_line, running
from tinygrad_lo.errors import GraphError
from tinygrad_lo.options import whole

MOST_SOURCE = 1_000_000  # bytes of a submission: it is parsed here
LONGEST_REASON = 300  # characters of a reason


@dataclass(frozen=True)
class Grade:
    """One row of the table."""

    file: str
    score: float
    reason: str


def submissions_in(folder: Path, exercise: Path) -> list[Path]:
    """The files of a class: one for each student, in the folder or in a folder of his own."""
    if not folder.is_dir():
        raise GraphError(f"{str(folder)!r} is no folder")
    files = [path for entry in sorted(folder.iterdir()) for path in submissions_of(entry, exercise)]
    if not files:
        raise GraphError(f"{str(folder)!r} has no Python files, and no folders of students")
    return files


def submissions_of(entry: Path, exercise: Path) -> list[Path]:
    """The files of one student: his own, or those in his folder that define most of what is asked for.

    A copy of the exercise counts only if there is nothing else; a folder without a file stands for itself.
    """
    if is_hidden(entry.name):
        return []
    if not entry.is_dir() or entry.is_symlink():
        return [entry] if entry.is_dir() or entry.suffix in (".py", ".ipynb") else []
    names = names_asked(exercise)
    defined = {path: count_defined(path, names) for path in files_in(entry, "*.py")}
    most = max(defined.values(), default=0)
    files = [path for path in defined if defined[path] == most]
    filled = [path for path in files if most and not is_untouched(path, exercise)]
    return filled or files[:1] or [entry]


def is_hidden(name: str) -> bool:
    """Whether a name is one that programs give, such as .git, __MACOSX and __pycache__."""
    return name.startswith((".", "__"))


def files_in(folder: Path, pattern: str) -> list[Path]:
    """The files in a folder and in its folders, without hidden ones."""
    paths = sorted(folder.rglob(pattern))
    return [path for path in paths if not any(map(is_hidden, path.relative_to(folder).parts))]


def count_defined(path: Path, names: Sequence[str]) -> int:
    """How many of these names a file defines; 0 where it cannot be read. It need not be right Python."""
    try:
        if path.is_symlink() or path.stat().st_size > MOST_SOURCE:
            return 0
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    return sum(bool(re.search(rf"(?m)^(def\s+)?{re.escape(name)}\s*[(=:]", text)) for name in names)


def without_file(submission: Path) -> str:
    """What to say of a student who has handed in no Python."""
    inside = submission.is_dir()
    notebooks = files_in(submission, "*.ipynb") if inside else [submission]
    return (
        f"no .py file{' in it' * inside}{''.join(f'; save {path.name} as Python' for path in notebooks[:1])}"
    )


def grade_folder(
    folder: Path, exercise: str, *,
    limits: Limits | None = None, jobs: int | None = None, progress: bool = True,
) -> list[Grade]:  # fmt: skip
    r"""A grade for each submission, in the order of their names; the same ones the second time.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "ada.py").write_text("def diamond(x):\n    return x.sum(), 2 * x\n")
        >>> for grade in grade_folder(folder, "ex02", progress=False):
        ...     print(grade.file, grade.score, grade.reason[:40].rstrip())
        ada.py 0.0 the gradient by x fits none of the known
    """
    file = exercise_at(exercise)
    names_asked(file)  # an exercise that is none is refused before anybody is judged
    jobs = None if jobs is None else whole("grade_folder", "jobs", jobs)
    paths = submissions_in(folder, file)
    with ProcessPoolExecutor(jobs or os.cpu_count(), mp_context=get_context("spawn")) as pool:
        work = pool.map(functools.partial(graded, file, limits=limits or Limits()), paths)
        rows = [*with_progress(work, len(paths))] if progress else [*work]
    return [Grade(path.relative_to(folder).as_posix(), *row) for path, row in zip(paths, rows, strict=True)]


def with_progress(work: Iterator[Any], total: int) -> Iterator[Any]:
    """The same, with a bar where tqdm is installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        return work
    return iter(tqdm(work, total=total, unit=" submissions"))


def write_csv(rows: Sequence[Grade], path: Path) -> None:
    """The columns file, score, reason; a cell that a spreadsheet would compute stays text."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["file", "score", "reason"])
        for row in rows:
            table.writerow([as_text(row.file), f"{row.score:.3g}", as_text(row.reason)])


def as_text(cell: str) -> str:
    """A cell that is no formula."""
    return f"'{cell}" if cell[:1] in "=+-@\t\r" else cell


# ----------------------------------------------------------------------------------------- one submission


def graded(exercise: Path, submission: Path, limits: Limits) -> tuple[float, str]:
    """The score of one submission, and why."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        mine = Path(folder, "submission.py")
        try:
            if submission.is_symlink():
                raise Hostile("the file is a link to another one")
            if submission.is_dir() or submission.suffix == ".ipynb":
                raise Hostile(without_file(submission))
            if submission.stat().st_size > MOST_SOURCE:
                raise Hostile(f"the file is larger than {MOST_SOURCE // 1000} kB")
            shutil.copyfile(submission, mine)
            if is_untouched(mine, exercise):
                return 0.0, "untouched: the functions are those of the exercise"
            score, reason = judged(exercise, mine, limits)
            if reason == WRONG:  # as the student reads it
                reason = reason_of(run_beside(exercise, mine, limits))
        except Hostile as problem:
            score, reason = 0.0, str(problem)
        except OSError as problem:
            score, reason = 0.0, f"cannot be read: {problem.strerror}"
    for place in (folder, str(exercise.parent)):  # other ones the next time
        reason = reason.replace(f"{place}{os.sep}", "")
    return score, cleaned(reason)


WRONG = "wrong"  # to be said in words


def judged(exercise: Path, mine: Path, limits: Limits) -> tuple[float, str]:
    """The score by the numbers that a submission's functions return, and what to say."""
    with running([Path(__file__).with_name("served.py"), mine], mine.parent, limits) as process:
        served = Served(process, limits)
        found = judgements_of(exercise, served)
        if served.in_tensors:
            return in_tensors(exercise, mine, limits)
        score = sum(one.score for one in found) / len(found)
        if not all(found):
            todo = next(filter(None, (one.text.partition("Still to do: ")[2] for one in found)), "")
            return (0.0, f"not filled in: {todo}") if todo and not any(found) else (min(score, 0.99), WRONG)
        if any(is_flat(one.report) for one in found):
            return 0.0, "constant: neither the loss nor the gradient depends on what it is given"
        return passed_if(holds_anew(functools.partial(judgements_of, exercise, served)))


def passed_if(held: bool) -> tuple[float, str]:
    """What somebody gets who is right at the numbers of the example."""
    if held:
        return 1.0, "all checks passed"
    return 0.0, "constant: right for the numbers of the example only"


def is_flat(report: Any) -> bool:
    """Whether a check passed only because nothing depends on anything."""
    rows = getattr(report, "report", None) or report
    return bool(getattr(rows, "rows", None)) and all(getattr(r, "verdict", "") == "ZERO" for r in rows.rows)


def judgements_of(exercise: Path, served: Served, rung: int | None = None) -> list[Judgement]:
    """What the checks of the teacher's file find about the served functions; with a rung at other numbers."""
    module = module_at(exercise, f"exercise_{exercise.stem}")
    for name in module.YOURS:
        setattr(module, name, served.function(name, getattr(module, name)))
    return answers_of(module, functools.partial(anew, rung=rung))


def in_tensors(exercise: Path, mine: Path, limits: Limits) -> tuple[float, str]:
    """Of functions that take tensors, which no process can hand to another: what their own process says."""
    found = run_beside(exercise, mine, limits)
    if not found or not all(found):
        return 0.0, reason_of(found)
    return passed_if(holds_anew(functools.partial(run_beside, exercise, mine, limits)))


def reason_of(found: Sequence[Said]) -> str:
    """The first thing that is wrong, without the table below it."""
    return next((one.text for one in found if not one), "wrong")


def cleaned(reason: str) -> str:
    """A reason in one line without control characters."""
    text = " ".join("".join(c if c.isprintable() else " " for c in reason).split())
    return text if len(text) <= LONGEST_REASON else f"{text[: LONGEST_REASON - 1]}…"


def is_untouched(mine: Path, exercise: Path) -> bool:
    """Whether the functions that count are those of the exercise, as they were given out."""
    try:
        theirs = ast.parse(mine.read_bytes())
    except (SyntaxError, ValueError, MemoryError, RecursionError):  # also of brackets without end
        return False
    given = ast.parse(exercise.read_text(encoding="utf-8"))
    names = names_asked(exercise)
    return all(function_text(theirs, name) == function_text(given, name) for name in names)


def function_text(tree: ast.Module, name: str) -> str | None:
    """A function as text without comments and spaces; None if it is not there."""
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    return ast.dump(found[-1]) if found else None


# --------------------------------------------------------------------------------- beside the student's code


class Said(NamedTuple):
    """A judgement as it was written on a pipe."""

    text: str
    passed: bool
    is_open: bool

    def __bool__(self) -> bool:
        return self.passed


def run_beside(exercise: Path, mine: Path, limits: Limits, rung: int | None = None) -> list[Said]:
    """What the checks say in the process of the student's code, as they do on his own machine."""
    code = "import sys; from tinygrad_lo.checking.grading import judge_beside; judge_beside(*sys.argv[1:])"
    with running(["-c", code, exercise, mine, *[rung] * (rung is not None)], mine.parent, limits) as process:
        assert process.stdin is not None
        process.stdin.close()  # input() ends at once
        line = read_line(process, time.monotonic() + limits.seconds, limits)
    try:
        found = json.loads(line)
        return [Said(str(text)[:5000], passed is True, is_open is True) for text, passed, is_open in found]
    except (ValueError, TypeError) as problem:
        raise Hostile("writes something else in the place of answers") from problem


def judge_beside(exercise: str, mine: str, *rung: str) -> None:
    """Run the checks on the functions of a file, and write what they find on stdout."""
    stdout, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: PTH123, SIM115  (for as long as it runs)
    try:
        written = vars(module_at(Path(mine), "submission"))
        place = functools.partial(anew, rung=int(rung[0]) if rung else None)
        judgements = answers_to(Path(exercise), written, place)
        found = [Said(said_of(j), bool(j), j.is_open) for j in judgements]
    except BaseException as problem:
        unfilled = to_fill_in(problem)
        text = f"not filled in: {unfilled}" if unfilled else f"{type(problem).__name__}: {problem}"
        found = [Said(text, passed=False, is_open=True)]
    stdout.write(json.dumps(found) + "\n")
    stdout.flush()


def said_of(judgement: Judgement) -> str:
    """What a check says in sentences, and its hint."""
    text, _, hint = judgement.text.partition("\n\nHint: ")
    if judgement.report is not None:
        text = "; ".join(judgement.report.as_dict()["said"])
    return f"{text}{' Hint: ' * bool(hint)}{hint}"
