"""A dropped graph, taken apart in a loop: for a Python whose stack is the browser's.

Freeing a node frees its parents inside, theirs inside of that, and so on. CPython bounds this by its own
stack; the stack of WebAssembly ends first, at some thousand ops, and Python with it.
"""

from __future__ import annotations

from typing import Any

WAITING: list[Any] = []  # the edges of freed nodes; while a call takes them apart, the first is None


def freed_in_a_loop(node: Any) -> None:
    """Free a node's parents after it, not inside of it: `Node.__del__` under Emscripten."""
    edges = [getattr(node, "from_a", None), getattr(node, "from_b", None)]
    node.from_a = node.from_b = None
    if WAITING:  # an outer call is in its loop
        WAITING.append(edges)
        return
    WAITING.extend([None, edges])
    del edges
    while len(WAITING) > 1:
        WAITING.pop()
    WAITING.clear()
