"""Engine gradients against numerical ones, element by element, in a report that is true or false."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from tinygrad_lo.checking.comparison import Comparison
from tinygrad_lo.checking.numerical import Path, each, parts
from tinygrad_lo.checking.report import Report
from tinygrad_lo.engine.graph import Node, mode, modes
from tinygrad_lo.engine.naming import name_of
from tinygrad_lo.engine.tensor import Tensor
from tinygrad_lo.errors import DTypeError, OptionError


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
    right. Of a tensor above 400 elements a stratified sample is checked singly, the rest along one random
    direction, which is bisected to the wrong elements when it fails.

    Then every op that f called is checked alone, at the inputs it was called with: `report.culprit` is
    the op whose rule is wrong, with the line of your file, `report.cause` the kind of mistake that the
    numbers look like. `report.unverified` says what this point cannot show; `points=3` goes to further
    random points, where other branches are taken.

    Shapes:   inputs: any; f: any. order=2 checks the second derivatives too; `seed` draws the points.
    Raises:   OptionError: order, points or rtol out of range.
              GraphError: f returns no tensor or leaves the graph, differs between two calls (seed
              randomness inside f), or changes its inputs.
              DTypeError: nothing to differentiate by, inputs in a tuple, or f returns an integer.
              NonFiniteError: f is nan or inf here.
              GradcheckError: a rule raises; and from report.raise_if_failed().
    Source:   lecture 000: what finite differences are good for.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> report = lo.gradcheck(lambda x: (x**3).sum(), np.array([1.0, 2.0]))
        >>> bool(report)
        True
        >>> print(report)
        gradcheck passed: of 2 derivatives 2 agree, known to 1e-08 or better
          derivative by  analytic  numeric  rel. error  known to  verdict
          input 0[...]   ...
    """
    if order not in (1, 2) or isinstance(order, bool):
        raise OptionError(f"gradcheck: order must be 1 or 2, got {order!r}")
    if isinstance(points, bool) or not isinstance(points, int) or points < 1:
        raise OptionError(f"gradcheck: points must be an int >= 1, got {points!r}")
    if not 0 < rtol < 1:
        raise OptionError(f"gradcheck: rtol must be in (0, 1), got {rtol!r}")
    if len(inputs) == 1 and type(inputs[0]) is tuple:
        count = len(inputs[0])
        raise DTypeError(
            f"gradcheck: the inputs are given one by one: gradcheck(f, {'x' if count == 1 else 'x, y'}), not "
            f"gradcheck(f, {'(x,)' if count == 1 else '(x, y)'}); got a tuple of {count}. If f takes several "
            f"arrays as one argument, give them as a list"
        )
    found = parameters(params)
    args = [each(as_input, value, (i,)) for i, value in enumerate(inputs)]
    given = [x for _, x in parts(args)]
    leaves = [x for x in given if isinstance(x, Tensor) and x.requires_grad and x.op is None] + found
    if not leaves:
        raise DTypeError(
            "gradcheck: nothing to differentiate by: no floating-point input and no params"
            + "".join(f"; input {i} is {kind_of(x)}" for i, x in enumerate(inputs))
        )
    others = [x for x in given if isinstance(x, np.ndarray)]
    report = Report(rtol)
    call = weighted(lambda: f(*args), report, seed)
    check = Comparison(call, leaves, others, report, np.random.default_rng(seed))
    recording = mode("grad_off", False) if modes.grad_off else nullcontext()
    with as_float64(found), np.errstate(all="ignore"), recording:
        begin = [leaf.value for leaf in leaves]
        for point in range(points):
            if point:
                check.move(begin)
            check.run()
            if order == 2:
                check.second().run()
        check.finish()
    return check.report


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


def parameters(params: Any) -> list[Any]:
    """The parameters as a list of leaves that want a gradient, each once."""
    if hasattr(params, "named_parameters"):
        params = params.named_parameters()
    if isinstance(params, Node):
        params = [params]
    found = [item[1] if isinstance(item, tuple) else item for item in params]
    for p in found:
        if not isinstance(p, Tensor) or p.op is not None or not p.requires_grad:
            raise DTypeError(f"gradcheck: params must be leaves that require grad, got {p!r}")
    return list({p.birth: p for p in found}.values())


def as_input(value: Any, path: Path) -> Any:
    """A float64 tensor to differentiate by, a copy of any other array, or anything else as it is."""
    data = value.value if isinstance(value, Node) else value
    if isinstance(data, (float, list, np.ndarray, np.generic)):
        array = np.asarray(data)
        if array.dtype.kind == "f":
            name = (name_of(value) if isinstance(value, Node) else None) or named_path("input", path)
            return Tensor(np.array(array, dtype=float), requires_grad=True, name=name)
    return value.copy() if isinstance(value, np.ndarray) else value


def named_path(word: str, path: Path) -> str:
    """The path of an array inside the inputs, as text: input 0['W']."""
    first, *rest = path
    return f"{word} {first}" + "".join(f"[{step!r}]" for step in rest)


def kind_of(value: Any) -> str:
    """What an input is, for messages."""
    dtype = getattr(value, "dtype", None)
    if dtype is None and isinstance(value, (list, int, bool)):
        dtype = np.asarray(value).dtype
    return f"{dtype}, not floating-point" if dtype is not None else type(value).__name__


@contextmanager
def as_float64(params: list[Any]) -> Iterator[None]:
    """The parameters hold float64 copies meanwhile, and their own arrays again afterwards."""
    before = [p.value for p in params]
    try:
        for p in params:
            p.value = np.array(p.value, dtype=float)[()]
        yield
    finally:
        for p, data in zip(params, before, strict=True):
            p.value = data
