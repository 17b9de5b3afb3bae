"""How simple the house is, in figures: `python tests/house.py` prints them.

Needs radon (extra `dev`) for the complexity of functions; the rest is read from the syntax trees.
"""

import ast
import os
import subprocess
import sys
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path

import tinygrad_lo as lo
from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.ops.registry import COMPOSED

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "tinygrad_lo"
ENGINE = PACKAGE / "engine"
TABLE = ENGINE / "ops"
FAST = ("engine/machine/fast.py",)  # the hot sweep may be as long as it must

# Names of ops that are words of their own: options, causes, methods.
WORDS = {"sum", "mean", "max", "min", "sign", "transpose", "power", "full", "abs", "clip", "norm"}
WORDS |= {"where", "exp", "log", "negative"}  # the last is an argument of triplet
WORDS |= {"dot", "std", "gap", "minimum"}  # a program, a caption, a kind of step, an option
WORDS |= {"huber", "log_cosh"}  # losses


@cache
def modules() -> dict[Path, ast.Module]:
    """Every file of the package with its syntax tree."""
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}


def outside(folder: Path) -> list[tuple[Path, ast.AST]]:
    """Every node of every file that is not below a folder."""
    return [
        (path, node)
        for path, tree in modules().items()
        if folder not in path.parents
        for node in ast.walk(tree)
    ]


def lines() -> int:
    """All lines of the package."""
    return sum(path.read_text(encoding="utf-8").count("\n") for path in modules())


def code_lines() -> int:
    """Lines that are no docstring, comment or blank."""
    count = 0
    for path, tree in modules().items():
        words = set()
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            ):
                words |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            text = line.strip()
            count += bool(text) and not text.startswith("#") and number not in words
    return count


def complexities() -> dict[str, int]:
    """Cyclomatic complexity of every function and method."""
    from radon.complexity import cc_visit

    found = {}
    for path in modules():
        name = path.relative_to(PACKAGE).as_posix()
        for block in cc_visit(path.read_text(encoding="utf-8")):
            for function in getattr(block, "methods", [block]):
                found[f"{name}:{function.lineno} {function.name}"] = function.complexity
    return found


def op_names() -> list[tuple[Path, str]]:
    """Literal names of ops outside of the table."""
    names = ({*lo.engine.ops.TABLE, *COMPOSED}) - WORDS
    public = {word for tree in modules().values() for word in public_names(tree)}
    return [
        (path, node.value)
        for path, node in outside(TABLE)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value in names
        and node not in public
    ]


def public_names(tree: ast.Module) -> list[ast.AST]:
    """The words of `__all__`: they name functions of the room, not ops."""
    return [
        word
        for node in tree.body
        if isinstance(node, ast.Assign) and any(getattr(t, "id", "") == "__all__" for t in node.targets)
        for word in ast.walk(node.value)
    ]


def slots() -> list[tuple[Path, ast.Attribute]]:
    """Outside of the engine: slots of a node that are only the engine's, and any that is written."""
    inner = {name for name in Node.__slots__ if name.startswith(("_", "from_", "in_"))}
    return [
        (path, node)
        for path, node in outside(ENGINE)
        if isinstance(node, ast.Attribute)
        and not is_self(node.value)
        and (node.attr in inner or (node.attr in Node.__slots__ and isinstance(node.ctx, ast.Store)))
    ]


def is_self(node: ast.expr) -> bool:
    """Whether this is `self`: an object's own attribute of the same name."""
    return isinstance(node, ast.Name) and node.id == "self"


def repeated() -> dict[str, int]:
    """Names of functions, classes and constants that more than one file defines."""
    places: Counter[str] = Counter()
    for tree in modules().values():
        here = set()
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                here.add(node.name)
            elif isinstance(node, ast.Assign):
                here |= {target.id for target in node.targets if isinstance(target, ast.Name)}
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                here.add(node.target.id)
        places.update(name for name in here if not name.startswith("__"))
    return {name: count for name, count in places.items() if count > 1}


