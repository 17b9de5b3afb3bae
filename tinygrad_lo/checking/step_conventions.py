"""The conventions in which optimizers are written: options of the library, and the usual slips around them.

No update rule is written a second time: each variant runs a rule of the library, with other options,
with another state or count, or with something done to the step.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_lo import optim
from tinygrad_lo.checking.conventions import Options, call_of, departures, other_values
from tinygrad_lo.engine.graph import Array
from tinygrad_lo.engine.tensor import Parameter

LARGE = 10**12  # a count of steps after which no bias is left to correct


@dataclass(frozen=True)
class Moment:
    """One step as a slip may look at it: what came in, what the library's rule made of it."""

    w: Array
    g: Array
    new: Array
    state: dict[str, Any]
    options: Options
    t: int
    old: dict[str, Any]  # the state before the step


@dataclass(frozen=True)
class Lapse:
    """A usual mistake: other options or another state for the rule, or another end of the step."""

    said: str
    change: Callable[[Options, int], Options] | None = None  # (options, t) -> the options of this step
    begin: Options | None = None  # what the state holds before the first step
    forget: bool = False  # whether the state is lost between the steps
    end: Callable[[Moment], Array] | None = None
    kind: str | None = None  # another optimizer
    cause: str = "convention"


@dataclass(frozen=True)
class KnownStep:
    """How one optimizer may be written: other values of its options, and slips."""

    options: dict[str, tuple[tuple[Any, str], ...]] = field(default_factory=dict)
    slips: tuple[Lapse, ...] = ()


@dataclass(frozen=True)
class StepVariant:
    """An optimizer with some options, and perhaps a slip."""

    name: str
    options: Options
    said: tuple[str, ...]
    slip: Lapse | None = None

    def path(self, w: Array, gradients: list[Array], rates: list[float]) -> list[Array]:
        """Where the steps lead."""
        slip = self.slip or Lapse("")
        kind = getattr(optim, slip.kind or self.name)
        known = [option for option in self.options if option in kind.options]
        optimizer = kind([Parameter(w)], **{option: self.options[option] for option in known})
        group = optimizer.param_groups[0]
        state = begun(slip, w)
        places = []
        for t, (g, lr) in enumerate(zip(gradients, rates, strict=True), 1):
            options = {**self.options, "lr": lr}
            if slip.change is not None:
                options = {**options, **slip.change(options, t)}
            group.update({option: options[option] for option in known})
            if slip.forget:
                state = begun(slip, w)
            old = {key: np.copy(value) for key, value in state.items()}
            new = optimizer.rule(w, g, state, group)
            if slip.end is not None:
                new = slip.end(Moment(w, g, new, state, options, t, old))
            w = new
            places.append(w)
        return places

    def call(self) -> str:
        """The variant as it is written with this library."""
        return call_of(f"optim.{self.name}", "params", self.options, step_signature(self.name))


def begun(slip: Lapse, w: Array) -> dict[str, Any]:
    """The state before the first step: arrays of zeros where a slip says 0.0."""
    return {k: np.zeros_like(w) if v == 0.0 else v for k, v in (slip.begin or {}).items()}


def step_signature(name: str) -> dict[str, inspect.Parameter]:
    """The options of an optimizer."""
    found = inspect.signature(getattr(optim, name)).parameters
    return {k: p for k, p in found.items() if k != "params"}


# --------------------------------------------------------------------------------------- the table


def root(options: Options, t: int) -> float:
    """√(1 − β2^t), by which Adam's correction of v divides."""
    return math.sqrt(1.0 - options["betas"][1] ** t)


def corrected(at: Moment) -> tuple[Array, Array]:
    """Adam's m̂ and v̂."""
    beta1, beta2 = at.options["betas"]
    return at.state["m"] / (1.0 - beta1**at.t), at.state["v"] / (1.0 - beta2**at.t)


def adam_end(step: Callable[[Array, Array, float], Array]) -> Callable[[Moment], Array]:
    """An end of Adam's step: w − lr · step(m̂, v̂, eps)."""
    return lambda at: at.w - at.options["lr"] * step(*corrected(at), at.options["eps"])


def unscaled(share: float, options: Options) -> Options:
    """An average of squares without its factor (1 − decay): as if lr and ε were smaller by its root."""
    small = math.sqrt(1.0 - share)
    inside = options.get("eps_inside_sqrt", False)
    return {"lr": options["lr"] * small, "eps": options["eps"] * (small**2 if inside else small)}


