"""Floor 6, solved: a loss is its formula."""

import numpy as np


def one_hot(labels, classes):
    """A row for each label, with a 1 in its column."""
    return np.eye(classes)[labels]


def mse(prediction, target):
    """mean (p − t)²."""
    gap = prediction - target
    return (gap * gap).mean()


def cross_entropy(scores, labels):
    """mean over the samples of logsumexp(s) − s_y."""
    right = (scores * one_hot(labels, scores.data.shape[1])).sum(axis=1, keepdims=True)
    return (scores.logsumexp() - right).mean()


def hinge(scores, labels):
    """mean over the samples of Σ_{j≠y} max(0, s_j − s_y + 1)."""
    hot = one_hot(labels, scores.data.shape[1])
    right = (scores * hot).sum(axis=1, keepdims=True)
    margins = (scores - right + 1.0).relu() * (1.0 - hot)
    return margins.sum(axis=1).mean()
