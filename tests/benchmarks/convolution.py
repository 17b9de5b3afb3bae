"""Training steps of a small CNN: conv2d, relu, max_pool2d, linear, softmax; by us, by hand and by others."""

import functools
from typing import Any

import numpy as np
import ours
from peers import UNGUARDED, autograd, jax, jitted, mygrad, torch, unguarded
from race import Step, Work

import tinygrad_lo as lo

ROWS, SIDE, FILTERS, WINDOW, CLASSES = 32, 16, 8, 3, 10
WIDE = SIDE - WINDOW + 1  # 14 after the convolution
FLAT = FILTERS * (WIDE // 2) ** 2
LR = 0.01
RNG = np.random.default_rng(0)
X = RNG.standard_normal((ROWS, 1, SIDE, SIDE)).astype(np.float32)
Y = RNG.integers(0, CLASSES, ROWS)
ONEHOT = np.eye(CLASSES, dtype=np.float32)[Y]
START = [
    (RNG.standard_normal((FILTERS, 1, WINDOW, WINDOW)) / 3).astype(np.float32),
    np.zeros(FILTERS, np.float32),
    (RNG.standard_normal((FLAT, CLASSES)) / 20).astype(np.float32),
    np.zeros(CLASSES, np.float32),
]


def program() -> Any:
    """The loss as a user of this library writes it."""
    K, k, W, b = params = [lo.Parameter(w) for w in START]

    def loss_of(X: Any, y: Any) -> Any:
        pooled = lo.nn.max_pool2d(lo.nn.conv2d(X, K, k).relu(), 2)
        return lo.losses.cross_entropy(pooled.reshape(ROWS, FLAT) @ W + b, y)

    return loss_of, (X, Y), params


def by_hand() -> Step:
    """The step as CS231n writes its fast layers: windows as columns, pooling as a reshape."""
    K, k, W, b = (w.copy() for w in START)
    rows = np.arange(ROWS)
    windows = np.lib.stride_tricks.sliding_window_view

    def step() -> Any:
        nonlocal K, k, W, b
        columns = windows(X[:, 0], (WINDOW, WINDOW), axis=(1, 2)).reshape(-1, WINDOW * WINDOW)
        filtered = columns @ K.reshape(FILTERS, -1).T + k
        hidden = np.maximum(0, filtered).reshape(ROWS, WIDE, WIDE, FILTERS).transpose(0, 3, 1, 2)
        split = hidden.reshape(ROWS, FILTERS, WIDE // 2, 2, WIDE // 2, 2)
        pooled = split.max(axis=3).max(axis=4)
        flat = pooled.reshape(ROWS, FLAT)
        scores = flat @ W + b
        scores = scores - np.max(scores, axis=1, keepdims=True)
        exps = np.exp(scores)
        probs = exps / np.sum(exps, axis=1, keepdims=True)
        loss = -np.log(probs[rows, Y]).mean()
        dscores = probs.copy()
        dscores[rows, Y] -= 1
        dscores /= ROWS
        dW = flat.T @ dscores
        db = np.sum(dscores, axis=0)
        dpooled = (dscores @ W.T).reshape(ROWS, FILTERS, WIDE // 2, 1, WIDE // 2, 1)
        top = split == pooled[:, :, :, np.newaxis, :, np.newaxis]
        dhidden = (top * dpooled).reshape(ROWS, FILTERS, WIDE, WIDE)
        dhidden[hidden <= 0] = 0
        dfiltered = dhidden.transpose(0, 2, 3, 1).reshape(-1, FILTERS)
        dK = (columns.T @ dfiltered).T.reshape(K.shape)
        dk = np.sum(dfiltered, axis=0)
        K = K - LR * dK
        k = k - LR * dk
        W = W - LR * dW
        b = b - LR * db
        return loss

    return step


def in_torch() -> Step:
    """The step in PyTorch, eager."""
    K, k, W, b = params = [torch.tensor(w, requires_grad=True) for w in START]
    images, labels = torch.tensor(X), torch.tensor(Y)
    optimizer = torch.optim.SGD(params, lr=LR)
    nn = torch.nn.functional

    def step() -> Any:
        pooled = nn.max_pool2d(torch.relu(nn.conv2d(images, K, k)), 2)
        loss = nn.cross_entropy(pooled.reshape(ROWS, FLAT) @ W + b, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def in_mygrad() -> Step:
    """The step in MyGrad."""
    K, k, W, b = params = [mygrad.tensor(w.copy()) for w in START]
    relu, loss_of = mygrad.nnet.activations.relu, mygrad.nnet.losses.softmax_crossentropy
    conv_nd, max_pool = mygrad.nnet.layers.conv_nd, mygrad.nnet.layers.max_pool

    def step() -> Any:
        hidden = relu(conv_nd(X, K, stride=1) + k.reshape(1, FILTERS, 1, 1))
        loss = loss_of(max_pool(hidden, (2, 2), 2).reshape(ROWS, FLAT) @ W + b, Y)
        loss.backward()
        for w in params:
            w.data -= LR * w.grad
        return loss

    return step


def in_autograd() -> Step:
    """The step in HIPS autograd, whose convolve flips the filter: so it is given a flipped one."""
    anp, logsumexp = autograd.numpy, autograd.scipy.special.logsumexp
    convolve = autograd.scipy.signal.convolve
    params = [w.copy() for w in START]

    def loss_of(params: Any) -> Any:
        K, k, W, b = params
        filters = anp.transpose(K[:, :, ::-1, ::-1], (1, 0, 2, 3))
        filtered = convolve(X, filters, axes=([2, 3], [2, 3]), dot_axes=([1], [0]), mode="valid")
        hidden = anp.maximum(filtered + anp.reshape(k, (1, FILTERS, 1, 1)), 0)
        split = anp.reshape(hidden, (ROWS, FILTERS, WIDE // 2, 2, WIDE // 2, 2))
        pooled = anp.max(anp.max(split, axis=3), axis=4)
        scores = anp.reshape(pooled, (ROWS, FLAT)) @ W + b
        return -anp.sum((scores - logsumexp(scores, axis=1, keepdims=True)) * ONEHOT) / ROWS

    both = autograd.value_and_grad(loss_of)

    def step() -> Any:
        loss, gradients = both(params)
        for i, g in enumerate(gradients):
            params[i] = params[i] - LR * g
        return loss

    return step


def in_jax() -> Step:
    """The step in JAX, update included, as one compiled function."""
    lax, jnp = jax.lax, jax.numpy

    def loss_of(params: Any, X: Any, y: Any) -> Any:
        K, k, W, b = params
        hidden = jax.nn.relu(lax.conv(X, K, (1, 1), "VALID") + k.reshape(1, FILTERS, 1, 1))
        pooled = lax.reduce_window(hidden, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
        scores = pooled.reshape(ROWS, FLAT) @ W + b
        return -jax.nn.log_softmax(scores)[jnp.arange(ROWS), y].mean()

    def step(params: Any, X: Any, y: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(params, X, y)
        return loss, [w - LR * g for w, g in zip(params, gradients, strict=True)]

    return jitted(step, START, X, Y)  # type: ignore[no-any-return]


IMAGES, KERNELS, SEED = (32, 1, 28, 28), (8, 1, 5, 5), (32, 8, 24, 24)


def there_and_back(dtype: str) -> list[np.ndarray]:
    """Images, filters, biases, and the gradient that arrives at the result."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype(dtype) for shape in (IMAGES, KERNELS, KERNELS[:1], SEED)]


def alone(dtype: str) -> Step:
    """A convolution, forward and backward."""
    x, *weights, seed = there_and_back(dtype)
    K, k = params = [lo.Parameter(w) for w in weights]
    images = lo.Tensor(x)

    def step() -> Any:
        for w in params:
            w.grad = None
        lo.nn.conv2d(images, K, k).backward(seed)
        return K.grad[0, 0, 0, 0]

    return step


def alone_in_torch(dtype: str) -> Step:
    """The same in PyTorch."""
    x, *weights, seed = map(torch.tensor, there_and_back(dtype))
    K, k = params = [w.requires_grad_() for w in weights]

    def step() -> Any:
        for w in params:
            w.grad = None
        torch.nn.functional.conv2d(x, K, k).backward(seed)
        return K.grad[0, 0, 0, 0]

    return step


WORKS = [
    Work(
        f"convolution 32×1×28×28, 8 filters of 5×5, {dtype}",
        {"eager": functools.partial(alone, dtype), "PyTorch eager": functools.partial(alone_in_torch, dtype)},
        eager={"PyTorch eager": 1.3},
    )
    for dtype in ("float32", "float64")
]
WORKS += [
    Work(
        "CNN step 32×1×16×16, 8 filters, →10",
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
            "NumPy by hand": None, "PyTorch eager": None, "MyGrad": 0.6, UNGUARDED: None,
            "HIPS autograd": 0.6, "jax.jit": None,
        },
        compiled={"NumPy by hand": None, "PyTorch eager": None, "jax.jit": None},
        record=ours.recorded(program),
    )
]  # fmt: skip