def swapped_options(*which: int) -> Callable[[Options, int], Options]:
    """β and 1 − β exchanged in these of Adam's averages, though not in their corrections."""

    def change(o: Options, t: int) -> Options:
        betas = tuple(1.0 - beta if i in which else beta for i, beta in enumerate(o["betas"]))
        m, v = ((1.0 - new**t) / (1.0 - old**t) for new, old in zip(betas, o["betas"], strict=True))
        return {"betas": betas, "lr": o["lr"] * m / math.sqrt(v), "eps": o["eps"] / math.sqrt(v)}

    return change


def unsquared(decay: str | None, of: Callable[[Array], Array] = np.copy) -> Callable[[Moment], Array]:
    """An end of a step that divides by the root of an average, or a sum, of g or |g| in place of g²."""

    def end(at: Moment) -> Array:
        share = 0.0 if decay is None else at.options[decay] if decay != "betas" else at.options["betas"][1]
        v = at.state["of g"] = (share or 1.0) * at.old.get("of g", 0.0) + (1.0 - share) * of(at.g)
        inside = at.options.get("eps_inside_sqrt", False)
        m, top = (corrected(at)[0], 1.0 - share**at.t) if decay == "betas" else (at.g, 1.0)
        root = np.sqrt(v / top + at.options["eps"]) if inside else np.sqrt(v / top) + at.options["eps"]
        return np.asarray(at.w - at.options["lr"] * m / root)

    return end


OF_G = "averages g in v, where g² belongs: its root is nan where g is below 0"
ZEROS = {"m": 0.0, "v": 0.0}
UPHILL = Lapse("goes uphill: the step has the wrong sign", end=lambda at: 2.0 * at.w - at.new, cause="sign")
FORGETS = Lapse(
    "forgets: nothing is in state when the next step begins. Assign state['v'] = ... in every step",
    forget=True,
    cause="state",
)
NO_LR = Lapse("leaves out the learning rate", change=lambda o, t: {"lr": 1.0})
TWICE_LR = Lapse("multiplies by the learning rate twice", change=lambda o, t: {"lr": o["lr"] ** 2})
INSIDE = ((False, "has ε outside the root"), (True, "has ε inside the root"))
SMALL = (
    *((eps, f"has ε = {eps:g}") for eps in (1e-8, 1e-10, 1e-7, 1e-6, 1e-5, 1e-3)), (1e-300, "leaves out ε"),
)  # fmt: skip
DECAY = (
    Lapse("leaves out the weight decay", change=lambda o, t: {"weight_decay": 0.0}),
    Lapse("has twice the weight decay: the gradient of λw², not of ½λw²",
         change=lambda o, t: {"weight_decay": 2.0 * o["weight_decay"]}, cause="factor 2"),
    Lapse("decouples the weight decay: it shrinks the weight itself, as AdamW does",
         change=lambda o, t: {"weight_decay": 0.0},
         end=lambda at: at.new - at.options["lr"] * OFF(at) * at.w),
    Lapse("takes the weight decay from the weight without the learning rate",
         change=lambda o, t: {"weight_decay": 0.0}, end=lambda at: at.new - OFF(at) * at.w),
    Lapse("has the wrong sign before the weight decay", cause="sign",
         change=lambda o, t: {"weight_decay": 0.0},
         end=lambda at: at.new + at.options["lr"] * OFF(at) * at.w),
)  # fmt: skip
COMMON = (UPHILL, NO_LR, TWICE_LR)
BETAS = (
    ((0.9, 0.999), "has betas (0.9, 0.999)"), ((0.999, 0.9), "has the betas exchanged"),
    ((0.9, 0.99), "has β2 = 0.99"), ((0.0, 0.999), "leaves out the momentum (β1 = 0)"),
    ((0.1, 0.999), "exchanges β1 and 1 − β1"), ((0.9, 0.001), "exchanges β2 and 1 − β2"),
    ((0.1, 0.001), "exchanges β and 1 − β in both averages"),
)  # fmt: skip


def OFF(at: Moment) -> float:
    """The weight decay that was asked for; the options of the step have it set to 0."""
    return float(at.options["asked_decay"])


