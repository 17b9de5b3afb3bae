"""lo.fit: the training loop."""

from __future__ import annotations

import importlib.util
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_lo.compiling.compile import compile
from tinygrad_lo.engine.graph import Array
from tinygrad_lo.engine.machine.caller import user_frame
from tinygrad_lo.engine.machine.random import generator
from tinygrad_lo.errors import GraphError, OptionError, StaleError, UnsupportedError
from tinygrad_lo.nn.base import Module
from tinygrad_lo.optim.clipping import clip_grad_norm, upper_bound
from tinygrad_lo.optim.optimizer import Optimizer, computed_now
from tinygrad_lo.optim.plateau import ReduceOnPlateau
from tinygrad_lo.optim.schedule import Schedule
from tinygrad_lo.options import choice, public, whole
from tinygrad_lo.training.history import EarlyStop, History
from tinygrad_lo.training.metrics import OWN_FIGURES, as_metrics, measure_of
from tinygrad_lo.training.symptoms import first_look, later_look, shared_rows, unusual_ratio, update_ratio
from tinygrad_lo.training.task import Rows, Task, Weights, held, predicted

LEARNED = 0.9  # second half of the first epoch beside the first: then small steps are no wonder
SETTLED = 10  # steps after which weights that began at 0 have a size
NOT_COMPILED = (GraphError, OptionError, StaleError, UnsupportedError)  # how a program says that it cannot be


@public
def fit(
    model: Any, loss: Callable[[Any, Any], Any], data: tuple[Any, Any], *, optimizer: Any, epochs: int,
    batch_size: int | None = 32, validation: tuple[Any, Any] | None = None,
    metrics: dict[str, Callable[[Any, Any], Any]] | None = None, penalty: Callable[..., Any] | None = None,
    schedule: Any = None, clip_norm: float | None = None, stop: EarlyStop | None = None,
    compiled: bool | str = "auto", progress: bool | str = "auto", rng: Any = None,
) -> History:  # fmt: skip
    """Train a model: epochs of shuffled mini-batches, each a whole step of the optimizer.

        for each epoch, for each batch (X, y) of shuffled rows:
            loss(model(X), y) + penalty()  →  gradients  →  clip  →  optimizer.step()

    Ctrl-C ends it after the last finished step and returns what there is. Rows are shuffled by `rng`
    exactly as by `lo.data.minibatches`. A model, optimizer, schedule and rng that were saved and loaded go
    on as if nothing had been, to the bit (without `stop`, which puts back earlier weights).

    It warns of what it sees: a parameter that the loss never reaches or that no group holds, relus that are
    dead, a first loss far above that of no knowledge, steps of an unusual size, validation rows among those
    of training.

    Args:     model is a module, or a function whose parameters the optimizer has. loss is a function of
              (prediction, target). data is (X, y); each may be a tuple of arrays: then model(*X), and the
              target is a tuple. epochs are those of this call. batch_size=None is all rows at once, not
              shuffled. validation is data to measure on after each epoch. metrics are functions of
              (prediction, target) as arrays, by name; scikit-learn's work as they are. penalty() or
              penalty(model) is added to the loss of each step. schedule steps once an epoch, and
              (schedule, "step") once a step; ReduceOnPlateau gets the validation loss, else the loss.
              compiled="auto" compiles the step where that works; history.compiled says why not.
              progress="auto" is a bar of tqdm in a terminal or notebook, else a line an epoch.
    Raises:   OptionError: an option of another kind.  ShapeError: inputs and targets of different lengths.
              What model, loss and optimizer raise, with a note that tells epoch and batch.
    Source:   the loop of lecture 000; CS231n, "Babysitting the learning process"; Keras's fit.
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.seed(0)
        >>> X, y = lo.data.two_moons(200, noise=0.1)
        >>> net = lo.nn.Sequential(lo.nn.Linear(2, 16), lo.nn.Tanh(), lo.nn.Linear(16, 2))
        >>> history = lo.fit(
        ...     net, lo.losses.cross_entropy, (X, y), optimizer=lo.optim.Adam(net, lr=0.05), epochs=30,
        ...     metrics={"accuracy": lo.training.accuracy}, progress=False,
        ... )
        >>> history["accuracy"][-1] > 0.95
        True
    """
    table = Rows("fit", data)
    task = Task("fit", model, loss, penalty, table)
    if not isinstance(optimizer, Optimizer):
        hint = ": make it first, e.g. lo.optim.Adam(model)" if isinstance(optimizer, (type, str)) else ""
        raise OptionError(f"fit: optimizer must be one of lo.optim, got {optimizer!r}{hint}")
    if stop is not None and not isinstance(stop, EarlyStop):
        raise OptionError(f"fit: stop must be an lo.training.EarlyStop, got {type(stop).__name__}")
    checked = None if validation is None else Rows("fit: validation", validation)
    if clip_norm is not None:
        clip_norm = upper_bound("fit", "clip_norm", clip_norm)
    run = Run(
        TrainingStep(task, optimizer, clip_norm, choice("fit", "compiled", compiled, (True, False, "auto"))),
        None if batch_size is None else whole("fit", "batch_size", batch_size),
        checked, as_metrics("fit", metrics), as_timed(schedule), stop, rng,
    )  # fmt: skip
    count = whole("fit", "epochs", epochs)
    shows = choice("fit", "progress", progress, (True, False, "auto"))
    with reported(count, shows) as report:
        return run.train(count, report)


