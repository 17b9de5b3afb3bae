"""The search over conventions: what losses and steps have in common when they are compared with ours."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np

from tinygrad_lo import options as reading
from tinygrad_lo.checking.homework import Homework
from tinygrad_lo.checking.samples import Draw
from tinygrad_lo.checking.student import calling, check_of, must_not_change
from tinygrad_lo.engine.graph import Array
from tinygrad_lo.errors import OptionError

Options = dict[str, Any]
Values = Sequence[tuple[Any, str]]  # values of an option, each with what a function with it does


@dataclass(frozen=True)
class Mistake:
    """A usual mistake: what the function does, in words, and the cause that a report gives."""

    said: str
    cause: str = field(default="convention", kw_only=True)


@dataclass(frozen=True, kw_only=True)
class Known:
    """How something of the library may be written."""

    slips: tuple[Any, ...] = ()
    options: Mapping[str, Values] = field(default_factory=dict)  # that have other values than elsewhere
    required: Options = field(default_factory=dict)  # options without a default
    draw: Draw = lambda *_: {}  # a loss: arguments on which to compare it
    before: tuple[Callable[[Any], Any], str] | None = None  # what a caller may have done to the scores


@dataclass(frozen=True)
class Variant:
    """Something of the library with some options and perhaps a slip; `said` is what differs, in words."""

    name: str
    options: Options
    said: tuple[str, ...] = ()
    slip: Any = None

    kind: ClassVar[str]
    module: ClassVar[Any]
    data: ClassVar[str]  # how a call writes what comes before the options
    table: ClassVar[Mapping[str, Known]]
    meanings: ClassVar[Mapping[str, Values]]  # of the options, what their values mean

    @classmethod
    def asked_for(cls, who: str, fn: Any, name: str, options: Options) -> Self:
        """What a function is compared with: the options that were said, and the defaults of the others."""
        reading.function(who, fn, "(f, name)")
        if not isinstance(name, str) or name not in cls.table:
            hint = reading.guess(name, cls.table) or "."
            raise OptionError(f"{who}: {name!r} is no {cls.kind}{hint} There are {', '.join(cls.table)}")
        known = cls(name, {}).signature()
        for word in options:
            if word not in known:
                raise reading.unknown(f"{who}: {name}", word, known)
        said = {**cls.table[name].required, **options}
        return cls(name, {word: said.get(word, p.default) for word, p in known.items()})

    def signature(self) -> dict[str, inspect.Parameter]:
        """The options that it has; weights of the samples are data."""
        parameters = inspect.signature(getattr(self.module, self.name)).parameters
        return {
            k: p for k, p in parameters.items() if (p.kind is p.KEYWORD_ONLY and k != "weights") or k == "lr"
        }

    def call(self) -> str:
        """How it is written with this library: with the options that are no defaults, and lr."""
        known = self.signature().items()
        shown = [f"{k}={self.options[k]!r}" for k, p in known if k == "lr" or self.options[k] != p.default]
        return f"lo.{self.module.__name__.rpartition('.')[2]}.{self.name}({', '.join([self.data, *shown])})"

    @property
    def besides(self) -> str:
        """What differs, as the end of a sentence about something else."""
        return f"; besides, it {' and '.join(self.said)}" if self.said else ""

    def values(self) -> Mapping[str, Values]:
        """The options in which its variants differ."""
        known = {**self.meanings, **self.table[self.name].options}
        return {option: known[option] for option in self.options if option in known}

    def variants(self, most: int) -> Iterator[Self]:
        """All that differ in up to `most` things, those in few first; a slip counts as one."""
        yield self
        for count, slip in itertools.product(range(1, most + 1), (None, *self.table[self.name].slips)):
            for changes in self.changes(count - bool(slip)):
                changed = {option: value for option, value, _ in changes}
                said = (*([slip.said] if slip else []), *(text for *_, text in changes))
                yield replace(self, options={**self.options, **changed}, said=said, slip=slip)

    def changes(self, count: int) -> Iterator[tuple[tuple[str, Any, str], ...]]:
        """(option, other value, what it does) for so many of the options at once."""
        others = [
            [(option, value, text) for value, text in values if value != self.options[option]]
            for option, values in self.values().items()
        ]
        for options in itertools.combinations(others, count):
            yield from itertools.product(*options)

    def report(self, who: str, fn: Any) -> Homework:
        """The report of a check of this function as this one."""
        return Homework(f"{check_of(who, fn)} as {self.name}")

    def note(self, work: Homework, subject: str, ours: str, found: Self, tail: str = "") -> None:
        """Say which variant of this one a student's function is, and what was asked for."""
        words = [
            next((text for value, text in values if value == asked), f"has {option}={asked!r}")
            for option, values in self.values().items()
            if found.options[option] != (asked := self.options[option])
        ]
        instead = f"; {ours} {' and '.join(words)}" if words else ""
        work.match = found.call() if found.slip is None else None
        cause = found.slip.cause if found.slip else "convention"
        work.fail(cause, f"your {subject} {' and '.join(found.said)}{instead}{tail}")


def each_of(text: str, *values: float) -> list[tuple[float, str]]:
    """Values of an option that are said alike."""
    return [(value, text.format(value)) for value in values]


def called(
    who: str, fn: Callable[..., Any], arrays: Mapping[str, Array], *rest: Any, heard: bool, **options: Any
) -> Any:
    """What a student's function returns for copies of these arrays, which it must leave as they are."""
    copies = [np.array(a) if np.ndim(a) else float(a) for a in arrays.values()]
    with calling(heard=heard):
        result = fn(*copies, *rest, **options)
    for (what, a), copy in zip(arrays.items(), copies, strict=True):
        must_not_change(who, what, a, copy)
    return result
