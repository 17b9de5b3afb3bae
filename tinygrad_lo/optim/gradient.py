"""Gradient descent and its momenta."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import repeat
from operator import attrgetter
from typing import Any, ClassVar

from numpy import array, clip, copy, empty_like, multiply, ndarray, subtract

from tinygrad_lo.engine.graph import Array
from tinygrad_lo.engine.leaves import stepped
from tinygrad_lo.optim.groups import ParamGroup
from tinygrad_lo.optim.optimizer import ARRAYS, Optimizer, decayed, gradient_line, minus
from tinygrad_lo.options import public

DTYPE = attrgetter("dtype")
NO_STATE = repeat(None)


def descend(w: Array, g: Array, _: Any, lr: Any) -> Array:
    """Gradient descent. The temporary becomes the new parameter: one new array a step, not two."""
    move = lr * g
    return subtract(w, move, move) if type(move) is ndarray else w - move


def soft_threshold(w: Array, amount: float) -> Array:
    """Each element nearer to 0 by an amount, and 0 where it is no further: the proximal step of L1."""
    near = clip(w, -amount, amount)
    return subtract(w, near, near) if type(near) is ndarray else w - near


class SGD(Optimizer):
    """Gradient descent, with momentum, Nesterov's look-ahead, weight decay and L1.

    The first step ignores dampening: v ← lr · g, or v ← g with lr_in_velocity=False. With a constant
    learning rate both forms of the velocity are equal; when it changes, the lectures' form keeps old
    steps as they were, PyTorch's rescales them. Nesterov needs momentum, and no dampening. With l1, each
    step ends with the soft threshold: weights that the loss does not need become exactly 0, where the
    gradient of `lo.losses.l1` only lets them swing about 0; it goes without momentum.

        {rule}

    Source:   lectures 000 and 003 (v ← γv + η∇f, θ ← θ − v: γ is momentum, η lr, θ w); Sutskever et al.
              2013 for Nesterov; Parikh and Boyd 2014, Proximal algorithms, for l1. PyTorch is
              lr_in_velocity=False.
    Example:
        >>> import tinygrad_lo as lo
        >>> W, b = lo.Parameter([2.0], name="W"), lo.Parameter([1.0], name="b")
        >>> opt = lo.optim.SGD([{"params": [W], "weight_decay": 0.5}, {"params": [b]}], lr=0.1)
        >>> print(opt.formula())
        SGD
          group 0  [W]
            g ← ∇f(w) + 0.5 · w
            w ← w − 0.1 · g
          group 1  [b]
            g ← ∇f(w)
            w ← w − 0.1 · g
    """

    state_kinds: ClassVar[dict[str, str]] = {"v": "array?"}
    elementwise: ClassVar[bool] = True
    squares: ClassVar[bool] = False

    @public
    def __init__(
        self, params: Any, lr: float, *, momentum: float = 0.0, dampening: float = 0.0,
        nesterov: bool = False, weight_decay: float = 0.0, lr_in_velocity: bool = True, l1: float = 0.0,
    ) -> None:  # fmt: skip
        self._begin(locals())

    @staticmethod
    def conflict(options: Mapping[str, Any], /) -> str | None:
        """Nesterov's form has no meaning without momentum, or with dampening; L1 another one with it."""
        momentum, dampening = options["momentum"], options["dampening"]
        if options["nesterov"] and (momentum == 0 or dampening != 0):
            return f"nesterov needs momentum > 0 and dampening 0, got {momentum=}, {dampening=}"
        if options["l1"] and momentum:
            return (
                f"l1 needs momentum 0, got {momentum=}: as a velocity adds up gradients, the soft threshold "
                f"would count for 1 − momentum of what it says"
            )
        return None

    def rule(self, w: Array, g: Array, state: dict[str, Any], group: ParamGroup) -> Array:
        g = decayed(w, g, group)
        lr, momentum, dampening = group["lr"], group["momentum"], group["dampening"]
        if not momentum:
            new = descend(w, g, None, lr)
            del g  # with weight decay it is an array of its own, and another one is needed
            return soft_threshold(new, lr * group["l1"]) if group["l1"] else new
        ours = group["lr_in_velocity"]
        pull = multiply(g, lr, empty_like(w)) if ours else g
        del g
        v = state.get("v")
        if v is None:
            v = state["v"] = copy(pull)
        else:
            v *= momentum
            v += (1.0 - dampening) * pull if dampening else pull
        if group["nesterov"]:
            direction = move = multiply(v, momentum, empty_like(w))
            move += pull
        else:
            direction, move = v, pull if ours else empty_like(w)
        if not ours:
            direction = multiply(direction, lr, move)
        return minus(w, direction, move)

    def keeps(self, group: Mapping[str, Any]) -> bool:
        """With momentum, the velocity."""
        return bool(group["momentum"])

    def update(self, params: list[Any], grads: list[Array], group: ParamGroup) -> None:
        """Plain descent remembers nothing, and skips what only a state needs: a third of its time."""
        if group["momentum"] or group["weight_decay"] or group["l1"] or type(self).rule is not SGD.rule:
            super().update(params, grads, group)
            return
        lr = group["lr"]
        if {*map(type, grads)} == ARRAYS and len(dtypes := {*map(DTYPE, grads)}) == 1:
            lr = array(lr, dtypes.pop())  # NumPy multiplies by it sooner than by a Python float
        stepped(params, grads, NO_STATE, descend, lr)

    def equations(self, group: Mapping[str, Any]) -> list[str]:
        lr, momentum = group["lr"], group["momentum"]
        if not momentum:
            last = [f"w ← sign(w) · max(abs(w) − {lr} · {group['l1']}, 0)"] if group["l1"] else []
            return [gradient_line(group), f"w ← w − {lr} · g", *last]
        damped = f"(1 − {group['dampening']}) · " if group["dampening"] else ""
        if group["lr_in_velocity"]:
            pull, move, ahead = f"{lr} · g", "v", f"({lr} · g + {momentum} · v)"
        else:
            pull, move, ahead = "g", f"{lr} · v", f"{lr} · (g + {momentum} · v)"
        velocity = f"v ← {momentum} · v + {damped}{pull}"
        return [gradient_line(group), velocity, f"w ← w − {ahead if group['nesterov'] else move}"]
