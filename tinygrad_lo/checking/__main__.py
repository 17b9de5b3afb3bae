"""Checks from the shell: python -m tinygrad_lo.checking my_file.py::svm_loss."""

from __future__ import annotations

import argparse
import ast
import functools
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_lo.checking.drill import RUNGS, drill
from tinygrad_lo.checking.exercise import module_at
from tinygrad_lo.checking.gradcheck import gradcheck
from tinygrad_lo.checking.grading import grade_folder, write_csv
from tinygrad_lo.checking.homework import check_gradient
from tinygrad_lo.checking.loss import check_loss
from tinygrad_lo.checking.sandbox import POSIX, Limits
from tinygrad_lo.checking.step import check_step
from tinygrad_lo.checking.student import calling, copied, is_pair, raised
from tinygrad_lo.errors import LoError, OptionError
from tinygrad_lo.options import guess

USAGE = """\
python -m tinygrad_lo.checking FILE.py::FUNCTION [--loss NAME | --step NAME] [OPTION=VALUE ...]

Checks a function of yours and says what is likely wrong with it.

  my_file.py::svm_loss                          returns (loss, gradient): the gradient, by finite differences
                                                returns a tensor: the engine's gradient, op by op
  my_file.py::svm_loss --loss multiclass_hinge  the loss, against every convention of lo.losses
  my_file.py::step --step Adam lr=0.01          an optimizer step, against every convention of lo.optim
  --folder submissions --exercise ex05 [--csv grades.csv] [--seconds 10] [--memory 1024] [--jobs 2]
                                                a class: each file in a process of its own, a score for each
  --drill [--level 1] [--seed 0]                a drill in the chain rule, one product at a time

The arguments come from a function example() in the same file, or from an attribute of the function,
svm_loss.example = lambda: (W, X, y). The gradient is by the first of them.
The exit code is 0 if the check passes, 1 if not (also if your function raises), 2 if it could not check."""


