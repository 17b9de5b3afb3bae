"""Exercise 15, hard: batch normalization, in nine lines forward and nine backward.

Lectures 000 and 002 name it. Exercise 7 has its gradient as one formula; here is where it comes from, value
by value. x, d, q, n: (N, D); mu, var, r, γ and β are rows, (1, D), one number a feature.

    mu = mean of x      d = x − mu         q = d²
    var = mean of q     r = (var + ε)^−½   n = d · r
    t = γ · n           out = t + β        loss = Σ out · c,  c fixed

d reaches the loss on two paths, through n and through q; so does x, through d and through mu. What was
stretched over the batch, such as mu, r, γ and β, gets a sum over the batch; what was averaged, a mean's
1/N.

Run it after each line: it checks what is there, and says what is next.

    python examples/exercises/ex15_batch_norm_steps.py
"""

import sys

import numpy as np

import tinygrad_lo as lo
from tinygrad_lo.checking.exercise import grade, so_far

EPS = 1e-5
C = np.random.default_rng(32).normal(size=(6, 3))
STEPS = ("beta", "gamma", "n", "r", "var", "q", "d", "mu", "x")


def backward(x, gamma, beta, mu, d, q, var, r, n):
    """The values of the forward pass, as arrays. Returns the gradient of each value in STEPS."""
    dbeta = None  # (1, D): what arrives at out is C
    dgamma = None  # (1, D)
    dn = None  # (N, D)
    dr = None  # (1, D)
    dvar = None  # (1, D): the derivative of v^−½ is −½ v^−³ᐟ², and r³ is v^−³ᐟ²
    dq = None  # (N, D): each of N got the share 1/N in a mean
    dd = None  # (N, D): two paths
    dmu = None  # (1, D): with a minus
    dx = None  # (N, D): two paths
    return {
        "beta": dbeta, "gamma": dgamma, "n": dn, "r": dr, "var": dvar, "q": dq, "d": dd, "mu": dmu, "x": dx
    }  # fmt: skip


def forward():
    """The forward pass in tensors, and what backward is given of it."""
    rng = np.random.default_rng(33)
    x = lo.Parameter(rng.normal(1.0, 2.0, (6, 3)), name="x")
    gamma, beta = (lo.Parameter(rng.normal(1.0, 0.5, (1, 3)), name=name) for name in ("gamma", "beta"))
    mu = lo.named(x.mean(axis=0, keepdims=True), "mu")
    d = lo.named(x - mu, "d")
    q = lo.named(d**2, "q")
    var = lo.named(q.mean(axis=0, keepdims=True), "var")
    r = lo.named((var + EPS) ** -0.5, "r")
    n = lo.named(d * r, "n")
    t = lo.named(gamma * n, "t")
    loss = ((t + beta) * C).sum()
    return loss, (x, gamma, beta, mu, d, q, var, r, n)


HINTS = {
    "gradient by beta ": "β is added to every row: sum what arrives, C, over the batch, and keep the axis.",
    "gradient by gamma ": "γ multiplies n: sum C·n over the batch, and keep the axis.",
    "gradient by n ": "t = γ·n: what arrives, C, times γ.",
    "gradient by r ": "n = d·r: dn·d, summed over the batch, because one r serves a whole column.",
    "gradient by var ": "(var + ε)^−½ has the derivative −½ (var + ε)^−³ᐟ², which is −½ r³.",
    "gradient by q ": "var is a mean of N elements of q: each gets 1/N of dvar.",
    "gradient by d ": "Two paths, which add: dn·r through n, and dq·2d through q.",
    "gradient by mu ": "d = x − mu: minus dd, summed over the batch.",
    "gradient by x ": "Two paths, which add: dd through d, and 1/N of dmu through mu, a mean.",
}

YOURS = ("backward",)


def checks():
    """What must hold: one gradient after the other, from the loss backward."""
    loss, values = forward()
    return (lambda: so_far(loss, STEPS, backward(*(v.numpy() for v in values))),)


if __name__ == "__main__":
    sys.exit(grade(__doc__, *checks(), hints=HINTS))
