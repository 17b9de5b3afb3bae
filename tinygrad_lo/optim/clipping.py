"""Gradients that are kept from becoming too large, by their norm or one by one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import float64

from tinygrad_lo.engine.graph import Array
from tinygrad_lo.engine.leaves import replace_gradient
from tinygrad_lo.engine.machine.arguments import foreign
from tinygrad_lo.errors import NonFiniteError, OptionError
from tinygrad_lo.names import named_leaves
from tinygrad_lo.options import number, public

UNCLIPPED = "nothing was clipped; lo.anomaly() around the forward and backward pass names the op"


def with_gradients(who: str, params: Any) -> list[tuple[str, Any]]:
    """(quoted name, parameter) of those that have a gradient and are not frozen.

    Raises:   OptionError: none has.
    """
    live = [
        (f"parameter {i}" if name is None else repr(name), p)
        for i, (name, p) in enumerate(named_leaves(who, params))
        if p.arrived is not None and p.needs
    ]
    if not live:
        raise OptionError(f"{who}: no parameter has a gradient; call loss.backward() first")
    return live


def upper_bound(who: str, name: str, value: Any) -> float:
    """An upper bound: above 0; inf bounds nothing."""
    if isinstance(value, (float, np.floating)) and value == math.inf:
        return math.inf
    return number(who, name, value, above=0.0)


def where_not_finite(x: Array) -> str:
    """'nan' or 'inf', if an array has one of them; else nothing."""
    if np.isfinite(x).all():
        return ""
    return "nan" if np.isnan(x).any() else "inf"


def norm_of(g: Array) -> float:
    """√Σg² in float64, also where the squares would leave its range; inf or nan if g has one."""
    g = g.astype(float64, copy=False)
    if not foreign(g):
        square = float(np.vdot(g, g))  # the quickest; enough where no square was lost
        if 1e-280 < square < math.inf:
            return math.sqrt(square)
    largest = float(abs(g).max()) if g.size else 0.0
    if largest == 0.0 or not math.isfinite(largest):
        return largest
    exponent = math.frexp(largest)[1]  # by a power of two, nothing is rounded
    scaled = np.ldexp(g, -exponent)
    try:
        return math.ldexp(math.sqrt(float((scaled * scaled).sum())), exponent)
    except OverflowError:
        return math.inf


@public
def clip_grad_norm(params: Any, max_norm: float) -> float:
    """Shrink all gradients together so that their norm is at most max_norm; give the norm before.

    The direction stays: one factor for all. Gradients within the bound stay as they are; others are new
    arrays. With max_norm=inf it only measures. The norm is a number, so lazy gradients are computed here.

        norm = √(Σ over parameters and elements of g²)
        g ← g · max_norm / norm     if norm > max_norm

    Raises:   NonFiniteError: a norm is nan or inf, by the parameter's name; nothing was changed.
              OptionError: max_norm <= 0 or nan; a list that is empty or has no gradient in it.
    Source:   Pascanu, Mikolov and Bengio 2013, algorithm 1. PyTorch divides by norm + 1e-6.
    Example:
        >>> import tinygrad_lo as lo
        >>> W = lo.Parameter([1.0, 1.0])
        >>> W.grad = [3.0, 4.0]
        >>> lo.optim.clip_grad_norm(W, max_norm=1.0), W.grad.tolist()
        (5.0, [0.6000000000000001, 0.8])
    """
    who = "clip_grad_norm"
    bound = upper_bound(who, "max_norm", max_norm)
    live = with_gradients(who, params)
    norms = [norm_of(p.arrived) for _, p in live]
    for (name, _), norm in zip(live, norms, strict=True):
        if not math.isfinite(norm):
            raise NonFiniteError(f"{who}: norm of {name} is {norm}, {UNCLIPPED}")
    total = math.hypot(*norms)  # scales by itself
    if total == math.inf:
        all_of_them = f"the norm of all {len(live)} gradients together"
        raise NonFiniteError(f"{who}: {all_of_them} is inf, nothing was clipped")
    if total > bound:
        factor = bound / total
        for _, p in live:
            g = p.arrived
            # In float64: a small factor is no normal number of float32 or float16.
            replace_gradient(p, (g.astype(float64, copy=False) * factor).astype(g.dtype, copy=False))
    return total


@public
def clip_grad_value(params: Any, limit: float) -> None:
    """Cut every element of every gradient to [−limit, limit], in new arrays. This changes the direction.

        g ← min(max(g, −limit), limit)

    Raises:   NonFiniteError: a gradient has nan or inf, by the parameter's name; nothing was changed.
              OptionError: limit <= 0 or nan; a list that is empty or has no gradient in it.
    Source:   torch.nn.utils.clip_grad_value_, which lets nan through and cuts inf.
    Example:
        >>> import tinygrad_lo as lo
        >>> W = lo.Parameter([1.0, 1.0])
        >>> W.grad = [3.0, -0.5]
        >>> lo.optim.clip_grad_value(W, limit=1.0)
        >>> print(W.grad)
        [ 1.  -0.5]
    """
    who = "clip_grad_value"
    bound = upper_bound(who, "limit", limit)
    live = with_gradients(who, params)
    for name, p in live:
        if kind := where_not_finite(p.arrived):
            raise NonFiniteError(f"{who}: grad of {name} has {kind}, {UNCLIPPED}")
    for _, p in live:
        # A limit beyond the dtype's range would overflow in the comparison.
        largest = min(bound, float(np.finfo(p.arrived.dtype).max))
        replace_gradient(p, np.clip(p.arrived, -largest, largest))
