"""The table, part 6: products of matrices and tensors; diagonals, triangles, running sums; inverses."""

from __future__ import annotations

import math
import string
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Array, Call
from tinygrad_lo.engine.machine.arguments import foreign, shape_of
from tinygrad_lo.engine.machine.axes import check_axes, ints, one_axis, one_int, refuse_axis
from tinygrad_lo.engine.machine.sums import total
from tinygrad_lo.engine.ops.arithmetic import multiply
from tinygrad_lo.engine.ops.elementwise import in_float32, where
from tinygrad_lo.engine.ops.indexing import flip, getitem, scatter
from tinygrad_lo.engine.ops.reductions import sum
from tinygrad_lo.engine.ops.registry import Shape, composed, op
from tinygrad_lo.engine.ops.shapes import axis_or_flat, moveaxis, reshape
from tinygrad_lo.errors import DomainError, DTypeError, ShapeError, UnsupportedError
from tinygrad_lo.options import is_whole


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
        return matmul_forward(np.swapaxes(a, -1, -2), g[..., None])[..., 0]
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
            spelling="{0} @ {1}", symbol="@", fresh=True,
            about="Matrix product, for all ranks that NumPy takes; leading axes broadcast.",
            samples=((Shape(2, 3), Shape(3, 4)), (Shape(3), Shape(3)), (Shape(2, 3), Shape(3)), (Shape(3), Shape(3, 2)),
                     (Shape(2, 3, 4), Shape(2, 4, 2)), (Shape(2, 3, 4), Shape(4, 2)), (Shape(3, 4), Shape(2, 4, 2)),
                     (Shape(2, 1, 3, 4), Shape(3, 4, 2)), (Shape(2, 3, 4), Shape(4)), (Shape(4), Shape(2, 4, 3)), (Shape(0, 3), Shape(3, 2))),
            rules=(matmul_by_left,
                   matmul_by_right))  # fmt: skip


@composed("np.dot({0}, {1})", (Shape(3), Shape(3)), (Shape(2, 3), Shape(3, 4)), (Shape(2, 3), Shape(3)),
          (Shape(), Shape(2, 2)), (Shape(2, 3), Shape(2, 3, 4)))  # fmt: skip
def dot(a: Any, b: Any) -> Any:
    """`np.dot`: inner product of vectors, product of matrices, * for numbers."""
    m, n = shape_of(a), shape_of(b)
    if not m or not n:
        return multiply(a, b)
    return matmul(a, b) if len(n) <= 2 else tensordot(a, b, (-1, -2))


def once(letters: str) -> str:
    """The letters that come once, in the alphabet's order: what einsum keeps by itself."""
    return "".join(sorted(letter for letter in letters if letters.count(letter) == 1))


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
    full = [spelled_out(t, n, dots, subscripts) for t, n in zip(terms, ndims, strict=True)]
    if not arrow:
        return full, dots + once("".join(full).translate(dict.fromkeys(map(ord, dots))))
    if dots and "..." not in right:
        raise ShapeError(f"einsum: {subscripts!r} has axes in '...' that its output leaves out")
    return full, right.replace("...", dots)


def spelled_out(term: str, ndim: int, dots: str, subscripts: str) -> str:
    """One operand's subscripts with letters for '...'."""
    width = ndim - len(term) + 3
    full = term.replace("...", dots[len(dots) - width :] if width > 0 else "")
    if len(full) != ndim or "." in full:
        raise ShapeError(f"einsum: {term!r} in {subscripts!r} does not fit an operand with {ndim} axes")
    return full


def einsum_forward(*inputs: Any) -> Array:
    *operands, subscripts = inputs
    left, _, out = subscripts.partition("->")
    terms = left.split(",")
    for k, (term, x) in enumerate(zip(terms, operands, strict=True)):
        # A letter that nobody else has is summed first, and by `total`: einsum adds float32 naively.
        axes = tuple(i for i, c in enumerate(term) if subscripts.count(c) == 1 and c not in out)
        if axes and not foreign(x):
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
    sources = [(out, g)] + [(t, x) for k, (t, x) in enumerate(zip(terms, operands, strict=True)) if k != i]
    pairs = [pair for term, x in sources for pair in zip(term, x.shape, strict=True)]
    sizes = dict(sorted(pairs))  # the largest of a letter's sizes comes last, and stays
    target = ""
    for letter, n in zip(terms[i], operands[i].shape, strict=True):
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


