"""Gradient descent and its momenta."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import repeat
from operator import attrgetter
from typing import Any, ClassVar

from numpy import array, copy, empty_like, maximum, minimum, multiply, ndarray, subtract

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


def soften(w: Array, threshold: float) -> Array:
    """sign(w) · max(|w| − threshold, 0), written into `w` if it is an array: a small weight becomes +0.0."""
    if type(w) is not ndarray:
        return w - type(w)(min(max(w, -threshold), threshold))
    near = maximum(w, -threshold)
    return subtract(w, minimum(near, threshold, out=near), w)


class SGD(Optimizer):
    """Gradient descent, with momentum, Nesterov's look-ahead, weight decay and weights that become exactly 0.

    The first step ignores dampening: v ← lr · g, or v ← g with lr_in_velocity=False. With a constant
    learning rate both forms of the velocity are equal; when it changes, the lectures' form keeps old
    steps as they were, PyTorch's rescales them. Nesterov needs momentum, and no dampening.

    l1 adds l1 · Σ |w| to what is minimized, by a soft threshold after the step (proximal gradient, ISTA):
    weights within lr · l1 of 0 become exactly 0. With 0, the default, the last line is left out. The
    velocity does not hold it: with momentum, steps along the gradient are longer, the threshold is not, and
    the penalty that is minimized is (1 − momentum) / (1 − dampening) · l1 · Σ |w|.

        {rule}

    Source:   lectures 000 and 003 (v ← γv + η∇f, θ ← θ − v: γ is momentum, η lr, θ w); Sutskever et al.
              2013 for Nesterov. PyTorch is lr_in_velocity=False. l1: Parikh and Boyd 2014, "Proximal
              Algorithms", sections 4.2 and 6.5.2; ISTA is Daubechies, Defrise, De Mol 2004.
    Example:
        >>> import tinygrad_lo as lo
        >>> W, b = lo.Parameter([2.0], name="W"), lo.Parameter([1.0], name="b")
        >>> opt = SGD([{"params": [W], "weight_decay": 0.5}, {"params": [b]}], lr=0.1)
        >>> print(opt.formula())
        SGD
          group 0  [W]
            g ← ∇f(w) + 0.5 · w
            w ← w − 0.1 · g
          group 1  [b]
            g ← ∇f(w)
            w ← w − 0.1 · g
        >>> few = lo.Parameter([0.5, -0.5, 0.01])
        >>> few.grad = [0.0, 0.0, 0.0]
        >>> SGD(few, lr=0.1, l1=1.0).step()
        >>> print(few.data.round(6))
        [ 0.4 -0.4  0. ]
    """

    state_kinds: ClassVar[dict[str, str]] = {"v": "array?"}
    elementwise: ClassVar[bool] = True
    squares: ClassVar[bool] = False

    @public
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
        l1: float = 0.0,
    ) -> None:
        self._begin(locals())

    @staticmethod
    def conflict(options: Mapping[str, Any], /) -> str | None:
        """Nesterov's form has no meaning without momentum, or with dampening."""
        if options["nesterov"] and (options["momentum"] == 0 or options["dampening"] != 0):
            return (
                f"nesterov needs momentum > 0 and dampening 0, got "
                f"momentum={options['momentum']}, dampening={options['dampening']}"
            )
        return None

    def rule(self, w: Array, g: Array, state: dict[str, Any], group: ParamGroup) -> Array:
        new = self._moved(w, g, state, group)
        return soften(new, group["lr"] * group["l1"]) if group["l1"] else new

    def _moved(self, w: Array, g: Array, state: dict[str, Any], group: ParamGroup) -> Array:
        """The new value before the soft threshold."""
        g = decayed(w, g, group)
        lr, momentum, dampening = group["lr"], group["momentum"], group["dampening"]
        if not momentum:
            return descend(w, g, None, lr)
        ours = group["lr_in_velocity"]
        pull = multiply(g, lr, empty_like(w)) if ours else g
        del g  # with weight decay it is an array of its own, and another one is needed
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
        soft = [f"w ← sign(w) · max(|w| − {lr} · {group['l1']}, 0)"] if group["l1"] else []
        if not momentum:
            return [gradient_line(group), f"w ← w − {lr} · g", *soft]
        damped = f"(1 − {group['dampening']}) · " if group["dampening"] else ""
        if group["lr_in_velocity"]:
            pull, move, ahead = f"{lr} · g", "v", f"({lr} · g + {momentum} · v)"
        else:
            pull, move, ahead = "g", f"{lr} · v", f"{lr} · (g + {momentum} · v)"
        velocity = f"v ← {momentum} · v + {damped}{pull}"
        return [gradient_line(group), velocity, f"w ← w − {ahead if group['nesterov'] else move}", *soft]