ADAM = (
    Lapse("leaves out the bias correction", begin={**ZEROS, "t": LARGE}),
    Lapse("leaves out the bias correction of m",
         change=lambda o, t: {"lr": o["lr"] * (1.0 - o["betas"][0] ** t)}),
    Lapse("leaves out the bias correction of v",
         change=lambda o, t: {"lr": o["lr"] / root(o, t), "eps": o["eps"] / root(o, t)}),
    Lapse("corrects with t + 1: t counts from 1 here", begin={**ZEROS, "t": 1}),
    Lapse("adds ε to √v before the correction, as Keras does",
         change=lambda o, t: {"eps": o["eps"] / root(o, t)}),
    Lapse("has ε inside the root: √(v̂ + ε)", end=adam_end(lambda m, v, eps: m / np.sqrt(v + eps))),
    Lapse("leaves out the root: it divides by v̂", end=adam_end(lambda m, v, eps: m / (v + eps))),
    Lapse("exchanges β1 and 1 − β1: β weights the old value", change=swapped_options(0)),
    Lapse("exchanges β2 and 1 − β2: β weights the old value", change=swapped_options(1)),
    Lapse("exchanges β and 1 − β in both averages: β weights the old value", change=swapped_options(0, 1)),
    Lapse("leaves out (1 − β1) in m", change=lambda o, t: {"lr": o["lr"] / (1.0 - o["betas"][0])}),
    Lapse("leaves out (1 − β2) in v", change=lambda o, t: unscaled(o["betas"][1], o)),
    Lapse(OF_G, end=unsquared("betas")),
    Lapse("averages |g| in v, where g² belongs", end=unsquared("betas", np.abs)),
    Lapse("divides the gradient, not m̂", end=lambda at: (
        at.w - at.options["lr"] * at.g / (np.sqrt(corrected(at)[1]) + at.options["eps"]))),
    Lapse("forgets m and v: nothing is in state when the next step begins", cause="state", end=lambda at: (
        at.w - at.options["lr"] * forgotten(at))),
)  # fmt: skip


def forgotten(at: Moment) -> Array:
    """Adam's step from m = v = 0 with the correction for step t."""
    beta1, beta2 = at.options["betas"]
    m, v = (1.0 - beta1) * at.g / (1.0 - beta1**at.t), (1.0 - beta2) * at.g**2 / (1.0 - beta2**at.t)
    return np.asarray(m / (np.sqrt(v) + at.options["eps"]))


def other_steps(*names: str) -> tuple[Lapse, ...]:
    """Other optimizers with the same options."""
    return tuple(Lapse(f"is {name}", kind=name) for name in names)


