"""Information: how surprising outcomes are, and what it costs to expect the wrong ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_lo.engine.beside import check
from tinygrad_lo.engine.call import remembered
from tinygrad_lo.engine.graph import Node, named, scoped, tick
from tinygrad_lo.engine.ops.arithmetic import divide, greater, multiply, subtract
from tinygrad_lo.engine.ops.elementwise import as_float, log, where
from tinygrad_lo.engine.ops.reductions import sum as total
from tinygrad_lo.engine.values import foreign, plain, shape_of
from tinygrad_lo.errors import ShapeError
from tinygrad_lo.losses.checks import (
    in_unit_interval,
    outside_of_unit,
    pair_of,
    reduce,
    sums_to_one,
    unit_of,
    wrong_sum,
)


def information(p: Any, *, base: float = math.e) -> Any:
    """How surprising an outcome of probability p is when it happens: rare ones tell more.

        I = −log p

    Shapes:   p: any; result: the same.
    Units:    nats; bits with base=2.
    At the edges: of a certain outcome 0; of an impossible one inf, with gradient 0 there, because no
              number would be right.
    Raises:   DomainError: a probability outside [0, 1].  OptionError: a bad base.
    Source:   lecture 004; Shannon 1948.
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.losses.information([1.0, 0.5, 0.125], base=2).tolist()
        [0.0, 1.0, 3.0]
    """
    began = tick()
    who = "information"
    unit = unit_of(who, base)
    p = probabilities(who, "p", number_of(who, p))
    possible = greater(p, 0.0)
    # 0 − log 1 is 0, where −log 1 would be −0.
    surprise = where(possible, subtract(0.0, log_of(p, "p")), math.inf)
    return scoped(who, began, in_unit(surprise, unit))


def entropy(p: Any, *, base: float = math.e) -> Any:
    """The information that an outcome of the distribution p brings on average: its uncertainty.

        H(p) = −Σ_x p_x log p_x,  0 log 0 = 0

    Shapes:   p (..., C), a distribution along the last axis; result (...).
    Units:    nats; bits with base=2.
    At the edges: 0 when one outcome is certain, log C when all are equally likely. An outcome of
              probability 0 adds nothing and gets the gradient 0.
    Raises:   DomainError: a probability outside [0, 1], a row that does not sum to 1.  ShapeError: no
              axis of outcomes, or nothing along it.  OptionError: a bad base.
    Source:   lecture 004; Shannon 1948. scipy.stats.entropy divides p by its sum instead of raising.
    Example:
        >>> import tinygrad_lo as lo
        >>> float(lo.losses.entropy([0.5, 0.25, 0.25, 0.0], base=2))
        1.5
    """
    began = tick()
    who = "entropy"
    unit = unit_of(who, base)
    p = distribution(who, "p", number_of(who, p))
    # The same terms as in distribution_cross_entropy, so that H(p, p) is H(p) to the last bit.
    h = total(multiply(p, subtract(0.0, log_of(p, "p"))), -1)
    return scoped(who, began, in_unit(h, unit))


def distribution_cross_entropy(p: Any, q: Any, *, base: float = math.e) -> Any:
    """What outcomes of p cost on average in the code that is best for q; at least H(p).

    For the scores of a classifier use cross_entropy, which is finite where the softmax q is rounded to 0.

        H(p, q) = −Σ_x p_x log q_x

    Shapes:   p, q (..., C), distributions along the last axis; result (...).
    Units:    nats; bits with base=2.
    At the edges: an outcome with p = 0 adds nothing, whatever q is; one with q = 0 and p > 0 makes it
              inf, and where q = 0 the gradient is 0.
    Raises:   DomainError: a probability outside [0, 1], a row that does not sum to 1.  ShapeError: the
              shapes differ, no axis of outcomes.  OptionError: a bad base.
    Source:   lecture 004.
    Example:
        >>> import tinygrad_lo as lo
        >>> float(lo.losses.distribution_cross_entropy([0.5, 0.5, 0.0], [0.25, 0.5, 0.25], base=2))
        1.5
    """
    began = tick()
    who = "distribution_cross_entropy"
    unit = unit_of(who, base)
    p, q = distributions(who, p, q)
    terms = multiply(p, subtract(0.0, log_of(q, "q")))
    h = total(infinite_where_missed(terms, p, q), -1)
    return scoped(who, began, in_unit(h, unit))


def kl_divergence(p: Any, q: Any, *, base: float = math.e, reduction: str = "mean") -> Any:
    """What it costs on average to expect q where p is true, beyond what p costs itself.

    p is the true distribution and q the model's. It is no distance: KL(p‖q) is not KL(q‖p). As p does
    not depend on the model, it has the gradient of the cross-entropy.

        KL(p‖q) = Σ_x p_x (log p_x − log q_x) = H(p, q) − H(p)

    Shapes:   p, q (..., C), distributions along the last axis; result () or, with reduction="none",
              (...). A 1-d array is one distribution; the mean is over distributions.
    Units:    nats; bits with base=2: the extra bits of the wrong code.
    At the edges: exactly 0 for equal p and q, and never below except by rounding. An outcome with p = 0
              adds nothing; one with q = 0 and p > 0 makes it inf, and where q = 0 the gradient is 0.
    Raises:   DomainError: a probability outside [0, 1], a row that does not sum to 1.  ShapeError: the
              shapes differ, no axis of outcomes, or nothing to average.  OptionError: a bad base, an
              unknown reduction.
    Source:   lectures 003 and 004; Kullback and Leibler 1951. PyTorch's kl_div(log q, p) takes them in
              the other order and averages over all elements; its "batchmean" is this mean.
    Example:
        >>> import tinygrad_lo as lo
        >>> float(lo.losses.kl_divergence([1.0, 0.0], [0.5, 0.5], base=2))
        1.0
        >>> p, q = [[0.4, 0.6], [1.0, 0.0]], [[0.2, 0.8], [0.5, 0.5]]
        >>> lo.losses.kl_divergence(p, q, reduction="none").round(6).tolist()
        [0.10465, 0.693147]
    """
    began = tick()
    who = "kl_divergence"
    unit = unit_of(who, base)
    p, q = distributions(who, p, q)
    # Not as H(p, q) − H(p): between nearly equal distributions that would lose what is left.
    terms = multiply(p, subtract(log_of(p, "p"), log_of(q, "q")))
    losses = in_unit(total(infinite_where_missed(terms, p, q), -1), unit)
    return scoped(who, began, reduce(who, named(losses, "L_i"), reduction))


# ----------------------------------------------------------------------------------- ingredients


def log_of(p: Any, name: str) -> Any:
    """The logarithm of probabilities; of 0, which has none, 0 without a gradient."""
    # The 1 goes in before the logarithm: chosen behind it, 0 · (1/0) would make the gradient nan.
    return named(log(where(greater(p, 0.0), p, 1.0)), f"log {name}")


def infinite_where_missed(terms: Any, p: Any, q: Any) -> Any:
    """The terms, inf where q rules out what p allows."""
    missed = remembered(where, greater(q, 0.0), 0.0, p)
    return where(remembered(greater, missed, 0.0), math.inf, terms)


def in_unit(nats: Any, unit: float) -> Any:
    """From nats to the unit of the base."""
    return nats if unit == 1.0 else divide(nats, unit)


# ---------------------------------------------------------------------------------------- checks


def number_of(who: str, p: Any) -> Any:
    """A tensor as it is, all else as an array, in floating point."""
    return as_float(p if isinstance(p, Node) or foreign(p) else np.asarray(plain(p, who)), None)


def probabilities(who: str, name: str, p: Any) -> Any:
    """Every element in [0, 1]; nan is not."""
    # The facts that both functions of a check get: who, what is out of range, and what to do.
    return check(
        p, in_unit_interval, outside_of_unit, who, f"{name} has the probability", "; of scores take softmax"
    )


def distributions(who: str, p: Any, q: Any) -> tuple[Any, Any]:
    """Two distributions, or batches of them, of one shape."""
    p, q = pair_of(who, p, q, names=("p", "q"))
    return distribution(who, "p", p), distribution(who, "q", q)


def distribution(who: str, name: str, p: Any) -> Any:
    """Probabilities that sum to 1 along the last axis."""
    shape = shape_of(p)
    if not shape:
        raise ShapeError(f"{who}: {name} must have an axis of outcomes, got one number; write [p, 1 - p]")
    if 0 in shape:
        raise ShapeError(f"{who}: no probabilities: {name} has shape {shape}")
    return check(probabilities(who, name, p), sums_to_one, wrong_sum, who, name)
