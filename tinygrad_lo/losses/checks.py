"""What every loss promises: labels in range, options that exist, samples that are reduced openly."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Array, Node
from tinygrad_lo.engine.machine.arguments import foreign, from_nested, is_finite_number, plain
from tinygrad_lo.engine.machine.caller import warn_once
from tinygrad_lo.engine.machine.hooks import check
from tinygrad_lo.engine.naming import named
from tinygrad_lo.engine.ops.arithmetic import divide
from tinygrad_lo.engine.ops.elementwise import as_float, astype, floats, number
from tinygrad_lo.engine.ops.reductions import sum as total
from tinygrad_lo.engine.scores import back
from tinygrad_lo.engine.tensor import Tensor
from tinygrad_lo.errors import DomainError, DTypeError, LabelError, OptionError, ShapeError

HALF = np.dtype(np.float16)
UNSIGNED = {size: np.dtype(f"u{size}") for size in (1, 2, 4, 8)}
REDUCTIONS = ("mean", "sum", "none", "batchmean")


def reduce(who: str, losses: Any, reduction: str, half: bool, weight: Any = None) -> Any:
    """The losses of the samples as one number, or as they are; in float16 again if that is what came.

    mean: their sum divided by their number, or by the sum of their weights where a loss weights them;
    sum; none; batchmean: their sum divided by the length of the first axis.
    """
    if half:
        return astype(reduce(who, losses, reduction, False, weight), HALF)
    if reduction not in REDUCTIONS:
        raise OptionError(f"{who}: reduction must be 'mean', 'sum', 'none' or 'batchmean', got {reduction!r}")
    if reduction == "none":
        return losses
    shape = losses.shape
    if not shape:
        return losses if weight is None or reduction != "mean" else divide(losses, weight)
    s = total(losses)
    if reduction == "sum":
        return s
    n = shape[0] if reduction == "batchmean" else math.prod(shape)
    if weight is None or reduction == "batchmean":
        return s if n == 1 else divide(s, n)
    return divide(s, weight)


def widened(x: Any) -> Any:
    """float16 as float32, in which losses compute: float16 holds neither their squares nor their sums."""
    return astype(x, np.float32) if x.dtype is HALF else x


def narrowed(x: Any, half: bool) -> Any:
    """A result in float16 again, if that is what came."""
    return astype(x, HALF) if half else x


def pair_of(
    who: str, prediction: Any, target: Any, names: tuple[str, str] = ("prediction", "target")
) -> tuple[Any, Any, bool]:
    """Two inputs of one shape that is not empty: tensors as they are, all else as float arrays.

    A plain array takes the dtype of a tensor beside it, else of the first input, so that float64 data
    does not turn a float32 loss into float64. float16 is widened; the third result says whether it was.

    Raises:   ShapeError: different shapes, which would broadcast or worse; nothing to average.
    """
    for x in (prediction, target):
        if x is None:
            plain(x, who)
    p, t = floats(who, prediction, target)
    half = p.dtype is HALF
    if half:
        p, t = widened(p), widened(t)
    if p.shape != t.shape:
        raise ShapeError(mismatch(who, p.shape, t.shape, names))
    if 0 in p.shape:
        raise ShapeError(f"{who}: no samples left to average: the {names[0]} has shape {p.shape}")
    if isinstance(p, Node) and not isinstance(t, Node) and not foreign(t):
        t = Tensor(t, name=names[1])  # so that trees and drawings call it by its name
    return p, t, half


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


def shown(x: Any, name: str, beside: Any) -> Any:
    """A plain array that enters the graph of a loss, under a name by which texts and drawings call it."""
    if isinstance(x, Node):
        return named(x, name) if x.label is None else x
    return Tensor(x, name=name) if isinstance(beside, Node) and not foreign(x) else x


def scores_of(who: str, scores: Any) -> tuple[Any, Array, bool]:
    """The scores, classes along their last axis: as given (tensor or array), and as plain data.

    float16 is widened; the third result says whether it was.
    """
    if isinstance(scores, Node):
        data = scores.value
    else:
        data = scores = as_array(who, scores)
    if data.dtype.kind != "f":
        if data.dtype.kind not in "iu":
            raise DTypeError(f"{who}: scores must be numbers, got dtype {data.dtype}")
        scores = astype(scores, float)  # differences of unsigned integers would wrap around
        data = scores.value if isinstance(scores, Node) else scores
    half = data.dtype is HALF
    if half:
        scores = widened(scores)
        data = scores.value if isinstance(scores, Node) else scores
    if data.ndim == 0:
        raise ShapeError(f"{who}: scores must have an axis of classes, got one number")
    if 0 in data.shape:
        if data.shape[-1] == 0:
            raise ShapeError(f"{who}: the scores have shape {data.shape}: no classes")
        raise ShapeError(f"{who}: no samples left to average: the scores have shape {data.shape}")
    if data.shape[-1] == 1:
        warn_once(
            f"{who} of one class",
            f"{who}: scores of shape {data.shape} have one class, so there is nothing to learn; for one "
            f"score and labels 0 and 1 use binary_cross_entropy_with_logits(scores[..., 0], labels)",
        )
    return scores, data, half


def as_array(who: str, x: Any) -> Array:
    """Lists as arrays, whatever their dtype, which has its own errors; None and the like are refused."""
    if foreign(x):
        return x
    return (
        from_nested(x, who) if isinstance(x, (list, tuple)) else np.asarray(plain(x, who) if x is None else x)
    )


def labels_of(who: str, scores: Array, labels: Any, ignore_index: int | None = None) -> Any:
    """The labels, one integer for each row of scores, in range; a tensor of them stays a tensor.

    Raises:   DTypeError: not integers.  ShapeError: not one for each row.
              LabelError: not one of the classes, naming the first bad row.
    """
    if type(labels) is not ndarray and not isinstance(labels, Node) and not foreign(labels):
        labels = as_array(who, labels)
    if labels.dtype.kind not in "iu" or labels.shape != scores.shape[:-1]:
        refuse_labels(who, scores.shape, labels)
    if len(scores.shape) > 2 and len(set(scores.shape[1:])) == 1 < scores.shape[-1]:
        warn_once(
            f"{who} along which axis",
            f"{who}: scores of shape {scores.shape} fit these labels with the classes on the last axis, "
            f"where they are taken to be, and on axis 1. If yours are on axis 1, as in PyTorch, pass "
            f"np.moveaxis(scores, 1, -1); if they are on the last one, scores.reshape(-1, "
            f"{scores.shape[-1]}) and labels.reshape(-1) say so",
        )
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
        hint = "; if each column is a sample, pass scores.T" if shape == wanted[1:] else ""
        raise ShapeError(f"{who}: {rows[0]} rows of logits but {shape[0]} labels{hint}")
    hint = (
        "; classes stand on the last axis, pass np.moveaxis(scores, 1, -1)"
        if shape == (*wanted[:1], *wanted[2:])
        else ""
    )
    raise ShapeError(f"{who}: labels must be {rows} for scores of shape {wanted}, got {shape}{hint}")


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


def one_of(who: str, name: str, value: Any, allowed: tuple[Any, ...]) -> None:
    """Raise unless an option is one of its values."""
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value not in allowed:
        text = " or ".join(repr(choice) for choice in allowed)
        raise OptionError(f"{who}: {name} must be {text}, got {value!r}")


def distribution_of(who: str, target: Any, dtype: Any) -> Any:
    """A distribution over the classes in every row: not negative, summing to 1.

    A plain one takes the dtype of the scores: float64 targets must not turn a float32 loss into float64.
    """
    q = target if isinstance(target, Node) or foreign(target) else np.asarray(plain(target, who))
    half = q.dtype is HALF
    q = check(as_float(widened(q), dtype), in_unit_interval, outside_of_unit, who, "target", "")
    return check(q, sums_to_one, wrong_sum, who, "target", half)


def class_weights_of(who: str, weights: Any, scores: Any) -> Any:
    """A weight for each class, in the dtype of the scores."""
    if isinstance(weights, Mapping):
        raise OptionError(
            f"{who}: class_weights is a list of one number for each class, got {type(weights).__name__}; "
            f"write [weights.get(c, 1.0) for c in range({scores.shape[-1]})]"
        )
    w = np.asarray(number(who, "class_weights", weights))
    if w.shape != scores.shape[-1:]:
        raise ShapeError(
            f"{who}: class_weights must have shape {scores.shape[-1:]}, one for each class, got {w.shape}"
        )
    return weights_in(who, "class_weights", w, scores.dtype)


def weights_are_zero(who: str) -> ShapeError:
    """The error for a batch whose classes all have the weight 0."""
    return ShapeError(f"{who}: no samples left to average: class_weights are 0 for all labels of the batch")


def nothing_left(who: str, ignore_index: int | None, count: int) -> ShapeError:
    """The error for a batch of which every row is ignored."""
    return ShapeError(
        f"{who}: no samples left to average (ignore_index={ignore_index} removed {count} of {count})"
    )


LOGITS = "; pass scores to binary_cross_entropy_with_logits"


def in_unit_interval(x: Array, *_: Any) -> bool:
    """Whether all of it lies in [0, 1]; nan does not."""
    return bool(((x >= 0) & (x <= 1)).all())


def outside_of_unit(x: Array, who: str, what: str, hint: str) -> DomainError:
    """The error for the first element outside [0, 1]."""
    return DomainError(f"{who}: {what} {first_bad(x, (x >= 0) & (x <= 1))} outside [0, 1]{hint}")


def first_place(bad: Array) -> tuple[int, ...]:
    """Where the first true element stands."""
    return tuple(int(i) for i in np.argwhere(bad)[0]) if np.ndim(bad) else ()


def saturated(p: Any, y: Any) -> bool:
    """Whether rounding took the digits of a probability, or of 1 − p, that the target asks for.

    Those of p below the smallest normal number; of 1 − p more than half of them where p is this near 1.
    """
    a, b = (x.value if isinstance(x, Node) else x for x in (p, y))
    if foreign(a) or foreign(b):
        return False  # asking a lazy array would compute it
    info = np.finfo(a.dtype)
    return bool((((a < info.tiny) & (b > 0)) | ((a > 1 - info.eps**0.5) & (b < 1))).any())


def vanished(q: Any, p: Any) -> bool:
    """Whether a probability that was computed, and that p asks for, has lost its digits on the way to 0."""
    *_, first = back(q) if isinstance(q, Node) and q.needs else (None,)
    if first is None or first.op is None or foreign(q.value):
        return False
    p = p.value if isinstance(p, Node) else p
    return not foreign(p) and bool(((q.value < np.finfo(q.value.dtype).tiny) & (p > 0)).any())


def pos_weight_of(who: str, weight: Any, z: Any) -> Any:
    """The weight of positive targets: a number, or one for each output, in the dtype of the scores."""
    w = np.asarray(number(who, "pos_weight", weight))
    w = weights_in(who, "pos_weight", w, z.dtype)
    if w.ndim and w.shape != z.shape[-1:]:
        raise ShapeError(f"{who}: pos_weight has shape {w.shape}, but the scores have {z.shape[-1:]} outputs")
    return w[()]


def weights_in(who: str, name: str, w: Array, dtype: Any) -> Array:
    """Weights that are finite and not negative, also after they took the dtype of the scores."""
    if w.dtype.kind in "fiu":
        with np.errstate(over="ignore"):
            cast = w.astype(dtype)
        if np.isfinite(cast).all() and (cast >= 0).all():
            return cast
    raise OptionError(f"{who}: {name} must be finite and >= 0 in {dtype}, got {w.tolist()}")


def not_plus_minus(who: str, y: Array) -> LabelError:
    """The error for the first label that is not -1 or +1."""
    place = first_place(~(np.abs(y) == 1))
    return LabelError(
        f"{who}: label {np.asarray(y)[place]:g} at {place}; allowed -1 and +1; use 2*y - 1 for 0/1"
    )


def above_zero(who: str, x: Array) -> DomainError:
    """The error for the first log-probability above 0."""
    place = first_place(x > 1e-6)
    return DomainError(
        f"{who}: log-probability {np.asarray(x)[place]:g} at {place} is above 0; pass log_softmax(scores), "
        f"or scores to cross_entropy"
    )


# Ops that leave probabilities what they are.
HARMLESS = ("reshape", "getitem", "astype", "transpose", "clip")
SUSPECTS = frozenset({"exp", "divide", *HARMLESS})  # what made the last step of a softmax, perhaps


def is_softmax(x: Node) -> bool:
    """Whether the graph says that this value is the output of softmax.

    That is e to a log-softmax, or e^x divided by its sum, perhaps reshaped, sliced or clipped since.
    """
    found: Node | None = x
    while found is not None and made_by(found, *HARMLESS):
        found = found.parents[0]
    if found is None:
        return False
    if made_by(found, "exp"):
        return made_by(found.parents[0], "log_softmax")
    if not made_by(found, "divide"):
        return False
    top, below = found.parents
    if not made_by(top, "exp") or not made_by(below, "sum"):
        return False
    summed = below.parents[0] if below is not None else None
    return made_by(summed, "exp") and top is not None and summed is not None and top.parents == summed.parents


def made_by(x: Node | None, *names: str) -> bool:
    """Whether this value was made by one of these ops."""
    return x is not None and x.op is not None and x.op.name in names


def positive(who: str, name: str, value: Any) -> float:
    """An option that must be a finite number above 0, as a Python float."""
    if not is_finite_number(value) or value <= 0:
        raise OptionError(f"{who}: {name} must be finite and > 0, got {value!r}")
    return float(value)


def flag(who: str, name: str, value: Any) -> None:
    """Raise unless an option is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise OptionError(f"{who}: {name} must be True or False, got {value!r}")


