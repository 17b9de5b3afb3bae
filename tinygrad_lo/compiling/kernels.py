"""How the array dialect writes an op: what NumPy does quickest, into a buffer where it can.

A kernel writes a line and answers True, or answers False and leaves it to the op's own forward. The
numbers behind the choices: maximum with an array of zeros takes a third of the time of a scalar zero,
a product with ones sums short rows and columns four times quicker than np.sum, argmax and a gather
find the maximum of rows three times quicker than np.max.
"""

from __future__ import annotations

import math
from types import EllipsisType, NoneType
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from tinygrad_lo.compiling.arrays import ArrayCode, Kernel
from tinygrad_lo.engine.graph import Op
from tinygrad_lo.engine.machine.sums import TALL
from tinygrad_lo.engine.ops.reductions import row_starts
from tinygrad_lo.program.value import Value, named_after_op

SHORT = 1024  # up to so many terms a product with ones sums as exactly as anybody needs
KEYWORD_OUT = (np.maximum, np.minimum)  # positional out is deprecated there
SHORTER = {2.0: np.square, 0.5: np.sqrt, -1.0: np.reciprocal}  # powers
KERNELS: dict[Op, Kernel] = {}
kernel = named_after_op(KERNELS)


def write_quickest(code: ArrayCode, line: Value) -> bool:
    """Write a line as its kernel does, if it has one that fits."""
    write = KERNELS.get(line.op, elementwise if line.op.ufunc is not None else None)
    if write is None or not (line.shape or write is write_sum):
        return False
    if line.args[0].kind == "constant" and write not in (elementwise, write_full, write_put):
        return False
    return not (write in INTO_BUFFERS and line in code.outputs) and write(code, line)


def elementwise(code: ArrayCode, line: Value) -> bool:
    args = list(line.args)
    name, function = line.op.name, line.op.ufunc
    beside = np.result_type(*(arg.dtype for arg in args if arg.kind != "constant"))
    if beside.kind not in ("fb" if line.dtype.kind == "b" else "f"):
        return False
    if function is np.power and args[1].kind == "constant" and args[0].dtype == line.dtype:
        function = SHORTER.get(float(args[1].ref), function)
        name, args = function.__name__, args[: function.nin]
    texts = [mask_as_numbers(code, x, line) if is_mask(x, line) else code.operand(x, beside) for x in args]
    return write_into(code, line, code.names.name(function, name), texts, keyword=function in KEYWORD_OUT)


def is_mask(arg: Value, line: Value) -> bool:
    """Whether these are booleans that count as numbers."""
    booleans = arg.dtype == bool and line.dtype != bool
    return booleans and arg.shape == line.shape and arg.kind == "line"


def mask_as_numbers(code: ArrayCode, mask: Value, like: Value) -> str:
    """A mask as numbers: multiplying by booleans takes twice as long as this and multiplying by floats."""
    scratch = code.once(f"empty({mask.shape}, {str(like.dtype)!r})")
    copy_into(code, scratch, code.texts[mask])
    return scratch


def copy_into(code: ArrayCode, *texts: str) -> bool:
    code.run(f"{code.names.function(np.copyto)}({', '.join(texts)})")
    return True


def write_into(code: ArrayCode, line: Value, function: str, texts: list[str], keyword: bool = False) -> bool:
    """Call a function that takes `out` last, into a buffer or not."""
    out = code.out(line)
    if out is None:
        code.assign(line, f"{function}({', '.join(texts)})")
    else:
        code.run(f"{function}({', '.join(texts)}, {'out=' * keyword}{out})")
    return True


@kernel
def write_relu(code: ArrayCode, line: Value) -> bool:
    (x,) = line.args
    if x.dtype != line.dtype:
        return False
    zeros = code.once(f"np.zeros({line.shape}, {str(line.dtype)!r})")
    return write_into(code, line, code.names.function(np.maximum), [code.texts[x], zeros], keyword=True)


@kernel
def write_softplus(code: ArrayCode, line: Value) -> bool:
    (x,) = line.args
    if x.dtype != line.dtype:
        return False
    zero = code.names.name(np.zeros((), line.dtype), "zero")
    return write_into(code, line, code.names.function(np.logaddexp), [code.texts[x], zero])


@kernel
def write_matmul(code: ArrayCode, line: Value) -> bool:
    a, b = line.args
    if line.dtype.kind != "f" or not a.dtype == b.dtype == line.dtype:
        return False
    plain = 1 <= len(a.shape) <= 2 and len(b.shape) <= 2
    function = "dot" if plain else code.names.function(np.matmul)
    return write_into(code, line, function, [code.text_of(a), code.text_of(b)])


@kernel
def write_sum(code: ArrayCode, line: Value) -> bool:
    x, axis, keepdims = line.args
    if not x.shape or x.dtype != line.dtype or x.dtype.char not in "fd":
        return False
    rank = len(x.shape)
    axes = tuple(sorted(normalize_axis_tuple(range(rank) if axis is None else axis, rank)))
    if by_dot(code, line, axes):
        return True
    if x.dtype.itemsize < 8 and math.prod(x.shape) > TALL:
        return False  # the op sums it in blocks
    reduce = code.names.name(np.add.reduce, "total")
    out = code.out(line)
    call = f"{reduce}({code.texts[x]}, {None if axis is None else axes}, None, {out}, {keepdims})"
    if out is None:
        code.assign(line, call)
    else:
        code.run(call)
    return True


