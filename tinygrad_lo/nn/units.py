"""The activations as modules, for a Sequential; the functions themselves fit there as well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from tinygrad_lo.engine.machine.arguments import finite_number
from tinygrad_lo.engine.tensor import Parameter
from tinygrad_lo.errors import OptionError
from tinygrad_lo.nn import activations
from tinygrad_lo.nn.base import Module
from tinygrad_lo.nn.initial import float_type, whole


class Activation(Module):
    """A function of `lo.nn` as a module: what all activations share."""

    function: ClassVar[Callable[..., Any]]
    options: ClassVar[tuple[str, ...]] = ()

    def forward(self, x: Any) -> Any:
        """The function, with the options of this module."""
        return type(self).function(x, **{name: getattr(self, name) for name in self.options})

    def _about(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self.options)


class ReLU(Activation):
    """The value where it is positive, else 0: lo.nn.relu as a module.

    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.nn.ReLU()(np.array([-2.0, 3.0]))
        array([0., 3.])
    """

    function = staticmethod(activations.relu)


class ReLU6(Activation):
    """A relu that stops at 6: lo.nn.relu6 as a module.

    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.nn.ReLU6()(np.array([3.0, 8.0]))
        array([3., 6.])
    """

    function = staticmethod(activations.relu6)


class ELU(Activation):
    """A relu with a smooth bend, which goes to −1 on the left: lo.nn.elu as a module.

    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.nn.ELU()(np.array([-1000.0, 3.0]))
        array([-1.,  3.])
    """

    function = staticmethod(activations.elu)


class Sigmoid(Activation):
    """Any number to one between 0 and 1: lo.nn.sigmoid as a module.

    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.nn.Sigmoid()(np.array([-1e4, 0.0]))
        array([0. , 0.5])
    """

    function = staticmethod(activations.sigmoid)


class Tanh(Activation):
    """Any number to one between −1 and 1: lo.nn.tanh as a module.

    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.nn.Tanh()(np.array([-1e4, 0.0]))
        array([-1.,  0.])
    """

    function = staticmethod(activations.tanh)


class Softplus(Activation):
    """The smooth relu, log(1 + e^x): lo.nn.softplus as a module.

    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.nn.Softplus()(np.array([-1e4, 1e4]))
        array([    0., 10000.])
    """

    function = staticmethod(activations.softplus)


class Softminus(Activation):
    """x − softplus(x), the logarithm of the sigmoid: lo.nn.softminus as a module.

    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.nn.Softminus()(np.array([-1e4, 1e4]))
        array([-10000.,     -0.])
    """

    function = staticmethod(activations.softminus)


class LeakyReLU(Activation):
    """A relu that lets a little through on the left: lo.nn.leaky_relu as a module.

    Raises:   OptionError: a slope that is no finite number.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.nn.LeakyReLU(0.25)(np.array([-2.0, 3.0]))
        array([-0.5,  3. ])
    """

    function = staticmethod(activations.leaky_relu)
    options = ("slope",)

    def __init__(self, slope: float = 0.01) -> None:
        self.slope = finite_number("LeakyReLU", "slope", slope)


class PReLU(Module):
    """A leaky relu whose slope is learned, one for all or one for each channel: lo.nn.prelu as a module.

    Shapes:   x: any, or (N, channels, ...); slope () or (channels,).
    Raises:   OptionError: channels below 1, a slope that is no finite number, a dtype that is no float.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.nn.PReLU(slope=0.5)(np.array([-2.0, 3.0])).numpy()
        array([-1.,  3.])
    """

    def __init__(self, channels: int | None = None, *, slope: float = 0.25, dtype: Any = np.float64) -> None:
        shape = () if channels is None else (whole("PReLU", "channels", channels),)
        start = finite_number("PReLU", "slope", slope)
        self.slope = Parameter(np.full(shape, start, float_type("PReLU", dtype)))

    def forward(self, x: Any) -> Any:
        """The input where it is positive, times the slope elsewhere."""
        return activations.prelu(x, self.slope)


class AlongAxis(Activation):
    """An activation that looks along an axis: what those share."""

    options = ("axis",)

    def __init__(self, axis: int = -1) -> None:
        if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
            raise OptionError(f"{type(self).__name__}: axis must be an int, got {axis!r}")
        self.axis = int(axis)


class CReLU(AlongAxis):
    """The positive and the negative part side by side: lo.nn.crelu as a module.

    Raises:   OptionError: the axis is no int.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.nn.CReLU()(np.array([[-2.0, 3.0]]))
        array([[0., 3., 2., 0.]])
    """

    function = staticmethod(activations.crelu)


class Softmax(AlongAxis):
    """Scores to probabilities; cross_entropy takes the scores instead: lo.nn.softmax as a module.

    Raises:   OptionError: the axis is no int.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.nn.Softmax()(np.array([0.0, 0.0]))
        array([0.5, 0.5])
    """

    function = staticmethod(activations.softmax)


class LogSoftmax(AlongAxis):
    """Scores to logarithms of probabilities, for lo.losses.nll: lo.nn.log_softmax as a module.

    Raises:   OptionError: the axis is no int.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.nn.LogSoftmax()(np.array([1e4, 0.0]))
        array([     0., -10000.])
    """

    function = staticmethod(activations.log_softmax)
