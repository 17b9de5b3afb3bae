"""Whether program and engine have given the same, but for rounding."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_lo.engine.naming import quoted


def difference(
    ours: dict[int, Any], theirs: dict[int, Any], leaves: dict[int, Any], relative: float, noise: float = 0.0
) -> str | None:
    """What differs by more than rounding, of value (0) and gradients (by birth of their leaves)."""
    if ours.keys() != theirs.keys():
        return "the parameters that get a gradient are others"
    for birth, found in ours.items():
        a, b = np.asarray(found), np.asarray(theirs[birth])
        if not agree(a, b, relative, noise):
            if not birth:
                return f"its value is {a} by the program and {b} by the engine"
            return f"the gradient by {quoted(leaves[birth], 'a parameter')} is another one"
    return None


def agree(a: Any, b: Any, relative: float, noise: float) -> bool:
    """Whether two results are the same but for rounding."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    finite = np.isfinite(b)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True) or not np.isfinite(a[finite]).all():
        return False
    scale = float(np.abs(b[finite]).max(initial=0.0))
    return bool((np.abs(a[finite] - b[finite]) <= relative * scale + noise).all())
