"""Optimizers with parameter groups: each is its update rule. Schedules, clipping, search, averages."""

from typing import NoReturn

from tinygrad_lo.optim.adam import Adam, AdamW, NAdam
from tinygrad_lo.optim.adaptive import Adadelta, Adagrad, RMSprop
from tinygrad_lo.optim.average import Average
from tinygrad_lo.optim.clipping import clip_grad_norm, clip_grad_value
from tinygrad_lo.optim.gradient import SGD
from tinygrad_lo.optim.groups import parameter_groups, split_decay
from tinygrad_lo.optim.minimizers import minimize
from tinygrad_lo.optim.plateau import ReduceOnPlateau
from tinygrad_lo.optim.schedules import (
    CosineLR, ExponentialLR, InverseLR, LambdaLR, MultiStepLR, OneCycleLR, SequentialLR, StepLR, WarmupLR,
)  # fmt: skip
from tinygrad_lo.optim.search import random_search
from tinygrad_lo.options import missing

__all__ = [
    "SGD", "Adagrad", "Adadelta", "RMSprop", "Adam", "AdamW", "NAdam",
    "StepLR", "MultiStepLR", "ExponentialLR", "InverseLR", "CosineLR", "LambdaLR",
    "WarmupLR", "OneCycleLR", "ReduceOnPlateau", "SequentialLR",
    "clip_grad_norm", "clip_grad_value", "split_decay", "parameter_groups", "Average", "random_search",
    "minimize",
]  # fmt: skip


def __getattr__(name: str) -> NoReturn:
    raise missing("lo.optim", name, __all__)
