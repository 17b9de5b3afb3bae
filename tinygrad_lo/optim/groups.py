"""Parameter groups: which parameters, with which options, and what an option may be."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn, Self

import numpy as np

from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.machine.arguments import finite_number, is_finite_number
from tinygrad_lo.engine.naming import name_of, quoted, spelled
from tinygrad_lo.engine.tensor import Parameter
from tinygrad_lo.errors import OptionError

# What other libraries call an option: the first that the optimizer knows is meant.
SYNONYMS = {
    "learning_rate": ("lr",), "alpha": ("decay", "lr"), "eta": ("lr",), "step_size": ("lr",),
    "decay": ("weight_decay",), "wd": ("weight_decay",), "l2": ("weight_decay",),
    "beta": ("momentum", "betas"), "beta1": ("betas",), "beta2": ("betas",), "b1": ("betas",),
    "b2": ("betas",), "mu": ("momentum",), "gamma": ("momentum", "decay"), "rho": ("decay",),
    "epsilon": ("eps",), "parameters": ("params",),
}  # fmt: skip

Check = Callable[[Any], str | None]  # None, or what the value must be, or a sentence with "must be"


def not_negative(value: Any) -> str | None:
    """lr, weight_decay."""
    return None if is_finite_number(value) and value >= 0 else "a finite number >= 0"


def positive(value: Any) -> str | None:
    """eps: without it, a gradient of 0 would be divided by 0."""
    return None if is_finite_number(value) and value > 0 else "a finite number > 0"


def fraction(value: Any) -> str | None:
    """momentum and other shares of the past."""
    return None if is_finite_number(value) and 0 <= value < 1 else "in [0, 1)"


def fractions(value: Any) -> str | None:
    """betas."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        return "a pair of numbers in [0, 1)"
    for i, beta in enumerate(value, 1):
        if fraction(beta) is not None:
            return f"beta{i} must be in [0, 1), got {beta!r}"
    return None


def flag(value: Any) -> str | None:
    """True or False."""
    return None if isinstance(value, bool) else "True or False"


class Group(dict[str, Any]):
    """The options of some parameters. A dict that checks what is assigned: `group["lr"] = 0.1`."""

    def __init__(self, kind: Any, number: int, options: dict[str, Any]) -> None:
        super().__init__()
        self.kind = kind  # the optimizer's class: its name, its checks, its conflicts
        self.number = number
        self.update(options)

    def checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """These options as they are kept, if each of them is valid and all go together."""
        where = f"{self.kind.__name__}: group {self.number}"
        checks = self.kind.checks
        found: dict[str, Any] = {}
        for name, value in options.items():
            if name == "params":
                if "params" in self:
                    raise OptionError(f"{where}: the parameters of a group are fixed; use add_param_group")
                found[name] = value
                continue
            if name not in checks:
                close = (*SYNONYMS.get(name, ()), *difflib.get_close_matches(str(name), checks, 1))
                likely = next((word for word in close if word in checks), None)
                hint = f"; did you mean {likely!r}?" if likely else "."
                raise OptionError(
                    f"{where} has the unknown option {name!r}{hint} Options are {', '.join(checks)}"
                )
            wrong = checks[name](value)
            if wrong is not None:
                said = wrong if " must be " in wrong else f"{name} must be {wrong}, got {value!r}"
                raise OptionError(f"{where}: {said}")
            # A Python float leaves a float32 model float32; an np.float64 would not.
            if isinstance(value, (tuple, list)):
                found[name] = tuple(float(x) for x in value)
            else:
                found[name] = value if isinstance(value, bool) else float(value)
        everything = {**self, **found}
        if everything.keys() >= checks.keys():
            wrong = self.kind.conflict(everything)
            if wrong is not None:
                raise OptionError(f"{where}: {wrong}")
        return found

    def __setitem__(self, name: str, value: Any) -> None:
        super().update(self.checked({name: value}))

    def update(self, *others: Any, **options: Any) -> None:
        """Assign several options: all of them, or if one is refused, none."""
        super().update(self.checked(dict(*others, **options)))

    def _keeps(self, *_: Any) -> NoReturn:
        raise OptionError(f"{self.kind.__name__}: group {self.number}: a group keeps all its options")

    __delitem__ = pop = popitem = clear = _keeps

    def __ior__(self, others: Any) -> Self:  # type: ignore[override]
        self.update(others)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Group, (self.kind, self.number, dict(self))

    def setdefault(self, name: str, default: Any = None) -> Any:
        """The option; assigned, and checked, if it was missing."""
        if name not in self:
            self[name] = default
        return self[name]


