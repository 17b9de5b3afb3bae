"""Exercise 7, hard: batch normalization, backward.

Lectures 000 and 002 name it: each feature is centered and scaled by the batch it comes in.

    μ = mean of x over the batch,  σ² = mean of (x − μ)²,  n = (x − μ) / √(σ² + ε),  out = γ n + β

The loss is Σ out·c for fixed numbers c, so that the arriving gradient is c. The gradients by γ and β
are sums over the batch. For x there are three paths: through x itself, through μ and through σ².
With d = c γ they add up to

    dx = (d − mean(d) − n · mean(d · n)) / √(σ² + ε),   means over the batch

Derive it once on paper; it is worth it.

    python examples/exercises/ex07_batch_norm.py
"""

import sys

import numpy as np

import tinygrad_lo as lo
from tinygrad_lo.checking.exercise import grade, to_do

EPS = 1e-5
C = np.random.default_rng(3).normal(size=(6, 3))


def batch_norm(p):
    """p: a dict of x (N, D), gamma (D,), beta (D,). The loss, and a dict of the three gradients."""
    x, gamma, beta = p["x"], p["gamma"], p["beta"]
    root = np.sqrt(x.var(axis=0) + EPS)
    n = (x - x.mean(axis=0)) / root
    loss = np.sum((gamma * n + beta) * C)
    gradients = to_do("replace this by {'x': ..., 'gamma': ..., 'beta': ...}")
    return loss, gradients


def reference(p):
    """The same in tensors."""
    return (lo.nn.batch_norm(p["x"], p["gamma"], p["beta"], eps=EPS) * C).sum()


def example():
    """Where the gradients are checked."""
    rng = np.random.default_rng(4)
    return {"x": rng.normal(1.0, 2.0, (6, 3)), "gamma": rng.uniform(0.5, 1.5, 3), "beta": rng.normal(size=3)}


HINTS = {
    "path": "μ and σ² depend on x, too: two more paths. Compare with the formula of the task, in which both "
    "are means over the batch.",
    "left out": "Every element of x is multiplied by γ on its way: d = c·γ.",
    "(axis 0)": "The gradients by γ and β have the shape (D,): sum over the batch, axis 0.",
    "gradient by gamma": "γ multiplies n: its gradient is the sum of c·n over the batch.",
    "gradient by beta": "β is added: its gradient is the sum of c over the batch.",
    "gradient by x": "Only x is wrong: look at d = c·γ, at the two means over axis 0, and at the root.",
}

YOURS = ("batch_norm",)


def checks():
    """What must hold, in order."""
    return (lambda: lo.check_gradient(batch_norm, example(), against=reference),)


if __name__ == "__main__":
    sys.exit(grade(__doc__, *checks(), hints=HINTS))
