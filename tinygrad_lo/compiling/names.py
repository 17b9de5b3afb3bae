"""Names for the objects that a generated text mentions."""

from __future__ import annotations

from typing import Any

from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.naming import name_of
from tinygrad_lo.explaining.spelling import identifier
from tinygrad_lo.nn.base import Itself


class Namespace(dict[str, Any]):
    """Name -> object; the same object gets one name."""

    def __init__(self, **known: Any) -> None:
        super().__init__(known)
        self._names = {Itself(thing): name for name, thing in known.items()}

    def name(self, thing: Any, hint: str = "k") -> str:
        """The name of an object, which gets one when it is first mentioned."""
        key = Itself(thing)
        if key not in self._names:
            if isinstance(thing, Node):
                hint = name_of(thing) or "tensor"
            self._names[key] = f"{identifier(hint, 'k')}_{len(self)}"
            self[self._names[key]] = thing
        return self._names[key]


def define(text: str, name: str, names: dict[str, Any], file: str) -> Any:
    """Run a text that defines a function, and get that."""
    namespace = dict(names)  # an exact dict: of any other, Python reads globals slowly
    exec(compile(text, file, "exec"), namespace)
    return namespace[name]
