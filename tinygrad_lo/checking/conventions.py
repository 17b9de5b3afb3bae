"""The search over conventions: what losses and steps have in common when they are compared with ours."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from tinygrad_lo import options as reading
from tinygrad_lo.errors import DTypeError, OptionError

Options = dict[str, Any]
Values = Sequence[tuple[Any, str]]  # values of an option, each with what a function with it does


class HasWords(Protocol):
    """A usual mistake, which has its words."""

    @property
    def said(self) -> str:
        """What the function does."""


S = TypeVar("S", bound=HasWords)


def must_be_known(who: str, fn: Callable[..., Any], name: str, known: Collection[str], kind: str) -> None:
    """Raise unless there is a function to check, and something of that name to compare it with."""
    if not callable(fn):
        raise DTypeError(f"{who}: the first argument is the function itself, got {type(fn).__name__}")
    if not isinstance(name, str) or name not in known:
        likely = reading.meant(name, known)
        hint = f"Did you mean {likely!r}? " if likely else ""
        raise OptionError(f"{who}: {name!r} is no {kind}. {hint}There are {', '.join(known)}")


def must_be_options(who: str, words: Collection[str], known: Collection[str]) -> None:
    """Raise for the first option that is none of those known."""
    for word in words:
        if word not in known:
            raise reading.unknown(who, word, known)


def other_values(options: Mapping[str, Values], expected: Options) -> dict[str, Values]:
    """Each option with all its values but the expected one."""
    return {
        option: [(value, said) for value, said in values if value != expected[option]]
        for option, values in options.items()
    }


def departures(
    axes: Mapping[str, Values], slips: Sequence[S], most: int
) -> Iterator[tuple[Options, tuple[str, ...], S | None]]:
    """All ways to differ in up to `most` things, few first: other values, their words, and a slip or None."""
    for count in range(most + 1):
        for slip in (None, *(slips if count else ())):
            for chosen in itertools.combinations(axes, count if slip is None else count - 1):
                for values in itertools.product(*(axes[option] for option in chosen)):
                    changed = {option: value for option, (value, _) in zip(chosen, values, strict=True)}
                    said = (slip.said,) if slip else ()
                    yield changed, (*said, *(text for _, text in values)), slip


def instead(options: Mapping[str, Values], yours: Options, expected: Options) -> list[str]:
    """What was asked for, in the words of the options that differ."""
    words = []
    for option, values in options.items():
        if option in expected and yours[option] != expected[option]:
            said = next((text for value, text in values if value == expected[option]), None)
            words.append(said or f"has {option}={expected[option]!r}")
    return words


def call_of(function: str, first: str, options: Options, known: Mapping[str, inspect.Parameter]) -> str:
    """A call as it is written with this library: with the options that are no defaults, and lr."""
    shown = [f"{k}={v!r}" for k, v in options.items() if k == "lr" or v != default(known.get(k))]
    return f"lo.{function}({', '.join([first, *shown])})"


def default(parameter: inspect.Parameter | None) -> Any:
    """The default of a parameter, if there is one."""
    return inspect.Parameter.empty if parameter is None else parameter.default
