"""Parameter groups: which parameters, with which options, and what an option may be."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, NoReturn, Self

from tinygrad_lo.engine.naming import name_of, named, quoted
from tinygrad_lo.engine.tensor import Parameter
from tinygrad_lo.errors import OptionError
from tinygrad_lo.names import first_of, named_leaves
from tinygrad_lo.options import OptionReader, flag, guess, is_finite, number, pair, public, unknown, whole

NOT_NEGATIVE = ("lr", "weight_decay", "dampening", "momentum_decay", "l1")
READERS: dict[str, OptionReader] = {
    **dict.fromkeys(NOT_NEGATIVE, partial(number, at_least=0.0)),
    **dict.fromkeys(("momentum", "decay", "rho"), partial(number, at_least=0.0, below=1.0)),
    "betas": partial(pair, at_least=0.0, below=1.0),
    "eps": partial(number, above=0.0),  # without it, a gradient of 0 would be divided by 0
}
BY_TYPE: dict[str, OptionReader] = {"bool": flag, "float": number, "int": whole}


def options_of(kind: type) -> dict[str, inspect.Parameter]:
    """The options of an optimizer or a schedule: its signature without what they are for."""
    return dict(list(inspect.signature(kind).parameters.items())[1:])


def reader(option: inspect.Parameter) -> OptionReader:
    """What reads an option: the one of its name, else of its type, which a default may tell."""
    kind = option.annotation
    if kind is option.empty and isinstance(option.default, (bool, float)):
        kind = type(option.default)
    return READERS.get(option.name) or BY_TYPE.get(getattr(kind, "__name__", kind)) or as_given


def as_given(who: str, name: str, value: Any) -> Any:
    """Of a type that only the rule knows."""
    return value


class ParamGroup(dict[str, Any]):
    """The options of some parameters. A dict that checks what is assigned: `group["lr"] = 0.1`."""

    def __init__(self, kind: Any, number: int, options: dict[str, Any]) -> None:
        self.kind = kind  # the optimizer's class: its name, its options, its conflicts
        self.number = number
        self.who = f"{kind.__name__}: group {number}"
        super().__init__(params=options["params"])
        self.update({name: value for name, value in options.items() if name != "params"})

    def checked(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """These options as they are kept, if each of them is valid and all go together."""
        options = {}
        for name, value in values.items():
            if name == "params":
                raise OptionError(f"{self.who}: the parameters of a group are fixed; use add_param_group")
            if name not in self.kind.options:
                raise unknown(self.who, name, self.kind.options)
            options[name] = self.kind.options[name](self.who, name, value)
        if conflict := self.kind.conflict({**self, **options}):
            raise OptionError(f"{self.who}: {conflict}")
        for p in self["params"] if "eps" in options else ():
            if p.value.dtype.type(options["eps"]) == 0:
                raise OptionError(
                    f"{self.who}: eps {options['eps']} is 0 in {p.value.dtype}, the dtype of "
                    f"{quoted(p, 'a parameter')}; use eps=1e-3 or float32"
                )
        return options

    def __setitem__(self, name: str, value: Any) -> None:
        super().update(self.checked({name: value}))

    def update(self, *others: Any, **options: Any) -> None:
        """Assign several options: all of them, or if one is refused, none."""
        super().update(self.checked(dict(*others, **options)))

    def __ior__(self, others: Any) -> Self:  # type: ignore[override]
        self.update(others)
        return self

    def setdefault(self, name: str, default: Any = None) -> Any:
        """The option; assigned, and checked, if it was missing."""
        if name not in self:
            self[name] = default
        return self[name]

    def _keeps(self, *_: Any) -> NoReturn:
        raise OptionError(f"{self.who}: a group keeps all its options")

    __delitem__ = pop = popitem = clear = _keeps

    def __reduce__(self) -> tuple[Any, ...]:
        return ParamGroup, (self.kind, self.number, dict(self))


def as_groups(params: Any) -> list[Any]:
    """What an optimizer is given, as a list of groups: it may be one, a list of them, or parameters."""
    if isinstance(params, Iterator):
        params = list(params)
    if isinstance(params, dict) and "params" in params:
        return [params]
    if isinstance(params, (list, tuple)) and params and all(isinstance(item, dict) for item in params):
        return list(params)
    return [{"params": params}]


def params_of(who: str, group: Any) -> list[tuple[str | None, Any]]:
    """The parameters of a group with their names, which those without one take on."""
    if not isinstance(group, dict) or "params" not in group:
        raise OptionError(f"{who}: a group is a dict with 'params', got {group!r}")
    pairs = named_leaves(who, group["params"])
    for i, (name, p) in enumerate(pairs):
        if not p.needs and not isinstance(p, Parameter):  # a frozen Parameter waits for its thaw
            which = f"entry {i}, {quoted(p, 'a parameter')},"
            raise OptionError(f"{who}: {which} does not require grad; use lo.Parameter")
        if name is not None and name_of(p) is None:
            named(p, name)
    return pairs


@public
def parameter_groups(model: Any, patterns: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Groups by the names of parameters, for any optimizer: {"*.bias": {"weight_decay": 0.0}}.

    A parameter takes the options of every pattern that its name matches, later ones win; one that matches
    none keeps the optimizer's own. Parameters with the same options are one group. In a pattern * stands for
    anything, ? for a character, [ab] for one of several.

    Raises:   OptionError: a pattern matches no name; patterns is no dict of dicts, or names "params".
    Source:   the standard library's fnmatch.
    Example:
        >>> import tinygrad_lo as lo
        >>> model = lo.nn.Sequential(lo.nn.Linear(2, 3), lo.nn.Linear(3, 1))
        >>> groups = lo.optim.parameter_groups(model, {"*.bias": {"weight_decay": 0.0}, "0.*": {"lr": 1e-4}})
        >>> lo.optim.AdamW(groups, lr=1e-3)
        AdamW(
          group 0: lr=0.0001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.01, amsgrad=False  [0.weight]
          group 1: lr=0.0001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0, amsgrad=False  [0.bias]
          group 2: lr=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.01, amsgrad=False  [1.weight]
          group 3: lr=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0, amsgrad=False  [1.bias]
        )
    """
    who = "parameter_groups"
    if not isinstance(patterns, Mapping) or not all(isinstance(x, Mapping) for x in patterns.values()):
        such = '{"*.bias": {"weight_decay": 0.0}}'
        raise OptionError(f"{who}: patterns is a dict such as {such}, got {patterns!r}")
    pairs = params_of(who, {"params": model})
    names = [str(i) if name is None else name for i, (name, _) in enumerate(pairs)]
    for pattern, chosen in patterns.items():
        if not isinstance(pattern, str) or "params" in chosen:
            raise OptionError(f"{who}: a pattern gives options to names, got {pattern!r}: {chosen!r}")
        if not any(fnmatchcase(name, pattern) for name in names):
            raise OptionError(f"{who}: {pattern!r} matches none of {first_of(names)}{guess(pattern, names)}")
    groups: dict[str, dict[str, Any]] = {}
    for name, (own, p) in zip(names, pairs, strict=True):
        options: dict[str, Any] = {}
        for pattern, chosen in patterns.items():
            options |= chosen if fnmatchcase(name, pattern) else {}
        same = repr(sorted((k, float(x) if is_finite(x) else x) for k, x in options.items()))  # 1 is 1.0
        group = groups.setdefault(same, {"params": [], **options})
        group["params"].append(entry(own, p))
    return list(groups.values())


