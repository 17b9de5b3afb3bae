"""The state of an optimizer, as it is saved, and as it is brought back to the parameters that it fits."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.machine.arguments import foreign
from tinygrad_lo.errors import CheckpointError, OptionError
from tinygrad_lo.names import differences

COUNTED: dict[str, Callable[[Any], Any]] = {"count": operator.index, "number": float}  # all else is arrays


@contextmanager
def nothing_changed(nonsense: str) -> Iterator[None]:
    """Around the examination of a saved state: what is wrong with it is a CheckpointError."""
    try:
        yield
    except OptionError as error:
        raise CheckpointError(f"{error}; nothing was changed") from error
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise CheckpointError(f"{nonsense} ({type(error).__name__}: {error}); nothing was changed") from error


def params_by_name(opt: Any) -> dict[str, Node]:
    """The parameters by name, or by position over all groups where they have none."""
    params = [p for group in opt.param_groups for p in group["params"]]
    named: dict[str, Node] = {}
    for i, p in enumerate(params):
        name = opt.names.get(p, str(i))
        if name in named:
            raise OptionError(f"{opt}: {name!r} stands for two parameters; give each a name of its own")
        named[name] = p
    return named


def state_of(opt: Any) -> dict[str, Any]:
    """An optimizer's `state_dict()`."""
    names = {p: name for name, p in params_by_name(opt).items()}
    groups = [{"names": [names[p] for p in group["params"]]} for group in opt.param_groups]
    for saved, group in zip(groups, opt.param_groups, strict=True):
        saved |= {k: group[k] for k in opt.options}
    state = {
        name: {k: np.array(x) if isinstance(x, (ndarray, np.generic)) else x for k, x in slots.items()}
        for p, name in names.items()
        if (slots := opt.state.get(p))
    }
    return {"class": str(opt), "groups": groups, "state": state}


def matched(opt: Any, saved: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[Node, dict[str, Any]]]:
    """The saved options for each group and the saved state for each parameter, all examined."""
    if saved["class"] != str(opt):
        raise OptionError(f"{opt}: the state is of {saved['class']}")
    saved_names = [name for group in saved["groups"] for name in group["names"]]
    partner = partners(opt, saved_names)
    options = [saved_options(opt, group, partner, saved["groups"]) for group in opt.param_groups]
    if wrong := differences([], [name for name in saved["state"] if name not in saved_names]):
        raise OptionError(f"{opt}: the state has {wrong}")
    pairs = [(p, name) for p, name in partner.items() if saved["state"].get(name)]
    return options, {p: slots_of(opt, p, name, saved["state"][name]) for p, name in pairs}


def partners(opt: Any, saved_names: list[str]) -> dict[Any, str]:
    """The saved name of each parameter: its own, or that at its position where one of them has none."""
    params = params_by_name(opt)
    partner: dict[Any, str] = {p: name for name, p in params.items() if name in saved_names}
    for i, (p, name) in enumerate(zip(params.values(), saved_names, strict=False)):
        if p not in partner and name not in params and (p not in opt.names or name == str(i)):
            partner[p] = name
    if wrong := differences([partner.get(p, name) for name, p in params.items()], saved_names):
        raise OptionError(f"{opt}: {wrong}")
    return partner


def saved_options(opt: Any, group: Any, partner: dict[Any, str], groups: list[Any]) -> dict[str, Any]:
    """The options of the saved group with the same parameters."""
    names = {partner[p] for p in group["params"]}
    same = next((saved for saved in groups if set(saved["names"]) == names), None)
    if same is None:
        raise OptionError(f"{opt}: group {group.number} holds {sorted(names)}, and no saved group does")
    if wrong := differences(["names", *opt.options], same):
        raise OptionError(f"{group.who}: options {wrong}")
    return group.checked({name: same[name] for name in opt.options})  # type: ignore[no-any-return]


def slots_of(opt: Any, p: Any, name: str, saved: dict[str, Any]) -> dict[str, Any]:
    """What the rule has kept for one parameter, copied."""
    kinds = opt.state_kinds
    if wrong := differences([key for key in kinds if key in saved or kinds[key] != "array?"], saved):
        raise OptionError(f"{opt}: the state of {name!r}: {wrong}")
    return {key: slot(f"{opt}: {key} of {name!r} is", kinds[key], x, p.value) for key, x in saved.items()}


def slot(what: str, kind: str, x: Any, w: Any) -> Any:
    """One thing that a rule has kept for a parameter."""
    if kind not in COUNTED:
        for saved, own in ((np.shape(x), w.shape), (x.dtype, w.dtype)):
            if saved != own:
                raise OptionError(f"{what} {saved} in the state, the parameter {own}")
    copied = partial(np.array, like=w) if foreign(w) else np.array
    value = COUNTED.get(kind, copied)(x)
    if not np.isfinite(value).all() or (kind == "count" and value < 0):
        raise OptionError(f"{what} not finite, or negative")
    return value
