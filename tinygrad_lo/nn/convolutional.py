"""Modules of convolutional networks: convolution, pooling, batch normalization."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tinygrad_lo.engine.machine.arguments import shape_of
from tinygrad_lo.engine.tensor import Parameter
from tinygrad_lo.errors import ShapeError
from tinygrad_lo.nn import functional
from tinygrad_lo.nn.base import Module
from tinygrad_lo.nn.functional import border_of, height_and_width
from tinygrad_lo.nn.modules import Layer, float_type, initial
from tinygrad_lo.options import flag, number, public, whole


class Conv2d(Module):
    """lo.nn.conv2d as a module: `outputs` filters of a size, learned, laid over every place of an image.

    The bias begins at 0, the weight as `init` says, see `Linear`; its inputs are the cells under a filter.

    Shapes:   x (N, inputs, H, W); result (N, outputs, oh, ow), as of lo.nn.conv2d; weight (outputs,
              inputs, kh, kw); bias (outputs,). size, stride, dilation: an int, or a pair for height and
              width; padding: that, or "same".
    Raises:   OptionError: as lo.nn.conv2d, and as Linear.  ShapeError: another layout, other channels.
    Source:   LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998; as in PyTorch.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> net = lo.nn.Sequential(
        ...     lo.nn.Conv2d(1, 4, 3, padding="same", rng=0), lo.nn.ReLU(), lo.nn.MaxPool2d(2),
        ...     lo.nn.Flatten(), lo.nn.Linear(4 * 3 * 3, 2, rng=1),
        ... )
        >>> lo.losses.cross_entropy(net(np.ones((5, 1, 6, 6))), [0, 1, 0, 1, 0]).backward()
        >>> net
        Sequential(
          (0) Conv2d 1 -> 4, 3×3, padding='same': 40 parameters → (N, 4, 6, 6)
          (1) ReLU → (N, 4, 6, 6)
          (2) MaxPool2d size=2, padding=0 → (N, 4, 3, 3)
          (3) Flatten → (N, 36)
          (4) Linear 36 -> 2: 74 parameters → (N, 2)
        ) 114 parameters → (N, 2)
    """

    @public
    def __init__(
        self, inputs: int, outputs: int, size: Any, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
        bias: bool = True, init: Any = "he", rng: Any = None, dtype: Any = np.float64,
    ) -> None:  # fmt: skip
        who, channels = "Conv2d", (whole("Conv2d", "outputs", outputs), whole("Conv2d", "inputs", inputs))
        window = height_and_width(who, "size", size, 1)
        self.stride = height_and_width(who, "stride", stride, 1)
        self.dilation = height_and_width(who, "dilation", dilation, 1)
        self.padding = padding
        border_of(who, padding, window, self.stride, self.dilation)  # refuses what is none
        self.weight = initial(who, init, channels + window, rng, dtype)
        self.bias = Parameter(np.zeros(channels[0], self.weight.dtype)) if flag(who, "bias", bias) else None

    def forward(self, x: Any) -> Any:
        """Each filter at each place."""
        return functional.conv2d(
            x, self.weight, self.bias, stride=self.stride, padding=self.padding, dilation=self.dilation
        )

    def __about__(self) -> str:
        outputs, inputs, kh, kw = shape_of(self.weight)
        options = [f"{name}={getattr(self, name)!r}" for name in ("stride", "padding", "dilation")]
        said = [text for text in options if text not in ("stride=(1, 1)", "padding=0", "dilation=(1, 1)")]
        return ", ".join([f"{inputs} -> {outputs}", f"{kh}×{kw}", *said, *["no bias"] * (self.bias is None)])


class MaxPool2d(Layer, of=functional.max_pool2d):
    """The largest value of each window: lo.nn.max_pool2d as a module."""


class AvgPool2d(Layer, of=functional.avg_pool2d):
    """The mean of each window: lo.nn.avg_pool2d as a module."""


class BatchNorm(Module):
    """lo.nn.batch_norm as a module, which keeps the running statistics as buffers."""

    buffers = ("running_mean", "running_var")
    layouts: ClassVar[tuple[str, ...]]

    @public
    def __init__(
        self, features: int, *, momentum: float = 0.1, eps: float = 1e-5, dtype: Any = np.float64
    ) -> None:
        who = type(self).__name__
        count, kind = whole(who, "features", features), float_type(who, dtype)
        self.momentum = number(who, "momentum", momentum, at_least=0.0, at_most=1.0)
        self.eps = number(who, "eps", eps, above=0.0)
        self.weight, self.bias = Parameter(np.ones(count, kind)), Parameter(np.zeros(count, kind))
        self.running_mean, self.running_var = np.zeros(count, kind), np.ones(count, kind)

    def forward(self, x: Any) -> Any:
        """Each channel at mean 0 and variance 1, then at the learned ones."""
        shape, features = shape_of(x), self.weight.size
        expected = [layout.format(features) for layout in self.layouts]
        if shape[1:2] != (features,) or len(shape) not in [text.count(",") + 1 for text in expected]:
            raise ShapeError(f"{type(self).__name__}: x must be {' or '.join(expected)}, got shape {shape}")
        return functional.batch_norm(
            x, self.weight, self.bias, running_mean=self.running_mean, running_var=self.running_var,
            training=self.training, momentum=self.momentum, eps=self.eps,
        )  # fmt: skip

    def __about__(self) -> str:
        return str(self.weight.size)


class BatchNorm1d(BatchNorm):
    """Each feature at mean 0 and variance 1 over the batch: lo.nn.batch_norm of rows, as a module.

    The weight begins at 1, the bias at 0. After train(), which is how it begins, each call moves the
    buffers `running_mean` and `running_var`; after eval() they are used. Frozen, they still move.

    Shapes:   x (N, features) or (N, features, L); result: that; all others (features,).
    Raises:   OptionError: features below 1, momentum outside [0, 1], eps <= 0.  ShapeError: another
              layout, other features; one value for each in training.
    Source:   as lo.nn.batch_norm.
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.nn.BatchNorm1d(1)([[1.0], [3.0]]).numpy().round(2).tolist()
        [[-1.0], [1.0]]
    """

    layouts = ("(N, {}, L)", "(N, {})")


class BatchNorm2d(BatchNorm):
    """Each channel at mean 0 and variance 1 over all images and places: lo.nn.batch_norm of images.

    As BatchNorm1d, otherwise.

    Shapes:   x (N, features, H, W); result: that; all others (features,).
    Raises:   as BatchNorm1d.
    Source:   as lo.nn.batch_norm.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> lo.nn.BatchNorm2d(3)(np.ones((2, 3, 4, 4))).shape
        (2, 3, 4, 4)
    """

    layouts = ("(N, {}, H, W)",)
