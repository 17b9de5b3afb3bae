"""Optimizers that give each weight a step of its own, by how large its gradients have been.

Every rule computes in one array (`move`) that becomes the new value, so a step allocates no more
than that, and one array besides where weight decay or a numerator needs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from tinygrad_lo.engine.graph import Array
from tinygrad_lo.optim.groups import ParamGroup
from tinygrad_lo.optim.optimizer import Optimizer, decayed, gradient_line, minus
from tinygrad_lo.options import public


def mix_in(average: Array, x: Array, old: float, scratch: Array) -> None:
    """average ← old · average + (1 − old) · x, in place. `scratch` may be `x`."""
    average *= old
    average += np.multiply(x, 1.0 - old, scratch)


def mix_line(average: str, x: str, old: float) -> str:
    """The same as text."""
    return f"{average} ← {old} · {average} + (1 − {old}) · {x}"


class Adagrad(Optimizer):
    """Steps divided by the root of the sum of all squared gradients so far.

    For sparse features: a weight that rarely sees a gradient keeps its large steps. The sum only
    grows, so all steps shrink in the end; RMSprop and Adadelta forget instead.

        g ← ∇f(w) + weight_decay · w
        G ← G + g²
        w ← w − lr · g / √(G + eps)
        eps_inside_sqrt=False:
        w ← w − lr · g / (√G + eps)

    Raises:   OptionError: a parameter list that is empty, or options that are not finite, out of
              range or unknown.
    Source:   lecture 003; Duchi, Hazan, Singer 2011. Keras and optax have eps inside the root as the
              lecture; PyTorch is eps_inside_sqrt=False, eps=1e-10.
    Example:
        >>> import tinygrad_lo as lo
        >>> w = lo.Parameter([1.0, 1.0])
        >>> opt = Adagrad([w], lr=0.5)
        >>> w.grad = np.array([3.0, 0.01])
        >>> opt.step()  # the first step is lr, whatever the gradient
        >>> w.data.round(3)
        array([0.5, 0.5])
    """

    memory: ClassVar[dict[str, str]] = {"G": "array"}

    @public
    def __init__(
        self,
        params: Any,
        lr: float = 0.01,
        *,
        eps: float = 1e-8,
        eps_inside_sqrt: bool = True,
        weight_decay: float = 0.0,
    ) -> None:
        self._begin(locals())

    def rule(self, w: Array, g: Array, state: dict[str, Any], group: ParamGroup) -> Array:
        """One step of one parameter."""
        g = decayed(w, g, group)
        if not state:
            state["G"] = np.zeros_like(w)
        G = state["G"]
        move = np.multiply(g, g, np.empty_like(w))
        G += move
        root_of(G, group, move)
        np.divide(g, move, move)
        move *= group["lr"]
        return minus(w, move, move)

    def equations(self, group: Mapping[str, Any]) -> list[str]:
        """The rule as text, a line each, with the group's numbers in it."""
        return [gradient_line(group), "G ← G + g²", f"w ← w − {group['lr']} · g / {root_line('G', group)}"]


def root_of(v: Array, group: Mapping[str, Any], out: Array) -> None:
    """√(v + eps) or √v + eps. `out` may be `v`."""
    if group["eps_inside_sqrt"]:
        np.add(v, group["eps"], out)
        np.sqrt(out, out)
    else:
        np.sqrt(v, out)
        out += group["eps"]


def root_line(v: str, group: Mapping[str, Any]) -> str:
    """The same as text."""
    if group["eps_inside_sqrt"]:
        return f"√({v} + {group['eps']})"
    return f"({'√' + v if v.isidentifier() else f'√({v})'} + {group['eps']})"


