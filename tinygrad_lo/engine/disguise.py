"""How a refusal gets through NumPy, so that `a[0] = t` ends with our sentence.

NumPy stores one number by float(t), and hides what that raises if the class of t has []. So a scalar that is
refused puts on a class without [], and the first use of it, whatever it is, takes that off again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad_lo.engine.graph import Node

OWN = {"__class__", "__new__", "__init_subclass__", "__subclasshook__", "__getattribute__", "__getitem__"}


def without_items(kind: type[Node]) -> type[Node]:
    """A class that does all that `kind` does, except []; every use sets the class back to `kind`."""

    def back(self: Any) -> Any:
        object.__setattr__(self, "__class__", kind)
        return self

    def look(self: Any, name: str) -> Any:
        # isinstance asks for the class, and compares it with the one before the question.
        return kind if name == "__class__" else getattr(back(self), name)

    def method(name: str) -> Callable[..., Any]:
        return lambda self, *inputs, **options: getattr(kind, name)(back(self), *inputs, **options)

    special = [name for name in dir(kind) if name.startswith("__") and callable(getattr(kind, name))]
    methods = {name: method(name) for name in special if name not in OWN}
    space = {"__slots__": (), "__module__": kind.__module__, "__getattribute__": look, **methods}
    return type(kind.__name__, (Node,), space)
