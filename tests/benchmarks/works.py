"""What speed.py lets run against each other: the same work by us, by hand and by others."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinygrad_lo as lo

Step = Callable[[], Any]

# ------------------------------------------------------------------------------- scalar graphs


def seven_ops(number: Callable[[float], Any]) -> Step:
    """c=a+b; d=a*b+b**3; e=c-d; g=e**2/2: build and backward."""

    def step() -> None:
        a = number(2.0)
        b = number(3.0)
        c = a + b
        d = a * b + b**3
        e = c - d
        g = e**2 / 2
        g.backward()

    return step


def readme_expression(number: Callable[[float], Any]) -> Step:
    """The expression of micrograd's README."""

    def step() -> None:
        a = number(-4.0)
        b = number(2.0)
        c = a + b
        d = a * b + b**3
        c = c + (c + 1)
        c = c + (1 + c + (-a))
        d = d + (d * 2 + (b + a).relu())
        d = d + (3 * d + (b - a).relu())
        e = c - d
        f = e**2
        g = f / 2.0
        g = g + 10.0 / f
        g.backward()

    return step


# ----------------------------------------------------------------------------------- MLP steps


@dataclass
class Problem:
    """A classification batch and the start of a two-layer network, in float32."""

    X: np.ndarray
    y: np.ndarray
    start: list[np.ndarray]


def problem(rows: int, inputs: int, hidden: int, classes: int) -> Problem:
    """Data and small random weights."""
    rng = np.random.default_rng(0)

    def weights(m: int, n: int) -> np.ndarray:
        return (rng.standard_normal((m, n)) * np.sqrt(2.0 / m)).astype(np.float32)

    return Problem(
        rng.standard_normal((rows, inputs)).astype(np.float32),
        rng.integers(0, classes, rows),
        [
            weights(inputs, hidden),
            np.zeros(hidden, np.float32),
            weights(hidden, classes),
            np.zeros(classes, np.float32),
        ],
    )


def by_hand(p: Problem, lr: float = 0.01) -> Step:
    """The step as CS231n writes it."""
    W1, b1, W2, b2 = (w.copy() for w in p.start)
    X, y, rows = p.X, p.y, np.arange(len(p.y))

    def step() -> Any:
        nonlocal W1, b1, W2, b2
        hidden = np.maximum(0, X @ W1 + b1)
        scores = hidden @ W2 + b2
        scores = scores - np.max(scores, axis=1, keepdims=True)
        exps = np.exp(scores)
        probs = exps / np.sum(exps, axis=1, keepdims=True)
        loss = -np.log(probs[rows, y]).mean()
        dscores = probs.copy()
        dscores[rows, y] -= 1
        dscores /= len(y)
        dW2 = hidden.T @ dscores
        db2 = np.sum(dscores, axis=0)
        dhidden = dscores @ W2.T
        dhidden[hidden <= 0] = 0
        dW1 = X.T @ dhidden
        db1 = np.sum(dhidden, axis=0)
        W1 = W1 - lr * dW1
        b1 = b1 - lr * db1
        W2 = W2 - lr * dW2
        b2 = b2 - lr * db2
        return loss

    return step


def by_hand_tuned(p: Problem, lr: float = 0.01) -> Step:
    """The same, by somebody who counts microseconds: a mask by multiplication, no second copy."""
    W1, b1, W2, b2 = (w.copy() for w in p.start)
    X, y, rows = p.X, p.y, np.arange(len(p.y))

    def step() -> Any:
        nonlocal W1, b1, W2, b2
        z = X @ W1 + b1
        hidden = np.maximum(z, 0)
        scores = hidden @ W2 + b2
        top = scores.max(1, keepdims=True)
        exps = np.exp(scores - top)
        sums = exps.sum(1, keepdims=True)
        loss = (np.log(sums) + top - scores[rows, y][:, None]).mean()
        dscores = exps / sums
        dscores[rows, y] -= 1
        dscores /= len(y)
        dW2 = hidden.T @ dscores
        db2 = dscores.sum(0)
        dz = (dscores @ W2.T) * (z > 0)
        dW1 = X.T @ dz
        db1 = dz.sum(0)
        W1 = W1 - lr * dW1
        b1 = b1 - lr * db1
        W2 = W2 - lr * dW2
        b2 = b2 - lr * db2
        return loss

    return step


def ours_mlp(p: Problem, lr: float = 0.01) -> Step:
    """The step as a user of this library writes it, every check in."""
    W1, b1, W2, b2 = (lo.Parameter(w) for w in p.start)
    X, y = p.X, p.y
    optimizer = lo.optim.SGD([W1, b1, W2, b2], lr=lr)

    def step() -> Any:
        loss = lo.losses.cross_entropy((X @ W1 + b1).relu() @ W2 + b2, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


def torch_mlp(torch: Any, p: Problem, lr: float = 0.01) -> Step:
    """The step in PyTorch, eager."""
    W1, b1, W2, b2 = (torch.tensor(w, requires_grad=True) for w in p.start)
    X, y = torch.tensor(p.X), torch.tensor(p.y)
    optimizer = torch.optim.SGD([W1, b1, W2, b2], lr=lr)
    loss_of = torch.nn.functional.cross_entropy

    def step() -> Any:
        loss = loss_of(torch.relu(X @ W1 + b1) @ W2 + b2, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


# ---------------------------------------------------------------------------- optimizer steps

COUNT, SIZE = 100, 10  # parameters, and numbers in each


def starts() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Weights and gradients."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal(SIZE) for _ in range(COUNT)], [
        rng.standard_normal(SIZE) for _ in range(COUNT)
    ]


def ours_optimizer(name: str, **options: Any) -> Step:
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


def torch_optimizer(torch: Any, name: str, **options: Any) -> Step:
    """PyTorch's, one parameter after the other."""
    weights, gradients = starts()
    params = [torch.tensor(w, requires_grad=True) for w in weights]
    for p, g in zip(params, gradients, strict=True):
        p.grad = torch.tensor(g)
    return getattr(torch.optim, name)(params, foreach=False, **options).step  # type: ignore[no-any-return]
