"""What may become a tensor: numbers, lists, arrays; and why anything else may not."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import float64, ndarray

from tinygrad_lo.engine.graph import Array, Node, modes
from tinygrad_lo.engine.naming import quoted, spelled
from tinygrad_lo.errors import DTypeError, GraphError, ShapeError

SCALARS = frozenset({float, int, bool, float64, np.float32})
NONE_HINT = {"=": "; write t is None", "≠": "; write t is not None"}  # by the symbol of what == and != call
REAL = frozenset("fiub")  # kinds of dtype that can take part: float, int, unsigned, bool


def as_data(value: Any, dtype: Any) -> Array:
    """What a tensor holds: an exact ndarray, a NumPy number, or an array of another library."""
    if isinstance(value, Node):
        if value.plain and modes.recording is not None:
            return modes.recording.stand_in(value, dtype)
        raise GraphError("cannot build a Tensor from a tensor: its graph would be lost; t.detach() says so")
    if isinstance(value, (bool, int, float, complex)) and not isinstance(value, np.generic):
        value = np.asarray(value)
    data: Array = numbers(value, "Tensor", "cannot build a Tensor from")
    if data is None:
        instead = "pass its .to_numpy()" if hasattr(value, "to_numpy") else "expected number, list or array"
        raise DTypeError(f"cannot build a Tensor from {type(value).__name__}; {instead}")
    if not isinstance(data, (np.generic, ndarray)):  # of another library
        return data if dtype is None else data.astype(dtype)
    if dtype is not None:
        wanted = np.dtype(dtype)
        if wanted.kind not in REAL:
            raise DTypeError(f"dtype {wanted} is not supported; use a float, int or bool type")
        data = data.astype(wanted, copy=False)
    return data if data.ndim else data[()]


def plain(value: Any, who: str, symbol: str = "") -> Array:
    """`value` as data that an op can compute with, or an error that says why it is none."""
    kind = type(value)
    if kind in SCALARS or (kind is ndarray and value.dtype.kind in REAL):
        return value
    data = numbers(value, who, f"{who}: cannot compute with")
    if data is None:
        hint = NONE_HINT.get(symbol, "") if value is None else ""
        raise DTypeError(f"{who}: operand must be number or Tensor (or an array), got {kind.__name__}{hint}")
    return data


def numbers(value: Any, who: str, problem: str) -> Array | None:
    """A number or array as it is, of a list or a subclass the plain array; None of anything else."""
    if isinstance(value, (list, tuple)):
        value = from_nested(value, who)
    elif isinstance(value, ndarray):
        refuse_odd_arrays(value, problem)
        value = np.asarray(value)
    elif not isinstance(value, (bool, int, float, np.generic)) and not foreign(value):
        return None
    dtype = getattr(value, "dtype", None)
    if dtype is not None and dtype.kind not in REAL:
        raise DTypeError(bad_dtype(value, who))
    return value


def fitting(t: Node, value: Any, what: str) -> Array:
    """A value to assign to .data or .grad of a tensor: an array of its shape and dtype."""
    if isinstance(value, Node):
        raise GraphError(f"{what} is an array, not a tensor; assign t.data or t.numpy()")
    data = as_data(value, t.value.dtype if isinstance(value, (int, float, list)) else None)
    who = quoted(t, "the tensor")
    if data.shape != t.value.shape:
        raise ShapeError(f"{what} shape {data.shape} != {t.value.shape} of {who}")
    if data.dtype != (wanted := t.value.dtype):
        cure = f"convert with .astype('{wanted}')"
        raise DTypeError(f"{what} of dtype {data.dtype} for {who} of dtype {wanted}; {cure}")
    return data


def number_of(t: Node) -> str:
    """How to write the number that a tensor holds; what was computed and has no name is taken for a loss."""
    return f"{spelled(t, 't' if t.op is None else 'loss')}.item()"


def left(t: Node, how: str) -> GraphError:
    """The error for values that would leave the graph unseen; `how` has {} for the tensor."""
    name = spelled(t, "t")
    write = "t.numpy() or t.detach()"
    stays = "X.dot(W) leaves the graph, too, X @ W and np.stack of a list stay in it"
    if t.value.size == 1:
        name = number_of(t).removesuffix(".item()")
        write = f"{name}.item(), of a list [l.item() for l in losses]"
        stays = f"np.exp({name}) and np.stack(losses).mean() stay in it"
    return GraphError(
        f"write {write}: {how.format(name)} would leave the graph of {quoted(t, 'this tensor')}, and its "
        f"gradient would be lost; {stays}"
    )


def closed(data: Array) -> Array:
    """The array as a view that cannot be written through; numbers cannot anyway."""
    if type(data) is ndarray:
        data = data.view()
        data.flags.writeable = False
    return data


def memory(value: Array) -> tuple[Any, ...]:
    """What tells two arrays apart while both are alive: where they lie, and how they are read."""
    return (value.__array_interface__["data"][0], value.shape, value.strides, str(value.dtype))


def need_float(given: Any, data: Array) -> None:
    """Raise unless the data can carry a gradient, saying how to write what was given."""
    if data.dtype.kind == "f":
        return
    hint = "dtype=float"
    if data.dtype.kind in "iu" and data.size <= 4 and data.ndim <= 1:
        numbers = ", ".join(f"{n}." for n in np.atleast_1d(data).tolist())
        hint = f"{f'[{numbers}]' if data.ndim else numbers} or dtype=float"
    raise DTypeError(f"{data.dtype} cannot require gradients; write {hint}")


def refuse_odd_arrays(value: Any, problem: str) -> None:
    """Raise for the subclasses of ndarray whose arithmetic is not an array's."""
    if isinstance(value, np.ma.MaskedArray):
        raise DTypeError(f"{problem} MaskedArray, whose arithmetic skips elements; pass its .filled(...)")
    if isinstance(value, np.matrix):
        raise DTypeError(f"{problem} matrix, whose * is another one; pass np.asarray(...) of it")


