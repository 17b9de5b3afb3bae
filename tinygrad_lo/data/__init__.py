"""Data to learn from: toy problems, mini-batches, and the numbers of the slides."""

from typing import NoReturn

from tinygrad_lo.data import lectures
from tinygrad_lo.data.batches import minibatches
from tinygrad_lo.data.toy import blobs, circles, noisy_curve, spirals, two_moons, xor
from tinygrad_lo.options import missing

__all__ = ["two_moons", "spirals", "circles", "blobs", "xor", "noisy_curve", "minibatches", "lectures"]


def __getattr__(name: str) -> NoReturn:
    raise missing("lo.data", name, __all__)
