"""The conventions in which optimizers are written: options of the library, and the usual slips around them.

Each variant runs a rule of the library, with other options or state, or with something done to the step.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from tinygrad_lo import optim
from tinygrad_lo.checking.conventions import Known, Mistake, Options, Values, Variant, each_of
from tinygrad_lo.engine.graph import Array
from tinygrad_lo.engine.tensor import Parameter

# One step as a slip looks at it: w, g and t, the options by their names, the state before it (old) and
# after it, and where the library's rule leads (new).
Moment = SimpleNamespace
FOREVER = 10**12  # a count of steps after which no bias is left to correct


@dataclass(frozen=True)
class Lapse(Mistake):
    """A usual mistake: other options or another state for the rule, or another end of the step."""

    change: Callable[[Moment], Options] = lambda at: {}  # other options for this step
    end: Callable[[Moment], Any] = lambda at: at.new  # where it leads
    move: Callable[[Moment], Any] | None = None  # or: it leads to w − lr · move
    decay: Callable[[Moment], Any] | None = None  # added to where it leads, in place of the rule's own
    count: int = 0  # how many steps the rule believes to have made
    forget: bool = False  # whether the state is lost between the steps
    optimizer: str | None = None  # another one


def hatted(move: Callable[[Any, Any, Any, float], Any]) -> Callable[[Moment], Any]:
    """A move of g and of Adam's m̂, v̂ and ε."""
    return lambda at: move(at.g, *corrected(at, at.state["m"], at.state["v"]), at.eps)


def corrected(at: Moment, m: Any, v: Any) -> tuple[Any, Any]:
    """m and v without their bias."""
    return m / (1.0 - at.betas[0] ** at.t), v / (1.0 - at.betas[1] ** at.t)


def larger(at: Moment, times: float) -> Options:
    """As if the average of squares were so many times as large."""
    root = math.sqrt(times)
    return {"lr": at.lr / root, "eps": at.eps / (times if at.inside else root)}


def betas_exchanged(*which: int) -> Callable[[Moment], Options]:
    """β and 1 − β exchanged in these of Adam's averages, though not in their corrections."""

    def change(at: Moment) -> Options:
        betas = tuple(1.0 - beta if i in which else beta for i, beta in enumerate(at.betas))
        m, v = ((1.0 - new**at.t) / (1.0 - old**at.t) for new, old in zip(betas, at.betas, strict=True))
        return {"betas": betas, "lr": at.lr * m / math.sqrt(v), "eps": at.eps / math.sqrt(v)}

    return change


def unsquared(
    share: Callable[[Moment], float], of: Callable[[Array], Array] = np.copy, *, hats: bool = False
) -> Callable[[Moment], Any]:
    """A move that divides by the root of an average, or a sum, of g or |g| in place of g²."""

    def move(at: Moment) -> Any:
        kept = share(at)
        v = at.state["of g"] = (kept or 1.0) * at.old["of g"] + (1.0 - kept) * of(at.g)
        m, v = corrected(at, at.state["m"], v) if hats else (at.g, v)
        return m / (np.sqrt(v + at.eps) if at.inside else np.sqrt(v) + at.eps)

    return move


def forgotten(at: Moment) -> Any:
    """Adam's move from m = v = 0 with the correction for step t."""
    m, v = corrected(at, (1.0 - at.betas[0]) * at.g, (1.0 - at.betas[1]) * at.g**2)
    return m / (np.sqrt(v) + at.eps)


def dozat(at: Moment) -> Any:
    """NAdam's move with a constant β1."""
    beta1, (_, v) = at.betas[0], corrected(at, 0.0, at.state["v"])
    ahead = beta1 * at.state["m"] / (1.0 - beta1 ** (at.t + 1)) + (1.0 - beta1) * at.g / (1.0 - beta1**at.t)
    return ahead / (np.sqrt(v) + at.eps)


