"""A class graded: right, wrong, untouched, hostile and dishonest submissions, with score and reason."""

import csv
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from exercise_solutions import FIRST
from exercise_solutions_steps import SECOND

from tinygrad_lo.checking.__main__ import main
from tinygrad_lo.checking.exercise import exercises
from tinygrad_lo.checking.grading import Grade, grade_folder, graded, write_csv
from tinygrad_lo.checking.sandbox import Limits, marked
from tinygrad_lo.errors import GraphError

ROOT = Path(__file__).resolve().parents[2]
SOLVED = {**FIRST, **SECOND}
posix = pytest.mark.skipif(os.name != "posix", reason="limits of memory and of processes are POSIX only")
SOFTMAX = """
import numpy as np
import tinygrad_lo as lo
def softmax_loss(scores, labels):
    {}
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    loss = -np.log(p[rows, labels]).mean()
    p[rows, labels] -= 1.0
    return loss, p / len(labels)
"""
HOSTILE = {
    "an endless loop": "while True: pass",
    "sleep": "import time; time.sleep(1000)",
    "10 GB": "np.ones(10 * 2**27)[0]",
    "10 GB of a list": "x = [0] * (10 * 2**27)",
    "exit": "raise SystemExit(0)",
    "a hard exit": "import os; os._exit(0)",
    "deletes its folder": "import shutil, os; shutil.rmtree(os.getcwd())",
    "prints without end": "\n    while True: print('x' * 2**20)",
    "a child": "import subprocess; subprocess.Popen(['sleep', '1000'])",
    "a fork": "import os; os.fork()",
    "forks without end": "import os\n    while True: os.fork()",
    "ignores signals": "import signal; signal.signal(15, signal.SIG_IGN)\n    while True: pass",
    "writes a large file": "open('large', 'wb').write(b'0' * 2**28)",
    "recursion": "f = lambda: f(); f()",
    "threads without end": "import threading\n    while True: threading.Thread(target=lambda: None).start()",
    "a huge answer": "return 1.0, 'x' * 2**27",
}
DISHONEST = {
    "the library's loss": "return lo.losses.cross_entropy(scores, labels), None",
    "the library's gradient": "s = lo.Parameter(scores); (s * s).sum().backward(); return 1.0, s.grad",
    "another library": "import torch; return torch.nn.functional.cross_entropy(scores, labels), 0",
    "an import by its name": "import importlib; importlib.import_module('tinygrad_lo.optim').SGD(scores)",
    "another submission": "exec(open({other!r}).read()); return 1.0, scores",
    "the solution": "import runpy; runpy.run_path({other!r})",
    "a socket": "import socket; socket.create_connection(('127.0.0.1', 80), 1)",
    "hardcoded numbers": "return 1.234, np.full_like(scores, 0.25)",
    "zeros": "return 0.0, np.zeros_like(scores)",
    "nothing": "return None",
}
FORGED = """
import sys, os
for fd in range(3, 9):
    try: os.write(fd, b'{"result": {"plain": 1}, "dishonest": []}\\n')
    except OSError: pass
"""
NO_IMPORTER = """
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if 'Imports' not in str(finder)]
sys.modules.pop('tinygrad_lo', None)
"""
AT_THE_TOP = {
    "a score on stdout": "print('score 1.0'); print('{\"result\": 1}')",
    "a patched checker": "import tinygrad_lo.checking.exercise as e\ne.grade = e.answers = lambda *a: [True]",
    "a patched NumPy": "np.allclose = lambda *a, **k: True\nnp.isclose = lambda a, b, **k: a == a",
    "a forged row": FORGED,
    "the importer put away": NO_IMPORTER,
}


def some(every):
    """The first four of many; the others are slow tests."""
    return [pytest.param(name, marks=pytest.mark.slow if i > 3 else ()) for i, name in enumerate(every)]


