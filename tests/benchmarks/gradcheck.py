"""gradcheck and check_gradient on right functions and on planted errors: what is caught, named, undecided.

`python tests/benchmarks/gradcheck.py` prints the table in about five minutes, `--part 0.1` a tenth of it.
`--first N` draws other random losses and programs than the ones that thresholds were chosen on.
"""

import argparse
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS.parent), str(TESTS), str(TESTS / "checking")]

import test_culprit_programs as programs  # noqa: E402
import test_gradcheck_battery as battery  # noqa: E402
from right_gradients import (  # noqa: E402
    CANCELLED,
    LEVEL,
    SEEDS,
    cancelled,
    forgets_eps,
    has_gradient,
    planted,
    right,
    right_ones,
    rules_of,
    seeded,
)

import tinygrad_lo as lo  # noqa: E402

FACTORS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
Case = tuple[str, Callable[..., Any], list[Any]]  # a name, a function of tensors, and its inputs


def outcome(report: Any) -> str:
    """passed, FAILED or UNDECIDED, of a report of either kind."""
    if report:
        return "passed"
    return "FAILED" if any(row.verdict == "FAIL" for row in report.rows) or faults(report) else "UNDECIDED"


def faults(report: Any) -> Any:
    """The wrong rules that a report names."""
    return getattr(report, "faults", ())


# ------------------------------------------------------------------------------------ right ones


def cancelling() -> Iterator[Case]:
    """Sums that cancel: 4 functions, 20 seeds."""
    for name in CANCELLED:
        for seed in SEEDS:
            f, x = cancelled(name, seed)
            yield f"{name} {seed}", f, [x]


def level() -> Iterator[Case]:
    """Slopes of 0 where the curvature jumps or ends."""
    for name, (f, x) in LEVEL.items():
        yield name, f, [x]


def right_programs(count: int, first: int, *, rounded: bool = True) -> Iterator[Case]:
    """Random programs; with rounded inputs they meet ties and kinks."""
    seed = first
    while count:
        seed += 1
        f, arrays = programs.program(seed), programs.point(seed, rounded=rounded)
        with np.errstate(all="ignore"):
            g = programs.gradients(f, arrays)
        if all(np.isfinite(part).all() for part in g) and (rounded or any(part.any() for part in g)):
            count -= 1
            yield f"program {seed}", f, arrays


def right_losses(count: int, first: int) -> Iterator[Case]:
    """Losses and layers, at scales from 1e-8 to 1e8, offset, saturated, in float32, rounded."""
    for kind, sort, seed in right_ones(count, first):
        f, x = right(kind, sort, seed)
        if has_gradient(f, x):
            yield f"{kind}, {sort}, {seed}", f, [x]


