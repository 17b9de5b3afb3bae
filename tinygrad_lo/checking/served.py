"""A student's functions, called from another process: python served.py FILE, calls on stdin.

It runs as a program of its own, without this library: what a student writes can touch nothing that judges
him. A call and its answer are a line of JSON each; arrays travel as their bytes, nothing is ever unpickled.
"""

from __future__ import annotations

import ast
import base64
import builtins
import importlib.machinery
import io
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import numpy as np

DEEPEST_LIST = 20  # lists in lists of an answer
SPARE = ("numpy", "scipy", "math", *sys.stdlib_module_names)
# What a function of numbers has no use for, and what would reach beyond its process.
FORBIDDEN_EVENTS = (
    "os.fork", "os.forkpty", "os.exec", "os.spawn", "os.posix_spawn", "os.system", "os.kill", "os.killpg",
    "subprocess.Popen", "socket.", "sys.addaudithook", "sys.setprofile", "sys.settrace",
    "shutil.rmtree", "os.remove", "os.rename", "os.rmdir", "os.truncate", "os.chmod", "os.link", "os.symlink",
)  # fmt: skip


class Dishonest(BaseException):
    """Something that does not belong into an exercise; no `except Exception` holds it up."""


def encoded(x: Any, depth: int = 0) -> Any:
    """A value as JSON: numbers, text, arrays, lists, tuples and dicts of these; anything else by its type."""
    if isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind in "biuf":
        text = base64.b64encode(np.ascontiguousarray(x).tobytes()).decode()
        return {"array": text, "dtype": x.dtype.str, "shape": list(x.shape), "number": np.isscalar(x)}
    if isinstance(x, float):
        return {"float": repr(x)}
    if x is None or isinstance(x, (bool, int, str)):
        return {"plain": x}
    if isinstance(x, (list, tuple)) and depth < DEEPEST_LIST:
        return {"list": [encoded(item, depth + 1) for item in x], "tuple": isinstance(x, tuple)}
    if isinstance(x, dict) and depth < DEEPEST_LIST:
        return {"dict": [[encoded(key, depth + 1), encoded(value, depth + 1)] for key, value in x.items()]}
    return {"other": type(x).__name__}


def decoded(x: Any) -> Any:
    """The value of such JSON."""
    if "array" in x:
        dtype = np.dtype(str(x["dtype"]))
        if dtype.kind not in "biuf":
            raise ValueError("an array of numbers")
        data = np.frombuffer(base64.b64decode(x["array"]), dtype).reshape(x["shape"]).copy()
        return data[()] if x["number"] else data
    if "float" in x:
        return float(x["float"])
    if "list" in x:
        items = [decoded(item) for item in x["list"]]
        return tuple(items) if x["tuple"] else items
    if "dict" in x:
        return {decoded(key): decoded(value) for key, value in x["dict"]}
    return x["plain"] if "plain" in x else Unknown(str(x.get("other")))


class Unknown:
    """Stands for something that is no number, such as a generator."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


class Nothing(ModuleType):
    """Stands for this library where a student's file imports it: no function of his may call it."""

    def __init__(self, name: str) -> None:
        """It is a package, of which everything can be imported."""
        super().__init__(name)
        self.__path__ = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = Nothing(f"{self.__name__}.{name}")
        setattr(self, name, made)
        return made

    def __call__(self, *args: Any, **_: Any) -> Any:
        """Refuse it; what a file does while it is loaded counts for nothing."""
        name = self.__name__.replace("tinygrad_lo", "lo", 1)
        if name.endswith(".to_do"):
            raise NotImplementedError(*args)
        if is_served:
            refuse(f"calls {name}, where the answer is to be written by hand")
        return self


