"""Whole trainings: lo.fit against the loop that it stands for, first calls included."""

from typing import Any

import numpy as np
from race import Step, Work

import tinygrad_lo as lo

EPOCHS, BATCH, LR = 60, 32, 0.01
X, y = lo.data.two_moons(400, noise=0.15, rng=0)
X = X.astype(np.float32)


def model() -> lo.nn.Sequential:
    """2-16-16-2 in float32, the same at each call."""
    rng = np.random.default_rng(0)
    first, second, last = (
        lo.nn.Linear(m, n, rng=rng, dtype=np.float32) for m, n in ((2, 16), (16, 16), (16, 2))
    )
    return lo.nn.Sequential(first, lo.nn.ReLU(), second, lo.nn.ReLU(), last)


def by_fit(*, compiled: bool) -> Step:
    """A training by lo.fit, from a fresh model on."""

    def train() -> Any:
        net = model()
        history = lo.fit(
            net, lo.losses.cross_entropy, (X, y), optimizer=lo.optim.SGD(net, lr=LR), epochs=EPOCHS,
            batch_size=BATCH, compiled=compiled, progress=False, rng=1,
        )  # fmt: skip
        return history["loss"][-1]

    return train


def by_loop() -> Step:
    """The same by hand, with the whole step compiled."""

    def train() -> Any:
        net, rng = model(), np.random.default_rng(1)
        optimizer = lo.optim.SGD(net, lr=LR)
        step: Any = lo.compile(lambda X, y: lo.losses.cross_entropy(net(X), y), optimizer=optimizer)
        for _ in range(EPOCHS):
            total = 0.0
            for rows, labels in lo.data.minibatches(X, y, batch_size=BATCH, rng=rng):
                total += float(step(rows, labels)) * len(labels)
        return total / len(y)

    return train


LOOP = "loop, lo.compile"
WORKS = [
    Work(
        f"training: moons, 2-16-16-2, {EPOCHS} epochs",
        {"eager": lambda: by_fit(compiled=False), "compiled": lambda: by_fit(compiled=True), LOOP: by_loop},
        eager={LOOP: None},
        compiled={LOOP: 1.1},
        remarks={"compiled": "lo.fit", "eager": "lo.fit"},
    )
]
