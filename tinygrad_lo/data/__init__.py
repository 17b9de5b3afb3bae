"""Data to learn from: toy problems, mini-batches, and the numbers of the slides.

Toy points are drawn anew by each call, so training and test data are two calls. Points are (n, 2) in
float64, labels (n,) in int64: 0, 1, ..., as many of each as possible, shuffled. Noise is the standard
deviation in each direction; rng a seed or a generator.
"""

from typing import NoReturn

from tinygrad_lo.data import lectures
from tinygrad_lo.data.batches import minibatches
from tinygrad_lo.data.pairs import pairs, triplets
from tinygrad_lo.data.toy import blobs, circles, noisy_curve, spirals, two_moons, xor
from tinygrad_lo.options import missing

__all__ = [
    "two_moons", "spirals", "circles", "blobs", "xor", "noisy_curve",
    "minibatches", "pairs", "triplets", "lectures",
]  # fmt: skip


def __getattr__(name: str) -> NoReturn:
    raise missing("lo.data", name, __all__)
