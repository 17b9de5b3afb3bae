"""A student's own optimizer step against an optimizer of the library, under every known convention."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lo.checking.conventions import Options, called
from tinygrad_lo.checking.homework import Homework
from tinygrad_lo.checking.step_conventions import GRADIENTS, START, WALKED, StepVariant
from tinygrad_lo.checking.student import attempt, must_be_finite, numbers_of, wide_enough
from tinygrad_lo.engine.graph import Array
from tinygrad_lo.errors import DTypeError, GraphError, LoError, OptionError, ShapeError
from tinygrad_lo.options import MEANS

WHO = "check_step"
WALK_STEP = 1e-6  # how well the lengths of two steps must agree


def check_step(fn: Callable[..., Any], name: str, **options: Any) -> Homework:
    """Check one optimizer step written by hand, in plain NumPy, and say which convention it follows.

    `fn(w, g, state, t)` returns the new w, and neither changes w nor g; state is a dict, empty before
    the first step, in which it keeps what it must remember; t counts from 1. It is walked along a few
    gradients next to the optimizer of `lo.optim` of that name and options, of which lr=0.1 is assumed
    for SGD: `check_step(fn, "SGD", lr=0.5, momentum=0.9)`. Further parameters of fn that are called like
    options (lr, momentum, betas or beta1 and beta2, eps, ...) are passed; lr then drops on the way.

    The report is true if every step agrees. If not, all other conventions are tried: ε inside or
    outside the root, no bias correction, nothing remembered. `report.match` is the one that fits.

    Shapes:   w, g: equal, an array; if fn cannot take arrays, floats, one weight after the other.
    Raises:   OptionError: no such optimizer or option.  DTypeError: the function returns no numbers.
              ShapeError: the new w has another shape.  MutationError: it changes w or g in place.
              GraphError: started again, it goes another way.  NonFiniteError: nan or inf.
    Source:   the conventions are those of lecture 003, of PyTorch, Keras and optax.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> def rmsprop(w, g, state, t):
        ...     state["v"] = 0.9 * state.get("v", 0.0) + 0.1 * g**2
        ...     return w - 0.01 * g / np.sqrt(state["v"] + 1e-8)
        >>> report = lo.check_step(rmsprop, "RMSprop")
        >>> print(report)
        check_step of rmsprop as RMSprop FAILED
          your RMSprop has ε inside the root; the library's has ε outside the root
        >>> report.match
        'lo.optim.RMSprop(params, lr=0.01, eps_inside_sqrt=True)'
    """
    right = StepVariant.asked_for(WHO, fn, name, options)
    passed = passed_on(fn, right.options)
    lr, own_rate = right.options["lr"], "lr" not in passed.values()
    rates = [lr * (1.0 if own_rate or t < WALKED // 2 else 0.1) for t in range(WALKED)]
    work = right.report(WHO, fn)
    places = right.path(rates)  # impossible options raise here
    yours = walked(fn, right.options, rates, passed)
    if walks_agree(yours, places):
        work.match = right.call()
        work.said.append(f"{WALKED} steps are those of {work.match}")
    elif (yours == START).all():
        work.fail("disconnected", f"your {name} does not move w: what it returns is w as it was")
    else:
        explain_step(work, right, rates, yours, own_rate)
    return work


def further_parameters(fn: Callable[..., Any]) -> list[inspect.Parameter]:
    """What the function takes beyond w, g, state and t, as far as that can be known."""
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        return []
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(positional) < 4 and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        takes = f"it takes {len(positional)} arguments"
        raise DTypeError(f"{WHO}: the function is called as fn(w, g, state, t); {takes}")
    return [*positional[4:], *(p for p in parameters if p.kind is p.KEYWORD_ONLY)]


def passed_on(fn: Callable[..., Any], expected: Options) -> dict[str, str]:
    """Which parameters of the function, beyond its four, are given which options."""
    passed = {}
    for p in further_parameters(fn):
        option = next((word for word in (p.name, *MEANS.get(p.name, ())) if word in expected), None)
        if option is not None and p.kind is not p.POSITIONAL_ONLY:
            passed[p.name] = option
        elif p.default is p.empty:
            options = f"this optimizer ({', '.join(expected)}); give it a default value"
            raise OptionError(f"{WHO}: the function's parameter {p.name!r} is no option of {options}")
    return passed


def walked(fn: Callable[..., Any], expected: Options, rates: list[float], passed: dict[str, str]) -> Array:
    """The student's steps, walked twice; a function of numbers alone is given one weight after the other."""

    def step(w: Any, g: Any, state: dict[Any, Any], t: int, *, heard: bool = False) -> Array:
        options = {**expected, "lr": rates[t - 1]}
        given = {name: options[option] for name, option in passed.items()}
        for name in given:
            if passed[name] == "betas" and name[-1] in "12":  # beta1 and b2 are halves of betas
                given[name] = given[name][int(name[-1]) - 1]
        new = called(WHO, fn, {"w": w, "g": g}, state, t, heard=heard, **given)
        returned = f"{WHO}: step {t} returned"
        if isinstance(new, tuple):
            raise DTypeError(f"{returned} {len(new)} values; return the new w alone, and fill state")
        data = numbers_of(WHO, f"the new w of step {t}", new, finite=False)
        wide_enough(WHO, f"the new w of step {t}", new)
        if data.shape != np.shape(w):
            raise ShapeError(f"{returned} shape {data.shape} for w of shape {np.shape(w)}")
        return data

    def step_by_weight(w: Array, g: Array, state: dict[Any, Any], t: int, *, heard: bool = False) -> Array:
        new = [step(w[i], g[i], state.setdefault(i, {}), t) for i in np.ndindex(w.shape)]
        return np.reshape(new, w.shape)

    def walk(step: Callable[..., Array], *, heard: bool) -> Array:
        state: dict[Any, Any] = {}
        places = [START]
        for t, g in enumerate(GRADIENTS, 1):
            places.append(step(places[-1], g, state, t, heard=heard and t == 1))
        return np.array(places)

    try:
        runs = [walk(step, heard=heard) for heard in (True, False)]
    except LoError:
        raise
    except (TypeError, ValueError) as problem:
        try:
            runs = [walk(step_by_weight, heard=False) for _ in range(2)]
        except Exception as other:
            raise (other if isinstance(other, LoError) else problem) from None
    if not np.array_equal(*runs, equal_nan=True):
        raise GraphError(
            f"{WHO}: started again with an empty state, the function goes another way; what a step must "
            f"remember belongs into state, not into globals, and randomness must be seeded inside"
        )
    return runs[0]


