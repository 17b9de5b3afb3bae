"""One step of an optimizer over many small parameters: ours, a plain NumPy loop, and PyTorch's."""

from typing import Any

import numpy as np
from peers import torch
from race import Step, Work

import tinygrad_lo as lo

COUNT, SIZE = 100, 10  # parameters, and numbers in each


def starts() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Weights and gradients."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal(SIZE) for _ in range(COUNT)], [
        rng.standard_normal(SIZE) for _ in range(COUNT)
    ]


def in_ours(name: str, **options: Any) -> Step:
    """One step of ours over all parameters, every check in."""
    weights, gradients = starts()
    params = [lo.Parameter(w, name=f"w{i}") for i, w in enumerate(weights)]
    for p, g in zip(params, gradients, strict=True):
        p.grad = g
    optimizer = getattr(lo.optim, name)(params, **options)
    return optimizer.step  # type: ignore[no-any-return]


def loop_sgd(lr: float = 0.01) -> Step:
    """The same update as a plain NumPy loop."""
    weights, gradients = starts()

    def step() -> None:
        for i in range(COUNT):
            weights[i] = weights[i] - lr * gradients[i]

    return step


def loop_adam(lr: float = 0.001, a: float = 0.9, b: float = 0.999, eps: float = 1e-8) -> Step:
    """The same update as a plain NumPy loop."""
    weights, gradients = starts()
    m, v = [np.zeros(SIZE) for _ in range(COUNT)], [np.zeros(SIZE) for _ in range(COUNT)]
    t = 0

    def step() -> None:
        nonlocal t
        t += 1
        for i in range(COUNT):
            g = gradients[i]
            m[i] = a * m[i] + (1 - a) * g
            v[i] = b * v[i] + (1 - b) * g * g
            m_hat, v_hat = m[i] / (1 - a**t), v[i] / (1 - b**t)
            weights[i] = weights[i] - lr * m_hat / (np.sqrt(v_hat) + eps)

    return step


def in_torch(name: str, **options: Any) -> Step:
    """PyTorch's, one parameter after the other."""
    weights, gradients = starts()
    params = [torch.tensor(w, requires_grad=True) for w in weights]
    for p, g in zip(params, gradients, strict=True):
        p.grad = torch.tensor(g)
    return getattr(torch.optim, name)(params, foreach=False, **options).step  # type: ignore[no-any-return]


def work(name: str, loop: Any, limit: float, lr: float) -> Work:
    """One optimizer, and the limit against the loop."""
    return Work(
        f"{name} step, {COUNT} parameters of {SIZE}",
        {
            "eager": lambda: in_ours(name, lr=lr),
            "NumPy loop": loop,
            "torch.optim": lambda: in_torch(name, lr=lr),
        },
        eager={"NumPy loop": limit, "torch.optim": 1.0},
    )


WORKS = [work("SGD", loop_sgd, 1.8, 0.01), work("Adam", loop_adam, 1.3, 0.001)]
