"""THE TABLE: every op with its forward, its derivative rules, its spelling and its symbol.

Each kind has a file. `TABLE` holds the ops, `COMPOSED` the functions that are written with them.
"""

from tinygrad_lo.engine.ops import (
    arithmetic, compositions, elementwise, indexing, linear, losses, reductions, shapes,
)  # fmt: skip
from tinygrad_lo.engine.ops.registry import COMPOSED, TABLE, Composed, Shape, define_op

__all__ = [
    "COMPOSED", "TABLE", "Composed", "Shape", "arithmetic", "compositions", "define_op", "elementwise", "indexing", "linear",
    "losses", "reductions", "shapes",
]  # fmt: skip
