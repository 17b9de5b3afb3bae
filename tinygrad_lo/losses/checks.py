"""What every loss promises: labels in range, options that exist, samples that are reduced openly."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Array, Node, check
from tinygrad_lo.engine.ops.arithmetic import divide
from tinygrad_lo.engine.ops.elementwise import astype
from tinygrad_lo.engine.ops.reductions import sum as total
from tinygrad_lo.engine.values import foreign, plain
from tinygrad_lo.errors import DTypeError, LabelError, OptionError, ShapeError

UNSIGNED = {size: np.dtype(f"u{size}") for size in (1, 2, 4, 8)}
REDUCTIONS = ("mean", "sum", "none", "batchmean")


def reduce(who: str, losses: Any, reduction: str, weight: Any = None) -> Any:
    """The losses of the samples as one number, or as they are.

    mean: their sum divided by their number, or by the sum of their weights where a loss weights them;
    sum; none; batchmean: their sum divided by the length of the first axis.
    """
    if reduction not in REDUCTIONS:
        raise OptionError(f"{who}: reduction must be 'mean', 'sum', 'none' or 'batchmean', got {reduction!r}")
    if reduction == "none":
        return losses
    shape = losses.shape
    s = total(losses)
    if reduction == "sum":
        return s
    if reduction == "batchmean":
        return divide(s, shape[0] if shape else 1)
    return divide(s, math.prod(shape) if weight is None else weight)


def pair_of(
    who: str, prediction: Any, target: Any, names: tuple[str, str] = ("prediction", "target")
) -> tuple[Any, Any]:
    """Two inputs of one shape that is not empty: tensors as they are, all else as float arrays.

    A plain array beside a tensor takes the tensor's dtype, so that float64 data does not turn a
    float32 loss into float64.

    Raises:   ShapeError: different shapes, which would broadcast or worse; nothing to average.
    """
    p: Any
    t: Any
    p, t = (
        x if isinstance(x, Node) or foreign(x) else np.asarray(plain(x, who)) for x in (prediction, target)
    )
    if p.shape != t.shape:
        raise ShapeError(mismatch(who, p.shape, t.shape, names))
    if 0 in p.shape:
        raise ShapeError(f"{who}: no samples left to average: the {names[0]} has shape {p.shape}")
    dtype = next((x._value.dtype for x in (p, t) if isinstance(x, Node) and x._value.dtype.kind == "f"), None)
    return as_float(p, dtype), as_float(t, dtype)


def as_float(x: Any, dtype: Any) -> Any:
    """The input in floating point; plain arrays in the given dtype."""
    if isinstance(x, Node):
        return x if x._value.dtype.kind == "f" else astype(x, dtype or float)
    wanted = dtype if dtype is not None else x.dtype if x.dtype.kind == "f" else np.dtype(float)
    return x if x.dtype == wanted else x.astype(wanted)


def mismatch(who: str, p: tuple[int, ...], t: tuple[int, ...], names: tuple[str, str]) -> str:
    """What is wrong with two shapes, and how to make them one."""
    text = f"{who}: {names[0]} {p} vs {names[1]} {t}"
    try:
        text += f" would broadcast to {np.broadcast_shapes(p, t)}"
    except ValueError:
        return f"{text}; losses do not broadcast, both need one shape"
    for long, short, order in ((p, t, names), (t, p, names[::-1])):
        if long == (*short, 1):
            every = ":" if len(short) == 1 else "..."
            return f"{text}; use {order[1]}[{every}, None] or {order[0]}[{every}, 0]"
    return f"{text}; losses do not broadcast, give both one shape"


def scores_of(who: str, scores: Any) -> tuple[Any, Array]:
    """The scores, classes along their last axis: as given (tensor or array), and as plain data."""
    if isinstance(scores, Node):
        data = scores._value
    else:
        data = scores = scores if isinstance(scores, ndarray) or foreign(scores) else np.asarray(scores)
    if data.dtype.kind != "f":
        if data.dtype.kind not in "iu":
            raise DTypeError(f"{who}: scores must be numbers, got dtype {data.dtype}")
        scores = astype(scores, float)  # differences of unsigned integers would wrap around
        data = scores._value if isinstance(scores, Node) else scores
    if data.ndim == 0:
        raise ShapeError(f"{who}: scores must have an axis of classes, got one number")
    if 0 in data.shape:
        if data.shape[-1] == 0:
            raise ShapeError(f"{who}: the scores have shape {data.shape}: no classes")
        raise ShapeError(f"{who}: no samples left to average: the scores have shape {data.shape}")
    return scores, data


def labels_of(who: str, scores: Array, labels: Any, ignore_index: int | None = None) -> Any:
    """The labels, one integer for each row of scores, in range; a tensor of them stays a tensor.

    Raises:   DTypeError: not integers.  ShapeError: not one for each row.
              LabelError: not one of the classes, naming the first bad row.
    """
    if type(labels) is not ndarray and not isinstance(labels, Node) and not foreign(labels):
        labels = np.asarray(labels)
    if labels.dtype.kind not in "iu" or labels.shape != scores.shape[:-1]:
        refuse_labels(who, scores.shape, labels)
    return check(labels, in_range, out_of_range, who, scores.shape[-1], ignore_index)


def refuse_labels(who: str, wanted: tuple[int, ...], labels: Any) -> None:
    """Raise for labels of another dtype, or not one for each row of scores of shape `wanted`."""
    shape, rows = labels.shape, wanted[:-1]
    if labels.dtype.kind == "b":
        raise DTypeError(f"{who}: labels must be integers, got bool; use .astype(int)")
    if labels.dtype.kind not in "iu":
        raise DTypeError(
            f"{who}: labels must be integers, got {labels.dtype}; use .astype(int); "
            f"for probabilities pass shape {wanted}"
        )
    if shape == (*rows, 1):
        cure = "labels[:, 0]" if len(rows) == 1 else "labels[..., 0]"
        raise ShapeError(f"{who}: labels must be {rows}, got {shape}; use {cure}")
    if len(shape) == len(rows) == 1:
        raise ShapeError(f"{who}: {rows[0]} rows of logits but {shape[0]} labels")
    raise ShapeError(f"{who}: labels must be {rows} for scores of shape {wanted}, got {shape}")


def in_range(y: Array, who: str, classes: int, ignore_index: int | None) -> bool:
    """Whether every label is one of the classes, or the one to ignore."""
    if ignore_index is not None:
        y = y[y != ignore_index]
        if not y.size:
            return True
    if type(y) is ndarray and y.dtype.kind == "i":
        y = y.view(UNSIGNED[y.dtype.itemsize])  # so that one maximum finds negative labels too
        return bool(np.maximum.reduce(y, None) < classes)
    return bool((y < classes).all() and (y >= 0).all())


def out_of_range(y: Array, who: str, classes: int, ignore_index: int | None) -> LabelError:
    """The error for the first label that is none."""
    bad = ((y < 0) | (y >= classes)) & (y != ignore_index if ignore_index is not None else True)
    place = tuple(int(i) for i in np.argwhere(bad)[0]) if np.ndim(bad) else ()
    value = int(y[place])
    where = f"at row {place[0]}" if len(place) == 1 else f"at {place}"
    hint = f"; to leave such rows out, set ignore_index={value}" if value < 0 else ""
    return LabelError(f"{who}: label {value} {where}; allowed 0..{classes - 1}{hint}")


def is_finite_number(value: Any) -> bool:
    """Whether the value is a finite number, and no boolean."""
    okay = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    return okay and math.isfinite(value)


def finite_number(who: str, name: str, value: Any, at_least: float = -math.inf) -> float:
    """An option that must be a finite number, as a Python float, which leaves every dtype alone."""
    if not is_finite_number(value) or value < at_least:
        bound = "" if at_least == -math.inf else f" and >= {at_least:g}"
        raise OptionError(f"{who}: {name} must be finite{bound}, got {value!r}")
    return float(value)


def one_of(who: str, name: str, value: Any, allowed: tuple[Any, ...]) -> None:
    """Raise unless an option is one of its values."""
    if isinstance(value, bool) or value not in allowed:
        text = " or ".join(repr(choice) for choice in allowed)
        raise OptionError(f"{who}: {name} must be {text}, got {value!r}")
