"""Schedule: the step, the initial learning rates, and the state that all schedules share."""

from __future__ import annotations

import math
import sys
import warnings
from typing import Any, ClassVar
from weakref import WeakKeyDictionary, ref

import numpy as np

from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.machine.arguments import is_finite_number
from tinygrad_lo.errors import CheckpointError, DTypeError, OptionError, ShapeError
from tinygrad_lo.optim.groups import Group
from tinygrad_lo.optim.optimizer import Optimizer, schedules

# What the newest schedule did to an optimizer before any step: (lr it set, lr it found), by group.
# A warm-up sets a small lr at once; a schedule made next to it must still find the lr of the user.
_begun: WeakKeyDictionary[Optimizer, list[tuple[float, float]]] = WeakKeyDictionary()


def is_whole(value: Any, at_least: int) -> bool:
    """Whether the value is an int of at least that size, and no boolean."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value >= at_least)


def is_float(value: Any) -> bool:
    """Whether the value is a finite number, and no int beyond the floats."""
    return is_finite_number(value) and bool(abs(value) <= sys.float_info.max)


def whole(who: str, name: str, value: Any, at_least: int = 1) -> int:
    """An option that counts steps."""
    if not is_whole(value, at_least):
        raise OptionError(f"{who}: {name} must be an int >= {at_least}, got {value!r}")
    return int(value)


def above_zero(who: str, name: str, value: Any, below: float = math.inf) -> float:
    """An option that multiplies a learning rate, or is one."""
    if not is_float(value) or not 0 < value < below:
        bound = "finite and > 0" if below == math.inf else f"in (0, {below:g})"
        raise OptionError(f"{who}: {name} must be {bound}, got {value!r}")
    return float(value)


def loss_as_float(who: str, loss: Any) -> float:
    """A loss, tensor or number, as a Python float; it may be inf or nan."""
    value = np.asarray(loss.value if isinstance(loss, Node) else loss)
    if value.dtype.kind not in "fiu":
        raise DTypeError(f"{who}: the loss must be a number, got {loss!r}")
    if value.size != 1:
        raise ShapeError(
            f"{who}: the loss must be one number, got shape {value.shape}; reduce it, e.g. loss.mean()"
        )
    return float(value.item())


def glide(start: float, end: float, share: float) -> float:
    """From start (share 0) to end (share 1) on half a cosine, exact at both."""
    c = (1.0 + math.cos(math.pi * share)) / 2.0
    return start * c + end * (1.0 - c)


class Schedule:
    """What all schedules share: the step t, the initial rate of each group, and the state.

    A schedule is its `lr`: the learning rate of group i at step t. Making it sets the rates of
    step 0; each `step()`, after an optimizer's step or after an epoch, those of the next one.

    A group that joins the optimizer later keeps the rate that it was given, and from there changes in
    proportion to the groups that were there from the start (to their sum, where they differ).
    """

    option_names: ClassVar[tuple[str, ...]] = ()

    def __init__(self, opt: Optimizer) -> None:
        if not isinstance(opt, Optimizer):
            raise OptionError(f"{self}: opt must be an optimizer, got {type(opt).__name__}")
        self.optimizer = opt
        self.t = 0
        begun = _begun.get(opt, [])
        self.initial: list[float] = []
        self.joined: list[list[float]] = []  # of each later group, its rate and the others' sum then
        for i, group in enumerate(opt.param_groups):
            lr = group["lr"]
            lr = begun[i][1] if i < len(begun) and begun[i][0] == lr else lr
            self.check_group(i, lr)
            self.initial.append(lr)
        self._assign(self._rates(0))
        _begun[opt] = list(zip(self.last, self.initial, strict=True))

    def lr(self, t: int, i: int) -> float:
        """The learning rate of group i, one of the first, at step t."""
        raise NotImplementedError

    def climb(self, t: int) -> int:
        """The step at which the rise of the rates that step t is in will end; t where they do not rise."""
        return t

    def lr_of(self, t: int, i: int) -> float:
        """The learning rate of any group at step t."""
        if i < len(self.initial):
            return self.lr(t, i)
        lr, then = self.joined[i - len(self.initial)]
        return lr * (self.total(t) / then) if then else lr

    def total(self, t: int) -> float:
        """The rates of the first groups at step t, added up."""
        return math.fsum(self.lr(t, i) for i in range(len(self.initial)))

    def options(self) -> dict[str, Any]:
        """The options it was made with."""
        found = {name: getattr(self, name) for name in self.option_names}
        return {name: list(value) if isinstance(value, list) else value for name, value in found.items()}

    def check_group(self, i: int, lr: float) -> None:
        """Raise for an initial lr that the options do not go with."""

    def step(self) -> None:
        """Go on by one step and set the learning rate of every group.

        Raises:   OptionError: a learning rate was changed by hand or by another schedule, which this
                  one would undo; a rate that is not finite any more.
        """
        self._look()
        rates = self._rates(self.t + 1)
        self.t += 1
        self._assign(rates)

    def _look(self) -> None:
        """Meet new groups, and refuse to overwrite what somebody else has set."""
        groups = self.optimizer.param_groups
        for i, (group, mine) in enumerate(zip(groups, self.last, strict=False)):
            # Not ==: a checkpoint may come from a machine whose cosine rounds differently.
            if not math.isclose(group["lr"], mine, rel_tol=1e-9):
                raise OptionError(
                    f"{self}: group {i} has lr {group['lr']!r}, but this schedule set {mine!r}; it was "
                    f"changed by hand or by another schedule. Make a new schedule from here, or join them "
                    f"with SequentialLR"
                )
        self._meet()

    def _meet(self) -> None:
        """Take up the groups that have joined the optimizer, with the rates that they have now."""
        for group in self.optimizer.param_groups[len(self.last) :]:
            self.joined.append([group["lr"], self.total(self.t)])
            self.last.append(group["lr"])

    def greet(self, group: Group) -> None:
        """Say what will become of a group that joins while the rates rise: hardly what was meant."""
        now = self.total(self.t)
        growth = self.total(self.climb(self.t)) / now if now else 1.0
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
                rates.append(self.lr_of(t, i))
            except OverflowError:  # Python's floats raise where NumPy's become inf
                rates.append(math.inf)
            if not rates[i] < math.inf:
                raise OptionError(f"{self}: at step {t} the lr of group {i} is not finite any more")
        return rates

    def _assign(self, rates: list[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = lr
        self.last = rates
        schedules[self.optimizer] = ref(self)
        _begun.pop(self.optimizer, None)

    def state_dict(self) -> dict[str, Any]:
        """Where it stands, as numbers that fit into JSON."""
        self._meet()
        return {
            "class": str(self),
            "t": self.t,
            "initial": list(self.initial),
            "joined": [list(pair) for pair in self.joined],
            **self.options(),
            **self.progress(),
        }

    def progress(self) -> dict[str, Any]:
        """What changes with the steps, besides t."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to where a schedule with the same options stood, and set its learning rates.

        Raises:   CheckpointError: the state of another class, with other options or groups, or with
                  impossible numbers; nothing was changed.
        """
        self._meet()
        self.check_state(state)
        before = self.state_dict()
        self.take(state)
        try:
            rates = self._rates(self.t)
        except OptionError as error:
            self.take(before)
            raise CheckpointError(f"{error}; nothing was changed") from error
        self._assign(rates)

    def check_state(self, state: Any) -> None:
        """Raise unless the state can be taken."""
        if not isinstance(state, dict):
            raise self._refusal(f"a state is a dict, got {type(state).__name__}")
        if state.get("class") != str(self):
            raise self._refusal(f"this is the state of {state.get('class')!r}")
        wanted = ["class", "t", "initial", "joined", *self.options(), *self.progress()]
        if missing := [name for name in wanted if name not in state]:
            raise self._refusal(f"the state misses {missing}")
        if unexpected := [name for name in state if name not in wanted]:
            raise self._refusal(f"the state has unexpected {unexpected}")
        for name, mine in self.options().items():
            if state[name] != mine:
                raise self._refusal(
                    f"the state was saved with {name}={state[name]!r}, but this schedule has {name}={mine!r}"
                )
        if not is_whole(state["t"], 0):
            raise self._refusal(f"t must be an int >= 0, got {state['t']!r}")
        rates, groups = state["initial"], len(self.optimizer.param_groups)
        if not isinstance(rates, list) or not all(is_float(x) and x >= 0 for x in rates):
            raise self._refusal(f"initial must be a list of finite numbers >= 0, got {rates!r}")
        joined = state["joined"]
        if not isinstance(joined, list) or not all(
            isinstance(pair, list) and len(pair) == 2 and all(is_float(x) and x >= 0 for x in pair)
            for pair in joined
        ):
            raise self._refusal(f"joined must be a list of pairs of finite numbers >= 0, got {joined!r}")
        if len(rates) + len(joined) != groups:
            raise self._refusal(f"the state has {len(rates) + len(joined)} groups, the optimizer {groups}")

    def take(self, state: dict[str, Any]) -> None:
        """Assign a state that was checked."""
        self.t = int(state["t"])
        self.initial = [float(lr) for lr in state["initial"]]
        self.joined = [[float(lr), float(then)] for lr, then in state["joined"]]

    def _refusal(self, text: str) -> CheckpointError:
        return CheckpointError(f"{self}: {text}; nothing was changed")

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        schedules[self.optimizer] = ref(self)

    def described(self) -> str:
        """The class and its options."""
        return f"{self}({', '.join(f'{name}={value!r}' for name, value in self.options().items())})"

    def __str__(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        return f"{self.described()}, step {self.t}, lr {', '.join(f'{lr:.6g}' for lr in self.last)}"
