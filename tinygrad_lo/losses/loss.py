"""A loss is its formula: what all of them share is done here; `help(lo.losses)` says it to users.

`@loss(...)` reads inputs and options, opens the scope that is named after the function, reduces, and
completes the docstring. The formula gets floating-point inputs, tensors or arrays, and returns the losses L_i
of the elements or rows.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Array, Node, tick
from tinygrad_lo.engine.machine.arguments import foreign, plain
from tinygrad_lo.engine.machine.hooks import check
from tinygrad_lo.engine.naming import name_of, named, scoped
from tinygrad_lo.engine.ops.elementwise import HALF, astype, floats, in_single
from tinygrad_lo.engine.ops.reductions import sum as total
from tinygrad_lo.engine.ops.shapes import reshape
from tinygrad_lo.engine.tensor import Tensor
from tinygrad_lo.errors import OptionError, ShapeError
from tinygrad_lo.options import OptionReader, P, choice, completed, is_finite, misnamed, unknown

# (who, *inputs) -> the inputs, whether in float16. Its docstring calls them {0}, {1}, as the loss names them.
Reader = Callable[..., tuple[tuple[Any, ...], bool]]

EMPTY = inspect.Parameter.empty
REDUCTION = functools.partial(choice, allowed=("mean", "sum", "none", "batchmean"))


def loss(
    read: Reader, *, column: bool = False, **readers: OptionReader
) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
    """Make a loss of a formula, of whose options `weights` and `reduction` are read here and not by it.

    `readers` read the options of these names, all others are left to the formula; a default is taken as it
    is. A formula without `reduction` in its signature is not reduced. One with `column=True` keeps an axis of
    length 1 at the end, and may return (losses, weights): then the mean divides by the sum of the weights.
    """

    def decorate(formula: Callable[P, Any]) -> Callable[P, Any]:
        who = formula.__name__
        parameters = inspect.signature(formula).parameters
        count = sum(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters.values())
        standard = "mean" if "reduction" in parameters else None
        names = list(parameters)[count:]
        optional: dict[str, OptionReader] = {name: lambda who, name, value: value for name in names} | readers
        for name in ("weights", "reduction"):
            optional.pop(name, None)
        followed = any(
            is_finite(parameters[name].default) or parameters[name].default is EMPTY for name in names
        )

        @functools.wraps(formula)
        def call(*inputs: Any, reduction: Any = standard, weights: Any = None, **options: Any) -> Any:
            birth = tick()
            if reduction is not standard:
                if standard is None:
                    raise unknown(who, "reduction", list(parameters))
                REDUCTION(who, "reduction", reduction)
            if weights is not None and "weights" not in parameters:
                raise unknown(who, "weights", list(parameters))
            if options or len(inputs) != count:
                if len(inputs) != count or not options.keys() <= optional.keys():
                    inputs, options = by_place(formula, inputs, options)
                for name, value in options.items():
                    options[name] = optional[name](who, name, value)
            inputs, is_float16 = read(who, *inputs)
            losses = formula(*inputs, **options)
            if standard is not None:
                how = reduction
                if weights is not None:
                    losses, how = weighted(who, losses, weights, reduction, column)
                losses = reduced(who, losses, how, column)
            again = (birth, call, inputs, options, reduction, weights) if followed else ()
            return scoped(who, birth, astype(losses, HALF) if is_float16 else losses, again)

        call.__doc__ = documented(formula.__doc__ or "", read.__doc__ or "", [*parameters], readers)
        return call

    return decorate


def by_place(formula: Callable[..., Any], inputs: Any, options: Any) -> tuple[Any, dict[str, Any]]:
    """The inputs in their places, also those that were given by name; and the options."""
    if misspelt := misnamed(formula, (), options):
        raise misspelt
    try:
        bound = inspect.signature(formula).bind(*inputs, **options)
    except TypeError as error:
        raise TypeError(f"{formula.__name__}: {error}") from None
    return bound.args, bound.kwargs


def documented(doc: str, shared: str, parameters: list[str], readers: dict[str, OptionReader]) -> str:
    """A docstring completed by the sections of its reader, and by what options must be."""
    text = inspect.cleandoc(shared).format(*parameters)
    if "reduction" in parameters:
        text = text.replace("result ", 'weights (N,) for N samples; result () or, with reduction="none", ')
        readers = readers | {"weights": weights_in, "reduction": REDUCTION}
    return completed(doc, text, readers)


def reduced(who: str, losses: Any, reduction: str, column: bool) -> Any:
    """The losses as one number, or as they are."""
    losses, counts = losses if type(losses) is tuple else (losses, None)
    shape = losses.value.shape if isinstance(losses, Node) else losses.shape
    if reduction == "none" or (not shape and counts is None):
        return named(reshape(losses, shape[:-1]), "L_i") if column else losses
    s = total(losses)
    if reduction == "sum":
        return s
    if counts is not None and reduction == "mean":
        text = f"{who}: no samples left to average: weights or class_weights are 0 for all of the batch"
        return s / require(total(counts), lambda w: w != 0, lambda w, at: ShapeError(text))
    n = shape[0] if reduction == "batchmean" else math.prod(shape)
    return s if n == 1 else s / n


def weighted(who: str, losses: Any, weights: Any, reduction: str, column: bool) -> tuple[Any, str]:
    """Losses times the weights of their samples, and what a mean divides by the sum of; the reduction."""
    losses, counts = losses if type(losses) is tuple else (losses, None)
    shape, rows = losses.shape, losses.shape[: losses.ndim - column][:1]
    w = weights_in(who, "weights", weights, losses.dtype)
    if w.shape != rows:
        raise ShapeError(f"{who}: weights must be {rows}, one for each sample, got {w.shape}")
    w = entering(reshape(w, (*rows, *[1] * (losses.ndim - len(rows)))), "w", losses)
    losses = named(losses * w, "w_i L_i")
    if reduction == "batchmean":
        return (losses, w), "mean"
    outputs = math.prod(shape[1:])
    counts = counts * w if counts is not None else w if outputs == 1 else w * outputs
    return (losses, counts), reduction


def inputs_of(*names: str, last: str = "", each: Any = None, widen: bool = True) -> Reader:
    """The reader of inputs of one shape that is not empty, which messages call by these names.

    Tensors stay as they are, all else becomes float arrays. A plain array takes the dtype of a tensor beside
    it, else of the first input, so that float64 data does not turn a float32 loss into float64. `last` says
    what stands along the last axis; `each(who, name, input, whether it came in float16)` checks every input;
    what comes after the named ones is passed on.
    """
    count = len(names)

    def read(who: str, *inputs: Any) -> tuple[tuple[Any, ...], bool]:
        shaped: Any = inputs[:count]
        if not need_nothing(*shaped):
            shaped = floats(who, *(plain(None, who) if x is None else x for x in shaped))
        first = shaped[0]
        data = first.value if isinstance(first, Node) else first
        shape, is_float16 = data.shape, data.dtype is HALF
        ready: list[Any] = []
        for name, x in zip(names, shaped, strict=True):
            if (x.value if isinstance(x, Node) else x).shape != shape:
                raise ShapeError(mismatch(who, names, [y.shape for y in shaped]))
            if is_float16 and widen:
                x = in_single(x)
            # So that trees and drawings call it by its name.
            ready.append(x if isinstance(x, Node) or not ready else entering(x, name, first))
        if last and not shape:
            raise ShapeError(f"{who}: {names[0]} must have an axis of {last}, got one number")
        if 0 in shape:
            raise ShapeError(f"{who}: no samples left to average: the {names[0]} has shape {shape}")
        if each is not None:
            ready = [each(who, name, x, is_float16) for name, x in zip(names, ready, strict=True)]
        return (*ready, *inputs[count:]), is_float16

    equal = "equal, " * (count > 1) + ("(..., d); result (...)" if last else "any; result that shape")
    read.__doc__ = f"""Inputs of one shape.

    Shapes:   {", ".join(f"{{{i}}}" for i in range(count))}: {equal}.
    Raises:   ShapeError: {"the shapes differ, or there" * (count > 1) or "there"} are no samples.
    """
    return read


def need_nothing(first: Any, *others: Any) -> bool:
    """Whether a tensor stands beside arrays of its floating-point dtype, as mostly: nothing to convert."""
    if not isinstance(first, Node) or first.value.dtype.kind != "f":
        return False
    for x in others:  # noqa: SIM110 (a generator would cost more than all the rest)
        if type(x) is not ndarray or x.dtype is not first.value.dtype:
            return False
    return True


def mismatch(who: str, names: tuple[str, ...], shapes: list[tuple[int, ...]]) -> str:
    """What is wrong with the shapes, and how to make them one."""
    text = f"{who}: {' vs '.join(map('{} {}'.format, names, shapes))}"
    try:
        text += f" would broadcast to {np.broadcast_shapes(*shapes)}"
    except ValueError:
        return f"{text}; losses do not broadcast, all need one shape"
    for i, j in ((0, 1), (1, 0)):
        if len(shapes) == 2 and shapes[i] == (*shapes[j], 1):
            every_row = ":" if len(shapes[j]) == 1 else "..."
            return f"{text}; use {names[j]}[{every_row}, None] or {names[i]}[{every_row}, 0]"
    return f"{text}; losses do not broadcast, give all one shape"


def data_of(who: str, x: Any) -> Any:
    """A tensor, or an array of another library, as it is; all else as an array."""
    return x if isinstance(x, Node) or foreign(x) else np.asarray(plain(x, who))


def entering(x: Any, name: str, beside: Any) -> Any:
    """A plain array that enters the graph of a loss, under a name by which texts and drawings call it."""
    if isinstance(x, Node):
        return named(x, name) if name_of(x) is None else x
    return Tensor(x, name=name) if isinstance(beside, Node) and (type(x) is ndarray or not foreign(x)) else x


def base_of(who: str, name: str, base: Any) -> float:
    """Finite, > 0 and not 1."""
    if is_finite(base) and base > 0 and base != 1:
        return float(base)
    raise OptionError(f"{who}: base must be a finite number > 0 and not 1, got {base!r}")


def in_base(nats: Any, base: float) -> Any:
    """A logarithm in units of the base; nats are left as they are."""
    return nats if base == math.e else nats / math.log(base)


def weights_in(who: str, name: str, weights: Any, dtype: Any = float) -> Any:
    """Finite and >= 0, also in the dtype of the losses."""
    w = data_of(who, weights)
    if w.dtype != dtype:
        with np.errstate(over="ignore"):
            w = astype(w, dtype)
    text = f"{who}: {name} must be finite and >= 0 in {dtype}, got"
    return require(w, lambda w: (w >= 0) & (w < math.inf), lambda v, at: OptionError(f"{text} {v}{at}"))


class Place(tuple[int, ...]):
    """Where an element stands. In a message, text: " at row 3"; of a single number, nothing."""

    def __str__(self) -> str:
        return f" at row {self[0]}" if len(self) == 1 else f" at {tuple(self)}" if self else ""


@dataclass(frozen=True, slots=True)
class Complaint:
    """The error for the first element that a condition does not hold for, made of its value and place.

    `of` makes of the data what is looked at. A page without Python has the condition and the words from here.
    """

    holds: Callable[..., Array]
    error: Callable[..., Exception]
    of: Callable[[Array], Array] = lambda data: data

    def __call__(self, data: Array, *facts: Any) -> Exception:
        """The error for this data."""
        data = self.of(np.asarray(data))  # of a lazy array
        place = first_place(np.logical_not(self.holds(data, *facts)))
        return self.error(data[place], place, *facts)


def require(x: Any, holds: Callable[[Array], Array], error: Callable[[Any, Place], Exception]) -> Any:
    """Check what must hold everywhere; `error` learns the first value for which it does not, and where."""
    return check(x, lambda data: bool(holds(data).all()), Complaint(holds, error))


def first_place(mask: Array) -> Place:
    """Where the first true element stands."""
    return Place(np.argwhere(mask)[0].tolist() if np.ndim(mask) else ())