def pair(f: Callable[..., Any]) -> Callable[[Any], Any]:
    """f of several tensors as a NumPy function of a list of arrays, which returns (value, gradients)."""

    def both(arrays: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return float(f(*map(lo.Tensor, arrays)).item()), programs.gradients(f, arrays)

    return both


def count_right(name: str, cases: Iterator[Case], *, graph: bool) -> None:
    """Print how many right functions are called wrong, and how many stay undecided."""
    began, found = time.perf_counter(), Counter()
    for what, f, arrays in cases:
        if graph:
            report: Any = lo.gradcheck(f, *arrays)
        else:
            report = lo.check_gradient(pair(f), [np.asarray(x, dtype=float) for x in arrays])
        word = outcome(report)
        found[word] += 1
        if word == "FAILED":
            print(f"      {what} FAILED", file=sys.stderr)
    total, took = sum(found.values()), time.perf_counter() - began
    share = found["UNDECIDED"] / max(1, total)
    print(
        f"{name:44} {total:6} {found['FAILED']:8} {found['UNDECIDED']:6} ({share:.1%}) {took:8.1f} s",
        flush=True,
    )


# -------------------------------------------------------------------------------------- wrong ones


def rules() -> Iterator[tuple[Case, Any, int]]:
    """Every rule of the table, alone."""
    for param in battery.RULES:
        op, number = param.values
        battery.rng = seeded(param.id)
        case = next(c for c in battery.cases(op) if np.size(op.apply(*battery.fresh(op, c)[0])) > 1)
        made, where = battery.fresh(op, case)
        if op.name == "where":
            made[0], where = made[0] > 0, [1, 2]

        def f(*arrays: Any, op: Any = op, made: Any = made, where: Any = where) -> Any:
            args = list(made)
            for i, x in zip(where, arrays, strict=True):
                args[i] = x
            return op.apply(*args)

        yield (param.id, f, [made[i] for i in where]), op, number


def rules_in_losses() -> Iterator[tuple[Case, Any, int]]:
    """Every rule that a loss goes through, inside the loss."""
    for name, (f, x) in battery.LOSSES.items():
        for op, i in rules_of(f, x):
            yield (f"{name} {op.name}", f, [x]), op, i


def rules_in_programs(count: int, first: int) -> Iterator[tuple[Case, Any, int]]:
    """One rule in each random program, that changes its gradient by a tenth if doubled."""
    for case in right_programs(10 * count, first, rounded=False):
        name, f, arrays = case
        before = programs.gradients(f, arrays)
        places = rules_of(f, *arrays)
        seeded(name).shuffle(places)
        for op, i in places[:6]:
            with planted(op, i, 2.0):
                changed = programs.change(before, programs.gradients(f, arrays))
            if changed > 0.1:
                yield case, op, i
                count -= 1
                break
        if not count:
            return


def weighted(f: Callable[..., Any], shape: tuple[int, ...]) -> Callable[..., Any]:
    """f, summed with random weights if it is an array."""
    u = np.random.default_rng(0).uniform(0.5, 1.5, shape)
    return (lambda *arrays: (f(*arrays) * u).sum()) if shape else f


def count_wrong(name: str, cases: Iterator[tuple[Case, Any, int]]) -> None:
    """Print how many errors of each size are caught, and how many of them named."""
    began, tried, caught, named = time.perf_counter(), Counter(), Counter(), Counter()
    for (what, f, arrays), op, i in cases:
        number = weighted(f, f(*map(lo.Parameter, arrays)).shape)
        before = programs.gradients(number, arrays)
        for error in FACTORS:
            with planted(op, i, 1.0 + error):
                if programs.change(before, programs.gradients(number, arrays)) < 0.1 * error:
                    continue  # nothing of this rule is left in the gradient
                report = lo.gradcheck(f, *arrays)
            tried[error] += 1
            caught[error] += outcome(report) == "FAILED"
            named[error] += report.culprit == op.name
            if report.culprit != op.name and error > min(FACTORS):
                print(f"      {what}: 1 + {error:g} in {op.name} missed", file=sys.stderr)
    figures = "  ".join(f"{caught[e]}/{named[e]} of {tried[e]}" for e in FACTORS)
    print(f"{name:28} {figures}  {time.perf_counter() - began:6.1f} s", flush=True)


def count_claims(name: str, cases: Iterator[Case]) -> None:
    """Print how many NumPy functions with a gradient off by a factor are caught."""
    caught: Counter[float] = Counter()
    tried = 0
    for _, f, arrays in cases:
        tried += 1
        good = pair(f)

        def wrong(x: Any, error: float, good: Any = good) -> Any:
            value, gradients = good(x)
            return value, [(1.0 + error) * g for g in gradients]

        for error in FACTORS:
            report = lo.check_gradient(lambda x, e=error: wrong(x, e), arrays)
            caught[error] += outcome(report) == "FAILED"
    print(f"{name:28} " + "  ".join(f"{caught[e]} of {tried}" for e in FACTORS), flush=True)


def main() -> None:
    """Print both tables."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--part", type=float, default=1.0, help="share of the random cases")
    options.add_argument("--first", type=int, default=0, help="the first seed")
    given = options.parse_args()
    warnings.simplefilter("ignore")

    def some(count: int) -> int:
        return max(1, round(given.part * count))

    print(f"{'right functions':44} {'tried':>6} {'called wrong':>8} {'undecided':>10}")
    for graph, who in ((True, "gradcheck"), (False, "check_gradient")):
        count_right(f"{who}: sums that cancel", cancelling(), graph=graph)
        count_right(f"{who}: slope 0, curvature jumps", level(), graph=graph)
        count_right(f"{who}: programs, ties", right_programs(some(300), given.first), graph=graph)
    count_right("gradcheck: losses, all scales", right_losses(some(1500), given.first + 1000), graph=True)

    print(f"\n{'errors: caught/named':28} " + "  ".join(f"1 + {e:g}" for e in FACTORS))
    count_wrong("rules of the table", rules())
    count_wrong("rules inside losses", rules_in_losses())
    count_wrong("rules inside programs", rules_in_programs(some(150), given.first + 1000))
    count_claims("check_gradient: programs", right_programs(some(150), given.first + 2000, rounded=False))
    inputs = [np.random.default_rng(seed).standard_normal((4, 3)) for seed in SEEDS]
    caught = sum(not lo.check_gradient(forgets_eps, x) for x in inputs)
    alarms = sum(not lo.check_gradient(lambda v: forgets_eps(v, 1e-5), x) for x in inputs)
    print(f"{'eps forgotten in backward':28} {caught} of {len(SEEDS)}; with eps {alarms} called wrong")


if __name__ == "__main__":
    main()