class TrainingStep:
    """One training step on a batch: as one program where that works, else on the engine.

    Attributes:
        why: True while it is compiled, or why it is not.
    """

    def __init__(self, task: Task, optimizer: Optimizer, clip_norm: Any, compiled: bool | str) -> None:
        self.task, self.optimizer, self.clip_norm = task, optimizer, clip_norm
        self.must = compiled is True
        self.why: bool | str = compiled is not False or "compiled=False"
        self.program = compile(task.total, optimizer=optimizer, clip_norm=clip_norm)
        self.begun = False
        if task.table.lazy and self.why is True:
            kind = next(type(x).__module__ for x in task.table.columns if type(x) is not np.ndarray)
            self.refuse(UnsupportedError(f"the data are {kind} arrays, and programs run on NumPy arrays"))

    def refuse(self, error: Exception) -> None:
        """Go on without a program, unless it was asked for."""
        if self.must:
            raise error
        self.why = str(error)

    def run(self, batch: list[Any]) -> float:
        """Step on a batch; its loss."""
        if self.why is True:
            before = None if self.begun else Weights(self.task.model, held(self.optimizer))
            self.begun = True
            try:
                return float(self.program(*batch))
            except NOT_COMPILED as error:
                self.refuse(error)
            if before is not None:  # later, a program that gives up has changed nothing
                before.restore()
        return self.on_engine(batch)

    def on_engine(self, batch: list[Any]) -> float:
        """zero_grad, loss, backward, clip, step; lazy data is computed once."""
        loss = self.task.loss_of(batch)
        self.optimizer.zero_grad()
        loss.backward()
        params = held(self.optimizer)
        if self.task.table.lazy:
            computed_now("fit", [loss], [p for p in params if p.arrived is not None])
        if self.clip_norm is not None:
            clip_grad_norm(params, self.clip_norm)
        self.optimizer.step()
        return float(loss.value)


