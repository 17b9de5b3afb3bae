"""Names for the objects that a generated text mentions."""

from __future__ import annotations

import functools
import types
from typing import Any

from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.machine.caller import PACKAGE
from tinygrad_lo.engine.naming import name_of
from tinygrad_lo.program.text import identifier

FILE = f"{PACKAGE}<program>"  # as a file of the package, so that warnings point at the line that called it


class Namespace(dict[str, Any]):
    """Name -> object; the same object gets one name."""

    def __init__(self, **known: Any) -> None:
        super().__init__(known)
        self._names = {itself(thing): name for name, thing in known.items()}

    def name(self, thing: Any, hint: str = "k") -> str:
        """The name of an object, which gets one when it is first mentioned; a tensor's is the user's."""
        key = itself(thing)
        if key not in self._names:
            if isinstance(thing, Node):
                hint = identifier(name_of(thing) or "tensor", "k")
            self._names[key] = f"{hint}_{len(self)}"
            self[self._names[key]] = thing
        return self._names[key]

    def function(self, f: Any) -> str:
        """The name of a function, by its own."""
        return self.name(f, f.__name__)


def itself(thing: Any) -> Any:
    """A key for this very object, whatever it thinks of ==: methods bound to it are equal."""
    return None if thing is None else types.MethodType(itself, thing)


@functools.lru_cache(maxsize=256)
def code_of(text: str) -> types.CodeType:
    """A text as code; models of one architecture have one text, whose names stand for other objects."""
    return compile(text, FILE, "exec")


def define(text: str, name: str, names: dict[str, Any]) -> Any:
    """Run a text that defines a function, and get that."""
    namespace = dict(names)  # an exact dict: of any other, Python reads globals slowly
    exec(code_of(text), namespace)
    return namespace[name]
