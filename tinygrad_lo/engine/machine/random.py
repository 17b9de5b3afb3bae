"""One generator for everything that takes rng=None, so that one seed repeats a whole script."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_lo.errors import OptionError
from tinygrad_lo.options import is_whole, public, whole

_shared = np.random.default_rng()


@public
def seed(n: int) -> None:
    """Start the library's random numbers anew: shuffles, initial weights, dropout masks.

    Whatever takes `rng=None` draws from this one generator. Without a seed, runs differ.

    Raises:   OptionError: n is not an int >= 0.
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.seed(1)
        >>> [len(batch) for (batch,) in lo.data.minibatches([1, 2, 3], batch_size=2)]
        [2, 1]
    """
    global _shared
    _shared = np.random.default_rng(whole("seed", "n", n, 0))


def generator(rng: Any = None) -> np.random.Generator:
    """The generator to draw from: the given one, a new one from an int, or the shared one."""
    if rng is None:
        return _shared
    if isinstance(rng, np.random.Generator):
        return rng
    if is_whole(rng) and rng >= 0:
        return np.random.default_rng(rng)
    raise OptionError(f"rng must be a numpy.random.Generator, an int >= 0 or None, got {rng!r}")