def unit_of(who: str, base: Any) -> float:
    """One digit of the base in nats, by which to divide: log(base), exactly 1 for base e."""
    if not is_finite_number(base) or base <= 0 or base == 1:
        raise OptionError(f"{who}: base must be a finite number > 0 and not 1, got {base!r}")
    return math.log(base)


def first_bad(x: Array, good: Array) -> str:
    """The first value that is not good, and its place."""
    place = first_place(np.logical_not(good))
    return f"{x[place]} at {place}" if place else f"{x}"


def sums_to_one(p: Array, who: str, name: str, half: bool) -> bool:
    """Whether every row does, as far as the dtype that it came in can tell."""
    return bool((np.abs(p.sum(-1) - 1.0) <= tolerance(p, half)).all())


def wrong_sum(p: Array, who: str, name: str, half: bool) -> DomainError:
    """The error for the first row that does not."""
    sums = np.reshape(p.sum(-1), -1)
    row = int(np.argmax(np.abs(sums - 1.0) > tolerance(p, half)))
    hint = ""
    if np.ndim(p) > 2 and sums_to_one(np.moveaxis(p, 1, -1), who, name, half):
        hint = " along the last axis, these do along axis 1: pass np.moveaxis(..., 1, -1) of both inputs"
    return DomainError(f"{who}: {name} row {row} sums to {sums[row]:g}; probabilities sum to 1{hint}")


def tolerance(p: Array, half: bool) -> float:
    """How far from 1 a sum may be: 1e-4, and what rounding each of the terms can do."""
    return max(1e-4, float(np.finfo(HALF if half else p.dtype).eps) * math.sqrt(p.shape[-1]))
