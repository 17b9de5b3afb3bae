"""Layers and activations as modules; functions fit in a Sequential as well."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np

from tinygrad_lo.engine.graph import Array, Node
from tinygrad_lo.engine.machine.arguments import shape_of
from tinygrad_lo.engine.machine.random import generator
from tinygrad_lo.engine.naming import name_of
from tinygrad_lo.engine.ops.arithmetic import add
from tinygrad_lo.engine.ops.elementwise import floats
from tinygrad_lo.engine.ops.linear import matmul
from tinygrad_lo.engine.ops.shapes import reshape
from tinygrad_lo.engine.tensor import Parameter
from tinygrad_lo.errors import OptionError, ShapeError
from tinygrad_lo.nn import activations, functional
from tinygrad_lo.nn.base import Module
from tinygrad_lo.options import flag, number, public, unknown, whole

Shape = tuple[int, ...]

INITS: dict[str, Callable[[Shape, np.random.Generator], Array]] = {
    # A relu halves the power, and this restores it: He et al. 2015.
    "he": lambda shape, rng: rng.standard_normal(shape) * math.sqrt(2.0 / fans(shape)[0]),
    # Variance 2 / (inputs + outputs): Glorot and Bengio 2010.
    "xavier": lambda shape, rng: within(math.sqrt(6.0 / sum(fans(shape))), shape, rng),
    # What PyTorch's layers begin with.
    "uniform": lambda shape, rng: within(1.0 / math.sqrt(fans(shape)[0]), shape, rng),
}


def fans(shape: Shape) -> tuple[int, int]:
    """How many inputs an output has, and outputs an input: by a weight (I, O) or (O, I, kh, kw)."""
    rows, columns, cells = *shape[:2], math.prod(shape[2:])
    return (rows, columns) if len(shape) == 2 else (columns * cells, rows * cells)


def within(bound: float, shape: Shape, rng: np.random.Generator) -> Array:
    """Uniform between two bounds."""
    return rng.uniform(-bound, bound, shape)


def initial(who: str, init: Any, shape: Shape, rng: Any, dtype: Any) -> Parameter:
    """A weight that begins as asked: by name, or as a function init(shape, rng) draws it."""
    draw = INITS.get(init) if isinstance(init, str) else init
    if not callable(draw):
        names = ", ".join(map(repr, INITS))
        raise OptionError(f"{who}: init must be {names} or a function init(shape, rng), got {init!r}")
    data = np.asarray(draw(shape, generator(rng)))
    if data.shape != shape:
        raise ShapeError(f"{who}: init gave shape {data.shape}, and the weight has shape {shape}")
    if data.dtype.kind not in "fiu" or not np.isfinite(data).all():
        raise OptionError(f"{who}: init must give finite numbers, got dtype {data.dtype}:\n{data}")
    # Drawn in float64 whatever comes of it, so one seed begins the same model in every dtype.
    return Parameter(data.astype(float_type(who, dtype)))


def float_type(who: str, dtype: Any) -> Any:
    """A dtype option: only floating point can be optimized."""
    try:
        if dtype is not None and np.dtype(dtype).kind == "f":
            return np.dtype(dtype)
    except TypeError:
        pass
    raise OptionError(f"{who}: dtype must be a floating-point type such as 'float32', got {dtype!r}")


class Linear(Module):
    """A linear layer: the scores of the slides, each output a weighted sum of all inputs.

        y = x @ W + b

    The bias begins at 0, the weight as `init` says: "he" (normal, variance 2 / inputs: for relu),
    "xavier" (uniform ±√(6 / (inputs + outputs)): for tanh), "uniform" (±1 / √inputs), or a function
    init(shape, rng).

    Shapes:   x (..., inputs); result (..., outputs); weight (inputs, outputs); bias (outputs,).
    Raises:   OptionError: sizes below 1, an unknown init, no float dtype.  ShapeError: other inputs.
    Source:   lectures 000 and 002 (there W x + b, columns); PyTorch keeps the weight transposed.
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.nn.Linear(2, 1, init=lambda shape, rng: [[3.0], [4.0]])([[1.0, 10.0]]).numpy()
        array([[43.]])
    """

    weight: Any
    bias: Any

    @public
    def __init__(
        self, inputs: int, outputs: int, *, bias: bool = True, init: Any = "he", rng: Any = None,
        dtype: Any = np.float64,
    ) -> None:  # fmt: skip
        rows, columns = whole("Linear", "inputs", inputs), whole("Linear", "outputs", outputs)
        self.weight = initial("Linear", init, (rows, columns), rng, dtype)
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
        >>> lo.nn.Sequential(lo.nn.Linear(2, 16), lo.nn.ReLU(), lo.nn.Linear(16, 1))
        Sequential(
          (0) Linear 2 -> 16: 48 parameters
          (1) ReLU
          (2) Linear 16 -> 1: 17 parameters
        ) 65 parameters
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

    Raises:   OptionError: p, the probability of dropping, is not in [0, 1]; rng is no generator.
    Source:   lectures 000 and 002.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.nn.Dropout(0.75, rng=0).eval()(np.ones(3))
        array([1., 1., 1.])
    """

    @public
    def __init__(self, p: float = 0.5, *, rng: Any = None) -> None:
        self.p = number("Dropout", "p", p, at_least=0.0, at_most=1.0)
        self.rng = None if rng is None else generator(rng)

    def forward(self, x: Any) -> Any:
        """A random part of the values away, in training."""
        return functional.dropout(x, self.p, training=self.training, rng=self.rng)

    def __about__(self) -> str:
        return f"p={self.p:g}"


