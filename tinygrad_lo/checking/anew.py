"""An exercise at other numbers than those that its students see: what was copied from there is no answer.

Whoever writes an exercise need not do anything for it. Seeds become others, and what has none is moved where
it comes in: the point of check_gradient and of gradcheck, the walk of check_step, and the parameters of a
graph that the exercise builds for check_backward. Labels, masks and counts stay.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np

from tinygrad_lo.checking import gradcheck, homework, step, step_conventions
from tinygrad_lo.checking.step_conventions import GRADIENTS, START
from tinygrad_lo.checking.student import leaves_of
from tinygrad_lo.engine.graph import Array
from tinygrad_lo.engine.tensor import Parameter, Tensor

OTHER_SEED = 7919  # added to the seeds of an exercise
# How far numbers are moved, in parts of their size: less where a domain ends.
RUNGS = (0.1, 0.1, 0.02, 0.004)


@contextlib.contextmanager
def anew(exercise: ModuleType, rung: int | None) -> Iterator[None]:
    """While this lasts, an exercise draws other numbers; what has no seed is moved by RUNGS[rung]."""
    if rung is None:  # its own numbers
        yield
        return
    generator, init = np.random.default_rng, Parameter.__init__
    as_input, compare = gradcheck.as_input, homework.compare
    referring: list[bool] = []  # not empty in a reference, whose own numbers are those of the task

    def built(self: Parameter, data: Any, *args: Any, **options: Any) -> None:
        init(self, data, *args, **options)
        maker = getattr(inspect.currentframe(), "f_back", None)
        if maker is not None and maker.f_globals is vars(exercise) and not referring:
            self.data = elsewhere(self.value, rung)

    def put(*args: Any) -> Any:
        made = as_input(*args)
        if isinstance(made, Tensor):
            made.data = elsewhere(made.value, rung)
        return made

    def compared(*args: Any) -> None:
        referring.append(True)
        try:
            compare(*args)
        finally:
            referring.pop()

    walk = {"START": elsewhere(START, rung), "GRADIENTS": [elsewhere(g, rung) for g in GRADIENTS]}
    with (
        mock.patch.object(np.random, "default_rng", lambda of=None: generator(seeded(of))),
        mock.patch.object(homework, "leaves_of", lambda *args: each_elsewhere(leaves_of(*args), rung)),
        mock.patch.object(homework, "compare", compared),
        mock.patch.object(gradcheck, "as_input", put),
        mock.patch.object(Parameter, "__init__", built),
        mock.patch.multiple(step, **walk),
        mock.patch.multiple(step_conventions, **walk),
    ):
        yield


def seeded(of: Any) -> Any:
    """Another seed in the place of this one."""
    return of + OTHER_SEED if isinstance(of, int) else of


def elsewhere(x: Array, rung: int) -> Array:
    """An array with other numbers of the same range; first they also change places, and so do their signs."""
    x = np.asarray(x) if rung else np.roll(x, 1)
    rng = np.random.Generator(np.random.PCG64(OTHER_SEED))
    size = np.where(x == 0.0, np.abs(x).max(initial=0.0) or 1.0, np.abs(x))
    return np.asarray(x + RUNGS[rung] * size * rng.uniform(-1.0, 1.0, x.shape)).astype(x.dtype)


def each_elsewhere(leaves: dict[str, Array], rung: int) -> dict[str, Array]:
    """The arrays of a structure, moved."""
    return {name: elsewhere(x, rung) for name, x in leaves.items()}


def holds_anew(found_at: Callable[[int], Sequence[Any]]) -> bool:
    """Whether all checks pass at other numbers: the farthest ones at which each of them can be made."""
    built = False
    for rung in range(len(RUNGS)):
        try:
            wrong = [one for one in found_at(rung) if not one]
        except Exception:  # an exercise that cannot be built of such numbers
            continue
        built = True
        if not all(one.is_open for one in wrong):
            return False
        if not wrong:
            return True
    return not built
