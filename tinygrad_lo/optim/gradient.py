"""Gradient descent and its momenta."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tinygrad_lo.engine.graph import Array
from tinygrad_lo.errors import OptionError
from tinygrad_lo.optim.optimizer import Check, Group, Optimizer, flag, fraction, not_negative


class SGD(Optimizer):
    """Gradient descent, with momentum, Nesterov's look-ahead and weight decay.

        g ← ∇f(w) + weight_decay · w
        without momentum:            w ← w − lr · g
        momentum μ:                  v ← μ v + (1 − dampening) · lr · g       w ← w − v
        nesterov:                                                             w ← w − (lr · g + μ v)
        lr_in_velocity=False:        v ← μ v + (1 − dampening) · g            w ← w − lr · v

    The first velocity is the first gradient itself, without dampening. With a constant learning rate
    both forms of the velocity are equal; when it changes, the lectures' form keeps old steps as they
    were, PyTorch's rescales them.

    Raises:   OptionError: a parameter list that is empty, or options that are not finite, out of
              range or unknown; nesterov without momentum or with dampening.
    Source:   lectures 000 and 003 (v ← γv + η∇f, θ ← θ − v); Sutskever et al. 2013 for Nesterov.
              PyTorch is lr_in_velocity=False.
    Example:
        >>> import tinygrad_lo as lo
        >>> W, b = lo.Parameter([2.0], name="W"), lo.Parameter([1.0], name="b")
        >>> opt = lo.optim.SGD([{"params": [W], "weight_decay": 0.5}, {"params": [b]}], lr=0.1)
        >>> (W * b).sum().backward()
        >>> opt.step()  # W: 2 − 0.1 (1 + 0.5 · 2);  b: 1 − 0.1 · 2
        >>> print(W.data, b.data)
        [1.8] [0.8]
    """

    checks: ClassVar[dict[str, Check]] = {
        "lr": not_negative,
        "momentum": fraction,
        "dampening": not_negative,
        "nesterov": flag,
        "weight_decay": not_negative,
        "lr_in_velocity": flag,
    }

    def __init__(
        self,
        params: Any,
        lr: float,
        *,
        momentum: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        lr_in_velocity: bool = True,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            nesterov=nesterov,
            weight_decay=weight_decay,
            lr_in_velocity=lr_in_velocity,
        )

    def check_group(self, group: Group) -> None:
        """Nesterov's form has no meaning without momentum, or with dampening."""
        if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
            raise OptionError(
                f"SGD: group {group.number}: nesterov needs momentum > 0 and dampening 0, got "
                f"momentum={group['momentum']}, dampening={group['dampening']}"
            )

    def rule(self, w: Array, g: Array, state: dict[str, Array], group: Group) -> Array:
        """One step of one parameter."""
        lr = group["lr"]
        if group["weight_decay"]:
            g = g + group["weight_decay"] * w
        if group["momentum"]:
            return w - self.velocity_step(g, lr, state, group)
        move = lr * g
        # The temporary becomes the new parameter: one new array a step, not two.
        return np.subtract(w, move, move) if type(move) is np.ndarray else w - move

    def velocity_step(self, g: Array, lr: float, state: dict[str, Array], group: Group) -> Array:
        """How far to go with momentum; remembers the velocity v."""
        momentum = group["momentum"]
        pull = lr * g if group["lr_in_velocity"] else g
        v = state.get("v")
        # +pull is a copy: without lr in it, pull is the gradient itself, which is not ours to keep.
        v = +pull if v is None else momentum * v + (1.0 - group["dampening"]) * pull
        state["v"] = v
        move = pull + momentum * v if group["nesterov"] else v
        return move if group["lr_in_velocity"] else lr * move
