"""The graph as indented text, from the loss down to the leaves."""

from __future__ import annotations

import itertools
from typing import Any

from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.naming import scopes
from tinygrad_lo.explaining.formula import Names, Printed, equation, must_be_tensor
from tinygrad_lo.options import public
from tinygrad_lo.program.text import one_line

LINES = 1000  # a longer tree is not read by anyone; the rest is counted


@public
def tree(loss: Any) -> Printed:
    """The graph of a value as indented text: what it was made from, down to the leaves.

    Each line is `name = formula = value`, or the shape where the value is no single number. What made a value
    stands below it, indented when there are several inputs. A value that is used twice is written out once,
    then marked `(above)`. Scopes are named in ‹ › where they begin.

    At the edges: trees above 1000 lines are cut, and the number of values left out is said.
    Raises:   DTypeError: not a tensor.
    Example:
        >>> import tinygrad_lo as lo
        >>> x, w = lo.Tensor(3.0, name="x"), lo.Parameter(2.0, name="w")
        >>> print(lo.tree((x * w - 1.0) ** 2))
        L = v2² = 25
        v2 = v1 − 1 = 5
        v1 = x × w = 6
        ├─ x = 3  data
        └─ w = 2  parameter
    """
    must_be_tensor("tree", loss)
    names = Names([loss])
    scopes_of = scopes(names.nodes)
    lines: list[str] = []
    seen: set[int] = set()
    # (node, prefix of its first line, prefix of what is below it, scopes of the line above)
    waiting: list[tuple[Node, str, str, tuple[Any, ...]]] = [(loss, "", "", ())]
    while waiting and len(lines) < LINES:
        node, first, below, outer = waiting.pop()
        if node.birth in seen:
            lines.append(f"{first}{names.of(node)} (above)")
            continue
        seen.add(node.birth)
        path = scopes_of[node.birth]
        text = equation(names.of(node), names.formula(node), value=node.value)
        kind = "" if node.op is not None else "  parameter" if node.needs else "  data"
        lines.append(f"{first}{text}{kind}{opened(path, outer)}")
        inputs = [parent for parent in node.parents if parent is not None]
        branches = [("├─ ", "│  ")] * (len(inputs) - 1) + [("└─ ", "   ")] if len(inputs) > 1 else [("", "")]
        for parent, (begin, under) in reversed(list(zip(inputs, branches, strict=False))):
            waiting.append((parent, below + begin, below + under, path))
    left = len(names.nodes) - len(seen)
    if left:
        lines.append(f"… and {left} more values; lo.tree(value) shows a part")
    return Printed("\n".join(lines))


def opened(path: tuple[Any, ...], outer: tuple[Any, ...]) -> str:
    """The scopes of a path that begin here, within those of the line above."""
    inner = itertools.dropwhile(lambda pair: pair[0] == pair[1], itertools.zip_longest(path, outer))
    return "".join(f"  ‹{one_line(scope[0])}›" for scope, _ in inner if scope is not None)
