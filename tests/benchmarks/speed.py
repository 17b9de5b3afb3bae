"""Ratios of our time to the others', in one run: python tests/benchmarks/speed.py [--rounds 15]

Everything is pinned to one core with one thread. The competitors of a row agree on the answer, then
take turns; each figure is the median over the rounds of one time divided by the other of the same
round. Peers that are not installed (extra `peers`) leave their rows out, and the table says so.
"""

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["JAX_PLATFORMS"] = "cpu"
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

import argparse
import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator

import chains
import convolution
import demo
import linear
import machine
import mlp
import optimizers
import page
import scalars
import scripts
import steps
import training
from peers import AVAILABLE
from race import HEAD, QUICK, Row, Work, aligned, record_row, rows_of

WORKS: list[Work] = [
    *scalars.WORKS,
    *demo.WORKS,
    *mlp.WORKS,
    *linear.WORKS,
    *convolution.WORKS,
    *optimizers.WORKS,
    *steps.WORKS,
    *training.WORKS,
    *chains.WORKS,
]


def rows(rounds: int, only: str, *, blas: bool) -> Iterator[Row]:
    """All rows whose work has the words of `only` in its name; or those that BLAS decides."""
    for work in WORKS:
        if only in work.name and (work.blas or not blas):
            yield from rows_of(work, rounds)
    if blas:
        return
    for work in WORKS:
        if only in f"recording {work.name}" and work.record is not None and AVAILABLE["compiled"]:
            yield record_row(work, rounds)
    for name, row in chains.ROWS.items():
        if only in name:
            yield row(rounds)
    yield from scripts.rows(rounds, only)


def with_kernels(kernels: str, rounds: int, only: str) -> list[Row]:
    """The rows that BLAS decides, from a process whose OpenBLAS uses other kernels."""
    command = [sys.executable, __file__, "--rounds", str(rounds), "--only", only, "--blas-rows"]
    environment = os.environ | {"OPENBLAS_CORETYPE": kernels}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found = [Row(**fields) for fields in json.loads(done.stdout)]
    return [dataclasses.replace(row, work=f"{row.work}, {kernels}") for row in found]


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=15, help="how often contenders take turns")
    options.add_argument("--only", default="", help="works with these words in their names")
    options.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options.add_argument("--blas-rows", action="store_true", help="rows that BLAS decides, as JSON")
    given = options.parse_args()
    if given.write and (given.only or given.rounds < QUICK):
        options.error(
            f"--write is for all works and at least {QUICK} rounds: the page is complete or not written"
        )
    if given.blas_rows:
        found = rows(given.rounds, given.only, blas=True)
        print(json.dumps([dataclasses.asdict(row) for row in found]))
        return
    missing = [name for name, there in AVAILABLE.items() if not there]
    print(f"{machine.model()}\n{machine.versions()}")
    for name in missing:
        print(f"({name} is not there: its rows are left out)")
    for work in WORKS:
        if work.patience and given.rounds < QUICK:
            print(f"({work.name}: from {QUICK} rounds on also against {', '.join(work.patience)})")
    print(aligned(HEAD))
    table = []
    for row in rows(given.rounds, given.only, blas=False):
        print(row, flush=True)
        table.append(row)
    kernels = machine.other_kernels()
    if kernels is not None and any(work.blas and given.only in work.name for work in WORKS):
        for row in with_kernels(kernels, given.rounds, given.only):
            print(row)
            table.append(row)
    missed = sum(row.verdict == "MISSED" for row in table)
    print(f"{missed} of {sum(row.limit is not None for row in table)} limits missed")
    if given.write:
        page.write(table, given.rounds, missing)


if __name__ == "__main__":
    main()
