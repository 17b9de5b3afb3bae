"""How the figures of the examples look, and how a script is run: readable when projected."""

import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")  # draws into files, without a screen

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

# One thread, so that the bits do not depend on how many there could be: NumPy's, which is here already, is
# told so; what scikit-learn loads later reads the environment.
threadpool_limits(1)
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

# Okabe and Ito's colors, which everybody can tell apart; each is a meaning, not a decoration.
BLUE, ORANGE, GREEN, PINK, YELLOW, SKY, BLACK, GRAY = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#56B4E9", "#000000", "#8A8A8A",
)  # fmt: skip
COLORS = (BLUE, ORANGE, GREEN, PINK, YELLOW, SKY, BLACK)

plt.rcParams.update(
    {
        "figure.figsize": (9.6, 5.4), "figure.dpi": 100, "figure.constrained_layout.use": True,
        "font.size": 14, "axes.titlesize": 16, "axes.labelsize": 14, "legend.fontsize": 13,
        "axes.spines.top": False, "axes.spines.right": False, "axes.grid": False,
        "lines.linewidth": 2.4, "lines.markersize": 7, "legend.frameon": False,
        "axes.prop_cycle": mpl.cycler(color=COLORS),
    }
)  # fmt: skip

Main = Callable[[Path], list[str]]


def panels(columns: int = 1, rows: int = 1, **options: object) -> tuple[Figure, list[Axes]]:
    """A figure of one slide with so many panels."""
    figure, axes = plt.subplots(rows, columns, squeeze=False, **options)
    return figure, list(axes.flat)


def label(axes: Axes, text: str, at: tuple[float, float], color: str = BLACK, **options: object) -> None:
    """Words beside a line, instead of a legend."""
    axes.annotate(text, at, color=color, **{"fontsize": 14, "va": "center", **options})


def save(figure: Figure, folder: Path) -> Path:
    """Save the figure under the name of the script that calls this."""
    script = Path(inspect.stack()[1].filename)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{script.stem}.png"
    figure.savefig(path)
    plt.close(figure)
    return path


def run(main: Main) -> None:
    """What `python examples/figures/x.py [folder]` does: the numbers, and where the figure is."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "output"
    for line in main(folder):
        print(line)
    print(f"the figure is {folder / Path(sys.argv[0]).stem}.png")


# An optimizer has the same color in all figures.
OPTIMIZER_COLORS = {
    "SGD": ORANGE, "momentum": BLUE, "Nesterov": SKY, "Adagrad": BLACK, "RMSprop": PINK, "Adam": GREEN,
}  # fmt: skip
