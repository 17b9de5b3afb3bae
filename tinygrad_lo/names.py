"""Parameters and their names: the one reader of `params` in all the forms that users write."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.naming import name_of
from tinygrad_lo.errors import OptionError

Named = list[tuple[str | None, Any]]


def named_values(who: str, params: Any) -> Named:
    """(name or None, value) for a tensor, a list or generator, pairs (name, value), a dict, or a model.

    Raises:   OptionError: text, a number, or a set, whose order is another one in every run.
    """
    if isinstance(params, (Node, np.ndarray)):
        params = [params]
    elif hasattr(params, "named_parameters"):
        params = params.named_parameters()
    elif isinstance(params, dict):
        params = params.items()
    if isinstance(params, (set, frozenset)):
        raise OptionError(f"{who}: params is a set, which has no order of its own; pass a list")
    if not isinstance(params, Iterable) or isinstance(params, (str, bytes)):
        raise OptionError(
            f"{who}: params must be a tensor, a list of them, of (name, tensor) pairs, a dict or a model, "
            f"got {type(params).__name__}"
        )
    return list(map(as_pair, params))


def as_pair(item: Any) -> tuple[str | None, Any]:
    """An entry of a list with its name: a pair's, else the tensor's own."""
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str):
        name, value = item
        own = name_of(value) if isinstance(value, Node) else None
        # "0.weight" says more than the "weight" by which the inner layer alone knows it.
        return (own, value) if own is not None and own.endswith(f".{name}") else (name, value)
    return (name_of(item) if isinstance(item, Node) else None), item


def named_leaves(who: str, params: Any) -> Named:
    """The parameters with their names.

    Raises:   OptionError: no parameters, anything else than leaves among them, one that comes twice.
    """
    leaves: dict[Any, str | None] = {}
    for i, (name, p) in enumerate(named_values(who, params)):
        text = f"entry {i}" if name is None else f"entry {i}, {name!r},"
        if not isinstance(p, Node):
            kind = type(p).__name__
            raise OptionError(f"{who}: {text} is {kind}, not a parameter; wrap it in lo.Parameter")
        if p.op is not None:
            raise OptionError(f"{who}: {text} is not a leaf: it was computed by {p.op.name}")
        if p in leaves:
            raise OptionError(f"{who}: {text} is in the list twice")
        leaves[p] = name
    if not leaves:
        raise OptionError(f"{who}: empty parameter list (was a generator used twice?)")
    return [(name, p) for p, name in leaves.items()]


def differences(expected: Iterable[str], there: Iterable[str]) -> str:
    """What is wrong with the names of a saved state, '' if nothing: missing, unexpected, likely slips."""
    wanted, found = dict.fromkeys(expected), dict.fromkeys(there)
    missing = [name for name in wanted if name not in found]
    unexpected = [name for name in found if name not in wanted]
    texts = [f"missing: {first_of(missing)}"] if missing else []
    if unexpected:
        free = missing[:99]  # of a thousand names, all pairs would take seconds
        texts.append(f"unexpected: {first_of(unexpected)}{likely_slips(unexpected, free)}")
    return ", ".join(texts)


def likely_slips(unexpected: list[str], missing: list[str]) -> str:
    """Which of the missing names the unexpected ones were meant to be; '' where none is like them."""
    near = [(name, difflib.get_close_matches(str(name), missing, 1, 0.5)) for name in unexpected[:9]]
    several = len(unexpected) > 1
    slips = [f"{best[0]!r} for {name!r}" if several else repr(best[0]) for name, best in near if best]
    return f" (did you mean {', '.join(slips)}?)" if slips else ""


def misfits(mine: Mapping[str, Any], theirs: Mapping[str, Any], there: str) -> str:
    """What keeps saved arrays from the places of present ones, '' if nothing: names, shapes, dtypes."""
    problems = [names] if (names := differences(mine, theirs)) else []
    for name in filter(theirs.__contains__, mine):
        new, old = theirs[name], mine[name]
        dtypes = getattr(new, "dtype", None), old.dtype.newbyteorder("=")
        for a, b in ((np.shape(new), old.shape), dtypes):
            if a is None or a != b:  # NumPy: None == float64
                problems.append(f"{name!r} is {a} in the {there}, {b} in the model")
                break
    return "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else "")


def first_of(names: list[str]) -> str:
    """Names for a message: the first ones of many."""
    return str(names) if len(names) <= 9 else f"{str(names[:9])[:-1]}, and {len(names) - 9} more]"
