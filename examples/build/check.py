"""The checks of all floors: your engine and the library on the same expressions.

    python examples/build/check.py                all floors, from the first
    python examples/build/check.py 3              floors 1 to 3
    python examples/build/check.py --solutions    the solutions

Each floor stands on those below it, so they are checked first. Every case is a short program that both
engines run; values and gradients are compared, and the first that differs is shown, with a hint.
"""

import argparse
import ast
import functools
import importlib
import sys
from pathlib import Path

from cases import CHECKS
from compare import Wrong

from tinygrad_lo.checking.exercise import answers
from tinygrad_lo.checking.homework import Homework

FOLDER = Path(__file__).resolve().parent
FLOORS = tuple(path.stem for path in sorted(FOLDER.glob("floor*.py")))


def judged(number):
    """The report on one floor. Its file is imported here: what goes wrong there is said as well."""
    title, check = [*CHECKS.items()][number - 1]
    report = Homework(f"floor {number}, {title}:")
    try:
        said = check([importlib.import_module(name) for name in FLOORS[:number]])
        report.said += [said] if said else []
    except Wrong as wrong:
        report.fail(None, str(wrong))
        report.said += [f"Hint: {wrong.hint}"]
    return report


def task_of(path):
    """The docstring of a file, if Python can read it."""
    try:
        return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    except SyntaxError:
        return None


def main(last, folder=FOLDER):
    """Check the floors of a folder, from the first to this one; 0 if all stand, else 1."""
    sys.dont_write_bytecode = True  # a file may change twice in one second
    sys.path.insert(0, str(folder))
    for name in FLOORS:
        sys.modules.pop(name, None)
    for number in range(1, last + 1):
        task = task_of(folder / f"{FLOORS[number - 1]}.py")
        for answer in answers(task, [functools.partial(judged, number)], None):
            print(answer.text)
            if not answer:
                return 1
    print(f"Well done. Next: {FLOORS[last]}.py" if last < len(FLOORS) else "Well done: all of it is yours.")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Check the floors of an engine that you build yourself.")
    numbers = range(1, len(FLOORS) + 1)
    parser.add_argument(
        "floor", type=int, nargs="?", default=len(FLOORS), choices=numbers, help="the last one"
    )
    parser.add_argument("--solutions", action="store_true", help="check the solutions instead")
    given = parser.parse_args()
    sys.exit(main(given.floor, FOLDER / "solutions" if given.solutions else FOLDER))
