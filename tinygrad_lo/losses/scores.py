"""Logarithms and odds of probabilities from the scores that they were made of, where those are known."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_lo.engine.machine.caller import warn_once
from tinygrad_lo.engine.naming import named
from tinygrad_lo.engine.ops.arithmetic import greater, negative, subtract
from tinygrad_lo.engine.ops.elementwise import exp, log, log1p, softplus, where
from tinygrad_lo.engine.ops.losses import log_known, log_probability
from tinygrad_lo.engine.ops.reductions import logsumexp
from tinygrad_lo.engine.scores import Recipe, recipe
from tinygrad_lo.losses.checks import vanished


def log_of(who: str, name: str, p: Any, weights: Any = 0.0) -> tuple[Any, Any]:
    """The logarithm of probabilities, and where they are above 0; elsewhere it is 0, without a slope.

    Warns once of probabilities that were computed, and rounded to almost 0 where the weights are above 0.
    """
    exponent = exponent_of(p)
    if exponent is None:
        if vanished(p, weights):
            warn_once(
                who,
                f"{who}: a probability of {name} is rounded to 0, or nearly, where it counts: how small it "
                f"was is lost, and its gradient with it. Make {name} with lo.nn.softmax or lo.nn.sigmoid, "
                f"whose scores the loss then knows",
            )
        return named(log_probability(p), f"log {name}"), greater(p, 0.0)
    return named(log_known(p, exponent), f"log {name}"), greater(exponent, -math.inf)


def exponent_of(p: Any) -> Any:
    """The v of p = exp(v), from scores; None where nobody knows, or 1 − p is all that is known."""
    found = recipe(p)
    if found is None or found.maker == "log_softmax":
        return None
    steps = [op.name for op, _ in found.moves]
    if "subtract" in steps and "divide" in steps:
        return None
    if found.maker == "sigmoid":
        return moved(negative(softplus(found.source if flipped(steps) else negative(found.source))), found)
    if not flipped(steps):
        return moved(found.source, found)
    return moved(log_others(found), found) if found.axes else None


def log_odds_of(p: Any) -> Any:
    """The z of p = σ(z), from scores; None where nobody knows."""
    found = recipe(p)
    steps = [op.name for op, _ in found.moves] if found is not None else ["divide"]
    if found is None or "divide" in steps:
        return None
    if found.maker == "sigmoid":
        z = found.source
    elif found.maker == "exp" and found.axes:
        z = subtract(found.source, log_others(found))
    else:
        return None
    return moved(negative(z) if flipped(steps) else z, found)


def log_others(found: Recipe) -> Any:
    """log(1 − p) of a softmax, from the log p of all the others: p near 1 has lost it."""
    log_p = found.source
    most = greater(log_p, -0.69)  # at most one in each row; not log ½, where two equal scores would sit
    others = logsumexp(where(most, -math.inf, log_p), found.axes[0], True)
    return where(most, others, log1p(negative(exp(where(most, -1.0, log_p)))))


def flipped(steps: list[str]) -> bool:
    """Whether 1 − p is left of p."""
    return steps.count("subtract") % 2 == 1


def moved(x: Any, found: Recipe) -> Any:
    """The logarithm, or the score, of what was made, moved as the probability was."""
    for op, rest in found.moves:
        if op.name == "divide":  # e^v / b, as in a softmax written out
            (b,) = rest
            x = subtract(x, math.log(b) if isinstance(b, (int, float)) else log(b))
        elif op.name != "subtract":
            x = op.apply(x, *rest)
    return x
