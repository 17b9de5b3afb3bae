"""Random search: the lecture's "first very bad idea"."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lo.engine.machine.random import generator
from tinygrad_lo.errors import DTypeError, NonFiniteError
from tinygrad_lo.optim.schedule import loss_as_float
from tinygrad_lo.options import public, whole


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What random search has found: the first candidate with the lowest loss, and how it came.

    `history` has the records as (try, loss): when the best so far was beaten, and by what. Tries count
    from 0; `steps` is their number.
    """

    best: Any
    loss: float
    history: list[tuple[int, float]]
    steps: int

    def __repr__(self) -> str:
        return f"SearchResult(loss={self.loss:.6g} at try {self.history[-1][0]} of {self.steps})"


@public
def random_search(
    loss_of: Callable[[Any], Any], sample: Callable[[np.random.Generator], Any], steps: int, *,
    rng: Any = None,
) -> SearchResult:  # fmt: skip
    """Try `steps` random candidates and keep the best: strategy number one, a very bad idea.

    `sample(rng)` draws a candidate with the generator it is given, `loss_of(candidate)` is its loss, a
    number or a tensor. Nothing is learned from one try to the next: of losses that are all different,
    try number n (from 1) is a record with probability 1/n, so 1000 tries bring about 7.5 records.

        best loss = min of loss_of(sample(rng)) over the tries

    At the edges: a loss of inf is a bad candidate; ties keep the earlier one. The best array is copied.
    Raises:   NonFiniteError: a loss is nan or −inf, or all inf.  ShapeError, DTypeError: a loss is not one
              number.  OptionError: steps is not an int >= 1.  DTypeError: loss_of or sample is not callable.
    Source:   lecture 002: 1000 random W for the linear classifier, 15.5 % accuracy.
    Example:
        >>> import tinygrad_lo as lo
        >>> candidates = iter([3.0, 1.0, 2.0, 0.5])
        >>> result = lo.optim.random_search(lambda w: w**2, lambda rng: next(candidates), steps=4)
        >>> result.best, result.loss, result.history
        (0.5, 0.25, [(0, 9.0), (1, 1.0), (3, 0.25)])
    """
    who = "random_search"
    for name, function in (("loss_of", loss_of), ("sample", sample)):
        if not callable(function):
            raise DTypeError(f"{who}: {name} must be a function, got {type(function).__name__}")
    steps = whole(who, "steps", steps)
    rng = generator(rng)
    best, lowest, history = None, math.inf, []
    for i in range(steps):
        candidate = sample(rng)
        loss = loss_as_float(who, loss_of(candidate))
        if math.isnan(loss) or loss == -math.inf:
            raise NonFiniteError(f"{who}: the loss of try {i} is {loss}; expected a number to compare")
        if loss < lowest:
            best = candidate.copy() if isinstance(candidate, np.ndarray) else candidate
            lowest = loss
            history.append((i, loss))
    if not history:
        raise NonFiniteError(f"{who}: the loss of all {steps} tries is inf; sample smaller candidates")
    return SearchResult(best, lowest, history, steps)