OPTION_READERS: dict[str, Callable[[str, str, Any], Any]] = {
    "slope": activations.a_slope,
    "axis": activations.an_int,
    "size": functional.a_window,
    "stride": functional.a_window,
    "padding": functional.a_window,
}


class Layer(Module):
    """A function of `lo.nn` as a module: its options are the function's, and so is its documentation."""

    function: ClassVar[Callable[..., Any]]
    takes: ClassVar[inspect.Signature]

    def __init_subclass__(cls, of: Callable[..., Any] | None = None, **options: Any) -> None:
        super().__init_subclass__(**options)
        if of is not None:
            cls.function = staticmethod(of)
            _, *parameters = inspect.signature(of).parameters.values()
            cls.takes = cls.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
            _, blank, sections = (of.__doc__ or "").partition("\n\n")
            cls.__doc__ = f"{cls.__doc__}{blank}{sections}"

    def __init__(self, *values: Any, **options: Any) -> None:
        who, known = type(self).__name__, list(self.takes.parameters)
        for name in options:
            if name not in known:
                raise unknown(who, name, known)
        bound = self.takes.bind(*values, **options)
        bound.apply_defaults()
        vars(self).update({name: OPTION_READERS[name](who, name, x) for name, x in bound.arguments.items()})

    def forward(self, x: Any) -> Any:
        """The function, with the options of this module."""
        if not self.takes.parameters:
            return type(self).function(x)
        return type(self).function(x, **{name: getattr(self, name) for name in self.takes.parameters})

    def __about__(self) -> str:
        values = {name: getattr(self, name) for name in self.takes.parameters}
        return ", ".join(f"{name}={value!r}" for name, value in values.items() if value is not None)


class Activation(Layer):
    """A layer that looks at each number, or each row of them."""


class ReLU(Activation, of=activations.relu):
    """The value where it is positive, else 0: lo.nn.relu as a module."""


class ReLU6(Activation, of=activations.relu6):
    """A relu that stops at 6: lo.nn.relu6 as a module."""


class ELU(Activation, of=activations.elu):
    """A relu with a smooth bend, which goes to −1 on the left: lo.nn.elu as a module."""


class Sigmoid(Activation, of=activations.sigmoid):
    """Any number to one between 0 and 1: lo.nn.sigmoid as a module."""


class Tanh(Activation, of=activations.tanh):
    """Any number to one between −1 and 1: lo.nn.tanh as a module."""


class Softplus(Activation, of=activations.softplus):
    """The smooth relu, log(1 + e^x): lo.nn.softplus as a module."""


class Softminus(Activation, of=activations.softminus):
    """x − softplus(x), the logarithm of the sigmoid: lo.nn.softminus as a module."""


class LeakyReLU(Activation, of=activations.leaky_relu):
    """A relu that lets a little through on the left: lo.nn.leaky_relu as a module."""


class CReLU(Activation, of=activations.crelu):
    """The positive and the negative part side by side: lo.nn.crelu as a module."""


class Softmax(Activation, of=activations.softmax):
    """Scores to probabilities; cross_entropy takes the scores instead: lo.nn.softmax as a module."""


class LogSoftmax(Activation, of=activations.log_softmax):
    """Scores to logarithms of probabilities, for lo.losses.nll: lo.nn.log_softmax as a module."""


class PReLU(Module):
    """A leaky relu whose slope is learned, one for all or one for each channel: lo.nn.prelu as a module.

    Shapes:   x: any, or (N, channels, ...); slope () or (channels,).
    Raises:   OptionError: channels below 1, a slope that is no finite number, a dtype that is no float.
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.nn.PReLU(slope=0.5)([-2.0, 3.0]).numpy()
        array([-1.,  3.])
    """

    @public
    def __init__(self, channels: int | None = None, *, slope: float = 0.25, dtype: Any = np.float64) -> None:
        shape = () if channels is None else (whole("PReLU", "channels", channels),)
        start = number("PReLU", "slope", slope)
        self.slope = Parameter(np.full(shape, start, float_type("PReLU", dtype)))

    def forward(self, x: Any) -> Any:
        """The input where it is positive, times the slope elsewhere."""
        return activations.prelu(x, self.slope)
