"""What is trained: a model with a loss, rows of data to train on, and the weights as they are."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_lo.compiling.names import define
from tinygrad_lo.engine.graph import Array, Node, no_grad, reachable
from tinygrad_lo.engine.machine.arguments import foreign
from tinygrad_lo.engine.machine.random import generator
from tinygrad_lo.errors import GraphError, OptionError, ShapeError
from tinygrad_lo.nn.base import Module


class Rows:
    """Inputs and targets with one number of rows, as a flat list of arrays.

    Attributes:
        columns: the arrays, those of the inputs first.
        inputs: how many of them are inputs.
        rows: how many rows each has.
        lazy: whether one of them is of Dask, CuPy or another library.
    """

    def __init__(self, who: str, data: Any) -> None:
        if not isinstance(data, (tuple, list)) or len(data) != 2:
            got = f"{type(data).__name__}{f' of {len(data)}' if hasattr(data, '__len__') else ''}"
            pair = "a pair (X, y) of inputs and targets, each an array or a tuple"
            raise OptionError(f"{who}: data is {pair}, got {got}")
        inputs, targets = map(arrays_in, data)
        self.names = numbered("X", len(inputs)) + numbered("y", len(targets))
        self.columns = [as_column(who, *pair) for pair in zip(self.names, inputs + targets, strict=True)]
        self.inputs = len(inputs)
        self.one_target = targets[0] is data[1]
        counts = [len(x) for x in self.columns]
        self.rows = counts[0]
        if len({*counts}) > 1 or not self.rows:
            each = ", ".join(f"{name} has {count}" for name, count in zip(self.names, counts, strict=True))
            raise ShapeError(f"{who}: inputs and targets need one number of rows, at least 1; {each}")
        self.lazy = any(map(foreign, self.columns))

    def take(self, rows: Any) -> list[Any]:
        """Some rows of every column."""
        return [column[rows] for column in self.columns]

    def parts(self, columns: Any) -> tuple[tuple[Any, ...], Any]:
        """The inputs, and the target: an array, or a tuple where it was one."""
        inputs, targets = tuple(columns[: self.inputs]), tuple(columns[self.inputs :])
        return inputs, targets[0] if self.one_target else targets


def arrays_in(part: Any) -> list[Any]:
    """The arrays of a tuple of arrays; anything else is one array."""
    return [*part] if isinstance(part, tuple) and all(map(np.ndim, part)) else [part]


def numbered(letter: str, count: int) -> list[str]:
    """X, or X1, X2, ..."""
    return [letter] if count == 1 else [f"{letter}{i + 1}" for i in range(count)]


def as_column(who: str, name: str, x: Any) -> Any:
    """Data as an array with rows; those of other libraries as they are."""
    if isinstance(x, Node):
        if x.needs:
            cure = f"data is not trained, pass {name}.detach() or an array"
            raise GraphError(f"{who}: {name} requires a gradient; {cure}")
        x = x.value
    if isinstance(x, Mapping):
        raise OptionError(f"{who}: {name} is a dict; give arrays, several as a tuple: the model's arguments")
    x = x if foreign(x) else np.asarray(x)
    if not np.ndim(x):
        raise ShapeError(f"{who}: {name} has no rows: it is one number")
    return x


class Task:
    """A model, a loss of its prediction, and a penalty, as functions of a table's columns.

    Attributes:
        total: a function of the columns that returns the loss, penalty included. It holds model, loss and
            penalty themselves: what a function holds, lo.compile guards.
    """

    def __init__(self, who: str, model: Any, loss: Any, penalty: Any, table: Rows) -> None:
        for name, f in (("model", model), ("loss", loss), ("penalty", penalty)):
            if not callable(f) and not (f is None and name == "penalty"):
                raise OptionError(f"{who}: {name} must be a function, got {type(f).__name__}")
        self.who, self.model, self.loss, self.table = who, model, loss, table
        extra = penalty
        if penalty is not None and takes_model(penalty):

            def extra() -> Any:
                return penalty(model)

        self.penalty = extra
        regroup = table.parts

        def total(*columns: Any) -> Any:
            inputs, target = regroup(columns)
            result = loss(model(*inputs), target)
            return result if extra is None else result + extra()

        args = ", ".join(table.names)
        text = f"def loss_of({args}):\n    return total({args})\n"
        self.total: Callable[..., Any] = define(text, "loss_of", {"total": total})

    def parts(self, columns: Any) -> tuple[Any, Any, Any]:
        """The target, the prediction, and the loss of the data."""
        inputs, target = self.table.parts(columns)
        prediction = self.model(*inputs)
        return target, prediction, self.loss(prediction, target)

    def loss_of(self, batch: list[Any]) -> Any:
        """The loss of a batch, penalty included, if it is a tensor."""
        loss = self.total(*batch)
        if not isinstance(loss, Node):
            kind = type(loss).__name__
            raise GraphError(f"{self.who}: the loss is no tensor but {kind}: no parameter is in it")
        return loss

    def parameters(self, loss: Any) -> list[Any]:
        """The parameters of the model that are not frozen, or those that the loss reaches, oldest first."""
        if isinstance(self.model, Module):
            return [p for p in self.model.parameters() if p.needs]
        return [node for node in reachable([loss]) if node.op is None and node.needs]


def takes_model(penalty: Callable[..., Any]) -> bool:
    """Whether a penalty is a function of the model, or of nothing."""
    parameters = inspect.signature(penalty).parameters.values()
    return any(p.default is p.empty and p.kind is not p.VAR_POSITIONAL for p in parameters)


class Weights:
    """Parameters, a module's buffers and the shared random generator as they are now, to go back to."""

    def __init__(self, model: Any, params: list[Any]) -> None:
        self.model = model
        self.state = model.state_dict() if isinstance(model, Module) else {}
        self.values: list[tuple[Any, Array, Any]] = [(p, p.value.copy(), p.arrived) for p in params]
        self.drawn = generator().bit_generator.state

    def restore(self, *, gradients: bool = False, drawn: bool = True) -> None:
        """Put the values back where they were; gradients, too, if asked."""
        if self.state:
            self.model.load_state_dict(self.state)
        for p, value, grad in self.values:
            p.data = value
            if gradients:
                p.grad = grad
        if drawn:
            generator().bit_generator.state = self.drawn


