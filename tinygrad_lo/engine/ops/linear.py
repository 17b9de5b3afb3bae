"""The table, part 6: products of matrices and tensors."""

from __future__ import annotations

import math
import string
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Array
from tinygrad_lo.engine.ops.arithmetic import multiply
from tinygrad_lo.engine.ops.registry import Shape, composed, op
from tinygrad_lo.engine.sweep import total
from tinygrad_lo.engine.values import shape_of
from tinygrad_lo.errors import DTypeError, ShapeError

# -------------------------------------------------------------------------------------- matmul


def matmul_forward(a: Array, b: Array) -> Array:
    if type(a) is ndarray and type(b) is ndarray and a.ndim == 2 and b.ndim == 2:
        return a.dot(b)  # the same BLAS call, half a microsecond sooner
    return a @ b


def matmul_by_left(g: Array, y: Array, a: Array, b: Array) -> Array:
    if b.ndim == 1:  # (..., k) @ (k): every row of a meets the same vector
        return g * b if a.ndim == 1 else g[..., None] * b
    if a.ndim == 1:  # (k) @ (..., k, m): a was a row
        g = g[..., None, :]
    return matmul_forward(g, b.T if b.ndim == 2 else np.swapaxes(b, -1, -2))


def matmul_by_right(g: Array, y: Array, a: Array, b: Array) -> Array:
    if a.ndim == 1:  # (k) @ (..., k, m)
        return g * a if b.ndim == 1 else a[:, None] * g[..., None, :]
    if b.ndim == 1:  # (..., n, k) @ (k): b was a column
        return (np.swapaxes(a, -1, -2) @ g[..., None])[..., 0]
    if b.ndim == 2:  # a batch times one matrix is one tall matrix times it
        if a.ndim > 2:
            rows = math.prod(a.shape[:-1])  # -1 would not be known for a batch of nothing
            a = a.reshape((rows, a.shape[-1]))
            g = g.reshape((rows, g.shape[-1]))
        return matmul_forward(a.T, g)
    return np.swapaxes(a, -1, -2) @ g


def refuse_matmul(error: Exception, a: Array, b: Array) -> Exception | None:
    m, n = np.shape(a), np.shape(b)
    if not m or not n:
        return ShapeError(f"matmul needs at least 1-D, got 0-d ({m} @ {n}); use * for a number")
    inner = n[-2] if len(n) > 1 else n[0]
    if m[-1] != inner:
        hint = ""
        if len(n) == 2 and n[1] == m[-1]:
            hint = "; did you mean b.T?"
        elif len(m) == 2 and m[0] == inner:
            hint = "; did you mean a.T?"
        return ShapeError(f"matmul: {m} @ {n}: inner sizes {m[-1]} and {inner} differ{hint}")
    return ShapeError(f"matmul: {m} @ {n}: the axes before the last two cannot be broadcast")


matmul = op("matmul", matmul_forward, refuse=refuse_matmul,
            spelling="{0} @ {1}", symbol="@",
            about="Matrix product, for all ranks that NumPy takes; leading axes broadcast.",
            samples=((Shape(2, 3), Shape(3, 4)), (Shape(3), Shape(3)), (Shape(2, 3), Shape(3)), (Shape(3), Shape(3, 2)),
                     (Shape(2, 3, 4), Shape(2, 4, 2)), (Shape(2, 3, 4), Shape(4, 2)), (Shape(3, 4), Shape(2, 4, 2)),
                     (Shape(2, 1, 3, 4), Shape(3, 4, 2)), (Shape(2, 3, 4), Shape(4)), (Shape(4), Shape(2, 4, 3)), (Shape(0, 3), Shape(3, 2))),
            rules=(matmul_by_left,
                   matmul_by_right))  # fmt: skip


@composed(
    "np.dot({0}, {1})",
    (Shape(3), Shape(3)),
    (Shape(2, 3), Shape(3, 4)),
    (Shape(2, 3), Shape(3)),
    (Shape(), Shape(2, 2)),
    (Shape(2, 3), Shape(2, 3, 4)),
)
def dot(a: Any, b: Any) -> Any:
    """`np.dot`: inner product of vectors, product of matrices, * for numbers."""
    m, n = shape_of(a), shape_of(b)
    if not m or not n:
        return multiply(a, b)
    if len(n) <= 2:
        return matmul(a, b)
    left = string.ascii_lowercase[: len(m) - 1]
    right = string.ascii_uppercase[: len(n)]
    inner = right[-2]
    return einsum(f"{left}{inner},{right}->{left}{right[:-2]}{right[-1]}", a, b)


# -------------------------------------------------------------------------------------- einsum


