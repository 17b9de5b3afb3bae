"""Arguments on which losses are compared: each a draw of some samples, with several outputs or one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Args = tuple[Any, ...]
Draw = Callable[[np.random.Generator, int, int], Args]  # (rng, samples, classes or outputs) -> arguments


def batch_shape(n: int, c: int) -> tuple[int, ...]:
    """(n, c), or (n,) for one output."""
    return (n, c) if c > 1 else (n,)


def two(draw: Callable[[Any, tuple[int, ...]], Any], least: int = 1) -> Draw:
    """Two arrays that are drawn alike, with at least so many outputs."""
    return lambda rng, n, c: (
        draw(rng, batch_shape(n, max(c, least))),
        draw(rng, batch_shape(n, max(c, least))),
    )


def shares(rng: Any, shape: tuple[int, ...]) -> Any:
    """A distribution a row."""
    p = rng.uniform(0.1, 1.0, shape)
    return p / p.sum(-1, keepdims=True)


numbers = two(lambda rng, shape: rng.normal(0.0, 1.5, shape))  # residuals on both sides of 1
amounts = two(lambda rng, shape: rng.uniform(0.2, 8.0, shape))
distributions = two(shares, least=3)
vectors = two(lambda rng, shape: rng.normal(size=shape), least=2)


def scores_labels(rng: Any, n: int, c: int) -> Args:
    """Scores and labels."""
    return rng.normal(0.0, 1.5, (n, max(c, 3))), rng.integers(0, max(c, 3), n)


def logs_labels(rng: Any, n: int, c: int) -> Args:
    """Log-probabilities and labels."""
    scores, labels = scores_labels(rng, n, c)
    return scores - np.log(np.exp(scores).sum(-1, keepdims=True)), labels


def chances(rng: Any, n: int, c: int) -> Args:
    """Probabilities and answers of 0 and 1, of which every batch has both."""
    y = rng.integers(0, 2, batch_shape(n, c)).astype(float)
    y.ravel()[:2] = (0.0, 1.0)
    return rng.uniform(0.05, 0.95, y.shape), y


def logits(rng: Any, n: int, c: int) -> Args:
    """Scores before the sigmoid, and answers."""
    _, y = chances(rng, n, c)
    return rng.normal(0.0, 1.5, y.shape), y


def sides(rng: Any, n: int, c: int) -> Args:
    """Scores, and answers of -1 and +1."""
    z, y = logits(rng, n, c)
    return z, 2.0 * y - 1.0


def distributions_scores(rng: Any, n: int, c: int) -> Args:
    """A distribution and scores a row."""
    p, _ = distributions(rng, n, c)
    return p, rng.normal(0.0, 1.5, p.shape)


def triples(rng: Any, n: int, c: int) -> Args:
    """Anchors, positives and negatives, of which some meet the margin."""
    a = rng.normal(size=(n, max(c, 2)))
    return a, a + 0.5 * rng.normal(size=a.shape), a + 0.6 * rng.normal(size=a.shape)


def pairs(rng: Any, n: int, c: int) -> Args:
    """Embeddings and whether they are of two kinds; of these, some are nearer than the margin."""
    a = rng.normal(size=(n, max(c, 2)))
    y = np.arange(n) % 2
    return a, a + 0.5 * rng.normal(size=a.shape), y


def weights(rng: Any, n: int, c: int) -> Args:
    """A weight matrix."""
    return (rng.normal(size=batch_shape(n, c)),)