@contextmanager
def still(model: Any) -> Iterator[None]:
    """Measure without a trace: a module in eval mode, and nothing is drawn for good."""
    modules = [m for m in (model,) if isinstance(m, Module)]
    flags, drawn = [module.training for module in modules], generator().bit_generator.state
    try:
        for module in modules:
            module.eval()
        yield
    finally:
        for module, training in zip(modules, flags, strict=True):
            module.train(training)
        generator().bit_generator.state = drawn


@contextmanager
def borrowed(task: Task, batch: list[Any]) -> Iterator[list[Any]]:
    """The parameters, to train them a little: then model, weights and random numbers are as before."""
    with still(task.model):
        params = task.parameters(task.loss_of(batch))
        before = Weights(task.model, params)
        try:
            yield params
        finally:
            before.restore(gradients=True)


def held(optimizer: Any) -> list[Any]:
    """All parameters of an optimizer."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def as_arrays(x: Any) -> Any:
    """A prediction or target as arrays: tensors give their data, a GPU its copy, tuples stay tuples."""
    if isinstance(x, (tuple, list)):
        return tuple(map(as_arrays, x))
    x = x.value if isinstance(x, Node) else x
    return x.get() if foreign(x) and hasattr(x, "get") else x  # CuPy never copies unasked


def predicted(task: Task, columns: list[Any], *, loss_only: bool = False) -> tuple[Any, Any, float]:
    """Target and prediction as arrays, and the loss of the data: in eval mode, without a graph.

    All that is lazy is computed at once; with `loss_only`, target and prediction stay where they are.
    """
    with still(task.model), no_grad():
        target, prediction, loss = map(as_arrays, task.parts(columns))
    dask = sys.modules.get("dask.base")  # not loaded, it has made none of these
    parts = (None, None, loss) if loss_only else (target, prediction, loss)
    target, prediction, loss = dask.compute(*parts) if dask else parts
    return target, prediction, float(loss)
