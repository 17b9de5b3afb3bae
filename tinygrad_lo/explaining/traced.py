"""The program of a finished graph, or of a function that runs once: then labels follow its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.backward import start
from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.machine.recording import Data, Recording
from tinygrad_lo.errors import GraphError, OptionError
from tinygrad_lo.program.program import Program


def program_of(loss: Any, args: tuple[Any, ...] = (), *, whole: bool = False) -> Program:
    """The program of a finished graph, or of what a function does with these arguments."""
    if not callable(loss):
        if args:
            raise OptionError(
                "javascript: a finished graph takes no arguments; pass the function that makes it"
            )
        if not isinstance(loss, Node):
            raise GraphError(
                f"javascript: expected a tensor, the loss, or a function, got {type(loss).__name__}"
            )
        start(loss, None, "javascript")  # refuses what has no gradient
        return Program(loss, whole=whole)
    return Program(*ran(loss, args), whole=whole, exact=False)


def ran(f: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Node, Recording]:
    """What a function returns, and what it did; arrays among its arguments are followed by their names."""
    names = list(inspect.signature(f.forward if hasattr(f, "forward") else f).parameters)
    with Recording("while a function is printed") as recording:
        out = f(*(as_followed(arg, name) for arg, name in zip(args, names, strict=False)))
    if recording.refused is not None:
        raise recording.refused  # f has caught it, and went on without the number
    if not isinstance(out, Node):
        raise GraphError(
            f"javascript: expected a function that returns a tensor, the loss; got {type(out).__name__}"
        )
    start(out, None, "javascript")
    return out, recording


def as_followed(arg: Any, name: str) -> Any:
    """An argument as the function sees it: an array, or a NumPy number, as data; all else as it is."""
    arg = np.asarray(arg) if isinstance(arg, list) else arg
    is_array = isinstance(arg, ndarray) and arg.dtype.kind in "fiub"
    return Data(arg, name=name) if is_array or isinstance(arg, np.floating) else arg