KNOWN_STEPS: dict[str, KnownStep] = {
    "SGD": KnownStep({
        "momentum": ((0.0, "leaves out the momentum, or forgets the velocity"), (0.9, "has momentum 0.9"),
                     (0.99, "has momentum 0.99"), (0.1, "exchanges the momentum and 1 − momentum")),
        "nesterov": ((False, "does not look ahead: it is plain momentum"),
                     (True, "looks ahead: it is Nesterov's form")),
        "lr_in_velocity": ((True, "has the learning rate inside the velocity, v ← γv + ηg"),
                           (False, "has the learning rate outside the velocity, w ← w − ηv, as PyTorch")),
    }, (
        UPHILL, *DECAY,
        Lapse("averages: v ← γv + (1 − γ)g, a factor 1 − γ",
             change=lambda o, t: {"lr": o["lr"] * (1.0 - o["momentum"])}),
        Lapse("dampens: (1 − γ)g from the second step on", change=lambda o, t: {"dampening": o["momentum"]}),
        Lapse("moves by the old velocity: it takes in the new gradient too late",
             end=lambda at: at.w - at.old.get("v", 0.0) * (
                 1.0 if at.options["lr_in_velocity"] else at.options["lr"])),
        NO_LR, TWICE_LR,
    )),
    "Adagrad": KnownStep({"eps_inside_sqrt": INSIDE, "eps": SMALL}, (
        FORGETS, *COMMON, *DECAY,
        Lapse("leaves out the root: it divides by G + ε",
             end=lambda at: at.w - at.options["lr"] * at.g / (at.state["G"] + at.options["eps"])),
        Lapse("adds up g in G, where g² belongs: its root is nan where the sum is below 0",
             end=unsquared(None)),
        Lapse("uses G from before this step",
             end=lambda at: (
                 at.w - at.options["lr"] * at.g / np.sqrt(at.old.get("G", 0.0) + at.options["eps"]))),
        Lapse("forgets old gradients: it is RMSprop with decay 0.9", kind="RMSprop"),
        *other_steps("Adam", "SGD"),
    )),
    "RMSprop": KnownStep({
        "eps_inside_sqrt": INSIDE, "eps": SMALL,
        "decay": ((0.9, "has decay 0.9"), (0.99, "has decay 0.99"), (0.1, "exchanges decay and 1 − decay"),
                  (0.999, "has decay 0.999"), (0.5, "has decay ½"), (0.0, "divides by this |g| alone")),
        "centered": ((False, "does not subtract m²"), (True, "subtracts m²: it is centered")),
        "momentum": ((0.0, "has no momentum"), (0.9, "has momentum 0.9")),
    }, (
        FORGETS, *COMMON, *DECAY,
        Lapse("leaves out the root: it divides by v + ε",
             end=lambda at: at.w - at.options["lr"] * at.g / (at.state["v"] + at.options["eps"])),
        Lapse(OF_G, end=unsquared("decay")),
        Lapse("averages |g| in v, where g² belongs", end=unsquared("decay", np.abs)),
        Lapse("leaves out (1 − decay): v ← decay · v + g²", change=lambda o, t: unscaled(o["decay"], o)),
        Lapse("corrects the bias of v, which Adam does", change=lambda o, t: unscaled(o["decay"] ** t, o)),
        Lapse("uses v from before this step", end=lambda at: (
            at.w - at.options["lr"] * at.g / (np.sqrt(at.old.get("v", 0.0 * at.w)) + at.options["eps"]))),
        Lapse("never forgets: it adds up all squares, as Adagrad does", kind="Adagrad"),
        *other_steps("Adam", "SGD"),
    )),
    "Adadelta": KnownStep({
        "eps": SMALL[:-1],  # without ε it would not start: its first numerator is √ε
        "rho": ((0.9, "has ρ = 0.9"), (0.95, "has ρ = 0.95"), (0.99, "has ρ = 0.99"),
                (0.1, "exchanges ρ and 1 − ρ")),
    }, (FORGETS, UPHILL, *DECAY,
        Lapse("leaves out the numerator √(u + ε): it is RMSprop", kind="RMSprop"),
        Lapse("adds ε outside both roots", end=lambda at: at.w - at.options["lr"] * at.g * (
            np.sqrt(at.old.get("u", 0.0 * at.w)) + at.options["eps"])
            / (np.sqrt(at.state["v"]) + at.options["eps"])),
    )),
    "Adam": KnownStep({
        "betas": BETAS, "eps": SMALL,
        "amsgrad": ((False, "does not keep the largest v"), (True, "keeps the largest v: it is AMSGrad")),
    }, (*ADAM, FORGETS, *COMMON, *DECAY, *other_steps("NAdam", "RMSprop", "Adagrad", "SGD"))),
    "AdamW": KnownStep({
        "betas": BETAS, "eps": SMALL,
        "amsgrad": ((False, "does not keep the largest v"), (True, "keeps the largest v: it is AMSGrad")),
    }, (
        Lapse("adds the weight decay to the gradient: it is Adam with L2, not AdamW", kind="Adam"),
        Lapse("leaves out the weight decay: it is Adam", change=lambda o, t: {"weight_decay": 0.0}),
        Lapse("takes the weight decay from the weight without the learning rate",
             change=lambda o, t: {"weight_decay": 0.0}, end=lambda at: at.new - OFF(at) * at.w),
        Lapse("shrinks the weight after the step, not before it", change=lambda o, t: {"weight_decay": 0.0},
             end=lambda at: at.new * (1.0 - at.options["lr"] * OFF(at))),
        *ADAM, FORGETS, *COMMON,
    )),
    "NAdam": KnownStep({"betas": BETAS, "eps": SMALL}, (
        FORGETS, *COMMON, *DECAY,
        Lapse("does not look ahead: it is Adam", kind="Adam"),
        Lapse("has no schedule of μ: ĝ = β1 m / (1 − β1^(t+1)) + (1 − β1) g / (1 − β1^t), as optax has it",
             end=lambda at: at.w - at.options["lr"] * dozat(at)),
        *other_steps("RMSprop", "SGD"),
    )),
}  # fmt: skip


def dozat(at: Moment) -> Array:
    """NAdam's step with a constant β1."""
    beta1, beta2 = at.options["betas"]
    ahead = beta1 * at.state["m"] / (1.0 - beta1 ** (at.t + 1)) + (1.0 - beta1) * at.g / (1.0 - beta1**at.t)
    return np.asarray(ahead / (np.sqrt(at.state["v"] / (1.0 - beta2**at.t)) + at.options["eps"]))


def step_variants(name: str, expected: Options) -> Iterator[StepVariant]:
    """All variants, those that differ in few things first; a slip counts as one."""
    expected = {**expected, "asked_decay": expected.get("weight_decay", 0.0)}
    axes = other_values(KNOWN_STEPS[name].options, expected)
    for changed, said, slip in departures(axes, KNOWN_STEPS[name].slips, 2):
        yield StepVariant(name, {**expected, **changed}, said, slip)
