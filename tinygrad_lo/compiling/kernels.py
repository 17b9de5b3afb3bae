"""How the array dialect writes an op: what NumPy does quickest, into a buffer where it can.

A kernel writes a line and answers True, or answers False and leaves it to the op's own forward. The
numbers behind the choices: maximum with an array of zeros takes a third of the time of a scalar zero,
a product with ones sums short rows and columns four times quicker than np.sum, argmax and a gather
find the maximum of rows three times quicker than np.max.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_lo.compiling.arrays import ArrayCode, Kernel
from tinygrad_lo.engine.machine.sums import TALL
from tinygrad_lo.engine.ops.reductions import row_starts
from tinygrad_lo.explaining.program import Program
from tinygrad_lo.explaining.value import UFUNCS, Value

SHORT = 1024  # up to so many terms a product with ones sums as exactly as anybody needs


KEYWORD_OUT = frozenset({"maximum", "minimum"})  # positional out is deprecated there


def elementwise(code: ArrayCode, line: Value) -> bool:
    name = line.op.name
    if not line.shape:
        return False
    args = list(line.args)
    if name == "power":
        shorter = {2.0: "square", 0.5: "sqrt", -1.0: "reciprocal"}
        if args[1].kind == "constant" and args[0].dtype == line.dtype:
            name = shorter.get(float(args[1].ref), name)
            args = args[:1] if name != "power" else args
    beside = np.result_type(*(arg.dtype for arg in args if arg.kind != "constant"))
    if beside.kind not in "fb" or (beside.kind == "b" and line.dtype.kind != "b"):
        return False
    texts = []
    for arg in args:
        if arg.dtype == bool and line.dtype != bool and arg.shape == line.shape and arg.kind == "line":
            texts.append(widened(code, arg, line))
        else:
            texts.append(code.operand(arg, beside))
    write(code, line, code.names.name(UFUNCS[name], name), texts, keyword=name in KEYWORD_OUT)
    return True


def widened(code: ArrayCode, mask: Value, like: Value) -> str:
    """A mask as numbers: multiplying by booleans takes twice as long as this and multiplying by floats."""
    scratch = code.once(f"empty({mask.shape}, {str(like.dtype)!r})")
    code.run(f"{code.names.name(np.copyto, 'copyto')}({scratch}, {code.texts[mask]})")
    return scratch


def write(code: ArrayCode, line: Value, function: str, texts: list[str], keyword: bool = False) -> None:
    """Call a function that takes `out` last, into a buffer or not."""
    out = code.out(line)
    if out is None:
        code.assign(line, f"{function}({', '.join(texts)})")
    else:
        code.run(f"{function}({', '.join(texts)}, {'out=' * keyword}{out})")


def relu(code: ArrayCode, line: Value) -> bool:
    if not line.shape or line.args[0].dtype != line.dtype:
        return False
    zeros = code.once(f"np.zeros({line.shape}, {str(line.dtype)!r})")
    write(code, line, code.names.name(np.maximum, "maximum"), [code.texts[line.args[0]], zeros], keyword=True)
    return True


def softplus(code: ArrayCode, line: Value) -> bool:
    (x,) = line.args
    if not line.shape or x.dtype != line.dtype:
        return False
    zero = code.names.name(np.zeros((), line.dtype), "zero")
    write(code, line, code.names.name(np.logaddexp, "logaddexp"), [code.texts[x], zero])
    return True


def matmul(code: ArrayCode, line: Value) -> bool:
    a, b = line.args
    if a.dtype != line.dtype or b.dtype != line.dtype or line.dtype.kind != "f" or not line.shape:
        return False
    plain = 1 <= len(a.shape) <= 2 and len(b.shape) <= 2
    function = "dot" if plain else code.names.name(np.matmul, "matmul")
    write(code, line, function, [code.text_of(a), code.text_of(b)])
    return True


def total(code: ArrayCode, line: Value) -> bool:
    x, axis, keepdims = line.args
    if x.kind == "constant" or not x.shape or x.dtype != line.dtype or x.dtype.char not in "fd":
        return False
    rank = len(x.shape)
    axes = range(rank) if axis is None else (axis,) if isinstance(axis, int) else axis
    axes = tuple(sorted(i % rank for i in axes))
    if by_dot(code, line, axes):
        return True
    size = math.prod(x.shape)
    if x.dtype.itemsize < 8 and size > TALL:
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
    text = code.texts[x]
    if axes == tuple(range(len(x.shape))) and not keepdims and (x in code.buffers or len(x.shape) == 1):
        size = math.prod(x.shape)
        if size <= SHORT:
            code.assign(line, f"dot({code.flat(x)}, {ones(code, size, x)})")
            return True
    if len(x.shape) != 2 or len(axes) != 1 or x.shape[axes[0]] > SHORT:
        return False
    n = x.shape[axes[0]]
    if axes == (0,):
        write(code, line, "dot", [ones(code, (1, n) if keepdims else n, x), text])
    else:
        write(code, line, "dot", [text, ones(code, (n, 1) if keepdims else n, x)])
    return True


def ones(code: ArrayCode, shape: Any, like: Value) -> str:
    return code.once(f"np.ones({shape}, {str(like.dtype)!r})")


def largest(code: ArrayCode, line: Value) -> bool:
    x, axis, keepdims = line.args
    if (
        len(x.shape) != 2
        or axis not in (1, -1)
        or not keepdims
        or x not in code.buffers
        or line in code.outputs
    ):
        return False
    rows, columns = x.shape
    places = code.once(f"empty({rows}, 'intp')")
    starts = code.names.name(row_starts(rows, columns), "starts")
    out = code.buffer(line)
    code.run(f"{code.texts[x]}.argmax(1, {places})")
    code.run(f"{code.names.name(np.add, 'add')}({places}, {starts}, {places})")
    code.run(f"{code.flat(x)}.take({places}, None, {code.once(f'{out}.reshape(-1)')}, 'clip')")
    return True


def label_places(code: ArrayCode, labels: Value, columns: int) -> str | None:
    """`indexing.places` into a buffer, once for the pick and for the put: where each row's label lies."""
    if labels.dtype.kind not in "iu" or labels.dtype == np.uint64 or len(labels.shape) != 1:
        return None
    key = ("places", labels, columns)
    if key not in code.fixed:
        name = f"c{len(code.fixed)}"
        code.fixed[key] = name
        code.made.append(f"{name} = empty({labels.shape}, 'intp')")
        starts = code.names.name(row_starts(labels.shape[0], columns), "starts")
        code.run(f"{code.names.name(np.add, 'add')}({starts}, {code.texts[labels]}, {name})")
    return code.fixed[key]


