"""Activations: what a layer does to each of its numbers, and softmax, which looks at all of a row."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from tinygrad_lo.engine.graph import Node, tick
from tinygrad_lo.engine.machine.arguments import shape_of
from tinygrad_lo.engine.machine.axes import check_axes
from tinygrad_lo.engine.machine.hooks import remembered
from tinygrad_lo.engine.naming import named, scoped
from tinygrad_lo.engine.ops import elementwise, reductions
from tinygrad_lo.engine.ops.arithmetic import add, greater_equal, less_equal, multiply, negative
from tinygrad_lo.engine.ops.elementwise import clip, exp, expm1, floating, floats, where
from tinygrad_lo.engine.ops.shapes import concatenate, reshape
from tinygrad_lo.errors import OptionError, ShapeError
from tinygrad_lo.options import P, is_whole, number, public


def layer(formula: Callable[P, Any]) -> Callable[P, Any]:
    """A function whose first input is in floating point, its ops one scope; misspelt options are answered."""
    who = formula.__name__

    @functools.wraps(formula)
    def call(x: Any, *rest: Any, **options: Any) -> Any:
        began = tick()
        x = floating(who, x)
        out = formula(x, *rest, **options)
        return out if out is x else scoped(who, began, out)

    return public(call)  # type: ignore[arg-type]


def one_op(op: Callable[[Any], Any]) -> Callable[[Callable[P, Any]], Callable[[Any], Any]]:
    """An activation that is an op of the table; what is decorated says the rest."""

    def decorate(described: Callable[P, Any]) -> Callable[[Any], Any]:
        who = described.__name__

        @functools.wraps(described)
        def call(x: Any) -> Any:
            return op(floating(who, x))

        return call

    return decorate


@one_op(elementwise.relu)
def relu(x: Any) -> Any:
    """The value where it is positive, else 0: the activation to begin with.

        relu(x) = max(0, x)

    At the edges: the slope at 0 is 0; nan stays nan. A unit whose inputs are all negative is dead.
    Source:   lecture 003.
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.nn.relu([-2.0, 0.0, 3.0])
        array([0., 0., 3.])
    """


@layer
def leaky_relu(x: Any, slope: float = 0.01) -> Any:
    """A relu that lets a little through where the input is negative, so that no unit dies.

        leaky_relu(x) = x if x > 0 else slope · x

    At the edges: the slope at 0 is the one from the left.
    Raises:   OptionError: a slope that is no finite number; for a learned one there is prelu.
    Source:   lecture 003; as in PyTorch.
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.nn.leaky_relu([-2.0, 0.0, 3.0], slope=0.25)
        array([-0.5,  0. ,  3. ])
    """
    return bent(x, dtype_of(x).type(a_slope("leaky_relu", "slope", slope)))


@layer
def prelu(x: Any, slope: Any) -> Any:
    """A leaky relu whose slope is a parameter: one for all, or one for each channel.

        prelu(x) = x if x > 0 else slope · x

    Shapes:   slope: one number, or (C,) for x of shape (N, C, ...), whose channels are axis 1.
    At the edges: the slope at 0 is the one from the left.
    Raises:   ShapeError: a slope that is neither one number nor one for each channel.
    Source:   lecture 003; He et al., Delving Deep into Rectifiers, 2015, eq. 1; as in PyTorch.
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.nn.prelu([[-2.0, -6.0]], lo.Parameter([0.25, 0.5])).numpy()
        array([[-0.5, -3. ]])
    """
    x, slope = floats("prelu", x, slope)
    shape, sizes = shape_of(x), shape_of(slope)
    if math.prod(sizes) == 1:
        slope = slope if sizes == () else reshape(slope, ())
    elif len(sizes) == 1 and len(shape) >= 2 and sizes[0] == shape[1]:
        slope = reshape(slope, (sizes[0],) + (1,) * (len(shape) - 2))
    else:
        channels = f"or ({shape[1]},), one for each channel of axis 1" if len(shape) >= 2 else "for all"
        raise ShapeError(f"prelu: slope has shape {sizes}; for x of {shape} give one number, {channels}")
    return bent(x, slope)


@layer
def relu6(x: Any) -> Any:
    """A relu that stops at 6, which numbers of few bits can hold.

        relu6(x) = min(max(0, x), 6)

    At the edges: the slope is 0 at 0 and at 6; nan stays nan.
    Source:   lecture 003; as in PyTorch, whose slopes at both bounds are 0, too.
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.nn.relu6([-2.0, 3.0, 8.0])
        array([0., 3., 6.])
    """
    # Neither clip (slope 1 at 6) nor minimum (1/2); and 6 − relu(6 − x) would lose the digits near 0.
    return where(greater_equal(x, 6.0), dtype_of(x).type(6.0), elementwise.relu(x))


@layer
def crelu(x: Any, axis: int = -1) -> Any:
    """The positive and the negative part side by side: nothing is lost, twice the features come out.

        crelu(x) = [max(0, x), max(0, −x)]

    Shapes:   result: twice as long as x along the axis (1 for channels).
    At the edges: the slope at 0 is 0.
    Raises:   ShapeError: there is no such axis.
    Source:   lecture 003; Shang et al., Understanding and Improving CNNs via Concatenated ReLU, 2016.
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.nn.crelu([[-2.0, 3.0]])
        array([[0., 3., 2., 0.]])
    """
    axis = an_int("crelu", "axis", axis)
    check_axes("crelu", len(shape_of(x)), (axis,))
    return concatenate([elementwise.relu(x), elementwise.relu(negative(x))], axis)


@layer
def elu(x: Any) -> Any:
    """A relu with a smooth bend, which goes to −1 on the left.

        elu(x) = x if x > 0 else e^x − 1

    At the edges: the slope at 0 is 1, from both sides; the second derivative there is the left one, 1.
    Source:   Clevert et al., Fast and Accurate Deep Network Learning by ELUs, 2016, with α = 1.
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.nn.elu([-1000.0, 0.0, 3.0])
        array([-1.,  0.,  3.])
    """
    # Clipped before the exponential, which cannot overflow then. Not by minimum: its tie at 0 would
    # leave half of the slope.
    return add(elementwise.relu(x), expm1(clip(x, None, 0.0)))


@one_op(elementwise.sigmoid)
def sigmoid(x: Any) -> Any:
    """Any number to one between 0 and 1: a score to the probability of yes.

        σ(x) = 1 / (1 + e^(−x)),  σ′(x) = σ(x) σ(−x)

    At the edges: exact in both tails; it only becomes 1 where no float is closer to the true value.
    Source:   lecture 003: it is monotonic, its gradient is not (1/4 at 0, nothing in the tails).
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.nn.sigmoid([-1e4, 0.0, 1e4])
        array([0. , 0.5, 1. ])
    """


@one_op(elementwise.tanh)
def tanh(x: Any) -> Any:
    """Any number to one between −1 and 1: a sigmoid that is centered at 0.

        tanh(x) = (e^x − e^(−x)) / (e^x + e^(−x)) = 2 σ(2x) − 1

    Source:   lecture 003.
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.nn.tanh([-1e4, 0.0, 1e4])
        array([-1.,  0.,  1.])
    """


@one_op(elementwise.softplus)
def softplus(x: Any) -> Any:
    """The smooth relu: always positive, its derivative is the sigmoid.

        softplus(x) = log(1 + e^x)

    At the edges: no overflow: x itself far to the right, e^x far to the left.
    Source:   lecture 003.
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.nn.softplus([-1e4, 0.0, 1e4]).round(3)
        array([0.00e+00, 6.93e-01, 1.00e+04])
    """


@layer
def softminus(x: Any) -> Any:
    """What softplus adds to x, taken away: always negative, the logarithm of the sigmoid.

        softminus(x) = x − softplus(x) = −softplus(−x) = log σ(x)

    At the edges: computed in the second form: the first is exactly 0 above x = 37.
    Source:   lecture 003.
    Example:
        >>> import tinygrad_lo as lo
        >>> f"{lo.nn.softminus(40.0):.6g}"  # −e^(−40)
        '-4.24835e-18'
    """
    return negative(elementwise.softplus(negative(x)))


@layer
def softmax(x: Any, axis: Any = -1) -> Any:
    """Scores to probabilities: positive, summing to 1 along the axis.

        softmax(x)_i = e^(x_i) / Σ_j e^(x_j)

    Shapes:   x: any with the axis (an int, a tuple, or None for all); result: that shape.
    At the edges: what is below e^(−745) (float32: e^(−103)) becomes 0; for a loss, give the scores
              themselves to lo.losses.cross_entropy, which does this inside.
    Raises:   ShapeError: there is no such axis, or it is empty.
    Source:   lectures 000, 002 and 003; as exp(log_softmax(x)), as cross_entropy has it.
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.nn.softmax([3.2, 5.1, -1.7]).round(2)
        array([0.13, 0.87, 0.  ])
    """
    # In these two ops: by them the losses recognize that the softmax has been done already.
    return exp(named(reductions.log_softmax(x, some_axes(softmax, axis, x)), "log p"))


@public
def log_softmax(x: Any, axis: Any = -1) -> Any:
    """The logarithm of softmax, without the softmax: no digit is lost where a probability is tiny.

        log_softmax(x)_i = x_i − log Σ_j e^(x_j)

    Shapes:   x: any with the axis (an int, a tuple, or None for all); result: that shape.
    At the edges: finite at any finite scores. A probability that rounds to 1 has the logarithm 0.
    Raises:   ShapeError: there is no such axis, or it is empty.
    Source:   lectures 000, 002 and 003.
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.nn.log_softmax([1e4, 0.0])
        array([     0., -10000.])
    """
    x = floating(log_softmax.__name__, x)
    return reductions.log_softmax(x, some_axes(log_softmax, axis, x))


def bent(x: Any, slope: Any) -> Any:
    """The input where it is positive, times a slope elsewhere, 0 included: its slope is the left one."""
    below = less_equal(x, 0.0)
    return multiply(x, remembered(where, below, slope, dtype_of(x).type(1.0)))


def dtype_of(x: Any) -> Any:
    """The dtype of a tensor or an array."""
    return x.value.dtype if isinstance(x, Node) else x.dtype


def a_slope(who: str, name: str, value: Any) -> float:
    """An option that is a slope: a number, and no tensor."""
    if isinstance(value, Node):
        raise OptionError(f"{who}: {name} must be a number, got a tensor; to learn it, use prelu(x, slope)")
    return number(who, name, value)


def some_axes(function: Callable[..., Any], axis: Any, x: Any) -> Any:
    """The axis argument (None, an int, a tuple) of a function that needs at least one element along it."""
    return reductions.checked_count(function.__name__, x, axis)[0]


def an_int(who: str, name: str, value: Any) -> int:
    """An option that is one int: an axis."""
    if not is_whole(value):
        raise OptionError(f"{who}: {name} must be an int, got {value!r}")
    return int(value)
