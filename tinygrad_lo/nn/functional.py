"""Layers as functions: dropout, batch normalization, convolution and pooling.

They keep nothing: weights and running statistics are arguments. Images are (N, C, H, W).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.backward import call
from tinygrad_lo.engine.graph import Array, Node, Op
from tinygrad_lo.engine.machine.arguments import foreign, shape_of
from tinygrad_lo.engine.machine.hooks import effect
from tinygrad_lo.engine.machine.random import generator
from tinygrad_lo.engine.naming import made_of, named
from tinygrad_lo.engine.ops.arithmetic import add, divide, multiply, square, subtract
from tinygrad_lo.engine.ops.elementwise import astype, floats, sqrt
from tinygrad_lo.engine.ops.indexing import positions, unfold, windows
from tinygrad_lo.engine.ops.linear import matmul
from tinygrad_lo.engine.ops.reductions import max as largest
from tinygrad_lo.engine.ops.reductions import mean
from tinygrad_lo.engine.ops.shapes import pad, reshape, transpose
from tinygrad_lo.engine.tensor import Tensor
from tinygrad_lo.errors import DomainError, DTypeError, OptionError, ShapeError, UnsupportedError
from tinygrad_lo.nn.activations import dtype_of, layer
from tinygrad_lo.options import is_whole, number

Pair = tuple[int, int]
NO_BORDER = ((0, 0), (0, 0))


@layer
def dropout(x: Any, p: float, *, training: bool = True, rng: Any = None) -> Any:
    """Throw a random part of the values away, so that no unit relies on another one.

        y = x · m / (1 − p),  m = 0 with probability p, else 1

    At the edges: p = 0, or training=False: x unchanged; p = 1: zeros. The mask does not depend on the
              dtype: one seed drops the same values in float32 and in float64.
    Raises:   OptionError: p is not in [0, 1], or rng is no generator.
    Source:   lectures 000 and 002; p is the probability of dropping (PyTorch, Keras), not of keeping. The
              lectures name two relatives that are not here: stochastic depth drops whole layers (Huang et al.
              2016), fractional pooling draws where the windows lie (Graham 2014, "Fractional Max-Pooling").
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> np.unique(lo.nn.dropout(np.ones(1000), 0.75, rng=0))
        array([0., 4.])
    """
    p = number("dropout", "p", p, at_least=0.0, at_most=1.0)
    generator(rng)  # refuses what is none
    if not training or p == 0.0:
        return x
    scale = 0.0 if p == 1.0 else 1.0 / (1.0 - p)
    mask = call(random_mask, shape_of(x), p, scale, dtype_of(x), rng)
    return multiply(x, named(Tensor(mask), "mask") if isinstance(x, Node) else mask)


def draw_mask(shape: tuple[int, ...], p: float, scale: float, dtype: Any, rng: Any) -> Array:
    """Zeros with probability p, else the scale that makes up for them."""
    return (generator(rng).random(shape) >= p) * dtype.type(scale)


# Not in the table: it has no input, and its value is another one each time.
random_mask = Op("random_mask", draw_mask, (), "mask", "mask", "0 with probability p, else 1 / (1 - p).", 0)


@layer
def batch_norm(
    x: Any, weight: Any = None, bias: Any = None, *, running_mean: Any = None, running_var: Any = None,
    training: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    """Each channel shifted and scaled to mean 0 and variance 1, then to a learned mean and scale.

    In training the statistics are the batch's own, and gradients flow through them. The running ones,
    plain NumPy arrays, are **updated in place** then, and used instead when training is over.

        x̂ = (x − μ) / √(σ² + eps),  y = weight · x̂ + bias
        running ← (1 − momentum) · running + momentum · batch

    Shapes:   x (N, C) or (N, C, ...), μ and σ² over all axes but axis 1; all others (C,).
    At the edges: a constant channel gives the bias.
    Raises:   ShapeError: one value per channel in training, whose variance is nothing; wrong shapes.
              OptionError: running statistics are missing; momentum outside [0, 1], eps <= 0.
              DTypeError: running statistics that cannot be updated in place.  DomainError: a negative
              running_var.  UnsupportedError: lazy arrays with running statistics.
    Source:   Ioffe and Szegedy 2015, algorithm 1; lectures 000 and 002. As in PyTorch σ² divides by n,
              the running variance by n − 1, and momentum is the weight of the new batch (Keras: of the old).
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.nn.batch_norm([[1.0], [3.0]], weight=[2.0], bias=[5.0]).round(2).tolist()
        [[3.0], [7.0]]
    """
    who = "batch_norm"
    x, weight, bias = floats(who, x, weight, bias)
    narrow = dtype_of(x) == np.float16
    if narrow:  # whose squares overflow at 65504
        x = astype(x, np.float32)
    shape = shape_of(x)
    if len(shape) < 2:
        raise ShapeError(f"{who}: x must be (N, C) or (N, C, ...), got shape {shape}")
    column = (shape[1],) + (1,) * (len(shape) - 2)
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None:
            must_have_shape(who, name, value, (shape[1],))
    share = number(who, "momentum", momentum, at_least=0.0, at_most=1.0)
    eps = number(who, "eps", eps, above=0.0)
    running = running_of(who, running_mean, running_var, shape[1], training)

    if training:
        centered, variance = batch_statistics(who, x, running, share)
    else:
        # Copies: a later step of training changes the arrays, this graph must not notice.
        average, variance = (reshape(astype(old, dtype_of(x)), column) for old in running)
        centered = subtract(x, average)
    out = named(divide(centered, sqrt(add(variance, eps))), "x̂")
    if weight is not None:
        out = multiply(out, reshape(weight, column))
    if bias is not None:
        out = add(out, reshape(bias, column))
    return astype(out, np.float16) if narrow else out


def batch_statistics(who: str, x: Any, running: tuple[Array, ...], share: float) -> tuple[Any, Any]:
    """The input less its mean, and its variance, in each channel; the running statistics move along."""
    shape = shape_of(x)
    axes = (0, *range(2, len(shape)))
    count = math.prod(shape[i] for i in axes)
    if count < 2:
        raise ShapeError(
            f"{who}: training needs more than one value per channel, got {count} (shape {shape}); "
            f"use a larger batch, or training=False"
        )
    if running and foreign(x.value if isinstance(x, Node) else x):
        raise UnsupportedError(f"{who}: running statistics of a lazy array would compute it; pass none")
    average = named(mean(x, axes, True), "μ")
    centered = subtract(x, average)
    variance = named(mean(square(centered), axes, True), "σ²")
    for old, new, factor in zip(running, (average, variance), (1.0, count / (count - 1)), strict=False):
        effect(move, new, old, share, factor)
    return centered, variance


def move(batch: Array, running: Array, share: float, factor: float) -> None:
    """Move a running statistic, in place, by a share of its distance from the batch's own."""
    running += share * (factor * batch.reshape(running.shape) - running)


