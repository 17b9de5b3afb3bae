"""A student's functions, called from another process: python served.py FILE, calls on stdin.

It runs as a program of its own, without this library: what a student writes can touch nothing that judges
him. A call and its answer are a line of JSON each; arrays travel as their bytes, nothing is ever unpickled.
"""

from __future__ import annotations

import base64
import builtins
import importlib.machinery
import inspect
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, ClassVar, NoReturn

import numpy as np

DEEPEST_LIST = 20  # lists in lists of an answer
SPARE = ("numpy", "scipy", "math", *sys.stdlib_module_names)
# What a function of numbers has no use for, and what would reach beyond its process.
FORBIDDEN_EVENTS = (
    "os.fork", "os.forkpty", "os.exec", "os.spawn", "os.posix_spawn", "os.system", "os.kill", "os.killpg",
    "subprocess.Popen", "socket.", "sys.addaudithook", "sys.setprofile", "sys.settrace",
    "gc.", "shutil.rmtree", "os.remove", "os.rename", "os.rmdir", "os.truncate", "os.chmod", "os.link",
    "os.symlink",
)  # fmt: skip


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
    """Stands for this library, and others, where a student's file imports them: no function may call them.

    What a file does with it while it is loaded, such as to check and to print, has no effect.
    """

    __version__ = ""
    __path__: ClassVar[list[str]] = []  # a package, of which everything can be imported

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
        return args[0] if len(args) == 1 and isinstance(args[0], FunctionType) else self  # a decorator


for special in (
    "__add__", "__radd__", "__sub__", "__rsub__", "__mul__", "__rmul__", "__truediv__", "__rtruediv__",
    "__matmul__", "__rmatmul__", "__pow__", "__neg__", "__lt__", "__le__", "__gt__", "__ge__",
    "__getitem__", "__enter__",
):  # fmt: skip
    setattr(Nothing, special, lambda self, *_: self)
for special, plain in {  # it is empty, and a block with it ends like any other
    "__iter__": iter(()), "__len__": 0, "__bool__": True, "__float__": 0.0, "__format__": "",
    "__exit__": None, "__instancecheck__": False, "__mro_entries__": (),
}.items():  # fmt: skip
    setattr(Nothing, special, lambda self, *_, plain=plain: plain)


class Imports:
    """What may be imported: NumPy, SciPy and Python's own; for all else stands nothing."""

    @staticmethod
    def find_spec(name: str, *_: Any) -> Any:
        """None where Python may look itself; nothing in the place of other libraries.

        Python's own modules try what may not be there, and have another way: for them it is not.
        """
        first = name.partition(".")[0]
        if first in SPARE or first.startswith("_"):
            return None
        if first != "tinygrad_lo" and asked_by().startswith(PYTHONS_OWN):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return importlib.machinery.ModuleSpec(name, Imports)  # type: ignore[arg-type]

    @staticmethod
    def create_module(spec: Any) -> ModuleType:
        """The module that stands for the library."""
        return Nothing(spec.name)

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        """It needs no code."""


def folders(*paths: Any) -> tuple[str, ...]:
    """Folders as beginnings of the paths in them, also where a link leads to them."""
    return tuple(f"{p}{os.sep}" for path in paths for p in (Path(path), Path(path).resolve()))


PYTHONS_OWN = ("<frozen", *folders(sys.prefix, sys.base_prefix, *np.__path__))
is_served: list[bool] = []  # not empty once a function may be called


def asked_by() -> str:
    """The file that imports something: the first on the stack that is no part of importing."""
    frame = inspect.currentframe()
    parts = (__file__, "<frozen importlib", importlib.__file__)
    while frame is not None and frame.f_code.co_filename.startswith(parts):
        frame = frame.f_back
    return "" if frame is None else str(frame.f_code.co_filename)


def refusing(fd: int) -> Callable[[str], NoReturn]:
    """How to say what does not belong here, and end: nothing holds that up or takes it back."""
    write, end, text = os.write, os._exit, json.dumps

    def refuse(what: str) -> NoReturn:
        write(fd, (text({"dishonest": what}) + "\n").encode())
        end(1)

    return refuse


def watched(home: Path, refuse: Callable[[str], NoReturn]) -> Any:
    """A hook that no program takes away again: other files and other processes are refused.

    All that it uses is its own, since a student's file can change what modules have.
    """
    allowed = (*folders(sys.prefix, sys.base_prefix, *np.__path__, home), os.devnull, __file__)
    library, forbidden, where, sep = folders(Path(__file__).parents[1]), FORBIDDEN_EVENTS, os.getcwd, os.sep
    mine = __file__

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event.startswith(forbidden):
            refuse(f"tries {event}, which an exercise does not need")
        if event == "ctypes.dlopen" and args[0] is not None:
            refuse("loads a library of the system")
        if event == "open" and isinstance(args[0], (str, bytes)):
            path = args[0] if isinstance(args[0], str) else args[0].decode("utf-8", "replace")
            path = path if path[:1] == sep or path[1:2] == ":" else f"{where()}{sep}{path}"
            others = path.startswith(library) and path != mine
            if others or ".." in path or not path.startswith(allowed):
                refuse(f"opens {path.split(sep)[-1]!r}, which is not its own file")

    return hook


def names_of_file(path: Path) -> dict[str, Any]:
    """The names of a student's file, of which only definitions and plain lines are run, not its main."""
    code = compile(path.read_bytes(), str(path), "exec")  # from bytes: Python knows their encoding
    module = ModuleType("submission")
    module.__file__ = str(path)
    sys.modules["submission"] = module
    exec(code, vars(module))
    return vars(module)


def serve(path: Path, calls: io.TextIOBase, answers: io.TextIOBase) -> None:
    """Load the file, then answer one call after the other."""

    def answer(**content: Any) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    sys.meta_path.insert(0, Imports)
    finders, get = list(sys.meta_path), builtins.getattr
    sys.addaudithook(watched(path.parent, refuse))
    try:
        names = names_of_file(path)
    except BaseException as problem:
        answer(**exception_in_words(problem, path))
        return
    there = [name for name, x in names.items() if callable(x) and not isinstance(x, Nothing)]
    answer(there=there)
    is_served.append(True)
    for line in calls:
        call = json.loads(line)
        args, options = decoded(call["args"]), decoded(call["options"])
        before = [encoded(x) for x in args]
        try:
            result = encoded(get(names[call["name"]], "__call__")(*args, **options))
        except BaseException as problem:
            answer(**exception_in_words(problem, path))
            continue
        if sys.meta_path != finders:
            refuse("changes how modules are imported")
        after = [encoded(x) for x in args]
        changed = {i: x for i, x in enumerate(after) if x != before[i]}
        answer(result=result, changed=changed)


def exception_in_words(problem: BaseException, path: Path) -> dict[str, Any]:
    """An exception in words, with the student's line."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    place, at = problem.__traceback__, 0
    while place is not None:
        at = place.tb_lineno if place.tb_frame.f_code.co_filename == str(path) else at
        place = place.tb_next
    if isinstance(problem, SyntaxError):
        at = problem.lineno or 0
    line = f"\n  line {at}: {lines[at - 1].strip()}" if 0 < at <= len(lines) else ""
    to_do = str(problem)[:500] if isinstance(problem, NotImplementedError) else None
    return {"raised": f"{type(problem).__name__}: {problem}{line}"[:2000], "to_do": to_do}


if __name__ == "__main__":
    # Answers go where stdout went; what the student prints goes nowhere, and what he reads is empty.
    asked, private = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    refuse = refusing(private.fileno())
    serve(Path(sys.argv[1]), asked, private)
