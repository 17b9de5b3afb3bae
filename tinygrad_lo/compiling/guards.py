"""What a function reads besides its arguments, and the questions that tell whether it has changed.

Numbers are compared by class and value, containers entry by entry, everything else by identity; arrays
and tensors are read afresh at each call, so only which array it is matters. Followed are globals,
closures and defaults of the function and of the functions of the user's that it calls. What hangs on
attributes of objects is not seen, except for modules of layers.
"""

from __future__ import annotations

import dis
import functools
import marshal
import operator
import sysconfig
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.compiling.names import Namespace
from tinygrad_lo.engine.caller import PACKAGE
from tinygrad_lo.engine.graph import Array, Node
from tinygrad_lo.nn.base import Module

PLAIN = (int, float, bool, str, type(None), complex, bytes)
MOST = 64  # entries of a container that are asked for one by one
LIBRARIES = tuple(sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib", "purelib", "platlib"))


class Guards:
    """The questions about everything that a function reads.

    Attributes:
        questions: Python expressions, all true as long as nothing has changed.
        names: the objects that the expressions mention.
        arrays: the plain arrays among what is read, by the expression that reads them.
    """

    def __init__(self, f: Callable[..., Any]) -> None:
        self.questions: list[str] = []
        self.names = Namespace(nd=ndarray, same=operator.is_, bits=bits, bytes_of=bytes_of)
        self.arrays: dict[str, Array] = {}
        self.functions: list[Any] = []
        self.modules: list[Module] = []
        self.containers: list[Any] = []  # lists may contain each other
        if isinstance(f, (types.FunctionType, types.MethodType)):
            self._follow(f)
        else:
            self.visit(f, self.names.name(f))

    def _follow(self, f: Any) -> None:
        """The function, and what it reads."""
        if isinstance(f, types.MethodType):
            self.visit(f.__self__, self.names.name(f.__self__))
            f = f.__func__
        if not isinstance(f, types.FunctionType):
            # A function in a wrapping (functools.lru_cache), a module's forward, an object that is called.
            wrapped = getattr(f, "__wrapped__", None)
            f = wrapped or (type(f).forward if isinstance(f, Module) else type(f).__call__)
        if not isinstance(f, types.FunctionType) or any(f is known for known in self.functions):
            return
        if f.__code__.co_filename.startswith((PACKAGE, *LIBRARIES)):
            return
        self.functions.append(f)
        names = names_in(f.__code__)
        for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            try:
                found = cell.cell_contents
            except ValueError:
                continue  # a cell that is not filled yet
            self.visit(found, f"{self.names.name(cell)}.cell_contents")
            self._visit_module(found, names.get(name, {}))
        for name, attributes in names.items():
            if name in f.__globals__:
                self.visit(f.__globals__[name], f"{self.names.name(f.__globals__)}[{name!r}]")
                self._visit_module(f.__globals__[name], attributes)
        for place, value in enumerate(f.__defaults__ or ()):
            self.visit(value, f"{self.names.name(f)}.__defaults__[{place}]")
        for key, value in (f.__kwdefaults__ or {}).items():
            self.visit(value, f"{self.names.name(f)}.__kwdefaults__[{key!r}]")

    def _visit_module(self, found: Any, attributes: Iterable[str]) -> None:
        """What a function reads of a module that the user has written: numbers, and functions to follow."""
        if isinstance(found, types.ModuleType) and is_users(found):
            for attribute in attributes:
                if hasattr(found, attribute):
                    self.visit(getattr(found, attribute), f"{self.names.name(found)}.{attribute}")

    def visit(self, value: Any, reading: str) -> None:
        """Ask about one thing that is read by an expression."""
        waiting = [(value, reading)]
        while waiting:
            value, reading = waiting.pop()
            if isinstance(value, (types.ModuleType, type, types.BuiltinFunctionType, np.ufunc)):
                continue
            if isinstance(value, ndarray):
                self.arrays.setdefault(reading, value)
            elif type(value) in PLAIN or isinstance(value, np.generic):
                self._same_number(value, reading)
            elif any(value is known for known in self.containers):
                self.questions.append(f"{reading} is {self.names.name(value)}")
            elif type(value) in (list, tuple):
                waiting += self._entries(value, reading, enumerate(value))
            elif type(value) is dict:
                waiting += self._entries(value, reading, value.items())
            elif isinstance(value, functools.partial):
                self.questions.append(f"{reading} is {self.names.name(value)}")
                known = self.names.name(value)
                waiting += [(value.args, f"{known}.args"), (value.keywords, f"{known}.keywords")]
                waiting.append((value.func, f"{known}.func"))
            elif isinstance(value, Module):
                if not any(value is known for known in self.modules):
                    self.modules.append(value)
                    self.questions.append(f"{reading} is {self.names.name(value)}")
                    waiting.append((vars(value), f"{self.names.name(vars(value))}"))
                    for kind in type(value).__mro__:
                        if kind is not object and not kind.__module__.startswith("tinygrad_lo."):
                            waiting += self._class_entries(kind)
            else:
                self.questions.append(f"{reading} is {self.names.name(value)}")
                if callable(value):
                    self._follow(value)

    def _class_entries(self, kind: type) -> list[tuple[Any, str]]:
        """Numbers and functions that stand in the class of a user's layer."""
        name = self.names.name(kind)
        found = []
        for key, entry in vars(kind).items():
            if key.startswith("__"):
                continue
            inner = entry.fget if isinstance(entry, property) else getattr(entry, "__func__", entry)
            if isinstance(inner, types.FunctionType):
                self.questions.append(f"{name}.__dict__[{key!r}] is {self.names.name(entry)}")
                self._follow(inner)
            elif type(entry) in PLAIN:
                found.append((entry, f"{name}.__dict__[{key!r}]"))
        return found

    def _same_number(self, value: Any, reading: str) -> None:
        known = self.names.name(value)
        question = f"{reading} is {known}"
        if value is not None and type(value) is not bool:
            question = f"({question} or bits({reading}) == {bits(value)!r})"
        self.questions.append(question)

    def _entries(self, value: Any, reading: str, entries: Any) -> list[tuple[Any, str]]:
        """The entries of a container, to be asked about in turn; or all of them in one question."""
        self.containers.append(value)
        kind = self.names.name(type(value))
        self.questions.append(f"type({reading}) is {kind} and len({reading}) == {len(value)}")
        if type(value) is dict:  # the same keys in the same order
            keys = self.names.name(tuple(value))
            self.questions.append(
                f"all(map(same, {reading}, {keys}))"
                if not is_plain(list(value))
                else f"tuple({reading}) == {keys}"
            )
        flat = list(value.values()) if type(value) is dict else list(value)
        if flat and all(isinstance(item, Node) for item in flat):
            values = f"{reading}.values()" if type(value) is dict else reading
            self.questions.append(f"all(map(same, {values}, {self.names.name(tuple(flat))}))")
            return []
        if len(flat) > MOST and is_plain(value):
            exact = not any(isinstance(part, np.generic) for part in parts(value))
            ask = "bytes_of" if exact else "bits"
            known = bytes_of(value) if exact else bits(value)
            self.questions.append(f"{ask}({reading}) == {self.names.name(known)}")
            return []
        found = []
        for key, item in entries:
            found.append((item, f"{reading}[{key!r}]"))
        return found


def bytes_of(value: Any) -> bytes:
    """Numbers and text in nested containers as bytes: quick, and exact. (Version 2 knows no references.)"""
    return marshal.dumps(value, 2)


def bits(value: Any) -> Any:
    """What tells two numbers, or nested lists of them, apart: 1 from 1.0 and True, 0.0 from -0.0."""
    if isinstance(value, (list, tuple)):
        return (type(value), *map(bits, value))
    if isinstance(value, dict):
        return (dict, *((key, bits(item)) for key, item in value.items()))
    if isinstance(value, np.generic):
        return (type(value).__name__, value.tobytes())
    return (type(value).__name__, repr(value))


def parts(value: Any) -> Iterator[Any]:
    """What is in nested lists, tuples and dicts, without these."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, (list, tuple)):
            waiting += item
        elif isinstance(item, dict):
            waiting += item.values()
        else:
            yield item


def is_plain(value: Any) -> bool:
    """Whether a container holds nothing but numbers and text, also inside."""
    return all(type(part) in PLAIN or isinstance(part, np.generic) for part in parts(value))


def names_in(code: types.CodeType) -> dict[str, dict[str, None]]:
    """The global and outer names that a function reads, each with the attributes that it asks of it."""
    seen: dict[str, dict[str, None]] = {}
    waiting = [code]
    while waiting:
        one = waiting.pop()
        before = ""
        for step in dis.get_instructions(one):
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF"):
                before = str(step.argval)
                seen.setdefault(before, {})
            else:
                if step.opname in ("LOAD_ATTR", "LOAD_METHOD") and before:
                    seen[before][str(step.argval)] = None
                before = ""
        waiting += [const for const in one.co_consts if isinstance(const, types.CodeType)]
    return seen


def is_users(module: types.ModuleType) -> bool:
    """Whether a module is a file of the user's."""
    file = getattr(module, "__file__", None) or PACKAGE
    return not file.startswith((PACKAGE, *LIBRARIES))
