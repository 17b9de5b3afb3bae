"""How rows come about: contenders take turns, agree on the answer, and are weighed as well as timed."""

import gc
import math
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from peers import AVAILABLE

import tinygrad_lo as lo
from tinygrad_lo.engine.graph import reachable

Step = Callable[[], Any]
Limits = dict[str, float | None]


@dataclass
class Row:
    """One figure and the limit it must keep."""

    work: str
    ours: str
    against: str
    ratio: float
    limit: float | None = None
    detail: str = ""
    memory: str = ""

    @property
    def verdict(self) -> str:
        """Whether the limit is kept, where there is one."""
        if self.limit is None:
            return ""
        return "ok" if self.ratio <= self.limit else "MISSED"

    def cells(self) -> list[str]:
        """The row as text."""
        limit = "" if self.limit is None else f"{self.limit:.3g}"
        ratio = f"{self.ratio:.0f}" if self.ratio >= 100 else f"{self.ratio:.3f}"
        return [
            self.work, self.ours, self.against, ratio, limit, self.verdict, self.detail, self.memory,
        ]  # fmt: skip

    def __str__(self) -> str:
        return aligned(self.cells())


HEAD = ["work", "ours", "÷", "ratio", "limit", "", "time, ours / theirs", "peak memory, ours / theirs"]


def aligned(cells: list[str]) -> str:
    """A line of the printed table."""
    widths = ("<53", "<8", "<20", ">7", ">6", "<6", "<42", "")
    return "  ".join(f"{text:{width}}" for text, width in zip(cells, widths, strict=True)).rstrip()


@dataclass
class Work:
    """One work, done by several: `makers` return a step; the limits name who is compared with whom.

    `makers` has "eager", perhaps "compiled", and the others by name. A step returns a number that
    depends on the gradients (or None); all contenders must agree on it before they race.
    """

    name: str
    makers: dict[str, Callable[[], Step]]
    eager: Limits
    compiled: Limits = field(default_factory=dict)
    # Returns f and its arguments: what recording f costs is a row of its own.
    record: Callable[[], tuple[Callable[..., Any], tuple[Any, ...]]] | None = None
    blas: bool = False
    uncollected: bool = False  # also with the collector off
    remarks: dict[str, str] = field(default_factory=dict)  # said beside the times of eager, of compiled
    slow: bool = False  # a fifth of the rounds
    patience: tuple[str, ...] = ()  # who takes so many seconds that quick runs leave them out


QUICK = 10  # runs of fewer rounds are to be over soon


# ---------------------------------------------------------------------------------------- time


SLOW = 2e6  # microseconds: steps that are not worth repeating


def microseconds(step: Step, count: int) -> float:
    """The mean time of one call over `count` calls.

    Processor time of all threads: on one core it is what a clock on the wall shows when nobody else is
    there, and it stays so when somebody is.
    """
    begin = time.process_time()
    for _ in range(count):
        step()
    return (time.process_time() - begin) / count * 1e6


def agree(work: str, steps: dict[str, Step]) -> dict[str, float]:
    """Two steps of everyone must arrive at the same number; returns the microseconds of the second.

    Raises: SystemExit: they do not; the rows would compare different works.
    """
    found, times = {}, {}
    for name, step in steps.items():
        step()
        begin = time.process_time()
        answer = step()
        times[name] = (time.process_time() - begin) * 1e6
        if answer is not None:
            found[name] = answer.item() if hasattr(answer, "item") else answer
    for name, value in found.items():
        if not math.isclose(value, found["eager"], rel_tol=1e-3):
            raise SystemExit(
                f"{work}: after two steps {name} is at {value}, but eager is at {found['eager']}"
            )
    return times


def warm(step: Step, last: float, *, checked: bool) -> float:
    """Calls a step until nothing new happens, and returns how many microseconds one call takes.

    A compiled function is checked against the engine at calls 2, 4, 8, ..., 256, which is here, 512, ...
    """
    begin = time.process_time()
    for _ in range(260):
        if last > SLOW or time.process_time() - begin > (5.0 if checked else 0.5):
            return last
        last = microseconds(step, 1)
    return microseconds(step, 10)


def calls(micros: float) -> int:
    """How many calls are timed together: 20 ms of them, and at least two, or one of seconds."""
    return 1 if micros > SLOW else max(2, int(2e4 / micros))


