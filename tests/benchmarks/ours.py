"""Training steps of ours: a program is a function of its data, the data, and the parameters it reads."""

from collections.abc import Callable
from typing import Any

from race import Step

import tinygrad_lo as lo

Program = Callable[[], tuple[Callable[..., Any], tuple[Any, ...], list[lo.Parameter]]]


def eager(program: Program, lr: float) -> Step:
    """The step as users write it, every check in."""
    loss_of, data, params = program()
    optimizer = lo.optim.SGD(params, lr=lr)

    def step() -> Any:
        loss = loss_of(*data)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


def compiled(program: Program, lr: float) -> Step:
    """The same with the loss compiled: the call adds the gradients as well."""
    function, data, params = program()
    loss_of: Any = lo.compile(function)
    optimizer = lo.optim.SGD(params, lr=lr)

    def step() -> Any:
        optimizer.zero_grad()
        loss = loss_of(*data)
        optimizer.step()
        return loss

    return step


def whole(program: Program, lr: float) -> Step:
    """The step as one program, its optimizer inside."""
    function, data, params = program()
    step: Any = lo.compile(function, optimizer=lo.optim.SGD(params, lr=lr))
    return lambda: step(*data)


def makers(program: Program, lr: float) -> dict[str, Callable[[], Step]]:
    """Both, for a `Work`."""
    return {"eager": lambda: eager(program, lr), "compiled": lambda: compiled(program, lr)}


def recorded(program: Program) -> Callable[[], tuple[Callable[..., Any], tuple[Any, ...]]]:
    """What a `Work` records: the function and its data."""
    return lambda: program()[:2]
