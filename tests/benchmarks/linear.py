"""Training steps of a linear SVM on images: the multiclass hinge with L2, by us, by hand and by others."""

from typing import Any

import numpy as np
import ours
from peers import UNGUARDED, autograd, jax, jitted, mygrad, torch, unguarded
from race import Step, Work

import tinygrad_lo as lo

ROWS, INPUTS, CLASSES = 500, 3073, 10
LR, REG = 1e-4, 1e-3
RNG = np.random.default_rng(0)
X = RNG.standard_normal((ROWS, INPUTS)).astype(np.float32)
Y = RNG.integers(0, CLASSES, ROWS)
START = (RNG.standard_normal((INPUTS, CLASSES)) * 0.01).astype(np.float32)


def program() -> Any:
    """The loss as a user of this library writes it."""
    W = lo.Parameter(START)

    def loss_of(X: Any, y: Any) -> Any:
        return lo.losses.multiclass_hinge(X @ W, y) + REG * lo.losses.l2(W)

    return loss_of, (X, Y), [W]


def by_hand() -> Step:
    """The step as CS231n writes it."""
    W, rows = START.copy(), np.arange(ROWS)

    def step() -> Any:
        nonlocal W
        scores = X @ W
        margins = np.maximum(0, scores - scores[rows, Y][:, np.newaxis] + 1)
        margins[rows, Y] = 0
        loss = np.sum(margins) / ROWS + REG * np.sum(W * W)
        mask = np.zeros_like(margins)
        mask[margins > 0] = 1
        mask[rows, Y] = -np.sum(mask, axis=1)
        dW = X.T @ mask / ROWS + 2 * REG * W
        W = W - LR * dW
        return loss

    return step


def in_torch() -> Step:
    """The step in PyTorch, eager, with its fused loss (which divides by the classes as well)."""
    W = torch.tensor(START, requires_grad=True)
    data, labels = torch.tensor(X), torch.tensor(Y)
    optimizer = torch.optim.SGD([W], lr=LR)
    loss_of = torch.nn.functional.multi_margin_loss

    def step() -> Any:
        loss = CLASSES * loss_of(data @ W, labels) + REG * (W * W).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def in_mygrad() -> Step:
    """The step in MyGrad, with its fused loss."""
    W = mygrad.tensor(START.copy())
    loss_of = mygrad.nnet.losses.multiclass_hinge

    def step() -> Any:
        loss = loss_of(X @ W, Y) + REG * (W * W).sum()
        loss.backward()
        W.data -= LR * W.grad
        return loss

    return step


def in_autograd() -> Step:
    """The step in HIPS autograd."""
    anp, rows, W = autograd.numpy, np.arange(ROWS), START.copy()

    def loss_of(W: Any) -> Any:
        scores = X @ W
        margins = anp.maximum(0, scores - scores[rows, Y][:, None] + 1)
        return anp.sum(margins) / ROWS - 1 + REG * anp.sum(W * W)  # the own class adds 1, and no slope

    both = autograd.value_and_grad(loss_of)

    def step() -> Any:
        nonlocal W
        loss, gradient = both(W)
        W = W - LR * gradient
        return loss

    return step


def in_jax() -> Step:
    """The step in JAX, update included, as one compiled function."""
    jnp = jax.numpy

    def loss_of(W: Any, X: Any, y: Any) -> Any:
        scores = X @ W
        own = jnp.take_along_axis(scores, y[:, None], axis=1)
        return jnp.maximum(0, scores - own + 1).sum() / ROWS - 1 + REG * (W * W).sum()

    def step(W: Any, X: Any, y: Any) -> Any:
        loss, gradient = jax.value_and_grad(loss_of)(W, X, y)
        return loss, W - LR * gradient

    return jitted(step, START, X, Y)  # type: ignore[no-any-return]


WORKS = [
    Work(
        "linear SVM step 500×3073→10",
        ours.makers(program, LR)
        | {
            "NumPy by hand": by_hand,
            "PyTorch eager": in_torch,
            "MyGrad": in_mygrad,
            UNGUARDED: lambda: unguarded(in_mygrad()),
            "HIPS autograd": in_autograd,
            "jax.jit": in_jax,
        },
        eager={
            "NumPy by hand": None, "PyTorch eager": 1.0, "MyGrad": 1.0, UNGUARDED: None,
            "HIPS autograd": 1.0, "jax.jit": None,
        },
        compiled={"NumPy by hand": None, "PyTorch eager": None, "jax.jit": None},
        record=ours.recorded(program),
        blas=True,
    )
]  # fmt: skip