def pick(code: ArrayCode, line: Value) -> bool:
    scores, labels = line.args
    where = label_places(code, labels, scores.shape[-1]) if len(scores.shape) == 2 else None
    if where is None or line in code.outputs:
        return False
    out = code.buffer(line)
    code.run(f"{code.flat(scores)}.take({where}, None, {code.once(f'{out}.reshape(-1)')}, 'clip')")
    return True


def put(code: ArrayCode, line: Value) -> bool:
    value, labels, classes = line.args
    where = label_places(code, labels, classes.ref)
    if where is None or line in code.outputs or len(line.shape) != 2:
        return False
    text = code.operand(value, line.dtype) if value.kind == "constant" else code.flat(value)
    out = code.buffer(line)
    code.run(f"{out}.fill(0)")
    code.run(f"{code.once(f'{out}.reshape(-1)')}[{where}] = {text}")
    return True


def full(code: ArrayCode, line: Value) -> bool:
    value, shape = line.args
    if not shape or line in code.outputs:
        return False
    if value.kind == "constant":
        number = np.array(value.ref, line.dtype)
        code.texts[line] = code.once(f"np.full({shape}, {code.names.name(number, 'k')})")
        return True
    out = code.buffer(line)
    code.run(f"{code.names.name(np.copyto, 'copyto')}({out}, {code.texts[value]})")
    return True


def astype(code: ArrayCode, line: Value) -> bool:
    x, _ = line.args
    if not line.shape or line in code.outputs or x.kind == "constant" or line.dtype.kind not in "fb":
        return False
    out = code.buffer(line)
    code.run(f"{code.names.name(np.copyto, 'copyto')}({out}, {code.texts[x]}, 'unsafe')")
    return True


def transpose(code: ArrayCode, line: Value) -> bool:
    x, axes = line.args
    if not line.shape or x.kind == "constant":
        return False
    code.view(line, f"{code.texts[x]}.T" if axes is None else f"{code.texts[x]}.transpose({axes})")
    return True


def reshape(code: ArrayCode, line: Value) -> bool:
    x, shape = line.args
    if not line.shape or x.kind == "constant" or not x.shape:
        return False
    if x in code.buffers:  # rows that follow each other: a view, which stays one
        code.view(line, f"{code.texts[x]}.reshape({shape})")
        return True
    if not code.static.get(x, False) or line in code.outputs:
        code.assign(line, f"{code.texts[x]}.reshape({shape})")
        return True
    # Of a view that is made once, a flat form may be a copy, which must be made at each call.
    out = code.buffer(line)
    code.run(
        f"{code.names.name(np.copyto, 'copyto')}({code.once(f'{out}.reshape({x.shape})')}, {code.texts[x]})"
    )
    return True


def getitem(code: ArrayCode, line: Value) -> bool:
    x, index = line.args
    if not line.shape or x.kind == "constant" or not basic(index):
        return False
    code.view(line, f"{code.texts[x]}[{code.constant(index)}]")
    return True


def basic(index: Any) -> bool:
    """Whether an index makes a view."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        part is None or part is Ellipsis or type(part) is int or isinstance(part, slice) for part in parts
    )


def broadcast_to(code: ArrayCode, line: Value) -> bool:
    x, shape = line.args
    if x.kind == "constant" or not shape:
        return False
    code.view(line, f"{code.names.name(np.broadcast_to, 'broadcast_to')}({code.texts[x]}, {shape})")
    return True


def windows(code: ArrayCode, line: Value) -> bool:
    options = ", ".join(map(code.constant, line.args[1:]))
    code.view(line, f"{code.names.name(line.op.forward, 'windows')}({code.texts[line.args[0]]}, {options})")
    return True


def scatter(code: ArrayCode, line: Value) -> bool:
    g, _, index = line.args
    if not line.shape or line in code.outputs or g.kind == "constant" or not basic(index):
        return False
    out = code.buffer(line)
    code.run(f"{out}.fill(0)")
    code.run(f"{out}[{code.constant(index)}] = {code.texts[g]}")
    return True


KERNELS: dict[str, Kernel] = {
    **dict.fromkeys(UFUNCS, elementwise),
    "relu": relu, "softplus": softplus, "matmul": matmul, "sum": total, "max": largest, "pick": pick,
    "put": put, "full": full, "astype": astype, "transpose": transpose, "reshape": reshape,
    "getitem": getitem, "broadcast_to": broadcast_to, "windows": windows, "scatter": scatter,
}  # fmt: skip


def array_code(program: Program) -> ArrayCode:
    """The program as NumPy text with buffers."""
    return ArrayCode(program, KERNELS)
