"""Every value of a graph gets a name and the formula that made it: `S = X @ W`, `v1 = Σ margins`.

Text and pictures use the same names, so a learner finds `v3` of the one in the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Array, Node, reachable
from tinygrad_lo.engine.machine.arguments import memory
from tinygrad_lo.engine.naming import name_of
from tinygrad_lo.engine.ops.arithmetic import power
from tinygrad_lo.engine.ops.registry import record
from tinygrad_lo.program.text import one_line as one_line  # noqa: PLC0414  (drawings ask for it here)

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Names:
    """Names for the values of a graph, and the formulas between them.

    Attributes:
        nodes: every value the roots were made from, oldest first.
        arrays: plain arrays that entered an op without a tensor around them, by name.
    """

    def __init__(self, roots: Iterable[Node], digits: int = 3) -> None:
        self.nodes = reachable(roots)
        self.digits = digits
        self.arrays: dict[str, Array] = {}
        self._array_names: dict[tuple[Any, ...], str] = {}
        names = {node.birth: name_of(node) for node in self.nodes}
        taken = set(names.values())
        counts = {"v": 0, "x": 0, "w": 0}
        for node in self.nodes:
            if names[node.birth] is None:
                names[node.birth] = fresh(kind_of_name(node), counts, taken)
        self._names = {birth: one_line(str(name)) for birth, name in names.items()}
        for node in self.nodes:
            for array in drawn_arrays(node):
                key = memory(array)
                if key not in self._array_names:
                    name = self._array_names[key] = fresh("x", counts, taken)
                    self.arrays[name] = array

    def of(self, node: Node) -> str:
        """The name of a value: the user's, or v1, v2, ... (leaves: w1 with, x1 without a gradient)."""
        return self._names[node.birth]

    def of_array(self, value: Array) -> str:
        """The name of a plain array that entered an op."""
        return self._array_names[memory(value)]

    def operands(self, node: Node) -> list[str]:
        """The node's inputs as text: names, numbers, options."""
        parents = node.parents
        texts = [
            self.operand(value) if parent is None else self.of(parent)
            for parent, value in zip(parents, node.inputs, strict=False)
        ]
        return [*texts, *map(option_text, node.inputs[len(parents) :])]

    def operand(self, value: Any) -> str:
        """A plain input as text: the name of an array, or a number."""
        if isinstance(value, ndarray) and memory(value) in self._array_names:
            return self.of_array(value)
        if np.ndim(value):
            return option_text(value)
        text = number(value, self.digits + 1)
        return f"({text})" if text.startswith("−") else text

    def formula(self, node: Node) -> str:
        """What made the value, with the names of its inputs; empty for a leaf."""
        op = node.op
        if op is None:
            return ""
        texts = self.operands(node)
        if op.arity is None:
            return op.symbol.format(", ".join(texts[:-1]), texts[-1])
        if op is record(power) and is_whole_number(node.inputs[1]) and node.parents[1] is None:
            return texts[0] + str(int(node.inputs[1])).translate(SUPERSCRIPTS)
        if "{0}" in op.symbol:
            return op.symbol.format(*texts)
        return f" {op.symbol} ".join(texts[:2])


def fresh(kind: str, counts: dict[str, int], taken: set[str | None]) -> str:
    """The next free name of a kind: v1, v2, ..."""
    while True:
        counts[kind] += 1
        name = f"{kind}{counts[kind]}"
        if name not in taken:
            return name


def is_whole_number(value: Any) -> bool:
    """Whether this is a plain whole number, which as an exponent is drawn raised."""
    return isinstance(value, int | float) and float(value).is_integer()


def kind_of_name(node: Node) -> str:
    """The letter of a value without a name."""
    return "v" if node.op is not None else "w" if node.needs else "x"


def drawn_arrays(node: Node) -> list[Array]:
    """The plain arrays that entered an op and appear in its formula."""
    pairs = zip(node.parents, node.inputs, strict=False)
    plain = [x for parent, x in pairs if parent is None and isinstance(x, ndarray) and x.ndim]
    return [x for x in plain if is_drawn(node, x)]


def is_drawn(node: Node, value: Array) -> bool:
    """Whether this plain input appears in the formula: the labels of a pick do not."""
    assert node.op is not None
    position = next(i for i, other in enumerate(node.inputs) if other is value)
    return "{" not in node.op.symbol or f"{{{position}}}" in node.op.symbol or node.op.arity is None


def option_text(value: Any) -> str:
    """An index, an axis or a shape as a reader writes it."""
    if isinstance(value, tuple):
        return ", ".join(option_text(part) for part in value)
    if isinstance(value, slice):
        parts = ["" if part is None else str(part) for part in (value.start, value.stop, value.step)]
        return ":".join(parts[:2] if value.step is None else parts)
    if value is Ellipsis:
        return "…"
    if isinstance(value, ndarray):
        return "mask" if value.dtype == bool else "indices"
    return str(value)


def number(value: Any, digits: int = 3) -> str:
    """A number as drawings show it: significant digits, no ".0", a real minus sign, a loud nan."""
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    x = float(value)
    if np.isnan(x):
        return "nan"
    if np.isinf(x):
        return "∞" if x > 0 else "−∞"
    text = f"{x:.{digits}g}"
    if "e" in text:
        if float(text).is_integer() and abs(x) < 10 ** (digits + 2):
            text = f"{x:.0f}"
        else:
            mantissa, exponent = text.split("e")
            text = f"{mantissa}e{int(exponent)}"
    return "0" if text in ("-0", "0") else text.replace("-", "−")


def size(shape: tuple[int, ...]) -> str:
    """A shape as drawings show it: 3×4."""
    return "×".join(map(str, shape))