class Imports:
    """What may be imported: NumPy, SciPy and Python's own; the library stands for itself only."""

    @staticmethod
    def find_spec(name: str, *_: Any) -> Any:
        """Nothing in the place of the library; an end for what is neither."""
        first = name.partition(".")[0]
        if first == "tinygrad_lo":
            return importlib.machinery.ModuleSpec(name, Imports)  # type: ignore[arg-type]
        if not (first in SPARE or first.startswith("_")):
            refuse(f"imports {first}; an exercise needs NumPy and Python's own modules only")
        return None

    @staticmethod
    def create_module(spec: Any) -> ModuleType:
        """The module that stands for the library."""
        return Nothing(spec.name)

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        """It needs no code."""


said: list[str] = []  # what was dishonest
is_served: list[bool] = []  # not empty once a function may be called


def refuse(what: str) -> NoReturn:
    """Note what does not belong here, and end the call."""
    said.append(what)
    raise Dishonest(what)


def watched(home: Path) -> Any:
    """A hook that no program takes away again: other files and other processes are refused."""
    allowed = tuple(str(Path(p).resolve()) for p in (sys.prefix, sys.base_prefix, np.__path__[0], home))

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event.startswith(FORBIDDEN_EVENTS):
            refuse(f"tries {event}, which an exercise does not need")
        if event == "ctypes.dlopen" and args[0] is not None:
            refuse("loads a library of the system")
        if event == "open" and isinstance(args[0], (str, bytes)):
            path = os.path.realpath(os.fsdecode(args[0]))
            if not path.startswith(allowed) and path != os.devnull:
                refuse(f"opens {Path(path).name!r}, which is not its own file")

    return hook


def names_of_file(path: Path) -> dict[str, Any]:
    """The names of a student's file, of which only definitions and plain lines are run, not its main."""
    source = path.read_text(encoding="utf-8")
    code = compile(ast.parse(source, str(path)), str(path), "exec")
    module = ModuleType("submission")
    module.__file__ = str(path)
    sys.modules["submission"] = module
    exec(code, vars(module))
    return vars(module)


def serve(path: Path, answers: io.TextIOBase) -> None:
    """Load the file, then answer one call after the other."""

    def answer(**content: Any) -> None:
        answers.write(json.dumps({**content, "dishonest": said[:1]}) + "\n")
        answers.flush()

    sys.meta_path.insert(0, Imports)
    finders, get = list(sys.meta_path), builtins.getattr
    sys.addaudithook(watched(path.parent.resolve()))
    try:
        names = names_of_file(path)
    except BaseException as problem:
        answer(**exception_in_words(problem, path))
        return
    answer(
        there=[name for name, value in names.items() if callable(value) and not isinstance(value, Nothing)]
    )
    is_served.append(True)
    for line in sys.stdin:
        call = json.loads(line)
        args, options = decoded(call["args"]), decoded(call["options"])
        before = [encoded(x) for x in args]
        try:
            result = encoded(get(names[call["name"]], "__call__")(*args, **options))
        except BaseException as problem:
            answer(**exception_in_words(problem, path))
            continue
        if sys.meta_path != finders and not said:
            said.append("changes how modules are imported")
        after = [encoded(x) for x in args]
        changed = {i: x for i, x in enumerate(after) if x != before[i]}
        answer(result=result, changed=changed)


def exception_in_words(problem: BaseException, path: Path) -> dict[str, Any]:
    """An exception in words, with the student's line."""
    lines, place, at = (
        path.read_text(encoding="utf-8", errors="replace").splitlines(),
        problem.__traceback__,
        0,
    )
    while place is not None:
        at = place.tb_lineno if place.tb_frame.f_code.co_filename == str(path) else at
        place = place.tb_next
    if isinstance(problem, SyntaxError):
        at = problem.lineno or 0
    line = f"\n  line {at}: {lines[at - 1].strip()}" if 0 < at <= len(lines) else ""
    to_do = str(problem)[:500] if isinstance(problem, NotImplementedError) else None
    return {"raised": f"{type(problem).__name__}: {problem}{line}"[:2000], "to_do": to_do}


if __name__ == "__main__":
    # Answers go where stdout went; what the student prints goes nowhere.
    private = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    serve(Path(sys.argv[1]), private)
