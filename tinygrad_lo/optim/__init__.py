"""Optimizers with parameter groups: each is its update rule."""

from tinygrad_lo.optim.gradient import SGD

__all__ = ["SGD"]
