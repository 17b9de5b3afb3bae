"""Regularizers: a price on the weights themselves, so that simpler models win."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Node, scoped, tick
from tinygrad_lo.engine.ops.arithmetic import add, multiply, square
from tinygrad_lo.engine.ops.reductions import sum as total
from tinygrad_lo.engine.values import plain
from tinygrad_lo.errors import DTypeError, OptionError


def l2(params: Any, *, half: bool = False) -> Any:
    """The sum of squared weights: it likes weights that are small and spread out.

        R(W) = Σ W²          half=True:  ½ Σ W²

    Multiply it by the regularization strength: `loss = data_loss + 1e-3 * lo.losses.l2([W1, W2])`.
    Leave the biases out of the list, as the lectures do.

    Shapes:   a tensor or array of any shape, or a list of them; result ().
    Units:    the weight's unit squared; factors differ by author: Σ W² (lectures 000, 002), ½ ‖W‖² (004).
    Raises:   OptionError: an empty list (was a generator used twice?).
    Source:   lectures 000 and 002.
    Example:
        >>> import tinygrad_lo as lo
        >>> float(lo.losses.l2([[0.25, 0.25, 0.25, 0.25]])), float(lo.losses.l2([[0.0, 1.0, 0.0, 0.0]]))
        (0.25, 1.0)
    """
    began = tick()
    out = None
    for w in parameters("l2", params):
        s = total(square(w))
        out = s if out is None else add(out, s)
    return scoped("l2", began, multiply(out, 0.5) if half else out)


def parameters(who: str, params: Any) -> list[Any]:
    """One tensor or array, or a list of them, as a list."""
    if isinstance(params, (Node, np.ndarray)):
        return [params]
    if not isinstance(params, Iterable) or isinstance(params, str):
        raise DTypeError(f"{who}: expected a tensor or a list of tensors, got {params!r}")
    found = [w if isinstance(w, Node) else np.asarray(plain(w, who)) for w in params]
    if not found:
        raise OptionError(f"{who}: empty list of parameters (was a generator used twice?)")
    return found