def race(
    steps: dict[str, Step], counts: dict[str, int], rounds: int, *, collector: bool = True
) -> dict[str, list[float]]:
    """Times of each step, taking turns, in an order that rotates from round to round."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    names = list(steps)
    gc.collect()
    gc.freeze()  # the modules of all these libraries are not for the collector to walk in each step
    try:
        for i in range(rounds):
            for name in names[i % len(names) :] + names[: i % len(names)]:
                gc.collect()  # what one contender left behind is not for the next one to clean up,
                if counts[name] > 1:
                    steps[name]()  # but for itself: the timed steps find the garbage of this one
                if not collector:
                    gc.collect()
                    gc.disable()
                times[name].append(microseconds(steps[name], counts[name]))
                gc.enable()
    finally:
        gc.enable()
    return times


# -------------------------------------------------------------------------------------- memory


def peak(make: Callable[[], Step], calls: int) -> int:
    """The most bytes held during a step, its parameters and buffers included, its data not."""
    gc.collect()
    tracemalloc.start()
    try:
        step = make()
        for _ in range(calls):
            step()
        gc.collect()
        tracemalloc.reset_peak()
        step()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


UNSEEN = (
    "PyTorch eager", "torch.compile", "torch.optim", "jax.jit", "jax at its best", "CasADi", "PyTensor",
)  # fmt: skip  # they allocate where tracemalloc does not look


def weigh(
    makers: dict[str, Callable[[], Step]], speeds: dict[str, float], unseen: Iterable[str]
) -> dict[str, str]:
    """The peak memory of each contender, as text; tracing makes steps of seconds too slow to wait for."""
    return {
        name: "?"
        if name in unseen or speeds[name] > SLOW
        else size(peak(make, 1 if speeds[name] > 2e4 else 5))
        for name, make in makers.items()
    }


def size(count: float) -> str:
    """Bytes for a reader."""
    for unit in ("B", "KB", "MB"):
        if count < 1000 or unit == "MB":
            break
        count /= 1000
    return f"{count:.3g} {unit}" if count < 1000 else f"{count:.0f} {unit}"


def duration(micros: float) -> str:
    """A time for a reader."""
    for unit in ("µs", "ms", "s"):
        if micros < 1000 or unit == "s":
            break
        micros /= 1000
    return f"{micros:.3g} {unit}"


# ---------------------------------------------------------------------------------------- rows


def rows_of(work: Work, rounds: int) -> list[Row]:
    """Ours against each of the others, eager and compiled."""
    quick = rounds < QUICK
    left_out = work.patience if quick else ()
    makers = {
        name: make for name, make in work.makers.items() if AVAILABLE.get(name, True) and name not in left_out
    }
    rounds = max(1, rounds // 5) if work.slow else rounds
    steps = {name: make() for name, make in makers.items()}
    speeds = {
        name: warm(steps[name], last, checked=name == "compiled")
        for name, last in agree(work.name, steps).items()
    }
    counts = {name: calls(speed) for name, speed in speeds.items()}
    unseen = (*UNSEEN, "compiled") if work.slow else UNSEEN  # tracing a long recording takes minutes
    weights = {} if work.slow and quick else weigh(makers, speeds, unseen)
    found = list(
        ratios(work.name, work.eager, work.compiled, race(steps, counts, rounds), work.remarks, weights)
    )
    if work.uncollected:
        few = {name: steps[name] for name in ("eager", "compiled", "micrograd") if name in steps}
        times = race(few, counts, rounds, collector=False)
        name = f"{work.name}, collector off"
        found += ratios(name, {"micrograd": None}, {"micrograd": None}, times, work.remarks, {})
    return found


def ratios(
    name: str,
    eager: Limits,
    compiled: Limits,
    times: dict[str, list[float]],
    remarks: dict[str, str],
    weights: dict[str, str],
) -> Iterable[Row]:
    """The median over the rounds of one time divided by the other of the same round."""
    for ours, limits in (("eager", eager), ("compiled", compiled)):
        for theirs, limit in limits.items():
            if ours not in times or theirs not in times:
                continue
            ratio = statistics.median(a / b for a, b in zip(times[ours], times[theirs], strict=True))
            detail = " / ".join(duration(statistics.median(times[who])) for who in (ours, theirs))
            detail += f", {remarks[ours]}" if ours in remarks else ""
            memory = f"{weights[ours]} / {weights[theirs]}" if weights else ""
            yield Row(name, ours, theirs, ratio, limit, detail, memory)


def record_row(work: Work, rounds: int) -> Row:
    """What the first call of a compiled function costs beyond a call, against 1 ms + 30 µs a line."""
    assert work.record is not None
    costs = []
    for _ in range(max(1, rounds // 5) if work.slow else rounds):
        function, data = work.record()
        gc.collect()
        begin = time.process_time()
        compiled: Any = lo.compile(function)
        compiled(*data)
        first = (time.process_time() - begin) * 1e6
        compiled(*data)  # the second call is checked against the engine, the third is as all others
        costs.append(first - microseconds(lambda: compiled(*data), 1))  # noqa: B023 - called at once
        # A line is one of the text; where one stands for several statements or ops, each counts.
        text = str(compiled.source)
        lines = max(len(text.splitlines()), int(text.split()[1]), len(reachable([function(*data)])))
    cost = statistics.median(costs)
    detail = f"{duration(cost)} / {lines} lines"
    return Row(
        f"recording {work.name}", "compiled", "1 ms + 30 µs a line", cost / (1000 + 30 * lines), 1.0, detail
    )
