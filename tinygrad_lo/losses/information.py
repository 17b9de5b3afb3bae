"""Information: how surprising outcomes are, and what it costs to expect the wrong ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_lo.engine.machine.hooks import remembered
from tinygrad_lo.engine.naming import named
from tinygrad_lo.engine.ops.arithmetic import greater
from tinygrad_lo.engine.ops.elementwise import where
from tinygrad_lo.engine.ops.reductions import log_softmax
from tinygrad_lo.engine.ops.reductions import sum as total
from tinygrad_lo.losses.loss import base_of, entering, in_base, inputs_of, loss
from tinygrad_lo.losses.probabilities import distribution, log_of, probability

OUTCOMES = "outcomes, as in [p, 1 - p]"
TWO = inputs_of("p", "q", last=OUTCOMES, each=distribution)


def distribution_and_scores(who: str, p: Any, scores: Any) -> tuple[tuple[Any, ...], bool]:
    """A distribution and scores, which say in which dtype to compute.

    Shapes:   p, scores: equal, (..., C); result (...).
    Raises:   ShapeError: the shapes differ, or there are no samples.
    """
    (scores, p), is_float16 = inputs_of("scores", "p", last="outcomes")(who, scores, p)
    return (distribution(who, "p", entering(p, "p", scores), is_float16), scores), is_float16


@loss(inputs_of("p", each=probability), base=base_of)
def information(p: Any, *, base: float = math.e) -> Any:
    """How surprising an outcome of probability p is when it happens: rare ones tell more.

        I = −log p

    Units:    nats; bits with base=2.
    At the edges: of a certain outcome 0; of an impossible one inf, with gradient 0.
    Raises:   DomainError: a value is outside [0, 1].
    Source:   lecture 004 (its I ∝ 1/p means log 1/p); Shannon 1948.
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.losses.information([1.0, 0.5, 0.125], base=2).tolist()
        [0.0, 1.0, 3.0]
    """
    log_p, possible = log_of("information", "p", p, 1.0)
    # 0 − log 1 is 0, where −log 1 would be −0.
    return in_base(where(possible, 0.0 - log_p, math.inf), base)


@loss(inputs_of("p", last=OUTCOMES, each=distribution), base=base_of)
def entropy(p: Any, *, base: float = math.e) -> Any:
    """The information that an outcome of the distribution p brings on average: its uncertainty.

        H(p) = −Σ_x p_x log p_x,  0 log 0 = 0

    Units:    nats; bits with base=2.
    At the edges: 0 when one outcome is certain, log C when all are equally likely. An outcome of
              probability 0 adds nothing and gets the gradient 0.
    Raises:   DomainError: a value is outside [0, 1], or a row does not sum to 1.
    Source:   lecture 004; Shannon 1948. scipy.stats.entropy divides p by its sum instead of raising.
    Example:
        >>> import tinygrad_lo as lo
        >>> float(lo.losses.entropy([0.5, 0.25, 0.25, 0.0], base=2))
        1.5
    """
    log_p, _ = log_of("entropy", "p", p)
    # The same terms as in distribution_cross_entropy, so that H(p, p) is H(p) to the last bit.
    return in_base(total(p * (0.0 - log_p), -1), base)


@loss(TWO, base=base_of)
def distribution_cross_entropy(p: Any, q: Any, *, base: float = math.e) -> Any:
    """What outcomes of p cost on average in the code that is best for q; at least H(p).

    For the scores of a classifier use cross_entropy, which is finite where the softmax q is rounded to 0.

        H(p, q) = −Σ_x p_x log q_x

    Units:    nats; bits with base=2.
    At the edges: an outcome with p = 0 adds nothing, whatever q is; one with q = 0 and p > 0 makes it
              inf, and where q = 0 the gradient is 0.
    Raises:   DomainError: a value is outside [0, 1], or a row does not sum to 1.
    Source:   lecture 004.
    Example:
        >>> import tinygrad_lo as lo
        >>> float(lo.losses.distribution_cross_entropy([0.5, 0.5, 0.0], [0.25, 0.5, 0.25], base=2))
        1.5
    """
    log_q, possible = log_of("distribution_cross_entropy", "q", q, p)
    return in_base(total(infinite_where_missed(p * (0.0 - log_q), p, possible), -1), base)


@loss(TWO, base=base_of)
def kl_divergence(
    p: Any, q: Any, *, base: float = math.e, weights: Any = None, reduction: str = "mean"
) -> Any:
    """What it costs on average to expect q where p is true, beyond what p costs itself.

    p is the true distribution and q the model's; KL(p‖q) is not KL(q‖p). The mean is over distributions.

        KL(p‖q) = Σ_x p_x (log p_x − log q_x) = H(p, q) − H(p)

    Units:    nats; bits with base=2: the extra bits of the wrong code.
    At the edges: exactly 0 for equal p and q, and never below except by rounding. An outcome with p = 0
              adds nothing; one with q = 0 and p > 0 makes it inf, and where q = 0 the gradient is 0.
    Raises:   DomainError: a value is outside [0, 1], or a row does not sum to 1.
    Source:   lectures 003 and 004; Kullback and Leibler 1951. PyTorch's kl_div(log q, p) takes them in
              the other order and averages over all elements; its "batchmean" is this mean.
    Example:
        >>> import tinygrad_lo as lo
        >>> float(lo.losses.kl_divergence([1.0, 0.0], [0.5, 0.5], base=2))
        1.0
    """
    log_q, possible = log_of("kl_divergence", "q", q, p)
    return divergence("kl_divergence", p, log_q, possible, base)


@loss(distribution_and_scores, base=base_of)
def kl_divergence_with_logits(
    p: Any, scores: Any, *, base: float = math.e, weights: Any = None, reduction: str = "mean"
) -> Any:
    """The KL divergence of p from the softmax of scores, exact at any finite scores.

    For distillation and soft labels: the gradient of `cross_entropy(scores, p)`, and the value of that less
    the entropy of p. The mean is over distributions.

        KL(p‖q) = Σ_x p_x (log p_x − log q_x),  log q = log softmax s = s − log Σ_j e^(s_j)

    Units:    nats; bits with base=2.
    At the edges: an outcome with p = 0 adds nothing, also where its score is −inf; one with p > 0 there
              makes the loss inf. The gradient by the scores is q − p.
    Raises:   DomainError: a value is outside [0, 1], or a row does not sum to 1.
    Source:   lectures 003 and 004. PyTorch: kl_div(log_softmax(scores), p, reduction="batchmean").
    Example:
        >>> import tinygrad_lo as lo
        >>> round(float(lo.losses.kl_divergence_with_logits([0.5, 0.5], [0.0, 800.0])), 3)  # 400 − log 2
        399.307
    """
    v = log_softmax(scores, -1)
    possible = greater(v, -math.inf)
    log_q = named(where(possible, v, 0.0), "log q")
    return divergence("kl_divergence_with_logits", p, log_q, possible, base)


def divergence(who: str, p: Any, log_q: Any, possible: Any, base: float) -> Any:
    """KL(p‖q) of every row, from log q and where q is above 0."""
    # Not as H(p, q) − H(p): between nearly equal distributions that would lose what is left.
    terms = p * (log_of(who, "p", p)[0] - log_q)
    nats = total(infinite_where_missed(terms, p, possible), -1)
    return named(in_base(nats, base), "L_i")


def infinite_where_missed(terms: Any, p: Any, possible: Any) -> Any:
    """The terms, inf where q rules out what p allows."""
    missed = remembered(where, possible, 0.0, p)
    # Not > 0: where nothing is missed, the comparison would sit on its threshold exactly.
    least = float(np.finfo(terms.dtype).smallest_subnormal)
    return where(remembered(greater, missed, least), math.inf, terms)