class Usage(Exception):  # noqa: N818
    """The command cannot begin: a sentence for the one who typed it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one check; 0 if it passes, 1 if it fails, 2 if it could not check."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if arguments else 2
    try:
        if "--drill" in arguments:
            return drilled(arguments)
        if "--folder" in arguments:
            return class_graded(arguments)
        return outcome_of(*prepared(arguments))
    except Usage as problem:
        print(problem, file=sys.stderr)
        return 2
    except SystemExit:  # argparse has said why
        return 2


def outcome_of(fn: Callable[..., Any], check: Callable[[], Any]) -> int:
    """Print what a check finds; 0 if it passes, else 1."""
    report = None
    try:
        report = check()
        print(report)
    except Usage:
        raise
    except LoError as refused:
        print(refused)
    except NotImplementedError as unfilled:
        print(f"{fn.__name__} is not filled in yet: {unfilled}")
    except (Exception, SystemExit) as problem:
        print(f"{fn.__name__} raised {raised(problem)}")
    return 0 if report else 1


def parsed(arguments: list[str], **options: dict[str, Any]) -> argparse.Namespace:
    """What was typed, by what may be typed: the words of `add_argument` for each option."""
    parser = argparse.ArgumentParser(usage=f"\n{USAGE}", add_help=False)
    for name, how in options.items():
        parser.add_argument(name if "nargs" in how else f"--{name}", **how)
    return parser.parse_intermixed_args(arguments)


def class_graded(arguments: list[str]) -> int:
    """The grades of a folder, as a table and as a file; 0 if there are grades."""
    asked = parsed(
        arguments, folder={"type": Path, "required": True}, exercise={"required": True}, csv={"type": Path},
        seconds={"type": float, "default": 10.0}, memory={"type": int, "default": 1024}, jobs={"type": int},
    )  # fmt: skip
    if asked.csv:
        must_be_writable(asked.csv)
    try:
        limits = Limits(asked.seconds, asked.memory)
        rows = grade_folder(asked.folder, asked.exercise, limits=limits, jobs=asked.jobs)
    except LoError as refused:
        raise Usage(str(refused)) from None
    if not POSIX:
        print("Here time is limited, and memory and processes are not: that needs Linux or macOS.")
    width = max(len(row.file) for row in rows)
    for row in rows:
        print(f"{row.file:{width}}  {row.score:4.2f}  {row.reason}")
    if asked.csv:
        write_csv(rows, asked.csv)
        print(f"{len(rows)} grades in {asked.csv}")
    return 0


def must_be_writable(path: Path) -> None:
    """Refuse a file that cannot be written, before anybody is judged."""
    try:
        path.open("a").close()
    except OSError as problem:
        raise Usage(
            f"--csv {path} cannot be written: {problem.strerror}; name a file in a folder that is there"
        ) from None


def drilled(arguments: list[str]) -> int:
    """A drill until it is ended."""
    levels = {"type": int, "choices": range(1, len(RUNGS) + 1)}
    asked = parsed(arguments, drill={"action": "store_true"}, level=levels, seed={"type": int})
    try:
        drill(asked.level, asked.seed)
    except OptionError as refused:
        raise Usage(str(refused)) from None
    return 0


def prepared(arguments: list[str]) -> tuple[Callable[..., Any], Callable[[], Any]]:
    """The function, and the check that was asked for."""
    asked = parsed(arguments, target={"nargs": None}, loss={}, step={}, options={"nargs": "*"})
    if asked.loss and asked.step:
        raise Usage("--loss and --step are two different checks; choose one")
    options = dict(map(option_pair, asked.options))
    if options and not (asked.loss or asked.step):
        raise Usage(f"{asked.options[0]!r}: options belong to --loss or --step, and neither is asked for")
    module, fn = function_at(asked.target)
    if asked.loss:
        return fn, lambda: named_check(check_loss, fn, asked.loss, options)
    if asked.step:
        return fn, lambda: named_check(check_step, fn, asked.step, options)
    args = example(module, fn)
    return fn, lambda: checked(fn, args)


def named_check(check: Callable[..., Any], fn: Callable[..., Any], name: str, options: dict[str, Any]) -> Any:
    """A check by name; what is no name, or no option of it, was typed by whoever asks for it."""
    try:
        return check(fn, name, **options)
    except OptionError as refused:
        raise Usage(str(refused)) from None


def option_pair(text: str) -> tuple[str, Any]:
    """name=value as an option, the value as Python reads it."""
    name, mark, value = text.partition("=")
    if not mark or not name.isidentifier():
        raise Usage(f"{text!r} is no option; write NAME=VALUE, such as lr=0.01 or reduction=sum")
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return name, value


def function_at(target: str) -> tuple[Any, Callable[..., Any]]:
    """The module and the function of FILE.py::FUNCTION."""
    file, _, name = target.partition("::")
    path = Path(file)
    if path.is_dir():
        raise Usage(f"{file!r} is a folder; name a file and a function, like {path / 'my_file.py'}::svm_loss")
    if not path.exists():
        neighbours = [p.name for p in path.parent.glob("*.py")]
        raise Usage(f"there is no file {file!r}{guess(path.name, neighbours)}")
    module = loaded(path)
    fn = getattr(module, name, None)
    if callable(fn):
        return module, fn
    if fn is not None:
        raise Usage(f"{name!r} of {path} is no function, but {type(fn).__name__}")
    there = functions_of(module)
    listed = ", ".join(there) or "none"
    if name:
        raise Usage(f"{path} has no function {name!r}{guess(name, there) or ';'} There are {listed}")
    raise Usage(f"which function of {file}? Write {file}::NAME; there are {listed}")


def functions_of(module: Any) -> list[str]:
    """The functions that a file defines to be checked."""
    own = (f for f in vars(module).values() if inspect.isfunction(f) and f.__module__ == module.__name__)
    return [f.__name__ for f in own if f.__name__ not in ("main", "example")]


def loaded(path: Path) -> Any:
    """The file as a module: its functions are defined, its main is not run."""
    if path.suffix != ".py":
        raise Usage(f"{str(path)!r} is no Python file: its name should end with .py")
    sys.path.insert(0, str(path.resolve().parent))  # so that it may import its neighbours, as a script does
    try:
        return module_at(path, f"homework_{path.stem}")
    except SyntaxError as problem:
        raise Usage(f"{path}, line {problem.lineno}: this is no Python: {problem.msg}") from None
    except SystemExit:
        raise Usage(f"{path} exits when it is loaded; put that under if __name__ == '__main__':") from None
    except Exception as problem:
        raise Usage(f"{path} cannot be loaded: {raised(problem)}") from None


def example(module: Any, fn: Callable[..., Any]) -> tuple[Any, ...]:
    """The arguments of a check: what the function's or the file's example() returns."""
    make = getattr(fn, "example", None) or getattr(module, "example", None)
    if not callable(make):
        raise Usage(
            f"{module.__file__} needs a function example() that returns the arguments of {fn.__name__}, "
            "such as:\n\n"
            "    def example():\n"
            "        rng = np.random.default_rng(0)\n"
            "        return rng.normal(size=(3, 4)), rng.normal(size=(5, 3))"
        )
    try:
        args = make()
    except Exception as problem:
        raise Usage(f"example() raised {raised(problem)}") from None
    args = args if isinstance(args, tuple) else (args,)
    try:
        inspect.signature(fn).bind(*args)
    except TypeError as problem:
        count = f"{len(args)} argument{'s' * (len(args) != 1)}"
        what = f"{fn.__name__} cannot be called with what example() returns"
        raise Usage(f"{what}, {count}: {problem}") from None
    except ValueError:
        pass  # a function written in C does not say what it takes
    return args


def checked(fn: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """The gradient check that fits what the function returns."""
    with calling(heard=True):
        result = fn(*copied(args))
    if not is_pair(result) and (hasattr(result, "backward") or isinstance(result, (float, np.floating))):
        return gradcheck(fn, *args)

    of_first = functools.wraps(fn)(lambda x: fn(x, *copied(args[1:])))
    return check_gradient(of_first if args[1:] else fn, args[0])


def piped() -> int:
    """The exit code of the command; that of a shell where nobody reads what it prints any more."""
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        return 128 + 13
    return code


if __name__ == "__main__":
    sys.exit(piped())