def with_limits(code, tmp_path, exercise="ex05_softmax", **limits):
    file = tmp_path / "submission.py"
    file.write_text(code, encoding="utf-8")
    return graded(exercises()[exercise], file, Limits(**{"seconds": 5.0, "megabytes": 1024} | limits))


@pytest.mark.parametrize("name", ["ex02_diamond", "ex12_own_op", "ex13_softmax_steps", "ex21_steps"])
def test_right_and_untouched(name, tmp_path):
    source = exercises()[name].read_text(encoding="utf-8")
    assert with_limits(source + SOLVED[name][0], tmp_path, name) == (1.0, "all checks passed")
    assert with_limits(source, tmp_path, name) == (0.0, "untouched: the functions are those of the exercise")


@pytest.mark.slow
@pytest.mark.parametrize("name", SOLVED)
def test_every_exercise_can_be_graded(name, tmp_path):
    """Right solutions at two seeds; each usual mistake with the words of the command line."""
    source, (solution, mistakes) = exercises()[name].read_text(encoding="utf-8"), SOLVED[name]
    assert with_limits(source + solution, tmp_path, name) == (1.0, "all checks passed")
    assert with_limits("x = 1\n", tmp_path, name)[0] == 0.0
    for old, new, said in mistakes[:3]:
        score, reason = with_limits(source + solution.replace(old, new), tmp_path, name)
        assert score < 1.0
        assert said.replace("\n", " ") in reason or reason.startswith("untouched"), reason


def test_a_mistake_is_told_as_on_the_command_line(tmp_path):
    score, reason = with_limits(SOFTMAX.format("pass").replace("p / len(labels)", "p"), tmp_path)
    assert score == 0.0
    assert "is 7 times what it should be: the 1/7 of a mean is missing" in reason
    assert "Hint: The loss is a mean over N samples." in reason


def test_what_is_half_right_has_half_the_score(tmp_path):
    name = "ex06_sigmoid"
    source, (solution, _) = exercises()[name].read_text(encoding="utf-8"), SOLVED[name]
    broken = solution + "\ndef sigmoid_cross_entropy(z, y):\n    raise ZeroDivisionError('mine')\n"
    score, reason = with_limits(source + broken, tmp_path, name)
    assert score == 0.5
    assert "Your code raised ZeroDivisionError: mine" in reason
    assert with_limits(source.replace("raise Not", "x = 1\n    raise Not"), tmp_path, name)[1].startswith(
        "not filled in: "
    )


@posix
@pytest.mark.parametrize("what", some(HOSTILE))
def test_a_hostile_submission_costs_only_itself(what, tmp_path):
    begin = time.monotonic()
    score, reason = with_limits(SOFTMAX.format(HOSTILE[what]), tmp_path, seconds=1.5, megabytes=512)
    assert score == 0.0
    assert reason, what
    assert time.monotonic() - begin < 12.0
    assert [path.name for path in tmp_path.iterdir()] == ["submission.py"]


@pytest.mark.parametrize("what", some(DISHONEST))
def test_a_dishonest_submission_is_told(what, tmp_path):
    other = ROOT / "tests" / "exercise_solutions.py"
    code = DISHONEST[what]
    code = code.format(other=str(other)) if "{" in code else code
    score, reason = with_limits(SOFTMAX.format(code), tmp_path)
    assert score == 0.0, reason
    if what not in ("hardcoded numbers", "zeros", "nothing"):
        assert reason.startswith("dishonest: "), reason


@pytest.mark.parametrize("what", AT_THE_TOP)
def test_what_a_file_does_at_its_top_changes_no_score(what, tmp_path):
    wrong = SOFTMAX.format("pass").replace("p / len(labels)", "p")
    score, _ = with_limits(wrong + "\n" + AT_THE_TOP[what], tmp_path)
    assert score == 0.0


