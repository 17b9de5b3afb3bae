"""What a training run was like, epoch by epoch: as a table, a file, or a picture."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from tinygrad_lo.errors import OptionError, UnsupportedError
from tinygrad_lo.options import choice, guess, number, whole
from tinygrad_lo.training.task import Weights

SHOWN = 12  # rows of a printed table; of longer runs the first and the last half of them
ACROSS = 4  # panels side by side


class History:
    """The figures of a training run, a list of each with an entry for every epoch.

        history["loss"]           the mean loss of the epoch's batches, penalty included
        history["accuracy"]       a metric on the training data, after the epoch
        history["validation loss"], history["validation accuracy"]    the same on validation data
        history["learning rate"], history["gradient norm"], history["update ratio"]
                                  at the epoch's last step: of the first group; ‖∇‖ as the step used it;
                                  ‖Δw‖ / ‖w‖ of the weights (about 0.001 is usual, says CS231n)
        history["seconds"]        what the epoch took

    `print(history)` shows them as a table, `save` writes a CSV file, `plot` draws them.

    Attributes:
        epochs: how many epochs were finished.
        best: the epoch, counted from 1, whose weights the model has now, where an early stop put them back.
        stopped: why it ended before its last epoch: "" or a sentence.
        compiled: True, or a sentence that says why not.
        warnings: what it warned of.

    Example:
        >>> import tinygrad_lo as lo
        >>> net, X = lo.nn.Linear(1, 1, rng=0), [[0.0], [1.0], [2.0]]
        >>> options = {"optimizer": lo.optim.SGD(net, lr=0.1), "epochs": 5, "progress": False}
        >>> history = lo.fit(net, lo.losses.mse, (X, [[1.0], [3.0], [5.0]]), **options)
        >>> history.epochs, history["loss"][-1] < history["loss"][0]
        (5, True)
    """

    def __init__(self, names: list[str]) -> None:
        self.columns: dict[str, list[float]] = {name: [] for name in names}
        self.best: int | None = None
        self.stopped = ""
        self.compiled: bool | str = False
        self.warnings: list[str] = []

    @property
    def epochs(self) -> int:
        """How many epochs were finished."""
        return len(self.columns["seconds"])

    def __getitem__(self, name: str) -> list[float]:
        if name not in self.columns:
            there = ", ".join(map(repr, self.columns))
            raise OptionError(f"history has no {name!r}, but {there}{guess(name, self.columns)}")
        return self.columns[name]

    def add(self, figures: dict[str, float]) -> None:
        """Take down an epoch."""
        for name, column in self.columns.items():
            column.append(figures[name])

    def line(self, epochs: int) -> str:
        """The last epoch in one line."""
        figures = {name: column[-1] for name, column in self.columns.items() if name not in QUIET}
        words = "  ".join(f"{name} {digits(x)}" for name, x in figures.items())
        return f"epoch {self.epochs}/{epochs}  {words}"

    def __str__(self) -> str:
        rows = list(zip(range(1, self.epochs + 1), *self.columns.values(), strict=True))
        cells = [["epoch", *self.columns], *([str(row[0]), *map(digits, row[1:])] for row in rows)]
        if len(rows) > SHOWN:
            cells[1 + SHOWN // 2 : -SHOWN // 2] = [["…"] * len(cells[0])]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(map(str.rjust, row, widths)) for row in cells]
        if self.best is not None:
            lines.append(f"the weights are those of epoch {self.best}, the best")
        if isinstance(self.compiled, str):
            lines.append(f"not compiled: {self.compiled}")
        return "\n".join([*lines, *filter(None, [self.stopped]), *(f"warning: {w}" for w in self.warnings)])

    def __repr__(self) -> str:
        return f"<History of {self.epochs} epochs: {', '.join(self.columns)}>"

    def save(self, path: Any) -> Path:
        """Write a CSV file: a row for every epoch, a column for every figure. Returns its path."""
        target = Path(path)
        with target.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["epoch", *self.columns])
            writer.writerows(zip(range(1, self.epochs + 1), *self.columns.values(), strict=True))
        return target

    def plot(self, path: Any = None) -> Any:
        """Draw every figure against the epoch, training and validation in one panel.

        Returns:  the path of the picture, or without one the matplotlib Figure.
        Raises:   UnsupportedError: matplotlib is not installed (extra `examples`).
        """
        names = [name for name in self.columns if not name.startswith("validation ") and name != "seconds"]
        figure, panels = panels_of(len(names))
        epochs = range(1, self.epochs + 1)
        for axes, name in zip(panels, names, strict=True):
            axes.plot(epochs, self.columns[name], label="training")
            if f"validation {name}" in self.columns:
                axes.plot(epochs, self.columns[f"validation {name}"], "--", label="validation")
                axes.legend(loc="upper right")
            axes.set(xlabel="epoch", title=name)
            if self.best is not None:
                axes.axvline(self.best, color="gray", linewidth=0.8)
        return saved(figure, path)


QUIET = ("gradient norm", "update ratio")  # not in the line of an epoch


def digits(x: float) -> str:
    """A figure with four digits."""
    return f"{x:.4g}"


def panels_of(count: int) -> tuple[Any, list[Any]]:
    """A matplotlib figure with panels, and these."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UnsupportedError("plots need matplotlib: pip install matplotlib") from error
    across = min(count, ACROSS)
    down = -(-count // across)
    figure = Figure(figsize=(4 * across, 3 * down), layout="constrained")
    panels = list(figure.subplots(down, across, squeeze=False).flat)
    for empty in panels[count:]:
        empty.remove()
    return figure, panels[:count]


def saved(figure: Any, path: Any) -> Any:
    """The figure, or the path it was saved under."""
    if path is None:
        return figure
    figure.savefig(path, dpi=150)
    return Path(path)


class EarlyStop:
    """Stop when a figure of the history has not improved for some epochs, and go back to the best weights.

        better:    value < best − minimum_change    (mode "max": value > best + minimum_change)
        stop at the (patience + 1)th epoch in a row that is not better

    The best weights and buffers are put back at the end of `lo.fit`, however it ends.

    Args:     figure is a name such as "validation loss"; mode is "min" or "max", and may be left out for a
              figure with "loss" in its name.
    Raises:   OptionError: patience is no int >= 0, minimum_change < 0, no mode where it must be said.
    Source:   Prechelt 1998, "Early stopping, but when?".
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.training.EarlyStop("validation accuracy", patience=3, mode="max")
        EarlyStop('validation accuracy', patience=3, mode='max')
    """

    def __init__(
        self, figure: str, *, patience: int = 5, mode: str | None = None, minimum_change: float = 0.0
    ) -> None:
        if mode is None and "loss" not in figure:
            raise OptionError(f'EarlyStop: is a larger {figure!r} better? Then mode="max", else mode="min"')
        self.figure = figure
        self.patience = whole("EarlyStop", "patience", patience, 0)
        self.mode = choice("EarlyStop", "mode", mode or "min", ("min", "max"))
        self.change = number("EarlyStop", "minimum_change", minimum_change, at_least=0.0)
        self.forget()

    def forget(self) -> None:
        """Nothing was best yet."""
        self.best: float | None = None
        self.best_epoch = self.bad = 0
        self.weights: Weights | None = None

    def begin(self, history: History) -> None:
        """Forget earlier runs; the history must have the figure."""
        self.forget()
        if self.figure not in history.columns:
            history[self.figure]

    def is_enough(self, history: History, model: Any, params: list[Any]) -> bool:
        """Take note of an epoch, and of its weights if it is the best; whether to stop."""
        if self.is_better(history):
            self.weights = Weights(model, params)
        enough = self.bad > self.patience
        if enough:
            best = f"{self.figure} was best in epoch {self.best_epoch}, {self.best:.4g}"
            history.stopped = f"stopped after epoch {history.epochs}: {best}"
        return enough

    def put_back(self, history: History) -> None:
        """Let the model have the best weights again."""
        if self.weights is not None:
            self.weights.restore(drawn=False)
            self.weights, history.best = None, self.best_epoch

    def is_better(self, history: History) -> bool:
        """Take note of the last epoch; whether it is the best so far."""
        value = history[self.figure][-1]
        sign = 1.0 if self.mode == "min" else -1.0
        better = self.best is None or sign * value < sign * self.best - self.change
        self.bad = 0 if better else self.bad + 1
        if better:
            self.best, self.best_epoch = value, history.epochs
        return better

    def __repr__(self) -> str:
        return f"EarlyStop({self.figure!r}, patience={self.patience}, mode={self.mode!r})"
