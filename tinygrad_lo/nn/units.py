"""The activations as modules, for a Sequential; the functions themselves fit there as well."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from tinygrad_lo.engine.tensor import Parameter
from tinygrad_lo.nn import activations
from tinygrad_lo.nn.base import Module
from tinygrad_lo.nn.initial import float_type
from tinygrad_lo.options import number, public, unknown, whole

OPTION_READERS: dict[str, Callable[[str, str, Any], Any]] = {
    "slope": activations.a_slope,
    "axis": activations.an_int,
}


class Activation(Module):
    """A function of `lo.nn` as a module: its options are the function's, and so is its documentation."""

    function: ClassVar[Callable[..., Any]]
    takes: ClassVar[inspect.Signature]
    options: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls, of: Callable[..., Any] | None = None, **options: Any) -> None:
        super().__init_subclass__(**options)
        if of is not None:
            cls.function = staticmethod(of)
            _, *parameters = inspect.signature(of).parameters.values()
            cls.takes = cls.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
            cls.options = tuple(cls.takes.parameters)
            _, blank, sections = (of.__doc__ or "").partition("\n\n")
            cls.__doc__ = f"{cls.__doc__}{blank}{sections}"

    def __init__(self, *values: Any, **options: Any) -> None:
        who = type(self).__name__
        wrong = next((name for name in options if name not in self.options), None)
        if wrong is not None:
            raise unknown(who, wrong, self.options)
        bound = self.takes.bind(*values, **options)
        bound.apply_defaults()
        vars(self).update({name: OPTION_READERS[name](who, name, x) for name, x in bound.arguments.items()})

    def forward(self, x: Any) -> Any:
        """The function, with the options of this module."""
        return type(self).function(x, **{name: getattr(self, name) for name in self.options})

    def __about__(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self.options)


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
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.nn.PReLU(slope=0.5)(np.array([-2.0, 3.0])).numpy()
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
