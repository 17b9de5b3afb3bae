"""Schedule: the step, the initial learning rates, and the state that all schedules share."""

from __future__ import annotations

import math
import warnings
from copy import copy
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn
from weakref import ref

import numpy as np

from tinygrad_lo.engine.graph import Node
from tinygrad_lo.errors import DTypeError, OptionError, ShapeError
from tinygrad_lo.names import differences
from tinygrad_lo.optim.groups import ParamGroup, options_of
from tinygrad_lo.optim.optimizer import LastSet, Optimizer, last_set
from tinygrad_lo.optim.saved import nothing_changed
from tinygrad_lo.options import missing, number, pair, whole


def loss_as_float(who: str, loss: Any) -> float:
    """A loss, tensor or number, as a Python float; it may be inf or nan."""
    value = np.asarray(loss.value if isinstance(loss, Node) else loss)
    if value.dtype.kind not in "fiu":
        raise DTypeError(f"{who}: the loss must be a number, got {loss!r}")
    if value.size != 1:
        cure = "reduce it, e.g. loss.mean()"
        raise ShapeError(f"{who}: the loss must be one number, got shape {value.shape}; {cure}")
    return float(value.item())


class Schedule:
    """What all schedules share: the step t, the initial rate of each group, and the state.

    lr₀ is a group's learning rate when the schedule is made, which sets that of t = 0. t counts the calls of
    `step()`: one after each step of the optimizer, or after each epoch. `lr(t, i)` is the rate of group i.
    A group that joins the optimizer later keeps the rate that it was given, and from there changes in
    proportion to the groups that were there from the start (to their sum, where they differ).
    """

    option_names: ClassVar[tuple[str, ...]] = ()  # those of the signature

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        names = tuple(options_of(cls))
        if {*names} >= {*cls.option_names}:  # else a subclass that decides some of its parent's
            cls.option_names = names
        shared = cleandoc(Schedule.__doc__ or "").partition("\n\n")[2]
        cls.__doc__ = cleandoc(cls.__doc__ or "").replace("\n\nRaises:", f"\n\n{shared}\n\nRaises:")

    def __init__(self, opt: Optimizer) -> None:
        if not isinstance(opt, Optimizer):
            raise OptionError(f"{self}: opt must be an optimizer, got {type(opt).__name__}")
        self.optimizer = opt
        self.t = 0
        # A warm-up sets a small lr at once; a schedule made next to it must still find the user's.
        begun = last_set[opt].begun if opt in last_set else []
        self.initial: list[float] = [group["lr"] for group in opt.param_groups]
        for i, (lr_set, lr_found) in enumerate(begun):
            if self.initial[i] == lr_set:
                self.initial[i] = lr_found
        self.joined: list[tuple[float, float]] = []  # of each later group, its rate and the others' sum then
        self._check_initial()
        self._assign(self._rates(0))
        last_set[opt] = LastSet(ref(self), list(zip(self.last, self.initial, strict=True)))

    def lr(self, t: int, i: int) -> float:
        """The learning rate of group i, one of the first, at step t."""
        raise NotImplementedError

    def end_of_rise(self, t: int) -> int:
        """The step at which the rise of the rates that step t is in will end; t where they do not rise."""
        return t

    def lr_of_group(self, t: int, i: int) -> float:
        """The learning rate of any group at step t."""
        if i < len(self.initial):
            return self.lr(t, i)
        lr, total_then = self.joined[i - len(self.initial)]
        return lr * (self._sum_of_rates(t) / total_then) if total_then else lr

    def _sum_of_rates(self, t: int) -> float:
        """The rates of the first groups at step t, added up."""
        return math.fsum(self.lr(t, i) for i in range(len(self.initial)))

    def options(self) -> dict[str, Any]:
        """The options it was made with."""
        return {name: copy(getattr(self, name)) for name in self.option_names}

    def _check_initial(self) -> None:
        """Raise for initial rates that the options do not go with."""

    def step(self) -> None:
        """Go on by one step and set the learning rate of every group.

        Raises:   OptionError: a rate was changed by hand or by another schedule, or is not finite any more.
        """
        self._refuse_foreign_rates()
        rates = self._rates(self.t + 1)
        self.t += 1
        self._assign(rates)

    def _refuse_foreign_rates(self) -> None:
        """Meet new groups, and refuse to overwrite what somebody else has set."""
        for i, (group, mine) in enumerate(zip(self.optimizer.param_groups, self.last, strict=False)):
            # Not ==: a checkpoint may come from a machine whose cosine rounds differently.
            if not math.isclose(group["lr"], mine, rel_tol=1e-9):
                raise OptionError(
                    f"{self}: group {i} has lr {group['lr']!r}, but this schedule set {mine!r}; it was "
                    f"changed by hand or by another schedule. Make a new schedule from here, or join them "
                    f"with SequentialLR"
                )
        self.take_new_groups()

    def take_new_groups(self) -> None:
        """Take up the groups that have joined the optimizer, with the rates that they have now."""
        for group in self.optimizer.param_groups[len(self.last) :]:
            self.joined.append((group["lr"], self._sum_of_rates(self.t)))
            self.last.append(group["lr"])

    def warn_if_rising(self, group: ParamGroup) -> None:
        """Say what will become of a group that joins while the rates rise: hardly what was meant."""
        now = self._sum_of_rates(self.t)
        growth = self._sum_of_rates(self.end_of_rise(self.t)) / now if now else 1.0
        if growth > 1.0:
            lr = group["lr"]
            warnings.warn(
                f"{self}: group {group.number} joins with lr {lr:g} while the rates still rise; with them it "
                f"will reach {lr * growth:g}. To reach {lr:g}, add it with lr {lr / growth:g}",
                stacklevel=3,
            )

    def _rates(self, t: int) -> list[float]:
        rates = []
        for i in range(len(self.initial) + len(self.joined)):
            try:
                lr = self.lr_of_group(t, i)
            except OverflowError:  # Python's floats raise where NumPy's become inf
                lr = math.inf
            if not lr < math.inf:
                raise OptionError(f"{self}: at step {t} the lr of group {i} is not finite any more")
            rates.append(lr)
        return rates

    def _assign(self, rates: list[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = lr
        self.last = rates
        last_set[self.optimizer] = LastSet(ref(self), [])

    def state_dict(self) -> dict[str, Any]:
        """Where it stands, as numbers that fit into JSON."""
        self.take_new_groups()
        joined = list(map(list, self.joined))
        standing = {"class": str(self), "t": self.t, "initial": list(self.initial), "joined": joined}
        return {**standing, **self.options(), **self._progress()}

    def _progress(self) -> dict[str, Any]:
        """What changes with the steps, besides t."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to where a schedule with the same options stood, and set its learning rates.

        Raises:   CheckpointError: the state of another class, with other options or groups, or with
                  impossible numbers; nothing was changed.
        """
        before = self.state_dict()
        try:
            with nothing_changed(f"{self}: this is no state of a schedule"):
                self.read_state(state)
                rates = self._rates(self.t)
        except BaseException:
            self.read_state(before)
            raise
        self._assign(rates)

    def read_state(self, state: dict[str, Any]) -> None:
        """Read and assign a state; what raises in between is undone by taking the one before."""
        who, groups = str(self), len(self.optimizer.param_groups)
        if state.get("class") != who:
            raise OptionError(f"{who}: this is the state of {state.get('class')!r}")
        if wrong := differences(self.state_dict(), state):
            raise OptionError(f"{who}: the state: {wrong}")
        for name, mine in self.options().items():
            if state[name] != mine:
                saved = f"the state was saved with {name}={state[name]!r}"
                raise OptionError(f"{who}: {saved}, but this schedule has {name}={mine!r}")
        initial, joined = state["initial"], state["joined"]
        if not isinstance(initial, list) or not isinstance(joined, list):
            raise OptionError(f"{who}: initial and joined must be lists, got {initial!r} and {joined!r}")
        self.t = whole(who, "t", state["t"], 0)
        self.initial = [number(who, f"initial[{i}]", lr, at_least=0.0) for i, lr in enumerate(initial)]
        self.joined = [pair(who, f"joined[{i}]", rates, at_least=0.0) for i, rates in enumerate(joined)]
        if (count := len(initial) + len(joined)) != groups:
            raise OptionError(f"{who}: the state has {count} groups, the optimizer {groups}")
        self._check_initial()

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        last_set[self.optimizer] = LastSet(ref(self), [])

    if not TYPE_CHECKING:  # to mypy, an attribute that is not there would be one

        def __getattr__(self, name: str) -> NoReturn:
            raise missing(str(self), name, [word for word in dir(self) if not word.startswith("_")])

    def as_call(self) -> str:
        """The class and its options."""
        return f"{self}({', '.join(f'{name}={value!r}' for name, value in self.options().items())})"

    def __str__(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        return f"{self.as_call()}, step {self.t}, lr {', '.join(f'{lr:.6g}' for lr in self.last)}"