def must_be_statistic(who: str, name: str, value: Any, channels: int) -> None:
    """A running statistic is a plain array of floats, one for each channel."""
    if type(value) is not ndarray or value.dtype.kind != "f":
        kind = f"an array of {value.dtype}" if type(value) is ndarray else type(value).__name__
        raise DTypeError(f"{who}: {name} must be a NumPy array of floats, updated in place; got {kind}")
    must_have_shape(who, name, value, (channels,))


def running_of(who: str, average: Any, variance: Any, channels: int, training: bool) -> tuple[Array, ...]:
    """The running statistics, both or none, fit to be updated in place."""
    if (average is None) != (variance is None):
        missing = "running_mean" if average is None else "running_var"
        raise OptionError(f"{who}: {missing} is missing; give both running statistics, or none")
    if average is None:
        if not training:
            raise OptionError(f"{who}: training=False needs running_mean and running_var, got None")
        return ()
    for name, value in (("running_mean", average), ("running_var", variance)):
        must_be_statistic(who, name, value, channels)
        if training and not value.flags.writeable:
            raise DTypeError(f"{who}: {name} is read-only, but training updates it in place; pass a copy")
    if not training and (variance < 0).any():
        place = int(np.argmax(variance < 0))
        raise DomainError(f"{who}: running_var[{place}] is {variance.min():g}; a variance is >= 0")
    return average, variance


def must_have_shape(who: str, name: str, value: Any, shape: tuple[int, ...]) -> None:
    """Raise unless there is one number for each channel or filter."""
    if shape_of(value) != shape:
        raise ShapeError(f"{who}: {name} must have shape {shape}, one a channel, got {shape_of(value)}")


