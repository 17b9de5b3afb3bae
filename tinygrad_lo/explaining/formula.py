"""Every value of a graph gets a name and the formula that made it: `S = X @ W`, `v1 = Σ margins`.

Text and pictures use the same names, so a learner finds `v3` of the one in the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Array, Node, reachable
from tinygrad_lo.engine.machine.arguments import memory
from tinygrad_lo.engine.naming import name_of
from tinygrad_lo.engine.ops.indexing import Slot, filled_in
from tinygrad_lo.errors import DTypeError
from tinygrad_lo.program.ops import POWER
from tinygrad_lo.program.text import Taken, slice_text
from tinygrad_lo.program.text import one_line as one_line  # noqa: PLC0414  (drawings ask for it here)

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
DIGITS = 4  # of numbers in text
LOSS = "L"  # what a loss without a name is called


class Printed(str):
    """Text that a notebook prints line by line; of a str it shows the quotes and one long line."""

    __slots__ = ()

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        printer.text(str(self))


class Names:
    """Names for the values of a graph, and the formulas between them.

    Attributes:
        nodes: every value the roots were made from, oldest first.
        arrays: plain arrays that entered an op without a tensor around them, by name.
    """

    def __init__(self, roots: Iterable[Node], digits: int = 3) -> None:
        roots = list(roots)
        self.nodes = reachable(roots)
        self.digits = digits
        self.arrays: dict[str, Array] = {}
        self._array_names: dict[tuple[Any, ...], str] = {}
        names = {node.birth: name_of(node) for node in self.nodes}
        taken = Taken(*(name for name in names.values() if name is not None))
        if len(roots) == 1 and LOSS not in taken.names and is_loss(*roots):
            names[roots[0].birth] = taken.fresh(LOSS)
        for node in self.nodes:
            if names[node.birth] is None:
                names[node.birth] = taken.numbered("v" if node.op is not None else "w" if node.needs else "x")
        self._names = {birth: one_line(str(name)) for birth, name in names.items()}
        self._name_arrays(taken)

    def _name_arrays(self, taken: Taken) -> None:
        """Name the plain arrays that formulas show, each once."""
        for x in plain_arrays(self.nodes):
            key = memory(x)
            if key not in self._array_names:
                name = taken.fresh("i") if is_range(x) else taken.numbered("x")
                self._array_names[key] = name
                self.arrays[name] = x

    def of(self, node: Node) -> str:
        """The name of a value: the user's, L, or v1, v2, ... (leaves: w1 with, x1 without a gradient)."""
        return self._names[node.birth]

    def of_array(self, value: Array) -> str:
        """The name of a plain array that entered an op."""
        return self._array_names[memory(value)]

    def operands(self, node: Node) -> list[str]:
        """The node's inputs as text: names, numbers, options."""
        pairs = zip(node.parents, node.inputs, strict=False)
        texts = [self._operand(x) if parent is None else self.of(parent) for parent, x in pairs]
        return [*texts, *map(option_text, node.inputs[len(texts) :])]

    def _operand(self, value: Any) -> str:
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
            return op.symbol.format(*of_many_texts(texts[:-1], node.inputs[-1]))
        if op is POWER and node.parents[1] is None and superscript(node.inputs[1]):
            return texts[0] + superscript(node.inputs[1])
        return op.symbol.format(*texts) if "{" in op.symbol else f" {op.symbol} ".join(texts[:2])


def plain_arrays(nodes: Iterable[Node]) -> Iterator[Array]:
    """The arrays that enter an op without a tensor around them, where a formula shows them."""
    for node in nodes:
        for parent, x in zip(node.parents, node.inputs, strict=False):
            if parent is None and isinstance(x, ndarray) and x.ndim and is_drawn(node, x):
                yield x


def is_loss(node: Node) -> bool:
    """Whether this is a value without a name, computed, at which a backward pass can start."""
    return name_of(node) is None and node.op is not None and bool(node.needs) and node.value.size == 1


def is_drawn(node: Node, value: Array) -> bool:
    """Whether this plain input appears in the formula: the labels of a pick do not."""
    assert node.op is not None
    position = next(i for i, other in enumerate(node.inputs) if other is value)
    return "{" not in node.op.symbol or f"{{{position}}}" in node.op.symbol or node.op.arity is None


