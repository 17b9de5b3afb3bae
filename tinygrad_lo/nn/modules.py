"""Layers as modules: Linear, Sequential, Flatten, Dropout."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.machine.arguments import shape_of
from tinygrad_lo.engine.machine.random import generator
from tinygrad_lo.engine.naming import name_of
from tinygrad_lo.engine.ops.arithmetic import add
from tinygrad_lo.engine.ops.elementwise import floats
from tinygrad_lo.engine.ops.linear import matmul
from tinygrad_lo.engine.ops.shapes import reshape
from tinygrad_lo.engine.tensor import Parameter
from tinygrad_lo.errors import OptionError, ShapeError
from tinygrad_lo.nn.base import Module
from tinygrad_lo.nn.functional import dropout
from tinygrad_lo.nn.initial import initial
from tinygrad_lo.options import flag, number, public, whole


class Linear(Module):
    """A linear layer: the scores of the slides, each output a weighted sum of all inputs.

        y = x @ W + b

    The bias begins at 0, the weight as `init` says: "he" (normal, variance 2 / inputs: for relu),
    "xavier" (uniform ±√(6 / (inputs + outputs)): for tanh), "uniform" (±1 / √inputs), or a function
    init(shape, rng).

    Shapes:   x (..., inputs); result (..., outputs); weight (inputs, outputs); bias (outputs,).
    Raises:   OptionError: sizes below 1, an unknown init, a dtype that is no float.  ShapeError: x has
              another number of features.
    Source:   lectures 000 and 002 (there W x + b, columns); PyTorch keeps the weight transposed.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> layer = lo.nn.Linear(2, 1, init=lambda shape, rng: np.array([[3.0], [4.0]]))
        >>> layer([[1.0, 10.0]]).numpy()
        array([[43.]])
        >>> layer
        Linear 2 -> 1: 3 parameters
    """

    weight: Any
    bias: Any

    @public
    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        bias: bool = True,
        init: Any = "he",
        rng: Any = None,
        dtype: Any = np.float64,
    ) -> None:
        rows, columns = whole("Linear", "inputs", inputs), whole("Linear", "outputs", outputs)
        self.weight = initial("Linear", init, (rows, columns), rows, columns, rng, dtype)
        self.bias = Parameter(np.zeros(columns, self.weight.dtype)) if flag("Linear", "bias", bias) else None

    def forward(self, x: Any) -> Any:
        """x @ W + b."""
        weight = self.weight
        if not isinstance(x, Node) or x.plain or x.value.dtype.kind != "f":
            x = floats("Linear", x, weight)[0]  # plain float64 data leave a float32 layer float32
        if shape_of(x)[-1:] != weight.value.shape[:1]:
            raise self._other_features(shape_of(x))
        y = matmul(x, weight)
        return y if self.bias is None else add(y, self.bias)

    def _other_features(self, shape: tuple[int, ...]) -> ShapeError:
        """The error for inputs with another number of features."""
        got = f"{shape[-1]} (x has shape {shape})" if shape else "a number"
        name = name_of(self.weight) or ""
        place = f" at {name.removesuffix('.weight')!r}" if name.endswith(".weight") else ""
        expected = f"expected {self.weight.value.shape[0]} features along the last axis"
        return ShapeError(f"Linear {self.__about__()}{place}: {expected}, got {got}")

    def __about__(self) -> str:
        rows, columns = shape_of(self.weight)
        return f"{rows} -> {columns}" + (", no bias" if self.bias is None else "")


class Sequential(Module):
    """Modules and functions one after the other: the output of each is the input of the next.

    `model[0]` is the first of them, `model[:2]` a Sequential of the first two, with the same parameters;
    names are "0.weight", "2.bias".

    Raises:   OptionError: nothing to do; a class where an instance is meant; a function that brings
              parameters along unseen.  ShapeError: an index outside.
    Example:
        >>> import tinygrad_lo as lo
        >>> model = lo.nn.Sequential(lo.nn.Linear(2, 16), lo.nn.ReLU(), lo.nn.Linear(16, 1))
        >>> model
        Sequential(
          (0) Linear 2 -> 16: 48 parameters
          (1) ReLU
          (2) Linear 16 -> 1: 17 parameters
        ) 65 parameters
        >>> model([[0.5, 0.5], [1.0, 2.0], [0.0, 0.0]]).shape
        (3, 1)
    """

    def __init__(self, *modules: Any) -> None:
        if not modules:
            raise OptionError("Sequential: give at least one module")
        for i, step in enumerate(modules):
            problem = no_step(step)
            if problem:
                raise OptionError(f"Sequential: entry {i}{problem}")
        self.steps = modules

    def forward(self, x: Any) -> Any:
        """The input through all of them."""
        for step in self._steps():
            x = step(x)
        return x

    def __getitem__(self, index: Any) -> Any:
        steps = self._steps()
        if isinstance(index, slice):
            return Sequential(*steps[index])
        if not -len(steps) <= index < len(steps):
            raise ShapeError(f"Sequential: index {index} is outside of its {len(steps)} modules")
        return steps[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._steps())

    def __len__(self) -> int:
        return len(self._steps())

    def _steps(self) -> tuple[Any, ...]:
        steps: tuple[Any, ...] | None = vars(self).get("steps")
        if steps is None:
            raise OptionError(f"{type(self).__name__}: call super().__init__(*modules) in its __init__ first")
        return steps

    def __held__(self) -> Iterator[tuple[str, Any]]:
        yield from ((str(i), step) for i, step in enumerate(self._steps()))
        yield from ((name, value) for name, value in vars(self).items() if name != "steps")

    def __listed__(self) -> list[tuple[str, Any]]:
        own = {str(i): step for i, step in enumerate(self._steps())}
        return [*own.items(), *(part for part in super().__listed__() if part[0] not in own)]


def no_step(step: Any) -> str:
    """Why this cannot be one of the steps of a Sequential; nothing if it can."""
    if isinstance(step, Module):
        return ""
    if isinstance(step, (list, tuple)):
        return f" is a {type(step).__name__}; write Sequential(*layers)"
    if isinstance(step, type):
        return f" is the class {step.__name__}; write {step.__name__}(...)"
    if not callable(step):
        return f" is {step!r}, neither a module nor a function"
    # A method of a module, or functools.partial with a parameter.
    brought = [getattr(step, "__self__", None), *getattr(step, "args", ())]
    brought += getattr(step, "keywords", {}).values()
    if any(isinstance(x, Module) or (isinstance(x, Node) and x.needs) for x in brought):
        return f", {step!r}, brings parameters that would not be listed; write a Module with them"
    return ""


class Flatten(Module):
    """All axes but the first in one: images become rows of features.

    Shapes:   x (N, ...); result (N, the product of the rest).
    Raises:   ShapeError: a single number, which has no samples.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.nn.Flatten()(np.zeros((5, 3, 4, 4))).shape
        (5, 48)
    """

    def forward(self, x: Any) -> Any:
        """The rows."""
        shape = shape_of(x)
        if not shape:
            raise ShapeError("Flatten: x is a single number; expected (N, ...)")
        return reshape(x, (shape[0], math.prod(shape[1:])))


class Dropout(Module):
    """lo.nn.dropout as a module: active after train(), which is how it begins, silent after eval().

    Shapes:   x: any; result: that shape.
    Raises:   OptionError: p, the probability of dropping, is not in [0, 1]; rng is no generator.
    Source:   lectures 000 and 002.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> layer = lo.nn.Dropout(0.75, rng=0)
        >>> np.unique(layer(np.ones(1000))), layer.eval()(np.ones(3))
        (array([0., 4.]), array([1., 1., 1.]))
    """

    @public
    def __init__(self, p: float = 0.5, *, rng: Any = None) -> None:
        self.p = number("Dropout", "p", p, at_least=0.0, at_most=1.0)
        self.rng = None if rng is None else generator(rng)

    def forward(self, x: Any) -> Any:
        """A random part of the values away, in training."""
        return dropout(x, self.p, training=self.training, rng=self.rng)

    def __about__(self) -> str:
        return f"p={self.p:g}"
