"""Before the first long run: CS231n's sanity checks as one report, and a range of learning rates."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lo.checking.gradcheck import gradcheck
from tinygrad_lo.engine.graph import no_grad
from tinygrad_lo.engine.machine.random import generator
from tinygrad_lo.engine.naming import quoted
from tinygrad_lo.errors import GradcheckError, LoError, NonFiniteError, OptionError
from tinygrad_lo.optim.adam import Adam
from tinygrad_lo.optim.gradient import SGD
from tinygrad_lo.optim.optimizer import Optimizer
from tinygrad_lo.options import number, public, whole
from tinygrad_lo.training.history import panels_of, saved
from tinygrad_lo.training.symptoms import LOOKED_THROUGH, initial_loss
from tinygrad_lo.training.task import Rows, Task, as_arrays, borrowed

TINY = 8  # rows that any model of some size can learn by heart
MOST_STEPS = 500
BY_HEART = 0.1  # of the first loss
OVERFIT_RATE = 0.01  # of Adam


class SetupCheck(NamedTuple):
    """One check: what it is, whether it passed (None: it does not apply), and what was seen."""

    name: str
    passed: bool | None
    text: str


class SetupReport:
    """What `check_setup` has seen. It is true when every check that applies has passed."""

    def __init__(self, rows: list[SetupCheck]) -> None:
        self.rows = rows

    def __bool__(self) -> bool:
        return not any(row.passed is False for row in self.rows)

    def __str__(self) -> str:
        words = {True: "ok", False: "WRONG", None: "–"}
        width = max(len(row.name) for row in self.rows)
        verdict = "the setup is sane" if self else "the setup has a mistake"
        rows = (f"  {r.name:{width}}  {words[r.passed]:5}  {r.text}" for r in self.rows)
        return "\n".join([f"check_setup: {verdict}", *rows])

    __repr__ = __str__

    def raise_if_failed(self) -> None:
        """Raise GradcheckError with the report if a check has failed."""
        if not self:
            raise GradcheckError(str(self))


@public
def check_setup(
    model: Any, loss: Callable[[Any, Any], Any], data: tuple[Any, Any], *, penalty: Any = None
) -> SetupReport:
    """CS231n's sanity checks, before hours of training: model, weights and random numbers stay as they are.

        initial loss     about that of scores of 0 (ln C, C − 1), for losses of scores
        penalty          raises the loss
        gradients        agree with finite differences on a few rows
        overfitting      a few rows are learned by heart: the loss falls below a tenth
        movement         every parameter changes meanwhile

    Args:     as for lo.fit.
    Returns:  a report: bool(report), print(report), report.rows, report.raise_if_failed().
    Raises:   OptionError, ShapeError: as lo.fit.
    Source:   CS231n, "Learning: sanity checks and babysitting the learning process".
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.seed(0)
        >>> net = lo.nn.Sequential(lo.nn.Linear(2, 16), lo.nn.Tanh(), lo.nn.Linear(16, 2))
        >>> report = lo.training.check_setup(net, lo.losses.cross_entropy, lo.data.two_moons(100))
        >>> bool(report), [row.name for row in report.rows if row.passed]
        (True, ['initial loss', 'gradients', 'overfitting', 'movement'])
    """
    table = Rows("check_setup", data)
    task = Task("check_setup", model, loss, penalty, table)
    few = table.take(np.linspace(0, table.rows - 1, min(TINY, table.rows)).astype(int))
    with borrowed(task, few) as params:
        rows = [check_initial(task), check_penalty(task), check_gradients(task, few, params)]
        return SetupReport([*rows, *learned_by_heart(task, few, params)])


def check_initial(task: Task) -> SetupCheck:
    """Whether the first loss is about that of no knowledge."""
    target, prediction, loss = task.parts(task.table.take(slice(LOOKED_THROUGH)))
    problem = next(initial_loss(task, target, prediction, loss), None)
    return SetupCheck("initial loss", problem is None, problem or f"{float(as_arrays(loss)):.4g}")


def check_penalty(task: Task) -> SetupCheck:
    """Whether the penalty is positive."""
    if task.penalty is None:
        return SetupCheck("penalty", None, "there is none")
    with no_grad():
        value = float(as_arrays(task.penalty()))
    return SetupCheck("penalty", value > 0, f"adds {value:.4g} to the loss")


def check_gradients(task: Task, few: list[Any], params: list[Any]) -> SetupCheck:
    """Whether the engine's gradients agree with finite differences; float32 is too coarse for these."""
    if any(p.dtype != np.float64 for p in params):
        return SetupCheck("gradients", None, "checked in float64 only: finite differences need its digits")
    report = gradcheck(lambda: task.total(*few), params=params)
    return SetupCheck("gradients", bool(report), str(report).splitlines()[0])


