"""The table, part 7: what losses need whole, because its slope or its value is lost when it is composed.

Two ops take a probability together with the exponent or the scores that it was made of (engine/scores.py):
they compute from the latter, and hand the gradient to it. The gradient by the probability is for who asks.
"""

from __future__ import annotations

import math

import numpy as np

from tinygrad_lo.engine.graph import Array, Call, Kink
from tinygrad_lo.engine.machine.sums import total
from tinygrad_lo.engine.ops.elementwise import sigmoid, softplus, tanh, where
from tinygrad_lo.engine.ops.reductions import norm
from tinygrad_lo.engine.ops.registry import Shape, op


def logs(p: Array) -> tuple[Array, Array]:
    """log p and log(1 - p), both ending at -100, without a warning at 0 and 1."""
    log_p = np.maximum(np.log(np.where(p > 0, p, 1)), -100)
    log_not = np.maximum(np.log1p(-np.where(p < 1, p, 0)), -100)
    return np.where(p > 0, log_p, -100), np.where(p < 1, log_not, -100)


def bernoulli_forward(p: Array, y: Array) -> Array:
    log_p, log_not = logs(p)
    return -(y * log_p + (1 - y) * log_not)


def floored(x: Array) -> Array:
    """At least the smallest normal number: what a slope is divided by."""
    return np.maximum(x, float(np.finfo(x.dtype).tiny))


# Of its own, because the slope of the quotient would cancel where p is small.
bernoulli_slope: Call = op("bernoulli_slope", lambda p, y: (p - y) / floored(p * (1 - p)), composite=True,
                     domain=((0.1, 0.9), (0.1, 0.9)), symbol="({0} − {1}) ÷ ({0} × (1 − {0}))",
                     spelling="({0} - {1}) / ({0} * (1 - {0}))",
                     about="The slope of bernoulli, which ends at 1 / tiny.",
                     rules=(lambda g, out, p, y: g * (y / floored(p) / floored(p) + (1 - y) / floored(1 - p) / floored(1 - p)),
                            lambda g, out, p, y: -g / floored(p * (1 - p))))  # fmt: skip


def bernoulli_by_probability(g: Array, out: Array, p: Array, y: Array, *_: Array) -> Array:
    return g * bernoulli_slope(p, y)


def bernoulli_by_target(g: Array, out: Array, p: Array, y: Array) -> Array:
    log_p, log_not = logs(p)
    return g * (log_not - log_p)


BERNOULLI = "−({1} log {0} + (1 − {1}) log(1 − {0}))"

bernoulli = op("bernoulli", bernoulli_forward, composite=True, domain=((0.1, 0.9), (0.1, 0.9)), symbol=BERNOULLI,
               spelling="-({1} * np.maximum(np.log({0}), -100) + (1 - {1}) * np.maximum(np.log1p(-{0}), -100))",
               about="Cross-entropy of a yes-or-no answer; logarithms end at -100, the slope at 1 / tiny.",
               rules=(bernoulli_by_probability,
                      bernoulli_by_target))  # fmt: skip


def bernoulli_of_scores(p: Array, y: Array, z: Array) -> Array:
    # A score that does not count may be infinite.
    return y * softplus(np.where(y > 0, -z, 0)) + (1 - y) * softplus(np.where(y < 1, z, 0))


bernoulli_known = op("bernoulli_known", bernoulli_of_scores, composite=True, domain=((0.1, 0.9), (0.1, 0.9), (-2.0, 2.0)),
                     spelling="{1} * np.logaddexp(0, -{2}) + (1 - {1}) * np.logaddexp(0, {2})", symbol=BERNOULLI,
                     about="Cross-entropy of a yes-or-no answer p = σ(z), from z.",
                     aside=bernoulli_by_probability,
                     rules=(None,
                            lambda g, out, p, y, z: -g * z,
                            lambda g, out, p, y, z: g * ((1 - y) * sigmoid(z) - y * sigmoid(-z))))  # fmt: skip


def log_by_probability(g: Array, out: Array, p: Array, *_: Array) -> Array:
    return g * (p > 0) / floored(p)


log_probability = op("log_probability", lambda p: np.log(np.where(p > 0, p, 1)), composite=True, domain=(0.1, 0.9),
                     spelling="np.log(np.where({0} > 0, {0}, 1))", symbol="log({0})",
                     about="Logarithm of a probability; of 0, where nothing is to be counted, 0 without a slope.",
                     kink=Kink(lambda y, p: p == 0), rules=(log_by_probability,))  # fmt: skip

