"""The losses of the lectures: (prediction, target) in that order, options as keywords."""

from tinygrad_lo.losses.classification import cross_entropy, multiclass_hinge
from tinygrad_lo.losses.regularizers import l2

__all__ = ["cross_entropy", "l2", "multiclass_hinge"]
