"""Graphs of single numbers: seven ops, and the expression of micrograd's README."""

from collections.abc import Callable
from typing import Any

import numpy as np
from peers import autograd, casadi, jax, micrograd, mygrad, torch
from race import Step, Work

import tinygrad_lo as lo

Expression = Callable[[Any, Any, Callable[[Any], Any]], Any]

# ------------------------------------------------------------------------------------ the works


def seven_ops(a: Any, b: Any, relu: Callable[[Any], Any]) -> Any:
    """(a + b - (a b + b³))² / 2: seven ops."""
    c = a + b
    d = a * b + b**3
    e = c - d
    return e**2 / 2


def readme_expression(a: Any, b: Any, relu: Callable[[Any], Any]) -> Any:
    """The expression of micrograd's README."""
    c = a + b
    d = a * b + b**3
    c = c + (c + 1)
    c = c + (1 + c + (-a))
    d = d + (d * 2 + relu(b + a))
    d = d + (3 * d + relu(b - a))
    e = c - d
    f = e**2
    g = f / 2.0
    return g + 10.0 / f


STARTS = {seven_ops: (2.0, 3.0), readme_expression: (-4.0, 2.0)}


def method(value: Any) -> Any:
    """The relu of ours, of micrograd and of PyTorch."""
    return value.relu()


# ----------------------------------------------------------------------------- who builds what


def values(expression: Expression, number: Callable[[float], Any], relu: Callable[[Any], Any]) -> Step:
    """Two values are created, the expression is built, backward runs: a library with eager graphs."""
    first, second = STARTS[expression]

    def step() -> Any:
        a = number(first)
        b = number(second)
        expression(a, b, relu).backward()
        return a.grad

    return step


def program(expression: Expression) -> Any:
    """The expression as a function that reads two kept parameters."""
    a, b = params = [lo.Parameter(start) for start in STARTS[expression]]
    return (lambda: expression(a, b, method)), (), params


def compiled(expression: Expression) -> Step:
    """Two kept parameters, whose gradients are reset in the timed step."""
    function, _, (a, b) = program(expression)
    run: Any = lo.compile(function)
    run()
    expected = values(expression, lo.Parameter, method)()
    if a.grad != expected:  # compared here, because reading the gradient is no part of the step
        raise SystemExit(f"{expression.__name__}: compiled gives {a.grad}, eager {expected}")

    def step() -> None:
        a.grad = None
        b.grad = None
        run()

    return step


def by_hand() -> Step:
    """The seven ops and their derivatives, as somebody writes them who knows the answer."""

    def step() -> float:
        a = 2.0
        b = 3.0
        c = a + b
        d = a * b + b**3
        e = c - d
        _g = e**2 / 2
        da = e * (1.0 - b)
        _db = e * (1.0 - (a + 3.0 * b**2))
        return da

    return step


def in_autograd(expression: Expression) -> Step:
    """The gradient of a function of two numbers."""
    maximum = autograd.numpy.maximum
    gradient = autograd.grad(lambda a, b: expression(a, b, lambda v: maximum(v, 0.0)), (0, 1))
    starts = STARTS[expression]
    return lambda: gradient(*starts)[0]


def in_jax(expression: Expression) -> Step:
    """The gradient of a function of two numbers, as one compiled function."""
    run = jax.jit(jax.grad(lambda a, b: expression(a, b, jax.nn.relu), (0, 1)))
    starts = [jax.numpy.float32(start) for start in STARTS[expression]]
    return lambda: jax.block_until_ready(run(*starts))[0]


def in_casadi(expression: Expression) -> Step:
    """The gradient of a function of two numbers, by its virtual machine, buffers written beforehand."""
    inputs = casadi.SX.sym("x", 2)
    loss = expression(*casadi.vertsplit(inputs), lambda v: casadi.fmax(v, 0))
    out = np.zeros(2)
    run = on_buffers([inputs], [casadi.gradient(loss, inputs)], [np.array(STARTS[expression])], [out])

    def step() -> Any:
        run()
        return out[0]

    return step


def on_buffers(inputs: list[Any], outputs: list[Any], given: list[Any], results: list[Any]) -> Step:
    """A function of CasADi that reads and writes arrays which it knows beforehand."""
    buffer, run = casadi.Function("f", inputs, outputs).buffer()
    for i, array in enumerate(given):
        buffer.set_arg(i, memoryview(array))
    for i, array in enumerate(results):
        buffer.set_res(i, memoryview(array))
    return lambda: (buffer, run())[1]  # the buffer must stay alive


def torch_number(start: float) -> Any:
    """A number of PyTorch, of double precision as all others here."""
    return torch.tensor(start, requires_grad=True, dtype=torch.float64)


def numbers() -> dict[str, tuple[Callable[[float], Any], Callable[[Any], Any]]]:
    """How each library with eager graphs creates a number and takes its relu."""
    found: dict[str, Any] = {"eager": (lo.Parameter, method)}
    if micrograd is not None:
        found["micrograd"] = (micrograd.engine.Value, method)
    if mygrad is not None:
        found["MyGrad"] = (mygrad.tensor, mygrad.nnet.activations.relu)
    if torch is not None:
        found["PyTorch eager"] = (torch_number, method)
    return found


def work(name: str, expression: Expression, *, limits: tuple[Any, Any]) -> Work:
    """One expression, and the limits against micrograd."""
    makers: dict[str, Callable[[], Step]] = {
        who: (lambda number=number, relu=relu: values(expression, number, relu))
        for who, (number, relu) in numbers().items()
    }
    makers |= {
        "compiled": lambda: compiled(expression),
        "HIPS autograd": lambda: in_autograd(expression),
        "jax.jit": lambda: in_jax(expression),
        "CasADi": lambda: in_casadi(expression),
    }
    if expression is seven_ops:
        makers["Python by hand"] = by_hand
    hand = {"Python by hand": None}
    others = {"MyGrad": 0.6, "HIPS autograd": 0.6, "PyTorch eager": None, "jax.jit": None}
    return Work(
        name,
        makers,
        eager={"micrograd": limits[0]} | others | hand,
        compiled={"micrograd": limits[1], "CasADi": None, "jax.jit": None} | hand,
        record=lambda: program(expression)[:2],
        uncollected=True,
        remarks={"eager": "creates its values", "compiled": "keeps its parameters"},
    )


WORKS = [
    work("seven scalar ops, build and backward", seven_ops, limits=(0.6, 1 / 20)),
    work("micrograd's README expression", readme_expression, limits=(None, None)),
]