log_known = op("log_known", lambda p, v: where(v > -np.inf, v, 0), composite=True, domain=((0.1, 0.9), (-2.0, 0.0)),
               spelling="np.where({1} > -np.inf, {1}, 0)", symbol="log({0})",
               about="Logarithm of a probability p = exp(v), from v; of 0 as in log_probability.",
               aside=log_by_probability,
               rules=(None,
                      lambda g, out, p, v: np.where(v > -np.inf, g, 0)))  # fmt: skip


def huber_forward(r: Array, delta: float) -> Array:
    c = np.clip(r, -delta, delta)
    return c * (r - 0.5 * c)


_huber = op("huber", huber_forward, options=True, composite=True, samples=((Shape(2, 3), 1), (Shape(), 0.5)),
            spelling="np.where(np.abs({0}) <= {1}, 0.5 * {0} * {0}, {1} * (np.abs({0}) - 0.5 * {1}))", symbol="huber({0}, δ = {1})",
            about="½ r² up to δ, δ|r| − ½ δ² beyond; squares nothing larger than δ.",
            kink=Kink(lambda y, r, delta: np.abs(r) == delta),
            rules=(lambda g, y, r, delta: g * np.clip(r, -delta, delta),))  # fmt: skip


def log_cosh_forward(r: Array) -> Array:
    # log1p(cosh r − 1) keeps the digits of ½ r² near 0; beyond, nothing overflows.
    a = np.abs(r)
    near = np.log1p(2 * np.square(np.sinh(np.minimum(a, 1) / 2)))
    return where(a < 1, near, a + np.log1p(np.exp(-2 * np.minimum(a, 400))) - math.log(2))


log_cosh = op("log_cosh", log_cosh_forward, composite=True, symbol="log(cosh({0}))",
              spelling="np.logaddexp({0}, -{0}) - np.log(2)", about="Logarithm of cosh: ½ r² near 0, |r| − log 2 far off.",
              rules=(lambda g, y, r: g * tanh(r),))  # fmt: skip


def direction_forward(x: Array) -> Array:
    # By the largest element first, so that no length overflows or loses digits.
    top = np.max(np.abs(x), axis=-1, keepdims=True)
    x = x / np.where(top > 0, top, 1)
    length = np.sqrt(total(x * x, -1, True))
    return x / np.where(length > 0, length, 1)


def direction_rule(g: Array, y: Array, x: Array) -> Array:
    n = x.shape[-1]  # the length of x / n is a number, as its elements are
    length = norm(x / n, -1, True)
    # Not where the length is 0: that of numbers next to 0 may vanish, and their slope is too large to say.
    there = np.max(np.abs(x), axis=-1, keepdims=True) > 0
    return np.where(there, (g - y * (g * y).sum(axis=-1, keepdims=True)) / n / np.where(there, length, 1), 0)


direction = op("direction", direction_forward, composite=True, symbol="{0} ÷ ‖{0}‖", samples=((Shape(2, 3),), (Shape(3),)),
               spelling="{0} / np.sqrt(np.sum({0} * {0}, -1, keepdims=True))",
               about="Vectors along the last axis with length 1; of a zero vector 0, with slope 0.",
               kink=Kink(lambda y, x: np.broadcast_to(np.max(np.abs(x), -1, keepdims=True) == 0, x.shape)),
               rules=(direction_rule,))  # fmt: skip

cosine = op("cosine", lambda u, v: np.clip(total(u * v, -1), -1, 1), composite=True, symbol="{0} · {1}", domain=(-0.5, 0.5),
            samples=((Shape(2, 3), Shape(2, 3)), (Shape(3), Shape(3))), spelling="np.clip(np.sum({0} * {1}, -1), -1, 1)",
            about="Inner product of vectors of length 1, which rounding must not lead out of [-1, 1].",
            rules=(lambda g, y, u, v: np.expand_dims(g, -1) * v,
                   lambda g, y, u, v: np.expand_dims(g, -1) * u))  # fmt: skip


def huber(r: Array, delta: float) -> Array:
    """The Huber loss of residuals. A δ beyond all numbers of the dtype never clips."""
    return _huber(r, min(delta, float(np.finfo(r.dtype).max)))
