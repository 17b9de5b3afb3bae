"""The second half of a compiled training step: gradients become `.grad`, and the optimizer steps.

The gradients of a pack (optim/packed.py) come from the program as one array, which the rule takes as it is.
What the optimizer promises, it keeps: it is asked for its packs at each call, screens gradients, and reads
rates afresh.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_lo.engine.backward import deposit
from tinygrad_lo.engine.graph import Array
from tinygrad_lo.engine.leaves import forget, given, landed
from tinygrad_lo.engine.machine.caller import warn_once
from tinygrad_lo.errors import OptionError
from tinygrad_lo.optim.clipping import clip_grad_norm, upper_bound
from tinygrad_lo.optim.optimizer import Optimizer
from tinygrad_lo.optim.packed import Jobs


class Update:
    """What a compiled step does with gradients: `zero_grad()`, backward, clipping, `step()`."""

    def __init__(self, optimizer: Any, clip_norm: Any) -> None:
        if not isinstance(optimizer, Optimizer):
            raise OptionError(
                f"compile: optimizer must be one of lo.optim, got {type(optimizer).__name__}; without one, "
                f"the compiled loss adds its gradients, and the step is yours"
            )
        self.optimizer = optimizer
        self.most = None if clip_norm is None else upper_bound("compile", "clip_norm", clip_norm)

    def in_words(self) -> str:
        """What is done, for readers of the program."""
        clipped = "" if self.most is None else f", clipped to the norm {self.most:g}"
        written = type(self.optimizer).equations is not Optimizer.equations  # a user's may leave them out
        rule = self.optimizer.formula() if written else str(self.optimizer)
        lines = [f"update: the gradients become .grad{clipped}; then", *rule.splitlines()]
        return "\n".join(f"# {line}" for line in lines)


class Landing:
    """Where the gradients of one recording go.

    Attributes:
        packs: the places, among the leaves, of those whose gradients are to come as one array.
    """

    def __init__(self, update: Update, leaves: list[Any]) -> None:
        self.optimizer, self.most, self.leaves = update.optimizer, update.most, leaves
        self._look()
        self.jobs = self._jobs_now() if self.live else None
        self.packs = [] if self.jobs is None else self._packed(self.jobs)

    def _look(self) -> None:
        """See which of the leaves are in which group. (Groups may be added, and keep what they have.)"""
        groups = self.optimizer.param_groups
        places = {leaf: i for i, leaf in enumerate(self.leaves)}
        reached = [[places[p] for p in group["params"] if p in places] for group in groups]
        ends = np.cumsum([0, *map(len, reached)]).tolist()
        self.order = [*itertools.chain(*reached)]  # the places of those that are stepped, group by group
        self.work = [work for work in zip(groups, ends, ends[1:], strict=False) if work[1] < work[2]]
        self.groups = len(groups)
        self.live = [self.leaves[i] for i in self.order]
        self.others = [(i, leaf) for leaf, i in places.items() if i not in self.order]
        self.unreached = [p for group in groups for p in group["params"] if p not in places]

    def _jobs_now(self) -> Jobs:
        """What the optimizer does; as gradients come as one array, packing pays for every rule."""
        return self.optimizer.jobs(self.live, self.work, flat=True)

    def _packed(self, jobs: Jobs) -> list[list[int]]:
        return [[self.order[i] for i in places] for _, places, _ in jobs.packs]

    def run(self, loss: Any, grads: Sequence[Array], flats: Sequence[Array] = ()) -> Any:
        """Update with the leaves' gradients, those of a pack as one array, too; answers with the loss."""
        optimizer = self.optimizer
        if len(optimizer.param_groups) != self.groups:
            self._look()
        live = self.live
        if not live:
            raise OptionError(f"{optimizer}: the loss reaches none of its parameters")
        forget(self.unreached)
        if self.others:  # they get gradients as by backward()
            leaves = {leaf.birth: leaf for _, leaf in self.others}
            deposit(leaves, {leaf.birth: grads[i] for i, leaf in self.others})
        arrived = [grads[i] for i in self.order]
        landed(live, arrived)
        jobs = self._jobs_now()
        clipped = self.most is not None and clip_grad_norm(live, self.most) > self.most
        if clipped or not flats or not self._as_recorded(jobs):
            arrays = jobs.gathered([p.arrived for p in live])
        else:
            arrays = [*flats, *map(arrived.__getitem__, jobs.order)]
        optimizer.screen(live, arrays)
        jobs.run(optimizer, arrays)
        return loss

    def _as_recorded(self, jobs: Jobs) -> bool:
        """Whether the packs are those for which the program was written."""
        if jobs is not self.jobs and self._packed(jobs) == self.packs:
            self.jobs = jobs
        return jobs is self.jobs

    def checked(self, loss: Any, grads: Sequence[Array]) -> Any:
        """The same, and every parameter stepped for itself as well: a rule that packs must be elementwise."""
        optimizer = self.optimizer
        if not optimizer.elementwise:
            return self.run(loss, grads)
        before = [(p, p.value, copy.deepcopy(optimizer.state.get(p, {}))) for p in self.live]
        self.run(loss, grads)
        groups = {p: group for group in optimizer.param_groups for p in group["params"]}
        alone = [optimizer.rule(w, p.arrived, state, groups[p]) for p, w, state in before]
        pairs = zip(alone, (p.value for p in self.live), strict=False)  # the last of these may be new
        if not all(np.array_equal(one, other, equal_nan=True) for one, other in pairs):
            given(self.live, alone)
            optimizer.elementwise = False
            optimizer.take_states({p: state for p, _, state in before})
            warn_once(
                "elementwise",
                f"compile: {optimizer} says that its rule is elementwise, but many parameters together get "
                f"other values than each for itself; from now on each is stepped for itself",
            )
        return loss
