"""Optimizer: parameter groups, options that are checked, and the step that applies an update rule."""

from __future__ import annotations

import difflib
import math
import warnings
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Self

import numpy as np
from numpy import vdot

from tinygrad_lo.engine.graph import Array, Node, name_of, quoted
from tinygrad_lo.engine.values import is_finite_number
from tinygrad_lo.errors import DTypeError, NonFiniteError, OptionError

# What other libraries call an option.
SYNONYMS = {
    "learning_rate": "lr", "alpha": "lr", "eta": "lr", "step_size": "lr", "decay": "weight_decay",
    "wd": "weight_decay", "l2": "weight_decay", "beta": "momentum", "mu": "momentum", "parameters": "params",
}  # fmt: skip

Check = Callable[[Any], str | None]  # None, or what the value must be


def not_negative(value: Any) -> str | None:
    """lr, weight_decay."""
    return None if is_finite_number(value) and value >= 0 else "a finite number >= 0"


def fraction(value: Any) -> str | None:
    """momentum and other shares of the past."""
    return None if is_finite_number(value) and 0 <= value < 1 else "in [0, 1)"


def flag(value: Any) -> str | None:
    """True or False."""
    return None if isinstance(value, bool) else "True or False"


def twice(first: int, second: int) -> str:
    """Where something stands that should stand once."""
    return f"twice in group {first}" if first == second else f"in groups {first} and {second}"


class Group(dict[str, Any]):
    """The options of some parameters. A dict that checks what is assigned: `group["lr"] = 0.1`."""

    def __init__(self, owner: str, checks: dict[str, Check], number: int, options: dict[str, Any]) -> None:
        super().__init__()
        self.owner = owner
        self.checks = checks
        self.number = number
        for name, value in options.items():
            self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        if name != "params":
            where = f"{self.owner}: group {self.number}"
            if name not in self.checks:
                likely = SYNONYMS.get(name) or next(
                    iter(difflib.get_close_matches(name, self.checks, 1)), None
                )
                hint = f"; did you mean {likely!r}?" if likely in self.checks else "."
                raise OptionError(
                    f"{where} has the unknown option {name!r}{hint} Options are {', '.join(self.checks)}"
                )
            wrong = self.checks[name](value)
            if wrong is not None:
                raise OptionError(f"{where}: {name} must be {wrong}, got {value!r}")
            if not isinstance(value, bool):
                # A Python float leaves a float32 model float32; an np.float64 would not.
                value = float(value)
        super().__setitem__(name, value)

    def update(self, *others: Any, **options: Any) -> None:
        """Assign several options, each of them checked."""
        for name, value in dict(*others, **options).items():
            self[name] = value

    def __ior__(self, others: Any) -> Self:  # type: ignore[override]
        self.update(others)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Group, (self.owner, self.checks, self.number, dict(self))

    def setdefault(self, name: str, default: Any = None) -> Any:
        """The option; assigned, and checked, if it was missing."""
        if name not in self:
            self[name] = default
        return self[name]


