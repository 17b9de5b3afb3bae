"""An exercise: a function to fill in, a check of it, and a hint for each mistake that the check can name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from tinygrad_lo.checking.homework import Homework
from tinygrad_lo.checking.student import raised
from tinygrad_lo.errors import LoError


def grade(task: str | None, *checks: Callable[[], Any], hints: Mapping[str, str] | None = None) -> int:
    """Run the checks of an exercise in order and print what they find; 0 if all pass, else 1.

    `task`, the text of the exercise, is printed where a function raises NotImplementedError: it is not
    filled in yet. A hint is looked up by the report's cause, or by words of what was said.

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
    for check in checks:
        try:
            report = check()
        except Exception as problem:  # the student's own: no traceback through the library
            if unfilled := to_fill_in(problem):
                print(f"{inspect.cleandoc(task or '')}\n\nStill to do: {unfilled}")
            else:
                text = problem if isinstance(problem, LoError) else f"Your code raised {raised(problem)}"
                print(f"{text}{hint_for(None, str(problem), hints)}")
            return 1
        said = " ".join(report.said) if isinstance(report, Homework) else str(report)
        print(report, end="\n\n" if report else f"{hint_for(report.cause, said, hints)}\n")
        if not report:
            return 1
    print("Well done.")
    return 0


def to_do(what: str) -> Any:
    """Stands where something is to be filled in: it says what, and stops."""
    raise NotImplementedError(what)


def to_fill_in(problem: BaseException | None) -> BaseException | None:
    """The NotImplementedError from which an exception came, if one did."""
    while problem is not None and not isinstance(problem, NotImplementedError):
        problem = problem.__cause__ or problem.__context__
    return problem


def hint_for(cause: str | None, said: str, hints: Mapping[str, str] | None) -> str:
    """The hint whose key is the cause, else the first whose key stands in what was said."""
    hints = hints or {}
    found = hints.get(cause or "") or next((hint for key, hint in hints.items() if key in said), None)
    return f"\n\nHint: {found}" if found else ""