OF_G = "averages g in v, where g² belongs: its root is nan where g is below 0"
OF_SIZE = "averages |g| in v, where g² belongs"
NEW_STATE = "nothing is in state when the next step begins"
OWN_DECAY = Lapse("takes the weight decay from the weight without the learning rate",
                  decay=lambda at: -at.weight_decay * at.w)  # fmt: skip
GROWS = Lapse("has the wrong sign before the weight decay", cause="sign",
              decay=lambda at: at.lr * at.weight_decay * at.w)  # fmt: skip
UPHILL = Lapse("goes uphill: the step has the wrong sign", end=lambda at: 2.0 * at.w - at.new, cause="sign")
FORGETS = Lapse(f"forgets: {NEW_STATE}. Assign state['v'] = ... in every step", forget=True, cause="state")
COMMON = (
    UPHILL,
    Lapse("leaves out the learning rate", lambda at: {"lr": 1.0}),
    Lapse("multiplies by the learning rate twice", lambda at: {"lr": at.lr**2}),
)
DECAY = (
    Lapse("leaves out the weight decay", decay=lambda at: 0.0),
    Lapse("has twice the weight decay: the gradient of λw², not of ½λw²",
          lambda at: {"weight_decay": 2.0 * at.weight_decay}, cause="factor 2"),
    Lapse("decouples the weight decay: it shrinks the weight itself, as AdamW does",
          decay=lambda at: -at.lr * at.weight_decay * at.w),
    OWN_DECAY,
    GROWS,
)  # fmt: skip
ADAM = (
    Lapse("leaves out the bias correction", count=FOREVER),
    Lapse("leaves out the bias correction of m", lambda at: {"lr": at.lr * (1.0 - at.betas[0] ** at.t)}),
    Lapse("leaves out the bias correction of v", lambda at: larger(at, 1.0 - at.betas[1] ** at.t)),
    Lapse("corrects with t + 1: t counts from 1 here", count=1),
    Lapse("adds ε to √v before the correction, as Keras does",
          lambda at: {"eps": at.eps / math.sqrt(1.0 - at.betas[1] ** at.t)}),
    Lapse("has ε inside the root: √(v̂ + ε)", move=hatted(lambda g, m, v, eps: m / np.sqrt(v + eps))),
    Lapse("leaves out the root: it divides by v̂", move=hatted(lambda g, m, v, eps: m / (v + eps))),
    Lapse("exchanges β1 and 1 − β1: β weights the old value", betas_exchanged(0)),
    Lapse("exchanges β2 and 1 − β2: β weights the old value", betas_exchanged(1)),
    Lapse("exchanges β and 1 − β in both averages: β weights the old value", betas_exchanged(0, 1)),
    Lapse("leaves out (1 − β1) in m", lambda at: {"lr": at.lr / (1.0 - at.betas[0])}),
    Lapse("leaves out (1 − β2) in v", lambda at: larger(at, 1.0 / (1.0 - at.betas[1]))),
    Lapse(OF_G, move=unsquared(lambda at: at.betas[1], hats=True)),
    Lapse(OF_SIZE, move=unsquared(lambda at: at.betas[1], np.abs, hats=True)),
    Lapse("divides the gradient, not m̂", move=hatted(lambda g, m, v, eps: g / (np.sqrt(v) + eps))),
    Lapse(f"forgets m and v: {NEW_STATE}", move=forgotten, cause="state"),
)  # fmt: skip
IS = {name: Lapse(f"is {name}", optimizer=name) for name in ("Adam", "NAdam", "RMSprop", "Adagrad", "SGD")}
SMALL = each_of("has ε = {:g}", 1e-8, 1e-10, 1e-7, 1e-6, 1e-5, 1e-3)
STEP_MEANINGS: dict[str, Values] = {
    "momentum": (*each_of("has momentum {:g}", 0.9, 0.99), (0.1, "exchanges momentum and 1 − momentum"),
                 (0.0, "has no momentum, or forgets the velocity")),
    "nesterov": ((False, "does not look ahead: it is plain momentum"),
                 (True, "looks ahead: it is Nesterov's form")),
    "lr_in_velocity": ((True, "has the learning rate inside the velocity, v ← γv + ηg"),
                       (False, "has the learning rate outside the velocity, w ← w − ηv, as PyTorch")),
    "eps_inside_sqrt": ((False, "has ε outside the root"), (True, "has ε inside the root")),
    "eps": (*SMALL, (1e-300, "leaves out ε")),
    "decay": (*each_of("has decay {:g}", 0.9, 0.99, 0.999, 0.5), (0.1, "exchanges decay and 1 − decay"),
              (0.0, "divides by this |g| alone")),
    "centered": ((False, "does not subtract m²"), (True, "subtracts m²: it is centered")),
    "rho": (*each_of("has ρ = {:g}", 0.9, 0.95, 0.99), (0.1, "exchanges ρ and 1 − ρ")),
    "betas": (((0.9, 0.999), "has betas (0.9, 0.999)"), ((0.999, 0.9), "has the betas exchanged"),
              ((0.9, 0.99), "has β2 = 0.99"), ((0.0, 0.999), "leaves out the momentum (β1 = 0)"),
              ((0.1, 0.999), "exchanges β1 and 1 − β1"), ((0.9, 0.001), "exchanges β2 and 1 − β2"),
              ((0.1, 0.001), "exchanges β and 1 − β in both averages")),
    "amsgrad": ((False, "does not keep the largest v"), (True, "keeps the largest v: it is AMSGrad")),
}  # fmt: skip
KNOWN_STEPS: dict[str, Known] = {
    "SGD": Known(required={"lr": 0.1}, slips=(
        UPHILL, FORGETS, *DECAY,
        Lapse("averages: v ← γv + (1 − γ)g, a factor 1 − γ", lambda at: {"lr": at.lr * (1.0 - at.momentum)}),
        Lapse("dampens: (1 − γ)g from the second step on", lambda at: {"dampening": at.momentum}),
        Lapse("moves by the old velocity: it takes in the new gradient too late",
              end=lambda at: at.w - at.old["v"] * (1.0 if at.lr_in_velocity else at.lr)),
        *COMMON[1:],
    )),
    "Adagrad": Known(slips=(
        FORGETS, *COMMON, *DECAY,
        Lapse("leaves out the root: it divides by G + ε", move=lambda at: at.g / (at.state["G"] + at.eps)),
        Lapse("adds up g in G, where g² belongs: its root is nan where the sum is below 0",
              move=unsquared(lambda at: 0.0)),
        Lapse("uses G from before this step", move=lambda at: at.g / np.sqrt(at.old["G"] + at.eps)),
        Lapse("forgets old gradients: it is RMSprop with decay 0.9", optimizer="RMSprop"),
        IS["Adam"], IS["SGD"],
    )),
    "RMSprop": Known(slips=(
        FORGETS, *COMMON, *DECAY,
        Lapse("leaves out the root: it divides by v + ε", move=lambda at: at.g / (at.state["v"] + at.eps)),
        Lapse(OF_G, move=unsquared(lambda at: at.decay)),
        Lapse(OF_SIZE, move=unsquared(lambda at: at.decay, np.abs)),
        Lapse("leaves out (1 − decay): v ← decay · v + g²", lambda at: larger(at, 1.0 / (1.0 - at.decay))),
        Lapse("corrects the bias of v, which Adam does", lambda at: larger(at, 1.0 / (1.0 - at.decay**at.t))),
        Lapse("uses v from before this step", move=lambda at: at.g / (np.sqrt(at.old["v"]) + at.eps)),
        Lapse("never forgets: it adds up all squares, as Adagrad does", optimizer="Adagrad"),
        IS["Adam"], IS["SGD"],
    )),
    "Adadelta": Known(options={"eps": SMALL}, slips=(  # without ε √ε, its first numerator, is 0
        FORGETS, UPHILL, *DECAY,
        Lapse("leaves out the numerator √(u + ε): it is RMSprop", optimizer="RMSprop"),
        Lapse("adds ε outside both roots", move=lambda at: (
            at.g * (np.sqrt(at.old["u"]) + at.eps) / (np.sqrt(at.state["v"]) + at.eps))),
    )),
    "Adam": Known(slips=(
        *ADAM, FORGETS, *COMMON, *DECAY, IS["NAdam"], IS["RMSprop"], IS["Adagrad"], IS["SGD"],
    )),
    "AdamW": Known(slips=(
        Lapse("adds the weight decay to the gradient: it is Adam with L2, not AdamW", optimizer="Adam"),
        Lapse("leaves out the weight decay: it is Adam", decay=lambda at: 0.0),
        OWN_DECAY, GROWS,
        Lapse("shrinks the weight after the step, not before it",
              decay=lambda at: -at.lr * at.weight_decay * at.new),
        *ADAM, FORGETS, *COMMON,
    )),
    "NAdam": Known(slips=(
        FORGETS, *COMMON, *DECAY,
        Lapse("does not look ahead: it is Adam", optimizer="Adam"),
        Lapse("has no schedule of μ: ĝ = β1 m / (1 − β1^(t+1)) + (1 − β1) g / (1 − β1^t), as optax has it",
              move=dozat),
        IS["RMSprop"], IS["SGD"],
    )),
}  # fmt: skip

