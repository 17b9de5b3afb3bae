"""python -m tinygrad_lo.checking: what it prints, and 0, 1 or 2."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tinygrad_lo.checking.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
FILE = """
import numpy as np
import tinygrad_lo as lo
from neighbour import FACTOR

def example():
    return np.array([[1.0, 2.0], [3.0, -1.0]]), np.array([[1.0], [2.0]])

def right(W, X):
    return np.sum(W**2 * X), 2 * W * X

def wrong(W, X):
    return np.sum(W**2 * X), FACTOR * 2 * W * X

def tensors(W, X):
    return (W**2 * X).sum()

def refused(W, X):
    return np.sum(W)

def fails(W, X):
    return 1 // 0

def unfilled(W, X):
    raise NotImplementedError("the gradient")

def alone(W):
    return np.sum(W), np.ones(W.shape)
alone.example = lambda: np.array([1.0, 2.0])

def one_argument(W):
    return np.sum(W), W

def mse(p, t):
    return np.sum((p - t) ** 2)

def step(w, g, state, t):
    return w - 0.01 * g

def leaves(p, t):
    raise SystemExit(3)

number = 3.0

if __name__ == "__main__":
    raise SystemExit("main ran")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "neighbour", raising=False)
    (tmp_path / "neighbour.py").write_text("FACTOR = -1.0\n")
    (tmp_path / "work.py").write_text(FILE, encoding="utf-8")
    (tmp_path / "bare.py").write_text("def f(x):\n    return x\n")
    (tmp_path / "typo.py").write_text("def f(x:\n    return x\n")
    (tmp_path / "breaks.py").write_text("import numpy\nprint(undefined)\n")
    (tmp_path / "leaves.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "text.txt").write_text("def f(x): pass\n")
    (tmp_path / "bad_example.py").write_text("def example():\n    return 1 / 0\ndef f(x):\n    return x\n")
    return tmp_path


RUNS = [
    (["work.py::right"], 0, "check_gradient of right passed"),
    (["work.py::wrong"], 1, "the gradient by W has the wrong sign"),
    (["work.py::tensors"], 0, "gradcheck passed"),
    (["work.py::alone"], 0, "check_gradient of alone passed"),
    (["work.py::refused"], 1, "gradcheck"),
    (["work.py::fails"], 1, "fails raised ZeroDivisionError"),
    (["work.py::unfilled"], 1, "unfilled is not filled in yet: the gradient"),
    (["work.py::mse", "--loss", "mse"], 1, "a factor N"),
    (["work.py::mse", "--loss", "mse", "reduction=sum"], 0, "check_loss of mse as mse passed"),
    (["--loss=mse", "work.py::mse", "half=True", "reduction=sum"], 1, "has no factor ½"),
    (["work.py::step", "--step", "SGD", "lr=0.01"], 0, "check_step of step as SGD passed"),
    (["work.py::step", "--step", "SGD"], 1, "lr=0.01"),
    (["work.py::leaves", "--loss", "mse"], 1, "leaves raised SystemExit: 3"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "said"), RUNS, ids=lambda x: " ".join(x) if isinstance(x, list) else ""
)
def test_runs(arguments, code, said, folder, capsys):
    if arguments == ["work.py::refused"]:
        code = 0  # a loss in NumPy functions that tensors go through: the engine's gradient is right
    assert main(arguments) == code
    printed = capsys.readouterr()
    assert said in printed.out
    assert printed.err == ""


USAGE = [
    ([], "OPTION=VALUE"),
    (["nowhere.py::f"], "there is no file 'nowhere.py'"),
    (["wrok.py::f"], "did you mean 'work.py'?"),
    (["nowhere/work.py::f"], "there is no file"),
    (["."], "is a folder"),
    (["work.py"], "which function of work.py? Write work.py::NAME; there are right, wrong"),
    (["work.py::"], "which function"),
    (["work.py::rihgt"], "did you mean 'right'?"),
    (["work.py::number"], "'number' of work.py is no function, but float"),
    (["work.py::one_argument"], "one_argument cannot be called with what example() returns, 2 arguments"),
    (["bare.py::f"], "needs a function example()"),
    (["bad_example.py::f"], "example() raised ZeroDivisionError: division by zero"),
    (["typo.py::f"], "typo.py, line 1"),
    (["breaks.py::f"], "NameError: name 'undefined' is not defined"),
    (["breaks.py::f"], "line 2: print(undefined)"),
    (["leaves.py::f"], "exits when it is loaded"),
    (["text.txt::f"], "should end with .py"),
    (["work.py::mse", "--loss"], "expected one argument"),
    (["work.py::mse", "--loss", "mse", "--step", "SGD"], "choose one"),
    (["work.py::mse", "--loss", "mse", "sum"], "write NAME=VALUE"),
    (["work.py::step", "--step", "SGDD"], "did you mean 'SGD'"),
    (["work.py::step", "--step", "SGD", "learning_rate=0.1"], "did you mean 'lr'"),
    (["work.py::mse", "--loss", "cross_entropi"], "did you mean 'cross_entropy'"),
    (["work.py::mse", "--loss", "huber", "delta=-1"], "delta must be"),
    (["work.py::right", "lr=1"], "options belong to --loss or --step"),
    (["work.py::mse", "--losss", "mse"], "--losss"),
]


@pytest.mark.parametrize(
    ("arguments", "said"), USAGE, ids=lambda x: " ".join(x) if isinstance(x, list) else ""
)
def test_what_cannot_begin_says_why(arguments, said, folder, capsys):
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert said in printed.err + printed.out
    assert "Traceback" not in printed.err + printed.out


def test_an_error_of_the_function_is_shown_with_its_line(folder, capsys):
    main(["work.py::fails"])
    assert "work.py, line 22: return 1 // 0" in capsys.readouterr().out.replace(str(folder) + os.sep, "")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["work.py::right"], 0), (["work.py::wrong"], 1), (["work.py::none"], 2), (["--help"], 0)],
)
def test_from_the_shell(arguments, code, folder):
    command = [sys.executable, "-W", "error", "-m", "tinygrad_lo.checking", *arguments]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.skipif(os.name != "posix", reason="a pipe that breaks ends in another way")
def test_nobody_reads_what_is_printed(folder):
    """As | head: no traceback, and an exit code that is none of a check."""
    command = [sys.executable, "-m", "tinygrad_lo.checking", "work.py::wrong"]
    reader, writer = os.pipe()
    os.close(reader)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, env=env, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")
