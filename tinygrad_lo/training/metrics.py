"""Figures of merit of a prediction: accuracy here, all else from scikit-learn or by the user."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Array
from tinygrad_lo.errors import OptionError, ShapeError
from tinygrad_lo.options import number, public
from tinygrad_lo.training.task import as_arrays

OWN_FIGURES = ("loss", "learning rate", "gradient norm", "update ratio", "seconds")  # of every history
Metrics = dict[str, Callable[[Any, Any], Any]]


@public
def accuracy(scores: Any, labels: Any, *, threshold: float = 0.0) -> float:
    """The share of samples whose label the scores pick.

        several scores a sample:   argmaxⱼ sⱼ = y
        one score a sample:        [s > threshold] = y,  for labels 0 and 1, or −1 and 1

    Of probabilities instead of scores, the border is threshold=0.5.

    Shapes:   scores (N, C), or (N,) or (N, 1); labels (N,), whole numbers; the result is a float.
    Raises:   ShapeError: other shapes.  OptionError: labels of another kind.
    Warns:    all of single scores lie between 0 and 1, as probabilities do, and the threshold is 0.
    Source:   lecture 000: the fraction of correct predictions.
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.training.accuracy([[3.0, 5.0], [2.0, 1.0]], [1, 1])
        0.5
    """
    picked = picks(np.asarray(as_arrays(scores)), number("accuracy", "threshold", threshold))
    truth = np.asarray(as_arrays(labels))
    if truth.shape == (*picked.shape, 1):
        truth = truth[..., 0]
    if truth.shape != picked.shape:
        needs = f"scores have shape {np.shape(as_arrays(scores))}, which needs labels of shape {picked.shape}"
        raise ShapeError(f"accuracy: {needs}, got {truth.shape}")
    if not np.array_equal(truth, np.round(truth)):
        raise OptionError(f"accuracy: labels must be whole numbers, got {truth.ravel()[:5].tolist()}")
    if picked.dtype == bool and truth.size and truth.min() < 0:
        return float(((truth > 0) == picked).mean())
    return float((truth == picked).mean())


def picks(scores: Array, threshold: float) -> Array:
    """The label that each sample's scores pick."""
    if scores.ndim > 1 and scores.shape[-1] > 1:
        return scores.argmax(axis=-1)
    single = scores[..., 0] if scores.ndim > 1 else scores
    if threshold == 0.0 and single.size and (single > 0).all() and (single < 1).all():
        cure = "if they are probabilities, pass threshold=0.5"
        warnings.warn(f"accuracy: all {single.size} scores lie between 0 and 1; {cure}", stacklevel=4)
    return single > threshold


def as_metrics(who: str, metrics: Any) -> Metrics:
    """A dict of functions by name."""
    if metrics is None:
        return {}
    if not isinstance(metrics, Mapping) or not all(map(callable, metrics.values())):
        raise OptionError(
            f'{who}: metrics is a dict of functions of (prediction, target), such as {{"accuracy": '
            f"lo.training.accuracy}}, got {metrics!r}"
        )
    if taken := [name for name in metrics if name in OWN_FIGURES or str(name).startswith("validation ")]:
        raise OptionError(f"{who}: a metric cannot be called {taken[0]!r}, as the history has that already")
    return dict(metrics)


def measure_of(name: str, metric: Callable[[Any, Any], Any], prediction: Any, target: Any) -> float:
    """A metric's value. scikit-learn's take the target first, and many of them labels instead of scores."""
    if not (getattr(metric, "__module__", None) or "").startswith("sklearn."):
        value = metric(prediction, target)
        try:
            return float(value)
        except (TypeError, ValueError):
            raise OptionError(f"the metric {name!r} must return one number, got {value!r:.200}") from None
    try:
        return float(metric(target, prediction))
    except ValueError:
        picked = picks(np.asarray(prediction), 0.0)
        negative = picked.dtype == bool and np.min(target) < 0
        return float(metric(target, np.where(picked, 1, -1) if negative else picked.astype(int)))
