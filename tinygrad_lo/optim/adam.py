"""Adam and its relatives: momentum and a step of its own for each weight, corrected for the start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from numpy import copy, divide, empty_like, maximum, multiply, sqrt, zeros_like

from tinygrad_lo.engine.graph import Array
from tinygrad_lo.optim.groups import ParamGroup
from tinygrad_lo.optim.optimizer import Optimizer, decayed, gradient_line, minus, mix_in, mix_line
from tinygrad_lo.options import public


class Adam(Optimizer):
    """Momentum and RMSprop together, both corrected for their start at zero.

    A good first choice. Its first step is lr in every direction, whatever the size of the gradient.
    amsgrad never lets a step grow back: top is the v̂ of Reddi et al. t counts the steps from 1.

        {rule}

    Source:   lecture 003; Kingma and Ba 2015, algorithm 1; Reddi et al. 2018 for amsgrad, as in PyTorch
              (optax takes the maximum of v̂). Keras has √v + eps before the correction.
    Example:
        >>> import tinygrad_lo as lo
        >>> w = lo.Parameter([1.0, 1.0])
        >>> w.grad = [1000.0, -0.1]
        >>> lo.optim.Adam(w, lr=0.1).step()  # m̂ / √v̂ is the sign of g
        >>> print(w.data.round(6))
        [0.9 1.1]
    """

    state_kinds: ClassVar[dict[str, str]] = {"m": "array", "v": "array", "top": "array?", "t": "count"}
    elementwise: ClassVar[bool] = True
    decoupled: ClassVar[bool] = False  # whether the weights decay by themselves, not through the gradient

    @public
    def __init__(
        self, params: Any, lr: float = 0.001, *, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.0, amsgrad: bool = False,
    ) -> None:  # fmt: skip
        self._begin(locals())

    def rule(self, w: Array, g: Array, state: dict[str, Any], group: ParamGroup) -> Array:
        if not self.decoupled:
            g = decayed(w, g, group)
        beta1, beta2 = group["betas"]
        if not state:
            state.update(m=zeros_like(w), v=zeros_like(w), t=0)
        m, v = state["m"], state["v"]
        t = state["t"] = state["t"] + 1
        move = empty_like(w)
        mix_in(m, g, beta1, move)  # m ← β1 · m + (1 − β1) · g
        mix_in(v, multiply(g, g, move), beta2, move)  # v ← β2 · v + (1 − β2) · g²
        if group["amsgrad"]:
            top = state.get("top")
            if top is None:
                top = state["top"] = copy(v)
            v = maximum(top, v, out=top)
        sqrt(v, move)
        # √v̂ + eps = (√v + eps · correction) / correction: one operation on numbers, not on arrays.
        correction = (1.0 - beta2**t) ** 0.5
        move += group["eps"] * correction
        divide(m, move, move)
        move *= group["lr"] * correction / (1.0 - beta1**t)  # lr · m̂ / (√v̂ + eps)
        if self.decoupled and group["weight_decay"]:
            w = w * (1.0 - group["lr"] * group["weight_decay"])
        return minus(w, move, move)

    def equations(self, group: Mapping[str, Any]) -> list[str]:
        (beta1, beta2), top = group["betas"], group["amsgrad"]
        lr, decay = group["lr"], group["weight_decay"] if self.decoupled else 0.0
        return [
            "g ← ∇f(w)" if self.decoupled else gradient_line(group),
            mix_line("m", "g", beta1),
            mix_line("v", "g²", beta2),
            *(["top ← max(top, v)"] if top else []),
            f"m̂ ← m / (1 − {beta1}^t)",
            f"v̂ ← {'top' if top else 'v'} / (1 − {beta2}^t)",
            f"w ← {f'(1 − {lr} · {decay}) · w' if decay else 'w'} − {lr} · m̂ / (√v̂ + {group['eps']})",
        ]


class AdamW(Adam):
    """Adam with weight decay that is not divided by anything: each step shrinks the weights.

    In Adam, weight decay enters the gradient and is divided by √v̂, so weights with large gradients
    hardly decay. Here all decay alike, by lr · weight_decay a step.

        {rule}

    Source:   Loshchilov and Hutter 2019, algorithm 2, with the decay multiplied by lr as in PyTorch
              and optax. Lecture 004 has weight decay as shrinking.
    Example:
        >>> import tinygrad_lo as lo
        >>> w = lo.Parameter([1.0])
        >>> w.grad = [1.0]
        >>> lo.optim.AdamW(w, lr=0.1, weight_decay=0.5).step()  # (1 − 0.1 · 0.5) · 1 − 0.1
        >>> print(w.data.round(6))
        [0.85]
    """

    decoupled: ClassVar[bool] = True

    @public
    def __init__(
        self, params: Any, lr: float = 0.001, *, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.01, amsgrad: bool = False,
    ) -> None:  # fmt: skip
        self._begin(locals())


class NAdam(Optimizer):
    """Adam with Nesterov's look-ahead: the momentum of the next step is used in this one.

    t counts the steps of this parameter from 1; Π begins at 1.

        {rule}

    Source:   Dozat 2016, with the schedule of μ as in PyTorch, which keeps Π in its default dtype;
              here it is a Python float.
    Example:
        >>> import tinygrad_lo as lo
        >>> w = lo.Parameter([1.0])
        >>> w.grad = [5.0]
        >>> lo.optim.NAdam(w, lr=0.1, betas=(0.0, 0.0)).step()  # no memory at all: the sign of g
        >>> print(w.data.round(6))
        [0.9]
    """

    state_kinds: ClassVar[dict[str, str]] = {"m": "array", "v": "array", "t": "count", "product": "number"}
    elementwise: ClassVar[bool] = True

    @public
    def __init__(
        self, params: Any, lr: float = 0.002, *, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.0, momentum_decay: float = 0.004,
    ) -> None:  # fmt: skip
        self._begin(locals())

    def rule(self, w: Array, g: Array, state: dict[str, Any], group: ParamGroup) -> Array:
        g = decayed(w, g, group)
        (beta1, beta2), slow = group["betas"], group["momentum_decay"]
        if not state:
            state.update(m=zeros_like(w), v=zeros_like(w), t=0, product=1.0)
        m, v = state["m"], state["v"]
        t = state["t"] = state["t"] + 1
        mu = beta1 * (1.0 - 0.5 * 0.96 ** (t * slow))
        mu_next = beta1 * (1.0 - 0.5 * 0.96 ** ((t + 1) * slow))
        product = state["product"] = state["product"] * mu
        move = empty_like(w)
        mix_in(m, g, beta1, move)  # m ← β1 · m + (1 − β1) · g
        mix_in(v, multiply(g, g, move), beta2, move)  # v ← β2 · v + (1 − β2) · g²
        multiply(g, (1.0 - mu) / (1.0 - product), move)
        del g  # with weight decay it is an array of ours, and another one is needed
        other = multiply(m, mu_next / (1.0 - product * mu_next), empty_like(w))
        move += other  # ĝ ← (1 − μ) / (1 − Π) · g + μ' / (1 − Π · μ') · m
        sqrt(v, other)
        correction = (1.0 - beta2**t) ** 0.5
        other += group["eps"] * correction
        move /= other
        move *= group["lr"] * correction  # lr · ĝ / (√v̂ + eps)
        return minus(w, move, move)

    def equations(self, group: Mapping[str, Any]) -> list[str]:
        (beta1, beta2), slow = group["betas"], group["momentum_decay"]
        return [
            gradient_line(group),
            f"μ ← {beta1} · (1 − ½ · 0.96^(t · {slow}))",
            f"μ' ← {beta1} · (1 − ½ · 0.96^((t + 1) · {slow}))",
            "Π ← Π · μ",
            mix_line("m", "g", beta1),
            mix_line("v", "g²", beta2),
            "ĝ ← (1 − μ) / (1 − Π) · g + μ' / (1 − Π · μ') · m",
            f"v̂ ← v / (1 − {beta2}^t)",
            f"w ← w − {group['lr']} · ĝ / (√v̂ + {group['eps']})",
        ]