def by_dot(code: ArrayCode, line: Value, axes: tuple[int, ...]) -> bool:
    """A sum of few terms as a product with ones: of all elements, or of the rows or columns of a matrix."""
    x, _, keepdims = line.args
    text, size = code.texts[x], math.prod(x.shape)
    flat = x in code.buffers or len(x.shape) == 1
    if len(axes) == len(x.shape) and not keepdims and flat and size <= SHORT:
        code.assign(line, f"dot({code.flat(x)}, {row_of_ones(code, size, x)})")
        return True
    if (len(x.shape), len(axes)) != (2, 1) or x.shape[axes[0]] > SHORT:
        return False
    n = x.shape[axes[0]]
    ones = row_of_ones(code, ((1, n), (n, 1))[axes[0]] if keepdims else n, x)
    return write_into(code, line, "dot", [text, ones] if axes[0] else [ones, text])


def row_of_ones(code: ArrayCode, shape: Any, like: Value) -> str:
    return code.once(f"np.ones({shape}, {str(like.dtype)!r})")


@kernel
def write_max(code: ArrayCode, line: Value) -> bool:
    x, axis, keepdims = line.args
    if len(x.shape) != 2 or axis not in (1, -1) or not keepdims or x not in code.buffers:
        return False
    places = code.once(f"empty({x.shape[0]}, 'intp')")
    starts = code.names.name(row_starts(*x.shape), "starts")
    out = code.buffer(line)
    code.run(f"{code.texts[x]}.argmax(1, {places})")
    code.run(f"{code.names.function(np.add)}({places}, {starts}, {places})")
    code.run(f"{code.flat(x)}.take({places}, None, {code.once(f'{out}.reshape(-1)')}, 'clip')")
    return True


def label_places(code: ArrayCode, labels: Value, columns: int) -> str | None:
    """`indexing.places` into a buffer, once for the pick and for the put: where each row's label lies."""
    if labels.dtype.kind not in "iu" or labels.dtype == np.uint64 or len(labels.shape) != 1:
        return None
    key = ("places", labels, columns)
    if key not in code.fixed:
        where = code.once(f"empty({labels.shape}, 'intp')", key)
        starts = code.names.name(row_starts(labels.shape[0], columns), "starts")
        code.run(f"{code.names.function(np.add)}({starts}, {code.texts[labels]}, {where})")
    return code.fixed[key]


@kernel
def write_pick(code: ArrayCode, line: Value) -> bool:
    scores, labels = line.args
    where = label_places(code, labels, scores.shape[-1]) if len(scores.shape) == 2 else None
    if where is None:
        return False
    out = code.buffer(line)
    code.run(f"{code.flat(scores)}.take({where}, None, {code.once(f'{out}.reshape(-1)')}, 'clip')")
    return True


@kernel
def write_put(code: ArrayCode, line: Value) -> bool:
    value, labels, classes = line.args
    where = label_places(code, labels, classes.ref)
    if where is None or len(line.shape) != 2:
        return False
    text = code.operand(value, line.dtype) if value.kind == "constant" else code.flat(value)
    out = code.buffer(line)
    code.run(f"{out}.fill(0)")
    code.run(f"{code.once(f'{out}.reshape(-1)')}[{where}] = {text}")
    return True


@kernel
def write_full(code: ArrayCode, line: Value) -> bool:
    value, shape = line.args
    if value.kind != "constant":
        return copy_into(code, code.buffer(line), code.texts[value])
    number = code.names.name(np.array(value.ref, line.dtype), "k")
    code.texts[line] = code.once(f"np.full({shape}, {number})")
    return True


@kernel
def write_astype(code: ArrayCode, line: Value) -> bool:
    if line.dtype.kind not in "fb":
        return False
    return copy_into(code, code.buffer(line), code.texts[line.args[0]], "'unsafe'")


@kernel
def write_transpose(code: ArrayCode, line: Value) -> bool:
    x, axes = line.args
    return code.view(line, f"{code.texts[x]}.T" if axes is None else f"{code.texts[x]}.transpose({axes})")


@kernel
def write_reshape(code: ArrayCode, line: Value) -> bool:
    x, shape = line.args
    if not x.shape:
        return False
    if x in code.buffers:  # rows that follow each other: a view, which stays one
        return code.view(line, f"{code.texts[x]}.reshape({shape})")
    if code.static.get(x, False) and line not in code.outputs:
        # Of a view that is made once, a flat form may be a copy, which must be made at each call.
        out = code.buffer(line)
        return copy_into(code, code.once(f"{out}.reshape({x.shape})"), code.texts[x])
    code.assign(line, f"{code.texts[x]}.reshape({shape})")
    return True


@kernel
def write_getitem(code: ArrayCode, line: Value) -> bool:
    x, index = line.args
    return basic(index) and code.view(line, f"{code.texts[x]}[{code.constant(index)}]")


def basic(index: Any) -> bool:
    """Whether an index makes a view."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(type(part) in (int, slice, NoneType, EllipsisType) for part in parts)


@kernel
def write_broadcast_to(code: ArrayCode, line: Value) -> bool:
    x, shape = line.args
    return code.view(line, f"{code.names.function(np.broadcast_to)}({code.texts[x]}, {shape})")


@kernel
def write_windows(code: ArrayCode, line: Value) -> bool:
    texts = ", ".join(map(code.text_of, line.args))
    return code.view(line, f"{code.names.name(line.op.forward, line.op.name)}({texts})")


@kernel
def write_scatter(code: ArrayCode, line: Value) -> bool:
    g, _, index = line.args
    if not basic(index):
        return False
    out = code.buffer(line)
    code.run(f"{out}.fill(0)")
    code.run(f"{out}[{code.constant(index)}] = {code.texts[g]}")
    return True


# These write into a buffer in any case, and so never what leaves.
INTO_BUFFERS = (write_max, write_pick, write_put, write_full, write_astype, write_scatter)
