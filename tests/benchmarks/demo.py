"""micrograd's demo: a network of single numbers on two moons, one full step of training."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import ours
from peers import autograd, casadi, micrograd
from race import Step, Work
from scalars import method, numbers, on_buffers

import tinygrad_lo as lo

LR, ALPHA = 0.1, 1e-4
WIDTHS = (2, 16, 16, 1)
POINTS, LABELS = (part.tolist() for part in lo.data.two_moons(100, noise=0.1, rng=1))
SIGNS = [2 * label - 1 for label in LABELS]
COUNT = sum((m + 1) * n for m, n in pairwise(WIDTHS))
START = np.random.default_rng(1337).uniform(-1, 1, COUNT).tolist()


def layers(params: list[Any]) -> list[list[tuple[list[Any], Any]]]:
    """The network of micrograd.nn: layers of neurons, each its weights and its bias."""
    rest = iter(params)
    return [[([next(rest) for _ in range(m)], next(rest)) for _ in range(n)] for m, n in pairwise(WIDTHS)]


def score(net: list[list[tuple[list[Any], Any]]], x: list[Any], relu: Callable[[Any], Any]) -> Any:
    """Weighted sums and relus, number by number; the last layer has no relu."""
    for layer in net:
        x = [sum((wi * xi for wi, xi in zip(w, x, strict=True)), b) for w, b in layer]
        if layer is not net[-1]:
            x = [relu(value) for value in x]
    return x[0]


def demo_loss(params: list[Any], net: list[Any], points: list[Any], relu: Callable[[Any], Any]) -> Any:
    """The hinge loss over the points, and L2, as micrograd's demo writes them."""
    scores = [score(net, x, relu) for x in points]
    losses = [relu(1 + -sign * value) for sign, value in zip(SIGNS, scores, strict=True)]
    return sum(losses) * (1.0 / len(losses)) + ALPHA * sum(p * p for p in params)


def program() -> Any:
    """The demo's loss as a function that reads kept parameters."""
    params = [lo.Parameter(start) for start in START]
    net = layers(params)
    return (lambda: demo_loss(params, net, POINTS, method)), (), params


def in_micrograd() -> Step:
    """micrograd's own network and loop; its inputs are Values, as in its demo."""
    Value = micrograd.engine.Value
    model = micrograd.nn.MLP(2, [16, 16, 1])
    for p, start in zip(model.parameters(), START, strict=True):
        p.data = start

    def step() -> Any:
        inputs = [list(map(Value, x)) for x in POINTS]
        scores = list(map(model, inputs))
        losses = [(1 + -sign * value).relu() for sign, value in zip(SIGNS, scores, strict=True)]
        loss = sum(losses) * (1.0 / len(losses)) + ALPHA * sum(p * p for p in model.parameters())
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= LR * p.grad
        return loss.data

    return step


def in_autograd() -> Step:
    """The demo in HIPS autograd: one array of parameters, taken apart once a step."""
    maximum = autograd.numpy.maximum

    def loss_of(weights: Any) -> Any:
        params = [weights[i] for i in range(COUNT)]
        return demo_loss(params, layers(params), POINTS, lambda v: maximum(v, 0.0))

    both, weights = autograd.value_and_grad(loss_of), np.array(START)

    def step() -> Any:
        nonlocal weights
        loss, gradient = both(weights)
        weights = weights - LR * gradient
        return loss

    return step


def in_casadi() -> Step:
    """The demo by CasADi's virtual machine, its gradient, and the step on one array."""
    weights, loss, gradient = np.array(START), np.zeros(1), np.zeros(COUNT)
    x = casadi.SX.sym("x", COUNT)
    params = casadi.vertsplit(x)
    total = demo_loss(params, layers(params), POINTS, lambda v: casadi.fmax(v, 0))
    run = on_buffers([x], [total, casadi.gradient(total, x)], [weights], [loss, gradient])

    def step() -> Any:
        nonlocal weights
        run()
        weights -= LR * gradient
        return loss[0]

    return step


def in_values(who: str) -> Step:
    """The demo in MyGrad or PyTorch, a tensor without axes for each number."""
    number, relu = numbers()[who]
    params = [number(start) for start in START]
    net = layers(params)

    def step() -> Any:
        loss = demo_loss(params, net, POINTS, relu)
        loss.backward()
        for p in params:
            p.data -= LR * p.grad
            if who == "PyTorch eager":  # MyGrad drops a gradient when its tensor is used anew
                p.grad = None
        return loss.data

    return step


def demo() -> Work:
    """micrograd's demo: a forward pass of 100 points, backward, SGD."""
    makers: dict[str, Callable[[], Step]] = ours.makers(program, LR) | {
        "compiled": lambda: ours.whole(program, LR),
        "micrograd": in_micrograd,
        "HIPS autograd": in_autograd,
        "CasADi": in_casadi,
        "MyGrad": lambda: in_values("MyGrad"),
        "PyTorch eager": lambda: in_values("PyTorch eager"),
    }
    return Work(
        "micrograd's demo: 100 points, one step",
        makers,
        eager={"micrograd": 1 / 8, "HIPS autograd": 0.6, "MyGrad": 0.6, "PyTorch eager": None},
        compiled={"micrograd": 1 / 200, "CasADi": None},
        record=ours.recorded(program),
        uncollected=True,
        slow=True,
        patience=("HIPS autograd", "MyGrad"),
    )


WORKS = [demo()]