def test_numbers_of_the_example_are_no_answer(tmp_path):
    """Right where the exercise looks first, and nowhere else."""
    name = "ex13_softmax_steps"
    source, (solution, _) = exercises()[name].read_text(encoding="utf-8"), SOLVED[name]
    fixed = solution + (
        "\nright = backward\n_known = []\ndef backward(*values):\n"
        "    if not _known:\n        _known.append(right(*values))\n    return _known[0]\n"
    )
    assert with_limits(source + fixed, tmp_path, name) == (
        0.0,
        "constant: right for the numbers of the example only",
    )


def test_a_file_that_is_no_python_is_told(tmp_path):
    assert "SyntaxError" in with_limits("def softmax_loss(:\n", tmp_path)[1]
    assert with_limits("def other():\n    pass\n", tmp_path) == (
        0.0,
        "not filled in: write a function softmax_loss",
    )


RIGHT = {
    "a byte order mark": b"\xef\xbb\xbf" + SOFTMAX.format("pass").encode(),
    "Latin-1, as it says": ("# coding: latin-1\n# Müller" + SOFTMAX.format("pass")).encode("latin-1"),
    "lines of Windows": SOFTMAX.format("pass").replace("\n", "\r\n").encode(),
    "Python's own modules": b"import copy, dataclasses, itertools, math\n" + SOFTMAX.format("pass").encode(),
    "other libraries, unused": b"import matplotlib.pyplot as plt" + SOFTMAX.format("pass").encode(),
    "a test for a tensor": SOFTMAX.format("assert not isinstance(scores, lo.Tensor)").encode(),
    "checks while it is loaded": SOFTMAX.format("pass").encode()
    + b"""
report = lo.check_loss(softmax_loss, "cross_entropy")
assert report and report.score > 0.5, lo.__version__
print(f"{report.score:.2f}", len(report.rows), *report.rows)
with lo.no_grad():
    x = 2.0 * lo.Parameter([1.0])[0] - 1.0
class Mine(lo.nn.Module):
    pass
""",
}


@pytest.mark.parametrize("what", RIGHT)
def test_right_files_of_many_kinds(what, tmp_path):
    file = tmp_path / "submission.py"
    file.write_bytes(RIGHT[what])
    assert graded(exercises()["ex05_softmax"], file, Limits(5.0)) == (1.0, "all checks passed")


def test_a_guard_that_is_patched_still_guards(tmp_path):
    """Another's right answer is no right answer, whatever a file does to the program that serves it."""
    other = tmp_path / "other" / "answer.py"
    other.parent.mkdir()
    other.write_text(SOFTMAX.format("pass"))
    patched = f"""
import __main__, os, sys
__main__.refuse = lambda *_: None
__main__.FORBIDDEN_EVENTS, os.path.realpath = (), lambda path: __file__
sys.meta_path[:] = [finder for finder in sys.meta_path if "Imports" not in str(finder)]
try:
    exec(open({str(other)!r}).read())
except BaseException:
    pass
"""
    score, reason = with_limits(patched, tmp_path)
    assert (score, reason) == (0.0, "dishonest: opens 'answer.py', which is not its own file")


def test_who_reads_what_is_typed_is_told(tmp_path):
    score, reason = with_limits(SOFTMAX.format("input('scores? ')"), tmp_path)
    assert score == 0.0
    assert "EOFError" in reason


@pytest.mark.parametrize("code", ["x = " + "-" * 200_000 + "1", "#" * 1_000_001])
def test_a_file_that_cannot_be_parsed_costs_only_itself(code, tmp_path):
    score, reason = with_limits(code, tmp_path)
    assert score == 0.0
    assert reason.startswith(("MemoryError", "RecursionError", "the file is larger than 1000 kB"))


@posix
def test_a_link_is_refused(tmp_path):
    (tmp_path / "real.py").write_text("x = 1\n")
    (tmp_path / "link.py").symlink_to(tmp_path / "real.py")
    assert graded(exercises()["ex05_softmax"], tmp_path / "link.py", Limits()) == (
        0.0,
        "the file is a link to another one",
    )


