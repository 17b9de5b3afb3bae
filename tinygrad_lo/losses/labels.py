"""Scores and the labels that belong to them: integers in range, one for each row; and weights of classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Array, Node
from tinygrad_lo.engine.machine.arguments import foreign, from_nested, plain
from tinygrad_lo.engine.machine.caller import warn_once
from tinygrad_lo.engine.machine.hooks import check
from tinygrad_lo.engine.ops.elementwise import HALF, astype
from tinygrad_lo.engine.ops.elementwise import number as plain_number
from tinygrad_lo.errors import DTypeError, LabelError, OptionError, ShapeError
from tinygrad_lo.losses.loss import in_single

UNSIGNED = {size: np.dtype(f"u{size}") for size in (1, 2, 4, 8)}


# ------------------------------------------------------------------------------------- scores


def scores_and(who: str, scores: Any, target: Any) -> tuple[tuple[Any, ...], bool]:
    """The reader of a loss of scores, classes along their last axis; the target is left to the loss."""
    if not isinstance(scores, Node):
        scores = array_of(who, scores)
    data = scores.value if isinstance(scores, Node) else scores
    if data.dtype.kind not in "fiu":
        raise DTypeError(f"{who}: scores must be numbers, got dtype {data.dtype}")
    shape = data.shape
    if not shape or 0 in shape or shape[-1] == 1:
        refuse_scores(who, shape)
    if data.dtype.kind != "f":
        return (astype(scores, float), target), False  # differences of unsigned integers would wrap around
    half = data.dtype is HALF
    return (in_single(scores) if half else scores, target), half


def refuse_scores(who: str, shape: tuple[int, ...]) -> None:
    """Raise for scores without classes or samples; warn of scores of one class."""
    if not shape:
        raise ShapeError(f"{who}: scores must have an axis of classes, got one number")
    if shape[-1] == 0:
        raise ShapeError(f"{who}: the scores have shape {shape}: no classes")
    if 0 in shape:
        raise ShapeError(f"{who}: no samples left to average: the scores have shape {shape}")
    warn_once(
        f"{who} of one class",
        f"{who}: scores of shape {shape} have one class, so there is nothing to learn; for one "
        f"score and labels 0 and 1 use binary_cross_entropy_with_logits(scores[..., 0], labels)",
    )


def array_of(who: str, x: Any) -> Array:
    """Lists as arrays, whatever their dtype, which has its own errors; None and the like are refused."""
    if isinstance(x, (list, tuple)):
        return from_nested(x, who)
    return x if foreign(x) else np.asarray(plain(x, who) if x is None else x)


# ------------------------------------------------------------------------------------- labels


def labels_of(who: str, scores: Any, labels: Any, ignore_index: int | None = None) -> Any:
    """The labels, one integer for each row of scores, in range; a tensor of them stays a tensor.

    Raises:   DTypeError: not integers.  ShapeError: not one for each row.
              LabelError: not one of the classes, naming the first bad row.
    """
    if type(labels) is not ndarray and not isinstance(labels, Node):
        labels = array_of(who, labels)
    shape = scores.value.shape if isinstance(scores, Node) else scores.shape
    if labels.dtype.kind not in "iu" or labels.shape != shape[:-1]:
        refuse_labels(who, shape, labels)
    if len(shape) > 2 and len(set(shape[1:])) == 1 < shape[-1]:
        warn_once(
            f"{who} along which axis",
            f"{who}: scores of shape {shape} fit these labels with the classes on the last axis, "
            f"where they are taken to be, and on axis 1. If yours are on axis 1, as in PyTorch, pass "
            f"np.moveaxis(scores, 1, -1); if they are on the last one, scores.reshape(-1, "
            f"{shape[-1]}) and labels.reshape(-1) say so",
        )
    return check(labels, in_range, out_of_range, who, shape[-1], ignore_index)


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
    moved = shape == (*wanted[:1], *wanted[2:])
    hint = "; classes stand on the last axis, pass np.moveaxis(scores, 1, -1)" if moved else ""
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
    good = (y >= 0) & (y < classes)
    place = first_place(~(good if ignore_index is None else good | (y == ignore_index)))
    value = int(y[place])
    hint = f"; to leave such rows out, set ignore_index={value}" if value < 0 else ""
    return LabelError(f"{who}: label {value} {place_text(place)}; allowed 0..{classes - 1}{hint}")


def integers(who: str, name: str, y: Any, shape: tuple[int, ...], what: str) -> Any:
    """Integers of a shape; a tensor of them stays a tensor."""
    if not isinstance(y, Node) and not foreign(y):
        y = np.asarray(y)
    if y.dtype.kind not in "iu":
        hint = "; use .astype(int)" if y.dtype.kind in "bf" else ""
        raise DTypeError(f"{who}: {name} must be integers, got {y.dtype}{hint}")
    if y.shape != shape:
        hint = f"; use {name}[..., 0]" if y.shape == (*shape, 1) else ""
        raise ShapeError(f"{who}: {name} must be {shape}, one for each of the {what}, got {y.shape}{hint}")
    return y


# ------------------------------------------------------------------------------------- weights


def class_weights_of(who: str, weights: Any, scores: Any) -> Any:
    """A weight for each class, in the dtype of the scores."""
    if isinstance(weights, Mapping):
        raise OptionError(
            f"{who}: class_weights is a list of one number for each class, got {type(weights).__name__}; "
            f"write [weights.get(c, 1.0) for c in range({scores.shape[-1]})]"
        )
    w = np.asarray(plain_number(who, "class_weights", weights))
    if w.shape != scores.shape[-1:]:
        raise ShapeError(
            f"{who}: class_weights must have shape {scores.shape[-1:]}, one for each class, got {w.shape}"
        )
    return weights_in(who, "class_weights", w, scores.dtype)


def pos_weight_of(who: str, weight: Any, z: Any) -> Any:
    """The weight of positive targets: a number, or one for each output, in the dtype of the scores."""
    w = weights_in(who, "pos_weight", np.asarray(plain_number(who, "pos_weight", weight)), z.dtype)
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


# ------------------------------------------------------------------------------ the first bad one


def first_place(bad: Array) -> tuple[int, ...]:
    """Where the first true element stands."""
    return tuple(int(i) for i in np.argwhere(bad)[0]) if np.ndim(bad) else ()


def place_text(place: tuple[int, ...]) -> str:
    """A place as a message says it."""
    return f"at row {place[0]}" if len(place) == 1 else f"at {place}"


def value_text(value: Any, place: tuple[int, ...]) -> str:
    """A value and its place as a message says them."""
    return f"{value} at {place}" if place else f"{value}"


def every(
    x: Any, good: Callable[[Array], Array], complain: Callable[[Any, tuple[int, ...]], Exception]
) -> Any:
    """Check what must hold everywhere; `complain` learns the first value for which it does not, and where."""

    def error(data: Array) -> Exception:
        place = first_place(np.logical_not(good(data)))
        return complain(np.asarray(data)[place], place)

    return check(x, lambda data: bool(good(data).all()), error)
