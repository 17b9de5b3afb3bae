"""One step of an optimizer, without the loss: ours, a plain NumPy loop in place, and PyTorch's."""

from collections.abc import Callable
from typing import Any

import numpy as np
from peers import torch
from race import Step, Work

import tinygrad_lo as lo

Shapes = list[tuple[int, ...]]
Loop = Callable[[list[Any], list[Any]], Step]

MLP: Shapes = [(2, 16), (16,), (16, 16), (16,), (16, 2), (2,)]
SETS: dict[str, Shapes] = {
    "the 6 parameters of an MLP": MLP,
    "100 parameters of 10": [(10,)] * 100,
    "337 scalars": [()] * 337,
}


def starts(shapes: Shapes) -> tuple[list[Any], list[Any]]:
    """Weights and gradients, of no axes NumPy numbers."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal(s or None) for s in shapes], [rng.standard_normal(s or None) for s in shapes]


def in_ours(shapes: Shapes, name: str, **options: Any) -> Step:
    """One step of ours over all parameters, every check in."""
    weights, gradients = starts(shapes)
    params = [lo.Parameter(w, name=f"w{i}") for i, w in enumerate(weights)]
    for p, g in zip(params, gradients, strict=True):
        p.grad = g
    optimizer = getattr(lo.optim, name)(params, **options)
    return optimizer.step  # type: ignore[no-any-return]


def in_torch(shapes: Shapes, name: str, **options: Any) -> Step:
    """PyTorch's, one parameter after the other."""
    weights, gradients = starts(shapes)
    params = [torch.tensor(w, requires_grad=True) for w in weights]
    for p, g in zip(params, gradients, strict=True):
        p.grad = torch.tensor(g)
    return getattr(torch.optim, name)(params, foreach=False, **options).step  # type: ignore[no-any-return]


def loop(rule: Callable[[Any, Any, list[Any], int], Any], slots: int, shapes: Shapes) -> Step:
    """A rule over all parameters, which it changes in place where it can; `kept` holds its averages."""
    weights, gradients = starts(shapes)
    kept = [[w * 0.0 for _ in range(slots)] for w in weights]
    t = 0

    def step() -> None:
        nonlocal t
        t += 1
        for i, g in enumerate(gradients):
            weights[i] = rule(weights[i], g, kept[i], t)

    return step


def sgd(w: Any, g: Any, _: list[Any], t: int) -> Any:
    """w ← w − lr · g."""
    w -= 0.01 * g
    return w


def momentum(w: Any, g: Any, kept: list[Any], t: int) -> Any:
    """v ← 0.9 v + lr · g; w ← w − v."""
    v = kept[0]
    v *= 0.9
    v += 0.01 * g
    kept[0] = v
    w -= v
    return w


def rmsprop(w: Any, g: Any, kept: list[Any], t: int) -> Any:
    """v ← 0.9 v + 0.1 g²; w ← w − lr · g / (√v + eps)."""
    v = kept[0]
    v *= 0.9
    v += 0.1 * g * g
    kept[0] = v
    w -= 0.001 * g / (np.sqrt(v) + 1e-8)
    return w


def adam(w: Any, g: Any, kept: list[Any], t: int) -> Any:
    """Adam, corrected for its start."""
    m, v = kept
    m *= 0.9
    m += 0.1 * g
    v *= 0.999
    v += 0.001 * g * g
    kept[:] = m, v
    w -= 0.001 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return w


def work(
    title: str, rule: Any, slots: int, over: str, limit: float | None, name: str, **options: Any
) -> Work:
    """One optimizer over one set of parameters, and the limit against the loop."""
    shapes = SETS[over]
    return Work(
        f"{title} step, {over}",
        {
            "eager": lambda: in_ours(shapes, name, **options),
            "NumPy loop": lambda: loop(rule, slots, shapes),
            "torch.optim": lambda: in_torch(shapes, name, **options),
        },
        eager={"NumPy loop": limit, "torch.optim": 1.0},
    )


LIMITS = {  # of Adam, RMSprop, SGD with momentum, plain SGD
    "the 6 parameters of an MLP": (0.5, 0.65, 1.0, None),
    "100 parameters of 10": (0.25, 0.3, 0.4, 1.8),
    "337 scalars": (0.6, 0.7, 0.8, None),
}
WORKS = [
    one
    for over, (of_adam, of_rmsprop, of_momentum, of_sgd) in LIMITS.items()
    for one in (
        work("Adam", adam, 2, over, of_adam, "Adam", lr=0.001),
        work("RMSprop", rmsprop, 1, over, of_rmsprop, "RMSprop", lr=0.001),
        work("SGD with momentum", momentum, 1, over, of_momentum, "SGD", lr=0.01, momentum=0.9),
        work("SGD", sgd, 0, over, of_sgd, "SGD", lr=0.01),
    )
]
