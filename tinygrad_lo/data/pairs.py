"""Which samples to compare in an epoch: pairs and triplets for losses of distances."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Array, Node
from tinygrad_lo.engine.machine.random import generator
from tinygrad_lo.errors import LabelError, ShapeError
from tinygrad_lo.losses.metric import integers
from tinygrad_lo.options import public


@public
def pairs(labels: Any, *, rng: Any = None) -> tuple[Array, Array, Array]:
    """One epoch of pairs (i, j, y) for `lo.losses.contrastive`, half of them similar, shuffled.

    Each sample is i twice: with another one of its class, y = 0, and with one of another class, y = 1.

    Shapes:   labels (n,) of ints, any values; i, j, y (2n,) of ints: `contrastive(E[i], E[j], y)`.
    Raises:   LabelError: a class has one sample, or all labels are equal.  DTypeError: the labels are not
              integers.  ShapeError: other shapes, or no samples.  OptionError: rng is no generator.
    Source:   lecture 003.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> labels = np.array([5, 5, 7, 7])
        >>> i, j, y = lo.data.pairs(labels, rng=0)
        >>> len(y), bool(((labels[i] != labels[j]) == (y == 1)).all())
        (8, True)
    """
    source = generator(rng)
    anchor, positive, negative = drawn("pairs", labels, source)
    order = source.permutation(2 * len(anchor))
    i, j = np.tile(anchor, 2), np.concatenate([positive, negative])
    return i[order], j[order], np.repeat([0, 1], len(anchor))[order]


@public
def triplets(labels: Any, *, rng: Any = None) -> tuple[Array, Array, Array]:
    """One epoch of triplets (anchor, positive, negative) for `lo.losses.triplet`, shuffled.

    Each sample is an anchor once. Its positive is another one of its class, its negative one of all the
    others, each as likely as the next. For hard negatives, see `lo.losses.hard_negatives`.

    Shapes:   labels (n,) of ints, any values; anchor, positive, negative (n,) of ints:
              `triplet(E[anchor], E[positive], E[negative])`.
    Raises:   as pairs.
    Source:   lectures 001 and 003; FaceNet (Schroff et al. 2015) then takes the semi-hard among them.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> labels = np.array([5, 5, 7, 7])
        >>> anchor, positive, negative = lo.data.triplets(labels, rng=0)
        >>> bool((labels[anchor] == labels[positive]).all()), bool((labels[anchor] == labels[negative]).any())
        (True, False)
    """
    return drawn("triplets", labels, generator(rng))


def drawn(who: str, labels: Any, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Every sample, shuffled; another one of its class, and one of another class."""
    y = np.asarray(labels.value if isinstance(labels, Node) else labels)
    if not y.size:
        raise ShapeError(f"{who}: no samples: the labels have shape {y.shape}")
    integers(who, "labels", y, y.shape[:1] or (1,), "samples")
    classes, which, count = np.unique(y, return_inverse=True, return_counts=True)
    n = len(y)
    if count.min() == 1:
        row = int(np.argmax(count[which] == 1))
        raise LabelError(
            f"{who}: row {row} has no positive: no other row has its label {y[row]}; leave it out, or give "
            f"that class more samples"
        )
    if len(classes) == 1:
        raise LabelError(f"{who}: no sample has a negative: all labels are {y[0]}; use two classes or more")
    # Sorted by class, a class is a run, and all others are the run that follows it around the end.
    order = np.argsort(which, kind="stable")
    size = count[which[order]]
    start = np.repeat(np.cumsum(count) - count, count)
    positive = start + (np.arange(n) - start + rng.integers(1, size)) % size
    negative = (start + size + rng.integers(0, n - size)) % n
    shuffled = rng.permutation(n)
    return order[shuffled], order[positive[shuffled]], order[negative[shuffled]]
