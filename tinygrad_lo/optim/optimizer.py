"""Optimizer: the step that applies an update rule to groups of parameters, and its state."""

from __future__ import annotations

import difflib
import operator
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from typing import Any, ClassVar
from weakref import ReferenceType, WeakKeyDictionary

import numpy as np
from numpy import ndarray, vdot

from tinygrad_lo.engine.graph import Array, Node, active
from tinygrad_lo.engine.machine.arguments import fitting
from tinygrad_lo.engine.machine.hooks import leave
from tinygrad_lo.engine.naming import name_of, quoted
from tinygrad_lo.errors import CheckpointError, DTypeError, NonFiniteError, OptionError
from tinygrad_lo.optim.groups import (
    Check,
    Group,
    flag,
    fraction,
    fractions,
    groups_of,
    not_negative,
    parameters_of,
    positive,
    split_decay,
)

__all__ = [
    "Check", "Group", "Optimizer", "decayed", "flag", "fraction", "fractions", "not_negative", "positive",
    "split_decay",
]  # fmt: skip

EAGER = {ndarray, np.float64, np.float32, np.float16, np.longdouble}  # gradients that are numbers already
SIZE, SPENT = operator.attrgetter("size"), operator.attrgetter("spent")
SMALL = 2**14  # elements that are quicker asked together, and cost no memory that counts


# The schedule that has set an optimizer's learning rates last: it has a word to say on new groups.
schedules: WeakKeyDictionary[Optimizer, ReferenceType[Any]] = WeakKeyDictionary()


def twice(first: int, second: int) -> str:
    """Where something stands that should stand once."""
    return f"twice in group {first}" if first == second else f"in groups {first} and {second}"


def lazy(x: Any) -> bool:
    """Whether this is a Dask collection: numbers that nobody has computed yet."""
    return hasattr(type(x), "__dask_graph__")


def decayed(w: Array, g: Array, group: Mapping[str, Any]) -> Array:
    """The gradient of the loss and of ½ weight_decay · w², in an array of its own if they differ."""
    if not group["weight_decay"]:
        return g
    total = np.multiply(w, group["weight_decay"])
    total += g
    return total


