"""Activations, layers as functions, and modules that hold their parameters.

Functions give tensors for tensors and arrays for arrays; lists and integers are taken as float64. Where a
docstring says nothing else, the result has the shape of x.
"""

from typing import Any

from tinygrad_lo.nn.activations import (
    crelu, elu, leaky_relu, log_softmax, prelu, relu, relu6, sigmoid, softmax, softminus, softplus, tanh,
)  # fmt: skip
from tinygrad_lo.nn.base import Module
from tinygrad_lo.nn.convolutional import AvgPool2d, BatchNorm1d, BatchNorm2d, Conv2d, MaxPool2d
from tinygrad_lo.nn.functional import avg_pool2d, batch_norm, conv2d, dropout, max_pool2d
from tinygrad_lo.nn.modules import (
    ELU, CReLU, Dropout, Flatten, LeakyReLU, Linear, LogSoftmax, PReLU, ReLU, ReLU6, Sequential, Sigmoid,
    Softmax, Softminus, Softplus, Tanh,
)  # fmt: skip
from tinygrad_lo.options import missing

__all__ = [
    "Module", "Linear", "Sequential", "Flatten", "Dropout",
    "Conv2d", "MaxPool2d", "AvgPool2d", "BatchNorm1d", "BatchNorm2d",
    "ReLU", "LeakyReLU", "PReLU", "ReLU6", "CReLU", "ELU",
    "Sigmoid", "Tanh", "Softplus", "Softminus", "Softmax", "LogSoftmax",
    "relu", "leaky_relu", "prelu", "relu6", "crelu", "elu",
    "sigmoid", "tanh", "softplus", "softminus", "softmax", "log_softmax",
    "dropout", "batch_norm", "conv2d", "max_pool2d", "avg_pool2d",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    raise missing("lo.nn", name, __all__)
