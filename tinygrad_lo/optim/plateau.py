"""A schedule that watches the loss."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_lo.errors import NonFiniteError, OptionError
from tinygrad_lo.optim.optimizer import Optimizer
from tinygrad_lo.optim.schedule import Schedule, loss_as_float
from tinygrad_lo.options import choice, number, public, whole


def above(minimum: float, schedule: Schedule) -> None:
    """Raise for a group that begins below the minimum."""
    for i, lr in enumerate(schedule.initial):
        if minimum > lr:
            raise OptionError(f"{schedule}: minimum {minimum!r} is above the lr {lr!r} of group {i}")


class ReduceOnPlateau(Schedule):
    """Multiply the learning rate by `factor` when the loss has not improved for a while.

        better:    loss < best − threshold · |best|          (mode "max": loss > best + threshold · |best|)
        lr = max(minimum, lr₀ · factor^cuts)
        one cut at the (patience + 1)th step in a row that is not better; the `cooldown` steps after a cut
        do not count

    Call `step(loss)` with the loss of an epoch, of validation data for choice; with mode "max", with a
    figure of which more is better.

    Raises:   OptionError: factor is outside (0, 1), patience or cooldown is not an int >= 0, threshold
              outside [0, 1], minimum above a group's lr, another mode.  NonFiniteError: a loss is nan or inf.
    Source:   torch.optim.lr_scheduler.ReduceLROnPlateau, whose threshold is wrong for losses below 0.
    Example:
        >>> import tinygrad_lo as lo
        >>> opt = lo.optim.SGD(lo.Parameter(1.0), lr=0.8)
        >>> schedule = lo.optim.ReduceOnPlateau(opt, factor=0.5, patience=1)
        >>> for loss in (3.0, 2.0, 2.0, 2.0):
        ...     schedule.step(loss)
        ...     print(opt.param_groups[0]["lr"], end=" ")
        0.8 0.8 0.8 0.4
    """

    @public
    def __init__(
        self, opt: Optimizer, factor: float = 0.1, patience: int = 10, *, threshold: float = 1e-4,
        minimum: float = 0.0, cooldown: int = 0, mode: str = "min",
    ) -> None:  # fmt: skip
        who = "ReduceOnPlateau"
        self.factor = number(who, "factor", factor, above=0.0, below=1.0)
        self.patience = whole(who, "patience", patience, 0)
        self.cooldown = whole(who, "cooldown", cooldown, 0)
        self.threshold = number(who, "threshold", threshold, at_least=0.0, at_most=1.0)
        self.minimum = number(who, "minimum", minimum, at_least=0.0)
        self.mode = choice(who, "mode", mode, ("min", "max"))
        self.best: float | None = None
        self.bad = 0  # steps in a row without a better loss
        self.cuts = 0
        self.waits = 0  # steps that do not count yet
        super().__init__(opt)

    def _check_initial(self) -> None:
        above(self.minimum, self)

    def lr(self, _: int, i: int) -> float:
        return max(self.minimum, self.initial[i] * self.factor**self.cuts)

    def lr_of_group(self, t: int, i: int) -> float:
        """Of a group that joined later too not below the minimum, unless it began there."""
        begun = [*self.initial, *(lr for lr, _ in self.joined)]
        return max(min(self.minimum, begun[i]), super().lr_of_group(t, i))

    def is_better(self, value: float) -> bool:
        """Whether this is better than the best by more than the threshold."""
        if self.best is None:
            return True
        sign = 1.0 if self.mode == "min" else -1.0
        return sign * value < sign * self.best - self.threshold * abs(self.best)

    def step(self, loss: Any) -> None:  # type: ignore[override]
        """Take note of a loss, and cut the learning rates if it was one too many without progress.

        Raises:   NonFiniteError: the loss is nan or inf.  ShapeError: it is not one number.
        """
        value = loss_as_float("ReduceOnPlateau", loss)
        if not math.isfinite(value):
            raise NonFiniteError(f"{self}: the loss of step {self.t} is {value}; nothing was changed")
        self._refuse_foreign_rates()
        self.bad += 1
        if self.is_better(value):
            self.best, self.bad = value, 0
        if self.waits:
            self.waits, self.bad = self.waits - 1, 0
        if self.bad > self.patience:
            self.cuts, self.bad, self.waits = self.cuts + 1, 0, self.cooldown
        super().step()

    def _progress(self) -> dict[str, Any]:
        """What it remembers of the losses; best is None before the first."""
        return {"best": self.best, "bad": self.bad, "cuts": self.cuts, "waits": self.waits}

    def read_state(self, state: dict[str, Any]) -> None:
        super().read_state(state)
        counts = (whole(str(self), name, state[name], 0) for name in ("bad", "cuts", "waits"))
        self.bad, self.cuts, self.waits = counts
        self.best = None if state["best"] is None else number(str(self), "best", state["best"])