class Optimizer:
    """What all optimizers share. One of them is its `checks` and its `rule` on plain arrays.

    A group is a dict with "params" and any of the optimizer's options; what it leaves out is the
    optimizer's own. `opt.param_groups[0]["lr"] = 0.01` changes a learning rate, and is checked.
    """

    checks: ClassVar[dict[str, Check]] = {}
    # What the rule keeps in a parameter's state: "array" of its shape, "array?" (an option may do
    # without), "count" or "number".
    memory: ClassVar[dict[str, str]] = {}
    squares: ClassVar[bool] = True  # whether the rule squares gradients, which must not overflow

    def __init__(self, params: Any, **defaults: Any) -> None:
        self.defaults = defaults
        self.param_groups: list[Group] = []
        self.names: dict[Node, str] = {}  # under which state is saved; positions where there is none
        self.state: dict[Node, dict[str, Any]] = defaultdict(dict)
        self._warned = False
        groups = groups_of(str(self), params)
        if not groups:
            raise OptionError(f"{self}: empty parameter list (was a generator used twice?)")
        for group in groups:
            self.add_param_group(group)

    def rule(self, w: Array, g: Array, state: dict[str, Any], group: Group) -> Array:
        """The new value of one parameter, in a new array; keeps what it remembers in `state`.

        Writes neither into `w` nor into `g`. What it allocates is the new value and at most one
        array besides; arrays of the state are its own and change in place.
        """
        raise NotImplementedError

    def equations(self, group: Mapping[str, Any]) -> list[str]:
        """The rule as text, a line each, with the group's numbers in it."""
        raise NotImplementedError

    @staticmethod
    def conflict(options: Mapping[str, Any], /) -> str | None:  # noqa: ARG004
        """Why these options do not go together, or None."""
        return None

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Add parameters with options of their own: `{"params": [b], "weight_decay": 0.0}`.

        Raises:   OptionError: no parameters, one that is optimized already, one that is no leaf or
                  wants no gradient, an unknown option or an impossible value.
        Warns:    a schedule is on its way up, and will take this group along to a higher lr.
        """
        number = len(self.param_groups)
        if not isinstance(group, dict) or "params" not in group:
            raise OptionError(f"{self}: a group is a dict with 'params', got {group!r}")
        named = parameters_of(str(self), group["params"])
        params = [p for _, p in named]
        if not params:
            raise OptionError(f"{self}: group {number}: empty parameter list (was a generator used twice?)")
        owners = {p: i for i, g in enumerate(self.param_groups) for p in g["params"]}
        names = {self.names.get(p): i for p, i in owners.items()}
        for name, p in named:
            if p in owners:
                raise OptionError(f"{self}: {quoted(p, 'a parameter')} appears {twice(owners[p], number)}")
            if name is not None and name in names:
                raise OptionError(f"{self}: {name!r} names two parameters, {twice(names[name], number)}")
            owners[p] = names[name] = number
        options = {**self.defaults, **group, "params": params}
        made = Group(type(self), number, options)
        for p in params:
            if "eps" in made and p.value.dtype.type(made["eps"]) == 0:
                raise OptionError(
                    f"{self}: group {number}: eps {made['eps']} is 0 in {p.value.dtype}, the dtype of "
                    f"{quoted(p, 'a parameter')}; use eps=1e-3 or float32"
                )
        self.param_groups.append(made)
        schedule = schedules[self]() if self in schedules else None
        if schedule is not None:
            schedule.greet(made)
        self.names.update((p, name) for name, p in named if name is not None)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters: `.grad` becomes None."""
        for group in self.param_groups:
            if active:
                leave("zero_grad()", *group["params"])
            for p in group["params"]:
                p.arrived = None
                p.spent = 0

    def step(self, closure: Callable[[], Any] | None = None, *, evaluate: Iterable[Any] = ()) -> Any:
        """Change every parameter that has a gradient by the update rule.

        A closure is called first, and its result returned: it computes the loss and the gradients.
        Parameters get new arrays; the old ones, which a live graph may hold, stay as they are.

        `evaluate=[loss]` is for lazy (Dask) data: all gradients and these losses are computed in one
        pass over it, and the list of their values is returned instead. The losses then hold their
        values, the parameters their gradients. With plain tensors it only returns the values.

        Raises:   OptionError: no parameter has a gradient.
                  NonFiniteError: a gradient has nan or inf, or is so large that the square which the
                  rule takes of it is not finite; nothing was changed.
                  DTypeError: the argument is no function, or evaluate is no list of losses.
        """
        if closure is not None and not callable(closure):
            raise DTypeError(f"{self}: step takes a closure or nothing, got {type(closure).__name__}")
        result = closure() if closure is not None else None
        live: list[Any] = []
        grads: list[Array] = []
        owners = []  # each group with how many parameters come before its own, and before the next one's
        for group in self.param_groups:
            began = len(live)
            for p in group["params"]:
                g = p.arrived
                if g is not None and p.needs:  # a frozen parameter stays
                    live.append(p)
                    grads.append(g)
            owners.append((group, began, len(live)))
        if active:
            leave("step()", *live)
        if not live:
            raise OptionError(f"{self}: no parameter has a gradient; call loss.backward() first")
        if type(evaluate) is not tuple or evaluate or not EAGER.issuperset(map(type, grads)):
            result = self._evaluate(evaluate, live) or result
            grads = [p.arrived for p in live]
        # A sum of squares is not finite if any of g is not: the quickest to ask. Many small arrays are
        # asked as one.
        many = len(grads) > 8 and sum(map(SIZE, grads)) < SMALL
        asked = [np.concatenate(grads, None)] if many else grads
        if not all(map(isfinite, map(vdot, asked, asked))):
            self._must_be_finite(live)
        if 2 in map(SPENT, live) and not self._warned:
            self._warned = True
            p = next(p for p in live if p.spent == 2)
            warnings.warn(
                f"{self}: the gradient of {quoted(p, 'a parameter')} was used by an earlier step and then "
                f"added to; call zero_grad() after step()",
                stacklevel=2,
            )
        for group, began, end in owners:
            if began < end:
                self.update(live[began:end], grads[began:end], group)
        return result

    def update(self, params: list[Any], grads: list[Array], group: Group) -> None:
        """Apply the rule to these parameters of a group."""
        state, rule = self.state, self.rule
        for p, g in zip(params, grads, strict=True):
            new = rule(p.value, g, state[p], group)
            p.value = new if new.ndim else new[()]  # a scalar holds a number, not an array
            p.spent = 1

    def _evaluate(self, evaluate: Iterable[Any], params: list[Any]) -> list[Any]:
        """Compute lazy gradients and losses, all at once, in place. The values of the losses."""
        if isinstance(evaluate, (Node, str)) or not isinstance(evaluate, Iterable):
            raise DTypeError(f"{self}: evaluate takes a list of losses: evaluate=[loss]")
        losses = list(evaluate)
        for i, loss in enumerate(losses):
            if not isinstance(loss, Node):
                raise DTypeError(f"{self}: evaluate takes tensors, and entry {i} is {type(loss).__name__}")
        pending = [p for p in params if lazy(p.arrived)]
        unknown = [loss for loss in losses if lazy(loss.value)]
        if pending or unknown:
            from dask.base import compute

            wanted = [*(p.arrived for p in pending), *(loss.value for loss in unknown)]
            done: list[Any] = list(compute(*wanted))  # type: ignore[no-untyped-call]
            fitted = [fitting(p, g, "grad") for p, g in zip(pending, done, strict=False)]
            for p, g in zip(pending, fitted, strict=True):
                p.arrived = g
            for loss, value in zip(unknown, done[len(pending) :], strict=True):
                loss.value = value[()] if isinstance(value, ndarray) and not value.ndim else value
        return [loss.value for loss in losses]

    def _must_be_finite(self, params: list[Any]) -> None:
        """Raise, naming the first parameter whose gradient is not finite, or too large to be squared."""
        for p in params:
            g, who = p.arrived, f"{self}: grad of {quoted(p, 'a parameter')}"
            if not np.isfinite(g).all():
                nans, infs = int(np.isnan(g).sum()), int(np.isinf(g).sum())
                text = " and ".join(f"{n} {what}" for n, what in ((nans, "nan"), (infs, "inf")) if n)
                raise NonFiniteError(
                    f"{who} has {text}, step skipped, state untouched; "
                    f"lo.anomaly() around the forward and backward pass names the op"
                )
            largest = float(abs(g).max()) if g.size else 0.0
            if self.squares and largest >= float(np.finfo(g.dtype).max) ** 0.5:
                raise NonFiniteError(
                    f"{who} reaches {largest:g}, whose square overflows {g.dtype}, step skipped, state "
                    f"untouched; clip the gradients or scale the loss"
                )

    # ------------------------------------------------------------------------- state, saved and loaded

    def _names(self) -> dict[str, Node]:
        """The parameters by name, or by position over all groups where they have none."""
        params = [p for group in self.param_groups for p in group["params"]]
        found: dict[str, Node] = {}
        for i, p in enumerate(params):
            name = self.names.get(p, str(i))
            if name in found:
                raise OptionError(f"{self}: {name!r} stands for two parameters; give each a name of its own")
            found[name] = p
        return found

    def state_dict(self) -> dict[str, Any]:
        """Everything a later run needs to go on: class, options of each group, state by parameter name.

        Arrays are copies. A parameter without a name goes by its position: "0", "1", ...

        Raises:   OptionError: two parameters have one name.
        """
        names = {p: name for name, p in self._names().items()}
        groups = [
            {"names": [names[p] for p in group["params"]], **{k: group[k] for k in self.checks}}
            for group in self.param_groups
        ]
        state = {
            name: {k: np.array(x) if isinstance(x, (ndarray, np.generic)) else x for k, x in mine.items()}
            for p, name in names.items()
            if (mine := self.state.get(p))
        }
        return {"class": str(self), "groups": groups, "state": state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict()` gave: options of the groups, and the state of each parameter.

        Parameters are matched by name, so their order may have changed; one that goes by its position,
        here or there, is matched by position. Either everything is taken over, or nothing.

        Raises:   CheckpointError: of another class, for other parameters, groups or shapes; an unknown
                  option or an impossible value.
        """
        try:
            options, states = self._matched(state)
        except OptionError as error:
            raise CheckpointError(f"{error}; nothing was changed") from error
        except CheckpointError:
            raise
        except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
            raise CheckpointError(
                f"{self}: this is no state_dict of an optimizer ({type(error).__name__}: {error}); "
                f"nothing was changed"
            ) from error
        for group, new in zip(self.param_groups, options, strict=True):
            dict.update(group, new)
        self.state = defaultdict(dict, states)

    def _matched(self, saved: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[Node, dict[str, Any]]]:
        """The saved options for each group and the saved state for each parameter, all examined."""
        if saved["class"] != str(self):
            raise self._unfit(f"the state is of {saved['class']}")
        groups = [(list(group["names"]), group) for group in saved["groups"]]
        there = [name for names, _ in groups for name in names]
        here = self._names()
        unnamed = {i for i, p in enumerate(here.values()) if p not in self.names}
        partner: dict[Any, str] = {}  # the saved name of each parameter
        for i, (name, p) in enumerate(here.items()):
            if name in there:
                partner[p] = name
            elif i < len(there) and there[i] not in here and (i in unnamed or there[i] == str(i)):
                partner[p] = there[i]
        missing = [name for name, p in here.items() if p not in partner]
        left = [name for name in there if name not in partner.values()]
        if missing or left or len(there) != len(here):
            close = [word for name in left for word in difflib.get_close_matches(str(name), missing, 1)]
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise self._unfit(f"missing: {missing}, unexpected: {left}{hint}")
        options = []
        for group in self.param_groups:
            wanted = {partner[p] for p in group["params"]}
            same = next((entry for names, entry in groups if set(names) == wanted), None)
            if same is None:
                raise self._unfit(f"group {group.number} holds {sorted(wanted)}, and no saved group does")
            given = {k: x for k, x in same.items() if k != "names"}
            lacking = [k for k in self.checks if k not in given]
            if lacking:
                raise self._unfit(f"group {group.number} has no {lacking[0]!r}")
            options.append(group.checked(given))
        strange = [name for name in saved["state"] if name not in there]
        if strange:
            raise self._unfit(f"unexpected: {strange}")
        states = {
            p: self._remembered(p, name, saved["state"][name])
            for p, name in partner.items()
            if saved["state"].get(name)
        }
        return options, states

    def _remembered(self, p: Any, name: str, saved: dict[str, Any]) -> dict[str, Any]:
        """The state of one parameter, copied."""
        w = p.value
        found: dict[str, Any] = {}
        for key in [k for k, kind in self.memory.items() if k not in saved and kind != "array?"]:
            raise self._unfit(f"the state of {name!r} has no {key!r}")
        for key, x in saved.items():
            kind = self.memory.get(key)
            if kind is None:
                raise self._unfit(f"the state of {name!r} has an unknown {key!r}")
            if kind == "count":
                found[key] = operator.index(x)
            elif kind == "number":
                found[key] = float(x)
            elif np.shape(x) != w.shape:
                raise self._unfit(f"{key} of {name!r} is {np.shape(x)} in the state, the parameter {w.shape}")
            elif x.dtype != w.dtype:
                raise self._unfit(f"{key} of {name!r} is {x.dtype} in the state, the parameter {w.dtype}")
            else:
                found[key] = np.array(x)
            if not np.isfinite(found[key]).all() or (kind == "count" and found[key] < 0):
                raise self._unfit(f"{key} of {name!r} is not finite, or negative")
        return found

    def _unfit(self, problem: str) -> CheckpointError:
        return CheckpointError(f"{self}: {problem}; nothing was changed")

    # ----------------------------------------------------------------------------------------- as text

    def formula(self) -> str:
        """The update rule with the numbers of this optimizer, once for all groups that share them."""
        blocks: dict[str, list[Group]] = {}
        for group in self.param_groups:
            text = "\n".join(f"    {line}" for line in self.equations(group))
            blocks.setdefault(text, []).append(group)
        lines = [str(self)]
        for text, groups in blocks.items():
            numbers = ", ".join(str(group.number) for group in groups)
            names = ", ".join(name for group in groups for name in titles(group))
            lines += [f"  group{'s' if len(groups) > 1 else ''} {numbers}  [{names}]", text]
        return "\n".join(lines)

    def __str__(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            options = ", ".join(f"{k}={v}" for k, v in group.items() if k != "params")
            lines.append(f"  group {i}: {options}  [{', '.join(titles(group))}]")
        return f"{self}(\n" + "\n".join(lines) + "\n)"


def titles(group: Group) -> list[str]:
    """The names of a group's parameters, or their shapes."""
    return [name_of(p) or "×".join(map(str, p.value.shape)) or "scalar" for p in group["params"]]