def entered(work) -> list[str]:
    """The files of the package that a call enters, one after the other, without repeats in a row."""
    visits: list[str] = []

    def profile(frame, event, _):
        if event == "call":
            file = frame.f_code.co_filename
            if str(PACKAGE) in file:
                name = Path(file).relative_to(PACKAGE).as_posix()
                if not visits or visits[-1] != name:
                    visits.append(name)

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return visits


def room(file: str) -> str:
    """The room in which a file lies."""
    return file.partition(":")[0].partition("/")[0]


def changes_of_room(visits: list[str]) -> int:
    """How often a walk through files changes the room."""
    rooms = [room(file) for file in visits]
    return sum(a != b for a, b in pairwise(rooms))


def product() -> tuple[int, list[str]]:
    """What a learner follows first, without machine/fast.py: `w * w`, then `backward()`; lines and files."""
    code = """
import tinygrad_lo as lo
import house
w = lo.Parameter(3.0)
files = house.entered(lambda: (w * w).backward())
print(*sorted(set(files)))
"""
    plain = {**os.environ, "TINYGRAD_LO_PLAIN": "1", "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    run = subprocess.run([sys.executable, "-c", code], env=plain, capture_output=True, text=True, check=True)
    files = run.stdout.split()
    return sum((PACKAGE / file).read_text(encoding="utf-8").count("\n") for file in files), files


def figures() -> list[tuple[str, str]]:
    """The table: what is measured, and its figure."""
    length, path = product()
    complexity = complexities()
    slow = {place: n for place, n in complexity.items() if not place.startswith(FAST)}
    worst = max(slow, key=slow.__getitem__)
    names, private = op_names(), slots()
    scores, labels = lo.Parameter([[1.0, 2.0, 3.0]]), [0]
    cross_entropy = lo.losses.cross_entropy  # asked for here, so that loading the room is no part of it
    forward = entered(lambda: cross_entropy(scores, labels))
    weight = lo.Parameter([[1.0, 2.0], [3.0, 4.0]])
    compiled = lo.compile(lambda x: cross_entropy(x @ weight, [0]))
    first = entered(lambda: compiled([[1.0, 2.0]]))
    return [
        ("entered by w * w, then backward(): lines (files)", f"{length} ({', '.join(path)})"),
        ("lines of the package; of these code", f"{lines()}; {code_lines()}"),
        ("mean complexity of a function", f"{sum(complexity.values()) / len(complexity):.2f}"),
        ("functions above 10", f"{sum(n > 10 for n in complexity.values()) / len(complexity):.1%}"),
        ("the most complex one outside of the hot sweep", f"{slow[worst]} {worst}"),
        ("literal names of ops outside of the table (files)", f"{len(names)} ({len({p for p, _ in names})})"),
        ("private slots used outside of the engine (written)",
         f"{len(private)} ({sum(isinstance(n.ctx, ast.Store) for _, n in private)})"),
        ("names defined in more than one file", f"{len(repeated())}"),
        ("cross_entropy: files, changes of room", f"{len(set(forward))}, {changes_of_room(forward)}"),
        ("first call of a compiled function: changes of room", f"{changes_of_room(first)}"),
    ]  # fmt: skip


def rooms() -> dict[str, str]:
    """Of each room: its lines, the mean and the worst complexity, the share of functions above 10."""
    by_room: dict[str, list[int]] = {}
    for place, n in complexities().items():
        by_room.setdefault(room(place), []).append(n)
    count: Counter[str] = Counter()
    for path in modules():
        count[room(path.relative_to(PACKAGE).as_posix())] += path.read_text(encoding="utf-8").count("\n")
    return {
        name: f"{count[name]:5} lines   mean {sum(all_) / len(all_):.2f}   worst {max(all_):2}   "
        f"above 10 {sum(n > 10 for n in all_) / len(all_):.1%}"
        for name, all_ in by_room.items()
    }


if __name__ == "__main__":
    for name, figure in rooms().items():
        print(f"{name:60} {figure}")
    for what, figure in figures():
        print(f"{what:60} {figure}")
