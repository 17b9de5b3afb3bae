"""Schedules in a row: SequentialLR."""

from __future__ import annotations

from typing import Any

from tinygrad_lo.errors import OptionError
from tinygrad_lo.optim.optimizer import Optimizer
from tinygrad_lo.optim.schedule import Schedule
from tinygrad_lo.optim.schedules import ReduceOnPlateau
from tinygrad_lo.options import public, whole


class SequentialLR(Schedule):
    """One schedule after the other, each for its number of steps; the last one goes on.

        lr(t) = lr of the first schedule at t                      for t < its steps
                lr of the second at t − (steps of the first)       after that, and so on

    Step this one, never the schedules in it. Each starts from the groups' own learning rates.

    Raises:   OptionError: no schedules, one of another optimizer, one that has stepped already or
              that needs the loss, steps that are no ints >= 1.
    Source:   torch.optim.lr_scheduler.SequentialLR, which takes milestones (the sums of our steps).
    Example:
        >>> import tinygrad_lo as lo
        >>> opt = lo.optim.SGD([lo.Parameter(1.0)], lr=0.8)
        >>> warmup, halve = lo.optim.WarmupLR(opt, 2), lo.optim.ExponentialLR(opt, 0.5)
        >>> schedule = lo.optim.SequentialLR(opt, [(warmup, 2), (halve, 3)])
        >>> for _ in range(5):
        ...     print(opt.param_groups[0]["lr"], end=" ")
        ...     schedule.step()
        0.4 0.8 0.8 0.4 0.2
    """

    @public
    def __init__(self, opt: Optimizer, schedules: Any) -> None:
        if not isinstance(schedules, (list, tuple)) or not schedules:
            raise OptionError(f"{self}: schedules must be a list of (schedule, steps), got {schedules!r}")
        self.schedules: list[Schedule] = []
        self.steps: list[int] = []
        for i, pair in enumerate(schedules):
            if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not isinstance(pair[0], Schedule):
                raise OptionError(f"{self}: entry {i} must be (schedule, steps), got {pair!r}")
            refuse_unfit(f"{self}: entry {i}, {pair[0]},", pair[0], opt)
            pair[0].meet()
            self.schedules.append(pair[0])
            self.steps.append(whole(str(self), f"steps of entry {i}", pair[1]))
        super().__init__(opt)

    def options(self) -> dict[str, Any]:
        """The steps of each schedule; the schedules themselves are its progress."""
        return {"steps": list(self.steps)}

    def lr(self, t: int, i: int) -> float:
        """The rate of the schedule whose turn it is."""
        schedule, began, _ = self.turn(t)
        return schedule.lr_of(t - began, i)

    def climb(self, t: int) -> int:
        """As long as that of the schedule whose turn it is, and on into a turn that begins higher."""
        while True:
            schedule, began, end = self.turn(t)
            top = began + schedule.climb(t - began)
            if end is None or top < end - 1:
                return top
            if self.total(end) <= self.total(end - 1):
                return end - 1
            t = end

    def turn(self, t: int) -> tuple[Schedule, int, int | None]:
        """The schedule that step t belongs to, the step at which its turn began and ends, if it does."""
        began = 0
        for schedule, steps in zip(self.schedules[:-1], self.steps, strict=False):
            if t < began + steps:
                return schedule, began, began + steps
            began += steps
        return self.schedules[-1], began, None

    def progress(self) -> dict[str, Any]:
        """The schedules hold the initial rates they start from."""
        return {"schedules": [schedule.state_dict() for schedule in self.schedules]}

    def check_state(self, state: Any) -> None:
        """The schedules as well."""
        super().check_state(state)
        inner, count = state["schedules"], len(self.schedules)
        if not isinstance(inner, list) or len(inner) != count:
            raise OptionError(f"{self}: schedules must be a list of {count} states, got {inner!r}")
        for schedule, its in zip(self.schedules, inner, strict=True):
            schedule.check_state(its)

    def take(self, state: dict[str, Any]) -> None:
        """The schedules as well."""
        super().take(state)
        for schedule, its in zip(self.schedules, state["schedules"], strict=True):
            schedule.take(its)

    def described(self) -> str:
        """The schedules and their steps."""
        pairs = zip(self.schedules, self.steps, strict=True)
        return f"{self}([{', '.join(f'({schedule.described()}, {steps})' for schedule, steps in pairs)}])"


def refuse_unfit(who: str, schedule: Schedule, opt: Optimizer) -> None:
    """Raise for a schedule that cannot be one of several."""
    if isinstance(schedule, ReduceOnPlateau):
        raise OptionError(f"{who} needs the loss at each step; step it alone")
    if schedule.optimizer is not opt:
        raise OptionError(f"{who} belongs to another optimizer")
    if schedule.t:
        raise OptionError(f"{who} is at step {schedule.t} already; use a new one")