# Where the steps begin, and the gradients on the way: some are of ordinary size, some fade, and some are so
# small that ε counts.
WALKED = 8
SCALE = np.array([[1.0, 30.0, 0.1], [1e-3, 1e-5, 1e-7]])
DRIFT = np.array([[1.0, -1.0, 0.5], [1.0, 1.0, -1.0]])
FADE = np.array([[1.0, 0.4, 1.0], [1.0, 1.0, 1.0]])
RNG = np.random.default_rng(11)
START = RNG.uniform(0.5, 2.0, SCALE.shape)
GRADIENTS = [SCALE * FADE**t * (DRIFT + RNG.normal(0.0, 0.7, SCALE.shape)) for t in range(WALKED)]


@dataclass(frozen=True)
class StepVariant(Variant):
    """An optimizer with some options, and perhaps a slip."""

    kind: ClassVar = "optimizer to compare with"
    module: ClassVar[Any] = optim
    data: ClassVar = "params"
    table: ClassVar = KNOWN_STEPS
    meanings: ClassVar = STEP_MEANINGS

    def path(self, rates: list[float]) -> Array:
        """The start, and where each step leads."""
        slip = self.slip or Lapse("")
        optimizer = getattr(optim, slip.optimizer or self.name)
        known = self.options.keys() & optimizer.options.keys()
        optimizer = optimizer([Parameter(START)], **{option: self.options[option] for option in known})
        (group,) = optimizer.param_groups
        inside = self.options.get("eps_inside_sqrt", False)
        state: dict[str, Any] = {"m": 0.0 * START, "v": 0.0 * START, "t": slip.count} if slip.count else {}
        places = [START]
        for t, (g, lr) in enumerate(zip(GRADIENTS, rates, strict=False), 1):
            state = {} if slip.forget else state
            old: dict[str, Any] = defaultdict(float, {key: np.copy(value) for key, value in state.items()})
            options = {**self.options, "lr": lr}
            at = Moment(**options, w=places[-1], g=g, t=t, state=state, old=old, inside=inside)
            options |= {"weight_decay": 0.0} if slip.decay else slip.change(at)
            group.update({option: options[option] for option in known})
            at.new = optimizer.rule(at.w, g, state, group)
            end = at.w - lr * slip.move(at) if slip.move else slip.end(at)
            places.append(end + slip.decay(at) if slip.decay else end)
        return np.array(places)