def learned_by_heart(task: Task, few: list[Any], params: list[Any]) -> list[SetupCheck]:
    """Whether a few rows can be learned, and every parameter moves."""
    optimizer, losses, before = Adam(params, lr=OVERFIT_RATE), [math.nan], [p.value for p in params]
    try:
        for _ in range(MOST_STEPS):
            optimizer.zero_grad()
            loss = task.total(*few)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            if losses[-1] < BY_HEART * losses[1]:
                break
        still = [p for p, value in zip(params, before, strict=True) if np.array_equal(p.numpy(), value)]
        count = len(losses) - 1
        text = f"from {losses[1]:.4g} to {losses[-1]:.4g} in {count} steps of Adam on {len(few[0])} rows"
        learned = losses[-1] < BY_HEART * losses[1]
    except LoError as error:
        still, text, learned = [], f"{type(error).__name__}: {error}", False
    if not learned:
        text += "; a model that cannot learn a few rows by heart is too small, or gradients do not reach it"
    names = ", ".join(quoted(p, "a parameter") for p in still)
    moved = f"all {len(params)} parameters" if not still else f"{names} stayed as it was"
    return [SetupCheck("overfitting", learned, text), SetupCheck("movement", not still, moved)]


class RateRange:
    """The loss against a growing learning rate.

    Attributes:
        rates, losses: what was tried and what came of it, smoothed.
        suggestion: a rate to begin with.
    """

    def __init__(self, rates: list[float], losses: list[float], optimizer: Any) -> None:
        self.rates, self.losses, self.who = rates, losses, optimizer.__name__
        # Gradient descent bursts soon behind its best rate; rules that divide by the gradient's size do not.
        divisor = BELOW_ADAPTIVE if optimizer.squares else BELOW
        self.suggestion = rates[int(np.argmin(losses))] / divisor

    def __str__(self) -> str:
        rates, losses, least = self.rates, self.losses, min(self.losses)
        text = (
            f"learning_rate_range with {self.who}: try {self.suggestion:.2g}; the loss was {losses[0]:.4g} "
            f"at {rates[0]:.2g}, least at {rates[losses.index(least)]:.2g} ({least:.4g}), and "
            f"{losses[-1]:.4g} at {rates[-1]:.2g}"
        )
        return text if least < FELL * losses[0] else f"{text}; it hardly fell: there is little to go by"

    __repr__ = __str__

    def plot(self, path: Any = None) -> Path | Any:
        """Draw the loss against the rate; the path of the picture, or without one the matplotlib Figure."""
        figure, (axes,) = panels_of(1)
        axes.semilogx(self.rates, self.losses)
        axes.axvline(self.suggestion, color="gray", linestyle="--")
        axes.set(xlabel="learning rate", ylabel="loss", title=f"try {self.suggestion:.2g}")
        return saved(figure, path)


FELL = 0.9  # of the first loss, or the range says nothing
SMOOTH = 0.8  # of the mean so far stays at each step
BELOW, BELOW_ADAPTIVE = 2.0, 10.0  # measured: see the tests, which train over a grid
DIVERGED = 2.0  # times the largest loss of the first tenth


@public
def learning_rate_range(
    model: Any, loss: Callable[[Any, Any], Any], data: tuple[Any, Any], *, low: float = 1e-6,
    high: float = 1.0, steps: int = 100, optimizer: Any = SGD, batch_size: int = 32, rng: Any = None,
) -> RateRange:  # fmt: skip
    """Train a little with a rate that grows at each step, and see where the loss falls and where it bursts.

        lr(t) = low · (high / low)^(t / (steps − 1))

    Model, weights and random numbers are as before afterwards. The suggestion is for a whole training with
    the optimizer that was tried, whose other options are its defaults.

    Returns:  a report: report.suggestion, print(report), report.plot("rates.png").
    Raises:   OptionError: low >= high, steps < 10, optimizer is no class of lo.optim; ShapeError as lo.fit.
    Source:   Smith 2017, "Cyclical learning rates", section 3.3.
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.seed(0)
        >>> net = lo.nn.Sequential(lo.nn.Linear(2, 16), lo.nn.ReLU(), lo.nn.Linear(16, 2))
        >>> rates = lo.training.learning_rate_range(net, lo.losses.cross_entropy, lo.data.two_moons(200))
        >>> 0.01 < rates.suggestion < 1.0
        True
    """
    who = "learning_rate_range"
    table = Rows(who, data)
    task = Task(who, model, loss, None, table)
    start, end = number(who, "low", low, above=0.0), number(who, "high", high, above=0.0)
    count, size = whole(who, "steps", steps, 10), whole(who, "batch_size", batch_size)
    if start >= end:
        raise OptionError(f"{who}: low must be below high, got {low!r} and {high!r}")
    if not (inspect.isclass(optimizer) and issubclass(optimizer, Optimizer)):
        raise OptionError(f"{who}: optimizer must be a class of lo.optim, such as lo.optim.Adam")
    draw = generator(rng)
    rates, losses, mean = [], [], 0.0
    with borrowed(task, table.take(slice(size))) as params, suppress(NonFiniteError):  # then it has burst
        trial: Any = optimizer(params, lr=start)  # type: ignore[call-arg]
        for t, rate in enumerate(np.geomspace(start, end, count).tolist(), 1):
            trial.param_groups[0]["lr"] = rate
            trial.zero_grad()
            value = task.total(*table.take(draw.integers(table.rows, size=min(size, table.rows))))
            value.backward()
            mean = SMOOTH * mean + (1 - SMOOTH) * value.item()
            rates.append(rate)
            losses.append(mean / (1 - SMOOTH**t))
            if not losses[-1] < DIVERGED * max(losses[: count // 10]):
                break
            trial.step()
    return RateRange(rates, losses, optimizer)