@layer
def conv2d(
    x: Any, weight: Any, bias: Any = None, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1
) -> Any:
    """Every filter laid over every place of every image: one product and sum for each.

    As in every library of the field the filter is not flipped (in mathematics this is a cross-correlation).

        y[n, o, i, j] = bias[o] + Σ_{c, k, l} weight[o, c, k, l] · x[n, c, i s + k d, j s + l d]
        with the stride s and the dilation d

    Shapes:   x (N, C, H, W), weight (O, C, kh, kw), bias (O,); result (N, O, oh, ow) with
              oh = ⌊(H + 2 padding − dilation (kh − 1) − 1) / stride⌋ + 1, ow likewise. stride, padding
              and dilation: an int, or a pair for height and width. Padding is with zeros; "same" is as
              much as keeps height and width, where that is odd one more below and to the right.
    Raises:   ShapeError: axes or channels do not fit, or the window is larger than the padded image.
              OptionError: stride or dilation < 1, padding < 0, "same" with a stride above 1.
              UnsupportedError: lazy arrays.
    Source:   LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998; as in PyTorch.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.nn.conv2d(np.arange(6.0).reshape(1, 1, 2, 3), np.ones((1, 1, 2, 2)))
        array([[[[ 8., 12.]]]])
    """
    who = "conv2d"
    x, weight, bias = floats(who, x, weight, bias)
    if len(shape_of(weight)) != 4:
        raise ShapeError(f"{who}: weight must be (O, C, kh, kw), got shape {shape_of(weight)}")
    filters, depth, kh, kw = shape_of(weight)
    n, channels, height, width = images(who, x, depth)
    if depth != channels:
        last = "; if the channels of x stand last, pass np.moveaxis(x, -1, 1)" if depth == width else ""
        raise ShapeError(
            f"{who}: x has {channels} channels (shape {shape_of(x)}) but the filters expect {depth} "
            f"(weight of shape {shape_of(weight)}); axis 1 of both must agree{last}"
        )
    if bias is not None:
        must_have_shape(who, "bias", bias, (filters,))
    steps = height_and_width(who, "stride", stride, 1)
    gaps = height_and_width(who, "dilation", dilation, 1)
    border = border_of(who, padding, (kh, kw), steps, gaps)
    must_fit(who, (height, width), (kh, kw), border, gaps)

    padded = with_border(x, border, 0.0)
    oh, ow = (positions(*axis) for axis in zip(shape_of(padded)[2:], (kh, kw), steps, gaps, strict=True))
    columns, rows = unfold(padded, (kh, kw), steps, gaps), reshape(weight, (filters, channels * kh * kw))
    # A product for each image stays in the cache; with few places on many images it would be a small one,
    # and the weight's gradient, one for each image before they are added, larger than the columns.
    apart = oh * ow >= filters
    if not apart:
        columns = reshape(transpose(columns, (1, 0, 2)), (channels * kh * kw, n * oh * ow))
    columns = made_of(x, named(columns, "columns")) if isinstance(weight, Node) else columns
    out = matmul(rows, columns)
    if bias is not None:
        out = add(out, reshape(bias, (filters, 1)))
    if not apart:
        out = transpose(reshape(out, (filters, n, oh * ow)), (1, 0, 2))
    return reshape(out, (n, filters, oh, ow))


@layer
def max_pool2d(x: Any, size: Any, *, stride: Any = None, padding: Any = 0) -> Any:
    """The largest value of each window: whether a feature is anywhere there.

        y[n, c, i, j] = max over the window at (i·stride, j·stride) of x[n, c]

    Shapes:   x (N, C, H, W); size: an int, or a pair for height and width, as stride (the size unless
              given) and padding; result (N, C, oh, ow) with oh = ⌊(H + 2 padding − size) / stride⌋ + 1.
    At the edges: padded cells never win; ties share the gradient equally (PyTorch: the first gets all).
    Raises:   ShapeError: x is not (N, C, H, W), or the window is larger than the padded image.
              OptionError: size or stride < 1, padding < 0 or above half the size.
              UnsupportedError: lazy arrays.
    Source:   as in PyTorch, ties excepted.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.nn.max_pool2d(np.arange(8.0).reshape(1, 1, 2, 4), 2)
        array([[[[5., 7.]]]])
    """
    return largest(pooled("max_pool2d", x, size, stride, padding, -math.inf), 0)


@layer
def avg_pool2d(x: Any, size: Any, *, stride: Any = None, padding: Any = 0) -> Any:
    """The mean of each window: a smaller, smoother image.

        y[n, c, i, j] = 1/(kh·kw) · Σ over the window at (i·stride, j·stride) of x[n, c]

    Shapes:   as of max_pool2d.
    At the edges: padded cells are zeros and are counted, which darkens the border.
    Raises:   as max_pool2d.
    Source:   LeCun et al. 1998 (subsampling); PyTorch, whose count_include_pad=False leaves padding out.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.nn.avg_pool2d(np.arange(8.0).reshape(1, 1, 2, 4), 2)
        array([[[[2.5, 4.5]]]])
    """
    return mean(pooled("avg_pool2d", x, size, stride, padding, 0.0), 0)


