"""check_step: every optimizer is known, every convention is told from the others, mistakes are named."""

import math
from dataclasses import replace

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.checking.step_conventions import KNOWN_STEPS, StepVariant
from tinygrad_lo.errors import DTypeError, GraphError, MutationError, NonFiniteError, OptionError, ShapeError

# Asked for where the defaults would make two conventions one.
ASKED = {
    "SGD": {"lr": 0.05, "momentum": 0.8, "weight_decay": 0.02},
    "Adadelta": {"lr": 0.7},
}
DECAYED = {"weight_decay": 0.02}  # with it gradients are never so small that ε counts


def asked_of(variant):
    return {**ASKED.get(variant.name, {}), **(DECAYED if "weight" in variant.said[0] else {})}


def replayed(path):
    """A step that walks a path of the table again, as far as t."""

    def step(w, g, state, t, lr):
        state.setdefault("rates", []).append(lr)
        return path(state["rates"])[-1]

    return step


def asked_for(name, options):
    return StepVariant.asked_for("check_step", print, name, options)


def test_every_optimizer_of_the_library_is_known():
    kinds = (getattr(lo.optim, name) for name in lo.optim.__all__)
    base = lo.optim.SGD.__mro__[1]
    assert {k.__name__ for k in kinds if isinstance(k, type) and issubclass(k, base)} == set(KNOWN_STEPS)


@pytest.mark.parametrize("options", ["defaults", "asked"])
@pytest.mark.parametrize("name", KNOWN_STEPS)
def test_the_optimizer_itself_passes(name, options):
    options = {**ASKED.get(name, {}), **DECAYED} if options == "asked" else {}
    itself = {**({"lr": 0.1} if name == "SGD" else {}), **options}

    def step(w, g, state, t):
        if t == 1:
            state["w"] = lo.Parameter(w)
            state["optimizer"] = getattr(lo.optim, name)([state["w"]], **itself)
        state["w"].grad = g
        state["optimizer"].step()
        return state["w"].data

    report = lo.check_step(step, name, **options)
    assert report, str(report)
    assert report.match.startswith(f"lo.optim.{name}(params, lr=")


VARIANTS = [
    pytest.param(v, id=f"{v.name}: {v.said[0]}")
    for name in KNOWN_STEPS
    for v in asked_for(name, {**ASKED.get(name, {}), **DECAYED}).variants(1)
    if v.said
]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_convention_is_recognized_by_its_steps(variant):
    asked = asked_of(variant)
    decay = asked_for(variant.name, asked).options["weight_decay"]
    variant = replace(variant, options={**variant.options, "weight_decay": decay})
    report = lo.check_step(replayed(variant.path), variant.name, **asked)
    assert not report
    assert variant.said[0] in str(report), str(report)


# ------------------------------------------------------------- written as students write them


def adam(correct=True, betas=(0.9, 0.999), lr=1e-3, late=0, bottom=lambda v: np.sqrt(v) + 1e-8):
    def step(w, g, state, t):
        a, b = betas
        state["m"] = a * state.get("m", 0.0) + (1 - a) * g
        state["v"] = b * state.get("v", 0.0) + (1 - b) * g**2
        c = (1 - a ** (t + late), 1 - b ** (t + late)) if correct else (1.0, 1.0)
        return w - lr * state["m"] / c[0] / bottom(state["v"] / c[1])

    return step


def momentum(share=1.0, inside=0.1, outside=1.0, keep=True):
    def step(w, g, state, t):
        v = 0.9 * state.get("v", 0.0) + share * inside * g
        if keep:
            state["v"] = v
        return w - outside * v

    return step


def momentum_with_rate(w, g, state, t, learning_rate, mu=0.0):
    state["v"] = mu * state.get("v", 0.0) + g
    return w - learning_rate * state["v"]


def rmsprop(inside=False, keep=0.9, add=0.1):
    def step(w, g, state, t):
        state["v"] = keep * state.get("v", 0.0) + add * g**2
        return w - 0.01 * g / (np.sqrt(state["v"] + 1e-8) if inside else np.sqrt(state["v"]) + 1e-8)

    return step


def adagrad_of_numbers(w, g, state, t):
    state["G"] = state.get("G", 0.0) + g * g
    return w - 0.01 * g / (math.sqrt(state["G"]) + 1e-8)