_einsum = op("einsum", einsum_forward, (einsum_rule,), arity=None, refuse=refuse_einsum, composite=True,
             spelling="np.einsum({1}, *{0})", symbol="einsum {0}", kind="mixes",
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


@composed("np.outer({0}, {1})", (Shape(3), Shape(4)), (Shape(2, 2), Shape(3)), (Shape(), Shape(2)), (Shape(0), Shape(2)))  # fmt: skip
def outer(a: Any, b: Any) -> Any:
    """Every element of a times every element of b, both flattened: a matrix."""
    m, n = math.prod(shape_of(a)), math.prod(shape_of(b))
    # As a product of a column and a row, whose rules are products with a vector: no m x n temporaries.
    return matmul(reshape(a, (m, 1)), reshape(b, (1, n)))


@composed("np.tensordot({0}, {1}, {2})", (Shape(2, 3, 4), Shape(3, 4, 2), 2), (Shape(2, 3), Shape(3, 2), 1), (Shape(2), Shape(3), 0),
          (Shape(2, 3), Shape(4, 2), (0, 1)), (Shape(2, 3, 4), Shape(4, 5, 2), ((0, -1), (2, 0))), (Shape(2, 3), Shape(2, 3), ((), ())))  # fmt: skip
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """Products summed over the last axes of a and the first of b, or over the given pairs of axes."""
    m, n = shape_of(a), shape_of(b)
    left, right = paired_axes(axes, m, n)
    letters = iter(string.ascii_letters)
    if len(m) + len(n) - len(left) > len(string.ascii_letters):
        raise ShapeError(f"tensordot: {m} and {n} have more axes than einsum has letters")
    of_a = [next(letters) for _ in m]
    of_b = [of_a[left[right.index(k)]] if k in right else next(letters) for k in range(len(n))]
    out = [c for i, c in enumerate(of_a) if i not in left] + [c for k, c in enumerate(of_b) if k not in right]
    return einsum(f"{''.join(of_a)},{''.join(of_b)}->{''.join(out)}", a, b)


def paired_axes(axes: Any, m: tuple[int, ...], n: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """The axes of tensordot as two lists of ints from 0 up, whose sizes agree pair by pair."""
    if is_whole(axes):
        most = min(len(m), len(n))
        if not 0 <= axes <= most:
            raise ShapeError(f"tensordot: axes={axes} must be between 0 and {most} for shapes {m} and {n}")
        left, right = tuple(range(len(m) - axes, len(m))), tuple(range(axes))
    elif isinstance(axes, (tuple, list)) and len(axes) == 2:
        left, right = (ints("tensordot", "axes", part) for part in axes)
    else:
        raise DTypeError(f"tensordot: axes must be an int, or two ints or lists of ints, got {axes!r}")
    check_axes("tensordot", len(m), left)
    check_axes("tensordot", len(n), right)
    if len(left) != len(right):
        counts = f"{len(left)} axes of a, but {len(right)} of b"
        raise ShapeError(f"tensordot: {counts}; every axis needs a partner")
    for i, k in zip(left, right, strict=True):
        if m[i] != n[k]:  # also a size of 1, which einsum would stretch
            sizes = f"axis {i} of a has size {m[i]}, axis {k} of b has {n[k]}"
            raise ShapeError(f"tensordot: {m} and {n}: {sizes}")
    return [i % len(m) for i in left], [k % len(n) for k in right]


_cumsum: Callable[..., Any] = op("cumsum", lambda x, axis: np.cumsum(x, axis=axis), options=True, refuse=refuse_axis("cumsum"),
             spelling="np.cumsum({0}, {1})", symbol="cumsum {0}", fresh=True, kind="mixes",
             about="The sums of the first 1, 2, 3, ... elements along an axis.",
             samples=((Shape(4), 0), (Shape(2, 3), 1), (Shape(3, 2), 0), (Shape(2, 3, 2), 1), (Shape(0, 3), 0)),
             # An element is in its own sum and in all later ones, so the gradient runs from the end.
             rules=(lambda g, y, x, axis: flip(_cumsum(flip(g, axis), axis), axis),))  # fmt: skip


@in_float32
def cumsum(x: Any, axis: Any = None) -> Any:
    """`np.cumsum`; axis=None flattens first."""
    return _cumsum(*axis_or_flat("cumsum", x, axis))


def later(x: Array, by: int, filler: Array) -> Array:
    """The elements that come so many places later in each row; beyond its end, the filler."""
    return np.concatenate([x[..., by:], filler[..., :by]], axis=-1)


def cumprod_rule(g: Array, y: Array, x: Array, axis: int) -> Array:
    """What an element multiplies: the product before it, times h[i] = g[i] + x[i+1] h[i+1]. No division by zeros.

    The recurrence is a running sum of pairs (factor, h), made over 1, 2, 4, ... places at once.
    """
    g, y, x = (np.moveaxis(part, axis, -1) for part in (g, y, x))
    zeros, n = np.zeros_like(y) if foreign(y) else np.zeros(y.shape, y.dtype), x.shape[-1]
    factor, step = later(x, 1, zeros), 1
    while step < n:
        g = g + factor * later(g, step, zeros)
        factor = factor * later(factor, step, zeros)
        step *= 2
    before = np.concatenate([zeros[..., :1] + 1.0, y[..., :-1]], axis=-1)
    return np.moveaxis(before * g, -1, axis)


_cumprod = op("cumprod", lambda x, axis: np.cumprod(x, axis=axis), (cumprod_rule,), options=True, refuse=refuse_axis("cumprod"),
              spelling="np.cumprod({0}, {1})", symbol="cumprod {0}", fresh=True, kind="mixes",
              about="The products of the first 1, 2, 3, ... elements along an axis. Exact where elements are 0.",
              samples=((Shape(2), 0), (Shape(5), 0), (Shape(2, 3), 1), (Shape(2, 3, 2), 1), (Shape(0, 3), 0), (Shape(0, 3), 1)))  # fmt: skip


@in_float32
def cumprod(x: Any, axis: Any = None) -> Any:
    """`np.cumprod`; axis=None flattens first."""
    return _cumprod(*axis_or_flat("cumprod", x, axis))


def triangle(who: str, m: Any, k: Any) -> Any:
    """Where a matrix of this size lies on or below its diagonal number k."""
    shape = shape_of(m)
    if len(shape) < 2:
        raise ShapeError(f"{who}: needs a matrix, 2 axes or more, got shape {shape}")
    return np.tri(shape[-2], shape[-1], one_int(who, "k", k), bool)


TRIANGLES = ((Shape(3, 3), 0), (Shape(2, 4), 1), (Shape(4, 2), -2), (Shape(2, 3, 3), 0), (Shape(0, 3), 0))


@composed("np.tril({0}, {1})", *TRIANGLES)
def tril(m: Any, k: int = 0) -> Any:
    """The matrix with zeros above its diagonal number k (0 the main one, 1 the one above it)."""
    return where(triangle("tril", m, k), m, 0)


@composed("np.triu({0}, {1})", *TRIANGLES)
def triu(m: Any, k: int = 0) -> Any:
    """The matrix with zeros below its diagonal number k (0 the main one, 1 the one above it)."""
    return where(triangle("triu", m, one_int("triu", "k", k) - 1), 0, m)


DIAGONALS = ((Shape(3, 3), 0, 0, 1), (Shape(2, 4), 1, 0, 1), (Shape(4, 2), -1, 1, 0), (Shape(2, 3, 4), 0, -1, 0), (Shape(2, 2), 5, 0, 1))  # fmt: skip


@composed("np.diagonal({0}, {1}, {2}, {3})", *DIAGONALS)
def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The diagonal of two axes as the last axis; offset 1 is the one above the main diagonal."""
    return diagonal_of("diagonal", a, offset, axis1, axis2)


def diagonal_of(who: str, a: Any, offset: Any, axis1: Any, axis2: Any) -> Any:
    shape = shape_of(a)
    if len(shape) < 2:
        raise ShapeError(f"{who}: needs a matrix, 2 axes or more, got shape {shape}")
    axes = one_axis(who, axis1, a), one_axis(who, axis2, a)
    if axes[0] == axes[1]:
        raise ShapeError(f"{who}: axis1={axis1} and axis2={axis2} are the same axis of shape {shape}")
    k = one_int(who, "offset", offset)
    rows, columns = shape[axes[0]], shape[axes[1]]
    above, below = max(k, 0), max(-k, 0)
    i = np.arange(max(0, min(rows - below, columns - above)))
    if axes != (len(shape) - 2, len(shape) - 1):
        a = moveaxis(a, axes, (-2, -1))
    return getitem(a, (..., i + below, i + above))


@composed("np.diag({0}, {1})", (Shape(3), 0), (Shape(2), 1), (Shape(2), -2), (Shape(0), 1), (Shape(2, 3), 1), (Shape(3, 3), 0))  # fmt: skip
def diag(v: Any, k: int = 0) -> Any:
    """A vector as the diagonal number k of a matrix of zeros; of a matrix, that diagonal."""
    shape = shape_of(v)
    k = one_int("diag", "k", k)
    if len(shape) == 2:
        return diagonal_of("diag", v, k, 0, 1)
    if len(shape) != 1:
        raise ShapeError(f"diag: needs a vector or a matrix, got shape {shape}; see np.diagonal")
    n = shape[0] + abs(k)
    start = k if k > 0 else -k * n
    # From one diagonal element to the next are n + 1 steps through the rows of the matrix.
    return reshape(scatter(v, (n * n,), slice(start, start + shape[0] * (n + 1), n + 1)), (n, n))


@composed("np.trace({0}, {1}, {2}, {3})", *DIAGONALS)
def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The sum of a diagonal."""
    return sum(diagonal_of("trace", a, offset, axis1, axis2), -1)


def flipped(x: Array) -> Array:
    """The last two axes exchanged: the transpose of every matrix."""
    return np.swapaxes(x, -1, -2)


def refuse_matrix(error: Exception, *inputs: Array) -> Exception | None:
    shapes = " and ".join(str(np.shape(x)) for x in inputs)
    if "Singular" in str(error):
        return DomainError(f"np.linalg: a matrix is singular and has no inverse: shape {shapes}")
    return ShapeError(f"np.linalg: expected square matrices, and right sides that fit them, got {shapes}")


def lapack(f: Callable[..., Array]) -> Callable[..., Array]:
    """A function of np.linalg on arrays in memory: of lazy ones, NumPy would compute some."""

    def run(*arrays: Array) -> Array:
        for x in arrays:
            if foreign(x):
                raise UnsupportedError(f"np.linalg: a lazy array of shape {x.shape}; pass x.compute()")
        return f(*arrays)

    return run


def solve_by_right(g: Array, y: Array, a: Array, b: Array) -> Array:
    return solve(flipped(a), g) if b.ndim > 1 else solve(flipped(a), g[..., None])[..., 0]


def solve_by_left(g: Array, y: Array, a: Array, b: Array) -> Array:
    h = solve_by_right(g, y, a, b)
    return -(h @ flipped(y)) if b.ndim > 1 else -(h[..., None] * y[..., None, :])


# fmt: off
SQUARE: dict[str, Any] = {"refuse": refuse_matrix, "fresh": True, "kind": "mixes", "samples": ((Shape(2, 2),), (Shape(2, 3, 3),))}

inv = op("inv", lapack(np.linalg.inv), spelling="np.linalg.inv({0})", symbol="{0}⁻¹", about="The inverse matrix. To multiply by it, solve.", **SQUARE,
         rules=(lambda g, y, x: -(flipped(y) @ g @ flipped(y)),))
solve: Call = op("solve", lapack(np.linalg.solve), spelling="np.linalg.solve({0}, {1})", symbol="solve {0} · x = {1}", about="The x with a @ x = b.",
           rules=(solve_by_left, solve_by_right),
           **SQUARE | {"samples": ((Shape(2, 2), Shape(2)), (Shape(3, 3), Shape(3, 2)), (Shape(2, 2, 2), Shape(2)), (Shape(2, 2), Shape(2, 2, 1)))})
det = op("det", lapack(np.linalg.det), spelling="np.linalg.det({0})", symbol="det {0}", about="The determinant; of a singular matrix, without a gradient.", **SQUARE,
         rules=(lambda g, y, x: (g * y)[..., None, None] * flipped(inv(x)),))
log_det = op("log_det", lapack(lambda x: np.linalg.slogdet(x)[1]), spelling="np.linalg.slogdet({0})[1]", symbol="log |det {0}|", **SQUARE,
             about="The logarithm of the determinant's size.", rules=(lambda g, y, x: g[..., None, None] * flipped(inv(x)),))
det_sign = op("det_sign", lapack(lambda x: np.linalg.slogdet(x)[0]), (None,), spelling="np.linalg.slogdet({0})[0]", symbol="sign det {0}", **SQUARE,
              about="The sign of the determinant. No gradient: it is flat.")
# fmt: on


def slogdet(a: Any) -> Any:
    """`np.linalg.slogdet`: the sign and the logarithm of the size of the determinant."""
    return type(np.linalg.slogdet(np.eye(1)))(det_sign(a), log_det(a))
