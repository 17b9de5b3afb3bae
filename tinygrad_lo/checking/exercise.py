"""An exercise: a file that says what to do, with functions to fill in and checks of what was filled in.

Such a file has a docstring, the task; YOURS, the names of the functions that a student writes; checks(),
which returns what must hold, in order; and HINTS. `grade` runs it for the student. `answers_to` runs the
checks of a teacher's own file on the functions of somebody else's: nothing else of that file counts.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from tinygrad_lo.checking.backward import check_backward
from tinygrad_lo.checking.homework import Homework
from tinygrad_lo.checking.student import raised
from tinygrad_lo.errors import DTypeError, GraphError, LoError
from tinygrad_lo.options import guess

# A wheel carries the exercises; in a checkout they are examples.
FOLDERS = [Path(__file__).parents[up] / where for up, where in ((1, "exercises"), (2, "examples/exercises"))]

Place = Callable[[ModuleType], AbstractContextManager[Any]]  # the numbers at which an exercise is checked


@dataclass(frozen=True)
class Judgement:
    """What one check of an exercise found, in the words that its student reads."""

    text: str
    report: Any = None  # None where the student's code raised, or is not filled in

    def __bool__(self) -> bool:
        return bool(self.report)

    @property
    def score(self) -> float:
        """That of the report; 0 without one."""
        return 0.0 if self.report is None else float(self.report.score)

    @property
    def is_open(self) -> bool:
        """Whether nothing could be found out: there is no report, or it verified nothing."""
        return self.report is None or bool(getattr(self.report, "undecided", False))


def answers(
    task: str | None, checks: Iterable[Callable[[], Any]], hints: Mapping[str, str] | None
) -> Iterator[Judgement]:
    """What each check finds. A hint is looked up by the report's cause, or by words of what was said."""
    for check in checks:
        try:
            report = check()
        except Exception as problem:  # the student's own: no traceback through the library
            if unfilled := to_fill_in(problem):
                yield Judgement(f"{inspect.cleandoc(task or '')}\n\nStill to do: {unfilled}")
            else:
                text = problem if isinstance(problem, LoError) else f"Your code raised {raised(problem)}"
                yield Judgement(f"{text}{hint_for(None, str(problem), hints)}")
            continue
        said = " ".join(report.said) if isinstance(report, Homework) else str(report)
        yield Judgement(f"{report}{'' if report else hint_for(report.cause, said, hints)}", report)


def grade(task: str | None, *checks: Callable[[], Any], hints: Mapping[str, str] | None = None) -> int:
    """Run the checks of an exercise in order and print what they find; 0 if all pass, else 1.

    `task`, the text of the exercise, is printed where a function raises NotImplementedError: it is not
    filled in yet.

    Example:
        >>> import tinygrad_lo as lo
        >>> hints = {"factor 0.5": "the derivative of x² is 2x"}
        >>> grade("Square.", lambda: lo.check_gradient(lambda x: (x**2, x), 3.0), hints=hints)
        check_gradient FAILED
          the gradient by x is half of what it should be: look for a ½, or for the 2 of a square
        ...
        Hint: the derivative of x² is 2x
        1
    """
    for answer in answers(task, checks, hints):
        print(answer.text, end="\n\n" if answer else "\n")
        if not answer:
            return 1
    print("Well done.")
    return 0


def exercises() -> dict[str, Path]:
    """The files of the exercises by name: ex01_chain_rule."""
    folder = next((folder for folder in FOLDERS if folder.is_dir()), FOLDERS[0])
    return {path.stem: path for path in sorted(folder.glob("ex*.py"))}


def exercise_at(name: str) -> Path:
    """The file of an exercise: ex05, ex05_softmax, or a path of one's own."""
    known = exercises()
    for stem, path in known.items():
        if name in (stem, stem.partition("_")[0]):
            return path
    if Path(name).is_file():
        return Path(name).resolve()  # what judges runs elsewhere
    raise GraphError(f"there is no exercise {name!r}{guess(name, list(known))}; there are {', '.join(known)}")


def module_at(path: Path, name: str) -> ModuleType:
    """The file as a module of this name: its functions are defined, its main is not run."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise GraphError(f"{str(path)!r} is no Python file: its name should end with .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look there
    spec.loader.exec_module(module)
    return module


def names_asked(exercise: Path) -> list[str]:
    """The names of what a student writes.

    Raises:   GraphError: the file is no exercise.
    """
    try:
        module = module_at(exercise, f"exercise_{exercise.stem}")
    except Exception as problem:
        raise GraphError(f"the exercise cannot be loaded: {raised(problem)}") from problem
    names = [*getattr(module, "YOURS", ())]
    missing = [name for name in (*names, "checks") if not callable(getattr(module, str(name), None))]
    if missing or not names:
        wanted = "YOURS, a tuple of names, functions of these names, and a function checks()"
        there = f"; it has no function {missing[0]!r}" if missing else "; YOURS is not there, or empty"
        raise GraphError(f"{exercise.name} is no exercise: it must define {wanted}{there}")
    return names


def answers_to(exercise: Path, written: Mapping[str, Any], at: Place = nullcontext) -> list[Judgement]:
    """What the checks of this exercise find about somebody's functions, those that it names in YOURS.

    A function that is missing there is not filled in.
    """
    module = module_at(exercise, f"exercise_{exercise.stem}")
    for name in module.YOURS:
        setattr(module, name, written.get(name) or unwritten(name))
    return answers_of(module, at)


def answers_of(exercise: ModuleType, at: Place = nullcontext) -> list[Judgement]:
    """What its checks find of the functions that are in it now, at its own numbers or at others."""
    with at(exercise):
        return [*answers(exercise.__doc__, exercise.checks(), getattr(exercise, "HINTS", None))]


def unwritten(name: str) -> Callable[..., Any]:
    """Stands for a function that the student has not written."""
    return lambda *args, **options: to_do(f"write a function {name}")


def to_do(what: str) -> Any:
    """Stands where something is to be filled in: it says what, and stops."""
    raise NotImplementedError(what)


def so_far(loss: Any, names: Sequence[str], gradients: Any) -> Any:
    """The report of check_backward on the gradients that are filled in; what is None is still to do.

    `names` are those that the exercise asks for, from the loss backward, whatever the student returns.
    """
    if not isinstance(gradients, Mapping):
        wanted = f"a dict of the gradients of {', '.join(names)}"
        raise DTypeError(f"return {wanted}, got {type(gradients).__name__}")
    there = {name: gradients[name] for name in names if gradients.get(name) is not None}
    report = check_backward(loss, there) if there else True
    for name in names if report else ():
        if name not in there:
            to_do(f"d{name}{'; right so far: ' * bool(there)}{', '.join(f'd{known}' for known in there)}")
    return report


def to_fill_in(problem: BaseException | None) -> BaseException | None:
    """The NotImplementedError from which an exception came, if one did."""
    while problem is not None and not isinstance(problem, NotImplementedError):
        problem = problem.__cause__ or problem.__context__
    return problem


def hint_for(cause: str | None, said: str, hints: Mapping[str, str] | None) -> str:
    """The hint whose key is the cause, else the first whose key stands in what was said."""
    hints = hints or {}
    hint = hints.get(cause or "") or next((hint for key, hint in hints.items() if key in said), None)
    return f"\n\nHint: {hint}" if hint else ""