M = {"momentum": 0.9}
WRITTEN = {
    "inside the root": (rmsprop(inside=True), "RMSprop", {}, "has ε inside the root", "convention"),
    "no 1 - decay": (rmsprop(add=1.0), "RMSprop", {}, "leaves out (1 − decay)", "convention"),
    "never forgets": (rmsprop(keep=1.0, add=1.0), "RMSprop", {}, "as Adagrad does", "convention"),
    "outside, of numbers": (adagrad_of_numbers, "Adagrad", {}, "has ε outside the root", "convention"),
    "no correction": (adam(correct=False), "Adam", {}, "leaves out the bias correction", "convention"),
    "t + 1": (adam(late=1), "Adam", {}, "t + 1", "convention"),
    "betas": (adam(betas=(0.999, 0.9)), "Adam", {}, "has the betas exchanged", "convention"),
    "root": (adam(bottom=lambda v: v + 1e-8), "Adam", {}, "leaves out the root", "convention"),
    "ε in the root": (adam(bottom=lambda v: np.sqrt(v + 1e-8)), "Adam", {}, "inside the root", "convention"),
    "another rate": (adam(lr=0.03), "Adam", {}, "say check_step(..., lr=0.03)", "factor 30"),
    "rate and correction": (adam(correct=False, lr=0.03), "Adam", {}, "besides, it leaves out the bias",
                            "factor 30"),
    "rate or slip": (adam(lr=0.01), "Adam", {}, "gives the same steps, it has lr=0.01", "convention"),
    "L2": (lambda w, g, s, t: adam()(w, g + 0.01 * w, s, t), "AdamW", {}, "Adam with L2, not AdamW",
           "convention"),
    "decoupled": (lambda w, g, s, t: adam()(w, g, s, t) - 1e-5 * w, "Adam", {"weight_decay": 0.01},
                  "as AdamW does", "convention"),
    "velocity": (momentum(keep=False), "SGD", M, "forgets the velocity", "convention"),
    "average": (momentum(share=0.1), "SGD", M, "averages: v ← γv + (1 − γ)g", "convention"),
    "uphill": (momentum(outside=-1.0), "SGD", M, "goes uphill", "sign"),
    "rate outside": (momentum_with_rate, "SGD", M, "outside the velocity", "convention"),
    "double decay": (lambda w, g, s, t: w - 0.1 * (g + 0.02 * w), "SGD", {"weight_decay": 0.01},
                     "twice the weight decay", "factor 2"),
    "nonsense": (lambda w, g, s, t: w - np.cos(g), "SGD", {}, "step 1 is the first that differs", None),
    "no move": (lambda w, g, s, t: w + 0.0, "SGD", {}, "does not move w", "disconnected"),
    "late nonsense": (lambda w, g, s, t: w - 0.1 * g - (t > 5), "SGD", {}, "step 6 is the first", None),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_usual_mistakes_are_named(name):
    fn, kind, options, said, cause = WRITTEN[name]
    report = lo.check_step(fn, kind, **options)
    assert not report
    assert said in str(report), str(report)
    assert report.cause == cause


RIGHT = {
    "Adam": (adam(), "Adam", {}),
    "a rate that is said": (adam(lr=0.01), "Adam", {"lr": 0.01}),
    "momentum": (momentum(), "SGD", M),
    "with the rate outside, which cannot be seen": (momentum(inside=1.0, outside=0.1), "SGD", M),
    "with the rate outside, as asked": (momentum_with_rate, "SGD", {**M, "lr_in_velocity": False}),
    "RMSprop": (rmsprop(), "RMSprop", {}),
    "of numbers, ε outside": (adagrad_of_numbers, "Adagrad", {"eps_inside_sqrt": False}),
    "plain": (lambda w, g, s, t: w - 0.1 * g, "SGD", {}),
    "a list of numbers": (lambda w, g, s, t: (w - 0.1 * g).tolist(), "SGD", {}),
    "β1 and β2": (lambda w, g, s, t, beta1, beta2: adam(betas=(beta1, beta2))(w, g, s, t), "Adam",
                  {"betas": (0.8, 0.9)}),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_right_steps_pass(name):
    fn, kind, options = RIGHT[name]
    report = lo.check_step(fn, kind, **options)
    assert report, str(report)


# -------------------------------------------------------------------------------------- refusals


def in_place(w, g, state, t):
    w -= 0.1 * g
    return w


def spoils_g(w, g, state, t):
    g *= 0.1
    return w - g


KEPT = {"v": 0.0}


def keeps_outside(w, g, state, t):
    KEPT["v"] = 0.9 * KEPT["v"] + 0.1 * g
    return w - KEPT["v"]


REFUSED = {
    "unknown": (in_place, "adam", {}, OptionError, "did you mean 'Adam'"),
    "nothing like it": (in_place, "Lion", {}, OptionError, "There are SGD"),
    "option": (adam(), "Adam", {"learning_rate": 1.0}, OptionError, "did you mean 'lr'"),
    "value": (adam(), "Adam", {"lr": -1.0}, OptionError, "lr must be"),
    "w": (in_place, "SGD", {}, MutationError, "changes w in place"),
    "g": (spoils_g, "SGD", {}, MutationError, "changes g in place"),
    "globals": (keeps_outside, "SGD", M, GraphError, "belongs into state"),
    "nothing": (lambda w, g, s, t: None, "SGD", {}, DTypeError, "end with return"),
    "pair": (lambda w, g, s, t: (w, s), "SGD", {}, DTypeError, "return the new w alone"),
    "int": (lambda w, g, s, t: 0, "SGD", {}, DTypeError, "an integer"),
    "shape": (lambda w, g, s, t: w.sum(), "SGD", {}, ShapeError, r"shape \(\) for w of shape \(2, 3\)"),
    "float32": (lambda w, g, s, t: (w - g).astype(np.float32), "SGD", {}, DTypeError, "float64"),
    "name": (in_place, [], {}, OptionError, "no optimizer"),
    "t from 0": (adam(late=-1), "Adam", {}, NonFiniteError, "if t begins at 0: here it is 1"),
    "arguments": (lambda w, g: w, "SGD", {}, DTypeError, "takes 2 arguments"),
    "parameter": (lambda w, g, s, t, z: w, "SGD", {}, OptionError, "'z' is no option"),
    "called": (3.0, "SGD", {}, DTypeError, "function itself"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name):
    fn, kind, options, error, said = REFUSED[name]
    with pytest.raises(error, match=said):
        lo.check_step(fn, kind, **options)


def test_the_students_own_errors_are_theirs():
    with pytest.raises(KeyError):
        lo.check_step(lambda w, g, state, t: w - state["v"], "SGD")
    with pytest.raises(TypeError, match="NoneType"):
        lo.check_step(lambda w, g, state, t: w - state.get("v") * g, "SGD")


def test_printing_is_heard_once(capsys):
    def loud(w, g, state, t):
        print("step", t)
        return w - 0.1 * g

    assert lo.check_step(loud, "SGD")
    assert capsys.readouterr().out == "step 1\n"