def entry(name: str | None, p: Any) -> Any:
    """A parameter in a list; as a pair where the name is not its own."""
    return p if name == name_of(p) else (name, p)


@public
def split_decay(model: Any, weight_decay: float) -> list[dict[str, Any]]:
    """The two groups 'weights decay, biases do not', for any optimizer.

    Parameters with two axes or more decay. Those with one or none (biases, scales) do not: they bend
    nothing. A group that would be empty is left out; group dicts are split, and keep their other options.

    Raises:   OptionError: weight_decay is not finite and >= 0, or there are no parameters.
    Source:   lecture 001: regularize the weights W, not the offsets b.
    Example:
        >>> import tinygrad_lo as lo
        >>> W, b = lo.Parameter([[1.0, 2.0]], name="W"), lo.Parameter([0.0], name="b")
        >>> [(group["params"][0].name, group["weight_decay"]) for group in lo.optim.split_decay([W, b], 0.01)]
        [('W', 0.01), ('b', 0.0)]
    """
    decay = number("split_decay", "weight_decay", weight_decay, at_least=0.0)
    groups = []
    for group in as_groups(model):
        parts: list[tuple[float, list[Any]]] = [(decay, []), (0.0, [])]
        for name, p in params_of("split_decay", group):
            parts[p.value.ndim < 2][1].append(entry(name, p))
        groups += [{**group, "params": part, "weight_decay": own} for own, part in parts if part]
    return groups
