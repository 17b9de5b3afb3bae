"""The convention that the values of a student's loss follow: the search through all that are known."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lo.checking.case import STEP
from tinygrad_lo.checking.conventions import instead
from tinygrad_lo.checking.diagnosis import Cause, told
from tinygrad_lo.checking.homework import VALUE, Homework
from tinygrad_lo.checking.loss_conventions import KNOWN, REDUCTIONS, Variant, variants
from tinygrad_lo.checking.samples import Args
from tinygrad_lo.engine.graph import Array
from tinygrad_lo.errors import LoError


@dataclass(frozen=True)
class Trial:
    """What the student's loss says about some arguments."""

    args: Args
    value: Array
    has_gradient: bool


def variant_value(variant: Variant, args: Args) -> Array | None:
    """The value of a variant, or None where it has none."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return variant(*args)
        except LoError:
            return None


def gradient_of_variant(variant: Variant, args: Args, which: int) -> Array | None:
    """The gradient of a variant by one of its arguments, by central differences."""
    x = np.array(args[which], dtype=float)
    found = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        values = []
        for h in (STEP, -STEP):
            moved = x.copy()
            moved[place] += h
            values.append(variant_value(variant, (*args[:which], moved, *args[which + 1 :])))
        above, below = values
        if above is None or below is None:
            return None
        found[place] = float(np.sum(above - below)) / (2.0 * STEP)
    return found


def match(trials: list[Trial], variant: Variant, times: Callable[[Args], float] | None = None) -> bool:
    """Whether a variant, or a multiple of it, gives the student's values on all batches."""
    for trial in trials:
        value = variant_value(variant, trial.args)
        if value is None or value.shape != trial.value.shape:
            return False
        if times is not None:
            value = value * times(trial.args)
        scale = float(np.abs(value).max(initial=0.0))
        if not np.allclose(trial.value, value, rtol=VALUE, atol=1e-10 * scale):
            return False
    return True


def compared(work: Homework, name: str, expected: dict[str, Any], trials: list[Trial]) -> bool:
    """Find the convention that the student's values follow, and note it; whether it is the right one."""
    for variant in variants(name, expected):
        if match(trials, variant):
            work.match = variant.call() if variant.slip is None else None
            if not variant.said:
                work.said.append(f"your loss is {variant.call()}, on {len(trials)} random batches")
                return True
            work.fail(
                cause_of_loss(variant, expected),
                f"your loss {' and '.join(variant.said)}{asked(variant, expected)}",
            )
            return False
    for variant, cause, said in multiples(name, expected, trials):
        others = f"; besides, it {' and '.join(variant.said)}" if variant.said else ""
        work.fail(cause, f"your loss {said}{others}")
        return False
    right = Variant(name, expected, ())
    gaps = [
        np.ravel(trial.value - value)
        for trial in trials
        if (value := variant_value(right, trial.args)) is not None
    ]
    for per, each in ((lambda args: 1.0, ""), (many, " for each sample")) if len(gaps) == len(trials) else ():
        found = np.array([gap[0] / per(trial.args) for gap, trial in zip(gaps, trials, strict=True)])
        if found.size > 1 and np.ptp(found) <= VALUE * np.abs(found).max():
            work.fail("constant", f"your loss {told(Cause('constant', float(found[0])))}{each}")
            return False
    trial = next((trial for trial in trials if not match([trial], right)), trials[0])
    shown = variant_value(right, trial.args)
    differs = (
        ""
        if shown is None
        else f": yours is {np.ravel(trial.value)[0]:.6g} where {name} is {np.ravel(shown)[0]:.6g}"
    )
    work.fail(
        None,
        f"your loss follows no convention that is known of {name}{differs}, {worst_example(name, trial)}",
    )
    return False


def cause_of_loss(variant: Variant, expected: dict[str, Any]) -> str:
    """The cause that a variant stands for."""
    if variant.slip is not None:
        return variant.slip.cause
    changed = {option for option, value in variant.options.items() if value != expected[option]}
    if changed == {"reduction"}:
        return "mean or sum"
    if changed == {"half"}:
        return "factor 0.5" if variant.options["half"] else "factor 2"
    return "convention"


