"""Inputs for every entry of the table: made from what the entry says of itself."""

import numpy as np
import pytest

from tinygrad_lo.engine.graph import Op
from tinygrad_lo.engine.ops import COMPOSED, TABLE, Shape

UNARY = (Shape(), Shape(0), Shape(4), Shape(2, 3), "turned")
BINARY = (
    (Shape(), Shape()),
    (Shape(3), Shape()),
    (Shape(2, 1), Shape(1, 3)),
    (Shape(0, 3), Shape(1, 3)),
    ("turned", Shape(2)),
)
TERNARY = (
    (Shape(), Shape(), Shape()),
    (Shape(3), Shape(), Shape(3)),
    (Shape(2, 1), Shape(1, 3), Shape(2, 3)),
    (Shape(0, 3), Shape(1, 3), Shape()),
    (Shape(2), "turned", Shape(1)),
)


def cases(op: Op) -> list[tuple]:
    if op.samples:
        return list(op.samples)
    if op.arity == 1:
        return [(shape,) for shape in UNARY]
    return list(BINARY if op.arity == 2 else TERNARY)


def fill(case, domain, rng):
    """The case with arrays in place of shapes; "turned" is a transposed view with gaps."""
    domains = domain if isinstance(domain[0], tuple) else (domain,) * len(case)
    made = []
    for i, item in enumerate(case):
        low, high = domains[i] if i < len(domains) else domains[-1]
        if isinstance(item, str) and item == "turned":
            made.append(rng.uniform(low, high, (4, 6)).T[::2, ::2])
        elif isinstance(item, Shape):
            made.append(rng.uniform(low, high, item)[()])
        elif isinstance(item, list):
            made.append([rng.uniform(low, high, shape)[()] for shape in item])
        else:
            made.append(item)
    return made


def inputs_of(op: Op, case, rng):
    made = fill(case, op.domain, rng)
    if op.name == "where":
        made[0] = np.asarray(made[0]) > 0
    return made


def positions(case) -> list[int]:
    """Which inputs are arrays of numbers, to differentiate by."""
    return [
        i
        for i, item in enumerate(case)
        if isinstance(item, Shape) or (isinstance(item, str) and item == "turned")
    ]


# What the spellings use that NumPy does not have, written once more and differently.


def scatter(g, shape, index):
    out = np.zeros(shape, g.dtype)
    np.add.at(out, index, g)
    return out


def windows(x, size, stride, dilation):
    spread = tuple(d * (k - 1) + 1 for k, d in zip(size, dilation, strict=True))
    axes = tuple(range(x.ndim - len(size), x.ndim))
    view = np.lib.stride_tricks.sliding_window_view(x, spread, axes)
    lead = (slice(None),) * (x.ndim - len(size))
    every = tuple(slice(None, None, s) for s in stride)
    inside = tuple(slice(None, None, d) for d in dilation)
    return view[lead + every + inside]


def fold(g, shape, size, stride, dilation):
    numbers = np.arange(np.prod(shape)).reshape(shape)
    out = np.zeros(int(np.prod(shape)), g.dtype)
    np.add.at(out, windows(numbers, size, stride, dilation), g)
    return out.reshape(shape)


def unfold(x, size, stride, dilation):
    cells = np.moveaxis(windows(x, size, stride, dilation), (-2, -1), (2, 3))
    return cells.reshape(*cells.shape[:1], np.prod(cells.shape[1:4]), -1)


def gather(arrays, pattern):
    x, *indices = arrays
    return x[tuple(indices[part] if type(part).__name__ == "Slot" else part for part in pattern)]


def regather(arrays, option):
    (g, *indices), (shape, pattern) = arrays, option
    return scatter(g, shape, tuple(indices[p] if type(p).__name__ == "Slot" else p for p in pattern))


HELPERS = {"np": np, "gather": gather, "regather": regather, "scatter": scatter}
HELPERS |= {"windows": windows, "fold": fold, "unfold": unfold}


def spelled(entry, made, numpy=np):
    """The NumPy text of an op or a composed function on these inputs, by NumPy or what has its names."""
    names = {f"x{i}": value for i, value in enumerate(made)}
    if getattr(entry, "arity", 0) is None:
        parts = "(" + "".join(f"x{i}, " for i in range(len(made) - 1)) + ")"
        text = entry.spelling.format(parts, f"x{len(made) - 1}")
    else:
        text = entry.spelling.format(*names)
    return eval(text, HELPERS | names | {"np": numpy})


# Every op with a gradient, and every composed function, with each of their samples.
TABLE_CASES = [
    pytest.param(op, case, id=f"{op.name}-{i}")
    for op in TABLE.values()
    if op.differentiable
    for i, case in enumerate(cases(op))
]
COMPOSED_CASES = [
    pytest.param(entry, case, id=f"{entry.name}-{i}")
    for entry in COMPOSED.values()
    for i, case in enumerate(entry.samples)
]
