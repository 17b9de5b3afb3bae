"""Whole scripts: from the start of Python to the last weight, imports and first calls included."""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from peers import AVAILABLE
from race import Row, duration

import tinygrad_lo as lo

ROWS, BATCH, LR = 400, 32, 0.01
DATA = """
import sys
import numpy as np
saved = np.load(sys.argv[1])
X, y, batches = saved["X"], saved["y"], saved["batches"]
params = [saved[f"w{i}"] for i in range(6)]
"""
OURS = f"""
import tinygrad_lo as lo
{DATA}
W1, b1, W2, b2, W3, b3 = params = [lo.Parameter(w) for w in params]


def loss_of(X, y):
    hidden = ((X @ W1 + b1).relu() @ W2 + b2).relu()
    return lo.losses.cross_entropy(hidden @ W3 + b3, y)


step = lo.compile(loss_of, optimizer=lo.optim.Adam(params, lr={LR}))
for batch in batches:
    loss = step(X[batch], y[batch])
print(float(loss))
"""
TORCH = f"""
import torch
{DATA}
torch.set_num_threads(1)
W1, b1, W2, b2, W3, b3 = params = [torch.tensor(w, requires_grad=True) for w in params]
X, y, batches = map(torch.tensor, (X, y, batches))
optimizer = torch.optim.Adam(params, lr={LR})
for batch in batches:
    hidden = torch.relu(torch.relu(X[batch] @ W1 + b1) @ W2 + b2)
    loss = torch.nn.functional.cross_entropy(hidden @ W3 + b3, y[batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(loss.item())
"""
JAX = f"""
import jax
import jax.numpy as jnp
{DATA}


def loss_of(params, X, y):
    W1, b1, W2, b2, W3, b3 = params
    hidden = jax.nn.relu(jax.nn.relu(X @ W1 + b1) @ W2 + b2)
    return -jax.nn.log_softmax(hidden @ W3 + b3)[jnp.arange(len(y)), y].mean()


@jax.jit
def step(params, m, v, t, X, y):
    loss, g = jax.value_and_grad(loss_of)(params, X, y)
    t = t + 1
    m = [0.9 * a + 0.1 * b for a, b in zip(m, g)]
    v = [0.999 * a + 0.001 * b * b for a, b in zip(v, g)]
    params = [
        w - {LR} * (a / (1 - 0.9**t)) / (jnp.sqrt(b / (1 - 0.999**t)) + 1e-8) for w, a, b in zip(params, m, v)
    ]
    return loss, params, m, v, t


m, v, t = [0 * w for w in params], [0 * w for w in params], 0.0
for batch in batches:
    loss, params, m, v, t = step(params, m, v, t, X[batch], y[batch])
print(float(loss))
"""
SCRIPTS = {"compiled": OURS, "PyTorch eager": TORCH, "jax.jit": JAX}
IMPORTS = {"Python": "", "numpy": "import numpy", "tinygrad_lo": "import tinygrad_lo"}
FIRST = (
    "import tinygrad_lo as lo; lo.losses.mse(lo.Parameter(1.0), 0.0).backward(); lo.optim.Adam; lo.nn.Linear"
)


def save(path: Path, epochs: int) -> None:
    """Two moons, the batches of all epochs, and a start: the same for all."""
    rng = np.random.default_rng(0)
    X, y = lo.data.two_moons(ROWS, noise=0.1, rng=1)
    orders = [rng.permutation(ROWS)[: ROWS // BATCH * BATCH].reshape(-1, BATCH) for _ in range(epochs)]
    widths = (2, 16, 16, 2)
    params = {}
    for i in range(3):
        W = rng.standard_normal(widths[i : i + 2]) * np.sqrt(2.0 / widths[i])
        params |= {f"w{2 * i}": W.astype(np.float32), f"w{2 * i + 1}": np.zeros(widths[i + 1], np.float32)}
    np.savez(path, X=X.astype(np.float32), y=y, batches=np.concatenate(orders), **params)


def seconds(code: str, *args: str) -> tuple[float, str]:
    """Processor time of a fresh Python that runs a script, and what it prints; bytecode is kept, as usual."""
    usual = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", code, *args]
    before = os.times()
    done = subprocess.run(command, env=usual, stdout=subprocess.PIPE, text=True, check=True)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return used, done.stdout


def moons(epochs: int, limits: dict[str, float], rounds: int) -> Iterator[Row]:
    """The script of each, taking turns."""
    scripts = {name: code for name, code in SCRIPTS.items() if AVAILABLE.get(name, True)}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "moons.npz"
        save(data, epochs)
        answers = {name: float(seconds(code, str(data))[1]) for name, code in scripts.items()}  # and bytecode
        for name, answer in answers.items():
            if not abs(answer - answers["compiled"]) < 0.02:
                raise SystemExit(
                    f"moons, {epochs} epochs: {name} ends at {answer}, ours at {answers['compiled']}"
                )
        times: dict[str, list[float]] = {name: [] for name in scripts}
        for _ in range(rounds):
            for name, code in scripts.items():
                times[name].append(seconds(code, str(data))[0])
    work = f"script: moons, 2-16-16-2, {epochs} epochs"
    for name, limit in limits.items():
        if name in times:
            yield row(work, "compiled", name, times["compiled"], times[name], limit)


def imports(rounds: int) -> Iterator[Row]:
    """The import, and the import with a first step, against NumPy's; bare Python's start taken off all."""
    codes = IMPORTS | {"first": FIRST}
    times: dict[str, list[float]] = {name: [] for name in codes}
    for _ in range(rounds + 1):
        for name, code in codes.items():
            times[name].append(seconds(code)[0])
    bare = statistics.median(times["Python"])
    net = {
        name: [one - bare for one in values[1:]] for name, values in times.items()
    }  # the first writes bytecode
    yield row("import tinygrad_lo", "import", "import numpy", net["tinygrad_lo"], net["numpy"], 1.7)
    yield row("import, a loss and its gradient", "import", "import numpy", net["first"], net["numpy"], None)


def row(
    work: str, ours: str, theirs: str, mine: list[float], others: list[float], limit: float | None
) -> Row:
    """A ratio of medians: what a process takes differs by its pages and files, not by the round."""
    a, b = statistics.median(mine), statistics.median(others)
    return Row(work, ours, theirs, a / b, limit, f"{duration(1e6 * a)} / {duration(1e6 * b)}")


def rows(rounds: int, only: str) -> Iterator[Row]:
    """All rows with these words in their names."""
    if only in "import tinygrad_lo, a loss and its gradient":
        yield from imports(rounds)
    for epochs in (60, 500):
        if only in f"script: moons, 2-16-16-2, {epochs} epochs":
            yield from moons(epochs, {"PyTorch eager": 0.15, "jax.jit": 0.2}, max(3, rounds // 3))
