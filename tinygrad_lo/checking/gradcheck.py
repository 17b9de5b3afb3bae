"""Engine gradients against numerical ones, element by element, in a report that is true or false."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np

from tinygrad_lo import options
from tinygrad_lo.checking.comparison import Comparison
from tinygrad_lo.checking.numerical import Keys, arrays_of, each
from tinygrad_lo.checking.recording import OUTSIDE, Subject
from tinygrad_lo.checking.report import Report
from tinygrad_lo.engine.derivatives import grad
from tinygrad_lo.engine.graph import Array, Node, mode, modes
from tinygrad_lo.engine.leaves import place, placed
from tinygrad_lo.engine.naming import name_of
from tinygrad_lo.engine.tensor import Tensor
from tinygrad_lo.errors import DTypeError, GraphError
from tinygrad_lo.names import named_values

# A large block that is given back once makes glibc keep smaller ones, which thousands of evaluations would
# else get from the system, page by page, each time: large inputs took three times as long.
HEAP_BLOCK = 2**21


@options.public
def gradcheck(
    f: Callable[..., Any],
    *inputs: Any,
    params: Any = (),
    order: int = 1,
    rtol: float = 1e-4,
    points: int = 1,
    seed: int = 0,
) -> Report:
    """Compare the engine's gradient of f with differences; the report is true or false.

    `f(*inputs)` returns a tensor: one number, or an array, which is summed with random weights. Checked
    are its derivatives by every floating-point input (an array, or a list or dict of arrays) and by every
    parameter in `params`, which f uses without being given it. Works on float64 copies; parameters and
    their `.grad` are as before afterwards.

        |analytic − numeric| ≤ bar,  and bar ≤ rtol · max(|analytic|, |numeric|) to count as verified

    Differences at shrinking steps are extrapolated to the step 0; the bar is what that leaves open and
    what rounding can do, usually 1e-8 of the derivative and less. An element that is hidden by rounding
    is UNVERIFIABLE, counted and never silently passed; at a kink any slope between the one-sided ones is
    right. Of a tensor above 400 elements a sample is checked singly, the rest along one random direction,
    which is bisected to the wrong elements when it fails.

    Then every op that f called is checked alone: `report.culprit` is the op whose rule is wrong, with the
    line of your file, `report.cause` the kind of mistake that the numbers look like, `report.unverified`
    what this point cannot show; `points=3` goes to further random points, where other branches are taken.

    Shapes:   inputs: any; f: any. order=2 checks the second derivatives too; `seed` draws the points.
    Raises:   OptionError: order, points or rtol out of range.
              GraphError: f returns no tensor or leaves the graph, is random, or changes its inputs.
              DTypeError: nothing to differentiate by, inputs in a tuple, or f returns an integer.
              NonFiniteError: f is nan or inf here.  GradcheckError: a rule raises.
    Source:   lecture 000: what finite differences are good for.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> print(lo.gradcheck(lambda x: (x**3).sum(), np.array([1.0, 2.0])))
        gradcheck passed: of 2 derivatives 2 agree, known to 1e-08 or better
          derivative by  analytic  numeric  rel. error  known to  verdict
          input 0[...]   ...
    """
    order = options.choice("gradcheck", "order", order, (1, 2))
    points = options.whole("gradcheck", "points", points)
    report = Report(options.number("gradcheck", "rtol", rtol, above=0.0, below=1.0))
    np.empty(HEAP_BLOCK)
    rng = np.random.default_rng(seed)
    parameters = [p for _, p in named_values("gradcheck", params)]
    for p in parameters:
        if not is_leaf(p):
            raise DTypeError(f"gradcheck: params must be leaves that require grad, got {p!r}")
    args = arguments(inputs)
    arrays = arrays_of(args)
    leaves = list(dict.fromkeys([*filter(is_leaf, arrays), *parameters]))
    if not leaves:
        raise DTypeError(
            f"gradcheck: nothing to differentiate by: no floating-point input and no params{kinds(inputs)}"
        )
    others = [x for x in arrays if isinstance(x, np.ndarray)]
    subject = Subject(weighted(lambda: f(*args), report, seed), leaves, others)
    recording = mode("grad_off", False) if modes.grad_off else nullcontext()
    with placed(parameters) as data, np.errstate(all="ignore"), recording:
        for leaf, x in zip(parameters, data, strict=True):
            place(leaf, np.array(x, dtype=float))
        start = [leaf.value for leaf in leaves]
        check = Comparison(report, rng)
        for point in range(points):
            if point:
                step_away(subject, start, rng, point)
            check.run(subject, point)
            if order == 2:
                check.run(slope_of(subject, rng), point)
        report.unverified += check.limits()
    return report


def step_away(subject: Subject, start: list[Array], rng: np.random.Generator, point: int) -> None:
    """Put the leaves at a random place around where they began, signs changed too, each time farther away.

    Where the function is not finite there or refuses, half as far.
    """
    targets = [
        rng.choice([-1.0, 1.0], np.shape(data)) * data
        + 0.5 * point * np.maximum(1.0, np.abs(data)) * rng.standard_normal(np.shape(data))
        for data in start
    ]
    for halvings in range(20):
        for leaf, data, target in zip(subject.leaves, start, targets, strict=True):
            place(leaf, data + 0.5**halvings * (target - data))
        try:
            if np.isfinite(subject.value()):
                return
        except OUTSIDE:
            continue
    raise GraphError("gradcheck: no further point was found at which the function is finite; use points=1")


def slope_of(subject: Subject, rng: np.random.Generator) -> Subject:
    """The slope along a random direction, whose derivatives are second ones."""
    directions = [rng.standard_normal(leaf.shape) for leaf in subject.leaves]
    inner: list[Node] = []

    def call() -> Any:
        out = subject.call()
        if not inner:
            inner.append(out)
        with mode("kinks", False):  # the check says itself where it meets one
            slopes = grad(out, subject.leaves, create_graph=True, allow_unused=True)
        terms = [(g * d).sum() for g, d in zip(slopes, directions, strict=True) if g is not None]
        return functools.reduce(operator.add, terms) if terms else Tensor(0.0)

    return Subject(call, subject.leaves, subject.others, 2, inner)


def weighted(f: Callable[[], Any], report: Report, seed: int) -> Callable[[], Any]:
    """f, and where its result is an array, the sum of it with random weights.

    A plain sum of a normalization or a softmax is a constant, whose gradient shows nothing. Positive ones:
    at kinks with weights of both signs no slope need lie between the one-sided ones.
    """
    weights: dict[tuple[int, ...], Any] = {}

    def call() -> Any:
        out = f()
        shape = np.shape(out.value) if isinstance(out, Node) else ()
        if math.prod(shape) < 2 or out.value.dtype.kind != "f":
            return out
        if shape not in weights:
            weights[shape] = np.random.default_rng(seed).uniform(0.5, 1.5, shape)
        report.shape = shape
        return (out * weights[shape]).sum()

    return call


def is_leaf(x: Any) -> bool:
    """Whether this can be differentiated by."""
    return isinstance(x, Tensor) and x.op is None and x.requires_grad


def arguments(inputs: tuple[Any, ...]) -> list[Any]:
    """What f is called with: the inputs, their arrays copied."""
    if len(inputs) == 1 and type(inputs[0]) is tuple:
        singly, together = ("x", "(x,)") if len(inputs[0]) == 1 else ("x, y", "(x, y)")
        raise DTypeError(
            f"gradcheck: the inputs are given one by one: gradcheck(f, {singly}), not gradcheck(f, "
            f"{together}); got a tuple of {len(inputs[0])}. If f takes several arrays as one argument, give "
            f"them as a list"
        )
    return [each(as_input, value, (i,)) for i, value in enumerate(inputs)]


def as_input(value: Any, keys: Keys) -> Any:
    """A float64 tensor to differentiate by, a copy of any other array, or anything else as it is."""
    data = value.value if isinstance(value, Node) else value
    if isinstance(data, (float, list, np.ndarray, np.generic)) and np.asarray(data).dtype.kind == "f":
        first, *rest = keys
        own = name_of(value) if isinstance(value, Node) else None
        name = own or f"input {first}" + "".join(f"[{key!r}]" for key in rest)
        return Tensor(np.array(data, dtype=float), requires_grad=True, name=name)
    return value.copy() if isinstance(value, np.ndarray) else value


def kinds(inputs: tuple[Any, ...]) -> str:
    """What the inputs are, for a message."""
    text = ""
    for i, x in enumerate(inputs):
        dtype = getattr(np.asarray(x) if isinstance(x, (list, int, bool)) else x, "dtype", None)
        text += f"; input {i} is {type(x).__name__ if dtype is None else f'{dtype}, not floating-point'}"
    return text
