"""What a function reads besides its argument, its data and labels, exchanged in a copy of it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from types import CellType, CodeType, FunctionType
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Array

Change = Callable[[Array], Array]  # what is read in place of an array


def rewired(fn: Any, change: Change) -> Any:
    """A copy of the function that reads change(a) where it reads an array a from outside.

    Functions of the same module that it calls are copied along; those of libraries stay.
    """
    return copied_function(fn, change, {})


def other(value: Any, change: Change, module: dict[str, Any], made: dict[Any, Any]) -> Any:
    """What a copy reads in place of this value."""
    if isinstance(value, np.ndarray):
        return change(value)
    if type(value) in (list, tuple):
        return type(value)(other(item, change, module, made) for item in value)
    if type(value) is dict:
        return {key: other(item, change, module, made) for key, item in value.items()}
    if isinstance(value, functools.partial):
        return copied_function(value, change, made)
    if isinstance(value, FunctionType) and value.__globals__ is module:
        return copied_function(value, change, made)
    return value


def copied_function(fn: Any, change: Change, made: dict[Any, Any]) -> Any:
    """A function with all that it reads exchanged; anything else as it is."""
    if isinstance(fn, functools.partial):
        inner = getattr(fn.func, "__globals__", {})
        args, keywords = (other(part, change, inner, made) for part in (list(fn.args), dict(fn.keywords)))
        return functools.partial(copied_function(fn.func, change, made), *args, **keywords)
    if not isinstance(fn, FunctionType):
        return fn
    if fn in made:
        return made[fn]
    module = dict(fn.__globals__)
    cells = tuple(CellType() for _ in fn.__closure__ or ())
    copy = FunctionType(fn.__code__, module, fn.__name__, None, cells)
    made[fn] = copy  # before what it reads: functions may call each other

    def new(value: Any) -> Any:
        return other(value, change, fn.__globals__, made)

    copy.__defaults__, copy.__kwdefaults__ = new(fn.__defaults__), new(fn.__kwdefaults__)
    module.update({name: new(module[name]) for name in names_of(fn.__code__) if name in module})
    for cell, old in zip(cells, fn.__closure__ or (), strict=True):
        try:
            cell.cell_contents = new(old.cell_contents)
        except ValueError:
            continue  # not assigned yet
    return copy


def names_of(code: CodeType) -> Iterator[str]:
    """The names that a function and the functions inside it may read from their module."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_of(constant)


def reads(fn: Any) -> list[Array]:
    """The arrays that a function reads from outside."""
    found: list[Array] = []

    def note(array: Array) -> Array:
        if array.size and not any(array is known for known in found):
            found.append(array)
        return array

    rewired(fn, note)
    return found