def superscript(exponent: Any) -> str:
    """A whole number as it is drawn raised; nothing for another exponent."""
    whole = isinstance(exponent, int | float) and float(exponent).is_integer()
    return str(int(exponent)).translate(SUPERSCRIPTS) if whole else ""


def of_many_texts(operands: list[str], option: Any) -> tuple[str, str]:
    """The operands in a row, and the option; of an index with operands in it, the first and the index."""
    pattern = option if isinstance(option, tuple) else ()
    if any(isinstance(part, Slot) for part in pattern):
        return operands[0], option_text(filled_in(pattern, tuple(operands[1:])))
    return ", ".join(operands), option_text(option)


def is_range(x: ndarray[Any, Any]) -> bool:
    """Whether these are the places 0, 1, 2, ... of rows."""
    return x.dtype.kind in "iu" and np.array_equal(x, np.arange(x.size))


def names_labels(index: tuple[Any, ...]) -> bool:
    """Whether this takes from each row the element at a label."""
    return len(index) == 2 and all(isinstance(part, ndarray) for part in index) and is_range(index[0])


def option_text(value: Any) -> str:
    """An index, an axis or a shape as a reader writes it; a label for each row as `i, yᵢ`."""
    if isinstance(value, tuple):
        return "i, yᵢ" if names_labels(value) else ", ".join(map(option_text, value))
    if isinstance(value, slice):
        return slice_text(value)
    if isinstance(value, ndarray):
        return "mask" if value.dtype == bool else "indices"
    return "…" if value is Ellipsis else str(value)


def number(value: Any, digits: int = 3) -> str:
    """A number as drawings show it: significant digits, no ".0", a real minus sign, a loud nan."""
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    x = float(value)
    text = f"{x:.{digits}g}"
    mantissa, _, exponent = text.partition("e")
    if exponent:
        near = abs(x) < 10 ** (digits + 2) and float(text).is_integer()
        text = f"{x:.0f}" if near else f"{mantissa}e{int(exponent)}"
    return "0" if text == "-0" else text.replace("-", "−").replace("inf", "∞")


def moments(x: ndarray[Any, Any], dtype: Any = None) -> tuple[float, float]:
    """Mean and standard deviation; what rounding alone leaves of either is 0.

    The mean of n numbers that are known to a unit in their last place is known to (1 + log₂ n) ε max |x|, as
    NumPy adds them in pairs (Higham 1993). dtype: that the numbers were computed in, if not their own.
    """
    wide = x.astype(float)
    with np.errstate(all="ignore"):  # the std of infinities is nan, and shown as such
        mean, std = float(wide.mean()), float(wide.std())
        noise = unit_of(dtype or x.dtype) * float(np.abs(wide).max()) * (1 + np.log2(x.size))
    return 0.0 if abs(mean) <= noise < np.inf else mean, 0.0 if std <= noise < np.inf else std


def unit_of(dtype: Any) -> float:
    """A unit in the last place of 1, in the precision of these numbers."""
    return float(np.finfo(dtype if np.dtype(dtype).kind == "f" else float).eps)


def size(shape: tuple[int, ...]) -> str:
    """A shape as drawings show it: 3×4."""
    return "×".join(map(str, shape))


def is_shown_as_number(value: Any) -> bool:
    """Whether this is one number that can be shown: lazy ones are not computed for that."""
    return np.shape(value) == () and isinstance(value, (ndarray, np.generic, int, float))


def shown(value: Array) -> str:
    """A number, or of an array the shape."""
    return number(value, DIGITS) if is_shown_as_number(value) else size(np.shape(value)) or "one number"


def equation(*parts: str, value: Array) -> str:
    """`v3 = v1 + v2 = (−2) + 6 = 4`; of an array the shape, beside it: `S = X @ W  4×2`."""
    text = " = ".join(filter(None, parts))
    return f"{text}{'  ' if np.shape(value) else ' = '}{shown(value)}"


def must_be_tensor(who: str, value: Any, what: str = "a tensor") -> None:
    """Refuse what has no graph."""
    if not isinstance(value, Node):
        raise DTypeError(f"{who}: expected {what}, got {type(value).__name__}: {value!r}")
