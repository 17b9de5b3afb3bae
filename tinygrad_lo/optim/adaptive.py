"""Optimizers that give each weight a step of its own, by how large its gradients have been."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from numpy import add, divide, empty_like, maximum, multiply, sqrt, subtract, zeros_like

from tinygrad_lo.engine.graph import Array
from tinygrad_lo.optim.groups import ParamGroup
from tinygrad_lo.optim.optimizer import Optimizer, decayed, gradient_line, minus, mix_in, mix_line
from tinygrad_lo.options import public


def root_of(v: Array, eps: float, out: Array, *, inside: bool) -> Array:
    """√(v + eps) or √v + eps, in `out`, which may be `v`."""
    if inside:
        return sqrt(add(v, eps, out), out)
    sqrt(v, out)
    out += eps
    return out


def root_line(v: str, group: Mapping[str, Any]) -> str:
    """The line of `root_of` in `equations`."""
    if group["eps_inside_sqrt"]:
        return f"root ← √({v} + {group['eps']})"
    return f"root ← {'√' + v if v.isidentifier() else f'√({v})'} + {group['eps']}"


class Adagrad(Optimizer):
    """Steps divided by the root of the sum of all squared gradients so far.

    For sparse features: a weight that rarely sees a gradient keeps its large steps. The sum only
    grows, so all steps shrink in the end; RMSprop and Adadelta forget instead.

        {rule}

    Source:   lecture 003; Duchi, Hazan, Singer 2011. Keras and optax have eps inside the root as the
              lecture; PyTorch is eps_inside_sqrt=False, eps=1e-10.
    Example:
        >>> import tinygrad_lo as lo
        >>> w = lo.Parameter([1.0, 1.0])
        >>> w.grad = [3.0, 0.01]
        >>> lo.optim.Adagrad(w, lr=0.5).step()  # the first step is lr, whatever the gradient
        >>> print(w.data.round(3))
        [0.5 0.5]
    """

    state_kinds: ClassVar[dict[str, str]] = {"G": "array"}
    elementwise: ClassVar[bool] = True

    @public
    def __init__(
        self, params: Any, lr: float = 0.01, *, eps: float = 1e-8, eps_inside_sqrt: bool = True,
        weight_decay: float = 0.0,
    ) -> None:  # fmt: skip
        self._begin(locals())

    def rule(self, w: Array, g: Array, state: dict[str, Any], group: ParamGroup) -> Array:
        g = decayed(w, g, group)
        if not state:
            state["G"] = zeros_like(w)
        G = state["G"]
        move = multiply(g, g, empty_like(w))
        G += move
        divide(g, root_of(G, group["eps"], move, inside=group["eps_inside_sqrt"]), move)
        move *= group["lr"]
        return minus(w, move, move)

    def equations(self, group: Mapping[str, Any]) -> list[str]:
        root = root_line("G", group)
        return [gradient_line(group), "G ← G + g²", root, f"w ← w − {group['lr']} · g / root"]


class RMSprop(Optimizer):
    """Steps divided by the root of a moving average of squared gradients.

    Adagrad that forgets. With centered, it divides by an estimate of the standard deviation (v − m² is
    never below 0); with momentum, the steps so divided are accumulated.

        {rule}

    Source:   lecture 003 (its γ is decay); Tieleman and Hinton 2012, lecture 6.5; Graves 2013 for
              centered. PyTorch and the lecture have eps outside the root, Keras and optax inside: a factor
              40 in the first step of gradients near 1e-6. PyTorch's decay (alpha) is 0.99.
    Example:
        >>> import tinygrad_lo as lo
        >>> w = lo.Parameter([1.0])
        >>> w.grad = [3.0]
        >>> lo.optim.RMSprop(w, lr=0.1, decay=0.75).step()  # g / √(0.25 g²) = 2
        >>> print(w.data.round(6))
        [0.8]
    """

    state_kinds: ClassVar[dict[str, str]] = {"v": "array", "m": "array?", "u": "array?"}
    elementwise: ClassVar[bool] = True

    @public
    def __init__(
        self, params: Any, lr: float = 0.01, *, decay: float = 0.9, eps: float = 1e-8,
        eps_inside_sqrt: bool = False, momentum: float = 0.0, centered: bool = False,
        weight_decay: float = 0.0,
    ) -> None:  # fmt: skip
        self._begin(locals())

    def rule(self, w: Array, g: Array, state: dict[str, Any], group: ParamGroup) -> Array:
        g = decayed(w, g, group)
        for name, needed in (("v", True), ("m", group["centered"]), ("u", group["momentum"])):
            if needed and name not in state:
                state[name] = zeros_like(w)
        v, decay = state["v"], group["decay"]
        move = multiply(g, g, empty_like(w))
        mix_in(v, move, decay, move)
        if group["centered"]:
            m = state["m"]
            mix_in(m, g, decay, move)
            subtract(v, multiply(m, m, move), move)
            v = maximum(move, 0.0, out=move)  # of equal gradients the variance is 0, or rounding below it
        divide(g, root_of(v, group["eps"], move, inside=group["eps_inside_sqrt"]), move)
        if group["momentum"]:
            u = state["u"]
            u *= group["momentum"]
            u += move
            multiply(u, group["lr"], move)
        else:
            move *= group["lr"]
        return minus(w, move, move)

    def equations(self, group: Mapping[str, Any]) -> list[str]:
        lr, decay, momentum = group["lr"], group["decay"], group["momentum"]
        lines = [gradient_line(group), mix_line("v", "g²", decay)]
        if group["centered"]:
            lines.append(mix_line("m", "g", decay))
        lines.append(root_line("v − m²" if group["centered"] else "v", group))
        if not momentum:
            return [*lines, f"w ← w − {lr} · g / root"]
        return [*lines, f"u ← {momentum} · u + g / root", f"w ← w − {lr} · u"]


class Adadelta(Optimizer):
    """Steps as large as recent steps were, by the ratio of two moving averages: no rate to choose.

    It starts slowly: the first steps are near √eps.

        {rule}

    Units:    Δ has the unit of w, which no other rule here gives it; lr is a pure number, 1 in the paper.
    Source:   lecture 003 names it; Zeiler 2012, algorithm 1. The same everywhere.
    Example:
        >>> import tinygrad_lo as lo
        >>> w = lo.Parameter([1.0])
        >>> w.grad = [3.0**0.5]
        >>> lo.optim.Adadelta(w, rho=0.75, eps=0.25).step()  # v = 0.75, u = 0: Δ = 0.5 / 1 · √3
        >>> print(w.data.round(3))
        [0.134]
    """

    state_kinds: ClassVar[dict[str, str]] = {"v": "array", "u": "array"}
    elementwise: ClassVar[bool] = True

    @public
    def __init__(
        self, params: Any, lr: float = 1.0, *, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0.0
    ) -> None:
        self._begin(locals())

    def rule(self, w: Array, g: Array, state: dict[str, Any], group: ParamGroup) -> Array:
        g = decayed(w, g, group)
        if not state:
            state.update(v=zeros_like(w), u=zeros_like(w))
        v, u, rho, eps = state["v"], state["u"], group["rho"], group["eps"]
        move = multiply(g, g, empty_like(w))
        mix_in(v, move, rho, move)
        divide(g, root_of(v, eps, move, inside=True), move)
        del g  # with weight decay it is an array of ours, and another one is needed
        other = root_of(u, eps, empty_like(w), inside=True)
        move *= other
        mix_in(u, multiply(move, move, other), rho, other)
        move *= group["lr"]
        return minus(w, move, move)

    def equations(self, group: Mapping[str, Any]) -> list[str]:
        rho, eps = group["rho"], group["eps"]
        return [
            gradient_line(group),
            mix_line("v", "g²", rho),
            f"Δ ← √(u + {eps}) / √(v + {eps}) · g",
            mix_line("u", "Δ²", rho),
            f"w ← w − {group['lr']} · Δ",
        ]
