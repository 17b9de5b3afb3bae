"""The state of an optimizer, as it is saved, and as it is brought back to the parameters that it fits."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Node
from tinygrad_lo.errors import CheckpointError, OptionError
from tinygrad_lo.names import differences

SavedNames = dict[Any, str]  # the name of each parameter


@contextmanager
def nothing_changed(nonsense: str) -> Iterator[None]:
    """Around the examination of a saved state: what is wrong with it is a CheckpointError."""
    try:
        yield
    except OptionError as error:
        raise CheckpointError(f"{error}; nothing was changed") from error
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise CheckpointError(f"{nonsense} ({type(error).__name__}: {error}); nothing was changed") from error


def states_by_name(opt: Any) -> dict[str, Node]:
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
    names = {p: name for name, p in states_by_name(opt).items()}
    groups = [
        {"names": [names[p] for p in group["params"]], **{k: group[k] for k in opt.options}}
        for group in opt.param_groups
    ]
    state = {
        name: {k: np.array(x) if isinstance(x, (ndarray, np.generic)) else x for k, x in mine.items()}
        for p, name in names.items()
        if (mine := opt.state.get(p))
    }
    return {"class": str(opt), "groups": groups, "state": state}


def matched(opt: Any, saved: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[Node, dict[str, Any]]]:
    """The saved options for each group and the saved state for each parameter, all examined."""
    if saved["class"] != str(opt):
        raise OptionError(f"{opt}: the state is of {saved['class']}")
    there = [name for group in saved["groups"] for name in group["names"]]
    partner = partners(opt, there)
    options = [saved_options(opt, group, partner, saved["groups"]) for group in opt.param_groups]
    strange = [name for name in saved["state"] if name not in there]
    if strange:
        raise OptionError(f"{opt}: the state has {differences([], strange)}")
    states = {
        p: saved_slots(opt, p, name, saved["state"][name])
        for p, name in partner.items()
        if saved["state"].get(name)
    }
    return options, states


def partners(opt: Any, there: list[str]) -> SavedNames:
    """The saved name of each parameter: its own, or that at its position where one of them has none."""
    here = states_by_name(opt)
    partner: SavedNames = {p: name for name, p in here.items() if name in there}
    for i, (p, place) in enumerate(zip(here.values(), there, strict=False)):
        if p not in partner and place not in here and (p not in opt.names or place == str(i)):
            partner[p] = place
    left = [name for name in there if name not in partner.values()]
    wrong = differences([name for name, p in here.items() if p not in partner], left)
    if wrong or len(there) != len(here):
        raise OptionError(f"{opt}: {wrong or f'{len(there)} parameters in the state, {len(here)} here'}")
    return partner


def saved_options(opt: Any, group: Any, partner: SavedNames, groups: list[dict[str, Any]]) -> dict[str, Any]:
    """The options of the saved group with the same parameters."""
    names = {partner[p] for p in group["params"]}
    same = next((saved for saved in groups if set(saved["names"]) == names), None)
    if same is None:
        raise OptionError(f"{opt}: group {group.number} holds {sorted(names)}, and no saved group does")
    options = {name: value for name, value in same.items() if name != "names"}
    wrong = differences(opt.options, options)
    if wrong:
        raise OptionError(f"{group.who}: options {wrong}")
    return group.checked(options)  # type: ignore[no-any-return]


def saved_slots(opt: Any, p: Any, name: str, saved: dict[str, Any]) -> dict[str, Any]:
    """The state of one parameter, copied."""
    slots = [key for key, kind in opt.memory.items() if key in saved or kind != "array?"]
    wrong = differences(slots, saved)
    if wrong:
        raise OptionError(f"{opt}: the state of {name!r}: {wrong}")
    return {
        key: slot(f"{opt}: {key} of {name!r} is", opt.memory[key], x, p.value) for key, x in saved.items()
    }


def slot(what: str, kind: str, x: Any, w: Any) -> Any:
    """One thing that a rule has kept for a parameter."""
    if kind == "count":
        value: Any = operator.index(x)
    elif kind == "number":
        value = float(x)
    elif np.shape(x) != w.shape:
        raise OptionError(f"{what} {np.shape(x)} in the state, the parameter {w.shape}")
    elif x.dtype != w.dtype:
        raise OptionError(f"{what} {x.dtype} in the state, the parameter {w.dtype}")
    else:
        value = np.array(x)
    if not np.isfinite(value).all() or (kind == "count" and value < 0):
        raise OptionError(f"{what} not finite, or negative")
    return value
