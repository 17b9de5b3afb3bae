"""Gradient descent and its momenta."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import repeat
from operator import attrgetter
from typing import Any, ClassVar

from numpy import array, copy, empty_like, multiply, ndarray, subtract

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


class SGD(Optimizer):
    """Gradient descent, with momentum, Nesterov's look-ahead and weight decay.

    The first velocity is the first gradient itself, without dampening. With a constant learning rate
    both forms of the velocity are equal; when it changes, the lectures' form keeps old steps as they
    were, PyTorch's rescales them. Nesterov needs momentum, and no dampening.

        {rule}

    Source:   lectures 000 and 003 (v ← γv + η∇f, θ ← θ − v); Sutskever et al. 2013 for Nesterov.
              PyTorch is lr_in_velocity=False.
    Example:
        >>> import tinygrad_lo as lo
        >>> W, b = lo.Parameter([2.0], name="W"), lo.Parameter([1.0], name="b")
        >>> opt = SGD([{"params": [W], "weight_decay": 0.5}, {"params": [b]}], lr=0.1)
        >>> (W * b).sum().backward()
        >>> opt.step()  # W: 2 − 0.1 (1 + 0.5 · 2);  b: 1 − 0.1 · 2
        >>> print(W.data, b.data)
        [1.8] [0.8]
        >>> print(opt.formula())
        SGD
          group 0  [W]
            g ← ∇f(w) + 0.5 · w
            w ← w − 0.1 · g
          group 1  [b]
            g ← ∇f(w)
            w ← w − 0.1 · g
    """

    memory: ClassVar[dict[str, str]] = {"v": "array?"}
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
            move = multiply(v, momentum, empty_like(w))
            move += pull
            v = move
        else:
            move = pull if ours else empty_like(w)
        if not ours:
            v = multiply(v, lr, move)
        return minus(w, v, move)

    def keeps(self, group: Mapping[str, Any]) -> bool:
        """With momentum, the velocity."""
        return bool(group["momentum"])

    def update(self, params: list[Any], grads: list[Array], group: ParamGroup) -> None:
        """Plain descent remembers nothing, and skips what only a state needs: a third of its time."""
        if group["momentum"] or group["weight_decay"] or type(self).rule is not SGD.rule:
            super().update(params, grads, group)
            return
        lr = group["lr"]
        if {*map(type, grads)} == ARRAYS and len(dtypes := {*map(DTYPE, grads)}) == 1:
            lr = array(lr, dtypes.pop())  # NumPy multiplies by it sooner than by a Python float
        stepped(params, grads, NO_STATE, descend, lr)

    def equations(self, group: Mapping[str, Any]) -> list[str]:
        lr, momentum = group["lr"], group["momentum"]
        if not momentum:
            return [gradient_line(group), f"w ← w − {lr} · g"]
        share = f"(1 − {group['dampening']}) · " if group["dampening"] else ""
        if group["lr_in_velocity"]:
            pull, move, ahead = f"{lr} · g", "v", f"({lr} · g + {momentum} · v)"
        else:
            pull, move, ahead = "g", f"{lr} · v", f"{lr} · (g + {momentum} · v)"
        velocity = f"v ← {momentum} · v + {share}{pull}"
        return [gradient_line(group), velocity, f"w ← w − {ahead if group['nesterov'] else move}"]