def pooled(who: str, x: Any, size: Any, stride: Any, padding: Any, outside: float) -> Any:
    """The windows of a pooling, their cells along the first axis: (kh·kw, N, C, oh, ow)."""
    _, _, height, width = images(who, x)
    window = height_and_width(who, "size", size, 1)
    steps = window if stride is None else height_and_width(who, "stride", stride, 1)
    border = border_of(who, padding, window, steps, (1, 1))
    for (p, _), k in zip(border, window, strict=True):
        if 2 * p > k:
            why = "windows of nothing but padding have no value"
            raise OptionError(f"{who}: padding {p} is more than half of the window's size {k}; {why}")
    must_fit(who, (height, width), window, border, (1, 1))
    patches = windows(with_border(x, border, outside), window, steps)
    # Copied so that the cells are one first axis: NumPy reduces that five times as fast as the two last.
    return reshape(transpose(patches, (4, 5, 0, 1, 2, 3)), (math.prod(window), *shape_of(patches)[:4]))


def images(who: str, x: Any, channels: int = 0) -> tuple[int, ...]:
    """The shape of a batch of images."""
    shape = shape_of(x)
    if len(shape) != 4:
        raise ShapeError(f"{who}: x must be (N, C, H, W), got shape {shape}{as_images(shape, channels)}")
    if foreign(x.value if isinstance(x, Node) else x):
        raise UnsupportedError(f"{who}: windows need a NumPy array; map it over the lazy array's blocks")
    return shape


def as_images(shape: tuple[int, ...], channels: int) -> str:
    """What makes images of an array that lacks axes, as far as that can be told; 0 channels: any number."""
    if len(shape) == 3:
        cures = ["the batch: x[None]"] * (channels in (0, shape[0]))
        cures += ["channels: x[:, None]"] * (channels < 2)
        return f"; add the axis of {', or of '.join(cures)}" if cures else ""
    depth = channels or 1
    side = math.isqrt(shape[1] // depth) if len(shape) == 2 else 0
    if side == 0 or depth * side**2 != shape[1]:
        return ""
    return f"; if its rows are images, x.reshape({shape[0]}, {depth}, {side}, {side})"


def with_border(x: Any, border: tuple[Pair, Pair], value: float) -> Any:
    """The images with a border of a value; as they are when it has no width."""
    if border == NO_BORDER:
        return x
    return pad(x, ((0, 0), (0, 0), *border), constant_values=value)


def border_of(who: str, padding: Any, window: Pair, stride: Pair, dilation: Pair) -> tuple[Pair, Pair]:
    """How many cells are added (above, below) and (left, right)."""
    if padding == "same":
        if stride != (1, 1):
            raise OptionError(f"{who}: padding='same' is for stride 1, got {stride}; give it as a number")
        rows, columns = (d * (k - 1) for k, d in zip(window, dilation, strict=True))
        return (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)
    height, width = height_and_width(who, "padding", padding, 0, ", or 'same'")
    return (height, height), (width, width)


def height_and_width(who: str, name: str, value: Any, at_least: int, other: str = "") -> Pair:
    """An option for height and width: one int for both, or two."""
    both = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(both) != 2 or not all(is_whole(n) and n >= at_least for n in both):
        wanted = f"an int >= {at_least}, or two of them (height, width){other}"
        raise OptionError(f"{who}: {name} must be {wanted}, got {value!r}")
    return int(both[0]), int(both[1])


def a_window(who: str, name: str, value: Any) -> Any:
    """An option of a pooling module, as the function will take it."""
    if not (name == "stride" and value is None) and not (name == "padding" and value == "same"):
        height_and_width(who, name, value, int(name != "padding"))
    return value


def must_fit(who: str, image: Pair, size: Pair, border: tuple[Pair, Pair], dilation: Pair) -> None:
    """Raise unless a window has at least one place in the padded image."""
    if min(size) < 1:
        raise ShapeError(f"{who}: the window has size {size[0]}×{size[1]}; it needs at least one cell")
    axes = zip(image, size, border, dilation, strict=True)
    if min(positions(n + sum(b), k, 1, d) for n, k, b, d in axes) < 1:
        height, width = (d * (k - 1) + 1 for k, d in zip(size, dilation, strict=True))
        spread = f" (with dilation {dilation}: {height}×{width})" if dilation != (1, 1) else ""
        padding = f" with padding {tuple(before for before, _ in border)}" if border != NO_BORDER else ""
        raise ShapeError(
            f"{who}: the window of {size[0]}×{size[1]}{spread} is larger than the input of "
            f"{image[0]}×{image[1]}{padding}; use a smaller window or more padding"
        )