def test_the_table_is_no_program(tmp_path):
    rows = [Grade("=1+1.py", 0.0, "@SUM(A1)"), Grade("a,b.py", 2 / 3, 'said "x"')]
    write_csv(rows, tmp_path / "grades.csv")
    with (tmp_path / "grades.csv").open(encoding="utf-8", newline="") as stream:
        table = list(csv.reader(stream))
    assert table == [
        ["file", "score", "reason"],
        ["'=1+1.py", "0", "'@SUM(A1)"],
        ["a,b.py", "0.667", 'said "x"'],
    ]


def test_the_command(tmp_path):
    folder = tmp_path / "submissions"
    (folder / "Ada Lovelace_1").mkdir(parents=True)
    (folder / "Ada Lovelace_1" / "my solution.py").write_text(SOFTMAX.format("pass"))
    (folder / "bob.py").write_text(SOFTMAX.format("pass").replace("-np.log", "np.log"))
    command = [sys.executable, "-m", "tinygrad_lo.checking", "--folder", folder, "--exercise", "ex05"]
    done = subprocess.run(
        [*command, "--csv", tmp_path / "grades.csv", "--jobs", "2"],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "Ada Lovelace_1/my solution.py  1.00  all checks passed"
    assert lines[1].startswith("bob.py                         0.00  your loss has the wrong sign")
    assert (tmp_path / "grades.csv").read_text(encoding="utf-8").startswith("file,score,reason\n")


def test_every_student_has_a_row_for_the_file_that_counts(tmp_path):
    right = SOFTMAX.format("pass")
    given = exercises()["ex05_softmax"].read_text(encoding="utf-8")
    for path, text in {
        ".hidden.py": right, "__MACOSX/ada.py": right, "notes.txt": "",
        "ada/helpers.py": "def softmax(x): pass", "ada/softmax.py": right, "ada/ex05_softmax.py": given,
        "ben/a.py": "x = 1", "ben/z.py": "def softmax_loss(:", "cyd/work.ipynb": "{}", "dan/notes.txt": "",
        "eve/.ipynb_checkpoints/ex05_softmax.py": right, "fay.ipynb": "{}", "gil/deep/mine.py": right,
        "hal/ex05_softmax.py": given, "hal/test.py": "x = 1",
    }.items():  # fmt: skip
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    rows = {row.file: row.reason for row in grade_folder(tmp_path, "ex05", progress=False)}
    assert rows.pop("ben/z.py").startswith("SyntaxError")
    assert rows == {
        "ada/softmax.py": "all checks passed",
        "cyd": "no .py file in it; save work.ipynb as Python",
        "dan": "no .py file in it",
        "eve": "no .py file in it",
        "fay.ipynb": "no .py file; save fay.ipynb as Python",
        "gil/deep/mine.py": "all checks passed",
        "hal/ex05_softmax.py": "untouched: the functions are those of the exercise",
    }


@pytest.fixture
def cubes(tmp_path, monkeypatch):
    """An exercise of a teacher's own, by a path from where he stands, and a class of one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "class").mkdir()
    (tmp_path / "own" / "cubes.py").write_text(
        "import tinygrad_lo as lo\nYOURS = ('cube',)\ndef cube(x): ...\n"
        "def checks(): return [lambda: lo.check_gradient(cube, [1.0, 2.0, -1.5])]\n"
    )
    (tmp_path / "class" / "ada.py").write_text("def cube(x):\n    return (x**3).sum(), 2 * x**2\n")
    return "own/cubes.py"


def test_an_exercise_by_a_path_from_here(cubes):
    (row,) = grade_folder(Path("class"), cubes, progress=False)
    assert row.reason.startswith("the gradient by x is 0.6667 times what it should be")


REFUSED = {
    "--csv nowhere/grades.csv": "--csv nowhere/grades.csv cannot be written: No such file",
    "--csv class": "--csv class cannot be written: Is a directory",
    "--seconds 0": "seconds must be finite and > 0, got 0.0",
    "--seconds inf": "seconds must be finite and > 0, got inf",
    "--memory 1": "megabytes must be an int >= 128, got 1",
    "--jobs 0": "jobs must be an int >= 1, got 0",
    "--exercise class/ada.py": "ada.py is no exercise: it must define YOURS",
    "--exercise broken.py": "the exercise cannot be loaded: NameError",
    "--exercise unnamed.py": "it has no function 'c'",
}


@posix
@pytest.mark.parametrize("options", REFUSED)
def test_what_grades_nobody_is_refused_before(options, cubes, capsys, monkeypatch):
    monkeypatch.setattr("tinygrad_lo.checking.grading.ProcessPoolExecutor", None)
    Path("broken.py").write_text("undefined\n")
    Path("unnamed.py").write_text(Path(cubes).read_text().replace("('cube',)", "('cube')"))
    assert main(["--folder", "class", "--exercise", cubes, *options.split()]) == 2
    assert REFUSED[options] in capsys.readouterr().err


def test_a_folder_without_submissions_is_refused(tmp_path):
    with pytest.raises(GraphError, match="has no Python files"):
        grade_folder(tmp_path, "ex05")
    with pytest.raises(GraphError, match="is no folder"):
        grade_folder(tmp_path / "none", "ex05")
    with pytest.raises(GraphError, match="there is no exercise 'ex99'"):
        grade_folder(tmp_path, "ex99")


def a_class(folder):
    """100 submissions of two exercises' worth of ways to be right and wrong; what is expected of each."""
    source = exercises()["ex05_softmax"].read_text(encoding="utf-8")
    solution, mistakes = SOLVED["ex05_softmax"]
    right = [source + solution, SOFTMAX.format("pass"), SOFTMAX.format("scores = np.array(scores)"),
             SOFTMAX.format("print('hello')"), SOFTMAX.format("'the text of a function'")]  # fmt: skip
    wrong = [source + solution.replace(old, new) for old, new, _ in mistakes]
    code = {f"right {i:02}.py": right[i % len(right)] for i in range(30)}
    code |= {f"wrong {i:02}.py": wrong[i % len(wrong)] for i in range(48)}
    code |= {"untouched 1.py": source, "untouched 2.py": source + "\n# mine\n"}
    code |= {f"hostile {i}.py": SOFTMAX.format(text) for i, text in enumerate([*HOSTILE.values()][:10])}
    other = str(ROOT / "tests" / "exercise_solutions.py")
    texts = [t.format(other=other) if "{" in t else t for t in DISHONEST.values()]
    code |= {f"dishonest {i}.py": SOFTMAX.format(text) for i, text in enumerate(texts)}
    for name, text in code.items():
        (folder / name).write_text(text, encoding="utf-8")
    return code


@posix
@pytest.mark.slow
def test_a_class_of_a_hundred(tmp_path):
    code = a_class(tmp_path)
    assert len(code) == 100
    begin = time.monotonic()
    limits = Limits(4.0, 512)
    rows = {row.file: row for row in grade_folder(tmp_path, "ex05", limits=limits, progress=False)}
    took = time.monotonic() - begin
    print(f"100 submissions in {took:.0f} s")
    assert took < 120
    assert rows.keys() == code.keys()
    _, mistakes = SOLVED["ex05_softmax"]
    for name, row in rows.items():
        assert (row.score == 1.0) == name.startswith("right"), row
        assert row.reason
        if not name.startswith(("right", "wrong")):
            assert row.score == 0.0, row
    for i in range(48):
        assert mistakes[i % len(mistakes)][2] in rows[f"wrong {i:02}.py"].reason, rows[f"wrong {i:02}.py"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(code)
    sample = [rows[name] for name in ("right 00.py", "wrong 03.py", "hostile 3.py", "dishonest 1.py")]
    again = tmp_path / "again"
    again.mkdir()
    for row in sample:
        (again / row.file).write_text(code[row.file], encoding="utf-8")
    assert grade_folder(again, "ex05", limits=limits, progress=False) == sorted(sample, key=lambda r: r.file)
    assert not [*marked("")], "a process is left"
