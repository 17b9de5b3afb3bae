"""The exercises: unfilled they say what to do, solved they pass, and each usual mistake gets its own hint."""

import inspect
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from exercise_solutions import FIRST
from exercise_solutions_steps import SECOND, program

import tinygrad_lo as lo
from tinygrad_lo.checking.exercise import answers_to, exercise_at, exercises, grade, module_at, so_far
from tinygrad_lo.errors import DTypeError

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples" / "exercises"
FILES = sorted(FOLDER.glob("ex*.py"))

SOLVED = FIRST | SECOND
BUGS = [name for name in SOLVED if "_bug_" in name]
MISTAKES = [
    pytest.param(name, old, new, said, id=f"{name}-{i}")
    for name, (_, mistakes) in SOLVED.items()
    for i, (old, new, said) in enumerate(mistakes)
]


def run(name, solution, capsys):
    """What a student is told, within a second, who writes these functions: the exit code, and the text."""
    module = module_at(FOLDER / f"{name}.py", f"exercise_{name}")
    exec(solution, vars(module))
    begin = time.process_time()  # of this process, however busy the machine is
    code = grade(module.__doc__, *module.checks(), hints=module.HINTS)
    assert time.process_time() - begin < 1.0
    return code, capsys.readouterr().out


def test_every_exercise_has_a_solution_and_three_mistakes():
    assert [path.stem for path in FILES] == list(SOLVED)
    assert len(FILES) == 24
    assert all(len(mistakes) >= 3 for _, mistakes in SOLVED.values())
    assert all(said for _, mistakes in SOLVED.values() for _, _, said in mistakes)
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(path.name in page for path in FILES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_unfilled_exercise_says_what_to_do(path):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 1
    assert done.stderr == ""
    if path.stem in BUGS:  # there is nothing to fill in
        assert done.stdout.startswith("check_gradient FAILED\n  the gradient by ")
        assert "\n\nHint: " in done.stdout
    else:
        assert done.stdout.startswith("Exercise ")
        assert "Still to do: " in done.stdout
    said = module_at(path, path.stem).__doc__
    assert "Lecture" in said or "lecture" in said
    assert f"    python examples/exercises/{path.name}\n" in said


@pytest.mark.parametrize("name", SOLVED)
def test_the_solution_passes(name, capsys):
    code, printed = run(name, SOLVED[name][0], capsys)
    assert code == 0, printed
    assert printed.endswith("Well done.\n")


@pytest.mark.parametrize("name", BUGS)
def test_a_printed_program_is_todays_but_for_one_line(name):
    module = module_at(FOLDER / f"{name}.py", name)
    today = program(name).strip().splitlines()
    there = inspect.getsource(module.loss_and_gradients).strip().splitlines()
    assert sum(a != b for a, b in zip(today, there, strict=True)) == 1
    arguments = module.printed().arguments
    assert module.loss_and_gradients(**arguments)[0] == module.forward(module.example()), "the loss is right"


def test_gradients_are_checked_as_far_as_they_are_filled_in():
    w = lo.Parameter([1.0, -2.0], name="w")
    q = lo.named(w * 3.0, "q")
    loss, right = (q**2).sum(), {"q": 2.0 * q.data, "w": 6.0 * q.data}
    assert so_far(loss, ("q", "w"), right)
    assert not so_far(loss, ("q", "w"), {"q": q.data})
    for gradients, said in (
        ({"q": right["q"], "w": None}, "dw; right so far: dq"),
        ({}, "dq$"),
        ({"p": 1.0}, "dq$"),
    ):
        with pytest.raises(NotImplementedError, match=said):
            so_far(loss, ("q", "w"), gradients)
    with pytest.raises(DTypeError, match="return a dict of the gradients of q, w, got ndarray"):
        so_far(loss, ("q", "w"), right["q"])


def test_the_siamese_network_has_the_loss_of_the_lecture():
    module = module_at(FOLDER / "ex18_siamese.py", "siamese")
    loss, (A, B, y, W, *_) = module.forward()
    labels = y.numpy()[:, 0].astype(int)
    assert loss.item() == pytest.approx(lo.losses.contrastive(A @ W, B @ W, labels).item())


@pytest.mark.parametrize(("name", "old", "new", "said"), MISTAKES)
def test_a_usual_mistake_gets_its_hint(name, old, new, said, capsys):
    solution = SOLVED[name][0]
    assert solution.count(old) == 1, "the mistake must be made in one place"
    code, printed = run(name, solution.replace(old, new), capsys)
    assert code == 1, printed
    assert said in printed


@pytest.mark.parametrize("name", SOLVED)
def test_a_teachers_file_judges_the_functions_of_another(name, tmp_path):
    mine = tmp_path / "mine.py"
    source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    mine.write_text(source + SOLVED[name][0], encoding="utf-8")
    exercise = exercise_at(name.partition("_")[0])
    assert exercise == exercises()[name]
    found = list(answers_to(exercise, vars(module_at(mine, "mine"))))
    assert found
    assert all(found), [answer.text for answer in found]
    assert all("Still to do: " in answer.text for answer in answers_to(exercise, {}))
