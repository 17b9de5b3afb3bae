"""Training steps of a two-layer network with softmax and SGD, by us, by hand and by others."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import ours
from peers import UNGUARDED, autograd, jax, jitted, mygrad, torch, unguarded
from race import Step, Work

import tinygrad_lo as lo

LR = 0.01


@dataclass
class Problem:
    """A classification batch and the start of a network, in float32."""

    X: np.ndarray
    y: np.ndarray
    start: list[np.ndarray]

    @property
    def onehot(self) -> np.ndarray:
        """The labels as rows of zeros with a one."""
        return np.eye(len(self.start[-1]), dtype=np.float32)[self.y]


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


def program(p: Problem) -> Any:
    """The loss as a user of this library writes it."""
    W1, b1, W2, b2 = params = [lo.Parameter(w) for w in p.start]

    def loss_of(X: Any, y: Any) -> Any:
        return lo.losses.cross_entropy((X @ W1 + b1).relu() @ W2 + b2, y)

    return loss_of, (p.X, p.y), params


def by_hand(p: Problem) -> Step:
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
        W1 = W1 - LR * dW1
        b1 = b1 - LR * db1
        W2 = W2 - LR * dW2
        b2 = b2 - LR * db2
        return loss

    return step


def by_hand_tuned(p: Problem) -> Step:
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
        W1 = W1 - LR * dW1
        b1 = b1 - LR * db1
        W2 = W2 - LR * dW2
        b2 = b2 - LR * db2
        return loss

    return step


def in_torch(p: Problem) -> Step:
    """The step in PyTorch, eager."""
    W1, b1, W2, b2 = params = [torch.tensor(w, requires_grad=True) for w in p.start]
    X, y = torch.tensor(p.X), torch.tensor(p.y)
    optimizer = torch.optim.SGD(params, lr=LR)
    loss_of = torch.nn.functional.cross_entropy

    def step() -> Any:
        loss = loss_of(torch.relu(X @ W1 + b1) @ W2 + b2, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def in_mygrad(p: Problem) -> Step:
    """The step in MyGrad, with its fused loss; gradients are dropped when a parameter is used anew."""
    W1, b1, W2, b2 = params = [mygrad.tensor(w.copy()) for w in p.start]
    X, y = p.X, p.y
    relu, loss_of = mygrad.nnet.activations.relu, mygrad.nnet.losses.softmax_crossentropy

    def step() -> Any:
        loss = loss_of(relu(X @ W1 + b1) @ W2 + b2, y)
        loss.backward()
        for w in params:
            w.data -= LR * w.grad
        return loss

    return step


def in_autograd(p: Problem) -> Step:
    """The step in HIPS autograd; labels as a mask, which is quicker there than an index."""
    anp, logsumexp = autograd.numpy, autograd.scipy.special.logsumexp
    params, mask = [w.copy() for w in p.start], p.onehot

    def loss_of(params: Any, X: Any) -> Any:
        W1, b1, W2, b2 = params
        scores = anp.maximum(X @ W1 + b1, 0) @ W2 + b2
        return -anp.sum((scores - logsumexp(scores, axis=1, keepdims=True)) * mask) / len(mask)

    both = autograd.value_and_grad(loss_of)

    def step() -> Any:
        loss, gradients = both(params, p.X)
        for i, g in enumerate(gradients):
            params[i] = params[i] - LR * g
        return loss

    return step


def in_jax(p: Problem) -> Step:
    """The step in JAX, update included, as one compiled function."""

    def loss_of(params: Any, X: Any, y: Any) -> Any:
        W1, b1, W2, b2 = params
        scores = jax.nn.relu(X @ W1 + b1) @ W2 + b2
        return -jax.nn.log_softmax(scores)[jax.numpy.arange(len(y)), y].mean()

    def step(params: Any, X: Any, y: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(params, X, y)
        return loss, [w - LR * g for w, g in zip(params, gradients, strict=True)]

    return jitted(step, p.start, p.X, p.y)  # type: ignore[no-any-return]


def work(
    sizes: tuple[int, int, int, int], by_hand_limits: tuple[float, float], peers: float, jit: Any
) -> Work:
    """A network of these sizes; limits of eager and compiled, of eager ÷ peers, of compiled ÷ jax."""
    p = problem(*sizes)
    hand, tuned = "NumPy by hand", "NumPy by hand, tuned"
    return Work(
        "MLP step {}×{}→{}→{}".format(*sizes),
        ours.makers(lambda: program(p), LR)
        | {
            hand: lambda: by_hand(p),
            tuned: lambda: by_hand_tuned(p),
            "PyTorch eager": lambda: in_torch(p),
            "MyGrad": lambda: in_mygrad(p),
            UNGUARDED: lambda: unguarded(in_mygrad(p)),
            "HIPS autograd": lambda: in_autograd(p),
            "jax.jit": lambda: in_jax(p),
        },
        eager={
            hand: by_hand_limits[0], tuned: None, "PyTorch eager": 1.0, "MyGrad": peers, UNGUARDED: None,
            "HIPS autograd": peers, "jax.jit": None,
        },
        compiled={hand: by_hand_limits[1], tuned: None, "PyTorch eager": None, "jax.jit": jit},
        record=ours.recorded(lambda: program(p)),
        blas=sizes[1] > 500,
    )  # fmt: skip


WORKS = [
    work((64, 64, 32, 10), (1.5, 0.9), 0.6, 1.0),
    work((32, 2, 16, 2), (1.7, 0.9), 0.6, 1.0),
    work((128, 784, 256, 10), (1.2, 1.02), 1.0, None),
]
