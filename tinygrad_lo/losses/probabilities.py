"""Probabilities: what they must be, and their logarithms and odds from the scores they were made of."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Array, Node
from tinygrad_lo.engine.machine.arguments import foreign
from tinygrad_lo.engine.machine.caller import warn_once
from tinygrad_lo.engine.machine.hooks import check
from tinygrad_lo.engine.naming import named
from tinygrad_lo.engine.ops.arithmetic import divide, greater, negative, subtract
from tinygrad_lo.engine.ops.elementwise import HALF, exp, log, log1p, sigmoid, softplus, where
from tinygrad_lo.engine.ops.losses import log_known, log_probability
from tinygrad_lo.engine.ops.reductions import logsumexp
from tinygrad_lo.engine.scores import Recipe, back, recipe
from tinygrad_lo.errors import DomainError
from tinygrad_lo.losses.loss import Complaint, Place, require


def probabilities(who: str, name: str, p: Any, hint: str = "") -> Any:
    """Every element in [0, 1]; nan is not."""
    text = f"outside [0, 1]{hint}"
    return require(
        p, lambda x: (x >= 0) & (x <= 1), lambda v, at: DomainError(f"{who}: {name} {v}{at} {text}")
    )


def probability(who: str, name: str, p: Any, is_float16: bool) -> Any:
    """Probabilities of any shape, as `inputs_of` checks them."""
    return probabilities(who, f"{name} has the probability", p, "; of scores take softmax")


def distribution(who: str, name: str, p: Any, is_float16: bool) -> Any:
    """Probabilities that sum to 1 along the last axis."""
    p = probability(who, name, p, is_float16)
    facts = who, name, tolerance(p.value if isinstance(p, Node) else p, is_float16)
    return check(p, sums_to_one, RowSums(is_one, sum_error, row_sums), *facts)


def row_sums(p: Array) -> Array:
    """Along the last axis."""
    return np.sum(p, -1)


def is_one(sums: Array, who: str, name: str, tolerance: float) -> Array:
    """For each row whether it sums to 1, as far as the dtype that it came in can tell."""
    return np.abs(sums - 1.0) <= tolerance


def sums_to_one(p: Array, *facts: Any) -> bool:
    """Whether every row does."""
    return bool(is_one(p.sum(-1), *facts).all())


def sum_error(total: Any, place: Place, who: str, name: str, tolerance: float) -> DomainError:
    """The error for the first row that does not."""
    return DomainError(f"{who}: {name}{place} sums to {total:g}; probabilities sum to 1")


class RowSums(Complaint):
    """The error for a row of the wrong sum, and a hint where the classes stand on axis 1."""

    def __call__(self, data: Array, *facts: Any) -> Exception:
        """The error for this data."""
        error = super().__call__(data, *facts)
        if np.ndim(data) > 2 and sums_to_one(np.moveaxis(data, 1, -1), *facts):
            hint = "along the last axis, these do along axis 1: pass np.moveaxis(..., 1, -1) of both inputs"
            return DomainError(f"{error} {hint}")
        return error


def tolerance(p: Array, is_float16: bool) -> float:
    """How far from 1 a sum may be: 1e-4, and what rounding each of the terms can do."""
    return max(1e-4, float(np.finfo(HALF if is_float16 else p.dtype).eps) * math.sqrt(p.shape[-1]))


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
    if not isinstance(q, Node) or not q.needs:
        return False
    *_, first = back(q)
    p = p.value if isinstance(p, Node) else p
    if first.op is None or foreign(q.value) or foreign(p):
        return False
    return bool(((q.value < np.finfo(q.value.dtype).tiny) & (p > 0)).any())


def log_of(who: str, name: str, p: Any, weights: Any = 0.0) -> tuple[Any, Any]:
    """The logarithm of probabilities, and where they are above 0; elsewhere it is 0, without a slope.

    Warns once of probabilities that were computed, and rounded to almost 0 where the weights are above 0.
    """
    exponent = exponent_of(p)
    if exponent is not None:
        return named(log_known(p, exponent), f"log {name}"), greater(exponent, -math.inf)
    if vanished(p, weights):
        warn_once(
            who,
            f"{who}: a probability of {name} is rounded to 0, or nearly, where it counts: how small it "
            f"was is lost, and its gradient with it. Make {name} with lo.nn.softmax or lo.nn.sigmoid, "
            f"whose scores the loss then knows",
        )
    return named(log_probability(p), f"log {name}"), greater(p, 0.0)


def exponent_of(p: Any) -> Any:
    """The v of p = exp(v), from scores; None where nobody knows, or 1 − p is all that is known."""
    origin = recipe(p)
    if origin is None or not (comes_from(origin, sigmoid) or comes_from(origin, exp)):
        return None
    if count_of(origin, subtract) and count_of(origin, divide):
        return None
    flipped = count_of(origin, subtract) % 2 == 1  # 1 − p is left of p
    if comes_from(origin, sigmoid):
        v = negative(softplus(origin.source if flipped else negative(origin.source)))
    elif not flipped:
        v = origin.source
    elif origin.axes:
        v = log_others(origin)
    else:
        return None
    return moved_along(v, origin)


def log_odds_of(p: Any) -> Any:
    """The z of p = σ(z), from scores; None where nobody knows."""
    origin = recipe(p)
    if origin is None or count_of(origin, divide):
        return None
    if comes_from(origin, sigmoid):
        z = origin.source
    elif comes_from(origin, exp) and origin.axes:
        z = origin.source - log_others(origin)
    else:
        return None
    return moved_along(negative(z) if count_of(origin, subtract) % 2 else z, origin)


def log_others(origin: Recipe) -> Any:
    """log(1 − p) of a softmax, from the log p of all the others: p near 1 has lost it."""
    log_p = origin.source
    most = greater(log_p, -0.69)  # at most one in each row; not log ½, where two equal scores would sit
    others = logsumexp(where(most, -math.inf, log_p), origin.axes[0], True)
    return where(most, others, log1p(negative(exp(where(most, -1.0, log_p)))))


def comes_from(origin: Recipe, function: Any) -> bool:
    """Whether the value was made of scores by this op."""
    return bool(origin.maker == function.op.name)


def count_of(origin: Recipe, function: Any) -> int:
    """How often this op has moved the value since."""
    return sum(op is function.op for op, _ in origin.moves)


def moved_along(x: Any, origin: Recipe) -> Any:
    """The logarithm, or the score, of what was made, moved as the probability was."""
    for op, rest in origin.moves:
        if op.apply is divide:  # e^v / b, as in a softmax written out
            (b,) = rest
            x = subtract(x, math.log(b) if isinstance(b, (int, float)) else log(b))
        elif op.apply is not subtract:
            x = op.apply(x, *rest)
    return x


def is_softmax(x: Any) -> bool:
    """Whether the graph says that this value is the output of softmax.

    That is e to a log-softmax, or e^x divided by its sum, perhaps reshaped, sliced or clipped since.
    """
    *_, first = back(x)
    while first.op is not None and first.op.name == "clip":
        x = first.parents[0]
        *_, first = back(x)
    origin = recipe(x)
    if origin is None or not comes_from(origin, exp) or count_of(origin, subtract):
        return False
    divisors = [rest[0] for op, rest in origin.moves if op.apply is divide]
    return all(is_sum_of_exp(d, origin.source) for d in divisors) if divisors else bool(origin.axes)


def is_sum_of_exp(x: Any, source: Any) -> bool:
    """Whether this is Σ e^source."""
    if not isinstance(x, Node) or x.op is None or x.op.name != "sum":
        return False
    (terms,) = x.parents
    return terms is not None and terms.op is not None and terms.op.apply is exp and terms.parents[0] is source
