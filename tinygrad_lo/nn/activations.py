"""Activations: what a layer does to each of its numbers, and softmax, which looks at all of a row.

Each is written with functions of the table, so tensors give tensors and plain arrays give plain arrays.
Lists and integers are taken as float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Node, tick
from tinygrad_lo.engine.machine.arguments import finite_number, shape_of
from tinygrad_lo.engine.machine.axes import bad_axes, plain_axis
from tinygrad_lo.engine.machine.hooks import remembered
from tinygrad_lo.engine.naming import named, scoped
from tinygrad_lo.engine.ops import elementwise, reductions
from tinygrad_lo.engine.ops.arithmetic import add, greater_equal, less_equal, multiply, negative
from tinygrad_lo.engine.ops.elementwise import clip, exp, expm1, floating, floats, where
from tinygrad_lo.engine.ops.shapes import concatenate, reshape
from tinygrad_lo.errors import OptionError, ShapeError


def relu(x: Any) -> Any:
    """The value where it is positive, else 0: the activation to begin with.

        relu(x) = max(0, x)

    Shapes:   x: any; result: that shape.
    At the edges: the slope at 0 is 0; nan stays nan. Where every input is negative the unit is dead:
              no gradient ever comes back to it (leaky_relu lets some through).
    Source:   lecture 003.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.nn.relu(np.array([-2.0, 0.0, 3.0]))
        array([0., 0., 3.])
    """
    return elementwise.relu(floating("relu", x))


def leaky_relu(x: Any, slope: float = 0.01) -> Any:
    """A relu that lets a little through where the input is negative, so that no unit dies.

        leaky_relu(x) = x if x > 0 else slope · x

    Shapes:   x: any; result: that shape.
    At the edges: the slope at 0 is the one from the left.
    Raises:   OptionError: a slope that is no finite number; for a learned one there is prelu.
    Source:   lecture 003; as in PyTorch.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.nn.leaky_relu(np.array([-2.0, 0.0, 3.0]), slope=0.25)
        array([-0.5,  0. ,  3. ])
    """
    began = tick()
    given: Any = slope
    if isinstance(given, Node):
        raise OptionError(
            "leaky_relu: slope must be a finite number, got a tensor; to learn it, use prelu(x, slope)"
        )
    value = finite_number("leaky_relu", "slope", given)
    x = floating("leaky_relu", x)
    return scoped("leaky_relu", began, bent(x, dtype_of(x).type(value)))


def prelu(x: Any, slope: Any) -> Any:
    """A leaky relu whose slope is a parameter: one for all, or one for each channel.

        prelu(x) = x if x > 0 else slope · x

    Shapes:   x: any; slope: one number, or (C,) for x of shape (N, C, ...), whose channels are axis 1;
              result: the shape of x.
    At the edges: the slope at 0 is the one from the left.
    Raises:   ShapeError: a slope that is neither one number nor one for each channel.
    Source:   lecture 003; He et al., Delving Deep into Rectifiers, 2015, eq. 1; as in PyTorch.
    Example:
        >>> import tinygrad_lo as lo
        >>> slope = lo.Parameter(0.25)
        >>> y = lo.nn.prelu([[-2.0, 3.0], [-4.0, -6.0]], slope)
        >>> y.sum().backward()
        >>> float(slope.grad)
        -12.0
    """
    began = tick()
    x, slope = floats("prelu", x, slope)
    shape, given = shape_of(x), shape_of(slope)
    if math.prod(given) == 1:
        slope = slope if given == () else reshape(slope, ())
    elif len(given) == 1 and len(shape) >= 2 and given[0] == shape[1]:
        slope = reshape(slope, (given[0],) + (1,) * (len(shape) - 2))
    else:
        channels = f"or ({shape[1]},), one for each channel of axis 1" if len(shape) >= 2 else "for all"
        raise ShapeError(
            f"prelu: slope has shape {given}; for x of shape {shape} give one number, {channels}"
        )
    return scoped("prelu", began, bent(x, slope))


def relu6(x: Any) -> Any:
    """A relu that stops at 6, which numbers of few bits can hold.

        relu6(x) = min(max(0, x), 6)

    Shapes:   x: any; result: that shape.
    At the edges: the slope is 0 at 0 and at 6; nan stays nan.
    Source:   lecture 003; as in PyTorch, whose slopes at both bounds are 0, too.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.nn.relu6(np.array([-2.0, 3.0, 8.0]))
        array([0., 3., 6.])
    """
    began = tick()
    x = floating("relu6", x)
    # Neither clip (slope 1 at 6) nor minimum (1/2); and 6 − relu(6 − x) would lose the digits near 0.
    return scoped("relu6", began, where(greater_equal(x, 6.0), dtype_of(x).type(6.0), elementwise.relu(x)))


def crelu(x: Any, axis: int = -1) -> Any:
    """The positive and the negative part side by side: nothing is lost, twice the features come out.

        crelu(x) = [max(0, x), max(0, −x)]

    Shapes:   x: any with the axis; result: that shape, twice as long along the axis (1 for channels).
    At the edges: the slope at 0 is 0.
    Raises:   ShapeError: there is no such axis.
    Source:   lecture 003; Shang et al., Understanding and Improving CNNs via Concatenated ReLU, 2016.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.nn.crelu(np.array([[-2.0, 3.0]]))
        array([[0., 3., 2., 0.]])
    """
    began = tick()
    x = floating("crelu", x)
    axis = one_axis("crelu", axis, x)
    parts = [elementwise.relu(x), elementwise.relu(negative(x))]
    return scoped("crelu", began, concatenate(parts, axis))


def elu(x: Any) -> Any:
    """A relu with a smooth bend, which goes to −1 on the left.

        elu(x) = x if x > 0 else e^x − 1

    Shapes:   x: any; result: that shape.
    At the edges: the slope at 0 is 1, from both sides; the second derivative there is the left one, 1.
    Source:   Clevert et al., Fast and Accurate Deep Network Learning by ELUs, 2016, with α = 1.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.nn.elu(np.array([-1000.0, 0.0, 3.0]))
        array([-1.,  0.,  3.])
    """
    began = tick()
    x = floating("elu", x)
    # Clipped before the exponential, which cannot overflow then. Not by minimum: its tie at 0 would
    # leave half of the slope.
    out = add(elementwise.relu(x), expm1(clip(x, None, 0.0)))
    return scoped("elu", began, out)


def sigmoid(x: Any) -> Any:
    """Any number to one between 0 and 1: a score to the probability of yes.

        σ(x) = 1 / (1 + e^(−x)),  σ′(x) = σ(x) σ(−x)

    Shapes:   x: any; result: that shape.
    At the edges: exact in both tails; it only becomes 1 where no float is closer to the true value.
    Source:   lecture 003: it is monotonic, its gradient is not (1/4 at 0, nothing in the tails).
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.nn.sigmoid(np.array([-1e4, 0.0, 1e4]))
        array([0. , 0.5, 1. ])
    """
    return elementwise.sigmoid(floating("sigmoid", x))


def tanh(x: Any) -> Any:
    """Any number to one between −1 and 1: a sigmoid that is centered at 0.

        tanh(x) = (e^x − e^(−x)) / (e^x + e^(−x)) = 2 σ(2x) − 1

    Shapes:   x: any; result: that shape.
    Source:   lecture 003.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.nn.tanh(np.array([-1e4, 0.0, 1e4]))
        array([-1.,  0.,  1.])
    """
    return elementwise.tanh(floating("tanh", x))


def softplus(x: Any) -> Any:
    """The smooth relu: always positive, its derivative is the sigmoid.

        softplus(x) = log(1 + e^x)

    Shapes:   x: any; result: that shape.
    At the edges: no overflow: x itself far to the right, e^x far to the left.
    Source:   lecture 003.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.nn.softplus(np.array([-1e4, 0.0, 1e4])).round(3)
        array([0.00e+00, 6.93e-01, 1.00e+04])
    """
    return elementwise.softplus(floating("softplus", x))


def softminus(x: Any) -> Any:
    """What softplus adds to x, taken away: always negative, the logarithm of the sigmoid.

        softminus(x) = x − softplus(x) = −softplus(−x) = log σ(x)

    Shapes:   x: any; result: that shape.
    At the edges: computed in the second form: the first is exactly 0 above x = 37.
    Source:   lecture 003.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> f"{lo.nn.softminus(40.0):.6g}", f"{-np.exp(-40.0):.6g}"
        ('-4.24835e-18', '-4.24835e-18')
        >>> lo.nn.softminus(np.array([-1e4, 0.0])).round(3)
        array([-1.00e+04, -6.93e-01])
    """
    began = tick()
    out = negative(elementwise.softplus(negative(floating("softminus", x))))
    return scoped("softminus", began, out)


def softmax(x: Any, axis: Any = -1) -> Any:
    """Scores to probabilities: positive, summing to 1 along the axis.

    For a loss, give the scores themselves to lo.losses.cross_entropy, which does this inside.

        softmax(x)_i = e^(x_i) / Σ_j e^(x_j)

    Shapes:   x: any with the axis (an int, a tuple, or None for all); result: that shape.
    At the edges: finite at any finite scores; what is below e^(−745) (float32: e^(−103)) becomes 0.
    Raises:   ShapeError: there is no such axis, or it is empty.
    Source:   lectures 000, 002 and 003; as exp(log_softmax(x)), as cross_entropy has it.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.nn.softmax(np.array([3.2, 5.1, -1.7])).round(2)
        array([0.13, 0.87, 0.  ])
    """
    began = tick()
    x = floating("softmax", x)
    axis = some_axes("softmax", axis, x)
    # In these two ops: by them the losses recognize that the softmax has been done already.
    return scoped("softmax", began, exp(named(reductions.log_softmax(x, axis), "log p")))


def log_softmax(x: Any, axis: Any = -1) -> Any:
    """The logarithm of softmax, without the softmax: no digit is lost where a probability is tiny.

        log_softmax(x)_i = x_i − log Σ_j e^(x_j)

    Shapes:   x: any with the axis (an int, a tuple, or None for all); result: that shape.
    At the edges: finite at any finite scores. A probability that rounds to 1 has the logarithm 0.
    Raises:   ShapeError: there is no such axis, or it is empty.
    Source:   lectures 000, 002 and 003.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.nn.log_softmax(np.array([[0.0, 0.0], [1e4, 0.0]])).round(3)
        array([[-6.93e-01, -6.93e-01],
               [ 0.00e+00, -1.00e+04]])
    """
    x = floating("log_softmax", x)
    return reductions.log_softmax(x, some_axes("log_softmax", axis, x))


# ------------------------------------------------------------------------------------ what they share


def bent(x: Any, slope: Any) -> Any:
    """The input where it is positive, times a slope elsewhere, 0 included: its slope is the left one."""
    below = less_equal(x, 0.0)
    return multiply(x, remembered(where, below, slope, dtype_of(x).type(1.0)))


def dtype_of(x: Any) -> Any:
    """The dtype of a tensor or an array."""
    return x.value.dtype if isinstance(x, Node) else x.dtype


def some_axes(who: str, axis: Any, x: Any) -> Any:
    """The axis argument (None, an int, a tuple) of a function that needs at least one element along it."""
    axis = plain_axis(who, axis, x)
    shape = shape_of(x)
    problem = bad_axes(who, len(shape), (axis,) if isinstance(axis, int) else axis or ())
    if problem is not None:
        raise problem
    reductions.count(who, shape, axis)
    return axis


def one_axis(who: str, axis: Any, x: Any) -> int:
    """The axis argument where it must be one int."""
    if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
        raise OptionError(f"{who}: axis must be an int, got {axis!r}")
    some: int = plain_axis(who, axis, x)  # type: ignore[assignment]
    problem = bad_axes(who, len(shape_of(x)), (some,))
    if problem is not None:
        raise problem
    return some
