"""Exponentially weighted averages of parameters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Array
from tinygrad_lo.engine.leaves import place, placed
from tinygrad_lo.errors import GraphError, NonFiniteError, OptionError
from tinygrad_lo.names import differences, misfits, named_leaves
from tinygrad_lo.optim.clipping import where_not_finite
from tinygrad_lo.optim.saved import nothing_changed
from tinygrad_lo.options import number, public, whole


class Average:
    """The exponentially weighted average of parameters, often better than their last values.

    It starts at the values that the parameters have when it is made. Call `update()` after each step
    of the optimizer, measure with `with average.applied():`.

        avg ← alpha · x + (1 − alpha) · avg

    alpha weights the NEW value: a small alpha remembers long, about 1/alpha updates.

    Raises:   OptionError: alpha outside (0, 1]; an empty list, no leaves, a parameter or name twice.
    Source:   lecture 003, EWMA ← αx + (1−α) EWMA. RMSprop's γ, and the decay of PyTorch's
              get_ema_multi_avg_fn, weight the old value: decay = 1 − alpha.
    Example:
        >>> import tinygrad_lo as lo
        >>> w = lo.Parameter([0.0], name="w")
        >>> average = lo.optim.Average([w], alpha=0.5)
        >>> w.data = [4.0]
        >>> average.update()  # 0.5 · 4 + 0.5 · 0
        >>> average.values, w.data
        ({'w': array([2.])}, array([4.]))
    """

    @public
    def __init__(self, params: Any, alpha: float) -> None:
        self.alpha = number("Average", "alpha", alpha, above=0.0, at_most=1.0)
        self.updates = 0
        self._params: dict[str, Any] = {}
        for i, (own, p) in enumerate(named_leaves("Average", params)):
            name = str(i) if own is None else own
            if name in self._params:
                raise OptionError(f"Average: {name!r} names two parameters")
            self._params[name] = p
        self._averages = {name: p.value.copy() for name, p in self._params.items()}
        self._applied = 0

    @property
    def values(self) -> dict[str, Array]:
        """The averages by name, or by position where a parameter has none; copies."""
        return {name: average.copy() for name, average in self._averages.items()}

    def update(self) -> None:
        """Move every average towards the parameter's present value.

        Raises:   NonFiniteError: a parameter has nan or inf, which an average never forgets; no
                  average was changed.  GraphError: inside applied().
        """
        if self._applied:
            raise GraphError("Average: update() inside applied(), where the parameters hold the averages")
        for name, p in self._params.items():
            if bad := where_not_finite(p.value):
                raise NonFiniteError(f"Average: {name!r} has {bad}; no average was changed")
        alpha, rest = self.alpha, 1.0 - self.alpha
        for name, p in self._params.items():
            self._averages[name] = alpha * p.value + rest * self._averages[name]
        self.updates += 1

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the averages into the parameters for the length of a `with` block.

        Afterwards the parameters hold the very arrays that they held before.

        Raises:   GraphError, at the end of the block: a parameter was changed inside it, and the
                  change is lost.
        """
        averages = self.values  # copies: what is written into a parameter must not get into the averages
        with placed(self._params.values()):
            for name, p in self._params.items():
                place(p, averages[name])
            lent = [(p.value, p.stamp) for p in self._params.values()]
            self._applied += 1
            try:
                yield
            finally:
                self._applied -= 1
                changed = [
                    name
                    for (name, p), (value, stamp) in zip(self._params.items(), lent, strict=True)
                    if p.value is not value or p.stamp != stamp
                ]
        # Not reached when the block raised: its own exception says more.
        if changed:
            what = f"{', '.join(map(repr, changed))} changed inside applied()"
            raise GraphError(f"Average: {what}; the change is lost. Train outside the block")

    def state_dict(self) -> dict[str, Any]:
        """The averages, as copies, with alpha and the number of updates."""
        return {"class": "Average", "alpha": self.alpha, "updates": self.updates, "values": self.values}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from the averages of a state_dict; all of them or none.

        Raises:   CheckpointError: another alpha, missing or unexpected names, other shapes or dtypes,
                  values that are not finite; nothing was changed.
        """
        with nothing_changed("Average: this is no state of an Average"):
            if not isinstance(state, dict) or state.get("class") != "Average":
                raise OptionError("Average: this is no state of an Average")
            if wrong := differences(("class", "alpha", "updates", "values"), state):
                raise OptionError(f"Average: the state: {wrong}")
            if state["alpha"] != self.alpha:
                saved = f"the state was saved with alpha={state['alpha']!r}"
                raise OptionError(f"Average: {saved}, this one has {self.alpha!r}")
            updates = whole("Average", "updates", state["updates"], 0)
            averages = self._examined(state["values"])
        self._averages, self.updates = averages, updates

    def _examined(self, values: Any) -> dict[str, Array]:
        """Copies of saved averages, if they fit."""
        if not isinstance(values, dict):
            raise OptionError(f"Average: values must be a dict of arrays, got {type(values).__name__}")
        if wrong := misfits(self._averages, values, "state"):
            raise OptionError(f"Average: {wrong}")
        if spoilt := [name for name, value in values.items() if where_not_finite(value)]:
            raise OptionError(f"Average: {spoilt[0]!r} has nan or inf in the state")
        # [()] makes a number of a 0-d array, as which files bring back the scalars.
        return {name: np.array(values[name])[()] for name in self._averages}

    def __repr__(self) -> str:
        return f"Average(alpha={self.alpha!r}) of {len(self._params)} parameters after {self.updates} updates"
