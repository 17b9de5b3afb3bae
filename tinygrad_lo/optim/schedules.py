"""Learning rates that change with the step: each schedule is its formula lr(t)."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from numpy import ndarray

from tinygrad_lo.errors import OptionError
from tinygrad_lo.optim.optimizer import Optimizer
from tinygrad_lo.optim.plateau import ReduceOnPlateau, above
from tinygrad_lo.optim.schedule import Schedule
from tinygrad_lo.options import is_whole, number, public, whole

# OneCycleLR: the share of the steps that rise, and last rate / first rate; as PyTorch's defaults.
RISING = 0.3
LAST = 1e-4


def glide(start: float, end: float, fraction: float) -> float:
    """From start (fraction 0) to end (fraction 1) on half a cosine, exact at both."""
    c = (1.0 + math.cos(math.pi * fraction)) / 2.0
    return start * c + end * (1.0 - c)


class StepLR(Schedule):
    """Multiply the learning rate by `factor` every so many steps: a staircase.

        lr(t) = lr₀ · factor^⌊t / every⌋

    Raises:   OptionError: every is not an int >= 1, factor is not finite or not > 0.
    Source:   the step decay of the field; torch.optim.lr_scheduler.StepLR (step_size, gamma).
    Example:
        >>> import tinygrad_lo as lo
        >>> schedule = lo.optim.StepLR(lo.optim.SGD(lo.Parameter(1.0), lr=0.8), every=2, factor=0.5)
        >>> [schedule.lr(t, 0) for t in range(5)]
        [0.8, 0.8, 0.4, 0.4, 0.2]
    """

    @public
    def __init__(self, opt: Optimizer, every: int, factor: float = 0.1) -> None:
        self.every = whole("StepLR", "every", every)
        self.factor = number("StepLR", "factor", factor, above=0.0)
        super().__init__(opt)

    def lr(self, t: int, i: int) -> float:
        return self.initial[i] * self.factor ** (t // self.every)


def rising(who: str, name: str, values: Any) -> list[int]:
    """A list of steps, one after the other."""
    if isinstance(values, (list, tuple, ndarray)) and len(values) and all(map(is_whole, values)):
        steps = list(map(int, values))
        if all(a < b for a, b in itertools.pairwise([0, *steps])):
            return steps
    raise OptionError(f"{who}: {name} must be a rising list of ints >= 1, got {values!r}")


class MultiStepLR(Schedule):
    """Multiply the learning rate by `factor` at the given steps.

        lr(t) = lr₀ · factor^(number of entries of `at` that are <= t)

    Raises:   OptionError: at is not a rising list of ints >= 1, factor is not finite or not > 0.
    Source:   torch.optim.lr_scheduler.MultiStepLR (milestones, gamma).
    Example:
        >>> import tinygrad_lo as lo
        >>> schedule = lo.optim.MultiStepLR(lo.optim.SGD(lo.Parameter(1.0), lr=0.8), at=[1, 3], factor=0.5)
        >>> [schedule.lr(t, 0) for t in range(4)]
        [0.8, 0.4, 0.4, 0.2]
    """

    @public
    def __init__(self, opt: Optimizer, at: Any, factor: float = 0.1) -> None:
        self.at = rising("MultiStepLR", "at", at)
        self.factor = number("MultiStepLR", "factor", factor, above=0.0)
        super().__init__(opt)

    def lr(self, t: int, i: int) -> float:
        return self.initial[i] * self.factor ** bisect_right(self.at, t)

    def end_of_rise(self, t: int) -> int:
        """With a factor above 1, until the last multiplication."""
        return max(t, self.at[-1])


class ExponentialLR(Schedule):
    """Multiply the learning rate by `factor` at every step; with factor > 1 it grows.

        lr(t) = lr₀ · factor^t

    Raises:   OptionError: factor is not finite or not > 0; the rate has outgrown the floats.
    Source:   torch.optim.lr_scheduler.ExponentialLR (gamma).
    Example:
        >>> import tinygrad_lo as lo
        >>> schedule = lo.optim.ExponentialLR(lo.optim.SGD(lo.Parameter(1.0), lr=0.8), factor=0.5)
        >>> schedule.step()
        >>> schedule
        ExponentialLR(factor=0.5), step 1, lr 0.4
    """

    @public
    def __init__(self, opt: Optimizer, factor: float) -> None:
        self.factor = number("ExponentialLR", "factor", factor, above=0.0)
        super().__init__(opt)

    def lr(self, t: int, i: int) -> float:
        return self.initial[i] * self.factor**t


class InverseLR(Schedule):
    """Let the learning rate fall like 1/t: quickly at first, never to 0.

        lr(t) = lr₀ / (1 + rate · t)

    Raises:   OptionError: rate is not finite or < 0.
    Source:   Keras' InverseTimeDecay; meets the conditions of Robbins and Monro 1951 (Σ lr = ∞, Σ lr² < ∞).
    Example:
        >>> import tinygrad_lo as lo
        >>> schedule = lo.optim.InverseLR(lo.optim.SGD(lo.Parameter(1.0), lr=1.0), rate=1.0)
        >>> [schedule.lr(t, 0) for t in (0, 1, 3)]
        [1.0, 0.5, 0.25]
    """

    @public
    def __init__(self, opt: Optimizer, rate: float) -> None:
        self.rate = number("InverseLR", "rate", rate, at_least=0.0)
        super().__init__(opt)

    def lr(self, t: int, i: int) -> float:
        return self.initial[i] / (1.0 + self.rate * t)


class CosineLR(Schedule):
    """Let the learning rate glide down to `minimum` on half a cosine, and stay there.

        lr(t) = minimum + (lr₀ − minimum) · (1 + cos(π t / steps)) / 2     for t <= steps

    Raises:   OptionError: steps is not an int >= 1; minimum is not finite, < 0, or above a group's lr.
    Source:   Loshchilov and Hutter 2017, eq. 5. PyTorch's CosineAnnealingLR climbs again after `steps`.
    Example:
        >>> import tinygrad_lo as lo
        >>> schedule = lo.optim.CosineLR(lo.optim.SGD(lo.Parameter(1.0), lr=0.8), steps=2)
        >>> [round(schedule.lr(t, 0), 12) for t in range(4)]
        [0.8, 0.4, 0.0, 0.0]
    """

    @public
    def __init__(self, opt: Optimizer, steps: int, minimum: float = 0.0) -> None:
        self.steps = whole("CosineLR", "steps", steps)
        self.minimum = number("CosineLR", "minimum", minimum, at_least=0.0)
        super().__init__(opt)

    def _check_initial(self) -> None:
        above(self.minimum, self)

    def lr(self, t: int, i: int) -> float:
        return glide(self.initial[i], self.minimum, min(t / self.steps, 1.0))


class WarmupLR(Schedule):
    """Raise the learning rate in equal steps from near 0 to the group's own, and stay there.

        lr(t) = lr₀ · min(1, (t + 1) / steps)

    Raises:   OptionError: steps is not an int >= 1.
    Source:   Goyal et al. 2017, gradual warm-up. PyTorch: LinearLR(opt, 1 / steps, total_iters=steps − 1).
    Example:
        >>> import tinygrad_lo as lo
        >>> schedule = lo.optim.WarmupLR(lo.optim.SGD(lo.Parameter(1.0), lr=0.8), steps=4)
        >>> [round(schedule.lr(t, 0), 12) for t in range(5)]
        [0.2, 0.4, 0.6, 0.8, 0.8]
    """

    @public
    def __init__(self, opt: Optimizer, steps: int) -> None:
        self.steps = whole("WarmupLR", "steps", steps)
        super().__init__(opt)

    def lr(self, t: int, i: int) -> float:
        return self.initial[i] * min(1.0, (t + 1) / self.steps)

    def end_of_rise(self, t: int) -> int:
        """Until the first full step."""
        return max(t, self.steps - 1)


class OneCycleLR(Schedule):
    """One cycle: up from the group's learning rate to `peak`, then down to nearly nothing.

        lr₀ to peak        on half a cosine, until t = 0.3 steps − 1
        peak to lr₀ / 10⁴  on half a cosine, until t = steps − 1; there it stays

    `peak` is one number, or a list with one for each group. The momentum stays as it is.

    Raises:   OptionError: steps is not an int >= 1; a peak is not finite, below its group's lr, or
              missing for a group.
    Source:   Smith and Topin 2018. PyTorch's OneCycleLR starts from peak / 25 instead of the group's
              lr, and moves the momentum unless cycle_momentum=False.
    Example:
        >>> import tinygrad_lo as lo
        >>> schedule = lo.optim.OneCycleLR(lo.optim.SGD(lo.Parameter(1.0), lr=0.1), peak=0.5, steps=10)
        >>> [round(schedule.lr(t, 0), 12) for t in range(3)]
        [0.1, 0.3, 0.5]
    """

    @public
    def __init__(self, opt: Optimizer, peak: Any, steps: int) -> None:
        self.steps = whole("OneCycleLR", "steps", steps)
        self.peak: Any = (
            [number("OneCycleLR", f"peak of group {i}", x, above=0.0) for i, x in enumerate(peak)]
            if isinstance(peak, (list, tuple, ndarray))
            else number("OneCycleLR", "peak", peak, above=0.0)
        )
        super().__init__(opt)

    def peak_of(self, i: int) -> float:
        """The highest lr of group i."""
        return float(self.peak[i] if isinstance(self.peak, list) else self.peak)

    def _check_initial(self) -> None:
        groups = len(self.initial)
        if isinstance(self.peak, list) and len(self.peak) != groups:
            raise OptionError(f"{self}: {len(self.peak)} peaks for {groups} groups; give one number for all")
        for i, lr in enumerate(self.initial):
            if self.peak_of(i) < lr:
                raise OptionError(f"{self}: peak {self.peak_of(i)!r} is below the lr {lr!r} of group {i}")

    def lr(self, t: int, i: int) -> float:
        top, end = RISING * self.steps - 1, self.steps - 1
        lr, peak = self.initial[i], self.peak_of(i)
        if t <= top:
            return glide(lr, peak, t / top)
        return glide(peak, lr * LAST, min((t - top) / (end - top), 1.0))

    def end_of_rise(self, t: int) -> int:
        """Until the highest step."""
        top = RISING * self.steps - 1
        return max(t, max(math.floor(top), math.ceil(top), key=self._sum_of_rates))


class LambdaLR(Schedule):
    """Multiply the learning rate by a function of the step.

        lr(t) = lr₀ · factor(t)

    `factor` is one function, or a list with one for each group. It is no part of a saved state: load into a
    schedule that was made with the same one.

    Raises:   OptionError: factor is no function, is missing for a group, or gives no finite number >= 0.
    Source:   torch.optim.lr_scheduler.LambdaLR.
    Example:
        >>> import tinygrad_lo as lo
        >>> schedule = lo.optim.LambdaLR(lo.optim.SGD(lo.Parameter(1.0), lr=0.8), lambda t: 1 / (1 + t))
        >>> [schedule.lr(t, 0) for t in (0, 1, 3)]
        [0.8, 0.4, 0.2]
    """

    @public
    def __init__(
        self, opt: Optimizer, factor: Callable[[int], float] | Sequence[Callable[[int], float]]
    ) -> None:
        self.factors = list(factor) if isinstance(factor, (list, tuple)) else [factor]
        if not all(map(callable, self.factors)):
            raise OptionError(f"LambdaLR: factor must be a function of the step, or a list, got {factor!r}")
        self.factor = factor
        super().__init__(opt)

    def _check_initial(self) -> None:
        if not callable(self.factor) and len(self.factors) != (groups := len(self.initial)):
            raise OptionError(f"{self}: {len(self.factors)} factors for {groups} groups; give one for all")

    def lr(self, t: int, i: int) -> float:
        factor: Any = self.factors[i % len(self.factors)]
        return self.initial[i] * number("LambdaLR", f"factor({t})", factor(t), at_least=0.0)

    def options(self) -> dict[str, Any]:
        """None that can be saved."""
        return {}


class SequentialLR(Schedule):
    """One schedule after the other, each for its number of steps; the last one goes on.

        lr(t) = lr of the first schedule at t                      for t < its steps
                lr of the second at t − (steps of the first)       after that, and so on

    One of 0 steps before the last is left out. Step this one, never the schedules in it. Each starts from
    the groups' own learning rates.

    Raises:   OptionError: there are no schedules, one is of another optimizer, has stepped already or needs
              the loss; steps are not ints >= 0.
    Source:   torch.optim.lr_scheduler.SequentialLR, which takes milestones (the sums of our steps).
    Example:
        >>> import tinygrad_lo as lo
        >>> opt = lo.optim.SGD(lo.Parameter(1.0), lr=0.8)
        >>> warmup, halve = lo.optim.WarmupLR(opt, 2), lo.optim.ExponentialLR(opt, 0.5)
        >>> schedule = lo.optim.SequentialLR(opt, [(warmup, 2), (halve, 3)])
        >>> [schedule.lr(t, 0) for t in range(5)]
        [0.4, 0.8, 0.8, 0.4, 0.2]
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
            schedule, who = pair[0], f"{self}: entry {i}, {pair[0]},"
            if isinstance(schedule, ReduceOnPlateau):
                raise OptionError(f"{who} needs the loss at each step; step it alone")
            if schedule.optimizer is not opt:
                raise OptionError(f"{who} belongs to another optimizer")
            if schedule.t:
                raise OptionError(f"{who} is at step {schedule.t} already; use a new one")
            schedule.take_new_groups()
            self.schedules.append(schedule)
            self.steps.append(whole(str(self), f"steps of entry {i}", pair[1], 0))
        super().__init__(opt)

    def options(self) -> dict[str, Any]:
        """The steps of each schedule; the schedules themselves are its progress."""
        return {"steps": list(self.steps)}

    def lr(self, t: int, i: int) -> float:
        """The rate of the schedule whose turn it is."""
        schedule, start, _ = self.turn(t)
        return schedule.lr_of_group(t - start, i)

    def end_of_rise(self, t: int) -> int:
        """As long as that of the schedule whose turn it is, and on into a turn that begins higher."""
        while True:
            schedule, start, end = self.turn(t)
            top = start + schedule.end_of_rise(t - start)
            if end is None or top < end - 1:
                return top
            if self._sum_of_rates(end) <= self._sum_of_rates(end - 1):
                return end - 1
            t = end

    def turn(self, t: int) -> tuple[Schedule, int, int | None]:
        """The schedule that step t belongs to, the step at which its turn began and ends, if it does."""
        start = 0
        for schedule, steps in zip(self.schedules[:-1], self.steps, strict=False):
            if t < start + steps:
                return schedule, start, start + steps
            start += steps
        return self.schedules[-1], start, None

    def _progress(self) -> dict[str, Any]:
        """The schedules hold the initial rates they start from."""
        return {"schedules": [schedule.state_dict() for schedule in self.schedules]}

    def read_state(self, state: dict[str, Any]) -> None:
        super().read_state(state)
        inner, count = state["schedules"], len(self.schedules)
        if not isinstance(inner, list) or len(inner) != count:
            raise OptionError(f"{self}: schedules must be a list of {count} states, got {inner!r}")
        for schedule, its in zip(self.schedules, inner, strict=True):
            schedule.read_state(its)

    def as_call(self) -> str:
        """The schedules and their steps."""
        pairs = zip(self.schedules, self.steps, strict=True)
        return f"{self}([{', '.join(f'({schedule.as_call()}, {steps})' for schedule, steps in pairs)}])"
