"""Whole training steps of networks with Adam and SGD, data to new weights, by us, by hand and by others."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from peers import jax, pytensor, torch
from race import Step, Work

import tinygrad_lo as lo

LR, A, B, EPS = 0.001, 0.9, 0.999, 1e-8
HAND, BEST, AS_MOST = "NumPy by hand", "jax at its best", "jax.jit"
Arrays = list[np.ndarray]


class Net:
    """A batch, and the start of a network of relus with softmax at its end, in float32."""

    def __init__(self, rows: int, widths: tuple[int, ...]) -> None:
        rng = np.random.default_rng(0)
        self.rows, self.widths = rows, widths
        self.X = rng.standard_normal((rows, widths[0])).astype(np.float32)
        self.y = rng.integers(0, widths[-1], rows)
        self.start: Arrays = []
        for m, n in pairwise(widths):
            W = rng.standard_normal((m, n)) * np.sqrt(2.0 / m)
            self.start += [W.astype(np.float32), np.zeros(n, np.float32)]

    def copies(self) -> Arrays:
        """The start, to be written into."""
        return [w.copy() for w in self.start]


# ---------------------------------------------------------------------------------------- ours


def loss_by(params: list[lo.Parameter]) -> Callable[..., Any]:
    """The loss as a user of this library writes it."""

    def loss_of(X: Any, y: Any) -> Any:
        for W, b in zip(params[:-2:2], params[1:-2:2], strict=True):
            X = (X @ W + b).relu()
        return lo.losses.cross_entropy(X @ params[-2] + params[-1], y)

    return loss_of


def eager(net: Net, name: str) -> Step:
    """The step as users write it."""
    params = [lo.Parameter(w) for w in net.start]
    loss_of, optimizer = loss_by(params), getattr(lo.optim, name)(params, lr=LR)

    def step() -> Any:
        loss = loss_of(net.X, net.y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


def compiled(net: Net, name: str) -> Step:
    """The step as one program."""
    params = [lo.Parameter(w) for w in net.start]
    step: Any = lo.compile(loss_by(params), optimizer=getattr(lo.optim, name)(params, lr=LR))
    return lambda: step(net.X, net.y)


# ------------------------------------------------------------------------------------- by hand


def adam_in_place() -> Callable[[Arrays, Arrays], None]:
    """Adam, a parameter after the other, into the arrays that are there."""
    m: Arrays = []
    v: Arrays = []
    t = 0

    def update(params: Arrays, gradients: Arrays) -> None:
        nonlocal t, m, v
        if not t:
            m, v = [np.zeros_like(w) for w in params], [np.zeros_like(w) for w in params]
        t += 1
        for w, g, mean, square in zip(params, gradients, m, v, strict=True):
            mean *= A
            mean += (1 - A) * g
            square *= B
            square += (1 - B) * g * g
            w -= LR * (mean / (1 - A**t)) / (np.sqrt(square / (1 - B**t)) + EPS)

    return update


def sgd_in_place() -> Callable[[Arrays, Arrays], None]:
    """Gradient descent, into the arrays that are there."""

    def update(params: Arrays, gradients: Arrays) -> None:
        for w, g in zip(params, gradients, strict=True):
            w -= LR * g

    return update


def by_hand(net: Net, update: Callable[[Arrays, Arrays], None]) -> Step:
    """Forward and backward as CS231n writes them, for any number of layers."""
    params, rows, X, y = net.copies(), np.arange(net.rows), net.X, net.y

    def step() -> Any:
        layers = [X]
        for W, b in zip(params[:-2:2], params[1:-2:2], strict=True):
            layers.append(np.maximum(0, layers[-1] @ W + b))
        scores = layers[-1] @ params[-2] + params[-1]
        exps = np.exp(scores - np.max(scores, axis=1, keepdims=True))
        probs = exps / np.sum(exps, axis=1, keepdims=True)
        loss = -np.log(probs[rows, y]).mean()
        d = probs
        d[rows, y] -= 1
        d /= net.rows
        gradients: Arrays = []
        for i in range(len(layers) - 1, -1, -1):
            gradients = [layers[i].T @ d, np.sum(d, axis=0), *gradients]
            if i:
                d = d @ params[2 * i].T
                d[layers[i] <= 0] = 0
        update(params, gradients)
        return loss

    return step


# -------------------------------------------------------------------------------------- others


def torch_step(net: Net, name: str, *, compiled: bool = False) -> Step:
    """PyTorch with its own optimizer; its loss perhaps compiled."""
    params = [torch.tensor(w, requires_grad=True) for w in net.start]
    X, y = torch.tensor(net.X), torch.tensor(net.y)
    optimizer = getattr(torch.optim, name)(params, lr=LR)

    def loss_of(X: Any, y: Any) -> Any:
        for W, b in zip(params[:-2:2], params[1:-2:2], strict=True):
            X = torch.relu(X @ W + b)
        return torch.nn.functional.cross_entropy(X @ params[-2] + params[-1], y)

    run = torch.compile(loss_of) if compiled else loss_of

    def step() -> Any:
        loss = run(X, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def in_pytensor(net: Net, name: str) -> Step:
    """PyTensor: shared variables, and one function that updates them."""
    pt = pytensor.tensor
    params = [pytensor.shared(w) for w in net.copies()]
    X, y = pytensor.shared(net.X), pytensor.shared(net.y)
    hidden = X
    for W, b in zip(params[:-2:2], params[1:-2:2], strict=True):
        hidden = pt.maximum(hidden @ W + b, 0)
    log_p = pt.special.log_softmax(hidden @ params[-2] + params[-1], axis=1)
    loss = -log_p[pt.arange(net.rows), y].mean()
    gradients = pytensor.grad(loss, params)
    lr = np.float32(LR)
    updates = []
    if name == "SGD":
        updates = [(w, w - lr * g) for w, g in zip(params, gradients, strict=True)]
    else:
        t = pytensor.shared(np.float32(0))
        now = t + np.float32(1)
        updates = [(t, now)]
        for w, g in zip(params, gradients, strict=True):
            zeros = np.zeros_like(w.get_value())
            m, v = pytensor.shared(zeros), pytensor.shared(zeros.copy())
            mean, square = (
                np.float32(A) * m + np.float32(1 - A) * g,
                np.float32(B) * v + np.float32(1 - B) * g * g,
            )
            m_hat, v_hat = mean / (1 - np.float32(A) ** now), square / (1 - np.float32(B) ** now)
            move = lr * m_hat / (pt.sqrt(v_hat) + np.float32(EPS))
            updates += [(m, mean), (v, square), (w, (w - move).astype("float32"))]
    return pytensor.function([], loss, updates=updates)  # type: ignore[no-any-return]


def jax_update(name: str, w: Any, g: Any, state: Any) -> tuple[Any, Any]:
    """The rule on one array; the state is (m, v, t)."""
    if name == "SGD":
        return w - LR * g, state
    m, v, t = state
    t = t + 1
    m, v = A * m + (1 - A) * g, B * v + (1 - B) * g * g
    move = LR * (m / (1 - A**t)) / (jax.numpy.sqrt(v / (1 - B**t)) + EPS)
    return w - move, (m, v, t)


def jax_loss(params: Any, X: Any, y: Any) -> Any:
    """The loss in JAX."""
    for W, b in zip(params[:-2:2], params[1:-2:2], strict=True):
        X = jax.nn.relu(X @ W + b)
    log_p = jax.nn.log_softmax(X @ params[-2] + params[-1])
    return -log_p[jax.numpy.arange(len(y)), y].mean()


def jax_as_most(net: Net, name: str) -> Step:
    """As most write it: a list of arrays, data from NumPy at each step, the update inside."""

    def step(params: Any, states: Any, X: Any, y: Any) -> Any:
        loss, gradients = jax.value_and_grad(jax_loss)(params, X, y)
        both = [jax_update(name, *three) for three in zip(params, gradients, states, strict=True)]
        return loss, [w for w, _ in both], [state for _, state in both]

    run, params = jax.jit(step), net.copies()
    states = [(np.zeros_like(w), np.zeros_like(w), np.float32(0)) for w in params]

    def once() -> Any:
        nonlocal params, states
        loss, params, states = run(params, states, net.X, net.y)
        jax.block_until_ready((loss, params))
        return loss

    return once


def jax_at_its_best(net: Net, name: str) -> Step:
    """Parameters raveled into one array, which is given away, data where the program runs."""
    flat, unravel = jax.flatten_util.ravel_pytree(net.copies())

    def loss_of(flat: Any, X: Any, y: Any) -> Any:
        return jax_loss(unravel(flat), X, y)

    def step(flat: Any, state: Any, X: Any, y: Any) -> Any:
        loss, g = jax.value_and_grad(loss_of)(flat, X, y)
        return loss, *jax_update(name, flat, g, state)

    run = jax.jit(step, donate_argnums=(0, 1))
    X, y = jax.device_put((net.X, net.y))
    state = (jax.numpy.zeros_like(flat), jax.numpy.zeros_like(flat), jax.numpy.float32(0))

    def once() -> Any:
        nonlocal flat, state
        loss, flat, state = run(flat, state, X, y)
        jax.block_until_ready((loss, flat))
        return loss

    return once


# --------------------------------------------------------------------------------------- works

RULES = {"Adam": adam_in_place, "SGD": sgd_in_place}


def work(name: str, rows: int, widths: tuple[int, ...], hand: float | None, best: float | None) -> Work:
    """A network and an optimizer; limits of compiled against hand and against jax at its best."""
    net = Net(rows, widths)
    return Work(
        f"whole step with {name}, {'-'.join(map(str, widths))}, {rows} rows",
        {
            "eager": lambda: eager(net, name),
            "compiled": lambda: compiled(net, name),
            HAND: lambda: by_hand(net, RULES[name]()),
            "PyTorch eager": lambda: torch_step(net, name),
            "torch.compile": lambda: torch_step(net, name, compiled=True),
            "PyTensor": lambda: in_pytensor(net, name),
            AS_MOST: lambda: jax_as_most(net, name),
            BEST: lambda: jax_at_its_best(net, name),
        },
        eager={HAND: None, "PyTorch eager": None},
        compiled={HAND: hand, BEST: best}
        | dict.fromkeys((AS_MOST, "PyTensor", "torch.compile", "PyTorch eager")),
        blas=widths[0] > 500,
        patience=("torch.compile", "PyTensor"),
    )


SMALL, MIDDLE, LARGE = (32, (2, 16, 16, 2)), (64, (64, 32, 10)), (128, (784, 256, 10))
WORKS = [
    work("Adam", *SMALL, 0.45, 0.8),
    work("Adam", *MIDDLE, 0.55, 0.75),
    work("Adam", *LARGE, 0.95, 1.3),
    work("SGD", *SMALL, 0.65, None),
    work("SGD", *MIDDLE, 0.65, None),
    work("SGD", *LARGE, None, None),
]