def asked(variant: Variant, expected: dict[str, Any]) -> str:
    """What was asked for instead, in the words of the options that differ."""
    options = {**KNOWN[variant.name].options, "reduction": REDUCTIONS}
    words = instead(options, variant.options, expected)
    text = f"; {variant.name} {' and '.join(words)}" if words else ""
    ours, yours = expected.get("reduction"), variant.options.get("reduction")
    if {ours, yours} == {"mean", "sum"}:
        text += f": a factor {'N' if yours == 'sum' else '1/N'}"
    return text


def worst_example(name: str, trial: Trial) -> str:
    """The first arguments, short enough to print."""
    shown = [
        f"{what} {np.array2string(np.asarray(a), precision=3, separator=', ').replace(chr(10), '')}"
        for what, a in zip(KNOWN[name].names, trial.args, strict=True)
    ]
    return "at " + ", ".join(text if len(text) <= 70 else f"{text[:67]}…" for text in shown)


def many(args: Args) -> int:
    """N, the number of samples."""
    return len(args[0])


def classes(args: Args) -> int:
    """C, the number of outputs or classes."""
    return int(np.shape(args[0])[-1]) if np.ndim(args[0]) > 1 else 1


FACTORS: tuple[tuple[Callable[[Args], float], str, str], ...] = (
    (lambda args: 2.0, "factor 2", "is twice too large: a ½ is missing, or a 2 is too much"),
    (lambda args: 0.5, "factor 0.5", "is half of what it should be: there is a ½ too much"),
    (lambda args: 1.0 / many(args), "mean or sum", "is divided by N once more: a factor 1/N"),
    (lambda args: float(many(args)), "mean or sum", "is not divided by N: a factor N"),
    (lambda args: 1.0 / classes(args), "mean or sum", "is divided by the number of classes: a factor 1/C"),
    (lambda args: float(classes(args)), "mean or sum", "is a factor C too large, the number of classes"),
    (lambda args: float(many(args)) if classes(args) > 1 else 1.0, "axis",
     "takes the mean over the wrong axis: it adds up the samples and averages the outputs"),
    (lambda args: many(args) / classes(args), "axis",
     "takes the mean over the wrong axis: it is divided by the number of classes, not of samples"),
    (lambda args: many(args) / (many(args) - 1.0), "mean or sum", "is divided by N − 1 where N belongs"),
    (lambda args: 1.0 / math.log(2), "factor 1.443", "takes a logarithm in base 2: a factor 1/ln 2"),
    (lambda args: 1.0 / math.log(10), "factor 0.4343", "takes a logarithm in base 10: a factor 1/ln 10"),
)  # fmt: skip


def multiples(name: str, expected: dict[str, Any], trials: list[Trial]) -> Iterator[tuple[Variant, str, str]]:
    """Variants of which the student's values are a multiple, with what the factor says."""
    near = [variant for variant in variants(name, expected) if len(variant.said) <= 1]
    for variant in near:
        if match(trials, variant, lambda args: -1.0):
            yield variant, "sign", "has the wrong sign: the minus is missing, or there twice"
    for variant in near:
        for times, cause, said in FACTORS:
            if match(trials, variant, times):
                yield variant, cause, said
            if match(trials, variant, lambda args, f=times: -f(args)):
                yield variant, "sign", f"has the wrong sign, and {said}"
    for variant in near:
        first = variant_value(variant, trials[0].args)
        if first is None or first.shape != trials[0].value.shape or not np.ravel(first)[0]:
            continue
        ratio = float(np.ravel(trials[0].value)[0] / np.ravel(first)[0])
        if ratio and match(trials, variant, lambda args, r=ratio: r):
            yield variant, f"factor {ratio:.4g}", f"is {ratio:.4g} times what it should be, on every batch"
