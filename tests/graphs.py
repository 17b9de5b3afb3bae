"""Random graphs over parameters and data: functions that a program must agree with to the last bit."""

import numpy as np
import pytest

import tinygrad_lo as lo

N, M = 4, 3  # every value of a graph is an N × M matrix, so that any op fits after any other

KINDS = (
    lambda a, b, c: a + b,
    lambda a, b, c: a - b * 0.5,
    lambda a, b, c: a * b,
    lambda a, b, c: a / (1.0 + b * b),
    lambda a, b, c: -a,
    lambda a, b, c: (a * a + 1.0) ** 0.5,
    lambda a, b, c: a.tanh() ** 3,
    lambda a, b, c: np.exp(-(a * a)),
    lambda a, b, c: np.log(1.0 + a * a),
    lambda a, b, c: lo.nn.softplus(a),
    lambda a, b, c: a.sigmoid(),
    lambda a, b, c: a.relu() + b,
    lambda a, b, c: np.maximum(a, b),
    lambda a, b, c: np.where(a > b, a, c),
    lambda a, b, c: a @ (b.T @ c) / N,
    lambda a, b, c: (a @ b.T) @ c / N,
    lambda a, b, c: (a.T + b.reshape(M, N)).T,
    lambda a, b, c: (a.T * 0.5).reshape(N, M) + b,
    lambda a, b, c: a - a.sum(axis=0) / N,
    lambda a, b, c: a - np.mean(b, axis=1, keepdims=True),
    lambda a, b, c: a * b.max(axis=1, keepdims=True),
    lambda a, b, c: a / (b.norm(axis=1, keepdims=True) + 1.0),
    lambda a, b, c: lo.nn.softmax(a),
    lambda a, b, c: lo.nn.log_softmax(a, axis=0) / 4.0,
    lambda a, b, c: np.concatenate([a[:1], b[1:]]),
    lambda a, b, c: a[::-1] + b[:, ::-1],
    lambda a, b, c: a[np.array([0, 2, 2, 1])],
    lambda a, b, c: np.clip(a, -1.0, 1.0) + b,
    lambda a, b, c: np.abs(a) - b,
    lambda a, b, c: np.sort(a, axis=0),
    lambda a, b, c: np.einsum("ij,kj->ik", a, b) @ c / N,
    lambda a, b, c: a * 1.0 + np.cumsum(b, axis=0) / N,
)


def seeds(quick, all):
    """Seeds for a parametrized test, of which those from `quick` on are slow tests."""
    return [pytest.param(seed, marks=pytest.mark.slow if seed >= quick else ()) for seed in range(all)]


def random_loss(rng, leaves, length=20):
    """One number from a graph of random ops over N × M leaves, its values kept from growing."""
    values = list(leaves)
    for _ in range(length):
        kind = KINDS[rng.integers(len(KINDS))]
        made = kind(*(values[i] for i in rng.integers(0, len(values), 3)))
        values.append(made * 0.5 if rng.random() < 0.2 else made)
    return (values[-1] * values[-2]).mean() + values[-3].sum(axis=1).max() + values[-4].T.sum(axis=0).mean()


def random_leaves(rng):
    """Two parameters and a constant, one of them laid out column by column."""
    return [
        lo.Parameter(rng.standard_normal((N, M)), name="a"),
        lo.Parameter(np.asfortranarray(rng.standard_normal((N, M))), name="b"),
        lo.Tensor(rng.standard_normal((N, M)), name="c"),
    ]