class Optimizer:
    """What all optimizers share. One of them is its `checks` and its `rule` on plain arrays.

    A group is a dict with "params" and any of the optimizer's options; what it leaves out is the
    optimizer's own. `opt.param_groups[0]["lr"] = 0.01` changes a learning rate, and is checked.
    """

    checks: ClassVar[dict[str, Check]] = {}

    def __init__(self, params: Any, **defaults: Any) -> None:
        self.defaults = defaults
        self.param_groups: list[Group] = []
        self.state: dict[Node, dict[str, Array]] = {}
        self._warned = False
        groups = self._as_groups(params)
        if not groups:
            raise OptionError(f"{self}: empty parameter list (was a generator used twice?)")
        for group in groups:
            self.add_param_group(group)

    def rule(self, w: Array, g: Array, state: dict[str, Array], group: Group) -> Array:
        """The new value of one parameter. Writes into no array; keeps what it remembers in `state`."""
        raise NotImplementedError

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Add parameters with options of their own: `{"params": [b], "weight_decay": 0.0}`.

        Raises:   OptionError: no parameters, one that is optimized already, one that is no leaf or
                  wants no gradient, an unknown option or an impossible value.
        """
        number = len(self.param_groups)
        if not isinstance(group, dict) or "params" not in group:
            raise OptionError(f"{self}: a group is a dict with 'params', got {group!r}")
        params = self._as_parameters(group["params"])
        if not params:
            raise OptionError(f"{self}: group {number}: empty parameter list (was a generator used twice?)")
        owners = {p: i for i, g in enumerate(self.param_groups) for p in g["params"]}
        names = {name_of(p): i for p, i in owners.items()}
        for p in params:
            if p in owners:
                raise OptionError(f"{self}: {quoted(p, 'a parameter')} appears {twice(owners[p], number)}")
            name = name_of(p)
            if name is not None and name in names:
                raise OptionError(f"{self}: {name!r} names two parameters, {twice(names[name], number)}")
            owners[p] = names[name] = number
        options = {**self.defaults, **group, "params": params}
        made = Group(str(self), self.checks, number, options)
        self.check_group(made)
        self.param_groups.append(made)

    def check_group(self, group: Group) -> None:
        """Raise for options that do not go together."""

    def _as_groups(self, params: Any) -> list[Any]:
        if hasattr(params, "named_parameters"):
            params = params.named_parameters()
        if isinstance(params, Node):
            raise OptionError(f"{self}: params is one tensor; wrap it in a list: [{name_of(params) or 'W'}]")
        if isinstance(params, np.ndarray):
            raise OptionError(f"{self}: params is an array; wrap it in lo.Parameter and in a list")
        if not isinstance(params, Iterable) or isinstance(params, (str, dict)):
            raise OptionError(
                f"{self}: params must be a list of parameters or of groups, got {type(params).__name__}"
            )
        found = list(params)
        if found and all(isinstance(item, dict) for item in found):
            return found
        return [{"params": found}] if found else []

    def _as_parameters(self, params: Any) -> list[Any]:
        if isinstance(params, Node):
            params = [params]
        if hasattr(params, "named_parameters"):
            params = params.named_parameters()
        found = []
        for i, item in enumerate(params):
            p = item
            if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str):
                p = item[1]
                if isinstance(p, Node) and name_of(p) is None:
                    p.name = item[0]  # type: ignore[attr-defined]
            if not isinstance(p, Node):
                raise OptionError(
                    f"{self}: entry {i} is {type(p).__name__}, not a parameter; wrap it in lo.Parameter"
                )
            if p.op is not None:
                raise OptionError(
                    f"{self}: entry {i}, {quoted(p)}, is not a leaf: it was computed by {p.op.name}"
                )
            if not p._needs:
                raise OptionError(f"{self}: entry {i}, {quoted(p)}, does not require grad; use lo.Parameter")
            found.append(p)
        return found

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters: `.grad` becomes None."""
        for group in self.param_groups:
            for p in group["params"]:
                p._grad = None
                p._spent = 0

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient by the update rule.

        A closure is called first, and its result returned: it computes the loss and the gradients.
        Parameters get new arrays; the old ones, which a live graph may hold, stay as they are.

        Raises:   OptionError: no parameter has a gradient.
                  NonFiniteError: a gradient has nan or inf; nothing was changed.
                  DTypeError: the argument is no function.
        """
        if closure is not None and not callable(closure):
            raise DTypeError(f"{self}: step takes a closure or nothing, got {type(closure).__name__}")
        result = closure() if closure is not None else None
        state, rule = self.state, self.rule
        live = []
        screen = 0.0
        for group in self.param_groups:
            for p in group["params"]:
                g = p._grad
                if g is not None and p._needs:  # a frozen parameter stays
                    live.append((p, g, group))
                    screen += vdot(g, g)  # not finite if any of g is not; the quickest to ask
        if not live:
            raise OptionError(f"{self}: no parameter has a gradient; call loss.backward() first")
        if not screen < math.inf:
            self._must_be_finite()
        for p, g, group in live:
            if p._spent == 2:
                self._warn_about_zero_grad(p)
            mine = state.get(p)
            if mine is None:
                mine = state[p] = {}
            p._value = rule(p._value, g, mine, group)
            p._spent = 1
        return result

    def _must_be_finite(self) -> None:
        """Raise, naming the first parameter whose gradient is not finite."""
        for group in self.param_groups:
            for p in group["params"]:
                if p._grad is not None and not np.isfinite(p._grad).all():
                    nans, infs = int(np.isnan(p._grad).sum()), int(np.isinf(p._grad).sum())
                    text = " and ".join(f"{n} {what}" for n, what in ((nans, "nan"), (infs, "inf")) if n)
                    raise NonFiniteError(
                        f"{self}: grad of {quoted(p, 'a parameter')} has {text}, step skipped, "
                        f"state untouched; lo.anomaly() around the forward and backward pass names the op"
                    )

    def _warn_about_zero_grad(self, p: Node) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"{self}: the gradient of {quoted(p, 'a parameter')} was used by an earlier step and then "
                f"added to; call zero_grad() after step()",
                stacklevel=3,
            )

    def __str__(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            options = ", ".join(f"{k}={v}" for k, v in group.items() if k != "params")
            names = ", ".join(
                name_of(p) or "×".join(map(str, p._value.shape)) or "scalar" for p in group["params"]
            )
            lines.append(f"  group {i}: {options}  [{names}]")
        return f"{self}(\n" + "\n".join(lines) + "\n)"