def shape_of(x: Any) -> tuple[int, ...]:
    """np.shape, without the detour through NumPy's protocols that a tensor would take."""
    return x.value.shape if isinstance(x, Node) else np.shape(x)


def foreign(value: Any) -> bool:
    """Whether this is an array of another library that speaks both of NumPy's protocols."""
    speaks = hasattr(type(value), "__array_function__") and hasattr(type(value), "__array_ufunc__")
    return speaks and not isinstance(value, (Node, ndarray, np.generic))


def from_nested(value: Any, who: str) -> Array:
    """A list or tuple of numbers as an array; ragged lists are refused with the two lengths."""
    if holds_tensor(value):
        why = "an array made of it would leave the graph; use np.stack(...) or np.concatenate(...)"
        raise GraphError(f"{who}: the list holds tensors, and {why}")
    try:
        return np.asarray(value)
    except ValueError as error:
        lengths = [f"length {len(row)}" if isinstance(row, (list, tuple)) else "no length" for row in value]
        odd = next((i for i, length in enumerate(lengths) if length != lengths[0]), None)
        text = error if odd is None else f"row 0 has {lengths[0]}, row {odd} has {lengths[odd]}"
        raise ShapeError(f"{who}: ragged list: {text}") from error


def holds_tensor(value: Any) -> bool:
    """Whether a nested list or tuple has a tensor anywhere in it."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Node):
            return True
        if isinstance(item, (list, tuple)):
            waiting += item
    return False


def bad_dtype(data: Array, who: str) -> str:
    """Why an array of this dtype cannot take part."""
    if data.dtype.kind == "c":
        return f"{who}: complex numbers are not supported, got dtype {data.dtype}; use .real or .imag"
    if data.dtype.kind == "O":
        flat = np.asarray(data).reshape(-1)
        odd = next((i for i, x in enumerate(flat) if not isinstance(x, (int, float))), 0)
        where = f" at index {odd}: {flat[odd]!r}" if flat.size else ""
        return f"{who}: dtype object{where}; expected numbers"
    return f"{who}: dtype {data.dtype} cannot be computed with; convert with .astype(float)"