def groups_of(who: str, params: Any) -> list[Any]:
    """What an optimizer is given, as a list of group dicts."""
    if hasattr(params, "named_parameters"):
        params = params.named_parameters()
    if isinstance(params, Node):
        raise OptionError(f"{who}: params is one tensor; wrap it in a list: [{spelled(params, 'W')}]")
    if isinstance(params, np.ndarray):
        raise OptionError(f"{who}: params is an array; wrap it in lo.Parameter and in a list")
    if not isinstance(params, Iterable) or isinstance(params, (str, dict)):
        raise OptionError(
            f"{who}: params must be a list of parameters or of groups, got {type(params).__name__}"
        )
    refuse_set(who, params)
    found = list(params)
    if found and all(isinstance(item, dict) for item in found):
        return found
    return [{"params": found}] if found else []


def parameters_of(who: str, params: Any) -> list[tuple[str | None, Any]]:
    """The parameters of a group with their names: a pair's or a model's first, else the parameter's own.

    A model's dotted name is the unique one; a parameter's own may stem from another model that it is
    in. A pair also names its parameter, if that has no name yet.
    """
    if isinstance(params, Node):
        params = [params]
    if hasattr(params, "named_parameters"):
        params = params.named_parameters()
    if not isinstance(params, Iterable) or isinstance(params, (str, dict)):
        raise OptionError(f"{who}: params must be a list of parameters, got {type(params).__name__}")
    refuse_set(who, params)
    found = []
    for i, item in enumerate(params):
        p, name = item, None
        if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str):
            name, p = item
            if isinstance(p, Node) and name_of(p) is None:
                p.name = item[0]  # type: ignore[attr-defined]
        if not isinstance(p, Node):
            raise OptionError(
                f"{who}: entry {i} is {type(p).__name__}, not a parameter; wrap it in lo.Parameter"
            )
        if p.op is not None:
            raise OptionError(f"{who}: entry {i}, {quoted(p)}, is not a leaf: it was computed by {p.op.name}")
        if not p.needs and not isinstance(p, Parameter):  # a frozen Parameter waits for its thaw
            raise OptionError(f"{who}: entry {i}, {quoted(p)}, does not require grad; use lo.Parameter")
        own = name_of(p)
        # "0.weight" says more than the "weight" by which the inner layer alone knows it.
        longer = own is not None and name is not None and own.endswith(f".{name}")
        found.append((own if name is None or longer else name, p))
    return found


def refuse_set(who: str, params: Any) -> None:
    """A set has another order in every run, and saved state is matched by order where names are missing."""
    if isinstance(params, (set, frozenset)):
        raise OptionError(f"{who}: params is a set, which has no order of its own; pass a list")


def split_decay(model: Any, weight_decay: float) -> list[dict[str, Any]]:
    """The two groups 'weights decay, biases do not', for any optimizer.

    Parameters with two axes or more decay. Those with one or none (biases, scales) do not: they bend
    nothing, so shrinking them costs fit and buys no simplicity. A group that would be empty is left
    out; of group dicts each is split, and keeps its other options.

    Raises:   OptionError: weight_decay is not finite and >= 0, or there are no parameters.
    Source:   lecture 001: regularize the weights W, not the offsets b.
    Example:
        >>> import tinygrad_lo as lo
        >>> W, b = lo.Parameter([[1.0, 2.0]], name="W"), lo.Parameter([0.0], name="b")
        >>> for group in split_decay([W, b], 0.01):
        ...     print([p.name for p in group["params"]], group["weight_decay"])
        ['W'] 0.01
        ['b'] 0.0
    """
    who = "split_decay"
    weight_decay = finite_number(who, "weight_decay", weight_decay, 0.0)
    found = []
    for group in groups_of(who, model):
        if "params" not in group:
            raise OptionError(f"{who}: a group is a dict with 'params', got {group!r}")
        named = parameters_of(who, group["params"])
        for flat, decay in ((False, weight_decay), (True, 0.0)):
            # A pair only where the name is not the parameter's own.
            part = [p if name == name_of(p) else (name, p) for name, p in named if (p.value.ndim < 2) == flat]
            if part:
                found.append({**group, "params": part, "weight_decay": decay})
    if not found:
        raise OptionError(f"{who}: empty parameter list (was a generator used twice?)")
    return found