@np.errstate(all="ignore")
def walks_agree(yours: Array, right: Array, times: float = 1.0) -> bool:
    """Whether all steps have the same length and direction, but for rounding; nan only where it is due."""
    a, b = np.diff(yours, axis=0), times * np.diff(right, axis=0)
    noise = 8 * np.finfo(float).eps * np.maximum(np.abs(yours), np.abs(right))[1:]
    return bool(np.isfinite(b[-1]).any()) and np.allclose(a, b, rtol=WALK_STEP, atol=noise, equal_nan=True)


@np.errstate(all="ignore")
def multiple(yours: Array, right: Array) -> float | None:
    """How many times as long the student's steps are, if that is one number above 0."""
    largest = np.argmax(np.abs(right[1] - START))
    ratio = float((yours[1] - START).flat[largest] / (right[1] - START).flat[largest])
    other = 0 < ratio < np.inf and abs(ratio - 1) > 1e-3
    return ratio if other and walks_agree(yours, right, ratio) else None


def explain_step(work: Homework, right: StepVariant, rates: list[float], yours: Array, own: bool) -> None:
    """Find the convention that the student's steps follow, and note it."""
    name, lr = right.name, right.options["lr"]
    matches, scaled = searched(right, rates, yours)
    scaled = scaled if own else []  # where the function has a learning rate of its own
    if matches:
        others = [f"it {' and '.join(variant.said)}" for variant in matches[1:2]]
        plain = [ratio for variant, ratio in scaled if len(matches[0].said) == 1 and not variant.said]
        others += [f"it has lr={ratio * lr:.4g}: then say check_step(..., lr=...)" for ratio in plain]
        same_steps = "".join(f"; or, which gives the same steps, {text}" for text in others)
        right.note(work, name, "the library's", matches[0], same_steps)
    elif scaled:
        variant, ratio = scaled[0]
        length = f"{ratio:.4g} times as long as those of {name} with lr={lr:g}"
        advice = f"if yours has lr={ratio * lr:.4g}, say check_step(..., lr={ratio * lr:.4g})"
        work.fail(f"factor {ratio:.4g}", f"your steps are {length}; {advice}{variant.besides}")
    else:
        work.fail(None, first_gap(name, right.path(rates), yours))


def first_gap(name: str, ours: Array, yours: Array) -> str:
    """The first step that differs, where it does so most."""
    for t, place in enumerate(yours[1:], 1):
        hint = " 1 − β^t is 0 if t begins at 0: here it is 1 in the first step." if t == 1 else ""
        must_be_finite(WHO, f"the new w of step {t}", place, hint)
    step = int(np.argmin([walks_agree(yours[: t + 1], ours[: t + 1]) for t in range(1, WALKED + 1)]))
    at = int(np.argmax(np.abs(yours - ours)[step + 1]))
    return (
        f"your {name} follows no convention that is known; step {step + 1} is the first that differs: "
        f"from w = {ours[step].flat[at]:.6g} with g = {GRADIENTS[step].flat[at]:.4g} yours goes to "
        f"{yours[step + 1].flat[at]:.8g}, {name} to {ours[step + 1].flat[at]:.8g}"
    )


def searched(
    right: StepVariant, rates: list[float], yours: Array
) -> tuple[list[StepVariant], list[tuple[StepVariant, float]]]:
    """The variants with the student's steps, in equally few things; and those whose steps are multiples."""
    matches: list[StepVariant] = []
    scaled = []
    for variant in right.variants(2):
        if matches and len(variant.said) > len(matches[0].said):
            break
        with np.errstate(all="ignore"):
            places = attempt(variant.path, rates)
        if places is None:
            continue
        if walks_agree(yours, places):
            matches.append(variant)
        if len(variant.said) <= 1 and (ratio := multiple(yours, places)):
            scaled.append((variant, ratio))
    return matches, scaled
