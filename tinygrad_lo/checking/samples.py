"""Arguments on which losses are compared: each a draw of some samples, with several outputs or one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

Batch = dict[str, Any]  # arguments by what messages call them
Draw = Callable[[Any, int, int], Batch]  # (rng, samples, classes or outputs) -> arguments


def batch_shape(n: int, c: int) -> tuple[int, ...]:
    """(n, c), or (n,) for one output."""
    return (n, c) if c > 1 else (n,)


def arrays(names: Iterable[str], draw: Callable[[Any, tuple[int, ...]], Any], least: int = 1) -> Draw:
    """Arrays that are drawn alike, with at least so many outputs."""
    return lambda rng, n, c: {name: draw(rng, batch_shape(n, max(c, least))) for name in names}


def distribution_rows(rng: Any, shape: tuple[int, ...]) -> Any:
    """A distribution a row."""
    p = rng.uniform(0.1, 1.0, shape)
    return p / p.sum(-1, keepdims=True)


PREDICTED = ("prediction", "target")
numbers = arrays(PREDICTED, lambda rng, shape: rng.normal(0.0, 1.5, shape))  # residuals on both sides of 1
amounts = arrays(PREDICTED, lambda rng, shape: rng.uniform(0.2, 8.0, shape))
distributions = arrays("pq", distribution_rows, least=3)
vectors = arrays("ab", lambda rng, shape: rng.normal(size=shape), least=2)
weights = arrays(["weights"], lambda rng, shape: rng.normal(size=shape))


def scores_labels(rng: Any, n: int, c: int) -> Batch:
    """Scores and labels."""
    return {"scores": rng.normal(0.0, 1.5, (n, max(c, 3))), "labels": rng.integers(0, max(c, 3), n)}


def logs_labels(rng: Any, n: int, c: int) -> Batch:
    """Log-probabilities and labels."""
    scores, labels = scores_labels(rng, n, c).values()
    return {"log-probabilities": scores - np.log(np.exp(scores).sum(-1, keepdims=True)), "labels": labels}


def chances(rng: Any, n: int, c: int) -> Batch:
    """Probabilities and answers of 0 and 1, of which every batch has both."""
    y = rng.integers(0, 2, batch_shape(n, c)).astype(float)
    y.ravel()[:2] = (0.0, 1.0)
    return {"probabilities": rng.uniform(0.05, 0.95, y.shape), "answers": y}


def logits(rng: Any, n: int, c: int) -> Batch:
    """Scores before the sigmoid, and answers."""
    y = chances(rng, n, c)["answers"]
    return {"scores": rng.normal(0.0, 1.5, y.shape), "answers": y}


def sides(rng: Any, n: int, c: int) -> Batch:
    """Scores, and answers of -1 and +1."""
    z, y = logits(rng, n, c).values()
    return {"scores": z, "signs": 2.0 * y - 1.0}


def distributions_scores(rng: Any, n: int, c: int) -> Batch:
    """A distribution and scores a row."""
    p = distributions(rng, n, c)["p"]
    return {"p": p, "scores": rng.normal(0.0, 1.5, p.shape)}


def triples(rng: Any, n: int, c: int) -> Batch:
    """Anchors, positives and negatives, of which some meet the margin."""
    a = rng.normal(size=(n, max(c, 2)))
    near, far = (a + spread * rng.normal(size=a.shape) for spread in (0.5, 0.6))
    return {"anchor": a, "positive": near, "negative": far}


def labelled_pairs(rng: Any, n: int, c: int) -> Batch:
    """Embeddings and whether they are of two kinds; of these, some are nearer than the margin."""
    a = rng.normal(size=(n, max(c, 2)))
    return {"a": a, "b": a + 0.5 * rng.normal(size=a.shape), "y": np.arange(n) % 2}


def renamed(draw: Draw, names: str) -> Draw:
    """The first arguments of a draw, called by these letters."""
    return lambda *size: dict(zip(names, draw(*size).values(), strict=False))