class Run:
    """The epochs of one call."""

    def __init__(
        self, step: TrainingStep, size: int | None, validation: Rows | None, metrics: Any,
        schedule: tuple[Schedule | None, str], stop: EarlyStop | None, rng: Any,
    ) -> None:  # fmt: skip
        self.step, self.size, self.validation, self.metrics = step, size, validation, metrics
        self.task, self.table, self.optimizer = step.task, step.task.table, step.optimizer
        self.schedule, self.every = schedule
        self.stop, self.rng = stop, generator(rng)
        names = ["loss", *metrics]
        if validation is not None:
            names += [f"validation {name}" for name in names]
        self.history = History([*names, *OWN_FIGURES[1:]])
        if stop is not None:
            stop.begin(self.history)

    def train(self, epochs: int, report: Callable[[History], None]) -> History:
        """All epochs; then the best weights, if asked for, and a last look."""
        history, model, stop = self.history, self.task.model, self.stop
        was = model.training if isinstance(model, Module) else None
        self.warn(first_look(self.task, self.optimizer))
        if self.validation is not None:
            self.warn(shared_rows(self.table, self.validation))
        try:
            for _ in range(epochs):
                self.epoch()
                report(history)
                if stop is not None and stop.is_enough(history, model, held(self.optimizer)):
                    break
        except KeyboardInterrupt:
            history.stopped = f"interrupted in epoch {history.epochs + 1}"
        finally:
            history.compiled = self.step.why
            if was is not None:
                model.train(was)
        if stop is not None:
            stop.put_back(history)
        self.warn(later_look(self.task, history["loss"]))
        return history

    def epoch(self) -> None:
        """One pass over the rows, then the figures."""
        began = time.perf_counter()
        if isinstance(self.task.model, Module):
            self.task.model.train()
        params = held(self.optimizer)
        total, losses = 0.0, list[float]()
        for batch in self.batches():
            before, rate = [p.value for p in params], self.optimizer.param_groups[0]["lr"]
            try:
                loss = self.step.run(batch)
            except Exception as error:
                where = f"epoch {self.history.epochs + 1}, batch {len(losses) + 1}, lr {rate:g}"
                error.add_note(f"(in fit, {where})")
                raise
            total += loss * len(batch[0])
            losses.append(loss)
            if self.every == "step" and self.schedule is not None:
                self.schedule.step()
        figures = {"loss": total / self.table.rows, "learning rate": rate, **self.measures(params, before)}
        self.history.add({**figures, "seconds": time.perf_counter() - began})
        if self.history.epochs == 1 and len(losses) > SETTLED:
            half = len(losses) // 2
            learned = sum(losses[-half:]) < LEARNED * sum(losses[:half])
            self.warn(unusual_ratio(figures["update ratio"], learned=learned))
        if self.every == "epoch" and self.schedule is not None:
            watched = figures.get("validation loss", figures["loss"])
            self.schedule.step(*[watched] if isinstance(self.schedule, ReduceOnPlateau) else [])

    def batches(self) -> Iterator[list[Any]]:
        """The rows of an epoch, as lo.data.minibatches shuffles them; or all at once."""
        if self.size is None:
            yield self.table.columns
            return
        order = self.rng.permutation(self.table.rows)
        for place in range(0, self.table.rows, self.size):
            yield self.table.take(order[place : place + self.size])

    def measures(self, params: list[Any], before: list[Array]) -> dict[str, float]:
        """The figures of an epoch beside its loss."""
        figures = {
            "gradient norm": clip_grad_norm([p for p in params if p.arrived is not None], math.inf),
            "update ratio": update_ratio(params, before),
        }
        if self.metrics:
            target, prediction, _ = predicted(self.task, self.table.columns)
            figures |= {
                name: measure_of(name, metric, prediction, target) for name, metric in self.metrics.items()
            }
        if self.validation is not None:
            columns = self.validation.columns
            target, prediction, loss = predicted(self.task, columns, loss_only=not self.metrics)
            figures["validation loss"] = loss
            for name, metric in self.metrics.items():
                figures[f"validation {name}"] = measure_of(name, metric, prediction, target)
        return figures

    def warn(self, sentences: Iterable[str]) -> None:
        """Warn at the line that called fit, and keep it in the history."""
        for sentence in sentences:
            if sentence not in self.history.warnings:
                self.history.warnings.append(sentence)
                frame, text = user_frame(), f"fit: {sentence}"
                warnings.warn_explicit(text, UserWarning, frame.f_code.co_filename, frame.f_lineno)


def as_timed(schedule: Any) -> tuple[Schedule | None, str]:
    """A schedule, and whether it steps every epoch or every step."""
    schedule, every = schedule if isinstance(schedule, tuple) and len(schedule) == 2 else (schedule, "epoch")
    if schedule is not None and not isinstance(schedule, Schedule):
        got = type(schedule).__name__
        raise OptionError(f'fit: schedule must be one of lo.optim, or (schedule, "step"), got {got}')
    every = choice("fit", "schedule's second part", every, ("epoch", "step"))
    if every == "step" and isinstance(schedule, ReduceOnPlateau):
        raise OptionError("fit: ReduceOnPlateau watches the loss of epochs; pass it alone")
    return schedule, every


@contextmanager
def reported(epochs: int, progress: bool | str) -> Iterator[Callable[[History], None]]:
    """What shows the progress: a bar where somebody watches, else a line for each epoch, or nothing."""
    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    if progress == "auto" and watched and importlib.util.find_spec("tqdm"):
        from tqdm.auto import tqdm

        with tqdm(total=epochs, unit="epoch") as bar:

            def show(history: History) -> None:
                bar.set_postfix_str(history.line(epochs).partition("  ")[2], refresh=False)
                bar.update()

            yield show
    else:
        yield lambda history: print(history.line(epochs)) if progress else None
