"""What a function reads besides its arguments, and the questions that tell whether it has changed.

Numbers are compared by class and value, containers entry by entry, everything else by identity; arrays
and tensors are read afresh at each call, so only which array it is matters. Followed are globals,
closures and defaults of the function and of the user's functions that it calls. What hangs on
attributes of objects is not seen, except for modules of layers, dataclasses and SimpleNamespaces.
"""

from __future__ import annotations

import dataclasses
import dis
import functools
import marshal
import operator
import sysconfig
import types
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.compiling.names import Namespace, itself
from tinygrad_lo.engine.graph import Array, Node
from tinygrad_lo.engine.machine.caller import PACKAGE
from tinygrad_lo.nn.base import Module

PLAIN_VALUES = (int, float, bool, str, type(None), complex, bytes)
PARTIAL = ("func", "args", "keywords")
MAPPINGS = (dict, types.MappingProxyType)
SETS = (set, frozenset)
SEQUENCES = (list, tuple, deque)
BUFFERS = (bytearray, array, memoryview)
CONTAINERS = (*SEQUENCES, *MAPPINGS, *SETS)
FIXED = (types.ModuleType, type, types.BuiltinFunctionType, np.ufunc)  # never asked about
MOST_GUARDED = 64  # entries of a container that are asked for one by one
Reading = tuple[Any, str, str]  # a thing, the expression that reads it, and what the user calls it
LIBRARIES = tuple(sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib", "purelib", "platlib"))


class Guards:
    """The questions about everything that a function reads.

    Attributes:
        questions: Python expressions, all true as long as nothing has changed; each with what it asks about,
            in the user's words.
        names: the objects that the expressions mention.
        arrays: the plain arrays among what is read, by the expression that reads them.
        called: the user's words for these expressions.
    """

    def __init__(self, f: Callable[..., Any]) -> None:
        self.questions: dict[str, str] = {}
        self.names = Namespace(nd=ndarray, same=operator.is_, bits=bits, bytes_of=bytes_of)
        self.arrays: dict[str, Array] = {}
        self.called: dict[str, str] = {}
        self._met: set[Any] = set()  # lists may contain each other, functions call each other
        if isinstance(f, (types.FunctionType, types.MethodType)):
            self._follow(f)
        else:
            self.visit(f, self.names.name(f), "the function")

    def _is_new(self, thing: Any) -> bool:
        """Whether this very object is met for the first time."""
        count = len(self._met)
        self._met.add(itself(thing))
        return len(self._met) > count

    def _follow(self, f: Any) -> None:
        """The function, and what it reads."""
        if isinstance(f, types.MethodType):
            self.visit(f.__self__, self.names.name(f.__self__), "self")
        f = function_behind(f)
        if f is None or not self._is_new(f):
            return
        names, known = names_in(f.__code__), self.names.name
        for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            if cell != types.CellType():  # one that is filled already
                reading = f"{known(cell)}.cell_contents"
                self._visit_outer(cell.cell_contents, reading, name, names.get(name, {}))
        for name in filter(f.__globals__.__contains__, names):
            reading = f"{known(f.__globals__)}[{name!r}]"
            self._visit_outer(f.__globals__[name], reading, name, names[name])
        for place, value in enumerate(f.__defaults__ or ()):
            self.visit(value, f"{known(f)}.__defaults__[{place}]", "a default")
        for key, value in (f.__kwdefaults__ or {}).items():
            self.visit(value, f"{known(f)}.__kwdefaults__[{key!r}]", key)

    def _visit_outer(self, value: Any, reading: str, name: str, attributes: dict[str, None]) -> None:
        """A global or outer name; of a module that the user has written, what the function reads of it."""
        self.visit(value, reading, name)
        if isinstance(value, types.ModuleType) and is_users(value):
            for attribute in attributes:
                if hasattr(value, attribute):
                    reading = f"{self.names.name(value)}.{attribute}"
                    self.visit(getattr(value, attribute), reading, f"{value.__name__}.{attribute}")

    def ask(self, question: str, words: str) -> None:
        """Add a question about something that the user calls by these words."""
        self.questions.setdefault(question, words)

    def visit(self, value: Any, reading: str, words: str) -> None:
        """Ask about one thing that is read by an expression, and that the user calls by these words."""
        waiting: list[Reading] = [(value, reading, words)]
        while waiting:
            waiting += self._ask_about(*waiting.pop())

    def _ask_about(self, value: Any, reading: str, words: str) -> list[Reading]:
        """Ask about one thing, and say what is in it."""
        if isinstance(value, ndarray):
            self.arrays.setdefault(reading, value)
            self.called.setdefault(reading, words)
        elif type(value) in PLAIN_VALUES or isinstance(value, np.generic):
            question = f"{reading} is {self.names.name(value)}"
            if value is not None and type(value) is not bool:
                question = f"({question} or bits({reading}) == {bits(value)!r})"
            self.ask(question, words)
        elif isinstance(value, BUFFERS):
            self.ask(f"type({reading}) is {self.names.name(type(value))}", words)
            self.ask(f"bits({reading}) == {self.names.name(bits(value))}", words)
        elif isinstance(value, CONTAINERS):
            if self._is_new(value):
                return self._entries(value, reading, words)
            self.ask(f"{reading} is {self.names.name(value)}", words)
        elif not isinstance(value, FIXED):
            return self._object(value, reading, words)
        return []

    def _object(self, value: Any, reading: str, words: str) -> list[Reading]:
        """The very same object; if it holds data, the same data, and if it is called, what it reads."""
        known = self.names.name(value)
        holds_data = isinstance(value, (Module, types.SimpleNamespace)) or dataclasses.is_dataclass(value)
        self.ask(f"{reading} is {known}", words)
        inner: list[Reading] = []
        if isinstance(value, functools.partial):
            inner = [(getattr(value, part), f"{known}.{part}", words) for part in PARTIAL]
        elif holds_data and self._is_new(value):
            inner = self._attributes(value, known, words)
        if callable(value):
            self._follow(value)
        return inner

    def _attributes(self, value: Any, known: str, words: str) -> list[Reading]:
        """What hangs on a layer, a dataclass or a namespace, and on its class if the user wrote that."""
        if hasattr(value, "__dict__"):
            inner = self._entries(vars(value), self.names.name(vars(value)), words, "{}.{}")
        else:  # a dataclass with slots
            fields = [f.name for f in dataclasses.fields(value) if hasattr(value, f.name)]
            inner = [(getattr(value, name), f"{known}.{name}", f"{words}.{name}") for name in fields]
        for kind in type(value).__mro__:
            if kind is not object and not kind.__module__.startswith("tinygrad_lo."):
                inner += self._class_entries(kind)
        return inner

    def _class_entries(self, kind: type) -> list[Reading]:
        """Numbers and functions that stand in a class of the user's."""
        entries: list[Reading] = []
        for key, entry in vars(kind).items():
            reading = f"{self.names.name(kind)}.__dict__[{key!r}]"
            function = getattr(entry, "fget", getattr(entry, "__func__", entry))  # of a property, of a method
            words = f"{kind.__name__}.{key}"
            if key.startswith("__"):
                continue
            if isinstance(function, types.FunctionType):
                self.ask(f"{reading} is {self.names.name(entry)}", words)
                self._follow(function)
            elif type(entry) in PLAIN_VALUES:
                entries.append((entry, reading, words))
        return entries

    def _entries(self, value: Any, reading: str, words: str, entry: str = "{}[{!r}]") -> list[Reading]:
        """The entries of a container, to be asked about in turn; or all of them in one question."""
        kind = self.names.name(type(value))
        self.ask(f"type({reading}) is {kind} and len({reading}) == {len(value)}", words)
        if isinstance(value, SETS):
            return self._members(tuple(value), f"tuple({reading})", words)
        flat, values = list(value), reading
        keys: list[Any] = list(range(len(flat)))
        if isinstance(value, MAPPINGS):
            keys, flat, values = flat, list(value.values()), f"{reading}.values()"
            known = self.names.name(tuple(keys))
            plain = f"tuple({reading}) == {known}"
            self.ask(plain if is_plain(keys) else f"all(map(same, {reading}, {known}))", words)
        if flat and all(isinstance(item, Node) for item in flat):
            self.ask(f"all(map(same, {values}, {self.names.name(tuple(flat))}))", words)
            return []
        if len(flat) > MOST_GUARDED and is_plain(value):
            self._same_bytes(value, reading, words)
            return []
        places = [repr(key) if type(key) in (int, str) else self.names.name(key) for key in keys]
        rows = zip(places, keys, flat, strict=True)
        return [(item, f"{reading}[{place}]", entry.format(words, key)) for place, key, item in rows]

    def _members(self, members: tuple[Any, ...], reading: str, words: str) -> list[Reading]:
        """The members of a set, in the order in which f would meet them."""
        if is_plain(members):
            self._same_bytes(members, reading, words)
            return []
        known = self.names.name(members)
        self.ask(f"all(map(same, {reading}, {known}))", words)
        return [(member, f"{known}[{i}]", f"a member of {words}") for i, member in enumerate(members)]

    def _same_bytes(self, value: Any, reading: str, words: str) -> None:
        how = bytes_of if bytes_of(value) else bits
        self.ask(f"{how.__name__}({reading}) == {self.names.name(how(value))}", words)


def function_behind(f: Any) -> types.FunctionType | None:
    """The function of the user's that a call runs: a method's, or what is wrapped (functools.lru_cache)."""
    f = f.__func__ if isinstance(f, types.MethodType) else f
    if not isinstance(f, types.FunctionType):
        wrapped = getattr(f, "__wrapped__", None)
        f = wrapped or (type(f).forward if isinstance(f, Module) else type(f).__call__)
    if not isinstance(f, types.FunctionType) or f.__code__.co_filename.startswith((PACKAGE, *LIBRARIES)):
        return None
    return f


def bytes_of(value: Any) -> bytes:
    """Numbers and text in nested containers as bytes: quick, and exact; of anything else, nothing."""
    try:
        return marshal.dumps(value, 2)  # version 2 knows no references
    except ValueError:
        return b""


def bits(value: Any) -> Any:
    """What tells two arrays, numbers, or nested lists of them, apart: 1 from 1.0 and True, 0.0 from -0.0."""
    if isinstance(value, ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, BUFFERS):
        view = memoryview(value)
        return (view.format, view.tobytes())
    if isinstance(value, (*SEQUENCES, *SETS)):
        return (type(value), *map(bits, value))
    if isinstance(value, MAPPINGS):
        return (type(value), *((bits(key), bits(item)) for key, item in value.items()))
    if isinstance(value, np.generic):
        return (type(value).__name__, value.tobytes())
    return (type(value).__name__, repr(value))


def contents_of(value: Any) -> Iterator[Any]:
    """What is in nested containers, without these."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, (*SEQUENCES, *SETS)):
            waiting += item
        elif isinstance(item, MAPPINGS):
            waiting += item.values()
        else:
            yield item


def is_plain(value: Any) -> bool:
    """Whether a container holds nothing but numbers and text, also inside."""
    return all(type(part) in PLAIN_VALUES or isinstance(part, np.generic) for part in contents_of(value))


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
