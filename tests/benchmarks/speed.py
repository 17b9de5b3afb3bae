"""Ratios of our time to the others', in one run: python tests/benchmarks/speed.py [--rounds 15]

Everything is pinned to one core with one BLAS thread. The competitors of a row take turns, and each
figure is the median over the rounds of one time divided by the other of the same round. Peers that
are not installed (extra `peers`) leave their rows out, and the table says so.
"""

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

import argparse
import gc
import importlib
import platform
import statistics
import time
import tracemalloc
from dataclasses import dataclass
from typing import Any

import numpy as np
from works import (
    COUNT,
    SIZE,
    Problem,
    Step,
    by_hand,
    by_hand_tuned,
    loop_adam,
    loop_sgd,
    ours_mlp,
    ours_optimizer,
    problem,
    readme_expression,
    seven_ops,
    torch_mlp,
    torch_optimizer,
)

import tinygrad_lo as lo


@dataclass
class Row:
    """One figure and the limit it must keep."""

    work: str
    against: str
    ratio: float
    limit: float | None
    detail: str

    def __str__(self) -> str:
        limit = "" if self.limit is None else f"{self.limit:g}"
        verdict = "" if self.limit is None else "ok" if self.ratio <= self.limit else "MISSED"
        return f"{self.work:<44} {self.against:<22} {self.ratio:>7.3f} {limit:>6} {verdict:<7} {self.detail}"


def microseconds(step: Step, count: int) -> float:
    """The mean time of one call over `count` calls, collector on as users have it."""
    begin = time.perf_counter()
    for _ in range(count):
        step()
    return (time.perf_counter() - begin) / count * 1e6


def race(steps: dict[str, Step], rounds: int, seconds: float = 0.02) -> dict[str, list[float]]:
    """Times of each step, taking turns, in an order that rotates from round to round."""
    counts = {}
    for name, step in steps.items():
        microseconds(step, 20)  # warm
        counts[name] = max(3, int(seconds * 1e6 / microseconds(step, 10)))
    times: dict[str, list[float]] = {name: [] for name in steps}
    names = list(steps)
    for i in range(rounds):
        for name in names[i % len(names) :] + names[: i % len(names)]:
            times[name].append(microseconds(steps[name], counts[name]))
    return times


def rows_of(work: str, steps: dict[str, Step], limits: dict[str, float | None], rounds: int) -> list[Row]:
    """Ours against each of the others."""
    times = race(steps, rounds)
    ours = times.pop("ours")
    found = []
    for name, theirs in times.items():
        ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        detail = f"{statistics.median(ours):.1f} / {statistics.median(theirs):.1f} µs"
        found.append(Row(work, name, ratio, limits.get(name), detail))
    return found


def optional(name: str) -> Any:
    """A peer, or None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"({name} is not installed: its rows are left out)")
        return None


# -------------------------------------------------------------------------------------- chains


def chain(length: int) -> tuple[float, float, float]:
    """Seconds to build, to run backward and to drop a chain of additions."""
    x = lo.Parameter(1.0)
    begin = time.perf_counter()
    y: Any = x
    for _ in range(length):
        y = y + 1.0
    built = time.perf_counter()
    y.backward()
    done = time.perf_counter()
    del y
    return built - begin, done - built, time.perf_counter() - done


def bytes_per_op(length: int) -> float:
    """Memory that a chain holds, for each op."""
    x = lo.Parameter(1.0)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    y: Any = x
    for _ in range(length):
        y = y + 1.0
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    # The collector's header of 16 bytes precedes each object and is counted by tracemalloc.
    return held / length


def chain_rows() -> list[Row]:
    """A million ops against half a million, collector off; and the memory of one op."""
    gc.disable()
    try:
        ratios, builds = [], []
        for _ in range(3):
            half, whole = chain(500_000), chain(1_000_000)
            ratios.append(sum(whole) / sum(half))
            builds.append(whole)
        build, back, drop = (statistics.median(part) for part in zip(*builds, strict=True))
        detail = f"{build:.2f} s build, {back:.2f} s backward, {drop:.2f} s drop"
        memory = bytes_per_op(200_000)
    finally:
        gc.enable()
    return [
        Row("chain of 1 000 000 additions", "chain of 500 000", statistics.median(ratios), 2.6, detail),
        Row("memory of one op of the chain", "bytes", memory, 300, "tracemalloc"),
    ]


def garbage_row(p: Problem) -> Row:
    """What the collector finds after training steps."""
    step = ours_mlp(p)
    step()
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            step()
        found = gc.collect()
    finally:
        gc.enable()
    return Row("objects left for the collector by 10 steps", "objects", found, 0, "")


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=15)
    rounds = options.parse_args().rounds
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, tinygrad_lo {lo.__version__}")
    micrograd = optional("micrograd.engine")
    torch = optional("torch")
    if torch is not None:
        torch.set_num_threads(1)
    print(f"{'work':<44} {'against':<22} {'ratio':>7} {'limit':>6}")
    rows: list[Row] = []
    if micrograd is not None:
        for work, make, limit in (
            ("seven scalar ops, build and backward", seven_ops, 0.6),
            ("micrograd's README expression", readme_expression, None),
        ):
            steps = {"ours": make(lo.Parameter), "micrograd": make(micrograd.Value)}
            rows += rows_of(work, steps, {"micrograd": limit}, rounds)
    for sizes, hand, peer in (
        ((64, 64, 32, 10), 1.5, 1.0),
        ((32, 2, 16, 2), None, 1.0),
        ((128, 784, 256, 10), None, 1.0),
    ):
        p = problem(*sizes)
        steps = {"ours": ours_mlp(p), "NumPy by hand": by_hand(p), "NumPy by hand, tuned": by_hand_tuned(p)}
        if torch is not None:
            steps["PyTorch eager"] = torch_mlp(torch, p)
        limits = {"NumPy by hand": hand, "NumPy by hand, tuned": hand, "PyTorch eager": peer}
        rows += rows_of("MLP step {}×{}→{}→{}, float32, SGD".format(*sizes), steps, limits, rounds)
    for name, loop, limit, lr in (("SGD", loop_sgd, 1.8, 0.01), ("Adam", loop_adam, 1.3, 0.001)):
        steps = {"ours": ours_optimizer(name, lr=lr), "NumPy loop": loop()}
        if torch is not None:
            steps["torch.optim"] = torch_optimizer(torch, name, lr=lr)
        limits = {"NumPy loop": limit, "torch.optim": 1.0}
        rows += rows_of(f"{name} step, {COUNT} parameters of {SIZE}", steps, limits, rounds)
    rows += chain_rows()
    rows.append(garbage_row(problem(64, 64, 32, 10)))
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
