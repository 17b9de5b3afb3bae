"""A student's own optimizer step against an optimizer of the library, under every known convention."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lo.checking.conventions import Options, instead, must_be_known, must_be_options
from tinygrad_lo.checking.homework import Homework
from tinygrad_lo.checking.step_conventions import KNOWN_STEPS, StepVariant, step_signature, step_variants
from tinygrad_lo.checking.student import (
    calling,
    identical,
    must_be_finite,
    numbers_of,
    titled_function,
    unchanged,
    wide_enough,
)
from tinygrad_lo.engine.graph import Array
from tinygrad_lo.errors import DTypeError, GraphError, LoError, OptionError, ShapeError
from tinygrad_lo.options import MEANS

STEPS = 8
RATE = 0.1  # of SGD, for which the library has no default
WALK_STEP = 1e-6  # how well the lengths of two steps must agree


def check_step(fn: Callable[..., Any], name: str, **options: Any) -> Homework:
    """Check one optimizer step written by hand, in plain NumPy, and say which convention it follows.

    `fn(w, g, state, t)` returns the new w, and neither changes w nor g; state is a dict, empty before
    the first step, in which it keeps what it must remember; t counts the steps from 1. It is walked
    along a few gradients, large and tiny, next to the optimizer of `lo.optim` of that name.

    The options say with which numbers: `check_step(fn, "SGD", lr=0.5, momentum=0.9)`. What is not said
    is the library's default (and lr=0.1 for SGD). If fn has further parameters that are called like
    options (lr, momentum, betas or beta1 and beta2, eps, ...), they are passed; with lr among them, the
    learning rate drops on the way, which shows whether it stands inside a velocity or outside.

    The report is true if every step agrees. If not, all other conventions are tried: ε inside or
    outside the root, no bias correction, averages in place of sums, weight decay in the gradient or
    apart from it, nothing remembered. `report.match` is the one that fits, as a call.

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
    who = "check_step"
    must_be_known(who, fn, name, KNOWN_STEPS, "optimizer to compare with")
    expected = step_expectation(name, options)
    w, gradients = problem()
    passed = passed_on(who, fn, expected)
    fixed_rate = "lr" not in passed.values()
    rates = [expected["lr"] * (1.0 if fixed_rate or t < STEPS // 2 else 0.1) for t in range(STEPS)]
    work = Homework(f"{titled_function(who, fn)} as {name}")
    asked = StepVariant(name, expected, ())
    right = asked.path(w, gradients, rates)  # impossible options raise here
    walk = Walk(name, expected, w, gradients, rates)
    yours = walked(who, fn, walk, passed)
    if walks_agree(w, yours, right):
        work.match = asked.call()
        work.said.append(f"{STEPS} steps are those of {work.match}")
    else:
        explain_step(work, walk, yours, right, fixed_rate)
    return work


@dataclass(frozen=True)
class Walk:
    """What is walked: the optimizer and its options, where it begins, the gradients and rates on the way."""

    name: str
    expected: Options
    w: Array
    gradients: list[Array]
    rates: list[float]


def step_expectation(name: str, options: Options) -> Options:
    """All options of the optimizer: those that were said, and the defaults of the others."""
    known = step_signature(name)
    must_be_options(f"check_step: {name}", options, known)
    defaults = {k: RATE if p.default is p.empty else p.default for k, p in known.items()}
    return {**defaults, **options}


def problem() -> tuple[Array, list[Array]]:
    """Where the steps begin, and the gradients on the way.

    Some are of ordinary size, some fade, and some are so small that ε counts.
    """
    rng = np.random.default_rng(11)
    scale = np.array([[1.0, 30.0, 0.1], [1e-3, 1e-5, 1e-7]])
    drift = np.array([[1.0, -1.0, 0.5], [1.0, 1.0, -1.0]])
    fade = np.array([[1.0, 0.4, 1.0], [1.0, 1.0, 1.0]])
    return rng.uniform(0.5, 2.0, scale.shape), [
        scale * fade**t * (drift + rng.normal(0.0, 0.7, scale.shape)) for t in range(STEPS)
    ]


def passed_on(who: str, fn: Callable[..., Any], expected: Options) -> dict[str, str]:
    """Which parameters of the function, beyond its four, are given which options."""
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        return {}
    single = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    positional = [p for p in parameters if p.kind in single]
    if len(positional) < 4 and not any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters):
        raise DTypeError(
            f"{who}: the function is called as fn(w, g, state, t); it takes {len(positional)} arguments"
        )
    found = {}
    keywords = [p for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
    for p in [*positional[4:], *keywords]:
        option = next((word for word in (p.name, *MEANS.get(p.name, ())) if word in expected), None)
        if option is not None and p.kind is not inspect.Parameter.POSITIONAL_ONLY:
            found[p.name] = option
        elif p.default is p.empty:
            raise OptionError(
                f"{who}: the function's parameter {p.name!r} is no option of this optimizer "
                f"({', '.join(expected)}); give it a default value"
            )
    return found


def walked(who: str, fn: Callable[..., Any], course: Walk, passed: dict[str, str]) -> list[Array]:
    """The student's steps, walked twice from the start.

    A function that cannot take arrays (math.sqrt, if g > 0) is given one weight after the other.
    """
    w, gradients, expected = course.w, course.gradients, course.expected

    def walk(start: Any, path: list[Any], *, heard: bool) -> list[Array]:
        state: dict[str, Any] = {}
        places = []
        for t, (g, lr) in enumerate(zip(path, course.rates, strict=True), 1):
            given = {name: option_of(name, option, {**expected, "lr": lr}) for name, option in passed.items()}
            w_given, g_given = (np.array(x) if np.ndim(x) else float(x) for x in (start, g))
            with calling(heard=heard and t == 1):
                new = fn(w_given, g_given, state, t, **given)
            unchanged(who, "w", np.asarray(start), w_given)
            unchanged(who, "g", np.asarray(g), g_given)
            start = landed(who, new, np.shape(start), t)
            places.append(start)
        return places

    try:
        runs = [walk(w, gradients, heard=heard) for heard in (True, False)]
    except LoError:
        raise
    except (TypeError, ValueError) as problem:
        try:
            runs = [
                [np.array(places).reshape(w.shape) for places in zip(*columns, strict=True)]
                for columns in (
                    [walk(w[i], [g[i] for g in gradients], heard=False) for i in np.ndindex(w.shape)]
                    for _ in range(2)
                )
            ]
        except LoError:
            raise
        except Exception:
            raise problem from None
    if not identical(*runs):
        raise GraphError(
            f"{who}: started again with an empty state, the function goes another way; what a step must "
            f"remember belongs into state, not into globals, and randomness must be seeded inside"
        )
    return runs[0]


def option_of(name: str, option: str, options: Options) -> Any:
    """The value of an option for the parameter of this name: beta1 and b2 are halves of betas."""
    value = options[option]
    return value[int(name[-1]) - 1] if option == "betas" and name[-1] in "12" else value


def landed(who: str, new: Any, shape: tuple[int, ...], t: int) -> Array:
    """The new w that a step returned."""
    if isinstance(new, tuple):
        raise DTypeError(
            f"{who}: step {t} returned {len(new)} values; return the new w alone, and fill state"
        )
    data = numbers_of(who, f"the new w of step {t}", new, finite=False)
    wide_enough(who, f"the new w of step {t}", new)
    if data.shape != shape:
        raise ShapeError(f"{who}: step {t} returned shape {data.shape} for w of shape {shape}")
    return data


# ------------------------------------------------------------------------------------ the search


def walks_agree(w: Array, yours: list[Array], right: list[Array], times: float = 1.0) -> bool:
    """Whether all steps have the same length and direction, but for rounding; nan only where it is due."""
    a, b = (np.diff(np.array([w, *places]), axis=0) for places in (yours, right))
    told = np.isfinite(b)
    if not told[-1].any() or not np.array_equal(told, np.isfinite(a)):
        return False
    a, b = a[told], times * b[told]
    noise = 8 * np.finfo(float).eps * np.maximum(np.abs(yours), np.abs(right))[told]
    return bool((np.abs(a - b) <= WALK_STEP * np.maximum(np.abs(a), np.abs(b)) + noise).all())


def multiple(w: Array, yours: list[Array], places: list[Array]) -> float | None:
    """How many times as long the student's steps are, if that is one number above 0."""
    first = places[0] - w
    where = np.unravel_index(int(np.argmax(np.abs(first))), w.shape)
    if not first[where] or not np.isfinite(first[where]):
        return None
    ratio = float((yours[0] - w)[where] / first[where])
    return ratio if ratio > 0 and abs(ratio - 1) > 1e-3 and walks_agree(w, yours, places, ratio) else None


def explain_step(
    work: Homework, walk: Walk, yours: list[Array], right: list[Array], fixed_rate: bool
) -> None:
    """Find the convention that the student's steps follow, and note it."""
    name, lr = walk.name, walk.expected["lr"]
    if all(np.array_equal(walk.w, places) for places in yours):
        work.fail("disconnected", f"your {name} does not move w: what it returns is w as it was")
        return
    matches, near = searched(walk, yours)
    scaled = [(variant, ratio) for variant, ratio in near if ratio] if fixed_rate else []
    if matches:
        note_match(work, walk, matches, scaled)
    elif scaled:
        variant, ratio = scaled[0]
        besides = f"; besides, it {' and '.join(variant.said)}" if variant.said else ""
        rate = f"{ratio * lr:.4g}"
        work.fail(
            f"factor {ratio:.4g}",
            f"your steps are {ratio:.4g} times as long as those of {name} with lr={lr:g}; "
            f"if yours has lr={rate}, say check_step(..., lr={rate}){besides}",
        )
    else:
        for t, place in enumerate(yours, 1):
            hint = " 1 − β^t is 0 if t begins at 0: here it is 1 in the first step." if t == 1 else ""
            must_be_finite("check_step", f"the new w of step {t}", place, hint)
        gap = first_gap(walk, yours, right)
        work.fail(None, f"your {name} follows no convention that is known; {gap}")


def searched(
    walk: Walk, yours: list[Array]
) -> tuple[list[StepVariant], list[tuple[StepVariant, float | None]]]:
    """The variants with the student's steps, which differ in equally few things; and those near by.

    The near ones differ in one thing at most; each with how many times as long the student's steps are.
    """
    matches: list[StepVariant] = []
    near = []
    for variant in step_variants(walk.name, walk.expected):
        if matches and len(variant.said) > len(matches[0].said):
            break
        try:
            with np.errstate(all="ignore"):
                places = variant.path(walk.w, walk.gradients, walk.rates)
        except LoError:
            continue
        if walks_agree(walk.w, yours, places):
            matches.append(variant)
        if len(variant.said) <= 1:
            near.append((variant, multiple(walk.w, yours, places)))
    return matches, near


def note_match(
    work: Homework, walk: Walk, matches: list[StepVariant], scaled: list[tuple[StepVariant, float]]
) -> None:
    """Note the first variant that has the student's steps, and what else would have them."""
    best, lr = matches[0], walk.expected["lr"]
    options = {k: v for k, v in best.options.items() if k != "asked_decay"}
    work.match = StepVariant(walk.name, options, ()).call() if best.slip is None else None
    others = [f"it {' and '.join(variant.said)}" for variant in matches[1:2]]
    if len(best.said) == 1:
        others += [
            f"it has lr={ratio * lr:.4g}: then say check_step(..., lr=...)"
            for variant, ratio in scaled
            if not variant.said
        ]
    same_steps = "".join(f"; or, which gives the same steps, {text}" for text in others)
    words = instead(KNOWN_STEPS[walk.name].options, best.options, walk.expected)
    asked = f"; the library's {' and '.join(words)}" if words else ""
    cause = best.slip.cause if best.slip else "convention"
    work.fail(cause, f"your {walk.name} {' and '.join(best.said)}{asked}{same_steps}")


def first_gap(walk: Walk, yours: list[Array], right: list[Array]) -> str:
    """The first step that differs, in numbers."""
    w = walk.w
    first = int(np.argmin([walks_agree(w, yours[:t], right[:t]) for t in range(1, STEPS + 1)]))
    gap = np.abs(yours[first] - right[first])
    at = np.unravel_index(int(np.argmax(gap)), w.shape)
    start = (w if first == 0 else right[first - 1])[at]
    return (
        f"step {first + 1} is the first that differs: from w = {start:.6g} with "
        f"g = {walk.gradients[first][at]:.4g} yours goes to {yours[first][at]:.8g}, "
        f"{walk.name} to {right[first][at]:.8g}"
    )
