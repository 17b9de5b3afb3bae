"""A chain of a million additions: linear in time and memory, gone at once; and what steps leave."""

import gc
import statistics
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import mlp
import ours
from peers import autograd
from race import QUICK, Row, Step, Work, duration, size
from scalars import numbers

import tinygrad_lo as lo

LENGTH = 10_000  # against the others; micrograd stops at a thousand, for its backward is recursive


def additions(x: Any) -> Any:
    """The chain."""
    for _ in range(LENGTH):
        x = x + 1.0
    return x


def values(who: str) -> Step:
    """Build the chain, run backward, drop it."""
    number, _ = numbers()[who]

    def step() -> Any:
        x = number(1.0)
        additions(x).backward()
        return x.grad

    return step


def in_autograd() -> Step:
    """The gradient of the chain as a function."""
    gradient = autograd.grad(additions)
    return lambda: gradient(1.0)


def work() -> Work:
    """The chain, against those who get through it."""
    makers: dict[str, Callable[[], Step]] = {
        who: (lambda who=who: values(who)) for who in numbers() if who != "micrograd"
    }
    makers["HIPS autograd"] = in_autograd
    limits = {"MyGrad": 0.6, "HIPS autograd": 0.6, "PyTorch eager": None}
    return Work("chain of 10 000 additions", makers, eager=limits, slow=True)


WORKS = [work()]


def phases(length: int) -> tuple[float, float, float]:
    """Seconds to build, to run backward and to drop a chain of additions."""
    x = lo.Parameter(1.0)
    begin = time.process_time()
    y: Any = x
    for _ in range(length):
        y = y + 1.0
    built = time.process_time()
    y.backward()
    done = time.process_time()
    del y
    return built - begin, done - built, time.process_time() - done


def linear_row(_rounds: int) -> Row:
    """A million ops against half a million, collector off: linear, so the ratio is 2."""
    gc.collect()
    gc.disable()
    try:
        pairs = [(phases(500_000), phases(1_000_000)) for _ in range(3)]
    finally:
        gc.enable()
    build, back, drop = (statistics.median(part) for part in zip(*(whole for _, whole in pairs), strict=True))
    return Row(
        "chain of 1 000 000 additions, collector off",
        "eager",
        "chain of 500 000",
        statistics.median(sum(whole) / sum(half) for half, whole in pairs),
        2.6,
        f"{build:.2f} s build, {back:.2f} s backward, {drop:.2f} s drop",
    )


def weight_row(rounds: int) -> Row:
    """The peak memory of building a chain and running backward, for each of its ops."""
    length = 200_000 if rounds < QUICK else 1_000_000
    gc.disable()
    tracemalloc.start()
    try:
        phases(length)
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.enable()
    return Row(
        f"chain of {length:,} additions, peak memory".replace(",", " "),
        "eager",
        "bytes an op",
        held / length,
        300,
        "",
        size(held),
    )


def garbage_row(_rounds: int) -> Row:
    """What the collector finds after training steps."""
    p = mlp.problem(64, 64, 32, 10)
    step = ours.eager(lambda: mlp.program(p), mlp.LR)
    step()
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            step()
        found = gc.collect()
    finally:
        gc.enable()
    return Row("left for the collector by 10 steps", "eager", "objects", found, 0)


def length_row(rounds: int) -> Row:
    """A million ops with the collector on, as users have it, against the same with it off."""
    gc.collect()
    on = [sum(phases(1_000_000)) for _ in range(max(1, rounds // 5))]
    gc.disable()
    try:
        off = [sum(phases(1_000_000)) for _ in range(max(1, rounds // 5))]
    finally:
        gc.enable()
    detail = " / ".join(duration(statistics.median(part) * 1e6) for part in (on, off))
    ratio = statistics.median(on) / statistics.median(off)
    return Row("chain of 1 000 000 additions", "eager", "collector off", ratio, None, detail)


ROWS = {
    "chain of 1 000 000 additions": length_row,
    "chain of 1 000 000 additions, collector off": linear_row,
    "chain of additions, peak memory": weight_row,
    "left for the collector": garbage_row,
}