def explicit(subscripts: str, ndims: list[int]) -> tuple[list[str], str]:
    """Subscripts with '...' as letters and the output written out: ("ij,j" -> ["ij", "j"], "i")."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ndims):
        raise ShapeError(f"einsum: {subscripts!r} names {len(terms)} operands, got {len(ndims)}")
    free = [letter for letter in string.ascii_letters if letter not in text]
    longest = max((n - len(t) + 3 for t, n in zip(terms, ndims, strict=True) if "..." in t), default=0)
    if not set(text) <= set(string.ascii_letters + ".,->") or longest < 0 or longest > len(free):
        raise ShapeError(f"einsum: {subscripts!r} does not fit operands with {ndims} axes")
    dots = "".join(free[:longest])
    full = []
    for term, ndim in zip(terms, ndims, strict=True):
        width = ndim - len(term) + 3
        full.append(term.replace("...", dots[len(dots) - width :] if width > 0 else ""))
        if len(full[-1]) != ndim or "." in full[-1]:
            raise ShapeError(f"einsum: {term!r} in {subscripts!r} does not fit an operand with {ndim} axes")
    if arrow:
        if dots and "..." not in right:
            raise ShapeError(f"einsum: {subscripts!r} has axes in '...' that its output leaves out")
        return full, right.replace("...", dots)
    letters = "".join(full)
    once = sorted(c for c in set(letters) if letters.count(c) == 1 and c not in dots)
    return full, dots + "".join(once)


def einsum_forward(*inputs: Any) -> Array:
    *operands, subscripts = inputs
    left, _, out = subscripts.partition("->")
    terms = left.split(",")
    for k, (term, x) in enumerate(zip(terms, operands, strict=True)):
        # A letter that nobody else has is summed first, and by `total`: einsum adds float32 naively.
        axes = tuple(i for i, c in enumerate(term) if subscripts.count(c) == 1 and c not in out)
        if axes and type(x) is ndarray:
            operands[k] = total(x, axes)
            terms[k] = "".join(c for i, c in enumerate(term) if i not in axes)
    return np.einsum(f"{','.join(terms)}->{out}", *operands, optimize=len(operands) > 1)[()]


def einsum_rule(i: int, g: Array, y: Array, *inputs: Any) -> Array:
    """Exchange the output and operand i in the subscripts.

    A letter that only operand i has was summed over: its gradient is the same all along, which a
    vector of ones says. A letter twice in operand i took a diagonal: an identity puts it back.
    """
    *operands, subscripts = inputs
    left, _, out = subscripts.partition("->")
    terms = left.split(",")
    unused = iter(c for c in string.ascii_letters if c not in subscripts)
    wanted = terms[i]
    sources = [(out, g)] + [(t, x) for k, (t, x) in enumerate(zip(terms, operands, strict=True)) if k != i]
    sizes: dict[str, int] = {}
    for term, x in sources:
        for letter, n in zip(term, x.shape, strict=True):
            sizes[letter] = max(n, sizes.get(letter, 0))
    target = ""
    for letter, n in zip(wanted, operands[i].shape, strict=True):
        if letter in target:
            fresh = next(unused)
            sources.append((letter + fresh, np.eye(n, dtype=g.dtype)))
            letter = fresh
        elif sizes.get(letter, 1) != n or letter not in sizes:  # or its axis has size 1 everywhere else
            sources.append((letter, np.ones(n, g.dtype)))
        target += letter
    return einsum(f"{','.join(term for term, _ in sources)}->{target}", *(x for _, x in sources))


def refuse_einsum(error: Exception, *inputs: Any) -> Exception | None:
    *operands, subscripts = inputs
    shapes = ", ".join(str(np.shape(x)) for x in operands)
    return ShapeError(f"einsum: {subscripts!r} does not fit shapes {shapes}: {error}")


_einsum = op("einsum", einsum_forward, (einsum_rule,), arity=None, refuse=refuse_einsum,
             spelling="np.einsum({1}, *{0})", symbol="einsum {0}",
             about="Sums of products, as the subscripts say.",
             samples=((Shape(2, 3), Shape(3, 4), "ij,jk->ik"), (Shape(3, 3), "ii->i"), (Shape(3, 3), "ii->"), (Shape(2, 3), "ij->j"),
                      (Shape(2, 3), Shape(2, 3), "ij,ij->"), (Shape(3), Shape(2), "i,j->ij"), (Shape(2, 2, 3), Shape(3, 2), "aij,ji->ai"),
                      (Shape(2), Shape(2, 3), Shape(3), "i,ij,j->"), (Shape(2, 3, 4), "abc->ca"), (Shape(2, 1, 4), Shape(3, 4), "abc,bc->abc")))  # fmt: skip


def einsum(subscripts: str, *operands: Any) -> Any:
    """`np.einsum` with its subscripts as text, implicit or explicit, '...' included."""
    if not isinstance(subscripts, str):
        raise DTypeError(f"einsum: subscripts come first, as text, got {type(subscripts).__name__}")
    terms, out = explicit(subscripts, [len(shape_of(x)) for x in operands])
    return _einsum(*operands, f"{','.join(terms)}->{out}")
