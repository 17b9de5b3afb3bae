"""Parameters of one group as one flat array, so that a rule runs once for all of them.

The rules are elementwise, so the bits are the same. What is saved is a call of the rule for each
parameter, which costs more than its arithmetic until an array has some ten thousand elements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter, is_
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Array
from tinygrad_lo.engine.leaves import given

VALUE = attrgetter("value")
LARGE = 2**14  # elements from which a parameter goes alone: copying its gradient costs more than a call
Slots = dict[str, Any]
Kept = dict[Any, Slots]  # by parameter


class Pack:
    """Parameters of one dtype that a rule treats as one.

    The parameters hold windows of the flat values. What the rule keeps is flat, too, and `states`, which are
    theirs, hold windows of it; counts in them are brought up to date by `settle`.
    """

    def __init__(self, params: list[Any], kept: Kept) -> None:
        self.params = params
        self.kept = kept
        states = self.states = [kept.get(p, {}) for p in params]
        ends = np.cumsum([0, *(p.value.size for p in params)]).tolist()
        self.parts = [slice(*ends[i : i + 2]) for i in range(len(params))]
        self.shapes = [p.value.shape for p in params]
        self.scalars = not any(self.shapes)
        self.dtype = params[0].value.dtype
        self.cuts = list(map(cut_of, self.parts, self.shapes))
        self.flat: Array = None
        self.windows: list[Array] = []
        self.state: Slots = {}
        self.shown: list[Slots] = [{} for _ in params]  # what was written into the states
        for key, value in states[0].items():
            together = [state[key] for state in states]
            self.show(key, np.concatenate(together, None) if isinstance(value, ndarray) else value)

    def values(self) -> Array:
        """The parameters as one array: that of the last step, if nobody has assigned others since."""
        if self.windows and all(map(is_, map(VALUE, self.params), self.windows)):
            return self.flat
        return self.join([p.value for p in self.params])

    def join(self, parts: list[Array]) -> Array:
        """Values or gradients of the parameters as one array."""
        return np.fromiter(parts, self.dtype, len(parts)) if self.scalars else np.concatenate(parts, None)

    def step(self, rule: Callable[..., Array], g: Array, group: Mapping[str, Any]) -> None:
        """Apply a rule; `g` is the gradients as one array."""
        known = len(self.state)
        self.flat = rule(self.values(), g, self.state, group)
        self.windows = self.cut(self.flat)
        given(self.params, self.windows)
        if len(self.state) > known:  # the rule has begun to keep something
            for key, value in self.state.items():
                self.show(key, value)
            self.kept.update(zip(self.params, self.states, strict=True))

    def cut(self, flat: Array) -> list[Array]:
        """The part of each parameter, as it holds it: a window, or of a scalar a number."""
        if self.scalars:
            return list(flat)
        return [flat[at].reshape(shape) if shape else flat[at] for at, shape in self.cuts]

    def show(self, key: str, value: Any) -> None:
        """Keep something for all parameters, and let each state hold its window of it."""
        self.state[key] = value
        for state, shown, part, shape in zip(self.states, self.shown, self.parts, self.shapes, strict=True):
            state[key] = shown[key] = value[part].reshape(shape) if isinstance(value, ndarray) else value

    def settle(self) -> None:
        """Bring the counts in the states up to date, where nobody has written another one."""
        for key, value in self.state.items():
            if not isinstance(value, ndarray):
                for state, shown in zip(self.states, self.shown, strict=True):
                    if state.get(key) is shown[key]:
                        state[key] = shown[key] = value

    def holds(self) -> bool:
        """Whether the states are still what was written into them."""
        return all(
            state.keys() == shown.keys() and all(map(is_, state.values(), map(shown.get, state)))
            for state, shown in zip(self.states, self.shown, strict=True)
        )


def cut_of(part: slice, shape: tuple[int, ...]) -> tuple[slice | int, tuple[int, ...]]:
    """What to take of a flat array, and the shape to give it if it has not got it: a number by its place."""
    return (part if shape else part.start), (shape if len(shape) > 1 else ())


class Jobs:
    """What a step does with the parameters that have a gradient: a rule once for a pack, or once for each."""

    def __init__(self, live: list[Any], owners: list[Any], kept: Kept, opt: Any, flat: bool) -> None:
        self.live, self.flat = live, flat
        self.owners = [(group, opt.keeps(group), start, end) for group, start, end in owners]
        self.packs: list[tuple[Pack, list[int], Any]] = []  # each with its places in `live`, and its group
        self.alone: list[tuple[list[Any], Any]] = []  # those of a group that go alone, and the group
        order: list[int] = []
        for group, keeps, start, end in self.owners:
            states = kept if keeps else {}
            packs: list[list[int]] = []
            rest = list(range(start, end))
            if opt.elementwise:
                packs, rest = divided(live, rest, states, arrays=keeps or flat)
            for places in packs:
                self.packs.append((Pack([live[i] for i in places], states), places, group))
            order += rest
            if rest:
                self.alone.append(([live[i] for i in rest], group))
        self.order = order
        self.whole = len(self.packs) == 1 and not order  # mostly: one pack of all

    def fits(self, live: list[Any], opt: Any, flat: bool) -> bool:
        """Whether these are the parameters, and their groups' rules still keep what they kept."""
        same = live is self.live or (len(live) == len(self.live) and all(map(is_, live, self.live)))
        same = same and flat is self.flat
        return same and all(opt.keeps(group) == keeps for group, keeps, _, _ in self.owners)

    def gathered(self, grads: list[Array]) -> list[Array]:
        """The gradients as the rules take them: of each pack as one array, then of those that go alone."""
        if self.whole:
            return [self.packs[0][0].join(grads)]
        flat = [pack.join([grads[i] for i in places]) for pack, places, _ in self.packs]
        return [*flat, *(grads[i] for i in self.order)]

    def run(self, opt: Any, arrays: list[Array]) -> None:
        """Apply the optimizer's rule to all."""
        for (pack, _, group), g in zip(self.packs, arrays, strict=False):
            pack.step(opt.rule, g, group)
        start = len(self.packs)
        for params, group in self.alone:
            opt.update(params, arrays[start : start + len(params)], group)
            start += len(params)

    def settle(self) -> None:
        """Bring the counts in the states up to date."""
        for pack, _, _ in self.packs:
            pack.settle()

    def hold(self) -> bool:
        """Whether nobody has changed the states."""
        return all(pack.holds() for pack, _, _ in self.packs)


def divided(live: list[Any], places: list[int], kept: Kept, *, arrays: bool) -> tuple[Any, list[int]]:
    """The places of parameters that go together, and of those that go alone: large ones, or all arrays."""
    together: dict[Any, list[int]] = {}
    for i in places:
        together.setdefault(company(live[i], kept, arrays) or i, []).append(i)
    alone = [several[0] for several in together.values() if len(several) == 1]
    return [several for several in together.values() if len(several) > 1], alone


def company(p: Any, kept: Kept, arrays: bool) -> tuple[Any, ...]:
    """What the parameters of a pack share: dtype and counts; nothing, if this one goes alone."""
    w = p.value
    if not isinstance(w, np.floating) and not (type(w) is ndarray and arrays and w.size < LARGE):
        return ()
    return (w.dtype, *((name, isinstance(x, ndarray) or x) for name, x in kept.get(p, {}).items()))