class RMSprop(Optimizer):
    """Steps divided by the root of a moving average of squared gradients.

    Adagrad that forgets. With centered, it divides by an estimate of the standard deviation; with
    momentum, by which the steps so divided are accumulated.

        g ← ∇f(w) + weight_decay · w
        v ← decay · v + (1 − decay) · g²
        w ← w − lr · g / (√v + eps)
        eps_inside_sqrt=True:
        w ← w − lr · g / √(v + eps)
        centered=True, with v − m² in place of v (never below 0):
        m ← decay · m + (1 − decay) · g
        w ← w − lr · g / (√(v − m²) + eps)
        w ← w − lr · g / √(v − m² + eps)
        momentum, with the same four denominators:
        u ← momentum · u + g / (√v + eps)
        u ← momentum · u + g / √(v + eps)
        u ← momentum · u + g / (√(v − m²) + eps)
        u ← momentum · u + g / √(v − m² + eps)
        w ← w − lr · u

    Raises:   OptionError: a parameter list that is empty, or options that are not finite, out of
              range or unknown.
    Source:   lecture 003; Tieleman and Hinton 2012, lecture 6.5; Graves 2013 for centered. PyTorch and
              the lecture have eps outside the root, Keras and optax inside, which is a factor 40 in
              the first step of gradients near 1e-6. PyTorch's decay (alpha) is 0.99.
    Example:
        >>> import tinygrad_lo as lo
        >>> w = lo.Parameter([1.0])
        >>> opt = RMSprop([w], lr=0.1, decay=0.75)
        >>> w.grad = np.array([3.0])
        >>> opt.step()  # g / √(0.25 g²) = 2
        >>> w.data.round(6)
        array([0.8])
    """

    memory: ClassVar[dict[str, str]] = {"v": "array", "m": "array?", "u": "array?"}

    @public
    def __init__(
        self,
        params: Any,
        lr: float = 0.01,
        *,
        decay: float = 0.9,
        eps: float = 1e-8,
        eps_inside_sqrt: bool = False,
        momentum: float = 0.0,
        centered: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        self._begin(locals())

    def rule(self, w: Array, g: Array, state: dict[str, Any], group: ParamGroup) -> Array:
        """One step of one parameter."""
        g = decayed(w, g, group)
        if not state:
            state["v"] = np.zeros_like(w)
        v, decay = state["v"], group["decay"]
        move = np.multiply(g, g, np.empty_like(w))
        mix_in(v, move, decay, move)
        if group["centered"]:
            m = self.kept(state, "m", w)
            mix_in(m, g, decay, move)
            np.multiply(m, m, move)
            np.subtract(v, move, move)
            np.maximum(move, 0.0, out=move)  # of equal gradients the variance is 0, or rounding below it
            root_of(move, group, move)
        else:
            root_of(v, group, move)
        np.divide(g, move, move)
        if group["momentum"]:
            u = self.kept(state, "u", w)
            u *= group["momentum"]
            u += move
            np.multiply(u, group["lr"], move)
        else:
            move *= group["lr"]
        return minus(w, move, move)

    @staticmethod
    def kept(state: dict[str, Any], name: str, w: Array) -> Array:
        """An array of the state that only some options need: it begins at 0 when they are first met."""
        if name not in state:
            state[name] = np.zeros_like(w)
        return state[name]

    def equations(self, group: Mapping[str, Any]) -> list[str]:
        """The rule as text, a line each, with the group's numbers in it."""
        lr, decay, momentum = group["lr"], group["decay"], group["momentum"]
        lines = [gradient_line(group), mix_line("v", "g²", decay)]
        if group["centered"]:
            lines.append(mix_line("m", "g", decay))
        ratio = f"g / {root_line('v − m²' if group['centered'] else 'v', group)}"
        if not momentum:
            return [*lines, f"w ← w − {lr} · {ratio}"]
        return [*lines, f"u ← {momentum} · u + {ratio}", f"w ← w − {lr} · u"]


class Adadelta(Optimizer):
    """Steps as large as recent steps were, by the ratio of two moving averages: no rate to choose.

    The step has the unit of the weight, which no other rule here has. It starts slowly: the first
    steps are near √eps.

        g ← ∇f(w) + weight_decay · w
        v ← rho · v + (1 − rho) · g²
        Δ ← √(u + eps) / √(v + eps) · g
        u ← rho · u + (1 − rho) · Δ²
        w ← w − lr · Δ

    Units:    Δ has the unit of w; lr is a pure number, 1 in the paper.
    Raises:   OptionError: a parameter list that is empty, or options that are not finite, out of
              range or unknown.
    Source:   lecture 003 names it; Zeiler 2012, algorithm 1. The same everywhere.
    Example:
        >>> import tinygrad_lo as lo
        >>> w = lo.Parameter([1.0])
        >>> opt = Adadelta([w], rho=0.75, eps=0.25)
        >>> w.grad = np.array([np.sqrt(3.0)])
        >>> opt.step()  # v = 0.75, u = 0: Δ = 0.5 / 1 · √3
        >>> w.data.round(3)
        array([0.134])
    """

    memory: ClassVar[dict[str, str]] = {"v": "array", "u": "array"}

    @public
    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        *,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        self._begin(locals())

    def rule(self, w: Array, g: Array, state: dict[str, Any], group: ParamGroup) -> Array:
        """One step of one parameter."""
        g = decayed(w, g, group)
        if not state:
            state.update(v=np.zeros_like(w), u=np.zeros_like(w))
        v, u, rho, eps = state["v"], state["u"], group["rho"], group["eps"]
        move = np.multiply(g, g, np.empty_like(w))
        mix_in(v, move, rho, move)
        np.add(v, eps, move)
        np.sqrt(move, move)
        np.divide(g, move, move)
        del g  # with weight decay it is an array of ours, and another one is needed
        other = np.add(u, eps, np.empty_like(w))
        np.sqrt(other, other)
        move *= other
        np.multiply(move, move, other)
        mix_in(u, other, rho, other)
        move *= group["lr"]
        return minus(w, move, move)

    def equations(self, group: Mapping[str, Any]) -> list[str]:
        """The rule as text, a line each, with the group's numbers in it."""
        rho, eps = group["rho"], group["eps"]
        return [
            gradient_line(group),
            mix_line("v", "g²", rho),
            f"Δ ← √(u + {eps}) / √(v + {eps}) · g",
            mix_line("u", "Δ²", rho),
            f"w ← w − {group['lr']} · Δ",
        ]
