"""Data to learn from: mini-batches, and the numbers of the slides."""

from tinygrad_lo.data import lectures
from tinygrad_lo.data.batches import minibatches

__all__ = ["lectures", "minibatches"]
