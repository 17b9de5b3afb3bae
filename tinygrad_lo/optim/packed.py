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
State = dict[str, Any]


class Pack:
    """Parameters of one dtype that a rule treats as one.

    The parameters hold windows of the flat values. What the rule keeps is flat, too, and `states`, which are
    theirs, hold windows of it; counts in them are brought up to date by `settle`.
    """

    def __init__(self, params: list[Any], kept: dict[Any, State]) -> None:
        self.params = params
        self.kept = kept
        states = self.states = [kept.get(p, {}) for p in params]
        ends = np.cumsum([0, *(p.value.size for p in params)]).tolist()
        self.parts = [slice(*ends[i : i + 2]) for i in range(len(params))]
        self.shapes = [p.value.shape for p in params]
        self.scalars = not any(self.shapes)
        self.flat: Array = None
        self.windows: list[Array] = []
        self.state: State = {}
        self.shown: list[State] = [{} for _ in params]  # what was written into the states
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
        return np.array(parts) if self.scalars else np.concatenate(parts, None)

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
        return [
            flat[part] if len(shape) == 1 else flat[part].reshape(shape)[()]
            for part, shape in zip(self.parts, self.shapes, strict=True)
        ]

    def show(self, key: str, value: Any) -> None:
        """Keep something for all parameters, and let each state hold its window of it."""
        self.state[key] = value
        for state, shown, part, shape in zip(self.states, self.shown, self.parts, self.shapes, strict=True):
            state[key] = shown[key] = value[part].reshape(shape) if isinstance(value, ndarray) else value

    def settle(self) -> None:
        """Bring the counts in the states up to date."""
        for key, value in self.state.items():
            if not isinstance(value, ndarray):
                for state, shown in zip(self.states, self.shown, strict=True):
                    state[key] = shown[key] = value

    def holds(self) -> bool:
        """Whether the states are still what was written into them."""
        return all(
            state.keys() == shown.keys() and all(map(is_, state.values(), map(shown.get, state)))
            for state, shown in zip(self.states, self.shown, strict=True)
        )


class Plan:
    """How the parameters of a group that have a gradient are stepped: some in packs, the others alone.

    Packing arrays pays if the rule keeps something of them (`kept`, which is None if not), scalars always.
    """

    def __init__(self, params: list[Any], kept: dict[Any, State] | None) -> None:
        self.params = params
        together: dict[Any, list[int]] = {}
        for i, p in enumerate(params):
            w = p.value
            if isinstance(w, np.floating) or (type(w) is ndarray and kept is not None and w.size < LARGE):
                state = (kept or {}).get(p, {})
                counts = [(key, isinstance(x, ndarray) or x) for key, x in state.items()]
                together.setdefault((w.dtype, *counts), []).append(i)
        self.packs = [
            (Pack([params[i] for i in places], {} if kept is None else kept), places)
            for places in together.values()
            if len(places) > 1
        ]
        packed = {i for _, places in self.packs for i in places}
        self.alone = [i for i in range(len(params)) if i not in packed]

    def settle(self) -> None:
        """Bring the counts in the states up to date."""
        for pack, _ in self.packs:
            pack.settle()

    def fits(self, params: list[Any]) -> bool:
        """Whether it is about these parameters."""
        return len(params) == len(self.params) and all(map(is_, params, self.params))
