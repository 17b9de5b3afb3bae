"""Activations, and layers as functions."""

from tinygrad_lo.nn.activations import (
    crelu,
    elu,
    leaky_relu,
    log_softmax,
    prelu,
    relu,
    relu6,
    sigmoid,
    softmax,
    softminus,
    softplus,
    tanh,
)
from tinygrad_lo.nn.functional import avg_pool2d, batch_norm, conv2d, dropout, max_pool2d

__all__ = [
    "relu", "leaky_relu", "prelu", "relu6", "crelu", "elu",
    "sigmoid", "tanh", "softplus", "softminus", "softmax", "log_softmax",
    "dropout", "batch_norm", "conv2d", "max_pool2d", "avg_pool2d",
]  # fmt: skip
