"""What a gradient costs: finite differences against backprop, as the number of parameters grows.

A linear softmax classifier on 32 random rows, from 10 to 30 000 weights. Finite differences evaluate
the loss once or twice for each of them; backprop runs the graph back once.

    python examples/gradient_cost.py [folder for the picture]
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import tinygrad_lo as lo

SIZES = (10, 30, 100, 300, 1000, 3000, 10_000, 30_000)  # numbers of weights
MEASURED = 1000  # above that, finite differences are timed on this many coordinates and scaled up
INK = {"finite differences": "#D55E00", "backprop": "#0072B2"}  # told apart by everybody


def seconds(run: Callable[[], object], least: float = 0.05) -> float:
    """The time of one run: the quickest of several."""
    times: list[float] = []
    while sum(times) < least or len(times) < 3:
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return min(times)


def costs(count: int) -> tuple[float, float]:
    """Seconds for the gradient by `count` weights: by finite differences, by backprop."""
    rng = np.random.default_rng(0)
    rows, labels = rng.standard_normal((32, count // 10)), rng.integers(0, 10, 32)
    W = lo.Parameter(0.01 * rng.standard_normal((count // 10, 10)), name="W")

    def loss(weights: lo.Tensor | np.ndarray) -> lo.Tensor | np.ndarray:
        return lo.losses.cross_entropy(rows @ weights, labels)

    def backprop() -> np.ndarray:
        return lo.grad(loss(W), W)

    coordinates = min(count, MEASURED)
    rest = W.data.reshape(-1)[coordinates:]

    def differences() -> np.ndarray:
        def of_some(part: np.ndarray) -> lo.Tensor | np.ndarray:
            return loss(np.concatenate([part, rest]).reshape(W.shape))

        return lo.numerical_gradient(of_some, W.data.reshape(-1)[:coordinates])

    exact = backprop().reshape(-1)[:coordinates]
    assert np.allclose(differences(), exact, rtol=1e-5, atol=1e-8 * np.abs(exact).max() + 1e-10)
    return seconds(differences) * count / coordinates, seconds(backprop)


def draw(times: np.ndarray) -> plt.Figure:
    """Both costs over the number of weights, on logarithmic axes."""
    figure, axes = plt.subplots(figsize=(6.5, 4), layout="constrained")
    for (name, ink), column in zip(INK.items(), times.T, strict=True):
        axes.loglog(SIZES, 1e3 * column, "o-", color=ink, label=name)
    axes.set(xlabel="weights", ylabel="milliseconds for one gradient", title="One gradient, two ways")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def main() -> None:
    """Measure, print the table, save the picture."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "output"
    folder.mkdir(parents=True, exist_ok=True)
    times = np.array([costs(count) for count in SIZES])
    print("weights  finite differences     backprop     ratio")
    for count, (slow, quick) in zip(SIZES, times, strict=True):
        print(f"{count:7d}  {1e3 * slow:15.3g} ms  {1e3 * quick:8.3g} ms  {slow / quick:8.0f}")
    target = folder / "gradient_cost.svg"
    mpl.rcParams["svg.hashsalt"] = "gradient_cost"  # the same file for the same figures
    draw(times).savefig(target, metadata={"Date": None})
    print(f"the picture is in {target}")


if __name__ == "__main__":
    main()
