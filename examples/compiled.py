"""The same training twice: on the engine, and by the program that lo.compile records, step included.

Prints how long a step takes in both, that both end at the same loss, and the program in readable form.

    python examples/compiled.py
"""

import time

import numpy as np

import tinygrad_lo as lo

STEPS = 2000


def training(compiled: bool) -> tuple[float, float]:
    """Train a small network on the spirals; returns (the last loss, microseconds a step)."""
    X, y = lo.data.spirals(32, rng=0)
    model = lo.nn.Sequential(lo.nn.Linear(2, 32, rng=1), lo.nn.ReLU(), lo.nn.Linear(32, 3, rng=2))
    optimizer = lo.optim.Adam(model, lr=0.01)

    def loss_of(X: np.ndarray, y: np.ndarray) -> lo.Tensor:
        return lo.losses.cross_entropy(model(X), y)

    def eager(X: np.ndarray, y: np.ndarray) -> float:
        loss = loss_of(X, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.item())

    step = lo.compile(loss_of, optimizer=optimizer) if compiled else eager
    begin = time.perf_counter()
    for _ in range(STEPS):
        loss = step(X, y)
    return float(loss), (time.perf_counter() - begin) / STEPS * 1e6


def main() -> None:
    """Train twice, compare, and show what ran."""
    (eager, slow), (quick, fast) = training(compiled=False), training(compiled=True)
    print(f"engine:  loss {eager:.6f}, {slow:.0f} µs a step")
    print(f"program: loss {quick:.6f}, {fast:.0f} µs a step")
    print("the same loss" if np.isclose(eager, quick, rtol=1e-6) else "NOT the same loss")
    X = lo.Tensor(np.eye(4, 2), name="X")
    W = lo.Parameter(np.ones((2, 3)), name="W")
    print(lo.source(lo.losses.cross_entropy((X @ W).named("S"), np.array([0, 1, 2, 0]))))


if __name__ == "__main__":
    main()
